//! Who may do what, understood: `allow` rules of accounts, and `[clients.NAME]`.

use std::{collections::BTreeSet, ops::Range, sync::Arc};

use nix::unistd::{Group, User};
use toml::Spanned;

use super::{Accounts, Problem, fragment, problem::Source};
use crate::{
    account::AccountName,
    platform::{peer::Socket, unit},
};

/// Everything that gives somebody a right to an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    /// The `allow` rules in their order. None at all: whoever can open the socket may have tokens and status.
    pub allow: Vec<Rule>,
    /// What the sockets of clients give to whoever can open them: one rule a client that the account is bound to.
    pub clients: Vec<Rule>,
}

/// One rule: every matcher that is present must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rule {
    /// The caller's user id.
    pub uid: Option<u32>,
    /// One of the caller's groups.
    pub gid: Option<u32>,
    /// The caller's systemd unit.
    pub unit: Option<Arc<str>>,
    /// The socket that it came by.
    pub socket: Option<Socket>,
    /// What is allowed then.
    pub actions: Vec<Action>,
    /// A token may have no other scopes than these; `None`: all that the account has.
    pub scopes: Option<Arc<BTreeSet<String>>>,
}

/// What a caller may do to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// See its state.
    Status,
    /// Have a token.
    Token,
    /// Start a login and see its code.
    Login,
    /// Log out, refresh, reload.
    Manage,
}

/// Reads the rules of one account.
pub(super) fn understand(
    rules: Vec<Spanned<fragment::Rule>>,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Rule> {
    let mut reader = Reader { source, problems };
    rules.into_iter().map(|rule| reader.rule(rule)).collect()
}

/// Binds accounts to the clients' sockets, once all accounts are known, and returns the clients' names.
pub(super) fn bind(
    clients: fragment::Clients,
    accounts: &mut Accounts,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> BTreeSet<Arc<str>> {
    let mut reader = Reader { source, problems };
    let mut names = BTreeSet::new();
    for (name, client) in clients {
        let Some(socket) = reader.client(&name) else { continue };
        if client.accounts.is_empty() {
            reader.wrong(name.span(), "this client is bound to no account", "add accounts = [\"…\"]");
        }
        let rule = Rule {
            socket: Some(Socket::Client(socket.clone())),
            actions: client.actions.unwrap_or_else(usual_actions),
            scopes: client.scopes.map(|scopes| Arc::new(scopes.into_iter().collect())),
            ..Rule::default()
        };
        for account in &client.accounts {
            match accounts.get_mut(account.get_ref().as_str()) {
                Some(settings) => settings.rules.clients.push(rule.clone()),
                None => {
                    let message = format!("there is no account {:?}", account.get_ref());
                    reader.wrong(account.span(), message, "correct the name, or add the account");
                }
            }
        }
        names.insert(socket);
    }
    for rule in accounts.values().flat_map(|settings| &settings.rules.allow) {
        if let Some(Socket::Client(client)) = &rule.socket
            && !names.contains(client)
        {
            let message = format!("an allow rule names the socket {client:?}, and there is no such client");
            let fix = format!("add [clients.{client}], or write api, bus or credential");
            reader.problems.push(Problem { file: source.path.to_owned(), place: None, message, fix: Some(fix) });
        }
    }
    names
}

struct Reader<'a> {
    source: &'a Source<'a>,
    problems: &'a mut Vec<Problem>,
}

impl Reader<'_> {
    fn wrong(&mut self, span: Range<usize>, message: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(self.source.problem(span, message, fix));
    }

    fn rule(&mut self, rule: Spanned<fragment::Rule>) -> Rule {
        let span = rule.span();
        let rule = rule.into_inner();
        if rule.user.is_none() && rule.group.is_none() && rule.unit.is_none() && rule.socket.is_none() {
            let fix = "add user = \"…\", group = \"…\", unit = \"….service\" or socket = \"…\"";
            self.wrong(span, "this rule names nobody", fix);
        }
        let user = |name: &str| Some(User::from_name(name).ok()??.uid.as_raw());
        let group = |name: &str| Some(Group::from_name(name).ok()??.gid.as_raw());
        Rule {
            uid: rule.user.and_then(|name| self.id(&name, "user", user)),
            gid: rule.group.and_then(|name| self.id(&name, "group", group)),
            unit: rule.unit.and_then(|name| self.unit(&name)),
            socket: rule.socket.map(|name| Socket::named(name.get_ref())),
            actions: rule.actions.unwrap_or_else(usual_actions),
            scopes: rule.scopes.map(|scopes| Arc::new(scopes.into_iter().collect())),
        }
    }

    fn id(&mut self, name: &Spanned<String>, kind: &str, find: impl Fn(&str) -> Option<u32>) -> Option<u32> {
        let checked = checked_id(name.get_ref(), kind, find(name.get_ref()));
        checked.map_err(|(message, fix)| self.wrong(name.span(), message, fix)).ok()
    }

    /// Whether the unit exists is not asked: it may be installed, or started, later.
    fn unit(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        if unit::is_name(name.get_ref()) {
            return Some(name.get_ref().as_str().into());
        }
        let message = format!("{:?} is not the full name of a service or scope", name.get_ref());
        self.wrong(name.span(), message, "write it as systemctl does, such as telemetry.service");
        None
    }

    fn client(&mut self, name: &Spanned<String>) -> Option<Arc<str>> {
        // The name becomes that of a directory, so the same letters are good.
        let fits = name.get_ref().parse::<AccountName>().is_ok();
        if !fits || !matches!(Socket::named(name.get_ref()), Socket::Client(_)) {
            let message = format!("{:?} cannot be the name of a client", name.get_ref());
            let fix = "use 1 to 64 of a-z, 0-9, '.', '_' and '-', and none of api, bus and credential";
            self.wrong(name.span(), message, fix);
            return None;
        }
        Some(name.get_ref().as_str().into())
    }
}

/// The id of a user or group that was looked up, if it is that of one program; else what is wrong, and the fix.
pub(super) fn checked_id(name: &str, kind: &str, found: Option<u32>) -> Result<u32, (String, &'static str)> {
    match found {
        None => {
            let fix = "names are looked up when the configuration is read; create it first, or correct the name";
            Err((format!("there is no {kind} {name:?} on this machine"), fix))
        }
        Some(id) if id == NOBODY || DYNAMIC.contains(&id) => {
            Err((format!("the {kind} {name:?} has an id that many programs share ({id})"), "use a static one"))
        }
        Some(id) => Ok(id),
    }
}

fn usual_actions() -> Vec<Action> {
    vec![Action::Status, Action::Token]
}

/// The id that stands for whoever has none.
pub const NOBODY: u32 = 65_534;
/// The ids that systemd hands out and takes back (`DynamicUser=`).
const DYNAMIC: std::ops::RangeInclusive<u32> = 61184..=65519;
