//! Plain columns: no borders, nothing cut in a pipe, still readable on a narrow terminal.

use comfy_table::{
    Cell, CellAlignment, Color, ColumnConstraint, ContentArrangement, ContentLineStyle, TableStyle,
};

use super::screen::Screen;

/// No lines at all; the padding keeps columns apart.
const PLAIN: TableStyle =
    TableStyle::new().header_lines(ContentLineStyle::none()).content_lines(ContentLineStyle::none());
const GAP: u16 = 2;

/// One column.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    title: &'static str,
    align: CellAlignment,
    spare: u8,
}

impl Column {
    pub(super) const fn text(title: &'static str) -> Self {
        Self { title, align: CellAlignment::Left, spare: 0 }
    }

    pub(super) const fn number(title: &'static str) -> Self {
        Self { title, align: CellAlignment::Right, spare: 0 }
    }

    /// A column that a narrow terminal may do without; the highest goes first.
    pub(super) const fn spare(mut self, order: u8) -> Self {
        self.spare = order;
        self
    }
}

/// A table with its header, or a list of keys and values without one.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<Column>,
    header: bool,
    rows: Vec<Vec<Value>>,
}

/// A cell: its text and whether it should stand out.
#[derive(Debug)]
pub(super) struct Value {
    text: String,
    tone: Tone,
}

/// How a value feels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As any other.
    Plain,
    /// All is well.
    Good,
    /// Not as usual.
    Warn,
    /// Something is broken.
    Bad,
}

impl<T: ToString> From<T> for Value {
    fn from(value: T) -> Self {
        Self::toned(value, Tone::Plain)
    }
}

impl Value {
    pub(super) fn toned(value: impl ToString, tone: Tone) -> Self {
        Self { text: one_line(&value.to_string()), tone }
    }

    /// A value that may be missing.
    pub(super) fn or_dash(value: Option<impl ToString>) -> Self {
        value.map_or_else(|| Self::from("-"), Self::from)
    }

    fn cell(&self, align: CellAlignment) -> Cell {
        let cell = Cell::new(&self.text).set_alignment(align);
        match self.tone {
            Tone::Plain => cell,
            Tone::Good => cell.fg(Color::Green),
            Tone::Warn => cell.fg(Color::Yellow),
            Tone::Bad => cell.fg(Color::Red),
        }
    }
}

/// Text of others reaches the terminal without its control characters: an answer to a health check may hold some.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

impl Table {
    pub(super) fn new(columns: &[Column]) -> Self {
        Self { columns: columns.to_vec(), header: true, rows: Vec::new() }
    }

    /// Keys and values.
    pub(super) fn facts<V: Into<Value>>(facts: impl IntoIterator<Item = (&'static str, V)>) -> Self {
        let rows = facts.into_iter().map(|(key, value)| vec![key.into(), value.into()]).collect();
        Self { columns: vec![Column::text(""), Column::text("")], header: false, rows }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [Value; N]) {
        self.rows.push(cells.into());
    }

    pub(super) fn push(&mut self, cells: Vec<Value>) {
        self.rows.push(cells);
    }

    /// The text, each line ended; a column that was not asked for (`everything`) may be left out to fit the screen.
    pub(super) fn render(&self, screen: Screen, everything: bool) -> String {
        let mut table = comfy_table::Table::new();
        table.load_style(PLAIN).set_content_arrangement(ContentArrangement::Dynamic);
        match screen.color {
            true => table.enforce_styling(),
            false => table.force_no_tty(),
        };
        if self.header {
            table.set_header(self.columns.iter().map(|c| Cell::new(c.title).set_alignment(c.align)));
        }
        table.add_rows(
            self.rows.iter().map(|row| row.iter().zip(&self.columns).map(|(v, c)| v.cell(c.align))),
        );
        self.arrange(&mut table, screen.width, everything);
        table.trim_fmt() + "\n"
    }

    fn arrange(&self, table: &mut comfy_table::Table, width: Option<u16>, everything: bool) {
        table.discover_columns();
        let widths = table.column_max_content_widths();
        let mut shown = vec![true; self.columns.len()];
        if let Some(width) = width {
            table.set_width(width);
            if !everything {
                self.hide(&mut shown, &widths, width);
            }
        } else {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
        let last = shown.iter().rposition(|shown| *shown);
        for (index, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if Some(index) == last { 0 } else { GAP }));
            if shown.get(index) == Some(&false) {
                column.set_constraint(ColumnConstraint::Hidden);
            }
        }
    }

    /// Leaves spare columns out, until the rest fits.
    fn hide(&self, shown: &mut [bool], widths: &[u16], width: u16) {
        let needed = |shown: &[bool]| -> u16 {
            let columns = widths.iter().zip(shown).filter(|(_, shown)| **shown);
            columns
                .map(|(width, _)| width.saturating_add(GAP))
                .fold(0, u16::saturating_add)
                .saturating_sub(GAP)
        };
        while needed(shown) > width {
            let spare = |index: &usize| self.columns[*index].spare;
            let candidates = (0..shown.len()).filter(|index| shown[*index] && spare(index) > 0);
            let Some(index) = candidates.max_by_key(spare) else { return };
            shown[index] = false;
        }
    }
}
