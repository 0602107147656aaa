//! The jobs of the product: each calls one service of `billing`, which reads what is to be done.
//!
//! None of them relies on its lease. A run's pass is its fence: workers take turns at its row chunk by chunk, and one
//! that comes back late finds the pass done or superseded and writes nothing. The others do what is still to be done,
//! under locks of their own: twice is once.

use std::time::Duration;

use billing::inbox::{self, EventJob, Processed};
use billing::invoicing::job::RunJob;
use billing::programs::evaluations;
use billing::{Billing, DbError, Error, Refusal, organizations, payments, payouts, reconciliation};
use billing_primitives::OrganizationId;
use futures::StreamExt;

use crate::Lease;
use crate::job::{Handler, Job, JobError};
use crate::schedule::Schedule;

/// How long the schedules of one organization are waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// Organizations whose schedules are read at a time: each holds a connection.
const READ_BESIDE: usize = 2;

/// Differences that the error of a parked verification quotes.
const QUOTED: usize = 5;

/// Does the jobs of every organization.
#[derive(Clone)]
pub struct BillingHandler {
    billing: Billing,
}

impl BillingHandler {
    pub fn new(billing: Billing) -> Self {
        BillingHandler { billing }
    }

    /// Walks the pass that the job names; without one it begins to draft the month. Only a person begins to finalize.
    async fn continue_run(&self, organization: OrganizationId, run: RunJob) -> Result<(), Error> {
        run.work(&self.billing, organization, |run| {
            tracing::info!(month = %run.month, status = %run.status, partners = run.partners_done, "the run goes on");
        })
        .await
    }

    async fn process(&self, organization: OrganizationId, job: &EventJob) -> Result<(), JobError> {
        match inbox::process(&self.billing, organization, &job.event).await.map_err(judged)? {
            Processed::Done => Ok(()),
            Processed::Later(reason) => Err(JobError::Retry(reason)),
        }
    }

    async fn verify(&self, organization: OrganizationId) -> Result<(), JobError> {
        let report = reconciliation::verify(&self.billing, organization).await.map_err(judged)?;
        let differences: Vec<_> = report.differences().collect();
        for (check, difference) in &differences {
            tracing::error!(check, difference, "verify found a difference");
        }
        if differences.is_empty() {
            return Ok(());
        }
        let quoted: Vec<String> =
            differences.iter().take(QUOTED).map(|(check, difference)| format!("{check}: {difference}")).collect();
        // Trying again would find the same.
        Err(JobError::Park(format!("{} differences: {}", differences.len(), quoted.join("; "))))
    }

    async fn schedules_of(&self, organization: OrganizationId) -> Result<Vec<Schedule>, Error> {
        let seller = organizations::get(&self.billing, organization).await?;
        let mut schedules = Schedule::standing(organization, &seller.time_zone).to_vec();
        if let Some(cron) = seller.run_schedule {
            schedules.push(Schedule::wholesale_run(organization, seller.time_zone.clone(), cron));
        }
        for own in payouts::schedules(&self.billing, organization).await? {
            schedules.push(Schedule::payout_run(organization, seller.time_zone.clone(), own.program, own.cron));
        }
        Ok(schedules)
    }
}

impl Handler for BillingHandler {
    async fn run(&self, organization: OrganizationId, job: Job, _: Lease) -> Result<(), JobError> {
        match job {
            Job::ContinueRun(run) => match self.continue_run(organization, run).await {
                // A schedule ticks before there is anything to bill, and another pass does what this one would have.
                Err(Error::Refused(Refusal::MonthBeforeBilling { .. } | Refusal::RunSuperseded { .. })) => Ok(()),
                done => done.map_err(judged),
            },
            Job::EmitOverdue => {
                let emitted = payments::overdue(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(emitted, "invoices became overdue");
                Ok(())
            }
            Job::Verify => self.verify(organization).await,
            Job::Seal => {
                let sealed = reconciliation::seal(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(sealed, "rows were sealed");
                Ok(())
            }
            Job::ForgetOldKeys => {
                let forgotten = self.billing.db.forget_old_keys(organization).await.map_err(|error| retry(&error))?;
                tracing::debug!(forgotten, "idempotency keys were forgotten");
                Ok(())
            }
            Job::EvaluateTiers => {
                let evaluated = evaluations::evaluate_current(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(evaluated, "enrollments were evaluated");
                Ok(())
            }
            Job::Mature => {
                let ripened = payouts::mature(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(ripened, "commissions ripened");
                Ok(())
            }
            Job::MakeStatements => {
                let made = payouts::make_due_statements(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(made, "commission statements were made");
                Ok(())
            }
            Job::OpenPayoutRun(run) => {
                let opened = payouts::open_scheduled(&self.billing, organization, run.program, run.month).await;
                let opened = opened.map_err(judged)?;
                tracing::info!(program = %run.program, month = %run.month, new = opened.is_some(), "payout run");
                Ok(())
            }
            Job::StripeEvent(event) => self.process(organization, &event).await,
            Job::DeriveCommissions(derive) => {
                let steps = derive.work(&self.billing, organization).await.map_err(judged)?;
                tracing::info!(program = %derive.program, steps, "commissions were derived again");
                Ok(())
            }
            Job::RetryEvents => {
                let woken = inbox::retry_open(&self.billing, organization).await.map_err(judged)?;
                tracing::debug!(woken, "events are tried again");
                Ok(())
            }
        }
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, JobError> {
        let organizations = organizations::directory(&self.billing).await.map_err(judged)?;
        let read = futures::stream::iter(organizations)
            .map(async |(_, organization)| {
                match tokio::time::timeout(PATIENCE, self.schedules_of(organization)).await {
                    Ok(Ok(schedules)) => return schedules,
                    // Its node is away: what it misses is made up for, and the others miss nothing.
                    Ok(Err(error)) => tracing::warn!(%organization, %error, "its schedules cannot be read"),
                    Err(_) => tracing::warn!(%organization, "its schedules cannot be read in time"),
                }
                Vec::new()
            })
            .buffer_unordered(READ_BESIDE);
        Ok(read.concat().await)
    }
}

/// What the database could not do now it may do later; what the business refuses needs somebody who looks at it.
fn judged(error: Error) -> JobError {
    match error {
        Error::Db(error) => retry(&error),
        Error::Refused(_) | Error::Key(_) | Error::Corrupt(_) => JobError::Park(error.to_string()),
    }
}

/// Contention that five attempts at once did not end is the job's own.
fn retry(error: &DbError) -> JobError {
    let away = error.is_passing() && !error.is_contention();
    if away { JobError::Away(error.to_string()) } else { JobError::Retry(error.to_string()) }
}
