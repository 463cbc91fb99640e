//! What goes to stdout: lines and tables for people, or one JSON document for machines.

use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::builder::styling::Style;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;
pub(crate) use signbit_model::size::grouped;

use crate::failure::Failure;

/// The head of a table, on a terminal.
const HEAD: Style = Style::new().bold();

/// Whether people asked to be told nothing. It belongs to the process, as stdout does.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Takes the choice of `--quiet`.
pub(crate) fn be_quiet(quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
}

/// Whether `--quiet` was chosen: nothing for people, neither lines nor progress.
pub(crate) fn is_quiet() -> bool {
    QUIET.load(Ordering::Relaxed)
}

/// Who reads the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// People: lines and tables.
    Text,
    /// Machines: JSON and nothing else.
    Json,
    /// Nobody: a part of a larger command.
    Silent,
}

/// What a command prints on stdout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Out {
    format: Format,
    /// Whether the command does its work to the end where nobody reads its lines any more.
    works_on: bool,
}

impl Out {
    /// Output that ends the command where nobody reads it any more.
    pub(crate) fn new(format: Format) -> Self {
        Self { format, works_on: false }
    }

    /// For commands whose work is worth more than what they print: a closed stdout does not end them.
    pub(crate) fn working_on(self) -> Self {
        Self { works_on: true, ..self }
    }

    /// Prints a line for people.
    pub(crate) fn text(self, line: impl Display) -> Result<(), Failure> {
        if self.is_for_people() { self.print(&visible(&line.to_string())) } else { Ok(()) }
    }

    /// Prints lines for people, the first of which is the head of a table.
    pub(crate) fn headed(self, lines: impl Display) -> Result<(), Failure> {
        if !self.is_for_people() {
            return Ok(());
        }
        let lines = visible(&lines.to_string());
        let (head, rows) = lines.split_at(lines.find('\n').unwrap_or(lines.len()));
        self.print(&format!("{HEAD}{head}{HEAD:#}{rows}"))
    }

    fn is_for_people(self) -> bool {
        self.format == Format::Text && !is_quiet()
    }

    /// Prints a document for machines.
    pub(crate) fn json(self, document: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Json { self.print(&serde_json::to_string_pretty(document)?) } else { Ok(()) }
    }

    /// Prints a document in one line, one of several.
    pub(crate) fn json_line(self, document: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Json { self.print(&serde_json::to_string(document)?) } else { Ok(()) }
    }

    /// For the parts of a command that prints one document: their text, but not their JSON.
    pub(crate) fn of_parts(self) -> Self {
        if self.format == Format::Json { self.silent() } else { self }
    }

    /// Nothing at all.
    pub(crate) fn silent(self) -> Self {
        Self { format: Format::Silent, ..self }
    }

    fn print(self, text: &str) -> Result<(), Failure> {
        // Takes the styles away where stdout is no terminal, or NO_COLOR is set.
        let mut stdout = anstream::stdout().lock();
        match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe && self.works_on => Ok(()),
            printed => printed.map_err(|error| Failure::stdout(&error)),
        }
    }
}

/// Prints a file that was asked for, as it is, whether the command is to be quiet or not.
pub(crate) fn document(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::stdout(&error))
}

/// The text with its control characters spelled out, line ends aside: names come from files, and an escape sequence
/// could lead a terminal astray.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() && c != '\n' { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
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
    fn control_characters_are_spelled_out() {
        let cases = [
            ("two\nlines, \u{e9}t\u{e9}", "two\nlines, \u{e9}t\u{e9}"),
            ("\x1b[2J", "\\u{1b}[2J"),
            ("a\rb\tc\0\x7f\u{9b}", "a\\rb\\tc\\u{0}\\u{7f}\\u{9b}"),
        ];
        for (text, expected) in cases {
            assert_eq!(visible(text), expected);
        }
    }

    #[test]
    fn tables_are_aligned() {
        let rows = vec![vec!["a".into(), "1".into()], vec!["long".into(), "200".into()]];
        assert_eq!(table(&["name", "n"], 1, rows), "name    n\na       1\nlong  200");
    }
}
