//! `GET /metrics`: the text format of Prometheus, version 0.0.4, about the accounts that the caller may see.

use std::fmt::Write;

use crate::{
    account::State,
    broker::{Broker, Histogram, Protection, Sight, Tally},
    platform::peer::Caller,
};

/// What is measured of the door itself.
#[derive(Default)]
pub struct Latencies {
    /// Requests for tokens.
    pub token: Histogram,
    /// All others, those among them that waited on purpose.
    pub other: Histogram,
}

/// Everything that is measured, as text.
pub fn draw(broker: &Broker, caller: &Caller, latencies: &Latencies) -> String {
    let sights = broker.list(caller);
    let mut text = String::new();
    let mut page = Page(&mut text);
    page.family("bearerd_build_info", "gauge", "The version of the running daemon.");
    page.sample("bearerd_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
    page.family("bearerd_protection", "gauge", "How stored sign-ins are protected, one of the levels is 1.");
    for level in [Protection::None, Protection::Host, Protection::Tpm2] {
        let here = u64::from(broker.protection() == level);
        page.sample("bearerd_protection", &[("level", level.as_str())], here);
    }
    page.states(&sights);
    page.times(&sights);
    page.counts(broker, &sights);
    let name = "bearerd_provider_request_duration_seconds";
    page.family(name, "histogram", "Requests to the authorization server, polls among them.");
    for sight in &sights {
        if let Some(tally) = broker.tally(&sight.name) {
            page.histogram(name, ("account", sight.name.as_str()), &tally.requests);
        }
    }
    let name = "bearerd_http_request_duration_seconds";
    page.family(name, "histogram", "Requests of local programs, those that waited on purpose among them.");
    page.histogram(name, ("kind", "token"), &latencies.token);
    page.histogram(name, ("kind", "other"), &latencies.other);
    text
}

struct Page<'a>(&'a mut String);

impl Page<'_> {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        // Only a unit's name can have something to escape: the rest are names of accounts, numbers, and words of ours.
        let labels: Vec<String> = labels.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        let _ = writeln!(self.0, "{name}{{{}}} {value}", labels.join(","));
    }

    fn states(&mut self, sights: &[Sight]) {
        self.family("bearerd_account_state", "gauge", "The state of an account, one of the states is 1.");
        for sight in sights {
            for state in STATES {
                let here = u64::from(sight.view.snapshot.state == state);
                let labels = [("account", sight.name.as_str()), ("state", state.as_str())];
                self.sample("bearerd_account_state", &labels, here);
            }
        }
    }

    fn times(&mut self, sights: &[Sight]) {
        self.family("bearerd_token_expiry_seconds", "gauge", "Seconds until the access token ends, 0 when it has.");
        for sight in sights {
            let end = sight.view.snapshot.token.as_ref().and_then(|token| token.expires);
            if let Some(end) = end {
                let left = sight.now.boot.until(end).as_secs();
                self.sample("bearerd_token_expiry_seconds", &[("account", sight.name.as_str())], left);
            }
        }
        self.family("bearerd_refresh_due_seconds", "gauge", "Seconds until the next refresh.");
        for sight in sights {
            if let Some(at) = sight.view.snapshot.refresh_at {
                let left = sight.now.boot.until(at).as_secs();
                self.sample("bearerd_refresh_due_seconds", &[("account", sight.name.as_str())], left);
            }
        }
    }

    fn counts(&mut self, broker: &Broker, sights: &[Sight]) {
        let tallies = || sights.iter().filter_map(|sight| Some((sight.name.as_str(), broker.tally(&sight.name)?)));
        let name = "bearerd_token_attempts_total";
        self.family(name, "counter", "Refreshes that ended, and sign-ins that brought a token, by result.");
        for (account, tally) in tallies() {
            for (result, count) in with_success(&tally) {
                self.sample(name, &[("account", account), ("result", result)], count);
            }
        }
        let name = "bearerd_tokens_issued_total";
        self.family(name, "counter", "Tokens handed out, by user and, where a rule names it, unit.");
        for (account, tally) in tallies() {
            for (uid, count) in tally.issued_by_user() {
                let (uid, unit) = match uid {
                    None => ("other".to_owned(), String::new()),
                    // systemd asks for a unit, and is no user of its own.
                    Some((u32::MAX, unit)) => ("unknown".to_owned(), escaped(unit.as_deref())),
                    Some((uid, unit)) => (uid.to_string(), escaped(unit.as_deref())),
                };
                self.sample(name, &[("account", account), ("uid", &uid), ("unit", &unit)], count);
            }
        }
    }

    fn histogram(&mut self, name: &str, label: (&str, &str), histogram: &Histogram) {
        let (count, time) = histogram.total();
        let bucket = format!("{name}_bucket");
        for (bound, below) in histogram.cumulative() {
            self.sample(&bucket, &[label, ("le", &bound.as_secs_f64().to_string())], below);
        }
        self.sample(&bucket, &[label, ("le", "+Inf")], count);
        self.sample(&format!("{name}_sum"), &[label], time.as_secs_f64());
        self.sample(&format!("{name}_count"), &[label], count);
    }
}

/// A unit's name as a label's value: systemd writes some characters with a backslash.
fn escaped(unit: Option<&str>) -> String {
    unit.unwrap_or_default().replace('\\', "\\\\").replace('"', "\\\"")
}

/// A series that begins with its first success would hide that success from `increase()`.
fn with_success(tally: &Tally) -> std::collections::BTreeMap<&'static str, u64> {
    let mut attempts = tally.attempts_by_result();
    attempts.entry("success").or_default();
    attempts
}

const STATES: [State; 7] = [
    State::Active,
    State::Refreshing,
    State::Authorizing,
    State::Degraded,
    State::Stale,
    State::SignedOut,
    State::Misconfigured,
];
