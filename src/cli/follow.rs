//! Following an account: long-polls, one after the other, over restarts of the daemon if need be.

use std::time::Duration;

use tokio::time::sleep;

use super::{Failure, account::Account, client::Client, path_of, screen::Screen};
use crate::{platform::clock, time::Instant};

/// What is known of an account, and a way to learn of changes.
#[derive(Debug)]
pub struct Follower {
    client: Client,
    path: String,
    etag: Option<String>,
}

/// An account as it was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The account.
    pub account: Account,
    /// The same, as the daemon wrote it.
    pub json: String,
    /// Changes when the account does.
    pub etag: Option<String>,
}

impl Follower {
    /// Follows the account of that name.
    pub fn new(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), path: path_of(name, ""), etag: None }
    }

    /// The account: the first time at once, after that as soon as it has changed. `None` when it has not within
    /// `wait`.
    pub async fn next(&mut self, wait: Duration) -> Result<Option<Seen>, Failure> {
        let asked_at = clock::boot();
        let answer = self.client.look(&self.path, self.etag.as_deref(), wait).await?;
        let unchanged = answer.status == hyper::StatusCode::NOT_MODIFIED;
        // A daemon that does not hold the answer back must not be asked in a tight loop.
        if self.etag.is_some() && (unchanged || answer.etag == self.etag) {
            sleep(wait.min(LEAST).saturating_sub(clock::boot().since(asked_at))).await;
        }
        if unchanged {
            return Ok(None);
        }
        self.etag.clone_from(&answer.etag);
        Ok(Some(Seen { account: answer.read()?, json: answer.text(), etag: answer.etag }))
    }
}

/// Asks until the daemon is there: it may be about to start, or in the middle of a restart. The first time that it is
/// not, the person hears about it. Gives up at `until`.
pub async fn patiently<T>(
    screen: &Screen,
    until: Option<Instant>,
    mut ask: impl AsyncFnMut() -> Result<T, Failure>,
) -> Result<T, Failure> {
    let mut pause = FIRST_PAUSE;
    loop {
        match ask().await {
            Err(failure) if failure.is_unreachable() && until.is_none_or(|until| clock::boot() < until) => {
                if pause == SAY_SO {
                    screen.end_progress();
                    screen.complain(&format!("{}; trying again until it is there", failure.text));
                }
            }
            result => return result,
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// How long the daemon is asked to hold back its answer.
pub const LONG_POLL: Duration = Duration::from_secs(30);
const LEAST: Duration = Duration::from_secs(1);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// A restart takes less than what was waited until this pause, and is not worth a word.
const SAY_SO: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_millis(1600);
