//! Health checks by the datapath: they see what clients see, and nobody sees them.

use std::net::{IpAddr, TcpListener};

use anyhow::{Context as _, Result, bail, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use lab::{
    network::INTERFACE,
    paths::Place,
    process,
    servers::WS,
    topology::{Host, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};
use tokio::time::{Duration, sleep};

use crate::{
    Test,
    client::{ask, clients},
    file::{File, Service},
    interfaces,
    labs::block_on,
    stand::{Stand, until},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_backend_without_the_service_address_is_down_by_the_datapath_and_up_directly", missing_address),
    ("a_server_on_the_backends_own_address_alone_is_down_by_the_datapath", own_address_alone),
    ("another_backend_that_answers_a_check_by_the_datapath_is_no_good_answer", stranger),
    ("checks_by_the_datapath_are_no_flows_and_end_with_their_agent", unseen),
    ("a_check_by_the_datapath_that_leaves_elsewhere_says_nothing", elsewhere),
    ("a_reload_changes_the_way_of_the_checks", reload),
];

/// A service that is checked directly, on the same servers.
const DIRECT: &str = "direct";
const BY_DATAPATH_HTTP: &str = "kind = \"http\"\npath = \"/health\"\nvia = \"datapath\"";
const BY_DATAPATH_TCP: &str = "kind = \"tcp\"\nvia = \"datapath\"";

/// `web` is checked at its v4 addresses and `ws` at its v6 ones, both by the datapath.
fn by_datapath(place: &Place, backends: u8) -> File {
    let mut file = File::web(place, backends);
    file.services[0].check = BY_DATAPATH_HTTP;
    let mut ws = Service { check: BY_DATAPATH_TCP, ..Service::new("ws", WS_PORT, "tcp", backends) };
    ws.backends.iter_mut().for_each(|backend| backend.addresses.reverse());
    let direct = Service { check: "port = 80", ..Service::new(DIRECT, 81, "tcp", backends) };
    assert_eq!(WEB_PORT, 80);
    file.services.extend([ws, direct]);
    file
}

/// Waits until a backend is down, and its last error says so.
async fn down(stand: &Stand, service: &str, backend: Host, words: &[&str]) -> Result<()> {
    stand.becomes(service, &backend.to_string(), "health", "down").await?;
    says(stand, service, backend, words).await
}

/// Waits until the last error of a backend has all these words.
async fn says(stand: &Stand, service: &str, backend: Host, words: &[&str]) -> Result<()> {
    until(&format!("the last error of {backend} says {words:?}"), async || {
        let error = stand.field(service, &backend.to_string(), "last_error").await?;
        let error = error.as_str().with_context(|| format!("there is none: {error}"))?.to_owned();
        if words.iter().all(|word| error.contains(word)) {
            return Ok(true);
        }
        bail!("it says {error:?}")
    })
    .await
}

/// Every other backend is up, and this one as the service that is checked directly knows it.
async fn others_are_up(stand: &Stand, service: &str, but: Host) -> Result<()> {
    ensure!(stand.field(DIRECT, &but.to_string(), "health").await? == "up", "directly it is not up");
    for row in stand.rows(service).await? {
        ensure!(row["health"] == "up" || row["name"] == but.to_string(), "{row}");
    }
    Ok(())
}

fn missing_address() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viaaddr-", |place| by_datapath(place, 3)).await?;
        let host = Host::Backend(2);
        let lo = stand.place().netns(host);
        let cases: [(&str, IpAddr, IpAddr, String); 2] = [
            ("web", VIP_V4.into(), host.v4().into(), format!("{VIP_V4}:{WEB_PORT}")),
            ("ws", VIP_V6.into(), host.v6().into(), format!("[{VIP_V6}]:{WS_PORT}")),
        ];
        for (service, address, own, asked) in cases {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            lo.ip(&format!("address del {address}/{bits} dev lo\n"))?;
            let words = [&*format!("{asked} on {own} by the datapath"), "timed out"];
            down(&stand, service, host, &words).await?;
            others_are_up(&stand, service, host).await?;
            let nodad = if address.is_ipv4() { "" } else { "nodad preferred_lft 0" };
            lo.ip(&format!("address add {address}/{bits} dev lo {nodad}\n"))?;
            stand.becomes(service, &host.to_string(), "health", "up").await?;
        }
        Ok(())
    })
}

fn own_address_alone() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viaown-", |place| by_datapath(place, 2)).await?;
        let host = Host::Backend(1);
        process::running(stand.place(), host, WS)?.kill()?;
        let listen = |address: IpAddr| {
            let netns = stand.place().netns(host);
            netns.inside(|| Ok(TcpListener::bind((address, WS_PORT))?))
        };
        let _own = listen(host.v6().into())?;
        down(&stand, "ws", host, &["by the datapath", "connection refused"]).await?;
        // It is not that the server does not answer.
        stand.write(&{
            let mut file = by_datapath(stand.place(), 2);
            file.services[1].check = "kind = \"tcp\"";
            file
        })?;
        stand.balancer.run(&["reload"]).await?;
        stand.becomes("ws", &host.to_string(), "health", "up").await?;
        stand.write(&by_datapath(stand.place(), 2))?;
        stand.balancer.run(&["reload"]).await?;
        stand.becomes("ws", &host.to_string(), "health", "down").await?;
        let _service = listen(VIP_V6.into())?;
        stand.becomes("ws", &host.to_string(), "health", "up").await
    })
}

/// A backend that routes, and does not have the service address, sends a check back to the balancer, which takes it for a
/// client's packet and forwards it to one who answers.
fn stranger() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viastray-", |place| by_datapath(place, 2)).await?;
        let host = Host::Backend(2);
        let netns = stand.place().netns(host);
        netns.sysctl(&[("ipv4/ip_forward", "1"), ("ipv4/conf/all/send_redirects", "0")])?;
        netns.ip(&format!(
            "address del {VIP_V4}/32 dev lo\nroute add {VIP_V4}/32 via {}\n",
            Host::Balancer.v4()
        ))?;
        let other = lab::network::hardware_address(stand.place(), Host::Backend(1))?;
        down(&stand, "web", host, &[]).await?;
        says(&stand, "web", host, &[&other, "does not have the service address"]).await?;
        others_are_up(&stand, "web", host).await
    })
}

/// How many programs are on the traffic of the balancer's interface: what comes, what leaves.
fn programs(stand: &Stand) -> Result<[usize; 2]> {
    stand.netns().inside(|| {
        let count = |side| Ok::<_, anyhow::Error>(SchedClassifier::query_tcx(INTERFACE, side)?.1.len());
        Ok([count(TcAttachType::Ingress)?, count(TcAttachType::Egress)?])
    })
}

async fn programs_become(stand: &Stand, wanted: [usize; 2]) -> Result<()> {
    until(&format!("the programs on {INTERFACE} are {wanted:?}"), async || Ok(programs(stand)? == wanted))
        .await
}

fn unseen() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viaunseen-", |place| by_datapath(place, 3)).await?;
        ensure!(programs(&stand)? == [1, 1], "{:?}", programs(&stand)?);
        // Some ten checks of each backend.
        sleep(Duration::from_secs(3)).await;
        for service in ["web", "ws"] {
            for row in stand.rows(service).await? {
                let counts =
                    ["flows", "flows_total", "pins", "packets", "bytes"].map(|key| row[key].as_u64());
                ensure!(counts == [Some(0); 5], "checks are counted: {row}");
                ensure!(row["health"] == "up" && row["last_error"].is_null(), "{row}");
            }
        }
        for (noun, rows) in [("flow", "flows"), ("pin", "pins")] {
            let listed = stand.balancer.json(&[noun, "list"]).await?;
            ensure!(listed[rows].as_array().is_some_and(Vec::is_empty), "checks leave entries: {listed}");
        }
        stand.balancer.kill()?;
        programs_become(&stand, [0, 0]).await?;
        for client in clients(6) {
            ask(stand.place(), client)?;
        }
        stand.start().await?;
        stand.all_up().await?;
        programs_become(&stand, [1, 1]).await?;
        stand.balancer.run(&["detach", "--yes"]).await?;
        programs_become(&stand, [0, 0]).await?;
        stand.nothing_left()
    })
}

fn elsewhere() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-viaelse-").await?;
        let mut file = interfaces::with_far_backend(&stand, "")?;
        file.interfaces = vec![INTERFACE];
        file.services[0].check = BY_DATAPATH_HTTP;
        stand.write(&file)?;
        stand.start().await?;
        says(&stand, "web", interfaces::FAR, &["this host could not check", "agent.interfaces"]).await?;
        let health = stand.field("web", &interfaces::FAR.to_string(), "health").await?;
        ensure!(health == "checking", "it is judged: {health}");
        stand.becomes("web", "backend-1", "health", "up").await
    })
}

fn reload() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viareload-", |place| File::web(place, 2)).await?;
        ensure!(programs(&stand)? == [0, 0], "nobody asked for these: {:?}", programs(&stand)?);
        stand.write(&by_datapath(stand.place(), 2))?;
        stand.balancer.run(&["reload"]).await?;
        stand.all_up().await?;
        ensure!(programs(&stand)? == [1, 1], "{:?}", programs(&stand)?);
        let shown = stand.balancer.json(&["service", "show", "web"]).await?;
        ensure!(shown["service"]["health"]["via"] == "datapath", "{shown}");
        stand.write(&File::web(stand.place(), 2))?;
        stand.balancer.run(&["reload"]).await?;
        programs_become(&stand, [0, 0]).await?;
        stand.all_up().await
    })
}
