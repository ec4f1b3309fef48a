//! What it costs to start things: the verb that prints a token, and the daemon.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use super::{
    figures::{Figures, Goal},
    idle,
    peer::OidcAgent,
    rig::{self, Bus, Rig, Size},
    rounds::{Spread, ratio},
    support::daemon::program,
};

/// The verb over curl, and the start of the daemon over that of a bare service.
pub fn measure(size: Size, figures: &mut Figures) {
    let bytes = fs::metadata(program()).expect("the program").len() as f64;
    figures.add("the program, stripped", Spread::exactly(bytes / 1e6), "MB", Some(Goal::AtMost(5.5)));
    verb(size, figures);
    start(size, figures);
}

fn verb(size: Size, figures: &mut Figures) {
    let rig = Rig::start(&[]);
    let socket = rig.daemon.socket().display().to_string();
    let verb = || rig.daemon.command(&["token"]);
    let curl = || {
        let mut curl = Command::new("curl");
        curl.args(["-s", "--unix-socket", &socket, "-H", "Accept: text/plain", "http://localhost/v1/token"]);
        curl
    };
    let wall = |mut command: Command, times: usize| {
        let begun = Instant::now();
        for _ in 0..times {
            let output = command.stdin(Stdio::null()).output().expect("it runs");
            assert!(output.status.success() && !output.stdout.is_empty());
        }
        begun.elapsed().as_secs_f64()
    };
    let times = size.of(40);
    let measured = ratio(size.of(11), || wall(verb(), times), || wall(curl(), times));
    figures.add("`bearerd token` as a process over curl: wall", measured, "×", Some(Goal::AtMost(0.25)));
    match OidcAgent::start() {
        Some(agent) => {
            let measured = ratio(size.of(11), || wall(agent.token(), times), || wall(curl(), times));
            figures.add("for orientation, `oidc-token` of oidc-agent over curl: wall", measured, "×", None);
            let pss = Spread::exactly(agent.pids().into_iter().map(|pid| idle::memory(pid).0).sum());
            figures.add("for orientation, PSS of oidc-agent with one account", pss, "MiB", None);
        }
        None => eprintln!("   left out: oidc-agent, which is not installed"),
    }
    if !Path::new("/usr/bin/time").exists() {
        eprintln!("   left out: GNU time is not installed");
        return;
    }
    let words = |command: &Command| {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    let (ours, theirs) = (words(&verb()), words(&curl()));
    let measured = ratio(size.of(5), || peak(&ours, &socket), || peak(&theirs, &socket));
    figures.add("`bearerd token` as a process over curl: peak memory", measured, "×", Some(Goal::AtMost(0.4)));
}

fn start(size: Size, figures: &mut Figures) {
    let mut rig = Rig::start(&[]);
    rig.server.set_reachable(false);
    assert!(rig.daemon.stop().success());
    let folder = rig::folder();
    let bus = Bus::daemon(folder.path());
    let daemon = std::cell::RefCell::new(&mut rig.daemon);
    let begin = |first_token: bool| {
        let mut daemon = daemon.borrow_mut();
        let begun = Instant::now();
        daemon.start_again();
        if first_token {
            assert_eq!(daemon.get("/v1/token").status, 200);
        }
        let elapsed = begun.elapsed().as_secs_f64();
        assert!(daemon.stop().success());
        elapsed
    };
    let bare = || {
        let token = folder.path().join("token");
        fs::write(&token, "token").expect("a token");
        let begun = Instant::now();
        let mut service = rig::this_program();
        let child =
            service.arg("limit-dbus").arg(&bus.address).arg(token).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut child = rig::Helper(child);
        let mut line = String::new();
        BufReader::new(child.0.stdout.take().expect("an output")).read_line(&mut line).expect("a line");
        begun.elapsed().as_secs_f64()
    };
    let rounds = size.of(21);
    let ready = ratio(rounds, || begin(false), bare);
    figures.add("exec to READY, over a bare zbus service that owns its name", ready, "×", Some(Goal::AtMost(4.0)));
    let first = ratio(rounds, || begin(true), bare);
    figures.add("exec to the first cached token, over the same", first, "×", Some(Goal::AtMost(5.0)));
}

/// The peak of memory, in KiB, of a command. GNU time starts it, because a process inherits the peak of the one that it
/// was started from, and that one is small.
fn peak(command: &[String], socket: &str) -> f64 {
    let mut time = Command::new("/usr/bin/time");
    time.args(["-f", "%M"]).args(command).env("BEARERD_SOCKET", socket).stdin(Stdio::null());
    let output = time.output().expect("GNU time runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).trim().parse().expect("a number")
}
