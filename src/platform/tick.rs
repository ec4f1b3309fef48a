//! A tick that whoever waits long listens to, so that a suspend makes nobody late: the runtime's timers stand still in it.

use std::{io, os::fd::OwnedFd, time::Duration};

use nix::sys::{
    time::TimeSpec,
    timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
};
use tokio::{io::unix::AsyncFd, sync::watch};

use super::kernel;

/// The most that lies between two ticks, or between the end of a suspend and a tick.
pub const PERIOD: Duration = Duration::from_secs(30);

/// Hears each tick from now on.
#[derive(Clone)]
pub struct Ticks(watch::Receiver<()>);

impl Ticks {
    /// Begins to tick, for as long as somebody listens. One wake-up of the process serves all who do.
    pub fn start() -> Self {
        let (sender, receiver) = watch::channel(());
        tokio::spawn(async move {
            let timer = Timer::new();
            if let Err(error) = &timer {
                tracing::debug!(%error, "no timer that goes on in suspend; the runtime's is used");
            }
            while !sender.is_closed() {
                match &timer {
                    Ok(timer) if timer.expired().await.is_ok() => {}
                    _ => tokio::time::sleep(PERIOD).await,
                }
                sender.send_replace(());
            }
        });
        Self(receiver)
    }

    /// Waits for `span`, and for no longer than to the next tick.
    pub async fn wait(&mut self, span: Duration) {
        if span >= PERIOD {
            if self.0.changed().await.is_err() {
                tokio::time::sleep(PERIOD).await;
            }
        } else {
            // A tick that comes before its time is no harm, and after a suspend it is what everybody waits for. On the heap,
            // so that those who wait long, which are nearly all, need no room for a timer.
            let _ = Box::pin(tokio::time::timeout(span, self.0.changed())).await;
        }
    }
}

/// `CLOCK_BOOTTIME`, which goes on in suspend.
struct Timer(AsyncFd<OwnedFd>);

impl Timer {
    fn new() -> io::Result<Self> {
        let timer = TimerFd::new(ClockId::CLOCK_BOOTTIME, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        timer.set(Expiration::Interval(TimeSpec::from_duration(PERIOD)), TimerSetTimeFlags::empty())?;
        kernel::watched(timer.into()).map(Self)
    }

    /// Waits until it has expired since it was last asked.
    async fn expired(&self) -> io::Result<()> {
        loop {
            let mut ready = self.0.readable().await?;
            let read = ready.try_io(|timer| Ok(nix::unistd::read(timer.get_ref(), &mut [0; 8])?));
            if let Ok(read) = read {
                return read.map(|_| ());
            }
        }
    }
}
