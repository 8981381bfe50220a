//! How does a message's payload become what it was? (RFC 7692 §6.2, §7.2.2)
//!
//! In steps: each takes some of the payload and fills a buffer of a fixed size at most, so that every limit is checked
//! before more comes out than it allows, whatever the payload claims. At the end of the message the four bytes that its
//! sender left out are put back, and must fit: then the next message begins at the same place for both sides.
//!
//! A block with BFINAL ends a stream for the codec but not for RFC 7692 §7.2.3.4: what comes behind it is a further stream
//! that may refer to what came before. So the plain bytes of the window are kept here too.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use super::codec::{Corrupt, Inflater, Progress};
use super::history::History;
use super::{Budget, Direction, Pool};
use crate::error::Error;

/// The size of the output buffer. Larger messages are put together from as many pieces.
const OUTPUT: usize = 16 << 10;

/// What a stream that begins inside of a message costs, in bytes that go in: its window is copied.
const RESTART: u64 = 512;

/// A decompressor's context and its output.
pub(crate) struct Decompressor {
    /// None while it sleeps.
    inflater: Option<Inflater>,
    history: History,
    /// Either empty or [`OUTPUT`] bytes.
    output: Vec<u8>,
    /// How much of the output the history has yet to be told. What comes out of the last step of a message that none
    /// refers to never is.
    untold: usize,
    /// What is in the output to be read.
    unread: Range<usize>,
    /// The last step filled all the output it was given.
    is_full: bool,
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
        let Direction { window, takeover } = direction;
        let mut decompressor = pool.and_then(|pool| pool.decompressor()).unwrap_or_else(|| {
            Box::new(Decompressor {
                inflater: None,
                history: History::new(window),
                output: Vec::new(),
                untold: 0,
                unread: 0..0,
                is_full: false,
                takeover,
                ended: false,
                consumed: 0,
                produced: 0,
                spent: 0,
            })
        });
        decompressor.takeover = takeover;
        decompressor.history.restart(window);
        Some(decompressor)
    }

    /// Gives it to the pool, if there is one.
    pub(crate) fn give_back(mut self: Box<Self>, pool: Option<&Arc<Pool>>) {
        if let Some(pool) = pool {
            self.forget();
            self.unread = 0..0;
            pool.put_decompressor(self);
        }
    }

    /// Decompresses some of `payload`; says how much of it was taken. What the last step brought out must have been read.
    //= rfc7692 6.2 MUST 1: the payloads of a message's frames are one stream
    //= rfc7692 7.2.2 MUST 1: blocks of any kind, also behind one with BFINAL
    pub(crate) fn decompress(&mut self, payload: &[u8], budget: Budget) -> Result<usize, Error> {
        let Decompressor { inflater, history, output, .. } = self;
        history.push(output.get(..self.untold).unwrap_or_default());
        self.untold = 0;
        output.resize(OUTPUT, 0);
        let inflater = match inflater {
            Some(inflater) => inflater,
            None => {
                let inflater = inflater.insert(Inflater::new());
                inflater.set_dictionary(history.as_slice());
                inflater
            }
        };
        if self.ended && !payload.is_empty() {
            // A new stream, as the codec sees it, in the same window.
            inflater.reset();
            inflater.set_dictionary(history.as_slice());
            self.ended = false;
            self.spent = self.spent.saturating_add(RESTART);
        }

        let allowed = budget.message.saturating_sub(self.produced).saturating_add(1);
        let room = usize::try_from(allowed).map_or(OUTPUT, |allowed| allowed.min(OUTPUT));
        let (progress, ended) = inflater
            .inflate(payload, output.get_mut(..room).unwrap_or_default())
            .map_err(|Corrupt| Error::InvalidDeflate)?;
        let Progress { consumed, produced } = progress;
        if consumed == 0 && produced == 0 && !payload.is_empty() {
            return Err(Error::InvalidDeflate);
        }
        self.ended = ended;
        self.untold = produced;
        self.unread = 0..produced;
        self.is_full = produced == room && !ended;
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
    //= rfc7692 7.2.2 MUST 2: the tail is put back, once a message
    pub(crate) fn finish(&mut self) -> Result<(), Error> {
        // A message of no bytes is empty without a block. Behind BFINAL there is nothing that a tail could end.
        if let Some(inflater) = &mut self.inflater
            && self.consumed > 0
            && !self.ended
        {
            inflater.finish().map_err(|Corrupt| Error::InvalidDeflate)?;
        }
        self.consumed = 0;
        self.spent = 0;
        self.produced = 0;
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
        self.output(self.unread.clone())
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

    /// The output, which stays as it is until the next step.
    pub(crate) fn output(&self, range: Range<usize>) -> &[u8] {
        self.output.get(range).unwrap_or_default()
    }

    /// Whether there is a context to be given up.
    pub(crate) fn is_awake(&self) -> bool {
        self.inflater.is_some()
    }

    /// Whether it holds an output buffer.
    pub(crate) fn is_warm(&self) -> bool {
        !self.output.is_empty()
    }

    /// Gives up its output buffer.
    pub(crate) fn cool(&mut self) {
        self.history.push(self.output.get(..self.untold).unwrap_or_default());
        self.untold = 0;
        self.output = Vec::new();
    }

    /// Gives up its context for the plain bytes of its window. Not in the middle of a message.
    pub(crate) fn sleep(&mut self) {
        self.cool();
        self.inflater = None;
        self.ended = false;
        self.history.shrink();
    }

    /// Forgets all messages.
    fn forget(&mut self) {
        if let Some(inflater) = &mut self.inflater {
            inflater.reset();
        }
        self.history.clear();
        self.untold = 0;
        self.is_full = false;
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
