//! The JSON of a token (RFC 6749 §5.1): nothing nested, so that any OAuth client can read it.
//!
//! It is written by hand because it is what this program does all day: in one piece, so that the token is never copied
//! into a larger place and wiped in the smaller one, and without looking at each byte for what would need escaping.

use memchr::memchr2;

use crate::{broker::TokenAnswer, secret::Secret};

/// The document for one answer.
pub fn token_json(answer: &TokenAnswer) -> Vec<u8> {
    let issued = &answer.token;
    let id_token = issued.id_token.as_ref().map(Secret::expose);
    let room = issued.secret.expose().len() + issued.scope.len() + id_token.map_or(0, str::len) + OTHER_MEMBERS;
    let mut json = Vec::with_capacity(room);
    token(&mut json, "{\"access_token\":", issued.secret.expose());
    text(&mut json, ",\"token_type\":", issued.token_type());
    number(&mut json, ",\"expires_in\":", answer.expires_in);
    text(&mut json, ",\"scope\":", &issued.scope);
    number(&mut json, ",\"expires_at\":", answer.expires_at);
    text(&mut json, ",\"account\":", answer.account.as_str());
    if let Some(id_token) = id_token {
        token(&mut json, ",\"id_token\":", id_token);
    }
    for (name, value) in &issued.passed {
        text(&mut json, &format!(",\"{name}\":"), value);
    }
    json.push(b'}');
    json
}

/// A token has no white space and no control characters, so two characters alone would need escaping. To look at each
/// byte would cost more than all the rest, for tokens are long.
fn token(json: &mut Vec<u8>, name: &str, value: &str) {
    write(json, name, value, memchr2(b'"', b'\\', value.as_bytes()).is_none());
}

fn text(json: &mut Vec<u8>, name: &str, value: &str) {
    let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
    write(json, name, value, value.as_bytes().iter().all(plain));
}

fn write(json: &mut Vec<u8>, name: &str, value: &str, plain: bool) {
    json.extend_from_slice(name.as_bytes());
    if plain {
        json.push(b'"');
        json.extend_from_slice(value.as_bytes());
        json.push(b'"');
    } else {
        // Writing text to memory does not fail.
        let _ = serde_json::to_writer(json, value);
    }
}

fn number(json: &mut Vec<u8>, name: &str, value: Option<u64>) {
    if let Some(value) = value {
        json.extend_from_slice(name.as_bytes());
        // Writing a number to memory does not fail.
        let _ = serde_json::to_writer(json, &value);
    }
}

/// Room for the names, the times and the account.
const OTHER_MEMBERS: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_comes_back_as_it_was() {
        for value in ["", "eyJ.a-b_c", "a\"b", "a\\b", "a\nb\u{1}", "é ✓ 𝄞", "\u{7f}"] {
            let mut json = Vec::new();
            text(&mut json, "", value);
            assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), value);
        }
        for value in ["eyJ.a-b_c", "a\"b", "a\\b"] {
            let mut json = Vec::new();
            token(&mut json, "", value);
            assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), value);
        }
    }

    #[test]
    fn a_number_that_nobody_knows_is_left_out() {
        let mut json = Vec::new();
        number(&mut json, ",\"a\":", None);
        number(&mut json, ",\"b\":", Some(u64::MAX));
        assert_eq!(json, b",\"b\":18446744073709551615");
    }
}
