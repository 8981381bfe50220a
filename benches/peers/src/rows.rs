//! What is compared?

use std::hint::black_box;

use crate::engines::{Connection, Engine};
use crate::limits;
use crate::rounds::{Contestant, Figures, compare, compare_apart};
use crate::traffic::{self, ACCEPT, Kind, Outgoing, REQUEST, Role, Tally, Wire, check_inflates, check_written, framed};
use crate::transport::{self, Outcome};

/// A line of the table.
pub struct Row {
    pub part: &'static str,
    pub title: String,
    /// Bytes of payload in a message; 0 where there are none.
    pub size: usize,
    pub figures: Vec<Figures>,
}

/// Each part, and what stands above it.
pub const PARTS: [(&str, &str); 11] = [
    ("receive", "Server receives, time a message"),
    ("client-receive", "Client receives, time a message"),
    (
        "send",
        "Server sends, time a message; who lends the payload to the transport copies nothing here, whatever its size (a \
         kernel would copy it, as it would what was copied before: for a whole server, add the column memcpy to each)",
    ),
    ("client-send", "Client sends, with a new key from a strong source a frame, time a message"),
    ("echo", "Server echoes, time a message"),
    ("open", "Server answers the opening handshake of a browser, time a handshake"),
    ("broadcast", "Server sends one message of 1 KiB to many connections, one engine's at a time, time a connection"),
    ("trickle", "Server receives in small reads, time a message"),
    (
        "connections",
        "Server receives 125 B from one connection after the other, one engine's at a time, time a message",
    ),
    ("fragments", "Server receives 64 KiB in fragments, time a message"),
    ("sizes", "Server receives binary, reads of 64 KiB: the plot"),
];

const READ: usize = 64 << 10;
const SIZES: [usize; 5] = [16, 125, 1 << 10, 16 << 10, 1 << 20];

pub struct Bench {
    pub engines: Vec<Box<dyn Engine>>,
    pub rounds: usize,
    /// How long a sample is to take, in nanoseconds.
    pub sample: u64,
    /// Bytes in a message; all of them if empty.
    pub sizes: Vec<usize>,
    /// Whether the limits take part.
    pub with_limits: bool,
    pub done: fn(&Row),
    pub rows: Vec<Row>,
}

impl Bench {
    pub fn run(&mut self, part: &'static str) {
        match part {
            "receive" => {
                for size in [16, 125] {
                    self.receive(part, Role::Server, Kind::Binary, size, 16 << 10, 1);
                }
                for size in SIZES {
                    self.receive(part, Role::Server, Kind::Binary, size, READ, 1);
                }
                for size in SIZES {
                    self.receive(part, Role::Server, Kind::Text, size, READ, 1);
                }
                for size in [1 << 10, 16 << 10] {
                    self.receive(part, Role::Server, Kind::Scripts, size, READ, 1);
                }
            }
            "client-receive" => {
                for size in SIZES {
                    self.receive(part, Role::Client, Kind::Binary, size, READ, 1);
                }
                self.receive(part, Role::Client, Kind::Text, 1 << 10, READ, 1);
            }
            "send" => {
                for size in SIZES {
                    self.send(part, Role::Server, size, 1);
                }
                for size in [16, 125, 1 << 10] {
                    self.send(part, Role::Server, size, 32);
                }
            }
            "client-send" => {
                for size in SIZES {
                    self.send(part, Role::Client, size, 1);
                }
            }
            "echo" => {
                for size in SIZES {
                    self.echo(part, size);
                }
            }
            "open" => self.open(part),
            "broadcast" => self.broadcast(part),
            "trickle" => {
                for (size, read) in [(125, 1), (16 << 10, 1), (16 << 10, 16), (16 << 10, 1 << 10)] {
                    self.receive(part, Role::Server, Kind::Text, size, read, 1);
                }
            }
            "connections" => {
                for count in [1, 100, 10_000, 100_000] {
                    self.connections(part, count);
                }
            }
            "fragments" => {
                for fragments in [1, 4, 16, 64, 256, 1024] {
                    self.receive(part, Role::Server, Kind::Binary, 64 << 10, READ, fragments);
                }
            }
            _ => {
                for size in [16, 64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20] {
                    self.receive(part, Role::Server, Kind::Binary, size, READ, 1);
                }
            }
        }
    }

    fn record(&mut self, part: &'static str, title: String, size: usize, figures: Vec<Figures>) {
        let row = Row { part, title, size, figures };
        (self.done)(&row);
        self.rows.push(row);
    }

    fn wants(&self, size: usize) -> bool {
        self.sizes.is_empty() || self.sizes.contains(&size)
    }

    /// The limits and the engines that receive.
    fn receivers(&self) -> impl Iterator<Item = &dyn Engine> {
        self.senders().filter(|engine| !engine.only_sends())
    }

    fn senders(&self) -> impl Iterator<Item = &dyn Engine> {
        let limits: [&dyn Engine; 3] = [&limits::Memcpy, &limits::Bare::<false>, &limits::Bare::<true>];
        self.engines.iter().map(Box::as_ref).chain(limits.into_iter().filter(|_| self.with_limits))
    }

    fn receive(&mut self, part: &'static str, role: Role, kind: Kind, size: usize, read: usize, fragments: usize) {
        if !self.wants(size) {
            return;
        }
        let wire = Wire::new(role, kind, size, messages(size, read), fragments);
        // Small buffers for a peer that trickles: some engines clear all that is free before each read.
        let buffer = if read < 16 << 10 { 4 << 10 } else { READ };
        let contestants = self.receivers().map(|engine| {
            let mut connection = engine.connect(role, buffer);
            let (is_limit, wire) = (is_limit(engine), &wire);
            let mut tally = Some(Tally::of_every_byte());
            let run = move |times| {
                let tally = tally.take().filter(|_| !is_limit).unwrap_or_default();
                receive(&mut *connection, wire, read, times, is_limit, tally)
            };
            Contestant { name: engine.name(), run: Box::new(run), units: wire.messages }
        });
        let figures = compare(contestants.collect(), self.rounds, self.sample);
        let kind = match kind {
            Kind::Binary => "binary",
            Kind::Text => "text",
            Kind::Scripts => "text of several scripts",
        };
        let title = match part {
            "fragments" => format!("in frames of {}", bytes((64 << 10) / fragments)),
            "sizes" => bytes(size),
            _ => format!("{} {kind}, reads of {}", bytes(size), bytes(read)),
        };
        self.record(part, title, size, figures);
    }

    fn send(&mut self, part: &'static str, role: Role, size: usize, batch: usize) {
        if !self.wants(size) {
            return;
        }
        let message = Outgoing::new(size);
        let times_a_run = if size > 1 << 10 { 32 } else { 1024 };
        let expected = framed(role, size) * times_a_run;
        let contestants = self.senders().map(|engine| {
            let mut connection = engine.connect(role, READ);
            let name = engine.name();
            let message = &message;
            let checked = if is_limit(engine) {
                Ok(())
            } else {
                transport::record(|| connection.send(message, 40, batch))
                    .and_then(|written| check_written(role, &written, &mut std::iter::repeat_n(message.bytes, 40)))
            };
            let mut checked = Some(checked);
            let run = move |times| {
                checked.take().unwrap_or(Ok(()))?;
                for _ in 0..times {
                    transport::written();
                    connection.send(message, times_a_run, batch)?;
                    if name != "memcpy" {
                        was_written(expected)?;
                    }
                }
                Ok(())
            };
            Contestant { name, run: Box::new(run), units: times_a_run }
        });
        let figures = compare(contestants.collect(), self.rounds, self.sample);
        let title = match batch {
            1 => format!("{}, a write each", bytes(size)),
            _ => format!("{}, {batch} to a flush", bytes(size)),
        };
        self.record(part, title, size, figures);
    }

    fn echo(&mut self, part: &'static str, size: usize) {
        if !self.wants(size) {
            return;
        }
        let wire = Wire::new(Role::Server, Kind::Binary, size, messages(size, READ), 1);
        let batch = (READ / framed(Role::Client, size)).max(1).next_power_of_two();
        let plain = Wire::new(Role::Client, Kind::Binary, size, wire.messages, 1);
        let contestants = self.receivers().map(|engine| {
            let mut connection = engine.connect(Role::Server, READ);
            let name = engine.name();
            let mut checked = (name != "memcpy").then(|| -> Outcome {
                transport::feed(wire.bytes, READ);
                let written = transport::record(|| connection.echo(wire.messages, batch))?;
                if written == plain.bytes { Ok(()) } else { Err("what came back is not what went".into()) }
            });
            let run = move |times| {
                checked.take().unwrap_or(Ok(()))?;
                for _ in 0..times {
                    transport::feed(wire.bytes, READ);
                    transport::written();
                    connection.echo(wire.messages, batch)?;
                    if name != "memcpy" {
                        was_written(plain.bytes.len())?;
                    }
                }
                Ok(())
            };
            Contestant { name, run: Box::new(run), units: wire.messages }
        });
        let figures = compare(contestants.collect(), self.rounds, self.sample);
        self.record(part, bytes(size), size, figures);
    }

    fn open(&mut self, part: &'static str) {
        let contestants = self.receivers().filter_map(|engine| {
            transport::feed(REQUEST, READ);
            let mut checked: Option<Outcome> = Some(match transport::record(|| engine.open().unwrap_or(Ok(()))) {
                Ok(written) if written.is_empty() => return None,
                Ok(written) if written.windows(ACCEPT.len()).any(|part| part == ACCEPT) => Ok(()),
                Ok(_) => Err("the answer does not hold the accepted key".into()),
                Err(error) => Err(error),
            });
            let run = move |times| {
                checked.take().unwrap_or(Ok(()))?;
                for _ in 0..times * 16 {
                    transport::feed(REQUEST, READ);
                    engine.open().unwrap_or(Ok(()))?;
                    if transport::written() < ACCEPT.len() {
                        return Err("no answer".into());
                    }
                }
                Ok(())
            };
            Some(Contestant { name: engine.name(), run: Box::new(run), units: 16 })
        });
        let figures = compare(contestants.collect(), self.rounds, self.sample);
        self.record(part, format!("{} B of request", REQUEST.len()), 0, figures);
    }

    fn broadcast(&mut self, part: &'static str) {
        let payload: &[u8] = traffic::payload(Kind::Text, 1 << 10).leak();
        let rounds = self.rounds;
        // Encoded anew for each broadcast, by those who encode once; what the first one wrote is looked at.
        let broadcast = |connections: &mut [Box<dyn Connection>], is_compressed, times| {
            (0..times).try_for_each(|_| {
                let message = Outgoing::new_broadcast(payload, is_compressed);
                connections.iter_mut().try_for_each(|connection| connection.send(&message, 1, 1))
            })
        };
        let makers = self.senders().filter(|engine| !is_limit(*engine)).map(|engine| -> Maker<'_> {
            Box::new(move || {
                let mut connections: Vec<_> = (0..10_000).map(|_| engine.connect(Role::Server, 4 << 10)).collect();
                let written = transport::record(|| broadcast(&mut connections, false, 1));
                let expected = &mut std::iter::repeat_n(payload, 10_000);
                let mut checked = Some(written.and_then(|written| check_written(Role::Server, &written, expected)));
                let run = move |times| {
                    checked.take().unwrap_or(Ok(()))?;
                    transport::written();
                    broadcast(&mut connections, false, times)?;
                    was_written(framed(Role::Server, payload.len()) * 10_000 * times)
                };
                Contestant { name: engine.name(), run: Box::new(run), units: 10_000 }
            })
        });
        let figures = compare_apart(&makers.collect::<Vec<_>>(), rounds, self.sample);
        self.record(part, "plain, 10 000 connections".into(), 1 << 10, figures);

        // Ours are not compressed when they are shared.
        let engines = self.senders().filter(|engine| engine.name() != "sockless shared");
        let makers = engines.filter(|engine| engine.deflating().is_some()).map(|engine| -> Maker<'_> {
            Box::new(move || {
                let count = if engine.name() == "sockless prepared" { 10_000 } else { 100 };
                let mut connections: Vec<_> = (0..count).filter_map(|_| engine.deflating()).collect();
                let written = transport::record(|| broadcast(&mut connections, true, 1));
                let mut checked = Some(written.and_then(|written| {
                    check_inflates(&written, payload, count)?;
                    Ok(written.len())
                }));
                let mut expected = 0;
                let run = move |times| {
                    if let Some(checked) = checked.take() {
                        expected = checked?;
                    }
                    transport::written();
                    broadcast(&mut connections, true, times)?;
                    was_written(expected * times)
                };
                Contestant { name: engine.name(), run: Box::new(run), units: count }
            })
        });
        let figures = compare_apart(&makers.collect::<Vec<_>>(), rounds, self.sample);
        self.record(part, "compressed, 10 000 connections, 100 where each compresses".into(), 1 << 10, figures);
    }

    fn connections(&mut self, part: &'static str, count: usize) {
        let wire = Wire::new(Role::Server, Kind::Binary, 125, 1, 1);
        let makers = self.receivers().filter(|engine| !is_limit(*engine)).map(|engine| -> Maker<'_> {
            Box::new(|| {
                let mut connections: Vec<_> = (0..count).map(|_| engine.connect(Role::Server, 4 << 10)).collect();
                let wire = &wire;
                let run = move |times| {
                    (0..times).try_for_each(|_| {
                        connections.iter_mut().try_for_each(|connection| {
                            receive(&mut **connection, wire, READ, 1, false, Tally::default())
                        })
                    })
                };
                Contestant { name: engine.name(), run: Box::new(run), units: count }
            })
        });
        // So many take a while to make.
        let rounds = if count > 10_000 { self.rounds.min(5) } else { self.rounds };
        let figures = compare_apart(&makers.collect::<Vec<_>>(), rounds, self.sample);
        self.record(part, format!("round robin over {count}"), 125, figures);
    }
}

/// Makes a contestant of many connections, when its turn has come.
type Maker<'c> = Box<dyn Fn() -> Contestant<'c> + 'c>;

/// What needs no engine: the parts of the work alone, by size.
pub fn limits(rounds: usize, sample: u64) -> Vec<Row> {
    let rows = SIZES.map(|size| {
        let (ascii, scripts) = (traffic::payload(Kind::Text, size), traffic::payload(Kind::Scripts, size));
        let (mut masked, mut again, mut copied) = (ascii.clone(), ascii.clone(), ascii.clone());
        let many = if size > 1 << 10 { 8 } else { 256 };
        let contestants = vec![
            part("memcpy", many, || black_box(&mut copied[..]).copy_from_slice(black_box(&ascii))),
            part("unmask", many, || limits::mask(black_box(&mut masked), black_box([1, 2, 3, 4]))),
            part("unmask, SIMD", many, || sockudo_ws::simd::apply_mask(black_box(&mut again), black_box([1, 2, 3, 4]))),
            part("simdutf8, ASCII", many, || _ = black_box(simdutf8::basic::from_utf8(black_box(&ascii)))),
            part("simdutf8, several scripts", many, || _ = black_box(simdutf8::basic::from_utf8(black_box(&scripts)))),
        ];
        Row { part: "limits", title: bytes(size), size, figures: compare(contestants, rounds, sample) }
    });
    rows.into()
}

fn part<'c>(name: &'static str, many: usize, mut run: impl FnMut() + 'c) -> Contestant<'c> {
    let run = Box::new(move |times| {
        (0..times * many).for_each(|_| run());
        Ok(())
    });
    Contestant { name, run, units: many }
}

fn receive(
    connection: &mut dyn Connection,
    wire: &Wire,
    read: usize,
    times: usize,
    is_limit: bool,
    mut tally: Tally,
) -> Outcome {
    for time in 1..=times {
        transport::feed(wire.bytes, read);
        connection.receive(wire.messages * time, &mut tally)?;
    }
    match is_limit {
        true if tally.messages == wire.messages * times => Ok(()),
        false if tally.is(&wire.tally, times) && transport::unread() == 0 => Ok(()),
        _ => {
            let (came, sent) = (tally.messages, wire.messages * times);
            Err(format!("received {came} messages of {sent}, or other bytes than were sent").into())
        }
    }
}

/// Whether just so much was written since that was last asked.
fn was_written(expected: usize) -> Outcome {
    match transport::written() {
        written if written == expected => Ok(()),
        written => Err(format!("{written} bytes were written, not {expected}").into()),
    }
}

/// How many messages are fed at a time: so many that few are cut by reads, and so few that they stay in the cache.
fn messages(size: usize, read: usize) -> usize {
    if read < 16 << 10 { ((4 << 10) / size).max(1) } else { ((256 << 10) / size).clamp(4, 4096) }
}

fn is_limit(engine: &dyn Engine) -> bool {
    matches!(engine.name(), "memcpy" | "bare loop" | "bare loop, SIMD")
}

pub fn bytes(size: usize) -> String {
    match size {
        0..1024 => format!("{size} B"),
        1024..0x10_0000 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}
