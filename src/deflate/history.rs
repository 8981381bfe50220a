//! Which bytes does a window hold?

use alloc::collections::VecDeque;

use super::params::WindowBits;

/// The last plain bytes of a stream, as many as a reference may reach back.
#[derive(Debug)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    size: usize,
}

impl History {
    pub(super) fn new(window: WindowBits) -> History {
        // Who agreed on 8 may deflate with 9: zlib did so for long, and said nothing.
        History { bytes: VecDeque::new(), size: window.size().max(512) }
    }

    /// Begins anew, for another window.
    pub(super) fn restart(&mut self, window: WindowBits) {
        self.bytes.clear();
        self.size = History::new(window).size;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = bytes.get(bytes.len().saturating_sub(self.size)..).unwrap_or_default();
        let surplus = (self.bytes.len() + bytes.len()).saturating_sub(self.size);
        self.bytes.drain(..surplus.min(self.bytes.len()));
        // Grown by doubling, it would come to hold twice the window.
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            self.bytes.reserve_exact((needed * 2).min(self.size) - self.bytes.len());
        }
        self.bytes.extend(bytes);
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    pub(super) fn as_slice(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }
}
