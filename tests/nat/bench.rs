//! A lab whose backends have nothing but their own addresses, with one program on each of them and the agent before it.

use std::net::IpAddr;

use anyhow::{Context as _, Result, bail, ensure};
use lab::{
    fixture::{
        file::{Backend, File, Service},
        mode::Mode,
        stand::Stand,
    },
    lifecycle::Extent,
    netns::output,
    paths::Place,
    shape::Shape,
    topology::{CLIENT_HOSTS, Host, VIP_V4, VIP_V6},
};

use crate::programs::Program;

/// Backends of the service.
const BACKENDS: u8 = 2;

/// The lab.
pub(crate) struct Bench {
    pub(crate) stand: Stand,
    program: Program,
}

impl Bench {
    /// Backends, their servers, and the agent; all is up.
    pub(crate) async fn up(prefix: &str, program: Program) -> Result<Self> {
        let shape = Shape { service_on_lo: false, ..Shape::default() };
        let stand = Stand::make_in(prefix, shape, Extent::Network).await?;
        for host in backends() {
            // nginx is what HAProxy passes its streams on to.
            if program == Program::Haproxy {
                Program::Nginx.start(stand.place(), host)?;
            }
            program.start(stand.place(), host)?;
            nothing_but_its_own(stand.place(), host)?;
        }
        stand.write(&File { services: vec![service(program)], ..File::web(stand.place(), 0) })?;
        stand.start().await?;
        stand.all_up().await?;
        Ok(Self { stand, program })
    }

    /// Where clients of a family go.
    pub(crate) fn url(&self, v6: bool, path: &str) -> String {
        let port = self.program.port();
        if v6 { format!("http://[{VIP_V6}]:{port}/{path}") } else { format!("http://{VIP_V4}:{port}/{path}") }
    }

    /// What curl prints on a client host.
    pub(crate) fn curl(&self, client: u8, words: &[&str]) -> Result<String> {
        let mut curl = self.stand.place().netns(Host::Client(client)).command("curl");
        output(curl.args(["-sS", "--max-time", "10"]).args(words))
    }

    /// Every client host has its answers from one backend that sees the balancer's own address, all backends have some, and
    /// without the balancer there is none.
    pub(crate) async fn pages(&self) -> Result<()> {
        let mut seen = Vec::new();
        for (host, v6) in (1..=CLIENT_HOSTS).flat_map(|host| [(host, false), (host, true)]) {
            // Many clients, so that no backend is left out.
            for n in 1..=4 {
                let from = if v6 { format!("fd78:0:{host:x}:{n:x}::1") } else { format!("10.78.{host}.{n}") };
                let words = ["--interface", &from, &self.url(v6, ""), &self.url(v6, "")];
                let page = self.curl(host, &words)?;
                let (first, second) = page.trim().split_once('\n').with_context(|| format!("{page:?}"))?;
                ensure!(first == second, "{from} got {first:?}, and then {second:?}");
                seen.push(answered(first, v6)?);
            }
        }
        for backend in backends() {
            ensure!(seen.contains(&backend), "{backend} has answered nobody");
        }
        self.nobody_without_it(async |v6| self.curl(1, &[&self.url(v6, "")]).is_ok()).await
    }

    /// With the balancer gone nobody answers.
    pub(crate) async fn nobody_without_it(&self, answers: impl AsyncFn(bool) -> bool) -> Result<()> {
        self.stand.balancer.run(&["detach", "--yes"]).await?;
        for v6 in [false, true] {
            ensure!(!answers(v6).await, "there is an answer without the balancer: by whom before?");
        }
        Ok(())
    }

    /// The addresses that a backend's program has connections from.
    pub(crate) fn peers(&self, backend: Host) -> Result<Vec<IpAddr>> {
        let port = format!("sport = :{}", self.program.own_port());
        let mut ss = self.stand.place().netns(backend).command("ss");
        let text = output(ss.args(["-Htn", "state", "established", &port]))?;
        let peer = |line: &str| -> Result<IpAddr> {
            let last = line.split_whitespace().last().with_context(|| format!("ss says {line:?}"))?;
            let (address, _) = last.rsplit_once(':').with_context(|| format!("no port in {last:?}"))?;
            let address: IpAddr = address.trim_matches(['[', ']']).parse()?;
            Ok(address.to_canonical())
        };
        text.lines().map(peer).collect()
    }
}

/// The backends.
pub(crate) fn backends() -> impl Iterator<Item = Host> {
    (1..=BACKENDS).map(Host::Backend)
}

/// The balancer's own address of a family.
pub(crate) fn own(v6: bool) -> IpAddr {
    if v6 { Host::Balancer.v6().into() } else { Host::Balancer.v4().into() }
}

/// Who answers, which must have seen the balancer's own address.
fn answered(page: &str, v6: bool) -> Result<Host> {
    let (backend, client) = page.split_once(' ').with_context(|| format!("{page:?} names nobody"))?;
    let Ok(client) = client.parse::<IpAddr>() else { bail!("{page:?} names no client") };
    ensure!(client.to_canonical() == own(v6), "{backend} sees {client}");
    backend.parse()
}

fn service(program: Program) -> Service {
    let backends = backends().map(|host| Backend { port: Some(program.own_port()), ..Backend::new(host) });
    Service {
        mode: Mode::Nat,
        backends: backends.collect(),
        ..Service::new(program.service(), program.port(), "tcp", 0)
    }
}

/// Nothing was done to the host for a balancer's sake.
fn nothing_but_its_own(place: &Place, host: Host) -> Result<()> {
    let addresses = output(place.netns(host).command("ip").args(["address", "show"]))?;
    for service in [VIP_V4.to_string(), VIP_V6.to_string()] {
        ensure!(!addresses.contains(&format!("{service}/")), "{host} has {service}: {addresses}");
    }
    let quiet = place
        .netns(host)
        .inside(|| Ok(std::fs::read_to_string("/proc/sys/net/ipv4/conf/all/arp_ignore")?))?;
    ensure!(quiet.trim() == "0", "{host} has arp_ignore {quiet}");
    Ok(())
}
