//! Two things measured in turn, and the middle of what came out.

/// The median of some measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug)]
pub struct Spread {
    pub median: f64,
    pub least: f64,
    pub most: f64,
}

impl Spread {
    /// Of at least one measurement.
    pub fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self { median: values[values.len() / 2], least: values[0], most: values[values.len() - 1] }
    }

    /// A figure that has no spread, such as a size.
    pub fn exactly(value: f64) -> Self {
        Self { median: value, least: value, most: value }
    }
}

/// How `ours` stands to `bare`, round by round, each after the other. The first round of both is a warm-up.
pub fn ratio(rounds: usize, mut ours: impl FnMut() -> f64, mut bare: impl FnMut() -> f64) -> Spread {
    let mut ratios = Vec::with_capacity(rounds);
    for round in 0..=rounds {
        // Whoever comes second finds warmer caches, so they take turns at that too.
        let (a, b) = if round % 2 == 0 {
            let a = ours();
            (a, bare())
        } else {
            let b = bare();
            (ours(), b)
        };
        if round > 0 {
            ratios.push(a / b);
        }
    }
    Spread::of(ratios)
}

/// The value below which that share of the sorted measurements lies.
pub fn percentile(values: &mut [f64], share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index within the slice")]
    let at = ((values.len() as f64) * share) as usize;
    values[at.min(values.len() - 1)]
}
