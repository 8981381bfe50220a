//! What can a peer do wrong, which section of which RFC does it break, and what is it told?
//!
//! One flat variant a violation, so that a test can name it. [`Error`] is for the stream of frames and knows its close
//! code; [`RequestError`] is for a request that a server refuses and knows its status; [`ResponseError`] is for a response
//! that a client refuses. A peer's fault reaches the application as an event, never as an `Err`: `Err` is for what the
//! caller itself did.

use core::fmt;
use core::num::NonZeroU16;

/// A status code of a Close frame that may stand on the wire (RFC 6455 §7.4).
///
/// Those that may not (below 1000, 1004, 1005, 1006, 1015 to 2999 and from 5000) cannot be written:
///
/// ```
/// use sockless::CloseCode;
///
/// assert_eq!(CloseCode::new(1000), Some(CloseCode::NORMAL));
/// assert_eq!(CloseCode::new(4321).map(CloseCode::get), Some(4321));
/// assert_eq!(CloseCode::new(1006), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(NonZeroU16);

impl CloseCode {
    /// 1000: the purpose of the connection has been fulfilled.
    pub const NORMAL: CloseCode = CloseCode::known(1000);
    /// 1001: a server goes down, or a browser leaves the page.
    pub const GOING_AWAY: CloseCode = CloseCode::known(1001);
    /// 1002: the peer broke the protocol.
    pub const PROTOCOL_ERROR: CloseCode = CloseCode::known(1002);
    /// 1003: a type of data that cannot be accepted, such as binary where only text is understood.
    pub const UNSUPPORTED_DATA: CloseCode = CloseCode::known(1003);
    /// 1007: data that is not what its type says, such as text that is not UTF-8.
    pub const INVALID_PAYLOAD: CloseCode = CloseCode::known(1007);
    /// 1008: a message that breaks a policy.
    pub const POLICY_VIOLATION: CloseCode = CloseCode::known(1008);
    /// 1009: a message that is too big.
    pub const MESSAGE_TOO_BIG: CloseCode = CloseCode::known(1009);
    /// 1010: the client misses an extension in the server's answer.
    pub const MANDATORY_EXTENSION: CloseCode = CloseCode::known(1010);
    /// 1011: the server met an unexpected condition.
    pub const INTERNAL_ERROR: CloseCode = CloseCode::known(1011);
    /// 1012: the service restarts (IANA registry).
    pub const SERVICE_RESTART: CloseCode = CloseCode::known(1012);
    /// 1013: try again later (IANA registry).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode::known(1013);
    /// 1014: a gateway got a bad answer (IANA registry).
    pub const BAD_GATEWAY: CloseCode = CloseCode::known(1014);

    /// The code as a type, if it may stand in a Close frame.
    //= rfc6455 7.4.1 MUST NOT 1: 1005 is never on the wire
    //= rfc6455 7.4.1 MUST NOT 2: 1006 is never on the wire
    //= rfc6455 7.4.1 MUST NOT 3: 1015 is never on the wire
    pub const fn new(code: u16) -> Option<CloseCode> {
        match (code, NonZeroU16::new(code)) {
            (1000..=1003 | 1007..=1014 | 3000..=4999, Some(code)) => Some(CloseCode(code)),
            _ => None,
        }
    }

    /// The code as it stands on the wire.
    pub const fn get(self) -> u16 {
        self.0.get()
    }

    const fn known(code: u16) -> CloseCode {
        match NonZeroU16::new(code) {
            Some(code) => CloseCode(code),
            None => CloseCode(NonZeroU16::MIN),
        }
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A violation of the protocol, or of a limit, on the stream of frames.
///
/// The engine has then already queued the Close frame that it implies and ignores what the peer still sends
/// (RFC 6455 §7.1.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Error {
    /// RSV1, RSV2 or RSV3 is set and no extension gave it a meaning. §5.2
    ReservedBits,
    /// Opcode 3 to 7 or 11 to 15. §5.2
    ReservedOpcode,
    /// A client sent a frame that is not masked. §5.1
    UnmaskedFrame,
    /// A server sent a masked frame. §5.1
    MaskedFrame,
    /// A Close, Ping or Pong without FIN. §5.5
    FragmentedControl,
    /// A Close, Ping or Pong of more than 125 bytes. §5.5
    ControlTooLong,
    /// A length in more bytes than it needs. §5.2
    LengthNotMinimal,
    /// A length with its most significant bit set. §5.2
    LengthOverflow,
    /// A continuation frame where no message is under way. §5.4
    UnexpectedContinuation,
    /// A new message inside a fragmented one. §5.4
    ExpectedContinuation,
    /// Text that is not UTF-8. §8.1
    InvalidUtf8,
    /// A Close frame with a body of one byte. §5.5.1
    InvalidCloseBody,
    /// A Close frame with a code that must not be sent. §7.4
    InvalidCloseCode,
    /// A Close frame with a reason that is not UTF-8. §5.5.1, §8.1
    InvalidCloseReason,
    /// A frame longer than [`Limits::frame`](crate::Limits::frame). §10.4
    FrameTooBig,
    /// A message longer than [`Limits::message`](crate::Limits::message). §10.4
    MessageTooBig,
    /// A message of more frames than [`Limits::fragments`](crate::Limits::fragments). §10.4
    TooManyFragments,
    /// A compressed message that does not decompress: bad blocks, a reference to before the window, an end inside of a
    /// block. RFC 7692 §7.2.2
    InvalidDeflate,
    /// A compressed message that grows to more than [`Limits::ratio`](crate::Limits::ratio) times its size. RFC 7692 §8
    RatioTooHigh,
    /// A compressed message that costs much more than it brings out: more than 4 KiB and eight bytes for each, where a stream
    /// that ends inside of the message (BFINAL) costs as much as the window that is copied for the next. RFC 7692 §8
    EmptyBlocks,
}

impl Error {
    /// The code of the Close frame that tells the peer (RFC 6455 §7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Error::InvalidUtf8 | Error::InvalidCloseReason | Error::InvalidDeflate => CloseCode::INVALID_PAYLOAD,
            Error::FrameTooBig | Error::MessageTooBig | Error::RatioTooHigh => CloseCode::MESSAGE_TOO_BIG,
            Error::TooManyFragments | Error::EmptyBlocks => CloseCode::POLICY_VIOLATION,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The section that was broken: of RFC 7692 for [`InvalidDeflate`](Error::InvalidDeflate),
    /// [`RatioTooHigh`](Error::RatioTooHigh) and [`EmptyBlocks`](Error::EmptyBlocks), of RFC 6455 for all others.
    pub const fn section(self) -> &'static str {
        match self {
            Error::UnmaskedFrame | Error::MaskedFrame => "5.1",
            Error::ReservedBits | Error::ReservedOpcode | Error::LengthNotMinimal | Error::LengthOverflow => "5.2",
            Error::UnexpectedContinuation | Error::ExpectedContinuation => "5.4",
            Error::FragmentedControl | Error::ControlTooLong => "5.5",
            Error::InvalidCloseBody | Error::InvalidCloseReason => "5.5.1",
            Error::InvalidCloseCode => "7.4",
            Error::InvalidUtf8 => "8.1",
            Error::FrameTooBig | Error::MessageTooBig | Error::TooManyFragments => "10.4",
            Error::InvalidDeflate => "7.2.2",
            Error::RatioTooHigh | Error::EmptyBlocks => "8",
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Error::ReservedBits => "a reserved bit is set",
            Error::ReservedOpcode => "reserved opcode",
            Error::UnmaskedFrame => "a client's frame is not masked",
            Error::MaskedFrame => "a server's frame is masked",
            Error::FragmentedControl => "a control frame is fragmented",
            Error::ControlTooLong => "a control frame is longer than 125 bytes",
            Error::LengthNotMinimal => "a length is not in its shortest form",
            Error::LengthOverflow => "the top bit of a length is set",
            Error::UnexpectedContinuation => "a continuation frame without a message",
            Error::ExpectedContinuation => "a new message inside a fragmented one",
            Error::InvalidUtf8 => "text that is not UTF-8",
            Error::InvalidCloseBody => "a Close body of one byte",
            Error::InvalidCloseCode => "a close code that must not be sent",
            Error::InvalidCloseReason => "a close reason that is not UTF-8",
            Error::FrameTooBig => "the frame is too big",
            Error::MessageTooBig => "the message is too big",
            Error::TooManyFragments => "the message has too many fragments",
            Error::InvalidDeflate => "the message does not decompress",
            Error::RatioTooHigh => "the message grows too much when it is decompressed",
            Error::EmptyBlocks => "the compressed message costs more than it carries",
        })
    }
}

impl core::error::Error for Error {}

/// Why a server refuses a request for a WebSocket; the engine has the fitting response ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RequestError {
    /// Not HTTP/1.1: a bad request line or header field, a bare LF, a NUL. RFC 9112 §2.2, §3, §5 → 400
    Malformed,
    /// The request line is longer than [`Limits::target`](crate::Limits::target) allows. → 414
    TargetTooLong,
    /// The head is longer than [`Limits::head`](crate::Limits::head). → 431
    HeadTooLarge,
    /// More header fields than [`Limits::fields`](crate::Limits::fields). → 431
    TooManyFields,
    /// Major or minor version that is neither 1.0 nor 1.1. → 505
    UnsupportedHttpVersion,
    /// A WebSocket needs HTTP/1.1 or higher. RFC 6455 §4.2.1 (1) → 400
    OldHttpVersion,
    /// A WebSocket is asked for with GET. RFC 6455 §4.2.1 (1) → 405
    MethodNotAllowed,
    /// No `Host`, two, or one that is no authority. RFC 9112 §3.2, RFC 6455 §4.2.1 (2) → 400
    InvalidHost,
    /// A target in neither origin nor absolute form, or with a fragment. RFC 6455 §3, §4.2.1 → 400
    InvalidTarget,
    /// The request announces a body. → 400
    Body,
    /// `Upgrade: websocket` without `Connection: Upgrade`. RFC 6455 §4.2.1 (4) → 400
    MissingConnectionUpgrade,
    /// No `Sec-WebSocket-Key`. RFC 6455 §4.2.1 (5) → 400
    MissingKey,
    /// A `Sec-WebSocket-Key` that is not the base64 of 16 bytes, or two of them. RFC 6455 §4.2.1 (5), §11.3.1 → 400
    InvalidKey,
    /// No `Sec-WebSocket-Version`, or two. RFC 6455 §4.2.1 (6), §11.3.5 → 400, names 13
    InvalidVersion,
    /// A `Sec-WebSocket-Version` other than 13. RFC 6455 §4.2.2, §4.4 → 426, names 13
    UnsupportedVersion,
    /// `Sec-WebSocket-Protocol` with something that is no token, or the same one twice. RFC 6455 §11.3.4 → 400
    InvalidSubprotocol,
    /// `Sec-WebSocket-Extensions` that does not follow its grammar. RFC 6455 §9.1 → 400
    InvalidExtensions,
    /// Two `Origin` fields. RFC 6454 §7.3 → 400
    RepeatedOrigin,
    /// No `Origin`, where one is required ([`Config::require_origin`](crate::Config::require_origin)). → 403
    MissingOrigin,
    /// The [`OriginPolicy`](crate::OriginPolicy) does not let this origin in. RFC 6455 §4.2.2, §10.2 → 403
    ForbiddenOrigin,
    /// Bytes came behind the head before the offer was answered. RFC 6455 §4.1 → 400
    EarlyData,
    /// CONNECT to another host, or for another protocol than WebSocket. RFC 8441 §4 → 501
    NotImplemented,
    /// The head did not come in time. → 408
    TimedOut,
}

impl RequestError {
    /// The status of the response that tells the client.
    pub const fn status(self) -> u16 {
        match self {
            RequestError::ForbiddenOrigin | RequestError::MissingOrigin => 403,
            RequestError::MethodNotAllowed => 405,
            RequestError::TimedOut => 408,
            RequestError::TargetTooLong => 414,
            RequestError::UnsupportedVersion => 426,
            RequestError::HeadTooLarge | RequestError::TooManyFields => 431,
            RequestError::NotImplemented => 501,
            RequestError::UnsupportedHttpVersion => 505,
            _ => 400,
        }
    }
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestError::Malformed => "the request is malformed",
            RequestError::TargetTooLong => "the request target is too long",
            RequestError::HeadTooLarge => "the request head is too large",
            RequestError::TooManyFields => "the request has too many header fields",
            RequestError::UnsupportedHttpVersion => "this version of HTTP is not supported",
            RequestError::OldHttpVersion => "a WebSocket needs HTTP/1.1",
            RequestError::MethodNotAllowed => "a WebSocket is asked for with GET",
            RequestError::InvalidHost => "the request needs one valid Host",
            RequestError::InvalidTarget => "the request target is not valid",
            RequestError::Body => "the request may not have a body",
            RequestError::MissingConnectionUpgrade => "Connection does not name Upgrade",
            RequestError::MissingKey => "Sec-WebSocket-Key is missing",
            RequestError::InvalidKey => "Sec-WebSocket-Key is not valid",
            RequestError::InvalidVersion => "the request needs one Sec-WebSocket-Version",
            RequestError::UnsupportedVersion => "Sec-WebSocket-Version is not 13",
            RequestError::InvalidSubprotocol => "Sec-WebSocket-Protocol is not valid",
            RequestError::InvalidExtensions => "Sec-WebSocket-Extensions is not valid",
            RequestError::RepeatedOrigin => "the request has two Origins",
            RequestError::MissingOrigin => "the request needs an Origin",
            RequestError::ForbiddenOrigin => "this Origin is not allowed",
            RequestError::EarlyData => "data came before the handshake was answered",
            RequestError::NotImplemented => "this protocol is not spoken here",
            RequestError::TimedOut => "the request did not come in time",
        })
    }
}

impl core::error::Error for RequestError {}

/// Why a client fails a connection whose server did not answer as RFC 6455 §4.1 asks.
///
/// A response that is simply not 101 (a redirect, a demand for credentials) is no error: it is handed to the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ResponseError {
    /// Not an HTTP/1.1 response.
    Malformed,
    /// The head is longer than [`Limits::head`](crate::Limits::head).
    HeadTooLarge,
    /// More header fields than [`Limits::fields`](crate::Limits::fields).
    TooManyFields,
    /// More interim (1xx) responses than anyone needs.
    TooManyInterimResponses,
    /// A 101 over HTTP/1.0.
    OldHttpVersion,
    /// A 101 whose `Upgrade` is not `websocket`. §4.1 (2)
    InvalidUpgrade,
    /// A 101 without `Connection: Upgrade`. §4.1 (3)
    InvalidConnection,
    /// A 101 without the right `Sec-WebSocket-Accept`, or with two. §4.1 (4)
    InvalidAccept,
    /// An extension that was not offered, or the header field is malformed or repeated. §4.1 (5), §9.1
    UnaskedExtension,
    /// permessage-deflate with a parameter that is unknown, repeated, bad, or not an answer to what was offered.
    /// RFC 7692 §7
    InvalidExtension,
    /// A subprotocol that was not asked for, or more than one. §4.1 (6)
    UnaskedSubprotocol,
    /// The server does not speak WebSocket over HTTP/2: it has not set ENABLE_CONNECT_PROTOCOL. It may over HTTP/1.1.
    /// RFC 8441 §3
    NoConnectProtocol,
    /// The body of a refusal is not framed as RFC 9112 §6 asks.
    MalformedBody,
    /// The body of a refusal is longer than [`Limits::body`](crate::Limits::body).
    BodyTooLarge,
    /// The response did not come in time.
    TimedOut,
}

impl fmt::Display for ResponseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResponseError::Malformed => "the response is malformed",
            ResponseError::HeadTooLarge => "the response head is too large",
            ResponseError::TooManyFields => "the response has too many header fields",
            ResponseError::TooManyInterimResponses => "too many interim responses",
            ResponseError::OldHttpVersion => "the response is not HTTP/1.1",
            ResponseError::InvalidUpgrade => "Upgrade is not websocket",
            ResponseError::InvalidConnection => "Connection does not name Upgrade",
            ResponseError::InvalidAccept => "Sec-WebSocket-Accept does not match the key",
            ResponseError::UnaskedExtension => "an extension that was not offered",
            ResponseError::InvalidExtension => "the parameters of an extension are not an answer to the offer",
            ResponseError::UnaskedSubprotocol => "a subprotocol that was not asked for",
            ResponseError::NoConnectProtocol => "the server does not speak WebSocket over HTTP/2",
            ResponseError::MalformedBody => "the response body is malformed",
            ResponseError::BodyTooLarge => "the response body is too large",
            ResponseError::TimedOut => "the response did not come in time",
        })
    }
}

impl core::error::Error for ResponseError {}

/// Why the caller's message, Ping or part of a message was not taken. Nothing of it was queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SendError {
    /// A Close was sent or received, or the session has ended. RFC 6455 §5.5.1
    Closed,
    /// The queue holds [`Limits::output`](crate::Limits::output) bytes: let the transport take some, then send again.
    Full,
    /// A message begun with [`begin`](crate::Sender::begin) is not finished. RFC 6455 §5.4
    MidMessage,
    /// `append` or `finish` without `begin`.
    NoMessage,
    /// `append` of text to a binary message, or the reverse.
    WrongKind,
    /// A Ping's payload is longer than 125 bytes. RFC 6455 §5.5
    ControlTooLong,
    /// The last Ping is still queued.
    PingQueued,
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendError::Closed => "the session is closing or closed",
            SendError::Full => "the output queue is full",
            SendError::MidMessage => "a message is under way",
            SendError::NoMessage => "no message is under way",
            SendError::WrongKind => "the message under way is of the other kind",
            SendError::ControlTooLong => "a Ping carries at most 125 bytes",
            SendError::PingQueued => "the last Ping is still queued",
        })
    }
}

impl core::error::Error for SendError {}

/// What the caller tried to put into a request or response that may not stand there. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BuildError {
    /// A header field's name is not a token. RFC 9110 §5.1
    InvalidName,
    /// A header field's value holds CR, LF, NUL or another control character, or begins or ends with a blank. RFC 9110 §5.5
    InvalidValue,
    /// A header field that the engine writes itself.
    ReservedName,
    /// A status that no final response has, or 101, which is written by accepting.
    InvalidStatus,
    /// A subprotocol that is not a token, or the same one twice. RFC 6455 §4.1 (10)
    InvalidSubprotocol,
    /// Not a `ws:` or `wss:` URL, or one with a fragment or user information. RFC 6455 §3
    InvalidUrl,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BuildError::InvalidName => "the name of a header field is not a token",
            BuildError::InvalidValue => "the value of a header field is not valid",
            BuildError::ReservedName => "this header field is written by the engine",
            BuildError::InvalidStatus => "not the status of a final response",
            BuildError::InvalidSubprotocol => "a subprotocol is not a token, or asked for twice",
            BuildError::InvalidUrl => "not a valid ws: or wss: URL",
        })
    }
}

impl core::error::Error for BuildError {}
