//! What the TOML parser has to say, as problems.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, Error},
};

use super::problem::Report;

/// Parses the text. `None`: so broken that what was read would only draw wrong complaints.
pub(super) fn read<'a>(text: &'a str, report: &Report<'_>) -> Option<Spanned<DeTable<'a>>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    let mut lines = Vec::new();
    for error in &errors {
        let at = error.span().unwrap_or(0..0);
        // One slip makes the parser stumble again on the same line.
        if !lines.contains(&report.line(&at)) {
            lines.push(report.line(&at));
            complain(text, error.message(), at, report);
        }
    }
    errors.iter().all(harmless).then_some(document)
}

const UNQUOTED: &str = "string values must be quoted";
const TWICE: &str = "duplicate key";

/// After these the parser knows what was meant, and the rest of the file can be judged.
fn harmless(error: &Error) -> bool {
    let word = error.span().is_some_and(|span| !span.is_empty());
    word && (error.message().starts_with(UNQUOTED) || error.message().starts_with(TWICE))
}

fn complain(text: &str, message: &str, at: Range<usize>, report: &Report<'_>) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let word = text.get(at.clone()).unwrap_or_default();
    match what {
        UNQUOTED if word.is_empty() => report.error(&at, "the key has no value", "write one after the ="),
        UNQUOTED => report.error(
            &at,
            format!("{} stands without quotes", word.escape_debug()),
            format!("write {word:?}"),
        ),
        TWICE => report.error(&at, format!("{word:?} is given twice"), "keep one of the two"),
        _ if expected.is_empty() || expected == "nothing" => {
            report.error(&at, format!("not TOML: {what}"), "see https://toml.io");
        }
        _ => report.error(&at, format!("not TOML: {what}"), format!("expected {expected}")),
    }
}
