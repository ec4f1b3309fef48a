//! The body of an answer: whole, or written piece by piece for as long as the client listens.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body_util::{Channel, Full};
use hyper::body::{Frame, SizeHint};
use tokio_util::task::AbortOnDropHandle;

use super::connection::Answering;

/// A body.
#[derive(Default)]
pub struct Body {
    content: Content,
    /// Until all of it is sent, the connection does not rest.
    answering: Option<Answering>,
}

/// Nearly all are whole, and cost no allocation for being a body.
enum Content {
    /// Everything there is to say.
    Whole(Full<Bytes>),
    /// What a task writes; it ends when the client goes.
    Stream {
        /// What was written and not sent yet.
        pieces: Channel<Bytes>,
        /// Ends the task together with the connection.
        _task: AbortOnDropHandle<()>,
    },
}

impl Body {
    /// One that is there.
    pub fn whole(content: Bytes) -> Self {
        Self { content: Content::Whole(Full::new(content)), answering: None }
    }

    /// One that `task` writes into the other end of the channel.
    pub fn stream(pieces: Channel<Bytes>, task: AbortOnDropHandle<()>) -> Self {
        Self { content: Content::Stream { pieces, _task: task }, answering: None }
    }

    /// Lets go of that only when the body is sent, or given up.
    pub fn hold(&mut self, answering: Answering) {
        self.answering = Some(answering);
    }
}

impl Default for Content {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match &mut self.get_mut().content {
            Content::Whole(body) => Pin::new(body).poll_frame(context),
            Content::Stream { pieces, .. } => Pin::new(pieces).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(body) => body.is_end_stream(),
            Content::Stream { pieces, .. } => pieces.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(body) => body.size_hint(),
            Content::Stream { pieces, .. } => pieces.size_hint(),
        }
    }
}
