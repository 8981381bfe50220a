//! How do messages become bytes? (RFC 6455 §5.1 to §5.6, §7.1.2)
//!
//! `Open → Closing → Ended`, or `Aborted` from any of them. Data is taken only while open, a Close once. Everything is
//! appended to one [`Queue`] the moment it is sent, with one exception: when [`MAX_PONGS`] bytes of Pongs are queued, the
//! next waits in a slot of its own until the transport took them, and a newer Ping replaces it there. So Pongs keep their
//! place among messages, and a peer that pings without reading costs a few hundred bytes. What a frame of a fragmented
//! message needs to know is kept here, so anything may happen between two frames.

mod compressed;
mod frames;
mod outgoing;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

pub use self::outgoing::Outgoing;
use super::{Prepared, Shared};
use crate::config::Config;
use crate::deflate::params::DeflateParameters;
use crate::deflate::{Compressor, Direction};
use crate::entropy::Keys;
use crate::error::{CloseCode, SendError};
use crate::event::{Kind, Message};
use crate::frame::header::{Encoded, Header, MAX_CONTROL, OpCode, RSV1};
use crate::queue::{MIN_SHARED, Queue};
use crate::time::Instant;

/// The send half of a session.
///
/// What is sent is queued, for [`transmit`](crate::WebSocket::transmit) to show: nothing here blocks, and nothing is ever
/// dropped. When as much is queued as [`Limits::output`](crate::Limits::output), messages are refused with
/// [`SendError::Full`] until the transport has taken some.
// What each message touches comes first: a broadcast is bound by how many lines of memory that is.
#[repr(C)]
pub struct Sender {
    pub(super) queue: Queue,
    /// The time of the call that this one belongs to.
    pub(super) now: Instant,
    /// When something was last queued, or taken by the transport.
    pub(super) last_sent: Instant,
    /// Since when bytes have been queued and none of them was taken; means nothing while there are none.
    pub(super) waiting_since: Instant,
    /// The gate of messages: taken while less is queued. The limit, or 0 while a message is under way and when no data may
    /// be sent any more.
    ready_below: usize,
    /// Only a client has keys, and what has keys masks.
    keys: Option<Keys>,
    /// What was agreed on for compression.
    deflate: Option<DeflateParameters>,
    /// Frames go as they are: there are neither keys nor compression. One question instead of two, for each message.
    is_plain: bool,
    /// What is queued goes into frames of a carrier.
    is_carried: bool,
    /// Whether it matters what of the queue the transport takes: a Ping of ours or our Close is there, or a Pong waits.
    is_attentive: bool,
    /// Whether the Pong to the newest Ping is still to be queued. Only while others are.
    pong_waits: bool,
    state: State,
    message: Option<Begun>,
    /// Bytes of Pongs that are queued, and the position in the queue behind the last.
    pongs: u16,
    pong_end: u64,
    /// The payload of the newest Ping.
    pong: Vec<u8>,
    /// The position behind the last Ping while open, and behind our Close from then on: until the transport has taken that,
    /// no answer to it can be overdue.
    asked_end: u64,
    /// When our Close went out, or the session ended; until it is out, when the transport last took something.
    pub(super) close_at: Instant,
    pub(super) config: Arc<Config>,
    /// The context for compressed messages. Where it is not to be kept, and comes from a pool, it is there only while one is
    /// under way.
    compressor: Option<Box<Compressor>>,
}

/// When so many bytes of Pongs are queued, the next one waits: two of the longest.
const MAX_PONGS: u16 = 2 * MAX_CONTROL as u16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Our Close is sent; the peer may still send data.
    Closing,
    Ended,
    Aborted,
}

/// Whether a frame begins a compressed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rsv1 {
    Clear,
    Set,
}

/// A message of unknown length, under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Begun {
    kind: Kind,
    /// Its first frame was sent: what follows are continuations.
    continued: bool,
    compressed: bool,
}

/// Whether a message is compressed, decided when it begins. Without a negotiated extension every message goes plain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Compress {
    /// As the configuration says.
    #[default]
    Auto,
    /// Plain: for what is compressed already, and for secrets beside text of an attacker's choice (CRIME, BREACH).
    Never,
    /// Compressed, if the extension was negotiated.
    Always,
}

/// The body of a Close frame (RFC 6455 §5.5.1). One that must not be sent cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Close<'a> {
    /// Without a code.
    Empty,
    /// With a code, and a reason that may be empty.
    With(CloseCode, Reason<'a>),
}

/// The reason in a Close frame: at most 123 bytes of UTF-8, for a developer's eyes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Reason<'a>(&'a str);

impl<'a> Reason<'a> {
    /// No reason.
    pub const EMPTY: Reason<'static> = Reason("");
    /// The most bytes that fit behind the code.
    pub const MAX: usize = MAX_CONTROL - 2;

    /// The reason, if it is no longer than 123 bytes.
    pub const fn new(reason: &'a str) -> Option<Reason<'a>> {
        if reason.len() <= Reason::MAX { Some(Reason(reason)) } else { None }
    }

    /// As much of `reason` as fits, cut between characters.
    ///
    /// ```
    /// let long = "é".repeat(100);
    /// assert_eq!(sockless::Reason::truncated(&long).as_str(), "é".repeat(61));
    /// ```
    pub fn truncated(reason: &'a str) -> Reason<'a> {
        let end = (0..=Reason::MAX.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
        Reason(reason.get(..end.unwrap_or_default()).unwrap_or_default())
    }

    /// The text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }
}

impl Sender {
    #[inline(always)]
    pub(super) fn new(
        keys: Option<Keys>,
        config: Arc<Config>,
        deflate: Option<DeflateParameters>,
        now: Instant,
    ) -> Sender {
        Sender {
            queue: Queue::default(),
            now,
            last_sent: now,
            waiting_since: Instant::NEVER,
            ready_below: config.limits.output,
            is_plain: keys.is_none() && deflate.is_none(),
            keys,
            deflate,
            is_carried: false,
            is_attentive: false,
            pong_waits: false,
            state: State::Open,
            message: None,
            pongs: 0,
            pong_end: 0,
            pong: Vec::new(),
            asked_end: 0,
            close_at: Instant::NEVER,
            config,
            compressor: None,
        }
    }

    /// Queues a whole message in one frame.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] when the queue is at its limit, [`SendError::Closed`] when no data may be sent any more,
    /// [`SendError::MidMessage`] between [`begin`](Sender::begin) and [`finish`](Sender::finish).
    #[inline]
    pub fn send(&mut self, message: Message<'_>) -> Result<(), SendError> {
        self.send_with(message, Compress::Auto)
    }

    /// As [`send`](Sender::send), with a say on compression.
    ///
    /// With [`Compress::Auto`] and without context takeover, a message that would not become smaller goes plain.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    //= rfc6455 6.1 MUST 1: the steps of sending
    //= rfc6455 6.1 MUST 4: data goes in frames
    //= rfc6455 6.1 MUST 5: the first opcode is text or binary
    //= rfc6455 6.1 MUST 6: the last frame has FIN
    //= rfc7692 6.1 MUST 1: a compressed message is transformed, framed and marked
    //= rfc7692 6.1 MUST 2: a plain one is framed as it is
    #[inline]
    pub fn send_with(&mut self, message: Message<'_>, compress: Compress) -> Result<(), SendError> {
        self.send_as(message.kind(), message.as_bytes(), compress)
    }

    // Apart from its message, which would go through memory.
    #[inline(never)]
    fn send_as(&mut self, kind: Kind, payload: &[u8], compress: Compress) -> Result<(), SendError> {
        self.check_ready()?;
        if self.is_plain {
            self.queueing();
            self.write_with(None, Header::first(true, opcode(kind)), payload);
        } else if self.deflate.is_some() {
            self.send_negotiated(kind, payload, compress);
        } else {
            self.queueing();
            self.write_masked(Header::first(true, opcode(kind)), payload);
        }
        Ok(())
    }

    /// Queues a shared payload as one message, by reference: a server copies only what is so short that a reference would
    /// cost more, a client must mask and so copies. It is never compressed; see [`Prepared`] for compressing once.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn send_shared(&mut self, shared: &Shared) -> Result<(), SendError> {
        self.check_ready()?;
        if self.keys.is_some() || shared.as_bytes().len() < MIN_SHARED {
            self.write_frame(Rsv1::Clear, true, opcode(shared.kind()), shared.as_bytes());
        } else {
            let (opcode, length) = (opcode(shared.kind()), shared.as_bytes().len());
            self.queueing();
            if let Some(room) = self.queue.room(Header::size(length, false)) {
                Header::put(room, Header::first(true, opcode), length, None);
            } else {
                self.queue.push(Header::encode(true, opcode, length as u64, None).as_bytes());
                self.make_room();
            }
            self.queue.insert(shared.bytes());
        }
        Ok(())
    }

    /// Queues a message that was framed, and perhaps compressed, once for many sessions. It goes plain where this session
    /// agreed on context takeover for what we send, or on a window smaller than any that it was compressed for.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn send_prepared(&mut self, prepared: &Prepared) -> Result<(), SendError> {
        self.check_ready()?;
        let framed = if self.deflate.is_some() { self.variant(prepared) } else { prepared.plain() };
        if self.keys.is_some() {
            let rsv1 = if framed.compressed { Rsv1::Set } else { Rsv1::Clear };
            self.frame(rsv1, true, opcode(prepared.kind()), framed.payload());
        } else {
            self.queueing();
            self.queue.insert(&framed.frame);
        }
        Ok(())
    }

    /// Begins a message of unknown length. Nothing is sent until [`append`](Sender::append) or
    /// [`finish`](Sender::finish); control frames and flushes may come between. With [`Compress::Auto`] it is compressed if
    /// that was negotiated, and each part can be decompressed as soon as it has arrived.
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    pub fn begin(&mut self, kind: Kind, compress: Compress) -> Result<(), SendError> {
        self.check_ready()?;
        let context = self.context(compress, usize::MAX);
        self.message = Some(Begun { kind, continued: false, compressed: context.is_some() });
        self.ready_below = 0;
        if context.is_some() {
            self.compressor = context;
        }
        Ok(())
    }

    /// Queues the next part of the message that was begun, as a frame of its own.
    ///
    /// # Errors
    ///
    /// [`SendError::NoMessage`] without [`begin`](Sender::begin), [`SendError::WrongKind`] when the part is of the other
    /// kind, and as [`send`](Sender::send).
    //= rfc6455 5.4 MUST 4: one kind a message
    pub fn append(&mut self, part: Message<'_>) -> Result<(), SendError> {
        self.part(false, part)
    }

    /// Queues the last part of the message that was begun, and so ends it.
    ///
    /// # Errors
    ///
    /// As [`append`](Sender::append).
    pub fn finish_with(&mut self, last: Message<'_>) -> Result<(), SendError> {
        self.part(true, last)?;
        self.end_message();
        Ok(())
    }

    /// Ends the message that was begun, with an empty last frame. Taken even when the queue is full.
    ///
    /// # Errors
    ///
    /// [`SendError::NoMessage`] without [`begin`](Sender::begin), [`SendError::Closed`] when no data may be sent any more.
    pub fn finish(&mut self) -> Result<(), SendError> {
        let begun = self.begun()?;
        self.fragment(begun, true, &[]);
        self.end_message();
        Ok(())
    }

    /// Queues a Ping of at most 125 bytes. The peer's Pong comes as [`Event::Pong`](crate::Event::Pong).
    ///
    /// # Errors
    ///
    /// [`SendError::PingQueued`] while the transport has not taken the last one, [`SendError::ControlTooLong`],
    /// [`SendError::Closed`].
    pub fn ping(&mut self, payload: &[u8]) -> Result<(), SendError> {
        if self.state != State::Open {
            return Err(SendError::Closed);
        }
        if payload.len() > MAX_CONTROL {
            return Err(SendError::ControlTooLong);
        }
        if !self.queue.has_passed(self.asked_end) {
            return Err(SendError::PingQueued);
        }
        self.frame(Rsv1::Clear, true, OpCode::Ping, payload);
        self.asked();
        Ok(())
    }

    /// Begins the closing handshake: queues a Close. Messages from the peer still come until its Close does. A second call,
    /// or one after the session's end, does nothing.
    //= rfc6455 5.5.1 MUST NOT 2: no data after our Close
    //= rfc6455 7.1.2 MUST 1: the Close carries the code and the reason
    pub fn close(&mut self, close: Close<'_>) {
        if self.state == State::Open {
            self.flush_pong(true);
            match close {
                Close::Empty => self.frame(Rsv1::Clear, true, OpCode::Close, &[]),
                Close::With(code, reason) => {
                    let mut body = [0; MAX_CONTROL];
                    let length = 2 + reason.0.len();
                    if let Some((head, tail)) = body.split_first_chunk_mut::<2>()
                        && let Some(tail) = tail.get_mut(..reason.0.len())
                    {
                        *head = code.get().to_be_bytes();
                        tail.copy_from_slice(reason.0.as_bytes());
                    }
                    self.frame(Rsv1::Clear, true, OpCode::Close, body.get(..length).unwrap_or_default());
                }
            }
            self.state = State::Closing;
            self.close_at = self.now;
            self.asked();
            self.end_messages();
        }
    }

    /// Ends the session at once: what is queued is dropped, nothing more is sent, the driver is told to reset the transport
    /// ([`Transport::Reset`](crate::Transport::Reset)), and the next [`receive`](crate::WebSocket::receive) lends
    /// [`Event::Closed`](crate::Event::Closed).
    pub fn abort(&mut self) {
        if self.state != State::Aborted {
            self.state = State::Aborted;
            self.end_messages();
            self.pong_waits = false;
            self.queue.clear();
            self.waiting_since = Instant::NEVER;
        }
    }

    /// Whether [`send`](Sender::send) would take a message now.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.queue.len() < self.ready_below
    }

    /// Whether the queue is at its limit, so that a message would be refused with [`SendError::Full`]. Ask before each call of
    /// `receive`, not only before each read: one read may hold many messages. Keep what is left of the read, let the
    /// transport take some, and an echo never sees that error. Then call `receive` again even if nothing is left: of a
    /// compressed message there may be more to come.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.queue.len() >= self.config.limits.output
    }

    /// How many bytes are queued that the transport has not taken.
    pub fn queued(&self) -> usize {
        self.queue.len()
    }

    /// The parameters of permessage-deflate, if it was agreed on (RFC 7692).
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.deflate
    }

    #[inline(always)]
    pub(super) fn stamp(&mut self, now: Instant) {
        self.now = now;
    }

    pub(super) fn push_head(&mut self, head: &[u8]) {
        self.queueing();
        self.queue.push(head);
    }

    pub(super) fn begin_with(&mut self, head: Vec<u8>) {
        self.queueing();
        self.queue.begin_with(head);
    }

    pub(super) fn is_closing(&self) -> bool {
        self.state != State::Open
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.state == State::Aborted
    }

    /// Whether the transport has all that it will get for now. A Pong waits only where something else is queued.
    #[inline(always)]
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty()
    }

    //= rfc6455 5.5.2 MUST 1: a Ping is answered with its payload
    //= rfc6455 5.5.3 MAY 1: only the newest Ping is answered when several wait
    pub(super) fn answer_ping(&mut self, payload: &[u8]) {
        if matches!(self.state, State::Open | State::Closing) {
            self.queueing();
            self.pong.clear();
            self.pong.extend_from_slice(payload);
            self.pong_waits = true;
            self.flush_pong(false);
            self.is_attentive |= self.pong_waits;
        }
    }

    /// A Pong that answers nothing, unless something is about to be sent anyway.
    pub(super) fn keep_alive_pong(&mut self) {
        self.last_sent = self.now;
        if self.is_drained() {
            self.answer_ping(&[]);
        }
    }

    /// A Ping of the engine's own, unless one of the caller's is about to be sent.
    pub(super) fn keep_alive_ping(&mut self) {
        if !self.is_asking() {
            self.frame(Rsv1::Clear, true, OpCode::Ping, &[]);
            self.asked();
        }
    }

    /// Whether the transport has yet to take our last Ping, or our Close.
    pub(super) fn is_asking(&self) -> bool {
        !self.queue.has_passed(self.asked_end)
    }

    //= rfc6455 5.5.1 MUST 2: a Close is answered with a Close, unless ours is sent
    pub(super) fn answer_close(&mut self, code: Option<CloseCode>) {
        self.close(code.map_or(Close::Empty, |code| Close::With(code, Reason::EMPTY)));
    }

    //= rfc6455 7.1.7 SHOULD 2: a failure is told with its code
    pub(super) fn close_failed(&mut self, code: CloseCode) {
        self.close(Close::With(code, Reason::EMPTY));
        self.end();
    }

    /// No data goes out any more; what is queued still does.
    pub(super) fn end(&mut self) {
        if self.state == State::Open {
            self.asked();
        }
        if self.state != State::Aborted {
            self.state = State::Ended;
        }
        self.end_messages();
        self.close_at = self.now;
    }

    /// Notes that the transport has taken all, if that is easily done and nobody waits for it.
    #[inline(always)]
    pub(super) fn transmitted_all(&mut self, count: usize, now: Instant) -> bool {
        self.now = now;
        let is_noted = !self.is_attentive && self.queue.acknowledge_all(count);
        if is_noted {
            self.last_sent = now;
        }
        is_noted
    }

    pub(super) fn transmitted_some(&mut self, count: usize, now: Instant) {
        self.now = now;
        let was_asking = self.is_asking();
        if self.queue.acknowledge(count) > 0 {
            if was_asking && self.state != State::Open {
                self.close_at = now;
            }
            self.last_sent = now;
            self.waiting_since = now;
        }
        self.flush_pong(false);
        self.is_attentive = self.is_asking() || self.pong_waits;
    }

    pub(super) fn is_releasable(&self) -> bool {
        self.queue.is_releasable() || (!self.pong_waits && self.pong.capacity() > 0) || self.has_releasable_context()
    }

    pub(super) fn release(&mut self) {
        self.queue.release();
        if !self.pong_waits {
            self.pong = Vec::new();
        }
        self.release_context();
    }

    //= rfc6455 6.1 MUST 2: messages are sent only while open
    //= rfc6455 6.1 MUST 3: and no more when that has ended
    #[inline(always)]
    fn check_ready(&self) -> Result<(), SendError> {
        if self.is_ready() { Ok(()) } else { Err(self.refusal()) }
    }

    #[cold]
    fn refusal(&self) -> SendError {
        match (self.state, self.message) {
            (State::Open, None) => SendError::Full,
            (State::Open, Some(_)) => SendError::MidMessage,
            _ => SendError::Closed,
        }
    }

    /// What was last queued asks the peer for an answer.
    fn asked(&mut self) {
        self.asked_end = self.queue.end();
        self.is_attentive = true;
    }

    fn part(&mut self, fin: bool, part: Message<'_>) -> Result<(), SendError> {
        let begun = self.begun()?;
        if begun.kind != part.kind() {
            return Err(SendError::WrongKind);
        }
        if self.is_full() {
            return Err(SendError::Full);
        }
        self.fragment(begun, fin, part.as_bytes());
        Ok(())
    }

    fn begun(&self) -> Result<Begun, SendError> {
        match (self.state, self.message) {
            (State::Open, Some(begun)) => Ok(begun),
            (State::Open, None) => Err(SendError::NoMessage),
            _ => Err(SendError::Closed),
        }
    }

    //= rfc6455 5.4 MUST 1: fragments go in the order of the message
    //= rfc7692 6.1 MUST NOT 1: RSV1 is set on the first of them only
    fn fragment(&mut self, begun: Begun, fin: bool, part: &[u8]) {
        let opcode = if begun.continued { OpCode::Continuation } else { opcode(begun.kind) };
        match if begun.compressed { self.compressor.take() } else { None } {
            None => self.frame(Rsv1::Clear, fin, opcode, part),
            Some(mut context) => {
                let rsv1 = if begun.continued { Rsv1::Clear } else { Rsv1::Set };
                self.frame(rsv1, fin, opcode, context.compress(part, fin));
                self.compressor = Some(context);
            }
        }
        self.message = Some(Begun { continued: true, ..begun });
    }

    /// Moves the waiting Pong to the queue. While enough of them are on their way it waits, unless nothing may follow later.
    fn flush_pong(&mut self, last: bool) {
        if self.queue.has_passed(self.pong_end) {
            self.pongs = 0;
        }
        if self.pong_waits && (last || self.pongs < MAX_PONGS) {
            let payload = core::mem::take(&mut self.pong);
            let before = self.queue.end();
            self.frame(Rsv1::Clear, true, OpCode::Pong, &payload);
            self.pong = payload;
            self.pong_end = self.queue.end();
            self.pongs = self.pongs.saturating_add(u16::try_from(self.pong_end - before).unwrap_or(MAX_PONGS));
            self.pong_waits = false;
        }
    }

    #[inline(always)]
    fn queueing(&mut self) {
        self.last_sent = self.now;
        if self.is_drained() {
            self.waiting_since = self.now;
        }
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender").field("state", &self.state).field("queued", &self.queue.len()).finish_non_exhaustive()
    }
}

fn opcode(kind: Kind) -> OpCode {
    match kind {
        Kind::Text => OpCode::Text,
        Kind::Binary => OpCode::Binary,
    }
}
