//! The token verb: from what a caller asks to a token.

use std::{sync::Arc, time::Duration};

use super::{Broker, Entry, Error, driver::Command};
use crate::{
    account::{AccountName, Answer, Need, Token},
    config::{AccountSettings, Action},
    oauth::target::{Target, Wish},
    platform::{clock, peer::Caller},
    secret::Fingerprint,
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
}

impl Broker {
    /// A token (RFC 6749 §5.1) of that account, or of the only one, or of `default`.
    pub async fn token(
        &self,
        caller: &Caller,
        name: Option<&str>,
        request: &TokenRequest,
    ) -> Result<TokenAnswer, Error> {
        let (name, entry) = self.account_for_token(caller, name)?;
        let mut need = Need {
            min_validity: request.min_validity.unwrap_or(entry.settings.min_validity),
            rejected: request.rejected,
            attempts: 0,
        };
        let target = entry.settings.target(request)?;
        let view = entry.handle.view();
        need.attempts = view.snapshot.attempts;
        let token = match view.snapshot.answer(&need, clock::boot()) {
            Answer::Token(token) if target.is_none() => token,
            _ => {
                let may_see_prompt = self.allows(&entry.settings.rules, caller, Action::Login);
                let answer = entry.handle.ask(|reply| Command::Token { need, target, wait: request.wait, reply }).await;
                let answer = answer.unwrap_or_else(|| Err(Error::Timeout { account: name.clone() }));
                answer.map_err(|error| if may_see_prompt { error } else { error.without_prompt() })?
            }
        };
        self.audit.issued(caller, &name, &entry.settings.rules, &token);
        let expires_in = token.remaining(clock::boot()).map(|left| left.as_secs());
        // The clocks alone: whether the wall clock is synchronised takes two looks at files, and no answer says it.
        let expires_at = expires_in.map(|left| clock::wall().0.saturating_add(left));
        Ok(TokenAnswer { account: name, token, expires_in, expires_at })
    }

    /// The full name of an account, for a caller who may have its token.
    pub fn find_for_token(&self, caller: &Caller, name: Option<&str>) -> Result<AccountName, Error> {
        self.account_for_token(caller, name).map(|(name, _)| name)
    }

    /// The account, if the caller may have its token. A refusal is recorded, also where the caller is told that there is
    /// no such account.
    fn account_for_token(&self, caller: &Caller, name: Option<&str>) -> Result<(AccountName, Arc<Entry>), Error> {
        let found = self.account(caller, name, Action::Token);
        if let Err(Error::NotAuthorized { .. } | Error::NoSuchAccount { .. }) = &found {
            let all = self.all();
            let wanted = name.or_else(|| all.keys().next().filter(|_| all.len() == 1).map(AccountName::as_str));
            if let Some((account, _)) = all.get_key_value(wanted.unwrap_or("default")) {
                self.audit.denied(caller, account);
            }
        }
        found
    }
}

impl AccountSettings {
    /// What the token is to be for, where that is not what the whole sign-in is for. A broader token is never handed out
    /// instead of one that cannot be had.
    fn target(&self, request: &TokenRequest) -> Result<Option<Target>, Error> {
        let TokenRequest { scope, audience, resource, .. } = request;
        let invalid = |parameter: &str, why: String| Error::InvalidOption { parameter: parameter.to_owned(), why };
        let wish = Wish { scope: scope.as_deref(), audience: audience.as_deref(), resource: resource.as_deref() };
        let target = Target::read(wish, &self.client).map_err(|bad| invalid(bad.parameter(), bad.to_string()))?;
        match target.as_ref().map(|target| (target, self.client.way_to(target))) {
            Some((target, Err(unable))) => Err(invalid(target.parameter(), unable.to_string())),
            _ => Ok(target),
        }
    }
}
