//! Applications: somebody asks to become a partner. One that is decided stays as it was decided.

use billing_db::{Conn, Constraint};
use billing_primitives::{ApplicationId, Currency, Date, OrganizationId, PartnerId, ProgramId, Timestamp, text_enum};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::enrollments::{self, NewEnrollment};
use super::terms::{Overrides, SettlementMode};
use super::{rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::organizations::TermsFrom;
use crate::organizations::rules::text;
use crate::page::{Page, Slice};
use crate::partners::{self, PartnerProfile};
use crate::{Applied, Billing, audit};

text_enum! {
    pub enum ApplicationStatus { Pending = "PENDING", Approved = "APPROVED", Rejected = "REJECTED" }
}

/// Somebody asks to become a partner.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = billing_db::schema::application, primary_key(organization_id, id), treat_none_as_null = true)]
pub struct Application {
    pub organization_id: OrganizationId,
    pub id: ApplicationId,
    pub program_id: ProgramId,
    pub legal_name: String,
    pub contact_name: String,
    pub email: String,
    /// Two capital letters.
    pub country: String,
    pub website: Option<String>,
    pub message: String,
    /// Becomes the parent of the partner that is made of it.
    pub referred_by_partner_id: Option<PartnerId>,
    pub status: ApplicationStatus,
    /// Why it was rejected.
    pub reason: Option<String>,
    /// The actor, as the audit log names it.
    pub decided_by: Option<String>,
    pub decided_at: Option<Timestamp>,
    /// The partner that was made of it.
    pub partner_id: Option<PartnerId>,
    pub created_at: Timestamp,
}

/// What an applicant says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewApplication {
    pub program: ProgramId,
    pub legal_name: String,
    pub contact_name: String,
    pub email: String,
    pub country: String,
    pub website: Option<String>,
    pub message: String,
    pub referred_by: Option<PartnerId>,
}

/// What an application does not say and its partner needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Approval {
    pub application: ApplicationId,
    /// Of the partner.
    pub external_id: String,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub vat_number: Option<String>,
    pub currency: Currency,
    pub payment_terms: Option<(i32, TermsFrom)>,
    /// Today unless said.
    pub enrolled_from: Option<Date>,
    pub settlement: SettlementMode,
    pub overrides: Overrides,
}

/// Records an application.
///
/// # Errors
/// [`Refusal::Invalid`] with the field, [`Refusal::NotFound`] (programme, partner that referred it),
/// [`Refusal::ApplicationPending`] when the same address waits for an answer already.
pub async fn submit(billing: &Billing, caller: &Caller, input: &NewApplication) -> Result<Applied<Application>, Error> {
    let made = billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await;
    made.map_err(|error| match error.refused_by() {
        Some(Constraint::Unique("application_pending")) => pending(&input.email).into(),
        _ => error,
    })
}

/// As [`submit`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewApplication,
) -> Result<Application, Error> {
    let organization = caller.organization;
    let now = billing.clock.now(conn).await?;
    let application = rules::application(organization, ApplicationId::new(), input, now)?;
    super::find(conn, organization, input.program).await?;
    if let Some(partner) = input.referred_by
        && partners::store::by_ids(conn, organization, &[partner]).await?.is_empty()
    {
        return Err(Refusal::not_found("referredBy", "partner", partner).into());
    }
    if store::is_pending(conn, organization, application.program_id, &application.email).await? {
        return Err(pending(&application.email).into());
    }
    store::insert_application(conn, &application).await?;
    audit::record(conn, caller, now, "application.submit", application.id, json!({ "email": application.email }))
        .await?;
    Ok(application)
}

fn pending(email: &str) -> Refusal {
    Refusal::ApplicationPending { email: email.to_owned() }
}

/// Makes a partner of the applicant, below the one that referred it, and enrols it.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::ApplicationDecided`]; as [`partners::create`] and [`enrollments::enroll`].
pub async fn approve(billing: &Billing, caller: &Caller, input: &Approval) -> Result<Applied<Application>, Error> {
    let work = async |conn: &mut Conn| {
        let before = lock_pending(conn, caller.organization, input.application).await?;
        let profile = PartnerProfile {
            external_id: input.external_id.clone(),
            legal_name: before.legal_name.clone(),
            email: before.email.clone(),
            street: input.street.clone(),
            postal_code: input.postal_code.clone(),
            city: input.city.clone(),
            country: before.country.clone(),
            vat_number: input.vat_number.clone(),
            currency: input.currency,
            payment_terms: input.payment_terms,
            parent: before.referred_by_partner_id,
        };
        let partner = partners::add(conn, billing, caller, &profile).await?;
        let enrollment = NewEnrollment {
            program: before.program_id,
            partner: partner.id,
            enrolled_from: input.enrolled_from,
            settlement: input.settlement,
            overrides: input.overrides.clone(),
        };
        enrollments::add(conn, billing, caller, &enrollment).await?;
        let approved = Application { partner_id: Some(partner.id), ..before };
        decide(conn, billing, caller, approved, ApplicationStatus::Approved).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Says no, with a reason.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::ApplicationDecided`], [`Refusal::Invalid`] (reason).
pub async fn reject(
    billing: &Billing,
    caller: &Caller,
    id: ApplicationId,
    reason: &str,
) -> Result<Applied<Application>, Error> {
    let work = async |conn: &mut Conn| {
        let before = lock_pending(conn, caller.organization, id).await?;
        let rejected = Application { reason: Some(text("reason", reason)?), ..before };
        decide(conn, billing, caller, rejected, ApplicationStatus::Rejected).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn lock_pending(conn: &mut Conn, organization: OrganizationId, id: ApplicationId) -> Result<Application, Error> {
    let known = store::lock_application(conn, organization, id).await?;
    let application = known.ok_or_else(|| Refusal::not_found("application", "application", id))?;
    match application.status {
        ApplicationStatus::Pending => Ok(application),
        decided => Err(Refusal::ApplicationDecided { status: decided.as_str() }.into()),
    }
}

async fn decide(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    application: Application,
    status: ApplicationStatus,
) -> Result<Application, Error> {
    let now = billing.clock.now(conn).await?;
    let decided =
        Application { status, decided_by: Some(caller.actor.to_string()), decided_at: Some(now), ..application };
    store::update_application(conn, &decided).await?;
    let action = match status {
        ApplicationStatus::Approved => "application.approve",
        _ => "application.reject",
    };
    let details = json!({ "partner": decided.partner_id, "reason": decided.reason });
    audit::record(conn, caller, now, action, decided.id, details).await?;
    Ok(decided)
}

/// A page of applications, the newest first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<ApplicationId>,
    status: Option<ApplicationStatus>,
) -> Result<Slice<Application>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(store::applications(conn, organization, page, status).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[ApplicationId],
) -> Result<Vec<Application>, Error> {
    billing.db.read(organization, async |conn| Ok(store::applications_by_ids(conn, organization, ids).await?)).await
}
