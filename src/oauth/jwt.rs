//! Signing of JSON Web Tokens (RFC 7519) in the compact serialization (RFC 7515 §3.1).

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

/// A signed JWT. `sign` gets the signing input and returns the signature as the header's `alg` has it (RFC 7518 §3);
/// `None` where it cannot sign.
pub fn signed(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Option<Vec<u8>>) -> Option<String> {
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(header), part(claims));
    let signature = sign(input.as_bytes())?;
    Some(format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_signature_is_over_what_is_sent() {
        let mut input = Vec::new();
        let sign = |bytes: &[u8]| {
            input = bytes.to_vec();
            Some(b"signature".to_vec())
        };
        let jwt = signed(&json!({"alg": "ES256"}), &json!({"iat": 1}), sign).expect("a token");
        assert_eq!(jwt.rsplit_once('.'), Some((std::str::from_utf8(&input).expect("text"), "c2lnbmF0dXJl")));
        assert_eq!(signed(&json!({}), &json!({}), |_| None), None);
    }
}
