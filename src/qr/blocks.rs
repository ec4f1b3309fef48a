//! A QR code in characters. Two modules share one character, so that they come out square.

use qrcode::{Color, EcLevel, QrCode};

/// A QR code that is ready to be drawn.
#[derive(Debug)]
pub struct Qr {
    width: usize,
    dark: Vec<bool>,
    /// The light border around it, in modules.
    quiet: usize,
}

impl Qr {
    /// The code for `text`; `None` when it is too long for any code.
    pub fn new(text: &str) -> Option<Self> {
        Self::fitting(text, usize::MAX, usize::MAX)
    }

    /// The code for `text`, if it fits on `columns` columns; the border is as wide as `rows` rows allow.
    pub fn fitting(text: &str, columns: usize, rows: usize) -> Option<Self> {
        let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
        let dark = code.to_colors().into_iter().map(|module| module == Color::Dark).collect();
        let mut qr = Self { width: code.width(), dark, quiet: QUIET };
        if qr.columns() > columns || qr.rows() > rows {
            qr.quiet = NARROW;
        }
        (qr.columns() <= columns).then_some(qr)
    }

    /// How many columns it takes.
    pub fn columns(&self) -> usize {
        self.width + 2 * self.quiet
    }

    /// How many lines it takes.
    pub fn rows(&self) -> usize {
        self.columns().div_ceil(2)
    }

    /// Draws it, black on white whatever the terminal's own colours are. Without colours the light modules are drawn,
    /// which is right where the background is dark.
    pub fn draw(&self, colour: bool) -> String {
        let line = |row: usize| {
            let characters = (0..self.columns()).map(|column| {
                let (upper, lower) = (self.is_dark(column, 2 * row), self.is_dark(column, 2 * row + 1));
                half_blocks(upper == colour, lower == colour)
            });
            let characters: String = characters.collect();
            if colour { format!("\x1b[0;30;47m{characters}\x1b[0m") } else { characters }
        };
        (0..self.rows()).map(line).collect::<Vec<_>>().join("\n")
    }

    /// Whether the module there is dark; the border and all beyond it is light.
    fn is_dark(&self, column: usize, row: usize) -> bool {
        let inside = |at: usize| at.checked_sub(self.quiet).filter(|at| *at < self.width);
        let module = inside(column).zip(inside(row)).and_then(|(x, y)| self.dark.get(y * self.width + x));
        module.copied().unwrap_or(false)
    }
}

fn half_blocks(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

/// The largest border, and what the standard (ISO/IEC 18004) asks for.
const QUIET: usize = 4;
/// What phones are content with, and what makes the code fit on 24 rows.
const NARROW: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://acme.kinde.com/device?user_code=CSLD-FDUU";

    /// The modules as a camera sees them: `true` is dark.
    fn seen(drawing: &str, colour: bool) -> Vec<Vec<bool>> {
        let mut modules = Vec::new();
        for line in drawing.lines() {
            let inner = line.trim_start_matches("\x1b[0;30;47m").trim_end_matches("\x1b[0m");
            modules.push(inner.chars().map(|c| matches!(c, '█' | '▀') == colour).collect());
            modules.push(inner.chars().map(|c| matches!(c, '█' | '▄') == colour).collect());
        }
        modules
    }

    #[test]
    fn it_shows_the_modules_inside_a_light_border() {
        let code = QrCode::with_error_correction_level(URL, EcLevel::L).expect("it fits");
        for (colour, rows, quiet) in [(true, 50, 4), (false, 50, 4), (true, 18, 2)] {
            let qr = Qr::fitting(URL, 80, rows).expect("it fits");
            let modules = seen(&qr.draw(colour), colour);
            assert_eq!(modules.len(), 2 * qr.rows());
            for (y, line) in modules.iter().enumerate() {
                assert_eq!(line.len(), code.width() + 2 * quiet);
                for (x, dark) in line.iter().enumerate() {
                    let inside =
                        (quiet..quiet + code.width()).contains(&x) && (quiet..quiet + code.width()).contains(&y);
                    let meant = inside && code[(x - quiet, y - quiet)] == Color::Dark;
                    assert_eq!(*dark, meant, "column {x}, row {y}");
                }
            }
        }
    }

    #[test]
    fn black_on_white_is_asked_for_where_there_are_colours() {
        let qr = Qr::fitting(URL, 80, 24).expect("it fits");
        assert!(qr.draw(true).lines().all(|line| line.starts_with("\x1b[0;30;47m") && line.ends_with("\x1b[0m")));
        assert!(!qr.draw(false).contains('\x1b'));
    }

    #[test]
    fn it_stays_away_from_narrow_terminals_and_endless_addresses() {
        assert!(Qr::fitting(URL, 30, 24).is_none());
        assert!(Qr::fitting(&"x".repeat(5000), 500, 500).is_none());
    }
}
