//! Whole starts on damaged state directories: the program comes up every time, with a token where a file is left that
//! was once saved in its place, and otherwise asks for a new sign-in.

use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use crate::{box_of::Box, counts::Counts, errno::each};

/// The two files of the account, at one time.
type Pair = [Vec<u8>; 2];

#[derive(Default)]
struct Tally {
    starts: usize,
    /// With a file that was still good.
    served: usize,
    signed_out: usize,
}

#[test]
fn no_damaged_state_keeps_the_program_from_starting() {
    let cases = Counts::get().damaged;
    let lanes = (0..LANES).map(|number| (number % 2 == 1, cases.div_ceil(LANES))).collect();
    let sum = each(lanes, |(sealed, cases)| damage_and_start(sealed, cases)).into_iter().fold(
        Tally::default(),
        |sum, tally| Tally {
            starts: sum.starts + tally.starts,
            served: sum.served + tally.served,
            signed_out: sum.signed_out + tally.signed_out,
        },
    );
    println!(
        "damaged states: starts {}, panics 0, ends 0; token served {}, signed out {}",
        sum.starts, sum.served, sum.signed_out
    );
}

fn damage_and_start(sealed: bool, cases: usize) -> Tally {
    let mut this = Box::new(sealed, Duration::from_secs(60));
    let mut history = vec![pair(&this)];
    for _ in 0..3 {
        this.prove_alive("before any damage");
        history.push(pair(&this));
    }
    this.daemon.kill();
    // What is asked here is what the program makes of its files, not what the server makes of old tokens.
    this.server.set_reachable(false);
    let mut tally = Tally::default();
    for case in 0..cases {
        let mut files = history[history.len() - 1].clone();
        for _ in 0..fastrand::u8(1..=3) {
            damage(&mut files, &history);
        }
        restore(&this, &files);
        let good = (0..2).any(|slot| history.iter().any(|pair| pair[slot] == files[slot]));
        // The second start finds what the first one left.
        for start in 0..2 {
            let when = format!("case {case}, start {start}, sealed {sealed}");
            fs::write(this.daemon.folder().join("log"), "").expect("a log");
            this.daemon.launch(&[]);
            assert!(this.daemon.gets_ready(), "{when}: it ended\n{}", this.daemon.log());
            let reply = this.daemon.get("/v1/token");
            assert_eq!(reply.status == 200, good, "{when}: {}\n{}", reply.body, this.daemon.log());
            let issued = || this.server.issued_secrets().contains(&reply.text("access_token"));
            assert!(!good || issued(), "{when}: a token that nobody issued");
            if !good {
                assert_eq!(this.state().0, "signed_out", "{when}");
            }
            assert!(!this.daemon.log().contains("panicked"), "{when}: {}", this.daemon.log());
            assert!(this.daemon.ended().is_none(), "{when}: it ended");
            this.daemon.kill();
            tally.starts += 1;
            tally.served += usize::from(good);
            tally.signed_out += usize::from(!good);
        }
    }
    tally
}

/// Does something bad to one file, or to both.
fn damage(files: &mut Pair, history: &[Pair]) {
    let slot = fastrand::usize(..2);
    let file = &mut files[slot];
    let length = file.len();
    match fastrand::u8(0..8) {
        0 if length > 0 => file[fastrand::usize(..length)] ^= 1 << fastrand::u8(..8),
        1 => file.truncate(fastrand::usize(..=length)),
        2 if length > 0 => file[fastrand::usize(..length)..].fill(0),
        3 => files.swap(0, 1),
        4 => *file = history[fastrand::usize(..history.len())][slot].clone(),
        5 => file.clear(),
        6 => *file = (0..fastrand::usize(..4096)).map(|_| fastrand::u8(..)).collect(),
        _ => file.extend_from_slice(b"more"),
    }
}

/// Puts these files where the account's are, and nothing else but, at times, what else may lie around there.
fn restore(this: &Box, files: &Pair) {
    let state = this.daemon.folder().join("state");
    fs::remove_dir_all(&state).expect("a folder");
    fs::create_dir(&state).expect("a folder");
    for (name, file) in NAMES.iter().zip(files) {
        fs::write(state.join(name), file).expect("a write");
    }
    litter(&state);
}

fn litter(state: &Path) {
    match fastrand::u8(0..6) {
        0 => fs::write(state.join(".box.a.new"), "half of a sa").expect("a write"),
        1 => fs::create_dir(state.join("box.a.damaged-1")).expect("a folder"),
        2 => symlink("/dev/zero", state.join("other.a")).expect("a link"),
        3 => fs::write(state.join("lock"), [0xff; 100]).expect("a write"),
        4 => fs::create_dir(state.join("other.b")).expect("a folder"),
        _ => {}
    }
}

fn pair(this: &Box) -> Pair {
    NAMES.map(|name| fs::read(this.state_file(name)).expect("a file"))
}

const NAMES: [&str; 2] = ["box.a", "box.b"];
const LANES: usize = 4;
