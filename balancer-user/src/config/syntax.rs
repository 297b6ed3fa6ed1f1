//! What the TOML parser has to say, as problems.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, Error},
};

use super::problem::Report;

/// Parses the text. `None`: so broken that what was read would only draw wrong complaints.
pub(super) fn read<'a>(text: &'a str, report: &Report<'_>) -> Option<Spanned<DeTable<'a>>> {
    let (document, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| place(error).start);
    let mut lines = Vec::new();
    for error in &errors {
        let line = report.line(&place(error));
        // One slip makes the parser stumble again in the same line.
        if !lines.contains(&line) {
            lines.push(line);
            complain(text, error.message(), &place(error), report);
        }
        if runs_away(error) {
            break;
        }
    }
    errors.iter().all(harmless).then_some(document)
}

fn place(error: &Error) -> Range<usize> {
    error.span().unwrap_or(0..0)
}

const UNQUOTED: &str = "string values must be quoted";
const TWICE: &str = "duplicate key";
const NO_COMMA: &str = "missing comma between array elements";

/// After these the parser knows what was meant, and the rest of the file can be judged.
fn harmless(error: &Error) -> bool {
    !place(error).is_empty() && (error.message().starts_with(UNQUOTED) || error.message().starts_with(TWICE))
}

/// A list or table that does not end swallows the lines after it: what the parser says of those is noise.
fn runs_away(error: &Error) -> bool {
    ["array", "unclosed", "inline table", "key-value pairs"].iter().any(|word| error.message().contains(word))
}

fn complain(text: &str, message: &str, at: &Range<usize>, report: &Report<'_>) {
    let (what, expected) = message.split_once(", expected ").unwrap_or((message, ""));
    let word = text.get(at.clone()).unwrap_or_default();
    match what {
        UNQUOTED if word.is_empty() => report.error(at, "the key has no value", "write one after the ="),
        UNQUOTED => report.error(
            at,
            format!("{} stands without quotes", word.escape_debug()),
            format!("write {word:?}"),
        ),
        TWICE => report.error(at, format!("{word:?} is given twice"), "keep one of the two"),
        NO_COMMA => report.error(
            at,
            format!("not TOML: {what}"),
            "put a comma before this, or close the list with ] where it ends",
        ),
        _ if expected.is_empty() || expected == "nothing" => {
            report.error(at, format!("not TOML: {what}"), "see https://toml.io");
        }
        _ => report.error(at, format!("not TOML: {what}"), format!("expected {expected}")),
    }
}
