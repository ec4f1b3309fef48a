//! D-Bus as a caller finds it: bearerd's D-Bus side on a real `dbus-daemon` of its own.

mod calls;
mod introspection;
mod rejoining;
mod rig;
mod rights;
mod signals;
