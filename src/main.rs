//! The program: the daemon, or a client of it.

use std::{alloc::System, process::ExitCode};

use bearerd::{
    cli::{self, Arguments, Command},
    daemon,
    platform::process,
};
use clap::Parser;
use zeroizing_alloc::ZeroAlloc;

fn main() -> ExitCode {
    process::close_memory();
    let arguments = Arguments::parse();
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

/// Wipes what is freed. Libraries leave tokens in buffers that they free, where `secrecy` cannot reach them.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);
