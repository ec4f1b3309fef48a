//! Two lines over time, as SVG: the requests of each second, ours and the naive client's.

use std::fmt::Write;

use crate::fleet::Outcome;

/// Draws both on a logarithmic scale, in percent of the boxes.
pub fn draw(title: &str, naive: &Outcome, ours: &Outcome) -> String {
    let seconds = naive.last().max(ours.last()).clamp(120, 2400) + 10;
    let x = |second: usize| LEFT + WIDTH * second as f64 / seconds as f64;
    let y = |percent: f64| TOP + HEIGHT * (MOST.log10() - percent.max(LEAST).log10()) / (MOST.log10() - LEAST.log10());
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 800 330\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"800\" height=\"330\" fill=\"white\"/>\n<text x=\"{LEFT}\" y=\"18\" font-size=\"14\">{title}</text>\n"
    );
    for percent in [0.01, 0.1, 1.0, 10.0] {
        let (height, color) = (y(percent), if percent == 1.0 { "#c00" } else { "#ddd" });
        let right = LEFT + WIDTH;
        let _ = writeln!(svg, "<path d=\"M{LEFT} {height:.1}H{right}\" stroke=\"{color}\"/>");
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{percent} %</text>",
            LEFT - 6.0,
            height + 4.0
        );
    }
    for minute in 0..=seconds / 60 {
        if seconds <= 900 || minute % 5 == 0 {
            let _ = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{minute} min</text>",
                x(minute * 60),
                TOP + HEIGHT + 18.0
            );
        }
    }
    for (name, outcome, color, at) in [("naive", naive, "#999", 560), ("bearerd", ours, "#06c", 640)] {
        let percent = |count: &u32| f64::from(*count) * 100.0 / outcome.boxes as f64;
        let points: Vec<_> = outcome.requests[..seconds]
            .iter()
            .enumerate()
            .map(|(second, count)| format!("{:.1},{:.1}", x(second), y(percent(count))))
            .collect();
        let _ = writeln!(svg, "<polyline fill=\"none\" stroke=\"{color}\" points=\"{}\"/>", points.join(" "));
        let _ = writeln!(svg, "<text x=\"{at}\" y=\"18\" fill=\"{color}\">{name}</text>");
    }
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"322\">requests of a second in percent of the boxes, by time since the power came back</text>\n</svg>"
    );
    svg
}

const LEFT: f64 = 60.0;
const TOP: f64 = 30.0;
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 255.0;
const LEAST: f64 = 0.001;
const MOST: f64 = 30.0;
