//! CSV as it is taken here: UTF-8, a header with exactly the file's columns in any order, one row per line. Pure but
//! for reading.
//!
//! No cell has a line break or another control character, so a line that cannot be read, or a quote that is left open,
//! spoils its own row and no other. One line is held at a time, and no line is longer than 64 KiB.

use std::io::{self, BufRead, BufReader, Read};
use std::str::FromStr;

use csv::{ReaderBuilder, StringRecord};

use super::files::File;

/// The longest line, in bytes.
const MOST_BYTES: u64 = 64 * 1024;

/// What stands for bytes that are not UTF-8.
const BROKEN: char = char::REPLACEMENT_CHARACTER;

/// A cell that cannot be taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadCell {
    /// None: the whole row.
    pub column: Option<&'static str>,
    pub reason: String,
}

impl BadCell {
    pub fn new(column: &'static str, reason: impl ToString) -> BadCell {
        BadCell { column: Some(column), reason: reason.to_string() }
    }

    pub fn row(reason: impl ToString) -> BadCell {
        BadCell { column: None, reason: reason.to_string() }
    }
}

/// A file that is read line by line.
pub struct Table {
    pub file: File,
    lines: Lines,
    /// Where each column of the file stands in its rows.
    places: Vec<usize>,
    record: StringRecord,
    rows: u64,
    bytes: u64,
}

/// A row: its number in the file and its cells, as far as it has any.
pub struct Line<'a> {
    /// From 1, which is the header.
    pub number: u64,
    cells: Cells<'a>,
    fault: Option<BadCell>,
}

/// The cells of a row.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    file: File,
    places: &'a [usize],
    record: &'a StringRecord,
}

impl Table {
    /// Reads the header. The inner error is what is wrong with it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn open(file: File, source: Box<dyn Read + Send>, bytes: u64) -> io::Result<Result<Table, String>> {
        let mut lines = Lines { source: BufReader::new(source), number: 0, read: 0, line: Vec::new() };
        let mut record = StringRecord::new();
        let header = match lines.next()? {
            None => Err("the file is empty: it needs a header".to_owned()),
            Some(whole) => {
                let bytes = lines.line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&lines.line);
                split(bytes, &mut record)?;
                match flaw(whole, bytes) {
                    Some(flaw) => Err(format!("the header {flaw}")),
                    None => places(file, &record),
                }
            }
        };
        Ok(header.map(|places| Table { file, lines, places, record, rows: 0, bytes }))
    }

    /// The next row; lines without any character are none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        let whole = loop {
            match self.lines.next()? {
                None => return Ok(None),
                Some(whole) if !whole || !self.lines.line.is_empty() => break whole,
                Some(_) => {}
            }
        };
        self.rows += 1;
        split(&self.lines.line, &mut self.record)?;
        let cells = Cells { file: self.file, places: &self.places, record: &self.record };
        let fault = match flaw(whole, &self.lines.line) {
            Some(reason) => Some(BadCell { column: cells.with(|c| c == BROKEN), reason }),
            None => cells.fault(),
        };
        Ok(Some(Line { number: self.lines.number, cells, fault }))
    }

    /// Rows read so far, and how many there may be by the bytes that are left.
    pub fn progress(&self) -> (u64, u64) {
        let estimate = u128::from(self.rows) * u128::from(self.bytes) / u128::from(self.lines.read.max(1));
        (self.rows, u64::try_from(estimate).unwrap_or(u64::MAX).max(self.rows))
    }
}

impl<'a> Line<'a> {
    /// # Errors
    /// What is wrong with the row as a whole.
    pub fn cells(&self) -> Result<Cells<'a>, BadCell> {
        match &self.fault {
            Some(fault) => Err(fault.clone()),
            None => Ok(self.cells),
        }
    }

    /// A cell as far as it can be read in a row that is wrong otherwise, to know what depends on it.
    pub fn name(&self, column: &str) -> Option<&'a str> {
        let cell = self.cells.get(column);
        (!cell.is_empty() && !cell.chars().any(|c| c.is_control() || c == BROKEN)).then_some(cell)
    }
}

impl<'a> Cells<'a> {
    /// The text of a cell as it stands there; a formula is a text like any other.
    pub fn get(&self, column: &str) -> &'a str {
        let place = self.file.columns().iter().position(|known| *known == column).and_then(|at| self.places.get(at));
        place.and_then(|place| self.record.get(*place)).unwrap_or_default()
    }

    /// None for an empty cell.
    pub fn given(&self, column: &str) -> Option<&'a str> {
        Some(self.get(column)).filter(|cell| !cell.is_empty())
    }

    /// # Errors
    /// The cell is empty.
    pub fn required(&self, column: &'static str) -> Result<&'a str, BadCell> {
        self.given(column).ok_or_else(|| BadCell::new(column, "is empty"))
    }

    /// # Errors
    /// The cell is empty or says no such value.
    pub fn value<T: FromStr<Err: ToString>>(&self, column: &'static str) -> Result<T, BadCell> {
        self.required(column)?.parse().map_err(|error: T::Err| BadCell::new(column, error.to_string()))
    }

    /// None for an empty cell.
    ///
    /// # Errors
    /// The cell says no such value.
    pub fn optional<T: FromStr<Err: ToString>>(&self, column: &'static str) -> Result<Option<T>, BadCell> {
        self.given(column).map(|_| self.value(column)).transpose()
    }

    /// What no row may have, whatever its columns mean.
    fn fault(&self) -> Option<BadCell> {
        let (cells, expected) = (self.record.len(), self.places.len());
        if cells != expected {
            return Some(BadCell::row(format!("has {cells} cells, and the header has {expected}")));
        }
        let column = self.with(char::is_control)?;
        Some(BadCell::new(column, "has a line break, a NUL or another control character"))
    }

    /// The first column whose cell has such a character.
    fn with(&self, such: fn(char) -> bool) -> Option<&'static str> {
        self.file.columns().iter().copied().find(|column| self.get(column).contains(such))
    }
}

/// Splits a line into its cells; what is not UTF-8 becomes [`BROKEN`].
fn split(line: &[u8], record: &mut StringRecord) -> io::Result<()> {
    let text = String::from_utf8_lossy(line);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(text.len().max(1))
        .from_reader(text.as_bytes());
    reader.read_record(record).map(|_| ()).map_err(io::Error::other)
}

/// What is wrong with a line as a whole.
fn flaw(whole: bool, line: &[u8]) -> Option<String> {
    if !whole {
        return Some(format!("is longer than {MOST_BYTES} bytes"));
    }
    if str::from_utf8(line).is_err() {
        return Some("is not UTF-8: save the file with this encoding".to_owned());
    }
    let open = line.iter().filter(|byte| **byte == b'"').count() % 2 == 1;
    open.then(|| "leaves a quote open: a quoted cell ends on its line, and a quote inside it is doubled".to_owned())
}

/// Where each column of the file stands, if the header names each once and nothing else.
fn places(file: File, header: &StringRecord) -> Result<Vec<usize>, String> {
    let columns = file.columns();
    let shown = |names: Vec<&str>| names.join(", ");
    let unknown: Vec<&str> = header.iter().filter(|name| !columns.contains(name)).collect();
    let missing: Vec<&str> = columns.iter().copied().filter(|name| header.iter().all(|other| other != *name)).collect();
    let twice = |name: &&str| header.iter().filter(|other| other == name).count() > 1;
    let twice: Vec<&str> = columns.iter().copied().filter(twice).collect();
    let mut wrong = Vec::new();
    for (what, names) in [("unknown", unknown), ("missing", missing), ("doubled", twice)] {
        if !names.is_empty() {
            wrong.push(format!("{what} columns: {}", shown(names)));
        }
    }
    if header.len() == 1 && header.iter().any(|name| name.contains([';', '\t'])) {
        wrong.push("cells are separated by commas".to_owned());
    }
    if !wrong.is_empty() {
        return Err(wrong.join("; "));
    }
    Ok(columns.iter().filter_map(|name| header.iter().position(|other| other == *name)).collect())
}

/// Lines without their ends (LF or CR LF), one at a time.
struct Lines {
    source: BufReader<Box<dyn Read + Send>>,
    number: u64,
    read: u64,
    line: Vec<u8>,
}

impl Lines {
    /// Whether the line is whole; of one that is too long the beginning is kept. None: there is no line left.
    fn next(&mut self) -> io::Result<Option<bool>> {
        self.line.clear();
        let mut read = Read::by_ref(&mut self.source).take(MOST_BYTES).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        let whole = self.line.ends_with(b"\n") || !self.more()?;
        if whole {
            for end in [b'\n', b'\r'] {
                self.line.pop_if(|last| *last == end);
            }
        } else {
            read += self.source.skip_until(b'\n')?;
        }
        self.read += u64::try_from(read).unwrap_or(u64::MAX);
        Ok(Some(whole))
    }

    fn more(&mut self) -> io::Result<bool> {
        Ok(!self.source.fill_buf()?.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "externalId,name,pricing,countsUsers\n";

    fn open(bytes: &[u8]) -> Result<Table, String> {
        let length = u64::try_from(bytes.len()).unwrap();
        Table::open(File::Plans, Box::new(io::Cursor::new(bytes.to_vec())), length).unwrap()
    }

    /// Number and name, or number and what is wrong, of every row.
    fn names(rows: &[u8]) -> Vec<(u64, Result<String, BadCell>)> {
        let mut table = open(&[HEADER.as_bytes(), rows].concat()).unwrap();
        let mut names = Vec::new();
        while let Some(line) = table.next().unwrap() {
            names.push((line.number, line.cells().map(|cells| cells.get("name").to_owned())));
        }
        names
    }

    #[test]
    fn rows_keep_their_line_numbers_whatever_ends_them() {
        let expected = vec![(2, Ok("Basis".to_owned())), (4, Ok("Pro, \"plus\"".to_owned()))];
        for end in ["\n", "\r\n"] {
            for last in [end, ""] {
                let rows = format!("a,Basis,x,y{end}{end}b,\"Pro, \"\"plus\"\"\",x,y{last}");
                assert_eq!(names(rows.as_bytes()), expected, "{end:?} {last:?}");
            }
        }
    }

    #[test]
    fn a_formula_is_a_text() {
        assert_eq!(names(b"a,=cmd|' /C calc'!A1,x,y"), [(2, Ok("=cmd|' /C calc'!A1".to_owned()))]);
    }

    #[test]
    fn what_cannot_be_read_spoils_its_own_row() {
        let long = format!("a,{},x,y", "n".repeat(70_000));
        for (row, column, reason) in [
            (&b"a,M\xf8ller,x,y"[..], Some("name"), "is not UTF-8"),
            (b"a,n\0,x,y", Some("name"), "has a line break, a NUL"),
            (b"a,n,x\ty,y", Some("pricing"), "has a line break, a NUL"),
            (b"a,n,x", None, "has 3 cells, and the header has 4"),
            (b"a,n,x,y,", None, "has 5 cells"),
            (b"a,\"n,x,y", None, "leaves a quote open"),
            (long.as_bytes(), None, "is longer than 65536 bytes"),
        ] {
            let told = names(&[row, b"\nb,Pro,x,y\n"].concat());
            assert_eq!(told.len(), 2, "{reason}");
            let bad = told[0].1.as_ref().unwrap_err();
            assert!(bad.column == column && bad.reason.starts_with(reason), "{bad:?}");
            assert_eq!(told[1], (3, Ok("Pro".to_owned())), "{reason}");
        }
    }

    #[test]
    fn a_bad_row_still_says_what_may_depend_on_it() {
        let mut table = open(format!("{HEADER}a,\0,x\n\0,n,x,y\n").as_bytes()).unwrap();
        assert_eq!(table.next().unwrap().unwrap().name("externalId"), Some("a"));
        assert_eq!(table.next().unwrap().unwrap().name("externalId"), None);
    }

    #[test]
    fn the_header_has_every_column_once_and_no_other() {
        let mut table = open("\u{feff}name,externalId,countsUsers,pricing\r\nBasis,a,y,x\r\n".as_bytes()).unwrap();
        let line = table.next().unwrap().unwrap();
        assert_eq!(["externalId", "name"].map(|column| line.cells().unwrap().get(column)), ["a", "Basis"]);
        for (header, reason) in [
            ("", "the file is empty"),
            ("externalId,name,pricing", "missing columns: countsUsers"),
            ("externalId,name,pricing,countsUsers,Name", "unknown columns: Name"),
            ("externalId,name,name,pricing,countsUsers", "doubled columns: name"),
            ("externalId;name;pricing;countsUsers", "unknown columns: externalId;name;pricing;countsUsers; missing"),
        ] {
            let told = open(header.as_bytes()).err().unwrap();
            assert!(told.starts_with(reason), "{told}");
        }
        assert!(open(b"\xff\xfee\0").err().unwrap().starts_with("the header is not UTF-8"));
    }
}
