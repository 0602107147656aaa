//! What a run comes to: who is paid how much out of which commissions, and who is left out. Pure.

use std::collections::BTreeMap;

use billing_primitives::{Currency, EnrollmentId, PartnerId, PayoutId, ProgramVersionId, Timestamp};
use serde_json::json;

use super::iban::Iban;
use super::model::{LeftOutRow, Payout, PayoutItem, PayoutMethod, PayoutRun};
use super::rules::{self, LeftOut, PayoutFigures};
use super::state::PayoutStatus;
use super::statements::NO_VAT;
use super::store::due::{Candidate, Payable};
use crate::commissions::book::BookedStep;
use crate::commissions::rules::{EntryKind, buckets};
use crate::error::{Error, Refusal};
use crate::partners::PartnerStatus;
use crate::{bulk, trace};

/// What a programme's version says about its runs.
#[derive(Debug, Clone, Copy)]
pub struct Threshold {
    pub minor: i64,
    /// None: no version is in force on the cut-off.
    pub version: Option<ProgramVersionId>,
}

/// How much of a commission is available.
#[derive(Debug, Clone)]
pub struct Part {
    pub payable: Payable,
    pub amount: i64,
}

/// Who is paid, with what.
#[derive(Debug, Clone)]
pub struct Planned {
    pub enrollment: EnrollmentId,
    pub partner: PartnerId,
    pub holder: String,
    pub iban: Iban,
    pub figures: PayoutFigures,
    pub terminated: bool,
    pub parts: Vec<Part>,
}

/// What a run comes to.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In the order of the enrollments.
    pub payouts: Vec<Planned>,
    pub left_out: Vec<LeftOutRow>,
}

impl Plan {
    /// Sorts everybody with something due or owed into those who are paid and those who are not.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn of(
        run: &PayoutRun,
        threshold: Threshold,
        candidates: Vec<Candidate>,
        payable: Vec<Payable>,
    ) -> Result<Plan, Refusal> {
        let mut plan = Plan::default();
        let mut payable = bulk::group(payable, |row| row.enrollment_id);
        for candidate in candidates {
            let parts = parts(payable.remove(&candidate.enrollment_id).unwrap_or_default(), run.currency);
            let sum: i128 = parts.iter().map(|part| i128::from(part.amount)).sum();
            let sum = i64::try_from(sum).map_err(|_| Refusal::AmountOverflow)?;
            let balance_minor = sum.checked_sub(candidate.debt_minor).ok_or(Refusal::AmountOverflow)?;
            match planned(threshold, candidate.clone(), sum, parts) {
                Ok(Some(planned)) => plan.payouts.push(planned),
                Ok(None) => (),
                Err(reason) => plan.left_out.push(LeftOutRow {
                    payout_run_id: run.id,
                    enrollment_id: candidate.enrollment_id,
                    reason,
                    balance_minor,
                    currency: run.currency,
                }),
            }
        }
        Ok(plan)
    }

    /// What is transferred in all, minor units.
    ///
    /// # Errors
    /// [`Refusal::AmountOverflow`].
    pub fn total(&self) -> Result<i64, Refusal> {
        let sum: i128 = self.payouts.iter().map(|planned| i128::from(planned.figures.net)).sum();
        i64::try_from(sum).map_err(|_| Refusal::AmountOverflow)
    }

    /// The rows of the payouts, under the ids that the draft has given them.
    pub fn rows(
        &self,
        run: &PayoutRun,
        threshold: Threshold,
        status: PayoutStatus,
        known: &BTreeMap<EnrollmentId, (PayoutId, Timestamp)>,
        now: Timestamp,
    ) -> Vec<Payout> {
        let row = |planned: &Planned| {
            let known = known.get(&planned.enrollment).copied();
            let (id, created_at) = known.unwrap_or_else(|| (PayoutId::new(), now));
            Payout { id, created_at, status, ..payout(run, threshold, planned) }
        };
        self.payouts.iter().map(row).collect()
    }
}

/// Whether and with what an enrollment is paid.
fn planned(
    threshold: Threshold,
    candidate: Candidate,
    available: i64,
    parts: Vec<Part>,
) -> Result<Option<Planned>, LeftOut> {
    let terminated = candidate.status == PartnerStatus::Terminated;
    if candidate.status == PartnerStatus::Suspended && (available > 0 || candidate.debt_minor > 0) {
        return Err(LeftOut::PartnerSuspended);
    }
    let figures = rules::payout(available, candidate.debt_minor, threshold.minor, terminated)?;
    let Some(figures) = figures else { return Ok(None) };
    let (Some(holder), Some(iban)) = (candidate.holder, candidate.iban) else { return Err(LeftOut::DetailsMissing) };
    if !candidate.verified {
        return Err(LeftOut::DetailsUnverified);
    }
    let (enrollment, partner) = (candidate.enrollment_id, candidate.partner_id);
    Ok(Some(Planned { enrollment, partner, holder, iban, figures, terminated, parts }))
}

/// What each commission gives, as far as it gives anything in this currency.
fn parts(payable: Vec<Payable>, currency: Currency) -> Vec<Part> {
    let part = |payable: Payable| {
        let Payable { payable_minor, stated_minor, taken_minor, owed_minor, .. } = payable;
        Part { amount: rules::available(payable_minor, stated_minor, taken_minor, owed_minor), payable }
    };
    let counts = |part: &Part| part.amount > 0 && part.payable.currency == currency;
    payable.into_iter().map(part).filter(counts).collect()
}

fn payout(run: &PayoutRun, threshold: Threshold, planned: &Planned) -> Payout {
    let trace = json!({
        "cutOff": run.cut_off,
        "threshold": threshold.minor,
        "programVersion": threshold.version,
        "noThreshold": planned.terminated,
        "commissions": planned.parts.len(),
        "figures": planned.figures,
    });
    Payout {
        id: PayoutId::new(),
        payout_run_id: Some(run.id),
        enrollment_id: planned.enrollment,
        partner_id: planned.partner,
        program_id: run.program_id,
        method: PayoutMethod::Transfer,
        status: PayoutStatus::Draft,
        currency: run.currency,
        payable_minor: planned.figures.payable,
        offset_minor: planned.figures.offset,
        net_minor: planned.figures.net,
        vat_bps: NO_VAT,
        vat_minor: 0,
        holder: Some(planned.holder.clone()),
        iban: Some(planned.iban.clone()),
        invoice_id: None,
        payment_id: None,
        settled_on: None,
        reference: None,
        failure: None,
        trace,
        created_at: run.computed_at,
    }
}

/// What a payout takes out of commissions: its items, and the steps that book it.
///
/// # Errors
/// [`Error::Corrupt`] when a commission has less than it should give.
pub fn taken(payout: &Payout, parts: &[Part], kind: EntryKind) -> Result<(Vec<PayoutItem>, Vec<BookedStep>), Error> {
    let mut items = Vec::with_capacity(parts.len());
    let mut steps = Vec::with_capacity(parts.len());
    for Part { payable, amount } in parts {
        let step = buckets::take(payable.buckets(), *amount, kind)
            .ok_or_else(|| Error::Corrupt(format!("{} has less than {amount} payable", payable.id)))?;
        let (payout_id, commission_id) = (payout.id, payable.id);
        items.push(PayoutItem { payout_id, commission_id, amount_minor: *amount, currency: payable.currency });
        let trace = trace::json(&json!({ "payable": payable.payable_minor, "stated": payable.stated_minor,
            "taken": payable.taken_minor, "owed": payable.owed_minor }));
        let (commission, enrollment, currency) = (payable.id, payable.enrollment_id, payable.currency);
        steps.push(BookedStep { commission, enrollment, currency, step, cause: payout.id.to_string(), trace });
    }
    Ok((items, steps))
}

#[cfg(test)]
mod tests {
    use billing_primitives::{CommissionId, Date, OrganizationId};

    use super::*;
    use crate::payouts::state::RunStatus;

    const DKK: Currency = Currency::DKK;

    fn run() -> PayoutRun {
        let now: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        PayoutRun {
            organization_id: OrganizationId::new(),
            id: billing_primitives::PayoutRunId::new(),
            program_id: billing_primitives::ProgramId::new(),
            run_key: "2026-01".to_owned(),
            cut_off: "2026-01-31".parse::<Date>().unwrap(),
            status: RunStatus::Draft,
            currency: DKK,
            threshold_minor: 2500,
            made_by: "operator".to_owned(),
            approved_by: None,
            created_at: now,
            computed_at: now,
            approved_at: None,
            sent_at: None,
        }
    }

    fn candidate(status: PartnerStatus, debt_minor: i64, details: Option<bool>) -> Candidate {
        Candidate {
            enrollment_id: EnrollmentId::new(),
            partner_id: PartnerId::new(),
            status,
            debt_minor,
            holder: details.map(|_| "Partner ApS".to_owned()),
            iban: details.and_then(|_| Iban::read("DK5000400440116243")),
            verified: details.unwrap_or_default(),
        }
    }

    fn payable(of: &Candidate, payable_minor: i64, stated_minor: i64) -> Payable {
        let (id, enrollment_id) = (CommissionId::new(), of.enrollment_id);
        Payable { id, enrollment_id, currency: DKK, payable_minor, taken_minor: 0, owed_minor: 0, stated_minor }
    }

    #[test]
    fn everybody_is_paid_or_left_out_with_the_reason() {
        use PartnerStatus::{Active, Suspended, Terminated};
        // Status, debt, details (verified), payable and stated; what is transferred, or why nothing is.
        for (status, debt, details, (due, stated), expected) in [
            (Active, 0, Some(true), (3000, 3000), Ok(Some(3000))),
            (Active, 0, Some(true), (3000, 2600), Ok(Some(2600))),
            (Active, 400, Some(true), (3000, 3000), Ok(Some(2600))),
            (Active, 501, Some(true), (3000, 3000), Err(LeftOut::BelowThreshold)),
            (Active, 3000, Some(true), (3000, 3000), Err(LeftOut::InDebt)),
            (Active, 0, Some(true), (2499, 2499), Err(LeftOut::BelowThreshold)),
            (Terminated, 0, Some(true), (1, 1), Ok(Some(1))),
            (Terminated, 5, Some(true), (1, 1), Err(LeftOut::InDebt)),
            (Suspended, 0, Some(true), (3000, 3000), Err(LeftOut::PartnerSuspended)),
            (Active, 0, Some(false), (3000, 3000), Err(LeftOut::DetailsUnverified)),
            (Active, 0, None, (3000, 3000), Err(LeftOut::DetailsMissing)),
            (Active, 0, Some(true), (3000, 0), Ok(None)),
        ] {
            let candidate = candidate(status, debt, details);
            let rows = vec![payable(&candidate, due, stated)];
            let threshold = Threshold { minor: 2500, version: None };
            let plan = Plan::of(&run(), threshold, vec![candidate], rows).unwrap();
            let found = match plan.left_out.first() {
                Some(left) => Err(left.reason),
                None => Ok(plan.payouts.first().map(|planned| planned.figures.net)),
            };
            assert_eq!(found, expected, "{status} owes {debt}, {due} of {stated}");
        }
    }

    #[test]
    fn amounts_of_another_currency_wait() {
        let candidate = candidate(PartnerStatus::Active, 0, Some(true));
        let mut euro = payable(&candidate, 9000, 9000);
        euro.currency = Currency::EUR;
        let rows = vec![payable(&candidate, 3000, 3000), euro];
        let plan = Plan::of(&run(), Threshold { minor: 0, version: None }, vec![candidate], rows).unwrap();
        assert_eq!(plan.total(), Ok(3000));
    }
}
