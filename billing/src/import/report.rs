//! What an import did, row by row: counts for every row, and a reason for every row that is refused.

use std::fmt;

use billing_primitives::OrganizationId;

use super::files::File;
use super::{ImportError, Stop};
use crate::put::Put;

/// The most refused rows that are listed; a folder with more is wrong as a whole, and the rest is only counted.
const MOST_PROBLEMS: usize = 100_000;

/// The rows of a file by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Counts {
    pub made: u64,
    pub changed: u64,
    pub unchanged: u64,
    pub refused: u64,
    /// Not judged, because a row they depend on is refused.
    pub skipped: u64,
}

impl Counts {
    pub fn rows(&self) -> u64 {
        self.made + self.changed + self.unchanged + self.refused + self.skipped
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FileReport {
    pub file: File,
    pub counts: Counts,
}

/// A row, or a file as a whole, that is refused.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Problem {
    pub file: String,
    /// From 1, which is the header; none: the file as a whole.
    pub line: Option<u64>,
    pub column: Option<&'static str>,
    /// Code of a [`Refusal`](crate::Refusal); `INVALID` for what cannot be read.
    pub code: &'static str,
    pub reason: String,
}

impl fmt::Display for Problem {
    /// `customers.csv:12, country: two capital letters`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(f, ", {column}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// What an import did, or would have done.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// None: it is not known whose the folder is.
    pub organization: Option<OrganizationId>,
    /// In the order in which they were read.
    pub files: Vec<FileReport>,
    /// In the order of files and lines.
    pub problems: Vec<Problem>,
    /// Problems beyond those that are listed.
    pub problems_left_out: u64,
}

impl Report {
    pub(super) fn new(organization: Option<OrganizationId>) -> Report {
        Report { organization, files: Vec::new(), problems: Vec::new(), problems_left_out: 0 }
    }

    /// Whether anything is refused, so that nothing is written.
    pub fn is_refused(&self) -> bool {
        !self.problems.is_empty()
    }

    /// The rows of all files.
    pub fn total(&self) -> Counts {
        self.files.iter().fold(Counts::default(), |sum, file| Counts {
            made: sum.made + file.counts.made,
            changed: sum.changed + file.counts.changed,
            unchanged: sum.unchanged + file.counts.unchanged,
            refused: sum.refused + file.counts.refused,
            skipped: sum.skipped + file.counts.skipped,
        })
    }

    pub(super) fn begin(&mut self, file: File) {
        self.files.push(FileReport { file, counts: Counts::default() });
    }

    /// Counts a row and says what stands now, if it is known.
    pub(super) fn note<T>(
        &mut self,
        file: File,
        line: u64,
        outcome: Result<Put<T>, Stop>,
    ) -> Result<Option<T>, ImportError> {
        match outcome {
            Ok(put) => {
                let counts = self.counts(file);
                match put {
                    Put::Made(_) => counts.made += 1,
                    Put::Changed(_) => counts.changed += 1,
                    Put::Unchanged(_) => counts.unchanged += 1,
                }
                return Ok(Some(put.into_inner()));
            }
            Err(Stop::Bad(bad)) => {
                self.counts(file).refused += 1;
                self.add(Problem {
                    file: file.name().to_owned(),
                    line: Some(line),
                    column: bad.column,
                    code: "INVALID",
                    reason: bad.reason,
                });
            }
            Err(Stop::Refused(refusal)) => {
                self.counts(file).refused += 1;
                self.add(file.problem(line, &refusal));
            }
            Err(Stop::Depends) => self.counts(file).skipped += 1,
            Err(Stop::Fault(fault)) => return Err(fault),
        }
        Ok(None)
    }

    /// Refuses a file as a whole.
    pub(super) fn refuse(&mut self, file: &str, reason: impl ToString) {
        let (file, reason) = (file.to_owned(), reason.to_string());
        self.add(Problem { file, line: None, column: None, code: "INVALID", reason });
    }

    /// Brings the problems into the order of files and lines.
    pub(super) fn sort(&mut self) {
        let place = |problem: &Problem| {
            let file = self.files.iter().position(|read| read.file.name() == problem.file);
            (file, problem.line)
        };
        let mut problems = std::mem::take(&mut self.problems);
        problems.sort_by_key(place);
        self.problems = problems;
    }

    fn add(&mut self, problem: Problem) {
        if self.problems.len() < MOST_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.problems_left_out += 1;
        }
    }

    fn counts(&mut self, file: File) -> &mut Counts {
        let index = match self.files.iter().position(|read| read.file == file) {
            Some(index) => index,
            None => {
                self.begin(file);
                self.files.len() - 1
            }
        };
        &mut self.files[index].counts
    }
}
