//! The log says who got a token and who did not, once in a while, and counts the rest.

mod support;

use support::{authorization_server::AuthorizationServer, bus::PrivateBus, daemon::Daemon};

fn lines<'a>(log: &'a str, part: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(part)).collect()
}

#[test]
fn each_token_that_is_issued_or_denied_is_recorded_once_in_a_while() {
    if !nix::unistd::geteuid().is_root() {
        return eprintln!("not run here: only root can be somebody else");
    }
    let (bus, server) = (PrivateBus::start(), AuthorizationServer::start());
    let config = format!(
        "[accounts.box]\nissuer = \"{}\"\nscopes = [\"offline\"]\n\
         [[accounts.box.allow]]\nuser = \"daemon\"\nactions = [\"status\"]\n\
         [[accounts.box.allow]]\nuser = \"root\"\nactions = [\"token\", \"login\"]\n",
        server.issuer()
    );
    let daemon = Daemon::start_with(&config, &["--bus", &bus.address()]);
    bus.wait_for_name();
    assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
    server.approve();
    let token = daemon.get("/v1/token?wait=120").text("access_token");
    for _ in 0..20 {
        assert_eq!(daemon.get("/v1/token").status, 200);
        assert_eq!(bus.get_token(None), Ok(token.clone()));
    }
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, token.as_bytes());
    let prefix: String = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let log = daemon.log();
    let issued = lines(&log, "got a token");
    assert_eq!(issued.len(), 1, "{issued:?}");
    for field in ["account=\"box\"", "caller_uid=0", "caller_gid=0", "rule=2", &format!("token_sha256=\"{prefix}\"")] {
        assert!(issued[0].contains(field), "{field} in {}", issued[0]);
    }
    assert!(lines(&log, "no rule allows").is_empty());

    for _ in 0..3 {
        assert!(bus.get_token(Some("games")).is_err(), "no rule names games");
    }
    let log = daemon.log();
    let denied = lines(&log, "no rule allows");
    assert_eq!(denied.len(), 1, "{denied:?}");
    assert!(denied[0].contains("WARN") && denied[0].contains("account=\"box\" caller_uid=5"), "{}", denied[0]);

    // Another token is another record.
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    assert_ne!(daemon.get("/v1/token").text("access_token"), token);
    assert_eq!(lines(&daemon.log(), "got a token").len(), 2);
}
