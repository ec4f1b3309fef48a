//! Kill -9 at random moments, against a server whose refresh tokens are for a single use and which ends the grant when
//! one is used twice.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::{
    box_of::Box,
    counts::Counts,
    support::authorization_server::{Endpoint, Reply},
};

#[derive(Default)]
struct Tally {
    kills: usize,
    /// In mid-refresh: the server had acted, and nobody had been told.
    in_window: usize,
    lost: Vec<String>,
}

#[test]
fn no_grant_is_lost_where_the_server_forgives_for_five_seconds() {
    let counts = Counts::get();
    let tally = campaign(counts.kills, counts.boxes, Duration::from_secs(5));
    println!(
        "5 s of grace: kills {}, in the window {}, grants lost 0, states unreadable 0",
        tally.kills, tally.in_window
    );
    assert!(tally.lost.is_empty(), "{:#?}", tally.lost);
}

#[test]
fn without_grace_only_a_kill_between_the_servers_commit_and_the_disk_loses_a_grant() {
    let counts = Counts::get();
    let tally = campaign(counts.kills_without_grace, counts.boxes, Duration::ZERO);
    println!(
        "no grace: kills {}, in the window {}, grants lost {}, all of them in the window, states unreadable 0:\n{}",
        tally.kills,
        tally.in_window,
        tally.lost.len(),
        tally.lost.join("\n")
    );
}

/// Every second box is sealed.
fn campaign(kills: usize, boxes: usize, grace: Duration) -> Tally {
    let each = kills.div_ceil(boxes);
    let tortured = (0..boxes).map(|number| thread::spawn(move || torture(number % 2 == 1, each, grace)));
    let running: Vec<_> = tortured.collect();
    running.into_iter().fold(Tally::default(), |mut sum, thread| {
        let tally = thread.join().expect("a box that outlives its kills");
        sum.kills += tally.kills;
        sum.in_window += tally.in_window;
        sum.lost.extend(tally.lost);
        sum
    })
}

fn torture(sealed: bool, kills: usize, grace: Duration) -> Tally {
    let mut this = Box::new(sealed, grace);
    let mut tally = Tally::default();
    while tally.kills < kills {
        let killed = kill_somewhere(&mut this);
        tally.kills += 1;
        let window = killed.committed && !killed.answered && (sealed || !this.has_newest_on_disk());
        tally.in_window += usize::from(window);
        // Nobody was told of a token that is not on the disk.
        assert!(sealed || !killed.answered || this.has_newest_on_disk(), "told, and not on the disk");

        this.daemon.start_again();
        let (state, reason) = settled(&this);
        assert!(!this.unreadable(), "a state is unreadable:\n{}", this.daemon.log());
        if state == "signed_out" {
            let loss = format!(
                "kill {} ({}): {:.1?} after the server's commit, reason {reason}",
                tally.kills,
                if sealed { "sealed" } else { "plain" },
                killed.after_commit
            );
            assert!(window && reason == "lost_rotation", "a grant was lost outside of the window: {loss}");
            assert!(grace.is_zero(), "a grant was lost within the grace: {loss}");
            tally.lost.push(loss);
            this.sign_in();
        }
        assert_eq!(this.daemon.get("/v1/token").status, 200);
    }
    this.prove_alive("after all kills");
    assert_eq!(this.other_violations(), Vec::<String>::new());
    tally
}

struct Killed {
    /// The server has acted on a refresh that this run has sent.
    committed: bool,
    /// Whoever asked was told of success.
    answered: bool,
    after_commit: Duration,
}

/// Starts a refresh and kills at a random moment: from the request on, or from its arrival at the server on, or, when it
/// is done, somewhere in the next start. In every third case the next process dies in its start as well.
fn kill_somewhere(this: &mut Box) -> Killed {
    let before = this.server.count(Endpoint::Refresh);
    this.server.reply_next(Endpoint::Refresh, Reply::usual().after(up_to(Duration::from_millis(10))));
    let asked = this.ask_for_refresh();
    let more = match fastrand::u8(0..6) {
        0 => {
            asked.wait_for_answer();
            1
        }
        1 | 2 => {
            thread::sleep(up_to(Duration::from_millis(40)));
            fastrand::u8(0..6) / 4
        }
        _ => {
            this.server.wait_for(Endpoint::Refresh, before + 1);
            thread::sleep(up_to(Duration::from_millis(16)));
            fastrand::u8(0..6) / 4
        }
    };
    this.daemon.kill();
    for _ in 0..more {
        this.daemon.launch(&[]);
        thread::sleep(up_to(Duration::from_millis(60)));
        this.daemon.kill();
    }
    let now = Instant::now();
    // What was sent before the death still arrives.
    thread::sleep(Duration::from_millis(2));
    let arrived = this.server.requests(Endpoint::Refresh).into_iter().nth(before);
    Killed {
        committed: arrived.is_some(),
        answered: asked.was_answered(),
        after_commit: arrived.map_or(Duration::ZERO, |request| now.saturating_duration_since(request.at)),
    }
}

/// The state once no refresh is under way.
fn settled(this: &Box) -> (String, String) {
    this.wait_for_state(&["active", "signed_out"])
}

fn up_to(longest: Duration) -> Duration {
    longest.mul_f64(fastrand::f64())
}
