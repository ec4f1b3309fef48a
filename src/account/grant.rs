//! A grant: the tokens, and the server and client they are bound to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    pace::SameToken,
    record::{Clocks, StoredMoment},
    snapshot::{Obstacle, Token},
};
use crate::{
    oauth::{
        client::{Client, Server},
        dpop::ProofKey,
        error::harmless,
        exchange::Endpoint,
        id_token,
        target::Target,
        token::TokenResponse,
    },
    secret::{Secret, exposed},
    time::{Instant, Now, UnixTime},
};

/// A grant as it is written down: moments on both clocks.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredGrant {
    issuer: Option<String>,
    client_id: Option<String>,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
    #[serde(with = "exposed")]
    access_token: Secret,
    #[serde(with = "exposed::optional")]
    refresh_token: Option<Secret>,
    #[serde(with = "exposed::optional")]
    id_token: Option<Secret>,
    scope: String,
    lifetime: Option<u64>,
    #[serde(default)]
    expires: Option<StoredMoment>,
    #[serde(default)]
    keep_alive: Option<StoredMoment>,
    #[serde(default)]
    resource: Option<Vec<String>>,
    #[serde(with = "exposed::optional", default)]
    proof_key: Option<Secret>,
    #[serde(default)]
    key_bound: bool,
    #[serde(default)]
    same_token: SameToken,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    passed: BTreeMap<String, String>,
}

/// A grant. Its refresh token is never sent anywhere else than to the server it came from.
#[derive(Clone)]
pub(super) struct Grant {
    pub issuer: Option<String>,
    pub client_id: Option<String>,
    pub token_endpoint: Endpoint,
    pub revocation_endpoint: Option<Endpoint>,
    pub access_token: Secret,
    pub refresh_token: Option<Secret>,
    pub id_token: Option<Secret>,
    pub scope: String,
    pub lifetime: Option<Duration>,
    pub expires: Option<Instant>,
    /// Whether the end of the access token is known by the boot clock; the wall clock may have been wrong, or be so yet.
    pub age_is_known: bool,
    /// When the refresh token must have been used at the latest, lest the server ends it as idle.
    pub keep_alive: Option<Instant>,
    /// The `resource` of the login (RFC 8707), which may not be the configured one any more.
    resource: Option<Vec<String>>,
    /// What the refresh token may be bound to (RFC 9449 §5), so that every request for this grant needs a proof.
    pub key: Option<ProofKey>,
    /// The access token is bound to it too.
    pub key_bound: bool,
    /// What its server does with an access token that is still valid.
    pub same_token: SameToken,
    /// What else callers get of the answers that it came with.
    passed: BTreeMap<String, String>,
}

/// When a reply was asked for: lifetimes count from there, so that the way back is never added to them.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    pub at: Instant,
    /// The same on the wall clock, where that can be believed.
    pub wall: Option<UnixTime>,
}

impl Grant {
    /// The grant that a successful login brings, bound to a key if the login was.
    pub fn new(client: &Client, server: Server, key: Option<ProofKey>, got: TokenResponse, asked: Asked) -> Self {
        Self {
            issuer: client.issuer.clone(),
            client_id: client.client_id.clone(),
            token_endpoint: server.token,
            revocation_endpoint: server.revocation,
            access_token: got.access_token,
            refresh_token: got.refresh_token,
            id_token: got.id_token,
            scope: got.scope.unwrap_or_else(|| client.scopes.join(" ")),
            lifetime: got.expires_in,
            expires: got.expires_in.map(|lifetime| asked.at + lifetime),
            age_is_known: true,
            keep_alive: keep_alive(client, asked.at),
            resource: Some(client.resource.clone()),
            key_bound: got.key_bound,
            key,
            same_token: SameToken::default(),
            passed: got.passed,
        }
    }

    /// The grant after a successful refresh: what the reply leaves out stays as it was (RFC 6749 §6). The same access
    /// token does not live longer for being handed out twice, unless the server is known to extend it.
    pub fn renewed(&self, got: TokenResponse, client: &Client, asked: Asked) -> Self {
        let same_token = self.same_token.learn(self, &got, asked);
        let end = got.expires_in.map(|lifetime| asked.at + lifetime);
        let same = self.access_token.same_as(&got.access_token);
        // Over by a clock that had lost count, and yet the server hands it out: how long it lives is the server's to say.
        let outlives_a_guess = same && !self.age_is_known && self.expires.is_some_and(|end| end <= asked.at);
        let (lifetime, expires) = match (self.expires, end) {
            (Some(_), _) if outlives_a_guess => {
                let end = end.or(self.lifetime.map(|lifetime| asked.at + lifetime));
                (self.lifetime.or(got.expires_in), end.map(|end| cap(&self.access_token, end, asked)))
            }
            (Some(old), Some(new)) if same && !same_token.extends() => (self.lifetime, Some(old.min(new))),
            (Some(old), None) if same => (self.lifetime, Some(old)),
            (_, new) => (got.expires_in, new),
        };
        Self {
            access_token: got.access_token,
            refresh_token: got.refresh_token.or_else(|| self.refresh_token.clone()),
            id_token: got.id_token.or_else(|| self.id_token.clone()),
            scope: got.scope.unwrap_or_else(|| self.scope.clone()),
            lifetime,
            expires,
            age_is_known: !outlives_a_guess,
            keep_alive: keep_alive(client, asked.at),
            key_bound: got.key_bound,
            same_token,
            passed: self.passed_with(got.passed),
            ..self.clone()
        }
    }

    /// The grant after a refresh for another target: of the reply, the refresh token alone is its own.
    pub fn rotated(&self, got: &TokenResponse, client: &Client, asked: Asked) -> Self {
        Self {
            refresh_token: got.refresh_token.clone().or_else(|| self.refresh_token.clone()),
            keep_alive: keep_alive(client, asked.at),
            ..self.clone()
        }
    }

    /// The access token of a reply that is for another target, with the scope that was asked for where the server does not
    /// say.
    pub fn other_token(&self, got: TokenResponse, scope: String, asked: Asked) -> Token {
        Token {
            fingerprint: got.access_token.fingerprint(),
            secret: got.access_token,
            expires: got.expires_in.map(|lifetime| asked.at + lifetime),
            lifetime: got.expires_in,
            scope: got.scope.unwrap_or(scope),
            id_token: got.id_token,
            unbound: self.key.is_some() && !got.key_bound,
            key: self.key.clone().filter(|_| got.key_bound),
            passed: self.passed_with(got.passed),
        }
    }

    /// The same, unless it is not what was asked for: of another scope, or the account's own once more.
    pub fn other_token_for(
        &self,
        target: &Target,
        got: TokenResponse,
        client: &Client,
        asked: Asked,
    ) -> Result<Arc<Token>, (Obstacle, String)> {
        if !target.is_met_by(got.scope.as_deref(), client.tolerated_scope()) {
            let (wanted, got) = (target.scope().unwrap_or_default(), harmless(&got.scope.unwrap_or_default(), 256));
            return Err((
                Obstacle::Scope,
                format!("the server was asked for the scope \"{wanted}\" and gave \"{got}\""),
            ));
        }
        if self.access_token.same_as(&got.access_token) {
            let text = "the server was asked for a token of its own for this and gave the account's once more";
            return Err((Obstacle::Target, text.to_owned()));
        }
        let scope = target.scope().unwrap_or_else(|| self.scope.clone());
        Ok(Arc::new(self.other_token(got, scope, asked)))
    }

    /// What callers get: a reply need not say again what was said before.
    fn passed_with(&self, newer: BTreeMap<String, String>) -> BTreeMap<String, String> {
        self.passed.clone().into_iter().chain(newer).collect()
    }

    /// Whether the configuration still means the server and the client that this grant came from.
    pub fn belongs_to(&self, client: &Client) -> bool {
        let elsewhere = client.endpoints.token.as_ref().is_some_and(|token| !token.same_origin(&self.token_endpoint));
        self.issuer == client.issuer && self.client_id == client.client_id && !elsewhere
    }

    /// The `resource` that it is for: other ones would be refused, by some servers after they have replaced the refresh
    /// token.
    pub fn resource<'a>(&'a self, client: &'a Client) -> &'a [String] {
        self.resource.as_ref().unwrap_or(&client.resource)
    }

    /// Whether this is the refresh token of this grant.
    pub fn refreshes_with(&self, refresh_token: &Secret) -> bool {
        self.refresh_token.as_ref().is_some_and(|own| own.same_as(refresh_token))
    }

    /// The access token, as callers get it.
    pub fn token(&self) -> Token {
        Token {
            secret: self.access_token.clone(),
            fingerprint: self.access_token.fingerprint(),
            expires: self.expires,
            lifetime: self.lifetime,
            scope: self.scope.clone(),
            id_token: self.id_token.clone(),
            unbound: self.key.is_some() && !self.key_bound,
            key: self.key.clone().filter(|_| self.key_bound),
            passed: self.passed.clone(),
        }
    }

    /// As it is written down.
    pub fn store(&self, now: Now) -> StoredGrant {
        StoredGrant {
            issuer: self.issuer.clone(),
            client_id: self.client_id.clone(),
            token_endpoint: self.token_endpoint.as_str().to_owned(),
            revocation_endpoint: self.revocation_endpoint.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
            access_token: self.access_token.clone(),
            refresh_token: self.refresh_token.clone(),
            id_token: self.id_token.clone(),
            scope: self.scope.clone(),
            lifetime: self.lifetime.map(|lifetime| lifetime.as_secs()),
            expires: self.expires.map(|end| StoredMoment::new(end, now)),
            keep_alive: self.keep_alive.map(|moment| StoredMoment::new(moment, now)),
            resource: self.resource.clone(),
            proof_key: self.key.as_ref().map(ProofKey::expose),
            key_bound: self.key_bound,
            same_token: self.same_token,
            passed: self.passed.clone(),
        }
    }

    /// As it is read back. Where the age of the token is not known, one that can be refreshed is taken as ended, one
    /// that cannot as fresh.
    pub fn restore(stored: StoredGrant, client: &Client, clocks: &Clocks) -> Option<Self> {
        let lifetime = stored.lifetime.map(Duration::from_secs);
        let end = stored.expires.map(|stored| clocks.moment(stored));
        let longest = clocks.now() + lifetime.unwrap_or_default();
        let expires = match end {
            Some(None) if stored.refresh_token.is_some() => Some(clocks.now()),
            Some(end) => Some(end.unwrap_or(longest).min(longest)),
            None => None,
        };
        let idle_end = stored.keep_alive.and_then(|moment| clocks.moment(moment));
        let keep_alive = keep_alive(client, clocks.now()).into_iter().chain(idle_end).min();
        let may_pass = |name: &String| client.profile.pass_through_members.contains(name);
        let key = match &stored.proof_key {
            Some(key) => Some(ProofKey::read(key)?),
            None => None,
        };
        Some(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            token_endpoint: Endpoint::parse(&stored.token_endpoint).ok()?,
            revocation_endpoint: stored.revocation_endpoint.and_then(|text| Endpoint::parse(&text).ok()),
            access_token: stored.access_token,
            refresh_token: stored.refresh_token,
            id_token: stored.id_token,
            scope: stored.scope,
            lifetime,
            expires,
            age_is_known: clocks.is_same_boot(),
            keep_alive,
            key,
            resource: stored.resource,
            key_bound: stored.key_bound,
            same_token: stored.same_token,
            passed: stored.passed.into_iter().filter(|(name, _)| may_pass(name)).collect(),
        })
    }
}

/// Half of what the server allows a refresh token to lie unused.
fn keep_alive(client: &Client, used: Instant) -> Option<Instant> {
    client.profile.idle_limit.map(|limit| used + limit / 2)
}

/// No later than the end that is written in the token, unless that has passed: then it is the wall clock that is wrong.
fn cap(token: &Secret, end: Instant, asked: Asked) -> Instant {
    let left = asked.wall.zip(id_token::fixed_end(token)).and_then(|(wall, end)| end.checked_sub(wall.0));
    left.filter(|left| *left > 0).map_or(end, |left| end.min(asked.at + Duration::from_secs(left)))
}
