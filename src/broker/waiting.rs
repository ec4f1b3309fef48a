//! Callers that wait for an account's task, and what ends their waiting.

use std::{sync::Arc, time::Duration};

use super::{Error, Reply};
use crate::{
    account::{Account, AccountName, Answer, Fault, Hindrance, Need, Obstacle, Prompt, Snapshot, Token},
    oauth::target::Target,
    time::Instant,
};

/// A caller that waits, at most until then.
pub(super) struct Waiting {
    pub until: Instant,
    pub what: Awaited,
}

/// What a caller waits for.
pub(super) enum Awaited {
    /// A token; for a person to sign in too, if the caller said how long it waits.
    Token { need: Need, target: Option<Target>, for_a_person: bool, reply: Reply<Result<Arc<Token>, Error>> },
    /// The code of a login that has begun.
    Prompt(Reply<Result<Arc<Prompt>, Error>>),
    /// The disk, to have that version.
    Durable { version: u64, reply: Reply<Result<(), Error>> },
    /// The end of a refresh, after that many.
    Refresh { attempts: u64, reply: Reply<Result<(), Error>> },
}

/// The account at the moment at which its callers are looked after.
pub(super) struct Moment<'a> {
    pub account: &'a AccountName,
    pub machine: &'a Account,
    pub snapshot: &'a Snapshot,
    pub now: Instant,
}

impl Waiting {
    /// Answers the caller if there is an answer, or keeps it waiting. One that has hung up is let go.
    pub fn settle(self, moment: &Moment<'_>) -> Option<Self> {
        let late = self.until <= moment.now;
        let what = match self.what {
            Awaited::Token { need, target, for_a_person, reply } => {
                match moment.token(&need, target.as_ref(), for_a_person, late) {
                    Some(answer) => tell(reply, answer),
                    None => (!reply.is_closed()).then_some(Awaited::Token { need, target, for_a_person, reply }),
                }
            }
            Awaited::Prompt(reply) => match moment.prompt(late) {
                Some(answer) => tell(reply, answer),
                None => Some(Awaited::Prompt(reply)),
            },
            Awaited::Durable { version, reply } => match moment.durable(version, late) {
                Some(answer) => tell(reply, answer),
                None => Some(Awaited::Durable { version, reply }),
            },
            Awaited::Refresh { attempts, reply } => match moment.refresh(attempts, late) {
                Some(answer) => tell(reply, answer),
                None => Some(Awaited::Refresh { attempts, reply }),
            },
        };
        what.map(|what| Self { until: self.until, what })
    }
}

fn tell<T>(reply: Reply<T>, answer: T) -> Option<Awaited> {
    // A caller that has hung up meanwhile needs no answer.
    let _ = reply.send(answer);
    None
}

impl Moment<'_> {
    fn token(
        &self,
        need: &Need,
        target: Option<&Target>,
        for_a_person: bool,
        late: bool,
    ) -> Option<Result<Arc<Token>, Error>> {
        let account = self.account.clone();
        let answer = match target {
            Some(target) => self.machine.answer_for(target, need, self.snapshot, self.now),
            None => self.snapshot.answer(need, self.now),
        };
        match answer {
            Answer::Token(token) => Some(Ok(token)),
            Answer::LoginPending | Answer::LoginRequired if for_a_person && !late => None,
            Answer::LoginPending => Some(Err(Error::LoginPending { account, prompt: self.snapshot.prompt.clone() })),
            Answer::LoginRequired => Some(Err(self.login_required())),
            Answer::Configuration => Some(Err(Error::Configuration { account, cause: self.cause() })),
            Answer::AwaitRefresh | Answer::AwaitPrompt if !late => None,
            Answer::AwaitRefresh | Answer::AwaitPrompt => Some(self.token_after_all(need, target)),
            Answer::Hindered(hindrance) => Some(Err(self.hindered(&hindrance, target))),
        }
    }

    /// The refresh takes longer than the caller waits: an old token that still lives is better than none.
    fn token_after_all(&self, need: &Need, target: Option<&Target>) -> Result<Arc<Token>, Error> {
        if let Some(target) = target {
            let hindrance = self.machine.hindrance_of(target).map(|hindrance| self.hindered(&hindrance, Some(target)));
            return Err(hindrance
                .or_else(|| self.in_trouble())
                .unwrap_or(Error::Timeout { account: self.account.clone() }));
        }
        let old = self.snapshot.valid_token(self.now).filter(|token| need.rejected != Some(token.fingerprint));
        old.cloned().ok_or_else(|| self.in_trouble().unwrap_or(Error::Timeout { account: self.account.clone() }))
    }

    fn prompt(&self, late: bool) -> Option<Result<Arc<Prompt>, Error>> {
        match &self.snapshot.prompt {
            Some(prompt) => Some(Ok(prompt.clone())),
            None if self.snapshot.login_starting && !late => None,
            None => Some(Err(self.in_trouble().unwrap_or_else(|| self.login_required()))),
        }
    }

    fn durable(&self, version: u64, late: bool) -> Option<Result<(), Error>> {
        let trouble = self.snapshot.trouble.as_ref().filter(|trouble| trouble.fault == Fault::Storage);
        match trouble {
            _ if self.machine.is_saved(version) => Some(Ok(())),
            Some(_) => Some(Err(Error::Storage { account: self.account.clone(), cause: self.cause() })),
            None if late => Some(Err(Error::Timeout { account: self.account.clone() })),
            None => None,
        }
    }

    fn refresh(&self, attempts: u64, late: bool) -> Option<Result<(), Error>> {
        let snapshot = self.snapshot;
        // A refresh that ended the grant leaves nothing to refresh with either.
        if !snapshot.refreshable {
            return Some(Err(self.login_required()));
        }
        if snapshot.attempts > attempts {
            return Some(self.in_trouble().map_or(Ok(()), Err));
        }
        late.then(|| Err(self.in_trouble().unwrap_or(Error::Timeout { account: self.account.clone() })))
    }

    fn login_required(&self) -> Error {
        let cause = self.snapshot.trouble.as_ref().map(|trouble| trouble.text.clone());
        Error::LoginRequired { account: self.account.clone(), reason: self.snapshot.reason, cause }
    }

    /// The last failure as an error.
    fn in_trouble(&self) -> Option<Error> {
        let trouble = self.snapshot.trouble.as_ref()?;
        Some(self.failed(trouble.fault, trouble.text.clone(), trouble.retry_at))
    }

    fn failed(&self, fault: Fault, cause: String, retry_at: Option<Instant>) -> Error {
        let account = self.account.clone();
        match fault {
            Fault::Unreachable | Fault::Clock => {
                let retry_after: Option<Duration> = retry_at.map(|at| self.now.until(at));
                Error::ProviderUnreachable { account, retry_after, cause }
            }
            Fault::Provider => Error::ProviderError { account, cause },
            Fault::Configuration => Error::Configuration { account, cause },
            Fault::Storage => Error::Storage { account, cause },
        }
    }

    /// What stands in the way of a token for another target, as an error.
    fn hindered(&self, hindrance: &Hindrance, target: Option<&Target>) -> Error {
        let (account, cause) = (self.account.clone(), hindrance.text.clone());
        match hindrance.obstacle {
            Obstacle::Scope => Error::InsufficientScope { account, cause },
            Obstacle::Target => {
                let parameter = target.map(Target::parameter).unwrap_or_default().to_owned();
                Error::InvalidOption { parameter, why: cause }
            }
            Obstacle::Fault(fault) => self.failed(fault, cause, Some(hindrance.retry_at)),
        }
    }

    fn cause(&self) -> String {
        self.snapshot.trouble.as_ref().map(|trouble| trouble.text.clone()).unwrap_or_default()
    }
}
