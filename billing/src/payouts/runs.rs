//! Payout runs: opened and computed as drafts, approved under locks, returned while nothing is sent.
//!
//! Approving computes everything again behind the locks of the run, its enrollments and their commissions, so what is
//! approved is what is payable at that moment: a clawback is either in it or a debt for the next run, never lost.

use std::collections::BTreeMap;

use billing_db::{Conn, Constraint};
use billing_primitives::{
    Currency, Date, EnrollmentId, Money, OrganizationId, PayoutId, PayoutRunId, ProgramId, Timestamp,
};
use serde_json::json;

use super::model::{NewPayoutRun, Payout, PayoutRun};
use super::plan::{self, Plan, Threshold};
use super::state::{self, PayoutStatus, RunStatus, RunStep};
use super::store::{self, due, payouts as payout_sql, runs as sql};
use super::{marks, statements};
use crate::caller::Caller;
use crate::chart::{self, PayoutParts};
use crate::commissions::EntryKind;
use crate::commissions::book::{self, Pen};
use crate::error::{Error, Refusal};
use crate::organizations::rules::external_id;
use crate::programs::Terms;
use crate::{Applied, Billing, audit, organizations};

/// Opens a run of a programme as a draft. What ripened by the cut-off and stands on no statement yet is put on one
/// first.
///
/// # Errors
/// [`Refusal::PayoutRunExists`], [`Refusal::NotFound`] (programme), [`Refusal::Invalid`] (a cut-off that is not the last
/// day of a month that is over, a key that is none).
pub async fn open(billing: &Billing, caller: &Caller, input: &NewPayoutRun) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let run_key = external_id(&input.run_key).map_err(|_| Refusal::invalid("runKey", "is 1 to 100 characters"))?;
    let look = async |conn: &mut Conn| {
        let (_, today) = moment(conn, billing, organization).await?;
        Ok::<_, Error>((cut_off(input.cut_off, today)?, program_currency(conn, organization, input.program).await?))
    };
    let (day, currency) = billing.db.read(organization, look).await?;
    statements::make_through(billing, organization, day.month(), Some(input.program)).await?;
    let work = async |conn: &mut Conn| {
        if sql::by_key(conn, organization, input.program, &run_key).await?.is_some() {
            return Err(Refusal::PayoutRunExists { run_key: run_key.clone() }.into());
        }
        let (now, today) = moment(conn, billing, organization).await?;
        let mut run = PayoutRun {
            organization_id: organization,
            id: PayoutRunId::new(),
            program_id: input.program,
            run_key: run_key.clone(),
            cut_off: day,
            status: RunStatus::Draft,
            currency,
            threshold_minor: 0,
            made_by: caller.actor.to_string(),
            approved_by: None,
            created_at: now,
            computed_at: now,
            approved_at: None,
            sent_at: None,
        };
        sql::insert(conn, &run).await?;
        draft(conn, &mut run, today, now).await?;
        let details = json!({ "program": run.program_id, "runKey": run.run_key, "cutOff": run.cut_off });
        audit::record(conn, caller, now, "payout_run.open", run.id, details).await?;
        Ok::<_, Error>(run)
    };
    let opened = billing.db.write(organization, caller.key.as_ref(), work).await;
    opened.map_err(|error| match error.refused_by() {
        Some(Constraint::Unique("payout_run_organization_id_program_id_run_key_key")) => {
            Refusal::PayoutRunExists { run_key: run_key.clone() }.into()
        }
        _ => error,
    })
}

/// Computes a draft again.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::PayoutRunStatus`].
pub async fn recompute(billing: &Billing, caller: &Caller, id: PayoutRunId) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let look = async |conn: &mut Conn| Ok::<_, Error>(sql::by_ids(conn, organization, &[id]).await?.pop());
    let found = billing.db.read(organization, look).await?;
    let run = found.ok_or_else(|| Refusal::not_found("payoutRun", "payout run", id))?;
    state::run(run.status, RunStep::Recompute)?;
    statements::make_through(billing, organization, run.cut_off.month(), Some(run.program_id)).await?;
    let work = async |conn: &mut Conn| {
        let mut run = lock(conn, organization, id).await?;
        state::run(run.status, RunStep::Recompute)?;
        let (now, today) = moment(conn, billing, organization).await?;
        draft(conn, &mut run, today, now).await?;
        audit::record(conn, caller, now, "payout_run.recompute", id, json!({})).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Approves a draft: computes it once more, takes the commissions, and fixes the amounts. `expected`: what somebody
/// looked at and wants approved.
///
/// # Errors
/// [`Refusal::PayoutRunChanged`] when it comes to something else than expected, [`Refusal::FourEyesRequired`],
/// [`Refusal::PayoutRunStatus`], [`Refusal::NotFound`].
pub async fn approve(
    billing: &Billing,
    caller: &Caller,
    id: PayoutRunId,
    expected: Option<Money>,
) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let mut run = lock(conn, organization, id).await?;
        let Some(status) = state::run(run.status, RunStep::Approve)? else { return Ok(run) };
        if run.made_by == caller.actor.to_string() && sql::wants_four_eyes(conn, organization).await? {
            return Err(Refusal::FourEyesRequired.into());
        }
        let (now, today) = moment(conn, billing, organization).await?;
        let (plan, threshold) = compute(conn, &run, today, Locking::Locked).await?;
        let total = Money::new(plan.total()?, run.currency);
        if let Some(expected) = expected.filter(|expected| *expected != total) {
            return Err(Refusal::PayoutRunChanged { expected, now: total }.into());
        }
        run.computed_at = now;
        run.threshold_minor = threshold.minor;
        let rows = replace(conn, &run, &plan, threshold, PayoutStatus::Approved, now).await?;
        take(conn, caller, &plan, &rows, today, now).await?;
        run.status = status;
        run.approved_by = Some(caller.actor.to_string());
        run.approved_at = Some(now);
        sql::update(conn, &run).await?;
        let details = json!({ "payouts": rows.len(), "total": total });
        audit::record(conn, caller, now, "payout_run.approve", id, details).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Makes an approved run a draft again, while nothing of it is sent: what it took is payable again.
///
/// # Errors
/// [`Refusal::PayoutRunStatus`], [`Refusal::NotFound`].
pub async fn return_to_draft(billing: &Billing, caller: &Caller, id: PayoutRunId) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let mut run = lock(conn, organization, id).await?;
        let Some(status) = state::run(run.status, RunStep::ReturnToDraft)? else { return Ok(run) };
        let (now, today) = moment(conn, billing, organization).await?;
        let payouts = payout_sql::of_run(conn, organization, id).await?;
        marks::give_back(conn, caller, &payouts, today, now).await?;
        // Approved again they are other payouts: each is posted once.
        payout_sql::delete_of_run(conn, organization, id).await?;
        run = PayoutRun { status, approved_by: None, approved_at: None, ..run };
        draft(conn, &mut run, today, now).await?;
        let details = json!({ "payouts": payouts.iter().map(|payout| payout.id).collect::<Vec<_>>() });
        audit::record(conn, caller, now, "payout_run.return_to_draft", id, details).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Gives a draft up. Its key is used up.
///
/// # Errors
/// [`Refusal::PayoutRunStatus`], [`Refusal::NotFound`].
pub async fn cancel(billing: &Billing, caller: &Caller, id: PayoutRunId) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let mut run = lock(conn, organization, id).await?;
        let Some(status) = state::run(run.status, RunStep::Cancel)? else { return Ok(run) };
        run.status = status;
        payout_sql::delete_of_run(conn, organization, id).await?;
        sql::update(conn, &run).await?;
        let now = billing.clock.now(conn).await?;
        audit::record(conn, caller, now, "payout_run.cancel", id, json!({})).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

pub(super) async fn lock(conn: &mut Conn, organization: OrganizationId, id: PayoutRunId) -> Result<PayoutRun, Error> {
    let run = sql::lock(conn, organization, id).await?;
    run.ok_or_else(|| Refusal::not_found("payoutRun", "payout run", id).into())
}

/// Now, and the day it is for the organization.
pub(super) async fn moment(
    conn: &mut Conn,
    billing: &Billing,
    organization: OrganizationId,
) -> Result<(Timestamp, Date), Error> {
    let seller = organizations::current(conn, organization).await?;
    let now = billing.clock.now(conn).await?;
    Ok((now, now.date_in(&seller.time_zone)))
}

fn cut_off(given: Option<Date>, today: Date) -> Result<Date, Refusal> {
    let day = given.unwrap_or_else(|| today.month().previous().last());
    if day != day.month().last() {
        return Err(Refusal::invalid("cutOff", "is not the last day of a month"));
    }
    if day >= today {
        return Err(Refusal::invalid("cutOff", format!("{} is not over", day.month())));
    }
    Ok(day)
}

async fn program_currency(
    conn: &mut Conn,
    organization: OrganizationId,
    program: ProgramId,
) -> Result<Currency, Error> {
    let found = sql::currency_of(conn, organization, program).await?;
    found.ok_or_else(|| Refusal::not_found("program", "program", program).into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Locking {
    Locked,
    Free,
}

/// What the run comes to now.
async fn compute(conn: &mut Conn, run: &PayoutRun, today: Date, locking: Locking) -> Result<(Plan, Threshold), Error> {
    let organization = run.organization_id;
    let mut candidates = due::candidates(conn, organization, run.program_id, today).await?;
    let enrollments: Vec<EnrollmentId> = candidates.iter().map(|candidate| candidate.enrollment_id).collect();
    let payable = match locking {
        Locking::Free => due::payable(conn, organization, &enrollments, run.cut_off).await?,
        Locking::Locked => {
            store::lock_enrollments(conn, organization, &enrollments).await?;
            let payable = due::lock_payable(conn, organization, &enrollments, run.cut_off).await?;
            // What is owed may have changed until the locks were had; who came to the list since waits for the next run.
            let known: Vec<EnrollmentId> = enrollments;
            candidates = due::candidates(conn, organization, run.program_id, today).await?;
            candidates.retain(|candidate| known.binary_search(&candidate.enrollment_id).is_ok());
            payable
        }
    };
    let threshold = match due::in_force(conn, organization, run.program_id, run.cut_off).await? {
        None => Threshold { minor: 0, version: None },
        Some(version) => {
            let terms: Terms = serde_json::from_str(&version.terms)
                .map_err(|error| Error::Corrupt(format!("{}: {error}", version.id)))?;
            Threshold { minor: terms.payout_threshold_minor, version: Some(version.id) }
        }
    };
    Ok((Plan::of(run, threshold, candidates, payable)?, threshold))
}

/// Computes the draft and stores it.
async fn draft(conn: &mut Conn, run: &mut PayoutRun, today: Date, now: Timestamp) -> Result<(), Error> {
    let (plan, threshold) = compute(conn, run, today, Locking::Free).await?;
    run.computed_at = now;
    run.threshold_minor = threshold.minor;
    replace(conn, run, &plan, threshold, PayoutStatus::Draft, now).await?;
    Ok(sql::update(conn, run).await?)
}

/// Replaces what is stored of a draft by the plan; payouts that stay keep their ids.
async fn replace(
    conn: &mut Conn,
    run: &PayoutRun,
    plan: &Plan,
    threshold: Threshold,
    status: PayoutStatus,
    now: Timestamp,
) -> Result<Vec<Payout>, Error> {
    let organization = run.organization_id;
    let known: BTreeMap<EnrollmentId, (PayoutId, Timestamp)> =
        payout_sql::draft_ids(conn, organization, run.id).await?.into_iter().collect();
    payout_sql::delete_of_run(conn, organization, run.id).await?;
    let rows = plan.rows(run, threshold, status, &known, now);
    payout_sql::insert(conn, organization, &rows).await?;
    sql::replace_left_out(conn, organization, run.id, &plan.left_out).await?;
    Ok(rows)
}

/// Takes the commissions of approved payouts, and posts it.
async fn take(
    conn: &mut Conn,
    caller: &Caller,
    plan: &Plan,
    rows: &[Payout],
    today: Date,
    now: Timestamp,
) -> Result<(), Error> {
    let (mut items, mut steps, mut postings) = (Vec::new(), Vec::new(), Vec::new());
    for (payout, planned) in rows.iter().zip(&plan.payouts) {
        let (own_items, own_steps) = plan::taken(payout, &planned.parts, EntryKind::Payout)?;
        items.extend(own_items);
        steps.extend(own_steps);
        postings.push(chart::payout_approved(payout.id, payout.enrollment_id, today, amounts(payout)));
    }
    let organization = caller.organization;
    payout_sql::insert_items(conn, organization, &items).await?;
    let actor = caller.actor.to_string();
    book::write(conn, organization, &[], &steps, Pen { actor: &actor, occurred_on: today, now }).await?;
    billing_ledger::post(conn, organization, &postings).await?;
    Ok(())
}

/// The amounts of a payout as the books move them.
pub(super) fn amounts(payout: &Payout) -> PayoutParts {
    PayoutParts { net: payout.net(), offset: payout.money(payout.offset_minor) }
}
