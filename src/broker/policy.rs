//! Who may do what. A pure function that both doors ask.

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    config::{Action, NOBODY, Rule, Rules},
    platform::peer::{Caller, Socket},
};

/// Every action there is.
pub const ACTIONS: [Action; 4] = [Action::Status, Action::Token, Action::Login, Action::Manage];

/// Why somebody may do something, for whoever looks into it later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission<'a> {
    /// What gives the right.
    pub ground: Ground,
    /// A token may have these scopes and no others; `None`: all that the account has.
    pub ceiling: Option<&'a Arc<BTreeSet<String>>>,
}

/// What gives a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The account has no rule, and the caller could open the socket.
    NoRules,
    /// It is root, or the daemon's own user.
    Privilege,
    /// The `allow` rule of this number, counted from 1.
    Rule(usize),
    /// The socket of the client that it came by.
    Client,
}

/// Whether `rules` let `caller` do this, and why. Without a rule, whoever can open the socket may have tokens and status.
/// With one, nobody may have a token whom none of them names. Root and the daemon's own user may do the rest in any case:
/// they could as well read the state file.
///
/// Whoever comes by a client's socket has what that is bound to, and what rules add that name them; who they are gives
/// no right by itself, for root in a container is somebody else's root.
///
/// Of several rules the one without a ceiling counts, else the first whose ceiling has all of `asked`, else the first.
pub fn decide<'a>(
    rules: &'a Rules,
    caller: &Caller,
    action: Action,
    own_uid: u32,
    asked: &[&str],
) -> Option<Permission<'a>> {
    let at_a_client = matches!(caller.socket, Socket::Client(_));
    if !at_a_client && rules.allow.is_empty() && matches!(action, Action::Status | Action::Token) {
        return Some(Permission { ground: Ground::NoRules, ceiling: None });
    }
    let by_client = rules.clients.iter().map(|rule| (Ground::Client, rule));
    let by_rule = rules.allow.iter().enumerate().map(|(at, rule)| (Ground::Rule(at + 1), rule));
    let found = by_client
        .chain(by_rule)
        .filter(|(_, rule)| rule.actions.contains(&action) && rule.names(caller))
        .map(|(ground, rule)| Permission { ground, ceiling: rule.scopes.as_ref() })
        .min_by_key(|permission| match permission.ceiling {
            None => 0,
            Some(ceiling) if asked.iter().all(|scope| ceiling.contains(*scope)) => 1,
            Some(_) => 2,
        });
    let privileged = is_privileged(caller, own_uid) && action != Action::Token;
    found.or(privileged.then_some(Permission { ground: Ground::Privilege, ceiling: None }))
}

/// Whether the caller is root or the daemon's own user, and came by a way that says so.
pub fn is_privileged(caller: &Caller, own_uid: u32) -> bool {
    match caller.socket {
        Socket::Api | Socket::Bus => caller.uid == 0 || caller.uid == own_uid,
        Socket::Client(_) | Socket::Credential => false,
    }
}

/// Which rule lets the caller do this, the first of them, counted from 0; `None` where it takes no rule.
pub fn rule(rules: &[Rule], caller: &Caller, action: Action) -> Option<usize> {
    rules.iter().position(|rule| rule.names(caller) && rule.actions.contains(&action))
}

/// The word for an action, as it stands in a rule.
pub fn word(action: Action) -> &'static str {
    match action {
        Action::Status => "status",
        Action::Token => "token",
        Action::Login => "login",
        Action::Manage => "manage",
    }
}

impl Rule {
    /// Whether every matcher that is present holds. A rule without any matches nobody.
    fn names(&self, caller: &Caller) -> bool {
        let by_someone = self.uid.is_some() || self.gid.is_some() || self.unit.is_some();
        if !by_someone && self.socket.is_none() {
            return false;
        }
        // In another user namespace everybody has this id, so it says nothing; the socket of a client still does.
        let is_nobody = [caller.uid, caller.gid].contains(&NOBODY);
        if is_nobody && (by_someone || !matches!(caller.socket, Socket::Client(_))) {
            return false;
        }
        let unknown = u32::MAX;
        let user = self.uid.is_none_or(|uid| uid == caller.uid && uid != unknown);
        let group = self.gid.is_none_or(|gid| (gid == caller.gid || caller.groups.contains(&gid)) && gid != unknown);
        let unit = self.unit.is_none() || self.unit == caller.unit;
        let socket = self.socket.as_ref().is_none_or(|socket| *socket == caller.socket);
        user && group && unit && socket
    }
}

#[cfg(test)]
mod tests;
