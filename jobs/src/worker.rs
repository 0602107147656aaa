//! Puts the workers of a process together, and takes them apart without losing a job.
//!
//! The way out: nothing more is claimed and nothing falls due; what was claimed and not begun goes back at once; what
//! runs may end within a limit, is then cut, and goes back too. Should the database be away at that moment, the leases
//! end by themselves.

use std::sync::Arc;
use std::time::Duration;

use apalis_core::worker::builder::WorkerBuilder;
use apalis_core::worker::context::WorkerContext;
use billing_db::Db;
use billing_db::queue::Claimed;
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::backend::{Claimer, Phase, QueueBackend, Wake};
use crate::chores::{self, Scheduler};
use crate::heartbeat::Heartbeat;
use crate::job::Handler;
use crate::runner::Runner;

/// How long the jobs that were cut have to be handed back.
const HAND_BACK: Duration = Duration::from_secs(5);

/// How the workers of a process work.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Jobs that run at a time. Each may hold a connection of the pool, and the queue needs two more.
    pub concurrency: usize,
    /// How long a job stays with a worker that gives no sign of life. Renewed three times in that time.
    pub lease: Duration,
    /// How often the queue is asked for jobs while there are none.
    pub poll_every: Duration,
    /// How often is looked for what fell due and for jobs of lost workers.
    pub tidy_every: Duration,
    /// The pause after a job's first failed attempt; each further pause is twice as long.
    pub first_backoff: Duration,
    pub longest_backoff: Duration,
    /// How long running jobs may go on at shutdown before they are cut.
    pub drain: Duration,
    /// Keep a clone of it for the health endpoint.
    pub heartbeat: Heartbeat,
    /// Keep a clone of it to wake the workers after a commit.
    pub wake: Wake,
}

impl Default for WorkerSettings {
    fn default() -> Self {
        WorkerSettings {
            concurrency: 4,
            lease: Duration::from_secs(30),
            poll_every: Duration::from_secs(1),
            tidy_every: Duration::from_secs(5),
            first_backoff: Duration::from_secs(15),
            longest_backoff: Duration::from_secs(900),
            drain: Duration::from_secs(20),
            heartbeat: Heartbeat::default(),
            wake: Wake::default(),
        }
    }
}

/// The workers ended though nobody told them to.
#[derive(Debug, Error)]
pub enum WorkersError {
    #[error("the worker ended by itself: {0}")]
    Worker(String),
    #[error("the scheduler or the reaper ended by itself: {0}")]
    Chore(String),
}

/// The workers of one process.
pub struct Workers;

impl Workers {
    /// Works until `shutdown` resolves, and then until every job of this process is done or handed back.
    ///
    /// # Errors
    /// See [`WorkersError`]: faults of this program alone. While the database is away the workers wait for it.
    pub async fn run<H: Handler>(
        db: Db,
        handler: Arc<H>,
        settings: WorkerSettings,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), WorkersError> {
        // Unique for each start: a process that comes back is not taken for the one that was lost.
        let name = format!("{}-{}", std::process::id(), Uuid::now_v7().simple());
        let (phase, watching) = watch::channel(Phase::Working);
        let context = WorkerContext::new(&name);
        let backend = QueueBackend::new(claimer(&db, &name, &settings, &watching));
        let runner = Arc::new(runner(&db, &handler, &settings, &watching));
        let service = move |claimed: Claimed| Arc::clone(&runner).work(claimed);
        let worker = WorkerBuilder::new(&context).backend(backend).build(service);
        let mut working = std::pin::pin!(worker.run());
        tracing::info!(worker = name, settings.concurrency, "the workers begin");

        let mut chores = JoinSet::new();
        chores.spawn(chores::tidy(db.clone(), settings.tidy_every));
        chores.spawn(Scheduler::new(db, handler, settings.wake.clone()).run(settings.tidy_every));

        let ended = tokio::select! {
            // Polled first, so that it has begun when it is told to stop.
            biased;
            ended = &mut working => return Err(WorkersError::Worker(said(ended))),
            ended = chores.join_next() => Err(WorkersError::Chore(ended.map(said).unwrap_or_default())),
            () = shutdown => Ok(()),
        };
        chores.abort_all();
        tracing::info!(running = context.task_count(), "the workers stop");
        phase.send_replace(Phase::Draining);
        context.stop().map_err(|error| WorkersError::Worker(error.to_string()))?;
        if tokio::time::timeout(settings.drain, &mut working).await.is_err() {
            phase.send_replace(Phase::Cutting);
            if tokio::time::timeout(HAND_BACK, &mut working).await.is_err() {
                tracing::warn!("not all jobs could be handed back: they come back when their leases end");
            }
        }
        ended
    }
}

fn claimer(db: &Db, name: &str, settings: &WorkerSettings, phase: &watch::Receiver<Phase>) -> Claimer {
    Claimer {
        db: db.clone(),
        worker: name.to_owned(),
        places: settings.concurrency.max(1),
        lease: settings.lease,
        poll_every: settings.poll_every,
        phase: phase.clone(),
        heartbeat: settings.heartbeat.clone(),
        wake: settings.wake.clone(),
    }
}

fn runner<H>(db: &Db, handler: &Arc<H>, settings: &WorkerSettings, phase: &watch::Receiver<Phase>) -> Runner<H> {
    Runner {
        db: db.clone(),
        handler: Arc::clone(handler),
        lease: settings.lease,
        first_backoff: settings.first_backoff,
        longest_backoff: settings.longest_backoff,
        phase: phase.clone(),
        heartbeat: settings.heartbeat.clone(),
    }
}

fn said<E: std::fmt::Display>(ended: Result<(), E>) -> String {
    ended.err().map_or_else(|| "without an error".to_owned(), |error| error.to_string())
}
