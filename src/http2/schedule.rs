//! Whose bytes go next, and when is a stream over? (RFC 9113 §5.1, §5.2; RFC 8441 §5)
//!
//! Sessions take turns, a frame each, as far as both windows and the plan go. What a session does after a call is looked at
//! in the next one, [`settle_with`](Connection::settle_with), for those alone that were touched: whether it has something to send, what its
//! transport is to do (END_STREAM for a shutdown, RST_STREAM for a reset), when it must be looked at again, and whether it is
//! over. So no call looks at all sessions.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::connection::Connection;
use super::error::ErrorCode;
use super::frame::{self, Kind};
use super::output::{COPIED, Output, PLANNED, Stretch};
use super::streams::Stream;
use crate::queue::Queue;
use crate::time::{Instant, Timer};

/// What a stream carries.
pub(crate) trait Carried {
    /// What is queued.
    fn queue(&self) -> Option<&Queue>;
    /// The same, to promise some of it.
    fn queue_mut(&mut self) -> Option<&mut Queue>;
    /// Says that so many bytes of it were taken by the transport.
    fn transmitted(&mut self, count: usize, now: Instant);
    /// The same of bytes that the carrier has copied, at the time of the last call.
    fn copied(&mut self, count: usize, now: Instant);
    /// What is to become of its stream, when what is queued is sent.
    fn ending(&self) -> Ending;
    /// Whether it has an end, or why there is none, to tell.
    fn has_news(&self) -> bool;
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
        while self.output.len() < PLANNED
            && self.output.window.available() > 0
            && let Some(id) = self.output.ready.pop_front()
        {
            let Connection { streams, output, floods, deadlines, .. } = self;
            let Some(stream) = streams.get_mut(id).filter(|stream| !stream.ended_ours) else { continue };
            stream.is_ready = false;
            let Some(queue) = stream.session.queue_mut() else { continue };
            let waiting = queue.len() - queue.pinned();
            //= rfc9113 5.2.1 MUST 1: a sender keeps to the windows
            //= rfc9113 6.9.1 MUST NOT 1: no DATA is longer than either window
            //= rfc9113 6.9.2 MUST NOT 1: nothing is sent until a window is above zero again
            let length = waiting
                .min(stream.send_window.available_with(initial))
                .min(output.window.available())
                .min(output.max_payload as usize);
            // A small piece behind a planned one waits until that is gone, or the plan would be long for nothing.
            if length == 0 || (length <= COPIED && queue.pinned() > 0) {
                continue;
            }
            stream.send_window.take(length as u32);
            // A peer that gives its window by the byte is not to earn the frames that it gives it with.
            if length == waiting || length >= 512 {
                floods.useful(length as u32);
            }
            //= rfc9113 6.1 MUST 2: DATA is of a stream
            //= rfc9113 8.5 MUST NOT 1: on a tunnel only DATA, RST_STREAM, WINDOW_UPDATE and PRIORITY are sent
            if length <= COPIED {
                output.copy(id, length, queue);
                stream.session.copied(length, self.now);
                if stream.session.ending() == Ending::Open {
                    rearm(id, stream, deadlines);
                } else {
                    self.touch(id);
                    continue;
                }
            } else {
                output.data(id, length, queue);
            }
            stream.wake(id, initial, output);
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
                    (self.streams.get(stream).and_then(|stream| stream.session.queue()), from, length)
                }
            };
            queue.into_iter().flat_map(move |queue| queue.stretch(from, length))
        })
    }

    /// Says that the transport took so many bytes of them.
    pub(crate) fn transmitted(&mut self, mut count: usize, now: Instant) {
        self.now = now;
        if count > 0 {
            self.active = now;
        }
        while count > 0
            && let Some((taken, stream)) = self.output.acknowledge(count)
        {
            count -= taken;
            if let Some(id) = stream
                && let Some(stream) = self.streams.get_mut(id)
            {
                stream.session.transmitted(taken, now);
                stream.touch(id, &mut self.touched);
            }
        }
    }

    /// Says that the transport is at its end: nothing is sent on any stream any more, but for what is planned.
    pub(crate) fn end_streams(&mut self) {
        for stream in self.streams.iter_mut() {
            stream.ended_ours = true;
            stream.ended_theirs = true;
        }
        self.output.ready.clear();
    }

    /// Streams above this one.
    pub(crate) fn above(&self, id: u32) -> Vec<u32> {
        self.streams.ids().filter(|stream| *stream > id).collect()
    }

    /// Whether so many sessions were touched that they should be looked after before there are more.
    pub(crate) fn is_crowded(&self) -> bool {
        self.touched.len() >= 16
    }

    /// Notes that a session may have changed.
    pub(crate) fn touch(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id) {
            stream.touch(id, &mut self.touched);
        }
    }

    /// A session for which DATA has come, and whether its credit is held back. It is noted as changed.
    pub(crate) fn arrival(&mut self, id: u32) -> Option<(&mut S, bool)> {
        let stream = self.streams.get_mut(id)?;
        stream.touch(id, &mut self.touched);
        Some((&mut stream.session, stream.held))
    }

    /// Looks after the sessions that were touched; says which of them have something to tell that no byte causes.
    pub(crate) fn settle_with(&mut self, mut has_news: impl FnMut(u32)) {
        let initial = self.initial_window();
        let mut next = 0;
        while let Some(id) = self.touched.get(next).copied() {
            next += 1;
            let Connection { streams, output, deadlines, .. } = self;
            let Some(stream) = streams.get_mut(id) else { continue };
            stream.is_touched = false;
            if stream.session.has_news() {
                has_news(id);
            }
            let ending = stream.session.ending();
            if ending == Ending::Open {
                stream.wake(id, initial, output);
                rearm(id, stream, deadlines);
                continue;
            }
            match ending {
                Ending::Open => {}
                Ending::End => self.end_stream(id),
                Ending::Done => {
                    self.end_stream(id);
                    //= rfc9113 8.1 MAY 2: a server that has said all can reset the rest of a request with NO_ERROR
                    self.cancel(id, ErrorCode::NO_ERROR);
                }
                Ending::Close if stream.ended_theirs => self.end_stream(id),
                Ending::Close | Ending::Reset => self.cancel(id, ErrorCode::CANCEL),
            }
            if let Some(stream) = self.streams.get_mut(id) {
                stream.wake(id, initial, &mut self.output);
                rearm(id, stream, &mut self.deadlines);
            }
            self.sweep(id);
        }
        self.touched.clear();
    }

    /// When some session must act although nothing happens.
    pub(crate) fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let timeout = |id: &u32| self.streams.get(*id)?.session.poll_timeout();
        // The session may have moved it to later since, or given it up, so its cause is asked for now.
        let armed = self.deadlines.iter().find_map(|(armed, id)| timeout(id).map(|(_, timer)| (*armed, timer)));
        // What has not been looked at yet may have come to want something earlier.
        let touched = self.touched.iter().filter_map(timeout);
        touched.chain(armed).min_by_key(|(deadline, _)| *deadline)
    }

    /// Acts on the deadlines that have come.
    pub(crate) fn handle_timeout(&mut self, now: Instant, mut handled: impl FnMut(u32)) {
        self.now = now;
        self.settle_with(&mut handled);
        while let Some((deadline, id)) = self.deadlines.first().copied()
            && deadline <= now
        {
            self.deadlines.pop_first();
            if let Some(stream) = self.streams.get_mut(id) {
                stream.deadline = None;
                stream.session.handle_timeout(now);
                handled(id);
                stream.touch(id, &mut self.touched);
                rearm(id, stream, &mut self.deadlines);
            }
        }
    }

    /// When buffers that hold nothing are to be given back.
    pub(crate) fn release_at(&self) -> Instant {
        if self.is_releasable() { self.active.after(self.config.limits.release) } else { Instant::NEVER }
    }

    /// Gives back buffers that hold nothing, if no bytes have come or gone for a while. Says whether it did.
    pub(crate) fn release_if_quiet(&mut self) -> bool {
        let is_due = self.release_at() <= self.now;
        if is_due {
            self.release();
        }
        is_due
    }

    /// Drops a stream that is over on both sides, and of which nothing is planned.
    fn sweep(&mut self, id: u32) {
        if let Some(stream) = self.streams.get(id)
            && stream.is_over()
            && stream.session.is_closed()
            && stream.session.queue().is_none_or(|queue| queue.pinned() == 0)
            && let Some(stream) = self.streams.remove(id)
        {
            self.unasked -= usize::from(stream.is_unasked);
            if let Some(armed) = stream.deadline {
                self.deadlines.remove(&(armed, id));
            }
            // A closed window keeps the line from moving, while streams in it come and go.
            let Connection { streams, output, .. } = self;
            if output.ready.len() > 2 * streams.len() + 16 {
                output.ready.retain(|id| streams.get(*id).is_some_and(|stream| stream.is_ready));
            }
        }
    }

    /// Sends END_STREAM, once.
    //= rfc9113 6.9.1 MAY 1: an empty END_STREAM needs no window
    fn end_stream(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(id)
            && !core::mem::replace(&mut stream.ended_ours, true)
        {
            self.output.frame(Kind::Data, frame::END_STREAM, id, &[]);
        }
    }
}

/// Follows a session's deadline. One that has moved to later is left where it is, and found to be so when it comes: a busy
/// session moves it with each message.
fn rearm<S: Carried>(id: u32, stream: &mut Stream<S>, deadlines: &mut BTreeSet<(Instant, u32)>) {
    let Some((deadline, _)) = stream.session.poll_timeout() else {
        // Or all that gave theirs up would be walked over for the next that has one.
        if let Some(armed) = stream.deadline.take() {
            deadlines.remove(&(armed, id));
        }
        return;
    };
    match stream.deadline {
        Some(armed) if armed <= deadline => return,
        Some(armed) => _ = deadlines.remove(&(armed, id)),
        None => {}
    }
    stream.deadline = Some(deadline);
    deadlines.insert((deadline, id));
}

impl<S: Carried> Stream<S> {
    /// Notes that its session may have changed.
    pub(super) fn touch(&mut self, id: u32, touched: &mut Vec<u32>) {
        if !core::mem::replace(&mut self.is_touched, true) {
            touched.push(id);
        }
    }

    /// Puts it into the line of those that have something to send, if it has, and the window for it.
    pub(super) fn wake(&mut self, id: u32, initial: u32, output: &mut Output) {
        let has_output = |queue: &Queue| queue.len() > queue.pinned();
        if !self.is_ready
            && !self.ended_ours
            && self.session.queue().is_some_and(has_output)
            && self.send_window.available_with(initial) > 0
        {
            self.is_ready = true;
            output.ready.push_back(id);
        }
    }
}
