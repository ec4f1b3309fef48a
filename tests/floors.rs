//! The house has floors (`docs/architecture.md`): a module may use what is on its own floor or below, never above. And
//! what the lower floors may not touch at all stays out of them.

use std::{
    fs,
    path::{Path, PathBuf},
};

const FLOORS: [(&str, usize); 12] = [
    ("time", 0),
    ("secret", 0),
    ("qr", 0),
    ("oauth", 0),
    ("account", 1),
    ("config", 2),
    ("platform", 2),
    ("broker", 3),
    ("api", 4),
    ("cli", 5),
    ("daemon", 5),
    ("main", 5),
];

/// What a floor below 2 must not use: a runtime, the network, files, clocks, the environment.
const EDGES: [&str; 12] = [
    "tokio",
    "hyper",
    "reqwest",
    "zbus",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::env",
    "SystemTime",
    "std::time::Instant",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = entries.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().find(|(name, _)| *name == module).map(|(_, floor)| *floor)
}

/// The top-level module of a source file.
fn module_of(path: &Path) -> String {
    let below = path.strip_prefix(root()).expect("a path below src");
    let first = below.components().next().expect("a component").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Production code alone: without comments and without the tests at the bottom.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a source file");
    // The tests of some are shared with a neighbour.
    let text = text.replace("#[cfg(test)]\npub(super) mod tests {", "#[cfg(test)]\nmod tests {");
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    production.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n")
}

/// The top-level modules that a file names behind `crate::`, in groups too.
fn used(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for after in code.split("crate::").skip(1) {
        let word =
            |text: &str| text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        match after.strip_prefix('{') {
            None => modules.push(word(after)),
            Some(group) => {
                let mut depth = 0;
                let mut start = true;
                for (at, c) in group.char_indices() {
                    if start && !c.is_whitespace() {
                        modules.push(word(&group[at..]));
                        start = false;
                    }
                    match c {
                        '{' => depth += 1,
                        '}' if depth == 0 => break,
                        '}' => depth -= 1,
                        ',' if depth == 0 => start = true,
                        _ => {}
                    }
                }
            }
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

#[test]
fn arrows_point_down_only() {
    let mut wrong = Vec::new();
    for path in sources(&root()).into_iter().filter(|path| !is_test(path)) {
        let module = module_of(&path);
        if module == "lib" {
            continue;
        }
        let own = floor(&module).unwrap_or_else(|| panic!("{module} has no floor; give it one here and in docs"));
        for other in used(&code(&path)) {
            let theirs = floor(&other).unwrap_or_else(|| panic!("{}: what is crate::{other}?", path.display()));
            // The command line is a client of the API and knows nothing of the daemon's inside.
            let cli_inside = module == "cli" && matches!(other.as_str(), "broker" | "api" | "daemon");
            let api_inside = module == "api" && code(&path).contains("platform::store");
            if theirs > own || cli_inside || api_inside {
                wrong.push(format!("{} uses crate::{other}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_lower_floors_touch_no_edge_of_the_machine() {
    let mut wrong = Vec::new();
    for path in sources(&root())
        .into_iter()
        .filter(|path| !is_test(path) && floor(&module_of(path)).is_some_and(|floor| floor < 2))
    {
        let code = code(&path);
        wrong.extend(
            EDGES.iter().filter(|edge| code.contains(*edge)).map(|edge| format!("{} uses {edge}", path.display())),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What differs between servers is data: outside of the list of the built-in profiles no code knows a provider's name.
#[test]
fn no_code_names_a_provider() {
    let profiles = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/providers.d");
    let names = fs::read_dir(profiles).expect("a folder").map(|entry| entry.expect("an entry").path());
    let names: Vec<_> = names.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    let mut wrong = Vec::new();
    for path in sources(&root()).into_iter().filter(|path| !is_test(path) && !path.ends_with("oauth/built_in.rs")) {
        // Our own name on the bus has a host in it.
        let code = code(&path).to_ascii_lowercase().replace("github.bearerd", "").replace("github/bearerd", "");
        let words: Vec<_> = code.split(|c: char| !c.is_ascii_alphanumeric()).collect();
        let named = names.iter().filter(|name| *name != "generic" && words.contains(&name.as_str()));
        wrong.extend(named.map(|name| format!("{} names {name}", path.display())));
    }
    assert!(names.len() > 10 && wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_reader_of_use_lines_sees_groups() {
    let code =
        "use crate::{\n    account::{Account, State},\n    oauth::client::Client,\n};\nlet x = crate::time::Now;";
    assert_eq!(used(code), ["account", "oauth", "time"]);
}

#[test]
fn the_tests_that_the_threat_model_names_are_there() {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let model = fs::read_to_string(repository.join("docs/threat-model.md")).expect("the threat model");
    let table = model.split("| shown by |").nth(1).expect("a table of what happened elsewhere");
    let last_cells = table.lines().filter_map(|line| line.trim_end_matches([' ', '|']).rsplit('|').next());
    let named: Vec<_> = last_cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let mut code: Vec<String> = Vec::new();
    for path in [root(), repository.join("tests")].iter().flat_map(|folder| sources(folder)) {
        code.push(fs::read_to_string(path).expect("a source file"));
    }
    let is_there = |name: &str| match name {
        command if command.starts_with("cargo ") => true,
        path if path.contains('/') => repository.join(path).is_file(),
        test => code.iter().any(|code| code.contains(&format!("fn {test}("))),
    };
    let missing: Vec<_> = named.iter().filter(|name| !is_there(name)).collect();
    assert!(named.len() > 15 && missing.is_empty(), "{missing:?} of {}", named.len());
}
