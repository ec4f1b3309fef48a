//! Whether an account has all that it needs: asked by `bearerd doctor`, looked at from where the daemon stands, with its
//! certificates, its network and its files. Nothing secret is in an answer.

mod findings;

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};
use url::Url;

pub use self::findings::{Finding, Verdict};
use self::findings::{clock_finding, endpoints_finding, page_finding, scopes_finding, state_finding};
use super::{Broker, Entry, Error, driver::Command};
use crate::{
    account::{AccountName, Snapshot, State},
    config::Action,
    oauth::{
        client::{Client, Endpoints, Server},
        error::{ErrorCode, Failure},
        exchange::{Endpoint, Request},
        metadata,
    },
    platform::{peer::Caller, provider::Provider, store::Protection},
    secret::Secret,
    time::UnixTime,
};

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
        findings.extend(state_finding(&name, &snapshot));
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

const MEND_TLS: &str = "check the clock; for a private certificate authority set ca_file; a proxy that opens TLS needs its \
    certificate there too";
const TRY_A_LOGIN: &str = "try a sign-in: bearerd login";
const CONNECT: Duration = Duration::from_secs(5);
