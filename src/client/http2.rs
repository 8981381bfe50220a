//! How does a client open sessions over HTTP/2? (RFC 8441 §4, §5; RFC 9113 §8)
//!
//! Each is a stream that begins with an extended CONNECT, as soon as the server's settings allow that; until they have come,
//! what was asked for waits. A response of 2xx opens the session. Another one is the caller's to handle, with its body; where
//! the server does not speak WebSocket over HTTP/2 the session fails, and the caller can try HTTP/1.1.

use alloc::boxed::Box;
use alloc::collections::{BTreeSet, VecDeque};
use alloc::sync::Arc;

use super::{ClientEvent, OpenError, Opened};
use crate::config::{Config, Limits};
use crate::entropy::Keys;
use crate::error::{CloseCode, ResponseError};
use crate::event::{Cause, Closed};
use crate::handshake::{Asked, Connect, HttpVersion, ResponseHead};
use crate::http2::{Arrived, Carried, Connection, Ending, ErrorCode, Head, Http2Error, Role};
use crate::queue::Queue;
use crate::server::SessionId;
use crate::time::{Earliest, Instant, Timer};
use crate::websocket::{Close, Found, Reason, Transport, WebSocket};

/// A connection over HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) connection: Connection<Exchange>,
    head: Head,
    keys: Keys,
    /// Streams that wait for the server's settings, which may then allow fewer at once than were asked for.
    waiting: VecDeque<u32>,
    /// Streams whose sessions may have something to tell that no byte caused.
    news: BTreeSet<u32>,
    /// What the application has yet to be told before that.
    failed: Option<Http2Error>,
    eof: bool,
    /// Since when nothing is left to do but to write what is queued.
    over_since: Instant,
}

/// What one stream carries.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "nearly all of a stream's life is Open, which is not to cost a box")]
pub(super) enum Exchange {
    Opening(Box<Opening>),
    Open(WebSocket),
    Ended(Box<Ended>),
}

#[derive(Debug)]
pub(super) struct Opening {
    config: Arc<Config>,
    asked: Asked,
    since: Instant,
}

/// A stream that did not become a session: its body follows, if it has one.
#[derive(Debug)]
pub(super) struct Ended {
    config: Arc<Config>,
    /// What the body may still take, and what it must, if that was said.
    allowed: u64,
    expected: Option<u64>,
    body: bool,
    failed: Option<ResponseError>,
    closed: Option<Closed>,
    since: Instant,
}

/// What a session has to tell.
enum Told {
    Session(Found),
    Body(usize),
    Failed(ResponseError),
    Closed(Closed),
}

/// What a call of `receive` comes to.
enum Step {
    Head { stream: u32, end: bool },
    Told(u32, Told),
    Failed(Http2Error),
}

impl Http2 {
    pub(super) fn new(config: Arc<Config>, keys: Keys, now: Instant) -> Http2 {
        Http2 {
            connection: Connection::new(Role::Client, config, now),
            head: Head::default(),
            keys,
            waiting: VecDeque::new(),
            news: BTreeSet::new(),
            failed: None,
            eof: false,
            over_since: Instant::NEVER,
        }
    }

    pub(super) fn open(
        &mut self,
        connect: &Connect,
        config: &Arc<Config>,
        now: Instant,
    ) -> Result<SessionId, OpenError> {
        if self.eof {
            return Err(OpenError::Full);
        }
        let asked = connect.ask_extended(config);
        let opening = Opening { config: Arc::clone(config), asked, since: now };
        let stream = self.connection.open(Exchange::Opening(Box::new(opening))).ok_or(OpenError::Full)?;
        // Where the server allows none, those that gave up would be kept for ever.
        if self.waiting.len() > 2 * self.connection.unasked() + 16 {
            let Http2 { connection, waiting, .. } = self;
            waiting.retain(|stream| connection.session(*stream).is_some());
        }
        self.waiting.push_back(stream);
        // It has a deadline from now on.
        self.connection.touch(stream);
        self.ask(now);
        Ok(SessionId(stream))
    }

    /// Sends what waits, if the server's settings have come; fails it if they do not allow it.
    fn ask(&mut self, now: Instant) {
        //= rfc8441 3 MAY 1: once the setting is 1, a client can open streams by an extended CONNECT
        //= rfc9113 5.5 MUST 4: an extension is agreed on first: the extended CONNECT waits for the setting
        let Some(is_allowed) = self.connection.allows_connect_protocol() else { return };
        let has_gone_away = self.connection.has_gone_away();
        while (!is_allowed || has_gone_away || self.connection.has_room())
            && let Some(stream) = self.waiting.pop_front()
        {
            //= rfc9113 6.8 MUST NOT 1: no stream is opened behind a GOAWAY
            if has_gone_away {
                self.connection.unopened(stream);
                self.lost(stream, Cause::Reset, now);
            } else if is_allowed {
                self.connection.request(stream, |exchange| match exchange {
                    Exchange::Opening(opening) => Some(&opening.asked),
                    Exchange::Open(_) | Exchange::Ended(_) => None,
                });
            } else {
                self.connection.unopened(stream);
                if let Some(exchange) = self.connection.session(stream) {
                    exchange.fail(ResponseError::NoConnectProtocol, Cause::Fault, now);
                }
            }
            self.connection.touch(stream);
            self.news.insert(stream);
        }
    }

    pub(super) fn receive<'s, 'i: 's>(&'s mut self, input: &mut &'i mut [u8], now: Instant) -> Option<ClientEvent<'s>> {
        let (taken, step) = self.step(input, now)?;
        Some(match step {
            Step::Head { stream, end } => return self.judge(stream, end, now),
            Step::Failed(error) => ClientEvent::ConnectionFailed(error),
            Step::Told(stream, told) => {
                let id = SessionId(stream);
                match told {
                    Told::Session(found) => match self.connection.session(stream)? {
                        Exchange::Open(websocket) => ClientEvent::Session(id, websocket.lend(taken, found)),
                        Exchange::Opening(_) | Exchange::Ended(_) => return None,
                    },
                    Told::Body(length) => ClientEvent::Body(id, taken.get(..length).unwrap_or_default()),
                    Told::Failed(error) => ClientEvent::Failed(id, error),
                    Told::Closed(closed) => ClientEvent::Closed(id, closed),
                }
            }
        })
    }

    fn step<'i>(&mut self, input: &mut &'i mut [u8], now: Instant) -> Option<(&'i mut [u8], Step)> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some((&mut [], Step::Failed(error)));
            }
            self.settle(now);
            if let Some(stream) = self.news.pop_first() {
                self.connection.touch(stream);
                if let Some(exchange) = self.connection.session(stream)
                    && let (_, Some(told)) = exchange.receive(&mut [], now)
                {
                    // There may be more of it.
                    self.news.insert(stream);
                    return Some((&mut [], Step::Told(stream, told)));
                }
                continue;
            }
            let (consumed, arrived) = self.connection.receive(input, &mut self.head, now);
            let taken = take(input, consumed);
            match arrived {
                None => {
                    self.settle(now);
                    if self.news.is_empty() {
                        return None;
                    }
                }
                Some(Arrived::Data { stream, length }) => {
                    let there = input.len().min(length);
                    let payload = input.get_mut(..there).unwrap_or_default();
                    let mut has_more = false;
                    let (consumed, told) = match self.connection.arrival(stream) {
                        Some((exchange, is_held)) => {
                            let found = exchange.receive(payload, now);
                            // What was under way when its credit was held back says nothing of the peer.
                            if let Exchange::Open(websocket) = exchange
                                && is_held
                            {
                                websocket.pause(now);
                            }
                            has_more = matches!(exchange, Exchange::Open(websocket) if websocket.has_more());
                            found
                        }
                        None => (there, None),
                    };
                    self.connection.took(consumed);
                    let taken = take(input, consumed);
                    if let Some(told) = told {
                        if consumed == there && has_more {
                            self.news.insert(stream);
                        }
                        return Some((taken, Step::Told(stream, told)));
                    }
                }
                Some(Arrived::Head { stream, end }) => return Some((taken, Step::Head { stream, end })),
                Some(Arrived::End(stream)) => {
                    match self.connection.session(stream) {
                        Some(Exchange::Open(websocket)) => websocket.receive_eof(now),
                        Some(Exchange::Ended(ended)) => ended.end(),
                        Some(Exchange::Opening(_)) | None => {}
                    }
                    self.connection.touch(stream);
                    self.news.insert(stream);
                }
                Some(Arrived::Reset(stream)) => self.lost(stream, Cause::Reset, now),
                Some(Arrived::Broken(stream)) => {
                    if let Some(exchange) = self.connection.session(stream) {
                        exchange.fail(ResponseError::Malformed, Cause::Fault, now);
                    }
                    self.lost(stream, Cause::Fault, now);
                }
                Some(Arrived::Settings) => self.ask(now),
                Some(Arrived::GoAway(last)) => {
                    // What the server has not acted on never will be.
                    for stream in self.connection.above(last) {
                        self.connection.unopened(stream);
                        self.lost(stream, Cause::Reset, now);
                    }
                }
                Some(Arrived::Failed(error)) => self.fail(error, now),
            }
        }
    }

    /// Judges the head of a response that has just arrived.
    fn judge<'s>(&'s mut self, stream: u32, end: bool, now: Instant) -> Option<ClientEvent<'s>> {
        let Http2 { connection, head, keys, news, .. } = self;
        let id = SessionId(stream);
        let status = head.status()?;
        let response = ResponseHead::new(status, "", HttpVersion::Http2, head.fields());
        connection.touch(stream);
        let Exchange::Opening(opening) = connection.session(stream)? else { return None };
        let config = Arc::clone(&opening.config);
        let agreed = match opening.asked.check_extended(&response) {
            // A tunnel that its server has closed already.
            Ok(_) if end => Err(ResponseError::Malformed),
            agreed => agreed,
        };
        if !(200..=299).contains(&status) {
            let closed = Some(Closed { code: None, clean: false, cause: Cause::Refused });
            let allowed = config.limits.body;
            let expected = content_length(&response);
            let mut ended = Ended { config, allowed, expected, body: !end, failed: None, closed, since: now };
            if end {
                ended.end();
            }
            *connection.session(stream)? = Exchange::Ended(Box::new(ended));
            news.insert(stream);
            return Some(ClientEvent::Refused(id, Box::new(response)));
        }
        match agreed {
            Ok(agreed) => {
                let exchange = connection.session(stream)?;
                *exchange = Exchange::Open(WebSocket::with_keys(&agreed, config, keys.another(), now));
                let Exchange::Open(websocket) = exchange else { return None };
                Some(ClientEvent::Open(Box::new(Opened { id, response, agreed, tx: websocket.tx(now) })))
            }
            Err(error) => {
                *connection.session(stream)? = Exchange::over(config, None, Cause::Fault, now);
                news.insert(stream);
                Some(ClientEvent::Failed(id, error))
            }
        }
    }

    pub(super) fn session(&mut self, stream: u32) -> Option<&mut WebSocket> {
        if self.connection.is_crowded() {
            let Http2 { connection, news, .. } = self;
            connection.settle_with(|stream| _ = news.insert(stream));
        }
        self.connection.touch(stream);
        match self.connection.session(stream)? {
            Exchange::Open(websocket) => Some(websocket),
            Exchange::Opening(_) | Exchange::Ended(_) => None,
        }
    }

    /// Holds back what a session's peer may send, since nobody listens.
    pub(super) fn pause(&mut self, stream: u32, now: Instant) {
        if let Some(session) = self.session(stream) {
            session.pause(now);
            self.connection.hold(stream, true);
        }
        // What waits to be looked after counts as output, and a driver pauses and resumes by that.
        self.settle(now);
    }

    pub(super) fn resume(&mut self, stream: u32, now: Instant) {
        if let Some(session) = self.session(stream) {
            session.resume(now);
            self.connection.hold(stream, false);
        }
        self.settle(now);
    }

    /// Takes no more sessions, and ends those that are there: see [`Client::shut_down`](super::Client::shut_down).
    pub(super) fn shut_down(&mut self, now: Instant) {
        self.connection.drain();
        self.waiting.clear();
        for stream in self.connection.ids() {
            match self.connection.session(stream) {
                Some(Exchange::Open(websocket)) => {
                    websocket.tx(now).close(Close::With(CloseCode::GOING_AWAY, Reason::EMPTY));
                    self.connection.touch(stream);
                }
                Some(Exchange::Opening(_)) => self.lost(stream, Cause::Local, now),
                Some(Exchange::Ended(_)) | None => {}
            }
        }
        self.settle(now);
    }

    pub(super) fn poll_timeout(&self, limits: &Limits) -> Option<(Instant, Timer)> {
        let mut earliest = Earliest::NONE.or(self.connection.release_at(), Timer::Release);
        if let Some((at, timer)) = self.connection.poll_timeout() {
            earliest = earliest.or(at, timer);
        }
        if let Some(since) = self.block_since() {
            earliest = earliest.or(since + limits.open_timeout, Timer::Open);
        }
        if self.over_since < Instant::NEVER {
            earliest = earliest.or(self.over_since + limits.close_timeout, Timer::Close);
        }
        earliest.deadline()
    }

    /// Since when a head is coming in. What was cut off by the end of the file is late for nothing.
    fn block_since(&self) -> Option<Instant> {
        if self.eof { None } else { self.connection.block_since() }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, limits: &Limits) {
        let Http2 { connection, news, .. } = self;
        connection.handle_timeout(now, |stream| _ = news.insert(stream));
        if self.block_since().is_some_and(|since| since + limits.open_timeout <= now) {
            self.fail(Http2Error::HeadTimeout, now);
        }
        if self.over_since < Instant::NEVER && self.over_since + limits.close_timeout <= now {
            self.drop_output(now);
        }
        self.settle(now);
        if self.connection.release_if_quiet() {
            self.head = Head::default();
        }
    }

    pub(super) fn transmitted(&mut self, count: usize, now: Instant) {
        self.connection.transmitted(count, now);
        self.settle(now);
    }

    /// Gives back all buffers that hold nothing now.
    pub(super) fn release(&mut self) {
        for exchange in self.connection.sessions() {
            if let Exchange::Open(websocket) = exchange {
                websocket.release();
            }
        }
        self.connection.release();
        self.head = Head::default();
    }

    /// The connection with all planned that goes next.
    pub(super) fn planned(&mut self) -> &Connection<Exchange> {
        let Http2 { connection, news, .. } = self;
        connection.settle_with(|stream| _ = news.insert(stream));
        self.say_goodbye();
        self.connection.plan();
        &self.connection
    }

    #[cfg(feature = "std")]
    pub(super) fn fill<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        let slices = self.planned().slices();
        out.iter_mut().zip(slices).map(|(slot, slice)| *slot = std::io::IoSlice::new(slice)).count()
    }

    pub(super) fn transport(&self) -> Transport {
        if self.is_over() && !self.connection.has_output() { Transport::Close } else { Transport::Open }
    }

    pub(super) fn is_closed(&self) -> bool {
        let is_told = self.failed.is_none() && self.news.is_empty() && self.connection.has_no_streams();
        is_told && self.transport() == Transport::Close
    }

    /// Whether nothing is left to do but to write what is queued.
    fn is_over(&self) -> bool {
        self.eof || (self.connection.has_said_goodbye() && self.connection.has_no_streams())
    }

    /// Says GOAWAY behind the last stream. The server has no use for it before, and some take it for the end of everything.
    fn say_goodbye(&mut self) {
        let is_done = self.connection.is_draining() && self.connection.has_no_streams() && !self.eof;
        if is_done && !self.connection.has_said_goodbye() {
            self.connection.go_away(ErrorCode::NO_ERROR);
        }
    }

    /// The connection has failed, and all that it carries.
    fn fail(&mut self, error: Http2Error, now: Instant) {
        self.connection.fail(error);
        self.failed = Some(error);
        self.end(Cause::Fault, now);
    }

    /// Nothing can be sent any more, planned or not.
    fn drop_output(&mut self, now: Instant) {
        self.connection.transmitted(usize::MAX, now);
    }

    /// The transport brings no more, or is gone.
    pub(super) fn end(&mut self, cause: Cause, now: Instant) {
        self.eof = true;
        self.waiting.clear();
        for stream in self.connection.ids() {
            self.lost(stream, cause, now);
        }
        self.connection.end_streams();
        if cause == Cause::Reset {
            self.drop_output(now);
        }
        self.settle(now);
    }

    fn lost(&mut self, stream: u32, cause: Cause, now: Instant) {
        match self.connection.session(stream) {
            Some(Exchange::Open(websocket)) => websocket.lost(cause, now),
            Some(Exchange::Opening(opening)) => {
                let config = Arc::clone(&opening.config);
                if let Some(exchange) = self.connection.session(stream) {
                    *exchange = Exchange::over(config, None, cause, now);
                }
            }
            //= rfc9113 8.1 MUST NOT 3: a client keeps a response behind which the rest of its request is reset
            Some(Exchange::Ended(ended)) if ended.body => {
                ended.body = false;
                ended.failed = Some(ResponseError::MalformedBody);
            }
            Some(Exchange::Ended(_)) | None => {}
        }
        self.connection.touch(stream);
        self.news.insert(stream);
    }

    /// Looks after the sessions that were touched. Where some have ended, others that wait may be asked for.
    fn settle(&mut self, now: Instant) {
        let Http2 { connection, news, .. } = self;
        connection.settle_with(|stream| _ = news.insert(stream));
        if !self.waiting.is_empty() {
            self.ask(now);
        }
        self.say_goodbye();
        let is_over = self.is_over() && self.connection.has_output();
        self.over_since = if is_over { self.over_since.min(now) } else { Instant::NEVER };
    }
}

impl Exchange {
    fn over(config: Arc<Config>, failed: Option<ResponseError>, cause: Cause, now: Instant) -> Exchange {
        let closed = Some(Closed { code: None, clean: false, cause });
        Exchange::Ended(Box::new(Ended { config, allowed: 0, expected: None, body: false, failed, closed, since: now }))
    }

    fn fail(&mut self, error: ResponseError, cause: Cause, now: Instant) {
        if let Exchange::Opening(opening) = self {
            *self = Exchange::over(Arc::clone(&opening.config), Some(error), cause, now);
        }
    }

    fn receive(&mut self, input: &mut [u8], now: Instant) -> (usize, Option<Told>) {
        match self {
            Exchange::Open(websocket) => {
                let (consumed, found) = websocket.locate(input, now);
                (consumed, found.map(Told::Session))
            }
            Exchange::Ended(ended) => ended.receive(input),
            Exchange::Opening(_) => (input.len(), None),
        }
    }
}

impl Ended {
    /// The body has ended: as long as it was said to be?
    //= rfc9113 8.1.1 MUST NOT 2: content of another length than was said is malformed
    fn end(&mut self) {
        if core::mem::replace(&mut self.body, false) && self.expected.is_some_and(|expected| expected > 0) {
            self.failed = Some(ResponseError::MalformedBody);
        }
    }

    fn receive(&mut self, input: &[u8]) -> (usize, Option<Told>) {
        if self.body && !input.is_empty() {
            let room = self.allowed.min(self.expected.unwrap_or(u64::MAX));
            let told = usize::try_from(room).map_or(input.len(), |room| room.min(input.len()));
            self.allowed -= told as u64;
            self.expected = self.expected.map(|expected| expected - told as u64);
            if told < input.len() {
                let is_longer = self.expected == Some(0) && self.allowed > 0;
                self.failed = Some(if is_longer { ResponseError::MalformedBody } else { ResponseError::BodyTooLarge });
                self.body = false;
            }
            if told > 0 {
                return (told, Some(Told::Body(told)));
            }
        }
        let told = match self.failed.take() {
            Some(error) => Some(Told::Failed(error)),
            None if !self.body => self.closed.take().map(Told::Closed),
            None => None,
        };
        (input.len(), told)
    }
}

impl Carried for Exchange {
    fn queue(&self) -> Option<&Queue> {
        match self {
            Exchange::Open(websocket) => Some(websocket.queue()),
            Exchange::Opening(_) | Exchange::Ended(_) => None,
        }
    }

    fn queue_mut(&mut self) -> Option<&mut Queue> {
        match self {
            Exchange::Open(websocket) => Some(websocket.queue_mut()),
            Exchange::Opening(_) | Exchange::Ended(_) => None,
        }
    }

    fn transmitted(&mut self, count: usize, now: Instant) {
        if let Exchange::Open(websocket) = self {
            websocket.transmitted(count, now);
        }
    }

    fn copied(&mut self, count: usize, now: Instant) {
        if let Exchange::Open(websocket) = self {
            websocket.copied(count, now);
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
            Exchange::Opening(_) => Ending::Open,
            Exchange::Ended(ended) if ended.body => Ending::Open,
            Exchange::Ended(_) => Ending::Close,
        }
    }

    fn has_news(&self) -> bool {
        match self {
            Exchange::Open(websocket) => websocket.has_news(),
            Exchange::Opening(_) => false,
            Exchange::Ended(ended) => ended.failed.is_some() || (!ended.body && ended.closed.is_some()),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Exchange::Open(websocket) => websocket.is_closed(),
            Exchange::Opening(_) => false,
            Exchange::Ended(ended) => !ended.body && ended.failed.is_none() && ended.closed.is_none(),
        }
    }

    fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        match self {
            Exchange::Open(websocket) => websocket.poll_timeout(),
            Exchange::Opening(opening) => {
                Earliest::NONE.or(opening.since + opening.config.limits.open_timeout, Timer::Open).deadline()
            }
            Exchange::Ended(ended) if ended.body => {
                Earliest::NONE.or(ended.since + ended.config.limits.close_timeout, Timer::Close).deadline()
            }
            Exchange::Ended(_) => None,
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Exchange::Open(websocket) => websocket.handle_timeout(now),
            Exchange::Opening(_) => self.fail(ResponseError::TimedOut, Cause::Timeout(Timer::Open), now),
            Exchange::Ended(ended) => {
                ended.body = false;
                ended.failed = Some(ResponseError::TimedOut);
            }
        }
    }
}

/// What a response says of the length of its content. What is no length is one that no content has.
fn content_length(response: &ResponseHead<'_>) -> Option<u64> {
    let field = response.fields().first("content-length")?;
    Some(field.text().and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
}

/// Takes bytes off the front.
fn take<'i>(input: &mut &'i mut [u8], count: usize) -> &'i mut [u8] {
    let (taken, rest) = core::mem::take(input).split_at_mut_checked(count).unwrap_or_default();
    *input = rest;
    taken
}
