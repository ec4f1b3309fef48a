//! An authorization server for many accounts, each under a path of its own, that plays a trick at one endpoint of an
//! account while it is told to, and behaves otherwise.

use std::{
    collections::HashMap,
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crate::tricks::{Stage, Trick};

/// What the daemon asks a server for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    Discovery,
    Device,
    Poll,
    Refresh,
    Revocation,
}

/// The running server. It serves until the process ends.
pub struct FarEnd {
    address: SocketAddr,
    shared: Arc<Shared>,
}

/// A listener that nobody has any business with.
pub struct Elsewhere {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

#[derive(Default)]
struct Shared {
    seats: Mutex<HashMap<String, Seat>>,
    changed: Condvar,
    /// What is wrong with requests.
    objections: Mutex<Vec<String>>,
    elsewhere: Mutex<Option<SocketAddr>>,
    issued: AtomicUsize,
}

/// What is known of one account.
#[derive(Default)]
struct Seat {
    armed: Option<(Endpoint, Trick)>,
    played: usize,
    /// The refresh token that was issued last; the one before it is good too, because its answer may have been lost.
    refresh: Vec<String>,
    revoked: bool,
}

/// One request.
struct Asked {
    account: String,
    endpoint: Endpoint,
    form: HashMap<String, String>,
}

impl FarEnd {
    /// Starts it. Its redirects lead to `elsewhere`.
    pub fn start(elsewhere: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared { elsewhere: Mutex::new(Some(elsewhere)), ..Shared::default() });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = serving.clone();
                thread::spawn(move || shared.serve(stream, address));
            }
        });
        Self { address, shared }
    }

    /// The issuer of an account.
    pub fn issuer(&self, account: &str) -> String {
        format!("http://{}/{account}", self.address)
    }

    /// From now on it plays this trick there, and nothing else is counted.
    pub fn arm(&self, account: &str, endpoint: Endpoint, trick: Trick) {
        let mut seats = self.shared.seats();
        let seat = seats.entry(account.to_owned()).or_default();
        (seat.armed, seat.played) = (Some((endpoint, trick)), 0);
    }

    /// From now on it behaves.
    pub fn disarm(&self, account: &str) {
        self.shared.seats().entry(account.to_owned()).or_default().armed = None;
    }

    /// Waits until the trick has been played that often.
    pub fn wait_until_played(&self, account: &str, times: usize) {
        self.shared.wait(account, |seat| seat.played >= times);
    }

    /// Waits until the newest refresh token has been revoked.
    pub fn wait_until_revoked(&self, account: &str) {
        self.shared.wait(account, |seat| seat.revoked);
    }

    /// What was wrong with the requests.
    pub fn objections(&self) -> Vec<String> {
        self.shared.objections.lock().expect("a lock").clone()
    }
}

impl Elsewhere {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let counting = connections.clone();
        thread::spawn(move || {
            for _ in listener.incoming() {
                counting.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { address, connections }
    }

    /// How often somebody came.
    pub fn visits(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn seats(&self) -> MutexGuard<'_, HashMap<String, Seat>> {
        self.seats.lock().expect("a lock")
    }

    fn wait(&self, account: &str, holds: impl Fn(&Seat) -> bool) {
        let missing = |seats: &mut HashMap<String, Seat>| !seats.get(account).is_some_and(&holds);
        let waited = self.changed.wait_timeout_while(self.seats(), PATIENCE, missing).expect("a lock");
        assert!(!waited.1.timed_out(), "{account}: that did not happen");
    }

    fn object(&self, fault: String) {
        self.objections.lock().expect("a lock").push(fault);
    }

    fn serve(&self, mut stream: TcpStream, address: SocketAddr) {
        let Some((head, body)) = receive(&mut stream) else { return };
        let Some(asked) = Asked::read(&head, &body) else { return self.object(format!("nobody asks for {head:?}")) };
        if head.to_ascii_lowercase().contains("\r\ncookie:") {
            self.object(format!("{}: a cookie", asked.account));
        }
        let trick = {
            let mut seats = self.seats();
            let armed = seats.entry(asked.account.clone()).or_default().armed;
            armed.filter(|(endpoint, _)| *endpoint == asked.endpoint).map(|(_, trick)| trick)
        };
        let echo = ["refresh_token", "device_code", "token"].iter().find_map(|name| asked.form.get(*name));
        let echo = echo.cloned().unwrap_or_default();
        let (status, good) = self.behave(&asked, address, trick.is_some_and(Trick::is_answered));
        match trick {
            None => drop(write!(stream, "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{good}", good.len())),
            Some(trick) => {
                let elsewhere = self.elsewhere.lock().expect("a lock").expect("an address");
                let turn = self.seats().get(&asked.account).map_or(0, |seat| seat.played) + asked.endpoint as usize;
                let played = trick.play(&mut stream, &Stage { good, echo, elsewhere, turn });
                if let Err(fault) = played {
                    self.object(format!("{}: {fault}", asked.account));
                }
                if let Some(seat) = self.seats().get_mut(&asked.account) {
                    seat.played += 1;
                }
            }
        }
        self.changed.notify_all();
    }

    /// The answer of an honest server; `counts` unless nobody will see it.
    fn behave(&self, asked: &Asked, address: SocketAddr, counts: bool) -> (u16, String) {
        let mut seats = self.seats();
        let seat = seats.entry(asked.account.clone()).or_default();
        let at = |path: &str| format!("http://{address}/{}/{path}", asked.account);
        let given = |name: &str| asked.form.get(name).cloned().unwrap_or_default();
        match asked.endpoint {
            Endpoint::Discovery => {
                let issuer = at("").trim_end_matches('/').to_owned();
                let (device, token, revoke) = (at("device"), at("token"), at("revoke"));
                (
                    200,
                    format!(
                        r#"{{"issuer":"{issuer}","device_authorization_endpoint":"{device}","token_endpoint":"{token}","revocation_endpoint":"{revoke}"}}"#
                    ),
                )
            }
            Endpoint::Device => {
                let (code, page) = (self.marker("dc"), at("page"));
                (
                    200,
                    format!(
                        r#"{{"device_code":"{code}","user_code":"ABCD-EFGH","verification_uri":"{page}","expires_in":600,"interval":1}}"#
                    ),
                )
            }
            Endpoint::Poll => (200, self.tokens(seat, counts)),
            Endpoint::Refresh if seat.refresh.iter().rev().take(2).any(|known| *known == given("refresh_token")) => {
                (200, self.tokens(seat, counts))
            }
            Endpoint::Refresh => {
                self.object(format!("{}: a refresh token that is not the current one", asked.account));
                (400, r#"{"error":"invalid_grant"}"#.to_owned())
            }
            Endpoint::Revocation => {
                let armed = seat.armed.is_some_and(|(endpoint, _)| endpoint == Endpoint::Revocation);
                seat.revoked |= !armed && seat.refresh.last() == Some(&given("token"));
                (200, String::new())
            }
        }
    }

    fn tokens(&self, seat: &mut Seat, counts: bool) -> String {
        let (access, refresh) = (self.marker("at"), self.marker("rt"));
        if counts || seat.armed.is_none() {
            seat.refresh.push(refresh.clone());
        }
        format!(r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":3600,"refresh_token":"{refresh}"}}"#)
    }

    /// A secret that a log can be searched for.
    fn marker(&self, kind: &str) -> String {
        format!("{kind}-{:032x}", 0xfeed_0000_0000_u64 + self.issued.fetch_add(1, Ordering::Relaxed) as u64)
    }
}

impl Asked {
    fn read(head: &str, body: &str) -> Option<Self> {
        let path = head.split(' ').nth(1)?;
        let (account, place) = path.strip_prefix('/')?.split_once('/')?;
        let form: HashMap<String, String> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let endpoint = match (place, form.get("grant_type").map(String::as_str)) {
            (".well-known/openid-configuration", _) => Endpoint::Discovery,
            // The other place of RFC 8414, where the account stands last.
            (_, None) if account == ".well-known" => {
                let account = place.rsplit('/').next()?.to_owned();
                return Some(Self { account, endpoint: Endpoint::Discovery, form });
            }
            ("device", None) => Endpoint::Device,
            ("token", Some("refresh_token")) => Endpoint::Refresh,
            ("token", Some(_)) => Endpoint::Poll,
            ("revoke", None) => Endpoint::Revocation,
            _ => return None,
        };
        Some(Self { account: account.to_owned(), endpoint, form })
    }
}

fn receive(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).ok().filter(|length| *length > 0)?;
        bytes.extend_from_slice(&buffer[..length]);
        let text = String::from_utf8_lossy(&bytes);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase().split_once("content-length: ").map_or(0, |(_, rest)| {
            rest.lines().next().and_then(|length| length.trim().parse::<usize>().ok()).unwrap_or_default()
        });
        if body.len() >= length {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

const PATIENCE: Duration = Duration::from_secs(120);
