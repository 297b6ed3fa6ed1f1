//! One line that changes: rewritten on a terminal, a new one for each change in a pipe.

use std::io;

use super::ui::Ui;

/// The line, as it stands.
#[derive(Debug, Default)]
pub(super) struct Line {
    text: String,
}

impl Line {
    /// Shows `text`, if it is new.
    pub(super) fn set(&mut self, ui: &mut Ui<'_>, text: String) -> io::Result<()> {
        if self.text == text {
            return Ok(());
        }
        match ui.screen.live {
            // Return to the line's start and erase it.
            true => write!(ui.err, "\r\x1b[2K{text}")?,
            false => writeln!(ui.err, "{text}")?,
        }
        self.text = text;
        ui.err.flush()
    }

    /// Leaves the line, so that what follows begins on one of its own.
    pub(super) fn end(&mut self, ui: &mut Ui<'_>) -> io::Result<()> {
        match ui.screen.live && !std::mem::take(&mut self.text).is_empty() {
            true => writeln!(ui.err),
            false => Ok(()),
        }
    }
}
