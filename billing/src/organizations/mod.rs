//! Organizations: the sellers, each behind its own wall.

pub mod public;
pub mod rules;
pub(crate) mod store;

use billing_db::{Conn, Constraint, DbError, directory};
use billing_primitives::{Currency, Date, Month, OrganizationId, TimeZone, Timestamp, text_enum};
use diesel::prelude::*;

use crate::caller::{Actor, Caller};
use crate::error::{Error, Refusal};
use crate::put::Put;
use crate::{Billing, audit};

text_enum! {
    /// A test organization is a sandbox of its own; the wall between organizations separates the modes, too.
    pub enum Mode { Live = "LIVE", Test = "TEST" }
}

text_enum! {
    /// What the days of the payment terms are counted from.
    pub enum TermsFrom { IssueDate = "ISSUE_DATE", EndOfMonth = "END_OF_MONTH" }
}

/// The seller.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::organization)]
pub struct Organization {
    #[diesel(column_name = organization_id)]
    pub id: OrganizationId,
    pub external_id: String,
    pub name: String,
    pub mode: Mode,
    pub time_zone: TimeZone,
    /// Currency of the books.
    pub currency: Currency,
    pub country: String,
    pub vat_number: Option<String>,
    pub registration_number: Option<String>,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub email: String,
    pub invoice_prefix: String,
    pub credit_note_prefix: String,
    pub payment_terms_days: i32,
    pub payment_terms_from: TermsFrom,
    /// First month that is billed.
    pub billing_from: Month,
    /// Cron of the monthly draft run in the organization's zone; none: by hand only.
    pub run_schedule: Option<String>,
    /// A payout run is approved by somebody other than its maker.
    pub payout_four_eyes: bool,
    pub created_at: Timestamp,
    /// Names the organization on its own site; no secret. None: it was made before there were any.
    pub publishable_key: Option<String>,
    /// Host name whose public requests mean this organization.
    pub public_host: Option<String>,
}

/// What is needed to begin selling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrganization {
    pub external_id: String,
    pub name: String,
    pub mode: Mode,
    pub time_zone: TimeZone,
    pub currency: Currency,
    pub country: String,
    pub vat_number: Option<String>,
    pub registration_number: Option<String>,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub email: String,
    pub invoice_prefix: Option<String>,
    pub credit_note_prefix: Option<String>,
    pub payment_terms_days: i32,
    pub payment_terms_from: TermsFrom,
    pub billing_from: Month,
    pub run_schedule: Option<String>,
    /// None: as it was, and no for a new one.
    pub payout_four_eyes: Option<bool>,
}

/// Makes an organization; only the operator of the installation can.
///
/// # Errors
/// [`Refusal::Invalid`] with the field, [`Refusal::ExternalIdTaken`].
pub async fn create(billing: &Billing, input: &NewOrganization) -> Result<Organization, Error> {
    let id = OrganizationId::new();
    let made = billing.db.scoped(id, async |conn| add(conn, billing, id, input).await).await;
    made.map_err(|error| match error.refused_by() {
        Some(Constraint::Unique(_)) => taken(input).into(),
        _ => error,
    })
}

fn taken(input: &NewOrganization) -> Refusal {
    Refusal::ExternalIdTaken { what: "organization", external_id: input.external_id.clone() }
}

/// Makes the organization inside a transaction that is scoped to its id already.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    id: OrganizationId,
    input: &NewOrganization,
) -> Result<Organization, Error> {
    let now = billing.clock.now(conn).await?;
    let key = rules::publishable_key(input.mode, rand::random());
    let organization = Organization { publishable_key: Some(key.clone()), ..rules::organization(id, input, now)? };
    if directory::find(conn, directory::Kind::Organization, &organization.external_id).await?.is_some() {
        return Err(taken(input).into());
    }
    directory::add(conn, directory::Kind::Organization, &organization.external_id, id).await?;
    directory::add(conn, directory::Kind::PublishableKey, &key, id).await?;
    store::insert(conn, &organization).await?;
    let caller = Caller { organization: id, actor: Actor::Operator, key: None };
    audit::record(conn, &caller, now, "organization.create", id, serde_json::json!({ "name": organization.name }))
        .await?;
    Ok(organization)
}

/// Makes the organization or updates it, inside a transaction that is scoped to its id.
///
/// # Errors
/// As [`create`]; [`Refusal::DiffersFromRecorded`] for another external id, mode, time zone, currency or first month:
/// what stands was computed from these.
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    id: OrganizationId,
    input: &NewOrganization,
) -> Result<Put<OrganizationId>, Error> {
    let Some(known) = store::get(conn, id).await? else {
        return Ok(Put::Made(add(conn, billing, id, input).await?.id));
    };
    // Locked for a change alone: the lock holds off runs.
    if rules::changed(&known, input)? == known {
        return Ok(Put::Unchanged(id));
    }
    let before = store::lock(conn, id).await?.ok_or_else(|| Refusal::not_found("organization", "organization", id))?;
    let after = rules::changed(&before, input)?;
    store::update(conn, &after).await?;
    let now = billing.clock.now(conn).await?;
    let details = serde_json::json!({ "before": before, "after": after });
    audit::record(conn, &Caller::operator(id), now, "organization.update", id, details).await?;
    Ok(Put::Changed(id))
}

/// # Errors
/// [`Refusal::NotFound`].
pub async fn get(billing: &Billing, id: OrganizationId) -> Result<Organization, Error> {
    billing.db.read(id, async |conn| current(conn, id).await).await
}

/// The organization of a transaction that is scoped to it.
pub(crate) async fn current(conn: &mut Conn, id: OrganizationId) -> Result<Organization, Error> {
    store::get(conn, id).await?.ok_or_else(|| Refusal::not_found("organization", "organization", id).into())
}

/// Locks the organization to publish a price list or a tier table from `day` on.
///
/// # Errors
/// [`Refusal::MonthFinalized`] when the day lies in a month that is finalized for some partner, or before it.
pub(crate) async fn lock_to_publish(conn: &mut Conn, id: OrganizationId, day: Date) -> Result<Organization, Error> {
    let organization = store::lock(conn, id).await?;
    let organization = organization.ok_or_else(|| Refusal::not_found("organization", "organization", id))?;
    match crate::invoicing::last_finalized_month(conn, id).await? {
        Some(month) if day.month() <= month => Err(Refusal::MonthFinalized { month: day.month() }.into()),
        _ => Ok(organization),
    }
}

/// The organization, held against publishers of prices and tiers until the transaction ends.
///
/// # Errors
/// [`Refusal::NotFound`].
pub(crate) async fn share(conn: &mut Conn, id: OrganizationId) -> Result<Organization, Error> {
    store::share(conn, id).await?.ok_or_else(|| Refusal::not_found("organization", "organization", id).into())
}

/// External ids and ids of all organizations: for the operator and the scheduler, who see no rows of theirs.
///
/// # Errors
/// Faults of the database.
pub async fn directory(billing: &Billing) -> Result<Vec<(String, OrganizationId)>, Error> {
    billing.db.unscoped(async |conn| Ok(directory::organizations(conn).await?)).await
}

/// Finds an organization by its external id or its id.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn find(billing: &Billing, name: &str) -> Result<OrganizationId, Error> {
    let known = directory(billing).await?;
    known
        .into_iter()
        .find(|(external_id, id)| external_id == name || id.to_string() == name)
        .map(|(_, id)| id)
        .ok_or_else(|| Refusal::not_found("organization", "organization", name).into())
}

/// The calendar day it is for the organization.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn today(conn: &mut Conn, billing: &Billing, organization: &Organization) -> Result<Date, Error> {
    let now = billing.clock.now(conn).await.map_err(DbError::from)?;
    Ok(now.date_in(&organization.time_zone))
}
