//! The words for what the operator wants of a backend and what its checks say.

/// Declares an enum of words with its stable code and its one spelling everywhere.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $code:literal, $word:literal;)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* $variant = $code,)* }

        impl $name {
            /// Every value, in the order of its code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in configuration, CLI, JSON and metrics.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The value with this word.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// The value with this code, as it stands in a table's line.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.word())
            }
        }
    };
}

words! {
    /// What the operator wants of a backend (HAProxy's words).
    Admin {
        /// Takes clients.
        Ready = 1, "ready";
        /// Finishes what it has, takes nothing new.
        Drain = 2, "drain";
        /// Out of service.
        Maint = 3, "maint";
        /// Removed; its number stays taken until nothing names it.
        Gone = 4, "gone";
    }
}

words! {
    /// What the checks say of a backend.
    Health {
        /// Never judged by this host.
        Checking = 1, "checking";
        /// The checks pass.
        Up = 2, "up";
        /// The checks fail.
        Down = 3, "down";
        /// The application asked to be drained by its health answer.
        Draining = 4, "draining";
    }
}

words! {
    /// How packets reach a backend.
    Mode {
        /// Direct server return on the same segment: only the MAC addresses change.
        L2dsr = 1, "l2dsr";
        /// In an IP tunnel, which the backend strips off; it answers the client directly.
        Ipip = 2, "ipip";
        /// By address translation, both ways through the balancer.
        Nat = 4, "nat";
    }
}

words! {
    /// What becomes of the TCP flows of a backend that goes down; UDP flows choose again.
    OnDown {
        /// They are reset, paced.
        Reset = 1, "reset";
        /// They are sent to another backend.
        Rehash = 2, "rehash";
        /// They go on being sent to it.
        Hold = 3, "hold";
    }
}

words! {
    /// What becomes of a new connection that nobody can serve.
    OnNone {
        /// It is refused.
        Reset = 1, "reset";
        /// Its packets are dropped.
        Drop = 2, "drop";
    }
}

words! {
    /// What becomes of a TCP flow that was silent for longer than its timeout.
    OnExpire {
        /// It is forgotten.
        Forget = 1, "forget";
        /// It is reset.
        Reset = 2, "reset";
    }
}

words! {
    /// What becomes of the flows that are left at the deadline of a drain.
    DrainEnd {
        /// They are reset, paced.
        Reset = 1, "reset";
        /// They go on until they end.
        Leave = 2, "leave";
    }
}

words! {
    /// What the affinity of a service goes by.
    AffinityBy {
        /// The client's address or prefix.
        Client = 1, "client";
        /// The connection's 5-tuple: no affinity beyond it.
        Connection = 2, "connection";
    }
}

words! {
    /// Transport protocol of a listener; the code is the IP protocol number.
    Proto {
        /// TCP.
        Tcp = 6, "tcp";
        /// UDP.
        Udp = 17, "udp";
    }
}
