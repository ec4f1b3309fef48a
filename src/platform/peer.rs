//! Who is at the other end of a connection, by the kernel's word alone.

use nix::unistd::{Gid, Uid, User, getgrouplist};
use tokio::net::UnixStream;

/// The identity of a local program, fixed when it connected. Nothing that it sends can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further group ids.
    pub groups: Vec<u32>,
}

impl Caller {
    /// The peer of a Unix socket, as it was when it connected (`SO_PEERCRED`). An error means: refuse.
    pub fn of(stream: &UnixStream) -> std::io::Result<Self> {
        let credentials = stream.peer_cred()?;
        Ok(Self::new(credentials.uid(), credentials.gid()))
    }

    /// A caller of whom user and group are known; the further groups are those of the user database.
    pub fn new(uid: u32, gid: u32) -> Self {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let name = user.and_then(|user| std::ffi::CString::new(user.name).ok());
        let groups = name.and_then(|name| getgrouplist(&name, Gid::from_raw(gid)).ok()).unwrap_or_default();
        Self { uid, gid, groups: groups.into_iter().map(Gid::as_raw).collect() }
    }

    /// The user this process runs as.
    pub fn ourselves() -> Self {
        Self::new(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }
}
