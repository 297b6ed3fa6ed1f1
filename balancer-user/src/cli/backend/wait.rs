//! Watching a drain until it ends.

use std::{io, time::Duration};

use balancer_common::state::{Admin, Health};
use tokio::time::sleep;

use super::Target;
use crate::{
    api::{
        client::{Client, ClientError},
        routes,
        types::{BackendRow, BackendsDoc, ErrorCode},
    },
    cli::{
        exit::Failure,
        parse::count,
        progress::{Progress, Then},
        ui::Ui,
    },
};

/// Often enough to look live, seldom enough to cost nothing.
const INTERVAL: Duration = Duration::from_millis(500);

/// How a wait ends.
#[derive(Debug, PartialEq)]
pub(super) enum End {
    /// No flow is left.
    Empty(Box<BackendRow>),
    /// No flow was left, and the backend is deleted.
    Forgotten,
    /// The flows that were left have lost the backend.
    Cut(String),
    /// Somebody ended the drain.
    Undone(String),
    /// The time is over.
    Expired,
    /// Ctrl-C.
    Interrupted,
}

/// A wait for one backend.
pub(super) struct Watch<'a> {
    target: &'a Target,
    client: &'a Client,
    progress: Progress,
    /// Flows that were left when we last looked.
    pub(super) left: u64,
    /// Flows of this backend that had been reset before.
    reset: u64,
}

impl<'a> Watch<'a> {
    /// Begins with the row that the drain was answered with.
    pub(super) fn new(target: &'a Target, client: &'a Client, row: &BackendRow, ui: &Ui<'_>) -> Self {
        let left = remaining(row);
        Self { target, client, progress: Progress::new(ui, left), left, reset: row.resets }
    }

    /// Looks again and again. An agent that restarts meanwhile does not end it: the drain is kept.
    pub(super) async fn until_end(&mut self, ui: &mut Ui<'_>) -> Result<End, Failure> {
        loop {
            let then = match self.look().await {
                Ok(row) => {
                    if let Some(end) = judge(row.as_ref(), self.left, self.reset) {
                        return Ok(end);
                    }
                    self.left = row.as_ref().map_or(0, remaining);
                    row.and_then(|row| row.drain_ends).map_or(Then::End, Then::ResetAt)
                }
                Err(ClientError::Unreachable { .. } | ClientError::Silent { .. }) => Then::Unheard,
                Err(error) => return Err(error.into()),
            };
            self.progress.show(ui, self.left, &then)?;
            sleep(INTERVAL).await;
        }
    }

    /// Takes away what a terminal shows of it.
    pub(super) fn leave(&mut self, ui: &mut Ui<'_>) -> io::Result<()> {
        self.progress.clear(ui)
    }

    /// The backend as it is now; `None` if it is gone.
    async fn look(&mut self) -> Result<Option<BackendRow>, ClientError> {
        let path = routes::path(routes::BACKENDS, &[&self.target.service]);
        match self.client.get::<BackendsDoc>(&path).await {
            Ok(document) => Ok(document.backends.into_iter().find(|row| row.name == self.target.backend)),
            Err(ClientError::Api(error)) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn remaining(row: &BackendRow) -> u64 {
    row.remaining.unwrap_or(row.flows)
}

/// Whether what we see ends the wait; `before` flows were left when we last looked, and `reset` had been reset before
/// the drain began.
fn judge(row: Option<&BackendRow>, before: u64, reset: u64) -> Option<End> {
    let Some(row) = row else {
        return Some(match before {
            0 => End::Forgotten,
            left => End::Cut(format!("was deleted while it had {}", count(left, "flow"))),
        });
    };
    let left = remaining(row);
    match (row.admin, row.health, left) {
        (Admin::Maint | Admin::Gone, _, _) if before > 0 => {
            Some(End::Cut(format!("was set to {} while it had {}", row.admin, count(before, "flow"))))
        }
        (Admin::Ready, _, _) => Some(End::Undone("was made ready by somebody else".into())),
        (_, _, 0) if row.resets > reset => {
            Some(End::Cut(format!("has no flow left: {} were cut", count(row.resets - reset, "flow"))))
        }
        (_, _, 0) => Some(End::Empty(Box::new(row.clone()))),
        (_, Health::Down, left) => Some(End::Cut(format!("went down while it had {}", count(left, "flow")))),
        _ => None,
    }
}
