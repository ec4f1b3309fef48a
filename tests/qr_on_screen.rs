//! What a phone's camera sees: the QR codes of `bearerd login` and of the console, photographed off a real terminal with dark
//! and with light colours, lead to the address with the code in it. With SCREENSHOTS=FOLDER the pictures are kept.

mod support;

use std::{fs, thread::sleep, time::Duration};

use support::{
    authorization_server::{AuthorizationServer, Settings},
    daemon::{Daemon, program},
    screen::{Palette, Terminal, can_be_seen},
};

fn account(server: &AuthorizationServer) -> String {
    format!("[accounts.kinde]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", server.issuer())
}

fn begin(daemon: &Daemon) -> String {
    let reply = daemon.post("/v1/accounts/kinde/login");
    assert_eq!(reply.status, 202, "{}", reply.body);
    reply.text("verification_uri_complete")
}

#[test]
fn the_qr_code_of_login_decodes_on_dark_and_on_light() {
    if !can_be_seen() {
        return;
    }
    let server = AuthorizationServer::with(Settings { interval: 1, ..Settings::default() }).expect("a server");
    let mut daemon = Daemon::start(&account(&server));
    let address = begin(&daemon);
    let verb = |verb: &str| format!("{} --socket {} {verb}", program(), daemon.socket().display());
    let (login, shell) = (verb("login kinde"), "printf 'box:~$ bearerd login\\n'");
    let dark = Terminal::start("login-dark", Palette::Dark, 25, &format!("{shell}; {login}"));
    dark.wait_for_qr(&address);
    dark.keep("login-dark");
    let light = Terminal::start("login-light", Palette::Light, 25, &format!("{shell}; {login}"));
    light.wait_for_qr(&address);
    light.keep("login-light");
    // Ctrl-C, and the login goes on.
    let command =
        format!("{shell}; timeout --signal=INT 1 {login}; printf 'box:~$ bearerd status\\n'; {}", verb("status"));
    let interrupted = Terminal::start("login-interrupted", Palette::Dark, 33, &command);
    interrupted.wait_for_qr(&address);
    sleep(Duration::from_secs(2));
    interrupted.keep("login-interrupted");
    assert_eq!(daemon.get("/v1/accounts/kinde").text("state"), "authorizing");

    server.approve();
    daemon.wait_for_status("token valid");
    sleep(Duration::from_secs(1));
    dark.keep("login-done");
}

#[test]
fn the_console_shows_it_on_80_by_25_beside_what_agetty_says() {
    if !can_be_seen() {
        return;
    }
    let server = AuthorizationServer::start();
    let daemon = Daemon::start(&format!("{}[display]\nconsole = true\n", account(&server)));
    let address = begin(&daemon);
    let file = daemon.folder().join("issue");
    while !file.exists() {
        sleep(Duration::from_millis(20));
    }
    // As agetty draws it: a line feed, the system's name, the page, the prompt.
    let issue = daemon.folder().join("debian");
    fs::write(&issue, "Debian GNU/Linux 12 \\n \\l\n\n").expect("a file");
    let agetty = format!(
        "echo; /sbin/agetty --issue-file {}:{} --show-issue 2>/dev/null; printf 'box login: '",
        issue.display(),
        file.display()
    );
    let console = Terminal::start("console", Palette::Dark, 25, &agetty);
    console.wait_for_qr(&address);
    console.keep("console");
}

#[test]
fn the_verbs_are_photographed() {
    if std::env::var_os("SCREENSHOTS").is_none() {
        return;
    }
    assert!(can_be_seen());
    let server = AuthorizationServer::start();
    let config = account(&server) + "[accounts.fleet]\nissuer = \"https://login.example.invalid\"\nclient_id = \"x\"\n";
    let mut daemon = Daemon::start(&format!("[daemon]\nbus = \"none\"\n{config}"));
    begin(&daemon);
    server.approve();
    daemon.wait_for_status("kinde");
    daemon.get("/v1/accounts/kinde/token?wait=60");
    let verb = |verb: &str| {
        let config = daemon.folder().join("bearerd.toml");
        let (program, socket) = (program(), daemon.socket());
        format!(
            "printf 'box:~$ bearerd {verb}\\n'; {program} --socket {} --config {} {verb}",
            socket.display(),
            config.display()
        )
    };
    for (name, verb, rows) in [("doctor", verb("doctor"), 40), ("status", verb("status"), 12)] {
        let terminal = Terminal::start(name, Palette::Dark, rows, &verb);
        sleep(Duration::from_secs(3));
        terminal.keep(name);
    }
}
