//! How a login begins and ends: discovery, approval, refusal, and the ways in which it comes to nothing.

use serde_json::json;

use super::{
    LoginMode, Reason, State, What, World, client, hours,
    replies::{answer, busy, code, error, lost, page, tokens, unsent},
    secs,
};
use crate::{
    account::{Answer, Fault, Need},
    oauth::{
        client::{Client, Endpoints},
        client_auth::{BasicHalves, ClientAuth},
    },
    secret::Secret,
};

fn polling() -> World {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(code(5, 1800));
    world.pause();
    world.expect(What::Poll);
    world
}

fn discovering(issuer: &str) -> World {
    let bare = Client { issuer: Some(issuer.into()), endpoints: Endpoints::default(), ..client() };
    let mut world = World::with(bare, LoginMode::OnDemand);
    world.login();
    world.expect(What::Discovery);
    world
}

fn metadata(issuer: &str) -> serde_json::Value {
    json!({"issuer": issuer, "token_endpoint": "https://as.example/t", "revocation_endpoint": "https://as.example/r",
           "device_authorization_endpoint": "https://as.example/d"})
}

#[test]
fn approval_brings_the_token_once_it_is_on_disk() {
    let mut world = polling();
    world.disk = super::Disk::Slow;
    world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
    assert_eq!((world.token(), world.state()), (None, State::Refreshing), "not signed out again while it is written");
    world.need(secs(0));
    world.written(true);
    world.settle();
    assert_eq!((world.token().as_deref(), world.state()), (Some("at-0"), State::Active));
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-0");
    world.pass(secs(600));
    assert_eq!(world.count(What::Poll), 1, "never polled again after success");
    assert_eq!(world.count(What::DeviceAuthorization), 1);
}

#[test]
fn a_no_is_a_no_in_every_servers_words() {
    for word in ["access_denied", "authorization_declined"] {
        let mut world = polling();
        world.reply(error(word));
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Denied)), "{word}");
        assert!(world.trouble().contains("access_denied"));
    }
}

#[test]
fn every_other_refusal_ends_the_login_as_well() {
    for (word, reason) in [
        ("expired_token", Reason::CodeExpired),
        ("token_expired", Reason::CodeExpired),
        ("invalid_grant", Reason::CodeExpired),
        ("invalid_request", Reason::CodeExpired),
        ("something_new", Reason::CodeExpired),
    ] {
        let mut world = polling();
        world.reply(error(word));
        world.pass(hours(1));
        assert_eq!((world.reason(), world.count(What::Poll)), (Some(reason), 1), "{word}");
    }
}

#[test]
fn three_server_errors_in_a_row_end_the_code() {
    let mut world = polling();
    let replies = ["server_error", "server_error", "authorization_pending", "server_error", "server_error"];
    assert_eq!(world.pauses_after(replies.map(error)), [10_500, 20_500, 5_500, 10_500, 20_500]);
    world.reply(error("server_error"));
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::CodeExpired)));
}

#[test]
fn a_code_that_was_used_up_by_a_lost_reply_is_told_apart() {
    for between in [vec![], vec![unsent()], vec![busy(503, None), page(302)]] {
        let mut world = polling();
        world.pauses_after([lost()].into_iter().chain(between));
        world.reply(error("invalid_grant"));
        assert_eq!(world.reason(), Some(Reason::LostRotation));
        assert!(world.trouble().contains("a reply was lost"), "{}", world.trouble());
    }
}

#[test]
fn a_code_that_was_alive_after_the_lost_reply_was_not_used_up_by_it() {
    let mut world = polling();
    world.pauses_after([lost(), error("authorization_pending")]);
    world.reply(error("invalid_grant"));
    assert_eq!(world.reason(), Some(Reason::CodeExpired));
}

#[test]
fn success_after_a_lost_reply_is_success() {
    let mut world = polling();
    world.pauses_after([lost()]);
    world.reply(tokens("at-0", None, None));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-0")));
}

#[test]
fn a_refused_client_is_the_operators_business() {
    for word in ["invalid_client", "unauthorized_client", "unsupported_grant_type", "device_flow_disabled"] {
        let mut world = polling();
        world.reply(error(word));
        assert_eq!(world.state(), State::Misconfigured, "{word}");
        assert!(matches!(world.snapshot().answer(&Need::default(), world.boot_now()), Answer::Configuration));
    }
}

#[test]
fn a_device_code_that_the_server_echoes_is_not_shown() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(super::replies::named_code("dc-s3cret", 5, 600));
    world.pause();
    world.reply(answer(400, &json!({"error": "invalid_grant", "error_description": "no such code: dc-s3cret"})));
    assert_eq!(world.trouble(), "the server refused: invalid_grant (no such code: (removed))");
}

#[test]
fn a_client_secret_that_the_server_echoes_is_not_shown() {
    let secret = || Secret::new("s3cret");
    for auth in [ClientAuth::Post(secret()), ClientAuth::Basic(secret(), BasicHalves::Verbatim)] {
        let mut world = World::with(Client { auth, ..client() }, LoginMode::Manual);
        for step in ["the device request", "a poll", "a refresh"] {
            match step {
                "the device request" => world.login(),
                "a poll" => {
                    world.login();
                    world.reply(code(5, 600));
                    world.pause();
                }
                _ => {
                    world.sign_in(tokens("at-0", Some("rt-0"), Some(3600)));
                    world.pass(secs(60));
                    world.refresh();
                }
            }
            world.reply(answer(400, &json!({"error": "invalid_client", "error_description": "s3cret is not it"})));
            assert!(world.trouble().contains("invalid_client ((removed) is not it)"), "{step}: {}", world.trouble());
        }
    }
}

#[test]
fn a_device_request_that_fails_begins_nothing_and_says_why() {
    for (reply, fault) in [
        (unsent(), Fault::Unreachable),
        (busy(429, Some(60)), Fault::Unreachable),
        (page(200), Fault::Provider),
        (error("slow_down"), Fault::Provider),
        (error("invalid_client"), Fault::Configuration),
    ] {
        let mut world = World::new(LoginMode::Manual);
        world.login();
        world.reply(reply);
        let trouble = world.snapshot().trouble.expect("a trouble");
        assert_eq!((trouble.fault, world.reason()), (fault, Some(Reason::Never)));
        world.pass(hours(10));
        assert_eq!(world.sent.len(), 1, "by hand means by hand");
        world.login();
        world.expect(What::DeviceAuthorization);
    }
}

#[test]
fn endpoints_are_found_at_the_first_place() {
    let mut world = discovering("https://as.example/tenant");
    assert_eq!(world.sent[0].address, "https://as.example/tenant/.well-known/openid-configuration");
    world.reply(answer(200, &metadata("https://as.example/tenant")));
    assert_eq!(world.expect(What::DeviceAuthorization).address, "https://as.example/d");
    world.reply(code(5, 600));
    world.pause();
    assert_eq!(world.expect(What::Poll).address, "https://as.example/t");
}

#[test]
fn endpoints_are_found_at_the_second_place() {
    for first in [page(404), page(200), answer(200, &metadata("https://other.example"))] {
        let mut world = discovering("https://as.example/tenant");
        world.reply(first);
        let address = "https://as.example/.well-known/oauth-authorization-server/tenant";
        assert_eq!(world.expect(What::Discovery).address, address);
        world.reply(answer(200, &metadata("https://as.example/tenant")));
        world.expect(What::DeviceAuthorization);
    }
}

#[test]
fn what_only_the_operator_can_mend_is_said_so() {
    let mut no_device = metadata("https://as.example");
    no_device["device_authorization_endpoint"] = json!(null);
    for (reply, text) in [
        (answer(200, &metadata("https://as.example/")), "another issuer"),
        (answer(200, &no_device), "no device authorization endpoint"),
        (page(404), "no metadata document"),
    ] {
        let mut world = discovering("https://as.example");
        world.reply(reply.clone());
        if world.out.is_some() {
            world.reply(reply);
        }
        assert_eq!(world.state(), State::Misconfigured, "{text}");
        assert!(world.trouble().contains(text), "{}", world.trouble());
    }
}

#[test]
fn a_captive_portal_is_nobodys_misconfiguration() {
    for portal in [page(200), page(302), page(511), busy(503, None), busy(429, None)] {
        let mut world = discovering("https://as.example");
        world.reply(portal.clone());
        world.reply(portal);
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Never)), "{}", world.trouble());
        world.need(secs(0));
        assert!(world.out.is_none(), "not at once");
        world.pass(secs(20));
        world.need(secs(0));
        world.expect(What::Discovery);
    }
}

#[test]
fn a_login_does_without_metadata_that_were_found_before() {
    let mut world = discovering("https://as.example");
    world.reply(answer(200, &metadata("https://as.example")));
    world.reply(code(5, 600));
    world.pause();
    world.reply(tokens("at-0", Some("rt-0"), Some(3600)));
    world.logout();
    world.reboot(secs(60));
    world.login();
    while world.sent.last().expect("a request").what != What::Discovery {
        world.reply(answer(200, &json!({})));
    }
    world.reply(unsent());
    assert_eq!(world.expect(What::DeviceAuthorization).address, "https://as.example/d");
    world.reply(code(5, 600));
    assert_eq!(world.state(), State::Authorizing);
}

#[test]
fn a_refusal_says_what_to_do_about_it() {
    let mut world = World::new(LoginMode::Manual);
    world.login();
    world.reply(error("unauthorized_client"));
    assert_eq!(world.state(), State::Misconfigured);
    assert_eq!(
        world.trouble(),
        "the server refused: unauthorized_client; allow this client the device grant at the server, and refresh tokens"
    );
}

#[test]
fn a_need_tries_again_after_the_operators_pause() {
    let mut world = discovering("https://as.example");
    world.reply(page(404));
    world.reply(page(404));
    world.pass(secs(3590));
    world.need(secs(0));
    assert!(world.out.is_none(), "too early");
    world.pass(secs(10));
    world.need(secs(0));
    world.expect(What::Discovery);
}

#[test]
fn without_endpoints_and_without_an_issuer_nothing_spins() {
    for issuer in [None, Some("not a url".to_owned())] {
        let bare = Client { issuer, endpoints: Endpoints::default(), ..client() };
        let mut world = World::with(bare, LoginMode::Auto);
        world.login();
        assert_eq!(world.state(), State::Misconfigured);
        world.pass(hours(24));
        assert_eq!(world.sent.len(), 0);
    }
}
