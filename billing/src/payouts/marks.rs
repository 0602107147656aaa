//! What became of payouts: sent to the bank, paid, failed, or nobody knows. By hand or from a bank's answer.
//!
//! Saying the same twice is saying it once; anything else about what is settled is refused. The run's row is the lock.

use billing_db::Conn;
use billing_primitives::{Date, EnrollmentId, OrganizationId, PayoutId, PayoutRunId, Timestamp};
use serde_json::json;

use super::model::{Payout, PayoutMethod, PayoutRun};
use super::runs::{amounts, lock, moment};
use super::state::{self, Outcome, PayoutStatus, RunStep};
use super::store::{self, due, payouts as sql, runs as run_sql};
use crate::caller::Caller;
use crate::chart;
use crate::commissions::book::{self, BookedStep, Pen};
use crate::commissions::rules::buckets;
use crate::error::{Error, Refusal};
use crate::events::{self, NewEvent};
use crate::organizations::rules::text;
use crate::{Applied, Billing, audit, bulk, trace};

/// Says that the bank has an approved run. From here on it does not become a draft again.
///
/// # Errors
/// [`Refusal::PayoutRunStatus`], [`Refusal::NotFound`].
pub async fn mark_sent(billing: &Billing, caller: &Caller, id: PayoutRunId) -> Result<Applied<PayoutRun>, Error> {
    let organization = caller.organization;
    let work = async |conn: &mut Conn| {
        let mut run = lock(conn, organization, id).await?;
        let Some(status) = state::run(run.status, RunStep::Send)? else { return Ok(run) };
        let now = billing.clock.now(conn).await?;
        sql::move_all(conn, organization, id, PayoutStatus::Approved, PayoutStatus::Sent).await?;
        run.status = status;
        run.sent_at = Some(now);
        run_sql::update(conn, &run).await?;
        audit::record(conn, caller, now, "payout_run.mark_sent", id, json!({})).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(organization, caller.key.as_ref(), work).await
}

/// Says that a payout was transferred. `reference` is the bank's; one of which nobody knew needs it as proof.
///
/// # Errors
/// [`Refusal::PayoutStatus`], [`Refusal::NotFound`]; [`Refusal::Invalid`] (a day to come or before
/// the run's cut-off, no proof).
pub async fn mark_paid(
    billing: &Billing,
    caller: &Caller,
    id: PayoutId,
    on: Date,
    reference: &str,
) -> Result<Applied<Payout>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let (payout, run) = locked(conn, organization, id).await?;
        let reference = optional("reference", reference)?;
        let Some(status) = state::payout(payout.status, Outcome::Paid, reference.is_some())? else {
            let same = payout.settled_on == Some(on) && payout.reference == reference;
            let needed = "the day and the reference that it was paid with";
            return if same { Ok(payout) } else { Err(Refusal::PayoutStatus { status: payout.status, needed }.into()) };
        };
        let (now, today) = moment(conn, billing, organization).await?;
        transferable(on, &run, today)?;
        let payout = Payout { status, settled_on: Some(on), reference, ..payout };
        sql::update(conn, organization, &payout).await?;
        settle(conn, caller, std::slice::from_ref(&payout), on, now).await?;
        let details = json!({ "on": on, "reference": payout.reference });
        audit::record(conn, caller, now, "payout.mark_paid", id, details).await?;
        Ok::<_, Error>(payout)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Says of all payouts of a run that are with the bank that they were transferred; those of which nobody knows, and
/// those that failed, stay.
///
/// # Errors
/// [`Refusal::PayoutRunStatus`] before the run is sent, [`Refusal::NotFound`], [`Refusal::Invalid`].
pub async fn mark_all_paid(
    billing: &Billing,
    caller: &Caller,
    id: PayoutRunId,
    on: Date,
    reference: &str,
) -> Result<Applied<PayoutRun>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let run = lock(conn, organization, id).await?;
        if run.status != state::RunStatus::Sent {
            return Err(Refusal::PayoutRunStatus { status: run.status, needed: state::RunStatus::Sent.as_str() }.into());
        }
        let reference = optional("reference", reference)?.unwrap_or_default();
        let (now, today) = moment(conn, billing, organization).await?;
        transferable(on, &run, today)?;
        let mut sent = sql::of_run(conn, organization, id).await?;
        sent.retain(|payout| payout.status == PayoutStatus::Sent);
        if sent.is_empty() {
            return Ok(run);
        }
        let ids: Vec<PayoutId> = sent.iter().map(|payout| payout.id).collect();
        sql::pay(conn, organization, &ids, on, &reference).await?;
        settle(conn, caller, &sent, on, now).await?;
        let details = json!({ "on": on, "reference": reference, "payouts": ids });
        audit::record(conn, caller, now, "payout_run.mark_all_paid", id, details).await?;
        Ok::<_, Error>(run)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Says that a payout was not transferred, or came back from the partner's bank: its commissions are payable again, its
/// debts open again. One of which nobody knew needs a `reference` as proof.
///
/// # Errors
/// [`Refusal::PayoutStatus`], [`Refusal::NotFound`]; [`Refusal::Invalid`] (no reason, no proof).
pub async fn mark_failed(
    billing: &Billing,
    caller: &Caller,
    id: PayoutId,
    reason: &str,
    reference: &str,
) -> Result<Applied<Payout>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let (payout, _) = locked(conn, organization, id).await?;
        let (reason, reference) = (text("reason", reason)?, optional("reference", reference)?);
        let Some(status) = state::payout(payout.status, Outcome::Failed, reference.is_some())? else {
            return Ok(payout);
        };
        let (now, today) = moment(conn, billing, organization).await?;
        if payout.status == PayoutStatus::Paid {
            let bounced = chart::payout_bounced(payout.id, today, payout.net());
            billing_ledger::post(conn, organization, &[bounced]).await?;
        }
        give_back(conn, caller, std::slice::from_ref(&payout), today, now).await?;
        let reference = reference.or(payout.reference.clone());
        let payout = Payout { status, settled_on: None, failure: Some(reason), reference, ..payout };
        sql::update(conn, organization, &payout).await?;
        events::record(conn, organization, now, &[told(events::kind::PAYOUT_FAILED, &payout)]).await?;
        let details = json!({ "reason": payout.failure, "reference": payout.reference });
        audit::record(conn, caller, now, "payout.mark_failed", id, details).await?;
        Ok::<_, Error>(payout)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// Says that nobody knows whether a payout was transferred: it is not sent again until somebody proves what happened.
///
/// # Errors
/// [`Refusal::PayoutStatus`], [`Refusal::NotFound`].
pub async fn mark_unknown(billing: &Billing, caller: &Caller, id: PayoutId) -> Result<Applied<Payout>, Error> {
    let work = async |conn: &mut Conn| {
        let organization = caller.organization;
        let (payout, _) = locked(conn, organization, id).await?;
        let Some(status) = state::payout(payout.status, Outcome::Unknown, false)? else { return Ok(payout) };
        let payout = Payout { status, ..payout };
        sql::update(conn, organization, &payout).await?;
        let now = billing.clock.now(conn).await?;
        audit::record(conn, caller, now, "payout.mark_unknown", id, json!({})).await?;
        Ok::<_, Error>(payout)
    };
    billing.db.write(caller.organization, caller.key.as_ref(), work).await
}

/// The payout, behind the lock of its run; a credit has none and is settled for good.
async fn locked(conn: &mut Conn, organization: OrganizationId, id: PayoutId) -> Result<(Payout, PayoutRun), Error> {
    let missing = || Refusal::not_found("payout", "payout", id);
    let found = sql::by_ids(conn, organization, &[id]).await?.pop().ok_or_else(missing)?;
    let (PayoutMethod::Transfer, Some(run)) = (found.method, found.payout_run_id) else {
        return Err(Refusal::PayoutStatus { status: found.status, needed: "a transfer of a payout run" }.into());
    };
    let run = lock(conn, organization, run).await?;
    // Read again behind the lock: it may have been settled, or computed anew, meanwhile.
    let payout = sql::by_ids(conn, organization, &[id]).await?.pop().ok_or_else(missing)?;
    Ok((payout, run))
}

/// Posts and tells that payouts were transferred.
async fn settle(conn: &mut Conn, caller: &Caller, payouts: &[Payout], on: Date, now: Timestamp) -> Result<(), Error> {
    let postings: Vec<_> = payouts.iter().map(|payout| chart::payout_paid(payout.id, on, payout.net())).collect();
    billing_ledger::post(conn, caller.organization, &postings).await?;
    let told: Vec<NewEvent> = payouts.iter().map(|payout| told(events::kind::PAYOUT_PAID, payout)).collect();
    events::record(conn, caller.organization, now, &told).await?;
    Ok(())
}

/// What payouts took is payable again, and what they netted is owed again.
///
/// # Errors
/// [`Error::Corrupt`] when a commission did not give what their items say.
pub(super) async fn give_back(
    conn: &mut Conn,
    caller: &Caller,
    payouts: &[Payout],
    on: Date,
    now: Timestamp,
) -> Result<(), Error> {
    let organization = caller.organization;
    let enrollments: Vec<EnrollmentId> = bulk::distinct(payouts.iter().map(|payout| payout.enrollment_id));
    store::lock_enrollments(conn, organization, &enrollments).await?;
    let ids: Vec<PayoutId> = payouts.iter().map(|payout| payout.id).collect();
    let mut steps = Vec::new();
    for taken in due::lock_taken(conn, organization, &ids).await? {
        let step = buckets::give_back(taken.buckets(), taken.amount_minor)
            .ok_or_else(|| Error::Corrupt(format!("{} did not give {}", taken.id, taken.amount_minor)))?;
        let (commission, enrollment, currency) = (taken.id, taken.enrollment_id, taken.currency);
        let (cause, trace) = (taken.payout_id.to_string(), trace::json(&json!({ "payout": taken.payout_id })));
        steps.push(BookedStep { commission, enrollment, currency, step, cause, trace });
    }
    let actor = caller.actor.to_string();
    book::write(conn, organization, &[], &steps, Pen { actor: &actor, occurred_on: on, now }).await?;
    let posting = |payout: &Payout| chart::payout_returned(payout.id, payout.enrollment_id, on, amounts(payout));
    let postings: Vec<_> = payouts.iter().map(posting).collect();
    billing_ledger::post(conn, organization, &postings).await?;
    Ok(())
}

fn told(kind: &'static str, payout: &Payout) -> NewEvent {
    let payload = json!({ "payout": payout.id, "run": payout.payout_run_id, "enrollment": payout.enrollment_id,
        "partner": payout.partner_id, "amount": payout.net(), "reason": payout.failure });
    NewEvent::new(kind, payout.id, payload)
}

fn optional(field: &'static str, given: &str) -> Result<Option<String>, Refusal> {
    if given.trim().is_empty() { Ok(None) } else { text(field, given).map(Some) }
}

/// Whether payouts of a run may have been transferred on a day.
fn transferable(on: Date, run: &PayoutRun, today: Date) -> Result<(), Refusal> {
    if on > today {
        return Err(Refusal::invalid("on", "lies in the future"));
    }
    if on < run.cut_off {
        return Err(Refusal::invalid("on", format!("lies before {}, the cut-off of the run", run.cut_off)));
    }
    Ok(())
}
