//! A web page must not reach the socket, even if somebody forwards it to a TCP port (`ssh -L`).

use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN};

use super::request::values;

/// Why a request may come from a web page, or from somewhere that took us for another host; `None` when it does not.
pub fn objection(headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = values(headers, &HOST);
    let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    if hosts.next().is_some() || !is_ours(host) {
        return Some("the Host header is not localhost");
    }
    let own = |origin: &HeaderValue| origin.as_bytes().strip_prefix(b"http://") == Some(host.as_bytes());
    if !values(headers, &ORIGIN).all(own) {
        return Some("the request comes from a web page of another origin");
    }
    let here = |site: &HeaderValue| matches!(site.as_bytes(), b"same-origin" | b"none");
    if !values(headers, &SEC_FETCH_SITE).all(here) {
        return Some("the request comes from a web page of another site");
    }
    None
}

fn is_ours(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((address, port)) => (address, port.strip_prefix(':').or(port.is_empty().then_some("80"))),
            None => return false,
        },
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    match port {
        None => matches!(name, "localhost" | "bearerd"),
        Some(port) => matches!(name, "localhost" | "127.0.0.1" | "::1") && port.parse::<u16>().is_ok(),
    }
}

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(headers: &[(&'static str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header value"));
        }
        objection(&map).is_some()
    }

    #[test]
    fn only_hosts_of_this_machine_are_answered() {
        for host in ["localhost", "bearerd", "localhost:8080", "127.0.0.1:8080", "[::1]:8080"] {
            assert!(!objects(&[("host", host)]), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "localhost.evil.example",
            "localhost:",
            "localhost:99999",
            "127.0.0.1.x:80",
            "[::1",
            "bearerd:80",
        ] {
            assert!(objects(&[("host", host)]), "{host}");
        }
        assert!(objects(&[]), "no Host at all");
        assert!(objects(&[("host", "localhost"), ("host", "localhost")]), "two of them");
    }

    #[test]
    fn pages_of_others_are_refused() {
        let host = ("host", "localhost:8080");
        assert!(!objects(&[host, ("origin", "http://localhost:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(!objects(&[host, ("sec-fetch-site", "none")]));
        assert!(objects(&[host, ("origin", "https://evil.example")]));
        assert!(objects(&[host, ("origin", "null")]));
        assert!(objects(&[host, ("origin", "http://localhost:9090")]));
        assert!(objects(&[host, ("sec-fetch-site", "cross-site")]));
        assert!(objects(&[host, ("sec-fetch-site", "same-site")]));
    }
}
