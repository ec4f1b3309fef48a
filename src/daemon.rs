//! The daemon: builds everything, runs until a signal, drains.

mod awake;
mod display_command;
mod surfaces;
mod token_files;

use std::{
    os::unix::net::UnixListener,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use sd_notify::NotifyState;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    api::{
        credential, dbus,
        http::{self, Clients, Porter, Pulse},
    },
    broker::{Broker, Protection},
    config::{Bus, ConfigError, Settings},
    platform::{
        catalog,
        console::Console,
        journal::LogLevel,
        kernel,
        peer::{Caller, Socket},
        socket::{self, OwnSocket, SocketError},
        store::{KeyError, Keys, Store, StoreError},
        systemd,
        tick::Ticks,
    },
};

/// What the command line says; it comes before the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration.
    pub config: PathBuf,
    /// The API's socket, where systemd passes none.
    pub socket: Option<PathBuf>,
    /// Where the state is kept.
    pub state_directory: Option<PathBuf>,
    /// The message bus, as in the configuration.
    pub bus: Option<String>,
}

/// Why the daemon does not run, or runs no more.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the configuration cannot be used:\n{0}")]
    Config(#[from] ConfigError),
    #[error("--bus {0}: this is not a message bus; write system, session, none or a D-Bus address")]
    Bus(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("the sockets that systemd passed cannot be used: {0}")]
    Passed(std::io::Error),
    #[error("the program cannot be set up: {0}")]
    Setup(std::io::Error),
    #[error("the account {0} has stopped because of an error in bearerd; please report it with the lines above")]
    Panicked(String),
}

/// Runs the daemon until SIGTERM or SIGINT. The exit code is 0 then, 78 for a configuration that cannot be used, and
/// 1 for everything else.
pub fn run(options: &Options) -> ExitCode {
    // Before any thread is started, because it changes the environment.
    let passed = systemd::listeners();
    let settings = Settings::load(&options.config);
    let log_level = LogLevel::start(settings.as_ref().map_or(tracing::Level::INFO, |settings| settings.log));
    let outcome = settings.map_err(Failure::from).and_then(|settings| {
        let passed = passed.map_err(Failure::Passed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Setup)?;
        let house = House::build(options, settings, passed, log_level)?;
        runtime.block_on(house.live())
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let message_id = matches!(failure, Failure::Config(_)).then_some(catalog::CONFIGURATION_REJECTED);
            tracing::error!(message_id, "{failure}");
            systemd::notify(&[NotifyState::Status(&surfaces::one_line(&failure.to_string()))]);
            ExitCode::from(if matches!(failure, Failure::Config(_) | Failure::Bus(_) | Failure::Key(_)) {
                CONFIG
            } else {
                1
            })
        }
    }
}

/// Everything that has to be there before anybody is served.
struct House {
    settings: Settings,
    bus: Bus,
    store: Store,
    listener: UnixListener,
    /// Where systemd fetches credentials for units; systemd alone makes it.
    credential: Option<UnixListener>,
    /// The folder of the API's socket.
    run: PathBuf,
    /// Keeps the path of a socket of our own until the end.
    _own_socket: Option<OwnSocket>,
    console: Console,
    log_level: LogLevel,
}

impl House {
    fn build(
        options: &Options,
        settings: Settings,
        passed: Vec<(String, UnixListener)>,
        log_level: LogLevel,
    ) -> Result<Self, Failure> {
        let bus = match &options.bus {
            Some(text) => Bus::parse(text).ok_or_else(|| Failure::Bus(text.clone()))?,
            None => settings.bus.clone(),
        };
        let configured = settings.state_directory.clone();
        let state = options.state_directory.clone().or_else(systemd::state_directory).or(configured);
        let store = Store::open(&state.unwrap_or_else(|| PathBuf::from(DEFAULT_STATE)), Keys::from_credentials()?)?;
        let (credentials, passed): (Vec<_>, Vec<_>) = passed.into_iter().partition(|(name, _)| name == CREDENTIAL);
        let (listener, own_socket) = match passed.into_iter().next() {
            Some((_, listener)) if options.socket.is_none() => (listener, None),
            _ => {
                let (listener, own) = socket::bind(options.socket.as_ref().unwrap_or(&settings.socket))?;
                (listener, Some(own))
            }
        };
        let address = listener.local_addr().ok();
        let path = address.as_ref().and_then(|address| address.as_pathname()).unwrap_or(&settings.socket);
        let (console, run) = (Console::beside(path), path.parent().unwrap_or(Path::new("/")).to_owned());
        let credential = credentials.into_iter().next().map(|(_, listener)| listener);
        Ok(Self { settings, bus, store, listener, credential, run, _own_socket: own_socket, console, log_level })
    }

    async fn live(self) -> Result<(), Failure> {
        let signals = Signals::catch().map_err(Failure::Setup)?;
        say_how_state_is_protected(self.store.protection());
        let broker = Arc::new(Broker::new(self.store));
        broker.apply(&self.settings).await;
        let limits = Porter::limits();
        let porter = Porter::new(self.listener, Socket::Api, broker.clone(), limits.clone()).map_err(Failure::Setup)?;
        let (pulses, beats) = mpsc::channel(1);
        let (shutdown, tasks) = (CancellationToken::new(), TaskTracker::new());

        tasks.spawn(http::serve(porter, beats, shutdown.clone()));
        // Before anybody is told that the daemon is ready: units that start then have them mounted.
        let clients = Clients::open(broker.clone(), self.run, limits.clone()).await;
        tasks.spawn(clients.follow(shutdown.clone()));
        if let Some(listener) = self.credential {
            tasks.spawn(credential::serve(listener, broker.clone(), limits, shutdown.clone()));
        }
        let stopped = CancellationToken::new();
        tasks.spawn(token_files::keep(broker.clone(), self.bus.clone(), stopped.clone()));
        tasks.spawn(until(stopped.clone(), awake::keep(broker.unsettled(), self.bus.clone())));
        tasks.spawn(dbus::serve(broker.clone(), self.bus, self.log_level.clone(), shutdown.clone()));
        tasks.spawn(until(shutdown.clone(), surfaces::show_status(broker.clone())));
        tasks.spawn(until(shutdown.clone(), surfaces::show_on_console(broker.clone(), self.console)));
        tasks.spawn(display_command::tell(broker.clone(), shutdown.clone()));
        tasks.spawn(until(shutdown.clone(), follow_log_level(broker.clone(), self.log_level)));
        tasks.spawn(until(shutdown.clone(), feed_watchdog(broker.clone(), pulses)));
        systemd::notify(&[NotifyState::Ready]);
        tracing::info!(accounts = self.settings.accounts.len(), "ready");
        // The accounts have what they need of them.
        drop(self.settings);
        tasks.spawn(until(shutdown.clone(), forget_the_start(broker.ticks())));

        let outcome = signals.wait_for_the_end(&broker).await;
        systemd::notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
        shutdown.cancel();
        broker.stop().await;
        stopped.cancel();
        tasks.close();
        tasks.wait().await;
        tracing::info!("stopped");
        outcome
    }
}

/// What the start alone needed is given back once it is over: at the first tick after it.
async fn forget_the_start(mut ticks: Ticks) {
    ticks.wait(Duration::MAX).await;
    if let Err(error) = kernel::release_program() {
        tracing::debug!(%error, "what the start needed stays in memory until the kernel wants it");
    }
}

/// One line in the log for each start. Unsealed state is a choice that `bearerd status` shows all the time, so it is no
/// warning here.
fn say_how_state_is_protected(protection: Protection) {
    let how = match protection {
        Protection::None => "not sealed; to seal them, run as root: /usr/lib/bearerd/statekey enable",
        Protection::Host => "sealed with a key that lies on the same disk",
        Protection::Tpm2 => "sealed with a key that this machine's TPM guards",
    };
    tracing::info!(protection = protection.as_str(), "stored sign-ins are {how}");
}

/// The signals that the daemon obeys. They are caught from its first moment on: one that came between `READY=1` and a
/// handler would end it without saving anything.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn catch() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Returns at SIGTERM or SIGINT, or when an account's task has died; SIGHUP reloads.
    async fn wait_for_the_end(mut self, broker: &Arc<Broker>) -> Result<(), Failure> {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Ok(()),
                _ = self.interrupt.recv() => return Ok(()),
                _ = self.hang_up.recv() => {
                    // What is wrong with the configuration is in the log.
                    let _ = broker.reload(&Caller::ourselves()).await;
                }
                account = broker.failed() => return Err(Failure::Panicked(account.to_string())),
            }
        }
    }
}

async fn until(shutdown: CancellationToken, task: impl Future<Output = ()>) {
    shutdown.run_until_cancelled(task).await;
}

/// A level set at run time stays until the configured one changes.
async fn follow_log_level(broker: Arc<Broker>, log_level: LogLevel) {
    let mut general = broker.general();
    let mut configured = None;
    loop {
        let level = general.borrow_and_update().as_ref().map(|general| general.log);
        if let (Some(level), true) = (level, level != configured && configured.is_some()) {
            log_level.set(level);
        }
        configured = level;
        if general.changed().await.is_err() {
            return;
        }
    }
}

/// Feeds systemd's watchdog, each time only after the accept loop and every account have answered.
async fn feed_watchdog(broker: Arc<Broker>, pulses: mpsc::Sender<Pulse>) {
    let Some(period) = systemd::watchdog() else { return };
    let mut ticks = broker.ticks();
    loop {
        let (pulse, answer) = tokio::sync::oneshot::channel();
        if pulses.send(pulse).await.is_ok() && answer.await.is_ok() {
            broker.prove_alive().await;
            systemd::notify(&[NotifyState::Watchdog]);
        }
        ticks.wait(period).await;
    }
}

const DEFAULT_STATE: &str = "/var/lib/bearerd";
const CONFIG: u8 = 78;
/// `FileDescriptorName=` of the credential socket.
const CREDENTIAL: &str = "credential";
