//! Is the engine faster than its peers, and how far is it from what the machine can do?
//!
//! `cargo run --release` in this folder prints the whole table, in under five minutes. Behind `--`:
//!
//! - `--only PART`, `--engine NAME`, `--size BYTES`: some parts, engines or sizes of messages only; each may come again
//! - `--rounds N`, `--sample MICROSECONDS`: more or less care
//! - `--json FILE`: write the figures too
//! - `plot FILE.json FILE.svg`: draw what was written
//! - `readme FILE.json`: print of what was written the table that README.md shows
//!
//! `--profile lto` in place of `--release` asks the compiler for more, and changes the order among peers.
//!
//! Nothing is read from a socket or written to one: transport.rs says what is there instead, and rounds.rs how time is
//! taken. The features of the peers are in Cargo.toml, their versions in Cargo.lock.

mod engines;
mod goals;
mod limits;
mod machine;
mod plot;
mod probes;
mod rounds;
mod rows;
mod short;
mod table;
mod traffic;
mod transport;

use std::process::ExitCode;
use std::time::Instant;
use std::{env, fs, io};

use lexopt::prelude::*;

use crate::probes::Judged;
use crate::rounds::Figures;
use crate::rows::{Bench, PARTS};
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
    plot: Option<(String, String)>,
    readme: Option<String>,
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
            Long("help") => return Err("see the top of benches/peers/src/main.rs".into()),
            Value(command) if command == "plot" => {
                found.plot = Some((parser.value()?.string()?, parser.value()?.string()?));
            }
            Value(command) if command == "readme" => found.readme = Some(parser.value()?.string()?),
            other => return Err(other.unexpected()),
        }
    }
    let parts: Vec<_> = PARTS.iter().map(|(name, _)| *name).chain(["limits"]).collect();
    let engines = engines::all();
    for (what, asked, known) in
        [("part", &found.only, parts), ("engine", &found.engines, engines.iter().map(|engine| engine.name()).collect())]
    {
        if let Some(asked) = asked.iter().find(|asked| !known.contains(&asked.as_str())) {
            return Err(format!("there is no {what} {asked:?}: it is one of {}", known.join(", ")).into());
        }
    }
    if found.rounds == 0 {
        return Err("there must be a round".into());
    }
    Ok(found)
}

fn run() -> Result<(), Failure> {
    let arguments = arguments()?;
    let written = |file: &str| -> Result<serde_json::Value, Failure> {
        let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
        Ok(serde_json::from_str(&text)?)
    };
    if let Some((from, to)) = &arguments.plot {
        return Ok(fs::write(to, plot::draw(&written(from)?)?)?);
    }
    if let Some(from) = &arguments.readme {
        print!("{}", short::readme(&written(from)?)?);
        return Ok(());
    }
    if let Some(file) = &arguments.json {
        // Said before all is measured, not behind it.
        fs::OpenOptions::new().append(true).create(true).open(file).map_err(|error| format!("{file}: {error}"))?;
    }
    if env::var_os(TUNABLES.0).is_none() {
        // It is read when a process starts, so start once more.
        return Err(again().into());
    }
    measure(arguments)
}

fn measure(arguments: Arguments) -> Result<(), Failure> {
    let start = Instant::now();
    let wanted = |part: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == part);
    let mut engines = engines::all();
    engines.retain(|engine| arguments.engines.is_empty() || arguments.engines.iter().any(|name| name == engine.name()));
    let judged: Vec<_> = engines.iter().filter(|engine| !engine.only_sends()).map(|e| Judged::new(&**e)).collect();
    let before = setting(&arguments);
    let tunables = format!("{}={}", TUNABLES.0, env::var(TUNABLES.0).unwrap_or_default());
    println!("{before}. {tunables}\n\n{}", table::engines(&judged));

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
        if part == "connections"
            && let Some(most) = rows.last()
            && let Some(ours) = most.figures.iter().find(|figures| figures.name == "sockless").and_then(Figures::median)
        {
            println!("{}\n", short::a_million(&most.title, ours));
        }
    }
    if wanted("limits") {
        let rows = rows::limits(arguments.rounds, bench.sample);
        println!("The parts of the work alone (limits):\n\n{}", table::show(&rows.iter().collect::<Vec<_>>(), &judged));
        bench.rows.extend(rows);
    }
    if bench.rows.is_empty() {
        return Err("there is nothing of that size".into());
    }
    let figures = serde_json::json!({
        "run": before, "tunables": tunables,
        "engines": table::engines_to_json(&judged), "rows": table::to_json(&bench.rows, &judged),
    });
    println!("In short:\n\n{}", short::all(&figures)?);
    if arguments.only.is_empty() {
        let (size, limit) = (size_of::<sockless::Server>(), 512);
        println!("An idle connection of ours: {size} B, and nothing on the heap (tests/memory.rs); goal {limit} B.\n");
    }
    let mut failed = 0;
    for (row, figures) in bench.rows.iter().flat_map(|row| row.figures.iter().map(move |figures| (row, figures))) {
        if let Err(error) = &figures.rounds {
            println!("{} fails at {} {}: {error}", figures.name, row.part, row.title);
            failed += 1;
        }
    }
    println!("It took {} s; load {} when it ended.", start.elapsed().as_secs(), machine::load());
    if let Some(file) = arguments.json {
        fs::write(file, serde_json::to_string_pretty(&figures)? + "\n")?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} figures failed").into()) }
}

/// Where, when, with what and how it is measured.
fn setting(arguments: &Arguments) -> String {
    format!(
        "{}, {}, {}, profile {}, CPU time of one thread, load {} when it began; medians of {} rounds of {} µs, ± half \
         the distance of the quartiles",
        machine::date(),
        machine::cpu(),
        machine::compiler(),
        machine::profile(),
        machine::load(),
        arguments.rounds,
        arguments.sample,
    )
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
