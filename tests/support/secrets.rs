//! What the scripted authorization server issues can be told by its looks, wherever it turns up.

/// The first secret in a text: an access token, refresh token or device code by its mark, or a JWT.
pub fn first_in(text: &str) -> Option<&str> {
    ["at-", "rt-", "dc-", "eyJ"].iter().find_map(|mark| {
        text.match_indices(mark).map(|(at, _)| &text[at..]).find_map(|rest| {
            let length = rest.bytes().skip(mark.len()).take_while(u8::is_ascii_alphanumeric).count();
            (length >= MARKED).then(|| &rest[..mark.len() + length])
        })
    })
}

/// As many characters as are random in each of them.
const MARKED: usize = 32;
