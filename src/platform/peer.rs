//! Who is at the other end of a connection, by the kernel's word alone.

use std::{
    fmt, io,
    os::fd::{AsFd, BorrowedFd},
    sync::Arc,
};

use nix::{
    sys::socket::{getsockopt, sockopt},
    unistd::{self, Gid, Uid, getgroups},
};

use super::{
    kernel,
    unit::{self, Units},
};

/// By which way a caller came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Socket {
    /// The API's socket.
    Api,
    /// The socket of one client.
    Client(Arc<str>),
    /// The socket where systemd fetches a credential for a unit.
    Credential,
    /// The message bus.
    Bus,
}

/// The user that a program ran as when it connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

impl User {
    /// The user behind a Unix socket (`SO_PEERCRED`). An error means: refuse.
    pub fn behind(stream: &impl AsFd) -> io::Result<Self> {
        let credentials = getsockopt(stream, sockopt::PeerCredentials)?;
        Ok(Self { uid: credentials.uid(), gid: credentials.gid() })
    }
}

/// The identity of a local program, fixed when it connected. Nothing that it sends can change it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Where it came in.
    pub socket: Socket,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Further group ids.
    pub groups: Vec<u32>,
    /// The systemd unit that its process belonged to, if it is one that a rule names.
    pub unit: Option<Arc<str>>,
}

impl Caller {
    /// The peer of a Unix socket, as it was when it connected (`SO_PEERGROUPS`, `SO_PEERPIDFD`). Its unit is looked for
    /// among `units` only.
    pub fn of(stream: &impl AsFd, user: User, socket: Socket, units: &Units) -> Self {
        let User { uid, gid } = user;
        // Without an answer there are no further groups, and no rule that wants one holds.
        let groups = kernel::peer_groups(stream.as_fd()).unwrap_or_default();
        let caller = Self { socket, uid, gid, groups, unit: None };
        // It costs three system calls and one for each unit, so it is done for those rules alone.
        let pidfd = if units.is_empty() { None } else { getsockopt(stream, sockopt::PeerPidfd).ok() };
        caller.in_unit(pidfd.as_ref().map(AsFd::as_fd), units)
    }

    /// The same, with the unit of its process, if that is one of `units`.
    #[must_use]
    pub fn in_unit(self, pidfd: Option<BorrowedFd<'_>>, units: &Units) -> Self {
        let unit = pidfd.filter(|_| !units.is_empty()).and_then(|pidfd| unit::of(pidfd, self.uid, units));
        Self { unit, ..self }
    }

    /// The unit for which systemd fetches a credential. The process that asks is systemd's own, so its user says nothing.
    pub fn unit_by_systemd(unit: &str) -> Self {
        Self { socket: Socket::Credential, unit: Some(unit.into()), ..Self::unknown() }
    }

    /// A caller of whom the user and all groups are known, the primary one among them (D-Bus `UnixGroupIDs`). The user
    /// database only tells which one that is: it gives nobody a group that the process does not have.
    pub fn with_groups(uid: u32, groups: Vec<u32>) -> Option<Self> {
        let user = unistd::User::from_uid(Uid::from_raw(uid)).ok().flatten();
        let primary = user.map(|user| user.gid.as_raw()).filter(|gid| groups.contains(gid));
        let gid = primary.or_else(|| groups.first().copied())?;
        Some(Self { socket: Socket::Bus, uid, gid, groups, unit: None })
    }

    /// A caller on the bus of whom the user alone is known; it is in no group that a rule could name.
    pub fn of_user(uid: u32) -> Self {
        Self { uid, ..Self::unknown() }
    }

    /// Somebody of whom nothing is known, whom no rule can name: `(uid_t) -1` is no user.
    pub fn unknown() -> Self {
        Self { socket: Socket::Bus, uid: u32::MAX, gid: u32::MAX, groups: Vec::new(), unit: None }
    }

    /// The user this process runs as.
    pub fn ourselves() -> Self {
        let groups = getgroups().unwrap_or_default().into_iter().map(Gid::as_raw).collect();
        let (uid, gid) = (unistd::geteuid().as_raw(), unistd::getegid().as_raw());
        Self { socket: Socket::Api, uid, gid, groups, unit: None }
    }
}

impl fmt::Display for Caller {
    /// What was seen of it, for itself and for the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.socket {
            // It is a process of systemd, which asks for somebody else.
            Socket::Credential => f.write_str("systemd")?,
            Socket::Api | Socket::Client(_) | Socket::Bus => write!(f, "uid {}, gid {}", self.uid, self.gid)?,
        }
        if let Some(unit) = &self.unit {
            write!(f, ", unit {unit}")?;
        }
        match &self.socket {
            Socket::Client(name) => write!(f, ", socket {name}"),
            Socket::Api | Socket::Credential | Socket::Bus => Ok(()),
        }
    }
}

impl Socket {
    /// The word for it in a rule; every other word is the name of a client.
    pub fn named(word: &str) -> Self {
        match word {
            "api" => Self::Api,
            "bus" => Self::Bus,
            "credential" => Self::Credential,
            client => Self::Client(client.into()),
        }
    }

    /// Its word in a rule.
    pub fn word(&self) -> &str {
        match self {
            Self::Api => "api",
            Self::Bus => "bus",
            Self::Credential => "credential",
            Self::Client(name) => name,
        }
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
