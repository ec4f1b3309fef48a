//! A fleet that loses power and network together: what its server sees when everything comes back.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use bearerd::{
    account::Record,
    oauth::{exchange::Unreachable, profile::Profile},
};

use crate::device::{Clock, Device, Reply, busy, client, tokens};

/// What the boxes and their server are like.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    /// The name of its plot.
    pub file: &'static str,
    /// Seconds that an access token lives.
    pub lifetime: u64,
    /// Seconds that the boxes were without power.
    pub dark: u64,
    /// A program waits for a token on every box, from the start.
    pub waits: bool,
    /// The server cannot be reached for that many seconds more.
    pub away: u64,
    /// There is a gateway then, which says 502: nobody knows whether the server has acted.
    pub gateway: bool,
    /// Of 100 boxes, how many the server can answer in a second; the rest gets 503.
    pub capacity: Option<f64>,
}

/// What happened.
pub struct Outcome {
    pub boxes: usize,
    /// Requests that reached the server, by second since the power came back.
    pub requests: Vec<u32>,
    /// The second in which the last box had a token.
    pub served: Option<usize>,
    /// The most refreshes that succeeded for one box.
    pub most: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Boot,
    Wake,
    Ask,
    Reply,
}

/// What a box does for its token.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bearerd,
    /// Refreshes when it starts, and every ten seconds until that succeeds.
    Naive,
}

struct Fleet {
    scenario: Scenario,
    rng: fastrand::Rng,
    events: BinaryHeap<Reverse<(u64, usize, Event)>>,
    devices: Vec<Option<Device>>,
    replies: Vec<Option<Reply>>,
    disks: Vec<Option<Record>>,
    successes: Vec<u32>,
    unserved: usize,
    outcome: Outcome,
}

impl Outcome {
    /// The busiest second, and its requests in percent of the boxes, from that second on.
    pub fn peak(&self, from: usize) -> (usize, f64) {
        let busiest = self.requests.iter().enumerate().skip(from).max_by_key(|(_, count)| **count);
        busiest.map_or((0, 0.0), |(second, count)| (second, f64::from(*count) * 100.0 / self.boxes as f64))
    }

    /// The last second with a request.
    pub fn last(&self) -> usize {
        self.requests.iter().rposition(|count| *count > 0).unwrap_or_default()
    }

    pub fn total(&self) -> u32 {
        self.requests.iter().sum()
    }
}

/// Lets the power come back to so many boxes.
pub fn run(scenario: Scenario, kind: Kind, boxes: usize, seed: u64) -> Outcome {
    let mut rng = fastrand::Rng::with_seed(seed);
    let client = Arc::new(client(Profile::generic()));
    let dark = scenario.dark * 1000;
    // Some boxes stand for all: each signed in at another moment of a token's life before the lights went out.
    let disks: Vec<_> = (0..64)
        .map(|number| {
            let before = scenario.lifetime * 1000 * number / 64 * 4 / 5 + 10_000;
            let at = (scenario.lifetime * 1000).saturating_sub(before);
            Device::signed_in(client.clone(), tokens("at-0", Some("rt-0"), scenario.lifetime), number, at).disk()
        })
        .collect();
    let back = scenario.lifetime * 1000 + dark;
    let mut fleet = Fleet {
        scenario,
        events: BinaryHeap::new(),
        devices: (0..boxes).map(|_| None).collect(),
        replies: vec![None; boxes],
        disks,
        successes: vec![0; boxes],
        unserved: boxes,
        outcome: Outcome { boxes, requests: vec![0; HORIZON], served: None, most: 0 },
        rng: rng.fork(),
    };
    for number in 0..boxes {
        fleet.events.push(Reverse((rng.u64(BOOT), number, Event::Boot)));
    }
    while let Some(Reverse((at, number, event))) = fleet.events.pop() {
        if at >= HORIZON as u64 * 1000 {
            break;
        }
        match kind {
            Kind::Bearerd => fleet.device(&client, back, at, number, event),
            Kind::Naive => fleet.naive(at, number, event),
        }
    }
    fleet.outcome.most = fleet.successes.iter().copied().max().unwrap_or_default();
    fleet.outcome
}

impl Fleet {
    fn device(
        &mut self,
        client: &Arc<bearerd::oauth::client::Client>,
        back: u64,
        at: u64,
        number: usize,
        event: Event,
    ) {
        let now = back + at;
        if event == Event::Boot {
            let disk = self.disks[number % self.disks.len()].clone();
            let device = Device::start(client.clone(), disk, 2, Clock::Set(0), self.rng.u64(..), now);
            self.devices[number] = Some(device);
        }
        let Some(device) = &mut self.devices[number] else { return };
        let served = device.serves(now);
        match event {
            Event::Boot if served => self.unserved -= 1,
            Event::Boot => {}
            Event::Wake => device.wake(now),
            Event::Ask => {
                let (pause, reply) = self.serve(at, number);
                self.replies[number] = Some(reply);
                return self.events.push(Reverse((at + pause, number, Event::Reply)));
            }
            Event::Reply => {
                if let Some(reply) = self.replies[number].take() {
                    device.reply(reply, now);
                }
            }
        }
        if event != Event::Boot && !served && device.serves(now) {
            self.unserved -= 1;
        }
        if self.scenario.waits && !device.serves(now) {
            device.need(now);
        }
        if device.request().is_some() {
            self.events.push(Reverse((at, number, Event::Ask)));
        } else if let Some(next) = device.next(now) {
            self.events.push(Reverse(((next - back).max(at + 1), number, Event::Wake)));
        }
        self.note(at);
    }

    fn naive(&mut self, at: u64, number: usize, event: Event) {
        match event {
            Event::Boot | Event::Wake => self.events.push(Reverse((at, number, Event::Ask))),
            Event::Ask => {
                let (pause, reply) = self.serve(at, number);
                self.replies[number] = Some(reply);
                self.events.push(Reverse((at + pause, number, Event::Reply)));
            }
            Event::Reply => {
                if matches!(self.replies[number].take(), Some(Ok(response)) if response.status == 200) {
                    self.unserved -= 1;
                    self.note(at);
                } else {
                    self.events.push(Reverse((at + 10_000, number, Event::Wake)));
                }
            }
        }
    }

    /// The server: how long it takes and what it says.
    fn serve(&mut self, at: u64, number: usize) -> (u64, Reply) {
        let second = (at / 1000) as usize;
        if at < self.scenario.away * 1000 && self.scenario.gateway {
            self.outcome.requests[second] += 1;
            return (200, busy(502, None));
        }
        if at < self.scenario.away * 1000 {
            return (self.rng.u64(500..3000), Err(Unreachable::unsent("connection refused")));
        }
        self.outcome.requests[second] += 1;
        let most = self.scenario.capacity.map(|percent| percent * self.outcome.boxes as f64 / 100.0);
        if most.is_some_and(|most| f64::from(self.outcome.requests[second]) > most) {
            return (200, busy(503, None));
        }
        self.successes[number] += 1;
        let refresh = format!("rt-{}", self.successes[number]);
        let access = format!("at-{}", self.successes[number]);
        (200, tokens(&access, Some(&refresh), self.scenario.lifetime))
    }

    fn note(&mut self, at: u64) {
        if self.unserved == 0 && self.outcome.served.is_none() {
            self.outcome.served = Some((at / 1000) as usize);
        }
    }
}

/// The first minute, in seconds.
pub const MINUTE: usize = 60;
/// Milliseconds from the power to the start of the daemon: equal hardware boots in nearly equal time.
const BOOT: std::ops::Range<u64> = 25_000..40_000;
/// Seconds that are watched: less than it takes a token of an hour to come due again.
const HORIZON: usize = 2400;

const CALM: Scenario =
    Scenario { name: "", file: "", lifetime: 3600, dark: 7200, waits: false, away: 0, gateway: false, capacity: None };

pub const SCENARIOS: [Scenario; 8] = [
    Scenario { name: "nobody waits", file: "nobody-waits", ..CALM },
    Scenario {
        name: "nobody waits, a day's tokens, an hour without power",
        file: "day",
        lifetime: 86_400,
        dark: 3600,
        ..CALM
    },
    Scenario { name: "nobody waits, server away for 10 min more", file: "away", away: 600, ..CALM },
    Scenario { name: "nobody waits, server takes 0.5 % in a second", file: "slow", capacity: Some(0.5), ..CALM },
    Scenario { name: "a program waits on every box", file: "waits", waits: true, ..CALM },
    Scenario {
        name: "a program waits, server away for 10 min more",
        file: "waits-away",
        waits: true,
        away: 600,
        ..CALM
    },
    Scenario {
        name: "a program waits, server takes 0.5 % in a second",
        file: "waits-slow",
        waits: true,
        capacity: Some(0.5),
        ..CALM
    },
    Scenario {
        name: "nobody waits, a gateway says 502 for 10 min more",
        file: "gateway",
        away: 600,
        gateway: true,
        ..CALM
    },
];
