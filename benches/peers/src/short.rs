//! How do we stand, in few columns?
//!
//! Made of what `--json` writes, so that README.md can show what a command prints.

use std::fmt::Write as _;

use serde_json::Value;

use crate::table::{significant, time};

/// Every row, but those of the plot and of the limits.
pub fn all(figures: &Value) -> Result<String, String> {
    table(figures, |row| row["part"] != "limits" && row["part"] != "sizes")
}

/// The rows that have a goal, but for those that say the same of other reads, and where and with what they were measured.
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
    Ok(format!("{}; {}.\n\n{table}", figures["run"].as_str().unwrap_or("?"), versions.join(", ")))
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
            // The bare loop copies what it sends.
            row["of the bare loop"].as_f64().filter(|_| ours == "sockless").map_or("–".to_string(), significant),
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
