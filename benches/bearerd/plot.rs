//! Small plots in SVG, light or dark as the reader's browser is.

use std::fmt::Write as _;

/// A line over a logarithmic horizontal axis, from zero up.
pub fn lines(title: &str, across: &str, up: &str, points: &[(f64, f64)]) -> String {
    let top = points.iter().map(|point| point.1).fold(0.0, f64::max) * 1.15;
    let right = points.last().map_or(1.0, |last| last.0).max(10.0).log10();
    let place = |point: &(f64, f64)| (LEFT + point.0.log10() / right * WIDTH, TOP + HEIGHT - point.1 / top * HEIGHT);
    let mut drawing = frame(title, TOP + HEIGHT + 60.0);
    let path: Vec<String> = points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = write!(drawing, "<polyline class=\"line\" points=\"{}\"/>", path.join(" "));
    for point in points {
        let (x, y) = place(point);
        let _ = write!(drawing, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        let _ = write!(drawing, "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"middle\">{:.0} {up}</text>", y - 10.0, point.1);
        let _ =
            write!(drawing, "<text x=\"{x:.1}\" y=\"{:.1}\" class=\"middle\">{}</text>", TOP + HEIGHT + 20.0, point.0);
    }
    let (end, below) = (LEFT + WIDTH, TOP + HEIGHT);
    let _ = write!(drawing, "<path class=\"axis\" d=\"M{LEFT} {TOP}V{below}H{end}\"/>");
    let _ = writeln!(drawing, "<text x=\"{end}\" y=\"{}\" class=\"end\">{across}</text></svg>", below + 42.0);
    drawing
}

/// Horizontal bars, each with a mark where its goal is.
pub fn bars(title: &str, values: &[(String, f64, f64)]) -> String {
    let top = values.iter().map(|(_, value, bar)| value.max(*bar)).fold(0.0, f64::max);
    let mut drawing = frame(title, TOP + 46.0 * values.len() as f64 + 10.0);
    for (at, (name, value, bar)) in values.iter().enumerate() {
        let y = TOP + 46.0 * at as f64;
        let across = |value: f64| LEFT + value / top * WIDTH;
        let _ = write!(drawing, "<text x=\"{LEFT}\" y=\"{:.1}\">{}</text>", y + 12.0, escaped(name));
        let _ = write!(
            drawing,
            "<rect x=\"{LEFT}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\"/>",
            y + 18.0,
            across(*value) - LEFT
        );
        let _ = write!(drawing, "<path class=\"mark\" d=\"M{:.1} {:.1}v22\"/>", across(*bar), y + 14.0);
        let _ =
            write!(drawing, "<text x=\"{:.1}\" y=\"{:.1}\">{value:.2}</text>", across(value.max(*bar)) + 8.0, y + 30.0);
    }
    drawing.push_str("</svg>\n");
    drawing
}

fn frame(title: &str, height: f64) -> String {
    let width = LEFT + WIDTH + 70.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">\
         <style>svg{{background:#fff;font:13px sans-serif}}text{{fill:#222}}rect,circle{{fill:#2563a8}}\
         .line{{fill:none;stroke:#2563a8;stroke-width:2}}.axis{{fill:none;stroke:#888}}.mark{{stroke:#b3261e;stroke-width:3}}\
         .middle{{text-anchor:middle}}.end{{text-anchor:end}}@media(prefers-color-scheme:dark){{svg{{background:#16181c}}\
         text{{fill:#e6e6e6}}rect,circle{{fill:#7db3ef}}.line{{stroke:#7db3ef}}.mark{{stroke:#ff8a80}}}}</style>\
         <text x=\"{LEFT}\" y=\"24\" style=\"font-weight:bold\">{title}</text>"
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

const LEFT: f64 = 40.0;
const TOP: f64 = 44.0;
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
