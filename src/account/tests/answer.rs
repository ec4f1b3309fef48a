//! What a caller is told, state by state: the table of the architecture page.

use std::{sync::Arc, time::Duration};

use super::{Need, Snapshot, State, hours, secs};
use crate::{
    account::{Answer, Token},
    secret::Secret,
    time::Instant,
};

const NOW: Instant = Instant::from_boot(Duration::from_secs(10_000));
const ALL: [State; 7] = [
    State::Active,
    State::Refreshing,
    State::Authorizing,
    State::Degraded,
    State::Stale,
    State::SignedOut,
    State::Misconfigured,
];

/// A snapshot with a token of an hour that has `left` to live, or without a token.
fn snapshot(state: State, left: Option<Duration>) -> Snapshot {
    let token = left.map(|left| {
        let secret = Secret::new("at");
        Arc::new(Token {
            fingerprint: secret.fingerprint(),
            secret,
            expires: Some(NOW + left),
            lifetime: Some(hours(1)),
            scope: String::new(),
            id_token: None,
            passed: std::collections::BTreeMap::new(),
            key: None,
            unbound: false,
        })
    });
    Snapshot {
        state,
        reason: None,
        token,
        refreshable: true,
        renews_early: true,
        refresh_at: None,
        login_starting: false,
        prompt: None,
        trouble: None,
        missing_scope: None,
        attempts: 7,
        generation: 1,
    }
}

/// The answer in one word.
fn word(snapshot: &Snapshot, need: &Need) -> &'static str {
    match snapshot.answer(need, NOW) {
        Answer::Token(_) => "token",
        Answer::AwaitRefresh => "await_refresh",
        Answer::AwaitPrompt => "await_prompt",
        Answer::LoginPending => "login_pending",
        Answer::LoginRequired => "login_required",
        Answer::Configuration => "configuration",
        Answer::Hindered(_) => "hindered",
    }
}

fn need(min_validity: Duration) -> Need {
    Need { min_validity, rejected: None, attempts: 7 }
}

#[test]
fn a_valid_token_is_the_answer_in_every_state() {
    for state in ALL {
        assert_eq!(word(&snapshot(state, Some(secs(1800))), &need(secs(0))), "token", "{state:?}");
    }
}

#[test]
fn without_a_valid_token_the_state_decides() {
    for (state, expected) in ALL.into_iter().zip([
        "await_refresh",
        "await_refresh",
        "login_pending",
        "await_refresh",
        "await_refresh",
        "login_required",
        "configuration",
    ]) {
        for left in [None, Some(Duration::ZERO)] {
            assert_eq!(word(&snapshot(state, left), &need(secs(0))), expected, "{state:?}");
        }
    }
}

#[test]
fn whoever_comes_while_a_login_begins_waits_for_its_prompt() {
    for state in [State::SignedOut, State::Misconfigured] {
        let starting = Snapshot { login_starting: true, ..snapshot(state, None) };
        assert_eq!(word(&starting, &need(secs(0))), "await_prompt");
    }
}

#[test]
fn no_more_than_a_fifth_of_the_lifetime_is_insisted_on() {
    for (left, wanted, expected) in [
        (800, 800, "token"),
        (800, 801, "token"),
        (720, 100_000, "token"),
        (719, 100_000, "await_refresh"),
        (700, 701, "await_refresh"),
        (1, 1, "token"),
        (1, 0, "token"),
    ] {
        let snapshot = snapshot(State::Active, Some(secs(left)));
        assert_eq!(word(&snapshot, &need(secs(wanted))), expected, "{left} s left, {wanted} s wanted");
    }
}

#[test]
fn where_asking_brings_nothing_the_token_that_is_there_must_do() {
    let short = snapshot(State::Active, Some(secs(10)));
    assert_eq!(word(&short, &need(secs(600))), "await_refresh");
    assert_eq!(word(&Snapshot { refreshable: false, ..short.clone() }, &need(secs(600))), "token");
    assert_eq!(word(&Snapshot { renews_early: false, ..short.clone() }, &need(secs(600))), "token");
    assert_eq!(word(&Snapshot { attempts: 8, ..short.clone() }, &need(secs(600))), "token", "it has been tried");
    for state in [State::Degraded, State::Misconfigured] {
        assert_eq!(word(&Snapshot { state, ..short.clone() }, &need(secs(600))), "token", "{state:?}");
    }
}

#[test]
fn a_rejected_token_is_no_answer_until_a_refresh_was_tried() {
    let good = snapshot(State::Active, Some(secs(1800)));
    let rejected = Need { rejected: good.token.as_ref().map(|token| token.fingerprint), ..need(secs(0)) };
    assert_eq!(word(&good, &rejected), "await_refresh");
    assert_eq!(word(&Snapshot { state: State::Degraded, ..good.clone() }, &rejected), "await_refresh");
    assert_eq!(word(&Snapshot { attempts: 8, ..good.clone() }, &rejected), "token");
    assert_eq!(word(&Snapshot { refreshable: false, ..good.clone() }, &rejected), "login_required");
    let another = Need { rejected: Some(Secret::new("another").fingerprint()), ..need(secs(0)) };
    assert_eq!(word(&good, &another), "token");
}

#[test]
fn a_token_without_a_known_end_is_valid_and_satisfies_everybody() {
    let mut endless = snapshot(State::Active, None);
    endless.token = Some(Arc::new(Token {
        fingerprint: Secret::new("at").fingerprint(),
        secret: Secret::new("at"),
        expires: None,
        lifetime: None,
        scope: String::new(),
        id_token: None,
        passed: std::collections::BTreeMap::new(),
        key: None,
        unbound: false,
    }));
    assert_eq!(word(&endless, &need(hours(1000))), "token");
}
