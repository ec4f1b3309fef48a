//! A web page gets nothing from a socket that somebody forwarded to a TCP port, as `ssh -L` does.

mod support;

use std::{
    fmt::Write as _,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use support::{authorization_server::AuthorizationServer, daemon::Daemon};

/// Forwards a TCP port to the daemon's socket, and keeps what comes back.
struct Forwarded {
    port: u16,
    answers: Arc<Mutex<Vec<String>>>,
}

impl Forwarded {
    fn to(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let answers: Arc<Mutex<Vec<String>>> = Arc::default();
        let kept = answers.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (socket, kept) = (socket.clone(), kept.clone());
                std::thread::spawn(move || forward(client, &socket, &kept));
            }
        });
        Self { port, answers }
    }

    /// What the daemon answered so far, one text a connection.
    fn answers(&self) -> Vec<String> {
        self.answers.lock().expect("a lock").clone()
    }
}

fn forward(client: TcpStream, socket: &PathBuf, kept: &Mutex<Vec<String>>) {
    let daemon = UnixStream::connect(socket).expect("a connection");
    let (mut from_client, mut to_daemon) =
        (client.try_clone().expect("a handle"), daemon.try_clone().expect("a handle"));
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_daemon);
        let _ = to_daemon.shutdown(Shutdown::Write);
    });
    let (mut answered, mut buffer) = (String::new(), [0; 4096]);
    while let Ok(length @ 1..) = (&daemon).read(&mut buffer) {
        // Kept before it is passed on: whoever has seen the answer finds it here.
        answered += &String::from_utf8_lossy(&buffer[..length]);
        if (&client).write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    kept.lock().expect("a lock").push(answered);
    let _ = client.shutdown(Shutdown::Both);
}

fn signed_in(server: &AuthorizationServer) -> (Daemon, String) {
    let daemon = Daemon::start(&format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n", server.issuer()));
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/token?wait=120").text("access_token");
    (daemon, token)
}

/// One request through the forwarder, with these header lines.
fn request(port: u16, method: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a connection");
    let request = format!("{method} /v1/token HTTP/1.1\r\n{headers}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn no_browser_shaped_request_gets_a_token() {
    let server = AuthorizationServer::start();
    let (daemon, token) = signed_in(&server);
    let port = Forwarded::to(daemon.socket()).port;
    let own = format!("localhost:{port}");
    let good_hosts = ["localhost".to_owned(), own.clone(), format!("127.0.0.1:{port}"), format!("[::1]:{port}")];
    let bad_hosts =
        ["evil.example", "localhost.evil.example", "evil.example:80", "127.0.0.1.evil.example", "127.1", "0.0.0.0", ""];
    let mut cells = (0, 0);
    for host in good_hosts.iter().map(String::as_str).chain(bad_hosts) {
        let own_origin = format!("http://{host}");
        let origins =
            ["", &own_origin, "null", "https://evil.example", "http://localhost:1", "https://localhost", "file://"];
        for origin in origins {
            for site in ["", "same-origin", "none", "same-site", "cross-site", "Same-Origin"] {
                let mut headers = format!("Host: {host}\r\n");
                for (name, value) in [("Origin", origin), ("Sec-Fetch-Site", site)] {
                    if !value.is_empty() {
                        let _ = write!(headers, "{name}: {value}\r\n");
                    }
                }
                let ours = good_hosts.iter().any(|good| good == host)
                    && (origin.is_empty() || origin == own_origin)
                    && matches!(site, "" | "same-origin" | "none");
                for method in ["GET", "HEAD", "POST", "OPTIONS", "PUT"] {
                    let answer = request(port, method, &headers);
                    let expected = match (ours, method) {
                        (false, _) => "HTTP/1.1 403",
                        (true, "GET" | "HEAD") => "HTTP/1.1 200",
                        (true, _) => "HTTP/1.1 405",
                    };
                    assert!(answer.starts_with(expected), "{method} {headers}{answer}");
                    assert_eq!(answer.contains(&token), ours && method == "GET", "{method} {headers}{answer}");
                    assert!(!answer.to_ascii_lowercase().contains("access-control-"), "{answer}");
                    cells = if ours { (cells.0 + 1, cells.1) } else { (cells.0, cells.1 + 1) };
                }
            }
        }
    }
    println!("{} requests answered, {} refused without a byte of the token", cells.0, cells.1);
    assert!(cells.0 > 50 && cells.1 > 1000);
}

/// A web server with one page. It sends on what is posted to it.
fn serve_page(page: String) -> (u16, mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (posted, received) = mpsc::channel();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let (page, posted) = (page.clone(), posted.clone());
            std::thread::spawn(move || {
                let mut reader = BufReader::new(stream.try_clone().expect("a handle"));
                let (mut first, mut length) = (String::new(), 0);
                for line in (&mut reader).lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                    if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = value.trim().parse().expect("a length");
                    }
                    first = if first.is_empty() { line } else { first };
                }
                let mut body = String::new();
                let _ = reader.take(length).read_to_string(&mut body);
                if first.starts_with("POST") {
                    let _ = posted.send(body);
                }
                let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n", page.len());
                let _ = write!(stream, "{head}Connection: close\r\n\r\n{page}");
            });
        }
    });
    (port, received)
}

/// The browser; it ends when this is dropped.
struct Browser {
    child: Child,
    _profile: tempfile::TempDir,
}

impl Browser {
    fn open(address: &str) -> Option<Self> {
        let profile = tempfile::tempdir().expect("a folder");
        let child = Command::new("chromium")
            .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"])
            // The name of the attacker's server leads to this machine, as after DNS rebinding.
            .arg("--host-resolver-rules=MAP evil.example 127.0.0.1")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(address)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        Some(Self { child: child.ok()?, _profile: profile })
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_page_of_another_origin_gets_nothing() {
    let server = AuthorizationServer::start();
    let (daemon, token) = signed_in(&server);
    let forwarded = Forwarded::to(daemon.socket());
    let page = include_str!("servers/evil.html").replace("PORT", &forwarded.port.to_string());
    for name in ["localhost", "evil.example"] {
        let before = forwarded.answers().len();
        let (port, told) = serve_page(page.clone());
        let Some(_browser) = Browser::open(&format!("http://{name}:{port}/")) else {
            assert!(std::env::var_os("CI").is_none(), "there is no chromium");
            return eprintln!("not run here: there is no chromium");
        };
        let seen = told.recv_timeout(Duration::from_secs(90)).expect("the page tells what it saw");
        println!("from {name}: {seen}");
        assert!(!seen.contains(&token[..12]), "{seen}");
        let answers = &forwarded.answers()[before..];
        assert!(answers.len() > 4, "hardly anything was tried: {answers:?}");
        for answer in answers.iter().filter(|answer| !answer.is_empty()) {
            assert!(answer.starts_with("HTTP/1.1 403") && !answer.contains("HTTP/1.1 200"), "{answer}");
            assert!(!answer.contains(&token), "{answer}");
        }
    }
    assert_eq!(daemon.get("/v1/token").text("access_token"), token, "nothing was changed either");
}
