//! How the rest of the agent asks the one who owns the state.

use std::fmt;

use tokio::sync::{mpsc, oneshot};

use super::Control;
use crate::{
    api::types::{ApiError, DetachDoc, ErrorCode, ReloadDoc, ReloadRequest},
    net::ssh::SshSession,
};

/// Something to be done with the state, in turn.
type Job = Box<dyn FnOnce(&mut Control) + Send>;

/// What the owner of the state is asked for.
pub enum Message {
    /// To look at the state, or to change it.
    Job(Job),
    /// To load the file anew.
    Reload(ReloadCall),
    /// To take everything out of the kernel, and end.
    Detach(oneshot::Sender<Result<DetachDoc, ApiError>>),
}

/// A reload that somebody waits for.
pub struct ReloadCall {
    /// What was asked.
    pub request: ReloadRequest,
    /// The SSH session of who asked: no service may take its packets.
    pub session: Option<SshSession>,
    /// Where the answer goes.
    pub reply: oneshot::Sender<Result<ReloadDoc, ApiError>>,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Job(_) => "Job",
            Self::Reload(_) => "Reload",
            Self::Detach(_) => "Detach",
        })
    }
}

/// Asks the owner of the state, and waits for the answer.
#[derive(Clone, Debug)]
pub struct Handle {
    messages: mpsc::Sender<Message>,
}

impl Handle {
    /// A handle, and where its messages arrive.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Message>) {
        let (messages, receiver) = mpsc::channel(64);
        (Self { messages }, receiver)
    }

    /// Runs `job` on the state.
    ///
    /// # Errors
    /// If the agent is ending.
    pub async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Control) -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |control: &mut Control| {
            // Who asked may have gone meanwhile; what was asked is done all the same.
            let _ = reply.send(job(control));
        });
        self.send(Message::Job(job), answer).await
    }

    /// Loads the file anew.
    ///
    /// # Errors
    /// Why nothing was changed.
    pub async fn reload(
        &self,
        request: ReloadRequest,
        session: Option<SshSession>,
    ) -> Result<ReloadDoc, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Reload(ReloadCall { request, session, reply }), answer).await?
    }

    /// Takes everything out of the kernel; the agent ends after it.
    ///
    /// # Errors
    /// What could not be taken away.
    pub async fn detach(&self) -> Result<DetachDoc, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.send(Message::Detach(reply), answer).await?
    }

    async fn send<T>(&self, message: Message, answer: oneshot::Receiver<T>) -> Result<T, ApiError> {
        let ending = || ApiError::new(ErrorCode::Failed, "the agent is ending");
        self.messages.send(message).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }
}
