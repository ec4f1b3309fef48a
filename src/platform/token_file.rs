//! A file with a token in it and nothing else, for programs that can only read one.
//!
//! It is replaced by a rename: whoever reads it has a whole token, the old one or the new one. Nothing is flushed to the
//! disk, for it is a copy of what the store has kept, and it is written again at every start.

use std::{
    fs::{self, File, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};

use nix::fcntl::OFlag;
use secrecy::zeroize::Zeroizing;

use crate::{config::TokenFile, secret::Secret};

/// Why a file was not written or not removed, in words that say what to do.
#[derive(Debug, thiserror::Error)]
#[error("{error}; {}", advice(*.step, .error, .file))]
pub struct Failure {
    step: Step,
    error: io::Error,
    file: Box<TokenFile>,
}

/// Where it came to an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// At the directory.
    Directory,
    /// When it was given to its group.
    Group,
    /// When it was given to its user.
    User,
    /// When it was filled.
    Content,
}

/// Writes the token, bare and without a line break: what reads a token from a file sends what it has read. Returns
/// whether another token, or none, was there before. Whatever is at the path is replaced, a link too; nothing is
/// followed. Blocks.
pub fn write(file: &TokenFile, token: &Secret) -> Result<bool, Failure> {
    let (path, temporary) = (&file.path, temporary(&file.path));
    let at = |step| move |error| Failure { step, error, file: Box::new(file.clone()) };
    let changed = !has(path, token);
    remove_one(&temporary).map_err(at(Step::Directory))?;
    let written =
        fill(&temporary, file, token).and_then(|()| fs::rename(&temporary, path).map_err(|e| (Step::Directory, e)));
    written.map(|()| changed).map_err(|(step, error)| {
        // It may have a token in it that nobody is going to take away there.
        let _ = fs::remove_file(&temporary);
        at(step)(error)
    })
}

/// Takes the file away, and what a kill in the middle of a change left. Blocks.
pub fn remove(file: &TokenFile) -> Result<(), Failure> {
    let failure = |error| Failure { step: Step::Directory, error, file: Box::new(file.clone()) };
    remove_one(&file.path).and(remove_one(&temporary(&file.path))).map_err(failure)
}

/// Whether a file is there.
pub fn exists(file: &TokenFile) -> bool {
    fs::symlink_metadata(&file.path).is_ok_and(|found| found.is_file())
}

fn fill(path: &Path, file: &TokenFile, token: &Secret) -> Result<(), (Step, io::Error)> {
    let at = |step| move |error| (step, error);
    let mut options = File::options();
    options.write(true).create_new(true).mode(file.mode & OURS).custom_flags(OFlag::O_NOFOLLOW.bits());
    let mut new = options.open(path).map_err(at(Step::Directory))?;
    let found = new.metadata().map_err(at(Step::Content))?;
    // A directory with the set-group-ID bit gives the group by itself, which needs no privilege; so nothing is asked for
    // that is there already.
    if let Some(group) = file.group.as_ref().filter(|group| group.number != found.gid()) {
        fchown(&new, None, Some(group.number)).map_err(at(Step::Group))?;
    }
    // After the group, which would get what was meant for another one; before the user, after whom we may not any more.
    // The umask may have taken something away.
    new.set_permissions(Permissions::from_mode(file.mode)).map_err(at(Step::Content))?;
    if let Some(user) = file.user.as_ref().filter(|user| user.number != found.uid()) {
        fchown(&new, Some(user.number), None).map_err(at(Step::User))?;
    }
    // Last: at no time is there a token that others than the configured ones can read.
    new.write_all(token.expose().as_bytes()).map_err(at(Step::Content))
}

/// Whether this very token is there. One that cannot be read, because it was given to somebody else, counts as another.
fn has(path: &Path, token: &Secret) -> bool {
    let flags = OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let Ok(file) = File::options().read(true).custom_flags(flags.bits()).open(path) else { return false };
    let mut found = Zeroizing::new(String::with_capacity(token.expose().len() + 1));
    let length = token.expose().len() as u64 + 1;
    file.take(length).read_to_string(&mut found).is_ok() && Secret::new(found.as_str()).same_as(token)
}

fn remove_one(path: &Path) -> io::Result<()> {
    // On a file system that is read-only, an attempt would fail for a file that is not there.
    match fs::symlink_metadata(path) {
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// Always the same one, so that kills do not fill the directory.
fn temporary(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// What the service's owner has to do. The daemon runs without privileges under `ProtectSystem=strict`.
fn advice(step: Step, error: &io::Error, file: &TokenFile) -> String {
    let folder = file.path.parent().unwrap_or(Path::new("/")).display();
    let name = |id: &Option<crate::config::Id>| id.as_ref().map_or_else(String::new, |id| id.name.clone());
    let drop_in = "in a drop-in (systemctl edit bearerd), and restart it";
    match (step, error.kind()) {
        (Step::Directory, io::ErrorKind::NotFound) => {
            format!("make the directory {folder}, by tmpfiles.d(5) for example, and let bearerd's user write to it")
        }
        (Step::Directory, io::ErrorKind::ReadOnlyFilesystem) => {
            format!("the service may not write there: add ReadWritePaths={folder} {drop_in}")
        }
        (Step::Directory, io::ErrorKind::PermissionDenied) => {
            format!("bearerd's user may not write to the directory {folder}: give it to that user")
        }
        (Step::Directory, io::ErrorKind::IsADirectory) => "that is a directory; name a file in it".to_owned(),
        (Step::Group, io::ErrorKind::PermissionDenied) => {
            let group = name(&file.group);
            format!(
                "to give it to the group {group}, give {folder} to that group with mode 2750, or add \
                 SupplementaryGroups={group} and SystemCallFilter=@chown {drop_in}"
            )
        }
        (Step::User, io::ErrorKind::PermissionDenied) => {
            let user = name(&file.user);
            format!(
                "to give it to the user {user}, add AmbientCapabilities=CAP_CHOWN, CapabilityBoundingSet=CAP_CHOWN and \
                 SystemCallFilter=@chown {drop_in}; a group is less: owner = \":GROUP\", mode = \"0640\""
            )
        }
        _ => format!("see whether {folder} can be written to"),
    }
}

/// Before the file is given away, it is for its owner alone.
const OURS: u32 = 0o600;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn file(path: PathBuf) -> TokenFile {
        TokenFile { path, user: None, group: None, mode: 0o640, reload_unit: None }
    }

    #[test]
    fn a_new_token_is_told_from_the_one_that_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = file(folder.path().join("token"));
        let written = |token: &str| write(&file, &Secret::new(token)).expect("it is written");
        assert_eq!([written("one"), written("one"), written("two"), written("tw")], [true, false, true, true]);
        assert_eq!(fs::read_to_string(&file.path).expect("a file"), "tw");
        assert_eq!(fs::metadata(&file.path).expect("a file").mode() & 0o7777, 0o640, "whatever the umask");
        remove(&file).expect("it goes");
        remove(&file).expect("and is not missed");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
    }

    #[test]
    fn links_in_the_way_are_replaced_and_not_followed() {
        let (folder, trap) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        let (file, prey) = (file(folder.path().join("token")), trap.path().join("prey"));
        fs::write(&prey, "precious").expect("a file");
        symlink(&prey, &file.path).expect("a link");
        symlink(&prey, temporary(&file.path)).expect("a link");
        assert!(write(&file, &Secret::new("one")).expect("it is written"));
        assert!(fs::symlink_metadata(&file.path).expect("it is there").is_file());
        remove(&file).expect("it goes");
        symlink(&prey, &file.path).expect("a link");
        remove(&file).expect("it goes");
        assert_eq!(fs::read_to_string(&prey).expect("the file"), "precious");
    }

    #[test]
    fn a_failure_says_what_to_do_and_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let failed = |path: &str| write(&file(folder.path().join(path)), &Secret::new("one")).expect_err("no file");
        assert!(failed("none/token").to_string().contains("make the directory"));
        fs::create_dir(folder.path().join("taken")).expect("a folder");
        let shown = failed("taken").to_string();
        assert!(shown.contains("that is a directory"), "{shown}");
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 1);
    }

    #[test]
    fn each_missing_permission_has_its_remedy() {
        let id = |name: &str| Some(crate::config::Id { number: 1, name: name.into() });
        let file = TokenFile { user: id("u"), group: id("g"), ..file("/srv/app/token".into()) };
        for (step, errno, remedies) in [
            (Step::Directory, nix::libc::EROFS, &["ReadWritePaths=/srv/app "][..]),
            (Step::Directory, nix::libc::EACCES, &["directory /srv/app: give it"]),
            (Step::Group, nix::libc::EPERM, &["SupplementaryGroups=g ", "SystemCallFilter=@chown", "mode 2750"]),
            (Step::User, nix::libc::EPERM, &["AmbientCapabilities=CAP_CHOWN", "SystemCallFilter=@chown", "user u,"]),
        ] {
            let failure = Failure { step, error: io::Error::from_raw_os_error(errno), file: Box::new(file.clone()) };
            let shown = failure.to_string();
            assert!(remedies.iter().all(|remedy| shown.contains(remedy)), "{shown}");
        }
    }
}
