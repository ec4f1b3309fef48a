//! What callers want of one account, in order. A queue of tokio's would set room aside for each account, and here there
//! are ten thousand queues of which nearly all are empty nearly always.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

/// The end where things are put in.
pub(super) struct Inbox<T>(Arc<Shared<T>>);

/// The end where they are taken out. Once it is dropped, what is in there is dropped too, and so is what is still put in.
pub(super) struct Outlet<T>(Arc<Shared<T>>);

struct Shared<T> {
    /// `None` once nobody takes anything out any more.
    queue: Mutex<Option<VecDeque<T>>>,
    filled: Notify,
}

/// A queue. Its length is not limited: each caller puts in one thing and waits, and callers are limited.
pub(super) fn inbox<T>() -> (Inbox<T>, Outlet<T>) {
    let shared = Arc::new(Shared { queue: Mutex::new(Some(VecDeque::new())), filled: Notify::new() });
    (Inbox(shared.clone()), Outlet(shared))
}

impl<T> Inbox<T> {
    /// Puts something in.
    pub fn put(&self, thing: T) {
        if let Some(queue) = self.0.queue().as_mut() {
            queue.push_back(thing);
            self.0.filled.notify_one();
        }
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Outlet<T> {
    /// Takes out what was put in first, as soon as there is something. May be dropped while it waits.
    pub async fn next(&self) -> T {
        loop {
            if let Some(thing) = self.take() {
                return thing;
            }
            self.0.filled.notified().await;
        }
    }

    fn take(&self) -> Option<T> {
        let mut queue = self.0.queue();
        let thing = queue.as_mut()?.pop_front();
        if let Some(empty) = queue.as_mut().filter(|queue| queue.is_empty()) {
            empty.shrink_to_fit();
        }
        thing
    }
}

impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        let left = self.0.queue().take();
        // Not while the queue is locked: whoever waited for an answer learns from this that there is none.
        drop(left);
    }
}

impl<T> Shared<T> {
    fn queue(&self) -> MutexGuard<'_, Option<VecDeque<T>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use tokio::sync::oneshot;

    use super::*;

    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn what_is_put_in_first_comes_out_first() {
        let (inbox, outlet) = inbox();
        assert_eq!(poll(outlet.next()), Poll::Pending);
        inbox.put(1);
        inbox.clone().put(2);
        assert_eq!((poll(outlet.next()), poll(outlet.next())), (Poll::Ready(1), Poll::Ready(2)));
        assert_eq!(poll(outlet.next()), Poll::Pending);
        assert_eq!(outlet.0.queue().as_ref().map(VecDeque::capacity), Some(0), "nothing takes no room");
    }

    #[test]
    fn who_waits_is_woken_and_whoever_gives_up_loses_nothing() {
        let (inbox, outlet) = inbox();
        {
            let mut given_up = pin!(outlet.next());
            assert_eq!(given_up.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Pending);
            inbox.put(7);
        }
        assert_eq!(poll(outlet.next()), Poll::Ready(7));
    }

    #[test]
    fn who_asks_nobody_is_told_so() {
        let (inbox, outlet) = inbox();
        let (early, mut first) = oneshot::channel::<()>();
        inbox.put(early);
        drop(outlet);
        assert!(first.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
        let (late, mut second) = oneshot::channel::<()>();
        inbox.put(late);
        assert!(second.try_recv().is_err_and(|error| error == oneshot::error::TryRecvError::Closed));
    }
}
