//! The one table of keys.

mod agent;
mod backend;
mod health;
mod service;

use std::time::Duration;

/// A place where keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Section {
    /// Before the first header.
    Top,
    /// `[agent]`.
    Agent,
    /// `[limits]`.
    Limits,
    /// `[[service]]`.
    Service,
    /// `affinity` of a service.
    Affinity,
    /// `timeouts` of a service.
    Timeouts,
    /// `drain` of a service.
    Drain,
    /// `[service.health]`.
    Health,
    /// `[[service.backend]]`.
    Backend,
}

impl Section {
    /// Every section, in the order of a file.
    pub const ALL: [Self; 9] = [
        Self::Top,
        Self::Agent,
        Self::Limits,
        Self::Service,
        Self::Affinity,
        Self::Timeouts,
        Self::Drain,
        Self::Health,
        Self::Backend,
    ];

    /// Its header.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Top => "the top level",
            Self::Agent => "[agent]",
            Self::Limits => "[limits]",
            Self::Service => "[[service]]",
            Self::Affinity => "[service.affinity]",
            Self::Timeouts => "[service.timeouts]",
            Self::Drain => "[service.drain]",
            Self::Health => "[service.health]",
            Self::Backend => "[[service.backend]]",
        }
    }

    /// Its keys.
    #[must_use]
    pub const fn keys(self) -> &'static [Key] {
        match self {
            Self::Top => agent::TOP,
            Self::Agent => agent::AGENT,
            Self::Limits => agent::LIMITS,
            Self::Service => service::SERVICE,
            Self::Affinity => service::AFFINITY,
            Self::Timeouts => service::TIMEOUTS,
            Self::Drain => service::DRAIN,
            Self::Health => health::HEALTH,
            Self::Backend => backend::BACKEND,
        }
    }

    /// The key of this name.
    #[must_use]
    pub fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().iter().find(|key| key.name == name)
    }
}

/// One key.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What its value looks like.
    pub kind: Kind,
    /// What holds when it is not written.
    pub value: Value,
    /// One line about it.
    pub meaning: &'static str,
    /// Whether this version implements it.
    pub support: Support,
    /// What a change of it takes.
    pub effect: Effect,
    /// The key and word without which it means nothing.
    pub only: Option<(&'static str, &'static str)>,
}

/// What a value looks like.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A string of the given form.
    Text(&'static str),
    /// A list of such strings.
    Texts(&'static str),
    /// Such a string, or a list of them.
    TextOrTexts(&'static str),
    /// One of these words.
    Word(&'static [Word]),
    /// A whole number.
    Number(Bounds<u64>),
    /// A list of whole numbers.
    Numbers(Bounds<u64>),
    /// A string with a number and its unit.
    Duration(Bounds<Duration>),
    /// A fraction of one, of whole thousandths, or `"off"`.
    ShareOrOff,
    /// `true` or `false`.
    Flag,
    /// A table.
    Table(Section),
    /// An array of tables.
    Tables(Section),
    /// The form of a key that is not implemented yet.
    Unknown,
}

/// The least and the greatest value, and why.
#[derive(Clone, Copy, Debug)]
pub struct Bounds<T> {
    /// The least value.
    pub min: T,
    /// The greatest value.
    pub max: T,
    /// Why, for the message; may be empty.
    pub why: &'static str,
}

/// One word of a key.
#[derive(Clone, Copy, Debug)]
pub struct Word {
    /// The word.
    pub word: &'static str,
    /// Whether this version implements it.
    pub support: Support,
    /// One line about it.
    pub meaning: &'static str,
}

/// What holds when a key is not written; all in TOML.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// The file is refused; this is an example.
    Required(&'static str),
    /// Nothing; this is an example.
    Optional(&'static str),
    /// This.
    Default(&'static str),
}

/// Whether this version implements something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// It does.
    Now,
    /// It refuses it: accepting and ignoring it would be a lie.
    Later,
}

/// What a change of a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    /// A reload.
    Live,
    /// A reload that makes new tables: it costs flows or pins, and wants `--yes`.
    NewMaps,
    /// A restart of the agent.
    Restart,
}

impl Key {
    const fn new(name: &'static str, kind: Kind, value: Value, meaning: &'static str) -> Self {
        Self { name, kind, value, meaning, support: Support::Now, effect: Effect::Live, only: None }
    }

    const fn later(name: &'static str, meaning: &'static str) -> Self {
        let key = Self::new(name, Kind::Unknown, Value::Optional(""), meaning);
        Self { support: Support::Later, ..key }
    }

    const fn effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    const fn only(self, key: &'static str, word: &'static str) -> Self {
        Self { only: Some((key, word)), ..self }
    }

    /// A line of TOML that shows it: its default, or an example.
    #[must_use]
    pub fn line(&self) -> String {
        match (self.kind, self.value) {
            (Kind::Table(section) | Kind::Tables(section), _) => section.title().to_owned(),
            (_, Value::Required(toml) | Value::Optional(toml) | Value::Default(toml)) => {
                format!("{} = {toml}", self.name)
            }
        }
    }
}

impl Word {
    const fn now(word: &'static str, meaning: &'static str) -> Self {
        Self { word, support: Support::Now, meaning }
    }

    const fn later(word: &'static str, meaning: &'static str) -> Self {
        Self { word, support: Support::Later, meaning }
    }
}

const fn number(min: u64, max: u64, why: &'static str) -> Kind {
    Kind::Number(Bounds { min, max, why })
}

const fn duration(min: Duration, max: Duration, why: &'static str) -> Kind {
    Kind::Duration(Bounds { min, max, why })
}
