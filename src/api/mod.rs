//! The two doors, HTTP on a Unix socket and D-Bus: translators of the same verbs. Neither decides anything.

pub mod credential;
pub mod dbus;
pub mod http;
pub mod limits;
mod page;
pub mod problem;
