//! Authorization servers as the documents of their makers describe them, simulated: what happens to the old refresh token
//! is what matters here.

use bearerd::oauth::profile::Profile;

use crate::device::{Reply, answer, tokens};

/// What a server does at a refresh.
#[derive(Clone, Copy)]
pub struct Provider {
    pub name: &'static str,
    /// Seconds that an access token lives.
    pub lifetime: u64,
    /// Each refresh replaces the refresh token.
    pub rotates: bool,
    /// Milliseconds for which a replaced one can be used again, counted from its first use.
    pub grace: u64,
    /// The access token stays the same while it is valid.
    pub same_token: bool,
    /// Days that a refresh token may lie unused.
    pub idle_days: u64,
}

/// One grant at its server.
pub struct Server {
    provider: Provider,
    /// The number of the refresh token that is good now, and when its predecessor was first used.
    current: u64,
    replaced_at: Option<u64>,
    access: (u64, u64),
    used_at: u64,
    /// An old refresh token was used too late, and the grant is gone.
    pub burnt: bool,
    pub refreshes: u64,
}

impl Provider {
    /// The profile that the program has for it.
    pub fn profile(&self) -> Profile {
        Profile::built_in(self.name).unwrap_or_else(Profile::generic)
    }

    /// Whether a lost reply can be made good at all.
    pub fn forgives(&self) -> bool {
        !self.rotates || self.grace > 0
    }
}

impl Server {
    pub fn new(provider: Provider, now: u64) -> Self {
        let access = (0, now + provider.lifetime * 1000);
        Self { provider, current: 0, replaced_at: None, access, used_at: now, burnt: false, refreshes: 0 }
    }

    /// The tokens of the sign-in.
    pub fn first(&self) -> Reply {
        tokens("at-0", Some("rt-0"), self.provider.lifetime)
    }

    /// A refresh with that token arrives.
    pub fn refresh(&mut self, token: &str, now: u64) -> Reply {
        let Provider { lifetime, rotates, grace, same_token, idle_days, .. } = self.provider;
        let number = token.strip_prefix("rt-").and_then(|number| number.parse::<u64>().ok()).expect("our own token");
        let idle = now - self.used_at > idle_days * 86_400_000;
        let again = number + 1 == self.current && self.replaced_at.is_some_and(|at| now - at <= grace);
        self.burnt |= idle || (number != self.current && !again);
        if self.burnt {
            return answer(400, r#"{"error":"invalid_grant"}"#);
        }
        if rotates && !again {
            (self.current, self.replaced_at) = (self.current + 1, Some(now));
        }
        self.used_at = now;
        self.refreshes += 1;
        if !same_token || now >= self.access.1 {
            self.access = (self.access.0 + 1, now + lifetime * 1000);
        }
        let refresh = rotates.then(|| format!("rt-{}", self.current));
        tokens(&format!("at-{}", self.access.0), refresh.as_deref(), (self.access.1 - now) / 1000)
    }
}

const fn provider(name: &'static str, lifetime: u64, rotates: bool, grace: u64, idle_days: u64) -> Provider {
    Provider { name, lifetime, rotates, grace: grace * 1000, same_token: false, idle_days }
}

/// Lifetimes, rotation and grace where their makers say them; where one is a setting, the name says which is meant.
/// Kinde speaks of "a small overlap" without a figure: ten seconds are assumed.
pub const PROVIDERS: [Provider; 17] = [
    Provider { same_token: true, ..provider("kinde", 86_400, true, 10, 15) },
    provider("hydra", 3600, true, 0, 30),
    provider("hydra, grace of 60 s", 3600, true, 60, 30),
    provider("keycloak", 300, false, 0, 30),
    provider("keycloak, revoking refresh tokens", 300, true, 0, 30),
    provider("auth0", 86_400, false, 0, 15),
    provider("auth0, rotating, leeway of 30 s", 86_400, true, 30, 15),
    provider("okta", 3600, false, 0, 7),
    provider("okta, rotating", 3600, true, 30, 7),
    provider("entra", 3599, true, 90 * 86_400, 90),
    provider("google", 3600, false, 0, 180),
    provider("github", 28_800, true, 0, 180),
    provider("zitadel, no grace assumed", 43_200, true, 0, 30),
    provider("authentik", 600, true, 0, 30),
    provider("rauthy", 1800, true, 5, 3),
    provider("dex, reuse interval of 3 s", 86_400, true, 3, 3650),
    provider("generic, grace of 5 s", 3600, true, 5, 30),
];
