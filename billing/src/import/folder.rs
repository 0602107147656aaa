//! A folder of CSV files, on disk or in memory. Every reading opens its files anew.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::ImportError;
use super::files::File;

/// Where the rows come from.
#[derive(Debug, Clone)]
pub struct Folder {
    files: BTreeMap<File, Source>,
    /// Names that end like CSV files and are none of [`File`], in order.
    pub(super) unknown: Vec<String>,
}

/// A file and its length in bytes.
pub(super) type Opened = (Box<dyn Read + Send>, u64);

#[derive(Debug, Clone)]
enum Source {
    Disk(PathBuf),
    Memory(Arc<[u8]>),
}

impl Folder {
    /// A folder on disk. Files without the ending `.csv` and folders inside it do not count.
    ///
    /// # Errors
    /// [`ImportError::Unreadable`].
    pub fn open(path: &Path) -> Result<Folder, ImportError> {
        let unreadable = |error| ImportError::Unreadable { name: path.display().to_string(), error };
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !path.is_dir() {
                found.push((name, Source::Disk(path)));
            }
        }
        Ok(Folder::sorted(found))
    }

    /// Files under their names, held in memory.
    pub fn of<N: Into<String>, B: Into<Arc<[u8]>>>(files: impl IntoIterator<Item = (N, B)>) -> Folder {
        Folder::sorted(files.into_iter().map(|(name, bytes)| (name.into(), Source::Memory(bytes.into()))))
    }

    fn sorted(found: impl IntoIterator<Item = (String, Source)>) -> Folder {
        let mut folder = Folder { files: BTreeMap::new(), unknown: Vec::new() };
        for (name, source) in found {
            match File::named(&name) {
                Some(file) => {
                    folder.files.insert(file, source);
                }
                None if name.to_ascii_lowercase().ends_with(".csv") => folder.unknown.push(name),
                None => {}
            }
        }
        folder.unknown.sort_unstable();
        folder
    }

    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    pub(super) fn has(&self, file: File) -> bool {
        self.files.contains_key(&file)
    }

    /// Opens the file at its beginning; none when it is not there.
    pub(super) fn read(&self, file: File) -> Result<Option<Opened>, ImportError> {
        let opened = match self.files.get(&file) {
            None => return Ok(None),
            Some(Source::Memory(bytes)) => {
                let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
                return Ok(Some((Box::new(Cursor::new(Arc::clone(bytes))), length)));
            }
            Some(Source::Disk(path)) => open(path),
        };
        opened.map(Some).map_err(|error| ImportError::Unreadable { name: file.name().to_owned(), error })
    }
}

fn open(path: &Path) -> io::Result<Opened> {
    let file = fs::File::open(path)?;
    let length = file.metadata()?.len();
    Ok((Box::new(file), length))
}
