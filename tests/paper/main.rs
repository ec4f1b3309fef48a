//! What is written down is what the program does.

#[path = "../support/mod.rs"]
mod support;

mod completions;
mod configurations;
mod description;
mod manual;
mod servers;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use support::daemon::{Daemon, program};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn check(path: &Path) -> Output {
    Command::new(program()).arg("check").arg(path).output().expect("the program runs")
}

/// The routes of the program by what its source says, and the methods of each by what it answers.
fn routes() -> BTreeMap<String, BTreeSet<String>> {
    let code = read("src/api/http/asked.rs");
    let patterns = code.lines().filter_map(|line| line.split_once(" => Some(Self::")).map(|(pattern, _)| pattern);
    let path = |pattern: &str| {
        let segments = pattern.trim().trim_matches(['(', ')']).split(", ").filter(|segment| *segment != "None");
        let words = segments.map(|segment| match segment.trim_start_matches("Some(").trim_end_matches(')') {
            "name" => "{name}",
            word => word.trim_matches('"'),
        });
        format!("/{}", words.collect::<Vec<_>>().join("/"))
    };
    let paths: BTreeSet<String> = patterns.map(path).collect();
    let daemon = Daemon::start("");
    let methods = |path: &String| {
        let reply = daemon.request("PATCH", &path.replace("{name}", "box"), "");
        let allowed = reply.header("allow").unwrap_or_else(|| panic!("{path}: {}", reply.body)).to_owned();
        allowed.split(", ").filter(|method| *method != "HEAD").map(str::to_owned).collect()
    };
    paths.iter().map(|path| (path.clone(), methods(path))).collect()
}
