//! How do we stand, in few columns?
//!
//! Made of what `--json` writes, so that README.md can show what a command prints.

use std::fmt::Write as _;

use sockless::Server;

use serde_json::Value;

use crate::table::{significant, time};

/// Every row, but those of the plot and of the limits.
pub fn all(figures: &Value) -> Result<String, String> {
    table(figures, |row| row["part"] != "limits" && row["part"] != "sizes")
}

/// The rows that have a goal, but for those that say the same of other reads; how ours scales; and where and with what
/// all that was measured.
pub fn readme(figures: &Value) -> Result<String, String> {
    let table = table(figures, |row| {
        let title = row["row"].as_str().unwrap_or_default();
        let says_the_same = title.ends_with("reads of 16 KiB")
            || row["part"] == "trickle" && !title.starts_with("16 KiB text, reads of 1 B");
        row["goal"].is_string() && !says_the_same
    })?;
    let engines = figures["engines"].as_array().ok_or("no engines")?.iter();
    let mut versions: Vec<_> = engines
        .filter(|engine| engine["name"] != "sockless")
        .map(|engine| {
            let text = |key: &str| engine[key].as_str().unwrap_or("?");
            format!("{} {}{}", text("name"), text("version"), if engine["strict"] == true { " (strict)" } else { "" })
        })
        .collect();
    versions.dedup();
    // Without the spread, which this table has no room for.
    let run = figures["run"].as_str().unwrap_or("?").split(", ±").next().unwrap_or_default();
    Ok(format!("{run}; {}.\n\n{table}\n{}", versions.join(", "), scaling(figures)))
}

/// What a message of ours costs where there are more connections, longer messages or more fragments.
fn scaling(figures: &Value) -> String {
    let ours = |part: &str| -> Vec<(&str, f64)> {
        let rows = figures["rows"].as_array().into_iter().flatten().filter(|row| row["part"] == part);
        rows.filter_map(|row| Some((row["row"].as_str()?, row["figures"]["sockless"]["ns"].as_f64()?))).collect()
    };
    let mut out = "| server receives | time a message |\n| --- | --- |\n".to_string();
    for (part, what, prefix) in [
        ("connections", "125 B, from so many connections in turn", "round robin over "),
        ("sizes", "so much in one frame", ""),
        ("fragments", "64 KiB in frames of", "in frames of "),
    ] {
        let cells =
            ours(part).into_iter().map(|(title, each)| format!("{}: {}", title.trim_start_matches(prefix), time(each)));
        _ = writeln!(out, "| {what} | {} |", cells.collect::<Vec<_>>().join(", "));
    }
    if let Some((title, each)) = ours("connections").last() {
        _ = writeln!(out, "\n{}", a_million(title, *each));
    }
    out
}

/// What a million connections would need, by what a message costs with as many as were measured.
pub fn a_million(title: &str, nanoseconds: f64) -> String {
    let size = size_of::<Server>();
    format!(
        "A million connections would need {size} MB for the engine while they are idle ({size} B each, and nothing on \
         the heap: tests/memory.rs), and {} of one core for a message of 125 B from each, by what one costs {title} ({}). \
         What the kernel, TLS and the application need comes on top.",
        time(nanoseconds * 1e6),
        time(nanoseconds),
    )
}

fn table(figures: &Value, is_shown: impl Fn(&Value) -> bool) -> Result<String, String> {
    let mut out = "| | sockless | fastest strict | | fastest | | of the bare loop | goal | met |\n".to_string();
    out.push_str("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for row in figures["rows"].as_array().ok_or("no rows")?.iter().filter(|row| is_shown(row)) {
        let ours = row["ours"].as_str().unwrap_or("sockless");
        let figure = |name: &str| match row["figures"][name]["ns"].as_f64() {
            Some(nanoseconds) => time(nanoseconds),
            None => "–".to_string(),
        };
        let peer = |peer: &Value| match (peer["name"].as_str(), peer["times"][ours].as_f64()) {
            (Some(name), Some(times)) => format!("{name}, {} | {}×", figure(name), significant(times)),
            _ => "– | –".to_string(),
        };
        let met = match row["met"].as_bool() {
            Some(true) => "yes",
            Some(false) => "no",
            None => "",
        };
        _ = writeln!(
            out,
            "| {}{} | {} | {} | {} | {} | {} | {met} |",
            label(row),
            ours.strip_prefix("sockless").map_or(String::new(), |form| form.replace(' ', ", ")),
            figure(ours),
            peer(&row["strict"]),
            peer(&row["fastest"]),
            row["of the bare loop"].as_f64().map_or("–".to_string(), significant),
            row["goal"].as_str().unwrap_or_default(),
        );
    }
    Ok(out)
}

/// What is done, and to what.
fn label(row: &Value) -> String {
    let title = row["row"].as_str().unwrap_or("?").trim_end_matches(", reads of 64 KiB").replace(" binary", "");
    match row["part"].as_str().unwrap_or("?") {
        "receive" => format!("server receives {title}"),
        "client-receive" => format!("client receives {title}"),
        "send" => format!("server sends {title}"),
        "client-send" => format!("client sends {title}"),
        "echo" => format!("server echoes {title}"),
        "open" => format!("server opens, {title}"),
        "broadcast" => format!("server sends 1 KiB to many: {title}"),
        "trickle" => format!("server receives {title}"),
        "connections" => format!("125 B from each in turn, {title}"),
        "fragments" => format!("server receives 64 KiB {title}"),
        part => format!("{part}, {title}"),
    }
}
