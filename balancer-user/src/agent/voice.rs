//! What silent clients of flows that are reset are told, by raw sockets.

use std::time::{Duration, Instant};

use crate::{
    control::Word,
    net::speaker::{Segment, Speaker},
};

/// How often the log hears of words that cannot be sent.
const COMPLAINTS: Duration = Duration::from_secs(60);

/// The sockets, if they could be had. Without them those clients that send hear from the packet path all the same.
pub(super) struct Voice {
    speaker: Option<Speaker>,
    complained: Option<Instant>,
}

impl Voice {
    pub(super) fn open() -> Self {
        let speaker = Speaker::open();
        if let Err(error) = &speaker {
            tracing::warn!(
                "no raw socket ({error}; CAP_NET_RAW?): clients that are reset and send nothing will not hear of it"
            );
        }
        Self { speaker: speaker.ok(), complained: None }
    }

    /// Speaks to a client. What cannot be sent now is said again by the next probe.
    pub(super) fn say(&mut self, word: Word) {
        let Some(speaker) = &self.speaker else { return };
        let (ends, segment) = match word {
            Word::Reset(ends) => (ends, Segment::Rst(ends.ack)),
            Word::Probe(ends) => (ends, Segment::Probe(ends.ack.wrapping_sub(1))),
        };
        // Its backend hears too, once: one that is alive, as in a drain, would wait for the client.
        let server = ends.server.filter(|_| matches!(segment, Segment::Rst(_)));
        let told = server.map_or(Ok(()), |it| speaker.say(it.own, it.backend, Segment::Rst(it.ack)));
        let Err(error) = speaker.say(ends.service, ends.client, segment).and(told) else { return };
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINTS) {
            self.complained = Some(Instant::now());
            tracing::warn!(
                "{word} cannot be sent, nor perhaps others: {error}; clients that send nothing hear nothing"
            );
        }
    }
}
