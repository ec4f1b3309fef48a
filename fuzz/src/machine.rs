//! The account machine with a server that says whatever it likes: everything that a reply is turned into on the way to a
//! caller, to a screen and to the disk.
//!
//! An input is lines. The first has the circumstances: a profile's letter, and flags. Each of the others is a reply (a
//! status, how it comes, the body), or a verb after `!`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use bearerd::{
    account::{Account, LoginMode, Need, Record, RequestId, Schedule, Seed, Snapshot},
    oauth::{
        client::{Client, Endpoints},
        exchange::{Endpoint, Request, Response, Unreachable},
    },
    time::{Instant, Now, UnixTime},
};

use super::{TEN_YEARS, a_profile, a_status, choice, is_harmless, wire::check_endpoint};

/// One life of an account.
pub fn machine(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n').take(LINES);
    let (profile, flags) = choice(lines.next().unwrap_or_default());
    let mut world = World::new(profile, flags);
    world.account.handle_login(false, world.boot());
    world.settle();
    for line in lines {
        match choice(line) {
            (b'!', verb) => world.obey(choice(verb).0),
            (status, rest) => world.answer(a_status(status), rest),
        }
        world.settle();
        world.check();
    }
}

/// The account, its driver, its clock, and what it was seen to do.
struct World {
    account: Account,
    client: Arc<Client>,
    schedule: Schedule,
    now: Duration,
    durable: Option<Record>,
    out: Option<(RequestId, Request)>,
    /// Where device codes were sent: a grant is from there.
    origins: BTreeSet<String>,
    /// When the last poll was answered.
    polled: Option<Duration>,
    was_poll: bool,
}

impl World {
    fn new(profile: u8, flags: &[u8]) -> Self {
        let has = |flag| flags.contains(&flag);
        let at = |path| Endpoint::parse(&format!("https://as.example/{path}")).ok();
        let endpoints = Endpoints { device_authorization: at("device"), token: at("token"), revocation: at("revoke") };
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let client = Arc::new(Client {
            issuer: Some("https://as.example".into()),
            client_id: Some("box".into()),
            scopes: words(if has(b'o') { &["openid", "offline"] } else { &["offline"] }),
            resource: words(if has(b'r') { &["https://api.example/"] } else { &[] }),
            dpop: has(b'd'),
            endpoints: if has(b'm') { Endpoints::default() } else { endpoints },
            profile: Arc::new(a_profile(profile).clone()),
            ..Client::default()
        });
        let login = if has(b'a') { LoginMode::Auto } else { LoginMode::OnDemand };
        let schedule = Schedule { login, refresh_margin: None, sealed: has(b's') };
        let now = Duration::from_secs(100);
        let account = start(&client, schedule, None, now);
        Self {
            account,
            client,
            schedule,
            now,
            durable: None,
            out: None,
            origins: BTreeSet::new(),
            polled: None,
            was_poll: false,
        }
    }

    fn boot(&self) -> Instant {
        Instant::from_boot(self.now)
    }

    fn obey(&mut self, verb: u8) {
        let now = self.boot();
        match verb {
            b'l' => self.account.handle_login(false, now),
            b'L' => self.account.handle_login(true, now),
            b'c' => {
                self.account.handle_cancel_login(now);
            }
            b'o' => {
                self.account.handle_logout(now);
            }
            b'r' => self.account.handle_refresh(now),
            b'n' => {
                let attempts = self.account.snapshot(now).attempts;
                let need = Need { min_validity: Duration::from_secs(60), rejected: None, attempts };
                self.account.handle_need(&need, at(self.now));
            }
            b's' => {
                (self.out, self.was_poll) = (None, false);
                self.account = start(&self.client, self.schedule, self.durable.as_ref(), self.now);
            }
            _ => self.pass(),
        }
    }

    /// Lets time pass until something is due, if anything ever is.
    fn pass(&mut self) {
        let Some(due) = self.account.poll_deadline(self.boot()) else { return };
        // The driver looks at least as often as that, and the boot clock does not reach the end of numbers.
        let due = due.since_boot().min(self.now + Duration::from_secs(TEN_YEARS));
        self.now = self.now.max(due);
        self.account.handle_deadline(self.boot());
    }

    /// Answers what is out, or what comes next.
    fn answer(&mut self, status: u16, rest: &[u8]) {
        for _ in 0..3 {
            if self.out.is_none() {
                self.pass();
                self.settle();
            }
        }
        let (how, body) = choice(rest);
        let Some((id, _)) = self.out.take() else { return };
        let mut response = Response { status, body: body.to_vec(), ..Response::default() };
        match how {
            b'1' => response.retry_after = Some(Duration::from_secs(1)),
            b'2' => response.retry_after = Some(Duration::from_secs(u64::MAX)),
            b'3' => response.retry_after = Some(Duration::from_secs(3600)),
            b'4' => response.dpop_nonce = Some("n-1".into()),
            _ => {}
        }
        let reply = match how {
            b'5' => Err(Unreachable::lost("it broke off")),
            b'6' => Err(Unreachable::unsent("nobody there")),
            _ => Ok(response),
        };
        self.polled = self.was_poll.then_some(self.now);
        self.account.handle_reply(id, reply, self.boot());
    }

    /// Does what the machine asks for, until it asks for nothing more.
    fn settle(&mut self) {
        for _ in 0..ROUNDS {
            let mut quiet = true;
            while let Some((version, record)) = self.account.poll_save(at(self.now)) {
                let text = serde_json::to_string(&record).expect("a record");
                self.durable = Some(serde_json::from_str(&text).expect("what was written can be read"));
                self.account.handle_saved(version, Ok(()), self.boot());
                quiet = false;
            }
            if self.account.poll_load() {
                self.account.handle_loaded(self.durable.clone(), at(self.now));
                quiet = false;
            }
            if let Some((id, request)) = self.account.poll_request() {
                assert!(self.out.is_none(), "two requests in flight");
                self.sent(&request);
                self.out = Some((id, request));
                quiet = false;
            }
            if quiet {
                return;
            }
        }
        panic!("it is never done");
    }

    fn sent(&mut self, request: &Request) {
        check_endpoint(&request.endpoint);
        let form = request.form.as_ref().map(|form| form.encode().expose().to_owned()).unwrap_or_default();
        let carries = |name: &str| form.split('&').any(|pair| pair.split('=').next() == Some(name));
        self.was_poll = carries("device_code");
        if self.was_poll {
            self.origins.insert(request.endpoint.origin());
            let pause = self.polled.map(|polled| self.now.saturating_sub(polled));
            let nonces = self.client.dpop;
            assert!(nonces || pause.is_none_or(|pause| pause >= Duration::from_secs(1)), "polls hard on another");
        }
        if carries("refresh_token") {
            assert!(self.origins.contains(&request.endpoint.origin()), "a refresh token goes where it is not from");
        }
    }

    /// What anybody may see.
    fn check(&self) {
        let now = self.boot();
        let snapshot: Snapshot = self.account.snapshot(now);
        if let Some(token) = &snapshot.token {
            let text = token.secret.expose();
            assert!(!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic()));
            assert!(is_harmless(&token.scope), "{:?}", token.scope);
            let longest = now + Duration::from_secs(TEN_YEARS);
            assert!(token.expires.is_none_or(|end| end <= longest), "it outlives every clock");
        }
        if let Some(prompt) = &snapshot.prompt {
            assert!(is_harmless(&prompt.user_code) && is_harmless(&prompt.verification_uri));
            assert!(!prompt.user_code.contains('\\') && !prompt.verification_uri.contains('\\'));
        }
        if let Some(trouble) = &snapshot.trouble {
            assert!(is_harmless(&trouble.text), "{:?}", trouble.text);
        }
        drop(snapshot.answer(&Need::default(), now));
        let _ = self.account.poll_deadline(now);
    }
}

fn start(client: &Arc<Client>, schedule: Schedule, record: Option<&Record>, now: Duration) -> Account {
    Account::new(client.clone(), schedule, record.cloned(), Some("boot".into()), Seed::new([5; 32]), at(now))
}

fn at(boot: Duration) -> Now {
    Now { boot: Instant::from_boot(boot), wall: UnixTime(1_800_000_000 + boot.as_secs()), synchronised: true }
}

/// More lines say nothing new.
const LINES: usize = 40;
/// Far more than one event can lead to.
const ROUNDS: usize = 20;
