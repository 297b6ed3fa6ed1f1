//! A loaded program over maps of its own, one service, and packets for it.

use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    layout::{Dimensions, maglev_pool},
    maglev::{self, Entrant, Walk},
    reason::Reason,
    serve::Serving,
    state::{Admin, AffinityBy, Health, Mode, Proto},
    table::{
        backend::{BackendState, NextHop},
        listener::{ListenerEntry, ListenerKey, TimeoutTicks, wide4},
    },
};
use balancer_user::dataplane::{Dataplane, FlowFilter, FlowRow, OpenOptions, PinFilter, PinRow};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
};

/// The loopback interface: test runs come in by it.
pub const INGRESS: u32 = 1;
/// MAC address of the balancer's interface.
pub const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address of the client's side.
pub const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
/// Service addresses and port.
pub const VIP4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The v6 one.
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// Port of the TCP and the UDP listener.
pub const PORT: u16 = 443;
/// Address on which every TCP port is listened on.
pub const VIP_ANY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// Number of the service.
pub const SERVICE: u16 = 1;
const SEED: [u8; 16] = [7; 16];
const MAGLEV: u32 = 251;
const PASS: u32 = 2;
const DROP: u32 = 1;
const TX: u32 = 3;

/// What the program did with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Passed untouched.
    Pass,
    /// Dropped under this reason.
    Drop(Reason),
    /// Sent to this backend under this reason.
    To(u16, Reason),
}

/// The program, its maps, and three backends.
pub struct Fixture {
    plane: Option<Dataplane>,
    directory: PathBuf,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);

impl Fixture {
    /// Loads the program, with three backends that take everything.
    pub fn new() -> Result<Self> {
        Self::with(AffinityBy::Client)
    }

    /// As [`Fixture::new`], with this affinity.
    pub fn with(by: AffinityBy) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/sys/fs/bpf/balancer-test-{}-{number}", std::process::id()));
        let dimensions =
            Dimensions { flows: 4096, pins: 4096, maglev_lines: maglev_pool(std::iter::once(MAGLEV)) };
        let options = OpenOptions { bpffs: directory.clone(), dimensions, hash_seed: SEED };
        let plane = Dataplane::open(&options).context("loading the program")?;
        let mut fixture = Self { plane: Some(plane), directory };
        fixture.fill(by)?;
        Ok(fixture)
    }

    /// The tables.
    pub fn plane(&mut self) -> &mut Dataplane {
        self.plane.as_mut().expect("taken only by drop")
    }

    fn fill(&mut self, by: AffinityBy) -> Result<()> {
        let clock = self.plane().clock();
        let seconds = |s| clock.flow_ticks(std::time::Duration::from_secs(s));
        let timeouts = TimeoutTicks {
            syn: seconds(60),
            established: seconds(7200),
            closing: seconds(30),
            udp: seconds(120),
        };
        let entry = |listener, key| ListenerEntry {
            key,
            listener,
            service: SERVICE,
            by,
            salt: 1,
            maglev_size: MAGLEV,
            affinity_timeout: clock.pin_ticks(std::time::Duration::from_secs(3600)),
            v4_prefix: 32,
            v6_prefix: 64,
            timeouts,
        };
        let key = |address, port, proto: Proto| ListenerKey { address, port, proto: proto as u8 };
        let v4 = |address: Ipv4Addr| wide4(u32::from_ne_bytes(address.octets()));
        let listeners = [
            entry(1, key(v4(VIP4), PORT, Proto::Tcp)),
            entry(2, key(v4(VIP4), PORT, Proto::Udp)),
            entry(3, key(wide6(VIP6), PORT, Proto::Tcp)),
            entry(4, key(wide6(VIP6), PORT, Proto::Udp)),
            entry(5, key(v4(VIP_ANY), 0, Proto::Tcp)),
        ];
        let plane = self.plane();
        plane.set_interfaces(&[(INGRESS, OWN)])?;
        let line = plane.interface_line(INGRESS).context("the interface has no line")?;
        plane.set_service(SERVICE, 99, entry(1, listeners[0].key).affinity_timeout);
        for number in 1..=3 {
            self.plane().set_next_hop(number, NextHop::new(mac(number), line));
            self.serve(number, Serving::FLOWS | Serving::PINNED | Serving::NEW);
        }
        self.choose_among(&[1, 2, 3])?;
        self.plane().set_listeners(&listeners)?;
        Ok(())
    }

    /// Says what a backend may do.
    pub fn serve(&mut self, number: u16, bits: u8) {
        let state = BackendState {
            serving: Serving(bits),
            admin: Admin::Ready,
            health: Health::Up,
            mode: Mode::L2dsr,
            service: SERVICE,
        };
        self.plane().set_backend(number, u64::from(number), state);
    }

    /// Makes a Maglev table of these backends.
    pub fn choose_among(&mut self, numbers: &[u16]) -> Result<()> {
        let names: Vec<String> = numbers.iter().map(|number| format!("backend-{number}")).collect();
        let entrants: Vec<Entrant<'_>> = names
            .iter()
            .zip(numbers)
            .map(|(name, number)| Entrant { name, number: *number, weight: 1 })
            .collect();
        let mut slots = vec![0; MAGLEV as usize];
        maglev::fill(&mut slots, &mut vec![Walk::default(); entrants.len()], &entrants, &SEED);
        Ok(self.plane().set_maglev(SERVICE, &slots)?)
    }

    /// Runs the program on a frame, and checks that exactly what the outcome says was counted and written.
    pub fn run(&mut self, frame: &[u8]) -> Result<Outcome> {
        let before = self.tally();
        let (verdict, out) = self.plane().test_run(frame, INGRESS)?.context("no kernel")?;
        let counted: Vec<Reason> = self
            .tally()
            .into_iter()
            .zip(before)
            .flat_map(|((reason, now), (_, then))| std::iter::repeat_n(reason, (now - then) as usize))
            .collect();
        match verdict {
            PASS => {
                ensure!(out == frame, "a passed frame was changed");
                ensure!(counted.is_empty(), "a passed frame was counted: {counted:?}");
                Ok(Outcome::Pass)
            }
            DROP => {
                ensure!(counted.len() == 1, "a drop was counted as {counted:?}");
                Ok(Outcome::Drop(counted[0]))
            }
            TX => {
                ensure!(counted.len() == 1, "a packet was counted as {counted:?}");
                ensure!(out[12..] == frame[12..], "more than the MAC addresses changed");
                ensure!(out[6..12] == OWN, "the source MAC address is {:?}", &out[6..12]);
                let number = (1..=3).find(|number| out[..6] == mac(*number));
                Ok(Outcome::To(number.context("sent to nobody's MAC address")?, counted[0]))
            }
            other => anyhow::bail!("verdict {other}"),
        }
    }

    /// Runs the program on a frame that must be forwarded for this reason: the backend.
    pub fn forwarded(&mut self, frame: &[u8], why: Reason) -> Result<u16> {
        match self.run(frame)? {
            Outcome::To(number, reason) if reason == why => Ok(number),
            other => anyhow::bail!("expected {why:?}, got {other:?}"),
        }
    }

    /// A whole handshake of a client: its backend.
    pub fn connect(&mut self, client: impl Into<IpAddr>, sport: u16) -> Result<u16> {
        let client = client.into();
        let vip = vip_for(client);
        let Outcome::To(first, _) = self.run(&tcp(client, sport, vip, PORT, Seg::syn(1000)))? else {
            anyhow::bail!("the SYN was not forwarded");
        };
        let second = self.forwarded(&tcp(client, sport, vip, PORT, Seg::ack(1001)), Reason::Promoted)?;
        ensure!(first == second, "SYN to {first}, ACK to {second}");
        Ok(second)
    }

    fn tally(&mut self) -> Vec<(Reason, u64)> {
        self.plane().reasons()
    }

    /// All flows.
    pub fn flows(&mut self) -> Vec<FlowRow> {
        self.plane().flows(&FlowFilter::default(), 10_000)
    }

    /// All pins.
    pub fn pins(&mut self) -> Vec<PinRow> {
        self.plane().pins(&PinFilter::default(), 10_000)
    }

    /// Live flows of a backend by its counters, which must be what the sweeper counts.
    pub fn live(&mut self, number: u16) -> Result<u64> {
        let sweep = self.plane().sweep();
        ensure!(sweep.drift.values().all(|drift| *drift == 0), "drift {:?}", sweep.drift);
        Ok(self.plane().counts(number).live())
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        drop(self.plane.take());
        if let Err(error) = balancer_user::dataplane::detach(&self.directory) {
            eprintln!("{}: {error}", self.directory.display());
        }
    }
}

/// MAC address of a backend.
pub fn mac(number: u16) -> [u8; 6] {
    [2, 0, 0, 0, 1, number as u8]
}

fn wide6(address: Ipv6Addr) -> [u64; 2] {
    let octets = address.octets();
    let half = |from: usize| u64::from_ne_bytes(std::array::from_fn(|i| octets[from + i]));
    [half(0), half(8)]
}

fn vip_for(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { VIP4.into() } else { VIP6.into() }
}

/// A TCP segment's own fields.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seg {
    /// Sequence number.
    pub seq: u32,
    /// Flags.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
    /// Bytes of payload.
    pub payload: usize,
}

impl Seg {
    /// A SYN.
    pub fn syn(seq: u32) -> Self {
        Self { seq, syn: true, ..Self::default() }
    }

    /// An empty ACK.
    pub fn ack(seq: u32) -> Self {
        Self { seq, ack: true, ..Self::default() }
    }

    /// A FIN with ACK.
    pub fn fin(seq: u32) -> Self {
        Self { seq, ack: true, fin: true, ..Self::default() }
    }

    /// A RST.
    pub fn rst(seq: u32) -> Self {
        Self { seq, rst: true, ..Self::default() }
    }
}

/// A TCP frame from a client.
pub fn tcp(client: impl Into<IpAddr>, sport: u16, to: impl Into<IpAddr>, dport: u16, seg: Seg) -> Vec<u8> {
    let builder = ip(client.into(), to.into()).tcp(sport, dport, seg.seq, 64_000);
    let builder = if seg.syn { builder.syn() } else { builder };
    let builder = if seg.ack { builder.ack(5000) } else { builder };
    let builder = if seg.fin { builder.fin() } else { builder };
    let builder = if seg.rst { builder.rst() } else { builder };
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0x55; seg.payload]).expect("a Vec takes every frame");
    frame
}

/// A UDP frame from a client.
pub fn udp(client: impl Into<IpAddr>, sport: u16, to: impl Into<IpAddr>, dport: u16) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = ip(client.into(), to.into()).udp(sport, dport);
    builder.write(&mut frame, b"hello").expect("a Vec takes every frame");
    frame
}

fn ip(client: IpAddr, to: IpAddr) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let builder = etherparse::PacketBuilder::ethernet2(PEER, OWN);
    match (client, to) {
        (IpAddr::V4(client), IpAddr::V4(to)) => {
            let header =
                etherparse::Ipv4Header::new(0, 64, etherparse::IpNumber::TCP, client.octets(), to.octets());
            builder.ip(etherparse::IpHeaders::Ipv4(header.expect("short"), Default::default()))
        }
        (IpAddr::V6(client), IpAddr::V6(to)) => {
            let header = etherparse::Ipv6Header {
                source: client.octets(),
                destination: to.octets(),
                hop_limit: 64,
                ..Default::default()
            };
            builder.ip(etherparse::IpHeaders::Ipv6(header, Default::default()))
        }
        _ => panic!("{client} and {to} are of two families"),
    }
}
