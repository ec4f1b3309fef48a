//! The verbs that are one request: `bearerd logout`, `refresh` and `reload`.

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
