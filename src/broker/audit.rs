//! Who got a token and who did not: a record of each in the journal. Programs ask again and again, so equal records are
//! written once in a while, with the number of those that were left out.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{policy::Ground, repeats::Repeats};
use crate::{
    account::{AccountName, Token},
    platform::{catalog, clock, peer::Caller, unit},
    time::Instant,
};

/// What has been recorded lately.
pub(super) struct Audit {
    issued: Mutex<Repeats<(Who, u64)>>,
    denied: Mutex<Repeats<(Who, AccountName)>>,
}

impl Default for Audit {
    fn default() -> Self {
        Self { issued: Mutex::new(Repeats::new(SAME_TOKEN)), denied: Mutex::new(Repeats::new(SAME_DENIAL)) }
    }
}

impl Audit {
    /// Records that a caller gets this token. Its SHA-256 is known, so a repeated record costs a look into a map.
    pub fn issued(&self, caller: &Caller, account: &AccountName, ground: Ground, token: &Token, now: Instant) {
        let Some(left_out) = lock(&self.issued).note((who(caller), token.fingerprint.number()), now) else {
            return;
        };
        let (account, scope) = (account.as_str(), token.scope.as_str());
        let rule = match ground {
            Ground::Rule(number) => Some(number),
            Ground::NoRules | Ground::Privilege | Ground::Client => None,
        };
        let (caller_unit, socket) = (caller.unit.as_deref(), caller.socket.word());
        let caller_invocation_id = caller_unit.and_then(unit::invocation);
        let (token_sha256, message_id) = (token.fingerprint.prefix(), catalog::TOKEN_ISSUED);
        tracing::info!(
            account,
            caller_uid = caller.uid,
            caller_gid = caller.gid,
            caller_unit,
            caller_invocation_id,
            socket,
            scope,
            rule,
            token_sha256,
            left_out,
            message_id,
            "{caller} got a token of {account}"
        );
    }

    /// Records that a caller may have no token of that account.
    pub fn denied(&self, caller: &Caller, account: &AccountName) {
        let Some(left_out) = lock(&self.denied).note((who(caller), account.clone()), clock::boot()) else {
            return;
        };
        let (account, caller_unit, socket) = (account.as_str(), caller.unit.as_deref(), caller.socket.word());
        let (caller_invocation_id, message_id) = (caller_unit.and_then(unit::invocation), catalog::TOKEN_DENIED);
        tracing::warn!(
            account,
            caller_uid = caller.uid,
            caller_gid = caller.gid,
            caller_unit,
            caller_invocation_id,
            socket,
            left_out,
            message_id,
            "{caller} wanted a token of {account}, and no rule allows that"
        );
    }
}

/// User and unit.
type Who = (u32, Option<Arc<str>>);

fn who(caller: &Caller) -> Who {
    (caller.uid, caller.unit.clone())
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long the same caller may have the same token without another record.
const SAME_TOKEN: Duration = Duration::from_secs(600);
const SAME_DENIAL: Duration = Duration::from_secs(60);
