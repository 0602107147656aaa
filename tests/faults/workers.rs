//! Whole workers: they share the queue, die, freeze, fail and stop, and every job has one outcome.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use billing_db::Db;
use billing_db::queue::NewJob;
use billing_db::{DbError, queue};
use billing_primitives::{JobId, OrganizationId, TimeZone, Timestamp};
use jobs::{Handler, Job, JobError, Lease, Schedule, WorkerSettings, Workers, WorkersError};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

use crate::support::{counts, db, end_all_connections, enqueue, execute, job, row, until};

/// What the handler does with a job, by its kind: `verify` succeeds, `seal` waits for the gate, `overdue` fails,
/// `forget_keys` panics, a run is parked.
#[derive(Default)]
struct Story {
    runs: Mutex<HashMap<JobId, Vec<i64>>>,
    cut: Mutex<Vec<JobId>>,
    gate: Option<Arc<Semaphore>>,
    schedules: Mutex<Vec<Schedule>>,
}

impl Story {
    fn runs_of(&self, id: JobId) -> Vec<i64> {
        self.runs.lock().unwrap().get(&id).cloned().unwrap_or_default()
    }
}

/// Notes a job that was dropped before it came to its end.
struct NoteWhenCut<'a>(&'a Story, Option<JobId>);

impl Drop for NoteWhenCut<'_> {
    fn drop(&mut self) {
        self.0.cut.lock().unwrap().extend(self.1);
    }
}

impl Handler for Story {
    async fn run(&self, _: OrganizationId, job: Job, lease: Lease) -> Result<(), JobError> {
        self.runs.lock().unwrap().entry(lease.job).or_default().push(lease.number);
        let mut note = NoteWhenCut(self, Some(lease.job));
        let result = match job {
            Job::Verify => Ok(()),
            Job::Seal => match &self.gate {
                Some(gate) => {
                    gate.acquire().await.map(|pass| pass.forget()).map_err(|error| JobError::Retry(error.to_string()))
                }
                None => std::future::pending().await,
            },
            Job::Mature if lease.number < 6 => Err(JobError::Away("the node is away".to_owned())),
            Job::Mature => Ok(()),
            Job::EmitOverdue => Err(JobError::Retry("not today".to_owned())),
            Job::ForgetOldKeys => panic!("out of memory for keys"),
            Job::ContinueRun(run) => Err(JobError::Park(format!("no prices in {}", run.month))),
            other => Err(JobError::Park(format!("no story tells of {}", other.kind()))),
        };
        note.1 = None;
        result
    }

    async fn schedules(&self) -> Result<Vec<Schedule>, JobError> {
        Ok(self.schedules.lock().unwrap().clone())
    }
}

fn quick() -> WorkerSettings {
    WorkerSettings {
        lease: Duration::from_secs(1),
        poll_every: Duration::from_millis(20),
        tidy_every: Duration::from_millis(50),
        first_backoff: Duration::from_millis(10),
        drain: Duration::from_millis(100),
        ..WorkerSettings::default()
    }
}

/// Running workers, and how to end them.
struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), WorkersError>>,
}

impl Running {
    fn begin(db: &Db, story: &Arc<Story>, settings: WorkerSettings) -> Running {
        let (stop, stopped) = oneshot::channel();
        let shutdown = async move { stopped.await.unwrap_or(()) };
        Running { stop, task: tokio::spawn(Workers::run(db.clone(), Arc::clone(story), settings, shutdown)) }
    }

    async fn end(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }

    /// As kill -9 does it: nothing is released.
    async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_run_each_of_200_jobs_once() {
    let db = db().await;
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(enqueue(&db, &job("verify")).await);
    }
    let stories = [Arc::new(Story::default()), Arc::new(Story::default())];
    let workers = stories.each_ref().map(|story| Running::begin(&db, story, quick()));
    until("all are done", async || counts(&db).await.done == 200).await;
    for worker in workers {
        worker.end().await;
    }
    for id in ids {
        assert_eq!(stories[0].runs_of(id).len() + stories[1].runs_of(id).len(), 1, "{id}");
        assert_eq!(row(&db, id).await.attempts, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_run_at_a_time_than_there_are_places() {
    let db = db().await;
    for _ in 0..7 {
        enqueue(&db, &job("seal")).await;
    }
    let gate = Arc::new(Semaphore::new(0));
    let story = Arc::new(Story { gate: Some(Arc::clone(&gate)), ..Story::default() });
    let running = Running::begin(&db, &story, WorkerSettings { concurrency: 3, ..quick() });
    until("three have begun", async || story.runs.lock().unwrap().len() == 3).await;
    let busy = counts(&db).await;
    assert_eq!((busy.running, busy.queued), (3, 4), "nothing is claimed that cannot begin");
    gate.add_permits(7);
    until("all are done", async || counts(&db).await.done == 7).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_workers_job_is_taken_over_after_its_lease() {
    let db = db().await;
    let id = enqueue(&db, &job("seal")).await;
    let killed = Arc::new(Story::default());
    let running = Running::begin(&db, &killed, quick());
    until("it has begun", async || killed.runs_of(id) == [1]).await;
    let begun = Instant::now();
    running.kill().await;
    let left = row(&db, id).await;
    assert_eq!(left.status, "RUNNING", "nobody has released it");

    let gate = Arc::new(Semaphore::new(1));
    let heir = Arc::new(Story { gate: Some(gate), ..Story::default() });
    let running = Running::begin(&db, &heir, quick());
    until("it is done", async || row(&db, id).await.status == "DONE").await;
    assert_eq!(heir.runs_of(id), [2]);
    let done = row(&db, id).await;
    assert_eq!(done.attempts, 2);
    assert_ne!(done.worker, left.worker, "no two starts share a name");
    assert!(begun.elapsed() > Duration::from_millis(300), "not while the lease may still be renewed");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_longer_than_its_lease_keeps_it() {
    let db = db().await;
    let id = enqueue(&db, &job("seal")).await;
    let gate = Arc::new(Semaphore::new(0));
    let story = Arc::new(Story { gate: Some(Arc::clone(&gate)), ..Story::default() });
    let settings = WorkerSettings { lease: Duration::from_millis(300), ..quick() };
    let heartbeat = settings.heartbeat.clone();
    let workers = [Running::begin(&db, &story, settings), Running::begin(&db, &story, quick())];
    until("it has begun", async || story.runs_of(id) == [1]).await;
    let first = row(&db, id).await.leased_until.unwrap();
    until("it was renewed again and again", async || row(&db, id).await.leased_until.unwrap() > first.plus_seconds(1))
        .await;
    assert!(heartbeat.age().unwrap() < Duration::from_secs(5));
    gate.add_permits(1);
    until("it is done", async || row(&db, id).await.status == "DONE").await;
    assert_eq!(story.runs_of(id), [1]);
    for worker in workers {
        worker.end().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_keeps_failing_is_parked_while_others_go_on() {
    let db = db().await;
    let fails = enqueue(&db, &NewJob { max_attempts: 3, ..job("overdue") }).await;
    let panics = enqueue(&db, &NewJob { max_attempts: 2, ..job("forget_keys") }).await;
    let month = serde_json::json!({ "month": "2026-10" });
    let refuses = enqueue(&db, &NewJob { payload: month, ..job("wholesale_run") }).await;
    let unreadable = enqueue(&db, &job("wholesale_run")).await;
    let homeless = enqueue(&db, &NewJob { organization: None, ..job("verify") }).await;
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(enqueue(&db, &job("verify")).await);
    }
    let story = Arc::new(Story::default());
    // One place: whatever held it up would hold up all.
    let running = Running::begin(&db, &story, WorkerSettings { concurrency: 1, ..quick() });
    until("all have an outcome", async || {
        let counts = counts(&db).await;
        (counts.done, counts.parked) == (10, 5)
    })
    .await;
    for (id, attempts, error) in [
        (fails, 3, "not today"),
        (panics, 2, "panicked: out of memory for keys"),
        (refuses, 1, "no prices in 2026-10"),
        (unreadable, 1, "the payload cannot be read: missing field `month`"),
        (homeless, 1, "the job names no organization"),
    ] {
        let parked = row(&db, id).await;
        assert_eq!((parked.attempts, parked.last_error.as_deref()), (attempts, Some(error)));
    }
    assert!(others.iter().all(|id| story.runs_of(*id) == [1]));
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_database_is_away_outlives_its_attempts() {
    let db = db().await;
    let id = enqueue(&db, &NewJob { max_attempts: 2, ..job("mature") }).await;
    let story = Arc::new(Story::default());
    let running = Running::begin(&db, &story, quick());
    until("it is done", async || counts(&db).await.done == 1).await;
    assert_eq!(story.runs_of(id), (1..=6).collect::<Vec<_>>());
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_lost_its_lease_is_cut_and_writes_nothing() {
    let db = db().await;
    let id = enqueue(&db, &job("seal")).await;
    let frozen = Arc::new(Story::default());
    let running = Running::begin(&db, &frozen, quick());
    until("it has begun", async || frozen.runs_of(id) == [1]).await;
    // What a frozen worker finds when it wakes up: somebody else has claimed its job.
    execute(&db, "UPDATE job SET lease_number = 2, attempts = 2, leased_until = now() + interval '1 hour'").await;
    let taken = row(&db, id).await;
    until("it is cut", async || *frozen.cut.lock().unwrap() == [id]).await;
    running.end().await;
    assert_eq!(row(&db, id).await, taken);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_hands_back_what_does_not_end_in_time() {
    let db = db().await;
    let gate = Arc::new(Semaphore::new(0));
    let story = Arc::new(Story { gate: Some(Arc::clone(&gate)), ..Story::default() });
    let ends = enqueue(&db, &job("seal")).await;
    let running = Running::begin(&db, &story, WorkerSettings { drain: Duration::from_secs(20), ..quick() });
    until("it has begun", async || story.runs_of(ends) == [1]).await;
    running.stop.send(()).unwrap();
    let waits = enqueue(&db, &job("seal")).await;
    gate.add_permits(1);
    running.task.await.unwrap().unwrap();
    assert_eq!(row(&db, ends).await.status, "DONE", "it had time to end");
    assert_eq!(row(&db, waits).await.status, "QUEUED", "nothing was claimed any more");

    let running = Running::begin(&db, &story, quick());
    until("it has begun", async || story.runs_of(waits) == [1]).await;
    running.end().await;
    let back = row(&db, waits).await;
    assert_eq!((back.status.as_str(), back.attempts, back.worker), ("QUEUED", 0, None));
    assert_eq!(*story.cut.lock().unwrap(), [waits]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shutdown_hands_back_what_was_claimed_and_not_begun() {
    let db = db().await;
    let story = Arc::new(Story::default());
    let running = Running::begin(&db, &story, quick());
    let (locked, is_locked) = oneshot::channel();
    let (unlock, wait) = oneshot::channel::<()>();
    let channels = tokio::sync::Mutex::new(Some((locked, wait)));
    let locking = {
        let db = db.clone();
        tokio::spawn(async move {
            let done: Result<(), DbError> = db
                .unscoped(async |conn| {
                    queue::enqueue(conn, &job("verify")).await?;
                    use diesel_async::RunQueryDsl;
                    diesel::sql_query("LOCK TABLE job IN SHARE ROW EXCLUSIVE MODE").execute(conn).await?;
                    let (locked, wait) = channels.lock().await.take().expect("runs once");
                    locked.send(()).expect("somebody waits");
                    wait.await.expect("somebody says so");
                    Ok(())
                })
                .await;
            done.unwrap();
        })
    };
    is_locked.await.unwrap();
    until("the claim and the reaper wait for the lock", async || {
        let waiting = "SELECT FROM pg_locks WHERE NOT granted AND relation = 'job'::regclass";
        execute(&db, waiting).await == 2
    })
    .await;
    running.stop.send(()).unwrap();
    unlock.send(()).unwrap();
    running.task.await.unwrap().unwrap();
    locking.await.unwrap();
    let counts = counts(&db).await;
    assert_eq!((counts.queued, counts.running, counts.done), (1, 0, 0));
    assert!(story.runs.lock().unwrap().is_empty());
    assert_eq!(execute(&db, "SELECT FROM job WHERE attempts = 0 AND lease_number = 1").await, 1, "it had been claimed");
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_outlive_the_loss_of_every_connection() {
    let db = db().await;
    let gate = Arc::new(Semaphore::new(0));
    let story = Arc::new(Story { gate: Some(Arc::clone(&gate)), ..Story::default() });
    let running = Running::begin(&db, &story, WorkerSettings { lease: Duration::from_secs(5), ..quick() });
    for round in 1..=5 {
        let key = format!("round {round}");
        let new = NewJob { unique_key: Some(key), ..job("seal") };
        // Until the pool has noticed, it may still hand out a connection that is gone: an error that passes.
        until("the job is enqueued", async || {
            let enqueued: Result<_, DbError> = db.unscoped(async |conn| queue::enqueue(conn, &new).await).await;
            enqueued.map_err(|error| assert!(error.is_passing(), "{error:?}")).is_ok()
        })
        .await;
        until("it has begun", async || story.runs.lock().unwrap().len() == round).await;
        end_all_connections(&db).await;
        gate.add_permits(1);
    }
    until("all are done", async || {
        let counts: Result<_, DbError> = db.unscoped(async |conn| queue::counts(conn).await).await;
        counts.is_ok_and(|counts| counts.done == 5)
    })
    .await;
    running.end().await;
    assert!(story.runs.lock().unwrap().values().all(|runs| *runs == [1]), "each ran once and was finished");
}

#[tokio::test(flavor = "multi_thread")]
async fn missed_months_are_made_up_for_and_missed_minutes_are_not() {
    let db = db().await;
    let organization = OrganizationId::new();
    let zone: TimeZone = "Europe/Copenhagen".parse().unwrap();
    let monthly = Schedule::wholesale_run(organization, zone.clone(), "0 6 1 * *".to_owned());
    let broken = Schedule::wholesale_run(OrganizationId::new(), zone.clone(), "at dawn".to_owned());
    let [overdue, ..] = Schedule::standing(organization, &zone);
    // The last thing known is a tick of 100 days ago.
    let now: Result<Timestamp, DbError> = db.unscoped(async |conn| queue::now(conn).await).await;
    let now = now.unwrap();
    let last = now.plus_seconds(-100 * 86_400);
    let missed = monthly.due(last, now).unwrap().len();
    assert!((3..=4).contains(&missed), "{missed} months begin in 100 days");
    for schedule in [&monthly, &overdue] {
        let key = schedule.key();
        let told: Result<bool, DbError> =
            db.unscoped(async |conn| queue::tick(conn, &key, last, &job("of_long_ago")).await).await;
        assert!(told.unwrap());
    }
    let schedules = Mutex::new(vec![broken, monthly, overdue]);
    let story = Arc::new(Story { schedules, ..Story::default() });
    let workers = [Running::begin(&db, &story, quick()), Running::begin(&db, &story, quick())];
    until("every missed run and one overdue job had their turn", async || {
        execute(&db, "SELECT FROM job WHERE kind = 'wholesale_run' AND status = 'PARKED'").await == missed
            && execute(&db, "SELECT FROM job WHERE kind = 'overdue' AND attempts > 0").await == 1
    })
    .await;
    for worker in workers {
        worker.end().await;
    }
    assert_eq!(execute(&db, "SELECT DISTINCT payload FROM job WHERE kind = 'wholesale_run'").await, missed);
    assert_eq!(execute(&db, "SELECT FROM job WHERE kind = 'overdue'").await, 1);
}
