//! Whatever the text, there is a verdict, each problem lies within the text, and nothing panics.

use proptest::prelude::*;

use crate::{WHOLE, verdict::verdict};

/// One change of a text: what stands from `at` for `len` characters is replaced.
#[derive(Clone, Debug)]
struct Edit {
    at: usize,
    len: usize,
    text: String,
}

fn edit() -> impl Strategy<Value = Edit> {
    let lines: Vec<&str> = WHOLE.lines().collect();
    let text = prop_oneof![
        Just(String::new()),
        "[\\[\\]{}=\",.#'\n0-9a-z-]{1,4}",
        any::<char>().prop_map(String::from),
        prop::sample::select(vec![
            "0",
            "-1",
            "\"\"",
            "[]",
            "{}",
            "true",
            "1.5",
            "\"0s\"",
            "99999999999999999999",
            "\n"
        ])
        .prop_map(str::to_owned),
        prop::sample::select(lines).prop_map(|line| format!("\n{line}\n")),
    ];
    (any::<prop::sample::Index>(), 0_usize..12, text).prop_map(|(at, len, text)| Edit {
        at: at.index(WHOLE.len()),
        len,
        text,
    })
}

fn apply(text: &str, edit: &Edit) -> String {
    let head = text.chars().take(edit.at);
    let tail = text.chars().skip(edit.at + edit.len);
    head.chain(edit.text.chars()).chain(tail).collect()
}

fn judge(text: &str) -> Result<(), TestCaseError> {
    verdict(text).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_mutated_file_gets_a_verdict(edits in prop::collection::vec(edit(), 1..4)) {
        judge(&edits.iter().fold(WHOLE.to_owned(), |text, edit| apply(&text, edit)))?;
    }

    #[test]
    fn any_text_gets_a_verdict(text in "\\PC{0,80}") {
        judge(&text)?;
    }
}
