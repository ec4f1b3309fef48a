//! From a request to its answer.

use std::sync::Arc;

use hyper::{
    Method, Request, StatusCode,
    header::{HeaderMap, HeaderValue},
};
use serde_json::json;

use super::{
    Door,
    answer::{self, Answer},
    events, guard, metrics,
    request::{self, Kind},
};
use crate::{
    api::problem,
    broker::{Broker, Error},
    platform::{clock, peer::Caller},
};

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Page(Page<'a>),
    Events,
    Metrics,
    Description,
    Token(Option<&'a str>),
    Accounts,
    Account(&'a str),
    Login(&'a str),
    Logout(&'a str),
    Refresh(&'a str),
    Probe(&'a str),
    Proof(&'a str),
    Reload,
    Rekey,
    Health,
}

/// What the page for people consists of: itself, and where its forms go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Page<'a> {
    Whole,
    Login(&'a str),
    Cancel(&'a str),
}

/// Answers one request of a caller that has been identified.
pub async fn answer<B>(door: &Door, caller: &Arc<Caller>, request: &Request<B>) -> Answer {
    if let Some(objection) = guard::objection(request.headers()) {
        return answer::plain_error(StatusCode::FORBIDDEN, "not_authorized", objection);
    }
    let Some(route) = Route::parse(request.uri().path()) else {
        let text = "there is nothing at this path; see the API's description for what there is";
        return answer::plain_error(StatusCode::NOT_FOUND, "not_found", text);
    };
    // A GET answers HEAD too; hyper leaves the body out.
    let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
    if !route.allowed().split(", ").any(|allowed| allowed == method.as_str()) {
        return answer::method_not_allowed(route.allowed());
    }
    let query = request.uri().query().unwrap_or_default();
    let asked_at = clock::boot();
    let (answered, latency) = match route {
        Route::Token(name) => {
            (token(&door.broker, caller, name, query, request.headers()).await, &door.latencies.token)
        }
        // On the heap, or every connection would hold, for as long as it is open, what the largest of them needs.
        _ => {
            let other = Box::pin(obey(door, caller, route, method, query, request.headers()));
            (other.await, &door.latencies.other)
        }
    };
    latency.took(clock::boot().since(asked_at));
    answered.unwrap_or_else(|error| answer::error(&error))
}

async fn obey(
    door: &Door,
    caller: &Arc<Caller>,
    route: Route<'_>,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let broker = &door.broker;
    let has_parameters = matches!(route, Route::Token(_) | Route::Proof(_))
        || matches!(route, Route::Login(_)) && method == Method::POST;
    if !has_parameters {
        request::no_parameters(query)?;
    }
    Ok(match (route, method.as_str()) {
        (Route::Page(page), _) => show_page(broker, caller, page).await,
        (Route::Description, _) => answer::description(),
        (Route::Metrics, _) => answer::metrics(metrics::draw(broker, caller, &door.latencies)),
        (Route::Events, _) => events::stream(broker, caller, headers, &door.closing),
        (Route::Token(name), _) => token(broker, caller, name, query, headers).await?,
        (Route::Accounts, _) => answer::accounts(&broker.list(caller)),
        (Route::Account(name), _) => look(broker, caller, name, headers).await?,
        (Route::Login(name), "POST") => login(broker, caller, name, query, headers).await?,
        (Route::Login(name), "DELETE") => {
            broker.cancel_login(caller, Some(name)).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (Route::Login(name), _) => prompt(broker, caller, name, headers)?,
        (Route::Logout(name), _) => {
            broker.logout(caller, Some(name)).await?;
            answer::empty(StatusCode::NO_CONTENT)
        }
        (Route::Proof(name), _) => proof(broker, caller, name, query, headers).await?,
        (Route::Refresh(name), _) => answer::account(&broker.refresh(caller, Some(name)).await?),
        (Route::Probe(name), _) => {
            let (account, findings) = broker.probe(caller, Some(name)).await?;
            answer::findings(&account, &findings)
        }
        (Route::Reload, _) => reload(broker, caller).await?,
        (Route::Rekey, _) => {
            let rekeyed = broker.rekey(caller).await?;
            let names: Vec<_> = rekeyed.accounts.iter().map(ToString::to_string).collect();
            let protection = rekeyed.protection.as_str();
            answer::json_body(StatusCode::OK, &json!({ "accounts": names, "protection": protection }))
        }
        (Route::Health, _) => {
            let (version, protection) = (env!("CARGO_PKG_VERSION"), broker.protection().as_str());
            let health = json!({ "status": "ok", "version": version, "protection": protection });
            answer::json_body(StatusCode::OK, &health)
        }
    })
}

/// Starts a login or joins the one that is running.
async fn login(
    broker: &Broker,
    caller: &Caller,
    name: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let (account, prompt) = broker.login(caller, Some(name), request::replace(query)?).await?;
    let kind = request::kind(headers, &PROMPT_KINDS);
    let shown = kind.and_then(|kind| answer::prompt(StatusCode::ACCEPTED, &account, &prompt, kind));
    Ok(shown.unwrap_or_else(not_acceptable))
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

/// The page, or what a form on it asks for: after that the page again, with what went wrong on it.
async fn show_page(broker: &Broker, caller: &Caller, page: Page<'_>) -> Answer {
    let done = match page {
        Page::Whole => return answer::page(StatusCode::OK, &broker.list(caller), None),
        Page::Login(name) => broker.login(caller, Some(name), false).await.map(|_| ()),
        Page::Cancel(name) => broker.cancel_login(caller, Some(name)).await,
    };
    match done {
        Ok(()) => answer::to_the_page(),
        Err(error) => answer::page(problem::names(&error).status, &broker.list(caller), Some(&error.to_string())),
    }
}

async fn token(
    broker: &Broker,
    caller: &Caller,
    name: Option<&str>,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let Some(kind) = request::kind(headers, &[Kind::Json, Kind::Text]) else { return Ok(not_acceptable()) };
    let asked = request::token_request(query)?;
    Ok(answer::token(&broker.token(caller, name, &asked).await?, kind))
}

async fn proof(
    broker: &Broker,
    caller: &Caller,
    name: &str,
    query: &str,
    headers: &HeaderMap,
) -> Result<Answer, Error> {
    let Some(kind) = request::kind(headers, &[Kind::Json, Kind::Text]) else { return Ok(not_acceptable()) };
    let asked = request::proof_request(query)?;
    Ok(answer::proof(&broker.prove(caller, Some(name), asked).await?, kind))
}

/// The code that is out, if one is.
fn prompt(broker: &Broker, caller: &Caller, name: &str, headers: &HeaderMap) -> Result<Answer, Error> {
    Ok(match broker.prompt(caller, Some(name))? {
        (_, None) => {
            let text = "no login is running; POST to this path starts one";
            answer::plain_error(StatusCode::NOT_FOUND, "not_found", text)
        }
        (account, Some(prompt)) => {
            let kind = request::kind(headers, &PROMPT_KINDS);
            let shown = kind.and_then(|kind| answer::prompt(StatusCode::OK, &account, &prompt, kind));
            shown.unwrap_or_else(not_acceptable)
        }
    })
}

/// One account, at once or as soon as it is not any more as the client knows it.
async fn look(broker: &Broker, caller: &Caller, name: &str, headers: &HeaderMap) -> Result<Answer, Error> {
    let known = request::known_revision(headers);
    let waited = request::preferred_wait(headers).filter(|_| known.is_some());
    let sight = match (known, waited) {
        (Some(revision), Some(patience)) => broker.look_after(caller, name, revision, patience).await?,
        _ => broker.look(caller, Some(name))?,
    };
    let mut answer = answer::account(&sight);
    if let Some(applied) = waited.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()) {
        answer.headers_mut().insert("preference-applied", applied);
    }
    if known == Some(sight.view.revision) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        *answer.body_mut() = super::body::Body::default();
    }
    Ok(answer)
}

fn not_acceptable() -> Answer {
    let text = "none of the kinds in the Accept header can be had here";
    answer::plain_error(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text)
}

impl<'a> Page<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        match path.strip_prefix("accounts/").and_then(|rest| rest.split_once('/')) {
            Some((name, "login")) => Some(Self::Login(name)),
            Some((name, "cancel")) => Some(Self::Cancel(name)),
            Some(_) => None,
            None => path.is_empty().then_some(Self::Whole),
        }
    }
}

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        if path == "metrics" {
            return Some(Self::Metrics);
        }
        if path == "openapi.yaml" {
            return Some(Self::Description);
        }
        let Some(path) = path.strip_prefix("v1/") else { return Page::parse(path).map(Self::Page) };
        let mut segments = path.split('/');
        let [first, name, verb, rest] = std::array::from_fn(|_| segments.next());
        match (first?, name, verb, rest) {
            ("events", None, None, None) => Some(Self::Events),
            ("token", None, None, None) => Some(Self::Token(None)),
            ("health", None, None, None) => Some(Self::Health),
            ("reload", None, None, None) => Some(Self::Reload),
            ("rekey", None, None, None) => Some(Self::Rekey),
            ("accounts", None, None, None) => Some(Self::Accounts),
            ("accounts", Some(name), None, None) => Some(Self::Account(name)),
            ("accounts", Some(name), Some("token"), None) => Some(Self::Token(Some(name))),
            ("accounts", Some(name), Some("login"), None) => Some(Self::Login(name)),
            ("accounts", Some(name), Some("logout"), None) => Some(Self::Logout(name)),
            ("accounts", Some(name), Some("refresh"), None) => Some(Self::Refresh(name)),
            ("accounts", Some(name), Some("probe"), None) => Some(Self::Probe(name)),
            ("accounts", Some(name), Some("dpop"), None) => Some(Self::Proof(name)),
            _ => None,
        }
    }

    /// The methods it answers, as the `Allow` header lists them.
    fn allowed(self) -> &'static str {
        match self {
            Self::Page(Page::Whole)
            | Self::Metrics
            | Self::Description
            | Self::Events
            | Self::Token(_)
            | Self::Accounts
            | Self::Account(_)
            | Self::Health => "GET, HEAD",
            Self::Login(_) => "GET, HEAD, POST, DELETE",
            Self::Page(Page::Login(_) | Page::Cancel(_))
            | Self::Logout(_)
            | Self::Refresh(_)
            | Self::Probe(_)
            | Self::Proof(_)
            | Self::Reload
            | Self::Rekey => "POST",
        }
    }
}

const PROMPT_KINDS: [Kind; 4] = [Kind::Json, Kind::Text, Kind::Svg, Kind::Png];
