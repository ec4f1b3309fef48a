//! What more accounts, more waiting callers and other people's refreshes do to a caller, and to memory.

use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

use super::{
    figures::{Figures, Goal},
    idle::memory,
    load_http::{self, Connections},
    plot,
    rig::{Rig, Size},
    rounds::{Spread, percentile},
    support::authorization_server::{AuthorizationServer, Endpoint, Settings},
};

/// Latency and memory against the number of accounts and of waiting callers; the quiet p99 against a busy one.
pub fn measure(size: Size, figures: &mut Figures) {
    accounts(size, figures);
    waiting(size, figures);
    busy(size, figures);
}

/// The median of a few runs: what the preparation stirred up falls into the first.
fn latency(socket: &Path, size: Size, share: f64) -> f64 {
    let run = || percentile(&mut load_http::run(socket, 1, size.of(5000), Connections::KeptAlive).latencies, share);
    Spread::of((0..5).map(|_| run()).collect()).median
}

fn accounts(size: Size, figures: &mut Figures) {
    let counts: &[usize] = if size == Size::Full { &[1, 10, 100, 1000, 10_000] } else { &[1, 10] };
    let (mut latencies, mut memories) = (Vec::new(), Vec::new());
    for count in counts {
        let mut rig = Rig::with_accounts(*count, Settings::default());
        latencies.push((*count as f64, latency(&rig.daemon.socket(), size, 0.5)));
        memories.push((*count as f64, memory(rig.daemon.pid()).1 * 1024.0));
        if *count == *counts.last().unwrap_or(&0) {
            assert!(rig.daemon.stop().success());
            let begun = Instant::now();
            rig.daemon.start_again();
            let elapsed = Spread::exactly(begun.elapsed().as_secs_f64());
            figures.add(format!("{count} accounts: exec to READY"), elapsed, "s", Some(Goal::AtMost(2.0)));
        }
    }
    let (first, last) = (memories[0], memories[memories.len() - 1]);
    let each = Spread::exactly((last.1 - first.1) / (last.0 - first.0));
    figures.add("each further account, idle", each, "KiB", Some(Goal::AtMost(2.0)));
    let grown = Spread::exactly(latencies[latencies.len() - 1].1 / latencies[0].1);
    figures.add(format!("p50 with {} accounts over that with one", last.0), grown, "×", Some(Goal::AtMost(1.1)));
    figures.plot("accounts-latency.svg", plot::lines("Cached token, p50", "accounts", "µs", &latencies));
    figures.plot("accounts-memory.svg", plot::lines("Private memory", "accounts", "KiB", &memories));
}

/// Callers that wait for a person to sign in.
fn waiting(size: Size, figures: &mut Figures) {
    let rig = Rig::start(&[]);
    let issuer = rig.server.issuer();
    let config =
        format!("{}[accounts.other]\nissuer = \"{issuer}\"\nlogin = \"manual\"\n", super::rig::config(&rig.server, 1));
    std::fs::write(rig.daemon.folder().join("bearerd.toml"), config).expect("a configuration");
    assert_eq!(rig.daemon.post("/v1/reload").status, 200);
    let counts: &[usize] = if size == Size::Full { &[1, 10, 100, 900] } else { &[1, 10] };
    let mut callers = Vec::new();
    let mut latencies = Vec::new();
    for count in counts {
        while callers.len() < *count {
            let mut stream = UnixStream::connect(rig.daemon.socket()).expect("a connection");
            let request = "GET /v1/accounts/other/token?wait=300 HTTP/1.1\r\nHost: localhost\r\n\r\n";
            stream.write_all(request.as_bytes()).expect("a request");
            callers.push(stream);
        }
        // The last of them has been read once this answers: there is one thread.
        rig.daemon.get("/v1/health");
        latencies.push((*count as f64, latency(&rig.daemon.socket(), size, 0.5)));
    }
    let grown = Spread::exactly(latencies[latencies.len() - 1].1 / latencies[0].1);
    figures.add(format!("p50 beside {} waiting callers over that beside one", callers.len()), grown, "×", None);
    figures.plot("waiting-latency.svg", plot::lines("Cached token, p50", "waiting callers", "µs", &latencies));
}

/// A hundred accounts whose tokens live for seconds, so that they refresh and save all the time.
fn busy(size: Size, figures: &mut Figures) {
    let accounts = size.of(100).max(2);
    let settings = Settings { rotation_grace: Duration::from_secs(86_400), ..Settings::default() };
    let rig = Rig::with_accounts(accounts + 1, settings);
    // Each refresh changes the status text, and the daemon waits where nobody reads it.
    rig.daemon.collect_notices();
    let (_bare, bare) = rig.bare_http();
    let ours = rig.daemon.socket();
    let p99 = |socket: &Path| {
        percentile(&mut load_http::run(socket, 1, size.of(20_000), Connections::KeptAlive).latencies, 0.99)
    };
    // Each in turn with bare hyper, which refreshes nothing: what it feels of that is the machine's.
    let rounds = || (0..size.of(7)).map(|_| (p99(&ours), p99(&bare))).collect::<Vec<_>>();
    let mut quiet = rounds();
    rig.server.change(|settings| settings.token_lifetime = Some(4));
    for account in 1..=accounts {
        assert_eq!(rig.daemon.post(&format!("/v1/accounts/box-{account}/refresh")).status, 200);
    }
    let before = rig.server.count(Endpoint::Refresh);
    let loud = rounds();
    let refreshes = rig.server.count(Endpoint::Refresh) - before;
    rig.server.change(|settings| settings.token_lifetime = None);
    wait_for_silence(&rig.server);
    // The machine may have changed its mood meanwhile.
    quiet.extend(rounds());
    // The accounts share one grant, which no client would do: each of them knows a refresh token that is not the last.
    rig.server.take_violations();
    let over_quiet = |of: fn(&(f64, f64)) -> f64| {
        let quiet = Spread::of(quiet.iter().map(of).collect()).median;
        Spread::of(loud.iter().map(|round| of(round) / quiet).collect())
    };
    let what = format!("p99 while {accounts} other accounts refresh and save ({refreshes} times) over the quiet p99");
    figures.add(what, over_quiet(|round| round.0), "×", Some(Goal::AtMost(2.0)));
    figures.add("the same of bare hyper at the same time", over_quiet(|round| round.1), "×", None);
}

/// Until nobody has refreshed for longer than the shortest token lived.
fn wait_for_silence(server: &AuthorizationServer) {
    let mut count = 0;
    while server.count(Endpoint::Refresh) != count {
        count = server.count(Endpoint::Refresh);
        sleep(Duration::from_secs(5));
    }
}
