//! An account in plain words: the one place where sentences for people are made, so that `systemctl status`, the
//! command line, HTTP and D-Bus tell the same story.

use std::sync::Arc;

use super::View;
use crate::{
    account::{AccountName, Reason, Snapshot, State},
    time::{Instant, Now, span},
};

/// How the account is and what to do, in one sentence without a full stop.
pub fn sentence(account: &str, snapshot: &Snapshot, now: Now, with_code: bool) -> String {
    let trouble = snapshot.trouble.as_deref();
    let cause = trouble.map(|trouble| trouble.text.as_str()).unwrap_or_default();
    let valid = snapshot.valid_token(now.boot).is_some();
    let retry = trouble.and_then(|trouble| trouble.retry_at).map(|at| now.boot.until(at));
    let next = retry.map_or(String::new(), |pause| format!("; next attempt in {}", span(pause)));
    match snapshot.state {
        // What an active account suffers from is a new sign-in that came to nothing.
        State::Active if !cause.is_empty() => {
            format!("{}; the latest sign-in failed: {cause}", signed_in(snapshot, now))
        }
        State::Active | State::Refreshing => signed_in(snapshot, now),
        State::Authorizing => waiting(snapshot, now.boot, with_code),
        State::Degraded => format!("{}, but {cause}{next}", signed_in(snapshot, now)),
        State::Stale => format!("the token has expired and cannot be renewed now: {cause}{next}"),
        State::SignedOut => {
            let why = snapshot.reason.map_or("nobody is signed in", why_signed_out);
            let detail = if cause.is_empty() { String::new() } else { format!(" ({cause})") };
            format!("{why}{detail}; run: bearerd login {account}")
        }
        State::Misconfigured if valid => {
            format!("{}, but {cause}; once that is mended, run: bearerd reload", signed_in(snapshot, now))
        }
        State::Misconfigured => format!("{cause}; once that is mended, run: bearerd reload"),
    }
}

/// All accounts in one sentence: the one that needs somebody most, and how many others do.
pub fn overview(views: &[(AccountName, Arc<View>)], now: Now, with_code: bool) -> String {
    let Some((name, view)) = views.iter().max_by_key(|(_, view)| urgency(view.snapshot.state)) else {
        return "no account is configured; see bearerd.toml(5)".to_owned();
    };
    let sentence = sentence(name.as_str(), &view.snapshot, now, with_code);
    let needy = |view: &&(AccountName, Arc<View>)| urgency(view.1.snapshot.state) > urgency(State::Refreshing);
    match (views.iter().filter(needy).count(), views.len()) {
        (0, 2..) => format!("{} accounts, all signed in; {name}: {sentence}", views.len()),
        (2, _) => format!("{name}: {sentence}; 1 more needs attention, see bearerd status"),
        (3.., _) => format!(
            "{name}: {sentence}; {} more need attention, see bearerd status",
            views.iter().filter(needy).count() - 1
        ),
        _ => format!("{name}: {sentence}"),
    }
}

/// How much an account needs somebody: first what a person can do something about now.
fn urgency(state: State) -> u8 {
    match state {
        State::Active => 0,
        State::Refreshing => 1,
        State::Degraded => 2,
        State::Stale => 3,
        State::SignedOut => 4,
        State::Misconfigured => 5,
        State::Authorizing => 6,
    }
}

/// Why an account is signed out.
pub fn why_signed_out(reason: Reason) -> &'static str {
    match reason {
        Reason::Never => "nobody has signed in yet",
        Reason::LoggedOut => "it was signed out here",
        Reason::Revoked => "the server has ended the sign-in",
        Reason::Expired => "the token has expired and there was no refresh token to renew it",
        Reason::LostRotation => "the server has ended the sign-in after one of its replies was lost",
        Reason::Denied => "the sign-in was denied",
        Reason::CodeExpired => "the code was not entered in time",
        Reason::IdentityChanged => "somebody else has signed in",
        Reason::Storage => "the stored sign-in cannot be used, see the log for why",
        Reason::Policy => "the server or a change of the configuration asks for a new sign-in",
    }
}

fn signed_in(snapshot: &Snapshot, now: Now) -> String {
    let left = snapshot.valid_token(now.boot).and_then(|token| token.remaining(now.boot));
    let valid = left.map_or(String::new(), |left| format!(", token valid for {}", span(left)));
    let renewal = match (&snapshot.missing_scope, snapshot.refreshable) {
        (_, true) => String::new(),
        (Some(scope), false) => {
            format!(
                "; there is no refresh token, so a new sign-in is due then: add the scope \"{scope}\" to avoid that"
            )
        }
        (None, false) => "; there is no refresh token, so a new sign-in is due then".to_owned(),
    };
    let bearer = if snapshot.token.as_ref().is_some_and(|token| token.unbound) {
        "; the server did not bind it to a key, so it is a bearer token"
    } else {
        ""
    };
    format!("signed in{valid}{bearer}{renewal}")
}

fn waiting(snapshot: &Snapshot, now: Instant, with_code: bool) -> String {
    let Some(prompt) = &snapshot.prompt else { return "waiting for sign-in".to_owned() };
    let code = if with_code { format!(" and enter {}", prompt.user_code) } else { String::new() };
    let warning = prompt.warning().map_or(String::new(), |warning| format!("; {warning}"));
    let left = span(now.until(prompt.expires));
    format!("waiting for sign-in, open {}{code} ({left} left){warning}", prompt.verification_uri)
}
