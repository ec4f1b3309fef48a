//! The program: the daemon, or a client of it.

use std::process::ExitCode;

use bearerd::{
    cli::{self, Arguments, Command},
    daemon,
};
use clap::Parser;

fn main() -> ExitCode {
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
