//! What an account shows of itself: the states, and the answer to a caller who wants a token.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    oauth::dpop::ProofKey,
    secret::{Fingerprint, Secret},
    time::Instant,
};

/// The states of an account, one word each, the same in logs, HTTP, D-Bus and `systemctl status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Token valid, next refresh scheduled.
    Active,
    /// A refresh is in flight, or about to be because the token has ended, or the first token is on its way to disk.
    Refreshing,
    /// A device code is out, waiting for a person.
    Authorizing,
    /// The last refresh failed for a reason that may pass, or the new state is not yet durable; token still valid.
    Degraded,
    /// The same, and the token has expired.
    Stale,
    /// No grant, nothing in progress.
    SignedOut,
    /// The server refuses the client, which only the operator can mend.
    Misconfigured,
}

/// Why an account is signed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Nobody has signed in yet.
    Never,
    /// Somebody signed it out here.
    LoggedOut,
    /// The server ended the grant.
    Revoked,
    /// The access token ran out and there was no refresh token.
    Expired,
    /// The server ended the grant right after a reply was lost: most likely the refresh token had been replaced.
    LostRotation,
    /// The person said no.
    Denied,
    /// Nobody entered the code in time.
    CodeExpired,
    /// Somebody else signed in.
    IdentityChanged,
    /// The server wants a person, or the configuration no longer matches the grant.
    Policy,
    /// What was stored of the sign-in cannot be used.
    Storage,
}

/// An access token and what is known of it.
pub struct Token {
    /// The token.
    pub secret: Secret,
    /// Its SHA-256, by which a caller can say "this one was refused".
    pub fingerprint: Fingerprint,
    /// When it ends; `None` where the server gave no lifetime.
    pub expires: Option<Instant>,
    /// Its whole lifetime.
    pub lifetime: Option<Duration>,
    /// The granted scope, or the requested one where the server did not say.
    pub scope: String,
    /// The ID token that came with it.
    pub id_token: Option<Secret>,
    /// What else callers get of the answer that it came with.
    pub passed: BTreeMap<String, String>,
    /// The key that it is bound to; without one it is a bearer token.
    pub key: Option<ProofKey>,
    /// It was to be bound to one, and the server did not do so.
    pub unbound: bool,
}

/// What a person needs to approve the sign-in (RFC 8628 §3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// To be shown exactly so.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// The address with the code in it, for a QR code.
    pub verification_uri_complete: Option<String>,
    /// When the code ends.
    pub expires: Instant,
    /// The server's polling interval as it stands now.
    pub interval: Duration,
    /// The server's own picture of the QR code, a data URL.
    pub qr_code: Option<String>,
    /// The host of the page, where nothing says that it is the server's.
    pub stranger: Option<String>,
}

/// Whose business the last failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The network or the server, for now.
    Unreachable,
    /// Nobody's: the clock is not set yet, and certificates cannot be checked without it.
    Clock,
    /// The server said something that ends or holds up the sign-in.
    Provider,
    /// The operator's: client, scope, endpoint.
    Configuration,
    /// The disk's.
    Storage,
}

/// The last failure, until something succeeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Whose business it is.
    pub fault: Fault,
    /// What happened, one sentence without a full stop, free of secrets and of control characters.
    pub text: String,
    /// When the next attempt is due.
    pub retry_at: Option<Instant>,
}

/// Why a token for another target than the account's own cannot be had for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hindrance {
    /// What stands in the way.
    pub obstacle: Obstacle,
    /// What happened, as in a [`Trouble`].
    pub text: String,
    /// Before this, asking again brings the same answer.
    pub retry_at: Instant,
}

/// What stands in the way of a token for another target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// The scope was not granted.
    Scope,
    /// There is no token for that target.
    Target,
    /// Whatever a refresh can fail for.
    Fault(Fault),
}

/// An account at one moment. Published on every change; reading it is all that a cached token costs.
#[derive(Clone)]
pub struct Snapshot {
    /// The state.
    pub state: State,
    /// Why it is signed out, when it is.
    pub reason: Option<Reason>,
    /// The token, valid or not.
    pub token: Option<Arc<Token>>,
    /// Whether a refresh can bring a new one.
    pub refreshable: bool,
    /// Whether asking before the token expires brings a new one: some servers return the same until then.
    pub renews_early: bool,
    /// When the next refresh is due.
    pub refresh_at: Option<Instant>,
    /// A login has begun and its code is not out yet.
    pub login_starting: bool,
    /// The code that is out.
    pub prompt: Option<Arc<Prompt>>,
    /// The last failure.
    pub trouble: Option<Arc<Trouble>>,
    /// The scope that would have brought a refresh token, where the server gave none.
    pub missing_scope: Option<String>,
    /// Refreshes that have ended, well or not.
    pub attempts: u64,
    /// Tokens ever obtained.
    pub generation: u64,
}

/// What a caller asks of a token.
#[derive(Debug, Clone, Copy, Default)]
pub struct Need {
    /// How long it has to live; never more than a fifth of its lifetime is insisted on.
    pub min_validity: Duration,
    /// A token that an API refused, so that the same one is no answer.
    pub rejected: Option<Fingerprint>,
    /// [`Snapshot::attempts`] when the caller came: after an attempt that did not help, what is there must do.
    pub attempts: u64,
}

/// What can be said to a caller now.
#[derive(Clone)]
pub enum Answer {
    /// This one.
    Token(Arc<Token>),
    /// A refresh will help.
    AwaitRefresh,
    /// A code is about to come out.
    AwaitPrompt,
    /// A person has to approve first.
    LoginPending,
    /// A person has to sign in first.
    LoginRequired,
    /// The operator has to mend the configuration first.
    Configuration,
    /// This target cannot be had for now.
    Hindered(Arc<Hindrance>),
}

impl State {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Refreshing => "refreshing",
            Self::Authorizing => "authorizing",
            Self::Degraded => "degraded",
            Self::Stale => "stale",
            Self::SignedOut => "signed_out",
            Self::Misconfigured => "misconfigured",
        }
    }
}

impl Reason {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::LoggedOut => "logged_out",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::LostRotation => "lost_rotation",
            Self::Denied => "denied",
            Self::CodeExpired => "code_expired",
            Self::IdentityChanged => "identity_changed",
            Self::Storage => "storage",
            Self::Policy => "policy",
        }
    }
}

impl Prompt {
    /// The address that needs the least typing.
    pub fn link(&self) -> &str {
        self.verification_uri_complete.as_ref().unwrap_or(&self.verification_uri)
    }

    /// What a person should know before they enter the code, a sentence without a full stop.
    pub fn warning(&self) -> Option<String> {
        let host = self.stranger.as_ref()?;
        Some(format!(
            "the page is on {host}, which is not the server's own host: enter the code there only if you know that it is \
             right, and then add \"{host}\" to code_pages of the account"
        ))
    }
}

impl Token {
    /// Its type (RFC 6749 §7.1), which is also the scheme of the `Authorization` header that carries it.
    pub fn token_type(&self) -> &'static str {
        if self.key.is_some() { "DPoP" } else { "Bearer" }
    }

    /// How long it still lives; `None` where nobody knows.
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.expires.map(|end| now.until(end))
    }

    /// Whether it has not ended.
    pub fn is_valid(&self, now: Instant) -> bool {
        self.remaining(now).is_none_or(|left| !left.is_zero())
    }

    /// Whether it lives as long as is asked, or at least a fifth of its lifetime: more cannot be insisted on, or a
    /// short-lived token would never do.
    pub fn satisfies(&self, min_validity: Duration, now: Instant) -> bool {
        let fifth = self.lifetime.map_or(Duration::MAX, |lifetime| lifetime / 5);
        self.is_valid(now) && self.remaining(now).is_none_or(|left| left >= min_validity.min(fifth))
    }
}

impl Snapshot {
    /// Whether a caller sees no difference between the two.
    pub fn shows_the_same_as(&self, other: &Self) -> bool {
        let token = |snapshot: &Self| snapshot.token.as_ref().map(Arc::as_ptr);
        self.state == other.state
            && self.reason == other.reason
            && token(self) == token(other)
            && self.refreshable == other.refreshable
            && self.renews_early == other.renews_early
            && self.refresh_at == other.refresh_at
            && self.login_starting == other.login_starting
            && self.prompt == other.prompt
            && self.trouble == other.trouble
            && self.missing_scope == other.missing_scope
            && self.attempts == other.attempts
    }

    /// The token that is valid now, whatever the state.
    pub fn valid_token(&self, now: Instant) -> Option<&Arc<Token>> {
        self.token.as_ref().filter(|token| token.is_valid(now))
    }

    /// What can be said to this caller now.
    pub fn answer(&self, need: &Need, now: Instant) -> Answer {
        if let Some(token) = self.valid_token(now) {
            return self.answer_with(token, need, now);
        }
        match self.state {
            State::Active | State::Refreshing | State::Degraded | State::Stale => Answer::AwaitRefresh,
            State::Authorizing => Answer::LoginPending,
            _ if self.login_starting => Answer::AwaitPrompt,
            State::SignedOut => Answer::LoginRequired,
            State::Misconfigured => Answer::Configuration,
        }
    }

    fn answer_with(&self, token: &Arc<Token>, need: &Need, now: Instant) -> Answer {
        let tried = self.attempts > need.attempts;
        if need.rejected == Some(token.fingerprint) && !tried {
            return if self.refreshable { Answer::AwaitRefresh } else { Answer::LoginRequired };
        }
        let nothing_better = tried || !self.refreshable || !self.renews_early;
        // While a refresh keeps failing, the old token is served until it really ends.
        let settled = matches!(self.state, State::Degraded | State::Misconfigured);
        if nothing_better || settled || token.satisfies(need.min_validity, now) {
            Answer::Token(token.clone())
        } else {
            Answer::AwaitRefresh
        }
    }
}
