//! Pauses between attempts at something that may work later.

use std::time::Duration;

/// Doubling pauses with full jitter: the pause before attempt `n` is drawn evenly from one second to
/// `base · 2ⁿ`, never above `cap`, so that many boxes that failed together do not come back together.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after one more failure.
    pub fn pause(&mut self, base: Duration, cap: Duration, rng: &mut fastrand::Rng) -> Duration {
        let longest = base.saturating_mul(1 << self.failures.min(20)).min(cap).max(SHORTEST);
        self.failures = self.failures.saturating_add(1);
        between(SHORTEST, longest, rng)
    }

    /// Starts over, after a success.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

/// A pause drawn evenly between the two, to the millisecond.
pub fn between(shortest: Duration, longest: Duration, rng: &mut fastrand::Rng) -> Duration {
    let millis = |pause: Duration| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
    let (low, high) = (millis(shortest), millis(longest));
    Duration::from_millis(rng.u64(low..=high.max(low)))
}

const SHORTEST: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_cap_and_never_beyond() {
        let mut rng = fastrand::Rng::with_seed(7);
        let (base, cap) = (Duration::from_secs(2), Duration::from_secs(300));
        let mut longest_seen = Duration::ZERO;
        for _ in 0..200 {
            let mut backoff = Backoff::default();
            for attempt in 0..40 {
                let pause = backoff.pause(base, cap, &mut rng);
                assert!(pause >= SHORTEST && pause <= base.saturating_mul(1 << attempt.min(20)).min(cap));
                longest_seen = longest_seen.max(pause);
            }
        }
        assert!(longest_seen > cap.mul_f64(0.9), "the whole range is used");
    }
}
