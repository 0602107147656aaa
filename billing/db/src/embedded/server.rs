//! The server's processes: making a cluster, starting, asking, stopping.
//!
//! Invariant: a signal is only ever sent to a process that is known to be the server: the kernel says that it listens on
//! our socket as the user we expect, or that it works in the cluster's folder. Durability is not negotiable: `fsync` and its kin stand on the command line,
//! where no configuration file reaches them.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal};
use tokio::{net::UnixStream, process::Command};
use tokio_postgres::{Config, NoTls, error::SqlState};

use super::{
    EmbeddedError, SUPERUSER,
    account::Account,
    binaries::Installation,
    error::failed,
    layout::{self, Layout},
    lock::{self, Lock},
};

/// How often a server that is coming or going is asked.
const POLL: Duration = Duration::from_millis(10);
/// How long one question may take.
const QUESTION: Duration = Duration::from_secs(5);
/// How long a server may be silent before it counts as stuck; also for the children of a killed one to end.
const SILENCE: Duration = Duration::from_mins(1);
/// How long a server may say that it is starting: after a crash it replays up to `max_wal_size` of its log.
pub(super) const RECOVERY: Duration = Duration::from_mins(15);
/// How long a fast shutdown may take: it writes what is in memory to the disk.
pub(super) const SHUTDOWN: Duration = Duration::from_mins(2);
/// How often a long wait is told to the reader of the program's log.
const REMINDER: Duration = Duration::from_secs(10);

/// What must hold, whatever the configuration files say.
const ALWAYS: [(&str, &str); 10] = [
    ("listen_addresses", ""),
    ("port", "5432"),
    ("unix_socket_permissions", "0700"),
    ("fsync", "on"),
    ("full_page_writes", "on"),
    ("synchronous_commit", "on"),
    ("logging_collector", "off"),
    ("log_destination", "stderr"),
    ("external_pid_file", ""),
    ("cluster_name", "avance"),
];

/// What suits Avance, written into the cluster at each start.
const DEFAULTS: &str = "\
# Written by Avance at each start. To change something, use ALTER SYSTEM or the end of postgresql.conf.
max_connections = 100
shared_buffers = 256MB
effective_cache_size = 1GB
maintenance_work_mem = 128MB
# Three processes of one parallel hash stay below the 64 MB of shared memory that containers have.
work_mem = 8MB
max_wal_size = 4GB
min_wal_size = 256MB
checkpoint_timeout = 15min
wal_compression = on
random_page_cost = 1.1
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] '
log_checkpoints = off
# A statement whose client was killed ends soon, and with it a killed server's last process.
client_connection_check_interval = 5s
";

/// What the socket of a cluster answers.
#[derive(Debug)]
pub(super) enum Answer {
    /// Nobody listens.
    Nobody,
    /// A process listens and says nothing.
    Silence(Option<Pid>),
    /// The server is starting, recovering or stopping.
    Patience(Option<Pid>),
    /// The server takes connections.
    Ready,
}

/// A cluster's place and user: everything that its processes are started and found by.
#[derive(Debug, Clone)]
pub(super) struct Server {
    pub(super) layout: Layout,
    pub(super) account: Account,
    pub(super) socket_folder: PathBuf,
}

impl Server {
    /// Asks the socket who listens, and whether it takes connections.
    ///
    /// # Errors
    /// [`EmbeddedError::SocketFolder`] if somebody else listens; [`EmbeddedError::Refused`] if the server turns the
    /// superuser away.
    pub(super) async fn ask(&self) -> Result<Answer, EmbeddedError> {
        let Some((stream, pid)) = self.connect().await? else {
            return Ok(Answer::Nobody);
        };
        let mut config = Config::new();
        config.user(SUPERUSER).dbname("postgres").application_name("avance");
        let error = match tokio::time::timeout(QUESTION, config.connect_raw(stream, NoTls)).await {
            Err(_) => return Ok(Answer::Silence(pid)),
            Ok(Ok((client, connection))) => {
                drop(client);
                // The connection's future says goodbye; how it ends does not matter.
                let _ = tokio::time::timeout(QUESTION, connection).await;
                return Ok(Answer::Ready);
            }
            Ok(Err(error)) => error,
        };
        match error.code() {
            Some(code) if *code == SqlState::CANNOT_CONNECT_NOW => Ok(Answer::Patience(pid)),
            Some(code) if *code == SqlState::TOO_MANY_CONNECTIONS => Ok(Answer::Ready),
            Some(_) => Err(EmbeddedError::Refused { folder: self.layout.cluster.clone(), source: error }),
            // The server went away in the middle of the question.
            None => Ok(Answer::Silence(pid)),
        }
    }

    /// Waits until the server takes connections (`true`) or no process of it is left (`false`).
    ///
    /// # Errors
    /// [`EmbeddedError::Unanswered`] if neither happens in time.
    pub(super) async fn settle(&self) -> Result<bool, EmbeddedError> {
        let began = Instant::now();
        let mut patience = Instant::now();
        let mut reminder = Instant::now();
        loop {
            let pid = match self.ask().await? {
                Answer::Ready => return Ok(true),
                Answer::Nobody if lock::is_free(&self.layout.server_lock)? => return Ok(false),
                Answer::Nobody => None,
                Answer::Silence(pid) => pid,
                Answer::Patience(pid) => {
                    patience = Instant::now();
                    pid
                }
            };
            if patience.elapsed() >= SILENCE || began.elapsed() >= RECOVERY {
                let recorded = self.layout.recorded_process()?;
                return Err(EmbeddedError::Unanswered {
                    folder: self.layout.cluster.clone(),
                    pid: pid.map(|pid| pid.as_raw_nonzero().get()).or(recorded),
                    seconds: began.elapsed().as_secs(),
                    log: self.layout.log.clone(),
                });
            }
            if reminder.elapsed() >= REMINDER {
                reminder = Instant::now();
                tracing::info!(log = %self.layout.log.display(), "waiting for PostgreSQL to start or to end");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Makes a new cluster. Nothing of it is at its place until it is complete.
    pub(super) async fn initialise(&self, installation: &Installation) -> Result<(), EmbeddedError> {
        tracing::info!(folder = %self.layout.cluster.display(), major = installation.major, "making a new database");
        // What a killed process started may still be at it.
        drop(Lock::exclusive(&self.layout.server_lock, SILENCE).await?);
        // C.UTF-8 sorts like C and knows the letters of all scripts; a system without it has to do with C.
        match self.initdb(installation, "C.UTF-8").await {
            Err(EmbeddedError::Initdb { detail, .. }) if detail.contains("invalid locale") => {
                tracing::warn!("this system lacks the locale C.UTF-8; upper and lower case work for English only");
                self.initdb(installation, "C").await?;
            }
            result => result?,
        }
        let configuration = self.layout.unfinished.join("postgresql.conf");
        layout::append(&configuration, "\ninclude_if_exists = 'avance.conf'\n\n# Your own settings go here.\n")?;
        self.layout.finish_cluster(&self.account)
    }

    async fn initdb(&self, installation: &Installation, locale: &str) -> Result<(), EmbeddedError> {
        self.layout.begin_cluster(&self.account)?;
        let mut command = self.command(installation, "initdb", &self.layout.unfinished);
        command
            .arg("--pgdata")
            .arg(&self.layout.unfinished)
            .args(["--username", SUPERUSER, "--auth-local", "trust", "--auth-host", "reject"])
            .args(["--encoding", "UTF8", "--locale", locale, "--lc-messages", "C"])
            .args(["--data-checksums", "--no-instructions"])
            .kill_on_drop(true);
        let start = self.attach(&mut command).await?;
        let program = installation.folder.join("initdb");
        let mut child = command.spawn().map_err(failed("run", &program))?;
        drop(command);
        let status = child.wait().await.map_err(failed("wait for", &program))?;
        if status.success() {
            return Ok(());
        }
        let (folder, detail) = (self.layout.cluster.clone(), self.layout.log_tail(start));
        Err(EmbeddedError::Initdb { folder, detail })
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Errors
    /// [`EmbeddedError::Failed`] with the end of its log if it ends before that.
    pub(super) async fn launch(&self, installation: &Installation) -> Result<(), EmbeddedError> {
        self.clear_remains().await?;
        let defaults = self.layout.cluster.join("avance.conf");
        if layout::read(&defaults)?.is_none_or(|text| text != DEFAULTS) {
            layout::write(&defaults, DEFAULTS, &self.account)?;
        }
        let mut command = self.command(installation, "postgres", &self.layout.cluster);
        command.arg("-D").arg(&self.layout.cluster);
        let socket = [("unix_socket_directories", self.socket_folder.display().to_string())];
        let always = ALWAYS.iter().map(|(name, value)| (*name, (*value).to_owned()));
        for (name, value) in always.chain(socket) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        // Ctrl-C in the terminal is for Avance, which stops the server when its own work is done.
        command.process_group(0);
        let start = self.attach(&mut command).await?;
        // The child is let go: the lock tells when it ends, and the runtime reaps it.
        drop(command.spawn().map_err(failed("run", &installation.folder.join("postgres")))?);
        drop(command);
        if self.settle().await? {
            return Ok(());
        }
        Err(EmbeddedError::Failed { log: self.layout.log.clone(), tail: self.layout.log_tail(start) })
    }

    /// Removes what a dead server left, see [`Layout::remove_remains`].
    ///
    /// # Errors
    /// [`EmbeddedError::InUse`] if a server that Avance did not start works in the cluster.
    async fn clear_remains(&self) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        while let Some(pid) = self.layout.recorded_process()? {
            // A process that ends closes its files, and with them the lock, a little before it leaves its folder.
            if began.elapsed() >= QUESTION {
                return Err(EmbeddedError::InUse { folder: self.layout.cluster.clone(), pid });
            }
            tokio::time::sleep(POLL).await;
        }
        self.layout.remove_remains(&self.socket_folder)
    }

    /// Stops the server, open connections included, and waits until no process of it is left.
    ///
    /// # Errors
    /// [`EmbeddedError::StillRunning`] if it takes longer than [`SHUTDOWN`].
    pub(super) async fn shut_down(&self) -> Result<(), EmbeddedError> {
        let began = Instant::now();
        let mut told = None;
        loop {
            let free = lock::is_free(&self.layout.server_lock)?;
            // Once told, a server that we started is not asked any more: its lock says when it has ended.
            if told.is_none() || free {
                match self.listener().await? {
                    None if free => return Ok(()),
                    pid if pid != told => {
                        // If it has ended meanwhile, it is stopped, and the next look will see that.
                        let _ = pid.map(|pid| rustix::process::kill_process(pid, Signal::INT));
                        told = pid;
                    }
                    _ => {}
                }
            }
            if began.elapsed() >= SHUTDOWN {
                return Err(EmbeddedError::StillRunning {
                    folder: self.layout.cluster.clone(),
                    pid: told.map(|pid| pid.as_raw_nonzero().get()),
                    seconds: SHUTDOWN.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Proves that the server's user reaches the cluster and the programs, before something obscure fails for it.
    ///
    /// # Errors
    /// [`EmbeddedError::NotTraversable`] with the folder that is in the way.
    pub(super) async fn check_reach(&self, installation: &Installation) -> Result<(), EmbeddedError> {
        if !self.account.is_other() {
            return Ok(());
        }
        let program = installation.folder.join("postgres");
        let mut command = self.command(installation, "postgres", &self.layout.data);
        let result = command.arg("--version").stdin(Stdio::null()).output().await;
        let Err(error) = result else { return Ok(()) };
        for path in [&self.layout.data, &installation.folder] {
            if let Some(barrier) = self.account.barrier(path) {
                let (path, account) = (path.clone(), self.account.name.clone());
                return Err(EmbeddedError::NotTraversable { path, barrier, account });
            }
        }
        Err(failed("run", &program)(error))
    }

    /// The server's process: who listens on the socket, else (its file may be gone) whom the cluster's process file
    /// names.
    async fn listener(&self) -> Result<Option<Pid>, EmbeddedError> {
        if let Some((_, pid)) = self.connect().await? {
            return Ok(pid);
        }
        Ok(self.layout.recorded_process()?.and_then(Pid::from_raw))
    }

    /// Connects to the socket, and says which process listens there. `None` where nobody does.
    ///
    /// # Errors
    /// [`EmbeddedError::SocketFolder`] if it is not a process of the server's user.
    async fn connect(&self) -> Result<Option<(UnixStream, Option<Pid>)>, EmbeddedError> {
        let socket = layout::socket(&self.socket_folder);
        let began = Instant::now();
        let stream = loop {
            match UnixStream::connect(&socket).await.map_err(|error| (error.kind(), error)) {
                Ok(stream) => break stream,
                // No socket, a socket that nobody listens on, and one whose listener dies at this moment.
                Err((
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset,
                    _,
                )) => return Ok(None),
                // Too many others are waiting to be let in.
                Err((io::ErrorKind::WouldBlock, _)) if began.elapsed() < QUESTION => tokio::time::sleep(POLL).await,
                Err((_, error)) => return Err(failed("connect to", &socket)(error)),
            }
        };
        let peer = stream.peer_cred().map_err(failed("connect to", &socket))?;
        if peer.uid() != self.account.uid {
            let (folder, account) = (self.socket_folder.clone(), self.account.name.clone());
            return Err(EmbeddedError::SocketFolder { folder, account });
        }
        Ok(Some((stream, peer.pid().and_then(Pid::from_raw))))
    }

    /// A program of PostgreSQL, as the server's user, in `folder`, without what the environment would tell it.
    fn command(&self, installation: &Installation, program: &str, folder: &Path) -> Command {
        let mut command = Command::new(installation.folder.join(program));
        let meddles = |name: &str| {
            ["PG", "LC_", "LANG"].iter().any(|prefix| name.starts_with(prefix))
                // systemd would take the server's readiness for Avance's.
                || ["TZ", "NOTIFY_SOCKET"].contains(&name)
        };
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(meddles)) {
            command.env_remove(name);
        }
        self.account.run(command.env("LC_ALL", "C").current_dir(folder));
        command
    }

    /// Gives a child the server's lock as its input and the log as its output; says where the log ends now.
    async fn attach(&self, command: &mut Command) -> Result<u64, EmbeddedError> {
        let lock = Lock::exclusive(&self.layout.server_lock, QUESTION).await?;
        let (log, start) = self.layout.open_log()?;
        let again = log.try_clone().map_err(failed("open", &self.layout.log))?;
        command.stdin(lock.into_file().map_or_else(Stdio::null, Stdio::from)).stdout(log).stderr(again);
        Ok(start)
    }
}
