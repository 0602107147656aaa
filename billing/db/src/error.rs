//! What PostgreSQL says when it cannot or will not.

use diesel::result::{DatabaseErrorKind, Error};
use thiserror::Error;

/// A fault of the database or of the way to it; never a refusal of the business.
#[derive(Debug, Error)]
pub enum DbError {
    /// No connection could be had in time; trying again later is safe.
    #[error("the database cannot be reached: {0}")]
    Unreachable(String),
    /// The statement waited too long for a lock or ran too long; nothing was written.
    #[error("the database did not answer in time")]
    Timeout,
    /// Two transactions met and this one lost; it may be run again.
    #[error("the transaction met another one")]
    Contention,
    /// There is no room left.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// A text holds U+0000, which PostgreSQL keeps in no text: whoever sent it has to leave it out.
    #[error("a text holds a character that cannot be stored (NUL)")]
    Unstorable,
    /// One row more or less than the statement had to meet, such as an update of a finalized document.
    #[error("expected to write {expected} rows of {table}, wrote {written}")]
    RowsMissed { table: &'static str, expected: usize, written: usize },
    #[error(transparent)]
    Query(Error),
}

impl DbError {
    /// Whether the same transaction may succeed when it is run again at once.
    pub fn is_contention(&self) -> bool {
        matches!(self, DbError::Contention)
    }

    /// Whether the caller may try again later.
    pub fn is_passing(&self) -> bool {
        matches!(self, DbError::Unreachable(_) | DbError::Timeout | DbError::Contention | DbError::Full(_))
    }

    /// The constraint that refused the row, if that is what happened.
    pub fn refused_by(&self) -> Option<Constraint<'_>> {
        let DbError::Query(Error::DatabaseError(kind, info)) = self else { return None };
        let name = info.constraint_name().unwrap_or_default();
        match kind {
            DatabaseErrorKind::UniqueViolation => Some(Constraint::Unique(name)),
            DatabaseErrorKind::ForeignKeyViolation => Some(Constraint::ForeignKey(name)),
            DatabaseErrorKind::CheckViolation => Some(Constraint::Check(name)),
            _ => None,
        }
    }

    /// [`DbError::RowsMissed`] unless exactly `expected` rows were met.
    ///
    /// Row-level security hides rows silently: a write that meets fewer than it meant to is an error.
    ///
    /// # Errors
    /// As said.
    pub fn expect_rows(table: &'static str, expected: usize, written: usize) -> Result<(), DbError> {
        if expected == written { Ok(()) } else { Err(DbError::RowsMissed { table, expected, written }) }
    }
}

/// The name of a constraint that refused a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Constraint<'a> {
    Unique(&'a str),
    ForeignKey(&'a str),
    Check(&'a str),
}

impl From<Error> for DbError {
    fn from(error: Error) -> Self {
        match &error {
            Error::DatabaseError(DatabaseErrorKind::SerializationFailure, _) => DbError::Contention,
            Error::DatabaseError(DatabaseErrorKind::ClosedConnection, info) => {
                DbError::Unreachable(info.message().to_owned())
            }
            // diesel names only some of PostgreSQL's codes. The server's messages are in English, checked at start.
            // What comes without a code, such as a connection that broke, it calls `UnableToSendCommand`.
            Error::DatabaseError(DatabaseErrorKind::Unknown | DatabaseErrorKind::UnableToSendCommand, info) => {
                match classify(info.message()) {
                    Some(known) => known,
                    None => DbError::Query(error),
                }
            }
            // A server that was demoted, or that its keeper has closed: it will be written to again.
            Error::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, info) => {
                DbError::Unreachable(info.message().to_owned())
            }
            Error::BrokenTransactionManager => DbError::Unreachable(error.to_string()),
            _ => DbError::Query(error),
        }
    }
}

/// Whether PostgreSQL says that its disk is full.
pub(crate) fn says_full(message: &str) -> bool {
    ["No space left on device", "could not extend file", "disk full"].iter().any(|part| message.contains(part))
}

fn classify(message: &str) -> Option<DbError> {
    let says = |parts: &[&str]| parts.iter().any(|part| message.contains(part));
    if says(&["deadlock detected", "distributed deadlock", "could not serialize access"]) {
        return Some(DbError::Contention);
    }
    if says(&["statement timeout", "lock timeout", "canceling statement due to user request"]) {
        return Some(DbError::Timeout);
    }
    if says_full(message) {
        return Some(DbError::Full(message.to_owned()));
    }
    // For text, and for JSON. Texts are UTF-8 everywhere in this program, so no other byte is ever meant.
    if says(&["invalid byte sequence for encoding \"UTF8\": 0x00", "unsupported Unicode escape sequence"]) {
        return Some(DbError::Unstorable);
    }
    let gone = [
        "terminating connection",
        "connection closed",
        "channel closed",
        "the database system is",
        "too many clients",
        "remaining connection slots",
        "error communicating with the server",
        "idle-in-transaction timeout",
        // What a cluster's coordinator says of a node that is away.
        "connection to the remote node",
        "server closed the connection unexpectedly",
        "connection not open",
        "could not establish any connections to the node",
        "failure on connection marked as essential",
        "could not receive data from server",
    ];
    says(&gone).then(|| DbError::Unreachable(message.to_owned()))
}

/// An error that may carry a fault of the database: what the scoped transaction needs to know to run again.
pub trait Fault: From<DbError> + Send {
    fn db(&self) -> Option<&DbError>;
}

impl Fault for DbError {
    fn db(&self) -> Option<&DbError> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_says_is_understood() {
        let told = |message: &str| {
            DbError::from(Error::DatabaseError(DatabaseErrorKind::Unknown, Box::new(message.to_owned())))
        };
        for message in ["invalid byte sequence for encoding \"UTF8\": 0x00", "unsupported Unicode escape sequence"] {
            let error = told(message);
            assert!(matches!(error, DbError::Unstorable), "{message}");
            assert!(!error.is_contention() && !error.is_passing(), "{message}");
        }
        assert!(told("deadlock detected").is_contention());
        let of_a_cluster = "canceling the transaction since it was involved in a distributed deadlock";
        assert!(told(of_a_cluster).is_contention());
        for message in [
            "connection to the remote node avance_app@10.0.0.2:5432 failed with the following error: Connection refused",
            "terminating connection due to administrator command",
            "the database system is in recovery mode",
        ] {
            assert!(matches!(told(message), DbError::Unreachable(_)), "{message}");
        }
        assert!(told("canceling statement due to statement timeout").is_passing());
        assert!(matches!(told("division by zero"), DbError::Query(_)));
    }
}
