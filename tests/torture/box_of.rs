//! A box: a signed-in daemon and the authorization server it belongs to.

use std::{
    fs,
    io::{Read, Write},
    os::{fd::AsRawFd, unix::net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use crate::support::{
    authorization_server::{AuthorizationServer, Endpoint, Settings},
    daemon::Daemon,
};

/// A signed-in daemon and its server.
pub struct Box {
    pub server: AuthorizationServer,
    pub daemon: Daemon,
}

impl Box {
    /// A box whose server forgives the second use of a refresh token for so long.
    pub fn new(sealed: bool, grace: Duration) -> Self {
        Self::in_folder(tempfile::tempdir().expect("a folder"), sealed, grace)
    }

    /// The same in a folder that is there already.
    pub fn in_folder(folder: TempDir, sealed: bool, grace: Duration) -> Self {
        let settings = Settings { rotation_grace: grace, auto_approve: true, ..Settings::default() };
        let server = AuthorizationServer::with(settings).expect("a server");
        if sealed {
            fs::create_dir(folder.path().join("credentials")).expect("a folder");
            fs::write(folder.path().join("credentials/bearerd.statekey"), [7; 32]).expect("a key");
        }
        let config = format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n", server.issuer());
        let daemon = Daemon::start_in(folder, &config, &[]);
        let this = Self { server, daemon };
        this.sign_in();
        this
    }

    /// Signs in; the server approves by itself.
    pub fn sign_in(&self) {
        assert_eq!(self.daemon.post("/v1/accounts/box/login").status, 202);
        let token = self.daemon.get("/v1/token?wait=120");
        assert_eq!(token.status, 200, "{}", token.body);
    }

    /// The state of the account, and the reason where it is signed out.
    pub fn state(&self) -> (String, String) {
        let account = self.daemon.get("/v1/accounts/box").json();
        let text = |member: &str| account[member].as_str().unwrap_or_default().to_owned();
        (text("state"), text("reason"))
    }

    /// Looks at the state until it is one of these.
    pub fn wait_for_state(&self, wanted: &[&str]) -> (String, String) {
        for _ in 0..LOOKS {
            let found = self.state();
            if wanted.contains(&found.0.as_str()) {
                return found;
            }
            thread::sleep(BETWEEN_LOOKS);
        }
        panic!("the state does not come to {wanted:?}: {}", self.daemon.get("/v1/accounts/box").body)
    }

    /// Asks for a refresh; the reply can be looked for later.
    pub fn ask_for_refresh(&self) -> Asked {
        self.try_ask_for_refresh().expect("a daemon that listens")
    }

    /// The same of a daemon that may be dead.
    pub fn try_ask_for_refresh(&self) -> Option<Asked> {
        let mut stream = UnixStream::connect(self.daemon.socket()).ok()?;
        let request = "POST /v1/accounts/box/refresh HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).ok()?;
        Some(Asked(stream))
    }

    /// Shows that the grant lives: a refresh is asked for, and the server accepts what comes of it.
    pub fn prove_alive(&self, when: &str) {
        let before = self.server.count(Endpoint::Refresh);
        let refreshed = self.ask_for_refresh().reply().unwrap_or_default();
        assert!(refreshed.starts_with("HTTP/1.1 2"), "{when}: {refreshed}");
        assert!(self.server.count(Endpoint::Refresh) > before, "{when}");
        let token = self.daemon.get("/v1/token");
        assert!(token.status == 200 && self.server.accepts(&token.text("access_token")), "{when}: {}", token.body);
    }

    /// Whether the newest refresh token is on the disk, where it is in plain text.
    pub fn has_newest_on_disk(&self) -> bool {
        let secrets = self.server.issued_secrets();
        let newest = secrets.iter().rev().find(|secret| secret.starts_with("rt-")).expect("a refresh token");
        let files = ["box.a", "box.b"].map(|name| fs::read(self.state_file(name)).unwrap_or_default());
        files.iter().any(|file| file.windows(newest.len()).any(|window| window == newest.as_bytes()))
    }

    pub fn state_file(&self, name: &str) -> PathBuf {
        self.daemon.folder().join("state").join(name)
    }

    /// Whether any stored file could not be used so far: it would have been set aside, or told in the log.
    pub fn unreadable(&self) -> bool {
        let entries = fs::read_dir(self.daemon.folder().join("state")).expect("a listing");
        let aside = entries.flatten().any(|entry| entry.file_name().to_string_lossy().contains("damaged"));
        let log = self.daemon.log();
        aside || log.contains("cannot be used") || log.contains("is not used")
    }

    /// What the server holds against the client, besides what a kill brings about: the second use of a refresh token, and
    /// of one that was refused as well where the kill came before the refusal was on the disk.
    pub fn other_violations(&self) -> Vec<String> {
        let expected = [
            "the refresh token is not the current one",
            "another refresh of this grant is under way",
            "the client was told that the grant is dead",
        ];
        let all = self.server.take_violations();
        all.into_iter().filter(|fault| !expected.iter().any(|known| fault.contains(known))).collect()
    }
}

/// A refresh somebody asked for.
pub struct Asked(UnixStream);

impl Asked {
    /// The reply, or what there is of it when the daemon has died.
    pub fn reply(mut self) -> Option<String> {
        let mut reply = String::new();
        self.0.read_to_string(&mut reply).ok()?;
        Some(reply)
    }

    /// Waits for the reply, and leaves it to be read.
    pub fn wait_for_answer(&self) {
        let flags = nix::sys::socket::MsgFlags::MSG_PEEK;
        let read = nix::sys::socket::recv(self.0.as_raw_fd(), &mut [0; 1], flags);
        assert_eq!(read, Ok(1), "an answer");
    }

    /// Whether it was answered with success; for a daemon that has died.
    pub fn was_answered(self) -> bool {
        self.reply().is_some_and(|reply| reply.starts_with("HTTP/1.1 2"))
    }
}

/// Makes system calls of a running process fail, until this is dropped.
pub struct Strace {
    child: Child,
}

impl Strace {
    /// Attaches to the process, for the calls that concern these files alone.
    pub fn attach(pid: u32, options: &[&str], files: &[PathBuf], folder: &Path) -> Self {
        let said = folder.join("strace");
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string()]).args(options);
        for file in files {
            command.arg("-P").arg(file);
        }
        let stderr = fs::File::create(&said).expect("a file");
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().expect("strace runs");
        // It tells when it has every thread.
        while !fs::read_to_string(&said).unwrap_or_default().contains(" attached") {
            thread::sleep(Duration::from_millis(2));
        }
        Self { child }
    }
}

impl Drop for Strace {
    /// It lets go of a living process only when it is asked, and may wait for ever for the threads of a dead one.
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        for _ in 0..100 {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const LOOKS: usize = 6000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(20);
