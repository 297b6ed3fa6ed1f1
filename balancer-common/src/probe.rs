//! Health checks by the datapath: what the agent shares with `probe_out` and `probe_in`.
//!
//! The service address is the balancer's own, so that a connection to it never leaves the host; and where clients' packets
//! are translated, the balancer's kernel does not have the address that they come from. The agent connects from this host's
//! own address to the backend's instead, and the two programs put on the wire what clients' packets have in the place of one
//! of them. A line for each check that runs says what belongs where; the agent writes it before the first segment leaves.
//! One that goes through a tunnel has a second line, which says where the tunnel begins.

/// Mark of the sockets of these checks (`SO_MARK`).
pub const MARK: u32 = 0xba10_0000;

/// First lines of checks. The agent takes another port when the line of one is in use.
pub const LINES: u32 = 1024;

/// Lines of the table: first ones, and as many second ones behind them.
pub const TABLE: u32 = 2 * LINES;

/// Word that holds the [`key`]; 0 = free line.
pub const WORD_KEY: usize = 0;
/// First of two words that hold the address that is on the wire alone: the service address, in the place of the
/// backend's; or, [`TRANSLATED`], a source in the place of this host's.
pub const WORD_WIRE: usize = 1;
/// First of two words that hold the backend's own address.
pub const WORD_BACKEND: usize = 3;
/// First of two words that hold the address that this host asks from.
pub const WORD_OWN: usize = 5;
/// First of two words, in the second line, that hold the address that a tunnel comes from.
pub const WORD_TUNNEL: usize = 0;
/// Word that holds the [`Passage`], which the programs write.
pub const WORD_PASSAGE: usize = 7;

/// Line of the check that asks from this port.
#[must_use]
pub const fn line_of(port: u16) -> u32 {
    port as u32 % LINES
}

/// Its second line.
#[must_use]
pub const fn second_line_of(port: u16) -> u32 {
    LINES + line_of(port)
}

/// In the word of the [`key`]: it goes through a tunnel.
pub const TUNNELLED: u64 = 1 << 17;
/// In the word of the [`key`]: another source than this host's own is on the wire.
pub const TRANSLATED: u64 = 1 << 18;
/// In the word of the [`key`]: its answer may come from any MAC address.
pub const ROUTED: u64 = 1 << 19;
/// What belongs to the [`key`] itself.
pub const KEY: u64 = TUNNELLED - 1;

/// What tells a running check from others of its line: the port that it asks from, and the family.
#[must_use]
pub const fn key(port: u16, v6: bool) -> u64 {
    port as u64 | (v6 as u64) << 16
}

/// An address as it stands in two words: in memory order, a v4 address in the first four bytes.
#[must_use]
pub const fn address_words(address: [u32; 4]) -> [u64; 2] {
    let [a, b, c, d] = address;
    [a as u64 | (b as u64) << 32, c as u64 | (d as u64) << 32]
}

/// The address in two words; the inverse of [`address_words`].
#[must_use]
pub const fn words_address([low, high]: [u64; 2]) -> [u32; 4] {
    [low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32]
}

/// How far a check has come on the wire: a MAC address in the low 48 bits (memory order), and flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passage(pub u64);

impl Passage {
    const LEFT: u64 = 1 << 48;
    const ANSWERED: u64 = 1 << 49;
    const STRANGER: u64 = 1 << 50;

    /// It left for the service address at `mac`.
    #[must_use]
    pub const fn left(mac: u64) -> Self {
        Self(mac | Self::LEFT)
    }

    /// And the service address answered from `mac`. Another MAC address than the one that was asked stays: the
    /// backend does not have the service address, and sent the check on to one who does.
    #[must_use]
    pub const fn answered(self, mac: u64) -> Self {
        if self.0 & Self::STRANGER != 0 {
            self
        } else if self.mac() == mac {
            Self(self.0 | Self::ANSWERED)
        } else {
            Self(mac | Self::LEFT | Self::STRANGER)
        }
    }

    /// And the service address answered, by whatever way: behind gateways MAC addresses tell nobody.
    #[must_use]
    pub const fn answered_by_anybody(self) -> Self {
        Self(self.0 | Self::ANSWERED)
    }

    /// Whether it left for the service address.
    #[must_use]
    pub const fn has_left(self) -> bool {
        self.0 & Self::LEFT != 0
    }

    /// Whether the one who was asked has answered, and nobody else.
    #[must_use]
    pub const fn is_answered(self) -> bool {
        self.0 & (Self::ANSWERED | Self::STRANGER) == Self::ANSWERED
    }

    /// MAC address of somebody else who answered, in memory order.
    #[must_use]
    pub const fn stranger(self) -> Option<u64> {
        if self.0 & Self::STRANGER != 0 { Some(self.mac()) } else { None }
    }

    const fn mac(self) -> u64 {
        self.0 & (Self::LEFT - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_one_who_was_asked_answers_well() {
        let left = Passage::left(0x0a00_0000_0002);
        assert!(left.has_left() && !left.is_answered() && left.stranger().is_none());
        assert!(!Passage::default().has_left());
        let answered = left.answered(0x0a00_0000_0002);
        assert!(answered.has_left() && answered.is_answered() && answered.stranger().is_none());
    }

    #[test]
    fn an_answer_from_elsewhere_is_remembered_whatever_comes_after() {
        let left = Passage::left(0x0a00_0000_0002);
        let stray = left.answered(0x0b00_0000_0002);
        let later = stray.answered(0x0b00_0000_0002).answered(0x0a00_0000_0002);
        assert_eq!(later.stranger(), Some(0x0b00_0000_0002));
        assert!(!later.is_answered() && later.has_left());
        assert!(!left.answered(0x0a00_0000_0002).answered(0x0b00_0000_0002).is_answered());
    }

    #[test]
    fn addresses_keep_their_order_in_words() {
        let address = [1, 2, 3, 0xffff_ffff];
        assert_eq!(words_address(address_words(address)), address);
        assert_ne!(key(443, false), key(443, true));
        assert_ne!(key(1, false), 0);
        for flag in [TUNNELLED, TRANSLATED, ROUTED] {
            assert_eq!((key(u16::MAX, true) | flag) & KEY, key(u16::MAX, true));
        }
    }
}
