//! What the black-box tests share. Each test is a crate of its own and uses a part of it.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses a part, and tests may read clocks")]

pub mod authorization_server;
pub mod browser;
pub mod bus;
pub mod daemon;
pub mod glewlwyd;
pub mod guarded;
pub mod memory;
pub mod oidc_provider;
pub mod screen;
pub mod secrets;
pub mod seen;
pub mod stranger;
mod told;

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

/// Runs a program with this on its stdin.
pub fn with_input(command: &mut Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("an input").write_all(input.as_bytes()).expect("the program reads");
    child.wait_with_output().expect("the program ends")
}
