//! What is read from files: the records of the state directory, and provider profiles.

use std::{cell::OnceCell, fs, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::digest;
use bearerd::{
    account::{Account, AccountName, Record, Schedule, Seed},
    oauth::{
        client::{Client, Endpoints},
        exchange::Endpoint,
        profile::Profile,
    },
    platform::store::{Keys, Store},
    time::{Instant, Now, UnixTime},
};

use super::{choice, is_harmless, wire::check_endpoint};

/// A record as the state file has it, and the account that comes of it. The first byte says what the clocks show.
pub fn record(data: &[u8]) {
    let (clocks, json) = choice(data);
    let Ok(record) = serde_json::from_slice::<Record>(json) else { return };
    let text = serde_json::to_string(&record).expect("it can be written");
    let again = serde_json::from_str::<Record>(&text).expect("it can be read again");
    assert_eq!(serde_json::to_string(&again).expect("it can be written"), text);

    let at = |path| Endpoint::parse(&format!("https://as.example/{path}")).ok();
    let endpoints = Endpoints { device_authorization: at("device"), token: at("token"), revocation: at("revoke") };
    let issuer = Some("https://as.example".into());
    let client = Client { issuer, client_id: Some("box".into()), endpoints, ..Client::default() };
    let boot = Instant::from_boot(Duration::from_secs(100));
    let wall = UnixTime(if clocks & 1 == 0 { 1_800_000_000 } else { 5 });
    let mut now = Now { boot, wall, synchronised: clocks & 2 == 0 };
    let boot_id = (clocks & 4 == 0).then(|| "boot".into());
    let schedule = Schedule { sealed: clocks & 8 == 0, ..Schedule::default() };
    let mut account = Account::new(Arc::new(client), schedule, Some(record), boot_id, Seed::new([5; 32]), now);
    for _ in 0..4 {
        while let Some((version, record)) = account.poll_save(now) {
            serde_json::to_string(&record).expect("it can be written");
            account.handle_saved(version, Ok(()), now.boot);
        }
        if let Some((_, request)) = account.poll_request() {
            check_endpoint(&request.endpoint);
            let form = request.form.as_ref().map(|form| form.encode().expose().to_owned()).unwrap_or_default();
            let ours = request.endpoint.origin() == "https://as.example";
            assert!(ours || !form.contains("refresh_token="), "the configuration says where it may go");
        }
        let snapshot = account.snapshot(now.boot);
        assert!(snapshot.trouble.is_none_or(|trouble| is_harmless(&trouble.text)));
        let Some(due) = account.poll_deadline(now.boot) else { return };
        now.boot = now.boot.max(due);
        account.handle_deadline(now.boot);
    }
}

/// A file of the state directory. One whose first byte is `r` is made whole around the rest, as a record of this machine; any
/// other is a file as it is.
pub fn store(data: &[u8]) {
    STATE.with(|state| {
        let state = state.get_or_init(State::new);
        let (kind, rest) = choice(data);
        let file = if kind == b'r' { state.whole(rest) } else { data.to_vec() };
        fs::write(state.folder.join("box.a"), &file).expect("a file");
        let loaded = state.store.load(&state.account);
        let is_record = kind == b'r' && serde_json::from_slice::<Record>(rest).is_ok();
        assert_eq!(loaded.record.is_some(), is_record, "what was not written here is never believed");
        assert_eq!(loaded.incidents.len(), usize::from(!is_record));
    });
}

/// A provider's profile. One that can be read can also be completed.
pub fn profile(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Profile::read(text, "") {
        Ok(profile) => {
            assert!(profile.offline_scope.as_deref() != Some(""));
            let error = Profile::read(text, GENERIC).err();
            assert!(error.is_none(), "{error:?}");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// A state directory of this process, and what a file in it begins with.
struct State {
    folder: PathBuf,
    store: Store,
    account: AccountName,
    header: Vec<u8>,
}

thread_local! {
    static STATE: OnceCell<State> = const { OnceCell::new() };
}

impl State {
    fn new() -> Self {
        let name = format!("bearerd-fuzz-{}-{:?}", std::process::id(), std::thread::current().id());
        let memory = PathBuf::from("/dev/shm");
        let folder = if memory.is_dir() { memory } else { std::env::temp_dir() }.join(name);
        let _ = fs::remove_dir_all(&folder);
        let store = Store::open(&folder, Keys::default()).expect("a store");
        let account: AccountName = "box".parse().expect("a name");
        store.save(&account, &Record::default()).expect("a record");
        let mut header = fs::read(folder.join("box.a")).expect("its file");
        header.truncate(HEADER);
        fs::remove_file(folder.join("box.b")).expect("the other one");
        Self { folder, store, account, header }
    }

    /// A whole file with this record in it.
    fn whole(&self, record: &[u8]) -> Vec<u8> {
        let mut file = self.header.clone();
        file[12..16].copy_from_slice(&u32::try_from(record.len()).expect("a length").to_le_bytes());
        let covered = [&file, b"abox".as_slice(), record].concat();
        file.extend_from_slice(record);
        file.extend_from_slice(digest::digest(&digest::SHA256, &covered).as_ref());
        file
    }
}

impl Drop for State {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Any other profile to complete one from.
const GENERIC: &str = "offline_scope = \"offline_access\"\n[error_aliases]\ntoken_expired = \"expired_token\"\n";
/// See the table in `src/platform/store/format.rs`.
const HEADER: usize = 60;
