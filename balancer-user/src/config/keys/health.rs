//! Keys of `[service.health]`.

use std::time::Duration;

use super::{Bounds, Key, Kind, Value, Word, duration, number};

const KINDS: &[Word] = &[
    Word::now("tcp", "a connect"),
    Word::now("http", "a GET, judged by its status"),
    Word::now("none", "nothing is asked, a backend is always up"),
    Word::later("tls", "a TLS handshake"),
    Word::later("https", "a GET over TLS"),
    Word::later("websocket", "a WebSocket handshake"),
    Word::later("udp", "a datagram and its answer"),
    Word::later("exec", "a program's exit code"),
];

const VIAS: &[Word] = &[
    Word::now(
        "auto",
        "`datapath` where it can be had and tells more, else `direct`: the kernel must have it, the port asked must be the one \
         that clients reach, of a TCP listener in `listen` (not `*`), the backend must have an address of that listener's \
         family, and in mode `nat` packets must come from `agent.sources`",
    ),
    Word::now(
        "datapath",
        "as clients' packets reach that backend (Linux 6.6): at the service address, the first in `listen` of the \
         family of the backend's address; in mode `ipip` the same in a tunnel; in mode `nat` from one of `agent.sources`, or \
         with `source = \"keep\"` from the service address; an error where it cannot be had",
    ),
    Word::now("direct", "the backend's own address"),
];

const STATUS: Bounds<u64> = Bounds { min: 100, max: 599, why: "it is an HTTP status" };
const MIN: Duration = Duration::from_millis(10);
const HOUR: Duration = Duration::from_secs(3_600);

pub(super) const HEALTH: &[Key] = &[
    Key::new("kind", Kind::Word(KINDS), Value::Default(r#""tcp""#), "what is asked"),
    Key::new(
        "port",
        number(1, 65_535, ""),
        Value::Optional("8081"),
        "port that is asked; when absent, the one of the backend's address, else the service's (the first in `listen`)",
    ),
    Key::new(
        "host",
        Kind::Text("host name"),
        Value::Optional(r#""app.example""#),
        "Host header of the request",
    )
    .only("kind", "http"),
    Key::new("path", Kind::Text("path"), Value::Default(r#""/""#), "path of the request")
        .only("kind", "http"),
    Key::new("expect", Kind::Numbers(STATUS), Value::Default("[200]"), "statuses that mean good")
        .only("kind", "http"),
    Key::new(
        "drain_on",
        Kind::Numbers(STATUS),
        Value::Default("[]"),
        "statuses by which the application asks to be drained, e.g. `[503]`; none that is in `expect`",
    )
    .only("kind", "http"),
    Key::new(
        "interval",
        duration(MIN, HOUR, ""),
        Value::Default(r#""2s""#),
        "time between the starts of two checks, jittered",
    ),
    Key::new(
        "timeout",
        duration(MIN, HOUR, ""),
        Value::Default(r#""1s""#),
        "a check that takes longer has failed; not longer than the interval",
    ),
    Key::new(
        "rise",
        number(1, 1_000, ""),
        Value::Default("2"),
        "good checks in a row that make a down backend up",
    ),
    Key::new(
        "fall",
        number(1, 1_000, ""),
        Value::Default("3"),
        "failed checks in a row that make an up backend down",
    ),
    Key::new("via", Kind::Word(VIAS), Value::Default(r#""auto""#), "which way the check takes"),
];
