//! Keys of the top level, `[agent]` and `[limits]`.

use super::{Effect, Key, Kind, Section, Value, Word, number};

pub(super) const TOP: &[Key] = &[
    Key::new(
        "schema",
        number(1, 1, "this version reads schema 1"),
        Value::Required("1"),
        "version of this file's form",
    ),
    Key::new("agent", Kind::Table(Section::Agent), Value::Required(""), "how the agent runs"),
    Key::new("limits", Kind::Table(Section::Limits), Value::Optional(""), "sizes of the tables"),
    Key::new("service", Kind::Tables(Section::Service), Value::Required(""), "a service, one header each"),
];

const XDP_MODES: &[Word] = &[
    Word::now("auto", "native where the driver can, else generic; `status` says which it got"),
    Word::now("native", "in the driver, else fail"),
    Word::now("generic", "in the network core: works everywhere, slower"),
];

const ON_EXIT: &[Word] = &[
    Word::now("keep", "packets go on flowing with the last verdicts"),
    Word::now("detach", "the program and its tables are taken away"),
];

pub(super) const AGENT: &[Key] = &[
    Key::new(
        "interfaces",
        Kind::Texts("interface names"),
        Value::Required(r#"["eth0"]"#),
        "interfaces that XDP is attached to",
    )
    .effect(Effect::Restart),
    Key::new("xdp_mode", Kind::Word(XDP_MODES), Value::Default(r#""auto""#), "which XDP mode is asked for")
        .effect(Effect::Restart),
    Key::new(
        "on_exit",
        Kind::Word(ON_EXIT),
        Value::Default(r#""keep""#),
        "what becomes of the data path when the agent exits in order",
    )
    .effect(Effect::Restart),
    Key::new(
        "api",
        Kind::Text("absolute path"),
        Value::Default(r#""/run/balancer/api.sock""#),
        "socket of the API, for root alone",
    )
    .effect(Effect::Restart),
    Key::new(
        "stats",
        Kind::Text("ADDRESS:PORT"),
        Value::Default(r#""127.0.0.1:9180""#),
        "address that answers /metrics",
    )
    .effect(Effect::Restart),
    Key::new(
        "state_dir",
        Kind::Text("absolute path"),
        Value::Default(r#""/var/lib/balancer""#),
        "directory of the journal, the numbers, the seed and the lock",
    )
    .effect(Effect::Restart),
    Key::new(
        "bpffs",
        Kind::Text("absolute path"),
        Value::Default(r#""/sys/fs/bpf/balancer""#),
        "directory of the bpffs objects, inside a mounted bpffs",
    )
    .effect(Effect::Restart),
    Key::new(
        "sources",
        Kind::Texts("ADDRESS/PREFIX"),
        Value::Optional(r#"["192.0.2.64/28", "2001:db8:0:40::40/124"]"#),
        "addresses that tunnelled packets (`ipip`) and translated ones (`nat`) come from, spread over the flows: one prefix \
         of each family at most, of at most 16 bits that are free; packets to them must come to this host; absent: the own \
         address that the route to the backend prefers",
    )
    .effect(Effect::NewMaps),
];

pub(super) const LIMITS: &[Key] = &[
    Key::new(
        "flows",
        number(64, 1 << 26, ""),
        Value::Default("1_048_576"),
        "live flows that are tracked in steady churn, v4 and v6 each",
    )
    .effect(Effect::NewMaps),
    Key::new("pins", number(64, 1 << 26, ""), Value::Default("1_048_576"), "pins, v4 and v6 each")
        .effect(Effect::NewMaps),
    Key::new(
        "hash_seed",
        Kind::Text("32 hex digits"),
        Value::Optional(r#""000102030405060708090a0b0c0d0e0f""#),
        "secret seed of Maglev, one for all hosts that share a service address; absent: made once, kept in state_dir",
    )
    .effect(Effect::NewMaps),
    Key::new(
        "nat_ports",
        Kind::Text("FIRST-LAST"),
        Value::Default(r#""1024-32767""#),
        "ports that translated packets come from (`nat`), of each source address to each backend; their number is rounded \
         down to a multiple of 64; none that the host gives its own connections (`net.ipv4.ip_local_port_range`)",
    )
    .effect(Effect::NewMaps),
];
