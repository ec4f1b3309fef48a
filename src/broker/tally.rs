//! Counts, for whoever watches many boxes: what was handed out, what came of the attempts, how long the server took.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::account::{Fault, Snapshot, State};

/// The counts of one account since the daemon started. A reload keeps them.
#[derive(Default)]
pub struct Tally {
    /// Requests to the authorization server.
    pub requests: Histogram,
    // One thread serves all callers, so nobody ever waits for these locks.
    issued: Mutex<BTreeMap<Option<User>, u64>>,
    attempts: Mutex<BTreeMap<&'static str, u64>>,
}

/// A user by number, and the systemd unit where it is known: rules name it then.
pub type User = (u32, Option<Arc<str>>);

/// How long something took, in buckets.
#[derive(Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len()],
    count: AtomicU64,
    microseconds: AtomicU64,
}

impl Tally {
    /// A token was handed out to a user.
    pub(super) fn issued(&self, uid: u32, unit: Option<&Arc<str>>) {
        let mut issued = self.issued.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever can have many users must not make many series.
        let user = Some((uid, unit.cloned()));
        if let Some(count) = issued.get_mut(&user) {
            *count += 1;
        } else {
            let label = user.filter(|_| issued.len() < CALLERS);
            *issued.entry(label).or_default() += 1;
        }
    }

    /// Attempts to get a token have ended with the account like this.
    pub(super) fn attempted(&self, times: u64, snapshot: &Snapshot) {
        let result = match (snapshot.state, &snapshot.trouble, snapshot.reason) {
            (State::Active, ..) => "success",
            (_, _, Some(reason)) if snapshot.state == State::SignedOut => reason.as_str(),
            (_, Some(trouble), _) => word(trouble.fault),
            (_, None, _) => "success",
        };
        *self.attempts.lock().unwrap_or_else(PoisonError::into_inner).entry(result).or_default() += times;
    }

    /// Tokens handed out by user; `None` are all users beyond the first 64.
    pub fn issued_by_user(&self) -> BTreeMap<Option<User>, u64> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Attempts to get a token by what came of them.
    pub fn attempts_by_result(&self) -> BTreeMap<&'static str, u64> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Histogram {
    /// Counts one.
    pub fn took(&self, time: Duration) {
        let bucket = BOUNDS.iter().position(|bound| time <= Duration::from_millis(*bound));
        if let Some(bucket) = bucket.and_then(|at| self.buckets.get(at)) {
            bucket.fetch_add(1, Relaxed);
        }
        self.count.fetch_add(1, Relaxed);
        self.microseconds.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }

    /// The upper bound of each bucket with how many took no longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut sum = 0;
        self.buckets.iter().zip(BOUNDS).map(move |(bucket, bound)| {
            sum += bucket.load(Relaxed);
            (Duration::from_millis(bound), sum)
        })
    }

    /// How many there were, and how long they took together.
    pub fn total(&self) -> (u64, Duration) {
        (self.count.load(Relaxed), Duration::from_micros(self.microseconds.load(Relaxed)))
    }
}

fn word(fault: Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "unreachable",
        Fault::Clock => "clock",
        Fault::Provider => "provider",
        Fault::Configuration => "configuration",
        Fault::Storage => "storage",
    }
}

/// Milliseconds.
const BOUNDS: [u64; 9] = [1, 5, 20, 100, 500, 1000, 5000, 10_000, 30_000];
const CALLERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_is_counted_in_its_bucket_and_all_above() {
        let histogram = Histogram::default();
        for milliseconds in [1, 2, 400, 60_000] {
            histogram.took(Duration::from_millis(milliseconds));
        }
        let counts: Vec<u64> = histogram.cumulative().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 2, 2, 2, 3, 3, 3, 3, 3]);
        assert_eq!(histogram.total(), (4, Duration::from_millis(60_403)));
    }

    #[test]
    fn many_users_make_no_more_than_so_many_series() {
        let tally = Tally::default();
        (0..200).for_each(|uid| tally.issued(uid, None));
        tally.issued(3, None);
        let issued = tally.issued_by_user();
        assert_eq!((issued.len(), issued[&None], issued[&Some((3, None))]), (65, 136, 2));
    }
}
