//! Authorization server metadata (RFC 8414; OpenID Connect Discovery 1.0).

use url::Url;

use super::{
    client::{Client, Endpoints},
    exchange::{Endpoint, Response},
    members::Members,
};

/// Where the metadata of `issuer` may be, in the order in which to ask: OpenID Connect appends to the issuer's path,
/// RFC 8414 §3 inserts before it.
pub fn well_known(issuer: &Endpoint) -> Vec<Endpoint> {
    let path = issuer.url().path().trim_end_matches('/');
    let mut places = vec![
        format!("{path}/.well-known/openid-configuration"),
        format!("/.well-known/oauth-authorization-server{path}"),
    ];
    places.dedup();
    let at = |path: String| {
        let mut url: Url = issuer.url().clone();
        url.set_path(&path);
        Endpoint::parse(url.as_str()).ok()
    };
    places.into_iter().filter_map(at).collect()
}

/// Why a metadata document cannot be used, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unusable(pub &'static str);

/// What a server says of itself to those who want to register a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where everything else is.
    pub endpoints: Endpoints,
    /// Where clients are registered (RFC 7591 §3), if they can be.
    pub registration: Option<Endpoint>,
    /// `token_endpoint_auth_methods_supported`; empty where it does not say.
    pub auth_methods: Vec<String>,
    /// `scopes_supported`; empty where it does not say.
    pub scopes: Vec<String>,
}

/// Reads the document that was found for the client's issuer, which has to be named in it.
pub fn read(response: &Response, client: &Client) -> Result<Endpoints, Unusable> {
    endpoints(&document(response, client)?, client)
}

/// Reads the same document for what somebody without a client has to know.
pub fn read_offer(response: &Response, client: &Client) -> Result<Offer, Unusable> {
    let members = document(response, client)?;
    let list = |name| members.list(name).into_iter().map(str::to_owned).collect();
    Ok(Offer {
        endpoints: endpoints(&members, client)?,
        registration: endpoint(members.text("registration_endpoint"))?,
        auth_methods: list("token_endpoint_auth_methods_supported"),
        scopes: list("scopes_supported"),
    })
}

fn document(response: &Response, client: &Client) -> Result<Members, Unusable> {
    if response.status != 200 {
        return Err(Unusable("there is no metadata document at the issuer's well-known address"));
    }
    let members = Members::read(&response.body).ok_or(Unusable("the metadata document is not JSON"))?;
    if !members.text("issuer").is_some_and(|named| client.is_issuer(named)) {
        return Err(Unusable(
            "the metadata document names another issuer than the configured one; they must be equal to the byte, slash \
             and all, or the one that it names be given as issuer_pin",
        ));
    }
    Ok(members)
}

fn endpoints(members: &Members, client: &Client) -> Result<Endpoints, Unusable> {
    // RFC 8705 §5: where the server asks for certificates.
    let aliases = client.auth.identity().and_then(|_| members.members("mtls_endpoint_aliases"));
    let named = |name| aliases.as_ref().and_then(|aliases| aliases.text(name)).or_else(|| members.text(name));
    Ok(Endpoints {
        device_authorization: endpoint(named("device_authorization_endpoint"))?,
        token: endpoint(named("token_endpoint"))?,
        revocation: endpoint(named("revocation_endpoint"))?,
    })
}

fn endpoint(named: Option<&str>) -> Result<Option<Endpoint>, Unusable> {
    let unusable = |_| Unusable("the metadata document names an endpoint that is not https");
    named.map(Endpoint::parse).transpose().map_err(unusable)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{oauth::client_auth::ClientAuth, secret::Secret};

    fn read_text(issuer: &str, body: &str) -> Result<Endpoints, Unusable> {
        let client = Client { issuer: Some(issuer.into()), ..Client::default() };
        read(&Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() }, &client)
    }

    #[test]
    fn both_places_are_asked_also_for_issuers_with_a_path() {
        let places = |issuer| {
            let issuer = Endpoint::parse(issuer).expect(issuer);
            well_known(&issuer).iter().map(|place| place.as_str().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(
            places("https://h.example/realms/r/"),
            [
                "https://h.example/realms/r/.well-known/openid-configuration",
                "https://h.example/.well-known/oauth-authorization-server/realms/r"
            ]
        );
        assert_eq!(
            places("https://h.example"),
            [
                "https://h.example/.well-known/openid-configuration",
                "https://h.example/.well-known/oauth-authorization-server"
            ]
        );
    }

    #[test]
    fn the_issuer_must_be_the_same_to_the_byte() {
        let body = r#"{"issuer":"https://a.example/","token_endpoint":"https://a.example/t"}"#;
        assert!(read_text("https://a.example/", body).is_ok());
        assert!(read_text("https://a.example", body).is_err());
    }

    #[test]
    fn a_client_with_a_certificate_goes_where_it_is_asked_for() {
        let body = r#"{"issuer":"https://a.example","token_endpoint":"https://a.example/t",
            "revocation_endpoint":"https://a.example/r","device_authorization_endpoint":"https://a.example/d",
            "mtls_endpoint_aliases":{"token_endpoint":"https://m.example/t","device_authorization_endpoint":"https://m.example/d"}}"#;
        let found = |auth| {
            let client = Client { issuer: Some("https://a.example".into()), auth, ..Client::default() };
            let response = Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() };
            let found = read(&response, &client).expect("endpoints");
            [found.device_authorization, found.token, found.revocation].map(|found| found.expect("one").to_string())
        };
        let with = found(ClientAuth::Certificate(Secret::new("PEM")));
        assert_eq!(with, ["https://m.example/d", "https://m.example/t", "https://a.example/r"]);
        let without = found(ClientAuth::None);
        assert_eq!(without, ["https://a.example/d", "https://a.example/t", "https://a.example/r"]);
    }

    #[test]
    fn an_endpoint_in_clear_spoils_the_document() {
        let body = r#"{"issuer":"https://a.example","token_endpoint":"http://a.example/t"}"#;
        assert!(read_text("https://a.example", body).is_err());
    }
}
