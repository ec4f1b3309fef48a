//! The real program on a private message bus with the shipped policy: both doors give the same token, to the same
//! people, and the bus may come and go.

mod support;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    daemon::Daemon,
};

/// A `dbus-daemon` that denies as the system bus does, with the shipped policy file; the daemon's user is whoever runs
/// the test, and the group of the permitted is `games`, which is on every machine.
struct PrivateBus {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl PrivateBus {
    fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy = fs::read_to_string(root().join("dbus/io.github.bearerd.Bearerd1.conf")).expect("the policy");
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("a user database").expect("a user").name;
        let policy = policy.replace("user=\"bearerd\"", &format!("user=\"{me}\""));
        let policy = policy.replace("group=\"bearerd\"", "group=\"games\"");
        fs::write(folder.path().join("policy.conf"), policy).expect("a file");
        let config = format!(
            "<busconfig><type>system</type><listen>unix:path={0}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\
             <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             <allow send_destination=\"org.freedesktop.DBus\"/></policy>\
             <include>{0}/policy.conf</include></busconfig>",
            folder.path().display()
        );
        fs::write(folder.path().join("bus.conf"), config).expect("a file");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("others may reach the socket");
        let mut bus = Self { folder, child: None };
        bus.start_again();
        bus
    }

    fn address(&self) -> String {
        format!("unix:path={}/bus", self.folder.path().display())
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn start_again(&mut self) {
        let mut child = Command::new("dbus-daemon")
            .arg(format!("--config-file={}/bus.conf", self.folder.path().display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon runs");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("an output")).read_line(&mut address).expect("an address");
        assert!(!address.is_empty(), "dbus-daemon did not start");
        self.child = Some(child);
    }

    /// `busctl`, as another user if `user` names one.
    fn call(&self, user: Option<&str>, arguments: &[&str]) -> Output {
        let mut command = match user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "busctl"]);
                command
            }
            None => Command::new("busctl"),
        };
        command.arg(format!("--address={}", self.address())).args(arguments).output().expect("busctl runs")
    }

    fn get_token(&self, user: Option<&str>) -> Result<String, String> {
        let manager = "io.github.bearerd.Bearerd1.Manager";
        let output = self.call(user, &["call", NAME, OBJECT, manager, "GetToken", "sa{sv}", "", "0"]);
        if output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(answer.split('"').nth(1).expect("a token").to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Waits until somebody owns the name, by asking the bus for it to be announced.
    fn wait_for_name(&self) {
        let owned = || {
            let bus = "org.freedesktop.DBus";
            let output = self.call(None, &["call", bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", NAME]);
            String::from_utf8_lossy(&output.stdout).contains("true")
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !owned() {
            assert!(std::time::Instant::now() < end, "the name is not owned");
            std::thread::yield_now();
        }
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.stop();
    }
}

fn signed_in(bus: &PrivateBus, server: &AuthorizationServer, more: &str) -> Daemon {
    let config = format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n{more}", server.issuer());
    let daemon = Daemon::start_with(&config, &["--bus", &bus.address()]);
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    server.wait_for_answer(Endpoint::Poll, 1);
    // Whoever may not have the token himself still sees when it is there.
    while daemon.get("/v1/accounts/box").text("state") != "active" {
        std::thread::yield_now();
    }
    bus.wait_for_name();
    daemon
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn both_doors_give_the_same_token() {
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let by_http = daemon.request("GET", "/v1/token", "Accept: text/plain\r\n").body;
    assert_eq!(bus.get_token(None), Ok(by_http));
}

#[test]
fn the_policy_file_lets_the_group_in_and_nobody_else() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let token = daemon.get("/v1/token").text("access_token");
    assert_eq!(bus.get_token(Some("games")), Ok(token), "a member of the group");
    let refused = bus.get_token(Some("daemon")).expect_err("a stranger has a token");
    assert!(refused.contains("denied") || refused.contains("rejected"), "{refused}");

    let account = format!("{OBJECT}/accounts/box");
    let logout = ["call", NAME, &account, "io.github.bearerd.Bearerd1.Account", "Logout", "a{sv}", "0"];
    let output = bus.call(Some("games"), &logout);
    assert!(!output.status.success(), "a member of the group may not log out");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("no rule allows this caller (uid 5"), "it says what was seen: {said}");
    assert_eq!(daemon.get("/v1/token").status, 200);
}

#[test]
fn rules_hold_on_both_doors() {
    if !is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let rule = "[[accounts.box.allow]]\nuser = \"games\"\nactions = [\"token\"]\n";
    let daemon = signed_in(&bus, &server, rule);
    assert!(bus.get_token(Some("games")).is_ok());
    assert!(bus.get_token(None).is_err(), "root is not named");
    let by_http = daemon.get("/v1/token");
    assert_eq!((by_http.status, by_http.text("error")), (403, "not_authorized".into()));
    assert_eq!(by_http.json()["uid"], 0, "it says what was seen");
}

#[test]
fn the_bus_may_come_and_go() {
    let (mut bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = signed_in(&bus, &server, "");
    let token = daemon.get("/v1/token").text("access_token");
    bus.stop();
    assert_eq!(daemon.get("/v1/token").text("access_token"), token, "HTTP needs no bus");
    bus.start_again();
    bus.wait_for_name();
    assert_eq!(bus.get_token(None), Ok(token));
}

#[test]
fn a_bus_that_is_not_there_stops_nothing() {
    let server = AuthorizationServer::start();
    let config = format!("[accounts.box]\nissuer = \"{}\"\n", server.issuer());
    let daemon = Daemon::start_with(&config, &["--bus", "unix:path=/nonexistent/bus"]);
    assert_eq!(daemon.get("/v1/health").status, 200);
}

const NAME: &str = "io.github.bearerd.Bearerd1";
const OBJECT: &str = "/io/github/bearerd/Bearerd1";
