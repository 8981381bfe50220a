//! How do the streams of an HTTP/2 connection become sessions? (RFC 8441 §4, §5; RFC 9113 §8)
//!
//! As a connection of HTTP/1.1 does, but each on its own: a head is an offer or a request, and what is decided on it is a
//! session or a response. END_STREAM is the end of the file, a reset is a reset. What a session has to tell that no byte caused
//! is asked of those alone that something happened to.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::{Decision, News, Offer, PlainRequest, ServerEvent, SessionId, Target, unclean};
use crate::config::{Config, Limits};
use crate::error::{CloseCode, RequestError};
use crate::event::Cause;
use crate::handshake::{Classified, HttpVersion, RequestHead, Response};
use crate::http2::{Arrived, Asks, Carried, Connection, Ending, ErrorCode, Fault, Head, Http2Error, Role};
use crate::queue::Queue;
use crate::time::{Earliest, Instant, Timer};
use crate::websocket::{Close, Found, Reason, Transport, WebSocket};

/// A connection over HTTP/2.
#[derive(Debug)]
pub(super) struct Http2 {
    pub(super) connection: Connection<Exchange>,
    /// The head that arrived last, or that is lent again.
    head: Head,
    /// Streams whose sessions may have something to tell that no byte caused.
    news: BTreeSet<u32>,
    /// What the application has yet to be told before that.
    failed: Option<Http2Error>,
    eof: bool,
    /// The transport is gone, also for writing.
    is_gone: bool,
    /// The peer had its time to end the transport.
    is_overdue: bool,
    /// Nothing can be sent on any stream any more.
    is_cut: bool,
    opened: Instant,
    /// When a byte last came.
    heard: Instant,
    /// Since when output waits, and the transport takes none.
    waiting_since: Instant,
    /// Since when there is nothing more to do than to end the transport.
    over_since: Instant,
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
        for_websocket: bool,
        is_overdue: bool,
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
            news: BTreeSet::new(),
            failed: None,
            eof: false,
            is_gone: false,
            is_overdue: false,
            is_cut: false,
            opened: now,
            heard: now,
            waiting_since: Instant::NEVER,
            over_since: Instant::NEVER,
        }
    }

    pub(super) fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        config: &'s Arc<Config>,
        now: Instant,
    ) -> Option<ServerEvent<'s>> {
        if self.eof {
            *input = &mut [];
        }
        if !input.is_empty() {
            self.heard = now;
        }
        let step = self.step(input, now);
        self.look(now);
        let (taken, step) = step?;
        Some(match step {
            Step::Head { stream, end } => return self.decide(stream, end, config, now),
            Step::Failed(error) => ServerEvent::Failed(error),
            Step::Told(_, Told::News(News::Refused(error))) => ServerEvent::Refused(error),
            Step::Told(stream, Told::News(News::Closed(closed))) => ServerEvent::Closed(SessionId(stream), closed),
            Step::Told(stream, Told::Session(found)) => match self.connection.session(stream)? {
                Exchange::Open(websocket) => ServerEvent::Session(SessionId(stream), websocket.lend(taken, found)),
                Exchange::Deciding { .. } | Exchange::Answered(_) => return None,
            },
        })
    }

    fn step<'i>(&mut self, input: &mut &'i mut [u8], now: Instant) -> Option<(&'i mut [u8], Step)> {
        loop {
            if let Some(error) = self.failed.take() {
                return Some((&mut [], Step::Failed(error)));
            }
            self.settle();
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
                None => return None,
                Some(Arrived::Data { stream, length }) => {
                    let there = input.len().min(length);
                    let payload = input.get_mut(..there).unwrap_or_default();
                    let mut has_more = false;
                    let (consumed, told) = match self.connection.arrival(stream) {
                        // RFC 6455 §4.1: a client waits for the answer before it sends more.
                        Some((Exchange::Deciding { for_websocket: true, .. }, _)) => {
                            if let Err(error) = self.connection.charge_reset() {
                                self.fail(error, now);
                                continue;
                            }
                            let error = RequestError::EarlyData;
                            answer(&mut self.connection, stream, &Response::refusing(error), false, now);
                            self.tell(stream, Cause::Fault);
                            (there, Some(Told::News(News::Refused(error))))
                        }
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
                Some(Arrived::Head { stream, .. }) if self.head.fault().is_none() && self.head.asks().is_none() => {
                    if let Err(error) = self.connection.refuse(stream, Http2Error::MalformedHead, now) {
                        self.fail(error, now);
                    }
                }
                Some(Arrived::Head { stream, end }) => return Some((taken, Step::Head { stream, end })),
                Some(Arrived::End(stream)) => match self.connection.session(stream) {
                    Some(Exchange::Open(websocket)) if websocket.is_over() => self.lost(stream, Cause::Eof, now),
                    // It came to nothing, as by a reset.
                    Some(Exchange::Open(_) | Exchange::Deciding { for_websocket: true, .. }) => {
                        match self.connection.charge_reset() {
                            Ok(()) => self.lost(stream, Cause::Eof, now),
                            Err(error) => self.fail(error, now),
                        }
                    }
                    _ => self.connection.touch(stream),
                },
                Some(Arrived::Reset(stream)) => self.lost(stream, Cause::Reset, now),
                Some(Arrived::Broken(stream)) => self.lost(stream, Cause::Fault, now),
                Some(Arrived::Settings | Arrived::GoAway(_)) => {}
                Some(Arrived::Failed(error)) => self.fail(error, now),
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
        let is_tunnel = matches!(head.asks(), Some(Asks::Protocol { .. } | Asks::Tunnel));
        let to_head = matches!(head.asks(), Some(Asks::Resource { method: "HEAD", .. }));
        connection.accept(stream, end, is_tunnel, Exchange::deciding(config, is_tunnel, now));
        connection.touch(stream);
        let refused = match (head.fault(), head.asks()) {
            (Some(Fault::TooManyFields), _) => RequestError::TooManyFields,
            (Some(_), _) => RequestError::HeadTooLarge,
            (None, None) => RequestError::Malformed,
            (None, Some(Asks::Tunnel)) => RequestError::NotImplemented,
            //= rfc8441 4 MUST NOT 1: a CONNECT with a :protocol is no tunnel to its :authority
            //= rfc8441 5 MUST 2: the :protocol of a WebSocket is websocket
            (None, Some(Asks::Protocol { protocol, .. })) if !protocol.eq_ignore_ascii_case("websocket") => {
                RequestError::NotImplemented
            }
            // A tunnel that its client has closed already.
            (None, Some(Asks::Protocol { .. })) if end => RequestError::Malformed,
            //= rfc9113 8.3.1 MUST NOT 5: :authority names no user
            (None, Some(_)) => match request(head)?.classify(config) {
                Classified::Refused(error) => error,
                Classified::WebSocket(request) => {
                    let target = Target::Http2 { connection, stream, head };
                    let decision = Decision { config, target, now };
                    return Some(ServerEvent::Offer(Offer { request: Box::new(request), decision }));
                }
                Classified::Plain(plain) => {
                    let target = Target::Http2 { connection, stream, head };
                    let decision = Decision { config, target, now };
                    return Some(ServerEvent::Request(PlainRequest { head: Box::new(plain), decision }));
                }
            },
        };
        answer(connection, stream, &Response::refusing(refused), to_head, now);
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
        if self.connection.is_crowded() {
            self.settle();
        }
        self.connection.touch(stream);
        match self.connection.session(stream)? {
            Exchange::Open(websocket) => Some(websocket),
            Exchange::Deciding { .. } | Exchange::Answered(_) => None,
        }
    }

    /// Holds back what a session's peer may send, since nobody listens.
    pub(super) fn pause(&mut self, stream: u32, now: Instant) {
        if let Some(session) = self.session(stream) {
            session.pause(now);
            self.connection.hold(stream, true);
        }
        // What waits to be looked after counts as output, and a driver pauses and resumes by that.
        self.settle();
        self.look(now);
    }

    pub(super) fn resume(&mut self, stream: u32, now: Instant) {
        if let Some(session) = self.session(stream) {
            session.resume(now);
            self.connection.hold(stream, false);
        }
        self.settle();
        self.look(now);
    }

    /// Takes no more streams, and ends all sessions: see [`Server::shut_down`](super::Server::shut_down).
    pub(super) fn shut_down(&mut self, now: Instant) {
        if !self.connection.is_draining() {
            self.connection.go_away(ErrorCode::NO_ERROR);
        }
        for stream in self.connection.ids() {
            match self.connection.session(stream) {
                Some(Exchange::Open(websocket)) => {
                    websocket.tx(now).close(Close::With(CloseCode::GOING_AWAY, Reason::EMPTY));
                    self.connection.touch(stream);
                }
                Some(Exchange::Deciding { .. }) => self.give_up(stream, Cause::Local, now),
                Some(Exchange::Answered(_)) | None => {}
            }
        }
        self.look(now);
    }

    pub(super) fn poll_timeout(&self, limits: &Limits) -> Option<(Instant, Timer)> {
        let sessions = self.connection.poll_timeout();
        sessions.into_iter().chain(self.own_timeout(limits)).min_by_key(|(deadline, _)| *deadline)
    }

    /// The earliest deadline of the connection itself.
    fn own_timeout(&self, limits: &Limits) -> Option<(Instant, Timer)> {
        if self.is_gone || self.is_overdue {
            return None;
        }
        let mut earliest = Earliest::NONE.or(self.connection.release_at(), Timer::Release);
        if !self.connection.is_settled() && !self.is_over() {
            earliest = earliest.or(self.opened + limits.open_timeout, Timer::Open);
        }
        // What was cut off by the end of the file is late for nothing.
        if !self.eof
            && let Some(since) = self.connection.block_since()
        {
            earliest = earliest.or(since + limits.open_timeout, Timer::Open);
        }
        if self.waiting_since < Instant::NEVER {
            earliest = earliest.or(self.waiting_since.after(limits.stall_timeout), Timer::Stall);
        }
        if self.over_since < Instant::NEVER {
            earliest = earliest.or(self.over_since + limits.close_timeout, Timer::Close);
        } else if self.connection.has_no_streams() {
            earliest = earliest.or(self.heard.after(limits.idle_timeout), Timer::Idle);
        }
        earliest.deadline()
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, limits: &Limits) {
        let mut handled = Vec::new();
        self.connection.handle_timeout(now, |stream| handled.push(stream));
        for stream in handled {
            self.news.insert(stream);
            if let Some(Exchange::Deciding { is_overdue: true, .. }) = self.connection.session(stream) {
                self.give_up(stream, Cause::Timeout(Timer::Open), now);
            }
        }
        while let Some((deadline, timer)) = self.own_timeout(limits)
            && deadline <= now
        {
            match timer {
                //= rfc9113 6.5.3 MAY 1: settings that stay unacknowledged for long are SETTINGS_TIMEOUT
                Timer::Open if self.connection.is_settled() => self.fail(Http2Error::HeadTimeout, now),
                Timer::Open => self.fail(Http2Error::SettingsTimeout, now),
                Timer::Stall => self.end(Cause::Reset, now),
                Timer::Close => {
                    self.is_overdue = true;
                    self.connection.transmitted(usize::MAX, now);
                }
                Timer::Idle => self.shut_down(now),
                _ => self.release_if_quiet(),
            }
            self.settle();
            self.look(now);
        }
        self.settle();
        self.look(now);
        self.release_if_quiet();
    }

    fn release_if_quiet(&mut self) {
        if self.connection.release_if_quiet() {
            self.head = Head::default();
        }
    }

    /// Looks after the sessions that something happened to, and notes those that it ended.
    fn settle(&mut self) {
        let Http2 { connection, news, .. } = self;
        connection.settle_with(|stream| _ = news.insert(stream));
    }

    /// Notes since when there is output, and since when there is nothing else.
    fn look(&mut self, now: Instant) {
        let is_waiting = self.connection.is_waiting() && !self.is_gone;
        self.waiting_since = if is_waiting { self.waiting_since.min(now) } else { Instant::NEVER };
        if self.is_over() {
            self.over_since = self.over_since.min(now);
        }
        self.cut(now);
    }

    /// Ends all streams, once there is nothing to do but to close the transport: where the peer sends no more, it opens no
    /// window either, and what waits for one waits for ever.
    fn cut(&mut self, now: Instant) {
        if self.is_cut || self.transport() != Transport::Close {
            return;
        }
        self.is_cut = true;
        for stream in self.connection.ids() {
            self.lost(stream, Cause::Reset, now);
        }
        self.connection.end_streams();
        self.settle();
    }

    /// Whether nothing is left to do but to write what is queued.
    fn is_over(&self) -> bool {
        let is_drained = self.connection.is_draining() && self.connection.has_no_streams();
        self.eof || self.connection.has_failed() || is_drained
    }

    pub(super) fn has_output(&self) -> bool {
        !self.is_gone && !self.is_overdue && self.connection.has_output()
    }

    pub(super) fn transmitted(&mut self, count: usize, now: Instant) {
        self.connection.transmitted(count, now);
        if count > 0 {
            self.waiting_since = Instant::NEVER;
            self.over_since = Instant::NEVER;
        }
        self.look(now);
    }

    /// The connection with all planned that goes next; none where nobody takes it.
    pub(super) fn planned(&mut self) -> Option<&Connection<Exchange>> {
        self.settle();
        if self.is_gone || self.is_overdue {
            return None;
        }
        self.connection.plan();
        // Only now is it known that no window is left for what waited.
        self.cut(self.connection.last_call());
        Some(&self.connection)
    }

    #[cfg(feature = "std")]
    pub(super) fn fill<'a>(&'a mut self, out: &mut [std::io::IoSlice<'a>]) -> usize {
        let slices = self.planned().into_iter().flat_map(Connection::slices);
        out.iter_mut().zip(slices).map(|(slot, slice)| *slot = std::io::IoSlice::new(slice)).count()
    }

    pub(super) fn transport(&self) -> Transport {
        match (self.is_over(), self.has_output()) {
            _ if self.is_gone => Transport::Reset,
            _ if self.is_overdue => Transport::Close,
            (true, false) if self.eof => Transport::Close,
            (true, false) => Transport::ShutdownWrite,
            _ => Transport::Open,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        let is_told = self.failed.is_none() && self.news.is_empty() && self.connection.has_no_streams();
        is_told && matches!(self.transport(), Transport::Close | Transport::Reset)
    }

    /// Gives back all buffers of sessions that hold nothing now.
    pub(super) fn release(&mut self) {
        for exchange in self.connection.sessions() {
            if let Exchange::Open(websocket) = exchange {
                websocket.release();
            }
        }
        self.connection.release();
        self.head = Head::default();
    }

    /// The connection has failed, and all that it carries.
    fn fail(&mut self, error: Http2Error, now: Instant) {
        self.connection.fail(error);
        self.failed = Some(error);
        for stream in self.connection.ids() {
            self.lost(stream, Cause::Fault, now);
        }
        self.connection.end_streams();
    }

    /// The transport brings no more, or is gone.
    pub(super) fn end(&mut self, cause: Cause, now: Instant) {
        self.eof = true;
        for stream in self.connection.ids() {
            self.lost(stream, cause, now);
        }
        if cause != Cause::Eof {
            self.is_gone = true;
            self.connection.transmitted(usize::MAX, now);
        }
        self.settle();
        self.look(now);
    }

    /// Answers what the application did not, and tells it so.
    fn give_up(&mut self, stream: u32, cause: Cause, now: Instant) {
        answer(&mut self.connection, stream, &Response::unavailable(), false, now);
        self.tell(stream, cause);
    }

    /// Tells the end of what the application had to decide on.
    fn tell(&mut self, stream: u32, cause: Cause) {
        if let Some(Exchange::Answered(answered)) = self.connection.session(stream) {
            answered.news = Some(News::Closed(unclean(cause)));
            self.news.insert(stream);
        }
    }

    fn lost(&mut self, stream: u32, cause: Cause, now: Instant) {
        match self.connection.session(stream) {
            Some(Exchange::Open(websocket)) if cause == Cause::Eof => websocket.receive_eof(now),
            Some(Exchange::Open(websocket)) => websocket.lost(cause, now),
            Some(exchange) => exchange.end(cause, now),
            None => {}
        }
        // If that is news, it is found when the session is looked after: whose end was told has none.
        self.connection.touch(stream);
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
    fn deciding(config: &Arc<Config>, for_websocket: bool, now: Instant) -> Exchange {
        Exchange::Deciding { config: Arc::clone(config), head: None, since: now, for_websocket, is_overdue: false }
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

    /// Ends without an answer, or without the rest of it.
    fn end(&mut self, cause: Cause, now: Instant) {
        match self {
            Exchange::Deciding { config, .. } => {
                let (config, queue) = (Arc::clone(config), Queue::default());
                let news = Some(News::Closed(unclean(cause)));
                *self =
                    Exchange::Answered(Box::new(Answered { config, queue, news, waiting_since: now, is_reset: true }));
            }
            // A client that sends no more may well read on.
            Exchange::Answered(answered) => answered.is_reset |= cause != Cause::Eof,
            Exchange::Open(_) => {}
        }
    }
}

impl Carried for Exchange {
    fn queue(&self) -> Option<&Queue> {
        match self {
            Exchange::Open(websocket) => Some(websocket.queue()),
            Exchange::Answered(answered) => Some(&answered.queue),
            Exchange::Deciding { .. } => None,
        }
    }

    fn queue_mut(&mut self) -> Option<&mut Queue> {
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

    fn copied(&mut self, count: usize, now: Instant) {
        match self {
            Exchange::Open(websocket) => websocket.copied(count, now),
            Exchange::Answered(_) | Exchange::Deciding { .. } => self.transmitted(count, now),
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

    fn has_news(&self) -> bool {
        match self {
            Exchange::Open(websocket) => websocket.has_news(),
            Exchange::Answered(answered) => answered.news.is_some(),
            Exchange::Deciding { .. } => false,
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
            Exchange::Deciding { is_overdue: true, .. } => None,
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
            Exchange::Deciding { is_overdue, .. } => *is_overdue = true,
            Exchange::Answered(answered) => answered.is_reset = true,
        }
    }
}

//= rfc9113 8.3.1 MUST NOT 1: where there is :authority, Host does not say what is addressed
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
