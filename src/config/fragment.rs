//! The configuration as it is written: the shape of the TOML files, values not yet understood.

use std::{collections::BTreeMap, num::NonZeroU16};

use serde::Deserialize;
use toml::Spanned;

use crate::oauth::{
    assertion::Algorithm,
    client_auth::{AssertionAudience, Method},
};

/// `bearerd.toml`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub daemon: Daemon,
    pub display: Display,
    pub accounts: BTreeMap<Spanned<String>, Account>,
    pub clients: Clients,
}

/// The tables `[clients.NAME]`.
pub(super) type Clients = BTreeMap<Spanned<String>, Client>;

/// A socket of its own for a unit or a container.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Client {
    pub accounts: Vec<Spanned<String>>,
    pub actions: Option<Vec<super::Action>>,
    pub scopes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Daemon {
    pub socket: String,
    pub state_directory: Option<String>,
    pub bus: Spanned<String>,
    pub log: Spanned<String>,
    pub connections_per_user: NonZeroU16,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Display {
    pub status: bool,
    pub console: bool,
    pub log: bool,
    pub command: Spanned<Vec<String>>,
}

/// One account: a table of `bearerd.toml`, or a whole file in `accounts.d`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Account {
    pub provider: Option<Spanned<String>>,
    pub issuer: Option<Spanned<String>>,
    pub issuer_pin: Option<String>,
    pub client_id: Option<Spanned<String>>,
    pub client_secret_file: Option<Spanned<String>>,
    pub client_secret_credential: Option<Spanned<String>>,
    pub client_auth: Option<Spanned<Method>>,
    pub private_key_file: Option<Spanned<String>>,
    pub private_key_credential: Option<Spanned<String>>,
    pub private_key_id: Option<Spanned<String>>,
    pub certificate_file: Option<Spanned<String>>,
    pub certificate_credential: Option<Spanned<String>>,
    pub assertion_algorithm: Option<Spanned<Algorithm>>,
    pub assertion_audience: Option<Spanned<AssertionAudience>>,
    pub scopes: Option<Vec<Spanned<String>>>,
    pub audience: Vec<String>,
    pub resource: Vec<Spanned<String>>,
    pub dpop: Option<bool>,
    pub narrow: Option<crate::oauth::narrow::Narrow>,
    pub device_authorization_endpoint: Option<Spanned<String>>,
    pub token_endpoint: Option<Spanned<String>>,
    pub revocation_endpoint: Option<Spanned<String>>,
    pub code_pages: Vec<Spanned<String>>,
    pub ca_file: Option<Spanned<String>>,
    pub login: Option<crate::account::LoginMode>,
    pub min_validity: Option<Spanned<String>>,
    pub refresh_margin: Option<Spanned<String>>,
    pub extra_parameters: ExtraParameters,
    pub file: Option<TokenFile>,
    pub allow: Vec<Spanned<Rule>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ExtraParameters {
    pub device: BTreeMap<Spanned<String>, String>,
    pub token: BTreeMap<Spanned<String>, String>,
    pub refresh: BTreeMap<Spanned<String>, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenFile {
    pub path: Spanned<String>,
    pub owner: Option<Spanned<String>>,
    pub mode: Option<Spanned<String>>,
    pub reload_unit: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rule {
    pub user: Option<Spanned<String>>,
    pub group: Option<Spanned<String>>,
    pub unit: Option<Spanned<String>>,
    pub socket: Option<Spanned<String>>,
    pub scopes: Option<Vec<String>>,
    pub actions: Option<Vec<super::Action>>,
}

impl Default for Daemon {
    fn default() -> Self {
        Self {
            socket: super::DEFAULT_SOCKET.to_owned(),
            state_directory: None,
            bus: Spanned::new(0..0, "system".to_owned()),
            log: Spanned::new(0..0, "info".to_owned()),
            connections_per_user: super::CONNECTIONS_PER_USER,
        }
    }
}

impl Default for Display {
    fn default() -> Self {
        Self { status: true, console: false, log: false, command: Spanned::new(0..0, Vec::new()) }
    }
}
