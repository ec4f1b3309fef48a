//! Stories about the machine, told in virtual time: nothing here sleeps.
//!
//! [`World`] has a clock that jumps, a disk that can fail and a list of everything that was sent. Its [`driver`] is the
//! one that the doc of [`crate::account`] asks for, and checks after every event what must hold in every story.

mod answer;
mod clocks;
mod driver;
mod failures;
mod identity;
mod login;
mod logout;
mod outcomes;
mod proofs;
mod random;
mod refresh;
mod replies;
mod restart;
mod resume;
mod revocations;
mod same_token;
mod server;
mod shapes;
mod table;
mod targets;
mod unattended;

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Account, Answer, LoginMode, Need, Reason, Record, RequestId, Schedule, Seed, Snapshot, State, grant::Grant,
    record::Clocks,
};
use crate::{
    oauth::{
        client::{Client, Endpoints, ExtraParameters},
        client_auth::ClientAuth,
        exchange::{Endpoint, Request, Response, Unreachable},
        profile::Profile,
        target::Target,
    },
    time::{Instant, Now, UnixTime},
};

/// One account, its driver, its disk and its clock.
struct World {
    account: Account,
    client: Arc<Client>,
    schedule: Schedule,
    boot: u32,
    /// Time since boot.
    now: Duration,
    /// The wall clock at boot.
    wall: u64,
    /// Whether the wall clock can be believed.
    synchronised: bool,
    disk: Disk,
    /// What a power cut would leave.
    durable: Option<Record>,
    /// The access tokens that were on show, and rightly so.
    kept: HashSet<String>,
    /// The last write failed.
    damaged: bool,
    writing: Option<(u64, Record)>,
    out: Option<RequestId>,
    sent: Vec<Sent>,
    /// When the last reply came in.
    replied: Duration,
    writes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Disk {
    Works,
    Fails,
    /// Each write waits for [`World::written`].
    Slow,
}

/// A request as the server saw it.
#[derive(Debug, Clone)]
struct Sent {
    at: Duration,
    what: What,
    address: String,
    form: BTreeMap<String, String>,
    /// The thumbprint of the key that it has to prove possession of, and the nonce that goes into the proof.
    proof: Option<(String, Option<String>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Discovery,
    DeviceAuthorization,
    Poll,
    Refresh,
    Exchange,
    Revocation,
}

impl World {
    fn new(login: LoginMode) -> Self {
        Self::with(client(), login)
    }

    fn with(client: Client, login: LoginMode) -> Self {
        Self::from_disk(client, Schedule { login, ..Schedule::default() }, None, 1)
    }

    fn from_disk(client: Client, schedule: Schedule, durable: Option<Record>, seed: u64) -> Self {
        let client = Arc::new(client);
        let (now, wall) = (secs(100), 1_800_000_000);
        let mut world = Self {
            account: start(&client, schedule, durable.as_ref(), 1, seed, at(now, wall)),
            client,
            schedule,
            boot: 1,
            now,
            wall,
            synchronised: true,
            disk: Disk::Works,
            kept: HashSet::new(),
            durable,
            damaged: false,
            writing: None,
            out: None,
            sent: Vec::new(),
            replied: now,
            writes: 0,
        };
        world.settle();
        world
    }

    /// A signed-in account: the login has just been approved.
    fn signed_in(expires_in: u64) -> Self {
        let mut world = Self::new(LoginMode::OnDemand);
        world.sign_in(replies::tokens("at-0", Some("rt-0"), Some(expires_in)));
        world
    }

    fn sign_in(&mut self, tokens: Result<Response, Unreachable>) {
        self.login();
        self.expect(What::DeviceAuthorization);
        self.reply(replies::code(5, 600));
        self.pause();
        self.expect(What::Poll);
        self.reply(tokens);
    }

    /// Power fails and comes back `away` later: what was in flight is lost, and the boot clock starts again.
    fn reboot(&mut self, away: Duration) {
        self.wall += (self.now + away).as_secs();
        self.now = secs(20);
        self.boot += 1;
        self.restart();
    }

    /// The process is killed and starts again at once, with what is on disk.
    fn restart(&mut self) {
        self.account =
            start(&self.client, self.schedule, self.durable.as_ref(), self.boot, self.writes as u64, self.clock());
        (self.writing, self.out, self.replied) = (None, None, self.now);
        self.settle();
    }

    fn clock(&self) -> Now {
        Now { synchronised: self.synchronised, ..at(self.now, self.wall) }
    }

    fn boot_now(&self) -> Instant {
        Instant::from_boot(self.now)
    }

    fn stop(&mut self) {
        self.account.handle_stop(Instant::from_boot(self.now));
    }

    fn is_busy(&self) -> bool {
        self.account.is_busy(self.boot_now())
    }

    fn snapshot(&self) -> Snapshot {
        self.account.snapshot(self.boot_now())
    }

    fn state(&self) -> State {
        self.snapshot().state
    }

    fn reason(&self) -> Option<Reason> {
        self.snapshot().reason
    }

    /// The token on show, valid or not.
    fn token(&self) -> Option<String> {
        self.snapshot().token.map(|token| token.secret.expose().to_owned())
    }

    fn trouble(&self) -> String {
        self.snapshot().trouble.map(|trouble| trouble.text.clone()).unwrap_or_default()
    }

    /// What is on disk, as JSON.
    fn on_disk(&self) -> serde_json::Value {
        serde_json::to_value(&self.durable).expect("a record")
    }

    fn login(&mut self) {
        self.account.handle_login(false, self.boot_now());
        self.settle();
    }

    /// A login that lets somebody else take over.
    fn login_replacing(&mut self) {
        self.account.handle_login(true, self.boot_now());
        self.settle();
    }

    fn cancel(&mut self) -> bool {
        let was_running = self.account.handle_cancel_login(self.boot_now());
        self.settle();
        was_running
    }

    fn logout(&mut self) -> u64 {
        let version = self.account.handle_logout(self.boot_now());
        self.settle();
        version
    }

    fn refresh(&mut self) {
        self.account.handle_refresh(self.boot_now());
        self.settle();
    }

    fn need(&mut self, min_validity: Duration) {
        let need = Need { min_validity, rejected: None, attempts: self.snapshot().attempts };
        self.ask(&need);
    }

    /// A caller who wants a token for that target.
    fn want(&mut self, target: &Target, need: &Need) {
        let need = Need { attempts: self.account.attempts_for(target), ..*need };
        self.account.handle_need_for(target, &need, self.clock());
        self.settle();
    }

    /// What that caller is told, in one word, or the token itself.
    fn told(&self, target: &Target, need: &Need) -> String {
        let answer = self.account.answer_for(target, need, &self.snapshot(), self.boot_now());
        match answer {
            Answer::Token(token) => token.secret.expose().to_owned(),
            Answer::AwaitRefresh => "wait".into(),
            Answer::AwaitPrompt => "await_prompt".into(),
            Answer::LoginPending => "login_pending".into(),
            Answer::LoginRequired => "login_required".into(),
            Answer::Configuration => "configuration".into(),
            Answer::Hindered(hindrance) => format!("{:?}: {}", hindrance.obstacle, hindrance.text),
        }
    }

    fn ask(&mut self, need: &Need) {
        self.account.handle_need(need, self.clock());
        self.settle();
    }
}

impl Sent {
    fn read(request: &Request, at: Duration) -> Self {
        let address = request.endpoint.as_str().to_owned();
        let body = request.form.as_ref().map(|form| form.encode().expose().to_owned()).unwrap_or_default();
        let form: BTreeMap<_, _> = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let what = match (request.form.is_some(), form.get("grant_type").map(String::as_str)) {
            (false, _) => What::Discovery,
            (_, Some("refresh_token")) => What::Refresh,
            (_, Some(grant_type)) if grant_type.ends_with(":token-exchange") => What::Exchange,
            (_, Some(_)) => What::Poll,
            (_, None) if form.contains_key("token") => What::Revocation,
            (_, None) => What::DeviceAuthorization,
        };
        let proof = request.proof.as_ref().map(|proof| (proof.key.thumbprint(), proof.nonce.clone()));
        Self { at, what, address, form, proof }
    }

    fn field(&self, name: &str) -> &str {
        self.form.get(name).map_or("", String::as_str)
    }
}

/// A machine from what is on disk, by way of the text that is really there.
fn start(
    client: &Arc<Client>,
    schedule: Schedule,
    durable: Option<&Record>,
    boot: u32,
    seed: u64,
    now: Now,
) -> Account {
    let text = durable.map(|record| serde_json::to_string(record).expect("a record"));
    let record = text.map(|text| serde_json::from_str(&text).expect("the same record"));
    let seed = Seed::new(std::array::from_fn(|at| seed.to_le_bytes()[at % 8]));
    Account::new(client.clone(), schedule, record, Some(format!("boot-{boot}").into()), seed, now)
}

/// A client whose endpoints are all configured.
fn client() -> Client {
    let endpoint = |path| Endpoint::parse(&format!("https://as.example/{path}")).ok();
    Client {
        issuer: Some("https://as.example".into()),
        issuer_pin: None,
        client_id: Some("box".into()),
        auth: ClientAuth::None,
        scopes: vec!["openid".into()],
        audience: vec![],
        resource: vec![],
        dpop: false,
        narrow: None,
        extra: ExtraParameters::default(),
        endpoints: Endpoints {
            device_authorization: endpoint("device"),
            token: endpoint("token"),
            revocation: endpoint("revoke"),
        },
        profile: Profile::generic().into(),
    }
}

fn access_token(record: &Record) -> Option<String> {
    let clocks = Clocks::new(record, None, at(Duration::ZERO, 0));
    let grant = Grant::restore(record.grant.clone()?, &client(), &clocks)?;
    Some(grant.access_token.expose().to_owned())
}

fn at(boot: Duration, wall: u64) -> Now {
    Now { boot: Instant::from_boot(boot), wall: UnixTime(wall + boot.as_secs()), synchronised: true }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}
