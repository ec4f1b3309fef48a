//! Every configuration in the README, the documents and the manual is one that the program takes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{read, root, support::daemon::program};

/// One configuration, and where it stands.
struct Block {
    place: String,
    text: String,
}

fn documents(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let found = entries.flat_map(|path| if path.is_dir() { documents(&path) } else { vec![path] });
    found.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// The blocks of a document that are fenced as TOML, without the indentation of a list that they stand in.
fn blocks(path: &Path) -> Vec<Block> {
    let text = fs::read_to_string(path).expect("a document");
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, fence)) = lines.next() {
        let Some(indent) = fence.strip_suffix("```toml") else { continue };
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| line.trim() != "```");
        let text: String = inside.map(|line| format!("{}\n", line.strip_prefix(indent).unwrap_or(line))).collect();
        blocks.push(Block { place: format!("{}:{}", path.display(), number + 1), text });
    }
    blocks
}

/// The literal displays of the manual that are configurations.
fn displays(page: &str) -> Vec<Block> {
    let text = read(page);
    let inside = text.split(".Bd -literal").skip(1).map(|rest| rest.split("\n.Ed").next().unwrap_or_default());
    let texts = inside.filter_map(|display| display.split_once('\n')).map(|(_, text)| format!("{text}\n"));
    texts.map(|text| Block { place: page.to_owned(), text }).collect()
}

/// Makes a block whole that shows a part, and puts what it names where this machine has it.
fn completed(block: &str, folder: &Path) -> String {
    let mut before = String::new();
    let has = |text: &str, name: &str| text.lines().any(|line| line == format!("[accounts.{name}]"));
    let mut names: Vec<String> = Vec::new();
    for line in block.lines() {
        names
            .extend(line.strip_prefix("[[accounts.").and_then(|rest| rest.strip_suffix(".allow]]")).map(str::to_owned));
        if let Some(list) = line.strip_prefix("accounts = ") {
            names.extend(list.split('"').skip(1).step_by(2).map(str::to_owned));
        }
    }
    for name in names {
        if !has(block, &name) && !has(&before, &name) {
            before += &format!("[accounts.{name}]\nissuer = \"https://login.example.com\"\n");
        }
    }
    let line = |line: &str| match line.split_once(" = \"") {
        // These are users of the reader's machine.
        Some((key @ ("user" | "group"), _)) => format!("{key} = \"daemon\"\n"),
        Some((key, path)) if key.ends_with("_file") => {
            let path = folder.join(path.trim_end_matches('"').trim_start_matches('/').replace('/', "-"));
            fs::write(&path, "0123456789").expect("a file");
            format!("{key} = \"{}\"\n", path.display())
        }
        _ => format!("{line}\n"),
    };
    before + &block.lines().map(line).collect::<String>()
}

fn accepted(block: &Block) {
    let folder = tempfile::tempdir().expect("a folder");
    let main = folder.path().join("bearerd.toml");
    // A file of an account alone says so in its first line.
    let drop_in = block.text.strip_prefix("# accounts.d/").and_then(|rest| rest.split_once('\n'));
    let text = completed(&block.text, folder.path());
    match drop_in {
        Some((file, _)) => {
            fs::create_dir(folder.path().join("accounts.d")).expect("a folder");
            fs::write(folder.path().join("accounts.d").join(file), text).expect("a file");
            fs::write(&main, "").expect("a file");
        }
        None => fs::write(&main, text).expect("a file"),
    }
    let said = Command::new(program()).arg("check").arg(&main).output().expect("the program runs");
    assert!(said.status.success(), "{}\n{}", block.place, String::from_utf8_lossy(&said.stderr));
    assert!(!block.text.contains("[accounts.") || !String::from_utf8_lossy(&said.stdout).contains(": 0 accounts"));
}

#[test]
fn every_configuration_in_the_documents_is_taken() {
    let mut all: Vec<Block> = documents(&root().join("docs")).iter().flat_map(|path| blocks(path)).collect();
    all.extend(blocks(&root().join("README.md")));
    let manual = displays("docs/man/bearerd.toml.5");
    assert!(manual.len() == 3 && all.len() > 25, "{} and {}", manual.len(), all.len());
    all.iter().chain(&manual).for_each(accepted);
}

#[test]
fn every_profile_has_a_page_with_a_configuration() {
    let names = |folder: &str| {
        let entries = fs::read_dir(root().join(folder)).expect("a folder").map(|entry| entry.expect("an entry").path());
        let mut names: Vec<_> =
            entries.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
        names.sort();
        names
    };
    assert_eq!(names("docs/providers"), names("conf/providers.d"));
    for name in names("docs/providers") {
        let page = read(&format!("docs/providers/{name}.md"));
        assert!(name == "generic" || page.contains(&format!("\nprovider = \"{name}\"\n")), "{name}");
        assert!(!blocks(&root().join(format!("docs/providers/{name}.md"))).is_empty(), "{name}");
    }
}

#[test]
fn a_configuration_with_a_mistake_would_be_seen() {
    let block = Block { place: "here".into(), text: "[accounts.a]\nisuer = \"https://a.example\"\n".into() };
    assert!(std::panic::catch_unwind(|| accepted(&block)).is_err());
}
