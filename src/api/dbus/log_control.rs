//! How much is logged, for `systemctl service-log-level bearerd debug` (org.freedesktop.LogControl1(5)).

use std::sync::Arc;

use tracing::Level;
use zbus::{Connection, interface, message::Header};

use super::{door::Door, refusal::Refusal};
use crate::{broker::Error, config::Action, platform::journal::LogLevel};

/// `org.freedesktop.LogControl1`. Anyone whom the bus lets through may read; the bus cannot tell reading from writing.
pub struct LogControl {
    door: Arc<Door>,
    level: LogLevel,
}

impl LogControl {
    /// An object that sets `level`.
    pub fn new(door: Arc<Door>, level: LogLevel) -> Self {
        Self { door, level }
    }

    async fn admit(&self, connection: &Connection, header: Option<Header<'_>>) -> Result<(), Refusal> {
        let caller = self.door.reader(connection, header.as_ref()).await?;
        if self.door.broker.may_manage_daemon(&caller) {
            Ok(())
        } else {
            Err(Error::NotAuthorized { caller: caller.clone(), action: Action::Manage }.into())
        }
    }
}

#[interface(name = "org.freedesktop.LogControl1", introspection_docs = false)]
impl LogControl {
    #[zbus(property(emits_changed_signal = "false"))]
    fn log_level(&self) -> &'static str {
        word(self.level.get())
    }

    #[zbus(property)]
    async fn set_log_level(
        &self,
        level: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<(), Refusal> {
        self.admit(connection, header).await?;
        let level = parse(level).ok_or_else(|| {
            Refusal::invalid_args("write one of: emerg, alert, crit, err, warning, notice, info, debug")
        })?;
        self.level.set(level);
        tracing::info!(level = word(level), "the log level was changed over D-Bus");
        Ok(())
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn log_target(&self) -> &'static str {
        if self.level.goes_to_journal() { "journal" } else { "console" }
    }

    #[zbus(property)]
    async fn set_log_target(
        &self,
        target: &str,
        #[zbus(connection)] connection: &Connection,
        #[zbus(header)] header: Option<Header<'_>>,
    ) -> Result<(), Refusal> {
        self.admit(connection, header).await?;
        if target == self.log_target() {
            return Ok(());
        }
        let now = self.log_target();
        Err(Refusal::not_supported(format!("bearerd logs to the {now} for as long as it runs")))
    }

    #[zbus(property(emits_changed_signal = "false"))]
    fn syslog_identifier(&self) -> &'static str {
        "bearerd"
    }
}

/// A level by its name in syslog(3), where there are more of them.
fn parse(word: &str) -> Option<Level> {
    match word {
        "emerg" | "alert" | "crit" | "err" => Some(Level::ERROR),
        "warning" => Some(Level::WARN),
        "notice" | "info" => Some(Level::INFO),
        "debug" => Some(Level::DEBUG),
        _ => None,
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::ERROR => "err",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG | Level::TRACE => "debug",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_go_by_their_names_in_syslog() {
        for level in ["err", "warning", "info", "debug"] {
            assert_eq!(parse(level).map(word), Some(level));
        }
        assert_eq!(parse("notice").map(word), Some("info"));
        assert_eq!(parse("emerg").map(word), Some("err"));
        assert_eq!(parse("loud"), None);
    }
}
