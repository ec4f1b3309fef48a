//! The page at `/`: all that a person with a browser needs, drawn here whole, so that it can be read without JavaScript.
//! Its script only fetches it anew when an event says so, and so never builds HTML from data.

use std::sync::LazyLock;

use aws_lc_rs::digest;
use base64::{Engine, prelude::BASE64_STANDARD};

use crate::{
    account::{Prompt, Snapshot, State},
    broker::{Protection, Sight},
    qr,
    time::{Now, span},
};

/// The page for a caller who sees these accounts; `notice` says what went wrong with what the person asked for.
pub fn draw(sights: &[Sight], notice: Option<&str>) -> String {
    let most = sights.iter().map(Look::of).max_by_key(|look| look.urgency);
    let title = most.as_ref().map_or("bearerd", |look| look.headline);
    let title = if title == "bearerd" { title.to_owned() } else { format!("{title} – bearerd") };
    let notice = notice.map(|text| format!("<p role=\"alert\" class=\"notice\">{}</p>", escaped(&sentence(text))));
    let accounts = match sights {
        [] => "<p class=\"none\">There is no account here that you may see.</p>".to_owned(),
        _ => sights.iter().map(account).collect(),
    };
    let first = sights.first();
    let server_time = first.map_or(0, |sight| sight.now.wall.0).to_string();
    let about = first.map_or(String::new(), |sight| {
        format!("bearerd {} · stored sign-ins are {}", env!("CARGO_PKG_VERSION"), protection(sight.protection))
    });
    fill(|name| match name {
        "title" => escaped(&title),
        "time" => server_time.clone(),
        "notice" => notice.clone().unwrap_or_default(),
        "accounts" => accounts.clone(),
        "about" => about.clone(),
        _ => String::new(),
    })
}

/// The Content-Security-Policy that goes with it: its own style and script and nothing else.
pub fn policy() -> &'static str {
    static POLICY: LazyLock<String> = LazyLock::new(|| {
        let hash = |element: &str| {
            let text = TEMPLATE.split_once(&format!("<{element}>")).map(|(_, rest)| rest);
            let text = text.and_then(|rest| rest.split_once(&format!("</{element}>"))).map(|(text, _)| text);
            BASE64_STANDARD.encode(digest::digest(&digest::SHA256, text.unwrap_or_default().as_bytes()))
        };
        format!(
            "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; img-src data: 'self'; \
             connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
            hash("script"),
            hash("style")
        )
    });
    &POLICY
}

/// The QR code as a data URL: the server's own picture, or one of ours. `None` where the address is too long for one.
pub fn picture(prompt: &Prompt) -> Option<String> {
    let drawn =
        || qr::svg(prompt.link()).map(|svg| format!("data:image/svg+xml;base64,{}", BASE64_STANDARD.encode(svg)));
    prompt.qr_code.clone().or_else(drawn)
}

/// How an account looks from afar.
struct Look {
    headline: &'static str,
    /// `good`, `busy`, `wait` or `bad`: the colour, never without the words.
    class: &'static str,
    urgency: u8,
}

impl Look {
    fn of(sight: &Sight) -> Self {
        let snapshot = &sight.view.snapshot;
        let (headline, class, urgency) = match snapshot.state {
            _ if snapshot.login_starting => ("Asking for a code", "busy", 4),
            State::Active => ("Signed in", "good", 0),
            State::Refreshing => ("Renewing the token", "good", 1),
            State::Degraded => ("Signed in, with trouble", "wait", 2),
            State::Stale => ("Out of reach", "bad", 3),
            State::SignedOut => ("Sign-in needed", "bad", 5),
            State::Misconfigured => ("Configuration refused", "bad", 6),
            State::Authorizing => ("Waiting for you", "wait", 7),
        };
        Self { headline, class, urgency }
    }
}

fn account(sight: &Sight) -> String {
    let (name, snapshot) = (sight.name.as_str(), &sight.view.snapshot);
    let Look { headline, class, .. } = Look::of(sight);
    let prompt = snapshot.prompt.as_ref().filter(|_| sight.may_see_prompt);
    let told = match prompt {
        Some(_) => "Somebody has to approve this sign-in, on a phone or any other device.".to_owned(),
        None => sentence(&sight.sentence()),
    };
    let code = prompt.map_or(String::new(), |prompt| format!(", the code is {}", prompt.user_code));
    format!(
        "<section id=\"account-{name}\" data-revision=\"{}-{}\" data-say=\"{}\" aria-labelledby=\"name-{name}\">\
         <header><h2 id=\"name-{name}\" tabindex=\"-1\">{name}</h2><p class=\"state {class}\">{headline}</p></header>\
         <p class=\"story\" data-live>{}</p>{}{}{}</section>",
        sight.view.revision,
        sight.may_see_prompt,
        escaped(&format!("{name}: {headline}{code}")),
        escaped(&told),
        prompt.map_or(String::new(), |prompt| steps(prompt)),
        if sight.may_see_prompt { form(name, snapshot, sight.now) } else { String::new() },
        facts(sight),
    )
}

fn steps(prompt: &Prompt) -> String {
    let (link, uri, code) = (escaped(prompt.link()), escaped(&prompt.verification_uri), escaped(&prompt.user_code));
    let picture = picture(prompt).map(|picture| {
        let (picture, alt) = (escaped(&picture), format!("QR code that opens {uri}"));
        format!("<figure><img src=\"{picture}\" alt=\"{alt}\"><figcaption>Scan with a phone</figcaption></figure>")
    });
    let warning = prompt
        .warning()
        .map_or(String::new(), |warning| format!("<p class=\"story\">{}</p>", escaped(&sentence(&warning))));
    format!(
        "{warning}<div class=\"prompt\"><ol><li>Open <a href=\"{link}\" target=\"_blank\" rel=\"noreferrer\">{uri}</a></li>\
         <li>Enter or compare this code<br><code class=\"code\">{code}</code></li>\
         <li>Sign in there and approve</li></ol>{}</div>",
        picture.unwrap_or_default(),
    )
}

/// What the person can do about it.
fn form(name: &str, snapshot: &Snapshot, now: Now) -> String {
    let left = snapshot.prompt.as_ref().map_or(String::new(), |prompt| {
        let (until, left) = (now.wall_at(prompt.expires).0, span(now.boot.until(prompt.expires)));
        format!("<span class=\"left\" data-live data-until=\"{until}\">{left} left</span>")
    });
    let (verb, class, label, busy) = match (&snapshot.prompt, snapshot.state) {
        (Some(_), _) => ("cancel", "quiet", "Cancel sign-in", "Cancelling …"),
        (None, _) if snapshot.login_starting => ("cancel", "quiet", "Cancel sign-in", "Cancelling …"),
        (None, State::SignedOut) => ("login", "main", "Sign in", "Asking for a code …"),
        (None, _) => ("login", "quiet", "Sign in again", "Asking for a code …"),
    };
    format!(
        "<form method=\"post\" action=\"/accounts/{name}/{verb}\"><button class=\"{class}\" data-busy=\"{busy}\" \
         aria-describedby=\"name-{name}\">{label}</button>{left}</form>"
    )
}

fn facts(sight: &Sight) -> String {
    let (snapshot, now) = (&sight.view.snapshot, sight.now);
    let ends = snapshot.valid_token(now.boot).map(|token| match token.remaining(now.boot) {
        Some(left) => format!("valid for {}", span(left)),
        None => "valid, for how long the server did not say".to_owned(),
    });
    let renewal = snapshot.refresh_at.map(|at| format!("in {}", span(now.boot.until(at))));
    let granted = snapshot.token.as_ref().map(|token| token.scope.clone()).filter(|scope| !scope.is_empty());
    let rows = [
        ("Server", Some(sight.issuer.clone()).filter(|issuer| !issuer.is_empty())),
        ("Token", ends),
        ("Next renewal", renewal),
        ("Scope", granted),
    ];
    let row = |(name, value): (&str, Option<String>)| {
        value.map(|value| format!("<div><dt>{name}</dt><dd data-live>{}</dd></div>", escaped(&value)))
    };
    format!("<dl>{}</dl>", rows.into_iter().filter_map(row).collect::<String>())
}

fn protection(protection: Protection) -> &'static str {
    match protection {
        Protection::None => "not sealed",
        Protection::Host => "sealed with a key on the same disk",
        Protection::Tpm2 => "sealed by this machine's TPM",
    }
}

/// With a capital letter and a full stop.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// Text as it may stand in an element or in a quoted attribute.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // What turns the direction of a line around, or is not seen at all, has no business in it.
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' => {}
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Puts the values into the places of the template, in one pass: a value that looks like a place is none.
fn fill(value: impl Fn(&str) -> String) -> String {
    let mut parts = TEMPLATE.split("{{");
    let mut page = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once("}}").unwrap_or_default();
        page.push_str(&value(name));
        page.push_str(rest);
    }
    page
}

const TEMPLATE: &str = include_str!("page.html");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_breaks_out_of_its_place() {
        let page = fill(|_| escaped("</script><img src=x onerror='alert(1)'>{{title}}\" \u{202e}\u{7}"));
        assert!(!page.contains("<img src=x") && !page.contains('\u{202e}') && !page.contains('\u{7}'));
        assert!(page.contains("&#39;alert(1)&#39;&gt;{{title}}&quot;"), "{page}");
    }

    #[test]
    fn the_policy_names_the_one_style_and_the_one_script() {
        assert_eq!(TEMPLATE.matches("<script>").count(), 1);
        assert_eq!(TEMPLATE.matches("<style>").count(), 1);
        let (_, rest) = TEMPLATE.split_once("<style>").expect("a style");
        let (style, _) = rest.split_once("</style>").expect("its end");
        let hash = BASE64_STANDARD.encode(digest::digest(&digest::SHA256, style.as_bytes()));
        assert!(policy().contains(&format!("style-src 'sha256-{hash}'")), "{}", policy());
        assert!(policy().starts_with("default-src 'none'; ") && !policy().contains("unsafe"));
        assert!(!TEMPLATE.contains(" style=") && !TEMPLATE.contains(" onclick="), "the policy would stop those");
    }
}
