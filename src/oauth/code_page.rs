//! Whether the page on which a person is to enter a code is the server's (RFC 8628 §5.4): on any other one the code may go
//! to somebody who signs their own box in with it. Nothing is refused for it, for many pages are elsewhere and right.

use url::{Host, Url};

use super::client::{Client, Server};

/// The host of the first of these addresses that is on none of the server's hosts, nor beside or below one of them, nor
/// among the pages that the profile or the configuration knows.
pub fn stranger<'a>(
    mut addresses: impl Iterator<Item = &'a String>,
    server: &Server,
    client: &Client,
) -> Option<String> {
    let issuer = client.issuer.as_deref().and_then(|issuer| Url::parse(issuer).ok());
    let own = [issuer.as_ref(), Some(server.device_authorization.url()), Some(server.token.url())];
    let is_known = |host: &str| {
        let pages = &client.profile.code_pages;
        pages.iter().any(|page| is_below(host, page)) || own.into_iter().flatten().any(|own| is_beside(host, own))
    };
    addresses.find_map(|address| {
        let host = Url::parse(address).ok()?.host_str()?.to_owned();
        (!is_known(&host)).then_some(host)
    })
}

fn is_below(host: &str, domain: &str) -> bool {
    let above = host.strip_suffix(domain);
    above.is_some_and(|above| above.is_empty() || above.ends_with('.'))
}

/// Whether the two share what somebody has registered.
fn is_beside(host: &str, own: &Url) -> bool {
    match own.host() {
        Some(Host::Domain(own)) => host == own || registrable(own).is_some_and(|domain| is_below(host, domain)),
        Some(_) => own.host_str() == Some(host),
        None => false,
    }
}

/// The last two labels, or three where the second of them is one under which a country registers names. The list of all
/// such places is longer than this program, and this is for a hint.
fn registrable(host: &str) -> Option<&str> {
    let dots: Vec<usize> = host.rmatch_indices('.').map(|(at, _)| at).collect();
    let (last, second) = (*dots.first()?, dots.get(1).copied());
    let label = &host[second.map_or(0, |at| at + 1)..last];
    let country = host.len() - last == 3;
    if country && REGISTRIES.contains(&label) {
        let third = dots.get(2).map_or(0, |at| at + 1);
        return second.map(|_| &host[third..]);
    }
    Some(&host[second.map_or(0, |at| at + 1)..])
}

const REGISTRIES: [&str; 14] =
    ["ac", "co", "com", "edu", "gob", "gouv", "gov", "gv", "ltd", "ne", "net", "nhs", "or", "org"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::{exchange::Endpoint, profile::Profile};

    fn strange(issuer: &str, page: &str, pages: &[&str]) -> Option<String> {
        let at = |path: &str| Endpoint::parse(&format!("{issuer}{path}")).expect("an endpoint");
        let server = Server { device_authorization: at("/device"), token: at("/token"), revocation: None };
        let code_pages = pages.iter().map(|page| (*page).to_owned()).collect();
        let profile = Profile { code_pages, ..Profile::default() }.into();
        let client = Client { issuer: Some(issuer.into()), profile, ..Client::default() };
        stranger([page.to_owned()].iter(), &server, &client)
    }

    #[test]
    fn the_servers_own_pages_are_no_strangers() {
        for (issuer, page) in [
            ("https://acme.kinde.com", "https://acme.kinde.com/device"),
            ("https://login.example.com", "https://example.com/device"),
            ("https://example.com", "https://device.login.example.com/"),
            ("https://login.example.com", "https://www.example.com/device"),
            ("https://login.example.co.uk", "https://www.example.co.uk/device"),
            ("http://127.0.0.1:4444", "http://127.0.0.1:3000/device"),
            ("http://[::1]:4444", "http://[::1]/device"),
            ("http://localhost:1", "http://localhost:2/device"),
        ] {
            assert_eq!(strange(issuer, page, &[]), None, "{issuer} {page}");
        }
    }

    #[test]
    fn whatever_only_looks_like_the_server_is_one() {
        for (issuer, page, host) in [
            ("https://login.example.com", "https://evil.example/device", "evil.example"),
            ("https://login.example.com", "https://login.example.com.evil.example/", "login.example.com.evil.example"),
            ("https://example.com", "https://notexample.com/", "notexample.com"),
            ("https://one.co.uk", "https://two.co.uk/", "two.co.uk"),
            ("https://one.com.au", "https://two.com.au/", "two.com.au"),
            ("https://10.0.0.1", "https://10.0.0.2/", "10.0.0.2"),
            ("https://1.2.3.4", "https://9.2.3.4/", "9.2.3.4"),
            ("http://localhost", "https://com.localhost.example/", "com.localhost.example"),
        ] {
            assert_eq!(strange(issuer, page, &[]).as_deref(), Some(host), "{issuer} {page}");
        }
    }

    #[test]
    fn pages_that_are_known_are_known_with_what_is_below_them() {
        let issuer = "https://login.microsoftonline.example";
        for (page, known) in [
            ("https://microsoft.example/devicelogin", true),
            ("https://www.microsoft.example/link", true),
            ("https://evilmicrosoft.example/link", false),
        ] {
            assert_eq!(strange(issuer, page, &["microsoft.example"]).is_none(), known, "{page}");
        }
    }

    #[test]
    fn providers_have_their_pages_where_their_profiles_say() {
        for (name, issuer, page) in [
            ("entra", "https://login.microsoftonline.com/t/v2.0", "https://microsoft.com/devicelogin"),
            ("entra", "https://login.microsoftonline.com/t/v2.0", "https://login.microsoft.com/device"),
            ("google", "https://accounts.google.com", "https://www.google.com/device"),
            ("github", "https://github.com", "https://github.com/login/device"),
            ("twitch", "https://id.twitch.tv", "https://www.twitch.tv/activate"),
            ("salesforce", "https://acme.my.salesforce.com", "https://acme.my.salesforce.com/setup/connect"),
        ] {
            let pages = Profile::built_in(name).expect(name).code_pages;
            let pages: Vec<_> = pages.iter().map(String::as_str).collect();
            assert_eq!(strange(issuer, page, &pages), None, "{name}");
        }
    }

    #[test]
    fn the_address_with_the_code_in_it_counts_too() {
        let at = |path: &str| Endpoint::parse(&format!("https://as.example{path}")).expect("an endpoint");
        let server = Server { device_authorization: at("/device"), token: at("/token"), revocation: None };
        let addresses = ["https://as.example/".to_owned(), "https://evil.example/?code=A".to_owned()];
        let client = Client { issuer: None, ..Client::default() };
        assert_eq!(stranger(addresses.iter(), &server, &client).as_deref(), Some("evil.example"));
        assert_eq!(stranger(addresses[..1].iter(), &server, &client), None);
    }
}
