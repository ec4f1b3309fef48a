//! The page at the verification address, where a person enters the code and decides; and the same for scripts.

use super::{grants::Decision, provider::Provider, received::Received, reply::Answer};

impl Provider {
    pub(super) fn page(&mut self, received: &Received) -> Answer {
        match (received.method.as_str(), received.path.as_str()) {
            ("GET" | "HEAD", "/device") => {
                let query = form_urlencoded::parse(received.query.as_bytes());
                let code = query.into_iter().find(|(name, _)| name == "user_code").map(|(_, code)| code);
                html(200, &form(code.as_deref().unwrap_or_default(), ""))
            }
            ("POST", "/device") => self.decided(received),
            ("POST", "/test/approve") if self.settings.test_hooks => self.hook(received, Decision::Approved),
            ("POST", "/test/deny") if self.settings.test_hooks => self.hook(received, Decision::Denied),
            _ => Answer::text(404, "text/plain", "There is nothing here.\n"),
        }
    }

    fn decided(&mut self, received: &Received) -> Answer {
        let code = received.parameter("user_code").unwrap_or_default();
        let (decision, words) = match received.parameter("decision") {
            Some("approve") => {
                (Decision::Approved, "Approved. The device is being signed in; you may close this page.")
            }
            _ => (Decision::Denied, "Denied. The device was told so; you may close this page."),
        };
        if self.decide(Some(code), decision) {
            return html(200, &format!("<p role=\"status\">{words}</p>"));
        }
        html(404, &form(code, "<p role=\"alert\">No device is waiting with this code.</p>"))
    }

    /// Decides on the newest code, or on `user_code`.
    fn hook(&mut self, received: &Received, decision: Decision) -> Answer {
        if self.decide(received.parameter("user_code"), decision) {
            Answer::text(200, "text/plain", "Done.\n")
        } else {
            Answer::text(409, "text/plain", "No code is waiting for a decision.\n")
        }
    }
}

fn form(code: &str, message: &str) -> String {
    format!(
        r#"{message}
<p>A device asks to be signed in. Approve only if it shows the same code and stands in front of you.</p>
<form method="post" action="/device">
<label>Code <input name="user_code" value="{}" autocomplete="off" autocapitalize="characters" autofocus required></label>
<p><button name="decision" value="approve">Approve</button> <button name="decision" value="deny">Deny</button></p>
</form>"#,
        escape(code)
    )
}

fn html(status: u16, content: &str) -> Answer {
    let page = format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sign in a device</title>
<style>
:root {{ color-scheme: light dark; font: 1.1rem/1.5 system-ui, sans-serif }}
body {{ max-width: 28rem; margin: 15vh auto; padding: 0 1rem }}
input {{ font: 1.6rem monospace; letter-spacing: .15em; width: 100%; box-sizing: border-box; padding: .3em }}
button {{ font: inherit; padding: .4em 1.4em }}
[role=alert] {{ color: #c00 }}
</style>
<h1>Sign in a device</h1>
{content}
</html>
"#
    );
    Answer::text(status, "text/html; charset=utf-8", &page)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
