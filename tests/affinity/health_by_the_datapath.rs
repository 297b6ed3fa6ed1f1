//! Health checks by the datapath: they see what clients see, and nobody sees them.

use std::net::{IpAddr, TcpListener};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    fixture::{
        far::{FAR, with_far_backend},
        tcx::{crowd, programs},
    },
    network::INTERFACE,
    paths::Place,
    process,
    servers::WS,
    topology::{Host, VIP_V4, VIP_V6, WEB_PORT, WS_PORT},
};
use tokio::time::{Duration, sleep};

use crate::{
    client::{ask, clients},
    file::{File, Service},
    labs::block_on,
    stand::{Stand, outcome, refused, until},
    trials::Test,
};

pub(crate) const TESTS: &[Test] = &[
    ("health_by_the_datapath", missing_address),
    ("by_default_a_backend_without_the_service_address_is_down", missing_address_by_default),
    ("by_default_a_check_of_another_port_goes_directly", another_port),
    ("by_default_a_check_that_the_kernel_cannot_steer_goes_directly", no_room),
    ("a_server_on_the_backends_own_address_alone_is_down_by_the_datapath", own_address_alone),
    ("another_backend_that_answers_a_check_by_the_datapath_is_no_good_answer", stranger),
    ("checks_by_the_datapath_are_no_flows_and_end_with_their_agent", unseen),
    ("a_check_by_the_datapath_that_leaves_elsewhere_says_nothing", elsewhere),
    ("a_reload_changes_the_way_of_the_checks", reload),
];

/// A service that is checked directly, on the same servers.
const DIRECT: &str = "direct";
const DIRECT_HTTP: &str = "kind = \"http\"\npath = \"/health\"\nvia = \"direct\"";
const BY_DEFAULT_HTTP: &str = "kind = \"http\"\npath = \"/health\"";
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

/// `web` alone, checked directly.
fn directly(place: &Place, backends: u8) -> File {
    let mut file = File::web(place, backends);
    file.services[0].check = DIRECT_HTTP;
    file
}

async fn reload_with(stand: &Stand, file: &File) -> Result<()> {
    stand.write(file)?;
    stand.balancer.run(&["reload"]).await.map(drop)
}

/// The way that the checks of a service take, and what the file says of it.
async fn via_is(stand: &Stand, service: &str, wanted: [&str; 2]) -> Result<()> {
    let shown = stand.balancer.json(&["service", "show", service]).await?;
    let health = &shown["service"]["health"];
    ensure!([&health["via"], &health["via_configured"]] == wanted, "not {wanted:?}: {health}");
    Ok(())
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

fn missing_address_by_default() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viaauto-", |place| File::whole(place, 2)).await?;
        for (service, via) in [("web", "datapath"), ("ws", "datapath"), ("udp", "direct")] {
            via_is(&stand, service, [via, "auto"]).await?;
        }
        let host = Host::Backend(2);
        let lo = stand.place().netns(host);
        lo.ip(&format!("address del {VIP_V4}/32 dev lo\n"))?;
        for service in ["web", "ws"] {
            down(&stand, service, host, &[&VIP_V4.to_string(), "by the datapath"]).await?;
            stand.becomes(service, "backend-1", "health", "up").await?;
        }
        lo.ip(&format!("address add {VIP_V4}/32 dev lo\n"))?;
        stand.all_up().await
    })
}

/// Where nobody says which way, a port that clients do not reach is asked at the backend's own address, which alone has
/// to answer there.
fn another_port() -> Result<()> {
    block_on(async {
        let file = |place: &Place| {
            let elsewhere = Service { check: "port = 80", ..Service::new(DIRECT, 81, "tcp", 2) };
            File { services: vec![elsewhere], ..File::web(place, 2) }
        };
        let stand = Stand::make("ba-viaport-").await?;
        let host = Host::Backend(2);
        stand.place().netns(host).ip(&format!("address del {VIP_V4}/32 dev lo\n"))?;
        stand.write(&file(stand.place()))?;
        stand.start().await?;
        stand.all_up().await?;
        via_is(&stand, DIRECT, ["direct", "auto"]).await?;
        ensure!(programs(&stand)? == [0, 0], "nobody needs these: {:?}", programs(&stand)?);
        Ok(())
    })
}

/// Stands for a kernel before Linux 6.6: it has no place for the programs.
fn no_room() -> Result<()> {
    block_on(async {
        let stand = Stand::make("ba-viaroom-").await?;
        let crowded = crowd(&stand)?;
        let there = [0, crowded.len()];
        stand.write(&by_datapath(stand.place(), 2))?;
        refused(&outcome(stand.run_command(&[])?).await?, 1, &[INTERFACE, "health.via"])?;
        let host = Host::Backend(2);
        stand.place().netns(host).ip(&format!("address del {VIP_V4}/32 dev lo\n"))?;
        stand.write(&File::web(stand.place(), 2))?;
        stand.start().await?;
        stand.all_up().await?;
        via_is(&stand, "web", ["direct", "auto"]).await?;
        let log = stand.balancer.log_tail();
        ensure!(log.matches("by the datapath cannot be had here").count() == 1, "{log}");
        ensure!(programs(&stand)? == there, "{:?}", programs(&stand)?);
        // Who insists is refused, and nothing is changed.
        stand.write(&by_datapath(stand.place(), 2))?;
        refused(&stand.balancer.outcome(&["reload"]).await?, 1, &["nothing was changed", "health.via"])?;
        via_is(&stand, "web", ["direct", "auto"]).await?;
        drop(crowded);
        reload_with(&stand, &by_datapath(stand.place(), 2)).await?;
        programs_become(&stand, [1, 1]).await?;
        down(&stand, "web", host, &["by the datapath"]).await
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
            file.services[1].check = "kind = \"tcp\"\nvia = \"direct\"";
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
        let mut file = with_far_backend(&stand, "")?;
        file.interfaces = vec![INTERFACE];
        file.services[0].check = BY_DATAPATH_HTTP;
        stand.write(&file)?;
        stand.start().await?;
        says(&stand, "web", FAR, &["this host could not check", "agent.interfaces"]).await?;
        let health = stand.field("web", &FAR.to_string(), "health").await?;
        ensure!(health == "checking", "it is judged: {health}");
        stand.becomes("web", "backend-1", "health", "up").await?;
        // Left to the agent, its check goes the way that there is.
        file.services[0].check = BY_DEFAULT_HTTP;
        reload_with(&stand, &file).await?;
        stand.becomes("web", &FAR.to_string(), "health", "up").await?;
        via_is(&stand, "web", ["both", "auto"]).await
    })
}

fn reload() -> Result<()> {
    block_on(async {
        let stand = Stand::up("ba-viareload-", |place| directly(place, 2)).await?;
        ensure!(programs(&stand)? == [0, 0], "nobody asked for these: {:?}", programs(&stand)?);
        via_is(&stand, "web", ["direct", "direct"]).await?;
        for (file, configured) in [
            (by_datapath(stand.place(), 2), "datapath"),
            (directly(stand.place(), 2), "direct"),
            (File::web(stand.place(), 2), "auto"),
        ] {
            reload_with(&stand, &file).await?;
            let (via, there) = if configured == "direct" { ("direct", [0, 0]) } else { ("datapath", [1, 1]) };
            programs_become(&stand, there).await?;
            via_is(&stand, "web", [via, configured]).await?;
            stand.all_up().await?;
        }
        Ok(())
    })
}
