//! A backend has as many flows as it may: new clients go elsewhere, nobody is refused, and its own clients still come.

use std::{fs, net::IpAddr, ops::Range};

use anyhow::{Result, ensure};
use lab::{
    agent::AGENT,
    fixture::{
        clients::{self, Client},
        mode::Mode,
    },
    topology::{Host, LINES_PORT},
};

use crate::{
    crowd::{BACKENDS, CALM, LINES, VICTIM, number, sources, stand_of},
    each::{EachMode, in_each_mode},
    file::Service,
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[EachMode] = &[in_each_mode!("a_full_backend_takes_no_new_client", full)];

const LIMIT: u64 = 15;
/// Clients that connect at once: that many handshakes are under way, which do not count yet.
const AT_ONCE: usize = 3;

/// These clients come, a few at a time.
async fn come(stand: &Stand, numbers: Range<u32>) -> Result<Vec<Client>> {
    let mut sessions = Vec::new();
    for some in sources(numbers).chunks(AT_ONCE) {
        sessions.extend(clients::open_all(stand.place(), some, CALM).await?);
    }
    Ok(sessions)
}

fn on_the_victim(sessions: &[Client]) -> Vec<IpAddr> {
    sessions.iter().filter(|it| it.backend == VICTIM.to_string()).map(|it| it.source).collect()
}

fn full(mode: Mode) -> Result<()> {
    block_on(async {
        let mut service = Service { mode, ..Service::new(LINES, LINES_PORT, "tcp", BACKENDS) };
        service.backends[0].keys = "max_flows = 15";
        let stand = stand_of("full", service).await?;
        let sessions = come(&stand, 0..150).await?;
        let there = on_the_victim(&sessions);
        let most = LIMIT as usize + AT_ONCE - 1;
        ensure!((LIMIT as usize..=most).contains(&there.len()), "{} clients are there", there.len());
        ensure!(number(&stand, VICTIM, "max_flows").await? == LIMIT, "max_flows");
        until("the log tells it", async || {
            let log = fs::read_to_string(stand.place().log(Host::Balancer, AGENT))?;
            Ok(log.lines().any(|line| line.contains("backend-1: it has as many flows as it may (max_flows)")))
        })
        .await?;
        // A pinned client is no new one; without an agent nothing is otherwise.
        stand.balancer.kill()?;
        let again = clients::open_all(stand.place(), &there[..1], CALM).await?;
        ensure!(again[0].backend == VICTIM.to_string(), "a pinned client went to {}", again[0].backend);
        let more = come(&stand, 300..390).await?;
        ensure!(on_the_victim(&more).is_empty(), "new clients came although it is full");
        println!("max_flows = {LIMIT}: {} of 150 clients there, then 0 of {}", there.len(), more.len());
        Ok(())
    })
}
