//! Configuration: TOML files are read into fragments, fragments are understood as [`Settings`], and whatever cannot be
//! understood is a [`ConfigError`] that names the place and the fix. Nothing half-understood comes out of here.

mod access;
mod account;
mod client_auth;
mod fragment;
mod problem;
mod providers;
mod token_file;

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    fs, io,
    num::NonZeroU16,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use self::access::{Action, NOBODY, Rule, Rules};
pub use self::problem::{ConfigError, Place, Problem};
pub use self::token_file::{Id, TokenFile};
use self::{problem::Source, providers::Providers};
use crate::{
    account::{AccountName, Schedule},
    oauth::client::Client,
};

/// Everything the daemon has to know.
pub struct Settings {
    /// The file it came from.
    pub path: PathBuf,
    /// The API's socket, where systemd passes none.
    pub socket: PathBuf,
    /// Where the state is kept; the command line and `$STATE_DIRECTORY` come first.
    pub state_directory: Option<PathBuf>,
    /// The message bus to appear on.
    pub bus: Bus,
    /// How much is logged.
    pub log: tracing::Level,
    /// How many connections one user may have at a time, and how many calls on the bus.
    pub connections_per_user: NonZeroU16,
    /// Where a pending code is shown.
    pub display: Display,
    /// The accounts by name.
    pub accounts: Accounts,
    /// The clients that have a socket of their own.
    pub clients: BTreeSet<Arc<str>>,
}

type Accounts = BTreeMap<AccountName, AccountSettings>;

/// A message bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bus {
    /// The system's.
    System,
    /// The session's.
    Session,
    /// None at all.
    None,
    /// A bus at a D-Bus address.
    Address(String),
}

/// Where a pending code is shown, besides the API and `bearerd login`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Display {
    /// In `systemctl status`.
    pub status: bool,
    /// At the console's login prompt.
    pub console: bool,
    /// In the log; the address alone always is.
    pub log: bool,
    /// A program that is told of it, with its arguments; empty for none.
    pub command: Vec<String>,
}

/// One account, understood.
#[derive(Clone)]
pub struct AccountSettings {
    /// What the server knows us as.
    pub client: Arc<Client>,
    /// Certificates besides the system's, in PEM.
    pub ca: Option<Arc<[u8]>>,
    /// Files with a secret in them that every user may read.
    pub exposed: Vec<PathBuf>,
    /// When things happen by themselves.
    pub schedule: Schedule,
    /// How long a token has to live for a caller who does not say.
    pub min_validity: Duration,
    /// Who may do what.
    pub rules: Rules,
    /// The file that its token is kept in, for programs that read one.
    pub token_file: Option<Arc<TokenFile>>,
}

impl Settings {
    /// Reads `path`, and the accounts in `accounts.d` beside it. Accounts shipped by packages in
    /// `/usr/lib/bearerd/accounts.d` belong to the configuration in `/etc/bearerd` alone.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = read(path).map_err(|problem| ConfigError(vec![problem]))?;
        let source = Source { path, text: &text };
        let file: fragment::File = toml::from_str(&text).map_err(|error| ConfigError(vec![source.syntax(&error)]))?;
        let mut problems = Vec::new();
        let providers = Providers::read(path, &mut problems);
        let daemon = understand_daemon(&file.daemon, &source, &mut problems);
        let display = understand_display(&file.display, &source, &mut problems);

        let mut accounts = BTreeMap::new();
        for (name, fragment) in file.accounts {
            match name.get_ref().parse::<AccountName>() {
                Ok(name) => {
                    if let Some(account) = account::understand(fragment, &name, &providers, &source, &mut problems) {
                        accounts.insert(name, account);
                    }
                }
                Err(error) => problems.push(source.problem(name.span(), error.to_string(), "rename the account")),
            }
        }
        for (name, path) in drop_ins(path) {
            read_drop_in(name, &path, &providers, &mut accounts, &mut problems);
        }
        let clients = access::bind(file.clients, &mut accounts, &source, &mut problems);
        token_file::keep_apart(&accounts, path, &mut problems);
        share_clients(&mut accounts);
        if problems.is_empty() {
            let (bus, log) = daemon;
            Ok(Self {
                path: path.to_owned(),
                socket: file.daemon.socket.into(),
                state_directory: file.daemon.state_directory.map(PathBuf::from),
                bus,
                log,
                connections_per_user: file.daemon.connections_per_user,
                display,
                accounts,
                clients,
            })
        } else {
            Err(ConfigError(problems))
        }
    }
}

impl AccountSettings {
    /// An account that is not in the configuration at `path` yet, as its drop-in with this text would be understood there.
    pub fn read(path: &Path, name: &AccountName, text: &str) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let providers = Providers::read(path, &mut problems);
        let drop_in = drop_in(path, name);
        let source = Source { path: &drop_in, text };
        let fragment = toml::from_str(text).map_err(|error| ConfigError(vec![source.syntax(&error)]))?;
        let understood = account::understand(fragment, name, &providers, &source, &mut problems);
        understood.filter(|_| problems.is_empty()).ok_or(ConfigError(problems))
    }
}

/// Accounts of the same client at the same server have one client in memory.
fn share_clients(accounts: &mut BTreeMap<AccountName, AccountSettings>) {
    let mut known: BTreeMap<Option<String>, Arc<Client>> = BTreeMap::new();
    for account in accounts.values_mut() {
        let shared = known.entry(account.client.issuer.clone()).or_insert_with(|| account.client.clone());
        if *shared == account.client {
            account.client = shared.clone();
        }
    }
}

/// Where the drop-in of an account belongs, beside the configuration at `path`.
pub fn drop_in(path: &Path, name: &AccountName) -> PathBuf {
    path.with_file_name("accounts.d").join(format!("{name}.toml"))
}

impl Bus {
    /// Reads `system`, `session`, `none` or a D-Bus address.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "system" => Some(Self::System),
            "session" => Some(Self::Session),
            "none" => Some(Self::None),
            address if address.contains(':') => Some(Self::Address(address.to_owned())),
            _ => None,
        }
    }
}

/// Reads a duration as it stands in the configuration and on the command line: `90s`, `5m`, `2h`, `1h 30m`.
pub fn duration(text: &str) -> Option<Duration> {
    let unit = text.trim_end().ends_with(|c: char| c.is_ascii_alphabetic());
    let parsed: jiff::SignedDuration = text.parse().ok().filter(|_| unit)?;
    Duration::try_from(parsed).ok()
}

fn understand_daemon(
    daemon: &fragment::Daemon,
    source: &Source<'_>,
    problems: &mut Vec<Problem>,
) -> (Bus, tracing::Level) {
    let bus = Bus::parse(daemon.bus.get_ref()).unwrap_or_else(|| {
        let fix = "write system, session, none or a D-Bus address such as unix:path=/run/dbus/system_bus_socket";
        problems.push(source.problem(daemon.bus.span(), "this is not a message bus", fix));
        Bus::None
    });
    let log = daemon.log.get_ref().parse().unwrap_or_else(|_| {
        let fix = "write error, warn, info, debug or trace";
        problems.push(source.problem(daemon.log.span(), "this is not a log level", fix));
        tracing::Level::INFO
    });
    (bus, log)
}

fn understand_display(display: &fragment::Display, source: &Source<'_>, problems: &mut Vec<Problem>) -> Display {
    let command = display.command.get_ref();
    if command.first().is_some_and(|program| !Path::new(program).is_absolute()) {
        let fix = "write its whole path, as in [\"/usr/local/bin/show-code\"]; no shell and no $PATH are involved";
        problems.push(source.problem(display.command.span(), "this does not say where the program is", fix));
    }
    Display { status: display.status, console: display.console, log: display.log, command: command.clone() }
}

fn read_drop_in(
    name: Result<AccountName, PathBuf>,
    path: &Path,
    providers: &Providers,
    accounts: &mut BTreeMap<AccountName, AccountSettings>,
    problems: &mut Vec<Problem>,
) {
    let name = match name {
        Ok(name) => name,
        Err(file) => {
            let message = crate::account::BadName.to_string();
            return problems.push(Problem { file, place: None, message, fix: Some("rename the file".into()) });
        }
    };
    let text = match read(path) {
        Ok(text) => text,
        Err(problem) => return problems.push(problem),
    };
    let source = Source { path, text: &text };
    let fragment = match toml::from_str(&text) {
        Ok(fragment) => fragment,
        Err(error) => return problems.push(source.syntax(&error)),
    };
    let understood = account::understand(fragment, &name, providers, &source, problems);
    match (accounts.entry(name), understood) {
        (Entry::Occupied(taken), _) => {
            let message = format!("the account {} is defined here and in the main file", taken.key());
            let fix = Some("keep one of the two".to_owned());
            problems.push(Problem { file: path.to_owned(), place: None, message, fix });
        }
        (Entry::Vacant(free), Some(account)) => {
            free.insert(account);
        }
        (Entry::Vacant(_), None) => {}
    }
}

/// The drop-in files by account, those of the administrator over those of packages; a link to `/dev/null` masks.
fn drop_ins(path: &Path) -> Vec<(Result<AccountName, PathBuf>, PathBuf)> {
    let here = path.parent().unwrap_or(Path::new("."));
    let mut found = BTreeMap::new();
    let packages = (here == Path::new(ETC)).then(|| Path::new(USR_LIB).to_owned());
    for folder in packages.into_iter().chain([here.to_owned()]) {
        let Ok(entries) = fs::read_dir(folder.join("accounts.d")) else { continue };
        for path in entries.flatten().map(|entry| entry.path()) {
            if path.extension().is_some_and(|extension| extension == "toml")
                && let Some(stem) = path.file_stem().and_then(|stem| stem.to_str())
            {
                found.insert(stem.to_owned(), path);
            }
        }
    }
    let masked = |path: &Path| fs::canonicalize(path).is_ok_and(|target| target == Path::new("/dev/null"));
    let kept = found.into_iter().filter(|(_, path)| !masked(path));
    kept.map(|(stem, path)| (stem.parse().map_err(|_| path.clone()), path)).collect()
}

fn read(path: &Path) -> Result<String, Problem> {
    fs::read_to_string(path).map_err(|error| {
        let fix = match error.kind() {
            io::ErrorKind::NotFound => "create it; six lines are enough, see `man bearerd.toml` or the README",
            io::ErrorKind::PermissionDenied => "make it readable for the user that runs bearerd",
            _ => "",
        };
        Problem {
            file: path.to_owned(),
            place: None,
            message: format!("cannot be read: {error}"),
            fix: (!fix.is_empty()).then(|| fix.to_owned()),
        }
    })
}

/// Where the API's socket is unless something else is configured.
pub const DEFAULT_SOCKET: &str = "/run/bearerd/api.sock";
/// Where the configuration is unless something else is asked for.
pub const DEFAULT_PATH: &str = "/etc/bearerd/bearerd.toml";
const ETC: &str = "/etc/bearerd";
const USR_LIB: &str = "/usr/lib/bearerd";
/// Enough for a box; one program that uses more is a program that forgets to close.
const CONNECTIONS_PER_USER: NonZeroU16 = NonZeroU16::new(64).expect("64 is not 0");

#[cfg(test)]
mod tests;
