//! Tokens that the server has to be told of: tried again until it knows, or a week has passed.

use super::{
    LoginMode, Schedule, State, What, World, client, hours,
    replies::{busy, code, page, tokens, unsent},
    secs,
};
use crate::oauth::{
    client::{Client, Endpoints},
    client_auth::ClientAuth,
    exchange::{Endpoint, Response, Unreachable},
};
use crate::secret::Secret;

/// Signed out, with the refresh token's revocation in flight.
fn signed_out() -> World {
    let mut world = World::signed_in(3600);
    world.logout();
    assert_eq!(world.expect(What::Revocation).field("token"), "rt-0");
    world
}

/// The server answers so for that long; returns when each token was tried.
fn answering(
    world: &mut World,
    reply: &Result<Response, Unreachable>,
    time: std::time::Duration,
) -> Vec<(String, u64)> {
    let end = world.now + time;
    while world.now < end {
        match world.out {
            Some(_) => world.reply(reply.clone()),
            None => world.step(end),
        }
    }
    let sent = world.sent.iter().filter(|sent| sent.what == What::Revocation);
    sent.map(|sent| (sent.field("token").to_owned(), sent.at.as_secs())).collect()
}

fn waiting(world: &World) -> usize {
    world.on_disk()["revocations"].as_array().map_or(0, Vec::len)
}

#[test]
fn a_failed_revocation_is_tried_again_until_it_succeeds() {
    for reply in [unsent(), busy(503, None), busy(429, None), page(302)] {
        let mut world = signed_out();
        assert_eq!(waiting(&world), 2);
        let tries = answering(&mut world, &reply, hours(24));
        assert!((24..200).contains(&tries.len()), "{} tries in a day", tries.len());
        assert_eq!(world.state(), State::SignedOut);
        answering(&mut world, &busy(200, None), hours(2));
        let done = world.sent.len();
        assert_eq!(waiting(&world), 0, "the tokens are gone from the disk");
        world.pass(hours(240));
        assert_eq!(world.sent.len(), done);
    }
}

#[test]
fn the_servers_own_pause_outlives_restarts_and_reboots() {
    for reboot in [false, true] {
        let mut world = signed_out();
        world.reply(busy(503, Some(1800)));
        world.reply(busy(503, Some(1800)));
        match reboot {
            false => world.restart(),
            true => world.reboot(secs(60)),
        }
        world.pass(secs(1700));
        assert_eq!((world.count(What::Revocation), waiting(&world)), (2, 2), "not before the server wants it");
        world.pass(secs(100));
        assert_eq!(world.count(What::Revocation), 3);
    }
}

#[test]
fn the_queue_outlives_restarts_and_reboots() {
    for reboot in [false, true] {
        let mut world = signed_out();
        world.reply(unsent());
        if reboot {
            world.reboot(hours(1))
        } else {
            world.restart()
        }
        assert_eq!(world.expect(What::Revocation).field("token"), "rt-0", "the refresh token first, still");
        world.reply(busy(200, None));
        if waiting(&world) > 0 {
            assert_eq!(world.expect(What::Revocation).field("token"), "at-0");
            world.reply(busy(200, None));
        }
        assert_eq!(waiting(&world), 0);
    }
}

#[test]
fn a_kill_with_the_revocation_in_flight_does_not_lose_it() {
    let mut world = signed_out();
    world.restart();
    assert_eq!(world.expect(What::Revocation).field("token"), "rt-0");
}

#[test]
fn the_servers_own_pause_is_kept() {
    let mut world = signed_out();
    world.reply(busy(503, Some(7200)));
    assert_eq!(world.expect(What::Revocation).field("token"), "at-0");
    world.reply(busy(200, None));
    assert_eq!(world.pause(), 7_200_000);
    assert_eq!(world.expect(What::Revocation).field("token"), "rt-0");
}

#[test]
fn a_refusal_is_an_answer() {
    for status in [400, 401, 403, 404] {
        let mut world = signed_out();
        world.reply(busy(status, None));
        world.reply(busy(status, None));
        assert_eq!((waiting(&world), world.out.is_none()), (0, true), "{status}");
    }
}

#[test]
fn after_a_week_it_is_given_up() {
    let mut world = signed_out();
    let tries = answering(&mut world, &unsent(), hours(24 * 9));
    assert_eq!((waiting(&world), tries.last().map(|(_, at)| at / 86_400)), (0, Some(6)));
    let ended = tries.iter().filter(|(token, _)| token == "at-0").map(|(_, at)| *at).max();
    assert!(ended.is_some_and(|at| at < 5000), "an access token that has ended needs no more revoking");
}

#[test]
fn a_new_login_does_not_wait_for_the_queue() {
    let mut world = signed_out();
    world.reply(unsent());
    world.reply(unsent());
    world.login();
    world.expect(What::DeviceAuthorization);
    world.reply(code(5, 600));
    while world.token().is_none() {
        match world.sent.last().map(|sent| sent.what).filter(|_| world.out.is_some()) {
            Some(What::Poll) => world.reply(tokens("at-1", Some("rt-1"), Some(3600))),
            Some(_) => world.reply(unsent()),
            None => world.step(hours(1)),
        }
    }
    assert_eq!((world.state(), waiting(&world)), (State::Active, 2));
    assert!(!world.is_busy(), "a stop does not wait for the next try");
}

#[test]
fn a_foreign_grant_is_ended_where_it_came_from_and_without_our_secret() {
    let mut world = World::signed_in(3600);
    world.pass(secs(1));
    let token = Endpoint::parse("https://other.example/token").ok();
    let revocation = Endpoint::parse("https://other.example/revoke").ok();
    let moved = Client {
        issuer: Some("https://other.example".into()),
        client_id: Some("other".into()),
        auth: ClientAuth::Post(Secret::new("s3cret")),
        endpoints: Endpoints { token, revocation, ..client().endpoints },
        ..client()
    };
    let schedule = Schedule { login: LoginMode::Manual, ..Schedule::default() };
    let mut world = World::from_disk(moved, schedule, world.durable, 1);
    world.logout();
    for token in ["rt-0", "at-0"] {
        let sent = world.expect(What::Revocation);
        assert_eq!((sent.address.as_str(), sent.field("token")), ("https://as.example/revoke", token));
        assert_eq!((sent.field("client_id"), sent.field("client_secret")), ("box", ""));
        world.reply(busy(200, None));
    }
    assert!(world.on_disk()["grant"].is_null() && waiting(&world) == 0);
}

#[test]
fn a_queued_revocation_does_not_follow_the_configuration() {
    let mut world = signed_out();
    world.reply(unsent());
    let auth = ClientAuth::Post(Secret::new("s3cret"));
    let revocation = Endpoint::parse("https://other.example/revoke").ok();
    let moved = [
        Client { client_id: Some("other".into()), auth: auth.clone(), ..client() },
        Client { auth: auth.clone(), endpoints: Endpoints { revocation, ..client().endpoints }, ..client() },
    ];
    for client in moved {
        let schedule = Schedule { login: LoginMode::Manual, ..Schedule::default() };
        let world = World::from_disk(client, schedule, world.durable.clone(), 1);
        let sent = world.expect(What::Revocation);
        assert_eq!((sent.address.as_str(), sent.field("client_secret")), ("https://as.example/revoke", ""));
    }
}
