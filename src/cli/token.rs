//! `bearerd token`

use std::time::Duration;

use super::{
    Exit, Failure, GET, Token,
    account::meant,
    adapters::Issued,
    client::{Answer, Client},
    path_of,
    screen::Screen,
};

/// Prints a token.
pub async fn run(client: &Client, arguments: Token, screen: &Screen) -> Result<Exit, Failure> {
    let answer = ask(client, &arguments).await?;
    if arguments.json {
        screen.json(&answer.text())?;
        return Ok(Exit::Success);
    }
    let issued = Issued::read(&answer)?;
    let (scheme, token) = (issued.scheme(), issued.access_token);
    screen.answer(&if arguments.header { format!("Authorization: {scheme} {token}") } else { token })?;
    Ok(Exit::Success)
}

async fn ask(client: &Client, arguments: &Token) -> Result<Answer, Failure> {
    let path = match &arguments.account {
        Some(name) => path_of(name.as_str(), "/token"),
        None => "/v1/token".to_owned(),
    };
    let asked = client.ask_for_up_to(GET, &(path + &query(arguments)), arguments.wait.unwrap_or_default()).await;
    match asked {
        // "There is no account default" would puzzle a person who named none.
        Err(failure) if failure.error == "no_such_account" && arguments.account.is_none() => {
            Err(meant(client, None).await.err().unwrap_or(failure))
        }
        asked => asked,
    }
}

fn query(arguments: &Token) -> String {
    let seconds = |time: Duration| time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let pairs = [
        ("min_validity", arguments.min_validity.map(|time| seconds(time).to_string())),
        ("wait", arguments.wait.map(|time| seconds(time).to_string())),
        ("scope", arguments.scope.clone()),
        ("audience", arguments.audience.clone()),
        ("resource", arguments.resource.clone()),
    ];
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs {
        if let Some(value) = value {
            query.append_pair(name, &value);
        }
    }
    let query = query.finish();
    if query.is_empty() { query } else { format!("?{query}") }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Arguments, Command};

    fn query_of(line: &str) -> String {
        let arguments = Arguments::try_parse_from(line.split_whitespace()).expect("good arguments");
        let Command::Token(token) = arguments.command else { panic!("another verb") };
        query(&token)
    }

    #[test]
    fn only_what_was_said_is_asked_for() {
        assert_eq!(query_of("bearerd token"), "");
        assert_eq!(query_of("bearerd token --min-validity 5m --wait 1500ms"), "?min_validity=300&wait=2");
        let line = "bearerd token --scope a:b --audience https://a.example/ --resource x&y";
        assert_eq!(query_of(line), "?scope=a%3Ab&audience=https%3A%2F%2Fa.example%2F&resource=x%26y");
    }
}
