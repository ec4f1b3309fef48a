//! The token answer (RFC 6749 §5.1).

use std::{collections::BTreeMap, time::Duration};

use super::{
    error::{Failure, Found},
    exchange::Response,
    id_token,
    members::Members,
    profile::Profile,
};
use crate::secret::Secret;

/// A successful answer of the token endpoint.
#[derive(Clone)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: Secret,
    /// It is bound to the key of the request's proof (RFC 9449 §5), and no bearer token.
    pub key_bound: bool,
    /// How long it lives, counted from the request: what the server or the token itself says, whichever is less. Absent
    /// means unknown, zero means it is over already.
    pub expires_in: Option<Duration>,
    /// The next refresh token; without one, the old one stays in use (RFC 6749 §6).
    pub refresh_token: Option<Secret>,
    /// The granted scope, where the server says it. Absent, and empty as Kinde has it, mean "as asked for".
    pub scope: Option<String>,
    /// The ID token (OpenID Connect).
    pub id_token: Option<Secret>,
    /// What the profile lets through to callers, by name: texts without control characters.
    pub passed: BTreeMap<String, String>,
}

impl TokenResponse {
    /// Reads the answer of the token endpoint to a request that was `proven` to come from the owner of a key, or was not.
    pub fn read(response: &Response, profile: &Profile, proven: bool) -> Result<Self, Failure> {
        let members = Failure::check(response, profile)?;
        let garbled = |found| Failure::Garbled { status: response.status, found: Found::Unusable(found) };
        let access_token = members.text("access_token").ok_or(garbled("a reply without access_token"))?;
        let graphic = |token: &&str| token.bytes().all(|b| b.is_ascii_graphic());
        if !graphic(&access_token) {
            return Err(garbled("an access token that no header can carry"));
        }
        // Case does not count (RFC 6749 §5.1), and several servers leave the type out.
        let token_type = members.text("token_type").unwrap_or("bearer").to_ascii_lowercase();
        let key_bound = match (token_type.as_str(), proven) {
            ("bearer", _) => false,
            ("dpop", true) => true,
            ("dpop", false) => return Err(garbled("a token that is bound to a key which nobody here has")),
            _ => return Err(garbled("a token of a type that nobody here can use")),
        };
        let access_token = Secret::new(access_token);
        Ok(Self {
            // Kinde's documents show refreshes that are answered without a lifetime.
            expires_in: [members.seconds("expires_in"), id_token::stated_lifetime(&access_token)]
                .into_iter()
                .flatten()
                .min()
                .or(profile.default_expires_in),
            access_token,
            key_bound,
            refresh_token: members.text("refresh_token").map(Secret::new),
            scope: members.words("scope", profile.scope_separator),
            // A JWT has no other characters (RFC 7515 §3.1); whatever has is none.
            id_token: members.text("id_token").filter(graphic).map(Secret::new),
            passed: passed(&members, profile),
        })
    }

    /// The refresh token of an answer that brought no access token anybody could use: it may have replaced the old one
    /// all the same.
    pub fn lone_refresh_token(response: &Response, profile: &Profile) -> Option<Secret> {
        let members = Failure::check(response, profile).ok()?;
        members.text("refresh_token").map(Secret::new)
    }
}

fn passed(members: &Members, profile: &Profile) -> BTreeMap<String, String> {
    let fit = |text: &&str| text.len() <= LONGEST_PASSED && !text.chars().any(char::is_control);
    let named = profile.pass_through_members.iter();
    named.filter_map(|name| Some((name.clone(), members.text(name).filter(fit)?.to_owned()))).collect()
}

/// More is no address, and every caller would get it.
const LONGEST_PASSED: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<TokenResponse, Failure> {
        read_proven(body, false)
    }

    fn read_proven(body: &str, proven: bool) -> Result<TokenResponse, Failure> {
        let response = Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() };
        TokenResponse::read(&response, &Profile::generic(), proven)
    }

    #[test]
    fn kindes_quick_start_answer() {
        let token = read(r#"{"access_token":"eyJ","expires_in":86400,"scope":"","token_type":"bearer"}"#)
            .unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!(token.access_token.expose(), "eyJ");
        assert_eq!(token.expires_in, Some(Duration::from_secs(86_400)));
        assert_eq!(token.scope, None);
        assert!(token.refresh_token.is_none());
    }

    #[test]
    fn types_and_missing_members_are_forgiven() {
        for body in [
            r#"{"access_token":"t","token_type":"BEARER","expires_in":"86400"}"#,
            r#"{"access_token":"t","expires_in":null,"refresh_token":"","unknown":{"deep":[1]}}"#,
            "access_token=t&token_type=bearer&scope=",
        ] {
            assert!(read(body).is_ok_and(|token| token.refresh_token.is_none()), "{body}");
        }
    }

    #[test]
    fn a_token_we_cannot_use_is_not_taken() {
        for body in [
            r#"{"access_token":"t","token_type":"DPoP"}"#,
            r#"{"access_token":"","token_type":"bearer"}"#,
            r#"{"access_token":"a\r\nX-Evil: 1","token_type":"bearer"}"#,
            r#"{"refresh_token":"r"}"#,
            r#"{"access_token":["t"]}"#,
        ] {
            assert!(matches!(read(body), Err(Failure::Garbled { .. })), "{body}");
        }
    }

    #[test]
    fn a_key_bound_token_is_taken_by_the_owner_of_the_key_alone() {
        let bound = r#"{"access_token":"t","token_type":"dpop"}"#;
        assert!(read_proven(bound, true).is_ok_and(|token| token.key_bound));
        assert!(read(bound).is_err());
        let bearer = read_proven(r#"{"access_token":"t","token_type":"Bearer"}"#, true);
        assert!(bearer.is_ok_and(|token| !token.key_bound), "a server that does not bind says so");
        assert!(read_proven(r#"{"access_token":"t","token_type":"mac"}"#, true).is_err());
    }

    #[test]
    fn what_the_profile_names_is_let_through_and_nothing_else() {
        let profile = Profile::built_in("salesforce").expect("a profile");
        let passed = |value: &str| {
            let body = format!(r#"{{"access_token":"t","id":"https://id","signature":"x","instance_url":{value}}}"#);
            let response = Response { status: 200, body: body.into_bytes(), ..Response::default() };
            TokenResponse::read(&response, &profile, false).unwrap_or_else(|failure| panic!("{failure}")).passed
        };
        let instance = passed("\"https://acme.my.salesforce.com\"");
        assert_eq!(instance, [("instance_url".to_owned(), "https://acme.my.salesforce.com".to_owned())].into());
        let long = format!("\"{}\"", "a".repeat(LONGEST_PASSED + 1));
        for bad in ["7", "null", "\"a\\nb\"", "\"\"", "[\"a\"]", &long] {
            assert!(passed(bad).is_empty(), "{bad}");
        }
    }

    #[test]
    fn an_error_member_wins_over_status_200() {
        assert!(matches!(read(r#"{"error":"slow_down","access_token":"t"}"#), Err(Failure::Refused(_))));
    }
}
