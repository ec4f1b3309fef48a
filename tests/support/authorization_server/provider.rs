//! The provider: what it knows, and what it holds against a client.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    grants::{Code, Decision, Grant},
    received::{Endpoint, Received},
    reply::{Answer, End, Reply},
    settings::Settings,
};

/// All that the server knows. It acts on a request, and is told afterwards what the client got to see of it.
pub(super) struct Provider {
    pub settings: Settings,
    pub issuer: String,
    pub violations: Vec<String>,
    /// Access, refresh and ID tokens and device codes.
    pub secrets: Vec<String>,
    pub codes: Vec<Code>,
    pub grants: Vec<Grant>,
    redirects: Vec<String>,
}

impl Provider {
    pub fn new(settings: Settings, issuer: String) -> Self {
        let (violations, secrets, codes, grants, redirects) = Default::default();
        Self { settings, issuer, violations, secrets, codes, grants, redirects }
    }

    /// Notes what is wrong with a request before anything is done with it.
    pub fn inspect(&mut self, received: &Received) {
        for fault in received.faults(&self.settings.repeatable) {
            self.object(received, &fault);
        }
        let target = received.target();
        if self.redirects.iter().any(|place| *place == target || *place == format!("{}{target}", self.issuer)) {
            self.object(received, "a redirect was followed");
        }
        if self.secrets.iter().any(|secret| target.contains(secret.as_str())) {
            self.object(received, "a secret is in the address");
        }
        match received.endpoint {
            Endpoint::Poll => self.inspect_poll(received),
            Endpoint::Refresh => self.inspect_refresh(received),
            _ => {}
        }
    }

    pub fn object(&mut self, received: &Received, fault: &str) {
        self.violations.push(format!("{:?} at {}: {fault}", received.endpoint, received.path));
    }

    fn inspect_poll(&mut self, received: &Received) {
        let given = received.parameter("device_code").unwrap_or_default();
        let Some(code) = self.codes.iter_mut().find(|code| code.device_code == given) else {
            return self.object(received, "the device code was never issued");
        };
        let mut faults = Vec::new();
        if received.at < code.next_poll {
            let early = code.next_poll - received.at;
            faults.push(format!("{early:.2?} too early, the interval is {:?}", code.interval));
        }
        if code.over {
            faults.push("the client was told to stop polling".to_owned());
        }
        if code.client.as_deref() != received.client() {
            faults.push("the device code belongs to another client".to_owned());
        }
        if received.at > code.expires + Duration::from_secs(1) {
            faults.push("the lifetime of the device code is over".to_owned());
        }
        for fault in faults {
            self.object(received, &fault);
        }
    }

    /// The grant a refresh token belongs to, and the token's place in it.
    pub fn find_refresh(&self, value: Option<&str>) -> Option<(usize, usize)> {
        self.grants.iter().enumerate().find_map(|(index, grant)| {
            let place = grant.refresh.iter().position(|token| Some(token.value.as_str()) == value)?;
            Some((index, place))
        })
    }

    /// The grant that a refresh is for.
    pub fn grant_of(&mut self, received: &Received) -> Option<&mut Grant> {
        let (index, _) = self.find_refresh(received.parameter("refresh_token"))?;
        Some(&mut self.grants[index])
    }

    fn inspect_refresh(&mut self, received: &Received) {
        let Some((index, place)) = self.find_refresh(received.parameter("refresh_token")) else {
            return self.object(received, "the refresh token was never issued");
        };
        let grant = &self.grants[index];
        let asked = received.parameter("scope").unwrap_or_default();
        let wrong = [
            (grant.refresh[place].superseded, "the refresh token is not the current one, and the client has that"),
            (grant.buried, "the client was told that the grant is dead"),
            (grant.under_way, "another refresh of this grant is under way"),
            (grant.client.as_deref() != received.client(), "the refresh token belongs to another client"),
            (!is_within(asked, &grant.scope), "the scope is wider than what was granted"),
        ];
        for (_, fault) in wrong.into_iter().filter(|(found, _)| *found) {
            self.object(received, fault);
        }
    }

    /// Learns what became of an answer: when it went out, and how much of it the client can have seen.
    pub fn told(&mut self, received: &Received, answer: &Answer, end: End) {
        let whole = end == End::Whole;
        let error = answer.text_member("error");
        match received.endpoint {
            Endpoint::DeviceAuthorization if whole => self.told_code(answer),
            Endpoint::Poll => {
                let given = received.parameter("device_code").unwrap_or_default();
                let Some(code) = self.codes.iter_mut().find(|code| code.device_code == given) else { return };
                if whole && error == Some("slow_down") {
                    code.interval += Duration::from_secs(5);
                }
                code.next_poll = Instant::now() + code.interval;
                let redeemed = error.is_none() && answer.member("access_token").is_some();
                code.over |= whole && (redeemed || error.is_some_and(|error| !GOES_ON.contains(&error)));
            }
            Endpoint::Refresh => {
                let Some(grant) = self.grant_of(received) else { return };
                let successor = grant.refresh.last().map(|token| token.value.as_str());
                let seen = whole && answer.text_member("refresh_token") == successor;
                if seen {
                    let spent = grant.refresh.iter_mut().filter(|token| token.spent.is_some());
                    spent.for_each(|token| token.superseded = true);
                }
                grant.buried |= whole && !grant.alive && error == Some("invalid_grant");
            }
            _ => {}
        }
    }

    /// The code as the client was told it, which a test may have changed on the way.
    fn told_code(&mut self, answer: &Answer) {
        let Some(code) =
            self.codes.iter_mut().find(|code| answer.text_member("device_code") == Some(&code.device_code))
        else {
            return;
        };
        let interval = answer.member("interval").and_then(Value::as_u64).filter(|seconds| *seconds > 0);
        code.interval = Duration::from_secs(interval.unwrap_or(5));
        code.next_poll = Instant::now() + code.interval;
        if let Some(user_code) = answer.text_member("user_code") {
            code.user_code = user_code.to_owned();
        }
    }

    /// Remembers where a reply sends the client.
    pub fn redirecting(&mut self, reply: &Reply) {
        self.redirects.extend(reply.location().map(str::to_owned));
    }

    /// Decides on the newest code that is waiting, or on the one with this user code. Returns whether there was one.
    pub fn decide(&mut self, user_code: Option<&str>, decision: Decision) -> bool {
        let now = Instant::now();
        let plain = |text: &str| text.replace(['-', ' '], "").to_ascii_uppercase();
        let mut waiting = self.codes.iter_mut().rev().filter(|code| code.is_open(now));
        let code = waiting.find(|code| user_code.is_none_or(|typed| plain(typed) == plain(&code.user_code)));
        if let Some(code) = code {
            code.decision = decision;
            return true;
        }
        false
    }
}

pub(super) fn is_within(asked: &str, granted: &str) -> bool {
    asked.split_ascii_whitespace().all(|word| granted.split(' ').any(|known| known == word))
}

/// After these a client polls on.
const GOES_ON: &[&str] = &["authorization_pending", "slow_down", "server_error", "temporarily_unavailable"];
