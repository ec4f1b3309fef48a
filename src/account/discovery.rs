//! The search for the server's metadata (RFC 8414; OpenID Connect Discovery) at the places where it may be.

use serde::{Deserialize, Serialize};

use crate::oauth::{
    client::{Client, Endpoints, Server},
    error::Failure,
    exchange::{Endpoint, Request, Response},
    metadata,
};

/// A search, before the answer from one of the places.
#[derive(Default)]
pub(super) struct Search {
    place: usize,
    /// What an earlier place had instead of an answer.
    outage: Option<Failure>,
}

/// A server as its metadata described it last, as it is written down.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoredServer {
    issuer: Option<String>,
    device_authorization_endpoint: String,
    token_endpoint: String,
    revocation_endpoint: Option<String>,
}

impl StoredServer {
    pub(super) fn new(server: &Server, client: &Client) -> Self {
        Self {
            issuer: client.issuer.clone(),
            device_authorization_endpoint: server.device_authorization.as_str().to_owned(),
            token_endpoint: server.token.as_str().to_owned(),
            revocation_endpoint: server.revocation.as_ref().map(|endpoint| endpoint.as_str().to_owned()),
        }
    }

    /// The server, if it is still the one that is configured. What is given by hand comes before what it said.
    pub(super) fn restore(&self, client: &Client) -> Option<Server> {
        let endpoint = |text: &str| Endpoint::parse(text).ok();
        let found = Endpoints {
            device_authorization: endpoint(&self.device_authorization_endpoint),
            token: endpoint(&self.token_endpoint),
            revocation: self.revocation_endpoint.as_deref().and_then(endpoint),
        };
        client.endpoints.clone().or(found).complete().filter(|_| self.issuer == client.issuer)
    }
}

/// What a place had.
pub(super) enum Discovered {
    /// All that a login needs.
    Server(Box<Server>),
    /// Nothing; the search goes on.
    NotThere(Search),
    /// No answer, for now: an outage or a captive portal is nobody's misconfiguration.
    Outage(Failure),
    /// An answer, the last one, that is of no use until the operator acts.
    Unusable(&'static str),
}

impl Search {
    /// The request for the document.
    pub fn request(&self, client: &Client) -> Option<Request> {
        let endpoint = places(client).into_iter().nth(self.place)?;
        Some(Request::get(endpoint))
    }

    /// Takes the answer.
    pub fn look(self, reply: Result<Response, Failure>, client: &Client) -> Discovered {
        let response = match reply {
            Ok(response) => response,
            Err(failure) => return Discovered::Outage(failure),
        };
        let why = match metadata::read(&response, client) {
            Ok(found) => match client.endpoints.clone().or(found).complete() {
                Some(server) => return Discovered::Server(Box::new(server)),
                None => return Discovered::Unusable(NO_DEVICE_GRANT),
            },
            Err(metadata::Unusable(why)) => why,
        };
        // A 404 is an answer.
        let failure = Failure::check(&response, &client.profile).err();
        let outage = failure.filter(|_| response.status != 404).or(self.outage);
        if self.place + 1 < places(client).len() {
            return Discovered::NotThere(Self { place: self.place + 1, outage });
        }
        outage.map_or(Discovered::Unusable(why), Discovered::Outage)
    }
}

/// Where the metadata of the issuer may be; nowhere without one.
fn places(client: &Client) -> Vec<Endpoint> {
    let issuer = client.issuer.as_deref().and_then(|issuer| Endpoint::parse(issuer).ok());
    issuer.map_or_else(Vec::new, |issuer| metadata::well_known(&issuer))
}

const NO_DEVICE_GRANT: &str = "the server's metadata names no device authorization endpoint; it may not offer the device grant, or \
     device_authorization_endpoint has to be configured";
