//! Finds an installed PostgreSQL: a folder with `postgres` and `initdb`, version 15 or newer.
//!
//! Invariant: an existing cluster is only ever opened by the major version that made it.

use std::{
    collections::HashSet,
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use tokio::process::Command;

use super::EmbeddedError;

/// Oldest major version Avance works with.
const OLDEST: u32 = 15;

/// Where packages put PostgreSQL: a folder, the beginning of the names in it, and the way down to the programs.
const PACKAGED: [(&str, &str, &str); 7] = [
    ("/usr/lib/postgresql", "", "bin"),         // Debian, Ubuntu, Alpine, Gentoo
    ("/usr", "pgsql-", "bin"),                  // the PostgreSQL project's packages for Red Hat
    ("/usr/libexec", "postgresql", ""),         // Alpine
    ("/opt/homebrew/opt", "postgresql", "bin"), // Homebrew on Apple silicon
    ("/usr/local/opt", "postgresql", "bin"),    // Homebrew on Intel
    ("/usr/local", "pgsql", "bin"),             // built from source
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"), // Postgres.app
];

/// Where to look for PostgreSQL.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The only folder to look in, from `AVANCE_POSTGRES_BIN`.
    pub(super) only: Option<PathBuf>,
    /// Folders to look in, in this order.
    pub(super) folders: Vec<PathBuf>,
}

/// A PostgreSQL that is there.
#[derive(Debug, Clone)]
pub(super) struct Installation {
    /// The folder of the programs.
    pub(super) folder: PathBuf,
    /// Major version.
    pub(super) major: u32,
}

impl Search {
    /// What the environment asks for: `AVANCE_POSTGRES_BIN`, else `PATH`, then the usual places, newest first.
    pub(super) fn from_env() -> Search {
        let only = env::var_os("AVANCE_POSTGRES_BIN").filter(|value| !value.is_empty()).map(PathBuf::from);
        Search { only, folders: folders(env::var_os("PATH")) }
    }

    /// A PostgreSQL for the cluster in `cluster`, which was made by major version `made_by`; any recent one for a new
    /// cluster.
    ///
    /// # Errors
    /// [`EmbeddedError::NotInstalled`], [`EmbeddedError::BadBinaryFolder`], [`EmbeddedError::TooOld`] or
    /// [`EmbeddedError::WrongMajor`], which name what was found.
    pub(super) async fn find(&self, cluster: &Path, made_by: Option<u32>) -> Result<Installation, EmbeddedError> {
        let folders: Vec<PathBuf> = match &self.only {
            Some(only) => vec![programs(only).ok_or_else(|| EmbeddedError::BadBinaryFolder { folder: only.clone() })?],
            None => self.folders.iter().filter_map(|folder| programs(folder)).collect(),
        };
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for folder in folders.into_iter().filter(|folder| seen.insert(folder.clone())) {
            let Some((version, major)) = version(&folder).await else {
                continue;
            };
            if made_by.map_or(major >= OLDEST, |made_by| made_by == major) {
                return Ok(Installation { folder, major });
            }
            found.push(format!("PostgreSQL {version} in {}", folder.display()));
        }
        let found = (!found.is_empty()).then(|| found.join(", "));
        Err(match (found, made_by) {
            (None, _) => match self.only.clone() {
                Some(folder) => EmbeddedError::BadBinaryFolder { folder },
                None => EmbeddedError::NotInstalled,
            },
            (Some(found), Some(made_by)) => {
                EmbeddedError::WrongMajor { folder: cluster.to_owned(), cluster: made_by, found }
            }
            (Some(found), None) => EmbeddedError::TooOld { found },
        })
    }
}

/// `PATH`, then the packages' folders, those of one place newest first.
fn folders(path: Option<OsString>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = path.iter().flat_map(env::split_paths).filter(|p| p.is_absolute()).collect();
    for (root, prefix, below) in PACKAGED {
        let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(root)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let version = name.strip_prefix(prefix)?.trim_start_matches(['@', '-']);
                Some((leading_number(version).unwrap_or(0), entry.path().join(below)))
            })
            .collect();
        versions.sort_by(|a, b| b.cmp(a));
        folders.extend(versions.into_iter().map(|(_, folder)| folder));
    }
    folders
}

/// The real folder behind `folder/postgres`, if `initdb` is there too. Links are followed because `PATH` often holds
/// a link to one of the two only.
fn programs(folder: &Path) -> Option<PathBuf> {
    let postgres = fs::canonicalize(folder.join("postgres")).ok()?;
    [postgres.parent(), Some(folder)]
        .into_iter()
        .flatten()
        .find(|folder| folder.join("initdb").is_file() && folder.join("postgres").is_file())
        .map(Path::to_owned)
}

/// Asks `postgres --version`, which says for instance `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`.
async fn version(folder: &Path) -> Option<(String, u32)> {
    let output = Command::new(folder.join("postgres")).arg("--version").output().await.ok()?;
    let said = String::from_utf8(output.stdout).ok()?;
    let version = said.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    Some((version.to_owned(), leading_number(version)?))
}

/// The digits a version begins with: 15 of `15.18`, 18 of `18beta1`.
fn leading_number(version: &str) -> Option<u32> {
    let end = version.find(|c: char| !c.is_ascii_digit()).unwrap_or(version.len());
    version.get(..end)?.parse().ok()
}
