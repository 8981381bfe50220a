//! How are the peer's bytes read as frames, wherever they are cut? (RFC 9113 §3.4, §4.1)
//!
//! What is short (the nine bytes in front of a frame, what of it comes in fixed places) is collected in a scratch of nine bytes;
//! what is long is handed on as it lies in the input, or passed over. Where we are is one value, [`Reading`].

use super::Connection;
use super::{Arrived, PREFACE};
use crate::http2::error::Http2Error;
use crate::http2::frame::{self, Kind};
use crate::http2::head::Head;
use crate::http2::schedule::Carried;
use crate::time::Instant;

/// Where in the peer's bytes we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
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

impl<S: Carried> Connection<S> {
    /// Walks over frames up to something that matters to somebody else.
    pub(super) fn walk(
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
                    //= rfc9113 3.4 MUST 4: a connection that begins otherwise is PROTOCOL_ERROR
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
                    let bytes = match rest.first_chunk() {
                        Some(bytes) if self.filled == 0 => {
                            *at += frame::HEAD;
                            *bytes
                        }
                        _ if self.collect(rest, at, frame::HEAD) => self.scratch,
                        _ => return Ok(None),
                    };
                    let head = frame::Head::decode(bytes)?;
                    self.begin(head, now)?
                }
                Reading::Padding(head) => {
                    if !self.collect(rest, at, 1) {
                        return Ok(None);
                    }
                    let padding = u32::from(self.scratch[0]);
                    //= rfc9113 6.1 MUST 5: padding of DATA as long as its payload, or longer, is PROTOCOL_ERROR
                    let left = head.length.checked_sub(1 + padding).ok_or(Http2Error::PaddingTooLong)?;
                    let is_empty = left == 0 && !(self.is_open(head.stream) && head.has(frame::END_STREAM));
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
                    //= rfc9113 5.1 MUST 6: what comes on a stream that we reset is processed and dropped
                    //= rfc9113 5.4.2 MUST 1: what was under way when we reset a stream is taken
                    //= rfc9113 6.4 MUST 1: what was under way when we reset a stream is processed
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
                    //= rfc9113 6.2 MUST 6: padding of HEADERS as long as its payload, or longer, is PROTOCOL_ERROR
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
                    //= rfc9113 6.5.3 MUST 1: settings apply as soon as they are read
                    //= rfc9113 6.5.3 MUST 2: settings apply in their order, with nothing between
                    self.apply(u16::from_be_bytes([a, b]), u32::from_be_bytes([c, d, e, f]))?;
                    self.go_to(Reading::Settings { left: left - 6 });
                    None
                }
                Reading::Settings { .. } => {
                    self.go_to(Reading::Head);
                    self.apply_window()?;
                    self.has_settings = true;
                    //= rfc9113 3.4 MUST 3: the peer's first settings are acknowledged, behind our own
                    //= rfc9113 6.5 MUST 3: an acknowledgement of settings is empty
                    //= rfc9113 6.5 MUST 5: SETTINGS is of stream 0
                    //= rfc9113 6.5.3 MUST 4: behind the last setting the acknowledgement goes out
                    self.output.answer(Kind::Settings, frame::ACK, 0, &[]);
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

    pub(super) fn payload(head: frame::Head) -> Reading {
        if head.has(frame::PADDED) {
            return Reading::Padding(head);
        }
        Reading::Data { stream: head.stream, left: head.length, padding: 0, end: head.has(frame::END_STREAM) }
    }

    pub(super) fn go_to(&mut self, reading: Reading) {
        self.reading = reading;
        self.filled = 0;
    }

    /// Collects so many bytes in the scratch, over as many reads as they come in; says whether they are all there.
    pub(super) fn collect(&mut self, rest: &[u8], at: &mut usize, count: usize) -> bool {
        let filled = usize::from(self.filled);
        let room = self.scratch.get_mut(filled..count).unwrap_or_default();
        let there = room.len().min(rest.len());
        room.iter_mut().zip(rest).for_each(|(slot, byte)| *slot = *byte);
        *at += there;
        self.filled += there as u8;
        filled + there >= count
    }
}
