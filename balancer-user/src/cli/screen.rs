//! What the output goes to, and in which form.

use std::io::{IsTerminal as _, stderr};

use clap::ValueEnum;
use console::Term;

/// How data is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people.
    #[default]
    Table,
    /// The same with more columns.
    Wide,
    /// The document of the API.
    Json,
}

/// What the output goes to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Screen {
    /// Columns of the terminal that stdout is; `None` for a pipe or a file, where nothing is cut.
    pub(super) width: Option<u16>,
    /// Whether stdout takes colours.
    pub(super) color: bool,
    /// Where stderr is a terminal, where a line can be rewritten: its columns at this moment.
    pub(super) live: Option<fn() -> u16>,
}

impl Screen {
    pub(super) fn detect() -> Self {
        let table = comfy_table::Table::new();
        let color = table.is_tty() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { width: table.width(), color, live: stderr().is_terminal().then_some(columns) }
    }
}

fn columns() -> u16 {
    Term::stderr().size().1
}
