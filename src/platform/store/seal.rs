//! Sealing: AES-256-GCM-SIV (RFC 8452) under a key that HKDF-SHA256 (RFC 5869) derives from a secret.
//!
//! The nonce of a record is drawn at random. With GCM itself a nonce drawn twice would give the key away, and that is
//! not far-fetched on a virtual machine resumed twice from one snapshot; with GCM-SIV it only shows whether two records
//! are equal.

use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey},
    error::Unspecified,
    hkdf::{HKDF_SHA256, KeyType, Salt},
    rand,
};

/// A key that seals and opens records.
pub(super) struct Key {
    /// Tells which key a record is under, and nothing about the key.
    pub id: [u8; ID_LENGTH],
    aead: LessSafeKey,
}

impl Key {
    /// The key that belongs to a secret.
    pub fn derive(secret: &[u8]) -> Result<Self, Unspecified> {
        let secret = Salt::new(HKDF_SHA256, b"bearerd state").extract(secret);
        let mut id = [0; ID_LENGTH];
        secret.expand(&[b"key id"], IdLength)?.fill(&mut id)?;
        let aead = LessSafeKey::new(UnboundKey::from(secret.expand(&[b"record"], &AES_256_GCM_SIV)?));
        Ok(Self { id, aead })
    }

    /// Encrypts in place and returns the tag, which vouches for `associated` too.
    pub fn seal(
        &self,
        nonce: [u8; NONCE_LENGTH],
        associated: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_LENGTH], Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        let tag = self.aead.seal_in_place_separate_tag(nonce, Aad::from(associated), text)?;
        tag.as_ref().try_into().map_err(|_| Unspecified)
    }

    /// Decrypts text and tag in place; an error where either of them, or `associated`, is not what was sealed.
    pub fn open<'a>(
        &self,
        nonce: [u8; NONCE_LENGTH],
        associated: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a [u8], Unspecified> {
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.aead.open_in_place(nonce, Aad::from(associated), sealed).map(|text| &*text)
    }
}

/// A nonce for one record.
pub(super) fn nonce() -> Result<[u8; NONCE_LENGTH], Unspecified> {
    let mut nonce = [0; NONCE_LENGTH];
    rand::fill(&mut nonce)?;
    Ok(nonce)
}

struct IdLength;

impl KeyType for IdLength {
    fn len(&self) -> usize {
        ID_LENGTH
    }
}

pub(super) const ID_LENGTH: usize = 8;
pub(super) const NONCE_LENGTH: usize = 12;
pub(super) const TAG_LENGTH: usize = 16;
