//! How one provider differs from the standard, as data. Code never asks which provider it talks to.

use std::collections::BTreeMap;

use serde::Deserialize;

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
}
