//! What the headers of a reply say about time. The clock is an argument, so that anything can be read here without one.

use std::time::{Duration, SystemTime};

use httpdate::parse_http_date;

/// A moment as HTTP has it (RFC 9110 §5.6.7), as the time since 1970.
pub fn date(text: &str) -> Option<Duration> {
    parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()
}

/// How long the server asks us to stay away, in the ways that servers say it: `Retry-After` as seconds or as a date,
/// `RateLimit-Reset` in seconds (Kinde), `x-retry-not-before` as Unix time (Rauthy). `header` finds a value by its name,
/// and `now` is the time since 1970.
pub fn pause<'a>(header: impl Fn(&str) -> Option<&'a str>, now: Duration) -> Option<Duration> {
    let seconds = |name| header(name)?.parse().ok().map(Duration::from_secs);
    let until = |moment: Duration| moment.saturating_sub(now);
    seconds("retry-after")
        .or_else(|| date(header("retry-after")?).map(until))
        .or_else(|| seconds("ratelimit-reset"))
        .or_else(|| seconds("x-retry-not-before").map(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_say_in_many_ways_when_to_come_back() {
        let now = Duration::from_secs(1_800_000_000);
        for (name, value, seconds) in [
            ("retry-after", "120", Some(120)),
            ("retry-after", "Fri, 15 Jan 2027 08:01:00 GMT", Some(60)),
            ("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT", Some(0)),
            ("retry-after", "soon", None),
            ("retry-after", "-1", None),
            ("ratelimit-reset", "7", Some(7)),
            ("x-retry-not-before", "1800003600", Some(3600)),
            ("x-retry-not-before", "18446744073709551616", None),
        ] {
            let asked = pause(|asked| (asked == name).then_some(value), now);
            assert_eq!(asked.map(|pause| pause.as_secs()), seconds, "{name}: {value}");
        }
    }
}
