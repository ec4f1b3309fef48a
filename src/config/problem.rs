//! What is wrong with a configuration: file, line, column, a caret under it, and the fix.

use std::{
    fmt,
    ops::Range,
    path::{Path, PathBuf},
};

/// Everything that is wrong with a configuration, in the order in which it was found.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError(pub Vec<Problem>);

/// One thing that is wrong.
#[derive(Debug)]
pub struct Problem {
    /// The file it is in.
    pub file: PathBuf,
    /// Where in the file, if it is at one place.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub fix: Option<String>,
}

/// A place in a file, counted from one, and the text of its line.
#[derive(Debug)]
pub struct Place {
    /// Line.
    pub line: usize,
    /// Column, in characters.
    pub column: usize,
    /// How many characters are meant.
    pub width: usize,
    /// The whole line, without what may be a secret.
    pub text: String,
}

/// One file while it is being understood: turns byte ranges into [`Problem`]s.
pub(super) struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    /// A problem at a range of bytes of this file.
    pub fn problem(&self, span: Range<usize>, message: impl Into<String>, fix: impl Into<String>) -> Problem {
        let fix = fix.into();
        Problem {
            file: self.path.to_owned(),
            place: Some(self.place(span)),
            message: message.into(),
            fix: (!fix.is_empty()).then_some(fix),
        }
    }

    /// A problem that the TOML parser found.
    pub fn syntax(&self, error: &toml::de::Error) -> Problem {
        let message = error.message().replace('\n', ", ");
        match error.span() {
            Some(span) => self.problem(span, message, ""),
            None => Problem { file: self.path.to_owned(), place: None, message, fix: None },
        }
    }

    fn place(&self, span: Range<usize>) -> Place {
        let start = span.start.min(self.text.len());
        let before = self.text.get(..start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text.get(line_start..).unwrap_or_default().lines().next().unwrap_or_default();
        let column = before.get(line_start..).unwrap_or_default().chars().count();
        let meant = self.text.get(start..span.end.max(start)).unwrap_or_default();
        let meant = meant.lines().next().unwrap_or_default().chars().count();
        Place {
            line: before.matches('\n').count() + 1,
            column: column + 1,
            width: meant.clamp(1, line.chars().count().saturating_sub(column).max(1)),
            text: without_secret(line),
        }
    }
}

/// People do write secrets where they do not belong; the message about it must not repeat them.
fn without_secret(line: &str) -> String {
    let Some((key, _)) = line.split_once('=') else { return line.to_owned() };
    let name = key.trim().to_ascii_lowercase();
    let refers = ["_file", "_credential", "_endpoint"].iter().any(|ending| name.ends_with(ending));
    let secret = ["secret", "password", "token", "private_key"].iter().any(|word| name.contains(word));
    if secret && !refers { format!("{key}= …") } else { line.to_owned() }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        match &self.place {
            Some(Place { line, column, width, text }) => {
                let number = line.to_string();
                let margin = " ".repeat(number.len());
                let caret = format!("{}{}", " ".repeat(column - 1), "^".repeat(*width));
                writeln!(f, "{file}:{line}:{column}: {}", self.message)?;
                write!(f, "{margin} |\n{number} | {text}\n{margin} | {caret}")?;
            }
            None => write!(f, "{file}: {}", self.message)?,
        }
        match &self.fix {
            Some(fix) => write!(f, "\n  = {fix}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.0.iter().enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{problem}")?;
        }
        Ok(())
    }
}
