//! Asks logind to wait with a suspend, over the message bus (org.freedesktop.login1(5)).

use zbus::OwnedFd;

use super::bus;
use crate::config::Bus;

/// Delays every suspend until the descriptor is closed, or until logind has waited for its `InhibitDelayMaxSec=`, 5 s
/// where nobody says otherwise. An error is no reason to worry anybody: a box without logind may have no suspend either.
pub async fn delay_sleep(bus: &Bus, why: &str) -> zbus::Result<OwnedFd> {
    let nobody = |what: &str| zbus::Error::Failure(what.to_owned());
    let connection = bus::connect(bus).await.ok_or_else(|| nobody("no message bus is configured"))??;
    // It is not started for this.
    if !bus::is_owned(&connection, LOGIND).await? {
        return Err(nobody("logind is not running"));
    }
    let (path, interface) = ("/org/freedesktop/login1", "org.freedesktop.login1.Manager");
    let request = ("sleep", "bearerd", why, "delay");
    connection.call_method(Some(LOGIND), path, Some(interface), "Inhibit", &request).await?.body().deserialize()
}

const LOGIND: &str = "org.freedesktop.login1";
