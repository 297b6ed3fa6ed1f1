//! `[[service]]` with its affinity and timeouts.

use std::{ops::Range, time::Duration};

use super::{
    backend, health,
    listen::listen,
    model::{
        Affinity, AffinityBy, Drain, DrainEnd, IcmpEcho, Listen, Mode, OnDown, OnExpire, OnNone, Service,
        Source, Timeouts,
    },
    place::Placed,
    problem::Fault,
    table::Table,
};

/// A name has this many bytes at most.
const NAME_MAX: usize = 63;

/// A service as far as it could be read.
pub(super) struct Draft {
    pub(super) at: Range<usize>,
    pub(super) name: Option<Placed<String>>,
    pub(super) listen: Vec<Placed<Listen>>,
    pub(super) mode: Option<Placed<Mode>>,
    pub(super) source: Option<Placed<Source>>,
    pub(super) icmp_echo: Option<Placed<IcmpEcho>>,
    pub(super) maglev_size: Option<Placed<u32>>,
    pub(super) heartbeat: Option<Placed<Duration>>,
    pub(super) min_ready: Option<Placed<u32>>,
    pub(super) timeouts: Option<PlacedTimeouts>,
    pub(super) health: Option<health::Draft>,
    pub(super) backends: Vec<backend::Draft>,
    /// `None` when something of it was refused.
    pub(super) service: Option<Service>,
}

/// The timeouts with their places.
pub(super) struct PlacedTimeouts {
    pub(super) established: Option<Placed<Duration>>,
    closing: Option<Placed<Duration>>,
    pub(super) syn: Option<Placed<Duration>>,
    pub(super) udp: Option<Placed<Duration>>,
}

impl Source {
    /// Every source.
    pub const ALL: [Self; 2] = [Self::Pool, Self::Keep];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pool => "pool",
            Self::Keep => "keep",
        }
    }
}

impl IcmpEcho {
    /// Everybody who may answer.
    pub const ALL: [Self; 2] = [Self::Host, Self::Balancer];

    /// Its word in the configuration.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Balancer => "balancer",
        }
    }
}

/// Reads one `[[service]]`.
pub(super) fn read(table: &Table<'_>) -> Draft {
    let mut draft = Draft {
        at: table.at().clone(),
        name: table.text("name", name),
        listen: table.texts("listen", listen).unwrap_or_default(),
        mode: table.word("mode", Mode::from_word),
        source: table.word("source", |word| Source::ALL.into_iter().find(|source| source.word() == word)),
        icmp_echo: table.word("icmp_echo", |word| IcmpEcho::ALL.into_iter().find(|it| it.word() == word)),
        maglev_size: table.number("maglev_size"),
        heartbeat: table.duration("heartbeat"),
        min_ready: table.number("min_ready"),
        timeouts: table.table("timeouts").map(|table| timeouts(&table)),
        health: table.table("health").map(|table| health::read(&table)),
        backends: table.tables("backend").iter().map(backend::read).collect(),
        service: None,
    };
    draft.service = whole(table, &draft);
    draft
}

fn whole(table: &Table<'_>, draft: &Draft) -> Option<Service> {
    // These have one word each so far, so that reading them is all.
    table.word("vip", |word| (word == "manual").then_some(()));
    table.word("balance", |word| (word == "maglev").then_some(()));
    if let Some(mode) = &draft.mode {
        table.check_only("mode", mode.value.word());
    }
    let mss_clamp = table.number("mss_clamp").map(|mss| mss.value);
    let on_down = table.word("on_down", OnDown::from_word);
    let on_expire = table.word("on_expire", OnExpire::from_word);
    let on_none = table.word("on_none", OnNone::from_word);
    let reset_rate = table.number("reset_rate");
    let panic_below = table.share("panic_below");
    let drain = table.table("drain").and_then(|table| drain(&table));
    let affinity = table.table("affinity").and_then(|table| affinity(&table));
    let timeouts = draft.timeouts.as_ref()?;
    Some(Service {
        name: draft.name.as_ref()?.value.clone(),
        listen: draft.listen.iter().map(|listen| listen.value).collect(),
        mode: draft.mode.as_ref()?.value,
        source: draft.source.as_ref()?.value,
        mss_clamp,
        icmp_echo: draft.icmp_echo.as_ref()?.value,
        maglev_size: draft.maglev_size.as_ref()?.value,
        affinity: affinity?,
        timeouts: Timeouts {
            established: timeouts.established.as_ref()?.value,
            closing: timeouts.closing.as_ref()?.value,
            syn: timeouts.syn.as_ref()?.value,
            udp: timeouts.udp.as_ref()?.value,
        },
        heartbeat: draft.heartbeat.as_ref().map(|heartbeat| heartbeat.value),
        min_ready: draft.min_ready.as_ref()?.value,
        on_down: on_down?.value,
        reset_rate: reset_rate?.value,
        on_expire: on_expire?.value,
        on_none: on_none?.value,
        panic_below: panic_below?.value,
        drain: drain?,
        health: draft.health.as_ref()?.check.clone()?,
        backends: draft.backends.iter().map(|draft| draft.backend.clone()).collect::<Option<_>>()?,
    })
}

fn affinity(table: &Table<'_>) -> Option<Affinity> {
    let by = table.word("by", AffinityBy::from_word);
    let timeout = table.duration("timeout");
    let v4_prefix = table.number("v4_prefix");
    let v6_prefix = table.number("v6_prefix");
    Some(Affinity {
        by: by?.value,
        timeout: timeout?.value,
        v4_prefix: v4_prefix?.value,
        v6_prefix: v6_prefix?.value,
    })
}

fn drain(table: &Table<'_>) -> Option<Drain> {
    let deadline = table.duration("deadline");
    let end = table.word("end", DrainEnd::from_word);
    Some(Drain { deadline: deadline?.value, end: end?.value })
}

fn timeouts(table: &Table<'_>) -> PlacedTimeouts {
    PlacedTimeouts {
        established: table.duration("established"),
        closing: table.duration("closing"),
        syn: table.duration("syn"),
        udp: table.duration("udp"),
    }
}

/// A name is an argument of the command line, a label of the metrics and a part of paths: no odd characters.
pub(super) fn name(text: &str) -> Result<String, Fault> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
    let begins_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !begins_well || text.len() > NAME_MAX || !text.bytes().all(plain) {
        let remedy =
            format!("use at most {NAME_MAX} of a-z, A-Z, 0-9, - . _ and begin with a letter or digit");
        return Err(Fault::new(format!("{text:?} is no name"), remedy));
    }
    Ok(text.to_owned())
}
