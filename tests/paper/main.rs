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
    let code = read("src/api/http/route.rs");
    let mut paths = BTreeSet::from(["/".to_owned()]);
    for line in code.lines().map(str::trim).filter(|line| line.contains("=> Some(Self::") && line.contains('"')) {
        let pattern = line.split("=>").next().unwrap_or_default();
        let texts: Vec<_> = pattern.split('"').skip(1).step_by(2).collect();
        match (pattern.contains("name"), texts.as_slice()) {
            (true, [verb]) if pattern.starts_with("Some((") => paths.insert(format!("/accounts/{{name}}/{verb}")),
            (true, [first]) => paths.insert(format!("/v1/{first}/{{name}}")),
            (true, [first, verb]) => paths.insert(format!("/v1/{first}/{{name}}/{verb}")),
            (false, [first]) if pattern.starts_with('(') => paths.insert(format!("/v1/{first}")),
            (false, [path]) => paths.insert(format!("/{path}")),
            other => panic!("what is {line}? {other:?}"),
        };
    }
    let alone = code.split("path == \"").skip(1).filter_map(|rest| rest.split('"').next());
    paths.extend(alone.map(|path| format!("/{path}")));
    let daemon = Daemon::start("");
    let methods = |path: &String| {
        let reply = daemon.request("PATCH", &path.replace("{name}", "box"), "");
        let allowed = reply.header("allow").unwrap_or_else(|| panic!("{path}: {}", reply.body)).to_owned();
        allowed.split(", ").filter(|method| *method != "HEAD").map(str::to_owned).collect()
    };
    paths.iter().map(|path| (path.clone(), methods(path))).collect()
}
