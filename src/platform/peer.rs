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

    /// A caller of whom the user and all groups are known, the primary one among them (D-Bus `UnixGroupIDs`). The user
    /// database only tells which one that is: it gives nobody a group that the process does not have.
    pub fn with_groups(uid: u32, groups: Vec<u32>) -> Option<Self> {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let primary = user.map(|user| user.gid.as_raw()).filter(|gid| groups.contains(gid));
        let gid = primary.or_else(|| groups.first().copied())?;
        Some(Self { uid, gid, groups })
    }

    /// A caller of whom the user alone is known; the groups are those of the user database, if it is in there.
    pub fn of_user(uid: u32) -> Option<Self> {
        let user = User::from_uid(Uid::from_raw(uid)).ok().flatten()?;
        Some(Self::new(uid, user.gid.as_raw()))
    }

    /// Somebody of whom nothing is known, whom no rule can name: `(uid_t) -1` is no user.
    pub fn unknown() -> Self {
        Self { uid: u32::MAX, gid: u32::MAX, groups: Vec::new() }
    }

    /// The user this process runs as.
    pub fn ourselves() -> Self {
        Self::new(nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primary_group_is_one_that_the_process_has() {
        let primary = |uid, groups: &[u32]| Caller::with_groups(uid, groups.to_vec()).map(|caller| caller.gid);
        assert_eq!(primary(0, &[0, 7]), Some(0), "root's own group by the user database");
        assert_eq!(primary(0, &[7, 8]), Some(7), "root's own group was given up");
        assert_eq!(primary(u32::MAX - 7, &[7]), Some(7), "the user is in no database");
        assert_eq!(primary(0, &[]), None);
    }
}
