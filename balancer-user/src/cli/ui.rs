//! Data on stdout, talk on stderr.

use std::io::{self, Write};

use serde::Serialize;

use super::{
    exit::{Code, Failure},
    screen::{Format, Screen},
    table::Table,
};

/// Where a command speaks.
pub(super) struct Ui<'a> {
    /// Data.
    pub(super) out: &'a mut dyn Write,
    /// Talk.
    pub(super) err: &'a mut dyn Write,
    /// What they go to.
    pub(super) screen: Screen,
    format: Format,
}

impl<'a> Ui<'a> {
    pub(super) fn new(
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
        screen: Screen,
        format: Format,
    ) -> Self {
        Self { out, err, screen, format }
    }

    /// Whether the long form is wanted.
    pub(super) fn wide(&self) -> bool {
        self.format == Format::Wide
    }

    /// Writes a document as JSON, or as the tables that `tables` makes of it, an empty line between two.
    pub(super) fn show(
        &mut self,
        document: &impl Serialize,
        tables: impl FnOnce() -> Vec<Table>,
    ) -> io::Result<()> {
        if self.format == Format::Json {
            return self.json(document);
        }
        for (index, table) in tables().iter().enumerate() {
            if index > 0 {
                writeln!(self.out)?;
            }
            self.out.write_all(table.render(self.screen, self.wide()).as_bytes())?;
        }
        Ok(())
    }

    /// Reports what a verb has done: the document as JSON, else a sentence on stderr.
    pub(super) fn done(&mut self, document: &impl Serialize, sentence: &str) -> io::Result<()> {
        match self.format {
            Format::Json => self.json(document),
            Format::Table | Format::Wide => self.talk(sentence),
        }
    }

    /// Says something beside the data.
    pub(super) fn talk(&mut self, sentence: &str) -> io::Result<()> {
        writeln!(self.err, "{sentence}")
    }

    /// Says that a list was cut after `rows`, if it was.
    pub(super) fn cut(&mut self, truncated: bool, rows: usize) -> io::Result<()> {
        match truncated {
            true => self.talk(&format!("cut after {rows} rows: --limit 0 shows all")),
            false => Ok(()),
        }
    }

    /// Says why the command failed and what to do about it; nothing if only the reader has gone.
    pub(super) fn complain(&mut self, failure: &Failure) {
        if failure.code() == Code::Ok {
            return;
        }
        // Problems of a file begin with their place, as `check` prints them.
        let prefix = if failure.code() == Code::InvalidConfig { "" } else { "error: " };
        // If stderr is gone too, the exit code still tells.
        let _ = writeln!(self.err, "{prefix}{failure}");
        if let Some(remedy) = failure.remedy() {
            let _ = writeln!(self.err, "  {remedy}");
        }
    }

    fn json(&mut self, document: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self.out, document)?;
        writeln!(self.out)
    }
}
