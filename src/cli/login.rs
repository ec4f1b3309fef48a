//! `bearerd login`: shows the code, and waits until somebody has approved.

use std::{cell::Cell, pin::pin, time::Duration};

use tokio::time::{sleep, timeout};

use super::{
    Exit, Failure, Login, POST,
    account::{Account, Prompt, meant},
    client::Client,
    follow::{Follower, LONG_POLL, Seen, patiently},
    path_of,
    screen::{Mood, Screen, clock_face, paint, printable},
};
use crate::{
    platform::clock,
    qr::blocks::Qr,
    time::{Instant, span},
};

/// Starts a login, or joins the one that is running.
pub async fn run(client: &Client, arguments: Login, screen: &Screen) -> Result<Exit, Failure> {
    let name = meant(client, arguments.account).await?;
    let path = if arguments.replace { "/login?replace=true" } else { "/login" };
    let answer = client.ask(POST, &path_of(&name, path)).await?;
    let prompt: Prompt = answer.read()?;
    if arguments.json {
        screen.json(&answer.text())?;
    } else {
        screen.answer(&instructions(&name, &prompt, screen))?;
        warn(&prompt, screen);
    }
    if arguments.no_wait {
        return Ok(Exit::Success);
    }
    let ends = Cell::new(clock::boot() + prompt.time_left());
    let waiting = Waiting { client, name: &name, screen, json: arguments.json, ends: &ends };
    if !screen.live {
        screen.remark(&format!("Waiting for the sign-in, for up to {} …", span(prompt.time_left())));
    }
    let seen = tokio::select! {
        seen = waiting.with_countdown(waiting.until_over(prompt)) => seen?,
        _ = tokio::signal::ctrl_c() => {
            screen.end_progress();
            screen.remark("Not waiting any more. The code stays valid until it runs out: approve it, and this machine is signed in.");
            return Ok(Exit::Interrupted);
        }
    };
    if arguments.json {
        screen.json(&seen.json)?;
    } else {
        screen.answer(&paint(&printable(&seen.account.sentence()), Mood::Good, screen.colour))?;
    }
    Ok(Exit::Success)
}

/// What a person has to do, the QR code above the words so that the words are the last on the screen.
fn instructions(name: &str, prompt: &Prompt, screen: &Screen) -> String {
    let (columns, rows) = screen.size;
    let complete = prompt.verification_uri_complete.as_deref();
    let (code, page) = (printable(&prompt.user_code), printable(&prompt.verification_uri));
    let name = printable(name);
    let target = complete.unwrap_or(&prompt.verification_uri);
    let Some(qr) = Qr::fitting(target, columns, rows.saturating_sub(WORDS)) else {
        return format!("To sign in {name}, open\n\n    {page}\n\nand enter the code\n\n    {code}\n");
    };
    let then = match complete {
        Some(_) => "and compare the code",
        None => "and enter the code",
    };
    let drawing = qr.draw(screen.colour);
    format!("To sign in {name}, scan this with a phone {then}:\n{drawing}\nor open    {page}\nand enter  {code}\n")
}

/// Below the code, where nobody overlooks it.
fn warn(prompt: &Prompt, screen: &Screen) {
    if let Some(warning) = &prompt.warning {
        screen.complain(warning);
    }
}

/// A login that somebody waits for.
struct Waiting<'a> {
    client: &'a Client,
    name: &'a str,
    screen: &'a Screen,
    json: bool,
    /// When the code that is shown runs out.
    ends: &'a Cell<Instant>,
}

impl Waiting<'_> {
    /// Shows the time that is left while `work` goes on.
    async fn with_countdown<T>(&self, work: impl Future<Output = T>) -> T {
        if !self.screen.live {
            return work.await;
        }
        let mut work = pin!(work);
        loop {
            let left = clock::boot().until(self.ends.get());
            self.screen
                .progress(&format!("Waiting for the sign-in … {} left (Ctrl-C to stop waiting)", clock_face(left)));
            tokio::select! {
                result = &mut work => {
                    self.screen.end_progress();
                    return result;
                }
                () = sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    /// Follows the account until the login is over, and says how it ended.
    async fn until_over(&self, mut prompt: Prompt) -> Result<Seen, Failure> {
        let mut follower = Follower::new(self.client, self.name);
        let mut before = None;
        loop {
            let give_up = self.ends.get() + AFTER_THE_CODE;
            let news = patiently(self.screen, Some(give_up), async || follower.next(LONG_POLL).await).await?;
            let Some(mut seen) = news else { continue };
            if is_under_way(&seen.account) {
                if let Some(new) = seen.account.prompt.take().filter(|new| new.user_code != prompt.user_code) {
                    self.show_again(&new, &seen.json)?;
                    prompt = new;
                }
                before.get_or_insert(seen.account);
                continue;
            }
            let seen = self.settled(&mut follower, before.as_ref(), seen).await?;
            if is_under_way(&seen.account) {
                continue;
            }
            return match outcome(before.as_ref(), &seen.account) {
                None => Ok(seen),
                Some(text) if seen.account.state == "misconfigured" => Err(Failure::new(Exit::Configuration, text)),
                Some(text) => Err(Failure::new(Exit::NotNow, text)),
            };
        }
    }

    /// The code ran out, and the daemon had another made.
    fn show_again(&self, prompt: &Prompt, json: &str) -> Result<(), Failure> {
        self.ends.set(clock::boot() + prompt.time_left());
        self.screen.end_progress();
        if self.json {
            let account: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
            return self.screen.json(&account["prompt"].to_string());
        }
        self.screen.remark("The code has run out; here is a new one.");
        self.screen.answer(&instructions(self.name, prompt, self.screen))?;
        warn(prompt, self.screen);
        Ok(())
    }

    /// An approval is saved before it shows, so an account that looks as it did before may look better in a moment.
    async fn settled(&self, follower: &mut Follower, before: Option<&Account>, seen: Seen) -> Result<Seen, Failure> {
        if !is_as_before(before, &seen.account) {
            return Ok(seen);
        }
        match timeout(SETTLING, follower.next(SETTLING)).await {
            Ok(Ok(Some(newer))) => Ok(newer),
            _ => Ok(seen),
        }
    }
}

fn is_under_way(account: &Account) -> bool {
    matches!(account.state.as_str(), "authorizing" | "refreshing")
}

fn is_as_before(before: Option<&Account>, after: &Account) -> bool {
    let same = |before: &Account| before.reason == after.reason && before.last_error == after.last_error;
    after.state != "active" && before.is_none_or(same)
}

/// Why nobody is signed in after the login; `None` when somebody is. `before` is the account while the code was out.
fn outcome(before: Option<&Account>, after: &Account) -> Option<String> {
    let name = &after.name;
    let trouble = after.trouble();
    // While an earlier sign-in serves, the account is active whatever became of the new one.
    let end = |account: &Account| account.expires_at;
    let earlier = before.and_then(end).zip(end(after)).is_some_and(|(before, after)| before.abs_diff(after) <= 2);
    match after.state.as_str() {
        "active" | "degraded" if earlier && trouble.is_empty() => Some(format!(
            "{name}: the code was not used; the earlier sign-in goes on; to try again, run: bearerd login {name}"
        )),
        "active" if trouble.is_empty() => None,
        // Signed in, with a flaw: the sentence says which.
        "degraded" if !earlier => None,
        "active" | "degraded" => {
            Some(format!("{name}: {trouble}; the earlier sign-in goes on; to try again, run: bearerd login {name}"))
        }
        _ => Some(after.sentence()),
    }
}

/// The lines around a QR code, that of the countdown included.
const WORDS: usize = 5;
const SETTLING: Duration = Duration::from_secs(5);
/// A daemon that does not come back until then has no news of this code.
const AFTER_THE_CODE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::account::LastError;

    fn account(state: &str, expires_at: Option<u64>, trouble: &str) -> Account {
        let last_error = (!trouble.is_empty()).then(|| LastError { error_description: trouble.into() });
        let (name, message) = ("kinde".to_owned(), "how it is".to_owned());
        Account { name, message, state: state.into(), expires_at, last_error, ..Account::default() }
    }

    fn prompt(complete: Option<&str>) -> Prompt {
        Prompt {
            user_code: "CSLD-FDUU".into(),
            verification_uri: "https://acme.kinde.com/device".into(),
            verification_uri_complete: complete.map(str::to_owned),
            expires_in: 600,
            warning: None,
        }
    }

    #[test]
    fn a_login_has_succeeded_when_there_is_a_new_token() {
        let fresh = account("authorizing", None, "");
        let earlier = account("authorizing", Some(1000), "");
        for (before, after, signed_in) in [
            (Some(&fresh), account("active", Some(5000), ""), true),
            (Some(&fresh), account("active", None, ""), true),
            (Some(&fresh), account("degraded", Some(5000), "the state is not on disk yet"), true),
            (Some(&fresh), account("signed_out", None, ""), false),
            (Some(&fresh), account("misconfigured", None, "invalid_client"), false),
            (Some(&earlier), account("active", Some(5000), ""), true),
            (Some(&earlier), account("active", Some(1001), ""), false),
            (Some(&earlier), account("active", Some(1000), "the sign-in was denied"), false),
            (Some(&earlier), account("degraded", Some(1000), "the server cannot be reached"), false),
            (None, account("active", Some(5000), ""), true),
        ] {
            assert_eq!(outcome(before, &after).is_none(), signed_in, "{} {:?}", after.state, after.last_error);
        }
    }

    #[test]
    fn an_account_that_looks_as_before_may_still_change() {
        let before = account("authorizing", None, "");
        assert!(is_as_before(Some(&before), &account("signed_out", None, "")));
        assert!(is_as_before(None, &account("signed_out", None, "")));
        assert!(!is_as_before(Some(&before), &account("active", None, "")));
        assert!(!is_as_before(Some(&before), &account("signed_out", None, "the sign-in was denied")));
        let denied = Account { reason: Some("denied".into()), ..account("signed_out", None, "") };
        assert!(!is_as_before(Some(&before), &denied));
    }

    #[test]
    fn the_words_fit_the_terminal() {
        let screen = |columns| Screen { terminal: true, colour: true, size: (columns, 24), live: true };
        let complete = Some("https://acme.kinde.com/device?user_code=CSLD-FDUU");
        for (text, qr) in [
            (instructions("kinde", &prompt(complete), &screen(80)), true),
            (instructions("kinde", &prompt(None), &screen(80)), true),
            (instructions("kinde", &prompt(complete), &screen(20)), false),
        ] {
            assert_eq!(text.contains('▄'), qr, "{text}");
            assert!(text.lines().count() < 24, "{text}");
            assert!(text.contains("https://acme.kinde.com/device\n") && text.contains("CSLD-FDUU\n"), "{text}");
        }
    }
}
