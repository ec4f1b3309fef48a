//! What a look brings, and what is found by looking at what is known already.

use std::time::Duration;

use crate::{
    account::{AccountName, Prompt, Snapshot, State},
    broker::story,
    oauth::client::{Client, Endpoints},
    platform::clock,
    time::UnixTime,
};

/// What one look brought.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at, one word.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, a sentence without a full stop.
    pub text: String,
    /// What to do about it, where there is something to do.
    pub remedy: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or nobody can tell; somebody should know all the same.
    Warning,
    /// It does not work.
    Failed,
}

impl Verdict {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    pub(super) fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.into(), remedy: None }
    }

    pub(super) fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, text: text.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn failed(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, text: text.into(), remedy: Some(remedy.into()) }
    }
}

pub(super) fn clock_finding(theirs: Option<UnixTime>) -> Finding {
    let remedy = "set it, and let it be kept: timedatectl set-ntp true";
    let now = clock::now();
    match theirs.map(|theirs| (theirs.0.abs_diff(now.wall.0), theirs.0 > now.wall.0)) {
        Some((off, behind)) if off > TOLERANCE.as_secs() => {
            let way = if behind { "behind" } else { "ahead of" };
            let off = crate::time::span(Duration::from_secs(off));
            Finding::failed("clock", format!("it is {off} {way} the server's"), remedy)
        }
        _ if !now.synchronised => Finding::warning("clock", "it has not been synchronised since the start", remedy),
        Some((off, _)) => Finding::ok("clock", format!("within {} s of the server's", off.max(1))),
        None => Finding::ok("clock", "it is set; no server could be asked for the time"),
    }
}

pub(super) fn endpoints_finding(endpoints: &Endpoints) -> Finding {
    let named =
        [("device_authorization_endpoint", &endpoints.device_authorization), ("token_endpoint", &endpoints.token)];
    let missing: Vec<&str> = named.iter().filter(|(_, found)| found.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let remedy =
            "does the server offer the device grant? If it does, configure the endpoint; else choose another server";
        return Finding::failed("endpoints", format!("not known: {}", missing.join(", ")), remedy);
    }
    match &endpoints.revocation {
        Some(_) => Finding::ok("endpoints", "device authorization, token and revocation are known"),
        None => Finding::warning(
            "endpoints",
            "there is no revocation endpoint, so a sign-out ends nothing at the server",
            "if the server has one, set revocation_endpoint",
        ),
    }
}

/// How the account is and what it suffers from, in the words of its status. A client that is refused is told of by itself.
pub(super) fn state_finding(name: &AccountName, snapshot: &Snapshot) -> Option<Finding> {
    let text = story::sentence(name.as_str(), snapshot, clock::now(), false);
    let see_log = "for when it began, and what was before: journalctl -xu bearerd";
    match (snapshot.state, &snapshot.trouble) {
        (State::Misconfigured, _) => None,
        (State::Active | State::Refreshing | State::Authorizing, None) | (State::Authorizing, Some(_)) => {
            Some(Finding::ok("state", text))
        }
        (State::SignedOut, _) => Some(Finding::warning("state", text, format!("sign in: bearerd login {name}"))),
        (_, _) => Some(Finding::warning("state", text, see_log)),
    }
}

/// Where a code is out, and is to be entered on a page of which nobody knows whose it is.
pub(super) fn page_finding(prompt: &Prompt) -> Option<Finding> {
    let host = prompt.stranger.as_ref()?;
    let text = format!("the code that is out is to be entered on {host}, which is not the server's own host");
    let remedy = format!(
        "if that page is right, add code_pages = [\"{host}\"] to the account; if nobody knows it, cancel the sign-in, and check \
         the issuer and the endpoints"
    );
    Some(Finding::warning("page", text, remedy))
}

pub(super) fn scopes_finding(client: &Client, snapshot: &Snapshot) -> Finding {
    if snapshot.refreshable {
        return Finding::ok("scopes", "there is a refresh token, so nobody has to sign in again");
    }
    let Some(offline) = client.profile.offline_scope.as_deref() else {
        let at_server = "allow refresh tokens for this client at the server, and sign in again";
        return match snapshot.token.is_some() {
            true => Finding::warning(
                "scopes",
                "the server gave no refresh token: each token needs a new sign-in",
                at_server,
            ),
            false => Finding::ok("scopes", "this provider gives refresh tokens without a scope for them"),
        };
    };
    let asked = client.scopes.iter().any(|scope| scope == offline);
    let remedy = format!("add \"{offline}\" to scopes, reload, and sign in again");
    match (snapshot.token.is_some(), asked) {
        (true, true) => Finding::warning(
            "scopes",
            format!("the server gave no refresh token, although \"{offline}\" is asked for"),
            "allow refresh tokens for this client at the server, and sign in again",
        ),
        (true, false) => {
            Finding::warning("scopes", "there is no refresh token: each token needs a new sign-in", remedy)
        }
        (false, true) => Finding::ok("scopes", format!("\"{offline}\" is asked for, which brings a refresh token")),
        (false, false) => {
            Finding::warning("scopes", format!("without \"{offline}\" there may be no refresh token"), remedy)
        }
    }
}

/// Beyond this, certificates and identity tokens begin to be refused.
const TOLERANCE: Duration = Duration::from_secs(300);
