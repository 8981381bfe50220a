//! What is queued for the transport, and in which order?
//!
//! A queue of bytes that is only ever appended to and acknowledged from the front, so what was shown once is shown again,
//! unchanged, until the transport took it. Most bytes are the queue's own, in one buffer, so a thousand small frames are
//! one slice; a shared body is held by reference and stands between two stretches of own bytes.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};

/// A reference takes some 40 bytes and a slice of a vectored write; smaller bodies are copied, so that the queue's length
/// bounds its memory.
const MIN_SHARED: usize = 256;

/// Room for the control frames that the engine sends by itself.
const SPARE: usize = 512;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    own: Vec<u8>,
    /// How much of `own` is acknowledged.
    start: usize,
    /// Counts own bytes since the beginning, up to the first one in `own`.
    base: u64,
    /// Boxed, since few connections ever send one.
    #[allow(clippy::box_collection, reason = "8 bytes in every connection instead of 32")]
    shared: Option<Box<VecDeque<Inserted>>>,
    /// All bytes that are not acknowledged.
    length: usize,
    /// Counts all bytes acknowledged since the beginning.
    acknowledged: u64,
    /// How many bytes at the front a carrier has promised to its peer: they go out, whatever happens.
    pinned: usize,
}

/// A shared body and the count of own bytes that go before it.
#[derive(Debug)]
struct Inserted {
    at: u64,
    body: Bytes,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that are not acknowledged.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// The position behind the last byte, counted from the beginning.
    pub(crate) fn end(&self) -> u64 {
        self.acknowledged + self.length as u64
    }

    /// Whether everything before the position was acknowledged.
    pub(crate) fn has_passed(&self, position: u64) -> bool {
        self.acknowledged >= position
    }

    #[inline]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.write(bytes.len(), |own| own.extend_from_slice(bytes));
    }

    /// Appends what `write` appends to the buffer: some `length` bytes.
    #[inline]
    pub(crate) fn write(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        // A queue that is never quite empty would else grow for ever: half of the buffer is moved for half acknowledged.
        if self.start > 4096 && self.start > self.own.len() / 2 {
            self.own.drain(..self.start);
            self.rebase();
        }
        // A buffer that was filled to the brim would double for the first Pong behind it, which is the peer's to cause.
        if self.own.capacity() - self.own.len() < length {
            self.own.reserve(length + if length > SPARE { SPARE } else { 0 });
        }
        let before = self.own.len();
        write(&mut self.own);
        self.length += self.own.len() - before;
    }

    /// Appends a body: by reference, unless that would cost more than a copy.
    pub(crate) fn insert(&mut self, body: &Bytes) {
        if body.len() < MIN_SHARED {
            self.push(body);
        } else {
            self.length += body.len();
            let inserted = Inserted { at: self.base + self.own.len() as u64, body: body.clone() };
            self.shared.get_or_insert_default().push_back(inserted);
        }
    }

    /// The queue from its front, in slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.start;
        let between = self.shared.iter().flat_map(|shared| shared.iter()).flat_map(move |inserted| {
            let to = self.index(inserted);
            let own = self.own.get(from..to).unwrap_or_default();
            from = to;
            [own, &inserted.body[..]]
        });
        let last = self.shared.as_ref().and_then(|shared| shared.back());
        let last = last.map_or(self.start, |inserted| self.index(inserted));
        between.chain([self.own.get(last..).unwrap_or_default()]).filter(|slice| !slice.is_empty())
    }

    /// Fills `out` with the queue's slices from its front; says how many it filled.
    #[cfg(feature = "std")]
    pub(crate) fn fill<'a>(&'a self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for (slot, slice) in out.iter_mut().zip(self.slices()) {
            *slot = std::io::IoSlice::new(slice);
            filled += 1;
        }
        filled
    }

    /// Drops `count` bytes off the front, or all: the transport took them. Says how many it were.
    pub(crate) fn acknowledge(&mut self, count: usize) -> usize {
        let count = count.min(self.length);
        self.length -= count;
        self.acknowledged += count as u64;
        self.pinned = self.pinned.saturating_sub(count);
        let mut left = count;
        while left > 0 {
            let front = self.shared.as_ref().and_then(|shared| shared.front());
            let own_end = front.map_or(self.own.len(), |inserted| self.index(inserted));
            let own = left.min(own_end - self.start);
            self.start += own;
            left -= own;
            if let Some(shared) = &mut self.shared
                && let Some(inserted) = shared.front_mut()
            {
                let of_body = left.min(inserted.body.len());
                inserted.body.advance(of_body);
                left -= of_body;
                if inserted.body.is_empty() {
                    shared.pop_front();
                }
            }
        }
        if self.start == self.own.len() {
            self.own.clear();
            self.rebase();
        }
        count
    }

    /// Promises the next bytes that are not promised yet; says from which position on they are.
    pub(crate) fn pin(&mut self, count: usize) -> u64 {
        let from = self.acknowledged + self.pinned as u64;
        self.pinned += count.min(self.length - self.pinned);
        from
    }

    /// The position of the first byte.
    pub(crate) fn position(&self) -> u64 {
        self.acknowledged
    }

    /// Bytes that are promised.
    pub(crate) fn pinned(&self) -> usize {
        self.pinned
    }

    /// Some of the queue, in slices.
    pub(crate) fn stretch(&self, from: u64, length: usize) -> impl Iterator<Item = &[u8]> {
        let mut skip = usize::try_from(from.saturating_sub(self.acknowledged)).unwrap_or(usize::MAX);
        let mut left = length;
        self.slices().filter_map(move |slice| {
            let slice = slice.get(skip..).or_else(|| {
                skip -= slice.len();
                None
            })?;
            skip = 0;
            let slice = slice.get(..left).unwrap_or(slice);
            left -= slice.len();
            (!slice.is_empty()).then_some(slice)
        })
    }

    /// Drops everything that is not promised.
    pub(crate) fn clear(&mut self) {
        if self.pinned == 0 {
            self.acknowledge(self.length);
            return;
        }
        let kept: Vec<u8> = self.stretch(self.acknowledged, self.pinned).flatten().copied().collect();
        let (pinned, acknowledged) = (self.pinned, self.acknowledged);
        *self = Queue { acknowledged, ..Queue::default() };
        self.push(&kept);
        self.pinned = pinned;
    }

    /// Whether an empty queue holds on to memory.
    pub(crate) fn is_releasable(&self) -> bool {
        self.is_empty() && (self.own.capacity() > 0 || self.shared.is_some())
    }

    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            self.own = Vec::new();
            self.shared = None;
        }
    }

    fn rebase(&mut self) {
        self.base += self.start as u64;
        self.start = 0;
    }

    fn index(&self, inserted: &Inserted) -> usize {
        usize::try_from(inserted.at - self.base).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(Vec<u8>),
        Insert(Vec<u8>),
        Acknowledge(usize),
        Pin(usize),
        Clear,
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || prop_oneof![4 => prop::collection::vec(any::<u8>(), 0..9), 1 => Just(vec![3; 3000]), 1 => Just(vec![4; MIN_SHARED])];
        prop_oneof![
            6 => bytes().prop_map(Step::Push),
            4 => bytes().prop_map(Step::Insert),
            6 => prop_oneof![0usize..20, 0usize..9000].prop_map(Step::Acknowledge),
            2 => (0usize..3000).prop_map(Step::Pin),
            1 => Just(Step::Clear),
            1 => Just(Step::Release),
        ]
    }

    proptest! {
        #[test]
        fn behaves_as_a_plain_list_of_bytes(steps in prop::collection::vec(step(), 0..80)) {
            let (mut queue, mut model, mut passed, mut pinned) = (Queue::default(), Vec::<u8>::new(), 0u64, 0usize);
            for step in steps {
                match step {
                    Step::Push(bytes) => {
                        queue.push(&bytes);
                        model.extend(bytes);
                    }
                    Step::Insert(bytes) => {
                        queue.insert(&Bytes::from(bytes.clone()));
                        model.extend(bytes);
                    }
                    Step::Acknowledge(count) => {
                        queue.acknowledge(count);
                        passed += model.drain(..count.min(model.len())).len() as u64;
                        pinned = pinned.saturating_sub(count);
                    }
                    Step::Pin(count) => {
                        let from = queue.pin(count);
                        prop_assert_eq!(from, passed + pinned as u64);
                        let stretch: Vec<u8> = queue.stretch(from, count).flatten().copied().collect();
                        let end = model.len().min(pinned + count);
                        prop_assert_eq!(&stretch[..], &model[pinned..end]);
                        pinned = end;
                    }
                    Step::Clear => {
                        queue.clear();
                        if pinned == 0 {
                            passed += model.len() as u64;
                        }
                        model.truncate(pinned);
                    }
                    Step::Release => queue.release(),
                }
                let shown: Vec<u8> = queue.slices().flatten().copied().collect();
                prop_assert_eq!(&shown, &model);
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.end(), passed + model.len() as u64);
            }
        }
    }
}
