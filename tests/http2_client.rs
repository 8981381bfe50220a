//! What does a client say and hear over HTTP/2, frame by frame, however the bytes are cut? (RFC 8441, RFC 9113)
//!
//! A test is a transcript, run with the server's bytes in one piece, cut in two at every byte, and byte by byte: all runs tell
//! the same events and send the same frames.

#![cfg(all(test, feature = "fuzzing"))]

use std::sync::Arc;
use std::time::Duration;

use sockless::fuzzing::hpack::{Decoder, Encoder};
use sockless::*;

struct Zero;

impl Entropy for Zero {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(0);
        Ok(())
    }
}

const ALLOWS: &[u8] = &[0, 8, 0, 0, 0, 1];
const CANCEL: &str = "RST_STREAM 1 [0, 0, 0, 8]";

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
    out
}

fn data(stream: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, payload)
}

fn settings(entries: &[u8]) -> Vec<u8> {
    frame(4, 0, 0, entries)
}

fn goaway(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

fn reset(stream: u32, code: u8) -> Vec<u8> {
    frame(3, 0, stream, &[0, 0, 0, code])
}

/// A head; every field is written in full, so that the same bytes serve any stream.
fn head(stream: u32, end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let fields = fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec(), false));
    frame(1, 4 | u8::from(end), stream, &Encoder::default().encode(&fields.collect(), false))
}

fn ok(stream: u32) -> Vec<u8> {
    head(stream, false, &[(":status", "200")])
}

struct Talk {
    client: Client,
    now: Instant,
    cut: Option<usize>,
    fed: usize,
    log: Vec<String>,
    decoder: Decoder,
}

impl Talk {
    fn new(config: Config, cut: Option<usize>) -> Talk {
        let now = Instant::from_nanos(0);
        let client = Client::http2(Arc::new(config), Zero, now).unwrap();
        Talk { client, now, cut, fed: 0, log: Vec::new(), decoder: Decoder::default() }
    }

    fn open(&mut self, url: &str) -> Result<SessionId, OpenError> {
        self.client.open(&Connect::to(url).unwrap(), self.now)
    }

    /// The server says something.
    fn says(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.to_vec();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let length = match self.cut {
                Some(0) => 1,
                Some(cut) if cut > self.fed => rest.len().min(cut - self.fed),
                _ => rest.len(),
            };
            let (piece, after) = rest.split_at_mut(length);
            self.fed += length;
            self.feed(piece);
            rest = after;
        }
    }

    fn feed(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.client.receive(&mut input, self.now) {
            let line = match event {
                ClientEvent::Open(opened) => format!("{:?} open {:?}", opened.id, opened.agreed.subprotocol()),
                ClientEvent::Session(id, Incoming { event, .. }) => format!("{id:?} {event:?}"),
                ClientEvent::Refused(id, response) => format!("{id:?} refused {}", response.status()),
                ClientEvent::Body(id, body) => {
                    let (name, text) = (format!("{id:?} body "), String::from_utf8(body.to_vec()).unwrap());
                    match self.log.last_mut() {
                        Some(line) if line.starts_with(&name) => line.push_str(&text),
                        _ => self.log.push(name + &text),
                    }
                    continue;
                }
                event => format!("{event:?}"),
            };
            self.log.push(line.replace("SessionId", ""));
        }
        assert!(input.is_empty(), "all is consumed");
    }

    /// What was told since it was last asked.
    fn told(&mut self) -> Vec<String> {
        self.feed(&mut []);
        std::mem::take(&mut self.log).iter().map(|line| line.replace("SessionId", "")).collect()
    }

    /// What the client has sent since it was last asked.
    fn sent(&mut self) -> Vec<String> {
        let mut bytes = Vec::new();
        self.client.take(&mut bytes, self.now);
        let mut rest = bytes.strip_prefix(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap_or(&bytes);
        let mut sent = Vec::new();
        while let Some((head, after)) = rest.split_first_chunk::<9>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let (payload, after) = after.split_at(length);
            rest = after;
            sent.push(match (head[3], head[4]) {
                (0, flags) => format!("DATA {stream} {flags} {length}"),
                (1, 4) => {
                    let fields = self.decoder.decode(payload).unwrap();
                    let fields = fields.iter().map(|(name, value, secret)| {
                        let [name, value] = [name, value].map(|text| String::from_utf8_lossy(text));
                        format!("{name}={value}{}", if *secret { "!" } else { "" })
                    });
                    format!("HEADERS {stream} {}", fields.collect::<Vec<_>>().join(" "))
                }
                (3, 0) => format!("RST_STREAM {stream} {payload:?}"),
                (4, 0) => format!("SETTINGS {payload:?}"),
                (4, 1) => "SETTINGS ACK".into(),
                (7, 0) => format!("GOAWAY {payload:?}"),
                (8, 0) => format!("WINDOW_UPDATE {stream} {payload:?}"),
                other => panic!("{other:?}"),
            });
        }
        sent
    }

    /// The server's settings allow sessions; one is asked for.
    fn asked(&mut self) {
        self.says(&settings(ALLOWS));
        assert_eq!(self.open("ws://a/b").map(|id| format!("{id:?}")), Ok("SessionId(1)".into()));
        assert!(self.sent().last().unwrap().starts_with("HEADERS 1 "));
        assert_eq!(self.told(), [""; 0]);
    }

    fn opened(&mut self) -> SessionId {
        self.says(&settings(ALLOWS));
        let id = self.open("ws://a/b").unwrap();
        self.says(&ok(1));
        assert_eq!(self.told(), ["(1) open None"]);
        self.sent();
        id
    }

    fn passes(&mut self, time: Duration) {
        self.now = self.now + time;
        self.client.handle_timeout(self.now);
    }
}

fn every_cut_with(config: &Config, script: impl Fn(&mut Talk)) {
    let mut whole = Talk::new(config.clone(), None);
    script(&mut whole);
    for cut in 0..whole.fed {
        script(&mut Talk::new(config.clone(), Some(cut)));
    }
}

fn every_cut(script: impl Fn(&mut Talk)) {
    every_cut_with(&Config::default(), script);
}

//= rfc8441 3 MAY 1: once the setting is 1, a client can open streams by an extended CONNECT
//= rfc8441 4 MAY 1: a CONNECT can name, in :protocol, what is to be spoken on its stream
//= rfc8441 5 MUST 1: a WebSocket's CONNECT has a :protocol
//= rfc8441 5 MUST 2: the :protocol of a WebSocket is websocket
//= rfc8441 5 MUST 3: wss is asked for as https, and ws as http
//= rfc8441 5 MUST NOT 1: Connection and Upgrade are left out
//= rfc9113 3.4 MUST 3: the peer's first settings are acknowledged, behind our own
//= rfc9113 5.5 MUST 4: an extension is agreed on first: the extended CONNECT waits for the setting
//= rfc9113 8.2 MUST 1: names are sent in lower case
//= rfc9113 8.3 MUST 2: pseudo-header fields go in front of all others
//= rfc9113 8.3 MUST NOT 1: no pseudo-header fields are sent but those defined
//= rfc9113 8.3 MUST NOT 5: no pseudo-header field is there twice
//= rfc9113 8.3.1 MUST 1: a client says in :authority what it addresses
//= rfc9113 8.3.1 MUST 5: a URL without a path is asked for as /
//= rfc9113 8.3.1 MUST NOT 3: a client sends no Host that differs from :authority
//= type=test
#[test]
fn the_request_waits_for_the_settings_and_says_what_it_must() {
    let config = Config { compression: Some(Compression::default()), ..Config::default() };
    every_cut_with(&config, |talk| {
        let connect = Connect::to("wss://Example.com:443/chat?a=1").unwrap().origin("https://o.example").unwrap();
        let connect = connect.subprotocol("x").unwrap().subprotocol("y").unwrap();
        let connect = connect.header("Cookie", "secret=1").unwrap().header("Authorization", "Bearer s").unwrap();
        talk.client.open(&connect, talk.now).unwrap();
        let first = talk.sent();
        assert!(first[0].starts_with("SETTINGS [0, 2, 0, 0, 0, 0"), "{first:?}: no push");
        assert!(first.iter().all(|frame| !frame.starts_with("HEADERS")), "{first:?}");
        talk.says(&settings(ALLOWS));
        let fields = ":method=CONNECT :protocol=websocket :scheme=https :path=/chat?a=1 :authority=example.com \
            sec-websocket-version=13 origin=https://o.example sec-websocket-protocol=x, y \
            sec-websocket-extensions=permessage-deflate; client_max_window_bits cookie=secret=1! authorization=Bearer s!";
        assert_eq!(talk.sent(), ["SETTINGS ACK".into(), format!("HEADERS 1 {fields}")]);
        talk.says(&head(1, false, &[(":status", "200"), ("sec-websocket-protocol", "y")]));
        assert_eq!(talk.told(), ["(1) open Some(\"y\")"]);
    });
    every_cut(|talk| {
        talk.says(&settings(ALLOWS));
        talk.open("ws://[::1]:8080").unwrap();
        let fields = ":method=CONNECT :protocol=websocket :scheme=http :path=/ :authority=[::1]:8080";
        assert!(talk.sent().last().unwrap().starts_with(&format!("HEADERS 1 {fields} sec-websocket-version=13")));
    });
}

//= rfc8441 3 MAY 1: once the setting is 1, a client can open streams by an extended CONNECT
//= rfc9113 5.5 MUST 5: a setting that allows an extension begins at what does not
//= type=test
#[test]
fn a_server_that_does_not_allow_it_is_known_at_once() {
    for entries in [&[][..], &[0, 8, 0, 0, 0, 0]] {
        every_cut(|talk| {
            talk.open("ws://a/b").unwrap();
            talk.open("ws://a/c").unwrap();
            talk.says(&settings(entries));
            let ended = "Closed { code: None, clean: false, cause: Fault })";
            let told = |n| [format!("Failed(({n}), NoConnectProtocol)"), format!("Closed(({n}), {ended}")];
            assert_eq!(talk.told(), [told(1), told(3)].concat());
            talk.open("ws://a/b").unwrap();
            assert_eq!(talk.told(), told(5));
            assert!(talk.sent().iter().all(|frame| !frame.starts_with("HEADERS") && !frame.starts_with("RST")));
        });
    }
}

//= rfc8441 3 MUST NOT 1: a setting that allowed the extended CONNECT is not taken back
//= rfc9113 5.1 MUST 1: idle: whatever is not HEADERS or PRIORITY is PROTOCOL_ERROR
//= rfc9113 5.1 MUST 2: idle, of a server's number: HEADERS is PROTOCOL_ERROR too
//= rfc9113 5.4 MUST 1: a frame that ends the connection is told so
//= rfc9113 5.4.1 MUST 1: behind the GOAWAY of an error the transport is closed
//= rfc9113 6.5.2 MUST 1: a client that wants no push takes PUSH_PROMISE for PROTOCOL_ERROR
//= rfc9113 6.5.2 MUST 4: a client takes an ENABLE_PUSH of 1 for PROTOCOL_ERROR
//= rfc9113 6.6 MUST 7: a promise to who wants none is PROTOCOL_ERROR
//= type=test
#[test]
fn what_fails_the_connection_ends_every_session_once_and_last() {
    let faults: [(&str, Vec<u8>); 7] = [
        ("ConnectProtocolWithdrawn", settings(&[0, 8, 0, 0, 0, 0])),
        ("PushPromise", frame(5, 4, 1, &[0, 0, 0, 2, 0x88])),
        ("InvalidStreamId", ok(2)),
        ("InvalidStreamId", ok(99)),
        ("IdleStream", data(2, 0, b"x")),
        ("InvalidSetting", settings(&[0, 2, 0, 0, 0, 1])),
        ("UnaskedAcknowledgement", [frame(4, 1, 0, &[]), frame(4, 1, 0, &[])].concat()),
    ];
    for (name, bytes) in faults {
        every_cut(|talk| {
            let id = talk.opened();
            talk.open("ws://a/b").unwrap();
            talk.client.tx(id, talk.now).unwrap().send(Message::Text("not sent")).unwrap();
            talk.sent();
            talk.says(&bytes);
            talk.says(b"more of it");
            let end = "Closed { code: None, clean: false, cause: Fault }";
            let mut told = talk.told();
            assert_eq!(told.remove(0), format!("ConnectionFailed({name})"));
            told.sort();
            assert_eq!(told, [format!("(1) Closed({end})"), format!("Closed((3), {end})")]);
            let sent = talk.sent();
            assert!(sent.last().unwrap().starts_with("GOAWAY"), "{sent:?}");
            assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
            assert!(talk.client.is_closed());
            assert_eq!(talk.client.transport(), Transport::Close);
        });
    }
}

#[test]
fn the_transport_ends() {
    every_cut(|talk| {
        let id = talk.opened();
        talk.open("ws://a/c").unwrap();
        talk.client.tx(id, talk.now).unwrap().send(Message::Text("not sent")).unwrap();
        talk.client.receive_reset(talk.now);
        let mut told = talk.told();
        told.sort();
        let end = "Closed { code: None, clean: false, cause: Reset }";
        assert_eq!(told, [format!("(1) Closed({end})"), format!("Closed((3), {end})")]);
        assert!(talk.client.is_closed(), "and nothing waits for it");
        assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
    });
    every_cut(|talk| {
        talk.opened();
        talk.client.receive_eof(talk.now);
        assert_eq!(talk.told(), ["(1) Closed(Closed { code: None, clean: false, cause: Eof })"]);
        assert_eq!(talk.sent(), [""; 0]);
        assert!(talk.client.is_closed());
    });
    every_cut(|talk| {
        talk.opened();
        // Half a head: the other half is not waited for.
        talk.says(&[&[0, 0, 9, 1, 0, 0, 0, 0, 1][..], &[0x88]].concat());
        talk.client.receive_eof(talk.now);
        assert_eq!(talk.told(), ["(1) Closed(Closed { code: None, clean: false, cause: Eof })"]);
        talk.passes(Duration::from_secs(60));
        assert_eq!(talk.told(), [""; 0]);
        assert!(talk.client.is_closed());
    });
}

//= rfc9113 8.3.2 MUST 1: every response has a :status, or is malformed
//= type=test
#[test]
fn answers_open_or_refuse_or_fail() {
    let fault = "Closed((1), Closed { code: None, clean: false, cause: Fault })";
    type Case<'a> = (Vec<(&'a str, &'a str)>, Vec<&'a str>, Vec<&'a str>);
    let cases: [Case<'_>; 6] = [
        (vec![(":status", "299")], vec!["(1) open None"], vec![]),
        (
            vec![(":status", "200"), ("sec-websocket-protocol", "z")],
            vec!["Failed((1), UnaskedSubprotocol)", fault],
            vec![CANCEL],
        ),
        (
            vec![(":status", "200"), ("sec-websocket-extensions", "permessage-deflate")],
            vec!["Failed((1), UnaskedExtension)", fault],
            vec![CANCEL],
        ),
        (vec![(":status", "101")], vec!["Failed((1), Malformed)", fault], vec!["RST_STREAM 1 [0, 0, 0, 1]"]),
        (vec![(":status", "302"), ("location", "/")], vec!["(1) refused 302"], vec![]),
        (vec![("a", "b")], vec!["Failed((1), Malformed)", fault], vec!["RST_STREAM 1 [0, 0, 0, 1]"]),
    ];
    for (fields, told, sent) in cases {
        every_cut(|talk| {
            talk.asked();
            talk.says(&head(1, false, &[(":status", "103"), ("link", "x")]));
            talk.says(&head(1, false, &fields));
            assert_eq!(talk.told(), told, "{fields:?}");
            assert_eq!(talk.sent(), sent, "{fields:?}");
        });
    }
    every_cut(|talk| {
        talk.asked();
        talk.says(&head(1, true, &[(":status", "200")]));
        assert_eq!(talk.told(), ["Failed((1), Malformed)", fault], "a tunnel that is closed already");
        assert_eq!(talk.sent(), ["DATA 1 1 0"]);
    });
}

#[test]
fn interim_responses_have_an_end() {
    let mut talk = Talk::new(Config::default(), None);
    talk.asked();
    for _ in 0..2000 {
        talk.says(&head(1, false, &[(":status", "100")]));
    }
    assert!(talk.told()[0].starts_with("ConnectionFailed(TooManyIdleFrames)"));
}

//= rfc9113 8.1 MUST NOT 3: a client keeps a response behind which the rest of its request is reset
//= type=test
#[test]
fn a_refusal_has_a_body_and_an_end() {
    let config = Config { limits: Limits { body: 5, ..Limits::default() }, ..Config::default() };
    let refused = "Closed((1), Closed { code: None, clean: false, cause: Refused })";
    let no = || head(1, false, &[(":status", "404"), ("content-length", "5")]);
    let ends: [(Vec<u8>, Vec<&str>, Vec<&str>); 6] = [
        (data(1, 1, b"o no!"), vec!["(1) body o no!", refused], vec!["DATA 1 1 0"]),
        ([data(1, 0, b"o no!"), data(1, 1, b"")].concat(), vec!["(1) body o no!", refused], vec!["DATA 1 1 0"]),
        (
            [data(1, 8, b"\x03o no!\0\0\0"), head(1, true, &[("trailer", "x")])].concat(),
            vec!["(1) body o no!", refused],
            vec!["DATA 1 1 0"],
        ),
        (data(1, 0, b"o no!!"), vec!["(1) body o no!", "Failed((1), BodyTooLarge)", refused], vec![CANCEL]),
        ([data(1, 0, b"o"), reset(1, 2)].concat(), vec!["(1) body o", "Failed((1), MalformedBody)", refused], vec![]),
        ([data(1, 1, b"o no!"), reset(1, 0)].concat(), vec!["(1) body o no!", refused], vec!["DATA 1 1 0"]),
    ];
    for (bytes, told, sent) in ends {
        every_cut_with(&config, |talk| {
            talk.asked();
            talk.says(&no());
            talk.says(&bytes);
            let mut expected = vec!["(1) refused 404"];
            expected.extend(&told);
            assert_eq!(talk.told(), expected);
            assert_eq!(talk.sent(), sent);
            talk.open("ws://a/b").unwrap();
            assert_eq!(talk.told(), [""; 0]);
        });
    }
    every_cut_with(&config, |talk| {
        talk.asked();
        talk.says(&head(1, true, &[(":status", "404")]));
        assert_eq!(talk.told(), ["(1) refused 404", refused]);
        assert_eq!(talk.sent(), ["DATA 1 1 0"]);
    });
}

//= rfc9113 6.4 MUST 2: RST_STREAM is of a stream
//= rfc9113 8.5 MUST NOT 1: on a tunnel only DATA, RST_STREAM, WINDOW_UPDATE and PRIORITY are sent
//= type=test
#[test]
fn a_session_ends_as_its_stream_does() {
    let closed = |code: &str, clean, cause: &str| {
        format!("(1) Closed(Closed {{ code: {code}, clean: {clean}, cause: {cause} }})")
    };
    every_cut(|talk| {
        talk.opened();
        talk.says(&data(1, 0, b"\x81\x02hi\x88\x02\x03\xe8"));
        let told = talk.told();
        assert_eq!(told[0], "(1) Message(Text(\"hi\"))");
        assert_eq!(
            told[2],
            closed("Some(CloseCode(1000))", true, "Peer"),
            "{told:?}: without waiting for the stream's end"
        );
        assert_eq!(talk.sent(), ["DATA 1 0 8"]);
        talk.says(&data(1, 1, b""));
        assert_eq!(talk.told(), [""; 0]);
        assert_eq!(talk.sent(), ["DATA 1 1 0"]);
    });
    for (bytes, cause, sent) in [
        (data(1, 1, b"\x81\x02hi"), "Eof", vec!["DATA 1 1 0"]),
        ([data(1, 0, b"\x81\x02hi"), reset(1, 8)].concat(), "Reset", vec![]),
    ] {
        every_cut(|talk| {
            let id = talk.opened();
            talk.says(&bytes);
            assert_eq!(talk.told(), ["(1) Message(Text(\"hi\"))".into(), closed("None", false, cause)]);
            assert_eq!(talk.sent(), sent);
            assert!(talk.client.tx(id, talk.now).is_none(), "forgotten");
        });
    }
    every_cut(|talk| {
        let id = talk.opened();
        talk.client.tx(id, talk.now).unwrap().abort();
        assert_eq!(talk.told(), [closed("None", false, "Local")]);
        assert_eq!(talk.sent(), [CANCEL]);
        talk.says(&data(1, 0, b"under way"));
        assert_eq!((talk.told(), talk.sent()), (vec![], vec![]));
        assert!(talk.client.tx(id, talk.now).is_none(), "forgotten");
    });
}

//= rfc9113 6.8 MUST NOT 1: behind the peer's GOAWAY no stream is opened
//= type=test
#[test]
fn a_server_goes_away() {
    every_cut(|talk| {
        talk.opened();
        talk.open("ws://a/b").unwrap();
        talk.open("ws://a/b").unwrap();
        talk.says(&goaway(0x7FFF_FFFF));
        assert_eq!(talk.told(), [""; 0]);
        assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
        talk.says(&goaway(3));
        assert_eq!(talk.told(), ["Closed((5), Closed { code: None, clean: false, cause: Reset })"]);
        talk.says(&data(1, 0, b"\x81\x02hi"));
        talk.says(&ok(3));
        assert_eq!(talk.told(), ["(1) Message(Text(\"hi\"))", "(3) open None"]);
        assert!(talk.sent().iter().all(|frame| !frame.starts_with("RST")));
    });
}

//= rfc9113 5.1.1 MUST 1: a client's streams have odd numbers
//= rfc9113 5.1.1 MUST 3: each number is above all before it
//= rfc9113 5.1.2 MUST NOT 1: no more streams at once than the peer allows
//= rfc9113 6.4 MUST NOT 2: no stream is reset that was never opened
//= type=test
#[test]
fn no_more_streams_at_once_than_the_server_allows() {
    let two: &[u8] = &[0, 8, 0, 0, 0, 1, 0, 3, 0, 0, 0, 2];
    every_cut(|talk| {
        for _ in 0..4 {
            talk.open("ws://a/b").unwrap();
        }
        talk.says(&settings(two));
        let asked = |talk: &mut Talk| {
            talk.sent()
                .iter()
                .filter_map(|frame| frame.strip_prefix("HEADERS ")?.split(' ').next()?.parse().ok())
                .collect()
        };
        let first: Vec<u32> = asked(talk);
        assert_eq!(first, [1, 3]);
        assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
        talk.says(&head(1, true, &[(":status", "404")]));
        assert_eq!(talk.told().len(), 2);
        let next: Vec<u32> = asked(talk);
        assert_eq!(next, [5], "another in its place");
        talk.passes(Duration::from_secs(3600));
        let told = talk.told();
        assert_eq!(told.iter().filter(|line| line.contains("TimedOut")).count(), 3, "{told:?}");
        let sent = talk.sent();
        assert_eq!(sent, ["RST_STREAM 3 [0, 0, 0, 8]", "RST_STREAM 5 [0, 0, 0, 8]"], "of 7 nothing was ever said");
        talk.open("ws://a/b").unwrap();
        let next: Vec<u32> = asked(talk);
        assert_eq!(next, [9]);
    });
}

#[test]
fn a_silent_server_fails_what_opens() {
    let open_timeout = Limits::default().open_timeout;
    let told = ["Failed((1), TimedOut)", "Closed((1), Closed { code: None, clean: false, cause: Timeout(Open) })"];
    for has_settings in [false, true] {
        every_cut(|talk| {
            if has_settings {
                talk.says(&settings(ALLOWS));
            }
            talk.open("ws://a/b").unwrap();
            assert_eq!(talk.client.poll_timeout(), Some((talk.now + open_timeout, Timer::Open)));
            talk.passes(open_timeout - Duration::from_nanos(1));
            assert_eq!(talk.told(), [""; 0]);
            talk.passes(Duration::from_nanos(1));
            assert_eq!(talk.told(), told);
            assert_eq!(talk.sent().last().unwrap() == CANCEL, has_settings);
            talk.says(&if has_settings { ok(1) } else { settings(ALLOWS) });
            assert!(talk.told().is_empty());
            assert!(talk.sent().iter().all(|frame| frame == "SETTINGS ACK"));
        });
    }
}

#[test]
fn a_paused_session_holds_its_own_credit_only() {
    let mut talk = Talk::new(Config::default(), None);
    let id = talk.opened();
    talk.client.pause(id, talk.now);
    let message = [&[0x82, 126, 0x3F, 0x00][..], &[0; 0x3F00]].concat();
    for _ in 0..4 {
        talk.says(&data(1, 0, &message));
    }
    assert_eq!((talk.told().len(), talk.sent()), (4, vec![]));
    talk.client.resume(id, talk.now);
    let used = 4 * message.len() as u32;
    assert_eq!(talk.sent(), [format!("WINDOW_UPDATE 1 {:?}", used.to_be_bytes())]);
}

#[test]
fn a_pause_and_its_end_are_no_output() {
    let mut talk = Talk::new(Config::default(), None);
    talk.says(&settings(ALLOWS));
    let id = talk.open("ws://a/b").unwrap();
    // Before it is answered, and behind that.
    for answer in [vec![], ok(1)] {
        talk.says(&answer);
        talk.told();
        talk.sent();
        talk.client.pause(id, talk.now);
        assert!(!talk.client.has_output());
        talk.client.resume(id, talk.now);
        assert!(!talk.client.has_output());
    }
}

#[test]
fn what_would_go_through_goes_into_data() {
    let mut talk = Talk::new(Config::default(), None);
    let id = talk.opened();
    let tx = talk.client.tx(id, talk.now).unwrap();
    assert!(tx.queued() == 0 && tx.send_through(Message::Text("hi"), Compress::Never).unwrap().is_none());
    assert_eq!(talk.sent(), ["DATA 1 0 8"]);
}

//= rfc9113 5.4.2 MUST 1: what was under way when we reset a stream is taken
//= type=test
#[test]
fn what_is_under_way_to_an_aborted_session_costs_nothing() {
    let mut talk = Talk::new(Config::default(), None);
    let id = talk.opened();
    talk.client.tx(id, talk.now).unwrap().send(Message::Text("shown, and not taken")).unwrap();
    assert!(talk.client.transmit_slices().count() > 0);
    talk.client.tx(id, talk.now).unwrap().abort();
    assert_eq!(talk.told(), ["(1) Closed(Closed { code: None, clean: false, cause: Local })"]);
    for _ in 0..300 {
        talk.says(&data(1, 0, b"x"));
    }
    assert_eq!(talk.told(), [""; 0]);
    assert_eq!(talk.sent(), ["DATA 1 0 26", CANCEL]);
}

#[test]
fn many_requests_at_once_are_not_the_doing_of_the_server() {
    let http2 = Http2Limits { sessions: 10_000, ..Http2Limits::default() };
    let limits = Limits { http2, ..Limits::default() };
    let mut talk = Talk::new(Config { limits, ..Config::default() }, None);
    talk.says(&settings(ALLOWS));
    for _ in 0..10_000 {
        talk.open("ws://a/b").unwrap();
    }
    assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
    talk.says(&ok(1));
    assert_eq!(talk.told()[0], "(1) open None");
    assert_eq!(talk.sent().len(), 10_003, "two frames of the beginning, an acknowledgement, and the requests");
}

#[test]
fn a_client_leaves_in_good_order() {
    every_cut(|talk| {
        talk.opened();
        talk.open("ws://a/c").unwrap();
        talk.sent();
        talk.client.shut_down(talk.now);
        talk.client.shut_down(talk.now);
        assert_eq!(talk.told(), ["Closed((3), Closed { code: None, clean: false, cause: Local })"]);
        assert_eq!(
            talk.sent(),
            ["RST_STREAM 3 [0, 0, 0, 8]", "DATA 1 0 8"],
            "what was asked for is given up, the session is closed"
        );
        assert_eq!(talk.open("ws://a/b"), Err(OpenError::Full));
        assert_eq!((talk.client.transport(), talk.client.is_closed()), (Transport::Open, false));
        talk.says(&data(1, 1, b"\x88\x02\x03\xe9"));
        assert_eq!(talk.told().len(), 2);
        assert_eq!(talk.sent(), ["DATA 1 1 0", "GOAWAY [0, 0, 0, 0, 0, 0, 0, 0]"]);
        assert_eq!((talk.client.transport(), talk.client.is_closed()), (Transport::Close, true));
    });
    let mut idle = Talk::new(Config::default(), None);
    idle.sent();
    idle.client.shut_down(idle.now);
    assert_eq!(idle.sent(), ["GOAWAY [0, 0, 0, 0, 0, 0, 0, 0]"]);
    assert!(idle.client.is_closed());
}

#[test]
fn a_server_that_reads_no_more_does_not_keep_a_connection_that_is_over() {
    let limits = Limits { release: None, ..Limits::default() };
    let mut talk = Talk::new(Config { limits, ..Config::default() }, None);
    talk.opened();
    talk.says(b"\0\0\x08\x06\0\0\0\0\x01nonsense");
    assert!(talk.told()[0].starts_with("ConnectionFailed(StreamNotZero)"));
    assert_eq!((talk.client.transport(), talk.client.is_closed()), (Transport::Open, false), "the GOAWAY waits");
    let close_timeout = Limits::default().close_timeout;
    assert_eq!(talk.client.poll_timeout(), Some((talk.now + close_timeout, Timer::Close)));
    talk.passes(close_timeout);
    assert_eq!((talk.client.transport(), talk.client.is_closed()), (Transport::Close, true));
    assert_eq!((talk.client.poll_timeout(), talk.client.has_output()), (None, false));
}

#[test]
fn a_server_may_credit_each_kib() {
    let limits = Limits { output: 8 << 20, ..Limits::default() };
    let mut talk = Talk::new(Config { limits, ..Config::default() }, None);
    let id = talk.opened();
    let message = vec![0; 4 << 20];
    talk.client.tx(id, talk.now).unwrap().send(Message::Binary(&message)).unwrap();
    let mut arrived = 0;
    while arrived < message.len() + 14 {
        let lengths = talk.sent().into_iter().map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap());
        let length: usize = lengths.sum();
        assert!(length > 0, "after {arrived}");
        arrived += length;
        for _ in 0..length.div_ceil(1024) {
            talk.says(&frame(8, 0, 0, &[0, 0, 4, 0]));
            talk.says(&frame(8, 0, 1, &[0, 0, 4, 0]));
        }
        assert_eq!(talk.told(), [""; 0]);
    }
    assert!(!talk.client.has_output());
}
