//! `bearerd check`: the configuration without a daemon.

use std::path::Path;

use serde_json::{Value, json};

use super::{Exit, Failure, screen::Screen};
use crate::{
    config::{ConfigError, Problem, Settings},
    platform::provider::Provider,
};

/// Looks for mistakes in the configuration at `path`.
pub fn run(path: &Path, json: bool, screen: &Screen) -> Result<Exit, Failure> {
    let (accounts, problems) = match load(path) {
        Ok(accounts) => (accounts, Vec::new()),
        Err(ConfigError(problems)) => (Vec::new(), problems),
    };
    let exit = if problems.is_empty() { Exit::Success } else { Exit::Configuration };
    if json {
        let problems: Vec<Value> = problems.iter().map(as_json).collect();
        let report = json!({"path": path.display().to_string(), "accounts": accounts, "problems": problems});
        screen.json(&report.to_string())?;
        return Ok(exit);
    }
    if problems.is_empty() {
        let count = counted(accounts.len(), "account");
        screen.answer(&format!("{}: {count}, no problems", path.display()))?;
        return Ok(exit);
    }
    let count = counted(problems.len(), "problem");
    // Without a prefix, so that editors find the place.
    screen.remark(&ConfigError(problems).to_string());
    Err(Failure::new(exit, format!("{}: {count}; the daemon does not start like this", path.display())))
}

/// The accounts of the configuration at `path`, or what is wrong with it.
pub fn load(path: &Path) -> Result<Vec<String>, ConfigError> {
    let settings = Settings::load(path)?;
    let mut problems = Vec::new();
    for (name, account) in &settings.accounts {
        if let Some(Err(cause)) = account.ca.as_deref().map(Provider::check_ca) {
            problems.push(Problem {
                file: path.to_owned(),
                place: None,
                message: format!("the ca_file of the account {name} cannot be used: {cause}"),
                fix: Some("give a file with PEM certificates: -----BEGIN CERTIFICATE----- …".into()),
            });
        }
    }
    if problems.is_empty() {
        Ok(settings.accounts.keys().map(ToString::to_string).collect())
    } else {
        Err(ConfigError(problems))
    }
}

fn as_json(problem: &Problem) -> Value {
    json!({
        "file": problem.file.display().to_string(),
        "line": problem.place.as_ref().map(|place| place.line),
        "column": problem.place.as_ref().map(|place| place.column),
        "message": problem.message,
        "fix": problem.fix,
    })
}

fn counted(count: usize, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{plural}")
}
