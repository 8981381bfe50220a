//! What do the frames of a connection do to its streams? (RFC 9113 §3.4, §4.3, §5, §6)
//!
//! [`receive`](Connection::receive) walks over frames until one matters to somebody else: a head, DATA, an end. DATA is not
//! copied: it says where in the input the payload lies, and is told how much of that was taken. All that the connection
//! answers by itself (acknowledgements, credit, resets, GOAWAY) is queued on the way.
//!
//! | state of a stream | HEADERS | DATA | END_STREAM | RST_STREAM | WINDOW_UPDATE |
//! | --- | --- | --- | --- | --- | --- |
//! | never opened | opens (client's), else fails all | fails all | | fails all | fails all |
//! | open | its end; §8.5: resets a tunnel | to its session | half closed | closed | credit |
//! | half closed by the peer | resets it | resets it | | closed | credit |
//! | closed | decoded, dropped | counted, dropped | | dropped | dropped |
//!
//! Streams that are closed are not remembered: whatever is at or below the highest stream and is not there was closed.
//! So frames that were under way when we reset a stream are dropped, and never answered with another reset. They serve
//! nothing, and are paid for as such.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::error::{ErrorCode, Http2Error, Scope};
use super::floods::{Answers, Floods};
use super::flow::{self, Window};
use super::frame::{self, Kind};
use super::head::{Fault, Head};
use super::hpack::{Decoder, Encoder, Indexing};
use super::output::Output;
use super::settings::Settings;
use crate::config::Config;
use crate::handshake::{Asked, Response};
use crate::time::{Instant, Timer};

/// What a client's connection begins with (RFC 9113 §3.4).
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// More frames than this for one head are more than anyone needs.
const MAX_CONTINUATIONS: u8 = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Client,
    Server,
}

/// What arrived, for somebody else to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// The head of a stream, which may have ended with it.
    Head { stream: u32, end: bool },
    /// DATA follows in the input, of this length: as much of it as is there is to be handed on, and
    /// [`Connection::took`] is to be told how much of that was taken.
    Data { stream: u32, length: usize },
    /// The peer sends no more on this stream.
    End(u32),
    /// The peer, or a fault of its, ended this stream.
    Reset(u32, ErrorCode),
    /// The peer's first settings, or other ones.
    Settings,
    /// The peer will open no more streams, and has acted on none of ours above this one.
    GoAway(u32),
    /// The connection has failed; GOAWAY is queued, and what still comes is dropped.
    Failed(Http2Error),
}

/// One connection, and what its streams carry.
#[derive(Debug)]
pub(crate) struct Connection<S> {
    role: Role,
    config: Arc<Config>,
    ours: Settings,
    theirs: Settings,
    /// The peer's first settings have come.
    has_settings: bool,
    /// Ours were acknowledged.
    is_acknowledged: bool,
    decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: BTreeMap<u32, Box<Stream<S>>>,
    /// Streams whose sessions may have changed since they were last looked at.
    pub(super) touched: Vec<u32>,
    pub(super) deadlines: BTreeSet<(Instant, u32)>,
    /// The highest stream that the peer opened, and that we did.
    highest_theirs: u32,
    highest_ours: u32,
    /// What the peer may still send on the connection, and what it has sent and is to be credited with.
    receive_window: Window,
    uncredited: u32,
    pub(super) output: Output,
    reading: Reading,
    scratch: [u8; frame::HEAD],
    filled: u8,
    block: Block,
    pub(super) floods: Floods,
    /// What of our output the peer caused.
    answers: Answers,
    failed: bool,
    /// We accept no more streams.
    is_draining: bool,
    /// The peer accepts no more streams.
    gone_away: bool,
}

/// A stream that is not closed.
#[derive(Debug)]
pub(crate) struct Stream<S> {
    pub(crate) session: S,
    /// What we may send, as far as it differs from the peer's initial window.
    pub(super) send_window: Window,
    receive_window: Window,
    uncredited: u32,
    /// Its session takes nothing for now, so the peer gets no credit on it.
    held: bool,
    /// The peer has sent END_STREAM, or we have.
    pub(super) ended_theirs: bool,
    pub(super) ended_ours: bool,
    /// Its final head has arrived; what follows is DATA.
    has_head: bool,
    /// It carries bytes both ways, and so no fields behind its head (RFC 9113 §8.5).
    is_tunnel: bool,
    /// It is in the line of those that have something to send.
    pub(super) is_ready: bool,
    /// It is among those that are to be looked at.
    pub(super) is_touched: bool,
    /// When it must be looked at again, at the latest.
    pub(super) deadline: Option<(Instant, Timer)>,
}

/// A block of header fields under way.
#[derive(Debug, Default)]
struct Block {
    stream: u32,
    bytes: Vec<u8>,
    continuations: u8,
    end_stream: bool,
    is_under_way: bool,
}

/// Where in the peer's bytes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Preface,
    Head,
    /// The length of the padding of DATA.
    Padding(frame::Head),
    Data {
        stream: u32,
        left: u32,
        padding: u32,
        end: bool,
    },
    /// The padding and priority in front of a block's beginning.
    BlockPrefix(frame::Head),
    Block {
        left: u32,
        padding: u32,
        last: bool,
    },
    /// A frame of at most eight bytes, or the first eight of one.
    Fixed(frame::Head),
    Settings {
        left: u32,
    },
    Skip {
        left: u32,
    },
}

impl<S> Stream<S> {
    fn new(session: S, receive_window: u32) -> Stream<S> {
        Stream {
            session,
            send_window: Window::new(0),
            receive_window: Window::new(receive_window),
            uncredited: 0,
            held: false,
            ended_theirs: false,
            ended_ours: false,
            has_head: false,
            is_tunnel: true,
            is_ready: false,
            is_touched: false,
            deadline: None,
        }
    }

    /// Whether neither side sends any more.
    pub(super) fn is_over(&self) -> bool {
        self.ended_ours && self.ended_theirs
    }
}

impl<S> Connection<S> {
    /// A connection that was just made. Our preface and settings are queued.
    pub(crate) fn new(role: Role, config: Arc<Config>, now: Instant) -> Connection<S> {
        let limits = &config.limits.http2;
        let ours = Settings {
            enable_push: role == Role::Server,
            max_concurrent_streams: if role == Role::Server { limits.sessions } else { u32::MAX },
            // No smaller than what the peer may use before it has read this.
            initial_window_size: limits.session_window.clamp(flow::INITIAL, flow::MAX),
            max_header_list_size: u32::try_from(config.limits.head).unwrap_or(u32::MAX),
            enable_connect_protocol: role == Role::Server,
            ..Settings::INITIAL
        };
        let connection_window = limits.connection_window.clamp(flow::INITIAL, flow::MAX);
        let mut output = Output::default();
        if role == Role::Client {
            output.push(PREFACE);
        }
        let entries: Vec<u8> = ours.entries().flatten().collect();
        output.frame(Kind::Settings, 0, 0, &entries);
        if connection_window > flow::INITIAL {
            output.frame(Kind::WindowUpdate, 0, 0, &(connection_window - flow::INITIAL).to_be_bytes());
        }
        Connection {
            reading: if role == Role::Server { Reading::Preface } else { Reading::Head },
            floods: Floods::new(limits, now),
            answers: Answers::new(limits.answers),
            role,
            config,
            ours,
            theirs: Settings::INITIAL,
            has_settings: false,
            is_acknowledged: false,
            decoder: Decoder::new(),
            encoder: Encoder::new(),
            streams: BTreeMap::new(),
            touched: Vec::new(),
            deadlines: BTreeSet::new(),
            highest_theirs: 0,
            highest_ours: 0,
            receive_window: Window::new(connection_window),
            uncredited: 0,
            output,
            scratch: [0; frame::HEAD],
            filled: 0,
            block: Block::default(),
            failed: false,
            is_draining: false,
            gone_away: false,
        }
    }

    /// Says that some of the peer's preface was read already.
    pub(crate) fn preface_begun(&mut self, count: usize) {
        self.filled = count as u8;
    }

    /// Consumes bytes off the front of `input` up to something that matters; without that, all of them.
    pub(crate) fn receive(&mut self, input: &[u8], head: &mut Head, now: Instant) -> (usize, Option<Arrived>) {
        if self.failed {
            return (input.len(), None);
        }
        let mut at = 0;
        match self.walk(input, &mut at, head, now) {
            Ok(arrived) => (at, arrived),
            Err(error) => {
                self.fail(error);
                (input.len(), Some(Arrived::Failed(error)))
            }
        }
    }

    /// Says how much of the DATA that last arrived was taken. The rest has to be fed again.
    pub(crate) fn took(&mut self, count: usize) {
        if let Reading::Data { stream, left, .. } = &mut self.reading {
            let count = (*left).min(u32::try_from(count).unwrap_or(u32::MAX));
            let stream = *stream;
            *left -= count;
            self.credit(stream, count);
        }
    }

    /// Ends the connection for a fault of the peer's.
    pub(crate) fn fail(&mut self, error: Http2Error) {
        if !self.failed {
            self.go_away(error.code());
            self.failed = true;
        }
    }

    /// Says that no more streams are accepted.
    pub(crate) fn go_away(&mut self, code: ErrorCode) {
        self.is_draining = true;
        let [a, b, c, d] = self.highest_theirs.to_be_bytes();
        let [e, f, g, h] = code.get().to_be_bytes();
        self.output.frame(Kind::GoAway, 0, 0, &[a, b, c, d, e, f, g, h]);
    }

    fn walk(
        &mut self,
        input: &[u8],
        at: &mut usize,
        into: &mut Head,
        now: Instant,
    ) -> Result<Option<Arrived>, Http2Error> {
        loop {
            let rest = input.get(*at..).unwrap_or_default();
            let arrived = match self.reading {
                Reading::Preface => {
                    let expected = PREFACE.get(usize::from(self.filled)..).unwrap_or_default();
                    let there = expected.len().min(rest.len());
                    if rest.get(..there) != expected.get(..there) {
                        return Err(Http2Error::InvalidPreface);
                    }
                    *at += there;
                    self.filled += there as u8;
                    if there < expected.len() {
                        return Ok(None);
                    }
                    self.go_to(Reading::Head);
                    None
                }
                Reading::Head => {
                    if !self.collect(rest, at, frame::HEAD) {
                        return Ok(None);
                    }
                    let head = frame::Head::decode(self.scratch)?;
                    self.begin(head, now)?
                }
                Reading::Padding(head) => {
                    if !self.collect(rest, at, 1) {
                        return Ok(None);
                    }
                    let padding = u32::from(self.scratch[0]);
                    let left = head.length.checked_sub(1 + padding).ok_or(Http2Error::PaddingTooLong)?;
                    let is_empty = left == 0 && !head.has(frame::END_STREAM);
                    self.floods.idle_frames(u32::from(is_empty), now)?;
                    self.credit(head.stream, 1);
                    self.go_to(Reading::Data { stream: head.stream, left, padding, end: head.has(frame::END_STREAM) });
                    None
                }
                Reading::Data { stream, left: left @ 1.., .. } => {
                    let there = rest.len().min(left as usize);
                    if there == 0 {
                        return Ok(None);
                    }
                    if self.is_open(stream) {
                        return Ok(Some(Arrived::Data { stream, length: left as usize }));
                    }
                    *at += there;
                    self.took(there);
                    None
                }
                Reading::Data { stream, left: 0, padding: padding @ 1.., end } => {
                    let there = rest.len().min(padding as usize);
                    if there == 0 {
                        return Ok(None);
                    }
                    *at += there;
                    self.credit(stream, there as u32);
                    self.reading = Reading::Data { stream, left: 0, padding: padding - there as u32, end };
                    None
                }
                Reading::Data { stream, end, .. } => {
                    self.go_to(Reading::Head);
                    if end { self.end(stream) } else { None }
                }
                Reading::BlockPrefix(head) => {
                    let (padded, priority) = (usize::from(head.has(frame::PADDED)), head.has(frame::PRIORITY));
                    let prefix = padded + if priority { 5 } else { 0 };
                    if !self.collect(rest, at, prefix) {
                        return Ok(None);
                    }
                    let padding = if padded > 0 { u32::from(self.scratch[0]) } else { 0 };
                    let left = head.length.checked_sub(prefix as u32 + padding).ok_or(Http2Error::PaddingTooLong)?;
                    self.go_to(Reading::Block { left, padding, last: head.has(frame::END_HEADERS) });
                    None
                }
                Reading::Block { left: left @ 1.., padding, last } => {
                    let there = rest.len().min(left as usize);
                    if there == 0 {
                        return Ok(None);
                    }
                    // One that is too large is answered; the bytes of one that is far too large are not even collected.
                    if self.block.bytes.len() + there > self.config.limits.head.saturating_mul(2) {
                        return Err(Http2Error::HeadTooLarge);
                    }
                    self.block.bytes.extend_from_slice(rest.get(..there).unwrap_or_default());
                    *at += there;
                    self.reading = Reading::Block { left: left - there as u32, padding, last };
                    None
                }
                Reading::Block { padding: padding @ 1.., last, .. } => {
                    let there = rest.len().min(padding as usize);
                    if there == 0 {
                        return Ok(None);
                    }
                    *at += there;
                    self.reading = Reading::Block { left: 0, padding: padding - there as u32, last };
                    None
                }
                Reading::Block { last, .. } => {
                    self.go_to(Reading::Head);
                    if last { self.end_block(into, now)? } else { None }
                }
                Reading::Fixed(head) => {
                    let length = head.length.min(8);
                    if !self.collect(rest, at, length as usize) {
                        return Ok(None);
                    }
                    let [a, b, c, d, e, f, g, h, _] = self.scratch;
                    self.go_to(Reading::Skip { left: head.length - length });
                    self.act(head, [a, b, c, d, e, f, g, h], now)?
                }
                Reading::Settings { left: left @ 1.. } => {
                    if !self.collect(rest, at, 6) {
                        return Ok(None);
                    }
                    let [a, b, c, d, e, f, ..] = self.scratch;
                    self.apply(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))?;
                    self.go_to(Reading::Settings { left: left - 6 });
                    None
                }
                Reading::Settings { .. } => {
                    self.go_to(Reading::Head);
                    self.has_settings = true;
                    self.answer(Kind::Settings, frame::ACK, 0, &[]);
                    Some(Arrived::Settings)
                }
                Reading::Skip { left: left @ 1.. } => {
                    let there = rest.len().min(left as usize);
                    if there == 0 {
                        return Ok(None);
                    }
                    *at += there;
                    self.reading = Reading::Skip { left: left - there as u32 };
                    None
                }
                Reading::Skip { .. } => {
                    self.go_to(Reading::Head);
                    None
                }
            };
            if arrived.is_some() {
                return Ok(arrived);
            }
        }
    }

    /// Judges a frame by its first nine bytes and the state of its stream, and says what follows.
    fn begin(&mut self, head: frame::Head, now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let frame::Head { length, kind, stream, .. } = head;
        if self.block.is_under_way && (kind != Kind::Continuation || stream != self.block.stream) {
            return Err(Http2Error::ContinuationExpected);
        }
        if !self.has_settings && (kind != Kind::Settings || head.has(frame::ACK)) {
            return Err(Http2Error::MissingSettings);
        }
        if matches!(kind, Kind::Data | Kind::RstStream | Kind::WindowUpdate) && self.is_idle(stream) {
            return Err(Http2Error::IdleStream);
        }
        let is_open = self.is_open(stream);
        let cost = match kind {
            Kind::Data if length == 0 && !(is_open && head.has(frame::END_STREAM)) => 1,
            // Each setting may change every stream.
            Kind::Settings => 1 + length / 6 * (1 + self.streams.len() as u32 / 16),
            Kind::Headers if !is_open && !self.is_idle(stream) => 1,
            Kind::RstStream if !is_open => 1,
            Kind::Data | Kind::Headers | Kind::RstStream | Kind::PushPromise => 0,
            Kind::Priority | Kind::Ping | Kind::GoAway | Kind::WindowUpdate | Kind::Continuation | Kind::Unknown => 1,
        };
        self.floods.idle_frames(cost, now)?;
        self.answers.check(self.output.own())?;
        let next = match kind {
            Kind::Data => {
                self.receive_window.receive(length)?;
                match self.streams.get_mut(&stream).filter(|open| !open.is_over()) {
                    Some(open) if !open.ended_theirs && open.has_head => open.receive_window.receive(length)?,
                    Some(_) => {
                        self.go_to(Self::payload(head));
                        return Ok(Some(self.reset(stream, Http2Error::StreamClosed, now)?));
                    }
                    None => {}
                }
                Self::payload(head)
            }
            Kind::Headers => {
                let is_ours = stream % 2 == 1;
                match self.role {
                    Role::Server if !is_ours => return Err(Http2Error::InvalidStreamId),
                    Role::Client if self.is_idle(stream) => return Err(Http2Error::InvalidStreamId),
                    _ => {}
                }
                self.block.bytes.clear();
                self.block = Block {
                    stream,
                    bytes: core::mem::take(&mut self.block.bytes),
                    continuations: 0,
                    end_stream: head.has(frame::END_STREAM),
                    is_under_way: true,
                };
                Reading::BlockPrefix(head)
            }
            Kind::Continuation => {
                self.block.continuations += 1;
                if !self.block.is_under_way {
                    return Err(Http2Error::ContinuationExpected);
                }
                if self.block.continuations > MAX_CONTINUATIONS {
                    return Err(Http2Error::HeadTooLarge);
                }
                Reading::Block { left: length, padding: 0, last: head.has(frame::END_HEADERS) }
            }
            Kind::Settings if head.has(frame::ACK) => {
                if core::mem::replace(&mut self.is_acknowledged, true) {
                    return Err(Http2Error::UnaskedAcknowledgement);
                }
                Reading::Head
            }
            Kind::Settings => Reading::Settings { left: length },
            Kind::PushPromise => return Err(Http2Error::PushPromise),
            Kind::RstStream | Kind::Ping | Kind::GoAway | Kind::WindowUpdate => Reading::Fixed(head),
            Kind::Priority | Kind::Unknown => Reading::Skip { left: length },
        };
        self.go_to(next);
        if kind == Kind::Priority && length != 5 && is_open {
            return Ok(Some(self.reset(stream, Http2Error::PriorityLength, now)?));
        }
        Ok(None)
    }

    fn payload(head: frame::Head) -> Reading {
        if head.has(frame::PADDED) {
            return Reading::Padding(head);
        }
        Reading::Data { stream: head.stream, left: head.length, padding: 0, end: head.has(frame::END_STREAM) }
    }

    /// Acts on a frame of which eight bytes matter at most.
    fn act(&mut self, head: frame::Head, payload: [u8; 8], now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let [a, b, c, d, ..] = payload;
        let first = u32::from_be_bytes([a, b, c, d]);
        let stream = head.stream;
        match head.kind {
            Kind::RstStream => {
                let Some(open) = self.streams.get_mut(&stream).filter(|open| !open.is_over()) else { return Ok(None) };
                open.ended_theirs = true;
                open.ended_ours = true;
                self.floods.reset(now)?;
                Ok(Some(Arrived::Reset(stream, ErrorCode::new(first))))
            }
            Kind::Ping => {
                if !head.has(frame::ACK) {
                    self.answer(Kind::Ping, frame::ACK, 0, &payload);
                }
                Ok(None)
            }
            Kind::GoAway => {
                self.gone_away = true;
                Ok(Some(Arrived::GoAway(first & 0x7FFF_FFFF)))
            }
            Kind::WindowUpdate => {
                let increment = first & 0x7FFF_FFFF;
                if stream == 0 {
                    if increment == 0 {
                        return Err(Http2Error::ZeroIncrement);
                    }
                    self.output.window.give(increment)?;
                    return Ok(None);
                }
                let initial = self.theirs.initial_window_size;
                let Some(open) = self.streams.get_mut(&stream).filter(|open| !open.is_over()) else { return Ok(None) };
                if increment == 0 {
                    return Ok(Some(self.reset(stream, Http2Error::ZeroStreamIncrement, now)?));
                }
                if open.send_window.give(increment).is_err() || open.send_window.exceeds(initial) {
                    return Ok(Some(self.reset(stream, Http2Error::StreamWindowOverflow, now)?));
                }
                self.wake(stream);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn apply(&mut self, identifier: u16, value: u32) -> Result<(), Http2Error> {
        let before = self.theirs;
        self.theirs.apply(identifier, value, self.role == Role::Client)?;
        self.encoder.set_max_size(self.theirs.header_table_size as usize);
        self.output.max_payload = self.theirs.max_frame_size.min(frame::MAX_PAYLOAD);
        if before.initial_window_size != self.theirs.initial_window_size {
            let initial = self.theirs.initial_window_size;
            if self.streams.values().any(|stream| stream.send_window.exceeds(initial)) {
                return Err(Http2Error::WindowOverflow);
            }
            let streams: Vec<u32> = self.streams.keys().copied().collect();
            streams.into_iter().for_each(|stream| self.wake(stream));
        }
        Ok(())
    }

    /// Decodes the block that is whole now, whoever wants it, and says whose head it is.
    fn end_block(&mut self, head: &mut Head, now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let Block { stream, end_stream: end, .. } = self.block;
        self.block.is_under_way = false;
        head.clear();
        let Connection { decoder, config, block, .. } = self;
        decoder.decode(&block.bytes, |field| head.push(field, &config.limits)).map_err(|_| Http2Error::Compression)?;
        let fault = head.end();
        let is_new = self.role == Role::Server && stream > self.highest_theirs;
        if is_new {
            self.highest_theirs = stream;
            self.floods.useful();
            let is_full = self.streams.len() >= self.ours.max_concurrent_streams as usize;
            let error = if is_full || self.is_draining {
                Http2Error::TooManyStreams
            } else if fault == Err(Fault::Malformed) {
                Http2Error::MalformedHead
            } else {
                return Ok(Some(Arrived::Head { stream, end }));
            };
            self.refuse(stream, error, now)?;
            return Ok(None);
        }
        let Some(open) = self.streams.get_mut(&stream).filter(|open| !open.is_over()) else { return Ok(None) };
        let error = if open.ended_theirs {
            Http2Error::StreamClosed
        } else if self.role == Role::Server && open.is_tunnel {
            Http2Error::Trailers
        } else if open.has_head && end {
            return Ok(self.end(stream));
        } else if open.has_head || fault.is_err() {
            Http2Error::MalformedHead
        } else {
            match head.status() {
                // An interim response.
                Some(100..=199) if !end && head.status() != Some(101) => {
                    self.floods.idle_frames(1, now)?;
                    return Ok(None);
                }
                Some(200..) => {
                    open.has_head = true;
                    open.ended_theirs = end;
                    return Ok(Some(Arrived::Head { stream, end }));
                }
                _ => Http2Error::MalformedHead,
            }
        };
        Ok(Some(self.reset(stream, error, now)?))
    }

    /// The peer's END_STREAM.
    fn end(&mut self, stream: u32) -> Option<Arrived> {
        let open = self.streams.get_mut(&stream).filter(|open| !open.ended_theirs)?;
        open.ended_theirs = true;
        Some(Arrived::End(stream))
    }

    /// Resets a stream for a fault of the peer's.
    fn reset(&mut self, stream: u32, error: Http2Error, now: Instant) -> Result<Arrived, Http2Error> {
        debug_assert_eq!(error.scope(), Scope::Stream);
        self.floods.reset(now)?;
        self.cancel(stream, error.code());
        Ok(Arrived::Reset(stream, error.code()))
    }

    /// Resets a stream that is not opened.
    pub(crate) fn refuse(&mut self, stream: u32, error: Http2Error, now: Instant) -> Result<(), Http2Error> {
        self.floods.reset(now)?;
        self.answer(Kind::RstStream, 0, stream, &error.code().get().to_be_bytes());
        Ok(())
    }

    pub(crate) fn has_output(&self) -> bool {
        let is_ready = !self.output.ready.is_empty() && self.output.window.available() > 0;
        self.is_waiting() || is_ready || !self.touched.is_empty()
    }

    /// Whether something is on its way to the transport already.
    pub(crate) fn is_waiting(&self) -> bool {
        self.output.len() > 0
    }

    /// Whether we accept no more streams.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Whether there is no stream.
    pub(crate) fn has_no_streams(&self) -> bool {
        self.streams.is_empty()
    }

    /// Whether it has ended for a fault.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// All streams that are open.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.streams.keys().copied().collect()
    }

    /// Resets a stream.
    pub(crate) fn cancel(&mut self, stream: u32, code: ErrorCode) {
        if let Some(open) = self.streams.get_mut(&stream)
            && !(open.ended_ours && open.ended_theirs)
        {
            open.ended_theirs = true;
            open.ended_ours = true;
            self.answer(Kind::RstStream, 0, stream, &code.get().to_be_bytes());
        }
    }

    /// What the peer lets streams begin with.
    pub(super) fn initial_window(&self) -> u32 {
        self.theirs.initial_window_size
    }

    /// Puts a stream into the line of those that have something to send.
    pub(super) fn wake(&mut self, id: u32) {
        if let Some(stream) = self.streams.get_mut(&id)
            && !stream.is_ready
            && !stream.ended_ours
        {
            stream.is_ready = true;
            self.output.ready.push_back(id);
        }
    }

    /// Gives the peer back what it used of the windows, once that is worth a frame.
    fn credit(&mut self, stream: u32, count: u32) {
        self.uncredited += count;
        let half = self.config.limits.http2.connection_window.clamp(flow::INITIAL, flow::MAX) / 2;
        if self.uncredited >= half {
            _ = self.receive_window.give(self.uncredited);
            self.answer(Kind::WindowUpdate, 0, 0, &self.uncredited.to_be_bytes());
            self.uncredited = 0;
        }
        if let Some(open) = self.streams.get_mut(&stream) {
            open.uncredited += count;
            self.credit_stream(stream);
        }
    }

    fn credit_stream(&mut self, stream: u32) {
        let half = self.ours.initial_window_size / 2;
        if let Some(open) = self.streams.get_mut(&stream)
            && !open.held
            && !open.ended_theirs
            && open.uncredited >= half
        {
            let increment = core::mem::take(&mut open.uncredited);
            _ = open.receive_window.give(increment);
            self.answer(Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
        }
    }

    /// Holds a stream's credit back, or lets it go.
    pub(crate) fn hold(&mut self, stream: u32, held: bool) {
        if let Some(open) = self.streams.get_mut(&stream) {
            open.held = held;
            self.credit_stream(stream);
        }
    }

    pub(crate) fn is_held(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|open| open.held)
    }

    /// Whether the peer has told its settings and knows of ours.
    pub(crate) fn is_settled(&self) -> bool {
        self.has_settings && self.is_acknowledged
    }

    /// Whether the server speaks other protocols on its streams (RFC 8441 §3); not known before its settings have come.
    pub(crate) fn allows_connect_protocol(&self) -> Option<bool> {
        self.has_settings.then_some(self.theirs.enable_connect_protocol)
    }

    /// Opens a stream of ours, without a word yet; none where there are enough, or no number is left.
    pub(crate) fn open(&mut self, session: S) -> Option<u32> {
        let most = self.theirs.max_concurrent_streams.min(self.config.limits.http2.sessions);
        let stream = if self.highest_ours == 0 { 1 } else { self.highest_ours.checked_add(2)? };
        if self.failed
            || self.gone_away
            || self.is_draining
            || self.streams.len() >= most as usize
            || stream > 0x7FFF_FFFF
        {
            return None;
        }
        self.highest_ours = stream;
        let mut open = Box::new(Stream::new(session, self.ours.initial_window_size));
        // Nothing can be asked of it before its head is sent.
        open.ended_ours = true;
        open.ended_theirs = true;
        self.streams.insert(stream, open);
        Some(stream)
    }

    /// How many streams of ours there may be at once.
    pub(crate) fn max_sessions(&self) -> usize {
        self.theirs.max_concurrent_streams.min(self.config.limits.http2.sessions) as usize
    }

    /// Sends the head of a request that opens a tunnel.
    pub(crate) fn request(&mut self, stream: u32, asked: impl FnOnce(&S) -> Option<&Asked>) {
        let Some(open) = self.streams.get_mut(&stream) else { return };
        let Some(asked) = asked(&open.session) else { return };
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        let scheme = if asked.is_secure() { "https" } else { "http" };
        for (name, value, indexing) in [
            (":method", "CONNECT", Indexing::Add),
            (":protocol", "websocket", Indexing::Add),
            (":scheme", scheme, Indexing::Add),
            (":path", asked.target(), Indexing::Without),
            (":authority", &asked.authority(), Indexing::Add),
        ] {
            self.encoder.encode(name.as_bytes(), value.as_bytes(), indexing, &mut block);
        }
        for field in asked.fields().iter() {
            let name = field.name.to_ascii_lowercase();
            let indexing = if is_secret(&name) { Indexing::Never } else { Indexing::Add };
            self.encoder.encode(name.as_bytes(), field.value, indexing, &mut block);
        }
        open.ended_ours = false;
        open.ended_theirs = false;
        self.write_block(stream, &block);
    }

    /// Gives a stream up that was never spoken of.
    pub(crate) fn unopened(&mut self, stream: u32) {
        if let Some(open) = self.streams.get_mut(&stream) {
            open.ended_ours = true;
            open.ended_theirs = true;
        }
    }

    /// Opens the stream whose head has just arrived.
    pub(crate) fn accept(&mut self, stream: u32, end: bool, is_tunnel: bool, session: S) {
        let mut open = Box::new(Stream::new(session, self.ours.initial_window_size));
        open.ended_theirs = end;
        open.has_head = true;
        open.is_tunnel = is_tunnel;
        self.streams.insert(stream, open);
    }

    pub(crate) fn session(&mut self, stream: u32) -> Option<&mut S> {
        self.streams.get_mut(&stream).map(|open| &mut open.session)
    }

    /// Writes the head of a response. What ends its stream is DATA.
    pub(crate) fn respond(&mut self, stream: u32, response: &Response, content_length: Option<usize>) {
        let mut block = Vec::new();
        self.encoder.begin(&mut block);
        let status = response.status().to_string();
        self.encoder.encode(b":status", status.as_bytes(), Indexing::Without, &mut block);
        for field in response.fields().iter() {
            let name = field.name.to_ascii_lowercase();
            let indexing = if is_secret(&name) { Indexing::Never } else { Indexing::Add };
            self.encoder.encode(name.as_bytes(), field.value, indexing, &mut block);
        }
        if let Some(length) = content_length {
            self.encoder.encode(b"content-length", length.to_string().as_bytes(), Indexing::Without, &mut block);
        }
        self.write_block(stream, &block);
    }

    /// Writes a block of fields, in as many frames as it takes.
    fn write_block(&mut self, stream: u32, block: &[u8]) {
        let mut kind = Kind::Headers;
        let mut rest = block;
        loop {
            let length = rest.len().min(self.output.max_payload as usize);
            let (part, after) = rest.split_at_checked(length).unwrap_or_default();
            let flags = if after.is_empty() { frame::END_HEADERS } else { 0 };
            match self.role {
                Role::Server => self.answer(kind, flags, stream, part),
                // Requests are our own doing.
                Role::Client => self.output.frame(kind, flags, stream, part),
            }
            if after.is_empty() {
                return;
            }
            (kind, rest) = (Kind::Continuation, after);
        }
    }

    /// Appends a frame that the peer caused.
    fn answer(&mut self, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
        self.output.frame(kind, flags, stream, payload);
        self.answers.add(frame::HEAD + payload.len(), self.output.own());
    }

    fn is_open(&self, stream: u32) -> bool {
        self.streams.get(&stream).is_some_and(|open| !open.is_over())
    }

    /// Whether nobody has opened this stream yet.
    fn is_idle(&self, stream: u32) -> bool {
        let by_client = stream % 2 == 1;
        let highest = if by_client == (self.role == Role::Client) { self.highest_ours } else { self.highest_theirs };
        stream > highest
    }

    fn go_to(&mut self, reading: Reading) {
        self.reading = reading;
        self.filled = 0;
    }

    /// Collects so many bytes in the scratch, over as many reads as they come in; says whether they are all there.
    fn collect(&mut self, rest: &[u8], at: &mut usize, count: usize) -> bool {
        let filled = usize::from(self.filled);
        let room = self.scratch.get_mut(filled..count).unwrap_or_default();
        let there = room.len().min(rest.len());
        room.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
        *at += there;
        self.filled += there as u8;
        filled + there >= count
    }
}

/// Whether a field's value is to be in no table.
fn is_secret(name: &str) -> bool {
    matches!(name, "authorization" | "cookie" | "proxy-authorization" | "set-cookie")
}
