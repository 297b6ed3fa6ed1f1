//! `config example`: a whole file made of the table of keys.

use std::fmt::Write as _;

use super::keys::{Key, Kind, Section, Support, Value, Word};

const HEAD: &str = "\
# Configuration of the balancer. Every key stands here with its default, or with an example where it
# has none; a line that is commented out is not set. Durations carry a unit: ms, s, m, h, days.

";

const TAIL: &str = "
[[service.backend]]
name = \"ws-2\"
address = [\"10.0.1.11\", \"2001:db8:0:1::11\"]
";

/// A commented file that names each key and passes `check`.
#[must_use]
pub fn example() -> String {
    let mut text = HEAD.to_owned();
    for section in Section::ALL {
        if section != Section::Top {
            let _ = writeln!(text, "\n{}", section.title());
        }
        section.keys().iter().for_each(|key| add(&mut text, key));
    }
    text + TAIL
}

fn add(text: &mut String, key: &Key) {
    if key.support == Support::Later || matches!(key.kind, Kind::Table(_) | Kind::Tables(_)) {
        return;
    }
    let only = key.only.map_or_else(String::new, |(key, word)| format!(" (for {key} = {word:?} alone)"));
    let _ = writeln!(text, "# {}{only}", key.meaning);
    if let Kind::Word(words) = key.kind {
        for Word { word, meaning, .. } in words.iter().filter(|word| word.support == Support::Now) {
            let _ = writeln!(text, "#   {word:?}: {meaning}");
        }
    }
    let unset = matches!(key.value, Value::Optional(_)) || key.only.is_some();
    let _ = writeln!(text, "{}{}", if unset { "# " } else { "" }, key.line());
}
