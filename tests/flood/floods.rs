//! The four floods. Each source of one sends from an address of its own, so that every packet wants a new place.

use anyhow::Result;
use lab::topology::{LINES_PORT, UDP_PORT};

use crate::{Test, forge::Kind, generator::Script, labs::block_on, withstand::withstand};

pub(crate) const TESTS: &[Test] = &[
    ("a_flood_of_syns_costs_no_flow_and_no_pin", syn),
    ("a_flood_of_forged_handshakes_costs_no_established_flow_and_no_pin_that_is_there", handshakes),
    ("a_flood_of_forged_acks_of_unknown_connections_costs_no_flow_and_no_pin", acks),
    ("a_flood_of_datagrams_costs_no_flow_and_no_pin", datagrams),
];

fn flood(prefix: &str, name: &str, port: u16, kinds: &[Kind]) -> Result<()> {
    block_on(async { withstand(prefix, name, |place| Script::new(place, port, kinds)).await })
}

fn syn() -> Result<()> {
    flood("bf-syn-", "SYN", LINES_PORT, &[Kind::Syn])
}

/// The answer to a SYN goes past the balancer: that the ACK acknowledges something else than the server said cannot be
/// seen here. What bounds these is that fresh flows may be a quarter of the table.
fn handshakes() -> Result<()> {
    flood("bf-hand-", "SYN and ACK", LINES_PORT, &[Kind::Syn, Kind::Ack])
}

fn acks() -> Result<()> {
    flood("bf-ack-", "ACK", LINES_PORT, &[Kind::Data])
}

/// Three from each source: the third makes a flow.
fn datagrams() -> Result<()> {
    flood("bf-udp-", "UDP", UDP_PORT, &[Kind::Datagram; 3])
}
