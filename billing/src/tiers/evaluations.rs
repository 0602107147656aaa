//! The stored outcome of each partner's months: written once, by the run that finalizes the month.

use std::collections::{HashMap, HashSet};

use billing_db::Conn;
use billing_primitives::{BasisPoints, Month, OrganizationId, PartnerId, TierTableId, Timestamp};
use diesel::prelude::*;

use super::{Previous, Reason, store};
use crate::Billing;
use crate::error::Error;
use crate::page::{Page, Slice};

/// The tier of a partner's finalized month, and why.
#[derive(Debug, Clone, PartialEq, Eq, Queryable, Selectable, serde::Serialize, serde::Deserialize)]
#[diesel(table_name = billing_db::schema::tier_evaluation)]
pub struct TierEvaluation {
    pub organization_id: OrganizationId,
    pub partner_id: PartnerId,
    pub month: Month,
    pub tier_table_id: TierTableId,
    pub users: i64,
    /// Code of the tier that the users reach.
    pub measured_tier: String,
    /// Code of the tier that is billed.
    pub billed_tier: String,
    pub discount_bps: BasisPoints,
    pub reason: Reason,
    pub months_below: i32,
    pub created_at: Timestamp,
}

impl TierEvaluation {
    /// What the next month has to know of this one.
    pub fn previous(&self) -> Previous<'_> {
        Previous { billed: &self.billed_tier, months_below: self.months_below, reason: self.reason }
    }
}

/// The latest evaluation of each of these partners that has one.
///
/// # Errors
/// Faults of the database.
pub(crate) async fn last_evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    partners: &[PartnerId],
) -> Result<HashMap<PartnerId, TierEvaluation>, Error> {
    let rows = store::last_evaluations(conn, organization, partners).await?;
    Ok(rows.into_iter().map(|row| (row.partner_id, row)).collect())
}

/// Writes evaluations in one statement.
///
/// # Errors
/// Faults of the database, also when one of the months is evaluated already.
pub(crate) async fn insert_evaluations(
    conn: &mut Conn,
    organization: OrganizationId,
    rows: &[TierEvaluation],
) -> Result<(), Error> {
    Ok(store::insert_evaluations(conn, organization, rows).await?)
}

/// A page of a partner's evaluations, the newest first.
///
/// # Errors
/// Faults of the database.
pub async fn evaluations(
    billing: &Billing,
    organization: OrganizationId,
    partner: PartnerId,
    page: &Page<Month>,
) -> Result<Slice<TierEvaluation>, Error> {
    let rows = billing
        .db
        .read(organization, async |conn| Ok::<_, Error>(store::evaluations(conn, organization, partner, page).await?))
        .await?;
    Ok(page.slice(rows))
}

/// The evaluations of these partners' months.
///
/// # Errors
/// Faults of the database.
pub async fn evaluations_at(
    billing: &Billing,
    organization: OrganizationId,
    keys: &[(PartnerId, Month)],
) -> Result<Vec<TierEvaluation>, Error> {
    let wanted: HashSet<(PartnerId, Month)> = keys.iter().copied().collect();
    let partners: Vec<PartnerId> = keys.iter().map(|(partner, _)| *partner).collect();
    let months: Vec<Month> = keys.iter().map(|(_, month)| *month).collect();
    let mut rows = billing
        .db
        .read(organization, async |conn| {
            Ok::<_, Error>(store::evaluations_of(conn, organization, &partners, &months).await?)
        })
        .await?;
    // The statement asks for every partner in every month.
    rows.retain(|row| wanted.contains(&(row.partner_id, row.month)));
    Ok(rows)
}
