//! Tokens that nobody needs any more, until the server has been told (RFC 7009).
//!
//! A logout never waits for this. What the server does not take now is tried again for a week, also over restarts.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    backoff::Backoff,
    grant::Grant,
    record::{Clocks, StoredMoment},
    snapshot::Token,
};
use crate::{
    oauth::{
        client::{Client, TokenType, foreign_revocation},
        exchange::{Endpoint, Request, Response, Unreachable},
    },
    secret::{Secret, exposed},
    time::{Instant, Now},
};

/// The tokens to end, in the order in which they are to be ended.
#[derive(Default)]
pub(super) struct Revocations {
    waiting: Vec<Revocation>,
    /// The one whose request is in flight. On the heap, as hardly ever any is.
    sent: Option<Box<Revocation>>,
}

struct Revocation {
    issuer: Option<String>,
    client_id: Option<String>,
    endpoint: Endpoint,
    token_type: TokenType,
    token: Secret,
    next: Instant,
    /// The server itself has asked for the pause until then.
    asked_for: bool,
    /// From then on the server is left alone with it.
    give_up: Instant,
    backoff: Backoff,
}

/// A revocation as it is written down.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredRevocation {
    issuer: Option<String>,
    client_id: Option<String>,
    endpoint: String,
    token_type: TokenType,
    #[serde(with = "exposed")]
    token: Secret,
    give_up: StoredMoment,
    /// Before this the server does not want to be asked.
    #[serde(default)]
    not_before: Option<StoredMoment>,
}

impl Revocations {
    /// As they are read back; all of them are due but those that the server has put off.
    pub fn restore(stored: Vec<StoredRevocation>, clocks: &Clocks) -> Self {
        let read = |stored: StoredRevocation| {
            Some(Revocation {
                issuer: stored.issuer,
                client_id: stored.client_id,
                endpoint: Endpoint::parse(&stored.endpoint).ok()?,
                token_type: stored.token_type,
                token: stored.token,
                next: stored.not_before.map_or(clocks.now(), |moment| clocks.moment_at_the_latest(moment)),
                asked_for: stored.not_before.is_some(),
                give_up: clocks.moment_at_the_latest(stored.give_up),
                backoff: Backoff::default(),
            })
        };
        Self { waiting: stored.into_iter().filter_map(read).collect(), sent: None }
    }

    /// As they are written down.
    pub fn store(&self, now: Now) -> Vec<StoredRevocation> {
        let write = |revocation: &Revocation| StoredRevocation {
            issuer: revocation.issuer.clone(),
            client_id: revocation.client_id.clone(),
            endpoint: revocation.endpoint.as_str().to_owned(),
            token_type: revocation.token_type,
            token: revocation.token.clone(),
            give_up: StoredMoment::new(revocation.give_up, now),
            not_before: revocation.asked_for.then(|| StoredMoment::new(revocation.next, now)),
        };
        self.sent.as_deref().into_iter().chain(&self.waiting).map(write).collect()
    }

    /// Ends a grant, refresh token first (RFC 7009 §2.1); nothing where its server offers no revocation.
    pub fn end(&mut self, grant: &Grant, now: Instant) {
        let Some(endpoint) = &grant.revocation_endpoint else { return };
        let week = now + PATIENCE;
        let access = (TokenType::Access, &grant.access_token, grant.expires.map_or(week, |end| end.min(week)));
        let refresh = grant.refresh_token.as_ref().map(|token| (TokenType::Refresh, token, week));
        let revocation = |(token_type, token, give_up): (TokenType, &Secret, Instant)| Revocation {
            issuer: grant.issuer.clone(),
            client_id: grant.client_id.clone(),
            endpoint: endpoint.clone(),
            token_type,
            token: token.clone(),
            next: now,
            asked_for: false,
            give_up,
            backoff: Backoff::default(),
        };
        self.waiting.extend(refresh.into_iter().chain([access]).map(revocation));
    }

    /// Ends the access tokens of a grant that are for other targets than its own.
    pub fn end_others<'a>(&mut self, grant: &Grant, tokens: impl Iterator<Item = &'a Arc<Token>>, now: Instant) {
        let Some(endpoint) = &grant.revocation_endpoint else { return };
        self.waiting.extend(tokens.map(|token| Revocation {
            issuer: grant.issuer.clone(),
            client_id: grant.client_id.clone(),
            endpoint: endpoint.clone(),
            token_type: TokenType::Access,
            token: token.secret.clone(),
            next: now,
            asked_for: false,
            give_up: token.expires.map_or(now + PATIENCE, |end| end.min(now + PATIENCE)),
            backoff: Backoff::default(),
        }));
    }

    /// When the next one is to be tried.
    pub fn deadline(&self) -> Option<Instant> {
        self.waiting.iter().map(|revocation| revocation.next).min()
    }

    /// The next request, when it is due.
    pub fn request(&mut self, client: &Client, now: Instant) -> Option<Request> {
        let due = self.waiting.iter().position(|revocation| revocation.next <= now)?;
        let revocation = self.waiting.remove(due);
        let request = revocation.request(client);
        self.sent = Some(Box::new(revocation));
        Some(request)
    }

    /// Takes the reply. Returns whether that is to be written down: the token is done with, one way or the other, or put
    /// off by the server.
    pub fn reply(&mut self, reply: &Result<Response, Unreachable>, now: Instant, rng: &mut fastrand::Rng) -> bool {
        let Some(mut revocation) = self.sent.take() else { return false };
        let (status, asked_pause) = match reply {
            Ok(response) => (response.status, response.retry_after.unwrap_or_default()),
            Err(_) => (0, Duration::ZERO),
        };
        let answered = matches!(status, 200..=299 | 400..=499) && !matches!(status, 408 | 425 | 429);
        let pause = revocation.backoff.pause(FIRST_RETRY, LAST_RETRY, rng).max(asked_pause.min(LONGEST_RETRY_AFTER));
        revocation.next = now + pause;
        revocation.asked_for = !asked_pause.is_zero();
        let over = answered || revocation.next >= revocation.give_up;
        let changed = over || revocation.asked_for;
        if !over {
            self.waiting.insert(0, *revocation);
        }
        changed
    }
}

impl Revocation {
    /// Our secret goes to our own server alone.
    fn request(&self, client: &Client) -> Request {
        let here = match &client.endpoints.revocation {
            Some(known) => known.same_origin(&self.endpoint),
            None => client.issuer.is_some(),
        };
        if here && self.issuer == client.issuer && self.client_id == client.client_id {
            client.revocation(&self.endpoint, &self.token, self.token_type)
        } else {
            foreign_revocation(self.client_id.as_deref(), &self.endpoint, &self.token, self.token_type)
        }
    }
}

const FIRST_RETRY: Duration = Duration::from_secs(10);
const LAST_RETRY: Duration = Duration::from_secs(3600);
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(86_400);
const PATIENCE: Duration = Duration::from_secs(7 * 86_400);
