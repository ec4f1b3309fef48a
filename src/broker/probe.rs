//! Whether an account has all that it needs: asked by `bearerd doctor`, looked at from where the daemon stands, with its
//! certificates, its network and its files. Nothing secret is in an answer.

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use url::Url;

use super::{Broker, Entry, Error, driver::Command};
use crate::{
    account::{AccountName, Prompt, Snapshot, State},
    config::Action,
    oauth::{
        client::{Client, Endpoints, Server},
        error::{ErrorCode, Failure},
        exchange::{Endpoint, Request},
        metadata,
    },
    platform::{clock, peer::Caller, provider::Provider, store::Protection},
    secret::Secret,
    time::UnixTime,
};

/// What one look brought.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What was looked at, one word.
    pub check: &'static str,
    /// How it is.
    pub verdict: Verdict,
    /// What was found, a sentence without a full stop.
    pub text: String,
    /// What to do about it, where there is something to do.
    pub remedy: Option<String>,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, or nobody can tell; somebody should know all the same.
    Warning,
    /// It does not work.
    Failed,
}

impl Verdict {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }
}

impl Finding {
    fn ok(check: &'static str, text: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Ok, text: text.into(), remedy: None }
    }

    fn warning(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Warning, text: text.into(), remedy: Some(remedy.into()) }
    }

    fn failed(check: &'static str, text: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, verdict: Verdict::Failed, text: text.into(), remedy: Some(remedy.into()) }
    }
}

impl Broker {
    /// Looks at everything that the account needs. It sends a few requests to the server, none of which changes anything
    /// there, and saves the account once more.
    pub async fn probe(&self, caller: &Caller, name: Option<&str>) -> Result<(AccountName, Vec<Finding>), Error> {
        let (name, entry) = self.account(caller, name, Action::Manage)?;
        let client = &entry.settings.client;
        let probe = Probe { provider: self.provider_for(&entry.settings), client };
        let (endpoints, discovery) = probe.discovery().await;
        let snapshot = entry.handle.view().snapshot.clone();
        let mut findings = Vec::new();
        let theirs = probe.hosts(&endpoints, &mut findings).await;
        findings.insert(0, clock_finding(theirs));
        findings.push(discovery);
        findings.push(endpoints_finding(&endpoints));
        findings.push(probe.client(&snapshot, endpoints.complete()).await);
        findings.extend(snapshot.prompt.as_ref().and_then(|prompt| page_finding(prompt)));
        findings.push(scopes_finding(client, &snapshot));
        findings.extend(entry.settings.exposed.iter().map(|file| {
            let file = file.display();
            Finding::warning(
                "secrets",
                format!("every user can read {file}"),
                format!("as root, run: chmod o-r {file}"),
            )
        }));
        findings.extend(self.storage(&name, &entry).await);
        Ok((name, findings))
    }

    async fn storage(&self, name: &AccountName, entry: &Entry) -> [Finding; 2] {
        let saved = entry.handle.ask(Command::Save).await;
        let store = match saved.unwrap_or(Err(Error::Timeout { account: name.clone() })) {
            Ok(()) => Finding::ok("store", "the sign-in was saved once more"),
            Err(error) => Finding::failed(
                "store",
                error.to_string(),
                "check that the state directory belongs to bearerd, is writable and has room: df, ls -ld /var/lib/bearerd",
            ),
        };
        let sealing = match self.protection() {
            Protection::None => Finding::warning(
                "sealing",
                "what is stored is not sealed: whoever gets the disk gets the sign-in",
                "as root, run: /usr/lib/bearerd/statekey enable",
            ),
            Protection::Host => Finding::ok("sealing", "sealed with a key that lies on the same disk"),
            Protection::Tpm2 => Finding::ok("sealing", "sealed with a key that this machine's TPM guards"),
        };
        [store, sealing]
    }
}

/// One account's server, looked at with the account's own means.
struct Probe<'a> {
    provider: Provider,
    client: &'a Client,
}

impl Probe<'_> {
    /// What is known of the endpoints, by configuration, profile and discovery.
    async fn discovery(&self) -> (Endpoints, Finding) {
        let configured = self.client.endpoints.clone();
        let known = configured.device_authorization.is_some() && configured.token.is_some();
        let issuer = self.client.issuer.as_deref().filter(|_| !known);
        let Some(issuer) = issuer.and_then(|issuer| Endpoint::parse(issuer).ok()) else {
            let text = "not needed: the endpoints are configured, or known of this provider";
            return (configured, Finding::ok("discovery", text));
        };
        let mut problem = String::new();
        for place in metadata::well_known(&issuer) {
            let shown = place.as_str().to_owned();
            match self.provider.send(Request::get(place)).await {
                Ok(response) => match metadata::read(&response, self.client) {
                    Ok(found) => {
                        let finding = Finding::ok("discovery", format!("the server describes itself at {shown}"));
                        return (configured.or(found), finding);
                    }
                    Err(metadata::Unusable(why)) => problem = format!("{why} ({shown}, HTTP {})", response.status),
                },
                Err(unreachable) => problem = format!("{shown} cannot be had: {}", unreachable.cause),
            }
        }
        let remedy = "check the issuer in the configuration: it must be the server's own, to the byte; or give \
                      device_authorization_endpoint and token_endpoint";
        (configured, Finding::failed("discovery", problem, remedy))
    }

    /// Looks at every host that a request may go to, and returns the time that one of them shows.
    async fn hosts(&self, endpoints: &Endpoints, findings: &mut Vec<Finding>) -> Option<UnixTime> {
        let issuer = self.client.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
        let all = [&issuer, &endpoints.device_authorization, &endpoints.token, &endpoints.revocation];
        let (mut seen, mut time) = (BTreeSet::new(), None);
        for endpoint in all.into_iter().flatten() {
            if seen.insert(endpoint.url().origin().ascii_serialization()) {
                time = self.host(endpoint, findings).await.or(time);
            }
        }
        time
    }

    async fn host(&self, endpoint: &Endpoint, findings: &mut Vec<Finding>) -> Option<UnixTime> {
        let (host, port) = host_of(endpoint.url())?;
        let addresses = match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(addresses) => addresses.collect::<Vec<_>>(),
            Err(error) => {
                let remedy = format!("check the network and the name server: resolvectl query {host}");
                findings.push(Finding::failed("dns", format!("{host} has no address: {error}"), remedy));
                return None;
            }
        };
        if host.parse::<IpAddr>().is_err() {
            let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            findings.push(Finding::ok("dns", format!("{host} is {}", shown.join(", "))));
        }
        let connected = timeout(CONNECT, TcpStream::connect(&addresses[..])).await;
        let refused = match connected {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("no answer in time".to_owned()),
        };
        if let Some(cause) = refused {
            let remedy = format!(
                "is the server up, and does a firewall let port {port} out? Try: curl -v {}",
                endpoint.as_str()
            );
            findings.push(Finding::failed(
                "connect",
                format!("{host}:{port} does not take the connection: {cause}"),
                remedy,
            ));
            return None;
        }
        findings.push(Finding::ok("connect", format!("{host}:{port} takes connections")));
        match self.provider.greet(endpoint).await {
            Ok(time) => {
                let encrypted = endpoint.url().scheme() == "https";
                let text =
                    if encrypted { "the certificate is good" } else { "not encrypted, which is fine on this machine" };
                findings.push(Finding::ok("tls", format!("{host}: {text}")));
                time
            }
            Err(unreachable) => {
                findings.push(Finding::failed("tls", format!("{host}: {}", unreachable.cause), MEND_TLS));
                None
            }
        }
    }

    /// Whether the server knows the client. A success of late says so; else it is asked for the token of a code that it
    /// never gave out, which it refuses in words that tell.
    async fn client(&self, snapshot: &Snapshot, server: Option<Server>) -> Finding {
        let remedy = "check client_id, the secret or key, and client_auth, and at the server that the device grant is allowed for it";
        let trouble = snapshot.trouble.as_ref().map(|trouble| trouble.text.clone());
        match (snapshot.state, trouble) {
            (State::Misconfigured, trouble) => {
                return Finding::failed(
                    "client",
                    trouble.unwrap_or_else(|| "the server refuses it".to_owned()),
                    remedy,
                );
            }
            (_, None) if snapshot.token.is_some() => {
                return Finding::ok("client", "the server has accepted it");
            }
            _ => {}
        }
        let Some(server) = server else {
            return Finding::warning("client", "cannot be tried without a token endpoint", "mend the endpoints first");
        };
        let request = self.client.device_token(&server.token, &Secret::new("bearerd-doctor"));
        let response = match self.provider.send(request).await {
            Ok(response) => response,
            Err(unreachable) => {
                let text = format!("cannot be tried: {}", unreachable.cause);
                return Finding::warning("client", text, "mend what is above first");
            }
        };
        match Failure::check(&response, &self.client.profile) {
            Err(Failure::Refused(mut refusal)) => match refusal.error {
                ErrorCode::InvalidGrant
                | ErrorCode::ExpiredToken
                | ErrorCode::AccessDenied
                | ErrorCode::AuthorizationPending
                | ErrorCode::SlowDown => Finding::ok("client", "the server knows it"),
                ErrorCode::InvalidClient | ErrorCode::UnauthorizedClient | ErrorCode::UnsupportedGrantType => {
                    let remedy = refusal.remedy.take().unwrap_or_else(|| remedy.to_owned());
                    Finding::failed("client", Failure::Refused(refusal).to_string(), remedy)
                }
                _ => Finding::warning("client", format!("nobody can tell: {}", Failure::Refused(refusal)), TRY_A_LOGIN),
            },
            Err(failure) => Finding::warning("client", format!("nobody can tell: {failure}"), TRY_A_LOGIN),
            Ok(_) => Finding::warning("client", "the server answers a made-up code without an error", TRY_A_LOGIN),
        }
    }
}

fn host_of(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned(), url.port_or_known_default()?))
}

fn clock_finding(theirs: Option<UnixTime>) -> Finding {
    let remedy = "set it, and let it be kept: timedatectl set-ntp true";
    let now = clock::now();
    match theirs.map(|theirs| (theirs.0.abs_diff(now.wall.0), theirs.0 > now.wall.0)) {
        Some((off, behind)) if off > TOLERANCE.as_secs() => {
            let way = if behind { "behind" } else { "ahead of" };
            let off = crate::time::span(Duration::from_secs(off));
            Finding::failed("clock", format!("it is {off} {way} the server's"), remedy)
        }
        _ if !now.synchronised => Finding::warning("clock", "it has not been synchronised since the start", remedy),
        Some((off, _)) => Finding::ok("clock", format!("within {} s of the server's", off.max(1))),
        None => Finding::ok("clock", "it is set; no server could be asked for the time"),
    }
}

fn endpoints_finding(endpoints: &Endpoints) -> Finding {
    let named =
        [("device_authorization_endpoint", &endpoints.device_authorization), ("token_endpoint", &endpoints.token)];
    let missing: Vec<&str> = named.iter().filter(|(_, found)| found.is_none()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let remedy =
            "does the server offer the device grant? If it does, configure the endpoint; else choose another server";
        return Finding::failed("endpoints", format!("not known: {}", missing.join(", ")), remedy);
    }
    match &endpoints.revocation {
        Some(_) => Finding::ok("endpoints", "device authorization, token and revocation are known"),
        None => Finding::warning(
            "endpoints",
            "there is no revocation endpoint, so a sign-out ends nothing at the server",
            "if the server has one, set revocation_endpoint",
        ),
    }
}

/// Where a code is out, and is to be entered on a page of which nobody knows whose it is.
fn page_finding(prompt: &Prompt) -> Option<Finding> {
    let host = prompt.stranger.as_ref()?;
    let text = format!("the code that is out is to be entered on {host}, which is not the server's own host");
    let remedy = format!(
        "if that page is right, add code_pages = [\"{host}\"] to the account; if nobody knows it, cancel the sign-in, and check \
         the issuer and the endpoints"
    );
    Some(Finding::warning("page", text, remedy))
}

fn scopes_finding(client: &Client, snapshot: &Snapshot) -> Finding {
    if snapshot.refreshable {
        return Finding::ok("scopes", "there is a refresh token, so nobody has to sign in again");
    }
    let Some(offline) = client.profile.offline_scope.as_deref() else {
        let at_server = "allow refresh tokens for this client at the server, and sign in again";
        return match snapshot.token.is_some() {
            true => Finding::warning(
                "scopes",
                "the server gave no refresh token: each token needs a new sign-in",
                at_server,
            ),
            false => Finding::ok("scopes", "this provider gives refresh tokens without a scope for them"),
        };
    };
    let asked = client.scopes.iter().any(|scope| scope == offline);
    let remedy = format!("add \"{offline}\" to scopes, reload, and sign in again");
    match (snapshot.token.is_some(), asked) {
        (true, true) => Finding::warning(
            "scopes",
            format!("the server gave no refresh token, although \"{offline}\" is asked for"),
            "allow refresh tokens for this client at the server, and sign in again",
        ),
        (true, false) => {
            Finding::warning("scopes", "there is no refresh token: each token needs a new sign-in", remedy)
        }
        (false, true) => Finding::ok("scopes", format!("\"{offline}\" is asked for, which brings a refresh token")),
        (false, false) => {
            Finding::warning("scopes", format!("without \"{offline}\" there may be no refresh token"), remedy)
        }
    }
}

const MEND_TLS: &str = "check the clock; for a private certificate authority set ca_file; a proxy that opens TLS needs its \
    certificate there too";
const TRY_A_LOGIN: &str = "try a sign-in: bearerd login";
const CONNECT: Duration = Duration::from_secs(5);
/// Beyond this, certificates and identity tokens begin to be refused.
const TOLERANCE: Duration = Duration::from_secs(300);
