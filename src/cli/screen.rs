//! Where answers and remarks go: stdout and stderr, and what they can show.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    time::Duration,
};

use super::Failure;
use crate::platform::systemd;

/// stdout and stderr of the process.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// stdout is a terminal.
    pub terminal: bool,
    /// stdout shows colours.
    pub colour: bool,
    /// The size of stdout in characters, columns and rows.
    pub size: (usize, usize),
    /// stderr is a terminal, so that a line on it can be written again.
    pub live: bool,
}

/// What a word means to the person who reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// All is well.
    Good,
    /// Something is under way or may need a look.
    Uncertain,
    /// Somebody has to act.
    Bad,
    /// By the way.
    Aside,
}

impl Screen {
    /// The one that the process was started with.
    pub fn of_the_process() -> Self {
        let (out, err) = (io::stdout(), io::stderr());
        let size = rustix::termios::tcgetwinsize(out.as_fd()).ok();
        let size = size.map(|size| (size.ws_col.into(), size.ws_row.into()));
        let dumb = systemd::wants_no_colour();
        Self {
            terminal: out.is_terminal(),
            colour: out.is_terminal() && !dumb,
            size: size.filter(|(columns, _)| *columns > 0).unwrap_or(USUAL_SIZE),
            live: err.is_terminal() && !dumb,
        }
    }

    /// Writes a part of the answer, and a line feed.
    pub fn answer(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush());
        written.map_err(|error| Failure::other(format!("the answer cannot be written to stdout: {error}")))
    }

    /// Writes JSON as it came, on one line.
    pub fn json(&self, text: &str) -> Result<(), Failure> {
        self.answer(&one_line(text))
    }

    /// Says what is wrong, on stderr.
    pub fn complain(&self, text: &str) {
        self.remark(&format!("bearerd: {text}"));
    }

    /// Says something on stderr. Nothing can be done when that fails.
    pub fn remark(&self, text: &str) {
        let _ = writeln!(io::stderr(), "{}", printable_lines(text));
    }

    /// Writes the line on stderr that is rewritten as time goes by; only on a terminal.
    pub fn progress(&self, text: &str) {
        if self.live {
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    }

    /// Takes that line away.
    pub fn end_progress(&self) {
        self.progress("");
    }

    /// Empties the terminal for a new picture.
    pub fn clear(&self) -> Result<(), Failure> {
        let cleared = io::stdout().write_all(b"\x1b[H\x1b[2J");
        cleared.map_err(|error| Failure::other(format!("the terminal cannot be written to: {error}")))
    }
}

/// A word in the colour of its meaning, where there are colours.
pub fn paint(word: &str, mood: Mood, colour: bool) -> String {
    let code = match mood {
        Mood::Good => "32",
        Mood::Uncertain => "33",
        Mood::Bad => "1;31",
        Mood::Aside => "2",
    };
    if colour { format!("\x1b[{code}m{word}\x1b[0m") } else { word.to_owned() }
}

/// Text of somebody else's without anything that a terminal would act on: no control characters, no line feeds, and
/// nothing that reorders or hides text.
pub fn printable(text: &str) -> String {
    let acts = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    text.chars().map(|c| if acts(c) { '?' } else { c }).collect()
}

/// The same for text that may have lines.
pub fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
}

/// The same for JSON, where line feeds and the like stand between the members only.
fn one_line(json: &str) -> String {
    printable(json.replace(['\n', '\r', '\t'], " ").trim())
}

/// Time that is left, as a clock shows it: `9:05`, `1:00:00`.
pub fn clock_face(left: Duration) -> String {
    let seconds = left.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut face = if hours > 0 { format!("{hours}:{minutes:02}") } else { minutes.to_string() };
    // Writing to a String does not fail.
    let _ = write!(face, ":{:02}", seconds % 60);
    face
}

/// What is assumed where nobody says: over ssh without a terminal, a person may well be reading.
const USUAL_SIZE: (usize, usize) = (80, 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_terminal_acts_on_gets_through() {
        assert_eq!(printable("a\x1b[31m\r\n\x07\u{9b}\u{202e}é…"), "a?[31m?????é…");
        assert_eq!(printable_lines("a\x1b\nb\r\nc"), "a?\nb\nc");
        assert_eq!(one_line("{\n\t\"a\": \"\u{9b}\"\n}\n"), "{  \"a\": \"?\" }");
    }

    #[test]
    fn time_is_shown_as_a_clock_does() {
        for (seconds, face) in [(0, "0:00"), (59, "0:59"), (545, "9:05"), (3600, "1:00:00")] {
            assert_eq!(clock_face(Duration::from_secs(seconds)), face);
        }
    }

    #[test]
    fn colour_is_only_for_those_who_see_it() {
        assert_eq!(paint("active", Mood::Good, false), "active");
        assert_eq!(paint("active", Mood::Good, true), "\x1b[32mactive\x1b[0m");
    }
}
