//! Where the owner of the machine looks without asking: `systemctl status`, and the console.

use std::{sync::Arc, time::Duration};

use sd_notify::NotifyState;

use crate::{
    account::AccountName,
    broker::{Broker, View, story},
    platform::{
        clock,
        console::{self, Console},
        systemd, tick,
    },
};

/// Keeps `systemctl status` current: on every change, and while minutes count down.
pub(super) async fn show_status(broker: Arc<Broker>) {
    let (mut changes, mut ticks) = (broker.changes(), broker.ticks());
    let mut shown = String::new();
    loop {
        changes.mark_unchanged();
        let with_code = broker.general().borrow().as_ref().is_some_and(|general| general.display.status);
        let views = broker.views();
        let status = one_line(&story::overview(&views, clock::now(), with_code));
        if status != shown {
            systemd::notify(&[NotifyState::Status(&status)]);
            shown = status;
        }
        let somebody_waits = views.iter().any(|(_, view)| view.snapshot.prompt.is_some());
        let period = if somebody_waits { CODE_PERIOD } else { STATUS_PERIOD };
        tokio::select! {
            _ = changes.changed() => {}
            () = ticks.wait(period) => {}
        }
    }
}

/// Keeps the console current: a page when a code comes out, none when it has gone. It is written once a code, because
/// each time agetty draws its prompt again under the fingers of whoever is logging in.
pub(super) async fn show_on_console(broker: Arc<Broker>, console: Console) {
    let mut changes = broker.changes();
    let mut shown: Option<String> = None;
    loop {
        changes.mark_unchanged();
        let wanted = broker.general().borrow().as_ref().is_some_and(|general| general.display.console);
        let views = if wanted { broker.views() } else { Vec::new() };
        let out = |(name, view): &(AccountName, Arc<View>)| Some((name.clone(), view.snapshot.prompt.clone()?));
        let page = console::page(&views.iter().filter_map(out).collect::<Vec<_>>());
        if page != shown {
            console.show(page.as_deref());
            shown = page;
        }
        // The sender lives as long as the broker, which we hold.
        let _ = changes.changed().await;
    }
}

/// A status is one line for systemd.
pub(super) fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// While a code is out, somebody may be looking at the seconds that are left.
const CODE_PERIOD: Duration = Duration::from_secs(5);
const STATUS_PERIOD: Duration = tick::PERIOD;
