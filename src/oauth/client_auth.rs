//! How a client proves who it is (RFC 6749 §2.3): one way, configured, never probed.

use base64::{Engine, prelude::BASE64_STANDARD};
use form_urlencoded::byte_serialize;

use super::exchange::Form;
use crate::secret::Secret;

/// The client authentication method, by its registered name.
#[derive(Clone, Default)]
pub enum ClientAuth {
    /// `none`: a public client, known by its `client_id`.
    #[default]
    None,
    /// `client_secret_basic`: in the `Authorization` header.
    Basic(Secret),
    /// `client_secret_post`: in the form.
    Post(Secret),
}

impl ClientAuth {
    /// Adds the client's identity to a request, and returns the `Authorization` header if the method has one.
    pub fn apply(&self, client_id: Option<&str>, form: &mut Form) -> Option<Secret> {
        let client_id = client_id.unwrap_or_default();
        if let Self::Basic(secret) = self {
            return Some(basic(client_id, secret));
        }
        form.set("client_id", client_id);
        if let Self::Post(secret) = self {
            form.set("client_secret", secret.expose());
        }
        None
    }
}

impl PartialEq for ClientAuth {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::None, Self::None) => true,
            (Self::Basic(one), Self::Basic(two)) | (Self::Post(one), Self::Post(two)) => one.same_as(two),
            _ => false,
        }
    }
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they are joined.
fn basic(client_id: &str, secret: &Secret) -> Secret {
    let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret.expose()));
    Secret::new(format!("Basic {}", BASE64_STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn basic_encodes_before_it_joins() {
        let mut form = Form::new(None);
        let header = ClientAuth::Basic(Secret::new("p w:+/")).apply(Some("a:b"), &mut form);
        let expected = format!("Basic {}", BASE64_STANDARD.encode("a%3Ab:p+w%3A%2B%2F"));
        assert_eq!(header.map(|h| h.expose().to_owned()), Some(expected));
        assert_eq!(form.encode().expose(), "", "one authentication method a request (RFC 6749 §2.3)");
    }

    #[test]
    fn a_public_client_without_an_id_sends_nothing() {
        let mut form = Form::new(None);
        assert!(ClientAuth::None.apply(None, &mut form).is_none());
        assert_eq!(form.encode().expose(), "");
    }
}
