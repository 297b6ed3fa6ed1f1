//! Any bytes as what happens to a balancer: packets, time, an agent that sweeps and changes its mind.

mod frames;
mod rules;

use std::sync::Arc;

use balancer_common::{
    reason::Fate,
    serve::Serving,
    table::line::HostLine,
    walk::{
        decision::Verdict,
        family::{Flows4, Flows6, Pins4, Pins6, V4, V6},
    },
};

use self::{
    frames::Connection,
    rules::{Before, to_whom},
};
use crate::{
    audit, hold,
    reading::fate::walked,
    sweeper,
    world::{AFFINITY, Counts, Cpu, FLOW_TICK, Shape, World, sizes},
};

/// What a backend may do: each as `serve::serving` says it of some state.
const SERVING: [u8; 8] = [
    Serving::FLOWS | Serving::PINNED | Serving::NEW,
    Serving::FLOWS | Serving::PINNED,
    Serving::FLOWS | Serving::KEEPS_PINS,
    Serving::FLOWS,
    0,
    Serving::FLOWS | Serving::PINNED | Serving::NEW,
    Serving::RESETS,
    Serving::RESETS,
];

/// Bytes of a script that have not been read yet.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// As [`Script::byte`]; a script that has ended goes on with zeros.
    fn next(&mut self) -> u8 {
        self.byte().unwrap_or(0)
    }
}

/// Who acts: the CPU that sees packets, and an agent whose clock is a jiffy late. The script's packets and moves.
struct Stage {
    world: Arc<World<HostLine>>,
    cpu: Cpu<HostLine>,
    agent: Cpu<HostLine>,
    backends: u16,
    last: Vec<u8>,
}

impl Stage {
    fn new(kind: u8) -> Self {
        let size = if kind & 1 == 0 { sizes(2, 1, 1) } else { sizes(4, 2, 2) };
        let backends = if kind & 2 == 0 { 2 } else { 3 };
        let bound = if kind & 4 == 0 { 1000 } else { 2 };
        let world = Arc::new(World::new(Shape { flows: size, pins: size, backends, bound }));
        let (cpu, agent) = (Cpu::new(&world), Cpu::lagging(&world, 1));
        Self { world, cpu, agent, backends, last: Vec::new() }
    }

    /// One move of the script.
    fn act(&mut self, what: u8, script: &mut Script<'_>) {
        match what & 7 {
            0..=2 => {
                let connection = Connection::numbered(script.next());
                self.send(connection.segment(script.next(), script.next()));
            }
            3 => self.send(Connection::numbered(script.next()).datagram()),
            4 => self.send(Connection::numbered(script.next()).error(script.next())),
            5 => self.bend(script),
            6 => {
                let jiffies = u64::from(script.next());
                self.world.pass(if what & 8 == 0 { jiffies } else { jiffies * FLOW_TICK });
            }
            _ => self.manage(what >> 3, script.next()),
        }
    }

    /// The last frame once more, with a byte changed and perhaps cut off.
    fn bend(&mut self, script: &mut Script<'_>) {
        let (at, byte, cut) = (script.next(), script.next(), script.next());
        let mut frame = self.last.clone();
        if let Some(place) = frame.get_mut(usize::from(at)) {
            *place = byte;
        }
        frame.truncate(if cut == 0 { usize::MAX } else { usize::from(cut) });
        self.send(frame);
    }

    /// What an agent does.
    fn manage(&self, what: u8, how: u8) {
        let number = u16::from(how) % self.backends + 1;
        match what & 3 {
            0 | 1 => {
                sweeper::sweep::<V4, _>(&self.agent);
                sweeper::sweep::<V6, _>(&self.agent);
                self.check();
            }
            2 => self.world.serve(number, SERVING[usize::from(how >> 2) % SERVING.len()]),
            _ => {
                let chosen = (1..=self.backends).filter(|one| how >> one & 1 == 0).collect::<Vec<_>>();
                self.world.choose_among(if chosen.is_empty() { &[1] } else { &chosen });
            }
        }
    }

    fn send(&mut self, frame: Vec<u8>) {
        let before = Before::of(&self.cpu, &frame);
        let fate = hold(walked(&self.cpu, &frame));
        let backend = match fate.verdict {
            Verdict::PASS | Verdict::DROP => None,
            // That it is a RST was looked at.
            Verdict::TX if fate.reason.is_some_and(|it| it.fate() == Fate::Answered) => None,
            Verdict::TX => Some(hold(to_whom(&fate.frame, self.backends))),
            other => panic!("sent out of interface {}: all is behind one", other.index()),
        };
        hold(before.judge(&self.cpu, fate.reason, backend));
        self.last = frame;
    }

    /// Counters, gauges and pins against the entries, one by one.
    fn check(&self) {
        let counts = Counts::default();
        counts.add(self.cpu.counts());
        counts.add(self.agent.counts());
        audit::check(&self.world, &counts);
    }

    /// Nobody sends any more: in the end nothing is left.
    fn runs_out(&self) {
        for _ in 0..2 {
            self.world.pass(64 * FLOW_TICK + u64::from(AFFINITY));
            self.manage(0, 0);
        }
        let left = [
            audit::entries::<Flows4, _>(&self.world).len(),
            audit::entries::<Flows6, _>(&self.world).len(),
            audit::entries::<Pins4, _>(&self.world).len(),
            audit::entries::<Pins6, _>(&self.world).len(),
        ];
        assert_eq!(left, [0; 4], "flows and pins of both families are left when all has run out");
    }
}

/// The input is a world and a script: packets of few clients, bent ones, time, sweeps, backends that come and go. Each
/// packet has one fate; a tracked connection stays where it is; a pin is obeyed; what was counted is what stands in the
/// tables, and is found there, once; and when all is silent nothing is left.
///
/// # Panics
/// If that does not hold.
pub fn decision(input: &[u8]) {
    let mut script = Script(input);
    let mut stage = Stage::new(script.next());
    while let Some(what) = script.byte() {
        stage.act(what, &mut script);
    }
    stage.check();
    stage.runs_out();
}
