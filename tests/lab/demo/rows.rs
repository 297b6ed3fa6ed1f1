//! The result table: what had to hold, what was measured, whether it did.

use std::fmt;

use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};

/// One thing that must hold.
#[derive(Clone, Debug)]
pub struct Row {
    /// The step that it belongs to.
    pub step: &'static str,
    /// What must hold.
    pub must: String,
    /// What was seen.
    pub measured: String,
    /// Whether it did.
    pub holds: bool,
}

/// All of them so far.
#[derive(Debug, Default)]
pub struct Rows {
    rows: Vec<Row>,
    /// Whether each is printed as it comes.
    pub shown: bool,
}

impl Rows {
    /// Adds one.
    pub fn check(&mut self, step: &'static str, must: &str, measured: String, holds: bool) {
        if self.shown {
            let mark = if holds { "✓" } else { "✗" };
            println!("  {mark} {must}: {measured}");
        }
        self.rows.push(Row { step, must: must.to_owned(), measured, holds });
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was checked yet.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// How many do not hold.
    #[must_use]
    pub fn broken(&self) -> usize {
        self.rows.iter().filter(|row| !row.holds).count()
    }
}

impl fmt::Display for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new();
        table.load_style(UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(["step", "must hold", "measured", ""]);
        let mut last = "";
        for Row { step, must, measured, holds } in &self.rows {
            let verdict = if *holds {
                Cell::new("yes").fg(Color::Green)
            } else {
                Cell::new("NO").fg(Color::Red).add_attribute(Attribute::Bold)
            };
            let step = if *step == last { "" } else { *step };
            last = if step.is_empty() { last } else { step };
            table.add_row([Cell::new(step), Cell::new(must), Cell::new(measured), verdict]);
        }
        table.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_row_that_does_not_hold_is_counted() {
        let mut rows = Rows::default();
        rows.check("a", "x", "1".to_owned(), true);
        rows.check("a", "y", "2".to_owned(), false);
        assert_eq!((rows.len(), rows.broken()), (2, 1));
        assert!(rows.to_string().contains("NO"));
    }
}
