//! The manual names every verb, option, exit status, configuration key, route, method and error that there is, and none
//! that there is not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    process::Command,
};

use bearerd::cli::Arguments;
use clap::CommandFactory;

use super::{check, read, root, routes};

const PAGES: [&str; 3] = ["bearerd.8", "bearerd.toml.5", "bearerd-api.7"];

fn page(name: &str) -> String {
    read(&format!("docs/man/{name}"))
}

/// One item of a list in a page.
struct Item {
    section: String,
    subsection: String,
    /// The heads of the lists around it, outermost first.
    around: Vec<String>,
    /// Its own head, without `.It`.
    head: String,
    text: String,
}

/// The items of a page, as mdoc(7) writes them.
fn items(page: &str) -> Vec<Item> {
    let (mut section, mut subsection) = (String::new(), String::new());
    // The number of the item that is open in each list that is.
    let mut open: Vec<Option<usize>> = Vec::new();
    let mut items: Vec<Item> = Vec::new();
    for line in page.lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            ".Sh" => (section, subsection) = (rest.to_owned(), String::new()),
            ".Ss" => rest.clone_into(&mut subsection),
            ".Bl" => open.push(None),
            ".El" => drop(open.pop()),
            ".It" => {
                let above = open.len().saturating_sub(1);
                let around = open[..above].iter().flatten().map(|at| items[*at].head.clone()).collect();
                *open.last_mut().expect("an item is in a list") = Some(items.len());
                let head = rest.replace("\\(dq", "\"");
                let (section, subsection) = (section.clone(), subsection.clone());
                items.push(Item { section, subsection, around, head, text: String::new() });
            }
            _ => {
                for at in open.iter().flatten() {
                    items[*at].text += &format!("{line}\n");
                }
            }
        }
    }
    items
}

/// What stands between two words of a head, at its commas.
fn names(head: &str) -> Vec<String> {
    head.split(" No = ").next().unwrap_or_default().split(" , ").map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_verb_with_its_options_and_no_other() {
    let mut command = Arguments::command();
    command.build();
    let mut defined = BTreeSet::new();
    let mut options = |verb: &str, command: &clap::Command| {
        for argument in command.get_arguments().filter(|argument| verb.is_empty() || !argument.is_global_set()) {
            match argument.get_long() {
                Some("help" | "version") if !verb.is_empty() => {}
                Some(long) => _ = defined.insert((verb.to_owned(), format!("Fl -{long}"))),
                None => {
                    let value = argument.get_value_names().expect("a name")[0].to_lowercase();
                    defined.insert((verb.to_owned(), format!("Ar {value}")));
                }
            }
        }
    };
    options("", &command);
    let verbs: Vec<_> = command.get_subcommands().filter(|verb| verb.get_name() != "help").collect();
    verbs.iter().for_each(|verb| options(verb.get_name(), verb));
    let verbs: BTreeSet<_> = verbs.iter().map(|verb| verb.get_name().to_owned()).chain(["help".into()]).collect();

    let mut described = BTreeSet::new();
    let mut described_verbs = BTreeSet::new();
    for item in items(&page("bearerd.8")) {
        let verb = match item.section.as_str() {
            "DESCRIPTION" => "",
            "VERBS" => item.around.first().unwrap_or(&item.head).split(' ').nth(1).expect("a verb"),
            _ => continue,
        };
        let words: Vec<_> = item.head.split(' ').collect();
        let mut is = |what: &str| described.insert((verb.to_owned(), what.to_owned()));
        match words[0] {
            "Cm" => {
                described_verbs.insert(verb.to_owned());
                let arguments = words.windows(2).filter(|pair| pair[0] == "Ar" && verb != "help");
                arguments.for_each(|pair| _ = is(&pair.join(" ")));
            }
            "Fl" => _ = is(&words[..2].join(" ")),
            other => panic!("{other} in {verb}"),
        }
    }
    assert_eq!(described_verbs, verbs);
    assert_eq!(described, defined);
    assert!(defined.len() > 40, "{defined:?}");
}

#[test]
fn the_manual_has_every_exit_status() {
    let code = read("src/cli/failure.rs");
    let exits = code.split("pub enum Exit {").nth(1).and_then(|rest| rest.split('}').next()).expect("the codes");
    let defined: BTreeSet<_> = exits
        .lines()
        .filter_map(|line| Some(line.trim().split_once(" = ")?.1.trim_end_matches(',').to_owned()))
        .collect();
    let described: BTreeSet<_> = items(&page("bearerd.8"))
        .iter()
        .filter(|item| item.section == "EXIT STATUS")
        .flat_map(|item| names(&item.head))
        .collect();
    assert_eq!(described, defined);
}

/// The keys of a table, which the program lists when it meets one that it does not know.
fn keys(table: &str) -> BTreeSet<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bearerd.toml");
    fs::write(&path, format!("{table}\nno_such_key = 1\n")).expect("a configuration");
    let said = check(&path);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    let expected = said.split("expected ").nth(1).unwrap_or_else(|| panic!("{table}: {said}"));
    expected.lines().next().unwrap_or_default().split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_manual_has_every_configuration_key_with_its_default() {
    let page = items(&page("bearerd.toml.5"));
    let example = read("conf/bearerd.toml");
    let tables = [
        ("Daemon", None, "[daemon]"),
        ("Display", None, "[display]"),
        ("Accounts", None, "[accounts.NAME]"),
        ("Accounts", Some("extra_parameters"), "[accounts.NAME.extra_parameters]"),
        ("Token files", None, "[accounts.NAME.file]"),
        ("Rules", None, "[[accounts.NAME.allow]]"),
        ("Clients", None, "[clients.NAME]"),
    ];
    for (subsection, around, table) in tables {
        let here = page.iter().filter(|item| item.subsection == subsection && item.head.starts_with("Va "));
        let here: Vec<_> = here
            .filter(|item| {
                let outer = item.around.first().map(|head| names(head)[0].trim_start_matches("Va ").to_owned());
                outer.as_deref() == around
            })
            .collect();
        let all = |item: &Item| -> Vec<String> {
            item.head
                .split("Va ")
                .flat_map(names)
                .map(|name| name.trim_end_matches([' ', ',']).to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        let described: BTreeSet<String> = here.iter().flat_map(|item| all(item)).collect();
        let mut defined = keys(&table.replace("NAME", "a"));
        // These tables have subsections of their own.
        defined.remove("allow");
        defined.remove("file");
        assert_eq!(described, defined, "{table}");
        let shown = example.split(&format!("#{table}\n")).nth(1);
        // The commented example is for what most people need.
        let (None, Some(example)) = (around, shown) else { continue };
        for item in here.iter().filter(|item| !item.text.contains("this version refuses them")) {
            let Some((_, default)) = item.head.split_once(" No = Ar ") else { panic!("{} has no value", item.head) };
            for name in all(item) {
                let line = example.lines().find(|line| line.starts_with(&format!("#{name} = ")));
                let line = line.unwrap_or_else(|| panic!("conf/bearerd.toml does not show {name}"));
                if all(item).len() == 1 && !line.contains("/path") && !line.contains("offline") {
                    let value = line.split_once(" = ").expect("a value").1;
                    assert!(value.starts_with(default), "{name} = {default} in the manual, and {value} as an example");
                }
            }
        }
    }
}

#[test]
fn the_manual_has_every_error_in_both_words() {
    let list = read("src/api/problem.rs");
    let list = list.split("let (error, status, dbus) = match error {").nth(1).and_then(|rest| rest.split("};").next());
    let texts: Vec<_> = list.expect("the list").split('"').skip(1).step_by(2).collect();
    let mut defined: BTreeSet<String> = texts.chunks(2).map(|pair| pair.join(" ")).collect();
    for file in ["answer.rs", "framing.rs", "route.rs"] {
        let code = read(&format!("src/api/http/{file}"));
        let code = code.split("#[cfg(test)]").next().unwrap_or_default().to_owned();
        for call in code.split("plain_error(").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()) {
            if let Some(name) = call.split('"').nth(1).filter(|name| !list_has(&defined, name)) {
                defined.insert(name.to_owned());
            }
        }
    }
    let described: BTreeSet<String> = items(&page("bearerd-api.7"))
        .iter()
        .filter(|item| item.head.starts_with("Er "))
        .map(|item| {
            let words = item.head.split(" , Er ");
            words
                .map(|part| part.trim_start_matches("Er ").split(' ').next().unwrap_or_default())
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    assert_eq!(described, defined);
    assert!(defined.len() >= 15, "{defined:?}");
}

fn list_has(list: &BTreeSet<String>, name: &str) -> bool {
    list.iter().any(|entry| entry.split(' ').next() == Some(name))
}

#[test]
fn the_manual_has_every_method_and_property_of_the_bus() {
    let xml = read("dbus/io.github.bearerd.Bearerd1.xml");
    let options = roxmltree::ParsingOptions { allow_dtd: true, ..Default::default() };
    let xml = roxmltree::Document::parse_with_options(&xml, options).expect("XML");
    let mut defined = BTreeSet::new();
    for interface in xml.descendants().filter(|node| node.has_tag_name("interface")) {
        let own = interface.attribute("name").expect("a name");
        for member in interface.children().filter(roxmltree::Node::is_element) {
            let name = member.attribute("name").expect("a name");
            let arguments: Vec<_> = member
                .children()
                .filter(|node| node.has_tag_name("arg"))
                .map(|arg| {
                    format!(
                        "{} {}",
                        arg.attribute("type").unwrap_or_default(),
                        arg.attribute("name").unwrap_or_default()
                    )
                })
                .collect();
            defined.insert((own.to_owned(), name.to_owned(), arguments));
        }
    }
    let mut described = BTreeSet::new();
    for item in items(&page("bearerd-api.7")).into_iter().filter(|item| item.subsection.contains("Bearerd1.")) {
        let mut add = |name: &str, arguments| described.insert((item.subsection.clone(), name.to_owned(), arguments));
        match item.head.split_once(" Ns (") {
            Some((method, arguments)) => {
                let arguments = arguments
                    .split("Ar ")
                    .skip(1)
                    .map(|rest| rest.split(' ').take(2).collect::<Vec<_>>().join(" ").trim_end_matches(')').to_owned());
                add(method.trim_start_matches("Ic "), arguments.collect::<Vec<_>>());
            }
            None => names(item.head.trim_start_matches("Va ")).iter().for_each(|name| _ = add(name, Vec::new())),
        }
    }
    assert_eq!(described, defined);
}

#[test]
fn the_manual_has_every_route() {
    let mut described: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for item in
        items(&page("bearerd-api.7")).iter().filter(|item| item.subsection == "Routes" && item.around.is_empty())
    {
        let [_, method, _, path] = item.head.split(' ').collect::<Vec<_>>()[..] else { panic!("{}", item.head) };
        described.entry(path.to_owned()).or_default().insert(method.to_owned());
    }
    assert_eq!(described, routes());
    assert!(described.len() > 14);
}

#[test]
fn mandoc_finds_nothing_to_say() {
    for page in PAGES {
        let path = root().join("docs/man").join(page);
        let said =
            Command::new("mandoc").args(["-T", "lint", "-W", "warning"]).arg(path).output().expect("mandoc runs");
        assert!(said.status.success() && said.stdout.is_empty(), "{}", String::from_utf8_lossy(&said.stdout));
    }
}

#[test]
fn there_is_one_version() {
    let version = env!("CARGO_PKG_VERSION");
    for name in PAGES {
        assert!(page(name).contains(&format!("\n.Os \"bearerd {version}\"\n")), "{name}");
    }
}
