//! `bearerd exec`: becomes another program that is given the token of this moment.

use std::{
    ffi::OsString,
    fs::File,
    io::{self, Write},
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::Command,
};

use clap::Args;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use super::issue;
use crate::{
    account::AccountName,
    cli::{Exit, Failure, client::Client},
};

/// `bearerd exec`
#[derive(Debug, Args)]
pub struct Exec {
    /// The account
    pub account: Option<AccountName>,
    /// Put the token into this environment variable, where every process of the same user can read it
    #[arg(long, value_name = "NAME", value_parser = variable, required_unless_present = "file")]
    pub env: Option<String>,
    /// Put the path of a file with the token, which only this program can open, into this environment variable
    #[arg(long, value_name = "NAME", value_parser = variable)]
    pub file: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub command: Vec<OsString>,
}

/// Gets a token and becomes the program; returns only if that fails.
pub async fn run(client: &Client, arguments: Exec) -> Result<Exit, Failure> {
    let issued = issue(client, arguments.account.as_ref(), None).await?;
    let Some((program, rest)) = arguments.command.split_first() else {
        return Err(Failure::new(Exit::Arguments, "there is no program to start"));
    };
    let mut command = Command::new(program);
    command.args(rest);
    if let Some(name) = &arguments.env {
        command.env(name, &issued.access_token);
    }
    // Open until the program has taken this one's place, and inherited by it.
    let file = match &arguments.file {
        Some(name) => {
            let file = sealed_file(&issued.access_token)
                .map_err(|error| Failure::other(format!("the token cannot be put into a file in memory: {error}")))?;
            command.env(name, format!("/proc/self/fd/{}", file.as_raw_fd()));
            Some(file)
        }
        None => None,
    };
    let error = command.exec();
    drop(file);
    let exit = if error.kind() == io::ErrorKind::NotFound { Exit::NoProgram } else { Exit::NotExecutable };
    Err(Failure::new(exit, format!("{} cannot be started: {error}", program.display())))
}

/// A file in memory that the program inherits, and that nobody can change.
fn sealed_file(text: &str) -> io::Result<File> {
    let mut file = File::from(memfd_create("token", MemfdFlags::ALLOW_SEALING)?);
    file.write_all(text.as_bytes())?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

fn variable(name: &str) -> Result<String, &'static str> {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let good = name.chars().all(legal) && !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit());
    if good { Ok(name.to_owned()) } else { Err("write a name of letters, digits and underscores") }
}
