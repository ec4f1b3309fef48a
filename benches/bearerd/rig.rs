//! What is measured: the real program, signed in, and the bare servers beside it.

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Duration,
};

use bearerd::{
    account::AccountName,
    platform::store::{Keys, Store},
};
use tempfile::TempDir;

use super::{
    limits,
    support::{
        authorization_server::{AuthorizationServer, Settings},
        daemon::{Daemon, Reply},
    },
};

/// How much work is done.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Size {
    Smoke,
    Full,
}

impl Size {
    /// `full` of something, or the few that show that it works.
    pub fn of(self, full: usize) -> usize {
        if self == Self::Full { full } else { full.div_ceil(100).clamp(1, 20) }
    }
}

/// A signed-in daemon and where its tokens came from.
pub struct Rig {
    pub daemon: Daemon,
    pub server: AuthorizationServer,
}

/// A child that is killed when this is dropped.
pub struct Helper(pub Child);

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Rig {
    /// One account.
    pub fn start(arguments: &[&str]) -> Self {
        let server =
            AuthorizationServer::with(Settings { auto_approve: true, ..Settings::default() }).expect("a server");
        let daemon = Daemon::start_with(&config(&server, 1), arguments);
        sign_in(&daemon);
        Self { daemon, server }
    }

    /// That many accounts, of which all have the grant that the first one got, on a daemon that was started with them.
    pub fn with_accounts(accounts: usize, settings: Settings) -> Self {
        let server = AuthorizationServer::with(Settings { auto_approve: true, ..settings }).expect("a server");
        let mut daemon = Daemon::start(&config(&server, 1));
        sign_in(&daemon);
        assert!(daemon.stop().success());
        copy_record(&daemon.folder().join("state"), accounts);
        fs::write(daemon.folder().join("bearerd.toml"), config(&server, accounts)).expect("a configuration");
        daemon.start_again();
        Self { daemon, server }
    }

    /// The same token, by a server that does nothing but answer.
    pub fn bare_http(&self) -> (Helper, PathBuf) {
        bare_http(self.daemon.folder(), &self.daemon.get("/v1/token"))
    }
}

/// The configuration of `box`, and of `box-1`, `box-2` …
pub fn config(server: &AuthorizationServer, accounts: usize) -> String {
    let issuer = server.issuer();
    // The benchmark is one user, and is to see the daemon and not the limit; and the daemon logs what an installed one does.
    let mut text = String::from("[daemon]\nlog = \"info\"\nconnections_per_user = 1000\n");
    for name in names(accounts) {
        text += &format!("[accounts.{name}]\nissuer = \"{issuer}\"\nscopes = [\"openid\", \"offline\"]\n");
    }
    text
}

fn names(accounts: usize) -> impl Iterator<Item = String> {
    (0..accounts).map(|at| if at == 0 { "default".to_owned() } else { format!("box-{at}") })
}

fn sign_in(daemon: &Daemon) {
    assert_eq!(daemon.post("/v1/accounts/default/login").status, 202);
    assert_eq!(daemon.get("/v1/token?wait=120").status, 200);
}

fn copy_record(state: &Path, accounts: usize) {
    let store = Store::open(state, Keys::default()).expect("a store");
    let name = |text: &str| text.parse::<AccountName>().expect("a name");
    let record = store.load(&name("default")).record.expect("a record");
    for copy in names(accounts).skip(1) {
        store.save(&name(&copy), &record).expect("a copy");
    }
}

fn bare_http(folder: &Path, reply: &Reply) -> (Helper, PathBuf) {
    let (socket, file) = (folder.join("bare.sock"), folder.join("reply"));
    let _ = fs::remove_file(&socket);
    fs::write(&file, format!("{}\r\n\r\n{}", reply.head, reply.body)).expect("a reply");
    let child = this_program().arg("limit-http").arg(&socket).arg(&file).spawn().expect("the bare server");
    wait_for_socket(&socket);
    (Helper(child), socket)
}

/// A bus of its own, for everybody, which ends with its helpers.
pub struct Bus {
    /// The program.
    pub name: &'static str,
    pub address: String,
    _helpers: Vec<Helper>,
}

impl Bus {
    /// The reference implementation.
    pub fn daemon(folder: &Path) -> Self {
        let (helper, address) = dbus_daemon(folder);
        Self { name: "dbus-daemon", address, _helpers: vec![helper] }
    }

    /// dbus-broker, where it can be had: its launcher wants a journal to write to and a systemd to ask, and gives up without
    /// the first; another bus stands for the latter.
    pub fn broker(folder: &Path) -> Option<Self> {
        let there = |program: &str| Command::new(program).arg("--version").output().is_ok();
        if !(there("dbus-broker-launch") && there("systemd-socket-activate")) {
            return None;
        }
        let (daemon, other) = dbus_daemon(folder);
        let (socket, file) = (folder.join("broker"), folder.join("bus.conf"));
        let mut launcher = Command::new("systemd-socket-activate");
        launcher.arg("--setenv=DBUS_SESSION_BUS_ADDRESS").arg("--listen").arg(&socket);
        launcher.args(["dbus-broker-launch", "--scope", "user", "--config-file"]).arg(&file);
        launcher.env("DBUS_SESSION_BUS_ADDRESS", other).stderr(Stdio::null());
        let launcher = Helper(launcher.spawn().expect("dbus-broker-launch"));
        wait_for_socket(&socket);
        let address = format!("unix:path={}", socket.display());
        answers(&address).then(|| Self { name: "dbus-broker", address, _helpers: vec![launcher, daemon] })
    }
}

fn dbus_daemon(folder: &Path) -> (Helper, String) {
    let file = folder.join("bus.conf");
    let text = format!(
        "<busconfig><listen>unix:path={}</listen><auth>EXTERNAL</auth><policy context=\"default\"><allow user=\"*\"/>\
         <allow own=\"*\"/><allow send_destination=\"*\"/><allow receive_sender=\"*\"/></policy>\
         <limit name=\"max_connections_per_user\">1000</limit></busconfig>",
        folder.join("bus").display()
    );
    fs::write(&file, text).expect("a configuration");
    let mut bus = Command::new("dbus-daemon");
    bus.arg(format!("--config-file={}", file.display())).args(["--nofork", "--print-address"]);
    let mut child = bus.stdout(Stdio::piped()).spawn().expect("dbus-daemon");
    let mut address = String::new();
    BufReader::new(child.stdout.take().expect("an output")).read_line(&mut address).expect("an address");
    (Helper(child), address.trim().to_owned())
}

/// Whether a bus answers there.
fn answers(address: &str) -> bool {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let hello = async { zbus::connection::Builder::address(address).build().await };
    matches!(runtime.block_on(async { tokio::time::timeout(PATIENCE, hello).await }), Ok(Ok(_)))
}

/// The bare service on that bus.
pub fn bare_dbus(folder: &Path, address: &str, token: &str) -> Helper {
    let file = folder.join("token");
    fs::write(&file, token).expect("a token");
    Helper(this_program().arg("limit-dbus").arg(address).arg(file).spawn().expect("the bare service"))
}

/// Waits until somebody has that name on the bus.
pub fn wait_for_name(address: &str, name: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let connection = zbus::connection::Builder::address(address).build().await.expect("a connection");
        let bus = zbus::fdo::DBusProxy::new(&connection).await.expect("the bus");
        while !bus.name_has_owner(name.try_into().expect("a name")).await.expect("an answer") {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

/// This program, to be started in one of its roles.
pub fn this_program() -> Command {
    Command::new(std::env::current_exe().expect("this program"))
}

/// Waits until somebody listens there.
pub fn wait_for_socket(socket: &Path) {
    while UnixStream::connect(socket).is_err() {
        sleep(Duration::from_millis(1));
    }
}

/// A folder that goes away with its value.
pub fn folder() -> TempDir {
    tempfile::Builder::new().prefix("bearerd-bench-").tempdir().expect("a folder")
}

/// How long a bus may take to let somebody in.
const PATIENCE: Duration = Duration::from_secs(10);
/// The names on the bus.
pub const SERVICES: [&str; 2] = ["io.github.bearerd.Bearerd1", limits::NAME];
