//! What an account shows, and what it writes down.

use std::sync::Arc;

use super::{Account, Fault, InFlight, Purpose, Record, Snapshot, State, Trouble};
use crate::time::{Instant, Now};

impl Account {
    /// Whether that version is durable.
    pub fn is_saved(&self, version: u64) -> bool {
        self.ledger.is_stored(version)
    }

    /// Whether stopping now would leave a reply or a write behind, or a try that may save the grant.
    pub fn is_busy(&self, now: Instant) -> bool {
        let waiting = !matches!(self.in_flight, None | Some(InFlight { purpose: Purpose::Login, .. }));
        waiting || self.session.is_busy() || self.ledger.is_writing() || self.is_trying(now)
    }

    /// Whether the program ends, and a reply was lost so lately that it had better wait.
    pub(super) fn is_trying(&self, now: Instant) -> bool {
        self.stopping.is_some_and(|until| now < until) && self.is_unsettled(now)
    }

    /// Whether the server may have replaced a refresh token whose successor is not on disk here yet, so that a suspend
    /// would cost the grant where the server forgives for some seconds alone.
    pub fn is_unsettled(&self, now: Instant) -> bool {
        self.session.is_unsettled(now)
    }

    /// The account as it is now.
    pub fn snapshot(&self, now: Instant) -> Snapshot {
        let unsaved = self.ledger.trouble();
        let grant = self.session.grant();
        // While there is a grant, what it suffers from counts; without one, why there is none.
        let trouble = match grant {
            Some(_) => self.session.trouble().or(self.login.trouble()),
            None => self.login.trouble().or(self.session.trouble()),
        };
        let trouble = trouble.cloned().or_else(|| {
            let text = unsaved.map(|text| format!("the newest state is not on disk yet: {text}"))?;
            Some(Trouble { fault: Fault::Storage, text, retry_at: self.ledger.deadline() })
        });
        let no_refresh = grant.is_some() && !self.session.refreshable();
        Snapshot {
            state: self.state(unsaved.is_some(), now),
            reason: self.session.reason(),
            token: self.session.token().cloned(),
            refreshable: self.session.refreshable(),
            renews_early: self.session.renews_early(),
            refresh_at: self.session.refresh_at(),
            login_starting: self.login.is_starting(),
            prompt: self.login.prompt().cloned(),
            trouble: trouble.or_else(|| self.foreign.is_some().then(foreign_grant)).map(Arc::new),
            missing_scope: no_refresh.then(|| self.client.profile.offline_scope.clone()).flatten(),
            attempts: self.session.attempts(),
            generation: self.session.generation(),
        }
    }

    fn state(&self, unsaved: bool, now: Instant) -> State {
        if self.login.prompt().is_some() {
            return State::Authorizing;
        }
        let refused = self.login.trouble().is_some_and(|trouble| trouble.fault == Fault::Configuration);
        match self.session.state(unsaved, now) {
            State::SignedOut if refused => State::Misconfigured,
            state => state,
        }
    }

    pub(super) fn record(&self, now: Now) -> Record {
        let grant = self.session.durable_grant().or(self.foreign.as_ref().map(|foreign| &foreign.grant));
        let interrupted = self.foreign.as_ref().is_some_and(|foreign| foreign.refreshing);
        let (gate, lapses) = self.login.store_gate(now);
        Record {
            boot_id: self.boot_id.as_deref().map(str::to_owned),
            saved_at: now.wall.0,
            generation: self.session.durable_generation(),
            grant: grant.map(|grant| grant.store(now)),
            refreshing: self.session.is_interrupted_if_killed_now() || interrupted,
            reason: self.session.reason(),
            identity: self.identity.clone(),
            server: self.login.known_server(),
            login: self.login.store(&self.client, now).filter(|_| self.schedule.sealed),
            gate,
            lapses,
            revocations: self.revocations.store(now),
        }
    }
}

fn foreign_grant() -> Trouble {
    let text = "the stored sign-in belongs to another issuer, client or token endpoint than the configuration names now, \
                so it is not used; sign in again, or restore the configuration";
    Trouble { fault: Fault::Configuration, text: text.into(), retry_at: None }
}
