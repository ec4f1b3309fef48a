//! What is counted is what happened, in the format that Prometheus reads, and what is shipped to watch it names nothing else.

mod support;

use std::{collections::BTreeMap, fs, path::Path};

use support::{
    authorization_server::{AuthorizationServer, Endpoint, Reply},
    daemon::Daemon,
};

/// Every sample by its name and labels. Strict: what Prometheus would only put up with is an error here.
fn read(text: &str) -> BTreeMap<String, f64> {
    let (mut samples, mut family) = (BTreeMap::new(), String::new());
    let mut kinds = BTreeMap::new();
    assert!(text.ends_with('\n'));
    for line in text.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            family = help.split_once(' ').expect("a help text").0.to_owned();
        } else if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, family, "the type follows the help");
            assert!(matches!(kind, "counter" | "gauge" | "histogram"), "{kind}");
            assert_eq!(kind == "counter", name.ends_with("_total"), "{name}");
            assert!(kinds.insert(family.clone(), kind.to_owned()).is_none(), "{name} twice");
        } else {
            let (series, value) = line.rsplit_once(' ').expect("a sample");
            let (name, labels) = series.split_once('{').expect("labels");
            let own = match kinds[&family].as_str() {
                "histogram" => ["_bucket", "_sum", "_count"].iter().any(|end| name == format!("{family}{end}")),
                _ => name == family,
            };
            assert!(own, "{name} does not belong to {family}");
            let labels = labels.strip_suffix('}').expect("an end");
            for label in labels.split(',') {
                let (label, value) = label.split_once("=\"").expect("a label");
                assert!(label.bytes().all(|byte| byte.is_ascii_lowercase()), "{label}");
                assert!(value.ends_with('"') && !value.contains('\\'), "{value}");
            }
            let value: f64 = value.parse().expect("a number");
            assert!(samples.insert(series.to_owned(), value).is_none(), "{series} twice");
        }
    }
    samples
}

#[test]
fn what_happened_is_counted() {
    let server = AuthorizationServer::start();
    let config = format!("[accounts.box]\nissuer = \"{}\"\nscopes = [\"openid\", \"offline\"]\n", server.issuer());
    let daemon = Daemon::start(&config);
    let metrics = || {
        let reply = daemon.get("/metrics");
        assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
        (read(&reply.body), reply.body)
    };
    let state = |samples: &BTreeMap<String, f64>| {
        let is =
            samples.iter().filter(|(series, value)| series.starts_with("bearerd_account_state{") && **value == 1.0);
        is.map(|(series, _)| series.split('"').nth(3).expect("a state").to_owned()).collect::<Vec<_>>()
    };
    let (before, _) = metrics();
    assert_eq!(state(&before), ["signed_out"]);
    assert_eq!(before["bearerd_token_attempts_total{account=\"box\",result=\"success\"}"], 0.0);
    assert!(!before.keys().any(|series| series.starts_with("bearerd_token_expiry_seconds")));

    daemon.post("/v1/accounts/box/login");
    assert_eq!(state(&metrics().0), ["authorizing"]);
    server.approve();
    for _ in 0..3 {
        assert_eq!(daemon.get("/v1/token?wait=60").status, 200);
    }
    server.reply_next(Endpoint::Refresh, Reply::error(503, "temporarily_unavailable"));
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 502);
    assert_eq!(state(&metrics().0), ["degraded"]);
    assert_eq!(daemon.post("/v1/accounts/box/refresh").status, 200);
    fs::write(daemon.folder().join("bearerd.toml"), format!("{config}min_validity = \"2m\"\n"))
        .expect("a configuration");
    assert_eq!(daemon.post("/v1/reload").status, 200, "a reload keeps the counts");

    let (samples, text) = metrics();
    assert_eq!(state(&samples), ["active"]);
    let uid = nix::unistd::geteuid();
    assert_eq!(samples[&format!("bearerd_tokens_issued_total{{account=\"box\",uid=\"{uid}\",unit=\"\"}}")], 3.0);
    assert_eq!(samples["bearerd_token_attempts_total{account=\"box\",result=\"success\"}"], 2.0);
    let failed: f64 = samples
        .iter()
        .filter(|(series, _)| series.starts_with("bearerd_token_attempts_total") && !series.contains("\"success\""))
        .map(|(_, value)| value)
        .sum();
    assert_eq!(failed, 1.0, "{text}");
    assert_eq!(samples["bearerd_http_request_duration_seconds_count{kind=\"token\"}"], 3.0);
    assert!(samples["bearerd_provider_request_duration_seconds_count{account=\"box\"}"] >= 4.0);
    assert!(samples["bearerd_token_expiry_seconds{account=\"box\"}"] > 0.0);
    assert_eq!(samples["bearerd_protection{level=\"none\"}"], 1.0);
    for secret in server.issued_secrets().iter().chain(&server.user_codes()) {
        assert!(!text.contains(secret.as_str()), "a secret among the metrics");
    }
    names_only_what_exists(&text);
}

/// The rules, the dashboard and the manual name metrics that exist, and the manual names all of them.
fn names_only_what_exists(text: &str) {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let families: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    for file in ["conf/monitoring/bearerd.rules.yml", "conf/monitoring/grafana-dashboard.json", "docs/metrics.md"] {
        let content = fs::read_to_string(repository.join(file)).expect(file);
        let words = content.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let named: Vec<&str> = words.filter(|word| word.starts_with("bearerd_")).collect();
        for name in &named {
            let known = families.contains(name) || families.contains(&name.trim_end_matches("_bucket"));
            assert!(known, "{file} names {name}");
        }
        if file.ends_with("metrics.md") {
            assert!(families.iter().all(|family| named.contains(family)), "{file} leaves one out");
        }
    }
    let dashboard = fs::read_to_string(repository.join("conf/monitoring/grafana-dashboard.json")).expect("a dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&dashboard).expect("JSON");
    assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 5));
}
