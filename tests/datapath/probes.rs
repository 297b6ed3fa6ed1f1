//! The two programs of health checks by the datapath: what they change, and what they let go.

use crate::{
    fixture::{OWN, PEER, VIP4, VIP6},
    frames::{Seg, cut, tcp, udp, with_options},
};
use anyhow::{Context as _, Result, ensure};
use aya::{
    Ebpf, EbpfLoader, TestRunOptions,
    maps::{Array, MapData},
    programs::{SchedClassifier, TestRun as _},
};
use balancer_common::probe::{self, Passage};
use balancer_user::dataplane::xdp_object;
use etherparse::{IpHeaders, IpNumber};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const PORT: u16 = 443;
/// The port that the check asks from.
const FROM: u16 = 40_000;
/// Verdicts (`enum tcx_action_base`): on to the next program, and away.
const NEXT: u32 = u32::MAX;
const DROP: u32 = 2;

/// Addresses of a check.
#[derive(Clone, Copy)]
struct Check {
    own: IpAddr,
    backend: IpAddr,
    service: IpAddr,
}

const CHECKS: [Check; 2] = [
    Check {
        own: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 1)),
        backend: IpAddr::V4(Ipv4Addr::new(10, 0, 1, 10)),
        service: IpAddr::V4(VIP4),
    },
    Check {
        own: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
        backend: IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0xffff, 0xffff, 0, 0x10)),
        service: IpAddr::V6(VIP6),
    },
];

struct Programs(Ebpf);

impl Programs {
    fn load() -> Result<Self> {
        let mut ebpf = EbpfLoader::new().map_max_entries("PROBES", probe::TABLE).load(xdp_object())?;
        for name in ["probe_out", "probe_in"] {
            let program: &mut SchedClassifier = ebpf.program_mut(name).context(name)?.try_into()?;
            program.load()?;
        }
        Ok(Self(ebpf))
    }

    fn table(&mut self) -> Result<Array<&mut MapData, [u64; 8]>> {
        Ok(self.0.map_mut("PROBES").context("no PROBES")?.try_into()?)
    }

    /// Enters a check.
    fn enter(&mut self, Check { own, backend, service }: Check) -> Result<()> {
        let words = |address: IpAddr| {
            let mut bytes = [0; 16];
            match address {
                IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
                IpAddr::V6(v6) => bytes = v6.octets(),
            }
            let [low, high] = [0, 8].map(|at| u64::from_ne_bytes(std::array::from_fn(|n| bytes[at + n])));
            (low, high)
        };
        let [(s0, s1), (b0, b1), (o0, o1)] = [service, backend, own].map(words);
        let line = [probe::key(FROM, own.is_ipv6()), s0, s1, b0, b1, o0, o1, 0];
        Ok(self.table()?.set(probe::line_of(FROM), line, 0)?)
    }

    /// And says that it goes in a tunnel from there.
    fn enter_tunnel(&mut self, begin: IpAddr) -> Result<()> {
        let mut bytes = [0; 16];
        match begin {
            IpAddr::V4(v4) => bytes[..4].copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => bytes = v6.octets(),
        }
        let mut second = [0; 8];
        for (word, chunk) in second.iter_mut().zip(bytes.chunks_exact(8)) {
            *word = u64::from_ne_bytes(chunk.try_into()?);
        }
        let mut table = self.table()?;
        table.set(probe::second_line_of(FROM), second, 0)?;
        self.flag(probe::TUNNELLED | probe::ROUTED)
    }

    /// Says how it goes.
    fn flag(&mut self, flags: u64) -> Result<()> {
        let mut table = self.table()?;
        let mut line = table.get(&probe::line_of(FROM), 0)?;
        line[probe::WORD_KEY] |= flags;
        Ok(table.set(probe::line_of(FROM), line, 0)?)
    }

    fn passage(&mut self) -> Result<Passage> {
        Ok(Passage(self.table()?.get(&probe::line_of(FROM), 0)?[probe::WORD_PASSAGE]))
    }

    fn run(&self, name: &str, frame: &[u8], mark: u32) -> Result<(u32, Vec<u8>)> {
        let program: &SchedClassifier = self.0.program(name).context("no program")?.try_into()?;
        let mut out = vec![0; frame.len() + 64];
        // struct __sk_buff: len, pkt_type, mark.
        let context: Vec<u8> = [0, 0, mark].iter().flat_map(|word: &u32| word.to_ne_bytes()).collect();
        let run = program.test_run(TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(&context),
            ..TestRunOptions::default()
        })?;
        out.truncate(run.data_size_out as usize);
        Ok((run.return_value, out))
    }

    /// The frame is let go as it is.
    fn lets_go(&self, name: &str, frame: &[u8], mark: u32, what: &str) -> Result<()> {
        let (verdict, out) = self.run(name, frame, mark)?;
        ensure!(
            verdict == NEXT && out == frame,
            "{name}: {what}: verdict {verdict}, {frame:x?} became {out:x?}"
        );
        Ok(())
    }
}

/// The frame with its MAC addresses exchanged.
fn back(frame: &[u8]) -> Vec<u8> {
    [&frame[6..12], &frame[..6], &frame[12..]].concat()
}

fn memory_order(mac: [u8; 6]) -> u64 {
    let mut bytes = [0; 8];
    bytes[..6].copy_from_slice(&mac);
    u64::from_ne_bytes(bytes)
}

pub(crate) fn a_check_leaves_for_the_service_and_its_answer_comes_from_the_backend() -> Result<()> {
    let mut programs = Programs::load()?;
    for check in CHECKS {
        let Check { own, backend, service } = check;
        // Checksums of odd and even lengths: the frames are compared whole.
        for seg in [Seg::syn(7), Seg { payload: 33, ..Seg::ack(8) }] {
            programs.enter(check)?;
            let left = programs.run("probe_out", &tcp(own, FROM, backend, PORT, seg), probe::MARK)?;
            ensure!(left == (NEXT, tcp(own, FROM, service, PORT, seg)), "{left:x?}");
            ensure!(programs.passage()? == Passage::left(memory_order(OWN)), "{:?}", programs.passage()?);

            let answer = programs.run("probe_in", &back(&tcp(service, PORT, own, FROM, seg)), 0)?;
            ensure!(answer == (NEXT, back(&tcp(backend, PORT, own, FROM, seg))), "{answer:x?}");
            ensure!(programs.passage()?.is_answered(), "{:?}", programs.passage()?);

            programs.run("probe_in", &tcp(service, PORT, own, FROM, seg), 0)?;
            ensure!(programs.passage()?.stranger() == Some(memory_order(PEER)), "{:?}", programs.passage()?);
        }
    }
    Ok(())
}

pub(crate) fn a_check_in_a_tunnel_leaves_in_an_outer_header() -> Result<()> {
    let mut programs = Programs::load()?;
    let begins: [IpAddr; 2] =
        [Ipv4Addr::new(192, 0, 2, 65).into(), Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x17).into()];
    for (check, begin) in CHECKS.into_iter().zip(begins) {
        let Check { own, backend, service } = check;
        programs.enter(check)?;
        programs.enter_tunnel(begin)?;
        let seg = Seg { payload: 33, ..Seg::ack(8) };
        let (verdict, left) = programs.run("probe_out", &tcp(own, FROM, backend, PORT, seg), probe::MARK)?;
        let inner = tcp(own, FROM, service, PORT, seg);
        let (ip, rest) = IpHeaders::from_slice(&left[14..]).context("no outer header")?;
        ensure!((verdict, &left[..14]) == (NEXT, &inner[..14]), "{verdict}: {left:x?}");
        ensure!(rest.payload == &inner[14..], "{left:x?}");
        match ip {
            IpHeaders::Ipv4(ip, _) => {
                let ends = [ip.source, ip.destination].map(|it| IpAddr::from(Ipv4Addr::from(it)));
                ensure!(ends == [begin, backend] && ip.protocol == IpNumber::IPV4, "{ip:?}");
                ensure!(ip.dont_fragment && ip.header_checksum == ip.calc_header_checksum(), "{ip:?}");
            }
            IpHeaders::Ipv6(ip, _) => {
                let ends = [ip.source, ip.destination].map(|it| IpAddr::from(Ipv6Addr::from(it)));
                ensure!(ends == [begin, backend] && ip.next_header == IpNumber::IPV6, "{ip:?}");
            }
        }
        programs.lets_go("probe_out", &left, probe::MARK, "in its tunnel already")?;

        let answer = programs.run("probe_in", &tcp(service, PORT, own, FROM, seg), 0)?;
        ensure!(answer == (NEXT, tcp(backend, PORT, own, FROM, seg)), "{answer:x?}");
        ensure!(programs.passage()?.is_answered(), "any MAC address may answer: {:?}", programs.passage()?);
    }
    Ok(())
}

pub(crate) fn a_translated_check_leaves_from_a_source_and_its_answer_comes_to_this_host() -> Result<()> {
    let mut programs = Programs::load()?;
    let sources: [IpAddr; 2] =
        [Ipv4Addr::new(192, 0, 2, 65).into(), Ipv6Addr::new(0xfd79, 0, 0, 0, 0, 0, 0, 0x17).into()];
    for (check, source) in CHECKS.into_iter().zip(sources) {
        let Check { own, backend, service } = check;
        for (seg, routed) in [(Seg::syn(7), 0), (Seg { payload: 33, ..Seg::ack(8) }, probe::ROUTED)] {
            programs.enter(Check { service: source, ..check })?;
            programs.flag(probe::TRANSLATED | routed)?;
            let left = programs.run("probe_out", &tcp(own, FROM, backend, PORT, seg), probe::MARK)?;
            let on_the_wire = tcp(source, FROM, backend, PORT, seg);
            ensure!(left == (NEXT, on_the_wire.clone()), "{left:x?}");
            ensure!(programs.passage()? == Passage::left(memory_order(OWN)), "{:?}", programs.passage()?);
            programs.lets_go("probe_out", &on_the_wire, probe::MARK, "changed already")?;

            // What is not from the one to the other is nobody's answer.
            for other in [tcp(backend, PORT, own, FROM, seg), tcp(service, PORT, source, FROM, seg)] {
                programs.lets_go("probe_in", &other, 0, "between others")?;
            }
            let answer = programs.run("probe_in", &tcp(backend, PORT, source, FROM, seg), 0)?;
            ensure!(answer == (NEXT, tcp(backend, PORT, own, FROM, seg)), "{answer:x?}");
            let strange = programs.passage()?.stranger() == Some(memory_order(PEER));
            ensure!(strange == (routed == 0), "from another MAC address: {:?}", programs.passage()?);
            ensure!(programs.passage()?.is_answered() != strange, "{:?}", programs.passage()?);
        }
        // From this host's own address there is nothing to change.
        programs.enter(Check { service: own, ..check })?;
        programs.flag(probe::TRANSLATED | probe::ROUTED)?;
        let seg = Seg::syn(7);
        programs.lets_go("probe_out", &tcp(own, FROM, backend, PORT, seg), probe::MARK, "from its own")?;
        programs.lets_go("probe_in", &tcp(backend, PORT, own, FROM, seg), 0, "to its own")?;
        ensure!(programs.passage()?.is_answered(), "{:?}", programs.passage()?);
    }
    Ok(())
}

pub(crate) fn what_no_check_sends_or_asked_for_is_let_go() -> Result<()> {
    let mut programs = Programs::load()?;
    for (check, other) in CHECKS.into_iter().zip([1, 0]) {
        programs.enter(check)?;
        let (Check { own, backend, service }, seg) = (check, Seg::syn(7));
        let asked = tcp(own, FROM, backend, PORT, seg);
        programs.lets_go("probe_out", &asked, 0, "not marked")?;
        programs.lets_go("probe_out", &asked, probe::MARK ^ 1, "marked otherwise")?;
        let on_its_way = tcp(own, FROM, service, PORT, seg);
        programs.lets_go("probe_out", &on_its_way, probe::MARK, "changed already")?;

        let answer = tcp(service, PORT, own, FROM, seg);
        let strangers = [
            (tcp(service, PORT, own, FROM + 1, seg), "another port"),
            (tcp(service, PORT, own, FROM ^ 0x8000, seg), "another port of the line"),
            (tcp(backend, PORT, own, FROM, seg), "the backend's own"),
            (tcp(service, PORT, backend, FROM, seg), "for another host"),
            (udp(service, PORT, own, FROM), "UDP"),
            (cut(&answer, answer.len() - 18), "cut within the ports"),
        ];
        for (frame, what) in strangers {
            programs.lets_go("probe_in", &frame, 0, what)?;
        }
        if own.is_ipv4() {
            programs.lets_go("probe_in", &with_options(&answer, 1), 0, "options")?;
        }
        let Check { own, service, .. } = CHECKS[other];
        programs.lets_go("probe_in", &tcp(service, PORT, own, FROM, seg), 0, "another family")?;
        ensure!(programs.passage()? == Passage::default(), "{:?}", programs.passage()?);
    }
    Ok(())
}

pub(crate) fn what_a_check_sends_after_its_end_does_not_reach_the_backends_own_address() -> Result<()> {
    let mut programs = Programs::load()?;
    for check in CHECKS {
        let Check { own, backend, .. } = check;
        let late = tcp(own, FROM, backend, PORT, Seg::ack(7));
        for (entered, frame) in [(false, &late), (true, &tcp(own, FROM + 1, backend, PORT, Seg::ack(7)))] {
            if entered {
                programs.enter(check)?;
            }
            let (verdict, _) = programs.run("probe_out", frame, probe::MARK)?;
            ensure!(verdict == DROP, "it leaves: verdict {verdict}");
        }
        programs.table()?.set(probe::line_of(FROM), [0; 8], 0)?;
    }
    Ok(())
}
