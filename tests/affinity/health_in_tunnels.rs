//! Health checks by the datapath in mode `ipip`: they come out of a tunnel, as clients' packets do.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    fixture::{decap::Decap, echo::Echo, mode::Mode},
    lifecycle::Extent,
    paths::Place,
    shape::{Backends, SOURCES, Shape},
    topology::{Host, VIP_V4, VIP_V6},
};

use crate::{
    file::{File, Service},
    labs::block_on,
    stand::{Stand, until},
    trials::Test,
};

pub(crate) const TESTS: &[Test] = &[
    ("a_backend_that_takes_nothing_out_of_tunnels_is_down", without_decap),
    ("a_backend_behind_a_tunnel_without_the_service_address_is_down_even_if_it_routes", without_address),
];

/// Checked by the datapath by itself, at v4 addresses; because the file says so, at v6 ones; directly.
const FOUR: &str = "four";
const SIX: &str = "six";
const DIRECT: &str = "direct";
const PORTS: [u16; 3] = [7001, 7002, 7003];
const BACKENDS: u8 = 3;

fn file(place: &Place) -> File {
    let service =
        |name, port, check| Service { mode: Mode::Ipip, check, ..Service::new(name, port, "tcp", BACKENDS) };
    let mut six = service(SIX, PORTS[1], "kind = \"tcp\"\nvia = \"datapath\"");
    six.backends.iter_mut().for_each(|backend| backend.addresses.reverse());
    let services = vec![
        service(FOUR, PORTS[0], "kind = \"tcp\""),
        six,
        service(DIRECT, PORTS[2], "kind = \"tcp\"\nvia = \"direct\""),
    ];
    assert_eq!(SOURCES, ["10.79.0.16/28", "fd79::10/124"]);
    File { agent: "sources = [\"10.79.0.16/28\", \"fd79::10/124\"]", services, ..File::web(place, 0) }
}

fn backends() -> impl Iterator<Item = Host> {
    (1..=BACKENDS).map(Host::Backend)
}

/// Backends behind a router, whose servers answer on the service addresses and their own.
async fn up(prefix: &str) -> Result<(Stand, Vec<Echo>)> {
    let stand = Stand::make_in(prefix, Shape::of(Backends::Routed), Extent::Network).await?;
    let serve = |host: Host| {
        let addresses: [IpAddr; 4] = [host.v4().into(), host.v6().into(), VIP_V4.into(), VIP_V6.into()];
        let ends = addresses.into_iter().flat_map(|at| PORTS.map(|port| SocketAddr::new(at, port)));
        Echo::start(&stand.place().netns(host), &host.to_string(), &ends.collect::<Vec<_>>())
    };
    let servers = backends().map(serve).collect::<Result<_>>()?;
    stand.write(&file(stand.place()))?;
    Ok((stand, servers))
}

fn take_out(stand: &Stand, host: Host) -> Result<Decap> {
    Decap::start(stand.place(), host, &["--source", SOURCES[0], "--source", SOURCES[1]])
}

/// Waits until this is down as far as the datapath goes, and then nothing else is.
async fn down_alone(stand: &Stand, down: &[(&str, Host)]) -> Result<()> {
    for (service, host) in down {
        let name = host.to_string();
        stand.becomes(service, &name, "health", "down").await?;
        let error = stand.field(service, &name, "last_error").await?;
        let error = error.as_str().context("no error")?;
        ensure!(error.contains("by the datapath") && error.contains("timed out"), "{error}");
    }
    until("all others are up", async || {
        for service in [FOUR, SIX, DIRECT] {
            for row in stand.rows(service).await? {
                let is = |(other, host): &(&str, Host)| *other == service && row["name"] == host.to_string();
                if !down.iter().any(is) && row["health"] != "up" {
                    bail!("{service}: {row}");
                }
            }
        }
        Ok(true)
    })
    .await
    .with_context(|| stand.balancer.log_tail())
}

fn without_decap() -> Result<()> {
    block_on(async {
        let (stand, _servers) = up("ba-tunplain-").await?;
        let [first, second, plain] = [1, 2, 3].map(Host::Backend);
        let ends = [first, second].map(|host| take_out(&stand, host));
        stand.start().await?;
        down_alone(&stand, &[(FOUR, plain), (SIX, plain)]).await?;
        let shown = stand.balancer.json(&["service", "show", FOUR]).await?;
        ensure!(shown["service"]["health"]["via"] == "datapath", "{shown}");
        let late = take_out(&stand, plain)?;
        stand.all_up().await?;
        for end in ends.into_iter().chain([Ok(late)]) {
            let end = end?;
            let [taken, foreign] = ["unwrapped", "foreign-source"].map(|event| end.packets(event));
            ensure!(taken? > 0 && foreign? == 0, "{}", end.show()?);
        }
        for service in [FOUR, SIX] {
            for row in stand.rows(service).await? {
                ensure!(row["flows_total"] == 0 && row["packets"] == 0, "checks are counted: {row}");
            }
        }
        Ok(())
    })
}

fn without_address() -> Result<()> {
    block_on(async {
        let (stand, _servers) = up("ba-tunaddr-").await?;
        let _ends = backends().map(|host| take_out(&stand, host)).collect::<Result<Vec<_>>>()?;
        stand.start().await?;
        stand.all_up().await?;
        let (four, six) = (Host::Backend(1), Host::Backend(2));
        for (host, address) in [(four, format!("{VIP_V4}/32")), (six, format!("{VIP_V6}/128"))] {
            let netns = stand.place().netns(host);
            netns.sysctl(&[("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")])?;
            netns.ip(&format!("address del {address} dev lo\n"))?;
        }
        down_alone(&stand, &[(FOUR, four), (SIX, six)]).await?;
        stand.place().netns(four).ip(&format!("address add {VIP_V4}/32 dev lo\n"))?;
        stand.becomes(FOUR, &four.to_string(), "health", "up").await
    })
}
