//! A login that waits for a person, over restarts: the code on the screen stays good, and no poll comes early.

use super::{
    LoginMode, Reason, Schedule, State, What, World, client, hours,
    replies::{answer, busy, code, error, tokens},
    secs,
};
use crate::oauth::{
    client::{Client, Endpoints},
    exchange::Endpoint,
};

fn sealed(login: LoginMode) -> World {
    World::from_disk(client(), Schedule { login, sealed: true, ..Schedule::default() }, None, 1)
}

/// A code is out, with an interval of 5 s that `slow_down` has made 10.
fn slowed_down() -> World {
    let mut world = sealed(LoginMode::Manual);
    world.login();
    world.reply(code(5, 1800));
    world.pause();
    world.reply(error("slow_down"));
    world
}

#[test]
fn a_login_goes_on_after_a_restart_with_its_interval() {
    let mut world = slowed_down();
    world.pass(secs(3));
    let before = world.snapshot().prompt.expect("a code");
    world.restart();
    let after = world.snapshot().prompt.expect("the same code");
    assert_eq!((world.state(), after.as_ref()), (State::Authorizing, before.as_ref()));
    assert_eq!(world.pause(), 10_500, "a whole interval from the start");
    assert_eq!(world.expect(What::Poll).field("device_code"), "dc");
    world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
    assert_eq!((world.count(What::DeviceAuthorization), &world.on_disk()["login"]), (1, &serde_json::Value::Null));
}

#[test]
fn a_pause_that_the_server_asked_for_outlives_a_restart() {
    let mut world = slowed_down();
    world.pause();
    world.reply(busy(503, Some(300)));
    world.pass(secs(10));
    world.restart();
    assert_eq!(world.pause(), 290_500);
}

#[test]
fn no_number_of_restarts_makes_an_early_poll() {
    let mut world = slowed_down();
    for _ in 0..100 {
        world.pass(secs(1));
        world.restart();
        assert!(world.out.is_none());
    }
    assert_eq!(world.count(What::Poll), 1);
    assert_eq!(world.pause(), 10_500);
}

#[test]
fn a_reboot_is_survived_where_the_wall_clock_tells_how_long_it_took() {
    let mut world = slowed_down();
    world.reboot(secs(60));
    let left = world.snapshot().prompt.expect("the code").expires.since_boot() - world.now;
    assert!((1700..=1730).contains(&left.as_secs()), "{left:?}");
    assert_eq!(world.pause(), 10_500);
    world.reply(error("authorization_pending"));
    world.reboot(hours(1));
    assert_eq!((world.state(), world.snapshot().prompt), (State::SignedOut, None));
}

#[test]
fn a_code_of_unknown_age_is_forgotten() {
    let mut unset = slowed_down();
    unset.synchronised = false;
    let mut behind = slowed_down();
    behind.wall -= 1_000_000;
    for mut world in [unset, behind] {
        world.reboot(secs(10));
        world.pass(hours(1));
        assert_eq!((world.state(), world.count(What::Poll)), (State::SignedOut, 1));
        assert_eq!(world.on_disk()["login"], serde_json::Value::Null);
    }
}

#[test]
fn a_code_ends_on_time_also_over_a_restart() {
    let mut world = slowed_down();
    let end = world.snapshot().prompt.expect("a code").expires.since_boot();
    world.restart();
    while world.state() == State::Authorizing {
        world.step(hours(2));
        if world.out.is_some() {
            world.reply(error("authorization_pending"));
        }
    }
    assert_eq!((world.now, world.reason()), (end, Some(Reason::CodeExpired)));
    assert_eq!(world.on_disk()["reason"], "code_expired");
}

#[test]
fn an_approval_that_was_on_its_way_at_the_end_is_told_apart() {
    let mut world = slowed_down();
    world.pause();
    world.expect(What::Poll);
    world.restart();
    world.pause();
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::LostRotation));
}

#[test]
fn a_device_code_is_not_written_where_nothing_is_sealed() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(code(5, 1800));
    assert_eq!(world.writes, 0);
    world.cancel();
    assert!(world.on_disk()["login"].is_null());
    // A record that was sealed once, in the hands of a machine that may not keep such things.
    let durable = slowed_down().durable;
    let mut world = World::from_disk(client(), Schedule::default(), durable, 1);
    assert_eq!((world.state(), &world.on_disk()["login"]), (State::SignedOut, &serde_json::Value::Null));
    world.pass(hours(1));
    assert_eq!(world.sent.len(), 0);
}

#[test]
fn a_code_of_another_server_client_or_scope_is_forgotten() {
    let token = Endpoint::parse("https://other.example/token").ok();
    let elsewhere = [
        Client { issuer: Some("https://other.example".into()), ..client() },
        Client { client_id: Some("other".into()), ..client() },
        Client { endpoints: Endpoints { token, ..client().endpoints }, ..client() },
        Client { scopes: vec!["more".into()], ..client() },
    ];
    for client in elsewhere {
        let schedule = Schedule { login: LoginMode::Manual, sealed: true, ..Schedule::default() };
        let mut world = World::from_disk(client, schedule, slowed_down().durable, 1);
        world.pass(hours(1));
        assert_eq!((world.state(), world.sent.len()), (State::SignedOut, 0));
    }
}

#[test]
fn an_old_session_and_a_pending_login_both_survive() {
    let mut world = World::signed_in(3600);
    world.schedule.sealed = true;
    world.restart();
    world.login();
    world.reply(code(5, 1800));
    world.restart();
    assert_eq!((world.state(), world.token().as_deref()), (State::Authorizing, Some("at-0")));
    world.pause();
    world.reply(tokens("at-new", Some("rt-new"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-new")));
}

#[test]
fn a_no_is_a_no_after_a_restart_too() {
    for login in [LoginMode::Auto, LoginMode::OnDemand] {
        let mut world = sealed(login);
        world.login();
        world.reply(code(5, 600));
        world.pause();
        world.reply(error("access_denied"));
        for reboot in [false, true] {
            if reboot {
                world.reboot(hours(1))
            } else {
                world.restart()
            }
            world.need(secs(0));
            world.pass(hours(240));
            assert_eq!(
                (world.reason(), world.count(What::DeviceAuthorization)),
                (Some(Reason::Denied), 1),
                "{login:?}"
            );
        }
    }
}

#[test]
fn restarts_do_not_hurry_auto_mode() {
    for synchronised in [true, false] {
        let mut world = sealed(LoginMode::Auto);
        for _ in 0..4 {
            if world.out.is_none() {
                world.pause();
            }
            world.expect(What::DeviceAuthorization);
            world.reply(answer(
                200,
                &serde_json::json!({"device_code": "dc", "user_code": "A", "interval": 1000,
                "verification_uri": "https://as.example/", "expires_in": 600}),
            ));
            world.pass(secs(600));
        }
        // Lapsed four times: more than an hour of rest, which no reboot shortens.
        world.synchronised = synchronised;
        for _ in 0..10 {
            world.reboot(secs(60));
            assert!(world.out.is_none(), "{synchronised}");
            world.pass(secs(100));
        }
        assert_eq!(world.count(What::DeviceAuthorization), 4);
        world.pass(hours(2));
        assert_eq!(world.count(What::DeviceAuthorization), 5);
    }
}

#[test]
fn a_cancelled_login_stays_cancelled_over_a_restart() {
    let mut world = sealed(LoginMode::Auto);
    world.reply(code(5, 600));
    world.cancel();
    world.restart();
    world.pass(secs(3500));
    assert_eq!((world.state(), world.sent.len()), (State::SignedOut, 1));
    world.pass(secs(200));
    world.expect(What::DeviceAuthorization);
}
