//! A lab whose way behind the balancer is narrow.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        caller::Caller,
        decap::Decap,
        echo::Echo,
        loss::Loss,
        mode::{Mode, take_out},
        stand::{Stand, until},
    },
    lifecycle::Extent,
    shape::{Backends, MTU, Shape},
    topology::{client_v4, client_v6, vip_for},
};

use super::{Narrow, network};
use crate::{
    backend,
    file::{self, PORT, SERVICES},
};

/// What segments are bounded to, over both families and a tunnel's header.
const MSS: u16 = 1300;

/// A lab with the agent and the backends' servers.
pub(super) struct Bench {
    pub(super) stand: Stand,
    mode: Mode,
    narrow: Narrow,
    shape: Shape,
    _servers: Vec<Echo>,
}

impl Bench {
    /// Brings it up with bounded segments.
    pub(super) async fn up(prefix: &str, mode: Mode, backends: Backends, narrow: Narrow) -> Result<Self> {
        let shape = network::shape(mode, backends, narrow);
        let stand = Stand::make_in(prefix, shape, Extent::Network).await?;
        network::make_narrow(stand.place(), backends, narrow)?;
        let servers = network::hosts()
            .map(|host| backend::serve(stand.place(), mode, backends, host))
            .collect::<Result<_>>()?;
        let bench = Self { stand, mode, narrow, shape, _servers: servers };
        bench.bound(true)?;
        bench.stand.start().await?;
        bench.stand.all_up().await?;
        Ok(bench)
    }

    /// Bounds segments, or does not any more.
    fn bound(&self, bounded: bool) -> Result<()> {
        let (place, backends) = (self.stand.place(), self.shape.backends);
        let mut file = file::file(self.mode, place, backends);
        file.services.truncate(1);
        if bounded {
            file.services[0].keys = "mss_clamp = 1300";
        }
        self.stand.write(&file)?;
        match self.mode {
            Mode::L2dsr => network::announce(place, if bounded { MSS } else { 0 }),
            Mode::Ipip => network::hosts().try_for_each(|host| {
                if !bounded {
                    Decap::on(place, host).stop()?;
                }
                take_out(place, backends, host, bounded.then(|| MSS.to_string()).as_deref())
            }),
            Mode::Nat | Mode::NatKeep => Ok(()),
        }
    }

    /// Segments are as large as the links take, from now on.
    pub(super) async fn unbound(&self) -> Result<()> {
        self.bound(false)?;
        self.stand.balancer.run(&["reload"]).await?;
        until("backends are up", async || {
            let rows = self.stand.rows(SERVICES[0]).await?;
            Ok(rows.iter().all(|row| row["health"] == "up"))
        })
        .await
    }

    /// From now on nobody is told that a packet was too large.
    pub(super) fn lose_messages(&self) -> Result<Vec<Loss>> {
        network::lose_messages(self.stand.place(), self.shape)
    }

    /// A client's transfer, there and back; the path MTU that it ends with.
    pub(super) fn transfer(&self, host: u8, is_v6: bool, bytes: usize) -> Result<u32> {
        let client = if is_v6 { client_v6(host, 1) } else { client_v4(host, 1) };
        let target = SocketAddr::new(vip_for(client), PORT);
        let mut caller = Caller::open(self.stand.place(), client, target, false)?;
        let before = caller.path_mtu()?;
        ensure!(before == u32::from(MTU), "{client} begins with a path MTU of {before}");
        caller.transfer(bytes)?;
        caller.path_mtu()
    }

    /// Packets that a reason counts.
    pub(super) async fn counted(&self, reason: &str) -> Result<u64> {
        let status = self.stand.balancer.json(&["status"]).await?;
        let rows = status["reasons"].as_array().context("no reasons")?;
        let row = rows.iter().find(|row| row["reason"] == reason);
        row.and_then(|row| row["packets"].as_u64()).with_context(|| format!("no {reason:?} in {status}"))
    }

    /// What a client must have learnt.
    pub(super) fn path_mtu(&self, is_v6: bool) -> u32 {
        network::path_mtu(self.mode, self.narrow, is_v6)
    }

    /// Bytes of a tunnel's header.
    pub(super) fn header(&self, is_v6: bool) -> u32 {
        self.mode.overhead(is_v6) as u32
    }

    /// The reason that counts what told clients so, or sent it on to them.
    pub(super) fn telling(&self) -> &'static str {
        match (self.mode, self.narrow) {
            (Mode::Nat | Mode::NatKeep, Narrow::Further) => "icmp-error-back",
            _ => "too-big",
        }
    }

    /// The largest packets that `backend list` shows of ways for these clients, where this host knows of more by itself.
    pub(super) async fn shown(&self, is_v6: bool) -> Result<Option<Vec<u64>>> {
        if (self.mode, self.narrow) != (Mode::Ipip, Narrow::Further) {
            return Ok(None);
        }
        let family = if is_v6 { "v6" } else { "v4" };
        let rows = self.stand.rows(SERVICES[0]).await?;
        let ways = rows.iter().filter_map(|row| row["ways"].as_array()).flatten();
        let of_family = ways.filter(|way| way["clients"] == family);
        Ok(Some(of_family.filter_map(|way| way["mtu"].as_u64()).collect()))
    }

    /// Whether what tells backends that their answers were too large comes by the balancer.
    pub(super) fn tells_backends(&self) -> bool {
        !self.mode.translates() && self.shape.has_router()
    }
}
