//! A message bus of its own, with the shipped policy.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Output, Stdio},
};

/// A `dbus-daemon` that denies as the system bus does, with the shipped policy file; the daemon's user is whoever runs
/// the test, and the group of the permitted is `games`, which is on every machine.
pub struct PrivateBus {
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl PrivateBus {
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// The same on which whoever runs the test may also own this name, and everybody may call it.
    pub fn start_for(name: &str) -> Self {
        Self::start_with(&format!(
            "<policy context=\"default\"><allow own=\"{name}\"/><allow send_destination=\"{name}\"/></policy>"
        ))
    }

    fn start_with(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let policy =
            fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dbus/io.github.bearerd.Bearerd1.conf"))
                .expect("the policy");
        let me = nix::unistd::User::from_uid(nix::unistd::geteuid()).expect("a user database").expect("a user").name;
        let policy = policy.replace("user=\"bearerd\"", &format!("user=\"{me}\""));
        let policy = policy.replace("group=\"bearerd\"", "group=\"games\"");
        fs::write(folder.path().join("policy.conf"), policy).expect("a file");
        let config = format!(
            "<busconfig><type>system</type><listen>unix:path={0}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><deny own=\"*\"/><deny send_type=\"method_call\"/>\
             <allow send_type=\"signal\"/><allow send_requested_reply=\"true\" send_type=\"method_return\"/>\
             <allow send_requested_reply=\"true\" send_type=\"error\"/><allow receive_type=\"method_call\"/>\
             <allow receive_type=\"method_return\"/><allow receive_type=\"error\"/><allow receive_type=\"signal\"/>\
             <allow send_destination=\"org.freedesktop.DBus\"/></policy>\
             <include>{0}/policy.conf</include>{more}</busconfig>",
            folder.path().display()
        );
        fs::write(folder.path().join("bus.conf"), config).expect("a file");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(folder.path(), open).expect("others may reach the socket");
        let mut bus = Self { folder, child: None };
        bus.start_again();
        bus
    }

    pub fn address(&self) -> String {
        format!("unix:path={}/bus", self.folder.path().display())
    }

    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn start_again(&mut self) {
        let mut child = Command::new("dbus-daemon")
            .arg(format!("--config-file={}/bus.conf", self.folder.path().display()))
            .args(["--nofork", "--nopidfile", "--print-address"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("dbus-daemon runs");
        let mut address = String::new();
        BufReader::new(child.stdout.take().expect("an output")).read_line(&mut address).expect("an address");
        assert!(!address.is_empty(), "dbus-daemon did not start");
        self.child = Some(child);
    }

    /// `busctl`, as another user if `user` names one.
    pub fn call(&self, user: Option<&str>, arguments: &[&str]) -> Output {
        let mut command = match user {
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups", "busctl"]);
                command
            }
            None => Command::new("busctl"),
        };
        command.arg(format!("--address={}", self.address())).args(arguments).output().expect("busctl runs")
    }

    pub fn get_token(&self, user: Option<&str>) -> Result<String, String> {
        let manager = "io.github.bearerd.Bearerd1.Manager";
        let output = self.call(user, &["call", NAME, OBJECT, manager, "GetToken", "sa{sv}", "", "0"]);
        if output.status.success() {
            let answer = String::from_utf8_lossy(&output.stdout).into_owned();
            Ok(answer.split('"').nth(1).expect("a token").to_owned())
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Waits until somebody owns the name, by asking the bus for it to be announced.
    pub fn wait_for_name(&self) {
        let owned = || {
            let bus = "org.freedesktop.DBus";
            let output = self.call(None, &["call", bus, "/org/freedesktop/DBus", bus, "NameHasOwner", "s", NAME]);
            String::from_utf8_lossy(&output.stdout).contains("true")
        };
        let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
        while !owned() {
            assert!(std::time::Instant::now() < end, "the name is not owned");
            std::thread::yield_now();
        }
    }
}

impl Drop for PrivateBus {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The bus name and the path of the service.
pub const NAME: &str = "io.github.bearerd.Bearerd1";
pub const OBJECT: &str = "/io/github/bearerd/Bearerd1";
