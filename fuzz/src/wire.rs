//! The readers of `oauth`: a body, a header or a token in, a value or a failure out.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bearerd::{
    oauth::{
        client::Client,
        client_auth::Method,
        device::DeviceAuthorization,
        dpop::{ProofKey, Statement},
        error::{ErrorCode, Failure, Refusal},
        exchange::{Endpoint, Unreachable, is_protected},
        id_token::{IdToken, fixed_end, stated_lifetime},
        members::Members,
        metadata,
        profile::Profile,
        registration::Registration,
        token::TokenResponse,
    },
    platform::headers::{date, pause},
    secret::Secret,
};
use serde_json::Value;
use url::Url;

use super::{TEN_YEARS, an_answer, is_harmless};

/// The lenient reader: any body, every way to ask it for a member.
pub fn members(data: &[u8]) {
    let Some(members) = Members::read(data) else { return };
    let aliases = BTreeMap::from([("b".to_owned(), "a".to_owned())]);
    let members = members.renamed(&aliases);
    for name in ["a", "b", "scope", "expires_in", "exp"] {
        assert!(members.text(name).is_none_or(|text| !text.is_empty()));
        assert!(members.seconds(name).is_none_or(|pause| pause.as_secs() <= TEN_YEARS));
        let _ = (members.moment(name), members.list(name));
        for separator in [None, Some(',')] {
            let Some(words) = members.words(name, separator) else { continue };
            assert!(!words.is_empty() && is_harmless(&words), "{words:?}");
        }
        if let Some(inner) = members.members(name) {
            let _ = (inner.text("a"), inner.seconds("a"));
        }
    }
}

/// The device authorization answer.
pub fn device(data: &[u8]) {
    let (response, profile) = an_answer(data);
    match DeviceAuthorization::read(&response, profile) {
        Ok(got) => {
            assert!((200..300).contains(&response.status), "only a success is one");
            assert!(!got.device_code.expose().is_empty());
            assert!((1..=64).contains(&got.user_code.len()) && is_harmless(&got.user_code));
            assert!(!got.user_code.contains('\\'), "agetty would act on it");
            for uri in [Some(&got.verification_uri), got.verification_uri_complete.as_ref()].into_iter().flatten() {
                assert!(uri.len() <= 512 && is_harmless(uri) && !uri.contains([' ', '\\', '<', '>', '"']), "{uri:?}");
                assert!(is_protected(&Url::parse(uri).expect("a URL")), "{uri:?}");
            }
            assert!(got.expires_in.as_secs() <= TEN_YEARS && got.interval.as_secs() <= TEN_YEARS);
            assert!(got.interval >= Duration::from_secs(1), "{:?} would be a hot loop", got.interval);
            let picture = got.qr_code.as_deref().unwrap_or("data:image/png;base64,");
            assert!(picture.starts_with("data:image/png;base64,") && is_harmless(picture) && !picture.contains('"'));
        }
        Err(failure) => check_failure(&failure),
    }
}

/// The answer of the token endpoint to a poll, a refresh or an exchange.
pub fn token(data: &[u8]) {
    let (response, profile) = an_answer(data);
    let proven = data.first().is_some_and(u8::is_ascii_uppercase);
    match TokenResponse::read(&response, profile, proven) {
        Ok(got) => {
            assert!((200..300).contains(&response.status), "only a success is one");
            let graphic = |token: &Secret| token.expose().bytes().all(|byte| byte.is_ascii_graphic());
            assert!(!got.access_token.expose().is_empty() && graphic(&got.access_token));
            assert!(got.id_token.as_ref().is_none_or(|token| !token.expose().is_empty() && graphic(token)));
            assert!(got.refresh_token.as_ref().is_none_or(|token| !token.expose().is_empty()));
            assert!(got.expires_in.is_none_or(|lifetime| lifetime.as_secs() <= TEN_YEARS), "{:?}", got.expires_in);
            assert!(proven || !got.key_bound, "nobody has the key");
            assert!(got.scope.is_none_or(|scope| !scope.is_empty() && is_harmless(&scope)));
            let fit = |text: &String| text.len() <= 2048 && !text.chars().any(char::is_control);
            assert!(got.passed.values().all(fit), "{:?}", got.passed);
            let lone = TokenResponse::lone_refresh_token(&response, profile);
            assert_eq!(lone.is_some(), got.refresh_token.is_some());
        }
        Err(failure) => check_failure(&failure),
    }
}

/// The answer to a client's registration. The first of its circumstances, in upper case, asks for a client with a secret.
pub fn registration(data: &[u8]) {
    let (response, profile) = an_answer(data);
    let secretive = data.first().is_some_and(u8::is_ascii_uppercase);
    let method = if secretive { Method::ClientSecretBasic } else { Method::None };
    match (Registration { name: "box", method, scopes: &[] }).read(&response, profile) {
        Ok(got) => {
            assert!((200..300).contains(&response.status), "only a success is one");
            assert!(!got.client_id.is_empty() && is_harmless(&got.client_id), "{:?}", got.client_id);
            assert_eq!(got.secret.is_some(), got.method.needs_secret(), "a secret where one is needed, and only there");
            assert!(!got.method.needs_key(), "nobody has the key");
            assert!(got.secret.is_none_or(|secret| !secret.expose().is_empty() && is_harmless(secret.expose())));
            for scope in got.scopes.into_iter().flatten() {
                assert!(!scope.is_empty() && is_harmless(&scope) && !scope.contains(' '), "{scope:?}");
            }
            assert!(got.management.is_none_or(|way| !way.uri.is_empty() && !way.token.expose().is_empty()));
        }
        Err(failure) => check_failure(&failure),
    }
}

/// Every way in which an answer is a failure, and what is said of it; what we sent may be anywhere in it.
pub fn error(data: &[u8]) {
    let (response, profile) = an_answer(data);
    let secret = Secret::new(SENT);
    if let Err(failure) = Failure::check(&response, profile) {
        check_failure(&failure);
        let shown = failure.without(&[&secret]).to_string();
        assert!(!shown.contains(SENT), "{shown}");
    }
    if let Ok(text) = std::str::from_utf8(&response.body) {
        let lost = Failure::Unreachable(Unreachable::lost(bearerd::oauth::error::harmless(text, 200)));
        check_failure(&lost);
        assert!(!lost.without(&[&secret]).to_string().contains(SENT));
    }
}

/// Authorization server metadata.
pub fn metadata(data: &[u8]) {
    let (response, profile) = an_answer(data);
    let client = Client {
        issuer: Some(ISSUER.into()),
        issuer_pin: Some("https://pin.example/{tenant}/v2.0".into()),
        profile: Arc::new(profile.clone()),
        ..Client::default()
    };
    let Ok(found) = metadata::read(&response, &client) else { return };
    assert_eq!(response.status, 200);
    let named = Members::read(&response.body).expect("members");
    let named = named.text("issuer").expect("an issuer");
    assert!(named == ISSUER || named.starts_with("https://pin.example/") && named.ends_with("/v2.0"), "{named:?}");
    for endpoint in [found.device_authorization, found.token, found.revocation].into_iter().flatten() {
        check_endpoint(&endpoint);
    }
}

/// An ID token, or an access token that happens to be a JWT. What begins like JSON is taken as claims.
pub fn id_token(data: &[u8]) {
    let token = match (data.first(), std::str::from_utf8(data)) {
        (Some(b'{'), _) => format!("eyJ9.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(data)),
        (_, Ok(text)) => text.to_owned(),
        _ => return,
    };
    let token = Secret::new(token);
    if let Some(claims) = IdToken::read(&token) {
        assert!(!claims.issuer.is_empty() && !claims.subject.is_empty());
        assert_eq!(claims.expires, fixed_end(&token));
    }
    let lifetime = stated_lifetime(&token);
    assert!(lifetime.is_none_or(|lifetime| lifetime.as_secs() <= TEN_YEARS), "{lifetime:?}");
}

/// The headers that say when to come back, and what time it is: a line for each, in the order of [`PAUSES`].
pub fn headers(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let lines: Vec<&str> = text.split('\n').collect();
    let line =
        |name: &str| lines.get(PAUSES.iter().position(|known| *known == name)?).copied().filter(|v| !v.is_empty());
    for now in [0, 1_800_000_000, u64::MAX] {
        let asked = pause(line, Duration::from_secs(now));
        // Whoever adds it to a moment has to be able to.
        let _ = bearerd::time::Instant::from_boot(Duration::from_secs(now)) + asked.unwrap_or_default();
        assert!(asked.is_none() || lines.iter().any(|line| !line.is_empty()), "nobody asked");
    }
    for line in lines {
        let _ = date(line);
    }
}

/// A nonce that a server gave out, and an address: they come back in the proof as they are.
pub fn dpop(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (nonce, uri) = text.split_once('\n').unwrap_or((text, "https://as.example/token?x#y"));
    let Ok(uri) = Url::parse(uri) else { return };
    let key = ProofKey::from_entropy([7; 32]);
    let statement = Statement { method: "POST", uri: &uri, nonce: Some(nonce), token_hash: None };
    let proof = key.prove(&statement, 1_800_000_000, "id").expect("a proof");
    let parts: Vec<&str> = proof.split('.').collect();
    assert_eq!(parts.len(), 3);
    let decoded = |part: &str| {
        let json = BASE64_URL_SAFE_NO_PAD.decode(part).expect("base64url");
        serde_json::from_slice::<Value>(&json).expect("JSON")
    };
    let (header, claims) = (decoded(parts[0]), decoded(parts[1]));
    assert_eq!(
        (&header["typ"], &header["alg"], &header["jwk"]["d"]),
        (&"dpop+jwt".into(), &"ES256".into(), &Value::Null)
    );
    assert_eq!((&claims["nonce"], &claims["htm"]), (&nonce.into(), &"POST".into()));
    assert!(claims["htu"].as_str().is_some_and(|htu| !htu.contains(['?', '#'])), "{claims}");
}

/// Words that people read.
pub fn check_failure(failure: &Failure) {
    let text = failure.to_string();
    // A remedy is ours, and says as much as it likes.
    let (length, remedy) = match failure {
        Failure::Refused(Refusal { remedy, .. }) => (450, remedy.as_ref().map_or(0, String::len)),
        _ => (450, 0),
    };
    assert!(is_harmless(&text) && text.len() <= length + remedy, "{text:?}");
    assert!(!text.is_empty());
    if let Failure::Refused(refusal) = failure {
        assert!(!refusal.error.as_str().is_empty() && refusal.error.as_str().len() <= 64);
        assert!(refusal.interval.is_none_or(|pause| pause.as_secs() <= TEN_YEARS));
        let again = ErrorCode::read(refusal.error.as_str(), &Profile::default().error_aliases);
        assert_eq!(again, refusal.error, "what is shown is read as what it is");
    }
    let _ = (failure.is_ambiguous(), failure.retry_after());
}

/// Where a secret may go.
pub fn check_endpoint(endpoint: &Endpoint) {
    let url = endpoint.url();
    assert!(is_protected(url) && url.fragment().is_none() && url.username().is_empty() && url.password().is_none());
    assert!(is_harmless(endpoint.as_str()), "{endpoint}");
    assert_eq!(Endpoint::parse(endpoint.as_str()).as_ref(), Ok(endpoint), "it is the same when it is read again");
}

const ISSUER: &str = "https://as.example";
/// In the order of the lines of an input for [`headers`].
const PAUSES: [&str; 3] = ["retry-after", "ratelimit-reset", "x-retry-not-before"];
/// What a request carried.
const SENT: &str = "rt-0123456789abcdef";
