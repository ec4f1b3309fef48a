//! Ninety days of one box at one server, with everything going wrong all the time.

use std::sync::Arc;

use bearerd::oauth::exchange::{Request, Unreachable};

use crate::{
    device::{Clock, Device, Reply, busy, client},
    provider::{Provider, Server},
};

/// What became of a box in ninety days.
#[derive(Debug, Default, Clone)]
pub struct Days {
    /// Requests that the box sent, and those that a server answered with tokens.
    pub requests: u64,
    pub refreshes: u64,
    /// Replies that were lost after the server had replaced the refresh token.
    pub lost_replies: u64,
    /// The grant is gone.
    pub lost: bool,
    /// The box was without power from a lost reply to the end of the grace, so that nothing could be done.
    pub dark: bool,
    /// Percent of the time in which a local program got a token, of the time in which the box was on.
    pub served: f64,
    pub kills: u64,
    pub reboots: u64,
    pub suspends: u64,
    pub steps: u64,
}

/// Whether the power stays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Power {
    Steady,
    /// It is cut now and then, for up to three hours.
    Cut,
}

struct Story {
    provider: Provider,
    power: Power,
    server: Server,
    device: Device,
    rng: fastrand::Rng,
    now: u64,
    /// The reply that is on its way, and when it comes in.
    reply: Option<(u64, Reply)>,
    next_trouble: u64,
    /// When a suspend comes that the box has delayed, at the latest.
    sleepy: Option<u64>,
    /// The server has replaced the refresh token, and the box does not know.
    in_doubt: bool,
    days: Days,
    on: u64,
    served: u64,
}

/// Lives through ninety days.
pub fn run(provider: Provider, power: Power, seed: u64) -> Days {
    let mut rng = fastrand::Rng::with_seed(seed);
    let server = Server::new(provider, 0);
    let device = Device::signed_in(Arc::new(client(provider.profile())), server.first(), rng.u64(..), 0);
    let next_trouble = rng.u64(TROUBLE);
    let mut story = Story {
        provider,
        power,
        server,
        device,
        rng,
        now: 6000,
        reply: None,
        next_trouble,
        sleepy: None,
        in_doubt: false,
        days: Days::default(),
        on: 0,
        served: 0,
    };
    while story.now < END && !story.server.burnt {
        story.step();
    }
    story.days.lost = story.server.burnt;
    story.days.refreshes = story.server.refreshes;
    story.days.served = story.served as f64 * 100.0 / story.on.max(1) as f64;
    story.days
}

impl Story {
    fn step(&mut self) {
        let due = match &self.reply {
            Some((at, _)) => Some(*at),
            None => self.device.next(self.now),
        };
        let next = due.unwrap_or(END).min(self.next_trouble).min(self.sleepy.unwrap_or(END)).max(self.now);
        self.count(next - self.now);
        self.now = next;
        if self.now >= self.next_trouble {
            self.trouble();
            self.next_trouble = self.now + self.rng.u64(TROUBLE);
        } else if let Some((_, reply)) = self.reply.take() {
            if reply.as_ref().is_ok_and(|response| response.status == 200) {
                (self.in_doubt, self.days.dark) = (false, false);
            }
            self.device.reply(reply, self.now);
        } else {
            self.device.wake(self.now);
        }
        if let Some(request) = self.device.request() {
            self.send(&request);
        }
        let settled = !self.device.is_unsettled(self.now);
        if self.sleepy.take_if(|end| settled || *end <= self.now).is_some() {
            self.suspend();
        }
    }

    fn count(&mut self, time: u64) {
        self.on += time;
        if self.device.serves(self.now) {
            self.served += time;
        }
    }

    /// 10 % of the exchanges break, half of them before the server has acted; 5 % end in 5xx, 2 % in 429.
    fn send(&mut self, request: &Request) {
        self.days.requests += 1;
        let form = request.form.as_ref().expect("a form").encode();
        let token = form.expose().split('&').find_map(|field| field.strip_prefix("refresh_token=")).expect("a refresh");
        let arrives = self.now + self.rng.u64(30..150);
        let back = arrives + self.rng.u64(30..150);
        let reply = match self.rng.u32(..100) {
            0..5 => Err(Unreachable::lost("connection reset")),
            5..10 => {
                self.act(token, arrives);
                Err(Unreachable::lost("connection reset"))
            }
            10..13 => busy([503, 503, 504][self.rng.usize(..3)], None),
            13..15 => {
                // The gateway gave up, its server did not.
                self.act(token, arrives);
                busy([500, 502][self.rng.usize(..2)], None)
            }
            15..17 => busy(429, [None, Some(1)][self.rng.usize(..2)]),
            _ => self.server.refresh(token, arrives),
        };
        if self.server.burnt {
            return;
        }
        self.reply = Some((back, reply));
    }

    /// The server acts, and nobody hears of it.
    fn act(&mut self, token: &str, at: u64) {
        let _ = self.server.refresh(token, at);
        self.days.lost_replies += u64::from(self.provider.rotates);
        self.in_doubt = true;
    }

    fn trouble(&mut self) {
        let clock = match self.rng.u32(..4) {
            0 => Clock::Unset,
            1 => Clock::Set(self.rng.i64(-TEN_YEARS..TEN_YEARS)),
            _ => Clock::Set(self.rng.i64(-5..5)),
        };
        let seed = self.rng.u64(..);
        let (in_doubt, before) = (self.in_doubt || self.reply.is_some(), self.now);
        match self.rng.u32(..10) {
            0..3 => {
                self.days.suspends += 1;
                if self.device.is_unsettled(self.now) {
                    self.sleepy = Some(self.now + LOGIND_WAITS);
                } else {
                    self.suspend();
                }
                return;
            }
            3..6 => {
                self.days.kills += 1;
                (self.reply, self.now) = (None, self.now + 500);
                self.device.restart(false, clock, seed, self.now);
            }
            6..8 if self.power == Power::Cut => {
                self.days.reboots += 1;
                (self.reply, self.now) = (None, self.now + self.rng.u64(30_000..3 * HOUR));
                self.device.restart(true, clock, seed, self.now);
            }
            _ => {
                self.days.steps += 1;
                self.device.set_clock(clock);
            }
        }
        self.days.dark |= self.resume(in_doubt, before);
    }

    fn suspend(&mut self) {
        let (in_doubt, before) = (self.in_doubt || self.reply.is_some(), self.now);
        self.now += self.rng.u64(1000..6 * HOUR);
        self.reply = self.reply.take().map(|_| (self.now, Err(Unreachable::lost("connection reset"))));
        self.resume(in_doubt, before);
    }

    /// The box goes on. Returns whether the server's grace has passed meanwhile.
    fn resume(&mut self, in_doubt: bool, before: u64) -> bool {
        self.in_doubt = in_doubt;
        if self.reply.is_none() {
            self.device.wake(self.now);
        }
        in_doubt && self.now - before > self.provider.grace
    }
}

const HOUR: u64 = 3_600_000;
const END: u64 = 90 * 24 * HOUR;
/// `InhibitDelayMaxSec=` of logind, in milliseconds.
const LOGIND_WAITS: u64 = 5000;
/// Between two troubles, in milliseconds.
const TROUBLE: std::ops::Range<u64> = 1000..12 * HOUR;
const TEN_YEARS: i64 = 10 * 365 * 86_400;
