//! What commands have in common that take many facts in one call. No database.

use std::collections::HashMap;
use std::hash::Hash;

use billing_db::DbError;

use crate::error::{Error, Refusal};
use crate::put::Put;

/// What became of each input, in their order. A refusal leaves the others alone.
pub(crate) type Puts<Id> = Vec<Result<Put<Id>, Refusal>>;

/// Puts a refusal where it belongs to one input and faults where they end them all.
pub(crate) fn or_refused<T>(result: Result<T, Error>) -> Result<Result<T, Refusal>, Error> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(Error::Refused(refusal)) => Ok(Err(refusal)),
        Err(fault) => Err(fault),
    }
}

/// # Errors
/// Contention when fewer rows were written than there are: a unique key that was free when it was looked up was taken
/// by somebody at the same moment, and the whole is run again.
pub(crate) fn all_new(expected: usize, written: usize) -> Result<(), Error> {
    if expected == written { Ok(()) } else { Err(DbError::Contention.into()) }
}

/// The values in order, each once.
pub(crate) fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// Rows by a key of which each has its own.
pub(crate) fn by<K: Eq + Hash, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, T> {
    rows.into_iter().map(|row| (key(&row), row)).collect()
}

/// Rows by a key that they share; the rows of a group keep their order.
pub(crate) fn group<K: Eq + Hash, T>(rows: Vec<T>, key: impl Fn(&T) -> K) -> HashMap<K, Vec<T>> {
    let mut groups: HashMap<K, Vec<T>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
