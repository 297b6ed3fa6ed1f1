//! The one table of keys agrees with all that is made of it.

use std::fs;

use balancer_user::config::{
    self,
    keys::{Key, Kind, Section, Support, Value},
};

const LEAST: &str = include_str!("good/least.toml");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
const BEGIN: &str = "<!-- made of the table of keys: begin -->\n";
const END: &str = "<!-- made of the table of keys: end -->\n";

fn keys() -> impl Iterator<Item = (Section, &'static Key)> {
    Section::ALL.into_iter().flat_map(|section| section.keys().iter().map(move |key| (section, key)))
}

/// The least file with one more line in a section.
fn with(section: Section, line: &str) -> String {
    let header = section.title();
    match section {
        Section::Top => format!("{line}\n{LEAST}"),
        Section::Agent | Section::Service | Section::Backend => {
            LEAST.replacen(header, &format!("{header}\n{line}"), 1)
        }
        Section::Limits => format!("{LEAST}\n{header}\n{line}\n"),
        Section::Affinity | Section::Timeouts | Section::Drain | Section::Health => {
            LEAST.replacen("[[service.backend]]", &format!("{header}\n{line}\n\n[[service.backend]]"), 1)
        }
    }
}

#[test]
fn the_least_file_and_one_with_every_default_written_are_the_same() {
    let least = config::parse(LEAST, "least").unwrap().config;
    for (section, key) in
        keys().filter(|(_, key)| matches!(key.value, Value::Default(_)) && key.only.is_none())
    {
        let text = with(section, &key.line());
        let loaded = config::parse(&text, "default").unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(loaded.config, least, "{}", key.name);
    }
}

#[test]
fn every_word_is_taken_or_refused_as_the_table_says() {
    for (section, key) in keys() {
        let Kind::Word(words) = key.kind else { continue };
        for word in words {
            let only = key.only.map_or_else(String::new, |(other, word)| format!("{other} = {word:?}\n"));
            let text = with(section, &format!("{only}{} = {:?}", key.name, word.word));
            match (word.support, config::parse(&text, "f")) {
                (Support::Now, Ok(_)) => {}
                (Support::Later, Err(problems)) => {
                    assert_eq!(problems.0.len(), 1);
                    assert!(problems.0[0].message.ends_with("is not supported yet"), "{problems}");
                }
                (_, result) => panic!("{} = {}: {result:?}", key.name, word.word),
            }
        }
    }
}

#[test]
fn every_key_that_is_not_supported_yet_is_refused_whatever_its_value() {
    for (section, key) in keys().filter(|(_, key)| key.support == Support::Later) {
        let text = with(section, &format!("{} = 1", key.name));
        let problems = config::parse(&text, "f").unwrap_err();
        assert_eq!(problems.0.len(), 1, "{problems}");
        assert_eq!(problems.0[0].message, format!("{} is not supported yet", key.name));
    }
}

#[test]
fn the_example_names_every_supported_key_with_its_default() {
    let example = config::example();
    for (section, key) in keys().filter(|(_, key)| key.support == Support::Now) {
        let line = key.line();
        let there = example.lines().any(|it| it == line || it.strip_prefix("# ") == Some(&line));
        assert!(there, "{line} of {} is not in the example", section.title());
    }
}

#[test]
fn the_example_passes_with_its_optional_keys_too() {
    let mut example = config::example().replace("kind = \"tcp\"", "kind = \"http\"");
    // The mode of the example has no use for those of another.
    for (_, key) in keys().filter(|(_, key)| key.only.is_none_or(|(other, _)| other != "mode")) {
        example = example.replace(&format!("\n# {}\n", key.line()), &format!("\n{}\n", key.line()));
    }
    let loaded =
        config::parse(&example, "example").unwrap_or_else(|problems| panic!("{problems}\n{example}"));
    assert!(loaded.config.limits.hash_seed.is_some() && loaded.config.services[0].heartbeat.is_some());
    assert_eq!(loaded.warnings, []);
}

/// With `BALANCER_WRITE_DOCS=1` in the environment the page is written anew instead.
#[test]
fn the_reference_page_is_made_of_the_table() {
    let page = fs::read_to_string(PAGE).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (old, tail) = rest.split_once(END).unwrap();
    let new = format!("\n{}\n", config::reference());
    if std::env::var_os("BALANCER_WRITE_DOCS").is_some() {
        fs::write(PAGE, format!("{head}{BEGIN}{new}{END}{tail}")).unwrap();
    } else {
        assert!(old == new, "docs/configuration.md is old: run this test with BALANCER_WRITE_DOCS=1");
    }
}
