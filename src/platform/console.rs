//! The code above the login prompt of the console. agetty shows what is in `/etc/issue.d`, where a link leads to a file of
//! ours; a path unit makes it look again whenever that file comes, changes or goes.

use std::{
    fs, io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    account::{AccountName, Prompt},
    qr::blocks::Qr,
};

/// The file; it is gone when this is dropped.
pub struct Console {
    path: PathBuf,
}

impl Console {
    /// The file beside the API's socket, so in `/run/bearerd` unless configured otherwise: that folder is there, is ours
    /// to write to, and is empty after a boot. What an earlier run left in it is taken away.
    pub fn beside(socket: &Path) -> Self {
        let console = Self { path: socket.with_file_name("issue") };
        console.clear();
        console
    }

    /// Shows this page, or none. It comes by a rename, so that nobody reads half of it.
    pub fn show(&self, page: Option<&str>) {
        let Some(page) = page else { return self.clear() };
        let new = self.new_path();
        let written = write(&new, page).and_then(|()| fs::rename(&new, &self.path));
        if let Err(error) = written {
            let path = self.path.display();
            tracing::warn!(%error, "the code cannot be shown on the console, because {path} cannot be written");
        }
    }

    /// Takes the file away, and what a kill in the middle of a change left.
    fn clear(&self) {
        for path in [&self.path, &self.new_path()] {
            if is_ours(path) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn new_path(&self) -> PathBuf {
        self.path.with_file_name("issue.new")
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What is shown of the codes that are out: the QR code of the first beside its words, one line for each of the others. It
/// leaves room for agetty's own lines on a text console of 80 × 25. `None` when no code is out.
pub fn page(prompts: &[(AccountName, Arc<Prompt>)]) -> Option<String> {
    let ((name, prompt), others) = prompts.split_first()?;
    let others = others_in_words(others);
    let rows = ROWS - others.len();
    let complete = prompt.verification_uri_complete.as_deref();
    let targets = [complete, Some(prompt.verification_uri.as_str())].into_iter().flatten();
    // The longer address does without typing; where it is too long, the shorter one still does without a mistake.
    let qr = targets.filter_map(|target| Some((target, Qr::fitting(target, COLUMNS - GAP - WORDS, rows)?)));
    let qr = qr.into_iter().find(|(_, qr)| qr.rows() <= rows);
    let mut lines = match &qr {
        Some((target, qr)) => beside(qr, &words(name, prompt, Some(*target) == complete, COLUMNS - qr.columns() - GAP)),
        None => words(name, prompt, false, COLUMNS),
    };
    if lines.len() > rows {
        lines = vec![format!("  {HEADING} {name}: run bearerd login {name}")];
    }
    lines.extend(others);
    Some(lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect())
}

/// The words of one prompt in a column of that width. Where the address of the QR code has the code in it, the person only
/// compares it (RFC 8628 §3.3.1).
fn words(name: &AccountName, prompt: &Prompt, has_code: bool, width: usize) -> Vec<String> {
    let scan = if has_code { "Scan this and compare the code, or open" } else { "Open, or scan, this address" };
    let parts = [
        vec![String::new()],
        wrapped(&format!("{HEADING} {name}"), width),
        vec![String::new()],
        wrapped(scan, width),
        vec![String::new()],
        wrapped(&prompt.verification_uri, width),
        vec![String::new(), "and enter the code".to_owned(), String::new()],
        wrapped(&prompt.user_code, width),
    ];
    parts.concat()
}

fn beside(qr: &Qr, words: &[String]) -> Vec<String> {
    let drawing = qr.draw(false);
    let rows = drawing.lines().enumerate();
    rows.map(|(at, row)| format!("{row}{}{}", " ".repeat(GAP), words.get(at).map_or("", String::as_str))).collect()
}

fn others_in_words(others: &[(AccountName, Arc<Prompt>)]) -> Vec<String> {
    let line = |(name, prompt): &(AccountName, Arc<Prompt>)| {
        format!("{name}: open {} and enter {}", harmless(&prompt.verification_uri), harmless(&prompt.user_code))
    };
    let lines: Vec<String> = others.iter().map(line).collect();
    let fit = lines.len() <= OTHERS && lines.iter().all(|line| line.len() <= COLUMNS);
    if fit { lines } else { vec![format!("{} more accounts wait for a sign-in: run bearerd status", others.len())] }
}

/// The text in lines of at most `width` characters, broken between words where it can be.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in harmless(text).split(' ') {
        let mut rest = word;
        loop {
            let line = lines.len() - 1;
            let gap = usize::from(!lines[line].is_empty());
            let room = width.saturating_sub(lines[line].len() + gap);
            if rest.len() <= room {
                lines[line] += &format!("{}{rest}", " ".repeat(gap));
                break;
            }
            if gap == 0 {
                let (head, tail) = rest.split_at(width.max(1).min(rest.len()));
                lines[line] += head;
                rest = tail;
            }
            lines.push(String::new());
        }
    }
    lines
}

/// Nothing that agetty or a terminal acts on: printable ASCII without the backslash, which begins agetty's escapes. What a
/// server may send was checked when it came; this is the second lock on the door.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if (' '..='~').contains(&c) && c != '\\' { c } else { '?' }).collect()
}

/// The folder of a socket may be anybody's, and `issue` is a name that others use.
fn is_ours(path: &Path) -> bool {
    let own = nix::unistd::geteuid().as_raw();
    let regular = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.uid() == own);
    regular && fs::read_to_string(path).is_ok_and(|text| text.contains(HEADING))
}

fn write(path: &Path, page: &str) -> io::Result<()> {
    let _ = fs::remove_file(path);
    // The code is for who stands before the console; agetty is root and may read it all the same.
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    io::Write::write_all(&mut file, page.as_bytes())
}

/// It also tells our file from others.
const HEADING: &str = "bearerd: sign-in needed for";
/// One less than the console has, so that no line wraps.
const COLUMNS: usize = 79;
/// agetty needs the others: two for the system's name, an empty one, the prompt.
const ROWS: usize = 21;
const OTHERS: usize = 2;
/// The narrowest column that words are set in.
const WORDS: usize = 24;
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(code: &str, uri: &str, complete: Option<&str>) -> Prompt {
        Prompt {
            user_code: code.into(),
            verification_uri: uri.into(),
            verification_uri_complete: complete.map(str::to_owned),
            stranger: None,
            expires: crate::time::Instant::from_boot(std::time::Duration::ZERO),
            interval: std::time::Duration::from_secs(5),
            qr_code: None,
        }
    }

    fn name(text: &str) -> AccountName {
        text.parse().expect("a name")
    }

    fn shown(prompts: &[(&str, Prompt)]) -> String {
        let prompts: Vec<_> =
            prompts.iter().map(|(account, prompt)| (name(account), Arc::new(prompt.clone()))).collect();
        let page = page(&prompts).expect("a page");
        assert!(page.lines().count() <= 21, "agetty needs the other lines:\n{page}");
        assert!(page.lines().all(|line| line.chars().count() <= 79), "a line would wrap:\n{page}");
        let allowed = |c: char| c == '\n' || "█▀▄".contains(c) || ((' '..='~').contains(&c) && c != '\\');
        assert!(page.chars().all(allowed), "{page:?}");
        page
    }

    #[test]
    fn one_code_has_its_qr_code_and_its_words_side_by_side() {
        let uri = "https://acme.kinde.com/device";
        let page = shown(&[("kinde", prompt("CSLD-FDUU", uri, Some(&format!("{uri}?user_code=CSLD-FDUU"))))]);
        assert!(page.contains('█') && page.contains("sign-in needed for kinde"), "{page}");
        assert!(page.contains(&format!("  {uri}\n")) && page.contains("  CSLD-FDUU\n"), "{page}");
        assert!(page.contains("compare the code"), "{page}");
        assert!(shown(&[("kinde", prompt("CSLD-FDUU", uri, None))]).contains("Open, or scan, this address"));
    }

    #[test]
    fn whatever_is_out_fits() {
        let long = |length: usize| format!("https://acme.example/{}", "x".repeat(length));
        for length in [0, 40, 80, 120, 500, 2000] {
            let (uri, complete) = (long(length), long(length + 20));
            let page = shown(&[("kinde", prompt(&"C".repeat(64), &uri, Some(&complete)))]);
            assert!(page.contains("CCC") || page.contains("run bearerd login kinde"), "{page}");
        }
        let many = |count: usize| {
            let one = |at: usize| (["a", "b", "c", "d"][at], prompt("AB-CD", "https://a.example/device", None));
            (0..count).map(one).collect::<Vec<_>>()
        };
        assert!(shown(&many(2)).ends_with("b: open https://a.example/device and enter AB-CD\n"));
        assert!(shown(&many(4)).ends_with("3 more accounts wait for a sign-in: run bearerd status\n"));
        assert!(page(&[]).is_none());
    }

    #[test]
    fn nothing_of_a_server_reaches_agetty_as_an_escape() {
        let hostile = "\\S{PRETTY_NAME}\\4{eth0}\x1b[2J\u{202e}\u{9b}\r\n\\n";
        let page = shown(&[("a", prompt(hostile, hostile, None)), ("b", prompt(hostile, hostile, Some(hostile)))]);
        assert!(page.contains("?S{PRETTY_NAME}?4{eth0}?[2J????"), "{page}");
    }

    #[test]
    fn the_file_comes_whole_and_goes_and_others_are_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let (socket, file) = (folder.path().join("api.sock"), folder.path().join("issue"));
        fs::write(&file, "Debian GNU/Linux").expect("a file");
        let console = Console::beside(&socket);
        assert!(file.exists(), "it is somebody else's");
        let page = shown(&[("a", prompt("AB", "https://a.example", None))]);
        console.show(Some(&page));
        assert_eq!(fs::read_to_string(&file).expect("a page"), page);
        assert_eq!(fs::metadata(&file).expect("a file").mode() & 0o777, 0o600);
        console.show(None);
        assert!(!file.exists());
        console.show(Some(&page));
        drop(console);
        assert!(!file.exists(), "it goes with its owner");
        fs::write(&file, &page).expect("a file");
        fs::write(folder.path().join("issue.new"), &page).expect("a file");
        let _console = Console::beside(&socket);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0, "nothing is left of an earlier run");
    }
}
