//! Statements: one per enrollment and month that has something to show, in the order of months, append-only.
//!
//! Each step of a commission stands on one statement. Whoever dies half-way has made the statements of some enrollments
//! and left the others; the next one goes on with these.

use std::collections::BTreeMap;

use billing_db::Conn;
use billing_primitives::{
    BasisPoints, CommissionStatementId, EnrollmentId, Month, OrganizationId, ProgramId, Timestamp,
};
use serde_json::json;

use super::maturity::{Ripening, ripen};
use super::model::Statement;
use super::rules;
use super::store::{self, statements as sql};
use crate::caller::Caller;
use crate::error::{Error, Refusal};
use crate::{Applied, Billing, audit, bulk, organizations};

/// Enrollments whose statements are made in one transaction.
const CHUNK: i64 = 100;

/// Until self-billed documents exist, statements and payouts are net.
pub(super) const NO_VAT: BasisPoints = BasisPoints::ZERO;

/// Makes the statements of a month and of earlier ones that have something to show still; returns how many are new.
///
/// # Errors
/// [`Refusal::MonthNotOver`].
pub async fn make_statements(billing: &Billing, caller: &Caller, month: Month) -> Result<Applied<u64>, Error> {
    let made = make_through(billing, caller.organization, month, None).await?;
    let work = async |conn: &mut Conn| {
        let now = billing.clock.now(conn).await?;
        let details = json!({ "month": month, "made": made });
        audit::record(conn, caller, now, "commission_statement.make", caller.organization, details).await?;
        Ok::<_, Error>(made)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Makes what is missing up to the month before today's; returns how many are new. For a daily job.
///
/// # Errors
/// Faults of the database.
pub async fn make_due_statements(billing: &Billing, organization: OrganizationId) -> Result<u64, Error> {
    let work = async |conn: &mut Conn| {
        let seller = organizations::current(conn, organization).await?;
        organizations::today(conn, billing, &seller).await
    };
    let today = billing.db.read(organization, work).await?;
    make_through(billing, organization, today.month().previous(), None).await
}

/// As [`make_statements`], of one programme's enrollments or of all.
pub(super) async fn make_through(
    billing: &Billing,
    organization: OrganizationId,
    last: Month,
    program: Option<ProgramId>,
) -> Result<u64, Error> {
    let work = async |conn: &mut Conn| {
        let seller = organizations::current(conn, organization).await?;
        let today = organizations::today(conn, billing, &seller).await?;
        if last.last() >= today {
            return Err(Refusal::MonthNotOver { month: last, today }.into());
        }
        Ok::<_, Error>(())
    };
    billing.db.read(organization, work).await?;
    let asked = Ripening { program, by_end_of: Some(last.last()) };
    ripen(billing, organization, asked).await?;
    let first = async |conn: &mut Conn| Ok::<_, Error>(sql::first_unstated(conn, organization, program).await?);
    let Some(first) = billing.db.patient().read(organization, first).await? else { return Ok(0) };
    let mut made = 0;
    for month in first.month().through(last) {
        made += make_month(billing, organization, month, program).await?;
    }
    Ok(made)
}

async fn make_month(
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    program: Option<ProgramId>,
) -> Result<u64, Error> {
    let mut made = 0;
    let mut after = None;
    loop {
        let work = async |conn: &mut Conn| chunk(conn, billing, organization, month, program, after).await;
        let (last, new) = billing.db.patient().scoped(organization, work).await?;
        made += new;
        match last {
            None => return Ok(made),
            last => after = last,
        }
    }
}

/// Makes the statements of one chunk of enrollments behind `after`: the last one of it, and how many are new.
async fn chunk(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
    month: Month,
    program: Option<ProgramId>,
    after: Option<EnrollmentId>,
) -> Result<(Option<EnrollmentId>, u64), Error> {
    let found = sql::unstated_enrollments(conn, organization, month, program, after, CHUNK).await?;
    let Some(last) = found.last().copied() else { return Ok((None, 0)) };
    store::lock_enrollments(conn, organization, &found).await?;
    let seller = organizations::current(conn, organization).await?;
    let now = billing.clock.now(conn).await?;
    let end = seller.time_zone.start_of(month.last().next())?;
    let standing = bulk::by(sql::carried(conn, organization, &found, month, end).await?, |row| row.enrollment_id);
    let mut statements = Vec::new();
    let mut lines = 0;
    for sums in sql::unstated_sums(conn, organization, month, &found).await? {
        let carried = standing.get(&sums.enrollment_id).cloned().unwrap_or_else(|| sql::Carried::none(&sums));
        lines += usize::try_from(sums.entries).unwrap_or_default();
        statements.push(statement(&sums, &carried, month, now)?);
    }
    sql::insert(conn, organization, &statements).await?;
    let places: BTreeMap<EnrollmentId, CommissionStatementId> =
        statements.iter().map(|statement| (statement.enrollment_id, statement.id)).collect();
    let written = sql::insert_entries(conn, organization, month, &places).await?;
    // Of steps that somebody wrote meanwhile there are more than were summed up: then all of it is done again.
    bulk::all_new(lines, written)?;
    Ok((Some(last), u64::try_from(statements.len()).unwrap_or(u64::MAX)))
}

/// The statement of sums (golden rule R8).
fn statement(sums: &sql::Sums, carried: &sql::Carried, month: Month, now: Timestamp) -> Result<Statement, Error> {
    let carried_minor = carried.stated_minor.checked_sub(carried.gone_minor).ok_or(Refusal::AmountOverflow)?;
    let figures =
        rules::statement(carried_minor, &[sums.earned_minor], &[sums.unshown_minor], &[sums.shown_minor], NO_VAT)?;
    let trace = json!({
        "carried": {
            "stated": carried.stated_minor,
            "paidOut": carried.gone_minor,
            "previous": carried.previous,
            "previousMonth": carried.previous_month,
        },
        "becamePayable": sums.earned_minor,
        "clawbacksUnshown": sums.unshown_minor,
        "clawbacksShown": sums.shown_minor,
        "steps": sums.entries,
        "figures": figures,
    });
    Ok(Statement {
        id: CommissionStatementId::new(),
        enrollment_id: sums.enrollment_id,
        partner_id: sums.partner_id,
        program_id: sums.program_id,
        month,
        currency: sums.currency,
        carried_minor,
        earned_minor: figures.earned.net,
        clawed_back_minor: figures.clawed_back.map_or(0, |clawed| clawed.net),
        vat_bps: NO_VAT,
        earned_vat_minor: figures.earned.vat,
        clawed_back_vat_minor: figures.clawed_back.map_or(0, |clawed| clawed.vat),
        balance_minor: figures.balance_net,
        trace,
        created_at: now,
    })
}
