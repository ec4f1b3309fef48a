//! A real authorization server that nobody here wrote: the npm package `oidc-provider`, over HTTPS with a private CA.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// The server, with everything it has told so far.
pub struct OidcProvider {
    /// Its issuer.
    pub issuer: String,
    certificates: TempDir,
    child: Child,
    told: Arc<(Mutex<VecDeque<Value>>, Condvar)>,
}

impl OidcProvider {
    /// Starts it; `arguments` are those of `tests/servers/oidc-provider.mjs`.
    pub fn start(arguments: &[&str]) -> Self {
        let certificates = tempfile::tempdir().expect("a folder");
        let made = Command::new("sh").arg(servers().join("make-ca.sh")).arg(certificates.path()).output();
        assert!(made.expect("openssl runs").status.success(), "no certificates");
        let mut child = Command::new("node")
            .arg(servers().join("oidc-provider.mjs"))
            .arg("--cert")
            .arg(certificates.path().join("server.pem"))
            .arg("--key")
            .arg(certificates.path().join("server.key"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs");
        let told: Arc<(Mutex<VecDeque<Value>>, Condvar)> = Arc::default();
        let lines = BufReader::new(child.stdout.take().expect("an output"));
        let listener = told.clone();
        // It writes without buffering: somebody has to read all the time.
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                if let Ok(event) = serde_json::from_str(&line) {
                    listener.0.lock().expect("a lock").push_back(event);
                    listener.1.notify_all();
                }
            }
        });
        let mut server = Self { issuer: String::new(), certificates, child, told };
        let first = server.wait_for(|event| event.get("issuer").is_some());
        server.issuer = first["issuer"].as_str().expect("an issuer").to_owned();
        server
    }

    /// The certificate of the private CA.
    pub fn ca(&self) -> PathBuf {
        self.certificates.path().join("ca.pem")
    }

    /// Waits until it has told something of that kind, and forgets what it told before.
    pub fn wait_for(&self, matches: impl Fn(&Value) -> bool) -> Value {
        let (events, told) = &*self.told;
        let mut events = events.lock().expect("a lock");
        loop {
            while let Some(event) = events.pop_front() {
                if matches(&event) {
                    return event;
                }
            }
            let (waited, timeout) = told.wait_timeout(events, PATIENCE).expect("a lock");
            events = waited;
            assert!(!timeout.timed_out(), "the server did not tell that in time");
        }
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

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

const PATIENCE: Duration = Duration::from_secs(120);
