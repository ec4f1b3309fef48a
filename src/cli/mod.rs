//! The client verbs: thin clients of the HTTP API on the daemon's socket. None of them touches the state file.
//!
//! stdout carries the answer and only that; everything else goes to stderr, in sentences that say what happened, what
//! it means and what to do. The exit codes are those of [`Exit`].

mod account;
mod adapters;
mod arguments;
mod check;
mod client;
mod doctor;
mod events;
mod failure;
mod follow;
mod login;
mod proof;
mod register;
mod screen;
mod status;
mod table;
mod token;
mod verbs;
mod wait;

use std::process::ExitCode;

use hyper::Method;

pub use self::{
    adapters::{docker::DockerCredential, exec::Exec, git::GitCredential, kubectl::KubectlCredential},
    arguments::{Arguments, Command, Common, Doctor, Login, Proof, Run, Status, Token, Wait},
    failure::{Exit, Failure},
    register::Register,
};
use self::{client::Client, screen::Screen};
use crate::{config::DEFAULT_SOCKET, platform::systemd};

/// Carries out a verb and returns the exit code of the process.
pub fn run(common: &Common, command: Command) -> ExitCode {
    let screen = Screen::of_the_process();
    let exit = dispatch(common, command, &screen).unwrap_or_else(|failure| {
        screen.complain(&failure.text);
        failure.exit
    });
    exit.into()
}

fn dispatch(common: &Common, command: Command, screen: &Screen) -> Result<Exit, Failure> {
    if let Command::Check { path, json } = command {
        return check::run(&path.unwrap_or_else(|| common.config()), json, screen);
    }
    let socket = common.socket.clone().or_else(systemd::client_socket);
    let client = Client::new(socket.unwrap_or_else(|| DEFAULT_SOCKET.into()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::other(format!("the program cannot start: {error}")))?;
    let exit = runtime.block_on(async {
        match command {
            // Both are dealt with before there is a client.
            Command::Run(_) | Command::Check { .. } => Ok(Exit::Success),
            Command::Token(token) => token::run(&client, token, screen).await,
            Command::Proof(proof) => proof::run(&client, proof, screen).await,
            Command::Status(status) => status::run(&client, status, screen).await,
            Command::Login(login) => login::run(&client, login, screen).await,
            Command::Logout { account } => verbs::logout(&client, account, screen).await,
            Command::Refresh { account, json } => verbs::refresh(&client, account, json, screen).await,
            Command::Events { .. } => events::run(&client, screen).await,
            Command::Doctor(doctor) => doctor::run(&client, &common.config(), doctor, screen).await,
            Command::Wait(wait) => wait::run(&client, wait, screen).await,
            Command::Register(register) => register::run(&common.config(), register, screen).await,
            Command::Reload { json } => verbs::reload(&client, json, screen).await,
            Command::Rekey { json } => verbs::rekey(&client, json, screen).await,
            Command::GitCredential(git) => adapters::git::run(&client, git, screen).await,
            Command::KubectlCredential(kubectl) => adapters::kubectl::run(&client, kubectl, screen).await,
            Command::DockerCredential(docker) => adapters::docker::run(&client, docker, screen).await,
            Command::Exec(exec) => adapters::exec::run(&client, exec).await,
        }
    });
    // What still runs in the background is of no interest, and must not hold up the exit.
    runtime.shutdown_background();
    exit
}

/// The path of an account in the API. The name needs no escaping: it was checked, or came from the daemon.
fn path_of(account: &str, rest: &str) -> String {
    format!("/v1/accounts/{account}{rest}")
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
