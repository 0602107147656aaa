//! Rates: basis points on amounts (R1) and exchange rates between currencies (R4).

use std::fmt;
use std::str::FromStr;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::money::{Currency, Money, MoneyError, round_ratio};

/// Why a number is no rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RateError {
    #[error("{0} basis points are not between 0 and 10000")]
    OutOfRange(i64),
    #[error("{0:?} is not an exchange rate above zero with at most 8 decimals")]
    NotARate(String),
}

/// Hundredths of a per cent, from 0 to 10000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Integer))]
#[serde(try_from = "i64", into = "i64")]
pub struct BasisPoints(i32);

impl BasisPoints {
    pub const ZERO: BasisPoints = BasisPoints(0);

    /// # Errors
    /// [`RateError::OutOfRange`] below 0 or above 10000.
    pub fn new(bps: i64) -> Result<Self, RateError> {
        match i32::try_from(bps) {
            Ok(bps @ 0..=10_000) => Ok(BasisPoints(bps)),
            _ => Err(RateError::OutOfRange(bps)),
        }
    }

    pub const fn get(self) -> i32 {
        self.0
    }

    /// `round(amount × bps / 10000)`, halves away from zero (R1).
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn of(self, amount: Money) -> Result<Money, MoneyError> {
        amount.scaled(i64::from(self.0), 10_000)
    }
}

impl TryFrom<i64> for BasisPoints {
    type Error = RateError;

    fn try_from(bps: i64) -> Result<Self, Self::Error> {
        BasisPoints::new(bps)
    }
}

impl From<BasisPoints> for i64 {
    fn from(bps: BasisPoints) -> i64 {
        i64::from(bps.0)
    }
}

impl fmt::Display for BasisPoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} %", self.0 / 100, self.0 % 100)
    }
}

/// Units of the target currency for one unit of the source currency, an exact decimal with at most 8 places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Text))]
#[serde(try_from = "String", into = "String")]
pub struct ExchangeRate(Decimal);

impl ExchangeRate {
    /// Converts once, rounded once: `round(amount × rate)` in the target's minor units (R4).
    ///
    /// # Errors
    /// [`MoneyError::Overflow`].
    pub fn convert(self, amount: Money, to: Currency) -> Result<Money, MoneyError> {
        let numerator = i128::from(amount.minor)
            .checked_mul(self.0.mantissa())
            .and_then(|product| product.checked_mul(10_i128.pow(to.minor_digits())))
            .ok_or(MoneyError::Overflow)?;
        let denominator = 10_i128.pow(self.0.scale()) * 10_i128.pow(amount.currency.minor_digits());
        let minor = round_ratio(numerator, denominator).ok_or(MoneyError::Overflow)?;
        Ok(Money::new(minor, to))
    }
}

impl FromStr for ExchangeRate {
    type Err = RateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || RateError::NotARate(text.chars().take(32).collect());
        let rate = Decimal::from_str_exact(text).map_err(|_| wrong())?.normalize();
        if rate <= Decimal::ZERO || rate.scale() > 8 || rate >= Decimal::from(1_000_000_000) {
            return Err(wrong());
        }
        Ok(ExchangeRate(rate))
    }
}

impl TryFrom<String> for ExchangeRate {
    type Error = RateError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ExchangeRate> for String {
    fn from(rate: ExchangeRate) -> String {
        rate.to_string()
    }
}

impl fmt::Display for ExchangeRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basis_points_have_a_range() {
        assert_eq!(BasisPoints::new(10_001), Err(RateError::OutOfRange(10_001)));
        assert_eq!(BasisPoints::new(-1), Err(RateError::OutOfRange(-1)));
        assert_eq!(BasisPoints::new(2_550).unwrap().to_string(), "25.50 %");
    }

    #[test]
    fn conversion_minds_minor_digits() {
        let rate: ExchangeRate = "0.00625".parse().unwrap();
        let yen: Currency = "JPY".parse().unwrap();
        assert_eq!(rate.convert(Money::new(1000, yen), Currency::EUR).unwrap().minor, 625);
        for wrong in ["0", "-1", "1e3", "7,46", "1.123456789", ""] {
            assert!(wrong.parse::<ExchangeRate>().is_err(), "{wrong}");
        }
    }
}
