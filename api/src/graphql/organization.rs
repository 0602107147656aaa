//! The caller's organization.

use async_graphql::{Context, Enum, ID, Object, Result, SimpleObject};
use billing::organizations;

use super::scalars::{Currency, DateTime, Month, TimeZone};
use super::scope::Scope;

/// Whether documents are meant, or tried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "organizations::Mode")]
pub enum Mode {
    /// Real documents and real money.
    Live,
    /// A sandbox of its own: its numbers begin with `TEST-`.
    Test,
}

/// What the days of payment terms are counted from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "organizations::TermsFrom")]
pub enum TermsFrom {
    /// From the invoice's issue date.
    IssueDate,
    /// From the last day of the month of issue.
    EndOfMonth,
}

/// The seller: it invoices its partners.
#[derive(Debug, Clone, SimpleObject)]
pub struct Organization {
    /// The global id.
    pub id: ID,
    /// What other systems call it.
    pub external_id: String,
    /// The legal name, as it stands on documents.
    pub name: String,
    /// Whether its documents are meant, or tried out.
    pub mode: Mode,
    /// The zone whose calendar days are billed.
    pub time_zone: TimeZone,
    /// The currency of its books.
    pub currency: Currency,
    /// The country it is taxed in, two capital letters (Greece is `GR`).
    pub country: String,
    /// Its VAT number, beginning with the country.
    pub vat_number: Option<String>,
    /// Its number in the register of companies.
    pub registration_number: Option<String>,
    /// Street and house number.
    pub street: String,
    /// Postal code.
    pub postal_code: String,
    /// City.
    pub city: String,
    /// Where partners write to.
    pub email: String,
    /// What the numbers of its invoices begin with.
    pub invoice_prefix: String,
    /// What the numbers of its credit notes begin with.
    pub credit_note_prefix: String,
    /// Days until an invoice is due, for partners without terms of their own.
    pub payment_terms_days: i32,
    /// What these days are counted from.
    pub payment_terms_from: TermsFrom,
    /// The first month that is billed.
    pub billing_from: Month,
    /// When the monthly draft run starts, as a cron expression in its time zone; null: by hand only.
    pub run_schedule: Option<String>,
    /// When it was made.
    pub created_at: DateTime,
}

impl From<organizations::Organization> for Organization {
    fn from(row: organizations::Organization) -> Self {
        Organization {
            id: row.id.into(),
            external_id: row.external_id,
            name: row.name,
            mode: row.mode.into(),
            time_zone: row.time_zone.into(),
            currency: row.currency.into(),
            country: row.country,
            vat_number: row.vat_number,
            registration_number: row.registration_number,
            street: row.street,
            postal_code: row.postal_code,
            city: row.city,
            email: row.email,
            invoice_prefix: row.invoice_prefix,
            credit_note_prefix: row.credit_note_prefix,
            payment_terms_days: row.payment_terms_days,
            payment_terms_from: row.payment_terms_from.into(),
            billing_from: row.billing_from.into(),
            run_schedule: row.run_schedule,
            created_at: row.created_at.into(),
        }
    }
}

#[derive(Default)]
pub struct OrganizationQuery;

#[Object]
impl OrganizationQuery {
    /// The organization of the API key.
    async fn organization(&self, ctx: &Context<'_>) -> Result<Organization> {
        let scope = Scope::of(ctx)?;
        Ok(scope.need(scope.organization()).await?.into())
    }
}
