//! Silent clients of flows that are reset: the tables, the queue, and what is to be sent.

use std::time::{Duration, Instant};

use super::{Control, Member};
use crate::{
    control::{
        causes::{Cause, Causes},
        reconcile::Step,
        resets::{Act, Job},
    },
    dataplane::{Ends, Turn},
};

/// Flows that are looked after in one go, so that nothing else waits for long.
const BATCH: usize = 256;

/// What is to be sent to a client in the name of its service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// A RST at the client's last acknowledgement.
    Reset(Ends),
    /// An empty segment one before it.
    Probe(Ends),
}

impl Control {
    /// When a flow has to be looked after; `None`: there is none.
    #[must_use]
    pub fn next_reset(&self) -> Option<Instant> {
        self.resets.next()
    }

    /// Whether flows are to be reset that no sweep has found yet.
    #[must_use]
    pub fn wants_sweep(&self) -> bool {
        self.unswept
    }

    /// Does what is due, and says what is to be sent.
    pub fn reset(&mut self, now: Instant) -> Vec<Word> {
        let mut words = Vec::new();
        for _ in 0..BATCH {
            let Some(job) = self.resets.pop(now) else { break };
            words.extend(self.look_after_flow(job, now));
        }
        words
    }

    fn look_after_flow(&mut self, job: Job, now: Instant) -> Option<Word> {
        let turn = match job.act {
            Act::Reset => self.tables.reset(job.flow),
            Act::Probe | Act::GiveUp => self.tables.unconfirmed(job.flow).map_or(Turn::Over, Turn::Reset),
        };
        match (turn, job.act) {
            (Turn::Over, _) => self.resets.over(job),
            (Turn::Later(jiffies), _) => self.resets.later(job, now + self.jiffies(jiffies)),
            (Turn::Reset(ends), Act::Reset) => {
                self.resets.done(job, now);
                return Some(Word::Reset(ends));
            }
            (Turn::Reset(ends), Act::Probe) => {
                self.resets.done(job, now);
                return Some(Word::Probe(ends));
            }
            (Turn::Reset(_), Act::GiveUp) => {
                if self.tables.give_up(job.flow) {
                    self.unconfirmed += 1;
                }
                self.resets.over(job);
            }
        }
        None
    }

    /// Tells of backends whose flows are reset from now on, and has them found.
    pub(super) fn tell_resets(&mut self, steps: &[Step]) {
        for step in steps {
            let Step::SetBackend(backend) = step else { continue };
            if !backend.state.serving.resets() {
                continue;
            }
            self.unswept = true;
            let stands = self.standing.backends.get(&backend.number);
            let flows = self.live(backend.number);
            if let Some(member) = self.members.get(&backend.number)
                && flows > 0
                && !stands.is_some_and(|it| it.state.serving.resets())
            {
                let window = self.jiffies(backend.schedule.window());
                tracing::info!(
                    "{}: its {flows} live flows are reset within {:.1} s (cause: {})",
                    member.title(),
                    window.as_secs_f64(),
                    Cause::of(&backend.state).word()
                );
            }
        }
    }

    /// Takes what the last sweep found.
    pub(super) fn learn_doomed(&mut self, now: Instant) {
        let doomed = std::mem::take(&mut self.swept.doomed);
        for it in doomed {
            let wait = self.jiffies(it.wait);
            self.resets.learn(it.flow, now + wait);
        }
        for (number, flows) in std::mem::take(&mut self.swept.expired) {
            if let Some(member) = self.members.get_mut(&number) {
                member.causes.add(Cause::Expired, flows);
            }
        }
    }

    /// Why a backend's flows were reset, up to now.
    pub(super) fn causes(&self, number: u16, member: &Member) -> Causes {
        let mut causes = member.causes.clone();
        if let Some(standing) = self.standing.backends.get(&number) {
            causes.settle(self.tables.counts(number).reset, Cause::of(&standing.state));
        }
        causes
    }

    /// Gives all flows that were reset up to now the cause that their backend's state stands for.
    pub(super) fn settle_causes(&mut self) {
        for (number, member) in &mut self.members {
            let Some(standing) = self.standing.backends.get(number) else { continue };
            member.causes.settle(self.tables.counts(*number).reset, Cause::of(&standing.state));
        }
    }

    fn jiffies(&self, jiffies: u32) -> Duration {
        Duration::from_secs_f64(f64::from(jiffies) / f64::from(self.tables.clock().hz))
    }
}

/// Which flow a word is about, for the log.
impl std::fmt::Display for Word {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (what, Ends { client, service, .. }) = match self {
            Self::Reset(ends) => ("RST", ends),
            Self::Probe(ends) => ("probe", ends),
        };
        write!(f, "{what} from {service} to {client}")
    }
}
