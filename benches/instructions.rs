//! How many instructions does a message cost?
//!
//! `.ci/instructions` counts: it runs each workload here under valgrind for some rounds and for twice as many, and
//! holds the difference for each message against `instructions.txt`. A count has no noise: the machine may be busy.
//! `cargo bench --features fuzzing --bench instructions -- --test` runs a round of each and checks all that comes out.
//!
//! Everything is made beforehand, for the most rounds there are, so a further round is the engine alone and the loop
//! that drives it: nothing is copied in, and what is shown to be written is only looked at. Masking keys come from a
//! fixed seed, the time is given. Messages come back to back in reads of 64 KiB that cut them wherever they end.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that fails is to say so")]

use std::hint::black_box;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use sockless::fuzzing::hpack::{Decoder, Encoder, Fields};
use sockless::{
    Accept, Client, ClientEvent, Compress, Compression, CompressionLevel, Config, Connect, Entropy, Event, Http2Limits,
    Incoming, Instant, Kind, Limits, Message, NoEntropy, Prepared, Server, ServerEvent, SessionId,
};

/// A round of a workload, which says how many messages it had.
type Round = Box<dyn FnMut() -> usize>;

/// Told whether to check.
type SetUp = fn(bool) -> Round;

const WORKLOADS: [(&str, SetUp); 20] = [
    ("server receives 16 B, binary", |is_checked| server_receives(Kind::Binary, 16, is_checked)),
    ("server receives 16 B, text", |is_checked| server_receives(Kind::Text, 16, is_checked)),
    ("server receives 125 B, binary", |is_checked| server_receives(Kind::Binary, 125, is_checked)),
    ("server receives 125 B, text", |is_checked| server_receives(Kind::Text, 125, is_checked)),
    ("server receives 1 KiB, binary", |is_checked| server_receives(Kind::Binary, 1 << 10, is_checked)),
    ("server receives 1 KiB, text", |is_checked| server_receives(Kind::Text, 1 << 10, is_checked)),
    ("server receives 16 KiB of text in reads of 16 B", trickle),
    ("client receives 16 B, binary", client_receives),
    ("server sends 16 B, a write each", |is_checked| server_sends(1, is_checked)),
    ("server sends 16 B, 32 to a write", |is_checked| server_sends(32, is_checked)),
    ("server sends 16 B past the queue", server_sends_through),
    ("server sends 1 KiB, prepared", server_sends_prepared),
    ("client sends 16 B, a write each", client_sends),
    ("server echoes 16 B", |is_checked| echo(16, is_checked)),
    ("server echoes 1 KiB", |is_checked| echo(1 << 10, is_checked)),
    ("server echoes 1 KiB, compressed", echo_compressed),
    ("client and server echo 16 B over HTTP/2", http2),
    ("server opens for a browser", open),
    ("HPACK, a browser's first request", |is_checked| hpack(true, is_checked)),
    ("HPACK, a browser's next request", |is_checked| hpack(false, is_checked)),
];

fn main() {
    // A thread of its own: where its stack lies, and so what is aligned, does not depend on the environment.
    std::thread::spawn(|| {
        let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["--test"] => WORKLOADS.iter().for_each(|(name, set_up)| println!("{name}: {} checked", set_up(true)())),
            ["--vectors"] => println!("{}", vectors()),
            [name, rounds] => {
                let (_, set_up) = WORKLOADS.iter().find(|(known, _)| *known == name).unwrap();
                let mut round = set_up(false);
                println!("{}", (0..rounds.parse().unwrap()).map(|_| round()).sum::<usize>());
            }
            _ => WORKLOADS.iter().for_each(|(name, _)| println!("{name}")),
        }
    })
    .join()
    .unwrap();
}

/// By which the C library, zlib-rs, memchr and simdutf8 choose what they run.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        return "AVX2";
    }
    "no AVX2"
}

/// As many as anyone may ask for.
const ROUNDS: usize = 4;
const READ: usize = 64 << 10;
const NOW: Instant = Instant::from_nanos(0);
const SESSIONS: usize = 100;
const CORPUS: &str = include_str!("corpus/packages.jsonl");

/// What a browser asks.
const REQUEST: &[u8] = b"GET /chat?room=general HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; \
    client_max_window_bits\r\n\r\n";

/// Takes all messages of a read.
macro_rules! receive {
    ($event:ident, $side:expr, $read:expr, $now:expr, |$message:ident, $tx:pat_param| $then:expr) => {{
        let mut read = $read;
        loop {
            match $side.receive(&mut read, $now) {
                Some($event::Session(_, Incoming { event: Event::Message($message), tx: $tx })) => $then,
                Some(other) => panic!("no message: {other:?}"),
                None => break,
            }
        }
    }};
}

/// Takes all that is to be written; keeps it where it is checked.
macro_rules! flush {
    ($side:expr, $wire:expr) => {
        while $side.has_output() {
            let mut slices = [IoSlice::new(&[]); 4];
            let (count, mut length) = ($side.transmit(&mut slices), 0);
            for slice in &slices[..count] {
                length += black_box(slice).len();
                if let Some(wire) = &mut $wire {
                    Vec::extend_from_slice(wire, slice);
                }
            }
            $side.transmitted(length, NOW);
        }
    };
}

/// What was sent is what was meant.
macro_rules! check {
    ($event:ident, $side:expr, $wire:expr, $messages:expr, $expected:expr) => {
        if let Some(wire) = &mut $wire {
            let mut received = 0;
            receive!($event, $side, &mut wire[..], NOW, |message, _| {
                assert_eq!(message, $expected);
                received += 1;
            });
            assert_eq!(received, $messages);
            wire.clear();
        }
    };
}

/// As many messages as fill some reads.
fn count(size: usize) -> usize {
    4 * READ / size
}

fn server_receives(kind: Kind, size: usize, is_checked: bool) -> Round {
    from_client(kind, size, count(size), READ, is_checked)
}

fn trickle(is_checked: bool) -> Round {
    from_client(Kind::Text, 16 << 10, 4, 16, is_checked)
}

fn from_client(kind: Kind, size: usize, count: usize, read_size: usize, is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut stream) = (payload(size), Vec::new());
    for _ in 0..count {
        client.tx(id, NOW).unwrap().send(message(kind, &payload)).unwrap();
        client.take(&mut stream, NOW);
    }
    let mut streams = vec![stream; ROUNDS].into_iter();
    Box::new(move || {
        let (mut stream, mut received) = (streams.next().unwrap(), 0);
        for read in stream.chunks_mut(read_size) {
            receive!(ServerEvent, server, read, NOW, |it, _| {
                assert!(!is_checked || it == message(kind, &payload));
                black_box(it);
                received += 1;
            });
        }
        assert_eq!(received, count);
        received
    })
}

fn client_receives(is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut stream) = (payload(16), Vec::new());
    for _ in 0..count(16) {
        server.tx(id, NOW).unwrap().send(Message::Binary(&payload)).unwrap();
        server.take(&mut stream, NOW);
    }
    let mut streams = vec![stream; ROUNDS].into_iter();
    Box::new(move || {
        let (mut stream, mut received) = (streams.next().unwrap(), 0);
        for read in stream.chunks_mut(READ) {
            receive!(ClientEvent, client, read, NOW, |it, _| {
                assert!(!is_checked || it == Message::Binary(&payload));
                black_box(it);
                received += 1;
            });
        }
        assert_eq!(received, count(16));
        received
    })
}

fn server_sends(batch: usize, is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut wire) = (payload(16), is_checked.then(Vec::new));
    Box::new(move || {
        for _ in 0..count(16) / batch {
            for _ in 0..batch {
                server.tx(id, NOW).unwrap().send(Message::Binary(black_box(&payload))).unwrap();
            }
            flush!(server, wire);
        }
        check!(ClientEvent, client, wire, count(16), Message::Binary(&payload));
        count(16)
    })
}

fn server_sends_through(is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut wire) = (payload(16), is_checked.then(Vec::new));
    Box::new(move || {
        for _ in 0..count(16) {
            let message = Message::Binary(black_box(&payload));
            let frame = server.tx(id, NOW).unwrap().send_through(message, Compress::Auto).unwrap().unwrap();
            let mut length = 0;
            for slice in &frame.slices() {
                length += black_box(slice).len();
                if let Some(wire) = &mut wire {
                    Vec::extend_from_slice(wire, slice);
                }
            }
            frame.written(length);
        }
        check!(ClientEvent, client, wire, count(16), Message::Binary(&payload));
        count(16)
    })
}

fn server_sends_prepared(is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut wire) = (payload(1 << 10), is_checked.then(Vec::new));
    let prepared = Prepared::new(Message::Binary(&payload));
    Box::new(move || {
        for _ in 0..count(16) {
            server.tx(id, NOW).unwrap().send_prepared(black_box(&prepared)).unwrap();
            flush!(server, wire);
        }
        check!(ClientEvent, client, wire, count(16), Message::Binary(&payload));
        count(16)
    })
}

fn client_sends(is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut wire) = (payload(16), is_checked.then(Vec::new));
    Box::new(move || {
        for _ in 0..count(16) {
            client.tx(id, NOW).unwrap().send(Message::Binary(black_box(&payload))).unwrap();
            flush!(client, wire);
        }
        check!(ServerEvent, server, wire, count(16), Message::Binary(&payload));
        count(16)
    })
}

fn echo(size: usize, is_checked: bool) -> Round {
    let (mut server, mut client, id) = pair(Config::default());
    let (payload, mut stream, mut wire) = (payload(size), Vec::new(), is_checked.then(Vec::new));
    for _ in 0..count(size) {
        client.tx(id, NOW).unwrap().send(Message::Binary(&payload)).unwrap();
        client.take(&mut stream, NOW);
    }
    let mut streams = vec![stream; ROUNDS].into_iter();
    Box::new(move || {
        let mut stream = streams.next().unwrap();
        for mut read in stream.chunks_mut(READ) {
            // Written out, as what was lent must be given back before the queue is emptied.
            loop {
                let is_full = match server.receive(&mut read, NOW) {
                    Some(ServerEvent::Session(_, Incoming { event: Event::Message(message), tx })) => {
                        tx.send(message).unwrap();
                        tx.is_full()
                    }
                    Some(other) => panic!("no message: {other:?}"),
                    None => break,
                };
                if is_full {
                    flush!(server, wire);
                }
            }
            flush!(server, wire);
        }
        check!(ClientEvent, client, wire, count(size), Message::Binary(&payload));
        count(size)
    })
}

/// With takeover, so each message is another one: what a client compressed cannot come twice.
fn echo_compressed(is_checked: bool) -> Round {
    const MESSAGES: usize = 16;
    let compression = Compression { level: CompressionLevel::FASTEST, ..Compression::default() };
    let (mut server, mut client, id) = pair(Config { compression: Some(compression), ..Config::default() });
    let mut messages = (0..CORPUS.len() >> 10).filter_map(|at| CORPUS.get(at << 10..(at + 1) << 10)).cycle();
    let mut frames = Vec::new();
    for message in messages.clone().take(ROUNDS * MESSAGES) {
        let mut frame = Vec::new();
        client.tx(id, NOW).unwrap().send(Message::Text(message)).unwrap();
        client.take(&mut frame, NOW);
        assert!(frame.len() < message.len(), "compressed");
        frames.push(frame);
    }
    let (mut frames, mut wire) = (frames.into_iter(), is_checked.then(Vec::new));
    Box::new(move || {
        for mut frame in frames.by_ref().take(MESSAGES) {
            receive!(ServerEvent, server, &mut frame[..], NOW, |message, tx| tx.send(message).unwrap());
            flush!(server, wire);
        }
        check!(ClientEvent, client, wire, MESSAGES, Message::Text(messages.next().unwrap()));
        MESSAGES
    })
}

/// Both ends; every session has one message under way.
fn http2(is_checked: bool) -> Round {
    let mut now = NOW;
    let http2 = Http2Limits { sessions: SESSIONS as u32, ..Http2Limits::default() };
    let config = Arc::new(Config { limits: Limits { http2, ..Limits::default() }, ..Config::default() });
    let mut client = Client::http2(Arc::clone(&config), Foreseen, now).unwrap();
    let connect = Connect::to("wss://example.com/chat").unwrap();
    let ids: Vec<_> = (0..SESSIONS).map(|_| client.open(&connect, now).unwrap()).collect();
    let (mut server, mut up, mut down) = (Server::new(config, now), Vec::new(), Vec::new());
    let mut open = 0;
    while open < SESSIONS {
        client.take(&mut up, now);
        let mut input = &mut up[..];
        while let Some(event) = server.receive(&mut input, now) {
            let ServerEvent::Offer(offer) = event else { panic!("no offer: {event:?}") };
            offer.accept(Accept::new());
        }
        up.clear();
        server.take(&mut down, now);
        let mut input = &mut down[..];
        while let Some(event) = client.receive(&mut input, now) {
            let ClientEvent::Open(_) = event else { panic!("not open: {event:?}") };
            open += 1;
        }
        down.clear();
    }
    let payload = payload(16);
    Box::new(move || {
        const TURNS: usize = 16;
        let mut echoed = 0;
        for _ in 0..TURNS {
            now = now + Duration::from_micros(10);
            for id in &ids {
                client.tx(*id, now).unwrap().send(Message::Binary(black_box(&payload))).unwrap();
            }
            client.take(&mut up, now);
            receive!(ServerEvent, server, &mut up[..], now, |message, tx| tx.send(message).unwrap());
            up.clear();
            server.handle_timeout(now);
            server.take(&mut down, now);
            receive!(ClientEvent, client, &mut down[..], now, |message, _| {
                assert!(!is_checked || message == Message::Binary(&payload));
                black_box(message);
                echoed += 1;
            });
            down.clear();
            client.handle_timeout(now);
        }
        assert_eq!(echoed, TURNS * SESSIONS);
        echoed
    })
}

fn open(is_checked: bool) -> Round {
    const TIMES: usize = 256;
    let (config, mut request, mut wire) = (Arc::default(), REQUEST.to_vec(), is_checked.then(Vec::new));
    Box::new(move || {
        for _ in 0..TIMES {
            let mut server = Server::new(Arc::clone(&config), NOW);
            accept(&mut server, black_box(&mut request));
            flush!(server, wire);
            if let Some(wire) = &mut wire {
                let response = str::from_utf8(wire).unwrap();
                assert!(response.starts_with("HTTP/1.1 101 ") && response.ends_with("\r\n\r\n"), "{response}");
                assert!(response.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{response}");
                wire.clear();
            }
        }
        TIMES
    })
}

/// The first on a connection is literals, by Huffman's code; the next is nearly all in the table.
fn hpack(is_first: bool, is_checked: bool) -> Round {
    const TIMES: usize = 256;
    let fields: Fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "chat.example.com"),
        (":path", "/api/v2/messages?room=general&limit=50"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"),
        ("accept", "*/*"),
        ("sec-ch-ua-platform", "\"Linux\""),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-dest", "empty"),
        ("referer", "https://chat.example.com/"),
        ("accept-encoding", "gzip, deflate, br, zstd"),
        ("accept-language", "en-US,en;q=0.9"),
        ("cookie", "session=9f8e7d6c5b4a39281706f5e4d3c2b1a0; theme=dark"),
    ]
    .map(|(name, value)| (name.into(), value.into(), name == "cookie"))
    .into();
    let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
    let [first, next] = [(); 2].map(|()| encoder.encode(&fields, true));
    assert_eq!(decoder.decode(&first).unwrap(), fields);
    Box::new(move || {
        for _ in 0..TIMES {
            if is_first {
                decoder = Decoder::default();
            }
            let block = black_box(if is_first { &first } else { &next });
            if is_checked {
                assert_eq!(decoder.decode(block).unwrap(), fields);
            } else {
                decoder.lend(block, |name, value, _| _ = black_box((name, value))).unwrap();
            }
        }
        TIMES
    })
}

/// A server and a client, their session open.
fn pair(config: Config) -> (Server, Client, SessionId) {
    let config = Arc::new(config);
    let (mut server, mut output) = (Server::new(Arc::clone(&config), NOW), Vec::new());
    let mut client = Client::new(config, Foreseen, NOW).unwrap();
    let id = client.open(&Connect::to("ws://example.com").unwrap(), NOW).unwrap();
    client.take(&mut output, NOW);
    accept(&mut server, &mut output);
    output.clear();
    server.take(&mut output, NOW);
    assert!(matches!(client.receive(&mut &mut output[..], NOW), Some(ClientEvent::Open(_))));
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

fn message(kind: Kind, payload: &[u8]) -> Message<'_> {
    if kind == Kind::Text { Message::Text(str::from_utf8(payload).unwrap()) } else { Message::Binary(payload) }
}

/// Masking keys are drawn all the same; what seeds them is always the same.
struct Foreseen;

impl Entropy for Foreseen {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(7);
        Ok(())
    }
}
