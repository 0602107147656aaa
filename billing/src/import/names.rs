//! External ids and what they stand for, also those whose row was refused: whoever names one of these depends on it.

use std::collections::HashMap;
use std::num::NonZeroU64;

use super::Stop;
use super::table::BadCell;

/// The external ids of one noun.
#[derive(Debug)]
pub struct Names<Id> {
    known: HashMap<Box<str>, Known<Id>>,
    /// Whether some row is refused of which not even the external id can be read.
    lost: bool,
}

#[derive(Debug)]
struct Known<Id> {
    /// None: the row that would have made it is refused.
    id: Option<Id>,
    /// Where it stands in the file that is imported, if it does.
    line: Option<NonZeroU64>,
}

impl<Id> Default for Names<Id> {
    fn default() -> Self {
        Names { known: HashMap::new(), lost: false }
    }
}

impl<Id: Copy> Names<Id> {
    /// Adds what stands already.
    pub fn know(&mut self, name: String, id: Id) {
        self.known.insert(name.into_boxed_str(), Known { id: Some(id), line: None });
    }

    /// Notes what became of a line. What stood before a refused row still stands.
    pub fn note(&mut self, name: Option<&str>, line: u64, id: Option<Id>) {
        let Some(name) = name else { return self.lose() };
        let line = NonZeroU64::new(line);
        match self.known.get_mut(name) {
            Some(known) => *known = Known { id: id.or(known.id), line: known.line.or(line) },
            None => {
                self.known.insert(name.into(), Known { id, line });
            }
        }
    }

    /// # Errors
    /// The file has had a row of this name: which of the two is meant?
    pub fn check_new(&self, name: Option<&str>) -> Result<(), BadCell> {
        match name.and_then(|name| self.known.get(name)).and_then(|known| known.line) {
            Some(line) => Err(BadCell::new("externalId", format!("stands on line {line} already"))),
            None => Ok(()),
        }
    }

    /// From now on nobody knows what an unknown name may have been.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// # Errors
    /// [`Stop::Depends`] for what was refused, [`Stop::Bad`] for what nobody ever made.
    pub fn get(&self, column: &'static str, name: &str) -> Result<Id, Stop> {
        match self.known.get(name) {
            Some(known) => known.id.ok_or(Stop::Depends),
            None if self.lost => Err(Stop::Depends),
            None => Err(BadCell::new(column, format!("there is no {name:?}")).into()),
        }
    }

    /// As [`Names::get`]; nothing stays nothing.
    ///
    /// # Errors
    /// As [`Names::get`].
    pub fn maybe(&self, column: &'static str, name: Option<&str>) -> Result<Option<Id>, Stop> {
        name.map(|name| self.get(column, name)).transpose()
    }

    /// The id, if the name stands.
    pub fn id(&self, name: &str) -> Option<Id> {
        self.known.get(name).and_then(|known| known.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_is_not_unknown() {
        let mut names = Names::default();
        names.know("stood".to_owned(), 1);
        names.note(Some("stood"), 2, None);
        names.note(Some("made"), 3, Some(2));
        names.note(Some("refused"), 4, None);
        assert!(matches!(names.get("plan", "stood"), Ok(1)));
        assert!(matches!(names.get("plan", "made"), Ok(2)));
        assert!(matches!(names.get("plan", "refused"), Err(Stop::Depends)));
        assert!(matches!(names.get("plan", "unknown"), Err(Stop::Bad(_))));
        names.note(None, 5, None);
        assert!(matches!(names.get("plan", "unknown"), Err(Stop::Depends)));
    }

    #[test]
    fn a_name_stands_once_in_a_file() {
        let mut names = Names::default();
        names.know("stood".to_owned(), 1);
        assert_eq!(names.check_new(Some("stood")), Ok(()));
        names.note(Some("stood"), 7, Some(1));
        assert!(names.check_new(Some("stood")).unwrap_err().reason.contains("line 7"));
        assert_eq!(names.check_new(None), Ok(()));
    }
}
