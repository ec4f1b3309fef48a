//! The command line keeps its contract: what it asks the daemon, what it prints where, and how it exits.

mod fake_daemon;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::Stdio,
    thread,
    time::{Duration, Instant},
};

use fake_daemon::{FakeDaemon, Ran, Step, answer, later, look, ok, problem, program, unchanged};
use nix::sys::socket::{Backlog, listen};

const TOKEN: &str =
    r#"{"access_token":"at-1","token_type":"Bearer","expires_in":60,"expires_at":1800000000,"account":"kinde"}"#;
const ACTIVE: &str = r#"{"account":"kinde","state":"active","message":"signed in, token valid for 1 h","issuer":"https://acme.kinde.com","expires_in":3600,"expires_at":1800000000,"refresh_token":true,"refresh_in":3300,"protection":"none"}"#;
const SIGNED_OUT: &str = r#"{"account":"kinde","state":"signed_out","reason":"never","message":"nobody has signed in yet; run: bearerd login","issuer":"https://acme.kinde.com","refresh_token":false,"protection":"none"}"#;
const DENIED: &str = r#"{"account":"kinde","state":"signed_out","reason":"denied","message":"the sign-in was denied; run: bearerd login","issuer":"https://acme.kinde.com","refresh_token":false,"last_error":{"error":"provider_error","error_description":"the server refused: access_denied"},"protection":"none"}"#;
const AUTHORIZING: &str = r#"{"account":"kinde","state":"authorizing","reason":"never","message":"waiting for sign-in","issuer":"https://acme.kinde.com","refresh_token":false,"protection":"none"}"#;
const PROMPT: &str = r#"{"account":"kinde","user_code":"CSLD-FDUU","verification_uri":"https://acme.kinde.com/device","verification_uri_complete":"https://acme.kinde.com/device?user_code=CSLD-FDUU","expires_in":600,"expires_at":1800000000,"interval":5,"qr_code":"data:,"}"#;
const LOGIN: &str = "POST /v1/accounts/kinde/login";

fn run(script: Vec<Step>, arguments: &[&str]) -> Ran {
    FakeDaemon::start(script).run(arguments)
}

fn list(accounts: &[&str]) -> String {
    format!(r#"{{"accounts":[{}]}}"#, accounts.join(","))
}

#[test]
fn token_prints_the_token_and_nothing_else() {
    assert_eq!(run(vec![ok("GET /v1/token", TOKEN)], &["token"]).quietly(0), "at-1\n");
    let named = || vec![ok("GET /v1/accounts/kinde/token", TOKEN)];
    assert_eq!(run(named(), &["token", "kinde", "--header"]).quietly(0), "Authorization: Bearer at-1\n");
    assert_eq!(run(named(), &["token", "kinde", "--json"]).quietly(0), format!("{TOKEN}\n"));
    let request = "GET /v1/accounts/kinde/token?min_validity=300&wait=60&scope=a+b";
    let arguments = ["token", "kinde", "--min-validity", "5m", "--wait", "60s", "--scope", "a b"];
    assert_eq!(run(vec![ok(request, TOKEN)], &arguments).quietly(0), "at-1\n");
}

#[test]
fn a_refusal_becomes_a_sentence_and_an_exit_code() {
    for (status, error, code) in [
        ("409 Conflict", "login_required", 75),
        ("409 Conflict", "login_pending", 75),
        ("503 Service Unavailable", "provider_unreachable", 75),
        ("403 Forbidden", "not_authorized", 77),
        ("500 Internal Server Error", "configuration", 78),
        ("404 Not Found", "no_such_account", 2),
        ("500 Internal Server Error", "storage", 1),
    ] {
        let script = vec![problem("GET /v1/accounts/kinde/token", status, error, "kinde: so it is")];
        assert_eq!(run(script, &["token", "kinde"]).complains(code), "bearerd: kinde: so it is\n", "{error}");
    }
}

#[test]
fn the_account_may_be_left_out_when_it_is_clear_which_is_meant() {
    let others = list(&[ACTIVE, &ACTIVE.replace("kinde", "fleet")]);
    let script = vec![
        problem("GET /v1/token", "404 Not Found", "no_such_account", "there is no account default"),
        ok("GET /v1/accounts", &others),
    ];
    let said = run(script, &["token"]).complains(2);
    assert_eq!(said, "bearerd: there are several accounts, so say which one is meant: kinde, fleet\n");

    let with_default = list(&[ACTIVE, &ACTIVE.replace("kinde", "default")]);
    let script =
        vec![ok("GET /v1/accounts", &with_default), answer("POST /v1/accounts/default/logout", "204 No Content", "")];
    assert_eq!(run(script, &["logout"]).quietly(0), "default: signed out\n");
}

#[test]
fn a_socket_that_cannot_be_used_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("api.sock");
    let path = socket.to_str().expect("UTF-8");
    let said = Ran::from(program(&["token", "--socket", path]).output().expect("it runs")).complains(69);
    assert!(said.starts_with(&format!("bearerd: the socket {path} does not exist")), "{said}");
    assert!(said.ends_with("systemctl status bearerd\n"), "{said}");

    drop(UnixListener::bind(&socket).expect("a socket"));
    let said = Ran::from(program(&["status", "--socket", path]).output().expect("it runs")).complains(69);
    assert!(said.contains("nobody listens"), "{said}");

    let said = run(vec![Step::HangUp { request: "GET /v1/token" }], &["token"]).complains(69);
    assert!(said.contains("closed before the answer was complete"), "{said}");
}

#[test]
fn a_full_queue_at_the_socket_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("api.sock");
    let listener = UnixListener::bind(&socket).expect("a socket");
    listen(&listener, Backlog::new(1).expect("a length")).expect("a short queue");
    let _queue = [(); 2].map(|()| UnixStream::connect(&socket).expect("a place in the queue"));
    let path = socket.to_str().expect("UTF-8");
    let asked = program(&["token", "--socket", path]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut asked = asked.expect("the program runs");
    // Long enough to have tried; a program that gives up is caught, and one that is slow to start is not.
    thread::sleep(Duration::from_millis(500));
    assert!(asked.try_wait().expect("a child").is_none(), "it gave up");
    let mut last = [(); 3].map(|()| listener.accept().expect("a connection").0).into_iter().next_back().expect("three");
    // An answer before the request is an error to any client, and this one has only just got through.
    let mut request = BufReader::new(&last).lines().map_while(Result::ok);
    assert!(request.any(|line| line.is_empty()), "no whole request");
    write!(last, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{TOKEN}", TOKEN.len()).expect("an answer");
    assert_eq!(Ran::from(asked.wait_with_output().expect("an end")).quietly(0), "at-1\n");
}

#[test]
fn a_socket_of_others_is_explained() {
    use std::os::unix::fs::PermissionsExt;
    let daemon = FakeDaemon::start(Vec::new());
    fs::set_permissions(daemon.socket(), fs::Permissions::from_mode(0o000)).expect("a mode");
    if nix::unistd::geteuid().is_root() {
        return; // Root may open everything.
    }
    let said = daemon.run(&["token"]).complains(77);
    assert!(said.contains("usermod -aG"), "{said}");
}

#[test]
fn status_is_a_table_or_the_answer_of_the_api() {
    let all = list(&[ACTIVE, &SIGNED_OUT.replace("\"kinde\"", "\"fleet\"")]);
    let table = run(vec![ok("GET /v1/accounts", &all)], &["status"]).quietly(0);
    let lines: Vec<&str> = table.lines().collect();
    assert_eq!(lines[0], "ACCOUNT  STATE       VALID  REFRESH");
    assert_eq!(lines[1], "fleet    signed out  -      -");
    assert_eq!(lines[2], "  nobody has signed in yet; run: bearerd login");
    assert_eq!(lines[3], "kinde    active      1 h    in 55 min");
    assert!(lines[6].starts_with("Storage protection: none"), "{table}");

    assert_eq!(run(vec![ok("GET /v1/accounts", &all)], &["status", "--json"]).quietly(0), format!("{all}\n"));
    let one = |body| vec![ok("GET /v1/accounts/kinde", body)];
    run(one(ACTIVE), &["status", "kinde"]).quietly(0);
    assert!(run(one(SIGNED_OUT), &["status", "kinde"]).quietly(75).contains("run: bearerd login"));
    let said = run(vec![ok("GET /v1/accounts", &list(&[]))], &["status"]).complains(0);
    assert!(said.contains("there is no account"), "{said}");
}

#[test]
fn status_shows_every_change_until_it_is_stopped() {
    let tagged = |request, etag: &str, body: &str| {
        let head = format!("200 OK\r\nETag: \"{etag}\"");
        Step::Answer { request, having: &[], pause: 0, head, body: body.to_owned() }
    };
    let kinde = "GET /v1/accounts/kinde";
    let script = vec![
        tagged(kinde, "1", SIGNED_OUT),
        tagged(kinde, "2", ACTIVE),
        tagged(kinde, "2", ACTIVE),
        tagged(kinde, "2", ACTIVE),
        problem(kinde, "404 Not Found", "no_such_account", "it has gone"),
    ];
    let ran = run(script, &["status", "kinde", "--watch", "--json"]);
    assert_eq!((ran.code, ran.out), (Some(2), format!("{SIGNED_OUT}\n{ACTIVE}\n")), "{}", ran.err);
}

#[test]
fn login_shows_the_code_and_waits_for_the_approval() {
    let script = vec![
        ok("GET /v1/accounts", &list(&[SIGNED_OUT])),
        answer(LOGIN, "202 Accepted", PROMPT),
        look(AUTHORIZING),
        unchanged(),
        later(SIGNED_OUT), // An approval is saved before it shows.
        later(ACTIVE),
    ];
    let ran = run(script, &["login"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), "Waiting for the sign-in, for up to 10 min …\n"));
    for part in ["open    https://acme.kinde.com/device\n", "enter  CSLD-FDUU\n", "▀", "\nkinde: signed in"] {
        assert!(ran.out.contains(part), "{part:?} is not in\n{}", ran.out);
    }
}

#[test]
fn login_says_why_nobody_is_signed_in() {
    let script = vec![answer(LOGIN, "202 Accepted", PROMPT), look(AUTHORIZING), later(DENIED)];
    let ran = run(script, &["login", "kinde"]);
    assert_eq!(ran.code, Some(75));
    assert!(ran.err.ends_with("\nbearerd: kinde: the sign-in was denied; run: bearerd login\n"), "{}", ran.err);

    let script = vec![problem(LOGIN, "503 Service Unavailable", "provider_unreachable", "kinde: no network")];
    assert_eq!(run(script, &["login", "kinde"]).complains(75), "bearerd: kinde: no network\n");
}

#[test]
fn login_in_json_is_a_line_for_the_code_and_one_for_the_end() {
    let script = vec![answer(LOGIN, "202 Accepted", PROMPT), look(AUTHORIZING), later(ACTIVE)];
    assert_eq!(run(script, &["login", "kinde", "--json"]).out, format!("{PROMPT}\n{ACTIVE}\n"));
    let script = vec![answer(LOGIN, "202 Accepted", PROMPT)];
    assert_eq!(run(script, &["login", "kinde", "--json", "--no-wait"]).quietly(0), format!("{PROMPT}\n"));
}

#[test]
fn a_code_that_follows_on_another_is_shown_too() {
    let next = AUTHORIZING.replace(
        r#""protection""#,
        r#""prompt":{"account":"kinde","user_code":"NEXT-CODE","verification_uri":"https://acme.kinde.com/device","expires_in":600},"protection""#,
    );
    let script =
        || vec![answer(LOGIN, "202 Accepted", PROMPT), look(AUTHORIZING), later(&next), later(&next), later(ACTIVE)];
    let ran = run(script(), &["login", "kinde"]);
    assert_eq!(ran.out.matches("NEXT-CODE").count(), 1, "{}", ran.out);
    let ran = run(script(), &["login", "kinde", "--json"]);
    let second = ran.out.lines().nth(1).unwrap_or_default();
    assert!(second.starts_with('{') && second.contains(r#""user_code":"NEXT-CODE""#), "{}", ran.out);
}

#[test]
fn ctrl_c_ends_the_waiting_and_not_the_login() {
    let daemon = FakeDaemon::start(vec![answer(LOGIN, "202 Accepted", PROMPT), look(AUTHORIZING)]);
    let mut command = daemon.program(&["login", "kinde"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("it runs");
    thread::sleep(Duration::from_millis(500));
    let killed = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    let ran = Ran::from(child.wait_with_output().expect("it ends"));
    assert_eq!(ran.code, Some(130), "{}", ran.err);
    assert!(ran.err.contains("The code stays valid"), "{}", ran.err);
    daemon.finish(&ran);
}

#[test]
fn wait_returns_once_there_is_a_token_over_a_restart_of_the_daemon() {
    let script = vec![
        Step::Restart(300),
        ok("GET /v1/accounts", &list(&[SIGNED_OUT])),
        look(SIGNED_OUT),
        Step::HangUp { request: "GET /v1/accounts/kinde" },
        Step::Restart(300),
        later(AUTHORIZING),
        later(ACTIVE),
    ];
    assert_eq!(run(script, &["wait"]).quietly(0), "");
    assert_eq!(run(vec![look(ACTIVE)], &["wait", "kinde", "--json"]).quietly(0), format!("{ACTIVE}\n"));
}

#[test]
fn wait_gives_up_in_time() {
    let script = vec![look(SIGNED_OUT)];
    let began = Instant::now();
    let ran = run(script, &["wait", "kinde", "--timeout", "1s"]);
    assert_eq!(ran.code, Some(75), "{}", ran.err);
    assert!(ran.err.contains("no usable token in time; kinde: nobody has signed in yet"), "{}", ran.err);
    assert!(began.elapsed().as_secs() < 5);

    let nowhere = ["wait", "kinde", "--timeout", "300ms", "--socket", "/nonexistent/api.sock"];
    let said = Ran::from(program(&nowhere).output().expect("it runs")).complains(69);
    assert!(said.contains("/nonexistent/api.sock does not exist"), "{said}");
}

#[test]
fn refresh_logout_and_reload_say_what_they_did() {
    let refresh = || vec![ok("POST /v1/accounts/kinde/refresh", ACTIVE)];
    assert_eq!(run(refresh(), &["refresh", "kinde"]).quietly(0), "kinde: signed in, token valid for 1 h\n");
    assert_eq!(run(refresh(), &["refresh", "kinde", "--json"]).quietly(0), format!("{ACTIVE}\n"));
    let logout = vec![answer("POST /v1/accounts/kinde/logout", "204 No Content", "")];
    assert_eq!(run(logout, &["logout", "kinde"]).quietly(0), "kinde: signed out\n");
    let reload = vec![ok("POST /v1/reload", r#"{"accounts":["fleet","kinde"]}"#)];
    assert_eq!(run(reload, &["reload"]).quietly(0), "the configuration is in force: fleet, kinde\n");
    let mistake = "/etc/bearerd/bearerd.toml:3:1: unknown key\\n  |\\n3 | x\\n  | ^";
    let reload = vec![problem("POST /v1/reload", "422 Unprocessable Content", "configuration", mistake)];
    let said = run(reload, &["reload"]).complains(78);
    assert!(said.contains("nothing was changed") && said.contains("unknown key\n  |\n3 | x\n  | ^"), "{said}");
}

#[test]
fn rekey_says_what_is_sealed_and_fails_where_nothing_is() {
    let rekeyed = r#"{"accounts":["fleet","kinde"],"protection":"host"}"#;
    let script = || vec![ok("POST /v1/rekey", rekeyed)];
    let said = "sealed with the newest key: fleet, kinde (storage protection: host)\n";
    assert_eq!(run(script(), &["rekey"]).quietly(0), said);
    assert_eq!(run(script(), &["rekey", "--json"]).quietly(0), format!("{rekeyed}\n"));
    let script = vec![ok("POST /v1/rekey", r#"{"accounts":["kinde"],"protection":"none"}"#)];
    assert!(run(script, &["rekey"]).complains(78).contains("stored unsealed"));
}

#[test]
fn check_needs_no_daemon() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bearerd.toml");
    let check = |text: &str, more: &[&str]| {
        fs::write(&path, text).expect("a file");
        Ran::from(program(&["check", path.to_str().expect("UTF-8")]).args(more).output().expect("it runs"))
    };
    let good = "[accounts.kinde]\nissuer = \"https://acme.kinde.com\"\nclient_id = \"abc\"\n";
    assert_eq!(check(good, &[]).quietly(0), format!("{}: 1 account, no problems\n", path.display()));
    assert!(check(good, &["--json"]).quietly(0).contains(r#""problems":[]"#));

    let bad = good.replace("issuer", "isuer");
    let said = check(&bad, &[]).complains(78);
    assert!(said.starts_with(&format!("{}:2:1: ", path.display())) && said.contains("^^^^^"), "{said}");
    assert!(check(&bad, &["--json"]).quietly(78).contains(r#""line":2"#));

    let certificate = folder.path().join("ca.pem");
    fs::write(&certificate, "nothing of the kind").expect("a file");
    let said = check(&format!("{good}ca_file = {certificate:?}\n"), &[]).complains(78);
    assert!(said.contains("no PEM certificate"), "{said}");
}

#[test]
fn events_are_lines_and_go_on_after_a_restart() {
    let stream = |events: &str| answer("GET /v1/events", "200 OK", events);
    let first = "event: state\nid: 7\ndata: {\"account\":\"kinde\",\"state\":\"active\"}\n\nevent: state\nid: 8\nda";
    let second = "event: state\nid: 8\ndata: {\"account\":\"kinde\",\"state\":\"stale\"}\n\n";
    let daemon = FakeDaemon::start(vec![stream(first), Step::Restart(50), stream(second)]);
    let mut child = daemon.program(&["events"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it runs");
    let lines: Vec<String> = BufReader::new(child.stdout.take().expect("an output"))
        .lines()
        .take(2)
        .map(|line| line.expect("a line"))
        .collect();
    child.kill().expect("a kill");
    child.wait().expect("an exit status");
    let expected = |state| format!(r#"{{"account":"kinde","event":"state","state":"{state}"}}"#);
    assert_eq!(lines, [expected("active"), expected("stale")]);

    let script = vec![problem("GET /v1/events", "403 Forbidden", "not_authorized", "this user may not")];
    assert_eq!(run(script, &["events"]).complains(77), "bearerd: this user may not\n");
}

#[test]
fn bad_arguments_and_verbs_that_do_not_exist_are_exit_2() {
    for arguments in
        [["token", "--wait=60"].as_slice(), &["events", "kinde"], &["doctor", "--fix"], &["token", "Bad Name"], &[]]
    {
        assert_eq!(Ran::from(program(arguments).output().expect("it runs")).code, Some(2), "{arguments:?}");
    }
}
