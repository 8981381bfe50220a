//! How does a server's transport connection become WebSockets, or something else? (RFC 6455 §4.2, RFC 9112)
//!
//! ```text
//! Head ─▶ Deciding ─┬─ accept ──────────────────▶ Open: a WebSocket
//!   │               └─ reject, respond, 503 ─▶ ┐
//!   └─ a bad request, 408 ──────────────────── ┴─▶ Answered: one response, then the end
//! ```
//!
//! The head of a request is parsed where it lies: in the read that brought it whole, or in a buffer that collected it. What
//! the application decides with, an [`Offer`] or a [`PlainRequest`], borrows it, and leaves it behind if nothing was decided.

mod http2;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Deref;

use self::http2::{Exchange, Http2};
use crate::config::Config;
use crate::error::{CloseCode, RequestError};
use crate::event::{Cause, Closed};
use crate::handshake::{Accept, Classified, Request, RequestHead, Response};
use crate::http1::scan::Scan;
use crate::http1::{head, write};
use crate::http2::{Connection, Head, Http2Error, PREFACE, PREFACE_HEAD};
use crate::queue::Queue;
use crate::time::{Earliest, Instant, Timer};
use crate::websocket::{Close, Incoming, Reason, Sender, Transport, WebSocket};

/// Names a session, or a request that may become one, on its connection. HTTP/1.1 has one a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub(crate) u32);

impl SessionId {
    /// The one exchange of an HTTP/1.1 connection.
    pub(crate) const HTTP1: SessionId = SessionId(1);

    /// The number: over HTTP/2 that of the stream, which no other session of the connection ever has; 1 over HTTP/1.1.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A server's side of a transport connection, from its first byte to its end.
///
/// It is driven like a [`WebSocket`]: see there, and the loop in the crate's documentation.
// In this order: a message looks at the head, and into the first half of the phase.
#[derive(Debug)]
#[repr(C)]
pub struct Server {
    opened: Instant,
    config: Arc<Config>,
    /// A head that came in pieces, or that nobody decided on while it was lent.
    head: Vec<u8>,
    phase: Phase,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of a connection's life is Open, which is not to cost a box")]
enum Phase {
    /// The head is coming in.
    Head(Scan),
    /// The head is complete, and the application has it.
    Deciding {
        for_websocket: bool,
    },
    Open(WebSocket),
    Answered(Box<Answered>),
    /// Not HTTP/1.1 after all: many streams, each with phases of its own.
    Http2(Box<Http2>),
}

/// A connection that is not to become a WebSocket: it has its response, and ends.
#[derive(Debug, Default)]
struct Answered {
    queue: Queue,
    /// What the application has yet to be told.
    news: Option<News>,
    since: Instant,
    waiting_since: Instant,
    eof: bool,
    overdue: bool,
}

#[derive(Clone, Copy, Debug)]
enum News {
    Refused(RequestError),
    Closed(Closed),
}

/// What happened on a server's connection.
#[derive(Debug)]
#[non_exhaustive]
pub enum ServerEvent<'s> {
    /// A valid request for a WebSocket: accept it, reject it, or let it wait. Dropped unanswered, it waits.
    Offer(Offer<'s>),
    /// A valid request for something else: respond, or let it wait. Dropped unanswered, it waits.
    Request(PlainRequest<'s>),
    /// A bad request; its response is already queued.
    Refused(RequestError),
    /// Something happened on a session.
    Session(SessionId, Incoming<'s>),
    /// A request that was waiting for the application's answer came to its end without it.
    Closed(SessionId, Closed),
    /// The connection over HTTP/2 has failed, and all its sessions with it, each of which says so; GOAWAY is queued.
    Failed(Http2Error),
}

/// A valid request for a WebSocket, waiting for its answer.
///
/// It derefs to its [`Request`]. Dropped unanswered it is deferred: [`Server::offer`] lends it again until
/// [`Limits::open_timeout`](crate::Limits::open_timeout), when it is answered with 503.
#[derive(Debug)]
pub struct Offer<'s> {
    /// Boxed, as is the other: every event would have their size.
    request: Box<Request<'s>>,
    decision: Decision<'s>,
}

/// A valid request that is not for a WebSocket, waiting for its response. Its connection ends behind that.
///
/// It derefs to its [`RequestHead`]. Dropped unanswered it is deferred: [`Server::request`] lends it again.
#[derive(Debug)]
pub struct PlainRequest<'s> {
    head: Box<RequestHead<'s>>,
    decision: Decision<'s>,
}

/// What deciding changes. While nothing is decided, the phase is `Deciding`.
#[derive(Debug)]
struct Decision<'s> {
    config: &'s Arc<Config>,
    target: Target<'s>,
    now: Instant,
}

/// What is decided on.
#[derive(Debug)]
enum Target<'s> {
    Http1 {
        phase: &'s mut Phase,
        /// Where a head that lies in the caller's buffer is to be kept if nothing is decided.
        keep: Option<(&'s mut Vec<u8>, &'s [u8])>,
    },
    Http2 {
        connection: &'s mut Connection<Exchange>,
        stream: u32,
        head: &'s Head,
    },
}

impl Server {
    /// The server's side of a connection that was just made.
    pub fn new(config: Arc<Config>, now: Instant) -> Server {
        Server { config, phase: Phase::Head(Scan::default()), head: Vec::new(), opened: now }
    }

    /// Takes bytes off the front of `input` until it has an event or `input` is empty, as
    /// [`WebSocket::receive`] does.
    #[inline]
    pub fn receive<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<ServerEvent<'s>> {
        if self.head.capacity() > 0 || !matches!(self.phase, Phase::Open(_)) {
            return self.receive_other(input, now);
        }
        let Phase::Open(websocket) = &mut self.phase else { return None };
        websocket.receive_as(input, now, |incoming| ServerEvent::Session(SessionId::HTTP1, incoming))
    }

    // Apart, so that what is nearly always called needs no room on the stack for what seldom is.
    #[inline(never)]
    fn receive_other<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<ServerEvent<'s>> {
        self.forget_head();
        if let Phase::Http2(_) = self.phase {
            let Phase::Http2(http2) = &mut self.phase else { return None };
            return http2.receive(input, &self.config, now);
        }
        if let Phase::Deciding { for_websocket } = self.phase {
            let is_early = for_websocket && !input.is_empty();
            *input = &mut [];
            // RFC 6455 §4.1: a client waits for the answer before it sends more.
            if !is_early {
                return None;
            }
            self.phase.answer(&Response::refusing(RequestError::EarlyData), false, now);
            self.phase.tell(News::Closed(unclean(Cause::Fault)));
            return Some(ServerEvent::Refused(RequestError::EarlyData));
        }
        if let Phase::Head(scan) = &mut self.phase {
            return match scan.scan(input, head::allowed(&self.config.limits)) {
                Ok(Some(end)) => {
                    let (taken, rest) = core::mem::take(input).split_at_mut_checked(end).unwrap_or_default();
                    *input = rest;
                    // The first lines of the preface read as a head of HTTP/1.1, and as no valid one.
                    if PREFACE.strip_prefix(&self.head[..]).is_some_and(|rest| rest.starts_with(taken))
                        && self.head.len() + taken.len() == PREFACE_HEAD
                    {
                        let mut http2 = Box::new(Http2::new(Arc::clone(&self.config), now));
                        http2.connection.preface_begun(PREFACE_HEAD);
                        self.phase = Phase::Http2(http2);
                        return self.receive(input, now);
                    }
                    Some(self.decide(taken, now))
                }
                Ok(None) => {
                    self.head.extend_from_slice(input);
                    *input = &mut [];
                    None
                }
                Err(error) => {
                    *input = &mut [];
                    Some(self.refuse(error.into(), now))
                }
            };
        }
        match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.receive(input, now).map(|incoming| ServerEvent::Session(SessionId::HTTP1, incoming))
            }
            Phase::Answered(answered) => {
                *input = &mut [];
                Some(match answered.news.take()? {
                    News::Refused(error) => ServerEvent::Refused(error),
                    News::Closed(closed) => ServerEvent::Closed(SessionId::HTTP1, closed),
                })
            }
            Phase::Head(_) | Phase::Deciding { .. } | Phase::Http2(_) => None,
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
            Phase::Answered(answered) => answered.eof = true,
            Phase::Http2(http2) => http2.end(Cause::Eof, now),
            Phase::Head(_) => self.give_up(None, now),
            Phase::Deciding { .. } => self.give_up(Some(Cause::Eof), now),
        }
    }

    /// Says that the transport is gone: see [`WebSocket::receive_reset`].
    pub fn receive_reset(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.receive_reset(now),
            Phase::Answered(answered) => {
                answered.queue.clear();
                answered.eof = true;
            }
            Phase::Http2(http2) => http2.end(Cause::Reset, now),
            Phase::Head(_) => self.give_up(None, now),
            Phase::Deciding { .. } => self.give_up(Some(Cause::Reset), now),
        }
    }

    /// Lends a deferred offer again; none once it is answered, or its time was up.
    pub fn offer(&mut self, id: SessionId, now: Instant) -> Option<Offer<'_>> {
        match self.deferred(id, now)? {
            (Classified::WebSocket(request), decision) => Some(Offer { request: Box::new(request), decision }),
            _ => None,
        }
    }

    /// Lends a deferred request again; none once it is answered, or its time was up.
    pub fn request(&mut self, id: SessionId, now: Instant) -> Option<PlainRequest<'_>> {
        match self.deferred(id, now)? {
            (Classified::Plain(head), decision) => Some(PlainRequest { head: Box::new(head), decision }),
            _ => None,
        }
    }

    /// The send half of a session, told the time; none if there is no such session, or none yet.
    #[inline]
    pub fn tx(&mut self, id: SessionId, now: Instant) -> Option<&mut Sender> {
        Some(self.session(id)?.tx(now))
    }

    /// Says that the driver feeds this session no input for now: see [`WebSocket::pause`]. Over HTTP/2 its input comes
    /// between that of others, and is fed all the same: its peer is given no more credit, and stops when it has used up
    /// what it had.
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

    /// Ends the connection in good order, for a server that stops: no more requests are taken (GOAWAY, over HTTP/2),
    /// each session is closed with 1001, and what waits for the application's answer gets 503. Go on driving it until
    /// it is closed.
    pub fn shut_down(&mut self, now: Instant) {
        self.forget_head();
        match &mut self.phase {
            Phase::Open(websocket) => {
                websocket.tx(now).close(Close::With(CloseCode::GOING_AWAY, Reason::EMPTY));
            }
            Phase::Http2(http2) => http2.shut_down(now),
            Phase::Head(_) => self.phase = Phase::Answered(Box::new(Answered { since: now, ..Answered::default() })),
            Phase::Deciding { .. } => {
                self.phase.answer(&Response::unavailable(), false, now);
                self.phase.tell(News::Closed(unclean(Cause::Local)));
            }
            Phase::Answered(_) => {}
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

    /// As [`transmit`](Server::transmit), for targets without `std`.
    pub fn transmit_slices(&mut self) -> impl Iterator<Item = &[u8]> {
        // One of the two is there.
        let (queue, http2) = match &mut self.phase {
            Phase::Open(websocket) => (Some(websocket.queue()), None),
            Phase::Answered(answered) if !answered.overdue => (Some(&answered.queue), None),
            Phase::Http2(http2) => (None, http2.planned()),
            Phase::Head(_) | Phase::Deciding { .. } | Phase::Answered(_) => (None, None),
        };
        queue.into_iter().flat_map(Queue::slices).chain(http2.into_iter().flat_map(Connection::slices))
    }

    /// Appends all that is queued to `out` and counts it as transmitted: see [`WebSocket::take`].
    pub fn take(&mut self, out: &mut Vec<u8>, now: Instant) {
        self.forget_head();
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
        if self.head.capacity() > 0 {
            self.forget_head();
        }
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
            Phase::Head(_) | Phase::Deciding { .. } => {
                Earliest::NONE.or(self.opened + limits.open_timeout, Timer::Open).deadline()
            }
            Phase::Answered(answered) if answered.overdue => None,
            Phase::Answered(answered) if answered.queue.is_empty() => {
                let since = answered.waiting_since.max(answered.since);
                Earliest::NONE.or(since + limits.close_timeout, Timer::Close).deadline()
            }
            Phase::Answered(answered) => {
                Earliest::NONE.or(answered.waiting_since.after(limits.stall_timeout), Timer::Stall).deadline()
            }
        }
    }

    /// Acts on the deadlines that have come: see [`WebSocket::handle_timeout`].
    pub fn handle_timeout(&mut self, now: Instant) {
        self.forget_head();
        match &mut self.phase {
            Phase::Open(websocket) => return websocket.handle_timeout(now),
            Phase::Http2(http2) => return http2.handle_timeout(now, &self.config.limits),
            Phase::Head(_) | Phase::Deciding { .. } | Phase::Answered(_) => {}
        }
        while self.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            match &mut self.phase {
                Phase::Head(_) => {
                    self.phase.answer(&Response::refusing(RequestError::TimedOut), false, now);
                    self.phase.tell(News::Refused(RequestError::TimedOut));
                }
                Phase::Deciding { .. } => {
                    self.phase.answer(&Response::unavailable(), false, now);
                    self.phase.tell(News::Closed(unclean(Cause::Timeout(Timer::Open))));
                }
                Phase::Answered(answered) => answered.overdue = true,
                Phase::Open(_) | Phase::Http2(_) => {}
            }
        }
    }

    /// What to do with the transport: see [`WebSocket::transport`].
    pub fn transport(&self) -> Transport {
        match &self.phase {
            Phase::Head(_) | Phase::Deciding { .. } => Transport::Open,
            Phase::Open(websocket) => websocket.transport(),
            Phase::Http2(http2) => http2.transport(),
            Phase::Answered(answered) => match (answered.overdue, answered.queue.is_empty(), answered.eof) {
                (true, false, _) => Transport::Reset,
                (true, true, _) | (_, true, true) => Transport::Close,
                (_, true, false) => Transport::ShutdownWrite,
                (_, false, _) => Transport::Open,
            },
        }
    }

    /// Whether all is done and the transport can be dropped: see [`WebSocket::is_closed`].
    pub fn is_closed(&self) -> bool {
        match &self.phase {
            Phase::Head(_) | Phase::Deciding { .. } => false,
            Phase::Open(websocket) => websocket.is_closed(),
            Phase::Http2(http2) => http2.is_closed(),
            Phase::Answered(answered) => {
                answered.news.is_none() && matches!(self.transport(), Transport::Close | Transport::Reset)
            }
        }
    }

    /// Gives back all buffers that hold nothing now.
    pub fn release(&mut self) {
        match &mut self.phase {
            Phase::Open(websocket) => websocket.release(),
            Phase::Http2(http2) => http2.release(),
            Phase::Head(_) | Phase::Deciding { .. } | Phase::Answered(_) => {}
        }
    }

    /// A head that is decided on is of no more use.
    fn forget_head(&mut self) {
        if self.head.capacity() > 0 && matches!(self.phase, Phase::Open(_) | Phase::Answered(_) | Phase::Http2(_)) {
            self.head = Vec::new();
        }
    }

    #[inline]
    fn session(&mut self, id: SessionId) -> Option<&mut WebSocket> {
        match &mut self.phase {
            Phase::Open(websocket) => (id == SessionId::HTTP1).then_some(websocket),
            other => other.http2_session(id),
        }
    }

    /// Judges the head that `taken` ends, and lends what came of it.
    fn decide<'s>(&'s mut self, taken: &'s [u8], now: Instant) -> ServerEvent<'s> {
        let Server { config, phase, head: kept, .. } = self;
        let (bytes, keep) = if kept.is_empty() {
            (taken, Some((kept, taken)))
        } else {
            kept.extend_from_slice(taken);
            (&kept[..], None)
        };
        let (to_head, classified) = head::request(bytes, config);
        match classified {
            Classified::WebSocket(request) => {
                let request = Box::new(request);
                *phase = Phase::Deciding { for_websocket: true };
                ServerEvent::Offer(Offer {
                    request,
                    decision: Decision { config, target: Target::Http1 { phase, keep }, now },
                })
            }
            Classified::Plain(head) => {
                *phase = Phase::Deciding { for_websocket: false };
                ServerEvent::Request(PlainRequest {
                    head: Box::new(head),
                    decision: Decision { config, target: Target::Http1 { phase, keep }, now },
                })
            }
            //= rfc6455 4.2.1 MUST 1: a bad request gets its error, and nothing after it is read
            Classified::Refused(error) => {
                phase.answer(&Response::refusing(error), to_head, now);
                ServerEvent::Refused(error)
            }
        }
    }

    fn deferred(&mut self, id: SessionId, now: Instant) -> Option<(Classified<'_>, Decision<'_>)> {
        let Server { config, phase, head, .. } = self;
        if let Phase::Http2(_) = phase {
            let Phase::Http2(http2) = phase else { return None };
            return http2.deferred(id.0, config, now);
        }
        if id != SessionId::HTTP1 || !matches!(phase, Phase::Deciding { .. }) {
            return None;
        }
        let (_, classified) = head::request(head, config);
        Some((classified, Decision { config, target: Target::Http1 { phase, keep: None }, now }))
    }

    fn refuse(&mut self, error: RequestError, now: Instant) -> ServerEvent<'_> {
        self.phase.answer(&Response::refusing(error), false, now);
        ServerEvent::Refused(error)
    }

    /// The peer left before it had an answer.
    fn give_up(&mut self, cause: Option<Cause>, now: Instant) {
        let news = cause.map(|cause| News::Closed(unclean(cause)));
        self.phase = Phase::Answered(Box::new(Answered { eof: true, news, since: now, ..Answered::default() }));
    }
}

// What a connection does that is not an open one of HTTP/1.1. Apart, so that the usual one does it in a few steps.
impl Phase {
    #[cfg(feature = "std")]
    #[inline(never)]
    fn transmit<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        match self {
            Phase::Open(websocket) => websocket.transmit(out),
            Phase::Answered(answered) if !answered.overdue => answered.queue.fill(out),
            Phase::Http2(http2) => http2.fill(out),
            Phase::Head(_) | Phase::Deciding { .. } | Phase::Answered(_) => 0,
        }
    }

    #[inline(never)]
    fn has_output(&self) -> bool {
        match self {
            Phase::Open(websocket) => websocket.has_output(),
            Phase::Answered(answered) => !answered.overdue && !answered.queue.is_empty(),
            Phase::Head(_) | Phase::Deciding { .. } => false,
            Phase::Http2(http2) => http2.has_output(),
        }
    }

    #[inline(never)]
    fn transmitted(&mut self, count: usize, now: Instant) {
        match self {
            Phase::Open(websocket) => websocket.transmitted(count, now),
            Phase::Answered(answered) => {
                if answered.queue.acknowledge(count) > 0 {
                    answered.waiting_since = now;
                }
            }
            Phase::Head(_) | Phase::Deciding { .. } => {}
            Phase::Http2(http2) => http2.transmitted(count, now),
        }
    }

    #[inline(never)]
    fn http2_session(&mut self, id: SessionId) -> Option<&mut WebSocket> {
        match self {
            Phase::Http2(http2) => http2.session(id.0),
            _ => None,
        }
    }

    /// Queues a response, which is the last thing that this connection carries.
    //= rfc6455 7.2.2 MUST 1: a server that ends the handshake closes the connection
    fn answer(&mut self, response: &Response, to_head: bool, now: Instant) {
        let mut answered = Box::new(Answered { since: now, waiting_since: now, ..Answered::default() });
        let mut has_body = false;
        answered.queue.write(0, |out| has_body = write::response(response, to_head, out));
        if has_body {
            answered.queue.insert(response.content());
        }
        *self = Phase::Answered(answered);
    }

    fn tell(&mut self, news: News) {
        if let Phase::Answered(answered) = self {
            answered.news = Some(news);
        }
    }
}

impl<'s> Offer<'s> {
    /// Accepts: the 101 is queued, and bytes that follow the head in the same read are frames.
    //= rfc6455 4.2.2 MUST 1: an offer that passed every check is answered
    pub fn accept(mut self, accept: Accept<'_>) -> SessionId {
        let config = accept.config.as_ref().unwrap_or(self.decision.config);
        let now = self.decision.now;
        match &mut self.decision.target {
            Target::Http1 { phase, .. } => {
                let (head, agreed) = write::upgrade(&self.request, &accept);
                **phase = Phase::Open(WebSocket::server(&agreed, Arc::clone(config), now));
                // Not before it is in its place: it would be moved there.
                if let Phase::Open(websocket) = phase {
                    websocket.begin_with(head, now);
                }
            }
            Target::Http2 { connection, stream, .. } => {
                let (response, agreed) = self.request.answer(&accept);
                let websocket = WebSocket::server(&agreed, Arc::clone(config), now).carried();
                connection.respond(*stream, &response, None);
                if let Some(exchange) = connection.session(*stream) {
                    *exchange = Exchange::Open(websocket);
                }
                connection.touch(*stream);
            }
        }
        self.id()
    }

    /// Rejects, with any response.
    pub fn reject(mut self, response: &Response) {
        self.decision.answer(response, false);
    }

    /// Leaves the offer unanswered for now: [`Server::offer`] lends it again.
    pub fn defer(self) -> SessionId {
        self.id()
    }

    /// What [`Server::offer`] knows it by, and its session if it is accepted.
    pub fn id(&self) -> SessionId {
        self.decision.id()
    }
}

impl<'s> Deref for Offer<'s> {
    type Target = Request<'s>;

    fn deref(&self) -> &Request<'s> {
        &self.request
    }
}

impl<'s> PlainRequest<'s> {
    /// Answers, with any response; without its body if the request is a HEAD.
    pub fn respond(mut self, response: &Response) {
        self.decision.answer(response, self.head.method() == "HEAD");
    }

    /// Leaves the request unanswered for now: [`Server::request`] lends it again.
    pub fn defer(self) -> SessionId {
        self.id()
    }

    /// What [`Server::request`] knows it by.
    pub fn id(&self) -> SessionId {
        self.decision.id()
    }
}

impl<'s> Deref for PlainRequest<'s> {
    type Target = RequestHead<'s>;

    fn deref(&self) -> &RequestHead<'s> {
        &self.head
    }
}

impl Decision<'_> {
    fn id(&self) -> SessionId {
        match self.target {
            Target::Http1 { .. } => SessionId::HTTP1,
            Target::Http2 { stream, .. } => SessionId(stream),
        }
    }

    fn answer(&mut self, response: &Response, to_head: bool) {
        match &mut self.target {
            Target::Http1 { phase, .. } => phase.answer(response, to_head, self.now),
            Target::Http2 { connection, stream, .. } => http2::answer(connection, *stream, response, to_head, self.now),
        }
    }
}

impl Drop for Decision<'_> {
    fn drop(&mut self) {
        match &mut self.target {
            Target::Http1 { phase: Phase::Deciding { .. }, keep: Some((kept, head)) } => kept.extend_from_slice(head),
            Target::Http1 { .. } => {}
            Target::Http2 { connection, stream, head } => {
                if let Some(exchange) = connection.session(*stream) {
                    exchange.keep(head);
                }
            }
        }
    }
}

fn unclean(cause: Cause) -> Closed {
    Closed { code: None, clean: false, cause }
}
