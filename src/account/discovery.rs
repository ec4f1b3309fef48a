//! The search for the server's metadata (RFC 8414; OpenID Connect Discovery) at the places where it may be.

use crate::oauth::{
    client::{Client, Server},
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
        Some(Request { endpoint, form: None, authorization: None, proof: None })
    }

    /// Takes the answer.
    pub fn look(self, reply: Result<Response, Failure>, client: &Client) -> Discovered {
        let response = match reply {
            Ok(response) => response,
            Err(failure) => return Discovered::Outage(failure),
        };
        let why = match metadata::read(&response, client.issuer.as_deref().unwrap_or_default()) {
            Ok(found) => match client.endpoints.clone().or(found).complete() {
                Some(server) => return Discovered::Server(Box::new(server)),
                None => return Discovered::Unusable(NO_DEVICE_GRANT),
            },
            Err(metadata::Unusable(why)) => why,
        };
        // A 404 is an answer.
        let failure = Failure::check(&response, &client.profile.error_aliases).err();
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
