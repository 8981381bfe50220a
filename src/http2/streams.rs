//! Which streams are there?
//!
//! Identifiers only ever grow, so a new stream goes to the end of a list that is in their order. Where a stream was, it leaves
//! a gap, until half of the list is gaps. As long as a client takes one identifier after the other, which all do, a stream lies
//! where its identifier says; else it is searched for.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::flow::Window;
use super::frame::Kind;
use super::output::Output;
use crate::time::Instant;

/// A stream that is not closed.
#[derive(Debug)]
pub(crate) struct Stream<S> {
    pub(crate) session: S,
    /// What we may send, as far as it differs from the peer's initial window.
    pub(super) send_window: Window,
    pub(super) receive_window: Window,
    pub(super) uncredited: u32,
    /// Its session takes nothing for now, so the peer gets no credit on it.
    pub(super) held: bool,
    /// The peer has sent END_STREAM, or we have.
    pub(super) ended_theirs: bool,
    pub(super) ended_ours: bool,
    /// Its final head has arrived; what follows is DATA.
    pub(super) has_head: bool,
    /// It carries bytes both ways, and so no fields behind its head (RFC 9113 §8.5).
    pub(super) is_tunnel: bool,
    /// It is in the line of those that have something to send.
    pub(super) is_ready: bool,
    /// It is ours, and the peer was not asked for it yet.
    pub(super) is_unasked: bool,
    /// It is among those that are to be looked at.
    pub(super) is_touched: bool,
    /// When it must be looked at again, at the latest.
    pub(super) deadline: Option<Instant>,
}

/// All streams that are not closed.
#[derive(Debug)]
pub(super) struct Streams<S> {
    ids: Vec<u32>,
    places: Vec<Option<Box<Stream<S>>>>,
    count: usize,
}

impl<S> Default for Streams<S> {
    fn default() -> Streams<S> {
        Streams { ids: Vec::new(), places: Vec::new(), count: 0 }
    }
}

impl<S> Stream<S> {
    pub(super) fn new(session: S, receive_window: u32) -> Stream<S> {
        Stream {
            session,
            send_window: Window::new(0),
            receive_window: Window::new(receive_window),
            uncredited: 0,
            held: false,
            ended_theirs: false,
            ended_ours: false,
            has_head: false,
            is_tunnel: true,
            is_ready: false,
            is_unasked: false,
            is_touched: false,
            deadline: None,
        }
    }

    /// Gives the peer back what it used of the window, once that is half of it.
    //= rfc9113 5.1 MUST NOT 3: nothing is sent on a stream that is closed
    pub(super) fn credit(&mut self, id: u32, half: u32, output: &mut Output) {
        if !self.held && !self.ended_theirs && self.uncredited >= half {
            let increment = core::mem::take(&mut self.uncredited);
            _ = self.receive_window.give(increment);
            output.answer(Kind::WindowUpdate, 0, id, &increment.to_be_bytes());
        }
    }

    /// Whether neither side sends any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended_ours && self.ended_theirs
    }
}

impl<S> Streams<S> {
    /// So many gaps are of no matter.
    const GAPS: usize = 16;

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<&Stream<S>> {
        self.places.get(self.index(id)?)?.as_deref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Stream<S>> {
        let index = self.index(id)?;
        self.places.get_mut(index)?.as_deref_mut()
    }

    /// Adds a stream, whose identifier is above all before it.
    pub(super) fn insert(&mut self, id: u32, stream: Stream<S>) {
        debug_assert!(self.ids.last().is_none_or(|last| *last < id));
        self.ids.push(id);
        self.places.push(Some(Box::new(stream)));
        self.count += 1;
    }

    pub(super) fn remove(&mut self, id: u32) -> Option<Box<Stream<S>>> {
        let index = self.index(id)?;
        let removed = self.places.get_mut(index)?.take()?;
        self.count -= 1;
        if self.places.len() > 2 * self.count + Self::GAPS {
            let mut places = self.places.iter();
            self.ids.retain(|_| places.next().is_some_and(Option::is_some));
            self.places.retain(Option::is_some);
        }
        Some(removed)
    }

    /// The identifiers, in their order.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.ids.iter().zip(&self.places).filter(|(_, place)| place.is_some()).map(|(id, _)| *id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Stream<S>> {
        self.places.iter().flatten().map(|stream| &**stream)
    }

    pub(super) fn iter_with_ids(&mut self) -> impl Iterator<Item = (u32, &mut Stream<S>)> {
        let places = self.places.iter_mut().zip(&self.ids);
        places.filter_map(|(place, id)| place.as_deref_mut().map(|stream| (*id, stream)))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stream<S>> {
        self.places.iter_mut().flatten().map(|stream| &mut **stream)
    }

    /// Gives back what room there is for more.
    pub(super) fn release(&mut self) {
        self.ids.shrink_to_fit();
        self.places.shrink_to_fit();
    }

    #[inline]
    fn index(&self, id: u32) -> Option<usize> {
        let guess = (id.checked_sub(*self.ids.first()?)? / 2) as usize;
        if self.ids.get(guess) == Some(&id) {
            return Some(guess);
        }
        self.ids.binary_search(&id).ok()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn holds_what_a_map_would(steps in prop::collection::vec((any::<bool>(), 1u32..6, any::<u8>()), 0..300)) {
            let (mut streams, mut model, mut highest) = (Streams::default(), BTreeMap::new(), 0);
            for (adds, step, at) in steps {
                if adds {
                    highest += if step == 5 { 1000 } else { 2 };
                    streams.insert(highest, Stream::new(step, 0));
                    model.insert(highest, step);
                } else if let Some((&id, _)) = model.iter().nth(usize::from(at)).or(model.iter().next()) {
                    prop_assert_eq!(streams.remove(id).map(|stream| stream.session), model.remove(&id));
                    prop_assert!(streams.remove(id).is_none());
                }
                prop_assert!(streams.places.len() <= 2 * model.len() + Streams::<u32>::GAPS);
                prop_assert_eq!((streams.len(), streams.is_empty()), (model.len(), model.is_empty()));
                prop_assert!(streams.ids().eq(model.keys().copied()));
                prop_assert!(streams.iter().map(|stream| stream.session).eq(model.values().copied()));
                for id in (0..=highest + 1).step_by(7).chain(model.keys().copied()) {
                    prop_assert_eq!(streams.get(id).map(|stream| stream.session), model.get(&id).copied());
                    prop_assert_eq!(streams.get_mut(id).map(|stream| stream.session), model.get(&id).copied());
                }
            }
        }
    }
}
