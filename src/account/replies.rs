//! What the server's replies do to an account.

use super::{
    Account, Identity, InFlight, Origin, Purpose, Reason, RequestId,
    grant::{Asked, Grant},
    login::Outcome,
    proof::NONCES,
    session::Means,
};
use crate::{
    oauth::{
        error::Failure,
        exchange::{Response, Unreachable},
        token::TokenResponse,
    },
    time::Instant,
};

impl Account {
    /// The reply to a request, or how it failed. A reply to anything but the request in flight is ignored.
    pub fn handle_reply(&mut self, id: RequestId, reply: Result<Response, Unreachable>, now: Instant) {
        let matching = self.in_flight.take_if(|request| request.id == id);
        let Some(InFlight { purpose, asked_at, proven, nonces, .. }) = matching else { return };
        let sent = proven.zip(reply.as_ref().ok());
        let again = sent.and_then(|(sent, reply)| self.proofs.replied(&sent, reply, &self.client.profile));
        let wanted = nonces < NONCES && !matches!(purpose, Purpose::Abandoned(_));
        if let Some(request) = again.filter(|_| wanted) {
            // The server has not acted on it: no failure, and nothing that a pause would be owed for.
            return self.send(purpose, request, nonces + 1, now);
        }
        let wall = self.clock.synchronised.then(|| self.clock.wall_at(asked_at));
        let asked = Asked { at: asked_at, wall };
        match purpose {
            Purpose::Login => self.login_replied(reply, asked, now),
            Purpose::Refresh => self.refresh_replied(reply, asked, now),
            Purpose::Exchange(target) => self.exchanged(*target, reply, asked, now),
            Purpose::Abandoned(origin) => {
                let got = reply.ok().and_then(|reply| TokenResponse::read(&reply, &self.client.profile, true).ok());
                let grant = got.zip(origin).map(|(got, origin)| match origin {
                    Origin::Login(server) => Grant::new(&self.client, *server, None, got, asked),
                    Origin::Refresh(grant) => grant.renewed(got, &self.client, asked),
                });
                if let Some(grant) = grant {
                    self.revoke(&grant, now);
                }
            }
            Purpose::Revoke => {
                if self.revocations.reply(&reply, now, &mut self.rng) {
                    self.ledger.want();
                }
            }
        }
        self.advance(now);
    }

    fn login_replied(&mut self, reply: Result<Response, Unreachable>, asked: Asked, now: Instant) {
        let reply =
            reply.map_err(|failure| Failure::Unreachable(failure).without(&self.login.sent_secrets(&self.client)));
        let was_out = self.login.prompt().is_some();
        match self.login.reply(reply, &self.client, asked, now, &mut self.rng) {
            Outcome::GoesOn | Outcome::Over(None) => {}
            Outcome::Granted(grant) => self.granted(*grant, asked, now),
            Outcome::Over(Some(reason)) => self.session.set_reason_if_none(reason),
        }
        let ended = was_out && self.login.prompt().is_none();
        if self.login.take_change() && self.schedule.sealed || ended {
            self.ledger.want();
        }
    }

    /// Somebody has signed in: the right person, or one that may take over, is let in.
    fn granted(&mut self, grant: Grant, asked: Asked, now: Instant) {
        let pinned = self.identity.as_ref().filter(|pinned| pinned.is_of(&self.client) && !self.login.may_replace());
        match Identity::of_login(&self.client, grant.id_token.as_ref(), asked, pinned) {
            Ok(identity) => {
                self.identity = identity;
                self.login.forget_trouble();
                self.session.adopt(grant, &mut self.ledger);
                self.targets.forget(now);
            }
            Err(stranger) => {
                self.revoke(&grant, now);
                self.login.over(stranger.to_string(), now, &mut self.rng);
                self.session.set_reason_if_none(Reason::IdentityChanged);
            }
        }
    }

    fn refresh_replied(&mut self, reply: Result<Response, Unreachable>, asked: Asked, now: Instant) {
        let profile = &self.client.profile;
        let proven = self.session.grant().is_some_and(|grant| grant.key.is_some());
        let read = match &reply {
            Ok(response) => TokenResponse::read(response, profile, proven),
            Err(unreachable) => Err(Failure::Unreachable(unreachable.clone())),
        };
        let lone = reply.ok().filter(|_| read.is_err());
        let lone = lone.and_then(|response| TokenResponse::lone_refresh_token(&response, profile));
        if let Ok(got) = &read {
            let pinned = self.identity.as_ref().filter(|pinned| pinned.is_of(&self.client));
            match Identity::of_refresh(&self.client, got.id_token.as_ref(), pinned) {
                Ok(identity) => self.identity = identity.or(self.identity.take()),
                Err(stranger) => {
                    if let Some(old) = self.session.grant() {
                        self.revocations.end(&old.renewed(got.clone(), &self.client, asked), now);
                    }
                    self.session.stop(Reason::IdentityChanged, stranger.to_string());
                    self.ledger.want();
                    return;
                }
            }
        }
        let read = read.map_err(|failure| failure.without(&self.session.sent_secrets(&self.client)));
        let margin = self.schedule.refresh_margin;
        let mut means = Means { client: &self.client, margin, ledger: &mut self.ledger, rng: &mut self.rng, now };
        if let Some((target, failure)) = self.session.reply(read, lone, asked, &mut means) {
            self.targets.refused(&target, &failure, now, &mut self.rng);
        }
    }

    /// Ends a grant at its server.
    fn revoke(&mut self, grant: &Grant, now: Instant) {
        self.revocations.end(grant, now);
        self.ledger.want();
    }
}
