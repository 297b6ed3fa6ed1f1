//! One table of the file, read by the table of keys.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys::{Key, Kind, Section, Support, Value},
    place::Placed,
    problem::Report,
    suggest::nearest,
};

/// A table of the file, or the empty one that stands for a table which is not written.
pub(super) struct Table<'a> {
    section: Section,
    entries: Option<&'a DeTable<'a>>,
    at: Range<usize>,
    pub(super) report: &'a Report<'a>,
}

impl<'a> Table<'a> {
    /// The whole file.
    pub(super) fn top(document: &'a Spanned<DeTable<'a>>, report: &'a Report<'a>) -> Self {
        let table = Self { section: Section::Top, entries: Some(document.get_ref()), at: 0..0, report };
        table.check_names();
        table
    }

    fn enter(&self, section: Section, entries: Option<&'a DeTable<'a>>, at: Range<usize>) -> Self {
        let table = Self { section, entries, at, report: self.report };
        table.check_names();
        table
    }

    /// Its header.
    pub(super) fn at(&self) -> &Range<usize> {
        &self.at
    }

    /// The table below a key; a missing optional one reads as an empty one.
    pub(super) fn table(&self, name: &str) -> Option<Table<'a>> {
        let key = self.key(name);
        let Kind::Table(section) = key.kind else { unreachable!("{name} is no table") };
        match self.entry(name) {
            None if matches!(key.value, Value::Required(_)) => None,
            None => Some(self.enter(section, None, self.at.clone())),
            Some(value) => match value.get_ref() {
                DeValue::Table(entries) => Some(self.enter(section, Some(entries), value.span())),
                other => self.wrong_type(key, &value.span(), other),
            },
        }
    }

    /// The tables below a key, one for each header.
    pub(super) fn tables(&self, name: &str) -> Vec<Table<'a>> {
        let key = self.key(name);
        let Kind::Tables(section) = key.kind else { unreachable!("{name} is no array of tables") };
        let Some(value) = self.entry(name) else { return Vec::new() };
        let Some(items) = value.get_ref().as_array() else {
            return self.wrong_type(key, &value.span(), value.get_ref()).unwrap_or_default();
        };
        if items.is_empty() {
            self.missing(key, &value.span());
        }
        let one = |item: &'a Spanned<DeValue<'a>>| match item.get_ref() {
            DeValue::Table(entries) => Some(self.enter(section, Some(entries), item.span())),
            other => self.wrong_type(key, &item.span(), other),
        };
        items.iter().filter_map(one).collect()
    }

    /// A value of the file, or its default; `None`: there is none, and a missing required one was reported.
    pub(super) fn value(&self, name: &str) -> Option<Placed<DeValue<'a>>> {
        if let Some(value) = self.entry(name) {
            return Some(Placed { value: value.get_ref().clone(), at: value.span(), written: true });
        }
        let Value::Default(text) = self.key(name).value else { return None };
        let value = DeValue::parse(text).ok()?.into_inner();
        Some(Placed { value, at: self.at.clone(), written: false })
    }

    /// Refuses the keys that mean nothing unless `name` is another word than it is.
    pub(super) fn check_only(&self, name: &str, word: &str) {
        for key in self.section.keys() {
            if let (Some((other, wanted)), Some(place)) = (key.only, self.place_of(key.name))
                && other == name
                && wanted != word
            {
                let message = format!("{} means nothing with {name} = {word:?}", key.name);
                self.report.error(&place, message, format!("take it out, or set {name} = {wanted:?}"));
            }
        }
    }

    /// The table's own row for a key; asking for one that it lacks is an error of this program.
    pub(super) fn key(&self, name: &str) -> &'static Key {
        self.section.key(name).unwrap_or_else(|| unreachable!("{name} is in the table of keys"))
    }

    /// Reports a value of the wrong type.
    pub(super) fn wrong_type<T>(&self, key: &Key, at: &Range<usize>, value: &DeValue<'_>) -> Option<T> {
        let message = format!("{} is {}, not {}", key.name, type_of(value), wanted(key.kind));
        self.report.error(at, message, format!("write {}", key.line()));
        None
    }

    /// Reports an item of the wrong type in a list.
    pub(super) fn wrong_item<T>(&self, key: &Key, at: &Range<usize>, item: &DeValue<'_>) -> Option<T> {
        let message = format!("{} has an item that is {}", key.name, type_of(item));
        self.report.error(at, message, format!("write {}", key.line()));
        None
    }

    fn entry(&self, name: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.entries?.get(name)
    }

    fn place_of(&self, name: &str) -> Option<Range<usize>> {
        self.entries?.get_key_value(name).map(|(key, _)| key.span())
    }

    fn check_names(&self) {
        for key in self.entries.into_iter().flatten().map(|(key, _)| key) {
            match self.section.key(key.get_ref()) {
                None => self.unknown(key.get_ref(), &key.span()),
                Some(Key { support: Support::Later, .. }) => self.report.error(
                    &key.span(),
                    format!("{} is not supported yet", key.get_ref()),
                    "take it out: this version would not obey it",
                ),
                Some(_) => {}
            }
        }
        let missing = |key: &&Key| matches!(key.value, Value::Required(_)) && self.entry(key.name).is_none();
        self.section.keys().iter().filter(missing).for_each(|key| self.missing(key, &self.at));
    }

    fn missing(&self, key: &Key, at: &Range<usize>) {
        let message = format!("{} has no {}", self.section.title(), key.name);
        self.report.error(at, message, format!("add {}", key.line()));
    }

    fn unknown(&self, name: &str, at: &Range<usize>) {
        let here = self.section.title();
        let message = format!("{here} has no key {name:?}");
        let elsewhere = Section::ALL.into_iter().find(|section| section.key(name).is_some());
        let keys = self.section.keys();
        let remedy = match (nearest(name, keys.iter().map(|key| key.name)), elsewhere) {
            (_, Some(section)) => format!("it is a key of {}: move it there", section.title()),
            (Some(key), None) => format!("did you mean {key:?}?"),
            (None, None) => {
                let now = keys.iter().filter(|key| key.support == Support::Now).map(|key| key.name);
                format!("its keys are {}", now.collect::<Vec<_>>().join(", "))
            }
        };
        self.report.error(at, message, remedy);
    }
}

fn type_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

fn wanted(kind: Kind) -> &'static str {
    match kind {
        Kind::Text(_) | Kind::Word(_) => "a string",
        Kind::Texts(_) => "a list of strings",
        Kind::TextOrTexts(_) => "a string or a list of strings",
        Kind::Number(_) => "a whole number",
        Kind::Numbers(_) => "a list of whole numbers",
        Kind::Duration(_) => "a string with a number and its unit",
        Kind::ShareOrOff => "a number from 0.0 to 1.0, or \"off\"",
        Kind::Flag => "true or false",
        Kind::Table(_) => "a table",
        Kind::Tables(_) => "an array of tables",
        Kind::Unknown => "known",
    }
}
