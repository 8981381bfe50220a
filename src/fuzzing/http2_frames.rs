//! Is what an endpoint sends over HTTP/2 well-formed, and may it be sent after all that its peer sent? (RFC 9113 §4 to §6)
//!
//! A [`Watch`] reads both directions, frame by frame, as they go over the wire. It knows nothing of the engine: what it keeps is
//! what a peer would know.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use super::hpack::{Decoder, Fields};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

/// END_STREAM on DATA and HEADERS, ACK on SETTINGS and PING.
const FIRST_FLAG: u8 = 0x01;
const END_HEADERS: u8 = 0x04;

/// The longest payload that every peer understands, and the largest window.
const MAX_PAYLOAD: usize = 16_384;
const MAX_WINDOW: u32 = 0x7FFF_FFFF;
const INITIAL_WINDOW: i64 = 65_535;

/// What a client's connection begins with, and how much of that a server takes for the head of HTTP/1.1 that it is not.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const PREFACE_HEAD: usize = 18;

/// Both directions of a connection of which one end is watched.
pub(super) struct Watch {
    by_server: bool,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The client's preface has gone by.
    is_prefaced: bool,
    /// The client's bytes are those of HTTP/1.1, or may still be.
    is_http1: bool,
    /// What the peer has sent and waits for the answer to.
    pings: VecDeque<Vec<u8>>,
    settings: usize,
    /// The peer's initial window, and its largest since nothing was under way.
    initial: i64,
    initial_most: i64,
    /// DATA that may be sent on the connection.
    window: i64,
    pub(super) streams: BTreeMap<u32, Stream>,
    /// The highest stream that a client spoke of.
    highest: u32,
    decoder: Decoder,
    /// A block that has not ended.
    block: Option<(u32, Vec<u8>)>,
    frames: usize,
    /// The code of the last GOAWAY that was sent.
    pub(super) gone: Option<u32>,
}

/// What was sent on a stream, but for what its peer granted.
#[derive(Default)]
pub(super) struct Stream {
    pub(super) head: Option<Fields>,
    pub(super) data: Vec<u8>,
    pub(super) is_ended: bool,
    pub(super) is_reset: bool,
    /// What was granted beside the initial window.
    granted: i64,
}

#[derive(Clone, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Watch {
    pub(super) fn new(by_server: bool) -> Watch {
        Watch {
            by_server,
            input: Vec::new(),
            output: Vec::new(),
            is_prefaced: false,
            is_http1: by_server,
            pings: VecDeque::new(),
            settings: 0,
            initial: INITIAL_WINDOW,
            initial_most: INITIAL_WINDOW,
            window: INITIAL_WINDOW,
            streams: BTreeMap::new(),
            highest: 0,
            decoder: Decoder::default(),
            block: None,
            frames: 0,
            gone: None,
        }
    }

    /// Whether the client speaks HTTP/2, as far as one can tell.
    pub(super) fn is_http2(&self) -> bool {
        !self.is_http1
    }

    /// The peer's bytes, which need not be well-formed. What they grant may be overrated, as long as they are not.
    pub(super) fn received(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        if self.by_server && !self.is_prefaced {
            self.is_http1 = !self.input.starts_with(&PREFACE[..PREFACE_HEAD]);
            if self.is_http1 || self.input.len() < PREFACE.len() {
                return;
            }
            self.input.drain(..PREFACE.len());
            self.is_prefaced = true;
        }
        while let Some(frame) = next(&mut self.input) {
            self.grant(&frame);
        }
        self.initial_most = self.initial_most.max(self.initial_to_come());
    }

    /// The largest initial window in settings that are incomplete: each of them holds as soon as it is there.
    fn initial_to_come(&self) -> i64 {
        let [_, _, _, SETTINGS, _, _, _, _, _, entries @ ..] = &self.input[..] else { return 0 };
        entries.chunks_exact(6).filter_map(initial_window).max().unwrap_or_default()
    }

    fn grant(&mut self, frame: &Frame) {
        let payload = &frame.payload[..];
        let is_first_flag = frame.flags & FIRST_FLAG != 0;
        match frame.kind {
            HEADERS if self.by_server => self.highest = self.highest.max(frame.stream),
            SETTINGS if !is_first_flag => {
                self.settings += 1;
                for initial in payload.chunks_exact(6).filter_map(initial_window) {
                    self.initial = initial;
                    self.initial_most = self.initial_most.max(initial);
                }
            }
            PING if !is_first_flag => self.pings.push_back(payload.to_vec()),
            WINDOW_UPDATE if payload.len() == 4 => {
                let increment = i64::from(number(payload) & MAX_WINDOW);
                match frame.stream {
                    0 => self.window += increment,
                    stream => self.streams.entry(stream).or_default().granted += increment,
                }
            }
            _ => {}
        }
    }

    /// What the watched end wrote, cut anywhere. Every frame of it must be one that could be sent.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
        if self.is_http1 {
            return;
        }
        if !self.by_server && !self.is_prefaced {
            if self.output.len() < PREFACE.len() {
                return;
            }
            assert_eq!(self.output[..PREFACE.len()], *PREFACE, "the preface");
            self.output.drain(..PREFACE.len());
            self.is_prefaced = true;
        }
        while let Some(frame) = next(&mut self.output) {
            self.check(frame);
        }
    }

    /// Says that nothing of the output is left.
    pub(super) fn drained(&mut self) {
        assert!(self.is_http1 || self.output.is_empty(), "a frame without its end: {:02x?}", self.output);
        self.initial_most = self.initial.max(self.initial_to_come());
    }

    /// All that wants an answer has got one.
    pub(super) fn assert_answered(&self) {
        assert!(self.pings.is_empty(), "PING without an answer: {:?}", self.pings);
        assert_eq!(self.settings, 0, "settings are not acknowledged");
    }

    /// Whether the peer let no more DATA through on this stream. It says nothing while settings are incomplete.
    pub(super) fn is_blocked(&self, stream: u32) -> bool {
        let granted = self.streams.get(&stream).map_or(0, |stream| stream.granted - stream.data.len() as i64);
        self.input.get(3) == Some(&SETTINGS) || self.window <= 0 || self.initial + granted <= 0
    }

    fn check(&mut self, frame: Frame) {
        self.frames += 1;
        let Frame { kind, flags, stream, payload } = frame;
        let is_first_flag = flags & FIRST_FLAG != 0;
        assert!(payload.len() <= MAX_PAYLOAD, "{} bytes in a frame of type {kind}", payload.len());
        assert!(self.gone.is_none_or(|code| code == 0), "type {kind} behind GOAWAY of {:?}", self.gone);
        assert!(self.frames > 1 || (kind == SETTINGS && !is_first_flag), "type {kind} is the first frame");
        let continues = self.block.as_ref().map(|(stream, _)| *stream);
        assert!(
            continues.is_none() || (kind == CONTINUATION && continues == Some(stream)),
            "type {kind} inside of a block of {continues:?}"
        );
        match kind {
            SETTINGS => {
                assert_eq!((stream, payload.len() % 6), (0, 0), "SETTINGS");
                if is_first_flag {
                    assert!(payload.is_empty() && self.settings > 0, "an acknowledgement of nothing");
                    self.settings -= 1;
                }
            }
            PING => {
                assert!(is_first_flag && stream == 0, "a PING that nobody wants");
                assert_eq!(self.pings.pop_front(), Some(payload), "the answer to a PING");
            }
            GOAWAY => {
                assert!(stream == 0 && payload.len() >= 8, "GOAWAY: {payload:?}");
                let last = number(&payload);
                assert!(last <= if self.by_server { self.highest } else { 0 }, "GOAWAY tells of stream {last}");
                self.gone = Some(number(&payload[4..]));
            }
            WINDOW_UPDATE => {
                assert_eq!(payload.len(), 4, "WINDOW_UPDATE");
                assert!((1..=MAX_WINDOW).contains(&number(&payload)), "WINDOW_UPDATE: {payload:?}");
                if stream > 0 {
                    self.assert_spoken_of(stream, "WINDOW_UPDATE");
                }
            }
            RST_STREAM => {
                assert_eq!(payload.len(), 4, "RST_STREAM");
                self.assert_spoken_of(stream, "RST_STREAM");
                self.streams.entry(stream).or_default().is_reset = true;
            }
            HEADERS => {
                if !self.by_server {
                    assert!(stream > self.highest, "HEADERS on {stream} behind {}", self.highest);
                    self.highest = stream;
                }
                self.assert_spoken_of(stream, "HEADERS");
                let open = self.streams.entry(stream).or_default();
                assert!(open.head.is_none() && !open.is_ended, "a second head on {stream}");
                open.is_ended = is_first_flag;
                self.block(stream, payload, flags);
            }
            CONTINUATION => {
                let Some((_, mut begun)) = self.block.take() else {
                    assert_eq!(kind, HEADERS, "CONTINUATION of nothing");
                    return;
                };
                begun.extend_from_slice(&payload);
                self.block(stream, begun, flags);
            }
            DATA => {
                self.assert_spoken_of(stream, "DATA");
                self.window -= payload.len() as i64;
                assert!(
                    payload.is_empty() || self.window >= 0,
                    "{} bytes beyond the connection's window",
                    -self.window
                );
                let open = self.streams.entry(stream).or_default();
                assert!(open.head.is_some() && !open.is_ended, "DATA on {stream}, without a head or behind its end");
                open.is_ended = is_first_flag;
                open.data.extend_from_slice(&payload);
                let left = self.initial_most + open.granted - open.data.len() as i64;
                assert!(payload.is_empty() || left >= 0, "{} bytes beyond the window of {stream}", -left);
                assert!(flags & !FIRST_FLAG == 0, "flags {flags:#x} on DATA");
            }
            _ => assert_eq!(kind, DATA, "a frame of a type that is never sent"),
        }
    }

    /// The stream is one that the client opened, and it was not reset by this side.
    fn assert_spoken_of(&self, stream: u32, what: &str) {
        let is_open = stream % 2 == 1 && stream <= self.highest;
        let is_reset = self.streams.get(&stream).is_some_and(|stream| stream.is_reset);
        assert!(is_open && !is_reset, "{what} on stream {stream}, which is idle, or was reset");
    }

    fn block(&mut self, stream: u32, block: Vec<u8>, flags: u8) {
        if flags & END_HEADERS == 0 {
            self.block = Some((stream, block));
            return;
        }
        let fields = self.decoder.decode(&block);
        assert!(fields.is_ok(), "{fields:?}: {block:02x?}");
        let fields = fields.unwrap_or_default();
        let pseudo: &[&str] =
            if self.by_server { &[":status"] } else { &[":method", ":protocol", ":scheme", ":path", ":authority"] };
        let (front, others) = fields.split_at(pseudo.len().min(fields.len()));
        assert!(front.iter().map(|field| &field.0[..]).eq(pseudo.iter().map(|name| name.as_bytes())), "{fields:?}");
        let is_lower =
            |name: &[u8]| !name.is_empty() && !name.iter().any(|byte| byte.is_ascii_uppercase() || *byte == b':');
        assert!(others.iter().all(|field| is_lower(&field.0)), "{fields:?}");
        self.streams.entry(stream).or_default().head = Some(fields);
    }
}

/// Takes a frame that is complete off the front.
fn next(bytes: &mut Vec<u8>) -> Option<Frame> {
    let [a, b, c, kind, flags, d, e, f, g, ..] = bytes[..] else { return None };
    let length = number(&[0, a, b, c]) as usize;
    let payload = bytes.get(9..9 + length)?.to_vec();
    bytes.drain(..9 + length);
    Some(Frame { kind, flags, stream: number(&[d, e, f, g]) & MAX_WINDOW, payload })
}

fn initial_window(entry: &[u8]) -> Option<i64> {
    (entry[..2] == [0, 4]).then(|| i64::from(number(&entry[2..])))
}

fn number(bytes: &[u8]) -> u32 {
    bytes.iter().take(4).fold(0, |number, byte| number << 8 | u32::from(*byte))
}
