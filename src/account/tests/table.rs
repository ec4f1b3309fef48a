//! What each kind of failure of a refresh, a poll and a device request does: one test a row, named after it. F6, a server
//! that wants a nonce, and F17, another person, have files of their own.

use serde_json::json;

use super::{
    LoginMode, Need, Reason, State, What, World, client, hours,
    replies::{answer, busy, code, error, lost, out_of_time, page, tokens, unsent},
    secs,
};
use crate::{
    account::{Answer, Fault},
    oauth::{
        client::Client,
        exchange::{Response, Unreachable},
        profile::{Doubt, Profile},
    },
};

type Reply = Result<Response, Unreachable>;

fn refreshing_with(client: Client) -> World {
    let mut world = World::with(client, LoginMode::Manual);
    world.sign_in(tokens("at-0", Some("rt-0"), Some(3600)));
    world.pause();
    world.expect(What::Refresh);
    world
}

fn refreshing() -> World {
    refreshing_with(client())
}

fn with_profile(profile: Profile) -> Client {
    Client { profile: profile.into(), ..client() }
}

fn fault(world: &World) -> Option<Fault> {
    world.snapshot().trouble.map(|trouble| trouble.fault)
}

/// How the account ends when the server goes on answering so for that long, and the tries it took.
fn insisting(world: &mut World, reply: &Reply, time: std::time::Duration) -> (Option<Reason>, usize) {
    let (end, before) = (world.now + time, world.count(What::Refresh));
    while world.now < end && world.reason().is_none() {
        match world.out {
            Some(_) => world.reply(reply.clone()),
            None => world.step(end),
        }
    }
    (world.reason(), world.count(What::Refresh) - before + 1)
}

/// The grant is as it was, and works again as soon as the server does.
fn lives(world: &mut World) {
    assert_eq!((world.reason(), &world.on_disk()["grant"]["refresh_token"]), (None, &json!("rt-0")));
    if world.out.is_none() {
        world.pause();
    }
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0");
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!((world.state(), world.trouble().as_str()), (State::Active, ""));
}

#[test]
fn f1_unsent_is_retried_and_no_lost_reply() {
    let mut world = refreshing();
    assert_eq!(insisting(&mut world, &unsent(), hours(24)).0, None);
    assert_eq!((world.state(), fault(&world)), (State::Stale, Some(Fault::Unreachable)));
    world.pause();
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::Revoked), "nothing was lost");
    let mut world = refreshing();
    insisting(&mut world, &unsent(), hours(24));
    lives(&mut world);
}

#[test]
fn f2_sent_without_an_answer_is_retried_at_once() {
    let cut_short = Ok(Response { status: 200, body: br#"{"access_token":"at-"#.to_vec(), ..Response::default() });
    for reply in [lost(), cut_short, answer(200, &json!(["no object"])), busy(200, None)] {
        let mut world = refreshing();
        world.reply(reply);
        assert_eq!(world.on_disk()["refreshing"], true);
        assert!(world.pause() <= 2_000);
        lives(&mut world);
    }
}

#[test]
fn f3_a_certificate_out_of_its_time_waits_for_the_clock() {
    let mut world = refreshing();
    world.reply(out_of_time());
    assert_eq!(fault(&world), Some(Fault::Clock));
    assert!(world.trouble().contains("the clock is not set yet"), "{}", world.trouble());
    for _ in 0..50 {
        assert!((10_000..=30_000).contains(&world.pause()), "soon, for the clock may be set at any moment");
        world.reply(out_of_time());
    }
    lives(&mut world);
}

#[test]
fn f4_portals_and_redirects_are_no_answer() {
    for reply in [page(302), page(307), page(511), page(200), answer(302, &json!({"access_token": "evil"}))] {
        let mut world = refreshing();
        assert_eq!(insisting(&mut world, &reply, hours(24)).0, None);
        world.pause();
        world.reply(error("invalid_grant"));
        assert_eq!(world.reason(), Some(Reason::Revoked), "{:?}: nothing was lost", world.trouble());
        let mut world = refreshing();
        insisting(&mut world, &reply, hours(24));
        lives(&mut world);
    }
}

#[test]
fn f5_a_server_that_is_out_of_order_decides_nothing() {
    let mut replies: Vec<Reply> = [408, 425, 429, 500, 502, 503, 504].map(|status| busy(status, None)).into();
    replies.extend(["temporarily_unavailable", "server_error", "slow_down", "rate_limit_exceeded"].map(error));
    replies.push(answer(500, &json!({"error": "invalid_request"})));
    replies.push(answer(429, &json!({"error": "invalid_request"})));
    replies.push(answer(500, &json!({"error": "Internal Server Error"})));
    for reply in replies {
        let mut world = refreshing();
        assert_eq!(insisting(&mut world, &reply, hours(24)).0, None, "{}", world.trouble());
        lives(&mut world);
    }
}

#[test]
fn f5_a_gateway_in_trouble_may_hide_a_rotation() {
    for (reply, reason) in [
        (busy(500, None), Reason::LostRotation),
        (busy(502, None), Reason::LostRotation),
        (busy(504, None), Reason::LostRotation),
        (error("server_error"), Reason::LostRotation),
        (busy(503, None), Reason::Revoked),
        (busy(429, None), Reason::Revoked),
    ] {
        let mut world = refreshing();
        world.reply(reply);
        let pause = world.pause();
        assert!(reason == Reason::Revoked || pause <= 2_000, "{pause}");
        world.reply(error("invalid_grant"));
        assert_eq!(world.reason(), Some(reason));
    }
}

#[test]
fn f7_the_record_is_read_again_before_a_grant_is_given_up() {
    let mut world = refreshing();
    let (mut newer, refused) = (World::signed_in(3600), world.durable.clone());
    newer.pause();
    newer.reply(tokens("at-newer", Some("rt-newer"), Some(3600)));
    world.durable = newer.durable;
    world.reply(error("invalid_grant"));
    assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-newer", "used once");
    assert_eq!((world.reason(), world.token().as_deref()), (None, Some("at-newer")));
    world.reply(error("invalid_grant"));
    assert_eq!((world.reason(), world.count(What::Refresh)), (Some(Reason::Revoked), 2));
    let mut world = refreshing();
    world.durable = refused;
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::Revoked), "the same on disk");
}

#[test]
fn f7_an_older_record_is_not_taken_for_a_newer_one() {
    let mut world = refreshing();
    let older = world.durable.clone();
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    world.pause();
    world.durable = older;
    world.reply(error("invalid_grant"));
    assert_eq!((world.reason(), world.count(What::Refresh)), (Some(Reason::Revoked), 2));
}

#[test]
fn f8_a_refused_client_is_the_operators_business() {
    for word in [
        "invalid_client",
        "unauthorized_client",
        "unsupported_grant_type",
        "incorrect_client_credentials",
        "client secret expired",
    ] {
        let mut world = refreshing();
        assert_eq!(insisting(&mut world, &error(word), hours(24)).0, None, "{word}");
        assert_eq!((world.state(), fault(&world)), (State::Misconfigured, Some(Fault::Configuration)), "{word}");
        lives(&mut world);
        assert_eq!(world.count(What::DeviceAuthorization), 1);
    }
}

#[test]
fn f9_a_refused_resource_is_left_out_once() {
    for word in ["invalid_target", "invalid_scope", "scope_not_granted"] {
        let mut world = refreshing_with(Client { resource: vec!["https://api.example/".into()], ..client() });
        assert_eq!(world.expect(What::Refresh).field("resource"), "https://api.example/");
        world.reply(error(word));
        assert_eq!(world.pause(), 1_000);
        assert_eq!(world.expect(What::Refresh).field("resource"), "");
        let mut refused = world;
        refused.reply(error(word));
        assert_eq!((refused.state(), refused.pause()), (State::Misconfigured, 3_600_000));
        assert_eq!(refused.expect(What::Refresh).field("resource"), "");
        lives(&mut refused);
        refused.pause();
        assert_eq!(refused.expect(What::Refresh).field("resource"), "", "what worked is kept");
        let mut plain = refreshing();
        plain.reply(error(word));
        assert_eq!((plain.state(), plain.pause()), (State::Misconfigured, 3_600_000), "nothing to leave out");
    }
}

#[test]
fn f10_invalid_request_is_undecided_unless_the_profile_says() {
    for (doubt, ends, tries) in
        [(Doubt::Undecided, true, 4..=6), (Doubt::Terminal, true, 1..=1), (Doubt::Retry, false, 100..=900)]
    {
        let profile = Profile { refresh_invalid_request: doubt, ..Profile::generic() };
        let mut world = refreshing_with(with_profile(profile));
        let begun = world.now;
        let (reason, count) = insisting(&mut world, &error("invalid_request"), hours(48));
        assert_eq!(reason.is_some(), ends, "{doubt:?}");
        assert!(tries.contains(&count), "{doubt:?}: {count} tries");
        assert!(doubt != Doubt::Undecided || world.now - begun >= secs(60));
    }
}

#[test]
fn f11_a_gateways_refusal_is_never_the_end() {
    for status in [401, 403, 404, 410] {
        let json = answer(status, &json!({"timestamp": 1, "status": status, "error": "Not Found", "path": "/token"}));
        for reply in [page(status), busy(status, None), answer(status, &json!({"error": {"NotFound": 1}})), json] {
            let mut world = refreshing();
            let (reason, tries) = insisting(&mut world, &reply, hours(48));
            assert_eq!(reason, None, "{status}");
            assert!((70..=300).contains(&tries), "{tries}: slowly");
            assert!(world.trouble().contains("is the token endpoint right?"), "{}", world.trouble());
            lives(&mut world);
        }
    }
}

#[test]
fn f11_rauthy_knows_no_other_word_for_the_end() {
    let gone = answer(404, &json!({"error": "NotFound", "message": "Device Refresh Token does not exist"}));
    let rauthy = || with_profile(Profile { refresh_404: Doubt::Terminal, ..Profile::generic() });
    let mut world = refreshing_with(rauthy());
    let begun = world.now;
    assert_eq!(insisting(&mut world, &gone, hours(1)).0, Some(Reason::Revoked));
    assert!(world.now - begun >= secs(60), "the same is said while its database is away");
    let mut world = refreshing_with(rauthy());
    assert_eq!(insisting(&mut world, &page(403), hours(48)).0, None);
}

#[test]
fn f11_glewlwyd_has_no_word_at_all_for_the_end() {
    let silent = || with_profile(Profile { refresh_empty_400: Doubt::Terminal, ..Profile::generic() });
    let mut world = refreshing_with(silent());
    let begun = world.now;
    assert_eq!(insisting(&mut world, &busy(400, None), hours(1)).0, Some(Reason::Revoked));
    assert!(world.now - begun >= secs(60));
    for reply in [page(400), busy(403, None), busy(503, None)] {
        let mut world = refreshing_with(silent());
        assert_eq!(insisting(&mut world, &reply, hours(48)).0, None);
    }
    let mut world = refreshing();
    assert_eq!(insisting(&mut world, &busy(400, None), hours(48)).0, None, "elsewhere it is nobody's word");
}

#[test]
fn f12_a_wish_for_a_person_is_policy_and_a_ban_the_operators() {
    for word in ["interaction_required", "login_required", "consent_required"] {
        let mut world = refreshing();
        world.reply(error(word));
        assert_eq!(world.reason(), Some(Reason::Policy), "{word}");
    }
    for word in ["admin_policy_enforced", "org_internal"] {
        let mut world = refreshing();
        world.reply(error(word));
        assert_eq!((world.state(), world.reason()), (State::Misconfigured, None), "{word}");
        lives(&mut world);
    }
}

#[test]
fn f13_access_denied_counts_when_it_is_said_twice() {
    let mut world = refreshing();
    assert_eq!(insisting(&mut world, &error("access_denied"), hours(1)), (Some(Reason::Policy), 2));
    let mut world = refreshing();
    for number in 1..6 {
        world.reply(error("access_denied"));
        assert!(world.pause() >= 21_000);
        world.reply(tokens(&format!("at-{number}"), None, Some(3600)));
        assert_eq!(world.state(), State::Active);
        world.pause();
    }
}

#[test]
fn f14_an_unknown_word_is_undecided() {
    let mut world = refreshing();
    let begun = world.now;
    let (reason, tries) = insisting(&mut world, &error("never_heard_of"), hours(1));
    assert!(reason == Some(Reason::Revoked) && tries >= 4 && world.now - begun >= secs(60), "{tries}");
}

#[test]
fn f15_an_error_counts_before_the_status() {
    let mut world = refreshing();
    world.reply(answer(200, &json!({"error": "bad_refresh_token", "access_token": "at-x", "refresh_token": "rt-x"})));
    assert_eq!((world.reason(), world.token()), (Some(Reason::Revoked), None));
}

#[test]
fn f16_a_lone_refresh_token_is_kept_and_used() {
    for (member, value) in
        [("access_token", json!(null)), ("token_type", json!("DPoP")), ("access_token", json!("a\nb"))]
    {
        let mut body = json!({"access_token": "at-x", "refresh_token": "rt-1", "expires_in": 3600});
        body[member] = value;
        let mut world = refreshing();
        world.reply(answer(200, &body));
        assert_eq!(
            (&world.on_disk()["grant"]["refresh_token"], world.token().as_deref()),
            (&json!("rt-1"), Some("at-0"))
        );
        assert_eq!(world.on_disk()["refreshing"], true);
        assert!(world.pause() <= 2_000);
        assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-1");
        world.reply(tokens("at-2", None, Some(3600)));
        assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-2")));
    }
}

#[test]
fn retry_after_counts_for_every_kind_of_failure() {
    for reply in [busy(503, Some(900)), busy(502, Some(900))] {
        let mut world = refreshing();
        world.reply(reply);
        assert!((900_000..=1_150_000).contains(&world.pause()), "and up to four minutes while nobody waits");
    }
    let mut world = refreshing();
    world.reply(Ok(Response { retry_after: Some(secs(900)), ..error("invalid_request").expect("a reply") }));
    assert!((900_000..=990_000).contains(&world.pause()));
}

#[test]
fn callers_get_the_old_token_until_it_ends_whatever_fails() {
    for reply in [unsent(), lost(), out_of_time(), page(404), busy(503, None), error("invalid_client")] {
        let mut world = refreshing();
        world.reply(reply);
        let need = Need { attempts: world.snapshot().attempts, ..Need::default() };
        assert!(matches!(world.snapshot().answer(&need, world.boot_now()), Answer::Token(_)), "{}", world.trouble());
    }
}

fn polling() -> World {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(code(5, 1800));
    world.pause();
    world.expect(What::Poll);
    world
}

#[test]
fn poll_an_outage_slows_down_and_three_server_errors_end_the_code() {
    let mut world = polling();
    let replies = [error("server_error"), error("server_error"), busy(429, None), page(502), busy(503, None)];
    world.pauses_after(replies);
    world.reply(error("server_error"));
    assert_eq!(world.reason(), Some(Reason::CodeExpired), "a proxy's noise between them is no answer of the server");
    for between in ["authorization_pending", "slow_down", "temporarily_unavailable"] {
        let mut world = polling();
        world.pauses_after(["server_error", "server_error", between, "server_error", "server_error"].map(error));
        assert_eq!(world.state(), State::Authorizing, "{between} is");
    }
}

#[test]
fn poll_a_gateways_json_ends_nothing() {
    let mut world = polling();
    let rauthy = answer(500, &json!({"error": "invalid_request"}));
    world.pauses_after([
        answer(404, &json!({"error": "Not Found"})),
        rauthy,
        answer(403, &json!({"error": "Forbidden"})),
    ]);
    assert_eq!(world.state(), State::Authorizing);
    world.reply(tokens("at-0", None, Some(3600)));
    assert_eq!(world.state(), State::Active);
}

#[test]
fn de_too_many_codes_are_not_asked_for_again_before_the_server_says() {
    let refusals = [
        (answer(429, &json!({"error": "slow_down"})), 0),
        (answer(403, &json!({"error_code": "rate_limit_exceeded"})), 0),
        (busy(429, Some(1200)), 1200),
        (answer(429, &json!({"error": "invalid_request"})), 0),
    ];
    for (reply, pause) in refusals {
        let mut world = World::new(LoginMode::OnDemand);
        world.login();
        world.reply(reply);
        assert!(!world.snapshot().login_starting && !world.trouble().is_empty());
        world.need(secs(0));
        assert_eq!(world.count(What::DeviceAuthorization), 1, "no loop");
        world.pass(secs(pause.max(900)));
        world.need(secs(0));
        assert_eq!(world.count(What::DeviceAuthorization), 2);
    }
}
