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
            let cell = |column| (self.is_dark(column, 2 * row), self.is_dark(column, 2 * row + 1));
            let cells = (0..self.columns()).map(cell);
            if colour { coloured(cells) } else { cells.map(|(upper, lower)| half_blocks(!upper, !lower)).collect() }
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

/// A line of cells, each the colours of its upper and its lower half. The background does as much of it as it can, and the
/// foreground the lower half alone: many fonts leave a gap between the lines, and a stripe through the modules is what
/// scanners choke on.
fn coloured(cells: impl Iterator<Item = (bool, bool)>) -> String {
    let (mut line, mut background) = (String::new(), None);
    for (upper, lower) in cells {
        if background != Some(upper) {
            line += if upper { WHITE_ON_BLACK } else { BLACK_ON_WHITE };
            background = Some(upper);
        }
        line.push(if upper == lower { ' ' } else { '▄' });
    }
    line + "\x1b[0m"
}

fn half_blocks(upper: bool, lower: bool) -> char {
    match (upper, lower) {
        (true, true) => '█',
        (true, false) => '▀',
        (false, true) => '▄',
        (false, false) => ' ',
    }
}

const BLACK_ON_WHITE: &str = "\x1b[0;30;47m";
const WHITE_ON_BLACK: &str = "\x1b[0;37;40m";
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
            let (mut upper, mut lower) = (Vec::new(), Vec::new());
            // Where nothing is drawn it is dark, unless the colours say otherwise.
            let (mut rest, mut background) = (line, true);
            while let Some(c) = rest.chars().next() {
                match [BLACK_ON_WHITE, WHITE_ON_BLACK, "\x1b[0m"].iter().find(|code| rest.starts_with(**code)) {
                    Some(code) => {
                        (rest, background) = (&rest[code.len()..], *code == WHITE_ON_BLACK);
                    }
                    None => {
                        upper.push(background ^ matches!(c, '█' | '▀'));
                        lower.push(background ^ matches!(c, '█' | '▄'));
                        rest = &rest[c.len_utf8()..];
                    }
                }
            }
            assert!(rest.is_empty() && (!colour || line.ends_with("\x1b[0m")));
            modules.extend([upper, lower]);
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
    fn colours_are_asked_for_where_there_are_some() {
        let qr = Qr::fitting(URL, 80, 24).expect("it fits");
        let drawing = qr.draw(true);
        assert!(drawing.lines().all(|line| line.starts_with(BLACK_ON_WHITE) && line.ends_with("\x1b[0m")));
        assert!(!drawing.contains(['█', '▀']), "a font may leave a gap above them");
        assert!(!qr.draw(false).contains('\x1b'));
    }

    #[test]
    fn it_stays_away_from_narrow_terminals_and_endless_addresses() {
        assert!(Qr::fitting(URL, 30, 24).is_none());
        assert!(Qr::fitting(&"x".repeat(5000), 500, 500).is_none());
    }
}
