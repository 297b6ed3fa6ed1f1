//! The one table of all results.

use std::sync::{Mutex, PoisonError};

use comfy_table::{ContentLineStyle, Table, TableStyle};

/// What is shown, in the order of the table's columns.
pub(crate) const COLUMNS: [&str; 7] = ["PIN", "PAYLOAD", "ADD", "DRAIN", "RESTART", "DEATH", "TRANSFER"];

/// A row: mode, place, family, protocol, and what came of each.
pub(crate) type Row = ([String; 4], Vec<String>);

/// No lines at all.
const PLAIN: TableStyle =
    TableStyle::new().header_lines(ContentLineStyle::none()).content_lines(ContentLineStyle::none());

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// Enters a row.
pub(crate) fn enter(row: Row) {
    ROWS.lock().unwrap_or_else(PoisonError::into_inner).push(row);
}

/// Prints all rows, if there are some.
pub(crate) fn print() {
    let mut rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        return;
    }
    rows.sort();
    let mut table = Table::new();
    table.load_style(PLAIN);
    table.set_header(["MODE", "BACKENDS", "FAMILY", "PROTOCOL"].into_iter().chain(COLUMNS));
    table.add_rows(rows.iter().map(|(names, cells)| names.iter().chain(cells).cloned().collect::<Vec<_>>()));
    println!("{}\n", table.trim_fmt());
}
