//! A database per test, and the few words these stories are told in.

use std::time::Duration;

use billing_db::queue::{self, Counts, NewJob};
use billing_db::{Db, DbError, Settings};
use billing_primitives::{JobId, OrganizationId, Timestamp};
use diesel::sql_types;
use diesel_async::RunQueryDsl;
use tests::{console, world};
use uuid::Uuid;

/// A fresh database: the queue is one for all organizations, so stories about it cannot share one.
pub async fn db() -> Db {
    let name = format!("queue_{}", Uuid::now_v7().simple());
    let server = world().database_of_its_own(&name).await;
    billing_db::migrate(&server, None).await.unwrap();
    Db::connect(Settings::new(server)).await.unwrap()
}

/// Ends every connection to the test's database, as a restart of the server would.
pub async fn end_all_connections(db: &Db) {
    let mut name = None;
    until("the database's name is known", async || {
        let answer: Result<String, DbError> = db
            .unscoped(async |conn| {
                let name = diesel::dsl::sql::<sql_types::Text>("current_database()::text");
                diesel::select(name).get_result(conn).await.map_err(DbError::from)
            })
            .await;
        name = answer.ok();
        name.is_some()
    })
    .await;
    let name = name.unwrap();
    let ends = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
    console(&world().owner, &ends).await;
}

pub fn job(kind: &str) -> NewJob {
    NewJob {
        kind: kind.to_owned(),
        organization: Some(OrganizationId::new()),
        payload: serde_json::json!({}),
        unique_key: None,
        run_at: None,
        max_attempts: 5,
    }
}

/// Enqueues and commits.
pub async fn enqueue(db: &Db, new: &NewJob) -> JobId {
    let enqueued: Result<_, DbError> = db.unscoped(async |conn| queue::enqueue(conn, new).await).await;
    match enqueued.unwrap() {
        queue::Enqueued::Now(id) => id,
        queue::Enqueued::Before => panic!("{new:?} was enqueued before"),
    }
}

pub async fn counts(db: &Db) -> Counts {
    let counts: Result<_, DbError> = db.unscoped(async |conn| queue::counts(conn).await).await;
    counts.unwrap()
}

/// What stands in a job's row.
#[derive(Debug, Clone, PartialEq, diesel::QueryableByName)]
pub struct Row {
    #[diesel(sql_type = sql_types::Text)]
    pub status: String,
    #[diesel(sql_type = sql_types::Integer)]
    pub attempts: i32,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub last_error: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Text>)]
    pub worker: Option<String>,
    #[diesel(sql_type = sql_types::Nullable<sql_types::Timestamptz>)]
    pub leased_until: Option<Timestamp>,
}

pub async fn row(db: &Db, id: JobId) -> Row {
    let row: Result<Row, DbError> = db
        .unscoped(async |conn| {
            diesel::sql_query("SELECT status, attempts, last_error, worker, leased_until FROM job WHERE id = $1")
                .bind::<sql_types::Uuid, _>(id)
                .get_result(conn)
                .await
                .map_err(DbError::from)
        })
        .await;
    row.unwrap()
}

/// Runs a statement and commits; returns the rows it met.
pub async fn execute(db: &Db, sql: &'static str) -> usize {
    let rows: Result<usize, DbError> =
        db.unscoped(async |conn| diesel::sql_query(sql).execute(conn).await.map_err(DbError::from)).await;
    rows.unwrap()
}

/// Waits for a condition, at most 20 seconds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    for _ in 0..1_000 {
        if holds().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it never came to be that {what}");
}
