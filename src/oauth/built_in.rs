//! The profiles that come with the program: the one place in the code where providers have names.

/// Name and text of every profile in `conf/providers.d`.
pub(super) const PROFILES: [(&str, &str); 19] = [
    (GENERIC, include_str!("../../conf/providers.d/generic.toml")),
    ("auth0", include_str!("../../conf/providers.d/auth0.toml")),
    ("authentik", include_str!("../../conf/providers.d/authentik.toml")),
    ("dex", include_str!("../../conf/providers.d/dex.toml")),
    ("entra", include_str!("../../conf/providers.d/entra.toml")),
    ("github", include_str!("../../conf/providers.d/github.toml")),
    ("gitlab", include_str!("../../conf/providers.d/gitlab.toml")),
    ("glewlwyd", include_str!("../../conf/providers.d/glewlwyd.toml")),
    ("google", include_str!("../../conf/providers.d/google.toml")),
    ("hydra", include_str!("../../conf/providers.d/hydra.toml")),
    ("keycloak", include_str!("../../conf/providers.d/keycloak.toml")),
    ("kinde", include_str!("../../conf/providers.d/kinde.toml")),
    ("okta", include_str!("../../conf/providers.d/okta.toml")),
    ("pingfederate", include_str!("../../conf/providers.d/pingfederate.toml")),
    ("rauthy", include_str!("../../conf/providers.d/rauthy.toml")),
    ("salesforce", include_str!("../../conf/providers.d/salesforce.toml")),
    ("twitch", include_str!("../../conf/providers.d/twitch.toml")),
    ("wso2", include_str!("../../conf/providers.d/wso2.toml")),
    ("zitadel", include_str!("../../conf/providers.d/zitadel.toml")),
];

/// The profile that completes all others.
pub(super) const GENERIC: &str = "generic";
