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
pub(crate) const MIN_SHARED: usize = 256;

/// The same for what comes to an empty queue, where it takes neither. Beside a buffer that is in use a copy of so little is
/// cheaper; beside one that no cache holds, as in a broadcast, it is three times as dear.
const MIN_ALONE: usize = 64;

/// Room for the control frames that the engine sends by itself.
const SPARE: usize = 512;

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
    /// All bytes that are not acknowledged.
    length: usize,
    /// Counts all bytes acknowledged since the beginning.
    acknowledged: u64,
    /// How many bytes at the front a carrier has promised to its peer: they go out, whatever happens.
    pinned: usize,
    /// The first shared body. It lies here, as mostly there is one at most, and a broadcast is bound by the memory it touches.
    shared: Option<Inserted>,
    /// Those behind it: there are none without a first.
    #[allow(clippy::box_collection, reason = "few connections ever have one, and it has room for it in each")]
    more: Option<Box<VecDeque<Inserted>>>,
}

/// A shared body, and where in the queue's own bytes it stands.
#[derive(Debug)]
struct Inserted {
    at: usize,
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

    /// The position behind the last byte, counted from the first that was ever queued.
    pub(crate) fn end(&self) -> u64 {
        self.acknowledged + self.length as u64
    }

    /// Whether everything before the position was acknowledged.
    pub(crate) fn has_passed(&self, position: u64) -> bool {
        self.acknowledged >= position
    }

    #[inline(never)]
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if let Some(room) = self.room(bytes.len()) {
            room.copy_from_slice(bytes);
        } else {
            self.write(bytes.len(), |own| own.extend_from_slice(bytes));
        }
    }

    /// Takes a buffer with the first bytes to be queued.
    pub(crate) fn begin_with(&mut self, bytes: Vec<u8>) {
        if self.own.capacity() == 0 {
            self.own = bytes;
            self.filled();
        } else {
            self.push(&bytes);
        }
    }

    /// Appends what `write` appends to the buffer: some `length` bytes.
    pub(crate) fn write(&mut self, length: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.reserve(length);
        self.own.truncate(self.end);
        write(&mut self.own);
        self.filled();
    }

    /// Counts what was appended to the buffer.
    fn filled(&mut self) {
        self.length += self.own.len() - self.end;
        self.end = self.own.len();
    }

    /// Room behind the last byte, if it is there already. It counts at once, for the caller to fill.
    #[inline(always)]
    pub(crate) fn room(&mut self, length: usize) -> Option<&mut [u8]> {
        let room = self.own.get_mut(self.end..)?.get_mut(..length)?;
        self.end += length;
        self.length += length;
        Some(room)
    }

    /// Makes room for some frames, of which one may take so much.
    pub(crate) fn make_room(&mut self, least: usize) {
        self.reserve(least);
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
    #[inline(always)]
    pub(crate) fn insert(&mut self, body: &Bytes) {
        if body.len() < if self.is_empty() { MIN_ALONE } else { MIN_SHARED } {
            return self.push(body);
        }
        self.length += body.len();
        let inserted = Inserted { at: self.end, body: body.clone() };
        if self.shared.is_none() {
            self.shared = Some(inserted);
        } else {
            self.insert_behind(inserted);
        }
    }

    #[inline(never)]
    fn insert_behind(&mut self, inserted: Inserted) {
        self.more.get_or_insert_default().push_back(inserted);
    }

    /// Whether there is a second shared body. What held one is kept for the next, until it is released.
    #[inline(always)]
    fn has_more(&self) -> bool {
        self.more.as_ref().is_some_and(|more| !more.is_empty())
    }

    /// The shared bodies, in order.
    fn bodies(&self) -> impl Iterator<Item = &Inserted> {
        self.shared.iter().chain(self.more.iter().flat_map(|more| more.iter()))
    }

    /// The queue from its front, in slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let last = self.more.as_ref().and_then(|more| more.back()).or(self.shared.as_ref());
        let last = self.own.get(last.map_or(self.start, |last| last.at)..self.end).unwrap_or_default();
        let mut from = self.start;
        let between = self.bodies().flat_map(move |Inserted { at, body }| {
            let own = self.own.get(from..*at).unwrap_or_default();
            from = *at;
            [own, body]
        });
        between.chain([last]).filter(|slice| !slice.is_empty())
    }

    /// Fills `out` with the queue's slices from its front; says how many it filled.
    #[cfg(feature = "std")]
    #[inline]
    pub(crate) fn fill<'a>(&'a self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        let only = match &self.shared {
            None => self.own.get(self.start..self.end),
            Some(first) if self.start == self.end && !self.has_more() => Some(&first.body[..]),
            Some(_) => return self.fill_all(out),
        };
        only.filter(|only| !only.is_empty()).zip(out.first_mut()).map_or(0, |(only, slot)| {
            *slot = std::io::IoSlice::new(only);
            1
        })
    }

    #[cfg(feature = "std")]
    #[inline(never)]
    fn fill_all<'a>(&'a self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        // By hand, as the iterator of `slices` takes three times as long.
        let (mut from, mut filled, room) = (self.start, 0, out.len());
        let mut put = |slice: Option<&'a [u8]>| {
            if let Some(slice) = slice.filter(|slice| !slice.is_empty())
                && let Some(slot) = out.get_mut(filled)
            {
                *slot = std::io::IoSlice::new(slice);
                filled += 1;
            }
        };
        if let Some(first) = &self.shared {
            put(self.own.get(from..first.at));
            put(Some(&first.body));
            from = first.at;
        }
        if let Some(more) = &self.more {
            for next in more.iter().take(room) {
                put(self.own.get(from..next.at));
                put(Some(&next.body));
                from = next.at;
            }
        }
        put(self.own.get(from..self.end));
        filled
    }

    /// Drops all bytes, as the transport took them, if that is easily done: there are some, `count` is no less, and no more
    /// than one shared body is among them.
    #[inline(always)]
    pub(crate) fn acknowledge_all(&mut self, count: usize) -> bool {
        // An empty queue's length wraps to more than any count.
        if self.length.wrapping_sub(1) >= count || self.has_more() {
            return false;
        }
        self.acknowledged += self.length as u64;
        (self.start, self.end, self.length, self.pinned) = (0, 0, 0, 0);
        self.shared = None;
        true
    }

    /// Drops `count` bytes off the front, or all: the transport took them. Says how many it were.
    #[inline(never)]
    pub(crate) fn acknowledge(&mut self, count: usize) -> usize {
        let count = count.min(self.length);
        self.length -= count;
        self.acknowledged += count as u64;
        self.pinned = self.pinned.saturating_sub(count);
        let mut left = count;
        while left > 0 {
            let own = left.min(self.shared.as_ref().map_or(self.end, |first| first.at) - self.start);
            self.start += own;
            left -= own;
            if let Some(first) = &mut self.shared {
                let of_body = left.min(first.body.len());
                left -= of_body;
                if of_body == first.body.len() {
                    self.shared = self.more.as_mut().and_then(|more| more.pop_front());
                } else {
                    first.body.advance(of_body);
                }
            }
        }
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
        self.is_empty() && (self.own.capacity() > 0 || self.more.is_some())
    }

    pub(crate) fn release(&mut self) {
        if self.is_empty() {
            (self.own, self.end) = (Vec::new(), 0);
            self.more = None;
        }
    }

    /// Moves the beginning of the queue's own bytes to that of their buffer.
    fn rebase(&mut self) {
        if self.start > 0 {
            let more = self.more.iter_mut().flat_map(|more| more.iter_mut());
            self.shared.iter_mut().chain(more).for_each(|inserted| inserted.at -= self.start);
            self.start = 0;
        }
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
        AcknowledgeAll(usize),
        MakeRoom,
        Pin(usize),
        Clear,
        Release,
    }

    fn step() -> impl Strategy<Value = Step> {
        let few = || prop::collection::vec(any::<u8>(), 0..9);
        let many = || prop::sample::select(vec![MIN_ALONE - 1, MIN_ALONE, MIN_SHARED - 1, MIN_SHARED, 3000]);
        let bytes = || prop_oneof![2 => few(), 1 => many().prop_map(|length| vec![3; length])];
        prop_oneof![
            6 => bytes().prop_map(Step::Push),
            4 => bytes().prop_map(Step::Insert),
            6 => prop_oneof![0usize..20, 0usize..9000].prop_map(Step::Acknowledge),
            4 => prop_oneof![0usize..20, 0usize..9000].prop_map(Step::AcknowledgeAll),
            2 => Just(Step::MakeRoom),
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
                    Step::AcknowledgeAll(count) => {
                        if queue.acknowledge_all(count) {
                            prop_assert!(!model.is_empty() && count >= model.len());
                            passed += model.drain(..).len() as u64;
                            pinned = 0;
                        }
                    }
                    Step::MakeRoom => queue.make_room(48),
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
                #[cfg(feature = "std")]
                for room in [0, 1, 2, 3, 100] {
                    let mut filled = vec![std::io::IoSlice::new(&[]); room];
                    let count = queue.fill(&mut filled);
                    let (filled, slices) = (filled[..count].iter().map(|slice| &slice[..]), queue.slices().take(room));
                    prop_assert!(filled.eq(slices));
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.pinned(), pinned);
                prop_assert_eq!(queue.end(), passed + model.len() as u64);
            }
        }
    }
}
