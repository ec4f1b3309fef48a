//! How the walk-through looks on a terminal, and in a log.

use std::{
    io::{IsTerminal, stdout},
    sync::atomic::{AtomicU32, Ordering},
};

/// Prints the walk-through; in colour only on a terminal, and not with `NO_COLOR`.
pub struct Show {
    colour: bool,
    steps: AtomicU32,
}

impl Show {
    #[allow(clippy::disallowed_methods, reason = "NO_COLOR is an environment variable")]
    pub fn new() -> Self {
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colour: stdout().is_terminal() && !unwanted, steps: AtomicU32::new(0) }
    }

    /// The one line that opens a step.
    pub fn step(&self, heading: &str) {
        let number = self.steps.fetch_add(1, Ordering::Relaxed) + 1;
        println!("\n{}", self.paint("1", &format!("{number}. {heading}")));
    }

    /// A command, as one would type it.
    pub fn command(&self, command: &str) {
        println!("   {} {}", self.paint("2", "$"), self.paint("36", command));
    }

    /// What a command or a file says.
    pub fn output(&self, output: &str) {
        output.trim_end().lines().for_each(|line| println!("   {line}"));
    }

    /// A remark of the demo's own.
    pub fn remark(&self, remark: &str) {
        println!("   {}", self.paint("2", remark));
    }

    /// What went wrong.
    pub fn failure(&self, failure: &str) {
        println!("\n{} {failure}", self.paint("1;31", "The demo stops:"));
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}
