//! The state directory: one file an account, one process at a time.
//!
//! A record is written to a temporary file with mode 0600, flushed, renamed over the old one, and the directory is
//! flushed too: after a power cut there is either the old record or the new one.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use atomic_write_file::{AtomicWriteFile, unix::OpenOptionsExt};
use serde::{Deserialize, Serialize};

use crate::account::{AccountName, Record};

/// The state directory, locked for this process for as long as a clone of this lives.
#[derive(Clone)]
pub struct Store {
    directory: PathBuf,
    _lock: Arc<File>,
}

/// Why the state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it.
    #[error(
        "the state directory {0} is in use by another bearerd; two of them would spend each other's refresh tokens. \
         Stop the other one, or give this one a directory of its own with --state-dir"
    )]
    InUse(PathBuf),
    /// It cannot be made or opened.
    #[error("the state directory {path} cannot be used: {error}. Check that it exists and belongs to this user")]
    Unusable {
        /// The directory or the lock in it.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// What came of reading a record.
pub enum Loaded {
    /// There it is.
    Record(Box<Record>),
    /// There is none.
    Nothing,
    /// There was one that cannot be read; it was put aside under this name.
    Damaged(PathBuf),
    /// The disk does not give it out.
    Unreadable(io::Error),
}

/// A record with the version of its format.
#[derive(Serialize, Deserialize)]
struct Versioned<R> {
    version: u32,
    #[serde(flatten)]
    record: R,
}

impl Store {
    /// Makes the directory if need be, readable for its owner alone, and locks it.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let unusable = |path: &Path, error| StoreError::Unusable { path: path.to_owned(), error };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| unusable(directory, error))?;
        let path = directory.join("lock");
        let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = opened.map_err(|error| unusable(&path, error))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { directory: directory.to_owned(), _lock: Arc::new(lock) }),
            Err(TryLockError::WouldBlock) => Err(StoreError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => Err(unusable(&path, error)),
        }
    }

    /// Reads an account's record. One that cannot be understood is put aside, never overwritten.
    pub fn load(&self, name: &AccountName) -> Loaded {
        let path = self.path(name);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Loaded::Nothing,
            Err(error) => return Loaded::Unreadable(error),
        };
        match serde_json::from_slice::<Versioned<Record>>(&bytes) {
            Ok(Versioned { version: VERSION, record }) => Loaded::Record(Box::new(record)),
            _ => {
                let aside = path.with_extension("damaged");
                match fs::rename(&path, &aside) {
                    Ok(()) => Loaded::Damaged(aside),
                    Err(error) => Loaded::Unreadable(error),
                }
            }
        }
    }

    /// Makes an account's record durable; it blocks until the disk says so.
    pub fn save(&self, name: &AccountName, record: &Record) -> io::Result<()> {
        let mut options = AtomicWriteFile::options();
        options.preserve_mode(false).mode(0o600);
        let mut file = options.open(self.path(name))?;
        file.write_all(&serde_json::to_vec(&Versioned { version: VERSION, record })?)?;
        file.commit()
    }

    fn path(&self, name: &AccountName) -> PathBuf {
        self.directory.join(format!("{name}.json"))
    }
}

const VERSION: u32 = 1;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name() -> AccountName {
        "kinde".parse().expect("a name")
    }

    #[test]
    fn what_is_saved_is_read_back_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("state")).expect("a store");
        assert!(matches!(store.load(&name()), Loaded::Nothing));
        let record = Record { generation: 7, ..Record::default() };
        store.save(&name(), &record).expect("a save");
        assert!(matches!(store.load(&name()), Loaded::Record(read) if read.generation == 7));
        for entry in fs::read_dir(folder.path().join("state")).expect("a listing").flatten() {
            assert_eq!(entry.metadata().expect("metadata").permissions().mode() & 0o077, 0, "{:?}", entry.path());
        }
    }

    #[test]
    fn a_damaged_record_is_put_aside() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path()).expect("a store");
        for damaged in ["", "{", "[]", r#"{"version":99}"#, r#"{"generation":1}"#] {
            fs::write(folder.path().join("kinde.json"), damaged).expect("a file");
            assert!(matches!(store.load(&name()), Loaded::Damaged(aside) if aside.exists()), "{damaged:?}");
            assert!(matches!(store.load(&name()), Loaded::Nothing));
        }
    }

    #[test]
    fn a_second_process_is_kept_out() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = Store::open(folder.path()).expect("a store");
        assert!(matches!(Store::open(folder.path()), Err(StoreError::InUse(_))));
        drop(first);
        assert!(Store::open(folder.path()).is_ok());
    }
}
