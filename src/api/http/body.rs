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

/// A body. Nearly all are whole, and cost no allocation for being a body.
pub enum Body {
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

impl Default for Body {
    fn default() -> Self {
        Self::Whole(Full::default())
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(body) => Pin::new(body).poll_frame(context),
            Self::Stream { pieces, .. } => Pin::new(pieces).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_end_stream(),
            Self::Stream { pieces, .. } => pieces.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => body.size_hint(),
            Self::Stream { pieces, .. } => pieces.size_hint(),
        }
    }
}
