//! `bearerd status`

use std::time::Duration;

use tokio::{task::JoinSet, time::sleep};

use super::{
    Exit, Failure, GET, Status,
    account::{Account, List, NO_ACCOUNT},
    client::Client,
    follow::{Follower, LONG_POLL, Seen, patiently},
    path_of,
    screen::Screen,
    table,
};

/// Shows how the accounts are, once or on every change.
pub async fn run(client: &Client, arguments: Status, screen: &Screen) -> Result<Exit, Failure> {
    if arguments.watch {
        return watch(client, &arguments, screen).await;
    }
    let path = arguments.account.as_ref().map_or_else(|| "/v1/accounts".to_owned(), |name| path_of(name.as_str(), ""));
    let answer = client.ask(GET, &path).await?;
    let accounts = match arguments.account {
        Some(_) => vec![answer.read::<Account>()?],
        None => answer.read::<List>()?.accounts,
    };
    if arguments.json {
        screen.json(&answer.text())?;
    } else {
        show(&accounts, screen)?;
    }
    let usable = arguments.account.is_none() || accounts.iter().all(Account::is_usable);
    Ok(if usable { Exit::Success } else { Exit::NotNow })
}

fn show(accounts: &[Account], screen: &Screen) -> Result<(), Failure> {
    if accounts.is_empty() {
        screen.complain(NO_ACCOUNT);
        return Ok(());
    }
    screen.answer(&table::render(accounts, screen.colour))
}

/// Redraws a terminal; elsewhere every change is a block of its own.
async fn watch(client: &Client, arguments: &Status, screen: &Screen) -> Result<Exit, Failure> {
    let redraws = screen.terminal && !arguments.json;
    let mut shown: Option<Vec<Option<String>>> = None;
    loop {
        let look = async || look(client, arguments).await;
        let (followers, seen) = match shown {
            None => look().await?,
            Some(_) => patiently(screen, None, look).await?,
        };
        let etags = seen.iter().map(|seen| seen.etag.clone()).collect();
        let news = shown.as_ref() != Some(&etags);
        if redraws {
            screen.clear()?;
        } else if news && shown.is_some() && !arguments.json {
            screen.answer("")?;
        }
        if arguments.json && news {
            seen.iter().try_for_each(|seen| screen.json(&seen.json))?;
        } else if redraws || news {
            show(&seen.into_iter().map(|seen| seen.account).collect::<Vec<_>>(), screen)?;
        }
        shown = Some(etags);
        // On a terminal, times grow shorter before the eyes.
        any_change(followers, if redraws { REDRAW } else { LONG_POLL }).await;
    }
}

/// Looks at all accounts, or the one that is named.
async fn look(client: &Client, arguments: &Status) -> Result<(Vec<Follower>, Vec<Seen>), Failure> {
    let names = match &arguments.account {
        Some(name) => vec![name.to_string()],
        None => {
            let list: List = client.ask(GET, "/v1/accounts").await?.read()?;
            list.accounts.into_iter().map(|account| account.name).collect()
        }
    };
    let (mut followers, mut accounts) = (Vec::new(), Vec::new());
    for name in names {
        let mut follower = Follower::new(client, &name);
        match follower.next(Duration::ZERO).await {
            Ok(seen) => accounts.extend(seen),
            // It has gone since the list was made.
            Err(failure) if failure.error == "no_such_account" && arguments.account.is_none() => continue,
            Err(failure) => return Err(failure),
        }
        followers.push(follower);
    }
    Ok((followers, accounts))
}

/// Returns when one of them changes, or after `wait`.
async fn any_change(followers: Vec<Follower>, wait: Duration) {
    if followers.is_empty() {
        return sleep(wait).await;
    }
    let mut polls = JoinSet::new();
    for mut follower in followers {
        polls.spawn(async move { follower.next(wait).await });
    }
    // Whatever it was, all are looked at again.
    let _ = polls.join_next().await;
}

const REDRAW: Duration = Duration::from_secs(5);
