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

/// What a short frame asks for.
const LEAST: usize = 48;

/// How much room is initialised at a time.
const ROOM: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Filled up to `end`. What lies behind is room, initialised already: a `Vec` that is appended to would ask for each piece
    /// of a frame whether it has the capacity, and count it.
    own: Vec<u8>,
    end: usize,
    /// How much of `own` is acknowledged.
    start: usize,
    /// Boxed, since few connections ever send one: where there is none, all is one slice.
    shared: Option<Box<Bodies>>,
    /// All bytes that are not acknowledged.
    length: usize,
    /// Counts all bytes acknowledged since the beginning.
    acknowledged: u64,
    /// How many bytes at the front a carrier has promised to its peer: they go out, whatever happens.
    pinned: usize,
}

#[derive(Debug, Default)]
struct Bodies {
    inserted: VecDeque<Inserted>,
    /// Counts own bytes since the first of them, up to the first one in `own`.
    base: u64,
}

/// A shared body and the count of own bytes that go before it.
#[derive(Debug)]
struct Inserted {
    at: u64,
    body: Bytes,
}

impl Queue {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes that are not acknowledged.
    #[inline]
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

    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.write(bytes.len(), |own| own.extend_from_slice(bytes));
    }

    /// Takes a buffer with the first bytes to be queued.
    pub(crate) fn begin_with(&mut self, bytes: Vec<u8>) {
        if self.own.capacity() == 0 {
            self.own = bytes;
            self.filled(self.own.len());
        } else {
            self.push(&bytes);
        }
    }

    /// Appends what `write` appends to the buffer: some `length` bytes.
    pub(crate) fn write(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.reserve(length);
        self.own.truncate(self.end);
        write(&mut self.own);
        self.filled(self.own.len() - self.end);
    }

    /// Room behind the last byte, if it is there already. What is put there counts when [`filled`](Queue::filled) says so.
    #[inline(always)]
    pub(crate) fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        self.own.get_mut(self.end..)?.get_mut(..length)
    }

    /// The same, of a length that is known.
    #[inline(always)]
    pub(crate) fn chunk<const N: usize>(&mut self) -> Option<&mut [u8; N]> {
        self.own.get_mut(self.end..)?.first_chunk_mut()
    }

    #[inline(always)]
    pub(crate) fn filled(&mut self, length: usize) {
        self.end += length;
        self.length += length;
    }

    /// Makes room for some short frames.
    pub(crate) fn make_room(&mut self) {
        self.reserve(LEAST);
        let length = self.own.capacity().min(self.end + ROOM);
        if self.own.len() < length {
            self.own.resize(length, 0);
        }
    }

    fn reserve(&mut self, length: usize) {
        // A queue that is never quite empty would else grow for ever: half of the buffer is moved for half acknowledged.
        if self.start > 4096 && self.start > self.end / 2 && self.own.len() - self.end < length {
            self.own.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.rebase();
        }
        // A buffer that was filled to the brim would double for the first Pong behind it, which is the peer's to cause.
        if self.own.capacity() - self.end < length {
            self.own.truncate(self.end);
            self.own.reserve(length + if length > SPARE { SPARE } else { 0 });
        }
    }

    /// Appends a body: by reference, unless that would cost more than a copy.
    pub(crate) fn insert(&mut self, body: &Bytes) {
        if body.len() < MIN_SHARED {
            self.push(body);
        } else {
            self.length += body.len();
            let shared = self.shared.get_or_insert_default();
            shared.inserted.push_back(Inserted { at: shared.base + self.end as u64, body: body.clone() });
        }
    }

    /// The queue from its front, in slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut from = self.start;
        let between = self.shared.iter().flat_map(|shared| shared.bodies()).flat_map(move |(to, body)| {
            let own = self.own.get(from..to).unwrap_or_default();
            from = to;
            [own, body]
        });
        let last = self.shared.as_ref().and_then(|shared| shared.inserted.back().map(|last| shared.index(last)));
        let last = self.own.get(last.unwrap_or(self.start)..self.end);
        between.chain([last.unwrap_or_default()]).filter(|slice| !slice.is_empty())
    }

    /// Fills `out` with the queue's slices from its front; says how many it filled.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn fill<'a>(&'a self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        if self.shared.is_some() {
            return self.fill_all(out);
        }
        let own = self.own.get(self.start..self.end).filter(|own| !own.is_empty());
        own.zip(out.first_mut()).map_or(0, |(own, slot)| {
            *slot = std::io::IoSlice::new(own);
            1
        })
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn fill_all<'a>(&'a self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        // By hand, as the iterator of `slices` takes three times as long.
        let (mut from, mut filled) = (self.start, 0);
        let mut put = |slice: Option<&'a [u8]>| {
            if let Some(slice) = slice.filter(|slice| !slice.is_empty())
                && let Some(slot) = out.get_mut(filled)
            {
                *slot = std::io::IoSlice::new(slice);
                filled += 1;
            }
            filled < out.len()
        };
        for (to, body) in self.shared.iter().flat_map(|shared| shared.bodies()) {
            if !put(self.own.get(from..to)) || !put(Some(body)) {
                return filled;
            }
            from = to;
        }
        put(self.own.get(from..self.end));
        filled
    }

    /// Drops `count` bytes off the front, or all: the transport took them. Says how many it were.
    #[inline]
    pub(crate) fn acknowledge(&mut self, count: usize) -> usize {
        let count = count.min(self.length);
        self.length -= count;
        self.acknowledged += count as u64;
        self.pinned = self.pinned.saturating_sub(count);
        self.start += match &mut self.shared {
            None => count,
            Some(shared) => shared.acknowledge(count, self.start, self.end),
        };
        if self.start == self.end {
            self.end = 0;
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
            (self.own, self.end) = (Vec::new(), 0);
            self.shared = None;
        }
    }

    fn rebase(&mut self) {
        if let Some(shared) = &mut self.shared {
            shared.base += self.start as u64;
        }
        self.start = 0;
    }
}

impl Bodies {
    /// The bodies, each with where it stands in the queue's own bytes.
    fn bodies(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.inserted.iter().map(|inserted| (self.index(inserted), &inserted.body[..]))
    }

    fn index(&self, inserted: &Inserted) -> usize {
        usize::try_from(inserted.at - self.base).unwrap_or(usize::MAX)
    }

    /// Drops so many bytes off the front of a queue whose own ones reach from `start` to `end`; says how many of those.
    #[inline(never)]
    fn acknowledge(&mut self, mut left: usize, start: usize, end: usize) -> usize {
        let mut at = start;
        while left > 0 {
            let own = left.min(self.inserted.front().map_or(end, |inserted| self.index(inserted)) - at);
            at += own;
            left -= own;
            if let Some(inserted) = self.inserted.front_mut() {
                let of_body = left.min(inserted.body.len());
                left -= of_body;
                if of_body == inserted.body.len() {
                    self.inserted.pop_front();
                } else {
                    inserted.body.advance(of_body);
                }
            }
        }
        at - start
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
