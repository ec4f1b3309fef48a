//! How a verb can end, and why.

use std::process::ExitCode;

use hyper::StatusCode;
use serde::Deserialize;

/// The exit codes, those of `sysexits.h` where it has one, so that systemd names them in `systemctl status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Success = 0,
    /// Anything that has no code of its own.
    Other = 1,
    /// Bad arguments, in clap's way.
    Arguments = 2,
    /// The daemon cannot be reached.
    Unreachable = 69,
    /// Not now; trying again later can help.
    NotNow = 75,
    /// The caller may not.
    NotAllowed = 77,
    /// The operator has to mend the configuration.
    Configuration = 78,
    /// A program was to be started, and cannot be executed; as a shell counts it.
    NotExecutable = 126,
    /// A program was to be started, and does not exist; as a shell counts it.
    NoProgram = 127,
    /// Ctrl-C, as a shell counts it.
    Interrupted = 130,
}

/// Why a verb did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// The API's word for it, where the daemon was asked.
    pub error: String,
    /// What happened, what it means and what to do, without a full stop.
    pub text: String,
}

/// An error of the API: RFC 9457 with the members of RFC 6749 §5.2.
#[derive(Deserialize)]
struct Problem {
    error: String,
    #[serde(default)]
    error_description: String,
}

impl Failure {
    /// A failure of this program's own finding.
    pub fn new(exit: Exit, text: impl Into<String>) -> Self {
        Self { exit, error: String::new(), text: text.into() }
    }

    /// A failure without an exit code of its own.
    pub fn other(text: impl Into<String>) -> Self {
        Self::new(Exit::Other, text)
    }

    /// What the daemon answered instead of what was asked for.
    pub fn answered(status: StatusCode, body: &[u8]) -> Self {
        let Ok(Problem { error, error_description }) = serde_json::from_slice(body) else {
            let text = format!(
                "HTTP {status} is no answer that this version of bearerd understands; is the daemon of the same version? \
                 See: bearerd --version, systemctl status bearerd"
            );
            return Self::new(if status == StatusCode::FORBIDDEN { Exit::NotAllowed } else { Exit::Other }, text);
        };
        let text = if error_description.is_empty() { format!("the daemon says: {error}") } else { error_description };
        Self { exit: exit_for(&error), error, text }
    }

    /// Whether the daemon was not there; it may be in a moment.
    pub fn is_unreachable(&self) -> bool {
        self.exit == Exit::Unreachable
    }
}

fn exit_for(error: &str) -> Exit {
    match error {
        "login_required" | "login_pending" | "provider_unreachable" | "provider_error" | "timeout" => Exit::NotNow,
        "not_authorized" | "insufficient_scope" => Exit::NotAllowed,
        "no_such_account" | "invalid_option" => Exit::Arguments,
        "configuration" => Exit::Configuration,
        _ => Exit::Other,
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_of_the_api_has_an_exit_code() {
        for (error, exit) in [
            ("login_required", 75),
            ("login_pending", 75),
            ("provider_unreachable", 75),
            ("provider_error", 75),
            ("timeout", 75),
            ("not_authorized", 77),
            ("insufficient_scope", 77),
            ("no_such_account", 2),
            ("invalid_option", 2),
            ("configuration", 78),
            ("storage", 1),
            ("something_new", 1),
        ] {
            let body = format!(r#"{{"error":"{error}","error_description":"why","account":"kinde"}}"#);
            let failure = Failure::answered(StatusCode::CONFLICT, body.as_bytes());
            assert_eq!((failure.exit as u8, failure.text.as_str()), (exit, "why"), "{error}");
        }
    }

    #[test]
    fn what_is_no_problem_document_is_said_to_be_none() {
        let failure = Failure::answered(StatusCode::BAD_GATEWAY, b"<html>");
        assert_eq!(failure.exit, Exit::Other);
        assert!(failure.text.contains("502 Bad Gateway"), "{}", failure.text);
        assert_eq!(Failure::answered(StatusCode::FORBIDDEN, b"").exit, Exit::NotAllowed);
    }
}
