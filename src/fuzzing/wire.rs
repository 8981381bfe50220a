//! What did an endpoint send, and is it well-formed? (RFC 6455 §5, RFC 9112 §4 to §6)

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use super::inflater::Inflater;
use super::reference;
use crate::config::Limits;
use crate::frame::header::{Expect, OpCode};

/// A frame as it was sent, unmasked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) fin: bool,
    /// RSV1.
    pub(super) compressed: bool,
    pub(super) opcode: OpCode,
    pub(super) payload: Vec<u8>,
}

/// Reads frames that must all be whole and well-formed, as a peer without limits would. With compression RSV1 may stand on
/// the first frame of a message, and nowhere else.
pub(super) fn frames(mut bytes: &[u8], masked: bool, compression: bool) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut continuation = false;
    while !bytes.is_empty() {
        let compressed = compression.then_some(u64::MAX);
        let expect = Expect { masked, continuation, fragment: true, frame: u64::MAX, message: u64::MAX, compressed };
        let read = reference::header(bytes, expect);
        assert!(matches!(read, Some((_, Ok(_)))), "{read:?} was sent: {bytes:?}");
        let Some((size, Ok(header))) = read else { break };
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        assert!(length <= bytes.len() - size, "a frame was sent without its end: {bytes:?}");
        let (payload, rest) = bytes[size..].split_at(length);
        bytes = rest;
        if !header.opcode.is_control() {
            continuation = !header.fin;
        }
        let unmasked = payload.iter().enumerate().map(|(at, byte)| byte ^ header.masking_key[at % 4]);
        let (fin, compressed, opcode) = (header.fin, header.compressed, header.opcode);
        frames.push(Frame { fin, compressed, opcode, payload: unmasked.collect() });
    }
    frames
}

/// The messages among frames, each as one frame whose payload is plain.
pub(super) fn messages(frames: Vec<Frame>, inflater: &mut Option<Inflater>) -> Vec<Frame> {
    let mut messages: Vec<Frame> = Vec::new();
    for frame in frames.into_iter().filter(|frame| !frame.opcode.is_control()) {
        let mut message = match messages.pop_if(|message| !message.fin) {
            None => frame,
            Some(begun) => Frame { fin: frame.fin, payload: [begun.payload, frame.payload].concat(), ..begun },
        };
        if let (true, true, Some(inflater)) = (message.fin, message.compressed, &mut *inflater) {
            message.payload = inflater.inflate(&message.payload);
        }
        messages.push(message);
    }
    messages
}

/// The head that bytes begin with, without the empty lines before it, if it is complete; and what follows it.
pub(super) fn split_head(bytes: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let head = &bytes[empty_lines(bytes)..];
    match head.windows(4).position(|four| four == b"\r\n\r\n") {
        Some(at) => (Some(&head[..at + 4]), &head[at + 4..]),
        None => (None, &[]),
    }
}

/// How many bytes of empty lines go before a head.
pub(super) fn empty_lines(bytes: &[u8]) -> usize {
    bytes.chunks_exact(2).take_while(|two| *two == b"\r\n").count() * 2
}

/// How much there is of a head, complete or not.
pub(super) struct Shape {
    /// Bytes, with the empty lines before it.
    pub(super) bytes: usize,
    /// Bytes in the first line, with its end.
    pub(super) first_line: usize,
    /// Lines that ended behind the first one, but for the empty one.
    pub(super) fields: usize,
    pub(super) has_bare_line_feed: bool,
}

impl Shape {
    pub(super) fn of(head: &[u8]) -> Shape {
        let lines = || head[empty_lines(head)..].split_inclusive(|byte| *byte == b'\n');
        Shape {
            bytes: head.len(),
            first_line: lines().next().map_or(0, <[u8]>::len),
            fields: lines().skip(1).filter(|line| line.ends_with(b"\n") && *line != b"\r\n").count(),
            has_bare_line_feed: lines().any(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n")),
        }
    }

    pub(super) fn is_within(&self, limits: &Limits) -> bool {
        !self.has_bare_line_feed
            && self.bytes <= limits.head
            && self.first_line <= limits.target + 2
            && self.fields <= limits.fields
    }
}

/// A head that somebody wrote, and what follows it.
pub(super) struct Parsed<'w> {
    /// Method and target, or status.
    pub(super) method: &'w str,
    pub(super) target: &'w str,
    pub(super) status: u16,
    /// The minor version of HTTP/1.
    pub(super) version: u8,
    /// Values without blanks around them.
    pub(super) fields: Vec<(String, Vec<u8>)>,
    pub(super) rest: &'w [u8],
}

impl Parsed<'_> {
    /// The values of all fields of a name.
    pub(super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p [u8]> {
        self.fields.iter().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| &value[..])
    }

    /// The value of a field that stands once.
    pub(super) fn once<'p>(&'p self, name: &'p str) -> Option<&'p [u8]> {
        let mut all = self.all(name);
        all.next().filter(|_| all.next().is_none())
    }

    /// Whether the fields of a name, read as one list, have an element, in any case.
    pub(super) fn lists(&self, name: &str, element: &str) -> bool {
        self.elements(name).iter().any(|found| found.eq_ignore_ascii_case(element))
    }

    pub(super) fn elements(&self, name: &str) -> Vec<String> {
        let lines: Vec<_> = self.all(name).map(|value| String::from_utf8_lossy(value).into_owned()).collect();
        let blank = |c| c == ' ' || c == '\t';
        let elements = lines.iter().flat_map(|line| line.split(',')).map(|element| element.trim_matches(blank));
        elements.filter(|element| !element.is_empty()).map(str::to_owned).collect()
    }
}

const MAX_FIELDS: usize = 128;

/// The head of a request as httparse reads it.
pub(super) fn request(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut slots);
    let Ok(httparse::Status::Complete(end)) = request.parse(bytes) else { return None };
    Some(Parsed {
        method: request.method?,
        target: request.path?,
        status: 0,
        version: request.version?,
        fields: owned(request.headers),
        rest: &bytes[end..],
    })
}

/// The head of a response as httparse reads it.
pub(super) fn response(bytes: &[u8]) -> Option<Parsed<'_>> {
    let mut slots = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut response = httparse::Response::new(&mut slots);
    let Ok(httparse::Status::Complete(end)) = response.parse(bytes) else { return None };
    Some(Parsed {
        method: "",
        target: "",
        status: response.code?,
        version: response.version?,
        fields: owned(response.headers),
        rest: &bytes[end..],
    })
}

/// The value of `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
pub(super) fn accept(key: &[u8]) -> String {
    let guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(guid).finalize())
}

/// RFC 9110 §5.6.2.
pub(super) fn is_token(text: &str) -> bool {
    let separators = "\"(),/:;<=>?@[\\]{}";
    !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic() && !separators.contains(c))
}

/// Checks a response that ends its connection: complete, framed by its length, nothing behind it.
pub(super) fn assert_final_response(bytes: &[u8], status: u16, to_head: bool) {
    let shown = String::from_utf8_lossy(bytes);
    let Some(response) = response(bytes) else {
        assert_eq!(shown, "", "not the head of a response");
        return;
    };
    assert_eq!((response.status, response.version), (status, 1), "status and version of {shown}");
    assert!(response.lists("connection", "close"), "it is to be the last: {shown}");
    assert!(shown.lines().all(|line| !line.contains('\r')), "a bare carriage return: {shown:?}");
    if matches!(status, 204 | 304) {
        assert!(response.rest.is_empty(), "a body that may not be: {shown}");
        return;
    }
    let length = response.once("content-length").and_then(|length| core::str::from_utf8(length).ok());
    let length = length.and_then(|length| length.parse().ok());
    let there = if to_head { length } else { Some(response.rest.len()) };
    assert_eq!(length, there, "the length of the body: {shown}");
    assert!(!to_head || response.rest.is_empty(), "a body for HEAD: {shown}");
    match status {
        405 => assert_eq!(response.once("allow"), Some(&b"GET"[..]), "{shown}"),
        426 => {
            assert!(response.lists("upgrade", "websocket"), "426 without Upgrade: {shown}");
            assert_eq!(response.once("sec-websocket-version"), Some(&b"13"[..]), "{shown}");
        }
        _ => {}
    }
}

fn owned(fields: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    let trimmed = |value: &[u8]| {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let end = value.iter().rposition(|byte| !blank(byte)).map_or(0, |last| last + 1);
        let start = value.iter().position(|byte| !blank(byte)).unwrap_or(end);
        value[start..end].to_vec()
    };
    fields.iter().map(|field| (field.name.to_owned(), trimmed(field.value))).collect()
}
