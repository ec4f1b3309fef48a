//! How many accounts have a refresh under way, or lost its reply a moment ago: a bad time for a suspend.

use tokio::sync::watch;

/// The number of those accounts.
#[derive(Clone, Default)]
pub struct Unsettled(watch::Sender<usize>);

/// Counts an account until it is dropped.
pub(super) struct Hold(watch::Sender<usize>);

impl Unsettled {
    /// Counts one more.
    pub(super) fn hold(&self) -> Hold {
        self.0.send_modify(|count| *count += 1);
        Hold(self.0.clone())
    }

    /// Waits until there is such an account.
    pub async fn begins(&self) {
        self.until(|count| count > 0).await;
    }

    /// Waits until there is none.
    pub async fn ends(&self) {
        self.until(|count| count == 0).await;
    }

    async fn until(&self, holds: impl Fn(usize) -> bool) {
        // We hold a sender, so it never closes.
        let _ = self.0.subscribe().wait_for(|count| holds(*count)).await;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
