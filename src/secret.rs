//! A token, code or password: shared without copying, wiped when the last owner lets go, and unprintable.

use std::sync::Arc;

use aws_lc_rs::{constant_time, digest};
use secrecy::{ExposeSecret, SecretString};

/// Text that must not be seen. It has no `Debug`, no `Display` and no equality operator, so that it can reach
/// neither a log nor an error by accident; whoever needs the text says so with [`Secret::expose`].
#[derive(Clone)]
pub struct Secret(Arc<SecretString>);

/// The SHA-256 of a secret: enough to recognise one, useless to anyone else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Secret {
    /// Takes the text over.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Arc::new(SecretString::from(text.into())))
    }

    /// The text itself, to be written to the one place it is meant for.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// Whether both hold the same text, compared in constant time.
    pub fn same_as(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.expose().as_bytes(), other.expose().as_bytes()).is_ok()
    }

    /// The SHA-256 of the text.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest::digest(&digest::SHA256, self.expose().as_bytes()).as_ref());
        Fingerprint(bytes)
    }
}

impl Fingerprint {
    /// The first 64 bits as a number.
    pub fn number(self) -> u64 {
        self.0.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    /// The first 16 hexadecimal digits, which name a token in a log and are of no use for anything else.
    pub fn prefix(self) -> String {
        format!("{:016x}", self.number())
    }

    /// 64 hexadecimal digits.
    pub fn to_hex(self) -> String {
        let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or_default();
        self.0.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
    }

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, at) in bytes.iter_mut().zip((0..64).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).ok()?;
        }
        Some(Self(bytes))
    }
}

/// Serde support for the one place that may write secrets out, the state file: `#[serde(with = "exposed")]`.
pub mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use super::Secret;

    /// Writes the text in clear.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads it back.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret::new)
    }

    /// The same for a secret that may be missing.
    pub mod optional {
        use super::{Deserialize, Deserializer, Secret, Serializer};

        /// Writes the text in clear, or null.
        pub fn serialize<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
            match secret {
                Some(secret) => serializer.serialize_some(secret.expose()),
                None => serializer.serialize_none(),
            }
        }

        /// Reads it back.
        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
            Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_sha_256_of_the_text() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint::from_hex(known), Some(Secret::new("abc").fingerprint()));
        assert_ne!(Fingerprint::from_hex(known), Some(Secret::new("abd").fingerprint()));
        assert_eq!(Secret::new("abc").fingerprint().prefix(), known[..16]);
    }

    #[test]
    fn only_64_hexadecimal_digits_are_a_fingerprint() {
        for wrong in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"ä".repeat(32), &"+f".repeat(32)] {
            assert_eq!(Fingerprint::from_hex(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn secrets_compare_by_content() {
        assert!(Secret::new("same").same_as(&Secret::new("same")));
        assert!(!Secret::new("same").same_as(&Secret::new("other")));
    }
}
