//! Any bytes as the journal of runtime changes.

use balancer_user::control::journal::Journal;
use std::path::Path;

/// The input is the text of a journal: refused with a word, or taken; then it is written and read back as it was.
///
/// # Panics
/// If that does not hold.
pub fn journal(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let journal = Journal::in_dir(Path::new("/state"));
    match journal.parse(text) {
        Err(error) => assert!(error.to_string().contains("/state/runtime.json"), "{error}"),
        Ok(runtime) => {
            let text = Journal::text(&runtime).expect("a journal that was read can be written");
            let again = journal.parse(&text).expect("what was written can be read");
            assert_eq!(again, runtime, "it came back otherwise");
        }
    }
}
