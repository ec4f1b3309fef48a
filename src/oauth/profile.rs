//! How one provider differs from the standard, as data. Code never asks which provider it talks to.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Deserializer};

use super::narrow::{Narrow, ScopeOnRefresh};

/// A provider's profile, read from `conf/providers.d/NAME.toml`. Every key has a default that suits a server which
/// follows the standards.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Profile {
    /// Path of the device authorization endpoint below the issuer; discovery is used where it is absent.
    pub device_authorization_path: Option<String>,
    /// Path of the token endpoint below the issuer.
    pub token_path: Option<String>,
    /// Path of the revocation endpoint below the issuer.
    pub revocation_path: Option<String>,
    /// The scope that makes this server issue a refresh token, to be named to a person who did not ask for it.
    pub offline_scope: Option<String>,
    /// The server's own error words, and the standard's word for each.
    pub error_aliases: BTreeMap<String, String>,
    /// What `invalid_request` means when a refresh is answered so: Hydra means "try again", Dex "it has ended".
    pub refresh_invalid_request: Doubt,
    /// What HTTP 404 means when a refresh is answered so: Rauthy knows no other word for a grant that has ended.
    pub refresh_404: Doubt,
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
    /// How long a refresh token may lie unused before the server ends it, as `"360h"` or in seconds.
    #[serde(deserialize_with = "span")]
    pub idle_limit: Option<Duration>,
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
    /// The built-in profile of that name, completed from `generic`.
    pub fn built_in(name: &str) -> Option<Self> {
        let text = BUILT_IN.iter().find(|(known, _)| *known == name)?.1;
        let mut profile: Self = toml::from_str(text).ok()?;
        for (word, standard) in Self::generic().error_aliases {
            profile.error_aliases.entry(word).or_insert(standard);
        }
        Some(profile)
    }

    /// The profile of a server of which nothing is known.
    pub fn generic() -> Self {
        toml::from_str(GENERIC).unwrap_or_default()
    }

    /// The names that [`Profile::built_in`] knows.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
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

const GENERIC: &str = include_str!("../../conf/providers.d/generic.toml");

const BUILT_IN: [(&str, &str); 2] =
    [("generic", GENERIC), ("kinde", include_str!("../../conf/providers.d/kinde.toml"))];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_profile_is_well_formed() {
        for (name, text) in BUILT_IN {
            toml::from_str::<Profile>(text).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(Profile::built_in(name).is_some());
        }
        assert!(!Profile::generic().error_aliases.is_empty());
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
}
