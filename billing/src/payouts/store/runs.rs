//! SQL of payout runs and of whom they leave out.

use billing_db::schema::{payout_left_out, payout_run, program};
use billing_db::{Conn, DbError};
use billing_primitives::{Currency, EnrollmentId, OrganizationId, PayoutRunId, ProgramId};
use diesel::prelude::*;
use diesel::sql_types::{Array, BigInt, Text, Uuid};
use diesel_async::RunQueryDsl;

use crate::page::Page;
use crate::payouts::model::{LeftOutRow, PayoutRun, RunFilter};

pub async fn insert(conn: &mut Conn, row: &PayoutRun) -> QueryResult<()> {
    diesel::insert_into(payout_run::table).values(row).execute(conn).await.map(|_| ())
}

/// Locks a run: its steps take turns here.
pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: PayoutRunId) -> QueryResult<Option<PayoutRun>> {
    payout_run::table
        .filter(payout_run::organization_id.eq(organization))
        .filter(payout_run::id.eq(id))
        .select(PayoutRun::as_select())
        .for_no_key_update()
        .first(conn)
        .await
        .optional()
}

/// Writes where the run stands and what it was computed with.
pub async fn update(conn: &mut Conn, row: &PayoutRun) -> Result<(), DbError> {
    let written = diesel::update(payout_run::table)
        .filter(payout_run::organization_id.eq(row.organization_id))
        .filter(payout_run::id.eq(row.id))
        .set((
            payout_run::status.eq(row.status),
            payout_run::threshold_minor.eq(row.threshold_minor),
            payout_run::approved_by.eq(&row.approved_by),
            payout_run::computed_at.eq(row.computed_at),
            payout_run::approved_at.eq(row.approved_at),
            payout_run::sent_at.eq(row.sent_at),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("payout_run", 1, written)
}

pub async fn by_key(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
    run_key: &str,
) -> QueryResult<Option<PayoutRun>> {
    payout_run::table
        .filter(payout_run::organization_id.eq(organization))
        .filter(payout_run::program_id.eq(program))
        .filter(payout_run::run_key.eq(run_key))
        .select(PayoutRun::as_select())
        .first(conn)
        .await
        .optional()
}

pub async fn by_ids(conn: &mut Conn, organization: OrganizationId, ids: &[PayoutRunId]) -> QueryResult<Vec<PayoutRun>> {
    payout_run::table
        .filter(payout_run::organization_id.eq(organization))
        .filter(payout_run::id.eq_any(ids))
        .select(PayoutRun::as_select())
        .load(conn)
        .await
}

/// A page of runs, the ones opened last first.
pub async fn list(
    conn: &mut Conn,
    organization: OrganizationId,
    page: &Page<PayoutRunId>,
    filter: &RunFilter,
) -> QueryResult<Vec<PayoutRun>> {
    let mut query = payout_run::table
        .filter(payout_run::organization_id.eq(organization))
        .order(payout_run::id.desc())
        .limit(page.limit())
        .select(PayoutRun::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(payout_run::id.lt(after));
    }
    if let Some(program) = filter.program {
        query = query.filter(payout_run::program_id.eq(program));
    }
    if let Some(status) = filter.status {
        query = query.filter(payout_run::status.eq(status));
    }
    query.load(conn).await
}

/// What the payouts of a run come to.
#[derive(Debug, Clone, QueryableByName)]
pub struct Totals {
    #[diesel(sql_type = Uuid)]
    pub id: PayoutRunId,
    #[diesel(sql_type = Text)]
    pub currency: Currency,
    #[diesel(sql_type = BigInt)]
    pub payouts: i64,
    #[diesel(sql_type = BigInt)]
    pub payable_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub offset_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub net_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub paid_minor: i64,
    #[diesel(sql_type = BigInt)]
    pub left_out: i64,
}

pub async fn totals(conn: &mut Conn, organization: OrganizationId, ids: &[PayoutRunId]) -> QueryResult<Vec<Totals>> {
    diesel::sql_query(
        "SELECT r.id, r.currency, p.payouts, p.payable_minor, p.offset_minor, p.net_minor, p.paid_minor,
             (SELECT count(*) FROM payout_left_out l
              WHERE l.organization_id = $1 AND l.payout_run_id = r.id) AS left_out
         FROM payout_run r
         JOIN LATERAL (
             SELECT count(*) AS payouts, coalesce(sum(p.payable_minor), 0)::bigint AS payable_minor,
                 coalesce(sum(p.offset_minor), 0)::bigint AS offset_minor,
                 coalesce(sum(p.net_minor), 0)::bigint AS net_minor,
                 coalesce(sum(p.net_minor) FILTER (WHERE p.status = 'PAID'), 0)::bigint AS paid_minor
             FROM payout p
             WHERE p.organization_id = $1 AND p.payout_run_id = r.id AND p.status <> 'FAILED') AS p ON true
         WHERE r.organization_id = $1 AND r.id = ANY ($2)",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Array<Uuid>, _>(ids)
    .load(conn)
    .await
}

/// Replaces whom a run leaves out.
pub async fn replace_left_out(
    conn: &mut Conn,
    organization: OrganizationId,
    run: PayoutRunId,
    rows: &[LeftOutRow],
) -> Result<(), DbError> {
    diesel::delete(payout_left_out::table)
        .filter(payout_left_out::organization_id.eq(organization))
        .filter(payout_left_out::payout_run_id.eq(run))
        .execute(conn)
        .await?;
    let written = diesel::sql_query(
        "INSERT INTO payout_left_out (organization_id, payout_run_id, enrollment_id, reason, balance_minor, currency)
         SELECT seller.organization_id, $2, l.enrollment_id, l.reason, l.balance, l.currency
         FROM organization seller, unnest($3, $4, $5, $6) AS l (enrollment_id, reason, balance, currency)
         WHERE seller.organization_id = $1",
    )
    .bind::<Uuid, _>(organization)
    .bind::<Uuid, _>(run)
    .bind::<Array<Uuid>, _>(rows.iter().map(|row| row.enrollment_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.reason).collect::<Vec<_>>())
    .bind::<Array<BigInt>, _>(rows.iter().map(|row| row.balance_minor).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(rows.iter().map(|row| row.currency).collect::<Vec<_>>())
    .execute(conn)
    .await?;
    DbError::expect_rows("payout_left_out", rows.len(), written)
}

/// A page of those that a run leaves out, in the order of their ids.
pub async fn left_out(
    conn: &mut Conn,
    organization: OrganizationId,
    run: PayoutRunId,
    page: &Page<EnrollmentId>,
) -> QueryResult<Vec<LeftOutRow>> {
    let mut query = payout_left_out::table
        .filter(payout_left_out::organization_id.eq(organization))
        .filter(payout_left_out::payout_run_id.eq(run))
        .order(payout_left_out::enrollment_id)
        .limit(page.limit())
        .select(LeftOutRow::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(payout_left_out::enrollment_id.gt(after));
    }
    query.load(conn).await
}

/// Programmes with the newest version that is in force on a day; for their schedules.
#[derive(Debug, Clone, QueryableByName)]
pub struct Scheduled {
    #[diesel(sql_type = Uuid)]
    pub program_id: ProgramId,
    #[diesel(sql_type = Text)]
    pub cron: String,
}

pub async fn scheduled(
    conn: &mut Conn,
    organization: OrganizationId,
    today: billing_primitives::Date,
) -> QueryResult<Vec<Scheduled>> {
    diesel::sql_query(
        "SELECT v.program_id, v.terms ->> 'payoutSchedule' AS cron
         FROM (SELECT DISTINCT ON (program_id) program_id, terms FROM program_version
               WHERE organization_id = $1 AND status = 'PUBLISHED' AND effective_from <= $2
               ORDER BY program_id, effective_from DESC) AS v
         WHERE v.terms ->> 'payoutSchedule' IS NOT NULL ORDER BY v.program_id",
    )
    .bind::<Uuid, _>(organization)
    .bind::<diesel::sql_types::Date, _>(today)
    .load(conn)
    .await
}

/// Whether runs are approved by somebody other than their maker.
pub async fn wants_four_eyes(conn: &mut Conn, organization: OrganizationId) -> QueryResult<bool> {
    use billing_db::schema::organization::dsl;
    dsl::organization.filter(dsl::organization_id.eq(organization)).select(dsl::payout_four_eyes).first(conn).await
}

/// In which currency a programme pays.
pub async fn currency_of(
    conn: &mut Conn,
    organization: OrganizationId,
    id: ProgramId,
) -> QueryResult<Option<Currency>> {
    program::table
        .filter(program::organization_id.eq(organization))
        .filter(program::id.eq(id))
        .select(program::currency)
        .first(conn)
        .await
        .optional()
}
