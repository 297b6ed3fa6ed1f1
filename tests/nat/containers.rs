//! Containers of the balancer's own host: behind a bridge of it, or each behind a veth that a route leads to. In generic mode, and
//! with checksums that the container's own stack completes.

mod wiring;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{
        caller::Caller,
        client::clients,
        echo::Echo,
        file::{Backend, File, Service},
        labs::block_on,
        mode::Mode,
        stand::{Stand, outcome, refused, until},
        trials::Test,
    },
    lifecycle::Extent,
    network::INTERFACE,
    paths::Place,
    shape::Shape,
    topology::{Host, client_v4, client_v6, vip_for},
};

use wiring::Wiring;

pub(crate) const TESTS: &[Test] = &[
    ("containers_on_a_bridge_of_the_balancers_host_are_served", || served("bn-bridge-", Wiring::Bridge)),
    ("containers_behind_veths_of_the_balancers_host_are_served", || served("bn-veths-", Wiring::Veths)),
    ("a_bridge_under_native_xdp_is_refused_with_what_to_do", bridge_under_native),
];

/// Names of the services, by their protocol.
const SERVICES: [&str; 2] = ["tcp", "udp"];
const PORT: u16 = 7777;
const OWN_PORT: u16 = 8081;
/// Bytes of a transfer: more than a socket's buffers and a first window.
const BYTES: usize = 20_000_000;

/// The containers, their servers, and the agent.
struct Bench {
    stand: Stand,
    wiring: Wiring,
    _servers: Vec<Echo>,
}

impl Bench {
    async fn up(prefix: &str, wiring: Wiring, agent: &'static str) -> Result<Self> {
        let shape = Shape { service_on_lo: false, ..Shape::default() };
        let stand = Stand::make_in(prefix, shape, Extent::Network).await?;
        wiring.make(stand.place())?;
        let mut servers = Vec::new();
        for container in wiring::containers() {
            wiring::complete_checksums(stand.place(), container)?;
            let own = wiring::addresses(container).map(|own| SocketAddr::new(own, OWN_PORT));
            servers.push(Echo::start(&stand.place().netns(container), &container.to_string(), &own)?);
        }
        stand.write(&file(stand.place(), wiring, agent))?;
        stand.start().await?;
        Ok(Self { stand, wiring, _servers: servers })
    }

    /// Everybody's connections, with the container that has each.
    fn callers(&self, udp: bool) -> Result<Vec<(Caller, String)>> {
        let call = |source| {
            let mut caller = Caller::open(self.stand.place(), source, (vip_for(source), PORT).into(), udp)?;
            let (container, seen) = caller.introduced()?;
            ensure!(seen == wiring::gateway(source.is_ipv6()), "{container} sees {source} at {seen}");
            [1, 500, 1300].into_iter().try_for_each(|length| caller.echo(length))?;
            Ok((caller, container))
        };
        clients(24).into_iter().map(call).collect()
    }
}

fn file(place: &Place, wiring: Wiring, agent: &'static str) -> File {
    let interfaces = [&[INTERFACE], wiring.interfaces()].concat();
    File { interfaces, agent, services: SERVICES.map(service).into(), ..File::web(place, 0) }
}

fn service(name: &'static str) -> Service {
    let backend = |container| Backend {
        addresses: wiring::addresses(container).to_vec(),
        port: Some(OWN_PORT),
        ..Backend::new(container)
    };
    Service {
        mode: Mode::Nat,
        backends: wiring::containers().map(backend).into(),
        ..Service::new(name, PORT, name, 0)
    }
}

fn served(prefix: &str, wiring: Wiring) -> Result<()> {
    block_on(async {
        let bench = Bench::up(prefix, wiring, "xdp_mode = \"generic\"").await?;
        bench.stand.all_up().await?;
        let wire = Wire::listen(&bench.stand)?;
        let mut sessions = bench.callers(false)?;
        let datagrams = bench.callers(true)?;
        wire.checksums_are_right()?;
        for container in wiring::containers().map(|container| container.to_string()) {
            for some in [&sessions, &datagrams] {
                ensure!(some.iter().any(|(_, at)| *at == container), "{container} serves nobody");
            }
        }
        for source in [client_v4(2, 100), client_v6(2, 100)] {
            Caller::open(bench.stand.place(), source, (vip_for(source), PORT).into(), false)?
                .transfer(BYTES)?;
        }
        sessions.iter_mut().try_for_each(|(caller, _)| caller.echo(100))?;
        dies(&bench, sessions).await.with_context(|| bench.stand.balancer.log_tail())
    })
}

/// A container that is no more: its clients hear of it, and are served by the other one.
async fn dies(bench: &Bench, sessions: Vec<(Caller, String)>) -> Result<()> {
    let [dead, other] = wiring::containers();
    bench.wiring.remove(bench.stand.place(), dead)?;
    let gone = dead.to_string();
    let down = async || Ok(bench.stand.field("tcp", &gone, "health").await? == "down");
    until("the death is known", down).await?;
    for (mut caller, at) in sessions {
        match at == gone {
            true => ensure!(caller.until_over()?, "it is closed, not reset"),
            false => caller.echo(100)?,
        }
    }
    for (caller, at) in bench.callers(false)? {
        ensure!(at == other.to_string(), "{} is served by {at}", caller.source);
    }
    Ok(())
}

fn bridge_under_native() -> Result<()> {
    block_on(async {
        // Native on eth0, and generic on the bridge, which has nothing else.
        let bench = Bench::up("bn-auto-", Wiring::Bridge, "").await?;
        until("the containers are refused", async || {
            let why = bench.stand.field("tcp", "backend-1", "last_error").await?;
            Ok(why
                .as_str()
                .is_some_and(|why| why.contains("podman0") && why.contains("xdp_mode = \"generic\"")))
        })
        .await?;
        bench.stand.stop().await?;
        bench.stand.write(&file(bench.stand.place(), Wiring::Bridge, "xdp_mode = \"native\""))?;
        let refusal = outcome(bench.stand.run_command(&[])?).await?;
        refused(&refusal, 1, &["podman0", "xdp_mode = \"generic\""])
    })
}

/// What comes to a client host, as it is on the wire: a veth takes a checksum that nobody has completed for a right one.
struct Wire(Child);

impl Wire {
    fn listen(stand: &Stand) -> Result<Self> {
        let client = stand.place().netns(Host::Client(1));
        let mut command = client.command("timeout");
        command.args(["20", "tcpdump", "-nvv", "-c", "20", "-i", INTERFACE, "src port 7777"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut said = BufReader::new(child.stderr.take().context("no pipe from tcpdump")?).lines();
        ensure!(
            said.any(|line| line.is_ok_and(|line| line.contains("listening on"))),
            "tcpdump does not listen"
        );
        // What else it says must go somewhere.
        std::thread::spawn(move || said.for_each(drop));
        Ok(Self(child))
    }

    fn checksums_are_right(mut self) -> Result<()> {
        let mut text = String::new();
        self.0.stdout.take().context("no pipe from tcpdump")?.read_to_string(&mut text)?;
        ensure!(self.0.wait()?.success(), "tcpdump has not seen twenty answers: {text}");
        let wrong = text.lines().find(|line| line.contains("incorrect") || line.contains("bad udp cksum"));
        ensure!(wrong.is_none(), "an answer has no right checksum: {wrong:?}");
        ensure!(text.contains("(correct)"), "no checksum was seen: {text}");
        Ok(())
    }
}
