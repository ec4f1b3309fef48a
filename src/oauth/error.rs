//! Every way an exchange can fail, told apart by whose fault it is.

use std::{collections::BTreeMap, fmt, time::Duration};

use super::{
    exchange::{Response, Stage, Unreachable},
    members::Members,
    profile::Profile,
};
use crate::secret::Secret;

/// Why an exchange with the authorization server brought nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server understood and said no, in OAuth's own words.
    Refused(Refusal),
    /// The server is there but will not answer now: 408, 425, 429 or 5xx without an OAuth error.
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long it asks us to stay away.
        retry_after: Option<Duration>,
    },
    /// Nothing came back.
    Unreachable(Unreachable),
    /// Something came back that no authorization server would say: a captive portal, a proxy's page, half a document.
    Garbled {
        /// The HTTP status.
        status: u16,
        /// What it looks like.
        found: Found,
    },
}

/// What came back in place of an OAuth answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// A page for people, as a captive portal or a proxy sends it.
    WebPage,
    /// JSON that says nothing of OAuth.
    Json,
    /// Text of another kind.
    Text,
    /// An error in a word that OAuth does not know, with a status that anything on the way may have set.
    Foreign(String),
    /// An answer that lacks something, or has something that cannot be used.
    Unusable(&'static str),
}

/// An error answer (RFC 6749 §5.2), foreign text already made harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the server says.
    pub error: ErrorCode,
    /// `error_description`.
    pub description: Option<String>,
    /// A new polling interval, which some servers send along with `slow_down`.
    pub interval: Option<Duration>,
    /// How long the server asks us to stay away.
    pub retry_after: Option<Duration>,
    /// What a person can do about it, where the provider's profile knows.
    pub remedy: Option<String>,
}

/// The error codes that somebody here acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "the names are those of RFC 6749 §5.2, RFC 8628 §3.5, RFC 8707 §2, RFC 9449 and OpenID Connect"
)]
pub enum ErrorCode {
    AuthorizationPending,
    SlowDown,
    AccessDenied,
    ExpiredToken,
    InvalidRequest,
    InvalidClient,
    InvalidGrant,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidScope,
    InvalidTarget,
    UseDpopNonce,
    InvalidDpopProof,
    ServerError,
    TemporarilyUnavailable,
    InteractionRequired,
    /// Anything else, as the server wrote it.
    Other(String),
}

impl ErrorCode {
    /// Reads a code, after translating a server's own word for it. A server's own words may be whole sentences, whose
    /// capitals do not count.
    pub fn read(word: &str, aliases: &BTreeMap<String, String>) -> Self {
        let own = aliases.iter().find(|(own, _)| own.eq_ignore_ascii_case(word));
        let word = own.map_or(word, |(_, standard)| standard);
        KNOWN
            .iter()
            .find(|(known, _)| *known == word)
            .map_or_else(|| Self::Other(harmless(word, 64)), |(_, code)| code.clone())
    }

    /// The word of the standard.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(word) => word,
            code => KNOWN.iter().find(|(_, known)| known == code).map_or("", |(word, _)| word),
        }
    }
}

impl Failure {
    /// Reads what came back as members, or says why it is a failure. The body counts before the status, because
    /// servers disagree about statuses: pending comes as 200, 400, 403 and 428.
    pub fn check(response: &Response, profile: &Profile) -> Result<Members, Self> {
        let Response { status, retry_after, ref body, .. } = *response;
        let members = Members::read(body).map(|members| members.renamed(&profile.member_aliases));
        let busy = matches!(status, 408 | 425 | 429 | 500..=599);
        if let Some(error) = members.as_ref().and_then(|members| error_word(members, profile, status)) {
            let text = |name| members.as_ref().and_then(|members| members.text(name));
            return Err(match ErrorCode::read(error, &profile.error_aliases) {
                // A server that is out of order has decided nothing, whatever general word it finds for it (Rauthy).
                ErrorCode::Other(_) | ErrorCode::InvalidRequest if busy => Self::Busy { status, retry_after },
                ErrorCode::Other(word) if matches!(status, 401 | 403 | 404 | 410) => {
                    Self::Garbled { status, found: Found::Foreign(word) }
                }
                code => Self::Refused(Refusal {
                    remedy: profile.remedy(error, &code, text("error_description")).map(str::to_owned),
                    error: code,
                    description: text("error_description").map(|text| harmless(text, 256)),
                    interval: members.as_ref().and_then(|members| members.seconds("interval")),
                    retry_after,
                }),
            });
        }
        match (status, members) {
            (200..=299, Some(members)) => Ok(members),
            _ if busy => Err(Self::Busy { status, retry_after }),
            _ => Err(Self::Garbled { status, found: describe(body) }),
        }
    }

    /// Whether the server may have acted on the request although we have no answer: a lost reply to a rotating
    /// refresh token is this case.
    pub fn is_ambiguous(&self) -> bool {
        match self {
            Self::Refused(refusal) => refusal.error == ErrorCode::ServerError,
            Self::Busy { status, .. } => matches!(status, 500 | 502 | 504),
            Self::Unreachable(unreachable) => unreachable.stage == Stage::Sent,
            Self::Garbled { status, found } => (200..300).contains(status) && *found != Found::WebPage,
        }
    }

    /// How long the server asks us to stay away.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) => refusal.retry_after,
            Self::Busy { retry_after, .. } => *retry_after,
            Self::Unreachable(_) | Self::Garbled { .. } => None,
        }
    }

    /// Takes out of the texts what we sent, should the server have echoed it.
    #[must_use]
    pub fn without(mut self, secrets: &[&Secret]) -> Self {
        let texts = match &mut self {
            Self::Refused(Refusal { error, description, .. }) => {
                let word = if let ErrorCode::Other(word) = error { Some(word) } else { None };
                [word, description.as_mut()]
            }
            Self::Unreachable(Unreachable { cause, .. }) => [Some(cause), None],
            Self::Garbled { found: Found::Foreign(word), .. } => [Some(word), None],
            Self::Garbled { .. } | Self::Busy { .. } => [None, None],
        };
        for text in texts.into_iter().flatten() {
            secrets.iter().for_each(|secret| remove(text, secret));
        }
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(Refusal { error, description, remedy, .. }) => {
                write!(f, "the server refused: {}", error.as_str())?;
                description.as_ref().map_or(Ok(()), |text| write!(f, " ({text})"))?;
                remedy.as_ref().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
            }
            Self::Busy { status: 429, .. } => f.write_str("the server asks for fewer requests (HTTP 429)"),
            Self::Busy { status, .. } => write!(f, "the server is out of order (HTTP {status})"),
            Self::Unreachable(Unreachable { stage: Stage::ClockUnset, cause }) => {
                write!(f, "the clock is not set yet, so the server's certificate cannot be checked: {cause}")
            }
            Self::Unreachable(unreachable) => write!(f, "the server cannot be reached: {}", unreachable.cause),
            Self::Garbled { status, found } => write!(f, "not an OAuth answer but {found} (HTTP {status})"),
        }
    }
}

/// The member that carries the error: `error`, or what some servers have instead of it. Where `error` only repeats the
/// status in words, `message` may say what it is.
fn error_word<'a>(members: &'a Members, profile: &Profile, status: u16) -> Option<&'a str> {
    let known = |word: &&str| !matches!(ErrorCode::read(word, &profile.error_aliases), ErrorCode::Other(_));
    let error = members.text("error");
    let others = ["message", "error_code"].into_iter().filter(|_| status >= 400);
    error.filter(known).or_else(|| others.filter_map(|name| members.text(name)).find(known)).or(error)
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("an empty body"),
            Self::WebPage => f.write_str("a web page, as a captive portal or a proxy would send"),
            Self::Json => f.write_str("JSON without the members that are required"),
            Self::Text => f.write_str("text of another kind"),
            Self::Foreign(word) => write!(f, "the error \"{word}\""),
            Self::Unusable(what) => f.write_str(what),
        }
    }
}

fn describe(body: &[u8]) -> Found {
    let start = String::from_utf8_lossy(&body[..body.len().min(512)]).trim_start().to_owned();
    match start.chars().next() {
        None => Found::Nothing,
        Some('<') => Found::WebPage,
        Some('{' | '[') => Found::Json,
        Some(_) => Found::Text,
    }
}

/// Foreign text made fit for a log line, a terminal and a status text: printable ASCII, at most `limit` characters.
pub fn harmless(text: &str, limit: usize) -> String {
    let printable = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    text.chars().take(limit).map(printable).collect()
}

/// Takes a secret out of a text that was made harmless, and so may the secret have been.
fn remove(text: &mut String, secret: &Secret) {
    let secret = harmless(secret.expose(), usize::MAX);
    *text = text.replace(&secret, REMOVED);
    // A long one may have been cut off together with the text.
    let is_cut_off = |rest: &str| rest.len() >= SHORTEST_CUT && secret.starts_with(rest);
    if let Some((start, _)) = text.char_indices().find(|(at, _)| is_cut_off(&text[*at..])) {
        text.truncate(start);
        text.push_str(REMOVED);
    }
}

/// What stands in the place of a secret.
const REMOVED: &str = "(removed)";
/// Fewer characters of a secret at the end of a text are chance, or of no use.
const SHORTEST_CUT: usize = 8;

static KNOWN: [(&str, ErrorCode); 16] = [
    ("authorization_pending", ErrorCode::AuthorizationPending),
    ("slow_down", ErrorCode::SlowDown),
    ("access_denied", ErrorCode::AccessDenied),
    ("expired_token", ErrorCode::ExpiredToken),
    ("invalid_request", ErrorCode::InvalidRequest),
    ("invalid_client", ErrorCode::InvalidClient),
    ("invalid_grant", ErrorCode::InvalidGrant),
    ("unauthorized_client", ErrorCode::UnauthorizedClient),
    ("unsupported_grant_type", ErrorCode::UnsupportedGrantType),
    ("invalid_scope", ErrorCode::InvalidScope),
    ("invalid_target", ErrorCode::InvalidTarget),
    ("use_dpop_nonce", ErrorCode::UseDpopNonce),
    ("invalid_dpop_proof", ErrorCode::InvalidDpopProof),
    ("server_error", ErrorCode::ServerError),
    ("temporarily_unavailable", ErrorCode::TemporarilyUnavailable),
    ("interaction_required", ErrorCode::InteractionRequired),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str) -> Result<Members, Failure> {
        let profile = Profile::generic();
        Failure::check(&Response { status, body: body.as_bytes().to_vec(), ..Response::default() }, &profile)
    }

    fn refused(status: u16, body: &str) -> ErrorCode {
        match check(status, body) {
            Err(Failure::Refused(refusal)) => refusal.error,
            Err(other) => panic!("{body}: {other}"),
            Ok(_) => panic!("{body}: taken as a success"),
        }
    }

    #[test]
    fn the_body_counts_before_the_status() {
        for status in [200, 400, 403, 428, 500] {
            assert_eq!(refused(status, r#"{"error":"authorization_pending"}"#), ErrorCode::AuthorizationPending);
        }
    }

    #[test]
    fn servers_have_their_own_words() {
        use ErrorCode::{
            AccessDenied, AuthorizationPending, InvalidClient, InvalidGrant, Other, TemporarilyUnavailable,
        };
        for (status, body, code) in [
            (400, r#"{"error":"authorization_declined"}"#, AccessDenied),
            (200, r#"{"error":"bad_refresh_token"}"#, InvalidGrant),
            (200, "error=incorrect_client_credentials&error_description=x", InvalidClient),
            (400, r#"{"status":400,"message":"authorization_pending"}"#, AuthorizationPending),
            (403, r#"{"error_code":"rate_limit_exceeded"}"#, TemporarilyUnavailable),
            (400, r#"{"error":"consent_required"}"#, ErrorCode::InteractionRequired),
            (400, r#"{"error":"NotFound","message":"Device Refresh Token does not exist"}"#, Other("NotFound".into())),
            (403, r#"{"error":"scope_not_granted"}"#, ErrorCode::InvalidScope),
            (400, r#"{"error":"admin_policy_enforced"}"#, ErrorCode::UnauthorizedClient),
        ] {
            assert_eq!(refused(status, body), code, "{body}");
        }
    }

    #[test]
    fn a_sentence_of_a_profile_counts_where_error_only_repeats_the_status() {
        let twitch = [("Invalid refresh token", "invalid_grant"), ("invalid device code", "invalid_grant")];
        let error_aliases = twitch.map(|(own, standard)| (own.to_owned(), standard.to_owned())).into();
        let aliases = Profile { error_aliases, ..Profile::default() };
        let read = |body: &str, aliases| {
            let response =
                Response { status: 400, retry_after: None, dpop_nonce: None, body: body.as_bytes().to_vec() };
            match Failure::check(&response, aliases) {
                Err(Failure::Refused(refusal)) => refusal.error,
                _ => panic!("{body} is not read as a refusal"),
            }
        };
        for (body, code) in [
            (r#"{"error":"Bad Request","status":400,"message":"Invalid refresh token"}"#, ErrorCode::InvalidGrant),
            (r#"{"status":400,"message":"invalid refresh token"}"#, ErrorCode::InvalidGrant),
            (r#"{"status":400,"message":"invalid device code"}"#, ErrorCode::InvalidGrant),
            (r#"{"error":"Bad Request","message":"authorization_pending"}"#, ErrorCode::AuthorizationPending),
            (r#"{"error":"invalid_client","message":"Invalid refresh token"}"#, ErrorCode::InvalidClient),
            (r#"{"error":"Bad Request","message":"missing client id"}"#, ErrorCode::Other("Bad Request".into())),
        ] {
            assert_eq!(read(body, &aliases), code, "{body}");
        }
        let stranger = read(r#"{"error":"Bad Request","message":"Invalid refresh token"}"#, &Profile::default());
        assert_eq!(stranger, ErrorCode::Other("Bad Request".into()), "another server may mean something else");
    }

    #[test]
    fn what_is_not_oauth_is_never_a_refusal() {
        for (status, body) in [(200, "<html>"), (302, ""), (511, "<html>"), (404, "not found"), (403, "{}"), (200, "")]
        {
            match check(status, body) {
                Err(Failure::Garbled { .. } | Failure::Busy { .. }) => {}
                _ => panic!("{status} {body}"),
            }
        }
        for (status, body) in [(429, r#"{"error":{"TooManyRequests":1700000000}}"#), (503, "{\"error\":503}")] {
            assert!(matches!(check(status, body), Err(Failure::Busy { .. })), "{status} {body}");
        }
        assert!(check(200, r#"{"message":"authorization_pending","access_token":"t"}"#).is_ok());
    }

    #[test]
    fn a_gateways_json_is_not_the_authorization_servers_word() {
        for status in [401, 403, 404, 410] {
            let Err(failure) = check(status, r#"{"status":404,"error":"Not Found"}"#) else { panic!("a success") };
            assert_eq!(failure, Failure::Garbled { status, found: Found::Foreign("Not Found".into()) });
        }
        for body in [r#"{"error":"Internal Server Error"}"#, r#"{"error":"invalid_request"}"#] {
            assert!(matches!(check(500, body), Err(Failure::Busy { status: 500, .. })), "{body}");
        }
        assert_eq!(refused(500, r#"{"error":"invalid_grant"}"#), ErrorCode::InvalidGrant, "any status");
    }

    #[test]
    fn foreign_text_cannot_escape_and_does_not_echo_a_secret() {
        let body = r#"{"error":"x\u001b[31m\n","error_description":"token s3cret\u202e is bad"}"#;
        let Err(failure) = check(400, body) else { panic!("a success") };
        let shown = failure.without(&[&Secret::new("s3cret")]).to_string();
        assert_eq!(shown, "the server refused: x?[31m? (token (removed)? is bad)");
        for (status, shown) in [
            (400, "the server refused: no (removed)! here"),
            (403, "not an OAuth answer but the error \"no (removed)! here\" (HTTP 403)"),
        ] {
            let Err(failure) = check(status, r#"{"error":"no s\u00e9cret! here"}"#) else { panic!("a success") };
            assert_eq!(failure.without(&[&Secret::new("sécret")]).to_string(), shown, "in the word itself");
        }
    }
}
