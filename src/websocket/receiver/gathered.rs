//! Where is a message put together that comes in pieces?
//!
//! In one buffer, filled up to a mark. What lies behind the mark is initialised already, by the last message or with zeros, so
//! that a driver can read into it: the payload is then where it belongs without having been anywhere else. It grows by what
//! has arrived, twofold, never by what a header claims; what is there already is used up first.

use alloc::vec::Vec;

use crate::frame::mask;

/// What the room is worth: a shorter read costs more than a copy. The first of a message are copied in any case.
// The fuzzer's messages are short.
const LEAST: usize = if cfg!(fuzzing) { 16 } else { 4 << 10 };

/// What is read at once is still in the cache when it is unmasked.
const MOST: usize = 128 << 10;

#[derive(Debug, Default)]
pub(super) struct Gathered {
    bytes: Vec<u8>,
    filled: usize,
}

impl Gathered {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.filled == 0
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.filled).unwrap_or_default()
    }

    /// Appends a piece, XORed with the key.
    pub(super) fn append(&mut self, piece: &[u8], key: [u8; 4], limit: u64) {
        let end = self.filled + piece.len();
        if let Some(room) = self.bytes.get_mut(self.filled..end) {
            mask::copy(room, piece, (key != [0; 4]).then_some(key));
        } else {
            self.bytes.truncate(self.filled);
            self.bytes.reserve_exact(growth(self.filled, self.bytes.capacity(), piece.len(), limit));
            mask::append(&mut self.bytes, piece, key);
        }
        self.filled = end;
    }

    /// Room for so much more of the message, as far as it is worth it.
    pub(super) fn room(&mut self, remaining: u64, limit: u64) -> &mut [u8] {
        let end = self.filled + self.worth(remaining);
        if self.bytes.len() < end {
            // Short reads may have left less free than they brought: twice that capacity would be more than twice what came.
            let limit = limit.min((self.filled as u64).saturating_mul(2));
            let more = end - self.bytes.len();
            self.bytes.reserve_exact(growth(self.bytes.len(), self.bytes.capacity(), more, limit));
            self.bytes.resize(end, 0);
        }
        self.bytes.get_mut(self.filled..end).unwrap_or_default()
    }

    /// How long the room is, which asking for it does not change.
    fn worth(&self, remaining: u64) -> usize {
        let there = self.bytes.len() - self.filled;
        // What there is is used up first, so that short reads do not each ask for more.
        let wanted = if there < LEAST { self.filled } else { there };
        let length = usize::try_from(remaining).unwrap_or(usize::MAX).min(wanted).min(MOST);
        if length < LEAST || self.is_empty() { 0 } else { length }
    }

    /// Counts what was read into the room, nothing where that was not asked for; shows it.
    pub(super) fn fill(&mut self, count: usize, remaining: u64) -> &mut [u8] {
        let (start, length) = (self.filled, self.worth(remaining));
        let Some(room) = self.bytes.get_mut(start..start + length) else { return &mut [] };
        let count = count.min(length);
        self.filled = start + count;
        room.get_mut(..count).unwrap_or_default()
    }

    /// Splits the last bytes off.
    pub(super) fn split_off(&mut self, count: usize) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.filled = self.filled.saturating_sub(count);
        self.bytes.split_off(self.filled)
    }

    /// Forgets the message; keeps its memory.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        self.bytes.truncate(self.filled);
        self.bytes
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}

/// How much a buffer is to grow for `more` bytes: twofold, so that appending stays linear, but not past the limit.
pub(super) fn growth(length: usize, capacity: usize, more: usize, limit: u64) -> usize {
    let needed = length.saturating_add(more);
    if needed <= capacity {
        return 0;
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    needed.max(capacity.saturating_mul(2).min(limit)) - length
}
