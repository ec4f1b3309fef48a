//! The fuzz targets on a machine without a fuzzer: every file of the committed corpus, and changes of them by chance.
//! `make fuzz` lets libFuzzer do it, which finds its way into what chance misses.

#[path = "../fuzz/src/lib.rs"]
mod targets;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

/// Runs a target on its corpus, and on that many changed inputs.
fn run(name: &str, target: fn(&[u8]), changes: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder).expect("a corpus").map(|file| file.expect("a file").path()).collect();
    files.sort_unstable();
    let corpus: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).expect("a file")).collect();
    assert!(corpus.len() > 3, "{name}: {} files are no corpus", corpus.len());
    let check = |input: &[u8]| {
        let outcome = catch_unwind(AssertUnwindSafe(|| target(input)));
        assert!(outcome.is_ok(), "{name}: {:?}", String::from_utf8_lossy(input));
    };
    corpus.iter().for_each(|input| check(input));
    let mut rng = fastrand::Rng::with_seed(SEED);
    for _ in 0..changes {
        check(&changed(&corpus, &mut rng));
    }
}

/// An input that is nearly one of the corpus.
fn changed(corpus: &[Vec<u8>], rng: &mut fastrand::Rng) -> Vec<u8> {
    let mut input = corpus[rng.usize(..corpus.len())].clone();
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..=input.len());
        let end = (at + rng.usize(..9)).min(input.len());
        match rng.usize(..6) {
            0 if at < input.len() => input[at] ^= 1 << rng.usize(..8),
            1 if at < input.len() => input[at] = rng.u8(..),
            2 => drop(input.drain(at..end)),
            3 => drop(input.splice(at..end, TELLING[rng.usize(..TELLING.len())].bytes())),
            4 => input.truncate(at),
            _ => {
                let other = &corpus[rng.usize(..corpus.len())];
                let from = rng.usize(..=other.len());
                let to = (from + rng.usize(..64)).min(other.len());
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
        }
    }
    input.truncate(LONGEST);
    input
}

#[test]
fn registration() {
    run("registration", targets::registration, MANY);
}

#[test]
fn members() {
    run("members", targets::members, MANY);
}

#[test]
fn device() {
    run("device", targets::device, MANY);
}

#[test]
fn token() {
    run("token", targets::token, MANY);
}

#[test]
fn error() {
    run("error", targets::error, MANY);
}

#[test]
fn metadata() {
    run("metadata", targets::metadata, MANY);
}

#[test]
fn id_token() {
    run("id_token", targets::id_token, MANY);
}

#[test]
fn headers() {
    run("headers", targets::headers, MANY);
}

#[test]
fn record() {
    run("record", targets::record, SOME);
}

#[test]
fn machine() {
    run("machine", targets::machine, SOME);
}

#[test]
fn profile() {
    run("profile", targets::profile, FEW);
}

#[test]
fn dpop() {
    run("dpop", targets::dpop, FEW);
}

#[test]
fn store() {
    run("store", targets::store, FEW);
}

/// What readers stumble over.
const TELLING: [&str; 18] = [
    "18446744073709551615",
    "-1",
    "1e308",
    "0.001",
    "null",
    "{}",
    "[[[[",
    "\"\"",
    "\\u0000",
    "\\u202e",
    "\u{1b}[2J",
    "\u{e9}",
    "\\",
    "%00",
    "https://",
    "access_token",
    "error",
    "\n",
];
const SEED: u64 = 8628;
const LONGEST: usize = 4096;
const MANY: usize = 100_000;
const SOME: usize = 20_000;
const FEW: usize = 5_000;
