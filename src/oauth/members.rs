//! The lenient reader: the members of a reply, whether it came as JSON or as a form, in whatever type the server chose.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Map, Value};

use super::error::harmless;

/// The members of a reply by name. Unknown ones are kept and ignored (RFC 6749 §5.1).
pub struct Members(Map<String, Value>);

impl Members {
    /// Reads a JSON object, or a form (GitHub answers so unless told otherwise). `None` for anything else.
    pub fn read(body: &[u8]) -> Option<Self> {
        if let Ok(Value::Object(members)) = serde_json::from_slice(body) {
            return Some(Self(members));
        }
        let text = std::str::from_utf8(body).ok()?.trim();
        let form_like = |c: char| c.is_ascii_graphic() && !matches!(c, '<' | '>' | '{' | '}' | '"');
        if !text.contains('=') || !text.chars().all(form_like) {
            return None;
        }
        let pairs = form_urlencoded::parse(text.as_bytes());
        Some(Self(pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()))
    }

    /// These, with the standard's name for what the server calls otherwise; a name that is there already stays.
    #[must_use]
    pub fn renamed(mut self, aliases: &BTreeMap<String, String>) -> Self {
        for (theirs, standard) in aliases {
            if !self.0.contains_key(standard)
                && let Some(value) = self.0.remove(theirs)
            {
                self.0.insert(standard.clone(), value);
            }
        }
        self
    }

    /// A text that says something: missing, null, empty and other types are all `None`.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str().filter(|text| !text.is_empty())
    }

    /// The members of a member that is an object itself.
    pub fn members(&self, name: &str) -> Option<Self> {
        self.0.get(name)?.as_object().cloned().map(Self)
    }

    /// A number of seconds, from a number, a float or a string; negative ones count as zero, and nothing is longer
    /// than ten years, so that no sum overflows.
    pub fn seconds(&self, name: &str) -> Option<Duration> {
        let seconds = match self.0.get(name)? {
            Value::Number(number) => number.as_f64()?,
            Value::String(text) => text.trim().parse().ok()?,
            _ => return None,
        };
        if seconds.is_nan() {
            return None;
        }
        Some(Duration::from_secs_f64(seconds.clamp(0.0, TEN_YEARS.as_secs_f64())))
    }

    /// A moment in Unix seconds, as the claims of a JWT have it.
    pub fn moment(&self, name: &str) -> Option<u64> {
        let number = self.0.get(name)?;
        number.as_u64().or_else(|| Some(Duration::try_from_secs_f64(number.as_f64()?).ok()?.as_secs()))
    }

    /// A list of words, one of which may hold spaces in an array but not in a string.
    pub fn list(&self, name: &str) -> Vec<&str> {
        match self.0.get(name) {
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// A list of words, from an array of strings or from a string with spaces, or with another separator too; nothing in
    /// it is `None`. What no scope may contain (RFC 6749 §3.3) becomes a question mark: it would reach screens, and left
    /// out it could make two words equal that are not.
    pub fn words(&self, name: &str, separator: Option<char>) -> Option<String> {
        let between = |c: char| c.is_whitespace() || Some(c) == separator;
        let texts = match self.0.get(name)? {
            Value::String(text) => vec![text.as_str()],
            Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
            _ => return None,
        };
        let words = texts.into_iter().flat_map(|text| text.split(between)).filter(|word| !word.is_empty());
        let words = words.collect::<Vec<_>>().join(" ");
        (!words.is_empty()).then(|| harmless(&words, usize::MAX))
    }
}

/// Nothing lasts longer, so that no sum overflows.
pub(super) const TEN_YEARS: Duration = Duration::from_secs(10 * 366 * 86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn members(text: &str) -> Members {
        Members::read(text.as_bytes()).expect(text)
    }

    #[test]
    fn seconds_come_in_many_types() {
        for (value, seconds) in [
            ("3600", Some(3600.0)),
            ("\"3600\"", Some(3600.0)),
            ("\" 3600 \"", Some(3600.0)),
            ("3599.5", Some(3599.5)),
            ("-1", Some(0.0)),
            ("1e300", Some(TEN_YEARS.as_secs_f64())),
            ("\"inf\"", Some(TEN_YEARS.as_secs_f64())),
            ("\"NaN\"", None),
            ("null", None),
            ("\"soon\"", None),
            ("[3600]", None),
        ] {
            let read = members(&format!("{{\"expires_in\":{value}}}")).seconds("expires_in");
            assert_eq!(read.map(|d| d.as_secs_f64()), seconds, "{value}");
        }
    }

    #[test]
    fn scopes_come_as_text_and_as_array() {
        assert_eq!(members(r#"{"scope":"a  b"}"#).words("scope", None).as_deref(), Some("a b"));
        assert_eq!(members(r#"{"scope":["a","b"]}"#).words("scope", None).as_deref(), Some("a b"));
        assert_eq!(members(r#"{"scope":["a",""," b c "]}"#).words("scope", None).as_deref(), Some("a b c"));
        assert_eq!(members(r#"{"scope":""}"#).words("scope", None), None);
        assert_eq!(members(r#"{"scope":null}"#).words("scope", None), None);
        let hostile = members(r#"{"scope":"a\u0000 \u202eb\u001b[2J c"}"#).words("scope", None);
        assert_eq!(hostile.as_deref(), Some("a? ?b?[2J c"));
    }

    #[test]
    fn forms_are_read_and_pages_are_not() {
        let form = members("access_token=gho_16C7&token_type=bearer&scope=repo%2Cgist");
        assert_eq!(form.text("access_token"), Some("gho_16C7"));
        assert_eq!(form.words("scope", Some(',')).as_deref(), Some("repo gist"));
        for other in
            ["<html><a href=\"x?y=z\">log in</a></html>", "Bad Gateway", "", "[1]", "\"a=b\"", "null", "{\"a\":"]
        {
            assert!(Members::read(other.as_bytes()).is_none(), "{other}");
        }
    }

    #[test]
    fn deep_nesting_is_refused_without_a_stack_overflow() {
        assert!(Members::read("[".repeat(60_000).as_bytes()).is_none());
        assert!(Members::read("{\"a\":".repeat(12_000).as_bytes()).is_none());
    }
}
