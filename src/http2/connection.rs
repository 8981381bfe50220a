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

mod heads;
mod reading;

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::reading::Reading;
use super::error::{ErrorCode, Http2Error, Scope};
use super::floods::Floods;
use super::flow::{self, Window};
use super::frame::{self, Kind};
use super::head::{Fault, Head};
use super::hpack::{Decoder, Encoder, HpackError};
use super::output::Output;
use super::schedule::Carried;
use super::settings::Settings;
use super::streams::Streams;
use crate::config::Config;
use crate::time::Instant;

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
    /// The peer reset this stream.
    Reset(u32),
    /// The peer broke a rule on this stream, which was reset for it.
    Broken(u32),
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
    pub(super) config: Arc<Config>,
    ours: Settings,
    theirs: Settings,
    /// The largest initial window in a frame of settings that is under way.
    largest_window: Option<u32>,
    /// The peer's first settings have come.
    has_settings: bool,
    /// Ours were acknowledged.
    is_acknowledged: bool,
    decoder: Decoder,
    pub(super) encoder: Encoder,
    pub(super) streams: Streams<S>,
    /// Streams whose sessions may have changed since they were last looked at.
    pub(super) touched: Vec<u32>,
    pub(super) deadlines: BTreeSet<(Instant, u32)>,
    /// The highest stream that the peer opened, and that we did.
    highest_theirs: u32,
    highest_ours: u32,
    /// The highest of ours that the peer was asked for; how many are above it, and wait.
    highest_asked: u32,
    pub(super) unasked: usize,
    /// What the peer may still send on the connection, and what it has sent and is to be credited with.
    receive_window: Window,
    uncredited: u32,
    pub(super) output: Output,
    reading: Reading,
    scratch: [u8; frame::HEAD],
    filled: u8,
    block: Block,
    pub(super) floods: Floods,
    failed: bool,
    /// We accept no more streams.
    is_draining: bool,
    /// The last stream of the peer's that we acted on, once we have told it.
    last_taken: Option<u32>,
    /// The peer accepts no more streams.
    gone_away: bool,
    /// When the last call was.
    pub(super) now: Instant,
    /// When bytes last came or went.
    pub(super) active: Instant,
}

/// A block of header fields under way.
#[derive(Debug, Default)]
struct Block {
    stream: u32,
    bytes: Vec<u8>,
    continuations: u8,
    end_stream: bool,
    is_under_way: bool,
    since: Instant,
}

impl<S: Carried> Connection<S> {
    /// A connection that was just made. Our preface and settings are queued.
    pub(crate) fn new(role: Role, config: Arc<Config>, now: Instant) -> Connection<S> {
        let limits = &config.limits.http2;
        //= rfc8441 3 MUST 1: the setting of the extended CONNECT is 0 or 1, all else is PROTOCOL_ERROR
        //= rfc8441 3 MUST NOT 1: a setting that allowed the extended CONNECT is not taken back
        //= rfc9113 6.5.2 MUST 3: a server that does not leave ENABLE_PUSH out says 0
        //= rfc9113 6.5.2 MUST 6: what we say of MAX_FRAME_SIZE lies between 2^14 and 2^24 - 1
        //= rfc9113 6.5.2 MUST NOT 2: a server never says 1 for ENABLE_PUSH
        let ours = Settings {
            enable_push: role == Role::Server,
            max_concurrent_streams: if role == Role::Server { limits.sessions } else { u32::MAX },
            // No smaller than what the peer may use before it has read this.
            initial_window_size: limits.session_window.clamp(flow::INITIAL, flow::MAX),
            max_header_list_size: u32::try_from(config.limits.head).unwrap_or(u32::MAX),
            enable_connect_protocol: role == Role::Server,
            ..Settings::INITIAL
        };
        //= rfc9113 6.9.1 MUST NOT 2: no window that we give grows beyond 2^31 - 1
        let connection_window = limits.connection_window.clamp(flow::INITIAL, flow::MAX);
        // What is far beyond the limit costs no more than what is just beyond.
        let decoder = Decoder::with_limit(config.limits.head.saturating_mul(8));
        let mut output = Output::new(limits.answers);
        if role == Role::Client {
            //= rfc9113 3.4 MUST 1: behind the client's 24 bytes stand its settings
            output.push(PREFACE);
        }
        //= rfc9113 3.2 MUST 1: over TLS too, both sides send their preface
        //= rfc9113 3.3 MUST 2: a server by prior knowledge sends its preface
        //= rfc9113 3.4 MUST 2: the first that a server sends is its settings
        //= rfc9113 6.5 MUST 1: both sides begin with settings
        //= rfc9113 6.5 MUST 5: SETTINGS is of stream 0
        let entries: Vec<u8> = ours.entries().flatten().collect();
        output.frame(Kind::Settings, 0, 0, &entries);
        if connection_window > flow::INITIAL {
            output.frame(Kind::WindowUpdate, 0, 0, &(connection_window - flow::INITIAL).to_be_bytes());
        }
        Connection {
            reading: if role == Role::Server { Reading::Preface } else { Reading::Head },
            floods: Floods::new(limits, now),
            role,
            config,
            ours,
            theirs: Settings::INITIAL,
            largest_window: None,
            has_settings: false,
            is_acknowledged: false,
            decoder,
            encoder: Encoder::new(),
            streams: Streams::default(),
            touched: Vec::new(),
            deadlines: BTreeSet::new(),
            highest_theirs: 0,
            highest_ours: 0,
            highest_asked: 0,
            unasked: 0,
            receive_window: Window::new(connection_window),
            uncredited: 0,
            output,
            scratch: [0; frame::HEAD],
            filled: 0,
            block: Block::default(),
            failed: false,
            is_draining: false,
            last_taken: None,
            gone_away: false,
            now,
            active: now,
        }
    }

    /// Says that some of the peer's preface was read already.
    pub(crate) fn preface_begun(&mut self, count: usize) {
        self.filled = count as u8;
    }

    /// Consumes bytes off the front of `input` up to something that matters; without that, all of them.
    pub(crate) fn receive(&mut self, input: &[u8], head: &mut Head, now: Instant) -> (usize, Option<Arrived>) {
        self.now = now;
        if !input.is_empty() {
            self.active = now;
        }
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
    //= rfc9113 5.4 MAY 2: an error while a connection winds down can be told in a second GOAWAY
    //= rfc9113 5.4 MUST 1: a frame that ends the connection is told so
    //= rfc9113 5.4 SHOULD 1: one error of a stream and one of the connection are told at most
    //= rfc9113 5.4.1 MUST 1: behind the GOAWAY of an error the transport is closed
    //= rfc9113 6.8 MAY 1: there can be more than one GOAWAY
    pub(crate) fn fail(&mut self, error: Http2Error) {
        if !self.failed {
            self.go_away(error.code());
            self.failed = true;
        }
    }

    /// No more streams are opened or accepted; nobody is told yet.
    pub(crate) fn drain(&mut self) {
        self.is_draining = true;
    }

    /// Whether the peer was told that no more streams are accepted.
    pub(crate) fn has_said_goodbye(&self) -> bool {
        self.last_taken.is_some()
    }

    /// Says that no more streams are accepted.
    //= rfc9113 5.4.1 SHOULD 1: GOAWAY names the last stream that was received
    //= rfc9113 8.7 MUST 1: GOAWAY names no stream below those that the application has seen
    pub(crate) fn go_away(&mut self, code: ErrorCode) {
        self.is_draining = true;
        //= rfc9113 6.8 MUST NOT 2: the last stream that was told never rises
        let last = *self.last_taken.get_or_insert(self.highest_theirs);
        let [a, b, c, d] = last.to_be_bytes();
        let [e, f, g, h] = code.get().to_be_bytes();
        self.output.frame(Kind::GoAway, 0, 0, &[a, b, c, d, e, f, g, h]);
    }

    /// Judges a frame by its first nine bytes and the state of its stream, and says what follows.
    fn begin(&mut self, head: frame::Head, now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let frame::Head { length, kind, stream, .. } = head;
        //= rfc9113 5.5 MUST 3: frames of unknown types inside of a block are PROTOCOL_ERROR
        //= rfc9113 6.2 MUST 3: anything else behind it is PROTOCOL_ERROR
        //= rfc9113 6.10 MUST 2: anything else behind it is PROTOCOL_ERROR
        //= rfc9113 8.1 MUST NOT 1: nothing stands between HEADERS and its CONTINUATION
        if self.block.is_under_way && (kind != Kind::Continuation || stream != self.block.stream) {
            return Err(Http2Error::ContinuationExpected);
        }
        //= rfc9113 3.4 MUST 4: a connection that begins otherwise is PROTOCOL_ERROR
        if !self.has_settings && (kind != Kind::Settings || head.has(frame::ACK)) {
            return Err(Http2Error::MissingSettings);
        }
        //= rfc9113 5.1 MUST 1: idle: whatever is not HEADERS or PRIORITY is PROTOCOL_ERROR
        //= rfc9113 6.4 MUST 4: RST_STREAM of an idle stream is PROTOCOL_ERROR
        if matches!(kind, Kind::Data | Kind::RstStream | Kind::WindowUpdate) && self.is_idle(stream) {
            return Err(Http2Error::IdleStream);
        }
        let is_open = self.is_open(stream);
        //= rfc9113 10.5 MAY 1: beyond the limits on such work lies ENHANCE_YOUR_CALM
        //= rfc9113 10.5 SHOULD 2: what a peer can make us do for nothing is counted and limited
        let cost = match kind {
            Kind::Data if length == 0 && !(is_open && head.has(frame::END_STREAM)) => 1,
            Kind::Settings => 1 + length / 6,
            Kind::Headers if !is_open && !self.is_idle(stream) => 1,
            Kind::RstStream if !is_open => 1,
            Kind::Data | Kind::Headers | Kind::RstStream | Kind::PushPromise => 0,
            Kind::Priority | Kind::Ping | Kind::GoAway | Kind::WindowUpdate | Kind::Continuation | Kind::Unknown => 1,
        };
        self.floods.idle_frames(cost, now)?;
        self.output.check_answers()?;
        let next = match kind {
            Kind::Data => {
                //= rfc9113 6.8 MUST 3: DATA behind GOAWAY is counted
                //= rfc9113 6.9 MUST 1: what no window limits is always taken, as far as there are means
                //= rfc9113 6.9 MUST 4: every frame of DATA counts for the connection
                self.receive_window.receive(length)?;
                match self.streams.get_mut(stream).filter(|open| !open.is_over()) {
                    Some(open) if !open.ended_theirs && open.has_head => open.receive_window.receive(length)?,
                    Some(_) => {
                        self.go_to(Self::payload(head));
                        //= rfc9113 5.1 MUST 5: half closed by the peer: its DATA and HEADERS are STREAM_CLOSED
                        //= rfc9113 6.1 MUST 4: DATA behind the peer's end of its stream is STREAM_CLOSED
                        return Ok(Some(self.reset(stream, Http2Error::StreamClosed, now)?));
                    }
                    None => {}
                }
                Self::payload(head)
            }
            Kind::Headers => {
                let is_ours = stream % 2 == 1;
                // The first use of a number closes all below that were never used (§5.1.1), so those are no news.
                //= rfc9113 5.1.1 MUST 4: a number that cannot come next is PROTOCOL_ERROR
                match self.role {
                    //= rfc9113 5.1 MUST 2: idle, of a server's number: HEADERS is PROTOCOL_ERROR too
                    Role::Server if !is_ours => return Err(Http2Error::InvalidStreamId),
                    //= rfc9113 5.1 MUST 2: idle, of a server's number: HEADERS is PROTOCOL_ERROR too
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
                    since: now,
                };
                Reading::BlockPrefix(head)
            }
            Kind::Continuation => {
                self.block.continuations += 1;
                //= rfc9113 6.10 MUST 6: CONTINUATION anywhere else is PROTOCOL_ERROR
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
            //= rfc9113 6.5.2 MUST 1: a client that wants no push takes PUSH_PROMISE for PROTOCOL_ERROR
            //= rfc9113 6.6 MUST 4: anything else behind a promise in pieces is PROTOCOL_ERROR
            //= rfc9113 6.6 MUST 7: a promise to who wants none is PROTOCOL_ERROR
            //= rfc9113 6.6 MUST 10: a promise on any other stream is PROTOCOL_ERROR
            //= rfc9113 6.6 MUST 12: a promise of a stream that cannot come next is PROTOCOL_ERROR
            //= rfc9113 6.6 MUST 13: a promise of padding only is PROTOCOL_ERROR
            //= rfc9113 8.4 MUST 5: a server takes PUSH_PROMISE for PROTOCOL_ERROR
            Kind::PushPromise => return Err(Http2Error::PushPromise),
            Kind::RstStream | Kind::Ping | Kind::GoAway | Kind::WindowUpdate => Reading::Fixed(head),
            //= rfc9113 4.1 MUST 1: a frame of an unknown type is read over
            //= rfc9113 5.5 MUST 1: unknown values mean nothing, wherever the protocol can be extended
            //= rfc9113 5.5 MUST 2: frames of unknown types are dropped
            Kind::Priority | Kind::Unknown => Reading::Skip { left: length },
        };
        self.go_to(next);
        //= rfc9113 6.3 MUST 2: PRIORITY of any length but 5 resets its stream with FRAME_SIZE_ERROR
        if kind == Kind::Priority && length != 5 && is_open {
            return Ok(Some(self.reset(stream, Http2Error::PriorityLength, now)?));
        }
        Ok(None)
    }

    /// Acts on a frame of which eight bytes matter at most.
    fn act(&mut self, head: frame::Head, payload: [u8; 8], now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let [a, b, c, d, ..] = payload;
        let first = u32::from_be_bytes([a, b, c, d]);
        let stream = head.stream;
        match head.kind {
            Kind::RstStream => {
                let Some(open) = self.streams.get_mut(stream).filter(|open| !open.is_over()) else { return Ok(None) };
                //= rfc9113 5.4.2 MUST NOT 1: a reset is never answered with a reset
                //= rfc9113 6.4 MUST NOT 1: nothing more is sent on a stream that the peer reset
                open.ended_theirs = true;
                open.ended_ours = true;
                self.floods.reset(now)?;
                Ok(Some(Arrived::Reset(stream)))
            }
            Kind::Ping => {
                //= rfc9113 6.7 MUST 1: PING carries 8 bytes
                //= rfc9113 6.7 MUST 2: PING is answered with the same 8 bytes
                //= rfc9113 6.7 MUST 3: the answer to PING has ACK set
                //= rfc9113 6.7 MUST NOT 1: PING with ACK is not answered
                if !head.has(frame::ACK) {
                    self.output.answer(Kind::Ping, frame::ACK, 0, &payload);
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
                        //= rfc9113 6.9 MUST 3: faults of the connection's window end the connection
                        return Err(Http2Error::ZeroIncrement);
                    }
                    //= rfc9113 6.9 MUST 3: faults of the connection's window end the connection
                    //= rfc9113 6.9.1 MUST 1: credit beyond the largest window ends the stream, or the connection
                    self.output.window.give(increment)?;
                    return Ok(None);
                }
                let initial = self.theirs.initial_window_size;
                //= rfc9113 6.9 MUST NOT 1: credit that comes behind the end of a stream is no fault
                let Some(open) = self.streams.get_mut(stream).filter(|open| !open.is_over()) else { return Ok(None) };
                if increment == 0 {
                    //= rfc9113 6.9 MUST 2: WINDOW_UPDATE of 0 resets its stream with PROTOCOL_ERROR
                    return Ok(Some(self.reset(stream, Http2Error::ZeroStreamIncrement, now)?));
                }
                //= rfc9113 6.9.1 MUST 1: credit beyond the largest window ends the stream, or the connection
                if open.send_window.give(increment).is_err() || open.send_window.exceeds(initial) {
                    return Ok(Some(self.reset(stream, Http2Error::StreamWindowOverflow, now)?));
                }
                open.wake(stream, initial, &mut self.output);
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    fn apply(&mut self, identifier: u16, value: u32) -> Result<(), Http2Error> {
        let before = self.theirs;
        self.theirs.apply(identifier, value, self.role == Role::Client)?;
        //= rfc9113 4.3.1 MUST 1: a table that must shrink is told to do so before the next field
        self.encoder.set_max_size(self.theirs.header_table_size as usize);
        //= rfc9113 4.1 MUST NOT 1: no payload of ours is beyond 16,384 bytes, unless the peer takes more
        self.output.max_payload = self.theirs.max_frame_size.min(frame::MAX_PAYLOAD);
        if before.initial_window_size != self.theirs.initial_window_size {
            self.largest_window = self.largest_window.max(Some(value));
        }
        Ok(())
    }

    /// Acts on a change of the initial window: once for all entries of a frame, since it concerns all streams.
    fn apply_window(&mut self) -> Result<(), Http2Error> {
        let initial = self.initial_window();
        let Connection { streams, output, .. } = self;
        if let Some(largest) = self.largest_window.take() {
            //= rfc9113 6.9.2 MUST 3: an initial window that makes a window too large is FLOW_CONTROL_ERROR
            if streams.iter().any(|stream| !stream.is_over() && stream.send_window.exceeds(largest)) {
                return Err(Http2Error::WindowOverflow);
            }
            streams.iter_with_ids().for_each(|(id, stream)| stream.wake(id, initial, output));
        }
        Ok(())
    }

    /// Decodes the block that is whole now, whoever wants it, and says whose head it is.
    fn end_block(&mut self, head: &mut Head, now: Instant) -> Result<Option<Arrived>, Http2Error> {
        let Block { stream, end_stream: end, .. } = self.block;
        self.block.is_under_way = false;
        head.clear();
        let Connection { decoder, config, block, .. } = self;
        //= rfc9113 4.3 MUST 2: a block is decoded, or the connection ends
        //= rfc9113 4.3 MUST 3: a block that cannot be decoded is COMPRESSION_ERROR
        //= rfc9113 5.1 MUST 6: what comes on a stream that we reset is processed and dropped
        //= rfc9113 6.8 MUST 2: heads behind GOAWAY are decoded all the same
        decoder.decode(&block.bytes, |field| head.push(field, &config.limits)).map_err(|error| match error {
            HpackError::TooLarge => Http2Error::HeadTooLarge,
            _ => Http2Error::Compression,
        })?;
        let fault = head.end();
        let is_new = self.role == Role::Server && stream > self.highest_theirs;
        if is_new {
            self.highest_theirs = stream;
            self.floods.useful(0);
            //= rfc9113 5.1.2 MUST 1: a stream beyond our own limit is refused
            //= rfc9113 8.7 MUST NOT 1: REFUSED_STREAM is said only of what was not processed
            //= rfc9113 8.7 MUST NOT 2: REFUSED_STREAM is never said of what the application has seen
            let is_full = self.streams.len() >= self.ours.max_concurrent_streams as usize;
            let error = if is_full || self.is_draining {
                Http2Error::TooManyStreams
            } else if fault == Err(Fault::Malformed) {
                //= rfc9113 8.1.1 MUST 1: what is malformed resets its stream with PROTOCOL_ERROR
                //= rfc9113 8.2.1 MUST 2: a head with such a field is malformed
                Http2Error::MalformedHead
            } else {
                return Ok(Some(Arrived::Head { stream, end }));
            };
            self.refuse(stream, error, now)?;
            return Ok(None);
        }
        let Some(open) = self.streams.get_mut(stream).filter(|open| !open.is_over()) else { return Ok(None) };
        let error = if open.ended_theirs {
            //= rfc9113 5.1 MUST 5: half closed by the peer: its DATA and HEADERS are STREAM_CLOSED
            Http2Error::StreamClosed
        } else if open.has_head && open.is_tunnel {
            //= rfc9113 8.5 MUST 2: a frame that is not for a tunnel resets it
            Http2Error::Trailers
        } else if open.has_head && end && fault.is_ok() && !head.has_pseudo() {
            //= rfc9113 8.1 MUST 1: trailers have no pseudo-header fields
            return Ok(self.end(stream));
        } else if open.has_head || fault.is_err() {
            //= rfc9113 8.1 MUST 2: a second head without END_STREAM is malformed
            //= rfc9113 8.1.1 MUST 1: what is malformed resets its stream with PROTOCOL_ERROR
            //= rfc9113 8.2.1 MUST 2: a head with such a field is malformed
            Http2Error::MalformedHead
        } else {
            match head.status() {
                // An interim response.
                Some(100..=199) if !end && head.status() != Some(101) => {
                    self.floods.idle_frames(1, now)?;
                    return Ok(None);
                }
                Some(status @ 200..) => {
                    open.has_head = true;
                    open.is_tunnel = status < 300;
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
        let open = self.streams.get_mut(stream).filter(|open| !open.ended_theirs)?;
        open.ended_theirs = true;
        Some(Arrived::End(stream))
    }

    /// Resets a stream for a fault of the peer's.
    fn reset(&mut self, stream: u32, error: Http2Error, now: Instant) -> Result<Arrived, Http2Error> {
        debug_assert_eq!(error.scope(), Scope::Stream);
        self.floods.reset(now)?;
        self.cancel(stream, error.code());
        Ok(Arrived::Broken(stream))
    }

    /// Resets a stream that is not opened.
    pub(crate) fn refuse(&mut self, stream: u32, error: Http2Error, now: Instant) -> Result<(), Http2Error> {
        self.floods.reset(now)?;
        self.output.answer(Kind::RstStream, 0, stream, &error.code().get().to_be_bytes());
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

    /// Whether the peer accepts no more streams.
    pub(crate) fn has_gone_away(&self) -> bool {
        self.gone_away
    }

    /// Since when a head is coming in.
    pub(crate) fn block_since(&self) -> Option<Instant> {
        (self.block.is_under_way && !self.failed).then_some(self.block.since)
    }

    /// Pays for a reset that the peer makes us send.
    pub(crate) fn charge_reset(&mut self) -> Result<(), Http2Error> {
        self.floods.reset(self.now)
    }

    /// When the last call was.
    pub(crate) fn last_call(&self) -> Instant {
        self.now
    }

    /// Whether it has ended for a fault.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed
    }

    /// All streams that are open.
    pub(crate) fn ids(&self) -> Vec<u32> {
        self.streams.ids().collect()
    }

    /// Resets a stream.
    //= rfc9113 5.1 MUST NOT 3: nothing is sent on a stream that is closed
    //= rfc9113 5.4.2 SHOULD NOT 1: a stream is reset once
    //= rfc9113 6.4 MUST 2: RST_STREAM is of a stream
    pub(crate) fn cancel(&mut self, stream: u32, code: ErrorCode) {
        if let Some(open) = self.streams.get_mut(stream)
            && !(open.ended_ours && open.ended_theirs)
        {
            open.ended_theirs = true;
            open.ended_ours = true;
            self.output.answer(Kind::RstStream, 0, stream, &code.get().to_be_bytes());
        }
    }

    /// What the peer lets streams begin with.
    pub(super) fn initial_window(&self) -> u32 {
        self.theirs.initial_window_size
    }

    /// Gives the peer back what it used of the windows, once that is worth a frame.
    //= rfc9113 6.9 MUST 4: every frame of DATA counts for the connection
    fn credit(&mut self, stream: u32, count: u32) {
        self.uncredited += count;
        let half = self.config.limits.http2.connection_window.clamp(flow::INITIAL, flow::MAX) / 2;
        if self.uncredited >= half {
            _ = self.receive_window.give(self.uncredited);
            self.output.answer(Kind::WindowUpdate, 0, 0, &self.uncredited.to_be_bytes());
            self.uncredited = 0;
        }
        let Connection { streams, output, ours, .. } = self;
        if let Some(open) = streams.get_mut(stream) {
            open.uncredited += count;
            open.credit(stream, ours.initial_window_size / 2, output);
        }
    }

    /// Holds a stream's credit back, or lets it go.
    pub(crate) fn hold(&mut self, stream: u32, held: bool) {
        let Connection { streams, output, ours, .. } = self;
        if let Some(open) = streams.get_mut(stream) {
            open.held = held;
            open.credit(stream, ours.initial_window_size / 2, output);
        }
    }

    /// Whether the peer has told its settings and knows of ours.
    pub(crate) fn is_settled(&self) -> bool {
        self.has_settings && self.is_acknowledged
    }

    /// Whether the server speaks other protocols on its streams (RFC 8441 §3); not known before its settings have come.
    pub(crate) fn allows_connect_protocol(&self) -> Option<bool> {
        self.has_settings.then_some(self.theirs.enable_connect_protocol)
    }

    pub(crate) fn session(&mut self, stream: u32) -> Option<&mut S> {
        self.streams.get_mut(stream).map(|open| &mut open.session)
    }

    pub(crate) fn sessions(&mut self) -> impl Iterator<Item = &mut S> {
        self.streams.iter_mut().map(|open| &mut open.session)
    }

    /// Whether a buffer holds nothing, but memory.
    pub(crate) fn is_releasable(&self) -> bool {
        (!self.block.is_under_way && self.block.bytes.capacity() > 0)
            || (self.touched.is_empty() && self.touched.capacity() > 0)
            || self.output.is_releasable()
    }

    /// Gives back all buffers that hold nothing now.
    pub(crate) fn release(&mut self) {
        if !self.block.is_under_way {
            self.block.bytes = Vec::new();
        }
        if self.touched.is_empty() {
            self.touched = Vec::new();
        }
        self.streams.release();
        self.output.release();
    }

    fn is_open(&self, stream: u32) -> bool {
        self.streams.get(stream).is_some_and(|open| !open.is_over())
    }

    /// Whether nobody has opened this stream yet.
    fn is_idle(&self, stream: u32) -> bool {
        let by_client = stream % 2 == 1;
        let highest = if by_client == (self.role == Role::Client) { self.highest_asked } else { self.highest_theirs };
        stream > highest
    }
}
