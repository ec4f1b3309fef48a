//! How many connections, or calls, there may be at a time: in all, and of each user. A program that wants to be in the
//! way meets its own limit, and everybody else is served as before.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use crate::{
    broker::{Broker, repeats::Repeats},
    platform::{clock, peer::Caller},
};

/// The places there are, and who has them.
pub struct Limits {
    what: &'static str,
    total: usize,
    taken: Mutex<Taken>,
}

struct Taken {
    by_user: HashMap<u32, usize>,
    all: usize,
    refused: Repeats<Option<u32>>,
}

/// One place, given back when this is dropped.
pub struct Place {
    limits: Arc<Limits>,
    uid: u32,
}

impl Limits {
    /// Room for `total` of what the log calls `what`.
    pub fn new(what: &'static str, total: usize) -> Arc<Self> {
        let taken = Taken { by_user: HashMap::new(), all: 0, refused: Repeats::new(REFUSALS) };
        Arc::new(Self { what, total, taken: Mutex::new(taken) })
    }

    /// A place for a user who may have `allowed` of them; `None` when there is none, which the log tells.
    pub fn take(self: &Arc<Self>, uid: u32, allowed: usize) -> Option<Place> {
        let mut taken = self.lock();
        let (theirs, all) = (taken.of(uid), taken.all);
        if all >= self.total || theirs >= allowed {
            drop(taken);
            self.refuse(uid, (all < self.total).then_some(allowed));
            return None;
        }
        taken.by_user.insert(uid, theirs + 1);
        taken.all += 1;
        Some(Place { limits: self.clone(), uid })
    }

    /// Tells of a refusal; without `allowed`, there was no place for anybody.
    fn refuse(&self, caller_uid: u32, allowed: Option<usize>) {
        let told = self.lock().refused.note(allowed.map(|_| caller_uid), clock::boot());
        let (what, Some(left_out)) = (self.what, told) else { return };
        match allowed {
            Some(allowed) => tracing::warn!(
                caller_uid,
                left_out,
                "user {caller_uid} has {allowed} {what} and gets no more; others are served as before"
            ),
            None => {
                tracing::warn!(caller_uid, left_out, "there are {} {what}, and there is room for no more", self.total);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Taken {
    fn of(&self, uid: u32) -> usize {
        self.by_user.get(&uid).copied().unwrap_or_default()
    }
}

impl Place {
    /// Gives the place back if the user, now that more is known, may have only `allowed`.
    pub fn keep(self, allowed: usize) -> Option<Self> {
        if self.limits.lock().of(self.uid) <= allowed {
            return Some(self);
        }
        self.limits.refuse(self.uid, Some(allowed));
        None
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.limits.lock();
        taken.all -= 1;
        if let Some(theirs) = taken.by_user.get_mut(&self.uid) {
            *theirs -= 1;
            if *theirs == 0 {
                taken.by_user.remove(&self.uid);
            }
        }
    }
}

/// How many places a caller may have: few for one whom no rule of any account names.
pub fn allowed(broker: &Broker, caller: &Caller) -> usize {
    let configured = broker.connections_per_user();
    if broker.knows(caller) { configured } else { configured.min(UNKNOWN_USER) }
}

const UNKNOWN_USER: usize = 8;
const REFUSALS: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_user_has_a_limit_and_so_have_all_together() {
        let limits = Limits::new("connections", 5);
        let first: Vec<_> = (0..3).map(|_| limits.take(1, 3)).collect();
        assert!(first.iter().all(Option::is_some));
        assert!(limits.take(1, 3).is_none(), "one more than one user may have");
        let second: Vec<_> = (0..2).map(|_| limits.take(2, 3)).collect();
        assert!(second.iter().all(Option::is_some), "another user is not affected");
        assert!(limits.take(3, 3).is_none(), "one more than all may have");
        drop(first);
        assert!(limits.take(3, 3).is_some() && limits.take(1, 1).is_some());
        assert!(limits.take(2, 3).is_some_and(|place| place.keep(2).is_none()), "the third of two");
        assert!(limits.take(3, 3).is_some_and(|place| place.keep(1).is_some()));
        drop(second);
        assert!(limits.lock().by_user.is_empty() && limits.lock().all == 0, "nothing is kept of those who left");
    }
}
