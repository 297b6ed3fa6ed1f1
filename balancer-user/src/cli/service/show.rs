//! `balancer service show`.

use clap::Args;

use super::list;
use crate::{
    api::{
        client::Client,
        routes,
        types::{AffinityInfo, CheckVia, HealthInfo, ServiceDetail, ServiceDoc, TimeoutsInfo},
    },
    cli::{
        backend,
        exit::Failure,
        parse::seconds,
        table::{Table, Value},
        ui::Ui,
    },
};

#[derive(Debug, Args)]
pub(in crate::cli) struct ShowArgs {
    /// Name of the service.
    service: String,
}

pub(super) async fn run(args: &ShowArgs, client: &Client, ui: &mut Ui<'_>) -> Result<(), Failure> {
    let document: ServiceDoc = client.get(&routes::path(routes::SERVICE, &[&args.service])).await?;
    let wide = ui.wide();
    Ok(ui.show(&document, || vec![facts(&document.service), backend::table(&document.backends, wide)])?)
}

fn facts(service: &ServiceDetail) -> Table {
    let row = &service.row;
    let bound = service.mss_clamp.map(|mss| ("mss clamp", Value::from(mss)));
    let echo = (service.icmp_echo == "balancer")
        .then(|| ("icmp echo", Value::from("answered while enough are ready")));
    let facts = [
        ("name", Value::from(&row.name)),
        ("listen", row.listen.join(", ").into()),
        ("state", list::state(row.state)),
        (
            "ready",
            format!("{} of {}, at least {}", row.ready_backends, row.backends, service.min_ready).into(),
        ),
        ("flows", row.flows.into()),
        ("pins", service.pins.into()),
        ("mode", mode(service).into()),
        ("balance", format!("{}, {} slots", row.balance, service.maglev_size).into()),
        ("affinity", affinity(&row.affinity).into()),
        ("timeouts", timeouts(&service.timeouts).into()),
        ("health", health(&service.health).into()),
    ];
    Table::facts(facts.into_iter().chain(bound).chain(echo))
}

fn mode(service: &ServiceDetail) -> String {
    match service.source.as_deref() {
        Some(source) => format!("{}, source {source}", service.row.mode),
        None => service.row.mode.clone(),
    }
}

fn affinity(info: &AffinityInfo) -> String {
    let AffinityInfo { by, timeout, v4_prefix, v6_prefix } = info;
    match by.as_str() {
        "client" => format!("client (/{v4_prefix}, /{v6_prefix}), pinned for {}", seconds(*timeout)),
        other => other.to_owned(),
    }
}

fn timeouts(info: &TimeoutsInfo) -> String {
    let TimeoutsInfo { established, closing, syn, udp } = *info;
    let [established, closing, syn, udp] = [established, closing, syn, udp].map(seconds);
    format!("established {established}, closing {closing}, syn {syn}, udp {udp}")
}

fn health(info: &HealthInfo) -> String {
    let HealthInfo { kind, port, path, via, via_configured, interval, timeout, rise, fall } = info;
    if kind == "none" {
        return kind.clone();
    }
    let port = port.map(|port| format!(" port {port}")).unwrap_or_default();
    let path = path.as_ref().map(|path| format!(" {path}")).unwrap_or_default();
    let way = match via {
        Some(CheckVia::Datapath) => " by the datapath",
        Some(CheckVia::Direct) => " directly",
        Some(CheckVia::Both) => " by the datapath or directly",
        None => "",
    };
    format!(
        "{kind}{port}{path}{way} (via {via_configured}) every {interval}s, timeout {timeout}s, rise {rise}, fall {fall}"
    )
}
