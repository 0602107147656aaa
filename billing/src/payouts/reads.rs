//! What readers see of statements, runs and payouts. Nothing here writes.

use billing_db::Conn;
use billing_primitives::{
    CommissionEntryId, CommissionId, CommissionStatementId, EnrollmentId, Money, OrganizationId, PayoutId, PayoutRunId,
    ProgramId,
};

use super::model::{
    LeftOutRow, Payout, PayoutFilter, PayoutItem, PayoutRun, RunFilter, RunTotals, Statement, StatementEntry,
    StatementFilter,
};
use super::store::{payouts as payout_sql, runs as run_sql, statements as statement_sql};
use crate::Billing;
use crate::error::Error;
use crate::page::{Page, Slice};

/// A page of statements, the ones made last first.
///
/// # Errors
/// Faults of the database.
pub async fn statements(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<CommissionStatementId>,
    filter: &StatementFilter,
) -> Result<Slice<Statement>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(statement_sql::list(conn, organization, page, filter).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// # Errors
/// Faults of the database.
pub async fn statements_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[CommissionStatementId],
) -> Result<Vec<Statement>, Error> {
    billing.db.read(organization, async |conn| Ok(statement_sql::by_ids(conn, organization, ids).await?)).await
}

/// A page of what a statement shows, in the order in which the steps were written.
///
/// # Errors
/// Faults of the database.
pub async fn statement_entries(
    billing: &Billing,
    organization: OrganizationId,
    statement: CommissionStatementId,
    page: &Page<CommissionEntryId>,
) -> Result<Slice<StatementEntry>, Error> {
    let work =
        async |conn: &mut Conn| Ok::<_, Error>(statement_sql::entries(conn, organization, statement, page).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// A page of runs, the ones opened last first.
///
/// # Errors
/// Faults of the database.
pub async fn runs(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<PayoutRunId>,
    filter: &RunFilter,
) -> Result<Slice<PayoutRun>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(run_sql::list(conn, organization, page, filter).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// # Errors
/// Faults of the database.
pub async fn runs_by_ids(
    billing: &Billing,
    organization: OrganizationId,
    ids: &[PayoutRunId],
) -> Result<Vec<PayoutRun>, Error> {
    billing.db.read(organization, async |conn| Ok(run_sql::by_ids(conn, organization, ids).await?)).await
}

/// The run of a programme under its key.
///
/// # Errors
/// Faults of the database.
pub async fn run_by_key(
    billing: &Billing,
    organization: OrganizationId,
    program: ProgramId,
    run_key: &str,
) -> Result<Option<PayoutRun>, Error> {
    let work = async |conn: &mut Conn| Ok(run_sql::by_key(conn, organization, program, run_key).await?);
    billing.db.read(organization, work).await
}

/// What runs come to, over their payouts; those that failed count in none of the sums.
///
/// # Errors
/// Faults of the database.
pub async fn totals_of(
    billing: &Billing,
    organization: OrganizationId,
    runs: &[PayoutRunId],
) -> Result<Vec<RunTotals>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(run_sql::totals(conn, organization, runs).await?);
    let total = |row: run_sql::Totals| {
        let money = |minor| Money::new(minor, row.currency);
        RunTotals {
            run: row.id,
            payouts: row.payouts,
            payable: money(row.payable_minor),
            offset: money(row.offset_minor),
            net: money(row.net_minor),
            paid: money(row.paid_minor),
            left_out: row.left_out,
        }
    };
    Ok(billing.db.read(organization, work).await?.into_iter().map(total).collect())
}

/// A page of those whom a run leaves out, in the order of their ids.
///
/// # Errors
/// Faults of the database.
pub async fn left_out(
    billing: &Billing,
    organization: OrganizationId,
    run: PayoutRunId,
    page: &Page<EnrollmentId>,
) -> Result<Slice<LeftOutRow>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(run_sql::left_out(conn, organization, run, page).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// A page of payouts, the ones made last first.
///
/// # Errors
/// Faults of the database.
pub async fn list(
    billing: &Billing,
    organization: OrganizationId,
    page: &Page<PayoutId>,
    filter: &PayoutFilter,
) -> Result<Slice<Payout>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(payout_sql::list(conn, organization, page, filter).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}

/// # Errors
/// Faults of the database.
pub async fn by_ids(billing: &Billing, organization: OrganizationId, ids: &[PayoutId]) -> Result<Vec<Payout>, Error> {
    billing.db.read(organization, async |conn| Ok(payout_sql::by_ids(conn, organization, ids).await?)).await
}

/// A page of what a payout took out of commissions, in the order of their ids.
///
/// # Errors
/// Faults of the database.
pub async fn items_of(
    billing: &Billing,
    organization: OrganizationId,
    payout: PayoutId,
    page: &Page<CommissionId>,
) -> Result<Slice<PayoutItem>, Error> {
    let work = async |conn: &mut Conn| Ok::<_, Error>(payout_sql::items(conn, organization, payout, page).await?);
    Ok(page.slice(billing.db.read(organization, work).await?))
}
