//! Wholesale tiers: versions of the table, pins, and the stored outcome of each partner's months.
//!
//! A version is complete and never changes, but for its confirmation; none begins inside a finalized month. An
//! evaluation is written once, when its month is finalized, and never reopened.

mod evaluations;
mod pins;
pub mod rules;
pub(crate) mod store;

use billing_db::Conn;
use billing_primitives::{BasisPoints, Month, OrganizationId, TierTableId};
use serde_json::json;

pub use evaluations::{TierEvaluation, evaluations, evaluations_at};
pub(crate) use evaluations::{insert_evaluations, last_evaluations};
pub(crate) use pins::pins_for;
pub use pins::{NewPin, TierPin, end_pin, pin, pins_by_ids, pins_of};
pub use rules::{Evaluation, Previous, Ranked, Reason, Tier, TierTable};

use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::page::{Page, Slice};
use crate::put::Put;
use crate::{Applied, Billing, audit, organizations};

/// A version of the tiers to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTierTable {
    /// First month it holds for.
    pub effective_from: Month,
    /// Months in a row below the billed tier that are forgiven, 0 to 12.
    pub grace_months: i32,
    /// Finalizing is refused until the table is confirmed.
    pub indicative: bool,
    /// In any order.
    pub tiers: Vec<NewTier>,
}

/// One level of a table to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTier {
    /// What stays the same from one version to the next.
    pub code: String,
    pub name: String,
    /// Inclusive threshold.
    pub from_users: i64,
    pub discount_bps: BasisPoints,
}

/// Publishes a version of the tier table. The same version again is answered with the one that stands.
///
/// # Errors
/// [`Refusal::Invalid`], [`Refusal::MonthFinalized`], [`Refusal::DiffersFromRecorded`] (another table of that month).
pub async fn publish(billing: &Billing, caller: &Caller, input: &NewTierTable) -> Result<Applied<TierTable>, Error> {
    let work = async |conn: &mut Conn| {
        let id = put(conn, billing, caller, input).await?.into_inner();
        find(conn, caller.organization, id).await
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// As [`publish`], inside a transaction; giving an indicative table as not indicative confirms it.
///
/// # Errors
/// As [`publish`].
pub(crate) async fn put(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    input: &NewTierTable,
) -> Result<Put<TierTableId>, Error> {
    let organization = caller.organization;
    let now = billing.clock.now(conn).await?;
    let given = rules::table(organization, TierTableId::new(), input, now)?;
    // What stands is answered first: its month may be finalized by now.
    let mut recorded = store::table_from(conn, organization, input.effective_from).await?;
    if recorded.is_none() {
        organizations::lock_to_publish(conn, organization, input.effective_from.first()).await?;
        recorded = store::table_from(conn, organization, input.effective_from).await?;
    }
    let Some(recorded) = recorded else {
        store::insert_table(conn, &given).await?;
        let details = json!({ "table": given.table, "tiers": given.tiers().collect::<Vec<_>>() });
        audit::record(conn, caller, now, "tier_table.publish", given.table.id, details).await?;
        return Ok(Put::Made(given.table.id));
    };
    let recorded = ranked(conn, recorded).await?;
    let id = recorded.table.id;
    if let Some(field) = rules::difference(&recorded, &given) {
        let external_id = input.effective_from.to_string();
        return Err(Refusal::DiffersFromRecorded { what: "tier table", external_id, field }.into());
    }
    if recorded.table.indicative && !input.indicative {
        set_confirmed(conn, billing, caller, id).await?;
        return Ok(Put::Changed(id));
    }
    Ok(Put::Unchanged(id))
}

/// Confirms an indicative table: its months may be finalized from now on. A confirmed one stays as it is.
///
/// # Errors
/// [`Refusal::NotFound`].
pub async fn confirm(billing: &Billing, caller: &Caller, id: TierTableId) -> Result<Applied<TierTable>, Error> {
    billing
        .db
        .write(caller.organization, caller.key.as_ref(), async |conn| set_confirmed(conn, billing, caller, id).await)
        .await
}

/// As [`confirm`], inside a transaction.
pub(crate) async fn set_confirmed(
    conn: &mut Conn,
    billing: &Billing,
    caller: &Caller,
    id: TierTableId,
) -> Result<TierTable, Error> {
    let now = billing.clock.now(conn).await?;
    // Only an indicative table is met, so a second confirmation leaves the first one's time.
    if store::confirm(conn, caller.organization, id, now).await? {
        audit::record(conn, caller, now, "tier_table.confirm", id, json!({})).await?;
    }
    find(conn, caller.organization, id).await
}

/// The table that holds in a month: the newest that is effective by then.
///
/// # Errors
/// Faults of the database; [`Error::Corrupt`] when it has no tiers.
pub(crate) async fn table_for(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
) -> Result<Option<Ranked>, Error> {
    match store::table_for(conn, organization, month).await? {
        Some(table) => ranked(conn, table).await.map(Some),
        None => Ok(None),
    }
}

/// A page of tier tables, the newest first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<Month>,
) -> Result<Slice<TierTable>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::tables(conn, organization, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[TierTableId],
) -> Result<Vec<TierTable>, Error> {
    billing.db.read(organization, async |conn| Ok(store::tables_by_ids(conn, organization, ids).await?)).await
}

/// The tiers of these tables, by table and then from the lowest to the highest.
///
/// # Errors
/// Faults of the database.
pub async fn tiers_of(
    billing: &Billing,
    organization: OrganizationId,
    tables: &[TierTableId],
) -> Result<Vec<Tier>, Error> {
    billing.db.read(organization, async |conn| Ok(store::tiers_of(conn, organization, tables).await?)).await
}

async fn find(conn: &mut Conn, organization: OrganizationId, id: TierTableId) -> Result<TierTable, Error> {
    let found = store::tables_by_ids(conn, organization, &[id]).await?.pop();
    found.ok_or_else(|| Refusal::not_found("tierTable", "tier table", id).into())
}

async fn ranked(conn: &mut Conn, table: TierTable) -> Result<Ranked, Error> {
    let (id, tiers) = (table.id, store::tiers_of(conn, table.organization_id, &[table.id]).await?);
    Ranked::new(table, tiers).ok_or_else(|| Error::Corrupt(format!("tier table {id} has no tiers")))
}
