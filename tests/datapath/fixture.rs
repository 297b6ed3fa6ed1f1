//! A loaded program over maps of its own, one service with three backends, and what it does with a frame.

use crate::{
    answered::{is_rst_to, is_unreachable_to},
    frames::{Seg, tcp},
};
use anyhow::{Context as _, Result, ensure};
use balancer_common::{
    layout::{Dimensions, LAYOUT_VERSION, maglev_pool},
    maglev::{self, Entrant, Walk},
    reason::{Fate, Reason},
    serve::Serving,
    state::{Admin, AffinityBy, Health, Mode, OnExpire, OnNone, Proto},
    table::{
        TableId,
        backend::{BackendState, NextHop},
        listener::{Echo, ListenerEntry, ListenerKey, TimeoutTicks, wide4},
        origin::OriginEntry,
        ports::Use,
        way::Way,
    },
};
use balancer_user::dataplane::{Dataplane, FlowFilter, FlowRow, OpenOptions, PinFilter, PinRow};
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// The loopback interface: test runs come in by it.
pub(crate) const INGRESS: u32 = 1;
/// Another interface, behind which a backend may be: no frame gets there in a test run.
pub(crate) const EGRESS: u32 = 2;
/// MAC address of the other interface.
pub(crate) const OWN_EGRESS: [u8; 6] = [2, 0, 0, 0, 0, 2];
/// MAC address of the balancer's interface.
pub(crate) const OWN: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// MAC address of the client's side.
pub(crate) const PEER: [u8; 6] = [2, 0, 0, 0, 0, 0xee];
/// Service addresses and port.
pub(crate) const VIP4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 10);
/// The v6 one.
pub(crate) const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);
/// Port of the TCP and the UDP listener.
pub(crate) const PORT: u16 = 443;
/// Address on which every TCP port is listened on.
pub(crate) const VIP_ANY: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 11);
/// Number of the service.
pub(crate) const SERVICE: u16 = 1;
/// Seed of Maglev.
pub(crate) const SEED: [u8; 16] = [7; 16];
/// Entries of translated flows, each family.
const NAT: u32 = 8192;
const MAGLEV: u32 = 251;

/// Verdicts (`enum xdp_action`).
pub(crate) const ABORTED: u32 = 0;
pub(crate) const DROP: u32 = 1;
pub(crate) const PASS: u32 = 2;
pub(crate) const TX: u32 = 3;
pub(crate) const REDIRECT: u32 = 4;

/// What came of a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    /// The verdict's number.
    pub(crate) verdict: u32,
    /// The frame as it left.
    pub(crate) frame: Vec<u8>,
    /// What it was counted under.
    pub(crate) reasons: Vec<Reason>,
}

/// What the program did with a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Passed untouched.
    Pass,
    /// Dropped under this reason.
    Drop(Reason),
    /// Sent back out of its interface to this backend, under this reason.
    To(u16, Reason),
    /// Sent out of the other interface to this backend, under this reason.
    Over(u16, Reason),
    /// Answered by a RST, under this reason.
    Rst(Reason),
    /// Answered by an ICMP message that nobody is at the port.
    Unreachable,
}

/// The program, its maps, and three backends.
pub(crate) struct Fixture {
    plane: Option<Dataplane>,
    directory: PathBuf,
    listeners: Vec<ListenerEntry>,
    origins: Vec<OriginEntry>,
    counted: Vec<(Reason, u64)>,
}

static NUMBER: AtomicU32 = AtomicU32::new(0);
static ABORTS: AtomicU32 = AtomicU32::new(0);

/// Frames for which the program returned `XDP_ABORTED`, in all fixtures.
pub(crate) fn aborts() -> u32 {
    ABORTS.load(Ordering::Relaxed)
}

impl Fixture {
    /// Loads the program, with three backends that take everything.
    pub(crate) fn new() -> Result<Self> {
        Self::with(AffinityBy::Client)
    }

    /// As [`Fixture::new`], with this affinity.
    pub(crate) fn with(by: AffinityBy) -> Result<Self> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let directory = PathBuf::from(format!("/sys/fs/bpf/balancer-test-{}-{number}", std::process::id()));
        let dimensions = Dimensions {
            flows: 4096,
            pins: 4096,
            maglev_lines: maglev_pool(std::iter::once(MAGLEV)),
            nat4: NAT,
            nat6: NAT,
        };
        let options = OpenOptions { bpffs: directory.clone(), dimensions, hash_seed: SEED };
        // Made first: the maps are taken away even if the kernel refuses the program.
        let mut fixture =
            Self { plane: None, directory, listeners: Vec::new(), origins: Vec::new(), counted: Vec::new() };
        fixture.plane = Some(Dataplane::open(&options).context("loading the program")?);
        fixture.fill(by)?;
        Ok(fixture)
    }

    /// The tables.
    pub(crate) fn plane(&mut self) -> &mut Dataplane {
        self.plane.as_mut().expect("there from `with` to `drop`")
    }

    /// Where the maps are kept.
    pub(crate) fn maps(&self) -> PathBuf {
        self.directory.join(format!("v{LAYOUT_VERSION}"))
    }

    fn fill(&mut self, by: AffinityBy) -> Result<()> {
        self.plane().set_interfaces(&[(INGRESS, OWN)])?;
        let any = self.listener(1, by, key4(VIP4, PORT, Proto::Tcp));
        self.plane().set_service(SERVICE, 99, any.affinity_timeout);
        let line = self.plane().interface_line(INGRESS).context("the interface has no line")?;
        for number in 1..=3 {
            self.plane().set_next_hop(number, NextHop::new(mac(number), line));
            self.serve(number, Serving::FLOWS | Serving::PINNED | Serving::NEW);
        }
        self.choose_among(&[1, 2, 3])?;
        let keys = [
            key4(VIP4, PORT, Proto::Tcp),
            key4(VIP4, PORT, Proto::Udp),
            key6(VIP6, PORT, Proto::Tcp),
            key6(VIP6, PORT, Proto::Udp),
            key4(VIP_ANY, 0, Proto::Tcp),
        ];
        self.listeners = (1..).zip(keys).map(|(number, key)| self.listener(number, by, key)).collect();
        self.counted = self.plane().reasons();
        let (listeners, origins) = (self.listeners.clone(), self.origins.clone());
        Ok(self.plane().set_listeners(&listeners, &origins)?)
    }

    fn listener(&mut self, listener: u16, by: AffinityBy, key: ListenerKey) -> ListenerEntry {
        let clock = self.plane().clock();
        let seconds = |s| clock.flow_ticks(Duration::from_secs(s));
        let timeouts = TimeoutTicks {
            syn: seconds(60),
            established: seconds(7200),
            closing: seconds(30),
            udp: seconds(120),
        };
        ListenerEntry {
            key,
            listener,
            service: SERVICE,
            by,
            salt: 1,
            maglev_size: MAGLEV,
            affinity_timeout: clock.pin_ticks(Duration::from_secs(3600)),
            v4_prefix: 32,
            v6_prefix: 64,
            timeouts,
            on_none: OnNone::Drop,
            on_expire: OnExpire::Forget,
            nat: false,
            echo: Echo::Pass,
        }
    }

    /// Listens on one address and TCP port more: the number of the listener.
    pub(crate) fn listen(&mut self, address: Ipv4Addr, port: u16) -> Result<u16> {
        let number = self.listeners.len() as u16 + 1;
        let entry = self.listener(number, AffinityBy::Client, key4(address, port, Proto::Tcp));
        self.listeners.push(entry);
        let (listeners, origins) = (self.listeners.clone(), self.origins.clone());
        self.plane().set_listeners(&listeners, &origins)?;
        Ok(number)
    }

    /// Says what a backend may do.
    pub(crate) fn serve(&mut self, number: u16, bits: u8) {
        let state = BackendState {
            serving: Serving(bits),
            admin: Admin::Ready,
            health: Health::Up,
            mode: Mode::L2dsr,
            service: SERVICE,
        };
        self.plane().set_backend(number, u64::from(number), state);
    }

    /// Says how packets reach a backend, in which mode, from v4 and v6 clients.
    pub(crate) fn reach(&mut self, number: u16, mode: Mode, ways: [Way; 2]) -> Result<()> {
        let line = self.plane().interface_line(INGRESS).context("the interface has no line")?;
        for (v4, way) in [true, false].into_iter().zip(ways) {
            self.plane().set_way(number, v4, &way)?;
        }
        self.plane().set_next_hop(number, NextHop::new(mac(number), line).by(mode));
        Ok(())
    }

    /// Where the way to a backend on the one segment begins.
    pub(crate) fn hop(&mut self, number: u16) -> NextHop {
        NextHop::new(mac(number), self.plane().interface_line(INGRESS).expect("set from the start"))
    }

    /// Makes a Maglev table of these backends.
    pub(crate) fn choose_among(&mut self, numbers: &[u16]) -> Result<()> {
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

    /// Knows these origins of answers.
    pub(crate) fn know(&mut self, origins: Vec<OriginEntry>) -> Result<()> {
        self.origins = origins;
        self.amend(|_| {})
    }

    /// Changes every listener.
    pub(crate) fn amend(&mut self, change: impl Fn(&mut ListenerEntry)) -> Result<()> {
        self.listeners.iter_mut().for_each(change);
        let (listeners, origins) = (self.listeners.clone(), self.origins.clone());
        Ok(self.plane().set_listeners(&listeners, &origins)?)
    }

    /// Runs the program on a frame.
    pub(crate) fn raw(&mut self, frame: &[u8]) -> Result<Run> {
        let (verdict, frame) = self.plane().test_run(frame, INGRESS)?.context("no kernel")?;
        let now = self.plane().reasons();
        let before = std::mem::replace(&mut self.counted, now);
        let reasons = self
            .counted
            .iter()
            .zip(before)
            .flat_map(|((reason, now), (_, then))| std::iter::repeat_n(*reason, (now - then) as usize));
        if verdict == ABORTED {
            ABORTS.fetch_add(1, Ordering::Relaxed);
        }
        Ok(Run { verdict, frame, reasons: reasons.collect() })
    }

    /// Runs the program on a frame, and checks that exactly what the outcome says was counted and written.
    pub(crate) fn run(&mut self, frame: &[u8]) -> Result<Outcome> {
        let run = self.raw(frame)?;
        if run.verdict == PASS {
            ensure!(run.frame == frame, "a passed frame was changed");
            ensure!(run.reasons.is_empty(), "a passed frame was counted: {:?}", run.reasons);
            return Ok(Outcome::Pass);
        }
        let [reason] = run.reasons[..] else { anyhow::bail!("counted as {:?}", run.reasons) };
        match run.verdict {
            DROP => Ok(Outcome::Drop(reason)),
            TX if reason == Reason::NoBackendUnreachable
                || reason == Reason::NatExhausted && is_udp(frame) =>
            {
                is_unreachable_to(&run.frame, frame).map_err(anyhow::Error::msg)?;
                Ok(Outcome::Unreachable)
            }
            TX if reason.fate() == Fate::Answered => {
                is_rst_to(&run.frame, frame).map_err(anyhow::Error::msg)?;
                Ok(Outcome::Rst(reason))
            }
            TX => Ok(Outcome::To(addressee(&run.frame, frame, OWN)?, reason)),
            REDIRECT => Ok(Outcome::Over(addressee(&run.frame, frame, OWN_EGRESS)?, reason)),
            other => anyhow::bail!("verdict {other}"),
        }
    }

    /// Runs the program on a frame that must come to this.
    pub(crate) fn expect(&mut self, frame: &[u8], wanted: Outcome) -> Result<()> {
        let outcome = self.run(frame)?;
        ensure!(outcome == wanted, "expected {wanted:?}, got {outcome:?} for {frame:02x?}");
        Ok(())
    }

    /// Runs the program on a frame that must be forwarded for this reason: the backend.
    pub(crate) fn forwarded(&mut self, frame: &[u8], why: Reason) -> Result<u16> {
        match self.run(frame)? {
            Outcome::To(number, reason) if reason == why => Ok(number),
            other => anyhow::bail!("expected {why:?}, got {other:?}"),
        }
    }

    /// A whole handshake of a client: its backend.
    pub(crate) fn connect(&mut self, client: impl Into<IpAddr>, sport: u16) -> Result<u16> {
        let client = client.into();
        let vip = vip_for(client);
        let Outcome::To(first, _) = self.run(&tcp(client, sport, vip, PORT, Seg::syn(1000)))? else {
            anyhow::bail!("the SYN was not forwarded");
        };
        let second = self.forwarded(&tcp(client, sport, vip, PORT, Seg::ack(1001)), Reason::Promoted)?;
        ensure!(first == second, "SYN to {first}, ACK to {second}");
        Ok(second)
    }

    /// All flows.
    pub(crate) fn flows(&mut self) -> Vec<FlowRow> {
        self.plane().flows(&FlowFilter::default(), 10_000)
    }

    /// The use of a word of ports.
    pub(crate) fn ports(&self, table: TableId, word: u32) -> Use {
        self.plane.as_ref().expect("there from `with` to `drop`").ports(table, word)
    }

    /// Embryonic flows of v4 clients.
    pub(crate) fn embryonic4(&mut self) -> u64 {
        let sweep = self.plane().sweep();
        sweep.entries.iter().find(|(table, ..)| *table == TableId::Embryonic4).map_or(0, |(_, used, _)| *used)
    }

    /// All pins.
    pub(crate) fn pins(&mut self) -> Vec<PinRow> {
        self.plane().pins(&PinFilter::default(), 10_000)
    }

    /// Live flows of a backend by its counters, which must be what the sweeper counts.
    pub(crate) fn live(&mut self, number: u16) -> Result<u64> {
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

/// Whether an untagged frame without IP options or extensions carries a datagram.
fn is_udp(frame: &[u8]) -> bool {
    let at = if frame[12..14] == [8, 0] { 23 } else { 20 };
    frame[at] == 17
}

/// MAC address of a backend.
pub(crate) fn mac(number: u16) -> [u8; 6] {
    [2, 0, 0, 0, 1, number as u8]
}

/// The backend to which a frame was sent; only the MAC addresses may have changed.
fn addressee(sent: &[u8], received: &[u8], own: [u8; 6]) -> Result<u16> {
    ensure!(sent[12..] == received[12..], "more than the MAC addresses changed");
    ensure!(sent[6..12] == own, "the source MAC address is {:02x?}", &sent[6..12]);
    (1..=3).find(|number| sent[..6] == mac(*number)).context("sent to nobody's MAC address")
}

/// Key of a v4 listener.
fn key4(address: Ipv4Addr, port: u16, proto: Proto) -> ListenerKey {
    ListenerKey { address: wide4(u32::from_ne_bytes(address.octets())), port, proto: proto as u8 }
}

/// Key of a v6 listener.
fn key6(address: Ipv6Addr, port: u16, proto: Proto) -> ListenerKey {
    let octets = address.octets();
    let half = |from: usize| u64::from_ne_bytes(std::array::from_fn(|i| octets[from + i]));
    ListenerKey { address: [half(0), half(8)], port, proto: proto as u8 }
}

/// The service address of a client's family.
pub(crate) fn vip_for(client: IpAddr) -> IpAddr {
    if client.is_ipv4() { VIP4.into() } else { VIP6.into() }
}
