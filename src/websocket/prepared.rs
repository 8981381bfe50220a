//! How is one message sent to many sessions? (RFC 6455 §5.2)
//!
//! A server's frame is the same on every connection, so it can be made once. [`Shared`] is a payload that sessions queue by
//! reference behind a header of their own; [`Prepared`] is the whole frame, and that of the compressed message (RFC 7692).
//! Neither costs more for a longer payload.

use alloc::string::String;
use alloc::vec::Vec;

use bytes::Bytes;

#[cfg(feature = "deflate")]
use crate::config::Compression;
#[cfg(feature = "deflate")]
use crate::deflate::Compressor;
use crate::deflate::params::WindowBits;
use crate::event::{Kind, Message};
use crate::frame::header::{Header, OpCode};

/// A payload that many sessions can send without copying it.
///
/// While it is queued, all of the memory lives that its [`Bytes`] are a part of: copy a few of them out of a large buffer.
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

/// A message framed once, and compressed once, for many sessions to send.
///
/// ```
/// use sockless::{Message, Prepared};
///
/// let tick = Prepared::new(Message::Text("tick"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    kind: Kind,
    plain: Framed,
    /// Compressed for smaller and smaller windows.
    variants: Vec<(WindowBits, Framed)>,
}

/// A frame as a server sends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Framed {
    pub(super) compressed: bool,
    /// Header and payload.
    pub(super) frame: Bytes,
    header: usize,
}

impl Prepared {
    /// Frames a message; copies it once.
    pub fn new(message: Message<'_>) -> Prepared {
        let kind = message.kind();
        Prepared { kind, plain: Framed::new(kind, message.as_bytes(), false), variants: Vec::new() }
    }

    /// Frames a message, and compresses it for each of these windows. A session sends the largest of them that it agreed on,
    /// if it agreed on no context takeover; any other session sends the message plain. So one window, the smallest that
    /// sessions agree on, is enough, and more than one only serve to make it smaller for some.
    ///
    /// Of `compression` the levels and the pool count. A variant that is not smaller than the message is left out.
    ///
    /// ```
    /// use sockless::{Compression, Message, Prepared, WindowBits};
    ///
    /// let news = Prepared::compressed(Message::Text(&"news ".repeat(100)), &Compression::default(), &[WindowBits::MAX]);
    /// ```
    #[cfg(feature = "deflate")]
    pub fn compressed(message: Message<'_>, compression: &Compression, windows: &[WindowBits]) -> Prepared {
        let mut prepared = Prepared::new(message);
        let mut windows = windows.to_vec();
        windows.sort_unstable();
        windows.dedup();
        for window in windows.into_iter().rev() {
            let pool = compression.pool.as_ref();
            if let Some(mut context) = Compressor::lent(compression.settings(window), false, false, pool) {
                let payload = context.compress(message.as_bytes(), true);
                if payload.len() < message.as_bytes().len() {
                    prepared.variants.push((window, Framed::new(prepared.kind, payload, true)));
                }
                context.give_back(pool);
            }
        }
        prepared
    }

    /// Text or binary.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The payload, as it is not compressed.
    pub fn payload(&self) -> &[u8] {
        self.plain.payload()
    }

    /// What a session sends that agreed on no compression.
    pub(super) fn plain(&self) -> &Framed {
        &self.plain
    }

    /// What a session sends that may compress for this window, and without context takeover.
    pub(super) fn variant(&self, window: Option<WindowBits>) -> &Framed {
        let fits = |(made_for, _): &&(WindowBits, Framed)| window.is_some_and(|window| *made_for <= window);
        self.variants.iter().find(fits).map_or(&self.plain, |(_, framed)| framed)
    }
}

impl Framed {
    fn new(kind: Kind, payload: &[u8], compressed: bool) -> Framed {
        let opcode = match kind {
            Kind::Text => OpCode::Text,
            Kind::Binary => OpCode::Binary,
        };
        let mut header = Header::encode(true, opcode, payload.len() as u64, None);
        if compressed {
            header = header.compressed();
        }
        let header = header.as_bytes();
        let mut frame = Vec::with_capacity(header.len() + payload.len());
        frame.extend_from_slice(header);
        frame.extend_from_slice(payload);
        // A clone, since what was made from a `Vec` asks at each further one whether it is the first.
        Framed { compressed, header: header.len(), frame: Bytes::from(frame).clone() }
    }

    pub(super) fn payload(&self) -> &[u8] {
        self.frame.get(self.header..).unwrap_or_default()
    }
}
