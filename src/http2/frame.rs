//! How is a frame of HTTP/2 framed? (RFC 9113 §4.1, §6)
//!
//! Nine bytes: a length, a type, flags and a stream. What lengths, streams and flags a type may have is said here, in one
//! place, and checked when the nine bytes are there, before any payload is.

use super::error::Http2Error;

/// The bytes in front of every payload.
pub(super) const HEAD: usize = 9;

/// The longest payload that must be understood, and that we allow (RFC 9113 §4.2).
//= rfc9113 4.2 MUST 1: payloads of up to 16,384 bytes are taken
pub(super) const MAX_PAYLOAD: u32 = 16_384;

pub(super) const END_STREAM: u8 = 0x01;
pub(super) const ACK: u8 = 0x01;
pub(super) const END_HEADERS: u8 = 0x04;
pub(super) const PADDED: u8 = 0x08;
pub(super) const PRIORITY: u8 = 0x20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Data,
    Headers,
    Priority,
    RstStream,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Ignored, whatever it is (RFC 9113 §4.1, §5.5).
    Unknown,
}

impl Kind {
    const KNOWN: [Kind; 10] = [
        Kind::Data,
        Kind::Headers,
        Kind::Priority,
        Kind::RstStream,
        Kind::Settings,
        Kind::PushPromise,
        Kind::Ping,
        Kind::GoAway,
        Kind::WindowUpdate,
        Kind::Continuation,
    ];
}

/// The nine bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) length: u32,
    pub(super) kind: Kind,
    pub(super) flags: u8,
    /// 0 for the connection.
    pub(super) stream: u32,
}

impl Head {
    /// Reads the nine bytes, and refuses what no stream in no state may get.
    pub(super) fn decode(bytes: [u8; HEAD]) -> Result<Head, Http2Error> {
        let [a, b, c, kind, flags, stream @ ..] = bytes;
        let length = u32::from_be_bytes([0, a, b, c]);
        let kind = Kind::KNOWN.get(usize::from(kind)).copied().unwrap_or(Kind::Unknown);
        // The highest bit means nothing.
        //= rfc9113 4.1 MUST 5: and that bit means nothing when it comes
        let stream = u32::from_be_bytes(stream) & 0x7FFF_FFFF;
        let head = Head { length, kind, flags, stream };
        //= rfc9113 4.2 MUST 2: a frame that is too long, or too short for its type, is FRAME_SIZE_ERROR
        if length > MAX_PAYLOAD {
            return Err(Http2Error::FrameTooLong);
        }
        head.check_stream()?;
        head.check_length()?;
        Ok(head)
    }

    //= rfc9113 4.1 MUST 2: a flag that a type does not have means nothing
    pub(super) fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    //= rfc9113 6.1 MUST 3: DATA on stream 0 is PROTOCOL_ERROR
    //= rfc9113 6.2 MUST 5: HEADERS on stream 0 is PROTOCOL_ERROR
    //= rfc9113 6.3 MUST 1: PRIORITY on stream 0 is PROTOCOL_ERROR
    //= rfc9113 6.4 MUST 3: RST_STREAM on stream 0 is PROTOCOL_ERROR
    //= rfc9113 6.5 MUST 6: SETTINGS of a stream is PROTOCOL_ERROR
    //= rfc9113 6.6 MUST 6: a promise on stream 0 is PROTOCOL_ERROR
    //= rfc9113 6.7 MUST 4: PING of a stream is PROTOCOL_ERROR
    //= rfc9113 6.8 MUST 1: GOAWAY of a stream is PROTOCOL_ERROR
    //= rfc9113 6.10 MUST 4: CONTINUATION on stream 0 is PROTOCOL_ERROR
    fn check_stream(self) -> Result<(), Http2Error> {
        match (self.kind, self.stream) {
            (Kind::Settings | Kind::Ping | Kind::GoAway, 1..) => Err(Http2Error::StreamNotZero),
            (Kind::Settings | Kind::Ping | Kind::GoAway | Kind::WindowUpdate | Kind::Unknown, _) => Ok(()),
            (_, 0) => Err(Http2Error::StreamZero),
            _ => Ok(()),
        }
    }

    //= rfc9113 4.2 MUST 2: a frame that is too long, or too short for its type, is FRAME_SIZE_ERROR
    //= rfc9113 4.2 MUST 3: a wrong length ends the connection wherever more than a stream may be touched
    //= rfc9113 6.4 MUST 5: RST_STREAM of any length but 4 is FRAME_SIZE_ERROR
    //= rfc9113 6.5 MUST 4: an acknowledgement that is not empty is FRAME_SIZE_ERROR
    //= rfc9113 6.5 MUST 8: SETTINGS of a length that is no multiple of 6 is FRAME_SIZE_ERROR
    //= rfc9113 6.7 MUST 5: PING of any length but 8 is FRAME_SIZE_ERROR
    //= rfc9113 6.9 MUST 5: WINDOW_UPDATE of any length but 4 is FRAME_SIZE_ERROR
    fn check_length(self) -> Result<(), Http2Error> {
        let padding = u32::from(self.has(PADDED));
        let is_valid = match self.kind {
            Kind::Data => self.length >= padding,
            Kind::Headers => self.length >= padding + if self.has(PRIORITY) { 5 } else { 0 },
            Kind::PushPromise => self.length >= padding + 4,
            Kind::RstStream | Kind::WindowUpdate => self.length == 4,
            Kind::Settings if self.has(ACK) => self.length == 0,
            Kind::Settings => self.length.is_multiple_of(6),
            Kind::Ping => self.length == 8,
            Kind::GoAway => self.length >= 8,
            // A PRIORITY of another length is an error of its stream alone, and means nothing whatever its length.
            Kind::Priority | Kind::Continuation | Kind::Unknown => true,
        };
        if is_valid { Ok(()) } else { Err(Http2Error::FrameSize) }
    }

    /// The nine bytes of a frame that is sent.
    //= rfc9113 4.1 MUST 3: a flag that a type does not have is never set
    //= rfc9113 4.1 MUST 4: the bit before a stream's number is sent as 0
    pub(super) fn encode(kind: Kind, flags: u8, stream: u32, length: u32) -> [u8; HEAD] {
        let [_, a, b, c] = length.to_be_bytes();
        let kind = Kind::KNOWN.iter().position(|known| *known == kind).unwrap_or_default();
        let [d, e, f, g] = stream.to_be_bytes();
        [a, b, c, kind as u8, flags, d, e, f, g]
    }
}
