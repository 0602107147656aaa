//! SQL of runs: the row of a month is its lock and its progress.

use billing_db::schema::{billing_run, billing_run_refusal, partner};
use billing_db::{Conn, DbError};
use billing_primitives::{BillingRunId, Month, OrganizationId, PartnerId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types::{Array, Text, Uuid as SqlUuid};
use diesel_async::RunQueryDsl;

use crate::error::Refusal;
use crate::invoicing::documents::{BillingRun, RunRefusal, RunStatus};
use crate::page::Page;
use crate::partners::Partner;

/// Makes the month's run when there is none, and locks it.
pub async fn lock_or_make(
    conn: &mut Conn,
    organization: OrganizationId,
    month: Month,
    now: Timestamp,
) -> QueryResult<BillingRun> {
    diesel::insert_into(billing_run::table)
        .values((
            billing_run::organization_id.eq(organization),
            billing_run::id.eq(BillingRunId::new()),
            billing_run::month.eq(month),
            billing_run::status.eq(RunStatus::Drafted),
            billing_run::pass.eq(0),
            billing_run::created_at.eq(now),
            billing_run::updated_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    billing_run::table
        .filter(billing_run::organization_id.eq(organization))
        .filter(billing_run::month.eq(month))
        .select(BillingRun::as_select())
        .for_update()
        .first(conn)
        .await
}

/// Locks the run; whoever works on it takes turns here, chunk by chunk.
pub async fn lock(conn: &mut Conn, organization: OrganizationId, id: BillingRunId) -> QueryResult<BillingRun> {
    billing_run::table
        .filter(billing_run::organization_id.eq(organization))
        .filter(billing_run::id.eq(id))
        .select(BillingRun::as_select())
        .for_update()
        .first(conn)
        .await
}

/// Writes status, pass, progress and issue date of a locked run.
pub async fn update(conn: &mut Conn, run: &BillingRun) -> Result<(), DbError> {
    let written = diesel::update(billing_run::table)
        .filter(billing_run::organization_id.eq(run.organization_id))
        .filter(billing_run::id.eq(run.id))
        .set((
            billing_run::status.eq(run.status),
            billing_run::pass.eq(run.pass),
            billing_run::done_through.eq(&run.done_through),
            billing_run::partners_done.eq(run.partners_done),
            billing_run::partners_total.eq(run.partners_total),
            billing_run::issue_date.eq(run.issue_date),
            billing_run::updated_at.eq(run.updated_at),
        ))
        .execute(conn)
        .await?;
    DbError::expect_rows("billing_run", 1, written)
}

pub async fn partner_count(conn: &mut Conn, organization: OrganizationId) -> QueryResult<i64> {
    partner::table.filter(partner::organization_id.eq(organization)).count().get_result(conn).await
}

/// The next partners of a pass, in the byte order of their external ids. Locked, so that facts about months that are
/// being finalized wait (see [`crate::invoicing::late`]).
pub async fn next_partners(
    conn: &mut Conn,
    organization: OrganizationId,
    after: &str,
    limit: i64,
) -> QueryResult<Vec<Partner>> {
    partner::table
        .filter(partner::organization_id.eq(organization))
        .filter(partner::external_id.gt(after))
        .order(partner::external_id)
        .limit(limit)
        .select(Partner::as_select())
        .for_no_key_update()
        .load(conn)
        .await
}

/// Replaces the refusals of some partners by new ones.
pub async fn replace_refusals(
    conn: &mut Conn,
    run: &BillingRun,
    partners: &[PartnerId],
    refusals: &[(PartnerId, Refusal)],
) -> QueryResult<()> {
    diesel::delete(billing_run_refusal::table)
        .filter(billing_run_refusal::organization_id.eq(run.organization_id))
        .filter(billing_run_refusal::billing_run_id.eq(run.id))
        .filter(billing_run_refusal::partner_id.eq_any(partners))
        .execute(conn)
        .await?;
    if refusals.is_empty() {
        return Ok(());
    }
    diesel::sql_query(
        "INSERT INTO billing_run_refusal (organization_id, billing_run_id, partner_id, code, message)
         SELECT seller.organization_id, $2, r.partner_id, r.code, r.message
         FROM organization seller, unnest($3, $4, $5) AS r (partner_id, code, message)
         WHERE seller.organization_id = $1",
    )
    .bind::<SqlUuid, _>(run.organization_id)
    .bind::<SqlUuid, _>(run.id)
    .bind::<Array<SqlUuid>, _>(refusals.iter().map(|(partner, _)| *partner).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(refusals.iter().map(|(_, refusal)| refusal.code()).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(refusals.iter().map(|(_, refusal)| refusal.to_string()).collect::<Vec<_>>())
    .execute(conn)
    .await
    .map(|_| ())
}

/// The runs of an organization, the latest month first.
pub async fn list(conn: &mut Conn, organization: OrganizationId, page: &Page<Month>) -> QueryResult<Vec<BillingRun>> {
    let mut query = billing_run::table
        .filter(billing_run::organization_id.eq(organization))
        .order(billing_run::month.desc())
        .limit(page.limit())
        .select(BillingRun::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(billing_run::month.lt(after));
    }
    query.load(conn).await
}

pub async fn by_ids(
    conn: &mut Conn,
    organization: OrganizationId,
    ids: &[BillingRunId],
) -> QueryResult<Vec<BillingRun>> {
    billing_run::table
        .filter(billing_run::organization_id.eq(organization))
        .filter(billing_run::id.eq_any(ids))
        .select(BillingRun::as_select())
        .load(conn)
        .await
}

pub async fn by_month(conn: &mut Conn, organization: OrganizationId, month: Month) -> QueryResult<Option<BillingRun>> {
    billing_run::table
        .filter(billing_run::organization_id.eq(organization))
        .filter(billing_run::month.eq(month))
        .select(BillingRun::as_select())
        .first(conn)
        .await
        .optional()
}

/// The partners that the run's last pass left out.
pub async fn refusals(
    conn: &mut Conn,
    organization: OrganizationId,
    run: BillingRunId,
    page: &Page<PartnerId>,
) -> QueryResult<Vec<RunRefusal>> {
    let mut query = billing_run_refusal::table
        .filter(billing_run_refusal::organization_id.eq(organization))
        .filter(billing_run_refusal::billing_run_id.eq(run))
        .order(billing_run_refusal::partner_id)
        .limit(page.limit())
        .select(RunRefusal::as_select())
        .into_boxed();
    if let Some(after) = page.after {
        query = query.filter(billing_run_refusal::partner_id.gt(after));
    }
    query.load(conn).await
}
