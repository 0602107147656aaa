//! What a command prints: aligned text for people, JSON for programs.

use std::fmt;
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use serde_json::Value;

use super::Failure;

/// Between the columns of a table.
const GAP: &str = "  ";

/// Where results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    pub json: bool,
}

impl Output {
    /// Prints `text`, or what `json` makes.
    ///
    /// # Errors
    /// Stdout cannot be written to.
    pub fn show(self, text: &str, json: impl FnOnce() -> Value) -> Result<(), Failure> {
        if !self.json {
            return self.text(text);
        }
        self.text(&format!("{:#}\n", json()))
    }

    /// Prints text, whatever was asked for.
    ///
    /// # Errors
    /// Stdout cannot be written to.
    pub fn text(self, text: &str) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
            // Whoever read it has seen enough.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
            done => done.map_err(Failure::fault),
        }
    }

    /// Says what a person should know and a program need not.
    pub fn note(self, text: &str) {
        if !self.json {
            // Nobody may be listening there, either.
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// Prints a failure, and is its exit code.
    pub fn failed(self, failure: &Failure) -> ExitCode {
        if let Some(json) = failure.as_json() {
            if self.json {
                let _ = self.text(&format!("{json:#}\n"));
            } else {
                let _ = writeln!(std::io::stderr(), "avance: {failure}");
            }
        }
        ExitCode::from(failure.exit_code())
    }
}

/// `1 event`, `2 events`.
pub fn counted(count: impl fmt::Display, what: &str) -> String {
    let count = count.to_string();
    let plural = if count == "1" { "" } else { "s" };
    format!("{count} {what}{plural}")
}

/// Which side of its column a text stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// Rows under a header, in columns as wide as their longest text.
#[derive(Debug)]
pub struct Table {
    sides: Vec<Side>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table under a header; a name that begins with `>` is that of a column of numbers.
    pub fn new(header: &[&str]) -> Table {
        let side = |name: &&str| if name.starts_with('>') { Side::Right } else { Side::Left };
        let names = header.iter().map(|name| name.trim_start_matches('>').to_owned()).collect();
        Table { sides: header.iter().map(side).collect(), rows: vec![names] }
    }

    /// Adds a row; it has as many texts as the header has.
    pub fn row<const N: usize>(&mut self, texts: [String; N]) {
        self.rows.push(texts.into());
    }

    /// Whether there is nothing under the header.
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }

    fn widths(&self) -> Vec<usize> {
        let width = |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|text| shown(text).1).max();
        (0..self.sides.len()).map(|column| width(column).unwrap_or_default()).collect()
    }
}

/// A text on one line, and how many characters it has.
fn shown(text: &str) -> (String, usize) {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let width = line.chars().count();
    (line, width)
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for ((text, width), side) in row.iter().zip(&widths).zip(&self.sides) {
                let (text, length) = shown(text);
                let blanks = " ".repeat(width - length);
                match side {
                    Side::Left => line.extend([&text, &blanks, GAP]),
                    Side::Right => line.extend([&blanks, &text, GAP]),
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular() {
        assert_eq!([0, 1, 11].map(|count| counted(count, "event")), ["0 events", "1 event", "11 events"]);
    }

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new(&["name", ">amount"]);
        table.row(["Sølvranke".to_owned(), "1.00".to_owned()]);
        table.row(["A\u{7}B".to_owned(), "1000.00".to_owned()]);
        assert_eq!(table.to_string(), "name        amount\nSølvranke     1.00\nA B        1000.00\n");
    }
}
