//! How do the streams of an HTTP/2 connection become sessions? (RFC 8441 §4, §5; RFC 9113 §8)
//!
//! As a connection of HTTP/1.1 does, but each on its own: a head is an offer or a request, and what is decided on it is a
//! session or a response. END_STREAM is the end of the file, a reset is a reset. What a session has to tell that no byte caused
//! is asked of those alone that something happened to.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::{Decision, News, Offer, PlainRequest, ServerEvent, SessionId, Target, unclean};
use crate::config::Config;
use crate::error::RequestError;
use crate::event::Cause;
use crate::handshake::{Classified, HttpVersion, RequestHead, Response};
use crate::http2::{Arrived, Asks, Carried, Connection, Ending, Fault, Head, Http2Error, Role};
use crate::queue::Queue;
use crate::time::{Earliest, Instant, Timer};
use crate::websocket::{Found, Transport, WebSocket};

/// A connection over HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) connection: Connection<Exchange>,
    /// The head that arrived last, or that is lent again.
    head: Head,
    /// Streams whose sessions may have something to tell that no byte caused.
    news: VecDeque<u32>,
    pub(super) eof: bool,
}

/// What one stream carries.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of a stream's life is Open, which is not to cost a box")]
pub(super) enum Exchange {
    /// The application has the offer or the request; its head, while nobody is lent it.
    Deciding {
        config: Arc<Config>,
        head: Option<Box<Head>>,
        since: Instant,
    },
    Open(WebSocket),
    Answered(Box<Answered>),
}

/// A stream that carries a response, or that ended before it had one.
#[derive(Debug)]
pub(super) struct Answered {
    config: Arc<Config>,
    queue: Queue,
    news: Option<News>,
    waiting_since: Instant,
    is_reset: bool,
}

/// What a session has to tell.
enum Told {
    Session(Found),
    News(News),
}

/// What a call of `receive` comes to.
enum Step {
    Head { stream: u32, end: bool },
    Told(u32, Told),
    Failed(Http2Error),
}

impl Http2 {
    pub(super) fn new(config: Arc<Config>, now: Instant) -> Http2 {
        Http2 {
            connection: Connection::new(Role::Server, config, now),
            head: Head::default(),
            news: VecDeque::new(),
            eof: false,
        }
    }

    pub(super) fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        config: &'s Arc<Config>,
        now: Instant,
    ) -> Option<ServerEvent<'s>> {
        let (taken, step) = self.step(input, now)?;
        Some(match step {
            Step::Head { stream, end } => return self.decide(stream, end, config, now),
            Step::Failed(error) => ServerEvent::Failed(error),
            Step::Told(stream, Told::News(News::Refused(error))) => {
                _ = stream;
                ServerEvent::Refused(error)
            }
            Step::Told(stream, Told::News(News::Closed(closed))) => ServerEvent::Closed(SessionId(stream), closed),
            Step::Told(stream, Told::Session(found)) => match self.connection.session(stream)? {
                Exchange::Open(websocket) => ServerEvent::Session(SessionId(stream), websocket.lend(taken, found)),
                Exchange::Deciding { .. } | Exchange::Answered(_) => return None,
            },
        })
    }

    fn step<'i>(&mut self, input: &mut &'i mut [u8], now: Instant) -> Option<(&'i mut [u8], Step)> {
        loop {
            while let Some(stream) = self.news.pop_front() {
                self.connection.touch(stream);
                if let Some(exchange) = self.connection.session(stream)
                    && let (_, Some(told)) = exchange.receive(&mut [], now)
                {
                    // There may be more of it.
                    self.news.push_front(stream);
                    return Some((&mut [], Step::Told(stream, told)));
                }
            }
            self.connection.settle();
            let (consumed, arrived) = self.connection.receive(input, &mut self.head, now);
            let taken = take(input, consumed);
            match arrived {
                None => return None,
                Some(Arrived::Data { stream, length }) => {
                    let there = input.len().min(length);
                    self.connection.touch(stream);
                    let payload = input.get_mut(..there).unwrap_or_default();
                    let (consumed, told) = match self.connection.session(stream) {
                        Some(exchange) => exchange.receive(payload, now),
                        None => (there, None),
                    };
                    self.connection.took(consumed);
                    let taken = take(input, consumed);
                    if let Some(told) = told {
                        return Some((taken, Step::Told(stream, told)));
                    }
                }
                Some(Arrived::Head { stream, end }) => return Some((taken, Step::Head { stream, end })),
                Some(Arrived::End(stream)) => {
                    if let Some(Exchange::Open(websocket)) = self.connection.session(stream) {
                        websocket.receive_eof(now);
                    }
                    self.news.push_back(stream);
                }
                Some(Arrived::Reset(stream, _)) => self.lost(stream, Cause::Reset, now),
                Some(Arrived::Settings | Arrived::GoAway(_)) => {}
                Some(Arrived::Failed(error)) => {
                    self.end(Cause::Fault, now);
                    return Some((taken, Step::Failed(error)));
                }
            }
        }
    }

    /// Judges the head that has just arrived, and lends what came of it.
    fn decide<'s>(
        &'s mut self,
        stream: u32,
        end: bool,
        config: &'s Arc<Config>,
        now: Instant,
    ) -> Option<ServerEvent<'s>> {
        let Http2 { connection, head, .. } = self;
        connection.accept(stream, end, Exchange::deciding(config, now));
        let refused = match (head.fault(), head.asks()) {
            (Some(Fault::TooManyFields), _) => RequestError::TooManyFields,
            (Some(_), _) => RequestError::HeadTooLarge,
            (None, None) => {
                connection.malformed(stream, now);
                return None;
            }
            (None, Some(Asks::Tunnel)) => RequestError::NotImplemented,
            (None, Some(Asks::Protocol { protocol, .. })) if !protocol.eq_ignore_ascii_case("websocket") => {
                RequestError::NotImplemented
            }
            // A tunnel that its client has closed already.
            (None, Some(Asks::Protocol { .. })) if end => RequestError::Malformed,
            (None, Some(_)) => match request(head)?.classify(config) {
                Classified::Refused(error) => error,
                Classified::WebSocket(request) => {
                    let target = Target::Http2 { connection, stream, head };
                    let decision = Decision { config, target, now };
                    return Some(ServerEvent::Offer(Offer { request, decision }));
                }
                Classified::Plain(plain) => {
                    let target = Target::Http2 { connection, stream, head };
                    let decision = Decision { config, target, now };
                    return Some(ServerEvent::Request(PlainRequest { head: plain, decision }));
                }
            },
        };
        answer(connection, stream, &Response::refusing(refused), false, now);
        Some(ServerEvent::Refused(refused))
    }

    /// Lends a head again that nobody has decided on.
    pub(super) fn deferred<'s>(
        &'s mut self,
        stream: u32,
        config: &'s Arc<Config>,
        now: Instant,
    ) -> Option<(Classified<'s>, Decision<'s>)> {
        let Http2 { connection, head, .. } = self;
        match connection.session(stream)? {
            Exchange::Deciding { head: kept, .. } => *head = *kept.take()?,
            Exchange::Open(_) | Exchange::Answered(_) => return None,
        }
        let classified = request(head)?.classify(config);
        Some((classified, Decision { config, target: Target::Http2 { connection, stream, head }, now }))
    }

    pub(super) fn session(&mut self, stream: u32) -> Option<&mut WebSocket> {
        self.connection.touch(stream);
        match self.connection.session(stream)? {
            Exchange::Open(websocket) => Some(websocket),
            Exchange::Deciding { .. } | Exchange::Answered(_) => None,
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        let Http2 { connection, news, .. } = self;
        connection.handle_timeout(now, |stream| news.push_back(stream));
    }

    pub(super) fn has_output(&self) -> bool {
        self.connection.has_output()
    }

    /// The connection with all planned that goes next.
    pub(super) fn planned(&mut self) -> &Connection<Exchange> {
        self.connection.settle();
        self.connection.plan();
        &self.connection
    }

    #[cfg(feature = "std")]
    pub(super) fn fill<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        let slices = self.planned().slices();
        out.iter_mut().zip(slices).map(|(slot, slice)| *slot = std::io::IoSlice::new(slice)).count()
    }

    pub(super) fn transport(&self) -> Transport {
        match (self.connection.has_failed() || self.eof, self.connection.has_output()) {
            (true, false) if self.eof => Transport::Close,
            (true, false) => Transport::ShutdownWrite,
            _ => Transport::Open,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.eof && self.news.is_empty() && self.connection.ids().is_empty() && !self.connection.has_output()
    }

    /// The transport brings no more, or is gone.
    pub(super) fn end(&mut self, cause: Cause, now: Instant) {
        self.eof = true;
        for stream in self.connection.ids() {
            self.lost(stream, cause, now);
        }
    }

    fn lost(&mut self, stream: u32, cause: Cause, now: Instant) {
        match self.connection.session(stream) {
            Some(Exchange::Open(websocket)) if cause == Cause::Eof => websocket.receive_eof(now),
            Some(Exchange::Open(websocket)) => websocket.receive_reset(now),
            Some(exchange) => exchange.end(cause, now),
            None => {}
        }
        self.connection.touch(stream);
        self.news.push_back(stream);
    }
}

/// Answers a stream, with any response.
pub(super) fn answer(
    connection: &mut Connection<Exchange>,
    stream: u32,
    response: &Response,
    to_head: bool,
    now: Instant,
) {
    let has_content = !to_head && !matches!(response.status(), 204 | 304);
    let length = (!matches!(response.status(), 204 | 304)).then(|| response.content().len());
    connection.respond(stream, response, length);
    if let Some(exchange) = connection.session(stream) {
        let mut queue = Queue::default();
        if has_content {
            queue.insert(response.content());
        }
        let config = exchange.config();
        let answered = Answered { config, queue, news: None, waiting_since: now, is_reset: false };
        *exchange = Exchange::Answered(Box::new(answered));
    }
    connection.touch(stream);
}

impl Exchange {
    fn deciding(config: &Arc<Config>, now: Instant) -> Exchange {
        Exchange::Deciding { config: Arc::clone(config), head: None, since: now }
    }

    fn config(&self) -> Arc<Config> {
        match self {
            Exchange::Deciding { config, .. } => Arc::clone(config),
            Exchange::Answered(answered) => Arc::clone(&answered.config),
            Exchange::Open(websocket) => Arc::clone(websocket.config()),
        }
    }

    fn receive(&mut self, input: &mut [u8], now: Instant) -> (usize, Option<Told>) {
        match self {
            Exchange::Open(websocket) => {
                let (consumed, found) = websocket.locate(input, now);
                (consumed, found.map(Told::Session))
            }
            Exchange::Answered(answered) => (input.len(), answered.news.take().map(Told::News)),
            Exchange::Deciding { .. } => (input.len(), None),
        }
    }

    /// Keeps the head that nobody decided on, to lend it again.
    pub(super) fn keep(&mut self, lent: &Head) {
        if let Exchange::Deciding { head, .. } = self {
            *head = Some(Box::new(lent.clone()));
        }
    }

    /// Ends without an answer.
    fn end(&mut self, cause: Cause, now: Instant) {
        if let Exchange::Deciding { config, .. } = self {
            let (config, queue) = (Arc::clone(config), Queue::default());
            let news = Some(News::Closed(unclean(cause)));
            *self = Exchange::Answered(Box::new(Answered { config, queue, news, waiting_since: now, is_reset: true }));
        }
    }
}

impl Carried for Exchange {
    fn queue(&self) -> Option<&Queue> {
        match self {
            Exchange::Open(websocket) => Some(websocket.queued()),
            Exchange::Answered(answered) => Some(&answered.queue),
            Exchange::Deciding { .. } => None,
        }
    }

    fn prepare(&mut self) -> Option<&mut Queue> {
        match self {
            Exchange::Open(websocket) => Some(websocket.queue_mut()),
            Exchange::Answered(answered) => Some(&mut answered.queue),
            Exchange::Deciding { .. } => None,
        }
    }

    fn transmitted(&mut self, count: usize, now: Instant) {
        match self {
            Exchange::Open(websocket) => websocket.transmitted(count, now),
            Exchange::Answered(answered) => {
                answered.queue.acknowledge(count);
                answered.waiting_since = now;
            }
            Exchange::Deciding { .. } => {}
        }
    }

    fn ending(&self) -> Ending {
        match self {
            Exchange::Open(websocket) => match websocket.transport() {
                Transport::Open => Ending::Open,
                Transport::ShutdownWrite => Ending::End,
                Transport::Close => Ending::Close,
                Transport::Reset => Ending::Reset,
            },
            Exchange::Answered(answered) if answered.is_reset => Ending::Reset,
            Exchange::Answered(answered) if answered.queue.is_empty() => Ending::Done,
            Exchange::Answered(_) | Exchange::Deciding { .. } => Ending::Open,
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Exchange::Open(websocket) => websocket.is_closed(),
            Exchange::Answered(answered) => answered.news.is_none() && (answered.queue.is_empty() || answered.is_reset),
            Exchange::Deciding { .. } => false,
        }
    }

    fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        match self {
            Exchange::Open(websocket) => websocket.poll_timeout(),
            Exchange::Deciding { config, since, .. } => {
                Earliest::NONE.or(*since + config.limits.open_timeout, Timer::Open).deadline()
            }
            Exchange::Answered(answered) if answered.is_reset || answered.queue.is_empty() => None,
            Exchange::Answered(answered) => {
                let stalled = answered.waiting_since.after(answered.config.limits.stall_timeout);
                Earliest::NONE.or(stalled, Timer::Stall).deadline()
            }
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Exchange::Open(websocket) => websocket.handle_timeout(now),
            Exchange::Deciding { .. } => self.end(Cause::Timeout(Timer::Open), now),
            Exchange::Answered(answered) => answered.is_reset = true,
        }
    }
}

fn request(head: &Head) -> Option<RequestHead<'_>> {
    let (method, path, protocol) = match head.asks()? {
        Asks::Resource { method, path } => (method, path, None),
        Asks::Protocol { protocol, path } => ("CONNECT", path, Some(protocol)),
        Asks::Tunnel => return None,
    };
    Some(RequestHead::new(method, path, HttpVersion::Http2, head.fields()).with_pseudo(head.authority(), protocol))
}

/// Takes bytes off the front.
fn take<'i>(input: &mut &'i mut [u8], count: usize) -> &'i mut [u8] {
    let (taken, rest) = core::mem::take(input).split_at_mut_checked(count).unwrap_or_default();
    *input = rest;
    taken
}
