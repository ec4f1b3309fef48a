//! Assertions by which a client proves who it is (RFC 7523 §2.2; OpenID Connect Core 1.0 §9).

use std::sync::Arc;

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, RSA_PKCS1_SHA256, RSA_PSS_SHA256, RsaEncoding,
        RsaKeyPair,
    },
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use serde::Deserialize;
use serde_json::{Value, json};

use super::jwt;
use crate::secret::{Fingerprint, Secret};

/// What a client signs its assertions with. It has no `Debug`, and no way out.
#[derive(Clone)]
pub struct AssertionKey(Arc<Signer>);

struct Signer {
    key: Key,
    algorithm: &'static str,
    /// `kid`, where the server tells the keys of a client apart by it.
    id: Option<String>,
    /// Of what it was read from.
    fingerprint: Fingerprint,
}

enum Key {
    Shared(Secret),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
}

/// A signature algorithm for `private_key_jwt`, by its registered name (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[allow(missing_docs)]
pub enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "EdDSA")]
    EdDsa,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "PS256")]
    Ps256,
}

/// Why a file is no key to sign with. The text says what it is instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// No private key at all.
    #[error("there is no private key in PEM in it")]
    NotPem,
    /// SEC 1, PKCS#1, or with a password.
    #[error("the private key in it is not in PKCS#8 without a password (BEGIN PRIVATE KEY)")]
    NotPkcs8,
    /// A curve, a size or a kind that no algorithm here is for.
    #[error("the private key in it is none for ES256, EdDSA, RS256 or PS256")]
    OtherKind,
    /// A key for another algorithm than the wanted one.
    #[error("the private key in it is for {0}")]
    OtherAlgorithm(&'static str),
}

impl BadKey {
    /// What to do about it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::NotPem => {
                "write the key itself, not a certificate or a public key; or make one: openssl genpkey -algorithm EC \
                 -pkeyopt ec_paramgen_curve:P-256 -out key.pem"
            }
            Self::NotPkcs8 => "turn it into PKCS#8: openssl pkey -in old.pem -out new.pem",
            Self::OtherKind => "give an EC key on P-256, an Ed25519 key, or an RSA key of 2048 bits or more",
            Self::OtherAlgorithm(_) => "take assertion_algorithm out, or give a key that goes with it",
        }
    }
}

impl AssertionKey {
    /// A key for HS256: the client secret itself (`client_secret_jwt`).
    pub fn shared(secret: &Secret) -> Self {
        let key = Key::Shared(secret.clone());
        Self(Arc::new(Signer { key, algorithm: "HS256", id: None, fingerprint: secret.fingerprint() }))
    }

    /// The private key in this PEM text, in PKCS#8 (`private_key_jwt`). What it is decides on the algorithm; an RSA key
    /// goes with two, and is for RS256 unless PS256 is `wanted`. `id` becomes the header `kid`.
    pub fn read(pem: &Secret, wanted: Option<Algorithm>, id: Option<String>) -> Result<Self, BadKey> {
        let der = match PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()) {
            Ok(PrivateKeyDer::Pkcs8(der)) => der,
            Ok(_) => return Err(BadKey::NotPkcs8),
            Err(_) if pem.expose().contains("BEGIN ENCRYPTED PRIVATE KEY") => return Err(BadKey::NotPkcs8),
            Err(_) => return Err(BadKey::NotPem),
        };
        let der = der.secret_pkcs8_der();
        let (key, algorithm) = if let Ok(key) = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der) {
            (Key::Ecdsa(key), Algorithm::Es256)
        // OpenSSL leaves the public half out, which the stricter reader insists on.
        } else if let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der) {
            (Key::Ed25519(key), Algorithm::EdDsa)
        } else if let Ok(key) = RsaKeyPair::from_pkcs8(der) {
            match wanted {
                Some(Algorithm::Ps256) => (Key::Rsa(key, &RSA_PSS_SHA256), Algorithm::Ps256),
                _ => (Key::Rsa(key, &RSA_PKCS1_SHA256), Algorithm::Rs256),
            }
        } else {
            return Err(BadKey::OtherKind);
        };
        if wanted.is_some_and(|wanted| wanted != algorithm) {
            return Err(BadKey::OtherAlgorithm(if matches!(key, Key::Rsa(..)) { RSA } else { algorithm.as_str() }));
        }
        Ok(Self(Arc::new(Signer { key, algorithm: algorithm.as_str(), id, fingerprint: pem.fingerprint() })))
    }

    fn sign(&self, input: &[u8]) -> Option<Vec<u8>> {
        match &self.0.key {
            Key::Shared(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
                Some(hmac::sign(&key, input).as_ref().to_vec())
            }
            Key::Ecdsa(key) => Some(key.sign(&SystemRandom::new(), input).ok()?.as_ref().to_vec()),
            Key::Ed25519(key) => Some(key.sign(input).as_ref().to_vec()),
            Key::Rsa(key, encoding) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(*encoding, &SystemRandom::new(), input, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}

impl PartialEq for AssertionKey {
    fn eq(&self, other: &Self) -> bool {
        let parts = |key: &Self| (key.0.fingerprint, key.0.algorithm, key.0.id.clone());
        parts(self) == parts(other)
    }
}

/// What the assertion that goes with a request is made of; it is signed when that is sent, for no server takes one twice.
#[derive(Clone)]
pub struct Assertion {
    /// The key.
    pub key: AssertionKey,
    /// `iss` and `sub`.
    pub client_id: String,
    /// `aud`.
    pub audience: String,
}

impl Assertion {
    /// The value of `client_assertion`, made at `now` (seconds since 1970 as the server of the request sees them). `id`
    /// must not be used twice with one server.
    pub fn sign(&self, now: u64, id: &str) -> Option<Secret> {
        let Signer { algorithm, id: key_id, .. } = &*self.key.0;
        let mut header = json!({ "typ": "JWT", "alg": algorithm });
        if let Some(key_id) = key_id {
            header["kid"] = Value::from(key_id.as_str());
        }
        let Self { client_id, audience, .. } = self;
        let end = now.saturating_add(LIFETIME);
        let claims = json!({ "iss": client_id, "sub": client_id, "aud": audience, "jti": id, "iat": now, "exp": end });
        jwt::signed(&header, &claims, |input| self.key.sign(input)).map(Secret::new)
    }
}

impl Algorithm {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

/// The value of `client_assertion_type` (RFC 7523 §2.2).
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const RSA: &str = "RS256 or PS256";
/// In seconds: some servers refuse what lives long, and clocks differ.
const LIFETIME: u64 = 120;

#[cfg(test)]
mod tests;
