//! The queue as apalis sees it: a [`Backend`] on `billing_db::Db`.
//!
//! It never claims more than there are free places, so that what is claimed begins at once, and what it claimed and
//! did not begin when the worker stops it hands back. A claim runs in a task of its own: cut half-way, nobody would
//! know of jobs that are ours. Faults of the database never end the worker; it asks again, less often.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::layers::Identity;
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use billing_db::queue::{self, Claimed};
use billing_db::{Db, DbError};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use crate::heartbeat::Heartbeat;
use crate::job::Job;

/// The longest pause while the database does not answer.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How far the workers are on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Working,
    /// Nothing is claimed any more; what runs may end.
    Draining,
    /// What still runs is cut and handed back.
    Cutting,
}

/// Wakes the workers of this process before their next look at the queue, after a commit that enqueued something.
///
/// It only shortens the second that they would wait; the workers of other processes wait that second.
#[derive(Debug, Clone, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    pub fn wake(&self) {
        self.0.notify_one();
    }
}

/// Asks the queue for jobs.
#[derive(Clone)]
pub(crate) struct Claimer {
    pub db: Db,
    pub worker: String,
    pub places: usize,
    pub lease: Duration,
    pub poll_every: Duration,
    pub phase: watch::Receiver<Phase>,
    pub heartbeat: Heartbeat,
    pub wake: Wake,
}

impl Claimer {
    /// Waits until something is ours; nothing when the worker stops.
    async fn next(mut self, context: WorkerContext) -> Vec<Claimed> {
        let mut pause = self.poll_every;
        while self.is_working() {
            // Only this task fills places while it runs, so none of these is taken when the answer comes.
            let free = self.places.saturating_sub(context.task_count());
            match self.claim(free).await {
                Ok(jobs) if jobs.is_empty() => pause = self.poll_every,
                Ok(jobs) if self.is_working() => return jobs,
                Ok(jobs) => {
                    hand_back(&self.db, jobs).await;
                    return Vec::new();
                }
                Err(error) => {
                    tracing::warn!(%error, "the queue cannot be asked for jobs");
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wake.0.notified() => {}
                // An error means that nobody is left who could say so.
                _ = self.phase.wait_for(|phase| *phase > Phase::Working) => {}
            }
        }
        Vec::new()
    }

    fn is_working(&self) -> bool {
        *self.phase.borrow() == Phase::Working && self.phase.has_changed().is_ok()
    }

    async fn claim(&self, free: usize) -> Result<Vec<Claimed>, DbError> {
        let jobs = self
            .db
            .unscoped(async |conn| queue::claim(conn, &self.worker, &Job::KINDS, free, self.lease).await)
            .await?;
        self.heartbeat.beat();
        Ok(jobs)
    }
}

/// Best effort: what cannot be handed back comes back when its lease ends.
async fn hand_back(db: &Db, jobs: Vec<Claimed>) {
    for Claimed { lease, .. } in jobs {
        let handed: Result<bool, DbError> = db.unscoped(async |conn| queue::hand_back(conn, lease).await).await;
        match handed {
            Ok(_) => tracing::debug!(job = %lease.job, "handed back, not begun"),
            Err(error) => tracing::warn!(job = %lease.job, %error, "could not be handed back"),
        }
    }
}

/// The source of an apalis worker's jobs.
pub(crate) struct QueueBackend {
    claimer: Claimer,
    claimed: VecDeque<Claimed>,
    claiming: Option<JoinHandle<Vec<Claimed>>>,
    closing: Option<BoxFuture<'static, ()>>,
}

impl QueueBackend {
    pub fn new(claimer: Claimer) -> Self {
        QueueBackend { claimer, claimed: VecDeque::new(), claiming: None, closing: None }
    }
}

impl Backend for QueueBackend {
    type Task = Task<Claimed>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Infallible>>> {
        loop {
            if let Some(job) = self.claimed.pop_front() {
                return Poll::Ready(Some(Ok(Task::new(job))));
            }
            if let Some(claiming) = &mut self.claiming {
                match ready!(claiming.poll_unpin(cx)) {
                    Ok(jobs) => self.claimed.extend(jobs),
                    Err(error) => tracing::error!(%error, "asking the queue for jobs broke off"),
                }
                self.claiming = None;
                // Nothing came: the worker stops, and looks here again only to close.
                if self.claimed.is_empty() && !self.claimer.is_working() {
                    return Poll::Pending;
                }
            } else if worker.task_count() < self.claimer.places {
                self.claiming = Some(tokio::spawn(self.claimer.clone().next(worker.clone())));
            } else {
                // The end of a running job wakes the worker.
                return Poll::Pending;
            }
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        let closing = self.closing.get_or_insert_with(|| {
            let db = self.claimer.db.clone();
            let mut jobs: Vec<Claimed> = self.claimed.drain(..).collect();
            let claiming = self.claiming.take();
            async move {
                if let Some(claiming) = claiming {
                    jobs.extend(claiming.await.unwrap_or_default());
                }
                hand_back(&db, jobs).await;
            }
            .boxed()
        });
        closing.poll_unpin(cx).map(Ok)
    }
}

impl BackendConfig for QueueBackend {
    type Args = Claimed;
    type Id = ();
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
