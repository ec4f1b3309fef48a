//! What the bus shows of an account, and of a token.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use zbus::{OwnedVariant, Variant};

use crate::{
    account::{AccountName, Prompt, Reason},
    api::problem,
    broker::{ProofAnswer, Sight, TokenAnswer},
    time::Now,
};

/// The property `State`.
pub fn state(sight: &Sight) -> &'static str {
    sight.view.snapshot.state.as_str()
}

/// The property `StateReason`: the word for why it is signed out or for what failed last, and a sentence. The sentence
/// never has the code in it, because it is also broadcast.
pub fn state_reason(sight: &Sight) -> (&'static str, String) {
    let snapshot = &sight.view.snapshot;
    let failed = || snapshot.trouble.as_ref().map(|trouble| problem::fault(trouble.fault));
    let word = sight.reason().map(Reason::as_str).or_else(failed).unwrap_or_default();
    (word, sight.told(false))
}

/// The property `ExpiresAt`: Unix seconds, 0 where there is no token or nobody knows.
pub fn expires_at(sight: &Sight) -> u64 {
    let end = sight.view.snapshot.token.as_ref().and_then(|token| token.expires);
    end.map_or(0, |end| sight.now.wall_at(end).0)
}

/// The property `Scopes`: what was granted.
pub fn scopes(sight: &Sight) -> Vec<String> {
    let token = sight.view.snapshot.token.as_ref();
    token.map_or(Vec::new(), |token| token.scope.split_whitespace().map(str::to_owned).collect())
}

/// The property `Prompt`: empty where none is out or this caller may not see it.
pub fn visible_prompt(sight: &Sight) -> HashMap<&'static str, Variant<'static>> {
    let visible = sight.view.snapshot.prompt.as_ref().filter(|_| sight.may_see_prompt);
    visible.map_or(HashMap::new(), |out| prompt(&sight.name, out, sight.now))
}

/// What a person needs to approve a sign-in (RFC 8628 §3.3).
pub fn prompt(account: &AccountName, prompt: &Prompt, now: Now) -> HashMap<&'static str, Variant<'static>> {
    let mut dict = HashMap::from([
        ("account", Variant::from(account.to_string())),
        ("user_code", prompt.user_code.clone().into()),
        ("verification_uri", prompt.verification_uri.clone().into()),
        ("expires_in", whole_seconds(now.boot.until(prompt.expires)).into()),
        ("expires_at", now.wall_at(prompt.expires).0.into()),
        ("interval", whole_seconds(prompt.interval).into()),
    ]);
    if let Some(complete) = &prompt.verification_uri_complete {
        dict.insert("verification_uri_complete", complete.clone().into());
    }
    if let Some(warning) = prompt.warning() {
        dict.insert("warning", warning.into());
    }
    dict
}

/// What `GetToken` says besides the token: a handful of names, for which no hash is made.
pub fn details(answer: &TokenAnswer) -> BTreeMap<Cow<'static, str>, Variant<'static>> {
    let ours = [
        ("token_type", Some(Variant::from(answer.token.token_type()))),
        ("scope", Some(answer.token.scope.clone().into())),
        ("account", Some(answer.account.to_string().into())),
        ("expires_at", answer.expires_at.map(Variant::from)),
    ];
    let ours = ours.into_iter().filter_map(|(name, value)| Some((name.into(), value?)));
    let passed = answer.token.passed.iter().map(|(name, value)| (name.clone().into(), value.clone().into()));
    ours.chain(passed).collect()
}

/// What `SignProof` says besides the proof.
pub fn proof(answer: &ProofAnswer) -> HashMap<&'static str, Variant<'static>> {
    HashMap::from([("ath", Variant::from(answer.token_hash.clone())), ("account", answer.account.to_string().into())])
}

/// The properties of which a change is broadcast, with their values.
pub fn announced(sight: &Sight) -> [(&'static str, Variant<'static>); 4] {
    [
        ("State", state(sight).into()),
        ("StateReason", Variant::new(state_reason(sight))),
        ("ExpiresAt", expires_at(sight).into()),
        ("Scopes", scopes(sight).into()),
    ]
}

/// All properties of an account, as this caller sees them.
pub fn properties(sight: &Sight) -> zbus::Result<HashMap<String, OwnedVariant>> {
    let rest = [
        ("Name", Variant::from(sight.name.to_string())),
        ("Issuer", sight.issuer.clone().into()),
        ("Prompt", visible_prompt(sight).into()),
    ];
    let all = announced(sight).into_iter().chain(rest);
    all.map(|(name, value)| Ok((name.to_owned(), value.try_into_owned()?))).collect()
}

fn whole_seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}
