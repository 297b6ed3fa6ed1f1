//! What must hold of the verdict on any text; a plain function, because the fuzzer asks it too.

use balancer_user::config;

/// Judges a text.
///
/// # Errors
/// A refusal without a problem; a problem whose place is not in the text, without a remedy, or on two lines.
pub(crate) fn verdict(text: &str) -> Result<(), String> {
    let problems = match config::parse(text, "f") {
        Ok(loaded) => loaded.warnings,
        Err(problems) if problems.0.is_empty() => return Err("refused without a word".to_owned()),
        Err(problems) => problems.0,
    };
    for problem in problems {
        // A place behind the last newline is on a line of its own.
        let line = text.split('\n').nth(problem.line - 1);
        let columns = line.map(|line| line.chars().count() + 1);
        if !columns.is_some_and(|columns| (1..=columns).contains(&problem.column)) {
            return Err(format!("the place is not in the text: {problem}"));
        }
        if problem.message.is_empty() || problem.remedy.is_empty() || problem.to_string().lines().count() != 1
        {
            return Err(format!("no message with a remedy on one line: {problem}"));
        }
    }
    Ok(())
}
