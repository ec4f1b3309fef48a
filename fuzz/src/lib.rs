//! What is run on bytes that a stranger chose: one function a target, each with what must hold whatever the bytes are.
//!
//! `fuzz_targets` hands them what libFuzzer makes up, and `tests/fuzz_corpus.rs` the committed corpus and changes of it, so
//! that they run on any machine. The first bytes of an input choose the circumstances, the rest is the server's.

mod machine;
mod state;
mod wire;

pub use machine::machine;
pub use state::{profile, record, store};
pub use wire::{device, dpop, error, headers, id_token, members, metadata, registration, token};

use std::sync::OnceLock;

use bearerd::oauth::{exchange::Response, profile::Profile};

/// Splits off the first byte; nothing stands for zero.
fn choice(data: &[u8]) -> (u8, &[u8]) {
    data.split_first().map_or((0, data), |(first, rest)| (*first, rest))
}

/// The profile that a byte stands for: `a` for the first, and so on.
fn a_profile(byte: u8) -> &'static Profile {
    static PROFILES: OnceLock<Vec<Profile>> = OnceLock::new();
    let profiles = PROFILES.get_or_init(|| Profile::names().filter_map(Profile::built_in).collect());
    &profiles[usize::from(byte.wrapping_sub(b'a')) % profiles.len()]
}

/// The status that a byte stands for, by its digit.
fn a_status(byte: u8) -> u16 {
    const STATUSES: [u16; 10] = [200, 400, 401, 403, 404, 429, 500, 503, 302, 204];
    STATUSES[usize::from(byte.wrapping_sub(b'0')) % STATUSES.len()]
}

/// The answer that the bytes stand for, and who gives it.
fn an_answer(data: &[u8]) -> (Response, &'static Profile) {
    let (profile, rest) = choice(data);
    let (status, body) = choice(rest);
    (Response { status: a_status(status), body: body.to_vec(), ..Response::default() }, a_profile(profile))
}

/// Fit for a terminal, a console and a log: printable ASCII.
fn is_harmless(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// No lifetime is longer, so that no sum overflows.
const TEN_YEARS: u64 = 10 * 366 * 86_400;
