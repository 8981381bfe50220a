//! How is one message sent to many sessions? (RFC 6455 §5.2)
//!
//! A server's frame is the same on every connection, so it can be made once. [`Shared`] is a payload that sessions queue by
//! reference behind a header of their own; [`Prepared`] is the whole frame. Neither costs more for a longer payload.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::event::{Kind, Message};
use crate::frame::header::{Header, OpCode};

/// A payload that many sessions can send without copying it.
///
/// ```
/// use sockless::Shared;
///
/// let news = Shared::from(String::from("the same to all"));
/// let picture = Shared::from(vec![0u8; 1 << 20]);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    kind: Kind,
    body: Bytes,
}

impl Shared {
    /// Bytes, as a binary message.
    pub fn binary(body: impl Into<Bytes>) -> Shared {
        Shared { kind: Kind::Binary, body: body.into() }
    }

    /// Bytes that must be UTF-8, as a text message; validated once.
    ///
    /// # Errors
    ///
    /// Those of [`core::str::from_utf8`].
    pub fn text(body: impl Into<Bytes>) -> Result<Shared, core::str::Utf8Error> {
        let body = body.into();
        core::str::from_utf8(&body)?;
        Ok(Shared { kind: Kind::Text, body })
    }

    /// Text or binary.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.body
    }

    pub(super) fn bytes(&self) -> &Bytes {
        &self.body
    }
}

impl From<String> for Shared {
    fn from(text: String) -> Shared {
        Shared { kind: Kind::Text, body: Bytes::from(text) }
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Shared {
        Shared::binary(bytes)
    }
}

/// A message framed once, for many sessions to send.
///
/// ```
/// use sockless::{Message, Prepared};
///
/// let tick = Prepared::new(Message::Text("tick"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    kind: Kind,
    /// The frame as a server sends it: header and payload.
    frame: Bytes,
    header: usize,
}

impl Prepared {
    /// Frames a message; copies it once.
    pub fn new(message: Message<'_>) -> Prepared {
        let payload = message.as_bytes();
        let opcode = match message.kind() {
            Kind::Text => OpCode::Text,
            Kind::Binary => OpCode::Binary,
        };
        let header = Header::encode(true, opcode, payload.len() as u64, None);
        let header = header.as_bytes();
        let mut frame = Vec::with_capacity(header.len() + payload.len());
        frame.extend_from_slice(header);
        frame.extend_from_slice(payload);
        Prepared { kind: message.kind(), header: header.len(), frame: Bytes::from(frame) }
    }

    /// Text or binary.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload.
    pub fn payload(&self) -> &[u8] {
        self.frame.get(self.header..).unwrap_or_default()
    }

    pub(super) fn frame(&self) -> &Bytes {
        &self.frame
    }
}
