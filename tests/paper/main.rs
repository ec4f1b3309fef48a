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
    let path = |line: &str| {
        let (pattern, _) = line.trim().split_once(" => Self::")?;
        let word = |text: &str| text.trim_matches(['"', ')']).to_owned();
        match pattern.strip_prefix("(name, ") {
            Some(verb) => Some(format!("/accounts/{{name}}/{}", word(verb))),
            None if pattern.starts_with("\"/") => Some(word(pattern)),
            None => pattern.starts_with('"').then(|| format!("/v1/accounts/{{name}}/{}", word(pattern))),
        }
    };
    let account = "/v1/accounts/{name}".to_owned();
    let paths: BTreeSet<String> = code.lines().filter_map(path).chain([account]).collect();
    let daemon = Daemon::start("");
    let methods = |path: &String| {
        let reply = daemon.request("PATCH", &path.replace("{name}", "box"), "");
        let allowed = reply.header("allow").unwrap_or_else(|| panic!("{path}: {}", reply.body)).to_owned();
        allowed.split(", ").filter(|method| *method != "HEAD").map(str::to_owned).collect()
    };
    paths.iter().map(|path| (path.clone(), methods(path))).collect()
}
