//! One task per account: it owns the machine, its one timer, its request in flight and the callers that wait.

use std::{io, sync::Arc, time::Duration};

use tokio::{
    sync::{oneshot, watch},
    task::JoinError,
};

use super::{
    Error, General, Reply, Tally,
    inbox::{Inbox, Outlet, inbox},
    news::News,
    published::{Published, Publisher, published},
    unsettled::{Hold, Unsettled},
    waiting::{Awaited, Moment, Waiting},
    work::Work,
};
use crate::{
    account::{Account, AccountName, Need, Prompt, Record, RequestId, Seed, Snapshot, State, Token},
    oauth::{
        exchange::{Response, Unreachable},
        target::Target,
    },
    platform::{clock, proof, provider::Provider, store::Store, tick::Ticks},
    time::Now,
};

/// What an account has published.
#[derive(Clone)]
pub struct View {
    /// The account as it is.
    pub snapshot: Snapshot,
    /// The number of this change among those of all accounts, from one that no earlier run of the daemon reached.
    pub revision: u64,
}

/// What the doors can ask of an account's task.
pub(super) enum Command {
    Token(Box<Want>, Reply<Result<Arc<Token>, Error>>),
    Login { replace: bool, reply: Reply<Result<Arc<Prompt>, Error>> },
    CancelLogin(Reply<bool>),
    Logout(Reply<Result<(), Error>>),
    Refresh(Reply<Result<(), Error>>),
    Save(Reply<Result<(), Error>>),
    Alive(Reply<()>),
    Stop,
}

/// A token that a caller wants.
pub(super) struct Want {
    pub need: Need,
    pub target: Option<Target>,
    pub wait: Option<Duration>,
}

/// The way to an account's task.
#[derive(Clone)]
pub(super) struct Handle {
    commands: Inbox<Command>,
    view: Published<View>,
}

impl Handle {
    /// Asks the task; `None` when it is not there any more.
    pub async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.put(command(reply));
        answer.await.ok()
    }

    /// What the account published last.
    pub fn view(&self) -> Arc<View> {
        self.view.latest()
    }

    /// Waits until the account publishes something as wished, or has gone.
    pub async fn wait_until(&self, wished: impl Fn(&View) -> bool) {
        self.view.wait_until(wished).await;
    }

    /// Tells the task to end; [`Handle::stop`] waits for it.
    pub fn begin_to_stop(&self) {
        self.commands.put(Command::Stop);
    }

    /// Lets a refresh in flight finish and be saved, and ends the task.
    pub async fn stop(&self) {
        self.begin_to_stop();
        self.view.end().await;
    }
}

/// The task itself.
pub(super) struct Driver {
    name: AccountName,
    machine: Account,
    world: World,
    commands: Outlet<Command>,
    stopping: bool,
    /// At most one request and what the disk is asked for.
    work: Work<Done>,
    view: Publisher<View>,
    waiting: Vec<Waiting>,
    news: News,
    /// Held while the account is unsettled.
    hold: Option<Hold>,
    /// How many attempts the tally knows of.
    counted: u64,
}

/// What all accounts share.
pub(super) struct World {
    pub provider: Provider,
    pub store: Store,
    pub changed: watch::Sender<u64>,
    /// The account whose task has ended by a panic.
    pub failed: watch::Sender<Option<AccountName>>,
    pub general: watch::Receiver<Option<General>>,
    pub tally: Arc<Tally>,
    pub ticks: Ticks,
    pub unsettled: Unsettled,
}

/// What a piece of work brought.
enum Done {
    Reply(RequestId, Result<Response, Unreachable>),
    Saved(u64, io::Result<()>),
    Loaded(Box<Option<Record>>),
}

impl Driver {
    /// Starts the task.
    pub fn start(name: AccountName, machine: Account, world: World) -> Handle {
        let (commands, receiver) = inbox();
        let now = clock::now();
        let revision = *world.changed.borrow() + 1;
        let first = View { snapshot: machine.snapshot(now.boot), revision };
        let (publisher, view) = published(first);
        world.changed.send_replace(revision);
        let driver = Self {
            name,
            machine,
            world,
            commands: receiver,
            stopping: false,
            work: Work::new(),
            view: publisher,
            waiting: Vec::new(),
            news: News::default(),
            hold: None,
            counted: 0,
        };
        tokio::spawn(Box::new(driver).run());
        Handle { commands, view }
    }

    async fn run(mut self: Box<Self>) {
        let _announcement = AnnounceFailure(self.name.clone(), self.world.failed.clone());
        self.tell_first();
        loop {
            self.start_work();
            self.hold();
            self.publish();
            self.settle_waiting();
            if self.stopping && !self.machine.is_busy(clock::boot()) && self.work.is_empty() {
                return;
            }
            let due = self.until_due();
            tokio::select! {
                done = self.work.next() => self.finish(done),
                command = self.commands.next() => self.obey(command),
                () = self.world.ticks.wait(due) => self.machine.handle_deadline(clock::boot()),
            }
        }
    }

    fn start_work(&mut self) {
        if let Some((id, request)) = self.machine.poll_request() {
            let provider = self.world.provider.clone();
            let tally = self.world.tally.clone();
            let work = tokio::spawn(async move {
                let asked_at = clock::boot();
                let reply = provider.send(request).await;
                tally.requests.took(clock::boot().since(asked_at));
                Done::Reply(id, reply)
            });
            self.work.add(work);
        }
        if let Some((version, record)) = self.machine.poll_save(clock::now()) {
            let (store, name) = (self.world.store.clone(), self.name.clone());
            self.work_on_disk(move || Done::Saved(version, store.save(&name, &record)));
        }
        if self.machine.poll_load() {
            let (store, name) = (self.world.store.clone(), self.name.clone());
            self.work_on_disk(move || Done::Loaded(Box::new(store.load(&name).record)));
        }
    }

    fn work_on_disk(&mut self, work: impl FnOnce() -> Done + Send + 'static) {
        self.work.add(tokio::task::spawn_blocking(work));
    }

    fn hold(&mut self) {
        let unsettled = self.machine.is_unsettled(clock::boot());
        if unsettled != self.hold.is_some() {
            self.hold = unsettled.then(|| self.world.unsettled.hold());
        }
    }

    fn finish(&mut self, done: Result<Done, JoinError>) {
        match done {
            Ok(Done::Reply(id, reply)) => self.machine.handle_reply(id, reply, clock::boot()),
            Ok(Done::Saved(version, result)) => {
                let result = result.map_err(|error| error.to_string());
                self.machine.handle_saved(version, result, clock::boot());
            }
            Ok(Done::Loaded(record)) => self.machine.handle_loaded(*record, clock::now()),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => {}
        }
    }

    fn obey(&mut self, command: Command) {
        let now = clock::now();
        let (patience, what) = match command {
            Command::Token(want, reply) => {
                let Want { mut need, target, wait } = *want;
                match &target {
                    Some(target) => {
                        need.attempts = self.machine.attempts_for(target);
                        self.machine.handle_need_for(target, &need, now);
                    }
                    None => self.machine.handle_need(&need, now),
                }
                (wait.unwrap_or(PATIENCE), Awaited::Token { need, target, for_a_person: wait.is_some(), reply })
            }
            Command::Login { replace, reply } => {
                self.machine.handle_login(replace, now.boot);
                (LOGIN_PATIENCE, Awaited::Prompt(reply))
            }
            Command::CancelLogin(reply) => {
                let _ = reply.send(self.machine.handle_cancel_login(now.boot));
                return;
            }
            Command::Logout(reply) => {
                let version = self.machine.handle_logout(now.boot);
                (PATIENCE, Awaited::Durable { version, reply })
            }
            Command::Save(reply) => {
                let version = self.machine.handle_save(now.boot);
                (PATIENCE, Awaited::Durable { version, reply })
            }
            Command::Refresh(reply) => {
                let attempts = self.machine.snapshot(now.boot).attempts;
                self.machine.handle_refresh(now.boot);
                (REFRESH_PATIENCE, Awaited::Refresh { attempts, reply })
            }
            Command::Alive(reply) => {
                let _ = reply.send(());
                return;
            }
            Command::Stop => {
                if !self.stopping {
                    self.stopping = true;
                    self.machine.handle_stop(now.boot);
                }
                return;
            }
        };
        self.waiting.push(Waiting { until: now.boot + patience, what });
    }

    /// Until the next thing is due, by the boot clock.
    fn until_due(&self) -> Duration {
        let now = clock::boot();
        let callers = self.waiting.iter().map(|waiting| waiting.until).min();
        let due = self.machine.poll_deadline(now).into_iter().chain(callers).min();
        due.map_or(Duration::MAX, |due| now.until(due))
    }

    fn publish(&mut self) {
        let snapshot = self.machine.snapshot(clock::boot());
        let old = self.view.latest();
        if snapshot.shows_the_same_as(&old.snapshot) {
            return;
        }
        // While it is still unclear what an attempt has come to, it is not counted.
        if snapshot.state != State::Refreshing && snapshot.attempts > self.counted {
            self.world.tally.attempted(snapshot.attempts - self.counted, &snapshot);
            self.counted = snapshot.attempts;
        }
        self.tell(&snapshot, clock::now());
        let revision = *self.world.changed.borrow() + 1;
        self.view.publish(View { snapshot, revision });
        self.world.changed.send_replace(revision);
    }

    /// Not a part of `run`, where the view, and the token in it, would live for as long as the task.
    fn tell_first(&mut self) {
        let first = self.view.latest();
        self.tell(&first.snapshot, clock::now());
    }

    fn tell(&mut self, snapshot: &Snapshot, now: Now) {
        let with_code = self.world.general.borrow().as_ref().is_some_and(|general| general.display.log);
        self.news.tell(&self.name, snapshot, now, with_code);
    }

    fn settle_waiting(&mut self) {
        let now = clock::boot();
        let snapshot = self.machine.snapshot(now);
        let moment = Moment { account: &self.name, machine: &self.machine, snapshot: &snapshot, now };
        self.waiting =
            std::mem::take(&mut self.waiting).into_iter().filter_map(|waiting| waiting.settle(&moment)).collect();
    }
}

/// Announces the account when it is dropped by a panic.
struct AnnounceFailure(AccountName, watch::Sender<Option<AccountName>>);

impl Drop for AnnounceFailure {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.send_replace(Some(self.0.clone()));
        }
    }
}

/// A seed that no other box has.
pub(super) fn seed() -> Seed {
    // Without the system's randomness there is no TLS either, so what this seeds then goes nowhere.
    Seed::new(proof::random().unwrap_or_default())
}

/// How long a caller waits who does not say how long.
const PATIENCE: Duration = Duration::from_secs(15);
const LOGIN_PATIENCE: Duration = Duration::from_secs(60);
const REFRESH_PATIENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_by_a_panic_is_announced_and_no_other() {
        let failed = watch::Sender::new(None);
        let name: AccountName = "box".parse().expect("a name");
        for panics in [false, true] {
            let announcement = AnnounceFailure(name.clone(), failed.clone());
            let ended = tokio::spawn(async move {
                let _announcement = announcement;
                if panics {
                    std::panic::resume_unwind(Box::new("as a write that has panicked does"));
                }
            });
            assert_eq!(ended.await.is_err(), panics);
            assert_eq!(*failed.borrow(), panics.then(|| name.clone()));
        }
    }
}
