//! Pins: a partner's tier held by decision, with its reason. Finalized months stay as they are.

use std::collections::HashMap;

use billing_db::Conn;
use billing_primitives::{Month, OrganizationId, PartnerId, TierPinId, Timestamp};
use diesel::prelude::*;
use serde_json::json;

use super::{last_evaluations, rules, store};
use crate::caller::Caller;
use crate::error::{Error, Refusal, quoted};
use crate::organizations::rules::text;
use crate::page::{Page, Slice};
use crate::{Applied, Billing, audit, partners};

/// A tier held from month to month, both included; of two for one month the one made last holds.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, Insertable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::tier_pin)]
pub struct TierPin {
    pub organization_id: OrganizationId,
    pub id: TierPinId,
    pub partner_id: PartnerId,
    pub from_month: Month,
    /// None: until it is ended.
    pub through_month: Option<Month>,
    pub tier_code: String,
    pub reason: String,
    pub created_at: Timestamp,
}

/// A pin to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPin {
    pub partner: PartnerId,
    pub from_month: Month,
    /// Inclusive; none: until it is ended.
    pub through_month: Option<Month>,
    /// Code of the tier.
    pub tier: String,
    pub reason: String,
}

/// Pins a partner's tier.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::NotFound`] (partner), [`Refusal::TierUnknown`] when no table has the code,
/// [`Refusal::MonthFinalized`].
pub async fn pin(billing: &Billing, caller: &Caller, input: &NewPin) -> Result<Applied<TierPin>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| add_pin(conn, billing, caller, input).await)
        .await
}

async fn add_pin(conn: &mut Conn, billing: &Billing, caller: &Caller, input: &NewPin) -> Result<TierPin, Error> {
    let organization = caller.organization;
    let pin = TierPin {
        organization_id: organization,
        id: TierPinId::new(),
        partner_id: input.partner,
        from_month: input.from_month,
        through_month: input.through_month,
        tier_code: input.tier.clone(),
        reason: text("reason", &input.reason)?,
        created_at: billing.clock.now(conn).await?,
    };
    if !store::is_tier(conn, organization, &pin.tier_code).await? {
        return Err(Refusal::TierUnknown { code: quoted(&pin.tier_code) }.into());
    }
    let last = last_finalized(conn, organization, pin.partner_id).await?;
    rules::check_pin(pin.from_month, pin.through_month, last)?;
    store::insert_pin(conn, &pin).await?;
    audit::record(conn, caller, pin.created_at, "tier.pin", pin.id, json!(pin)).await?;
    Ok(pin)
}

/// Sets the last month of a pin, earlier or later than it was.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Invalid`] before its first month, [`Refusal::MonthFinalized`] when a finalized
/// month would be pinned otherwise than it was billed.
pub async fn end_pin(
    billing: &Billing,
    caller: &Caller,
    id: TierPinId,
    through_month: Month,
) -> Result<Applied<TierPin>, Error> {
    let work = async |conn: &mut Conn| move_pin_end(conn, billing, caller, id, through_month).await;
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

async fn move_pin_end(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: TierPinId,
    through_month: Month,
) -> Result<TierPin, Error> {
    let organization = caller.organization;
    let partner = find(conn, organization, id).await?.partner_id;
    let last = last_finalized(conn, organization, partner).await?;
    // Read again: under the partner's lock it stands still.
    let before = find(conn, organization, id).await?;
    let after = TierPin { through_month: Some(through_month), ..before.clone() };
    rules::check_pin_end(before.from_month, before.through_month, after.through_month, last)?;
    if after != before {
        store::update_pin_end(conn, &after).await?;
        let now = billing.clock.now(conn).await?;
        let details = json!({ "before": before.through_month, "after": after.through_month });
        audit::record(conn, caller, now, "tier.end_pin", id, details).await?;
    }
    Ok(after)
}

/// Codes of the tiers that are pinned in a month, for those of these partners that have a pin.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn pins_for(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
    month: Month,
) -> Result<HashMap<PartnerId, String>, Error> {
    Ok(store::pins_for(conn, organization, partners, month).await?.into_iter().collect())
}

/// A page of a partner's pins in the order in which they were made.
///
/// # Errors
/// Faults of the database.
pub async fn pins_of(
    billing: &Billing,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<TierPinId>,
) -> Result<Slice<TierPin>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::pins(conn, organization, partner, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn pins_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[TierPinId],
) -> Result<Vec<TierPin>, Error> {
    billing.db.read(organization, async |conn| Ok(store::pins_by_ids(conn, organization, ids).await?)).await
}

/// Locks the partner, so that none of its months is being finalized, and tells the last one that is.
async fn last_finalized(
    conn: &mut Conn,
    organization: OrganizationId,
    partner: PartnerId,
) -> Result<Option<Month>, Error> {
    partners::lock(conn, organization, partner).await?;
    Ok(last_evaluations(conn, organization, &[partner]).await?.remove(&partner).map(|last| last.month))
}

async fn find(conn: &mut Conn, organization: OrganizationId, id: TierPinId) -> Result<TierPin, Error> {
    let found = store::pins_by_ids(conn, organization, &[id]).await?.pop();
    found.ok_or_else(|| Refusal::not_found("pin", "tier pin", id).into())
}
