//! From a listening socket to connections that are served, within their limits.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixListener},
    sync::Arc,
    time::Duration,
};

use hyper::{body::Incoming, service::service_fn};
use nix::sys::socket::{Backlog, listen};
use rustix::net::{SocketFlags, accept_with};
use tokio::{io::unix::AsyncFd, net::UnixStream, sync::watch};
use tokio_util::sync::CancellationToken;

use super::{
    Door,
    connection::{self, Activity, Signal},
    metrics::Latencies,
    route,
};
use crate::{
    api::limits::{self, Limits},
    broker::{Broker, repeats::Repeats},
    platform::{
        clock, kernel,
        peer::{Caller, Socket, User},
        process,
        tick::Ticks,
    },
};

/// Stands at one socket and lets callers in.
pub struct Porter {
    listener: AsyncFd<OwnedFd>,
    door: Arc<Door>,
    socket: Socket,
    limits: Arc<Limits>,
    signals: watch::Sender<Signal>,
    complaints: Repeats<()>,
}

impl Porter {
    /// A porter at a socket that does not block. All porters of a process share their limits.
    pub fn new(listener: UnixListener, socket: Socket, broker: Arc<Broker>, limits: Arc<Limits>) -> io::Result<Self> {
        // Whoever made the socket may have given it a long queue, and in a flood everybody waits for the whole of it.
        listen(&listener, Backlog::new(QUEUE)?)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            socket,
            listener: kernel::watched(listener.into())?,
            door: Arc::new(Door { broker, closing: CancellationToken::new(), latencies: Latencies::default() }),
            limits,
            signals: watch::Sender::new(Signal::Tick),
            complaints: Repeats::new(COMPLAINTS),
        })
    }

    /// The limits of this process.
    pub fn limits() -> Arc<Limits> {
        Limits::new("connections", room(process::descriptors()))
    }

    /// Waits for somebody, and lets in all who are there. May be dropped while it waits.
    pub async fn admit(&mut self) {
        if let Err(error) = self.admit_those_who_wait().await {
            self.rest(&error).await;
        }
    }

    async fn admit_those_who_wait(&self) -> io::Result<()> {
        let mut ready = self.listener.readable().await?;
        for _ in 0..AT_ONCE {
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            // In a flood, everybody waits for each of those before them: the runtime does not hear of who is turned away.
            match ready.try_io(|listener| Ok(accept_with(listener.get_ref(), flags)?)) {
                Ok(accepted) => self.let_in(accepted?.into()),
                Err(_nobody_left) => return Ok(()),
            }
        }
        drop(ready);
        tokio::task::yield_now().await;
        Ok(())
    }

    /// What tells the porter when to call [`Porter::tick`].
    pub fn ticks(&self) -> Ticks {
        self.door.broker.ticks()
    }

    /// Lets time go by for the connections: those that rest are closed.
    pub fn tick(&self) {
        self.signals.send_replace(Signal::Tick);
    }

    /// Closes the door, and gives those who are in the middle of an answer some time.
    pub async fn leave(self) {
        drop(self.listener);
        self.door.closing.cancel();
        // What waits for a person must not hold up the stop.
        self.signals.send_replace(Signal::Leave);
        let _ = tokio::time::timeout(LAST_ANSWERS, self.signals.closed()).await;
    }

    /// Identifies the caller, once, before anything is read from it, and serves it if there is a place.
    fn let_in(&self, stream: std::os::unix::net::UnixStream) {
        let broker = &self.door.broker;
        let Ok(user) = User::behind(&stream) else { return };
        let Some(place) = self.limits.take(user.uid, broker.connections_per_user()) else { return };
        let caller = Arc::new(Caller::of(&stream, user, self.socket.clone(), &broker.units()));
        let Some(place) = place.keep(limits::allowed(broker, &caller)) else { return };
        let stream = match UnixStream::from_std(stream) {
            Ok(stream) => stream,
            Err(error) => return tracing::warn!(%error, "a connection cannot be watched, and was closed"),
        };
        let (door, activity, signals) = (self.door.clone(), Activity::new(), self.signals.subscribe());
        let noted = activity.clone();
        let service =
            service_fn(move |request: hyper::Request<Incoming>| route::answer(&door, &caller, &noted, request));
        tokio::spawn(async move {
            let _place = place;
            if let Err(error) = connection::serve(stream, service, activity, signals).await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }

    /// Out of descriptors or memory: a pause lets others end, instead of turning at full speed.
    async fn rest(&mut self, error: &io::Error) {
        if let Some(left_out) = self.complaints.note((), clock::boot()) {
            tracing::warn!(%error, left_out, "no connection can be accepted for a moment");
        }
        tokio::time::sleep(REST).await;
    }
}

/// How many connections there may be, so that descriptors are left for files, the bus and the authorization servers.
fn room(descriptors: usize) -> usize {
    descriptors.saturating_sub(RESERVE.min(descriptors / 2)).min(CONNECTIONS)
}

const LAST_ANSWERS: Duration = Duration::from_secs(2);
const REST: Duration = Duration::from_millis(200);
const COMPLAINTS: Duration = Duration::from_secs(10);
/// How many may wait at the door: as many as two users may have inside.
const QUEUE: i32 = 128;
const CONNECTIONS: usize = 1024;
const RESERVE: usize = 64;
/// How many are let in, or turned away, before others get a turn.
const AT_ONCE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_descriptors_are_left_for_other_things() {
        assert_eq!((room(64), room(100), room(1024), room(20_000)), (32, 50, 960, 1024));
    }
}
