//! What the cells of each file say. Pure: other objects are still named by their external ids.

use billing_primitives::{BasisPoints, Currency, Date, ExchangeRate, Money, Month, Timestamp, parse_amount};

use super::table::{BadCell, Cells};
use crate::catalog::plans::NewPlan;
use crate::organizations::{NewOrganization, TermsFrom};
use crate::partners::{PartnerProfile, VatCheck};
use crate::rates::NewRate;
use crate::subscriptions::Seats;
use crate::tiers::NewTier;
use crate::vat::VatStatus;

/// A partner whose parent is named still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerRow {
    /// Without the parent.
    pub profile: PartnerProfile,
    pub parent: Option<String>,
    /// None: nobody has checked the VAT number, or the row does not say.
    pub check: Option<VatCheck>,
}

/// One price of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PriceRow {
    pub price_list: String,
    pub currency: Currency,
    pub partner: Option<String>,
    pub effective_on: Date,
    pub plan: String,
    pub unit_price: Money,
}

/// One tier of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TierRow {
    pub effective_from: Month,
    pub grace_months: i32,
    pub indicative: bool,
    pub tier: NewTier,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerRow {
    pub external_id: String,
    pub name: String,
    pub country: Option<String>,
    /// None: direct.
    pub partner: Option<String>,
    pub owned_from: Date,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionRow {
    pub external_id: String,
    pub customer: String,
    pub plan: String,
    pub starts_on: Date,
    pub ends_on: Option<Date>,
    pub seats: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeatChangeRow {
    pub external_id: String,
    pub subscription: String,
    pub effective_on: Date,
    pub seats: Seats,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetailPriceRow {
    pub partner: String,
    pub plan: String,
    pub customer: Option<String>,
    pub effective_on: Date,
    pub unit_price: Money,
}

/// # Errors
/// The first cell that cannot be read; as all functions here.
pub fn organization(cells: &Cells<'_>) -> Result<NewOrganization, BadCell> {
    Ok(NewOrganization {
        external_id: text(cells, "externalId")?,
        name: text(cells, "name")?,
        mode: cells.value("mode")?,
        time_zone: cells.value("timeZone")?,
        currency: cells.value("currency")?,
        country: text(cells, "country")?,
        vat_number: maybe(cells, "vatNumber"),
        registration_number: maybe(cells, "registrationNumber"),
        street: text(cells, "street")?,
        postal_code: text(cells, "postalCode")?,
        city: text(cells, "city")?,
        email: text(cells, "email")?,
        invoice_prefix: maybe(cells, "invoicePrefix"),
        credit_note_prefix: maybe(cells, "creditNotePrefix"),
        payment_terms_days: number(cells, "paymentTermsDays")?,
        payment_terms_from: cells.value("paymentTermsFrom")?,
        billing_from: cells.value("billingFrom")?,
        run_schedule: maybe(cells, "runSchedule"),
        payout_four_eyes: None,
    })
}

pub fn plan(cells: &Cells<'_>) -> Result<NewPlan, BadCell> {
    Ok(NewPlan {
        external_id: text(cells, "externalId")?,
        name: text(cells, "name")?,
        pricing: cells.value("pricing")?,
        counts_users: cells.given("countsUsers").map(|_| flag(cells, "countsUsers")).transpose()?,
    })
}

pub fn partner(cells: &Cells<'_>) -> Result<PartnerRow, BadCell> {
    let profile = PartnerProfile {
        external_id: text(cells, "externalId")?,
        legal_name: text(cells, "legalName")?,
        email: text(cells, "email")?,
        street: text(cells, "street")?,
        postal_code: text(cells, "postalCode")?,
        city: text(cells, "city")?,
        country: text(cells, "country")?,
        vat_number: maybe(cells, "vatNumber"),
        currency: cells.value("currency")?,
        payment_terms: payment_terms(cells)?,
        parent: None,
    };
    Ok(PartnerRow { profile, parent: maybe(cells, "parentExternalId"), check: vat_check(cells)? })
}

fn payment_terms(cells: &Cells<'_>) -> Result<Option<(i32, TermsFrom)>, BadCell> {
    let days = cells.given("paymentTermsDays").map(|_| number(cells, "paymentTermsDays")).transpose()?;
    let from = cells.optional("paymentTermsFrom")?;
    match (days, from) {
        (None, None) => Ok(None),
        (Some(days), Some(from)) => Ok(Some((days, from))),
        (Some(_), None) => Err(BadCell::new("paymentTermsFrom", "is empty, and paymentTermsDays is not")),
        (None, Some(_)) => Err(BadCell::new("paymentTermsDays", "is empty, and paymentTermsFrom is not")),
    }
}

/// A check has a time of its own: without one every import would be another check.
fn vat_check(cells: &Cells<'_>) -> Result<Option<VatCheck>, BadCell> {
    let status = cells.optional("vatNumberStatus")?.unwrap_or(VatStatus::Unchecked);
    let checked_at: Option<Timestamp> = cells.optional("vatNumberCheckedAt")?;
    let answer = maybe(cells, "vatNumberAnswer");
    match (status, checked_at) {
        (VatStatus::Unchecked, None) => Ok(None),
        (VatStatus::Unchecked, Some(_)) => Err(BadCell::new("vatNumberStatus", "is unchecked, and yet it has a time")),
        (_, None) => Err(BadCell::new("vatNumberCheckedAt", "is empty, and vatNumberStatus says that it was checked")),
        (status, checked_at) => Ok(Some(VatCheck { status, checked_at, answer })),
    }
}

pub fn price(cells: &Cells<'_>) -> Result<PriceRow, BadCell> {
    let currency = cells.value("currency")?;
    Ok(PriceRow {
        price_list: text(cells, "priceListExternalId")?,
        currency,
        partner: maybe(cells, "partnerExternalId"),
        effective_on: cells.value("effectiveOn")?,
        plan: text(cells, "planExternalId")?,
        unit_price: amount(cells, "unitPrice", currency)?,
    })
}

pub fn tier(cells: &Cells<'_>) -> Result<TierRow, BadCell> {
    let discount = number(cells, "discountBps")?;
    Ok(TierRow {
        effective_from: cells.value("effectiveFrom")?,
        grace_months: number(cells, "graceMonths")?,
        indicative: flag(cells, "indicative")?,
        tier: NewTier {
            code: text(cells, "code")?,
            name: text(cells, "name")?,
            from_users: number(cells, "fromUsers")?,
            discount_bps: BasisPoints::new(discount).map_err(|error| BadCell::new("discountBps", error))?,
        },
    })
}

pub fn customer(cells: &Cells<'_>) -> Result<CustomerRow, BadCell> {
    Ok(CustomerRow {
        external_id: text(cells, "externalId")?,
        name: text(cells, "name")?,
        country: maybe(cells, "country"),
        partner: maybe(cells, "partnerExternalId"),
        owned_from: cells.value("ownedFrom")?,
    })
}

pub fn subscription(cells: &Cells<'_>) -> Result<SubscriptionRow, BadCell> {
    Ok(SubscriptionRow {
        external_id: text(cells, "externalId")?,
        customer: text(cells, "customerExternalId")?,
        plan: text(cells, "planExternalId")?,
        starts_on: cells.value("startsOn")?,
        ends_on: cells.optional("endsOn")?,
        seats: cells.given("seats").map(|_| number(cells, "seats")).transpose()?,
    })
}

pub fn seat_change(cells: &Cells<'_>) -> Result<SeatChangeRow, BadCell> {
    let seats = match (cells.given("quantity"), cells.given("delta")) {
        (Some(_), None) => Seats::Quantity(number(cells, "quantity")?),
        (None, Some(_)) => Seats::Delta(number(cells, "delta")?),
        (None, None) => return Err(BadCell::new("quantity", "is empty, and so is delta")),
        (Some(_), Some(_)) => return Err(BadCell::new("delta", "only one of quantity and delta may be given")),
    };
    Ok(SeatChangeRow {
        external_id: text(cells, "externalId")?,
        subscription: text(cells, "subscriptionExternalId")?,
        effective_on: cells.value("effectiveOn")?,
        seats,
    })
}

pub fn retail_price(cells: &Cells<'_>) -> Result<RetailPriceRow, BadCell> {
    let currency = cells.value("currency")?;
    Ok(RetailPriceRow {
        partner: text(cells, "partnerExternalId")?,
        plan: text(cells, "planExternalId")?,
        customer: maybe(cells, "customerExternalId"),
        effective_on: cells.value("effectiveOn")?,
        unit_price: amount(cells, "unitPrice", currency)?,
    })
}

pub fn exchange_rate(cells: &Cells<'_>) -> Result<NewRate, BadCell> {
    Ok(NewRate {
        date: cells.value("date")?,
        from: cells.value("from")?,
        to: cells.value("to")?,
        rate: cells.value::<ExchangeRate>("rate")?,
        source: text(cells, "source")?,
    })
}

fn text(cells: &Cells<'_>, column: &'static str) -> Result<String, BadCell> {
    cells.required(column).map(str::to_owned)
}

fn maybe(cells: &Cells<'_>, column: &'static str) -> Option<String> {
    cells.given(column).map(str::to_owned)
}

fn amount(cells: &Cells<'_>, column: &'static str, currency: Currency) -> Result<Money, BadCell> {
    parse_amount(cells.required(column)?, currency).map_err(|error| BadCell::new(column, error))
}

fn number<T: TryFrom<i64>>(cells: &Cells<'_>, column: &'static str) -> Result<T, BadCell> {
    let number = cells.required(column)?.parse::<i64>().ok().and_then(|number| T::try_from(number).ok());
    number.ok_or_else(|| BadCell::new(column, "is not a whole number, or too large"))
}

fn flag(cells: &Cells<'_>, column: &'static str) -> Result<bool, BadCell> {
    match cells.required(column)? {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(BadCell::new(column, "is neither true nor false")),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;
    use std::io::Cursor;

    use super::*;
    use crate::import::files::File;
    use crate::import::table::Table;

    /// Reads one row whose cells stand in the order of the file's columns.
    fn read<T>(file: File, row: &str, parse: fn(&Cells<'_>) -> Result<T, BadCell>) -> Result<T, BadCell> {
        let text = format!("{}\n{row}\n", file.columns().join(","));
        let mut table = Table::open(file, Box::new(Cursor::new(text)), 0).unwrap().unwrap();
        let line = table.next().unwrap().unwrap();
        parse(&line.cells().unwrap())
    }

    #[track_caller]
    fn refused<T: Debug>(read: Result<T, BadCell>, column: &'static str) {
        assert_eq!(read.unwrap_err().column, Some(column));
    }

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn organizations() {
        let row = "o,O A/S,LIVE,Europe/Copenhagen,DKK,DK,DK1,1,\"Vej 1, 2. sal\",8000,By,f@o.example,SR-,,30,ISSUE_DATE,2025-10,";
        let told = read(File::Organization, row, organization).unwrap();
        assert_eq!((told.street.as_str(), told.payment_terms_days), ("Vej 1, 2. sal", 30));
        assert_eq!(
            (told.invoice_prefix.as_deref(), told.credit_note_prefix, told.run_schedule),
            (Some("SR-"), None, None)
        );
        for (good, bad, column) in [
            ("LIVE", "live", "mode"),
            ("Europe/Copenhagen", "CEST2", "timeZone"),
            (",30,", ",30.5,", "paymentTermsDays"),
            (",30,", ",99999999999,", "paymentTermsDays"),
            ("2025-10", "2025-10-01", "billingFrom"),
            ("o,", ",", "externalId"),
        ] {
            refused(read(File::Organization, &row.replacen(good, bad, 1), organization), column);
        }
    }

    #[test]
    fn plans() {
        let told = |row| read(File::Plans, row, plan).map(|plan| plan.counts_users);
        assert_eq!(told("basis,Basis,PER_SEAT,true"), Ok(Some(true)));
        assert_eq!(told("basis,Basis,PER_SEAT,"), Ok(None));
        refused(told("basis,Basis,PER_SEAT,yes"), "countsUsers");
        refused(told("basis,Basis,PER SEAT,true"), "pricing");
    }

    #[test]
    fn a_check_of_a_vat_number_has_its_time() {
        let told = |check: &str, rest: &str| {
            read(File::Partners, &format!("P-1,P ApS,p@p.example,S,1,C,DK,DK1,{check},DKK,{rest}"), partner)
        };
        let row = told("VALID,2025-09-22T09:14:07+02:00,valid", "14,END_OF_MONTH,P-2").unwrap();
        let check = row.check.unwrap();
        assert_eq!((check.status, check.answer.as_deref()), (VatStatus::Valid, Some("valid")));
        assert_eq!(check.checked_at.unwrap().to_string(), "2025-09-22T07:14:07Z");
        assert_eq!(
            (row.profile.payment_terms, row.parent.as_deref()),
            (Some((14, TermsFrom::EndOfMonth)), Some("P-2"))
        );
        for check in ["UNCHECKED,,", ",,"] {
            let row = told(check, ",,").unwrap();
            assert_eq!((row.check, row.profile.payment_terms, row.parent), (None, None, None));
        }
        refused(told("VALID,,", ",,"), "vatNumberCheckedAt");
        refused(told("UNCHECKED,2025-09-22T09:14:07Z,", ",,"), "vatNumberStatus");
        refused(told("VALID,2025-09-22,", ",,"), "vatNumberCheckedAt");
        refused(told(",,", "14,,"), "paymentTermsFrom");
        refused(told(",,", ",ISSUE_DATE,"), "paymentTermsDays");
    }

    #[test]
    fn prices() {
        let told = |row| read(File::Prices, row, price);
        assert_eq!(told("L,DKK,,2025-01-01,pro,149.50").unwrap().unit_price, Money::new(14_950, Currency::DKK));
        assert_eq!(told("L,DKK,P-1,2025-01-01,pro,149").unwrap().partner.as_deref(), Some("P-1"));
        for (row, column) in [
            ("L,DKK,,2025-01-01,pro,149.005", "unitPrice"),
            ("L,DKK,,2025-01-01,pro,", "unitPrice"),
            ("L,KR,,2025-01-01,pro,149", "currency"),
            ("L,DKK,,01-01-2025,pro,149", "effectiveOn"),
            (",DKK,,2025-01-01,pro,149", "priceListExternalId"),
        ] {
            refused(told(row), column);
        }
        let retail = read(File::RetailPrices, "P-1,pro,,2025-10-01,EUR,12.50", retail_price).unwrap();
        assert_eq!((retail.customer, retail.unit_price.minor), (None, 1_250));
    }

    #[test]
    fn tiers() {
        let told = |row| read(File::Tiers, row, tier);
        let row = told("2025-10,PREMIER,Premier,1000,4000,1,false").unwrap();
        assert_eq!((row.tier.from_users, row.tier.discount_bps.get(), row.indicative), (1000, 4000, false));
        refused(told("2025-10-01,PREMIER,Premier,1000,4000,1,false"), "effectiveFrom");
        refused(told("2025-10,PREMIER,Premier,1000,10001,1,false"), "discountBps");
        refused(told("2025-10,PREMIER,Premier,1000,4000,1,FALSE"), "indicative");
    }

    #[test]
    fn customers_and_their_subscriptions() {
        let row = read(File::Customers, "C-1,\"Bager, Bro\",,,2025-02-01", customer).unwrap();
        assert_eq!((row.name.as_str(), row.country, row.partner), ("Bager, Bro", None, None));
        let row = read(File::Subscriptions, "S-1,C-1,pro,2025-02-01,2026-06-16,14", subscription).unwrap();
        assert_eq!((row.ends_on, row.seats), (Some(day("2026-06-16")), Some(14)));
        refused(read(File::Subscriptions, "S-1,C-1,pro,2025-02-01,never,14", subscription), "endsOn");
        refused(read(File::Subscriptions, "S-1,C-1,pro,2025-02-01,,1.5", subscription), "seats");
    }

    #[test]
    fn a_seat_change_is_a_quantity_or_a_delta() {
        let told = |row| read(File::SeatChanges, row, seat_change).map(|row| row.seats);
        assert_eq!(told("SC-1,S-1,2025-10-02,143,"), Ok(Seats::Quantity(143)));
        assert_eq!(told("SC-1,S-1,2025-10-02,,-2"), Ok(Seats::Delta(-2)));
        refused(told("SC-1,S-1,2025-10-02,,"), "quantity");
        refused(told("SC-1,S-1,2025-10-02,1,2"), "delta");
        refused(told("SC-1,S-1,2025-02-30,1,"), "effectiveOn");
    }

    #[test]
    fn exchange_rates() {
        let told = |row| read(File::ExchangeRates, row, exchange_rate);
        assert_eq!(told("2025-10-29,EUR,DKK,7.4671,ECB").unwrap().rate.to_string(), "7.4671");
        refused(told("2025-10-29,EUR,DKK,\"7,4671\",ECB"), "rate");
        refused(told("2025-10-29,EUR,DKK,7.4671,"), "source");
    }
}
