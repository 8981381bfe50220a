//! How does a message's payload become what it was? (RFC 7692 §6.2, §7.2.2)
//!
//! In steps: each takes some of the payload and fills the room that the [`Window`] has at most, so that every limit is checked
//! before more comes out than it allows, whatever the payload claims. At the end of the message the four bytes that its
//! sender left out are put back, and must fit: then the next message begins at the same place for both sides.
//!
//! A block with BFINAL ends a stream for the codec but not for RFC 7692 §7.2.3.4: what comes behind it is a further stream
//! that may refer to what came before. So the plain bytes that a reference may reach are kept, where they came out.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::fmt;
use core::ops::Range;

use super::codec::{Corrupt, Inflater, Progress, Stream};
use super::window::Window;
use super::{Budget, Direction, Pool};
use crate::error::Error;

/// What a stream that begins inside of a message costs, in bytes that go in; and how many bytes of the window, which the codec
/// then copies, cost one more.
const RESTART: u64 = 64;
const COPIED: u64 = 16;

/// A decompressor's context and its output.
pub(crate) struct Decompressor {
    /// None while it sleeps.
    inflater: Option<Inflater>,
    window: Window,
    /// What is there to be read.
    unread: Range<usize>,
    /// Another step may bring out more, or a fault, without more payload.
    is_full: bool,
    /// A message did not end where its tail fits.
    is_corrupt: bool,
    /// The next message may refer to this one.
    takeover: bool,
    /// The last block had BFINAL.
    ended: bool,
    /// Bytes of the message under way.
    consumed: u64,
    produced: u64,
    /// What it has cost so far, in bytes that went in.
    spent: u64,
}

impl Decompressor {
    /// One from the pool, or a new one, for what was agreed on for the peer's messages.
    pub(crate) fn lent(direction: Direction, pool: Option<&Arc<Pool>>) -> Option<Box<Decompressor>> {
        let mut decompressor = pool.and_then(|pool| pool.decompressor()).unwrap_or_else(|| {
            Box::new(Decompressor {
                inflater: None,
                window: Window::new(direction.window),
                unread: 0..0,
                is_full: false,
                is_corrupt: false,
                takeover: direction.takeover,
                ended: false,
                consumed: 0,
                produced: 0,
                spent: 0,
            })
        });
        decompressor.takeover = direction.takeover;
        decompressor.window.restart(direction.window);
        Some(decompressor)
    }

    /// Gives it to the pool, if there is one.
    pub(crate) fn give_back(mut self: Box<Self>, pool: Option<&Arc<Pool>>) {
        if let Some(pool) = pool {
            self.forget();
            self.unread = 0..0;
            // One that sleeps has nothing to lend.
            if self.inflater.is_some() {
                pool.put_decompressor(self);
            }
        }
    }

    /// Decompresses some of `payload`; says how much of it was taken. What the last step brought out must have been read.
    //= rfc7692 6.2 MUST 1: the payloads of a message's frames are one stream
    //= rfc7692 7.2.1 MAY 1: any number of blocks
    //= rfc7692 7.2.1 MAY 2: of any type, also behind one with BFINAL
    pub(crate) fn decompress(&mut self, payload: &[u8], budget: Budget) -> Result<usize, Error> {
        let Decompressor { inflater, window, .. } = self;
        let inflater = match inflater {
            Some(inflater) => inflater,
            None => {
                let inflater = inflater.insert(Inflater::new());
                window.history().into_iter().for_each(|bytes| inflater.set_dictionary(bytes));
                inflater
            }
        };
        if self.ended && !payload.is_empty() {
            // A new stream, as the codec sees it, in the same window.
            inflater.reset();
            let mut cost = RESTART;
            for bytes in window.history() {
                inflater.set_dictionary(bytes);
                cost += bytes.len() as u64 / COPIED;
            }
            self.ended = false;
            self.spent = self.spent.saturating_add(cost);
        }

        let mut room = window.room();
        let allowed = budget.message.saturating_sub(self.produced).saturating_add(1);
        if let Ok(allowed) = usize::try_from(allowed)
            && allowed < room.len()
        {
            room = room.get_mut(..allowed).unwrap_or_default();
        }
        let size = room.len();
        let (progress, stream) = inflater.inflate(payload, room);
        let Progress { consumed, produced } = progress;
        // What came out before a fault is handed on before it is told; so no cut of the payload changes either. A stream may
        // also have ended with the block that the last tail completed, and is found to have only now.
        let is_stuck = consumed == 0 && produced == 0 && !payload.is_empty() && stream == Stream::GoesOn;
        if is_stuck || (stream == Stream::Corrupt && produced == 0) {
            return Err(Error::InvalidDeflate);
        }
        self.ended = stream == Stream::Ended;
        self.unread = window.fill(produced);
        self.is_full = stream == Stream::Corrupt || (stream == Stream::GoesOn && produced == size);
        self.consumed = self.consumed.saturating_add(consumed as u64);
        self.spent = self.spent.saturating_add(consumed as u64);
        self.produced = self.produced.saturating_add(produced as u64);
        if self.produced > budget.message {
            Err(Error::MessageTooBig)
        } else if self.produced > self.consumed.saturating_mul(u64::from(budget.ratio)) {
            Err(Error::RatioTooHigh)
        } else if self.spent > Budget::allowed(self.produced) {
            Err(Error::EmptyBlocks)
        } else {
            Ok(consumed)
        }
    }

    /// Ends the message. Its output stays until the next call.
    //= rfc7692 6.2 MUST 1: the tail is put back, once a message
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        // A message of no bytes is empty without a block. Behind BFINAL there is nothing that a tail could end.
        if let Some(inflater) = &mut self.inflater
            && self.consumed > 0
            && !self.ended
        {
            self.is_corrupt |= inflater.finish() == Err(Corrupt);
            if self.is_corrupt {
                return Err(Error::InvalidDeflate);
            }
        }
        self.consumed = 0;
        self.spent = 0;
        self.produced = 0;
        //= rfc7692 7.2.2 MAY 1: a client drops a window that its server does not use again
        //= rfc7692 7.2.2 MAY 2: and so does a server
        //= rfc7692 7.2.2 MUST 1: any other window a client keeps
        //= rfc7692 7.2.2 MUST 2: and so does a server
        if !self.takeover {
            self.forget();
        }
        Ok(())
    }

    /// Whether another step may bring out more without more payload.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full
    }

    /// What the last step brought out and was not read yet.
    pub(crate) fn unread(&self) -> &[u8] {
        self.window.get(self.unread.clone())
    }

    /// Takes some of it for read.
    pub(crate) fn read(&mut self, count: usize) {
        self.unread.start = self.unread.end.min(self.unread.start + count);
    }

    /// Takes all of it for read, and says where it is.
    pub(crate) fn read_all(&mut self) -> Range<usize> {
        let range = self.unread.clone();
        self.unread.start = range.end;
        range
    }

    /// What was read, which stays as it is until the next step.
    pub(crate) fn output(&self, place: Range<usize>) -> &[u8] {
        self.window.get(place)
    }

    /// Whether there is a context to be given up.
    pub(crate) fn is_awake(&self) -> bool {
        self.inflater.is_some()
    }

    /// Whether it holds an output buffer.
    pub(crate) fn is_warm(&self) -> bool {
        self.window.is_warm()
    }

    /// Gives up its output buffer, but for what may still be referred to.
    pub(crate) fn cool(&mut self) {
        self.unread = 0..0;
        self.window.cool();
    }

    /// Gives up its context for the plain bytes of its window. Not in the middle of a message.
    pub(crate) fn sleep(&mut self) {
        self.cool();
        self.inflater = None;
        self.ended = false;
    }

    /// Forgets all messages.
    fn forget(&mut self) {
        if let Some(inflater) = &mut self.inflater {
            inflater.reset();
        }
        self.window.clear();
        self.is_full = false;
        self.is_corrupt = false;
        self.ended = false;
        self.consumed = 0;
        self.spent = 0;
        self.produced = 0;
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("consumed", &self.consumed).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::super::params::WindowBits;
    use super::super::window::OUTPUT;
    use super::*;

    const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    /// Refers to the "Hello" before it.
    const HELLO_AGAIN: [u8; 5] = [0xF2, 0x00, 0x11, 0x00, 0x00];
    /// With BFINAL, and as RFC 7692 §7.2.3.5 has it, with a byte behind it for the tail.
    const LAST_HELLO: [u8; 8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
    const GENEROUS: Budget = Budget { message: 1 << 30, ratio: u32::MAX };

    #[test]
    fn a_message_comes_out_however_it_is_cut() {
        for (payload, plain) in [
            (&HELLO[..], &b"Hello"[..]),
            (&LAST_HELLO, b"Hello"),
            // Without the byte for the tail too: there is nothing that it could end.
            (&LAST_HELLO[..7], b"Hello"),
            (&[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00], b"Hello"),
            (&[&LAST_HELLO[..7], &LAST_HELLO[..7], &HELLO_AGAIN].concat(), b"HelloHelloHello"),
            (&[0x00], b""),
            (&[], b""),
        ] {
            for size in 1..=payload.len().max(1) {
                let mut context = context(true);
                for _ in 0..2 {
                    let pieces: Vec<&[u8]> = payload.chunks(size).collect();
                    assert_eq!(message(&mut context, &pieces, GENEROUS), Ok(plain.to_vec()), "in pieces of {size}");
                }
            }
        }
    }

    #[test]
    fn the_window_goes_on_behind_bfinal_and_behind_a_sleep_and_ends_without_takeover() {
        for first in [&HELLO[..], &LAST_HELLO, &LAST_HELLO[..7]] {
            for sleeps in [false, true] {
                let mut context = context(true);
                for (payload, plain) in [(first, "Hello"), (&HELLO_AGAIN, "Hello"), (&HELLO_AGAIN, "Hello")] {
                    assert_eq!(message(&mut context, &[payload], GENEROUS), Ok(plain.into()), "{first:x?}");
                    if sleeps {
                        context.sleep();
                        assert!(!context.is_awake() && !context.is_warm());
                    } else {
                        context.cool();
                    }
                }
            }
            let mut context = context(false);
            message(&mut context, &[first], GENEROUS).unwrap();
            assert_eq!(message(&mut context, &[&HELLO_AGAIN], GENEROUS), Err(Error::InvalidDeflate));
        }
    }

    /// The empty stored block that the tail completes may have BFINAL itself: the next message begins a stream then.
    #[test]
    fn the_window_goes_on_behind_a_tail_that_ends_a_block_with_bfinal() {
        let first: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x04];
        let mut context = context(true);
        for payload in [first, &HELLO_AGAIN, first, &HELLO, &HELLO_AGAIN] {
            assert_eq!(message(&mut context, &[payload], GENEROUS), Ok(b"Hello".to_vec()), "{payload:x?}");
        }
    }

    #[test]
    fn a_context_from_the_pool_knows_nothing_of_whom_it_served() {
        let pool = Arc::new(Pool::default());
        let cut_off: &[u8] = &[0x00, 0x05, 0x00];
        for first in [&HELLO[..], &LAST_HELLO[..7], cut_off, &[0x06]] {
            for takeover in [false, true] {
                let direction = Direction { window: WindowBits::MAX, takeover };
                let mut context = Decompressor::lent(direction, Some(&pool)).unwrap();
                _ = context.decompress(first, GENEROUS);
                context.give_back(Some(&pool));
                let mut context = Decompressor::lent(direction, Some(&pool)).unwrap();
                assert_eq!(message(&mut context, &[&HELLO_AGAIN], GENEROUS), Err(Error::InvalidDeflate), "{first:x?}");
                context.give_back(Some(&pool));
                let mut context = Decompressor::lent(direction, Some(&pool)).unwrap();
                assert_eq!(message(&mut context, &[&HELLO], GENEROUS), Ok(b"Hello".to_vec()), "{first:x?}");
                context.give_back(Some(&pool));
            }
        }
    }

    /// A stream that has come to its end, and one more byte: neither is swallowed, nor does it go on for ever.
    #[test]
    fn what_is_no_stream_behind_bfinal_is_a_fault() {
        assert_eq!(message(&mut context(true), &[&LAST_HELLO, &[0x06]], GENEROUS), Err(Error::InvalidDeflate));
        assert_eq!(message(&mut context(true), &[&LAST_HELLO[..7], &[0x06]], GENEROUS), Err(Error::InvalidDeflate));
    }

    #[test]
    fn blocks_that_bring_nothing_out_may_take_four_kib_and_no_more() {
        let stored: &[u8] = &[0x00, 0x00, 0x00, 0xFF, 0xFF];
        // Three bits of head and seven of the end: four of them take five bytes.
        let fixed: &[u8] = &[0x02, 0x08, 0x20, 0x80, 0x00];
        for block in [stored, fixed] {
            let mut context = context(true);
            for at in 0..819 {
                assert_eq!(step(&mut context, block, GENEROUS), Ok(()), "{at}");
            }
            assert_eq!(step(&mut context, &block[..1], GENEROUS), Ok(()), "4096 bytes");
            assert_eq!(step(&mut context, &block[1..2], GENEROUS), Err(Error::EmptyBlocks));
        }
    }

    #[test]
    fn a_restart_costs_as_much_as_64_bytes() {
        for (size, last) in [(5, &[0x01, 0x00, 0x00, 0xFF, 0xFF][..]), (2, &[0x03, 0x00])] {
            let mut context = context(true);
            let restarts = (1..).take_while(|_| step(&mut context, last, GENEROUS).is_ok()).last();
            assert_eq!(restarts, Some((4096 + 64) / (size + 64)));
        }
        // A byte that comes out pays for eight, and costs one for sixteen of them that are copied.
        let last: &[u8] = &LAST_HELLO[..7];
        let mut context = context(true);
        let restarts = (1..).take_while(|_| step(&mut context, last, GENEROUS).is_ok()).last();
        let spent = |restarts: u64| (1..restarts).map(|before| 64 + before * 5 / 16).sum::<u64>() + 7 * restarts;
        assert_eq!(restarts, (1..).take_while(|restarts| spent(*restarts) <= 4096 + 8 * 5 * restarts).last());
    }

    #[test]
    fn what_a_message_cost_is_not_held_against_the_next() {
        let mut context = context(true);
        for _ in 0..20 {
            let mut blocks = [0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(800);
            blocks.push(0);
            assert_eq!(message(&mut context, &[&blocks], GENEROUS), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_message_is_refused_at_the_first_byte_too_many_and_never_brings_out_a_second() {
        for limit in [0, 1, 4, 5, 6, 100_000, OUTPUT as u64, OUTPUT as u64 - 1] {
            let budget = Budget { message: limit, ..GENEROUS };
            let mut context = context(true);
            let mut plain = 0;
            let mut result = step_counting(&mut context, &HELLO[..6], budget, &mut plain);
            while result.is_ok() && plain <= 1 << 20 {
                result =
                    step_counting(&mut context, &[&[0, 0, 0, 0xFF, 0xFF], &HELLO[..6]].concat(), budget, &mut plain);
            }
            assert_eq!(result, Err(Error::MessageTooBig), "{limit}");
            assert_eq!(context.produced, limit + 1);
        }
    }

    #[test]
    fn a_ratio_is_refused_where_it_is_exceeded() {
        // "Hello" from two to seven bytes: five come out of six.
        for (ratio, refused) in [(0, true), (1, false)] {
            let budget = Budget { ratio, ..GENEROUS };
            let result = message(&mut context(true), &[&HELLO], budget);
            assert_eq!(result.is_err(), refused, "{ratio}");
        }
        // 258 bytes, and again, from one byte and a reference of 13 bits: 1032 bytes from five.
        let mut bits = Vec::new();
        bits.extend([0, 1, 0]); // a fixed block
        bits.extend([0, 0, 1, 1, 0, 0, 0, 0]); // a zero
        (0..4000).for_each(|_| bits.extend([1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0, 0])); // 258 bytes from one byte back
        let byte = |bits: &[u8]| bits.iter().rev().fold(0, |byte, bit| byte * 2 + bit);
        let zeros: Vec<u8> = bits.chunks(8).map(byte).collect();
        for (ratio, result) in [(100, Err(Error::RatioTooHigh)), (157, Err(Error::RatioTooHigh)), (170, Ok(()))] {
            let budget = Budget { ratio, ..GENEROUS };
            assert_eq!(step(&mut context(true), &zeros, budget), result, "{ratio}");
        }
    }

    fn context(takeover: bool) -> Box<Decompressor> {
        Decompressor::lent(Direction { window: WindowBits::MAX, takeover }, None).unwrap()
    }

    /// Some of a message's payload, whatever comes out.
    fn step(context: &mut Decompressor, payload: &[u8], budget: Budget) -> Result<(), Error> {
        step_counting(context, payload, budget, &mut 0)
    }

    fn step_counting(
        context: &mut Decompressor,
        mut payload: &[u8],
        budget: Budget,
        plain: &mut usize,
    ) -> Result<(), Error> {
        while !payload.is_empty() || context.is_full() {
            let taken = context.decompress(payload, budget)?;
            payload = &payload[taken..];
            *plain += context.read_all().len();
        }
        Ok(())
    }

    fn message(context: &mut Decompressor, pieces: &[&[u8]], budget: Budget) -> Result<Vec<u8>, Error> {
        let mut plain = vec![];
        for piece in pieces {
            let mut payload = *piece;
            while !payload.is_empty() || context.is_full() {
                let taken = context.decompress(payload, budget)?;
                payload = &payload[taken..];
                plain.extend_from_slice(context.unread());
                context.read_all();
            }
        }
        context.finish()?;
        Ok(plain)
    }
}
