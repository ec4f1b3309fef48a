//! What the black-box tests share. Each test is a crate of its own and uses a part of it.
#![allow(dead_code, clippy::disallowed_methods, reason = "each test uses a part, and tests may read clocks")]

pub mod authorization_server;
pub mod daemon;
pub mod oidc_provider;
