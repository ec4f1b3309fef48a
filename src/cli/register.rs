//! `bearerd register`: a client of one's own at a server that registers them (RFC 7591). It needs no daemon, for there is
//! no account yet that one could ask about.

mod files;

use std::{
    fs,
    path::{Path, PathBuf, absolute},
};

use clap::Args;

use self::files::Files;
use super::{Exit, Failure, screen::Screen};
use crate::{
    account::AccountName,
    config::{AccountSettings, ConfigError},
    oauth::{
        client_auth::Method,
        error::Failure as Refusal,
        exchange::{Endpoint, Request},
        metadata::{self, Offer},
        registration::{Registered, Registration},
    },
    platform::{machine, provider::Provider},
    secret::Secret,
    time::UnixTime,
};

/// `bearerd register`
#[derive(Debug, Args)]
pub struct Register {
    /// The server's issuer, as its metadata names it
    pub issuer: String,
    /// The account that the client is for
    #[arg(long, default_value = "default")]
    pub account: AccountName,
    /// Profile of the server
    #[arg(long)]
    pub provider: Option<String>,
    /// What people see of it when they sign in [default: bearerd on HOST]
    #[arg(long)]
    pub name: Option<String>,
    /// What it may ask for [default: that of the profile, or what refresh tokens need]
    #[arg(long)]
    pub scope: Option<String>,
    /// How it proves who it is, by OAuth's name for the way [default: none, where the server takes that]
    #[arg(long, value_name = "METHOD", value_parser = method)]
    pub auth: Option<Method>,
    /// File with the token of those who may register
    #[arg(long, value_name = "PATH")]
    pub initial_access_token_file: Option<PathBuf>,
    /// Certificates besides the system's, PEM
    #[arg(long, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// Write accounts.d/ACCOUNT.toml and ACCOUNT.secret beside the configuration, and never over what is there
    #[arg(long)]
    pub write: bool,
}

/// Registers a client, and prints or writes the account that uses it.
pub async fn run(config: &Path, arguments: Register, screen: &Screen) -> Result<Exit, Failure> {
    let config = absolute(config).unwrap_or_else(|_| config.to_owned());
    let name = &arguments.account;
    let draft = Draft::of(&arguments);
    let settings = AccountSettings::read(&config, name, &draft.text(None)).map_err(|error| bad_arguments(&error))?;
    let token = arguments.initial_access_token_file.as_deref().map(initial_access_token).transpose()?;
    let files = arguments.write.then(|| Files::prepare(&config, name)).transpose()?;

    let desk = Desk { provider: Provider::new(settings.ca.clone(), None), settings: &settings };
    let offer = desk.offer().await?;
    let method = arguments.auth.unwrap_or_else(|| usual_method(&offer, &settings));
    if method.needs_secret() && files.is_none() {
        let text =
            format!("a client that uses {} gets a secret, which is shown to nobody: add --write", method.as_str());
        return Err(Failure::new(Exit::Arguments, text));
    }
    let scopes = match &arguments.scope {
        Some(scope) => scope.split_ascii_whitespace().map(str::to_owned).collect(),
        None => usual_scopes(&offer, &settings),
    };
    let shown = arguments.name.clone().or_else(|| Some(format!("bearerd on {}", machine::host_name()?)));
    let shown = shown.unwrap_or_else(|| "bearerd".to_owned());
    let registration = Registration { name: &shown, method, scopes: &scopes };
    let registered = desk.register(&registration, &offer, token.as_ref()).await?;

    screen.remark(&format!("{} has registered the client {}", arguments.issuer, registered.client_id));
    let scopes = granted(&scopes, &registered, screen);
    remark_on(&registered, screen);
    let result = Outcome { name: &shown, registered: &registered, scopes: &scopes, secret: None };
    match files {
        Some(files) => files.keep(&draft, result, screen)?,
        None if registered.secret.is_some() => return Err(Failure::other(lost_secret(&registered))),
        None => {
            if registered.management.is_some() {
                screen.remark("the token that changes or deletes the client is not kept; --write would keep it");
            }
            screen.answer(draft.text(Some(&result)).trim_end())?;
        }
    }
    Ok(Exit::Success)
}

/// What is known of an account before its client is registered.
struct Draft {
    provider: Option<String>,
    issuer: String,
    ca_file: Option<PathBuf>,
}

/// What a registration adds to it.
#[derive(Clone)]
struct Outcome<'a> {
    name: &'a str,
    registered: &'a Registered,
    scopes: &'a [String],
    secret: Option<&'a Path>,
}

impl Draft {
    fn of(arguments: &Register) -> Self {
        let ca_file = arguments.ca_file.as_deref().map(|path| absolute(path).unwrap_or_else(|_| path.to_owned()));
        Self { provider: arguments.provider.clone(), issuer: arguments.issuer.clone(), ca_file }
    }

    /// The drop-in.
    fn text(&self, result: Option<&Outcome<'_>>) -> String {
        let mut lines = Vec::new();
        let mut line = |key: &str, value: Option<&str>| {
            lines.extend(value.map(|value| format!("{key} = {}", quoted(value))));
        };
        line("provider", self.provider.as_deref());
        line("issuer", Some(&self.issuer));
        if let Some(Outcome { registered, secret, .. }) = result {
            line("client_id", Some(&registered.client_id));
            line("client_secret_file", secret.and_then(Path::to_str));
            line("client_auth", secret.map(|_| registered.method.as_str()));
        }
        line("ca_file", self.ca_file.as_deref().and_then(Path::to_str));
        if let Some(Outcome { name, registered, scopes, .. }) = result {
            let ends = registered.secret_expires.map(|end| format!("; its secret ends on {}", date(end)));
            lines.insert(
                0,
                format!("# Registered by bearerd, by the name of {}{}.", quoted(name), ends.unwrap_or_default()),
            );
            let scopes: Vec<_> = scopes.iter().map(|scope| quoted(scope)).collect();
            lines.extend((!scopes.is_empty()).then(|| format!("scopes = [{}]", scopes.join(", "))));
        }
        lines.join("\n") + "\n"
    }
}

/// Where clients are registered.
struct Desk<'a> {
    provider: Provider,
    settings: &'a AccountSettings,
}

impl Desk<'_> {
    /// What the server says of itself, which has to be enough for a sign-in later.
    async fn offer(&self) -> Result<Offer, Failure> {
        let client = &self.settings.client;
        let issuer = client.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
        let mut problem = Failure::other("there is no issuer");
        for place in issuer.iter().flat_map(metadata::well_known) {
            let shown = place.as_str().to_owned();
            match self.provider.send(Request::get(place)).await {
                Ok(response) => match metadata::read_offer(&response, client) {
                    Ok(offer) => {
                        let complete = client.endpoints.clone().or(offer.endpoints.clone()).complete();
                        return complete.map(|_| offer).ok_or_else(|| Failure::other(NO_DEVICE_GRANT));
                    }
                    Err(metadata::Unusable(why)) => {
                        problem = Failure::other(format!("{why} ({shown}, HTTP {})", response.status));
                    }
                },
                Err(unreachable) => problem = failed(&Refusal::Unreachable(unreachable), &shown),
            }
        }
        Err(problem)
    }

    async fn register(
        &self,
        registration: &Registration<'_>,
        offer: &Offer,
        token: Option<&Secret>,
    ) -> Result<Registered, Failure> {
        let endpoint = offer.registration.as_ref().ok_or_else(|| Failure::other(NO_REGISTRATION))?;
        let sent = self.provider.send(registration.request(endpoint, token)).await.map_err(Refusal::Unreachable);
        let read = sent.and_then(|response| registration.read(&response, &self.settings.client.profile));
        let secrets: Vec<&Secret> = token.into_iter().collect();
        read.map_err(|failure| failed(&failure.without(&secrets), endpoint.as_str()))
    }
}

fn failed(failure: &Refusal, place: &str) -> Failure {
    let exit = match failure {
        Refusal::Busy { .. } | Refusal::Unreachable(_) => Exit::NotNow,
        Refusal::Refused(_) | Refusal::Garbled { .. } => Exit::Other,
    };
    Failure::new(exit, format!("no client was registered at {place}: {failure}"))
}

/// The way that needs nothing to be kept, or the first one that the server has.
fn usual_method(offer: &Offer, settings: &AccountSettings) -> Method {
    let known: Vec<Method> = offer.auth_methods.iter().filter_map(|name| Method::read(name)).collect();
    let profile = settings.client.profile.client_auth;
    let wanted = [Some(Method::None), profile, Some(Method::ClientSecretBasic), Some(Method::ClientSecretPost)];
    wanted.into_iter().flatten().find(|method| known.contains(method)).unwrap_or(Method::None)
}

/// What the profile asks for; without one, what brings an identity and refresh tokens, if the server has it.
fn usual_scopes(offer: &Offer, settings: &AccountSettings) -> Vec<String> {
    if !settings.client.scopes.is_empty() {
        return settings.client.scopes.clone();
    }
    let offline = settings.client.profile.offline_scope.as_deref();
    let wanted = ["openid"].into_iter().chain(offline);
    wanted.filter(|scope| offer.scopes.iter().any(|known| known == scope)).map(str::to_owned).collect()
}

/// What is left of the scopes that were asked for.
fn granted(asked: &[String], registered: &Registered, screen: &Screen) -> Vec<String> {
    let Some(known) = &registered.scopes else { return asked.to_vec() };
    // Servers need not count what only says that there is to be an identity.
    let (kept, gone): (Vec<_>, Vec<_>) =
        asked.iter().cloned().partition(|scope| scope == "openid" || known.contains(scope));
    if !gone.is_empty() {
        let gone = gone.join(" ");
        screen.remark(&format!(
            "the server does not let this client ask for: {gone}; allow it there, and add it to scopes"
        ));
    }
    kept
}

fn remark_on(registered: &Registered, screen: &Screen) {
    for grant in &registered.missing_grants {
        screen.remark(&format!("the server does not let this client use the grant {grant}; allow it there"));
    }
    if let Some(end) = registered.secret_expires {
        let text = "the client's secret ends on {}; register a new client before that, under another account";
        screen.remark(&text.replace("{}", &date(end)));
    }
}

fn lost_secret(registered: &Registered) -> String {
    format!(
        "the server has given the client {} a secret for {}, which was not asked for and is not kept; delete that client \
         there, and register another one with --write",
        registered.client_id,
        registered.method.as_str()
    )
}

fn initial_access_token(path: &Path) -> Result<Secret, Failure> {
    let wrong = |why: String| Failure::new(Exit::Arguments, format!("{}: {why}", path.display()));
    let text = fs::read_to_string(path).map_err(|error| wrong(format!("it cannot be read: {error}")))?;
    match text.trim() {
        token if !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(Secret::new(token)),
        _ => Err(wrong("there has to be one token in it, and nothing else".to_owned())),
    }
}

/// What is wrong, without the place in a file that is not there.
fn bad_arguments(error: &ConfigError) -> Failure {
    let said = error.0.iter().map(|problem| match &problem.fix {
        Some(fix) => format!("{}; {fix}", problem.message),
        None => problem.message.clone(),
    });
    Failure::new(Exit::Arguments, said.collect::<Vec<_>>().join("\n"))
}

fn method(name: &str) -> Result<Method, &'static str> {
    Method::read(name)
        .filter(|method| !method.needs_key())
        .ok_or("write none, client_secret_basic, client_secret_post or client_secret_jwt")
}

/// A basic string of TOML, which a string of JSON is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn date(moment: UnixTime) -> String {
    let seconds = i64::try_from(moment.0).ok().and_then(|seconds| jiff::Timestamp::from_second(seconds).ok());
    seconds.map_or_else(|| "a day far away".to_owned(), |moment| moment.to_string())
}

const NO_REGISTRATION: &str = "the server registers no clients by itself: its metadata names no registration_endpoint; register one \
    by hand there, for the device grant and for refresh tokens, and write its client_id into the configuration";
const NO_DEVICE_GRANT: &str = "the server's metadata names no device authorization endpoint, so a client would be of no use; does the \
    server offer the device grant? If it does, switch it on there";
