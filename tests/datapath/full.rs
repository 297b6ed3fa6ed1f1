//! Backends with as many flows as they may have.

use crate::{
    fixture::{Fixture, Outcome, PORT, VIP4, VIP6, vip_for},
    frames::{Seg, tcp},
};
use anyhow::{Result, ensure};
use balancer_common::{reason::Reason, serve::Serving};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Both families in turn.
fn client(n: u16) -> IpAddr {
    let [high, low] = n.to_be_bytes();
    match n.is_multiple_of(2) {
        true => Ipv4Addr::new(198, 51, high, low).into(),
        false => Ipv6Addr::new(0x2001, 0xdb8, n, 0, 0, 0, 0, 7).into(),
    }
}

pub(crate) fn a_full_backend_takes_no_new_client_and_keeps_those_it_has() -> Result<()> {
    const LIMIT: u32 = 7;
    let mut fixture = Fixture::new()?;
    fixture.plane().set_max_flows(2, LIMIT);
    let mut there = Vec::new();
    for n in 0..90 {
        if fixture.connect(client(n), 4000)? == 2 {
            there.push(n);
        }
    }
    ensure!(there.len() as u32 == LIMIT && fixture.live(2)? == u64::from(LIMIT), "{there:?}");
    // Theirs is the first third of all: without a limit the last clients would be there too.
    ensure!(there.iter().all(|n| *n < 60), "{there:?}");
    // A client that is pinned there is no new one.
    ensure!(fixture.connect(client(there[0]), 4001)? == 2);
    // Two end: there is room for one.
    for (n, sport) in [(there[0], 4001), (there[1], 4000)] {
        let client = client(n);
        fixture.forwarded(&tcp(client, sport, vip_for(client), PORT, Seg::fin(1001)), Reason::Flow)?;
    }
    let mut more = 0;
    for n in 100..160 {
        more += u32::from(fixture.connect(client(n), 4000)? == 2);
    }
    ensure!(more == 1 && fixture.live(2)? == u64::from(LIMIT), "{more}");
    // No limit any more.
    fixture.plane().set_max_flows(2, 0);
    let mut many = 0;
    for n in 200..260 {
        many += u32::from(fixture.connect(client(n), 4000)? == 2);
    }
    ensure!(many > 5, "{many}");
    Ok(())
}

pub(crate) fn where_all_are_full_a_new_client_is_nobodys_and_a_pinned_one_comes_in() -> Result<()> {
    let mut fixture = Fixture::new()?;
    let backend = fixture.connect(client(0), 4000)?;
    for number in 1..=3 {
        fixture.plane().set_max_flows(number, if number == backend { 1 } else { 1 << 30 });
    }
    for number in (1..=3).filter(|number| *number != backend) {
        fixture.serve(number, Serving::FLOWS);
    }
    for (n, vip) in [(2, VIP4.into()), (3, IpAddr::from(VIP6))] {
        fixture.expect(&tcp(client(n), 4000, vip, PORT, Seg::syn(1000)), Outcome::Drop(Reason::NoBackend))?;
    }
    ensure!(fixture.connect(client(0), 4001)? == backend);
    Ok(())
}
