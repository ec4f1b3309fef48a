//! A real authorization server that nobody here wrote: the npm package `oidc-provider`, over HTTPS with a private CA.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::told::Told;

/// The server, with everything it has told so far.
pub struct OidcProvider {
    /// Its issuer.
    pub issuer: String,
    certificates: TempDir,
    told: Told,
}

impl OidcProvider {
    /// Starts it; `arguments` are those of `tests/servers/oidc-provider.mjs`.
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, false)
    }

    /// The same, with clients that prove who they are by the keys and certificates in [`OidcProvider::file`].
    pub fn start_for_keys(arguments: &[&str]) -> Self {
        Self::start_with(arguments, true)
    }

    fn start_with(arguments: &[&str], keys: bool) -> Self {
        let certificates = tempfile::tempdir().expect("a folder");
        let mut make = Command::new("sh");
        make.arg(servers().join("make-ca.sh")).arg(certificates.path()).args(keys.then_some("clients"));
        assert!(make.output().expect("openssl runs").status.success(), "no certificates");
        let mut server = Command::new("node");
        server.arg(servers().join("oidc-provider.mjs"));
        server.arg("--cert").arg(certificates.path().join("server.pem"));
        server.arg("--key").arg(certificates.path().join("server.key"));
        if keys {
            server.arg("--clients").arg(certificates.path());
        }
        let told = Told::by(server.args(arguments));
        let first = told.wait_for(|event| event.get("issuer").is_some());
        let issuer = first["issuer"].as_str().expect("an issuer").to_owned();
        Self { issuer, certificates, told }
    }

    /// The certificate of the private CA.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// What `tests/servers/make-ca.sh` has left under that name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.certificates.path().join(name)
    }

    /// Waits until it has told something of that kind, and forgets what it told before.
    pub fn wait_for(&self, matches: impl Fn(&Value) -> bool) -> Value {
        self.told.wait_for(matches)
    }

    /// Waits for the event of that name.
    pub fn wait_for_event(&self, name: &str) -> Value {
        self.wait_for(|event| event["event"] == name)
    }

    /// What a person with a phone does: opens the address, signs in and approves, or denies.
    pub fn decide(&self, verification_uri_complete: &str, approve: bool) {
        let mut command = Command::new("node");
        command.arg(servers().join("approve.mjs")).arg(verification_uri_complete).arg("--ca").arg(self.ca());
        if !approve {
            command.arg("--deny");
        }
        let done = command.output().expect("node runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// The status with which the protected resource answers this token.
    pub fn resource(&self, token: &str) -> u16 {
        let answer = Command::new("curl")
            .args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--cacert"])
            .arg(self.ca())
            .args(["--header", &format!("Authorization: Bearer {token}"), &format!("{}/resource", self.issuer)])
            .output()
            .expect("curl runs");
        String::from_utf8_lossy(&answer.stdout).parse().expect("a status")
    }
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}
