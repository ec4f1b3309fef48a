//! The steps of the walk-through.

use std::{
    fs,
    io::{self, BufRead, BufReader, IsTerminal, Read, Write, stdin},
    net::TcpStream,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use crate::{
    Arguments,
    authorization_server::{AuthorizationServer, Endpoint, Settings},
    children::{Children, is_installed, pause, quote},
    show::Show,
};

/// The walk-through and all that it needs.
pub struct Walk {
    arguments: Arguments,
    folder: PathBuf,
    pub server: Arc<AuthorizationServer>,
    pub children: Children,
    pub show: Show,
    /// The last step is done; from now on a signal is the regular end.
    pub complete: AtomicBool,
}

impl Walk {
    pub fn new(arguments: Arguments, folder: &Path) -> io::Result<Self> {
        let token_lifetime = Some(arguments.token_lifetime);
        let server = AuthorizationServer::with(Settings { token_lifetime, ..Settings::default() })?;
        Ok(Self {
            arguments,
            folder: folder.to_owned(),
            server: Arc::new(server),
            children: Children::default(),
            show: Show::new(),
            complete: AtomicBool::new(false),
        })
    }

    /// Every step, in order.
    pub fn run(&self) -> io::Result<()> {
        let program = &self.arguments.program;
        if !is_installed(program) {
            let hint = "build it with `cargo build --release`, or say --program PATH";
            return Err(io::Error::other(format!("there is no program {program}; {hint}")));
        }
        self.show.step("An authorization server, playing Kinde on this machine");
        let lifetime = self.arguments.token_lifetime;
        self.show.remark(&format!("{}; its access tokens live {lifetime} seconds", self.server.issuer()));
        let config = self.configure()?;
        let bus = self.start_bus();
        let daemon = self.start_daemon(&config, bus)?;
        self.sign_in()?;
        self.take_token_by_http()?;
        self.take_token_by_dbus(bus)?;
        self.use_token()?;
        self.await_refresh()?;
        self.show.step("How it looks to the administrator");
        self.demonstrate(&format!("{} status", self.program()))?;
        if self.arguments.exit {
            return Ok(());
        }
        self.stay(daemon, bus)
    }

    fn configure(&self) -> io::Result<PathBuf> {
        self.show.step("The whole configuration");
        let text = format!(
            "[accounts.demo]\nprovider = \"kinde\"\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n",
            self.server.issuer()
        );
        let path = self.folder.join("bearerd.toml");
        fs::write(&path, &text)?;
        self.show.output(&text);
        Ok(path)
    }

    /// A message bus of our own. Returns whether there is one.
    fn start_bus(&self) -> bool {
        let mut command = self.command("dbus-daemon");
        command.args(["--session", "--nofork", "--print-address", "--address", &self.bus_address()]);
        let started = self.children.start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()));
        let Ok(pid) = started else { return false };
        let mut address = String::new();
        let printed = self.children.stdout(pid).map(|stdout| BufReader::new(stdout).read_line(&mut address));
        matches!(printed, Some(Ok(1..)))
    }

    fn start_daemon(&self, config: &Path, bus: bool) -> io::Result<u32> {
        self.show.step("The daemon");
        self.show.command(&format!("export BEARERD_SOCKET={}", self.socket()));
        if bus {
            self.show.command(&format!("export DBUS_SESSION_BUS_ADDRESS={}", self.bus_address()));
        } else {
            self.show.remark("dbus-daemon is not installed or does not start, so there is no D-Bus in this tour");
        }
        let (config, state) = (self.path(config), self.path(&self.folder.join("state")));
        let door = if bus { "session" } else { "none" };
        let options = format!("--config {config} --state-dir {state} --socket {} --bus {door}", self.socket());
        self.show.command(&format!("{} run {options} &", self.program()));

        // `exec`, so that the child is the daemon itself and not a shell around it.
        let log = fs::File::create(self.log())?;
        let mut command = self.shell(&format!("exec {} run {options}", self.program()));
        let pid = self.children.start(command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log))?;
        let patience = Instant::now() + Duration::from_secs(10);
        while UnixStream::connect(self.folder.join("api.sock")).is_err() {
            if let Some(status) = self.children.ended(pid) {
                return Err(self.with_log(&format!("the daemon ended at once, {status}")));
            }
            if Instant::now() > patience {
                return Err(self.with_log("the daemon does not listen on its socket"));
            }
            pause();
        }
        self.show.remark("it listens");
        Ok(pid)
    }

    fn sign_in(&self) -> io::Result<()> {
        self.show.step("Sign in");
        let approved_by_itself = self.arguments.auto || !stdin().is_terminal();
        let server = Arc::clone(&self.server);
        if approved_by_itself {
            self.show.remark("approved by the demo itself, after the first poll");
            thread::spawn(move || {
                server.wait_for_answer(Endpoint::Poll, 1);
                server.try_approve();
            });
        } else {
            self.show.remark("approve in a browser on this machine, at the address below, or press Enter here");
            thread::spawn(move || approve_on_enter(&server));
        }
        let login = format!("{} login demo", self.program());
        self.show.command(&login);
        let pid = self.children.start(self.shell(&format!("exec {login}")).stdin(Stdio::null()))?;
        let status = self.children.wait(pid);
        if status.success() { Ok(()) } else { Err(self.with_log(&format!("the sign-in failed, {status}"))) }
    }

    fn take_token_by_http(&self) -> io::Result<()> {
        self.show.step("A program asks for the token over HTTP");
        if is_installed("curl") {
            let url = "http://localhost/v1/token";
            return self.demonstrate(&format!("curl --silent --show-error --fail --unix-socket $BEARERD_SOCKET {url}"));
        }
        self.show.remark("curl is not installed; bearerd itself is a client of the same API");
        self.demonstrate(&format!("{} token --json", self.program()))
    }

    fn take_token_by_dbus(&self, bus: bool) -> io::Result<()> {
        if !bus {
            return Ok(());
        }
        self.show.step("Another one asks over D-Bus");
        if !is_installed("busctl") {
            self.show.remark("busctl is not installed, so this is left out");
            return Ok(());
        }
        let (name, path) = ("io.github.bearerd.Bearerd1", "/io/github/bearerd/Bearerd1");
        self.demonstrate(&format!("busctl --user call {name} {path} {name}.Manager GetToken 'sa{{sv}}' \"\" 0"))
    }

    fn use_token(&self) -> io::Result<()> {
        self.show.step("The token opens a protected resource");
        let resource = format!("{}/resource", self.server.issuer());
        let header = format!("{} token --header", self.program());
        if is_installed("curl") {
            let curl = "curl --silent --show-error --fail";
            return self.demonstrate(&format!("{curl} --header \"$({header})\" {resource}"));
        }
        let header = self.answer_of(&header)?;
        self.show.remark(&format!("curl is not installed; GET {resource} with {header}"));
        let address = self.server.issuer().replace("http://", "");
        let mut stream = TcpStream::connect(&address)?;
        write!(stream, "GET /resource HTTP/1.1\r\nHost: {address}\r\n{header}\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        self.show.output(answer.rsplit("\r\n\r\n").next().unwrap_or_default());
        if answer.starts_with("HTTP/1.1 200") {
            Ok(())
        } else {
            Err(io::Error::other("the resource refuses the token"))
        }
    }

    /// Waits until the daemon has renewed the token by itself.
    fn await_refresh(&self) -> io::Result<()> {
        self.show.step("The daemon renews the token by itself, before it ends");
        let token = format!("{} token", self.program());
        let seen = self.server.count(Endpoint::Refresh);
        let before = self.answer_of(&token)?;
        self.show.command(&token);
        self.show.output(&before);
        let start = Instant::now();
        let limit = Duration::from_secs(self.arguments.token_lifetime * 2 + 10);
        if self.server.try_wait_for(Endpoint::Refresh, seen + 1, limit).is_none() {
            return Err(self.with_log(&format!("no refresh within {} seconds", limit.as_secs())));
        }
        self.show.remark(&format!("… the server saw a refresh after {} seconds", start.elapsed().as_secs()));
        // The daemon answers with the new token once that is safely on disk, which is a moment later.
        loop {
            let after = self.answer_of(&token)?;
            if after != before {
                self.show.command(&token);
                self.show.output(&after);
                return Ok(());
            }
            if start.elapsed() > limit {
                return Err(self.with_log("the daemon still hands out the old token"));
            }
            pause();
        }
    }

    fn stay(&self, daemon: u32, bus: bool) -> io::Result<()> {
        self.complete.store(true, Ordering::Relaxed);
        self.show.step("Yours to try, in another terminal; Ctrl-C ends the demo and removes everything");
        self.show.command(&format!("export BEARERD_SOCKET={}", self.socket()));
        if bus {
            self.show.command(&format!("export DBUS_SESSION_BUS_ADDRESS={}", self.bus_address()));
        }
        for verb in ["status --watch", "events", "refresh", "logout", "login"] {
            self.show.command(&format!("{} {verb}", self.program()));
        }
        let mut seen = self.server.count(Endpoint::Refresh);
        loop {
            if let Some(status) = self.children.ended(daemon) {
                return Err(self.with_log(&format!("the daemon ended, {status}")));
            }
            if self.server.try_wait_for(Endpoint::Refresh, seen + 1, Duration::from_secs(1)).is_some() {
                seen += 1;
                self.show.remark(&format!("refresh number {seen}"));
            }
        }
    }

    /// Shows a command line, runs exactly that, and shows what it says.
    fn demonstrate(&self, line: &str) -> io::Result<()> {
        self.show.command(line);
        let output = self.shell(line).stdin(Stdio::null()).output()?;
        self.show.output(&String::from_utf8_lossy(&output.stdout));
        self.show.output(&String::from_utf8_lossy(&output.stderr));
        self.judge(line, &output)
    }

    /// The output of a command line that is not shown.
    fn answer_of(&self, line: &str) -> io::Result<String> {
        let output = self.shell(line).stdin(Stdio::null()).output()?;
        self.judge(line, &output)?;
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    fn judge(&self, line: &str, output: &Output) -> io::Result<()> {
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        Err(self.with_log(&format!("this failed, {}: {line}\n{}", output.status, said.trim_end())))
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = self.command("sh");
        command.args(["-c", line]);
        command
    }

    /// A command in the demo's environment: its socket, its bus, and nothing of a service manager around us.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        for name in ["NOTIFY_SOCKET", "LISTEN_FDS", "LISTEN_PID", "WATCHDOG_USEC", "JOURNAL_STREAM", "STATE_DIRECTORY"]
        {
            command.env_remove(name);
        }
        command.env("BEARERD_SOCKET", self.folder.join("api.sock"));
        command.env("DBUS_SESSION_BUS_ADDRESS", self.bus_address());
        command
    }

    fn program(&self) -> String {
        quote(&self.arguments.program)
    }

    fn socket(&self) -> String {
        self.path(&self.folder.join("api.sock"))
    }

    fn path(&self, path: &Path) -> String {
        quote(&path.to_string_lossy())
    }

    fn bus_address(&self) -> String {
        format!("unix:path={}", self.folder.join("bus").display())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("daemon.log")
    }

    fn with_log(&self, failure: &str) -> io::Error {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(20)..].join("\n");
        io::Error::other(if last.is_empty() {
            failure.to_owned()
        } else {
            format!("{failure}\nThe daemon's log:\n{last}")
        })
    }
}

/// Enter approves whatever is waiting, also what somebody starts later on.
fn approve_on_enter(server: &AuthorizationServer) {
    for _ in stdin().lines().map_while(Result::ok) {
        server.try_approve();
    }
}
