//! What goes out, and in which order? (RFC 9113 §5.2, §6.1)
//!
//! A plan of stretches: bytes of the connection's own, and bytes that lie in the queue of a session, behind a DATA head
//! of the connection's. Nothing of a session is copied but what is short. What is planned is settled: it stays in its place
//! and, in the session's queue, pinned, until the transport took it, whatever becomes of the session. So the plan is kept
//! short: sessions with more to send wait in line, and each is given a frame at a time.

use alloc::collections::VecDeque;

use super::error::Http2Error;
use super::floods::Answers;
use super::flow::{self, Window};
use super::frame::{self, Kind};
use crate::queue::Queue;

/// So many bytes of DATA are planned at a time. What is queued after them, such as the answer to a PING, waits for no more.
pub(super) const PLANNED: usize = 64 << 10;

/// DATA of up to this length is copied behind its head, where it is no slice of its own and nobody has to follow it.
pub(super) const COPIED: usize = 1 << 10;

#[derive(Debug)]
pub(super) struct Output {
    /// The connection's own bytes: whole frames, and heads of DATA.
    own: Queue,
    plan: VecDeque<Stretch>,
    /// Bytes of sessions' queues in the plan.
    pub(super) planned: usize,
    /// Streams that have something to send, in their turn.
    pub(super) ready: VecDeque<u32>,
    pub(super) window: Window,
    pub(super) max_payload: u32,
    /// What of all this the peer caused.
    answers: Answers,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Stretch {
    Own(usize),
    /// From this position of its queue on.
    Session {
        stream: u32,
        from: u64,
        length: usize,
    },
}

impl Output {
    pub(super) fn new(answers: usize) -> Output {
        Output {
            own: Queue::default(),
            plan: VecDeque::new(),
            planned: 0,
            ready: VecDeque::new(),
            window: Window::new(flow::INITIAL),
            max_payload: frame::MAX_PAYLOAD,
            answers: Answers::new(answers),
        }
    }

    /// Bytes that are queued, planned ones of sessions included.
    pub(super) fn len(&self) -> usize {
        self.own.len() + self.planned
    }

    /// Appends bytes of the connection's own.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.own.push(bytes);
        match self.plan.back_mut() {
            Some(Stretch::Own(length)) => *length += bytes.len(),
            _ => self.plan.push_back(Stretch::Own(bytes.len())),
        }
    }

    /// Appends a frame of the connection's own.
    pub(super) fn frame(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.push(&frame::Head::encode(kind, flags, stream, payload.len() as u32));
        self.push(payload);
    }

    /// Appends a frame that the peer caused.
    pub(super) fn answer(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.frame(kind, flags, stream, payload);
        self.answers.add(frame::HEAD + payload.len(), &self.own);
    }

    /// Appends the head of a response. That there is one is the peer's doing, how long it is the application's.
    pub(super) fn respond(&mut self, kind: Kind, flags: u8, stream: u32, block: &[u8]) {
        self.frame(kind, flags, stream, block);
        self.answers.add((frame::HEAD + block.len()).min(64), &self.own);
    }

    /// Whether the peer reads what it causes.
    pub(super) fn check_answers(&mut self) -> Result<(), Http2Error> {
        self.answers.check(&self.own)
    }

    /// Appends DATA whose payload is the next bytes of a session's queue.
    pub(super) fn data(&mut self, stream: u32, length: usize, queue: &mut Queue) {
        self.push(&frame::Head::encode(Kind::Data, 0, stream, length as u32));
        self.plan.push_back(Stretch::Session { stream, from: queue.pin(length), length });
        self.planned += length;
        self.window.take(length as u32);
    }

    /// Appends DATA with a copy of the first bytes of a session's queue.
    pub(super) fn copy(&mut self, stream: u32, length: usize, queue: &Queue) {
        self.push(&frame::Head::encode(Kind::Data, 0, stream, length as u32));
        queue.stretch(queue.position(), length).for_each(|slice| self.push(slice));
        self.window.take(length as u32);
    }

    /// The stretches in order. Own bytes lie one behind the other in [`own`](Output::own).
    pub(super) fn plan(&self) -> impl Iterator<Item = Stretch> {
        self.plan.iter().copied()
    }

    pub(super) fn own(&self) -> &Queue {
        &self.own
    }

    /// Gives back the buffers, if nothing is planned.
    pub(super) fn release(&mut self) {
        if self.plan.is_empty() {
            self.own.release();
            self.plan = VecDeque::new();
        }
        if self.ready.is_empty() {
            self.ready = VecDeque::new();
        }
    }

    pub(super) fn is_releasable(&self) -> bool {
        (self.plan.is_empty() && (self.own.is_releasable() || self.plan.capacity() > 0))
            || (self.ready.is_empty() && self.ready.capacity() > 0)
    }

    /// Drops bytes off the front of the plan, up to the end of its first stretch: says how many, and of which session.
    pub(super) fn acknowledge(&mut self, count: usize) -> Option<(usize, Option<u32>)> {
        let front = self.plan.front_mut()?;
        let (length, stream) = match front {
            Stretch::Own(length) => (length, None),
            Stretch::Session { stream, from, length } => {
                *from += count.min(*length) as u64;
                (length, Some(*stream))
            }
        };
        let taken = count.min(*length);
        *length -= taken;
        if *length == 0 {
            self.plan.pop_front();
        }
        match stream {
            None => _ = self.own.acknowledge(taken),
            Some(_) => self.planned -= taken,
        }
        Some((taken, stream))
    }
}
