//! Keeps the machine awake while a refresh token is neither here nor there: a server that has replaced it may hold the old
//! one good for five seconds more, and a box that sleeps through them has lost its grant.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::{broker::Unsettled, config::Bus, platform::inhibitor};

/// Delays a suspend whenever an account is unsettled. No refresh waits for that: it is a matter of milliseconds, and where
/// nobody grants it everything goes on without.
pub(super) async fn keep(unsettled: Unsettled, bus: Bus) {
    if bus == Bus::None {
        return;
    }
    loop {
        unsettled.begins().await;
        let lock = timeout(PATIENCE, inhibitor::delay_sleep(&bus, WHY)).await;
        match &lock {
            Ok(Ok(_)) => tracing::debug!("a suspend would wait for the refresh"),
            Ok(Err(error)) => tracing::debug!(%error, "a suspend would not wait for the refresh"),
            Err(_) => tracing::debug!("a suspend would not wait for the refresh: logind does not answer"),
        }
        unsettled.ends().await;
        drop(lock);
        // Where many accounts refresh one after the other, logind is not asked for each.
        sleep(PAUSE).await;
    }
}

/// What `systemd-inhibit --list` shows.
const WHY: &str = "a refresh is under way";
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(100);
