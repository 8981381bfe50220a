//! What does throughput over message size look like?
//!
//! An SVG without scripts, fonts or colours of its own for what is neither light nor dark: text and grid are grey,
//! which both backgrounds bear.

use std::fmt::Write as _;

use serde_json::Value;

use crate::rows::bytes;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 650.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 410.0;

/// Readable on white and on black, and apart for those who see fewer colours; ours comes first.
const COLOURS: [&str; 10] =
    ["#e6550d", "#3182bd", "#31a354", "#9467bd", "#b8860b", "#d6618f", "#17a2b8", "#8c6d5a", "#6b7fd7", "#7f9f3f"];

struct Line {
    name: String,
    /// Bytes in a message, and bytes a second.
    points: Vec<(f64, f64)>,
}

/// Draws the part `sizes` of what `--json` wrote.
pub fn draw(figures: &Value) -> Result<String, String> {
    let rows = figures["rows"].as_array().ok_or("no rows")?;
    let mut lines: Vec<Line> = Vec::new();
    for row in rows.iter().filter(|row| row["part"] == "sizes") {
        let size = row["size"].as_f64().ok_or("a row without a size")?;
        for (name, figure) in row["figures"].as_object().into_iter().flatten() {
            let Some(nanoseconds) = figure["ns"].as_f64() else { continue };
            let point = (size, size / nanoseconds * 1e9);
            match lines.iter_mut().find(|line| line.name == *name) {
                Some(line) => line.points.push(point),
                None => lines.push(Line { name: name.clone(), points: vec![point] }),
            }
        }
    }
    // Ours first, then by what they reach at the smallest size; the limits last, in grey.
    let is_limit = |line: &Line| line.name == "memcpy" || line.name.starts_with("bare loop");
    let first = |line: &Line| line.points.first().map_or(0.0, |point| point.1);
    lines.sort_by(|one, other| {
        let rank = |line: &Line| (is_limit(line), line.name != "sockless");
        rank(one).cmp(&rank(other)).then(first(other).total_cmp(&first(one)))
    });
    let all = || lines.iter().flat_map(|line| &line.points);
    let (least, most) = all().fold((f64::MAX, 0.0_f64), |(least, most), point| (least.min(point.1), most.max(point.1)));
    let (from, to) = all().fold((f64::MAX, 0.0_f64), |(from, to), point| (from.min(point.0), to.max(point.0)));
    if to <= from {
        return Err("the part `sizes` was not measured".to_string());
    }
    let (low, high) = (least.log10().floor(), most.log10().ceil());
    let x = |size: f64| LEFT + (RIGHT - LEFT) * (size / from).ln() / (to / from).ln();
    let y = |rate: f64| BOTTOM - (BOTTOM - TOP) * (rate.log10() - low) / (high - low);

    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#808080\">\n<title>Throughput over the size of a message</title>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">A server receives binary messages, bytes of payload a second \
         on one core, by the size of a message</text>\n"
    );
    let mut grid = |x1: f64, y1: f64, x2: f64, y2: f64, opacity: f64| {
        _ = writeln!(
            out,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#808080\" \
             stroke-opacity=\"{opacity}\"/>"
        );
    };
    let sizes: Vec<_> = lines.first().map_or(Vec::new(), |line| line.points.iter().map(|point| point.0).collect());
    for decade in low as i32..=high as i32 {
        grid(LEFT, y(10_f64.powi(decade)), RIGHT, y(10_f64.powi(decade)), 0.4);
        for step in 2..10 {
            let rate = 10_f64.powi(decade) * f64::from(step);
            if decade < high as i32 {
                grid(LEFT, y(rate), RIGHT, y(rate), 0.1);
            }
        }
    }
    sizes.iter().for_each(|size| grid(x(*size), TOP, x(*size), BOTTOM, 0.2));
    for decade in low as i32..=high as i32 {
        let label = match decade {
            ..6 => format!("{} KB/s", 10_f64.powi(decade - 3)),
            6..9 => format!("{} MB/s", 10_f64.powi(decade - 6)),
            _ => format!("{} GB/s", 10_f64.powi(decade - 9)),
        };
        let y = y(10_f64.powi(decade)) + 4.0;
        _ = writeln!(out, "<text x=\"{}\" y=\"{y:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0);
    }
    for size in &sizes {
        let label = bytes(*size as usize);
        _ = writeln!(out, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", x(*size), BOTTOM + 18.0);
    }
    for (number, line) in lines.iter().enumerate() {
        let colour = if is_limit(line) { "#808080" } else { COLOURS[number % COLOURS.len()] };
        let width = if number == 0 { 3.5 } else { 1.5 };
        let dashes = match line.name.as_str() {
            "memcpy" => " stroke-dasharray=\"2 4\"",
            "bare loop" => " stroke-dasharray=\"7 4\"",
            "bare loop, SIMD" => " stroke-dasharray=\"14 4\"",
            _ => "",
        };
        let mut points = String::new();
        line.points.iter().for_each(|point| _ = write!(points, "{:.1},{:.1} ", x(point.0), y(point.1)));
        let points = points.trim_end();
        _ = writeln!(
            out,
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\" \
             stroke-linejoin=\"round\"{dashes}/>"
        );
        let at = TOP + 10.0 + 22.0 * number as f64;
        let (start, end) = (RIGHT + 20.0, RIGHT + 48.0);
        let weight = if number == 0 { " font-weight=\"bold\"" } else { "" };
        _ = writeln!(
            out,
            "<line x1=\"{start}\" y1=\"{at}\" x2=\"{end}\" y2=\"{at}\" stroke=\"{colour}\" stroke-width=\"{width}\"\
             {dashes}/>\n<text x=\"{}\" y=\"{}\"{weight}>{}</text>",
            end + 6.0,
            at + 4.0,
            line.name
        );
    }
    out.push_str("</svg>\n");
    Ok(out)
}
