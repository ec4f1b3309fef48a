//! The driver's side of the contract, and what must hold after every event of every story.

use std::time::Duration;

use super::{Disk, LoginMode, Reason, Record, Sent, State, What, World, access_token};
use crate::{
    oauth::exchange::{Response, Unreachable},
    time::Instant,
};

impl World {
    /// The request that is in flight, which must be of this kind.
    pub(super) fn expect(&self, what: What) -> &Sent {
        assert!(self.out.is_some(), "nothing is in flight, but {what:?} is expected");
        let sent = self.sent.last().expect("what is in flight was sent");
        assert_eq!(sent.what, what);
        sent
    }

    pub(super) fn count(&self, what: What) -> usize {
        self.sent.iter().filter(|sent| sent.what == what).count()
    }

    /// The server answers what is in flight.
    pub(super) fn reply(&mut self, reply: Result<Response, Unreachable>) {
        let id = self.out.take().expect("a request is in flight");
        self.replied = self.now;
        self.account.handle_reply(id, reply, self.boot_now());
        self.settle();
    }

    /// Runs until the next request goes out, and returns the milliseconds since the last reply.
    pub(super) fn pause(&mut self) -> u64 {
        assert!(self.out.is_none(), "the last request is still waiting for its reply");
        while self.out.is_none() {
            self.step(Duration::MAX);
        }
        u64::try_from((self.now - self.replied).as_millis()).expect("a pause")
    }

    /// The pauses before the polls that follow each of these replies.
    pub(super) fn pauses_after(
        &mut self,
        replies: impl IntoIterator<Item = Result<Response, Unreachable>>,
    ) -> Vec<u64> {
        replies
            .into_iter()
            .map(|reply| {
                self.reply(reply);
                let pause = self.pause();
                self.expect(What::Poll);
                pause
            })
            .collect()
    }

    /// Lets that much time pass, with everything that comes due in it.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.step(end);
        }
    }

    /// Nobody runs for that long (suspend, or a stalled box), then what has come due is done at once.
    pub(super) fn suspend(&mut self, time: Duration) {
        self.now += time;
        self.account.handle_deadline(self.boot_now());
        self.settle();
    }

    /// Goes to the next deadline, or to `end` if there is none before.
    pub(super) fn step(&mut self, end: Duration) {
        let deadline = self.account.poll_deadline(self.boot_now()).map(Instant::since_boot);
        match deadline.filter(|deadline| *deadline <= end) {
            Some(deadline) => {
                self.now = self.now.max(deadline);
                self.account.handle_deadline(self.boot_now());
            }
            None => {
                assert!(end < Duration::MAX, "nothing will ever happen again");
                self.now = end;
            }
        }
        self.settle();
    }

    /// The driver's round after every event: everything that can be polled is.
    pub(super) fn settle(&mut self) {
        for _ in 0..20 {
            let mut idle = true;
            if let Some((version, record)) = self.account.poll_save(self.clock()) {
                assert!(self.writing.is_none(), "two writes at once");
                self.writing = Some((version, record));
                match self.disk {
                    Disk::Works => self.written(true),
                    Disk::Fails => self.written(false),
                    Disk::Slow => {}
                }
                idle = false;
            }
            if self.account.poll_load() {
                self.account.handle_loaded(self.durable.clone(), self.clock());
                idle = false;
            }
            if let Some((id, request)) = self.account.poll_request() {
                assert!(self.out.is_none(), "two requests in flight");
                self.out = Some(id);
                self.sent.push(Sent::read(&request, self.now));
                idle = false;
            }
            if idle {
                return self.check();
            }
        }
        panic!("there is always something left to do: a hot loop");
    }

    /// Ends the write in progress.
    pub(super) fn written(&mut self, well: bool) {
        let (version, record) = self.writing.take().expect("a write is in progress");
        self.writes += 1;
        self.damaged = !well;
        let result = if well {
            self.durable = Some(record);
            Ok(())
        } else {
            Err("no space left on device".to_owned())
        };
        self.account.handle_saved(version, result, self.boot_now());
    }

    /// What holds after every event of every story.
    fn check(&mut self) {
        let now = self.boot_now();
        let (snapshot, deadline) = (self.account.snapshot(now), self.account.poll_deadline(now));
        assert!(deadline.is_none_or(|at| at > now), "a deadline stays in the past");
        let ended = snapshot.valid_token(now).is_none_or(|token| token.expires.is_some());
        let idle = snapshot.prompt.is_none() && !snapshot.login_starting;
        let rests = match snapshot.state {
            State::SignedOut | State::Misconfigured => ended && idle && self.begins_nothing(snapshot.reason),
            _ => !ended && !snapshot.refreshable,
        };
        let waits = self.out.is_some() || self.writing.is_some() || self.account.stopping.is_some();
        assert!(deadline.is_some() || waits || rests, "stuck in {:?}", snapshot.state);
        if let Some(token) = &snapshot.token {
            let token = token.secret.expose().to_owned();
            let safe = |disk: Option<&Record>| disk.and_then(access_token).as_deref() == Some(&token);
            if !self.kept.contains(&token) {
                assert!(self.damaged || safe(self.durable.as_ref()), "a token is on show before it is safe");
                self.kept.insert(token);
            }
        }
        assert!(snapshot.state != State::SignedOut || snapshot.reason.is_some(), "signed out without a reason");
    }

    fn begins_nothing(&self, reason: Option<Reason>) -> bool {
        let said_no = matches!(reason, Some(Reason::LoggedOut | Reason::Denied));
        self.schedule.login != LoginMode::Auto || said_no
    }
}
