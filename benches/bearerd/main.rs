//! `make bench`: what a token costs, measured against what it has to cost.
//!
//! Every figure of speed is a ratio: the daemon against a bare server that answers the same bytes over the same kind of
//! socket or bus and does nothing else, the two in turn within one run. So a slow or noisy machine changes both alike.
//! The table and the plots go into `docs/benchmarks/`; `docs/benchmarks.md` says how to read them.

#[path = "../../tests/support/mod.rs"]
mod support;

mod calls;
mod figures;
mod growth;
mod idle;
mod limits;
mod link_order;
mod load_dbus;
mod load_http;
mod peer;
mod plot;
mod processes;
mod rig;
mod rounds;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use self::{figures::Figures, rig::Size};

/// Measures bearerd against bare servers
#[derive(Parser)]
struct Arguments {
    /// A fraction of the work: shows that everything runs, and measures nothing
    #[arg(long)]
    smoke: bool,
    /// Only the chapters whose names contain this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
    /// Where the table and the plots go
    #[arg(long, value_name = "FOLDER", default_value = "docs/benchmarks")]
    out: PathBuf,
    /// Measures nothing, but writes this linker script, by which the program takes less memory
    #[arg(long, value_name = "FILE")]
    link_order: Option<PathBuf>,
    /// Given by cargo
    #[arg(long, hide = true)]
    bench: bool,
    #[command(subcommand)]
    role: Option<Role>,
}

/// What this program is when it starts itself.
#[derive(Subcommand)]
#[command(hide = true)]
enum Role {
    /// A bare hyper server that answers every request with the reply in a file
    LimitHttp { socket: PathBuf, reply: PathBuf },
    /// A bare zbus service that answers `GetToken` with the token in a file
    LimitDbus { address: String, token: PathBuf },
}

fn main() {
    let arguments = Arguments::parse();
    match arguments.role {
        Some(Role::LimitHttp { socket, reply }) => limits::http(&socket, &reply),
        Some(Role::LimitDbus { address, token }) => limits::dbus(&address, &token),
        None => match &arguments.link_order {
            Some(script) => link_order::write(script),
            None => measure(&arguments),
        },
    }
}

/// Measures some figures.
type Chapter = fn(Size, &mut Figures);

fn measure(arguments: &Arguments) {
    let size = if arguments.smoke { Size::Smoke } else { Size::Full };
    let mut figures = Figures::default();
    let chapters: [(&str, Chapter); 6] = [
        ("http", calls::http),
        ("dbus", calls::dbus),
        ("instructions", calls::instructions),
        ("processes", processes::measure),
        ("idle", idle::measure),
        ("growth", growth::measure),
    ];
    for (name, chapter) in chapters {
        if arguments.only.as_ref().is_none_or(|only| name.contains(only.as_str())) {
            eprintln!("== {name}");
            chapter(size, &mut figures);
        }
    }
    print!("{}", figures.table());
    if size == Size::Full && arguments.only.is_none() {
        figures.write(&arguments.out);
    }
}
