//! What the journal is told: one line for each change of an account that a person would want to know of, and one for
//! each time somebody asked for a change. None for a poll or a retry; tokens that
//! were handed out are in the audit's.

use tracing::Level;

use super::story;
use crate::{
    account::{AccountName, Reason, Snapshot, State},
    platform::{catalog, peer::Caller},
    time::Now,
};

/// What was told of an account last.
#[derive(Default)]
pub(super) struct News {
    told: Option<Told>,
    /// Why the latest sign-in came to nothing.
    failure: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Told {
    state: State,
    reason: Option<Reason>,
    generation: u64,
}

impl News {
    /// Tells how the account is, if that is news.
    pub fn tell(&mut self, account: &AccountName, new: &Snapshot, now: Now, with_code: bool) {
        let told = Told { state: new.state, reason: new.reason, generation: new.generation };
        let before = self.told;
        let error = new.trouble.as_ref().map(|trouble| trouble.text.as_str());
        // In these states nothing goes on but a sign-in, which somebody waits for.
        let failure = error.filter(|_| matches!(new.state, State::SignedOut | State::Active));
        let known = before == Some(told) && (failure.is_none() || failure == self.failure.as_deref());
        // Each attempt passes through here; what comes of it is told, and only if it is other than before.
        if new.state == State::Refreshing || known {
            return;
        }
        (self.told, self.failure) = (Some(told), failure.map(str::to_owned));
        let reason = new.reason.map(Reason::as_str);
        let (account, state, attempt) = (account.as_str(), new.state.as_str(), new.attempts);
        // The journal's usual view shows no fields.
        let message = format!("{account}: {}", story::sentence(account, new, now, with_code));
        let message_id = message_id(before.map(|before| before.state), new.state);
        match level(new) {
            Level::WARN => tracing::warn!(account, state, reason, attempt, error, message_id, "{message}"),
            _ => tracing::info!(account, state, reason, attempt, error, message_id, "{message}"),
        }
    }
}

/// Tells who asked for what.
pub(super) fn asked(account: &AccountName, caller: &Caller, what: &str) {
    let (account, caller_uid, caller_unit) = (account.as_str(), caller.uid, caller.unit.as_deref());
    tracing::info!(account, caller_uid, caller_unit, "{account}: user {caller_uid} asked for {what}");
}

fn level(new: &Snapshot) -> Level {
    match new.state {
        State::Authorizing if new.prompt.as_ref().is_some_and(|prompt| prompt.stranger.is_some()) => Level::WARN,
        State::Active | State::Refreshing | State::Authorizing => Level::INFO,
        State::Degraded | State::Stale | State::SignedOut | State::Misconfigured => Level::WARN,
    }
}

/// What kind of news it is; a token that was renewed in time is of no kind.
fn message_id(before: Option<State>, after: State) -> Option<&'static str> {
    match (before, after) {
        (_, State::Authorizing) => Some(catalog::CODE_OUT),
        (_, State::Degraded | State::Stale) => Some(catalog::REFRESH_FAILING),
        (_, State::SignedOut) => Some(catalog::SIGN_IN_NEEDED),
        (_, State::Misconfigured) => Some(catalog::CLIENT_REFUSED),
        (Some(State::Degraded | State::Stale | State::Misconfigured), State::Active) => Some(catalog::RECOVERED),
        (Some(State::Authorizing | State::SignedOut), State::Active) => Some(catalog::SIGNED_IN),
        (_, State::Active | State::Refreshing) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_and_bad_news_have_ids_and_routine_has_none() {
        for (before, after, id) in [
            (None, State::Active, None),
            (Some(State::Active), State::Active, None),
            (None, State::SignedOut, Some(catalog::SIGN_IN_NEEDED)),
            (Some(State::SignedOut), State::Authorizing, Some(catalog::CODE_OUT)),
            (Some(State::Authorizing), State::Active, Some(catalog::SIGNED_IN)),
            (Some(State::Active), State::Degraded, Some(catalog::REFRESH_FAILING)),
            (Some(State::Degraded), State::Stale, Some(catalog::REFRESH_FAILING)),
            (Some(State::Stale), State::Active, Some(catalog::RECOVERED)),
            (Some(State::Active), State::Misconfigured, Some(catalog::CLIENT_REFUSED)),
        ] {
            assert_eq!(message_id(before, after), id, "{before:?} {after:?}");
        }
    }
}
