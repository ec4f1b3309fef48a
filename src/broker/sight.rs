//! What a caller sees of an account.

use std::sync::Arc;

use super::{Broker, Entry, driver::View, story};
use crate::{
    account::{AccountName, Reason},
    config::Action,
    platform::{peer::Caller, store::Protection},
    time::Now,
};

/// An account, as a caller with the right to see it does.
pub struct Sight {
    /// Its name.
    pub name: AccountName,
    /// The issuer, or the token endpoint's address where none is configured.
    pub issuer: String,
    /// What it published last.
    pub view: Arc<View>,
    /// When this was read.
    pub now: Now,
    /// The caller may see the code that is out.
    pub may_see_prompt: bool,
    /// How what is stored of it is protected.
    pub protection: Protection,
}

impl Broker {
    pub(super) fn sight(&self, caller: &Caller, name: &AccountName, entry: &Entry, now: Now) -> Sight {
        let client = &entry.settings.client;
        let token_endpoint = || client.endpoints.token.as_ref().map(|token| token.as_str().to_owned());
        Sight {
            name: name.clone(),
            issuer: client.issuer.clone().or_else(token_endpoint).unwrap_or_default(),
            view: entry.handle.view(),
            now,
            may_see_prompt: self.allows(&entry.settings.rules, caller, Action::Login),
            protection: self.protection(),
        }
    }
}

impl Sight {
    /// The one sentence that says how the account is and what to do.
    pub fn sentence(&self) -> String {
        self.told(self.may_see_prompt)
    }

    /// The same, with the code or without it.
    pub fn told(&self, with_code: bool) -> String {
        story::sentence(self.name.as_str(), &self.view.snapshot, self.now, with_code)
    }

    /// Why it is signed out, when it is.
    pub fn reason(&self) -> Option<Reason> {
        self.view.snapshot.reason
    }
}
