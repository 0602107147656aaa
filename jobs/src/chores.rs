//! What goes on beside the jobs: due ticks are enqueued, jobs of lost workers are taken back, old rows are deleted.
//!
//! Every process does all of it, at any time, and none relies on another: a tick is a row that only one of them
//! inserts, and a lost job a row that only one of them locks. What is due is decided by the database's clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use billing_db::queue;
use billing_db::{Db, DbError};
use billing_primitives::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backend::Wake;
use crate::job::Handler;
use crate::schedule::{Schedule, check_cron};

/// How often the organizations are asked for their schedules.
const REFRESH_EVERY: Duration = Duration::from_secs(60);

/// How often old rows are deleted.
const DELETE_EVERY: Duration = Duration::from_secs(600);

/// How long jobs that are done, and ticks, are kept.
const KEEP: Duration = Duration::from_secs(3 * 86_400);

/// Takes jobs back from lost workers, and deletes what is old. Ends only when it is dropped.
pub(crate) async fn tidy(db: Db, every: Duration) {
    let mut deleted_at: Option<Instant> = None;
    loop {
        let reaped: Result<queue::Reaped, DbError> = db.unscoped(async |conn| queue::reap(conn).await).await;
        match reaped {
            Ok(reaped) if reaped == queue::Reaped::default() => {}
            Ok(reaped) => tracing::warn!(reaped.queued, reaped.parked, "took jobs from workers that were lost"),
            Err(error) => tracing::warn!(%error, "lost jobs could not be looked for"),
        }
        if deleted_at.is_none_or(|at| at.elapsed() >= DELETE_EVERY) {
            let deleted: Result<usize, DbError> = db.unscoped(async |conn| queue::delete_old(conn, KEEP).await).await;
            match deleted {
                Ok(rows) => tracing::debug!(rows, "deleted old jobs and ticks"),
                Err(error) => tracing::warn!(%error, "old jobs could not be deleted"),
            }
            deleted_at = Some(Instant::now());
        }
        tokio::time::sleep(every).await;
    }
}

/// Enqueues what falls due.
pub(crate) struct Scheduler<H> {
    db: Db,
    handler: Arc<H>,
    wake: Wake,
    schedules: Vec<Schedule>,
    read_next: Instant,
    /// The newest tick that is recorded, by the key of its schedule.
    recorded: HashMap<String, Timestamp>,
}

impl<H: Handler> Scheduler<H> {
    pub fn new(db: Db, handler: Arc<H>, wake: Wake) -> Self {
        Scheduler { db, handler, wake, schedules: Vec::new(), read_next: Instant::now(), recorded: HashMap::new() }
    }

    /// Ends only when it is dropped. The known schedules are followed while new ones are read, however long that takes.
    pub async fn run(mut self, every: Duration) {
        // A set of one: it is cut when it is dropped.
        let mut reading = JoinSet::new();
        loop {
            if reading.is_empty() && self.read_next <= Instant::now() {
                // Soon again, should it fail.
                self.read_next = Instant::now() + every;
                let handler = Arc::clone(&self.handler);
                reading.spawn(async move { handler.schedules().await });
            }
            tokio::select! {
                Some(read) = reading.join_next() => match read {
                    Ok(Ok(schedules)) => self.follow(schedules),
                    Ok(Err(error)) => tracing::warn!(%error, "the schedules could not be read, the known ones go on"),
                    Err(error) => tracing::error!(%error, "reading the schedules broke off"),
                },
                () = tokio::time::sleep(every) => {}
            }
            if let Err(error) = self.enqueue_due().await {
                tracing::warn!(%error, "due jobs could not be enqueued");
            }
        }
    }

    fn follow(&mut self, mut schedules: Vec<Schedule>) {
        schedules.retain(can_be_followed);
        let keys: HashSet<String> = schedules.iter().map(Schedule::key).collect();
        self.recorded.retain(|key, _| keys.contains(key));
        self.schedules = schedules;
        self.read_next = Instant::now() + REFRESH_EVERY;
    }

    async fn enqueue_due(&mut self) -> Result<(), DbError> {
        let now = self.db.unscoped(async |conn| queue::now(conn).await).await?;
        let mut enqueued = false;
        for schedule in &self.schedules {
            let key = schedule.key();
            let recorded = match self.recorded.get(&key) {
                Some(recorded) => *recorded,
                None => self.db.unscoped(async |conn| queue::begin_schedule(conn, &key).await).await?,
            };
            let due = schedule.due(recorded, now).unwrap_or_else(|error| {
                tracing::error!(schedule = key, %error, "nobody can say what is due");
                Vec::new()
            });
            let mut newest = recorded;
            for tick in due {
                enqueued |= enqueue_tick(&self.db, schedule, &key, tick).await?;
                newest = tick;
            }
            self.recorded.insert(key, newest);
        }
        if enqueued {
            self.wake.wake();
        }
        Ok(())
    }
}

/// One organization's bad schedule is not another's.
fn can_be_followed(schedule: &Schedule) -> bool {
    let checked = check_cron(&schedule.cron);
    if let Err(error) = &checked {
        tracing::error!(schedule = schedule.key(), %error, "the schedule cannot be followed");
    }
    checked.is_ok()
}

async fn enqueue_tick(db: &Db, schedule: &Schedule, key: &str, tick: Timestamp) -> Result<bool, DbError> {
    let new = match schedule.planned.job(tick, &schedule.zone).of(schedule.organization) {
        Ok(new) => new,
        Err(error) => {
            tracing::error!(schedule = key, %error, "the job cannot be written down");
            return Ok(false);
        }
    };
    db.unscoped(async |conn| queue::tick(conn, key, tick, &new).await).await
}
