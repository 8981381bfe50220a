//! How much does a whole server carry, and at what cost, beside the servers of its peers?
//!
//! `cargo run --release` in this folder prints the tables, in some ten minutes. Behind `--`: how many rounds (5; with
//! 0, memory only), then the names of some servers only. It wants Linux, two cores, `taskset`, and `perf` with
//! tracepoints for the counts of system calls.
//!
//! Every server is a process of its own with one thread, on the first core; this process is the load, on the second:
//! load.rs says how. Ours is `examples/mio.rs` as it is; lean.rs has a better loop for it, servers.rs the others. The
//! rounds of all servers are interleaved, each with a fresh process, and medians are shown.
//!
//! - CPU: what the scheduler gave the server's thread, in the kernel too, while messages were counted
//! - calls: system calls of the server, counted by `perf` in a run apart
//! - latency: at half of what the slowest server carries with a window of 1, from when a message was to be sent
//! - memory: VmRSS before and after 10 000 connections have echoed 1 KiB each and then been quiet for three seconds

mod lean;
mod load;
mod servers;

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use load::Load;

type Failure = Box<dyn Error + Send + Sync>;

const SERVERS: [&str; 6] =
    ["sockless", "sockless, lean loop", "tungstenite", "fastwebsockets", "tokio-websockets", "sockudo-ws"];

/// Bytes of a message, messages under way on a connection, connections.
const LOADS: [(usize, usize, usize); 7] = [
    (16, 1, 64),
    (16, 16, 64),
    (16, 256, 64),
    (1 << 10, 1, 64),
    (1 << 10, 16, 64),
    (64 << 10, 1, 16),
    (64 << 10, 4, 16),
];

const IDLE: usize = 10_000;

const WARMING: Duration = Duration::from_millis(200);
const MEASURING: Duration = Duration::from_millis(800);

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [address, name] = &arguments[..]
        && address.parse::<SocketAddr>().is_ok()
    {
        return servers::serve(name, servers::listen(address)?);
    }
    build()?;
    let rounds = arguments.first().map_or(Ok(5), |rounds| rounds.parse())?;
    let mut names = SERVERS.to_vec();
    names.retain(|name| arguments.len() < 2 || arguments[1..].iter().any(|wanted| wanted == name));
    succeed(Command::new("taskset").args(["-cp", "1", &std::process::id().to_string()]).stdout(Stdio::null()))?;
    println!("Load of the machine before: {}", fs::read_to_string("/proc/loadavg")?.trim());
    if rounds > 0 {
        let rates = throughput(&names, rounds)?;
        latency(&names, rounds, &rates)?;
    }
    memory(&names)?;
    println!("\nLoad of the machine after: {}", fs::read_to_string("/proc/loadavg")?.trim());
    Ok(())
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
            "sockless" => command.arg(program.with_file_name("mio")).arg("127.0.0.1:0"),
            _ => command.arg(program).args(["127.0.0.1:0", name]),
        };
        let mut process = command.spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().parse()?;
        Ok(Server { process, address })
    }

    /// What the scheduler gave it.
    fn cpu(&self) -> Result<Duration, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/schedstat", self.process.id()))?;
        Ok(Duration::from_nanos(text.split(' ').next().unwrap_or_default().parse()?))
    }

    /// VmRSS, in KiB.
    fn resident(&self) -> Result<u64, Failure> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }

    /// System calls a message, under the load that `work` makes; nothing where perf cannot tell.
    fn calls(&self, mut work: impl FnMut(Duration) -> Result<u64, Failure>) -> Result<Option<f64>, Failure> {
        let mut perf = Command::new("perf");
        perf.args(["stat", "-x,", "-e", "raw_syscalls:sys_enter", "-p", &self.process.id().to_string()]);
        let counting = perf.args(["--", "sleep", "0.4"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut counting) = counting else { return Ok(None) };
        let (start, mut messages) = (Instant::now(), 0);
        while counting.try_wait()?.is_none() {
            messages += work(Duration::from_millis(50))?;
        }
        let rate = messages as f64 / start.elapsed().as_secs_f64();
        let text = String::from_utf8(counting.wait_with_output()?.stderr)?;
        let count = text.lines().find_map(|line| line.split(',').next()?.parse::<f64>().ok());
        Ok(count.map(|count| count / 0.4 / rate))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[derive(Default)]
struct Samples {
    rates: Vec<f64>,
    busy: Vec<f64>,
    cpu: Vec<f64>,
    calls: Option<f64>,
}

/// Prints what each server carries in a closed loop, and returns how many messages a second, for each load.
fn throughput(names: &[&'static str], rounds: usize) -> Result<Vec<HashMap<&'static str, f64>>, Failure> {
    let mut samples: HashMap<_, Samples> = HashMap::new();
    for round in 0..rounds {
        for load in LOADS {
            for &name in names {
                let (size, window, connections) = load;
                let server = Server::start(name)?;
                let mut clients = Load::open(server.address, connections, size)?;
                clients.closed(window, WARMING)?;
                let (start, before) = (Instant::now(), server.cpu()?);
                let count =
                    clients.closed(window, MEASURING).map_err(|error| format!("{name}, {load:?}: {error}"))? as f64;
                let (span, cpu) = (start.elapsed().as_secs_f64(), (server.cpu()? - before).as_secs_f64());
                let samples = samples.entry((load, name)).or_default();
                samples.rates.push(count / span);
                samples.busy.push(cpu / span);
                samples.cpu.push(cpu / count);
                if round == 0 {
                    samples.calls = server.calls(|span| clients.closed(window, span))?;
                }
            }
        }
    }
    println!("\n| load | server | messages a second | | server's core busy | CPU a message | calls a message |");
    println!("| --- | --- | ---: | --- | ---: | ---: | ---: |");
    let mut all = Vec::new();
    for load in LOADS {
        let mut rates = HashMap::new();
        for &name in names {
            let samples = samples.entry((load, name)).or_default();
            let (rate, busy, cpu) = (median(&mut samples.rates), median(&mut samples.busy), median(&mut samples.cpu));
            let spread = (samples.rates[rounds - 1] - samples.rates[0]) / rate * 50.0;
            let calls = samples.calls.map_or("?".into(), |calls| format!("{calls:.3}"));
            println!(
                "| {} | {name} | {rate:.0} | ± {spread:.0} % | {:.0} % | {:.2} µs | {calls} |",
                describe(load),
                busy * 100.0,
                cpu * 1e6
            );
            rates.insert(name, rate);
        }
        all.push(rates);
    }
    Ok(all)
}

/// Prints how long echoes take at a rate that all servers carry.
fn latency(names: &[&'static str], rounds: usize, rates: &[HashMap<&'static str, f64>]) -> Result<(), Failure> {
    println!("\n| load | server | median | 99 of 100 | CPU a message |");
    println!("| --- | --- | ---: | ---: | ---: |");
    for (load, rates) in LOADS.iter().zip(rates).filter(|((_, window, _), _)| *window == 1) {
        let (size, _, connections) = *load;
        let rate = rates.values().copied().fold(f64::INFINITY, f64::min) / 2.0;
        let mut samples: HashMap<&str, [Vec<f64>; 3]> = HashMap::new();
        for _ in 0..rounds {
            for &name in names {
                let server = Server::start(name)?;
                let mut clients = Load::open(server.address, connections, size)?;
                clients.open_loop(rate, WARMING)?;
                let before = server.cpu()?;
                let times = clients.open_loop(rate, MEASURING).map_err(|error| format!("{name}, {load:?}: {error}"))?;
                let cpu = (server.cpu()? - before).as_secs_f64() / times.len() as f64;
                let samples = samples.entry(name).or_default();
                samples[0].push(times[times.len() / 2] as f64);
                samples[1].push(times[times.len() * 99 / 100] as f64);
                samples[2].push(cpu * 1e9);
            }
        }
        for &name in names {
            let [median, late, cpu] = samples.entry(name).or_default().each_mut().map(|samples| median(samples) / 1e3);
            let size = bytes(size);
            println!("| {size}, {rate:.0} a second | {name} | {median:.1} µs | {late:.1} µs | {cpu:.2} µs |");
        }
    }
    Ok(())
}

/// Prints what idle connections hold.
fn memory(names: &[&'static str]) -> Result<(), Failure> {
    println!("\n| server | resident before | with {IDLE} idle connections | for each |");
    println!("| --- | ---: | ---: | ---: |");
    for &name in names {
        let server = Server::start(name)?;
        let before = server.resident()?;
        let mut clients = Load::open(server.address, IDLE, 1 << 10)?;
        clients.once()?;
        thread::sleep(Duration::from_secs(3));
        let after = server.resident()?;
        println!("| {name} | {before} KiB | {after} KiB | {} B |", (after - before) * 1024 / IDLE as u64);
    }
    Ok(())
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

fn describe((size, window, connections): (usize, usize, usize)) -> String {
    format!("{}, window {window}, {connections} connections", bytes(size))
}

fn bytes(size: usize) -> String {
    if size < 1 << 10 { format!("{size} B") } else { format!("{} KiB", size >> 10) }
}
