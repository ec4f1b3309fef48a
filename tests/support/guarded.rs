//! A server over HTTPS that opens to one token, for clients that get it from bearerd: `tests/servers/guarded.mjs`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;
use tempfile::TempDir;

use super::told::Told;

/// The server, with a git repository of one commit in it.
pub struct Guarded {
    pub port: u16,
    folder: TempDir,
    told: Told,
}

impl Guarded {
    /// Starts it; it accepts nothing yet.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let servers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
        let made = Command::new("sh").arg(servers.join("make-ca.sh")).arg(folder.path().join("tls")).output();
        assert!(made.expect("openssl runs").status.success(), "no certificates");
        // Programs that take a folder of certificates read those that end so.
        fs::create_dir(folder.path().join("ca")).expect("a folder");
        fs::copy(folder.path().join("tls/ca.pem"), folder.path().join("ca/ca.crt")).expect("a certificate");
        make_repository(folder.path());
        fs::write(folder.path().join("accepted"), "nothing").expect("a file");
        let mut server = Command::new("node");
        server.arg(servers.join("guarded.mjs"));
        for (option, path) in [
            ("--cert", "tls/server.pem"),
            ("--key", "tls/server.key"),
            ("--accepted", "accepted"),
            ("--repositories", ""),
        ] {
            server.arg(option).arg(folder.path().join(path));
        }
        let told = Told::by(&mut server);
        let port = told.wait_for(|event| event.get("port").is_some())["port"].as_u64().expect("a port");
        Self { port: port.try_into().expect("a port"), folder, told }
    }

    /// From now on this token opens it, and no other.
    pub fn accept(&self, token: &str) {
        fs::write(self.folder.path().join("accepted"), token).expect("a file");
    }

    /// The certificate of its CA, in a folder of its own.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca/ca.crt")
    }

    /// Waits for such a request, and forgets those before it.
    pub fn wait_for(&self, matches: impl Fn(&Value) -> bool) -> Value {
        self.told.wait_for(matches)
    }

    /// The requests that were not waited for, which are forgotten by that.
    pub fn so_far(&self) -> Vec<Value> {
        self.told.so_far()
    }
}

fn make_repository(folder: &Path) {
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command.current_dir(folder).args(["-c", "user.name=x", "-c", "user.email=x@localhost"]).args(arguments);
        let done = command.output().expect("git runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    };
    git(&["init", "--quiet", "work"]);
    fs::write(folder.join("work/README"), "guarded\n").expect("a file");
    git(&["-C", "work", "add", "README"]);
    git(&["-C", "work", "commit", "--quiet", "-m", "First"]);
    git(&["clone", "--quiet", "--bare", "work", "repo.git"]);
}
