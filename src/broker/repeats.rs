//! What happens again and again is told once, and then how often it happened.

use std::{collections::BTreeMap, time::Duration};

use crate::time::Instant;

/// Lets one of equal events through in each stretch of time, and counts the others.
pub struct Repeats<K> {
    pause: Duration,
    known: BTreeMap<K, Stretch>,
}

struct Stretch {
    until: Instant,
    left_out: u64,
}

impl<K: Ord> Repeats<K> {
    /// Tells of equal events once in each `pause`.
    pub fn new(pause: Duration) -> Self {
        Self { pause, known: BTreeMap::new() }
    }

    /// Whether this event is to be told of; if so, how many of its kind were not since the last one that was.
    pub fn note(&mut self, event: K, now: Instant) -> Option<u64> {
        if let Some(stretch) = self.known.get_mut(&event) {
            if now < stretch.until {
                stretch.left_out += 1;
                return None;
            }
            let left_out = std::mem::take(&mut stretch.left_out);
            stretch.until = now + self.pause;
            return Some(left_out);
        }
        if self.known.len() >= KINDS {
            // Whoever makes up new kinds of events makes more lines, and not more memory.
            self.known.retain(|_, stretch| now < stretch.until);
            if self.known.len() >= KINDS {
                self.known.clear();
            }
        }
        self.known.insert(event, Stretch { until: now + self.pause, left_out: 0 });
        Some(0)
    }
}

/// How many kinds of events are told apart.
const KINDS: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(10);

    fn at(seconds: u64) -> Instant {
        Instant::from_boot(Duration::from_secs(seconds))
    }

    #[test]
    fn one_of_each_kind_in_each_stretch_is_told_with_the_number_of_the_others() {
        let mut repeats = Repeats::new(PAUSE);
        assert_eq!(repeats.note("a", at(0)), Some(0));
        assert_eq!((repeats.note("a", at(1)), repeats.note("a", at(9))), (None, None));
        assert_eq!(repeats.note("b", at(9)), Some(0), "another kind");
        assert_eq!(repeats.note("a", at(10)), Some(2));
        assert_eq!(repeats.note("a", at(25)), Some(0));
    }

    #[test]
    fn any_number_of_kinds_takes_no_more_memory() {
        let mut repeats = Repeats::new(PAUSE);
        for kind in 0..10 * KINDS {
            assert_eq!(repeats.note(kind, at(0)), Some(0));
            assert!(repeats.known.len() <= KINDS);
        }
    }
}
