//! The same rules and the same callers on both doors: whatever the rules are, HTTP and D-Bus give the same answer, word
//! for word, and it is the one that a plain reading of the rules gives.

mod support;

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    bus::{NAME, OBJECT, PrivateBus},
    daemon::Daemon,
};

/// A rule as it is written, and as it is read here.
struct Rule {
    user: Option<&'static str>,
    group: Option<&'static str>,
    actions: Vec<&'static str>,
}

/// Somebody with the group that the bus admits, and others.
#[derive(Debug)]
struct Caller {
    user: &'static str,
    groups: Vec<&'static str>,
}

/// A small generator, so that a failure can be had again by its number.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).expect("a small number")
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    fn some(&mut self, of: &[&'static str]) -> Vec<&'static str> {
        of.iter().copied().filter(|_| self.below(2) == 0).collect()
    }

    fn rule(&mut self) -> Rule {
        let (user, group) = (self.one(&USERS), self.one(&GROUPS));
        let matchers = self.below(3);
        let mut actions = self.some(&ACTIONS);
        if actions.is_empty() {
            actions.push("token");
        }
        Rule { user: (matchers != 1).then_some(user), group: (matchers != 0).then_some(group), actions }
    }

    fn caller(&mut self) -> Caller {
        let groups = self.some(&GROUPS);
        Caller { user: self.one(&USERS), groups }
    }
}

impl Rule {
    fn text(&self, account: &str) -> String {
        let user = self.user.map(|user| format!("user = {user:?}\n")).unwrap_or_default();
        let group = self.group.map(|group| format!("group = {group:?}\n")).unwrap_or_default();
        format!("[[accounts.{account}.allow]]\n{user}{group}actions = {:?}\n", self.actions)
    }

    /// A user's primary group has the user's name here.
    fn holds(&self, caller: &Caller) -> bool {
        self.user.is_none_or(|user| user == caller.user)
            && self.group.is_none_or(|group| group == caller.user || group == "games" || caller.groups.contains(&group))
    }
}

impl Caller {
    fn run(&self, command: &[&str]) -> (bool, String) {
        let groups = [&["games"][..], &self.groups].concat().join(",");
        let output = Command::new("setpriv")
            .args([format!("--reuid={}", self.user), format!("--regid={}", self.user), format!("--groups={groups}")])
            .args(command)
            .output()
            .expect("setpriv runs");
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(said).expect("text").trim_end().to_owned())
    }

    fn by_http(&self, daemon: &Daemon, verb: &Verb) -> String {
        let (socket, url) = (daemon.socket(), format!("http://localhost/v1/accounts/{}", verb.http.1));
        let socket = socket.to_str().expect("a plain path");
        let (_, body) = self.run(&["curl", "--silent", "--request", verb.http.0, "--unix-socket", socket, &url]);
        if body.is_empty() {
            return "done".into();
        }
        let body: serde_json::Value = serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error} in {body:?}"));
        let told = ["error_description", "access_token", "state"].iter().find_map(|member| body[*member].as_str());
        told.unwrap_or_else(|| panic!("{body}")).to_owned()
    }

    fn by_bus(&self, bus: &PrivateBus, verb: &Verb) -> String {
        let (address, path) = (format!("--address={}", bus.address()), format!("{OBJECT}/accounts/{}", verb.account));
        let command = [&["busctl", &address, "call", NAME, &path][..], verb.bus].concat();
        match self.run(&command) {
            (true, told) => told.split('"').nth(1).unwrap_or("done").to_owned(),
            (false, complaint) => complaint.trim_start_matches("Call failed: ").to_owned(),
        }
    }
}

/// One verb by both doors, and the action that it takes.
struct Verb {
    action: &'static str,
    account: &'static str,
    http: (&'static str, &'static str),
    bus: &'static [&'static str],
}

fn configuration(server: &AuthorizationServer, rules: &[Rule]) -> String {
    ["box", "spare"]
        .map(|account| {
            let allow: String = rules.iter().map(|rule| rule.text(account)).collect();
            format!(
                "[accounts.{account}]\nissuer = \"{}\"\nscopes = [\"offline\"]\nlogin = \"manual\"\n{allow}",
                server.issuer()
            )
        })
        .concat()
}

#[test]
fn both_doors_read_any_rules_in_the_same_way() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let daemon = Daemon::start_with(&configuration(&server, &[]), &["--bus", &bus.address()]);
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    server.wait_for_answer(Endpoint::Poll, 1);
    let token = daemon.get("/v1/accounts/box/token?wait=60").text("access_token");
    bus.wait_for_name();
    // Everybody reaches both doors, so that the rules alone decide.
    for (path, mode) in [(daemon.folder().to_owned(), 0o755), (daemon.socket(), 0o666)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }

    let rounds = if std::env::var_os("BEARERD_TORTURE").is_some() { 500 } else { 25 };
    let (mut allowed, mut refused) = (0, 0);
    for round in 0..rounds {
        let mut dice = Dice(round);
        let rules: Vec<Rule> = (0..=dice.below(3)).map(|_| dice.rule()).collect();
        let log = "\n[daemon]\nlog = \"trace\"\n";
        fs::write(daemon.folder().join("bearerd.toml"), configuration(&server, &rules) + log).expect("a file");
        assert_eq!(daemon.post("/v1/reload").status, 200);
        for caller in [dice.caller(), dice.caller()] {
            for verb in &VERBS {
                let (by_http, by_bus) = (caller.by_http(&daemon, verb), caller.by_bus(&bus, verb));
                let seen = format!("round {round}, {caller:?}, {:?}: {by_http:?} and {by_bus:?}", verb.bus);
                assert_eq!(by_http, by_bus, "{seen}");
                let may = rules.iter().any(|rule| rule.holds(&caller) && rule.actions.contains(&verb.action));
                let no = by_http.contains("there is no account") || by_http.contains("no rule allows this caller");
                assert_eq!(!no, may, "{seen}");
                assert_eq!(by_http == token, may && verb.action == "token", "{seen}");
                *if may { &mut allowed } else { &mut refused } += 1;
            }
        }
    }
    println!("{rounds} sets of rules; the same on both doors: {allowed} allowed, {refused} refused");
    assert!(allowed > 0 && refused > 0);
}

const USERS: [&str; 4] = ["daemon", "bin", "mail", "news"];
const GROUPS: [&str; 5] = ["daemon", "mail", "news", "uucp", "games"];
const ACTIONS: [&str; 4] = ["status", "token", "login", "manage"];
const ACCOUNT: &str = "io.github.bearerd.Bearerd1.Account";
const VERBS: [Verb; 5] = [
    Verb { action: "token", account: "box", http: ("GET", "box/token"), bus: &[ACCOUNT, "GetToken", "a{sv}", "0"] },
    Verb {
        action: "status",
        account: "box",
        http: ("GET", "box"),
        bus: &["org.freedesktop.DBus.Properties", "Get", "ss", ACCOUNT, "State"],
    },
    Verb { action: "login", account: "spare", http: ("DELETE", "spare/login"), bus: &[ACCOUNT, "CancelLogin"] },
    Verb {
        action: "manage",
        account: "spare",
        http: ("POST", "spare/refresh"),
        bus: &[ACCOUNT, "Refresh", "a{sv}", "0"],
    },
    Verb {
        action: "manage",
        account: "spare",
        http: ("POST", "spare/logout"),
        bus: &[ACCOUNT, "Logout", "a{sv}", "0"],
    },
];
