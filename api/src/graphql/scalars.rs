//! Scalars of the product's own words, and money.
//!
//! Amounts travel as whole minor units; the decimal text beside them is for reading.

use async_graphql::{InputObject, InputValueError, InputValueResult, Number, Scalar, ScalarType, SimpleObject, Value};
use billing_primitives as primitives;

macro_rules! text_scalars {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(pub $inner);

        $(#[$doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match value {
                    Value::String(text) => Ok($name(text.parse()?)),
                    other => Err(InputValueError::expected_type(other)),
                }
            }

            fn to_value(&self) -> Value {
                Value::String(self.0.to_string())
            }
        }

        impl From<$inner> for $name {
            fn from(value: $inner) -> Self {
                $name(value)
            }
        }

        impl From<$name> for $inner {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    )*};
}

text_scalars! {
    /// A currency of ISO 4217, such as `DKK`.
    Currency(primitives::Currency);
    /// A calendar day in the organization's time zone, such as `2026-10-31`.
    Date(primitives::Date);
    /// An instant of RFC 3339, such as `2026-10-31T12:00:00Z`; kept to the microsecond.
    DateTime(primitives::Timestamp);
    /// A calendar month, such as `2026-10`.
    Month(primitives::Month);
    /// Units of one currency for one unit of another: a decimal text with at most 8 places, such as `"7.4604"`.
    Rate(primitives::ExchangeRate);
    /// A zone of the IANA time zone database, such as `Europe/Copenhagen`.
    TimeZone(primitives::TimeZone);
}

/// The largest whole number that every JSON reader holds exactly: 2^53 - 1.
const MOST_EXACT: i64 = (1 << 53) - 1;

macro_rules! whole_scalars {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub i64);

        $(#[$doc])*
        #[Scalar]
        impl ScalarType for $name {
            fn parse(value: Value) -> InputValueResult<Self> {
                match &value {
                    Value::Number(number) => {
                        number.as_i64().map($name).ok_or_else(|| InputValueError::custom("a whole number of 64 bits"))
                    }
                    Value::String(text) => Ok($name(text.parse()?)),
                    _ => Err(InputValueError::expected_type(value)),
                }
            }

            fn to_value(&self) -> Value {
                if (-MOST_EXACT..=MOST_EXACT).contains(&self.0) {
                    Value::Number(Number::from(self.0))
                } else {
                    Value::String(self.0.to_string())
                }
            }
        }
    )*};
}

whole_scalars! {
    /// A whole number of minor units (øre, cent) within 64 bits; `Int` has only 32. Written as a JSON number up to
    /// 9007199254740991 (2^53 - 1) either side of zero, which every JSON reader holds exactly, and as a text of digits
    /// beyond; read as either.
    MinorUnits;
    /// A number of users or seat-days within 64 bits, written and read as `MinorUnits` is.
    Count;
}

/// An amount of one currency; may be negative.
#[derive(Debug, Clone, PartialEq, Eq, SimpleObject)]
pub struct Money {
    /// The amount as a decimal with all its digits, such as `"1234.50"`: for reading, not for calculating.
    pub amount: String,
    /// The amount in minor units, such as `123450`: for calculating.
    pub minor: MinorUnits,
    /// Its currency.
    pub currency: Currency,
}

impl From<primitives::Money> for Money {
    fn from(money: primitives::Money) -> Self {
        let text = money.to_string();
        let amount = text.split_once(' ').map_or(text.as_str(), |(amount, _)| amount);
        Money { amount: amount.to_owned(), minor: MinorUnits(money.minor), currency: Currency(money.currency) }
    }
}

/// An amount of one currency.
#[derive(Debug, Clone, PartialEq, Eq, InputObject)]
pub struct MoneyInput {
    /// The amount in minor units: `123450` for 1234.50 DKK.
    pub minor: MinorUnits,
    /// Its currency.
    pub currency: Currency,
}

impl From<MoneyInput> for primitives::Money {
    fn from(input: MoneyInput) -> Self {
        primitives::Money::new(input.minor.0, input.currency.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minor_units_keep_every_digit() {
        for (minor, written) in [
            (0, Value::from(0)),
            (MOST_EXACT, Value::from(MOST_EXACT)),
            (-MOST_EXACT - 1, Value::from("-9007199254740992")),
            (i64::MAX, Value::from("9223372036854775807")),
        ] {
            assert_eq!(MinorUnits(minor).to_value(), written);
            assert_eq!(MinorUnits::parse(written).unwrap(), MinorUnits(minor));
        }
        for wrong in [Value::from(1.5), Value::from("1.5"), Value::from("9223372036854775808"), Value::from(true)] {
            assert!(MinorUnits::parse(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn money_is_written_with_its_currencys_digits() {
        let money = |minor, code: &str| Money::from(primitives::Money::new(minor, code.parse().unwrap())).amount;
        assert_eq!(money(123_450, "DKK"), "1234.50");
        assert_eq!(money(-5, "EUR"), "-0.05");
        assert_eq!(money(500, "JPY"), "500");
    }
}
