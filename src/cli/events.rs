//! `bearerd events`: what happens, one JSON object a line, over restarts of the daemon too.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use super::{Failure, client::Client, follow::patiently, screen::Screen};

/// Prints events until somebody ends it, or the output is closed.
pub async fn run(client: &Client, screen: &Screen) -> Result<super::Exit, Failure> {
    let mut events = Events::default();
    // A daemon that is not there when one begins is a mistake; one that goes later may come back.
    let mut stream = Some(client.open("/v1/events", None).await?);
    loop {
        let mut body = match stream.take() {
            Some(body) => body,
            None => {
                let last = events.last_id.clone();
                patiently(screen, None, async || client.open("/v1/events", last.as_deref()).await).await?
            }
        };
        while let Some(piece) = next(&mut body).await {
            for event in events.take(&piece) {
                screen.json(&event.to_string())?;
            }
        }
        events.forget_the_rest();
    }
}

/// The next piece; `None` at the end, however it came.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        if let Ok(data) = body.frame().await?.ok()?.into_data() {
            return Some(data);
        }
    }
}

/// A stream of events (WHATWG HTML §9.2.6) as it comes in.
#[derive(Default)]
struct Events {
    line: Vec<u8>,
    name: String,
    data: String,
    id: Option<String>,
    /// The id of the last event that was whole and had one.
    last_id: Option<String>,
}

impl Events {
    /// The events that are complete with this piece.
    fn take(&mut self, piece: &[u8]) -> Vec<Value> {
        let mut whole = Vec::new();
        for byte in piece {
            match byte {
                b'\n' => {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                    whole.extend(self.understand(line.trim_end_matches('\r')));
                }
                byte if self.line.len() < LONGEST => self.line.push(*byte),
                _ => {}
            }
        }
        whole
    }

    fn understand(&mut self, line: &str) -> Option<Value> {
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push_str(value),
            "id" => self.id = Some(value.to_owned()),
            // A comment, or what a newer daemon has to say.
            _ => {}
        }
        None
    }

    /// The event, with its name as a member beside those of its data.
    fn dispatch(&mut self) -> Option<Value> {
        let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
        if let Some(id) = self.id.take() {
            self.last_id = Some(id);
        }
        let mut event: Value = serde_json::from_str(&data).ok()?;
        event.as_object_mut()?.insert("event".to_owned(), name.into());
        Some(event)
    }

    /// What was cut off comes again, whole.
    fn forget_the_rest(&mut self) {
        *self = Self { last_id: self.last_id.take(), ..Self::default() };
    }
}

/// A prompt with a picture in it is long; nothing is longer than this.
const LONGEST: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_whole_however_the_pieces_are_cut() {
        let stream = "retry: 1000\n\n:\n\nevent: token\ndata: {\"account\":\"a\"}\n\nevent: state\r\nid: 7\r\n\
                      data: {\"account\":\"a\",\"state\":\"active\"}\r\n\r\nevent: state\nid: 8\ndata: {\"acc";
        for size in [1, 3, 7, stream.len()] {
            let mut events = Events::default();
            let all: Vec<String> = stream
                .as_bytes()
                .chunks(size)
                .flat_map(|piece| events.take(piece))
                .map(|event| event.to_string())
                .collect();
            let expected =
                [r#"{"account":"a","event":"token"}"#, r#"{"account":"a","event":"state","state":"active"}"#];
            assert_eq!(all, expected, "{size}");
            assert_eq!(events.last_id.as_deref(), Some("7"), "only what was whole counts");
            events.forget_the_rest();
            assert_eq!(events.take(b"data: {}\n\n").len(), 1);
        }
    }
}
