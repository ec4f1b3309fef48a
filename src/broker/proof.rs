//! The proof verb: a token that is bound to a key is worth something only with a proof of that key (RFC 9449 §7.1), and
//! the key never leaves the daemon. So a caller that may have the token has its proofs made here, one for each request.

use url::Url;

use super::{Broker, Error, TokenRequest};
use crate::{
    account::AccountName,
    oauth::dpop::{Statement, token_hash},
    platform::{peer::Caller, proof},
};

/// What is to be proven, as both doors read it.
#[derive(Debug, Clone)]
pub struct ProofRequest {
    method: String,
    uri: Url,
    nonce: Option<String>,
    token_hash: Option<String>,
    token: TokenRequest,
}

/// A proof for a caller.
pub struct ProofAnswer {
    /// The account whose key it proves.
    pub account: AccountName,
    /// The value of the `DPoP` header.
    pub proof: String,
    /// `ath`: the SHA-256, in base64url, of the access token that it goes with.
    pub token_hash: String,
}

impl ProofRequest {
    /// A proof for a request to `htu` with the method `htm`, carrying `nonce` where the API has given one out, for the
    /// access token of this hash (`ath`), or the one that `token` would bring now.
    pub fn new(
        htm: &str,
        htu: &str,
        nonce: Option<String>,
        ath: Option<String>,
        token: TokenRequest,
    ) -> Result<Self, Error> {
        let invalid = |parameter: &str, why: &str| {
            Err(Error::InvalidOption { parameter: parameter.to_owned(), why: why.to_owned() })
        };
        // The characters of a token (RFC 9110 §5.6.2), which a method is.
        let is_word = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        if htm.is_empty() || htm.len() > LONGEST_METHOD || !htm.bytes().all(is_word) {
            return invalid("htm", "write the method of the request, as in GET");
        }
        let uri = match Url::parse(htu) {
            Ok(uri) if uri.has_host() && matches!(uri.scheme(), "https" | "http") => uri,
            _ => {
                return invalid(
                    "htu",
                    "write the address of the request in full, as in https://api.example.com/readings",
                );
            }
        };
        if nonce.as_ref().is_some_and(|nonce| {
            nonce.is_empty() || nonce.len() > LONGEST_NONCE || !nonce.bytes().all(|c| c.is_ascii_graphic())
        }) {
            return invalid("nonce", "give the value of the API's DPoP-Nonce header as it is");
        }
        let is_base64url = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
        if ath.as_ref().is_some_and(|ath| ath.len() != HASH_LENGTH || !ath.bytes().all(is_base64url)) {
            return invalid("ath", "write the SHA-256 of the access token in base64url, 43 characters");
        }
        Ok(Self { method: htm.to_owned(), uri, nonce, token_hash: ath, token })
    }
}

impl Broker {
    /// A proof for a request with an access token of that account, or of the only one, or of `default`. It is for the
    /// same callers as the token.
    pub async fn prove(
        &self,
        caller: &Caller,
        name: Option<&str>,
        request: ProofRequest,
    ) -> Result<ProofAnswer, Error> {
        let answer = self.token(caller, name, &request.token).await?;
        let account = answer.account;
        let Some(key) = &answer.token.key else {
            let why = format!(
                "the token of {account} is a bearer token, which needs no proof; with dpop = true the server is asked for \
                 one that does at the next sign-in"
            );
            return Err(Error::InvalidOption { parameter: "dpop".to_owned(), why });
        };
        let own_hash = token_hash(&answer.token.secret);
        let token_hash = request.token_hash.unwrap_or_else(|| own_hash.clone());
        // All tokens of a grant are bound to one key: who may have little must not make a greater one usable.
        if answer.limited && token_hash != own_hash {
            let why =
                "this is not the token that this caller may have now; get it again, and ask for its proof".to_owned();
            return Err(Error::InvalidOption { parameter: "ath".to_owned(), why });
        }
        let statement = Statement {
            method: &request.method,
            uri: &request.uri,
            nonce: request.nonce.as_deref(),
            token_hash: Some(&token_hash),
        };
        match proof::make(key, &statement) {
            Some(proof) => Ok(ProofAnswer { account, proof, token_hash }),
            None => Err(Error::Storage { account, cause: "the system gives no random numbers".to_owned() }),
        }
    }
}

const LONGEST_METHOD: usize = 32;
const LONGEST_NONCE: usize = 1024;
/// 32 bytes in base64url without padding.
const HASH_LENGTH: usize = 43;

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(htm: &str, htu: &str, nonce: Option<&str>, ath: Option<&str>) -> String {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        match ProofRequest::new(htm, htu, owned(nonce), owned(ath), TokenRequest::default()) {
            Err(Error::InvalidOption { parameter, .. }) => parameter,
            Err(error) => panic!("{error}"),
            Ok(_) => "nothing".to_owned(),
        }
    }

    #[test]
    fn what_cannot_be_in_a_proof_is_refused_by_name() {
        let (uri, hash) = ("https://api.example/x?y=1", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo");
        assert_eq!(wrong("GET", uri, None, None), "nothing");
        assert_eq!(wrong("M-SEARCH", uri, Some("eyJ7S_zG.eyJH0-Z.HX4w-7v"), Some(hash)), "nothing");
        for method in ["", "GET ", "G\"T", &"A".repeat(33)] {
            assert_eq!(wrong(method, uri, None, None), "htm", "{method}");
        }
        for address in ["", "/x", "api.example/x", "file:///etc/passwd", "data:text/plain,x"] {
            assert_eq!(wrong("GET", address, None, None), "htu", "{address}");
        }
        for nonce in ["a b", "a\nb", &"n".repeat(1025)] {
            assert_eq!(wrong("GET", uri, Some(nonce), None), "nonce", "{nonce}");
        }
        for ath in ["", "abc", &hash.replace('f', "="), &"a".repeat(44)] {
            assert_eq!(wrong("GET", uri, None, Some(ath)), "ath", "{ath}");
        }
    }
}
