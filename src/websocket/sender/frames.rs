//! How does a frame come into the queue? (RFC 6455 §5.2, §5.3)
//!
//! Into room that is there already, if there is any: its header in the form that its length asks for, then the payload,
//! copied once and masked on the way by who masks. What finds no room is appended, and a short frame then makes room for
//! more of them. How the calls are cut is what short frames cost: see `spec-notes/performance.md`.

use super::*;
use crate::frame::header::MAX_HEADER;
use crate::frame::mask;

/// Frames with so short a payload come in numbers: one that finds no room makes some for more of them.
const SHORT: usize = 32;

impl Sender {
    /// Queues a frame. It is a call, as those that need not be fast would each grow by what is inlined.
    pub(super) fn frame(&mut self, rsv1: Rsv1, fin: bool, opcode: OpCode, payload: &[u8]) {
        self.write_frame(rsv1, fin, opcode, payload);
    }

    /// The same in its place.
    //= rfc6455 5.1 MUST 1: a client masks every frame
    //= rfc6455 6.1 MUST 7: a client masks every frame
    //= rfc6455 6.1 MUST 8: every frame goes to the transport
    //= rfc6455 5.1 MUST NOT 1: a server masks none
    //= rfc7692 6.1 MUST 1: RSV1 says that the message is compressed
    #[inline(always)]
    pub(super) fn write_frame(&mut self, rsv1: Rsv1, fin: bool, opcode: OpCode, payload: &[u8]) {
        self.queueing();
        let first = Header::first(fin, opcode) | if rsv1 == Rsv1::Set { RSV1 } else { 0 };
        if self.keys.is_some() {
            self.write_masked(first, payload);
        } else {
            self.write_with(None, first, payload);
        }
    }

    #[inline(never)]
    pub(super) fn write_masked(&mut self, first: u8, payload: &[u8]) {
        if let Some(key) = self.keys.as_mut().and_then(Keys::masking_key) {
            self.write_with(Some(key), first, payload);
        } else {
            self.draw_and_write(first, payload);
        }
    }

    #[cold]
    fn draw_and_write(&mut self, first: u8, payload: &[u8]) {
        if let Some(keys) = &mut self.keys {
            keys.draw();
            self.write_masked(first, payload);
        }
    }

    #[inline(always)]
    pub(super) fn write_with(&mut self, key: Option<[u8; 4]>, first: u8, payload: &[u8]) {
        match key {
            _ if payload.len() <= Header::MAX_SHORT => self.write_in_room(first, payload, key),
            Some(key) => self.write_long::<true>(first, payload, key),
            None => self.write_long::<false>(first, payload, [0; 4]),
        }
    }

    // Apart, so that a short frame is a leaf that saves no register.
    #[inline(never)]
    fn write_long<const MASKED: bool>(&mut self, first: u8, payload: &[u8], key: [u8; 4]) {
        self.write_in_room(first, payload, MASKED.then_some(key));
    }

    // Inlined where the form of the length is known, which leaves little of it.
    #[inline(always)]
    fn write_in_room(&mut self, first: u8, payload: &[u8], key: Option<[u8; 4]>) {
        if let Some(room) = self.queue.room(Header::size(payload.len(), key.is_some()) + payload.len()) {
            let room = Header::put(room, first, payload.len(), key).unwrap_or_default();
            mask::copy(room, payload, key);
        } else {
            self.write_anew(first, payload, key);
        }
    }

    /// Writes a frame that the buffer has no room for, and if it is a short one, makes room for more of them. What is long is
    /// appended, as room for it would be written twice.
    #[cold]
    fn write_anew(&mut self, first: u8, payload: &[u8], key: Option<[u8; 4]>) {
        let header = Header::encode_behind(first, payload.len() as u64, key);
        self.queue.write(header.size() + payload.len(), |own| {
            own.extend_from_slice(header.as_bytes());
            match key {
                Some(key) => mask::append(own, payload, key),
                None => own.extend_from_slice(payload),
            }
        });
        if payload.len() <= SHORT {
            self.make_room();
        }
    }

    /// Makes room for some short frames.
    pub(super) fn make_room(&mut self) {
        self.queue.make_room(MAX_HEADER + SHORT);
    }
}
