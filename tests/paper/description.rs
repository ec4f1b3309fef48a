//! The description of the API for machines is sound, complete, and what the running daemon does: schemathesis sends what it
//! permits and what it does not, and holds the answers against it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    thread,
};

use super::{
    Daemon, read, root, routes,
    support::authorization_server::{AuthorizationServer, Endpoint, Reply},
};

fn tool(name: &str) -> Command {
    let path = root().join(".test-tools/python/bin").join(name);
    assert!(path.is_file(), "{} is not there; run: sh tests/prepare.sh", path.display());
    Command::new(path)
}

/// The routes of the description, by its indentation.
fn described() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("docs/openapi.yaml");
    let paths = text.split("\npaths:\n").nth(1).and_then(|rest| rest.split("\ncomponents:\n").next()).expect("paths");
    let mut routes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut path = String::new();
    for line in paths.lines() {
        let name = line.trim().trim_end_matches(':');
        match line.len() - line.trim_start().len() {
            2 => name.clone_into(&mut path),
            4 if name != "parameters" => drop(routes.entry(path.clone()).or_default().insert(name.to_uppercase())),
            _ => {}
        }
    }
    routes
}

#[test]
fn the_description_has_every_route_and_is_served() {
    assert_eq!(described(), routes());
    let reply = Daemon::start("").get("/openapi.yaml");
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/yaml")));
    assert!(reply.body == read("docs/openapi.yaml"));
    assert!(reply.body.contains(&format!("\n  version: {}\n", env!("CARGO_PKG_VERSION"))), "there is one version");
}

#[test]
fn the_description_is_sound() {
    let said = tool("openapi-spec-validator").arg(root().join("docs/openapi.yaml")).output().expect("it runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// A daemon with an account `box` that can be signed in, behind a TCP port, because schemathesis knows no Unix sockets.
struct Rig {
    server: AuthorizationServer,
    daemon: Daemon,
    port: u16,
}

impl Rig {
    fn start(more: &str) -> Self {
        let server = AuthorizationServer::start();
        let folder = tempfile::tempdir().expect("a folder");
        // What POST /v1/rekey seals with.
        fs::create_dir(folder.path().join("credentials")).expect("a folder");
        fs::write(folder.path().join("credentials/bearerd.statekey"), [7; 32]).expect("a key");
        let issuer = server.issuer();
        let config = format!(
            "[accounts.box]\nissuer = \"{issuer}\"\nscopes = [\"openid\", \"offline\"]\nlogin = \"manual\"\n\
             audience = [\"https://api.example.com/\"]\nresource = [\"https://api.example.com/\"]\n{more}\n"
        );
        let daemon = Daemon::start_in(folder, &config, &[]);
        let port = forward(daemon.socket());
        Self { server, daemon, port }
    }

    fn sign_in(&self, token_type: &str) {
        assert_eq!(self.daemon.post("/v1/accounts/box/login").status, 202);
        self.server.reply_next(Endpoint::Poll, Reply::usual().member("token_type", token_type.into()));
        self.server.approve();
        assert_eq!(self.daemon.get("/v1/accounts/box/token?wait=120").text("token_type"), token_type);
    }

    /// Lets schemathesis try what these arguments leave, with values for parameters that would otherwise mean nothing here.
    fn holds(&self, parameters: &str, arguments: &[&str]) {
        // Later versions may add members; this one has what is described and no other.
        let strict = read("docs/openapi.yaml").replace("additionalProperties: true", "additionalProperties: false");
        let (description, config) = (self.file("openapi.yaml", &strict), self.file("schemathesis.toml", parameters));
        let mut schemathesis = tool("schemathesis");
        schemathesis.arg("--config-file").arg(config).arg("run").arg(description);
        schemathesis.arg("--url").arg(format!("http://127.0.0.1:{}", self.port));
        schemathesis.args(["--checks", "all", "--seed", "1", "--generation-database", "none", "--no-color"]);
        // How long something takes is no part of the description.
        schemathesis.args(["--request-timeout", "100", "--max-response-time", "100"]);
        schemathesis.arg("--max-examples").arg(examples().to_string()).args(arguments);
        // An endless stream has tests of its own.
        schemathesis.args(["--exclude-path", "/v1/events"]).current_dir(self.daemon.folder());
        let said = schemathesis.output().expect("schemathesis runs");
        let told = String::from_utf8_lossy(&said.stdout);
        assert!(said.status.success(), "{told}{}", String::from_utf8_lossy(&said.stderr));
        println!("{told}");
        // A probe asks about a code that does not exist, on purpose.
        let violations = self.server.take_violations();
        assert!(violations.iter().all(|one| one.ends_with("the device code was never issued")), "{violations:?}");
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.daemon.folder().join(name);
        fs::write(&path, text).expect("a file");
        path
    }
}

/// A port on loopback that leads to a socket, for as long as the test runs.
fn forward(socket: PathBuf) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let socket = socket.clone();
            thread::spawn(move || join(&stream, &socket));
        }
    });
    port
}

fn join(stream: &TcpStream, socket: &Path) -> io::Result<()> {
    let daemon = UnixStream::connect(socket)?;
    let (mut from, mut to) = (stream.try_clone()?, daemon.try_clone()?);
    let requests = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &daemon, &mut &*stream);
    let _ = stream.shutdown(Shutdown::Both);
    let _ = requests.join();
    Ok(())
}

/// How many examples of each operation: few, or as many as `make torture` asks for.
fn examples() -> u32 {
    if std::env::var_os("BEARERD_TORTURE").is_some() { 200 } else { 5 }
}

#[test]
fn the_daemon_does_what_is_described_while_signed_in() {
    let rig = Rig::start("");
    rig.sign_in("Bearer");
    let values = [VALUES, HERE, GOOD_FOR].concat().replace("\"query.wait\" = 0", "\"query.wait\" = 60");
    // A token that needs no proof has none, which is no fault of the request; see the next test.
    rig.holds(&values, &["--exclude-path-regex", "(logout|dpop)$"]);
}

#[test]
fn the_daemon_does_what_is_described_for_proofs() {
    let rig = Rig::start("dpop = true");
    rig.sign_in("DPoP");
    // Of the account's own token: the server here knows no other that is bound.
    let own = GOOD_FOR.replace("\"openid\"", "\"openid offline\"");
    rig.holds(&[VALUES, HERE, &own].concat(), &["--include-path-regex", "dpop$"]);
}

#[test]
fn the_daemon_does_what_is_described_while_signed_out() {
    let rig = Rig::start("");
    rig.holds(&[VALUES, HERE].concat(), &["--exclude-path-regex", "login$"]);
}

#[test]
fn the_daemon_does_what_is_described_to_whoever_knows_no_account() {
    Rig::start("").holds(VALUES, &[]);
}

/// Nobody waits for a person who does not come, and an address is one.
const VALUES: &str = "[parameters]\n\"query.wait\" = 0\n\"query.htu\" = \"https://api.example.com/me\"\n";
const HERE: &str = "\"path.name\" = \"box\"\n";
/// What the sign-in is good for.
const GOOD_FOR: &str = "\"query.scope\" = \"openid\"\n\"query.audience\" = \"https://api.example.com/\"
\"query.resource\" = \"https://api.example.com/\"\n";
