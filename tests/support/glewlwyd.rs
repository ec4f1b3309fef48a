//! A second authorization server that nobody here wrote, in another language and by other people: Debian's `glewlwyd`,
//! over HTTPS with a private CA. It is set up by its own administration API, as a person would by its pages.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{told::Told, with_input};

/// The server with a plugin `oidc`, a person `alice`, who may have the scopes `openid` and `api`, and no clients.
pub struct Glewlwyd {
    /// Its issuer.
    pub issuer: String,
    address: String,
    folder: TempDir,
    told: Told,
}

impl Glewlwyd {
    /// Starts it; `settings` are parameters of the plugin, over those in this file.
    pub fn start(settings: Value) -> Self {
        // Its database waits for the disk at every step, and what it keeps has to outlive nothing.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
        let mut make = Command::new("sh");
        make.arg(servers().join("make-ca.sh")).arg(folder.path()).arg("clients");
        assert!(make.output().expect("openssl runs").status.success(), "no certificates");
        fill_database(folder.path());
        let (address, told) = serve(folder.path());
        let server = Self { issuer: format!("{address}/api/oidc"), address, folder, told };
        server.set_up(settings);
        server
    }

    fn set_up(&self, settings: Value) {
        let admin = json!({ "username": "admin", "password": "password" });
        self.ask(ADMIN, "POST", "/auth/", &admin);
        let mut parameters = self.parameters();
        for (key, value) in settings.as_object().expect("settings") {
            parameters[key] = value.clone();
        }
        let plugin = json!({
            "module": "oidc", "name": "oidc", "display_name": "oidc", "enabled": true, "parameters": parameters,
        });
        self.ask(ADMIN, "POST", "/mod/plugin/", &plugin);
        let scope = json!({ "name": "api", "display_name": "an API", "password_required": false, "scheme": {} });
        self.ask(ADMIN, "POST", "/scope/", &scope);
        let alice = json!({
            "username": "alice", "password": "x", "enabled": true, "scope": ["openid", "api", "g_profile"],
        });
        self.ask(ADMIN, "POST", "/user/", &alice);
    }

    fn parameters(&self) -> Value {
        let text = |name: &str| fs::read_to_string(self.file(name)).expect("a file");
        json!({
            "iss": self.issuer, "jwt-type": "ecdsa", "jwt-key-size": "256",
            "key": text("server.key"), "cert": self.public_key("server.key"),
            "code-duration": 600, "refresh-token-duration": 1_209_600, "access-token-duration": 600,
            "allow-non-oidc": true, "auth-type-code-enabled": false, "auth-type-implicit-enabled": false,
            "auth-type-token-enabled": false, "auth-type-password-enabled": false, "auth-type-client-enabled": false,
            "auth-type-refresh-enabled": true, "refresh-token-rolling": true, "refresh-token-one-use": "always",
            "auth-type-device-enabled": true, "device-authorization-interval": 1,
            "device-authorization-expiration": 600,
            "introspection-revocation-allowed": true, "introspection-revocation-allow-target-client": true,
            "request-parameter-allow": true, "request-maximum-exp": 3600, "client-pubkey-parameter": "pubkey",
            "client-cert-source": "TLS", "client-cert-use-endpoint-aliases": true,
            "resource-allowed": true, "resource-scope": { "openid": ["https://one.example/", "https://two.example/"] },
        })
    }

    /// Adds a client that may use the device grant; `more` are properties of it.
    pub fn add_client(&self, id: &str, more: Value) {
        let mut client = json!({
            "client_id": id, "name": id, "enabled": true, "confidential": false, "scope": [],
            "authorization_type": ["device_authorization", "refresh_token"],
        });
        for (key, value) in more.as_object().expect("properties") {
            client[key] = value.clone();
        }
        self.ask(ADMIN, "POST", "/client/", &client);
    }

    /// What a person with a phone does: opens the address, signs in, lets the client have what it wants, and goes on.
    pub fn approve(&self, client: &str, verification_uri_complete: &str) {
        self.look_at(client, verification_uri_complete);
        self.ask(client, "PUT", &format!("/auth/grant/{client}/"), &json!({ "scope": "openid api" }));
        let shown = self.open(client, &format!("{verification_uri_complete}&g_continue"));
        assert!(shown.contains("prompt=deviceComplete"), "{shown}");
    }

    /// What a person does who thinks better of it: opens the address, signs in, and closes the page.
    pub fn look_at(&self, client: &str, verification_uri_complete: &str) {
        let shown = self.open(client, verification_uri_complete);
        assert!(shown.contains("login.html"), "{shown}");
        self.ask(client, "POST", "/auth/", &json!({ "username": "alice", "password": "x" }));
    }

    /// What an administrator does to codes that nobody should have: the server has no word for it but this mark.
    pub fn disable_codes(&self) {
        self.query("UPDATE gpo_device_authorization SET gpoda_status = 3");
    }

    /// How many refresh tokens the client has been given, and how many of them are good.
    pub fn refresh_tokens(&self, client: &str) -> (u32, u32) {
        let found = self.query(&format!(
            "SELECT count(*), coalesce(sum(gpor_enabled), 0) FROM gpo_refresh_token WHERE gpor_client_id = '{client}'"
        ));
        let (all, good) = found.trim().split_once('|').expect("two columns");
        (all.parse().expect("a number"), good.parse().expect("a number"))
    }

    /// Waits until the server says in its log that it has done something, and forgets what it said before.
    pub fn wait_for(&self, part: &str) -> String {
        let event = self.told.wait_for(|event| event["line"].as_str().is_some_and(|line| line.contains(part)));
        event["line"].as_str().unwrap_or_default().to_owned()
    }

    /// The status of an answer to this form, and its body.
    pub fn post(&self, path: &str, form: &str) -> (u16, String) {
        let mut command = self.curl();
        command.args(["--data", form]).arg(format!("{}{path}", self.issuer));
        let answer = String::from_utf8(command.output().expect("curl runs").stdout).expect("text");
        let (body, status) = answer.rsplit_once('\n').expect("a status");
        (status.parse().expect("a status"), body.to_owned())
    }

    /// The status with which the userinfo endpoint answers a request with these headers, and its DPoP nonce.
    pub fn userinfo(&self, headers: &[&str]) -> (u16, Option<String>) {
        let mut command = self.curl();
        command.args(["--dump-header", "-", "--output", "/dev/null"]);
        for header in headers {
            command.args(["--header", header]);
        }
        let answer = command.arg(format!("{}/userinfo", self.issuer)).output().expect("curl runs");
        let answer = String::from_utf8(answer.stdout).expect("text");
        let (head, status) = answer.rsplit_once('\n').expect("a status");
        let nonce =
            head.lines().find_map(|line| line.strip_prefix("DPoP-Nonce: ")).map(|nonce| nonce.trim().to_owned());
        (status.parse().expect("a status"), nonce)
    }

    /// The certificate of the private CA.
    pub fn ca(&self) -> PathBuf {
        self.file("ca.pem")
    }

    /// What `tests/servers/make-ca.sh` has left under that name.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The public half of the key of that name, in PEM.
    pub fn public_key(&self, name: &str) -> String {
        let made = Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(self.file(name)).output();
        String::from_utf8(made.expect("openssl runs").stdout).expect("PEM")
    }

    /// Where the server sends a browser that opens this address.
    fn open(&self, browser: &str, address: &str) -> String {
        let mut command = self.curl();
        self.browser(&mut command, browser)
            .args(["--output", "/dev/null", "--write-out", "%{redirect_url}"])
            .arg(address);
        String::from_utf8(command.output().expect("curl runs").stdout).expect("an address")
    }

    /// One request to the server's own API, by whoever is signed in with this browser, or does it with this.
    fn ask(&self, browser: &str, method: &str, path: &str, body: &Value) {
        let mut command = self.curl();
        self.browser(&mut command, browser).args(["--request", method, "--header", "Content-Type: application/json"]);
        command.args(["--data-binary", "@-"]).arg(format!("{}/api{path}", self.address));
        let answer = with_input(&mut command, &body.to_string());
        let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.ends_with("\n200"), "{method} {path}: {answer}");
    }

    /// A browser of that name keeps its cookies.
    fn browser<'a>(&self, command: &'a mut Command, name: &str) -> &'a mut Command {
        let cookies = self.file(&format!("{name}.cookies"));
        command.arg("--cookie").arg(&cookies).arg("--cookie-jar").arg(&cookies)
    }

    fn curl(&self) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--write-out", "\n%{http_code}", "--cacert"]).arg(self.ca());
        command
    }

    fn query(&self, sql: &str) -> String {
        let mut command = Command::new("sqlite3");
        command.args(["-cmd", ".timeout 10000"]).arg(self.file("database")).arg(sql);
        let found = command.output().expect("sqlite3 runs");
        assert!(found.status.success(), "{sql}: {}", String::from_utf8_lossy(&found.stderr));
        String::from_utf8(found.stdout).expect("text")
    }
}

fn fill_database(folder: &Path) {
    let tables = fs::File::open(TABLES).expect("the tables of the package");
    let made = Command::new("sqlite3").arg(folder.join("database")).stdin(tables).status();
    assert!(made.expect("sqlite3 runs").success(), "no database");
}

/// Starts the program on a free port. It takes no port of the system's choice, so that another program may be faster.
fn serve(folder: &Path) -> (String, Told) {
    fs::create_dir(folder.join("nothing")).expect("a folder");
    for _ in 0..20 {
        let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
        let address = format!("https://127.0.0.1:{free}");
        fs::write(folder.join("glewlwyd.conf"), configuration(folder, &address, free)).expect("a configuration");
        let mut server = Command::new("glewlwyd");
        let told = Told::lines_of(server.arg("--config-file").arg(folder.join("glewlwyd.conf")));
        let last = told.wait_for(|event| event["line"].as_str().is_none_or(|line| line.contains("started on port")));
        // The line is there before the port is taken, and an end says that it could not be.
        if last["line"].is_string() && answers(&address, &folder.join("ca.pem")) {
            return (address, told);
        }
    }
    panic!("glewlwyd does not start")
}

fn answers(address: &str, ca: &Path) -> bool {
    let mut command = Command::new("curl");
    command.args(["--silent", "--output", "/dev/null", "--retry", "20", "--retry-connrefused", "--retry-delay", "1"]);
    command.arg("--cacert").arg(ca).arg(format!("{address}/config")).status().expect("curl runs").success()
}

fn configuration(folder: &Path, address: &str, port: u16) -> String {
    let folder = folder.display();
    format!(
        "port = {port}\nbind_address = \"127.0.0.1\"\nexternal_url = \"{address}\"\nlogin_url = \"login.html\"\n\
         api_prefix = \"api\"\nstatic_files_path = \"{folder}/nothing\"\nlog_mode = \"console\"\nlog_level = \"INFO\"\n\
         cookie_domain = \"\"\ncookie_secure = 1\nsession_expiration = 3600\nsession_key = \"session\"\n\
         admin_scope = \"g_admin\"\nprofile_scope = \"g_profile\"\nhash_algorithm = \"SHA512\"\n\
         user_module_path = \"{MODULES}/user\"\nuser_middleware_module_path = \"{folder}/nothing\"\n\
         client_module_path = \"{MODULES}/client\"\nuser_auth_scheme_module_path = \"{MODULES}/scheme\"\n\
         plugin_module_path = \"{MODULES}/plugin\"\nuse_secure_connection = true\n\
         secure_connection_key_file = \"{folder}/server.key\"\nsecure_connection_pem_file = \"{folder}/server.pem\"\n\
         secure_connection_ca_file = \"{folder}/ca.pem\"\n\
         database = {{ type = \"sqlite3\"; path = \"{folder}/database\"; }};\n"
    )
}

fn servers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers")
}

const ADMIN: &str = "admin";
const MODULES: &str = "/usr/lib/glewlwyd";
const TABLES: &str = "/usr/share/dbconfig-common/data/glewlwyd/install/sqlite3";
