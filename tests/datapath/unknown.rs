//! Connections that no flow knows: begun before a loss of the tables, or on another host; and those whose backend fails
//! before they are flows.

use crate::{
    fixture::{Fixture, PORT, VIP4, VIP6},
    frames::{Seg, tcp, udp},
};
use anyhow::{Result, bail, ensure};
use balancer_common::{reason::Reason, serve::Serving};
use std::{
    net::{Ipv4Addr, Ipv6Addr},
    thread::sleep,
    time::{Duration, Instant},
};

const CLIENT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const CLIENT6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 7);
/// A flow tick of 4.1 s and the like.
const PATIENCE: Duration = Duration::from_secs(10);

fn others(backend: u16) -> Vec<u16> {
    (1..=3).filter(|number| *number != backend).collect()
}

pub(crate) fn a_segment_of_an_unknown_connection_goes_by_the_clients_pin() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(CLIENT, 4000)?;
    fixture.choose_among(&others(backend))?;
    ensure!(
        fixture.forwarded(&tcp(CLIENT, 5000, VIP4, PORT, Seg::ack(77)), Reason::UnknownPinned)? == backend
    );
    // A draining backend takes nothing new, but this is not new.
    fixture.serve(backend, Serving::FLOWS);
    ensure!(
        fixture.forwarded(&tcp(CLIENT, 5001, VIP4, PORT, Seg::ack(77)), Reason::UnknownPinned)? == backend
    );
    Ok(())
}

pub(crate) fn a_segment_of_an_unknown_connection_goes_by_the_previous_table_where_the_current_may_not()
-> Result<()> {
    let mut fixture = Fixture::new()?;
    let segment = |port| tcp(CLIENT, port, VIP4, PORT, Seg::ack(77));
    let before = fixture.forwarded(&segment(5000), Reason::UnknownMaglev)?;
    fixture.choose_among(&others(before))?;
    let now = fixture.forwarded(&segment(5001), Reason::UnknownMaglev)?;
    ensure!(now != before, "the table still names backend {before}");
    fixture.serve(now, 0);
    ensure!(fixture.forwarded(&segment(5002), Reason::UnknownPrevious)? == before);
    Ok(())
}

pub(crate) fn an_embryonic_connection_whose_backend_fails_is_placed_anew() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let failed = fixture.forwarded(&udp(CLIENT6, 4000, VIP6, PORT), Reason::NewMaglev)?;
    fixture.serve(failed, 0);
    let backend = fixture.forwarded(&udp(CLIENT6, 4000, VIP6, PORT), Reason::NewMaglev)?;
    ensure!(backend != failed && fixture.flows().is_empty());
    Ok(())
}

pub(crate) fn a_flow_is_fresh_until_a_packet_at_least_one_tick_later() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let clock = fixture.plane().clock();
    // The host knows the kernel's jiffies to within one.
    let begun = (clock.jiffies() - 1) >> clock.flow_shift;
    let backend = fixture.connect(CLIENT, 4000)?;
    let data = tcp(CLIENT, 4000, VIP4, PORT, Seg { payload: 1, ..Seg::ack(1001) });
    let give_up = Instant::now() + PATIENCE;
    loop {
        ensure!(fixture.forwarded(&data, Reason::Flow)? == backend);
        match fixture.flows()[0].state {
            "fresh" => ensure!(Instant::now() < give_up, "it is fresh after {PATIENCE:?}"),
            "established" => break,
            other => bail!("state {other}"),
        }
        sleep(Duration::from_millis(20));
    }
    let now = (clock.jiffies() + 1) >> clock.flow_shift;
    ensure!(now > begun, "it is established within the tick that it began in");
    Ok(())
}
