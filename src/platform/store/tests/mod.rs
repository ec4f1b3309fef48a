//! The store as its user sees it.

mod damage;

use std::{collections::BTreeMap, os::unix::fs::PermissionsExt};

use serde_json::json;

use super::*;

const KEY: [u8; 32] = [7; 32];
const OTHER_KEY: [u8; 32] = [8; 32];
const HERE: Option<MachineId> = Some(MachineId([1; 16]));
const ELSEWHERE: Option<MachineId> = Some(MachineId([2; 16]));

/// In memory where possible: what is flushed to a disk here proves nothing, and takes time.
fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder")
}

fn name() -> AccountName {
    "kinde".parse().expect("a name")
}

/// A record whose access token says which one it is.
fn record(token: &str) -> Record {
    let grant = json!({
        "issuer": "https://acme.kinde.com", "client_id": null, "token_endpoint": "https://acme.kinde.com/oauth2/token",
        "revocation_endpoint": null, "access_token": token, "refresh_token": "refresh-secret", "id_token": null,
        "scope": "openid", "lifetime": 60, "expires_boot_ms": null, "expires_wall": null,
    });
    serde_json::from_value(json!({ "generation": 1, "grant": grant })).expect("a record")
}

fn token(loaded: &Loaded) -> Option<String> {
    let text = serde_json::to_value(loaded.record.as_ref()?.grant.as_ref()?).expect("JSON");
    text["access_token"].as_str().map(str::to_owned)
}

fn plain(folder: &Path) -> Store {
    Store::open_on(HERE, folder, Keys::default()).expect("a store")
}

fn sealed(folder: &Path) -> Store {
    Store::open_on(HERE, folder, Keys::of(Some(&KEY), None)).expect("a store")
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("a listing").map(|entry| entry.expect("an entry"));
    let named = entries.map(|entry| (entry.file_name().into_string().expect("a name"), entry.path()));
    named
        .filter(|(name, path)| name != "lock" && path.is_file())
        .map(|(name, path)| (name, fs::read(path).expect("a file")))
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn what_is_saved_is_read_back_and_nobody_else_may_read_it() {
    for open in [plain, sealed] {
        let folder = folder();
        let folder = folder.path().join("state");
        let store = open(&folder);
        let loaded = store.load(&name());
        assert!(loaded.record.is_none() && loaded.incidents.is_empty());
        for number in 0..5 {
            store.save(&name(), &record(&format!("access-{number}"))).expect("a save");
            assert_eq!(token(&store.load(&name())), Some(format!("access-{number}")));
        }
        drop(store);
        let loaded = open(&folder).load(&name());
        assert_eq!((token(&loaded).as_deref(), loaded.outdated), (Some("access-4"), false));
        assert_eq!(names(&folder), ["kinde.a", "kinde.b"]);
        for entry in fs::read_dir(&folder).expect("a listing").flatten() {
            let mode = entry.metadata().expect("metadata").permissions().mode();
            assert_eq!(mode & 0o7777, 0o600, "{:?}", entry.path());
        }
        let mode = fs::metadata(&folder).expect("metadata").permissions().mode();
        assert_eq!(mode & 0o7777, 0o700);
    }
}

#[test]
fn sealed_files_show_nothing() {
    let folder = folder();
    let store = sealed(folder.path());
    store.save(&name(), &record("access-secret")).expect("a save");
    for (file, bytes) in files(folder.path()) {
        for text in ["secret", "kinde.com", "generation"] {
            assert!(!contains(&bytes[format::HEADER..], text), "{file} shows {text}");
        }
    }
    assert_eq!(
        (store.protection(), plain(&folder.path().join("x")).protection()),
        (Protection::Host, Protection::None)
    );
}

#[test]
fn one_bad_file_costs_one_generation() {
    for open in [plain, sealed] {
        for bad in ["kinde.a", "kinde.b"] {
            let folder = folder();
            let store = open(folder.path());
            for text in ["first", "older", "newer"] {
                store.save(&name(), &record(text)).expect("a save");
            }
            drop(store);
            fs::write(folder.path().join(bad), "damaged").expect("a write");
            let store = open(folder.path());
            let loaded = store.load(&name());
            assert!(matches!(token(&loaded).as_deref(), Some("older" | "newer")), "{:?}", token(&loaded));
            assert_eq!(loaded.incidents.len(), 1);
            assert!(matches!(loaded.incidents[0].damage, Damage::Garbled));
            assert_eq!(fs::read(folder.path().join(format!("{bad}.damaged-1"))).expect("a file"), b"damaged");
            assert!(store.load(&name()).incidents.is_empty(), "it is told once");
            store.save(&name(), &record("healed")).expect("a save");
            assert_eq!(names(folder.path()).len(), 3, "both generations are there again");
            assert_eq!(token(&store.load(&name())).as_deref(), Some("healed"));
        }
    }
}

#[test]
fn one_file_alone_never_holds_the_only_tokens_nor_forgotten_ones() {
    let folder = folder();
    let store = plain(folder.path());
    let holders = || files(folder.path()).values().filter(|bytes| contains(bytes, "access")).count();
    store.save(&name(), &Record::default()).expect("a save");
    assert_eq!(holders(), 0);
    store.save(&name(), &record("access")).expect("a save");
    assert_eq!(holders(), 2);
    store.save(&name(), &Record::default()).expect("a save");
    assert_eq!((holders(), names(folder.path()).len()), (0, 2));
}

#[test]
fn a_file_counts_in_its_place_alone() {
    for open in [plain, sealed] {
        let folder = folder();
        let at = |file: &str| folder.path().join(file);
        let other: AccountName = "other".parse().expect("a name");
        let store = open(folder.path());
        store.save(&name(), &record("kinde")).expect("a save");
        store.save(&other, &record("other")).expect("a save");

        let (a, b) = (fs::read(at("kinde.a")).expect("a file"), fs::read(at("kinde.b")).expect("a file"));
        fs::write(at("kinde.a"), &b).and_then(|()| fs::write(at("kinde.b"), &a)).expect("writes");
        let loaded = store.load(&name());
        assert!(loaded.record.is_none() && loaded.incidents.len() == 2, "the two files of an account swapped");

        for slot in ["a", "b"] {
            fs::copy(at(&format!("other.{slot}")), at(&format!("kinde.{slot}"))).expect("a copy");
        }
        assert!(store.load(&name()).record.is_none(), "the files of another account");
        assert_eq!(token(&store.load(&other)).as_deref(), Some("other"));
    }
}

#[test]
fn the_higher_generation_wins_wherever_it_is() {
    let folder = folder();
    let at = |file: &str| folder.path().join(file);
    let store = sealed(folder.path());
    let mut history = Vec::new();
    for number in 0..4 {
        store.save(&name(), &record(&format!("access-{number}"))).expect("a save");
        history.push((fs::read(at("kinde.a")).expect("a file"), fs::read(at("kinde.b")).expect("a file")));
    }
    // The first save fills both files, from then on they take turns: a, b, a.
    for (a, b, newest) in [(3, 3, "access-3"), (3, 0, "access-3"), (0, 3, "access-2"), (0, 0, "access-0")] {
        fs::write(at("kinde.a"), &history[a].0).and_then(|()| fs::write(at("kinde.b"), &history[b].1)).expect("writes");
        let loaded = store.load(&name());
        assert!(loaded.incidents.is_empty());
        assert_eq!(token(&loaded).as_deref(), Some(newest), "a as after save {a}, b as after save {b}");
    }
}

#[test]
fn the_previous_key_still_opens_and_a_save_is_under_the_new_one() {
    let folder = folder();
    sealed(folder.path()).save(&name(), &record("kept")).expect("a save");
    let both = || Keys::of(Some(&OTHER_KEY), Some(&KEY));
    let store = Store::open_on(HERE, folder.path(), both()).expect("a store");
    let loaded = store.load(&name());
    assert_eq!((token(&loaded).as_deref(), loaded.outdated), (Some("kept"), true));
    store.save(&name(), &record("kept")).expect("a save");
    drop(store);

    let store = Store::open_on(HERE, folder.path(), Keys::of(Some(&OTHER_KEY), None)).expect("a store");
    let loaded = store.load(&name());
    assert!(loaded.incidents.is_empty() && !loaded.outdated, "nothing is left under the old key");
    assert_eq!(token(&loaded).as_deref(), Some("kept"));
    drop(store);

    // With a previous key alone sealing is given up.
    let store = Store::open_on(HERE, folder.path(), Keys::of(None, Some(&OTHER_KEY))).expect("a store");
    assert!(store.load(&name()).outdated);
    store.save(&name(), &record("kept")).expect("a save");
    drop(store);
    assert_eq!(token(&plain(folder.path()).load(&name())).as_deref(), Some("kept"));
}

#[test]
fn unsealed_records_are_taken_over_and_none_counts_beside_a_sealed_one() {
    let folder = folder();
    let at = |file: &str| folder.path().join(file);
    let store = plain(folder.path());
    for text in ["unsealed", "unsealed", "unsealed"] {
        store.save(&name(), &record(text)).expect("a save");
    }
    drop(store);
    let forged = fs::read(at("kinde.a")).expect("a file");
    let store = sealed(folder.path());
    let loaded = store.load(&name());
    assert_eq!((token(&loaded).as_deref(), loaded.outdated), (Some("unsealed"), true));
    store.save(&name(), &record("sealed")).expect("a save");
    assert!(files(folder.path()).values().all(|bytes| !contains(bytes, "secret")));
    drop(store);

    // Even with the highest generation.
    fs::remove_file(at("kinde.b")).expect("a removal");
    sealed(folder.path()).save(&name(), &record("sealed")).expect("a save");
    fs::write(at("kinde.a"), &forged).expect("a write");
    assert_eq!(token(&sealed(folder.path()).load(&name())).as_deref(), Some("sealed"));
}

#[test]
fn without_the_right_key_or_machine_there_is_nothing_and_the_files_are_kept() {
    type Expected = fn(&Damage) -> bool;
    let cases: [(Option<MachineId>, Keys, Expected); 4] = [
        (HERE, Keys::default(), |damage| matches!(damage, Damage::NoKey)),
        (HERE, Keys::of(Some(&OTHER_KEY), None), |damage| matches!(damage, Damage::OtherKey)),
        (ELSEWHERE, Keys::of(Some(&KEY), None), |damage| matches!(damage, Damage::OtherMachine)),
        (None, Keys::of(Some(&KEY), None), |damage| matches!(damage, Damage::OtherMachine)),
    ];
    for (machine, keys, expected) in cases {
        let folder = folder();
        sealed(folder.path()).save(&name(), &record("kept")).expect("a save");
        let before = files(folder.path());
        let store = Store::open_on(machine, folder.path(), keys).expect("a store");
        let loaded = store.load(&name());
        assert!(loaded.record.is_none());
        assert!(loaded.incidents.len() == 2 && loaded.incidents.iter().all(|incident| expected(&incident.damage)));
        store.save(&name(), &record("new")).expect("a save");
        assert_eq!(token(&store.load(&name())).as_deref(), Some("new"));
        drop(store);

        // Renamed back they work again.
        for (file, aside) in [("kinde.a", "kinde.a.damaged-1"), ("kinde.b", "kinde.b.damaged-2")] {
            fs::rename(folder.path().join(aside), folder.path().join(file)).expect("a rename");
        }
        assert_eq!(files(folder.path()), before);
        assert_eq!(token(&sealed(folder.path()).load(&name())).as_deref(), Some("kept"));
    }
}

#[test]
fn a_record_that_is_bound_to_no_machine_is_welcome_everywhere() {
    let folder = folder();
    let keys = || Keys::of(Some(&KEY), None);
    let store = Store::open_on(None, folder.path(), keys()).expect("a store");
    store.save(&name(), &record("kept")).expect("a save");
    drop(store);
    assert_eq!(token(&sealed(folder.path()).load(&name())).as_deref(), Some("kept"));
}

#[test]
fn a_newer_format_is_set_aside() {
    let folder = folder();
    let store = plain(folder.path());
    store.save(&name(), &record("kept")).expect("a save");
    let newest = folder.path().join("kinde.b");
    let mut bytes = fs::read(&newest).expect("a file");
    bytes[8] = 2;
    fs::write(&newest, &bytes).expect("a write");
    let loaded = store.load(&name());
    assert!(matches!(loaded.incidents[0].damage, Damage::Newer(2)));
    assert_eq!(token(&loaded).as_deref(), Some("kept"));
    assert_eq!(fs::read(folder.path().join("kinde.b.damaged-1")).expect("a file"), bytes);
}

#[test]
fn only_the_last_two_damaged_files_of_an_account_are_kept() {
    let folder = folder();
    let store = plain(folder.path());
    for number in 1..=5 {
        fs::write(folder.path().join("kinde.a"), format!("damage {number}")).expect("a write");
        fs::write(folder.path().join("kinde.x.a"), "damage").expect("a write");
        assert_eq!(store.load(&name()).incidents.len(), 1);
    }
    store.load(&"kinde.x".parse().expect("a name"));
    assert_eq!(names(folder.path()), ["kinde.a.damaged-4", "kinde.a.damaged-5", "kinde.x.a.damaged-1"]);
}

#[test]
fn what_an_interrupted_write_left_is_removed_and_nothing_else() {
    let folder = folder();
    for file in [".kinde.a.new", ".kinde.b.new", ".hidden", ".new", "kinde.c", "note"] {
        fs::write(folder.path().join(file), "").expect("a write");
    }
    let store = plain(folder.path());
    assert_eq!(names(folder.path()), [".hidden", ".new", "kinde.c", "note"]);
    assert!(store.accounts().expect("a listing").is_empty());
    store.save(&name(), &Record::default()).expect("a save");
    assert_eq!(store.accounts().expect("a listing").into_iter().collect::<Vec<_>>(), [name()]);
}

#[test]
fn what_is_no_file_is_no_record_and_no_trap() {
    let folder = folder();
    let at = |file: &str| folder.path().join(file);
    fs::write(at("elsewhere"), "precious").expect("a write");
    std::os::unix::fs::symlink(at("elsewhere"), at("kinde.a")).expect("a link");
    nix::unistd::mkfifo(&at("kinde.b"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    let store = plain(folder.path());
    let loaded = store.load(&name());
    assert!(loaded.record.is_none() && loaded.incidents.len() == 2);
    assert!(loaded.incidents.iter().all(|incident| matches!(incident.damage, Damage::Unreadable(_))));
    assert!(at("kinde.a").is_symlink(), "what may become readable stays until its place is needed");
    store.save(&name(), &record("new")).expect("a save");
    assert_eq!(token(&store.load(&name())).as_deref(), Some("new"));
    assert_eq!(fs::read(at("elsewhere")).expect("a file"), b"precious");
    assert!(at("kinde.a.damaged-1").is_symlink() || at("kinde.a.damaged-2").is_symlink());
}

#[test]
fn a_failed_save_is_told_and_the_next_one_works() {
    let folder = folder();
    let (file, away) = (folder.path().join("kinde.a"), folder.path().join("away"));
    let store = plain(folder.path());
    store.save(&name(), &record("old")).expect("a save");
    // Nothing can be renamed over a folder.
    fs::rename(&file, &away).and_then(|()| fs::create_dir(&file)).expect("a folder in its place");
    assert!(store.save(&name(), &record("new")).is_err());
    assert!(names(folder.path()).iter().all(|name| !name.starts_with('.')), "no temporary file is left");
    fs::remove_dir(&file).and_then(|()| fs::rename(&away, &file)).expect("the file in its place");
    store.save(&name(), &record("new")).expect("a save");
    let loaded = store.load(&name());
    assert!(loaded.incidents.is_empty());
    assert_eq!(token(&loaded).as_deref(), Some("new"));
}

#[test]
fn a_second_process_is_kept_out() {
    let folder = folder();
    let first = plain(folder.path());
    let second = Store::open(folder.path(), Keys::default());
    assert!(matches!(second, Err(StoreError::InUse(_))));
    drop(first);
    assert!(Store::open(folder.path(), Keys::default()).is_ok());
}
