//! The lab itself: what the other tests stand on.

use std::{
    net::{IpAddr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    crowd::{Crowd, Kind},
    demo::reconnect,
    lifecycle::Extent,
    netns::output,
    network::{INTERFACE, hardware_address},
    paths::Place,
    process, servers,
    topology::{Host, UDP_PORT, VIP_V4, VIP_V6, WEB_PORT, WS_PORT, client_v4, client_v6},
};
use tokio::time::sleep;

use crate::{
    Test,
    labs::{Lab, block_on},
};

pub(crate) const TESTS: &[Test] = &[
    ("clients_come_back_from_new_ports", clients_come_back_from_new_ports),
    ("clients_notice_when_their_backend_dies", clients_notice_when_their_backend_dies),
    ("clients_notice_when_their_backend_falls_silent", clients_notice_when_their_backend_falls_silent),
    ("only_the_balancer_answers_for_the_service_address", only_the_balancer_answers_for_the_service_address),
    ("programs_outside_the_lab_survive_its_end", programs_outside_the_lab_survive_its_end),
];

/// The first backend, and some clients on each host.
const BACKEND: Host = Host::Backend(1);

fn some_clients() -> Vec<IpAddr> {
    (1..=4).flat_map(|host| [client_v4(host, 1), client_v6(host, 1), client_v4(host, 2)]).collect()
}

fn straight_to_the_backend(place: &Place, kind: Kind) -> Result<Crowd> {
    let port = if kind == Kind::Ws { WS_PORT } else { UDP_PORT };
    Crowd::start_towards(place, kind, (BACKEND.v4(), port).into(), (BACKEND.v6(), port).into())
}

fn clients_come_back_from_new_ports() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-ports-", Extent::Servers).await?;
        for kind in [Kind::Ws, Kind::Udp] {
            let mut crowd = straight_to_the_backend(&lab.place, kind)?;
            crowd.open(some_clients()).await?;
            ensure!(crowd.at("backend-1").len() == some_clients().len(), "{kind:?}: {:?}", crowd.home);
            sleep(Duration::from_millis(2200)).await;
            let reports = crowd.status().await?;
            ensure!(reports.iter().all(|r| r.answered >= 2 && r.lost.is_none()), "{kind:?}: {reports:?}");
            let (measured, holds) = reconnect::everyone(&mut crowd).await?;
            ensure!(holds, "{kind:?}: {measured}");
        }
        Ok(())
    })
}

fn clients_notice_when_their_backend_dies() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-dies-", Extent::Servers).await?;
        for (kind, program) in [(Kind::Ws, servers::WS), (Kind::Udp, servers::UDP)] {
            let mut crowd = straight_to_the_backend(&lab.place, kind)?;
            crowd.open(some_clients()).await?;
            process::running(&lab.place, BACKEND, program)?.kill()?;
            sleep(Duration::from_millis(1300)).await;
            let reports = crowd.status().await?;
            ensure!(reports.iter().all(|report| report.lost.is_some()), "{kind:?}: {reports:?}");

            let failed = crowd.retry(vec![client_v4(1, 1)], 300).await?;
            ensure!(failed.iter().all(|report| report.backend.is_none()), "{kind:?}: {failed:?}");
            match kind {
                Kind::Ws => servers::start_ws(&lab.place, BACKEND)?,
                Kind::Udp => servers::start_udp(&lab.place, BACKEND)?,
            }
            let served = crowd.retry(some_clients(), 2000).await?;
            ensure!(crowd.strays(&served).is_empty(), "{kind:?}: {served:?}");
        }
        Ok(())
    })
}

/// A pulled cable sends no RST: the books notice by the missing answer.
fn clients_notice_when_their_backend_falls_silent() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-silent-", Extent::Servers).await?;
        let mut crowd = straight_to_the_backend(&lab.place, Kind::Ws)?;
        crowd.open(some_clients()).await?;
        lab.place.switch().ip(&format!("link set dev {BACKEND} down\n"))?;
        sleep(Duration::from_millis(3500)).await;
        let reports = crowd.status().await?;
        ensure!(reports.iter().all(|report| report.lost.is_some()), "{reports:?}");
        // The host has kept its addresses and routes: the cable is enough.
        lab.place.switch().ip(&format!("link set dev {BACKEND} up\n"))?;
        let served = crowd.retry(some_clients(), 3000).await?;
        ensure!(crowd.strays(&served).is_empty(), "{served:?}");
        Ok(())
    })
}

fn only_the_balancer_answers_for_the_service_address() -> Result<()> {
    block_on(async {
        let lab = Lab::up("bt-arp-", Extent::Servers).await?;
        let own = hardware_address(&lab.place, Host::Balancer)?;
        for vip in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
            let neighbour = resolve(&lab.place, vip)?;
            ensure!(
                neighbour.contains(own.trim()),
                "{vip} is not the balancer's ({}): {neighbour}",
                own.trim()
            );
        }
        lab.place.netns(Host::Balancer).ip(&format!("link set dev {INTERFACE} down\n"))?;
        lab.place.netns(Host::Client(1)).ip(&format!("neigh flush dev {INTERFACE}\n"))?;
        for vip in [IpAddr::from(VIP_V4), IpAddr::from(VIP_V6)] {
            let neighbour = resolve(&lab.place, vip)?;
            ensure!(!neighbour.contains("lladdr"), "a backend answers for {vip}: {neighbour}");
        }
        Ok(())
    })
}

/// What a client host's neighbour table says of an address after a connection was tried.
fn resolve(place: &Place, address: IpAddr) -> Result<String> {
    let client = place.netns(Host::Client(1));
    client.inside(|| {
        // Whether it is accepted does not matter: the address had to be resolved for it.
        let _ = TcpStream::connect_timeout(&SocketAddr::new(address, WEB_PORT), Duration::from_millis(1500));
        Ok(())
    })?;
    output(client.command("ip").args(["neigh", "show", &address.to_string()]))
}

fn programs_outside_the_lab_survive_its_end() -> Result<()> {
    let mut bystander = std::process::Command::new("sleep").arg("60").spawn().context("sleep")?;
    let outcome = block_on(async {
        let lab = Lab::up("bt-end-", Extent::Servers).await?;
        let inside = process::running(&lab.place, BACKEND, servers::WEB)?;
        drop(lab);
        ensure!(!inside.alive(), "a program in the lab has survived it");
        Ok(())
    });
    let survived = bystander.try_wait()?.is_none();
    bystander.kill()?;
    bystander.wait()?;
    ensure!(survived, "a program outside the lab has ended with it");
    outcome
}
