//! The JSON of a token (RFC 6749 §5.1): nothing nested, so that any OAuth client can read it.
//!
//! It is written by hand because it is what this program does all day: in one piece, so that the token is never copied
//! into a larger place and wiped in the smaller one, and without looking at each byte for what would need escaping.

use std::borrow::Cow;

use memchr::memchr2;

use crate::broker::TokenAnswer;

/// The document for one answer.
pub fn token_json(answer: &TokenAnswer) -> String {
    let issued = &answer.token;
    let id_token = issued.id_token.as_ref().map_or(["", "", ""].map(Cow::from), |id_token| {
        [",\"id_token\":\"".into(), token(id_token.expose()), "\"".into()]
    });
    let (mut left, mut end) = (itoa::Buffer::new(), itoa::Buffer::new());
    let expires_in = answer.expires_in.map_or(["", ""], |seconds| [",\"expires_in\":", left.format(seconds)]);
    let expires_at = answer.expires_at.map_or(["", ""], |seconds| [",\"expires_at\":", end.format(seconds)]);
    let mut passed = String::new();
    for (name, value) in &issued.passed {
        passed.extend([",\"", name, "\":\"", &text(value), "\""]);
    }
    [
        "{\"access_token\":\"",
        &token(issued.secret.expose()),
        "\",\"token_type\":\"",
        issued.token_type(),
        "\"",
        expires_in[0],
        expires_in[1],
        ",\"scope\":\"",
        &text(&issued.scope),
        "\"",
        expires_at[0],
        expires_at[1],
        ",\"account\":\"",
        // Of letters, digits and a few signs, as names are.
        answer.account.as_str(),
        "\"",
        &id_token[0],
        &id_token[1],
        &id_token[2],
        &passed,
        "}",
    ]
    .concat()
}

/// A token within quotes. It has no white space and no control characters, so two characters alone would need escaping. To
/// look at each byte would cost more than all the rest, for tokens are long.
fn token(value: &str) -> Cow<'_, str> {
    if memchr2(b'"', b'\\', value.as_bytes()).is_none() { value.into() } else { escaped(value) }
}

/// Any text within quotes.
fn text(value: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) { value.into() } else { escaped(value) }
}

fn escaped(value: &str) -> Cow<'_, str> {
    // Text is written to memory, which does not fail, and comes with its quotes.
    let quoted = serde_json::to_string(value).unwrap_or_default();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned().into()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{account::Token, secret::Secret};

    #[test]
    fn every_text_comes_back_as_it_was() {
        for value in ["", "eyJ.a-b_c", "a\"b", "a\\b", "a\nb\u{1}", "é ✓ 𝄞", "\u{7f}"] {
            let json = format!("\"{}\"", text(value));
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), value);
        }
        for value in ["eyJ.a-b_c", "a\"b", "a\\b"] {
            let json = format!("\"{}\"", token(value));
            assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), value);
        }
    }

    #[test]
    fn what_nobody_knows_is_left_out_and_all_the_rest_is_said() {
        let token = |id_token: Option<&str>, passed: &[(&str, &str)]| Token {
            secret: Secret::new("at\"-0"),
            fingerprint: Secret::new("at\"-0").fingerprint(),
            expires: None,
            lifetime: None,
            scope: "a\\b c".to_owned(),
            id_token: id_token.map(Secret::new),
            passed: passed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            key: None,
            unbound: false,
        };
        let document = |token: Token, expires_in, expires_at| {
            let account = "box".parse().expect("a name");
            let answer = TokenAnswer { account, token: token.into(), expires_in, expires_at, limited: false };
            serde_json::from_str::<Value>(&token_json(&answer)).expect("JSON")
        };
        let least = json!({ "access_token": "at\"-0", "token_type": "Bearer", "scope": "a\\b c", "account": "box" });
        assert_eq!(document(token(None, &[]), None, None), least);
        let mut most = least;
        (most["expires_in"], most["expires_at"]) = (0.into(), u64::MAX.into());
        (most["id_token"], most["tenant"]) = ("eyJ".into(), "a\"b".into());
        assert_eq!(document(token(Some("eyJ"), &[("tenant", "a\"b")]), Some(0), Some(u64::MAX)), most);
    }
}
