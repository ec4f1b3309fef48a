//! An account and a prompt, as the API describes them.

use std::time::Duration;

use serde::Deserialize;

use super::{Exit, Failure, GET, client::Client};
use crate::account::AccountName;

/// An account.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Account {
    /// Its name.
    #[serde(rename = "account")]
    pub name: String,
    /// The word for how it is; newer daemons may have words that are not known here.
    pub state: String,
    /// Why it is signed out.
    #[serde(default)]
    pub reason: Option<String>,
    /// How it is and what to do, one sentence without a full stop.
    #[serde(default)]
    pub message: String,
    /// Seconds until the token ends.
    #[serde(default)]
    pub expires_in: Option<u64>,
    /// The moment at which it ends, in Unix seconds.
    #[serde(default)]
    pub expires_at: Option<u64>,
    /// Whether there is a refresh token.
    #[serde(default)]
    pub refresh_token: bool,
    /// Seconds until the next refresh.
    #[serde(default)]
    pub refresh_in: Option<u64>,
    /// The last failure, until something succeeds.
    #[serde(default)]
    pub last_error: Option<LastError>,
    /// How the stored sign-in is protected.
    #[serde(default)]
    pub protection: Option<String>,
    /// The code that is out, for callers who may see it.
    #[serde(default)]
    pub prompt: Option<Prompt>,
}

/// The last failure of an account.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct LastError {
    /// What happened.
    #[serde(default)]
    pub error_description: String,
}

/// What a person needs to sign in (RFC 8628 §3.2).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Prompt {
    /// The code.
    pub user_code: String,
    /// Where to enter it.
    pub verification_uri: String,
    /// The address with the code in it.
    #[serde(default)]
    pub verification_uri_complete: Option<String>,
    /// Seconds until the code ends.
    pub expires_in: u64,
    /// What to know before the code is entered.
    #[serde(default)]
    pub warning: Option<String>,
}

/// `GET /v1/accounts`
#[derive(Debug, Deserialize)]
pub struct List {
    /// The accounts that the caller may see.
    pub accounts: Vec<Account>,
}

impl Account {
    /// Whether a token can be had at once.
    pub fn is_usable(&self) -> bool {
        match self.state.as_str() {
            // A token without an end has no `expires_in`.
            "active" | "degraded" => self.expires_in != Some(0),
            _ => self.expires_in.is_some_and(|left| left > 0),
        }
    }

    /// The last failure's text, or nothing.
    pub fn trouble(&self) -> &str {
        self.last_error.as_ref().map_or("", |error| error.error_description.as_str())
    }

    /// The name and the sentence.
    pub fn sentence(&self) -> String {
        format!("{}: {}", self.name, self.message)
    }
}

impl Prompt {
    /// How long the code can still be entered.
    pub fn time_left(&self) -> Duration {
        Duration::from_secs(self.expires_in)
    }
}

/// The account that is meant: the one that is named, or the only one, or `default`.
pub async fn meant(client: &Client, name: Option<AccountName>) -> Result<String, Failure> {
    match name {
        Some(name) => Ok(name.as_str().to_owned()),
        None => {
            let list: List = client.ask(GET, "/v1/accounts").await?.read()?;
            choose(list.accounts.into_iter().map(|account| account.name).collect())
        }
    }
}

fn choose(mut names: Vec<String>) -> Result<String, Failure> {
    if names.is_empty() {
        return Err(Failure::new(Exit::Configuration, NO_ACCOUNT));
    }
    let default = names.iter().position(|name| name == "default");
    match default.or((names.len() == 1).then_some(0)) {
        Some(at) => Ok(names.swap_remove(at)),
        None => {
            let text = format!("there are several accounts, so say which one is meant: {}", names.join(", "));
            Err(Failure::new(Exit::Arguments, text))
        }
    }
}

/// What there is to say when the list of accounts is empty.
pub const NO_ACCOUNT: &str = "\
    there is no account that this user may use; an administrator can add one to /etc/bearerd/bearerd.toml and run: \
    bearerd reload";

#[cfg(test)]
mod tests {
    use super::*;

    fn account(state: &str, expires_in: Option<u64>) -> Account {
        Account { state: state.into(), expires_in, ..Account::default() }
    }

    #[test]
    fn an_account_is_usable_while_it_has_a_valid_token() {
        for (state, expires_in, usable) in [
            ("active", Some(60), true),
            ("active", None, true),
            ("degraded", None, true),
            ("refreshing", Some(9), true),
            ("refreshing", None, false),
            ("refreshing", Some(0), false),
            ("authorizing", Some(60), true),
            ("authorizing", None, false),
            ("misconfigured", Some(60), true),
            ("stale", Some(0), false),
            ("signed_out", None, false),
        ] {
            assert_eq!(account(state, expires_in).is_usable(), usable, "{state} {expires_in:?}");
        }
    }

    #[test]
    fn the_only_account_or_default_is_meant() {
        let choose = |names: &[&str]| choose(names.iter().map(|name| (*name).to_owned()).collect());
        assert_eq!(choose(&["kinde"]).as_deref(), Ok("kinde"));
        assert_eq!(choose(&["a", "default", "z"]).as_deref(), Ok("default"));
        let failure = choose(&["a", "b"]).expect_err("two accounts");
        assert_eq!(failure.exit, Exit::Arguments);
        assert!(failure.text.ends_with("a, b"), "{}", failure.text);
        assert_eq!(choose(&[]).expect_err("none").exit, Exit::Configuration);
    }
}
