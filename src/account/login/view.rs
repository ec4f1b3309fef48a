//! What a login shows of itself.

use std::sync::Arc;

use super::{Login, Step};
use crate::{
    account::snapshot::{Prompt, Trouble},
    oauth::{
        client::{Client, Server},
        dpop::ProofKey,
    },
    secret::Secret,
    time::Instant,
};

impl Login {
    /// Whether whoever signs in takes over.
    pub fn may_replace(&self) -> bool {
        self.replace
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.step, Step::Idle)
    }

    /// Whether it has begun and its code is not out yet.
    pub fn is_starting(&self) -> bool {
        matches!(self.step, Step::Discovering(_) | Step::Requesting(_))
    }

    pub fn prompt(&self) -> Option<&Arc<Prompt>> {
        match &self.step {
            Step::Waiting(waiting) => Some(waiting.prompt()),
            _ => None,
        }
    }

    pub fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_deref()
    }

    /// The server that this login may still bring a token from.
    pub fn server(&self) -> Option<&Server> {
        match &self.step {
            Step::Waiting(waiting) => Some(waiting.server()),
            _ => None,
        }
    }

    /// Before this no login begins by itself.
    pub fn gate(&self) -> Instant {
        self.gate
    }

    /// What the request in flight carries, to be kept out of every text.
    pub fn sent_secrets<'a>(&'a self, client: &'a Client) -> Vec<&'a Secret> {
        let code = if let Step::Waiting(waiting) = &self.step { Some(waiting.device_code()) } else { None };
        code.into_iter().chain(client.auth.sent_secret()).collect()
    }

    /// What its requests have to prove possession of.
    pub fn key(&self) -> Option<&ProofKey> {
        self.key.as_ref()
    }
}
