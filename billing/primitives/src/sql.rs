//! How primitives stand in PostgreSQL: ids as `uuid`, days and months as `date`, instants as `timestamptz`,
//! currencies as `text`, basis points as `int4`.

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types;
use std::io::Write;

use crate::{BasisPoints, Currency, Date, ExchangeRate, Month, TimeZone, Timestamp};

macro_rules! stored_as_uuid {
    ($name:ident) => {
        impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                <Uuid as diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::to_sql(&self.0, out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                <Uuid as diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::from_sql(bytes)
                    .map($name)
            }
        }
    };
}
pub(crate) use stored_as_uuid;

/// PostgreSQL counts days and microseconds from 2000-01-01.
const EPOCH_2000_SECONDS: i64 = 946_684_800;
const EPOCH_2000_DAY: Date = Date(jiff::civil::Date::constant(2000, 1, 1));

macro_rules! stored {
    ($($name:ident as $sql:ident: |$value:ident| $to:expr, |$stored:ident: $raw:ty| $from:expr;)*) => {$(
        impl ToSql<sql_types::$sql, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                let $value = self;
                out.write_all(&$to)?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<sql_types::$sql, Pg> for $name {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                let $stored = <$raw>::from_be_bytes(bytes.as_bytes().try_into()?);
                $from
            }
        }
    )*};
}

fn days_since_2000(date: Date) -> [u8; 4] {
    // Two dates of the calendar are never 2^31 days apart.
    i32::try_from(EPOCH_2000_DAY.days_until(date)).unwrap_or(i32::MAX).to_be_bytes()
}

fn date_from_days(days: i32) -> Date {
    EPOCH_2000_DAY.plus_days(days)
}

stored! {
    Date as Date: |date| days_since_2000(*date), |days: i32| Ok(date_from_days(days));
    Month as Date: |month| days_since_2000(month.first()), |days: i32| Ok(date_from_days(days).month());
    Timestamp as Timestamptz:
        |instant| (instant.microseconds() - EPOCH_2000_SECONDS * 1_000_000).to_be_bytes(),
        |micros: i64| Ok(Timestamp::from_microseconds(micros + EPOCH_2000_SECONDS * 1_000_000)?);
    BasisPoints as Integer: |bps| bps.get().to_be_bytes(), |bps: i32| Ok(BasisPoints::new(i64::from(bps))?);
}

macro_rules! stored_as_text {
    ($($name:ident: |$value:ident| $text:expr;)*) => {$(
        impl ToSql<sql_types::Text, Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
                let $value = self;
                out.write_all($text.as_bytes())?;
                Ok(IsNull::No)
            }
        }

        impl FromSql<sql_types::Text, Pg> for $name {
            fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
                Ok(std::str::from_utf8(bytes.as_bytes())?.parse()?)
            }
        }
    )*};
}

stored_as_text! {
    Currency: |currency| currency.code();
    ExchangeRate: |rate| rate.to_string();
    TimeZone: |zone| zone.name();
}
