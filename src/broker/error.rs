//! Why a verb did not do what was asked. One list for both doors.

use std::{sync::Arc, time::Duration};

use crate::{
    account::{AccountName, Prompt, Reason},
    config::Action,
    platform::peer::Caller,
};

/// An error, as a caller gets it. Its text says what happened, what it means and what to do.
#[derive(Debug, Clone)]
pub enum Error {
    /// A person has to sign in first.
    LoginRequired {
        /// The account.
        account: AccountName,
        /// Why it is signed out.
        reason: Option<Reason>,
        /// What went wrong last, if anything did.
        cause: Option<String>,
    },
    /// A person has to approve first.
    LoginPending {
        /// The account.
        account: AccountName,
        /// The code that is out, for callers who may see it.
        prompt: Option<Arc<Prompt>>,
    },
    /// The caller may not do this.
    NotAuthorized {
        /// Who it is, as far as the kernel says.
        caller: Caller,
        /// What it wanted.
        action: Action,
    },
    /// There is no account of that name, for this caller.
    NoSuchAccount {
        /// The name.
        name: String,
    },
    /// A parameter that cannot be understood.
    InvalidOption {
        /// Which.
        parameter: String,
        /// What is wrong with it.
        why: String,
    },
    /// The token would not have the scope that is asked for.
    InsufficientScope {
        /// The account.
        account: AccountName,
        /// What stands in the way.
        cause: String,
    },
    /// The server does not answer, and no valid token is left.
    ProviderUnreachable {
        /// The account.
        account: AccountName,
        /// When the next attempt is due, from now.
        retry_after: Option<Duration>,
        /// What happened last.
        cause: String,
    },
    /// The server answered, and not with what is needed.
    ProviderError {
        /// The account.
        account: AccountName,
        /// What it said.
        cause: String,
    },
    /// The operator has to mend the configuration.
    Configuration {
        /// The account.
        account: AccountName,
        /// What the server said.
        cause: String,
    },
    /// The disk refused.
    Storage {
        /// The account.
        account: AccountName,
        /// What it said.
        cause: String,
    },
    /// What was waited for did not happen in time.
    Timeout {
        /// The account.
        account: AccountName,
    },
}

impl Error {
    /// The same for a caller who may not see a code.
    #[must_use]
    pub fn without_prompt(self) -> Self {
        match self {
            Self::LoginPending { account, .. } => Self::LoginPending { account, prompt: None },
            error => error,
        }
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LoginRequired { account, reason, cause } => {
                let why = reason.map_or("nobody is signed in", super::story::why_signed_out);
                write!(f, "{account}: {why}; run: bearerd login {account}")?;
                cause.as_ref().map_or(Ok(()), |cause| write!(f, " (last error: {cause})"))
            }
            Self::LoginPending { account, prompt: Some(prompt) } => write!(
                f,
                "{account}: waiting for sign-in, open {} and enter {}",
                prompt.verification_uri, prompt.user_code
            ),
            Self::LoginPending { account, prompt: None } => {
                write!(
                    f,
                    "{account}: waiting for sign-in; bearerd login {account} shows the code to those who may see it"
                )
            }
            Self::NotAuthorized { caller, action } => write!(
                f,
                "no rule allows this caller ({caller}) the action {}; the administrator can add one in the \
                 account's allow rules",
                super::policy::word(*action)
            ),
            Self::NoSuchAccount { name } => {
                write!(f, "there is no account {name:?} that this caller may use; bearerd status lists those there are")
            }
            Self::InvalidOption { parameter, why } => write!(f, "{parameter}: {why}"),
            Self::InsufficientScope { account, cause } => {
                write!(f, "{account}: {cause}; ask for less, or have it granted and sign in again")
            }
            Self::ProviderUnreachable { account, cause, .. } => {
                write!(f, "{account}: {cause}; it is tried again by itself")
            }
            Self::ProviderError { account, cause } => write!(f, "{account}: {cause}"),
            Self::Configuration { account, cause } => {
                write!(f, "{account}: {cause}; correct the account's configuration and run: systemctl reload bearerd")
            }
            Self::Storage { account, cause } => write!(f, "{account}: the state cannot be written: {cause}"),
            Self::Timeout { account } => write!(f, "{account}: there was no answer in time; ask again"),
        }
    }
}

impl std::error::Error for Error {}
