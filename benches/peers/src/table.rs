//! How are the figures shown?

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::goals::{self, Goal};
use crate::probes::Judged;
use crate::rounds::Figures;
use crate::rows::Row;

/// Who takes part, in Markdown.
pub fn engines(engines: &[Judged]) -> String {
    let mut out = "| engine | version | strict | does not check (asked by probes.rs) | nor of a request | remark |\n\
        | --- | --- | --- | --- | --- | --- |\n"
        .to_string();
    let list = |skips: &[&str]| if skips.is_empty() { "–".to_string() } else { skips.join("; ") };
    for engine in engines {
        let requests = engine.skips_of_requests.as_ref().map_or("reads none".to_string(), |skips| list(skips));
        let (strict, skips) = (if engine.is_strict("") { "yes" } else { "no" }, list(&engine.skips));
        let Judged { name, version, remark, .. } = engine;
        _ = writeln!(out, "| {name} | {version} | {strict} | {skips} | {requests} | {remark} |");
    }
    out + "\nStrict: it looks at UTF-8, and leaves out two of the other checks at most; where requests are answered, two of \
           theirs.\n"
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

/// How many times our time another takes: for each of our forms that was measured.
pub type Times = Vec<(&'static str, f64)>;

/// How we stand in a row.
pub struct Standing {
    pub fastest: Option<(&'static str, Times)>,
    /// As much, among those who check as much as we do.
    pub strict: Option<(&'static str, Times)>,
    /// The bare loop's time as a share of ours.
    pub bare: Option<f64>,
}

impl Standing {
    pub fn of(row: &Row, engines: &[Judged]) -> Standing {
        let ours: Vec<_> = row.figures.iter().filter(|figures| figures.name.starts_with("sockless")).collect();
        let main = ours.iter().find(|figures| figures.name == goals::ours(row));
        let fastest = |strict: bool| {
            let is_peer = |figures: &&Figures| {
                engines.iter().any(|engine| {
                    engine.name == figures.name && engine.name != "sockless" && (engine.is_strict(row.part) || !strict)
                })
            };
            // Who leaves us the least in the rounds that both had: medians of times alone might name another.
            let peers = row.figures.iter().filter(is_peer);
            let peers = peers.filter_map(|peer| Some((main.map_or(peer.median(), |main| main.ahead_of(peer))?, peer)));
            let (_, peer) = peers.min_by(|one, other| one.0.total_cmp(&other.0))?;
            Some((peer.name, ours.iter().filter_map(|form| Some((form.name, form.ahead_of(peer)?))).collect()))
        };
        let bare = row.figures.iter().find(|figures| figures.name == "bare loop");
        let bare = bare.and_then(|bare| ours.first()?.ahead_of(bare));
        Standing { fastest: fastest(false), strict: fastest(true), bare }
    }

    fn cells(&self) -> [String; 3] {
        let against = |peer: &Option<(&str, Times)>| match peer {
            Some((name, ratios)) => {
                let ratios: Vec<_> = ratios.iter().map(|(_, ratio)| format!("{}×", significant(*ratio))).collect();
                format!("{} {name}", ratios.join(", "))
            }
            None => "–".to_string(),
        };
        [against(&self.fastest), against(&self.strict), self.bare.map_or("–".to_string(), significant)]
    }
}

fn cell(figures: &Figures) -> String {
    let (Some(median), Some(spread)) = (figures.median(), figures.spread()) else {
        return "fails".to_string();
    };
    format!("{} ±{:.0}%", time(median), spread * 100.0)
}

/// Nanoseconds, in the unit that fits.
pub fn time(nanoseconds: f64) -> String {
    let (unit, one) = match nanoseconds {
        0.0..1e3 => ("ns", 1.0),
        1e3..1e6 => ("µs", 1e3),
        _ => ("ms", 1e6),
    };
    format!("{} {unit}", significant(nanoseconds / one))
}

/// Three digits, or all before the point.
pub fn significant(value: f64) -> String {
    match value {
        0.0..0.1 => format!("{value:.4}"),
        0.1..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub fn engines_to_json(engines: &[Judged]) -> Value {
    let engines = engines.iter().map(|engine| {
        json!({
            "name": engine.name, "version": engine.version, "remark": engine.remark, "skips": engine.skips,
            "skips of requests": engine.skips_of_requests, "strict": engine.is_strict(""),
        })
    });
    engines.collect()
}

pub fn to_json(rows: &[Row], engines: &[Judged]) -> Value {
    let shown = rows.iter().map(|row| {
        let figures = row.figures.iter().map(|figures| {
            let figure = match &figures.rounds {
                Ok(_) => json!({ "ns": figures.median(), "spread": figures.spread() }),
                Err(error) => json!({ "error": error }),
            };
            (figures.name.to_string(), figure)
        });
        let figures: serde_json::Map<_, _> = figures.collect();
        let standing = Standing::of(row, engines);
        let goal = Goal::of(row, &standing, rows);
        let peer = |peer: &Option<(&str, Times)>| {
            let (name, times) = peer.as_ref()?;
            let times: serde_json::Map<_, _> =
                times.iter().map(|(form, times)| (form.to_string(), json!(times))).collect();
            Some(json!({ "name": name, "times": times }))
        };
        json!({
            "part": row.part, "row": row.title, "size": row.size, "figures": figures, "ours": goals::ours(row),
            "goal": goal.as_ref().map(|goal| &goal.text), "met": goal.as_ref().map(|goal| goal.is_met),
            "fastest": peer(&standing.fastest), "strict": peer(&standing.strict), "of the bare loop": standing.bare,
        })
    });
    shown.collect()
}
