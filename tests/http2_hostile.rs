//! What can a peer make a connection over HTTP/2 hold, repeat, answer or forget? (RFC 9113 §10.5)
//!
//! Each attack is what a peer sends again and again. It ends past its budget in GOAWAY(ENHANCE_YOUR_CALM) and silence,
//! and until then the heap stays below a stated bound; or it may go on, and the bound holds for as long as it likes. An
//! allocator counts what the engine holds, while nobody reads. `cargo test --test http2_hostile -- --nocapture` prints
//! the figures.

#[path = "common/heap.rs"]
mod heap;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use heap::{measure, report};
use sockless::*;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const START: Instant = Instant::from_nanos(0);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const UNKNOWN: u8 = 0xBE;

const NONE: u8 = 0;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

const INITIAL_WINDOW_SIZE: u16 = 4;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, NONE, stream, &number.to_be_bytes())
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, NONE, 0, &entries.collect::<Vec<_>>())
}

/// A field as a literal: `first` says whether it goes into the table.
fn field(first: u8, name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![first];
    for text in [name, value] {
        match text.len() {
            length @ ..127 => out.push(length as u8),
            length => {
                out.push(127);
                let mut rest = length - 127;
                while rest >= 128 {
                    out.push(rest as u8 | 128);
                    rest >>= 7;
                }
                out.push(rest as u8);
            }
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(0, name, value)).collect()
}

fn socket() -> Vec<u8> {
    block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/echo"),
        (":authority", "a.example"),
        ("sec-websocket-version", "13"),
    ])
}

fn plain(method: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "https"), (":path", "/page"), (":authority", "a.example")])
}

fn open(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &socket())
}

fn data(stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(DATA, NONE, stream, payload)
}

fn end(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &[])
}

fn get(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &plain("GET"))
}

/// A whole message of a client's, with a key of zeros.
fn message(length: usize) -> Vec<u8> {
    let head = match length {
        ..126 => vec![0x82, 0x80 | length as u8],
        126..0x1_0000 => [&[0x82, 0xFE][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[0x82, 0xFF][..], &(length as u64).to_be_bytes()].concat(),
    };
    [&head[..], &[0; 4], &vec![7; length]].concat()
}

/// The `nth` stream of a client's, from 0 on.
fn nth(nth: u32) -> u32 {
    2 * nth + 1
}

/// A frame that the engine sent.
#[derive(Debug)]
struct Sent {
    kind: u8,
    stream: u32,
    payload: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Echo,
    /// Offers and requests are left undecided.
    Defer,
}

enum Engine {
    Server(Server),
    Client(Client),
}

/// What it is called, and what is sent for it on a stream.
type Attack = (&'static str, fn(u32) -> Vec<u8>);

/// Calls a method that both roles have.
macro_rules! either {
    ($engine:expr, $name:ident => $call:expr) => {
        match $engine {
            Engine::Client($name) => $call,
            Engine::Server($name) => $call,
        }
    };
}

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(0);
        Ok(())
    }
}

/// An engine under attack, and an application that does little. Nothing here asks for memory while bytes are fed.
struct Victim {
    engine: Engine,
    now: Instant,
    does: Does,
    body: Response,
    ids: Vec<SessionId>,
    events: usize,
    closed: usize,
    refused: usize,
    failed: Option<Http2Error>,
}

impl Victim {
    fn new(engine: Engine) -> Victim {
        let body = Response::new(200).unwrap().body("a body");
        let ids = Vec::with_capacity(100_000);
        Victim { engine, now: START, does: Does::Echo, body, ids, events: 0, closed: 0, refused: 0, failed: None }
    }

    /// A server whose client has said hello.
    fn server(config: &Config) -> Victim {
        let mut victim = Victim::new(Engine::Server(Server::new(Arc::new(config.clone()), START)));
        victim.feed(&mut [PREFACE, &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat());
        victim.sent();
        victim
    }

    /// A client that has asked for so many sessions, and whose server has said hello.
    fn client(config: &Config, sessions: u32) -> Victim {
        let client = Client::http2(Arc::new(config.clone()), Zero, START).unwrap();
        let mut victim = Victim::new(Engine::Client(client));
        victim.feed(&mut [settings(&[(8, 1)]), frame(SETTINGS, ACK, 0, &[])].concat());
        victim.ask(sessions);
        victim.sent();
        victim
    }

    fn ask(&mut self, sessions: u32) {
        let Engine::Client(client) = &mut self.engine else { panic!("only a client asks") };
        let connect = Connect::to("wss://a.example/").unwrap();
        (0..sessions).for_each(|_| self.ids.push(client.open(&connect, self.now).unwrap()));
    }

    fn id(&self, stream: u32) -> SessionId {
        *self.ids.iter().find(|id| id.number() == stream).unwrap()
    }

    fn tx(&mut self, stream: u32) -> &mut Sender {
        let (id, now) = (self.id(stream), self.now);
        either!(&mut self.engine, engine => engine.tx(id, now)).unwrap()
    }

    fn feed(&mut self, mut input: &mut [u8]) {
        let now = self.now;
        match &mut self.engine {
            Engine::Server(server) => {
                while let Some(event) = server.receive(&mut input, now) {
                    self.events += 1;
                    match event {
                        ServerEvent::Offer(offer) if self.does == Does::Defer => self.ids.push(offer.defer()),
                        ServerEvent::Offer(offer) => self.ids.push(offer.accept(Accept::new())),
                        ServerEvent::Request(request) if self.does == Does::Defer => self.ids.push(request.defer()),
                        ServerEvent::Request(request) => request.respond(&self.body),
                        ServerEvent::Session(_, Incoming { event: Event::Message(message), tx }) => {
                            // What is full is dropped: an application that takes no care.
                            _ = tx.send(message);
                        }
                        ServerEvent::Session(_, Incoming { event: Event::Closed(_), .. }) => self.closed += 1,
                        ServerEvent::Closed(..) => self.closed += 1,
                        ServerEvent::Refused(_) => self.refused += 1,
                        ServerEvent::Failed(error) => self.failed = Some(error),
                        _ => {}
                    }
                }
            }
            Engine::Client(client) => {
                while let Some(event) = client.receive(&mut input, now) {
                    self.events += 1;
                    match event {
                        ClientEvent::Session(_, Incoming { event: Event::Message(message), tx }) => {
                            _ = tx.send(message);
                        }
                        ClientEvent::Session(_, Incoming { event: Event::Closed(_), .. }) => self.closed += 1,
                        ClientEvent::Closed(..) => self.closed += 1,
                        ClientEvent::Refused(..) => self.refused += 1,
                        ClientEvent::ConnectionFailed(error) => self.failed = Some(error),
                        _ => {}
                    }
                }
            }
        }
        assert!(input.is_empty(), "all is taken");
    }

    /// What the engine has to send is looked at, and the transport takes none of it; says how many slices there are.
    fn look(&mut self) -> usize {
        let mut slices = [IoSlice::new(&[]); 4];
        either!(&mut self.engine, engine => engine.transmit(&mut slices))
    }

    /// What the engine has to send, which the transport takes.
    fn sent(&mut self) -> Vec<Sent> {
        let (mut bytes, now) = (Vec::new(), self.now);
        either!(&mut self.engine, engine => engine.take(&mut bytes, now));
        let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
        let mut sent = Vec::new();
        while let [a, b, c, kind, _, d, e, f, g, after @ ..] = rest {
            let (payload, after) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
            let stream = u32::from_be_bytes([*d, *e, *f, *g]);
            sent.push(Sent { kind: *kind, stream, payload: payload.to_vec() });
            rest = after;
        }
        assert_eq!(rest, b"", "whole frames");
        sent
    }

    fn wait(&mut self, time: Duration) {
        self.now = self.now + time;
        either!(&mut self.engine, engine => engine.handle_timeout(self.now));
        self.feed(&mut []);
    }

    fn due(&self) -> Option<Instant> {
        either!(&self.engine, engine => engine.poll_timeout()).map(|(deadline, _)| deadline)
    }

    fn is_closed(&self) -> bool {
        either!(&self.engine, engine => engine.is_closed())
    }

    /// It has failed: GOAWAY says why, and is the last that is sent, whatever comes.
    #[track_caller]
    fn falls_silent(&mut self, what: &str) {
        let sent = self.sent();
        let last = sent.last().unwrap();
        assert_eq!((last.kind, &last.payload[4..8]), (GOAWAY, &ENHANCE_YOUR_CALM.to_be_bytes()[..]), "{what}");
        let events = self.events;
        self.feed(&mut [frame(PING, NONE, 0, &[0; 8]), open(999), data(1, b"x")].concat());
        assert_eq!((self.sent().len(), self.events), (0, events), "{what}: silence");
        assert_eq!(
            self.closed + self.refused,
            self.closed.max(self.ids.len()) + self.refused,
            "{what}: each end is told"
        );
        self.wait(Limits::default().close_timeout);
        assert!(self.is_closed(), "{what}: not for ever");
    }
}

fn config() -> Config {
    let limits = Limits { idle_timeout: None, ..Limits::default() };
    Config { limits, origin: OriginPolicy::Any, keep_alive: KeepAlive::Off, ..Config::default() }
}

fn roomy(sessions: u32) -> Config {
    let mut config = config();
    config.limits.http2.sessions = sessions;
    config
}

/// Sends `next` until the connection fails: says how often, why, and what was held at most. What the engine sends is
/// taken by the transport, or none of it.
#[track_caller]
fn flood(what: &str, victim: &mut Victim, is_read: bool, next: impl Fn(u32) -> Vec<u8>) -> (u32, Http2Error, usize) {
    const MOST: u32 = 20_000;
    let start = heap::held();
    let mut most = 0;
    for count in 1..=MOST {
        let mut bytes = next(count);
        let length = bytes.len();
        // What is held before is in it, the peer's bytes are not.
        let before = (heap::held() - start - length as isize).max(0).unsigned_abs();
        let ((), measured) = measure(|| {
            victim.feed(&mut bytes);
            victim.look();
        });
        most = most.max(before + measured.peak);
        if let Some(error) = victim.failed {
            report(format_args!("{what}: {error:?} after {count}, {most} bytes at most"));
            assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM, "{what}");
            victim.falls_silent(what);
            return (count, error, most);
        }
        if is_read {
            victim.sent();
        }
    }
    panic!("{what}: {MOST} times, and it goes on; {most} bytes at most")
}

// Floods of what serves nothing, at either role.

/// What serves nothing, on a connection whose stream 1 is open and whose stream 3 was reset.
fn nothings() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("PING", frame(PING, NONE, 0, &[0; 8])),
        ("PING with ACK", frame(PING, ACK, 0, &[0; 8])),
        ("SETTINGS", settings(&[])),
        ("a setting", settings(&[(INITIAL_WINDOW_SIZE, 65_536)])),
        ("an unknown setting", settings(&[(0x99, 1)])),
        ("empty DATA", data(1, &[])),
        ("DATA of padding", frame(DATA, PADDED, 1, &[3, 0, 0, 0])),
        ("DATA of no padding", frame(DATA, PADDED, 1, &[0])),
        ("empty DATA on a closed stream", data(3, &[])),
        ("padding on a closed stream", frame(DATA, PADDED, 3, &[0])),
        ("END_STREAM on a closed stream", end(3)),
        ("padded END_STREAM on a closed stream", frame(DATA, PADDED | END_STREAM, 3, &[0])),
        ("fields on a closed stream", frame(HEADERS, END_HEADERS, 3, &[])),
        ("RST_STREAM of a closed stream", number(RST_STREAM, 3, 8)),
        ("WINDOW_UPDATE", number(WINDOW_UPDATE, 0, 1)),
        ("WINDOW_UPDATE of a stream", number(WINDOW_UPDATE, 1, 1)),
        ("WINDOW_UPDATE of a closed stream", number(WINDOW_UPDATE, 3, 1)),
        ("WINDOW_UPDATE of nothing on a closed stream", number(WINDOW_UPDATE, 3, 0)),
        ("PRIORITY", frame(PRIORITY, NONE, 1, &[0; 5])),
        ("PRIORITY of an idle stream", frame(PRIORITY, NONE, 0x7FFF_FFFF, &[0; 5])),
        ("an unknown frame", frame(UNKNOWN, NONE, 1, &[0; 5])),
        ("an unknown frame of 16 KiB", frame(UNKNOWN, NONE, 1, &[0; 16_384])),
        ("GOAWAY", frame(GOAWAY, NONE, 0, &[[0x7F, 0xFF, 0xFF, 0xFF], [0; 4]].concat())),
    ]
}

fn server_with_streams(config: &Config) -> Victim {
    let mut victim = Victim::server(config);
    victim.feed(&mut [open(1), open(3), number(RST_STREAM, 3, 8)].concat());
    victim.sent();
    victim
}

fn client_with_streams(config: &Config) -> Victim {
    let mut victim = Victim::client(config, 2);
    let ok = |stream| frame(HEADERS, END_HEADERS, stream, &[0x88]);
    victim.feed(&mut [ok(1), ok(3), number(RST_STREAM, 3, 8)].concat());
    victim.sent();
    victim
}

#[test]
fn what_serves_nothing_has_a_budget_and_holds_little() {
    for (what, bytes) in nothings() {
        for is_read in [true, false] {
            for (role, mut victim) in
                [("server", server_with_streams(&config())), ("client", client_with_streams(&config()))]
            {
                // An answer to each that nobody reads: 17 bytes of 1000 PINGs.
                let (count, _, most) = flood(&format!("{role}, {what}"), &mut victim, is_read, |_| bytes.clone());
                assert!(count <= 1010, "{role}, {what}: {count}");
                assert!(most <= 64 * KIB, "{role}, {what}: {most} bytes");
            }
        }
    }
}

#[test]
fn interim_responses_have_a_budget() {
    let mut victim = Victim::client(&config(), 1);
    let (count, ..) =
        flood("103", &mut victim, true, |_| frame(HEADERS, END_HEADERS, 1, &block(&[(":status", "103")])));
    assert!(count <= 1001, "{count}");
}

#[test]
fn resets_have_a_budget_in_both_directions() {
    let rapid = |count| [open(nth(count)), number(RST_STREAM, nth(count), 8)].concat();
    let made: [Attack; 5] = [
        ("an increment of nothing", |stream| number(WINDOW_UPDATE, stream, 0)),
        ("a window too large", |stream| number(WINDOW_UPDATE, stream, 0x7FFF_FFFF)),
        ("a PRIORITY of 4 bytes", |stream| frame(PRIORITY, NONE, stream, &[0; 4])),
        ("a second head", open),
        ("fields behind a head", |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[])),
    ];
    for does in [Does::Echo, Does::Defer] {
        let mut victim = Victim::server(&config());
        victim.does = does;
        let (count, error, most) = flood("rapid reset", &mut victim, true, rapid);
        assert_eq!((count, error), (201, Http2Error::TooManyResets), "{does:?}");
        assert!(most <= 64 * KIB, "{most}");
        for (what, made) in made {
            let mut victim = Victim::server(&config());
            victim.does = does;
            let next = |count| [open(nth(count)), made(nth(count))].concat();
            let (count, error, _) = flood(what, &mut victim, true, next);
            assert_eq!((count, error), (201, Http2Error::TooManyResets), "{what}, {does:?}");
        }
    }
    // Half closed, and the application has not answered yet.
    let behind: [Attack; 3] = [
        ("DATA behind the end", |stream| data(stream, b"x")),
        ("an end behind the end", end),
        ("fields behind the end", |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[("a", "b")]))),
    ];
    for (what, behind) in behind {
        let mut victim = Victim::server(&config());
        victim.does = Does::Defer;
        let next = |count| [get(nth(count)), behind(nth(count))].concat();
        let (count, error, _) = flood(what, &mut victim, true, next);
        assert_eq!((count, error), (201, Http2Error::TooManyResets), "{what}");
    }
    for (what, malformed) in
        [("nothing", vec![]), ("upper case", block(&[("A", "b")])), ("no path", block(&[(":method", "GET")]))]
    {
        let next = |count| frame(HEADERS, END_HEADERS, nth(count), &malformed);
        assert_eq!(flood(what, &mut Victim::server(&config()), true, next).0, 201, "{what}");
    }
}

/// The application has begun to work on each of them, and is told 200 times that it was for nothing.
#[test]
fn offers_that_are_given_up_have_a_budget() {
    let given_up: [Attack; 3] = [
        ("an end before the answer", end),
        ("DATA before the answer", |stream| data(stream, b"x")),
        ("DATA and an end before the answer", |stream| frame(DATA, END_STREAM, stream, b"x")),
    ];
    for (what, given_up) in given_up {
        let mut victim = Victim::server(&config());
        victim.does = Does::Defer;
        let next = |count| [open(nth(count)), given_up(nth(count))].concat();
        let (count, error, most) = flood(what, &mut victim, true, next);
        assert_eq!(error, Http2Error::TooManyResets, "{what}");
        assert!(count <= 201 && most <= 64 * KIB, "{what}: {count}, {most}");
    }
}

/// An open session that is ended without a Close is a reset by another name.
#[test]
fn sessions_that_end_without_a_close_have_a_budget() {
    let mut victim = Victim::server(&config());
    let (count, ..) = flood("open, end", &mut victim, true, |count| [open(nth(count)), end(nth(count))].concat());
    assert!(count <= 1001, "{count}");
}

/// A server that serves a thousand sessions to one peer must bear that the peer leaves.
#[test]
fn as_many_resets_as_there_may_be_sessions_are_no_attack() {
    for is_client in [false, true] {
        let mut victim = if is_client { Victim::client(&roomy(1000), 1000) } else { Victim::server(&roomy(1000)) };
        for count in 0..1000 {
            let head = if is_client { frame(HEADERS, END_HEADERS, nth(count), &[0x88]) } else { open(nth(count)) };
            victim.feed(&mut head.clone());
        }
        victim.sent();
        for count in 0..1000 {
            victim.feed(&mut number(RST_STREAM, nth(count), 8));
        }
        assert_eq!((victim.failed, victim.closed), (None, 1000), "client: {is_client}");
    }
}

// Heads.

#[test]
fn blocks_without_an_end_have_a_budget() {
    for (what, piece, most_frames) in [("empty", vec![], 17), ("of a byte", vec![0], 17), ("full", vec![0; 16_384], 3)]
    {
        for is_client in [false, true] {
            let mut victim = if is_client { client_with_streams(&config()) } else { server_with_streams(&config()) };
            let first = if is_client { frame(HEADERS, NONE, 1, &[0x88]) } else { frame(HEADERS, NONE, 5, &socket()) };
            victim.feed(&mut first.clone());
            let (count, error, most) =
                flood(what, &mut victim, true, |_| frame(CONTINUATION, NONE, if is_client { 1 } else { 5 }, &piece));
            assert!(count <= most_frames && error == Http2Error::HeadTooLarge, "{what}: {count}");
            assert!(most <= 64 * KIB, "{what}: {most}");
        }
    }
}

/// A head that comes in for ever holds its block, and keeps all else from coming.
#[test]
fn a_head_is_there_in_time() {
    for mut victim in [server_with_streams(&config()), client_with_streams(&config())] {
        let stream = if matches!(victim.engine, Engine::Client(_)) { 1 } else { 5 };
        victim.feed(&mut frame(HEADERS, NONE, stream, &socket()));
        let mut seconds = 0;
        for byte in frame(CONTINUATION, NONE, stream, &[0; 100]) {
            victim.feed(&mut [byte]);
            victim.wait(Duration::from_secs(1));
            seconds += 1;
            if victim.failed.is_some() {
                break;
            }
        }
        assert_eq!((seconds, victim.failed), (10, Some(Http2Error::HeadTimeout)), "stream {stream}");
    }
}

/// What heads make of few bytes: by size, by count, by pieces of a cookie, by names that are copied for each value.
#[test]
fn bombs_of_fields_cost_little() {
    let large = field(0x40, "cookie", &"x".repeat(3900));
    let name = field(0x40, &"n".repeat(4000), "v");
    let explode = |what, first: &[u8], rest: &[u8]| {
        let fields = [&socket()[..], first, rest].concat();
        let mut pieces = fields.chunks(16_384).peekable();
        let mut bytes = frame(HEADERS, NONE, 1, pieces.next().unwrap());
        while let Some(piece) = pieces.next() {
            let flags = if pieces.peek().is_none() { END_HEADERS } else { NONE };
            bytes.extend(frame(CONTINUATION, flags, 1, piece));
        }
        // The quickest of some: how long the machine did something else says nothing.
        let took = (0..8).map(|_| {
            let (mut victim, mut bytes) = (Victim::server(&config()), bytes.clone());
            let begun = std::time::Instant::now();
            let ((), measured) = measure(|| victim.feed(&mut bytes));
            let took = begun.elapsed();
            assert!(measured.peak <= 128 * KIB, "{what}: {}", measured.peak);
            match victim.failed {
                None => assert_eq!(victim.refused, 1, "{what}"),
                Some(error) => assert_eq!(error.code(), ErrorCode::ENHANCE_YOUR_CALM, "{what}"),
            }
            took
        });
        let took = took.min().unwrap();
        report(format_args!("a bomb {what}: {took:?}"));
        took
    };
    let plain = explode("that is none, but many fields", &[], &field(0, "a", "b").repeat(6400));
    for (what, first, rest) in [
        ("by size", &large, vec![0xBE; 28_000]),
        ("by count", &vec![], vec![0x90; 32_000]),
        ("by pieces of a cookie", &field(0x40, "cookie", ""), vec![0xBE; 32_000]),
        ("by names that are copied", &name, [0x0F, 0x2F, 0x00].repeat(9_000)),
        ("by names that are kept", &name, [0x7E, 0x00].repeat(14_000)),
    ] {
        let took = explode(what, first, &rest);
        // Each byte can be a field, and each of those a copy, but no more than that.
        assert!(took < plain * 16, "{what}: {took:?}, {plain:?}");
    }
}

/// Heads of 16 KiB out of a few bytes each, on as many streams as there may be, which the application thinks over.
#[test]
fn heads_that_wait_are_bounded_by_their_number() {
    let mut victim = Victim::server(&config());
    victim.does = Does::Defer;
    let large = field(0x40, "cookie", &"x".repeat(3800));
    let first = frame(HEADERS, END_HEADERS, 1, &[&socket()[..], &large, &[0xBE; 3]].concat());
    let again = |count| frame(HEADERS, END_HEADERS, nth(count), &[&socket()[..], &[0xBE; 4]].concat());
    let mut bytes: Vec<u8> = first.into_iter().chain((1..100).flat_map(again)).collect();
    let length = bytes.len();
    let ((), measured) = measure(|| victim.feed(&mut bytes));
    report(format_args!("100 heads of {length} bytes that wait: {} bytes", measured.peak));
    assert_eq!((victim.ids.len(), victim.refused), (100, 0));
    // Each once as text; its cookie once more, as the pieces that it was put together from.
    assert!(measured.peak <= 100 * 33 * KIB + 128 * KIB, "{}", measured.peak);
    victim.wait(Duration::from_secs(10));
    victim.sent();
    victim.feed(&mut []);
    assert_eq!(victim.closed, 100, "answered for the application");
}

// What is held.

/// Answers to what serves something else, which nobody reads.
#[test]
fn answers_that_nobody_reads_have_a_bound() {
    let mut config = config();
    config.limits.http2.idle_frames = 1_000_000;
    for (what, bytes, length) in [("PING", frame(PING, NONE, 0, &[0; 8]), 17), ("SETTINGS", settings(&[]), 9)] {
        for mut victim in [server_with_streams(&config), client_with_streams(&config)] {
            let (count, error, most) = flood(what, &mut victim, false, |_| bytes.clone());
            assert_eq!(error, Http2Error::TooManyAnswers, "{what}");
            assert!(count <= 64 * 1024 / length + 3 && most <= 2 * 64 * KIB, "{what}: {count}, {most}");
        }
    }
    let mut victim = Victim::server(&config);
    let head = |count| frame(HEADERS, END_HEADERS | END_STREAM, nth(count), &plain("HEAD"));
    let (_, error, most) = flood("HEAD", &mut victim, false, head);
    assert!(error == Http2Error::TooManyAnswers && most <= 3 * 64 * KIB, "{most}");
}

/// Heads of the application's, each as long as it likes, for requests that hold no place: their number is bounded.
#[test]
fn heads_that_nobody_reads_are_bounded_by_their_number() {
    let mut victim = Victim::server(&config());
    victim.body = Response::new(200).unwrap().header("Set-Cookie", &"x".repeat(1000)).unwrap();
    let head = |count| frame(HEADERS, END_HEADERS | END_STREAM, nth(count), &plain("HEAD"));
    let (count, error, most) = flood("HEAD, 1 KiB each", &mut victim, false, head);
    assert_eq!(error, Http2Error::TooManyAnswers);
    // 64 KiB of 64 bytes; a buffer that grew by doubling.
    assert!(count <= 1026 && most <= 3 * 1024 * 1100, "{count}, {most}");
}

/// Pings inside of sessions, whose Pongs nobody reads, and all windows are shut.
#[test]
fn pongs_that_nobody_reads_are_few() {
    let mut victim = Victim::server(&config());
    victim.feed(&mut settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    let mut bytes: Vec<u8> = (0..100).flat_map(|count| open(nth(count))).collect();
    victim.feed(&mut bytes);
    victim.sent();
    let ping = [&[0x89, 0xFD, 0, 0, 0, 0][..], &[7; 125]].concat();
    let mut bytes: Vec<u8> = (0..100).flat_map(|count| data(nth(count), &ping)).collect();
    let ((), measured) = measure(|| {
        for _ in 0..100 {
            victim.feed(&mut bytes);
            victim.look();
        }
    });
    report(format_args!("100 Pings on each of 100 sessions that read nothing: {} bytes", measured.peak));
    assert_eq!((victim.failed, victim.closed), (None, 0));
    assert!(measured.peak <= 100 * KIB, "{}", measured.peak);
    // Once the windows open, the one that waited for room follows by itself.
    let mut bytes: Vec<u8> = (0..100).flat_map(|count| number(WINDOW_UPDATE, nth(count), 1000)).collect();
    victim.feed(&mut bytes);
    let sent = victim.sent();
    let pongs: usize = sent.iter().filter(|sent| sent.kind == DATA).map(|sent| sent.payload.len()).sum();
    assert_eq!(pongs, 100 * 3 * 127);
}

/// A large body for everyone, and nobody gives a window: it is held once, and each stream as long as it may stall.
#[test]
fn bodies_that_nobody_reads_are_held_once() {
    let mut victim = Victim::server(&config());
    victim.body = Response::new(200).unwrap().body(vec![7; MIB]);
    victim.feed(&mut settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    let mut bytes: Vec<u8> = (0..100).flat_map(|count| get(nth(count))).collect();
    let ((), measured) = measure(|| {
        victim.feed(&mut bytes);
        victim.look();
    });
    report(format_args!("100 bodies of 1 MiB behind shut windows: {} bytes", measured.peak));
    assert!(measured.peak <= 100 * KIB, "{}", measured.peak);
    let at_once = victim.sent().iter().filter(|sent| sent.kind == RST_STREAM).count();
    victim.wait(Duration::from_secs(60));
    let resets = victim.sent().iter().filter(|sent| sent.kind == RST_STREAM).count();
    assert_eq!((at_once, resets), (0, 100));
    // The places are free again.
    victim.feed(&mut open(nth(200)));
    assert_eq!(victim.ids.len(), 1);
}

/// The line of those that wait for a window does not keep who left it.
#[test]
fn streams_that_come_and_go_before_a_shut_window_leave_nothing() {
    let mut victim = Victim::server(&config());
    victim.body = Response::new(200).unwrap().body(vec![7; MIB]);
    victim.feed(&mut get(1));
    victim.sent();
    let mut held = 0;
    for count in 1..=20_000 {
        victim.feed(&mut get(nth(count)));
        victim.sent();
        victim.feed(&mut number(RST_STREAM, nth(count), 8));
        victim.wait(Duration::from_millis(200));
        if count == 1000 {
            held = heap::held();
        }
    }
    assert_eq!(victim.failed, None);
    assert!(heap::held() - held <= 1024, "{} bytes more", heap::held() - held);
}

/// Nor does the list of those that wait for the server's settings, which never come.
#[test]
fn sessions_that_give_up_leave_nothing() {
    let client = Client::http2(Arc::new(config()), Zero, START).unwrap();
    let mut victim = Victim::new(Engine::Client(client));
    let mut held = 0;
    for count in 1..=400 {
        victim.ask(100);
        victim.wait(Duration::from_secs(10));
        victim.sent();
        if count == 10 {
            held = heap::held();
        }
    }
    assert_eq!(victim.closed, 40_000);
    assert!(heap::held() - held <= 1024, "{} bytes more", heap::held() - held);
}

/// The one bound of what sessions hold: as many as there may be, each up to its own limits.
#[test]
fn unfinished_messages_are_bounded_by_their_number() {
    let mut config = roomy(20);
    config.limits.message = 64 << 10;
    let mut victim = Victim::server(&config);
    let mut bytes: Vec<u8> = (0..20).flat_map(|count| open(nth(count))).collect();
    victim.feed(&mut bytes);
    victim.sent();
    let payload = message((64 << 10) - 1);
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    for piece in payload[..60 << 10].chunks(1000) {
        pieces.extend((0..20).map(|count| data(nth(count), piece)));
    }
    let ((), measured) = measure(|| pieces.iter_mut().for_each(|piece| victim.feed(piece)));
    report(format_args!("20 unfinished messages of 60 KiB: {} bytes", measured.peak));
    assert_eq!((victim.failed, victim.closed), (None, 0));
    assert!(measured.peak <= 20 * 2 * 64 * KIB + 64 * KIB, "{}", measured.peak);
}

/// An echo that nobody reads, with all windows open.
#[test]
fn output_that_nobody_reads_is_bounded_by_the_number_of_sessions() {
    let mut config = roomy(10);
    config.limits.output = 64 << 10;
    let mut victim = Victim::server(&config);
    let mut bytes: Vec<u8> = (0..10).flat_map(|count| open(nth(count))).collect();
    bytes.extend([settings(&[(INITIAL_WINDOW_SIZE, 0x7FFF_FFFF)]), number(WINDOW_UPDATE, 0, 0x7000_0000)].concat());
    victim.feed(&mut bytes);
    let mut bytes: Vec<u8> = (0..10).flat_map(|count| data(nth(count), &message(10_000))).collect();
    let ((), measured) = measure(|| {
        for _ in 0..100 {
            // Unmasked with a key of zeros, the bytes stay as they are.
            victim.feed(&mut bytes);
            victim.look();
        }
    });
    report(format_args!("10 sessions that echo 1 MB each to nobody: {} bytes", measured.peak));
    assert_eq!(victim.failed, None);
    assert!(measured.peak <= 10 * 2 * (64 * KIB + 10_000) + 256 * KIB, "{}", measured.peak);
}

/// CVE-2019-9511: a byte of window at a time, each for a frame of its own, and nobody reads.
#[test]
fn windows_of_a_byte_have_a_budget() {
    for is_read in [true, false] {
        let mut victim = Victim::server(&config());
        victim.feed(&mut [settings(&[(INITIAL_WINDOW_SIZE, 0)]), open(1)].concat());
        victim.sent();
        victim.tx(1).send(Message::Binary(&[7; 200_000])).unwrap();
        let (count, error, most) = flood("a byte of window", &mut victim, is_read, |_| number(WINDOW_UPDATE, 1, 1));
        assert_eq!(error, Http2Error::TooManyIdleFrames);
        assert!(count <= 3000 && most <= 256 * KIB, "{count}, {most} bytes");
    }
}

/// The same for all streams at once, by the initial window.
#[test]
fn an_initial_window_that_grows_by_a_byte_has_a_budget() {
    let mut victim = Victim::server(&config());
    let mut bytes: Vec<u8> = (0..100).flat_map(|count| open(nth(count))).collect();
    victim.feed(&mut settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    victim.feed(&mut bytes);
    victim.sent();
    (0..100).for_each(|count| victim.tx(nth(count)).send(Message::Binary(&[7; 20_000])).unwrap());
    let (count, _, most) =
        flood("a byte for all", &mut victim, true, |count| settings(&[(INITIAL_WINDOW_SIZE, count)]));
    assert!(count <= 1000 && most <= 256 * KIB, "{count}, {most}");
}

/// What is planned is bounded by what it costs, not only by its payload.
#[test]
fn frames_of_a_byte_that_nobody_takes_hold_little() {
    let mut victim = Victim::server(&config());
    victim.feed(&mut open(1));
    victim.sent();
    let mut ping = data(1, &[0x82, 0x81, 0, 0, 0, 0, 9]);
    let ((), measured) = measure(|| {
        for _ in 0..20_000 {
            victim.feed(&mut ping);
            victim.look();
        }
    });
    report(format_args!("20000 echoes of a byte that nobody takes: {} bytes", measured.peak));
    assert!(measured.peak <= 512 * KIB, "{}", measured.peak);
}

/// What a burst took is given back when it is over, as every session gives back its own.
#[test]
fn a_quiet_connection_gives_its_buffers_back() {
    let mut victim = Victim::server(&config());
    let large: Vec<u8> = (0..20_u8).flat_map(|name| field(0x10, &format!("x-{name}"), &"v".repeat(700))).collect();
    let mut heads: Vec<u8> = (1..20)
        .flat_map(|count| frame(HEADERS, END_HEADERS | END_STREAM, nth(count), &[&plain("GET")[..], &large].concat()))
        .collect();
    let mut pings = frame(PING, NONE, 0, &[0; 8]).repeat(500);
    let mut output = Vec::with_capacity(MIB);
    let ((), measured) = measure(|| {
        victim.feed(&mut heads);
        victim.feed(&mut pings);
        either!(&mut victim.engine, engine => engine.take(&mut output, START));
        victim.wait(Duration::from_secs(5));
    });
    report(format_args!("after a burst and 5 s of quiet: {} bytes", measured.held));
    assert!(measured.held <= 20 * KIB as isize, "{}", measured.held);
}

// Honest peers.

/// A client may ask for many sessions before it knows the server's settings.
#[test]
fn settings_of_an_honest_server_are_no_flood() {
    let client = Client::http2(Arc::new(roomy(10_000)), Zero, START).unwrap();
    let mut victim = Victim::new(Engine::Client(client));
    victim.ask(8000);
    victim.feed(&mut settings(&[(3, 8000), (4, 1 << 20), (5, 1 << 14), (8, 1)]));
    assert_eq!(victim.failed, None);
    assert_eq!(victim.sent().iter().filter(|sent| sent.kind == HEADERS).count(), 8000);
    // And the same later, when they are all open.
    let mut heads: Vec<u8> = (0..8000).flat_map(|count| frame(HEADERS, END_HEADERS, nth(count), &[0x88])).collect();
    victim.feed(&mut heads);
    victim.feed(&mut settings(&[(3, 8000), (4, 1 << 16)]));
    assert_eq!(victim.failed, None);
}

/// A page of many parts, asked for in one read, each answered with a head of 1 KiB.
#[test]
fn a_page_of_many_parts_is_no_flood() {
    let mut victim = Victim::server(&config());
    victim.body = Response::new(200).unwrap().header("Set-Cookie", &"x".repeat(1000)).unwrap().body("a body");
    for _ in 0..10 {
        let first = victim.events as u32;
        let mut bytes: Vec<u8> = (first..first + 100).flat_map(|count| get(nth(count))).collect();
        victim.feed(&mut bytes);
        assert_eq!(victim.failed, None);
        victim.sent();
        victim.feed(&mut []);
    }
}

// Numbers, calls and clocks.

#[test]
fn the_last_stream_there_can_be() {
    let mut victim = Victim::server(&config());
    let last = 0x7FFF_FFFF;
    victim.feed(
        &mut [open(last - 2), open(last), open(last - 4), data(last - 4, b"x"), data(last, &message(5))].concat(),
    );
    let sent = victim.sent();
    assert_eq!((victim.ids.len(), victim.failed), (2, None), "a number that was passed over is closed");
    assert!(sent.iter().any(|sent| sent.kind == DATA && sent.stream == last && sent.payload.len() == 7));
    // The highest bit means nothing.
    victim.feed(&mut number(RST_STREAM, 0x8000_0000 | last, 8));
    assert_eq!(victim.closed, 1);
    let Engine::Server(server) = &mut victim.engine else { unreachable!() };
    server.shut_down(START);
    let sent = victim.sent();
    let goodbye = sent.iter().find(|sent| sent.kind == GOAWAY).unwrap();
    assert_eq!(goodbye.payload[..4], last.to_be_bytes());
}

/// The middle of what many calls took: one that the machine interrupted says nothing.
fn middle(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn server_with(sessions: u32) -> Victim {
    let mut victim = Victim::server(&roomy(sessions));
    for count in 0..sessions {
        victim.feed(&mut open(nth(count)));
        victim.sent();
    }
    victim
}

/// No call looks at all sessions, also where many were changed and nothing was sent yet.
#[test]
fn asking_for_the_deadline_between_messages_costs_the_same_beside_many() {
    let time = |sessions: u32| {
        let mut victim = server_with(sessions);
        let Engine::Server(server) = &mut victim.engine else { unreachable!() };
        let times = victim.ids.iter().map(|id| {
            let begun = std::time::Instant::now();
            server.tx(*id, START).unwrap().send(Message::Text("to all")).unwrap();
            assert!(server.poll_timeout().is_some() && server.has_output());
            begun.elapsed()
        });
        middle(times.collect())
    };
    let (few, many) = (time(100), time(3000));
    report(format_args!("a message and a look at the clock: {few:?} beside 100 sessions, {many:?} beside 3000"));
    assert!(many < few * 4 + Duration::from_micros(10), "{few:?} {many:?}");
}

/// Frames of the peer's, beside many sessions.
#[test]
fn a_frame_costs_the_same_beside_many() {
    let frames: [Attack; 6] = [
        ("WINDOW_UPDATE", |stream| number(WINDOW_UPDATE, stream, 1)),
        ("PRIORITY", |stream| frame(PRIORITY, NONE, stream, &[0; 5])),
        ("PING", |_| frame(PING, NONE, 0, &[0; 8])),
        ("GOAWAY", |_| frame(GOAWAY, NONE, 0, &[0; 8])),
        ("DATA", |stream| data(stream, &[0x89, 0x80, 0, 0, 0, 0])),
        ("RST_STREAM", |stream| number(RST_STREAM, stream, 8)),
    ];
    let [mut few, mut many] = [server_with(150), server_with(10_000)];
    for (what, next) in frames {
        let time = |victim: &mut Victim| {
            let step = victim.ids.len() as u32 / 150;
            let times = (0..150).map(|count| {
                let mut bytes = next(nth(count * step));
                let begun = std::time::Instant::now();
                victim.feed(&mut bytes);
                either!(&victim.engine, engine => _ = (engine.poll_timeout(), engine.has_output(), engine.is_closed()));
                victim.look();
                either!(&mut victim.engine, engine => engine.transmitted(usize::MAX, START));
                begun.elapsed()
            });
            let times = times.collect();
            assert_eq!(victim.failed, None, "{what}");
            middle(times)
        };
        let (few, many) = (time(&mut few), time(&mut many));
        report(format_args!("{what}: {few:?} beside 150 sessions, {many:?} beside 10000"));
        assert!(many < few * 4 + Duration::from_micros(20), "{what}: {few:?} {many:?}");
    }
}

/// One frame of many settings, each of which changes the window of every stream.
#[test]
fn settings_that_change_every_stream_cost_little() {
    let time = |sessions: u32| {
        let mut victim = server_with(sessions);
        let entries: Vec<(u16, u32)> = (0..900).map(|count| (INITIAL_WINDOW_SIZE, count % 2)).collect();
        let mut bytes = settings(&entries);
        let begun = std::time::Instant::now();
        victim.feed(&mut bytes);
        begun.elapsed()
    };
    // The quicker of some: once for each setting it is seconds.
    let quickest = |sessions| (0..3).map(|_| time(sessions)).min().unwrap();
    let (few, many) = (quickest(10), quickest(10_000));
    report(format_args!("900 settings beside 10 sessions: {few:?}, beside 10000: {many:?}"));
    assert!(many < few + Duration::from_millis(100), "{few:?} {many:?}");
}

/// After each call of `handle_timeout` the next deadline is in the future, whatever the limits are and whatever came.
#[test]
fn no_deadline_comes_twice() {
    let [zero, second] = [0, 1].map(Duration::from_secs);
    for time in [zero, second] {
        for none in [false, true] {
            let some = if none { None } else { Some(time) };
            let mut config = roomy(10);
            config.limits = Limits {
                open_timeout: time,
                close_timeout: time,
                idle_timeout: some,
                message_timeout: some,
                lifetime: some,
                stall_timeout: some,
                release: some,
                ..config.limits
            };
            config.keep_alive = KeepAlive::Ping { interval: second, timeout: time };
            for does in [Does::Echo, Does::Defer] {
                let mut victim = Victim::new(Engine::Server(Server::new(Arc::new(config.clone()), START)));
                victim.does = does;
                let script = [
                    [PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 3)]), &frame(SETTINGS, ACK, 0, &[])].concat(),
                    [open(1), get(3), frame(HEADERS, END_HEADERS, 5, &plain("POST")), open(7)].concat(),
                    [data(1, &message(9)), data(5, b"content")].concat(),
                    end(7),
                    frame(HEADERS, NONE, 9, &socket()),
                ];
                for mut bytes in script {
                    victim.feed(&mut bytes);
                    for _ in 0..6 {
                        victim.look();
                        either!(&mut victim.engine, engine => engine.handle_timeout(victim.now));
                        let due = victim.due();
                        assert!(
                            due.is_none_or(|due| due > victim.now),
                            "{time:?} {some:?} {does:?}: {due:?} at {:?}",
                            victim.now
                        );
                        victim.feed(&mut []);
                        victim.now = victim.now + Duration::from_millis(300);
                    }
                }
                // All that can end has an end.
                let mut turns = 0;
                while let Some(due) = victim.due().filter(|_| !none) {
                    victim.now = victim.now.max(due);
                    either!(&mut victim.engine, engine => engine.handle_timeout(victim.now));
                    victim.feed(&mut []);
                    turns += 1;
                    assert!(
                        turns < 200,
                        "{time:?} {some:?} {does:?}: {:?}",
                        either!(&victim.engine, engine => engine.poll_timeout())
                    );
                }
            }
        }
    }
}

/// An application that calls what it likes in the middle of everything.
#[test]
fn a_session_that_is_paused_before_it_opens_is_paused_when_it_opens() {
    let mut victim = Victim::client(&config(), 1);
    let (id, Engine::Client(client)) = (victim.id(1), &mut victim.engine) else { unreachable!() };
    client.pause(id, START);
    victim.feed(&mut frame(HEADERS, END_HEADERS, 1, &[0x88]));
    let payload = frame(DATA, NONE, 1, &[&[0x82, 126, 0x3F, 0x00][..], &[7; 0x3F00]].concat());
    for _ in 0..4 {
        victim.feed(&mut payload.clone());
    }
    let credited = victim.sent().iter().any(|sent| sent.kind == WINDOW_UPDATE && sent.stream == 1);
    // Either it counts, and its clocks stand still as well, or it does not.
    victim.wait(Duration::from_secs(1000));
    assert!(credited, "there was no session to pause");
}

#[test]
fn a_client_whose_server_is_gone_is_closed_when_all_is_told() {
    let mut victim = client_with_streams(&config());
    victim.feed(&mut settings(&[(INITIAL_WINDOW_SIZE, 0)]));
    victim.sent();
    victim.tx(1).send(Message::Text("that cannot go")).unwrap();
    let Engine::Client(client) = &mut victim.engine else { unreachable!() };
    client.receive_eof(START);
    victim.feed(&mut []);
    victim.sent();
    let Engine::Client(client) = &victim.engine else { unreachable!() };
    assert_eq!((victim.closed, client.transport()), (2, Transport::Close));
    assert!(client.is_closed(), "{:?}", client.poll_timeout());
}

/// A stream that was reset for its window is no reason to end the connection later.
#[test]
fn the_window_of_a_stream_that_was_reset_for_it_counts_no_more() {
    let mut victim = Victim::server(&config());
    victim.feed(&mut open(1));
    victim.sent();
    victim.tx(1).send(Message::Text("on its way")).unwrap();
    victim.look();
    victim.feed(&mut number(WINDOW_UPDATE, 1, 0x7FFF_FFFF));
    victim.feed(&mut settings(&[(INITIAL_WINDOW_SIZE, 65_536)]));
    assert_eq!((victim.failed, victim.closed), (None, 1));
}

/// The end of a session is told in the call that told what ended it, whatever it was.
#[test]
fn an_end_waits_for_no_other_byte() {
    for (what, bytes) in [
        ("garbage", data(1, b"garbage")),
        ("a Close", data(1, &[0x88, 0x80, 0, 0, 0, 0])),
        ("an end", end(1)),
        ("a reset", number(RST_STREAM, 1, 8)),
        ("fields", frame(HEADERS, END_HEADERS, 1, &[])),
    ] {
        for is_cut in [false, true] {
            let mut victim = server_with_streams(&config());
            let closed = victim.closed;
            let mut bytes = bytes.clone();
            match is_cut {
                true => bytes.chunks_mut(1).for_each(|byte| victim.feed(byte)),
                false => victim.feed(&mut bytes),
            }
            assert_eq!(victim.closed, closed + 1, "{what}, cut: {is_cut}");
        }
    }
}

// Whatever comes, in whatever order.

/// Numbers that look like chance, and come again.
struct Chance(u64);

impl Chance {
    /// One below `most`.
    fn below(&mut self, most: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as u32 % most
    }
}

/// What the application knows of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Known {
    Waits,
    Open,
    Answered,
    Over,
}

/// A peer that sends frames at random, cut anywhere, and an application that calls whatever there is, also from within
/// an event. Each session ends once; no frame stands where it may not; the connection ends.
struct Chaos {
    random: Chance,
    server: Server,
    now: Instant,
    known: Vec<(SessionId, Known)>,
    wire: Vec<u8>,
}

/// Does something with a session that it heard of.
fn react(id: SessionId, tx: &mut Sender, whim: u32) -> SessionId {
    match whim {
        0 => tx.abort(),
        1 => tx.close(Close::Empty),
        _ => _ = tx.send(Message::Text("an answer")),
    }
    id
}

impl Chaos {
    fn frames(&mut self, next: &mut u32) -> Vec<u8> {
        let stream = nth(self.random.below((*next).max(1)));
        match self.random.below(16) {
            0..3 => {
                *next += 1;
                open(nth(*next - 1))
            }
            3 => {
                *next += 1;
                get(nth(*next - 1))
            }
            4 => {
                *next += 1;
                frame(HEADERS, END_HEADERS, nth(*next - 1), &plain("POST"))
            }
            5 | 6 => {
                let length = self.random.below(3000) as usize;
                data(stream, &message(length))
            }
            7 => data(stream, &[0x89, 0x81, 0, 0, 0, 0, 9]),
            8 => data(stream, &[0x88, 0x80, 0, 0, 0, 0]),
            9 => data(stream, b"garbage"),
            10 => end(stream),
            11 => number(RST_STREAM, stream, 8),
            12 => {
                let initial = [0, 1, 100, 65_535][self.random.below(4) as usize];
                settings(&[(INITIAL_WINDOW_SIZE, initial)])
            }
            13 => [number(WINDOW_UPDATE, stream, 1000), number(WINDOW_UPDATE, 0, 1000)].concat(),
            14 => frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[("a", "b")])),
            _ => frame(PING, NONE, 0, &[0; 8]),
        }
    }

    fn feed(&mut self, mut input: &mut [u8]) {
        loop {
            let whim = self.random.below(6);
            let Chaos { server, now, known, .. } = self;
            let mut is =
                |id: SessionId, state: Known, before: &[Known]| match known.iter_mut().find(|(of, _)| *of == id) {
                    Some((_, known)) => {
                        assert!(before.contains(known), "{id}: {known:?}, now {state:?}");
                        *known = state;
                    }
                    None => known.push((id, state)),
                };
            match server.receive(&mut input, *now) {
                None => break,
                Some(ServerEvent::Offer(offer)) => match whim {
                    0 => is(offer.defer(), Known::Waits, &[]),
                    1 => {
                        is(offer.id(), Known::Answered, &[]);
                        offer.reject(&Response::new(404).unwrap().body("none"));
                    }
                    _ => is(offer.accept(Accept::new()), Known::Open, &[]),
                },
                Some(ServerEvent::Request(request)) => match whim {
                    0 => is(request.defer(), Known::Waits, &[]),
                    _ => {
                        is(request.id(), Known::Answered, &[]);
                        request.respond(&Response::new(200).unwrap().body(vec![7; 2000 * whim as usize]));
                    }
                },
                Some(ServerEvent::Session(id, Incoming { event, tx })) => match event {
                    Event::Closed(_) => is(id, Known::Over, &[Known::Open]),
                    _ if whim == 0 => tx.abort(),
                    _ if whim == 1 => tx.close(Close::Empty),
                    _ => _ = tx.send(Message::Text("an answer")),
                },
                Some(ServerEvent::Closed(id, _)) => is(id, Known::Over, &[Known::Waits]),
                Some(_) => {}
            }
        }
        assert!(input.is_empty());
    }

    fn calls(&mut self) {
        let (what, size, now) = (self.random.below(12), self.random.below(40_000) as usize, self.now);
        let which = self.random.below(self.known.len().max(1) as u32) as usize;
        let Some((id, known)) = self.known.get_mut(which) else { return };
        let server = &mut self.server;
        match what {
            0..4 => _ = server.tx(*id, now).map(|tx| tx.send(Message::Binary(&vec![7; size]))),
            4 => server.pause(*id, now),
            5 => server.resume(*id, now),
            6 => _ = server.tx(*id, now).map(|tx| tx.close(Close::Empty)),
            7 => _ = server.tx(*id, now).map(Sender::abort),
            8 => server.release(),
            9 => {
                if let Some(offer) = server.offer(*id, now) {
                    offer.accept(Accept::new());
                    *known = Known::Open;
                }
            }
            10 => {
                if let Some(request) = server.request(*id, now) {
                    request.respond(&Response::new(200).unwrap().body("late"));
                    *known = Known::Answered;
                }
            }
            _ if size < 400 => server.shut_down(now),
            _ => {}
        }
    }

    fn takes(&mut self, most: usize) {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.server.transmit(&mut slices);
        let shown: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = most.min(shown.len());
        self.wire.extend_from_slice(&shown[..taken]);
        self.server.transmitted(taken, self.now);
    }

    fn runs(&mut self) {
        let mut pending = [PREFACE, &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat();
        let mut next = 0;
        for _ in 0..200 {
            match self.random.below(8) {
                0..4 => {
                    pending.extend(self.frames(&mut next));
                    let mut piece =
                        pending.drain(..self.random.below(pending.len() as u32 + 1) as usize).collect::<Vec<u8>>();
                    self.feed(&mut piece);
                }
                4 => self.calls(),
                5 | 6 => {
                    let most = self.random.below(20_000) as usize;
                    self.takes(most);
                }
                _ => {
                    self.now = self.now + Duration::from_millis(u64::from(self.random.below(500)));
                    self.server.handle_timeout(self.now);
                }
            }
        }
        self.feed(&mut pending);
        match self.random.below(3) {
            0 => self.server.receive_reset(self.now),
            1 => self.server.receive_eof(self.now),
            _ => self.server.shut_down(self.now),
        }
        let mut turns = 0;
        while !self.server.is_closed() {
            self.feed(&mut []);
            self.takes(usize::MAX);
            self.now = self.now + Duration::from_secs(1);
            self.server.handle_timeout(self.now);
            turns += 1;
            // What is paused is for the application to go on with.
            for nth in 0..self.known.len() {
                self.server.resume(self.known[nth].0, self.now);
            }
            assert!(turns < 500, "{:?} {:?}", self.server.transport(), self.server.poll_timeout());
        }
        assert!(self.known.iter().all(|(_, known)| matches!(known, Known::Answered | Known::Over)), "{:?}", self.known);
    }
}

/// Holds what was sent against what may be.
fn check_order(wire: &[u8]) {
    let mut ended = std::collections::BTreeMap::new();
    let mut rest = wire.strip_prefix(PREFACE).unwrap_or(wire);
    while let [a, b, c, kind, flags, d, e, f, g, after @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        let stream = u32::from_be_bytes([*d, *e, *f, *g]);
        let allowed = match ended.get(&stream) {
            None => true,
            Some(&END_STREAM) => matches!(*kind, RST_STREAM | WINDOW_UPDATE | PRIORITY),
            Some(_) => false,
        };
        assert!(allowed || stream == 0, "{kind} on {stream} behind its end");
        match *kind {
            RST_STREAM => _ = ended.insert(stream, RST_STREAM),
            DATA | HEADERS if flags & END_STREAM != 0 => _ = ended.insert(stream, END_STREAM),
            _ => {}
        }
        rest = after.get(length..).unwrap_or_default();
    }
}
/// The same against a client. Each session that was asked for ends once, whatever it was told.
struct Rogue {
    random: Chance,
    client: Client,
    now: Instant,
    asked: Vec<SessionId>,
    ends: Vec<SessionId>,
    wire: Vec<u8>,
}

impl Rogue {
    fn frames(&mut self) -> Vec<u8> {
        let stream = nth(self.random.below(self.asked.len() as u32 + 1));
        match self.random.below(18) {
            0..4 => frame(HEADERS, END_HEADERS, stream, &[0x88]),
            4 => frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "404"), ("content-length", "9")])),
            5 => frame(HEADERS, END_HEADERS | END_STREAM, stream, &block(&[(":status", "403")])),
            6 => frame(HEADERS, END_HEADERS, stream, &block(&[(":status", "103")])),
            7..9 => data(stream, &[0x82, 3, 1, 2, 3]),
            9 => data(stream, &[0x88, 0]),
            10 => data(stream, b"garbage"),
            11 => end(stream),
            12 => number(RST_STREAM, stream, 8),
            13 => settings(&[(INITIAL_WINDOW_SIZE, [0, 1, 100, 65_535][self.random.below(4) as usize])]),
            14 => settings(&[(3, self.random.below(9))]),
            15 => [number(WINDOW_UPDATE, stream, 1000), number(WINDOW_UPDATE, 0, 1000)].concat(),
            16 if self.random.below(4) == 0 => frame(GOAWAY, NONE, 0, &[stream.to_be_bytes(), [0; 4]].concat()),
            _ => frame(PING, NONE, 0, &[0; 8]),
        }
    }

    fn feed(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.client.receive(&mut input, self.now) {
            let whim = self.random.below(6);
            let id = match event {
                ClientEvent::Session(id, Incoming { event: Event::Closed(_), .. }) | ClientEvent::Closed(id, _) => {
                    self.ends.push(id);
                    id
                }
                ClientEvent::Session(id, Incoming { tx, .. }) => react(id, tx, whim),
                ClientEvent::Open(opened) => react(opened.id, opened.tx, whim),
                ClientEvent::Refused(id, _) | ClientEvent::Body(id, _) | ClientEvent::Failed(id, _) => id,
                _ => continue,
            };
            let ends = self.ends.iter().filter(|ended| **ended == id).count();
            assert!(self.asked.contains(&id) && ends <= 1 && (ends == 0 || self.ends.last() == Some(&id)), "{id}");
        }
        assert!(input.is_empty());
    }

    fn calls(&mut self) {
        let (what, size, now) = (self.random.below(9), self.random.below(40_000) as usize, self.now);
        let which = self.random.below(self.asked.len().max(1) as u32) as usize;
        let Some(&id) = self.asked.get(which) else { return };
        let client = &mut self.client;
        match what {
            0..3 => _ = client.tx(id, now).map(|tx| tx.send(Message::Binary(&vec![7; size]))),
            3 => client.pause(id, now),
            4 => client.resume(id, now),
            5 => _ = client.tx(id, now).map(|tx| tx.close(Close::Empty)),
            6 => _ = client.tx(id, now).map(Sender::abort),
            7 => client.release(),
            _ if size < 400 => client.shut_down(now),
            _ => {}
        }
    }

    fn takes(&mut self, most: usize) {
        let mut slices = [IoSlice::new(&[]); 16];
        let filled = self.client.transmit(&mut slices);
        let shown: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.iter().copied()).collect();
        let taken = most.min(shown.len());
        self.wire.extend_from_slice(&shown[..taken]);
        self.client.transmitted(taken, self.now);
    }

    fn runs(&mut self) {
        let connect = Connect::to("wss://a.example/").unwrap();
        let mut pending = [settings(&[(8, 1), (3, 4)]), frame(SETTINGS, ACK, 0, &[])].concat();
        for _ in 0..200 {
            match self.random.below(9) {
                0..4 => {
                    pending.extend(self.frames());
                    let length = self.random.below(pending.len() as u32 + 1) as usize;
                    let mut piece = pending.drain(..length).collect::<Vec<u8>>();
                    self.feed(&mut piece);
                }
                4 => self.asked.extend(self.client.open(&connect, self.now)),
                5 => self.calls(),
                6 | 7 => {
                    let most = self.random.below(20_000) as usize;
                    self.takes(most);
                }
                _ => {
                    self.now = self.now + Duration::from_millis(u64::from(self.random.below(500)));
                    self.client.handle_timeout(self.now);
                }
            }
        }
        self.feed(&mut pending);
        match self.random.below(3) {
            0 => self.client.receive_reset(self.now),
            1 => self.client.receive_eof(self.now),
            _ => self.client.shut_down(self.now),
        }
        let mut turns = 0;
        while !self.client.is_closed() {
            self.feed(&mut []);
            self.takes(usize::MAX);
            self.now = self.now + Duration::from_secs(1);
            self.client.handle_timeout(self.now);
            self.asked.iter().for_each(|id| self.client.resume(*id, self.now));
            turns += 1;
            assert!(turns < 500, "{:?} {:?}", self.client.transport(), self.client.poll_timeout());
        }
        self.ends.sort_unstable();
        assert_eq!(self.asked, self.ends);
    }
}

#[test]
fn whatever_comes_in_whatever_order() {
    for seed in 0..600 {
        let result = std::panic::catch_unwind(|| {
            let (random, config) = (Chance(seed << 20), Arc::new(roomy(6)));
            if seed % 2 == 0 {
                let server = Server::new(config, START);
                let mut chaos = Chaos { random, server, now: START, known: Vec::new(), wire: Vec::new() };
                chaos.runs();
                check_order(&chaos.wire);
            } else {
                let client = Client::http2(config, Zero, START).unwrap();
                let (asked, ends, wire) = Default::default();
                let mut rogue = Rogue { random, client, now: START, asked, ends, wire };
                rogue.runs();
                check_order(&rogue.wire);
            }
        });
        assert!(result.is_ok(), "seed {seed}");
    }
}
