//! Applications: somebody asks to become a partner.

use async_graphql::{ComplexObject, Context, Enum, ID, InputObject, Object, Result, SimpleObject};
use billing::Refusal;
use billing::programs::{self, applications};
use billing_primitives::{PartnerId, ProgramId};

use super::connection::{Connection, List};
use super::organization::TermsFrom;
use super::partners::{Partner, payment_terms};
use super::program_terms::{OverridesInput, SettlementMode, overrides, place_overrides};
use super::programs::Program;
use super::scalars::{Currency, Date, DateTime};
use super::scope::{Scope, id};
use crate::payloads;

/// What became of an application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "applications::ApplicationStatus")]
pub enum ApplicationStatus {
    /// Nobody has decided it.
    Pending,
    /// The applicant is a partner.
    Approved,
    /// The answer was no.
    Rejected,
}

/// Somebody asks to become a partner.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub struct Application {
    /// The global id.
    pub id: ID,
    /// The legal name of the applicant.
    pub legal_name: String,
    /// Who asks in its name.
    pub contact_name: String,
    /// Where the answer is sent.
    pub email: String,
    /// Its country, two capital letters.
    pub country: String,
    /// Its web address.
    pub website: Option<String>,
    /// What it says; may be empty.
    pub message: String,
    /// What became of it.
    pub status: ApplicationStatus,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// Who decided it, as the audit log names them.
    pub decided_by: Option<String>,
    /// When it was decided.
    pub decided_at: Option<DateTime>,
    /// When it came in.
    pub created_at: DateTime,
    #[graphql(skip)]
    program: ProgramId,
    #[graphql(skip)]
    referred_by: Option<PartnerId>,
    #[graphql(skip)]
    partner: Option<PartnerId>,
}

impl From<programs::Application> for Application {
    fn from(row: programs::Application) -> Self {
        Application {
            id: row.id.into(),
            legal_name: row.legal_name,
            contact_name: row.contact_name,
            email: row.email,
            country: row.country,
            website: row.website,
            message: row.message,
            status: row.status.into(),
            reason: row.reason,
            decided_by: row.decided_by,
            decided_at: row.decided_at.map(Into::into),
            created_at: row.created_at.into(),
            program: row.program_id,
            referred_by: row.referred_by_partner_id,
            partner: row.partner_id,
        }
    }
}

#[ComplexObject]
impl Application {
    /// The programme it asks for.
    async fn program(&self, ctx: &Context<'_>) -> Result<Program> {
        Ok(Scope::of(ctx)?.need(self.program).await?.into())
    }

    /// The partner that recruited it.
    async fn referred_by(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(partner) = self.referred_by else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(partner).await?.into()))
    }

    /// The partner that was made of it.
    async fn partner(&self, ctx: &Context<'_>) -> Result<Option<Partner>> {
        let Some(partner) = self.partner else { return Ok(None) };
        Ok(Some(Scope::of(ctx)?.need(partner).await?.into()))
    }
}

#[derive(Default)]
pub struct ApplicationQuery;

#[Object]
impl ApplicationQuery {
    /// Applications, the newest first.
    async fn applications(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Those of one status only.")] status: Option<ApplicationStatus>,
        #[graphql(desc = "Length of the page: 25 unless said, at most 100.")] first: Option<i32>,
        #[graphql(desc = "The `endCursor` of the page before.")] after: Option<String>,
    ) -> Result<Connection<Application>> {
        let scope = Scope::of(ctx)?;
        let list = List::of("applications", scope.organization(), first, after.as_deref())?;
        let status = status.map(Into::into);
        let slice = applications::list(&scope.billing, scope.organization(), &list.page, status).await?;
        list.connection(slice, |application| application.id)
    }
}

/// What an applicant says.
#[derive(Debug, Clone, InputObject)]
pub struct SubmitApplicationInput {
    /// The id of the programme.
    program: ID,
    /// The legal name of the applicant.
    legal_name: String,
    /// Who asks in its name.
    contact_name: String,
    /// Where the answer is sent.
    email: String,
    /// Its country, two capital letters.
    country: String,
    /// Its web address, beginning with https:// or http://.
    website: Option<String>,
    /// Up to 2000 characters.
    #[graphql(default)]
    message: String,
    /// The id of the partner that recruited it.
    referred_by: Option<ID>,
}

/// An application to approve, with what it does not say and its partner needs.
#[derive(Debug, Clone, InputObject)]
pub struct ApproveApplicationInput {
    /// The id of the application.
    application: ID,
    /// What other systems call the partner: 1 to 100 characters.
    external_id: String,
    /// Street and house number.
    street: String,
    /// Postal code.
    postal_code: String,
    /// City.
    city: String,
    /// Its VAT number, beginning with the country.
    vat_number: Option<String>,
    /// The currency of its documents.
    currency: Currency,
    /// Days until an invoice is due, 0 to 365; without them the organization's terms hold.
    payment_terms_days: Option<i32>,
    /// What these days are counted from; `ISSUE_DATE` unless said.
    payment_terms_from: Option<TermsFrom>,
    /// The first day on which it earns; today unless said.
    enrolled_from: Option<Date>,
    /// How it gets what it earns.
    #[graphql(default_with = "SettlementMode::Payout")]
    settlement: SettlementMode,
    /// What it earns otherwise than the programme says.
    overrides: Option<OverridesInput>,
}

impl ApproveApplicationInput {
    fn approval(self) -> Result<applications::Approval, Refusal> {
        Ok(applications::Approval {
            application: id("application", "application", &self.application)?,
            external_id: self.external_id,
            street: self.street,
            postal_code: self.postal_code,
            city: self.city,
            vat_number: self.vat_number,
            currency: self.currency.into(),
            payment_terms: payment_terms(self.payment_terms_days, self.payment_terms_from)?,
            enrolled_from: self.enrolled_from.map(Into::into),
            settlement: self.settlement.into(),
            overrides: overrides(self.overrides)?,
        })
    }
}

/// An application to reject.
#[derive(Debug, Clone, InputObject)]
pub struct RejectApplicationInput {
    /// The id of the application.
    application: ID,
    /// Why.
    reason: String,
}

payloads! {
    /// What an application came to.
    SubmitApplicationPayload {
        /// The pending application.
        application: Application as programs::Application
    }
    /// What approving an application came to.
    ApproveApplicationPayload {
        /// The application with its partner.
        application: Application as programs::Application
    }
    /// What rejecting an application came to.
    RejectApplicationPayload {
        /// The application as it is now.
        application: Application as programs::Application
    }
}

#[derive(Default)]
pub struct ApplicationMutation;

#[Object]
impl ApplicationMutation {
    /// Asks to become a partner. An address whose application is pending is refused.
    async fn submit_application(
        &self,
        ctx: &Context<'_>,
        input: SubmitApplicationInput,
    ) -> Result<SubmitApplicationPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let application = applications::NewApplication {
                program: id("program", "program", &input.program)?,
                legal_name: input.legal_name,
                contact_name: input.contact_name,
                email: input.email,
                country: input.country,
                website: input.website,
                message: input.message,
                referred_by: input.referred_by.map(|partner| id("referredBy", "partner", &partner)).transpose()?,
            };
            applications::submit(&scope.billing, &scope.caller, &application).await
        };
        scope.command(work).await
    }

    /// Makes a partner of the applicant, below the one that recruited it, and enrols it in the programme.
    async fn approve_application(
        &self,
        ctx: &Context<'_>,
        input: ApproveApplicationInput,
    ) -> Result<ApproveApplicationPayload> {
        let scope = Scope::of(ctx)?;
        let work = async { applications::approve(&scope.billing, &scope.caller, &input.approval()?).await };
        let mut payload: ApproveApplicationPayload = scope.command(work).await?;
        place_overrides(&mut payload.user_errors);
        Ok(payload)
    }

    /// Answers an application with no.
    async fn reject_application(
        &self,
        ctx: &Context<'_>,
        input: RejectApplicationInput,
    ) -> Result<RejectApplicationPayload> {
        let scope = Scope::of(ctx)?;
        let work = async {
            let application = id("application", "application", &input.application)?;
            applications::reject(&scope.billing, &scope.caller, application, &input.reason).await
        };
        scope.command(work).await
    }
}
