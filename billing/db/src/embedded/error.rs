//! What can go wrong with the private cluster, in words for whoever started `avance`.
//!
//! Every message names the file or folder it is about and what to do next.

use std::{io, path::PathBuf};

/// Why the private cluster could not be started, found or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// No folder with `postgres` and `initdb` was found.
    #[error(
        "PostgreSQL 15 or newer is needed and was not found on this computer. Install it (Debian, Ubuntu: \
         `apt-get install postgresql`; Fedora: `dnf install postgresql-server`; macOS: `brew install postgresql@17`), \
         or set AVANCE_POSTGRES_BIN to the folder that holds `postgres` and `initdb`, \
         or give Avance the URL of a PostgreSQL of your own"
    )]
    NotInstalled,
    /// `AVANCE_POSTGRES_BIN` was set and does not hold the programs.
    #[error("AVANCE_POSTGRES_BIN is {}, but that folder does not hold a working `postgres` and `initdb`", .folder.display())]
    BadBinaryFolder {
        /// The value of the variable.
        folder: PathBuf,
    },
    /// PostgreSQL is installed, but only in versions that cannot be used.
    #[error(
        "PostgreSQL 15 or newer is needed; found only {found}. Install a newer one (Debian, Ubuntu: \
         `apt-get install postgresql`), or set AVANCE_POSTGRES_BIN to the folder of a newer one"
    )]
    TooOld {
        /// Versions and folders that were found.
        found: String,
    },
    /// The cluster was made by another major version than those installed.
    #[error(
        "the database in {} was made by PostgreSQL {cluster}, which cannot be read by {found}. Install PostgreSQL \
         {cluster} (Debian, Ubuntu: `apt-get install postgresql-{cluster}`), set AVANCE_POSTGRES_BIN to its folder, \
         or move the data with pg_upgrade", .folder.display()
    )]
    WrongMajor {
        /// The cluster's folder.
        folder: PathBuf,
        /// Major version that made it.
        cluster: u32,
        /// Versions and folders that were found.
        found: String,
    },
    /// The folder has content that Avance did not put there.
    #[error(
        "{} is not empty and was not made by Avance, so it is left alone. Choose another data folder with AVANCE_DATA, \
         or move this one away", .folder.display()
    )]
    Foreign {
        /// The folder in the way.
        folder: PathBuf,
    },
    /// The cluster was laid out by a newer Avance.
    #[error("{} was made by a newer Avance (layout {found}, this one knows {known}); use that version", .folder.display())]
    NewerLayout {
        /// The cluster's folder.
        folder: PathBuf,
        /// Layout version in the marker.
        found: u32,
        /// Newest layout version this program knows.
        known: u32,
    },
    /// The cluster belongs to another user of this computer.
    #[error(
        "{} belongs to user {owner}, and Avance runs as user {user}. Run it as {owner}, or choose another data folder \
         with AVANCE_DATA", .folder.display()
    )]
    OtherOwner {
        /// The cluster's folder.
        folder: PathBuf,
        /// Its owner.
        owner: String,
        /// The user of this process.
        user: String,
    },
    /// Running as root, and there is no user to run the server as.
    #[error(
        "PostgreSQL does not run as root, and this computer has neither a user `postgres` nor a user `nobody`. \
         Run Avance as an ordinary user, or make one: `useradd --system postgres`"
    )]
    NoAccount,
    /// Running as root, and the server's user cannot reach what it needs.
    #[error(
        "PostgreSQL does not run as root, so it runs as user {account}, who cannot reach {} because {} is closed to \
         other users. Set AVANCE_DATA to a folder that is open to them, such as /var/lib/avance, or open that one: \
         `chmod o+x {}`", .path.display(), .barrier.display(), .barrier.display()
    )]
    NotTraversable {
        /// What the server needs.
        path: PathBuf,
        /// The first folder on the way that is closed.
        barrier: PathBuf,
        /// The server's user.
        account: String,
    },
    /// The folder for the socket is not ours alone, so trusting whoever can reach it would be wrong.
    #[error(
        "the socket folder {} is not a folder that belongs to user {account} alone (mode 0700). Remove it and start \
         again", .folder.display()
    )]
    SocketFolder {
        /// The folder in the way.
        folder: PathBuf,
        /// The server's user.
        account: String,
    },
    /// Another process of Avance has been starting or stopping the server for too long.
    #[error("another process of Avance has been starting or stopping the database for {seconds} s (it holds {})", .lock.display())]
    Locked {
        /// The lock file.
        lock: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// `initdb` failed.
    #[error("the database could not be made in {}; initdb ended with:\n{detail}", .folder.display())]
    Initdb {
        /// The cluster's folder.
        folder: PathBuf,
        /// The end of what `initdb` said.
        detail: String,
    },
    /// The server ended before it answered.
    #[error("PostgreSQL did not start; its log {} ends with:\n{tail}", .log.display())]
    Failed {
        /// The server's log.
        log: PathBuf,
        /// What the log says of this start, shortened to its end.
        tail: String,
    },
    /// The server runs and does not answer.
    #[error(
        "PostgreSQL runs in {} but has not answered for {seconds} s{}; its log is {}. If it is stuck, end it and \
         start again", .folder.display(), process(*.pid), .log.display()
    )]
    Unanswered {
        /// The cluster's folder.
        folder: PathBuf,
        /// The server's process, where known.
        pid: Option<i32>,
        /// How long it was waited for.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
    },
    /// Somebody else runs a server in the cluster's folder.
    #[error("process {pid} runs PostgreSQL in {} and was not started by Avance; stop it first", .folder.display())]
    InUse {
        /// The cluster's folder.
        folder: PathBuf,
        /// The process.
        pid: i32,
    },
    /// The server answers and refuses the superuser.
    #[error("the PostgreSQL in {} refuses Avance: {source}", .folder.display())]
    Refused {
        /// The cluster's folder.
        folder: PathBuf,
        /// The server's answer.
        source: tokio_postgres::Error,
    },
    /// The server did not end when told to.
    #[error("PostgreSQL in {} has not stopped within {seconds} s{}; it is left as it is", .folder.display(), process(*.pid))]
    StillRunning {
        /// The cluster's folder.
        folder: PathBuf,
        /// The server's process, where known.
        pid: Option<i32>,
        /// How long it was waited for.
        seconds: u64,
    },
    /// The operating system refused something.
    #[error("cannot {doing} {}: {source}", .path.display())]
    Io {
        /// The verb, as in "cannot open".
        doing: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
}

fn process(pid: Option<i32>) -> String {
    pid.map(|pid| format!(" (process {pid})")).unwrap_or_default()
}

/// Names the act and the path of an I/O error: `fs::read(&p).map_err(failed("read", &p))`.
pub(super) fn failed(doing: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::Io { doing, path, source }
}
