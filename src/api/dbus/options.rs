//! The options of a method, `a{sv}`: a key that means nothing here, or a value of another type, is an error, because a
//! misspelt `min_validity` must not pass in silence.

use std::{collections::BTreeMap, time::Duration};

use zbus::{OwnedVariant, Variant};

use crate::{
    broker::{Error, ProofRequest, TokenRequest},
    secret::Fingerprint,
};

/// Reads the options of `GetToken`.
pub fn token_request(options: &BTreeMap<String, OwnedVariant>) -> Result<TokenRequest, Error> {
    let mut request = TokenRequest::default();
    for (key, value) in options {
        match key.as_str() {
            "min_validity" => request.min_validity = Some(seconds(key, value)?),
            "wait" => request.wait = Some(wait(key, value)?),
            "scope" => request.scope = Some(text(key, value)?),
            "audience" => request.audience = Some(text(key, value)?),
            "resource" => request.resource = Some(text(key, value)?),
            "rejected" => request.rejected = Some(fingerprint(key, value)?),
            _ => {
                let known = "GetToken knows min_validity, scope, audience, resource, wait and rejected";
                return Err(invalid(key, format!("there is no such option; {known}")));
            }
        }
    }
    Ok(request)
}

/// Reads the arguments and options of `SignProof`.
pub fn proof_request(htm: &str, htu: &str, options: &BTreeMap<String, OwnedVariant>) -> Result<ProofRequest, Error> {
    let (mut nonce, mut ath, mut token) = (None, None, TokenRequest::default());
    for (key, value) in options {
        match key.as_str() {
            "nonce" => nonce = Some(text(key, value)?),
            "ath" => ath = Some(text(key, value)?),
            "wait" => token.wait = Some(wait(key, value)?),
            "scope" => token.scope = Some(text(key, value)?),
            "audience" => token.audience = Some(text(key, value)?),
            "resource" => token.resource = Some(text(key, value)?),
            _ => {
                let known = "SignProof knows nonce, ath, scope, audience, resource and wait";
                return Err(invalid(key, format!("there is no such option; {known}")));
            }
        }
    }
    ProofRequest::new(htm, htu, nonce, ath, token)
}

/// Reads the options of `Login`: whether whoever signs in takes over from who did before.
pub fn replace(options: &BTreeMap<String, OwnedVariant>) -> Result<bool, Error> {
    let mut replace = false;
    for (key, value) in options {
        replace = match (key.as_str(), &**value) {
            ("replace", Variant::Bool(replace)) => *replace,
            ("replace", _) => return Err(invalid(key, "true or false is needed, of the D-Bus type b")),
            _ => return Err(invalid(key, "there is no such option; Login knows replace")),
        };
    }
    Ok(replace)
}

/// Reads the options of a method that has none yet.
pub fn none(options: &BTreeMap<String, OwnedVariant>) -> Result<(), Error> {
    match options.keys().next() {
        Some(key) => Err(invalid(key, "this method has no options yet")),
        None => Ok(()),
    }
}

fn seconds(key: &str, value: &OwnedVariant) -> Result<Duration, Error> {
    match **value {
        Variant::U32(seconds) => Ok(Duration::from_secs(seconds.into())),
        _ => Err(invalid(key, "a number of seconds is needed, of the D-Bus type u")),
    }
}

fn wait(key: &str, value: &OwnedVariant) -> Result<Duration, Error> {
    let wait = seconds(key, value)?;
    if wait <= LONGEST_WAIT {
        Ok(wait)
    } else {
        let longest = LONGEST_WAIT.as_secs();
        Err(invalid(key, format!("at most {longest} s, as D-Bus callers give up after 25 s; HTTP waits longer")))
    }
}

fn text(key: &str, value: &OwnedVariant) -> Result<String, Error> {
    match &**value {
        Variant::Str(text) => Ok(text.to_string()),
        _ => Err(invalid(key, "a text is needed, of the D-Bus type s")),
    }
}

fn fingerprint(key: &str, value: &OwnedVariant) -> Result<Fingerprint, Error> {
    let wanted = "the SHA-256 of the refused token is needed, in 64 hexadecimal digits";
    Fingerprint::from_hex(&text(key, value)?).ok_or_else(|| invalid(key, wanted))
}

fn invalid(key: &str, why: impl Into<String>) -> Error {
    Error::InvalidOption { parameter: key.to_owned(), why: why.into() }
}

const LONGEST_WAIT: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests {
    use super::*;

    fn options<const N: usize>(pairs: [(&str, Variant<'static>); N]) -> BTreeMap<String, OwnedVariant> {
        let owned = |(key, value): (&str, Variant<'static>)| Some((key.to_owned(), value.try_into_owned().ok()?));
        pairs.into_iter().filter_map(owned).collect()
    }

    fn refused(key: &str, value: impl Into<Variant<'static>>) -> String {
        match token_request(&options([(key, value.into())])) {
            Err(Error::InvalidOption { parameter, .. }) => parameter,
            Err(error) => panic!("{key}: {error}"),
            Ok(_) => panic!("{key} was taken"),
        }
    }

    #[test]
    fn every_option_is_read() {
        let token = crate::secret::Secret::new("abc").fingerprint();
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let request = token_request(&options([
            ("min_validity", 90u32.into()),
            ("wait", 20u32.into()),
            ("scope", "a b".into()),
            ("audience", "c".into()),
            ("resource", "d".into()),
            ("rejected", hex.into()),
        ]))
        .expect("a request");
        assert_eq!((request.min_validity, request.wait), (Some(Duration::from_secs(90)), Some(LONGEST_WAIT)));
        assert_eq!(request.scope.as_deref(), Some("a b"));
        assert_eq!((request.audience.as_deref(), request.resource.as_deref()), (Some("c"), Some("d")));
        assert_eq!(request.rejected, Some(token));
        assert_eq!(token_request(&BTreeMap::new()).expect("a request").wait, None, "nobody is waited for unasked");
    }

    #[test]
    fn unknown_keys_and_other_types_are_refused_by_name() {
        assert_eq!(refused("min_validty", 5u32), "min_validty");
        assert_eq!(refused("min_validity", 5i32), "min_validity");
        assert_eq!(refused("min_validity", 5u64), "min_validity");
        assert_eq!(refused("min_validity", "5"), "min_validity");
        assert_eq!(refused("wait", 21u32), "wait");
        assert_eq!(refused("scope", 1u32), "scope");
        assert_eq!(refused("rejected", "abc"), "rejected");
        assert!(none(&options([("scope", "a".into())])).is_err());
        assert!(none(&BTreeMap::new()).is_ok());
    }

    #[test]
    fn a_login_may_be_asked_to_replace() {
        assert_eq!(replace(&BTreeMap::new()).ok(), Some(false));
        assert_eq!(replace(&options([("replace", true.into())])).ok(), Some(true));
        assert!(replace(&options([("replace", 1u32.into())])).is_err());
        assert!(replace(&options([("repalce", true.into())])).is_err());
    }
}
