//! Asks logind to wait with a suspend, over the message bus (org.freedesktop.login1(5)).

use zbus::{
    OwnedFd,
    proxy::{self, CacheProperties, MethodFlags},
};

use super::bus;
use crate::config::Bus;

/// Delays every suspend until the descriptor is closed, or until logind has waited for its `InhibitDelayMaxSec=`, 5 s
/// where nobody says otherwise. An error is no reason to worry anybody: a box without logind may have no suspend either.
pub async fn delay_sleep(bus: &Bus, why: &str) -> zbus::Result<OwnedFd> {
    let Some(connection) = bus::connect(bus).await else {
        return Err(zbus::Error::Failure("no message bus is configured".to_owned()));
    };
    let connection = connection?;
    let logind: zbus::Proxy<'_> = proxy::Builder::new(&connection)
        .destination("org.freedesktop.login1")
        .path("/org/freedesktop/login1")
        .interface("org.freedesktop.login1.Manager")
        .cache_properties(CacheProperties::No)
        .build()
        .await?;
    let descriptor =
        logind.call_with_flags("Inhibit", MethodFlags::NO_AUTO_START, &("sleep", "bearerd", why, "delay")).await?;
    descriptor.ok_or_else(|| zbus::Error::Failure("logind did not answer".to_owned()))
}
