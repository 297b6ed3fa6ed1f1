//! Packets at random: mostly whole, of few clients, so that connections come about; some bent.

use crate::{
    fixture::{OWN, PEER, PORT, Run, VIP_ANY, VIP4, VIP6},
    frames::{Seg, cut, elsewhere, extended, is_v4, tagged, tcp, udp, with_options},
};
use balancer_common::{reason::Fate, serve::Serving};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A source of packets: the same for the same seed.
pub(crate) struct Packets {
    random: StdRng,
    /// Frames that reached a backend, the latest last.
    heard: Vec<Vec<u8>>,
}

/// Frames that are kept to be answered.
const HEARD: usize = 24;

impl Packets {
    /// The packets of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { random: StdRng::seed_from_u64(seed), heard: Vec::new() }
    }

    fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.random.random_range(0..choices.len())].clone()
    }

    fn one_in(&mut self, number: u32) -> bool {
        self.random.random_range(0..number) == 0
    }

    /// Number of a backend.
    pub(crate) fn backend(&mut self) -> u16 {
        self.random.random_range(1..=3)
    }

    /// What a backend may do; mostly everything.
    pub(crate) fn serving(&mut self) -> u8 {
        let all = Serving::FLOWS | Serving::PINNED | Serving::NEW;
        let failed = [0, Serving::RESETS, Serving::RESETS];
        let [rehashed, reset, again] = failed;
        self.pick(&[
            all,
            all,
            all,
            Serving::FLOWS,
            Serving::FLOWS | Serving::KEEPS_PINS,
            rehashed,
            reset,
            again,
        ])
    }

    /// Takes note of what became of a frame: one that was translated may be answered.
    pub(crate) fn hear(&mut self, run: &Run) {
        if run.reasons.iter().any(|reason| reason.fate() == Fate::Forwarded) {
            self.heard.push(run.frame.clone());
            let beyond = self.heard.len().saturating_sub(HEARD);
            self.heard.drain(..beyond);
        }
    }

    /// What a receiver says of one of the last frames: an answer, or an error. `None` if that frame cannot be read.
    fn reply(&mut self) -> Option<Vec<u8>> {
        let heard = self.heard.get(self.random.random_range(0..self.heard.len().max(1)))?.clone();
        let headers = etherparse::PacketHeaders::from_ethernet_slice(&heard).ok()?;
        let (from, to): (IpAddr, IpAddr) = match headers.net? {
            etherparse::NetHeaders::Ipv4(ip, _) => (ip.source.into(), ip.destination.into()),
            etherparse::NetHeaders::Ipv6(ip, _) => (ip.source.into(), ip.destination.into()),
            _ => return None,
        };
        if self.one_in(4) {
            return Some(self.error(to, from, &heard[14..]));
        }
        match headers.transport? {
            etherparse::TransportHeader::Tcp(header) => {
                let seq = header.acknowledgment_number;
                let payload = self.pick(&[0, 1, 400]);
                let accept = Seg { syn: true, ..Seg::ack(seq) };
                let seg = self.pick(&[accept, Seg::ack(seq), Seg::ack(seq), Seg::fin(seq), Seg::rst(seq)]);
                let seg = Seg { payload, ..seg };
                Some(tcp(to, header.destination_port, from, header.source_port, seg))
            }
            etherparse::TransportHeader::Udp(header) => {
                Some(udp(to, header.destination_port, from, header.source_port))
            }
            _ => None,
        }
    }

    /// A frame of at least 14 bytes.
    pub(crate) fn frame(&mut self) -> Vec<u8> {
        if self.one_in(3)
            && let Some(reply) = self.reply()
        {
            return if self.one_in(6) { self.bent(reply) } else { reply };
        }
        let whole = match self.random.random_range(0..100) {
            0..60 => self.tcp(),
            60..85 => self.udp(),
            85..97 => self.icmp(),
            _ => return self.noise(),
        };
        let framed = self.unusual(whole);
        if self.one_in(4) { self.bent(framed) } else { framed }
    }

    fn client_and_service(&mut self) -> (IpAddr, IpAddr) {
        let host = self.random.random_range(1..40);
        if self.one_in(2) {
            let client = Ipv4Addr::new(198, 51, 100, host);
            (client.into(), self.pick(&[VIP4, VIP4, VIP_ANY]).into())
        } else {
            let network = self.random.random_range(0..20);
            let client = Ipv6Addr::new(0x2001, 0xdb8, 7, network, 0, 0, 0, u16::from(host) % 4);
            (client.into(), VIP6.into())
        }
    }

    fn port(&mut self) -> u16 {
        self.random.random_range(4000..4004)
    }

    fn service_port(&mut self) -> u16 {
        self.pick(&[PORT, PORT, PORT, PORT, PORT, 80, 22, 0])
    }

    fn tcp(&mut self) -> Vec<u8> {
        let (client, service) = self.client_and_service();
        let seq = self.pick(&[1000, 1001, 1001, 1001, 1100, 66_536, 66_537, 1000 + (1 << 31), 900]);
        let payload = self.pick(&[0, 0, 1, 100, 400]);
        let seg =
            Seg { payload, ..self.pick(&[Seg::syn, Seg::ack, Seg::ack, Seg::ack, Seg::fin, Seg::rst])(seq) };
        let port = self.port();
        let mut frame = tcp(client, port, service, self.service_port(), seg);
        let header = frame.len() - payload - 20;
        let ack: u32 = self.pick(&[5000, 5001, 6000, 5000 + (1 << 30), 4000]);
        frame[header + 8..header + 12].copy_from_slice(&ack.to_be_bytes());
        if self.one_in(20) {
            frame[header + 13] = self.random.random();
        }
        frame
    }

    fn udp(&mut self) -> Vec<u8> {
        let (client, service) = self.client_and_service();
        let port = self.port();
        udp(client, port, service, self.service_port())
    }

    /// An ICMP message, mostly an error about a packet of the service.
    fn icmp(&mut self) -> Vec<u8> {
        let (client, service) = self.client_and_service();
        let (port, service_port) = (self.port(), self.service_port());
        let quoted = if self.one_in(3) {
            udp(service, service_port, client, port)
        } else {
            tcp(service, service_port, client, port, Seg::ack(1))
        };
        self.error(client, service, &quoted[14..])
    }

    /// An ICMP message, mostly an error that quotes this.
    fn error(&mut self, from: IpAddr, to: IpAddr, quoted: &[u8]) -> Vec<u8> {
        let ethernet = etherparse::PacketBuilder::ethernet2(PEER, OWN);
        let mut frame = Vec::new();
        let written = match (from, to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                let kind = self.pick(&[0, 3, 3, 3, 8, 11, 12]);
                let ip = ethernet.ipv4(from.octets(), to.octets(), 64);
                ip.icmpv4_raw(kind, if kind == 8 { 0 } else { 4 }, [0; 4]).write(&mut frame, quoted)
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                let kind = self.pick(&[1, 2, 2, 3, 4, 128, 135]);
                let ip = ethernet.ipv6(from.octets(), to.octets(), 64);
                ip.icmpv6_raw(kind, 0, [0; 4]).write(&mut frame, quoted)
            }
            _ => unreachable!("both ends are of one family"),
        };
        written.expect("a Vec takes every frame");
        frame
    }

    /// Options, extension headers, tags, padding, another destination: now and then.
    fn unusual(&mut self, frame: Vec<u8>) -> Vec<u8> {
        let mut frame = match (self.one_in(8), is_v4(&frame)) {
            (false, _) => frame,
            (true, true) => with_options(&frame, self.random.random_range(1..=10)),
            (true, false) => extended(&frame, &self.chain()),
        };
        if self.one_in(20) {
            frame = elsewhere(&frame);
        }
        if self.one_in(10) {
            let ethertypes = [0x8100, 0x88a8, 0x8100];
            frame = tagged(&frame, &ethertypes[..self.random.random_range(1..=3)]);
        }
        if self.one_in(10) {
            frame.resize(frame.len() + self.random.random_range(1..20), 0);
        }
        frame
    }

    /// A chain of extension headers, not always one that may be.
    fn chain(&mut self) -> Vec<(u8, Vec<u8>)> {
        let headers = self.random.random_range(1..=7);
        (0..headers)
            .map(|_| {
                let number = self.pick(&[0, 43, 44, 51, 60]);
                let words = self.random.random_range(0..4);
                let mut header = vec![0; if number == 44 { 8 } else { 8 * (usize::from(words) + 1) }];
                header[1] = if number == 51 { 2 * words } else { words };
                if number == 44 && self.one_in(3) {
                    header[3] = self.random.random();
                }
                (number, header)
            })
            .collect()
    }

    /// A frame with a fault.
    fn bent(&mut self, mut frame: Vec<u8>) -> Vec<u8> {
        match self.random.random_range(0..3) {
            0 => frame.truncate(self.random.random_range(14..=frame.len())),
            1 if frame.len() > 60 => frame = cut(&frame, self.random.random_range(54..frame.len())),
            _ => {
                for _ in 0..self.random.random_range(1..=3) {
                    // Not the destination MAC address: such a frame passes, and tells nothing.
                    let at = self.random.random_range(6..frame.len());
                    frame[at] = self.random.random();
                }
            }
        }
        frame
    }

    /// Bytes without a meaning, behind the right destination MAC address and, now and then, an IP ethertype.
    fn noise(&mut self) -> Vec<u8> {
        let mut frame: Vec<u8> =
            (0..self.random.random_range(14..200)).map(|_| self.random.random()).collect();
        frame[..6].copy_from_slice(&OWN);
        let ethertype = self.pick(&[[8, 0], [0x86, 0xdd], [8, 6], [0x81, 0]]);
        frame[12..14].copy_from_slice(&ethertype);
        frame
    }
}
