//! The one list of errors, in the words of both doors.

use std::time::Duration;

use hyper::StatusCode;

use crate::{account::Fault, broker::Error};

/// How one error is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The `error` member of an HTTP answer (RFC 6749 §5.2 lends the name).
    pub error: &'static str,
    /// The HTTP status.
    pub status: StatusCode,
    /// The last part of the D-Bus error name.
    pub dbus: &'static str,
}

/// The names of an error.
pub fn names(error: &Error) -> Names {
    let (error, status, dbus) = match error {
        Error::LoginRequired { .. } => ("login_required", StatusCode::CONFLICT, "LoginRequired"),
        Error::LoginPending { .. } => ("login_pending", StatusCode::CONFLICT, "LoginPending"),
        Error::NotAuthorized { .. } => ("not_authorized", StatusCode::FORBIDDEN, "NotAuthorized"),
        Error::NoSuchAccount { .. } => ("no_such_account", StatusCode::NOT_FOUND, "NoSuchAccount"),
        Error::InvalidOption { .. } => ("invalid_option", StatusCode::BAD_REQUEST, "InvalidOption"),
        Error::InsufficientScope { .. } => ("insufficient_scope", StatusCode::FORBIDDEN, "InsufficientScope"),
        Error::ProviderUnreachable { .. } => {
            ("provider_unreachable", StatusCode::SERVICE_UNAVAILABLE, "ProviderUnreachable")
        }
        Error::ProviderError { .. } => ("provider_error", StatusCode::BAD_GATEWAY, "ProviderError"),
        Error::Configuration { .. } => ("configuration", StatusCode::INTERNAL_SERVER_ERROR, "Configuration"),
        Error::Storage { .. } => ("storage", StatusCode::INTERNAL_SERVER_ERROR, "Storage"),
        Error::Timeout { .. } => ("timeout", StatusCode::GATEWAY_TIMEOUT, "Timeout"),
    };
    Names { error, status, dbus }
}

/// The word for the last failure of an account, from the same list.
pub fn fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable | Fault::Clock => "provider_unreachable",
        Fault::Provider => "provider_error",
        Fault::Configuration => "configuration",
        Fault::Storage => "storage",
    }
}

/// When it makes sense to ask again, where that is known.
pub fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::ProviderUnreachable { retry_after, .. } => *retry_after,
        _ => None,
    }
}
