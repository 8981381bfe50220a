//! How do bytes become messages? (RFC 6455 §5.2 to §5.6)
//!
//! [`locate`](Receiver::locate) walks over frames until it has an event or the input is used up. Between two calls it
//! remembers a split header (14 bytes of scratch), the frame it is in, the message it is in and, of a payload that
//! straddled reads, what came of it: binary and ASCII in one buffer ([`gathered`]); other text in a `String`, validated piece by
//! piece, so that the whole is a `&str` with no second look. A payload that ends in the read it began in is never copied; the
//! rest of a long one may be read into its place.
//!
//! Nothing here allocates for what a header merely announces: buffers grow by what has arrived, up to the message limit.
//! In [`Delivery::Chunks`] nothing is kept but a character cut in two, and what a step of decompressing brought out.

mod compressed;
mod gathered;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

use self::gathered::{Gathered, growth};
use super::Role;
use crate::config::{Config, Delivery, Limits};
use crate::deflate::{Budget, Decompressor, Direction};
use crate::error::{CloseCode, Error};
use crate::event::{Chunk, Event, Kind, Message};
use crate::frame::header::{Expect, Header, MAX_HEADER, OpCode};
use crate::frame::mask;
use crate::time::Instant;
use crate::utf8::{self, Carry, InvalidUtf8};

#[derive(Debug)]
pub(super) struct Receiver {
    /// A header that the last read cut.
    header: [u8; MAX_HEADER],
    header_length: u8,
    /// What the last lent event borrowed is to be cleared.
    lent: bool,
    frame: Option<Frame>,
    message: Option<Assembly>,
    /// A character of text that the last piece cut.
    carry: Carry,
    text: String,
    gathered: Gathered,
    /// What was read into its place is not UTF-8.
    invalid: bool,
    control: Vec<u8>,
    /// The last character that two pieces made, while it is lent as a chunk.
    character: Carry,
    /// The context for compressed messages. Where it is not to be kept, it is there while one is under way or lent.
    decompressor: Option<Box<Decompressor>>,
    /// What the peer may compress with, if that was agreed on.
    compression: Option<Direction>,
}

/// A frame whose header is read.
#[derive(Clone, Copy, Debug)]
struct Frame {
    opcode: OpCode,
    fin: bool,
    /// The key, turned so that the next byte of the payload takes its first byte.
    masking_key: [u8; 4],
    remaining: u64,
}

/// A message whose first header is read.
#[derive(Clone, Copy, Debug)]
struct Assembly {
    kind: Kind,
    compressed: bool,
    /// Frames so far.
    fragments: u32,
    /// Bytes that the headers so far announced.
    announced: u64,
    /// A chunk of it was lent.
    chunked: bool,
    begun: Instant,
}

/// An event that `locate` found.
#[derive(Debug)]
pub(crate) enum Located {
    Message { kind: Kind, place: Place },
    Chunk { kind: Kind, place: Place, first: bool, last: bool },
    Ping(Place),
    Pong(Place),
    Closing { code: Option<CloseCode>, reason: Place },
}

/// Where the payload of an event lies.
#[derive(Debug)]
pub(crate) enum Place {
    /// In the input that `locate` was given, unmasked.
    Input(Range<usize>),
    /// In the message under assembly.
    Assembled,
    /// In the buffer for control frames, from this byte on.
    Control(usize),
    /// A character that two reads made.
    Character,
    /// In the output of the decompressor.
    Inflated(Range<usize>),
}

impl Receiver {
    #[inline(always)]
    pub(super) fn new(compression: Option<Direction>) -> Receiver {
        Receiver {
            header: [0; MAX_HEADER],
            header_length: 0,
            lent: false,
            frame: None,
            message: None,
            carry: Carry::default(),
            text: String::new(),
            gathered: Gathered::default(),
            invalid: false,
            control: Vec::new(),
            character: Carry::default(),
            decompressor: None,
            compression,
        }
    }

    /// Consumes bytes off the front of `input` up to the end of an event; without one, all of them.
    //= rfc6455 5.4 MUST 2: control frames are understood between fragments
    //= rfc6455 6.2 MUST 1: what comes is read as frames
    //= rfc6455 6.2 MUST 2: control frames are acted on
    //= rfc6455 6.2 MUST 4: behind a last fragment begins a new message
    #[inline]
    pub(super) fn locate(
        &mut self,
        input: &mut [u8],
        config: &Config,
        role: Role,
        now: Instant,
    ) -> Result<(usize, Option<Located>), Error> {
        if self.lent {
            self.forget_lent(config);
        }
        if self.invalid {
            return Err(Error::InvalidUtf8);
        }
        let mut at = 0;
        loop {
            let frame = match self.frame {
                Some(frame) => frame,
                None => match self.read_header(input, &mut at, &config.limits, role, now)? {
                    Some(frame) => frame,
                    None => return Ok((at, None)),
                },
            };
            let located = if frame.opcode.is_control() {
                self.control(frame, input, &mut at)?
            } else if self.message.is_some_and(|message| message.compressed) {
                self.compressed(frame, input, &mut at, config)?
            } else if config.delivery == Delivery::Chunks {
                self.chunk(frame, input, &mut at)?
            } else {
                self.message(frame, input, &mut at, &config.limits)?
            };
            // A frame that goes on has used up the input.
            if located.is_some() || self.frame.is_some() {
                return Ok((at, located));
            }
        }
    }

    /// Whether nothing is under way, split or lent: the next byte begins a frame, which may be a message.
    pub(super) fn is_between(&self) -> bool {
        self.frame.is_none() && self.message.is_none() && self.header_length == 0 && !self.lent
    }

    /// When the message under assembly began.
    pub(super) fn message_begun(&self) -> Option<Instant> {
        self.message.map(|message| message.begun)
    }

    /// Time that passed while nothing was fed does not count.
    pub(super) fn shift(&mut self, stopped: Duration) {
        if let Some(message) = &mut self.message {
            message.begun = message.begun + stopped;
        }
    }

    pub(super) fn is_releasable(&self) -> bool {
        (self.message.is_none()
            && (self.text.capacity() > 0 || self.gathered.capacity() > 0 || self.has_releasable_context()))
            || (!self.in_control() && self.control.capacity() > 0)
    }

    pub(super) fn release(&mut self, config: &Config) {
        if self.lent {
            self.forget_lent(config);
        }
        if self.message.is_none() {
            self.text = String::new();
            self.gathered = Gathered::default();
            self.release_context(config);
        }
        if !self.in_control() {
            self.control = Vec::new();
        }
    }

    /// Whether a frame is under way: what was decompressed of it may be lent by pieces.
    pub(super) fn is_in_frame(&self) -> bool {
        self.frame.is_some()
    }

    fn in_control(&self) -> bool {
        self.frame.is_some_and(|frame| frame.opcode.is_control())
    }

    fn forget_lent(&mut self, config: &Config) {
        self.lent = false;
        self.control.clear();
        // A control frame may have been lent from between the fragments of a message, which stays.
        if self.message.is_none() {
            self.text.clear();
            self.gathered.clear();
            self.give_context_back(config);
        }
    }

    #[inline]
    fn read_header(
        &mut self,
        input: &[u8],
        at: &mut usize,
        limits: &Limits,
        role: Role,
        now: Instant,
    ) -> Result<Option<Frame>, Error> {
        let announced = self.message.map_or(0, |message| message.announced);
        let is_compressed = self.message.is_some_and(|message| message.compressed);
        let wire = self.compression.map(|_| compressed::budget(limits).wire());
        let message = wire.filter(|_| is_compressed).unwrap_or(limits.message);
        let expect = Expect {
            masked: role == Role::Server,
            continuation: self.message.is_some(),
            fragment: self.message.map_or(0, |message| message.fragments) < limits.fragments,
            frame: limits.frame,
            message: message.saturating_sub(announced),
            compressed: wire,
        };
        let rest = input.get(*at..).unwrap_or_default();
        let before = usize::from(self.header_length);
        let decoded = if before == 0 {
            Header::decode(rest, expect)?
        } else {
            let room = self.header.get_mut(before..).unwrap_or_default();
            let copied = room.len().min(rest.len());
            room.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
            Header::decode(self.header.get(..before + copied).unwrap_or_default(), expect)?
        };
        let Some((header, size)) = decoded else {
            // Fewer than MAX_HEADER bytes, or it would have been decoded.
            let room = self.header.get_mut(before..).unwrap_or_default();
            room.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
            self.header_length = u8::try_from(before + rest.len()).unwrap_or_default();
            *at = input.len();
            return Ok(None);
        };
        *at += size - before;
        self.header_length = 0;
        self.account(&header, now);
        let Header { fin, opcode, length, masking_key, .. } = header;
        Ok(Some(Frame { opcode, fin, masking_key, remaining: length }))
    }

    /// Counts a data frame to its message. The limits were checked while its header was decoded.
    //= rfc6455 6.2 MUST 3: the first opcode tells the kind
    #[inline]
    fn account(&mut self, header: &Header, now: Instant) {
        let kind = match header.opcode {
            OpCode::Continuation => {
                if let Some(message) = &mut self.message {
                    message.fragments = message.fragments.saturating_add(1);
                    message.announced = message.announced.saturating_add(header.length);
                }
                return;
            }
            OpCode::Text => Kind::Text,
            OpCode::Binary => Kind::Binary,
            OpCode::Close | OpCode::Ping | OpCode::Pong => return,
        };
        let Header { compressed, length: announced, .. } = *header;
        self.message = Some(Assembly { kind, compressed, fragments: 1, announced, chunked: false, begun: now });
    }

    fn control(&mut self, frame: Frame, input: &mut [u8], at: &mut usize) -> Result<Option<Located>, Error> {
        let (payload, range) = available(input, at, frame.remaining);
        mask::apply(payload, frame.masking_key);
        let whole = payload.len() as u64 == frame.remaining;
        let place = if whole && self.control.is_empty() {
            Place::Input(range.clone())
        } else {
            self.control.extend_from_slice(payload);
            Place::Control(0)
        };
        if !whole {
            self.frame = frame.rest(payload.len());
            return Ok(None);
        }
        self.frame = None;
        self.lent = true;
        Ok(Some(match frame.opcode {
            OpCode::Ping => Located::Ping(place),
            OpCode::Close => {
                let (code, reason) = close_body(place.bytes(input, self))?;
                let reason = match place {
                    Place::Input(range) => Place::Input(range.end - reason..range.end),
                    _ => Place::Control(self.control.len() - reason),
                };
                Located::Closing { code, reason }
            }
            _ => Located::Pong(place),
        }))
    }

    //= rfc6455 5.4 MUST 3: messages are received whole or in fragments
    //= rfc6455 6.2 MUST 5: a server unmasks
    //= rfc7692 6.2 MUST 2: what is not compressed is delivered as it is
    #[inline]
    fn message(
        &mut self,
        frame: Frame,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Located>, Error> {
        let (payload, range) = available(input, at, frame.remaining);
        let last = frame.fin && payload.len() as u64 == frame.remaining;
        let kind = self.message.map_or(Kind::Binary, |message| message.kind);

        if last && self.is_fresh() {
            mask::apply(payload, frame.masking_key);
            self.frame = None;
            self.message = None;
            return Ok(Some(Located::Message { kind, place: Place::Input(range) }));
        }

        self.gather(kind, payload, frame.masking_key, limits)?;
        self.frame = frame.rest(payload.len());
        if !last {
            return Ok(None);
        }
        self.end_of_message()?;
        self.lent = true;
        Ok(Some(Located::Message { kind, place: Place::Assembled }))
    }

    /// Whether input of this length is all payload, goes on with a message and does not end its frame.
    pub(super) fn goes_on(&self, length: usize, delivery: Delivery) -> bool {
        let is_plain = !self.lent && !self.invalid && delivery == Delivery::Messages;
        is_plain
            && self.frame.is_some_and(|frame| (length as u64) < frame.remaining && !frame.opcode.is_control())
            && self.message.is_some_and(|message| !message.compressed)
    }

    /// Takes such input.
    pub(super) fn go_on(&mut self, piece: &mut [u8], limits: &Limits) -> Result<(), Error> {
        let (Some(frame), Some(message)) = (&mut self.frame, self.message) else { return Ok(()) };
        let key = frame.masking_key;
        frame.remaining = frame.remaining.saturating_sub(piece.len() as u64);
        frame.masking_key = mask::rotate(key, piece.len());
        self.gather(message.kind, piece, key, limits)
    }

    /// Unmasks a piece and appends it to the message under assembly.
    #[inline]
    fn gather(&mut self, kind: Kind, piece: &mut [u8], key: [u8; 4], limits: &Limits) -> Result<(), Error> {
        if kind == Kind::Binary {
            self.gathered.append(piece, key, limits.message);
            return Ok(());
        }
        let is_ascii = mask::apply_to_text(piece, key);
        self.assemble(kind, piece, is_ascii, limits)
    }

    /// Appends a piece to the message under assembly.
    fn assemble(&mut self, kind: Kind, piece: &[u8], is_ascii: bool, limits: &Limits) -> Result<(), Error> {
        if kind == Kind::Binary || is_ascii && self.is_ascii() {
            self.gathered.append(piece, [0; 4], limits.message);
            return Ok(());
        }
        let ascii = core::mem::take(&mut self.gathered);
        // With the character that the last piece cut.
        let more = ascii.as_bytes().len() + self.carry.as_bytes().len() + piece.len();
        if ascii.is_empty() || more <= self.text.capacity() {
            self.text.push_str(utf8::validate(ascii.as_bytes())?);
        } else {
            // A second buffer would be the message once more.
            self.text = String::from_utf8(ascii.into_bytes()).map_err(|_| Error::InvalidUtf8)?;
        }
        let more = self.carry.as_bytes().len() + piece.len();
        self.text.reserve_exact(growth(self.text.len(), self.text.capacity(), more, limits.message));
        Ok(self.carry.append(&mut self.text, piece)?)
    }

    /// Whether nothing of a message is put together yet.
    fn is_fresh(&self) -> bool {
        self.gathered.is_empty() && self.is_ascii()
    }

    /// Whether the message under assembly, if it is text, has had no other characters: it is gathered as bytes.
    fn is_ascii(&self) -> bool {
        self.text.is_empty() && self.carry.is_empty()
    }

    /// Room in the message under assembly for the rest of its frame: see
    /// [`WebSocket::receive_room`](super::WebSocket::receive_room).
    pub(super) fn room(&mut self, config: &Config) -> &mut [u8] {
        if self.has_room(config) {
            self.gathered.room(self.frame.map_or(0, |frame| frame.remaining), config.limits.message)
        } else {
            &mut []
        }
    }

    fn has_room(&self, config: &Config) -> bool {
        self.frame.is_some_and(|frame| !frame.opcode.is_control())
            && self.message.is_some_and(|message| !message.compressed)
            && config.delivery == Delivery::Messages
            && self.is_ascii()
    }

    /// Counts what was read there: no more than the room was.
    pub(super) fn received(&mut self, count: usize, config: &Config) {
        if !self.has_room(config) {
            return;
        }
        let (Some(frame), Some(message)) = (&mut self.frame, self.message) else { return };
        let piece = self.gathered.fill(count, frame.remaining);
        let (length, key) = (piece.len(), frame.masking_key);
        frame.remaining = frame.remaining.saturating_sub(length as u64);
        frame.masking_key = mask::rotate(key, length);
        if message.kind == Kind::Binary {
            mask::apply(piece, key);
        } else if !mask::apply_to_text(piece, key) {
            let piece = self.gathered.split_off(length);
            self.invalid = self.assemble(Kind::Text, &piece, false, &config.limits).is_err();
        }
    }

    fn chunk(&mut self, frame: Frame, input: &mut [u8], at: &mut usize) -> Result<Option<Located>, Error> {
        let (kind, first) = self.message.map_or((Kind::Binary, true), |message| (message.kind, !message.chunked));
        let start = *at;
        let (payload, range) = available(input, at, frame.remaining);
        let place = if self.carry.is_empty() {
            mask::apply(payload, frame.masking_key);
            let whole = if kind == Kind::Text { self.carry.split_tail(payload)? } else { payload.len() };
            Place::Input(range.start..range.start + whole)
        } else {
            let (consumed, place) = self.complete_character(payload, frame.masking_key)?;
            *at = start + consumed;
            place
        };
        let consumed = *at - start;
        self.frame = frame.rest(consumed);
        let last = frame.fin && self.frame.is_none();
        if last {
            self.end_of_message()?;
        } else if matches!(&place, Place::Input(range) if range.is_empty()) {
            return Ok(None);
        }
        if let Some(message) = &mut self.message {
            message.chunked = true;
        }
        Ok(Some(Located::Chunk { kind, place, first, last }))
    }

    /// Takes no more of the payload than ends the character that the last piece cut: that is a chunk of its own.
    fn complete_character(&mut self, payload: &[u8], masking_key: [u8; 4]) -> Result<(usize, Place), Error> {
        for (index, (byte, key)) in payload.iter().zip(masking_key.iter().cycle()).enumerate() {
            if self.carry.complete(byte ^ key)? {
                self.character = core::mem::take(&mut self.carry);
                return Ok((index + 1, Place::Character));
            }
        }
        Ok((payload.len(), Place::Input(0..0)))
    }

    fn end_of_message(&mut self) -> Result<(), Error> {
        //= rfc6455 5.6 MUST 1: the message as a whole is UTF-8
        //= rfc6455 8.1 MUST 1: a character cut by the message's end is not UTF-8
        if !self.carry.is_empty() {
            return Err(Error::InvalidUtf8);
        }
        self.message = None;
        Ok(())
    }
}

impl Frame {
    /// What is left of the frame behind `passed` bytes of payload; nothing when that is all.
    fn rest(self, passed: usize) -> Option<Frame> {
        let remaining = self.remaining.saturating_sub(passed as u64);
        (remaining > 0).then(|| Frame { remaining, masking_key: mask::rotate(self.masking_key, passed), ..self })
    }
}

impl Located {
    /// Borrows the event. Text that lies in the input is validated here, for the first and only time.
    #[inline]
    pub(super) fn lend<'s>(self, taken: &'s [u8], receiver: &'s Receiver) -> Result<Event<'s>, Error> {
        Ok(match self {
            Located::Message { kind, place } => Event::Message(place.message(kind, taken, receiver)?),
            Located::Chunk { kind, place, first, last } => {
                Event::Chunk(Chunk { data: place.message(kind, taken, receiver)?, first, last })
            }
            Located::Ping(place) => Event::Ping(place.bytes(taken, receiver)),
            Located::Pong(place) => Event::Pong(place.bytes(taken, receiver)),
            Located::Closing { code, reason } => {
                let reason = core::str::from_utf8(reason.bytes(taken, receiver)).unwrap_or_default();
                Event::Closing { code, reason }
            }
        })
    }
}

impl Place {
    #[inline]
    pub(super) fn bytes<'s>(&self, input: &'s [u8], receiver: &'s Receiver) -> &'s [u8] {
        match self {
            Place::Input(range) => input.get(range.clone()),
            Place::Assembled => Some(receiver.gathered.as_bytes()),
            Place::Control(from) => receiver.control.get(*from..),
            Place::Character => Some(receiver.character.as_bytes()),
            Place::Inflated(range) => receiver.decompressor.as_ref().map(|context| context.output(range.clone())),
        }
        .unwrap_or_default()
    }

    // As a call it would cost every message a sixth of its instructions.
    #[inline(always)]
    fn message<'s>(&self, kind: Kind, input: &'s [u8], receiver: &'s Receiver) -> Result<Message<'s>, Error> {
        Ok(match (kind, self) {
            (Kind::Text, Place::Assembled) if !receiver.text.is_empty() => Message::Text(&receiver.text),
            (Kind::Text, place) => Message::Text(utf8::validate(place.bytes(input, receiver))?),
            (Kind::Binary, place) => Message::Binary(place.bytes(input, receiver)),
        })
    }
}

impl From<InvalidUtf8> for Error {
    fn from(_: InvalidUtf8) -> Error {
        Error::InvalidUtf8
    }
}

/// As much of a payload as is there, which it consumes, and where in the input it lies.
#[inline]
fn available<'i>(input: &'i mut [u8], at: &mut usize, remaining: u64) -> (&'i mut [u8], Range<usize>) {
    let start = *at;
    let there = input.len().saturating_sub(start);
    let length = usize::try_from(remaining).map_or(there, |remaining| remaining.min(there));
    *at = start + length;
    (input.get_mut(start..start + length).unwrap_or_default(), start..start + length)
}

/// Checks the body of a Close: its code, and the length of its reason.
//= rfc6455 5.5.1 MUST 1: a body begins with a code
//= rfc6455 8.1 MUST 1: the reason is UTF-8
fn close_body(body: &[u8]) -> Result<(Option<CloseCode>, usize), Error> {
    let Some((code, reason)) = body.split_first_chunk() else {
        return if body.is_empty() { Ok((None, 0)) } else { Err(Error::InvalidCloseBody) };
    };
    let code = CloseCode::new(u16::from_be_bytes(*code)).ok_or(Error::InvalidCloseCode)?;
    core::str::from_utf8(reason).map_err(|_| Error::InvalidCloseReason)?;
    Ok((Some(code), reason.len()))
}
