//! How one provider differs from the standard, as data. Code never asks which provider it talks to.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    built_in::{GENERIC, PROFILES},
    client::ExtraParameters,
    client_auth::{AssertionAudience, BasicHalves, Method},
    error::ErrorCode,
    narrow::{Narrow, ScopeOnRefresh},
};

/// A provider's profile, read from `providers.d/NAME.toml`. Every key has a default that suits a server which follows
/// the standards.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// The issuer, where all customers have the same.
    pub issuer: Option<String>,
    /// Issuers whose documents and ID tokens name another one: `{…}` in that stands for one segment of a path.
    pub issuer_pins: BTreeMap<String, String>,
    /// An address, or a path below the issuer; discovery is used where it is absent.
    pub device_authorization_endpoint: Option<String>,
    /// The same for the token endpoint.
    pub token_endpoint: Option<String>,
    /// The same for the revocation endpoint.
    pub revocation_endpoint: Option<String>,
    /// How a client with a secret proves who it is, unless the account says otherwise.
    pub client_auth: Option<Method>,
    /// How a client's id and secret stand in the header of `client_secret_basic`.
    pub basic_halves: BasicHalves,
    /// What the assertions of a client are addressed to, unless the account says otherwise.
    pub assertion_audience: Option<AssertionAudience>,
    /// What is asked for where the account names no scopes.
    pub scopes: Vec<String>,
    /// What the server calls the parameter `scope`.
    pub scope_parameter: Option<String>,
    /// The requests after the first that have to name the scopes again.
    pub send_scope_with: Vec<Later>,
    /// What separates the scopes of an answer, besides spaces.
    pub scope_separator: Option<char>,
    /// Parameters that every client of this provider has to send.
    pub extra_parameters: ExtraParameters,
    /// The scope that makes this server issue a refresh token, to be named to a person who did not ask for it.
    #[serde(deserialize_with = "something")]
    pub offline_scope: Option<String>,
    /// The server's own names of members, and the standard's name for each.
    pub member_aliases: BTreeMap<String, String>,
    /// The server's own error words, and the standard's word for each.
    pub error_aliases: BTreeMap<String, String>,
    /// What to do about a refusal, by the server's word, the standard's, or a code in the description.
    pub remedies: BTreeMap<String, String>,
    /// What `invalid_request` means when a refresh is answered so: Hydra means "try again", Dex "it has ended".
    pub refresh_invalid_request: Doubt,
    /// What HTTP 404 means when a refresh is answered so: Rauthy knows no other word for a grant that has ended.
    pub refresh_404: Doubt,
    /// What HTTP 400 without a body means when a refresh is answered so: Glewlwyd says no more of any refresh token.
    pub refresh_empty_400: Doubt,
    /// What a server makes of `scope` in a refresh.
    pub scope_on_refresh: ScopeOnRefresh,
    /// Whether a refresh brings tokens for audiences and resources that were not asked for at the sign-in.
    pub refresh_reaches_other_targets: bool,
    /// Whether a refresh ends the access token that there was.
    pub refresh_revokes_old_access_token: bool,
    /// The way to tokens for other targets, where it is none that the two keys above imply.
    pub narrow: Option<Narrow>,
    /// Whether tokens are bound to a key (RFC 9449) unless the account says otherwise.
    pub dpop: bool,
    /// How long before its end a token is renewed unless the account says otherwise: little where that ends the old one.
    #[serde(deserialize_with = "span")]
    pub refresh_margin: Option<Duration>,
    /// The lifetime of a token where the server says none but has one.
    #[serde(deserialize_with = "span")]
    pub default_expires_in: Option<Duration>,
    /// How long a refresh token may lie unused before the server ends it, as `"360h"` or in seconds.
    #[serde(deserialize_with = "span")]
    pub idle_limit: Option<Duration>,
    /// Members of the token answer that callers get too: texts without which the token is of no use, such as where to go.
    #[serde(deserialize_with = "not_ours")]
    pub pass_through_members: Vec<String>,
    /// Hosts besides the issuer's, with all below them, where the server lets people enter codes.
    pub code_pages: Vec<String>,
}

/// A request after the device authorization.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Later {
    /// Each poll.
    Poll,
    /// Each refresh.
    Refresh,
}

/// What an answer means that may or may not be the end of a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doubt {
    /// Nobody can say.
    #[default]
    Undecided,
    /// The end.
    Terminal,
    /// Never the end.
    Retry,
}

impl Profile {
    /// The built-in profile of that name.
    pub fn built_in(name: &str) -> Option<Self> {
        Self::read(text_of(name)?, text_of(GENERIC)?).ok()
    }

    /// The profile of a server of which nothing is known.
    pub fn generic() -> Self {
        Self::built_in(GENERIC).unwrap_or_default()
    }

    /// Reads a profile and completes it from the text of another one: tables are added to, values stand where there is
    /// none.
    pub fn read(text: &str, basis: &str) -> Result<Self, toml::de::Error> {
        // Once by itself, for the place of a mistake is lost when the two are one.
        toml::from_str::<Self>(text)?;
        let mut whole = DeTable::parse(basis)?;
        for (key, value) in DeTable::parse(text)?.into_inner() {
            let known = whole.get_mut().get_mut(key.get_ref().as_ref()).map(Spanned::get_mut);
            match (known, value.into_inner()) {
                (Some(DeValue::Table(known)), DeValue::Table(more)) => known.extend(more),
                (_, value) => {
                    let value = Spanned::new(key.span(), value);
                    whole.get_mut().insert(key, value);
                }
            }
        }
        Self::deserialize(toml::Deserializer::from(whole))
    }

    /// The names that [`Profile::built_in`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        PROFILES.iter().map(|(name, _)| *name)
    }

    /// What to do about a refusal, if anybody knows: by a code in its description, else by the server's own word, else
    /// by the standard's. It helps a person, and nothing is decided by it.
    pub fn remedy(&self, word: &str, error: &ErrorCode, description: Option<&str>) -> Option<&str> {
        let codes = description.unwrap_or_default().split(|c: char| !c.is_ascii_alphanumeric());
        let mut candidates = codes.filter(|code| code.len() >= SHORTEST_CODE).chain([word, error.as_str()]);
        candidates.find_map(|candidate| self.remedies.get(candidate)).map(String::as_str)
    }
}

/// The text of a built-in profile.
pub fn text_of(name: &str) -> Option<&'static str> {
    PROFILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

fn something<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Some(String::deserialize(deserializer)?).filter(|text| !text.is_empty()))
}

fn not_ours<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let plain = |name: &str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    match names.iter().find(|name| name.is_empty() || !plain(name) || OURS.contains(&name.as_str())) {
        Some(name) => Err(serde::de::Error::custom(format!("{name:?} is no member that can be passed through"))),
        None => Ok(names),
    }
}

fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Span {
        Seconds(u64),
        Text(jiff::SignedDuration),
    }
    match Span::deserialize(deserializer)? {
        Span::Seconds(seconds) => Ok(Some(Duration::from_secs(seconds))),
        Span::Text(text) => Duration::try_from(text).map(Some).map_err(serde::de::Error::custom),
    }
}

/// Members that are bearerd's own, or nobody else's.
const OURS: [&str; 8] =
    ["access_token", "account", "expires_at", "expires_in", "id_token", "refresh_token", "scope", "token_type"];
/// A word of a description is no code.
const SHORTEST_CODE: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_well_formed() {
        for (name, text) in PROFILES {
            toml::from_str::<Profile>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            let profile = Profile::built_in(name).unwrap_or_else(|| panic!("{name} cannot be completed"));
            assert!(!profile.error_aliases.is_empty(), "{name}");
            for standard in profile.error_aliases.values() {
                let code = ErrorCode::read(standard, &BTreeMap::new());
                assert!(!matches!(code, ErrorCode::Other(_)), "{name}: {standard} is no word of the standard");
            }
        }
        assert!(PROFILES.iter().map(|(name, _)| name).skip(1).is_sorted());
    }

    #[test]
    fn a_profile_is_completed_and_not_overruled() {
        let basis = "offline_scope = \"a\"\nsend_scope_with = [\"poll\"]\n[error_aliases]\nx = \"one\"\ny = \"one\"\n";
        let profile = Profile::read("offline_scope = \"\"\n[error_aliases]\ny = \"two\"\n", basis).expect("a profile");
        assert_eq!((profile.offline_scope.as_deref(), profile.send_scope_with), (None, vec![Later::Poll]));
        assert_eq!(profile.error_aliases.into_values().collect::<Vec<_>>(), ["one", "two"]);
        assert!(Profile::read("isuer = \"x\"", basis).is_err());
    }

    #[test]
    fn doubts_are_settled_and_spans_written_in_either_way() {
        let text = "refresh_invalid_request = \"terminal\"\nrefresh_404 = \"retry\"\nidle_limit = ";
        for limit in ["\"2h\"", "7200"] {
            let profile: Profile = toml::from_str(&format!("{text}{limit}")).expect("a profile");
            assert_eq!((profile.refresh_invalid_request, profile.refresh_404), (Doubt::Terminal, Doubt::Retry));
            assert_eq!(profile.idle_limit, Some(Duration::from_secs(7200)), "{limit}");
        }
        assert!(toml::from_str::<Profile>("idle_limit = \"soon\"").is_err());
        assert!(Profile::built_in("kinde").is_some_and(|kinde| kinde.idle_limit.is_some()));
    }

    #[test]
    fn no_profile_passes_a_secret_through_or_what_is_bearerds_own() {
        for bad in ["refresh_token", "access_token", "account", "a b", "a'b", ""] {
            assert!(toml::from_str::<Profile>(&format!("pass_through_members = [\"{bad}\"]")).is_err(), "{bad}");
        }
        let salesforce = Profile::built_in("salesforce").expect("a profile");
        assert_eq!(salesforce.pass_through_members, ["instance_url"]);
    }

    #[test]
    fn the_remedy_that_says_most_is_named() {
        let entra = Profile::built_in("entra").expect("a profile");
        let remedy = |word, description| {
            entra.remedy(word, &ErrorCode::read(word, &entra.error_aliases), description).unwrap_or_default()
        };
        assert!(remedy("invalid_client", Some("AADSTS7000218: The request body …")).contains("public client flows"));
        assert!(remedy("invalid_client", Some("AADSTS1: hm")).contains("client_id"));
        assert_eq!(remedy("whatever", None), "");
    }
}
