//! The token verb: from what a caller asks to a token.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Broker, DEFAULT, Entry, Error,
    driver::{Command, Want},
    policy::{self, Ground, Permission},
};
use crate::{
    account::{AccountName, Answer, Need, Token},
    config::{AccountSettings, Action},
    oauth::target::{Target, Wish},
    platform::{clock, peer::Caller},
    secret::Fingerprint,
    time::Instant,
};

/// What a caller asks of a token, as both doors read it.
#[derive(Debug, Clone, Default)]
pub struct TokenRequest {
    /// How long it has to live at least; the account's setting where the caller does not say.
    pub min_validity: Option<Duration>,
    /// How long the caller is ready to wait, for a person too; where it does not say, it waits for a refresh alone.
    pub wait: Option<Duration>,
    /// The SHA-256 of a token that an API refused.
    pub rejected: Option<Fingerprint>,
    /// A scope of its own.
    pub scope: Option<String>,
    /// An audience of its own.
    pub audience: Option<String>,
    /// A resource of its own.
    pub resource: Option<String>,
}

/// A token for a caller, with its times counted from now.
pub struct TokenAnswer {
    /// The account it belongs to.
    pub account: AccountName,
    /// The token.
    pub token: Arc<Token>,
    /// Seconds it still lives, where the server said.
    pub expires_in: Option<u64>,
    /// When it ends in Unix seconds, where the server said.
    pub expires_at: Option<u64>,
    /// The caller may have nothing beyond a ceiling.
    pub limited: bool,
}

/// What there is for a caller who may have a token.
pub enum Offer {
    /// The token.
    Token(TokenAnswer),
    /// Nothing yet: it has to be waited for.
    Wait(Box<Wait>),
}

/// A token that is not there yet, and who may have it.
pub struct Wait {
    want: Want,
    right: Right,
}

impl Wait {
    /// The account whose token it is.
    pub fn account(&self) -> &AccountName {
        &self.right.account
    }
}

/// That a caller may have the token of an account.
struct Right {
    account: AccountName,
    entry: Arc<Entry>,
    ground: Ground,
    ceiling: Option<Arc<BTreeSet<String>>>,
}

impl Broker {
    /// A token (RFC 6749 §5.1) of that account, or of the only one, or of `default`.
    pub async fn token(
        &self,
        caller: &Caller,
        name: Option<&str>,
        request: &TokenRequest,
    ) -> Result<TokenAnswer, Error> {
        match self.offer(caller, name, request, clock::boot())? {
            Offer::Token(answer) => Ok(answer),
            Offer::Wait(wait) => self.wait_for_token(caller, *wait).await,
        }
    }

    /// The same, if it is there: what has to be waited for is left to [`Broker::wait_for_token`].
    pub fn offer(
        &self,
        caller: &Caller,
        name: Option<&str>,
        request: &TokenRequest,
        now: Instant,
    ) -> Result<Offer, Error> {
        let (account, entry) = self.account_for_token(caller, name)?;
        let asked: Vec<_> = request.scope.iter().flat_map(|scope| scope.split_whitespace()).collect();
        let permission = policy::decide(&entry.settings.rules, caller, Action::Token, self.own_uid, &asked);
        let Some(Permission { ground, ceiling }) = permission else {
            return Err(Error::NotAuthorized { caller: caller.clone(), action: Action::Token });
        };
        let ceiling = ceiling.cloned();
        let right = Right { account, entry, ground, ceiling };
        let target = right.target(request, &asked)?;
        let settings = &right.entry.settings;
        let view = right.entry.handle.view();
        let need = Need {
            min_validity: request.min_validity.unwrap_or(settings.min_validity),
            rejected: request.rejected,
            attempts: view.snapshot.attempts,
        };
        match view.snapshot.answer(&need, now) {
            Answer::Token(token) if target.is_none() => self.hand_out(caller, right, token, now).map(Offer::Token),
            _ => Ok(Offer::Wait(Box::new(Wait { want: Want { need, target, wait: request.wait }, right }))),
        }
    }

    /// A token that was not there when it was asked for, as soon as it is.
    pub async fn wait_for_token(&self, caller: &Caller, wait: Wait) -> Result<TokenAnswer, Error> {
        let Wait { want, right } = wait;
        let answer = right.entry.handle.ask(|reply| Command::Token(Box::new(want), reply)).await;
        let answer = answer.unwrap_or_else(|| Err(Error::Timeout { account: right.account.clone() }));
        let may_see_prompt = self.allows(&right.entry.settings.rules, caller, Action::Login);
        let token = answer.map_err(|error| if may_see_prompt { error } else { error.without_prompt() })?;
        self.hand_out(caller, right, token, clock::boot())
    }

    /// Looks at what the server gave, which may be more than what was asked for, records who gets it, and counts it.
    fn hand_out(&self, caller: &Caller, right: Right, token: Arc<Token>, now: Instant) -> Result<TokenAnswer, Error> {
        let Right { account, entry, ground, ceiling } = right;
        let tolerated = entry.settings.client.tolerated_scope();
        if ceiling.as_ref().is_some_and(|ceiling| !fits(&token.scope, ceiling, tolerated)) {
            return Err(above_ceiling(account));
        }
        self.audit.issued(caller, &account, ground, &token, now);
        entry.tally.issued(caller.uid, caller.unit.as_ref());
        let expires_in = token.remaining(now).map(|left| left.as_secs());
        // The clocks alone: whether the wall clock is synchronised takes two looks at files, and no answer says it.
        let expires_at = expires_in.map(|left| clock::wall().0.saturating_add(left));
        Ok(TokenAnswer { account, token, expires_in, expires_at, limited: ceiling.is_some() })
    }

    /// The account, if the caller may have its token. A refusal is recorded, also where the caller is told that there is
    /// no such account.
    fn account_for_token(&self, caller: &Caller, name: Option<&str>) -> Result<(AccountName, Arc<Entry>), Error> {
        let found = self.account(caller, name, Action::Token);
        if let Err(Error::NotAuthorized { .. } | Error::NoSuchAccount { .. }) = &found {
            let all = self.all();
            let wanted = name.or_else(|| all.keys().next().filter(|_| all.len() == 1).map(AccountName::as_str));
            if let Some((account, _)) = all.get_key_value(wanted.unwrap_or(DEFAULT)) {
                self.audit.denied(caller, account);
            }
        }
        found
    }
}

impl Right {
    /// What the token is to be for, where that is not what the whole sign-in is for.
    fn target(&self, request: &TokenRequest, asked: &[&str]) -> Result<Option<Target>, Error> {
        let (settings, account) = (&self.entry.settings, &self.account);
        let Some(ceiling) = &self.ceiling else { return settings.target(request) };
        match settings.scope_under(ceiling, asked).map_err(|AboveCeiling| above_ceiling(account.clone()))? {
            // Where there is no way to less, a token with more is refused.
            Some(scope) => settings
                .target(&TokenRequest { scope: Some(scope), ..request.clone() })
                .map_err(|error| Error::InsufficientScope { account: account.clone(), cause: error.to_string() }),
            None => settings.target(request),
        }
    }
}

fn above_ceiling(account: AccountName) -> Error {
    Error::InsufficientScope { account, cause: "no rule allows this caller a token of that scope".to_owned() }
}

/// Whether a token that the server says has this scope has nothing beyond the ceiling. One of which nothing is known may
/// have everything.
fn fits(scope: &str, ceiling: &BTreeSet<String>, tolerated: Option<&str>) -> bool {
    !scope.trim().is_empty() && scope.split_whitespace().all(|word| ceiling.contains(word) || Some(word) == tolerated)
}

/// There is no token below the ceiling.
#[derive(Debug, PartialEq, Eq)]
struct AboveCeiling;

impl AccountSettings {
    /// The scope to ask for under a ceiling: `None` where the account's own is within it.
    fn scope_under(&self, ceiling: &BTreeSet<String>, asked: &[&str]) -> Result<Option<String>, AboveCeiling> {
        let own: Vec<_> = self.client.scopes.iter().map(String::as_str).collect();
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<BTreeSet<_>>();
        let within = |words: &[&str]| words.iter().all(|word| ceiling.contains(*word));
        if !asked.is_empty() {
            let other = (set(asked) != set(&own)).then(|| asked.join(" "));
            return if within(asked) { Ok(other) } else { Err(AboveCeiling) };
        }
        if within(&own) {
            return Ok(None);
        }
        let both: Vec<_> = own.into_iter().filter(|word| ceiling.contains(*word)).collect();
        if both.is_empty() { Err(AboveCeiling) } else { Ok(Some(both.join(" "))) }
    }

    /// What the token is to be for, where that is not what the whole sign-in is for. A broader token is never handed out
    /// instead of one that cannot be had.
    fn target(&self, request: &TokenRequest) -> Result<Option<Target>, Error> {
        let TokenRequest { scope, audience, resource, .. } = request;
        if scope.is_none() && audience.is_none() && resource.is_none() {
            return Ok(None);
        }
        let invalid = |parameter: &str, why: String| Error::InvalidOption { parameter: parameter.to_owned(), why };
        let wish = Wish { scope: scope.as_deref(), audience: audience.as_deref(), resource: resource.as_deref() };
        let target = Target::read(wish, &self.client).map_err(|bad| invalid(bad.parameter(), bad.to_string()))?;
        match target.as_ref().map(|target| (target, self.client.way_to(target))) {
            Some((target, Err(unable))) => Err(invalid(target.parameter(), unable.to_string())),
            _ => Ok(target),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(scopes: &str) -> AccountSettings {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearerd.toml");
        std::fs::write(&path, format!("[accounts.a]\nissuer = \"https://a.example\"\nscopes = {scopes}\n"))
            .expect("a file");
        let settings = crate::config::Settings::load(&path).expect("settings");
        settings.accounts.into_values().next().expect("an account")
    }

    fn set(words: &str) -> BTreeSet<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn under_a_ceiling_never_more_is_asked_for() {
        let account = settings("[\"a\", \"b\", \"offline\"]");
        let under = |ceiling: &str, asked: &[&str]| account.scope_under(&set(ceiling), asked);
        assert_eq!(under("offline b a x", &[]), Ok(None), "the account's own token will do");
        assert_eq!(under("offline b a", &["b", "a", "offline"]), Ok(None));
        assert_eq!(under("a x", &[]), Ok(Some("a".into())));
        assert_eq!(under("a b", &["b"]), Ok(Some("b".into())));
        assert_eq!(under("a b", &["b", "offline"]), Err(AboveCeiling));
        assert_eq!(under("x", &[]), Err(AboveCeiling));
    }

    #[test]
    fn a_token_of_which_nothing_is_known_is_above_every_ceiling() {
        assert!(fits("a b", &set("b a c"), None));
        assert!(!fits("a b", &set("a"), None) && fits("a b", &set("a"), Some("b")));
        assert!(!fits("", &set("a"), None));
    }
}
