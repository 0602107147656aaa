//! What can be asked of a worker, and who does it.
//!
//! The queue keeps a kind and a payload; this file knows how a [`Job`] becomes the two. The wake-ups of a run
//! and of an event of Stripe's are written by `billing`, in the transaction that begins the one and stores the other, so
//! their payloads are [`RunJob`] and [`EventJob`].

use billing::commissions::again::DeriveJob;
use billing::inbox::EventJob;
use billing::invoicing::job::{self, RunJob};
use billing_db::queue::{Lease, NewJob};
use billing_primitives::{Month, OrganizationId, ProgramId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::schedule::Schedule;

/// Claims after which a job is parked.
const MAX_ATTEMPTS: i32 = job::MAX_ATTEMPTS;

/// The field of the serialized job that the queue keeps in a column of its own.
const KIND: &str = "kind";

/// The names of the kinds; they are stored, so they never change.
pub(crate) mod kind {
    pub const WHOLESALE_RUN: &str = billing::invoicing::job::KIND;
    pub const OVERDUE: &str = "overdue";
    pub const VERIFY: &str = "verify";
    pub const SEAL: &str = "seal";
    pub const FORGET_KEYS: &str = "forget_keys";
    pub const EVALUATE_TIERS: &str = "evaluate_tiers";
    pub const STRIPE_EVENT: &str = billing::inbox::KIND;
    pub const RETRY_EVENTS: &str = "retry_events";
    pub const DERIVE_COMMISSIONS: &str = billing::commissions::again::KIND;
    pub const MATURE: &str = "mature";
    pub const COMMISSION_STATEMENTS: &str = "commission_statements";
    pub const PAYOUT_RUN: &str = "payout_run";
}

/// Which payout run is to be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutRunJob {
    pub program: ProgramId,
    /// The period: what statements up to its end have shown is paid.
    pub month: Month,
}

/// A piece of work for one organization.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Job {
    /// Begins the month's wholesale run, or walks the pass that it names from where it stopped.
    #[serde(rename = "wholesale_run")]
    ContinueRun(RunJob),
    /// Says of invoices that became overdue that they did.
    #[serde(rename = "overdue")]
    EmitOverdue,
    /// Recomputes everything and reports differences.
    #[serde(rename = "verify")]
    Verify,
    /// Seals committed ledger and audit rows into the hash chain.
    #[serde(rename = "seal")]
    Seal,
    /// Forgets idempotency keys that are past their time.
    #[serde(rename = "forget_keys")]
    ForgetOldKeys,
    /// Evaluates the affiliate tiers of the current month, where that is still to be done.
    #[serde(rename = "evaluate_tiers")]
    EvaluateTiers,
    /// Processes an event of Stripe's.
    #[serde(rename = "stripe_event")]
    StripeEvent(EventJob),
    /// Wakes the events that wait for an invoice or for an answer of Stripe's.
    #[serde(rename = "retry_events")]
    RetryEvents,
    /// Derives the commissions of a programme's customers again.
    #[serde(rename = "derive_commissions")]
    DeriveCommissions(DeriveJob),
    /// Lets commissions ripen whose time has come.
    #[serde(rename = "mature")]
    Mature,
    /// Makes the commission statements that are missing up to last month.
    #[serde(rename = "commission_statements")]
    MakeStatements,
    /// Opens the payout run of a programme and period, if it is not there.
    #[serde(rename = "payout_run")]
    OpenPayoutRun(PayoutRunJob),
}

impl Job {
    /// The kinds this program can run.
    pub const KINDS: [&'static str; 12] = [
        kind::WHOLESALE_RUN,
        kind::OVERDUE,
        kind::VERIFY,
        kind::SEAL,
        kind::FORGET_KEYS,
        kind::EVALUATE_TIERS,
        kind::STRIPE_EVENT,
        kind::RETRY_EVENTS,
        kind::DERIVE_COMMISSIONS,
        kind::MATURE,
        kind::COMMISSION_STATEMENTS,
        kind::PAYOUT_RUN,
    ];

    /// The job's name in the queue, one of [`Job::KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Job::ContinueRun(_) => kind::WHOLESALE_RUN,
            Job::EmitOverdue => kind::OVERDUE,
            Job::Verify => kind::VERIFY,
            Job::Seal => kind::SEAL,
            Job::ForgetOldKeys => kind::FORGET_KEYS,
            Job::EvaluateTiers => kind::EVALUATE_TIERS,
            Job::StripeEvent(_) => kind::STRIPE_EVENT,
            Job::RetryEvents => kind::RETRY_EVENTS,
            Job::DeriveCommissions(_) => kind::DERIVE_COMMISSIONS,
            Job::Mature => kind::MATURE,
            Job::MakeStatements => kind::COMMISSION_STATEMENTS,
            Job::OpenPayoutRun(_) => kind::PAYOUT_RUN,
        }
    }

    /// The job as `billing_db::queue::enqueue` takes it, to run at once; at most one like it waits or runs, except of
    /// an event of Stripe's and of a derivation.
    ///
    /// # Errors
    /// The job cannot be written as JSON, which none of today's kinds can bring about.
    pub fn of(&self, organization: OrganizationId) -> Result<NewJob, serde_json::Error> {
        match self {
            Job::ContinueRun(run) => return Ok(run.of(organization)),
            Job::StripeEvent(event) => return Ok(event.of(organization)),
            Job::DeriveCommissions(derive) => return Ok(derive.of(organization)),
            _ => {}
        }
        let mut payload = serde_json::to_value(self)?;
        if let Some(fields) = payload.as_object_mut() {
            fields.remove(KIND);
        }
        let kind = self.kind();
        let unique_key = match self {
            Job::OpenPayoutRun(run) => format!("{kind}/{organization}/{}/{}", run.program, run.month),
            _ => format!("{kind}/{organization}"),
        };
        Ok(NewJob {
            kind: kind.to_owned(),
            organization: Some(organization),
            payload,
            unique_key: Some(unique_key),
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
        })
    }

    /// The job that the queue keeps as `kind` and `payload`.
    ///
    /// # Errors
    /// No such kind, or the payload is not its.
    pub fn parse(kind: &str, mut payload: serde_json::Value) -> Result<Job, serde_json::Error> {
        if let Some(fields) = payload.as_object_mut() {
            fields.insert(KIND.to_owned(), kind.into());
        }
        serde_json::from_value(payload)
    }
}

/// Why a job did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// It may succeed later: tried again with growing pauses until its attempts are used up.
    #[error("{0}")]
    Retry(String),
    /// The database, or the node of it that has the rows, is away, hangs or is full: tried again with growing pauses, and
    /// no attempt is used up.
    #[error("{0}")]
    Away(String),
    /// It cannot succeed before somebody looks at it: parked at once.
    #[error("{0}")]
    Park(String),
}

/// Who does the work.
pub trait Handler: Send + Sync + 'static {
    /// Runs a job. It may be cut at any await when the lease is lost or the process shuts down for good.
    ///
    /// Every transaction of it that must not happen twice calls `billing_db::queue::hold` with `lease` first.
    fn run(
        &self,
        organization: OrganizationId,
        job: Job,
        lease: Lease,
    ) -> impl Future<Output = Result<(), JobError>> + Send;

    /// The schedules of all organizations, as they are now. Asked about once a minute.
    fn schedules(&self) -> impl Future<Output = Result<Vec<Schedule>, JobError>> + Send;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_from_the_queue() {
        let run = RunJob { month: "2026-10".parse().unwrap(), pass: Some(2) };
        let jobs = [
            Job::ContinueRun(run),
            Job::EmitOverdue,
            Job::Verify,
            Job::Seal,
            Job::ForgetOldKeys,
            Job::EvaluateTiers,
            Job::StripeEvent(EventJob { event: "evt_1".to_owned() }),
            Job::RetryEvents,
            Job::DeriveCommissions(DeriveJob {
                program: ProgramId::new(),
                cause: "program_version.publish".to_owned(),
            }),
            Job::Mature,
            Job::MakeStatements,
            Job::OpenPayoutRun(PayoutRunJob { program: ProgramId::new(), month: "2026-10".parse().unwrap() }),
        ];
        assert_eq!(jobs.len(), Job::KINDS.len());
        let organization = OrganizationId::new();
        for (job, kind) in jobs.iter().zip(Job::KINDS) {
            let new = job.of(organization).unwrap();
            assert_eq!(new.kind, kind);
            assert_eq!(new.payload.get(KIND), None, "{kind} stands in its own column");
            assert_eq!(&Job::parse(&new.kind, new.payload).unwrap(), job);
        }
    }

    #[test]
    fn a_run_is_unique_per_month() {
        let organization = OrganizationId::new();
        let key = |month: &str| {
            let run = RunJob { month: month.parse().unwrap(), pass: None };
            Job::ContinueRun(run).of(organization).unwrap().unique_key.unwrap()
        };
        assert_ne!(key("2026-10"), key("2026-11"));
        assert_eq!(key("2026-10"), format!("wholesale_run/{organization}/2026-10"));
    }

    #[test]
    fn what_is_no_job_is_refused() {
        let parse = |kind: &str, payload: &str| Job::parse(kind, serde_json::from_str(payload).unwrap());
        for (kind, payload) in [
            ("wholesale_run", "{}"),
            ("wholesale_run", r#"{"month":"2026-13"}"#),
            ("brew_coffee", "{}"),
            ("stripe_event", "{}"),
            ("seal", "null"),
            ("seal", "[]"),
        ] {
            assert!(parse(kind, payload).is_err(), "{kind} {payload}");
        }
    }
}
