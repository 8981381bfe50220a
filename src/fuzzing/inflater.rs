//! What are the plain bytes of a compressed message, and what may be wrong with it? (RFC 1951, RFC 7692 §7.2.2)
//!
//! Read bit by bit, with nothing taken from the codec, and slowly: a symbol is read when all of its bits are there, or not at
//! all. What is wrong for certain is told apart from what may be found wrong, as where a read ends decides on some limits.

use alloc::vec::Vec;

use crate::config::Limits;
use crate::deflate::params::{DeflateParameters, WindowBits};
use crate::error::Error;

/// What the messages of one peer refer to.
#[derive(Clone, Debug)]
pub(super) struct Inflater {
    window: WindowBits,
    takeover: bool,
    history: Vec<u8>,
    /// A block that ended inside of the tail's last byte left the rest of that to the next message: from which bit on.
    left: Option<usize>,
}

/// A compressed message, as far as it is there.
#[derive(Debug)]
pub(super) struct Inflating {
    payload: Vec<u8>,
    /// How much of that the message before left.
    lead: usize,
    /// Up to which bit it is read.
    at: usize,
    block: Block,
    /// The last block had BFINAL.
    ended: bool,
    /// What the blocks that follow one with BFINAL cost, and how many they are.
    cost: usize,
    restarts: usize,
    /// The history, and what came out behind it.
    plain: Vec<u8>,
    from: usize,
    /// How far back it referred at most.
    pub(super) reach: usize,
    window: usize,
    /// What is wrong with it; and what may be, depending on the reads.
    pub(super) surely: Vec<Error>,
    pub(super) perhaps: Vec<Error>,
}

#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one of them")]
enum Block {
    Header,
    /// So many bytes are left.
    Stored(usize),
    Coded {
        symbols: Code,
        distances: Code,
    },
}

/// Why a symbol is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// It is not all there.
    More,
    Corrupt,
    /// There is no room for what it means.
    Full,
}

/// How far a distance may reach, whatever was agreed on.
const FARTHEST: usize = 32_768;

/// A stream inside of a message costs as much as so many bytes, and one more for so many of the window. So many bytes are
/// free, and so many more for each that comes out.
const RESTART: usize = 64;
const COPIED: usize = 16;
const FREE: usize = 4096;
const OVERHEAD: usize = 8;

impl Inflater {
    fn new(window: WindowBits, takeover: bool) -> Inflater {
        Inflater { window, takeover, history: Vec::new(), left: None }
    }

    /// One for the messages of the server, or of the client, who agreed on this.
    pub(super) fn of(agreed: DeflateParameters, server: bool) -> Inflater {
        if server {
            Inflater::new(agreed.server_max_window_bits, !agreed.server_no_context_takeover)
        } else {
            Inflater::new(agreed.client_max_window_bits, !agreed.client_no_context_takeover)
        }
    }

    pub(super) fn begin(&self) -> Inflating {
        Inflating {
            payload: self.left.iter().map(|_| 0xFF).collect(),
            lead: usize::from(self.left.is_some()),
            at: self.left.unwrap_or_default(),
            block: Block::Header,
            ended: false,
            cost: 0,
            restarts: 0,
            plain: self.history.clone(),
            from: self.history.len(),
            reach: 0,
            window: self.window.size(),
            surely: Vec::new(),
            perhaps: Vec::new(),
        }
    }

    /// Keeps what the next message may refer to.
    pub(super) fn end(&mut self, message: Inflating) {
        if self.takeover {
            let surplus = message.plain.len().saturating_sub(FARTHEST);
            self.history = message.plain[surplus..].to_vec();
            self.left = Some(message.at % 8).filter(|bit| *bit > 0 && !message.ended);
        }
    }

    /// Inflates a message that is all there, and nothing is wrong with, in the window that was agreed on.
    pub(super) fn inflate(&mut self, payload: &[u8]) -> Vec<u8> {
        let mut message = self.begin();
        message.push(payload, &Limits { message: 1 << 40, ratio: u32::MAX, ..Limits::default() });
        message.finish();
        assert_eq!(message.surely, [], "it was sent compressed like that: {payload:02x?}");
        assert!(message.reach <= message.window, "it refers back by {}, not {}", message.reach, message.window);
        let plain = message.plain().to_vec();
        self.end(message);
        plain
    }

    /// The most bytes that a compressed message may announce.
    pub(super) fn wire(limits: &Limits) -> u64 {
        limits.message.saturating_mul(OVERHEAD as u64).saturating_add(FREE as u64)
    }
}

impl Inflating {
    /// What came out so far.
    pub(super) fn plain(&self) -> &[u8] {
        &self.plain[self.from..]
    }

    /// Reads a piece of the payload.
    pub(super) fn push(&mut self, payload: &[u8], limits: &Limits) {
        self.payload.extend_from_slice(payload);
        self.read(limits);
        let (taken, ratio) = (self.payload.len() - self.lead, limits.ratio as usize);
        self.fault(Error::RatioTooHigh, self.plain().len() > taken.saturating_mul(ratio));
        // Each may be rounded down by one.
        let spent = taken + self.cost - self.restarts;
        self.fault(Error::EmptyBlocks, spent > self.plain().len() * OVERHEAD + FREE);
    }

    /// Reads the four bytes that end the message: exactly they must be missing, of a block that is empty. One that ends
    /// inside of the last of them cannot be told from that.
    pub(super) fn finish(&mut self) {
        let through = self.at.div_ceil(8) == self.payload.len() && matches!(self.block, Block::Header);
        if self.payload.len() == self.lead || (self.ended && through) || !self.surely.is_empty() {
            return;
        }
        let plain = self.plain.len();
        self.payload.extend_from_slice(&[0x00, 0x00, 0xFF, 0xFF]);
        self.read(&Limits { message: u64::MAX, ratio: u32::MAX, ..Limits::default() });
        let through = self.at.div_ceil(8) == self.payload.len() && matches!(self.block, Block::Header);
        self.fault(Error::InvalidDeflate, !through || self.plain.len() > plain);
    }

    fn fault(&mut self, error: Error, is_wrong: bool) {
        if is_wrong && !self.surely.contains(&error) {
            self.surely.push(error);
        }
    }

    fn doubt(&mut self, error: Error) {
        if !self.perhaps.contains(&error) {
            self.perhaps.push(error);
        }
    }

    fn read(&mut self, limits: &Limits) {
        while self.surely.is_empty() {
            let mut bits = Bits { bytes: &self.payload, at: self.at };
            if self.ended && matches!(self.block, Block::Header) {
                bits.align();
                if bits.at == self.payload.len() * 8 {
                    return;
                }
                self.at = bits.at;
                self.ended = false;
                self.cost += RESTART + self.plain.len().min(self.window.max(512)) / COPIED;
                self.restarts += 1;
            }
            match self.step(limits) {
                Ok(()) => {}
                Err(Stop::Corrupt) => self.surely.push(Error::InvalidDeflate),
                Err(Stop::Full) => self.surely.push(Error::MessageTooBig),
                Err(Stop::More) => return,
            }
        }
    }

    /// Reads a block's header, a symbol, or a byte that is stored.
    fn step(&mut self, limits: &Limits) -> Result<(), Stop> {
        let mut bits = Bits { bytes: &self.payload, at: self.at };
        let mut copied = None;
        let next = match &self.block {
            Block::Header => {
                let ended = bits.take(1)? == 1;
                let block = match bits.take(2)? {
                    0 => {
                        bits.align();
                        let (length, complement) = (bits.take(16)?, bits.take(16)?);
                        if length ^ complement != 0xFFFF {
                            return Err(Stop::Corrupt);
                        }
                        Block::stored(length)
                    }
                    1 => Block::fixed()?,
                    2 => Block::dynamic(&mut bits)?,
                    _ => return Err(Stop::Corrupt),
                };
                self.ended = ended;
                Some(block)
            }
            Block::Stored(left) => {
                copied = Some(Copied::Byte(bits.take(8)?.to_le_bytes()[0]));
                Some(Block::stored(left - 1))
            }
            Block::Coded { symbols, distances } => match symbols.read(&mut bits)? {
                byte @ 0..256 => {
                    copied = Some(Copied::Byte(byte.to_le_bytes()[0]));
                    None
                }
                256 => Some(Block::Header),
                length @ 257..286 => {
                    let length = match length - 257 {
                        28 => 258,
                        code => 3 + bits.value(code, |code| (code.max(4) - 4) / 4)?,
                    };
                    let distance = match distances.read(&mut bits)? {
                        code @ 0..30 => 1 + bits.value(code, |code| (code.max(2) - 2) / 2)?,
                        _ => return Err(Stop::Corrupt),
                    };
                    copied = Some(Copied::Before { length, distance });
                    None
                }
                _ => return Err(Stop::Corrupt),
            },
        };
        self.at = bits.at;
        if let Some(block) = next {
            self.block = block;
        }
        let taken = self.at.div_ceil(8) - self.lead;
        // One before this message may have ended a stream too.
        if taken + self.cost + RESTART + FARTHEST / COPIED > self.plain().len() * OVERHEAD + FREE {
            self.doubt(Error::EmptyBlocks);
        }
        if let Some(copied) = copied {
            self.copy(copied, limits)?;
        }
        if self.plain().len() > taken.saturating_mul(limits.ratio as usize) {
            self.doubt(Error::RatioTooHigh);
        }
        Ok(())
    }

    fn copy(&mut self, copied: Copied, limits: &Limits) -> Result<(), Stop> {
        let (length, distance) = match copied {
            Copied::Byte(byte) => {
                self.plain.push(byte);
                (0, 0)
            }
            Copied::Before { length, distance } => (length, distance),
        };
        if distance > self.plain.len() {
            return Err(Stop::Corrupt);
        }
        self.reach = self.reach.max(distance);
        if distance > self.window.max(512) {
            // Who breaks the agreement may be understood, or not.
            self.doubt(Error::InvalidDeflate);
        }
        for _ in 0..length {
            if self.plain().len() as u64 > limits.message {
                return Err(Stop::Full);
            }
            self.plain.push(self.plain[self.plain.len() - distance]);
        }
        if self.plain().len() as u64 > limits.message { Err(Stop::Full) } else { Ok(()) }
    }
}

enum Copied {
    Byte(u8),
    Before { length: usize, distance: usize },
}

impl Block {
    fn stored(length: usize) -> Block {
        if length == 0 { Block::Header } else { Block::Stored(length) }
    }

    fn fixed() -> Result<Block, Stop> {
        let symbols: Vec<usize> = (0..288)
            .map(|symbol| match symbol {
                0..144 => 8,
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            })
            .collect();
        Ok(Block::Coded { symbols: Code::new(&symbols, false)?, distances: Code::new(&[5; 32], false)? })
    }

    fn dynamic(bits: &mut Bits<'_>) -> Result<Block, Stop> {
        let (symbols, distances, lengths) = (257 + bits.take(5)?, 1 + bits.take(5)?, 4 + bits.take(4)?);
        if symbols > 286 || distances > 30 {
            return Err(Stop::Corrupt);
        }
        let order = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
        let mut code = [0; 19];
        for at in &order[..lengths] {
            code[*at] = bits.take(3)?;
        }
        let is_empty = code.iter().all(|length| *length == 0);
        let code = if is_empty { None } else { Some(Code::new(&code, false)?) };
        let mut lengths = Vec::new();
        while lengths.len() < symbols + distances {
            let symbol = match &code {
                Some(code) => code.read(bits)?,
                // The codec finds out later, when no symbol ends a block.
                None => bits.take(1).map(|_| 0)?,
            };
            let (length, times) = match symbol {
                // It takes the bits first.
                16 => {
                    let times = 3 + bits.take(2)?;
                    (*lengths.last().ok_or(Stop::Corrupt)?, times)
                }
                17 => (0, 3 + bits.take(3)?),
                18 => (0, 11 + bits.take(7)?),
                length => (length, 1),
            };
            lengths.resize(lengths.len() + times, length);
        }
        if lengths.len() > symbols + distances || lengths[256] == 0 {
            return Err(Stop::Corrupt);
        }
        let (symbols, distances) = lengths.split_at(symbols);
        Ok(Block::Coded { symbols: Code::new(symbols, true)?, distances: Code::new(distances, true)? })
    }
}

/// A canonical prefix code.
#[derive(Clone, Debug)]
struct Code {
    /// How many words there are of each length.
    counts: [usize; 16],
    /// Their symbols, in the order of the words.
    symbols: Vec<usize>,
}

impl Code {
    /// The code whose symbols have words of these lengths. A code of one word of one bit, or of none, may be enough.
    fn new(lengths: &[usize], may_lack: bool) -> Result<Code, Stop> {
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[*length] += 1);
        let free = (1..16).try_fold(1, |free: usize, length| (free * 2).checked_sub(counts[length]));
        let short = counts[2..].iter().all(|count| *count == 0);
        match free {
            Some(0) => {}
            Some(_) if may_lack && short => {}
            _ => return Err(Stop::Corrupt),
        }
        let symbols = (1..16).filter(|length| counts[*length] > 0);
        let symbols = symbols.flat_map(|length| (0..lengths.len()).filter(move |symbol| lengths[*symbol] == length));
        Ok(Code { counts, symbols: symbols.collect() })
    }

    fn read(&self, bits: &mut Bits<'_>) -> Result<usize, Stop> {
        let (mut word, mut first, mut before) = (0, 0, 0);
        for count in &self.counts[1..] {
            word = word * 2 + bits.take(1)?;
            if word < first + count {
                return Ok(self.symbols[before + word - first]);
            }
            before += count;
            if before == self.symbols.len() {
                break;
            }
            first = (first + count) * 2;
        }
        Err(Stop::Corrupt)
    }
}

/// The words of a canonical code whose symbols have words of these lengths (RFC 1951 §3.2.2).
pub(super) fn words(lengths: &[usize]) -> Vec<usize> {
    let (mut words, mut next) = (alloc::vec![0; lengths.len()], 0);
    for length in 1..16 {
        next *= 2;
        for (word, _) in words.iter_mut().zip(lengths).filter(|(_, other)| **other == length) {
            *word = next;
            next += 1;
        }
    }
    words
}

/// Takes bits off bytes, the lowest of each byte first.
struct Bits<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Bits<'_> {
    fn take(&mut self, count: usize) -> Result<usize, Stop> {
        if self.at + count > self.bytes.len() * 8 {
            return Err(Stop::More);
        }
        let bytes = self.bytes[self.at / 8..].iter().take(3).rev();
        let value = bytes.fold(0, |value, byte| value << 8 | usize::from(*byte)) >> (self.at % 8);
        self.at += count;
        Ok(value & ((1 << count) - 1))
    }

    /// The value of a code that stands for several: those before it have so many bits of their own, and so has it.
    fn value(&mut self, code: usize, extra: impl Fn(usize) -> usize) -> Result<usize, Stop> {
        let before: usize = (0..code).map(|before| 1 << extra(before)).sum();
        Ok(before + self.take(extra(code))?)
    }

    fn align(&mut self) {
        self.at = self.at.next_multiple_of(8);
    }
}
