//! A message bus, an OAuth server that waits for approval, and bearerd's D-Bus side between them.

use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bearerd::{
    api::dbus,
    broker::Broker,
    config::{Bus, Settings},
    platform::{
        journal::LogLevel,
        store::{Keys, Store},
    },
};
use futures_util::{Stream, StreamExt};
use tempfile::TempDir;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zbus::{
    Connection, Message, OwnedVariant, Proxy, Variant, connection::Builder, fdo::DBusProxy, message::Body,
    names::BusName,
};

pub const NAME: &str = "io.github.bearerd.Bearerd1";
pub const PATH: &str = "/io/github/bearerd/Bearerd1";
pub const MANAGER: &str = "io.github.bearerd.Bearerd1.Manager";
pub const ACCOUNT: &str = "io.github.bearerd.Bearerd1.Account";
pub const CODE: &str = "WDJB-MJHT";
pub const TOKEN: &str = "the-access-token";

pub struct Rig {
    folder: TempDir,
    pub broker: Arc<Broker>,
    daemon: Option<Child>,
    approved: Arc<AtomicBool>,
    provider: u16,
    shutdown: CancellationToken,
}

impl Rig {
    /// Accounts by the text of their tables, `PORT` being that of the server; no bus yet, and nothing served.
    pub async fn new(accounts: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        // Another user has to reach the bus.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("a folder for everybody");
        let approved = Arc::new(AtomicBool::new(false));
        let provider = start_provider(approved.clone());
        let store = Store::open(&folder.path().join("state"), Keys::default()).expect("a store");
        let (broker, shutdown) = (Arc::new(Broker::new(store)), CancellationToken::new());
        let rig = Self { folder, broker, daemon: None, approved, provider, shutdown };
        rig.write(accounts);
        rig.broker.apply(&Settings::load(&rig.configuration()).expect("settings")).await;
        rig
    }

    /// The same with a bus, and served there.
    pub async fn served(accounts: &str) -> (Self, Connection) {
        let mut rig = Self::new(accounts).await;
        rig.start_bus();
        let client = rig.client().await;
        rig.serve();
        owner(&client).await;
        (rig, client)
    }

    pub fn write(&self, accounts: &str) {
        let text = accounts.replace("PORT", &self.provider.to_string());
        fs::write(self.configuration(), text).expect("a configuration");
    }

    pub fn configuration(&self) -> PathBuf {
        self.folder.path().join("bearerd.toml")
    }

    pub fn address(&self) -> String {
        format!("unix:path={}", self.folder.path().join("bus").display())
    }

    pub fn start_bus(&mut self) {
        self.daemon = Some(start_bus(self.folder.path(), &self.address()));
    }

    pub fn stop_bus(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().expect("killed");
            daemon.wait().expect("reaped");
        }
    }

    pub fn serve(&self) {
        let bus = Bus::Address(self.address());
        let (broker, shutdown) = (self.broker.clone(), self.shutdown.clone());
        tokio::spawn(dbus::serve(broker, bus, log_level(), shutdown));
    }

    pub fn stop_serving(&self) {
        self.shutdown.cancel();
    }

    pub async fn client(&self) -> Connection {
        Builder::address(self.address().as_str()).build().await.expect("a connection to the bus")
    }

    /// The person says yes.
    pub fn approve(&self) {
        self.approved.store(true, Ordering::SeqCst);
    }

    /// What `busctl` prints for another user, `daemon`; `None` where we cannot become one.
    pub async fn as_stranger(&self, arguments: &[&str]) -> Option<String> {
        if !nix::unistd::geteuid().is_root() {
            return None;
        }
        let stranger = ["--reuid=1", "--regid=1", "--clear-groups", "busctl", "--timeout=10"];
        let address = format!("--address={}", self.address());
        let output = tokio::process::Command::new("setpriv").args(stranger).arg(address).args(arguments).output();
        let output = output.await.expect("setpriv and busctl");
        Some(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.stop_bus();
    }
}

/// One log for the process.
fn log_level() -> LogLevel {
    static LEVEL: OnceLock<LogLevel> = OnceLock::new();
    LEVEL.get_or_init(|| LogLevel::start(tracing::Level::INFO)).clone()
}

/// Returns once the bus can be connected to.
fn start_bus(folder: &Path, address: &str) -> Child {
    let configuration = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>{address}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
         <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>"
    );
    fs::write(&configuration, text).expect("a configuration of the bus");
    let mut daemon = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", configuration.display()))
        .args(["--nofork", "--nopidfile", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("dbus-daemon");
    let mut line = String::new();
    BufReader::new(daemon.stdout.take().expect("its output")).read_line(&mut line).expect("its address");
    daemon
}

/// An OAuth server whose codes are approved by [`Rig::approve`].
fn start_provider(approved: Arc<AtomicBool>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            answer(stream, approved.load(Ordering::SeqCst));
        }
    });
    port
}

fn answer(mut stream: TcpStream, approved: bool) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut request = String::new();
    let (mut length, mut token_type) = (0, "Bearer");
    for line in (&mut reader).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        // Whoever proves to own a key has the token bound to it.
        if line.to_ascii_lowercase().starts_with("dpop:") {
            token_type = "DPoP";
        }
        request = if request.is_empty() { line } else { request };
    }
    reader.take(length).read_to_end(&mut Vec::new()).expect("a body");
    let page = "https://a.example/device";
    let (status, body) = match (request.contains("/device"), approved) {
        (true, _) => (
            "200 OK",
            format!(
                r#"{{"device_code":"d","user_code":"{CODE}","verification_uri":"{page}","verification_uri_complete":"{page}?user_code={CODE}","expires_in":600,"interval":1}}"#
            ),
        ),
        (false, false) => ("400 Bad Request", r#"{"error":"authorization_pending"}"#.to_owned()),
        (false, true) => (
            "200 OK",
            format!(
                r#"{{"access_token":"{TOKEN}","token_type":"{token_type}","expires_in":3600,"refresh_token":"r","scope":"a b"}}"#
            ),
        ),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}", body.len());
    let _ = write!(stream, "{head}\r\nConnection: close\r\n\r\n{body}");
}

/// An account at the server of the rig.
pub fn account(name: &str, more: &str) -> String {
    format!(
        "[accounts.{name}]\nclient_id = \"box\"\nlogin = \"manual\"\nscopes = [\"a\", \"b\"]\n\
         device_authorization_endpoint = \"http://127.0.0.1:PORT/device\"\n\
         token_endpoint = \"http://127.0.0.1:PORT/token\"\n{more}\n"
    )
}

/// Waits until bearerd has its name, and says who that is on the bus.
pub async fn owner(client: &Connection) -> String {
    let bus = DBusProxy::new(client).await.expect("the bus");
    let mut changes = bus.receive_name_owner_changed_with_args(&[(0, NAME)]).await.expect("changes of owner");
    loop {
        if let Ok(owner) = bus.get_name_owner(BusName::try_from(NAME).expect("a name")).await {
            return owner.to_string();
        }
        soon(&mut changes).await;
    }
}

/// The next item of a stream.
pub async fn soon<S: Stream + Unpin>(stream: &mut S) -> S::Item {
    timeout(Duration::from_secs(30), stream.next()).await.expect("something in time").expect("an open stream")
}

pub async fn proxy(client: &Connection, path: &str, interface: &'static str) -> Proxy<'static> {
    let builder: zbus::proxy::Builder<'_, Proxy<'_>> = zbus::proxy::Builder::new(client);
    let builder = builder.destination(NAME).path(path.to_owned()).interface(interface);
    builder.cache_properties(zbus::proxy::CacheProperties::No).build().await.expect("a proxy")
}

/// Calls a method; an error comes back as its name without the bus name, and its text.
pub async fn call<B>(proxy: &Proxy<'_>, method: &str, body: &B) -> Result<Body, (String, String)>
where
    B: serde::Serialize + zbus::DynamicType,
{
    match timeout(Duration::from_secs(30), proxy.call_method(method, body)).await.expect("an answer in time") {
        Ok(reply) => Ok(Message::body(&reply)),
        Err(zbus::Error::MethodError(name, text, _)) => {
            Err((name.as_str().replace(&format!("{NAME}."), ""), text.unwrap_or_default()))
        }
        Err(error) => Err((error.to_string(), String::new())),
    }
}

pub fn options<const N: usize>(pairs: [(&str, Variant<'static>); N]) -> HashMap<String, Variant<'static>> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub async fn get_all(client: &Connection, path: &str) -> HashMap<String, OwnedVariant> {
    let properties = proxy(client, path, "org.freedesktop.DBus.Properties").await;
    call(&properties, "GetAll", &ACCOUNT).await.expect("properties").deserialize().expect("a dict")
}
