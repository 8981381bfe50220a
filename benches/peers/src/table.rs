//! How are the figures shown?

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::rounds::Figures;
use crate::rows::Row;

/// An engine; strict if it misses at most two of the faults that probes.rs knows, and looks at text.
pub struct Judged {
    pub name: &'static str,
    pub strict: bool,
}

/// A part of the table, in Markdown.
pub fn show(rows: &[&Row], engines: &[Judged]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().flat_map(|row| &row.figures).map(|figures| figures.name) {
        if !columns.contains(&name) {
            columns.push(name);
        }
    }
    let compares = columns.first() == Some(&"sockless");
    let mut header = vec![""];
    header.extend(&columns);
    if compares {
        header.extend(["against the fastest peer", "the fastest strict", "of the bare loop"]);
    }
    let mut lines = vec![header.iter().map(ToString::to_string).collect(), vec!["---".to_string(); header.len()]];
    for row in rows {
        let mut line = vec![row.title.clone()];
        line.extend(columns.iter().map(|name| match row.figures.iter().find(|figures| figures.name == *name) {
            Some(figures) => cell(figures),
            None => "–".to_string(),
        }));
        if compares {
            line.extend(Standing::of(row, engines).cells());
        }
        lines.push(line);
    }
    let widths: Vec<_> = (0..header.len())
        .map(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0))
        .collect();
    let mut out = String::new();
    for line in &lines {
        for (cell, width) in line.iter().zip(&widths) {
            _ = write!(out, "| {cell:width$} ");
        }
        out.push_str("|\n");
    }
    out
}

/// How we stand in a row.
struct Standing {
    /// The fastest peer, and how many times our time it takes: for each of our forms that was measured.
    fastest: Option<(&'static str, Vec<f64>)>,
    /// As much, among those who check as much as we do.
    strict: Option<(&'static str, Vec<f64>)>,
    /// The bare loop's time as a share of ours.
    bare: Option<f64>,
}

impl Standing {
    fn of(row: &Row, engines: &[Judged]) -> Standing {
        let ours: Vec<_> = row.figures.iter().filter(|figures| figures.name.starts_with("sockless")).collect();
        let fastest = |strict: bool| {
            let is_peer = |figures: &&Figures| {
                engines.iter().any(|engine| {
                    engine.name == figures.name && engine.name != "sockless" && (engine.strict || !strict)
                })
            };
            let peers = row.figures.iter().filter(is_peer).filter_map(|peer| Some((peer.median()?, peer)));
            let (_, peer) = peers.min_by(|one, other| one.0.total_cmp(&other.0))?;
            Some((peer.name, ours.iter().filter_map(|form| form.ahead_of(peer)).collect()))
        };
        let bare = row.figures.iter().find(|figures| figures.name == "bare loop");
        let bare = bare.and_then(|bare| ours.first()?.ahead_of(bare));
        Standing { fastest: fastest(false), strict: fastest(true), bare }
    }

    fn cells(&self) -> [String; 3] {
        let against = |peer: &Option<(&str, Vec<f64>)>| match peer {
            Some((name, ratios)) => {
                let ratios: Vec<_> = ratios.iter().map(|ratio| format!("{}×", significant(*ratio))).collect();
                format!("{} {name}", ratios.join(", "))
            }
            None => "–".to_string(),
        };
        [against(&self.fastest), against(&self.strict), self.bare.map_or("–".to_string(), significant)]
    }
}

/// What we want, by the part and the size: times the fastest peer, times the fastest that is strict, or a share of the
/// bare loop.
fn goal(row: &Row) -> &'static str {
    match (row.part, row.size) {
        ("receive", ..=125) if row.title.contains("binary") => "3× the fastest strict",
        ("receive", 1024) => "1.3× the fastest",
        ("receive", 16384..) => "1× the fastest, 0.9 of the bare loop",
        ("send", _) => "1.5× the fastest",
        ("client-send", ..=1024) => "1.2× the fastest",
        ("client-receive", ..=1024) => "2× the fastest",
        ("echo", 16) => "2.5× the fastest",
        ("echo", ..=1024) => "1.3× the fastest",
        ("client-send" | "client-receive" | "echo", _) => "1× the fastest",
        ("open", _) => "0.67 of the bare loop",
        ("broadcast", _) => "40 ns prepared",
        _ => "",
    }
}

/// All rows with what matters most.
pub fn summary(rows: &[&Row], engines: &[Judged]) -> String {
    let mut out = "| | sockless | fastest peer | | fastest strict | | of the bare loop | goal |\n".to_string();
    out.push_str("| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for row in rows {
        let standing = Standing::of(row, engines);
        let time = |name: &str| row.figures.iter().find(|figures| figures.name == name).map(cell);
        let pair = |peer: &Option<(&str, Vec<f64>)>| match peer {
            Some((name, ratios)) => {
                let ratios: Vec<_> = ratios.iter().map(|ratio| format!("{}×", significant(*ratio))).collect();
                format!("{name}, {} | {}", time(name).unwrap_or_default(), ratios.join(", "))
            }
            None => "– | –".to_string(),
        };
        let ours = row.figures.iter().filter(|figures| figures.name.starts_with("sockless"));
        let ours: Vec<_> = ours.map(cell).collect();
        let bare = standing.bare.map_or("–".to_string(), significant);
        _ = writeln!(
            out,
            "| {}, {} | {} | {} | {} | {bare} | {} |",
            row.part,
            row.title,
            ours.join(", "),
            pair(&standing.fastest),
            pair(&standing.strict),
            goal(row)
        );
    }
    out
}

fn cell(figures: &Figures) -> String {
    let (Some(median), Some(spread)) = (figures.median(), figures.spread()) else {
        return "fails".to_string();
    };
    let (unit, nanoseconds) = match median {
        0.0..1e3 => ("ns", 1.0),
        1e3..1e6 => ("µs", 1e3),
        _ => ("ms", 1e6),
    };
    format!("{} {unit} ±{:.0}%", significant(median / nanoseconds), spread * 100.0)
}

/// Three digits, or all before the point.
fn significant(value: f64) -> String {
    match value {
        0.0..0.1 => format!("{value:.4}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn to_json(rows: &[Row], engines: &[Judged]) -> Value {
    let rows = rows.iter().map(|row| {
        let figures = row.figures.iter().map(|figures| {
            let figure = match &figures.rounds {
                Ok(_) => json!({ "ns": figures.median(), "spread": figures.spread() }),
                Err(error) => json!({ "error": error }),
            };
            (figures.name.to_string(), figure)
        });
        let figures: serde_json::Map<_, _> = figures.collect();
        let standing = Standing::of(row, engines);
        json!({
            "part": row.part, "row": row.title, "size": row.size, "figures": figures, "goal": goal(row),
            "fastest": standing.fastest, "strict": standing.strict, "of the bare loop": standing.bare,
        })
    });
    rows.collect()
}
