//! The API's socket, where systemd passes none.

use std::{
    fs, io,
    os::unix::{
        fs::FileTypeExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use nix::sys::stat::{Mode, umask};

/// A socket of our own; its path goes when this is dropped.
pub struct OwnSocket {
    path: PathBuf,
}

/// Why the socket cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Somebody answers there.
    #[error("another program is serving at {0}; stop it, or choose another path with --socket")]
    Served(PathBuf),
    /// Something else is there.
    #[error(
        "there is something at {0} that is not a socket, and it is left alone; move it, or choose another path with --socket"
    )]
    Taken(PathBuf),
    /// A directory that has to be ours is somebody else's, or a link.
    #[error("{0} has to be a directory of the user that runs bearerd, and is not; move it away")]
    Foreign(PathBuf),
    /// The directory does not let us.
    #[error("the socket {path} cannot be made: {error}; its directory has to exist and belong to this user")]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Binds `path` so that it has mode 0660 from its first instant. A socket that nobody serves any more is replaced.
pub fn bind(path: &Path) -> Result<(UnixListener, OwnSocket), SocketError> {
    bind_for(path, 0o660)
}

/// The same with another mode, of reading and writing alone.
pub fn bind_for(path: &Path, mode: u32) -> Result<(UnixListener, OwnSocket), SocketError> {
    let unusable = |error| SocketError::Unusable { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => return Err(SocketError::Taken(path.to_owned())),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                fs::remove_file(path).map_err(unusable)?;
            }
            _ => return Err(SocketError::Served(path.to_owned())),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(unusable(error)),
    }
    let before = umask(Mode::from_bits_truncate(0o777 & !mode));
    let bound = UnixListener::bind(path);
    umask(before);
    let listener = bound.map_err(unusable)?;
    listener.set_nonblocking(true).map_err(unusable)?;
    Ok((listener, OwnSocket { path: path.to_owned() }))
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // What cannot be removed is recognised as unserved at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_socket_is_for_owner_and_group_and_goes_with_its_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("api.sock");
        let (listener, own) = bind(&path).expect("a socket");
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o660);
        assert!(matches!(bind(&path), Err(SocketError::Served(_))));
        drop(listener);
        assert!(bind(&path).is_ok(), "one that nobody serves is replaced");
        drop(own);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("api.sock");
        fs::write(&path, "precious").expect("a file");
        assert!(matches!(bind(&path), Err(SocketError::Taken(_))));
        assert_eq!(fs::read(&path).expect("a file"), b"precious");
        assert!(matches!(bind(&folder.path().join("none/api.sock")), Err(SocketError::Unusable { .. })));
    }
}
