//! Tokens for other targets than the account's own: one grant, one queue, and no harm to either.

use std::{collections::HashMap, sync::Arc};

use serde_json::json;

use super::{
    Disk, LoginMode, Need, Reason, State, What, World, hours,
    replies::{answer, busy, error, lost, tokens, tokens_of, unsent},
    secs,
    server::{Mood, Server},
};
use crate::{
    oauth::{
        client::Client,
        exchange::{Response, Unreachable},
        narrow::{Narrow, ScopeOnRefresh},
        target::{Target, Wish},
    },
    secret::Secret,
};

const OWN: &str = "https://own/";
const ANY: Need = Need { min_validity: secs(0), rejected: None, attempts: 0 };

/// A client that signs in for twenty resources and an audience.
fn client() -> Client {
    // The last one is what a request for all of them shows here.
    let resource = (0..20).map(|n| format!("https://r{n}/")).chain([OWN.into()]).collect();
    Client { resource, audience: vec!["x".into(), "y".into()], ..super::client() }
}

fn of(wish: Wish<'_>) -> Target {
    Target::read(wish, &client()).expect("a target").expect("another than the account's own")
}

fn scope(scope: &str) -> Target {
    of(Wish { scope: Some(scope), ..Wish::default() })
}

fn resource(resource: &str) -> Target {
    of(Wish { resource: Some(resource), ..Wish::default() })
}

/// An account that was granted `openid a b c`, a minute after the sign-in.
fn granted() -> World {
    granted_with(client())
}

fn granted_with(client: Client) -> World {
    let mut world = World::with(client, LoginMode::OnDemand);
    world.sign_in(with_scope(tokens("at-0", Some("rt-0"), Some(3600)), "openid a b c"));
    world.pass(secs(60));
    world
}

fn with_scope(reply: Result<Response, Unreachable>, scope: &str) -> Result<Response, Unreachable> {
    let mut body: serde_json::Value = serde_json::from_slice(&reply?.body).expect("JSON");
    body["scope"] = scope.into();
    answer(200, &body)
}

/// Nothing of the account itself is other than it was after the sign-in.
fn assert_unharmed(world: &World) {
    let shown = (world.state(), world.token(), world.trouble());
    assert_eq!(shown, (State::Active, Some("at-0".into()), String::new()));
}

#[test]
fn any_number_of_callers_makes_one_refresh_and_the_account_keeps_its_own_token() {
    let mut world = granted();
    let due = world.snapshot().refresh_at;
    for _ in 0..1000 {
        world.want(&scope("b a"), &ANY);
        world.want(&scope(" a b "), &ANY);
    }
    let sent = world.expect(What::Refresh).clone();
    assert_eq!((sent.field("refresh_token"), sent.field("scope")), ("rt-0", "a b"));
    assert_unharmed(&world);
    assert_eq!(world.told(&scope("a b"), &ANY), "wait");
    world.reply(tokens("at-ab", Some("rt-1"), Some(3600)));
    assert_eq!(world.told(&scope("a b"), &ANY), "at-ab");
    assert_unharmed(&world);
    assert_eq!((world.count(What::Refresh), world.snapshot().refresh_at), (1, due));
    assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-1");
    let shown = world.snapshot();
    assert_eq!((shown.generation, shown.token.map(|token| token.scope.clone())), (1, Some("openid a b c".into())));
}

#[test]
fn each_of_scope_audience_and_resource_makes_a_token_of_its_own() {
    let mut world = granted();
    let all = [
        scope("a"),
        of(Wish { audience: Some("x"), ..Wish::default() }),
        resource("https://r1/"),
        of(Wish { scope: Some("a"), resource: Some("https://r1/"), audience: None }),
        of(Wish { scope: Some("a"), resource: Some("https://r1/"), audience: Some("x") }),
    ];
    for target in &all {
        world.want(target, &ANY);
    }
    for n in 0..all.len() {
        if world.out.is_none() {
            world.pause();
        }
        let sent = world.expect(What::Refresh).clone();
        assert_eq!(sent.field("refresh_token"), format!("rt-{n}"), "one after the other, each with the newest");
        let name = ["scope", "audience", "resource"].map(|name| sent.field(name)).concat();
        world.reply(tokens(&format!("at-{name}"), Some(&format!("rt-{}", n + 1)), Some(3600)));
    }
    let told: Vec<_> = all.iter().map(|target| world.told(target, &ANY)).collect();
    assert_eq!(told, ["at-ahttps://own/", "at-xhttps://own/", "at-https://r1/", "at-ahttps://r1/", "at-axhttps://r1/"]);
    assert_unharmed(&world);
}

#[test]
fn nobody_has_the_token_before_the_refresh_token_that_came_along_is_on_disk() {
    let mut world = granted();
    world.disk = Disk::Slow;
    world.want(&scope("a"), &ANY);
    assert!(world.out.is_none(), "the intent first");
    world.written(true);
    world.settle();
    world.expect(What::Refresh);
    assert_eq!(world.on_disk()["refreshing"], true, "a power cut here leaves a trace");
    world.reply(tokens("at-a", Some("rt-1"), Some(3600)));
    assert_eq!(world.told(&scope("a"), &ANY), "wait");
    world.written(true);
    world.settle();
    assert_eq!(world.told(&scope("a"), &ANY), "at-a");
    assert_eq!(
        (&world.on_disk()["refreshing"], &world.on_disk()["grant"]["refresh_token"]),
        (&json!(false), &json!("rt-1"))
    );
    assert!(!world.on_disk().to_string().contains("at-a"), "what can be had again is not written down");
    world.restart();
    world.disk = Disk::Works;
    world.settle();
    assert_eq!((world.told(&scope("a"), &ANY) == "at-a", world.token().as_deref()), (false, Some("at-0")));
}

#[test]
fn own_refreshes_and_others_wait_for_each_other() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.refresh();
    world.expect(What::Refresh);
    assert_eq!(world.count(What::Refresh), 1);
    world.reply(tokens("at-a", Some("rt-1"), Some(3600)));
    let own = world.expect(What::Refresh).clone();
    assert_eq!((own.field("refresh_token"), own.field("scope"), world.state()), ("rt-1", "", State::Refreshing));
    world.want(&scope("b"), &ANY);
    assert_eq!(world.count(What::Refresh), 2);
    world.reply(tokens("at-1", Some("rt-2"), Some(3600)));
    let other = world.expect(What::Refresh).clone();
    assert_eq!((other.field("refresh_token"), other.field("scope")), ("rt-2", "b"));
    assert_eq!((world.state(), world.token().as_deref()), (State::Active, Some("at-1")));
}

#[test]
fn what_is_used_stays_warm_and_what_is_not_is_let_go() {
    let mut world = granted();
    let (used, unused) = (scope("a"), scope("b"));
    world.want(&used, &ANY);
    world.reply(tokens("at-a", None, Some(600)));
    world.want(&unused, &ANY);
    world.reply(tokens("at-b", None, Some(600)));
    let renewed = |world: &World, scope: &str| {
        world.sent.iter().filter(|sent| sent.what == What::Refresh && sent.field("scope") == scope).count()
    };
    for minute in 0..40 {
        world.pass(secs(30));
        if world.out.is_some() {
            let name = world.expect(What::Refresh).field("scope").to_owned();
            world.reply(tokens(&format!("at-{name}-{minute}"), None, Some(600)));
        }
        world.want(&used, &Need { min_validity: secs(20), ..ANY });
        assert!(world.told(&used, &Need { min_validity: secs(20), ..ANY }).starts_with("at-a"), "there all the time");
    }
    assert_eq!((renewed(&world, "a"), renewed(&world, "b")), (3, 1));
    assert_eq!(world.told(&unused, &ANY), "wait");
}

#[test]
fn a_token_of_another_scope_is_not_handed_out_and_its_refresh_token_is_kept() {
    for granted_scope in ["a", "a b c", "x"] {
        let mut world = granted();
        world.want(&scope("a b"), &ANY);
        world.reply(with_scope(tokens("at-x", Some("rt-1"), Some(3600)), granted_scope));
        let told = world.told(&scope("a b"), &ANY);
        assert_eq!(told, format!("Scope: the server was asked for the scope \"a b\" and gave \"{granted_scope}\""));
        assert_eq!(world.on_disk()["grant"]["refresh_token"], "rt-1");
        assert_unharmed(&world);
    }
    let mut world = granted();
    world.want(&scope("a b"), &ANY);
    world.reply(with_scope(tokens("at-ab", Some("rt-1"), Some(3600)), "b a"));
    assert_eq!(world.told(&scope("a b"), &ANY), "at-ab");
}

#[test]
fn the_accounts_own_token_is_no_answer_for_another_target() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(tokens("at-0", Some("rt-1"), Some(3600)));
    assert!(world.told(&scope("a"), &ANY).starts_with("Target: "), "{}", world.told(&scope("a"), &ANY));
    assert_unharmed(&world);
}

#[test]
fn a_refusal_is_told_to_those_who_asked_for_it_and_harms_nothing() {
    for (word, told) in [
        ("invalid_scope", "Scope"),
        ("invalid_target", "Target"),
        ("access_denied", "Fault(Provider)"),
        ("interaction_required", "Fault(Provider)"),
        ("invalid_request", "Fault(Provider)"),
        ("some_other_word", "Fault(Provider)"),
        ("unauthorized_client", "Fault(Configuration)"),
    ] {
        let mut world = granted();
        for _ in 0..5 {
            world.want(&scope("a"), &ANY);
            world.want(&scope("b"), &ANY);
            world.reply(error(word));
            world.reply(tokens("at-b", None, Some(3600)));
            assert!(world.told(&scope("a"), &ANY).starts_with(told), "{}", world.told(&scope("a"), &ANY));
            assert_eq!(world.told(&scope("b"), &ANY), "at-b");
            assert_unharmed(&world);
            let sent = world.sent.len();
            world.want(&scope("a"), &ANY);
            world.pass(secs(25));
            world.want(&scope("a"), &ANY);
            assert_eq!(world.sent.len(), sent, "{word}: it is not asked for again at once");
            // Whatever the answers, the grant lives on.
            world = granted();
        }
    }
}

#[test]
fn a_refusal_is_tried_again_after_a_while_and_at_once_by_hand() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(error("invalid_scope"));
    world.pass(secs(61));
    world.want(&scope("a"), &ANY);
    world.expect(What::Refresh);
    world.reply(error("invalid_scope"));
    world.refresh();
    world.reply(tokens("at-1", None, Some(3600)));
    world.pass(secs(40));
    world.want(&scope("a"), &ANY);
    world.expect(What::Refresh);
    world.reply(tokens("at-a", None, Some(3600)));
    assert_eq!(world.told(&scope("a"), &ANY), "at-a");
}

#[test]
fn only_an_own_refresh_can_end_the_grant() {
    // Entra says invalid_grant of a resource that nobody has consented to.
    let mut world = granted();
    world.want(&resource("https://r1/"), &ANY);
    world.reply(error("invalid_grant"));
    let own = world.expect(What::Refresh).clone();
    assert_eq!((own.field("refresh_token"), own.field("resource")), ("rt-0", OWN));
    assert_eq!(world.state(), State::Refreshing);
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    assert_eq!((world.state(), world.token().as_deref(), world.trouble().as_str()), (State::Active, Some("at-1"), ""));
    assert!(world.told(&resource("https://r1/"), &ANY).starts_with("Fault(Provider)"));

    let mut world = granted();
    world.want(&resource("https://r1/"), &ANY);
    world.reply(error("invalid_grant"));
    world.reply(error("invalid_grant"));
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::Revoked)));
    assert_eq!(world.told(&resource("https://r1/"), &ANY), "login_required");
}

#[test]
fn a_lost_reply_is_found_out_by_an_own_refresh() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(lost());
    assert_eq!((world.state(), &world.on_disk()["refreshing"]), (State::Degraded, &json!(true)));
    world.want(&scope("b"), &ANY);
    assert!(world.pause() <= 2000);
    let own = world.expect(What::Refresh).clone();
    assert_eq!((own.field("refresh_token"), own.field("scope")), ("rt-0", ""), "before anything else is asked for");
    world.reply(tokens("at-1", Some("rt-1"), Some(3600)));
    let mut names = Vec::new();
    for n in 2..4 {
        if world.out.is_none() {
            world.pause();
        }
        names.push(world.expect(What::Refresh).field("scope").to_owned());
        world.reply(tokens(&format!("at-{}", names[n - 2]), Some(&format!("rt-{n}")), Some(3600)));
    }
    names.sort();
    assert_eq!(names, ["a", "b"], "then those who wait");

    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(lost());
    world.pause();
    world.reply(error("invalid_grant"));
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::LostRotation)));
}

#[test]
fn what_passes_is_tried_again_for_those_who_wait() {
    for failure in [unsent(), busy(503, Some(20)), busy(429, None), error("temporarily_unavailable")] {
        let mut world = granted();
        world.want(&scope("a"), &ANY);
        world.reply(failure);
        assert_unharmed(&world);
        assert_eq!(world.told(&scope("a"), &ANY), "wait");
        let hindrance = world.account.hindrance_of(&scope("a")).expect("what happened");
        assert!(hindrance.retry_at > world.boot_now());
        world.pause();
        assert_eq!(world.expect(What::Refresh).field("scope"), "a");
        world.reply(tokens("at-a", Some("rt-1"), Some(3600)));
        assert_eq!(world.told(&scope("a"), &ANY), "at-a");
    }
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    let end = world.now + secs(900);
    while world.now < end {
        match world.out {
            Some(_) => world.reply(unsent()),
            None => world.step(end),
        }
    }
    let before = world.count(What::Refresh);
    assert!(before > 5 && before < 40, "{before}");
    world.pass(secs(1200));
    assert_eq!(world.count(What::Refresh), before, "nobody waits any more");
}

#[test]
fn a_refused_token_is_renewed_for_those_who_say_so() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(tokens("at-a", None, Some(3600)));
    world.pass(secs(5));
    let refused = Need { rejected: Some(Secret::new("at-a").fingerprint()), attempts: 1, ..ANY };
    world.want(&scope("a"), &refused);
    assert_eq!((world.told(&scope("a"), &refused).as_str(), world.told(&scope("a"), &ANY).as_str()), ("wait", "at-a"));
    world.reply(tokens("at-a2", None, Some(3600)));
    assert_eq!(world.told(&scope("a"), &refused), "at-a2");
    // However often that is said, it makes no hot loop.
    let before = world.count(What::Refresh);
    for n in 0..200 {
        let newest = world.told(&scope("a"), &Need { attempts: 0, ..ANY });
        world.want(&scope("a"), &Need { rejected: Some(Secret::new(newest).fingerprint()), ..ANY });
        match world.out {
            Some(_) => world.reply(tokens(&format!("at-n{n}"), None, Some(3600))),
            None => world.pass(secs(1)),
        }
    }
    assert!(world.count(What::Refresh) - before < 20, "{}", world.count(What::Refresh) - before);
}

#[test]
fn many_targets_take_turns_and_make_no_hot_loop() {
    let mut world = granted();
    let targets: Vec<_> = (0..17).map(|n| resource(&format!("https://r{n}/"))).collect();
    for target in &targets[..16] {
        world.want(target, &ANY);
        if world.out.is_some() {
            world.reply(tokens(&format!("at-{}", world.count(What::Refresh)), None, Some(3600)));
        }
    }
    world.want(&targets[16], &ANY);
    assert!(world.out.is_none());
    assert!(world.told(&targets[16], &ANY).starts_with("Fault(Unreachable): 16 other"), "all are in use");
    world.pass(secs(31));
    world.want(&targets[0], &ANY);
    world.want(&targets[16], &ANY);
    world.reply(tokens("at-17", None, Some(3600)));
    assert_eq!(world.told(&targets[16], &ANY), "at-17");
    assert_eq!(world.told(&targets[0], &ANY), "at-1", "it was in use");
    assert!(!world.told(&targets[1], &ANY).starts_with("at-"), "it was not for the longest");
    let before = (world.now, world.count(What::Refresh));
    for round in 0..2000 {
        world.want(&targets[round % 17], &ANY);
        match world.out {
            Some(_) => world.reply(tokens(&format!("at-x{round}"), None, Some(3600))),
            None => world.pass(secs(1)),
        }
    }
    let (time, refreshes) = (world.now - before.0, world.count(What::Refresh) - before.1);
    assert!(time.as_secs() > 900 && refreshes < 300, "{refreshes} refreshes in {time:?}");
}

#[test]
fn a_disk_that_cannot_be_written_keeps_the_refresh_token_from_being_spent() {
    let mut world = granted();
    world.disk = Disk::Fails;
    world.want(&scope("a"), &ANY);
    assert!(world.out.is_none());
    assert_eq!(world.count(What::Refresh), 0);
    let hindrance = world.account.hindrance_of(&scope("a")).expect("what happened");
    assert!(hindrance.text.contains("until the disk can be written"), "{}", hindrance.text);
    world.disk = Disk::Works;
    world.pause();
    world.reply(tokens("at-a", Some("rt-1"), Some(3600)));
    assert_eq!(world.told(&scope("a"), &ANY), "at-a");
}

#[test]
fn a_logout_ends_all_of_them_at_the_server_too() {
    let mut world = granted();
    for name in ["a", "b"] {
        world.want(&scope(name), &ANY);
        world.reply(tokens(&format!("at-{name}"), None, Some(3600)));
    }
    world.logout();
    assert_eq!(world.told(&scope("a"), &ANY), "login_required");
    let mut ended = Vec::new();
    while world.out.is_some() {
        ended.push(world.expect(What::Revocation).field("token").to_owned());
        world.reply(busy(200, None));
    }
    assert_eq!(ended, ["rt-0", "at-0", "at-a", "at-b"]);
}

#[test]
fn who_signs_in_next_has_none_of_the_tokens_of_before() {
    let mut world = granted();
    world.want(&scope("a"), &ANY);
    world.reply(tokens("at-a", None, Some(3600)));
    world.sign_in(with_scope(tokens("at-n", Some("rt-n"), Some(3600)), "openid a"));
    assert_ne!(world.told(&scope("a"), &ANY), "at-a");
    world.want(&scope("a"), &ANY);
    let sent = world.expect(What::Refresh).clone();
    assert_eq!((sent.field("refresh_token"), sent.field("scope")), ("rt-n", "a"));
}

#[test]
fn a_stranger_in_the_reply_ends_the_session_as_in_any_refresh() {
    let mut world = World::with(client(), LoginMode::Manual);
    world.sign_in(tokens_of("alice", 0));
    world.pass(secs(60));
    world.want(&resource("https://r1/"), &ANY);
    world.reply(tokens_of("mallory", 1));
    assert_eq!((world.state(), world.reason()), (State::SignedOut, Some(Reason::IdentityChanged)));
    assert_eq!(world.told(&resource("https://r1/"), &ANY), "login_required");
}

#[test]
fn who_waits_for_the_sign_in_is_served_after_it() {
    let mut world = World::new(LoginMode::OnDemand);
    world.want(&scope("a"), &ANY);
    world.expect(What::DeviceAuthorization);
    assert_eq!(world.told(&scope("a"), &ANY), "await_prompt");
    world.reply(super::replies::code(5, 600));
    assert_eq!(world.told(&scope("a"), &ANY), "login_pending");
    world.pause();
    world.reply(with_scope(tokens("at-0", Some("rt-0"), Some(3600)), "openid a"));
    assert_eq!(world.expect(What::Refresh).field("scope"), "a");
    world.reply(tokens("at-a", Some("rt-1"), Some(3600)));
    assert_eq!(world.told(&scope("a"), &ANY), "at-a");
}

#[test]
fn what_was_never_granted_is_not_asked_for() {
    let mut world = granted();
    world.want(&scope("a admin"), &ANY);
    assert!(world.out.is_none());
    assert_eq!(world.told(&scope("a admin"), &ANY), "Scope: the scope \"admin\" was not granted at the sign-in");
    for (target, parameter) in [
        (resource("https://elsewhere/"), "resource"),
        (of(Wish { audience: Some("z"), ..Wish::default() }), "audience"),
    ] {
        world.want(&target, &ANY);
        assert!(world.out.is_none(), "a server may replace the refresh token before it refuses");
        let told = world.told(&target, &ANY);
        assert!(told.starts_with(&format!("Target: the sign-in was not for the {parameter}")), "{told}");
    }
    let mut wide = client();
    let profile = Arc::make_mut(&mut wide.profile);
    profile.scope_on_refresh = ScopeOnRefresh::Any;
    profile.refresh_reaches_other_targets = true;
    let mut world = granted_with(wide);
    world.want(&of(Wish { scope: Some("a admin"), resource: Some("https://elsewhere/"), audience: None }), &ANY);
    let sent = world.expect(What::Refresh);
    assert_eq!((sent.field("scope"), sent.field("resource")), ("a admin", "https://elsewhere/"));
}

#[test]
fn a_grant_is_refreshed_for_what_it_was_granted_for() {
    let mut world = granted();
    let more = Client { resource: vec!["https://r1/".into(), "https://new/".into()], ..client() };
    world.client = more.into();
    world.restart();
    let new =
        Target::read(Wish { resource: Some("https://new/"), ..Wish::default() }, &world.client).expect("a target");
    world.want(new.as_ref().expect("another than the own"), &ANY);
    assert!(world.out.is_none(), "the sign-in was before that");
    world.refresh();
    world.expect(What::Refresh);
    assert_eq!(world.sent.last().map(|sent| sent.field("resource").to_owned()).as_deref(), Some(OWN));
}

#[test]
fn without_a_refresh_token_there_is_the_own_token_alone() {
    let mut world = World::with(client(), LoginMode::Manual);
    world.sign_in(tokens("at-0", None, Some(3600)));
    world.want(&resource("https://r1/"), &ANY);
    assert!(world.out.is_none());
    assert!(world.told(&resource("https://r1/"), &ANY).starts_with("Target: without a refresh token"));
    assert_unharmed(&world);
}

#[test]
fn an_exchange_costs_the_grant_nothing() {
    let mut world = granted_with(Client { narrow: Some(Narrow::Exchange), ..client() });
    let writes = world.writes;
    world.want(&scope("a"), &ANY);
    let sent = world.expect(What::Exchange).clone();
    assert_eq!((sent.field("subject_token"), sent.field("scope"), sent.field("refresh_token")), ("at-0", "a", ""));
    world.reply(tokens("at-a", None, Some(300)));
    assert_eq!((world.told(&scope("a"), &ANY).as_str(), world.writes), ("at-a", writes), "nothing is written down");
    for failure in [error("invalid_grant"), error("invalid_scope"), lost(), busy(500, None), unsent()] {
        world.want(&scope("b"), &ANY);
        if world.out.is_none() {
            world.pass(secs(700));
            world.want(&scope("b"), &ANY);
        }
        world.expect(What::Exchange);
        world.reply(failure);
        assert_unharmed(&world);
        assert_eq!((world.count(What::Refresh), world.writes), (0, writes));
        if let Some(hindrance) = world.account.hindrance_of(&scope("b")) {
            assert!(!hindrance.text.contains("at-0"), "{}", hindrance.text);
        }
        world = granted_with(Client { narrow: Some(Narrow::Exchange), ..client() });
    }
}

#[test]
fn an_exchange_waits_for_an_own_token_that_lives() {
    let mut world = granted_with(Client { narrow: Some(Narrow::Exchange), ..client() });
    world.pass(secs(60));
    world.refresh();
    world.want(&scope("a"), &ANY);
    world.reply(unsent());
    world.suspend(hours(2));
    world.want(&scope("a"), &ANY);
    let own = if world.out.is_some() { world.expect(What::Refresh).clone() } else { world.sent[0].clone() };
    assert_eq!(own.field("scope"), "");
    world.reply(tokens("at-1", None, Some(3600)));
    if world.out.is_none() {
        world.pause();
    }
    assert_eq!(world.expect(What::Exchange).field("subject_token"), "at-1");
}

#[test]
fn whatever_is_asked_for_no_refresh_token_is_used_twice_and_everybody_gets_what_is_theirs() {
    let (mut served, mut refreshes) = (0, 0);
    for seed in 0..60 {
        let mut rng = fastrand::Rng::with_seed(seed);
        let mut server = Server { latency: secs(0), ..Server::new(rng.u64(30..4000)) };
        let mut world = World::with(client(), LoginMode::Manual);
        world.sign_in(tokens("at-0", Some("rt-0"), server.lifetime));
        let mut owners = HashMap::new();
        for _ in 0..400 {
            match rng.u32(..10) {
                0..5 if world.out.is_some() => {
                    let moods = [Mood::Gone, Mood::Broken, Mood::Refuses("invalid_target")];
                    server.mood = if rng.u32(..4) == 0 { moods[rng.usize(..3)] } else { Mood::Well };
                    let sent = world.expect(What::Refresh).clone();
                    if sent.field("resource") == OWN && matches!(server.mood, Mood::Refuses(_)) {
                        server.mood = Mood::Well;
                    }
                    let reply = server.refresh(sent.field("refresh_token"), world.now);
                    if server.mood == Mood::Well {
                        owners.insert(format!("at-{}", server.access.0), sent.field("resource").to_owned());
                    }
                    world.reply(reply);
                }
                0..7 => {
                    let uri = format!("https://r{}/", rng.u32(..20));
                    let need = Need { min_validity: secs(rng.u64(..300)), ..ANY };
                    world.want(&resource(&uri), &need);
                    let told = world.told(&resource(&uri), &need);
                    if told.starts_with("at-") {
                        assert_eq!(owners.get(&told), Some(&uri));
                        served += 1;
                    }
                }
                7 => world.refresh(),
                8 => world.disk = if rng.u32(..3) == 0 { Disk::Fails } else { Disk::Works },
                _ => world.pass(secs(rng.u64(..200))),
            }
            assert!(!server.burnt, "a refresh token was used twice");
            assert_ne!(world.state(), State::SignedOut);
        }
        refreshes += server.refreshes.len();
    }
    assert!(served > 500 && refreshes > 2000, "{served} served, {refreshes} refreshes");
}
