//! Demonstrating proof of possession (RFC 9449): the key that a grant is bound to, and the proofs made with it.

use std::sync::Arc;

use aws_lc_rs::{
    agreement, digest,
    encoding::{AsBigEndian, EcPrivateKeyBin},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use url::Url;

use super::jwt;
use crate::secret::Secret;

/// A P-256 key. It lives exactly as long as what is bound to it; its private half leaves only towards the state file.
#[derive(Clone)]
pub struct ProofKey(Arc<Pair>);

struct Pair {
    signing: EcdsaKeyPair,
    /// The coordinates of the public key, in base64url.
    x: String,
    y: String,
}

/// What one proof states (RFC 9449 §4.2).
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// `htm`: the method of the request that it goes with.
    pub method: &'a str,
    /// `htu`: where that request goes; query and fragment are left out.
    pub uri: &'a Url,
    /// `nonce`, where the server of that request has given one out.
    pub nonce: Option<&'a str>,
    /// `ath`: see [`token_hash`]; only for a request that carries an access token.
    pub token_hash: Option<&'a str>,
}

impl ProofKey {
    /// The key that these 32 random bytes make. The same bytes make the same key.
    pub fn from_entropy(entropy: [u8; 32]) -> Self {
        let mut scalar = entropy;
        loop {
            if let Some(key) = Self::from_scalar(&scalar) {
                return key;
            }
            // One in 2³² numbers is not below the order of the curve.
            scalar = sha256(&scalar);
        }
    }

    /// Reads the key that [`ProofKey::expose`] wrote.
    pub fn read(text: &Secret) -> Option<Self> {
        let scalar = BASE64_URL_SAFE_NO_PAD.decode(text.expose()).ok()?;
        Self::from_scalar(&scalar)
    }

    /// The private key, for the state file.
    pub fn expose(&self) -> Secret {
        let scalar: Option<EcPrivateKeyBin<'_>> = self.0.signing.private_key().as_be_bytes().ok();
        Secret::new(scalar.map(|scalar| BASE64_URL_SAFE_NO_PAD.encode(scalar.as_ref())).unwrap_or_default())
    }

    /// The SHA-256 thumbprint of the public key (RFC 7638), as `dpop_jkt` and `cnf` carry it.
    pub fn thumbprint(&self) -> String {
        // The members in this order and without spaces (RFC 7638 §3).
        let Pair { x, y, .. } = &*self.0;
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        BASE64_URL_SAFE_NO_PAD.encode(sha256(members.as_bytes()))
    }

    /// A proof, made at `now` (seconds since 1970 as the server of the request sees them). `id` must not be used twice
    /// with one server.
    pub fn prove(&self, statement: &Statement<'_>, now: u64, id: &str) -> Option<String> {
        let mut uri = statement.uri.clone();
        uri.set_query(None);
        uri.set_fragment(None);
        let mut claims = json!({ "jti": id, "htm": statement.method, "htu": uri.as_str(), "iat": now });
        let optional = [("nonce", statement.nonce), ("ath", statement.token_hash)];
        for (name, value) in optional.into_iter().filter_map(|(name, value)| Some((name, value?))) {
            claims[name] = Value::from(value);
        }
        let Pair { signing, x, y } = &*self.0;
        let jwk = json!({ "kty": "EC", "crv": "P-256", "x": x, "y": y });
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": jwk });
        jwt::signed(&header, &claims, |input| Some(signing.sign(&SystemRandom::new(), input).ok()?.as_ref().to_vec()))
    }

    fn from_scalar(scalar: &[u8]) -> Option<Self> {
        let private = agreement::PrivateKey::from_private_key(&agreement::ECDH_P256, scalar).ok()?;
        let public = private.compute_public_key().ok()?;
        let signing =
            EcdsaKeyPair::from_private_key_and_public_key(&ECDSA_P256_SHA256_FIXED_SIGNING, scalar, public.as_ref());
        // An uncompressed point (SEC 1 §2.3.3): a mark, and two coordinates.
        let (x, y) = public.as_ref().get(1..65)?.split_at(32);
        let (x, y) = (BASE64_URL_SAFE_NO_PAD.encode(x), BASE64_URL_SAFE_NO_PAD.encode(y));
        Some(Self(Arc::new(Pair { signing: signing.ok()?, x, y })))
    }
}

/// `ath` of an access token (RFC 9449 §4.2).
pub fn token_hash(access_token: &Secret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(sha256(access_token.expose().as_bytes()))
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    fn part(jwt: &str, number: usize) -> Vec<u8> {
        let part = jwt.split('.').nth(number).expect("three parts");
        BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url")
    }

    fn json_of(jwt: &str, number: usize) -> Value {
        serde_json::from_slice(&part(jwt, number)).expect("JSON")
    }

    #[test]
    fn a_proof_states_what_it_is_for_and_is_signed_by_the_key_in_it() {
        let key = ProofKey::from_entropy([7; 32]);
        let uri = Url::parse("https://api.example/things?page=2#top").expect("a URL");
        let statement = Statement { method: "POST", uri: &uri, nonce: Some("n-1"), token_hash: Some("hash") };
        let proof = key.prove(&statement, 1_800_000_000, "id-1").expect("a proof");
        assert_eq!(
            json_of(&proof, 1),
            json!({"jti": "id-1", "htm": "POST", "htu": "https://api.example/things", "iat": 1_800_000_000u64,
                   "nonce": "n-1", "ath": "hash"})
        );
        let header = json_of(&proof, 0);
        assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert_eq!(header["jwk"].as_object().expect("a key").len(), 4, "the public half alone: {header}");
        let coordinate =
            |name: &str| BASE64_URL_SAFE_NO_PAD.decode(header["jwk"][name].as_str().expect(name)).expect(name);
        let point = [vec![4], coordinate("x"), coordinate("y")].concat();
        let (input, _) = proof.rsplit_once('.').expect("three parts");
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
        assert!(verifier.verify(input.as_bytes(), &part(&proof, 2)).is_ok());
        assert!(verifier.verify(b"another", &part(&proof, 2)).is_err());
    }

    #[test]
    fn without_nonce_and_token_neither_is_stated() {
        let uri = Url::parse("https://as.example/token").expect("a URL");
        let statement = Statement { method: "POST", uri: &uri, nonce: None, token_hash: None };
        let proof = ProofKey::from_entropy([1; 32]).prove(&statement, 5, "x").expect("a proof");
        assert_eq!(json_of(&proof, 1).as_object().expect("claims").len(), 4);
    }

    #[test]
    fn a_key_outlives_a_restart_and_is_another_for_other_entropy() {
        let key = ProofKey::from_entropy([9; 32]);
        let again = ProofKey::read(&key.expose()).expect("the same key");
        assert_eq!(key.thumbprint(), again.thumbprint());
        assert_ne!(key.thumbprint(), ProofKey::from_entropy([8; 32]).thumbprint());
        for wrong in ["", "AAAA", "not base64url!"] {
            assert!(ProofKey::read(&Secret::new(wrong)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn entropy_that_is_no_scalar_makes_a_key_all_the_same() {
        let key = ProofKey::from_entropy([0xff; 32]);
        assert_eq!(key.thumbprint(), ProofKey::from_entropy([0xff; 32]).thumbprint());
        assert!(ProofKey::from_scalar(&[0xff; 32]).is_none() && ProofKey::from_scalar(&[0; 32]).is_none());
    }

    #[test]
    fn thumbprint_and_token_hash_are_those_of_the_standards() {
        // RFC 9449 §7.1 has this token, and this hash of it.
        let token = Secret::new("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU");
        assert_eq!(token_hash(&token), "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        // RFC 9449 §4.1 has this key, and §6.1 its thumbprint.
        let (x, y) = ("l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs", "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA");
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        let thumbprint = BASE64_URL_SAFE_NO_PAD.encode(sha256(members.as_bytes()));
        assert_eq!(thumbprint, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    }
}
