//! Another program of this kind, for orientation: `oidc-agent` as Debian has it, signed in at a real server.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{rig, support::oidc_provider::OidcProvider};

/// The agent with one account, and the server that it got its tokens from.
pub struct OidcAgent {
    /// What its clients find it by.
    socket: String,
    pid: u32,
    home: TempDir,
    _server: OidcProvider,
}

impl OidcAgent {
    /// Starts it and signs it in; `None` where it is not installed.
    pub fn start() -> Option<Self> {
        Command::new("oidc-agent").arg("--version").output().ok()?;
        let (home, server) = (rig::folder(), OidcProvider::start(&["--registration"]));
        let started = Command::new("oidc-agent").env("HOME", home.path()).output().expect("the agent starts");
        let text = String::from_utf8(started.stdout).expect("what to export");
        let told = |name: &str| {
            let value = text.split([';', '\n']).find_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_else(|| panic!("no {name} in {text}")).to_owned()
        };
        let pid = told("OIDCD_PID").parse().expect("a process");
        let agent = Self { socket: told("OIDC_SOCK"), pid, home, _server: server };
        agent.sign_in(&agent._server);
        Some(agent)
    }

    /// Its processes: it talks to the network in another one than to its clients.
    pub fn pids(&self) -> Vec<u32> {
        let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", self.pid)).unwrap_or_default();
        std::iter::once(self.pid).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// The program that prints a token.
    pub fn token(&self) -> Command {
        let mut token = self.command("oidc-token");
        token.arg("box");
        token
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("HOME", self.home.path()).env("OIDC_SOCK", &self.socket);
        command
    }

    /// Its own registration asks for more than the server allows, so the client is registered beforehand; its device
    /// flow wants a client with a secret.
    fn sign_in(&self, server: &OidcProvider) {
        let client = register(server);
        let text = |member: &str| client[member].as_str().expect("a text").to_owned();
        let mut sign_in = self.command("oidc-gen");
        sign_in.args(["box", "--pw-env", "--flow=device", "--scope=openid offline_access", "--prompt=none"]);
        sign_in.args(["--redirect-uri=http://localhost:8080", &format!("--iss={}", server.issuer)]);
        sign_in
            .args([format!("--client-id={}", text("client_id")), format!("--client-secret={}", text("client_secret"))]);
        sign_in.arg(format!("--cp={}", server.ca().display())).env("OIDC_ENCRYPTION_PW", "benchmark");
        let mut sign_in =
            sign_in.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it");
        let mut lines = BufReader::new(sign_in.stderr.take().expect("an output")).lines();
        let code = lines.find_map(|line| Some(line.ok()?.split_once("enter the code: ")?.1.trim().to_owned()));
        server.decide(&format!("{}/device?user_code={}", server.issuer, code.expect("a code")), true);
        assert!(sign_in.wait().expect("an end").success(), "oidc-gen");
    }
}

impl Drop for OidcAgent {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.pid.to_string()).status();
    }
}

fn register(server: &OidcProvider) -> Value {
    let client = json!({
        "client_name": "box",
        "grant_types": ["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"],
        "response_types": [],
        "redirect_uris": [],
        "token_endpoint_auth_method": "client_secret_basic",
        "scope": "openid offline_access",
    });
    let mut curl = Command::new("curl");
    curl.args(["-s", "-H", "content-type: application/json", "-d", &client.to_string(), "--cacert"]);
    let answer = curl.arg(server.ca()).arg(format!("{}/reg", server.issuer)).output().expect("curl runs");
    serde_json::from_slice(&answer.stdout).expect("a client")
}
