//! What does a session tell its owner?
//!
//! Events are lent: they borrow the read buffer or the receive half, and are gone at the next call. What must outlive
//! that is copied by whoever wants it.

use core::fmt;

use crate::error::{CloseCode, Error};
use crate::time::Timer;

/// Whether a message is text or binary (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// UTF-8 text, opcode 1.
    Text,
    /// Bytes, opcode 2.
    Binary,
}

/// A message, or a part of one. Text is known to be UTF-8 by its type, on the way in and on the way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message<'a> {
    /// UTF-8 text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
}

impl<'a> Message<'a> {
    /// Text or binary.
    pub const fn kind(self) -> Kind {
        match self {
            Message::Text(_) => Kind::Text,
            Message::Binary(_) => Kind::Binary,
        }
    }

    /// The payload, whatever its kind.
    pub const fn as_bytes(self) -> &'a [u8] {
        match self {
            Message::Text(text) => text.as_bytes(),
            Message::Binary(bytes) => bytes,
        }
    }
}

/// A piece of a message, as it arrived ([`Delivery::Chunks`](crate::Delivery)). Where pieces begin and end means nothing:
/// it depends on reads, not on frames. Text is cut between characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunk<'a> {
    /// The piece. Empty only when it is the last of its message.
    pub data: Message<'a>,
    /// The message begins here.
    pub first: bool,
    /// The message ends here.
    pub last: bool,
}

/// What happened on a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A whole message ([`Delivery::Messages`](crate::Delivery), the default).
    Message(Message<'a>),
    /// A piece of a message ([`Delivery::Chunks`](crate::Delivery)).
    Chunk(Chunk<'a>),
    /// The peer sent a Ping; the Pong is already queued. RFC 6455 §5.5.2
    Ping(&'a [u8]),
    /// The peer sent a Pong: the answer to a Ping, or unsolicited. RFC 6455 §5.5.3
    Pong(&'a [u8]),
    /// The peer sent a Close; the answer, where one is due, is already queued. RFC 6455 §5.5.1
    Closing {
        /// The peer's code; none where its Close had no body.
        code: Option<CloseCode>,
        /// The peer's reason, at most 123 bytes; often empty.
        reason: &'a str,
    },
    /// The peer broke the protocol or a limit; the Close that tells it is already queued, and what it still sends is
    /// ignored. RFC 6455 §7.1.7
    Failed(Error),
    /// The session is over. Comes once for every session, and last. The transport may still have bytes to take: see
    /// [`WebSocket::transport`](crate::WebSocket::transport).
    Closed(Closed),
}

/// How a session ended (RFC 6455 §7.1.4 to §7.1.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Closed {
    /// The code in the peer's Close frame, if it sent one with a code.
    pub code: Option<CloseCode>,
    /// The closing handshake was completed: the peer's Close came, and ours is sent or queued.
    pub clean: bool,
    /// What ended the session.
    pub cause: Cause,
}

impl Closed {
    /// The connection's close code as RFC 6455 §7.1.5 defines it for the application: the peer's; 1005 when its Close
    /// had none; 1006 when there was no Close.
    pub const fn status_code(&self) -> u16 {
        match (self.code, self.clean) {
            (Some(code), _) => code.get(),
            (None, true) => 1005,
            (None, false) => 1006,
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.status_code(), self.cause)
    }
}

/// What ended a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cause {
    /// The peer sent its Close first.
    Peer,
    /// [`Sender::close`](crate::Sender::close) or [`Sender::abort`](crate::Sender::abort).
    Local,
    /// The peer's fault; [`Event::Failed`] told which.
    Fault,
    /// The transport ended without a Close.
    Eof,
    /// The transport is gone.
    Reset,
    /// The server refused the opening handshake.
    Refused,
    /// A deadline passed.
    Timeout(Timer),
}
