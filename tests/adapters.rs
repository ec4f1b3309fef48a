//! Programs that people already use get their credentials from bearerd, each by its own protocol: git, kubectl and
//! skopeo themselves, against a server over HTTPS that lets nobody in without the token.

mod support;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use support::{
    authorization_server::{AuthorizationServer, Endpoint},
    daemon::{Daemon, program},
    guarded::Guarded,
};

/// A signed-in daemon, and a server that accepts its token.
struct Rig {
    authorization: AuthorizationServer,
    daemon: Daemon,
    guarded: Guarded,
}

impl Rig {
    fn start() -> Self {
        let authorization = AuthorizationServer::start();
        let issuer = authorization.issuer();
        let daemon =
            Daemon::start(&format!("[accounts.box]\nissuer = \"{issuer}\"\nscopes = [\"openid\", \"offline\"]\n"));
        assert_eq!(daemon.post("/v1/accounts/box/login").status, 202);
        authorization.approve();
        let token = daemon.get("/v1/token?wait=120").text("access_token");
        let guarded = Guarded::start();
        guarded.accept(&token);
        Self { authorization, daemon, guarded }
    }

    /// A program that finds the daemon, and a home without anybody's settings.
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        let path = format!("{}:/usr/local/bin:/usr/bin:/bin", self.home().display());
        command.env_clear().env("PATH", path).env("HOME", self.home());
        command.env("BEARERD_SOCKET", self.daemon.socket()).env("GIT_TERMINAL_PROMPT", "0");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_SSL_CAINFO", self.guarded.ca());
        command
    }

    fn home(&self) -> PathBuf {
        self.daemon.folder().to_owned()
    }

    fn clone_with(&self, helper: &str, host: &str, into: &str) -> Output {
        let url = format!("https://{host}:{}/repo.git", self.guarded.port);
        let helper = format!("credential.helper=!{} git-credential {helper}", program());
        // The settings of the machine's own user must not help out.
        let clone = ["-c", "credential.helper=", "-c", &helper, "clone", "--quiet", &url, into];
        self.command("git").current_dir(self.home()).args(clone).output().expect("git runs")
    }
}

fn told(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn script(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("a script");
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a mode");
}

#[test]
fn git_clones_with_the_token() {
    let rig = Rig::start();
    let host = format!("--host localhost:{}", rig.guarded.port);
    let cloned = rig.clone_with(&host, "localhost", "basic");
    assert!(cloned.status.success(), "{}", told(&cloned));
    assert_eq!(fs::read_to_string(rig.home().join("basic/README")).expect("a file"), "guarded\n");
    let request = rig.guarded.wait_for(|request| request["good"] == true);
    assert_eq!((&request["scheme"], &request["user"]), (&"Basic".into(), &"oauth2".into()));
    rig.guarded.so_far();

    let cloned = rig.clone_with(&format!("{host} --bearer"), "localhost", "bearer");
    assert!(cloned.status.success(), "{}", told(&cloned));
    let request = rig.guarded.wait_for(|request| request["good"] == true);
    // From 2.46 on git says that it knows other ways than passwords.
    let knows_bearer = git_version() >= (2, 46);
    assert_eq!(request["scheme"], if knows_bearer { "Bearer" } else { "Basic" });
}

#[test]
fn another_server_that_asks_git_for_a_password_gets_no_token() {
    let rig = Rig::start();
    let refused = rig.clone_with("--host git.example.com", "localhost", "refused");
    assert!(!refused.status.success(), "{}", told(&refused));
    let refused = rig.clone_with(&format!("--host localhost:{}", rig.guarded.port), "127.0.0.1", "refused");
    assert!(!refused.status.success(), "the name is another one: {}", told(&refused));
    for request in rig.guarded.so_far() {
        assert!(request["user"].is_null() && request["good"] == false, "{request}");
    }
}

#[test]
fn a_token_that_the_server_refuses_is_replaced_by_a_new_one() {
    let rig = Rig::start();
    rig.guarded.accept("another one");
    let host = format!("--host localhost:{}", rig.guarded.port);
    assert!(!rig.clone_with(&host, "localhost", "refused").status.success());
    // git told the helper that the password was wrong, and the helper had it replaced.
    rig.authorization.wait_for_answer(Endpoint::Refresh, 1);
    rig.guarded.accept(&rig.daemon.get("/v1/token").text("access_token"));
    let cloned = rig.clone_with(&host, "localhost", "cloned");
    assert!(cloned.status.success(), "{}", told(&cloned));
    assert_eq!(rig.authorization.count(Endpoint::Refresh), 1);
}

#[test]
fn git_ends_with_the_reason_when_nobody_is_signed_in() {
    let rig = Rig::start();
    assert_eq!(rig.daemon.post("/v1/accounts/box/logout").status, 204);
    let refused = rig.clone_with(&format!("--host localhost:{}", rig.guarded.port), "localhost", "refused");
    assert!(!refused.status.success());
    assert!(told(&refused).contains("bearerd login"), "{}", told(&refused));
}

#[test]
fn kubectl_gets_in_with_the_token() {
    let rig = Rig::start();
    let kubectl = |arguments: &[&str]| {
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: box\n\
             contexts: [{{ name: box, context: {{ cluster: box, user: box }} }}]\n\
             clusters: [{{ name: box, cluster: {{ server: 'https://localhost:{}', certificate-authority: '{}' }} }}]\n\
             users:\n- name: box\n  user:\n    exec:\n      apiVersion: client.authentication.k8s.io/v1beta1\n      \
             command: '{}'\n      args: [{}]\n",
            rig.guarded.port,
            rig.guarded.ca().display(),
            program(),
            arguments.join(", "),
        );
        fs::write(rig.home().join("kubeconfig"), config).expect("a configuration");
        let get = ["get", "--raw", "/version", "--kubeconfig", "kubeconfig"];
        rig.command("kubectl").current_dir(rig.home()).args(get).output().expect("kubectl runs")
    };
    let answered = kubectl(&["kubectl-credential", "box"]);
    assert!(answered.status.success() && told(&answered).contains("v1.30.0"), "{}", told(&answered));
    assert_eq!(rig.guarded.wait_for(|request| request["good"] == true)["scheme"], "Bearer");

    let refused = kubectl(&["kubectl-credential", "other"]);
    assert!(!refused.status.success() && told(&refused).contains("other"), "{}", told(&refused));
}

#[test]
fn skopeo_gets_the_token_from_its_helper() {
    let rig = Rig::start();
    let registry = format!("localhost:{}", rig.guarded.port);
    script(
        &rig.home().join("docker-credential-box"),
        &format!("exec {} docker-credential --account box --registry {registry} \"$@\"", program()),
    );
    let inspect = |helped: &str| {
        fs::create_dir_all(rig.home().join(".docker")).expect("a folder");
        let config = format!(r#"{{"credHelpers":{{"{helped}":"box"}}}}"#);
        fs::write(rig.home().join(".docker/config.json"), config).expect("a configuration");
        let image = format!("docker://{registry}/app:latest");
        let inspect = ["inspect", "--raw", "--cert-dir"];
        let mut skopeo = rig.command("skopeo");
        skopeo
            .args(inspect)
            .arg(rig.guarded.ca().parent().expect("a folder"))
            .arg(&image)
            .output()
            .expect("skopeo runs")
    };
    let inspected = inspect(&registry);
    assert!(inspected.status.success() && told(&inspected).contains("schemaVersion"), "{}", told(&inspected));
    let request = rig.guarded.wait_for(|request| request["good"] == true);
    assert_eq!((&request["scheme"], &request["user"]), (&"Basic".into(), &"oauth2".into()));
    let refused = inspect("registry.example.com");
    assert!(!refused.status.success(), "{}", told(&refused));
}

#[test]
fn the_helper_for_registries_says_in_the_protocols_words_what_it_does_not_have() {
    let rig = Rig::start();
    let ask = |operation: &str, server: &str| {
        let mut child = rig.command(program());
        child.args(["docker-credential", "--account", "box", "--registry", "registry.example.com", operation]);
        support::with_input(&mut child, server)
    };
    let other = ask("get", "https://registry.example.com.evil.example\n");
    assert_eq!(String::from_utf8_lossy(&other.stdout), "credentials not found in native keychain\n");
    assert_eq!(other.status.code(), Some(1));
    let found: serde_json::Value =
        serde_json::from_slice(&ask("get", "https://registry.example.com/v1/\n").stdout).expect("JSON");
    assert_eq!(found["ServerURL"], "https://registry.example.com/v1/");
    assert!(rig.authorization.accepts(found["Secret"].as_str().expect("a secret")));
    assert_eq!(String::from_utf8_lossy(&ask("list", "").stdout), "{\"https://registry.example.com\":\"oauth2\"}\n");
    assert!(ask("store", "{}").status.success() && ask("erase", "registry.example.com").status.success());
    assert_eq!(ask("version", "").status.code(), Some(2));
}

#[test]
fn exec_starts_a_program_with_the_token() {
    let rig = Rig::start();
    let token = rig.daemon.get("/v1/token").text("access_token");
    let exec = |arguments: &[&str]| rig.daemon.run(&[&["exec", "box"], arguments].concat());
    let by_env = exec(&["--env", "TOKEN", "--", "sh", "-c", "printf %s \"$TOKEN\"; exit 7"]);
    assert_eq!((String::from_utf8_lossy(&by_env.stdout).as_ref(), by_env.status.code()), (token.as_str(), Some(7)));

    let look = "cat \"$FILE\"; echo x >>\"$FILE\" || true; cat \"$FILE\"; tr '\\0' '\\n' </proc/$$/environ >&2";
    let by_file = exec(&["--file", "FILE", "--", "sh", "-c", look]);
    assert_eq!(String::from_utf8_lossy(&by_file.stdout), format!("{token}{token}"), "nobody can change it");
    assert!(!String::from_utf8_lossy(&by_file.stderr).contains(&token), "it stands in the environment");

    for (arguments, code) in [
        (&["--env", "TOKEN", "--", "/nonexistent"][..], 127),
        (&["--env", "TOKEN", "--", "/"], 126),
        (&["--", "true"], 2),
        (&["--env", "1=2", "--", "true"], 2),
    ] {
        assert_eq!(exec(arguments).status.code(), Some(code), "{arguments:?}");
    }
    assert_eq!(rig.daemon.post("/v1/accounts/box/logout").status, 204);
    assert_eq!(exec(&["--env", "TOKEN", "--", "true"]).status.code(), Some(75), "nothing is started without a token");
}

fn git_version() -> (u32, u32) {
    let output = Command::new("git").arg("--version").output().expect("git runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut numbers = text.split([' ', '.']).filter_map(|word| word.trim().parse().ok());
    (numbers.next().expect("a version"), numbers.next().expect("a version"))
}
