//! `bearerd doctor`: everything between this user and a token, one line each, and what to do about what is wrong. What the
//! daemon alone can see, it is asked for; without a daemon, what is left says why there is none.

use std::{path::Path, process::Command};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Doctor, Exit, Failure, GET, POST,
    account::List,
    check,
    client::Client,
    path_of,
    screen::{Mood, Screen, paint, printable},
};
use crate::{
    config::{Bus, Settings},
    platform::bus::{self, Presence},
};

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Finding {
    check: String,
    /// `ok`, `warning` or `failed`; newer daemons may have other words.
    result: String,
    text: String,
    #[serde(default)]
    remedy: Option<String>,
}

/// `GET /v1/health`
#[derive(Deserialize)]
struct Health {
    version: String,
}

/// `POST /v1/accounts/{name}/probe`
#[derive(Deserialize)]
struct Probed {
    account: String,
    findings: Vec<Finding>,
}

/// Looks, and shows what it sees. The exit code is 1 where something has failed.
pub async fn run(client: &Client, config: &Path, arguments: Doctor, screen: &Screen) -> Result<Exit, Failure> {
    let report = Report { screen, colour: screen.colour, json: arguments.json };
    let mut here = vec![configuration(config)];
    let health = client.ask(GET, "/v1/health").await.and_then(|answer| answer.read::<Health>());
    here.push(socket(client, &health));
    here.extend(if health.is_ok() { None } else { unit() });
    here.push(on_the_bus(config).await);
    let mut all = report.block(None, &here)?;
    if health.is_ok() {
        match names(client, &arguments).await {
            Ok(names) => {
                for name in names {
                    let (account, findings) = probe(client, &name).await;
                    all.extend(report.block(Some(&account), &findings)?);
                }
            }
            Err(failure) => all.extend(report.block(None, &[Finding::failed("accounts", failure.text, ASK_AS_ROOT)])?),
        }
    }
    let failed = all.iter().filter(|finding| finding["result"] == "failed").count();
    if arguments.json {
        screen.json(&json!({ "findings": all, "failed": failed }).to_string())?;
    } else if failed > 0 {
        let things = if failed == 1 { "1 thing has".to_owned() } else { format!("{failed} things have") };
        screen.remark(&format!("{things} failed; begin with the first"));
    }
    Ok(if failed == 0 { Exit::Success } else { Exit::Other })
}

/// How findings are shown.
struct Report<'a> {
    screen: &'a Screen,
    colour: bool,
    json: bool,
}

impl Report<'_> {
    /// Shows findings, those of an account below its name, and returns them as JSON.
    fn block(&self, account: Option<&str>, findings: &[Finding]) -> Result<Vec<Value>, Failure> {
        if !self.json {
            if let Some(name) = account {
                self.screen.answer(&format!("\n{}", printable(name)))?;
            }
            for finding in findings {
                self.screen.answer(&finding.shown(self.colour))?;
            }
        }
        Ok(findings.iter().map(|finding| finding.as_json(account)).collect())
    }
}

impl Finding {
    fn new(check: &str, result: &str, text: impl Into<String>, remedy: Option<&str>) -> Self {
        Self { check: check.into(), result: result.into(), text: text.into(), remedy: remedy.map(str::to_owned) }
    }

    fn ok(check: &str, text: impl Into<String>) -> Self {
        Self::new(check, "ok", text, None)
    }

    fn warning(check: &str, text: impl Into<String>, remedy: &str) -> Self {
        Self::new(check, "warning", text, Some(remedy))
    }

    fn failed(check: &str, text: impl Into<String>, remedy: &str) -> Self {
        Self::new(check, "failed", text, Some(remedy))
    }

    /// Its line, and its remedy below.
    fn shown(&self, colour: bool) -> String {
        let mood = match self.result.as_str() {
            "ok" => Mood::Good,
            "warning" => Mood::Uncertain,
            _ => Mood::Bad,
        };
        let gap = " ".repeat(RESULT.saturating_sub(self.result.chars().count()));
        let result = paint(&printable(&self.result), mood, colour);
        let line = format!("{result}{gap} {:CHECK$} {}", printable(&self.check), printable(&self.text));
        let remedy =
            self.remedy.as_ref().map(|remedy| format!("\n{:1$}→ {2}", "", RESULT + CHECK + 2, printable(remedy)));
        line + &remedy.unwrap_or_default()
    }

    fn as_json(&self, account: Option<&str>) -> Value {
        let mut members = json!({ "check": self.check, "result": self.result, "text": self.text });
        if let Some(account) = account {
            members["account"] = account.into();
        }
        if let Some(remedy) = &self.remedy {
            members["remedy"] = remedy.as_str().into();
        }
        members
    }
}

fn configuration(path: &Path) -> Finding {
    match check::load(path) {
        Ok(accounts) if accounts.is_empty() => {
            let text = format!("{} has no account", path.display());
            Finding::warning("config", text, "add one; the README has an example of six lines")
        }
        Ok(accounts) => Finding::ok("config", format!("{}: {}", path.display(), accounts.join(", "))),
        Err(error) => {
            let first = error.0.first().map_or("", |problem| problem.message.as_str());
            let text = format!("{} has mistakes: {first}", path.display());
            Finding::failed("config", text, "bearerd check shows the place, and what to write instead")
        }
    }
}

fn socket(client: &Client, health: &Result<Health, Failure>) -> Finding {
    match health {
        Ok(Health { version }) if version == env!("CARGO_PKG_VERSION") => {
            Finding::ok("socket", format!("bearerd {version} answers at {}", client.socket().display()))
        }
        Ok(Health { version }) => {
            let text = format!("bearerd {version} answers, and this program is {}", env!("CARGO_PKG_VERSION"));
            Finding::warning("socket", text, "restart the service: systemctl restart bearerd")
        }
        Err(failure) => {
            let remedy =
                "start it: systemctl start bearerd.socket bearerd.service; what it says: journalctl -xu bearerd";
            Finding::failed("socket", failure.text.clone(), remedy)
        }
    }
}

/// What systemd says of the service, where there is a systemd.
fn unit() -> Option<Finding> {
    let asked = ["show", "bearerd.service", "--property=LoadState,ActiveState,Result,ExecMainStatus,StatusText"];
    let said = Command::new("systemctl").args(asked).output().ok().filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let value =
        |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default();
    let status = value("StatusText");
    let last = if status.is_empty() { String::new() } else { format!("; its last words: {status}") };
    Some(match (value("LoadState"), value("ActiveState")) {
        ("not-found", _) => {
            Finding::failed("unit", "systemd knows no bearerd.service", "install it, and run: systemctl daemon-reload")
        }
        (_, "active") => Finding::warning("unit", format!("bearerd.service is active{last}"), "is --socket right?"),
        (_, state) => {
            let why = format!("{} (exit status {})", value("Result"), value("ExecMainStatus"));
            let text = format!("bearerd.service is {state}: {why}{last}");
            Finding::failed("unit", text, "journalctl -xu bearerd says more; then: systemctl restart bearerd")
        }
    })
}

/// Whether the bus that is configured has the service on it.
async fn on_the_bus(config: &Path) -> Finding {
    let bus = Settings::load(config).map_or(Bus::System, |settings| settings.bus);
    match bus::presence(&bus).await {
        None => Finding::ok("bus", "not used: bus = \"none\""),
        Some(Ok(Presence::Owned)) => Finding::ok("bus", format!("{} is there", bus::NAME)),
        Some(Ok(Presence::Activatable)) => {
            Finding::warning("bus", format!("{} is not there now; a call would start it", bus::NAME), SEE_LOG)
        }
        Some(Ok(Presence::Absent)) => {
            let text = format!("nobody has the name {}, so programs on the bus get no token", bus::NAME);
            Finding::warning("bus", text, LET_IT_IN)
        }
        Some(Err(error)) => Finding::warning(
            "bus",
            format!("there is no message bus: {error}"),
            "HTTP works without; to do without it: bus = \"none\"",
        ),
    }
}

async fn names(client: &Client, arguments: &Doctor) -> Result<Vec<String>, Failure> {
    match &arguments.account {
        Some(name) => Ok(vec![name.to_string()]),
        None => {
            let list: List = client.ask(GET, "/v1/accounts").await?.read()?;
            Ok(list.accounts.into_iter().map(|account| account.name).collect())
        }
    }
}

async fn probe(client: &Client, name: &str) -> (String, Vec<Finding>) {
    let probed = client.ask(POST, &path_of(name, "/probe")).await.and_then(|answer| answer.read::<Probed>());
    match probed {
        Ok(Probed { account, findings }) => (account, findings),
        Err(failure) => (name.to_owned(), vec![Finding::failed("account", failure.text, ASK_AS_ROOT)]),
    }
}

const RESULT: usize = 7;
const CHECK: usize = 10;
const ASK_AS_ROOT: &str = "if it is a matter of rights, run it with sudo";
const LET_IT_IN: &str =
    "is its policy installed (/usr/share/dbus-1/system.d)? Then: systemctl reload dbus; bearerd tries again by itself";
const SEE_LOG: &str = "see: journalctl -xu bearerd";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_result_check_and_text_and_the_remedy_below() {
        let finding = Finding::failed("dns", "a.example has no address", "check the network");
        assert_eq!(
            finding.shown(false),
            "failed  dns        a.example has no address\n                   → check the network"
        );
        assert!(Finding::ok("tls", "good").shown(true).starts_with("\x1b[32mok\x1b[0m      tls        good"));
        let hostile = Finding::ok("tls\x1b[2J", "\x1b]0;x\x07");
        assert!(!hostile.shown(false).contains('\x1b'));
    }
}
