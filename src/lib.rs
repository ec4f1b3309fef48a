//! bearerd: OAuth 2.0 device sign-in (RFC 8628) and access tokens for local programs on headless machines.
//!
//! The house has floors, and arrows point down only:
//!
//! | floor | modules | what lives there |
//! |---|---|---|
//! | 5 | `main`, [`cli`], [`daemon`] | the program |
//! | 4 | [`api`] | HTTP on a Unix socket and D-Bus, two translators of the same verbs |
//! | 3 | [`broker`] | the verbs, who may use them, and one task per account |
//! | 2 | [`config`], [`platform`] | settings, and every edge to the machine |
//! | 1 | [`account`] | the account machine: no I/O, no clock |
//! | 0 | [`time`], [`secret`], [`oauth`] | values: moments, secrets, what goes over the wire |
//!
//! `docs/architecture.md` says why, and `tests/floors.rs` keeps it so.

#![deny(unsafe_code)]
#![deny(clippy::disallowed_methods)]
#![cfg_attr(not(test), deny(clippy::expect_used, clippy::unwrap_used), warn(clippy::pedantic))]
#![allow(
    clippy::format_push_string,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::module_name_repetitions,
    clippy::match_bool,
    clippy::must_use_candidate,
    clippy::needless_for_each,
    clippy::needless_pass_by_value,
    clippy::single_match_else,
    clippy::unused_self,
    reason = "the house style says these things where they matter"
)]

pub mod account;
pub mod api;
pub mod broker;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod oauth;
pub mod platform;
pub mod qr;
pub mod secret;
pub mod time;
