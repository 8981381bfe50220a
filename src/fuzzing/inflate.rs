//! Does a receiver make of any compressed payload what RFC 7692 does, wherever it is cut, and within its limits?
//!
//! The input is a list of messages: payloads as they are, or programs that a plain writer of DEFLATE makes payloads of, so
//! that much of what comes is valid. They are cut into frames and reads. Whole messages and chunks, one read and many, must
//! all be what the plain reading says.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::inflater::{self, Inflater};
use super::record::{Happening, Record};
use super::reference::{Circumstances, Expected};
use super::setup::{self, Choices, Cuts, Foreseen, NOW};
use crate::config::{Agreed, Compression, Config, Delivery, Limits};
use crate::deflate::params::{DeflateParameters, WindowBits};
use crate::frame::header::{Header, OpCode};
use crate::frame::mask;
use crate::websocket::{Incoming, WebSocket};

/// Compressed messages, to a server or to a client.
pub fn inflate(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut flags, mut sizes) = (choices.flags(), choices.flags());
    let (by_server, takeover) = (flags.flag(), !flags.flag());
    let (pool, hibernates) = (flags.flag().then(Arc::default), flags.flag());
    let window = [15, 8, 9, 12][usize::from(flags.four())];
    let limits = Limits {
        message: [1 << 16, 300, 5_000, 20_000][usize::from(sizes.four())],
        ratio: [1032, 2, 20, 100][usize::from(sizes.four())],
        fragments: [1024, 1, 3, 8][usize::from(sizes.four())],
        frame: [u64::MAX, 20, 200, 4_000][usize::from(sizes.four())],
        ..Limits::default()
    };
    let window = WindowBits::new(window).unwrap_or_default();
    let (cuts, releases) = (choices.cuts(), flags.flag());
    let stream = Stream {
        by_server,
        agreed: DeflateParameters {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            server_max_window_bits: window,
            client_max_window_bits: window,
        },
        compression: Compression { pool, hibernate: hibernates.then_some(Duration::ZERO), ..Compression::default() },
        limits,
        releases,
        bytes: frames(&mut choices, by_server),
    };
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for cuts in [&Cuts::Whole, &cuts] {
            stream.play(delivery, cuts);
        }
    }
}

/// More messages than this show nothing that fewer do not.
const MAX_MESSAGES: usize = 20;

/// Reads the list of messages, and writes their frames.
fn frames(choices: &mut Choices<'_>, masked: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..MAX_MESSAGES {
        if choices.is_empty() {
            break;
        }
        let mut flags = choices.flags();
        let (is_text, is_plain, is_raw, pings) = (flags.flag(), flags.flag(), flags.flag(), flags.flag());
        let cuts = if flags.flag() { choices.cuts() } else { Cuts::Whole };
        let length = usize::from(choices.byte()) + if flags.flag() { 256 } else { 0 };
        let script = choices.take(length);
        let payload = if is_plain || is_raw { script.to_vec() } else { Writer::payload(script) };
        let mut fragments: Vec<&[u8]> = cuts.reads(&payload).collect();
        if fragments.is_empty() {
            fragments.push(&[]);
        }
        let last = fragments.len() - 1;
        for (at, fragment) in fragments.into_iter().enumerate() {
            let opcode = match (at, is_text) {
                (0, true) => OpCode::Text,
                (0, false) => OpCode::Binary,
                _ => OpCode::Continuation,
            };
            frame(&mut bytes, at == last, opcode, at == 0 && !is_plain, fragment, masked);
            if pings {
                frame(&mut bytes, true, OpCode::Ping, false, b"\xF2?", masked);
            }
        }
    }
    bytes
}

fn frame(bytes: &mut Vec<u8>, fin: bool, opcode: OpCode, compressed: bool, payload: &[u8], masked: bool) {
    let key = masked.then_some([1, 2, 3, 4]);
    let mut header = Header::encode(fin, opcode, payload.len() as u64, key);
    if compressed {
        header = header.compressed();
    }
    bytes.extend_from_slice(header.as_bytes());
    mask::append(bytes, payload, key.unwrap_or_default());
}

struct Stream {
    by_server: bool,
    agreed: DeflateParameters,
    compression: Compression,
    limits: Limits,
    /// Everything is released behind each read.
    releases: bool,
    bytes: Vec<u8>,
}

impl Stream {
    fn play(&self, delivery: Delivery, cuts: &Cuts) {
        let (limits, compression) = (self.limits.clone(), Some(self.compression.clone()));
        let config = Config { limits, delivery, compression, ..Config::default() };
        let agreed = Agreed::default().with_deflate(self.agreed);
        let mut socket = if self.by_server {
            WebSocket::server(&agreed, setup::shared(&config), NOW)
        } else {
            let client = WebSocket::client(&agreed, setup::shared(&config), Foreseen, NOW);
            assert!(client.is_ok(), "{client:?}");
            let Ok(client) = client else { return };
            client
        };
        let mut record = Record::new(&config);
        for read in cuts.reads(&self.bytes) {
            let mut read = read.to_vec();
            let mut input = &mut read[..];
            while let Some(Incoming { event, .. }) = socket.receive(&mut input, NOW) {
                record.event(event);
            }
            assert!(input.is_empty(), "bytes were left in the read");
            if self.releases {
                socket.release();
            }
        }
        // Closed costs no byte.
        while let Some(Incoming { event, .. }) = socket.receive(&mut &mut [][..], NOW) {
            record.event(event);
        }
        assert_eq!(record.fault().is_some(), record.is_over(), "{:?}", record.happened.last());
        let inflater = Some(Inflater::of(self.agreed, !self.by_server));
        let circumstances = Circumstances { masked: self.by_server, closing: false, ends: false, inflater };
        Expected::of(&self.bytes, &self.limits, &circumstances, &record).assert_is(&record, &config);
        if let Some(Happening::Message(last)) = record.happened.last() {
            assert!(last.bytes.len() as u64 <= self.limits.message, "a message beyond the limit");
        }
    }
}

/// Writes DEFLATE as a program says.
struct Writer {
    bytes: Vec<u8>,
    /// Bits of the last byte that are written.
    bits: usize,
    block: Option<Coded>,
}

/// A block that is open.
struct Coded {
    /// It has BFINAL.
    is_last: bool,
    /// For symbols and for distances: the words, and how long they are.
    codes: [(Vec<usize>, Vec<usize>); 2],
}

impl Writer {
    /// The payload of a message.
    fn payload(program: &[u8]) -> Vec<u8> {
        let mut writer = Writer { bytes: Vec::new(), bits: 8, block: None };
        let mut choices = Choices::of(program);
        while !choices.is_empty() {
            writer.call(&mut choices);
        }
        writer.end();
        // The header of the empty block behind it, whose other four bytes are left out; nothing behind BFINAL is right too.
        if program.last().is_some_and(|last| last & 1 == 0) {
            writer.put(0, 3);
        }
        writer.bytes
    }

    fn call(&mut self, choices: &mut Choices<'_>) {
        let call = choices.byte();
        let ends = usize::from(call & 0x80 != 0);
        match call % 8 {
            0 => {
                self.end();
                let stored = choices.take(usize::from(call >> 3 & 15));
                self.put(ends, 3);
                self.align();
                self.put(stored.len(), 16);
                self.put(!stored.len() & 0xFFFF, 16);
                self.bytes.extend_from_slice(stored);
            }
            1 => {
                self.end();
                self.put(ends | 1 << 1, 3);
                let symbols = [&[8; 144][..], &[9; 112], &[7; 24], &[8; 8]].concat();
                self.begin(ends == 1, [symbols, [5; 32].to_vec()]);
            }
            2 => {
                self.end();
                self.put(ends | 2 << 1, 3);
                let codes = [[&[8; 226][..], &[9; 60]].concat(), [&[4; 2][..], &[5; 28]].concat()];
                self.put(286 - 257, 5);
                self.put(30 - 1, 5);
                self.put(12 - 4, 4);
                // Lengths 8, 9, 5 and 4 are said in two bits each.
                [0, 0, 0, 0, 2, 0, 2, 0, 0, 2, 0, 2].into_iter().for_each(|length| self.put(length, 3));
                for length in codes.concat() {
                    let word = [4, 5, 8, 9].iter().position(|other| *other == length).unwrap_or_default();
                    self.put(word >> 1 | (word & 1) << 1, 2);
                }
                self.begin(ends == 1, codes);
            }
            3 => self.end(),
            4 => {
                let (length, distance) = (usize::from(call >> 3) % 29, usize::from(choices.byte() % 30));
                let extra = usize::from(choices.byte());
                self.symbol(0, 257 + length);
                self.put(extra, if length == 28 { 0 } else { length.max(4) / 4 - 1 });
                self.symbol(1, distance);
                self.put(extra * 33, distance.max(2) / 2 - 1);
            }
            _ => {
                let byte = choices.byte();
                for _ in 0..=call >> 3 {
                    self.symbol(0, usize::from(byte));
                }
            }
        }
    }

    fn begin(&mut self, is_last: bool, lengths: [Vec<usize>; 2]) {
        let codes = lengths.map(|lengths| (inflater::words(&lengths), lengths));
        self.block = Some(Coded { is_last, codes });
    }

    /// Ends the block that is open.
    fn end(&mut self) {
        self.symbol(0, 256);
        if self.block.take().is_some_and(|block| block.is_last) {
            self.align();
        }
    }

    /// Writes a symbol, if there is a block for it.
    fn symbol(&mut self, code: usize, symbol: usize) {
        let Some(Coded { codes, .. }) = &self.block else { return };
        let (word, length) = (codes[code].0[symbol], codes[code].1[symbol]);
        (0..length).rev().for_each(|bit| self.put(word >> bit & 1, 1));
    }

    fn put(&mut self, value: usize, bits: usize) {
        for bit in 0..bits {
            if self.bits == 8 {
                self.bytes.push(0);
                self.bits = 0;
            }
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> bit & 1 == 1) << self.bits;
            }
            self.bits += 1;
        }
    }

    fn align(&mut self) {
        self.bits = 8;
    }
}
