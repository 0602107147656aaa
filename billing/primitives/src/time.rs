//! Calendar time: days and months of an organization's time zone, and instants.
//!
//! Nothing here reads a clock. Billing counts calendar days, never seconds (golden rule R3).

use std::fmt;
use std::str::FromStr;

use jiff::{ToSpan, civil};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The text or number is no such date, month, instant or zone.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TimeError {
    #[error("{0:?} is not a date like 2026-10-31")]
    NotADate(String),
    #[error("{0:?} is not a month like 2026-10")]
    NotAMonth(String),
    #[error("{0:?} is not an instant like 2026-10-31T12:00:00Z")]
    NotAnInstant(String),
    #[error("{0:?} is not a time zone of the IANA database")]
    NotAZone(String),
    /// It is written as it should be, and nobody can mean it.
    #[error("{0:?} lies outside the years 1970 to 2199")]
    OutsideYears(String),
    #[error("the date is out of range")]
    OutOfRange,
}

fn shown(text: &str) -> String {
    text.chars().take(40).collect()
}

/// A calendar day. Which one it is depends on the organization's time zone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Date))]
#[serde(try_from = "String", into = "String")]
pub struct Date(pub(crate) civil::Date);

impl Date {
    /// The years that bills are written for. Everything outside is a typing error.
    const YEARS: std::ops::RangeInclusive<i16> = 1970..=2199;

    /// # Errors
    /// [`TimeError::OutOfRange`] for a day that does not exist or lies outside 1970 to 2199.
    pub fn new(year: i16, month: i8, day: i8) -> Result<Date, TimeError> {
        civil::Date::new(year, month, day)
            .ok()
            .filter(|date| Date::YEARS.contains(&date.year()))
            .map(Date)
            .ok_or(TimeError::OutOfRange)
    }

    pub fn month(self) -> Month {
        Month { year: self.0.year(), month: self.0.month() }
    }

    /// 1 for the first day of the month.
    pub fn day(self) -> i8 {
        self.0.day()
    }

    /// The day `days` later (earlier when negative); stops at the calendar's ends.
    pub fn plus_days(self, days: i32) -> Date {
        Date(self.0.saturating_add(days.days()))
    }

    pub fn next(self) -> Date {
        self.plus_days(1)
    }

    /// Days from `self` to `later`; negative when `later` is earlier.
    pub fn days_until(self, later: Date) -> i64 {
        i64::from((later.0 - self.0).get_days())
    }
}

impl FromStr for Date {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || TimeError::NotADate(shown(text));
        // jiff also reads dates with a time behind them; a document's date has none.
        if text.len() != 10 {
            return Err(wrong());
        }
        let date: civil::Date = text.parse().map_err(|_| wrong())?;
        if Date::YEARS.contains(&date.year()) { Ok(Date(date)) } else { Err(TimeError::OutsideYears(shown(text))) }
    }
}

/// A calendar month.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Date))]
#[serde(try_from = "String", into = "String")]
pub struct Month {
    year: i16,
    month: i8,
}

impl Month {
    /// # Errors
    /// [`TimeError::OutOfRange`] when there is no such month.
    pub fn new(year: i16, month: i8) -> Result<Month, TimeError> {
        Date::new(year, month, 1).map(Date::month)
    }

    pub fn first(self) -> Date {
        Date(civil::Date::constant(self.year, self.month, 1))
    }

    pub fn last(self) -> Date {
        Date(self.first().0.last_of_month())
    }

    /// Days in the month: 28 to 31.
    pub fn days(self) -> i8 {
        self.first().0.days_in_month()
    }

    pub fn next(self) -> Month {
        self.last().next().month()
    }

    pub fn previous(self) -> Month {
        self.first().plus_days(-1).month()
    }

    pub fn contains(self, date: Date) -> bool {
        date.month() == self
    }

    /// All months from `self` to `last`, both included; none when `last` is earlier.
    pub fn through(self, last: Month) -> impl Iterator<Item = Month> {
        std::iter::successors(Some(self), |month| Some(month.next())).take_while(move |month| *month <= last)
    }
}

impl FromStr for Month {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.len() != 7 {
            return Err(TimeError::NotAMonth(shown(text)));
        }
        match format!("{text}-01").parse::<Date>() {
            Ok(first) => Ok(first.month()),
            Err(TimeError::OutsideYears(_)) => Err(TimeError::OutsideYears(shown(text))),
            Err(_) => Err(TimeError::NotAMonth(shown(text))),
        }
    }
}

/// An instant, to the microsecond (what PostgreSQL keeps).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Timestamptz))]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(pub(crate) jiff::Timestamp);

impl Timestamp {
    /// # Errors
    /// [`TimeError::OutOfRange`].
    pub fn from_microseconds(since_1970: i64) -> Result<Timestamp, TimeError> {
        jiff::Timestamp::from_microsecond(since_1970).map(Timestamp).map_err(|_| TimeError::OutOfRange)
    }

    /// Microseconds since 1970-01-01T00:00:00Z.
    pub fn microseconds(self) -> i64 {
        self.0.as_microsecond()
    }

    /// The calendar day of this instant in `zone`.
    pub fn date_in(self, zone: &TimeZone) -> Date {
        Date(zone.0.to_datetime(self.0).date())
    }

    /// The instant `seconds` later (earlier when negative); stops at the calendar's ends.
    pub fn plus_seconds(self, seconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(self.0))
    }
}

impl FromStr for Timestamp {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let instant: jiff::Timestamp = text.parse().map_err(|_| TimeError::NotAnInstant(shown(text)))?;
        // Its day in any zone becomes a date sooner or later.
        if !Date::YEARS.contains(&jiff::tz::TimeZone::UTC.to_datetime(instant).date().year()) {
            return Err(TimeError::OutsideYears(shown(text)));
        }
        Timestamp::from_microseconds(instant.as_microsecond())
    }
}

/// A zone of the IANA time zone database, such as `Europe/Copenhagen`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "sql", derive(diesel::expression::AsExpression, diesel::deserialize::FromSqlRow))]
#[cfg_attr(feature = "sql", diesel(sql_type = diesel::sql_types::Text))]
#[serde(try_from = "String", into = "String")]
pub struct TimeZone(jiff::tz::TimeZone, String);

impl TimeZone {
    /// The zone in which Stripe counts its days.
    pub fn utc() -> Self {
        TimeZone(jiff::tz::TimeZone::UTC, "UTC".to_owned())
    }

    pub fn name(&self) -> &str {
        &self.1
    }

    /// The instant at which `date` begins here (the first one, should the day begin twice).
    ///
    /// # Errors
    /// [`TimeError::OutOfRange`] at the calendar's ends.
    pub fn start_of(&self, date: Date) -> Result<Timestamp, TimeError> {
        let zoned = self.0.to_zoned(date.0.into()).map_err(|_| TimeError::OutOfRange)?;
        Ok(Timestamp(zoned.timestamp()))
    }
}

impl FromStr for TimeZone {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let zone = jiff::tz::TimeZone::get(text).map_err(|_| TimeError::NotAZone(shown(text)))?;
        let name = zone.iana_name().unwrap_or(text).to_owned();
        Ok(TimeZone(zone, name))
    }
}

macro_rules! as_text {
    ($type:ty, $self:ident => $text:expr) => {
        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $self = self;
                fmt::Display::fmt(&$text, f)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl TryFrom<String> for $type {
            type Error = TimeError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> String {
                value.to_string()
            }
        }
    };
}

as_text!(Date, date => date.0);
as_text!(Month, month => format_args!("{:04}-{:02}", month.year, month.month));
as_text!(Timestamp, instant => instant.0);
as_text!(TimeZone, zone => zone.1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_know_their_days() {
        for (month, days) in [("2026-02", 28), ("2028-02", 29), ("2026-10", 31), ("2026-11", 30)] {
            assert_eq!(month.parse::<Month>().unwrap().days(), days, "{month}");
        }
        let december: Month = "2026-12".parse().unwrap();
        assert_eq!(december.next().to_string(), "2027-01");
        assert_eq!(december.next().previous(), december);
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for wrong in ["2026-02-30", "2026-1-1", "20260101", "2026-01-01T00:00:00", "0001-01-01", "æøå", ""] {
            assert!(wrong.parse::<Date>().is_err(), "{wrong}");
        }
        for wrong in ["2026-13", "2026-00", "2026", "2026-1"] {
            assert!(wrong.parse::<Month>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_year_that_nobody_means_is_told() {
        for (text, told) in [
            ("1900-01-01", "1900-01-01".parse::<Date>().map(|_| ())),
            ("2200-01", "2200-01".parse::<Month>().map(|_| ())),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z".parse::<Timestamp>().map(|_| ())),
            ("2200-01-01T00:00:00Z", "2200-01-01T00:00:00Z".parse::<Timestamp>().map(|_| ())),
        ] {
            let expected = format!("{text:?} lies outside the years 1970 to 2199");
            assert_eq!(told.map_err(|error| error.to_string()), Err(expected));
        }
        for right in ["1970-01-01T00:00:00Z", "2199-12-31T23:59:59Z"] {
            assert!(right.parse::<Timestamp>().is_ok(), "{right}");
        }
    }

    #[test]
    fn a_day_depends_on_the_zone() {
        let instant: Timestamp = "2026-10-31T23:30:00Z".parse().unwrap();
        for (zone, date) in [
            ("Europe/Copenhagen", "2026-11-01"),
            ("Pacific/Kiritimati", "2026-11-01"),
            ("Pacific/Pago_Pago", "2026-10-31"),
        ] {
            let zone: TimeZone = zone.parse().unwrap();
            assert_eq!(instant.date_in(&zone).to_string(), date, "{zone}");
        }
    }

    #[test]
    fn the_hours_of_daylight_saving_days_differ() {
        let zone: TimeZone = "Europe/Copenhagen".parse().unwrap();
        for (date, hours) in [("2026-03-29", 23), ("2026-10-25", 25), ("2026-10-26", 24)] {
            let date: Date = date.parse().unwrap();
            let length =
                zone.start_of(date.next()).unwrap().microseconds() - zone.start_of(date).unwrap().microseconds();
            assert_eq!(length, hours * 3_600_000_000, "{date}");
        }
    }
}
