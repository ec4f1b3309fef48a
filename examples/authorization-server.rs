//! The scripted authorization server of the tests as a program: a Kinde on this machine, to try bearerd against.
//!
//! ```console
//! $ cargo run --example authorization-server -- --port 9400 --token-lifetime 60
//! $ curl --request POST http://127.0.0.1:9400/test/approve    # instead of the page at /device
//! ```

#[path = "../tests/support/authorization_server/mod.rs"]
mod authorization_server;

use std::{io, process::ExitCode, sync::Arc, thread, time::Duration};

use authorization_server::{AuthorizationServer, Settings};
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

/// An authorization server for trying bearerd: device grant, rotating refresh tokens, revocation, a protected resource.
#[derive(Parser)]
struct Arguments {
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 9400)]
    port: u16,
    /// Seconds that an access token lives
    #[arg(long, default_value_t = 60)]
    token_lifetime: u64,
    /// Seconds between two polls
    #[arg(long, default_value_t = 1)]
    interval: u64,
    /// Seconds that a device code lives
    #[arg(long, default_value_t = 600)]
    code_lifetime: u64,
    /// Approve every code at once
    #[arg(long)]
    auto_approve: bool,
}

fn main() -> io::Result<ExitCode> {
    let arguments = Arguments::parse();
    let server = AuthorizationServer::with(Settings {
        port: arguments.port,
        token_lifetime: Some(arguments.token_lifetime),
        interval: arguments.interval,
        code_lifetime: arguments.code_lifetime,
        auto_approve: arguments.auto_approve,
        test_hooks: true,
        ..Settings::default()
    });
    let server = match server {
        Ok(server) => server,
        Err(error) => {
            eprintln!("port {} on 127.0.0.1: {error}", arguments.port);
            return Ok(ExitCode::FAILURE);
        }
    };
    let issuer = server.issuer();
    println!("{issuer}");
    eprintln!("issuer = \"{issuer}\"   provider = \"kinde\"   scopes = [\"openid\", \"offline\"]");
    eprintln!("people approve at {issuer}/device, scripts with POST {issuer}/test/approve or /test/deny");
    eprintln!("access tokens open {issuer}/resource; Ctrl-C ends the server\n");

    let server = Arc::new(server);
    let shown = Arc::clone(&server);
    thread::spawn(move || show_requests(&shown));
    wait_for_signal()?;
    let broken = server.take_violations();
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One line for each request, and one for each rule that a client breaks.
fn show_requests(server: &AuthorizationServer) {
    let mut told = 0;
    for number in 0.. {
        let received = loop {
            if let Some(received) = server.any_answer(number, Duration::from_secs(60)) {
                break received;
            }
        };
        let status = received.status.map_or_else(|| "no reply".to_owned(), |status| status.to_string());
        eprintln!("{:?}: {} {} → {status}", received.endpoint, received.method, received.path);
        let violations = server.violations();
        for violation in &violations[told..] {
            eprintln!("  broken rule: {violation}");
        }
        told = violations.len();
    }
}

fn wait_for_signal() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })
}
