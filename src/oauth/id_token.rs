//! The claims of an ID token (OpenID Connect Core §2), and of an access token that happens to be a JWT.
//!
//! No signature is checked: an ID token that came straight from the token endpoint over TLS needs none (§3.1.3.7), and
//! an access token's claims only ever shorten its life here.

use std::time::Duration;

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};

use super::members::{Members, TEN_YEARS};
use crate::secret::Secret;

/// What an ID token says about who signed in, and for whom it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdToken {
    /// `iss`
    pub issuer: String,
    /// `sub`: who signed in.
    pub subject: String,
    /// `aud`
    pub audience: Vec<String>,
    /// `exp` in Unix seconds.
    pub expires: Option<u64>,
}

impl IdToken {
    /// Reads the claims; `None` for what is no signed JWT, or says neither who nor by whom.
    pub fn read(token: &Secret) -> Option<Self> {
        let claims = claims(token)?;
        Some(Self {
            issuer: claims.text("iss")?.to_owned(),
            subject: claims.text("sub")?.to_owned(),
            audience: claims.list("aud").into_iter().map(str::to_owned).collect(),
            expires: claims.moment("exp"),
        })
    }
}

/// The lifetime that a JWT states by its own `iat` and `exp`, whatever the clocks say; ten years at most.
pub fn stated_lifetime(token: &Secret) -> Option<Duration> {
    let claims = claims(token)?;
    let stated = claims.moment("exp")?.checked_sub(claims.moment("iat")?).map(Duration::from_secs);
    stated.map(|lifetime| lifetime.min(TEN_YEARS))
}

/// The end in Unix seconds that is written in a JWT: the same token can never live longer.
pub fn fixed_end(token: &Secret) -> Option<u64> {
    claims(token)?.moment("exp")
}

fn claims(token: &Secret) -> Option<Members> {
    let mut parts = token.expose().split('.');
    let (_header, payload, _signature) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    json.starts_with(b"{").then(|| Members::read(&json))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> Secret {
        let part = |json: &str| BASE64_URL_SAFE_NO_PAD.encode(json);
        Secret::new(format!("{}.{}.c2ln", part(r#"{"alg":"RS256"}"#), part(claims)))
    }

    #[test]
    fn the_claims_are_read_in_each_form_that_the_standard_allows() {
        let one = IdToken::read(&jwt(r#"{"iss":"https://a","sub":"7","aud":"box","exp":1800000000}"#)).expect("claims");
        assert_eq!((one.issuer.as_str(), one.subject.as_str(), one.expires), ("https://a", "7", Some(1_800_000_000)));
        assert_eq!(one.audience, ["box"]);
        let two =
            IdToken::read(&jwt(r#"{"iss":"https://a","sub":"7","aud":["x","box"],"exp":1.8e9}"#)).expect("claims");
        assert_eq!((two.audience, two.expires), (vec!["x".to_owned(), "box".to_owned()], Some(1_800_000_000)));
    }

    #[test]
    fn what_is_no_signed_jwt_says_nothing() {
        for token in ["", "opaque", "a.b", "a.b.c", "a.e30.c.d.e", "..", "a.W10.c"] {
            assert_eq!(IdToken::read(&Secret::new(token)), None, "{token}");
        }
        for claims in ["{}", r#"{"iss":"https://a"}"#, r#"{"iss":"https://a","sub":7}"#, "null", "a=b"] {
            assert_eq!(IdToken::read(&jwt(claims)), None, "{claims}");
        }
    }

    #[test]
    fn a_lifetime_needs_both_ends() {
        assert_eq!(stated_lifetime(&jwt(r#"{"iat":100,"exp":160}"#)), Some(Duration::from_secs(60)));
        let endless = stated_lifetime(&jwt(r#"{"iat":0,"exp":18446744073709551615}"#));
        assert_eq!(endless, Some(TEN_YEARS), "no sum with it overflows");
        for claims in ["{}", r#"{"exp":160}"#, r#"{"iat":160,"exp":100}"#, r#"{"iat":"x","exp":-1}"#] {
            assert_eq!(stated_lifetime(&jwt(claims)), None, "{claims}");
        }
        assert_eq!((fixed_end(&jwt(r#"{"exp":160}"#)), fixed_end(&Secret::new("opaque"))), (Some(160), None));
    }
}
