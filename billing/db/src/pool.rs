//! The pool of connections that work as the application's role.

use std::sync::Arc;
use std::time::Duration;

use diesel::ConnectionError;
use diesel::connection::InstrumentationEvent;
use diesel_async::pooled_connection::deadpool::{Object, Pool};
use diesel_async::pooled_connection::{AsyncDieselConnectionManager, ManagerConfig, RecyclingMethod};
use diesel_async::{AsyncConnection, AsyncPgConnection};
use futures::FutureExt;
use thiserror::Error;
use tokio_postgres::{Config, NoTls};

use crate::distributed::Distributed;
use crate::error::DbError;
use crate::migrate::APP_ROLE;
use crate::ready::Probe;

/// After which silence a server's host has vanished, unless the URL says `tcp_user_timeout`.
const VANISHED: Duration = Duration::from_secs(15);

/// A connection inside a transaction; stores take it as their first argument.
pub type Conn = AsyncPgConnection;

/// Sees the text of every statement; tests count and read them.
pub type Observer = Arc<dyn Fn(&str) + Send + Sync>;

/// The server is not one that Avance can use.
#[derive(Debug, Error)]
pub enum ConnectError {
    #[error("{0:?} is not a PostgreSQL connection URL: {1}")]
    NotAUrl(String, String),
    #[error("PostgreSQL cannot be reached: {0}")]
    Unreachable(String),
    #[error("PostgreSQL {found} is too old: Avance needs 15 or later")]
    TooOld { found: String },
    #[error("the server's messages are in {0:?}: set lc_messages to C or to an English locale for this database")]
    ForeignMessages(String),
    #[error(transparent)]
    Database(#[from] DbError),
}

/// How to reach the server and how long to wait for it.
#[derive(Clone)]
pub struct Settings {
    /// Login of the role that owns the tables; connections of the pool switch to the application's role at once.
    pub server: Config,
    pub connections: usize,
    /// How long to wait for a free connection.
    pub wait: Duration,
    /// How long a transaction on a few rows may take, all its statements together.
    pub limit: Duration,
    pub observer: Option<Observer>,
    pub distributed: Option<Distributed>,
}

/// Longer than any statement of a few rows may take. A node that hangs answers neither a statement nor its end, nor lets
/// the coordinator give up; the connection is given up here.
const LIMIT: Duration = Duration::from_secs(60);

impl Settings {
    pub fn new(server: Config) -> Self {
        Settings {
            server,
            connections: 16,
            wait: Duration::from_secs(5),
            limit: LIMIT,
            observer: None,
            distributed: None,
        }
    }

    /// # Errors
    /// [`ConnectError::NotAUrl`].
    pub fn from_url(url: &str) -> Result<Self, ConnectError> {
        let without_password = || url.rsplit('@').next().unwrap_or_default().to_owned();
        let server = url.parse().map_err(|error| ConnectError::NotAUrl(without_password(), format!("{error}")))?;
        Ok(Settings::new(server))
    }
}

/// The database, as the application's role.
#[derive(Clone)]
pub struct Db {
    pool: Pool<AsyncPgConnection>,
    /// Settings of its transactions, as they follow BEGIN.
    pub(crate) local: &'static str,
    pub(crate) distributed: Option<Distributed>,
    pub(crate) probe: Probe,
    /// How long a transaction may take; none: as long as its statements may.
    pub(crate) limit: Option<Duration>,
}

impl Db {
    /// Opens the pool. The tables must stand already (see [`crate::migrate`]).
    ///
    /// # Errors
    /// The server is unreachable, too old, or does not speak English.
    pub async fn connect(settings: Settings) -> Result<Db, ConnectError> {
        check_server(&settings.server).await?;
        let mut server = settings.server;
        // A host that vanished says nothing: without these, who waits for its answer waits for a quarter of an hour.
        if server.get_tcp_user_timeout().is_none() {
            server.tcp_user_timeout(VANISHED).keepalives_idle(VANISHED);
        }
        let given = server.get_options().map(|options| format!("{options} ")).unwrap_or_default();
        let distributed = settings.distributed.map_or("", Distributed::options);
        // As a start-up option the role is what RESET ROLE returns to, too.
        server.options(format!(
            "{given}-c role={APP_ROLE} -c statement_timeout=8s -c lock_timeout=10s -c idle_in_transaction_session_timeout=60s \
             -c client_connection_check_interval=5s -c jit=off{distributed}"
        ));
        let observer = settings.observer;
        let mut config = ManagerConfig::<AsyncPgConnection>::default();
        // `Fast` notices closed connections too and saves a round trip at every checkout.
        config.recycling_method = RecyclingMethod::Fast;
        config.custom_setup = Box::new(move |_| open(server.clone(), observer.clone()).boxed());
        let pool = Pool::builder(AsyncDieselConnectionManager::new_with_config("", config))
            .max_size(settings.connections)
            .wait_timeout(Some(settings.wait))
            .create_timeout(Some(settings.wait))
            .runtime(deadpool::Runtime::Tokio1)
            .build()
            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        Ok(Db {
            pool,
            local: "",
            distributed: settings.distributed,
            probe: Probe::default(),
            limit: Some(settings.limit),
        })
    }

    /// The same pool for bulk work: a statement may take ten minutes, and is planned for the tables as they are by now.
    ///
    /// A connection keeps the plans of its prepared statements and of the checks of foreign keys. Those that were made
    /// for tables that had hardly a row yet may take any index that begins with the organization, and with it go over
    /// all rows that bulk work has written since.
    pub fn patient(&self) -> Db {
        Db { local: "SET LOCAL statement_timeout = '600s'; DISCARD PLANS", limit: None, ..self.clone() }
    }

    /// The same pool for a few rows at a time, again and again: the server plans a prepared statement once for a
    /// connection. For lists of unknown length it would rather plan each execution anew, which takes longer than the
    /// execution.
    ///
    /// A distributed database has to see what a statement is given, to know which node to send it to.
    pub fn brisk(&self) -> Db {
        if self.distributed.is_some() {
            return self.clone();
        }
        Db { local: "SET LOCAL plan_cache_mode = force_generic_plan", ..self.clone() }
    }

    /// Closes what is idle, and what is in use when it comes back; nothing can be asked for any more.
    pub fn close(&self) {
        self.pool.close();
    }

    pub(crate) async fn checkout(&self) -> Result<Object<AsyncPgConnection>, DbError> {
        self.pool.get().await.map_err(|error| DbError::Unreachable(error.to_string()))
    }
}

async fn open(server: Config, observer: Option<Observer>) -> Result<AsyncPgConnection, ConnectionError> {
    let (client, connection) =
        server.connect(NoTls).await.map_err(|error| ConnectionError::BadConnection(full(&error)))?;
    let mut conn = AsyncPgConnection::try_from_client_and_connection(client, connection).await?;
    if let Some(observer) = observer {
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                observer(&query.to_string());
            }
        });
    }
    Ok(conn)
}

/// # Errors
/// As [`Db::connect`].
pub(crate) async fn check_server(server: &Config) -> Result<(), ConnectError> {
    let (client, connection) = server.connect(NoTls).await.map_err(|error| ConnectError::Unreachable(full(&error)))?;
    let driver = tokio::spawn(connection);
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
             current_setting('lc_messages')",
            &[],
        )
        .await
        .map_err(|error| ConnectError::Unreachable(full(&error)))?;
    drop(client);
    driver.abort();
    let (number, found, messages): (i32, String, String) = (row.get(0), row.get(1), row.get(2));
    if number < 150_000 {
        return Err(ConnectError::TooOld { found });
    }
    let english = messages.is_empty() || messages.starts_with("C") || messages == "POSIX" || messages.starts_with("en");
    if english { Ok(()) } else { Err(ConnectError::ForeignMessages(messages)) }
}

/// The error with its causes: tokio-postgres says "db error" and keeps the rest behind it.
pub(crate) fn full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
