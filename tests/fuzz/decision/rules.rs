//! What must come of a packet, judged by what stands in the tables before it.

use balancer_common::{
    env::Env as _,
    packet::SlicePacket,
    parse::{
        ipv4, ipv6,
        link::{self, ETHERTYPE_IPV4, ETHERTYPE_IPV6},
        transport::{self, Segment},
    },
    reason::Reason,
    table::{
        backend, bucket, flow,
        key::Slots as _,
        line::HostLine,
        listener::{self, ListenerKey},
        pin::{self, Pinned},
        words::FlowState,
    },
    walk::family::{Family, V4, V6},
};

use crate::world::{Cpu, INGRESS, OWN};

/// What speaks for a packet's way before it is sent.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// The backend of the live flow that it belongs to, if that may serve.
    flow: Option<u16>,
    /// Its client's pin.
    pin: Option<Pinned>,
}

impl Before {
    /// Nothing, if the frame is no segment for a service.
    pub(super) fn of(cpu: &Cpu<HostLine>, frame: &[u8]) -> Self {
        Self::read(cpu, frame).unwrap_or_default()
    }

    fn read(cpu: &Cpu<HostLine>, frame: &[u8]) -> Option<Self> {
        let mut copy = frame.to_vec();
        let packet = SlicePacket::new(&mut copy, INGRESS);
        let link = link::parse(&packet).filter(|_| frame[..6] == OWN)?;
        match link.ethertype {
            ETHERTYPE_IPV4 => {
                let ip = ipv4::parse(&packet, link.next)?;
                let segment =
                    transport::parse(&packet, link.next, ip.payload.ok()?, ip.source, ip.destination);
                Self::of_segment::<V4>(cpu, &segment.ok()?)
            }
            ETHERTYPE_IPV6 => {
                let ip = ipv6::parse(&packet, link.next)?;
                let segment =
                    transport::parse(&packet, link.next, ip.payload.ok()?, ip.source, ip.destination);
                Self::of_segment::<V6>(cpu, &segment.ok()?)
            }
            _ => None,
        }
    }

    fn of_segment<F: Family>(cpu: &Cpu<HostLine>, segment: &Segment<F::Address>) -> Option<Self> {
        let (address, port) = (F::wide(segment.destination), segment.dport);
        let key = ListenerKey { address, port, proto: segment.proto };
        let (_, listener) = listener::find_for_packet(cpu, listener::root(cpu), &key)?;
        let key = F::segment_key(segment, listener);
        let hash = F::FlowSlots::hash(&key, &cpu.settings().index_key);
        let flow = bucket::find::<F::Flows, _>(cpu, hash, &key).map(|place| place.word);
        let now = cpu.now().flow;
        let flow = flow
            .filter(|word| !flow::expired(*word, now, &listener.timeouts()))
            .filter(|word| !matches!(word.state(), FlowState::CLOSING | FlowState::RESET))
            .map(|word| word.backend())
            .filter(|number| backend::serving(cpu, *number).flows());
        let client = F::pin_key(F::mask(segment.source, listener), listener.service());
        let pin = pin::look_up::<F, _>(cpu, &client, listener.affinity_timeout());
        Some(Self { flow, pin: pin.filter(|_| listener.by_client()) })
    }

    /// Compares with what came of it: counted under `reason`, unless it passed, and sent to `backend`, unless to nobody.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn judge(
        &self,
        cpu: &Cpu<HostLine>,
        reason: Option<Reason>,
        backend: Option<u16>,
    ) -> Result<(), String> {
        let serves = self.pin.is_some_and(|pin| pin.serves);
        let obeyed = match reason {
            Some(Reason::NewPinned) => serves && self.pin.map(|pin| pin.backend) == backend,
            Some(Reason::NewTentative | Reason::NewMaglev) => !serves,
            _ => true,
        };
        if !obeyed {
            return Err(format!("{reason:?} to {backend:?}, and {self:?}"));
        }
        // Its way is closed, which says nothing of where it leads.
        let stuck = [Reason::NoNeighbour, Reason::TtlExpired, Reason::TooBig, Reason::TooBigDropped];
        if self.flow.is_some() && backend != self.flow && !reason.is_some_and(|it| stuck.contains(&it)) {
            return Err(format!("a tracked connection was sent to {backend:?} ({reason:?}), and {self:?}"));
        }
        match backend {
            Some(number) if !backend::serving(cpu, number).flows() => {
                Err(format!("{reason:?}, sent to backend {number}, which may not serve"))
            }
            _ => Ok(()),
        }
    }
}

/// The backend to whose MAC address a frame was sent.
///
/// # Errors
/// If it is nobody's, or not sent by the balancer.
pub(super) fn to_whom(frame: &[u8], backends: u16) -> Result<u16, String> {
    let addressed = |number: &u16| frame[..6] == [2, 0, 0, 0, 1, *number as u8] && frame[6..12] == OWN;
    (1..=backends).find(addressed).ok_or_else(|| format!("sent to nobody: {:02x?}", &frame[..12]))
}
