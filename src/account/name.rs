//! The name of an account.

use std::{fmt, str::FromStr, sync::Arc};

/// A name that is safe as a file name and in a path: `[a-z0-9][a-z0-9._-]{0,63}`. Everybody who knows it shares it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountName(Arc<str>);

/// The text is no account name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an account's name has 1 to 64 characters of a-z, 0-9, '.', '_' and '-', and begins with a letter or a digit")]
pub struct BadName;

impl AccountName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = text.as_bytes();
        let begins_well = bytes.first().is_some_and(|b| plain(*b));
        let goes_on_well = bytes.iter().all(|b| plain(*b) || matches!(b, b'.' | b'_' | b'-'));
        if begins_well && goes_on_well && bytes.len() <= 64 { Ok(Self(text.into())) } else { Err(BadName) }
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for AccountName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_file_names() {
        for good in ["kinde", "0", "a.b_c-d", &"a".repeat(64)] {
            assert!(good.parse::<AccountName>().is_ok(), "{good}");
        }
        for bad in ["", ".hidden", "-x", "_x", "A", "a/b", "a b", "ä", "..", &"a".repeat(65)] {
            assert_eq!(bad.parse::<AccountName>(), Err(BadName), "{bad}");
        }
    }
}
