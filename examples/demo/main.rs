//! `make demo`: the whole life of a sign-in on this machine, with nothing installed and no account anywhere.
//!
//! Starts the scripted authorization server of the tests, a daemon with a configuration, a state directory and a socket
//! in a temporary folder, and a message bus of its own where `dbus-daemon` is installed. Then it signs in, takes tokens
//! through every door, and waits until the daemon has renewed one by itself. Whatever way it ends, nothing is left.

#[path = "../../tests/support/authorization_server/mod.rs"]
mod authorization_server;
mod children;
mod show;
mod walk;

use std::{
    io,
    process::ExitCode,
    sync::{Arc, atomic::Ordering},
    thread,
};

use clap::Parser;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use walk::Walk;

/// A guided tour of bearerd against an authorization server on this machine.
#[derive(Parser)]
struct Arguments {
    /// The program to show
    #[arg(long, value_name = "PATH", default_value = "target/release/bearerd")]
    program: String,
    /// Seconds that an access token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(5..=600))]
    token_lifetime: u64,
    /// Approve the sign-in without asking anybody (also when standard input is not a terminal)
    #[arg(long)]
    auto: bool,
    /// End after the last step instead of leaving everything running
    #[arg(long)]
    exit: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = tempfile::Builder::new().prefix("bearerd-demo-").tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = runtime.block_on(async { signals() })?;
    let walk = Arc::new(Walk::new(arguments, folder.path())?);

    let (ended, outcome) = oneshot::channel();
    let walker = Arc::clone(&walk);
    // Blocking steps on a thread of their own, so that a signal is heard in the middle of any of them.
    thread::spawn(move || ended.send(walker.run()).is_ok());
    let outcome = runtime.block_on(first_of(signals, outcome));

    walk.children.stop();
    let broken = walk.server.take_violations();
    let code = match outcome {
        Some(Err(error)) => {
            walk.show.failure(&error.to_string());
            ExitCode::FAILURE
        }
        Some(Ok(())) => ExitCode::SUCCESS,
        None if walk.complete.load(Ordering::Relaxed) => ExitCode::SUCCESS,
        None => ExitCode::from(130),
    };
    folder.close()?;
    if !broken.is_empty() {
        walk.show.failure(&format!("the authorization server has complaints:\n{}", broken.join("\n")));
        return Ok(ExitCode::FAILURE);
    }
    println!("\nEverything is stopped and removed.");
    Ok(code)
}

fn signals() -> io::Result<[Signal; 3]> {
    Ok([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?])
}

/// The outcome of the walk-through; `None` when a signal came first.
async fn first_of(signals: [Signal; 3], outcome: oneshot::Receiver<io::Result<()>>) -> Option<io::Result<()>> {
    let [mut interrupt, mut terminate, mut hangup] = signals;
    tokio::select! {
        biased;
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
        _ = hangup.recv() => None,
        outcome = outcome => Some(outcome.unwrap_or_else(|_| Err(io::Error::other("a step of the demo panicked")))),
    }
}
