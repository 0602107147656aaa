//! The caller's organization.

use async_graphql::{Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::{Refusal, organizations};

use super::scalars::{Currency, DateTime, Month, TimeZone};
use super::scope::Scope;
use crate::payloads;

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
    /// Whether a payout run is approved by somebody other than its maker.
    pub payout_four_eyes: bool,
    /// When it was made.
    pub created_at: DateTime,
    /// Names it on its own site, where touches, registrations and leads come from; no secret. Null until one is rolled.
    pub publishable_key: Option<String>,
    /// The host name whose public requests mean it.
    pub public_host: Option<String>,
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
            payout_four_eyes: row.payout_four_eyes,
            created_at: row.created_at.into(),
            publishable_key: row.publishable_key,
            public_host: row.public_host,
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

/// The host name whose public requests shall mean the organization.
#[derive(Debug, Clone, InputObject)]
pub struct SetPublicHostInput {
    /// The host name, such as `partner.example.com`; without one, none does.
    host: Option<String>,
}

/// Another publishable key.
#[derive(Debug, Clone, InputObject)]
pub struct RollPublishableKeyInput {
    /// The key it has now names nobody afterwards: true says that this is meant.
    confirm: bool,
}

payloads! {
    /// What setting the host name came to.
    SetPublicHostPayload {
        /// The organization as it is now.
        organization: Organization as organizations::Organization
    }
    /// What rolling the key came to.
    RollPublishableKeyPayload {
        /// The organization as it is now.
        organization: Organization as organizations::Organization
    }
}

#[derive(Default)]
pub struct OrganizationMutation;

#[Object]
impl OrganizationMutation {
    /// Sets the host name whose public requests mean the organization, or takes it away.
    async fn set_public_host(&self, ctx: &Context<'_>, input: SetPublicHostInput) -> Result<SetPublicHostPayload> {
        let scope = Scope::of(ctx)?;
        scope.command(organizations::public::set_host(&scope.billing, &scope.caller, input.host.as_deref())).await
    }

    /// Gives the organization another publishable key; the one it had names nobody from now on.
    async fn roll_publishable_key(
        &self,
        ctx: &Context<'_>,
        input: RollPublishableKeyInput,
    ) -> Result<RollPublishableKeyPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            if !input.confirm {
                return Err(Refusal::invalid("confirm", "has to be true").into());
            }
            organizations::public::roll_publishable_key(&scope.billing, &scope.caller).await
        };
        scope.command(work).await
    }
}
