//! A simulated authorization server: single-use refresh tokens, and whoever uses one twice loses the grant.

use std::time::Duration;

use super::{What, World, replies};
use crate::oauth::exchange::{Response, Unreachable};

/// What the server is and how it feels.
#[derive(Debug, Clone)]
pub struct Server {
    pub lifetime: Option<u64>,
    /// Each refresh replaces the refresh token.
    pub rotates: bool,
    /// The access token stays the same while it is valid (Kinde).
    pub returns_same: bool,
    /// How long each reply takes.
    pub latency: Duration,
    pub mood: Mood,
    /// The number of the refresh token that is good now.
    pub current: u64,
    /// Somebody used an old refresh token, and the grant is gone.
    pub burnt: bool,
    /// When each refresh was asked for.
    pub refreshes: Vec<Duration>,
    /// The number of the access token that is valid, and its end.
    pub access: (u64, Duration),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Well,
    /// No connection can be made.
    Gone,
    /// An error page comes back.
    Broken,
    /// Refuses the refresh in these words.
    Refuses(&'static str),
}

impl Server {
    pub fn new(lifetime: u64) -> Self {
        Self {
            lifetime: Some(lifetime),
            rotates: true,
            returns_same: false,
            latency: Duration::from_millis(400),
            mood: Mood::Well,
            current: 0,
            burnt: false,
            refreshes: Vec::new(),
            access: (0, Duration::ZERO),
        }
    }

    /// The answer to a refresh with this token, asked for at `now`.
    pub fn refresh(&mut self, token: &str, now: Duration) -> Result<Response, Unreachable> {
        self.refreshes.push(now);
        match self.mood {
            Mood::Well => {}
            Mood::Gone => return replies::unsent(),
            Mood::Broken => return replies::page(503),
            Mood::Refuses(word) => return replies::error(word),
        }
        self.burnt |= token != format!("rt-{}", self.current);
        if self.burnt {
            return replies::error("invalid_grant");
        }
        self.current += u64::from(self.rotates);
        let (number, end) = self.access;
        if !self.returns_same || now >= end {
            self.access = (number + 1, now + Duration::from_secs(self.lifetime.unwrap_or_default()));
        }
        let refresh = self.rotates.then(|| format!("rt-{}", self.current));
        replies::tokens(&format!("at-{}", self.access.0), refresh.as_deref(), self.lifetime)
    }
}

impl World {
    /// Lets that much time pass in which the server answers every refresh.
    pub fn serve(&mut self, server: &mut Server, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            if self.out.is_some() {
                let token = self.expect(What::Refresh).field("refresh_token").to_owned();
                let reply = server.refresh(&token, self.now);
                self.pass(server.latency);
                self.reply(reply);
            } else {
                self.step(end);
            }
        }
    }

    /// An account that is signed in at this server.
    pub fn at_server(server: &mut Server) -> Self {
        let mut world = Self::new(super::LoginMode::OnDemand);
        world.sign_in(replies::tokens("at-0", Some("rt-0"), server.lifetime));
        server.access = (0, world.now + Duration::from_secs(server.lifetime.unwrap_or_default()));
        world
    }
}
