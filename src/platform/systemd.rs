//! What systemd passes to a service, and what a service tells systemd. Without systemd everything here does nothing.
//!
//! The environment is read here and nowhere else.

use std::{env, fs, io, os::unix::net::UnixListener, path::PathBuf, time::Duration};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use secrecy::zeroize::Zeroizing;

/// The sockets that systemd passed, by their `FileDescriptorName=`. To be called once, before any thread is started:
/// it takes the variables out of the environment's reach.
pub fn listeners() -> io::Result<Vec<(String, UnixListener)>> {
    let names: Vec<String> = match sd_notify::listen_fds_with_names() {
        Ok(fds) => fds.map(|(_, name)| name).collect(),
        Err(_) => Vec::new(),
    };
    let mut passed = ListenFd::from_env();
    let mut listeners = Vec::new();
    for at in 0..passed.len() {
        if let Some(listener) = passed.take_unix_listener(at)? {
            listener.set_nonblocking(true)?;
            listeners.push((names.get(at).cloned().unwrap_or_default(), listener));
        }
    }
    Ok(listeners)
}

/// Tells systemd something; without systemd, and on failure, nothing happens, for nothing could be done about it.
pub fn notify(states: &[NotifyState<'_>]) {
    let _ = sd_notify::notify(states);
}

/// How often the watchdog has to be fed: half of what systemd waits.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2)
}

/// Where the unit's credentials are.
pub fn credentials_directory() -> Option<PathBuf> {
    variable("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// One of the unit's credentials; `None` where it has none of that name.
pub fn credential(name: &str) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let Some(folder) = credentials_directory() else { return Ok(None) };
    match fs::read(folder.join(name)) {
        Ok(content) => Ok(Some(Zeroizing::new(content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The unit's `StateDirectory=`, the first of them.
pub fn state_directory() -> Option<PathBuf> {
    let all = variable("STATE_DIRECTORY")?;
    all.split(':').next().filter(|first| !first.is_empty()).map(PathBuf::from)
}

/// The boot id as the unit passes it.
pub fn boot_id() -> Option<String> {
    variable("BEARERD_BOOT_ID")
}

/// The socket that clients of the daemon use unless told otherwise.
pub fn client_socket() -> Option<PathBuf> {
    variable("BEARERD_SOCKET").map(PathBuf::from)
}

/// What a client of Kubernetes says to the credential plugin that it starts.
pub fn kubernetes_exec_info() -> Option<String> {
    variable("KUBERNETES_EXEC_INFO")
}

/// Whether the person asked for no colour (<https://no-color.org>), or the terminal has none.
pub fn wants_no_colour() -> bool {
    variable("NO_COLOR").is_some() || variable("TERM").is_some_and(|terminal| terminal == "dumb")
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    env::var(name).ok().filter(|value| !value.is_empty())
}
