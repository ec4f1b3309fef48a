use super::*;

const OWN: u32 = 990;

fn caller(uid: u32, gid: u32, groups: &[u32]) -> Caller {
    Caller { socket: Socket::Api, uid, gid, groups: groups.to_vec(), unit: None }
}

fn in_unit(unit: &str) -> Caller {
    Caller { unit: Some(unit.into()), ..caller(1000, 1000, &[]) }
}

fn by(socket: Socket, caller: Caller) -> Caller {
    Caller { socket, ..caller }
}

fn client(name: &str) -> Socket {
    Socket::Client(name.into())
}

fn rule(uid: Option<u32>, gid: Option<u32>, actions: &[Action]) -> Rule {
    Rule { uid, gid, actions: actions.to_vec(), ..Rule::default() }
}

fn rules(allow: &[Rule]) -> Rules {
    Rules { allow: allow.to_vec(), clients: Vec::new() }
}

fn allowed(rules: &Rules, caller: &Caller) -> Vec<&'static str> {
    let may = |action: &Action| decide(rules, caller, *action, OWN, &[]).is_some();
    ACTIONS.into_iter().filter(may).map(word).collect()
}

fn scopes(words: &str) -> Option<Arc<BTreeSet<String>>> {
    Some(Arc::new(words.split_whitespace().map(str::to_owned).collect()))
}

#[test]
fn without_a_rule_whoever_can_connect_has_tokens_and_status_alone() {
    let none = Rules::default();
    assert_eq!(allowed(&none, &caller(1000, 1000, &[])), ["status", "token"]);
    assert_eq!(allowed(&none, &Caller::unit_by_systemd("a.service")), ["status", "token"]);
    for privileged in [0, OWN] {
        assert_eq!(allowed(&none, &caller(privileged, 1, &[])).len(), 4);
    }
}

#[test]
fn with_a_rule_everybody_else_is_denied() {
    let rules = rules(&[rule(Some(1000), None, &[Action::Token])]);
    assert_eq!(allowed(&rules, &caller(1000, 1000, &[])), ["token"]);
    assert!(allowed(&rules, &caller(1001, 1000, &[1000])).is_empty());
    assert_eq!(allowed(&rules, &caller(0, 0, &[])), ["status", "login", "manage"]);
}

#[test]
fn matchers_are_anded_and_rules_are_ored() {
    let rules =
        rules(&[rule(Some(1000), Some(50), &[Action::Token]), rule(None, Some(60), &[Action::Status, Action::Login])]);
    assert!(allowed(&rules, &caller(1000, 1000, &[])).is_empty(), "the group is missing");
    assert!(allowed(&rules, &caller(1001, 50, &[])).is_empty(), "it is another user");
    assert_eq!(allowed(&rules, &caller(1000, 1000, &[50])), ["token"]);
    assert_eq!(allowed(&rules, &caller(1000, 60, &[50])), ["status", "token", "login"]);
}

#[test]
fn a_rule_without_a_matcher_names_nobody() {
    assert!(allowed(&rules(&[rule(None, None, &ACTIONS)]), &caller(1000, 1000, &[])).is_empty());
}

#[test]
fn a_unit_is_the_whole_name_and_systemd_may_say_it() {
    let unit = Rule { unit: Some("a.service".into()), ..rule(None, None, &[Action::Token]) };
    let with_user = Rule { uid: Some(1000), ..unit.clone() };
    assert_eq!(allowed(&rules(std::slice::from_ref(&unit)), &in_unit("a.service")), ["token"]);
    assert_eq!(allowed(&rules(std::slice::from_ref(&unit)), &Caller::unit_by_systemd("a.service")), ["token"]);
    for other in [in_unit("a.service.service"), in_unit("A.service"), caller(1000, 1000, &[])] {
        assert!(allowed(&rules(std::slice::from_ref(&unit)), &other).is_empty(), "{other}");
    }
    assert!(allowed(&rules(&[with_user]), &Caller::unit_by_systemd("a.service")).is_empty(), "no user is known");
}

#[test]
fn whoever_has_no_id_of_their_own_is_named_by_no_rule() {
    for (uid, gid) in [(NOBODY, 1), (1000, NOBODY), (NOBODY, NOBODY)] {
        let nobody = Caller { unit: Some("a.service".into()), ..caller(uid, gid, &[50]) };
        let all = [
            rule(Some(uid), None, &ACTIONS),
            rule(None, Some(gid), &ACTIONS),
            rule(None, Some(50), &ACTIONS),
            Rule { unit: Some("a.service".into()), ..rule(None, None, &ACTIONS) },
            Rule { socket: Some(Socket::Api), ..rule(None, None, &ACTIONS) },
        ];
        assert!(allowed(&rules(&all), &nobody).is_empty(), "{nobody}");
        let bound = Rule { socket: Some(client("web")), ..rule(None, None, &[Action::Token]) };
        let bound = Rules { allow: all.to_vec(), clients: vec![bound] };
        assert_eq!(allowed(&bound, &by(client("web"), nobody)), ["token"], "the socket is a right by itself");
    }
    let unknown = rules(&[rule(Some(u32::MAX), None, &ACTIONS), rule(None, Some(u32::MAX), &ACTIONS)]);
    assert!(allowed(&unknown, &Caller::unknown()).is_empty());
}

#[test]
fn a_clients_socket_gives_what_it_is_bound_to_and_nothing_by_who_comes() {
    let web = Rule { socket: Some(client("web")), ..rule(None, None, &[Action::Token]) };
    let bound = Rules { allow: Vec::new(), clients: vec![web.clone()] };
    assert_eq!(allowed(&bound, &caller(1000, 1000, &[])), ["status", "token"], "the API's socket is as before");
    for uid in [0, OWN, 1000] {
        assert_eq!(allowed(&bound, &by(client("web"), caller(uid, 0, &[]))), ["token"]);
        assert!(allowed(&bound, &by(client("other"), caller(uid, 0, &[]))).is_empty());
        assert!(allowed(&Rules::default(), &by(client("web"), caller(uid, 0, &[]))).is_empty());
    }
}

#[test]
fn of_several_ceilings_the_one_that_has_what_is_asked_counts() {
    let limited = |words: &str| Rule { scopes: scopes(words), ..rule(Some(1000), None, &[Action::Token]) };
    let both = rules(&[limited("a"), limited("b c")]);
    let at = |rules: &Rules, asked: &[&str]| {
        decide(rules, &caller(1000, 1000, &[]), Action::Token, OWN, asked).map(|found| found.ground)
    };
    assert_eq!(at(&both, &[]), Some(Ground::Rule(1)));
    assert_eq!(at(&both, &["c"]), Some(Ground::Rule(2)));
    assert_eq!(at(&both, &["a", "b"]), Some(Ground::Rule(1)), "none has both, and two are not added up");
    let and_all = rules(&[limited("a"), rule(Some(1000), None, &[Action::Token])]);
    assert_eq!(at(&and_all, &["a"]), Some(Ground::Rule(2)), "the one without a ceiling");
}
