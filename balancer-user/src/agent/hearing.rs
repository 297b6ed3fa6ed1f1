//! What routers say of tunnels, heard while there are tunnels.

use tokio::sync::mpsc;

use crate::net::too_big::{TooBig, TooBigWatch};

/// Words that may wait.
const WAITING: usize = 64;

/// The sockets, if they are wanted and could be had.
pub(super) struct Hearing {
    sender: mpsc::Sender<TooBig>,
    words: mpsc::Receiver<TooBig>,
    watch: Option<TooBigWatch>,
    wanted: bool,
}

impl Hearing {
    pub(super) fn new() -> Self {
        let (sender, words) = mpsc::channel(WAITING);
        Self { sender, words, watch: None, wanted: false }
    }

    /// Listens from now on, or does not.
    pub(super) fn follow(&mut self, wanted: bool) {
        if wanted == self.wanted {
            return;
        }
        self.wanted = wanted;
        self.watch = None;
        if wanted {
            match TooBigWatch::start(&self.sender) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => tracing::warn!(
                    "no packet socket ({error}; CAP_NET_RAW?): routers that ask for smaller packets in tunnels are not \
                     heard: set the MTU on the routes to the backends"
                ),
            }
        }
    }

    /// The next word.
    pub(super) async fn next(&mut self) -> Option<TooBig> {
        self.words.recv().await
    }
}
