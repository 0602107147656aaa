//! Runs one claimed job to its outcome and writes that down.
//!
//! The job runs in a task of its own beside the renewals of its lease: a panic ends it and nothing else, and when the
//! lease is lost or the process must end it is cut. The outcome is written under the lease, so a late one is refused.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use billing_db::queue::{self, Claimed, Lease, Retried};
use billing_db::{Db, DbError};
use futures::FutureExt;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

use crate::backend::Phase;
use crate::heartbeat::Heartbeat;
use crate::job::{Handler, Job, JobError};

/// How often the outcome is tried to be written while the database does not answer, for some 24 seconds: a server that is
/// started again is back by then. After that the lease ends, and the job runs again.
const WRITES: u32 = 6;

/// Claims, in some ten days, after which a job whose database is always away is treated as one that fails: it may be
/// what takes the database down.
const MOST_CLAIMS: i64 = 1_000;

/// Runs jobs with a handler.
pub(crate) struct Runner<H> {
    pub db: Db,
    pub handler: Arc<H>,
    pub lease: Duration,
    /// The pause after the first failed attempt; each further one is twice as long.
    pub first_backoff: Duration,
    pub longest_backoff: Duration,
    pub phase: watch::Receiver<Phase>,
    pub heartbeat: Heartbeat,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Done,
    Retry(String),
    Away(String),
    Park(String),
    /// Cut, because the process ends.
    HandBack,
    /// Cut, because somebody else has the job.
    LeaseLost,
}

impl<H: Handler> Runner<H> {
    /// Never fails: what goes wrong is written to the job, or the job comes back when its lease ends.
    pub async fn work(self: Arc<Self>, claimed: Claimed) {
        let Claimed { lease, organization, kind, payload, attempts, .. } = claimed;
        let span =
            tracing::info_span!("job", id = %lease.job, kind, attempt = attempts, organization = tracing::field::Empty);
        if let Some(organization) = organization {
            span.record("organization", tracing::field::display(organization));
        }
        async {
            let outcome = match (organization, Job::parse(&kind, payload)) {
                (Some(organization), Ok(job)) => {
                    let handler = Arc::clone(&self.handler);
                    self.supervise(lease, async move { handler.run(organization, job, lease).await }).await
                }
                (None, _) => Outcome::Park("the job names no organization".to_owned()),
                (_, Err(error)) => Outcome::Park(format!("the payload cannot be read: {error}")),
            };
            self.settle(lease, attempts, outcome).await;
        }
        .instrument(span)
        .await;
    }

    async fn supervise(
        &self,
        lease: Lease,
        run: impl Future<Output = Result<(), JobError>> + Send + 'static,
    ) -> Outcome {
        let mut phase = self.phase.clone();
        // A set of one: it is cut when it is dropped.
        let mut running = JoinSet::new();
        running.spawn(AssertUnwindSafe(run).catch_unwind().in_current_span());
        tokio::select! {
            ended = running.join_next() => match ended {
                Some(Ok(Ok(Ok(())))) => Outcome::Done,
                Some(Ok(Ok(Err(JobError::Retry(message))))) => Outcome::Retry(message),
                Some(Ok(Ok(Err(JobError::Away(message))))) => away(lease, message),
                Some(Ok(Ok(Err(JobError::Park(message))))) => Outcome::Park(message),
                Some(Ok(Err(panic))) => Outcome::Retry(format!("panicked: {}", panic_text(panic.as_ref()))),
                Some(Err(error)) => Outcome::Retry(error.to_string()),
                None => Outcome::Retry("the job's task is gone".to_owned()),
            },
            () = self.renew_until_lost(lease) => Outcome::LeaseLost,
            // An error means that nobody is left who could say so, and the process ends.
            _ = phase.wait_for(|phase| *phase == Phase::Cutting) => Outcome::HandBack,
        }
    }

    /// Three renewals a lease, so that two may fail.
    async fn renew_until_lost(&self, lease: Lease) {
        loop {
            tokio::time::sleep(self.lease / 3).await;
            let renewed: Result<bool, DbError> =
                self.db.unscoped(async |conn| queue::renew(conn, lease, self.lease).await).await;
            match renewed {
                Ok(true) => self.heartbeat.beat(),
                Ok(false) => return,
                // Nobody can take the job through a database that does not answer, either.
                Err(error) => tracing::warn!(%error, "the lease could not be renewed"),
            }
        }
    }

    async fn settle(&self, lease: Lease, attempts: i32, outcome: Outcome) {
        let mut pause = Duration::from_millis(200);
        for attempt in 1.. {
            match self.write(lease, attempts, &outcome).await {
                Ok(true) => return,
                Ok(false) => {
                    tracing::warn!(?outcome, "somebody else has the job by now: the outcome is not written");
                    return;
                }
                Err(error) if attempt < WRITES && error.is_passing() => {
                    tokio::time::sleep(pause).await;
                    pause *= 3;
                }
                Err(error) => {
                    tracing::error!(?outcome, %error, "the outcome could not be written: the job will run again");
                    return;
                }
            }
        }
    }

    /// False when the lease is lost.
    async fn write(&self, lease: Lease, attempts: i32, outcome: &Outcome) -> Result<bool, DbError> {
        match outcome {
            Outcome::Done => self.db.unscoped(async |conn| queue::finish(conn, lease).await).await,
            Outcome::Retry(error) => {
                let backoff = self.backoff(attempts);
                let retried: Retried =
                    self.db.unscoped(async |conn| queue::retry_later(conn, lease, error, backoff).await).await?;
                match retried {
                    Retried::Later => tracing::warn!(error, ?backoff, "failed, will be tried again"),
                    Retried::Parked => tracing::error!(error, "failed for the last time and was parked"),
                    Retried::LeaseLost => return Ok(false),
                }
                Ok(true)
            }
            Outcome::Away(error) => {
                let pause = self.backoff(i32::try_from(lease.number).unwrap_or(i32::MAX));
                tracing::warn!(error, ?pause, "the database is away, will be tried again");
                self.db.unscoped(async |conn| queue::put_off(conn, lease, error, pause).await).await
            }
            Outcome::Park(error) => {
                tracing::error!(error, "parked");
                self.db.unscoped(async |conn| queue::park(conn, lease, error).await).await
            }
            Outcome::HandBack => {
                tracing::info!("cut and handed back: the process ends");
                self.db.unscoped(async |conn| queue::hand_back(conn, lease).await).await
            }
            Outcome::LeaseLost => Ok(false),
        }
    }

    fn backoff(&self, attempts: i32) -> Duration {
        backoff(self.first_backoff, self.longest_backoff, attempts)
    }
}

fn away(lease: Lease, message: String) -> Outcome {
    if lease.number < MOST_CLAIMS { Outcome::Away(message) } else { Outcome::Retry(message) }
}

/// `first`, doubled with each attempt after the first one, up to `longest`.
fn backoff(first: Duration, longest: Duration, attempts: i32) -> Duration {
    let doublings = u32::try_from(attempts - 1).unwrap_or(0);
    let factor = 2_u32.checked_pow(doublings).unwrap_or(u32::MAX);
    first.saturating_mul(factor).min(longest)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_double_up_to_the_longest() {
        let seconds = |attempts| backoff(Duration::from_secs(15), Duration::from_secs(900), attempts).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(seconds), [15, 30, 60, 120, 240, 480, 900, 900]);
        assert_eq!(seconds(i32::MAX), 900);
        assert_eq!(seconds(0), 15);
    }
}
