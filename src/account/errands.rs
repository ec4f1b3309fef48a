//! Tokens for other targets, seen from the account: when they are asked for, and what becomes of the replies.
//!
//! They share the grant's one queue: a refresh for another target begins when nothing else is going on with the grant and
//! nothing about it is in doubt, by the same steps and with the same trace on disk as any other.

use std::{sync::Arc, time::Duration};

use super::{Account, Answer, Hindrance, Need, Obstacle, Purpose, Snapshot, grant::Asked, session::Brought};
use crate::{
    account::snapshot::Fault,
    oauth::{
        error::Failure,
        exchange::{Request, Response, Unreachable},
        narrow::{Beyond, Narrow},
        target::Target,
        token::TokenResponse,
    },
    time::{Instant, Now},
};

impl Account {
    /// A caller who may have a token wants one for another target than the account's own: what is missing is begun.
    pub fn handle_need_for(&mut self, target: &Target, need: &Need, now: Now) {
        if self.is_out_of_reach(target).is_none() {
            self.targets.want(target, need, now.boot);
        }
        let any = Need { attempts: self.session.attempts(), ..Need::default() };
        if !self.session.is_well() {
            // What holds up the account holds this up as well.
            return self.handle_need(&any, now);
        }
        self.advance(now.boot);
    }

    /// What can be said to that caller now. `snapshot` is the account at this moment.
    pub fn answer_for(&self, target: &Target, need: &Need, snapshot: &Snapshot, now: Instant) -> Answer {
        let own = |answer| match answer {
            Ok(Some(token)) => Answer::Token(token),
            Ok(None) => Answer::AwaitRefresh,
            Err(hindrance) => Answer::Hindered(hindrance),
        };
        let known = self.targets.answer(target, need, now);
        if matches!(known, Ok(Some(_))) {
            return own(known);
        }
        match snapshot.answer(&Need { attempts: snapshot.attempts, ..Need::default() }, now) {
            Answer::Token(_) | Answer::AwaitRefresh => {}
            without_a_grant => return without_a_grant,
        }
        if let Some(hindrance) = self.is_out_of_reach(target) {
            return Answer::Hindered(Arc::new(hindrance));
        }
        let misconfigured = snapshot.trouble.as_ref().is_some_and(|trouble| trouble.fault == Fault::Configuration);
        if misconfigured { Answer::Configuration } else { own(known) }
    }

    /// [`Need::attempts`] of a caller who comes now.
    pub fn attempts_for(&self, target: &Target) -> u64 {
        self.targets.attempts(target)
    }

    /// What hinders this target, for a caller whose time is up.
    pub fn hindrance_of(&self, target: &Target) -> Option<Arc<Hindrance>> {
        self.targets.hindrance(target).cloned()
    }

    /// When the next token for another target is due, while that can be acted on.
    pub(super) fn errand_deadline(&self, now: Instant) -> Option<Instant> {
        self.targets.deadline().filter(|_| self.runs_errands(now))
    }

    /// Begins the refresh that is due for another target.
    pub(super) fn begin_errand(&mut self, now: Instant) {
        if self.session.grant().is_none() {
            return self.targets.forget(now);
        }
        if !self.runs_errands(now) {
            return;
        }
        let Some(target) = self.targets.next(now) else { return };
        if let Some(Hindrance { obstacle, text, .. }) = self.is_out_of_reach(&target) {
            return self.hinder(&target, obstacle, text, now);
        }
        match self.client.way_to(&target) {
            // It needs no trace on disk, and goes out when its turn has come.
            Ok(Narrow::Exchange) => {}
            Ok(_) if self.session.refreshable() => self.session.begin_for(target, &mut self.ledger),
            Ok(_) => self.hinder(&target, Obstacle::Target, NO_REFRESH_TOKEN.to_owned(), now),
            Err(unable) => self.hinder(&target, Obstacle::Target, unable.to_string(), now),
        }
    }

    /// The exchange that is due for another target.
    pub(super) fn exchange(&mut self, now: Instant) -> Option<(Purpose, Request)> {
        if !self.client.exchanges() || !self.runs_errands(now) {
            return None;
        }
        let (target, grant) = (self.targets.next(now)?, self.session.grant()?);
        let request = self.client.exchange_for(&target, &grant.token_endpoint, &grant.access_token);
        let request = self.proofs.prove_if(request, grant.key.as_ref());
        Some((Purpose::Exchange(Box::new(target)), request))
    }

    /// Takes the reply to an exchange. It says nothing of the grant, whatever it says.
    pub(super) fn exchanged(
        &mut self,
        target: Target,
        reply: Result<Response, Unreachable>,
        asked: Asked,
        now: Instant,
    ) {
        let Some(grant) = self.session.grant() else { return };
        let reply = reply.map_err(Failure::Unreachable);
        let proven = grant.key.is_some();
        let read = reply.and_then(|reply| TokenResponse::read(&reply, &self.client.profile, proven));
        match read {
            Ok(got) => {
                let token = grant.other_token_for(&target, got, &self.client, asked);
                self.brought(Brought { target, token }, now);
            }
            Err(failure) => {
                let failure = failure.without(&self.session.sent_secrets(&self.client));
                self.targets.refused(&target, &failure, now, &mut self.rng);
            }
        }
    }

    /// What a refresh or an exchange for another target brought goes to those who wait for it.
    pub(super) fn brought(&mut self, brought: Brought, now: Instant) {
        let Brought { target, token } = brought;
        match token {
            Ok(token) => self.targets.arrived(&target, token, self.schedule.refresh_margin, now, &mut self.rng),
            Err((obstacle, text)) => self.hinder(&target, obstacle, text, now),
        }
    }

    fn hinder(&mut self, target: &Target, obstacle: Obstacle, text: String, now: Instant) {
        self.targets.failed(target, obstacle, text, Duration::ZERO, now, &mut self.rng);
    }

    fn runs_errands(&self, now: Instant) -> bool {
        let valid = self.session.token().is_some_and(|token| token.is_valid(now));
        self.session.is_well() && (valid || !self.client.exchanges())
    }

    /// What was never granted is not asked for.
    fn is_out_of_reach(&self, target: &Target) -> Option<Hindrance> {
        let grant = self.session.grant().filter(|_| !self.client.exchanges())?;
        let beyond = self.client.out_of_reach(target, &grant.scope, grant.resource(&self.client))?;
        let obstacle = match beyond {
            Beyond::Scope(_) => Obstacle::Scope,
            Beyond::Resource(_) | Beyond::Audience(_) => Obstacle::Target,
        };
        Some(Hindrance { obstacle, text: beyond.to_string(), retry_at: self.clock.boot })
    }
}

const NO_REFRESH_TOKEN: &str = "without a refresh token there is the account's own token alone";
