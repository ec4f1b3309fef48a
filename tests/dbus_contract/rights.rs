//! Callers are told apart by the word of the bus. Needs root, to be somebody else as well.

use crate::rig::{ACCOUNT, CODE, NAME, PATH, Rig, account};

const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

#[tokio::test]
async fn without_rules_a_stranger_sees_the_state_and_not_the_code() {
    let (rig, _client) = Rig::served(&account("one", "")).await;
    let ourselves = bearerd::platform::peer::Caller::ourselves();
    rig.broker.login(&ourselves, Some("one"), false).await.unwrap_or_else(|error| panic!("{error}"));
    let path = format!("{PATH}/accounts/one");
    let Some(all) = rig.as_stranger(&["call", NAME, &path, PROPERTIES, "GetAll", "s", ACCOUNT]).await else { return };
    assert!(all.contains("\"State\" s \"authorizing\"") && all.contains("\"Prompt\" a{sv} 0"), "{all}");
    let managed = ["call", NAME, PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"];
    let managed = rig.as_stranger(&managed).await.unwrap_or_default();
    assert!(managed.contains("authorizing"), "{managed}");
    let pending = ["call", NAME, &path, ACCOUNT, "GetToken", "a{sv}", "0"];
    let pending = rig.as_stranger(&pending).await.unwrap_or_default();
    assert!(pending.contains("waiting for sign-in"), "{pending}");
    for text in [all, managed, pending] {
        assert!(!text.contains(CODE), "{text}");
    }
    for (method, arguments) in [
        ("Login", &["a{sv}", "0"][..]),
        ("Logout", &["a{sv}", "0"]),
        ("Refresh", &["a{sv}", "0"]),
        ("CancelLogin", &[]),
    ] {
        let call = [&["call", NAME, &path, ACCOUNT, method][..], arguments].concat();
        let refused = rig.as_stranger(&call).await.unwrap_or_default();
        assert!(refused.contains("no rule allows this caller (uid 1, gid 1)"), "{method}: {refused}");
    }
}

#[tokio::test]
async fn with_rules_a_stranger_learns_nothing() {
    let rule = "[[accounts.one.allow]]\nuser = \"root\"\nactions = [\"token\"]";
    let (rig, _client) = Rig::served(&account("one", rule)).await;
    let path = format!("{PATH}/accounts/one");
    let manager = "io.github.bearerd.Bearerd1.Manager";
    let Some(list) = rig.as_stranger(&["call", NAME, PATH, manager, "ListAccounts"]).await else { return };
    assert_eq!(list.trim(), "a(sos) 0");
    let all = rig.as_stranger(&["call", NAME, &path, PROPERTIES, "GetAll", "s", ACCOUNT]).await;
    assert_eq!(all.as_deref().map(str::trim), Some("a{sv} 0"));
    let managed = ["call", NAME, PATH, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects"];
    assert_eq!(rig.as_stranger(&managed).await.as_deref().map(str::trim), Some("a{oa{sa{sv}}} 0"));
    for call in [
        &["call", NAME, PATH, manager, "GetAccount", "s", "one"][..],
        &["call", NAME, PATH, manager, "GetToken", "sa{sv}", "one", "0"],
        &["call", NAME, &path, ACCOUNT, "GetToken", "a{sv}", "0"],
        &["get-property", NAME, &path, ACCOUNT, "State"],
    ] {
        let refused = rig.as_stranger(call).await.unwrap_or_default();
        assert!(refused.contains("there is no account \"one\""), "{call:?}: {refused}");
    }
}

#[tokio::test]
async fn a_stranger_changes_nothing_of_the_daemon() {
    let (rig, _client) = Rig::served("").await;
    let log = ["/org/freedesktop/LogControl1", "org.freedesktop.LogControl1"];
    let set = ["set-property", NAME, log[0], log[1], "LogLevel", "s", "err"];
    let Some(refused) = rig.as_stranger(&set).await else { return };
    assert!(refused.contains("no rule allows this caller"), "{refused}");
    // Reading is for everybody; another test may be changing it just now.
    let level = rig.as_stranger(&["get-property", NAME, log[0], log[1], "LogLevel"]).await.unwrap_or_default();
    assert!(level.starts_with("s \"") && !level.contains("err"), "{level}");
    let reload = ["call", NAME, PATH, "io.github.bearerd.Bearerd1.Manager", "Reload"];
    assert!(rig.as_stranger(&reload).await.unwrap_or_default().contains("no rule allows this caller"));
}
