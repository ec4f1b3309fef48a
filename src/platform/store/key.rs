//! The keys that systemd passes as credentials, and how well they are kept.

use std::io;

use base64::{Engine, prelude::BASE64_STANDARD};

use super::seal::Key;
use crate::platform::systemd;

/// The key that seals records, and the one before it, which still opens them.
#[derive(Default)]
pub struct Keys {
    pub(super) current: Option<Key>,
    pub(super) previous: Option<Key>,
    protection: Protection,
}

/// What somebody needs who has a copy of the state directory and wants to read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protection {
    /// Nothing: records are not sealed.
    #[default]
    None,
    /// A key that lies on the same disk.
    Host,
    /// This machine's TPM.
    Tpm2,
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It is too short to be a secret.
    #[error(
        "the credential {name} has {length} bytes, and a key needs 32 random ones at least; make one with: \
         head -c 32 /dev/urandom | systemd-creds encrypt --name={name} - FILE"
    )]
    Short {
        /// Its name.
        name: &'static str,
        /// Its length.
        length: usize,
    },
    /// It is there and cannot be read.
    #[error("the credential {name} cannot be read: {error}")]
    Unreadable {
        /// Its name.
        name: &'static str,
        /// What the system says.
        error: io::Error,
    },
}

impl Keys {
    /// The keys in the unit's credentials; none where there are no such credentials.
    pub fn from_credentials() -> Result<Self, KeyError> {
        let read = |name| systemd::credential(name).map_err(|error| KeyError::Unreadable { name, error });
        let derive = |name, secret: &[u8]| match secret.len() {
            length @ ..SHORTEST => Err(KeyError::Short { name, length }),
            // Deriving fails for no length that gets here.
            _ => Key::derive(secret).map_err(|_| KeyError::Short { name, length: secret.len() }),
        };
        let current = read(CURRENT)?.map(|secret| derive(CURRENT, &secret)).transpose()?;
        // The unit sets this where there is no file, because a file that is missing would be an error.
        let previous = read(PREVIOUS)?.filter(|secret| secret.as_slice() != b"none");
        let previous = previous.map(|secret| derive(PREVIOUS, &secret)).transpose()?;
        let protection = match &current {
            None => Protection::None,
            Some(_) => Protection::of_credential(read(SEALED)?.as_ref().map(|file| file.as_slice())),
        };
        Ok(Self { current, previous, protection })
    }

    /// How well records are protected that are written from now on.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    #[cfg(test)]
    pub(super) fn of(current: Option<&[u8]>, previous: Option<&[u8]>) -> Self {
        let key = |secret: &[u8]| Key::derive(secret).expect("a key");
        let protection = if current.is_some() { Protection::Host } else { Protection::None };
        Self { current: current.map(key), previous: previous.map(key), protection }
    }
}

impl Protection {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Host => "host",
            Self::Tpm2 => "tpm2",
        }
    }

    /// Whether records are sealed at all.
    pub fn is_sealed(self) -> bool {
        self != Self::None
    }

    /// What protects a key that systemd passed on, by the file that it unsealed: `systemd-creds` begins it, in base64,
    /// with an id of the kind of sealing. Anything but a TPM leaves the key on the disk in one form or another.
    fn of_credential(file: Option<&[u8]>) -> Self {
        let id = file.and_then(|file| BASE64_STANDARD.decode(file.get(..24)?).ok());
        let id = id.and_then(|id| Some(u128::from_be_bytes(*id.first_chunk()?)));
        if id.is_some_and(|id| TPM2_KINDS.contains(&id)) { Self::Tpm2 } else { Self::Host }
    }
}

const CURRENT: &str = "bearerd.statekey";
const PREVIOUS: &str = "bearerd.statekey.previous";
/// The file that the current key was unsealed from, as it is.
const SEALED: &str = "bearerd.statekey.sealed";
const SHORTEST: usize = 32;
/// The ids of systemd's `creds-util.h` in which a TPM takes part: alone or with the host's key, each with or without a
/// signed PCR policy, and for the system or for one user.
const TPM2_KINDS: [u128; 6] = [
    0x0c7c_c07b_1176_4591_9c4b_0bea_08bc_20fe,
    0xfaf7_eb93_41e3_412c_a1a4_36f9_5a29_362f,
    0x93a8_9409_4874_4490_90ca_f2fc_93ca_b553,
    0xef4a_c136_79a9_480e_a7db_6889_7f9f_165d,
    0xaf49_50a8_4913_4eb1_a738_4630_4ff3_0c05,
    0xadbc_4ca3_efb6_4201_ba88_1b6f_2e40_95ea,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sealed_file_tells_whether_a_tpm_took_part() {
        for (start, protection) in [
            // As systemd 252 writes them.
            ("Whxqht+dQJax1aZeCGLxmiAAAAABAAAADAAAABAAAADnNM1q9wR1i4vT", Protection::Host),
            ("k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAAC5/+TSkqTrTgAA", Protection::Tpm2),
            ("DHzAexF2RZGcSwvqCLwg/iAAAAABAAAADAAAABAAAAASDiEhx5kNs4AA", Protection::Tpm2),
            ("BYRp2vb1QySABUnaDw6i+yAAAAAB", Protection::Host),
            ("short", Protection::Host),
            ("not base64 at all, but long enough for one", Protection::Host),
        ] {
            assert_eq!(Protection::of_credential(Some(start.as_bytes())), protection, "{start}");
        }
        assert_eq!(Protection::of_credential(None), Protection::Host);
    }
}
