//! Typed values of a [`Table`], within the bounds of the table of keys.

use std::{fmt::Display, time::Duration};

use toml::de::{DeInteger, DeValue};

use super::{
    keys::{Bounds, Key, Kind, Support, Value, Word},
    place::Placed,
    problem::Fault,
    suggest::{one_of, remedy},
    table::Table,
};

impl<'a> Table<'a> {
    /// A string that `parse` takes.
    pub(super) fn text<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, Fault>) -> Option<Placed<T>> {
        self.text_of(self.key(name), &self.value(name)?, parse)
    }

    /// A list of strings that `parse` takes, without those that it refuses; `None` when it is no list or empty.
    pub(super) fn texts<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Vec<Placed<T>>> {
        let items = self.list(name)?;
        Some(items.iter().filter_map(|item| self.text_of(self.key(name), item, &parse)).collect())
    }

    /// A word that this version implements.
    pub(super) fn word<T>(&self, name: &str, from: impl Fn(&str) -> Option<T>) -> Option<Placed<T>> {
        let Kind::Word(words) = self.key(name).kind else { unreachable!("{name} is no word") };
        self.text(name, |text| {
            let word = known(name, text, words)?;
            Ok(from(word).unwrap_or_else(|| unreachable!("{word} of the table of keys has no meaning")))
        })
    }

    /// A whole number within its bounds.
    pub(super) fn number<T: TryFrom<u64>>(&self, name: &str) -> Option<Placed<T>> {
        self.number_of(self.key(name), &self.value(name)?)
    }

    /// A list of whole numbers within their bounds.
    pub(super) fn numbers<T: TryFrom<u64>>(&self, name: &str) -> Option<Vec<Placed<T>>> {
        let items = self.list(name)?;
        Some(items.iter().filter_map(|item| self.number_of(self.key(name), item)).collect())
    }

    /// A duration within its bounds.
    pub(super) fn duration(&self, name: &str) -> Option<Placed<Duration>> {
        let (key, value) = (self.key(name), self.value(name)?);
        let Kind::Duration(bounds) = key.kind else { unreachable!("{name} is no duration") };
        match &value.value {
            DeValue::String(text) => {
                let duration =
                    duration(key, text).and_then(|it| within(name, it, text, &bounds, format_duration));
                self.judged(&value, duration)
            }
            DeValue::Integer(number) => self.judged(&value, Err(no_unit(name, number.as_str()))),
            DeValue::Float(number) => self.judged(&value, Err(no_unit(name, number.as_str()))),
            other => self.wrong_type(key, &value.at, other),
        }
    }

    /// A fraction in thousandths; `None` within for `"off"`.
    pub(super) fn share(&self, name: &str) -> Option<Placed<Option<u16>>> {
        let (key, value) = (self.key(name), self.value(name)?);
        match &value.value {
            DeValue::String(word) => {
                let word = match word.as_ref() {
                    "off" => Ok(None),
                    other => {
                        Err(Fault::new(format!("{name} has no word {other:?}"), "use 0.0 to 1.0, or \"off\""))
                    }
                };
                self.judged(&value, word)
            }
            DeValue::Integer(number) => self.judged(&value, thousandths(name, number.as_str()).map(Some)),
            DeValue::Float(number) => self.judged(&value, thousandths(name, number.as_str()).map(Some)),
            other => self.wrong_type(key, &value.at, other),
        }
    }

    /// `true` or `false`.
    pub(super) fn flag(&self, name: &str) -> Option<Placed<bool>> {
        let (key, value) = (self.key(name), self.value(name)?);
        match &value.value {
            DeValue::Boolean(flag) => Some(value.with(*flag)),
            other => self.wrong_type(key, &value.at, other),
        }
    }

    fn text_of<T>(
        &self,
        key: &Key,
        value: &Placed<DeValue<'_>>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<Placed<T>> {
        match &value.value {
            DeValue::String(text) => self.judged(value, parse(text)),
            _ => self.wrong(key, value),
        }
    }

    fn wrong<T>(&self, key: &Key, value: &Placed<DeValue<'_>>) -> Option<T> {
        match key.kind {
            // The list itself was seen to be one before its items were looked at.
            Kind::Texts(_) | Kind::TextOrTexts(_) | Kind::Numbers(_) => {
                self.wrong_item(key, &value.at, &value.value)
            }
            _ => self.wrong_type(key, &value.at, &value.value),
        }
    }

    fn number_of<T: TryFrom<u64>>(&self, key: &Key, value: &Placed<DeValue<'_>>) -> Option<Placed<T>> {
        let (Kind::Number(bounds) | Kind::Numbers(bounds)) = key.kind else {
            unreachable!("{} is no number", key.name)
        };
        let DeValue::Integer(number) = &value.value else {
            return self.wrong(key, value);
        };
        let exact = integer(number).ok_or_else(|| out_of_range(key.name, number, &bounds, u64::to_string));
        let number = exact.and_then(|exact| within(key.name, exact, number, &bounds, u64::to_string));
        let number = self.judged(value, number)?;
        let narrow = T::try_from(number.value).unwrap_or_else(|_| unreachable!("bounds of {} fit", key.name));
        Some(number.with(narrow))
    }

    /// The items of a list; of a lone string where the key allows one. Only where the default is empty may it be.
    fn list(&self, name: &str) -> Option<Vec<Placed<DeValue<'a>>>> {
        let (key, value) = (self.key(name), self.value(name)?);
        match &value.value {
            DeValue::String(_) if matches!(key.kind, Kind::TextOrTexts(_)) => Some(vec![value]),
            DeValue::Array(items) if items.is_empty() && key.value != Value::Default("[]") => {
                self.report.error(&value.at, format!("{name} is empty"), format!("write {}", key.line()));
                None
            }
            DeValue::Array(items) => {
                let place = |span| if value.written { span } else { value.at.clone() };
                let placed = items.iter().map(|item| Placed {
                    value: item.get_ref().clone(),
                    at: place(item.span()),
                    written: value.written,
                });
                Some(placed.collect())
            }
            other => self.wrong_type(key, &value.at, other),
        }
    }

    /// A value in the place of the one that it was made of, or its fault there.
    fn judged<T, U>(&self, place: &Placed<U>, result: Result<T, Fault>) -> Option<Placed<T>> {
        result.map(|value| place.with(value)).map_err(|fault| self.report.fault(&place.at, &fault)).ok()
    }
}

fn known(name: &str, text: &str, words: &'static [Word]) -> Result<&'static str, Fault> {
    let all = |support| words.iter().filter(move |word| word.support == support).map(|word| word.word);
    let now: Vec<&str> = all(Support::Now).collect();
    match words.iter().find(|word| word.word == text) {
        Some(word) if word.support == Support::Now => Ok(word.word),
        Some(_) => {
            let message = format!("{name} {text:?} is not supported yet");
            Err(Fault::new(message, format!("use {}", one_of(&now))))
        }
        None => Err(Fault::new(format!("{name} has no word {text:?}"), remedy(text, &now))),
    }
}

fn duration(key: &Key, text: &str) -> Result<Duration, Fault> {
    let bare = text.trim();
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err(no_unit(key.name, bare));
    }
    humantime::parse_duration(text).map_err(|error| {
        let message = format!("{} {text:?} is no duration: {error}", key.name);
        Fault::new(message, format!("write it like {}", key.line()))
    })
}

fn thousandths(name: &str, text: &str) -> Result<u16, Fault> {
    match text.replace('_', "").parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok((share * 1_000.0).round() as u16),
        _ => Err(Fault::new(format!("{name} {text} is out of range"), "use 0.0 to 1.0, or \"off\"")),
    }
}

fn no_unit(name: &str, number: &str) -> Fault {
    Fault::new(
        format!("{name} is a number without its unit"),
        format!("write \"{number}s\" for seconds; ms, m, h and days are units too"),
    )
}

fn integer(number: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn within<T: PartialOrd>(
    name: &str,
    value: T,
    written: impl Display,
    bounds: &Bounds<T>,
    show: impl Fn(&T) -> String,
) -> Result<T, Fault> {
    if value < bounds.min || value > bounds.max {
        return Err(out_of_range(name, written, bounds, show));
    }
    Ok(value)
}

fn out_of_range<T>(
    name: &str,
    written: impl Display,
    bounds: &Bounds<T>,
    show: impl Fn(&T) -> String,
) -> Fault {
    let why = if bounds.why.is_empty() { String::new() } else { format!(" ({})", bounds.why) };
    Fault::new(
        format!("{name} {written} is out of range"),
        format!("use {} to {}{why}", show(&bounds.min), show(&bounds.max)),
    )
}

fn format_duration(duration: &Duration) -> String {
    humantime::format_duration(*duration).to_string()
}
