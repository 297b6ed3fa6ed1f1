//! The tables of all results.

use std::sync::{Mutex, PoisonError};

use comfy_table::{ContentLineStyle, Table, TableStyle};

/// What is promised in every mode, in the order of the table's columns.
pub(crate) const COLUMNS: [&str; 7] = ["PIN", "PAYLOAD", "ADD", "DRAIN", "RESTART", "DEATH", "TRANSFER"];

/// The results of every mode, family, protocol and place.
pub(crate) static PROMISES: Results = Results::new(&["MODE", "BACKENDS", "FAMILY", "PROTOCOL"], &COLUMNS);

/// A row: what it is about, and what came of each column.
pub(crate) type Row = (Vec<String>, Vec<String>);

/// No lines at all.
const PLAIN: TableStyle =
    TableStyle::new().header_lines(ContentLineStyle::none()).content_lines(ContentLineStyle::none());

/// A table that tests enter their rows in.
pub(crate) struct Results {
    names: &'static [&'static str],
    columns: &'static [&'static str],
    rows: Mutex<Vec<Row>>,
}

impl Results {
    pub(crate) const fn new(names: &'static [&'static str], columns: &'static [&'static str]) -> Self {
        Self { names, columns, rows: Mutex::new(Vec::new()) }
    }

    /// Whether nothing came of anything.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Enters a row.
    pub(crate) fn enter(&self, row: Row) {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).push(row);
    }

    /// Prints all rows, if there are some.
    pub(crate) fn print(&self) {
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if rows.is_empty() {
            return;
        }
        rows.sort();
        let mut table = Table::new();
        table.load_style(PLAIN);
        table.set_header(self.names.iter().chain(self.columns));
        table.add_rows(
            rows.iter().map(|(names, cells)| names.iter().chain(cells).cloned().collect::<Vec<_>>()),
        );
        println!("{}\n", table.trim_fmt());
    }
}
