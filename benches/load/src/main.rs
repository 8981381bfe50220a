//! How much does a whole server carry, and at what cost, beside the servers of its peers?
//!
//! `cargo run --release` in this folder prints the tables, in some five minutes. It wants Linux, two cores, `taskset`,
//! room for 10 000 open files, and for the counts of system calls `perf` with tracepoints. Behind `--`:
//!
//! - `--only CELL`, `--server NAME`: some cells (`16x256`: 16 bytes, 256 under way; `idle`) or servers only; each may
//!   come again
//! - `--rounds N`: 5 unless said
//!
//! Every server is a process of its own with one thread, on the first core; this process is the load, on the second:
//! load.rs says how. Ours is `examples/mio.rs` as it is; servers.rs has the others. Each figure of each round comes from
//! a fresh process, and the rounds of all servers are interleaved. Shown are medians.
//!
//! - messages a second: in a closed loop, so where the server's core is not busy all the time, the load is what is slow
//! - CPU: what the scheduler gave all threads of the server, in the kernel too, while messages were counted; over the
//!   loopback, who sends does most of the receiver's work in the kernel, here as there
//! - calls: system calls of the server, all that `perf` counts for a number of messages, apart from the above
//! - latency: in an open loop, from when a message was to be sent, whenever that came to pass
//! - idle: what VmRSS grows by, when 10 000 connections have echoed 1 KiB each and were then quiet for three seconds

mod load;
#[path = "../../peers/src/machine.rs"]
#[allow(dead_code, reason = "the other bench says more of it")]
mod machine;
mod servers;
mod table;

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, net::SocketAddr, thread};

use lexopt::prelude::*;
use load::Load;
use table::{Echo, Idle};

type Failure = Box<dyn Error + Send + Sync>;

const SERVERS: [&str; 5] = ["sockless", "tungstenite", "fastwebsockets", "tokio-websockets", "sockudo-ws"];

struct Cell {
    name: &'static str,
    /// Bytes of a message.
    size: usize,
    /// Messages under way on each connection.
    window: usize,
    connections: usize,
    /// Messages a second, of all connections, at which latency is measured: what all servers carry.
    rate: Option<f64>,
}

#[rustfmt::skip]
const CELLS: [Cell; 7] = [
    Cell { name: "16x1", size: 16, window: 1, connections: 64, rate: Some(20_000.0) },
    Cell { name: "16x16", size: 16, window: 16, connections: 64, rate: None },
    Cell { name: "16x256", size: 16, window: 256, connections: 64, rate: None },
    Cell { name: "1024x1", size: 1 << 10, window: 1, connections: 64, rate: Some(20_000.0) },
    Cell { name: "1024x16", size: 1 << 10, window: 16, connections: 64, rate: None },
    Cell { name: "65536x1", size: 64 << 10, window: 1, connections: 16, rate: Some(2_000.0) },
    Cell { name: "65536x4", size: 64 << 10, window: 4, connections: 16, rate: None },
];

const IDLE: usize = 10_000;

const WARMING: Duration = Duration::from_millis(150);
const MEASURING: Duration = Duration::from_millis(600);

struct Arguments {
    only: Vec<String>,
    servers: Vec<&'static str>,
    rounds: usize,
}

fn main() -> Result<(), Failure> {
    let words: Vec<String> = env::args().skip(1).collect();
    if let [word, name, address] = &words[..]
        && word == "serve"
    {
        return servers::serve(name, servers::listen(address)?);
    }
    let arguments = parse()?;
    let start = Instant::now();
    build()?;
    succeed(Command::new("taskset").args(["-cp", "1", &std::process::id().to_string()]).stdout(Stdio::null()))?;
    let version = |name| machine::version(include_str!("../Cargo.lock"), name);
    let machine = format!(
        "{}, {}, Linux {}, load {} when it began; medians of {} rounds of {} ms, ± half of their range. {}.",
        machine::date(),
        machine::cpu(),
        fs::read_to_string("/proc/sys/kernel/osrelease")?.trim(),
        machine::load(),
        arguments.rounds,
        MEASURING.as_millis(),
        arguments.servers.iter().map(|name| format!("{name} {}", version(name))).collect::<Vec<_>>().join(", "),
    );
    let wanted = |name: &str| arguments.only.is_empty() || arguments.only.iter().any(|only| only == name);
    let cells: Vec<&Cell> = CELLS.iter().filter(|cell| wanted(cell.name)).collect();
    let echoes = echo(&cells, &arguments)?;
    let mut idle = Vec::new();
    for &name in arguments.servers.iter().filter(|_| wanted("idle")) {
        eprintln!("idle {name}");
        idle.push(self::idle(name)?);
    }
    println!("{machine}\n\n{}\n{}", table::all(&echoes, &idle), table::short(&echoes, &idle));
    println!("It took {} s; load {} when it ended.", start.elapsed().as_secs(), machine::load());
    Ok(())
}

fn parse() -> Result<Arguments, Failure> {
    let (mut found, mut parser) = (Arguments { only: vec![], servers: vec![], rounds: 5 }, lexopt::Parser::from_env());
    while let Some(argument) = parser.next()? {
        match argument {
            Long("only") => found.only.push(parser.value()?.string()?),
            Long("server") => {
                let name = parser.value()?.string()?;
                found.servers.push(SERVERS.into_iter().find(|server| *server == name).ok_or("no such server")?);
            }
            Long("rounds") => found.rounds = parser.value()?.parse()?,
            _ => return Err(argument.unexpected().into()),
        }
    }
    if found.servers.is_empty() {
        found.servers = SERVERS.to_vec();
    }
    let is_known = |only: &String| *only == "idle" || CELLS.iter().any(|cell| cell.name == *only);
    if found.rounds == 0 || !found.only.iter().all(is_known) {
        return Err("no such cell, or no round".into());
    }
    Ok(found)
}

/// `cargo run` builds no binary but this one, and the example is another.
fn build() -> Result<(), Failure> {
    let arguments = ["build", "--release", "--quiet", "--bin", "mio"];
    succeed(Command::new(env!("CARGO")).args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")))
}

fn succeed(command: &mut Command) -> Result<(), Failure> {
    if command.status()?.success() { Ok(()) } else { Err(format!("{command:?} failed").into()) }
}

/// A server under way, on the first core.
struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    fn start(name: &str) -> Result<Server, Failure> {
        let program = env::current_exe()?;
        let mut command = Command::new("taskset");
        command.args(["-c", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        match name {
            "sockless" => command.arg(program.with_file_name("mio")),
            _ => command.arg(program).args(["serve", name]),
        };
        let mut process = command.arg("127.0.0.1:0").spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().parse()?;
        Ok(Server { process, address })
    }

    /// What the scheduler gave it.
    fn cpu(&self) -> Result<Duration, Failure> {
        let mut all = Duration::ZERO;
        for thread in fs::read_dir(format!("/proc/{}/task", self.process.id()))? {
            let text = fs::read_to_string(thread?.path().join("schedstat"))?;
            all += Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?);
        }
        Ok(all)
    }

    /// VmRSS, in bytes.
    fn resident(&self) -> Result<u64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    /// System calls a message; nothing where perf cannot tell. The server is asked for nothing until perf counts, and
    /// ends with the last message, and perf with it.
    fn calls(mut self, clients: &mut Load, window: usize) -> Result<Option<f64>, Failure> {
        clients.drain()?;
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &self.process.id().to_string()]);
        let Ok(counting) = perf.stdout(Stdio::null()).stderr(Stdio::piped()).spawn() else { return Ok(None) };
        thread::sleep(Duration::from_millis(400));
        let messages = clients.closed(window, MEASURING / 2)? + clients.drain()?;
        self.process.kill()?;
        self.process.wait()?;
        let text = String::from_utf8(counting.wait_with_output()?.stderr)?;
        let count = text.lines().find_map(|line| line.split(',').next()?.parse::<f64>().ok());
        Ok(count.map(|count| count / messages as f64))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn echo<'a>(cells: &[&'a Cell], arguments: &Arguments) -> Result<Vec<Echo<'a>>, Failure> {
    let all = cells.iter().flat_map(|cell| arguments.servers.iter().map(|server| Echo::new(cell, server)));
    let mut all: Vec<Echo> = all.collect();
    for round in 0..arguments.rounds {
        for echo in &mut all {
            eprintln!("round {} of {}, {} {}", round + 1, arguments.rounds, echo.cell.name, echo.server);
            measure(echo).map_err(|error| format!("{} {}: {error}", echo.cell.name, echo.server))?;
        }
    }
    Ok(all)
}

/// One round.
fn measure(echo: &mut Echo<'_>) -> Result<(), Failure> {
    let Cell { size, window, connections, rate, .. } = *echo.cell;
    let server = Server::start(echo.server)?;
    let mut clients = Load::open(server.address, connections, size)?;
    clients.closed(window, WARMING)?;
    let (start, before) = (Instant::now(), server.cpu()?);
    let count = clients.closed(window, MEASURING)? as f64;
    let (span, cpu) = (start.elapsed().as_secs_f64(), (server.cpu()? - before).as_secs_f64());
    echo.rates.push(count / span);
    echo.busy.push(cpu / span);
    echo.cpu.push(cpu / count);
    if let Some(rate) = rate {
        clients.drain()?;
        clients.open_loop(rate, WARMING)?;
        let times = clients.open_loop(rate, MEASURING)?;
        echo.median.push(times[times.len() / 2] as f64 / 1e9);
        echo.late.push(times[times.len() * 99 / 100] as f64 / 1e9);
    }
    if echo.calls.is_none() {
        echo.calls = server.calls(&mut clients, window)?;
    }
    Ok(())
}

/// What idle connections hold.
fn idle(name: &'static str) -> Result<Idle, Failure> {
    let server = Server::start(name)?;
    let before = server.resident()?;
    let mut clients = Load::open(server.address, IDLE, 1 << 10)?;
    clients.once()?;
    thread::sleep(Duration::from_secs(3));
    Ok(Idle { server: name, bytes: server.resident()?.saturating_sub(before) as f64 / IDLE as f64 })
}
