//! Migrations: under an advisory lock, as the owner of the tables, never as the application.

use diesel_async::async_connection_wrapper::AsyncConnectionWrapper;
use diesel_async::{AsyncPgConnection, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use thiserror::Error;
use tokio_postgres::{Config, NoTls};

use crate::distributed::{self, Distributed, Rows};
use crate::pool::full;

/// The role the application works as: no login, no ownership, under forced row-level security.
pub const APP_ROLE: &str = "avance_app";

/// "Avance" as a number: two servers that start at once migrate once.
pub(crate) const LOCK: i64 = 0x4176_616e_6365;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Why the tables could not be brought up to date. Each migration is one transaction: nothing is left half done.
#[derive(Debug, Error)]
pub enum MigrateError {
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    #[error(
        "the role {APP_ROLE} could not be made ({0}): the database's user needs CREATEROLE, or make the role and grant it to that user"
    )]
    Role(String),
    #[error("a migration failed and was rolled back: {0}")]
    Failed(String),
    #[error("the tables cannot be spread over the cluster:\n  {}", .0.join("\n  "))]
    NotDistributable(Vec<String>),
    #[error("the tables are spread over a cluster: set database_distributed = \"citus\"")]
    IsDistributed,
    #[error("the database was made by a newer Avance: it has the migration {0}, which this one does not know")]
    FromTheFuture(String),
}

/// What a start found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    pub applied: Vec<String>,
    /// Tables that were spread over the nodes of a cluster.
    pub distributed: Vec<String>,
}

/// Brings the tables up to date, and spreads new ones over the nodes if they are to be distributed; waits for another
/// process that is doing so.
///
/// # Errors
/// See [`MigrateError`].
pub async fn migrate(server: &Config, distributed: Option<Distributed>) -> Result<Migrations, MigrateError> {
    migrate_with(server, distributed, Rows::Move).await
}

/// As [`migrate`], for a process that starts to do something else: it moves no rows between nodes.
pub(crate) async fn migrate_at_start(
    server: &Config,
    distributed: Option<Distributed>,
) -> Result<Migrations, MigrateError> {
    migrate_with(server, distributed, Rows::Stay).await
}

async fn migrate_with(
    server: &Config,
    distributed: Option<Distributed>,
    rows: Rows,
) -> Result<Migrations, MigrateError> {
    if distributed.is_none() {
        distributed::refuse_if_spread(server).await?;
        return apply(server).await;
    }
    distributed::prepare(server).await?;
    let mut migrations = apply(server).await?;
    migrations.distributed = distributed::distribute(server, rows).await?;
    Ok(migrations)
}

async fn apply(server: &Config) -> Result<Migrations, MigrateError> {
    let mut conn = connect(server).await?;
    lock(&mut conn).await?;
    ensure_role(&mut conn).await?;
    harness(conn, |conn| {
        let known: Vec<String> = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS)?
            .iter()
            .map(|migration| migration.name().version().to_string())
            .collect();
        let future =
            conn.applied_migrations()?.into_iter().map(|version| version.to_string()).find(|v| !known.contains(v));
        if let Some(version) = future {
            return Ok(Err(MigrateError::FromTheFuture(version)));
        }
        let applied = conn.run_pending_migrations(MIGRATIONS)?.iter().map(ToString::to_string).collect();
        // For whoever asks whether the tables are those that the program wants.
        diesel::connection::SimpleConnection::batch_execute(
            conn,
            &format!("GRANT SELECT ON __diesel_schema_migrations TO {APP_ROLE}"),
        )?;
        Ok(Ok(Migrations { applied, distributed: Vec::new() }))
    })
    .await?
}

/// Migrations that this program brings and a database lacks.
pub(crate) fn missing(applied: &[String]) -> Result<Vec<String>, Boxed> {
    let known = diesel::migration::MigrationSource::<diesel::pg::Pg>::migrations(&MIGRATIONS)?;
    let known = known.iter().map(|migration| migration.name().version().to_string());
    Ok(known.filter(|version| !applied.contains(version)).collect())
}

/// Takes every migration back, newest first: for the test that they can be.
///
/// # Errors
/// See [`MigrateError`].
pub async fn revert_all(server: &Config) -> Result<(), MigrateError> {
    let conn = connect(server).await?;
    harness(conn, |conn| conn.revert_all_migrations(MIGRATIONS).map(|_| ())).await
}

async fn connect(server: &Config) -> Result<AsyncPgConnection, MigrateError> {
    let (client, connection) = server.connect(NoTls).await.map_err(|error| MigrateError::Unreachable(full(&error)))?;
    AsyncPgConnection::try_from_client_and_connection(client, connection)
        .await
        .map_err(|error| MigrateError::Unreachable(error.to_string()))
}

async fn lock(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    // Held until the connection ends, so a killed process frees it.
    conn.batch_execute(&format!("SET statement_timeout = 0; SET lock_timeout = 0; SELECT pg_advisory_lock({LOCK})"))
        .await
        .map_err(|error| MigrateError::Unreachable(error.to_string()))
}

async fn ensure_role(conn: &mut AsyncPgConnection) -> Result<(), MigrateError> {
    // Roles belong to the whole server: another database of it may make the same one at the same moment. From
    // PostgreSQL 16 on, whoever makes a role is a member of it that may not become it.
    let sql = format!(
        "DO $$ BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{APP_ROLE}') THEN
                 CREATE ROLE {APP_ROLE} NOLOGIN NOSUPERUSER NOBYPASSRLS;
             END IF;
         EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
         END $$;
         DO $$ BEGIN
             IF NOT pg_has_role(current_user, '{APP_ROLE}',
                                CASE WHEN current_setting('server_version_num')::int < 160000 THEN 'MEMBER' ELSE 'SET' END)
             THEN
                 EXECUTE format('GRANT {APP_ROLE} TO %I', current_user);
             END IF;
         END $$;"
    );
    conn.batch_execute(&sql).await.map_err(|error| MigrateError::Role(error.to_string()))
}

type Blocking = AsyncConnectionWrapper<AsyncPgConnection>;
pub(crate) type Boxed = Box<dyn std::error::Error + Send + Sync>;

async fn harness<T: Send + 'static>(
    conn: AsyncPgConnection,
    work: impl FnOnce(&mut Blocking) -> Result<T, Boxed> + Send + 'static,
) -> Result<T, MigrateError> {
    let done = tokio::task::spawn_blocking(move || work(&mut Blocking::from(conn))).await;
    done.map_err(|error| MigrateError::Failed(error.to_string()))?
        .map_err(|error| MigrateError::Failed(error.to_string()))
}
