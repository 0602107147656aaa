//! SQL: commissions for readers.

use billing_db::schema::{commission, commission_entry};
use billing_db::{Conn, Keep};
use billing_primitives::{CommissionEntryId, CommissionId, OrganizationId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid};
use diesel_async::RunQueryDsl;

use crate::commissions::book::{Commission, Entry};
use crate::commissions::reads::{CommissionFilter, InPayout, SourceEvent};
use crate::page::Page;

pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<CommissionId>,
    filter: &CommissionFilter,
) -> QueryResult<Vec<Commission>> {
    let mut query = commission::table
        .filter(commission::organization_id.eq(organization))
        .order(commission::id.desc())
        .limit(page.limit())
        .select(Commission::as_select())
        .into_boxed();
    if let Some(enrollment) = filter.enrollment {
        query = query.filter(commission::enrollment_id.eq(enrollment));
    }
    if let Some(partner) = filter.partner {
        query = query.filter(commission::partner_id.eq(partner));
    }
    if let Some(customer) = filter.customer {
        query = query.filter(commission::customer_id.eq(customer));
    }
    if let Some(source) = &filter.source_id {
        query = query.filter(commission::source_id.eq(source));
    }
    if let Some(after) = page.after {
        query = query.filter(commission::id.lt(after));
    }
    query.load(conn).await
}

pub async fn by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CommissionId],
) -> QueryResult<Vec<Commission>> {
    commission::table
        .filter(commission::organization_id.eq(organization))
        .filter(commission::id.eq_any(ids))
        .select(Commission::as_select())
        .load(conn)
        .await
}

pub async fn entries_by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[CommissionEntryId],
) -> QueryResult<Vec<Entry>> {
    commission_entry::table
        .filter(commission_entry::organization_id.eq(organization))
        .filter(commission_entry::id.eq_any(ids))
        .select(Entry::as_select())
        .load(conn)
        .await
}

pub async fn entries_of(
    conn: &mut Conn,
    organization: OrganizationId,
    commissions: &[CommissionId],
) -> QueryResult<Vec<Entry>> {
    commission_entry::table
        .filter(commission_entry::organization_id.eq(organization))
        .filter(commission_entry::commission_id.eq_any(commissions))
        .order((commission_entry::commission_id, commission_entry::sequence))
        .select(Entry::as_select())
        .load(conn)
        .await
}

#[derive(QueryableByName)]
struct Amount {
    #[diesel(sql_type = Uuid)]
    commission_id: CommissionId,
    #[diesel(sql_type = BigInt)]
    amount_minor: i64,
}

/// Payouts that took something and are not known to be paid.
pub async fn in_payouts(
    conn: &mut Conn,
    organization: OrganizationId,
    commissions: &[CommissionId],
) -> QueryResult<Vec<InPayout>> {
    let rows: Vec<Amount> = diesel::sql_query(
        "SELECT i.commission_id, sum(i.amount_minor)::bigint AS amount_minor FROM payout_item i
         JOIN payout p ON p.organization_id = $1 AND p.id = i.payout_id
         WHERE i.organization_id = $1 AND i.commission_id = ANY($2) AND p.status IN ('APPROVED', 'SENT', 'UNKNOWN')
         GROUP BY i.commission_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(commissions)
    .kept()
    .load(conn)
    .await?;
    let row = |row: Amount| InPayout { commission_id: row.commission_id, amount_minor: row.amount_minor };
    Ok(rows.into_iter().map(row).collect())
}

#[derive(QueryableByName)]
struct Told {
    #[diesel(sql_type = Uuid)]
    commission_id: CommissionId,
    #[diesel(sql_type = Text)]
    event_id: String,
}

/// Of an invoice the event that told of it last, of a conversion the one it stands by.
pub async fn source_events(
    conn: &mut Conn,
    organization: OrganizationId,
    commissions: &[CommissionId],
) -> QueryResult<Vec<SourceEvent>> {
    let rows: Vec<Told> = diesel::sql_query(
        "SELECT c.id AS commission_id, e.event_id FROM commission c
         LEFT JOIN stripe_fact f ON f.organization_id = $1 AND f.kind = 'INVOICE' AND f.stripe_id = c.source_id
             AND c.source_kind = 'STRIPE_INVOICE'
         LEFT JOIN conversion v ON v.organization_id = $1 AND v.customer_id = c.customer_id
             AND c.source_kind = 'CONVERSION' AND v.source = 'STRIPE'
         JOIN stripe_event e ON e.organization_id = $1 AND e.event_id = coalesce(f.event_id, v.cause)
         WHERE c.organization_id = $1 AND c.id = ANY($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(commissions)
    .kept()
    .load(conn)
    .await?;
    let row = |row: Told| SourceEvent { commission_id: row.commission_id, event_id: row.event_id };
    Ok(rows.into_iter().map(row).collect())
}
