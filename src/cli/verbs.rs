//! The verbs that are one request: `bearerd logout`, `refresh`, `reload` and `rekey`.

use serde::Deserialize;

use super::{
    Exit, Failure, POST,
    account::{Account, meant},
    client::Client,
    path_of,
    screen::{Screen, printable},
};
use crate::account::AccountName;

/// `POST /v1/reload`
#[derive(Deserialize)]
struct Reloaded {
    accounts: Vec<String>,
}

/// `POST /v1/rekey`
#[derive(Deserialize)]
struct Rekeyed {
    accounts: Vec<String>,
    protection: String,
}

/// `bearerd logout`
pub async fn logout(client: &Client, name: Option<AccountName>, screen: &Screen) -> Result<Exit, Failure> {
    let name = meant(client, name).await?;
    client.ask(POST, &path_of(&name, "/logout")).await?;
    screen.answer(&printable(&format!("{name}: signed out")))?;
    Ok(Exit::Success)
}

/// `bearerd refresh`
pub async fn refresh(client: &Client, name: Option<AccountName>, json: bool, screen: &Screen) -> Result<Exit, Failure> {
    let name = meant(client, name).await?;
    let answer = client.ask(POST, &path_of(&name, "/refresh")).await?;
    if json {
        screen.json(&answer.text())?;
    } else {
        screen.answer(&printable(&answer.read::<Account>()?.sentence()))?;
    }
    Ok(Exit::Success)
}

/// `bearerd reload`
pub async fn reload(client: &Client, json: bool, screen: &Screen) -> Result<Exit, Failure> {
    let answer = client.ask(POST, "/v1/reload").await.map_err(|failure| match failure.error.as_str() {
        "configuration" => Failure {
            text: format!(
                "the configuration has mistakes, so nothing was changed and the daemon goes on with the old one:\n\n{}",
                failure.text
            ),
            ..failure
        },
        _ => failure,
    })?;
    if json {
        screen.json(&answer.text())?;
        return Ok(Exit::Success);
    }
    let Reloaded { accounts } = answer.read()?;
    let text = match accounts.as_slice() {
        [] => "the configuration is in force; it has no account".to_owned(),
        names => format!("the configuration is in force: {}", names.join(", ")),
    };
    screen.answer(&printable(&text))?;
    Ok(Exit::Success)
}

/// `bearerd rekey`. Without a key it fails, so that a script that goes on to remove an old key does not.
pub async fn rekey(client: &Client, json: bool, screen: &Screen) -> Result<Exit, Failure> {
    let answer = client.ask(POST, "/v1/rekey").await?;
    let Rekeyed { accounts, protection } = answer.read()?;
    if json {
        screen.json(&answer.text())?;
    } else if protection != "none" {
        let names = if accounts.is_empty() { "no account has anything stored".to_owned() } else { accounts.join(", ") };
        screen
            .answer(&printable(&format!("sealed with the newest key: {names} (storage protection: {protection})")))?;
    }
    if protection == "none" {
        let text = "the daemon has no key, so everything is stored unsealed; as root, /usr/lib/bearerd/statekey enable \
                    makes one";
        return Err(Failure::new(Exit::Configuration, text));
    }
    Ok(Exit::Success)
}
