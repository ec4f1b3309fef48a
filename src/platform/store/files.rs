//! The files of the store: read whole, replaced as a whole, set aside.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use secrecy::zeroize::Zeroizing;

use super::{Slot, format::LONGEST_FILE};
use crate::account::AccountName;

/// The name of a record's file. Account names may have dots, and still no name means two things: those of records end
/// in a slot's letter, those set aside in a number, and those of temporary files begin with a dot.
pub(super) fn name_of(account: &AccountName, slot: Slot) -> String {
    format!("{account}.{}", char::from(slot.letter()))
}

/// The record that a file name stands for.
pub(super) fn record_of(name: &str) -> Option<(AccountName, Slot)> {
    let slot = Slot::BOTH.into_iter().find(|slot| name.as_bytes().last() == Some(&slot.letter()))?;
    let account = name.get(..name.len() - 1)?.strip_suffix('.')?;
    Some((account.parse().ok()?, slot))
}

/// Reads a file, at most a little more than can be right. No link is followed, and nothing but a file is read.
pub(super) fn read(path: &Path) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = match File::options().read(true).custom_flags(flags.bits()).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let expected = usize::try_from(metadata.len()).unwrap_or(LONGEST_FILE).min(LONGEST_FILE) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(expected));
    file.take(LONGEST_FILE as u64 + 1).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Replaces a record's file and blocks until that will survive a power cut: a new temporary file with mode 0600 is
/// written and flushed, renamed over the old one, and the directory is flushed. After an error the old file is there, or
/// the new one, and no temporary file: the next attempt begins with a fresh one, because what the kernel could not flush
/// once it forgets.
pub(super) fn replace(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = directory.join(format!(".{name}{TEMPORARY}"));
    let replaced = write_new(&temporary, bytes).and_then(|()| fs::rename(&temporary, directory.join(name)));
    if let Err(error) = replaced {
        // It may hold tokens that nobody is going to forget there. What cannot be removed now is at the next attempt.
        let _ = fs::remove_file(&temporary);
        return Err(error);
    }
    File::open(directory)?.sync_all()
}

fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames a file that cannot be used to `NAME.a.damaged-1` and so on, and removes the oldest such files of the account.
pub(super) fn set_aside(directory: &Path, account: &AccountName, slot: Slot) -> io::Result<PathBuf> {
    let mut others: Vec<(u32, PathBuf)> = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(number) = entry.file_name().to_str().and_then(|name| damaged_number(name, account)) {
            others.push((number, entry.path()));
        }
    }
    others.sort_unstable();
    let number = others.last().map_or(0, |(number, _)| *number).saturating_add(1);
    let name = name_of(account, slot);
    let aside = directory.join(format!("{name}{DAMAGED}{number}"));
    fs::rename(directory.join(name), &aside)?;
    for (_, oldest) in others.iter().take((others.len() + 1).saturating_sub(KEPT_ASIDE)) {
        // One more than there should be harms nobody.
        let _ = fs::remove_file(oldest);
    }
    Ok(aside)
}

/// Removes what an interrupted write has left.
pub(super) fn remove_temporary(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let record = name.to_str().and_then(|name| name.strip_prefix('.')?.strip_suffix(TEMPORARY));
        if record.is_some_and(|record| record_of(record).is_some()) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn damaged_number(name: &str, account: &AccountName) -> Option<u32> {
    let (record, number) = name.rsplit_once(DAMAGED)?;
    let ours = record_of(record).is_some_and(|(of, _)| of == *account);
    number.parse().ok().filter(|_| ours)
}

const DAMAGED: &str = ".damaged-";
const TEMPORARY: &str = ".new";
const KEPT_ASIDE: usize = 2;
