//! What is sent and received, and was it that?
//!
//! Messages are told apart by their first eight bytes, so that one delivered twice, or not at all, is missed in the
//! sum. That, their number and their length are looked at whenever time is taken; before that, every byte is, once.
//! Frames are written and read here, by a few lines that share nothing with any engine.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hasher as _};

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use sockless::{Compression, CompressionLevel, Message, Prepared, Shared, WindowBits};

use crate::transport::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Binary,
    /// ASCII, as most JSON is.
    Text,
    /// Text of several scripts: one, two, three and four bytes a character.
    Scripts,
}

/// Messages of one size in their frames, as a peer sends them.
#[derive(Clone, Debug)]
pub struct Wire {
    pub bytes: &'static [u8],
    pub messages: usize,
    /// What an engine that receives them adds up, when it is looked at every byte.
    pub tally: Tally,
}

/// What an engine was seen to receive.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub messages: usize,
    bytes: usize,
    ends: u64,
    /// Of every byte, one message behind the other.
    whole: Option<DefaultHasher>,
}

impl Tally {
    /// One that looks at every byte.
    pub fn of_every_byte() -> Tally {
        Tally { whole: Some(DefaultHasher::new()), ..Tally::default() }
    }

    /// Counts a message, and looks at both its ends.
    #[inline]
    pub fn add(&mut self, payload: &[u8]) {
        self.messages += 1;
        self.bytes += payload.len();
        if let (Some(first), Some(last)) = (payload.first_chunk(), payload.last_chunk()) {
            self.ends = self.ends.wrapping_add(u64::from_le_bytes(*first)).wrapping_add(u64::from_le_bytes(*last) >> 1);
        }
        if let Some(whole) = &mut self.whole {
            read_whole(whole, payload);
        }
    }

    /// Whether `expected` came so many times, as far as was looked.
    pub fn is(&self, expected: &Tally, times: usize) -> bool {
        let whole = |tally: &Tally| tally.whole.as_ref().map(DefaultHasher::finish);
        self.messages == expected.messages * times
            && self.bytes == expected.bytes * times
            && self.ends == expected.ends.wrapping_mul(times as u64)
            && (self.whole.is_none() || whole(self) == whole(expected))
    }
}

/// Apart, so that it is out of the way where time is taken.
#[cold]
#[inline(never)]
fn read_whole(whole: &mut DefaultHasher, payload: &[u8]) {
    whole.write(payload);
    whole.write_usize(payload.len());
}

impl Wire {
    /// Messages to an engine in `role`, each in so many frames.
    pub fn new(role: Role, kind: Kind, size: usize, messages: usize, fragments: usize) -> Wire {
        let (mut bytes, mut tally) = (Vec::new(), Tally::of_every_byte());
        let mut payload = payload(kind, size);
        for number in 0..messages {
            payload[..8].copy_from_slice(format!("{number:08x}").as_bytes());
            tally.add(&payload);
            for fragment in 0..fragments {
                let part = &payload[size * fragment / fragments..size * (fragment + 1) / fragments];
                let opcode = if fragment > 0 { 0 } else { 2 - u8::from(kind != Kind::Binary) };
                let fin = u8::from(fragment + 1 == fragments) << 7;
                let key = (role == Role::Server).then(|| key(number * fragments + fragment));
                frame(fin | opcode, part, key, &mut bytes);
            }
        }
        Wire { bytes: bytes.leak(), messages, tally }
    }
}

/// A masking key that differs from frame to frame.
fn key(number: usize) -> [u8; 4] {
    (number as u32 + 1).wrapping_mul(0x9e37_79b1).to_be_bytes()
}

pub fn payload(kind: Kind, size: usize) -> Vec<u8> {
    let pattern = match kind {
        Kind::Binary => "\u{1}\u{2}\u{3}The quick brown fox\u{0}jumps over the lazy dog\u{7f}",
        Kind::Text => r#"{"name":"The quick brown fox","over":["the","lazy","dog"],"at":1732233600}, "#,
        Kind::Scripts => {
            "Съешь ещё этих мягких французских булок; いろはにほへと ちりぬるを; fin de mot: œuf, noël 🦊 "
        }
    };
    // In front are eight digits to come. Characters are not cut: blanks fill up.
    let mut payload = vec![b'0'; 8];
    'full: loop {
        for character in pattern.chars() {
            if payload.len() + character.len_utf8() > size {
                break 'full;
            }
            payload.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
    payload.resize(size, b' ');
    payload
}

/// Appends a frame.
pub fn frame(first: u8, payload: &[u8], key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let masked = u8::from(key.is_some()) << 7;
    out.push(first);
    match payload.len() {
        length @ 0..126 => out.push(masked | length as u8),
        length @ 126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(masked | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    let key = key.inspect(|key| out.extend_from_slice(key)).unwrap_or_default();
    out.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
}

/// How long a frame is in the shortest form.
pub fn framed(role: Role, size: usize) -> usize {
    let length = match size {
        0..126 => 0,
        126..0x1_0000 => 2,
        _ => 8,
    };
    2 + length + if role == Role::Client { 4 } else { 0 } + size
}

/// Whether an engine in `role` wrote just these messages, a frame each, with a new key for each where it must mask.
pub fn check_written(role: Role, mut bytes: &[u8], payloads: &mut dyn Iterator<Item = &[u8]>) -> Result<(), Failure> {
    let mut keys = HashSet::new();
    for (number, payload) in payloads.enumerate() {
        let Some((frame, rest)) = bytes.split_at_checked(framed(role, payload.len())) else {
            return Err(format!("message {number} was not written in full").into());
        };
        bytes = rest;
        let (header, body) = frame.split_at(frame.len() - payload.len());
        let mut expected = Vec::new();
        let key = if role == Role::Client { header.last_chunk().copied() } else { None };
        self::frame(0x82, payload, key, &mut expected);
        if [header, body].concat() != expected {
            return Err(
                format!("message {number} was written otherwise: {:02x?}", &frame[..frame.len().min(40)]).into()
            );
        }
        if key.is_some_and(|key| !keys.insert(key)) {
            return Err(format!("message {number} was masked with a key of another").into());
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(format!("{} bytes too many were written", bytes.len()).into()) }
}

/// Whether a server wrote just this message so many times, each compressed by itself.
pub fn check_inflates(mut bytes: &[u8], payload: &[u8], times: usize) -> Result<(), Failure> {
    for number in 0..times {
        let (0xc2, length, rest) = (match *bytes {
            [first, length @ 0..126, ref rest @ ..] => (first, usize::from(length), rest),
            [first, 126, high, low, ref rest @ ..] => (first, usize::from(u16::from_be_bytes([high, low])), rest),
            _ => return Err(format!("message {number} was not written").into()),
        }) else {
            return Err(format!("message {number} was not compressed").into());
        };
        let (body, rest) = rest.split_at_checked(length).ok_or("a message was not written in full")?;
        bytes = rest;
        let (body, mut inflated) = ([body, &[0, 0, 0xff, 0xff]].concat(), Vec::with_capacity(payload.len() + 64));
        let status = Decompress::new(false).decompress_vec(&body, &mut inflated, FlushDecompress::Sync)?;
        if status == Status::BufError || inflated != payload {
            return Err(format!("message {number} inflates to something else").into());
        }
    }
    if bytes.is_empty() { Ok(()) } else { Err(format!("{} bytes too many were written", bytes.len()).into()) }
}

/// A message to send, in each form that an engine can make use of.
#[derive(Clone, Debug)]
pub struct Outgoing {
    pub bytes: &'static [u8],
    /// For those who take a payload for good, where it does not live for ever.
    counted: Option<Bytes>,
    pub shared: Shared,
    pub prepared: Prepared,
}

impl Outgoing {
    pub fn new(size: usize) -> Outgoing {
        let bytes: &[u8] = payload(Kind::Text, size).leak();
        let prepared = Prepared::new(Message::Binary(bytes));
        Outgoing { bytes, counted: None, shared: bytes.to_vec().into(), prepared }
    }

    /// Made while a program runs, for everyone: nothing of it lives for ever, nor is any of it encoded before.
    pub fn new_broadcast(bytes: &'static [u8], is_compressed: bool) -> Outgoing {
        let message = Message::Binary(bytes);
        let prepared = if is_compressed {
            let compression = Compression { level: CompressionLevel::FASTEST, ..Compression::default() };
            Prepared::compressed(message, &compression, &[WindowBits::MAX])
        } else {
            Prepared::new(message)
        };
        Outgoing { bytes, counted: Some(bytes.to_vec().into()), shared: bytes.to_vec().into(), prepared }
    }

    /// The payload for good; it costs nothing, but for references to be counted in a broadcast.
    #[inline(always)]
    pub fn given(&self) -> Bytes {
        match &self.counted {
            None => Bytes::from_static(self.bytes),
            Some(bytes) => bytes.clone(),
        }
    }
}

/// What a browser asks.
pub const REQUEST: &[u8] = b"GET /chat?room=general HTTP/1.1\r\nHost: chat.example.com\r\nConnection: Upgrade\r\n\
    Pragma: no-cache\r\nCache-Control: no-cache\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 \
    (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\nUpgrade: websocket\r\nOrigin: https://chat.example.com\r\n\
    Sec-WebSocket-Version: 13\r\nAccept-Encoding: gzip, deflate, br, zstd\r\nAccept-Language: en-US,en;q=0.9\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; \
    client_max_window_bits\r\n\r\n";

/// What every answer to it holds (RFC 6455 §1.3 has this key and this answer).
pub const ACCEPT: &[u8] = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
