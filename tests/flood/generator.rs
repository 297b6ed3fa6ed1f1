//! A thread that floods: from one client host, straight onto its link, as fast as the machine goes.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use lab::{
    netns::Netns,
    network::{INTERFACE, hardware_address},
    packets::{BATCH, Batch, Injector},
    paths::Place,
    topology::Host,
};

use crate::forge::{Kind, Link, Template};

/// The host that floods come from: no real client is on it.
pub(crate) const FLOODER: Host = Host::Client(4);

/// What a source sends: these packets, one right behind the other, in v4 and in v6.
pub(crate) struct Script {
    families: [Vec<Template>; 2],
}

impl Script {
    /// To this port of the service addresses of a lab.
    pub(crate) fn new(place: &Place, port: u16, kinds: &[Kind]) -> Result<Self> {
        let of = |host| mac(&hardware_address(place, host)?);
        let link = Link { from: of(FLOODER)?, to: of(Host::Balancer)? };
        let family = |v4| kinds.iter().map(|kind| Template::new(link, v4, port, *kind)).collect();
        Ok(Self { families: [family(true), family(false)] })
    }

    /// Frames of a source, both families together.
    fn frames(&self) -> usize {
        self.families.iter().map(Vec::len).sum()
    }

    /// Sends all of the sources `from..to`; how many frames the link took.
    pub(crate) fn send(&self, injector: &Injector, from: u32, to: u32) -> Result<u64> {
        let mut batch = Batch::default();
        let mut sent = 0;
        for number in from..to {
            for template in self.families.iter().flatten() {
                template.address(batch.add(template.frame()), number);
            }
            if batch.len() + self.frames() > BATCH {
                sent += injector.send(&mut batch)?;
                batch.clear();
            }
        }
        Ok(sent + injector.send(&mut batch)?)
    }
}

/// A flood under way.
pub(crate) struct Flood {
    /// Sources so far, of each family.
    sources: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<u64>>>,
    begun: Instant,
}

/// How it went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flooded {
    /// Sources of each family.
    pub(crate) sources: u64,
    /// Frames that the link took.
    pub(crate) frames: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

/// Sources between two looks at whether to stop.
const STRIDE: u32 = 128;

impl Flood {
    /// Begins, from a host with this namespace.
    pub(crate) fn start(netns: Netns, script: Script) -> Self {
        let (sources, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&sources), Arc::clone(&stop));
        let thread = thread::spawn(move || netns.inside(|| run(&script, &count, &stopped)));
        Self { sources, stop, thread: Some(thread), begun: Instant::now() }
    }

    /// Sources so far, of each family.
    pub(crate) fn sources(&self) -> u64 {
        self.sources.load(Ordering::Relaxed)
    }

    /// Whether it has ended by itself, which only an error does.
    pub(crate) fn broken(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Ends it.
    pub(crate) fn stop(mut self) -> Result<Flooded> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("it has ended before")?;
        let frames = thread.join().map_err(|_| anyhow!("the flood has panicked"))??;
        let sources = self.sources.load(Ordering::Relaxed);
        Ok(Flooded { sources, frames, took: self.begun.elapsed() })
    }
}

impl Drop for Flood {
    /// A test that fails meanwhile leaves no flood behind.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

fn run(script: &Script, sources: &AtomicU64, stop: &AtomicBool) -> Result<u64> {
    let injector = Injector::open(INTERFACE)?;
    let (mut frames, mut number) = (0, 0);
    while !stop.load(Ordering::Relaxed) {
        frames += script.send(&injector, number, number + STRIDE)?;
        number += STRIDE;
        sources.store(u64::from(number), Ordering::Relaxed);
    }
    Ok(frames)
}

fn mac(text: &str) -> Result<[u8; 6]> {
    let bytes: Vec<u8> = text.split(':').filter_map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    bytes.try_into().map_err(|_| anyhow!("{text:?} is no hardware address"))
}
