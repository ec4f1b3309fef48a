//! `bearerd git-credential`: a credential helper of git (`gitcredentials(7)`, `git-credential(1)`).
//!
//! ```ini
//! [credential "https://git.example.com"]
//!     helper = "!bearerd git-credential --host git.example.com"
//! ```

use std::io::Read;

use clap::Args;

use super::{Issued, host_of, is_loopback, issue};
use crate::{
    account::AccountName,
    cli::{Exit, Failure, client::Client, screen::Screen},
    secret::Secret,
};

/// `bearerd git-credential`
#[derive(Debug, Args)]
pub struct GitCredential {
    /// The account
    #[arg(long)]
    pub account: Option<AccountName>,
    /// What git wants: get, store, erase or capability
    pub operation: String,
    /// A server that may have the token, such as git.example.com; once for each
    #[arg(long, required = true)]
    pub host: Vec<String>,
    /// User name to send with the token as password, where git knows none
    #[arg(long, default_value = "oauth2")]
    pub username: String,
    /// Send the token as "Authorization: Bearer", not as a password; git 2.46 or later
    #[arg(long)]
    pub bearer: bool,
}

/// What git says of the credential that it wants or had: lines of `key=value`.
struct Wanted {
    protocol: String,
    host: String,
    username: Option<String>,
    /// What it had: `password`, or `credential` where git speaks of an `authtype`.
    had: Option<Secret>,
    /// git understands `authtype`.
    takes_authtype: bool,
}

/// Answers git once.
pub async fn run(client: &Client, arguments: GitCredential, screen: &Screen) -> Result<Exit, Failure> {
    if arguments.operation == "capability" {
        screen.answer("version 0\ncapability authtype")?;
        return Ok(Exit::Success);
    }
    let mut text = String::new();
    let read = std::io::stdin().take(LONGEST).read_to_string(&mut text);
    read.map_err(|error| Failure::other(format!("what git wants cannot be read from stdin: {error}")))?;
    let wanted = Wanted::read(&text);
    if !arguments.host.iter().any(|host| host_of(host) == host_of(&wanted.host)) {
        // Another helper may know that server.
        return Ok(Exit::Success);
    }
    if wanted.protocol != "https" && !(wanted.protocol == "http" && is_loopback(&wanted.host)) {
        let text =
            format!("{} is asked for over {}, where a token could be read on the way", wanted.host, wanted.protocol);
        return refuse(screen, Failure::new(Exit::NotAllowed, text));
    }
    match arguments.operation.as_str() {
        "get" => match issue(client, arguments.account.as_ref(), None).await {
            Ok(issued) => {
                screen.answer(&wanted.answer(&issued, &arguments))?;
                Ok(Exit::Success)
            }
            Err(failure) => refuse(screen, failure),
        },
        "erase" => {
            // The server refused it, so the next one has to be new; whether there is one shows when git asks for it.
            if let Some(had) = wanted.had {
                let _ = issue(client, arguments.account.as_ref(), Some(had.fingerprint())).await;
            }
            Ok(Exit::Success)
        }
        // `store` keeps nothing here, and unknown operations are to be ignored in silence.
        _ => Ok(Exit::Success),
    }
}

/// Makes git stop, for it would ask for a password next, and on a headless machine nobody is there to answer.
fn refuse(screen: &Screen, failure: Failure) -> Result<Exit, Failure> {
    screen.answer("quit=1")?;
    Err(failure)
}

impl Wanted {
    fn read(text: &str) -> Self {
        let value =
            |key: &str| text.lines().filter_map(|line| line.split_once('=')).find(|(k, _)| *k == key).map(|(_, v)| v);
        Self {
            protocol: value("protocol").unwrap_or_default().to_owned(),
            host: value("host").unwrap_or_default().to_owned(),
            username: value("username").map(str::to_owned),
            had: value("credential").or_else(|| value("password")).map(Secret::new),
            takes_authtype: text.lines().any(|line| line == "capability[]=authtype"),
        }
    }

    fn answer(&self, issued: &Issued, arguments: &GitCredential) -> String {
        let token = &issued.access_token;
        let expiry = issued.expires_at.map(|end| format!("\npassword_expiry_utc={end}")).unwrap_or_default();
        if arguments.bearer && self.takes_authtype {
            // Ephemeral: no other helper is to keep it.
            return format!("capability[]=authtype\nauthtype=Bearer\ncredential={token}\nephemeral=1{expiry}");
        }
        let username = self.username.as_ref().unwrap_or(&arguments.username);
        format!("username={username}\npassword={token}{expiry}")
    }
}

/// git sends a few lines.
const LONGEST: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn arguments(line: &str) -> GitCredential {
        let parsed = Arguments::try_parse_from(line.split_whitespace()).expect(line);
        let Command::GitCredential(arguments) = parsed.command else { panic!("another verb") };
        arguments
    }

    const ISSUED: &str = r#"{"access_token":"at-1","expires_at":1800000000}"#;

    #[test]
    fn git_puts_the_operation_last() {
        let named = arguments("bearerd git-credential --account kinde --host git.example.com get");
        assert_eq!((named.account.expect("an account").as_str(), named.operation.as_str()), ("kinde", "get"));
        let unnamed = arguments("bearerd git-credential --host a --host b store");
        assert_eq!((unnamed.account.is_none(), unnamed.operation.as_str(), unnamed.host.len()), (true, "store", 2));
        let no_host = "bearerd git-credential get".split_whitespace();
        assert!(Arguments::try_parse_from(no_host).is_err(), "a helper for every server");
    }

    #[test]
    fn git_gets_a_password_or_a_bearer_token_if_it_knows_those() {
        let issued: Issued = serde_json::from_str(ISSUED).expect("an answer");
        let old = Wanted::read("protocol=https\nhost=h\n");
        let new = Wanted::read("capability[]=authtype\nprotocol=https\nhost=h\nusername=me\n");
        let basic = arguments("bearerd git-credential --host h get");
        let bearer = arguments("bearerd git-credential --host h --bearer get");
        assert_eq!(old.answer(&issued, &basic), "username=oauth2\npassword=at-1\npassword_expiry_utc=1800000000");
        assert!(new.answer(&issued, &basic).starts_with("username=me\npassword=at-1\n"));
        assert!(old.answer(&issued, &bearer).starts_with("username=oauth2\n"), "it would not understand authtype");
        assert!(new.answer(&issued, &bearer).contains("\nauthtype=Bearer\ncredential=at-1\n"));
    }
}
