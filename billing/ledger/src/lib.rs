//! Double entry as transfers between two accounts.
//!
//! A posting is one fact in the books: one or more transfers, each from one account to another, so nothing unbalanced
//! can be written. Rows are only ever added. This package has never heard of an invoice: what a fact means in
//! accounts is decided by whoever posts it.

mod account;
mod books;
mod posting;
mod seal;

pub use account::AccountKey;
pub use books::{
    Account, AccountBalance, Entry, KindTotal, account_entries, accounts, balances, entries_of_sources, totals_by_kind,
    trial_balance, unbalanced_transactions,
};
pub use posting::{Posting, Transfer, post};
pub use seal::{ChainReport, seal, verify_chain};
