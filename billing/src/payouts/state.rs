//! Which way runs and payouts may go. Pure.
//!
//! A run: DRAFT, APPROVED (and back, while nothing is sent), SENT; a draft may be CANCELLED. A payout of it: SENT becomes
//! PAID, FAILED or UNKNOWN; what nobody knows becomes known with a proof only; a bank may return what it paid. Saying
//! the same again changes nothing.

use billing_primitives::text_enum;

use crate::error::Refusal;

text_enum! {
    /// Where a run stands.
    pub enum RunStatus {
        /// Is computed again whenever somebody asks.
        Draft = "DRAFT",
        /// Its amounts are fixed, and the commissions are taken.
        Approved = "APPROVED",
        /// The bank has it.
        Sent = "SENT",
        Cancelled = "CANCELLED",
    }
}

text_enum! {
    /// Where a payout stands.
    pub enum PayoutStatus {
        Draft = "DRAFT",
        Approved = "APPROVED",
        Sent = "SENT",
        Paid = "PAID",
        /// Its commissions are payable again.
        Failed = "FAILED",
        /// Nobody knows whether the bank transferred it; never sent again without proof.
        Unknown = "UNKNOWN",
    }
}

impl PayoutStatus {
    /// Whether its commissions are taken and its debts netted.
    pub const fn is_live(self) -> bool {
        matches!(self, PayoutStatus::Approved | PayoutStatus::Sent | PayoutStatus::Paid | PayoutStatus::Unknown)
    }
}

/// What is done to a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStep {
    Recompute,
    Approve,
    ReturnToDraft,
    Send,
    Cancel,
}

impl RunStep {
    /// Where a run stands that takes the step.
    const fn needs(self) -> RunStatus {
        match self {
            RunStep::Recompute | RunStep::Approve | RunStep::Cancel => RunStatus::Draft,
            RunStep::ReturnToDraft | RunStep::Send => RunStatus::Approved,
        }
    }
}

/// Where the step leads a run; none: there it stands already.
///
/// # Errors
/// [`Refusal::PayoutRunStatus`].
pub fn run(from: RunStatus, step: RunStep) -> Result<Option<RunStatus>, Refusal> {
    use RunStatus::{Approved, Cancelled, Draft, Sent};
    match (from, step) {
        (Draft, RunStep::Recompute) | (Approved, RunStep::ReturnToDraft) => Ok(Some(Draft)),
        (Draft, RunStep::Approve) => Ok(Some(Approved)),
        (Approved, RunStep::Send) => Ok(Some(Sent)),
        (Draft, RunStep::Cancel) => Ok(Some(Cancelled)),
        (Draft, RunStep::ReturnToDraft)
        | (Approved, RunStep::Approve)
        | (Sent, RunStep::Send)
        | (Cancelled, RunStep::Cancel) => Ok(None),
        _ => Err(Refusal::PayoutRunStatus { status: from, needed: step.needs().as_str() }),
    }
}

/// What is known of a payout's transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Paid,
    Failed,
    Unknown,
}

impl Outcome {
    /// Which payouts can come to it, for the refusal of all others.
    const fn needs(self) -> &'static str {
        match self {
            Outcome::Paid => "one that is SENT or UNKNOWN",
            Outcome::Failed => "one that is SENT, UNKNOWN or PAID",
            Outcome::Unknown => "one that is SENT",
        }
    }
}

/// Where an outcome leads a payout; none: there it stands already. `proof`: somebody names what shows it.
///
/// # Errors
/// [`Refusal::PayoutStatus`]; [`Refusal::Invalid`] without the proof that an unknown payout needs.
pub fn payout(from: PayoutStatus, outcome: Outcome, proof: bool) -> Result<Option<PayoutStatus>, Refusal> {
    use PayoutStatus::{Failed, Paid, Sent, Unknown};
    match (from, outcome) {
        (Unknown, Outcome::Paid | Outcome::Failed) if !proof => {
            Err(Refusal::invalid("reference", "names the proof: nobody knows yet whether this payout was transferred"))
        }
        (Sent | Unknown, Outcome::Paid) => Ok(Some(Paid)),
        (Sent | Unknown | Paid, Outcome::Failed) => Ok(Some(Failed)),
        (Sent, Outcome::Unknown) => Ok(Some(Unknown)),
        (Paid, Outcome::Paid) | (Failed, Outcome::Failed) | (Unknown, Outcome::Unknown) => Ok(None),
        _ => Err(Refusal::PayoutStatus { status: from, needed: outcome.needs() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_a_run() {
        use RunStatus::{Approved, Cancelled, Draft, Sent};
        use RunStep::{Approve, Cancel, Recompute, ReturnToDraft, Send};
        // For each step: what becomes of a draft, an approved, a sent and a cancelled run; none: refused.
        for (step, ends) in [
            (Recompute, [Some(Draft), None, None, None]),
            (Approve, [Some(Approved), Some(Approved), None, None]),
            (ReturnToDraft, [Some(Draft), Some(Draft), None, None]),
            (Send, [None, Some(Sent), Some(Sent), None]),
            (Cancel, [Some(Cancelled), None, None, Some(Cancelled)]),
        ] {
            for (from, end) in RunStatus::ALL.iter().zip(ends) {
                let found = run(*from, step).ok().map(|to| to.unwrap_or(*from));
                assert_eq!(found, end, "{from} {step:?}");
            }
            assert!(run(step.needs(), step).is_ok(), "{step:?}");
        }
        let told = run(Draft, Send).unwrap_err().to_string();
        assert_eq!(told, "the payout run is DRAFT, and this needs one that is APPROVED");
        assert_eq!(run(Draft, Recompute), Ok(Some(Draft)), "is computed again each time");
        assert_eq!(run(Approved, Approve), Ok(None), "twice is once");
    }

    #[test]
    fn every_way_of_a_payout() {
        use PayoutStatus::{Failed, Paid, Unknown};
        // For each outcome: DRAFT, APPROVED, SENT, PAID, FAILED, UNKNOWN, the last one with and without proof.
        for (outcome, ends) in [
            (Outcome::Paid, [None, None, Some(Paid), Some(Paid), None, Some(Paid), None]),
            (Outcome::Failed, [None, None, Some(Failed), Some(Failed), Some(Failed), Some(Failed), None]),
            (Outcome::Unknown, [None, None, Some(Unknown), None, None, Some(Unknown), Some(Unknown)]),
        ] {
            let cases = PayoutStatus::ALL.iter().map(|from| (*from, true)).chain([(Unknown, false)]);
            for ((from, proof), end) in cases.zip(ends) {
                let found = payout(from, outcome, proof).ok().map(|to| to.unwrap_or(from));
                assert_eq!(found, end, "{from} {outcome:?} {proof}");
            }
        }
        assert_eq!(payout(Paid, Outcome::Paid, false), Ok(None), "twice is once");
        let told = payout(Paid, Outcome::Unknown, false).unwrap_err().to_string();
        assert_eq!(told, "the payout is PAID, and this needs one that is SENT");
    }
}
