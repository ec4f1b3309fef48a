//! What systemd asks when a unit has `LoadCredential=ID:PATH` and PATH is a socket (systemd.exec(5)).

use std::os::{fd::AsFd, linux::net::SocketAddrExt, unix::net::UnixStream};

use nix::sys::socket::{getsockopt, sockopt};

use super::unit;

/// A credential that systemd wants to give to a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The unit.
    pub unit: String,
    /// The credential's id in the unit.
    pub id: String,
}

impl Wanted {
    /// Who is asking, by the name that systemd gives its end of the socket. Anybody can bind such a name, so it counts
    /// from root alone; everything else is `None`.
    pub fn by_peer(stream: &UnixStream) -> Option<Self> {
        let peer = getsockopt(&stream.as_fd(), sockopt::PeerCredentials).ok()?;
        if peer.uid() != 0 || peer.pid() <= 0 {
            return None;
        }
        Self::parse(stream.peer_addr().ok()?.as_abstract_name()?)
    }

    /// Reads `RANDOM/unit/UNIT/ID`.
    fn parse(name: &[u8]) -> Option<Self> {
        let mut parts = std::str::from_utf8(name).ok()?.split('/');
        let [random, kind, unit, id, more] = std::array::from_fn(|_| parts.next());
        // A number of 64 bits, which systemd writes without the zeros in front.
        let is_random = (1..=16).contains(&random?.len()) && random?.bytes().all(|digit| digit.is_ascii_hexdigit());
        let well_formed = is_random && kind? == "unit" && more.is_none() && unit::is_name(unit?);
        well_formed.then_some(Self { unit: unit?.to_owned(), id: id?.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_peer_says_unit_and_id() {
        let wanted = Wanted::parse(b"32b44980913dd1b3/unit/consumer.service/token").expect("a name of systemd");
        assert_eq!((wanted.unit.as_str(), wanted.id.as_str()), ("consumer.service", "token"));
        for short in [&b"2b44980913dd1b3/unit/a.service/token"[..], b"0/unit/a.service/token"] {
            assert!(Wanted::parse(short).is_some(), "zeros in front are left out");
        }
        for other in [
            &b""[..],
            b"32b44980913dd1b3/unit/consumer.service",
            b"32b44980913dd1b3/unit/consumer.service/token/x",
            b"32b44980913dd1b3/user/consumer.service/token",
            b"32b44980913dd1bx/unit/consumer.service/token",
            b"/unit/consumer.service/token",
            b"032b44980913dd1b3/unit/consumer.service/token",
            b"32b44980913dd1b3/unit/../token",
            b"32b44980913dd1b3/unit/\xff.service/token",
        ] {
            assert_eq!(Wanted::parse(other), None, "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn a_peer_without_a_name_is_not_systemd() {
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        assert_eq!(Wanted::by_peer(&ours), None);
    }
}
