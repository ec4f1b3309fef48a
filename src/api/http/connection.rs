//! One connection, from its first request to its end.
//!
//! A timer for each request would cost a good part of what the request does, so there is none: at each tick, twice a
//! minute, a connection on which nothing has happened since the one before is closed. No head of a request may take
//! longer, and no connection rest longer between two of them.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering::Relaxed},
    },
};

use hyper::{Request, Response, body::Incoming, server::conn::http1, service::Service};
use hyper_util::rt::TokioIo;
use tokio::{net::UnixStream, sync::watch};

use super::body::Body;

/// What all connections of a porter hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Time goes by.
    Tick,
    /// The door closes: what is being answered may be finished.
    Leave,
}

/// Serves a connection until it ends, has rested too long, or the door closes.
pub async fn serve<S>(
    stream: UnixStream,
    service: S,
    activity: Arc<Activity>,
    mut signals: watch::Receiver<Signal>,
) -> Result<(), hyper::Error>
where
    S: Service<Request<Incoming>, Response = Response<Body>, Error = std::convert::Infallible>,
{
    let connection = http1::Builder::new().max_buf_size(MAX_HEAD).serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    loop {
        let signal = tokio::select! {
            biased;
            ended = &mut connection => return ended,
            heard = signals.changed() => heard.map(|()| *signals.borrow_and_update()),
        };
        match signal {
            Ok(Signal::Tick) if activity.has_rested() => return Ok(()),
            Ok(Signal::Tick) => {}
            Ok(Signal::Leave) => connection.as_mut().graceful_shutdown(),
            // The porter waits for all connections; one that does not has given them up.
            Err(_) => return Ok(()),
        }
    }
}

/// What has happened on a connection since the last tick.
pub struct Activity(AtomicU8);

/// Until this is dropped, an answer is being made or sent.
pub struct Answering(Arc<Activity>);

impl Activity {
    /// Of a connection that is new.
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicU8::new(SOMETHING)))
    }

    /// A request has come that is answered at once.
    pub fn note(&self) {
        self.0.store(SOMETHING, Relaxed);
    }

    /// A request has come whose answer takes its time.
    pub fn answering(self: &Arc<Self>) -> Answering {
        self.0.store(UNDER_WAY, Relaxed);
        Answering(self.clone())
    }

    /// Whether nothing has happened since this was asked the last time.
    fn has_rested(&self) -> bool {
        match self.0.load(Relaxed) {
            UNDER_WAY => false,
            SOMETHING => {
                self.0.store(NOTHING, Relaxed);
                false
            }
            _ => true,
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.note();
    }
}

const NOTHING: u8 = 0;
const SOMETHING: u8 = 1;
const UNDER_WAY: u8 = 2;
const MAX_HEAD: usize = 8 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_rests_once_nothing_happens_from_one_tick_to_the_next() {
        let activity = Activity::new();
        assert!(!activity.has_rested(), "it is new");
        activity.note();
        assert!(!activity.has_rested());
        assert!(activity.has_rested());
    }

    #[test]
    fn whoever_waits_for_an_answer_does_not_rest() {
        let activity = Activity::new();
        let answering = activity.answering();
        assert!((0..10).all(|_| !activity.has_rested()));
        drop(answering);
        assert!(!activity.has_rested(), "it was sent just now");
        assert!(activity.has_rested());
    }
}
