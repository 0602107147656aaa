//! The private PostgreSQL cluster: what Avance runs on when it is given no database.
//!
//! It lives in the data folder, is made on first use from the PostgreSQL installed on the computer, listens on a unix
//! socket only its owner can reach, and outlives the process that started it: after a crash or `kill -9` the next
//! process finds it running and goes on. Several processes of Avance share it; the last one to let go stops it.
//!
//! Invariant: a database that Avance did not make is never touched, and at most one server runs on a cluster. The
//! locks that keep this are described in [`lock`], the files in [`layout`].
//!
//! Small file operations are done in place: this runs once, while a process starts or ends.

mod account;
mod binaries;
mod error;
mod layout;
mod lock;
mod server;
#[cfg(test)]
mod tests;

use std::{path::Path, time::Instant};

use tokio_postgres::Config;

use self::{
    account::Account,
    binaries::Search,
    layout::Layout,
    lock::Lock,
    server::{Answer, RECOVERY, SHUTDOWN, Server},
};

pub use self::error::EmbeddedError;

/// The superuser of the cluster. Whoever can reach the socket may be it, without a password.
pub const SUPERUSER: &str = "avance_superuser";

/// A hold of this process on the cluster of a data folder.
///
/// Dropping it lets go without stopping the server, as a crash would: [`Embedded::stop`] is the polite way.
#[derive(Debug)]
pub struct Embedded {
    server: Server,
    search: Search,
    hold: Lock,
}

impl Embedded {
    /// Finds, makes or starts the cluster in the folder `data` (made if missing) and waits until it answers.
    ///
    /// PostgreSQL is looked for in the folder `AVANCE_POSTGRES_BIN`, else in `PATH` and where packages put it. Takes
    /// about a second the first time, a tenth of one later; longer after a crash, while the server recovers.
    ///
    /// # Errors
    /// See [`EmbeddedError`]; the messages are for the user.
    pub async fn start(data: &Path) -> Result<Embedded, EmbeddedError> {
        Embedded::start_with(data, Search::from_env()).await
    }

    async fn start_with(data: &Path, search: Search) -> Result<Embedded, EmbeddedError> {
        let layout = Layout::of(data)?;
        let account = Account::choose(&layout.cluster, layout.owner()?)?;
        let socket_folder = layout.socket_folder(&account);
        let start = Lock::exclusive(&layout.start_lock, RECOVERY + SHUTDOWN).await?;
        // Held alone only by a process that also holds `start.lock`, so it is free for sharing now.
        let hold = Lock::shared_now(&layout.cluster_lock)?
            .ok_or_else(|| EmbeddedError::Locked { lock: layout.cluster_lock.clone(), seconds: 0 })?;
        let server = Server { layout, account, socket_folder };
        bring_up(&server, &search).await?;
        drop(start);
        Ok(Embedded { server, search, hold })
    }

    /// Starts the server again if it has died meanwhile; does nothing if it answers.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn ensure(&self) -> Result<(), EmbeddedError> {
        if matches!(self.server.ask().await?, Answer::Ready) {
            return Ok(());
        }
        let _start = Lock::exclusive(&self.server.layout.start_lock, RECOVERY + SHUTDOWN).await?;
        bring_up(&self.server, &self.search).await
    }

    /// Lets go. The last process that lets go stops the server, without waiting for its clients, and waits until it
    /// has ended.
    ///
    /// # Errors
    /// [`EmbeddedError::StillRunning`] if it does not end; the hold is gone all the same.
    pub async fn stop(self) -> Result<(), EmbeddedError> {
        let Embedded { server, hold, .. } = self;
        let layout = &server.layout;
        let _start = Lock::exclusive(&layout.start_lock, RECOVERY + SHUTDOWN).await?;
        drop(hold);
        let Some(_alone) = Lock::exclusive_now(&layout.cluster_lock)? else {
            tracing::debug!(folder = %layout.cluster.display(), "the database stays up for other processes");
            return Ok(());
        };
        server.shut_down().await?;
        server.layout.forget_socket_folder(&server.socket_folder);
        tracing::info!(folder = %layout.cluster.display(), "the database has stopped");
        Ok(())
    }

    /// How to connect to `database` as `user`, through the socket.
    #[must_use]
    pub fn config(&self, database: &str, user: &str) -> Config {
        let mut config = Config::new();
        config.host_path(&self.server.socket_folder).dbname(database).user(user);
        config
    }

    /// The same as a URL, for `psql` and everything that takes one.
    #[must_use]
    pub fn url(&self, database: &str, user: &str) -> String {
        let socket = self.server.socket_folder.display().to_string();
        format!("postgres:///{}?host={}&user={}", encoded(database), encoded(&socket), encoded(user))
    }

    /// The cluster's folder, PostgreSQL's data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.server.layout.cluster
    }

    /// The folder of the server's socket.
    #[must_use]
    pub fn socket_dir(&self) -> &Path {
        &self.server.socket_folder
    }

    /// Where the server writes its log.
    #[must_use]
    pub fn log_file(&self) -> &Path {
        &self.server.layout.log
    }
}

/// Makes sure that the server runs and answers. Call under `start.lock`.
async fn bring_up(server: &Server, search: &Search) -> Result<(), EmbeddedError> {
    let began = Instant::now();
    let layout = &server.layout;
    let made_by = layout.made_by()?;
    layout.prepare_socket_folder(&server.socket_folder, &server.account)?;
    // A running server needs no programs: it goes on even if the package was replaced under it.
    if made_by.is_some() && server.settle().await? {
        tracing::info!(folder = %layout.cluster.display(), "the database was running already");
        return Ok(());
    }
    let installation = search.find(&layout.cluster, made_by).await?;
    server.check_reach(&installation).await?;
    if made_by.is_none() {
        server.initialise(&installation).await?;
    }
    server.launch(&installation).await?;
    tracing::info!(
        folder = %layout.cluster.display(),
        log = %layout.log.display(),
        major = installation.major,
        elapsed = ?began.elapsed(),
        "the database runs"
    );
    Ok(())
}

/// Percent-encodes everything but letters, digits and `-._~/`.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
