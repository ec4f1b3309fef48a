//! Sockets for one client each. The folder around them is closed to everybody but root, so whoever can open such a
//! socket was given it, by a bind mount into the client's unit or container: the socket itself is the right.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use super::socket::{self, OwnSocket, SocketError};

/// Makes `clients/NAME/api.sock` in the folder `run`, with the folders around it. Those stay when the socket goes:
/// what is mounted elsewhere is the folder, and a new socket in it is found there too.
pub fn open(run: &Path, name: &str) -> Result<(UnixListener, OwnSocket), SocketError> {
    let clients = run.join("clients");
    folder(&clients, 0o700)?;
    let own = clients.join(name);
    folder(&own, 0o755)?;
    socket::bind_for(&own.join("api.sock"), 0o666)
}

/// Takes the folder of a client away that there is no more. One that is not empty stays.
pub fn forget(run: &Path, name: &str) {
    let _ = fs::remove_dir(run.join("clients").join(name));
}

fn folder(path: &Path, mode: u32) -> Result<(), SocketError> {
    let unusable = |error| SocketError::Unusable { path: path.to_owned(), error };
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // A link, or somebody else's folder, would give the socket to whoever made it.
            let found = fs::symlink_metadata(path).map_err(unusable)?;
            if !found.is_dir() || found.uid() != nix::unistd::geteuid().as_raw() {
                return Err(SocketError::Foreign(PathBuf::from(path)));
            }
        }
        Err(error) => return Err(unusable(error)),
    }
    // The umask may have taken something away.
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o777
    }

    #[test]
    fn the_way_to_a_client_socket_is_closed_and_the_socket_is_open() {
        let run = tempfile::tempdir().expect("a folder");
        let (_listener, own) = open(run.path(), "web").expect("a socket");
        let clients = run.path().join("clients");
        assert_eq!(mode(&clients), 0o700);
        assert_eq!((mode(&clients.join("web")), mode(&clients.join("web/api.sock"))), (0o755, 0o666));
        drop(own);
        assert!(clients.join("web").is_dir() && !clients.join("web/api.sock").exists(), "mounts stay good");
        fs::set_permissions(&clients, Permissions::from_mode(0o777)).expect("a mode");
        drop(open(run.path(), "web").expect("again"));
        assert_eq!(mode(&clients), 0o700);
        forget(run.path(), "web");
        assert!(!clients.join("web").exists());
    }

    #[test]
    fn a_link_in_the_way_is_not_followed() {
        let (run, trap) = (tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder"));
        std::os::unix::fs::symlink(trap.path(), run.path().join("clients")).expect("a link");
        assert!(matches!(open(run.path(), "web"), Err(SocketError::Foreign(_))));
        fs::remove_file(run.path().join("clients")).expect("the link");
        fs::create_dir(run.path().join("clients")).expect("a folder");
        std::os::unix::fs::symlink(trap.path(), run.path().join("clients/web")).expect("a link");
        assert!(matches!(open(run.path(), "web"), Err(SocketError::Foreign(_))));
        assert_eq!(fs::read_dir(trap.path()).expect("a folder").count(), 0);
        fs::remove_file(run.path().join("clients/web")).expect("the link");
        fs::create_dir(run.path().join("clients/web")).expect("a folder");
        std::os::unix::fs::symlink(trap.path().join("x"), run.path().join("clients/web/api.sock")).expect("a link");
        assert!(matches!(open(run.path(), "web"), Err(SocketError::Taken(_))));
    }
}
