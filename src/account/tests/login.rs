//! The device login: when it polls, to the millisecond.

use super::{
    LoginMode, Reason, State, What, World, hours,
    replies::{answer, busy, code, error, lost, page, tokens, unsent},
    secs,
};

/// A world where a code is out and the first poll is in flight.
fn polling(interval: u64, expires_in: u64) -> World {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.expect(What::DeviceAuthorization);
    world.reply(code(interval, expires_in));
    world.pause();
    world.expect(What::Poll);
    world
}

#[test]
fn the_first_poll_waits_a_whole_interval_after_the_reply_and_a_margin() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.expect(What::DeviceAuthorization);
    world.pass(secs(20));
    world.reply(code(7, 600));
    assert_eq!(world.state(), State::Authorizing);
    assert_eq!(world.pause(), 7_500);
    assert_eq!(world.expect(What::Poll).field("device_code"), "dc");
}

#[test]
fn a_poll_that_is_slow_to_be_answered_does_not_bring_the_next_one_closer() {
    let mut world = polling(5, 600);
    world.pass(secs(29));
    world.reply(error("authorization_pending"));
    assert_eq!(world.pause(), 5_500);
}

#[test]
fn without_an_interval_it_is_five_seconds() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    let body = serde_json::json!({"device_code": "dc", "user_code": "A", "verification_uri": "https://as.example/"});
    world.reply(answer(200, &body));
    assert_eq!(world.pause(), 5_500);
}

#[test]
fn slow_down_adds_five_seconds_for_good_and_adds_up() {
    let mut world = polling(5, 1800);
    let replies = ["authorization_pending", "slow_down", "authorization_pending", "slow_down", "slow_down"];
    assert_eq!(world.pauses_after(replies.map(error)), [5_500, 10_500, 10_500, 15_500, 20_500]);
    assert_eq!(world.pauses_after([error("authorization_pending")]), [20_500], "a later pending reverts nothing");
    assert_eq!(world.snapshot().prompt.map(|prompt| prompt.interval), Some(secs(20)));
}

#[test]
fn slow_down_with_a_longer_interval_of_its_own_is_honoured() {
    let mut world = polling(5, 1800);
    let slow_down = |interval| answer(400, &serde_json::json!({"error": "slow_down", "interval": interval}));
    assert_eq!(world.pauses_after([slow_down(30), slow_down(2)]), [30_500, 35_500]);
}

#[test]
fn timeouts_double_the_pause_and_an_answer_ends_the_doubling() {
    let mut world = polling(5, 1800);
    assert_eq!(world.pauses_after([lost(), unsent(), lost()]), [10_500, 20_500, 40_500]);
    assert_eq!(world.pauses_after([error("authorization_pending"), lost()]), [5_500, 10_500]);
    assert_eq!(
        world.pauses_after([error("slow_down"), lost(), error("authorization_pending")]),
        [10_500, 20_500, 10_500]
    );
}

#[test]
fn the_doubling_has_an_end() {
    let mut world = polling(5, 36_000);
    let pauses = world.pauses_after((0..20).map(|_| unsent()));
    assert_eq!(pauses[..6], [10_500, 20_500, 40_500, 80_500, 160_500, 300_500]);
    assert!(pauses[6..].iter().all(|pause| *pause == 300_500));
}

#[test]
fn too_many_requests_is_slow_down_and_its_retry_after_counts() {
    let mut world = polling(5, 1800);
    assert_eq!(world.pauses_after([busy(429, None), busy(429, Some(60))]), [10_500, 60_500]);
    assert_eq!(world.pauses_after([error("authorization_pending")]), [15_500], "both have lengthened the interval");
}

#[test]
fn an_outage_and_a_captive_portal_slow_the_polling_and_end_nothing() {
    let mut world = polling(5, 3600);
    let replies = [busy(503, None), page(200), page(302), page(511), error("temporarily_unavailable")];
    assert_eq!(world.pauses_after(replies), [10_500, 20_500, 40_500, 80_500, 160_500]);
    assert_eq!(world.pauses_after([busy(502, Some(400))]), [400_500]);
    assert_eq!(world.state(), State::Authorizing);
    world.reply(tokens("at-0", None, Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
}

#[test]
fn the_code_ends_by_our_clock_whatever_the_server_says() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    let asked = world.now;
    world.pass(secs(4));
    world.reply(code(5, 60));
    while world.state() == State::Authorizing {
        world.step(asked + hours(1));
        if world.out.is_some() {
            world.reply(error("authorization_pending"));
        }
    }
    assert_eq!(world.now, asked + secs(60), "counted from the request, not from its reply");
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::CodeExpired)));
    assert_eq!(world.count(What::Poll), 10, "every 5.5 s from 9.5 s to 59 s");
    world.pass(hours(24));
    assert_eq!(world.count(What::DeviceAuthorization), 1, "nobody asked for another");
}

#[test]
fn a_poll_in_flight_at_the_end_may_still_succeed() {
    let mut world = polling(5, 6);
    world.pass(secs(20));
    world.refresh();
    assert_eq!(world.state(), State::Authorizing, "whatever else happens meanwhile");
    world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
    assert_eq!(world.token().as_deref(), Some("at-0"));

    let mut world = polling(5, 6);
    world.pass(secs(20));
    world.reply(error("authorization_pending"));
    assert_eq!(world.reason(), Some(Reason::CodeExpired), "and may not");
}

#[test]
fn nobody_polls_early_after_a_suspend_with_the_reply_outstanding() {
    let mut world = polling(5, 3600);
    world.suspend(secs(600));
    world.reply(error("authorization_pending"));
    assert_eq!(world.pause(), 5_500);
}

#[test]
fn asking_again_joins_the_login_that_runs() {
    let mut world = polling(5, 600);
    world.login();
    world.reply(error("authorization_pending"));
    world.login();
    world.login();
    assert_eq!(world.pause(), 5_500);
    assert_eq!(world.count(What::DeviceAuthorization), 1);
}

#[test]
fn the_old_session_serves_and_refreshes_while_the_new_login_waits() {
    let mut world = World::signed_in(600);
    world.login();
    world.reply(code(5, 1800));
    assert_eq!((world.state(), world.token().as_deref()), (State::Authorizing, Some("at-0")));
    while world.count(What::Refresh) == 0 {
        world.pause();
        if world.sent.last().is_some_and(|sent| sent.what == What::Poll) {
            world.reply(error("authorization_pending"));
        }
    }
    world.reply(tokens("at-1", Some("rt-1"), Some(600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Authorizing, Some("at-1")));
    world.pause();
    world.expect(What::Poll);
    world.reply(tokens("at-new", Some("rt-new"), Some(600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-new")));
}
