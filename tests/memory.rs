//! In the daemon's memory is one copy of each token, and none once it is forgotten.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    bus::PrivateBus,
    daemon::Daemon,
    memory::copies,
};

/// The secrets of one kind that the server has issued.
fn issued(server: &AuthorizationServer, kind: &str) -> Vec<String> {
    server.issued_secrets().into_iter().filter(|secret| secret.starts_with(kind)).collect()
}

/// Waits until each of them is there that many times. What is on its way in or out is more for a moment; what is left
/// behind stays for good.
fn settle(what: &str, daemon: &Daemon, secrets: &[String], wanted: usize) {
    assert!(!secrets.is_empty(), "{what}: there is nothing to look for");
    let start = Instant::now();
    loop {
        let found = copies(daemon.pid(), secrets);
        if found.iter().all(|count| *count == wanted) {
            return println!("{what}: {wanted} after {:?}", start.elapsed());
        }
        assert!(start.elapsed() < PATIENCE, "{what}: {found:?} copies, not {wanted}");
    }
}

fn one_copy_and_none_after_logout(credentials: &[(&str, &[u8])]) {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("not run here: only root may look into the memory of the daemon");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("credentials")).expect("a folder");
    for (name, content) in credentials {
        fs::write(folder.path().join("credentials").join(name), content).expect("a credential");
    }
    let config = format!(
        "[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\nlogin = \"manual\"\n",
        server.issuer()
    );
    let mut daemon = Daemon::start_in(folder, &config, &["--bus", &bus.address()]);
    bus.wait_for_name();

    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.wait_for_answer(Endpoint::Poll, 1);
    settle("device code while a person is waited for", &daemon, &issued(&server, "dc-"), 1);
    server.approve();
    let token = daemon.get("/v1/token?wait=120").text("access_token");
    settle("device code after the sign-in", &daemon, &issued(&server, "dc-"), 0);
    settle("access token", &daemon, &issued(&server, "at-"), 1);
    settle("refresh token", &daemon, &issued(&server, "rt-"), 1);

    for _ in 0..20 {
        assert_eq!(daemon.get("/v1/token").text("access_token"), token);
        assert_eq!(daemon.request("GET", "/v1/token", "Accept: text/plain\r\n").body, token);
        assert_eq!(bus.get_token(None).as_ref(), Ok(&token));
    }
    settle("access token after sixty answers", &daemon, &issued(&server, "at-"), 1);

    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    let (at, rt) = (issued(&server, "at-"), issued(&server, "rt-"));
    assert_eq!((at.len(), rt.len()), (2, 2));
    settle("replaced access token", &daemon, &at[..1], 0);
    settle("replaced refresh token", &daemon, &rt[..1], 0);
    settle("new access token", &daemon, &at[1..], 1);
    settle("new refresh token", &daemon, &rt[1..], 1);

    assert!(daemon.stop().success());
    daemon.start_again();
    assert_eq!(daemon.get("/v1/token").text("access_token"), at[1]);
    settle("access token after a restart", &daemon, &at[1..], 1);
    settle("refresh token after a restart", &daemon, &rt[1..], 1);

    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    // What is to be revoked is kept until the server has heard of it.
    server.wait_for_answer(Endpoint::Revocation, 1);
    settle("everything after the logout", &daemon, &server.issued_secrets(), 0);
}

#[test]
fn one_copy_of_each_token_and_none_after_the_logout() {
    one_copy_and_none_after_logout(&[]);
}

#[test]
fn the_same_where_state_is_sealed() {
    one_copy_and_none_after_logout(&[("bearerd.statekey", &[1; 32])]);
}

/// The machine's way to write cores; it is put back when this is dropped.
struct CorePattern {
    before: String,
    // Another run of this test on this machine waits for it.
    _locked: fs::File,
}

impl CorePattern {
    fn set(pattern: &str) -> Option<Self> {
        let locked = fs::File::open(CORE_PATTERN).ok()?;
        locked.lock().ok()?;
        let before = fs::read_to_string(CORE_PATTERN).ok()?;
        fs::write(CORE_PATTERN, pattern).ok()?;
        Some(Self { before, _locked: locked })
    }
}

impl Drop for CorePattern {
    fn drop(&mut self) {
        let _ = fs::write(CORE_PATTERN, self.before.trim_end());
    }
}

#[test]
fn no_core_is_left_where_cores_are_piped() {
    let asked_for = ["CI", "BEARERD_TORTURE"].iter().any(|name| std::env::var_os(name).is_some());
    if !asked_for || !nix::unistd::geteuid().is_root() {
        return eprintln!("not run here: it changes a setting of the whole machine for a moment");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (take, cores) = (folder.path().join("take"), folder.path().join("core"));
    fs::write(&take, format!("#!/bin/sh\ncat >{}.$1\n", cores.display())).expect("a script");
    fs::set_permissions(&take, fs::Permissions::from_mode(0o755)).expect("a mode");
    let daemon = Daemon::start("");
    let mut other = Command::new("sleep").arg("600").spawn().expect("another process");
    let Some(_pattern) = CorePattern::set(&format!("|{} %P", take.display())) else {
        let _ = (other.kill(), other.wait());
        return eprintln!("not run here: this machine does not let its core pattern be set");
    };
    // The kernel waits with the end of a process until its core is taken.
    for pid in [daemon.pid(), other.id()] {
        assert!(Command::new("kill").args(["-ABRT", &pid.to_string()]).status().expect("kill runs").success());
    }
    other.wait().expect("an end");
    wait_for_the_end_of(daemon.pid());
    let core_of = |pid: u32| cores.with_extension(pid.to_string());
    let start = Instant::now();
    while fs::metadata(core_of(other.id())).map_or(0, |core| core.len()) == 0 {
        assert!(start.elapsed() < PATIENCE, "the other process leaves a core");
    }
    assert!(!core_of(daemon.pid()).exists(), "the daemon left a core");
}

fn wait_for_the_end_of(pid: u32) {
    let ended = || fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, |stat| stat.contains(") Z "));
    let start = Instant::now();
    while !ended() {
        assert!(start.elapsed() < PATIENCE, "it was aborted and goes on");
    }
}

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";
const PATIENCE: Duration = Duration::from_secs(10);
