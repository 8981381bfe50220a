//! Is the engine faster than its peers, and how far is it from what the machine can do?
//!
//! `cargo run --release` in this folder prints the whole table, in under five minutes. Behind `--`:
//!
//! - `--only PART`, `--engine NAME`, `--size BYTES`: some parts, engines or sizes of messages only; each may come again
//! - `--rounds N`, `--sample MICROSECONDS`: more or less care
//! - `--json FILE`: write the figures too
//! - `plot FILE.json FILE.svg`: draw what was written
//!
//! `--profile lto` in place of `--release` asks the compiler for more, and changes the order among peers.
//!
//! Nothing is read from a socket or written to one: transport.rs says what is there instead, and rounds.rs how time is
//! taken. The features of the peers are in Cargo.toml, their versions in Cargo.lock.

mod engines;
mod limits;
mod machine;
mod plot;
mod probes;
mod rounds;
mod rows;
mod table;
mod traffic;
mod transport;

use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use lexopt::prelude::*;

use crate::rows::{Bench, PARTS};
use crate::table::Judged;
use crate::transport::Failure;

/// glibc's memcpy by `rep movsb` is several times slower at some offsets on some CPUs, which would make of the place of
/// a buffer a matter of luck.
const TUNABLES: (&str, &str) =
    ("GLIBC_TUNABLES", "glibc.cpu.x86_rep_movsb_threshold=0x7fffffff:glibc.cpu.x86_rep_stosb_threshold=0x7fffffff");

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Arguments {
    only: Vec<String>,
    engines: Vec<String>,
    sizes: Vec<usize>,
    json: Option<String>,
    rounds: usize,
    sample: u64,
    plot: Vec<String>,
}

fn arguments() -> Result<Arguments, lexopt::Error> {
    let mut found = Arguments { rounds: 31, sample: 1000, ..Arguments::default() };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => found.only.push(parser.value()?.string()?),
            Long("engine") => found.engines.push(parser.value()?.string()?),
            Long("size") => found.sizes.push(parser.value()?.parse()?),
            Long("json") => found.json = Some(parser.value()?.string()?),
            Long("rounds") => found.rounds = parser.value()?.parse()?,
            Long("sample") => found.sample = parser.value()?.parse()?,
            Value(command) if command == "plot" => {
                found.plot = vec![parser.value()?.string()?, parser.value()?.string()?];
            }
            other => return Err(other.unexpected()),
        }
    }
    if let Some(part) = found.only.iter().find(|part| *part != "limits" && !PARTS.iter().any(|(name, _)| part == name))
    {
        let parts = PARTS.map(|(name, _)| name).join(", ");
        return Err(format!("there is no part {part:?}: it is one of {parts}, limits").into());
    }
    if found.rounds == 0 {
        return Err("there must be a round".into());
    }
    Ok(found)
}

fn run() -> Result<(), Failure> {
    let arguments = arguments()?;
    if let [from, to] = &arguments.plot[..] {
        let figures: serde_json::Value = serde_json::from_str(&fs::read_to_string(from)?)?;
        return Ok(fs::write(to, plot::draw(&figures)?)?);
    }
    if env::var_os(TUNABLES.0).is_none() {
        // It is read when a process starts, so start once more.
        return Err(again().into());
    }

    let start = Instant::now();
    let wanted = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let mut engines = engines::all();
    engines.retain(|engine| arguments.engines.is_empty() || arguments.engines.iter().any(|name| name == engine.name()));
    let versions: Vec<_> = engines
        .iter()
        .filter(|engine| !engine.only_sends())
        .map(|engine| (engine.name(), machine::version(engine.package()), engine.remark(), probes::skips(&**engine)))
        .collect();
    let judged: Vec<_> = versions
        .iter()
        .map(|(name, _, _, skips)| Judged { name, strict: skips.len() <= 2 && !skips.contains(&"UTF-8") })
        .collect();
    let before = format!(
        "{}, {}, profile {}, CPU time of one thread, load {} when it began; medians of {} rounds of {} µs, ± half the \
         distance of the quartiles. {}={}",
        machine::date(),
        machine::cpu(),
        machine::profile(),
        machine::load(),
        arguments.rounds,
        arguments.sample,
        TUNABLES.0,
        env::var(TUNABLES.0).unwrap_or_default(),
    );
    println!("{before}\n");
    println!(
        "| engine | version | strict | does not check (asked by probes.rs) | remark |\n| --- | --- | --- | --- | --- |"
    );
    for ((name, version, remark, skips), judged) in versions.iter().zip(&judged) {
        let (strict, skips) = (if judged.strict { "yes" } else { "no" }, skips.join("; "));
        println!("| {name} | {version} | {strict} | {} | {remark} |", if skips.is_empty() { "–" } else { &skips });
    }
    println!("\nStrict: it looks at UTF-8, and leaves out two of the other checks at most.\n");

    let progress = |row: &rows::Row| eprintln!("{} {}", row.part, row.title);
    let mut bench = Bench {
        engines,
        rounds: arguments.rounds,
        sample: arguments.sample * 1000,
        sizes: arguments.sizes,
        with_limits: arguments.engines.is_empty(),
        done: progress,
        rows: Vec::new(),
    };
    for (part, title) in PARTS.into_iter().filter(|(part, _)| wanted(part)) {
        bench.run(part);
        let rows: Vec<_> = bench.rows.iter().filter(|row| row.part == part).collect();
        println!("{title} ({part}):\n\n{}", table::show(&rows, &judged));
    }
    if wanted("limits") {
        let rows = rows::limits(arguments.rounds, bench.sample);
        println!("The parts of the work alone (limits):\n\n{}", table::show(&rows.iter().collect::<Vec<_>>(), &judged));
        bench.rows.extend(rows);
    }
    let compared: Vec<_> = bench.rows.iter().filter(|row| !matches!(row.part, "limits" | "sizes")).collect();
    println!("In short; of sends, ours copied, shared and prepared:\n\n{}", table::summary(&compared, &judged));
    let failures = bench.rows.iter().flat_map(|row| row.figures.iter().map(move |figures| (row, figures)));
    for (row, figures) in failures {
        if let Err(error) = &figures.rounds {
            println!("{} fails at {} {}: {error}", figures.name, row.part, row.title);
        }
    }
    println!("It took {} s; load {} when it ended.", start.elapsed().as_secs(), machine::load());
    if let Some(file) = arguments.json {
        let engines = versions.iter().zip(&judged).map(|((name, version, remark, skips), judged)| {
            serde_json::json!({
                "name": name, "version": version, "remark": remark, "skips": skips, "strict": judged.strict,
            })
        });
        let engines: serde_json::Value = engines.collect();
        let figures =
            serde_json::json!({ "run": before, "engines": engines, "rows": table::to_json(&bench.rows, &judged) });
        fs::write(file, serde_json::to_string_pretty(&figures)? + "\n")?;
    }
    Ok(())
}

/// Becomes this program once more, with the tunables set. It comes back only where that fails.
fn again() -> io::Error {
    use std::os::unix::process::CommandExt as _;
    let program = match env::current_exe() {
        Ok(program) => program,
        Err(error) => return error,
    };
    std::process::Command::new(program).args(env::args_os().skip(1)).env(TUNABLES.0, TUNABLES.1).exec()
}
