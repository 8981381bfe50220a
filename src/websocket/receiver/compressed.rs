//! How do compressed payloads become messages? (RFC 7692 §6.2)
//!
//! As plain ones do, with a step between: what is unmasked goes through the decompressor, piece by piece, and what comes out
//! is lent from its output, or put together from several. A message that one output buffer takes, from a frame that lies
//! whole in the input, is not copied again. In [`Delivery::Chunks`] each output buffer is a chunk, so that what a few bytes
//! grow to is never held, however much it is; the payload that has to wait for that stays in the input.

use super::*;
use crate::deflate::Pool;

/// How much payload is unmasked at a time for chunks. What is not taken of it is masked again.
const PIECE: usize = 4 << 10;

impl Receiver {
    //= rfc6455 6.2 MAY 2: an extension changes what the payload means
    //= rfc7692 5 MUST 8: messages are decompressed as was agreed on
    //= rfc7692 6.2 MUST 1: payloads are joined, decompressed and delivered
    pub(super) fn compressed(
        &mut self,
        frame: Frame,
        input: &mut [u8],
        at: &mut usize,
        config: &Config,
    ) -> Result<Option<Located>, Error> {
        // Taken out for as long as the rest of us is borrowed.
        let taken = self.decompressor.take();
        let context = taken.or_else(|| Decompressor::lent(self.compression?, pool(config)));
        let mut context = context.ok_or(Error::ReservedBits)?;
        let located = match config.delivery {
            Delivery::Chunks => self.compressed_chunk(&mut context, frame, input, at, &config.limits),
            Delivery::Messages => self.compressed_message(&mut context, frame, input, at, &config.limits),
        };
        self.decompressor = Some(context);
        located
    }

    fn compressed_message(
        &mut self,
        context: &mut Decompressor,
        frame: Frame,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Located>, Error> {
        let (payload, _) = available(input, at, frame.remaining);
        mask::apply(payload, frame.masking_key);
        let kind = self.message.map_or(Kind::Binary, |message| message.kind);
        let last = frame.fin && payload.len() as u64 == frame.remaining;
        let mut rest = &*payload;
        while !rest.is_empty() || context.is_full() {
            let taken = context.decompress(rest, budget(limits))?;
            rest = rest.get(taken..).unwrap_or_default();
            let is_whole = last && rest.is_empty() && !context.is_full();
            if is_whole && self.is_fresh() {
                break;
            }
            let piece = context.unread();
            self.assemble(kind, piece, kind == Kind::Text && piece.is_ascii(), limits)?;
            context.read_all();
        }
        self.frame = frame.rest(payload.len());
        if !last {
            return Ok(None);
        }
        context.finish()?;
        self.end_of_message()?;
        self.lent = true;
        let place = if context.unread().is_empty() { Place::Assembled } else { Place::Inflated(context.read_all()) };
        Ok(Some(Located::Message { kind, place }))
    }

    fn compressed_chunk(
        &mut self,
        context: &mut Decompressor,
        mut frame: Frame,
        input: &mut [u8],
        at: &mut usize,
        limits: &Limits,
    ) -> Result<Option<Located>, Error> {
        let (kind, first) = self.message.map_or((Kind::Binary, true), |message| (message.kind, !message.chunked));
        loop {
            if context.unread().is_empty() {
                let (payload, _) = available(input, at, frame.remaining.min(PIECE as u64));
                if !payload.is_empty() || context.is_full() {
                    mask::apply(payload, frame.masking_key);
                    let taken = context.decompress(payload, budget(limits))?;
                    frame.remaining = frame.remaining.saturating_sub(taken as u64);
                    frame.masking_key = mask::rotate(frame.masking_key, taken);
                    let rest = payload.get_mut(taken..).unwrap_or_default();
                    mask::apply(rest, frame.masking_key);
                    *at -= rest.len();
                }
            }
            let place = self.next_chunk(context, kind)?;
            let mut is_through = frame.remaining == 0 && !context.is_full() && context.unread().is_empty();
            let mut last = frame.fin && is_through;
            if last && let Err(error) = context.finish() {
                if place.is_empty_output() {
                    return Err(error);
                }
                // What came out comes first, and the fault is found again behind it.
                (is_through, last) = (false, false);
            }
            self.frame = Some(frame).filter(|_| !is_through);
            if last {
                self.end_of_message()?;
            } else if place.is_empty_output() {
                if is_through || (*at == input.len() && !context.is_full()) {
                    return Ok(None);
                }
                continue;
            }
            if let Some(message) = &mut self.message {
                message.chunked = true;
            }
            self.lent = true;
            return Ok(Some(Located::Chunk { kind, place, first, last }));
        }
    }

    /// The next piece of what came out, cut between characters.
    fn next_chunk(&mut self, context: &mut Decompressor, kind: Kind) -> Result<Place, Error> {
        if kind == Kind::Binary {
            return Ok(Place::Inflated(context.read_all()));
        }
        if self.carry.is_empty() {
            let whole = self.carry.split_tail(context.unread())?;
            let range = context.read_all();
            return Ok(Place::Inflated(range.start..range.start + whole));
        }
        let (consumed, place) = self.complete_character(context.unread(), [0; 4])?;
        context.read(consumed);
        Ok(place)
    }

    /// Whether there is a context, or an output buffer of one, that nothing needs. Not in the middle of a message.
    pub(super) fn has_releasable_context(&self) -> bool {
        let is_kept = self.keeps_context();
        self.decompressor.as_ref().is_some_and(|context| !is_kept || context.is_warm())
    }

    pub(super) fn release_context(&mut self, config: &Config) {
        if self.keeps_context() {
            if let Some(context) = &mut self.decompressor {
                context.cool();
            }
        } else if let Some(context) = self.decompressor.take() {
            context.give_back(pool(config));
        }
    }

    /// A context of a pool is lent for one message.
    pub(super) fn give_context_back(&mut self, config: &Config) {
        if self.decompressor.is_some()
            && !self.keeps_context()
            && let Some(pool) = pool(config)
            && let Some(context) = self.decompressor.take()
        {
            context.give_back(Some(pool));
        }
    }

    /// Whether the context holds what the next message may refer to.
    pub(super) fn keeps_context(&self) -> bool {
        self.compression.is_some_and(|direction| direction.takeover)
    }

    /// Whether the context can be given up for the plain bytes of its window.
    pub(in crate::websocket) fn can_sleep(&self) -> bool {
        self.message.is_none()
            && self.keeps_context()
            && self.decompressor.as_ref().is_some_and(|context| context.is_awake())
    }

    pub(in crate::websocket) fn sleep(&mut self) {
        if self.can_sleep()
            && let Some(context) = &mut self.decompressor
        {
            context.sleep();
        }
    }

    /// The session is over: nothing will be put together any more.
    pub(in crate::websocket) fn end(&mut self, config: &Config) {
        if self.message.take().is_some() {
            self.text = String::new();
            self.gathered = Gathered::default();
        }
        if let Some(context) = self.decompressor.take() {
            context.give_back(pool(config));
        }
    }
}

impl Place {
    fn is_empty_output(&self) -> bool {
        matches!(self, Place::Inflated(range) | Place::Input(range) if range.is_empty())
    }
}

pub(super) fn budget(limits: &Limits) -> Budget {
    Budget { message: limits.message, ratio: limits.ratio }
}

fn pool(config: &Config) -> Option<&Arc<Pool>> {
    config.compression()?.pool.as_ref()
}
