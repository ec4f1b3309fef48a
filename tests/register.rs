//! `bearerd register`: a client that registers itself (RFC 7591), on a real authorization server and on one that says what
//! a test wants; and the account that comes of it, signed in.

mod support;

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::{Value, json};
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::{Daemon, program},
    glewlwyd::Glewlwyd,
    oidc_provider::OidcProvider,
    seen::seen,
};
use tempfile::TempDir;

/// A folder with a configuration that has no account.
struct Box {
    folder: TempDir,
}

/// What a run has said.
struct Ran {
    exit: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Box {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("bearerd.toml"), "[daemon]\nbus = \"none\"\n").expect("a configuration");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn register(&self, issuer: &str, more: &[&str]) -> Ran {
        let mut command = Command::new(program());
        command.args(["register", issuer, "--config"]).arg(self.path("bearerd.toml")).args(more);
        // From elsewhere: what is written has to be found by a daemon that runs in /.
        let Output { status, stdout, stderr } = command.current_dir(self.folder.path()).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { exit: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Everything in the folder, by path from there.
    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for path in fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
                if path.is_dir() { folders.push(path) } else { names.push(relative(&path, self.folder.path())) }
            }
        }
        names.sort();
        names
    }
}

fn relative(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).expect("below").display().to_string()
}

impl Ran {
    fn well(self) -> Self {
        assert_eq!(self.exit, Some(0), "{}{}", self.stdout, self.stderr);
        self
    }

    /// It failed with this code, having printed nothing, and says this.
    fn badly(self, exit: i32, parts: &[&str]) {
        assert_eq!((self.exit, self.stdout.as_str()), (Some(exit), ""), "{}", self.stderr);
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not in {}", self.stderr);
        }
    }
}

fn ca(server: &OidcProvider) -> String {
    server.ca().display().to_string()
}

/// Signs in with what is in the folder, refreshes, signs out.
fn whole_life(server: &OidcProvider, here: Box, account: &str, client_id: &str, method: &str) {
    let config = fs::read_to_string(here.path("bearerd.toml")).expect("a configuration");
    let mut daemon = Daemon::start_in(here.folder, &config, &[]);
    let prompt = daemon.post(&format!("/v1/accounts/{account}/login"));
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    let event = server.wait_for_event("device_authorization");
    assert_eq!((event["client_id"].as_str(), event["client_auth"].as_str()), (Some(client_id), Some(method)));
    server.decide(&prompt.text("verification_uri_complete"), true);
    let token = daemon.get("/v1/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    assert_eq!(server.resource(&token.text("access_token")), 200);
    let refreshed = daemon.post(&format!("/v1/accounts/{account}/refresh"));
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(daemon.post(&format!("/v1/accounts/{account}/logout")).status, 204);
    assert!(daemon.stop().success());
}

#[test]
fn a_public_client_is_registered_printed_and_signed_in() {
    let server = OidcProvider::start(&["--interval", "1", "--registration"]);
    let here = Box::new();
    fs::copy(server.ca(), here.path("ca.pem")).expect("a copy");
    let ran = here.register(&server.issuer, &["--ca-file", "ca.pem", "--name", "Kitchen \"display\""]).well();
    let registered = server.wait_for_event("registration");
    assert_eq!(registered["client_name"], "Kitchen \"display\"", "{registered}");
    for (member, value) in [
        ("token_endpoint_auth_method", json!("none")),
        ("application_type", json!("native")),
        ("grant_types", json!(["urn:ietf:params:oauth:grant-type:device_code", "refresh_token"])),
        ("scope", json!("openid offline_access")),
        ("redirect_uris", json!([])),
        ("response_types", json!([])),
        ("client_secret_sha256", Value::Null),
    ] {
        assert_eq!(registered[member], value, "{member}");
    }
    let client_id = registered["client_id"].as_str().expect("an id");
    let expected = format!(
        "# Registered by bearerd, by the name of \"Kitchen \\\"display\\\"\".\nissuer = \"{}\"\nclient_id = \"{client_id}\"\n\
         ca_file = \"{}\"\nscopes = [\"openid\", \"offline_access\"]\n",
        server.issuer,
        here.path("ca.pem").display()
    );
    assert_eq!(ran.stdout, expected);
    assert!(ran.stderr.contains("is not kept"), "{}", ran.stderr);
    assert_eq!(here.names(), ["bearerd.toml", "ca.pem"], "nothing is written that was not asked for");

    fs::create_dir(here.path("accounts.d")).expect("a folder");
    fs::write(here.path("accounts.d/kitchen.toml"), &ran.stdout).expect("an account");
    whole_life(&server, here, "kitchen", client_id, "none");
    seen("oidc-provider", "client registration", "yes");
}

#[test]
fn a_server_that_has_another_name_for_the_grant_registers_nobody() {
    let server = Glewlwyd::start(json!({
        "register-client-allowed": true, "register-client-auth-scope": [], "register-client-credentials-scope": [],
    }));
    let here = Box::new();
    let ran = here.register(&server.issuer, &["--ca-file", &server.ca().display().to_string(), "--write"]);
    ran.badly(1, &["invalid_client_metadata", "grant_types must have one of"]);
    assert_eq!(here.names(), ["bearerd.toml"]);
    seen("glewlwyd", "client registration", "no, it has another name for the grant");
}

#[test]
fn a_client_with_a_secret_is_written_where_nobody_else_reads_it() {
    for method in ["client_secret_basic", "client_secret_post"] {
        let server = OidcProvider::start(&["--interval", "1", "--initial-access-token", "initial-s3cret"]);
        let (here, ca) = (Box::new(), ca(&server));
        fs::write(here.path("initial"), "initial-s3cret\n").expect("a token");
        let more = ["--ca-file", &ca, "--auth", method, "--scope", "openid offline_access api:read", "--write"];
        let more: Vec<_> =
            more.into_iter().chain(["--account", "shop", "--initial-access-token-file", "initial"]).collect();
        let ran = here.register(&server.issuer, &more).well();
        assert_eq!(ran.stdout, format!("{}\n", here.path("accounts.d/shop.toml").display()));
        assert!(ran.stderr.contains("bearerd reload && bearerd login shop"), "{}", ran.stderr);

        let registered = server.wait_for_event("registration");
        assert_eq!(registered["token_endpoint_auth_method"], method);
        assert_eq!(registered["scope"], "openid offline_access api:read");
        let client_id = registered["client_id"].as_str().expect("an id");
        let names = ["accounts.d/shop.toml", "bearerd.toml", "initial", "shop.registration", "shop.secret"];
        assert_eq!(here.names(), names);
        let read = |name| fs::read_to_string(here.path(name)).expect("a file");
        let (secret, drop_in, way) = (read("shop.secret"), read("accounts.d/shop.toml"), read("shop.registration"));
        for name in ["shop.secret", "shop.registration"] {
            assert_eq!(fs::metadata(here.path(name)).expect("a file").mode() & 0o7777, 0o600, "{name}");
        }
        let way: Value = serde_json::from_str(&way).expect("JSON");
        assert_eq!(way["client_id"], client_id);
        let access = way["registration_access_token"].as_str().expect("a token");
        for secret in [secret.trim(), access, "initial-s3cret"] {
            assert!(secret.len() > 8);
            for shown in [&ran.stdout, &ran.stderr, &drop_in] {
                assert!(!shown.contains(secret), "{shown}");
            }
        }

        let again = here.register(&server.issuer, &more);
        again.badly(2, &["there is an account shop already", "--account"]);
        assert_eq!(fs::read_to_string(here.path("shop.secret")).expect("a file"), secret);
        whole_life(&server, here, "shop", client_id, method);
    }
}

#[test]
fn without_the_initial_access_token_nobody_is_registered() {
    let server = OidcProvider::start(&["--initial-access-token", "initial-s3cret"]);
    let (here, ca) = (Box::new(), ca(&server));
    let remedy = ["--initial-access-token-file", "the server refused"];
    here.register(&server.issuer, &["--ca-file", &ca]).badly(1, &remedy);
    fs::write(here.path("initial"), "another-s3cret\n").expect("a token");
    let wrong = here.register(&server.issuer, &["--ca-file", &ca, "--write", "--initial-access-token-file", "initial"]);
    assert!(!wrong.stderr.contains("another-s3cret"), "{}", wrong.stderr);
    wrong.badly(1, &["invalid_token", "--initial-access-token-file"]);
    assert_eq!(here.names(), ["bearerd.toml", "initial"], "a refusal leaves nothing");
    for bad in ["", "two words\n"] {
        fs::write(here.path("initial"), bad).expect("a file");
        here.register(&server.issuer, &["--ca-file", &ca, "--initial-access-token-file", "initial"])
            .badly(2, &["initial", "one token"]);
    }
}

#[test]
fn what_cannot_work_is_said_before_anybody_is_asked() {
    let server = AuthorizationServer::start();
    let here = Box::new();
    let issuer = server.issuer();
    here.register("login.example.com", &[]).badly(2, &["not a URL", "https://"]);
    here.register("http://login.example.com", &[]).badly(2, &["https://"]);
    here.register(&issuer, &["--provider", "kinda"]).badly(2, &["kinda", "generic"]);
    here.register(&issuer, &["--ca-file", "nowhere.pem"]).badly(2, &["nowhere.pem"]);
    fs::write(here.path("default.secret"), "precious").expect("a file");
    here.register(&issuer, &["--write"]).badly(2, &["default.secret is there already", "--account"]);
    fs::remove_file(here.path("default.secret")).expect("a file");
    fs::create_dir(here.path("accounts.d")).expect("a folder");
    fs::write(here.path("accounts.d/default.toml"), "issuer = 1").expect("a file");
    here.register(&issuer, &["--write"]).badly(78, &["accounts.d/default.toml", "mend the configuration"]);
    fs::write(here.path("accounts.d/default.toml"), format!("issuer = \"{issuer}\"")).expect("a file");
    here.register(&issuer, &["--write"]).badly(2, &["an account default already"]);
    assert_eq!(here.names(), ["accounts.d/default.toml", "bearerd.toml"]);
    assert_eq!(server.count(Endpoint::Discovery), 0);
}

/// Lets the server offer registration, and answer one so.
fn offer(server: &AuthorizationServer, metadata: &[(&str, Value)], reply: Option<Reply>) {
    let place = json!(format!("{}/register", server.issuer()));
    let discovery = Reply::usual().member("registration_endpoint", place);
    let discovery = metadata.iter().fold(discovery, |reply, (name, value)| reply.member(name, value.clone()));
    server.reply_next(Endpoint::Discovery, discovery);
    if let Some(reply) = reply {
        server.reply_next(Endpoint::Other, reply);
    }
}

#[test]
fn a_server_that_registers_nobody_is_told_from_one_that_cannot_be_used() {
    let server = AuthorizationServer::start();
    let here = Box::new();
    here.register(&server.issuer(), &[]).badly(1, &["no registration_endpoint", "by hand"]);
    offer(&server, &[("device_authorization_endpoint", Value::Null)], None);
    here.register(&server.issuer(), &[]).badly(1, &["no device authorization endpoint"]);
    offer(&server, &[("issuer", json!("https://evil.example"))], None);
    server.reply_next(Endpoint::Discovery, Reply::html(404, "nothing"));
    here.register(&server.issuer(), &[]).badly(1, &["no metadata document"]);
    assert_eq!(server.count(Endpoint::Other), 0, "nobody was asked for a client that is of no use");

    let refused = json!({"error": "invalid_client_metadata", "error_description": "no such scope"});
    offer(&server, &[], Some(Reply::json(400, refused)));
    here.register(&server.issuer(), &["--scope", "x"]).badly(1, &["no such scope", "--scope", "register it by hand"]);
    offer(&server, &[], Some(Reply::html(503, "later")));
    here.register(&server.issuer(), &[]).badly(75, &["out of order"]);
    server.set_reachable(false);
    here.register(&server.issuer(), &[]).badly(75, &["cannot be reached"]);
}

#[test]
fn what_the_server_made_of_the_client_is_said() {
    let server = AuthorizationServer::start();
    let here = Box::new();
    let answer =
        json!({"client_id": "c-1", "grant_types": ["refresh_token"], "scope": "offline", "client_name": "another"});
    offer(&server, &[], Some(Reply::json(201, answer)));
    let ran = here.register(&server.issuer(), &["--provider", "kinde", "--scope", "openid offline admin"]).well();
    assert!(ran.stdout.contains("provider = \"kinde\"\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("scopes = [\"openid\", \"offline\"]\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("ask for: admin;") && ran.stderr.contains("grant-type:device_code;"), "{}", ran.stderr);

    let only_secrets = [("token_endpoint_auth_methods_supported", json!(["client_secret_post"]))];
    offer(&server, &only_secrets, None);
    here.register(&server.issuer(), &[]).badly(2, &["client_secret_post", "--write"]);
    let answer =
        json!({"client_id": "c-2", "client_secret": "cs-very-s3cret", "client_secret_expires_at": 1_900_000_000});
    offer(&server, &only_secrets, Some(Reply::json(201, answer)));
    let ran = here.register(&server.issuer(), &["--write"]).well();
    assert!(ran.stderr.contains("secret ends on 2030-03-17T17:46:40Z"), "{}", ran.stderr);
    let drop_in = fs::read_to_string(here.path("accounts.d/default.toml")).expect("an account");
    for part in ["secret ends on 2030-03-17", "client_auth = \"client_secret_post\"", "default.secret\"\n", "\"c-2\""] {
        assert!(drop_in.contains(part), "{part} is not in {drop_in}");
    }
    assert_eq!(fs::read_to_string(here.path("default.secret")).expect("a secret"), "cs-very-s3cret\n");

    let answer = json!({"client_id": "c-3", "client_secret": "cs-very-s3cret", "token_endpoint_auth_method": "client_secret_basic"});
    offer(&server, &[], Some(Reply::json(201, answer)));
    let lost = here.register(&server.issuer(), &[]);
    assert!(!lost.stderr.contains("cs-very-s3cret"));
    lost.badly(1, &["c-3", "client_secret_basic", "delete that client", "--write"]);
}
