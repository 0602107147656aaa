//! SQL: what somebody decided about a source by hand.

use billing_db::schema::{commission, commission_hold, commission_reversal};
use billing_db::{Conn, DbError};
use billing_primitives::{CommissionReversalId, Currency, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel_async::RunQueryDsl;

use crate::commissions::book::Commission;
use crate::commissions::situation::SourceKey;

/// Who decided what about which source, and when.
#[derive(Debug, Clone, Copy)]
pub struct Act<'a> {
    pub source: &'a SourceKey,
    pub reason: &'a str,
    pub actor: &'a str,
    pub at: Timestamp,
}

/// What is booked on a source, by level.
pub async fn of_source(
    conn: &mut Conn,
    organization: OrganizationId,
    source: &SourceKey,
) -> QueryResult<Vec<Commission>> {
    commission::table
        .filter(commission::organization_id.eq(organization))
        .filter(commission::source_kind.eq(source.kind))
        .filter(commission::source_id.eq(&source.id))
        .order((commission::level, commission::id))
        .select(Commission::as_select())
        .load(conn)
        .await
}

/// `base_minor`: how much of the base; none: all of it.
pub async fn insert_reversal(
    conn: &mut Conn,
    organization: OrganizationId,
    id: CommissionReversalId,
    (base_minor, currency): (Option<i64>, Currency),
    act: Act<'_>,
) -> Result<(), DbError> {
    diesel::insert_into(commission_reversal::table)
        .values((
            commission_reversal::organization_id.eq(organization),
            commission_reversal::id.eq(id),
            commission_reversal::source_kind.eq(act.source.kind),
            commission_reversal::source_id.eq(&act.source.id),
            commission_reversal::base_minor.eq(base_minor),
            commission_reversal::currency.eq(currency),
            commission_reversal::reason.eq(act.reason),
            commission_reversal::actor.eq(act.actor),
            commission_reversal::created_at.eq(act.at),
        ))
        .execute(conn)
        .await?;
    Ok(())
}

/// A source that is held already gets the new reason.
pub async fn hold(conn: &mut Conn, organization: OrganizationId, act: Act<'_>) -> Result<(), DbError> {
    let said = (
        commission_hold::reason.eq(act.reason),
        commission_hold::actor.eq(act.actor),
        commission_hold::created_at.eq(act.at),
    );
    let of = (
        commission_hold::organization_id.eq(organization),
        commission_hold::source_kind.eq(act.source.kind),
        commission_hold::source_id.eq(&act.source.id),
    );
    diesel::insert_into(commission_hold::table)
        .values((of, said))
        .on_conflict((commission_hold::organization_id, commission_hold::source_kind, commission_hold::source_id))
        .do_update()
        .set(said)
        .execute(conn)
        .await?;
    Ok(())
}

/// False when nobody held it.
pub async fn release(conn: &mut Conn, organization: OrganizationId, source: &SourceKey) -> QueryResult<bool> {
    let gone = diesel::delete(commission_hold::table)
        .filter(commission_hold::organization_id.eq(organization))
        .filter(commission_hold::source_kind.eq(source.kind))
        .filter(commission_hold::source_id.eq(&source.id))
        .execute(conn)
        .await?;
    Ok(gone > 0)
}
