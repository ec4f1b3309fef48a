//! The refresh lifecycle while the server is well: when it refreshes, and what every kind of token leads to.

use std::time::Duration;

use super::{
    Disk, Need, Reason, State, What, World, hours,
    replies::{error, tokens, unsent},
    secs,
    server::Server,
};
use crate::account::Answer;

#[test]
fn a_year_of_hourly_tokens_at_a_server_that_forgives_nothing() {
    let mut server = Server::new(3600);
    let mut world = World::at_server(&mut server);
    let signed_in = world.now;
    for _ in 0..365 * 24 {
        world.serve(&mut server, secs(3600));
        assert!(world.snapshot().valid_token(world.boot_now()).is_some(), "a gap after {:?}", world.now);
    }
    assert!(!server.burnt, "a refresh token was used twice");
    assert_eq!((world.state(), world.snapshot().generation), (State::Active, server.current + 1));
    // A tenth of an hour before the end, and up to as much again by chance.
    let moments: Vec<_> = [signed_in].into_iter().chain(server.refreshes).collect();
    let gaps: Vec<_> = moments.windows(2).map(|pair| (pair[1] - pair[0]).as_secs()).collect();
    assert!(gaps.iter().all(|gap| (2880..=3240).contains(gap)), "{:?} … {:?}", gaps.iter().min(), gaps.iter().max());
    assert!(gaps.iter().any(|gap| *gap < 2910) && gaps.iter().any(|gap| *gap > 3210), "the whole range is used");
    assert!((10_100..=10_500).contains(&gaps.len()), "{} refreshes", gaps.len());
    assert_eq!(world.writes, 1 + 2 * gaps.len(), "the intent and the result, nothing else");
}

#[test]
fn a_token_is_never_on_show_before_it_is_on_disk() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Slow;
    while world.writing.is_none() {
        world.step(hours(2));
    }
    assert_eq!(world.count(What::Refresh), 0, "the intent first");
    world.written(true);
    world.settle();
    assert_eq!(world.on_disk()["refreshing"], true);
    world.expect(What::Refresh);
    assert_eq!((world.state(), world.token().as_deref()), (State::Refreshing, Some("at-0")));
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.pass(secs(30));
    assert_eq!((world.state(), world.token().as_deref()), (State::Refreshing, Some("at-0")));
    world.written(true);
    world.settle();
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-1");
    assert_eq!(world.on_disk()["refreshing"], false);
    assert_eq!(world.on_disk()["generation"], 2);
}

#[test]
fn short_lived_tokens_make_no_hot_loop() {
    for (lifetime, most) in [(0, 600), (1, 600), (5, 250), (60, 17)] {
        let mut server = Server { latency: Duration::ZERO, ..Server::new(lifetime) };
        let mut world = World::at_server(&mut server);
        world.serve(&mut server, secs(600));
        let count = server.refreshes.len();
        assert!(count > 0 && count <= most, "{count} refreshes in ten minutes of tokens that live {lifetime} s");
        assert!(server.refreshes.windows(2).all(|pair| pair[1] - pair[0] >= secs(1)));
        assert!(!server.burnt);
    }
}

#[test]
fn a_short_lived_token_is_there_all_the_time() {
    let mut server = Server { latency: Duration::from_millis(100), ..Server::new(5) };
    let mut world = World::at_server(&mut server);
    for _ in 0..600 {
        world.serve(&mut server, secs(1));
        assert!(world.snapshot().valid_token(world.boot_now()).is_some());
    }
}

#[test]
fn a_token_of_unknown_lifetime_is_renewed_within_the_hour() {
    let mut server = Server { lifetime: None, ..Server::new(0) };
    let mut world = World::at_server(&mut server);
    world.serve(&mut server, hours(24));
    assert!((24..=29).contains(&server.refreshes.len()), "{}", server.refreshes.len());
    assert_eq!(world.state(), State::Active);
}

#[test]
fn a_reply_without_a_refresh_token_keeps_the_old_one() {
    let mut server = Server { rotates: false, ..Server::new(3600) };
    let mut world = World::at_server(&mut server);
    world.serve(&mut server, hours(48));
    assert!(
        world.sent.iter().filter(|sent| sent.what == What::Refresh).all(|sent| sent.field("refresh_token") == "rt-0")
    );
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-0");
    assert!(world.count(What::Refresh) > 48);
}

#[test]
fn without_a_refresh_token_the_token_serves_until_its_end() {
    let mut world = World::new(super::LoginMode::Manual);
    world.sign_in(tokens("at-0", None, Some(3600)));
    let snapshot = world.snapshot();
    assert_eq!((snapshot.refreshable, snapshot.refresh_at), (false, None));
    assert_eq!(snapshot.missing_scope.as_deref(), Some("offline_access"));
    world.refresh();
    world.pass(secs(3590));
    let need = Need { min_validity: secs(600), ..Need::default() };
    assert!(matches!(world.snapshot().answer(&need, world.boot_now()), Answer::Token(_)), "nothing better exists");
    world.pass(secs(20));
    assert_eq!((world.state(), world.reason(), world.token()), (State::SignedOut, Some(Reason::Expired), None));
    assert_eq!(world.on_disk()["grant"], serde_json::Value::Null);
    assert_eq!(world.count(What::Refresh), 0);
}

#[test]
fn a_token_without_end_and_without_refresh_token_just_stays() {
    let mut world = World::new(super::LoginMode::Auto);
    world.reply(super::replies::code(5, 600));
    world.pause();
    world.reply(tokens("at-0", None, None));
    let sent = world.sent.len();
    world.pass(hours(24 * 365));
    assert_eq!((world.state(), world.token().as_deref(), world.sent.len()), (State::Active, Some("at-0"), sent));
}

#[test]
fn a_server_that_returns_the_same_token_is_found_out() {
    let mut server = Server { returns_same: true, ..Server::new(86_400) };
    let mut world = World::at_server(&mut server);
    world.serve(&mut server, hours(23) + secs(3599));
    assert_eq!((server.refreshes.len(), world.snapshot().renews_early), (1, false), "one early try, then it knows");
    let need = Need { min_validity: hours(20), ..Need::default() };
    assert!(matches!(world.snapshot().answer(&need, world.boot_now()), Answer::Token(_)), "asking would bring nothing");
    world.serve(&mut server, hours(24 * 30));
    assert!(!server.burnt && (30..=33).contains(&server.refreshes.len()), "{}", server.refreshes.len());
    assert_eq!(world.state(), State::Active);
}

#[test]
fn a_token_that_is_handed_out_twice_does_not_live_longer() {
    let mut server = Server { returns_same: true, ..Server::new(3600) };
    let mut world = World::at_server(&mut server);
    let end = world.snapshot().token.and_then(|token| token.expires);
    world.serve(&mut server, secs(3500));
    assert_eq!(server.refreshes.len(), 1);
    assert_eq!(world.snapshot().token.and_then(|token| token.expires), end);
}

#[test]
fn any_number_of_needs_makes_one_request() {
    let mut world = World::signed_in(3600);
    world.pass(secs(2750));
    let sent = world.sent.len();
    for _ in 0..1000 {
        world.need(hours(24));
    }
    assert_eq!(world.sent.len(), sent, "the token satisfies: no more than a fifth of its life is insisted on");
    world.now += secs(300);
    for _ in 0..1000 {
        world.need(hours(24));
    }
    assert_eq!(world.sent.len(), sent + 1);
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    for _ in 0..1000 {
        world.need(hours(24));
    }
    assert_eq!(world.sent.len(), sent + 1);
}

#[test]
fn a_rejected_token_is_renewed_once_and_not_again_within_the_floor() {
    let mut world = World::signed_in(3600);
    world.pass(secs(60));
    let rejected = |world: &World| Need {
        rejected: world.snapshot().token.map(|token| token.fingerprint),
        attempts: world.snapshot().attempts,
        ..Need::default()
    };
    let need = rejected(&world);
    world.ask(&need);
    world.ask(&need);
    world.expect(What::Refresh);
    assert!(matches!(world.snapshot().answer(&need, world.boot_now()), Answer::AwaitRefresh));
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.ask(&need);
    assert!(world.out.is_none(), "another token is on show now");
    let need = rejected(&world);
    world.ask(&need);
    assert!(world.out.is_none());
    assert_eq!(world.pause(), 1000, "the floor between two refreshes");
    world.reply(unsent());
    assert!(matches!(world.snapshot().answer(&need, world.boot_now()), Answer::Token(_)), "it was tried");
}

#[test]
fn a_refresh_by_hand_comes_as_soon_as_the_floor_allows() {
    let mut world = World::signed_in(3600);
    world.refresh();
    assert_eq!(world.pause(), 1000);
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.pass(secs(60));
    world.refresh();
    world.refresh();
    assert_eq!(world.count(What::Refresh), 2);
}

#[test]
fn the_floor_grows_while_refreshes_follow_hard_on_another() {
    let mut world = World::signed_in(3600);
    let mut pauses = Vec::new();
    for n in 1..=8 {
        world.refresh();
        pauses.push(world.pause());
        world.reply(tokens(&format!("at-{n}"), Some(&format!("rt-{n}")), Some(3600)));
    }
    assert_eq!(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    world.pass(secs(60));
    world.refresh();
    assert!(world.out.is_some(), "after a while it is over");
}

#[test]
fn replies_that_come_late_or_twice_change_nothing() {
    let mut world = World::signed_in(3600);
    world.pass(secs(60));
    world.refresh();
    let late = world.out.expect("a refresh is in flight");
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.account.handle_reply(late, error("invalid_grant"), world.boot_now());
    world.settle();
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    world.pause();
    world.account.handle_reply(late, tokens("at-x", Some("rt-x"), None), world.boot_now());
    world.settle();
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-1");
    world.reply(tokens("at-2", Some("rt-2"), Some(3600)));
    assert_eq!(world.token().as_deref(), Some("at-2"));
}

#[test]
fn lifetimes_count_from_the_request() {
    let mut world = World::signed_in(3600);
    world.pause();
    let asked = world.now;
    world.pass(secs(25));
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    let expires = world.snapshot().token.and_then(|token| token.expires).map(crate::time::Instant::since_boot);
    assert_eq!(expires, Some(asked + secs(3600)));
}
