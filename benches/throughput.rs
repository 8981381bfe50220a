//! How fast are masking, receiving, sending and opening, for messages of 16 bytes to 1 MiB?
//!
//! `cargo bench --features fuzzing`, or with a name behind it, such as `receive/server`. Throughput is in messages and
//! in bytes of payload. Nothing is read or written: what is timed is the engine alone, driven as a transport would.
//!
//! Receiving changes the read buffer, so each read is copied into it afresh: the copy is not timed, as it stands for
//! the kernel's; `refill` says what it costs. Messages come back to back, in reads of 64 KiB that cut them wherever
//! they end. Text is ASCII. A payload is sent when `transmit` has shown it and `transmitted` has dropped it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench that cannot set itself up is to say so")]

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use criterion::{BenchmarkId, Criterion, Throughput};
use sockless::{
    Accept, Client, ClientEvent, Compress, Config, Connect, Entropy, Instant, Message, NoEntropy, Prepared, Sender,
    Server, ServerEvent, SessionId, Shared, fuzzing,
};

fn main() {
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(40)
        .configure_from_args();
    mask(&mut criterion);
    receive(&mut criterion);
    send(&mut criterion);
    open(&mut criterion);
    criterion.final_summary();
}

const SIZES: [(usize, &str); 5] =
    [(16, "16 B"), (125, "125 B"), (1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (1 << 20, "1 MiB")];
const READ: usize = 64 << 10;
const NOW: Instant = Instant::from_nanos(0);

/// What a browser asks.
const REQUEST: &[u8] = b"GET /chat?room=general HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; \
    client_max_window_bits\r\n\r\n";

fn mask(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mask");
    for (size, name) in SIZES {
        let (mut payload, from) = (vec![7u8; size], vec![9u8; size]);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("in place", name), |bencher| {
            bencher.iter(|| fuzzing::bench::mask(black_box(&mut payload), black_box([1, 2, 3, 4])));
        });
        group.bench_function(BenchmarkId::new("memcpy", name), |bencher| {
            bencher.iter(|| black_box(&mut payload).copy_from_slice(black_box(&from)));
        });
    }
}

fn receive(criterion: &mut Criterion) {
    let (mut server, mut client, id) = pair();
    for kind in ["text", "binary"] {
        let mut group = criterion.benchmark_group(format!("receive/{kind}"));
        for (size, name) in SIZES {
            let payload = payload(size);
            let count = ((1 << 20) / size).max(4);
            group.throughput(Throughput::ElementsAndBytes { elements: count as u64, bytes: (count * size) as u64 });

            let mut masked = Vec::new();
            for _ in 0..count {
                client.tx(id, NOW).unwrap().send(message(kind, &payload)).unwrap();
                client.take(&mut masked, NOW);
            }
            group.bench_function(BenchmarkId::new("server", name), |bencher| {
                bencher.iter_custom(|rounds| {
                    time_reads(&masked, rounds, |mut input| {
                        while let Some(event) = server.receive(&mut input, NOW) {
                            black_box(&event);
                        }
                    })
                });
            });

            let mut unmasked = Vec::new();
            for _ in 0..count {
                server.tx(id, NOW).unwrap().send(message(kind, &payload)).unwrap();
                server.take(&mut unmasked, NOW);
            }
            group.bench_function(BenchmarkId::new("client", name), |bencher| {
                bencher.iter_custom(|rounds| {
                    time_reads(&unmasked, rounds, |mut input| {
                        while let Some(event) = client.receive(&mut input, NOW) {
                            black_box(&event);
                        }
                    })
                });
            });
        }
    }

    let mut group = criterion.benchmark_group("refill");
    let (from, mut buffer) = (vec![7; READ], vec![9; READ]);
    group.throughput(Throughput::Bytes(READ as u64));
    group.bench_function("64 KiB", |bencher| {
        bencher.iter(|| black_box(&mut buffer).copy_from_slice(black_box(&from)));
    });
}

/// Feeds the stream in reads, `rounds` times; the time of feeding, without that of filling the buffer.
fn time_reads(stream: &[u8], rounds: u64, mut feed: impl FnMut(&mut [u8])) -> Duration {
    let mut buffer = vec![0; READ];
    let mut time = Duration::ZERO;
    for _ in 0..rounds {
        for read in stream.chunks(READ) {
            let (filled, _) = buffer.split_at_mut(read.len());
            filled.copy_from_slice(read);
            let start = Clock::now();
            feed(black_box(filled));
            time += start.elapsed();
        }
    }
    time
}

fn send(criterion: &mut Criterion) {
    let (mut server, mut client, id) = pair();
    for kind in ["text", "binary"] {
        let mut group = criterion.benchmark_group(format!("send/{kind}"));
        for (size, name) in SIZES {
            let payload = payload(size);
            let message = message(kind, &payload);
            group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
            group.bench_function(BenchmarkId::new("server", name), |bencher| {
                bencher.iter(|| send_by_server(&mut server, id, |tx| tx.send(black_box(message)).unwrap()));
            });
            group.bench_function(BenchmarkId::new("server, past the queue", name), |bencher| {
                bencher.iter(|| {
                    let tx = server.tx(id, NOW).unwrap();
                    let frame = tx.send_through(black_box(message), Compress::Auto).unwrap().unwrap();
                    let length = frame.slices().iter().map(|slice| black_box(slice).len()).sum();
                    frame.written(length);
                });
            });
            group.bench_function(BenchmarkId::new("client", name), |bencher| {
                bencher.iter(|| {
                    client.tx(id, NOW).unwrap().send(black_box(message)).unwrap();
                    let mut slices = [IoSlice::new(&[]); 4];
                    let count = client.transmit(&mut slices);
                    let length = slices.iter().take(count).map(|slice| black_box(slice).len()).sum();
                    client.transmitted(length, NOW);
                });
            });
        }
    }
    let mut group = criterion.benchmark_group("send/to many");
    for (size, name) in SIZES {
        group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: size as u64 });
        let (shared, prepared) = (Shared::from(payload(size)), Prepared::new(Message::Binary(&payload(size))));
        group.bench_function(BenchmarkId::new("shared", name), |bencher| {
            bencher.iter(|| send_by_server(&mut server, id, |tx| tx.send_shared(black_box(&shared)).unwrap()));
        });
        group.bench_function(BenchmarkId::new("prepared", name), |bencher| {
            bencher.iter(|| send_by_server(&mut server, id, |tx| tx.send_prepared(black_box(&prepared)).unwrap()));
        });
    }
}

fn send_by_server(server: &mut Server, id: SessionId, send: impl FnOnce(&mut Sender)) {
    send(server.tx(id, NOW).unwrap());
    let mut slices = [IoSlice::new(&[]); 4];
    let count = server.transmit(&mut slices);
    let length = slices.iter().take(count).map(|slice| black_box(slice).len()).sum();
    server.transmitted(length, NOW);
}

fn open(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("open");
    let config = Arc::new(Config::default());
    let (mut request, mut output) = (REQUEST.to_vec(), Vec::with_capacity(4096));
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: REQUEST.len() as u64 });
    group.bench_function("server", |bencher| {
        bencher.iter(|| {
            let mut server = Server::new(Arc::clone(&config), NOW);
            accept(&mut server, black_box(&mut request));
            output.clear();
            server.take(&mut output, NOW);
            server
        });
    });

    let (mut response, connect) = (Vec::new(), Connect::to("wss://chat.example.com/chat?room=general").unwrap());
    let mut client = Client::new(Arc::clone(&config), Foreseen, NOW).unwrap();
    client.open(&connect, NOW).unwrap();
    output.clear();
    client.take(&mut output, NOW);
    let mut server = Server::new(Arc::clone(&config), NOW);
    accept(&mut server, &mut output);
    server.take(&mut response, NOW);
    group.throughput(Throughput::ElementsAndBytes { elements: 1, bytes: response.len() as u64 });
    group.bench_function("client", |bencher| {
        bencher.iter(|| {
            let mut client = Client::new(Arc::clone(&config), Foreseen, NOW).unwrap();
            client.open(&connect, NOW).unwrap();
            output.clear();
            client.take(&mut output, NOW);
            let mut input = black_box(&mut response[..]);
            assert!(matches!(client.receive(&mut input, NOW), Some(ClientEvent::Open(_))));
            client
        });
    });
}

/// A server and a client, their session open.
fn pair() -> (Server, Client, SessionId) {
    let config = Arc::new(Config::default());
    let (mut server, mut output) = (Server::new(Arc::clone(&config), NOW), Vec::new());
    let mut client = Client::new(config, Foreseen, NOW).unwrap();
    let id = client.open(&Connect::to("ws://example.com").unwrap(), NOW).unwrap();
    client.take(&mut output, NOW);
    accept(&mut server, &mut output);
    output.clear();
    server.take(&mut output, NOW);
    let mut input = &mut output[..];
    assert!(matches!(client.receive(&mut input, NOW), Some(ClientEvent::Open(_))));
    (server, client, id)
}

fn accept(server: &mut Server, mut request: &mut [u8]) {
    match server.receive(&mut request, NOW) {
        Some(ServerEvent::Offer(offer)) => drop(offer.accept(Accept::new())),
        other => panic!("no offer: {other:?}"),
    }
}

fn payload(size: usize) -> Vec<u8> {
    b"The quick brown fox jumps over the lazy dog. ".iter().copied().cycle().take(size).collect()
}

fn message<'p>(kind: &str, payload: &'p [u8]) -> Message<'p> {
    if kind == "text" { Message::Text(str::from_utf8(payload).unwrap()) } else { Message::Binary(payload) }
}

/// Masking keys are drawn all the same; what seeds them is not to depend on the system.
struct Foreseen;

impl Entropy for Foreseen {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(7);
        Ok(())
    }
}
