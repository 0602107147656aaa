//! Partners: billing entities with their VAT number and its check, terms and parent.

pub mod rules;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{Currency, Date, OrganizationId, PartnerId, Timestamp, text_enum};
use diesel::prelude::*;

use crate::attribution::codes;
use crate::caller::Caller;
use crate::commissions::again;
use crate::error::{Error, Refusal};
use crate::organizations::TermsFrom;
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::vat::VatStatus;
use crate::{Applied, Billing, audit, organizations};

text_enum! {
    pub enum PartnerStatus { Active = "ACTIVE", Suspended = "SUSPENDED", Terminated = "TERMINATED" }
}

/// A billing entity that sells on, refers customers, or both.
#[derive(
    Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, AsChangeset, serde::Serialize, serde::Deserialize,
)]
#[diesel(table_name = billing_db::schema::partner, primary_key(organization_id, id), treat_none_as_null = true)]
pub struct Partner {
    pub organization_id: OrganizationId,
    pub id: PartnerId,
    pub external_id: String,
    pub legal_name: String,
    pub email: String,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub vat_number: Option<String>,
    pub vat_status: VatStatus,
    pub vat_checked_at: Option<Timestamp>,
    pub vat_answer: Option<String>,
    pub currency: Currency,
    /// None: the organization's terms.
    pub payment_terms_days: Option<i32>,
    pub payment_terms_from: Option<TermsFrom>,
    pub parent_partner_id: Option<PartnerId>,
    pub status: PartnerStatus,
    pub terminated_from: Option<Date>,
    pub created_at: Timestamp,
}

/// When and how a VAT number was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VatCheck {
    pub status: VatStatus,
    pub checked_at: Option<Timestamp>,
    pub answer: Option<String>,
}

/// Everything about a partner that its maker may say; an update replaces all of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartnerProfile {
    pub external_id: String,
    pub legal_name: String,
    pub email: String,
    pub street: String,
    pub postal_code: String,
    pub city: String,
    pub country: String,
    pub vat_number: Option<String>,
    pub currency: Currency,
    pub payment_terms: Option<(i32, TermsFrom)>,
    pub parent: Option<PartnerId>,
}

/// Makes a partner.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::ExternalIdTaken`], [`Refusal::NotFound`] (parent).
pub async fn create(billing: &Billing, caller: &Caller, input: &PartnerProfile) -> Result<Applied<Partner>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add(conn, billing, caller, input).await)
        .await
}

/// As [`create`], inside a transaction.
pub(crate) async fn add(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &PartnerProfile,
) -> Result<Partner, Error> {
    let now = billing.clock.now(conn).await?;
    let partner = rules::partner(caller.organization, PartnerId::new(), input, now)?;
    if store::by_external_id(conn, caller.organization, &partner.external_id).await?.is_some() {
        return Err(Refusal::ExternalIdTaken { what: "partner", external_id: partner.external_id }.into());
    }
    check_parent(conn, &partner).await?;
    store::insert(conn, &partner).await?;
    if partner.parent_partner_id.is_some() {
        store::note_first_parent(conn, &partner).await?;
    }
    codes::add_default(conn, &partner, now).await?;
    audit::record(
        conn,
        caller,
        now,
        "partner.create",
        partner.id,
        serde_json::json!({ "externalId": partner.external_id }),
    )
    .await?;
    Ok(partner)
}

/// Replaces the profile. A new VAT number is unchecked again; documents that stand keep what they say.
///
/// # Errors
/// As [`create`]; [`Refusal::PartnerHasDocuments`] when the currency changes after documents were finalized.
pub async fn update(
    billing: &Billing,
    caller: &Caller,
    id: PartnerId,
    input: &PartnerProfile,
) -> Result<Applied<Partner>, Error> {
    let work = async |conn: &mut Conn| Ok(change(conn, billing, caller, id, input).await?.0);
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`update`], inside a transaction; also says whether anything changed.
pub(crate) async fn change(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: PartnerId,
    input: &PartnerProfile,
) -> Result<(Partner, bool), Error> {
    let now = billing.clock.now(conn).await?;
    let before = lock(conn, caller.organization, id).await?;
    let after = rules::changed(&before, input)?;
    if after == before {
        return Ok((before, false));
    }
    if after.currency != before.currency && store::has_documents(conn, caller.organization, id).await? {
        return Err(Refusal::PartnerHasDocuments { partner: before.external_id }.into());
    }
    if after.external_id != before.external_id
        && store::by_external_id(conn, caller.organization, &after.external_id).await?.is_some()
    {
        return Err(Refusal::ExternalIdTaken { what: "partner", external_id: after.external_id }.into());
    }
    if after.parent_partner_id != before.parent_partner_id {
        check_parent(conn, &after).await?;
    }
    store::update(conn, &after).await?;
    if after.parent_partner_id != before.parent_partner_id {
        let zone = organizations::current(conn, caller.organization).await?.time_zone;
        store::note_parent(conn, &after, now.date_in(&zone), now).await?;
        // What was paid today climbs another chain now.
        again::enqueue_of_partner(conn, caller.organization, id, "partner.update").await?;
    }
    audit::record(conn, caller, now, "partner.update", id, serde_json::json!({ "before": before, "after": after }))
        .await?;
    Ok((after, true))
}

/// Makes the partner or updates its profile.
///
/// # Errors
/// As [`create`] and [`update`].
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &PartnerProfile,
) -> Result<Put<PartnerId>, Error> {
    let Some(known) = store::by_external_id(conn, caller.organization, &input.external_id).await? else {
        return Ok(Put::Made(add(conn, billing, caller, input).await?.id));
    };
    let (partner, changed) = change(conn, billing, caller, known.id, input).await?;
    Ok(if changed { Put::Changed(partner.id) } else { Put::Unchanged(partner.id) })
}

/// Records what a check of the VAT number said.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Invalid`] when there is no number to check.
pub async fn record_vat_check(
    billing: &Billing,
    caller: &Caller,
    id: PartnerId,
    check: &VatCheck,
) -> Result<Applied<Partner>, Error> {
    let work = async |conn: &mut Conn| Ok(note_check(conn, billing, caller, id, check).await?.0);
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`record_vat_check`], inside a transaction; also says whether anything changed.
pub(crate) async fn note_check(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: PartnerId,
    check: &VatCheck,
) -> Result<(Partner, bool), Error> {
    let now = billing.clock.now(conn).await?;
    let before = lock(conn, caller.organization, id).await?;
    let after = rules::checked(&before, check, now)?;
    let changed = after != before;
    if changed {
        store::update(conn, &after).await?;
        let details = serde_json::json!({ "number": after.vat_number, "status": after.vat_status });
        audit::record(conn, caller, now, "partner.record_vat_check", id, details).await?;
    }
    Ok((after, changed))
}

/// Suspends, reactivates or (from a day on) terminates a partner.
///
/// # Errors
/// [`Refusal::PartnerOwnsCustomers`] when it still owns customers on the day of its termination.
pub async fn set_status(
    billing: &Billing,
    caller: &Caller,
    id: PartnerId,
    status: PartnerStatus,
    from: Option<Date>,
) -> Result<Applied<Partner>, Error> {
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        let before = lock(conn, caller.organization, id).await?;
        let after = rules::with_status(&before, status, from)?;
        if let Some(day) = after.terminated_from
            && store::owns_customers(conn, caller.organization, id, day).await?
        {
            return Err(Refusal::PartnerOwnsCustomers { partner: after.external_id }.into());
        }
        if after != before {
            store::update(conn, &after).await?;
            if after.terminated_from != before.terminated_from {
                again::enqueue_of_partner(conn, caller.organization, id, "partner.set_status").await?;
            }
            let details = serde_json::json!({ "status": after.status, "from": after.terminated_from });
            audit::record(conn, caller, now, "partner.set_status", id, details).await?;
        }
        Ok(after)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[PartnerId]) -> Result<Vec<Partner>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_ids(conn, organization, ids).await?)).await
}

/// # Errors
/// Faults of the database.
pub async fn by_external_id(
    billing: &Billing,
    organization: OrganizationId,
    external_id: &str,
) -> Result<Option<Partner>, Error> {
    billing.db.read(organization, async |conn| Ok(store::by_external_id(conn, organization, external_id).await?)).await
}

/// A page of partners in the order of their external ids.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<String>,
) -> Result<Slice<Partner>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::list(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// Locks the partner's row: what finalizes its months and what changes its past take turns here.
///
/// # Errors
/// [`Refusal::NotFound`].
pub(crate) async fn lock(conn: &mut Conn, organization: OrganizationId, id: PartnerId) -> Result<Partner, Error> {
    store::lock(conn, organization, id).await?.ok_or_else(|| Refusal::not_found("partner", "partner", id).into())
}

async fn check_parent(conn: &mut Conn, partner: &Partner) -> Result<(), Error> {
    let Some(parent) = partner.parent_partner_id else { return Ok(()) };
    if store::by_ids(conn, partner.organization_id, &[parent]).await?.is_empty() {
        return Err(Refusal::not_found("parent", "partner", parent).into());
    }
    store::take_turns_at_parents(conn, partner.organization_id).await?;
    if store::ancestors(conn, partner.organization_id, parent).await?.contains(&partner.id) {
        return Err(Refusal::ParentLoop { partner: partner.external_id.clone() }.into());
    }
    Ok(())
}
