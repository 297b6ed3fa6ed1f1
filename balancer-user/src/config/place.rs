//! Places in the text.

use std::ops::Range;

/// A value with its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed<T> {
    pub(super) value: T,
    /// Its bytes in the text; those of the table's header when it is a default.
    pub(super) at: Range<usize>,
    /// Whether it stands in the text.
    pub(super) written: bool,
}

impl<T> Placed<T> {
    pub(super) fn with<U>(&self, value: U) -> Placed<U> {
        Placed { value, at: self.at.clone(), written: self.written }
    }

    /// Where to point when this and another value do not fit: at the one that somebody wrote.
    pub(super) fn blame<'a, U>(&'a self, other: &'a Placed<U>) -> &'a Range<usize> {
        if self.written { &self.at } else { &other.at }
    }
}

/// Line and column of a byte offset, from 1, the column in characters.
pub(super) fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..offset.min(text.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |n| n + 1);
    let line = 1 + before.iter().filter(|b| **b == b'\n').count();
    // A character is counted at its first byte: all others are 0b10xx_xxxx.
    let column = 1 + before[line_start..].iter().filter(|b| **b & 0xc0 != 0x80).count();
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_and_lines_start_at_one() {
        assert_eq!(line_and_column("", 0), (1, 1));
        assert_eq!(line_and_column("ab\ncd", 4), (2, 2));
        assert_eq!(line_and_column("é = x", 5), (1, 5));
        assert_eq!(line_and_column("a\n", 99), (2, 1));
    }
}
