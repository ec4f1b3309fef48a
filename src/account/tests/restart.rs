//! What survives a restart, a power cut and a clock that is wrong.

use super::{
    Disk, LoginMode, Reason, Schedule, State, What, World, client, hours,
    replies::{code, error, lost, tokens},
    secs,
};
use crate::{
    account::Fault,
    oauth::{
        client::{Client, Endpoints},
        exchange::Endpoint,
    },
    time::Instant,
};

fn expires(world: &World) -> Option<std::time::Duration> {
    world.snapshot().token.and_then(|token| token.expires).map(Instant::since_boot)
}

/// The disk of a signed-in account in the hands of another configuration.
fn moved_to(client: Client, login: LoginMode) -> World {
    let durable = World::signed_in(3600).durable;
    World::from_disk(client, Schedule { login, ..Schedule::default() }, durable, 1)
}

fn elsewhere() -> [Client; 3] {
    let token = Endpoint::parse("https://other.example/token").ok();
    let endpoints = Endpoints { token, ..client().endpoints };
    [
        Client { issuer: Some("https://other.example".into()), ..client() },
        Client { client_id: Some("other".into()), ..client() },
        Client { endpoints, ..client() },
    ]
}

#[test]
fn a_restart_in_the_same_boot_changes_nothing() {
    let mut world = World::signed_in(3600);
    world.pass(secs(1000));
    let before = expires(&world);
    // The wall clock has been stepped meanwhile, and does not count.
    world.wall -= 1_000_000;
    world.restart();
    assert_eq!((world.state(), world.token().as_deref(), expires(&world)), (State::Active, Some("at-0"), before));
    assert_eq!(world.snapshot().generation, 1);
    assert!(world.out.is_none(), "nothing is asked for");
    world.pause();
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
}

#[test]
fn after_a_reboot_the_wall_clock_counts() {
    let mut world = World::signed_in(3600);
    world.pass(secs(600));
    world.reboot(secs(1000));
    let left = expires(&world).expect("an end") - world.now;
    assert!((1975..=1982).contains(&left.as_secs()), "{left:?}: 1600 s and the boot have gone by");
    world.reboot(hours(24));
    world.need(secs(0));
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
    assert!(world.snapshot().valid_token(world.boot_now()).is_none());
}

#[test]
fn behind_a_wall_clock_that_fell_back_a_token_is_renewed_before_it_is_served() {
    let mut world = World::signed_in(3600);
    world.wall -= 10_000_000;
    world.reboot(secs(10));
    assert!(world.snapshot().valid_token(world.boot_now()).is_none());
    world.need(secs(0));
    world.expect(What::Refresh);
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
}

#[test]
fn behind_a_wall_clock_that_fell_back_a_token_that_cannot_be_renewed_is_kept() {
    let mut world = World::new(LoginMode::Manual);
    world.sign_in(tokens("at-0", None, Some(3600)));
    world.wall -= 10_000_000;
    world.reboot(secs(10));
    assert_eq!((world.state(), expires(&world)), (State::Active, Some(world.now + secs(3600))));
}

#[test]
fn a_token_that_ran_out_while_the_box_was_off_and_cannot_be_renewed_is_gone() {
    let mut world = World::new(LoginMode::Manual);
    world.sign_in(tokens("at-0", None, Some(3600)));
    world.reboot(hours(2));
    assert_eq!((world.state(), world.reason(), world.token()), (State::SignedOut, Some(Reason::Expired), None));
    assert_eq!(world.on_disk()["reason"], "expired");
}

#[test]
fn boxes_that_start_together_with_ended_tokens_do_not_refresh_together() {
    for (lifetime, spread) in [(300, 60), (3600, 720), (86_400, 720)] {
        let signed_in = World::signed_in(lifetime);
        let starts: Vec<_> = (0..400)
            .map(|seed| {
                let mut world = World::from_disk(client(), signed_in.schedule, signed_in.durable.clone(), 1);
                (world.wall, world.writes) = (world.wall + 2 * lifetime, seed);
                world.reboot(secs(1));
                assert_eq!((world.state(), world.out), (State::Refreshing, None));
                world.pause();
                (world.expect(What::Refresh).at - secs(20)).as_secs()
            })
            .collect();
        let busiest = (0..=spread).map(|second| starts.iter().filter(|start| **start == second).count()).max();
        assert!(starts.iter().all(|start| *start <= spread), "{lifetime}: all within {spread} s");
        assert!(busiest <= Some(if spread < 100 { 30 } else { 8 }), "{lifetime}: {busiest:?} of 400 in one second");
    }
}

#[test]
fn whoever_asks_after_a_start_does_not_wait_for_chance() {
    let mut world = World::signed_in(3600);
    world.reboot(hours(2));
    assert!(world.out.is_none());
    world.need(secs(0));
    world.expect(What::Refresh);
}

#[test]
fn an_interrupted_refresh_is_retried_at_once() {
    let mut world = World::signed_in(36_000);
    world.pass(secs(60));
    world.refresh();
    world.expect(What::Refresh);
    world.restart();
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
    assert_eq!(world.token().as_deref(), Some("at-0"), "the old token serves meanwhile");
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::LostRotation));
}

#[test]
fn a_renewed_grant_is_not_retried_after_a_restart() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.reply(lost());
    world.pause();
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    let shown = world.snapshot().generation;
    world.restart();
    assert!(world.out.is_none() && world.state() == State::Active);
    assert_eq!((world.snapshot().generation, shown), (2, 2));
}

#[test]
fn a_power_cut_between_the_intent_and_the_result_costs_nothing_at_a_forgiving_server() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.disk = Disk::Slow;
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.disk = Disk::Works;
    world.reboot(secs(5));
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0", "all that is known");
    world.reply(tokens("at-2", Some("rt-2"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-2")));
}

#[test]
fn a_stop_waits_for_the_refresh_in_flight_and_begins_nothing_new() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.expect(What::Refresh);
    world.stop();
    world.settle();
    assert!(world.is_busy());
    world.pass(secs(25));
    world.disk = Disk::Slow;
    world.reply(tokens("at-1", Some("rt-1"), Some(0)));
    assert!(world.is_busy(), "not before it is on disk");
    world.written(true);
    world.settle();
    assert!(!world.is_busy() && world.on_disk()["grant"]["refresh_token"] == "rt-1");
    world.refresh();
    world.pass(hours(1));
    assert_eq!(world.count(What::Refresh), 1);
}

#[test]
fn a_stop_right_after_a_lost_reply_lets_the_next_tries_go_out() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.reply(lost());
    world.stop();
    assert!(world.is_busy(), "the server may have replaced the refresh token");
    world.pause();
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
    world.reply(tokens("at-1", Some("rt-1"), Some(0)));
    assert!(!world.is_busy() && world.on_disk()["grant"]["refresh_token"] == "rt-1");
    world.pass(hours(1));
    assert_eq!(world.count(What::Refresh), 2, "and nothing else");
}

#[test]
fn a_stop_does_not_wait_long_for_a_reply_that_was_lost() {
    let mut world = World::signed_in(3600);
    world.pause();
    world.reply(lost());
    world.stop();
    let begun = world.now;
    while world.is_busy() {
        match world.out {
            Some(_) => world.reply(lost()),
            None => world.step(hours(1)),
        }
    }
    assert!(world.now - begun <= secs(5) && world.count(What::Refresh) > 3, "{:?}", world.now - begun);
    world.pass(hours(1));
    assert!(!world.is_busy());
}

#[test]
fn a_stop_takes_back_an_intent_and_writes_what_could_not_be_written() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Slow;
    while world.writing.is_none() {
        world.step(hours(2));
    }
    world.stop();
    world.written(true);
    world.settle();
    world.written(true);
    world.settle();
    assert_eq!((world.count(What::Refresh), &world.on_disk()["refreshing"]), (0, &false.into()));
    assert!(!world.is_busy());
    let mut world = World::signed_in(3600);
    world.pause();
    world.disk = Disk::Fails;
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.disk = Disk::Works;
    world.stop();
    world.settle();
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-1", "once more, and this time it went");
}

#[test]
fn a_login_that_was_waiting_is_not_polled_after_a_restart() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(code(5, 600));
    world.restart();
    world.pass(hours(1));
    assert_eq!((world.state(), world.count(What::Poll)), (State::SignedOut, 0));
}

#[test]
fn a_grant_of_another_server_or_client_is_not_used() {
    for client in elsewhere() {
        let mut world = moved_to(client, LoginMode::OnDemand);
        assert_eq!((world.state(), world.reason(), world.token()), (State::SignedOut, Some(Reason::Policy), None));
        assert_eq!(world.snapshot().trouble.map(|trouble| trouble.fault), Some(Fault::Configuration));
        world.refresh();
        world.pass(hours(48));
        assert_eq!(world.count(What::Refresh), 0);
    }
}

#[test]
fn a_foreign_grant_stays_on_disk_until_a_new_login_succeeds() {
    for client in elsewhere() {
        let mut world = moved_to(client, LoginMode::Auto);
        world.expect(What::DeviceAuthorization);
        world.reply(code(5, 600));
        world.pause();
        world.reply(error("access_denied"));
        world.pass(hours(48));
        assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-0", "the configuration may have been a mistake");
        world.sign_in(tokens("at-new", Some("rt-new"), Some(3600)));
        assert_eq!((world.state(), world.trouble().as_str()), (State::Active, ""));
        assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-new");
    }
}

#[test]
fn another_path_on_the_same_server_is_the_same_server() {
    let token = Endpoint::parse("https://as.example/v2/token").ok();
    let endpoints = Endpoints { token, ..client().endpoints };
    let mut world = moved_to(Client { endpoints, ..client() }, LoginMode::Manual);
    assert_eq!(world.state(), State::Active);
    world.pause();
    assert_eq!(world.expect(What::Refresh).address, "https://as.example/token", "where the grant came from");
}

#[test]
fn a_record_of_an_older_version_without_the_newer_members_is_read() {
    let record: super::Record = serde_json::from_str("{}").expect("an empty record");
    let schedule = Schedule { login: LoginMode::Manual, ..Schedule::default() };
    let world = World::from_disk(client(), schedule, Some(record), 1);
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Never)));
}
