//! From settings to a database that can be used: reached or started, brought up to date, opened.
//!
//! Without a URL the database is a private one in the data folder, where Avance makes the owner of its tables itself.
//! With a URL nothing is started, stopped or made on the server but what the migrations bring. Either way the tables
//! belong to one role, and the pool works as another ([`crate::APP_ROLE`]).

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio_postgres::config::Host;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config, NoTls};

use crate::distributed::Distributed;
use crate::embedded::{Embedded, EmbeddedError, SUPERUSER};
use crate::error::says_full;
use crate::migrate::{MigrateError, Migrations, migrate, migrate_at_start};
use crate::pool::{ConnectError, Db, Settings, check_server, full};

/// The role of the private cluster that owns the tables. It logs in without a password: only the owner of the socket
/// reaches it.
pub const OWNER_ROLE: &str = "avance_owner";

/// The private cluster's database.
pub const DATABASE: &str = "avance";

/// How often a private cluster is asked whether it still lives.
const WATCH_EVERY: Duration = Duration::from_secs(2);

/// Where the database is.
#[derive(Debug, Clone)]
pub struct DatabaseSettings {
    /// A server of somebody else; none: a private one in `data`.
    pub url: Option<String>,
    /// The data folder; made when it is missing and needed.
    pub data: PathBuf,
    /// Size of the pool.
    pub connections: usize,
    /// Only with a URL.
    pub distributed: Option<Distributed>,
}

impl DatabaseSettings {
    /// The data folder when nobody names one: of the system for root, else of the user. None without a home.
    pub fn usual_data_folder() -> Option<PathBuf> {
        if rustix::process::geteuid().is_root() {
            return Some(PathBuf::from("/var/lib/avance"));
        }
        let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
        Some(data.join("avance"))
    }
}

/// Why there is no database to work with. The messages are for whoever started the program.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Embedded(#[from] EmbeddedError),
    /// The server given is too old, speaks another language, or the URL is none.
    #[error(transparent)]
    Server(ConnectError),
    /// Nobody answers, or the server turns Avance away.
    #[error("PostgreSQL at {place} cannot be reached: {reason}")]
    Unreachable { place: String, reason: String },
    /// All connections that the server has are taken.
    #[error(
        "PostgreSQL at {place} has no connection left: {reason}. Raise its max_connections, or close connections of others"
    )]
    NoConnectionLeft { place: String, reason: String },
    #[error("PostgreSQL at {place} has no room left on its disk: {reason}. Make room and start again; nothing is lost")]
    Full { place: String, reason: String },
    #[error(transparent)]
    Migrate(MigrateError),
}

impl StartError {
    fn of_server(error: ConnectError, server: &Config) -> StartError {
        match error {
            ConnectError::Unreachable(reason) => StartError::unreachable(reason, server),
            other => StartError::Server(other),
        }
    }

    fn of_migration(error: MigrateError, server: &Config) -> StartError {
        match error {
            MigrateError::Unreachable(reason) => StartError::unreachable(reason, server),
            MigrateError::Failed(reason) | MigrateError::Role(reason) if says_full(&reason) => {
                StartError::Full { place: place(server), reason }
            }
            other => StartError::Migrate(other),
        }
    }

    /// Whether it is the settings that are wrong, and not the world.
    pub const fn is_wrong_url(&self) -> bool {
        matches!(self, StartError::Server(ConnectError::NotAUrl(..)))
    }

    fn unreachable(reason: String, server: &Config) -> StartError {
        let place = place(server);
        if ["too many clients", "too many connections", "connection slots"].iter().any(|part| reason.contains(part)) {
            return StartError::NoConnectionLeft { place, reason };
        }
        if says_full(&reason) {
            return StartError::Full { place, reason };
        }
        StartError::Unreachable { place, reason }
    }
}

/// A database that is up to date and open.
pub struct Database {
    pub db: Db,
    /// The private cluster, unless a URL was given.
    pub embedded: Option<Embedded>,
    /// How the owner of the tables logs in.
    pub server: Config,
    pub distributed: Option<Distributed>,
}

impl Database {
    /// Reaches or starts the server, brings the tables up to date and opens the pool.
    ///
    /// # Errors
    /// See [`StartError`]. A private cluster that was started for nothing is stopped again.
    pub async fn start(settings: &DatabaseSettings) -> Result<Database, StartError> {
        let (embedded, server) = reach(settings).await?;
        match open(&server, settings).await {
            Ok(db) => Ok(Database { db, embedded, server, distributed: settings.distributed }),
            Err(error) => {
                let_go(embedded).await;
                Err(error)
            }
        }
    }

    /// Brings the tables up to date and lets go of the server.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn migrate_only(settings: &DatabaseSettings) -> Result<Migrations, StartError> {
        let (embedded, server) = reach(settings).await?;
        let migrated = migrate(&server, settings.distributed).await;
        let migrated = migrated.map_err(|error| StartError::of_migration(error, &server)).inspect(tell);
        let_go(embedded).await;
        migrated
    }

    /// Starts a private cluster again whenever it has died. Never ends; a server behind a URL is left to its owner.
    pub async fn watch(&self) {
        let Some(embedded) = &self.embedded else { return std::future::pending().await };
        loop {
            tokio::time::sleep(WATCH_EVERY).await;
            if let Err(error) = embedded.ensure().await {
                tracing::error!(%error, "the database does not answer and cannot be started");
            }
        }
    }

    /// Closes the pool and lets go of a private cluster; the last process that does stops it.
    ///
    /// # Errors
    /// The cluster does not end.
    pub async fn stop(self) -> Result<(), StartError> {
        self.db.close();
        match self.embedded {
            Some(embedded) => Ok(embedded.stop().await?),
            None => Ok(()),
        }
    }
}

async fn reach(settings: &DatabaseSettings) -> Result<(Option<Embedded>, Config), StartError> {
    if let Some(url) = &settings.url {
        let server = Settings::from_url(url).map_err(StartError::Server)?.server;
        // Before the migrations: they would fail on an old server with something obscure.
        check_server(&server).await.map_err(|error| StartError::of_server(error, &server))?;
        return Ok((None, server));
    }
    let embedded = Embedded::start(&settings.data).await?;
    match make_database(&embedded).await {
        Ok(()) => {
            let server = embedded.config(DATABASE, OWNER_ROLE);
            Ok((Some(embedded), server))
        }
        Err(error) => {
            let_go(Some(embedded)).await;
            Err(error)
        }
    }
}

fn tell(migrations: &Migrations) {
    for migration in &migrations.applied {
        tracing::info!(migration, "applied");
    }
    if !migrations.distributed.is_empty() {
        tracing::info!(tables = migrations.distributed.len(), "spread over the nodes");
    }
}

async fn open(server: &Config, settings: &DatabaseSettings) -> Result<Db, StartError> {
    let DatabaseSettings { connections, distributed, .. } = *settings;
    let migrated = migrate_at_start(server, distributed).await;
    tell(&migrated.map_err(|error| StartError::of_migration(error, server))?);
    let settings = Settings { connections, distributed, ..Settings::new(server.clone()) };
    Db::connect(settings).await.map_err(|error| StartError::of_server(error, server))
}

/// What went wrong first is what the caller wants to hear.
async fn let_go(embedded: Option<Embedded>) {
    let Some(embedded) = embedded else { return };
    if let Err(error) = embedded.stop().await {
        tracing::warn!(%error, "the database could not be stopped");
    }
}

/// Makes the owner of the tables and its database in the private cluster, where they are missing.
async fn make_database(embedded: &Embedded) -> Result<(), StartError> {
    let server = embedded.config("postgres", SUPERUSER);
    let unreachable = |error: tokio_postgres::Error| StartError::unreachable(full(&error), &server);
    let (client, connection) = server.connect(NoTls).await.map_err(unreachable)?;
    let driver = tokio::spawn(connection);
    let made = make_with(&client).await;
    drop(client);
    driver.abort();
    made.map_err(unreachable)
}

async fn make_with(client: &Client) -> Result<(), tokio_postgres::Error> {
    let role = client.query_opt("SELECT FROM pg_roles WHERE rolname = $1", &[&OWNER_ROLE]).await?;
    if role.is_none() {
        let made = client.batch_execute(&format!("CREATE ROLE {OWNER_ROLE} LOGIN NOSUPERUSER CREATEROLE")).await;
        made.or_else(made_before)?;
    }
    let database = client.query_opt("SELECT FROM pg_database WHERE datname = $1", &[&DATABASE]).await?;
    if database.is_none() {
        // Not part of a transaction: killed half-way, PostgreSQL leaves no database.
        let made = client.batch_execute(&format!("CREATE DATABASE {DATABASE} OWNER {OWNER_ROLE}")).await;
        made.or_else(made_before)?;
    }
    Ok(())
}

/// Another process that starts at the same moment may have been faster.
fn made_before(error: tokio_postgres::Error) -> Result<(), tokio_postgres::Error> {
    let duplicates = [SqlState::DUPLICATE_OBJECT, SqlState::DUPLICATE_DATABASE, SqlState::UNIQUE_VIOLATION];
    match error.code() {
        Some(code) if duplicates.contains(code) => Ok(()),
        _ => Err(error),
    }
}

/// Which server and database, without secrets.
fn place(server: &Config) -> String {
    let host = match server.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        Some(Host::Unix(folder)) => folder.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = server.get_ports().first().copied().unwrap_or(5432);
    let database = server.get_dbname().or(server.get_user()).unwrap_or("postgres");
    format!("{host}:{port}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str) -> Config {
        url.parse().unwrap()
    }

    #[test]
    fn the_place_names_no_secret() {
        for (url, shown) in [
            ("postgres://ada:hunter2@db.example:6000/books", "db.example:6000/books"),
            ("postgres://ada:hunter2@db.example", "db.example:5432/ada"),
            ("postgres:///books?host=/run/pg&user=ada", "/run/pg:5432/books"),
        ] {
            assert_eq!(place(&config(url)), shown);
        }
    }

    #[test]
    fn the_reason_decides_what_is_said() {
        let server = config("postgres://db.example/books");
        let said = |reason: &str| StartError::unreachable(reason.to_owned(), &server);
        assert!(matches!(
            said("db error: FATAL: sorry, too many clients already"),
            StartError::NoConnectionLeft { .. }
        ));
        assert!(matches!(said("could not write: No space left on device"), StartError::Full { .. }));
        assert!(matches!(said("connection refused"), StartError::Unreachable { .. }));
        let failed = MigrateError::Failed("could not extend file: No space left on device".to_owned());
        assert!(matches!(StartError::of_migration(failed, &server), StartError::Full { .. }));
    }
}
