//! How often each thing is tried: a little by default, all of it with `BEARERD_TORTURE=full` (`make torture`).

use std::env;

/// How often each thing is tried.
pub struct Counts {
    /// Kills at random moments where the server forgives for five seconds.
    pub kills: usize,
    /// And where it forgives nothing: each loss costs a new sign-in, and time.
    pub kills_without_grace: usize,
    /// Boxes that are killed at the same time.
    pub boxes: usize,
    /// Every how many-th system call of a start is a moment to die.
    pub stride: usize,
    /// Whether every failing call is combined with every error.
    pub whole_matrix: bool,
    /// Power cuts.
    pub images: usize,
    /// Disks that they are shared among.
    pub disks: usize,
    /// Refreshes on each of these.
    pub refreshes: usize,
    /// Damaged state directories the program is started on.
    pub damaged: usize,
}

impl Counts {
    /// As the environment says. `BEARERD_KILLS` has another number of kills.
    pub fn get() -> Self {
        let full = env::var_os("BEARERD_TORTURE").is_some_and(|value| value == "full");
        let mut counts = if full { FULL } else { SMALL };
        if let Some(kills) = env::var("BEARERD_KILLS").ok().and_then(|kills| kills.parse().ok()) {
            (counts.kills, counts.kills_without_grace) = (kills, kills / 5);
        }
        counts
    }
}

const SMALL: Counts = Counts {
    kills: 24,
    kills_without_grace: 12,
    boxes: 4,
    stride: 60,
    whole_matrix: false,
    images: 24,
    disks: 4,
    refreshes: 4,
    damaged: 24,
};

const FULL: Counts = Counts {
    kills: 10_000,
    kills_without_grace: 2_000,
    boxes: 8,
    stride: 1,
    whole_matrix: true,
    images: 1_000,
    disks: 8,
    refreshes: 24,
    damaged: 400,
};
