//! Servers that return the same access token while it is valid (Kinde), and those that prolong it.

use std::time::Duration;

use serde_json::json;

use super::{
    Need, State, What, World, hours,
    replies::{answer, jwt, tokens},
    secs,
    server::Server,
};

fn end(world: &World) -> Duration {
    world.snapshot().token.and_then(|token| token.expires).expect("an end").since_boot()
}

fn kinde(lifetime: u64) -> (Server, World) {
    let mut server = Server { returns_same: true, ..Server::new(lifetime) };
    let world = World::at_server(&mut server);
    (server, world)
}

#[test]
fn one_rotation_a_lifetime_and_no_gap_longer_than_a_round_trip() {
    for lifetime in [600, 3600, 86_400] {
        let (mut server, mut world) = kinde(lifetime);
        world.serve(&mut server, secs(lifetime) - secs(1));
        assert_eq!(server.refreshes.len(), 1, "one early try, then it knows");
        let mut gap = Duration::ZERO;
        for _ in 0..20 {
            let before = server.refreshes.len();
            let ends = end(&world);
            world.serve(&mut server, ends.saturating_sub(world.now));
            while world.snapshot().valid_token(world.boot_now()).is_none() {
                world.serve(&mut server, Duration::from_millis(10));
            }
            gap = gap.max(world.now - ends);
            assert_eq!(server.refreshes.len() - before, 1, "no burnt rotation");
        }
        assert!(gap <= server.latency + Duration::from_millis(20), "{gap:?}");
        assert!(!server.burnt);
    }
}

#[test]
fn a_server_whose_clock_is_behind_is_asked_again_soon() {
    let (mut server, mut world) = kinde(3600);
    world.serve(&mut server, secs(3500));
    // It thinks that the token lives four seconds longer.
    server.access.1 += secs(4);
    let ends = end(&world);
    world.serve(&mut server, secs(120));
    let tries = server.refreshes.iter().filter(|at| **at >= ends).count();
    assert!((2..=4).contains(&tries), "{tries}");
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
    let fresh = server.refreshes.last().copied().expect("a refresh");
    assert!(fresh - ends <= secs(9), "{:?}", fresh - ends);
}

#[test]
fn needs_and_refused_tokens_do_not_burn_rotations() {
    let (mut server, mut world) = kinde(86_400);
    world.serve(&mut server, hours(23) + secs(3599));
    let before = server.refreshes.len();
    for _ in 0..30 {
        world.need(hours(20));
    }
    assert_eq!(server.refreshes.len(), before, "asking earlier brings nothing");
    for _ in 0..3600 {
        let (snapshot, rejected) = (world.snapshot(), world.snapshot().token.map(|token| token.fingerprint));
        world.ask(&Need { rejected, attempts: snapshot.attempts, ..Need::default() });
        world.serve(&mut server, secs(1));
    }
    assert!(server.refreshes.len() - before <= 130, "{}", server.refreshes.len() - before);
}

#[test]
fn a_token_that_is_truly_prolonged_is_believed_after_a_few_tries() {
    let mut world = World::signed_in(3600);
    let mut gaps = Vec::new();
    for _ in 0..6 {
        let ends = end(&world);
        while world.now < ends || world.snapshot().valid_token(world.boot_now()).is_none() {
            match world.out {
                Some(_) => world.reply(tokens("at-0", None, Some(3600))),
                None => world.step(ends + secs(60)),
            }
            if end(&world) > ends {
                break;
            }
        }
        gaps.push(world.now.saturating_sub(ends));
    }
    assert!(gaps[0] <= secs(10), "{gaps:?}");
    assert!(gaps[1..].iter().all(Duration::is_zero), "once known, it is prolonged in time: {gaps:?}");
    assert_eq!((world.state(), world.snapshot().renews_early), (State::Active, true));
    assert!(world.count(What::Refresh) < 15, "{}", world.count(What::Refresh));
}

#[test]
fn a_token_whose_end_is_written_in_it_is_not_prolonged_by_words() {
    let access = jwt(&json!({"iat": 1_800_000_000, "exp": 1_800_003_600_u64, "sub": "ann"}));
    let mut world = World::new(super::LoginMode::Manual);
    let same = |world: &mut World| world.reply(answer(200, &json!({"access_token": &access, "expires_in": 3600})));
    world.sign_in(answer(200, &json!({"access_token": &access, "refresh_token": "rt-0", "expires_in": 3600})));
    let ends = end(&world);
    while world.now < ends + secs(300) {
        match world.out {
            Some(_) => same(&mut world),
            None => world.step(ends + secs(300)),
        }
    }
    assert_eq!((end(&world), world.snapshot().valid_token(world.boot_now()).is_none()), (ends, true));
}

#[test]
fn a_jwt_says_its_lifetime_where_the_server_does_not() {
    let access = |number: u64| jwt(&json!({"iat": 1_800_000_000, "exp": 1_800_003_600_u64, "jti": number}));
    let mut world = World::new(super::LoginMode::Manual);
    world.sign_in(answer(200, &json!({"access_token": access(0), "refresh_token": "rt-0", "expires_in": 86_400})));
    let lifetime = |world: &World| world.snapshot().token.and_then(|token| token.lifetime);
    assert_eq!(lifetime(&world), Some(secs(3600)), "whichever is less");
    world.pause();
    world.reply(answer(200, &json!({"access_token": access(1), "refresh_token": "rt-1"})));
    assert_eq!(lifetime(&world), Some(secs(3600)));
}

/// A box that reboots without a clock, or with one that is years ahead, while the server goes on handing out the token
/// of before; the reply says its lifetime or does not, and the token is a JWT or is not.
#[test]
fn a_token_that_comes_back_after_the_clock_lost_count_is_not_asked_for_again_and_again() {
    for case in 0..12 {
        let (says, jwt_token) = (case % 2 == 0, case % 4 < 2);
        let begun = 1_800_000_000_u64;
        let access = |n: u64| match jwt_token {
            true => jwt(&json!({"iat": begun, "exp": begun + 86_400, "jti": n})),
            false => format!("at-{n}"),
        };
        let mut world = World::new(super::LoginMode::Manual);
        world.sign_in(answer(200, &json!({"access_token": access(0), "refresh_token": "rt", "expires_in": 86_400})));
        world.pass(hours(4));
        match case / 4 {
            0 => world.synchronised = false,
            1 => world.wall += 10 * 365 * 86_400,
            _ => world.wall += 22 * 3600,
        }
        world.reboot(secs(30));
        let end = world.now + hours(19);
        while world.now < end {
            match world.out {
                Some(_) if says => world.reply(answer(200, &json!({"access_token": access(0), "expires_in": 70_000}))),
                Some(_) => world.reply(answer(200, &json!({"access_token": access(0)}))),
                None => world.step(end),
            }
        }
        let count = world.count(What::Refresh);
        assert!((1..=4).contains(&count), "case {case}: asked {count} times");
        assert!(world.snapshot().valid_token(world.boot_now()).is_some(), "case {case}");
    }
}

#[test]
fn only_an_early_refresh_teaches_that_a_server_returns_the_same_token() {
    let (mut server, mut world) = kinde(86_400);
    world.serve(&mut server, hours(6));
    world.synchronised = false;
    world.reboot(secs(30));
    server.access.1 = world.now + hours(17);
    world.serve(&mut server, secs(400));
    assert_eq!((server.refreshes.len(), world.snapshot().renews_early), (1, true), "its age was not known");
    let (mut server, mut world) = kinde(3600);
    world.serve(&mut server, secs(3599));
    assert!(!world.snapshot().renews_early, "that was early");
    for reboot in [false, true] {
        let passed = world.now;
        match reboot {
            false => world.restart(),
            true => world.reboot(secs(0)),
        }
        server.access.1 = server.access.1.saturating_sub(if reboot { passed } else { Duration::ZERO });
        assert!(!world.snapshot().renews_early, "a restart does not forget it");
    }
}

#[test]
fn after_a_boot_without_a_clock_the_server_is_believed_once() {
    let (mut server, mut world) = kinde(86_400);
    world.serve(&mut server, hours(6));
    world.synchronised = false;
    world.reboot(secs(30));
    // The server's clock in the box's time.
    server.access.1 = world.now + hours(17);
    world.serve(&mut server, hours(1));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
    assert!(server.refreshes.len() <= 2, "{} rotations", server.refreshes.len());
}
