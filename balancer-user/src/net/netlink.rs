//! Netlink sockets: one to ask, one to be told; every answer is bounded in time.

use std::{io, pin::Pin, time::Duration};

use futures_util::{Stream, StreamExt, TryStreamExt};
use rtnetlink::{
    Handle, MulticastGroup,
    packet_core::{NetlinkMessage, NetlinkPayload},
    packet_route::RouteNetlinkMessage,
    sys::SocketAddr,
};
use tokio::{task::JoinSet, time};

/// The kernel answers in microseconds; an answer that an overrun buffer has lost never comes.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can go wrong between this process and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// No socket.
    #[error("cannot open a netlink socket (does the unit allow AF_NETLINK?): {0}")]
    Open(#[source] io::Error),
    /// The kernel said no.
    #[error("netlink request for {what} failed: {source}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The kernel's word.
        source: io::Error,
    },
    /// The library said no.
    #[error("netlink request for {what} failed: {source}")]
    Failed {
        /// What was asked for.
        what: String,
        /// The library's word.
        source: rtnetlink::Error,
    },
    /// No answer.
    #[error("netlink request for {what} was not answered within {}", humantime::format_duration(PATIENCE))]
    Silent {
        /// What was asked for.
        what: String,
    },
    /// No such interface.
    #[error("interface {name:?} does not exist; `ip -brief link` lists those that do")]
    NoInterface {
        /// Its name.
        name: String,
    },
}

impl NetError {
    /// The kernel's error number, if it was the kernel that said no.
    #[must_use]
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Refused { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    fn of(what: &str, source: rtnetlink::Error) -> Self {
        let what = what.to_owned();
        match source {
            rtnetlink::Error::NetlinkError(error) => Self::Refused { what, source: error.to_io() },
            source => Self::Failed { what, source },
        }
    }
}

/// A socket for requests, in the network namespace of the thread that opened it.
#[derive(Debug)]
pub struct Netlink {
    handle: Handle,
    /// Moves the bytes; ends with this value.
    _driver: JoinSet<()>,
}

impl Netlink {
    /// Opens the socket.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn open() -> Result<Self, NetError> {
        let (connection, handle, _unsolicited) = rtnetlink::new_connection().map_err(NetError::Open)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { handle, _driver: driver })
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

/// All answers of a request for `what`.
pub(crate) async fn collect<T>(
    what: &str,
    answers: impl Stream<Item = Result<T, rtnetlink::Error>>,
) -> Result<Vec<T>, NetError> {
    within(what, answers.try_collect()).await
}

/// The result of a request for `what`.
pub(crate) async fn within<T>(
    what: &str,
    request: impl Future<Output = Result<T, rtnetlink::Error>>,
) -> Result<T, NetError> {
    match time::timeout(PATIENCE, request).await {
        Ok(answer) => answer.map_err(|source| NetError::of(what, source)),
        Err(_elapsed) => Err(NetError::Silent { what: what.to_owned() }),
    }
}

/// What a subscription tells.
#[derive(Debug)]
pub(crate) enum Notice {
    /// One message.
    Message(Box<RouteNetlinkMessage>),
    /// Messages were lost: whoever keeps a picture must look again.
    Lost,
}

/// Boxed because the channel's crate is not named here.
type Messages = Pin<Box<dyn Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)> + Send + Sync>>;

/// A socket that multicast groups are received on; it is opened again when it fails.
pub(crate) struct Subscription {
    groups: &'static [MulticastGroup],
    messages: Messages,
    _driver: JoinSet<()>,
}

impl Subscription {
    pub(crate) fn open(groups: &'static [MulticastGroup]) -> Result<Self, NetError> {
        let (connection, _handle, messages) =
            rtnetlink::new_multicast_connection(groups).map_err(NetError::Open)?;
        let mut driver = JoinSet::new();
        driver.spawn(connection);
        Ok(Self { groups, messages: Box::pin(messages), _driver: driver })
    }

    /// The next notice. It is safe to drop the future: nothing is lost by it.
    pub(crate) async fn next(&mut self) -> Notice {
        loop {
            let Some((message, _sender)) = self.messages.next().await else {
                self.reopen().await;
                return Notice::Lost;
            };
            match message.payload {
                NetlinkPayload::InnerMessage(message) => return Notice::Message(Box::new(message)),
                NetlinkPayload::Overrun(_) => return Notice::Lost,
                _ => {}
            }
        }
    }

    async fn reopen(&mut self) {
        loop {
            match Self::open(self.groups) {
                Ok(subscription) => return *self = subscription,
                Err(error) => tracing::warn!("{error}; trying again"),
            }
            time::sleep(Duration::from_secs(1)).await;
        }
    }
}
