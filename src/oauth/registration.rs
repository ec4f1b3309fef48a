//! Dynamic client registration (RFC 7591): what is asked for, and what the server made of it.

use serde_json::json;

use super::{
    client_auth::Method,
    error::{ErrorCode, Failure, Found, Refusal, harmless},
    exchange::{Endpoint, Request, Response},
    members::Members,
    profile::Profile,
};
use crate::{secret::Secret, time::UnixTime};

/// A client to be registered, by its metadata (RFC 7591 §2). It uses the device grant and refreshes, and no redirects.
#[derive(Debug, Clone, Copy)]
pub struct Registration<'a> {
    /// What people see of it when they sign in.
    pub name: &'a str,
    /// How it is going to prove who it is.
    pub method: Method,
    /// What it may ask for; the server decides where there is nothing.
    pub scopes: &'a [String],
}

/// A client as the server has registered it (RFC 7591 §3.2.1), which need not be what was asked for.
#[derive(Clone)]
pub struct Registered {
    /// Its `client_id`, in printable ASCII.
    pub client_id: String,
    /// Its secret, where its method needs one.
    pub secret: Option<Secret>,
    /// When the secret ends; never where there is none.
    pub secret_expires: Option<UnixTime>,
    /// How it has to prove who it is.
    pub method: Method,
    /// The scopes that it may ask for, where the server says so.
    pub scopes: Option<Vec<String>>,
    /// The grants that it may not use, of the two that it is for.
    pub missing_grants: Vec<&'static str>,
    /// What changes and deletes it later.
    pub management: Option<Management>,
}

/// The way to read, change and delete a registered client (RFC 7592 §3).
#[derive(Clone)]
pub struct Management {
    /// `registration_client_uri`
    pub uri: String,
    /// `registration_access_token`
    pub token: Secret,
}

impl Registration<'_> {
    /// The request (RFC 7591 §3.1), with the token of those who may register where the server insists on one.
    pub fn request(&self, endpoint: &Endpoint, initial_access_token: Option<&Secret>) -> Request {
        let mut document = json!({
            "client_name": self.name,
            "application_type": "native",
            "grant_types": GRANTS,
            "response_types": [],
            "redirect_uris": [],
            "token_endpoint_auth_method": self.method.as_str(),
        });
        if !self.scopes.is_empty() {
            document["scope"] = self.scopes.join(" ").into();
        }
        let authorization = initial_access_token.map(|token| Secret::new(format!("Bearer {}", token.expose())));
        Request { json: Some(document.to_string()), authorization, ..Request::get(endpoint.clone()) }
    }

    /// Reads the answer. A client of which something is missing was registered all the same.
    pub fn read(&self, response: &Response, profile: &Profile) -> Result<Registered, Failure> {
        let members = Failure::check(response, profile).map_err(|failure| refusal(response, profile, failure))?;
        let garbled = |found| Failure::Garbled { status: response.status, found: Found::Unusable(found) };
        let client_id = members.text("client_id").ok_or(garbled("a reply without client_id"))?;
        let secret = members.text("client_secret");
        // RFC 6749, appendix A: a line break in either would end up in a file of lines.
        let printable = |text: &str| text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        if !printable(client_id) || !secret.is_none_or(printable) {
            return Err(garbled("a client_id or client_secret with characters that OAuth does not allow"));
        }
        let method = match members.text("token_endpoint_auth_method") {
            None => self.method,
            Some(name) => Method::read(name)
                .filter(|method| !method.needs_key())
                .ok_or(garbled("a client that has to prove who it is in a way which was not asked for"))?,
        };
        let secret = secret.filter(|_| method.needs_secret());
        if method.needs_secret() && secret.is_none() {
            return Err(garbled("a reply without client_secret"));
        }
        let grants = members.list("grant_types");
        let management = members.text("registration_client_uri").zip(members.text("registration_access_token"));
        let ends = members.moment("client_secret_expires_at").filter(|moment| *moment > 0).map(UnixTime);
        Ok(Registered {
            client_id: client_id.to_owned(),
            secret_expires: ends.filter(|_| secret.is_some()),
            secret: secret.map(Secret::new),
            method,
            scopes: members.words("scope", None).map(|words| words.split(' ').map(str::to_owned).collect()),
            missing_grants: GRANTS.into_iter().filter(|grant| !grants.is_empty() && !grants.contains(grant)).collect(),
            management: management.map(|(uri, token)| Management { uri: uri.to_owned(), token: Secret::new(token) }),
        })
    }
}

/// What a failure means here, where the words are those of RFC 7591 §3.2.2 and RFC 6750 §3.1, and where 401 and 403 are
/// the server's own.
fn refusal(response: &Response, profile: &Profile, failure: Failure) -> Failure {
    let status = response.status;
    let refused = match failure {
        Failure::Refused(refused) => refused,
        Failure::Garbled { status: 400..=499, ref found } => {
            let word = match (found, status) {
                (Found::Foreign(word), _) => word,
                (_, 401 | 403) => INVALID_TOKEN,
                _ => return failure,
            };
            let members = Members::read(&response.body);
            let description = members.as_ref().and_then(|members| members.text("error_description"));
            let error = ErrorCode::Other(word.to_owned());
            Refusal {
                remedy: profile.remedy(word, &error, description).map(str::to_owned),
                error,
                description: description.map(|text| harmless(text, 256)),
                interval: None,
                retry_after: None,
            }
        }
        failure => return failure,
    };
    let usual = REMEDIES.iter().find(|(known, _)| *known == refused.error.as_str()).map(|(_, remedy)| *remedy);
    let usual = usual.or(matches!(status, 401 | 403).then_some(GET_TOKEN));
    Failure::Refused(Refusal { remedy: refused.remedy.or(usual.map(str::to_owned)), ..refused })
}

/// What the client is for (RFC 8628 §3.4, RFC 6749 §6).
const GRANTS: [&str; 2] = ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"];
const INVALID_TOKEN: &str = "invalid_token";
const GET_TOKEN: &str = "the server registers clients for those alone who have an initial access token from its administrator, so give \
    a file with one: --initial-access-token-file";
const BY_HAND: &str = "register the client by hand at the server, and write its client_id into the configuration";
const REMEDIES: [(&str, &str); 4] = [
    ("invalid_client_metadata", "ask for another client, with --scope or --auth, or register it by hand at the server"),
    ("invalid_redirect_uri", BY_HAND),
    ("invalid_software_statement", BY_HAND),
    ("unapproved_software_statement", BY_HAND),
];

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const PLAIN: Registration<'_> = Registration { name: "Kitchen \"display\"", method: Method::None, scopes: &[] };

    fn read(asked: Registration<'_>, status: u16, body: &str) -> Result<Registered, Failure> {
        let response = Response { status, body: body.as_bytes().to_vec(), ..Response::default() };
        asked.read(&response, &Profile::generic())
    }

    fn refused(status: u16, body: &str) -> String {
        read(PLAIN, status, body).err().unwrap_or_else(|| panic!("{body} is a success")).to_string()
    }

    #[test]
    fn what_is_asked_for_is_a_device_with_nothing_to_redirect_to() {
        let endpoint = Endpoint::parse("https://as.example/register").expect("an endpoint");
        let document = |registration: Registration<'_>, token: Option<&Secret>| {
            let request = registration.request(&endpoint, token);
            assert!(request.form.is_none());
            let document: Value = serde_json::from_str(&request.json.expect("a document")).expect("JSON");
            (document, request.authorization.map(|header| header.expose().to_owned()))
        };
        let (plain, authorization) = document(PLAIN, None);
        let expected = json!({
            "client_name": "Kitchen \"display\"",
            "application_type": "native",
            "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
            "response_types": [],
            "redirect_uris": [],
            "token_endpoint_auth_method": "none",
        });
        assert_eq!((plain, authorization), (expected, None));
        let scopes = ["openid".to_owned(), "offline_access".to_owned()];
        let whole = Registration { method: Method::ClientSecretBasic, scopes: &scopes, ..PLAIN };
        let (whole, authorization) = document(whole, Some(&Secret::new("initial")));
        assert_eq!(
            (&whole["scope"], authorization.as_deref()),
            (&json!("openid offline_access"), Some("Bearer initial"))
        );
        assert_eq!(whole["token_endpoint_auth_method"], "client_secret_basic");
    }

    #[test]
    fn what_the_server_made_of_it_counts() {
        let body = r#"{"client_id":"s6","client_secret":"cf1","client_secret_expires_at":2893256800,"client_id_issued_at":1,
            "token_endpoint_auth_method":"client_secret_post","grant_types":["refresh_token"],"scope":"a  b",
            "registration_access_token":"reg","registration_client_uri":"https://as.example/register/s6","x":[{}]}"#;
        let got = read(PLAIN, 201, body).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((got.client_id.as_str(), got.method), ("s6", Method::ClientSecretPost));
        assert_eq!(got.secret.map(|secret| secret.expose().to_owned()).as_deref(), Some("cf1"));
        assert_eq!(got.secret_expires, Some(UnixTime(2_893_256_800)));
        assert_eq!(got.scopes, Some(vec!["a".to_owned(), "b".to_owned()]));
        assert_eq!(got.missing_grants, [GRANTS[0]]);
        assert_eq!(got.management.map(|way| way.uri).as_deref(), Some("https://as.example/register/s6"));
    }

    #[test]
    fn what_the_server_leaves_out_is_as_asked_for() {
        let got = read(PLAIN, 200, r#"{"client_id":"s6"}"#).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((got.method, got.scopes, got.secret_expires), (Method::None, None, None));
        assert!(got.missing_grants.is_empty() && got.management.is_none());
        let public = r#"{"client_id":"s6","client_secret":"of no use","client_secret_expires_at":2893256800}"#;
        let got = read(PLAIN, 201, public).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(got.secret.is_none() && got.secret_expires.is_none(), "a public client has no use for a secret");
        let basic = Registration { method: Method::ClientSecretBasic, ..PLAIN };
        let forever = r#"{"client_id":"s6","client_secret":"cf1","client_secret_expires_at":0}"#;
        let got = read(basic, 201, forever).unwrap_or_else(|failure| panic!("{failure}"));
        assert!(got.secret.is_some() && got.secret_expires.is_none(), "0 is never");
    }

    #[test]
    fn a_client_that_nobody_here_can_be_is_said_to_be_none() {
        let basic = Registration { method: Method::ClientSecretBasic, ..PLAIN };
        for (asked, body) in [
            (PLAIN, "{}"),
            (PLAIN, "<html>"),
            (PLAIN, r#"{"client_id":""}"#),
            (PLAIN, r#"{"client_id":"a\nb"}"#),
            (basic, r#"{"client_id":"a"}"#),
            (basic, r#"{"client_id":"a","client_secret":"b\nc"}"#),
            (PLAIN, r#"{"client_id":"a","token_endpoint_auth_method":"private_key_jwt"}"#),
            (PLAIN, r#"{"client_id":"a","token_endpoint_auth_method":"handshake"}"#),
        ] {
            assert!(matches!(read(asked, 201, body), Err(Failure::Garbled { .. })), "{body}");
        }
    }

    #[test]
    fn a_refusal_says_what_to_do() {
        for (status, body, parts) in [
            (
                400,
                r#"{"error":"invalid_client_metadata","error_description":"scope not allowed"}"#,
                ["not allowed", "--scope"],
            ),
            (400, r#"{"error":"invalid_redirect_uri"}"#, ["invalid_redirect_uri", "by hand"]),
            (400, r#"{"error":"unapproved_software_statement"}"#, ["unapproved", "by hand"]),
            (
                401,
                r#"{"error":"invalid_token","error_description":"expired"}"#,
                ["(expired)", "--initial-access-token-file"],
            ),
            (403, r#"{"error":"insufficient_scope"}"#, ["insufficient_scope", "--initial-access-token-file"]),
            (401, "", ["invalid_token", "--initial-access-token-file"]),
            (403, "<html>Forbidden", ["invalid_token", "--initial-access-token-file"]),
        ] {
            let shown = refused(status, body);
            assert!(parts.iter().all(|part| shown.contains(part)), "{shown}");
        }
        for (status, body) in [(404, "<html>"), (405, ""), (503, "{}"), (429, r#"{"error":"x"}"#), (302, "")] {
            assert!(!refused(status, body).contains("refused"), "{status} {body}");
        }
        assert!(!refused(400, r#"{"error":"x\u001b[2J"}"#).contains('\u{1b}'));
    }
}
