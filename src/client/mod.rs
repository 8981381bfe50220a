//! How does a client's transport connection become a WebSocket? (RFC 6455 §4.1, RFC 9112)
//!
//! ```text
//! Idle ─ open ─▶ Opening ─┬─ 101, checked in full ──▶ Open: a WebSocket
//!                         ├─ another final response ─▶ Ended: its body as it arrives, then the end
//!                         └─ a bad response, a deadline, an end of file ─▶ Ended
//! ```
//!
//! Nothing can be sent before the response is there, since there is no `Sender` to send with.

mod http2;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use self::http2::Http2;
use crate::config::{Agreed, Config, Limits};
use crate::entropy::{Entropy, Keys, NoEntropy};
use crate::error::{CloseCode, ResponseError};
use crate::event::{Cause, Closed};
use crate::handshake::{Asked, Connect, ResponseHead};
use crate::http1::body::Body;
use crate::http1::scan::Scan;
use crate::http1::{head, write};
use crate::http2::{Connection, Http2Error};
use crate::queue::Queue;
use crate::server::SessionId;
use crate::time::{Earliest, Instant, Timer};
use crate::websocket::{Close, Incoming, Reason, Sender, Transport, WebSocket};

/// Interim responses (RFC 9110 §15.2) before the final one.
const MAX_INTERIM: u8 = 8;

/// A client's side of a transport connection, from its first byte to its end.
///
/// It is driven like a [`WebSocket`]: see there. The transport (and TLS, for `wss:`) is the caller's to make;
/// [`Connect::url`] says where to.
#[derive(Debug)]
pub struct Client {
    config: Arc<Config>,
    phase: Phase,
    /// The head of the response, if it came in pieces.
    head: Vec<u8>,
    opened: Instant,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of a connection's life is Open, which is not to cost a box")]
enum Phase {
    Idle(Option<Keys>),
    Opening(Box<Opening>),
    Open(WebSocket),
    Ended(Box<Ended>),
    /// Many sessions, each with phases of its own.
    Http2(Box<Http2>),
}

#[derive(Debug)]
struct Opening {
    asked: Asked,
    keys: Keys,
    queue: Queue,
    scan: Scan,
    interim: u8,
}

/// A connection that is not to become a WebSocket.
#[derive(Debug)]
struct Ended {
    body: Body,
    /// What the body may still take.
    allowed: u64,
    failed: Option<ResponseError>,
    closed: Option<Closed>,
    since: Instant,
}

/// What is to be told of such a connection.
enum News {
    Body(Range<usize>),
    Failed(ResponseError),
    Closed(Closed),
}

/// What happened on a client's connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientEvent<'s> {
    /// The WebSocket is open. Boxed, as is the head in [`Refused`](ClientEvent::Refused): every event would be as large.
    Open(Box<Opened<'s>>),
    /// Something happened on a session.
    Session(SessionId, Incoming<'s>),
    /// The server answered with something else than a WebSocket: a redirect, a demand for credentials, an error. Its body
    /// follows as [`Body`](ClientEvent::Body), then [`Closed`](ClientEvent::Closed).
    Refused(SessionId, Box<ResponseHead<'s>>),
    /// A piece of the body of a response that refused, as it arrived.
    Body(SessionId, &'s [u8]),
    /// The server's answer is not what RFC 6455 asks; [`Closed`](ClientEvent::Closed) follows.
    Failed(SessionId, ResponseError),
    /// A session that never opened is over. (One that did says so with [`Event::Closed`](crate::Event::Closed).)
    Closed(SessionId, Closed),
    /// The connection over HTTP/2 has failed, and all its sessions with it, each of which says so; GOAWAY is queued.
    ConnectionFailed(Http2Error),
}

/// A WebSocket that was opened.
#[derive(Debug)]
pub struct Opened<'s> {
    /// The session.
    pub id: SessionId,
    /// The server's response.
    pub response: ResponseHead<'s>,
    /// What was agreed on.
    pub agreed: Agreed,
    /// The send half.
    pub tx: &'s mut Sender,
}

/// Why a session was not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenError {
    /// A connection over HTTP/1.1 carries one session, and this one had it.
    Busy,
    /// A connection over HTTP/2 carries as many as its server or [`Http2Limits::sessions`](crate::Http2Limits::sessions)
    /// allow, and none when it is at its end.
    Full,
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OpenError::Busy => "the connection carries a session already",
            OpenError::Full => "the connection carries as many sessions as it can",
        })
    }
}

impl core::error::Error for OpenError {}

impl Client {
    /// The client's side of a connection that was just made. `entropy` seeds the masking keys and the nonce, and is not
    /// asked again.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when `entropy` fails.
    pub fn new(config: Arc<Config>, mut entropy: impl Entropy, now: Instant) -> Result<Client, NoEntropy> {
        let keys = Keys::new(&mut entropy)?;
        Ok(Client { config, phase: Phase::Idle(Some(keys)), head: Vec::new(), opened: now })
    }

    /// The client's side of a connection over HTTP/2 that was just made: the server was found to speak it (ALPN `h2`), or is
    /// known to. It carries as many sessions as the server allows.
    ///
    /// # Errors
    ///
    /// [`NoEntropy`] when `entropy` fails.
    pub fn http2(config: Arc<Config>, mut entropy: impl Entropy, now: Instant) -> Result<Client, NoEntropy> {
        let keys = Keys::new(&mut entropy)?;
        let http2 = Box::new(Http2::new(Arc::clone(&config), keys, now));
        Ok(Client { config, phase: Phase::Http2(http2), head: Vec::new(), opened: now })
    }

    /// Asks for a WebSocket: queues the request. The answer comes as [`ClientEvent::Open`], [`ClientEvent::Refused`] or
    /// [`ClientEvent::Failed`].
    ///
    /// # Errors
    ///
    /// [`OpenError::Busy`] when this connection can carry no more sessions.
    //= rfc6455 4.1 MUST 1: the handshake is sent, and its answer read
    //= rfc6455 4.1 MUST 14: the request opens the connection
    //= rfc6455 4.1 MUST 32: nothing more is sent before the answer, since there is no Sender
    pub fn open(&mut self, connect: &Connect, now: Instant) -> Result<SessionId, OpenError> {
        if let Phase::Http2(http2) = &mut self.phase {
            return http2.open(connect, &self.config, now);
        }
        let Phase::Idle(keys) = &mut self.phase else { return Err(OpenError::Busy) };
        let Some(mut keys) = keys.take() else { return Err(OpenError::Busy) };
        let asked = connect.ask(keys.nonce(), &self.config);
        let mut queue = Queue::default();
        queue.write(0, |out| write::request(&asked, out));
        self.opened = now;
        self.phase = Phase::Opening(Box::new(Opening { asked, keys, queue, scan: Scan::default(), interim: 0 }));
        Ok(SessionId::HTTP1)
    }

    /// Takes bytes off the front of `input` until it has an event or `input` is empty, as
    /// [`WebSocket::receive`] does.
    #[inline]
    pub fn receive<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<ClientEvent<'s>> {
        if self.head.capacity() > 0 || !matches!(self.phase, Phase::Open(_)) {
            return self.receive_other(input, now);
        }
        let Phase::Open(websocket) = &mut self.phase else { return None };
        websocket.receive_as(input, now, |incoming| ClientEvent::Session(SessionId::HTTP1, incoming))
    }

    // Apart, so that what is nearly always called needs no room on the stack for what seldom is.
    #[inline(never)]
    fn receive_other<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<ClientEvent<'s>> {
        if !matches!(self.phase, Phase::Opening(_)) && self.head.capacity() > 0 {
            self.head = Vec::new();
        }
        while let Phase::Opening(opening) = &mut self.phase {
            match opening.scan.scan(input, head::allowed(&self.config.limits)) {
                Ok(Some(end)) => {
                    let (taken, rest) = core::mem::take(input).split_at_mut_checked(end).unwrap_or_default();
                    *input = rest;
                    if !self.head.is_empty() {
                        self.head.extend_from_slice(taken);
                    }
                    let bytes = if self.head.is_empty() { &*taken } else { &self.head[..] };
                    if !head::is_interim(bytes) {
                        return Some(self.judge(taken, now));
                    }
                    match opening.pass_over(bytes, &self.config.limits) {
                        Ok(()) => self.head.clear(),
                        Err(error) => self.phase = Ended::failed(error, Cause::Fault, now),
                    }
                }
                Ok(None) => {
                    self.head.extend_from_slice(input);
                    *input = &mut [];
                    return None;
                }
                Err(error) => self.phase = Ended::failed(error.into(), Cause::Fault, now),
            }
        }
        match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.receive(input, now).map(|incoming| ClientEvent::Session(SessionId::HTTP1, incoming))
            }
            Phase::Ended(ended) => {
                let (consumed, news) = ended.walk(input);
                let (taken, rest) = core::mem::take(input).split_at_mut_checked(consumed).unwrap_or_default();
                *input = rest;
                Some(match news? {
                    News::Body(range) => ClientEvent::Body(SessionId::HTTP1, taken.get(range).unwrap_or_default()),
                    News::Failed(error) => ClientEvent::Failed(SessionId::HTTP1, error),
                    News::Closed(closed) => ClientEvent::Closed(SessionId::HTTP1, closed),
                })
            }
            Phase::Http2(http2) => http2.receive(input, now),
            Phase::Idle(_) | Phase::Opening(_) => {
                *input = &mut [];
                None
            }
        }
    }

    /// Room in a long message, for the next read: see [`WebSocket::receive_room`]. None over HTTP/2, whose frames lie between.
    #[inline]
    pub fn receive_room(&mut self) -> &mut [u8] {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.receive_room(),
            _ => &mut [],
        }
    }

    /// Says that so many bytes were read into the room: see [`WebSocket::received`].
    #[inline]
    pub fn received(&mut self, count: usize, now: Instant) {
        if let Phase::Open(websocket) = &mut self.phase {
            websocket.received(count, now);
        }
    }

    /// Says that the transport will bring no more bytes.
    pub fn receive_eof(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.receive_eof(now),
            Phase::Ended(ended) => {
                if let Err(error) = ended.body.eof() {
                    ended.fail(error);
                }
            }
            Phase::Http2(http2) => http2.end(Cause::Eof, now),
            Phase::Opening(_) => self.phase = Ended::over(Body::Ended, 0, Cause::Eof, now),
            Phase::Idle(keys) => *keys = None,
        }
    }

    /// Says that the transport is gone: see [`WebSocket::receive_reset`].
    pub fn receive_reset(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.receive_reset(now),
            Phase::Http2(http2) => http2.end(Cause::Reset, now),
            Phase::Opening(_) => self.phase = Ended::over(Body::Ended, 0, Cause::Reset, now),
            Phase::Ended(ended) if !ended.body.is_ended() => ended.fail(ResponseError::MalformedBody),
            Phase::Idle(_) | Phase::Ended(_) => self.receive_eof(now),
        }
    }

    /// The send half of a session, told the time; none if it is not open.
    #[inline]
    pub fn tx(&mut self, id: SessionId, now: Instant) -> Option<&mut Sender> {
        Some(self.session(id)?.tx(now))
    }

    /// Says that the driver feeds this session no input for now: see [`WebSocket::pause`].
    pub fn pause(&mut self, id: SessionId, now: Instant) {
        match &mut self.phase {
            Phase::Http2(http2) => http2.pause(id.0, now),
            _ => _ = self.session(id).map(|session| session.pause(now)),
        }
    }

    /// Says that input is fed again.
    pub fn resume(&mut self, id: SessionId, now: Instant) {
        match &mut self.phase {
            Phase::Http2(http2) => http2.resume(id.0, now),
            _ => _ = self.session(id).map(|session| session.resume(now)),
        }
    }

    /// Ends the connection in good order: no more sessions are opened, each one is closed with 1001, and what was asked for is
    /// given up; behind the last session, over HTTP/2, goes a GOAWAY. Go on driving it until it is closed.
    pub fn shut_down(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.tx(now).close(Close::With(CloseCode::GOING_AWAY, Reason::EMPTY));
            }
            Phase::Opening(_) => self.phase = Ended::over(Body::Ended, 0, Cause::Local, now),
            Phase::Http2(http2) => http2.shut_down(now),
            Phase::Idle(keys) => *keys = None,
            Phase::Ended(_) => {}
        }
    }

    /// Shows what is queued for the transport: see [`WebSocket::transmit`].
    #[cfg(feature = "std")]
    #[inline]
    pub fn transmit<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.transmit(out),
            other => other.transmit(out),
        }
    }

    /// Whether something is queued for the transport. Over HTTP/2, whether something may be: behind a call of `tx` the
    /// session is looked at by the next `transmit`, which then may show nothing.
    #[inline]
    pub fn has_output(&self) -> bool {
        match &self.phase {
            Phase::Open(websocket) => websocket.has_output(),
            other => other.has_output(),
        }
    }

    /// As [`transmit`](Client::transmit), for targets without `std`.
    pub fn transmit_slices(&mut self) -> impl Iterator<Item = &[u8]> {
        // One of the two is there.
        let (queue, http2) = match &mut self.phase {
            Phase::Open(websocket) => (Some(websocket.queue()), None),
            Phase::Opening(opening) => (Some(&opening.queue), None),
            Phase::Http2(http2) => (None, Some(http2.planned())),
            Phase::Idle(_) | Phase::Ended(_) => (None, None),
        };
        queue.into_iter().flat_map(Queue::slices).chain(http2.into_iter().flat_map(Connection::slices))
    }

    /// Appends all that is queued to `out` and counts it as transmitted: see [`WebSocket::take`].
    pub fn take(&mut self, out: &mut Vec<u8>, now: Instant) {
        if let Phase::Open(websocket) = &mut self.phase {
            return websocket.take(out, now);
        }
        // Over HTTP/2 it is shown by and by.
        loop {
            let before = out.len();
            self.transmit_slices().for_each(|slice| out.extend_from_slice(slice));
            self.transmitted(usize::MAX, now);
            if out.len() == before {
                return;
            }
        }
    }

    /// Says that the transport took the first `count` bytes of what `transmit` showed.
    #[inline]
    pub fn transmitted(&mut self, count: usize, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.transmitted(count, now),
            other => other.transmitted(count, now),
        }
    }

    /// The next deadline and its cause: see [`WebSocket::poll_timeout`].
    pub fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        let limits = &self.config.limits;
        match &self.phase {
            Phase::Open(websocket) => websocket.poll_timeout(),
            Phase::Http2(http2) => http2.poll_timeout(limits),
            Phase::Opening(_) => Earliest::NONE.or(self.opened + limits.open_timeout, Timer::Open).deadline(),
            Phase::Ended(ended) if !ended.body.is_ended() => {
                Earliest::NONE.or(ended.since + limits.close_timeout, Timer::Close).deadline()
            }
            Phase::Idle(_) | Phase::Ended(_) => None,
        }
    }

    /// Acts on the deadlines that have come: see [`WebSocket::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => return websocket.handle_timeout(now),
            Phase::Http2(http2) => return http2.handle_timeout(now, &self.config.limits),
            Phase::Idle(_) | Phase::Opening(_) | Phase::Ended(_) => {}
        }
        while self.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            match &mut self.phase {
                Phase::Opening(_) => {
                    self.phase = Ended::failed(ResponseError::TimedOut, Cause::Timeout(Timer::Open), now);
                }
                // A body that never ends.
                Phase::Ended(ended) => ended.fail(ResponseError::TimedOut),
                Phase::Idle(_) | Phase::Open(_) | Phase::Http2(_) => {}
            }
        }
    }

    /// What to do with the transport: see [`WebSocket::transport`].
    pub fn transport(&self) -> Transport {
        match &self.phase {
            Phase::Open(websocket) => websocket.transport(),
            Phase::Http2(http2) => http2.transport(),
            Phase::Ended(ended) if ended.body.is_ended() => Transport::Close,
            Phase::Idle(_) | Phase::Opening(_) | Phase::Ended(_) => Transport::Open,
        }
    }

    /// Whether all is done and the transport can be dropped: see [`WebSocket::is_closed`].
    pub fn is_closed(&self) -> bool {
        match &self.phase {
            Phase::Open(websocket) => websocket.is_closed(),
            Phase::Http2(http2) => http2.is_closed(),
            Phase::Ended(ended) => ended.body.is_ended() && ended.closed.is_none(),
            Phase::Idle(keys) => keys.is_none(),
            Phase::Opening(_) => false,
        }
    }

    /// Gives back all buffers that hold nothing now.
    pub fn release(&mut self) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.release(),
            Phase::Http2(http2) => http2.release(),
            Phase::Idle(_) | Phase::Opening(_) | Phase::Ended(_) => {}
        }
    }

    #[inline]
    fn session(&mut self, id: SessionId) -> Option<&mut WebSocket> {
        match &mut self.phase {
            Phase::Open(websocket) => (id == SessionId::HTTP1).then_some(websocket),
            other => other.http2_session(id),
        }
    }

    /// Judges the final response, whose head `taken` ends or, if it came in pieces, is collected.
    fn judge<'s>(&'s mut self, taken: &'s [u8], now: Instant) -> ClientEvent<'s> {
        let Client { config, phase, head: collected, .. } = self;
        let bytes = if collected.is_empty() { taken } else { &collected[..] };
        let response = match head::response(bytes, &config.limits) {
            Ok(response) => response,
            Err(error) => return phase.fail(error, now),
        };
        if response.status() != 101 {
            return match Body::of(&response) {
                // RFC 6455 §4.1: another status is the caller's to handle.
                Ok(body) => {
                    *phase = Ended::over(body, config.limits.body, Cause::Refused, now);
                    ClientEvent::Refused(SessionId::HTTP1, Box::new(response))
                }
                Err(error) => phase.fail(error, now),
            };
        }
        let agreed = match phase {
            Phase::Opening(opening) => opening.asked.check(&response),
            _ => Err(ResponseError::Malformed),
        };
        match agreed {
            Ok(agreed) => match phase.open(&agreed, config, now) {
                Some(tx) => ClientEvent::Open(Box::new(Opened { id: SessionId::HTTP1, response, agreed, tx })),
                None => ClientEvent::Failed(SessionId::HTTP1, ResponseError::Malformed),
            },
            //= rfc6455 7.2.1 MUST 1: a bad answer fails the connection
            Err(error) => phase.fail(error, now),
        }
    }
}

// What a connection does that is not an open one of HTTP/1.1. Apart, so that the usual one does it in a few steps.
impl Phase {
    #[cfg(feature = "std")]
    #[inline(never)]
    fn transmit<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        match self {
            Phase::Open(websocket) => websocket.transmit(out),
            Phase::Opening(opening) => opening.queue.fill(out),
            Phase::Http2(http2) => http2.fill(out),
            Phase::Idle(_) | Phase::Ended(_) => 0,
        }
    }

    #[inline(never)]
    fn has_output(&self) -> bool {
        match self {
            Phase::Open(websocket) => websocket.has_output(),
            Phase::Opening(opening) => !opening.queue.is_empty(),
            Phase::Http2(http2) => http2.connection.has_output(),
            Phase::Idle(_) | Phase::Ended(_) => false,
        }
    }

    #[inline(never)]
    fn transmitted(&mut self, count: usize, now: Instant) {
        match self {
            Phase::Open(websocket) => websocket.transmitted(count, now),
            Phase::Opening(opening) => {
                opening.queue.acknowledge(count);
            }
            Phase::Http2(http2) => http2.transmitted(count, now),
            Phase::Idle(_) | Phase::Ended(_) => {}
        }
    }

    #[inline(never)]
    fn http2_session(&mut self, id: SessionId) -> Option<&mut WebSocket> {
        match self {
            Phase::Http2(http2) => http2.session(id.0),
            _ => None,
        }
    }

    fn fail<'s>(&mut self, error: ResponseError, now: Instant) -> ClientEvent<'s> {
        *self = Ended::over(Body::Ended, 0, Cause::Fault, now);
        ClientEvent::Failed(SessionId::HTTP1, error)
    }

    /// Turns an opening handshake into the session that it opened.
    fn open(&mut self, agreed: &Agreed, config: &Arc<Config>, now: Instant) -> Option<&mut Sender> {
        let Phase::Opening(opening) = core::mem::replace(self, Phase::Idle(None)) else { return None };
        let Opening { queue, keys, .. } = *opening;
        let mut websocket = WebSocket::with_keys(agreed, Arc::clone(config), keys, now);
        // A server may answer before it has read the whole request, which still goes first.
        queue.slices().for_each(|slice| websocket.push_head(slice, now));
        *self = Phase::Open(websocket);
        match self {
            Phase::Open(websocket) => Some(websocket.tx(now)),
            _ => None,
        }
    }
}

impl Opening {
    /// Passes over an interim response.
    fn pass_over(&mut self, head: &[u8], limits: &Limits) -> Result<(), ResponseError> {
        head::response(head, limits)?;
        self.interim += 1;
        self.scan = Scan::default();
        if self.interim > MAX_INTERIM { Err(ResponseError::TooManyInterimResponses) } else { Ok(()) }
    }
}

impl Ended {
    fn over(body: Body, allowed: u64, cause: Cause, now: Instant) -> Phase {
        let closed = Some(Closed { code: None, clean: false, cause });
        Phase::Ended(Box::new(Ended { body, allowed, failed: None, closed, since: now }))
    }

    fn failed(error: ResponseError, cause: Cause, now: Instant) -> Phase {
        let closed = Some(Closed { code: None, clean: false, cause });
        Phase::Ended(Box::new(Ended { body: Body::Ended, allowed: 0, failed: Some(error), closed, since: now }))
    }

    /// Consumes bytes up to the next thing to tell, in order: the body, a failure, the end.
    fn walk(&mut self, input: &[u8]) -> (usize, Option<News>) {
        match self.body.walk(input) {
            Ok((_, Some(range))) => {
                // What the limit still takes is told, however the body was cut.
                let told = usize::try_from(self.allowed).map_or(range.len(), |allowed| allowed.min(range.len()));
                self.allowed -= told as u64;
                if told < range.len() {
                    self.fail(ResponseError::BodyTooLarge);
                }
                if told > 0 {
                    let end = range.start + told;
                    return (end, Some(News::Body(range.start..end)));
                }
            }
            Ok((_, None)) => {}
            Err(error) => self.fail(error),
        }
        let news = match self.failed.take() {
            Some(error) => Some(News::Failed(error)),
            None if self.body.is_ended() => self.closed.take().map(News::Closed),
            None => None,
        };
        (input.len(), news)
    }

    fn fail(&mut self, error: ResponseError) {
        self.body = Body::Ended;
        self.failed = Some(error);
    }
}
