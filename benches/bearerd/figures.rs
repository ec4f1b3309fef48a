//! What was measured, beside what was to be reached.

use std::{fmt::Write as _, fs, path::Path};

use super::{plot, rounds::Spread};

/// A figure's bar.
#[derive(Clone, Copy)]
pub enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

struct Figure {
    what: String,
    measured: Spread,
    unit: &'static str,
    goal: Option<Goal>,
}

/// All figures of a run, in the order of their measurement.
#[derive(Default)]
pub struct Figures {
    figures: Vec<Figure>,
    plots: Vec<(&'static str, String)>,
}

impl Figures {
    /// Notes a figure, and says it.
    pub fn add(&mut self, what: impl Into<String>, measured: Spread, unit: &'static str, goal: Option<Goal>) {
        let figure = Figure { what: what.into(), measured, unit, goal };
        eprintln!("   {}: {} {}", figure.what, figure.shown(), figure.verdict());
        self.figures.push(figure);
    }

    /// Notes a plot: its file's name, and the SVG.
    pub fn plot(&mut self, name: &'static str, svg: String) {
        self.plots.push((name, svg));
    }

    /// The table, in Markdown.
    pub fn table(&self) -> String {
        let mut table = String::from("| figure | measured (median, least to most) | goal | |\n|---|---|---|---|\n");
        for figure in &self.figures {
            let _ =
                writeln!(table, "| {} | {} | {} | {} |", figure.what, figure.shown(), figure.bar(), figure.verdict());
        }
        table
    }

    /// Writes the table and the plots into the folder.
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        fs::write(folder.join("table.md"), self.table()).expect("a table");
        for (name, svg) in &self.plots {
            fs::write(folder.join(name), svg).expect("a plot");
        }
        let ratios = self.figures.iter().filter(|figure| figure.unit == "×");
        let bars: Vec<_> = ratios
            .filter_map(|figure| {
                let (Goal::AtMost(bar) | Goal::AtLeast(bar)) = figure.goal?;
                Some((figure.what.clone(), figure.measured.median, bar))
            })
            .collect();
        fs::write(folder.join("ratios.svg"), plot::bars("Against the bare server, goal as a mark", &bars))
            .expect("a plot");
    }
}

impl Figure {
    fn shown(&self) -> String {
        let number = |value: f64| match value {
            value if value >= 1000.0 => format!("{value:.0}"),
            value if value >= 10.0 => format!("{value:.1}"),
            value => format!("{value:.2}"),
        };
        let Spread { median, least, most } = self.measured;
        let spread = if least < most { format!(" ({} to {})", number(least), number(most)) } else { String::new() };
        format!("{} {}{spread}", number(median), self.unit)
    }

    fn bar(&self) -> String {
        match self.goal {
            Some(Goal::AtMost(bar)) => format!("≤ {bar} {}", self.unit),
            Some(Goal::AtLeast(bar)) => format!("≥ {bar} {}", self.unit),
            None => String::new(),
        }
    }

    fn verdict(&self) -> &'static str {
        let reached = match self.goal {
            Some(Goal::AtMost(bar)) => self.measured.median <= bar,
            Some(Goal::AtLeast(bar)) => self.measured.median >= bar,
            None => return "",
        };
        if reached { "✓" } else { "✗" }
    }
}
