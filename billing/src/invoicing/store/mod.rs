//! SQL of runs, invoices and credit notes.

pub mod facts;
pub mod finalize;
pub mod late;
pub mod read;
pub mod runs;
pub mod write;

pub use late::{Fact, last_finalized_month, lock_owners, mark_late};
