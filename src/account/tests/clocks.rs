//! Clocks that stand still, jump, fall back or are not set: the same boot does not care, the next one is careful, and
//! no step of any of them makes a storm.

use std::time::Duration;

use super::{
    LoginMode, State, What, World, client, hours,
    replies::{out_of_time, tokens},
    secs,
    server::Server,
};
use crate::oauth::{client::Client, profile::Profile};

const TEN_YEARS: u64 = 10 * 365 * 86_400;

/// An account whose first refresh is still hours away.
fn resting() -> (Server, World) {
    let mut server = Server::new(36_000);
    let world = World::at_server(&mut server);
    (server, world)
}

#[test]
fn a_suspend_counts_as_time() {
    let (mut server, mut world) = resting();
    world.suspend(secs(35_700));
    world.serve(&mut server, secs(3));
    assert_eq!((server.refreshes.len(), world.state()), (1, State::Active), "overdue, so at once");
    world.suspend(hours(100));
    assert!(world.snapshot().valid_token(world.boot_now()).is_none(), "what ended in the suspend is not served");
    world.serve(&mut server, secs(3));
    assert_eq!((server.refreshes.len(), world.state()), (2, State::Active));
}

#[test]
fn steps_of_the_wall_clock_change_nothing_in_the_same_boot() {
    let (mut server, mut world) = resting();
    let expires = world.snapshot().token.and_then(|token| token.expires);
    let due = world.snapshot().refresh_at;
    for forward in [true, false, false, true] {
        world.wall = if forward { world.wall + TEN_YEARS } else { world.wall - TEN_YEARS };
        world.need(hours(1));
        world.serve(&mut server, secs(60));
        world.restart();
        assert_eq!(world.snapshot().token.and_then(|token| token.expires), expires);
        assert!(world.snapshot().refresh_at.is_some() && due.is_some());
    }
    assert_eq!(server.refreshes.len(), 0);
}

#[test]
fn a_boot_in_1970_without_a_network_waits_for_both() {
    let (mut server, mut world) = resting();
    world.wall = 0;
    world.synchronised = false;
    world.reboot(secs(0));
    world.wall = 0;
    world.restart();
    assert!(world.snapshot().valid_token(world.boot_now()).is_none(), "nobody knows how old it is");
    let end = world.now + hours(6);
    while world.now < end {
        match world.out {
            Some(_) => world.reply(out_of_time()),
            None => world.step(end),
        }
    }
    assert!(world.trouble().contains("the clock is not set yet"), "{}", world.trouble());
    world.wall = 1_800_000_000;
    world.synchronised = true;
    world.serve(&mut server, secs(40));
    assert_eq!((world.state(), server.refreshes.len(), server.burnt), (State::Active, 1, false));
}

#[test]
fn an_unset_clock_at_boot_means_a_refresh_before_the_token_is_served() {
    let (mut server, mut world) = resting();
    world.synchronised = false;
    world.reboot(secs(10));
    assert!(world.snapshot().valid_token(world.boot_now()).is_none());
    world.need(secs(0));
    world.serve(&mut server, secs(60));
    assert_eq!((world.state(), server.refreshes.len()), (State::Active, 1), "one, and no more");
    let mut endless = World::new(LoginMode::Manual);
    endless.sign_in(tokens("at-0", None, Some(3600)));
    endless.synchronised = false;
    endless.reboot(secs(10));
    assert_eq!((endless.state(), endless.count(What::Refresh)), (State::Active, 0), "nothing to renew it with");
}

#[test]
fn a_clock_that_is_years_ahead_at_boot_costs_one_refresh() {
    let (mut server, mut world) = resting();
    world.wall += TEN_YEARS;
    world.reboot(secs(10));
    world.serve(&mut server, secs(600));
    assert_eq!(server.refreshes.len(), 1);
    world.wall -= TEN_YEARS;
    world.reboot(secs(10));
    world.serve(&mut server, secs(600));
    assert_eq!((server.refreshes.len(), world.state()), (2, State::Active), "and one on the way back");
}

#[test]
fn whatever_the_clocks_do_there_is_at_most_one_refresh_a_step() {
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let (mut server, mut world) = resting();
        server.returns_same = rng.bool();
        let mut lives = Duration::ZERO;
        for step in 1..40 {
            let before = world.now;
            match rng.u32(..6) {
                0 => world.wall += rng.u64(..TEN_YEARS),
                1 => world.wall = world.wall.saturating_sub(rng.u64(..TEN_YEARS)),
                2 => world.suspend(secs(rng.u64(..40_000))),
                3 => world.synchronised = rng.bool(),
                4 => world.restart(),
                _ => {
                    let away = rng.u64(..40_000);
                    world.reboot(secs(away));
                    // The server's moments in the new boot's time.
                    let passed = before + secs(away);
                    server.access.1 = server.access.1.saturating_sub(passed);
                    server.refreshes.clear();
                    lives += before;
                }
            }
            let moment = server.refreshes.len();
            world.serve(&mut server, secs(rng.u64(1..900)));
            // The step's own, one that was due anyway, and its second try where the server's end comes a moment later.
            let most = if server.returns_same { 3 } else { 2 };
            assert!(server.refreshes.len() - moment <= most, "seed {seed}, step {step}: {:?}", server.refreshes);
            assert!(!server.burnt, "seed {seed}, step {step}");
            // An overdue refresh takes its time after a start while nobody waits.
            world.serve(&mut server, secs(800));
            assert_eq!(world.state(), State::Active, "seed {seed}, step {step}");
        }
    }
}

#[test]
fn a_refresh_token_never_lies_idle_while_the_box_is_on() {
    let limit = hours(72);
    let rauthy = || Client { profile: Profile { idle_limit: Some(limit), ..Profile::generic() }.into(), ..client() };
    let mut world = World::with(rauthy(), LoginMode::Manual);
    world.sign_in(tokens("at-0", Some("rt-0"), Some(30 * 86_400)));
    let mut used = world.now;
    for number in 1..20 {
        world.pause();
        assert!(world.now - used <= limit / 2, "{:?}", world.now - used);
        assert!(world.now - used >= limit / 2 - secs(1), "and not before it must");
        world.expect(What::Refresh);
        used = world.now;
        world.reply(tokens(&format!("at-{number}"), Some(&format!("rt-{number}")), Some(30 * 86_400)));
    }
}

#[test]
fn restarts_and_reboots_do_not_put_the_keep_alive_off() {
    let profile = Profile { idle_limit: Some(hours(72)), ..Profile::generic() };
    let mut world = World::with(Client { profile: profile.into(), ..client() }, LoginMode::Manual);
    world.sign_in(tokens("at-0", Some("rt-0"), Some(30 * 86_400)));
    for _ in 0..5 {
        world.pass(hours(3));
        world.restart();
        world.pass(hours(3));
        assert!(world.out.is_none());
        world.reboot(hours(1));
    }
    world.pause();
    world.expect(What::Refresh);
    assert!(world.now <= hours(2), "36 hours after the sign-in, 35 of them in earlier boots: {:?}", world.now);
}
