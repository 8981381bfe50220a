//! What ends a connection of HTTP/2, or a stream of it? (RFC 9113 §5.4, §7)

use core::fmt;

/// A code in RST_STREAM and GOAWAY (RFC 9113 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ErrorCode(u32);

impl ErrorCode {
    /// 0: nothing is wrong.
    pub const NO_ERROR: ErrorCode = ErrorCode(0x0);
    /// 1
    pub const PROTOCOL_ERROR: ErrorCode = ErrorCode(0x1);
    /// 2
    pub const INTERNAL_ERROR: ErrorCode = ErrorCode(0x2);
    /// 3
    pub const FLOW_CONTROL_ERROR: ErrorCode = ErrorCode(0x3);
    /// 4
    pub const SETTINGS_TIMEOUT: ErrorCode = ErrorCode(0x4);
    /// 5
    pub const STREAM_CLOSED: ErrorCode = ErrorCode(0x5);
    /// 6
    pub const FRAME_SIZE_ERROR: ErrorCode = ErrorCode(0x6);
    /// 7: nothing of the stream was processed.
    pub const REFUSED_STREAM: ErrorCode = ErrorCode(0x7);
    /// 8: the stream is no longer wanted; what a reset is to TCP (RFC 8441 §5).
    pub const CANCEL: ErrorCode = ErrorCode(0x8);
    /// 9
    pub const COMPRESSION_ERROR: ErrorCode = ErrorCode(0x9);
    /// 10
    pub const CONNECT_ERROR: ErrorCode = ErrorCode(0xA);
    /// 11: the peer makes work that serves nothing.
    pub const ENHANCE_YOUR_CALM: ErrorCode = ErrorCode(0xB);
    /// 12
    pub const INADEQUATE_SECURITY: ErrorCode = ErrorCode(0xC);
    /// 13
    pub const HTTP_1_1_REQUIRED: ErrorCode = ErrorCode(0xD);

    /// Any code: unknown ones mean nothing special.
    //= rfc9113 7 MUST NOT 1: an unknown code means nothing special
    pub const fn new(code: u32) -> ErrorCode {
        ErrorCode(code)
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// How far a violation reaches (RFC 9113 §5.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// The whole connection ends, with GOAWAY.
    Connection,
    /// One stream ends, with RST_STREAM.
    Stream,
}

macro_rules! violations {
    ($($(#[$doc:meta])* $name:ident: $scope:ident $code:ident, $section:literal, $text:literal;)*) => {
        /// A violation of HTTP/2, or of a limit, by the peer.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Http2Error {
            $($(#[$doc])* #[doc = concat!("§", $section)] $name,)*
        }

        impl Http2Error {
            /// The code of the GOAWAY or RST_STREAM that tells the peer.
            pub const fn code(self) -> ErrorCode {
                match self { $(Http2Error::$name => ErrorCode::$code,)* }
            }

            /// Whether the connection ends, or a stream of it.
            pub const fn scope(self) -> Scope {
                match self { $(Http2Error::$name => Scope::$scope,)* }
            }

            /// The section of RFC 9113 that was broken; of RFC 7541 or 8441 where it says so.
            pub const fn section(self) -> &'static str {
                match self { $(Http2Error::$name => $section,)* }
            }
        }

        impl fmt::Display for Http2Error {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Http2Error::$name => $text,)* })
            }
        }
    };
}

violations! {
    /// A client's connection does not begin with the preface of HTTP/2.
    InvalidPreface: Connection PROTOCOL_ERROR, "3.4", "the connection does not begin with the preface";
    /// The first frame is not SETTINGS.
    MissingSettings: Connection PROTOCOL_ERROR, "3.4", "the first frame is not SETTINGS";
    /// A frame longer than was allowed.
    FrameTooLong: Connection FRAME_SIZE_ERROR, "4.2", "a frame is longer than was allowed";
    /// A frame of a length that its type cannot have.
    FrameSize: Connection FRAME_SIZE_ERROR, "4.2", "a frame has a length that its type cannot have";
    /// A frame of a stream on stream 0.
    StreamZero: Connection PROTOCOL_ERROR, "6", "a frame of a stream stands on stream 0";
    /// A frame of the connection on a stream.
    StreamNotZero: Connection PROTOCOL_ERROR, "6", "a frame of the connection stands on a stream";
    /// More padding than payload.
    PaddingTooLong: Connection PROTOCOL_ERROR, "6.1", "there is more padding than payload";
    /// A block of header fields that is not decodable, which ends what both sides know of each other's fields.
    Compression: Connection COMPRESSION_ERROR, "4.3", "a block of header fields cannot be decoded";
    /// Something between HEADERS and its CONTINUATION, or a CONTINUATION without HEADERS.
    ContinuationExpected: Connection PROTOCOL_ERROR, "6.10", "a block of header fields is interrupted, or continued without a beginning";
    /// A frame on a stream that was never opened, or that only the other side can open.
    IdleStream: Connection PROTOCOL_ERROR, "5.1", "a frame on a stream that was not opened";
    /// A stream with an identifier that is not above all before it, or of the wrong parity.
    InvalidStreamId: Connection PROTOCOL_ERROR, "5.1.1", "a new stream has an identifier that it cannot have";
    /// DATA or HEADERS behind the end of a stream.
    StreamClosed: Stream STREAM_CLOSED, "5.1", "a frame behind the end of a stream";
    /// More streams at once than were allowed.
    TooManyStreams: Stream REFUSED_STREAM, "5.1.2", "there are more streams than were allowed";
    /// A setting with a value that it cannot have.
    InvalidSetting: Connection PROTOCOL_ERROR, "6.5.2", "a setting has a value that it cannot have";
    /// An initial window beyond 2^31 - 1.
    InitialWindowTooLarge: Connection FLOW_CONTROL_ERROR, "6.5.2", "the initial window is too large";
    /// The extended CONNECT was allowed, and then no longer. RFC 8441
    ConnectProtocolWithdrawn: Connection PROTOCOL_ERROR, "8441 3", "the extended CONNECT is withdrawn";
    /// An acknowledgement of settings that were not sent.
    UnaskedAcknowledgement: Connection PROTOCOL_ERROR, "6.5.3", "settings are acknowledged that were not sent";
    /// A server that pushes, or a client that promises.
    PushPromise: Connection PROTOCOL_ERROR, "6.6", "PUSH_PROMISE, which was not allowed";
    /// WINDOW_UPDATE of nothing, on the connection.
    ZeroIncrement: Connection PROTOCOL_ERROR, "6.9", "a window is enlarged by nothing";
    /// WINDOW_UPDATE of nothing, on a stream.
    ZeroStreamIncrement: Stream PROTOCOL_ERROR, "6.9", "a stream's window is enlarged by nothing";
    /// A window of the connection beyond 2^31 - 1.
    WindowOverflow: Connection FLOW_CONTROL_ERROR, "6.9.1", "a window grows too large";
    /// A stream's window beyond 2^31 - 1.
    StreamWindowOverflow: Stream FLOW_CONTROL_ERROR, "6.9.1", "a stream's window grows too large";
    /// A PRIORITY that is not five bytes long, on a stream that is open.
    PriorityLength: Stream FRAME_SIZE_ERROR, "6.3", "a PRIORITY is not five bytes long";
    /// More DATA than the window allowed.
    WindowExceeded: Connection FLOW_CONTROL_ERROR, "6.9", "more DATA than the window allows";
    /// A head that is malformed: a pseudo-header field that is missing, repeated, unknown or behind others, a name in upper
    /// case, a field that only HTTP/1.1 has, a character that may not be there.
    MalformedHead: Stream PROTOCOL_ERROR, "8.1.1", "a head is malformed";
    /// An extended CONNECT on a connection that did not allow it.
    ConnectProtocolNotAllowed: Stream PROTOCOL_ERROR, "8441 3", "an extended CONNECT that was not allowed";
    /// Fields behind the head of a WebSocket.
    Trailers: Stream PROTOCOL_ERROR, "8.5", "header fields behind the head of a tunnel";
    /// A block of header fields in more frames, or of more bytes, than is allowed.
    HeadTooLarge: Connection ENHANCE_YOUR_CALM, "10.5.1", "a block of header fields is too large";
    /// More resets, by either side, than honest peers need.
    TooManyResets: Connection ENHANCE_YOUR_CALM, "10.5", "too many streams are reset";
    /// More frames that serve nothing than honest peers send: PING, SETTINGS, WINDOW_UPDATE, PRIORITY, empty DATA.
    TooManyIdleFrames: Connection ENHANCE_YOUR_CALM, "10.5", "too many frames that serve nothing";
    /// More bytes of answers than [`Http2Limits::answers`](crate::Http2Limits::answers): the peer asks, and does not read.
    TooManyAnswers: Connection ENHANCE_YOUR_CALM, "10.5", "the peer does not read what it asks for";
    /// A block of header fields that does not come to its end in time.
    HeadTimeout: Connection ENHANCE_YOUR_CALM, "10.5.1", "a block of header fields takes too long";
    /// The peer does not send its settings, or acknowledge ours, in time.
    SettingsTimeout: Connection SETTINGS_TIMEOUT, "6.5.3", "the settings are not acknowledged";
}

impl core::error::Error for Http2Error {}
