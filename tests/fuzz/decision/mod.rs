//! Any bytes as what happens to a balancer in one of its modes: packets of clients, answers of backends, errors about both,
//! time, an agent that sweeps and changes its mind.

mod changes;
mod frames;
mod modes;
mod owners;
mod places;
mod rules;
mod sent;

use std::{collections::VecDeque, sync::Arc};

use balancer_common::{
    reason,
    serve::Serving,
    table::line::HostLine,
    walk::family::{Embryonic4, Embryonic6, Flows4, Flows6, Pins4, Pins6, V4, V6},
};

use self::{
    frames::Connection,
    modes::{Reach, Setup},
    owners::Owner,
    rules::Before,
    sent::Scene,
};
use crate::{
    audit, hold,
    reading::fate::counted,
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

/// Bit of a move that makes another one of it: a packet is an answer, and it is the ways that the agent changes.
const OTHERWISE: u8 = 0x40;

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
    setup: Setup,
    backends: u16,
    last: Vec<u8>,
    /// Whose the ports were after the last move.
    owners: Vec<Owner>,
    /// Frames that were sent on, the latest first.
    heard: VecDeque<Vec<u8>>,
}

/// Frames that are kept to be answered.
const HEARD: usize = 16;

impl Stage {
    fn new(kind: u8) -> Self {
        let size = if kind & 1 == 0 { sizes(2, 1, 1) } else { sizes(4, 2, 2) };
        let backends = if kind & 2 == 0 { 2 } else { 3 };
        let bound = if kind & 4 == 0 { 1000 } else { 2 };
        let setup = Setup::of(kind, backends);
        let shape = Shape { flows: size, pins: size, backends, bound, entries: setup.entries() };
        let world = Arc::new(World::new(shape));
        let (cpu, agent) = (Cpu::new(&world), Cpu::lagging(&world, 1));
        setup.ready(&world, &cpu);
        let heard = VecDeque::with_capacity(HEARD);
        Self { world, cpu, agent, setup, backends, last: Vec::new(), owners: Vec::new(), heard }
    }

    /// One move of the script.
    fn act(&mut self, what: u8, script: &mut Script<'_>) {
        match what & 7 {
            0..=2 => {
                let connection = self.connection(what, script);
                self.send(connection.segment(script.next(), script.next()));
            }
            3 => self.send(self.connection(what, script).datagram()),
            4 => self.send(self.connection(what, script).error(script.next())),
            5 => self.bend(script),
            6 => {
                let jiffies = u64::from(script.next());
                self.world.pass(if what & 8 == 0 { jiffies } else { jiffies * FLOW_TICK });
            }
            _ if what & OTHERWISE != 0 => {
                let how = script.next();
                self.setup.disturb(&self.world, u16::from(how >> 2) % self.backends + 1, how);
                self.owners = self.look();
            }
            _ => {
                self.manage(what >> 3, script.next());
                self.owners = self.look();
            }
        }
        self.count();
    }

    /// Whose the ports are now.
    fn look(&self) -> Vec<Owner> {
        match self.setup.reach {
            Reach::Translated(_) => hold(owners::all(&self.cpu)),
            Reach::Macs | Reach::Tunnel(_) => Vec::new(),
        }
    }

    /// A client's, or that of who answers a frame that was sent on.
    fn connection(&self, what: u8, script: &mut Script<'_>) -> Connection {
        let number = script.next();
        let answered = || Connection::answering(self.heard.get(usize::from(number) % HEARD)?);
        let answering = if what & OTHERWISE == 0 { None } else { answered() };
        answering.unwrap_or_else(|| Connection::numbered(number))
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
        let fate = hold(counted(&self.cpu, &frame));
        let owners = [std::mem::take(&mut self.owners), self.look()];
        let scene =
            Scene { cpu: &self.cpu, setup: &self.setup, backends: self.backends, owners, frame: &frame };
        let backend = hold(scene.judge(&fate).map_err(|broken| format!("{:?}: {broken}", fate.reason)));
        hold(before.judge(&self.cpu, fate.reason, backend));
        [_, self.owners] = scene.owners;
        if fate.reason.is_some_and(|it| it.fate() == reason::Fate::Forwarded) {
            self.heard.truncate(HEARD - 1);
            self.heard.push_front(fate.frame);
        }
        self.last = frame;
    }

    /// Counters, gauges and pins against the entries, one by one.
    fn count(&self) {
        let counts = Counts::default();
        counts.add(self.cpu.counts());
        counts.add(self.agent.counts());
        audit::check(&self.world, &counts);
    }

    /// The same, and the ports against those who have them.
    fn check(&self) {
        self.count();
        hold(owners::ports_add_up(&self.agent, &self.setup));
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
            audit::entries::<Embryonic4, _>(&self.world).len(),
            audit::entries::<Embryonic6, _>(&self.world).len(),
            audit::entries::<Pins4, _>(&self.world).len(),
            audit::entries::<Pins6, _>(&self.world).len(),
        ];
        assert_eq!(
            left, [0; 6],
            "flows, embryonic ones and pins of both families are left when all has run out"
        );
    }
}

/// The input is a world and a script: packets of few clients, bent ones, time, sweeps, backends that come and go. Each
/// packet has one fate, and leaves as its backend's mode wants it; a tracked connection stays where it is; a pin is obeyed; an
/// answer goes to the client whose port it is; what was counted is what stands in the tables, and is found there, once; and
/// when all is silent nothing is left.
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
