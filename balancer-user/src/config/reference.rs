//! The tables of the reference page, made of the table of keys.

use std::fmt::Write as _;

use super::keys::{Effect, Key, Kind, Section, Support, Value, Word};

/// The reference of every key, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::new();
    for section in Section::ALL {
        let title =
            if section == Section::Top { "Top level".to_owned() } else { format!("`{}`", section.title()) };
        let _ = writeln!(
            text,
            "## {title}\n\n| key | value | default | meaning | a change takes |\n|---|---|---|---|---|"
        );
        keys(section, Support::Now).for_each(|key| row(&mut text, key));
        text.push('\n');
        keys(section, Support::Now).for_each(|key| words(&mut text, key));
    }
    later(&mut text);
    text
}

fn keys(section: Section, support: Support) -> impl Iterator<Item = &'static Key> {
    section.keys().iter().filter(move |key| key.support == support)
}

fn row(text: &mut String, key: &Key) {
    let default = match key.value {
        Value::Required(_) => "required".to_owned(),
        Value::Default(toml) => format!("`{toml}`"),
        Value::Optional(_) => "none".to_owned(),
    };
    let effect = match (key.kind, key.effect) {
        (Kind::Table(_) | Kind::Tables(_), _) => "",
        (_, Effect::Live) => "reload",
        (_, Effect::NewMaps) => "reload `--yes`: new tables",
        (_, Effect::Restart) => "restart",
    };
    let only = key.only.map_or_else(String::new, |(key, word)| format!("; for `{key} = {word:?}` alone"));
    let _ = writeln!(
        text,
        "| `{}` | {} | {default} | {}{only} | {effect} |",
        key.name,
        value(key.kind),
        key.meaning
    );
}

fn value(kind: Kind) -> String {
    match kind {
        Kind::Text(form) => form.to_owned(),
        Kind::Texts(form) => format!("list of {form}"),
        Kind::TextOrTexts(form) => format!("{form} or list"),
        Kind::Word(_) => "word".to_owned(),
        Kind::Number(bounds) if bounds.min == bounds.max => bounds.min.to_string(),
        Kind::Number(bounds) => format!("{} to {}", bounds.min, bounds.max),
        Kind::Numbers(bounds) => format!("list of {} to {}", bounds.min, bounds.max),
        Kind::Duration(bounds) => {
            let [min, max] = [bounds.min, bounds.max].map(humantime::format_duration);
            format!("{min} to {max}")
        }
        Kind::ShareOrOff => "0.0 to 1.0, or `\"off\"`".to_owned(),
        Kind::Flag => "`true` or `false`".to_owned(),
        Kind::Table(section) | Kind::Tables(section) => format!("`{}`", section.title()),
        Kind::Unknown => String::new(),
    }
}

fn words(text: &mut String, key: &Key) {
    let Kind::Word(words) = key.kind else { return };
    let _ = writeln!(text, "`{}`:\n", key.name);
    for Word { word, support, meaning } in words {
        let later = if *support == Support::Later { " (not supported yet)" } else { "" };
        let _ = writeln!(text, "- `{word}`: {meaning}{later}");
    }
    text.push('\n');
}

fn later(text: &mut String) {
    text.push_str("## Not supported yet\n\nThese keys are known and refused.\n\n| key | of | meaning |\n|---|---|---|\n");
    for section in Section::ALL {
        for key in keys(section, Support::Later) {
            let _ = writeln!(text, "| `{}` | `{}` | {} |", key.name, section.title(), key.meaning);
        }
    }
}
