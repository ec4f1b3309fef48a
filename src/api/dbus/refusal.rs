//! Errors on their way to a caller.

use zbus::{
    DBusError,
    message::{Header, Message},
    names::ErrorName,
};

use super::BUS_NAME;
use crate::{api::problem, broker::Error};

/// A D-Bus error name and a text for people. The text may hold a code that its receiver may see and a log may not, so
/// there is neither `Debug` nor `Display`.
pub struct Refusal {
    name: ErrorName<'static>,
    text: String,
}

impl Refusal {
    /// Nobody knows who is asking.
    pub fn access_denied(text: impl Into<String>) -> Self {
        Self::standard("org.freedesktop.DBus.Error.AccessDenied", text)
    }

    /// There is a limit, and the caller has reached it.
    pub fn limits_exceeded(text: impl Into<String>) -> Self {
        Self::standard("org.freedesktop.DBus.Error.LimitsExceeded", text)
    }

    /// A value that a property cannot take.
    pub fn invalid_args(text: impl Into<String>) -> Self {
        Self::standard("org.freedesktop.DBus.Error.InvalidArgs", text)
    }

    /// A property that cannot be changed.
    pub fn not_supported(text: impl Into<String>) -> Self {
        Self::standard("org.freedesktop.DBus.Error.NotSupported", text)
    }

    /// Something that is not supposed to fail did.
    pub fn failed(text: impl Into<String>) -> Self {
        Self::standard("org.freedesktop.DBus.Error.Failed", text)
    }

    /// The configuration as a whole cannot be understood; the text shows where.
    pub fn configuration(text: impl Into<String>) -> Self {
        Self::ours("Configuration", text)
    }

    /// Something that is about no account takes longer than a caller waits.
    pub fn timeout(text: impl Into<String>) -> Self {
        Self::ours("Timeout", text)
    }

    fn standard(name: &'static str, text: impl Into<String>) -> Self {
        Self { name: ErrorName::from_static_str_unchecked(name), text: text.into() }
    }

    fn ours(name: &str, text: impl Into<String>) -> Self {
        let name = ErrorName::from_string_unchecked(format!("{BUS_NAME}.Error.{name}"));
        Self { name, text: text.into() }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::ours(problem::names(&error).dbus, error.to_string())
    }
}

impl DBusError for Refusal {
    fn create_reply(&self, call: &Header<'_>) -> zbus::Result<Message> {
        Message::error(call, self.name()).build(&self.text)
    }

    fn name(&self) -> ErrorName<'_> {
        self.name.as_ref()
    }

    fn description(&self) -> Option<&str> {
        Some(&self.text)
    }
}
