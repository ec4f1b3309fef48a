//! bearerd.
use std::{path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    let mut args = std::env::args().skip(2);
    let mut options = bearerd::daemon::Options {
        config: "/etc/bearerd/bearerd.toml".into(),
        socket: None,
        state_directory: None,
        bus: None,
    };
    while let (Some(name), Some(value)) = (args.next(), args.next()) {
        match name.as_str() {
            "--config" => options.config = PathBuf::from(value),
            "--socket" => options.socket = Some(PathBuf::from(value)),
            "--state-dir" => options.state_directory = Some(PathBuf::from(value)),
            "--bus" => options.bus = Some(value),
            _ => {}
        }
    }
    bearerd::daemon::run(&options)
}
