//! What all objects share: the broker, and who is calling.

use std::{borrow::Cow, collections::BTreeMap, ops::Deref, sync::Arc, time::Duration};

use tokio::time::timeout;
use zbus::{Connection, OwnedVariant, Variant, message::Header};

use super::{caller::Callers, facts, options, refusal::Refusal};
use crate::{
    account::AccountName,
    api::limits::{self, Limits, Place},
    broker::{Broker, Error, Offer},
    platform::{clock, peer::Caller},
};

/// One stay on the bus.
pub struct Door {
    /// The verbs.
    pub broker: Arc<Broker>,
    callers: Callers,
    calls: Arc<Limits>,
}

/// Whoever is calling, for as long as the call takes.
pub struct Guest {
    caller: Caller,
    _place: Option<Place>,
}

impl Door {
    /// A door that knows no caller yet.
    pub fn new(broker: Arc<Broker>) -> Self {
        Self { broker, callers: Callers::default(), calls: Limits::new("calls on the bus", CALLS) }
    }

    /// Who sent this message, if they have not too many calls under way already.
    pub async fn caller(&self, connection: &Connection, header: &Header<'_>) -> Result<Guest, Refusal> {
        let caller = self.callers.identify(connection, header, &self.broker.units()).await?;
        let place = self.calls.take(caller.uid, limits::allowed(&self.broker, &caller));
        let too_many = || Refusal::limits_exceeded("this user has too many calls under way; wait for their answers");
        Ok(Guest { caller, _place: Some(place.ok_or_else(too_many)?) })
    }

    /// Who reads a property. Without a message it is read for a signal, that is for everybody.
    pub async fn reader(&self, connection: &Connection, header: Option<&Header<'_>>) -> Result<Guest, Refusal> {
        match header {
            Some(header) => self.caller(connection, header).await,
            None => Ok(Guest { caller: Caller::unknown(), _place: None }),
        }
    }

    /// The answer to `GetToken`: the token, the seconds it still lives (0: nobody knows), and the rest.
    pub async fn token(
        &self,
        caller: &Caller,
        account: Option<&str>,
        given: &BTreeMap<String, OwnedVariant>,
    ) -> Result<(String, u32, BTreeMap<Cow<'static, str>, Variant<'static>>), Refusal> {
        let answer = match self.broker.offer(caller, account, &options::token_request(given)?, clock::boot())? {
            Offer::Token(answer) => answer,
            Offer::Wait(wait) => {
                let account = wait.account().clone();
                // The broker gives up first, as it has more to say then.
                within(PATIENCE + GRACE, &account, self.broker.wait_for_token(caller, *wait)).await?
            }
        };
        let expires_in = answer.expires_in.map_or(0, |left| u32::try_from(left).unwrap_or(u32::MAX));
        Ok((answer.token.secret.expose().to_owned(), expires_in, facts::details(&answer)))
    }

    /// The answer of another verb, or that there is none in time. What was begun goes on.
    pub async fn answer<T>(
        &self,
        account: &AccountName,
        verb: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Refusal> {
        within(PATIENCE, account, verb).await
    }

    /// Reads the configuration again.
    pub async fn reload(&self, caller: &Caller) -> Result<(), Refusal> {
        match timeout(PATIENCE, self.broker.reload(caller)).await {
            Ok(Ok(Ok(_accounts))) => Ok(()),
            Ok(Ok(Err(mistakes))) => Err(Refusal::configuration(mistakes.to_string())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(Refusal::timeout(
                "the configuration is still being put into force; bearerd status shows how it goes",
            )),
        }
    }
}

impl Deref for Guest {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

async fn within<T>(
    patience: Duration,
    account: &AccountName,
    verb: impl Future<Output = Result<T, Error>>,
) -> Result<T, Refusal> {
    let answer = timeout(patience, verb).await;
    Ok(answer.unwrap_or_else(|_| Err(Error::Timeout { account: account.clone() }))?)
}

/// Calls under way at a time, of all users.
const CALLS: usize = 1024;
/// D-Bus callers give up after 25 s.
const PATIENCE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(2);
