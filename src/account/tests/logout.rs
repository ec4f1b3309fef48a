//! Signing out, whatever is going on at the time: nothing is shown afterwards, and what can be ended is ended.

use super::{
    Disk, LoginMode, Reason, State, What, World, client, hours,
    replies::{busy, code, error, tokens, unsent},
    secs,
};
use crate::oauth::client::{Client, Endpoints};

/// Lets the server accept every revocation, and returns what was revoked, in order.
fn revoked(world: &mut World) -> Vec<String> {
    while world.out.is_some() && world.sent.last().is_some_and(|sent| sent.what == What::Revocation) {
        world.reply(busy(200, None));
    }
    let revocations = world.sent.iter().filter(|sent| sent.what == What::Revocation);
    revocations.map(|sent| format!("{} {}", sent.field("token_type_hint"), sent.field("token"))).collect()
}

fn is_signed_out(world: &World) -> bool {
    world.state() == State::SignedOut
        && world.reason() == Some(Reason::LoggedOut)
        && world.token().is_none()
        && world.on_disk()["grant"].is_null()
        && world.on_disk()["reason"] == "logged_out"
}

#[test]
fn the_refresh_token_is_revoked_first() {
    let mut world = World::signed_in(3600);
    let version = world.logout();
    assert!(world.account.is_saved(version) && is_signed_out(&world));
    assert_eq!(revoked(&mut world), ["refresh_token rt-0", "access_token at-0"]);
    world.pass(hours(48));
    assert!(is_signed_out(&world) && world.count(What::Refresh) == 0);
}

#[test]
fn a_logout_is_done_when_it_is_on_disk() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Fails;
    let version = world.logout();
    assert!(!world.account.is_saved(version), "nobody may be told yet");
    assert_eq!((world.state(), world.token()), (State::SignedOut, None), "but the token is gone at once");
    world.disk = Disk::Works;
    world.pass(secs(60));
    assert!(world.account.is_saved(version) && is_signed_out(&world));
}

#[test]
fn without_a_revocation_endpoint_the_logout_is_local() {
    let endpoints = Endpoints { revocation: None, ..client().endpoints };
    let mut world = World::with(Client { endpoints, ..client() }, LoginMode::Manual);
    world.sign_in(tokens("at-0", Some("rt-0"), Some(3600)));
    world.logout();
    assert!(is_signed_out(&world) && world.out.is_none());
}

#[test]
fn an_unreachable_server_does_not_hold_a_logout_up() {
    let mut world = World::signed_in(3600);
    world.logout();
    world.reply(unsent());
    world.reply(unsent());
    assert!(is_signed_out(&world) && world.out.is_none());
    world.login();
    world.expect(What::DeviceAuthorization);
}

#[test]
fn a_refresh_in_flight_is_waited_for_and_its_tokens_are_ended() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.expect(What::Refresh);
    world.logout();
    assert!(is_signed_out(&world) && world.is_busy(), "the reply is still to come");
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert!(is_signed_out(&world));
    let revoked = revoked(&mut world);
    assert_eq!(revoked, ["refresh_token rt-0", "access_token at-0", "refresh_token rt-1", "access_token at-1"]);
    world.pass(hours(2));
    assert!(is_signed_out(&world) && !world.is_busy());
}

#[test]
fn a_refusal_of_a_refresh_that_nobody_waits_for_changes_nothing() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.logout();
    world.reply(error("invalid_grant"));
    assert!(is_signed_out(&world), "still logged_out, not revoked");
}

#[test]
fn a_poll_in_flight_is_waited_for_and_its_tokens_are_ended() {
    for cancelled in [false, true] {
        let mut world = World::new(LoginMode::OnDemand);
        world.login();
        world.reply(code(5, 600));
        world.pause();
        if cancelled {
            assert!(world.cancel());
        } else {
            world.logout();
        }
        assert_eq!((world.state(), world.snapshot().prompt), (State::SignedOut, None));
        world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
        assert_eq!((world.state(), world.token()), (State::SignedOut, None));
        assert_eq!(revoked(&mut world), ["refresh_token rt-0", "access_token at-0"]);
        world.pass(secs(600));
        assert_eq!(world.count(What::Poll), 1);
    }
}

#[test]
fn a_cancelled_login_leaves_the_old_session_alone() {
    let mut world = World::signed_in(3600);
    world.login();
    world.reply(code(5, 600));
    world.pause();
    world.cancel();
    world.reply(tokens("at-x", Some("rt-x"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
    assert_eq!(revoked(&mut world), ["refresh_token rt-x", "access_token at-x"]);
}

#[test]
fn a_refresh_whose_intent_is_being_written_never_goes_out() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Slow;
    while world.writing.is_none() {
        world.step(hours(2));
    }
    world.logout();
    world.written(true);
    world.settle();
    world.written(true);
    world.settle();
    assert!(is_signed_out(&world));
    assert_eq!(revoked(&mut world), ["refresh_token rt-0", "access_token at-0"]);
    world.pass(hours(2));
    assert_eq!(world.count(What::Refresh), 0);
}

#[test]
fn a_new_token_whose_write_is_in_progress_is_ended_and_never_shown() {
    for well in [true, false] {
        let mut world = World::signed_in(3600);
        world.pause();
        world.disk = Disk::Slow;
        world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
        world.logout();
        world.written(well);
        world.disk = Disk::Works;
        world.settle();
        world.pass(secs(60));
        assert!(is_signed_out(&world));
        assert_eq!(revoked(&mut world), ["refresh_token rt-1", "access_token at-1"]);
    }
}

#[test]
fn a_login_right_after_a_logout_waits_for_the_slot_and_works() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.logout();
    world.login();
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.expect(What::DeviceAuthorization);
    world.reply(code(5, 600));
    assert_eq!(revoked(&mut world).len(), 4);
    world.pause();
    world.expect(What::Poll);
    world.reply(tokens("at-new", Some("rt-new"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-new")));
}
