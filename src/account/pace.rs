//! When the next refresh is due, and how close two of them may be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    backoff::between,
    grant::{Asked, Grant},
};
use crate::{
    oauth::{id_token, token::TokenResponse},
    time::Instant,
};

/// The floor under the pauses between refreshes, whoever asks for one: a hot loop must not be possible.
pub(super) struct Pace {
    not_before: Instant,
    /// Before this none goes out for a caller after a failure.
    not_before_for_callers: Instant,
    /// Somebody has asked for a new token since the last one came.
    wanted: bool,
    /// When the last token was published, and how many followed hard on another.
    published: Option<Instant>,
    haste: u32,
}

impl Pace {
    pub fn new(now: Instant) -> Self {
        Self { not_before: now, not_before_for_callers: now, wanted: false, published: None, haste: 0 }
    }

    /// Before this no refresh goes out.
    pub fn not_before(&self) -> Instant {
        self.not_before
    }

    /// Somebody asks for a new token, a caller or a person by hand. Returns before when none goes out.
    pub fn want(&mut self, by_hand: bool) -> Instant {
        self.wanted = true;
        if by_hand { self.not_before } else { self.not_before.max(self.not_before_for_callers) }
    }

    /// Whether somebody has asked for a new token since the last one came.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// A refresh has failed and is to be tried again after `pause`, by hand a little earlier unless the server itself
    /// asked for the pause.
    pub fn failed(&mut self, pause: Duration, asked_for: bool, now: Instant) {
        self.not_before = now + if asked_for { pause } else { pause.min(FLOOR) };
        self.not_before_for_callers = now + pause;
    }

    /// A token was published. The pause is a second, twice that for each one that followed hard on another, so that a
    /// server whose tokens are refused or over at once is not asked in a hot loop. A token of seconds is renewed in time
    /// all the same.
    pub fn published(&mut self, lifetime: Option<Duration>, now: Instant) {
        let hasty = self.published.is_some_and(|before| now.since(before) < FLOOR * 2);
        self.haste = if hasty { (self.haste + 1).min(5) } else { 0 };
        self.published = Some(now);
        self.wanted = false;
        let grown = SHORTEST_FLOOR.saturating_mul(1 << self.haste).min(FLOOR);
        let floor = match lifetime {
            Some(lifetime) if lifetime > SHORTEST_FLOOR => grown.min((lifetime / 2).max(SHORTEST_FLOOR)),
            _ => grown,
        };
        self.not_before = now + floor;
        self.not_before_for_callers = self.not_before;
    }
}

/// What is known of a server that returns the same access token while it is valid.
#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct SameToken {
    /// A refresh before the end brought what was there already.
    only_at_end: bool,
    /// Times in a row that a token came back after its end.
    #[serde(skip)]
    outlived: u32,
    /// Such a token does live longer then.
    extends: bool,
}

impl SameToken {
    /// Whether asking before the token ends brings a new one.
    pub fn renews_early(self) -> bool {
        !self.only_at_end || self.extends
    }

    /// Whether the same token lives longer after a refresh.
    pub fn extends(self) -> bool {
        self.extends
    }

    /// What is known after a successful refresh of `grant`.
    #[must_use]
    pub fn learn(mut self, grant: &Grant, got: &TokenResponse, asked: Asked) -> Self {
        let same = grant.access_token.same_as(&got.access_token);
        let over = grant.expires.is_some_and(|end| end <= asked.at);
        // What comes after the end, or after what a clock that lost count takes for it, says nothing of what would have
        // come before.
        if !over {
            self.only_at_end = same;
        }
        let ended = over && grant.age_is_known;
        let offered = got.expires_in.is_some_and(|lifetime| !lifetime.is_zero());
        self.outlived = if same && ended && offered { self.outlived + 1 } else { 0 };
        // Right after the end it is the server's clock that is behind; a server that insists means it.
        let insists = self.outlived > INSISTENCE && id_token::fixed_end(&got.access_token).is_none();
        self.extends = same && (self.extends || insists);
        self
    }
}

/// When a grant is to be refreshed: a margin before the end, and up to another margin earlier by chance, so that boxes
/// that were switched on together drift apart; at the very end where asking earlier brings the same token; and before
/// the refresh token has lain idle for too long.
pub(super) fn due(grant: &Grant, margin: Option<Duration>, now: Instant, rng: &mut fastrand::Rng) -> Option<Instant> {
    grant.refresh_token.as_ref()?;
    let by_lifetime = match (grant.expires, grant.lifetime) {
        (Some(end), _) if !grant.same_token.renews_early() => end,
        (Some(end), Some(lifetime)) => before_end(end, lifetime, margin, rng),
        _ => now + between(UNKNOWN_LIFETIME * 5 / 6, UNKNOWN_LIFETIME, rng),
    };
    Some(grant.keep_alive.map_or(by_lifetime, |idle| by_lifetime.min(idle)))
}

/// A margin before the end of a token, and up to another margin earlier by chance.
pub(super) fn before_end(
    end: Instant,
    lifetime: Duration,
    margin: Option<Duration>,
    rng: &mut fastrand::Rng,
) -> Instant {
    let usual = (lifetime / 10).clamp(SHORTEST_MARGIN, LONGEST_MARGIN);
    let margin = margin.unwrap_or(usual).min(lifetime / 5);
    let before_end = between(margin, margin * 2, rng);
    Instant::from_boot(end.since_boot().saturating_sub(before_end))
}

/// How long after a start an overdue refresh may begin while nobody waits for it. Boxes that lost power together start
/// together, and must not all ask in one second.
pub(super) fn spread(lifetime: Option<Duration>, rng: &mut fastrand::Rng) -> Duration {
    between(Duration::ZERO, (lifetime.unwrap_or(UNKNOWN_LIFETIME) / 5).min(LONGEST_SPREAD), rng)
}

/// How long a token of unknown lifetime is trusted before it is renewed.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(3600);
const LONGEST_SPREAD: Duration = Duration::from_secs(720);
const SHORTEST_MARGIN: Duration = Duration::from_secs(60);
const LONGEST_MARGIN: Duration = Duration::from_secs(600);
/// Two refreshes of one grant are never closer than this, or than half a lifetime where that is shorter.
const FLOOR: Duration = Duration::from_secs(30);
const SHORTEST_FLOOR: Duration = Duration::from_secs(1);
const INSISTENCE: u32 = 3;
