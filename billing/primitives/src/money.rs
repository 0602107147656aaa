//! Money: whole minor units of one currency (golden rules R0, R1 and R9).
//!
//! Adding can fail, amounts of two currencies never meet, and every rounding goes through [`round_ratio`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// An ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Text))]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Currency {
    pub const DKK: Currency = Currency(*b"DKK");
    pub const EUR: Currency = Currency(*b"EUR");

    /// The three capital letters of ISO 4217.
    pub fn code(&self) -> &str {
        // Only ASCII letters get past `FromStr`.
        std::str::from_utf8(&self.0).unwrap_or("XXX")
    }

    /// Digits after the decimal mark: 2 for DKK, 0 for JPY, 3 for KWD.
    pub fn minor_digits(&self) -> u32 {
        iso_currency::Currency::from_code(self.code()).and_then(|currency| currency.exponent()).map_or(2, u32::from)
    }
}

/// The text is no ISO 4217 currency that money can be counted in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an ISO 4217 currency code")]
pub struct UnknownCurrency(pub String);

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let unknown = || UnknownCurrency(text.chars().take(16).collect());
        let known = iso_currency::Currency::from_code(text).ok_or_else(unknown)?;
        known.exponent().ok_or_else(unknown)?;
        let code: [u8; 3] = text.as_bytes().try_into().map_err(|_| unknown())?;
        Ok(Currency(code))
    }
}

impl TryFrom<String> for Currency {
    type Error = UnknownCurrency;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.code().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// Why an amount could not be computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MoneyError {
    #[error("the amount does not fit into 64 bits of minor units")]
    Overflow,
    #[error("amounts of {left} and {right} cannot meet in a sum")]
    CurrencyMix { left: Currency, right: Currency },
    #[error("an amount cannot be split by weights that add up to nothing")]
    NothingToSplitBy,
}

/// Why a text is no amount of a currency.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    #[error("{text:?} is not an amount of {currency} such as {}", example(currency))]
    NotAnAmount { text: String, currency: Currency },
    #[error("{text:?} has more decimals than {currency}, which has {}", currency.minor_digits())]
    TooFine { text: String, currency: Currency },
    #[error("{text:?} does not fit into 64 bits of minor units")]
    TooLarge { text: String },
}

fn example(currency: &Currency) -> &'static str {
    if currency.minor_digits() == 0 { "149" } else { "149.00" }
}

/// An amount: `minor` units (øre, cent) of `currency`. May be negative.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

impl Money {
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Money { minor, currency }
    }

    pub const fn zero(currency: Currency) -> Self {
        Money { minor: 0, currency }
    }

    pub const fn is_zero(&self) -> bool {
        self.minor == 0
    }

    pub const fn is_positive(&self) -> bool {
        self.minor > 0
    }

    pub const fn is_negative(&self) -> bool {
        self.minor < 0
    }

    /// # Errors
    /// [`MoneyError::CurrencyMix`] or [`MoneyError::Overflow`].
    pub fn checked_add(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, ..self })
    }

    /// # Errors
    /// [`MoneyError::CurrencyMix`] or [`MoneyError::Overflow`].
    pub fn checked_sub(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        let minor = self.minor.checked_sub(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, ..self })
    }

    /// The smaller of two amounts.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMix`].
    pub fn min(self, other: Money) -> Result<Money, MoneyError> {
        self.same_currency(other)?;
        Ok(if other.minor < self.minor { other } else { self })
    }

    /// `self × numerator / denominator`, rounded once (R1).
    ///
    /// # Errors
    /// [`MoneyError::Overflow`], also when `denominator` is not above zero.
    pub fn scaled(self, numerator: i64, denominator: i64) -> Result<Money, MoneyError> {
        let product = i128::from(self.minor) * i128::from(numerator);
        let minor = round_ratio(product, i128::from(denominator)).ok_or(MoneyError::Overflow)?;
        Ok(Money { minor, ..self })
    }

    /// The sum of amounts of one currency.
    ///
    /// # Errors
    /// [`MoneyError::CurrencyMix`] or [`MoneyError::Overflow`].
    pub fn sum(currency: Currency, amounts: impl IntoIterator<Item = Money>) -> Result<Money, MoneyError> {
        amounts.into_iter().try_fold(Money::zero(currency), Money::checked_add)
    }

    /// Splits the amount by `weights`; the parts add up to the whole (golden rule R9, largest remainder).
    ///
    /// # Errors
    /// [`MoneyError::NothingToSplitBy`] when no weight is above zero, [`MoneyError::Overflow`].
    pub fn allocate(self, weights: &[u64]) -> Result<Vec<Money>, MoneyError> {
        let parts = allocate_magnitude(self.minor.unsigned_abs(), weights)?;
        let sign = if self.minor < 0 { -1 } else { 1 };
        parts
            .into_iter()
            .map(|part| {
                let minor = i64::try_from(sign * i128::from(part)).map_err(|_| MoneyError::Overflow)?;
                Ok(Money { minor, ..self })
            })
            .collect()
    }

    fn same_currency(self, other: Money) -> Result<(), MoneyError> {
        if self.currency == other.currency {
            return Ok(());
        }
        Err(MoneyError::CurrencyMix { left: self.currency, right: other.currency })
    }
}

fn allocate_magnitude(total: u64, weights: &[u64]) -> Result<Vec<u64>, MoneyError> {
    let sum: u128 = weights.iter().copied().map(u128::from).sum();
    if sum == 0 {
        return Err(MoneyError::NothingToSplitBy);
    }
    let mut parts = Vec::with_capacity(weights.len());
    let mut remainders = Vec::with_capacity(weights.len());
    for (index, weight) in weights.iter().enumerate() {
        let share = u128::from(total) * u128::from(*weight);
        parts.push(u64::try_from(share / sum).map_err(|_| MoneyError::Overflow)?);
        remainders.push((share % sum, index));
    }
    // Fewer units are left over than there are parts with a remainder, so a weight of zero never gets one.
    let left = total - parts.iter().sum::<u64>();
    remainders.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for (_, index) in remainders.iter().take(usize::try_from(left).map_err(|_| MoneyError::Overflow)?) {
        parts[*index] += 1;
    }
    Ok(parts)
}

impl fmt::Display for Money {
    /// `1234.50 DKK`: for logs and the command line; pages format by locale.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.currency.minor_digits();
        let scale = 10_u64.pow(digits);
        let (whole, rest) = (self.minor.unsigned_abs() / scale, self.minor.unsigned_abs() % scale);
        let sign = if self.minor < 0 { "-" } else { "" };
        if digits == 0 {
            return write!(f, "{sign}{whole} {}", self.currency);
        }
        write!(f, "{sign}{whole}.{rest:0width$} {}", self.currency, width = digits as usize)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads an amount in major units: `149`, `149.5` and `-149.50` for DKK, exact, with a point and nothing between digits.
///
/// # Errors
/// [`AmountError`]; more decimals than the currency has are refused, also zeros.
pub fn parse_amount(text: &str, currency: Currency) -> Result<Money, AmountError> {
    let shown = || text.chars().take(40).collect::<String>();
    let digits = currency.minor_digits() as usize;
    let (sign, magnitude) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, decimals) = match magnitude.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (magnitude, None),
    };
    let counts = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !counts(whole) || decimals.is_some_and(|decimals| !counts(decimals)) {
        return Err(AmountError::NotAnAmount { text: shown(), currency });
    }
    let decimals = decimals.unwrap_or_default();
    if decimals.len() > digits {
        return Err(AmountError::TooFine { text: shown(), currency });
    }
    // Padded to its minor digits the text is the whole number of minor units.
    match format!("{sign}{whole}{decimals:0<digits$}").parse() {
        Ok(minor) => Ok(Money { minor, currency }),
        Err(_) => Err(AmountError::TooLarge { text: shown() }),
    }
}

/// `numerator / denominator` to the nearest integer, halves away from zero (golden rule R1, DIN 1333).
///
/// `None` when the denominator is not above zero or the result does not fit.
pub fn round_ratio(numerator: i128, denominator: i128) -> Option<i64> {
    if denominator <= 0 {
        return None;
    }
    let doubled = numerator.unsigned_abs().checked_mul(2)?.checked_add(denominator.unsigned_abs())?;
    let magnitude = i128::try_from(doubled / denominator.unsigned_abs().checked_mul(2)?).ok()?;
    i64::try_from(if numerator < 0 { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn currencies_know_their_digits() {
        for (code, digits) in [("DKK", 2), ("JPY", 0), ("KWD", 3)] {
            assert_eq!(code.parse::<Currency>().unwrap().minor_digits(), digits, "{code}");
        }
        for wrong in ["", "dkk", "XX", "ABC", "DKKK", "XAU"] {
            assert!(wrong.parse::<Currency>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn currencies_never_meet() {
        let mix = Money::new(1, Currency::DKK).checked_add(Money::new(1, Currency::EUR));
        assert_eq!(mix, Err(MoneyError::CurrencyMix { left: Currency::DKK, right: Currency::EUR }));
    }

    #[test]
    fn the_edge_of_64_bits_is_an_error() {
        let most = Money::new(i64::MAX, Currency::DKK);
        assert_eq!(most.checked_add(Money::new(1, Currency::DKK)), Err(MoneyError::Overflow));
        assert_eq!(most.scaled(2, 1), Err(MoneyError::Overflow));
        assert_eq!(most.scaled(1, 0), Err(MoneyError::Overflow));
        assert_eq!(Money::new(i64::MIN, Currency::DKK).allocate(&[1]).unwrap()[0].minor, i64::MIN);
    }

    #[test]
    fn display_follows_the_minor_digits() {
        assert_eq!(Money::new(-5, Currency::DKK).to_string(), "-0.05 DKK");
        assert_eq!(Money::new(123_450, Currency::EUR).to_string(), "1234.50 EUR");
        assert_eq!(Money::new(500, "JPY".parse().unwrap()).to_string(), "500 JPY");
    }

    #[test]
    fn an_amount_is_read_exactly_or_not_at_all() {
        let [yen, dinar] = ["JPY", "KWD"].map(|code| code.parse::<Currency>().unwrap());
        for (text, currency, minor) in [
            ("149.00", Currency::DKK, 14_900),
            ("149.5", Currency::DKK, 14_950),
            ("149", Currency::DKK, 14_900),
            ("0.05", Currency::EUR, 5),
            ("-0.05", Currency::EUR, -5),
            ("0149", yen, 149),
            ("1.005", dinar, 1_005),
            ("-92233720368547758.08", Currency::DKK, i64::MIN),
        ] {
            assert_eq!(parse_amount(text, currency), Ok(Money::new(minor, currency)), "{text}");
        }
        for text in ["", "-", ".5", "5.", "+5", "1,5", "1 000", "1e3", "--1", "0x1", "1.2.3", "٣", "149.00 DKK", "=1"]
        {
            let refused = parse_amount(text, Currency::DKK);
            assert!(matches!(refused, Err(AmountError::NotAnAmount { .. })), "{text}");
        }
        for (text, currency) in [("149.005", Currency::DKK), ("149.000", Currency::DKK), ("1.0", yen)] {
            assert!(matches!(parse_amount(text, currency), Err(AmountError::TooFine { .. })), "{text}");
        }
        for text in ["92233720368547758.08", "99999999999999999999999999"] {
            assert!(matches!(parse_amount(text, Currency::DKK), Err(AmountError::TooLarge { .. })), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(minor in any::<i64>(), code in prop::sample::select(vec!["DKK", "JPY", "KWD"])) {
            let money = Money::new(minor, code.parse().unwrap());
            let shown = money.to_string();
            prop_assert_eq!(parse_amount(shown.split(' ').next().unwrap(), money.currency), Ok(money));
        }

        #[test]
        fn parts_add_up(total in any::<i32>(), weights in prop::collection::vec(0_u64..1000, 1..40)) {
            prop_assume!(weights.iter().any(|weight| *weight > 0));
            let whole = Money::new(i64::from(total), Currency::DKK);
            let parts = whole.allocate(&weights).unwrap();
            prop_assert_eq!(Money::sum(Currency::DKK, parts.iter().copied()).unwrap(), whole);
            for (part, weight) in parts.iter().zip(&weights) {
                prop_assert!(*weight > 0 || part.is_zero());
            }
        }

        #[test]
        fn a_reversal_mirrors_what_it_reverses(minor in any::<i32>(), n in 0_i64..10_000, d in 1_i64..10_000) {
            let there = Money::new(i64::from(minor), Currency::DKK).scaled(n, d).unwrap();
            let back = Money::new(-i64::from(minor), Currency::DKK).scaled(n, d).unwrap();
            prop_assert_eq!(there.minor, -back.minor);
        }
    }
}
