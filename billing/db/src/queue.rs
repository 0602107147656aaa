//! The job queue: all of its SQL.
//!
//! A job is enqueued in the transaction of the business write it belongs to, so neither exists without the other.
//! Whoever claims a job gets a [`Lease`]; every later write names it and meets no row once somebody else has the job.
//! All instants are the database's: the clocks of the processes decide nothing.
//!
//! No statement notifies. NOTIFY makes all commits of the server that send one wait for each other, LISTEN holds a
//! connection per process and is lost behind a pooler; asking an index once a second costs less than either.

use std::time::Duration;

use billing_primitives::{JobId, OrganizationId, Timestamp};
use diesel::prelude::*;
use diesel::sql_types;
use diesel_async::RunQueryDsl;

use crate::error::DbError;
use crate::kept::Keep;
use crate::pool::Conn;
use crate::schema::{job, job_tick};

/// How much of an error's text is kept.
const ERROR_CHARACTERS: usize = 2_000;

/// What one call of [`delete_old`] takes away at most, of each table.
const DELETED_AT_ONCE: i64 = 10_000;

/// The one place that says when a job has had enough; a macro, so that every statement stays a constant.
macro_rules! queued_or_parked {
    () => {
        "status = CASE WHEN attempts >= max_attempts THEN 'PARKED' ELSE 'QUEUED' END,
         finished_at = CASE WHEN attempts >= max_attempts THEN now() END, leased_until = NULL, worker = NULL"
    };
}

/// A job to be enqueued.
#[derive(Debug, Clone, PartialEq)]
pub struct NewJob {
    pub kind: String,
    pub organization: Option<OrganizationId>,
    pub payload: serde_json::Value,
    /// At most one job with this key waits or runs. Leave it out where a job that already runs may have read too
    /// early to see what this one is for.
    pub unique_key: Option<String>,
    /// Not before this instant; none: at once.
    pub run_at: Option<Timestamp>,
    /// Claims after which the job is parked; at least 1.
    pub max_attempts: i32,
}

/// Which of the two happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Enqueued {
    /// The job waits once the transaction commits.
    Now(JobId),
    /// One with the same unique key waits or runs already.
    Before,
}

/// The right to a job, until it runs out or somebody else has claimed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, QueryableByName)]
pub struct Lease {
    #[diesel(sql_type = sql_types::Uuid, column_name = id)]
    pub job: JobId,
    /// Counts the claims of this job.
    #[diesel(sql_type = sql_types::BigInt, column_name = lease_number)]
    pub number: i64,
}

/// A job that is ours to run.
#[derive(Debug, Clone, PartialEq, QueryableByName)]
pub struct Claimed {
    #[diesel(embed)]
    pub lease: Lease,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Uuid>, column_name = organization_id)]
    pub organization: Option<OrganizationId>,
    #[diesel(sql_type = sql_types::Text)]
    pub kind: String,
    #[diesel(sql_type = sql_types::Jsonb)]
    pub payload: serde_json::Value,
    #[diesel(sql_type = sql_types::Timestamptz)]
    pub run_at: Timestamp,
    /// Claims so far, this one included.
    #[diesel(sql_type = sql_types::Integer)]
    pub attempts: i32,
}

/// What became of a job that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retried {
    /// It waits for its next attempt.
    Later,
    /// It had its last attempt.
    Parked,
    /// It is somebody else's by now; nothing was written.
    LeaseLost,
}

/// What [`reap`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    pub queued: usize,
    pub parked: usize,
}

/// How many jobs there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, QueryableByName)]
pub struct Counts {
    #[diesel(sql_type = sql_types::BigInt)]
    pub queued: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub running: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub done: i64,
    #[diesel(sql_type = sql_types::BigInt)]
    pub parked: i64,
}

/// Adds a job in the caller's transaction, which may be an organization's: the queue has no row-level security.
///
/// # Errors
/// Faults of the database.
pub async fn enqueue(conn: &mut Conn, new: &NewJob) -> Result<Enqueued, DbError> {
    let id = JobId::new();
    let inserted = insert(conn, &[id], std::slice::from_ref(new)).await?;
    Ok(if inserted == 1 { Enqueued::Now(id) } else { Enqueued::Before })
}

/// Adds many in one statement; returns how many of them wait now and did not before.
///
/// # Errors
/// Faults of the database.
pub async fn enqueue_all(conn: &mut Conn, new: &[NewJob]) -> Result<usize, DbError> {
    if new.is_empty() {
        return Ok(0);
    }
    let ids: Vec<JobId> = new.iter().map(|_| JobId::new()).collect();
    insert(conn, &ids, new).await
}

async fn insert(conn: &mut Conn, ids: &[JobId], new: &[NewJob]) -> Result<usize, DbError> {
    use sql_types::{Array, Integer, Jsonb, Nullable, Text, Timestamptz, Uuid};
    let inserted = diesel::sql_query(
        "INSERT INTO job (id, organization_id, kind, payload, unique_key, run_at, max_attempts)
         SELECT j.id, j.organization_id, j.kind, j.payload, j.unique_key, coalesce(j.run_at, now()), j.max_attempts
         FROM unnest($1, $2, $3, $4, $5, $6, $7)
             AS j (id, organization_id, kind, payload, unique_key, run_at, max_attempts)
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<Uuid>, _>(ids.to_vec())
    .bind::<Array<Nullable<Uuid>>, _>(new.iter().map(|job| job.organization).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(new.iter().map(|job| job.kind.as_str()).collect::<Vec<_>>())
    .bind::<Array<Jsonb>, _>(new.iter().map(|job| &job.payload).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(new.iter().map(|job| job.unique_key.as_deref()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(new.iter().map(|job| job.run_at).collect::<Vec<_>>())
    .bind::<Array<Integer>, _>(new.iter().map(|job| job.max_attempts).collect::<Vec<_>>())
    .kept()
    .execute(conn)
    .await?;
    Ok(inserted)
}

/// Claims up to `limit` due jobs of the given kinds, the longest due first; each is ours for `length`.
///
/// The attempt is counted here, before the job begins: one that kills its process is parked in the end, too. Kinds
/// that this process does not know are left to a newer one.
///
/// # Errors
/// Faults of the database.
pub async fn claim(
    conn: &mut Conn,
    worker: &str,
    kinds: &[&str],
    limit: usize,
    length: Duration,
) -> Result<Vec<Claimed>, DbError> {
    // FOR UPDATE, and not a weaker lock: it also passes over a job whose last holder still has a transaction open
    // that relies on `hold`. The CTE is materialized because a sub-select with a limit may be run more than once.
    let sql = "WITH due AS MATERIALIZED (
                   SELECT id FROM job
                   WHERE status = 'QUEUED' AND run_at <= now() AND kind = ANY($1)
                   ORDER BY run_at, id LIMIT $2 FOR UPDATE SKIP LOCKED
               )
               UPDATE job SET status = 'RUNNING', attempts = attempts + 1, lease_number = lease_number + 1,
                   leased_until = clock_timestamp() + $3 * interval '1 microsecond', worker = $4
               FROM due WHERE job.id = due.id
               RETURNING job.id, lease_number, organization_id, kind, payload, run_at, attempts";
    let mut claimed: Vec<Claimed> = diesel::sql_query(sql)
        .bind::<sql_types::Array<sql_types::Text>, _>(kinds)
        .bind::<sql_types::BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
        .bind::<sql_types::BigInt, _>(microseconds(length))
        .bind::<sql_types::Text, _>(worker)
        .load(conn)
        .await?;
    // RETURNING keeps no order.
    claimed.sort_by_key(|job| (job.run_at, job.lease.job));
    Ok(claimed)
}

/// Keeps a job for another `length` from now; false when it is somebody else's by now.
///
/// # Errors
/// Faults of the database.
pub async fn renew(conn: &mut Conn, lease: Lease, length: Duration) -> Result<bool, DbError> {
    let sql = "UPDATE job SET leased_until = clock_timestamp() + $3 * interval '1 microsecond'
               WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'";
    let renewed = diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::BigInt, _>(lease.number)
        .bind::<sql_types::BigInt, _>(microseconds(length))
        .execute(conn)
        .await?;
    Ok(renewed == 1)
}

/// Makes the caller's transaction one of the job's holder: while it is open nobody else gets the job.
///
/// Business writes of a job call this first, so that a worker that was frozen beyond its lease writes nothing.
///
/// # Errors
/// [`DbError::RowsMissed`] when the job is somebody else's by now; faults of the database.
pub async fn hold(conn: &mut Conn, lease: Lease) -> Result<(), DbError> {
    // A key share lock: it bars FOR UPDATE (claim, reap) and lets the holder's own renewals through.
    let held: Option<JobId> = job::table
        .filter(job::id.eq(lease.job))
        .filter(job::lease_number.eq(lease.number))
        .filter(job::status.eq("RUNNING"))
        .select(job::id)
        .for_key_share()
        .first(conn)
        .await
        .optional()?;
    DbError::expect_rows("job", 1, usize::from(held.is_some()))
}

/// The job is done; false when it is somebody else's by now.
///
/// # Errors
/// Faults of the database.
pub async fn finish(conn: &mut Conn, lease: Lease) -> Result<bool, DbError> {
    let sql = "UPDATE job SET status = 'DONE', finished_at = now(), leased_until = NULL, last_error = NULL
               WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'";
    fenced(conn, sql, lease).await
}

/// The job waits for `backoff`, or is parked when it had its last attempt.
///
/// # Errors
/// Faults of the database.
pub async fn retry_later(conn: &mut Conn, lease: Lease, error: &str, backoff: Duration) -> Result<Retried, DbError> {
    let sql = concat!(
        "UPDATE job SET ",
        queued_or_parked!(),
        ", run_at = clock_timestamp() + $3 * interval '1 microsecond', last_error = $4
         WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'
         RETURNING status = 'PARKED' AS parked",
    );
    let after: Option<Parked> = diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::BigInt, _>(lease.number)
        .bind::<sql_types::BigInt, _>(microseconds(backoff))
        .bind::<sql_types::Text, _>(shortened(error))
        .get_result(conn)
        .await
        .optional()?;
    Ok(match after {
        None => Retried::LeaseLost,
        Some(Parked { parked: true }) => Retried::Parked,
        Some(Parked { parked: false }) => Retried::Later,
    })
}

/// The job waits for `pause` and its attempt does not count: not the job failed but the database under it, which is away;
/// false when it is somebody else's by now.
///
/// # Errors
/// Faults of the database.
pub async fn put_off(conn: &mut Conn, lease: Lease, error: &str, pause: Duration) -> Result<bool, DbError> {
    let sql = "UPDATE job SET status = 'QUEUED', attempts = attempts - 1, leased_until = NULL, worker = NULL,
                   run_at = clock_timestamp() + $3 * interval '1 microsecond', last_error = $4
               WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'";
    let written = diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::BigInt, _>(lease.number)
        .bind::<sql_types::BigInt, _>(microseconds(pause))
        .bind::<sql_types::Text, _>(shortened(error))
        .execute(conn)
        .await?;
    Ok(written == 1)
}

/// The job is set aside until somebody looks at it; false when it is somebody else's by now.
///
/// # Errors
/// Faults of the database.
pub async fn park(conn: &mut Conn, lease: Lease, error: &str) -> Result<bool, DbError> {
    let sql = "UPDATE job SET status = 'PARKED', finished_at = now(), leased_until = NULL, last_error = $3
               WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'";
    let parked = diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::BigInt, _>(lease.number)
        .bind::<sql_types::Text, _>(shortened(error))
        .execute(conn)
        .await?;
    Ok(parked == 1)
}

/// The job waits as if it had not been claimed: its worker shuts down; false when it is somebody else's by now.
///
/// # Errors
/// Faults of the database.
pub async fn hand_back(conn: &mut Conn, lease: Lease) -> Result<bool, DbError> {
    let sql = "UPDATE job SET status = 'QUEUED', attempts = attempts - 1, leased_until = NULL, worker = NULL
               WHERE id = $1 AND lease_number = $2 AND status = 'RUNNING'";
    fenced(conn, sql, lease).await
}

/// Takes jobs from workers that did not renew their leases: back into the queue, or parked after the last attempt.
///
/// # Errors
/// Faults of the database.
pub async fn reap(conn: &mut Conn) -> Result<Reaped, DbError> {
    let sql = concat!(
        "WITH gone AS MATERIALIZED (
             SELECT id FROM job WHERE status = 'RUNNING' AND leased_until < now() FOR UPDATE SKIP LOCKED
         )
         UPDATE job SET ",
        queued_or_parked!(),
        ", last_error = 'worker ' || coalesce(worker, '?') || ' was lost'
         FROM gone WHERE job.id = gone.id
         RETURNING status = 'PARKED' AS parked",
    );
    let reaped: Vec<Parked> = diesel::sql_query(sql).load(conn).await?;
    let parked = reaped.iter().filter(|job| job.parked).count();
    Ok(Reaped { queued: reaped.len() - parked, parked })
}

/// Records that `schedule` fell due at `tick` and enqueues its job; false when another process did so before.
///
/// # Errors
/// Faults of the database.
pub async fn tick(conn: &mut Conn, schedule: &str, tick: Timestamp, new: &NewJob) -> Result<bool, DbError> {
    let inserted = diesel::insert_into(job_tick::table)
        .values((job_tick::schedule.eq(schedule), job_tick::tick.eq(tick)))
        .on_conflict_do_nothing()
        .execute(conn)
        .await?;
    if inserted == 0 {
        return Ok(false);
    }
    enqueue(conn, new).await?;
    Ok(true)
}

/// The newest recorded tick of a schedule.
///
/// # Errors
/// Faults of the database.
pub async fn last_tick(conn: &mut Conn, schedule: &str) -> Result<Option<Timestamp>, DbError> {
    let newest = job_tick::table
        .filter(job_tick::schedule.eq(schedule))
        .order(job_tick::tick.desc())
        .select(job_tick::tick)
        .first(conn)
        .await
        .optional()?;
    Ok(newest)
}

/// The newest recorded tick of a schedule; one never seen before begins now, without a job for anything earlier.
///
/// # Errors
/// Faults of the database.
pub async fn begin_schedule(conn: &mut Conn, schedule: &str) -> Result<Timestamp, DbError> {
    if let Some(known) = last_tick(conn, schedule).await? {
        return Ok(known);
    }
    // Two processes that begin it a moment apart must agree: a tick between their two beginnings would be lost.
    diesel::sql_query("SELECT pg_advisory_xact_lock(hashtextextended('job_tick/' || $1, 0))")
        .bind::<sql_types::Text, _>(schedule)
        .execute(conn)
        .await?;
    diesel::sql_query(
        "INSERT INTO job_tick (schedule, tick)
         SELECT $1, now() WHERE NOT EXISTS (SELECT FROM job_tick WHERE schedule = $1)",
    )
    .bind::<sql_types::Text, _>(schedule)
    .execute(conn)
    .await?;
    let begun = last_tick(conn, schedule).await?;
    begun.ok_or(DbError::RowsMissed { table: "job_tick", expected: 1, written: 0 })
}

/// The database's clock.
///
/// # Errors
/// Faults of the database.
pub async fn now(conn: &mut Conn) -> Result<Timestamp, DbError> {
    Ok(diesel::select(diesel::dsl::sql::<sql_types::Timestamptz>("now()")).get_result(conn).await?)
}

/// Deletes jobs done longer ago than `keep`, and ticks as old except the newest of each schedule; returns how many
/// rows. A call takes away a bounded number; parked jobs stay.
///
/// # Errors
/// Faults of the database.
pub async fn delete_old(conn: &mut Conn, keep: Duration) -> Result<usize, DbError> {
    let jobs = "DELETE FROM job WHERE id IN (
                    SELECT id FROM job
                    WHERE status = 'DONE' AND finished_at < now() - $1 * interval '1 microsecond' LIMIT $2
                )";
    // What a schedule goes on from is its newest tick, however old it is.
    let ticks = "DELETE FROM job_tick WHERE (schedule, tick) IN (
                     SELECT old.schedule, old.tick FROM job_tick old
                     WHERE old.created_at < now() - $1 * interval '1 microsecond' AND EXISTS (
                         SELECT FROM job_tick newer WHERE newer.schedule = old.schedule AND newer.tick > old.tick
                     ) LIMIT $2
                 )";
    let mut deleted = 0;
    for sql in [jobs, ticks] {
        deleted += diesel::sql_query(sql)
            .bind::<sql_types::BigInt, _>(microseconds(keep))
            .bind::<sql_types::BigInt, _>(DELETED_AT_ONCE)
            .execute(conn)
            .await?;
    }
    Ok(deleted)
}

/// The number of jobs in each status.
///
/// # Errors
/// Faults of the database.
pub async fn counts(conn: &mut Conn) -> Result<Counts, DbError> {
    let sql = "SELECT count(*) FILTER (WHERE status = 'QUEUED') AS queued,
                   count(*) FILTER (WHERE status = 'RUNNING') AS running,
                   count(*) FILTER (WHERE status = 'DONE') AS done,
                   count(*) FILTER (WHERE status = 'PARKED') AS parked
               FROM job";
    Ok(diesel::sql_query(sql).get_result(conn).await?)
}

#[derive(QueryableByName)]
struct Parked {
    #[diesel(sql_type = sql_types::Bool)]
    parked: bool,
}

async fn fenced(conn: &mut Conn, sql: &'static str, lease: Lease) -> Result<bool, DbError> {
    let written = diesel::sql_query(sql)
        .bind::<sql_types::Uuid, _>(lease.job)
        .bind::<sql_types::BigInt, _>(lease.number)
        .execute(conn)
        .await?;
    Ok(written == 1)
}

fn shortened(error: &str) -> String {
    // PostgreSQL's text has no NUL.
    error.chars().filter(|c| *c != '\0').take(ERROR_CHARACTERS).collect()
}

fn microseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
