//! Keys of `[[service]]`, its affinity and its timeouts.

use std::time::Duration;

use super::{Effect, Key, Kind, Section, Value, Word, duration, number};

const HOUR: u64 = 3_600;

/// The flow tables' clock counts in steps of 4 s or more; a timeout is rounded up to whole ones.
const FLOW_MIN: Duration = Duration::from_secs(4);
/// The pin tables' clock counts in steps of a quarter of a second or more.
const PIN_MIN: Duration = Duration::from_secs(1);
/// Half the time after which the clock of the flow tables wraps: beyond it old and new look alike.
const FLOW_MAX: Duration = Duration::from_secs(36 * HOUR);
/// The same for the clock of the pin tables, which wraps at 48 days, with room to spare.
const PIN_MAX: Duration = Duration::from_secs(20 * 24 * HOUR);

const FLOW_WHY: &str = "the flow table's clock counts in steps of at least 4 s and wraps at 72 h";
const PIN_WHY: &str = "the pin table's clock wraps at 48 days";

/// The largest prime under 2^20.
const LARGEST: u64 = 1_048_573;

const fn idle() -> Kind {
    duration(FLOW_MIN, FLOW_MAX, FLOW_WHY)
}

const VIPS: &[Word] = &[
    Word::now("manual", "the operator puts the address on lo"),
    Word::later("manage", "the agent puts the address on lo and takes it away"),
];

const MODES: &[Word] = &[
    Word::now("l2dsr", "by MAC address on the same segment; the backend answers the client directly"),
    Word::now(
        "ipip",
        "in an IP tunnel, over routers too; the backend strips it off and answers the client directly",
    ),
    Word::later("gue", "in a UDP tunnel"),
    Word::now("nat", "by address translation, both ways through the balancer"),
];

const SOURCES: &[Word] = &[
    Word::now("pool", "one of `agent.sources`, or this host's own address"),
    Word::now("keep", "the client's own address: the backend's way back must lead through this host"),
];

const ECHOES: &[Word] = &[
    Word::now("host", "the host, if it has the address"),
    Word::now(
        "balancer",
        "the balancer, while at least `min_ready` backends (and one) of every service on the address are ready; else \
         nobody does",
    ),
];

const BALANCES: &[Word] = &[
    Word::now("maglev", "weighted consistent hashing"),
    Word::later("least-flows", "the lighter of two hashed candidates"),
];

const ON_DOWN: &[Word] = &[
    Word::now(
        "reset",
        "its TCP flows are reset, paced by reset_rate; its UDP flows are sent to another backend",
    ),
    Word::now("rehash", "its flows are sent to another backend, which resets what it does not know"),
    Word::now("hold", "its flows go on being sent to it"),
];

const ON_EXPIRE: &[Word] = &[
    Word::now("forget", "it is forgotten; its next segment goes where its client's pin says"),
    Word::now("reset", "it is reset, so that its client hears of it"),
];

const ON_NONE: &[Word] = &[
    Word::now(
        "reset",
        "a TCP connection is refused by a RST, a UDP datagram by an ICMP message (port unreachable), of these at most one a CPU and clock tick",
    ),
    Word::now("drop", "its packets are dropped"),
];

const ENDS: &[Word] = &[
    Word::now("reset", "what is left is reset, paced by reset_rate"),
    Word::now("leave", "what is left goes on until it ends"),
];

const MONTH: Duration = Duration::from_secs(30 * 24 * HOUR);

pub(super) const SERVICE: &[Key] = &[
    Key::new("name", Kind::Text("name"), Value::Required(r#""ws""#), "its name, unique"),
    Key::new(
        "listen",
        Kind::Texts("ADDRESS:PORT/PROTO"),
        Value::Required(r#"["203.0.113.10:443/tcp", "[2001:db8::10]:443/tcp"]"#),
        "service addresses; port * is any; tcp or udp",
    ),
    Key::new("vip", Kind::Word(VIPS), Value::Default(r#""manual""#), "who configures the service address"),
    Key::new("mode", Kind::Word(MODES), Value::Default(r#""l2dsr""#), "how packets reach the backends")
        .effect(Effect::NewMaps),
    Key::new(
        "source",
        Kind::Word(SOURCES),
        Value::Default(r#""pool""#),
        "the address that translated packets come from",
    )
    .effect(Effect::NewMaps)
    .only("mode", "nat"),
    Key::new(
        "mss_clamp",
        number(536, 65_495, ""),
        Value::Optional("1400"),
        "largest TCP segment that the SYN of a client may announce, for a way to the backends that carries less than the \
         client's (`nat`: the answer's SYN too); absent: any",
    ),
    Key::new(
        "icmp_echo",
        Kind::Word(ECHOES),
        Value::Default(r#""host""#),
        "who answers an echo request to its addresses",
    ),
    Key::new("balance", Kind::Word(BALANCES), Value::Default(r#""maglev""#), "how a new client is placed"),
    Key::new(
        "maglev_size",
        number(101, LARGEST, ""),
        Value::Default("65_537"),
        "slots of the Maglev table, a prime, at least 100 times the backends",
    )
    .effect(Effect::NewMaps),
    Key::new(
        "heartbeat",
        duration(Duration::from_millis(1), FLOW_MAX, ""),
        Value::Optional(r#""30s""#),
        "the application's heartbeat: `check` then refuses an idle timeout that is not longer",
    ),
    Key::new(
        "on_down",
        Kind::Word(ON_DOWN),
        Value::Default(r#""reset""#),
        "what becomes of the flows of a backend that goes down, while another could take its clients",
    ),
    Key::new(
        "reset_rate",
        number(1, 1_000_000, ""),
        Value::Default("2_000"),
        "flows of a backend that are reset a second, when all of them are",
    ),
    Key::new(
        "on_expire",
        Kind::Word(ON_EXPIRE),
        Value::Default(r#""forget""#),
        "what becomes of a TCP flow that was silent for longer than its timeout",
    ),
    Key::new(
        "on_none",
        Kind::Word(ON_NONE),
        Value::Default(r#""reset""#),
        "what becomes of a new connection that nobody can serve",
    ),
    Key::new(
        "panic_below",
        Kind::ShareOrOff,
        Value::Default("0.0"),
        "share of backends up below which health is ignored, and always with none up; \"off\": never",
    ),
    Key::new(
        "min_ready",
        number(0, 4_095, ""),
        Value::Default("1"),
        "a verb that would leave fewer backends up wants --force",
    ),
    Key::new("affinity", Kind::Table(Section::Affinity), Value::Optional(""), "how clients are pinned"),
    Key::new(
        "timeouts",
        Kind::Table(Section::Timeouts),
        Value::Optional(""),
        "when a silent flow is forgotten",
    ),
    Key::new("drain", Kind::Table(Section::Drain), Value::Optional(""), "how a drain ends"),
    Key::new(
        "health",
        Kind::Table(Section::Health),
        Value::Optional(""),
        "the health check of every backend",
    ),
    Key::new("backend", Kind::Tables(Section::Backend), Value::Required(""), "a backend, one header each"),
    Key::later("max_load", "bound of a backend, as a multiple of its fair share"),
    Key::later("slow_start", "ramp of a returning backend's weight"),
    Key::later("doors", "a port or address of its own for each backend"),
];

const AFFINITIES: &[Word] = &[
    Word::now("client", "a client, by its address or prefix, keeps its backend"),
    Word::now("connection", "each connection is placed by its 5-tuple, nothing is pinned"),
];

pub(super) const AFFINITY: &[Key] = &[
    Key::new("by", Kind::Word(AFFINITIES), Value::Default(r#""client""#), "what affinity goes by"),
    Key::new(
        "timeout",
        duration(PIN_MIN, PIN_MAX, PIN_WHY),
        Value::Default(r#""3h""#),
        "how long a pin lives after the last packet of its client's last flow",
    ),
    Key::new(
        "v4_prefix",
        number(1, 32, "an IPv4 address has 32 bits"),
        Value::Default("32"),
        "leading bits of a v4 address that make one client",
    )
    .effect(Effect::NewMaps),
    Key::new(
        "v6_prefix",
        number(1, 128, "an IPv6 address has 128 bits"),
        Value::Default("64"),
        "leading bits of a v6 address that make one client",
    )
    .effect(Effect::NewMaps),
    Key::later("spill", "live flows of a pin beyond which further ones are spread"),
];

pub(super) const DRAIN: &[Key] = &[
    Key::new(
        "deadline",
        duration(Duration::ZERO, MONTH, ""),
        Value::Default(r#""5m""#),
        "how long the flows of a draining or deleted backend may go on",
    ),
    Key::new(
        "end",
        Kind::Word(ENDS),
        Value::Default(r#""reset""#),
        "what becomes of its flows at the deadline",
    ),
];

pub(super) const TIMEOUTS: &[Key] = &[
    Key::new("established", idle(), Value::Default(r#""2h""#), "an established TCP flow"),
    Key::new("closing", idle(), Value::Default(r#""30s""#), "a TCP flow after a FIN or RST of the client"),
    Key::new(
        "syn",
        idle(),
        Value::Default(r#""60s""#),
        "a flow that was only just made, until its first packet after a step of the clock",
    ),
    Key::new("udp", idle(), Value::Default(r#""2m""#), "a UDP flow"),
];
