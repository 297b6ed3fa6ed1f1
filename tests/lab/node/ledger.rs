//! A client's books: whether the answers of a session can come from one living state on one backend. Pure.

use std::fmt;

use crate::wire::Answer;

/// What a client knows of its session.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    sent: u64,
    first: Option<Answer>,
}

/// How an answer shows that the session's state is not where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Another backend answered.
    Backend {
        /// The session's.
        was: String,
        /// The one that answered.
        is: String,
    },
    /// The same backend, but it has begun another session.
    Session {
        /// The session's number.
        was: u64,
        /// The number in the answer.
        is: u64,
    },
    /// The server's count is not the client's.
    Count {
        /// Messages sent.
        sent: u64,
        /// Messages that the server had.
        had: u64,
    },
    /// The answer is to another message.
    Echo {
        /// Number of the last message.
        sent: u64,
        /// Number in the answer.
        echo: u64,
    },
}

impl Ledger {
    /// The number of the next message.
    pub const fn next(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// Enters the answer to the last message.
    ///
    /// # Errors
    /// With what does not fit.
    pub fn enter(&mut self, answer: Answer) -> Result<(), Broken> {
        if answer.echo != self.sent {
            return Err(Broken::Echo { sent: self.sent, echo: answer.echo });
        }
        let first = self.first.get_or_insert_with(|| answer.clone());
        if answer.backend != first.backend {
            return Err(Broken::Backend { was: first.backend.clone(), is: answer.backend });
        }
        if answer.session != first.session {
            return Err(Broken::Session { was: first.session, is: answer.session });
        }
        if answer.n != self.sent {
            return Err(Broken::Count { sent: self.sent, had: answer.n });
        }
        Ok(())
    }

    /// Messages sent.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// The session's backend, once it has answered.
    #[must_use]
    pub fn backend(&self) -> Option<&str> {
        self.first.as_ref().map(|answer| answer.backend.as_str())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Backend { was, is } => write!(f, "moved from {was} to {is}"),
            Self::Session { was, is } => write!(f, "session {was} became session {is}"),
            Self::Count { sent, had } => write!(f, "sent {sent} messages, the backend had {had}"),
            Self::Echo { sent, echo } => write!(f, "sent message {sent}, the answer is to {echo}"),
        }
    }
}

impl std::error::Error for Broken {}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(backend: &str, session: u64, n: u64) -> Answer {
        Answer { backend: backend.to_owned(), session, n, echo: n }
    }

    fn after_two() -> Ledger {
        let mut ledger = Ledger::default();
        for n in 1..=2 {
            assert_eq!(ledger.next(), n);
            ledger.enter(answer("a", 7, n)).unwrap();
        }
        ledger.next();
        ledger
    }

    #[test]
    fn consecutive_answers_of_one_session_are_fine() {
        assert_eq!(after_two().enter(answer("a", 7, 3)), Ok(()));
    }

    #[test]
    fn another_backend_is_noticed() {
        let moved = Broken::Backend { was: "a".to_owned(), is: "b".to_owned() };
        assert_eq!(after_two().enter(answer("b", 7, 3)), Err(moved));
    }

    #[test]
    fn a_new_session_on_the_same_backend_is_noticed() {
        assert_eq!(after_two().enter(answer("a", 8, 3)), Err(Broken::Session { was: 7, is: 8 }));
    }

    #[test]
    fn a_count_that_began_again_is_noticed() {
        let again = Answer { n: 1, ..answer("a", 7, 3) };
        assert_eq!(after_two().enter(again), Err(Broken::Count { sent: 3, had: 1 }));
    }

    #[test]
    fn a_late_answer_to_an_earlier_message_is_noticed() {
        assert_eq!(after_two().enter(answer("a", 7, 2)), Err(Broken::Echo { sent: 3, echo: 2 }));
    }
}
