//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};

use super::{DockerCredential, Exec, GitCredential, KubectlCredential, Register};
use crate::{
    account::AccountName,
    config::{self, Bus, DEFAULT_PATH},
};

/// Signs this machine in to an online account, and hands access tokens to local programs
#[derive(Debug, Parser)]
#[command(name = "bearerd", version, arg_required_else_help = true, after_help = NOTES)]
pub struct Arguments {
    /// What every verb understands.
    #[command(flatten)]
    pub common: Common,
    /// The verb.
    #[command(subcommand)]
    pub command: Command,
}

/// What every verb understands.
#[derive(Debug, Args)]
pub struct Common {
    /// Configuration, for run, check, doctor and register [default: /etc/bearerd/bearerd.toml]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Common options")]
    pub config: Option<PathBuf>,
    /// Socket of the daemon; clients heed $BEARERD_SOCKET too [default: /run/bearerd/api.sock]
    #[arg(long, global = true, value_name = "PATH", help_heading = "Common options")]
    pub socket: Option<PathBuf>,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground, as systemd does
    Run(Run),
    /// Print an access token, and nothing else
    #[command(after_help = "Example:\n  curl -H \"$(bearerd token --header)\" https://api.example.com/me")]
    Token(Token),
    /// Show how the accounts are, and what there is to do
    #[command(after_help = "Example:\n  bearerd status --watch")]
    Status(Status),
    /// Sign in: shows an address, a code and a QR code, and waits for the approval
    Login(Login),
    /// Sign out: ends the sign-in at the server as well, and forgets it
    Logout {
        /// The account
        account: Option<AccountName>,
    },
    /// Get a new access token now
    Refresh {
        /// The account
        account: Option<AccountName>,
        /// Print the account as JSON
        #[arg(long)]
        json: bool,
    },
    /// Wait until the account has a usable token
    #[command(after_help = "Example:\n  bearerd wait --timeout 10m && ./upload.sh")]
    Wait(Wait),
    /// Make the daemon read its configuration again
    Reload {
        /// Print the names of the accounts as JSON
        #[arg(long)]
        json: bool,
    },
    /// Seal everything that is stored again, with the newest key
    Rekey {
        /// Print what was sealed as JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a proof for one request with a token that is bound to a key (DPoP)
    #[command(after_help = PROOF_EXAMPLE)]
    Proof(Proof),
    /// Start a program with a token in a variable or in a file that only it can open
    #[command(after_help = "Example:\n  bearerd exec --env TOKEN -- ./upload.sh")]
    Exec(Exec),
    /// Answer git as a credential helper
    #[command(after_help = GITCONFIG)]
    GitCredential(GitCredential),
    /// Answer kubectl as a credential plugin
    KubectlCredential(KubectlCredential),
    /// Answer docker, podman or skopeo as a credential helper
    #[command(after_help = DOCKER_SCRIPT)]
    DockerCredential(DockerCredential),
    /// Print what happens, one JSON object a line, until Ctrl-C
    #[command(after_help = "Example:\n  bearerd events | jq --unbuffered 'select(.event == \"state\") | .message'")]
    Events {
        /// It is JSON in any case
        #[arg(long)]
        json: bool,
    },
    /// Look at everything that has to work, and say what to do about what does not
    #[command(after_help = "Example:\n  sudo bearerd doctor")]
    Doctor(Doctor),
    /// Register a client at a server that lets one, and print the account for it; needs no daemon
    #[command(
        after_help = "Example:\n  sudo bearerd register https://login.example.com --name 'Kitchen display' --write"
    )]
    Register(Register),
    /// Look for mistakes in the configuration; needs no daemon
    Check {
        /// The configuration [default: that of --config]
        path: Option<PathBuf>,
        /// Print the result as JSON
        #[arg(long)]
        json: bool,
    },
}

/// `bearerd run`
#[derive(Debug, Args)]
pub struct Run {
    /// Where the sign-ins are kept [default: $STATE_DIRECTORY, or /var/lib/bearerd]
    #[arg(long, value_name = "PATH")]
    pub state_dir: Option<PathBuf>,
    /// D-Bus to appear on: system, session, none, or an address
    #[arg(long, value_parser = bus)]
    pub bus: Option<String>,
}

/// `bearerd token`
#[derive(Debug, Args)]
pub struct Token {
    /// The account
    pub account: Option<AccountName>,
    /// Print it as a header: "Authorization: Bearer …", or "DPoP …" where it is bound to a key
    #[arg(long, conflicts_with = "json")]
    pub header: bool,
    /// Print it with its expiry and scope, as JSON
    #[arg(long)]
    pub json: bool,
    /// How long it has to be valid at least, such as 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub min_validity: Option<Duration>,
    /// How long to wait for a sign-in or the network, such as 60s; at most 5m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub wait: Option<Duration>,
    /// Scope that it must have, if other than the account's
    #[arg(long)]
    pub scope: Option<String>,
    /// API that it is for, if other than the account's
    #[arg(long)]
    pub audience: Option<String>,
    /// Resource that it is for, if other than the account's (RFC 8707)
    #[arg(long, value_name = "URI")]
    pub resource: Option<String>,
}

/// `bearerd proof`
#[derive(Debug, Args)]
pub struct Proof {
    /// Method of the request, such as GET
    pub htm: String,
    /// Address of the request
    pub htu: String,
    /// The account
    pub account: Option<AccountName>,
    /// Print it as a header: "DPoP: …"
    #[arg(long)]
    pub header: bool,
    /// What the API's last answer had in its DPoP-Nonce header
    #[arg(long)]
    pub nonce: Option<String>,
    /// SHA-256 of the access token in base64url, if not the newest of the account is meant
    #[arg(long, value_name = "HASH")]
    pub ath: Option<String>,
}

/// `bearerd status`
#[derive(Debug, Args)]
pub struct Status {
    /// The account; all of them where it is left out
    pub account: Option<AccountName>,
    /// Go on showing every change, until Ctrl-C
    #[arg(long)]
    pub watch: bool,
    /// Print JSON, one line for each answer
    #[arg(long)]
    pub json: bool,
}

/// `bearerd login`
#[derive(Debug, Args)]
pub struct Login {
    /// The account
    pub account: Option<AccountName>,
    /// Show the code and return at once
    #[arg(long)]
    pub no_wait: bool,
    /// Let somebody else take over than who signed in before
    #[arg(long)]
    pub replace: bool,
    /// Print JSON: a line with the code, and one with the account when it is done
    #[arg(long)]
    pub json: bool,
}

/// `bearerd doctor`
#[derive(Debug, Args)]
pub struct Doctor {
    /// The account; all of them where it is left out
    pub account: Option<AccountName>,
    /// Print what was found as JSON
    #[arg(long)]
    pub json: bool,
}

/// `bearerd wait`
#[derive(Debug, Args)]
pub struct Wait {
    /// The account
    pub account: Option<AccountName>,
    /// How long to wait, such as 10m; for ever where it is left out
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// Print the account as JSON when it is ready
    #[arg(long)]
    pub json: bool,
}

impl Common {
    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        self.config.clone().unwrap_or_else(|| DEFAULT_PATH.into())
    }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    config::duration(text).ok_or("write a time such as 90s, 5m or 2h")
}

fn bus(text: &str) -> Result<String, &'static str> {
    Bus::parse(text).map(|_| text.to_owned()).ok_or("write system, session, none, or a D-Bus address")
}

const GITCONFIG: &str = "In a gitconfig:
  [credential \"https://git.example.com\"]
      helper = \"!bearerd git-credential --host git.example.com\"";

const DOCKER_SCRIPT: &str = "As a program named docker-credential-example:
  #!/bin/sh
  exec bearerd docker-credential --registry registry.example.com \"$@\"";

const PROOF_EXAMPLE: &str = "Example:
  curl -H \"$(bearerd token --header)\" -H \"$(bearerd proof GET https://api.example.com/me --header)\" \\
    https://api.example.com/me";

const NOTES: &str = "ACCOUNT may be left out when there is only one, or one named \"default\".

Exit codes:
   0  done
   2  the arguments are wrong
  69  the daemon cannot be reached
  75  not now: somebody has to sign in, or the server is away
  77  not allowed
  78  the configuration is wrong
   1  anything else";

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn common_options_stand_before_and_after_the_verb() {
        for line in ["bearerd --socket /s --config /c token", "bearerd token kinde --socket /s --config /c"] {
            let common = parse(line).expect(line).common;
            assert_eq!((common.socket, common.config), (Some("/s".into()), Some("/c".into())));
        }
    }

    #[test]
    fn bad_arguments_are_refused() {
        for line in [
            "bearerd",
            "bearerd events kinde",
            "bearerd doctor a b",
            "bearerd token ../x",
            "bearerd token --wait 60",
            "bearerd token --json --header",
            "bearerd run --bus nonsense",
            "bearerd logout --json",
            "bearerd register",
            "bearerd register https://a.example --auth private_key_jwt",
        ] {
            assert_eq!(parse(line).expect_err(line).exit_code(), 2, "{line}");
        }
    }
}
