//! The price of a cached token at either door, over that of the same bytes from a bare server.

use std::{path::Path, process::Command};

use super::{
    figures::{Figures, Goal},
    load_dbus::Callers,
    load_http::{self, Caller, Connections},
    rig::{self, Bus, Rig, SERVICES, Size},
    rounds::{Spread, percentile, ratio},
};

/// The HTTP door.
pub fn http(size: Size, figures: &mut Figures) {
    let rig = Rig::start(&[]);
    let (ours, (_bare, bare)) = (rig.daemon.socket(), rig.bare_http());
    let same = Caller::new(&ours).ask().abs_diff(Caller::new(&bare).ask());
    assert!(same < 8, "the two answer with other bytes");
    let p50 = |socket: &Path, callers, connections| {
        let mut load = load_http::run(socket, callers, size.of(2000 / callers), connections);
        percentile(&mut load.latencies, 0.5)
    };
    let throughput = |socket: &Path, callers| {
        load_http::run(socket, callers, size.of(8000 / callers), Connections::KeptAlive).throughput
    };
    let kept = Connections::KeptAlive;
    let latency = ratio(size.of(ROUNDS), || p50(&ours, 1, kept), || p50(&bare, 1, kept));
    figures.add("HTTP, cached token, kept connection, 1 caller: p50 over bare hyper", latency, "×", at_most(1.10));
    for callers in [8, 64] {
        let measured = ratio(size.of(ROUNDS), || throughput(&ours, callers), || throughput(&bare, callers));
        let what = format!("HTTP, kept connections, {callers} callers: requests a second over bare hyper");
        figures.add(what, measured, "×", Some(Goal::AtLeast(0.85)));
    }
    for callers in [1, 8] {
        let each = Connections::OneEach;
        let measured = ratio(size.of(ROUNDS), || p50(&ours, callers, each), || p50(&bare, callers, each));
        let what = format!("HTTP, a connection a request, {}: p50 over bare hyper", number_of(callers));
        figures.add(what, measured, "×", at_most(1.25));
    }
    let microseconds = Spread::exactly(p50(&ours, 1, kept));
    figures.add("HTTP, kept connection, 1 caller: p50, of this machine alone", microseconds, "µs", None);
}

/// The D-Bus door.
pub fn dbus(size: Size, figures: &mut Figures) {
    let folder = rig::folder();
    bus(&Bus::daemon(folder.path()), folder.path(), size, figures);
    match Bus::broker(folder.path()) {
        Some(broker) => bus(&broker, folder.path(), size, figures),
        None => eprintln!(
            "   left out: dbus-broker, which does not start here; it wants to be installed and a journal to write to"
        ),
    }
}

fn bus(bus: &Bus, folder: &Path, size: Size, figures: &mut Figures) {
    let (name, address) = (bus.name, &bus.address);
    let rig = Rig::start(&["--bus", address]);
    let token = rig.daemon.get("/v1/token").text("access_token");
    let _bare = rig::bare_dbus(folder, address, &token);
    for service in SERVICES {
        rig::wait_for_name(address, service);
    }
    for callers in [1, 8, 64] {
        let connected = Callers::new(address, callers);
        let requests = size.of(800 / callers);
        let p50 = |service| percentile(&mut connected.run(service, requests).latencies, 0.5);
        let throughput = |service| connected.run(service, requests).throughput;
        let latency = ratio(size.of(ROUNDS), || p50(SERVICES[0]), || p50(SERVICES[1]));
        let what = format!("D-Bus GetToken on {name}, {}: p50 over bare zbus", number_of(callers));
        figures.add(what, latency, "×", at_most(1.10));
        let rate = ratio(size.of(ROUNDS), || throughput(SERVICES[0]), || throughput(SERVICES[1]));
        let what = format!("D-Bus GetToken on {name}, {}: calls a second over bare zbus", number_of(callers));
        figures.add(what, rate, "×", Some(Goal::AtLeast(0.90)));
    }
}

/// Instructions of a cached GET in the daemon, over those of the bare server, as callgrind counts them.
pub fn instructions(size: Size, figures: &mut Figures) {
    if Command::new("valgrind").arg("--version").output().is_err() {
        eprintln!("   left out: valgrind is not installed");
        return;
    }
    let rig = Rig::start(&[]);
    let reply = rig.daemon.get("/v1/token");
    let folder = rig.daemon.folder().to_owned();
    let (few, many) = (size.of(1000), size.of(1000) * 3);
    let per_request = |count: &dyn Fn(usize) -> u64| (count(many) - count(few)) as f64 / (many - few) as f64;
    let bare = per_request(&|requests| {
        let socket = folder.join("counted.sock");
        let _ = std::fs::remove_file(&socket);
        std::fs::write(folder.join("reply"), format!("{}\r\n\r\n{}", reply.head, reply.body)).expect("a reply");
        let mut server = under_callgrind(&folder);
        server.arg(std::env::current_exe().expect("this program")).arg("limit-http");
        count(server.arg(&socket).arg(folder.join("reply")), &socket, &folder, requests)
    });
    let mut rig = rig;
    assert!(rig.daemon.stop().success());
    let ours = per_request(&|requests| {
        let socket = folder.join("api.sock");
        let _ = std::fs::remove_file(&socket);
        let mut server = under_callgrind(&folder);
        server.arg(super::support::daemon::program()).arg("run").args(["--bus", "none", "--config"]);
        server.arg(folder.join("bearerd.toml")).arg("--state-dir").arg(folder.join("state")).arg("--socket");
        count(server.arg(&socket), &socket, &folder, requests)
    });
    figures.add("instructions of a cached GET in the daemon", Spread::exactly(ours), "", None);
    let ratio = Spread::exactly(ours / bare);
    figures.add("instructions of a cached GET over bare hyper (callgrind)", ratio, "×", at_most(1.6));
}

fn under_callgrind(folder: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet"]).arg(format!("--callgrind-out-file={}/counted", folder.display()));
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command
}

/// All instructions of a server that was started, answered so many requests, and was ended.
fn count(server: &mut Command, socket: &Path, folder: &Path, requests: usize) -> u64 {
    let mut server = rig::Helper(server.spawn().expect("valgrind runs"));
    rig::wait_for_socket(socket);
    let mut caller = Caller::new(socket);
    for _ in 0..requests {
        caller.ask();
    }
    drop(caller);
    let ended = Command::new("kill").arg(server.0.id().to_string()).status().expect("kill runs");
    assert!(ended.success());
    server.0.wait().expect("an end");
    let counted = std::fs::read_to_string(folder.join("counted")).expect("what callgrind wrote");
    let totals = counted.lines().find_map(|line| line.strip_prefix("totals: ")).expect("totals");
    totals.trim().parse().expect("a number")
}

fn number_of(callers: usize) -> String {
    if callers == 1 { "1 caller".into() } else { format!("{callers} callers") }
}

/// Many and short: whatever else the machine does then falls on both alike.
const ROUNDS: usize = 75;

fn at_most(bar: f64) -> Option<Goal> {
    Some(Goal::AtMost(bar))
}
