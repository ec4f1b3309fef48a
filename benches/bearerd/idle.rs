//! What it costs to be there while nobody asks.

use std::{fs, path::Path, thread::sleep, time::Duration};

use super::{
    figures::{Figures, Goal},
    load_http::Caller,
    rig::{Rig, Size},
    rounds::Spread,
};

/// Processor time, wake-ups and memory of an idle daemon, and the price of a connection that stays.
pub fn measure(size: Size, figures: &mut Figures) {
    let rig = Rig::start(&[]);
    let pid = rig.daemon.pid();
    // What the sign-in stirred up has to settle before the rest begins: the threads that write files end after 10 s.
    sleep(Duration::from_secs(if size == Size::Full { 15 } else { 1 }));
    if size == Size::Full {
        // In the middle between two ticks, or it is chance whether a minute has two of them or three.
        let before = used(pid).1;
        while used(pid).1.total_cmp(&before).is_eq() {
            sleep(Duration::from_millis(50));
        }
        sleep(Duration::from_secs(15));
    }
    let (cpu, wakeups) = used(pid);
    sleep(Duration::from_secs(if size == Size::Full { 60 } else { 1 }));
    let (cpu, wakeups) = {
        let (later_cpu, later) = used(pid);
        (later_cpu - cpu, later - wakeups)
    };
    figures.add("idle, one account: processor time a minute", Spread::exactly(cpu), "ms", Some(Goal::AtMost(1.0)));
    figures.add(
        "idle, one account: wake-ups a minute, without the watchdog",
        Spread::exactly(wakeups),
        "",
        Some(Goal::AtMost(2.0)),
    );
    let (pss, private) = memory(pid);
    figures.add("idle, one account: PSS", Spread::exactly(pss), "MiB", Some(Goal::AtMost(4.0)));
    figures.add("idle, one account: private memory", Spread::exactly(private), "MiB", Some(Goal::AtMost(3.0)));

    let (bare, socket) = rig.bare_http();
    let connections = size.of(900);
    let ours = per_connection(pid, &rig.daemon.socket(), connections);
    let theirs = per_connection(bare.0.id(), &socket, connections);
    figures.add(
        "an idle kept connection, over bare hyper's",
        Spread::exactly(ours / theirs),
        "×",
        Some(Goal::AtMost(1.1)),
    );
    figures.add("an idle kept connection", Spread::exactly(ours), "KiB", None);
}

/// KiB that each of so many connections adds, after one answer each.
fn per_connection(pid: u32, socket: &Path, connections: usize) -> f64 {
    Caller::new(socket).ask();
    let before = memory(pid).1;
    let mut callers: Vec<Caller> = (0..connections).map(|_| Caller::new(socket)).collect();
    for caller in &mut callers {
        caller.ask();
    }
    let after = memory(pid).1;
    (after - before) * 1024.0 / connections as f64
}

/// Milliseconds on a processor, and how often it was woken, over all threads.
pub fn used(pid: u32) -> (f64, f64) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    let mut used = (0.0, 0.0);
    for task in tasks {
        let task = task.expect("a task").path();
        let number = |text: &str| text.trim().parse::<f64>().expect("a number");
        let scheduled = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
        used.0 += scheduled.split(' ').next().filter(|first| !first.is_empty()).map_or(0.0, number) / 1e6;
        let status = fs::read_to_string(task.join("status")).unwrap_or_default();
        let waits = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        used.1 += waits.map_or(0.0, number);
    }
    used
}

/// PSS and private memory in MiB.
pub fn memory(pid: u32) -> (f64, f64) {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("a process");
    let sum = |names: &[&str]| {
        let lines = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
        lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum::<f64>() / 1024.0
    };
    (sum(&["Pss:"]), sum(&["Private_Clean:", "Private_Dirty:"]))
}
