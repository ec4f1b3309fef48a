//! What is signed for one request alone needs of the machine: randomness, and a time that its reader agrees with (RFC 9449
//! §4.3, RFC 7523 §3).

use std::sync::atomic::{AtomicI64, Ordering};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rustix::rand::{GetRandomFlags, getrandom};

use super::{clock, headers};
use crate::{
    oauth::{
        assertion::Assertion,
        dpop::{ProofKey, Statement},
    },
    secret::Secret,
};

/// A proof, made now; `None` where the machine gives no randomness.
pub fn make(key: &ProofKey, statement: &Statement<'_>) -> Option<String> {
    key.prove(statement, servers_time(), &unused_id()?)
}

/// An assertion, made now; `None` where the machine gives no randomness.
pub fn assert(assertion: &Assertion) -> Option<Secret> {
    assertion.sign(servers_time(), &unused_id()?)
}

/// Bytes that nobody can guess; `None` where the machine gives none. The kernel's own, because every account asks for
/// some at the start, and the cryptographic library's generator takes a tenth of a second to come up.
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let given = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    (given == N).then_some(bytes)
}

fn unused_id() -> Option<String> {
    Some(BASE64_URL_SAFE_NO_PAD.encode(random::<16>()?))
}

/// Takes note of the `Date` header of an answer from a server whose certificate was good.
pub fn learn_time(date: Option<&str>) {
    let Some(theirs) = date.and_then(headers::date) else { return };
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    AHEAD.store(signed(theirs.as_secs()).saturating_sub(signed(clock::since_1970().as_secs())), Ordering::Relaxed);
}

/// Seconds since 1970: by our clock where it can be believed, else as the last server had them. Proofs that are from
/// another time are refused.
fn servers_time() -> u64 {
    let ahead = if clock::is_synchronised() { 0 } else { AHEAD.load(Ordering::Relaxed) };
    clock::since_1970().as_secs().saturating_add_signed(ahead)
}

/// By how many seconds the last server's clock was ahead of ours.
static AHEAD: AtomicI64 = AtomicI64::new(0);
