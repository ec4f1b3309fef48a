//! From what is asked for to its answer.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper::{Request, StatusCode, header::HeaderValue};
use serde_json::json;

use super::{
    Door,
    answer::{self, Answer},
    asked::{Asked, Form, Other},
    body::Body,
    connection::Activity,
    events, metrics,
    request::{Kind, Known},
};
use crate::{
    api::problem,
    broker::{Broker, Error, Offer, Wait},
    platform::{clock, peer::Caller},
};

/// An answer that is there, or one that is being made: that is on the heap, so that a connection needs no room for it while
/// it rests.
pub enum Answering {
    /// It is there.
    There(Ready<Answer>),
    /// It is being made.
    Made(Pin<Box<dyn Future<Output = Answer> + Send>>),
}

impl Future for Answering {
    type Output = Result<Answer, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::There(answer) => Pin::new(answer).poll(context).map(Ok),
            Self::Made(answer) => answer.as_mut().poll(context).map(Ok),
        }
    }
}

/// Gives a caller that has been identified what it asks for. A token that is there is given at once.
pub fn answer<B: Send + 'static>(
    door: &Arc<Door>,
    caller: &Arc<Caller>,
    activity: &Arc<Activity>,
    request: Request<B>,
) -> Answering {
    let asked_at = clock::boot();
    activity.note();
    let given = match Asked::read(&request) {
        Ok(Asked::Token(asked, name, kind)) => match door.broker.offer(caller, name.as_deref(), &asked, asked_at) {
            Ok(Offer::Token(token)) => Ok(answer::token(&token, kind)),
            Ok(Offer::Wait(wait)) => Err(Later::Token(wait, kind)),
            Err(error) => Ok(answer::error(&error)),
        },
        Ok(Asked::Other(other)) => Err(Later::Other(other)),
        Err(refusal) => return Answering::There(ready(*refusal)),
    };
    let later = match given {
        Ok(answer) => {
            door.latencies.token.took(clock::boot().since(asked_at));
            return Answering::There(ready(answer));
        }
        Err(later) => later,
    };
    // The head goes now, and its memory is hyper's again. The body stays until there is an answer: whoever is still
    // sending it is not cut off.
    let (door, caller, body) = (door.clone(), caller.clone(), request.into_body());
    let answering = activity.answering();
    Answering::Made(Box::pin(async move {
        let (answered, latency) = match later {
            Later::Token(wait, kind) => {
                let token = door.broker.wait_for_token(&caller, *wait).await;
                (token.map(|token| answer::token(&token, kind)), &door.latencies.token)
            }
            Later::Other(other) => (obey(&door, &caller, *other).await, &door.latencies.other),
        };
        drop(body);
        latency.took(clock::boot().since(asked_at));
        let mut answer = answered.unwrap_or_else(|error| answer::error(&error));
        answer.body_mut().hold(answering);
        answer
    }))
}

/// What takes its time.
enum Later {
    Token(Box<Wait>, Kind),
    Other(Box<Other>),
}

async fn obey(door: &Door, caller: &Arc<Caller>, asked: Other) -> Result<Answer, Error> {
    let broker = &door.broker;
    Ok(match asked {
        Other::Page => answer::page(StatusCode::OK, &broker.list(caller), None),
        Other::Form(form) => fill_in(broker, caller, form).await,
        Other::Description => answer::description(),
        Other::Metrics => answer::metrics(metrics::draw(broker, caller, &door.latencies)),
        Other::Events(since) => events::stream(broker, caller, since, &door.closing),
        Other::Accounts => answer::accounts(&broker.list(caller)),
        Other::Account(name, known) => look(broker, caller, &name, known).await?,
        Other::Login { name, replace, kind } => {
            let (account, prompt) = broker.login(caller, Some(&name), replace).await?;
            let shown = answer::prompt(StatusCode::ACCEPTED, &account, &prompt, kind);
            shown.unwrap_or_else(answer::not_acceptable)
        }
        Other::CancelLogin(name) => {
            broker.cancel_login(caller, Some(&name)).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        Other::Prompt(name, kind) => prompt(broker, caller, &name, kind)?,
        Other::Logout(name) => {
            broker.logout(caller, Some(&name)).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        Other::Proof(request, name, kind) => answer::proof(&broker.prove(caller, Some(&name), *request).await?, kind),
        Other::Refresh(name) => answer::account(&broker.refresh(caller, Some(&name)).await?),
        Other::Probe(name) => {
            let (account, findings) = broker.probe(caller, Some(&name)).await?;
            answer::findings(&account, &findings)
        }
        Other::Reload => reload(broker, caller).await?,
        Other::Rekey => {
            let rekeyed = broker.rekey(caller).await?;
            let names: Vec<_> = rekeyed.accounts.iter().map(ToString::to_string).collect();
            let protection = rekeyed.protection.as_str();
            answer::json_body(StatusCode::OK, &json!({ "accounts": names, "protection": protection }))
        }
        Other::Health => {
            let (version, protection) = (env!("CARGO_PKG_VERSION"), broker.protection().as_str());
            let health = json!({ "status": "ok", "version": version, "protection": protection });
            answer::json_body(StatusCode::OK, &health)
        }
    })
}

async fn reload(broker: &Arc<Broker>, caller: &Caller) -> Result<Answer, Error> {
    Ok(match broker.reload(caller).await? {
        Ok(accounts) => {
            let names: Vec<_> = accounts.iter().map(ToString::to_string).collect();
            answer::json_body(StatusCode::OK, &json!({ "accounts": names }))
        }
        Err(error) => answer::plain_error(StatusCode::UNPROCESSABLE_ENTITY, "configuration", &error.to_string()),
    })
}

/// Does what a form asks for; after that the page again, with what went wrong on it.
async fn fill_in(broker: &Broker, caller: &Caller, form: Form) -> Answer {
    let done = match form {
        Form::Login(name) => broker.login(caller, Some(&name), false).await.map(|_| ()),
        Form::Cancel(name) => broker.cancel_login(caller, Some(&name)).await,
    };
    match done {
        Ok(()) => answer::to_the_page(),
        Err(error) => answer::page(problem::names(&error).status, &broker.list(caller), Some(&error.to_string())),
    }
}

/// The code that is out, if one is.
fn prompt(broker: &Broker, caller: &Caller, name: &str, kind: Kind) -> Result<Answer, Error> {
    Ok(match broker.prompt(caller, Some(name))? {
        (_, None) => {
            let text = "no login is running; POST to this path starts one";
            answer::plain_error(StatusCode::NOT_FOUND, "not_found", text)
        }
        (account, Some(prompt)) => {
            let shown = answer::prompt(StatusCode::OK, &account, &prompt, kind);
            shown.unwrap_or_else(answer::not_acceptable)
        }
    })
}

/// One account, at once or as soon as it is not any more as the client knows it.
async fn look(broker: &Broker, caller: &Caller, name: &str, known: Known) -> Result<Answer, Error> {
    let waited = known.wait.filter(|_| known.revision.is_some());
    let sight = match (known.revision, waited) {
        (Some(revision), Some(patience)) => broker.look_after(caller, name, revision, patience).await?,
        _ => broker.look(caller, Some(name))?,
    };
    let mut answer = answer::account(&sight);
    if let Some(applied) = waited.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()) {
        answer.headers_mut().insert("preference-applied", applied);
    }
    if known.revision == Some(sight.view.revision) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = Body::default();
    }
    Ok(answer)
}
