//! Who signs in: the first person is remembered, and nobody takes over unasked.

use serde_json::json;

use super::{
    LoginMode, Reason, Schedule, State, What, World, client, hours,
    replies::{busy, code, error, tokens, tokens_of, tokens_with},
    secs,
};
use crate::oauth::{
    client::Client,
    exchange::{Response, Unreachable},
};

/// Ann has signed in.
fn of_ann() -> World {
    let mut world = World::new(LoginMode::OnDemand);
    world.sign_in(tokens_of("ann", 0));
    assert_eq!((world.state(), &world.on_disk()["identity"]["subject"]), (State::Active, &json!("ann")));
    world
}

/// Somebody approves a login that is running.
fn approve(world: &mut World, tokens: Result<Response, Unreachable>) {
    world.expect(What::DeviceAuthorization);
    world.reply(code(5, 600));
    world.pause();
    world.expect(What::Poll);
    world.reply(tokens);
}

/// Lets the server accept every revocation, and returns what was revoked.
fn revoked(world: &mut World) -> Vec<String> {
    while world.out.is_some() && world.sent.last().is_some_and(|sent| sent.what == What::Revocation) {
        world.reply(busy(200, None));
    }
    let revocations = world.sent.iter().filter(|sent| sent.what == What::Revocation);
    revocations.map(|sent| sent.field("token").to_owned()).collect()
}

#[test]
fn the_same_person_may_come_again() {
    let mut world = of_ann();
    world.login();
    approve(&mut world, tokens_of("ann", 1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    world.pause();
    world.reply(tokens_of("ann", 2));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-2")));
}

#[test]
fn another_person_is_not_let_in_and_the_old_session_goes_on() {
    let mut world = of_ann();
    world.login();
    approve(&mut world, tokens_of("bob", 9));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
    assert!(world.trouble().contains("somebody else"), "{}", world.trouble());
    assert_eq!(revoked(&mut world), ["rt-9", "at-9"], "what nobody may have is ended");
    world.pause();
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
    world.reply(tokens_of("ann", 1));
    assert_eq!((world.state(), world.trouble().as_str()), (State::Active, ""));
}

#[test]
fn another_person_is_not_let_in_after_the_grant_has_ended() {
    let mut world = of_ann();
    world.pause();
    world.reply(error("invalid_grant"));
    world.restart();
    world.login();
    approve(&mut world, tokens_of("bob", 9));
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::IdentityChanged)));
    assert!(world.token().is_none() && world.trouble().contains("--replace"), "{}", world.trouble());
    assert_eq!(world.on_disk()["reason"], "identity_changed");
    assert_eq!(revoked(&mut world).len(), 2);
    world.login();
    approve(&mut world, tokens_of("ann", 1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
}

#[test]
fn a_login_that_replaces_lets_anybody_in() {
    let mut world = of_ann();
    world.login_replacing();
    approve(&mut world, tokens_of("bob", 1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    assert_eq!(world.on_disk()["identity"]["subject"], "bob");
    world.login();
    approve(&mut world, tokens_of("ann", 2));
    assert_eq!(world.token().as_deref(), Some("at-1"), "bob it is now");
}

#[test]
fn a_login_that_is_running_can_be_made_to_replace_also_over_a_restart() {
    let mut world = of_ann();
    world.schedule.sealed = true;
    world.restart();
    world.login();
    world.reply(code(5, 600));
    world.login_replacing();
    world.restart();
    world.pause();
    world.expect(What::Poll);
    world.reply(tokens_of("bob", 1));
    assert_eq!(world.token().as_deref(), Some("at-1"));
    world.login();
    approve(&mut world, tokens_of("ann", 2));
    assert_eq!(world.token().as_deref(), Some("at-1"), "that login is over");
}

#[test]
fn the_owner_who_signs_out_makes_room_for_anybody() {
    let mut world = of_ann();
    world.logout();
    revoked(&mut world);
    assert_eq!(world.on_disk()["identity"], json!(null));
    world.login();
    approve(&mut world, tokens_of("bob", 1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
}

#[test]
fn f17_another_person_in_a_refresh_is_a_security_stop() {
    let others = [
        json!({"iss": "https://as.example", "aud": "box", "sub": "bob"}),
        json!({"iss": "https://other.example", "aud": "box", "sub": "ann"}),
        json!({"iss": "https://as.example", "aud": ["other"], "sub": "ann"}),
    ];
    for claims in others {
        let mut world = of_ann();
        world.pause();
        world.reply(tokens_with(1, &claims));
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::IdentityChanged)), "{claims}");
        assert!(world.token().is_none() && world.on_disk()["grant"].is_null(), "nothing is served");
        assert_eq!(revoked(&mut world), ["rt-1", "at-1"]);
        world.pass(hours(48));
        assert_eq!(world.count(What::Refresh), 1);
    }
}

#[test]
fn a_refresh_need_not_say_who_nor_freshly() {
    let mut world = of_ann();
    for (number, reply) in [
        (1, tokens("at-1", Some("rt-1"), Some(3600))),
        (2, tokens_with(2, &json!({"iss": "https://as.example", "aud": "box", "sub": "ann", "exp": 1000}))),
    ] {
        world.pause();
        world.reply(reply);
        assert_eq!((world.state(), world.token()), (State::Active, Some(format!("at-{number}"))));
    }
    world.pause();
    world.reply(tokens_of("bob", 3));
    assert_eq!(world.reason(), Some(Reason::IdentityChanged), "and is not forgotten over that");
}

#[test]
fn an_id_token_for_somebody_else_or_of_yesterday_does_not_sign_in() {
    let claims = |name: &str, value: serde_json::Value| {
        let mut claims = json!({"iss": "https://as.example", "aud": "box", "sub": "ann", "exp": 1_900_000_000});
        claims[name] = value;
        tokens_with(0, &claims)
    };
    for (reply, text) in [
        (claims("iss", json!("https://as.example/")), "equal to the byte"),
        (claims("aud", json!(["other"])), "another client"),
        (claims("exp", json!(1_799_999_000)), "over already"),
    ] {
        let mut world = World::new(LoginMode::Manual);
        world.sign_in(reply);
        assert_eq!((world.state(), world.token()), (State::SignedOut, None), "{text}");
        assert!(world.trouble().contains(text), "{}", world.trouble());
        assert!(world.on_disk()["identity"].is_null());
    }
    for reply in [
        claims("aud", json!(["other", "box"])),
        claims("exp", json!(1_800_000_000)),
        claims("exp", json!(u64::MAX)),
        claims("exp", json!(null)),
    ] {
        let mut world = World::new(LoginMode::Manual);
        world.sign_in(reply);
        assert_eq!(world.state(), State::Active);
    }
}

#[test]
fn a_clock_that_is_not_set_cannot_refuse_anybody() {
    let mut world = World::new(LoginMode::Manual);
    world.synchronised = false;
    world.sign_in(tokens_with(0, &json!({"iss": "https://as.example", "aud": "box", "sub": "ann", "exp": 1000})));
    assert_eq!(world.state(), State::Active);
}

#[test]
fn a_server_that_stops_saying_who_is_not_believed() {
    let mut world = of_ann();
    world.login();
    approve(&mut world, tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!(world.token().as_deref(), Some("at-0"));
    assert!(world.trouble().contains("does not say whether"), "{}", world.trouble());
}

#[test]
fn without_openid_nobody_is_asked() {
    let mut world = World::with(Client { scopes: vec!["api".into()], ..client() }, LoginMode::Manual);
    world.sign_in(tokens_of("ann", 0));
    world.login();
    approve(&mut world, tokens_of("bob", 1));
    assert_eq!((world.token().as_deref(), &world.on_disk()["identity"]), (Some("at-1"), &json!(null)));
}

#[test]
fn a_name_means_nothing_at_another_issuer_or_client() {
    let issuer = "https://as2.example";
    for (moved, subject) in [
        (Client { issuer: Some(issuer.into()), ..client() }, json!({"iss": issuer, "aud": "box", "sub": "x"})),
        (
            Client { client_id: Some("new".into()), ..client() },
            json!({"iss": "https://as.example", "aud": "new", "sub": "x"}),
        ),
    ] {
        let schedule = Schedule { login: LoginMode::Manual, ..Schedule::default() };
        let mut world = World::from_disk(moved, schedule, of_ann().durable, 1);
        world.login();
        approve(&mut world, tokens_with(1, &subject));
        assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    }
}

#[test]
fn auto_mode_does_not_spin_on_the_wrong_person() {
    let mut world = World::new(LoginMode::Auto);
    approve(&mut world, tokens_of("ann", 0));
    world.pause();
    world.reply(error("invalid_grant"));
    let end = world.now + hours(24);
    while world.now < end {
        match world.sent.last().map(|sent| sent.what).filter(|_| world.out.is_some()) {
            Some(What::DeviceAuthorization) => world.reply(code(5, 600)),
            Some(What::Poll) => world.reply(tokens_of("bob", 9)),
            Some(_) => world.reply(busy(200, None)),
            None => world.step(end),
        }
    }
    assert!((2..12).contains(&world.count(What::DeviceAuthorization)), "{}", world.count(What::DeviceAuthorization));
    world.pass(secs(1));
}
