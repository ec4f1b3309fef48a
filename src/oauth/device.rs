//! The device authorization answer (RFC 8628 §3.2).

use std::time::Duration;

use base64::{Engine, prelude::BASE64_STANDARD};
use url::Url;

use super::{
    error::{Failure, Found},
    exchange::{Response, is_protected},
    profile::Profile,
};
use crate::secret::Secret;

/// A device code, and what a person has to be shown to approve it.
#[derive(Clone)]
pub struct DeviceAuthorization {
    /// Identifies this sign-in to the server; not for people, and as good as a token once it is approved.
    pub device_code: Secret,
    /// What the person types, exactly as the server wrote it: printable ASCII without a backslash, at most 64
    /// characters.
    pub user_code: String,
    /// Where the person types it: an `https` address without anything a terminal or a console would interpret.
    pub verification_uri: String,
    /// The address with the code in it, for a QR code.
    pub verification_uri_complete: Option<String>,
    /// How long the code lives, counted from the request.
    pub expires_in: Duration,
    /// The pause between two polls.
    pub interval: Duration,
    /// The server's own picture of the QR code, a PNG as a data URL (Kinde).
    pub qr_code: Option<String>,
}

impl DeviceAuthorization {
    /// Reads the answer of the device authorization endpoint.
    pub fn read(response: &Response, profile: &Profile) -> Result<Self, Failure> {
        let members = Failure::check(response, profile)?;
        let garbled = |found| Failure::Garbled { status: response.status, found: Found::Unusable(found) };
        let device_code = members.text("device_code").ok_or(garbled("a reply without device_code"))?;
        let user_code = members.text("user_code").ok_or(garbled("a reply without user_code"))?;
        if user_code.len() > 64 || !user_code.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'\\') {
            return Err(garbled("a reply whose user_code cannot be shown safely"));
        }
        let verification_uri = members
            .text("verification_uri")
            .filter(|uri| is_showable(uri))
            .ok_or(garbled("a reply without a usable verification_uri"))?;
        let complete = members.text("verification_uri_complete");
        let interval = members.seconds("interval").filter(|pause| !pause.is_zero());
        Ok(Self {
            device_code: Secret::new(device_code),
            user_code: user_code.to_owned(),
            verification_uri: verification_uri.to_owned(),
            verification_uri_complete: complete.filter(|uri| is_showable(uri)).map(str::to_owned),
            expires_in: members.seconds("expires_in").unwrap_or(DEFAULT_EXPIRES_IN),
            interval: interval.map_or(DEFAULT_INTERVAL, |pause| pause.max(SHORTEST_INTERVAL)),
            qr_code: members.text("qr_code").filter(|picture| is_png(picture)).map(str::to_owned),
        })
    }
}

fn is_showable(uri: &str) -> bool {
    let plain =
        uri.len() <= 512 && uri.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'\\' | b'<' | b'>' | b'"'));
    plain && Url::parse(uri).is_ok_and(|url| is_protected(&url))
}

fn is_png(picture: &str) -> bool {
    let png = picture.strip_prefix("data:image/png;base64,").and_then(|data| BASE64_STANDARD.decode(data).ok());
    png.is_some_and(|bytes| bytes.starts_with(b"\x89PNG\r\n\x1a\n"))
}

/// RFC 8628 §3.2: the interval where the server gives none.
const DEFAULT_INTERVAL: Duration = Duration::from_secs(5);
/// RFC 8628 §3.2 has whole seconds; what is between none and one of them would be a hot loop.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
/// Salesforce sends no lifetime; ten minutes is what most others grant.
const DEFAULT_EXPIRES_IN: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<DeviceAuthorization, Failure> {
        let response = Response { status: 200, body: body.as_bytes().to_vec(), ..Response::default() };
        DeviceAuthorization::read(&response, &Profile::generic())
    }

    fn minimal(extra: &str) -> String {
        format!(r#"{{"device_code":"d","user_code":"CSLDFDUU","verification_uri":"https://a.example/device"{extra}}}"#)
    }

    #[test]
    fn kindes_answer_is_read_whole() {
        let png = "data:image/png;base64,iVBORw0KGgo=";
        let answer = read(&minimal(&format!(
            r#","expires_in":600,"interval":5,"qr_code":"{png}","verification_uri_complete":"https://a.example/device?user_code=CSLDFDUU""#
        )))
        .unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((answer.expires_in.as_secs(), answer.interval.as_secs()), (600, 5));
        assert_eq!(answer.qr_code.as_deref(), Some(png));
        assert!(answer.verification_uri_complete.is_some());
    }

    #[test]
    fn a_missing_or_senseless_interval_is_five_seconds() {
        for extra in ["", r#","interval":0"#, r#","interval":-1"#, r#","interval":null"#, r#","interval":"often""#] {
            assert_eq!(read(&minimal(extra)).map(|a| a.interval.as_secs()).ok(), Some(5), "{extra}");
        }
        let short = read(&minimal(r#","interval":0.001"#)).map(|a| a.interval.as_secs());
        assert_eq!(short.ok(), Some(1), "no hot loop");
        assert_eq!(read(&minimal(r#","interval":"7""#)).map(|a| a.interval.as_secs()).ok(), Some(7));
    }

    #[test]
    fn google_writes_verification_url() {
        let body = r#"{"device_code":"d","user_code":"GQVQ-JKEC","verification_url":"https://www.google.com/device","expires_in":"1800"}"#;
        assert_eq!(read(body).map(|a| a.verification_uri).ok().as_deref(), Some("https://www.google.com/device"));
    }

    #[test]
    fn what_cannot_be_shown_safely_is_refused() {
        for body in [
            r#"{"device_code":"d","user_code":"a\u001b[2J","verification_uri":"https://a.example/"}"#,
            r#"{"device_code":"d","user_code":"a\\b","verification_uri":"https://a.example/"}"#,
            r#"{"device_code":"d","user_code":"","verification_uri":"https://a.example/"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"http://a.example/"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"https://a.example/\n\\S{x}"}"#,
            r#"{"device_code":"d","user_code":"A","verification_uri":"javascript:alert(1)"}"#,
            r#"{"user_code":"A","verification_uri":"https://a.example/"}"#,
        ] {
            assert!(matches!(read(body), Err(Failure::Garbled { .. })), "{body}");
        }
    }

    #[test]
    fn a_bad_picture_or_complete_address_is_left_out() {
        let extra =
            r#","qr_code":"data:image/png;base64,PHNjcmlwdD4=","verification_uri_complete":"http://evil.example/""#;
        let answer = read(&minimal(extra)).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((answer.qr_code, answer.verification_uri_complete), (None, None));
    }
}
