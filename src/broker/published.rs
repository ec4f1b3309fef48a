//! What an account has published last, and how others learn of the next. A `watch` of tokio's has eight lists of those who
//! wait, for thousands of them; here there are thousands of accounts, and hardly ever one who waits.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The end where it is published. Once it is dropped, nothing more will be.
pub(super) struct Publisher<T>(Arc<Shared<T>>);

/// The end where it is read.
pub(super) struct Published<T>(Arc<Shared<T>>);

struct Shared<T> {
    latest: Mutex<Latest<T>>,
    changed: Notify,
}

struct Latest<T> {
    thing: Arc<T>,
    /// Nothing more will be published.
    last: bool,
}

/// Both ends, with what is published first.
pub(super) fn published<T>(first: T) -> (Publisher<T>, Published<T>) {
    let latest = Mutex::new(Latest { thing: Arc::new(first), last: false });
    let shared = Arc::new(Shared { latest, changed: Notify::new() });
    (Publisher(shared.clone()), Published(shared))
}

impl<T> Publisher<T> {
    /// What was published last.
    pub fn latest(&self) -> Arc<T> {
        self.0.latest().thing.clone()
    }

    /// Publishes something else.
    pub fn publish(&self, thing: T) {
        // What was there before is dropped without the lock.
        let _before = std::mem::replace(&mut self.0.latest().thing, Arc::new(thing));
        self.0.changed.notify_waiters();
    }
}

impl<T> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.0.latest().last = true;
        self.0.changed.notify_waiters();
    }
}

impl<T> Published<T> {
    /// What was published last.
    pub fn latest(&self) -> Arc<T> {
        self.0.latest().thing.clone()
    }

    /// Waits until what is published is as wished, or nothing more will be.
    pub async fn wait_until(&self, wished: impl Fn(&T) -> bool) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_over_or(&wished) {
                return;
            }
            changed.await;
        }
    }

    /// Waits until nothing more will be published.
    pub async fn end(&self) {
        self.wait_until(|_| false).await;
    }

    fn is_over_or(&self, wished: impl Fn(&T) -> bool) -> bool {
        let latest = self.0.latest();
        latest.last || wished(&latest.thing)
    }
}

impl<T> Clone for Published<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Shared<T> {
    fn latest(&self) -> MutexGuard<'_, Latest<T>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    #[test]
    fn whoever_waits_for_something_is_woken_by_it_or_by_the_end() {
        let (publisher, published) = published(1);
        let mut context = Context::from_waker(Waker::noop());
        let mut three = pin!(published.wait_until(|number| *number == 3));
        let mut end = pin!(published.end());
        assert_eq!(
            (three.as_mut().poll(&mut context), end.as_mut().poll(&mut context)),
            (Poll::Pending, Poll::Pending)
        );
        publisher.publish(2);
        assert_eq!((three.as_mut().poll(&mut context), *published.latest()), (Poll::Pending, 2));
        publisher.publish(3);
        assert_eq!(
            (three.as_mut().poll(&mut context), end.as_mut().poll(&mut context)),
            (Poll::Ready(()), Poll::Pending)
        );
        drop(publisher);
        assert_eq!(end.as_mut().poll(&mut context), Poll::Ready(()));
        assert_eq!(*published.latest(), 3, "the last word stays");
    }

    #[test]
    fn what_is_so_already_is_not_waited_for() {
        let (_publisher, published) = published(1);
        let mut one = pin!(published.wait_until(|number| *number == 1));
        assert_eq!(one.as_mut().poll(&mut Context::from_waker(Waker::noop())), Poll::Ready(()));
    }
}
