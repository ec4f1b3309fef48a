//! What a request asks for besides its path: query parameters, the kind of answer, and how long it may take.

use std::time::Duration;

use hyper::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};

use crate::{
    broker::{Error, ProofRequest, TokenRequest},
    secret::Fingerprint,
};

/// The kinds of answer that exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `application/json`
    Json,
    /// `text/plain`
    Text,
    /// `image/svg+xml`
    Svg,
    /// `image/png`
    Png,
}

/// What a client knows of an account already.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// The revision that it has (`If-None-Match`).
    pub revision: Option<u64>,
    /// How long it is ready to wait for another one (RFC 7240 §4.3).
    pub wait: Option<Duration>,
}

/// Reads the query of a token request.
pub fn token_request(query: &str) -> Result<TokenRequest, Error> {
    let mut request = TokenRequest::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        token_parameter(&mut request, &name, &value)?;
    }
    Ok(request)
}

/// Reads the query of a request for a proof: what the proof states, and which token it is for.
pub fn proof_request(query: &str) -> Result<ProofRequest, Error> {
    let (mut htm, mut htu, mut nonce, mut ath) = (None, None, None, None);
    let mut token = TokenRequest::default();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "htm" => htm = Some(value.into_owned()),
            "htu" => htu = Some(value.into_owned()),
            "nonce" => nonce = Some(value.into_owned()),
            "ath" => ath = Some(value.into_owned()),
            "wait" | "scope" | "audience" | "resource" => token_parameter(&mut token, &name, &value)?,
            _ => return Err(unknown(&name)),
        }
    }
    ProofRequest::new(&htm.unwrap_or_default(), &htu.unwrap_or_default(), nonce, ath, token)
}

fn token_parameter(request: &mut TokenRequest, name: &str, value: &str) -> Result<(), Error> {
    let invalid = |why: &str| Error::InvalidOption { parameter: name.to_owned(), why: why.to_owned() };
    let seconds = || {
        value
            .parse::<u32>()
            .map(|seconds| Duration::from_secs(seconds.into()))
            .map_err(|_| invalid("this is not a number of seconds"))
    };
    let text = || Some(value.to_owned()).filter(|text| !text.is_empty());
    match name {
        "min_validity" => request.min_validity = Some(seconds()?),
        "wait" => request.wait = Some(seconds()?).filter(|wait| *wait <= LONGEST_WAIT),
        "rejected" => request.rejected = Fingerprint::from_hex(value),
        "scope" => request.scope = text(),
        "audience" => request.audience = text(),
        "resource" => request.resource = text(),
        _ => return Err(unknown(name)),
    }
    match name {
        "wait" if request.wait.is_none() => Err(invalid("300 seconds is the longest")),
        "rejected" if request.rejected.is_none() => {
            Err(invalid("write the SHA-256 of the refused token in 64 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

/// Reads the query of a login: whether whoever signs in takes over from who did before.
pub fn replace(query: &str) -> Result<bool, Error> {
    let mut replace = false;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        replace = match (&*name, &*value) {
            ("replace", "true") => true,
            ("replace", "false") => false,
            ("replace", _) => {
                let why = "write true or false".to_owned();
                return Err(Error::InvalidOption { parameter: name.into_owned(), why });
            }
            _ => return Err(unknown(&name)),
        };
    }
    Ok(replace)
}

/// For requests that take no parameters: a misspelt one must not pass in silence.
pub fn no_parameters(query: &str) -> Result<(), Error> {
    match form_urlencoded::parse(query.as_bytes()).next() {
        Some((name, _)) => Err(unknown(&name)),
        None => Ok(()),
    }
}

/// All values of a header. To look at each of a handful of headers costs less than to find a name by its hash.
pub fn values<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.iter().filter(move |(present, _)| *present == name).map(|(_, value)| value)
}

/// The first of `offered` that the client takes, by its order of preference; without an `Accept` header the first.
pub fn kind(headers: &HeaderMap, offered: &[Kind]) -> Option<Kind> {
    let mut wanted: Vec<(u32, &str)> = values(headers, &ACCEPT)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(preference)
        .collect();
    if wanted.is_empty() {
        return offered.first().copied();
    }
    wanted.sort_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let takes = |range: &str, kind: Kind| {
        let (main, _) = kind.media_type().split_once('/').unwrap_or_default();
        range == "*/*" || range == kind.media_type() || range.strip_suffix("/*") == Some(main)
    };
    wanted.iter().find_map(|(_, range)| offered.iter().find(|kind| takes(range, **kind)).copied())
}

/// What the client knows of an account.
pub fn known(headers: &HeaderMap) -> Known {
    Known { revision: known_revision(headers), wait: preferred_wait(headers) }
}

/// The event that the client saw last.
pub fn last_event(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id").and_then(|id| id.to_str().ok()?.trim().parse().ok())
}

fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    let wait = preferences.flat_map(|value| value.split(',')).find_map(|item| item.trim().strip_prefix("wait="))?;
    wait.parse().ok().map(|seconds| Duration::from_secs(seconds).min(LONGEST_POLL))
}

fn known_revision(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(IF_NONE_MATCH)?.to_str().ok()?;
    tag.trim().trim_start_matches("W/").trim_matches('"').parse().ok()
}

impl Kind {
    /// The name of the kind.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Text => "text/plain",
            Self::Svg => "image/svg+xml",
            Self::Png => "image/png",
        }
    }
}

/// One range of an `Accept` header with its weight in thousandths; `None` for one that is not acceptable.
fn preference(item: &str) -> Option<(u32, &str)> {
    let mut parts = item.split(';').map(str::trim);
    let range = parts.next().filter(|range| !range.is_empty())?;
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
    // Weights have three digits (RFC 9110 §12.4.2), so thousandths lose nothing.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the value lies between 0 and 1000")]
    let weight = (weight.unwrap_or(1.0).clamp(0.0, 1.0) * 1000.0) as u32;
    (weight > 0).then_some((weight, range))
}

fn unknown(name: &str) -> Error {
    let parameter = crate::oauth::error::harmless(name, 64);
    Error::InvalidOption { parameter, why: "there is no such parameter here".to_owned() }
}

const LONGEST_WAIT: Duration = Duration::from_secs(300);
const LONGEST_POLL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(query: &str) -> String {
        token_request(query).err().map_or_else(|| panic!("taken: {query}"), |error| error.to_string())
    }

    #[test]
    fn a_login_may_be_asked_to_replace() {
        for (query, expected) in [("", Some(false)), ("replace=true", Some(true)), ("replace=false", Some(false))] {
            assert_eq!(replace(query).ok(), expected, "{query}");
        }
        assert!(replace("replace=yes").is_err() && replace("repalce=true").is_err());
    }

    #[test]
    fn parameters_are_understood_or_named() {
        let request = token_request("min_validity=300&wait=60").unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(request.min_validity, Some(Duration::from_secs(300)));
        assert_eq!(request.wait, Some(Duration::from_secs(60)));
        assert!(wrong("min_validty=300").starts_with("min_validty: there is no such parameter"));
        assert!(wrong("min_validity=5m").starts_with("min_validity:"));
        assert!(wrong("min_validity=4294967296").starts_with("min_validity:"), "more than D-Bus can say");
        assert!(wrong("wait=301").starts_with("wait: 300 seconds"));
        assert!(wrong("rejected=abc").starts_with("rejected:"));
    }

    #[test]
    fn the_client_chooses_the_kind() {
        let offered = [Kind::Json, Kind::Text, Kind::Svg];
        let choose = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, accept.parse().expect("a header value"));
            kind(&headers, &offered)
        };
        assert_eq!(kind(&HeaderMap::new(), &offered), Some(Kind::Json));
        assert_eq!(choose("*/*"), Some(Kind::Json));
        assert_eq!(choose("text/plain"), Some(Kind::Text));
        assert_eq!(choose("image/*"), Some(Kind::Svg));
        assert_eq!(choose("application/json;q=0.5, text/plain"), Some(Kind::Text));
        assert_eq!(choose("application/json;q=0, text/html"), None);
    }
}
