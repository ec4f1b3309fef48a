//! The program: the daemon, or a client of it.

use std::{alloc::System, process::ExitCode};

use bearerd::{
    cli::{self, Arguments, Command},
    daemon,
    platform::process,
};
use clap::{CommandFactory, FromArgMatches};
use zeroizing_alloc::ZeroAlloc;

fn main() -> ExitCode {
    process::close_memory();
    let arguments = arguments();
    match arguments.command {
        Command::Run(run) => daemon::run(&daemon::Options {
            config: arguments.common.config(),
            socket: arguments.common.socket,
            state_directory: run.state_dir,
            bus: run.bus,
        }),
        command => cli::run(&arguments.common, command),
    }
}

/// What the command line says, or the end with a message that says what is wrong with it.
fn arguments() -> Arguments {
    let mut described = Arguments::command();
    let matches = described.try_get_matches_from_mut(std::env::args_os());
    let read = matches.and_then(|mut matches| Arguments::from_arg_matches_mut(&mut matches));
    let arguments = read.unwrap_or_else(|error| error.format(&mut described).exit());
    if !matches!(arguments.command, Command::Run(_)) {
        // A verb ends in a moment. To take this apart before, piece by piece, is a good part of its time.
        std::mem::forget(described);
    }
    arguments
}

/// Wipes what is freed. Libraries leave tokens in buffers that they free, where `secrecy` cannot reach them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);
