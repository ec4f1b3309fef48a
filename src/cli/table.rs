//! Accounts as a table for people.

use std::time::Duration;

use super::{
    account::Account,
    screen::{Mood, paint, printable},
};
use crate::time::span;

/// The table, the worst first, below each account what there is to say of it, and at the end how the stored sign-ins
/// are protected.
pub fn render(accounts: &[Account], colour: bool) -> String {
    let mut accounts: Vec<&Account> = accounts.iter().collect();
    accounts.sort_by_key(|account| (rank(&account.state), account.name.clone()));
    let heading = ["ACCOUNT", "STATE", "VALID", "REFRESH"].map(str::to_owned);
    let rows: Vec<[String; 4]> = accounts.iter().map(|account| row(account)).collect();
    let widths: [usize; 4] = std::array::from_fn(|column| {
        let cells = rows.iter().chain([&heading]).map(|row| row[column].chars().count());
        cells.max().unwrap_or_default()
    });

    let mut lines = vec![paint(&aligned(&heading, &widths, None), Mood::Aside, colour)];
    for (account, row) in accounts.iter().zip(&rows) {
        lines.push(aligned(row, &widths, colour.then(|| mood(&account.state))));
        lines.extend(remarks(account).iter().map(|remark| format!("  {remark}")));
    }
    lines.extend(protection(&accounts).map(|line| format!("\n{}", paint(&line, Mood::Aside, colour))));
    lines.join("\n")
}

fn row(account: &Account) -> [String; 4] {
    let state = printable(&account.state.replace('_', " "));
    [printable(&account.name), state, valid(account), refresh(account)]
}

/// Cells in columns; the second one in the colour of its meaning, if one is given.
fn aligned(cells: &[String; 4], widths: &[usize; 4], mood: Option<Mood>) -> String {
    let padded = cells.iter().zip(widths).enumerate().map(|(column, (cell, width))| {
        let gap = " ".repeat(width.saturating_sub(cell.chars().count()));
        match mood.filter(|_| column == 1) {
            Some(mood) => paint(cell, mood, true) + &gap,
            None => format!("{cell}{gap}"),
        }
    });
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn valid(account: &Account) -> String {
    match account.expires_in {
        Some(0) => "expired".to_owned(),
        Some(left) => span(Duration::from_secs(left)),
        None if matches!(account.state.as_str(), "active" | "degraded") => "no end known".to_owned(),
        None => "-".to_owned(),
    }
}

fn refresh(account: &Account) -> String {
    match (account.refresh_in, account.state.as_str()) {
        (_, "refreshing") | (Some(0), _) => "now".to_owned(),
        (Some(pause), _) => format!("in {}", span(Duration::from_secs(pause))),
        (None, "active" | "degraded") if !account.refresh_token => "never".to_owned(),
        (None, _) => "-".to_owned(),
    }
}

/// What there is to say of an account, and what to do.
fn remarks(account: &Account) -> Vec<String> {
    let trouble = account.trouble();
    let code = match (&account.prompt, account.state.as_str()) {
        (Some(prompt), _) if !account.message.contains(&prompt.user_code) => {
            Some(format!("open {} and enter {}", prompt.verification_uri, prompt.user_code))
        }
        (None, "authorizing") => Some(format!("the code is shown by: bearerd login {}", account.name)),
        _ => None,
    };
    let untold = !trouble.is_empty() && !account.message.contains(trouble);
    let said = (!account.message.is_empty()).then(|| account.message.clone());
    let last = untold.then(|| format!("last error: {trouble}"));
    [said, code, last].into_iter().flatten().map(|remark| printable(&remark)).collect()
}

fn protection(accounts: &[&Account]) -> Option<String> {
    let mut levels: Vec<&str> = accounts.iter().filter_map(|account| account.protection.as_deref()).collect();
    levels.sort_unstable();
    levels.dedup();
    match levels.as_slice() {
        [] => None,
        ["none"] => Some("Storage protection: none (unencrypted, readable for bearerd and root only)".to_owned()),
        ["host"] => Some("Storage protection: host (sealed with a key that lies on the same disk)".to_owned()),
        ["tpm2"] => Some("Storage protection: tpm2 (sealed with a key that this machine's TPM guards)".to_owned()),
        levels => Some(printable(&format!("Storage protection: {}", levels.join(", ")))),
    }
}

/// The worst first; a word that is not known here may be the worst of all.
fn rank(state: &str) -> usize {
    const WORST_FIRST: [&str; 7] =
        ["misconfigured", "signed_out", "stale", "authorizing", "degraded", "refreshing", "active"];
    WORST_FIRST.iter().position(|known| *known == state).map_or(0, |at| at + 1)
}

fn mood(state: &str) -> Mood {
    match state {
        "active" | "refreshing" => Mood::Good,
        "authorizing" | "degraded" => Mood::Uncertain,
        _ => Mood::Bad,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::account::{LastError, Prompt};

    fn account(name: &str, state: &str, message: &str) -> Account {
        Account { name: name.into(), state: state.into(), message: message.into(), ..Account::default() }
    }

    fn some_accounts() -> Vec<Account> {
        vec![
            Account {
                expires_in: Some(3120),
                refresh_in: Some(2820),
                refresh_token: true,
                protection: Some("none".into()),
                ..account("kinde", "active", "signed in, token valid for 52 min")
            },
            account("fleet", "signed_out", "nobody has signed in yet; run: bearerd login"),
            account("a", "degraded", "signed in, but the server cannot be reached"),
        ]
    }

    #[test]
    fn the_worst_comes_first_and_columns_are_aligned() {
        let expected = "\
ACCOUNT  STATE       VALID         REFRESH
fleet    signed out  -             -
  nobody has signed in yet; run: bearerd login
a        degraded    no end known  never
  signed in, but the server cannot be reached
kinde    active      52 min        in 47 min
  signed in, token valid for 52 min

Storage protection: none (unencrypted, readable for bearerd and root only)";
        assert_eq!(render(&some_accounts(), false), expected);
    }

    #[test]
    fn colours_do_not_disturb_the_columns() {
        let mut plain = render(&some_accounts(), true);
        for code in ["\x1b[32m", "\x1b[33m", "\x1b[1;31m", "\x1b[2m", "\x1b[0m"] {
            assert!(plain.contains(code), "{code:?}");
            plain = plain.replace(code, "");
        }
        assert_eq!(plain, render(&some_accounts(), false));
    }

    #[test]
    fn what_the_sentence_leaves_out_is_added() {
        let mut account = account("kinde", "active", "signed in");
        account.last_error = Some(LastError { error_description: "the sign-in was denied".into() });
        assert_eq!(remarks(&account), ["signed in", "last error: the sign-in was denied"]);
        account.message = "signed in, but the sign-in was denied".into();
        assert_eq!(remarks(&account).len(), 1);
        account.state = "authorizing".into();
        assert_eq!(remarks(&account)[1], "the code is shown by: bearerd login kinde");
        account.prompt = Some(Prompt {
            user_code: "AB".into(),
            verification_uri: "https://a.example".into(),
            verification_uri_complete: None,
            expires_in: 60,
            warning: None,
        });
        assert_eq!(remarks(&account)[1], "open https://a.example and enter AB");
    }

    #[test]
    fn a_hostile_server_cannot_steer_the_terminal() {
        let text = render(&[account("kinde", "new_\x1bstate", "\x1b]0;title\x07\nfake line")], false);
        assert!(!text.contains('\x1b') && !text.contains('\x07') && !text.contains("\nfake"), "{text:?}");
    }
}
