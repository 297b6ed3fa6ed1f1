//! What may happen, and what must be true right after it.

use std::net::IpAddr;

use anyhow::{Context as _, Result};
use futures_util::{StreamExt as _, stream};
use lab::topology::Host;
use rand::{RngExt as _, seq::SliceRandom as _};

use crate::{
    clients::{self, Client},
    mortal::Mortal,
    world::{GUEST, PATIENCE, State, World},
};

/// An operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Clients come that were never there.
    Open,
    /// Clients come back.
    Return,
    /// Sessions end in order.
    Close,
    /// Clients end their side before the last answer has come.
    HalfClose,
    /// Clients reset their sessions.
    Reset,
    /// A program with clients starts.
    StartClients,
    /// A program with clients is killed.
    KillClients,
    /// The link of a client host is down for a moment.
    Blink,
    /// The link of a backend goes down.
    Cut,
    /// It comes back.
    Restore,
    /// A backend is drained.
    Drain,
    /// A drained backend is made ready.
    Ready,
    /// A backend is added.
    Add,
    /// The added backend is deleted.
    Delete,
    /// The added backend is deleted at once.
    DeleteNow,
    /// The agent ends in order, and starts.
    Restart,
    /// The agent is killed, clients come, and it starts.
    Kill,
}

/// Each with its weight.
const ALL: [(u32, Operation); 17] = [
    (6, Operation::Open),
    (6, Operation::Return),
    (4, Operation::Close),
    (4, Operation::HalfClose),
    (4, Operation::Reset),
    (2, Operation::StartClients),
    (2, Operation::KillClients),
    (2, Operation::Blink),
    (2, Operation::Cut),
    (3, Operation::Restore),
    (3, Operation::Drain),
    (4, Operation::Ready),
    (2, Operation::Add),
    (2, Operation::Delete),
    (1, Operation::DeleteNow),
    (1, Operation::Restart),
    (1, Operation::Kill),
];

/// Backends that stay ready, whatever happens to the others.
const STEADY: usize = 2;
/// Sessions beyond which nobody more is let in.
const FULL: usize = 900;
/// Guests of a reunion at most.
const GUESTS: usize = 300;
/// Programs with clients at once.
const MORTALS: usize = 3;

impl World {
    /// Whether an operation makes sense now.
    fn can(&self, operation: Operation) -> bool {
        let has = |state| !self.in_state(state).is_empty();
        let spare = self.in_state(State::Ready).len() > STEADY;
        match operation {
            Operation::Open | Operation::Kill => self.sessions.len() < FULL,
            Operation::Return => self.sessions.len() < FULL && !self.absent().is_empty(),
            Operation::Close | Operation::HalfClose | Operation::Reset => self.sessions.len() > 60,
            Operation::StartClients => self.mortals.len() < MORTALS,
            Operation::KillClients => !self.mortals.is_empty(),
            Operation::Blink | Operation::Restart => true,
            Operation::Cut => spare && !has(State::Cut),
            Operation::Restore => has(State::Cut),
            Operation::Drain => spare && !has(State::Drained),
            Operation::Ready => has(State::Drained),
            Operation::Add => self.states[&GUEST] == State::Absent,
            Operation::Delete => spare && self.states[&GUEST] == State::Ready,
            Operation::DeleteNow => match self.states[&GUEST] {
                State::Ready => spare,
                state => state == State::Leaving,
            },
        }
    }

    /// The next operation.
    pub(crate) fn choose(&mut self) -> Operation {
        let possible: Vec<_> = ALL.into_iter().filter(|(_, one)| self.can(*one)).collect();
        let total: u32 = possible.iter().map(|(weight, _)| weight).sum();
        let mut ticket = self.random.random_range(0..total);
        for (weight, operation) in possible {
            if ticket < weight {
                return operation;
            }
            ticket -= weight;
        }
        unreachable!("the ticket is below the sum of the weights")
    }

    /// Does it, and checks what it may and may not do.
    pub(crate) async fn run(&mut self, operation: Operation) -> Result<()> {
        let before = self.sessions.len();
        let done = self.attempt(operation).await;
        let told = format!("{operation:?}: {before} → {} sessions, {:?}", self.sessions.len(), self.states);
        self.story.push(told);
        done.with_context(|| format!("{operation:?}"))
    }

    async fn attempt(&mut self, operation: Operation) -> Result<()> {
        match operation {
            Operation::Open => {
                let count = self.random.random_range(20..120);
                self.come(count).await
            }
            Operation::Return => self.come_back().await,
            Operation::Close => {
                let some = self.some();
                clients::close_all(some).await;
                Ok(())
            }
            Operation::HalfClose => {
                let ending = self.some().into_iter().map(|client| client.half_close(PATIENCE));
                let ended: Vec<_> = stream::iter(ending).buffer_unordered(40).collect().await;
                ended.into_iter().collect()
            }
            Operation::Reset => self.some().into_iter().try_for_each(Client::reset),
            Operation::StartClients => self.start_clients().await,
            Operation::KillClients => {
                let place = self.random.random_range(0..self.mortals.len());
                self.mortals.swap_remove(place).kill().await
            }
            Operation::Blink => self.blink().await,
            Operation::Cut => self.cut().await,
            Operation::Restore => self.restore().await,
            Operation::Drain => self.verb("drain", State::Ready, State::Drained).await,
            Operation::Ready => self.verb("ready", State::Drained, State::Ready).await,
            Operation::Add => self.add().await,
            Operation::Delete => self.delete().await,
            Operation::DeleteNow => self.delete_now().await,
            Operation::Restart => self.restart().await,
            Operation::Kill => self.kill().await,
        }
    }

    /// Some sessions, which are no longer in the books.
    fn some(&mut self) -> Vec<Client> {
        let count = self.random.random_range(5..50);
        self.take(count)
    }

    /// So many clients come that were never there.
    pub(crate) async fn come(&mut self, count: u32) -> Result<()> {
        let sources = self.newcomers(count);
        self.open(&sources).await
    }

    async fn come_back(&mut self) -> Result<()> {
        let mut absent = self.absent();
        absent.shuffle(&mut self.random);
        absent.truncate(self.random.random_range(10..100));
        self.open(&absent).await
    }

    /// Many who have left come for a moment, in whatever state their backends were when they came first: everyone is
    /// served where he belongs.
    pub(crate) async fn reunion(&mut self) -> Result<()> {
        let mut absent = self.absent();
        absent.shuffle(&mut self.random);
        absent.truncate(GUESTS);
        let guests = clients::open_all(self.stand.place(), &absent, PATIENCE).await?;
        for guest in &guests {
            self.placed(guest.source, &guest.backend)?;
        }
        clients::close_all(guests).await;
        Ok(())
    }

    async fn start_clients(&mut self) -> Result<()> {
        let host = self.random.random_range(1..=3);
        // Every third client of either family is of one host.
        let theirs = |source: &IpAddr| clients::host_of(*source) == host;
        let sources: Vec<_> = self.newcomers(120).into_iter().filter(theirs).collect();
        let mortal = Mortal::start(self.stand.place(), Host::Client(host), sources).await?;
        for (source, backend) in mortal.sessions().to_vec() {
            self.placed(source, &backend)?;
        }
        self.mortals.push(mortal);
        Ok(())
    }

    /// A backend in this state, at random, gets into another one by a verb.
    async fn verb(&mut self, verb: &str, from: State, to: State) -> Result<()> {
        let candidates: Vec<_> = self.in_state(from).into_iter().filter(|host| *host != GUEST).collect();
        let backend = self.pick(&candidates)?;
        self.stand.verb(verb, backend, &[]).await?;
        self.states.insert(backend, to);
        self.settled().await
    }
}
