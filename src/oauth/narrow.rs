//! How one sign-in brings tokens for more than one target: by a refresh (RFC 6749 §6, RFC 8707 §2.2), or by an exchange of
//! the access token (RFC 8693).

use serde::Deserialize;

use super::{
    client::Client,
    exchange::{Endpoint, Form, Request},
    target::Target,
};
use crate::secret::Secret;

/// The way to a token for another target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Narrow {
    /// A refresh that names the target.
    Refresh,
    /// An exchange of the account's own token.
    Exchange,
    /// None.
    Never,
}

/// What a server makes of `scope` in a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScopeOnRefresh {
    /// A token of that scope, which has to be within what was granted (RFC 6749 §6).
    #[default]
    Narrows,
    /// The same, also for scopes that were not asked for at the sign-in.
    Any,
    /// The same, as long as the scope for refresh tokens is among them.
    WithOffline,
    /// Nothing.
    Ignored,
}

/// Why a token for another target cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unable {
    /// It is switched off.
    #[error("narrow = \"never\" is set, so there is the account's own token alone")]
    Never,
    /// It would end the other tokens.
    #[error(
        "this server ends the old access token at each refresh, so a sign-in cannot have two of them; use an account of its \
         own for this, or narrow = \"exchange\" if the server offers token exchange, or narrow = \"refresh\" if the APIs \
         do not ask it about each token"
    )]
    OneAtATime,
    /// The server would return the account's own scope.
    #[error(
        "this server does not narrow the scope at a refresh; use an account of its own for this, or narrow = \"exchange\" if \
         the server offers token exchange"
    )]
    ScopeIgnored,
}

impl Client {
    /// The way to a token for this target. What the account's configuration says counts before what is known of the
    /// server.
    pub fn way_to(&self, target: &Target) -> Result<Narrow, Unable> {
        let profile = &self.profile;
        match self.narrow.or(profile.narrow) {
            Some(Narrow::Never) => Err(Unable::Never),
            Some(way) => Ok(way),
            None if profile.refresh_revokes_old_access_token => Err(Unable::OneAtATime),
            None if target.scope().is_some() && profile.scope_on_refresh == ScopeOnRefresh::Ignored => {
                Err(Unable::ScopeIgnored)
            }
            None => Ok(Narrow::Refresh),
        }
    }

    /// Whether this scope may be asked for by a refresh of a grant of `granted`; the words that may not, else.
    pub fn scope_out_of_reach(&self, target: &Target, granted: &str) -> Option<String> {
        if self.profile.scope_on_refresh == ScopeOnRefresh::Any {
            return None;
        }
        let own = self.scopes.iter().map(String::as_str);
        target.scope_beyond(&granted.split_whitespace().chain(own).collect::<Vec<_>>())
    }

    /// A scope that may be in the answer although it was not asked for by the caller.
    pub fn tolerated_scope(&self) -> Option<&str> {
        let with_offline = self.profile.scope_on_refresh == ScopeOnRefresh::WithOffline;
        self.profile.offline_scope.as_deref().filter(|_| with_offline)
    }

    /// A refresh for this target (RFC 6749 §6). `anywhere`: without the account's own `resource`, which the server refuses.
    pub fn refresh_for(&self, target: &Target, endpoint: &Endpoint, refresh_token: &Secret, anywhere: bool) -> Request {
        let own = if anywhere { &[][..] } else { &self.resource };
        let mut form = super::client::refresh_form(refresh_token, target.resource().as_deref().unwrap_or(own));
        let scope = target.scope().map(|scope| match self.tolerated_scope() {
            Some(offline) => format!("{scope} {offline}"),
            None => scope,
        });
        form.set("scope", &scope.unwrap_or_default());
        form.add_all("audience", &target.audience().unwrap_or_default());
        self.request(endpoint, form, &self.extra.refresh)
    }

    /// An exchange of the account's own access token for one for this target (RFC 8693 §2.1).
    pub fn exchange_for(&self, target: &Target, endpoint: &Endpoint, access_token: &Secret) -> Request {
        let mut form = Form::new(Some("urn:ietf:params:oauth:grant-type:token-exchange"));
        form.set("subject_token", access_token.expose());
        form.set("subject_token_type", ACCESS_TOKEN);
        form.set("requested_token_type", ACCESS_TOKEN);
        form.set("scope", &target.scope().unwrap_or_default());
        form.add_all("audience", &target.audience().unwrap_or_default());
        form.add_all("resource", &target.resource().unwrap_or_default());
        self.request(endpoint, form, &std::collections::BTreeMap::new())
    }
}

const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{
        client::tests::{body, kinde},
        target::Wish,
    };

    fn target(client: &Client) -> Target {
        let wish = Wish { scope: Some("b a"), audience: Some("x"), resource: Some("https://r2/") };
        Target::read(wish, client).expect("a target").expect("another than the own")
    }

    fn endpoint() -> Endpoint {
        Endpoint::parse("https://as.example/token").expect("an endpoint")
    }

    #[test]
    fn a_refresh_names_the_target_in_place_of_the_accounts_own() {
        let mut client = Client { resource: vec!["https://r1/".into()], ..kinde(Some("abc")) };
        let refresh =
            |client: &Client, target: &Target| body(&client.refresh_for(target, &endpoint(), &Secret::new("r"), false));
        assert_eq!(
            refresh(&client, &target(&client)),
            "grant_type=refresh_token&refresh_token=r&resource=https%3A%2F%2Fr2%2F&scope=a+b&audience=x&client_id=abc"
        );
        client.profile.scope_on_refresh = ScopeOnRefresh::WithOffline;
        assert!(refresh(&client, &target(&client)).contains("scope=a+b+offline_access"));
        let scope = Target::read(Wish { scope: Some("a"), ..Wish::default() }, &client).expect("a target");
        let scope = scope.expect("another than the own");
        assert!(refresh(&client, &scope).contains("&resource=https%3A%2F%2Fr1%2F&"), "the own where it names none");
        let anywhere = body(&client.refresh_for(&scope, &endpoint(), &Secret::new("r"), true));
        assert!(!anywhere.contains("resource"), "{anywhere}");
    }

    #[test]
    fn an_exchange_names_what_it_exchanges_and_for_what() {
        let client = kinde(Some("abc"));
        assert_eq!(
            body(&client.exchange_for(&target(&client), &endpoint(), &Secret::new("at"))),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=at\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &scope=a+b&audience=x&resource=https%3A%2F%2Fr2%2F&client_id=abc"
        );
    }

    #[test]
    fn the_configuration_counts_before_the_profile_and_that_before_the_standard() {
        let mut client = kinde(Some("abc"));
        let target = target(&client);
        assert_eq!(client.way_to(&target), Ok(Narrow::Refresh));
        client.profile.scope_on_refresh = ScopeOnRefresh::Ignored;
        assert_eq!(client.way_to(&target), Err(Unable::ScopeIgnored));
        client.profile.refresh_revokes_old_access_token = true;
        assert_eq!(client.way_to(&target), Err(Unable::OneAtATime));
        client.profile.narrow = Some(Narrow::Exchange);
        assert_eq!(client.way_to(&target), Ok(Narrow::Exchange));
        client.narrow = Some(Narrow::Refresh);
        assert_eq!(client.way_to(&target), Ok(Narrow::Refresh));
        client.narrow = Some(Narrow::Never);
        assert_eq!(client.way_to(&target), Err(Unable::Never));
    }

    #[test]
    fn what_was_never_granted_is_not_asked_for_unless_the_server_is_known_to_give_it() {
        let mut client = Client { scopes: vec!["a".into()], ..kinde(Some("abc")) };
        let target = target(&client);
        assert_eq!(client.scope_out_of_reach(&target, "c").as_deref(), Some("b"));
        assert_eq!(client.scope_out_of_reach(&target, "b c"), None);
        client.profile.scope_on_refresh = ScopeOnRefresh::Any;
        assert_eq!(client.scope_out_of_reach(&target, ""), None);
    }
}
