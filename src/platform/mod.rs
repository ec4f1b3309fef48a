//! Every edge to the machine: what reads a clock, opens a file or a socket, or talks to systemd, does it here.

pub mod bus;
pub mod catalog;
pub mod client_socket;
pub mod clock;
pub mod console;
pub mod credential;
pub mod headers;
pub mod hook;
pub mod inhibitor;
pub mod journal;
pub mod kernel;
pub mod machine;
pub mod new_file;
pub mod peer;
pub mod process;
pub mod proof;
pub mod provider;
pub mod reload;
pub mod socket;
pub mod store;
pub mod systemd;
pub mod tick;
pub mod token_file;
pub mod unit;
