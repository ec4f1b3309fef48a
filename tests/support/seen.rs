//! What the tests have seen of real servers, for the table in docs/providers.md.

use std::{env, fs::File, io::Write};

/// Notes that the server has shown this feature just now: one line at the end of the file that `BEARERD_SEEN` names.
/// Whoever calls it has asserted what it says.
pub fn seen(server: &str, feature: &str, result: &str) {
    assert!(SERVERS.contains(&server) && FEATURES.contains(&feature), "no place in the table for {server}, {feature}");
    let Some(path) = env::var_os("BEARERD_SEEN") else { return };
    let mut file = File::options().create(true).append(true).open(path).expect("a file");
    // In one piece: tests run side by side.
    file.write_all(format!("{server}\t{feature}\t{result}\n").as_bytes()).expect("a line");
}

/// The columns of the table.
pub const SERVERS: [&str; 2] = ["oidc-provider", "glewlwyd"];

/// The rows of the table.
pub const FEATURES: [&str; 18] = [
    "discovery",
    "sign-in",
    "the token opens a resource",
    "three refreshes with rotation",
    "restart without a new sign-in",
    "revocation",
    "denial",
    "public client",
    "client_secret_basic",
    "client_secret_post",
    "client_secret_jwt",
    "private_key_jwt",
    "tls_client_auth",
    "self_signed_tls_client_auth",
    "DPoP with forced nonces",
    "resource indicators",
    "narrower scope",
    "client registration",
];
