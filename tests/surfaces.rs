//! Where the owner looks without asking: the console's file, the display command and the status text come with a code and
//! go with it, whatever becomes of it.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use serde_json::{Value, json};
use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply, Settings},
    daemon::Daemon,
};

fn account(server: &AuthorizationServer) -> String {
    format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", server.issuer())
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..6000 {
        if let Some(found) = look() {
            return found;
        }
        sleep(Duration::from_millis(10));
    }
    panic!("{what}: not in a minute");
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

fn begin(daemon: &Daemon) -> Value {
    let reply = daemon.post("/v1/accounts/box/login");
    assert_eq!(reply.status, 202, "{}", reply.body);
    reply.json()
}

#[test]
fn the_console_file_comes_with_the_code_and_goes_with_it() {
    let server = AuthorizationServer::start();
    let config = format!("{}[display]\nconsole = true\n", account(&server));
    let mut daemon = Daemon::start(&config);
    let file = daemon.folder().join("issue");
    let shown = |prompt: &Value| {
        let page = wait_for("the page", || fs::read_to_string(&file).ok());
        assert!(page.contains(prompt["user_code"].as_str().expect("a code")), "{page}");
        assert!(page.contains(prompt["verification_uri"].as_str().expect("an address")), "{page}");
    };
    let gone = |how: &str| wait_until(how, || !file.exists());

    shown(&begin(&daemon));
    assert_eq!(daemon.request("DELETE", "/v1/accounts/box/login", "").status, 204);
    gone("it was cancelled");

    shown(&begin(&daemon));
    server.expire_code();
    gone("the code has run out");

    shown(&begin(&daemon));
    server.deny();
    gone("it was denied");

    shown(&begin(&daemon));
    assert!(daemon.stop().success());
    assert!(!file.exists(), "a stop leaves nothing");

    daemon.start_again();
    shown(&begin(&daemon));
    daemon.kill();
    assert!(file.exists(), "nobody could take it away");
    daemon.start_again();
    assert!(!file.exists(), "a start takes away what a crash left");

    shown(&begin(&daemon));
    server.approve();
    gone("somebody signed in");
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    let left = fs::read_dir(daemon.folder()).expect("a folder").flatten().map(|entry| entry.file_name());
    assert!(left.into_iter().all(|name| name != "issue.new"), "nothing half-written is left");
}

#[test]
fn the_console_is_turned_on_and_off_by_a_reload() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    let file = daemon.folder().join("issue");
    begin(&daemon);
    let reload = |config: &str| {
        fs::write(daemon.folder().join("bearerd.toml"), config).expect("a configuration");
        assert_eq!(daemon.post("/v1/reload").status, 200);
    };
    assert!(!file.exists(), "it is off unless somebody wants it");
    reload(&format!("{}[display]\nconsole = true\n", account(&server)));
    wait_until("the page is there", || file.exists());
    reload(&account(&server));
    wait_until("the page is gone", || !file.exists());
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "authorizing", "the login itself goes on");
}

#[test]
fn the_status_text_begins_with_who_needs_somebody_most_and_counts_down() {
    let server = AuthorizationServer::with(Settings { code_lifetime: 62, ..Settings::default() }).expect("a server");
    let mut daemon = Daemon::start(&(account(&server) + &account(&server).replace("box", "fleet")));
    daemon.wait_for_status("fleet: nobody has signed in yet; run: bearerd login fleet; 1 more needs attention");
    let code = begin(&daemon)["user_code"].as_str().expect("a code").to_owned();
    let waiting = format!("box: waiting for sign-in, open {}/device and enter {code} (1 min left)", server.issuer());
    daemon.wait_for_status(&waiting);
    daemon.wait_for_status(" s left)");
    server.approve();
    daemon.wait_for_status("fleet: nobody has signed in yet; run: bearerd login fleet");
    assert_eq!(daemon.post("/v1/accounts/fleet/login").status, 202);
    server.approve();
    daemon.wait_for_status("2 accounts, all signed in");
}

/// A display command that notes each message, its arguments and its environment, and then does `more`.
fn command(folder: &Path, more: &str) -> PathBuf {
    let path = folder.join("display");
    let script = format!(
        "#!/bin/sh\ncat >>{0}/messages\necho \"$# $*\" >>{0}/arguments\nenv >>{0}/environment\n{more}\n",
        folder.display()
    );
    fs::write(&path, script).expect("a script");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

fn messages(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("messages")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

fn with_command(server: &AuthorizationServer, command: &Path) -> String {
    format!("{}[display]\ncommand = [{command:?}, \"--big\"]\n", account(server))
}

#[test]
fn the_display_command_hears_of_the_code_and_of_its_end() {
    let server = AuthorizationServer::start();
    let notes = tempfile::tempdir().expect("a folder");
    let config = with_command(&server, &command(notes.path(), "echo out of paper; tail -n 1 $0.x 2>&1; cat /dev/fd/0"));
    let mut daemon = Daemon::start(&config);
    let prompt = begin(&daemon);
    let first = wait_for("the first message", || messages(notes.path()).into_iter().next());
    for member in ["account", "user_code", "verification_uri", "verification_uri_complete", "expires_at"] {
        assert_eq!(first[member], prompt[member], "{member}");
    }
    assert_eq!((&first["event"], &first["state"]), (&json!("prompt"), &json!("authorizing")));
    assert!(first["message"].as_str().is_some_and(|text| text.starts_with("waiting for sign-in, open ")), "{first}");

    server.approve();
    let second = wait_for("the second message", || messages(notes.path()).into_iter().nth(1));
    assert_eq!((&second["event"], &second["account"]), (&json!("withdrawn"), &json!("box")));
    assert!(!second.to_string().contains(prompt["user_code"].as_str().expect("a code")));

    begin(&daemon);
    wait_until("the third message", || messages(notes.path()).len() == 3);
    assert!(daemon.stop().success());
    assert_eq!(messages(notes.path())[3], json!({"event": "withdrawn", "account": "box"}), "a stop takes it away");

    let read = |name: &str| fs::read_to_string(notes.path().join(name)).expect(name);
    assert_eq!(read("arguments").lines().next(), Some("1 --big"), "the code is in no argument");
    let environment = read("environment");
    for name in ["NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY", prompt["user_code"].as_str().expect("a code")] {
        assert!(!environment.contains(name), "{environment}");
    }
    assert!(daemon.log().contains("the display command says: out of paper"), "{}", daemon.log());
}

#[test]
fn a_display_command_that_hangs_is_killed_with_what_it_started() {
    let server = AuthorizationServer::start();
    let notes = tempfile::tempdir().expect("a folder");
    let hang = format!("sleep 300 & echo $! $$ >>{}/pids; wait", notes.path().display());
    let mut daemon = Daemon::start(&with_command(&server, &command(notes.path(), &hang)));
    begin(&daemon);
    let pids = |call: usize| {
        let noted = || fs::read_to_string(notes.path().join("pids")).ok()?.lines().nth(call).map(str::to_owned);
        wait_for("the numbers of the processes", noted)
    };
    let all_run = |pids: &str| {
        let runs = |pid: &str| fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        pids.split(' ').map(runs).collect::<Vec<_>>()
    };
    let first = pids(0);
    assert_eq!(all_run(&first), [true, true]);
    // Meanwhile everything else goes on.
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "authorizing");
    wait_until("its time is up", || daemon.log().contains("took longer than 10 s and was killed"));
    wait_until("it is gone, with its child", || all_run(&first) == [false, false]);

    assert_eq!(daemon.request("DELETE", "/v1/accounts/box/login", "").status, 204);
    let second = pids(1);
    assert_eq!(all_run(&second), [true, true]);
    assert!(daemon.stop().success());
    wait_until("a stop waits for none", || all_run(&second) == [false, false]);
}

#[test]
fn a_display_command_that_cannot_run_costs_nothing_but_a_warning() {
    let server = AuthorizationServer::start();
    let mut daemon = Daemon::start(&with_command(&server, Path::new("/nonexistent/display")));
    begin(&daemon);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    daemon.wait_for_status("signed in");
    assert!(daemon.log().contains("the display command /nonexistent/display cannot be started"), "{}", daemon.log());
}

#[test]
fn an_endless_talker_is_cut_short_and_a_code_it_repeats_is_hidden() {
    let server = AuthorizationServer::start();
    let notes = tempfile::tempdir().expect("a folder");
    let talk =
        format!("cat {0}/messages; head -c 200000 /dev/zero | tr '\\0' x; touch {0}/done", notes.path().display());
    let daemon = Daemon::start(&with_command(&server, &command(notes.path(), &talk)));
    let prompt = begin(&daemon);
    wait_until("it has said everything", || notes.path().join("done").exists());
    server.approve();
    wait_until("the second call", || messages(notes.path()).len() == 2);
    let (log, code) = (daemon.log(), prompt["user_code"].as_str().expect("a code"));
    assert!(log.contains("the display command says: {"), "{log}");
    assert!(log.contains("(the code)") && !log.contains(code), "{log}");
    assert!(log.len() < 20_000, "{}", log.len());
}

#[test]
fn a_hostile_prompt_reaches_no_surface() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&format!("{}[display]\nconsole = true\n", account(&server)));
    for (member, value) in [
        ("user_code", json!("\\S{PRETTY_NAME}")),
        ("user_code", json!("AB\u{202e}CD")),
        ("user_code", json!("A".repeat(10_240))),
        ("verification_uri", json!("https://a.example/\u{1b}[2J")),
        ("verification_uri", json!("https://a.example/\\4{eth0}")),
    ] {
        server.reply_next(Endpoint::DeviceAuthorization, Reply::usual().member(member, value.clone()));
        let reply = daemon.post("/v1/accounts/box/login");
        if reply.status == 202 {
            // Where it can be made harmless, it was.
            let page = wait_for("the page", || fs::read_to_string(daemon.folder().join("issue")).ok());
            let allowed = |c: char| c == '\n' || "█▀▄".contains(c) || ((' '..='~').contains(&c) && c != '\\');
            assert!(page.chars().all(allowed), "{page:?}");
            daemon.request("DELETE", "/v1/accounts/box/login", "");
        } else {
            assert_eq!(reply.status, 502, "{value}: {}", reply.body);
        }
        assert!(!daemon.log().contains("\u{1b}[2J") && !daemon.log().contains("\\4{eth0}"));
    }
}

#[test]
fn a_removed_rule_denies_from_the_next_request_on_and_the_grant_stays() {
    let server = AuthorizationServer::start();
    let rule = "[[accounts.box.allow]]\nuser = \"root\"\nactions = [\"status\", \"token\"]\n";
    if !nix::unistd::geteuid().is_root() {
        eprintln!("not run here: needs root");
        return;
    }
    let mut daemon = Daemon::start(&format!("{}{rule}", account(&server)));
    begin(&daemon);
    server.approve();
    let token = daemon.get("/v1/token?wait=60").text("access_token");
    let reload = |config: &str| {
        fs::write(daemon.folder().join("bearerd.toml"), config).expect("a configuration");
        daemon.post("/v1/reload").status
    };
    let nobody = rule.replace("root", "daemon");
    assert_eq!(reload(&format!("{}{nobody}", account(&server))), 200);
    assert_eq!(daemon.get("/v1/token").status, 403, "root is not named any more");
    // What is no business of the grant changes, one thing after the other.
    for other in ["min_validity = \"5m\"\n", "refresh_margin = \"1m\"\n", "login = \"manual\"\n"] {
        assert_eq!(reload(&format!("{}{other}{rule}", account(&server))), 200, "{other}");
        assert_eq!(daemon.get("/v1/token").text("access_token"), token, "{other}");
    }
    assert_eq!(reload("nonsense"), 422);
    assert_eq!(daemon.get("/v1/token").text("access_token"), token, "a bad configuration changes nothing");
    assert_eq!(server.count(Endpoint::Refresh), 0);
    daemon.wait_for_status("signed in");
}

#[test]
fn the_log_has_a_line_a_change_and_none_a_poll_or_a_retry() {
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&account(&server));
    begin(&daemon);
    server.wait_for_answer(Endpoint::Poll, 3);
    server.approve();
    assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    for attempt in 1..=2 {
        server.reply_next(Endpoint::Refresh, Reply::error(503, "temporarily_unavailable"));
        assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 502, "attempt {attempt}");
    }
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    wait_until("the last line", || daemon.log().matches("INFO box: signed in").count() == 2);
    let log = daemon.log();
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("account=\"box\"")).collect();
    let said: Vec<bool> = [
        ("nobody has signed in yet", "state=\"signed_out\" reason=\"never\""),
        ("asked for a sign-in", "caller_uid="),
        ("waiting for sign-in, open ", "state=\"authorizing\""),
        ("signed in", "state=\"active\""),
        ("got a token of box", "token_sha256="),
        ("asked for a refresh", "caller_uid="),
        ("signed in", "state=\"degraded\" attempt=2 error="),
        ("asked for a refresh", "caller_uid="),
        ("asked for a refresh", "caller_uid="),
        ("signed in", "state=\"active\" attempt=4"),
    ]
    .into_iter()
    .zip(&lines)
    .map(|((text, field), line)| line.contains(text) && line.contains(field))
    .collect();
    assert_eq!((said, lines.len()), (vec![true; 10], 10), "{log}");
    assert!(server.user_codes().iter().all(|code| !log.contains(code)), "the code is in the log only if asked for");
}

#[test]
fn agetty_shows_the_page_as_it_was_written() {
    let Ok(version) = Command::new("/sbin/agetty").arg("--version").output() else {
        eprintln!("not run here: there is no agetty");
        return;
    };
    assert!(version.status.success());
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&format!("{}[display]\nconsole = true\n", account(&server)));
    begin(&daemon);
    let file = daemon.folder().join("issue");
    let page = wait_for("the page", || fs::read_to_string(&file).ok());
    // It wants a terminal.
    let command = format!("/sbin/agetty --issue-file {} --show-issue", file.display());
    let shown = Command::new("script").args(["-qec", &command, "/dev/null"]).stdin(Stdio::null()).output();
    let shown = String::from_utf8_lossy(&shown.expect("script runs").stdout).replace('\r', "");
    assert_eq!(shown.trim_end(), page.trim_end());
}
