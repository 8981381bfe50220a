//! How are the figures shown? All of them, and in short: ours beside the peer that needs least.

use crate::{Cell, IDLE};

/// What was measured of one server in one cell, round by round; times in seconds.
pub struct Echo<'a> {
    pub cell: &'a Cell,
    pub server: &'static str,
    pub rates: Vec<f64>,
    pub busy: Vec<f64>,
    pub cpu: Vec<f64>,
    pub median: Vec<f64>,
    pub late: Vec<f64>,
    pub calls: Option<f64>,
}

/// What an idle connection holds.
pub struct Idle {
    pub server: &'static str,
    pub bytes: f64,
}

impl<'a> Echo<'a> {
    pub fn new(cell: &'a Cell, server: &'static str) -> Echo<'a> {
        let [rates, busy, cpu, median, late] = [const { Vec::new() }; 5];
        Echo { cell, server, rates, busy, cpu, median, late, calls: None }
    }

    fn calls(&self) -> String {
        self.calls.map_or("?".into(), |calls| format!("{calls:.3}"))
    }
}

pub fn all(echoes: &[Echo<'_>], idle: &[Idle]) -> String {
    let mut lines = String::from(
        "| echo | server | messages a second | | core busy | CPU a message | calls a message | median | 99 of 100 |\n\
         | --- | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for echo in echoes {
        let rate = median(&echo.rates);
        let ends = echo.rates.iter().fold((f64::MAX, 0f64), |(low, high), rate| (low.min(*rate), high.max(*rate)));
        let latency = |times: &[f64]| if times.is_empty() { String::new() } else { time(median(times)) };
        lines += &format!(
            "| {} | {} | {} | ± {:.0} % | {:.0} % | {} | {} | {} | {} |\n",
            title(echo.cell),
            echo.server,
            thousands(rate),
            (ends.1 - ends.0) / rate * 50.0,
            median(&echo.busy) * 100.0,
            time(median(&echo.cpu)),
            echo.calls(),
            latency(&echo.median),
            latency(&echo.late),
        );
    }
    let idle: Vec<String> = idle.iter().map(|idle| format!("{} {:.0} B", idle.server, idle.bytes)).collect();
    format!("{lines}\n{} idle connections, resident, each: {}.\n", thousands(IDLE as f64), idle.join(", "))
}

pub fn short(echoes: &[Echo<'_>], idle: &[Idle]) -> String {
    let mut lines = String::from("| | sockless | the best other | times |\n| --- | --- | --- | --- |\n");
    let cpu = |echo: &Echo<'_>| median(&echo.cpu);
    let costs = |echo: &Echo<'_>| {
        format!("{}, {} a second, {} calls", time(cpu(echo)), thousands(median(&echo.rates)), echo.calls())
    };
    for cell in echoes.chunk_by(|one, other| one.cell.name == other.cell.name) {
        let title = format!("{}: CPU a message", title(cell[0].cell));
        lines += &line(&title, cell, |echo| echo.server, cpu, costs);
    }
    let latency = |echo: &Echo<'_>| format!("{}, {}", time(median(&echo.median)), time(median(&echo.late)));
    for cell in echoes.chunk_by(|one, other| one.cell.name == other.cell.name) {
        if let Cell { size, rate: Some(rate), .. } = *cell[0].cell {
            let title = format!("{}, {} a second: median, 99 of 100", bytes(size), thousands(rate));
            lines += &line(&title, cell, |echo| echo.server, |echo| median(&echo.median), latency);
        }
    }
    let title = format!("{} idle connections, resident, each", thousands(IDLE as f64));
    lines + &line(&title, idle, |idle| idle.server, |idle| idle.bytes, |idle| format!("{:.0} B", idle.bytes))
}

/// Ours and, of the others, the one with the least cost; nothing if one of both is missing.
fn line<T>(
    title: &str,
    all: &[T],
    name: impl Fn(&T) -> &'static str,
    cost: impl Fn(&T) -> f64,
    show: impl Fn(&T) -> String,
) -> String {
    let (ours, others): (Vec<&T>, Vec<&T>) = all.iter().partition(|one| name(one) == "sockless");
    let best = others.into_iter().min_by(|one, other| cost(one).total_cmp(&cost(other)));
    let (Some(ours), Some(best)) = (ours.first(), best) else { return String::new() };
    let times = cost(best) / cost(ours);
    format!("| {title} | {} | {}, {} | {times:.2} |\n", show(ours), show(best), name(best))
}

fn median(samples: &[f64]) -> f64 {
    let mut samples = samples.to_vec();
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn title(cell: &Cell) -> String {
    format!("{}, {} under way on each of {}", bytes(cell.size), cell.window, cell.connections)
}

fn bytes(size: usize) -> String {
    if size < 1 << 10 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}

/// Three digits.
fn time(seconds: f64) -> String {
    let (value, unit) = match seconds {
        ..1e-6 => (seconds * 1e9, "ns"),
        ..1e-3 => (seconds * 1e6, "µs"),
        _ => (seconds * 1e3, "ms"),
    };
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$} {unit}")
}

/// Rounded to three digits, in groups of three.
fn thousands(value: f64) -> String {
    let unit = 10f64.powf((value.log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let groups: Vec<&str> = digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}
