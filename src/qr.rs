//! QR codes, drawn for whoever can only show text or a vector picture.

use qrcode::{Color, QrCode};

/// The code as lines of half blocks, two rows of modules a line, with the quiet zone of four modules that phones need.
/// The blocks stand for the light modules, which reads right where text is light on dark; whoever prints it elsewhere
/// sets the colours. `None` when the text is too long for any code.
pub fn half_blocks(text: &str) -> Option<Vec<String>> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let light = |x: usize, y: usize| {
        let inside = |at: usize| (QUIET..width + QUIET).contains(&at);
        !(inside(x) && inside(y)) || code[(x - QUIET, y - QUIET)] == Color::Light
    };
    let side = width + 2 * QUIET;
    let line = |y: usize| {
        let block = |x: usize| match (light(x, y), light(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        (0..side).map(block).collect()
    };
    Some((0..side).step_by(2).map(line).collect())
}

/// The code as an SVG document, dark on white with a quiet zone. `None` when the text is too long for any code.
pub fn svg(text: &str) -> Option<String> {
    let code = QrCode::new(text).ok()?;
    let width = code.width();
    let mut path = String::new();
    for y in 0..width {
        let mut x = 0;
        while x < width {
            let run = (x..width).take_while(|x| code[(*x, y)] == Color::Dark).count();
            if run > 0 {
                path += &format!("M{} {}h{run}v1h-{run}z", x + QUIET, y + QUIET);
            }
            x += run.max(1);
        }
    }
    let side = width + 2 * QUIET;
    Some(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <path fill=\"#fff\" d=\"M0 0h{side}v{side}H0z\"/><path d=\"{path}\"/></svg>"
    ))
}

const QUIET: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quiet_zone_is_light_all_around() {
        let lines = half_blocks("https://acme.kinde.com/device?user_code=CSLDFDUU").expect("a code");
        let width = lines[0].chars().count();
        assert!(lines.iter().all(|line| line.chars().count() == width));
        assert!(lines[0].chars().chain(lines[1].chars()).all(|block| block == '█'));
        assert!(lines.iter().all(|line| line.starts_with("████") && line.ends_with("████")));
        assert_eq!(lines.len(), width.div_ceil(2));
    }

    #[test]
    fn what_fits_no_code_is_no_code() {
        assert!(half_blocks(&"x".repeat(5000)).is_none() && svg(&"x".repeat(5000)).is_none());
    }
}
