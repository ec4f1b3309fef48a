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

/// What was not asked for at the sign-in, so that no refresh can bring it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Beyond {
    /// These scopes.
    #[error("the scope \"{0}\" was not granted at the sign-in")]
    Scope(String),
    /// These resources.
    #[error("the sign-in was not for the resource {0}; list it under resource in the account, and sign in again")]
    Resource(String),
    /// These audiences.
    #[error("the sign-in was not for the audience {0}; list it under audience in the account, and sign in again")]
    Audience(String),
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

    /// Whether tokens for other targets come by exchange.
    pub fn exchanges(&self) -> bool {
        self.narrow.or(self.profile.narrow) == Some(Narrow::Exchange)
    }

    /// Why a refresh of a grant of that scope and resource must not ask for this target, if it must not. RFC 6749 §6 and
    /// RFC 8707 §2.2 forbid what was not granted, and a server may have replaced the refresh token before it says so.
    pub fn out_of_reach(&self, target: &Target, scope: &str, resource: &[String]) -> Option<Beyond> {
        let within = |words: &[String], granted: &[String]| words.iter().all(|word| granted.contains(word));
        let own = self.scopes.iter().map(String::as_str);
        let scope = target.scope_beyond(&scope.split_whitespace().chain(own).collect::<Vec<_>>());
        match (scope, target.resource(), target.audience()) {
            (Some(words), _, _) if self.profile.scope_on_refresh != ScopeOnRefresh::Any => Some(Beyond::Scope(words)),
            _ if self.profile.refresh_reaches_other_targets => None,
            (_, Some(words), _) if !within(&words, resource) => Some(Beyond::Resource(words.join(" "))),
            (_, _, Some(words)) if !within(&words, &self.audience) => Some(Beyond::Audience(words.join(" "))),
            _ => None,
        }
    }

    /// A scope that may be in the answer although it was not asked for by the caller.
    pub fn tolerated_scope(&self) -> Option<&str> {
        let with_offline = self.profile.scope_on_refresh == ScopeOnRefresh::WithOffline;
        self.profile.offline_scope.as_deref().filter(|_| with_offline)
    }

    /// A refresh for this target (RFC 6749 §6) of a grant for this `resource`.
    pub fn refresh_for(
        &self,
        target: &Target,
        endpoint: &Endpoint,
        refresh_token: &Secret,
        resource: &[String],
    ) -> Request {
        let mut form = self.refresh_form(refresh_token, target.resource().as_deref().unwrap_or(resource));
        let scope = target.scope().map(|scope| match self.tolerated_scope() {
            Some(offline) => format!("{scope} {offline}"),
            None => scope,
        });
        if let Some(scope) = scope {
            form.set(self.scope_parameter(), &scope);
        }
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
    use std::sync::Arc;

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
        let refresh = |client: &Client, target: &Target| {
            body(&client.refresh_for(target, &endpoint(), &Secret::new("r"), &client.resource))
        };
        assert_eq!(
            refresh(&client, &target(&client)),
            "grant_type=refresh_token&refresh_token=r&resource=https%3A%2F%2Fr2%2F&scope=a+b&audience=x&client_id=abc"
        );
        Arc::make_mut(&mut client.profile).scope_on_refresh = ScopeOnRefresh::WithOffline;
        assert!(refresh(&client, &target(&client)).contains("scope=a+b+offline_access"));
        let scope = Target::read(Wish { scope: Some("a"), ..Wish::default() }, &client).expect("a target");
        let scope = scope.expect("another than the own");
        assert!(refresh(&client, &scope).contains("&resource=https%3A%2F%2Fr1%2F&"), "the own where it names none");
        let anywhere = body(&client.refresh_for(&scope, &endpoint(), &Secret::new("r"), &[]));
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
        Arc::make_mut(&mut client.profile).scope_on_refresh = ScopeOnRefresh::Ignored;
        assert_eq!(client.way_to(&target), Err(Unable::ScopeIgnored));
        Arc::make_mut(&mut client.profile).refresh_revokes_old_access_token = true;
        assert_eq!(client.way_to(&target), Err(Unable::OneAtATime));
        Arc::make_mut(&mut client.profile).narrow = Some(Narrow::Exchange);
        assert_eq!(client.way_to(&target), Ok(Narrow::Exchange));
        client.narrow = Some(Narrow::Refresh);
        assert_eq!(client.way_to(&target), Ok(Narrow::Refresh));
        client.narrow = Some(Narrow::Never);
        assert_eq!(client.way_to(&target), Err(Unable::Never));
    }

    #[test]
    fn what_was_never_granted_is_not_asked_for_unless_the_server_is_known_to_give_it() {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut client = Client { scopes: owned(&["a"]), audience: owned(&["w", "x"]), ..kinde(Some("abc")) };
        let target = target(&client);
        let resource = owned(&["https://r1/", "https://r2/"]);
        assert_eq!(client.out_of_reach(&target, "c", &resource), Some(Beyond::Scope("b".into())));
        assert_eq!(client.out_of_reach(&target, "b c", &resource), None);
        assert_eq!(client.out_of_reach(&target, "b c", &[]), Some(Beyond::Resource("https://r2/".into())));
        client.audience.clear();
        assert_eq!(client.out_of_reach(&target, "b c", &resource), Some(Beyond::Audience("x".into())));
        Arc::make_mut(&mut client.profile).refresh_reaches_other_targets = true;
        assert_eq!(client.out_of_reach(&target, "b", &[]), None);
        assert_eq!(client.out_of_reach(&target, "", &[]), Some(Beyond::Scope("b".into())));
        Arc::make_mut(&mut client.profile).scope_on_refresh = ScopeOnRefresh::Any;
        assert_eq!(client.out_of_reach(&target, "", &[]), None);
    }
}
