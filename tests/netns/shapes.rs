//! The lab's other networks are what they are said to be.

use std::{
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use lab::{
    fixture::{caller::Caller, echo::Echo, loss::Loss},
    lifecycle::Extent,
    netns::{Netns, output},
    network::SECOND_INTERFACE,
    shape::{Answers, BALANCER_FAR, Backends, ROUTER, Shape, v4, v6},
    topology::{Host, VIP_V4, client_v4, client_v6},
};

use crate::{
    Test,
    labs::{Lab, block_on},
};

pub(crate) const TESTS: &[Test] = &[
    ("a_router_stands_between_clients_and_backends", a_router_stands_between_clients_and_backends),
    (
        "the_balancers_second_interface_is_on_the_backends_segment",
        the_balancers_second_interface_is_on_the_backends_segment,
    ),
    (
        "backends_answer_by_the_balancer_where_it_is_their_gateway",
        backends_answer_by_the_balancer_where_it_is_their_gateway,
    ),
    ("packets_get_lost_as_often_as_is_said", packets_get_lost_as_often_as_is_said),
];

const BACKEND: Host = Host::Backend(2);
const PORT: u16 = 7777;
const PATIENCE: Duration = Duration::from_secs(2);

async fn lab(prefix: &str, shape: Shape) -> Result<Lab> {
    Lab::up_in(prefix, shape, Extent::Network).await
}

/// What a host sends a packet to: the gateway, or the address itself, and the interface.
fn way(netns: &Netns, to: IpAddr) -> Result<(IpAddr, String)> {
    let text = output(netns.command("ip").args(["route", "get", &to.to_string()]))?;
    let words: Vec<_> = text.split_whitespace().collect();
    let behind = |word| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1)).copied();
    let gateway = behind("via").unwrap_or(words.first().context("no route")?).parse()?;
    Ok((gateway, behind("dev").context("no interface")?.to_owned()))
}

fn a_router_stands_between_clients_and_backends() -> Result<()> {
    block_on(async {
        let lab = lab("bt-router-", Shape { mtu: 1400, ..Shape::of(Backends::Routed) }).await?;
        let place = &lab.place;
        let servers =
            [BACKEND.v4().into(), BACKEND.v6().into()].map(|own: IpAddr| SocketAddr::new(own, PORT));
        let _echo = Echo::start(&place.netns(BACKEND), "far", &servers)?;
        let [near, far] = ROUTER;
        for (client, server, hops) in [
            (client_v4(1, 1), servers[0], [v4(near).into(), v4(far).into()]),
            (client_v6(1, 1), servers[1], [IpAddr::V6(v6(near)), v6(far).into()]),
        ] {
            for host in [Host::Client(1), Host::Balancer] {
                ensure!(way(&place.netns(host), server.ip())?.0 == hops[0], "{host} to {server}");
            }
            ensure!(way(&place.netns(BACKEND), client)?.0 == hops[1], "{client}");
            let mut caller = Caller::open(place, client, server, false)?;
            ensure!(caller.introduced()? == ("far".to_owned(), client));
            // More than the way to the backends takes at once: the router says so, and the client's host remembers it.
            caller.echo(9000)?;
            let host = place.netns(Host::Client(1));
            let from = client.to_string();
            let route =
                output(host.command("ip").args(["route", "get", &server.ip().to_string(), "from", &from]))?;
            ensure!(route.contains("mtu 1400"), "{route}");
        }
        Ok(())
    })
}

fn the_balancers_second_interface_is_on_the_backends_segment() -> Result<()> {
    block_on(async {
        let lab = lab("bt-two-", Shape::of(Backends::TwoSegments)).await?;
        let balancer = lab.place.netns(Host::Balancer);
        for own in [BACKEND.v4().into(), IpAddr::from(BACKEND.v6())] {
            ensure!(
                way(&balancer, own)? == (own, SECOND_INTERFACE.to_owned()),
                "{own}: {:?}",
                way(&balancer, own)?
            );
            let address = SocketAddr::new(own, PORT);
            let _echo = Echo::start(&lab.place.netns(BACKEND), "far", &[address])?;
            balancer.inside(|| Ok(TcpStream::connect_timeout(&address, PATIENCE)?))?;
        }
        let back = way(&lab.place.netns(BACKEND), v4(BALANCER_FAR).into())?.0;
        ensure!(back == IpAddr::V4(v4(BALANCER_FAR)), "the balancer is at {back}");
        Ok(())
    })
}

fn backends_answer_by_the_balancer_where_it_is_their_gateway() -> Result<()> {
    block_on(async {
        let shape = Shape { answers: Answers::ThroughBalancer, service_on_lo: false, ..Shape::default() };
        let lab = lab("bt-gateway-", shape).await?;
        let backend = lab.place.netns(BACKEND);
        for (client, gateway) in [
            (client_v4(3, 1), IpAddr::V4(Host::Balancer.v4())),
            (client_v6(3, 1), IpAddr::V6(Host::Balancer.v6())),
        ] {
            ensure!(way(&backend, client)?.0 == gateway, "{client}");
        }
        let own = output(backend.command("ip").args(["address", "show"]))?;
        ensure!(!own.contains(&VIP_V4.to_string()), "it has the service address: {own}");
        Ok(())
    })
}

fn packets_get_lost_as_often_as_is_said() -> Result<()> {
    block_on(async {
        let lab = lab("bt-loss-", Shape::default()).await?;
        let (place, server) = (&lab.place, SocketAddr::new(BACKEND.v4().into(), PORT));
        let _echo = Echo::start(&place.netns(BACKEND), "lossy", &[server])?;
        let client = place.netns(Host::Client(2));
        ensure!(lost(&client, server)? == 0);
        let loss = Loss::towards(&place.switch(), BACKEND, 250, &place.bpffs().join("loss"))?;
        // Five standard deviations: 68 of 1000.
        let gone = lost(&client, server)?;
        ensure!((182..=318).contains(&gone), "{gone} of 1000 are lost");
        drop(loss);
        ensure!(lost(&client, server)? == 0);
        Ok(())
    })
}

/// How many of a thousand datagrams are not answered; few are on their way at once.
fn lost(client: &Netns, server: SocketAddr) -> Result<usize> {
    let socket = client.inside(|| Ok(UdpSocket::bind((Host::Client(2).v4(), 0))?))?;
    let (mut answered, mut buffer) = (0, [0; 16]);
    for burst in 1..=50 {
        (0..20).try_for_each(|_| socket.send_to(b"here", server).map(drop))?;
        // The last ones have their time.
        socket.set_read_timeout(Some(Duration::from_millis(if burst == 50 { 300 } else { 2 })))?;
        while answered < 20 * burst && socket.recv(&mut buffer).is_ok() {
            answered += 1;
        }
    }
    Ok(1000 - answered)
}
