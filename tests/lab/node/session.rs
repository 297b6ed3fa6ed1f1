//! One client's session: a numbered message every second, and the books about the answers.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{MissedTickBehavior, interval_at, sleep},
};

use super::{
    ledger::Ledger,
    talk::{self, Failure, Talk},
};
use crate::wire::{Answer, Report};

/// Time between two messages of a session.
pub const EVERY: Duration = Duration::from_secs(1);
/// How long one attempt of [`retry`] may take.
const ATTEMPT: Duration = Duration::from_millis(500);
/// Pause after an attempt of [`retry`] that failed.
const PAUSE: Duration = Duration::from_millis(100);

/// A session with its heartbeat.
#[derive(Debug)]
pub struct Session {
    books: Arc<Mutex<Report>>,
    stop: oneshot::Sender<()>,
    beat: JoinHandle<()>,
}

impl Session {
    /// Begins a session; the first message has been answered when this returns.
    ///
    /// # Errors
    /// What went wrong, or that it took longer than `patience`.
    pub async fn open<T: Talk>(
        source: IpAddr,
        target: SocketAddr,
        patience: Duration,
    ) -> Result<Self, Failure> {
        let begun = Instant::now();
        let (talk, answer) = talk::open::<T>(source, target, patience).await?;
        let mut ledger = Ledger::default();
        ledger.next();
        let report = answered(source, talk.port(), &answer, begun.elapsed());
        ledger.enter(answer)?;
        let books = Arc::new(Mutex::new(report));
        let (stop, stopped) = oneshot::channel();
        let beat = tokio::spawn(beat(talk, ledger, Arc::clone(&books), stopped));
        Ok(Self { books, stop, beat })
    }

    /// How it is.
    #[must_use]
    pub fn report(&self) -> Report {
        lock(&self.books).clone()
    }

    /// Ends it in order.
    pub async fn close(self) {
        let _ = self.stop.send(());
        let _ = self.beat.await;
    }

    /// Drops it where it stands.
    pub fn abandon(self) {
        self.beat.abort();
    }
}

/// What a new connection says when it got its first answer.
#[must_use]
pub fn answered(source: IpAddr, port: u16, answer: &Answer, took: Duration) -> Report {
    Report {
        source,
        backend: Some(answer.backend.clone()),
        port,
        answered: 1,
        millis: millis(took),
        lost: None,
    }
}

/// What a new connection says when it got none.
#[must_use]
pub fn failed(source: IpAddr, failure: &Failure, took: Duration) -> Report {
    Report {
        source,
        backend: None,
        port: 0,
        answered: 0,
        millis: millis(took),
        lost: Some(failure.to_string()),
    }
}

/// Tries new connections until one answers, and goes on with it as a session.
///
/// # Errors
/// With the last failure, when none answers for `patience`.
pub async fn retry<T: Talk>(
    source: IpAddr,
    target: SocketAddr,
    patience: Duration,
) -> Result<Session, Failure> {
    let deadline = Instant::now() + patience;
    loop {
        match Session::open::<T>(source, target, ATTEMPT).await {
            Err(_) if Instant::now() < deadline => sleep(PAUSE).await,
            outcome => return outcome,
        }
    }
}

async fn beat<T: Talk>(
    mut talk: T,
    mut ledger: Ledger,
    books: Arc<Mutex<Report>>,
    mut stop: oneshot::Receiver<()>,
) {
    // Not all clients of a host at the same moment.
    let first = tokio::time::Instant::now() + EVERY.mul_f64(rand::random_range(0.5..1.0));
    let mut ticks = interval_at(first, EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stop => break talk::close(talk).await,
            _ = ticks.tick() => {}
        }
        let begun = Instant::now();
        let outcome = exchange(&mut talk, &mut ledger).await;
        let mut report = lock(&books);
        report.millis = report.millis.max(millis(begun.elapsed()));
        match outcome {
            Ok(()) => report.answered = ledger.sent(),
            Err(failure) => break report.lost = Some(failure.to_string()),
        }
    }
}

async fn exchange<T: Talk>(talk: &mut T, ledger: &mut Ledger) -> Result<(), Failure> {
    let n = ledger.next();
    Ok(ledger.enter(talk::exchange(talk, n).await?)?)
}

fn lock(books: &Mutex<Report>) -> MutexGuard<'_, Report> {
    books.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
