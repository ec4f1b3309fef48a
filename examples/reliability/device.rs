//! One box in virtual time: the account machine that the daemon runs, with its driver and its disk.
//!
//! Time is in milliseconds since the simulation began. Writes succeed at once; what is not written is gone at a kill.

use std::{sync::Arc, time::Duration};

use bearerd::{
    account::{Account, LoginMode, Need, Record, RequestId, Schedule, Seed, Snapshot},
    oauth::{
        client::{Client, Endpoints, ExtraParameters},
        client_auth::ClientAuth,
        exchange::{Endpoint, Request, Response, Unreachable},
        profile::Profile,
    },
    time::{Instant, Now, UnixTime},
};

/// A box with a grant.
pub struct Device {
    client: Arc<Client>,
    account: Account,
    disk: Option<Record>,
    boots: u64,
    booted_at: u64,
    clock: Clock,
    out: Option<RequestId>,
}

/// What the wall clock of a box is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Ahead of the truth by that many seconds, or behind it, and believed.
    Set(i64),
    /// In 1970, as on a box without a battery before the network sets it.
    Unset,
}

pub type Reply = Result<Response, Unreachable>;

impl Device {
    /// A box that starts with what an earlier run left on its disk.
    pub fn start(client: Arc<Client>, disk: Option<Record>, boots: u64, clock: Clock, seed: u64, now: u64) -> Self {
        let mut device = Self {
            account: account(&client, disk.clone(), boots, seed, at(now, now, clock)),
            client,
            disk,
            boots,
            booted_at: now,
            clock,
            out: None,
        };
        device.write(now);
        device
    }

    /// A box on which somebody has just signed in, by the device grant.
    pub fn signed_in(client: Arc<Client>, tokens: Reply, seed: u64, now: u64) -> Self {
        let mut device = Self::start(client, None, 1, Clock::Set(0), seed, now);
        device.account.handle_login(false, device.boot(now));
        device.write(now);
        assert!(device.request().is_some(), "the device authorization request");
        let code = r#"{"device_code":"dc","user_code":"AB-CD","verification_uri":"https://as.example/","expires_in":600,"interval":5}"#;
        device.reply(answer(200, code), now);
        let poll = device.next(now).expect("a poll");
        device.wake(poll);
        assert!(device.request().is_some(), "the poll");
        device.reply(tokens, poll);
        device
    }

    /// The process is killed and starts again; with a reboot the boot clock starts again too.
    pub fn restart(&mut self, reboot: bool, clock: Clock, seed: u64, now: u64) {
        if reboot {
            (self.boots, self.booted_at) = (self.boots + 1, now);
        }
        (self.clock, self.out) = (clock, None);
        self.account = account(&self.client, self.disk.clone(), self.boots, seed, self.now(now));
        self.write(now);
    }

    /// The wall clock steps.
    pub fn set_clock(&mut self, clock: Clock) {
        self.clock = clock;
    }

    /// What is on its disk.
    pub fn disk(&self) -> Option<Record> {
        self.disk.clone()
    }

    /// When it next has something to do by itself.
    pub fn next(&self, now: u64) -> Option<u64> {
        let deadline = self.account.poll_deadline(self.boot(now))?.since_boot();
        Some(now.max(self.booted_at + millis(deadline).saturating_sub(BOOT)))
    }

    /// Does what has come due.
    pub fn wake(&mut self, now: u64) {
        self.account.handle_deadline(self.boot(now));
        self.write(now);
    }

    /// A local program asks for a token, as one does that waits for it.
    pub fn need(&mut self, now: u64) {
        let attempts = self.snapshot(now).attempts;
        self.account.handle_need(&Need { attempts, ..Need::default() }, self.now(now));
        self.write(now);
    }

    /// The request that is to be sent now.
    pub fn request(&mut self) -> Option<Request> {
        let (id, request) = self.account.poll_request()?;
        self.out = Some(id);
        Some(request)
    }

    /// The reply to it, unless a kill has come between.
    pub fn reply(&mut self, reply: Reply, now: u64) {
        if let Some(id) = self.out.take() {
            self.account.handle_reply(id, reply, self.boot(now));
            self.write(now);
        }
    }

    pub fn snapshot(&self, now: u64) -> Snapshot {
        self.account.snapshot(self.boot(now))
    }

    /// Whether the daemon delays a suspend now.
    pub fn is_unsettled(&self, now: u64) -> bool {
        self.account.is_unsettled(self.boot(now))
    }

    /// Whether a local program gets a token now.
    pub fn serves(&self, now: u64) -> bool {
        self.snapshot(now).valid_token(self.boot(now)).is_some()
    }

    fn write(&mut self, now: u64) {
        let clocks = self.now(now);
        loop {
            if let Some((version, record)) = self.account.poll_save(clocks) {
                self.disk = Some(record);
                self.account.handle_saved(version, Ok(()), clocks.boot);
            } else if self.account.poll_load() {
                self.account.handle_loaded(self.disk.clone(), clocks);
            } else {
                return;
            }
        }
    }

    fn boot(&self, now: u64) -> Instant {
        self.now(now).boot
    }

    fn now(&self, now: u64) -> Now {
        at(now, self.booted_at, self.clock)
    }
}

/// A client of a server that is nowhere.
pub fn client(profile: Profile) -> Client {
    let endpoint = |path| Endpoint::parse(&format!("https://as.example/{path}")).ok();
    Client {
        issuer: Some("https://as.example".into()),
        issuer_pin: None,
        client_id: Some("box".into()),
        auth: ClientAuth::None,
        scopes: Vec::new(),
        audience: Vec::new(),
        resource: Vec::new(),
        dpop: false,
        narrow: None,
        extra: ExtraParameters::default(),
        endpoints: Endpoints { device_authorization: endpoint("device"), token: endpoint("token"), revocation: None },
        profile: profile.into(),
    }
}

pub fn answer(status: u16, body: &str) -> Reply {
    Ok(Response { status, retry_after: None, body: body.into(), dpop_nonce: None })
}

pub fn tokens(access: &str, refresh: Option<&str>, lifetime: u64) -> Reply {
    let refresh = refresh.map(|token| format!(r#""refresh_token":"{token}","#)).unwrap_or_default();
    answer(200, &format!(r#"{{"access_token":"{access}",{refresh}"expires_in":{lifetime}}}"#))
}

/// A server that is there and does not answer, with or without a wish to be left alone for some seconds.
pub fn busy(status: u16, retry_after: Option<u64>) -> Reply {
    answer(status, "").map(|response| Response { retry_after: retry_after.map(Duration::from_secs), ..response })
}

fn account(client: &Arc<Client>, disk: Option<Record>, boots: u64, seed: u64, now: Now) -> Account {
    let schedule = Schedule { login: LoginMode::Manual, refresh_margin: None, sealed: true };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    Account::new(client.clone(), schedule, disk, Some(format!("boot-{boots}").into()), Seed::new(bytes), now)
}

fn at(now: u64, booted_at: u64, clock: Clock) -> Now {
    let since_boot = now - booted_at + BOOT;
    let wall = match clock {
        Clock::Set(ahead) => (EPOCH + now / 1000).saturating_add_signed(ahead),
        Clock::Unset => since_boot / 1000,
    };
    let boot = Instant::from_boot(Duration::from_millis(since_boot));
    Now { boot, wall: UnixTime(wall), synchronised: clock != Clock::Unset }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// The wall clock when the simulation begins, in seconds.
const EPOCH: u64 = 1_800_000_000;
/// The boot clock when the daemon starts, in milliseconds.
const BOOT: u64 = 10_000;
