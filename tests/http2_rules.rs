//! Which rules of HTTP/2 did no other transcript hold the engine to, in either role? (RFC 9113, RFC 8441)
//!
//! Each transcript is frames in, events and frames out: in one read, in single bytes, and cut in two at every byte.

#![cfg(all(test, feature = "fuzzing"))]

use std::sync::Arc;

use sockless::fuzzing::hpack::Decoder;
use sockless::*;

const START: Instant = Instant::from_nanos(0);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

const NONE: u8 = 0;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(0);
        Ok(())
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn number(kind: u8, stream: u32, number: u32) -> Vec<u8> {
    frame(kind, NONE, stream, &number.to_be_bytes())
}

fn goaway(last: u32, code: u32) -> Vec<u8> {
    frame(GOAWAY, NONE, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn settings(entries: &[(u16, u32)]) -> Vec<u8> {
    let entries = entries.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat());
    frame(SETTINGS, NONE, 0, &entries.collect::<Vec<_>>())
}

/// Fields as literals without indexing, each of at most 126 bytes.
fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let texts = |(name, value): &(&str, &str)| {
        [&[0, name.len() as u8], name.as_bytes(), &[value.len() as u8], value.as_bytes()].concat()
    };
    fields.iter().flat_map(texts).collect()
}

fn head(flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &block(fields))
}

/// A request for a WebSocket with other pseudo-header fields for those of the same name, and further fields.
fn connect(stream: u32, others: &[(&str, &str)]) -> Vec<u8> {
    let fields = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/echo"),
        (":authority", "example.com"),
        ("sec-websocket-version", "13"),
    ];
    let other = |name: &str| others.iter().find(|(known, _)| *known == name).copied();
    let more = others.iter().filter(|(name, _)| fields.iter().all(|(known, _)| known != name));
    let fields: Vec<_> = fields.into_iter().map(|field| other(field.0).unwrap_or(field)).chain(more.copied()).collect();
    head(NONE, stream, &fields)
}

fn open(stream: u32) -> Vec<u8> {
    connect(stream, &[])
}

/// A plain request, with other pseudo-header fields for those of the same name.
fn request(flags: u8, stream: u32, method: &str, others: &[(&str, &str)]) -> Vec<u8> {
    let fields = [(":method", method), (":scheme", "https"), (":path", "/page"), (":authority", "example.com")];
    let other = |name: &str| others.iter().find(|(known, _)| *known == name).copied();
    head(flags, stream, &fields.map(|field| other(field.0).unwrap_or(field)))
}

fn ok(stream: u32) -> Vec<u8> {
    head(NONE, stream, &[(":status", "200")])
}

enum Engine {
    Server(Box<Server>),
    Client(Box<Client>),
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

/// An engine, and what was seen of it.
struct Wire {
    engine: Engine,
    ids: Vec<SessionId>,
    events: Vec<String>,
    decoder: Decoder,
    /// A field that each response, or request, of ours is to have.
    field: Option<(&'static str, String)>,
}

impl Wire {
    fn new(engine: Engine) -> Wire {
        Wire { engine, ids: Vec::new(), events: Vec::new(), decoder: Decoder::default(), field: None }
    }

    /// A server, with a client that has said hello.
    fn server() -> Wire {
        let config = Config { origin: OriginPolicy::Any, ..Config::default() };
        let mut wire = Wire::new(Engine::Server(Box::new(Server::new(Arc::new(config), START))));
        wire.feed(&[PREFACE, &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat());
        wire.frames();
        wire
    }

    /// A client that has said hello.
    fn client() -> Wire {
        let client = Client::http2(Arc::new(Config::default()), Zero, START).unwrap();
        Wire::new(Engine::Client(Box::new(client)))
    }

    /// A client that has asked for a session, on stream 1.
    fn asked() -> Wire {
        let mut wire = Wire::client();
        wire.feed(&settings(&[(8, 1)]));
        wire.asks();
        wire.frames();
        wire
    }

    fn asks(&mut self) {
        let Engine::Client(client) = &mut self.engine else { panic!("a server asks nothing") };
        let mut connect = Connect::to("ws://a/b").unwrap();
        if let Some((name, value)) = &self.field {
            connect = connect.header(name, value).unwrap();
        }
        client.open(&connect, START).unwrap();
    }

    fn feed(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut input = &mut bytes[..];
        match &mut self.engine {
            Engine::Server(server) => {
                while let Some(event) = server.receive(&mut input, START) {
                    self.events.push(match event {
                        ServerEvent::Offer(offer) => {
                            let mut accept = Accept::new();
                            if let Some((name, value)) = &self.field {
                                accept = accept.header(name, value).unwrap();
                            }
                            self.ids.push(offer.accept(accept));
                            "accepted".into()
                        }
                        ServerEvent::Request(request) => {
                            let line = format!("{} {}", request.method(), request.target());
                            self.ids.push(request.defer());
                            line
                        }
                        ServerEvent::Session(_, Incoming { event: Event::Message(message), .. }) => {
                            format!("{message:?}")
                        }
                        ServerEvent::Session(_, Incoming { event: Event::Closed(_), .. }) | ServerEvent::Closed(..) => {
                            "closed".into()
                        }
                        ServerEvent::Session(_, Incoming { event, .. }) => format!("{event:?}"),
                        ServerEvent::Failed(error) => format!("failed {error:?}"),
                        ServerEvent::Refused(error) => format!("refused {error:?}"),
                        event => format!("{event:?}"),
                    });
                }
            }
            Engine::Client(client) => {
                while let Some(event) = client.receive(&mut input, START) {
                    self.events.push(match event {
                        ClientEvent::Open(opened) => {
                            self.ids.push(opened.id);
                            "open".into()
                        }
                        ClientEvent::Session(_, Incoming { event: Event::Closed(_), .. }) | ClientEvent::Closed(..) => {
                            "closed".into()
                        }
                        ClientEvent::Session(_, Incoming { event, .. }) => format!("{event:?}"),
                        ClientEvent::Refused(_, response) => format!("refused {}", response.status()),
                        ClientEvent::ConnectionFailed(error) => format!("failed {error:?}"),
                        ClientEvent::Failed(_, error) => format!("session failed {error:?}"),
                        event => format!("{event:?}"),
                    });
                }
            }
        }
        assert!(input.is_empty(), "all is taken");
    }

    fn raw(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        either!(&mut self.engine, engine => engine.take(&mut bytes, START));
        bytes
    }

    /// What was sent meanwhile, a line a frame.
    fn frames(&mut self) -> Vec<String> {
        let bytes = self.raw();
        let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(&bytes);
        let mut lines = Vec::new();
        while let [a, b, c, kind, flags, d, e, f, g, after @ ..] = rest {
            let (payload, after) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
            rest = after;
            let stream = u32::from_be_bytes([*d, *e, *f, *g]);
            let is_of_none = matches!(*kind, SETTINGS | PING | GOAWAY);
            assert!(*kind == WINDOW_UPDATE || is_of_none == (stream == 0), "{kind} on {stream}");
            assert!(*kind != SETTINGS || *flags != ACK || payload.is_empty());
            let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            lines.push(match *kind {
                DATA if *flags == END_STREAM && payload.is_empty() => format!("END {stream}"),
                DATA => format!("DATA {stream} {}", payload.len()),
                HEADERS if *flags == END_HEADERS => {
                    let fields = self.decoder.decode(payload).unwrap();
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let fields = fields.iter().map(|(name, value, _)| format!(" {}={}", text(name), text(value)));
                    format!("HEADERS {stream}{}", fields.collect::<String>())
                }
                RST_STREAM => format!("RST {stream} {}", word(0)),
                SETTINGS if *flags == ACK => "SETTINGS ack".into(),
                SETTINGS => "SETTINGS".into(),
                PING => format!("PING {flags} {payload:?}"),
                GOAWAY => format!("GOAWAY {} {}", word(0), word(4)),
                WINDOW_UPDATE => format!("WINDOW {stream} {}", word(0)),
                kind => format!("{kind} {flags} {stream} {}", payload.len()),
            });
        }
        assert_eq!(rest, b"");
        lines
    }

    /// Events and then frames.
    fn all(&mut self) -> Vec<String> {
        self.feed(&[]);
        let frames = self.frames();
        std::mem::take(&mut self.events).into_iter().chain(frames).collect()
    }
}

/// Feeds bytes in every way, and compares what comes of it.
#[track_caller]
fn transcript(what: &str, begin: fn() -> Wire, input: &[&[u8]], expected: &[&str]) {
    let input = input.concat();
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>, how: String| {
        let mut wire = begin();
        wire.all();
        pieces.for_each(|piece| wire.feed(piece));
        assert_eq!(wire.all(), expected, "{what}, {how}");
    };
    run(&mut std::iter::once(&input[..]), "whole".into());
    run(&mut input.chunks(1), "by bytes".into());
    (1..input.len()).for_each(|at| run(&mut [&input[..at], &input[at..]].into_iter(), format!("cut at {at}")));
}

const OPENED: &str = "HEADERS 1 :status=200";

/// One that has asked for a session, and got it.
fn opened() -> Wire {
    let mut wire = Wire::asked();
    wire.feed(&ok(1));
    assert_eq!(wire.all(), ["open"]);
    wire
}

//= rfc9113 3.2 MUST 1: over TLS too, both sides send their preface
//= rfc9113 3.4 MUST 1: behind the client's 24 bytes stand its settings
//= rfc9113 3.4 MUST 4: a connection that begins otherwise is PROTOCOL_ERROR
//= rfc9113 6.5 MUST 1: both sides begin with settings
//= rfc9113 6.5 MUST 3: an acknowledgement of settings is empty
//= rfc9113 6.5 MUST 5: SETTINGS is of stream 0
//= type=test
#[test]
fn both_roles_begin_with_settings() {
    let mut client = Wire::client();
    assert!(client.raw().starts_with(&[PREFACE, &[0, 0]].concat()));
    let mut client = Wire::client();
    assert_eq!(client.frames()[0], "SETTINGS");
    client.feed(&settings(&[]));
    assert_eq!(client.raw(), frame(SETTINGS, ACK, 0, &[]));
    for (what, first) in [
        ("PING", frame(PING, NONE, 0, &[0; 8])),
        ("an acknowledgement", frame(SETTINGS, ACK, 0, &[])),
        ("a head", ok(1)),
        ("HTTP/1.1", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ] {
        let mut whole = Wire::client();
        whole.frames();
        whole.feed(&first);
        let all = whole.all();
        assert!(all[0].starts_with("failed ") && all.last().unwrap().starts_with("GOAWAY 0 "), "{what}: {all:?}");
        let expected: Vec<&str> = all.iter().map(|line| &line[..]).collect();
        if what != "HTTP/1.1" {
            assert_eq!(expected, ["failed MissingSettings", "GOAWAY 0 1"], "{what}");
        }
        transcript(what, Wire::client, &[&first], &expected);
    }
}

//= rfc9113 4.2 MUST 1: payloads of up to 16,384 bytes are taken
//= type=test
#[test]
fn a_frame_of_the_longest_length_is_taken() {
    for (begin, session) in [(Wire::server as fn() -> Wire, open(1)), (opened, vec![])] {
        let mut wire = begin();
        wire.feed(&[&session[..], &frame(0xBE, NONE, 0, &[0; 16_384])].concat());
        let is_server = matches!(wire.engine, Engine::Server(_));
        let header: &[u8] = if is_server { &[0x82, 0xFE, 0x3F, 0xF8, 0, 0, 0, 0] } else { &[0x82, 0x7E, 0x3F, 0xFC] };
        let payload = [header, &vec![7; 16_384 - header.len()]].concat();
        wire.feed(&frame(DATA, NONE, 1, &payload));
        assert!(wire.events.last().unwrap().contains("7, 7"), "a message");
        assert!(wire.all().iter().all(|line| !line.starts_with("GOAWAY")));
    }
}

//= rfc9113 4.1 MUST 3: a flag that a type does not have is never set
//= rfc9113 4.1 MUST 4: the bit before a stream's number is sent as 0
//= rfc9113 4.1 MUST NOT 1: no payload of ours is beyond 16,384 bytes, unless the peer takes more
//= rfc9113 4.3 MUST 1: the frames of a head go one behind the other, with nothing between
//= rfc9113 6.2 MUST 2: behind HEADERS without END_HEADERS stands CONTINUATION of its stream
//= rfc9113 6.2 MUST 4: HEADERS is of a stream
//= rfc9113 6.10 MUST 1: behind CONTINUATION without END_HEADERS stands another one
//= rfc9113 6.10 MUST 3: CONTINUATION is of a stream
//= rfc9113 6.10 MUST 5: CONTINUATION stands behind a frame of its block without END_HEADERS
//= rfc9113 8.1 MUST NOT 1: nothing stands between HEADERS and its CONTINUATION
//= type=test
#[test]
fn a_head_of_ours_in_several_frames_is_not_interrupted() {
    for is_server in [true, false] {
        let mut wire = if is_server { Wire::server() } else { Wire::asked() };
        wire.field = Some(("x", "y\u{7b}".repeat(20_000)));
        if is_server {
            wire.feed(&[open(1), frame(PING, NONE, 0, &[0; 8])].concat());
        } else {
            wire.asks();
        }
        let bytes = wire.raw();
        let (mut rest, mut kinds, mut block) = (&bytes[..], Vec::new(), Vec::new());
        while let [a, b, c, kind, flags, 0, 0, 0, stream, after @ ..] = rest {
            let (payload, after) = after.split_at(u32::from_be_bytes([0, *a, *b, *c]) as usize);
            assert!(payload.len() <= 16_384);
            rest = after;
            if *kind != PING {
                assert_eq!(*stream, if is_server { 1 } else { 3 });
                block.extend_from_slice(payload);
            }
            kinds.push((*kind, *flags));
        }
        let first = [(HEADERS, NONE), (CONTINUATION, NONE), (CONTINUATION, END_HEADERS)];
        assert_eq!(kinds[..kinds.len() - usize::from(is_server)], first, "whole, and one behind the other");
        assert!(
            wire.decoder.decode(&block).unwrap().iter().any(|(name, value, _)| name == b"x" && value.len() == 40_000)
        );
    }
}

//= rfc9113 4.3.1 MUST 1: a table that must shrink is told to do so before the next field
//= rfc9113 6.5.3 MUST 4: behind the last setting the acknowledgement goes out
//= type=test
#[test]
fn a_smaller_table_is_told_before_the_first_field() {
    for is_server in [true, false] {
        let mut wire = if is_server { Wire::server() } else { Wire::asked() };
        wire.feed(&settings(&[(1, 100), (1, 0), (1, 50)]));
        assert_eq!(wire.frames(), ["SETTINGS ack"]);
        if is_server {
            wire.feed(&open(1));
        } else {
            wire.asks();
        }
        // To 0, and to 50, in front of all else.
        assert_eq!(wire.raw()[9..12], [0x20, 0x3F, 50 - 31]);
    }
}

//= rfc9113 6.5.3 MUST 2: settings apply in their order, with nothing between
//= rfc9113 6.5.3 MUST 4: behind the last setting the acknowledgement goes out
//= type=test
#[test]
fn settings_are_taken_in_their_order() {
    let payload = [0x81, 0x83, 0, 0, 0, 0, 1, 2, 3];
    for (entries, sent) in [([(4, 0), (4, 3)], Some("DATA 1 3")), ([(4, 3), (4, 0)], None)] {
        let mut wire = Wire::server();
        wire.feed(&[settings(&entries), open(1), frame(DATA, NONE, 1, &payload)].concat());
        if let Engine::Server(server) = &mut wire.engine {
            server.tx(wire.ids[0], START).unwrap().send(Message::Text("hello")).unwrap();
        }
        let frames = wire.frames();
        assert_eq!(frames[..2], ["SETTINGS ack", OPENED]);
        assert_eq!(frames.get(2).map(|line| &line[..]), sent);
    }
}

//= rfc9113 4.1 MUST 2: a flag that a type does not have means nothing
//= rfc9113 5.5 MUST 1: unknown values mean nothing, wherever the protocol can be extended
//= rfc9113 7 MUST NOT 1: an unknown code means nothing special
//= type=test
#[test]
fn unknown_codes_and_flags_mean_nothing() {
    let other = [open(1), number(RST_STREAM, 1, 0xDEAD_BEEF), goaway(0, 0xDEAD_BEEF), open(3)];
    let other: Vec<&[u8]> = other.iter().map(|bytes| &bytes[..]).collect();
    let expected = ["accepted", "closed", "accepted", OPENED, "HEADERS 3 :status=200"];
    transcript("a server", Wire::server, &other, &expected);
    // All flags that DATA does not have.
    let flags = frame(DATA, !(END_STREAM | PADDED), 1, b"\x81\x02hi");
    let reset = number(RST_STREAM, 1, 0xDEAD_BEEF);
    transcript("a client", opened, &[&flags, &reset], &["Message(Text(\"hi\"))", "closed"]);
}

//= rfc9113 6.7 MUST 1: PING carries 8 bytes
//= rfc9113 6.7 MUST 2: PING is answered with the same 8 bytes
//= rfc9113 6.7 MUST 3: the answer to PING has ACK set
//= rfc9113 6.7 MUST NOT 1: PING with ACK is not answered
//= type=test
#[test]
fn a_ping_is_answered_with_what_it_carries() {
    let ping = [frame(PING, NONE, 0, b"12345678"), frame(PING, ACK, 0, b"abcdefgh")];
    let pong = ["PING 1 [49, 50, 51, 52, 53, 54, 55, 56]"];
    transcript("a server", Wire::server, &[&ping[0], &ping[1]], &pong);
    transcript("a client", opened, &[&ping[0], &ping[1]], &pong);
}

//= rfc9113 6.6 MUST 6: a promise on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.6 MUST 7: a promise to who wants none is PROTOCOL_ERROR
//= rfc9113 6.6 MUST 10: a promise on any other stream is PROTOCOL_ERROR
//= rfc9113 6.6 MUST 12: a promise of a stream that cannot come next is PROTOCOL_ERROR
//= rfc9113 6.6 MUST 13: a promise of padding only is PROTOCOL_ERROR
//= type=test
#[test]
fn promises_are_refused() {
    // On a stream that is open, idle, closed, or of the server's; a number that can come next, and two that cannot.
    for (stream, promised) in [(1, 2), (1, 3), (1, 0), (7, 2), (3, 2), (2, 4)] {
        for flags in [NONE, END_HEADERS, END_HEADERS | PADDED] {
            let promise = frame(
                PUSH_PROMISE,
                flags,
                stream,
                &[&[255; 1][..usize::from(flags > END_HEADERS)], &u32::to_be_bytes(promised)].concat(),
            );
            let client = || {
                let mut wire = opened();
                wire.asks();
                wire.feed(&number(RST_STREAM, 3, 8));
                wire
            };
            transcript("a client", client, &[&promise], &["failed PushPromise", "closed", "GOAWAY 0 1"]);
        }
    }
    let promise = frame(PUSH_PROMISE, END_HEADERS, 0, &[0, 0, 0, 2]);
    transcript("of no stream", opened, &[&promise], &["failed StreamZero", "closed", "GOAWAY 0 1"]);
    transcript("of no stream", Wire::server, &[&promise], &["failed StreamZero", "GOAWAY 0 1"]);
}

//= rfc9113 6.9.1 MAY 1: an empty END_STREAM needs no window
//= type=test
#[test]
fn an_end_needs_no_window() {
    let mut wire = Wire::server();
    wire.feed(&[settings(&[(4, 4)]), open(1), frame(DATA, END_STREAM, 1, &[0x88, 0x82, 0, 0, 0, 0, 3, 232])].concat());
    // The Close takes all of the window.
    assert_eq!(wire.frames(), ["SETTINGS ack", OPENED, "DATA 1 4", "END 1"]);
}

//= rfc9113 8.3.1 MUST NOT 5: :authority names no user
//= rfc9113 8.3.1 MUST NOT 6: :path is not empty
//= type=test
#[test]
fn heads_that_address_nothing() {
    transcript("no path", Wire::server, &[&connect(1, &[(":path", "")])], &["RST 1 1"]);
    transcript("no path", Wire::server, &[&request(END_STREAM, 1, "GET", &[(":path", "")])], &["RST 1 1"]);
    assert!(Connect::to("ws://me@a/b").is_err());
    for stream in [connect(1, &[(":authority", "me@example.com")]), request(NONE, 1, "GET", &[(":authority", "a@b")])] {
        let mut wire = Wire::server();
        wire.feed(&stream);
        let all = wire.all();
        assert_eq!(all[0], "refused InvalidHost");
        assert!(all[1].starts_with("HEADERS 1 :status=400 "), "{all:?}");
    }
}

//= rfc9113 8.1 MUST 2: a second head without END_STREAM is malformed
//= type=test
#[test]
fn a_second_head_is_malformed() {
    let post = request(NONE, 1, "POST", &[]);
    let again = head(NONE, 1, &[("a", "b")]);
    transcript("a request", Wire::server, &[&post, &again], &["POST /page", "closed", "RST 1 1"]);
    let refused = head(NONE, 1, &[(":status", "404")]);
    let mut wire = Wire::asked();
    wire.feed(&[refused, again.clone()].concat());
    let all = wire.all();
    assert!(all.contains(&"RST 1 1".to_owned()), "{all:?}");
    transcript("a session", opened, &[&again], &["closed", "RST 1 1"]);
}

//= rfc9113 8.1.1 MUST 1: what is malformed resets its stream with PROTOCOL_ERROR
//= rfc9113 8.1.1 MUST NOT 2: a client accepts no malformed response
//= rfc9113 8.2.1 MUST 2: a head with such a field is malformed
//= rfc9113 8.2.1 MUST NOT 2: a name has no colon, but for the first of a pseudo-header field's
//= rfc9113 8.2.2 MUST 1: a head with a field of a connection is malformed
//= rfc9113 8.3 MUST 3: a pseudo-header field behind others makes a head malformed
//= rfc9113 8.3 MUST NOT 2: pseudo-header fields of a request do not stand in a response
//= type=test
#[test]
fn responses_that_are_malformed() {
    for field in [
        (":path", "/"),
        (":unknown", "x"),
        (":status", "200"),
        ("connection", "close"),
        ("upgrade", "websocket"),
        ("Upper", "x"),
        ("a:b", "x"),
        ("x", "a\nb"),
        ("x", " a"),
        ("x", "a\t"),
    ] {
        let response = head(NONE, 1, &[(":status", "200"), field]);
        transcript(field.0, Wire::asked, &[&response], &["session failed Malformed", "closed", "RST 1 1"]);
    }
    let late = head(NONE, 1, &[("x", "y"), (":status", "200")]);
    transcript("a status behind fields", Wire::asked, &[&late], &["session failed Malformed", "closed", "RST 1 1"]);
}

//= rfc9113 6.8 MUST 2: heads behind GOAWAY are decoded all the same
//= rfc9113 6.8 MUST 3: DATA behind GOAWAY is counted
//= rfc9113 6.9 MUST 4: every frame of DATA counts for the connection
//= type=test
#[test]
fn streams_above_the_last_one_are_decoded_and_counted() {
    let mut wire = Wire::server();
    wire.feed(&open(1));
    let Engine::Server(server) = &mut wire.engine else { unreachable!() };
    server.shut_down(START);
    wire.all();
    // More than half of the connection's window, on a stream that was refused.
    wire.feed(&open(3));
    assert_eq!(wire.all(), ["RST 3 7"]);
    (0..33).for_each(|_| wire.feed(&frame(DATA, NONE, 3, &[0; 16_000])));
    assert_eq!(wire.all(), ["WINDOW 0 528000"]);
    wire.feed(&frame(HEADERS, END_HEADERS, 5, &[0x80]));
    assert_eq!(wire.events[0], "failed Compression");
}

//= rfc9113 5.1 MUST NOT 3: nothing is sent on a stream that is closed
//= rfc9113 5.1.1 MUST 1: a client's streams have odd numbers
//= rfc9113 6.4 MUST NOT 1: nothing more is sent on a stream that the peer reset
//= type=test
#[test]
fn nothing_is_sent_on_a_stream_that_the_peer_reset() {
    for is_server in [true, false] {
        let mut wire = if is_server { Wire::server() } else { opened() };
        if is_server {
            wire.feed(&open(1));
        }
        wire.all();
        wire.feed(&number(WINDOW_UPDATE, 1, 1));
        wire.feed(&number(RST_STREAM, 1, 8));
        let id = wire.ids[0];
        assert!(either!(&mut wire.engine, engine => engine.tx(id, START)).is_none());
        wire.feed(&frame(DATA, END_STREAM, 1, &[0; 100]));
        wire.feed(&number(RST_STREAM, 1, 8));
        assert!(wire.frames().is_empty());
    }
}

//= rfc9113 6.5.2 SHOULD NOT 1: MAX_CONCURRENT_STREAMS of 0 is a number as any
//= type=test
#[test]
fn a_limit_of_no_streams_is_one_as_any() {
    let mut wire = Wire::client();
    wire.asks();
    wire.feed(&settings(&[(8, 1), (3, 0)]));
    assert_eq!(wire.frames().last().unwrap(), "SETTINGS ack");
    wire.feed(&settings(&[(3, 1)]));
    assert!(wire.frames().last().unwrap().starts_with("HEADERS 1 "));
}

//= rfc9113 5.4 MAY 2: an error while a connection winds down can be told in a second GOAWAY
//= rfc9113 6.8 MAY 1: there can be more than one GOAWAY
//= type=test
#[test]
fn a_goaway_can_be_followed_by_a_worse_one() {
    let mut wire = Wire::server();
    wire.feed(&open(1));
    let Engine::Server(server) = &mut wire.engine else { unreachable!() };
    server.shut_down(START);
    assert!(wire.all().contains(&"GOAWAY 1 0".to_owned()));
    wire.feed(&frame(PING, NONE, 0, &[0; 7]));
    assert_eq!(wire.frames(), ["GOAWAY 1 6"]);
}

//= rfc9113 4.1 MUST 2: a flag that a type does not have means nothing
//= type=test
#[test]
fn a_request_ends_with_its_head_however_many_frames_that_takes() {
    let whole = request(NONE, 1, "GET", &[]);
    let (first, second) = whole[9..].split_at(20);
    for (flags, code) in [(END_STREAM, "RST 1 5"), (NONE, "RST 1 1")] {
        let pieces = [
            frame(HEADERS, flags, 1, first),
            // Flags that no CONTINUATION has: neither an end, nor padding, nor a priority.
            frame(CONTINUATION, 0xFF, 1, second),
            // Behind the end of its stream, or a second head.
            head(NONE, 1, &[("a", "b")]),
        ];
        transcript("GET", Wire::server, &[&pieces[0], &pieces[1], &pieces[2]], &["GET /page", "closed", code]);
    }
}

#[test]
fn content_in_front_of_a_head_resets_the_stream() {
    let early = frame(DATA, NONE, 1, b"x");
    transcript("a client", Wire::asked, &[&early], &["session failed Malformed", "closed", "RST 1 5"]);
}

// Where the engine does not do as it must.

#[test]
fn a_window_of_a_closed_stream_is_nobodys_fault() {
    let mut wire = Wire::server();
    wire.feed(&[open(1), number(WINDOW_UPDATE, 1, 0x7FFF_FFFF - 65_535)].concat());
    let Engine::Server(server) = &mut wire.engine else { unreachable!() };
    server.tx(wire.ids[0], START).unwrap().send(Message::Binary(&[7; 100])).unwrap();
    // Shown, and so it stays, though the stream is reset.
    assert!(server.transmit_slices().count() > 0);
    wire.feed(&number(RST_STREAM, 1, 8));
    wire.feed(&settings(&[(4, 100_000)]));
    assert!(wire.all().iter().all(|line| !line.starts_with("failed")));
}

//= rfc9113 8.1 MUST 1: fields behind the content with a pseudo-header field are malformed
//= type=test
#[test]
fn trailers_that_are_malformed() {
    for field in [(":path", "/"), (":status", "200"), ("Upper", "x"), ("connection", "close"), ("x", "a\nb")] {
        let trailers = head(END_STREAM, 1, &[field]);
        let post = request(NONE, 1, "POST", &[]);
        let expected = ["POST /page", "closed", "RST 1 1"];
        transcript(field.0, Wire::server, &[&post, &trailers], &expected);
        let mut wire = Wire::asked();
        wire.feed(&[head(NONE, 1, &[(":status", "404")]), trailers].concat());
        assert!(wire.all().contains(&"RST 1 1".to_owned()), "{field:?}");
    }
}

//= rfc9113 8.5 MUST 2: anything else on a tunnel resets it
//= type=test
#[test]
fn fields_behind_the_head_of_a_tunnel_reset_it() {
    transcript("a client", opened, &[&head(END_STREAM, 1, &[("x", "y")])], &["closed", "RST 1 1"]);
}

//= rfc9113 6.8 MUST NOT 2: the last stream that GOAWAY names never rises
//= type=test
#[test]
fn the_last_stream_of_a_goaway_never_rises() {
    let mut wire = Wire::server();
    wire.feed(&open(1));
    let Engine::Server(server) = &mut wire.engine else { unreachable!() };
    server.shut_down(START);
    assert!(wire.all().contains(&"GOAWAY 1 0".to_owned()));
    wire.feed(&open(3));
    wire.feed(&frame(PING, NONE, 0, &[0; 7]));
    assert_eq!(wire.frames(), ["RST 3 7", "GOAWAY 1 6"]);
}

//= rfc9113 6.8 MUST NOT 1: behind the peer's GOAWAY no stream is opened
//= type=test
#[test]
fn no_stream_is_opened_behind_a_goaway() {
    let mut wire = Wire::client();
    wire.asks();
    wire.asks();
    wire.feed(&settings(&[(8, 1), (3, 1)]));
    assert_eq!(wire.frames().iter().filter(|line| line.starts_with("HEADERS")).count(), 1);
    wire.feed(&goaway(0x7FFF_FFFF, 0));
    wire.feed(&head(END_STREAM, 1, &[(":status", "404")]));
    let all = wire.all();
    assert!(all.iter().all(|line| !line.starts_with("HEADERS")), "{all:?}");
    assert_eq!(all.iter().filter(|line| line.starts_with("closed")).count(), 2, "{all:?}");
}

#[test]
fn frames_on_a_stream_that_was_not_asked_for_yet() {
    let waits = || {
        let mut wire = Wire::client();
        wire.asks();
        wire.feed(&settings(&[(8, 1), (3, 0)]));
        wire
    };
    for bytes in [ok(1), frame(DATA, NONE, 1, b"x"), number(RST_STREAM, 1, 8), number(WINDOW_UPDATE, 1, 1)] {
        let mut wire = waits();
        wire.frames();
        wire.feed(&bytes);
        assert!(wire.all().last().unwrap().starts_with("GOAWAY 0 1"));
    }
}

//= rfc9113 8.2.2 MUST NOT 1: no field of a connection is sent
//= rfc9113 8.2.2 MUST NOT 2: TE says trailers, or nothing
//= type=test
#[test]
fn no_field_of_a_connection_is_sent() {
    for (name, value) in [("Keep-Alive", "1"), ("Proxy-Connection", "close"), ("TE", "gzip")] {
        assert!(Connect::to("ws://a/b").unwrap().header(name, value).is_err(), "{name}");
        assert!(Accept::new().header(name, value).is_err(), "{name}");
        assert!(Response::new(200).unwrap().header(name, value).is_err(), "{name}");
    }
}

#[test]
fn pseudo_header_fields_have_valid_values() {
    for (name, value) in [(":method", "G@T"), (":scheme", "1"), (":path", "page")] {
        let input = head(END_STREAM, 1, &{
            let fields = [(":method", "GET"), (":scheme", "https"), (":path", "/page"), (":authority", "example.com")];
            fields.map(|field| if field.0 == name { (name, value) } else { field })
        });
        let mut wire = Wire::server();
        wire.feed(&input);
        let all = wire.all();
        assert!(all[0] == "RST 1 1" || all[0].starts_with("refused"), "{name}: {all:?}");
    }
    for scheme in ["ftp", "wss"] {
        let mut wire = Wire::server();
        wire.feed(&connect(1, &[(":scheme", scheme)]));
        let all = wire.all();
        assert!(all[0] == "RST 1 1" || all[0].starts_with("refused"), "{scheme}: {all:?}");
    }
}

//= rfc9113 8.1.1 MUST NOT 2: a client accepts no malformed response
//= type=test
#[test]
fn content_of_another_length_is_malformed() {
    for (length, content) in [("5", &b"abc"[..]), ("5", b"abcdefg"), ("x", b"abc")] {
        let mut wire = Wire::asked();
        wire.feed(&head(NONE, 1, &[(":status", "404"), ("content-length", length)]));
        wire.feed(&frame(DATA, END_STREAM, 1, content));
        let all = wire.all();
        assert!(all.contains(&"session failed MalformedBody".to_owned()), "{all:?}");
    }
}
