//! What `bearerd register --write` leaves: the account, the client's secret, and what manages the client later.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{Draft, Outcome};
use crate::{
    account::AccountName,
    cli::{Exit, Failure, screen::Screen},
    config::{self, AccountSettings, Settings},
    platform::new_file::NewFile,
};

/// The files, all of them possible.
pub(super) struct Files {
    config: PathBuf,
    account: AccountName,
    drop_in: NewFile,
    secret: NewFile,
    management: NewFile,
}

impl Files {
    /// Prepares them for an account that the configuration at `config` does not have yet.
    pub fn prepare(config: &Path, account: &AccountName) -> Result<Self, Failure> {
        let settings = Settings::load(config).map_err(|error| {
            let text = format!("{error}\nmend the configuration first: bearerd check shows whether it is right");
            Failure::new(Exit::Configuration, text)
        })?;
        if settings.accounts.contains_key(account) {
            let text = format!("there is an account {account} already; name another one with --account");
            return Err(Failure::new(Exit::Arguments, text));
        }
        let beside = |kind: &str| config.with_file_name(format!("{account}.{kind}"));
        let file = |path: &Path, mode| NewFile::prepare(path, mode).map_err(|error| failed(path, &error));
        let (drop_in, secret) = (config::drop_in(config, account), beside("secret"));
        if secret.to_str().is_none() {
            return Err(Failure::other(format!("{} is no text, and a configuration is", secret.display())));
        }
        Ok(Self {
            secret: file(&secret, 0o600)?,
            management: file(&beside("registration"), 0o600)?,
            drop_in: file(&drop_in, 0o644)?,
            config: config.to_owned(),
            account: account.clone(),
        })
    }

    /// Writes what there is, the account last, and prints where that is.
    pub fn keep(self, draft: &Draft, result: Outcome<'_>, screen: &Screen) -> Result<(), Failure> {
        let registered = result.registered;
        if let Some(way) = &registered.management {
            let path = self.management.path().to_owned();
            let content = json!({
                "client_id": registered.client_id,
                "registration_client_uri": way.uri,
                "registration_access_token": way.token.expose(),
            });
            keep(self.management, &format!("{content:#}\n"), &registered.client_id)?;
            screen.remark(&format!("what changes or deletes the client later (RFC 7592) is in {}", path.display()));
        }
        let secret = self.secret.path().to_owned();
        if let Some(text) = &registered.secret {
            if let Err(error) = self.secret.give_to_daemon() {
                screen.remark(&format!("give {} to the user that the daemon runs as: {error}", secret.display()));
            }
            keep(self.secret, &format!("{}\n", text.expose()), &registered.client_id)?;
        }
        let secret = registered.secret.as_ref().map(|_| secret.as_path());
        let text = draft.text(Some(&Outcome { secret, ..result.clone() }));
        let drop_in = self.drop_in.path().to_owned();
        keep(self.drop_in, &text, &registered.client_id)?;
        screen.answer(&drop_in.display().to_string())?;
        if let Err(error) = AccountSettings::read(&self.config, &self.account, &text) {
            screen.remark(&error.to_string());
        }
        screen.remark(&format!("now run: bearerd reload && bearerd login {}", self.account));
        Ok(())
    }
}

fn keep(file: NewFile, content: &str, client_id: &str) -> Result<(), Failure> {
    let path = file.path().to_owned();
    file.keep(content.as_bytes()).map_err(|error| {
        let text = format!("the server has registered the client {client_id}, and now it is not kept; delete it there");
        Failure::other(format!("{}\n{text}", failed(&path, &error).text))
    })
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let text = format!("{path} is there already, and is not replaced; name another account with --account");
            Failure::new(Exit::Arguments, text)
        }
        io::ErrorKind::PermissionDenied => {
            let text = format!("{path} cannot be written: {error}; run this as root, or without --write");
            Failure::new(Exit::NotAllowed, text)
        }
        _ => Failure::other(format!("{path} cannot be written: {error}")),
    }
}
