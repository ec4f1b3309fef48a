//! Refreshes for other targets than the account's own: the same steps, and no harm to the grant.

use std::sync::Arc;

use super::{Means, Session, Step};
use crate::{
    account::{
        ledger::Ledger,
        snapshot::{Obstacle, Token},
    },
    oauth::{
        error::{ErrorCode, Failure},
        target::Target,
    },
    secret::Secret,
};

/// What a refresh for another target brought.
pub struct Brought {
    pub target: Target,
    pub token: Result<Arc<Token>, (Obstacle, String)>,
}

impl Session {
    /// Begins a refresh for another target, if nothing else is going on.
    pub fn begin_for(&mut self, target: Target, ledger: &mut Ledger) {
        if self.refreshable() && self.is_well() {
            self.step = Step::Recording(ledger.want(), Some(Box::new(target)));
        }
    }

    /// After a failed refresh for another target: where the refresh token may have been replaced, or may have ended, an own
    /// refresh finds out.
    pub(super) fn leave_no_doubt(&mut self, failure: &Failure, sent: Secret, means: &mut Means<'_>) {
        if failure.is_ambiguous() {
            self.attempts += 1;
            return self.fail(failure, sent, means);
        }
        let ended = |error: &ErrorCode| matches!(error, ErrorCode::InvalidGrant | ErrorCode::ExpiredToken);
        if matches!(failure, Failure::Refused(refusal) if ended(&refusal.error)) {
            self.due = Some(means.now.max(self.pace.not_before()));
        }
        means.ledger.want();
    }
}
