//! Answers: the JSON of accounts, tokens, prompts and errors.

use std::sync::LazyLock;

use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use hyper::{
    Response, StatusCode,
    header::{
        ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION,
        REFERRER_POLICY, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
    },
};
use serde_json::{Value, json};

use super::{body::Body, request::Kind, token_json::token_json};
use crate::{
    account::{AccountName, Prompt},
    api::{page, problem},
    broker::{Error, Finding, ProofAnswer, Sight, TokenAnswer},
    platform::clock,
    qr,
};

/// What goes back.
pub type Answer = Response<Body>;

/// A token.
pub fn token(answer: &TokenAnswer, kind: Kind) -> Answer {
    let (headers, content) = match kind {
        Kind::Text => (&TEXT_HEADERS, answer.token.secret.expose().to_owned().into_bytes()),
        Kind::Json | Kind::Svg | Kind::Png => (&JSON_HEADERS, token_json(answer).into_bytes()),
    };
    let mut answer = Response::new(Body::whole(content.into()));
    answer.headers_mut().clone_from(headers);
    answer
}

/// A proof of possession, with the hash of the token that it goes with.
pub fn proof(answer: &ProofAnswer, kind: Kind) -> Answer {
    if kind == Kind::Text {
        return secret(body(StatusCode::OK, kind.media_type(), answer.proof.clone()));
    }
    let members = json!({ "proof": answer.proof, "ath": answer.token_hash, "account": answer.account.as_str() });
    secret(json_body(StatusCode::OK, &members))
}

/// One account with its revision as `ETag`.
pub fn account(sight: &Sight) -> Answer {
    let mut answer = secret(json_body(StatusCode::OK, &account_json(sight)));
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", sight.view.revision)) {
        answer.headers_mut().insert(ETAG, tag);
    }
    answer
}

/// All accounts that the caller may see.
pub fn accounts(sights: &[Sight]) -> Answer {
    secret(json_body(StatusCode::OK, &json!({ "accounts": sights.iter().map(account_json).collect::<Vec<_>>() })))
}

/// A prompt in the kind that the client asked for; `None` where that kind cannot be made.
pub fn prompt(status: StatusCode, account: &AccountName, prompt: &Prompt, kind: Kind) -> Option<Answer> {
    let link = prompt.link();
    let content = match kind {
        Kind::Json => prompt_json(account, prompt).to_string().into_bytes(),
        Kind::Text => prompt_text(prompt, link).into_bytes(),
        Kind::Svg => qr::svg(link)?.into_bytes(),
        Kind::Png => {
            let data = prompt.qr_code.as_deref()?.strip_prefix("data:image/png;base64,")?;
            BASE64_STANDARD.decode(data).ok()?
        }
    };
    Some(secret(body(status, kind.media_type(), content)))
}

/// What a probe of an account found.
pub fn findings(account: &AccountName, findings: &[Finding]) -> Answer {
    let finding = |finding: &Finding| {
        let mut members = json!({ "check": finding.check, "result": finding.verdict.as_str(), "text": finding.text });
        if let Some(remedy) = &finding.remedy {
            members["remedy"] = remedy.as_str().into();
        }
        members
    };
    let findings: Vec<Value> = findings.iter().map(finding).collect();
    json_body(StatusCode::OK, &json!({ "account": account.as_str(), "findings": findings }))
}

/// An error, as RFC 9457 has it with RFC 6749's members.
pub fn error(error: &Error) -> Answer {
    let names = problem::names(error);
    let mut members = problem_json(names.status, names.error, &error.to_string());
    if let Some(account) = account_of(error) {
        members["account"] = account.as_str().into();
    }
    match error {
        Error::LoginRequired { reason: Some(reason), .. } => members["reason"] = reason.as_str().into(),
        Error::LoginPending { account, prompt: Some(prompt) } => members["prompt"] = prompt_json(account, prompt),
        Error::InvalidOption { parameter, .. } => members["parameter"] = parameter.as_str().into(),
        Error::NotAuthorized { caller, .. } => {
            (members["uid"], members["gid"]) = (caller.uid.into(), caller.gid.into());
            if let Some(unit) = &caller.unit {
                members["unit"] = (**unit).into();
            }
        }
        _ => {}
    }
    let mut answer = secret(problem_body(names.status, &members));
    if let Some(pause) = problem::retry_after(error) {
        answer.headers_mut().insert(RETRY_AFTER, pause.as_secs().max(1).into());
    }
    answer
}

/// An error that has nothing to do with an account.
pub fn plain_error(status: StatusCode, error: &str, text: &str) -> Answer {
    problem_body(status, &problem_json(status, error, text))
}

/// A method that this path does not have.
pub fn method_not_allowed(allowed: &'static str) -> Answer {
    let text = format!("this path answers {allowed} alone");
    let mut answer = plain_error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text);
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

/// None of the kinds that the client takes.
pub fn not_acceptable() -> Answer {
    let text = "none of the kinds in the Accept header can be had here";
    plain_error(StatusCode::NOT_ACCEPTABLE, "not_acceptable", text)
}

/// The description of this API for machines.
pub fn description() -> Answer {
    body(StatusCode::OK, "application/yaml", include_str!("../../../docs/openapi.yaml"))
}

/// What is measured.
pub fn metrics(text: String) -> Answer {
    secret(body(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", text))
}

/// The page for people.
pub fn page(status: StatusCode, sights: &[Sight], notice: Option<&str>) -> Answer {
    let mut answer = secret(body(status, "text/html; charset=utf-8", page::draw(sights, notice)));
    let headers = answer.headers_mut();
    if let Ok(policy) = HeaderValue::try_from(page::policy()) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    // With "no-referrer" a browser would hide the origin of the page's own forms.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    answer
}

/// Sends a browser back to the page.
pub fn to_the_page() -> Answer {
    let mut answer = empty(StatusCode::SEE_OTHER);
    answer.headers_mut().insert(LOCATION, HeaderValue::from_static("/"));
    answer
}

/// A JSON document.
pub fn json_body(status: StatusCode, value: &Value) -> Answer {
    body(status, Kind::Json.media_type(), value.to_string())
}

/// A status alone.
pub fn empty(status: StatusCode) -> Answer {
    let mut answer = Response::new(Body::default());
    *answer.status_mut() = status;
    answer
}

fn account_json(sight: &Sight) -> Value {
    let mut members = state_json(sight);
    let prompt = sight.view.snapshot.prompt.as_ref().filter(|_| sight.may_see_prompt);
    if let Some(prompt) = prompt {
        members["prompt"] = prompt_json(&sight.name, prompt);
    }
    members
}

/// An account without its prompt. The sentence in it has the code where the caller may see that.
pub fn state_json(sight: &Sight) -> Value {
    let (snapshot, now) = (&sight.view.snapshot, sight.now);
    let token = snapshot.token.as_ref();
    let mut members = json!({
        "account": sight.name.as_str(),
        "state": snapshot.state.as_str(),
        "message": sight.sentence(),
        "issuer": sight.issuer,
        "refresh_token": snapshot.refreshable,
        "protection": sight.protection.as_str(),
    });
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            members[name] = value;
        }
    };
    let end = token.and_then(|token| token.expires);
    set("reason", snapshot.reason.map(|reason| reason.as_str().into()));
    set("expires_in", end.map(|end| now.boot.until(end).as_secs().into()));
    set("expires_at", end.map(|end| now.wall_at(end).0.into()));
    set("scope", token.map(|token| token.scope.as_str().into()));
    set("token_type", token.map(|token| token.token_type().into()));
    set("refresh_in", snapshot.refresh_at.map(|at| now.boot.until(at).as_secs().into()));
    set("refresh_at", snapshot.refresh_at.map(|at| now.wall_at(at).0.into()));
    set("missing_scope", snapshot.missing_scope.as_deref().map(Value::from));
    set(
        "last_error",
        snapshot.trouble.as_ref().map(|trouble| {
            let mut error = json!({ "error": problem::fault(trouble.fault), "error_description": trouble.text });
            if let Some(at) = trouble.retry_at {
                error["retry_in"] = now.boot.until(at).as_secs().into();
            }
            error
        }),
    );
    members
}

/// A prompt with its QR code.
pub fn prompt_json(account: &AccountName, prompt: &Prompt) -> Value {
    let now = clock::now();
    let mut members = json!({
        "account": account.as_str(),
        "user_code": prompt.user_code,
        "verification_uri": prompt.verification_uri,
        "expires_in": now.boot.until(prompt.expires).as_secs(),
        "expires_at": now.wall_at(prompt.expires).0,
        "interval": prompt.interval.as_secs(),
        "qr_code": page::picture(prompt),
    });
    if let Some(complete) = &prompt.verification_uri_complete {
        members["verification_uri_complete"] = complete.as_str().into();
    }
    if let Some(warning) = prompt.warning() {
        members["warning"] = warning.into();
    }
    members
}

fn prompt_text(prompt: &Prompt, link: &str) -> String {
    let code = qr::blocks::Qr::new(link).map(|code| code.draw(false)).unwrap_or_default();
    let warning = prompt.warning().map_or(String::new(), |warning| format!("\nBeware: {warning}.\n"));
    format!("Open  {}\nEnter {}\n{warning}\n{code}\n", prompt.verification_uri, prompt.user_code)
}

fn problem_json(status: StatusCode, error: &str, text: &str) -> Value {
    json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "error": error,
        "error_description": text,
    })
}

fn problem_body(status: StatusCode, members: &Value) -> Answer {
    body(status, "application/problem+json", members.to_string())
}

fn account_of(error: &Error) -> Option<&AccountName> {
    match error {
        Error::LoginRequired { account, .. }
        | Error::LoginPending { account, .. }
        | Error::InsufficientScope { account, .. }
        | Error::ProviderUnreachable { account, .. }
        | Error::ProviderError { account, .. }
        | Error::Configuration { account, .. }
        | Error::Storage { account, .. }
        | Error::Timeout { account } => Some(account),
        Error::NotAuthorized { .. } | Error::NoSuchAccount { .. } | Error::InvalidOption { .. } => None,
    }
}

fn body(status: StatusCode, media_type: &'static str, content: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Body::whole(content.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// What stands at the head of a token. Made once: to copy it costs less than to find each header's place anew.
static JSON_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| token_headers(Kind::Json));
static TEXT_HEADERS: LazyLock<HeaderMap> = LazyLock::new(|| token_headers(Kind::Text));

fn token_headers(kind: Kind) -> HeaderMap {
    secret(body(StatusCode::OK, kind.media_type(), "")).into_parts().0.headers
}

/// Marks an answer that may carry a token or a code.
fn secret(mut answer: Answer) -> Answer {
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
