//! Health checks by the datapath in mode `nat`: they come from where clients' packets come from, and so see that there is no
//! way back.

use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    fixture::{echo::Echo, mode::Mode},
    lifecycle::Extent,
    network::{INTERFACE, SECOND_INTERFACE},
    paths::Place,
    shape::{BALANCER_FAR, Backends, SOURCES, v4, v6},
    topology::Host,
};

use crate::{
    file::{File, Service},
    labs::block_on,
    stand::{Stand, until},
    trials::Test,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_translated_backend_without_a_way_back_to_the_sources_is_down", no_way_back_to_the_sources),
    ("a_backend_that_answers_clients_by_another_host_is_down_if_checks_must_see_it", another_gateway),
];

/// Checked as the file says of each family, and directly.
const FOUR: &str = "four";
const SIX: &str = "six";
const DIRECT: &str = "direct";
const PORTS: [u16; 3] = [7001, 7002, 7003];
const BACKENDS: u8 = 2;

/// A service at v4 addresses and one at v6 ones, with these checks, and one that is checked directly.
fn file(place: &Place, mode: Mode, checks: [&'static str; 2], agent: &'static str) -> File {
    let interfaces = match mode {
        Mode::NatKeep => vec![INTERFACE, SECOND_INTERFACE],
        _ => vec![INTERFACE],
    };
    let service = |name, port, check| Service { mode, check, ..Service::new(name, port, "tcp", BACKENDS) };
    let mut six = service(SIX, PORTS[1], checks[1]);
    six.backends.iter_mut().for_each(|backend| backend.addresses.reverse());
    let direct = service(DIRECT, PORTS[2], "kind = \"tcp\"\nvia = \"direct\"");
    let services = vec![service(FOUR, PORTS[0], checks[0]), six, direct];
    File { agent, services, interfaces, ..File::web(place, 0) }
}

/// A lab of this mode, whose backends' servers answer at their own addresses.
async fn up(prefix: &str, mode: Mode, backends: Backends) -> Result<(Stand, Vec<Echo>)> {
    let stand = Stand::make_in(prefix, mode.shape(backends), Extent::Network).await?;
    let serve = |host: Host| {
        let ends = [host.v4().into(), host.v6().into()].into_iter();
        let ends = ends.flat_map(|at| PORTS.map(|port| SocketAddr::new(at, port)));
        Echo::start(&stand.place().netns(host), &host.to_string(), &ends.collect::<Vec<_>>())
    };
    let servers = (1..=BACKENDS).map(Host::Backend).map(serve).collect::<Result<_>>()?;
    Ok((stand, servers))
}

/// Waits until a backend is down, and its last error says so.
async fn down(stand: &Stand, service: &str, host: Host, words: &[&str]) -> Result<()> {
    stand.becomes(service, &host.to_string(), "health", "down").await?;
    let error = stand.field(service, &host.to_string(), "last_error").await?;
    let error = error.as_str().context("no error")?;
    ensure!(words.iter().all(|word| error.contains(word)), "not {words:?}: {error}");
    Ok(())
}

/// Waits until all backends of these are up, and none of them has a trace of a check.
async fn up_and_unseen(stand: &Stand, services: &[&str]) -> Result<()> {
    until("they are up", async || {
        for service in services {
            for row in stand.rows(service).await? {
                ensure!(row["flows_total"] == 0 && row["packets"] == 0, "checks are counted: {row}");
                if row["health"] != "up" {
                    bail!("{service}: {row}");
                }
            }
        }
        Ok(true)
    })
    .await
    .with_context(|| stand.balancer.log_tail())
}

fn no_way_back_to_the_sources() -> Result<()> {
    block_on(async {
        let (stand, _servers) = up("ba-natback-", Mode::Nat, Backends::Routed).await?;
        let checks = ["kind = \"tcp\"", "kind = \"tcp\"\nvia = \"datapath\""];
        assert_eq!(SOURCES, ["10.79.0.16/28", "fd79::10/124"]);
        let agent = "sources = [\"10.79.0.16/28\", \"fd79::10/124\"]";
        stand.write(&file(stand.place(), Mode::Nat, checks, agent))?;
        stand.start().await?;
        up_and_unseen(&stand, &[FOUR, SIX, DIRECT]).await?;
        let shown = stand.balancer.json(&["service", "show", FOUR]).await?;
        ensure!(shown["service"]["health"]["via"] == "datapath", "{shown}");
        let router = stand.place().router();
        let gateways = [Host::Balancer.v4().to_string(), Host::Balancer.v6().to_string()];
        for ((service, sources), gateway) in [FOUR, SIX].into_iter().zip(SOURCES).zip(gateways) {
            router.ip(&format!("route del {sources}\n"))?;
            for host in (1..=BACKENDS).map(Host::Backend) {
                down(&stand, service, host, &["from", sources, "by the datapath", "timed out"]).await?;
            }
            up_and_unseen(&stand, &[DIRECT]).await?;
            router.ip(&format!("route add {sources} via {gateway}\n"))?;
            up_and_unseen(&stand, &[FOUR, SIX, DIRECT]).await?;
        }
        Ok(())
    })
}

/// The balancer asks the backends on their own segment; their gateway is a router.
fn another_gateway() -> Result<()> {
    block_on(async {
        let (stand, _servers) = up("ba-natgate-", Mode::NatKeep, Backends::TwoSegments).await?;
        let check = "kind = \"tcp\"\nvia = \"datapath\"";
        stand.write(&file(stand.place(), Mode::NatKeep, [check; 2], ""))?;
        stand.start().await?;
        let hosts = (1..=BACKENDS).map(Host::Backend);
        for (service, host) in
            [FOUR, SIX].into_iter().flat_map(|it| hosts.clone().map(move |host| (it, host)))
        {
            down(&stand, service, host, &["by the datapath", "the answer came by", "way back"]).await?;
        }
        up_and_unseen(&stand, &[DIRECT]).await?;
        for host in hosts {
            stand.place().netns(host).ip(&format!(
                "route replace default via {}\nroute replace default via {}\n",
                v4(BALANCER_FAR),
                v6(BALANCER_FAR)
            ))?;
        }
        up_and_unseen(&stand, &[FOUR, SIX, DIRECT]).await
    })
}
