//! What a session shows of itself.

use std::sync::Arc;

use super::{Session, Step};
use crate::{
    account::{
        grant::Grant,
        snapshot::{Fault, Reason, State, Token, Trouble},
    },
    oauth::client::Client,
    secret::Secret,
    time::Instant,
};

impl Session {
    pub fn grant(&self) -> Option<&Grant> {
        self.grant.as_ref()
    }

    pub fn token(&self) -> Option<&Arc<Token>> {
        self.token.as_ref()
    }

    /// Why there is no grant; `None` too while the first one is on its way to disk.
    pub fn reason(&self) -> Option<Reason> {
        self.durable_grant().is_none().then_some(self.reason)
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_deref()
    }

    pub fn attempts(&self) -> u64 {
        self.attempts
    }

    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// The generation of [`Session::durable_grant`].
    pub fn durable_generation(&self) -> u64 {
        match &self.step {
            Step::Storing(_, fresh, _) => self.generation + u64::from(self.is_another(fresh)),
            _ => self.generation,
        }
    }

    pub fn refreshable(&self) -> bool {
        self.grant.as_ref().is_some_and(|grant| grant.refresh_token.is_some())
    }

    pub fn renews_early(&self) -> bool {
        self.grant.as_ref().is_none_or(|grant| grant.same_token.renews_early())
    }

    pub fn refresh_at(&self) -> Option<Instant> {
        self.due
    }

    /// What belongs on disk now: the newest grant that is known, published or not.
    pub fn durable_grant(&self) -> Option<&Grant> {
        match &self.step {
            Step::Storing(_, fresh, _) => Some(fresh),
            _ => self.grant.as_ref(),
        }
    }

    /// Whether a reply to a refresh of [`Session::durable_grant`] is, or may be, outstanding.
    pub fn is_interrupted_if_killed_now(&self) -> bool {
        match self.step {
            Step::Recording(..) | Step::Refreshing(..) | Step::Checking(..) => true,
            Step::Storing(..) => false,
            Step::Resting => self.doubts.is_reply_lost() && self.grant.is_some(),
        }
    }

    /// Whether a refresh has begun and its result is not published yet.
    pub fn is_busy(&self) -> bool {
        !matches!(self.step, Step::Resting)
    }

    /// Whether that is so, or a reply was lost so lately that each moment counts.
    pub fn is_unsettled(&self, now: Instant) -> bool {
        self.is_busy() || self.refreshable() && self.doubts.is_urgent(now)
    }

    /// Whether what has begun is for the account's own target.
    pub fn is_refreshing(&self) -> bool {
        match &self.step {
            Step::Resting => false,
            Step::Recording(_, aim) | Step::Refreshing(_, aim) => aim.is_none(),
            Step::Storing(_, _, brought) => brought.is_none(),
            Step::Checking(..) => true,
        }
    }

    /// Whether there is a grant of which nothing is in doubt, and nothing going on with it.
    pub fn is_well(&self) -> bool {
        self.grant.is_some() && !self.is_busy() && self.trouble.is_none() && !self.doubts.is_reply_lost()
    }

    /// Whether the disk is to be asked for a newer grant before this one is given up.
    pub fn is_checking(&self) -> bool {
        matches!(self.step, Step::Checking(..))
    }

    /// The state, as far as this part alone decides it.
    pub fn state(&self, unsaved: bool, now: Instant) -> State {
        let Some(token) = self.token.as_ref().filter(|_| self.grant.is_some()) else {
            return if self.is_refreshing() { State::Refreshing } else { State::SignedOut };
        };
        let valid = token.is_valid(now);
        match self.trouble.as_deref() {
            Some(Trouble { fault: Fault::Configuration, .. }) => State::Misconfigured,
            Some(_) if valid => State::Degraded,
            Some(_) => State::Stale,
            None if unsaved && valid && !self.is_refreshing() => State::Degraded,
            None if self.is_refreshing() || !valid => State::Refreshing,
            None => State::Active,
        }
    }

    /// When this part next has something to do; `None` while it waits for a write or a reply.
    pub fn deadline(&self) -> Option<Instant> {
        let end = self.token.as_ref().and_then(|token| token.expires);
        if self.is_busy() { None } else { self.due.or(end) }
    }

    /// What the request in flight carries, to be kept out of every text.
    pub fn sent_secrets<'a>(&'a self, client: &'a Client) -> Vec<&'a Secret> {
        let own = self.grant.iter().flat_map(|grant| grant.refresh_token.iter().chain([&grant.access_token]));
        own.chain(client.auth.sent_secret()).collect()
    }

    /// Whether this grant brings a token that is not the published one.
    pub(super) fn is_another(&self, fresh: &Grant) -> bool {
        !self.grant.as_ref().is_some_and(|old| old.access_token.same_as(&fresh.access_token))
    }
}
