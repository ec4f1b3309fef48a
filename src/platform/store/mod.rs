//! The state directory: two generations of each account's record, one process at a time.
//!
//! `docs/state.md` describes it for those who run it. A save replaces the older of an account's two files, `NAME.a` and
//! `NAME.b`; a load takes the newer one that is whole and authentic. So one bad file costs a generation at most, and a
//! power cut costs nothing.

mod files;
mod format;
mod key;
mod seal;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use secrecy::zeroize::Zeroizing;

use self::format::{Place, Seal};
pub use self::key::{KeyError, Keys, Protection};
use super::machine::MachineId;
use crate::account::{AccountName, Record};

/// The state directory, locked for this process for as long as a clone of this lives.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    directory: PathBuf,
    keys: Keys,
    machine: Option<MachineId>,
    pairs: Mutex<BTreeMap<AccountName, Pair>>,
    _lock: File,
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

/// What came of reading an account's record.
pub struct Loaded {
    /// The newest generation that is whole and authentic.
    pub record: Option<Record>,
    /// It is not, or not in both files, sealed as a save would seal it now.
    pub outdated: bool,
    /// Files that were there and cannot be used.
    pub incidents: Vec<Incident>,
}

/// A file that cannot be used.
#[derive(Debug)]
pub struct Incident {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// Where it is now, if it could be set aside.
    pub aside: Option<PathBuf>,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// Its content is not what was written there.
    #[error("it is damaged, or was changed by something else than bearerd")]
    Garbled,
    /// A later version wrote it.
    #[error("it was written by a newer bearerd (format {0})")]
    Newer(u16),
    /// It is sealed, and there is no key.
    #[error("it is sealed, and systemd passed no credential bearerd.statekey")]
    NoKey,
    /// It is sealed with a key that is not there.
    #[error("it is sealed with another key than the credential bearerd.statekey has now")]
    OtherKey,
    /// It belongs to another machine.
    #[error("it was written on another machine, or under another /etc/machine-id")]
    OtherMachine,
    /// The disk or the file system does not give it out.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
}

/// One of the two files of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Slot {
    A,
    B,
}

/// What is known of an account's two files.
#[derive(Debug, Clone, Copy, Default)]
struct Pair {
    /// The highest there is.
    generation: u64,
    newest: Option<Slot>,
    held: [Held; 2],
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Held {
    #[default]
    Nothing,
    /// Something that must be set aside before the slot is written.
    Unusable,
    Whole {
        /// It is sealed as it would be now.
        current: bool,
        /// There are tokens in it.
        grant: bool,
    },
}

impl Store {
    /// Makes the directory if need be, readable for its owner alone, locks it, and removes what an interrupted write has
    /// left. Records are sealed with the current one of `keys`, if there is one.
    pub fn open(directory: &Path, keys: Keys) -> Result<Self, StoreError> {
        Self::open_on(MachineId::read(), directory, keys)
    }

    fn open_on(machine: Option<MachineId>, directory: &Path, keys: Keys) -> Result<Self, StoreError> {
        let unusable = |path: &Path, error| StoreError::Unusable { path: path.to_owned(), error };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(directory);
        made.map_err(|error| unusable(directory, error))?;
        let path = directory.join("lock");
        let opened = File::options().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let lock = opened.map_err(|error| unusable(&path, error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::InUse(directory.to_owned())),
            Err(TryLockError::Error(error)) => return Err(unusable(&path, error)),
        }
        if let Err(error) = files::remove_temporary(directory) {
            tracing::warn!(%error, "what interrupted writes have left cannot be removed from the state directory");
        }
        let directory = directory.to_owned();
        Ok(Self(Arc::new(Inner { directory, keys, machine, pairs: Mutex::default(), _lock: lock })))
    }

    /// How well records are protected that are saved from now on.
    pub fn protection(&self) -> Protection {
        self.0.keys.protection()
    }

    /// The accounts that have a record, in use or not.
    pub fn accounts(&self) -> io::Result<BTreeSet<AccountName>> {
        let mut accounts = BTreeSet::new();
        for entry in fs::read_dir(&self.0.directory)? {
            accounts.extend(entry?.file_name().to_str().and_then(files::record_of).map(|(account, _)| account));
        }
        Ok(accounts)
    }

    /// Reads an account's record. Files that cannot be understood are set aside, never overwritten.
    pub fn load(&self, name: &AccountName) -> Loaded {
        let (pair, loaded) = self.look(name);
        self.pairs().insert(name.clone(), pair);
        loaded
    }

    /// Makes an account's record durable; it blocks until the disk says so. The other generation is replaced too where
    /// it would let the record down: where there is none, where it is not under the current key, and where only one of
    /// the two has tokens, so that none outlives a sign-out and none is lost with a single file.
    pub fn save(&self, name: &AccountName, record: &Record) -> io::Result<()> {
        let pair = self.pairs().get(name).copied();
        let mut pair = pair.unwrap_or_else(|| self.look(name).0);
        let grant = record.grant.is_some();
        let record = Zeroizing::new(serde_json::to_vec(record)?);
        let slot = pair.newest.map_or(Slot::A, Slot::other);
        self.write(name, slot, &mut pair, &record, grant)?;
        if pair.held[slot.other() as usize] != (Held::Whole { current: true, grant }) {
            self.write(name, slot.other(), &mut pair, &record, grant)?;
        }
        Ok(())
    }

    fn look(&self, name: &AccountName) -> (Pair, Loaded) {
        let (mut pair, mut incidents) = (Pair::default(), Vec::new());
        let mut best: Option<((bool, u64), Record)> = None;
        for slot in Slot::BOTH {
            let found = match self.read(name, slot) {
                Ok(None) => continue,
                Ok(Some(found)) => found,
                Err(damage) => {
                    let (held, incident) = self.refuse(name, slot, damage);
                    pair.held[slot as usize] = held;
                    incidents.push(incident);
                    continue;
                }
            };
            let Generation { number, seal, record } = found;
            let current = if self.protection().is_sealed() { seal == Seal::Current } else { seal == Seal::Plain };
            pair.held[slot as usize] = Held::Whole { current, grant: record.grant.is_some() };
            pair.generation = pair.generation.max(number);
            // Whoever can write files but has no key can write plain ones: none of those counts beside a sealed one.
            let rank = (seal != Seal::Plain, number);
            if best.as_ref().is_none_or(|(best, _)| *best < rank) {
                pair.newest = Some(slot);
                best = Some((rank, record));
            }
        }
        let outdated = pair.held.iter().any(|held| matches!(held, Held::Whole { current: false, .. }));
        (pair, Loaded { record: best.map(|(_, record)| record), outdated, incidents })
    }

    fn read(&self, name: &AccountName, slot: Slot) -> Result<Option<Generation>, Damage> {
        let Some(bytes) = files::read(&self.path(name, slot)).map_err(Damage::Unreadable)? else { return Ok(None) };
        let unpacked = format::unpack(&self.0.keys, &self.place(name, slot), bytes)?;
        let record = serde_json::from_slice(&unpacked.record).map_err(|_| Damage::Garbled)?;
        Ok(Some(Generation { number: unpacked.generation, seal: unpacked.seal, record }))
    }

    /// Sets a file aside. One that cannot be read may be readable after a restart, and stays until its place is needed.
    fn refuse(&self, name: &AccountName, slot: Slot, damage: Damage) -> (Held, Incident) {
        let aside = match damage {
            Damage::Unreadable(_) => None,
            _ => files::set_aside(&self.0.directory, name, slot).ok(),
        };
        let held = if aside.is_some() { Held::Nothing } else { Held::Unusable };
        (held, Incident { file: self.path(name, slot), damage, aside })
    }

    fn write(&self, name: &AccountName, slot: Slot, pair: &mut Pair, record: &[u8], grant: bool) -> io::Result<()> {
        if pair.held[slot as usize] == Held::Unusable {
            files::set_aside(&self.0.directory, name, slot)?;
            pair.held[slot as usize] = Held::Nothing;
            self.pairs().insert(name.clone(), *pair);
        }
        let generation = pair.generation + 1;
        let bytes = format::pack(&self.0.keys, &self.place(name, slot), generation, record)?;
        files::replace(&self.0.directory, &files::name_of(name, slot), &bytes)?;
        pair.held[slot as usize] = Held::Whole { current: true, grant };
        (pair.generation, pair.newest) = (generation, Some(slot));
        self.pairs().insert(name.clone(), *pair);
        Ok(())
    }

    fn path(&self, name: &AccountName, slot: Slot) -> PathBuf {
        self.0.directory.join(files::name_of(name, slot))
    }

    fn place<'a>(&self, account: &'a AccountName, slot: Slot) -> Place<'a> {
        Place { account, slot, machine: self.0.machine }
    }

    fn pairs(&self) -> MutexGuard<'_, BTreeMap<AccountName, Pair>> {
        self.0.pairs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A record as it was read.
struct Generation {
    number: u64,
    seal: Seal,
    record: Record,
}

impl Slot {
    const BOTH: [Self; 2] = [Self::A, Self::B];

    fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    fn letter(self) -> u8 {
        match self {
            Self::A => b'a',
            Self::B => b'b',
        }
    }
}

#[cfg(test)]
mod tests;
