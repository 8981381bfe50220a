//! What does a deflated stream say, to the letter? (RFC 1951)
//!
//! An inflater that is small, slow and strict, to judge what the engine compresses: its window has exactly the size
//! that was agreed on, so that a reference a byte too far back is a fault and not a lucky guess. It knows nothing of
//! the engine and shares no code with it.

#![allow(dead_code, reason = "not every test file looks at all of it")]

/// An inflater, and the window that it keeps from one stream to the next.
#[derive(Debug)]
pub(crate) struct Inflater {
    window: usize,
    history: Vec<u8>,
}

/// What came out of a stream, and how it was written.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Inflated {
    pub(crate) bytes: Vec<u8>,
    /// How far back its farthest reference reaches; 0 where it has none.
    pub(crate) largest_distance: usize,
    pub(crate) blocks: Vec<Block>,
    /// The last block is a stored one without a byte.
    pub(crate) ends_empty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) kind: BlockKind,
    /// BFINAL.
    pub(crate) last: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Stored,
    Fixed,
    Dynamic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The stream ends in the middle of a block.
    CutOff,
    /// The last four bytes of a message, which are left out, are not those of an empty stored block.
    OutOfStep,
    /// A block of the fourth kind, which there is not.
    BlockKind,
    /// The length of a stored block and its complement disagree.
    StoredLength,
    /// Code lengths that make no prefix code.
    CodeLengths,
    /// A symbol that has no meaning.
    Symbol,
    /// A reference to what the window does not hold, or not any more.
    TooFar(usize),
}

/// The order in which the lengths of the code for code lengths are written.
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

impl Inflater {
    /// With a window of so many bytes.
    pub(crate) fn new(window: usize) -> Inflater {
        Inflater { window, history: Vec::new() }
    }

    /// Forgets all that came before.
    pub(crate) fn reset(&mut self) {
        self.history.clear();
    }

    /// The payload of a message, from which its sender left the last four bytes out (RFC 7692 §7.2.2). With these it
    /// must be in step: a whole number of blocks and of bytes.
    pub(crate) fn message(&mut self, payload: &[u8]) -> Result<Inflated, Fault> {
        let inflated = self.inflate(&[payload, &[0, 0, 0xFF, 0xFF]].concat())?;
        if inflated.ends_empty { Ok(inflated) } else { Err(Fault::OutOfStep) }
    }

    /// Blocks, up to the end of the input. Behind one with BFINAL the next begins at the next byte.
    pub(crate) fn inflate(&mut self, stream: &[u8]) -> Result<Inflated, Fault> {
        let mut bits = Bits { stream, at: 0 };
        let start = self.history.len();
        let mut inflated = Inflated::default();
        while bits.at < 8 * stream.len() {
            let last = bits.take(1)? == 1;
            let kind = match bits.take(2)? {
                0 => BlockKind::Stored,
                1 => BlockKind::Fixed,
                2 => BlockKind::Dynamic,
                _ => return Err(Fault::BlockKind),
            };
            match kind {
                BlockKind::Stored => {
                    let bytes = bits.stored()?;
                    self.history.extend(bytes);
                    inflated.ends_empty = bytes.is_empty();
                }
                BlockKind::Fixed => {
                    let literals = [[8; 144].as_slice(), &[9; 112], &[7; 24], &[8; 8]].concat();
                    self.block(&mut bits, &Code::new(&literals)?, &Code::new(&[5; 32])?, &mut inflated)?;
                }
                BlockKind::Dynamic => {
                    let (literals, distances) = bits.codes()?;
                    self.block(&mut bits, &literals, &distances, &mut inflated)?;
                }
            }
            if last {
                bits.at = bits.at.next_multiple_of(8);
            }
            inflated.ends_empty &= kind == BlockKind::Stored;
            inflated.blocks.push(Block { kind, last });
        }
        inflated.bytes = self.history[start..].to_vec();
        self.history.drain(..self.history.len().saturating_sub(self.window));
        Ok(inflated)
    }

    fn block(
        &mut self,
        bits: &mut Bits<'_>,
        literals: &Code,
        distances: &Code,
        to: &mut Inflated,
    ) -> Result<(), Fault> {
        loop {
            let length = match literals.decode(bits)? {
                literal @ 0..256 => {
                    self.history.push(literal as u8);
                    continue;
                }
                256 => return Ok(()),
                symbol @ 257..265 => symbol - 254,
                symbol @ 265..285 => {
                    let extra = (symbol - 261) / 4;
                    3 + ((4 + (symbol - 257) % 4) << extra) + bits.take(extra)?
                }
                285 => 258,
                _ => return Err(Fault::Symbol),
            };
            let distance = match distances.decode(bits)? {
                symbol @ 0..4 => symbol + 1,
                symbol @ 4..30 => {
                    let extra = symbol / 2 - 1;
                    1 + ((2 + symbol % 2) << extra) + bits.take(extra)?
                }
                _ => return Err(Fault::Symbol),
            };
            if distance > self.window.min(self.history.len()) {
                return Err(Fault::TooFar(distance));
            }
            to.largest_distance = to.largest_distance.max(distance);
            for _ in 0..length {
                self.history.push(self.history[self.history.len() - distance]);
            }
        }
    }
}

/// A stream and the bit of it that is read next, the lowest of each byte first.
struct Bits<'a> {
    stream: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    fn take(&mut self, count: usize) -> Result<usize, Fault> {
        let mut number = 0;
        for bit in 0..count {
            let byte = self.stream.get(self.at / 8).ok_or(Fault::CutOff)?;
            number |= usize::from(byte >> (self.at % 8) & 1) << bit;
            self.at += 1;
        }
        Ok(number)
    }

    fn stored(&mut self) -> Result<&'a [u8], Fault> {
        self.at = self.at.next_multiple_of(8);
        let (length, complement) = (self.take(16)?, self.take(16)?);
        if length ^ complement != 0xFFFF {
            return Err(Fault::StoredLength);
        }
        let start = self.at / 8;
        self.at += 8 * length;
        self.stream.get(start..start + length).ok_or(Fault::CutOff)
    }

    /// The codes of a dynamic block: for literals and lengths, and for distances.
    fn codes(&mut self) -> Result<(Code, Code), Fault> {
        let (literals, distances, count) = (257 + self.take(5)?, 1 + self.take(5)?, 4 + self.take(4)?);
        if literals > 286 || distances > 30 {
            return Err(Fault::CodeLengths);
        }
        let mut lengths = vec![0; 19];
        for place in &ORDER[..count] {
            lengths[*place] = self.take(3)? as u8;
        }
        let code = Code::new(&lengths)?;
        lengths.clear();
        while lengths.len() < literals + distances {
            let (length, times) = match code.decode(self)? {
                length @ 0..16 => (length as u8, 1),
                16 => (*lengths.last().ok_or(Fault::CodeLengths)?, 3 + self.take(2)?),
                17 => (0, 3 + self.take(3)?),
                _ => (0, 11 + self.take(7)?),
            };
            lengths.resize(lengths.len() + times, length);
        }
        // The end of a block must have a code, and a repetition may not go beyond both tables.
        if lengths.len() != literals + distances || lengths[256] == 0 {
            return Err(Fault::CodeLengths);
        }
        Ok((Code::new(&lengths[..literals])?, Code::of_distances(&lengths[literals..])?))
    }
}

/// A canonical prefix code: how many symbols have each length, and the symbols in the order of their codes.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    /// A complete one.
    fn new(lengths: &[u8]) -> Result<Code, Fault> {
        let code = Code::read(lengths);
        let taken: usize = (1..16).map(|length| code.counts[length] << (15 - length)).sum();
        if taken == 1 << 15 { Ok(code) } else { Err(Fault::CodeLengths) }
    }

    /// A block may have no distance, or one, which has one bit then.
    fn of_distances(lengths: &[u8]) -> Result<Code, Fault> {
        let code = Code::read(lengths);
        if code.symbols.len() == code.counts[1] && code.counts[1] < 2 { Ok(code) } else { Code::new(lengths) }
    }

    fn read(lengths: &[u8]) -> Code {
        let mut counts = [0; 16];
        let mut symbols: Vec<usize> = (0..lengths.len()).filter(|symbol| lengths[*symbol] > 0).collect();
        symbols.sort_by_key(|symbol| lengths[*symbol]);
        symbols.iter().for_each(|symbol| counts[usize::from(lengths[*symbol])] += 1);
        Code { counts, symbols }
    }

    fn decode(&self, bits: &mut Bits<'_>) -> Result<usize, Fault> {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code += bits.take(1)?;
            if code < first + count {
                return Ok(self.symbols[index + code - first]);
            }
            index += count;
            first = (first + count) * 2;
            code *= 2;
        }
        Err(Fault::Symbol)
    }
}

/// Writes a stream by hand.
#[derive(Default)]
pub(crate) struct Writer(Vec<bool>);

impl Writer {
    /// A number, its lowest bit first.
    pub(crate) fn bits(mut self, number: usize, count: usize) -> Writer {
        self.0.extend((0..count).map(|bit| number >> bit & 1 == 1));
        self
    }

    /// A prefix code, its highest bit first.
    pub(crate) fn code(mut self, code: usize, count: usize) -> Writer {
        self.0.extend((0..count).rev().map(|bit| code >> bit & 1 == 1));
        self
    }

    pub(crate) fn zeros(mut self, count: usize) -> Writer {
        self.0.resize(self.0.len() + count, false);
        self
    }

    /// In the fixed codes: three bytes, from so far back.
    pub(crate) fn far(self, distance: usize) -> Writer {
        let number = distance - 1;
        let extra = number.checked_ilog2().map_or(0, |log| log.saturating_sub(1)) as usize;
        self.code(1, 7).code(2 * extra + (number >> extra), 5).bits(number, extra)
    }

    pub(crate) fn done(self) -> Vec<u8> {
        let byte = |bits: &[bool]| bits.iter().rev().fold(0, |byte, bit| byte * 2 + u8::from(*bit));
        self.0.chunks(8).map(byte).collect()
    }
}
