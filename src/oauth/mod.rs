//! What goes over the wire between a client and an authorization server, as values: requests are written strictly,
//! replies are read leniently, and nothing here does any I/O.
//!
//! | module | holds |
//! |---|---|
//! | `built_in` | the profiles that come with the program |
//! | [`client`] | what the server knows us as, and every request we can write |
//! | [`client_auth`] | how a client proves who it is (RFC 6749 §2.3) |
//! | [`assertion`] | what a client signs to prove it (RFC 7523) |
//! | [`device`] | the device authorization answer (RFC 8628 §3.2) |
//! | [`code_page`] | whether the page for the code is the server's (RFC 8628 §5.4) |
//! | [`token`] | the token answer (RFC 6749 §5.1) |
//! | [`error`] | the error answer (RFC 6749 §5.2, RFC 8628 §3.5) and every other way an exchange fails |
//! | [`metadata`] | authorization server metadata (RFC 8414, OpenID Connect Discovery) |
//! | [`registration`] | a client that registers itself (RFC 7591) |
//! | [`dpop`] | the key that a grant is bound to, and its proofs (RFC 9449) |
//! | [`exchange`] | one HTTP request and response, stripped to what OAuth needs |
//! | [`jwt`] | the signing of JSON Web Tokens |
//! | [`members`] | the lenient reader under all of them |
//! | [`id_token`] | the claims of a JWT (OpenID Connect Core §2), unverified |
//! | [`target`], [`narrow`] | what a token is for, and the ways to tokens for more than one target (RFC 8707, RFC 8693) |
//! | [`profile`] | how one provider differs from the standard, as data |

pub mod assertion;
mod built_in;
pub mod client;
pub mod client_auth;
pub mod code_page;
pub mod device;
pub mod dpop;
pub mod error;
pub mod exchange;
pub mod id_token;
pub mod jwt;
pub mod members;
pub mod metadata;
pub mod narrow;
pub mod profile;
pub mod registration;
pub mod target;
pub mod token;
