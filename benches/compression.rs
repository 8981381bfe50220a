//! What does the engine add to the codec, and which settings of compression are worth their time?
//!
//! `cargo bench --bench compression` times both by criterion; `cargo bench --bench compression -- ratios` prints
//! tables in Markdown. The engine receives text (the JSON in `corpus/`), compressed and masked as a client does it,
//! sends such text compressed as a server does it, or both: an echo. Beside it stands the codec alone, of the same
//! level, memory and window, flushed and reset at the same places, into buffers that it is given: no frames, no
//! masks, no UTF-8, no limits, no queue. It is given the four bytes that a sender leaves out in a call of their own,
//! as they do not come with a message.
//!
//! Both compress the same messages in the same order, and what they make of them is as long to the byte, which is
//! checked in what is timed. For the tables they take turns, one pass over the corpus each. A pass is timed in steps
//! of some 16 KiB of messages; what counts is the median of each step, so a machine that is busy elsewhere disturbs
//! little. Each stream was passed once before it is timed, so contexts and buffers are there and windows are full.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that fails is to say so")]

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use criterion::{BenchmarkId, Criterion, Throughput};
use serde_json::Value;
use sockless::{
    Agreed, Compress, Compression, CompressionLevel, Config, DeflateParameters, Entropy, Event, Incoming, Instant,
    MemoryLevel, Message, NoEntropy, WebSocket, WindowBits,
};
use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush};

fn main() {
    if std::env::args().any(|argument| argument == "ratios") {
        engine_and_codec();
        settings();
        thresholds();
        return;
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    every_task(&mut criterion);
    criterion.final_summary();
}

const CORPUS: &str = include_str!("corpus/packages.jsonl");
const SIZES: [(usize, &str); 2] = [(1 << 10, "1 KiB"), (16 << 10, "16 KiB")];
const TASKS: [Task; 3] = [Task::Echo, Task::Send, Task::Receive];
const WAYS: [(Way, &str); 4] = [
    (Way { takeover: true, pool: false }, "takeover"),
    (Way { takeover: true, pool: true }, "takeover, pool"),
    (Way { takeover: false, pool: false }, "no takeover"),
    (Way { takeover: false, pool: true }, "no takeover, pool"),
];
/// How much of messages is timed at a time.
const STEP: usize = 16 << 10;
const NOW: Instant = Instant::from_nanos(0);
/// What RFC 7692 takes off a message.
const TAIL: [u8; 4] = [0, 0, 0xFF, 0xFF];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Task {
    Echo,
    Send,
    Receive,
}

#[derive(Clone, Copy, Debug)]
struct Way {
    takeover: bool,
    pool: bool,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    level: u8,
    memory_level: u8,
    window: u8,
}

impl Settings {
    fn of_level(level: u8) -> Settings {
        Settings { level, memory_level: MemoryLevel::default().get(), window: 15 }
    }
}

/// One pass over the corpus.
#[derive(Debug, Default)]
struct Pass {
    /// The time of each step.
    times: Vec<Duration>,
    /// Bytes of the messages that were received.
    received: usize,
    /// Bytes of the frames that were sent.
    sent: usize,
}

/// A server's session, and what its client sends in a pass: the frames of each step, in one read.
struct Engine<'m> {
    messages: &'m [String],
    server: WebSocket,
    compress: Compress,
    reads: Vec<Vec<u8>>,
    buffer: Vec<u8>,
}

impl<'m> Engine<'m> {
    fn new(messages: &'m [String], settings: Settings, way: Way, compress: Compress) -> Engine<'m> {
        let window = WindowBits::new(settings.window).unwrap();
        let parameters = DeflateParameters {
            server_no_context_takeover: !way.takeover,
            client_no_context_takeover: !way.takeover,
            server_max_window_bits: window,
            client_max_window_bits: window,
        };
        let compression = Compression {
            level: CompressionLevel::new(settings.level).unwrap(),
            memory_level: MemoryLevel::new(settings.memory_level).unwrap(),
            pool: way.pool.then(Arc::default),
            ..Compression::default()
        };
        let config = Arc::new(Config { compression: Some(compression), ..Config::default() });
        let agreed = Agreed::default().with_deflate(parameters);
        let mut server = WebSocket::server(&agreed, Arc::clone(&config), NOW);
        let mut client = WebSocket::client(&agreed, config, Foreseen, NOW).unwrap();
        let ask = |client: &mut WebSocket, message: &str| {
            let mut frame = Vec::new();
            client.tx(NOW).send_with(Message::Text(message), compress).unwrap();
            client.take(&mut frame, NOW);
            frame
        };
        for message in messages {
            let (mut there, mut back) = (ask(&mut client, message), Vec::new());
            let Some(Incoming { event: Event::Message(received), tx }) = server.receive(&mut &mut there[..], NOW)
            else {
                panic!("the server received nothing")
            };
            assert_eq!(received, Message::Text(message));
            tx.send_with(received, compress).unwrap();
            server.take(&mut back, NOW);
            let mut input = &mut back[..];
            let echo = client.receive(&mut input, NOW).map(|incoming| incoming.event);
            assert!(matches!(echo, Some(Event::Message(Message::Text(echo))) if echo == message), "no echo: {echo:?}");
        }
        // The window is now what it will be after each pass, so the same frames can be sent in each.
        let mut read = |step: &[String]| step.iter().flat_map(|message| ask(&mut client, message)).collect();
        let reads = steps(messages).map(&mut read).collect();
        Engine { messages, server, compress, reads, buffer: vec![0; 4 * STEP] }
    }

    fn pass(&mut self, task: Task) -> Pass {
        let mut pass = Pass::default();
        if task == Task::Send {
            for step in steps(self.messages) {
                let start = Clock::now();
                for message in step {
                    self.server.tx(NOW).send_with(Message::Text(black_box(message)), self.compress).unwrap();
                    pass.sent += transmit(&mut self.server);
                }
                pass.times.push(start.elapsed());
            }
            return pass;
        }
        for read in &self.reads {
            // What stands for the kernel's copy is not timed.
            let mut input = &mut self.buffer[..read.len()];
            input.copy_from_slice(read);
            let start = Clock::now();
            while let Some(Incoming { event, tx }) = self.server.receive(black_box(&mut input), NOW) {
                let Event::Message(message) = black_box(event) else { panic!("no message: {event:?}") };
                pass.received += message.as_bytes().len();
                if task == Task::Echo {
                    tx.send_with(message, self.compress).unwrap();
                    pass.sent += transmit(&mut self.server);
                }
            }
            pass.times.push(start.elapsed());
        }
        assert_eq!(pass.received, total(self.messages));
        pass
    }
}

fn transmit(server: &mut WebSocket) -> usize {
    let mut slices = [IoSlice::new(&[]); 4];
    let count = server.transmit(&mut slices);
    let length = slices.iter().take(count).map(|slice| black_box(slice).len()).sum();
    server.transmitted(length, NOW);
    length
}

/// The codec, and the compressed messages of a pass: those of each step in one read, and the length of each.
struct Codec<'m> {
    messages: &'m [String],
    takeover: bool,
    deflate: Deflate,
    inflate: Inflate,
    reads: Vec<(Vec<u8>, Vec<usize>)>,
    buffer: Vec<u8>,
    compressed: Vec<u8>,
    plain: Vec<u8>,
}

impl<'m> Codec<'m> {
    fn new(messages: &'m [String], settings: Settings, takeover: bool) -> Codec<'m> {
        let deflate = || {
            Deflate::new_with_config(DeflateConfig {
                level: i32::from(settings.level),
                window_bits: -i32::from(settings.window),
                mem_level: i32::from(settings.memory_level),
                ..DeflateConfig::default()
            })
        };
        let mut peer = deflate();
        let mut codec = Codec {
            messages,
            takeover,
            deflate: deflate(),
            inflate: Inflate::new(false, 15),
            reads: Vec::new(),
            buffer: vec![0; 4 * STEP],
            compressed: vec![0; 4 * STEP],
            plain: vec![0; 4 * STEP],
        };
        let mut ask = |message: &String| {
            let mut payload = vec![0; 2 * message.len() + 64];
            let length = compress(&mut peer, takeover, message.as_bytes(), &mut payload);
            assert_eq!(payload[length..][..TAIL.len()], TAIL);
            payload.truncate(length);
            payload
        };
        for message in messages {
            let length = decompress(&mut codec.inflate, takeover, &ask(message), &mut codec.plain);
            assert_eq!(&codec.plain[..length], message.as_bytes());
            compress(&mut codec.deflate, takeover, message.as_bytes(), &mut codec.compressed);
        }
        let read = |step: &[String]| {
            let payloads: Vec<Vec<u8>> = step.iter().map(&mut ask).collect();
            (payloads.concat(), payloads.iter().map(Vec::len).collect())
        };
        codec.reads = steps(messages).map(read).collect();
        codec
    }

    fn pass(&mut self, task: Task) -> Pass {
        let Codec { messages, takeover, deflate, inflate, reads, buffer, compressed, plain } = self;
        let mut pass = Pass::default();
        if task == Task::Send {
            for step in steps(messages) {
                let start = Clock::now();
                for message in step {
                    let length = compress(deflate, *takeover, black_box(message.as_bytes()), compressed);
                    pass.sent += framed(black_box(length));
                }
                pass.times.push(start.elapsed());
            }
            return pass;
        }
        for (read, lengths) in reads {
            let mut input = &mut buffer[..read.len()];
            input.copy_from_slice(read);
            let start = Clock::now();
            for length in lengths {
                let (payload, rest) = std::mem::take(&mut input).split_at_mut(*length);
                input = rest;
                let length = decompress(inflate, *takeover, black_box(payload), plain);
                pass.received += length;
                if task == Task::Echo {
                    let length = compress(deflate, *takeover, black_box(&plain[..length]), compressed);
                    pass.sent += framed(black_box(length));
                }
            }
            pass.times.push(start.elapsed());
        }
        assert_eq!(pass.received, total(messages));
        pass
    }
}

fn compress(deflate: &mut Deflate, takeover: bool, plain: &[u8], out: &mut [u8]) -> usize {
    if !takeover {
        deflate.reset();
    }
    let before = deflate.total_out();
    deflate.compress(plain, out, DeflateFlush::SyncFlush).unwrap();
    usize::try_from(deflate.total_out() - before).unwrap() - TAIL.len()
}

fn decompress(inflate: &mut Inflate, takeover: bool, payload: &[u8], out: &mut [u8]) -> usize {
    if !takeover {
        inflate.reset(false);
    }
    let before = inflate.total_out();
    inflate.decompress(payload, out, InflateFlush::SyncFlush).unwrap();
    let length = usize::try_from(inflate.total_out() - before).unwrap();
    inflate.decompress(&TAIL, &mut out[length..], InflateFlush::SyncFlush).unwrap();
    length
}

/// How long a server's frame is.
fn framed(payload: usize) -> usize {
    payload
        + if payload < 126 {
            2
        } else if payload < 1 << 16 {
            4
        } else {
            10
        }
}

fn steps(messages: &[String]) -> impl Iterator<Item = &[String]> {
    messages.chunks((STEP * messages.len() / total(messages)).max(1))
}

/// The usual time of a pass, in seconds: that of each step, added up.
fn usual(passes: &[Pass]) -> f64 {
    let steps = 0..passes[0].times.len();
    steps.map(|step| median(passes.iter().map(|pass| pass.times[step]).collect())).sum()
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64()
}

fn total(messages: &[String]) -> usize {
    messages.iter().map(String::len).sum()
}

fn every_task(criterion: &mut Criterion) {
    for (size, size_name) in SIZES {
        let messages = messages(size);
        for level in [1, 6] {
            for task in TASKS {
                let mut group = criterion.benchmark_group(format!("{task:?}/{size_name}/level {level}").to_lowercase());
                let (elements, bytes) = (messages.len() as u64, total(&messages) as u64);
                group.throughput(Throughput::ElementsAndBytes { elements, bytes });
                for (way, name) in WAYS {
                    let mut engine = Engine::new(&messages, Settings::of_level(level), way, Compress::Auto);
                    group.bench_function(BenchmarkId::new("engine", name), |bencher| {
                        bencher.iter_custom(|passes| {
                            (0..passes).map(|_| engine.pass(task).times.iter().sum::<Duration>()).sum()
                        });
                    });
                    if !way.pool {
                        let mut codec = Codec::new(&messages, Settings::of_level(level), way.takeover);
                        group.bench_function(BenchmarkId::new("codec", name), |bencher| {
                            bencher.iter_custom(|passes| {
                                (0..passes).map(|_| codec.pass(task).times.iter().sum::<Duration>()).sum()
                            });
                        });
                    }
                }
            }
        }
    }
}

/// The engine's throughput as a part of the codec's.
fn engine_and_codec() {
    println!("| | {} |", WAYS.map(|(_, name)| name).join(" | "));
    println!("| --- |{}", " --- |".repeat(WAYS.len()));
    for task in TASKS {
        for (size, size_name) in SIZES {
            let messages = messages(size);
            for level in [1, 6] {
                let cells = WAYS.map(|(way, _)| {
                    let mut engine = Engine::new(&messages, Settings::of_level(level), way, Compress::Auto);
                    let mut codec = Codec::new(&messages, Settings::of_level(level), way.takeover);
                    let (mut engines, mut codecs) = (Vec::new(), Vec::new());
                    let start = Clock::now();
                    while engines.len() < 31 || start.elapsed() < Duration::from_millis(300) {
                        if engines.len() % 2 == 0 {
                            engines.push(engine.pass(task));
                            codecs.push(codec.pass(task));
                        } else {
                            codecs.push(codec.pass(task));
                            engines.push(engine.pass(task));
                        }
                        let (engine, codec) = (engines.last().unwrap(), codecs.last().unwrap());
                        assert_eq!((engine.received, engine.sent), (codec.received, codec.sent));
                    }
                    let (engine, codec) = (usual(&engines), usual(&codecs));
                    format!("{:.2} ({:.2} µs)", codec / engine, engine * 1e6 / messages.len() as f64)
                });
                let task = format!("{task:?}").to_lowercase();
                println!("| {task}, {size_name}, level {level} | {} |", cells.join(" | "));
            }
        }
    }
}

/// Size and speed by level, memory level and window.
fn settings() {
    const CHOSEN: [[u8; 3]; 12] = [
        [1, 5, 15],
        [3, 5, 15],
        [6, 5, 15],
        [9, 5, 15],
        [1, 1, 15],
        [1, 8, 15],
        [6, 1, 15],
        [6, 8, 15],
        [1, 5, 12],
        [6, 5, 12],
        [6, 5, 9],
        [6, 1, 9],
    ];
    let columns = SIZES.map(|(size, name)| (messages(size), name));
    let names = columns.iter().flat_map(|(_, name)| [format!("{name}, takeover"), format!("{name}, none")]);
    println!("\n| level | memory level | window bits | {} |", names.collect::<Vec<_>>().join(" | "));
    println!("| --- | --- | --- |{}", " --- |".repeat(2 * SIZES.len()));
    let mut rows = CHOSEN.map(|[level, memory_level, window]| format!("| {level} | {memory_level} | {window} |"));
    for (messages, _) in &columns {
        for takeover in [true, false] {
            let mut engines = CHOSEN.map(|[level, memory_level, window]| {
                let settings = Settings { level, memory_level, window };
                (Engine::new(messages, settings, Way { takeover, pool: false }, Compress::Auto), Vec::new())
            });
            for _ in 0..21 {
                engines.iter_mut().for_each(|(engine, passes)| passes.push(engine.pass(Task::Send)));
            }
            for ((_, passes), row) in engines.iter().zip(&mut rows) {
                let plain = total(messages) as f64;
                *row += &format!(" {:.3}, {:.0} MB/s |", passes[0].sent as f64 / plain, plain / 1e6 / usual(passes));
            }
        }
    }
    rows.iter().for_each(|row| println!("{row}"));
}

/// From which length on compressing pays: what becomes of a byte, and the time to send and to receive.
fn thresholds() {
    println!("\n| bytes, about | plain | level 1, takeover | level 1, none | level 6, takeover | level 6, none |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for size in [32, 48, 64, 96, 128, 192, 256, 384, 512, 1024] {
        let messages = messages(size);
        let cells = [None, Some((1, true)), Some((1, false)), Some((6, true)), Some((6, false))].map(|settings| {
            let (level, takeover) = settings.unwrap_or((1, false));
            let compress = if settings.is_some() { Compress::Always } else { Compress::Never };
            let way = Way { takeover, pool: false };
            let mut engine = Engine::new(&messages, Settings::of_level(level), way, compress);
            let [send, receive] = [Task::Send, Task::Receive].map(|task| {
                let passes: Vec<Pass> = (0..15).map(|_| engine.pass(task)).collect();
                usual(&passes) * 1e6 / messages.len() as f64
            });
            let ratio = engine.pass(Task::Send).sent as f64 / total(&messages) as f64;
            format!("{ratio:.2}, {send:.2} + {receive:.2} µs")
        });
        println!("| {size} | {} |", cells.join(" | "));
    }
}

/// The corpus as messages of about this many bytes, none of them cut: arrays of values that follow each other in it.
fn messages(size: usize) -> Vec<String> {
    let (mut messages, mut message) = (Vec::new(), String::new());
    for value in values(size) {
        let value = value.to_string();
        if value.len() > size * 3 / 2 {
            continue;
        }
        message.push(if message.is_empty() { '[' } else { ',' });
        message += &value;
        // Whether another of the same length would bring it nearer.
        if message.len() + value.len() / 2 >= size {
            message.push(']');
            messages.push(std::mem::take(&mut message));
        }
    }
    messages
}

/// The corpus as values: packages without their lists, and what stands in these; for small messages, their fields.
fn values(size: usize) -> Vec<Value> {
    let mut values = Vec::new();
    for line in CORPUS.lines() {
        let mut package: Value = serde_json::from_str(line).unwrap();
        let lists = ["dependencies", "targets"].map(|list| package[list].take());
        let features = package["features"].as_object_mut().map(std::mem::take).unwrap_or_default();
        values.push(package);
        values.extend(lists.into_iter().flat_map(|list| list.as_array().cloned().unwrap_or_default()));
        values.extend(fields(features.into()));
    }
    if size < 512 { values.into_iter().flat_map(fields).collect() } else { values }
}

/// Each field as an object of its own.
fn fields(object: Value) -> Vec<Value> {
    let fields = object.as_object().cloned().unwrap_or_default();
    fields.into_iter().map(|field| Value::Object([field].into_iter().collect())).collect()
}

/// Masking keys are drawn all the same; what seeds them is not to depend on the system.
struct Foreseen;

impl Entropy for Foreseen {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(7);
        Ok(())
    }
}
