//! Refreshes that fail: outages, refusals, lost replies and full disks.

use super::{
    Disk, LoginMode, Need, Reason, Schedule, State, What, World, client, hours,
    replies::{answer, busy, error, lost, page, tokens, unsent},
    secs,
    server::{Mood, Server},
};
use crate::account::{Answer, Fault};

/// The first refresh is in flight, and the token is still good for some minutes.
fn refreshing() -> World {
    let mut world = World::signed_in(3600);
    world.pause();
    world.expect(What::Refresh);
    world
}

#[test]
fn an_outage_of_an_hour_degrades_and_leaves_no_trace() {
    let mut server = Server { mood: Mood::Gone, ..Server::new(7200) };
    let mut world = World::at_server(&mut server);
    world.serve(&mut server, secs(6400));
    assert_eq!((world.state(), world.token().as_deref()), (State::Degraded, Some("at-0")));
    assert_eq!(world.snapshot().trouble.map(|trouble| trouble.fault), Some(Fault::Unreachable));
    server.mood = Mood::Well;
    world.serve(&mut server, secs(700));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")), "before the old one ended");
    assert_eq!(world.trouble(), "");
}

#[test]
fn an_outage_of_three_days_is_sat_out() {
    for mood in [Mood::Gone, Mood::Broken] {
        let mut server = Server { mood, ..Server::new(3600) };
        let mut world = World::at_server(&mut server);
        world.serve(&mut server, secs(3500));
        assert_eq!(world.state(), State::Degraded);
        world.serve(&mut server, hours(72));
        assert_eq!((world.state(), world.reason()), (State::Stale, None));
        assert!(matches!(world.snapshot().answer(&Need::default(), world.boot_now()), Answer::AwaitRefresh));
        let tries = server.refreshes.len();
        assert!((600..1100).contains(&tries), "{tries} tries: ten minutes at most, half of it on average");
        assert!(server.refreshes.windows(2).all(|pair| pair[1] - pair[0] >= secs(1)));
        server.mood = Mood::Well;
        world.serve(&mut server, secs(600));
        assert_eq!((world.state(), server.burnt), (State::Active, false));
    }
}

#[test]
fn only_a_hand_brings_a_refresh_past_the_pause_of_a_failed_one() {
    let mut server = Server { mood: Mood::Gone, ..Server::new(3600) };
    let mut world = World::at_server(&mut server);
    world.serve(&mut server, hours(12));
    let before = server.refreshes.len();
    for _ in 0..3600 {
        world.need(secs(0));
        world.serve(&mut server, secs(1));
    }
    let tries = server.refreshes.len() - before;
    assert!((6..=20).contains(&tries), "{tries} in an hour of needs: as if nobody had asked");
    let before = server.refreshes.len();
    for _ in 0..3600 {
        world.refresh();
        world.serve(&mut server, secs(1));
    }
    let tries = server.refreshes.len() - before;
    assert!((100..=180).contains(&tries), "{tries} an hour: about one in 30 s");
}

#[test]
fn retry_after_is_honoured_whoever_asks() {
    for reply in [busy(503, Some(500)), busy(429, Some(500))] {
        let mut world = refreshing();
        world.reply(reply);
        world.suspend(secs(400));
        for _ in 0..90 {
            world.need(secs(0));
            world.refresh();
            assert!(world.out.is_none(), "asked again after {:?}", world.now - world.replied);
            world.pass(secs(1));
        }
        world.pause();
        assert!(world.now - world.replied >= secs(500));
    }
}

#[test]
fn retry_after_cannot_take_us_out_for_good() {
    let mut world = refreshing();
    world.reply(busy(503, Some(10_000_000)));
    let pause = world.pause();
    assert!((3_600_000..=3_960_000).contains(&pause), "{pause}: and not in the same second as everybody else");
}

#[test]
fn boxes_that_were_told_the_same_pause_do_not_come_back_together() {
    let pauses: std::collections::HashSet<_> = (0..50)
        .map(|seed| {
            let durable = refreshing().durable;
            let schedule = Schedule { login: LoginMode::Manual, ..Schedule::default() };
            let mut world = World::from_disk(client(), schedule, durable, seed);
            world.expect(What::Refresh);
            world.reply(busy(503, Some(30)));
            let pause = world.pause() / 1000;
            assert!((30..=270).contains(&pause), "{pause}");
            pause
        })
        .collect();
    assert!(pauses.len() > 30, "{pauses:?}");
}

#[test]
fn while_nobody_asks_retries_are_rare_and_a_caller_does_not_wait_for_them() {
    let mut world = refreshing();
    let mut pauses = Vec::new();
    for _ in 0..5 {
        world.reply(unsent());
        pauses.push(world.pause());
    }
    assert!(pauses.iter().sum::<u64>() > 300_000, "{pauses:?}");
    world.reply(unsent());
    world.need(secs(0));
    assert!(world.pause() <= 30_000);
    world = refreshing();
    world.refresh();
    for longest in [2_000, 4_000, 8_000, 16_000] {
        world.reply(unsent());
        let pause = world.pause();
        assert!((1_000..=longest).contains(&pause), "somebody waits: {pause}");
    }
}

#[test]
fn invalid_grant_ends_the_session_at_once() {
    for word in ["invalid_grant", "expired_token", "bad_refresh_token"] {
        let mut world = refreshing();
        world.reply(error(word));
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Revoked)), "{word}");
        assert_eq!((world.token(), &world.on_disk()["grant"]), (None, &serde_json::Value::Null));
        assert_eq!(world.on_disk()["reason"], "revoked");
        world.pass(hours(48));
        assert_eq!(world.count(What::Refresh), 1);
    }
}

#[test]
fn invalid_grant_after_a_lost_reply_is_a_lost_rotation() {
    for reply in [lost(), busy(504, None), answer(200, &serde_json::json!({}))] {
        let mut world = refreshing();
        world.reply(reply);
        assert_eq!(world.on_disk()["refreshing"], true, "a restart must know");
        assert!(world.pause() <= 2_000, "the server may hold the old token good for some seconds");
        world.reply(unsent());
        world.pause();
        world.reply(error("invalid_grant"));
        assert_eq!(world.reason(), Some(Reason::LostRotation));
    }
}

#[test]
fn lost_replies_are_retried_quickly_and_then_slowly() {
    let mut world = refreshing();
    let mut pauses = Vec::new();
    for _ in 0..18 {
        world.reply(lost());
        pauses.push(world.pause());
    }
    assert!(pauses[..5].iter().sum::<u64>() <= 5_000, "a grace of five seconds holds five of them: {pauses:?}");
    let minute = pauses.iter().scan(0, |at, pause| Some(std::mem::replace(at, *at + pause))).filter(|at| *at < 60_000);
    assert!(minute.count() >= 10, "quick for a minute: {pauses:?}");
    assert!(pauses[12..].iter().all(|pause| *pause >= 1_000) && pauses[12..].iter().any(|pause| *pause > 60_000));
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!(world.on_disk()["refreshing"], false, "what is known to be good is not retried after a restart");
}

#[test]
fn five_answers_in_a_row_that_the_server_cannot_end_the_hurry() {
    for status in [500, 502, 503, 504] {
        let mut world = refreshing();
        world.reply(busy(502, None));
        for _ in 0..3 {
            assert!(world.pause() <= 1_000, "{status}");
            world.reply(busy(status, None));
        }
        assert!(world.pause() <= 1_000, "{status}: four may be an accident");
        world.reply(busy(status, None));
        assert!(world.pause() >= 300_000, "{status}: five are an outage, and nobody waits");
        world.reply(lost());
        assert!(world.pause() >= 1_000, "{status}: and the minute is over");
        world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
        world.pause();
        world.reply(busy(502, None));
        assert!(world.pause() <= 1_000, "{status}: a success ends the outage");
    }
}

#[test]
fn other_failures_in_the_minute_after_a_lost_reply_do_not_slow_the_retries() {
    for failure in
        [busy(503, None), unsent(), page(404), page(302), error("temporarily_unavailable"), busy(429, Some(2))]
    {
        let mut world = refreshing();
        world.reply(lost());
        let first = world.now;
        world.pause();
        for _ in 0..4 {
            world.reply(failure.clone());
            world.pause();
        }
        assert!(world.now - first <= secs(15), "{:?} for five tries", world.now - first);
        world.pass(secs(60));
        for _ in 0..4 {
            world.reply(failure.clone());
            world.pause();
        }
        assert!(world.now - world.replied >= secs(10) || world.now - first >= secs(120), "and slowly after the minute");
    }
    let mut world = refreshing();
    world.reply(lost());
    world.pause();
    world.reply(busy(429, Some(30)));
    assert!(world.pause() >= 30_000, "who asks for a pause gets it");
}

#[test]
fn in_an_outage_of_lost_replies_the_quick_minute_comes_once_an_hour() {
    let mut world = refreshing();
    let end = world.now + hours(24);
    while world.now < end {
        match world.out {
            Some(_) => world.reply(lost()),
            None => world.step(end),
        }
    }
    let tries = world.count(What::Refresh);
    assert!((24 * 15..=24 * 35).contains(&tries), "{tries}");
}

#[test]
fn invalid_request_means_the_end_only_after_a_minute_of_it() {
    for word in ["invalid_request", "never_heard_of"] {
        let mut world = refreshing();
        let begun = world.now;
        while world.reason().is_none() {
            assert!(world.count(What::Refresh) < 10, "it never ends");
            world.reply(error(word));
            if world.reason().is_none() {
                assert_ne!(world.state(), State::SignedOut);
                world.need(hours(24));
                world.pause();
            }
        }
        assert!(world.now - begun >= secs(60) && world.count(What::Refresh) >= 4, "{word}");
        assert_eq!(world.reason(), Some(Reason::Revoked), "{word}");
    }
}

#[test]
fn invalid_request_may_pass() {
    let mut world = refreshing();
    for number in 1..20 {
        for _ in 0..3 {
            world.reply(error("invalid_request"));
            assert!(world.pause() >= 21_000);
        }
        world.reply(tokens(&format!("at-{number}"), None, Some(3600)));
        assert_eq!(world.state(), State::Active, "each success starts the count again");
        world.pause();
    }
}

#[test]
fn a_wish_for_interaction_is_a_matter_of_policy() {
    for word in ["interaction_required", "login_required", "consent_required"] {
        let mut world = refreshing();
        world.reply(error(word));
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Policy)));
    }
}

#[test]
fn a_refused_client_keeps_its_grant_and_is_tried_again_slowly() {
    for word in ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_target"] {
        let mut server = Server { mood: Mood::Refuses(word), ..Server::new(3600) };
        let mut world = World::at_server(&mut server);
        world.schedule.login = LoginMode::Auto;
        world.serve(&mut server, secs(3300));
        assert_eq!((world.state(), world.token().as_deref()), (State::Misconfigured, Some("at-0")), "{word}");
        assert!(matches!(world.snapshot().answer(&Need::default(), world.boot_now()), Answer::Token(_)));
        world.serve(&mut server, hours(48));
        for _ in 0..10 {
            world.need(secs(0));
        }
        assert!(matches!(world.snapshot().answer(&Need::default(), world.boot_now()), Answer::Configuration));
        assert!((45..=50).contains(&server.refreshes.len()), "{} tries", server.refreshes.len());
        assert_eq!(world.count(What::DeviceAuthorization), 1, "and never a new login");
        server.mood = Mood::Well;
        world.serve(&mut server, hours(2));
        assert_eq!(world.state(), State::Active);
    }
}

#[test]
fn a_full_disk_after_the_rotation_holds_nobody_up() {
    let mut world = refreshing();
    world.disk = Disk::Fails;
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Degraded, Some("at-1")));
    assert_eq!(world.snapshot().trouble.map(|trouble| trouble.fault), Some(Fault::Storage));
    let writes = world.writes;
    world.pass(secs(600));
    assert!((10..120).contains(&(world.writes - writes)), "tried again, not in a loop");
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-0");
    world.disk = Disk::Works;
    world.pass(secs(60));
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-1");
    assert_eq!((world.state(), world.trouble().as_str()), (State::Active, ""));
}

#[test]
fn a_full_disk_keeps_the_refresh_token_unspent_while_the_token_is_good() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Fails;
    let end = world.snapshot().token.and_then(|token| token.expires).expect("an end").since_boot();
    world.pass(end - world.now - secs(1));
    assert_eq!((world.state(), world.count(What::Refresh)), (State::Degraded, 0));
    assert_eq!(world.snapshot().trouble.map(|trouble| trouble.fault), Some(Fault::Storage));
    world.pass(secs(60));
    world.expect(What::Refresh);
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref()), (State::Degraded, Some("at-1")), "nothing was left to lose");
}

#[test]
fn an_older_write_that_ends_well_does_not_put_the_newer_token_on_show() {
    let mut world = World::signed_in(3600);
    world.disk = Disk::Fails;
    while world.out.is_none() {
        world.step(hours(2));
    }
    world.expect(What::Refresh);
    world.disk = Disk::Slow;
    while world.writing.is_none() {
        world.step(hours(2));
    }
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.written(true);
    world.settle();
    assert_eq!((world.token().as_deref(), &world.on_disk()["grant"]["refresh_token"]), (Some("at-0"), &"rt-0".into()));
    world.written(true);
    world.settle();
    assert_eq!((world.token().as_deref(), &world.on_disk()["grant"]["refresh_token"]), (Some("at-1"), &"rt-1".into()));
}

#[test]
fn a_disk_that_recovers_in_time_costs_nothing() {
    let mut server = Server::new(3600);
    let mut world = World::at_server(&mut server);
    world.disk = Disk::Fails;
    world.serve(&mut server, secs(3300));
    assert!(server.refreshes.is_empty());
    world.disk = Disk::Works;
    world.serve(&mut server, secs(120));
    assert_eq!((world.state(), server.refreshes.len(), server.burnt), (State::Active, 1, false));
}

#[test]
fn secrets_that_the_server_echoes_are_not_shown() {
    let mut world = refreshing();
    let body = serde_json::json!({"error": "server_error", "error_description": "no row for rt-0 (at-0)"});
    world.reply(answer(500, &body));
    assert_eq!(world.trouble(), "the server refused: server_error (no row for (removed) ((removed)))");
}

#[test]
fn a_long_secret_that_is_cut_off_with_the_text_is_not_shown_either() {
    let long = "s3cret".repeat(100);
    let mut world = World::new(LoginMode::Manual);
    world.sign_in(tokens("at-0", Some(&long), Some(3600)));
    world.pause();
    world.reply(answer(500, &serde_json::json!({"error": "server_error", "error_description": format!("no {long}")})));
    assert_eq!(world.trouble(), "the server refused: server_error (no (removed))");
}
