//! `[service.health]`.

use super::{
    model::{HealthCheck, HealthKind, Via},
    place::Placed,
    problem::Fault,
    table::Table,
};

/// A health check as far as it could be read.
pub(super) struct Draft {
    pub(super) kind: Option<Placed<&'static str>>,
    pub(super) port: Option<u16>,
    pub(super) via: Option<Placed<Via>>,
    /// `None` when something of it was refused.
    pub(super) check: Option<HealthCheck>,
}

impl Via {
    /// Every way.
    pub const ALL: [Self; 3] = [Self::Auto, Self::Datapath, Self::Direct];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Direct => "direct",
            Self::Datapath => "datapath",
        }
    }
}

/// Reads `[service.health]`.
pub(super) fn read(table: &Table<'_>) -> Draft {
    let kind = table.word("kind", |word| ["none", "tcp", "http"].into_iter().find(|kind| *kind == word));
    if let Some(kind) = &kind {
        table.check_only("kind", kind.value);
    }
    let port = table.number("port").map(|port| port.value);
    let via = table.word("via", |word| Via::ALL.into_iter().find(|via| via.word() == word));
    if let (Some(kind), Some(via)) = (&kind, &via) {
        refuse_way_of_nothing(kind, via, table);
    }
    let check = check(table, kind.as_ref().map(|kind| kind.value), port, via.as_ref().map(|via| via.value));
    Draft { kind, port, via, check }
}

fn refuse_way_of_nothing(kind: &Placed<&str>, via: &Placed<Via>, table: &Table<'_>) {
    if kind.value == "none" && via.value == Via::Datapath {
        let message = "kind \"none\" asks nothing, and so not by the datapath either";
        table.report.error(&via.at, message, "take via out, or set kind to \"tcp\" or \"http\"");
    }
}

fn check(table: &Table<'_>, kind: Option<&str>, port: Option<u16>, via: Option<Via>) -> Option<HealthCheck> {
    let asked = asked(table, kind);
    let interval = table.duration("interval");
    let timeout = table.duration("timeout");
    let rise = table.number("rise");
    let fall = table.number("fall");
    if let (Some(interval), Some(timeout)) = (&interval, &timeout)
        && timeout.value > interval.value
    {
        let [long, short] = [timeout.value, interval.value].map(humantime::format_duration);
        let message = format!("a check's timeout of {long} is longer than its interval of {short}");
        table.report.error(timeout.blame(interval), message, "raise interval or lower timeout");
    }
    Some(HealthCheck {
        kind: asked?,
        port,
        via: via?,
        interval: interval?.value,
        timeout: timeout?.value,
        rise: rise?.value,
        fall: fall?.value,
    })
}

fn asked(table: &Table<'_>, kind: Option<&str>) -> Option<HealthKind> {
    let host = table.text("host", host).map(|host| host.value);
    let path = table.text("path", path).map(|path| path.value);
    let expect = table.numbers("expect");
    let drain_on = table.numbers("drain_on");
    if let (Some(expect), Some(drain_on)) = (&expect, &drain_on) {
        no_status_twice(table, expect, drain_on);
    }
    match kind? {
        "none" => Some(HealthKind::None),
        "tcp" => Some(HealthKind::Tcp),
        _ => {
            Some(HealthKind::Http { host, path: path?, expect: values(expect?), drain_on: values(drain_on?) })
        }
    }
}

fn values(statuses: Vec<Placed<u16>>) -> Vec<u16> {
    statuses.into_iter().map(|status| status.value).collect()
}

/// An answer cannot mean both that all is well and that the backend wants to be drained.
fn no_status_twice(table: &Table<'_>, expect: &[Placed<u16>], drain_on: &[Placed<u16>]) {
    for asks in drain_on {
        if expect.iter().any(|good| good.value == asks.value) {
            let message = format!("status {} is in drain_on and in expect", asks.value);
            table.report.error(&asks.at, message, "take it out of one of them");
        }
    }
}

fn host(text: &str) -> Result<String, Fault> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b)) {
        return Err(Fault::new(format!("host {text:?} is no host name"), "write it like \"app.example\""));
    }
    Ok(text.to_owned())
}

fn path(text: &str) -> Result<String, Fault> {
    if !text.starts_with('/') || !text.bytes().all(|b| b.is_ascii_graphic()) {
        let remedy = "let it begin with / and percent-encode what is not visible ASCII";
        return Err(Fault::new(format!("path {text:?} is no path of a request"), remedy));
    }
    Ok(text.to_owned())
}
