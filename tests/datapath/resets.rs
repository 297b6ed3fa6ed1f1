//! What becomes of flows whose backend may serve nobody: reset, each at its turn.

use crate::{
    fixture::{Fixture, Outcome, PORT, VIP_ANY, VIP4, VIP6},
    frames::{IP, Seg, extended, tagged, tcp, udp, with_options},
};
use anyhow::{Result, ensure};
use balancer_common::{
    reason::Reason,
    serve::Serving,
    state::{OnExpire, OnNone},
    table::{listener::TimeoutTicks, schedule::Schedule},
};
use balancer_user::dataplane::{FlowId, Sweep, Turn};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
const ALL: u8 = Serving::FLOWS | Serving::PINNED | Serving::NEW;

/// Both families, with the service address of each.
fn families() -> [(IpAddr, IpAddr); 2] {
    [(CLIENT.into(), VIP4.into()), (CLIENT6.into(), VIP6.into())]
}

impl Fixture {
    /// Sends a datagram until it is answered.
    fn spoken(&mut self, frame: &[u8]) -> Result<()> {
        for _ in 0..100 {
            if self.run(frame)? == Outcome::Unreachable {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        anyhow::bail!("nothing is said of it")
    }

    /// A backend resets its flows from now on, within this many jiffies.
    fn fail(&mut self, number: u16, window: u32) {
        let now = self.plane().clock().jiffies();
        self.plane().set_schedule(number, Schedule::new(now, window));
        self.serve(number, Serving::RESETS);
    }

    /// Lets its flows run out, and sweeps.
    fn expire(&mut self, on_expire: OnExpire) -> Result<Sweep> {
        let none = TimeoutTicks { syn: 0, established: 0, closing: 0, udp: 0 };
        self.amend(|listener| {
            listener.on_expire = on_expire;
            listener.timeouts = none;
        })?;
        // A flow has run out when a tick of more than 4 s has passed.
        for _ in 0..100 {
            let swept = self.plane().sweep();
            if swept.freed > 0 {
                return Ok(swept);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        anyhow::bail!("nothing runs out")
    }

    /// The one flow that is to be reset.
    fn doomed(&mut self) -> Result<FlowId> {
        let found = self.plane().sweep().doomed;
        ensure!(found.len() == 1, "{found:?}");
        Ok(found[0].flow)
    }
}

pub(crate) fn a_segment_of_a_flow_on_a_dead_backend_is_answered_by_a_rst() -> Result<()> {
    for (client, vip) in families() {
        for seg in [
            Seg { payload: 100, ..Seg::ack(1001) },
            Seg::ack(1001),
            Seg::fin(1001),
            // Neither ACK nor SYN: no state of a connection sends it, but it can be answered.
            Seg { ack: false, payload: 7, ..Seg::ack(1001) },
        ] {
            let mut fixture = Fixture::new()?;
            let backend = fixture.connect(client, 4000)?;
            fixture.fail(backend, 0);
            // The fixture compares the answer with what RFC 9293 wants.
            fixture.expect(&tcp(client, 4000, vip, PORT, seg), Outcome::Rst(Reason::Reset))?;
            let counts = fixture.plane().counts(backend);
            ensure!((counts.reset, counts.live()) == (1, 0), "{counts:?}");
            ensure!(fixture.pins()[0].live == 0, "the flow still holds its pin");
            ensure!(fixture.flows()[0].state == "reset", "{:?}", fixture.flows());
            // Whatever follows is answered too, and counted once.
            fixture.expect(&tcp(client, 4000, vip, PORT, Seg::ack(1101)), Outcome::Rst(Reason::Reset))?;
            ensure!(fixture.plane().counts(backend).reset == 1, "one flow, reset twice");
        }
    }
    Ok(())
}

pub(crate) fn tags_options_and_extension_headers_are_no_hindrance() -> Result<()> {
    let plain = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 30, ..Seg::ack(1001) });
    let six = tcp(CLIENT6, 4000, VIP6, PORT, Seg { payload: 30, ..Seg::ack(1001) });
    let hop_by_hop = [(0, vec![0; 8])];
    let frames = [
        tagged(&plain, &[0x8100]),
        tagged(&plain, &[0x88a8, 0x8100]),
        with_options(&plain, 8),
        tagged(&with_options(&plain, 10), &[0x8100]),
        tagged(&six, &[0x8100]),
        extended(&six, &hop_by_hop),
    ];
    for frame in frames {
        let mut fixture = Fixture::new()?;
        for client in [IpAddr::from(CLIENT), CLIENT6.into()] {
            let backend = fixture.connect(client, 4000)?;
            fixture.fail(backend, 0);
        }
        fixture.expect(&frame, Outcome::Rst(Reason::Reset))?;
    }
    Ok(())
}

pub(crate) fn a_rst_is_never_answered_and_confirms_that_the_client_knows() -> Result<()> {
    for (client, vip) in families() {
        // Before its flow was reset, and after.
        for reset in [false, true] {
            let mut fixture = Fixture::new()?;
            let backend = fixture.connect(client, 4000)?;
            fixture.fail(backend, if reset { 0 } else { 1 << 20 });
            if reset {
                fixture.expect(&tcp(client, 4000, vip, PORT, Seg::ack(1001)), Outcome::Rst(Reason::Reset))?;
            }
            let rst = tcp(client, 4000, vip, PORT, Seg::rst(1001));
            fixture.expect(&rst, Outcome::Drop(Reason::ResetConfirmed))?;
            ensure!(fixture.flows().is_empty(), "the flow is still there");
            ensure!(fixture.live(backend)? == 0 && fixture.pins()[0].live == 0);
        }
    }
    Ok(())
}

pub(crate) fn a_segment_before_its_flows_turn_is_dropped() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    // An hour or so: no turn comes within this test.
    fixture.fail(backend, 1 << 20);
    let segment = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 9, ..Seg::ack(1001) });
    fixture.expect(&segment, Outcome::Drop(Reason::ResetWaiting))?;
    ensure!(fixture.live(backend)? == 1 && fixture.plane().counts(backend).reset == 0);
    // One that may serve again before the turn has lost nobody.
    fixture.serve(backend, ALL);
    ensure!(fixture.forwarded(&segment, Reason::Flow)? == backend);
    Ok(())
}

pub(crate) fn a_flow_that_closes_loses_nothing_while_it_waits_for_its_turn() -> Result<()> {
    for (client, vip) in families() {
        let mut fixture = Fixture::new()?;
        let backend = fixture.connect(client, 4000)?;
        let segment = |seg| tcp(client, 4000, vip, PORT, seg);
        // Forged: the client has more to say than this FIN has it, which is seen once its backend serves again.
        fixture.forwarded(&segment(Seg::fin(1001)), Reason::Flow)?;
        fixture.fail(backend, 1 << 20);
        let more = segment(Seg { payload: 1000, ..Seg::ack(1001) });
        fixture.expect(&more, Outcome::Drop(Reason::ResetWaiting))?;
        fixture.serve(backend, ALL);
        ensure!(fixture.forwarded(&more, Reason::Flow)? == backend && fixture.live(backend)? == 1);
        // At its turn, its client is told at the number that it says it expects.
        fixture.forwarded(&segment(Seg::fin(2001)), Reason::Flow)?;
        fixture.fail(backend, 0);
        fixture.expect(&more, Outcome::Rst(Reason::Reset))?;
        let flow = fixture.doomed()?;
        ensure!(fixture.plane().unconfirmed(flow).is_some_and(|ends| ends.ack == 5000));
    }
    Ok(())
}

pub(crate) fn a_syn_on_a_flow_that_is_reset_or_waits_for_it_is_a_new_connection() -> Result<()> {
    for window in [0, 1 << 20] {
        let mut fixture = Fixture::new()?;
        let dead = fixture.connect(CLIENT, 4000)?;
        fixture.fail(dead, window);
        fixture.run(&tcp(CLIENT, 4000, VIP4, PORT, Seg::ack(1001)))?;
        let elsewhere = fixture.connect(CLIENT, 4000)?;
        ensure!(elsewhere != dead && fixture.live(dead)? == 0 && fixture.live(elsewhere)? == 1);
        ensure!(fixture.flows().len() == 1 && fixture.pins()[0].backend == elsewhere);
    }
    Ok(())
}

pub(crate) fn what_is_no_tcp_flow_of_a_dead_backend_is_never_reset() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    let segment = |seg| tcp(CLIENT, 4000, VIP4, PORT, seg);
    // A backend that serves: a live one, a draining one, one that is being checked.
    for bits in [ALL, Serving::FLOWS, Serving::FLOWS | Serving::KEEPS_PINS] {
        fixture.serve(backend, bits);
        ensure!(fixture.forwarded(&segment(Seg::ack(1001)), Reason::Flow)? == backend);
    }
    // A forged FIN on it costs nothing either.
    fixture.forwarded(&segment(Seg::fin(1001 + (1 << 31))), Reason::Flow)?;
    ensure!(fixture.forwarded(&segment(Seg { payload: 1, ..Seg::ack(1001) }), Reason::Flow)? == backend);
    fixture.fail(backend, 0);
    // No service; a fragment; another client's connection; UDP, which chooses again.
    fixture.expect(&tcp(CLIENT, 4000, Ipv4Addr::new(203, 0, 113, 99), PORT, Seg::ack(1)), Outcome::Pass)?;
    fixture.expect(&tcp(CLIENT, 4000, VIP4, 22, Seg::ack(1)), Outcome::Pass)?;
    let mut fragment = segment(Seg::ack(1001));
    fragment[IP + 6] |= 0x20;
    fixture.expect(&fragment, Outcome::Drop(Reason::Fragment))?;
    let stranger = tcp(Ipv4Addr::new(198, 51, 100, 99), 4000, VIP4, PORT, Seg::ack(1));
    ensure!(matches!(fixture.run(&stranger)?, Outcome::To(..)), "a segment of an unknown connection");
    ensure!(fixture.plane().counts(backend).reset == 0);
    Ok(())
}

pub(crate) fn a_udp_flow_on_a_dead_backend_chooses_again() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let frame = udp(CLIENT, 4000, VIP4, PORT);
    for _ in 0..3 {
        fixture.run(&frame)?;
    }
    let dead = fixture.flows()[0].backend;
    fixture.fail(dead, 0);
    ensure!(fixture.forwarded(&frame, Reason::Rehashed)? != dead);
    Ok(())
}

pub(crate) fn a_udp_flow_of_a_backend_that_returns_does_not_lead_its_client_back() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let from = |port| udp(CLIENT, port, VIP4, PORT);
    for _ in 0..3 {
        fixture.run(&from(4000))?;
    }
    let dead = fixture.flows()[0].backend;
    fixture.fail(dead, 0);
    fixture.plane().sweep();
    ensure!(fixture.live(dead)? == 0 && fixture.flows().is_empty());
    for _ in 0..3 {
        fixture.run(&from(4001))?;
    }
    let elsewhere = fixture.pins()[0].backend;
    ensure!(elsewhere != dead);
    fixture.serve(dead, ALL);
    ensure!(fixture.forwarded(&from(4000), Reason::NewPinned)? == elsewhere);
    Ok(())
}

pub(crate) fn the_agent_resets_a_silent_flow_with_an_ack_that_is_a_thousand_too_low() -> Result<()> {
    for (client, vip) in families() {
        let mut fixture = Fixture::new()?;
        let backend = fixture.connect(client, 4000)?;
        fixture.fail(backend, 0);
        let flow = fixture.doomed()?;
        let Turn::Reset(ends) = fixture.plane().reset(flow) else { anyhow::bail!("its turn has not come") };
        ensure!((ends.client.ip(), ends.client.port()) == (client, 4000), "{ends:?}");
        ensure!((ends.service.ip(), ends.service.port()) == (vip, PORT), "{ends:?}");
        // What every client of these frames has acknowledged.
        ensure!(ends.ack == 5000, "the ack that was remembered is {}", ends.ack);
        ensure!(fixture.plane().counts(backend).reset == 1 && fixture.live(backend)? == 0);
        // The client expects 6000: it takes no notice of that RST, and answers the probe with what it expects.
        let mut answer = tcp(client, 4000, vip, PORT, Seg::ack(1001));
        let at = answer.len() - 20 + 8;
        answer[at..at + 4].copy_from_slice(&6000u32.to_be_bytes());
        fixture.expect(&answer, Outcome::Rst(Reason::Reset))?;
        ensure!(fixture.plane().unconfirmed(flow).is_some_and(|ends| ends.ack == 6000));
        // The next probe meets nobody: a RST, which confirms.
        let confirmation = tcp(client, 4000, vip, PORT, Seg::rst(5999));
        fixture.expect(&confirmation, Outcome::Drop(Reason::ResetConfirmed))?;
        ensure!(fixture.plane().unconfirmed(flow).is_none() && !fixture.plane().give_up(flow));
    }
    Ok(())
}

pub(crate) fn the_agent_waits_for_the_turn_of_a_flow_and_lets_go_of_one_that_is_served_again() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.fail(backend, 1 << 20);
    let flow = fixture.doomed()?;
    let Turn::Later(wait) = fixture.plane().reset(flow) else { anyhow::bail!("reset before its turn") };
    ensure!((1..1 << 20).contains(&wait), "{wait}");
    fixture.serve(backend, ALL);
    ensure!(fixture.plane().reset(flow) == Turn::Over && fixture.live(backend)? == 1);
    // Given up: only what is reset.
    ensure!(!fixture.plane().give_up(flow));
    Ok(())
}

pub(crate) fn an_address_of_every_port_is_reset_from_the_port_that_was_asked() -> Result<()> {
    let mut fixture = Fixture::new()?;
    fixture.run(&tcp(CLIENT, 4000, VIP_ANY, 8080, Seg::syn(1)))?;
    let backend = fixture.forwarded(&tcp(CLIENT, 4000, VIP_ANY, 8080, Seg::ack(2)), Reason::Promoted)?;
    fixture.fail(backend, 0);
    let flow = fixture.doomed()?;
    let Turn::Reset(ends) = fixture.plane().reset(flow) else { anyhow::bail!("its turn has not come") };
    ensure!((ends.service.ip(), ends.service.port()) == (VIP_ANY.into(), 8080), "{ends:?}");
    Ok(())
}

pub(crate) fn where_nobody_can_serve_a_syn_is_refused_or_dropped_as_the_service_says() -> Result<()> {
    for (client, vip) in families() {
        let mut fixture = Fixture::new()?;
        let syn = tcp(client, 4000, vip, PORT, Seg::syn(1));
        (1..=3).for_each(|number| fixture.serve(number, Serving::FLOWS));
        fixture.expect(&syn, Outcome::Drop(Reason::NoBackend))?;
        fixture.amend(|listener| listener.on_none = OnNone::Reset)?;
        fixture.expect(&syn, Outcome::Rst(Reason::NoBackendReset))?;
        ensure!(fixture.flows().is_empty() && fixture.pins().is_empty());
    }
    Ok(())
}

pub(crate) fn where_nobody_can_serve_a_datagram_is_answered_now_and_then() -> Result<()> {
    const MANY: u32 = 2_000;
    for (client, vip) in families() {
        let mut fixture = Fixture::new()?;
        let datagram = udp(client, 4000, vip, PORT);
        (1..=3).for_each(|number| fixture.serve(number, Serving::FLOWS));
        fixture.expect(&datagram, Outcome::Drop(Reason::NoBackend))?;
        fixture.amend(|listener| listener.on_none = OnNone::Reset)?;
        for frame in [datagram.clone(), tagged(&datagram, &[0x8100]), tagged(&datagram, &[0x88a8, 0x8100])] {
            fixture.spoken(&frame)?;
        }
        // At most one a CPU and clock tick, which is 1 to 10 ms.
        let begun = std::time::Instant::now();
        let mut answers = 0;
        for _ in 0..MANY {
            match fixture.run(&datagram)? {
                Outcome::Unreachable => answers += 1,
                Outcome::Drop(Reason::NoBackend) => {}
                other => anyhow::bail!("{other:?}"),
            }
        }
        let most = begun.elapsed().as_millis() as u32 + 1;
        let cpus = std::thread::available_parallelism()?.get() as u32;
        ensure!(
            answers > 0 && answers < MANY && answers <= most * cpus,
            "{answers} answers within {most} ms"
        );
    }
    // Of no one host, or not the whole of what is to be quoted at its place.
    let mut fixture = Fixture::new()?;
    (1..=3).for_each(|number| fixture.serve(number, Serving::FLOWS));
    fixture.amend(|listener| listener.on_none = OnNone::Reset)?;
    let datagram = udp(CLIENT, 4000, VIP4, PORT);
    let stranger = udp(Ipv4Addr::new(224, 0, 0, 7), 4000, VIP4, PORT);
    for frame in [stranger, with_options(&datagram, 2)] {
        std::thread::sleep(Duration::from_millis(20));
        fixture.expect(&frame, Outcome::Drop(Reason::NoBackend))?;
    }
    ensure!(fixture.flows().is_empty() && fixture.pins().is_empty());
    Ok(())
}

pub(crate) fn a_flow_that_has_run_out_is_reset_where_the_service_says_so() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    let swept = fixture.expire(OnExpire::Reset)?;
    ensure!(swept.expired.get(&backend) == Some(&1) && swept.doomed.len() == 1, "{swept:?}");
    ensure!(fixture.plane().counts(backend).reset == 1 && fixture.live(backend)? == 0);
    let mut other = Fixture::new()?;
    let backend = other.connect(CLIENT, 4000)?;
    ensure!(other.expire(OnExpire::Forget)?.doomed.is_empty());
    let state = other.plane().counts(backend);
    ensure!((state.expired, state.reset) == (1, 0), "{state:?}");
    Ok(())
}
