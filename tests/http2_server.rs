//! What does a server answer to the frames of a client? (RFC 9113, RFC 8441)
//!
//! Each transcript is frames in, events and frames out: in one read, in single bytes, and cut in two at every byte.

#![cfg(all(test, feature = "fuzzing"))]

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use sockless::fuzzing::hpack::Decoder;
use sockless::*;

const START: Instant = Instant::from_nanos(0);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
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
const WITH_PRIORITY: u8 = 0x20;

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

/// Fields as literals without indexing.
fn block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in fields {
        out.push(0);
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
    }
    out
}

const SOCKET: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "https"),
    (":path", "/echo"),
    (":authority", "example.com"),
    ("sec-websocket-version", "13"),
];

fn socket() -> Vec<u8> {
    block(SOCKET)
}

/// A head with one field changed, or added, or taken away.
fn socket_with(name: &'static str, value: Option<&'static str>) -> Vec<u8> {
    let others = SOCKET.into_iter().filter(|(known, _)| *known != name);
    let own = value.map(|value| (name, value));
    let (front, back) = if name.starts_with(':') { (own, None) } else { (None, own) };
    block(front.into_iter().chain(others).chain(back))
}

fn plain(method: &'static str) -> Vec<u8> {
    block([(":method", method), (":scheme", "https"), (":path", "/page"), (":authority", "example.com")])
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

/// A masked frame of a WebSocket, with a key of zeros.
fn ws(opcode: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0], payload].concat()
}

fn begin() -> Vec<u8> {
    [PREFACE, &settings(&[]), &frame(SETTINGS, ACK, 0, &[])].concat()
}

/// A server, and what was seen of it.
struct Wire {
    server: Server,
    now: Instant,
    seen: Vec<String>,
    /// Offers are left undecided.
    defers: bool,
    ids: Vec<SessionId>,
    decoder: Decoder,
    output: Vec<u8>,
}

impl Wire {
    fn with(config: Config) -> Wire {
        let server = Server::new(Arc::new(Config { origin: OriginPolicy::Any, ..config }), START);
        Wire {
            server,
            now: START,
            seen: Vec::new(),
            defers: false,
            ids: Vec::new(),
            decoder: Decoder::default(),
            output: Vec::new(),
        }
    }

    /// One whose client has said hello, and been answered.
    fn begun(config: Config) -> Wire {
        let mut wire = Wire::with(config);
        wire.feed(&begin());
        assert_eq!(wire.frames().last().unwrap(), "SETTINGS ack");
        wire
    }

    fn feed(&mut self, bytes: &[u8]) {
        let (mut bytes, now) = (bytes.to_vec(), self.now);
        let mut input = &mut bytes[..];
        while let Some(event) = self.server.receive(&mut input, now) {
            let line = match event {
                ServerEvent::Offer(offer) if self.defers => {
                    self.ids.push(offer.id());
                    format!("offer {:?}", offer.defer())
                }
                ServerEvent::Offer(offer) => {
                    self.ids.push(offer.id());
                    format!("accepted {:?}", offer.accept(Accept::new()))
                }
                ServerEvent::Request(request) if self.defers => {
                    self.ids.push(request.id());
                    format!("request {:?}", request.defer())
                }
                ServerEvent::Request(request) => {
                    let line = format!("{} {}", request.method(), request.target());
                    request.respond(&Response::new(200).unwrap().body("a body"));
                    line
                }
                ServerEvent::Session(id, Incoming { event: Event::Message(message), tx }) => {
                    tx.send(message).unwrap();
                    format!("{id:?} {} bytes", message.as_bytes().len())
                }
                ServerEvent::Session(id, Incoming { event: Event::Closed(closed), .. }) => format!("{id:?} {closed}"),
                ServerEvent::Session(id, Incoming { event, .. }) => format!("{id:?} {event:?}"),
                ServerEvent::Refused(error) => format!("refused {error:?}"),
                ServerEvent::Closed(id, closed) => format!("{id:?} closed {closed}"),
                ServerEvent::Failed(error) => format!("failed {error:?}"),
                event => format!("{event:?}"),
            };
            self.seen.push(line.replace("SessionId(", "").replace(')', "").replace('(', " ").replace("  ", " "));
        }
        assert!(input.is_empty(), "all is taken");
    }

    /// What the server sends meanwhile.
    fn frames(&mut self) -> Vec<String> {
        self.server.take(&mut self.output, self.now);
        let bytes = std::mem::take(&mut self.output);
        let mut rest = &bytes[..];
        let mut lines = Vec::new();
        while let [a, b, c, kind, flags, d, e, f, g, after @ ..] = rest {
            let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
            let stream = u32::from_be_bytes([*d, *e, *f, *g]);
            let (payload, after) = after.split_at(length);
            rest = after;
            let word = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
            lines.push(match *kind {
                DATA if *flags == END_STREAM && length == 0 => format!("END {stream}"),
                DATA => format!("DATA {stream} {payload:x?}"),
                HEADERS => {
                    let mut line = format!("HEADERS {stream}");
                    for (name, value, _) in self.decoder.decode(payload).unwrap() {
                        write!(line, " {} {}", String::from_utf8_lossy(&name), String::from_utf8_lossy(&value))
                            .unwrap();
                    }
                    line
                }
                RST_STREAM => format!("RST {stream} {}", word(0)),
                SETTINGS if *flags == ACK => "SETTINGS ack".into(),
                SETTINGS => format!("SETTINGS {payload:x?}"),
                PING => format!("PING {flags} {payload:x?}"),
                GOAWAY => format!("GOAWAY {} {}", word(0), word(4)),
                WINDOW_UPDATE => format!("WINDOW {stream} {}", word(0)),
                kind => format!("{kind}?"),
            });
        }
        assert_eq!(rest, b"");
        lines
    }

    fn id(&self, stream: u32) -> SessionId {
        *self.ids.iter().find(|id| format!("{id:?}") == format!("SessionId({stream})")).unwrap()
    }

    /// Events and then frames.
    fn all(&mut self) -> Vec<String> {
        let frames = self.frames();
        self.feed(&[]);
        std::mem::take(&mut self.seen).into_iter().chain(frames).chain(self.frames()).collect()
    }

    fn wait(&mut self, seconds: u64) {
        self.now = self.now + Duration::from_secs(seconds);
        while self.server.poll_timeout().is_some_and(|(deadline, _)| deadline <= self.now) {
            self.server.handle_timeout(self.now);
        }
    }
}

/// Feeds a client's bytes behind its hello in every way, and compares what comes of it.
#[track_caller]
fn transcript(what: &str, config: &Config, input: &[u8], expected: &[&str]) {
    let run = |pieces: &mut dyn Iterator<Item = &[u8]>, how: String| {
        let mut wire = Wire::begun(config.clone());
        pieces.for_each(|piece| wire.feed(piece));
        assert_eq!(wire.all(), expected, "{what}, {how}");
    };
    run(&mut std::iter::once(input), "whole".into());
    run(&mut input.chunks(1), "by bytes".into());
    if input.len() < 400 {
        (1..input.len()).for_each(|at| run(&mut [&input[..at], &input[at..]].into_iter(), format!("cut at {at}")));
    }
}

#[track_caller]
fn on_default(what: &str, input: &[&[u8]], expected: &[&str]) {
    transcript(what, &Config::default(), &input.concat(), expected);
}

/// On a stream that was opened, accepted, and answered.
#[track_caller]
fn on_open(what: &str, input: &[&[u8]], expected: &[&str]) {
    let input = [&open(1), &input.concat()[..]].concat();
    let expected: Vec<&str> = ["accepted 1"].iter().chain(expected).copied().collect();
    transcript(what, &Config::default(), &input, &expected);
}

const OPENED: &str = "HEADERS 1 :status 200";

//= rfc8441 3 MUST 1: the setting of the extended CONNECT is 0 or 1, all else is PROTOCOL_ERROR
//= rfc9113 3.2 MUST 1: over TLS too, both sides send their preface
//= rfc9113 3.3 MUST 2: a server by prior knowledge sends its preface
//= rfc9113 3.4 MUST 2: the first that a server sends is its settings
//= rfc9113 3.4 MUST 3: the peer's first settings are acknowledged, behind our own
//= rfc9113 6.5 MUST 1: both sides begin with settings
//= rfc9113 6.5.2 MUST 3: a server that does not leave ENABLE_PUSH out says 0
//= rfc9113 6.5.2 MUST 6: what we say of MAX_FRAME_SIZE lies between 2^14 and 2^24 - 1
//= rfc9113 6.5.2 MUST NOT 2: a server never says 1 for ENABLE_PUSH
//= type=test
#[test]
fn trap_43_the_server_says_hello() {
    for cut in 0..begin().len() {
        let mut wire = Wire::with(Config::default());
        wire.feed(&begin()[..cut]);
        wire.feed(&begin()[cut..]);
        // Sessions 100, heads of 16 KiB, extended CONNECT; 1 MiB for the connection.
        let settings = "SETTINGS [0, 3, 0, 0, 0, 64, 0, 6, 0, 0, 40, 0, 0, 8, 0, 0, 0, 1]";
        assert_eq!(wire.all(), [settings, "WINDOW 0 983041", "SETTINGS ack"], "cut at {cut}");
    }
}

//= rfc9113 3.4 MUST 4: a connection that begins otherwise is PROTOCOL_ERROR
//= rfc9113 5.4.1 MUST 1: behind the GOAWAY of an error the transport is closed
//= type=test
#[test]
fn hellos_that_are_none() {
    for (what, input, error) in [
        ("a wrong end", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r?".to_vec(), "InvalidPreface"),
        ("no settings", [PREFACE, &frame(PING, NONE, 0, &[0; 8])].concat(), "MissingSettings"),
        ("an acknowledgement", [PREFACE, &frame(SETTINGS, ACK, 0, &[])].concat(), "MissingSettings"),
        ("a head", [PREFACE, &open(1)].concat(), "MissingSettings"),
    ] {
        for cut in 0..input.len() {
            let mut wire = Wire::with(Config::default());
            wire.feed(&input[..cut]);
            wire.feed(&input[cut..]);
            let seen = wire.all();
            assert_eq!(seen[0], format!("failed {error}"), "{what}, {cut}");
            assert_eq!(seen.last().unwrap(), "GOAWAY 0 1", "{what}, {cut}");
            assert_eq!(wire.server.transport(), Transport::ShutdownWrite);
            assert!(!wire.server.is_closed());
            wire.wait(10);
            assert!(wire.server.is_closed(), "not for ever");
        }
    }
}

//= rfc9113 6.5.3 MAY 1: settings that stay unacknowledged for long are SETTINGS_TIMEOUT
//= type=test
#[test]
fn hellos_that_do_not_come_end_in_time() {
    for (what, input) in [
        ("half a preface", &begin()[..20]),
        ("no settings", &begin()[..24]),
        ("half of a frame", &begin()[..30]),
        ("no acknowledgement", &begin()[..33]),
    ] {
        let mut wire = Wire::with(Config::default());
        wire.feed(input);
        wire.frames();
        wire.wait(9);
        assert_eq!(wire.all(), [""; 0], "{what}");
        wire.wait(1);
        assert_eq!(wire.all(), ["failed SettingsTimeout", "GOAWAY 0 4"], "{what}");
    }
}

//= rfc8441 3 MUST 1: the setting of the extended CONNECT is 0 or 1, all else is PROTOCOL_ERROR
//= rfc8441 3 MUST NOT 1: a setting that allowed the extended CONNECT is not taken back
//= rfc9113 5.5 MUST 1: unknown values mean nothing, wherever the protocol can be extended
//= rfc9113 6.5 MUST 2: every setting of this RFC is understood
//= rfc9113 6.5 MUST 7: settings that make no sense are PROTOCOL_ERROR
//= rfc9113 6.5.2 MUST 2: ENABLE_PUSH is 0 or 1, all else is PROTOCOL_ERROR
//= rfc9113 6.5.2 MUST 5: an initial window beyond 2^31 - 1 is FLOW_CONTROL_ERROR
//= rfc9113 6.5.2 MUST 7: a peer's MAX_FRAME_SIZE outside of that is PROTOCOL_ERROR
//= rfc9113 6.5.2 MUST 8: a setting of unknown number means nothing
//= rfc9113 6.5.3 MUST 3: settings that are not known are passed over
//= type=test
#[test]
fn trap_43_trap_55_settings() {
    for (entry, expected) in [
        ((1, u32::MAX), None),
        ((2, 0), None),
        ((2, 1), None),
        ((2, 2), Some(("InvalidSetting", 1))),
        ((3, 0), None),
        ((4, 0), None),
        ((4, 0x7FFF_FFFF), None),
        ((4, 0x8000_0000), Some(("InitialWindowTooLarge", 3))),
        ((5, 16_383), Some(("InvalidSetting", 1))),
        ((5, 16_384), None),
        ((5, 16_777_215), None),
        ((5, 16_777_216), Some(("InvalidSetting", 1))),
        ((6, 0), None),
        ((8, 0), None),
        ((8, 1), None),
        ((8, 2), Some(("InvalidSetting", 1))),
        ((7, 7), None),
        ((0xFFFF, 7), None),
        ((0, 0), None),
    ] {
        let input = [settings(&[entry]), frame(PING, NONE, 0, b"12345678")].concat();
        let pong = "PING 1 [31, 32, 33, 34, 35, 36, 37, 38]";
        match expected {
            None => on_default(&format!("{entry:?}"), &[&input], &["SETTINGS ack", pong]),
            Some((error, code)) => {
                let lines = [format!("failed {error}"), format!("GOAWAY 0 {code}")];
                on_default(&format!("{entry:?}"), &[&input], &[&lines[0], &lines[1]]);
            }
        }
    }
    let withdrawn = [settings(&[(8, 1)]), settings(&[(8, 0)])].concat();
    on_default("withdrawn", &[&withdrawn], &["failed ConnectProtocolWithdrawn", "SETTINGS ack", "GOAWAY 0 1"]);
    let second = frame(SETTINGS, ACK, 0, &[]);
    on_default("acknowledged twice", &[&second], &["failed UnaskedAcknowledgement", "GOAWAY 0 1"]);
}

//= rfc9113 4.2 MUST 2: a frame that is too long, or too short for its type, is FRAME_SIZE_ERROR
//= rfc9113 4.2 MUST 3: a wrong length ends the connection wherever more than a stream may be touched
//= rfc9113 4.3 MUST 3: a block that cannot be decoded is COMPRESSION_ERROR
//= rfc9113 5.1 MUST 1: idle: whatever is not HEADERS or PRIORITY is PROTOCOL_ERROR
//= rfc9113 5.1 MUST 2: idle, of a server's number: HEADERS is PROTOCOL_ERROR too
//= rfc9113 5.1.1 MUST 4: a number that cannot come next is PROTOCOL_ERROR
//= rfc9113 5.4 MUST 1: a frame that ends the connection is told so
//= rfc9113 5.4 SHOULD 1: one error of a stream and one of the connection are told at most
//= rfc9113 6.1 MUST 3: DATA on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.2 MUST 5: HEADERS on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.2 MUST 6: padding of HEADERS as long as its payload, or longer, is PROTOCOL_ERROR
//= rfc9113 6.3 MUST 1: PRIORITY on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.4 MUST 3: RST_STREAM on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.4 MUST 4: RST_STREAM of an idle stream is PROTOCOL_ERROR
//= rfc9113 6.4 MUST 5: RST_STREAM of any length but 4 is FRAME_SIZE_ERROR
//= rfc9113 6.5 MUST 4: an acknowledgement that is not empty is FRAME_SIZE_ERROR
//= rfc9113 6.5 MUST 6: SETTINGS of a stream is PROTOCOL_ERROR
//= rfc9113 6.5 MUST 8: SETTINGS of a length that is no multiple of 6 is FRAME_SIZE_ERROR
//= rfc9113 6.6 MUST 4: anything else behind a promise in pieces is PROTOCOL_ERROR
//= rfc9113 6.7 MUST 4: PING of a stream is PROTOCOL_ERROR
//= rfc9113 6.7 MUST 5: PING of any length but 8 is FRAME_SIZE_ERROR
//= rfc9113 6.8 MUST 1: GOAWAY of a stream is PROTOCOL_ERROR
//= rfc9113 6.9 MUST 3: faults of the connection's window end the connection
//= rfc9113 6.9 MUST 5: WINDOW_UPDATE of any length but 4 is FRAME_SIZE_ERROR
//= rfc9113 6.9.1 MUST 1: credit beyond the largest window ends the stream, or the connection
//= rfc9113 6.10 MUST 4: CONTINUATION on stream 0 is PROTOCOL_ERROR
//= rfc9113 6.10 MUST 6: CONTINUATION anywhere else is PROTOCOL_ERROR
//= rfc9113 8.4 MUST 5: a server takes PUSH_PROMISE for PROTOCOL_ERROR
//= type=test
#[test]
fn frames_that_no_stream_can_have() {
    for (what, input, error, code) in [
        ("too long", frame(UNKNOWN, 0, 0, &[0; 16_385]), "FrameTooLong", 6),
        ("PING of 7", frame(PING, 0, 0, &[0; 7]), "FrameSize", 6),
        ("PING of 9", frame(PING, 0, 0, &[0; 9]), "FrameSize", 6),
        ("SETTINGS of 5", frame(SETTINGS, 0, 0, &[0; 5]), "FrameSize", 6),
        ("SETTINGS ack of 6", frame(SETTINGS, ACK, 0, &[0; 6]), "FrameSize", 6),
        ("RST_STREAM of 3", frame(RST_STREAM, 0, 1, &[0; 3]), "FrameSize", 6),
        ("WINDOW_UPDATE of 5", frame(WINDOW_UPDATE, 0, 0, &[0; 5]), "FrameSize", 6),
        ("GOAWAY of 7", frame(GOAWAY, 0, 0, &[0; 7]), "FrameSize", 6),
        ("padded DATA of 0", frame(DATA, PADDED, 1, &[]), "FrameSize", 6),
        ("HEADERS with half a priority", frame(HEADERS, WITH_PRIORITY | END_HEADERS, 1, &[0; 4]), "FrameSize", 6),
        ("DATA on 0", frame(DATA, 0, 0, &[]), "StreamZero", 1),
        ("HEADERS on 0", frame(HEADERS, END_HEADERS, 0, &socket()), "StreamZero", 1),
        ("PRIORITY on 0", frame(PRIORITY, 0, 0, &[0; 5]), "StreamZero", 1),
        ("RST_STREAM on 0", number(RST_STREAM, 0, 8), "StreamZero", 1),
        ("CONTINUATION on 0", frame(CONTINUATION, 0, 0, &[]), "StreamZero", 1),
        ("SETTINGS on 1", frame(SETTINGS, 0, 1, &[]), "StreamNotZero", 1),
        ("PING on 1", frame(PING, 0, 1, &[0; 8]), "StreamNotZero", 1),
        ("GOAWAY on 1", frame(GOAWAY, 0, 1, &[0; 8]), "StreamNotZero", 1),
        ("DATA on idle", data(1, b"x"), "IdleStream", 1),
        ("RST_STREAM on idle", number(RST_STREAM, 1, 8), "IdleStream", 1),
        ("WINDOW_UPDATE on idle", number(WINDOW_UPDATE, 1, 8), "IdleStream", 1),
        ("WINDOW_UPDATE on ours", number(WINDOW_UPDATE, 2, 8), "IdleStream", 1),
        ("CONTINUATION alone", frame(CONTINUATION, END_HEADERS, 1, &[]), "ContinuationExpected", 1),
        ("HEADERS on even", frame(HEADERS, END_HEADERS, 2, &socket()), "InvalidStreamId", 1),
        ("PUSH_PROMISE", frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2]), "PushPromise", 1),
        ("HEADERS of padding", frame(HEADERS, PADDED | END_HEADERS, 1, &[5, 0, 0, 0, 0]), "PaddingTooLong", 1),
        ("no increment", number(WINDOW_UPDATE, 0, 0), "ZeroIncrement", 1),
        ("no increment but a bit", number(WINDOW_UPDATE, 0, 0x8000_0000), "ZeroIncrement", 1),
        ("too large a window", number(WINDOW_UPDATE, 0, 0x7FFF_FFFF), "WindowOverflow", 3),
        ("an index of 0", frame(HEADERS, END_HEADERS, 1, &[0x80]), "Compression", 9),
        ("half a block", frame(HEADERS, END_HEADERS, 1, &[0x40]), "Compression", 9),
        ("an index beyond the table", frame(HEADERS, END_HEADERS, 1, &[0xBE]), "Compression", 9),
        ("an endless integer", frame(HEADERS, END_HEADERS, 1, &[0xFF; 12]), "Compression", 9),
        ("too large a table", frame(HEADERS, END_HEADERS, 1, &[0x3F, 0xE2, 0x1F]), "Compression", 9),
        ("a size behind a field", frame(HEADERS, END_HEADERS, 1, &[0x82, 0x20]), "Compression", 9),
        ("padding of zeros", frame(HEADERS, END_HEADERS, 1, &[0, 0x81, 0x18, 0]), "Compression", 9),
    ] {
        let silence = [&input[..], &frame(PING, NONE, 0, &[0; 8]), &open(7)].concat();
        let lines = [format!("failed {error}"), format!("GOAWAY 0 {code}")];
        on_default(what, &[&silence], &[&lines[0], &lines[1]]);
    }
}

//= rfc9113 4.1 MUST 1: a frame of an unknown type is read over
//= rfc9113 4.1 MUST 2: a flag that a type does not have means nothing
//= rfc9113 4.1 MUST 5: and that bit means nothing when it comes
//= rfc9113 5.5 MUST 1: unknown values mean nothing, wherever the protocol can be extended
//= rfc9113 5.5 MUST 2: frames of unknown types are dropped
//= rfc9113 6.4 MUST NOT 2: no stream is reset that was never opened
//= rfc9113 6.7 MUST NOT 1: PING with ACK is not answered
//= type=test
#[test]
fn frames_that_mean_nothing() {
    on_default("unknown, on any stream", &[&frame(UNKNOWN, 0xFF, 0, b"xyz"), &frame(UNKNOWN, 0, 9, b"xyz")], &[]);
    on_default("PRIORITY of an idle stream", &[&frame(PRIORITY, 0, 9, &[0; 5])], &[]);
    on_default("PRIORITY of 4", &[&frame(PRIORITY, 0, 9, &[0; 4])], &[]);
    on_default("a pong", &[&frame(PING, ACK, 0, &[0; 8])], &[]);
    on_default("GOAWAY with text", &[&frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye"), &open(1)], &["accepted 1", OPENED]);
    on_default("a reserved bit", &[&frame(HEADERS, END_HEADERS, 0x8000_0001, &socket())], &["accepted 1", OPENED]);
    on_default("flags", &[&frame(PING, 0xFE, 0, &[0; 8])], &["PING 1 [0, 0, 0, 0, 0, 0, 0, 0]"]);
}

//= rfc9113 5.5 MUST 3: frames of unknown types inside of a block are PROTOCOL_ERROR
//= rfc9113 6.2 MUST 3: anything else behind it is PROTOCOL_ERROR
//= rfc9113 6.10 MUST 2: anything else behind it is PROTOCOL_ERROR
//= rfc9113 8.1 MUST NOT 1: nothing stands between HEADERS and its CONTINUATION
//= type=test
#[test]
fn trap_57_blocks_in_pieces() {
    let block = socket();
    let (a, b) = block.split_at(30);
    let (first, last) = (frame(HEADERS, NONE, 1, a), frame(CONTINUATION, END_HEADERS, 1, b));
    on_default("two", &[&first, &last], &["accepted 1", OPENED]);
    on_default("an empty one between", &[&first, &frame(CONTINUATION, NONE, 1, &[]), &last], &["accepted 1", OPENED]);
    let padded = [&[3, 0, 0, 0, 5, 16], &block[..], &[0; 3]].concat();
    let all = frame(HEADERS, PADDED | WITH_PRIORITY | END_HEADERS, 1, &padded);
    on_default("padding and priority", &[&all], &["accepted 1", OPENED]);
    for between in [
        frame(PING, NONE, 0, &[0; 8]),
        frame(UNKNOWN, NONE, 0, &[]),
        frame(PRIORITY, NONE, 1, &[0; 5]),
        frame(HEADERS, END_HEADERS, 1, &block),
        frame(CONTINUATION, END_HEADERS, 3, b),
    ] {
        on_default("interrupted", &[&first, &between, &last], &["failed ContinuationExpected", "GOAWAY 0 1"]);
    }
}

//= rfc9113 4.3 MUST 2: a block is decoded, or the connection ends
//= rfc9113 5.1 MUST 6: what comes on a stream that we reset is processed and dropped
//= rfc9113 5.1.2 MUST 1: a stream beyond our own limit is refused
//= rfc9113 8.7 MUST NOT 1: REFUSED_STREAM is said only of what was not processed
//= rfc9113 8.7 MUST NOT 2: REFUSED_STREAM is never said of what the application has seen
//= type=test
#[test]
fn trap_57_refused_streams_are_decoded() {
    let mut config = Config::default();
    config.limits.http2.sessions = 1;
    // What the refused one puts into the table, the third asks by.
    let indexed: Vec<u8> = SOCKET.iter().flat_map(|field| [&[0x40][..], &block([*field])[1..]].concat()).collect();
    let input = [
        open(1),
        frame(HEADERS, END_HEADERS, 3, &indexed),
        number(RST_STREAM, 1, 8),
        frame(HEADERS, END_HEADERS, 5, &[0xC3, 0xC2, 0xC1, 0xC0, 0xBF, 0xBE]),
    ];
    let expected = ["accepted 1", "1 1006 Reset", "accepted 5", OPENED, "RST 3 7", "HEADERS 5 :status 200"];
    transcript("decoded", &config, &input.concat(), &expected);
}

//= rfc8441 4 MUST 1: a CONNECT with a :protocol has a :scheme and a :path too
//= rfc8441 4 MUST NOT 1: a CONNECT with a :protocol is no tunnel to its :authority
//= rfc8441 5 MUST 2: the :protocol of a WebSocket is websocket
//= rfc9113 8.5 MUST 1: a plain CONNECT has neither :scheme nor :path
//= type=test
#[test]
fn trap_45_trap_48_what_a_connect_asks_for() {
    let names = [":protocol", ":scheme", ":path"];
    for absent in 0..8 {
        let fields = SOCKET
            .into_iter()
            .filter(|(name, _)| names.iter().position(|known| known == name).is_none_or(|at| absent >> at & 1 == 0));
        let input = frame(HEADERS, END_HEADERS, 1, &block(fields));
        match absent {
            0 => on_default("a WebSocket", &[&input], &["accepted 1", OPENED]),
            7 => on_refused("a tunnel", &input, "NotImplemented", 501),
            _ => on_default("neither", &[&input], &["RST 1 1"]),
        }
    }
    for protocol in ["h2c", "h2", "connect-udp", "websockets"] {
        let input = frame(HEADERS, END_HEADERS, 1, &socket_with(":protocol", Some(protocol)));
        on_refused(protocol, &input, "NotImplemented", 501);
    }
    let input = frame(HEADERS, END_HEADERS, 1, &socket_with(":method", Some("GET")));
    on_default("a protocol without CONNECT", &[&input], &["RST 1 1"]);
    let input = frame(HEADERS, END_HEADERS, 1, &socket_with(":authority", None));
    on_default("no authority", &[&input], &["RST 1 1"]);
}

/// A stream that gets an error of this status, and is let go.
#[track_caller]
fn on_refused(what: &str, input: &[u8], error: &str, status: u16) {
    for at in 0..input.len() {
        let mut wire = Wire::begun(Config::default());
        wire.feed(&input[..at]);
        wire.feed(&input[at..]);
        let all = wire.all();
        let head = format!("HEADERS 1 :status {status} content-type text/plain; charset=utf-8");
        assert_eq!(all[0], format!("refused {error}"), "{what}: {all:?}");
        assert!(all[1].starts_with(&head), "{what}: {all:?}");
        assert!(all[2].starts_with("DATA 1 "), "{what}: {all:?}");
        assert_eq!(all[3], "END 1", "{what}");
        assert!(all[4..].iter().all(|line| line == "RST 1 0"), "{what}: {all:?}");
    }
}

#[test]
fn trap_46_trap_53_requests_that_are_refused() {
    let head = |fields: Vec<u8>| frame(HEADERS, END_HEADERS, 1, &fields);
    on_refused("no version", &head(socket_with("sec-websocket-version", None)), "InvalidVersion", 400);
    on_refused("another version", &head(socket_with("sec-websocket-version", Some("8"))), "UnsupportedVersion", 426);
    on_refused("a bad extension", &head(socket_with("sec-websocket-extensions", Some("a;"))), "InvalidExtensions", 400);
    on_refused(
        "a bad subprotocol",
        &head(socket_with("sec-websocket-protocol", Some("a,a"))),
        "InvalidSubprotocol",
        400,
    );
    on_refused("an end at once", &frame(HEADERS, END_HEADERS | END_STREAM, 1, &socket()), "Malformed", 400);
    let strays = [("sec-websocket-key", "x"), ("content-length", "7"), ("sec-websocket-accept", "y")];
    on_default("strays", &[&head(block(SOCKET.into_iter().chain(strays)))], &["accepted 1", OPENED]);
    let config = Config { origin: OriginPolicy::SameHost, ..Config::default() };
    let mut wire = Wire::begun(Config::default());
    wire.server = Server::new(Arc::new(config), START);
    wire.feed(&begin());
    wire.frames();
    wire.feed(&head(socket_with("origin", Some("https://evil.example"))));
    assert!(wire.all()[1].starts_with("HEADERS 1 :status 403"));
    wire.feed(&frame(HEADERS, END_HEADERS, 3, &socket_with("origin", Some("https://example.com"))));
    assert_eq!(wire.all(), ["accepted 3", "HEADERS 3 :status 200"]);
}

//= rfc9113 8.1.1 MUST 1: what is malformed resets its stream with PROTOCOL_ERROR
//= rfc9113 8.2.1 MUST 2: a head with such a field is malformed
//= rfc9113 8.2.2 MUST 1: a head with a field of a connection is malformed
//= rfc9113 8.3 MUST 1: unknown or invalid pseudo-header fields make a head malformed
//= rfc9113 8.3 MUST 4: a pseudo-header field that is repeated makes a head malformed
//= rfc9113 8.3 MUST NOT 3: pseudo-header fields of a response do not stand in a request
//= rfc9113 8.3.1 SHOULD 1: a server takes a Host that differs for malformed
//= type=test
#[test]
fn trap_58_malformed_heads() {
    for field in [
        ("Accept", "x"),
        (":unknown", "x"),
        (":status", "200"),
        (":path", "/twice"),
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "chunked"),
        ("te", "gzip"),
        ("x", "a\0b"),
        ("x", "a\r\nb"),
        ("x", " a"),
        ("host", "another.example"),
    ] {
        let input = frame(HEADERS, END_HEADERS, 1, &block(SOCKET.into_iter().chain([field])));
        let next = frame(HEADERS, END_HEADERS, 3, &socket());
        let expected = ["accepted 3", "RST 1 1", "HEADERS 3 :status 200"];
        on_default(&format!("{field:?}"), &[&input, &next], &expected);
    }
}

//= rfc9113 10.5.1 MUST 1: a head that is too large is decoded all the same, unless the connection ends
//= type=test
#[test]
fn heads_that_are_too_large() {
    let long = "x".repeat(9000);
    let block = block(SOCKET.into_iter().chain([("a", &long[..]), ("b", &long[..])]));
    let (a, b) = block.split_at(16_384);
    let input = [frame(HEADERS, NONE, 1, a), frame(CONTINUATION, END_HEADERS, 1, b), open(3)].concat();
    let mut wire = Wire::begun(Config::default());
    wire.feed(&input);
    let all = wire.all();
    assert_eq!(all[..2], ["refused HeadTooLarge", "accepted 3"]);
    assert!(all[2].starts_with("HEADERS 1 :status 431"), "{all:?}");
    let many: Vec<_> = SOCKET.into_iter().chain([("a", "b"); 59]).collect();
    on_refused("many", &frame(HEADERS, END_HEADERS, 1, &self::block(many)), "TooManyFields", 431);
}

//= rfc9113 5.4.2 MUST NOT 1: a reset is never answered with a reset
//= rfc9113 8.5 MUST NOT 1: on a tunnel only DATA, RST_STREAM, WINDOW_UPDATE and PRIORITY are sent
//= type=test
#[test]
fn trap_50_trap_51_a_session_from_its_head_to_its_end() {
    on_open("text", &[&data(1, &ws(1, b"hi"))], &["1 2 bytes", OPENED, "DATA 1 [81, 2, 68, 69]"]);
    let padded = frame(DATA, PADDED, 1, &[&[4], &ws(1, b"hi")[..], &[0; 4]].concat());
    on_open("padded", &[&padded], &["1 2 bytes", OPENED, "DATA 1 [81, 2, 68, 69]"]);
    let close = [data(1, &ws(8, &[3, 232])), end(1)].concat();
    let closing = "1 Closing { code: Some CloseCode 1000, reason: \"\" }";
    on_open("closed", &[&close], &[closing, "1 1000 Peer", OPENED, "DATA 1 [88, 2, 3, e8]", "END 1"]);
    let with = frame(DATA, END_STREAM, 1, &ws(8, &[3, 232]));
    on_open("closed in one", &[&with], &[closing, "1 1000 Peer", OPENED, "DATA 1 [88, 2, 3, e8]", "END 1"]);
    on_open(
        "unmasked",
        &[&data(1, &[0x81, 1, 120])],
        &["1 Failed UnmaskedFrame", "1 1006 Fault", OPENED, "DATA 1 [88, 2, 3, ea]", "END 1"],
    );
    on_open("an end without a Close", &[&end(1)], &["1 1006 Eof", OPENED, "END 1"]);
    on_open("a reset", &[&number(RST_STREAM, 1, 8)], &["1 1006 Reset", OPENED]);
    let half = frame(DATA, END_STREAM, 1, &ws(1, b"hi")[..5]);
    on_open("half a frame", &[&half], &["1 1006 Eof", OPENED, "END 1"]);
}

#[test]
fn a_pause_and_its_end_are_no_output() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&open(1));
    assert_eq!(wire.frames(), [OPENED]);
    let id = wire.id(1);
    // A driver may pause while there is output, and resume when there is none: neither must make the other's reason.
    for _ in 0..2 {
        wire.server.pause(id, START);
        assert!(!wire.server.has_output());
        wire.server.resume(id, START);
        assert!(!wire.server.has_output());
    }
    // Nor where nobody has decided yet.
    wire.defers = true;
    wire.feed(&open(3));
    let id = wire.id(3);
    wire.server.pause(id, START);
    assert!(!wire.server.has_output());
}

#[test]
fn what_waits_for_a_window_ends_with_the_peer_that_sends_no_more() {
    let limits = Limits { stall_timeout: None, ..Limits::default() };
    let mut wire = Wire::begun(Config { limits, ..Config::default() });
    wire.feed(&open(1));
    wire.frames();
    let id = wire.id(1);
    // More than the window that a stream begins with.
    wire.server.tx(id, START).unwrap().send(Message::Binary(&[1; 100_000])).unwrap();
    wire.server.receive_eof(START);
    // What there is a window for can still be sent, and what is promised is.
    assert_eq!(wire.server.transport(), Transport::Open);
    assert!(!wire.frames().is_empty());
    wire.feed(&[]);
    assert_eq!(wire.seen.last().unwrap(), "1 1006 Eof");
    assert_eq!((wire.server.transport(), wire.server.is_closed()), (Transport::Close, true));
}

#[test]
fn what_waits_for_a_window_has_ended_when_the_last_bytes_are_written() {
    let limits = Limits { stall_timeout: None, ..Limits::default() };
    // The stream has no window left, or the connection neither.
    for credit in [1 << 20, 0] {
        for takes in [false, true] {
            let mut wire = Wire::begun(Config { limits: limits.clone(), ..Config::default() });
            wire.feed(&open(1));
            let id = wire.id(1);
            wire.server.tx(id, START).unwrap().send(Message::Binary(&[1; 100_000])).unwrap();
            if credit > 0 {
                wire.feed(&number(WINDOW_UPDATE, 0, credit));
            }
            wire.server.receive_eof(START);
            wire.feed(&[]);
            assert_eq!(wire.seen.last().unwrap(), "1 1006 Eof");
            let is_closed = |server: &Server| (server.transport(), server.is_closed());
            assert_eq!(is_closed(&wire.server), (Transport::Open, false));
            // All is told: it takes no call of `receive` more.
            if takes {
                wire.frames();
            } else {
                loop {
                    let mut slices = [std::io::IoSlice::new(&[]); 16];
                    let count = wire.server.transmit(&mut slices);
                    match slices[..count].iter().map(|slice| slice.len()).sum() {
                        0 => break,
                        length => wire.server.transmitted(length, START),
                    }
                }
            }
            assert_eq!(is_closed(&wire.server), (Transport::Close, true), "{credit} {takes}");
        }
    }
}

#[test]
fn a_head_that_the_end_cut_off_is_not_waited_for() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&open(1));
    wire.frames();
    let id = wire.id(1);
    wire.server.tx(id, START).unwrap().send(Message::Binary(&[1; 60_000])).unwrap();
    wire.feed(&frame(HEADERS, NONE, 3, &socket()));
    wire.server.receive_eof(START);
    // What is queued is taken by and by.
    for _ in 0..20 {
        wire.wait(2);
        wire.server.transmit_slices().count();
        wire.server.transmitted(2000, wire.now);
    }
    wire.feed(&[]);
    assert_eq!(wire.seen, ["accepted 1", "1 1006 Eof"]);
}

#[test]
fn what_has_no_window_is_no_output() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&[number(WINDOW_UPDATE, 0, 1 << 20), open(1)].concat());
    let id = wire.id(1);
    wire.server.tx(id, START).unwrap().send(Message::Binary(&[1; 100_000])).unwrap();
    wire.frames();
    wire.server.pause(id, START);
    assert!(!wire.server.has_output());
    wire.feed(&number(WINDOW_UPDATE, 1, 1 << 20));
    assert!(wire.server.has_output());
}

#[test]
fn a_session_without_a_deadline_hides_no_others() {
    let limits = Limits { release: None, ..Limits::default() };
    let mut wire = Wire::begun(Config { limits, ..Config::default() });
    wire.feed(&[open(1), open(3)].concat());
    wire.frames();
    let deadline = wire.server.poll_timeout();
    assert!(deadline.is_some());
    let id = wire.id(1);
    wire.server.tx(id, START).unwrap().abort();
    assert_eq!(wire.server.poll_timeout(), deadline);
}

#[test]
fn nothing_comes_behind_the_end_of_the_file() {
    let mut wire = Wire::begun(Config::default());
    wire.server.receive_eof(START);
    wire.feed(&open(1));
    assert_eq!(wire.all(), [""; 0]);
    assert!(wire.server.is_closed());
}

#[test]
fn what_would_go_through_goes_into_data() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&open(1));
    assert_eq!(wire.frames(), [OPENED]);
    let tx = wire.server.tx(wire.id(1), START).unwrap();
    assert!(tx.queued() == 0 && tx.send_through(Message::Text("hi"), Compress::Never).unwrap().is_none());
    assert_eq!(wire.frames(), ["DATA 1 [81, 2, 68, 69]"]);
}

/// The table in the head of `http2/connection.rs`, but for streams that were never opened.
//= rfc9113 4.3 MUST 2: a block is decoded, or the connection ends
//= rfc9113 5.1 MUST 5: half closed by the peer: its DATA and HEADERS are STREAM_CLOSED
//= rfc9113 5.1 MUST 6: what comes on a stream that we reset is processed and dropped
//= rfc9113 5.1 MUST NOT 3: nothing is sent on a stream that is closed
//= rfc9113 5.4.1 SHOULD 1: GOAWAY names the last stream that was received
//= rfc9113 5.4.2 MUST 1: what was under way when we reset a stream is taken
//= rfc9113 5.4.2 MUST NOT 1: a reset is never answered with a reset
//= rfc9113 5.4.2 SHOULD NOT 1: a stream is reset once
//= rfc9113 6.1 MUST 4: DATA behind the peer's end of its stream is STREAM_CLOSED
//= rfc9113 6.1 MUST 5: padding of DATA as long as its payload, or longer, is PROTOCOL_ERROR
//= rfc9113 6.3 MUST 2: PRIORITY of any length but 5 resets its stream with FRAME_SIZE_ERROR
//= rfc9113 6.4 MUST 1: what was under way when we reset a stream is processed
//= rfc9113 6.9 MUST 2: WINDOW_UPDATE of 0 resets its stream with PROTOCOL_ERROR
//= rfc9113 6.9 MUST NOT 1: credit that comes behind the end of a stream is no fault
//= rfc9113 6.9.1 MUST 1: credit beyond the largest window ends the stream, or the connection
//= rfc9113 8.5 MUST 2: anything else on a tunnel resets it
//= rfc9113 8.7 MUST 1: GOAWAY names no stream below those that the application has seen
//= type=test
#[test]
fn trap_52_trap_56_states_and_frames() {
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &socket());
    on_open("fields", &[&head], &["1 1006 Fault", OPENED, "RST 1 1"]);
    on_open("a head again", &[&open(1)], &["1 1006 Fault", OPENED, "RST 1 1"]);
    on_open("PRIORITY", &[&frame(PRIORITY, 0, 1, &[0; 5])], &[OPENED]);
    on_open("PRIORITY of 4", &[&frame(PRIORITY, 0, 1, &[0; 4])], &["1 1006 Fault", OPENED, "RST 1 6"]);
    on_open("no increment", &[&number(WINDOW_UPDATE, 1, 0)], &["1 1006 Fault", OPENED, "RST 1 1"]);
    on_open("too large", &[&number(WINDOW_UPDATE, 1, 0x7FFF_FFFF)], &["1 1006 Fault", OPENED, "RST 1 3"]);
    on_open("credit", &[&number(WINDOW_UPDATE, 1, 1)], &[OPENED]);
    on_open(
        "too much padding",
        &[&frame(DATA, PADDED, 1, &[1])],
        &["failed PaddingTooLong", "1 1006 Fault", OPENED, "GOAWAY 1 1"],
    );
    // Half closed by the client: a deferred request that has ended.
    for (what, input, expected) in [
        ("fields", open(1), Some("RST 1 5")),
        ("DATA", data(1, b"x"), Some("RST 1 5")),
        ("an end", end(1), Some("RST 1 5")),
        ("credit", number(WINDOW_UPDATE, 1, 1), None),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0; 5]), None),
        ("a reset", number(RST_STREAM, 1, 8), Some("")),
    ] {
        let mut wire = Wire::begun(Config::default());
        wire.defers = true;
        wire.feed(&frame(HEADERS, END_HEADERS | END_STREAM, 1, &plain("GET")));
        wire.feed(&input);
        let all = wire.all();
        assert_eq!(all[0], "request 1");
        let closed = if expected == Some("") { "1 closed 1006 Reset" } else { "1 closed 1006 Fault" };
        assert_eq!(all.get(1).map(|_| closed), all.get(1).map(|line| &line[..]), "{what}");
        assert_eq!(all.len() > 1, expected.is_some(), "{what}: {all:?}");
        assert_eq!(all.get(2).map_or("", |line| line), expected.unwrap_or_default(), "{what}");
    }
    // Closed, by either side's reset: nothing is answered, and the connection lives.
    for (what, input) in [
        ("fields", open(1)),
        ("DATA", data(1, b"x")),
        ("padded DATA", frame(DATA, PADDED, 1, &[1, 2, 0])),
        ("an end", end(1)),
        ("credit", number(WINDOW_UPDATE, 1, 1)),
        ("no credit", number(WINDOW_UPDATE, 1, 0)),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0; 5])),
        ("PRIORITY of 4", frame(PRIORITY, 0, 1, &[0; 4])),
        ("a reset", number(RST_STREAM, 1, 8)),
    ] {
        let again = [input, frame(HEADERS, END_HEADERS, 3, &socket())].concat();
        let theirs = [number(RST_STREAM, 1, 8), again.clone()].concat();
        on_open(what, &[&theirs], &["1 1006 Reset", "accepted 3", OPENED, "HEADERS 3 :status 200"]);
        let ours = [frame(HEADERS, END_HEADERS, 1, &block([("x", "y")])), again.clone()].concat();
        on_open(what, &[&ours], &["1 1006 Fault", "accepted 3", OPENED, "RST 1 1", "HEADERS 3 :status 200"]);
        let malformed = [frame(HEADERS, END_HEADERS, 1, &block([("x", "y")])), again].concat();
        on_default(what, &[&malformed], &["accepted 3", "RST 1 1", "HEADERS 3 :status 200"]);
    }
}

//= rfc9113 8.1 MAY 2: a server that has said all can reset the rest of a request with NO_ERROR
//= type=test
#[test]
fn plain_requests_are_answered() {
    let get = frame(HEADERS, END_HEADERS | END_STREAM, 1, &plain("GET"));
    let head = "HEADERS 1 :status 200 content-length 6";
    let body = "DATA 1 [61, 20, 62, 6f, 64, 79]";
    on_default("GET", &[&get], &["GET /page", head, body, "END 1"]);
    let head_only = frame(HEADERS, END_HEADERS | END_STREAM, 1, &plain("HEAD"));
    on_default("HEAD", &[&head_only], &["HEAD /page", head, "END 1"]);
    let post = frame(HEADERS, END_HEADERS, 1, &plain("POST"));
    let mut wire = Wire::begun(Config::default());
    wire.feed(&post);
    assert_eq!(wire.all(), ["POST /page", head, body, "END 1", "RST 1 0"], "its content is not waited for");
    // Its content, and fields behind that.
    wire = Wire::begun(Config::default());
    wire.defers = true;
    wire.feed(&[post, data(1, b"content"), frame(HEADERS, END_HEADERS | END_STREAM, 1, &block([("a", "b")]))].concat());
    let id = wire.id(1);
    wire.server.request(id, START).unwrap().respond(&Response::new(204).unwrap());
    assert_eq!(wire.all(), ["request 1", "HEADERS 1 :status 204", "END 1"]);
}

#[test]
fn offers_that_wait() {
    let deferred = || {
        let mut wire = Wire::begun(Config::default());
        wire.defers = true;
        wire.feed(&[open(1), open(3)].concat());
        assert_eq!(wire.all(), ["offer 1", "offer 3"]);
        wire
    };
    let mut wire = deferred();
    for _ in 0..2 {
        // Lent, dropped, and lent again.
        assert_eq!(wire.server.offer(wire.ids[0], START).unwrap().target(), "/echo");
        assert!(wire.server.request(wire.ids[0], START).is_none());
    }
    wire.server.offer(wire.ids[0], START).unwrap().accept(Accept::new());
    assert!(wire.server.offer(wire.ids[0], START).is_none());
    wire.server.offer(wire.ids[1], START).unwrap().reject(&Response::new(404).unwrap());
    let first = "HEADERS 3 :status 404 content-length 0";
    assert_eq!(wire.all(), [OPENED, first, "END 3", "RST 3 0"]);
    wire.feed(&data(1, &ws(1, b"hi")));
    assert_eq!(wire.all(), ["1 2 bytes", "DATA 1 [81, 2, 68, 69]"]);

    let mut wire = deferred();
    wire.wait(10);
    let lines = wire.all();
    let expected = ["1 closed 1006 Timeout Open", "3 closed 1006 Timeout Open"];
    assert_eq!(lines[..2], expected);
    for stream in [1, 3] {
        assert!(lines.contains(&format!("HEADERS {stream} :status 503 content-length 0")), "{lines:?}");
        assert!(lines.contains(&format!("END {stream}")), "{lines:?}");
    }

    let mut wire = deferred();
    wire.feed(&data(1, b"x"));
    let lines = wire.all();
    assert_eq!(lines[..2], ["refused EarlyData", "1 closed 1006 Fault"]);
    assert!(lines[2].starts_with("HEADERS 1 :status 400"));
    wire.feed(&[end(3), open(5)].concat());
    assert_eq!(wire.all(), ["3 closed 1006 Eof", "offer 5", "RST 3 8"]);
    wire.feed(&number(RST_STREAM, 5, 8));
    assert_eq!(wire.all(), ["5 closed 1006 Reset"]);
    wire.feed(&open(7));
    wire.server.receive_eof(START);
    assert_eq!(wire.all(), ["offer 7", "7 closed 1006 Eof", "RST 7 8"]);
    assert!(wire.server.is_closed());
}

//= rfc9113 5.2.1 MUST 1: a sender keeps to the windows
//= rfc9113 6.5.3 MUST 1: settings apply as soon as they are read
//= rfc9113 6.9 MAY 1: more than the windows allow can be FLOW_CONTROL_ERROR
//= rfc9113 6.9 MUST 1: what no window limits is always taken, as far as there are means
//= rfc9113 6.9 MUST 4: every frame of DATA counts for the connection
//= rfc9113 6.9.2 MUST 1: a new initial window changes the windows of all streams, by the difference
//= rfc9113 6.9.2 MUST 3: an initial window that makes a window too large is FLOW_CONTROL_ERROR
//= type=test
#[test]
fn trap_54_windows() {
    // What is sent keeps to both windows, and to what they become.
    let mut wire = Wire::begun(Config::default());
    wire.feed(&[settings(&[(4, 3)]), open(1), open(3), data(1, &ws(1, b"hello")), data(3, &ws(1, b"hello"))].concat());
    let all = wire.all();
    assert_eq!(all[4..], ["SETTINGS ack", OPENED, "HEADERS 3 :status 200", "DATA 1 [81, 5, 68]", "DATA 3 [81, 5, 68]"]);
    wire.feed(&settings(&[(4, 1)]));
    wire.feed(&number(WINDOW_UPDATE, 1, 2));
    assert_eq!(wire.all(), ["SETTINGS ack"], "1 - 3 + 2");
    wire.feed(&number(WINDOW_UPDATE, 1, 1));
    assert_eq!(wire.all(), ["DATA 1 [65]"]);
    wire.feed(&settings(&[(4, 100)]));
    let all = wire.all();
    assert_eq!(all.len(), 3, "{all:?}");
    assert!(all.contains(&"DATA 1 [6c, 6c, 6f]".into()) && all.contains(&"DATA 3 [65, 6c, 6c, 6f]".into()));
    wire.feed(&number(WINDOW_UPDATE, 1, 0x7FFF_FFFF - 100));
    wire.feed(&settings(&[(4, 0x7FFF_FFFF)]));
    assert_eq!(wire.all()[0], "failed WindowOverflow");

    // A window of the connection that is shut: nothing is shown, and no output is claimed.
    let mut wire = Wire::begun(Config::default());
    let mut sent = 0;
    wire.feed(&[open(1), open(3), number(WINDOW_UPDATE, 1, 1 << 20)].concat());
    for _ in 0..3 {
        let id = wire.id(1);
        wire.server.tx(id, START).unwrap().send(Message::Binary(&[7; 30_000])).unwrap();
    }
    wire.all();
    assert!(!wire.server.has_output());
    wire.feed(&data(3, &ws(1, b"hi")));
    assert_eq!(wire.all(), ["3 2 bytes"]);
    assert!(!wire.server.has_output());
    wire.feed(&number(WINDOW_UPDATE, 0, 1 << 20));
    for line in wire.all() {
        sent += usize::from(line.starts_with("DATA 3 "));
    }
    assert_eq!(sent, 1);

    // What comes is credited, padding too, and on closed streams for the connection alone; more than the window is not
    // taken.
    let mut config = Config::default();
    config.limits.http2.connection_window = 65_535;
    let padded = |stream| frame(DATA, PADDED, stream, &[&[255][..], &[0; 255]].concat());
    for (stream, expected) in [(1, &["WINDOW 0 32768", "WINDOW 1 32768"][..]), (3, &["WINDOW 0 32768"])] {
        let mut wire = Wire::begun(config.clone());
        wire.feed(&[open(1), open(3), number(RST_STREAM, 3, 8)].concat());
        wire.all();
        for _ in 0..128 {
            wire.feed(&padded(stream));
        }
        assert_eq!(wire.all(), expected);
    }
    let mut wire = Wire::begun(config.clone());
    wire.feed(&open(1));
    wire.all();
    wire.server.pause(wire.id(1), START);
    for _ in 0..255 {
        wire.feed(&padded(1));
    }
    assert_eq!(wire.all(), ["WINDOW 0 32768"], "the connection has its credit, the stream has none");
    wire.feed(&[open(3), data(3, &ws(1, b"hi"))].concat());
    assert_eq!(wire.all(), ["accepted 3", "3 2 bytes", "HEADERS 3 :status 200", "DATA 3 [81, 2, 68, 69]"]);
    let id = wire.id(1);
    wire.server.resume(id, START);
    assert_eq!(wire.all(), ["WINDOW 1 65280"]);
    wire.server.pause(id, START);
    for _ in 0..255 {
        wire.feed(&padded(1));
    }
    wire.all();
    wire.feed(&padded(1));
    assert_eq!(wire.all(), ["failed WindowExceeded", "1 1006 Fault", "3 1006 Fault", "GOAWAY 3 3"]);
}

/// Feeds frames until the connection fails: says how often and why, and that silence follows.
#[track_caller]
fn flood(config: &Config, first: &[u8], mut next: impl FnMut(u32) -> Vec<u8>, reads: bool) -> (u32, String) {
    let mut wire = Wire::begun(config.clone());
    wire.feed(first);
    wire.all();
    for count in 1..20_000 {
        wire.feed(&next(count));
        let failed = wire.seen.iter().find(|line| line.starts_with("failed")).cloned();
        if reads && failed.is_none() {
            wire.frames();
        }
        if let Some(failed) = failed {
            let frames = wire.frames();
            let last = frames.iter().position(|line| line.starts_with("GOAWAY")).unwrap();
            assert!(frames[last].ends_with(&format!(" {ENHANCE_YOUR_CALM}")));
            wire.feed(&next(count + 1));
            wire.feed(&frame(PING, NONE, 0, &[0; 8]));
            assert!(wire.frames().iter().all(|line| !line.contains("PING")), "silence");
            assert_eq!(wire.server.transport(), Transport::ShutdownWrite);
            return (count, failed);
        }
    }
    panic!("for ever");
}

//= rfc9113 5.1.2 MUST 1: a stream beyond our own limit is refused
//= rfc9113 10.5 MAY 1: beyond the limits on such work lies ENHANCE_YOUR_CALM
//= rfc9113 10.5 SHOULD 2: what a peer can make us do for nothing is counted and limited
//= type=test
#[test]
fn floods_end_in_calm() {
    let config = Config::default();
    let stream = |count: u32| 2 * count + 1;
    // SETTINGS and its acknowledgement were paid for already, and each head gives something back.
    let idle = "failed TooManyIdleFrames";
    for (what, next, expected) in [
        ("PING", frame(PING, NONE, 0, &[0; 8]), 1000),
        ("pongs", frame(PING, ACK, 0, &[0; 8]), 1000),
        ("SETTINGS", settings(&[]), 1000),
        ("settings", settings(&[(4, 1), (4, 2), (4, 3)]), 250),
        ("empty DATA", data(1, &[]), 1000),
        ("DATA of padding", frame(DATA, PADDED, 1, &[3, 0, 0, 0]), 1000),
        ("WINDOW_UPDATE", number(WINDOW_UPDATE, 0, 1), 1000),
        ("WINDOW_UPDATE of a stream", number(WINDOW_UPDATE, 1, 1), 1000),
        ("PRIORITY", frame(PRIORITY, 0, 9, &[0; 5]), 1000),
        ("unknown", frame(UNKNOWN, 0, 9, &[0; 5]), 1000),
        ("GOAWAY", frame(GOAWAY, 0, 0, &[0; 8]), 1000),
    ] {
        let (count, error) = flood(&config, &open(1), |_| next.clone(), true);
        assert_eq!(error, idle, "{what}");
        assert!((expected - 2..=expected + 3).contains(&count), "{what}: {count}");
    }
    // On a stream that is closed.
    let closed = [open(1), number(RST_STREAM, 1, 8)].concat();
    for (what, next) in [
        ("END_STREAM", end(1)),
        ("RST_STREAM", number(RST_STREAM, 1, 8)),
        ("fields", frame(HEADERS, END_HEADERS, 1, &[])),
    ] {
        let (count, error) = flood(&config, &closed, |_| next.clone(), true);
        assert_eq!((error.as_str(), (998..=1003).contains(&count)), (idle, true), "{what}: {count}");
    }
    let resets = "failed TooManyResets".to_string();
    let rapid = |count| [open(stream(count)), number(RST_STREAM, stream(count), 8)].concat();
    assert_eq!(flood(&config, &[], rapid, true), (201, resets.clone()));
    for made in [
        |stream| number(WINDOW_UPDATE, stream, 0),
        |stream| number(WINDOW_UPDATE, stream, 0x7FFF_FFFF),
        |stream| frame(PRIORITY, NONE, stream, &[0; 4]),
        |stream| frame(HEADERS, END_HEADERS | END_STREAM, stream, &[]),
    ] {
        let next = |count| [open(stream(count)), made(stream(count))].concat();
        assert_eq!(flood(&config, &[], next, true), (201, resets.clone()), "made you reset");
    }
    for malformed in [vec![], block([("A", "b")]), block([("connection", "x")])] {
        let next = |count| frame(HEADERS, END_HEADERS, stream(count), &malformed);
        assert_eq!(flood(&config, &[], next, true), (201, resets.clone()), "malformed");
    }
    let next = |count| open(stream(count));
    assert_eq!(flood(&config, &[], next, true).0, 100 + 201, "refused");
}

#[test]
fn blocks_without_an_end() {
    let first = frame(HEADERS, NONE, 1, &socket());
    for (what, piece, expected) in [("empty", vec![], 17), ("of a byte", vec![0], 17), ("full", vec![0; 16_384], 2)] {
        let next = |_| frame(CONTINUATION, NONE, 1, &piece);
        assert_eq!(flood(&Config::default(), &first, next, true), (expected, "failed HeadTooLarge".into()), "{what}");
    }
}

//= rfc9113 10.5.1 MUST 1: a head that is too large is decoded all the same, unless the connection ends
//= type=test
#[test]
fn bombs_of_fields() {
    // By size: a field of 4000 bytes, and then a byte for each time it comes again. By count: the smallest there are.
    let large = [&[0x40][..], &block([("a", &"x".repeat(3000)[..])])[1..], &[0xBE; 10_000]].concat();
    for (what, fields) in [("by size", large), ("by count", vec![0x93; 16_000])] {
        let mut wire = Wire::begun(Config::default());
        let block = [socket(), fields].concat();
        let mut pieces = block.chunks(16_000);
        wire.feed(&frame(HEADERS, NONE, 1, pieces.next().unwrap()));
        wire.feed(&frame(CONTINUATION, END_HEADERS, 1, pieces.next().unwrap_or_default()));
        wire.feed(&open(3));
        let all = wire.all();
        assert!(all[0].starts_with("refused") && all[1] == "accepted 3", "{what}: {all:?}");
        assert!(all[2].starts_with("HEADERS 1 :status 431"), "{what}: {all:?}");
    }
}

//= rfc9113 10.5 SHOULD 2: what a peer can make us do for nothing is counted and limited
//= type=test
#[test]
fn answers_that_nobody_reads() {
    let mut config = Config::default();
    config.limits.http2.idle_frames = 100_000;
    config.limits.http2.answers = 17 * 100;
    let unread = "failed TooManyAnswers".to_string();
    let ping = |_| frame(PING, NONE, 0, &[0; 8]);
    assert_eq!(flood(&config, &[], ping, false), (102, unread.clone()));
    let (count, error) = flood(&config, &[], |_| settings(&[]), false);
    assert_eq!((count, error), (17 * 100 / 9 + 2, unread.clone()));
    let head = |count: u32| frame(HEADERS, END_HEADERS | END_STREAM, 2 * count + 1, &plain("HEAD"));
    let (count, error) = flood(&config, &[], head, false);
    assert!(error == unread && (110..130).contains(&count), "{count}");
    // Read, they are no trouble.
    let mut wire = Wire::begun(config);
    for _ in 0..5000 {
        wire.feed(&ping(0));
        assert_eq!(wire.all().len(), 1);
    }
}

#[test]
fn tiny_windows_hold_nothing_for_ever() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&[settings(&[(4, 0)]), open(1), frame(HEADERS, END_HEADERS | END_STREAM, 3, &plain("GET"))].concat());
    wire.feed(&data(1, &ws(1, b"hi")));
    wire.all();
    wire.wait(59);
    assert!(wire.all().iter().all(|line| !line.contains("RST")));
    wire.wait(1);
    let all = wire.all();
    assert!(all.contains(&"RST 1 8".into()) && all.contains(&"RST 3 8".into()), "{all:?}");
    // A transport that takes nothing at all.
    wire.feed(&[frame(PING, NONE, 0, &[0; 8]), open(5)].concat());
    assert!(wire.server.has_output());
    wire.wait(60);
    wire.feed(&[]);
    assert_eq!((wire.server.transport(), wire.server.has_output()), (Transport::Reset, false));
    assert!(wire.server.is_closed());
}

//= rfc9113 8.7 MUST 1: GOAWAY names no stream below those that the application has seen
//= rfc9113 8.7 MUST NOT 1: REFUSED_STREAM is said only of what was not processed
//= type=test
#[test]
fn trap_55_a_server_that_shuts_down() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&open(1));
    wire.defers = true;
    wire.feed(&open(3));
    wire.all();
    wire.server.shut_down(START);
    wire.feed(&open(5));
    let goodbye = ["3 closed 1006 Local", "GOAWAY 3 0", "HEADERS 3 :status 503 content-length 0", "END 3", "RST 3 0"];
    let mut all = wire.all();
    assert_eq!(all.remove(0), goodbye[0]);
    for line in goodbye[1..].iter().chain(&["DATA 1 [88, 2, 3, e9]", "RST 5 7"]) {
        assert!(all.iter().any(|known| known == line), "{line}: {all:?}");
    }
    assert_eq!(wire.server.transport(), Transport::Open);
    wire.feed(&[data(1, &ws(8, &[3, 233])), end(1)].concat());
    wire.all();
    assert_eq!(wire.server.transport(), Transport::ShutdownWrite);
    wire.server.receive_eof(START);
    assert!(wire.server.is_closed());
    // Nobody is there, for as long as a session may be quiet.
    let mut wire = Wire::begun(Config::default());
    wire.wait(300);
    assert_eq!(wire.all(), ["GOAWAY 0 0"]);
    wire.wait(10);
    assert!(wire.server.is_closed());
}

#[test]
fn a_transport_that_is_gone_takes_nothing() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&[open(1), data(1, &ws(1, b"hi"))].concat());
    assert!(wire.server.has_output());
    wire.server.receive_reset(START);
    wire.feed(&[]);
    assert_eq!(wire.seen.last().unwrap(), "1 1006 Reset");
    assert!(!wire.server.has_output() && wire.server.is_closed());
}

#[test]
fn what_the_application_ends_is_told() {
    let mut wire = Wire::begun(Config::default());
    wire.feed(&[open(1), open(3)].concat());
    wire.all();
    let (first, second) = (wire.id(1), wire.id(3));
    wire.server.tx(first, START).unwrap().abort();
    assert_eq!(wire.all(), ["1 1006 Local", "RST 1 8"]);
    assert!(wire.server.tx(first, START).is_none(), "forgotten");
    wire.feed(&data(3, &ws(8, &[])));
    assert_eq!(wire.all(), ["3 Closing { code: None, reason: \"\" }", "3 1005 Peer", "DATA 3 [88, 0]", "END 3"]);
    wire.wait(10);
    assert_eq!(wire.all(), ["RST 3 8"], "a client that does not end its side");
    assert!(wire.server.tx(second, wire.now).is_none());
}

#[test]
fn a_client_that_resets_takes_no_place_for_longer() {
    let mut config = Config::default();
    config.limits.http2.sessions = 1;
    let mut wire = Wire::begun(config);
    wire.feed(&[settings(&[(4, 0)]), frame(HEADERS, END_HEADERS | END_STREAM, 1, &plain("GET"))].concat());
    wire.all();
    wire.feed(&[number(RST_STREAM, 1, 8), open(3)].concat());
    assert_eq!(wire.all(), ["accepted 3", "HEADERS 3 :status 200"]);
}
