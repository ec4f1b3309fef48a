//! Work that an account has under way. A set of tokio's would take room while there is none, which is nearly always.

use std::{future::poll_fn, pin::Pin, task::Poll};

use tokio::task::{JoinError, JoinHandle};
use tokio_util::task::AbortOnDropHandle;

/// A few pieces of work, each in a task of its own, which ends when this is dropped.
pub(super) struct Work<T>(Vec<AbortOnDropHandle<T>>);

impl<T> Work<T> {
    /// None yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Takes over a piece that has begun.
    pub fn add(&mut self, piece: JoinHandle<T>) {
        self.0.push(AbortOnDropHandle::new(piece));
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the next piece that is done has brought; while there is none, never. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<T, JoinError> {
        poll_fn(|context| {
            let done = self.0.iter_mut().enumerate().find_map(|(at, piece)| match Pin::new(piece).poll(context) {
                Poll::Ready(done) => Some((at, done)),
                Poll::Pending => None,
            });
            let Some((at, done)) = done else { return Poll::Pending };
            drop(self.0.swap_remove(at));
            self.0.shrink_to_fit();
            Poll::Ready(done)
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_is_done_first_comes_first() {
        let mut work = Work::new();
        let (finish, wait) = oneshot::channel();
        work.add(tokio::spawn(async move { wait.await.unwrap_or_default() }));
        work.add(tokio::spawn(async { 2 }));
        assert_eq!(work.next().await.ok(), Some(2));
        finish.send(1).expect("somebody waits");
        assert_eq!(work.next().await.ok(), Some(1));
        assert!(work.is_empty() && work.0.capacity() == 0, "nothing takes no room");
    }

    #[tokio::test]
    async fn what_is_not_done_ends_with_it() {
        let mut work = Work::new();
        let (held, gone) = oneshot::channel::<()>();
        work.add(tokio::spawn(async move {
            let _held = held;
            std::future::pending::<()>().await;
        }));
        drop(work);
        assert!(gone.await.is_err());
    }
}
