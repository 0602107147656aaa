//! Sizes and speeds as they are asked for and told.

use std::time::Duration;

use crate::Outcome;

/// What an environment variable asks for.
pub fn number(variable: &str, usual: i64) -> Outcome<i64> {
    match std::env::var(variable) {
        Ok(text) => Ok(text.parse().map_err(|_| format!("{variable}={text} is not a whole number"))?),
        Err(_) => Ok(usual),
    }
}

pub fn per_second(rows: i64, took: Duration) -> u128 {
    u128::try_from(rows).unwrap_or(0) * 1_000 / took.as_millis().max(1)
}

/// A size as figures are named by it: `10k`, `1M`.
pub fn short(subscriptions: i64) -> String {
    match subscriptions {
        many if many % 1_000_000 == 0 => format!("{}M", many / 1_000_000),
        many if many % 1_000 == 0 => format!("{}k", many / 1_000),
        few => few.to_string(),
    }
}
