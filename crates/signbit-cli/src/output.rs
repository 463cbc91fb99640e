//! What goes to stdout: lines and tables for people, or one JSON document for machines.

use std::fmt::Display;
use std::io::{self, Write};

use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::failure::Failure;

/// What a command prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Out {
    /// Lines and tables for people.
    Text,
    /// JSON and nothing else.
    Json,
    /// Nothing: a part of a larger command.
    Silent,
}

impl Out {
    /// Prints a line for people.
    pub(crate) fn text(self, line: impl Display) -> Result<(), Failure> {
        if self == Self::Text { print(&line) } else { Ok(()) }
    }

    /// Prints a document for machines.
    pub(crate) fn json(self, document: &impl Serialize) -> Result<(), Failure> {
        if self == Self::Json { print(&serde_json::to_string_pretty(document)?) } else { Ok(()) }
    }

    /// Prints a document in one line, one of several.
    pub(crate) fn json_line(self, document: &impl Serialize) -> Result<(), Failure> {
        if self == Self::Json { print(&serde_json::to_string(document)?) } else { Ok(()) }
    }

    /// For the parts of a command that prints one document: their text, but not their JSON.
    pub(crate) fn of_parts(self) -> Self {
        if self == Self::Json { Self::Silent } else { self }
    }
}

fn print(text: &dyn Display) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}

/// A table with a head; all columns but the first `left` are numbers.
pub(crate) fn table(head: &[&str], left: usize, rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(head);
    for row in rows {
        table.add_row(row);
    }
    for (i, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, 2));
        column.set_cell_alignment(if i < left { CellAlignment::Left } else { CellAlignment::Right });
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// A number with commas between thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of 1 in percent.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A number of things with its word, which takes an s unless there is one.
pub(crate) fn counted(number: u64, word: &str) -> String {
    format!("{} {word}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// A number that may be large or small, with three digits that count.
pub(crate) fn short(number: f64) -> String {
    match number.abs() {
        x if x >= 99.95 => grouped(number.round() as u64),
        x if x >= 9.995 => format!("{number:.1}"),
        x if x >= 0.9995 => format!("{number:.2}"),
        _ => format!("{number:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let cases = [
            (grouped(0), "0"),
            (grouped(999), "999"),
            (grouped(1_234_567), "1,234,567"),
            (percent(0.98765), "98.77 %"),
            (counted(1, "thread"), "1 thread"),
            (counted(1200, "bit"), "1,200 bits"),
            (short(1234.5), "1,235"),
            (short(12.345), "12.3"),
            (short(1.2345), "1.23"),
            (short(0.012345), "0.012"),
        ];
        for (found, expected) in cases {
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "200".into()]];
        assert_eq!(table(&["name", "n"], 1, rows), "name    n\na       1\nlong  200");
    }
}
