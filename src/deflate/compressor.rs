//! How does a message's payload become smaller? (RFC 7692 §6.1, §7.2.1)
//!
//! A message is deflated up to a flush, whose last four bytes, `00 00 FF FF`, are left out. Where it is sent in parts, each
//! part is flushed, and those four bytes go before the next: so each can be decompressed as soon as it is there, and they
//! are left out once, at the end, whatever that end holds.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use super::codec::{Deflater, TAIL};
use super::history::History;
use super::{Pool, Settings};

/// The payload of a message without a byte: an empty stored block, whose other four bytes are the tail.
const EMPTY: [u8; 1] = [0];

/// An output buffer that one large message grew is not kept beyond this.
const KEPT: usize = 64 << 10;

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
            if self.output.len() > KEPT {
                self.output = Vec::new();
            }
            pool.put_compressor(self);
        }
    }

    /// The payload for the next part of a message, the last one if `end`.
    //= rfc7692 6.1 MUST 1: the message is transformed as a whole
    //= rfc7692 7.2.1 MUST 1: the tail is left out
    //= rfc7692 7.2.1 MUST NOT 1: nothing but the tail is
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
            //= rfc7692 7.1.1.1 MUST 1: no context takeover where it was forbidden
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
            // More room than the worst case needs: see the traps of the codec.
            let room = rest.len() + rest.len() / 8 + 64;
            if output.len() < filled + room {
                output.resize(filled + room, 0);
            }
            let space = output.get_mut(filled..).unwrap_or_default();
            let size = space.len();
            let progress = deflater.deflate(rest, space, true);
            filled += progress.produced;
            rest = rest.get(progress.consumed..).unwrap_or_default();
            if progress.produced < size {
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
