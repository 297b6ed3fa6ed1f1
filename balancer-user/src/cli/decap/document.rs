//! What `balancer decap` shows.

use std::collections::BTreeMap;

use balancer_common::decap::{Event, rules::Prefix};
use ipnet::IpNet;
use serde::Serialize;

use crate::{
    api::types::Schema,
    cli::table::{Column, Table, Tone, Value},
    dataplane::{DecapTables, TunnelRules},
};

/// What is attached to an interface, and what it has done.
#[derive(Debug, Serialize)]
pub(super) struct DecapDoc {
    schema: Schema,
    interface: String,
    /// The XDP mode that it really has.
    mode: String,
    /// The addresses that tunnels end at.
    addresses: Vec<String>,
    /// Where they may come from; empty: anywhere.
    sources: Vec<String>,
    mss: Option<u16>,
    /// Packets by event.
    packets: BTreeMap<&'static str, u64>,
}

impl DecapDoc {
    pub(super) fn of(interface: &str, mode: &str, tables: &DecapTables) -> Self {
        let TunnelRules { own, sources, mss } = tables.rules();
        Self {
            schema: Schema,
            interface: interface.to_owned(),
            mode: mode.to_owned(),
            addresses: own.iter().map(text).collect(),
            sources: sources.iter().map(text).collect(),
            mss,
            packets: tables.counts().into_iter().map(|(event, packets)| (event.name(), packets)).collect(),
        }
    }

    /// One sentence.
    pub(super) fn sentence(&self) -> String {
        let Self { interface, mode, .. } = self;
        let addresses = list(&self.addresses, "no address yet");
        format!("interface {interface}: packets of tunnels to {addresses} are taken out of them (XDP {mode})")
    }

    /// Whether anybody may send into a tunnel.
    pub(super) fn is_open(&self) -> bool {
        self.sources.is_empty()
    }

    pub(super) fn tables(&self) -> Vec<Table> {
        let facts = [
            ("interface", self.interface.clone()),
            ("mode", self.mode.clone()),
            ("addresses", list(&self.addresses, "none")),
            ("sources", list(&self.sources, "any")),
            ("mss", self.mss.map_or_else(|| "as it is".to_owned(), |mss| mss.to_string())),
        ];
        vec![Table::facts(facts), self.packets()]
    }

    fn packets(&self) -> Table {
        let mut table =
            Table::new(&[Column::text("EVENT"), Column::number("PACKETS"), Column::text("MEANING")]);
        for event in Event::ALL {
            let packets = self.packets.get(event.name()).copied().unwrap_or_default();
            let lost = *event != Event::Unwrapped && packets > 0;
            let tone = if lost { Tone::Warn } else { Tone::Plain };
            table.row([event.name().into(), Value::toned(packets, tone), event.text().into()]);
        }
        table
    }
}

fn list(items: &[String], none: &str) -> String {
    if items.is_empty() { none.to_owned() } else { items.join(", ") }
}

/// An address, with its length where it is not whole.
fn text(prefix: &Prefix) -> String {
    let (address, bits) = prefix.network();
    match IpNet::new(address, bits) {
        Ok(net) if net.prefix_len() < net.max_prefix_len() => net.to_string(),
        _ => address.to_string(),
    }
}
