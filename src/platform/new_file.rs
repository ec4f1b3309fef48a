//! Files that are made once, are there only when they are whole, and never take the place of another.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::unistd::{User, geteuid};

/// A file that is prepared under another name beside its own, so that what can go wrong does so before there is anything
/// to lose. Dropped without [`NewFile::keep`], it leaves nothing.
pub struct NewFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl NewFile {
    /// Prepares a file with these permissions, less what the umask takes away, and makes its folder. Fails with
    /// `AlreadyExists` where there is one of that name, a link included.
    pub fn prepare(path: &Path, mode: u32) -> io::Result<Self> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder)?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary = folder.join(format!(".{name}.new"));
        // What a kill in the middle left.
        let _ = fs::remove_file(&temporary);
        let file = File::options().write(true).create_new(true).mode(mode).open(&temporary)?;
        Ok(Self { path: path.to_owned(), temporary, file })
    }

    /// Gives it to the daemon's user, where there is one and we may. Returns whether that was done.
    pub fn give_to_daemon(&self) -> io::Result<bool> {
        let Some(user) = User::from_name(DAEMON)?.filter(|_| geteuid().is_root()) else { return Ok(false) };
        fchown(&self.file, Some(user.uid.as_raw()), Some(user.gid.as_raw())).map(|()| true)
    }

    /// Where it is going to be.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Fills it and gives it its name, durably.
    pub fn keep(mut self, content: &[u8]) -> io::Result<()> {
        self.file.write_all(content)?;
        self.file.sync_all()?;
        // Unlike a rename, this fails where somebody else has made one meanwhile.
        fs::hard_link(&self.temporary, &self.path)?;
        File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The user that the service runs as.
const DAEMON: &str = "bearerd";

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_there_when_it_is_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("made/too/a.secret");
        let file = NewFile::prepare(&path, 0o600).expect("a file");
        assert!(!path.exists());
        file.keep(b"s3cret\n").expect("it is kept");
        assert_eq!(fs::read(&path).expect("a file"), b"s3cret\n");
        assert_eq!(fs::metadata(&path).expect("a file").mode() & 0o7777, 0o600);
        assert_eq!(names(path.parent().expect("a folder")), ["a.secret"]);
    }

    #[test]
    fn nothing_is_ever_replaced_and_nothing_is_left() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.secret");
        drop(NewFile::prepare(&path, 0o600).expect("a file"));
        assert!(names(folder.path()).is_empty());
        let late = NewFile::prepare(&path, 0o600).expect("a file");
        fs::write(&path, "precious").expect("somebody else's");
        assert_eq!(late.keep(b"new").expect_err("it is taken").kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(NewFile::prepare(&path, 0o600).err().map(|error| error.kind()), Some(io::ErrorKind::AlreadyExists));
        assert_eq!(fs::read_to_string(&path).expect("a file"), "precious");
        let link = folder.path().join("link");
        symlink("/nonexistent", &link).expect("a link");
        assert!(NewFile::prepare(&link, 0o600).is_err(), "a link is not followed");
        assert_eq!(names(folder.path()).len(), 2);
    }
}
