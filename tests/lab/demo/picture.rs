//! Flows and share of each backend as bars.

use std::fmt::Write as _;

use crate::agent::Backend;

/// Cells of the longest bar.
const WIDTH: f64 = 40.0;

/// The picture of one service. Every bar has the same scale: the whole width is the largest share.
#[must_use]
pub fn draw(service: &str, backends: &[Backend]) -> String {
    let largest = backends.iter().map(|backend| backend.share).fold(0.0, f64::max);
    let mut picture = format!("  {service:<12}{:<42}{:>6}  {:>5}  {:>5}\n", "", "flows", "share", "pins");
    for Backend { name, admin, health, flows, share, pins } in backends {
        let bar = if largest > 0.0 { bar(share / largest) } else { String::new() };
        let state = if admin == "ready" { health.clone() } else { format!("{admin}, {health}") };
        let _ =
            writeln!(picture, "  {name:<12}{bar:<42}{flows:>6}  {:>4.1}%  {pins:>5}  {state}", share * 100.0);
    }
    picture
}

/// A bar of `part` of the width, to an eighth of a cell.
fn bar(part: f64) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let cells = (part.clamp(0.0, 1.0) * WIDTH * 8.0).round();
    // Between 0 and 320, and whole.
    let eighths = cells as usize;
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS[eighths % 8])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, flows: u64, share: f64) -> Backend {
        let word = |text: &str| text.to_owned();
        Backend { name: word(name), admin: word("ready"), health: word("up"), flows, share, pins: flows }
    }

    #[test]
    fn the_largest_share_fills_the_width_and_half_of_it_half() {
        assert_eq!(bar(1.0).chars().count(), 40);
        assert_eq!(bar(0.5).chars().count(), 20);
        assert_eq!(bar(0.0), "");
        assert_eq!(bar(0.00625), "▎");
    }

    #[test]
    fn a_service_without_flows_has_no_bars() {
        let picture = draw("ws", &[backend("a", 0, 0.0)]);
        assert!(!picture.contains('█'));
        assert!(picture.contains(" 0.0%"));
    }

    #[test]
    fn every_backend_has_a_line_with_its_flows() {
        let picture = draw("ws", &[backend("a", 30, 0.75), backend("b", 10, 0.25)]);
        assert_eq!(picture.lines().count(), 3);
        assert!(picture.contains("75.0%"));
    }
}
