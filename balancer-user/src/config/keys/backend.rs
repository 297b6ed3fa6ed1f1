//! Keys of `[[service.backend]]`.

use super::{Key, Kind, Value, Word, number};

const STATES: &[Word] = &[
    Word::now("ready", "takes clients"),
    Word::now("drain", "finishes what it has, takes nothing new"),
    Word::now("maint", "out of service"),
];

pub(super) const BACKEND: &[Key] = &[
    Key::new("name", Kind::Text("name"), Value::Required(r#""ws-1""#), "its name, unique in its service"),
    Key::new(
        "address",
        Kind::TextOrTexts("address"),
        Value::Required(r#""10.0.1.10""#),
        "its address, or a list of one v4 and one v6; in mode `nat` with a port, if it is not the one that clients ask: \
         `\"10.0.1.10:8081\"`",
    ),
    Key::new(
        "weight",
        number(0, 65_535, ""),
        Value::Default("100"),
        "share of new clients, relative to the others; 0: none",
    ),
    Key::new("state", Kind::Word(STATES), Value::Default(r#""ready""#), "what the operator wants of it"),
    Key::new(
        "backup",
        Kind::Flag,
        Value::Default("false"),
        "serves only when no other backend may; its pins do not outlast that",
    ),
    Key::new(
        "max_flows",
        number(1, 0xffff_ffff, ""),
        Value::Optional("20000"),
        "live flows with which it takes no new client; pinned ones still come",
    ),
    Key::later("door", "its own port on the service address"),
];
