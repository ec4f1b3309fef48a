//! What a token is for, where that is not what the whole sign-in is for: a scope, an audience, a resource of its own.

use std::collections::BTreeSet;

use super::client::Client;

/// A target other than the account's own. Two that mean the same are equal: words are sorted, and what the account asks
/// for anyway is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    scope: Option<BTreeSet<String>>,
    audience: Option<BTreeSet<String>>,
    resource: Option<BTreeSet<String>>,
}

/// What a target is made of, as texts: words with spaces between them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish<'a> {
    /// `scope` (RFC 6749 §3.3).
    pub scope: Option<&'a str>,
    /// `audience`, a vendors' parameter.
    pub audience: Option<&'a str>,
    /// `resource` (RFC 8707): absolute URIs without a fragment.
    pub resource: Option<&'a str>,
}

/// Why a text cannot be part of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// The scope.
    #[error("a scope is one or more words of printable ASCII without quotes and backslashes")]
    Scope,
    /// The audience.
    #[error("an audience is one or more words of printable characters")]
    Audience,
    /// The resource.
    #[error("a resource is an absolute URI without a fragment, as in https://api.example.com/")]
    Resource,
}

impl BadTarget {
    /// The parameter that carried it.
    pub fn parameter(self) -> &'static str {
        match self {
            Self::Scope => "scope",
            Self::Audience => "audience",
            Self::Resource => "resource",
        }
    }
}

impl Target {
    /// Reads a wish of a client; `None` where it comes to what the client asks for anyway.
    pub fn read(wish: Wish<'_>, client: &Client) -> Result<Option<Self>, BadTarget> {
        let target = Self {
            scope: part(wish.scope, &client.scopes, is_scope, BadTarget::Scope)?,
            audience: part(wish.audience, &client.audience, is_printable, BadTarget::Audience)?,
            resource: part(wish.resource, &client.resource, is_resource, BadTarget::Resource)?,
        };
        let is_own = target.scope.is_none() && target.audience.is_none() && target.resource.is_none();
        Ok((!is_own).then_some(target))
    }

    /// The scope, if it is one of its own.
    pub fn scope(&self) -> Option<String> {
        self.scope.as_ref().map(join)
    }

    /// The audience, if it is one of its own.
    pub fn audience(&self) -> Option<Vec<String>> {
        self.audience.as_ref().map(|words| words.iter().cloned().collect())
    }

    /// The resource, if it is one of its own.
    pub fn resource(&self) -> Option<Vec<String>> {
        self.resource.as_ref().map(|words| words.iter().cloned().collect())
    }

    /// The parameter that makes it another than the account's own.
    pub fn parameter(&self) -> &'static str {
        match (&self.resource, &self.audience) {
            (Some(_), _) => "resource",
            (None, Some(_)) => "audience",
            (None, None) => "scope",
        }
    }

    /// The words of the scope that nobody may have who has `granted`; none where it has no scope of its own.
    pub fn scope_beyond(&self, granted: &[&str]) -> Option<String> {
        let words = self.scope.as_ref()?;
        let beyond: BTreeSet<_> = words.iter().filter(|word| !granted.contains(&word.as_str())).cloned().collect();
        (!beyond.is_empty()).then(|| join(&beyond))
    }

    /// Whether a token that was asked for by this has the scope that was asked for: all of it, and nothing besides but
    /// `tolerated`. A server that leaves the scope out has granted what was asked for (RFC 6749 §3.3).
    pub fn is_met_by(&self, granted: Option<&str>, tolerated: Option<&str>) -> bool {
        let (Some(wanted), Some(granted)) = (&self.scope, granted) else { return true };
        let granted: BTreeSet<String> = granted.split_whitespace().map(str::to_owned).collect();
        let surplus = granted.difference(wanted).any(|word| Some(word.as_str()) != tolerated);
        wanted.is_subset(&granted) && !surplus
    }
}

/// One part; `None` where it is missing or the account's own.
fn part(
    text: Option<&str>,
    own: &[String],
    is_word: impl Fn(&str) -> bool,
    bad: BadTarget,
) -> Result<Option<BTreeSet<String>>, BadTarget> {
    let Some(text) = text else { return Ok(None) };
    let words: BTreeSet<String> = text.split_whitespace().map(str::to_owned).collect();
    if text.len() > LONGEST || !words.iter().all(|word| is_word(word)) {
        return Err(bad);
    }
    let is_own = words.iter().eq(own.iter().collect::<BTreeSet<_>>());
    Ok((!words.is_empty() && !is_own).then_some(words))
}

fn join(words: &BTreeSet<String>) -> String {
    words.iter().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// RFC 6749 §3.3: the characters of a scope token.
fn is_scope(word: &str) -> bool {
    word.bytes().all(|b| b == b'!' || (b'#'..=b'~').contains(&b) && b != b'\\')
}

fn is_printable(word: &str) -> bool {
    !word.chars().any(char::is_control)
}

/// RFC 8707 §2.
fn is_resource(word: &str) -> bool {
    url::Url::parse(word).is_ok_and(|url| url.fragment().is_none())
}

/// Longer than any real one, and short enough to be kept.
const LONGEST: usize = 2048;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oauth::client::tests::kinde;

    fn client() -> Client {
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let (scopes, audience) = (owned(&["openid", "offline", "read"]), owned(&["https://api/"]));
        Client { scopes, audience, resource: owned(&["https://r1/", "https://r2/"]), ..kinde(Some("abc")) }
    }

    fn scope(text: &str) -> Option<Target> {
        Target::read(Wish { scope: Some(text), ..Wish::default() }, &client()).expect("a scope")
    }

    #[test]
    fn what_means_the_same_is_the_same() {
        assert_eq!(Target::read(Wish::default(), &client()), Ok(None));
        for own in ["openid offline read", " read  offline openid openid ", ""] {
            assert_eq!(scope(own), None, "{own:?} is the account's own");
        }
        assert_eq!(scope("b a"), scope("a  b a"));
        assert_ne!(scope("a"), scope("a b"));
        assert_eq!(scope("b a").and_then(|target| target.scope()).as_deref(), Some("a b"));
        let both = Wish { resource: Some("https://r2/ https://r1/"), audience: Some("https://api/"), scope: None };
        assert_eq!(Target::read(both, &client()), Ok(None));
        let one =
            Target::read(Wish { resource: Some("https://r2/"), ..Wish::default() }, &client()).expect("a resource");
        assert_eq!(one.and_then(|target| target.resource()), Some(vec!["https://r2/".to_owned()]));
    }

    #[test]
    fn what_no_request_can_carry_is_refused() {
        for text in ["a\"b", "a\\", "ä", "a\u{7}"] {
            assert_eq!(Target::read(Wish { scope: Some(text), ..Wish::default() }, &client()), Err(BadTarget::Scope));
        }
        for text in ["api", "/x", "https://r/#x"] {
            let wish = Wish { resource: Some(text), ..Wish::default() };
            assert_eq!(Target::read(wish, &client()), Err(BadTarget::Resource), "{text}");
        }
        let long = "a".repeat(LONGEST + 1);
        let wish = Wish { audience: Some(&long), ..Wish::default() };
        assert_eq!(Target::read(wish, &client()), Err(BadTarget::Audience));
    }

    #[test]
    fn the_returned_scope_is_compared_with_the_one_that_was_asked_for() {
        let target = scope("a b").expect("a target");
        for (granted, met) in [
            (None, true),
            (Some("b a"), true),
            (Some("a"), false),
            (Some("a b c"), false),
            (Some("a b offline"), true),
            (Some(""), false),
        ] {
            assert_eq!(target.is_met_by(granted, Some("offline")), met, "{granted:?}");
        }
        assert!(!target.is_met_by(Some("a b offline"), None));
        assert_eq!(target.scope_beyond(&["a", "x"]).as_deref(), Some("b"));
        assert_eq!(target.scope_beyond(&["a", "b"]), None);
    }
}
