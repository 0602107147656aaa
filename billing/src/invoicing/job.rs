//! The wake-up of a pass: enqueued in the transaction that begins it, so that neither exists without the other.
//!
//! This is the one place that knows how the queue writes it. A wake-up that comes twice, or too late, does nothing:
//! the run's own row says what is to be done.

use billing_db::Conn;
use billing_db::queue::{self, NewJob};
use billing_primitives::{Month, OrganizationId};
use serde::{Deserialize, Serialize};

use super::documents::BillingRun;
use super::run::{self, Goal};
use super::store;
use crate::Billing;
use crate::caller::Caller;
use crate::error::{Error, Refusal};

/// The name of the kind in the queue; it is stored, so it never changes.
pub const KIND: &str = "wholesale_run";

/// Claims after which a wake-up is parked.
pub const MAX_ATTEMPTS: i32 = 5;

/// What a worker is told about a run: the payload in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunJob {
    pub month: Month,
    /// The pass to walk to its end; none: begin one over the month's drafts, as a schedule does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass: Option<i32>,
}

impl RunJob {
    /// The wake-up as the queue takes it; at most one like it waits or runs.
    pub fn of(&self, organization: OrganizationId) -> NewJob {
        let RunJob { month, pass } = *self;
        let unique_key = match pass {
            Some(pass) => format!("{KIND}/{organization}/{month}/{pass}"),
            None => format!("{KIND}/{organization}/{month}"),
        };
        NewJob {
            kind: KIND.to_owned(),
            organization: Some(organization),
            payload: serde_json::json!(self),
            unique_key: Some(unique_key),
            run_at: None,
            max_attempts: MAX_ATTEMPTS,
        }
    }

    /// Does what the wake-up is for: walks its pass to the end, or begins the one that its schedule asks for.
    ///
    /// # Errors
    /// What [`run::begin`] refuses; faults of the database.
    pub async fn work(
        &self,
        billing: &Billing,
        organization: OrganizationId,
        progress: impl FnMut(&BillingRun) + Send,
    ) -> Result<(), Error> {
        let Some(pass) = self.pass else {
            // The pass that begins has a wake-up of its own.
            run::begin(billing, &Caller::schedule(organization), self.month, Goal::Drafts).await?;
            return Ok(());
        };
        let month = self.month;
        let found = billing
            .db
            .read(organization, async |conn| Ok::<_, Error>(store::runs::by_month(conn, organization, month).await?))
            .await?;
        let Some(run) = found.filter(|run| run.pass == pass) else { return Ok(()) };
        match run::walk(billing, &run, progress).await {
            // Whoever began the newer pass has enqueued for it.
            Err(Error::Refused(Refusal::RunSuperseded { .. })) => Ok(()),
            walked => walked.map(|_| ()),
        }
    }
}

/// Enqueues the wake-up of a run's pass in the caller's transaction; one that waits or runs already is enough.
///
/// # Errors
/// Faults of the database.
pub(super) async fn enqueue(conn: &mut Conn, run: &BillingRun) -> Result<(), Error> {
    let job = RunJob { month: run.month, pass: Some(run.pass) };
    queue::enqueue(conn, &job.of(run.organization_id)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_is_unique_per_pass_and_reads_back() {
        let organization = OrganizationId::new();
        let month: Month = "2026-10".parse().unwrap();
        let mut keys = Vec::new();
        for pass in [None, Some(1), Some(2)] {
            let job = RunJob { month, pass };
            let new = job.of(organization);
            assert_eq!(serde_json::from_value::<RunJob>(new.payload).unwrap(), job);
            keys.push(new.unique_key.unwrap());
        }
        keys.dedup();
        assert_eq!(keys.len(), 3);
        assert_eq!(RunJob { month, pass: None }.of(organization).payload, serde_json::json!({ "month": "2026-10" }));
    }
}
