//! How does a message's payload become smaller? (RFC 7692 §6.1, §7.2.1)
//!
//! A message is deflated up to a flush, whose last four bytes, `00 00 FF FF`, are left out. Where it is sent in parts, each
//! part is flushed, and those four bytes go before the next: so each can be decompressed as soon as it is there, and they
//! are left out once, at the end, whatever that end holds.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::codec::{Deflater, Progress, TAIL};
use super::history::History;
use super::{Pool, Settings};

/// The payload of a message without a byte: an empty stored block, whose other four bytes are the tail.
const EMPTY: [u8; 1] = [0];

/// An output buffer that one large message grew is not kept beyond this.
const KEPT: usize = 128 << 10;

/// So much is given to the codec at a time: the output then grows with what comes out and not with what goes in, and no
/// message is too long for the codec, which counts in 32 bits.
const PIECE: usize = 32 << 10;

/// A compressor's context and its output.
pub(crate) struct Compressor {
    settings: Settings,
    /// None while it sleeps.
    deflater: Option<Deflater>,
    /// What the window holds, while that is kept.
    history: Option<History>,
    /// Initialised to its full length once; the result of a call is its front.
    output: Vec<u8>,
    /// The next message may refer to this one.
    takeover: bool,
    /// The window holds what the next message may not refer to.
    stale: bool,
    /// A part of a message was compressed, and its end was not.
    midway: bool,
}

impl Compressor {
    /// One from the pool, or a new one. With `remember` it keeps the plain bytes of its window, and so can
    /// [`sleep`](Compressor::sleep).
    pub(crate) fn lent(
        settings: Settings,
        takeover: bool,
        remember: bool,
        pool: Option<&Arc<Pool>>,
    ) -> Option<Box<Compressor>> {
        let mut compressor = pool.and_then(|pool| pool.compressor(settings)).unwrap_or_else(|| {
            Box::new(Compressor {
                settings,
                deflater: None,
                history: None,
                output: Vec::new(),
                takeover,
                stale: false,
                midway: false,
            })
        });
        compressor.takeover = takeover;
        compressor.history = (remember && takeover).then(|| History::new(settings.window));
        Some(compressor)
    }

    pub(super) fn settings(&self) -> Settings {
        self.settings
    }

    /// Gives it to the pool, if there is one.
    pub(crate) fn give_back(mut self: Box<Self>, pool: Option<&Arc<Pool>>) {
        if let Some(pool) = pool {
            self.stale = true;
            self.midway = false;
            self.history = None;
            // One that sleeps has nothing to lend.
            if self.deflater.is_some() {
                self.trim();
                pool.put_compressor(self);
            }
        }
    }

    /// Gives up what one large message made of its output buffer.
    pub(crate) fn trim(&mut self) {
        if self.output.capacity() > KEPT {
            self.output.truncate(KEPT);
            self.output.shrink_to(KEPT);
        }
    }

    /// The payload for the next part of a message, the last one if `end`.
    //= rfc7692 6.1 MUST 1: the message is transformed as a whole
    //= rfc7692 7.2.1 MUST NOT 1: the tail is left out at the end only, not behind each part
    pub(crate) fn compress(&mut self, plain: &[u8], end: bool) -> &[u8] {
        let midway = self.midway;
        self.midway = !end && (midway || !plain.is_empty());
        let mut filled = 0;
        if plain.is_empty() {
            if end && !midway {
                filled = self.append(&EMPTY, 0);
            }
        } else {
            if midway {
                filled = self.append(&TAIL, 0);
            }
            filled = self.deflate(plain, filled).saturating_sub(TAIL.len());
        }
        if end {
            //= rfc7692 7.2.1 MUST 2: a client's next message begins with an empty window, where that was agreed on
            //= rfc7692 7.2.1 MUST 3: and so does a server's
            //= rfc7692 7.2.1 MAY 4: otherwise a client takes the window over
            //= rfc7692 7.2.1 MAY 6: and so does a server
            self.stale |= !self.takeover;
        }
        self.output.get(..filled).unwrap_or_default()
    }

    /// Whether there is a context to be given up.
    pub(crate) fn is_awake(&self) -> bool {
        self.deflater.is_some() && self.history.is_some() && !self.midway
    }

    /// Whether it holds an output buffer.
    pub(crate) fn is_warm(&self) -> bool {
        !self.output.is_empty()
    }

    /// Gives up its output buffer.
    pub(crate) fn cool(&mut self) {
        self.output = Vec::new();
    }

    /// Gives up its context for the plain bytes of its window.
    pub(crate) fn sleep(&mut self) {
        if self.is_awake() {
            self.deflater = None;
            self.output = Vec::new();
            if let Some(history) = &mut self.history {
                history.shrink();
            }
        }
    }

    /// Deflates up to a flush; says up to where the output is filled.
    fn deflate(&mut self, plain: &[u8], mut filled: usize) -> usize {
        let Compressor { deflater, history, output, stale, settings, .. } = self;
        let deflater = match deflater {
            Some(deflater) => {
                if *stale {
                    deflater.reset();
                }
                deflater
            }
            None => {
                let deflater = deflater.insert(Deflater::new(*settings));
                if let Some(history) = history {
                    deflater.set_dictionary(history.as_slice());
                }
                deflater
            }
        };
        *stale = false;
        if let Some(history) = history {
            history.push(plain);
        }
        let mut rest = plain;
        loop {
            let (piece, after) = rest.split_at_checked(PIECE).unwrap_or((rest, &[]));
            let flush = after.is_empty();
            // More room than the worst case needs: see the traps of the codec.
            let room = piece.len() + piece.len() / 8 + 64;
            if output.len() < filled + room {
                output.resize(filled + room, 0);
            }
            let space = output.get_mut(filled..).unwrap_or_default();
            let size = space.len();
            let progress = deflater.deflate(piece, space, flush);
            filled += progress.produced;
            rest = rest.get(progress.consumed..).unwrap_or_default();
            // A codec that does nothing at all would do so for ever.
            let is_stuck = progress == Progress { consumed: 0, produced: 0 };
            if is_stuck || (rest.is_empty() && progress.produced < size) {
                return filled;
            }
        }
    }

    fn append(&mut self, bytes: &[u8], at: usize) -> usize {
        let end = at + bytes.len();
        if self.output.len() < end {
            self.output.resize(end, 0);
        }
        if let Some(space) = self.output.get_mut(at..end) {
            space.copy_from_slice(bytes);
        }
        end
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{Inflater, Stream};
    use super::super::params::WindowBits;
    use super::super::{CompressionLevel, MemoryLevel};
    use super::*;

    /// What a flush says twice where it is called twice: see the traps of the codec.
    const DOUBLED: [u8; 5] = [0x00, 0x00, 0xFF, 0xFF, 0x00];

    #[test]
    fn a_message_of_any_size_is_flushed_once_into_an_output_that_is_made_once() {
        for (plain, step) in [(noise(3000), 1), (b"so, and so, or so; ".repeat(160), 7)] {
            let mut context = compressor(1, 1, false);
            for size in (0..3000).step_by(step) {
                if size % 100 < step {
                    // Of other levels in turn.
                    context = compressor(1 + (size / 100 % 9) as u8, 1 + (size / 100 % 8) as u8, false);
                }
                let plain = &plain[..size];
                let payload = context.compress(plain, true).to_vec();
                assert!(size == 0 || !payload.ends_with(&DOUBLED), "{size} bytes");
                assert!(context.output.len() <= bound(size), "{size} bytes");
                assert!(inflate(&mut Inflater::new(), &payload) == plain, "{size} bytes");
            }
        }
    }

    /// Whatever a compressor makes of what cannot be compressed, there is room for it, and a flush leaves some.
    #[test]
    fn the_worst_growth_stays_within_the_bound_at_every_level() {
        for level in 1..=9 {
            for memory_level in [1, 5, 8] {
                for size in [300, 1000, 5000, 20_000] {
                    // High bytes, which the fixed codes write in nine bits.
                    let plain: Vec<u8> = noise(size).iter().map(|byte| byte | 0x90).collect();
                    for plain in [&noise(size), &plain] {
                        let mut compressor = compressor(level, memory_level, true);
                        for _ in 0..2 {
                            let length = compressor.compress(plain, true).len();
                            let room = compressor.output.len();
                            assert!(room == bound(size) && length + TAIL.len() < room, "{level} {memory_level} {size}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn an_empty_message_is_one_byte_and_parts_without_bytes_are_nothing() {
        let mut compressor = compressor(6, 5, true);
        assert_eq!(compressor.compress(b"", true), [0x00]);
        assert_eq!(compressor.compress(b"", false), []);
        assert_eq!(compressor.compress(b"", true), [0x00]);
        assert_eq!(compressor.compress(b"Hello", true), [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00]);
        assert_eq!(compressor.compress(b"", true), [0x00]);
        // The tail that was held back goes before the next part, and not before the end.
        assert_eq!(compressor.compress(b"Hello", false), [0xF2, 0x00, 0x11, 0x00, 0x00]);
        assert_eq!(compressor.compress(b"", false), []);
        assert!(compressor.compress(b"Hello", false).starts_with(&TAIL));
        assert_eq!(compressor.compress(b"", true), []);
    }

    #[test]
    fn parts_of_every_size_are_one_message() {
        let plain = [b"the same and the same again, ".repeat(20), noise(200)].concat();
        for size in (1..40).chain([300, 1000]) {
            for takeover in [true, false] {
                let mut compressor = compressor(6, 5, takeover);
                let mut inflater = Inflater::new();
                for _ in 0..2 {
                    let mut payload = Vec::new();
                    for part in plain.chunks(size) {
                        payload.extend_from_slice(compressor.compress(part, false));
                        assert!(!payload.ends_with(&TAIL), "parts of {size} bytes");
                    }
                    payload.extend_from_slice(compressor.compress(b"", true));
                    assert!(inflate(&mut inflater, &payload) == plain, "parts of {size} bytes");
                }
            }
        }
    }

    #[test]
    fn without_takeover_no_message_refers_to_one_before_it_also_from_a_pool() {
        let pool = Arc::new(Pool::default());
        let plain = noise(1000);
        let mut context = Compressor::lent(settings(6, 5), false, false, Some(&pool)).unwrap();
        let alone = context.compress(&plain, true).to_vec();
        assert_eq!(context.compress(&plain, true), alone);
        // What is given back in the middle of a message does not go on with it.
        context.compress(&plain, false);
        context.give_back(Some(&pool));
        let mut context = Compressor::lent(settings(6, 5), true, false, Some(&pool)).unwrap();
        assert_eq!(context.compress(&plain, true), alone);
        assert!(context.compress(&plain, true).len() < 100, "and now it does");
    }

    #[test]
    fn a_compressor_that_slept_refers_to_what_was_before() {
        let plain = noise(1000);
        let mut inflater = Inflater::new();
        let mut context = Compressor::lent(settings(6, 5), true, true, None).unwrap();
        for round in 0..5 {
            let payload = context.compress(&plain, true).to_vec();
            assert_eq!(round > 0, payload.len() < 100, "round {round}: {}", payload.len());
            assert!(inflate(&mut inflater, &payload) == plain);
            context.sleep();
            assert!(context.deflater.is_none() && context.output.capacity() == 0);
            context.sleep();
        }
        // In the middle of a message it stays awake.
        context.compress(&plain, false);
        assert!(!context.is_awake());
        context.sleep();
        assert!(context.deflater.is_some());
    }

    fn settings(level: u8, memory_level: u8) -> Settings {
        Settings {
            window: WindowBits::MAX,
            level: CompressionLevel::new(level).unwrap(),
            memory_level: MemoryLevel::new(memory_level).unwrap(),
        }
    }

    fn compressor(level: u8, memory_level: u8, takeover: bool) -> Box<Compressor> {
        Compressor::lent(settings(level, memory_level), takeover, false, None).unwrap()
    }

    /// The codec counts in 32 bits, so it is never given all of a long message.
    #[test]
    fn a_message_of_many_pieces_is_one_message() {
        let mut context = Compressor::lent(settings(6, 8), true, false, None).unwrap();
        let mut inflater = Inflater::new();
        for size in [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            for plain in [noise(size), alloc::vec![b'a'; size]] {
                let payload = context.compress(&plain, true).to_vec();
                assert!(inflate(&mut inflater, &payload) == plain, "{size} bytes");
            }
            context.trim();
            assert!(context.output.capacity() <= KEPT);
        }
    }

    fn bound(size: usize) -> usize {
        size + size / 8 + 64
    }

    /// What a peer reads, which keeps its window.
    fn inflate(inflater: &mut Inflater, mut payload: &[u8]) -> Vec<u8> {
        let (mut plain, mut output) = (Vec::new(), [0; 5000]);
        loop {
            let (progress, state) = inflater.inflate(payload, &mut output);
            assert_eq!(state, Stream::GoesOn);
            plain.extend_from_slice(&output[..progress.produced]);
            payload = &payload[progress.consumed..];
            if payload.is_empty() && progress.produced < output.len() {
                inflater.finish().unwrap();
                return plain;
            }
        }
    }

    /// Bytes without a pattern, the same in every run.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }
}
