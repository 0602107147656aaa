//! The queue's statements, one by one: who gets a job, who may write to it, and what becomes of it.

use std::time::Duration;

use billing_db::queue::{self, Claimed, Enqueued, Lease, NewJob, Reaped, Retried};
use billing_db::{Db, DbError, Distributed, MigrateError, Settings, directory};
use billing_primitives::{OrganizationId, Timestamp};
use diesel_async::RunQueryDsl;
use tests::world;
use tokio::sync::oneshot;

use crate::support::{counts, db, enqueue, execute, job, row};

const MINUTE: Duration = Duration::from_secs(60);
const KIND: &str = "verify";

async fn claim(db: &Db, limit: usize, length: Duration) -> Vec<Claimed> {
    let claimed: Result<_, DbError> =
        db.unscoped(async |conn| queue::claim(conn, "somebody", &[KIND], limit, length).await).await;
    claimed.unwrap()
}

async fn claim_one(db: &Db, length: Duration) -> Lease {
    let claimed = claim(db, 1, length).await;
    assert_eq!(claimed.len(), 1, "one job is due");
    claimed[0].lease
}

async fn reap(db: &Db) -> Reaped {
    let reaped: Result<_, DbError> = db.unscoped(async |conn| queue::reap(conn).await).await;
    reaped.unwrap()
}

#[tokio::test]
async fn a_job_commits_and_rolls_back_with_the_business_write() {
    let db = db().await;
    let organization = OrganizationId::new();
    let write = async |key: &str, fails: bool| {
        let done: Result<Enqueued, DbError> = db
            .scoped(organization, async |conn| {
                directory::add(conn, directory::Kind::ApiKey, key, organization).await?;
                let enqueued = queue::enqueue(conn, &job(KIND)).await?;
                if fails { Err(DbError::Timeout) } else { Ok(enqueued) }
            })
            .await;
        done
    };
    assert!(write("first", true).await.is_err());
    assert_eq!(counts(&db).await.queued, 0, "rolled back with the write");
    assert!(matches!(write("second", false).await, Ok(Enqueued::Now(_))));
    assert_eq!(counts(&db).await.queued, 1);
    assert_eq!(claim(&db, 10, MINUTE).await.len(), 1, "claimed outside of any organization");
}

#[tokio::test]
async fn one_job_with_a_unique_key_waits_or_runs() {
    let db = db().await;
    let new = NewJob { unique_key: Some("seal/1".to_owned()), ..job(KIND) };
    let again = async || {
        let enqueued: Result<_, DbError> = db.unscoped(async |conn| queue::enqueue(conn, &new).await).await;
        enqueued.unwrap()
    };
    assert!(matches!(again().await, Enqueued::Now(_)));
    assert_eq!(again().await, Enqueued::Before, "while it waits");
    let lease = claim_one(&db, MINUTE).await;
    assert_eq!(again().await, Enqueued::Before, "while it runs");
    let finished: Result<bool, DbError> = db.unscoped(async |conn| queue::finish(conn, lease).await).await;
    assert!(finished.unwrap());
    assert!(matches!(again().await, Enqueued::Now(_)), "when it is done");
}

#[tokio::test]
async fn due_jobs_of_known_kinds_are_claimed_in_order() {
    let db = db().await;
    let at = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let late = enqueue(&db, &NewJob { run_at: at("2020-01-02T00:00:00Z"), ..job(KIND) }).await;
    let early = enqueue(&db, &NewJob { run_at: at("2020-01-01T00:00:00Z"), ..job(KIND) }).await;
    enqueue(&db, &NewJob { run_at: at("2190-01-01T00:00:00Z"), ..job(KIND) }).await;
    enqueue(&db, &job("of_a_newer_version")).await;
    let claimed: Vec<_> = claim(&db, 10, MINUTE).await.into_iter().map(|claimed| claimed.lease.job).collect();
    assert_eq!(claimed, [early, late]);
    assert_eq!(counts(&db).await.queued, 2);
}

#[tokio::test]
async fn every_write_of_a_stale_lease_is_refused() {
    let db = db().await;
    let id = enqueue(&db, &job(KIND)).await;
    let stale = claim_one(&db, Duration::ZERO).await;
    assert_eq!(reap(&db).await, Reaped { queued: 1, parked: 0 });
    refused(&db, stale).await;
    let lease = claim_one(&db, MINUTE).await;
    assert_eq!(lease.number, stale.number + 1);
    let before = row(&db, id).await;
    refused(&db, stale).await;
    assert_eq!(row(&db, id).await, before, "nothing was written");

    let held: Result<(), DbError> = db.unscoped(async |conn| queue::hold(conn, lease).await).await;
    held.unwrap();
    let renewed: Result<bool, DbError> = db.unscoped(async |conn| queue::renew(conn, lease, 2 * MINUTE).await).await;
    assert!(renewed.unwrap());
    assert!(row(&db, id).await.leased_until > before.leased_until);
    let finished: Result<bool, DbError> = db.unscoped(async |conn| queue::finish(conn, lease).await).await;
    assert!(finished.unwrap());
    assert_eq!(row(&db, id).await.status, "DONE");
    refused(&db, lease).await;
}

async fn refused(db: &Db, lease: Lease) {
    let written: Result<_, DbError> = db
        .unscoped(async |conn| {
            Ok((
                queue::renew(conn, lease, MINUTE).await?,
                queue::finish(conn, lease).await?,
                queue::park(conn, lease, "stale").await?,
                queue::hand_back(conn, lease).await?,
                queue::put_off(conn, lease, "stale", MINUTE).await?,
                queue::retry_later(conn, lease, "stale", MINUTE).await?,
            ))
        })
        .await;
    assert_eq!(written.unwrap(), (false, false, false, false, false, Retried::LeaseLost));
    let held: Result<(), DbError> = db.unscoped(async |conn| queue::hold(conn, lease).await).await;
    assert!(matches!(held, Err(DbError::RowsMissed { table: "job", .. })), "{held:?}");
}

#[tokio::test]
async fn nobody_takes_a_job_whose_holder_is_writing() {
    let db = db().await;
    let id = enqueue(&db, &job(KIND)).await;
    let lease = claim_one(&db, Duration::ZERO).await;
    let (holding, held) = oneshot::channel();
    let (go_on, wait) = oneshot::channel::<()>();
    let channels = tokio::sync::Mutex::new(Some((holding, wait)));
    let writing = {
        let db = db.clone();
        tokio::spawn(async move {
            let written: Result<(), DbError> = db
                .unscoped(async |conn| {
                    queue::hold(conn, lease).await?;
                    let (holding, wait) = channels.lock().await.take().expect("runs once");
                    holding.send(()).expect("somebody waits");
                    wait.await.expect("somebody says so");
                    Ok(())
                })
                .await;
            written.unwrap();
        })
    };
    held.await.unwrap();
    assert_eq!(reap(&db).await, Reaped::default(), "the lease is over, but a write under it is open");
    let renewed: Result<bool, DbError> =
        db.unscoped(async |conn| queue::renew(conn, lease, Duration::ZERO).await).await;
    assert!(renewed.unwrap(), "the holder itself is not kept waiting");
    // Handed back in the middle of the write, it is still nobody's.
    let handed: Result<bool, DbError> = db.unscoped(async |conn| queue::hand_back(conn, lease).await).await;
    assert!(handed.unwrap());
    assert_eq!(claim(&db, 1, MINUTE).await, []);
    go_on.send(()).unwrap();
    writing.await.unwrap();
    assert_eq!(claim_one(&db, MINUTE).await.job, id);
}

#[tokio::test]
async fn a_job_that_kills_its_worker_each_time_is_parked() {
    let db = db().await;
    let deadly = enqueue(&db, &NewJob { max_attempts: 3, ..job(KIND) }).await;
    for attempt in 1..=3 {
        let claimed = claim(&db, 1, Duration::ZERO).await;
        assert_eq!(claimed[0].attempts, attempt);
        let parked = usize::from(attempt == 3);
        assert_eq!(reap(&db).await, Reaped { queued: 1 - parked, parked });
    }
    let parked = row(&db, deadly).await;
    assert_eq!((parked.status.as_str(), parked.attempts), ("PARKED", 3));
    assert_eq!(parked.last_error.unwrap(), "worker somebody was lost");
    assert_eq!(claim(&db, 1, MINUTE).await, []);
}

#[tokio::test]
async fn a_failed_job_waits_and_is_parked_after_its_last_attempt() {
    let db = db().await;
    let id = enqueue(&db, &NewJob { max_attempts: 2, ..job(KIND) }).await;
    let retry = async |backoff| {
        let lease = claim_one(&db, MINUTE).await;
        let retried: Result<_, DbError> =
            db.unscoped(async |conn| queue::retry_later(conn, lease, "a \0 fault", backoff).await).await;
        retried.unwrap()
    };
    assert_eq!(retry(MINUTE).await, Retried::Later);
    assert_eq!(row(&db, id).await.last_error.unwrap(), "a  fault");
    assert_eq!(claim(&db, 1, MINUTE).await, [], "not before its pause is over");
    assert_eq!(execute(&db, "UPDATE job SET run_at = now()").await, 1);
    assert_eq!(retry(MINUTE).await, Retried::Parked);
    assert_eq!(row(&db, id).await.status, "PARKED");
}

#[tokio::test]
async fn what_is_handed_back_was_never_tried() {
    let db = db().await;
    let id = enqueue(&db, &NewJob { max_attempts: 1, ..job(KIND) }).await;
    for number in 1..=3 {
        let lease = claim_one(&db, MINUTE).await;
        assert_eq!(lease.number, number);
        let handed: Result<bool, DbError> = db.unscoped(async |conn| queue::hand_back(conn, lease).await).await;
        assert!(handed.unwrap());
        let back = row(&db, id).await;
        assert_eq!((back.status.as_str(), back.attempts, back.worker), ("QUEUED", 0, None));
    }
}

#[tokio::test]
async fn a_transaction_that_hangs_is_given_up_with_its_connection() {
    let server = world().database_of_its_own("hanging").await;
    billing_db::migrate(&server, None).await.unwrap();
    let mut settings = Settings::new(server);
    (settings.connections, settings.limit) = (1, Duration::from_millis(300));
    let db = Db::connect(settings).await.unwrap();
    let hung: Result<usize, DbError> =
        db.unscoped(async |conn| Ok(diesel::sql_query("SELECT pg_sleep(7)").execute(conn).await?)).await;
    assert!(matches!(hung, Err(DbError::Timeout)), "{hung:?}");
    assert_eq!(counts(&db).await.queued, 0, "its place in the pool is free");
}

#[tokio::test]
async fn a_server_that_cannot_spread_tables_says_what_is_missing() {
    let server = world().database_of_its_own("without_extension").await;
    let refused = billing_db::migrate(&server, Some(Distributed::Citus)).await;
    let Err(MigrateError::NotDistributable(said)) = refused else { panic!("{refused:?}") };
    assert!(said.len() == 1 && said[0].contains("CREATE EXTENSION citus"), "{said:?}");
}

#[tokio::test]
async fn what_is_put_off_waits_and_was_never_tried() {
    let db = db().await;
    let id = enqueue(&db, &NewJob { max_attempts: 1, ..job(KIND) }).await;
    let lease = claim_one(&db, MINUTE).await;
    let put_off: Result<bool, DbError> =
        db.unscoped(async |conn| queue::put_off(conn, lease, "the node is away", MINUTE).await).await;
    assert!(put_off.unwrap());
    let back = row(&db, id).await;
    assert_eq!((back.status.as_str(), back.attempts, back.worker), ("QUEUED", 0, None));
    assert_eq!(back.last_error.as_deref(), Some("the node is away"));
    assert!(claim(&db, 1, MINUTE).await.is_empty(), "it is not due yet");
}

#[tokio::test]
async fn a_tick_fires_once_from_ten_schedulers() {
    let db = db().await;
    let ticks = ["2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"].map(|tick| tick.parse::<Timestamp>().unwrap());
    for tick in ticks {
        let schedulers = (0..10).map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let new = job(KIND);
                let fired: Result<bool, DbError> =
                    db.unscoped(async |conn| queue::tick(conn, "nightly", tick, &new).await).await;
                fired.unwrap()
            })
        });
        let fired: Vec<bool> = futures::future::try_join_all(schedulers).await.unwrap();
        assert_eq!(fired.iter().filter(|fired| **fired).count(), 1);
    }
    assert_eq!(counts(&db).await.queued, 2);
    let last: Result<_, DbError> = db.unscoped(async |conn| queue::last_tick(conn, "nightly").await).await;
    assert_eq!(last.unwrap(), Some(ticks[1]));
}

#[tokio::test]
async fn ten_schedulers_begin_a_schedule_at_one_instant() {
    let db = db().await;
    let schedulers = (0..10).map(|_| {
        let db = db.clone();
        tokio::spawn(async move {
            let begun: Result<Timestamp, DbError> =
                db.unscoped(async |conn| queue::begin_schedule(conn, "new").await).await;
            begun.unwrap()
        })
    });
    let begun: Vec<Timestamp> = futures::future::try_join_all(schedulers).await.unwrap();
    assert!(begun.iter().all(|instant| *instant == begun[0]), "{begun:?}");
    assert_eq!(counts(&db).await.queued, 0, "nothing is made up for");
}

#[tokio::test]
async fn old_rows_go_and_what_is_needed_stays() {
    let db = db().await;
    let done = enqueue(&db, &job(KIND)).await;
    let lease = claim_one(&db, MINUTE).await;
    assert_eq!(lease.job, done);
    let (old, newest) = ("2026-03-29T01:00:00Z".parse().unwrap(), "2026-03-30T00:30:00Z".parse().unwrap());
    let prepared: Result<(), DbError> = db
        .unscoped(async |conn| {
            queue::finish(conn, lease).await?;
            queue::tick(conn, "nightly", old, &job(KIND)).await?;
            queue::tick(conn, "nightly", newest, &job(KIND)).await?;
            Ok(())
        })
        .await;
    prepared.unwrap();
    let parked = claim_one(&db, MINUTE).await;
    let deleted = async |keep| {
        let deleted: Result<usize, DbError> = db.unscoped(async |conn| queue::delete_old(conn, keep).await).await;
        deleted.unwrap()
    };
    let set_aside: Result<bool, DbError> =
        db.unscoped(async |conn| queue::park(conn, parked, "look at me").await).await;
    assert!(set_aside.unwrap());
    assert_eq!(deleted(MINUTE).await, 0, "nothing is old yet");
    assert_eq!(deleted(Duration::ZERO).await, 2, "the job that is done and the older tick");
    let left = counts(&db).await;
    assert_eq!((left.done, left.queued, left.parked), (0, 1, 1));
    let last: Result<_, DbError> = db.unscoped(async |conn| queue::last_tick(conn, "nightly").await).await;
    assert_eq!(last.unwrap(), Some(newest));
}
