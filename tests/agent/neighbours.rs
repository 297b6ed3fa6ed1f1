//! MAC addresses that change under traffic.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use lab::{
    network::INTERFACE,
    topology::{Host, client_v4, client_v6},
};
use tokio::time::sleep;

use crate::{
    Test,
    client::{Stream, ask, clients, sessions, undisturbed},
    file::File,
    labs::block_on,
    stand::Stand,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_backends_new_mac_address_is_followed_within_seconds", of_a_backend),
    ("the_balancers_new_mac_address_is_followed_at_once", of_the_balancer),
];

/// How long packets may go astray.
const FEW_SECONDS: Duration = Duration::from_secs(4);

fn of_a_backend() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-mac-", |place| File::whole(place, 1)).await?;
        let mut sessions = sessions(stand.place(), clients(4))?;
        let stream = Stream::start(stand.place(), client_v4(1, 1))?;
        sleep(Duration::from_millis(500)).await;
        // Linux says nothing of it by itself: nobody is told but by traffic of that host.
        stand.place().netns(Host::Backend(1)).ip("link set dev eth0 address 02:00:00:00:77:01\n")?;
        let changed = Instant::now();
        served_again(&stand, changed).await?;
        undisturbed(&mut sessions)?;
        let streamed = stream.stop()?;
        let bound = FEW_SECONDS.as_millis() / 5;
        ensure!(
            (streamed.lost.len() as u128) < bound,
            "too many datagrams are lost: {}",
            streamed.lost.len()
        );
        ensure!(streamed.lost.last() < Some(&streamed.sent), "it is not served again: {streamed:?}");
        Ok(())
    })
}

/// Waits until new clients of both families are served.
async fn served_again(stand: &Stand, changed: Instant) -> Result<()> {
    let mut n = 10;
    loop {
        n += 1;
        let served = [client_v4(2, n), client_v6(2, n)].map(|client| ask(stand.place(), client));
        match served {
            [Ok(_), Ok(_)] => return Ok(()),
            _ if changed.elapsed() > FEW_SECONDS => {
                let [v4, v6] = served.map(|one| one.unwrap_or_else(|error| format!("{error:#}")));
                bail!("{:?} after the change: {v4}; {v6}\n{}", changed.elapsed(), stand.balancer.log_tail())
            }
            _ => sleep(Duration::from_millis(20)).await,
        }
    }
}

fn of_the_balancer() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-ownmac-", |place| File::whole(place, 2)).await?;
        let mut sessions = sessions(stand.place(), clients(4))?;
        // The host announces its new address, as a host with a service address must.
        stand.netns().sysctl(&[("ipv4/conf/eth0/arp_notify", "1"), ("ipv6/conf/eth0/ndisc_notify", "1")])?;
        stand.netns().ip(&format!("link set dev {INTERFACE} address 02:00:00:00:77:02\n"))?;
        let changed = Instant::now();
        served_again(&stand, changed).await?;
        ensure!(changed.elapsed() < Duration::from_secs(2), "it took {:?}", changed.elapsed());
        undisturbed(&mut sessions)?;
        let health = stand.rows("web").await?;
        ensure!(health.iter().all(|row| row["health"] == "up"), "{health:?}");
        Ok(())
    })
}
