//! `/metrics` of a running agent.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use balancer_common::reason::{Fate, Reason};
use lab::{
    fixture::scrape::{Scrape, get, scrape},
    topology::Host,
};
use serde_json::Value;

use crate::{
    Test,
    client::{ask, clients, sessions},
    file::File,
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("every_metric_that_is_promised_is_there", names),
    ("metrics_agree_with_the_command_line_after_traffic", values),
    ("a_refused_reload_and_a_failed_check_show_in_the_metrics", failures),
];

/// The families that dashboards and alert rules may use.
const PROMISED: [&str; 24] = [
    "balancer_backend_flows",
    "balancer_backend_flows_total",
    "balancer_backend_packets_total",
    "balancer_backend_bytes_total",
    "balancer_backend_share",
    "balancer_backend_pins",
    "balancer_backend_up",
    "balancer_backend_state",
    "balancer_backend_weight",
    "balancer_backend_transitions_total",
    "balancer_backend_check_failures_total",
    "balancer_backend_resets_total",
    "balancer_resets_unconfirmed_total",
    "balancer_service_ready_backends",
    "balancer_service_panic",
    "balancer_service_min_ready",
    "balancer_packets_total",
    "balancer_flow_entries",
    "balancer_flow_capacity",
    "balancer_flow_untracked_total",
    "balancer_xdp_mode_info",
    "balancer_maglev_table_info",
    "balancer_config_last_reload_successful",
    "balancer_build_info",
];

fn names() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-metrics-", |place| File::whole(place, 2)).await?;
        ask(stand.place(), clients(1)[0])?;
        let text = get(&stand, "/metrics")?;
        let scrape = scrape(&stand)?;
        let names: BTreeSet<_> = scrape.keys().filter_map(|series| series.split('{').next()).collect();
        for name in PROMISED {
            ensure!(names.contains(name), "there is no {name}");
            let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
            ensure!(text.contains(&format!("# TYPE {name} {kind}\n")), "{name} is no {kind}");
            ensure!(text.contains(&format!("# HELP {name} ")), "{name} is not explained");
        }
        ensure!(get(&stand, "/healthz")?.trim() == "ok", "/healthz");
        ensure!(get(&stand, "/readyz")?.trim() == "ok", "/readyz");
        Ok(())
    })
}

/// Keys of `backend list`, and the families that say the same.
const AGREE: [(&str, &str); 7] = [
    ("flows", "flows"),
    ("flows_total", "flows_total"),
    ("packets", "packets_total"),
    ("bytes", "bytes_total"),
    ("share", "share"),
    ("pins", "pins"),
    ("weight", "weight"),
];

fn values() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-values-", |place| File::whole(place, 3)).await?;
        stand.balancer.run(&["backend", "weight", "web", "backend-3", "50"]).await?;
        let sessions = sessions(stand.place(), clients(9))?;
        for client in clients(24) {
            ask(stand.place(), client)?;
        }
        until("a sweep has counted the pins", async || Ok(sum(&stand, "pins").await? == 24)).await?;
        let (rows, scrape) = (stand.rows("web").await?, scrape(&stand)?);
        for row in &rows {
            agree(row, &scrape)?;
        }
        let packets: f64 = rows.iter().filter_map(|row| row["packets"].as_f64()).sum();
        let forwarded = total(&scrape, is_forwarded);
        ensure!((forwarded - packets).abs() < 0.5, "{forwarded} by reason, {packets} by backend");
        ensure!(sum(&stand, "flows").await? == 9, "{} live flows", sum(&stand, "flows").await?);
        ensure!(sum(&stand, "flows_total").await? == 33, "{} flows", sum(&stand, "flows_total").await?);
        let entries = total(&scrape, |series| series.starts_with("balancer_flow_entries{table=\"pins"));
        ensure!(entries >= 24.0, "{entries} entries of pins");
        drop(sessions);
        Ok(())
    })
}

fn total(scrape: &Scrape, wanted: impl Fn(&str) -> bool) -> f64 {
    scrape.iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
}

async fn sum(stand: &Stand, key: &str) -> Result<u64> {
    Ok(stand.rows("web").await?.iter().filter_map(|row| row[key].as_u64()).sum())
}

fn agree(row: &Value, scrape: &Scrape) -> Result<()> {
    let name = row["name"].as_str().context("no name")?;
    for (key, family) in AGREE {
        let series = format!("balancer_backend_{family}{{service=\"web\",backend=\"{name}\"}}");
        let (shown, scraped) = (row[key].as_f64(), scrape.get(&series).copied());
        let same = shown.zip(scraped).is_some_and(|(a, b)| (a - b).abs() < 1e-6);
        ensure!(same, "{series} is {scraped:?}, {key} is {shown:?}");
    }
    Ok(())
}

/// Whether a series counts packets that went to a backend.
fn is_forwarded(series: &str) -> bool {
    let label = |reason: &Reason| format!("balancer_packets_total{{reason=\"{}\"}}", reason.name());
    Reason::ALL.iter().any(|reason| reason.fate() == Fate::Forwarded && label(reason) == series)
}

fn failures() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-mfail-", |place| File::web(place, 2)).await?;
        let loaded = "balancer_config_last_reload_successful";
        let down = "balancer_backend_state{service=\"web\",backend=\"backend-1\",state=\"down\"}";
        let up = "balancer_backend_up{service=\"web\",backend=\"backend-1\"}";
        let failed = "balancer_backend_check_failures_total{service=\"web\",backend=\"backend-1\"}";
        let before = scrape(&stand)?;
        ensure!(
            (before[loaded], before[up], before[down], before[failed]) == (1.0, 1.0, 0.0, 0.0),
            "{before:?}"
        );
        stand.write(&"broken")?;
        let _refused = stand.balancer.outcome(&["reload"]).await?;
        std::fs::write(stand.place().sick(Host::Backend(1)), "")?;
        stand.becomes("web", "backend-1", "health", "down").await?;
        let now = scrape(&stand)?;
        ensure!((now[loaded], now[up], now[down]) == (0.0, 0.0, 1.0) && now[failed] >= 2.0, "{now:?}");
        Ok(())
    })
}
