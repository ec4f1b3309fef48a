//! The table of real servers in docs/providers.md says what a run of the tests has seen, and nothing else.

use std::{collections::BTreeSet, fs};

use super::{
    read, root,
    support::seen::{FEATURES, SERVERS},
};

/// `make providers` writes it again. Every `make test` compares it with what it has seen.
#[test]
fn the_table_of_real_servers_is_what_a_run_has_seen() {
    if let Some(run) = std::env::var_os("BEARERD_TABLE_OF") {
        let made = render(&fs::read_to_string(run).expect("what a run has seen: make providers"));
        let text = read(PAGE);
        let [before, table, after] = parts(&text);
        if std::env::var_os("BEARERD_WRITE").is_some() {
            fs::write(root().join(PAGE), [before, BEGIN, &made, END, after].concat()).expect("a page");
        } else {
            assert_eq!(table, made, "{PAGE} is not what this run has seen; write it: make providers");
        }
    }
    let text = read(PAGE);
    let rows: Vec<Vec<&str>> = parts(&text)[1].trim().lines().map(cells).collect();
    assert_eq!(
        rows[0][1..],
        SERVERS.map(|name| format!("`{name}`")),
        "its columns are the servers that the tests start"
    );
    let features: Vec<&str> = rows[2..].iter().map(|row| row[0]).collect();
    assert_eq!(features, FEATURES, "its rows are what the tests can tell");
    assert!(rows.iter().all(|row| row.len() == SERVERS.len() + 1 && row.iter().all(|cell| !cell.is_empty())));
}

/// What is before the table, the table, and what is after it.
fn parts(text: &str) -> [&str; 3] {
    let (before, rest) = text.split_once(BEGIN).expect("the beginning of the table");
    let (table, after) = rest.split_once(END).expect("the end of the table");
    [before, table, after]
}

fn cells(line: &str) -> Vec<&str> {
    line.trim_matches('|').split('|').map(str::trim).collect()
}

/// The table of a run, from lines of a server, a feature and a result.
fn render(seen: &str) -> String {
    let lines: BTreeSet<Vec<&str>> = seen.lines().map(|line| line.split('\t').collect()).collect();
    let results = |server: &str, feature: &str| {
        let all = lines.iter().filter(|line| line[..2] == [server, feature]).map(|line| line[2]);
        let all: Vec<_> = all.collect();
        if all.is_empty() { NOTHING.to_owned() } else { all.join("; ") }
    };
    let row = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let heads = ["feature".to_owned()].into_iter().chain(SERVERS.map(|name| format!("`{name}`")));
    let mut table = format!("\n{}", row(&heads.collect::<Vec<_>>()));
    table += &"|---".repeat(SERVERS.len() + 1);
    table += "|\n";
    for feature in FEATURES {
        let found = SERVERS.map(|server| results(server, feature));
        table += &row(&[feature.to_owned()].into_iter().chain(found).collect::<Vec<_>>());
    }
    table
}

const PAGE: &str = "docs/providers.md";
const BEGIN: &str = "<!-- made by make providers -->";
const END: &str = "<!-- end -->";
const NOTHING: &str = "—";
