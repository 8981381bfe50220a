//! What does the work cost, when nothing is checked and no case is thought of?
//!
//! `memcpy` copies the same bytes once. The bare loop reads headers, unmasks in place and counts; text it hands to
//! simdutf8; what it sends it copies behind a header, masked on the way if it must be. A server's payload that has a write
//! of its own, or is echoed and long, it lends. It assembles nothing: a message that several reads or frames bring stays
//! in pieces. It is plain, not tuned: an engine that is can be ahead of it where messages are small. A handshake is
//! httparse, SHA-1 and base64. It comes with a mask in safe code, for any x86-64, and with one that uses AVX2 or AVX-512
//! where the machine has it: sockudo-ws's, which can be called by itself.

use std::hint::black_box;
use std::io::IoSlice;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use sha1::{Digest, Sha1};

use crate::engines::{Connection, Engine};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{self, Outcome, dry, is_flush_due};

/// A piece that is not worth a copy.
const LONG: usize = 4 << 10;

pub struct Memcpy;

impl Engine for Memcpy {
    fn name(&self) -> &'static str {
        "memcpy"
    }

    fn connect(&self, _: Role, _: usize) -> Box<dyn Connection> {
        Box::new(Copies(vec![0; 1 << 20]))
    }
}

struct Copies(Vec<u8>);

impl Connection for Copies {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        while transport::unread() > 0 {
            transport::read(&mut self.0[..64 << 10]);
            black_box(&mut self.0);
        }
        tally.messages = until;
        Ok(())
    }

    fn send(&mut self, message: &Outgoing, times: usize, _: usize) -> Outcome {
        let (room, _) = self.0.split_at_mut(message.bytes.len());
        for _ in 0..times {
            room.copy_from_slice(black_box(message.bytes));
            transport::write(room);
        }
        Ok(())
    }

    fn echo(&mut self, _: usize, _: usize) -> Outcome {
        while transport::unread() > 0 {
            let count = transport::read(&mut self.0[..64 << 10]);
            transport::write(&self.0[..count]);
        }
        Ok(())
    }
}

pub struct Bare<const SIMD: bool>;

impl<const SIMD: bool> Engine for Bare<SIMD> {
    fn name(&self) -> &'static str {
        if SIMD { "bare loop, SIMD" } else { "bare loop" }
    }

    fn connect(&self, role: Role, _: usize) -> Box<dyn Connection> {
        let (input, output) = (vec![0; HEADER + (64 << 10)], Vec::with_capacity(2 << 20));
        Box::new(Loop::<SIMD> { role, input, output, text: false, fin: true, missing: 0, key: [0; 4], keys: 1 })
    }

    fn open(&self) -> Option<Outcome> {
        (!SIMD).then(open)
    }
}

/// The longest header.
const HEADER: usize = 14;

struct Loop<const SIMD: bool> {
    role: Role,
    input: Vec<u8>,
    output: Vec<u8>,
    text: bool,
    fin: bool,
    /// How much of a payload has not come.
    missing: usize,
    key: [u8; 4],
    keys: u32,
}

impl<const SIMD: bool> Loop<SIMD> {
    /// Reads until so many messages have come, and shows each piece: of how long a frame it is the beginning.
    #[inline(always)]
    fn pieces(
        &mut self,
        messages: usize,
        mut show: impl FnMut(&mut Vec<u8>, &[u8], Option<usize>),
        mut end_of_read: impl FnMut(&mut Vec<u8>),
    ) -> Outcome {
        let (mut come, mut left) = (0, 0);
        while come < messages {
            let count = transport::read(&mut self.input[left..left + (64 << 10)]);
            if count == 0 {
                return Err(dry());
            }
            let end = left + count;
            let mut at = 0;
            while at < end {
                let mut begins = None;
                if self.missing == 0 {
                    let header = &self.input[at..end];
                    let [first, second, ..] = *header else { break };
                    let extended = match second & 127 {
                        126 => 2,
                        127 => 8,
                        _ => 0,
                    };
                    let masked = usize::from(second >> 7) * 4;
                    if header.len() < 2 + extended + masked {
                        break;
                    }
                    let mut length = u64::from(second & 127);
                    if extended > 0 {
                        length = header[2..2 + extended].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                    }
                    if masked > 0 {
                        self.key.copy_from_slice(&header[2 + extended..6 + extended]);
                    }
                    self.fin = first > 127;
                    self.text = first & 15 == 1;
                    self.missing = length as usize;
                    begins = Some(self.missing);
                    at += 2 + extended + masked;
                }
                let here = self.missing.min(end - at);
                let piece = &mut self.input[at..at + here];
                if self.role == Role::Server {
                    mask_by::<SIMD>(piece, self.key);
                    self.key.rotate_left(here % 4);
                }
                if self.text {
                    // Its verdict on a character that a read cut in two says nothing.
                    _ = black_box(simdutf8::basic::from_utf8(piece).is_ok());
                }
                self.missing -= here;
                show(&mut self.output, piece, begins);
                come += usize::from(self.missing == 0 && self.fin);
                at += here;
            }
            left = end - at;
            self.input.copy_within(at..end, 0);
            end_of_read(&mut self.output);
        }
        Ok(())
    }
}

impl<const SIMD: bool> Connection for Loop<SIMD> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        self.pieces(until - tally.messages, |_, piece, _| _ = black_box(piece), |_| ())?;
        tally.messages = until;
        Ok(())
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        if self.role == Role::Server && batch == 1 {
            for _ in 0..times {
                put_header(&mut self.output, message.bytes.len(), self.role);
                transport::write_vectored(&[IoSlice::new(&self.output), IoSlice::new(message.bytes)]);
                self.output.clear();
            }
            return Ok(());
        }
        for number in 1..=times {
            put_header(&mut self.output, message.bytes.len(), self.role);
            if self.role == Role::Client {
                self.keys = self.keys.wrapping_mul(0x9e37_79b1) ^ 0x55;
                let key = self.keys.to_ne_bytes();
                self.output.extend_from_slice(&key);
                put_masked::<SIMD>(&mut self.output, message.bytes, key);
            } else {
                self.output.extend_from_slice(message.bytes);
            }
            if is_flush_due(number, batch) {
                flush(&mut self.output);
            }
        }
        flush(&mut self.output);
        Ok(())
    }

    fn echo(&mut self, messages: usize, _: usize) -> Outcome {
        self.pieces(
            messages,
            |output, piece, begins| {
                if let Some(length) = begins {
                    put_header(output, length, Role::Server);
                }
                if piece.len() < LONG {
                    output.extend_from_slice(piece);
                } else {
                    transport::write_vectored(&[IoSlice::new(output), IoSlice::new(piece)]);
                    output.clear();
                }
            },
            flush,
        )
    }
}

fn flush(output: &mut Vec<u8>) {
    transport::write(output);
    output.clear();
}

#[inline(always)]
fn put_header(output: &mut Vec<u8>, length: usize, role: Role) {
    let masked = if role == Role::Client { 128 } else { 0 };
    match length {
        0..126 => output.extend_from_slice(&[0x82, masked | length as u8]),
        126..0x1_0000 => {
            let [high, low] = (length as u16).to_be_bytes();
            output.extend_from_slice(&[0x82, masked | 126, high, low]);
        }
        _ => {
            output.extend_from_slice(&[0x82, masked | 127]);
            output.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[inline(always)]
fn put_masked<const SIMD: bool>(output: &mut Vec<u8>, payload: &[u8], key: [u8; 4]) {
    if SIMD {
        for part in payload.chunks(4 << 10) {
            let start = output.len();
            output.extend_from_slice(part);
            sockudo_ws::simd::apply_mask(&mut output[start..], key);
        }
        return;
    }
    let (blocks, rest) = payload.as_chunks::<64>();
    for block in blocks {
        let mut block = *block;
        mask(&mut block, key);
        output.extend_from_slice(&block);
    }
    let start = output.len();
    output.extend_from_slice(rest);
    mask(&mut output[start..], key);
}

#[inline(always)]
fn mask_by<const SIMD: bool>(payload: &mut [u8], key: [u8; 4]) {
    if SIMD { sockudo_ws::simd::apply_mask(payload, key) } else { mask(payload, key) }
}

pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let (blocks, rest) = payload.as_chunks_mut::<64>();
    for block in blocks {
        for bytes in block.as_chunks_mut::<4>().0 {
            *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
        }
    }
    let (words, rest) = rest.as_chunks_mut::<4>();
    for bytes in words {
        *bytes = (u32::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

fn open() -> Outcome {
    let mut buffer = [0; 4 << 10];
    let count = transport::read(&mut buffer);
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut fields);
    if request.parse(&buffer[..count])?.is_partial() {
        return Err(dry());
    }
    let key = request.headers.iter().find(|field| field.name.eq_ignore_ascii_case("Sec-WebSocket-Key"));
    let key = key.ok_or("no key")?.value;
    let hash = Sha1::new().chain_update(key).chain_update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let mut response = *b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: ............................\r\n\r\n";
    let end = response.len() - 4;
    BASE64_STANDARD.encode_slice(hash, &mut response[end - 28..end])?;
    transport::write(&response);
    Ok(())
}
