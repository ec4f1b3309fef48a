//! Methods: what is refused, under which name, and what a login and its token look like.

use std::{collections::HashMap, fs};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use zbus::{OwnedObjectPath, OwnedVariant, Variant};

use crate::rig::{ACCOUNT, CODE, MANAGER, PATH, Rig, TOKEN, account, call, get_all, options, proxy};

fn two_accounts() -> String {
    account("one", "") + &account("0-two", "")
}

#[tokio::test]
async fn accounts_are_found_by_name() {
    let (_rig, client) = Rig::served(&two_accounts()).await;
    let manager = proxy(&client, PATH, MANAGER).await;
    let listed = call(&manager, "ListAccounts", &()).await.expect("accounts");
    let listed: Vec<(String, OwnedObjectPath, String)> = listed.deserialize().expect("a(sos)");
    let listed: Vec<_> = listed.iter().map(|(name, path, state)| [name, path.as_str(), state.as_str()]).collect();
    let paths = [format!("{PATH}/accounts/_30_2dtwo"), format!("{PATH}/accounts/one")];
    assert_eq!(listed, [["0-two", &paths[0], "signed_out"], ["one", &paths[1], "signed_out"]]);

    let path = call(&manager, "GetAccount", &"0-two").await.expect("a path");
    assert_eq!(path.deserialize::<OwnedObjectPath>().expect("a path").as_str(), paths[0]);
    for name in ["three", "", "../one", "\u{e9}"] {
        let (error, _) = call(&manager, "GetAccount", &name).await.expect_err(name);
        assert_eq!(error, "Error.NoSuchAccount", "{name:?}");
    }
}

#[tokio::test]
async fn errors_have_the_names_of_the_contract() {
    let (_rig, client) = Rig::served(&two_accounts()).await;
    let manager = proxy(&client, PATH, MANAGER).await;
    let refused = async |account: &str, pair: Option<(&str, Variant<'static>)>| {
        let options: HashMap<_, _> = pair.into_iter().collect();
        call(&manager, "GetToken", &(account, options)).await.expect_err("an error")
    };
    assert_eq!(refused("three", None).await.0, "Error.NoSuchAccount");
    assert_eq!(refused("", None).await.0, "Error.NoSuchAccount", "there are two, and none is called default");
    assert_eq!(refused("one", None).await.0, "Error.LoginRequired");
    let (name, text) = refused("one", Some(("min_validty", 5u32.into()))).await;
    assert_eq!(name, "Error.InvalidOption");
    assert!(text.starts_with("min_validty:"), "{text}");
    for (key, value) in [("min_validity", Variant::from("5")), ("wait", 21u32.into()), ("resource", "c".into())] {
        assert_eq!(refused("one", Some((key, value))).await.0, "Error.InvalidOption", "{key}");
    }
    let one = proxy(&client, &format!("{PATH}/accounts/one"), ACCOUNT).await;
    for method in ["Login", "Logout", "Refresh"] {
        let (name, text) = call(&one, method, &options([("force", true.into())])).await.expect_err(method);
        assert_eq!((name.as_str(), text.starts_with("force:")), ("Error.InvalidOption", true), "{method}: {text}");
    }
    let none: [(&str, Variant<'static>); 0] = [];
    for (htm, htu, option, parameter) in [
        ("GET", "api.example/x", None, "htu"),
        ("G T", "https://api.example/x", None, "htm"),
        ("GET", "https://api.example/x", Some(("nonce", Variant::from(5u32))), "nonce"),
        ("GET", "https://api.example/x", Some(("noce", "n".into())), "noce"),
    ] {
        let wanted: HashMap<_, _> = option.into_iter().collect();
        let (name, text) = call(&one, "SignProof", &(htm, htu, wanted)).await.expect_err(parameter);
        let named = text.starts_with(&format!("{parameter}:"));
        assert_eq!((name.as_str(), named), ("Error.InvalidOption", true), "{text}");
    }
    let wanted: HashMap<&str, Variant<'static>> = HashMap::new();
    let (name, _) = call(&one, "SignProof", &("GET", "https://api.example/x", wanted)).await.expect_err("no grant");
    assert_eq!(name, "Error.LoginRequired");
    assert_eq!(call(&one, "Refresh", &options(none)).await.expect_err("no grant").0, "Error.LoginRequired");
}

#[tokio::test]
async fn a_login_brings_a_token() {
    let (rig, client) = Rig::served(&account("one", "")).await;
    let manager = proxy(&client, PATH, MANAGER).await;
    let one = proxy(&client, &format!("{PATH}/accounts/one"), ACCOUNT).await;

    let prompt = call(&one, "Login", &options([])).await.expect("a prompt");
    let prompt: HashMap<String, OwnedVariant> = prompt.deserialize().expect("a dict");
    let text = |key: &str| prompt[key].downcast_ref::<&str>().map(str::to_owned).expect(key);
    assert_eq!((text("account"), text("user_code")), ("one".to_owned(), CODE.to_owned()));
    assert!(text("verification_uri_complete").contains(&text("verification_uri")));
    assert!(matches!(*prompt["expires_in"], Variant::U32(590..=600)), "{:?}", prompt["expires_in"]);
    assert!(matches!((&*prompt["expires_at"], &*prompt["interval"]), (Variant::U64(_), Variant::U32(1))));
    let (pending, text) = call(&manager, "GetToken", &("", options([]))).await.expect_err("nobody has approved");
    assert_eq!((pending.as_str(), text.contains(CODE)), ("Error.LoginPending", true), "whoever may log in sees it");

    rig.approve();
    let answer = call(&manager, "GetToken", &("", options([("wait", 20u32.into())]))).await.expect("a token");
    let (token, expires_in, details): (String, u32, HashMap<String, OwnedVariant>) =
        answer.deserialize().expect("sua{sv}");
    assert_eq!(token, TOKEN);
    assert!((3500..=3600).contains(&expires_in), "{expires_in}");
    let text = |key: &str| details[key].downcast_ref::<&str>().map(str::to_owned).expect(key);
    assert_eq!([text("token_type"), text("scope"), text("account")], ["Bearer", "a b", "one"]);
    assert!(matches!(*details["expires_at"], Variant::U64(_)));

    let properties = get_all(&client, &format!("{PATH}/accounts/one")).await;
    assert_eq!(*properties["Scopes"], Variant::from(vec!["a", "b"]));
    assert_eq!(*properties["State"], Variant::from("active"));
    assert_eq!(properties.len(), 7);
}

#[tokio::test]
async fn a_program_on_the_bus_has_its_proofs_signed() {
    let (rig, client) = Rig::served(&account("one", "dpop = true")).await;
    let one = proxy(&client, &format!("{PATH}/accounts/one"), ACCOUNT).await;
    call(&one, "Login", &options([])).await.expect("a prompt");
    rig.approve();
    let answer = call(&one, "GetToken", &options([("wait", 20u32.into())])).await.expect("a token");
    let (token, _, details): (String, u32, HashMap<String, OwnedVariant>) = answer.deserialize().expect("sua{sv}");
    assert_eq!((token.as_str(), &*details["token_type"]), (TOKEN, &Variant::from("DPoP")));

    let nonce: HashMap<_, _> = [("nonce", Variant::from("n-1"))].into();
    let answer = call(&one, "SignProof", &("GET", "https://api.example/x?y=1", nonce)).await.expect("a proof");
    let (proof, details): (String, HashMap<String, OwnedVariant>) = answer.deserialize().expect("sa{sv}");
    let hash = bearerd::oauth::dpop::token_hash(&bearerd::secret::Secret::new(TOKEN));
    assert_eq!((&*details["ath"], &*details["account"]), (&Variant::from(hash.as_str()), &Variant::from("one")));
    let claims = BASE64_URL_SAFE_NO_PAD.decode(proof.split('.').nth(1).expect("three parts")).expect("base64url");
    let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
    let stated = ["htm", "htu", "nonce", "ath"].map(|name| claims[name].as_str().unwrap_or_default().to_owned());
    assert_eq!(stated, ["GET", "https://api.example/x", "n-1", &hash]);
}

#[tokio::test]
async fn a_configuration_with_a_mistake_changes_nothing() {
    let (rig, client) = Rig::served(&account("one", "")).await;
    let manager = proxy(&client, PATH, MANAGER).await;
    fs::write(rig.configuration(), "[accounts.one]\nisuer = \"https://a.example\"\n").expect("a file");
    let (name, text) = call(&manager, "Reload", &()).await.expect_err("a mistake");
    assert_eq!(name, "Error.Configuration");
    assert!(text.contains("unknown field `isuer`"), "{text}");
    assert!(call(&manager, "GetAccount", &"one").await.is_ok());
}

#[tokio::test]
async fn the_log_level_can_be_read_and_set() {
    let (_rig, client) = Rig::served("").await;
    let log = proxy(&client, "/org/freedesktop/LogControl1", "org.freedesktop.LogControl1").await;
    let level = async || log.get_property::<String>("LogLevel").await.expect("a level");
    assert_eq!(level().await, "info");
    log.set_property("LogLevel", "debug").await.expect("a change");
    assert_eq!(level().await, "debug");
    log.set_property("LogLevel", "notice").await.expect("a change");
    assert_eq!(level().await, "info");
    assert!(log.set_property("LogLevel", "loud").await.is_err());
    assert!(log.set_property("LogTarget", "kmsg").await.is_err());
    assert_eq!(log.get_property::<String>("SyslogIdentifier").await.expect("a word"), "bearerd");
}
