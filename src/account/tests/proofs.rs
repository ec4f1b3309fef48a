//! Proofs of possession (RFC 9449): which key, which nonce, and what a server's wish for another one does not do.

use serde_json::json;

use super::{
    LoginMode, Schedule, State, What, World, client, hours,
    replies::{answer, code, error, tokens},
    secs,
};
use crate::oauth::{
    client::Client,
    exchange::{Response, Unreachable},
};

fn bound() -> World {
    World::with(Client { dpop: true, ..client() }, LoginMode::Manual)
}

/// Tokens that are bound to the key of the proof.
fn bound_tokens(number: u64) -> Result<Response, Unreachable> {
    let (access, refresh) = (format!("at-{number}"), format!("rt-{number}"));
    answer(200, &json!({"access_token": access, "refresh_token": refresh, "expires_in": 3600, "token_type": "DPoP"}))
}

fn with_nonce(reply: Result<Response, Unreachable>, nonce: &str) -> Result<Response, Unreachable> {
    reply.map(|reply| Response { dpop_nonce: Some(nonce.into()), ..reply })
}

fn wants(nonce: &str) -> Result<Response, Unreachable> {
    with_nonce(error("use_dpop_nonce"), nonce)
}

fn key(world: &World) -> String {
    world.sent.last().and_then(|sent| sent.proof.clone()).expect("a proof").0
}

fn nonce(world: &World) -> Option<String> {
    world.sent.last().and_then(|sent| sent.proof.clone()).expect("a proof").1
}

#[test]
fn one_key_proves_every_request_of_a_grant_also_after_a_restart() {
    let mut world = bound();
    world.sign_in(bound_tokens(0));
    let first = key(&world);
    assert_eq!(world.sent[0].field("dpop_jkt"), first);
    world.pause();
    world.reply(bound_tokens(1));
    world.reboot(secs(60));
    world.pause();
    world.expect(What::Refresh);
    world.reply(bound_tokens(2));
    assert!(world.sent.len() >= 4);
    for sent in &world.sent {
        assert_eq!(sent.proof.as_ref().map(|proof| proof.0.as_str()), Some(first.as_str()), "{:?}", sent.what);
    }
    let token = world.snapshot().token.expect("a token");
    assert_eq!((token.token_type(), token.key.as_ref().map(|key| key.thumbprint())), ("DPoP", Some(first)));
}

#[test]
fn a_new_login_has_a_key_of_its_own_and_the_old_grant_keeps_its() {
    let mut world = bound();
    world.sign_in(bound_tokens(0));
    let old = key(&world);
    world.login();
    assert_ne!(key(&world), old);
    let new = key(&world);
    world.reply(code(600, 20_000));
    world.pause();
    assert_eq!((world.expect(What::Poll).what, key(&world)), (What::Poll, new.clone()));
    world.reply(error("authorization_pending"));
    world.refresh();
    world.expect(What::Refresh);
    assert_eq!(key(&world), old);
    world.reply(bound_tokens(1));
    world.pause();
    world.expect(What::Poll);
    world.reply(bound_tokens(2));
    world.pass(secs(10));
    world.refresh();
    world.expect(What::Refresh);
    assert_eq!(key(&world), new);
}

#[test]
fn a_login_that_waits_for_a_person_keeps_its_key_over_a_restart() {
    let schedule = Schedule { login: LoginMode::Manual, sealed: true, ..Schedule::default() };
    let mut world = World::from_disk(Client { dpop: true, ..client() }, schedule, None, 3);
    world.login();
    let first = key(&world);
    world.reply(code(5, 600));
    world.restart();
    world.pause();
    world.expect(What::Poll);
    assert_eq!(key(&world), first);
}

#[test]
fn without_the_setting_nothing_is_proven_and_a_bound_token_is_of_no_use() {
    let mut world = World::signed_in(3600);
    world.pass(secs(60));
    world.refresh();
    assert!(world.sent.iter().all(|sent| sent.proof.is_none() && sent.field("dpop_jkt").is_empty()));
    world.reply(bound_tokens(1));
    assert_eq!(world.token().as_deref(), Some("at-0"));
    assert!(world.trouble().contains("bound to a key"), "{}", world.trouble());
}

#[test]
fn a_grant_stays_bound_when_the_setting_is_taken_back() {
    let mut world = bound();
    world.sign_in(bound_tokens(0));
    let first = key(&world);
    world.client = client().into();
    world.restart();
    world.refresh();
    world.expect(What::Refresh);
    assert_eq!(key(&world), first, "the refresh token is worth nothing without it");
}

#[test]
fn a_server_that_does_not_bind_leaves_a_bearer_token() {
    let mut world = bound();
    world.sign_in(tokens("at-0", Some("rt-0"), Some(3600)));
    let token = world.snapshot().token.expect("a token");
    assert_eq!((token.token_type(), world.state()), ("Bearer", State::Active));
    world.pause();
    assert!(world.expect(What::Refresh).proof.is_some(), "the refresh token may be bound all the same");
}

#[test]
fn the_nonce_that_the_server_wants_goes_out_at_once_and_is_no_failure() {
    let mut world = bound();
    world.login();
    assert_eq!(nonce(&world), None);
    world.reply(wants("n-1"));
    world.expect(What::DeviceAuthorization);
    assert_eq!((world.now, nonce(&world).as_deref()), (world.replied, Some("n-1")), "no pause");
    world.reply(with_nonce(code(5, 600), "n-2"));
    world.pause();
    assert_eq!(nonce(&world).as_deref(), Some("n-2"), "the one of the last answer");
    world.reply(wants("n-3"));
    world.expect(What::Poll);
    world.reply(bound_tokens(0));
    let attempts = world.snapshot().attempts;
    world.pause();
    let sent = world.expect(What::Refresh).clone();
    world.reply(wants("n-4"));
    let again = world.expect(What::Refresh).clone();
    assert_eq!((world.now, &again.form, nonce(&world).as_deref()), (world.replied, &sent.form, Some("n-4")));
    assert_eq!((world.snapshot().attempts, world.trouble()), (attempts, String::new()));
    world.reply(bound_tokens(1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
}

#[test]
fn a_server_that_is_never_content_is_asked_thrice_and_ends_nothing() {
    let mut world = bound();
    world.sign_in(bound_tokens(0));
    world.pause();
    let before = world.count(What::Refresh);
    for n in 0..3 {
        world.reply(wants(&format!("n-{n}")));
    }
    assert!(world.out.is_none(), "the third time is a failure");
    assert_eq!((world.count(What::Refresh) - before, world.state()), (2, State::Degraded));
    assert!(world.pause() >= 1000);
    // However long that goes on.
    let end = world.now + hours(48);
    while world.now < end {
        let reply = if world.count(What::Refresh).is_multiple_of(2) { wants("n") } else { error("invalid_dpop_proof") };
        match world.out {
            Some(_) => world.reply(reply),
            None => world.step(end),
        }
    }
    assert_eq!((world.state(), world.reason()), (State::Stale, None));
    assert!(world.count(What::Refresh) < 1500, "{}", world.count(What::Refresh));
}

#[test]
fn a_nonce_is_for_its_server_alone() {
    let elsewhere = crate::oauth::exchange::Endpoint::parse("https://tokens.example/token").ok();
    let mut client = Client { dpop: true, ..client() };
    client.endpoints.token = elsewhere;
    let mut world = World::with(client, LoginMode::Manual);
    world.login();
    world.reply(with_nonce(code(5, 600), "n-1"));
    world.pause();
    assert_eq!((world.expect(What::Poll).what, nonce(&world)), (What::Poll, None));
}
