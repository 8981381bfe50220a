//! When need a message not be queued? (RFC 6455 §6.1)
//!
//! While nothing is queued, the next byte for the transport is the first of this frame, and a server's payload goes out as
//! it is. Then the frame is lent instead, for the caller to write: its header, and the payload in its own place. Until the
//! caller has said how much of it the transport took, the [`Sender`] is borrowed, so nothing can come between; what was not
//! taken is queued then, and the queue goes on where the transport stopped. What is dropped without a word is queued whole.
//!
//! Queued as ever is whatever stands behind something else, and whatever is changed on its way: what a client masks, what is
//! compressed, and what a carrier puts into frames of its own.

#[cfg(feature = "std")]
use std::io::IoSlice;

use super::*;

/// A frame with a whole message, for the caller to write: see [`Sender::send_through`].
///
/// Dropped without [`written`](Outgoing::written) it is queued whole, so a future that is cancelled before it has written
/// anything loses nothing. Write it by what says how much was taken: a `write_all` that fails half-way does not, and behind
/// a part of the frame would come all of it. One that is leaked ([`core::mem::forget`]) is not sent.
#[must_use = "it is queued, unless it is written"]
pub struct Outgoing<'a> {
    sender: &'a mut Sender,
    header: Encoded,
    kind: Kind,
    payload: &'a [u8],
    /// How much of both the transport took.
    taken: usize,
}

impl Sender {
    /// Sends a whole message past the queue, where that can be: when nothing is queued, lends the frame for the caller to
    /// write at once, which spares a copy of the payload. Otherwise it is queued, as by [`send_with`](Sender::send_with), and
    /// there is `None` to write.
    ///
    /// It is never lent by a client, which must mask, nor over HTTP/2, nor where compression was agreed on, unless `compress`
    /// is [`Compress::Never`]. So a handler need not know what it runs on.
    ///
    /// Only for those who write to the transport themselves, and have written all that they took from the engine before: what
    /// was [taken](crate::WebSocket::take) into a buffer that still waits would be overtaken. Every frame lent is a write of
    /// its own. What comes in numbers goes faster by [`send`](Sender::send), many to a write, up to some 32 KiB each.
    ///
    /// Do not wait for the transport with it. While it is lent the session's clocks stand still: nobody acts on a deadline,
    /// not even on that of a peer that takes nothing, and what is queued of it counts as waiting since it was lent. What cannot
    /// be written at once is better queued.
    ///
    /// ```
    /// # use std::{io::Write, sync::Arc};
    /// # use sockless::{Agreed, Compress, Config, Instant, Message, WebSocket};
    /// # let (mut socket, now) = (Vec::new(), Instant::from_nanos(0));
    /// # let mut session = WebSocket::server(&Agreed::default(), Arc::new(Config::default()), now);
    /// let photo = Message::Binary(&[7; 100_000]);
    /// if let Some(frame) = session.tx(now).send_through(photo, Compress::Auto)? {
    ///     // An error counts as nothing taken: the driver meets it again when it writes what is queued.
    ///     let count = socket.write_vectored(&frame.slices()).unwrap_or(0);
    ///     frame.written(count);
    /// }
    /// // What was not taken is shown by `transmit`.
    /// # assert!(!session.has_output() && socket.len() == 100_010);
    /// # Ok::<(), sockless::SendError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As [`send`](Sender::send).
    //= rfc6455 6.1 MUST 4: data goes in frames
    //= rfc6455 6.1 MUST 5: the first opcode is text or binary
    //= rfc6455 6.1 MUST 6: the last frame has FIN
    #[inline]
    pub fn send_through<'a>(
        &'a mut self,
        message: Message<'a>,
        compress: Compress,
    ) -> Result<Option<Outgoing<'a>>, SendError> {
        if self.lends(compress) {
            let (kind, payload) = (message.kind(), message.as_bytes());
            Ok(Some(Outgoing { sender: self, header: header(kind, payload), kind, payload, taken: 0 }))
        } else {
            self.send_with(message, compress).map(|()| None)
        }
    }

    /// What is queued goes into frames of a carrier, and nowhere else.
    pub(in crate::websocket) fn keep_all(&mut self) {
        self.is_carried = true;
    }

    // The header is made again: lent, it would be in memory where nothing is left, and be moved there.
    #[inline(never)]
    fn queue_rest(&mut self, kind: Kind, payload: &[u8], taken: usize) {
        let header = header(kind, payload);
        let header = header.as_bytes();
        self.queueing();
        let payload = payload.get(taken.saturating_sub(header.len())..).unwrap_or_default();
        let header = header.get(taken..).unwrap_or_default();
        self.queue.write(header.len() + payload.len(), |own| {
            own.extend_from_slice(header);
            own.extend_from_slice(payload);
        });
    }

    #[inline]
    fn lends(&self, compress: Compress) -> bool {
        let goes_as_it_is = self.is_plain || (compress == Compress::Never && self.keys.is_none());
        self.queue.is_empty() && self.is_ready() && goes_as_it_is && !self.is_carried
    }
}

impl Outgoing<'_> {
    /// The frame's header: 2 to 10 bytes, which go first.
    #[inline]
    pub fn header(&self) -> &[u8] {
        self.header.as_bytes()
    }

    /// The message's own bytes, which follow.
    #[inline]
    pub fn payload(&self) -> &[u8] {
        self.payload
    }

    /// Both, for one vectored write.
    #[cfg(feature = "std")]
    #[inline]
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        [IoSlice::new(self.header()), IoSlice::new(self.payload)]
    }

    /// Says how many bytes of the header and then of the payload the transport took; more than there are means all. The rest
    /// is queued.
    #[inline]
    pub fn written(mut self, count: usize) {
        self.taken = count;
    }
}

impl Drop for Outgoing<'_> {
    #[inline]
    fn drop(&mut self) {
        let length = self.header.size() + self.payload.len();
        if self.taken < length {
            self.sender.queue_rest(self.kind, self.payload, self.taken);
        } else {
            self.sender.last_sent = self.sender.now;
        }
    }
}

impl fmt::Debug for Outgoing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing").field("header", &self.header()).field("payload", &self.payload.len()).finish()
    }
}

#[inline]
fn header(kind: Kind, payload: &[u8]) -> Encoded {
    Header::encode(true, opcode(kind), payload.len() as u64, None)
}
