//! The words every other package is written in: money, rates, ids and calendar time.
//!
//! Pure: no I/O, no clock, no async, no binary floating point. Amounts are whole minor units (golden rule R0).

pub mod id;
pub mod money;
pub mod rate;
#[cfg(feature = "sql")]
mod sql;
mod text_enum;
pub mod time;

pub use id::*;
pub use money::{AmountError, Currency, Money, MoneyError, UnknownCurrency, parse_amount, round_ratio};
pub use rate::{BasisPoints, ExchangeRate, RateError};
pub use text_enum::NotOneOf;
pub use time::{Date, Month, TimeError, TimeZone, Timestamp};
