//! A bus that comes late, goes and comes back; a name that somebody else has or wants.

use zbus::fdo::{DBusProxy, RequestNameFlags};

use crate::rig::{MANAGER, NAME, PATH, Rig, account, call, owner, proxy, soon};

#[tokio::test]
async fn a_bus_that_restarts_is_joined_again() {
    let mut rig = Rig::new(&account("one", "")).await;
    // There is no bus yet when the daemon starts.
    rig.serve();
    tokio::task::yield_now().await;
    for _ in 0..2 {
        rig.start_bus();
        let client = rig.client().await;
        owner(&client).await;
        let manager = proxy(&client, PATH, MANAGER).await;
        assert!(call(&manager, "GetAccount", &"one").await.is_ok());
        rig.stop_bus();
        client.closed().await;
    }
}

#[tokio::test]
async fn the_name_cannot_be_taken_away() {
    let (_rig, client) = Rig::served("").await;
    let flags = RequestNameFlags::REPLACE_EXISTING | RequestNameFlags::DO_NOT_QUEUE;
    let taken = client.request_name_with_flags(NAME, flags).await;
    assert_eq!(taken, Err(zbus::Error::NameTaken));
}

#[tokio::test]
async fn a_name_that_somebody_has_is_left_to_them() {
    let mut rig = Rig::new("").await;
    rig.start_bus();
    let other = rig.client().await;
    let flags = RequestNameFlags::ALLOW_REPLACEMENT | RequestNameFlags::DO_NOT_QUEUE;
    other.request_name_with_flags(NAME, flags).await.expect("the name");
    let observer = rig.client().await;
    let bus = DBusProxy::new(&observer).await.expect("the bus");
    let mut changes = bus.receive_name_owner_changed().await.expect("changes of owner");
    rig.serve();
    // The daemon comes, finds the name taken, and goes.
    loop {
        let change = soon(&mut changes).await;
        let arguments = change.args().expect("arguments");
        assert_ne!(arguments.name().as_str(), NAME);
        if arguments.new_owner().is_none() {
            break;
        }
    }
    assert_eq!(owner(&observer).await, other.unique_name().expect("a name").to_string());
}
