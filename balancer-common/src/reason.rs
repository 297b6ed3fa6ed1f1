//! The closed list of reasons: every packet that is not passed untouched is counted under exactly one.
//!
//! The list is the counter's index, the metric's label, the text of `explain` and the packet's fate.

/// What happens to a packet that has this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent on to a backend.
    Forwarded,
    /// Dropped.
    Dropped,
    /// Answered in the place of a backend.
    Answered,
}

macro_rules! reasons {
    ($($(#[$meta:meta])* $variant:ident = $name:literal, $fate:ident, $text:literal;)*) => {
        /// Why a packet was forwarded or dropped.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Reason { $(#[doc = $text] $variant,)* }

        impl Reason {
            /// Every reason, in the order of the counter's index.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The metric's label.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// One sentence for people.
            #[must_use]
            pub const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What happened to the packet.
            #[must_use]
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$fate,)* }
            }
        }
    };
}

reasons! {
    Flow = "flow", Forwarded, "a packet of a tracked flow, to the flow's backend";
    Promoted = "promoted", Forwarded, "the packet that made a connection a tracked flow";
    Embryonic = "embryonic", Forwarded, "a packet of a connection that is not yet a tracked flow";
    NewPinned = "new-pinned", Forwarded, "a new connection of a pinned client, to the pin's backend";
    NewTentative = "new-tentative", Forwarded, "a new connection beside another first one of its client, to the same backend";
    NewMaglev = "new-maglev", Forwarded, "a new connection, to the backend that the Maglev table names";
    SynOnFlow = "syn-on-flow", Forwarded, "a SYN on an established flow, to the flow's backend, the flow unchanged";
    UnknownPinned = "unknown-pinned", Forwarded, "a segment of an unknown connection, to its client's pin";
    UnknownMaglev = "unknown-maglev", Forwarded, "a segment of an unknown connection, to the backend that the Maglev table names";
    UnknownPrevious = "unknown-previous", Forwarded, "a segment of an unknown connection, to the backend that the previous Maglev table names";
    Rehashed = "rehashed", Forwarded, "a flow whose backend may not serve it, chosen anew";
    IcmpError = "icmp-error", Forwarded, "an ICMP error, to the backend of the flow that its inner header names";
    IcmpErrorBack = "icmp-error-back", Forwarded, "an ICMP error about a translated packet, to the client that sent it";
    Back = "back", Forwarded, "an answer of a backend whose packets are translated, to its client";
    Fragment = "fragment", Dropped, "an IP fragment to a service address";
    BadIpHeader = "bad-ip-header", Dropped, "an IP header to a service address that contradicts itself";
    BadIpLength = "bad-ip-length", Dropped, "an IP length that the frame does not hold";
    BadExtension = "bad-extension", Dropped, "an IPv6 extension header chain that is cut or too long";
    BadTcpHeader = "bad-tcp-header", Dropped, "a TCP header that is cut or contradicts itself";
    BadTcpFlags = "bad-tcp-flags", Dropped, "TCP flags that no connection sends: SYN with FIN or RST";
    BadUdpHeader = "bad-udp-header", Dropped, "a UDP header that is cut or contradicts itself";
    NoBackend = "no-backend", Dropped, "no backend of the service may serve the packet";
    NoBackendReset = "no-backend-reset", Answered, "no backend of the service may serve the new connection, which is refused";
    NoBackendUnreachable = "no-backend-unreachable", Answered, "no backend of the service may serve the datagram, which is answered by an ICMP message";
    TooBig = "too-big", Answered, "a packet that does not fit its way, of which its sender is told by an ICMP message";
    TooBigDropped = "too-big-dropped", Dropped, "a packet that does not fit its way, while no message may be sent";
    TtlExpired = "ttl-expired", Dropped, "a packet that may not be sent on: its TTL or hop limit has come to its end";
    NatUnknown = "nat-unknown", Answered, "a segment of a connection that is not known, which cannot be translated: it is reset";
    NatExhausted = "nat-exhausted", Answered, "a new connection for which no port is free, which is refused";
    NatStray = "nat-stray", Dropped, "a packet to a port of translated flows that belongs to none";
    NatStrayReset = "nat-stray-reset", Answered, "a backend's segment of a connection that is no more, or is reset: it is reset there too";
    Echo = "echo", Answered, "an ICMP echo request to a service address, answered here";
    EchoWithheld = "echo-withheld", Dropped, "an ICMP echo request to a service address that has too few backends";
    Reset = "reset", Answered, "a segment of a flow that is reset: its backend may not serve it, or its timeout has passed";
    ResetWaiting = "reset-waiting", Dropped, "a segment of a flow that is to be reset, before the flow's turn has come";
    ResetConfirmed = "reset-confirmed", Dropped, "a RST of the client, on a flow that is reset or is to be";
    NoNeighbour = "no-neighbour", Dropped, "the MAC address of the backend is not known";
    TableError = "table-error", Dropped, "the tables contradict themselves: a number that leads nowhere";
}

impl Reason {
    /// How many there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Counter index.
    #[must_use]
    pub const fn index(self) -> u32 {
        self as u32
    }

    /// The reason with this counter index.
    #[must_use]
    pub const fn from_index(index: u32) -> Option<Self> {
        if (index as usize) < Self::COUNT { Some(Self::ALL[index as usize]) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_of_a_reason_is_its_place_in_the_list() {
        for (place, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index() as usize, place);
            assert_eq!(Reason::from_index(reason.index()), Some(*reason));
        }
        assert_eq!(Reason::from_index(Reason::COUNT as u32), None);
    }

    #[test]
    fn names_are_unique() {
        for (i, a) in Reason::ALL.iter().enumerate() {
            assert!(Reason::ALL[..i].iter().all(|b| a.name() != b.name()), "{} stands twice", a.name());
        }
    }
}
