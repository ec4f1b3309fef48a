//! Asks systemd to reload a service, over the message bus.

use std::time::Duration;

use super::bus;
use crate::config::Bus;

/// Has systemd reload the service, or restart it where it cannot be reloaded (`ReloadOrRestartUnit`); it is done when
/// the job is queued. An error says what to do.
pub async fn reload(bus: &Bus, unit: &str) -> Result<(), String> {
    match tokio::time::timeout(PATIENCE, ask(bus, unit)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(explained(&error, unit)),
        Err(_) => Err(format!("systemd did not answer within {} s", PATIENCE.as_secs())),
    }
}

async fn ask(bus: &Bus, unit: &str) -> zbus::Result<()> {
    let Some(connection) = bus::connect(bus).await else {
        return Err(zbus::Error::Failure("no message bus is configured ([daemon] bus = \"none\")".to_owned()));
    };
    let (name, path, interface) =
        ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
    // A job that is under way is replaced: the service reads the newest token in any case.
    connection?.call_method(Some(name), path, Some(interface), "ReloadOrRestartUnit", &(unit, "replace")).await?;
    Ok(())
}

fn explained(error: &zbus::Error, unit: &str) -> String {
    use zbus::fdo::Error::{AccessDenied, AuthFailed, InteractiveAuthorizationRequired};
    let advice = match error {
        zbus::Error::FDO(error)
            if matches!(**error, AccessDenied(_) | AuthFailed(_) | InteractiveAuthorizationRequired(_)) =>
        {
            "a polkit rule has to let bearerd do it, see /usr/share/doc/bearerd/token-file.md".to_owned()
        }
        zbus::Error::MethodError(name, _, _) if name.as_str() == "org.freedesktop.systemd1.NoSuchUnit" => {
            format!("correct reload_unit, or install {unit}")
        }
        _ => format!("see systemctl status {unit}"),
    };
    format!("{error}; {advice}")
}

/// systemd answers when the job is queued; who it asks first for permission may be slow.
const PATIENCE: Duration = Duration::from_secs(30);
