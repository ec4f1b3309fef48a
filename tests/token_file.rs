//! `[accounts.NAME.file]`: the token is in the file from the sign-in to its end, whole at every moment, for nobody else;
//! and a file that cannot be written costs the account nothing.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply, Settings},
    bus::PrivateBus,
    daemon::Daemon,
};
use zbus::{OwnedObjectPath, connection::Builder, fdo};

/// A folder for token files, and one account that keeps its token in `token` there.
struct Place {
    server: AuthorizationServer,
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self::with(Settings { auto_approve: true, ..Settings::default() })
    }

    fn with(settings: Settings) -> Self {
        let server = AuthorizationServer::with(settings).expect("a server");
        Self { server, folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("token")
    }

    /// The account without the file.
    fn account(&self) -> String {
        format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", self.server.issuer())
    }

    /// The account with the file at `path`, and with these lines.
    fn with_file(&self, path: &Path, lines: &str) -> String {
        format!("{}[accounts.box.file]\npath = {path:?}\n{lines}\n", self.account())
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6000 {
        if holds() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: not in a minute");
}

fn content(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Signs in, and returns the token.
fn sign_in(daemon: &Daemon) -> String {
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    token(daemon)
}

fn token(daemon: &Daemon) -> String {
    let reply = daemon.get("/v1/token?wait=60");
    assert_eq!(reply.status, 200, "{}", reply.body);
    reply.text("access_token")
}

fn reload(daemon: &Daemon, config: &str) {
    fs::write(daemon.folder().join("bearerd.toml"), format!("{config}\n[daemon]\nlog = \"trace\"\n")).expect("a file");
    assert_eq!(daemon.post("/v1/reload").status, 200);
}

/// How often the log has a line with all of this in it.
fn told(daemon: &Daemon, parts: &[&str]) -> usize {
    daemon.log().lines().filter(|line| parts.iter().all(|part| line.contains(part))).count()
}

fn wait_for_log(daemon: &Daemon, parts: &[&str]) {
    wait_until(&parts.join(" … "), || told(daemon, parts) > 0);
}

#[test]
fn the_file_has_the_token_from_the_sign_in_to_the_logout() {
    let place = Place::new();
    let (path, prey) = (place.path(), place.folder.path().join("prey"));
    fs::write(&prey, "precious").expect("a file");
    symlink(&prey, &path).expect("a link");
    let mut daemon = Daemon::start(&place.with_file(&path, ""));
    wait_until("what was there before is gone", || fs::symlink_metadata(&path).is_err());

    symlink(&prey, &path).expect("a link");
    let first = sign_in(&daemon);
    wait_until("the token is there", || content(&path) == first);
    let found = fs::symlink_metadata(&path).expect("a file");
    assert!(found.is_file(), "the link was replaced");
    assert_eq!((found.mode() & 0o7777, found.uid()), (0o600, nix::unistd::geteuid().as_raw()));

    let old = found.ino();
    daemon.stop();
    assert_eq!(content(&path), first, "programs go on while the daemon is started anew");
    daemon.start_again();
    wait_until("it is written again", || fs::symlink_metadata(&path).is_ok_and(|found| found.ino() != old));
    assert_eq!(content(&path), first);

    fs::remove_file(&path).expect("somebody takes it away");
    daemon.post("/v1/accounts/box/refresh");
    let second = token(&daemon);
    wait_until("the new one is there", || content(&path) == second);

    assert_eq!(daemon.post("/v1/accounts/box/logout").status, 204);
    wait_until("it is gone", || !path.exists());
    assert_eq!(content(&prey), "precious", "no link was followed");
    let left: Vec<_> = fs::read_dir(place.folder.path()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(left, ["prey"], "and nothing else is left");
}

#[test]
fn a_reader_finds_a_whole_token_at_every_moment() {
    let place = Place::new();
    let daemon = Daemon::start(&place.with_file(&place.path(), ""));
    let first = sign_in(&daemon);
    wait_until("the token is there", || content(&place.path()) == first);
    let (end, found) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let (path, until, count) = (place.path(), end.clone(), found.clone());
    let reader = thread::spawn(move || {
        let (mut seen, mut inodes) = (BTreeSet::new(), BTreeSet::new());
        while !until.load(Ordering::Relaxed) {
            seen.insert(fs::read_to_string(&path).expect("it is always there"));
            inodes.insert(fs::symlink_metadata(&path).expect("always").ino());
            count.store(seen.len(), Ordering::Relaxed);
            thread::yield_now();
        }
        (seen, inodes.len())
    });
    // Each comes when the reader has found the one before.
    for tokens in 1..4 {
        wait_until("the reader has found it", || found.load(Ordering::Relaxed) == tokens);
        assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
        let newest = token(&daemon);
        wait_until("the new token is there", || content(&place.path()) == newest);
    }
    wait_until("the reader has found the last one", || found.load(Ordering::Relaxed) == 4);
    end.store(true, Ordering::Relaxed);
    let (seen, inodes) = reader.join().expect("the reader");
    let issued = place.server.issued_secrets();
    assert!(seen.iter().all(|found| issued.contains(found)), "a torn token");
    assert!(seen.len() == 4 && inodes > 1, "{} tokens, {inodes} files", seen.len());
}

#[test]
fn the_file_goes_when_the_token_ends() {
    let place = Place::with(Settings { auto_approve: true, token_lifetime: Some(4), ..Settings::default() });
    // Without a refresh token.
    let config = place.with_file(&place.path(), "").replace(", \"offline\"", "");
    let daemon = Daemon::start(&config);
    let first = sign_in(&daemon);
    wait_until("the token is there", || content(&place.path()) == first);
    wait_until("it is gone", || !place.path().exists());
    assert_ne!(daemon.get("/v1/accounts/box").text("state"), "active");
    wait_for_log(&daemon, &["there is no token, and", "is gone"]);
}

#[test]
fn a_reload_moves_changes_and_removes_it() {
    let place = Place::new();
    let (path, other) = (place.path(), place.folder.path().join("other"));
    let daemon = Daemon::start(&place.with_file(&path, ""));
    let token = sign_in(&daemon);
    wait_until("the token is there", || content(&path) == token);
    reload(&daemon, &place.with_file(&path, "mode = \"0440\""));
    let mode = |path: &Path| fs::symlink_metadata(path).map(|found| found.mode() & 0o7777).unwrap_or_default();
    wait_until("the mode is another one", || mode(&path) == 0o440);
    reload(&daemon, &place.with_file(&other, ""));
    wait_until("it has moved", || content(&other) == token && !path.exists());
    reload(&daemon, &place.account());
    wait_until("it is gone", || !other.exists());
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "active");
    assert_eq!(place.server.count(Endpoint::Refresh), 0, "nothing was started anew");
}

#[test]
fn the_file_is_given_away_and_where_that_is_not_allowed_it_says_what_is_missing() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("not run here: only root can give files away");
    }
    let place = Place::new();
    let id = |user: &str| nix::unistd::User::from_name(user).expect("users").expect("a user").uid.as_raw();
    let group = nix::unistd::Group::from_name("games").expect("groups").expect("a group").gid.as_raw();
    let config = place.with_file(&place.path(), "owner = \"daemon:games\"\nmode = \"0640\"");
    let mut daemon = Daemon::start(&config);
    let token = sign_in(&daemon);
    wait_until("the token is there", || content(&place.path()) == token);
    let found = fs::symlink_metadata(place.path()).expect("a file");
    assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (id("daemon"), group, 0o640));

    // As the service is: without the right to give files away. The account has its token all the same.
    daemon.stop();
    daemon.launch(&["setpriv", "--bounding-set=-chown"]);
    daemon.wait_for_notify("READY=1");
    wait_for_log(&daemon, &["WARN", "is not kept", "SupplementaryGroups=games", "SystemCallFilter=@chown"]);
    assert_eq!(self::token(&daemon), token);
    reload(&daemon, &place.with_file(&place.path(), "owner = \"daemon\""));
    wait_for_log(&daemon, &["WARN", "is not kept", "AmbientCapabilities=CAP_CHOWN", "SystemCallFilter=@chown"]);
    assert!(!place.folder.path().join(".token.new").exists(), "no token is left where nobody looks");

    // A folder of that group with the set-group-ID bit needs no privilege.
    let shared = place.folder.path().join("shared");
    fs::create_dir(&shared).expect("a folder");
    nix::unistd::chown(&shared, None, Some(nix::unistd::Gid::from_raw(group))).expect("a group");
    fs::set_permissions(&shared, std::os::unix::fs::PermissionsExt::from_mode(0o2750)).expect("a mode");
    reload(&daemon, &place.with_file(&shared.join("token"), "owner = \":games\"\nmode = \"0640\""));
    wait_until("the token is there", || content(&shared.join("token")) == token);
    let found = fs::symlink_metadata(shared.join("token")).expect("a file");
    assert_eq!((found.gid(), found.mode() & 0o7777), (group, 0o640));
}

#[test]
fn a_directory_that_is_missing_costs_the_account_nothing() {
    let place = Place::new();
    let folder = place.folder.path().join("later");
    let path = folder.join("token");
    let daemon = Daemon::start(&place.with_file(&path, ""));
    let token = sign_in(&daemon);
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "active");
    let what_to_do = ["WARN", "is not kept", "make the directory", "later"];
    wait_for_log(&daemon, &what_to_do);
    fs::create_dir(&folder).expect("a folder");
    wait_until("it is written without any change of the account", || content(&path) == token);
    wait_for_log(&daemon, &["INFO", "the token is in", "later/token"]);
    assert_eq!(told(&daemon, &what_to_do), 1, "however often it was tried");

    // A program's own runtime directory goes when the program restarts.
    fs::remove_dir_all(&folder).expect("it goes");
    daemon.post("/v1/accounts/box/refresh");
    wait_until("the journal says so", || told(&daemon, &what_to_do) == 2);
    fs::create_dir(&folder).expect("a folder");
    let token = self::token(&daemon);
    wait_until("it is there again", || content(&path) == token);
}

#[test]
fn a_token_that_is_bound_to_a_key_is_not_written() {
    let place = Place::new();
    let config = place.with_file(&place.path(), "").replace("[accounts.box]\n", "[accounts.box]\ndpop = true\n");
    let daemon = Daemon::start(&config);
    place.server.reply_next(Endpoint::Poll, Reply::usual().member("token_type", "DPoP".into()));
    sign_in(&daemon);
    assert_eq!(daemon.get("/v1/token").text("token_type"), "DPoP");
    wait_for_log(&daemon, &["WARN", "is not kept", "binds this account's tokens to a key"]);
    assert!(!place.path().exists());
}

/// What systemd was asked, and the token that was in the file then.
type Asked = (String, String, String);

/// systemd's manager on a bus, as far as this goes.
struct Systemd {
    file: PathBuf,
    asked: Mutex<mpsc::Sender<Asked>>,
    denies: Arc<AtomicBool>,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl Systemd {
    fn reload_or_restart_unit(&self, name: String, mode: String) -> fdo::Result<OwnedObjectPath> {
        // Before the test hears of it and goes on.
        let denies = self.denies.load(Ordering::Relaxed);
        self.asked.lock().expect("a lock").send((name, mode, content(&self.file))).expect("the test listens");
        if denies {
            return Err(fdo::Error::InteractiveAuthorizationRequired("Interactive authentication required.".into()));
        }
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").expect("a path"))
    }
}

/// Serves it on a thread of its own for as long as the test runs.
fn serve_systemd(bus: &PrivateBus, file: PathBuf, denies: Arc<AtomicBool>) -> mpsc::Receiver<Asked> {
    let (asked, receiver) = mpsc::channel();
    let (address, (up, is_up)) = (bus.address(), mpsc::channel());
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let systemd = Systemd { file, asked: Mutex::new(asked), denies };
            let builder = Builder::address(address.as_str()).serve_at("/org/freedesktop/systemd1", systemd);
            let _connection = builder.name("org.freedesktop.systemd1").build().await.expect("on the bus");
            up.send(()).expect("the test waits");
            std::future::pending::<()>().await;
        });
    });
    is_up.recv().expect("systemd is on the bus");
    receiver
}

#[test]
fn the_unit_is_reloaded_once_for_each_new_token() {
    let place = Place::new();
    let bus = PrivateBus::start_for("org.freedesktop.systemd1");
    let denies = Arc::new(AtomicBool::new(false));
    let asked = serve_systemd(&bus, place.path(), denies.clone());
    let config = place.with_file(&place.path(), "reload_unit = \"telemetry.service\"");
    let daemon = Daemon::start_with(&config, &["--bus", &bus.address()]);
    let next = || asked.recv_timeout(Duration::from_secs(60)).expect("systemd is asked");
    let with = |token: &str| ("telemetry.service".to_owned(), "replace".to_owned(), token.to_owned());

    let first = sign_in(&daemon);
    assert_eq!(next(), with(&first), "once the token is in the file");
    // Written again, and the same.
    reload(&daemon, &place.with_file(&place.path(), "mode = \"0440\"\nreload_unit = \"telemetry.service\""));
    let mode = || fs::symlink_metadata(place.path()).expect("a file").mode() & 0o7777;
    wait_until("the mode is another one", || mode() == 0o440);
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    let second = token(&daemon);
    assert_eq!(next(), with(&second), "and no time in between");

    denies.store(true, Ordering::Relaxed);
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_eq!(next(), with(&token(&daemon)));
    wait_for_log(&daemon, &["WARN", "telemetry.service cannot be told", "polkit"]);
    assert_eq!(daemon.get("/v1/accounts/box").text("state"), "active");
    denies.store(false, Ordering::Relaxed);
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_eq!(next(), with(&token(&daemon)));
    wait_for_log(&daemon, &["INFO", "telemetry.service can be told"]);
    assert!(asked.try_recv().is_err());
}
