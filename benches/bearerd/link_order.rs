//! `make link-order`: which functions a verb and a daemon at work run, for the linker to put side by side.
//!
//! The kernel brings sixteen pages for each that is touched, so what lies scattered over the program takes several times
//! its size in memory. What the start, a sign-in and a refresh run besides stays where it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use super::{
    load_dbus::Callers,
    load_http::Caller,
    rig::{self, Bus, Helper, Rig, SERVICES},
    support::daemon::program,
};

/// Runs the program, which needs its symbols for that, under callgrind, and writes the linker script.
pub fn write(script: &Path) {
    let sizes = sizes();
    assert!(sizes.len() > 1000, "the program has no symbols; CARGO_PROFILE_BENCH_STRIP=none leaves them to it");
    let bus_folder = rig::folder();
    let bus = Bus::daemon(bus_folder.path());
    let mut rig = Rig::start(&["--bus", &bus.address]);
    let folder = rig.daemon.folder().to_owned();
    let verb = folder.join("verb");
    let socket = rig.daemon.socket();
    let ended = under_callgrind(&verb).args(["token", "--socket"]).arg(&socket).status().expect("valgrind runs");
    assert!(ended.success());
    assert!(rig.daemon.stop().success());
    let daemon = at_work(&folder, &bus);
    fs::write(script, layout(&sizes, &functions(&verb), &functions(&daemon))).expect("a linker script");
}

/// What callgrind wrote of a daemon that has started before, let time pass, and answered at both doors.
fn at_work(folder: &Path, bus: &Bus) -> PathBuf {
    let (socket, output) = (folder.join("api.sock"), folder.join("daemon"));
    let mut daemon = under_callgrind(&output);
    daemon.arg("run").arg("--config").arg(folder.join("bearerd.toml")).arg("--state-dir").arg(folder.join("state"));
    daemon.arg("--socket").arg(&socket).args(["--bus", &bus.address]);
    let daemon = Helper(daemon.spawn().expect("valgrind runs"));
    rig::wait_for_name(&bus.address, SERVICES[0]);
    let callers = Callers::new(&bus.address, 1);
    // The first of all looks up what is known from then on.
    Caller::new(&socket).ask();
    callers.run(SERVICES[0], 1);
    let control = |what: &str| {
        let pid = daemon.0.id().to_string();
        let done = Command::new("callgrind_control").args([what, &pid]).stdout(Stdio::null()).status();
        assert!(done.expect("callgrind_control runs").success());
    };
    control("--zero");
    // Two ticks at the least.
    sleep(Duration::from_secs(65));
    let mut kept = Caller::new(&socket);
    for _ in 0..20 {
        kept.ask();
        Caller::new(&socket).ask();
    }
    callers.run(SERVICES[0], 20);
    control("--dump");
    folder.join("daemon.1")
}

fn under_callgrind(output: &Path) -> Command {
    let mut command = Command::new("valgrind");
    command.args(["--tool=callgrind", "--quiet", "--demangle=no"]);
    command.arg(format!("--callgrind-out-file={}", output.display())).arg(program());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The functions of the program and their sizes in bytes.
fn sizes() -> BTreeMap<String, usize> {
    let output = Command::new("nm").args(["--print-size", "--defined-only", program()]).output().expect("nm runs");
    let listed = String::from_utf8_lossy(&output.stdout).into_owned();
    let functions = listed.lines().filter_map(|line| {
        let words: Vec<_> = line.split(' ').collect();
        let [_, size, "t" | "T" | "w" | "W", name] = words[..] else { return None };
        Some((name.to_owned(), usize::from_str_radix(size, 16).ok()?))
    });
    functions.collect()
}

/// The functions that ran, by what callgrind wrote.
fn functions(counted: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(counted).expect("what callgrind wrote");
    let (mut ran, mut names) = (BTreeSet::new(), BTreeMap::new());
    for line in text.lines() {
        let Some((kind @ ("fn" | "cfn"), rest)) = line.split_once('=') else { continue };
        let (number, name) = rest.split_once(' ').unwrap_or((rest, ""));
        if !name.is_empty() {
            // The second and further levels of a recursion are told apart by a number after that sign.
            names.insert(number, name.split('\'').next().unwrap_or(name));
        }
        if kind == "fn" {
            ran.extend(names.get(number).map(|name| (*name).to_owned()));
        }
    }
    ran
}

/// The linker script: what the verb alone ran, what both did, what the daemon alone did, and last the names that fit much
/// else besides, those that fit least of it first.
fn layout(sizes: &BTreeMap<String, usize>, verb: &BTreeSet<String>, daemon: &BTreeSet<String>) -> String {
    let mut patterns: BTreeMap<String, Ran> = BTreeMap::new();
    for (name, size) in sizes.iter().filter(|(name, _)| name.starts_with('_')) {
        let (by_verb, by_daemon) = (verb.contains(name), daemon.contains(name));
        let ran = patterns.entry(pattern(name)).or_default();
        *if by_verb || by_daemon { &mut ran.size } else { &mut ran.other } += size;
        (ran.by_verb, ran.by_daemon) = (ran.by_verb | by_verb, ran.by_daemon | by_daemon);
    }
    let wanted = patterns.iter().filter(|(_, ran)| (ran.by_verb || ran.by_daemon) && ran.other <= WASTE);
    let mut wanted: Vec<_> = wanted.collect();
    wanted.sort_by_key(|(pattern, ran)| {
        let much_else = ran.other > ran.size.max(FEW);
        (much_else, if much_else { ran.other } else { 0 }, ran.by_daemon, !ran.by_verb, *pattern)
    });
    let mut script = HEAD.to_owned();
    for (pattern, _) in wanted {
        let _ = writeln!(script, "    *(.text*.{pattern})");
    }
    script + TAIL
}

/// What is known of the functions that a pattern fits.
#[derive(Default)]
struct Ran {
    /// Bytes of those that ran, and of the others.
    size: usize,
    other: usize,
    by_verb: bool,
    by_daemon: bool,
}

/// A symbol without what changes with the compiler and the place of the build: the hash at the end of a name, and those
/// of crates within it.
fn pattern(symbol: &str) -> String {
    if let Some((name, _)) = symbol.rsplit_once("17h").filter(|_| symbol.starts_with("_ZN")) {
        return format!("{name}17h*");
    }
    // Of several functions with one name, the others have numbers behind it.
    let numbered = symbol.rsplit_once('.').filter(|(_, number)| number.bytes().all(|byte| byte.is_ascii_digit()));
    let mut parts = numbered.map_or(symbol, |(name, _)| name).split("Cs");
    let mut pattern = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let hash = part.split_once('_').filter(|(hash, name)| {
            hash.bytes().all(|byte| byte.is_ascii_alphanumeric()) && name.starts_with(|c: char| c.is_ascii_digit())
        });
        match hash {
            Some((_, name)) => write!(pattern, "Cs*_{name}"),
            None => write!(pattern, "Cs{part}"),
        }
        .expect("text is written to memory");
    }
    pattern + if numbered.is_some() { ".*" } else { "" }
}

/// A name that fits so many bytes besides what ran is left out: a quarter of what comes into memory with a function that lies
/// elsewhere.
const WASTE: usize = 16 * 1024;
/// So little else is no matter.
const FEW: usize = 2000;
const HEAD: &str = "/* Written by `make link-order`; see build.rs and docs/benchmarks.md. First what `bearerd token` runs, then what a daemon
   at work does, so that little else comes into memory with it. A name that fits nothing does no harm. */
SECTIONS {
  .text.often : {
";
const TAIL: &str = "  }
} INSERT BEFORE .text;
";
