//! Account numbers: whole in the database and in the bank's file, masked everywhere else.

use std::fmt;

use diesel::deserialize::{self, FromSql};
use diesel::pg::{Pg, PgValue};
use diesel::serialize::{self, IsNull, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::rules::normalized_iban;

/// An account number. It is shown, logged and serialized masked; only a bank's file has it whole.
#[derive(Clone, PartialEq, Eq, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow, Deserialize)]
#[diesel(sql_type = Text)]
pub struct Iban(String);

impl Iban {
    /// The number without blanks, in capitals; none when it cannot be one.
    pub fn read(text: &str) -> Option<Iban> {
        normalized_iban(text).map(Iban)
    }

    /// All of it: for the bank's file alone.
    pub(crate) fn whole(&self) -> &str {
        &self.0
    }

    /// Country and last four characters, such as `DK** **** 6243`.
    pub fn masked(&self) -> String {
        let country: String = self.0.chars().take(2).collect();
        let last = self.0.char_indices().rev().nth(3).map_or("", |(at, _)| self.0.get(at..).unwrap_or_default());
        format!("{country}** **** {last}")
    }
}

impl fmt::Debug for Iban {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.masked())
    }
}

impl Serialize for Iban {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.masked())
    }
}

impl ToSql<Text, Pg> for Iban {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Pg>) -> serialize::Result {
        std::io::Write::write_all(out, self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

impl FromSql<Text, Pg> for Iban {
    fn from_sql(bytes: PgValue<'_>) -> deserialize::Result<Self> {
        Ok(Iban(std::str::from_utf8(bytes.as_bytes())?.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_banks_file_has_it_whole() {
        let iban = Iban::read("dk50 0040 0440 1162 43").unwrap();
        assert_eq!(iban.whole(), "DK5000400440116243");
        assert_eq!(iban.masked(), "DK** **** 6243");
        assert_eq!(format!("{iban:?}"), "DK** **** 6243");
        assert_eq!(serde_json::to_string(&iban).unwrap(), "\"DK** **** 6243\"");
        // What was kept masked stays masked when it is read and written again.
        let kept: Iban = serde_json::from_str("\"DK** **** 6243\"").unwrap();
        assert_eq!(kept.masked(), "DK** **** 6243");
        assert!(Iban::read("DK5000400440116244").is_none());
    }
}
