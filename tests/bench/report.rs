//! Medians, spreads and ratios, as a table and as JSON.

use std::{fs, path::Path};

use anyhow::{Context as _, Result};
use comfy_table::{Table, presets::UTF8_FULL_CONDENSED};
use serde::{Deserialize, Serialize};

/// One scenario's result, in nanoseconds a packet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    name: String,
    median: f64,
    p99: f64,
    min: f64,
    max: f64,
}

#[derive(Serialize, Deserialize)]
struct Document {
    schema: u32,
    unit: String,
    rows: Vec<Row>,
}

impl Row {
    pub(crate) fn new(name: &str, mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let at = |share: f64| samples[((samples.len() - 1) as f64 * share).round() as usize];
        Self { name: name.to_owned(), median: at(0.5), p99: at(0.99), min: at(0.0), max: at(1.0) }
    }
}

/// Prints a line a scenario; with a result from before also the change of the ratio to the floor.
pub(crate) fn print(rows: &[Row], compare: Option<&Path>) -> Result<()> {
    let before = compare.map(read).transpose()?;
    let floor = floor_of(rows);
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header(["scenario", "median ns", "p99 ns", "min–max ns", "× floor", "before", "change"]);
    for row in rows {
        let ratio = row.median / floor;
        let old = before.as_ref().and_then(|old| Some((old.iter().find(|one| one.name == row.name)?, old)));
        let old_ratio = old.map(|(one, all)| one.median / floor_of(all));
        table.add_row([
            row.name.clone(),
            format!("{:.0}", row.median),
            format!("{:.0}", row.p99),
            format!("{:.0}–{:.0}", row.min, row.max),
            format!("{ratio:.2}"),
            old_ratio.map_or_else(String::new, |old| format!("{old:.2}")),
            old_ratio.map_or_else(String::new, |old| format!("{:+.1} %", (ratio / old - 1.0) * 100.0)),
        ]);
    }
    println!("{table}");
    Ok(())
}

fn floor_of(rows: &[Row]) -> f64 {
    rows.iter().find(|row| row.name == "floor").map_or(f64::NAN, |row| row.median)
}

fn read(file: &Path) -> Result<Vec<Row>> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let document: Document = serde_json::from_str(&text).with_context(|| format!("{}", file.display()))?;
    Ok(document.rows)
}

/// Writes the result as JSON.
pub(crate) fn write(rows: &[Row], file: &Path) -> Result<()> {
    let document = Document { schema: 1, unit: "ns".into(), rows: rows.to_vec() };
    fs::write(file, serde_json::to_string_pretty(&document)?).with_context(|| format!("{}", file.display()))
}
