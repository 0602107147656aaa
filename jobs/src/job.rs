//! What can be asked of a worker, and who does it.
//!
//! The queue keeps a kind and a payload; this file knows how a [`Job`] becomes the two. The wake-up of a run is written by
//! `billing`, in the transaction that begins the run, so its payload is [`RunJob`].

use billing::invoicing::job::{self, RunJob};
use billing_db::queue::{Lease, NewJob};
use billing_primitives::OrganizationId;
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
}

impl Job {
    /// The kinds this program can run.
    pub const KINDS: [&'static str; 5] =
        [kind::WHOLESALE_RUN, kind::OVERDUE, kind::VERIFY, kind::SEAL, kind::FORGET_KEYS];

    /// The job's name in the queue, one of [`Job::KINDS`].
    pub const fn kind(&self) -> &'static str {
        match self {
            Job::ContinueRun(_) => kind::WHOLESALE_RUN,
            Job::EmitOverdue => kind::OVERDUE,
            Job::Verify => kind::VERIFY,
            Job::Seal => kind::SEAL,
            Job::ForgetOldKeys => kind::FORGET_KEYS,
        }
    }

    /// The job as `billing_db::queue::enqueue` takes it, to run at once; at most one like it waits or runs.
    ///
    /// # Errors
    /// The job cannot be written as JSON, which none of today's kinds can bring about.
    pub fn of(&self, organization: OrganizationId) -> Result<NewJob, serde_json::Error> {
        if let Job::ContinueRun(run) = self {
            return Ok(run.of(organization));
        }
        let mut payload = serde_json::to_value(self)?;
        if let Some(fields) = payload.as_object_mut() {
            fields.remove(KIND);
        }
        let kind = self.kind();
        Ok(NewJob {
            kind: kind.to_owned(),
            organization: Some(organization),
            payload,
            unique_key: Some(format!("{kind}/{organization}")),
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
        let jobs = [Job::ContinueRun(run), Job::EmitOverdue, Job::Verify, Job::Seal, Job::ForgetOldKeys];
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
            ("seal", "null"),
            ("seal", "[]"),
        ] {
            assert!(parse(kind, payload).is_err(), "{kind} {payload}");
        }
    }
}
