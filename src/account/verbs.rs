//! What people and programs ask of an account.

use std::{mem, time::Duration};

use super::{Account, Answer, InFlight, LoginMode, Need, Origin, Purpose, Reason};
use crate::time::{Instant, Now};

impl Account {
    /// Somebody asks for a login, or joins the one that is running. With `replace`, whoever signs in takes over;
    /// otherwise only the person who signed in before is let in.
    pub fn handle_login(&mut self, replace: bool, now: Instant) {
        self.login.forgive(now);
        self.login.begin(&self.client, false, now);
        if replace && self.login.let_replace() && self.schedule.sealed {
            self.ledger.want();
        }
        self.advance(now);
    }

    /// Ends the login that is running. Returns whether there was one.
    pub fn handle_cancel_login(&mut self, now: Instant) -> bool {
        self.abandon_login();
        let was_running = self.login.cancel(now);
        if was_running {
            self.ledger.want();
        }
        self.advance(now);
        was_running
    }

    /// Signs out: forgets the grant and who signed in, ends the grant at the server, and ends a login that is running.
    /// Returns the version that has to be durable before anyone is told.
    pub fn handle_logout(&mut self, now: Instant) -> u64 {
        let foreign = self.foreign.take().map(|foreign| foreign.grant);
        for grant in self.session.durable_grant().into_iter().chain(&foreign) {
            self.revocations.end(grant, now);
        }
        if let Some(grant) = self.session.grant() {
            self.revocations.end_others(grant, self.targets.tokens(now), now);
        }
        self.abandon_login();
        self.abandon_refresh();
        self.login.cancel(now);
        self.login.forgive(now);
        self.session.end(Reason::LoggedOut);
        self.session.forget_trouble();
        self.identity = None;
        let version = self.ledger.want();
        self.advance(now);
        version
    }

    /// The state is to be made durable once more, though nothing of it has changed: what protects it has. Returns the
    /// version that has to be durable before anyone is told.
    pub fn handle_save(&mut self, now: Instant) -> u64 {
        let version = self.ledger.want();
        self.advance(now);
        version
    }

    /// The program is about to end: nothing new is begun but the tries after a lost reply, for a few seconds, since a
    /// server may hold the replaced refresh token good for no longer. What is in flight is waited for while
    /// [`Account::is_busy`], and what is not on disk yet is written once more.
    pub fn handle_stop(&mut self, now: Instant) {
        self.stopping = Some(now + LAST_TRIES);
        self.session.forget_intent(&mut self.ledger);
        self.ledger.hurry();
        self.advance(now);
    }

    /// The tries after a lost reply are all that goes on while the program ends.
    pub(super) fn try_again(&mut self, now: Instant) {
        if self.is_trying(now) {
            self.session.begin(&mut self.ledger, now);
            if self.in_flight.is_none()
                && let Some((purpose, request)) = self.refresh_request()
            {
                self.send(purpose, request, 0, now);
            }
        }
    }

    /// Somebody wants a new token now; it comes as soon as the floor between refreshes allows.
    pub fn handle_refresh(&mut self, now: Instant) {
        self.session.hurry(true, now);
        self.targets.forgive(now);
        self.advance(now);
    }

    /// A caller who may have a token wants one: what is missing is begun, a refresh or, in that mode, a login. While
    /// refreshes fail, callers do not bring the next one forward.
    pub fn handle_need(&mut self, need: &Need, now: Now) {
        match self.snapshot(now.boot).answer(need, now.boot) {
            Answer::AwaitRefresh => self.session.hurry(false, now.boot),
            // A refused client is tried again as well, once the gate opens: the server may have been mended.
            Answer::LoginRequired | Answer::Configuration
                if self.schedule.login == LoginMode::OnDemand && self.may_begin(now.boot) =>
            {
                self.login.begin(&self.client, true, now.boot);
            }
            _ => {}
        }
        self.advance(now.boot);
    }

    /// When a login is to begin by itself, if it ever is.
    pub(super) fn unattended_login_at(&self) -> Option<Instant> {
        let wanted = self.schedule.login == LoginMode::Auto && self.wants_login();
        (wanted && self.login.is_idle()).then(|| self.login.gate())
    }

    fn may_begin(&self, now: Instant) -> bool {
        self.wants_login() && self.login.gate() <= now
    }

    /// Whether a login that nobody asked for by hand makes sense: not after somebody said no.
    fn wants_login(&self) -> bool {
        self.session.reason().is_some_and(|reason| !matches!(reason, Reason::LoggedOut | Reason::Denied))
    }

    fn abandon_login(&mut self) {
        let origin = self.login.server().map(|server| Origin::Login(Box::new(server.clone())));
        self.abandon(|purpose| matches!(purpose, Purpose::Login), origin);
    }

    fn abandon_refresh(&mut self) {
        let origin = self.session.grant().map(|grant| Origin::Refresh(Box::new(grant.clone())));
        self.abandon(|purpose| matches!(purpose, Purpose::Refresh | Purpose::Exchange(_)), origin);
    }

    /// What is in flight for that purpose is not wanted any more; its slot stays taken until the reply is in.
    fn abandon(&mut self, is_meant: impl Fn(&Purpose) -> bool, origin: Option<Origin>) {
        let Some(InFlight { id, purpose, .. }) = self.in_flight.as_mut().filter(|sent| is_meant(&sent.purpose)) else {
            return;
        };
        if self.outgoing.take_if(|outgoing| outgoing.0 == *id).is_some() {
            self.in_flight = None;
        } else {
            let _ = mem::replace(purpose, Purpose::Abandoned(origin));
        }
    }
}

/// The shortest time for which a server is known to forgive, and more of a stop than this is nobody's wish.
const LAST_TRIES: Duration = Duration::from_secs(5);
