//! Chance writes the story: events in any order, and after each of them what must always hold.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use super::{Disk, LoginMode, Need, Schedule, Sent, State, What, World, client, replies, secs};
use crate::oauth::{
    client::Client,
    exchange::{Response, Unreachable},
    target::{Target, Wish},
};

/// The account, a server with single-use refresh tokens, and what both are known to have seen.
struct Story {
    world: World,
    rng: fastrand::Rng,
    /// The refresh token that is good now.
    current: u64,
    tokens: u64,
    /// Refresh tokens whose successor this process has got.
    superseded: HashSet<String>,
    /// Refresh tokens whose successor is on disk.
    replaced: HashSet<String>,
    on_disk: Option<String>,
    codes: u64,
    code: Code,
    /// The device code whose login has ended.
    ended: HashSet<String>,
    seen: usize,
    writes: usize,
    polls: usize,
    refreshes: usize,
    /// The targets that tokens are for.
    targets: HashMap<String, String>,
    served: usize,
}

const OWN: &str = "https://own/";

/// The device code that is out, and what the server has said about it.
#[derive(Default)]
struct Code {
    name: String,
    interval: Duration,
    /// Before this no poll may come.
    earliest: Duration,
    /// After this no poll may come.
    end: Duration,
}

#[test]
fn whatever_happens_nothing_gets_stuck_lost_or_out_of_hand() {
    let (mut polls, mut refreshes, mut tokens, mut served) = (0, 0, 0, 0);
    for seed in 0..100 {
        let mut story = Story::new(seed);
        for _ in 0..200 {
            story.happen();
            story.check();
        }
        polls += story.polls;
        refreshes += story.refreshes;
        tokens += story.tokens;
        served += story.served;
    }
    // The stories must have led somewhere, or nothing was tested.
    assert!(served > 10, "{served} times somebody got a token for another target");
    assert!(polls > 1000 && refreshes > 700 && tokens > 500, "{polls} polls, {refreshes} refreshes, {tokens} tokens");
}

fn with_resources() -> Client {
    // The last one is what a request for all of them shows here.
    Client { resource: (0..3).map(|n| format!("https://r{n}/")).chain([OWN.into()]).collect(), ..client() }
}

impl Story {
    fn new(seed: u64) -> Self {
        let mut rng = fastrand::Rng::with_seed(seed);
        let login = [LoginMode::Auto, LoginMode::OnDemand, LoginMode::Manual][rng.usize(..3)];
        let refresh_margin = rng.bool().then(|| secs(rng.u64(..2000)));
        Self {
            world: World::from_disk(
                with_resources(),
                Schedule { login, refresh_margin, sealed: rng.bool() },
                None,
                seed,
            ),
            rng,
            current: 0,
            tokens: 0,
            superseded: HashSet::new(),
            replaced: HashSet::new(),
            on_disk: None,
            codes: 0,
            code: Code::default(),
            ended: HashSet::new(),
            seen: 0,
            writes: 0,
            polls: 0,
            refreshes: 0,
            targets: HashMap::new(),
            served: 0,
        }
    }

    fn happen(&mut self) {
        if self.world.state() == State::Active && self.rng.u32(..3) == 0 {
            return self.want();
        }
        match self.rng.u32(..100) {
            0..45 if self.world.out.is_some() => self.answer(),
            0..45 => self.go_on(),
            45..52 => {
                let time = Duration::from_millis(self.rng.u64(..20_000));
                self.world.pass(time);
            }
            52..60 => {
                let time = secs(self.rng.u64(..4_000));
                self.world.pass(time);
            }
            60..62 => {
                let time = secs(self.rng.u64(..300_000));
                self.world.suspend(time);
            }
            62..66 => self.world.login(),
            66..67 => {
                self.world.cancel();
                self.ended.insert(self.code.name.clone());
            }
            67..68 => {
                self.world.logout();
                assert!(self.world.token().is_none(), "a token on show after the logout");
                self.ended.insert(self.code.name.clone());
            }
            68..72 => self.world.refresh(),
            72..80 => self.need(),
            80..84 => self.want(),
            84..90 => self.world.disk = [Disk::Works, Disk::Works, Disk::Fails, Disk::Slow][self.rng.usize(..4)],
            90..97 if self.world.writing.is_some() => {
                let well = self.world.disk != Disk::Fails && self.rng.u32(..4) > 0;
                self.world.written(well);
                self.world.settle();
            }
            97..98 => self.restart(),
            _ => self.go_on(),
        }
    }

    /// On to the next thing that comes due; a person comes by where nothing ever would.
    fn go_on(&mut self) {
        if self.world.state() == State::SignedOut && self.rng.bool() {
            return self.world.login();
        }
        let end = self.world.now + secs(100_000);
        self.world.step(end);
    }

    fn need(&mut self) {
        let snapshot = self.world.snapshot();
        let rejected = snapshot.token.filter(|_| self.rng.bool()).map(|token| token.fingerprint);
        let min_validity = secs(self.rng.u64(..8000));
        self.world.ask(&Need { min_validity, rejected, attempts: snapshot.attempts });
    }

    /// A caller wants a token for another target. What it is told is never another target's, nor the account's own.
    fn want(&mut self) {
        let uri = format!("https://r{}/", self.rng.u32(..3));
        let wish = Wish { resource: Some(&uri), ..Wish::default() };
        let target = Target::read(wish, &with_resources()).expect("a target").expect("another than the own");
        let need = Need { min_validity: secs(self.rng.u64(..800)), ..Need::default() };
        self.world.want(&target, &need);
        let told = self.world.told(&target, &need);
        if told.starts_with("at-") {
            assert_ne!(Some(&told), self.world.token().as_ref(), "the account's own for another target");
            assert_eq!(*self.targets.get(&told).expect("a token for a target"), uri);
            self.served += 1;
        }
    }

    fn restart(&mut self) {
        let same_boot = self.rng.bool();
        if same_boot {
            self.world.restart();
        } else {
            let away = secs(self.rng.u64(..100_000));
            self.world.reboot(away);
            // A box without a clock of its own wakes up in the past.
            self.world.wall -= if self.rng.bool() { 500_000 } else { 0 };
        }
        self.superseded.clear();
        let login = &self.world.on_disk()["login"];
        let name = login["device_code"].as_str().unwrap_or_default().to_owned();
        let interval = Duration::from_millis(login["interval_ms"].as_u64().unwrap_or_default());
        let end = if same_boot && self.code.name == name { self.code.end } else { Duration::MAX };
        // What this process knows of the code is what the disk does: the end of it may not have got there.
        self.ended.remove(&name);
        self.code = Code { name, interval, earliest: self.world.now + interval, end };
    }

    fn answer(&mut self) {
        let sent = self.world.sent.last().expect("a request is in flight").clone();
        let reply = match self.rng.u32(..10) {
            0 => replies::unsent(),
            1 => replies::page([200, 302, 404, 502][self.rng.usize(..4)]),
            2 => replies::busy([429, 500, 503][self.rng.usize(..3)], Some(self.rng.u64(..900))),
            3 => {
                // The server acts, and nobody hears of it.
                let _ = self.act(&sent);
                replies::lost()
            }
            _ => self.act(&sent),
        };
        self.take_note(&sent, &reply);
        self.world.reply(reply);
    }

    fn act(&mut self, sent: &Sent) -> Result<Response, Unreachable> {
        let errors = ["server_error", "temporarily_unavailable", "invalid_request", "invalid_client", "access_denied"];
        let error = errors[self.rng.usize(..errors.len())];
        match sent.what {
            What::Discovery | What::Revocation => replies::busy(200, None),
            What::DeviceAuthorization if self.rng.u32(..5) == 0 => replies::error(error),
            What::DeviceAuthorization => {
                self.codes += 1;
                let (interval, lifetime) = (self.rng.u64(1..30), self.rng.u64(..1200));
                replies::named_code(&format!("dc-{}", self.codes), interval, lifetime)
            }
            What::Poll => match self.rng.u32(..20) {
                0..9 => replies::error("authorization_pending"),
                9..12 => replies::error("slow_down"),
                12 => replies::error(error),
                13 => replies::error("expired_token"),
                _ => self.issue(),
            },
            What::Refresh if sent.field("resource") != OWN && self.rng.u32(..6) == 0 => replies::error(
                ["invalid_target", "invalid_scope", "invalid_grant", "use_dpop_nonce"][self.rng.usize(..4)],
            ),
            What::Refresh if self.rng.u32(..8) == 0 => replies::error(error),
            What::Refresh if sent.field("refresh_token") == format!("rt-{}", self.current) => self.issue(),
            What::Refresh => replies::error("invalid_grant"),
            What::Exchange => replies::error("invalid_request"),
        }
    }

    fn issue(&mut self) -> Result<Response, Unreachable> {
        self.tokens += 1;
        self.current += 1;
        let refresh = format!("rt-{}", self.current);
        let refresh = (self.rng.u32(..10) > 0).then_some(refresh.as_str());
        let lifetime = [None, Some(0), Some(5), Some(60), Some(3600), Some(3600), Some(86_400)][self.rng.usize(..7)];
        replies::tokens(&format!("at-{}", self.tokens), refresh, lifetime)
    }

    /// What a careful observer on the wire concludes from this reply.
    fn take_note(&mut self, sent: &Sent, reply: &Result<Response, Unreachable>) {
        if let (false, Ok(reply)) = (sent.field("resource") == OWN, reply)
            && let Ok(body) = serde_json::from_slice::<serde_json::Value>(&reply.body)
            && let Some(token) = body["access_token"].as_str()
        {
            self.targets.insert(token.to_owned(), sent.field("resource").to_owned());
        }
        let (status, body) = match reply {
            Ok(reply) => (reply.status, serde_json::from_slice(&reply.body).unwrap_or_default()),
            Err(_) => (0, serde_json::Value::Null),
        };
        let (now, word) = (self.world.now, body["error"].as_str());
        if body["refresh_token"].is_string() && sent.what == What::Refresh {
            self.superseded.insert(sent.field("refresh_token").to_owned());
        }
        match sent.what {
            What::DeviceAuthorization if body["device_code"].is_string() => {
                let interval = secs(body["interval"].as_u64().expect("an interval"));
                let end = sent.at + secs(body["expires_in"].as_u64().expect("a lifetime"));
                let name = body["device_code"].as_str().expect("a code").to_owned();
                self.code = Code { name, interval, earliest: now + interval, end };
            }
            What::Poll if sent.field("device_code") == self.code.name => {
                let slower = word == Some("slow_down") || (status == 429 && word.is_none());
                self.code.interval += if slower { secs(5) } else { Duration::ZERO };
                self.code.earliest = now + self.code.interval;
                let goes_on = ["authorization_pending", "slow_down", "server_error", "temporarily_unavailable"];
                if body["access_token"].is_string() || word.is_some_and(|word| !goes_on.contains(&word)) {
                    self.ended.insert(self.code.name.clone());
                }
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        for sent in self.world.sent.split_off(self.seen) {
            match sent.what {
                What::Poll => self.check_poll(&sent),
                What::Refresh => self.check_refresh(&sent),
                _ => {}
            }
            self.world.sent.push(sent);
        }
        self.seen = self.world.sent.len();
        if std::mem::replace(&mut self.writes, self.world.writes) == self.world.writes {
            return;
        }
        let refresh = self.world.on_disk()["grant"]["refresh_token"].as_str().map(str::to_owned);
        if let (Some(old), Some(new)) = (&self.on_disk, &refresh)
            && old != new
        {
            self.replaced.insert(old.clone());
        }
        self.on_disk = refresh.or(self.on_disk.take());
    }

    fn check_poll(&mut self, sent: &Sent) {
        self.polls += 1;
        let name = sent.field("device_code");
        assert!(!self.ended.contains(name), "{name} is polled after its end");
        if name == self.code.name {
            assert!(sent.at >= self.code.earliest, "{name} is polled early: {:?} {:?}", sent.at, self.code.earliest);
            assert!(sent.at < self.code.end, "{name} is polled after its end");
        } else {
            panic!("{name} is polled, a code that this process never got");
        }
    }

    fn check_refresh(&mut self, sent: &Sent) {
        self.refreshes += 1;
        let token = sent.field("refresh_token");
        assert!(!self.superseded.contains(token), "{token} was sent although its successor was at hand");
        assert!(!self.replaced.contains(token), "{token} was sent although its successor was on disk");
        let intent = self.world.damaged || self.world.on_disk()["refreshing"] == true;
        assert!(intent, "{token} was sent although a power cut would leave no trace of it");
    }
}
