//! What proofs of possession need besides a key (RFC 9449): entropy for new keys, and the nonces of the servers.

use std::collections::BTreeMap;

use aws_lc_rs::digest::{Context, SHA256};

use crate::oauth::{
    dpop::ProofKey,
    error::{ErrorCode, Failure},
    exchange::{Proof, Request, Response},
    profile::Profile,
};

/// Randomness for an account, drawn outside and handed in once: 32 bytes that nobody can guess.
pub struct Seed([u8; 32]);

impl Seed {
    /// Takes the bytes over.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The next 32 bytes, from which nobody can tell those before or after.
    fn draw(&mut self) -> [u8; 32] {
        let drawn = self.hash(b"drawn");
        self.0 = self.hash(b"next");
        drawn
    }

    /// The source of jitter. What it shows of eight bytes leaves those who would guess a key the other 24.
    pub(super) fn jitter(&self) -> fastrand::Rng {
        let mut some = [0; 8];
        some.copy_from_slice(&self.0[..8]);
        fastrand::Rng::with_seed(u64::from_le_bytes(some))
    }

    fn hash(&self, what: &[u8]) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(&self.0);
        context.update(what);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        hash
    }
}

/// The making of proofs, for one account.
pub(super) struct Proofs {
    seed: Seed,
    /// The last nonce of each server, by its origin: one server's is nothing to another (RFC 9449 §8).
    nonces: BTreeMap<String, String>,
}

impl Proofs {
    pub fn new(seed: Seed) -> Self {
        Self { seed, nonces: BTreeMap::new() }
    }

    /// A key that nobody else has.
    pub fn new_key(&mut self) -> ProofKey {
        ProofKey::from_entropy(self.seed.draw())
    }

    /// The request, to be sent with a proof of this key if there is one. A search for metadata needs none.
    pub fn prove_if(&self, request: Request, key: Option<&ProofKey>) -> Request {
        let Some(key) = key.filter(|_| request.form.is_some()) else { return request };
        let nonce = self.nonces.get(&request.endpoint.origin()).cloned();
        Request { proof: Some(Proof { key: key.clone(), nonce }), ..request }
    }

    /// Remembers what the next proof for the server of `sent` has to carry. Returns the request with the new nonce if the
    /// server wants it again so (RFC 9449 §8): it has not acted on it yet.
    pub fn replied(&mut self, sent: &Request, reply: &Response, profile: &Profile) -> Option<Request> {
        let key = &sent.proof.as_ref()?.key;
        let nonce = reply.dpop_nonce.as_ref()?;
        self.nonces.insert(sent.endpoint.origin(), nonce.clone());
        match Failure::check(reply, profile) {
            Err(Failure::Refused(refusal)) if refusal.error == ErrorCode::UseDpopNonce => {
                Some(self.prove_if(sent.clone(), Some(key)))
            }
            _ => None,
        }
    }
}

/// So often in a row is a request sent again because the server wants another nonce.
pub(super) const NONCES: u32 = 2;
