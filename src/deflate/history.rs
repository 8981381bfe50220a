//! Which bytes does a compressor's window hold?

use alloc::collections::VecDeque;

use super::params::WindowBits;

/// The last plain bytes that were compressed, as many as a reference may reach back.
#[derive(Debug)]
pub(super) struct History {
    bytes: VecDeque<u8>,
    size: usize,
}

impl History {
    pub(super) fn new(window: WindowBits) -> History {
        History { bytes: VecDeque::new(), size: window.size() }
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

    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    pub(super) fn as_slice(&mut self) -> &[u8] {
        self.bytes.make_contiguous()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_the_last_bytes_of_what_was_pushed_and_no_more() {
        let plain: alloc::vec::Vec<u8> = (0..20_000_u32).map(|at| (at * at / 7) as u8).collect();
        for (bits, size) in [(8, 256), (9, 512), (10, 1024), (12, 4096)] {
            for step in [1, 7, size - 1, size, size + 1, 20_000] {
                let mut history = History::new(WindowBits::new(bits).unwrap());
                for (piece, end) in plain.chunks(step).zip((step..).step_by(step)) {
                    history.push(piece);
                    let end = end.min(plain.len());
                    assert!(history.as_slice() == &plain[end.saturating_sub(size)..end], "{bits} bits, {end}");
                    assert!(history.bytes.capacity() <= size, "{bits} bits: {}", history.bytes.capacity());
                }
            }
        }
    }

    #[test]
    fn a_short_one_is_small() {
        let mut history = History::new(WindowBits::MAX);
        history.push(b"Hello");
        history.push(b"");
        history.shrink();
        assert_eq!(history.bytes.capacity(), 5);
        assert_eq!(history.as_slice(), b"Hello");
    }
}
