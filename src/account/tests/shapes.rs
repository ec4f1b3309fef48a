//! The shapes in which providers answer, each replayed with its profile and nothing else: a code, patience, an approval,
//! refreshes, and every way to an end. Bodies are those of the providers' documents and sources, values made up.

use serde_json::{Value, json};

use super::{LoginMode, Reason, State, What, World, client, replies, secs};
use crate::oauth::{
    client::Client,
    exchange::{Response, Unreachable},
    profile::Profile,
};

type Shape = (u16, Value);

/// The answer; `null` stands for one without a body.
fn answer(status: u16, body: &Value) -> Result<Response, Unreachable> {
    if body.is_null() { replies::busy(status, None) } else { replies::answer(status, body) }
}

/// How one provider speaks; `None` for what it never says.
struct Provider {
    name: &'static str,
    device: Value,
    pending: Shape,
    slow_down: Option<Shape>,
    denied: Option<Shape>,
    expired: Option<Shape>,
    tokens: Value,
    refreshed: Value,
    refused: Shape,
}

fn error(status: u16, word: &str) -> Shape {
    (status, json!({"error": word, "error_description": "in the provider's own words"}))
}

/// A provider that speaks as the standards have it.
fn standard(name: &'static str) -> Provider {
    Provider {
        name,
        device: json!({"device_code": "dc", "user_code": "WDJB-MJHT", "verification_uri": "https://as.example/device",
                       "verification_uri_complete": "https://as.example/device?user_code=WDJB-MJHT",
                       "expires_in": 600, "interval": 5}),
        pending: error(400, "authorization_pending"),
        slow_down: Some(error(400, "slow_down")),
        denied: Some(error(400, "access_denied")),
        expired: Some(error(400, "expired_token")),
        tokens: json!({"access_token": "at-0", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-0"}),
        refreshed: json!({"access_token": "at-1", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "rt-1"}),
        refused: error(400, "invalid_grant"),
    }
}

fn providers() -> Vec<Provider> {
    let plain = ["generic", "gitlab", "okta", "pingfederate", "zitadel", "wso2"].map(standard);
    let mut all = Vec::from(plain);
    all.push(Provider {
        device: json!({"device_code": "kinde_dc_x", "user_code": "CSLDFDUU", "verification_uri": "https://a.kinde.com/device",
                       "qr_code": "data:image/png;base64,iVBORw0KGgo=", "expires_in": 600, "interval": 5}),
        denied: Some(error(403, "access_denied")),
        tokens: json!({"access_token": "at-0", "expires_in": 86_400, "scope": "", "token_type": "bearer", "refresh_token": "rt-0"}),
        refreshed: json!({"access_token": "at-1", "token_type": "Bearer", "refresh_token": "rt-1"}),
        ..standard("kinde")
    });
    let fosite =
        |word, code: u16| (code, json!({"error": word, "error_hint": "x", "error_debug": "y", "status_code": code}));
    all.push(Provider {
        slow_down: None,
        denied: Some(fosite("access_denied", 403)),
        refused: fosite("invalid_grant", 400),
        ..standard("hydra")
    });
    all.push(Provider {
        tokens: json!({"access_token": "at-0", "expires_in": 300, "refresh_expires_in": 0, "refresh_token": "rt-0",
                       "token_type": "Bearer", "not-before-policy": 0, "session_state": "s", "scope": "openid"}),
        ..standard("keycloak")
    });
    all.push(Provider {
        pending: error(403, "authorization_pending"),
        slow_down: Some(error(429, "slow_down")),
        denied: Some(error(403, "access_denied")),
        expired: Some(error(403, "expired_token")),
        refused: error(403, "invalid_grant"),
        ..standard("auth0")
    });
    let entra = |word| (400, json!({"error": word, "error_codes": [70016], "correlation_id": "c", "trace_id": "t"}));
    all.push(Provider {
        device: json!({"device_code": "dc", "user_code": "FJS3ABC", "verification_uri": "https://microsoft.com/devicelogin",
                       "message": "To sign in, open the page", "expires_in": "900", "interval": "5"}),
        pending: entra("authorization_pending"),
        denied: Some(entra("authorization_declined")),
        expired: Some(entra("bad_verification_code")),
        refused: entra("invalid_grant"),
        ..standard("entra")
    });
    all.push(Provider {
        device: json!({"device_code": "dc", "user_code": "GQVQ-JKEC", "verification_url": "https://www.google.com/device",
                       "expires_in": 1800, "interval": 5}),
        pending: error(428, "authorization_pending"),
        slow_down: Some(error(403, "slow_down")),
        denied: Some(error(403, "access_denied")),
        refreshed: json!({"access_token": "at-1", "expires_in": 3599, "scope": "openid email", "token_type": "Bearer"}),
        ..standard("google")
    });
    all.push(Provider {
        pending: error(200, "authorization_pending"),
        slow_down: Some((200, json!({"error": "slow_down", "interval": 10}))),
        denied: Some(error(200, "access_denied")),
        expired: Some(error(200, "token_expired")),
        tokens: json!({"access_token": "at-0", "expires_in": 28_800, "refresh_token": "rt-0", "scope": "repo,gist",
                       "refresh_token_expires_in": 15_811_200, "token_type": "bearer"}),
        refused: error(200, "bad_refresh_token"),
        ..standard("github")
    });
    all.push(Provider {
        slow_down: None,
        denied: None,
        expired: Some(error(400, "invalid_grant")),
        ..standard("authentik")
    });
    let rauthy =
        |status, word| (status, json!({"timestamp": 1_800_000_000, "error": word, "message": "no such token"}));
    all.push(Provider { denied: None, refused: rauthy(404, "NotFound"), ..standard("rauthy") });
    all.push(Provider {
        tokens: json!({"token_type": "bearer", "access_token": "at-0", "refresh_token": "rt-0", "iat": 1_800_000_000,
                       "expires_in": 3600, "scope": "openid"}),
        refreshed: json!({"access_token": "at-1", "token_type": "bearer", "expires_in": 3600, "scope": "openid",
                          "iat": 1_800_003_600, "refresh_token": "rt-1"}),
        refused: (400, Value::Null),
        ..standard("glewlwyd")
    });
    all.push(Provider {
        denied: None,
        refused: (400, json!({"error": "invalid_request", "error_description": "Refresh token is invalid or has already been claimed"})),
        ..standard("dex")
    });
    let twitch = |word| (400, json!({"status": 400, "message": word}));
    all.push(Provider {
        pending: twitch("authorization_pending"),
        slow_down: Some(twitch("slow_down")),
        denied: None,
        expired: Some(twitch("invalid device code")),
        tokens: json!({"access_token": "at-0", "expires_in": 14_400, "refresh_token": "rt-0", "scope": ["a", "b"], "token_type": "bearer"}),
        refused: (400, json!({"error": "Bad Request", "status": 400, "message": "Invalid refresh token"})),
        ..standard("twitch")
    });
    let issued = json!({"access_token": "at-0", "refresh_token": "rt-0", "instance_url": "https://a.my.salesforce.com",
                        "issued_at": "1800000000000", "scope": "api refresh_token", "token_type": "Bearer"});
    all.push(Provider {
        device: json!({"device_code": "dc", "user_code": "JKHM5K36", "verification_uri": "https://login.salesforce.com/setup/connect",
                       "interval": 5}),
        refreshed: json!({"access_token": "at-1", "issued_at": "1800003600000", "token_type": "Bearer"}),
        tokens: issued,
        ..standard("salesforce")
    });
    all
}

/// A world at this provider, where a code is out and a poll is in flight.
fn polling(provider: &Provider) -> World {
    let profile = Profile::built_in(provider.name).unwrap_or_else(|| panic!("{} has no profile", provider.name));
    let mut world = World::with(Client { profile: profile.into(), ..client() }, LoginMode::Manual);
    world.login();
    world.expect(What::DeviceAuthorization);
    world.reply(answer(200, &provider.device));
    assert_eq!(world.state(), State::Authorizing, "{}: {}", provider.name, world.trouble());
    world.pause();
    world.expect(What::Poll);
    world
}

#[test]
fn every_provider_is_signed_in_refreshed_and_believed_when_it_ends_the_grant() {
    for provider in providers() {
        let name = provider.name;
        let mut world = polling(&provider);
        world.reply(answer(provider.pending.0, &provider.pending.1));
        let usual = world.pause();
        if let Some((status, body)) = &provider.slow_down {
            world.reply(answer(*status, body));
            assert_eq!(world.pause(), usual + 5_000, "{name}");
        }
        world.reply(answer(200, &provider.tokens));
        assert_eq!(
            (world.token().as_deref(), world.state()),
            (Some("at-0"), State::Active),
            "{name}: {}",
            world.trouble()
        );
        world.pass(secs(60));
        world.refresh();
        assert_eq!(world.expect(What::Refresh).field("refresh_token"), "rt-0", "{name}");
        world.reply(answer(200, &provider.refreshed));
        assert_eq!(
            (world.token().as_deref(), world.state()),
            (Some("at-1"), State::Active),
            "{name}: {}",
            world.trouble()
        );
        world.pass(secs(60));
        world.refresh();
        let kept = provider.refreshed["refresh_token"].as_str().unwrap_or("rt-0");
        assert_eq!(world.expect(What::Refresh).field("refresh_token"), kept, "{name}");
        world.reply(answer(provider.refused.0, &provider.refused.1));
        // A gateway says 404 too, and less; so that is believed after some tries alone. The others' word counts at once.
        let at_once = provider.refused.0 != 404 && !provider.refused.1.is_null();
        for _ in 0..8 {
            if world.state() != State::SignedOut {
                assert!(!at_once, "{name}: {}", world.trouble());
                world.pause();
                world.reply(answer(provider.refused.0, &provider.refused.1));
            }
        }
        assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Revoked)), "{name}");
    }
}

#[test]
fn every_providers_no_and_every_providers_end_of_a_code_is_understood() {
    for provider in providers() {
        for (shape, reason) in [(&provider.denied, Reason::Denied), (&provider.expired, Reason::CodeExpired)] {
            let Some((status, body)) = shape else { continue };
            let mut world = polling(&provider);
            world.reply(answer(*status, body));
            assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(reason)), "{} {body}", provider.name);
        }
    }
}

#[test]
fn every_profile_has_its_shapes_here() {
    let here: Vec<_> = providers().into_iter().map(|provider| provider.name).collect();
    let missing: Vec<_> = Profile::names().filter(|name| !here.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
