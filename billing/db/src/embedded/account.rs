//! The user the server runs as.
//!
//! Invariant: never root, which PostgreSQL refuses. A process that is not root runs it as itself; root runs it as the
//! owner of the cluster, or for a new one as `postgres`, else `nobody`, without any other group.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, lchown},
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::{EmbeddedError, error::failed};

/// A user of this computer, and whether this process must become them to run the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    /// User id.
    pub(super) uid: u32,
    gid: u32,
    /// Name for messages; the number where it has none.
    pub(super) name: String,
    drop: bool,
}

impl Account {
    /// The user for a cluster at `folder`: `owner` is who owns that folder, if it exists.
    ///
    /// # Errors
    /// [`EmbeddedError::OtherOwner`] if the cluster belongs to somebody this process cannot become;
    /// [`EmbeddedError::NoAccount`] if root finds nobody to become.
    pub(super) fn choose(folder: &Path, owner: Option<u32>) -> Result<Account, EmbeddedError> {
        let passwd = passwd()?;
        let me = rustix::process::geteuid().as_raw();
        match owner {
            Some(owner) if owner != me && me != 0 => Err(EmbeddedError::OtherOwner {
                folder: folder.to_owned(),
                owner: name(&passwd, owner),
                user: name(&passwd, me),
            }),
            _ if me != 0 => {
                let gid = rustix::process::getegid().as_raw();
                Ok(Account { uid: me, gid, name: name(&passwd, me), drop: false })
            }
            Some(owner) if owner != 0 => {
                let gid = find(&passwd, |_, uid| uid == owner).map(|(_, _, gid)| gid);
                let gid = gid.map_or_else(|| fs::metadata(folder).map(|data| data.gid()), Ok);
                let gid = gid.map_err(failed("look at", folder))?;
                Ok(Account { uid: owner, gid, name: name(&passwd, owner), drop: true })
            }
            _ => ["postgres", "nobody"]
                .iter()
                .find_map(|wanted| find(&passwd, |name, uid| name == *wanted && uid != 0))
                .map(|(name, uid, gid)| Account { uid, gid, name: name.to_owned(), drop: true })
                .ok_or(EmbeddedError::NoAccount),
        }
    }

    /// Makes `command` run as this user. Setting a user id as root also empties the list of other groups
    /// (the standard library calls `setgroups(0)` before `setuid`).
    pub(super) fn run(&self, command: &mut Command) {
        if self.drop {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Gives `path` to this user.
    pub(super) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.drop {
            return Ok(());
        }
        lchown(path, Some(self.uid), Some(self.gid)).map_err(failed("change the owner of", path))
    }

    /// Whether this process must become the user, so that reaching a folder itself proves nothing.
    pub(super) fn is_other(&self) -> bool {
        self.drop
    }

    /// The first folder on the way to and including the folder `path` that this user may not pass, by its mode bits.
    pub(super) fn barrier(&self, path: &Path) -> Option<PathBuf> {
        let mut folders: Vec<&Path> = path.ancestors().collect();
        folders.reverse();
        folders.into_iter().find(|folder| !self.passes(folder).unwrap_or(true)).map(Path::to_owned)
    }

    fn passes(&self, folder: &Path) -> io::Result<bool> {
        let data = fs::metadata(folder)?;
        let bit = match () {
            () if data.uid() == self.uid => 0o100,
            () if data.gid() == self.gid => 0o010,
            () => 0o001,
        };
        Ok(data.mode() & bit != 0)
    }
}

/// A user's name, for messages.
fn name(passwd: &str, wanted: u32) -> String {
    match find(passwd, |_, uid| uid == wanted) {
        Some((name, ..)) => name.to_owned(),
        None if wanted == 0 => "root".to_owned(),
        None => wanted.to_string(),
    }
}

/// The local user table. Users that only a directory service knows are shown by number.
fn passwd() -> Result<String, EmbeddedError> {
    let path = Path::new("/etc/passwd");
    match fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// The first line of a user table that fits: name, user id, group id.
fn find(passwd: &str, fits: impl Fn(&str, u32) -> bool) -> Option<(&str, u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        fits(name, uid).then_some((name, uid, gid))
    })
}
