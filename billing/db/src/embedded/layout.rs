//! What lies where in a data folder, and whose it is.
//!
//! ```text
//! <data>/postgres/                 the cluster; `avance-cluster` in it says that Avance made it, and how
//! <data>/postgres.unfinished/      a cluster in the making; renamed when complete, removed when found
//! <data>/socket/                   0700, the only way in (or a folder under /tmp where this path is too long)
//! <data>/postgres.log              what initdb and the server say; `.1` is the one before
//! <data>/{start,cluster,server}.lock
//! ```
//!
//! Invariant: a folder without Avance's marker is never written to, and the marker is only ever seen on a cluster that
//! is complete. Files are written aside and renamed, so that a killed process leaves nothing half done.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::OFlags;

use super::{EmbeddedError, account::Account, error::failed};

/// Version of this layout, written into the marker.
const LAYOUT: u32 = 1;
const MARKER: &str = "avance-cluster";
/// Where PostgreSQL writes which process serves a cluster.
const PROCESS_FILE: &str = "postmaster.pid";
/// The socket's file name, which PostgreSQL makes from its port.
const SOCKET: &str = ".s.PGSQL.5432";
/// A socket's path has at most 107 bytes on Linux and 103 on macOS.
const LONGEST_SOCKET: usize = 103;
/// A log beyond this size is put aside at the next start.
const LARGE_LOG: u64 = 16 << 20;
/// How many lines of the log's end an error quotes.
const TAIL: usize = 10;

/// The paths of one data folder.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    /// The data folder, without links in its path.
    pub(super) data: PathBuf,
    /// The cluster's folder.
    pub(super) cluster: PathBuf,
    /// Where a new cluster is made.
    pub(super) unfinished: PathBuf,
    /// The log of `initdb` and the server.
    pub(super) log: PathBuf,
    /// See [`super::lock`].
    pub(super) start_lock: PathBuf,
    /// See [`super::lock`].
    pub(super) cluster_lock: PathBuf,
    /// See [`super::lock`].
    pub(super) server_lock: PathBuf,
}

impl Layout {
    /// The paths in `data`, which is made if it is missing: closed to others, but for root passable, because the
    /// server then runs as another user.
    pub(super) fn of(data: &Path) -> Result<Layout, EmbeddedError> {
        let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
        DirBuilder::new().recursive(true).mode(mode).create(data).map_err(failed("make the folder", data))?;
        let data = fs::canonicalize(data).map_err(failed("find", data))?;
        Ok(Layout {
            cluster: data.join("postgres"),
            unfinished: data.join("postgres.unfinished"),
            log: data.join("postgres.log"),
            start_lock: data.join("start.lock"),
            cluster_lock: data.join("cluster.lock"),
            server_lock: data.join("server.lock"),
            data,
        })
    }

    /// The owner of what is at the cluster's place, if anything is.
    pub(super) fn owner(&self) -> Result<Option<u32>, EmbeddedError> {
        match fs::metadata(&self.cluster) {
            Ok(data) => Ok(Some(data.uid())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &self.cluster)(error)),
        }
    }

    /// The major version of PostgreSQL that made the cluster, if there is one. A missing or empty folder is none.
    ///
    /// # Errors
    /// [`EmbeddedError::Foreign`] or [`EmbeddedError::NewerLayout`] if it is not one for this program.
    pub(super) fn made_by(&self) -> Result<Option<u32>, EmbeddedError> {
        let foreign = || EmbeddedError::Foreign { folder: self.cluster.clone() };
        let Some(marker) = read(&self.cluster.join(MARKER))? else {
            let empty = match fs::read_dir(&self.cluster) {
                Ok(mut entries) => entries.next().is_none(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => false,
                Err(error) => return Err(failed("read", &self.cluster)(error)),
            };
            return if empty { Ok(None) } else { Err(foreign()) };
        };
        let found: u32 = marker.trim().parse().map_err(|_| foreign())?;
        if found > LAYOUT {
            return Err(EmbeddedError::NewerLayout { folder: self.cluster.clone(), found, known: LAYOUT });
        }
        let major = read(&self.cluster.join("PG_VERSION"))?.and_then(|version| version.trim().parse().ok());
        major.map(Some).ok_or_else(foreign)
    }

    /// An empty folder for a new cluster, without what a killed process may have left of one.
    pub(super) fn begin_cluster(&self, account: &Account) -> Result<(), EmbeddedError> {
        remove_folder(&self.unfinished)?;
        let mut builder = DirBuilder::new();
        builder.mode(0o700).create(&self.unfinished).map_err(failed("make the folder", &self.unfinished))?;
        account.own(&self.unfinished)
    }

    /// Marks the new cluster and puts it in its place, in one step.
    pub(super) fn finish_cluster(&self, account: &Account) -> Result<(), EmbeddedError> {
        write(&self.unfinished.join(MARKER), &format!("{LAYOUT}\n"), account)?;
        fs::rename(&self.unfinished, &self.cluster).map_err(failed("put the new database in", &self.cluster))?;
        sync(&self.data)
    }

    /// The folder of the socket: in the data folder where its path is short and plain enough for everything that reads
    /// it, else under `/tmp`, named after the user and the data folder. (Not `TMPDIR`: every process must find it.)
    pub(super) fn socket_folder(&self, account: &Account) -> PathBuf {
        let near = self.data.join("socket");
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+".contains(byte);
        let bytes = near.as_os_str().as_encoded_bytes();
        if bytes.len() + 1 + SOCKET.len() <= LONGEST_SOCKET && bytes.iter().all(plain) {
            return near;
        }
        let name = format!("avance-{}-{:016x}", account.uid, fnv1a(self.data.as_os_str().as_encoded_bytes()));
        Path::new("/tmp").join(name)
    }

    /// Makes the socket's folder, or proves that an existing one is the server's user's alone.
    pub(super) fn prepare_socket_folder(&self, folder: &Path, account: &Account) -> Result<(), EmbeddedError> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Ok(()) => account.own(folder)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("make the folder", folder)(error)),
        }
        let data = fs::symlink_metadata(folder).map_err(failed("look at", folder))?;
        // A process killed between making the folder and giving it away left it to root, empty: that one is ours too.
        let mine = data.uid() == rustix::process::geteuid().as_raw();
        let closed = data.is_dir() && data.mode() & 0o077 == 0;
        match closed && (data.uid() == account.uid || mine) {
            true if data.uid() != account.uid => account.own(folder),
            true => Ok(()),
            false => Err(EmbeddedError::SocketFolder { folder: folder.to_owned(), account: account.name.clone() }),
        }
    }

    /// Removes a socket folder outside of the data folder. One that cannot be removed is found again by its name.
    pub(super) fn forget_socket_folder(&self, folder: &Path) {
        if !folder.starts_with(&self.data) {
            let _ = fs::remove_dir(folder);
        }
    }

    /// The process that the cluster's process file names, if it lives and really works there.
    pub(super) fn recorded_process(&self) -> Result<Option<i32>, EmbeddedError> {
        let text = read(&self.cluster.join(PROCESS_FILE))?.unwrap_or_default();
        let pid = text.lines().next().and_then(|line| line.trim().parse::<i32>().ok());
        Ok(pid.filter(|pid| works_in(*pid, &self.cluster)))
    }

    /// Removes what a dead server left: its process file and its sockets. Without this a process id that is in use
    /// again, or belongs to a killed server that nobody reaped, would keep PostgreSQL from starting.
    ///
    /// Call only while `server.lock` is free and no process is recorded.
    pub(super) fn remove_remains(&self, socket_folder: &Path) -> Result<(), EmbeddedError> {
        // Without /proc nothing can be told about a recorded process; PostgreSQL then judges its file by itself.
        if !Path::new("/proc/self").exists() {
            return Ok(());
        }
        let socket_lock = socket_folder.join(format!("{SOCKET}.lock"));
        let remains = [self.cluster.join(PROCESS_FILE), socket(socket_folder), socket_lock];
        remains.iter().try_for_each(|path| remove_file(path))
    }

    /// Opens the log to append to it, and says where it ends now. A large one is put aside first.
    pub(super) fn open_log(&self) -> Result<(File, u64), EmbeddedError> {
        if fs::metadata(&self.log).is_ok_and(|data| data.len() > LARGE_LOG) {
            let aside = self.log.with_extension("log.1");
            fs::rename(&self.log, &aside).map_err(failed("put aside", &self.log))?;
        }
        let mut options = OpenOptions::new();
        let log = options.append(true).create(true).mode(0o600).open(&self.log).map_err(failed("open", &self.log))?;
        let end = log.metadata().map_err(failed("look at", &self.log))?.len();
        Ok((log, end))
    }

    /// The end of the log, from `start` on. Never fails: it only decorates another error.
    pub(super) fn log_tail(&self, start: u64) -> String {
        let mut bytes = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            log.seek(SeekFrom::Start(start))?;
            log.take(1 << 20).read_to_end(&mut bytes)
        });
        if read.is_err() || bytes.is_empty() {
            return "(nothing; is the disk full?)".to_owned();
        }
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        lines.get(lines.len().saturating_sub(TAIL)..).unwrap_or_default().join("\n")
    }
}

/// The file of the socket in `folder`.
pub(super) fn socket(folder: &Path) -> PathBuf {
    folder.join(SOCKET)
}

/// Whether the process lives and works in `folder`. Where its working folder may not be read (root in a container),
/// its command line tells, which everybody may read. Neither names anything for a process that was killed.
fn works_in(pid: i32, folder: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    match fs::read_link(process.join("cwd")) {
        Ok(cwd) => fs::canonicalize(folder).is_ok_and(|folder| folder == cwd),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let words = fs::read(process.join("cmdline")).unwrap_or_default();
            words.split(|byte| *byte == 0).any(|word| word == folder.as_os_str().as_encoded_bytes())
        }
        Err(_) => false,
    }
}

/// Writes a small file of the cluster: aside, to the disk, then renamed. A link somebody put at either name is
/// replaced, not followed, for root writes here into a folder of another user.
pub(super) fn write(path: &Path, text: &str, account: &Account) -> Result<(), EmbeddedError> {
    let aside = path.with_extension("new");
    remove_file(&aside)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    })();
    written.map_err(failed("write", &aside))?;
    account.own(&aside)?;
    fs::rename(&aside, path).map_err(failed("write", path))?;
    path.parent().map_or(Ok(()), sync)
}

/// Adds to the end of a file of the new cluster, without following a link.
pub(super) fn append(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    let mut options = OpenOptions::new();
    options.append(true).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    let written = options.open(path).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed("write", path))
}

/// The text of a file, `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, EmbeddedError> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(failed("read", path)(error)),
    }
}

fn remove_file(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

fn remove_folder(path: &Path) -> Result<(), EmbeddedError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Brings a folder's list of names to the disk.
fn sync(folder: &Path) -> Result<(), EmbeddedError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("write", folder))
}

/// FNV-1a, 64 bits: a hash that stays the same in every version of this program.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}
