//! Logins that nobody asked for by hand: when they may begin, and how they slow down.

use std::time::Duration;

use super::{
    LoginMode, Reason, State, What, World, hours,
    replies::{code, error, page, tokens, unsent},
    secs,
};

/// Nobody ever approves: the server hands out codes of ten minutes for that long.
fn nobody_comes(world: &mut World, time: Duration) -> Vec<Duration> {
    let end = world.now + time;
    while world.now < end {
        if world.out.is_some() {
            match world.sent.last().map(|sent| sent.what) {
                Some(What::DeviceAuthorization) => world.reply(code(60, 600)),
                _ => world.reply(error("authorization_pending")),
            }
        } else {
            world.step(end);
        }
    }
    world.sent.iter().filter(|sent| sent.what == What::DeviceAuthorization).map(|sent| sent.at).collect()
}

#[test]
fn auto_mode_begins_at_start_and_slows_down_while_nobody_comes() {
    let mut world = World::new(LoginMode::Auto);
    world.expect(What::DeviceAuthorization);
    let begun = nobody_comes(&mut world, hours(72));
    let gaps: Vec<_> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= secs(600)), "one code a lifetime at most: {gaps:?}");
    assert!(gaps[..6].is_sorted(), "growing pauses: {gaps:?}");
    assert!(gaps.iter().all(|gap| *gap <= hours(7)), "but never given up: {gaps:?}");
    assert!((13..=18).contains(&begun.len()), "{} codes in three days", begun.len());
}

#[test]
fn a_hand_at_the_box_ends_the_slowness() {
    let mut world = World::new(LoginMode::Auto);
    nobody_comes(&mut world, hours(24));
    while world.state() == State::Authorizing || world.out.is_some() {
        nobody_comes(&mut world, secs(60));
    }
    world.login();
    world.expect(What::DeviceAuthorization);
    world.reply(code(5, 600));
    world.pause();
    world.reply(tokens("at-0", None, None));
    assert_eq!(world.state(), State::Active);
}

#[test]
fn auto_mode_begins_again_when_the_grant_ends() {
    let mut world = World::new(LoginMode::Auto);
    world.reply(code(5, 600));
    world.pause();
    world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
    world.pause();
    world.expect(What::Refresh);
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::Revoked));
    world.expect(What::DeviceAuthorization);
}

#[test]
fn auto_mode_waits_out_an_outage_without_a_loop() {
    let mut world = World::new(LoginMode::Auto);
    let end = world.now + hours(24);
    while world.now < end {
        if world.out.is_some() {
            world.reply(unsent());
        }
        world.step(end);
    }
    let tries = world.count(What::DeviceAuthorization);
    assert!((90..300).contains(&tries), "{tries} in a day: a quarter of an hour at most, half of it on average");
}

#[test]
fn nothing_begins_by_itself_after_a_no() {
    for login in [LoginMode::Auto, LoginMode::OnDemand] {
        let mut world = World::new(login);
        world.login();
        world.reply(code(5, 600));
        world.pause();
        world.reply(error("access_denied"));
        world.pass(hours(240));
        world.need(secs(0));
        assert_eq!(world.count(What::DeviceAuthorization), 1, "{login:?}");
        world.login();
        world.expect(What::DeviceAuthorization);
    }
}

#[test]
fn nothing_begins_by_itself_after_a_logout() {
    for login in [LoginMode::Auto, LoginMode::OnDemand] {
        let mut world = World::new(login);
        world.login();
        world.reply(code(5, 600));
        world.logout();
        world.pass(hours(240));
        world.need(secs(0));
        world.reboot(hours(1));
        world.pass(hours(240));
        world.need(secs(0));
        assert_eq!(world.count(What::DeviceAuthorization), 1, "{login:?}, not even after a reboot");
        assert_eq!(world.reason(), Some(Reason::LoggedOut));
    }
}

#[test]
fn a_cancelled_login_stays_cancelled_for_an_hour() {
    for login in [LoginMode::Auto, LoginMode::OnDemand] {
        let mut world = World::new(login);
        world.login();
        world.reply(code(5, 600));
        assert!(world.cancel());
        assert!(!world.cancel(), "it is gone");
        world.pass(secs(3590));
        world.need(secs(0));
        assert_eq!((world.sent.len(), world.state()), (1, State::SignedOut), "{login:?}");
        world.pass(secs(20));
        world.need(secs(0));
        world.expect(What::DeviceAuthorization);
    }
}

#[test]
fn a_cancelled_login_can_be_begun_again_by_hand_at_once() {
    let mut world = World::new(LoginMode::OnDemand);
    world.login();
    world.cancel();
    world.login();
    world.reply(page(200));
    world.expect(What::DeviceAuthorization);
    assert_eq!(world.count(What::DeviceAuthorization), 2, "the second waits until the first is answered");
}

#[test]
fn a_need_begins_a_login_only_where_it_may() {
    for (login, begins) in [(LoginMode::OnDemand, 1), (LoginMode::Manual, 0)] {
        let mut world = World::new(login);
        assert_eq!(world.sent.len(), 0, "not at start");
        world.need(secs(0));
        world.need(secs(0));
        assert_eq!(world.sent.len(), begins, "{login:?}");
        assert_eq!(world.snapshot().login_starting, begins == 1);
    }
}

#[test]
fn needs_cannot_mint_code_after_code() {
    let mut world = World::new(LoginMode::OnDemand);
    let end = world.now + hours(24);
    while world.now < end {
        world.need(secs(0));
        nobody_comes(&mut world, secs(30));
    }
    let codes = world.count(What::DeviceAuthorization);
    assert!((6..=10).contains(&codes), "{codes} codes in a day of constant asking");
}
