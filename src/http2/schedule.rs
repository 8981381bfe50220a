//! Whose bytes go next, and when is a stream over? (RFC 9113 §5.1, §5.2; RFC 8441 §5)
//!
//! Sessions take turns, a frame each, as far as both windows and the plan go. What a session does after a call is looked at
//! in the next one, [`settle_with`](Connection::settle_with), for those alone that were touched: whether it has something to send, what its
//! transport is to do (END_STREAM for a shutdown, RST_STREAM for a reset), when it must be looked at again, and whether it is
//! over. So no call looks at all sessions.

use alloc::vec::Vec;

use super::connection::Connection;
use super::error::ErrorCode;
use super::frame::{self, Kind};
use super::output::{PLANNED, Stretch};
use crate::queue::Queue;
use crate::time::{Instant, Timer};

/// What a stream carries.
pub(crate) trait Carried {
    /// What is queued.
    fn queue(&self) -> Option<&Queue>;
    /// As it is to be sent.
    fn prepare(&mut self) -> Option<&mut Queue>;
    /// Says that so many bytes of it were taken by the transport.
    fn transmitted(&mut self, count: usize, now: Instant);
    /// What is to become of its stream, when what is queued is sent.
    fn ending(&self) -> Ending;
    /// Whether all is done and told.
    fn is_closed(&self) -> bool;
    fn poll_timeout(&self) -> Option<(Instant, Timer)>;
    fn handle_timeout(&mut self, now: Instant);
}

/// What is to become of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Open,
    /// Nothing more is sent: END_STREAM.
    End,
    /// The response is sent: END_STREAM, and if the peer has not sent its own, no need of more (RFC 9113 §8.1).
    Done,
    /// It is over: END_STREAM if the peer has sent its own, else a reset.
    Close,
    /// RST_STREAM with CANCEL.
    Reset,
}

impl<S: Carried> Connection<S> {
    /// Plans what goes next; to be called before anything is shown.
    pub(crate) fn plan(&mut self) {
        let initial = self.initial_window();
        while self.output.planned < PLANNED
            && self.output.window.available() > 0
            && let Some(id) = self.output.ready.pop_front()
        {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_ready = false;
            let Some(queue) = stream.session.prepare() else { continue };
            let waiting = queue.len() - queue.pinned();
            let length = waiting
                .min(stream.send_window.available_with(initial))
                .min(self.output.window.available())
                .min(self.output.max_payload as usize);
            stream.is_ready = length > 0 && length < waiting;
            if length > 0 && !stream.ended_ours {
                stream.send_window.take(length as u32);
                self.output.data(id, length, queue);
                self.floods.useful();
                if stream.is_ready {
                    self.output.ready.push_back(id);
                }
            }
        }
    }

    /// What is planned, in slices.
    pub(crate) fn slices(&self) -> impl Iterator<Item = &[u8]> {
        let mut own = self.output.own().position();
        self.output.plan().flat_map(move |stretch| {
            let (queue, from, length) = match stretch {
                Stretch::Own(length) => {
                    let from = own;
                    own += length as u64;
                    (Some(self.output.own()), from, length)
                }
                Stretch::Session { stream, from, length } => {
                    (self.streams.get(&stream).and_then(|stream| stream.session.queue()), from, length)
                }
            };
            queue.into_iter().flat_map(move |queue| queue.stretch(from, length))
        })
    }

    /// Says that the transport took so many bytes of them.
    pub(crate) fn transmitted(&mut self, mut count: usize, now: Instant) {
        while count > 0
            && let Some((taken, stream)) = self.output.acknowledge(count)
        {
            count -= taken;
            if let Some(id) = stream
                && let Some(stream) = self.streams.get_mut(&id)
            {
                stream.session.transmitted(taken, now);
                self.touch(id);
            }
        }
    }

    /// Says that the transport is at its end: nothing is sent on any stream any more, but for what is planned.
    pub(crate) fn end_streams(&mut self) {
        for stream in self.streams.values_mut() {
            stream.ended_ours = true;
            stream.ended_theirs = true;
        }
        self.output.ready.clear();
    }

    /// Streams above this one.
    pub(crate) fn above(&self, id: u32) -> Vec<u32> {
        self.streams.range(id.saturating_add(1)..).map(|(id, _)| *id).collect()
    }

    /// How many streams there are.
    pub(crate) fn len(&self) -> usize {
        self.streams.len()
    }

    /// Notes that a session may have changed.
    pub(crate) fn touch(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !core::mem::replace(&mut stream.is_touched, true)
        {
            self.touched.push(id);
        }
    }

    /// Looks after the sessions that were touched; says which of them have an end to tell that no byte caused.
    pub(crate) fn settle_with(&mut self, mut ended: impl FnMut(u32)) {
        let mut next = 0;
        while let Some(id) = self.touched.get(next).copied() {
            next += 1;
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            stream.is_touched = false;
            let waits = stream.session.prepare().is_some_and(|queue| queue.len() > queue.pinned());
            let ending = stream.session.ending();
            if matches!(ending, Ending::Close | Ending::Reset) && !stream.session.is_closed() {
                ended(id);
            }
            match ending {
                Ending::Open => {}
                Ending::End => self.end_stream(id),
                Ending::Done => {
                    self.end_stream(id);
                    self.cancel(id, ErrorCode::NO_ERROR);
                }
                Ending::Close if stream.ended_theirs => self.end_stream(id),
                Ending::Close | Ending::Reset => self.cancel(id, ErrorCode::CANCEL),
            }
            if waits {
                self.wake(id);
            }
            self.rearm(id);
            self.sweep(id);
        }
        self.touched.clear();
    }

    /// When some session must act although nothing happens.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let armed = self.deadlines.first().and_then(|(_, id)| self.streams.get(id)?.deadline);
        // What has not been looked at yet may have come to want something earlier.
        let touched = self.touched.iter().filter_map(|id| self.streams.get(id)?.session.poll_timeout());
        touched.chain(armed).min_by_key(|(deadline, _)| *deadline)
    }

    /// Acts on the deadlines that have come.
    pub(crate) fn handle_timeout(&mut self, now: Instant, mut handled: impl FnMut(u32)) {
        self.settle_with(&mut handled);
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(stream) = self.streams.get_mut(&id) {
                stream.deadline = None;
                stream.session.handle_timeout(now);
                handled(id);
                self.touch(id);
                self.rearm(id);
            }
        }
    }

    /// Follows a session's deadline. One that has moved to later is left where it is, and found to be so when it comes: a
    /// busy session moves it with each message.
    fn rearm(&mut self, id: u32) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        let Some((deadline, timer)) = stream.session.poll_timeout() else { return };
        match stream.deadline {
            Some((armed, _)) if armed <= deadline => return,
            Some((armed, _)) => _ = self.deadlines.remove(&(armed, id)),
            None => {}
        }
        stream.deadline = Some((deadline, timer));
        self.deadlines.insert((deadline, id));
    }

    /// Drops a stream that is over on both sides, and of which nothing is planned.
    fn sweep(&mut self, id: u32) {
        if let Some(stream) = self.streams.get(&id)
            && stream.is_over()
            && stream.session.is_closed()
            && stream.session.queue().is_none_or(|queue| queue.pinned() == 0)
            && let Some(stream) = self.streams.remove(&id)
            && let Some((armed, _)) = stream.deadline
        {
            self.deadlines.remove(&(armed, id));
        }
    }

    /// Sends END_STREAM, once.
    fn end_stream(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !core::mem::replace(&mut stream.ended_ours, true)
        {
            self.output.frame(Kind::Data, frame::END_STREAM, id, &[]);
        }
    }
}
