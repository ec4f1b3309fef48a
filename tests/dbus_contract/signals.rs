//! What everybody on the bus gets to hear.

use std::collections::HashMap;

use futures_util::StreamExt;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedObjectPath, OwnedVariant, Variant, message::Type};

use crate::rig::{ACCOUNT, CODE, MANAGER, PATH, Rig, TOKEN, account, call, get_all, options, owner, proxy, soon};

/// Hears every signal, and keeps them all.
struct Listener {
    stream: MessageStream,
    heard: Vec<Message>,
}

impl Listener {
    async fn new(client: &Connection) -> Self {
        let rule = MatchRule::builder().msg_type(Type::Signal).build().expect("a rule");
        let stream = MessageStream::for_match_rule(rule, client, None).await.expect("a stream");
        Self { stream, heard: Vec::new() }
    }

    /// The next signal of that name.
    async fn next(&mut self, member: &str) -> Message {
        loop {
            let message = soon(&mut self.stream).await.expect("a message");
            self.heard.push(message.clone());
            if message.header().member().is_some_and(|name| name.as_str() == member) {
                return message;
            }
        }
    }

    /// The next change of properties at an account that has this one among the changed or the invalidated.
    async fn change_of(&mut self, property: &str) -> (HashMap<String, OwnedVariant>, Vec<String>) {
        loop {
            let message = self.next("PropertiesChanged").await;
            let (interface, changed, invalidated): (String, HashMap<String, OwnedVariant>, Vec<String>) =
                message.body().deserialize().expect("sa{sv}as");
            assert_eq!(interface, ACCOUNT);
            if changed.contains_key(property) || invalidated.iter().any(|name| name == property) {
                return (changed, invalidated);
            }
        }
    }

    async fn state(&mut self, state: &str) {
        while *self.change_of("State").await.0["State"] != Variant::from(state) {}
    }

    fn never_heard(&self, secret: &str) {
        let has = |message: &&Message| message.data().windows(secret.len()).any(|part| part == secret.as_bytes());
        let leak = self.heard.iter().find(has);
        assert!(leak.is_none(), "{secret} in {leak:?}");
    }
}

fn added(message: &Message) -> (String, HashMap<String, OwnedVariant>) {
    let (path, mut interfaces): (OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>) =
        message.body().deserialize().expect("oa{sa{sv}}");
    (path.to_string(), interfaces.remove(ACCOUNT).expect("the account's interface"))
}

#[tokio::test]
async fn no_signal_carries_a_code_or_a_token() {
    let mut rig = Rig::new(&account("one", "")).await;
    let ourselves = bearerd::platform::peer::Caller::ourselves();
    rig.broker.login(&ourselves, Some("one"), false).await.unwrap_or_else(|error| panic!("{error}"));
    rig.start_bus();
    let client = rig.client().await;
    let mut listener = Listener::new(&client).await;
    rig.serve();

    // The code is out already when the object appears.
    let (path, shown) = added(&listener.next("InterfacesAdded").await);
    assert_eq!(*shown["State"], Variant::from("authorizing"));
    assert_eq!(shown["Prompt"].downcast_ref::<&zbus::Dict<'_, '_>>().expect("a dict").iter().count(), 0);
    owner(&client).await;

    // Whoever may see it reads it, and is told that it has changed.
    let properties = get_all(&client, &path).await;
    assert!(format!("{:?}", properties["Prompt"]).contains(CODE));
    assert!(!format!("{:?}", properties["StateReason"]).contains(CODE));
    let manager = proxy(&client, PATH, "org.freedesktop.DBus.ObjectManager").await;
    let managed = call(&manager, "GetManagedObjects", &()).await.expect("objects");
    let managed: HashMap<OwnedObjectPath, HashMap<String, HashMap<String, OwnedVariant>>> =
        managed.deserialize().expect("a{oa{sa{sv}}}");
    let names = |dict: &HashMap<String, OwnedVariant>| dict.keys().cloned().collect::<std::collections::BTreeSet<_>>();
    let account: Vec<_> = managed.values().filter_map(|interfaces| interfaces.get(ACCOUNT)).collect();
    assert_eq!(account.iter().map(|found| names(found)).collect::<Vec<_>>(), [names(&properties)]);
    assert!(format!("{:?}", account[0]["Prompt"]).contains(CODE));

    rig.approve();
    assert_eq!(listener.change_of("Prompt").await.1, ["Prompt"]);
    listener.state("active").await;
    let manager = proxy(&client, PATH, MANAGER).await;
    call(&manager, "GetToken", &("one", options([]))).await.expect("a token");
    let one = proxy(&client, &path, ACCOUNT).await;
    call(&one, "Logout", &options([])).await.expect("signed out");
    listener.state("signed_out").await;

    listener.never_heard(CODE);
    listener.never_heard(TOKEN);
}

#[tokio::test]
async fn what_not_everybody_may_see_is_announced_without_values() {
    let rule = "[[accounts.one.allow]]\nuser = \"root\"\nactions = [\"status\", \"token\", \"login\"]";
    let mut rig = Rig::new(&account("one", rule)).await;
    rig.start_bus();
    let client = rig.client().await;
    let mut listener = Listener::new(&client).await;
    rig.serve();
    assert!(added(&listener.next("InterfacesAdded").await).1.is_empty());
    owner(&client).await;
    let one = proxy(&client, &format!("{PATH}/accounts/one"), ACCOUNT).await;
    call(&one, "Login", &options([])).await.expect("a prompt");
    let (changed, invalidated) = listener.change_of("Prompt").await;
    assert!(changed.is_empty());
    assert_eq!(invalidated, ["State", "StateReason", "Prompt"]);
    listener.never_heard(CODE);
    listener.never_heard("a.example");
}

#[tokio::test]
async fn accounts_come_and_go_with_the_configuration() {
    let (rig, client) = Rig::served(&account("one", "")).await;
    let mut listener = Listener::new(&client).await;
    let manager = proxy(&client, PATH, MANAGER).await;
    rig.write(&account("two", ""));
    call(&manager, "Reload", &()).await.expect("reloaded");
    let removed = listener.next("InterfacesRemoved").await;
    let (path, interfaces): (OwnedObjectPath, Vec<String>) = removed.body().deserialize().expect("oas");
    assert_eq!((path.as_str(), interfaces), (&*format!("{PATH}/accounts/one"), vec![ACCOUNT.to_owned()]));
    assert_eq!(added(&listener.next("InterfacesAdded").await).0, format!("{PATH}/accounts/two"));

    // What never changes has changed: it is another object.
    rig.write(&account("two", "issuer = \"https://b.example\""));
    call(&manager, "Reload", &()).await.expect("reloaded");
    listener.next("InterfacesRemoved").await;
    assert_eq!(*added(&listener.next("InterfacesAdded").await).1["Issuer"], Variant::from("https://b.example"));
}

#[tokio::test]
async fn the_name_is_given_back_at_the_end() {
    let (rig, client) = Rig::served("").await;
    let mut listener = Listener::new(&client).await;
    rig.stop_serving();
    let changed = listener.next("NameOwnerChanged").await;
    let (name, _, new): (String, String, String) = changed.body().deserialize().expect("sss");
    assert_eq!((name.as_str(), new.as_str()), (crate::rig::NAME, ""));
    assert!(listener.stream.next().await.is_some(), "and the connection ends");
}
