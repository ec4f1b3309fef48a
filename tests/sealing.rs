//! With a key from systemd, stored sign-ins are sealed; the key can be replaced; and a lost key costs a new sign-in and
//! nothing else.

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use support::{
    authorization_server::{AuthorizationServer, Settings},
    daemon::Daemon,
};

/// As `systemd-creds` begins a credential that a TPM and the host sealed together.
const SEALED_BY_TPM: &str = "k6iUCUh0RJCQyvL8k8q1UyAAAAABAAAADAAAABAAAAC5";

fn config(account: &str, server: &AuthorizationServer) -> String {
    let issuer = server.issuer();
    format!("[accounts.{account}]\nprovider = \"kinde\"\nissuer = \"{issuer}\"\nscopes = [\"offline\"]\n")
}

/// Sets the credentials that systemd passes from the next start on.
fn credentials(folder: &Path, given: &[(&str, &[u8])]) {
    let credentials = folder.join("credentials");
    let _ = fs::remove_dir_all(&credentials);
    fs::create_dir(&credentials).expect("a folder");
    for (name, content) in given {
        fs::write(credentials.join(name), content).expect("a credential");
    }
}

fn restart_with(daemon: &mut Daemon, given: &[(&str, &[u8])]) {
    assert!(daemon.stop().success());
    credentials(daemon.folder(), given);
    daemon.start_again();
}

fn sign_in(server: &AuthorizationServer, daemon: &Daemon) -> String {
    assert_eq!(daemon.post("/v1/accounts/kinde/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/accounts/kinde/token?wait=120");
    assert_eq!(token.status, 200, "{}", token.body);
    token.text("access_token")
}

fn token(daemon: &Daemon) -> Option<String> {
    let token = daemon.get("/v1/accounts/kinde/token");
    (token.status == 200).then(|| token.text("access_token"))
}

fn state(daemon: &Daemon) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(daemon.folder().join("state")).expect("a listing").map(|entry| entry.expect("an entry"));
    let read = entries.map(|entry| {
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).expect("a readable file"))
    });
    read.filter(|(name, _)| name != "lock").collect()
}

/// The files that show any of the server's secrets.
fn showing(daemon: &Daemon, server: &AuthorizationServer) -> Vec<String> {
    let secrets = server.issued_secrets();
    assert!(!secrets.is_empty());
    let shows = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|window| window == text.as_bytes());
    let files = state(daemon).into_iter().filter(|(_, bytes)| secrets.iter().any(|secret| shows(bytes, secret)));
    files.map(|(name, _)| name).collect()
}

#[test]
fn a_sealed_sign_in_shows_nothing_and_outlives_restarts_and_its_key() {
    let server =
        AuthorizationServer::with(Settings { token_lifetime: Some(3600), ..Settings::default() }).expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    credentials(folder.path(), &[("bearerd.statekey", &[1; 32])]);
    let mut daemon = Daemon::start_in(folder, &config("kinde", &server), &[]);
    let signed_in = sign_in(&server, &daemon);

    for path in ["/v1/accounts/kinde", "/v1/health"] {
        assert_eq!(daemon.get(path).text("protection"), "host", "{path}");
    }
    let status = daemon.run(&["status"]);
    assert!(String::from_utf8_lossy(&status.stdout).contains("Storage protection: host"), "{status:?}");
    assert!(daemon.log().contains("sealed with a key that lies on the same disk"));
    assert_eq!(showing(&daemon, &server), Vec::<String>::new());
    assert_eq!(state(&daemon).into_keys().collect::<Vec<_>>(), ["kinde.a", "kinde.b"]);

    daemon.kill();
    daemon.start_again();
    assert_eq!(token(&daemon).as_ref(), Some(&signed_in), "after a crash");

    let (old, new) = (("bearerd.statekey.previous", [1; 32].as_slice()), ("bearerd.statekey", [2; 64].as_slice()));
    restart_with(&mut daemon, &[old, new, ("bearerd.statekey.sealed", SEALED_BY_TPM.as_bytes())]);
    assert_eq!(token(&daemon).as_ref(), Some(&signed_in), "under the old key and the new one");
    let before = state(&daemon);
    let rekeyed = daemon.run(&["rekey"]);
    assert!(rekeyed.status.success(), "{rekeyed:?}");
    assert_eq!(
        String::from_utf8_lossy(&rekeyed.stdout),
        "sealed with the newest key: kinde (storage protection: tpm2)\n"
    );
    assert_ne!(state(&daemon), before);

    restart_with(&mut daemon, &[new, ("bearerd.statekey.previous", b"none")]);
    assert_eq!(token(&daemon).as_ref(), Some(&signed_in), "under the new key alone");
    assert_eq!(state(&daemon).into_keys().collect::<Vec<_>>(), ["kinde.a", "kinde.b"], "nothing was set aside");
}

#[test]
fn a_lost_key_costs_a_new_sign_in_and_nothing_else() {
    let server =
        AuthorizationServer::with(Settings { token_lifetime: Some(3600), ..Settings::default() }).expect("a server");
    let folder = tempfile::tempdir().expect("a folder");
    credentials(folder.path(), &[("bearerd.statekey", &[1; 32])]);
    let mut daemon = Daemon::start_in(folder, &config("kinde", &server), &[]);
    let first = sign_in(&server, &daemon);
    let kept: Vec<_> = state(&daemon).into_values().collect();

    for (given, why) in [
        (&[("bearerd.statekey", [2; 32].as_slice())][..], "sealed with another key"),
        (&[], "systemd passed no credential bearerd.statekey"),
    ] {
        restart_with(&mut daemon, given);
        daemon.wait_for_status("the stored sign-in cannot be used, see the log for why; run: bearerd login kinde");
        assert!(daemon.log().contains(why) && daemon.log().contains("sign in again"), "{}", daemon.log());
        let account = daemon.get("/v1/accounts/kinde").json();
        assert_eq!((&account["state"], &account["reason"]), (&json!("signed_out"), &json!("storage")));
        assert!(daemon.stop().success());
        daemon.start_again();
        assert_eq!(daemon.get("/v1/accounts/kinde").text("reason"), "storage", "it is still known after a restart");
        assert_ne!(sign_in(&server, &daemon), first);
    }
    let aside: Vec<_> = state(&daemon).into_iter().filter(|(name, _)| name.contains("damaged")).collect();
    assert_eq!(aside.len(), 2, "the files under the first key made room for those under the second");
    assert!(aside.iter().all(|(_, bytes)| !kept.contains(bytes)));
}

#[test]
fn a_sign_in_from_before_there_was_a_key_is_sealed_at_the_first_start_with_one() {
    let server =
        AuthorizationServer::with(Settings { token_lifetime: Some(3600), ..Settings::default() }).expect("a server");
    let mut daemon = Daemon::start(&config("kinde", &server));
    let signed_in = sign_in(&server, &daemon);
    assert_eq!(showing(&daemon, &server).len(), 2, "without a key it is in plain text");
    assert_eq!(daemon.get("/v1/health").text("protection"), "none");
    let refused = daemon.run(&["rekey"]);
    assert_eq!(refused.status.code(), Some(78), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("statekey enable"), "{refused:?}");

    restart_with(&mut daemon, &[("bearerd.statekey", &[1; 32])]);
    assert_eq!(showing(&daemon, &server), Vec::<String>::new());
    assert_eq!(token(&daemon), Some(signed_in));

    // An account that is not configured any more is sealed with the others.
    fs::write(daemon.folder().join("bearerd.toml"), config("fleet", &server)).expect("a configuration");
    restart_with(&mut daemon, &[("bearerd.statekey", &[2; 32]), ("bearerd.statekey.previous", &[1; 32])]);
    let rekeyed = daemon.post("/v1/rekey");
    assert_eq!((rekeyed.status, rekeyed.json()["protection"].clone()), (200, json!("host")), "{}", rekeyed.body);
    assert!(rekeyed.body.contains("kinde"), "{}", rekeyed.body);
    fs::write(daemon.folder().join("bearerd.toml"), config("kinde", &server)).expect("a configuration");
    restart_with(&mut daemon, &[("bearerd.statekey", &[2; 32])]);
    assert_eq!(daemon.get("/v1/accounts/kinde").text("state"), "active");
}

#[test]
fn a_key_that_is_none_is_a_mistake_to_be_told() {
    let folder = tempfile::tempdir().expect("a folder");
    credentials(folder.path(), &[("bearerd.statekey", b"too short")]);
    fs::write(folder.path().join("bearerd.toml"), "").expect("a configuration");
    let mut program = std::process::Command::new(support::daemon::program());
    program.args(["run", "--bus", "none", "--config"]).arg(folder.path().join("bearerd.toml"));
    program.arg("--state-dir").arg(folder.path().join("state")).arg("--socket").arg(folder.path().join("api.sock"));
    let ended = program.env("CREDENTIALS_DIRECTORY", folder.path().join("credentials")).output().expect("it runs");
    assert_eq!(ended.status.code(), Some(78));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("bearerd.statekey has 9 bytes") && !said.contains("too short"), "{said}");
}
