//! The three lock files of a data folder.
//!
//! - `start.lock`, exclusive: held while a process finds, makes, starts or stops the server.
//! - `cluster.lock`, shared: held by every handle for as long as it lives; whoever gets it alone is the last one.
//! - `server.lock`, exclusive: opened here and **inherited by the server as its standard input**, and so by each of its
//!   children. It is free when, and only when, no process of the server is left. Unlike a process id it cannot be
//!   recycled, it does not count a killed process that nobody reaped, and it can be asked without the right to look
//!   into other users' processes (which root lacks in a container).
//!
//! Invariant: the kernel lets go of each when its holder dies, however it dies. The files stay; only locks matter.

use std::{
    fs::{File, OpenOptions, TryLockError},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

use super::{EmbeddedError, error::failed};

/// How often a lock is asked for. Asking beats blocking in a thread: a cancelled start leaves nobody waiting.
const POLL: Duration = Duration::from_millis(20);

/// A lock of this process, released when dropped.
#[derive(Debug)]
pub(super) struct Lock(Option<File>);

impl Drop for Lock {
    /// Lets go in so many words: a child that another thread starts at this moment has a copy of the open file until
    /// it runs its program, so closing ours would not do.
    fn drop(&mut self) {
        // Closing is all that is left to do if this fails.
        let _ = self.0.take().map(|file| file.unlock());
    }
}

impl Lock {
    /// Waits until nobody else holds the lock at `path`.
    ///
    /// # Errors
    /// [`EmbeddedError::Locked`] after `limit`.
    pub(super) async fn exclusive(path: &Path, limit: Duration) -> Result<Lock, EmbeddedError> {
        let began = Instant::now();
        let file = open(path)?;
        loop {
            if obtained(file.try_lock(), path)? {
                return Ok(Lock(Some(file)));
            }
            if began.elapsed() >= limit {
                return Err(EmbeddedError::Locked { lock: path.to_owned(), seconds: limit.as_secs() });
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The exclusive lock, if it is free now.
    pub(super) fn exclusive_now(path: &Path) -> Result<Option<Lock>, EmbeddedError> {
        let file = open(path)?;
        Ok(obtained(file.try_lock(), path)?.then(|| Lock(Some(file))))
    }

    /// A shared lock, if nobody holds it alone.
    pub(super) fn shared_now(path: &Path) -> Result<Option<Lock>, EmbeddedError> {
        let file = open(path)?;
        Ok(obtained(file.try_lock_shared(), path)?.then(|| Lock(Some(file))))
    }

    /// The file, to be inherited by a child process, which then holds the lock.
    pub(super) fn into_file(mut self) -> Option<File> {
        self.0.take()
    }
}

/// Whether no process holds the lock at `path`.
pub(super) fn is_free(path: &Path) -> Result<bool, EmbeddedError> {
    Ok(Lock::exclusive_now(path)?.is_some())
}

fn open(path: &Path) -> Result<File, EmbeddedError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(failed("open", path))
}

fn obtained(result: Result<(), TryLockError>, path: &Path) -> Result<bool, EmbeddedError> {
    match result {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(failed("lock", path)(source)),
    }
}
