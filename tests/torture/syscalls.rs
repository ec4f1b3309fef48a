//! Death at every system call: of a start with its load and a refresh, and of every call by which a refresh is saved.

use std::{collections::BTreeMap, fs, path::Path, time::Duration};

use crate::{
    box_of::{Asked, Box, Strace},
    counts::Counts,
    errno::{WORKERS, each, saved_files},
};

/// A moment to die: the entry of a thread's nth call of this name.
type Point = (String, usize);

/// What is done under strace with these options; returns whether the daemon outlives it.
type Act = fn(&mut Box, &[&str]) -> bool;

#[test]
fn death_at_any_call_of_a_start_or_a_refresh_is_recovered_from() {
    let killed = die_everywhere(survives_start, Counts::get().stride);
    println!("killed at {killed} system calls of a start and a refresh: all recovered");
}

#[test]
fn death_at_any_call_of_a_save_is_recovered_from() {
    let killed = die_everywhere(survives_save, Counts::get().stride / 15);
    println!("killed at {killed} system calls of the saves of a refresh: all recovered");
}

/// Records the calls of an act and repeats it with death at each `stride`th of them. Returns how often it died.
fn die_everywhere(act: Act, stride: usize) -> usize {
    let mut this = Box::new(false, GRACE);
    let trace = this.daemon.folder().join("trace");
    assert!(act(&mut this, &["-o", &trace.display().to_string()]));
    this.daemon.kill();
    let points = points_of(&trace);
    let lanes = lanes(points.into_iter().skip(stride / 2).step_by(stride.max(1)));
    let killed: usize = each(lanes, move |(sealed, points)| die_at(act, sealed, &points)).into_iter().sum();
    assert!(killed > 0, "nothing died");
    killed
}

fn die_at(act: Act, sealed: bool, points: &[Point]) -> usize {
    let mut this = Box::new(sealed, GRACE);
    let mut died = 0;
    for point in points {
        died += usize::from(!act(&mut this, &["-o", "/dev/null", "-e", &injection(point)]));
        recovers(&mut this, point);
    }
    died
}

/// Starts the daemon under strace and refreshes. Returns whether it outlives that.
fn survives_start(this: &mut Box, options: &[&str]) -> bool {
    this.daemon.kill();
    let strace: Vec<&str> = ["strace", "-D", "-f", "-q"].iter().chain(options).copied().collect();
    this.daemon.launch(&strace);
    this.daemon.gets_ready() && refresh_outlives(this)
}

/// Refreshes with strace at the calls that concern the state. Returns whether the daemon outlives that.
fn survives_save(this: &mut Box, options: &[&str]) -> bool {
    this.daemon.kill();
    this.daemon.start_again();
    this.wait_for_state(&["active"]);
    let _strace = Strace::attach(this.daemon.pid(), options, &saved_files(this), this.daemon.folder());
    refresh_outlives(this)
}

/// Asks for a refresh, and returns whether the daemon outlives it.
fn refresh_outlives(this: &Box) -> bool {
    this.try_ask_for_refresh().is_some_and(Asked::was_answered)
}

fn recovers(this: &mut Box, point: &Point) {
    this.daemon.kill();
    this.daemon.start_again();
    let (state, reason) = this.wait_for_state(&["active", "signed_out"]);
    assert_eq!((state.as_str(), reason.as_str()), ("active", ""), "{point:?}\n{}", this.daemon.log());
    assert!(!this.unreadable(), "{point:?}\n{}", this.daemon.log());
    let token = this.daemon.get("/v1/token").text("access_token");
    assert!(this.server.accepts(&token), "{point:?}");
    assert_eq!(this.other_violations(), Vec::<String>::new(), "{point:?}");
}

fn injection((call, number): &Point) -> String {
    format!("inject={call}:signal=SIGKILL:when={number}")
}

/// Every call of a trace. strace counts each kind of call in each thread.
fn points_of(trace: &Path) -> Vec<Point> {
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in fs::read_to_string(trace).expect("a trace").lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        if let Some((call, _)) = rest.trim_start().split_once('(')
            && call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        {
            *counts.entry((call.to_owned(), thread.to_owned())).or_default() += 1;
        }
    }
    let mut most: BTreeMap<String, usize> = BTreeMap::new();
    for ((call, _), count) in counts {
        let most = most.entry(call).or_default();
        *most = count.max(*most);
    }
    most.into_iter().flat_map(|(call, count)| (1..=count).map(move |number| (call.clone(), number))).collect()
}

/// Shares the points among boxes, every second one of which is sealed.
fn lanes(points: impl Iterator<Item = Point>) -> Vec<(bool, Vec<Point>)> {
    let mut lanes: Vec<_> = (0..WORKERS).map(|number| (number % 2 == 1, Vec::new())).collect();
    for (number, point) in points.enumerate() {
        lanes[number % WORKERS].1.push(point);
    }
    lanes.retain(|(_, points)| !points.is_empty());
    lanes
}

const GRACE: Duration = Duration::from_secs(60);
