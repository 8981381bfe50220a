//! Where does what comes out go, and what of it may still be referred to? (RFC 7692 §7.2.2)
//!
//! One buffer is the output and the window at once: what comes out is written behind what came out before, and lent from
//! there; nothing is copied to be remembered. Where less than [`OUTPUT`] bytes are left, it goes on at the front, so that a
//! message of that size lies in one piece. What is then behind it, up to where the buffer was filled, is older. The buffer is as
//! much larger than the window that the two parts together always hold all of that.

use alloc::vec::Vec;
use core::ops::Range;

use super::params::WindowBits;

/// The room that there is at least for what comes out of a step.
pub(super) const OUTPUT: usize = 32 << 10;

#[derive(Debug)]
pub(super) struct Window {
    bytes: Vec<u8>,
    /// How far back a reference may reach.
    size: usize,
    /// Where what comes next is written. Behind it, what is older.
    end: usize,
    /// Where what is older ends; not behind `end` where there is none.
    older: usize,
}

impl Window {
    pub(super) fn new(window: WindowBits) -> Window {
        // Who agreed on 8 may deflate with 9: zlib did so for long, and said nothing.
        //= rfc7692 7.2.2 MAY 3: a client keeps no more than its server may refer to
        //= rfc7692 7.2.2 MAY 4: and so does a server
        Window { bytes: Vec::new(), size: window.size().max(512), end: 0, older: 0 }
    }

    /// Begins anew, for another window, in the same buffer.
    pub(super) fn restart(&mut self, window: WindowBits) {
        let bytes = core::mem::take(&mut self.bytes);
        *self = Window { bytes, ..Window::new(window) };
    }

    pub(super) fn clear(&mut self) {
        self.end = 0;
        self.older = 0;
    }

    /// The room for what comes out next.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.bytes.len() < self.size + OUTPUT {
            self.bytes.resize(self.size + OUTPUT, 0);
        }
        if self.bytes.len() - self.end < OUTPUT {
            self.older = self.end;
            self.end = 0;
        }
        self.bytes.get_mut(self.end..).unwrap_or_default()
    }

    /// Says that so much of it was filled; gives the place.
    pub(super) fn fill(&mut self, count: usize) -> Range<usize> {
        let start = self.end;
        self.end += count;
        start..self.end
    }

    /// What came out and is still there.
    pub(super) fn get(&self, place: Range<usize>) -> &[u8] {
        self.bytes.get(place).unwrap_or_default()
    }

    /// All that may be referred to, in two parts, the older first.
    pub(super) fn history(&self) -> [&[u8]; 2] {
        let newer = self.end.saturating_sub(self.size)..self.end;
        let missing = self.size - newer.len();
        let older = self.older.saturating_sub(missing).max(self.end)..self.older;
        [self.get(older), self.get(newer)]
    }

    /// Whether there is more than what may be referred to.
    pub(super) fn is_warm(&self) -> bool {
        self.bytes.len() > self.size
    }

    /// Keeps no more than what may be referred to.
    pub(super) fn cool(&mut self) {
        if self.is_warm() {
            self.bytes = self.history().concat();
            self.end = self.bytes.len();
            self.older = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_holds_the_last_bytes_that_came_out(
            bits in 8u8..=15,
            steps in prop::collection::vec((0usize..2 * OUTPUT, prop::bool::weighted(0.1), prop::bool::weighted(0.1)), 0..40),
        ) {
            let bits = WindowBits::new(bits).unwrap();
            let (mut window, mut model, mut next) = (Window::new(bits), Vec::<u8>::new(), 0u8);
            let size = bits.size().max(512);
            for (count, cools, restarts) in steps {
                let room = window.room();
                prop_assert!(room.len() >= OUTPUT);
                let count = count.min(room.len());
                let out: Vec<u8> = (0..count).map(|_| { next = next.wrapping_mul(7).wrapping_add(11); next }).collect();
                room[..count].copy_from_slice(&out);
                let place = window.fill(count);
                prop_assert_eq!(window.get(place), &out[..]);
                model.extend(out);
                if cools {
                    window.cool();
                    prop_assert!(!window.is_warm() && window.bytes.capacity() <= size);
                }
                if restarts {
                    window.restart(bits);
                    model.clear();
                }
                let history = window.history().concat();
                prop_assert_eq!(&history[..], &model[model.len().saturating_sub(size)..]);
            }
        }
    }
}
