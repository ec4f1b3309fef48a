//! From a request to what it asks for: path, method, query and headers, all read before anything is done.
//!
//! So nothing of the request has to be kept while its answer is made, and hyper reads the next one into the same memory.

use hyper::{Method, Request, StatusCode, header::HeaderMap};

use super::{
    answer::{self, Answer},
    framing, guard,
    request::{self, Kind, Known},
};
use crate::broker::{Error, ProofRequest, TokenRequest};

/// What is asked for, with all that the request says of it.
pub enum Asked {
    /// A token.
    Token(TokenRequest, Option<Name>, Kind),
    /// Anything else, which is asked for now and then.
    Other(Box<Other>),
}

/// Anything but a token.
pub enum Other {
    /// The page for people.
    Page,
    /// What a form of the page asks for.
    Form(Form),
    /// What happens from now on, or has happened since the event of that id.
    Events(Option<u64>),
    /// What is counted.
    Metrics,
    /// The description of the API.
    Description,
    /// All accounts.
    Accounts,
    /// One account.
    Account(Name, Known),
    /// A login.
    Login {
        name: Name,
        /// Whoever signs in takes over from the person who signed in before.
        replace: bool,
        kind: Kind,
    },
    /// The code that is out.
    Prompt(Name, Kind),
    /// The end of a login that is running.
    CancelLogin(Name),
    /// The end of a grant.
    Logout(Name),
    /// A refresh.
    Refresh(Name),
    /// A look whether an account has all that it needs.
    Probe(Name),
    /// A proof of possession.
    Proof(Box<ProofRequest>, Name, Kind),
    /// The configuration, read again.
    Reload,
    /// What is stored, sealed again.
    Rekey,
    /// A sign of life.
    Health,
}

/// What the forms on the page for people are for.
pub enum Form {
    /// A login.
    Login(Name),
    /// The end of a login that is running.
    Cancel(Name),
}

/// The name of an account, as the path has it.
pub type Name = Box<str>;

impl Asked {
    /// Reads a request, or says why there is no answer to it.
    pub fn read<B>(request: &Request<B>) -> Result<Self, Box<Answer>> {
        if let Some(refusal) = framing::refusal(request) {
            return Err(Box::new(refusal));
        }
        if let Some(objection) = guard::objection(request.headers()) {
            return Err(Box::new(answer::plain_error(StatusCode::FORBIDDEN, "not_authorized", objection)));
        }
        let Some(route) = Route::parse(request.uri().path()) else {
            let text = "there is nothing at this path; see the API's description for what there is";
            return Err(Box::new(answer::plain_error(StatusCode::NOT_FOUND, "not_found", text)));
        };
        // A GET answers HEAD too; hyper leaves the body out.
        let method = if request.method() == Method::HEAD { &Method::GET } else { request.method() };
        let query = request.uri().query().unwrap_or_default();
        match route {
            Route::Token(name) if method == Method::GET => {
                let kind = kind(request.headers(), &TOKEN_KINDS)?;
                Ok(Self::Token(understood(request::token_request(query))?, name.map(Name::from), kind))
            }
            _ => Other::read(route, method, query, request.headers()).map(|other| Self::Other(Box::new(other))),
        }
    }
}

impl Other {
    fn read(route: Route<'_>, method: &Method, query: &str, headers: &HeaderMap) -> Result<Self, Box<Answer>> {
        let has_parameters =
            matches!(route, Route::Proof(_)) || matches!(route, Route::Login(_)) && method == Method::POST;
        let asked = match (route, method.as_str()) {
            (Route::Page, "GET") => Self::Page,
            (Route::PageLogin(name), "POST") => Self::Form(Form::Login(name.into())),
            (Route::PageCancel(name), "POST") => Self::Form(Form::Cancel(name.into())),
            (Route::Events, "GET") => Self::Events(request::last_event(headers)),
            (Route::Metrics, "GET") => Self::Metrics,
            (Route::Description, "GET") => Self::Description,
            (Route::Accounts, "GET") => Self::Accounts,
            (Route::Account(name), "GET") => Self::Account(name.into(), request::known(headers)),
            (Route::Login(name), "POST") => {
                let replace = understood(request::replace(query))?;
                Self::Login { name: name.into(), replace, kind: kind(headers, &PROMPT_KINDS)? }
            }
            (Route::Login(name), "GET") => Self::Prompt(name.into(), kind(headers, &PROMPT_KINDS)?),
            (Route::Login(name), "DELETE") => Self::CancelLogin(name.into()),
            (Route::Logout(name), "POST") => Self::Logout(name.into()),
            (Route::Refresh(name), "POST") => Self::Refresh(name.into()),
            (Route::Probe(name), "POST") => Self::Probe(name.into()),
            (Route::Proof(name), "POST") => {
                let kind = kind(headers, &TOKEN_KINDS)?;
                Self::Proof(Box::new(understood(request::proof_request(query))?), name.into(), kind)
            }
            (Route::Reload, "POST") => Self::Reload,
            (Route::Rekey, "POST") => Self::Rekey,
            (Route::Health, "GET") => Self::Health,
            _ => return Err(Box::new(answer::method_not_allowed(route.allowed()))),
        };
        if !has_parameters {
            understood(request::no_parameters(query))?;
        }
        Ok(asked)
    }
}

fn kind(headers: &HeaderMap, offered: &[Kind]) -> Result<Kind, Box<Answer>> {
    request::kind(headers, offered).ok_or_else(|| Box::new(answer::not_acceptable()))
}

fn understood<T>(read: Result<T, Error>) -> Result<T, Box<Answer>> {
    read.map_err(|error| Box::new(answer::error(&error)))
}

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Page,
    PageLogin(&'a str),
    PageCancel(&'a str),
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

impl<'a> Route<'a> {
    fn parse(path: &'a str) -> Option<Self> {
        Some(match path {
            "/v1/token" => Self::Token(None),
            "/v1/accounts" => Self::Accounts,
            "/v1/events" => Self::Events,
            "/v1/health" => Self::Health,
            "/v1/reload" => Self::Reload,
            "/v1/rekey" => Self::Rekey,
            "/metrics" => Self::Metrics,
            "/openapi.yaml" => Self::Description,
            "/" => Self::Page,
            _ => match path.strip_prefix("/v1/accounts/") {
                Some(path) => return Self::of_an_account(path),
                None => match path.strip_prefix("/accounts/")?.split_once('/')? {
                    (name, "login") => Self::PageLogin(name),
                    (name, "cancel") => Self::PageCancel(name),
                    _ => return None,
                },
            },
        })
    }

    fn of_an_account(path: &'a str) -> Option<Self> {
        let Some((name, verb)) = path.split_once('/') else { return Some(Self::Account(path)) };
        Some(match verb {
            "token" => Self::Token(Some(name)),
            "login" => Self::Login(name),
            "logout" => Self::Logout(name),
            "refresh" => Self::Refresh(name),
            "probe" => Self::Probe(name),
            "dpop" => Self::Proof(name),
            _ => return None,
        })
    }

    /// The methods it answers, as the `Allow` header lists them.
    fn allowed(self) -> &'static str {
        match self {
            Self::Page
            | Self::Metrics
            | Self::Description
            | Self::Events
            | Self::Token(_)
            | Self::Accounts
            | Self::Account(_)
            | Self::Health => "GET, HEAD",
            Self::Login(_) => "GET, HEAD, POST, DELETE",
            Self::PageLogin(_)
            | Self::PageCancel(_)
            | Self::Logout(_)
            | Self::Refresh(_)
            | Self::Probe(_)
            | Self::Proof(_)
            | Self::Reload
            | Self::Rekey => "POST",
        }
    }
}

const TOKEN_KINDS: [Kind; 2] = [Kind::Json, Kind::Text];
const PROMPT_KINDS: [Kind; 4] = [Kind::Json, Kind::Text, Kind::Svg, Kind::Png];
