//! When a silent client of a reset flow is spoken to: pure, told the time and what there is, it says what to do.
//!
//! A RST counts only at exactly the sequence number that the client expects next (RFC 5961, 3.2). What is known of it is
//! the client's last acknowledgement that was seen, and the backend may have sent more since. So the RST at that number
//! is followed by probes: an empty segment one before it, which a client that is still there answers with the right
//! number. The answer meets a flow that is reset, and is itself answered by a RST, at the right number. A client that is
//! not there any more answers the probe with a RST, which is the confirmation.

use std::{
    collections::{BTreeMap, HashSet},
    time::{Duration, Instant},
};

use crate::dataplane::FlowId;

/// When the probes follow the reset, and after the last of them the flow is given up.
const STEPS: [Duration; 4] = [
    Duration::from_millis(500),
    Duration::from_millis(1_000),
    Duration::from_millis(2_000),
    Duration::from_millis(3_000),
];

/// What is to be done with a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Reset it, if its turn has come.
    Reset,
    /// Probe, if nobody has confirmed the reset.
    Probe,
    /// Forget it: its client does not answer.
    GiveUp,
}

/// A flow that is looked after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Which flow.
    pub flow: FlowId,
    /// What is to be done now.
    pub act: Act,
    /// When it was reset.
    since: Option<Instant>,
    /// Steps that were taken.
    step: usize,
}

/// All flows that are being reset.
#[derive(Debug, Default)]
pub struct Resets {
    /// By the time of what comes next; the number tells those of one moment apart.
    jobs: BTreeMap<(Instant, u64), Job>,
    known: HashSet<FlowId>,
    numbers: u64,
}

impl Resets {
    /// A flow whose turn comes at this time; one that is looked after already goes on as it does.
    pub fn learn(&mut self, flow: FlowId, turn: Instant) {
        if self.known.insert(flow) {
            self.push(turn, Job { flow, act: Act::Reset, since: None, step: 0 });
        }
    }

    /// When there is something to do.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.jobs.keys().next().map(|(at, _)| *at)
    }

    /// The first thing to do that is due. It has to come back by one of the other functions.
    pub fn pop(&mut self, now: Instant) -> Option<Job> {
        let first = self.jobs.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    /// It was done, and the flow is still there.
    pub fn done(&mut self, job: Job, now: Instant) {
        let since = job.since.unwrap_or(now);
        let Some(step) = STEPS.get(job.step) else { return self.over(job) };
        let act = if job.step + 1 == STEPS.len() { Act::GiveUp } else { Act::Probe };
        self.push(since + *step, Job { since: Some(since), step: job.step + 1, act, ..job });
    }

    /// Its turn comes later.
    pub fn later(&mut self, job: Job, turn: Instant) {
        self.push(turn, job);
    }

    /// The flow is no more, or was never to be reset.
    pub fn over(&mut self, job: Job) {
        self.known.remove(&job.flow);
    }

    fn push(&mut self, at: Instant, job: Job) {
        self.numbers += 1;
        self.jobs.insert((at, self.numbers), job);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use balancer_common::table::key::FlowKey4;

    fn flow(port: u16) -> FlowId {
        FlowId::V4(FlowKey4::new(1, port, 1, 0))
    }

    #[test]
    fn a_reset_is_followed_by_three_probes_and_then_given_up() {
        let (mut resets, start) = (Resets::default(), Instant::now());
        resets.learn(flow(1), start);
        let mut seen = Vec::new();
        while let Some(at) = resets.next() {
            assert_eq!(resets.pop(at - Duration::from_millis(1)), None);
            let job = resets.pop(at).unwrap();
            seen.push((job.act, (at - start).as_millis()));
            resets.done(job, at);
        }
        let probes = [(Act::Probe, 500), (Act::Probe, 1_000), (Act::Probe, 2_000)];
        assert_eq!(seen, [&[(Act::Reset, 0)][..], &probes, &[(Act::GiveUp, 3_000)]].concat());
        // It can be learned anew: another connection of the same ports.
        resets.learn(flow(1), start);
        assert!(resets.next().is_some());
    }

    #[test]
    fn what_is_looked_after_is_not_begun_anew() {
        let (mut resets, start) = (Resets::default(), Instant::now());
        resets.learn(flow(1), start + Duration::from_secs(9));
        resets.learn(flow(1), start);
        assert_eq!(resets.next(), Some(start + Duration::from_secs(9)));
        resets.learn(flow(2), start + Duration::from_secs(1));
        let job = resets.pop(start + Duration::from_secs(1)).unwrap();
        assert_eq!(job.flow, flow(2));
        resets.later(job, start + Duration::from_secs(2));
        assert_eq!(resets.pop(start + Duration::from_secs(2)).map(|it| it.act), Some(Act::Reset));
    }
}
