//! `[accounts.NAME.file]`, understood: the file in which an account's token is kept.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use nix::unistd::{Group, User};
use toml::Spanned;

use super::{Accounts, Problem, access, fragment, problem::Source};
use crate::platform::unit;

/// A file that has an account's token in it, and nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenFile {
    /// Where it is; absolute, and nobody else's.
    pub path: PathBuf,
    /// Who it is given to, where that is another user than the daemon's.
    pub user: Option<Id>,
    /// The group that it is given to.
    pub group: Option<Id>,
    /// Its permissions: some of `0o660`.
    pub mode: u32,
    /// The service that is reloaded after each new token.
    pub reload_unit: Option<String>,
}

/// A user or a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Id {
    /// The number.
    pub number: u32,
    /// The name, for messages.
    pub name: String,
}

/// Turns the table into settings. What is wrong goes into `problems`, and then the settings are not to be used.
pub(super) fn understand(
    file: &fragment::TokenFile,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> Option<TokenFile> {
    let mut reader = Reader { source, problems };
    let (user, group) = file.owner.as_ref().map_or((None, None), |owner| reader.owner(owner));
    let mode = file.mode.as_ref().map_or(Some(DEFAULT_MODE), |mode| reader.mode(mode));
    let reload_unit = file.reload_unit.as_ref().map(|unit| reader.service(unit));
    Some(TokenFile { path: reader.path(&file.path)?, user, group, mode: mode?, reload_unit })
}

/// Finds files that two accounts would write, each over the other's token.
pub(super) fn keep_apart(accounts: &Accounts, main: &Path, problems: &mut Vec<Problem>) {
    let mut taken = BTreeMap::new();
    for (name, settings) in accounts {
        let Some(file) = &settings.token_file else { continue };
        if let Some(other) = taken.insert(&file.path, name) {
            let message =
                format!("the accounts {other} and {name} would both keep their token in {}", file.path.display());
            let fix = Some("give each a file of its own".to_owned());
            problems.push(Problem { file: main.to_owned(), place: None, message, fix });
        }
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, value: &Spanned<String>, message: impl Into<String>, fix: &str) {
        self.problems.push(self.source.problem(value.span(), message, fix));
    }

    fn path(&mut self, text: &Spanned<String>) -> Option<PathBuf> {
        let path = Path::new(text.get_ref());
        let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
        if plain && path.is_absolute() && path.file_name().is_some() && !text.get_ref().ends_with('/') {
            return Some(path.to_owned());
        }
        let fix = "write its whole path without \"..\", as in \"/run/bearerd/fleet.token\"";
        self.wrong(text, "this does not say where the file is", fix);
        None
    }

    /// `user`, `user:group` or `:group`, as chown(1) has it.
    fn owner(&mut self, text: &Spanned<String>) -> (Option<Id>, Option<Id>) {
        let (user, group) = match text.get_ref().split_once(':') {
            Some((user, group)) => ((!user.is_empty()).then_some(user), Some(group)),
            None => (Some(text.get_ref().as_str()), None),
        };
        let user_id = |name: &str| Some(User::from_name(name).ok()??.uid.as_raw());
        let group_id = |name: &str| Some(Group::from_name(name).ok()??.gid.as_raw());
        let user = user.and_then(|name| self.id(text, name, "user", user_id(name)));
        (user, group.and_then(|name| self.id(text, name, "group", group_id(name))))
    }

    fn id(&mut self, text: &Spanned<String>, name: &str, kind: &str, found: Option<u32>) -> Option<Id> {
        let checked = access::checked_id(name, kind, found).map_err(|(message, fix)| self.wrong(text, message, fix));
        Some(Id { number: checked.ok()?, name: name.to_owned() })
    }

    fn mode(&mut self, text: &Spanned<String>) -> Option<u32> {
        let digits = text.get_ref();
        let octal = (3..=4).contains(&digits.len()) && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
        match u32::from_str_radix(digits, 8).ok().filter(|_| octal) {
            Some(mode) if mode & !POSSIBLE == 0 => Some(mode),
            Some(mode) if mode & EVERYBODY != 0 => {
                let fix = "write \"0640\", and owner = \":GROUP\" with the group of the programs that are to read it";
                self.wrong(text, "with this mode every program on the machine could have the token", fix);
                None
            }
            _ => {
                let fix = "write who may read and write it as in \"0600\" or \"0640\"";
                self.wrong(text, "this is not the mode of a token file", fix);
                None
            }
        }
    }

    fn service(&mut self, text: &Spanned<String>) -> String {
        if !unit::is_name(text.get_ref()) || !text.get_ref().ends_with(".service") {
            let message = format!("{:?} is not the full name of a service", text.get_ref());
            self.wrong(text, message, "write it as systemctl does, such as telemetry.service");
        }
        text.get_ref().clone()
    }
}

const DEFAULT_MODE: u32 = 0o600;
/// Reading and writing, for owner and group; nobody runs a token.
const POSSIBLE: u32 = 0o660;
const EVERYBODY: u32 = 0o007;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn load(more: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("bearerd.toml");
        std::fs::write(&path, format!("[accounts.a]\nissuer = \"https://a.example\"\n{more}\n")).expect("a file");
        Settings::load(&path).map_err(|error| error.to_string())
    }

    fn understood(lines: &str) -> TokenFile {
        let settings = load(&format!("[accounts.a.file]\n{lines}")).unwrap_or_else(|error| panic!("{error}"));
        let account = settings.accounts.into_values().next().expect("an account");
        TokenFile::clone(&account.token_file.expect("a file"))
    }

    fn refused(lines: &str) -> String {
        load(&format!("[accounts.a.file]\n{lines}")).err().unwrap_or_else(|| panic!("taken: {lines}"))
    }

    #[test]
    fn a_path_is_enough() {
        let path = PathBuf::from("/run/bearerd/a.token");
        let expected = TokenFile { path, user: None, group: None, mode: 0o600, reload_unit: None };
        assert_eq!(understood("path = \"/run/bearerd/a.token\""), expected);
        for path in ["a.token", "", "/", "/run/", "/run/..", "/run/../a", "./a"] {
            assert!(refused(&format!("path = \"{path}\"")).contains("does not say where the file is"), "{path}");
        }
        assert!(refused("mode = \"0600\"").contains("path"));
    }

    #[test]
    fn the_owner_is_a_user_a_group_or_both() {
        let root = Some(Id { number: 0, name: "root".into() });
        for (owner, user, group) in [("root", &root, &None), ("root:root", &root, &root), (":root", &None, &root)] {
            let file = understood(&format!("path = \"/a\"\nowner = \"{owner}\""));
            assert_eq!((&file.user, &file.group), (user, group), "{owner}");
        }
        for owner in ["", ":", "root:", "nobody-of-that-name", ":no-group-of-that-name"] {
            assert!(refused(&format!("path = \"/a\"\nowner = \"{owner}\"")).contains("there is no"), "{owner}");
        }
        assert!(refused("path = \"/a\"\nowner = \"nobody\"").contains("many programs share"));
    }

    #[test]
    fn nobody_else_may_read_it() {
        for (mode, bits) in [("0600", 0o600), ("640", 0o640), ("0440", 0o440), ("0660", 0o660)] {
            assert_eq!(understood(&format!("path = \"/a\"\nmode = \"{mode}\"")).mode, bits, "{mode}");
        }
        for mode in ["0644", "0604", "0606", "0777"] {
            assert!(refused(&format!("path = \"/a\"\nmode = \"{mode}\"")).contains("every program"), "{mode}");
        }
        for mode in ["", "rw", "+600", "0700", "4600", "06000", "0o600", "0680"] {
            assert!(refused(&format!("path = \"/a\"\nmode = \"{mode}\"")).contains("not the mode"), "{mode}");
        }
    }

    #[test]
    fn only_a_service_is_reloaded_and_only_one_account_has_a_file() {
        let unit = |name: &str| format!("path = \"/a\"\nreload_unit = \"{name}\"");
        assert_eq!(understood(&unit("x@1.service")).reload_unit.as_deref(), Some("x@1.service"));
        for name in ["x", "x.scope", "../x.service", ""] {
            assert!(refused(&unit(name)).contains("not the full name of a service"), "{name}");
        }
        let twice = "path = \"/a\"\n[accounts.b]\nissuer = \"https://b.example\"\nfile = { path = \"/a\" }";
        assert!(refused(twice).contains("the accounts a and b would both keep their token in /a"));
        assert!(load(&twice.replacen("path = \"/a\"", "file = { path = \"/b\" }", 1)).is_ok());
    }
}
