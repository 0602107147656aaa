//! VAT of wholesale supplies: dated standard rates, treatments and the form of VAT numbers. Pure.
//!
//! Source: Directive 2006/112/EC art. 44 and 196 (reverse charge between member states), art. 97 (standard rates).

use billing_primitives::{BasisPoints, Date, text_enum};

use crate::error::Refusal;

text_enum! {
    /// VAT category of EN 16931 (code list UNCL 5305).
    pub enum VatCategory {
        /// Standard rate.
        Standard = "S",
        /// Reverse charge: the buyer owes the VAT.
        ReverseCharge = "AE",
        /// Outside the scope of EU VAT.
        OutsideScope = "O",
    }
}

text_enum! {
    /// What a check of the VAT number said.
    pub enum VatStatus { Unchecked = "UNCHECKED", Valid = "VALID", Invalid = "INVALID" }
}

/// How a supply is taxed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct VatTreatment {
    pub category: VatCategory,
    pub rate: BasisPoints,
}

/// What decides about the treatment of a partner's supplies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buyer<'a> {
    pub external_id: &'a str,
    pub country: &'a str,
    pub vat_number: Option<&'a str>,
    pub vat_status: VatStatus,
}

/// Standard rates of the member states in basis points, each from a day on (the newest first).
const RATES: &[(&str, &[(&str, i64)])] = &[
    ("AT", &[("2016-01-01", 2000)]),
    ("BE", &[("1996-01-01", 2100)]),
    ("BG", &[("2007-01-01", 2000)]),
    ("CY", &[("2014-01-13", 1900)]),
    ("CZ", &[("2013-01-01", 2100)]),
    ("DE", &[("2021-01-01", 1900), ("2020-07-01", 1600), ("2007-01-01", 1900)]),
    ("DK", &[("1992-01-01", 2500)]),
    ("EE", &[("2025-07-01", 2400), ("2024-01-01", 2200), ("2009-07-01", 2000)]),
    ("ES", &[("2012-09-01", 2100)]),
    ("FI", &[("2024-09-01", 2550), ("2013-01-01", 2400)]),
    ("FR", &[("2014-01-01", 2000)]),
    ("GR", &[("2016-06-01", 2400)]),
    ("HR", &[("2013-07-01", 2500)]),
    ("HU", &[("2012-01-01", 2700)]),
    ("IE", &[("2021-03-01", 2300), ("2020-09-01", 2100), ("2012-01-01", 2300)]),
    ("IT", &[("2013-10-01", 2200)]),
    ("LT", &[("2009-09-01", 2100)]),
    ("LU", &[("2024-01-01", 1700), ("2023-01-01", 1600), ("2015-01-01", 1700)]),
    ("LV", &[("2012-07-01", 2100)]),
    ("MT", &[("2004-01-01", 1800)]),
    ("NL", &[("2012-10-01", 2100)]),
    ("PL", &[("2011-01-01", 2300)]),
    ("PT", &[("2011-01-01", 2300)]),
    ("RO", &[("2025-08-01", 2100), ("2017-01-01", 1900)]),
    ("SE", &[("1990-07-01", 2500)]),
    ("SI", &[("2013-07-01", 2200)]),
    ("SK", &[("2025-01-01", 2300), ("2011-01-01", 2000)]),
];

/// Whether the country is a member state of the European Union (ISO 3166 code, Greece is GR).
pub fn in_eu(country: &str) -> bool {
    RATES.iter().any(|(code, _)| *code == country)
}

/// The standard rate of a member state on a day.
///
/// # Errors
/// [`Refusal::VatRateMissing`] for other countries and for days before the table begins.
pub fn standard_rate(country: &str, day: Date) -> Result<BasisPoints, Refusal> {
    let missing = || Refusal::VatRateMissing { country: country.to_owned(), day };
    let (_, rates) = RATES.iter().find(|(code, _)| *code == country).ok_or_else(missing)?;
    let holds = |from: &str| from.parse::<Date>().is_ok_and(|from| from <= day);
    let (_, bps) = rates.iter().find(|(from, _)| holds(from)).ok_or_else(missing)?;
    BasisPoints::new(*bps).map_err(|_| missing())
}

/// How a supply to `buyer` is taxed on `day`, the last day of the month it is for.
///
/// # Errors
/// [`Refusal::VatNumberMissing`], [`Refusal::VatNumberInvalid`] for reverse charge; [`Refusal::VatRateMissing`].
pub fn treatment(seller_country: &str, buyer: Buyer<'_>, day: Date) -> Result<VatTreatment, Refusal> {
    if seller_country == buyer.country {
        let rate = standard_rate(seller_country, day)?;
        return Ok(VatTreatment { category: VatCategory::Standard, rate });
    }
    if !(in_eu(seller_country) && in_eu(buyer.country)) {
        return Ok(VatTreatment { category: VatCategory::OutsideScope, rate: BasisPoints::ZERO });
    }
    let partner = || buyer.external_id.to_owned();
    match (buyer.vat_number, buyer.vat_status) {
        (None, _) => Err(Refusal::VatNumberMissing { partner: partner() }),
        (Some(_), VatStatus::Invalid) => Err(Refusal::VatNumberInvalid { partner: partner() }),
        (Some(_), VatStatus::Unchecked | VatStatus::Valid) => {
            Ok(VatTreatment { category: VatCategory::ReverseCharge, rate: BasisPoints::ZERO })
        }
    }
}

/// A country as two capital letters (ISO 3166).
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn country(field: &'static str, given: &str) -> Result<String, Refusal> {
    if given.len() == 2 && given.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(given.to_owned());
    }
    Err(Refusal::invalid(field, "two capital letters such as DK (Greece is GR)"))
}

/// A VAT number without blanks and dots, letters in capitals; its check is a matter of its own.
///
/// # Errors
/// [`Refusal::Invalid`].
pub fn number(given: &str) -> Result<String, Refusal> {
    let number: String = given.chars().filter(|c| !matches!(c, ' ' | '.' | '-')).collect::<String>().to_uppercase();
    if (4..=17).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Ok(number);
    }
    Err(Refusal::invalid("vatNumber", "4 to 17 letters and digits, beginning with the country"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn the_table_reads_and_descends() {
        assert_eq!(RATES.len(), 27);
        for (country, rates) in RATES {
            let days: Vec<Date> = rates.iter().map(|(from, _)| day(from)).collect();
            assert!(days.windows(2).all(|pair| pair[0] > pair[1]), "{country}");
            assert!(standard_rate(country, day("2026-10-31")).is_ok(), "{country}");
        }
    }

    #[test]
    fn rates_change_on_their_day() {
        for (country, on, bps) in [
            ("DK", "2026-10-31", 2500),
            ("DE", "2020-12-31", 1600),
            ("DE", "2021-01-01", 1900),
            ("EE", "2025-06-30", 2200),
            ("EE", "2025-07-01", 2400),
            ("SK", "2024-12-31", 2000),
        ] {
            assert_eq!(standard_rate(country, day(on)).unwrap().get(), bps, "{country} {on}");
        }
        assert!(standard_rate("NO", day("2026-01-01")).is_err());
    }

    #[test]
    fn treatments() {
        let buyer = |country, vat_number, vat_status| Buyer { external_id: "P", country, vat_number, vat_status };
        let on = day("2026-10-31");
        let told = |seller, buyer| treatment(seller, buyer, on).map(|t| (t.category.as_str(), t.rate.get()));
        assert_eq!(told("DK", buyer("DK", None, VatStatus::Unchecked)), Ok(("S", 2500)));
        assert_eq!(told("DK", buyer("DE", Some("DE1"), VatStatus::Valid)), Ok(("AE", 0)));
        assert_eq!(told("DK", buyer("DE", Some("DE1"), VatStatus::Unchecked)), Ok(("AE", 0)));
        assert_eq!(told("DK", buyer("NO", None, VatStatus::Unchecked)), Ok(("O", 0)));
        assert_eq!(
            told("DK", buyer("DE", None, VatStatus::Unchecked)),
            Err(Refusal::VatNumberMissing { partner: "P".into() })
        );
        assert_eq!(
            told("DK", buyer("DE", Some("DE1"), VatStatus::Invalid)),
            Err(Refusal::VatNumberInvalid { partner: "P".into() })
        );
    }
}
