//! A box without a battery for its clock: it wakes up years ago, and no certificate is valid yet.

mod support;

use std::fs;

use support::{daemon::Daemon, oidc_provider::OidcProvider};

#[test]
fn a_certificate_that_is_not_valid_yet_waits_for_the_clock() {
    let server = OidcProvider::start(&["--interval", "1"]);
    let config = format!(
        "[accounts.box]\nissuer = \"{}\"\nclient_id = \"appliance\"\nca_file = \"{}\"\nscopes = [\"openid\", \"offline_access\"]\n",
        server.issuer,
        server.ca().display()
    );
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("clock"), "@2019-06-01 12:00:00").expect("a clock");
    let clock = folder.path().join("clock");
    let daemon = Daemon::start_in(folder, &config, &[]);
    let refused = daemon.post("/v1/accounts/box/login");
    assert_eq!(refused.status, 503, "{}", refused.body);
    assert!(refused.body.contains("the clock is not set yet"), "{}", refused.body);
    let account = daemon.get("/v1/accounts/box");
    assert!(account.body.contains("the clock is not set yet"), "{}", account.body);

    // The network sets it.
    fs::write(clock, "+0").expect("a clock");
    let prompt = daemon.post("/v1/accounts/box/login");
    assert_eq!(prompt.status, 202, "{}", prompt.body);
    server.decide(&prompt.text("verification_uri_complete"), true);
    assert_eq!(daemon.get("/v1/accounts/box/token?wait=120").status, 200);
}
