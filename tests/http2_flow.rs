//! Who sends when, how much, and what does a session cost? (RFC 9113 §5.2, §6.9)
//!
//! The first tests speak to either role in raw frames, and hold each DATA frame against the windows as the peer knows them; the
//! last one lets both roles do at random what applications do, and holds what arrives against what was sent.

#![cfg(all(test, feature = "fuzzing"))]
#![allow(unsafe_code, reason = "an allocator is unsafe to write; the engine is not touched by it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use sockless::fuzzing::hpack::Encoder;
use sockless::*;

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(0);
        Ok(())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

fn head(stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec(), false));
    frame(1, 4, stream, &Encoder::default().encode(&fields.collect(), false))
}

fn roomy() -> Config {
    let http2 = Http2Limits { sessions: 200_000, ..Http2Limits::default() };
    let limits = Limits { output: 64 << 20, message: 64 << 20, http2, ..Limits::default() };
    Config { limits, origin: OriginPolicy::Any, ..Config::default() }
}

enum Engine {
    Client(Box<Client>),
    Server(Box<Server>),
}

/// Calls a method that both roles have.
macro_rules! either {
    ($engine:expr, $name:ident => $call:expr) => {
        match $engine {
            Engine::Client($name) => $call,
            Engine::Server($name) => $call,
        }
    };
}

/// An engine, and its peer as a plain account of windows and bytes.
struct Talk {
    engine: Engine,
    ids: Vec<SessionId>,
    now: Instant,
    /// What the transport has taken and the peer has not read.
    wire: Vec<u8>,
    /// What was shown and not taken.
    shown: Vec<u8>,
    /// By stream; 0 is the connection.
    windows: BTreeMap<u32, i64>,
    initial: i64,
    /// DATA of each stream, and the streams of all DATA frames in order.
    got: BTreeMap<u32, Vec<u8>>,
    order: Vec<u32>,
    others: Vec<(u8, u32, Vec<u8>)>,
    events: usize,
}

impl Talk {
    fn new(is_client: bool, config: Config, sessions: usize, initial: u32) -> Talk {
        let (now, config) = (Instant::from_nanos(0), Arc::new(config));
        let engine = if is_client {
            Engine::Client(Box::new(Client::http2(config, Zero, now).unwrap()))
        } else {
            Engine::Server(Box::new(Server::new(config, now)))
        };
        let mut talk = Talk {
            engine,
            ids: Vec::new(),
            now,
            wire: Vec::new(),
            shown: Vec::new(),
            windows: BTreeMap::from([(0, 65_535)]),
            initial: i64::from(initial),
            got: BTreeMap::new(),
            order: Vec::new(),
            others: Vec::new(),
            events: 0,
        };
        if !is_client {
            talk.says(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        }
        let [a, b, c, d] = initial.to_be_bytes();
        talk.says(&frame(4, 0, 0, &[0, 8, 0, 0, 0, u8::from(is_client), 0, 4, a, b, c, d]));
        talk.says(&frame(4, 1, 0, &[]));
        for n in 0..sessions {
            let stream = 2 * n as u32 + 1;
            talk.windows.insert(stream, talk.initial);
            if let Engine::Client(client) = &mut talk.engine {
                client.open(&Connect::to("ws://a/b").unwrap(), now).unwrap();
                talk.says(&head(stream, &[(":status", "200")]));
            } else {
                talk.says(&head(
                    stream,
                    &[
                        (":method", "CONNECT"),
                        (":protocol", "websocket"),
                        (":scheme", "http"),
                        (":path", "/"),
                        (":authority", "a"),
                        ("sec-websocket-version", "13"),
                    ],
                ));
            }
            talk.takes(usize::MAX);
        }
        assert_eq!(talk.ids.len(), sessions);
        talk
    }

    fn says(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        match &mut self.engine {
            Engine::Client(client) => {
                while let Some(event) = client.receive(&mut input, self.now) {
                    match event {
                        ClientEvent::Open(opened) => self.ids.push(opened.id),
                        ClientEvent::Session(..) => self.events += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
            Engine::Server(server) => {
                while let Some(event) = server.receive(&mut input, self.now) {
                    match event {
                        ServerEvent::Offer(offer) => self.ids.push(offer.accept(Accept::new())),
                        ServerEvent::Session(..) => self.events += 1,
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
    }

    fn tx(&mut self, nth: usize) -> &mut Sender {
        let (id, now) = (self.ids[nth], self.now);
        either!(&mut self.engine, engine => engine.tx(id, now)).unwrap()
    }

    fn sends(&mut self, nth: usize, length: usize) {
        self.tx(nth).send(Message::Binary(&vec![nth as u8; length])).unwrap();
    }

    fn gives(&mut self, stream: u32, count: u32) {
        *self.windows.get_mut(&stream).unwrap() += i64::from(count);
        self.says(&frame(8, 0, stream, &count.to_be_bytes()));
    }

    fn sets_initial(&mut self, initial: u32) {
        let change = i64::from(initial) - self.initial;
        self.initial = i64::from(initial);
        self.windows.iter_mut().filter(|(stream, _)| **stream > 0).for_each(|(_, window)| *window += change);
        let [a, b, c, d] = initial.to_be_bytes();
        self.says(&frame(4, 0, 0, &[0, 4, a, b, c, d]));
    }

    /// Looks at what is shown: what was before is still in front.
    fn looks(&mut self) {
        let shown =
            either!(&mut self.engine, engine => engine.transmit_slices().flatten().copied().collect::<Vec<u8>>());
        assert!(shown.starts_with(&self.shown), "what was shown stays");
        self.shown = shown;
    }

    /// The transport takes so many bytes, of all there are for `usize::MAX`.
    fn takes(&mut self, mut count: usize) {
        while count > 0 {
            self.looks();
            let taken = count.min(self.shown.len());
            if taken == 0 {
                break;
            }
            self.wire.extend(self.shown.drain(..taken));
            either!(&mut self.engine, engine => engine.transmitted(taken, self.now));
            count -= taken;
        }
        self.reads();
    }

    /// The peer reads whole frames.
    fn reads(&mut self) {
        if self.wire.starts_with(b"PRI") {
            self.wire.drain(..24);
        }
        while let Some((head, after)) = self.wire.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let Some(payload) = after.get(..length) else { return };
            assert!(length <= 16_384);
            if head[3] == 0 && length > 0 {
                for window in [0, stream] {
                    let window = self.windows.get_mut(&window).unwrap();
                    *window -= length as i64;
                    assert!(*window >= 0, "more than the window");
                }
                self.got.entry(stream).or_default().extend(payload);
                self.order.push(stream);
            } else {
                self.others.push((head[3], stream, payload.to_vec()));
            }
            self.wire.drain(..9 + length);
        }
    }

    /// How many bytes of DATA a stream has got since it was last asked.
    fn got(&mut self, stream: u32) -> usize {
        self.takes(usize::MAX);
        self.got.remove(&stream).map_or(0, |bytes| bytes.len())
    }
}

/// What a frame takes beside its payload.
fn overhead(is_client: bool, length: usize) -> usize {
    (match length {
        0..126 => 2,
        126..65_536 => 4,
        _ => 10,
    }) + if is_client { 4 } else { 0 }
}

#[test]
fn a_large_message_delays_no_small_one() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client, roomy(), 3, 0x7FFF_FFFF);
        talk.gives(0, 0x7FFF_0000);
        talk.sends(0, 10 << 20);
        talk.looks();
        assert!((64 << 10..80 << 10).contains(&talk.shown.len()), "enough for a write, and not all");
        talk.takes(100_000);
        talk.sends(1, 10);
        let before = talk.order.len();
        talk.takes(usize::MAX);
        let delay = talk.order[before..].iter().position(|stream| *stream == 3).unwrap();
        assert!(delay <= 6, "{delay} frames");
        assert_eq!(talk.got[&1].len(), (10 << 20) + overhead(is_client, 10 << 20));
    }
}

//= rfc9113 6.1 MUST 2: DATA is of a stream
//= type=test
#[test]
fn those_with_much_to_send_take_turns() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client, roomy(), 3, 0x7FFF_FFFF);
        talk.gives(0, 0x7FFF_0000);
        (0..3).for_each(|nth| talk.sends(nth, 1 << 20));
        talk.takes(usize::MAX);
        for (nth, turn) in talk.order.chunks_exact(3).take(60).enumerate() {
            let mut streams = turn.to_vec();
            streams.sort();
            assert_eq!(streams, [1, 3, 5], "turn {nth}");
        }
    }
}

//= rfc9113 4.1 MUST NOT 1: no payload of ours is beyond 16,384 bytes, unless the peer takes more
//= rfc9113 5.2.1 MUST 1: a sender keeps to the windows
//= rfc9113 6.9.1 MUST NOT 1: no DATA is longer than either window
//= type=test
#[test]
fn trap_54_no_window_is_overrun() {
    for (is_client, initial) in [true, false]
        .into_iter()
        .flat_map(|role| [0, 1, 2, 9, 100, 16_383, 16_384, 16_385, 70_000].map(|size| (role, size)))
    {
        let mut talk = Talk::new(is_client, roomy(), 2, initial);
        let length = 200_000;
        (0..2).for_each(|nth| talk.sends(nth, length));
        let (mut got, mut step) = ([0, 0], 1);
        let whole = length + overhead(is_client, length);
        while got != [whole, whole] {
            for (stream, got) in [1, 3].into_iter().zip(&mut got) {
                *got += talk.got(stream);
                talk.gives(stream, step);
            }
            talk.gives(0, step);
            step = (step * 2 + 1).min(20_000);
        }
    }
}

//= rfc9113 6.9.2 MUST 1: a new initial window changes the windows of all streams, by the difference
//= rfc9113 6.9.2 MUST 2: a window can so fall below zero
//= rfc9113 6.9.2 MUST NOT 1: nothing is sent until a window is above zero again
//= type=test
#[test]
fn trap_54_a_window_below_zero() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client, roomy(), 1, 1000);
        talk.sends(0, 5000);
        assert_eq!(talk.got(1), 1000);
        talk.sets_initial(10);
        talk.gives(1, 990);
        assert_eq!(talk.got(1), 0);
        talk.gives(1, 1);
        assert_eq!(talk.got(1), 1);
        talk.sets_initial(0);
        talk.sets_initial(30);
        assert_eq!(talk.got(1), 20, "10 back, and 20 more than before");
    }
}

//= rfc9113 6.9.1 MUST NOT 1: no DATA is longer than either window
//= type=test
#[test]
fn no_window_no_output() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client, roomy(), 2, 0x7FFF_FFFF);
        talk.sends(0, 100_000);
        assert_eq!(talk.got(1), 65_535);
        talk.sends(1, 5);
        assert_eq!(talk.got(3), 0);
        talk.gives(0, 3);
        assert_eq!(talk.got(1) + talk.got(3), 3);
    }
}

#[test]
fn what_was_shown_of_an_aborted_session_is_completed() {
    for (is_client, taken) in [true, false].into_iter().flat_map(|role| (0..80).map(move |taken| (role, taken))) {
        let mut talk = Talk::new(is_client, roomy(), 2, 20);
        talk.sends(0, 30);
        talk.sends(1, 10);
        talk.takes(taken);
        talk.looks();
        let stays = talk.shown.len();
        talk.tx(0).abort();
        talk.looks();
        talk.sends(1, 3);
        talk.looks();
        assert!(talk.shown.len() >= stays + 13);
        talk.takes(usize::MAX);
        assert!(talk.wire.is_empty(), "whole frames");
        assert_eq!(talk.got.get(&1).map(Vec::len), Some(20));
        assert!(talk.others.contains(&(3, 1, vec![0, 0, 0, 8])), "{:?}", talk.others);
        let second = talk.got[&3].len();
        assert_eq!(second, (overhead(is_client, 10) + 10 + overhead(is_client, 3) + 3).min(20));
        let (id, now) = (talk.ids[0], talk.now);
        talk.says(&[]);
        assert!(either!(&mut talk.engine, engine => engine.tx(id, now)).is_none(), "forgotten");
    }
}

//= rfc9113 6.9.1 MUST NOT 2: no window that we give grows beyond 2^31 - 1
//= type=test
#[test]
fn credit_is_given_when_half_of_it_is_used() {
    for is_client in [true, false] {
        let mut config = roomy();
        config.limits.http2.connection_window = 100_000;
        let mut talk = Talk::new(is_client, config, 2, 65_535);
        talk.others.clear();
        let payload = [
            &[0x82, if is_client { 0 } else { 0x80 } | 126, 0x10, 0][..],
            &vec![0; 0x1000 + if is_client { 0 } else { 4 }],
        ]
        .concat();
        let (mut sent, mut connection) = ([0, 0], 0);
        for n in 0..40 {
            talk.says(&frame(0, 8, 2 * (n % 2) + 1, &[&[2][..], &payload, &[0, 0]].concat()));
            sent[n as usize % 2] += payload.len() as u32 + 3;
            connection += payload.len() as u32 + 3;
            talk.takes(usize::MAX);
            let mut expected = Vec::new();
            if connection >= 50_000 {
                expected.push((8, 0, std::mem::take(&mut connection).to_be_bytes().to_vec()));
            }
            if sent[n as usize % 2] >= 32_767 {
                let used = std::mem::take(&mut sent[n as usize % 2]);
                expected.push((8, 2 * (n % 2) + 1, used.to_be_bytes().to_vec()));
            }
            // The padding at the end may come behind the credit.
            let got = std::mem::take(&mut talk.others);
            let streams =
                |frames: &[(u8, u32, Vec<u8>)]| frames.iter().map(|(_, stream, _)| *stream).collect::<Vec<_>>();
            assert_eq!(streams(&got), streams(&expected), "frame {n}");
            for (got, expected) in got.iter().zip(&expected) {
                let number = |bytes: &[u8]| u32::from_be_bytes(bytes.try_into().unwrap());
                let left = number(&expected.2) - number(&got.2);
                assert!(left <= 2);
                *(if got.1 == 0 { &mut connection } else { &mut sent[n as usize % 2] }) += left;
            }
        }
        assert_eq!(talk.events, 40);
    }
}

#[test]
fn deadlines_are_those_of_the_sessions() {
    for is_client in [true, false] {
        let mut config = roomy();
        config.keep_alive = KeepAlive::Ping { interval: Duration::from_secs(20), timeout: Duration::from_secs(5) };
        config.limits.release = None;
        let mut talk = Talk::new(is_client, config, 3, 65_535);
        let due = |talk: &Talk| either!(&talk.engine, engine => engine.poll_timeout()).unwrap().0;
        talk.now = talk.now + Duration::from_secs(10);
        let small: &[u8] = if is_client { &[0x89, 0] } else { &[0x89, 0x80, 0, 0, 0, 0] };
        talk.says(&frame(0, 0, 1, small));
        talk.takes(usize::MAX);
        talk.got.clear();
        // 1 has spoken at 10, 3 and 5 at 0: the engine asks them alone.
        for (at, expected) in [(20, vec![3, 5]), (23, vec![])] {
            talk.now = Instant::from_nanos(0) + Duration::from_secs(at);
            either!(&mut talk.engine, engine => engine.handle_timeout(talk.now));
            talk.takes(usize::MAX);
            let asked: Vec<u32> = std::mem::take(&mut talk.got).into_keys().collect();
            assert_eq!(asked, expected, "at {at}");
        }
        assert_eq!(due(&talk), Instant::from_nanos(0) + Duration::from_secs(25), "the Pongs");
        talk.now = Instant::from_nanos(0) + Duration::from_secs(25);
        either!(&mut talk.engine, engine => engine.handle_timeout(talk.now));
        talk.says(&[]);
        talk.takes(usize::MAX);
        assert_eq!(talk.events, 3, "the Ping, and the ends of two");
        assert_eq!(due(&talk), Instant::from_nanos(0) + Duration::from_secs(30), "the first one's");
        talk.sends(0, 5);
        let stall = Limits::default().stall_timeout.unwrap();
        talk.now = talk.now + Duration::from_secs(1);
        assert!(due(&talk) <= talk.now + stall, "known before anything is shown");
    }
}

#[test]
fn a_call_costs_the_same_beside_a_hundred_thousand_sessions() {
    let time = |is_client, sessions| {
        let mut talk = Talk::new(is_client, roomy(), sessions, 65_535);
        talk.gives(0, 0x7000_0000);
        let begun = std::time::Instant::now();
        let small: &[u8] = if is_client { &[0x89, 0] } else { &[0x89, 0x80, 0, 0, 0, 0] };
        for n in 0..2000u64 {
            talk.now = Instant::from_nanos(n);
            let nth = n as usize * 7 % sessions;
            talk.sends(nth, 10);
            talk.says(&frame(0, 0, 2 * nth as u32 + 1, small));
            either!(&mut talk.engine, engine => engine.handle_timeout(talk.now));
            _ = either!(&talk.engine, engine => (engine.poll_timeout(), engine.has_output(), engine.is_closed()));
            talk.takes(usize::MAX);
        }
        begun.elapsed()
    };
    for is_client in [true, false] {
        let (few, many) = (time(is_client, 10), time(is_client, 100_000));
        println!("2000 turns beside 10 sessions: {few:?}, beside 100000: {many:?}");
        assert!(many < few * 20 + Duration::from_millis(200), "{few:?} {many:?}");
    }
}

#[test]
fn an_idle_session_holds_a_kibibyte_at_most() {
    const SESSIONS: usize = 1000;
    for is_client in [true, false] {
        let begin = HELD.get();
        let mut talk = Talk::new(is_client, roomy(), SESSIONS, 65_535);
        for nth in 0..SESSIONS {
            talk.sends(nth, 10);
            talk.takes(usize::MAX);
        }
        // What was used is given back after a while.
        talk.now = talk.now + Duration::from_secs(40);
        either!(&mut talk.engine, engine => engine.handle_timeout(talk.now));
        talk.says(&[]);
        talk.takes(usize::MAX);
        let Talk { engine, ids, wire, shown, windows, got, order, others, .. } = talk;
        drop((ids, wire, shown, windows, got, order, others));
        let held = HELD.get() - begin;
        drop(engine);
        assert_eq!(HELD.get(), begin);
        println!("{} of 1000 sessions: {} bytes each", if is_client { "client" } else { "server" }, held / 1000);
        assert!(held <= 1024 * SESSIONS as isize, "{held}");
    }
}

#[test]
fn a_busy_session_holds_no_more_with_time() {
    for is_client in [true, false] {
        let mut talk = Talk::new(is_client, roomy(), 2, 0x7FFF_FFFF);
        talk.gives(0, 0x7000_0000);
        let mut held = [0; 2];
        for turns in [100, 10_000] {
            for _ in 0..turns {
                talk.now = talk.now + Duration::from_millis(1);
                talk.sends(0, 10);
                talk.takes(usize::MAX);
                either!(&mut talk.engine, engine => engine.handle_timeout(talk.now));
            }
            (talk.wire, talk.shown, talk.order, talk.others) = Default::default();
            talk.got.clear();
            held[usize::from(turns > 100)] = HELD.get();
        }
        assert!(held[1] - held[0] < 1024, "{held:?}");
    }
}

// Both roles, at random.

#[derive(Clone, Debug)]
enum Step {
    Open,
    Send(bool, usize, usize),
    Begin(bool, usize),
    Append(bool, usize, usize),
    Finish(bool, usize),
    Close(bool, usize),
    Abort(bool, usize),
    Transmit(bool, usize),
    Feed(bool, usize),
    Clock(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let size = || prop_oneof![4 => 0usize..300, 1 => 0usize..200_000];
    let count = || prop_oneof![2 => 0usize..50, 2 => 0usize..5000, 1 => Just(usize::MAX)];
    prop_oneof![
        3 => Just(Step::Open),
        6 => (any::<bool>(), 0usize..8, size()).prop_map(|(side, nth, size)| Step::Send(side, nth, size)),
        2 => (any::<bool>(), 0usize..8).prop_map(|(side, nth)| Step::Begin(side, nth)),
        3 => (any::<bool>(), 0usize..8, size()).prop_map(|(side, nth, size)| Step::Append(side, nth, size)),
        2 => (any::<bool>(), 0usize..8).prop_map(|(side, nth)| Step::Finish(side, nth)),
        1 => (any::<bool>(), 0usize..8).prop_map(|(side, nth)| Step::Close(side, nth)),
        1 => (any::<bool>(), 0usize..8).prop_map(|(side, nth)| Step::Abort(side, nth)),
        8 => (any::<bool>(), count()).prop_map(|(side, count)| Step::Transmit(side, count)),
        8 => (any::<bool>(), count()).prop_map(|(side, count)| Step::Feed(side, count)),
        1 => (0u64..500).prop_map(Step::Clock),
    ]
}

/// What one side of a session has sent and heard.
#[derive(Debug, Default)]
struct Half {
    sent: Vec<Vec<u8>>,
    part: Option<Vec<u8>>,
    heard: Vec<Vec<u8>>,
    is_open: bool,
    closed: usize,
}

struct World {
    engines: [Engine; 2],
    pipes: [Vec<u8>; 2],
    shown: [Vec<u8>; 2],
    halves: BTreeMap<SessionId, [Half; 2]>,
    aborted: Vec<SessionId>,
    now: Instant,
    filler: u8,
}

impl World {
    fn new() -> World {
        let (now, config) = (Instant::from_nanos(0), Arc::new(roomy()));
        let client = Client::http2(Arc::clone(&config), Zero, now).unwrap();
        World {
            engines: [Engine::Client(Box::new(client)), Engine::Server(Box::new(Server::new(config, now)))],
            pipes: Default::default(),
            shown: Default::default(),
            halves: BTreeMap::new(),
            aborted: Vec::new(),
            now,
            filler: 0,
        }
    }

    fn body(&mut self, size: usize) -> Vec<u8> {
        self.filler = self.filler.wrapping_add(1);
        vec![self.filler; size]
    }

    fn with(&mut self, side: bool, nth: usize, act: impl FnOnce(&mut Sender, &mut Half)) {
        let Some((id, halves)) = self.halves.iter_mut().nth(nth) else { return };
        if let Some(tx) = either!(&mut self.engines[usize::from(side)], engine => engine.tx(*id, self.now)) {
            act(tx, &mut halves[usize::from(side)]);
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Open => {
                let Engine::Client(client) = &mut self.engines[0] else { return };
                let id = client.open(&Connect::to("ws://a/b").unwrap(), self.now).unwrap();
                self.halves.insert(id, Default::default());
            }
            Step::Send(side, nth, size) => {
                let body = self.body(size);
                self.with(side, nth, |tx, half| {
                    if tx.send(Message::Binary(&body)).is_ok() {
                        half.sent.push(body);
                    }
                });
            }
            Step::Begin(side, nth) => self.with(side, nth, |tx, half| {
                if tx.begin(Kind::Binary, Compress::Never).is_ok() {
                    half.part = Some(Vec::new());
                }
            }),
            Step::Append(side, nth, size) => {
                let body = self.body(size);
                self.with(side, nth, |tx, half| {
                    if tx.append(Message::Binary(&body)).is_ok() {
                        half.part.as_mut().unwrap().extend(body);
                    }
                });
            }
            Step::Finish(side, nth) => self.with(side, nth, |tx, half| {
                if tx.finish().is_ok() {
                    half.sent.push(half.part.take().unwrap());
                }
            }),
            Step::Close(side, nth) => self.with(side, nth, |tx, _| tx.close(Close::Empty)),
            Step::Abort(side, nth) => {
                self.with(side, nth, |tx, _| tx.abort());
                self.aborted.extend(self.halves.keys().nth(nth));
            }
            Step::Transmit(side, count) => self.transmit(usize::from(side), count),
            Step::Feed(side, count) => self.feed(usize::from(side), count),
            Step::Clock(millis) => {
                self.now = self.now + Duration::from_millis(millis);
                self.engines.iter_mut().for_each(|engine| either!(engine, engine => engine.handle_timeout(self.now)));
            }
        }
        for side in 0..2 {
            let shown: Vec<u8> =
                either!(&mut self.engines[side], engine => engine.transmit_slices().flatten().copied().collect());
            assert!(shown.starts_with(&self.shown[side]), "what was shown stays");
            self.shown[side] = shown;
        }
    }

    fn transmit(&mut self, side: usize, count: usize) {
        let count = count.min(self.shown[side].len());
        self.pipes[side].extend(self.shown[side].drain(..count));
        either!(&mut self.engines[side], engine => engine.transmitted(count, self.now));
    }

    /// Hands a side so much of what the other has sent.
    fn feed(&mut self, side: usize, count: usize) {
        let pipe = &mut self.pipes[1 - side];
        let mut bytes: Vec<u8> = pipe.drain(..count.min(pipe.len())).collect();
        let mut input = &mut bytes[..];
        let hear = |half: &mut Half, event: Event<'_>| {
            assert_eq!(half.closed, 0, "nothing behind the end");
            match event {
                Event::Message(message) => half.heard.push(message.as_bytes().to_vec()),
                Event::Closed(_) => half.closed += 1,
                Event::Failed(error) => panic!("{error:?}"),
                _ => {}
            }
        };
        match &mut self.engines[side] {
            Engine::Client(client) => {
                while let Some(event) = client.receive(&mut input, self.now) {
                    match event {
                        ClientEvent::Session(id, Incoming { event, .. }) => {
                            hear(&mut self.halves.get_mut(&id).unwrap()[side], event)
                        }
                        ClientEvent::Open(opened) => self.halves.get_mut(&opened.id).unwrap()[0].is_open = true,
                        other => panic!("{other:?}"),
                    }
                }
            }
            Engine::Server(server) => {
                while let Some(event) = server.receive(&mut input, self.now) {
                    match event {
                        ServerEvent::Offer(offer) => {
                            let id = offer.accept(Accept::new());
                            self.halves.get_mut(&id).unwrap()[1].is_open = true;
                        }
                        ServerEvent::Session(id, Incoming { event, .. }) => {
                            hear(&mut self.halves.get_mut(&id).unwrap()[side], event)
                        }
                        other => panic!("{other:?}"),
                    }
                }
            }
        }
        assert!(input.is_empty());
    }

    /// Carries all there is.
    fn drain(&mut self) {
        loop {
            self.run(Step::Transmit(false, usize::MAX));
            self.run(Step::Transmit(true, usize::MAX));
            if self.pipes.iter().all(Vec::is_empty) && self.shown.iter().all(Vec::is_empty) {
                return;
            }
            self.run(Step::Feed(false, usize::MAX));
            self.run(Step::Feed(true, usize::MAX));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn all_that_is_sent_arrives_once_and_in_order(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        steps.into_iter().for_each(|step| world.run(step));
        world.drain();
        for nth in 0..world.halves.len() {
            world.run(Step::Finish(false, nth));
            world.run(Step::Finish(true, nth));
        }
        world.drain();
        for nth in 0..world.halves.len() {
            world.run(Step::Close(nth % 2 == 0, nth));
        }
        world.drain();
        let World { mut engines, halves, aborted, now, .. } = world;
        for (id, [client, server]) in &halves {
            for (from, to) in [(client, server), (server, client)] {
                prop_assert!(from.sent.starts_with(&to.heard), "{id:?}: in order");
                prop_assert!(aborted.contains(id) || from.sent.len() == to.heard.len(), "{id:?}: all of it");
            }
            prop_assert!(!client.is_open || client.closed == 1, "{id:?}: the client's end");
            prop_assert!(!server.is_open || server.closed == 1, "{id:?}: the server's end");
            let [Engine::Client(client), Engine::Server(server)] = &mut engines else { unreachable!() };
            prop_assert!(client.tx(*id, now).is_none(), "{id:?}: forgotten");
            prop_assert!(server.tx(*id, now).is_none(), "{id:?}: forgotten");
        }
    }
}

// The counting allocator.

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: every call is handed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.set(HELD.get() + layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.set(HELD.get() - layout.size().cast_signed());
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}
