//! Replies: the server's own, and what a test wants in place of them.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// What the server does with the next request, in place of its usual answer.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) acts: bool,
    pub(super) delay: Duration,
    pub(super) end: End,
    answer: Option<Answer>,
    status: Option<u16>,
    headers: Vec<(String, String)>,
    members: Vec<(String, Value)>,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Whole,
    CutShort,
    Closed,
    Hanging,
}

/// An answer, ready to send.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub(super) enum Body {
    Json(Value),
    Text(&'static str, String),
}

impl Reply {
    /// The server acts and answers as it always does; a start for the changes below.
    pub fn usual() -> Self {
        Self {
            acts: true,
            delay: Duration::ZERO,
            end: End::Whole,
            answer: None,
            status: None,
            headers: Vec::new(),
            members: Vec::new(),
        }
    }

    /// A JSON body; the server does nothing.
    pub fn json(status: u16, body: Value) -> Self {
        Self { acts: false, answer: Some(Answer::json(status, body)), ..Self::usual() }
    }

    /// An OAuth error (RFC 6749 §5.2); the server does nothing.
    pub fn error(status: u16, code: &str) -> Self {
        Self { acts: false, answer: Some(Answer::error(status, code, "scripted by a test")), ..Self::usual() }
    }

    /// A web page, as a captive portal or a broken proxy sends it; the server does nothing.
    pub fn html(status: u16, body: &str) -> Self {
        Self { acts: false, answer: Some(Answer::text(status, "text/html", body)), ..Self::usual() }
    }

    /// A 302; a client that follows it is noted.
    pub fn redirect(location: &str) -> Self {
        Self::html(302, "").header("location", location)
    }

    /// The connection ends without a byte; the server does nothing.
    pub fn closed() -> Self {
        Self { acts: false, end: End::Closed, ..Self::usual() }
    }

    /// The server acts, then the connection ends without a byte.
    pub fn lost() -> Self {
        Self { end: End::Closed, ..Self::usual() }
    }

    /// The server acts, and the connection ends in the middle of the body.
    pub fn cut_short() -> Self {
        Self { end: End::CutShort, ..Self::usual() }
    }

    /// No answer ever; the server does nothing.
    pub fn hanging() -> Self {
        Self { acts: false, end: End::Hanging, ..Self::usual() }
    }

    /// The server acts on the request before it replies as said.
    #[must_use]
    pub fn acting(mut self) -> Self {
        self.acts = true;
        self
    }

    /// The reply comes this much later.
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Another status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// A further header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets a member of the JSON body.
    #[must_use]
    pub fn member(mut self, name: &str, value: Value) -> Self {
        self.members.push((name.to_owned(), value));
        self
    }

    /// Takes a member out of the JSON body.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        self.member(name, Value::Null)
    }

    /// Where this reply sends a client.
    pub(super) fn location(&self) -> Option<&str> {
        self.headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str())
    }

    /// The answer this reply stands for, given the usual one where the server acted.
    pub(super) fn dress(self, usual: Option<Answer>) -> Answer {
        let mut answer = self.answer.or(usual).unwrap_or_else(|| Answer::text(200, "text/plain", ""));
        answer.status = self.status.unwrap_or(answer.status);
        answer.headers.extend(self.headers);
        if let Body::Json(Value::Object(body)) = &mut answer.body {
            edit(body, self.members);
        }
        answer
    }
}

impl Answer {
    pub fn json(status: u16, body: Value) -> Self {
        Self { status, headers: Vec::new(), body: Body::Json(body) }
    }

    pub fn error(status: u16, code: &str, description: &str) -> Self {
        Self::json(status, json!({"error": code, "error_description": description}))
    }

    pub fn text(status: u16, kind: &'static str, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: Body::Text(kind, body.to_owned()) }
    }

    /// A header on top.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A member of the JSON body.
    pub fn member(&self, name: &str) -> Option<&Value> {
        match &self.body {
            Body::Json(body) => body.get(name),
            Body::Text(..) => None,
        }
    }

    /// A text member of the JSON body.
    pub fn text_member(&self, name: &str) -> Option<&str> {
        self.member(name).and_then(Value::as_str)
    }

    /// The content type and the bytes.
    pub fn encode(&self) -> (&'static str, String) {
        match &self.body {
            Body::Json(body) => ("application/json", body.to_string()),
            Body::Text(kind, text) => (kind, text.clone()),
        }
    }
}

fn edit(body: &mut Map<String, Value>, members: Vec<(String, Value)>) {
    for (name, value) in members {
        if value.is_null() {
            body.remove(&name);
        } else {
            body.insert(name, value);
        }
    }
}
