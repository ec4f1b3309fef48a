//! `bearerd docker-credential`: a credential helper of docker, podman, skopeo and others
//! (<https://github.com/docker/docker-credential-helpers>).
//!
//! Those programs look for `docker-credential-NAME` in their path and call it with the operation alone; a script of
//! two lines of that name says which account and which registry it is for.

use std::io::Read;

use clap::Args;
use serde_json::{Map, json};

use super::{host_of, issue};
use crate::{
    account::AccountName,
    cli::{Exit, Failure, client::Client, screen::Screen},
};

/// `bearerd docker-credential`
#[derive(Debug, Args)]
pub struct DockerCredential {
    /// The account
    #[arg(long)]
    pub account: Option<AccountName>,
    /// What is wanted: get, list, store or erase
    pub operation: String,
    /// A registry that may have the token, such as registry.example.com; once for each
    #[arg(long, required = true)]
    pub registry: Vec<String>,
    /// User name to send with the token as password
    #[arg(long, default_value = "oauth2")]
    pub username: String,
}

/// Answers once. A failure is told on stdout as well: that is where the protocol has its reader look for it.
pub async fn run(client: &Client, arguments: DockerCredential, screen: &Screen) -> Result<Exit, Failure> {
    match arguments.operation.as_str() {
        "get" => {
            let answer = get(client, &arguments).await;
            if let Err(failure) = &answer {
                screen.answer(&failure.text)?;
            }
            screen.json(&answer?)?;
        }
        "list" => {
            let known = arguments
                .registry
                .iter()
                .map(|registry| (format!("https://{}", host_of(registry)), arguments.username.clone().into()));
            screen.json(&serde_json::Value::from(known.collect::<Map<_, _>>()).to_string())?;
        }
        // Nothing is kept here, and nothing forgotten: the account is what it is.
        "store" | "erase" => drop(stdin()?),
        operation => {
            let text = format!("{operation:?} is no operation of a credential helper");
            return Err(Failure::new(Exit::Arguments, text));
        }
    }
    Ok(Exit::Success)
}

async fn get(client: &Client, arguments: &DockerCredential) -> Result<String, Failure> {
    let server = stdin()?;
    let server = server.trim();
    if !arguments.registry.iter().any(|registry| host_of(registry) == host_of(server)) {
        return Err(Failure::other(NOT_FOUND));
    }
    let issued = issue(client, arguments.account.as_ref(), None).await?;
    let answer = json!({ "ServerURL": server, "Username": arguments.username, "Secret": issued.access_token });
    Ok(answer.to_string())
}

fn stdin() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::other(format!("stdin cannot be read: {error}")))?;
    Ok(text)
}

/// The words by which the protocol's clients know that they may go on without a credential.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// A server's address, or a credential.
const LONGEST: u64 = 1 << 20;
