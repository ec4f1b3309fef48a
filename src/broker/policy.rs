//! Who may do what. A pure function that both doors ask.

use crate::{
    config::{Action, Rule},
    platform::peer::Caller,
};

/// Every action there is.
pub const ACTIONS: [Action; 4] = [Action::Status, Action::Token, Action::Login, Action::Manage];

/// Whether `rules` let `caller` do this. Without a rule, whoever can open the socket may have tokens and status. With
/// one, nobody may have a token whom none of them names. Root and the daemon's own user may do the rest in any case:
/// they could as well read the state file.
pub fn allows(rules: &[Rule], caller: &Caller, action: Action, own_uid: u32) -> bool {
    let privileged = caller.uid == 0 || caller.uid == own_uid;
    if rules.is_empty() {
        return privileged || matches!(action, Action::Status | Action::Token);
    }
    let by_rule = rules.iter().any(|rule| rule.names(caller) && rule.actions.contains(&action));
    by_rule || (privileged && action != Action::Token)
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
        let user = self.uid.is_none_or(|uid| uid == caller.uid);
        let group = self.gid.is_none_or(|gid| gid == caller.gid || caller.groups.contains(&gid));
        (self.uid.is_some() || self.gid.is_some()) && user && group
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: u32 = 990;

    fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
        Caller { uid, gid, groups: groups.to_vec() }
    }

    fn rule(uid: Option<u32>, gid: Option<u32>, actions: &[Action]) -> Rule {
        Rule { uid, gid, actions: actions.to_vec() }
    }

    fn allowed(rules: &[Rule], caller: &Caller) -> Vec<&'static str> {
        ACTIONS.into_iter().filter(|action| allows(rules, caller, *action, OWN)).map(word).collect()
    }

    #[test]
    fn without_a_rule_whoever_can_connect_has_tokens_and_status_alone() {
        assert_eq!(allowed(&[], &caller(1000, 1000, &[])), ["status", "token"]);
        for privileged in [0, OWN] {
            assert_eq!(allowed(&[], &caller(privileged, 1, &[])).len(), 4);
        }
    }

    #[test]
    fn with_a_rule_everybody_else_is_denied() {
        let rules = [rule(Some(1000), None, &[Action::Token])];
        assert_eq!(allowed(&rules, &caller(1000, 1000, &[])), ["token"]);
        assert!(allowed(&rules, &caller(1001, 1000, &[1000])).is_empty());
        assert_eq!(allowed(&rules, &caller(0, 0, &[])), ["status", "login", "manage"]);
    }

    #[test]
    fn matchers_are_anded_and_rules_are_ored() {
        let rules =
            [rule(Some(1000), Some(50), &[Action::Token]), rule(None, Some(60), &[Action::Status, Action::Login])];
        assert!(allowed(&rules, &caller(1000, 1000, &[])).is_empty(), "the group is missing");
        assert!(allowed(&rules, &caller(1001, 50, &[])).is_empty(), "it is another user");
        assert_eq!(allowed(&rules, &caller(1000, 1000, &[50])), ["token"]);
        assert_eq!(allowed(&rules, &caller(1000, 60, &[50])), ["status", "token", "login"]);
    }

    #[test]
    fn a_rule_without_a_matcher_names_nobody() {
        assert!(allowed(&[rule(None, None, &ACTIONS)], &caller(1000, 1000, &[])).is_empty());
    }
}
