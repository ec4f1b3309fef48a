//! `bearerd wait`: units order after it, so it outlasts restarts of the daemon.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    Exit, Failure, GET, Wait,
    account::meant,
    client::Client,
    follow::{Follower, LONG_POLL, Seen, patiently},
    screen::Screen,
};

/// Returns once the account has a usable token.
pub async fn run(client: &Client, arguments: Wait, screen: &Screen) -> Result<Exit, Failure> {
    let mut last = None;
    let usable = until_usable(client, &arguments, screen, &mut last);
    let seen = match arguments.timeout {
        None => usable.await?,
        Some(limit) => match timeout(limit, usable).await {
            Ok(seen) => seen?,
            Err(_) => return Err(too_late(client, last).await),
        },
    };
    if arguments.json {
        screen.json(&seen.json)?;
    }
    Ok(Exit::Success)
}

/// Leaves in `last` what was seen last.
async fn until_usable(
    client: &Client,
    arguments: &Wait,
    screen: &Screen,
    last: &mut Option<Seen>,
) -> Result<Seen, Failure> {
    let name = patiently(screen, None, async || meant(client, arguments.account.clone()).await).await?;
    let mut follower = Follower::new(client, &name);
    loop {
        let news = patiently(screen, None, async || follower.next(LONG_POLL).await).await?;
        if news.is_some() {
            *last = news;
        }
        if let Some(seen) = last.as_ref().filter(|seen| seen.account.is_usable()) {
            return Ok(seen.clone());
        }
    }
}

/// Why there is no usable token: the daemon was not there, or what the account said last.
async fn too_late(client: &Client, last: Option<Seen>) -> Failure {
    match last {
        Some(seen) => Failure::new(Exit::NotNow, format!("no usable token in time; {}", seen.account.sentence())),
        None => {
            // It never answered; asking once more says why.
            let again = timeout(ONCE_MORE, client.ask(GET, "/v1/health")).await.ok().and_then(Result::err);
            again.unwrap_or_else(|| Failure::new(Exit::Unreachable, "the daemon did not answer in time; try again"))
        }
    }
}

const ONCE_MORE: Duration = Duration::from_secs(1);
