//! What is a WebSocket after its opening handshake? (RFC 6455 §5 to §7)
//!
//! Two half machines and their clocks. The [`Receiver`](receiver::Receiver) turns bytes into events, the [`Sender`] turns
//! messages into bytes, and this file joins them: a Ping becomes a Pong, a Close its answer, a fault a Close with the
//! right code, and a deadline that passes whatever it stands for ([`clock`]). Which carrier brings the bytes (an upgraded
//! HTTP/1.1 connection, a stream of HTTP/2) is not known here.
//!
//! Receiving has two phases, because safe Rust cannot return a borrow from one arm and change its owner in another:
//! [`locate`](WebSocket::locate) consumes bytes and finds where the next event lies, and [`lend`](WebSocket::lend) borrows
//! it at last. A carrier whose payload is a part of a larger read calls them apart.

mod clock;
mod fast_path;
mod prepared;
mod receiver;
mod sender;

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;

pub use self::prepared::{Prepared, Shared};
use self::receiver::{Located, Place, Receiver};
pub use self::sender::{Close, Compress, Outgoing, Reason, Sender};
use crate::config::{Agreed, Config, Delivery, KeepAlive};
use crate::deflate::Direction;
use crate::entropy::{Entropy, Keys, NoEntropy};
use crate::error::Error;
use crate::event::{Cause, Closed, Event, Kind, Message};
use crate::frame::header::Header;
use crate::frame::mask;
use crate::queue::Queue;
use crate::time::{Instant, Timer};
use crate::utf8;

/// One WebSocket, either role, after the opening handshake: bytes and the time go in, events, bytes and a deadline come
/// out.
///
/// [`Server`](crate::Server) and [`Client`](crate::Client) hold one and make it from bytes. Make one yourself with
/// [`server`](WebSocket::server) or [`client`](WebSocket::client) when another HTTP stack did the handshake.
///
/// # Driving it
///
/// - After a read, call [`receive`](WebSocket::receive) until it returns `None`; after an end of file,
///   [`receive_eof`](WebSocket::receive_eof) first.
/// - Whenever [`transmit`](WebSocket::transmit) shows bytes, write them and report with
///   [`transmitted`](WebSocket::transmitted) how many the transport took.
/// - When the deadline of [`poll_timeout`](WebSocket::poll_timeout) has come, call
///   [`handle_timeout`](WebSocket::handle_timeout), and then `receive` with an empty slice: events that no byte caused come
///   out there.
/// - After each of these, do what [`transport`](WebSocket::transport) says, and stop when
///   [`is_closed`](WebSocket::is_closed).
// What each message touches lies side by side: here, and in the first fields of the sender.
#[derive(Debug)]
#[repr(C)]
pub struct WebSocket {
    /// The gate of the fast path: what is no shorter must take the plain one. 0, so everything, while a frame, a message or
    /// a split header is under way, something is lent, the driver paused or the session is over, and where the configuration
    /// asks for more than whole messages. The plain path opens it; whatever ends one of these states leads there.
    whole_below: u32,
    role: Role,
    /// When a byte was last received.
    heard: Instant,
    /// When the transport took the keep-alive Ping that nothing has followed yet: the last instant while it is still queued,
    /// never where there is none.
    pinged: Instant,
    sender: Sender,
    receiver: Receiver,
    ending: Ending,
    /// When the session began.
    opened: Instant,
    /// Since when the driver has not been feeding input.
    paused: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// How far the end of a session has come.
#[derive(Debug, Default)]
struct Ending {
    /// What ended it, as soon as something did.
    closed: Option<Closed>,
    /// What [`Closed::cause`] will be, where that is known before the end.
    cause: Option<Cause>,
    /// [`Event::Closed`] was lent.
    told: bool,
    /// The transport will bring no more.
    eof: bool,
    /// The peer had its time to end the transport.
    overdue: bool,
}

/// What the driver is to do with the transport, once it has written what `transmit` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// Keep reading and writing.
    Open,
    /// Nothing more will be written: shut down the writing side (a TCP FIN), keep reading until the end of file. Closing
    /// at once instead could destroy what the peer has not read yet (RFC 6455 §7.1.1).
    ShutdownWrite,
    /// Close it: both sides are done, or the peer had its time.
    Close,
    /// Reset it: the session was aborted, by the caller or because its peer is dead or takes nothing.
    Reset,
}

/// An event, lent together with the send half to react with.
#[derive(Debug)]
pub struct Incoming<'s> {
    /// What happened.
    pub event: Event<'s>,
    /// The session's send half.
    pub tx: &'s mut Sender,
}

/// Where the next event is, found by [`WebSocket::locate`] for [`WebSocket::lend`].
#[derive(Debug)]
pub(crate) enum Found {
    Event(Located),
    Failed(Error),
    Closed(Closed),
}

impl WebSocket {
    /// The server's side of a byte stream that was upgraded, whoever read the request
    /// (see [`Request::answer`](crate::Request::answer)).
    #[inline(always)]
    pub fn server(agreed: &Agreed, config: Arc<Config>, now: Instant) -> WebSocket {
        WebSocket::new(agreed, config, None, now)
    }

    /// The client's side of a byte stream that was upgraded by another HTTP stack, which has checked the response. Without an
    /// extension, `Agreed::default()` is all there is to say.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when `entropy` cannot seed the masking keys.
    pub fn client(
        agreed: &Agreed,
        config: Arc<Config>,
        mut entropy: impl Entropy,
        now: Instant,
    ) -> Result<WebSocket, NoEntropy> {
        let keys = Keys::new(&mut entropy)?;
        Ok(WebSocket::with_keys(agreed, config, keys, now))
    }

    /// On a carrier whose frames its bytes are put into: none of them go to the transport by themselves.
    pub(crate) fn carried(mut self) -> WebSocket {
        self.sender.keep_all();
        self
    }

    pub(crate) fn with_keys(agreed: &Agreed, config: Arc<Config>, keys: Keys, now: Instant) -> WebSocket {
        WebSocket::new(agreed, config, Some(keys), now)
    }

    // As are its halves, inlined so that it is made in its place: the result of a call would be copied there, twice.
    #[inline(always)]
    fn new(agreed: &Agreed, config: Arc<Config>, keys: Option<Keys>, now: Instant) -> WebSocket {
        let role = if keys.is_some() { Role::Client } else { Role::Server };
        let theirs = match role {
            Role::Server => Direction::of_client,
            Role::Client => Direction::of_server,
        };
        WebSocket {
            receiver: Receiver::new(agreed.deflate.map(theirs)),
            sender: Sender::new(keys, config, agreed.deflate, now),
            role,
            ending: Ending::default(),
            opened: now,
            heard: now,
            pinged: Instant::NEVER,
            paused: Instant::NEVER,
            whole_below: 0,
        }
    }

    /// Takes bytes off the front of `input` until it has an event or `input` is empty. Nothing is ever left for next time:
    /// when it returns `None`, all is consumed and the buffer is free. Payload is unmasked in place, so the bytes of
    /// `input` change.
    ///
    /// Call it with an empty slice after [`receive_eof`](WebSocket::receive_eof),
    /// [`handle_timeout`](WebSocket::handle_timeout) or [`Sender::abort`]: that lends the events that no byte caused.
    #[inline(always)]
    pub fn receive<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<Incoming<'s>> {
        self.receive_as(input, now, |incoming| incoming)
    }

    /// The same, for an owner with an event of its own around it: a result made first and wrapped later would be copied.
    #[inline(always)]
    pub(crate) fn receive_as<'s, 'i: 's, E>(
        &'s mut self,
        input: &mut &'i mut [u8],
        now: Instant,
        wrap: impl Fn(Incoming<'s>) -> E,
    ) -> Option<E> {
        match self.role {
            Role::Server => {
                if let Some(place) = self.whole::<true, 0>(input) {
                    return self.lend_whole::<true, 0, E>(input, place, now, wrap);
                }
                if let Some(place) = self.whole::<true, 2>(input) {
                    return self.lend_whole::<true, 2, E>(input, place, now, wrap);
                }
            }
            Role::Client => {
                if let Some(place) = self.whole::<false, 0>(input) {
                    return self.lend_whole::<false, 0, E>(input, place, now, wrap);
                }
                if let Some(place) = self.whole::<false, 2>(input) {
                    return self.lend_whole::<false, 2, E>(input, place, now, wrap);
                }
            }
        }
        self.receive_plain(input, now).map(wrap)
    }

    #[inline(never)]
    fn receive_plain<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<Incoming<'s>> {
        // Drivers ask whether there is news that no byte caused. With the gate open, an abort is all there can be.
        if input.is_empty() && self.whole_below > 0 && !self.sender.is_aborted() {
            self.sender.stamp(now);
            return None;
        }
        // What trickles in is nearly all of this kind.
        if self.receiver.goes_on(input.len(), self.config().delivery) && !self.is_over() && !self.sender.is_aborted() {
            let piece = core::mem::take(input);
            if piece.is_empty() {
                self.sender.stamp(now);
                return None;
            }
            self.heard(now);
            let outcome = self.receiver.go_on(piece, &self.sender.config.limits);
            return outcome.err().map(|error| self.lend(&[], Found::Failed(error)));
        }
        let (consumed, found) = self.locate_plain(input, now);
        let (taken, rest) = core::mem::take(input).split_at_mut_checked(consumed).unwrap_or_default();
        *input = rest;
        found.map(|found| self.lend(taken, found))
    }

    #[inline(never)]
    fn lend_no_text(&mut self) -> Option<Incoming<'_>> {
        Some(self.lend(&[], Found::Failed(Error::InvalidUtf8)))
    }

    /// The fast path: a message in one frame that lies whole in the input, as nearly all do. It does what the plain path
    /// does and judges nothing: whatever is not plainly right is left to that.
    #[inline(always)]
    fn whole<const MASKED: bool, const LENGTH_BYTES: usize>(&self, input: &[u8]) -> Option<Range<usize>> {
        let place = Header::whole::<MASKED, LENGTH_BYTES>(input)?;
        (place.end - place.start < self.whole_below as usize && !self.sender.is_aborted()).then_some(place)
    }

    #[inline(always)]
    fn lend_whole<'s, 'i: 's, const MASKED: bool, const LENGTH_BYTES: usize, E>(
        &'s mut self,
        input: &mut &'i mut [u8],
        place: Range<usize>,
        now: Instant,
        wrap: impl Fn(Incoming<'s>) -> E,
    ) -> Option<E> {
        let (frame, rest) = core::mem::take(input).split_at_mut_checked(place.end)?;
        let (header, payload) = frame.split_at_mut_checked(place.start)?;
        *input = rest;
        if self.take_whole::<MASKED, LENGTH_BYTES>(header, payload, now) == Kind::Text {
            return match utf8::validate_apart(payload) {
                Some(text) => Some(wrap(Incoming { event: Event::Message(Message::Text(text)), tx: &mut self.sender })),
                None => self.lend_no_text().map(wrap),
            };
        }
        Some(wrap(Incoming { event: Event::Message(Message::Binary(payload)), tx: &mut self.sender }))
    }

    #[inline(always)]
    fn take_whole<const MASKED: bool, const LENGTH_BYTES: usize>(
        &mut self,
        header: &[u8],
        payload: &mut [u8],
        now: Instant,
    ) -> Kind {
        if MASKED && let Some(key) = header.last_chunk() {
            if LENGTH_BYTES == 0 { mask::apply(payload, *key) } else { mask::apply_apart(payload, *key) }
        }
        self.sender.stamp(now);
        self.heard = now;
        self.pinged = Instant::NEVER;
        if header.first() == Some(&0x81) { Kind::Text } else { Kind::Binary }
    }

    /// Room in a long message that has begun to come, for the next read: what is read there is in its place, and is not
    /// copied again. It never takes more memory than twice what has come, unless an earlier message has left it, and is
    /// empty where there is nothing to gain: without such a message, where less than 4 KiB are missing of its frame or have
    /// come while there is no memory, and for what is compressed, handed on in chunks, or text that is not all ASCII so
    /// far. A driver that never asks loses nothing but some speed with messages longer than its reads. What the room holds
    /// before the read means nothing: it may be left over from an earlier message.
    ///
    /// Say with [`received`](WebSocket::received) how much was read there, then call [`receive`](WebSocket::receive), with
    /// what was read behind it or with an empty slice. A vectored read fills the room and then the driver's buffer:
    ///
    /// ```
    /// # use std::io::{self, IoSliceMut, Read};
    /// # use sockless::{Instant, WebSocket};
    /// # fn read(socket: &mut impl Read, websocket: &mut WebSocket, buffer: &mut [u8], now: Instant) -> io::Result<()> {
    /// let room = websocket.receive_room();
    /// let length = room.len();
    /// let count = socket.read_vectored(&mut [IoSliceMut::new(room), IoSliceMut::new(buffer)])?;
    /// websocket.received(count.min(length), now);
    /// let mut input = &mut buffer[..count.saturating_sub(length)];
    /// while let Some(incoming) = websocket.receive(&mut input, now) {
    ///     // …
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn receive_room(&mut self) -> &mut [u8] {
        if !self.receiver.is_in_frame() || self.is_over() || self.sender.is_aborted() {
            return &mut [];
        }
        self.receiver.room(&self.sender.config)
    }

    /// Says that so many bytes were read into the [room](WebSocket::receive_room), from its front, since it was asked for:
    /// with no other call in between, and no more than were read, or what was left over there becomes a part of the message.
    /// More than the room was long counts as all of it.
    #[inline]
    pub fn received(&mut self, count: usize, now: Instant) {
        if count > 0 && !self.is_over() && !self.sender.is_aborted() {
            self.heard(now);
            self.receiver.received(count, &self.sender.config);
        }
    }

    /// Says that the transport will bring no more bytes: end of file. What is queued may still be written.
    //= rfc6455 7.2.1 MUST 2: a lost transport fails the connection
    pub fn receive_eof(&mut self, now: Instant) {
        self.sender.stamp(now);
        self.ending.eof = true;
        self.end(None, Cause::Eof);
    }

    /// Says that the transport is gone, for reading and for writing: a reset, or any error but a mere lack of readiness. What
    /// is queued is dropped.
    pub fn receive_reset(&mut self, now: Instant) {
        self.lost(Cause::Reset, now);
    }

    /// The same, for whatever cause.
    pub(crate) fn lost(&mut self, cause: Cause, now: Instant) {
        self.sender.stamp(now);
        self.end(None, cause);
        self.sender.abort();
    }

    /// The send half, told the time: its methods then need no `now`.
    #[inline]
    pub fn tx(&mut self, now: Instant) -> &mut Sender {
        self.sender.stamp(now);
        &mut self.sender
    }

    /// Shows what is queued: fills `out` with slices of it, in order, and returns how many it filled. Write them, then call
    /// [`transmitted`](WebSocket::transmitted). What was shown is shown again, unchanged, until then.
    #[cfg(feature = "std")]
    #[inline]
    pub fn transmit<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        self.queue().fill(out)
    }

    /// Whether something is queued for the transport.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.sender.is_drained()
    }

    /// As [`transmit`](WebSocket::transmit), for targets without `std`.
    pub fn transmit_slices(&mut self) -> impl Iterator<Item = &[u8]> {
        self.queue().slices()
    }

    /// Appends all that is queued to `out` and counts it as transmitted: for transports that want to own their buffer.
    pub fn take(&mut self, out: &mut Vec<u8>, now: Instant) {
        loop {
            self.transmit_slices().for_each(|slice| out.extend_from_slice(slice));
            self.transmitted(usize::MAX, now);
            // A Pong that waited for the others is queued now.
            if !self.has_output() {
                return;
            }
        }
    }

    /// Says that the transport took the first `count` bytes of what `transmit` showed.
    #[inline]
    pub fn transmitted(&mut self, count: usize, now: Instant) {
        if !self.sender.transmitted_all(count, now) {
            self.transmitted_some(count, now);
        }
    }

    #[inline(never)]
    fn transmitted_some(&mut self, count: usize, now: Instant) {
        self.sender.transmitted_some(count, now);
        if self.pinged == Instant::LAST && !self.sender.is_asking() {
            // Only now can the peer answer the Ping.
            self.pinged = now.min(Instant::LAST);
        }
    }

    /// Says that the driver stops feeding input for now, for reasons of its own (its application is busy, its own output is
    /// blocked). The clocks that measure the peer's silence stop, so a live peer does not look dead for it. Resume some time:
    /// until then only the lifetime and a stalled transport end the session.
    pub fn pause(&mut self, now: Instant) {
        self.whole_below = 0;
        self.paused = self.paused.min(now);
    }

    /// Says that input is fed again. Feeding it says so too.
    pub fn resume(&mut self, now: Instant) {
        if self.paused < Instant::NEVER {
            let stopped = now.since(self.paused);
            self.heard = self.heard + stopped;
            if self.pinged < Instant::LAST {
                self.pinged = self.pinged + stopped;
            }
            self.receiver.shift(stopped);
            // A Close that was queued during the pause has waited only since then.
            let since = self.sender.close_at.max(self.paused);
            if self.sender.close_at < Instant::NEVER && self.ending.closed.is_none() {
                self.sender.close_at = self.sender.close_at + now.since(since);
            }
            self.paused = Instant::NEVER;
            self.whole_below = self.whole_below();
        }
    }

    /// What to do with the transport. Ask after every call, when what `transmit` shows is written.
    //= rfc6455 5.5.1 MUST 3: once both Closes are there, the transport ends
    //= rfc6455 5.5.1 MUST 4: a server's at once
    //= rfc6455 7.1.1 SHOULD 2: the server ends the transport first
    pub fn transport(&self) -> Transport {
        if self.sender.is_aborted() {
            return Transport::Reset;
        }
        let Some(closed) = self.ending.closed else { return Transport::Open };
        match (self.ending.overdue, self.sender.is_drained(), self.ending.eof) {
            (true, _, _) | (_, true, true) => Transport::Close,
            (_, false, _) => Transport::Open,
            // A client waits for the server to go first, but after a failure.
            (_, true, false) if self.role == Role::Client && closed.clean => Transport::Open,
            (_, true, false) => Transport::ShutdownWrite,
        }
    }

    /// Whether all is done: [`Event::Closed`] was lent, what was queued is written (or its time is over), and the peer has
    /// ended its side or had its time to. Drop the transport then; before, it could cost the peer the last messages.
    pub fn is_closed(&self) -> bool {
        self.ending.told && matches!(self.transport(), Transport::Close | Transport::Reset)
    }

    /// The queue as `transmit` shows it.
    #[inline]
    pub(crate) fn queue(&self) -> &Queue {
        &self.sender.queue
    }

    /// The same, for a carrier that pins some of it.
    pub(crate) fn queue_mut(&mut self) -> &mut Queue {
        &mut self.sender.queue
    }

    /// Says that a carrier has copied the first `count` bytes, at the time of the last call to it or to this.
    pub(crate) fn copied(&mut self, count: usize, now: Instant) {
        self.transmitted(count, now.max(self.sender.now));
    }

    /// Whether the end is yet to be told.
    pub(crate) fn has_news(&self) -> bool {
        !self.ending.told && (self.ending.closed.is_some() || self.sender.is_aborted())
    }

    /// Whether [`locate`](WebSocket::locate) may find more in what it was fed.
    pub(crate) fn has_more(&self) -> bool {
        self.receiver.is_in_frame()
    }

    /// Whether nothing that comes is processed any more.
    pub(crate) fn is_over(&self) -> bool {
        self.ending.closed.is_some()
    }

    pub(crate) fn config(&self) -> &Arc<Config> {
        &self.sender.config
    }

    /// Queues the bytes that go before the first frame: the response that upgraded the connection.
    pub(crate) fn push_head(&mut self, head: &[u8], now: Instant) {
        self.sender.stamp(now);
        self.sender.push_head(head);
    }

    /// The same for one that has queued nothing yet: the bytes become its buffer.
    pub(crate) fn begin_with(&mut self, head: Vec<u8>, now: Instant) {
        self.sender.stamp(now);
        self.sender.begin_with(head);
    }

    /// Phase one of receiving: consumes bytes off the front of `input` and says how many, and where the event lies that
    /// they hold. Without an event, all of `input` was consumed.
    #[inline]
    pub(crate) fn locate(&mut self, input: &mut [u8], now: Instant) -> (usize, Option<Found>) {
        match self.role {
            Role::Server => self.locate_whole::<true>(input, now),
            Role::Client => self.locate_whole::<false>(input, now),
        }
    }

    #[inline(always)]
    fn locate_whole<const MASKED: bool>(&mut self, input: &mut [u8], now: Instant) -> (usize, Option<Found>) {
        let place = self.whole::<MASKED, 0>(input).or_else(|| self.whole::<MASKED, 2>(input));
        let Some(place) = place else { return self.locate_plain(input, now) };
        let frame = input.get_mut(..place.end).unwrap_or_default();
        let (header, payload) = frame.split_at_mut_checked(place.start).unwrap_or_default();
        let kind = self.take_whole::<MASKED, 0>(header, payload, now);
        (place.end, Some(Found::Event(Located::Message { kind, place: Place::Input(place) })))
    }

    fn locate_plain(&mut self, input: &mut [u8], now: Instant) -> (usize, Option<Found>) {
        if input.is_empty() {
            self.sender.stamp(now);
        } else {
            self.heard(now);
        }
        if self.sender.is_aborted() {
            self.end(None, Cause::Local);
        }
        if let Some(closed) = self.ending.closed {
            self.receiver.end(&self.sender.config);
            //= rfc6455 7.1.7 MUST NOT 1: after a failure, nothing that comes is processed
            let found = (!self.ending.told).then_some(Found::Closed(closed));
            return (input.len(), found);
        }
        match self.receiver.locate(input, &self.sender.config, self.role, now) {
            Ok((consumed, located)) => {
                if let Some(located) = &located {
                    self.react(located, input);
                }
                self.whole_below = self.whole_below();
                (consumed, located.map(Found::Event))
            }
            Err(error) => (input.len(), Some(Found::Failed(error))),
        }
    }

    /// The peer is alive.
    fn heard(&mut self, now: Instant) {
        self.sender.stamp(now);
        self.resume(now);
        self.heard = now;
        self.pinged = Instant::NEVER;
    }

    /// What the fast path may take.
    fn whole_below(&self) -> u32 {
        let Config { delivery, limits, .. } = &*self.sender.config;
        let is_open = self.ending.closed.is_none() && self.paused == Instant::NEVER && self.receiver.is_between();
        if !is_open || *delivery != Delivery::Messages || limits.fragments == 0 {
            return 0;
        }
        u32::try_from(limits.frame.min(limits.message)).map_or(u32::MAX, |limit| limit.saturating_add(1))
    }

    /// Phase two: borrows what `locate` found, from the bytes it consumed or from the receive half.
    #[inline]
    pub(crate) fn lend<'s>(&'s mut self, taken: &'s [u8], found: Found) -> Incoming<'s> {
        let event = match found {
            Found::Event(located) => located.lend(taken, &self.receiver),
            Found::Failed(error) => Err(error),
            Found::Closed(closed) => {
                self.ending.told = true;
                Ok(Event::Closed(closed))
            }
        };
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                //= rfc6455 7.1.7 MUST 1: a client that fails the connection closes it
                //= rfc6455 7.1.7 MUST 2: so does a server
                self.sender.close_failed(error.close_code());
                // Not through `end`, which borrows the receive half too.
                self.ending.end(None, Cause::Fault);
                self.whole_below = 0;
                Event::Failed(error)
            }
        };
        Incoming { event, tx: &mut self.sender }
    }

    /// What the engine does by itself on a control frame.
    #[inline]
    fn react(&mut self, located: &Located, input: &[u8]) {
        match located {
            //= rfc6455 5.5.2 MUST 1: a Ping is answered, also when our Close is sent
            Located::Ping(place) => self.sender.answer_ping(place.bytes(input, &self.receiver)),
            Located::Closing { code, .. } => {
                let cause = if self.sender.is_closing() { Cause::Local } else { Cause::Peer };
                self.sender.answer_close(*code);
                self.end(Some(Closed { code: *code, clean: true, cause }), cause);
            }
            _ => {}
        }
    }

    /// The session ends, unless it has.
    fn end(&mut self, closed: Option<Closed>, cause: Cause) {
        if self.ending.closed.is_none() {
            // Aborted before this came: the caller's doing.
            let cause = if self.sender.is_aborted() { Cause::Local } else { cause };
            self.sender.end();
            self.ending.end(closed, cause);
            self.whole_below = 0;
        }
    }
}

impl Ending {
    fn end(&mut self, closed: Option<Closed>, cause: Cause) {
        let cause = self.cause.unwrap_or(cause);
        let closed = closed.unwrap_or(Closed { code: None, clean: false, cause });
        self.closed = Some(Closed { cause, ..closed });
    }
}
