//! What may a peer make us do, and how do we behave? Every limit of the engine stands here, finite by default.
//!
//! One [`Config`] is made once, shared in an `Arc`, and read by every connection; an accepted offer may name another
//! (`Accept::config`). Durations are inclusive: a deadline is due when that much time has passed.

#[cfg_attr(not(feature = "deflate"), allow(dead_code, unreachable_pub, reason = "nobody sees a Compression"))]
mod compression;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

#[cfg_attr(not(feature = "deflate"), allow(unreachable_pub, reason = "nobody sees it"))]
pub use self::compression::Compression;
use crate::deflate::params::DeflateParameters;

/// How connections behave: limits, keep-alive, delivery, and who may connect.
///
/// ```
/// use sockless::{Config, KeepAlive, Limits, OriginPolicy};
/// use std::time::Duration;
///
/// let config = Config {
///     keep_alive: KeepAlive::Ping { interval: Duration::from_secs(15), timeout: Duration::from_secs(10) },
///     origin: OriginPolicy::list(["https://example.com"]),
///     limits: Limits { message: 64 << 10, ..Limits::default() },
///     ..Config::default()
/// };
/// assert!(config.origin.allows("https://example.com", "api.example.com"));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// What a peer may make us hold or wait for.
    pub limits: Limits,
    /// How a quiet connection is kept alive, and a dead one found.
    pub keep_alive: KeepAlive,
    /// Whether messages come whole or in pieces.
    pub delivery: Delivery,
    /// Which origins a server accepts (RFC 6455 §10.2). A web page of anyone's can open a WebSocket to any server in the
    /// name of its visitor; this check is what stands against that.
    pub origin: OriginPolicy,
    /// Whether and how messages are compressed (RFC 7692). None by default: see [`Compression`] for what it gives away.
    #[cfg(feature = "deflate")]
    pub compression: Option<Compression>,
    /// Whether a server refuses a request without `Origin`. Off by default: browsers always send it, programs rarely.
    pub require_origin: bool,
}

impl Config {
    /// How messages are compressed, if they may be.
    pub(crate) fn compression(&self) -> Option<&Compression> {
        #[cfg(feature = "deflate")]
        return self.compression.as_ref();
        #[cfg(not(feature = "deflate"))]
        None
    }
}

/// What an opening handshake agreed on: handed from [`Request::answer`](crate::Request::answer) to
/// [`WebSocket::server`](crate::WebSocket::server), and with [`ClientEvent::Open`](crate::ClientEvent::Open) to a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Agreed {
    pub(crate) subprotocol: Option<Box<str>>,
    pub(crate) deflate: Option<DeflateParameters>,
}

impl Agreed {
    /// The subprotocol that both sides speak, if one was agreed on (RFC 6455 §1.9).
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// The parameters of permessage-deflate, if it was agreed on (RFC 7692).
    pub fn deflate(&self) -> Option<DeflateParameters> {
        self.deflate
    }

    /// Adds an agreement on permessage-deflate: for a handshake that another HTTP stack negotiated.
    #[cfg(feature = "deflate")]
    #[must_use]
    pub fn with_deflate(mut self, parameters: DeflateParameters) -> Agreed {
        self.deflate = Some(parameters);
        self
    }
}

/// Everything that a peer could otherwise drive without bound.
//= rfc6455 10.4 MUST 1: the sizes of frames and messages are limited
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in a message, over all its frames. Beyond: [`Error::MessageTooBig`](crate::Error::MessageTooBig), close code
    /// 1009, at the header that announces it. What counts is the message as it is handed on: one that was compressed is
    /// refused at the first byte too many that comes out of it, or at a header that announces more than eight times as
    /// much and 4 KiB. Default 1 MiB.
    pub message: u64,
    /// How many times its size a compressed message may grow to. Beyond: [`Error::RatioTooHigh`](crate::Error::RatioTooHigh),
    /// close code 1009. Default 1032, which is as far as DEFLATE goes, so that [`message`](Limits::message) alone bounds it:
    /// honest messages of zeros or blanks reach it, and so does, with context takeover, one that was sent before. It is judged
    /// as a message comes in: one that only evens out towards its end may pass or not, as its reads are cut.
    pub ratio: u32,
    /// Bytes in a frame, as they are on the wire. Beyond: [`Error::FrameTooBig`](crate::Error::FrameTooBig), close code
    /// 1009, at the header. By default `u64::MAX`: a frame is a part of a message, whose limit bounds it.
    pub frame: u64,
    /// Frames in a message, empty ones too. Beyond: [`Error::TooManyFragments`](crate::Error::TooManyFragments), close
    /// code 1008. Default 1024.
    pub fragments: u32,
    /// Bytes in the output queue from which on the next message is refused with
    /// [`SendError::Full`](crate::SendError::Full). One message may overshoot it. Default 1 MiB.
    pub output: usize,
    /// Bytes in the head of a request ([`RequestError::HeadTooLarge`](crate::RequestError::HeadTooLarge), status 431) or of
    /// a response. Default 16 KiB.
    pub head: usize,
    /// Bytes in the first line of a head, which holds the target of a request
    /// ([`RequestError::TargetTooLong`](crate::RequestError::TargetTooLong), status 414).
    /// Default 8 KiB.
    pub target: usize,
    /// Header fields in a head ([`RequestError::TooManyFields`](crate::RequestError::TooManyFields), status 431).
    /// Default 64; never more than 128.
    pub fields: usize,
    /// Bytes in the body of a response that refuses a client's handshake
    /// ([`ResponseError::BodyTooLarge`](crate::ResponseError::BodyTooLarge)). It is handed on as it arrives and never
    /// held. Default 1 MiB.
    pub body: u64,
    /// From the start of a connection to the end of its opening handshake. Beyond: a server answers 408, or 503 where the
    /// offer lies unanswered; a client gives up. Default 10 s.
    pub open_timeout: Duration,
    /// From our Close to the peer's, and from the end of the session to the end of the transport; while our Close still
    /// waits behind other output, since the transport last took some. It also bounds the body of a response that refuses a
    /// client. Default 10 s.
    pub close_timeout: Duration,
    /// Since a byte was last received. Beyond: a Close with 1001. Default 5 min; with [`KeepAlive::Ping`] it only sees peers
    /// that answer pings, so it never comes.
    pub idle_timeout: Option<Duration>,
    /// From a message's first frame to its last. Beyond: a Close with 1008. Off by default: honest peers stream for hours.
    pub message_timeout: Option<Duration>,
    /// From the opening handshake on. Beyond: a Close with 1001. Off by default.
    pub lifetime: Option<Duration>,
    /// Since the transport last took a byte while some are queued. Beyond: the session is aborted. Default 60 s.
    pub stall_timeout: Option<Duration>,
    /// Since a byte was last received or sent, until the session's buffers are given back. Default 1 s.
    pub release: Option<Duration>,
    /// What a connection over HTTP/2 may hold beside its sessions.
    pub http2: Http2Limits,
}

/// What a peer may make a connection over HTTP/2 hold or do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http2Limits {
    /// Streams at a time, sessions and other requests, each of which may hold as much as on a connection of its own. Beyond: they
    /// are refused (REFUSED_STREAM). Default 100.
    pub sessions: u32,
    /// Bytes that may be under way to a session. At least, and by default, 65,535.
    pub session_window: u32,
    /// Bytes that may be under way to all sessions together. At least 65,535. Default 1 MiB.
    pub connection_window: u32,
    /// Frames that serve nothing (PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA) in 30 s, beyond those that useful ones
    /// answer for. Beyond: ENHANCE_YOUR_CALM. Default 1000.
    pub idle_frames: u32,
    /// Streams that are reset in 30 s, by either side, but as many as `sessions` at least. Beyond: ENHANCE_YOUR_CALM. Default
    /// 200.
    pub resets: u32,
    /// Bytes of answers (to PING, SETTINGS and such) that wait for the transport. Beyond: ENHANCE_YOUR_CALM. Default
    /// 64 KiB.
    pub answers: usize,
}

impl Default for Http2Limits {
    fn default() -> Http2Limits {
        Http2Limits {
            sessions: 100,
            session_window: 65_535,
            connection_window: 1 << 20,
            idle_frames: 1000,
            resets: 200,
            answers: 64 << 10,
        }
    }
}

impl Limits {
    /// The most header fields that [`fields`](Limits::fields) can allow.
    pub const MAX_FIELDS: usize = 128;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            message: 1 << 20,
            ratio: 1032,
            frame: u64::MAX,
            fragments: 1024,
            output: 1 << 20,
            head: 16 << 10,
            target: 8 << 10,
            fields: 64,
            body: 1 << 20,
            open_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(10),
            idle_timeout: Some(Duration::from_secs(300)),
            message_timeout: None,
            lifetime: None,
            stall_timeout: Some(Duration::from_secs(60)),
            release: Some(Duration::from_secs(1)),
            http2: Http2Limits::default(),
        }
    }
}

/// How a quiet connection is kept alive. Frames are spared while traffic flows. An interval of zero means off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeepAlive {
    /// Nothing is sent.
    Off,
    /// An unsolicited Pong whenever nothing was sent for `interval` (RFC 6455 §5.5.3): keeps proxies content, and does not
    /// notice a dead peer.
    Pong {
        /// How long nothing is sent before a Pong is.
        interval: Duration,
    },
    /// A Ping whenever nothing was received for `interval`; if after that nothing at all comes for `timeout`, the peer is
    /// dead and the session ends with [`Timer::Pong`](crate::Timer::Pong).
    Ping {
        /// How long nothing is received before a Ping is sent.
        interval: Duration,
        /// How long the peer then has, from when the transport took the Ping, to show any sign of life: any byte counts, not
        /// only the Pong. Zero gives it no time at all.
        timeout: Duration,
    },
}

impl Default for KeepAlive {
    /// A Ping after 30 s, and 20 s to answer: many proxies drop what was quiet for 60 s.
    fn default() -> KeepAlive {
        KeepAlive::Ping { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) }
    }
}

/// Whether messages come whole or in pieces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Whole, as [`Event::Message`](crate::Event::Message).
    #[default]
    Messages,
    /// In pieces as they arrive, as [`Event::Chunk`](crate::Event::Chunk): nothing is held but a character cut in two, and
    /// of a compressed message some 32 KiB. One byte may bring out many pieces, so go by the `None` of `receive`, not by
    /// what is left of the input.
    Chunks,
}

/// Decides on a request's `Origin` beside its `Host`; what [`OriginPolicy::Custom`] holds.
pub type OriginCheck = dyn Fn(&str, &str) -> bool + Send + Sync;

/// Which origins a server lets in (RFC 6455 §4.2.2, §10.2; RFC 6454).
#[derive(Clone, Default)]
#[non_exhaustive]
pub enum OriginPolicy {
    /// Pages, over http or https (a proxy may have ended TLS), of the same host and port that the request's `Host` names. A
    /// service that is reached by its address in a private network is safer with a list: an attacker can make a name of
    /// his point to that address, and then both agree.
    #[default]
    SameHost,
    /// The origins of this list: scheme and host compared without regard to case, the port exactly, a default port (80
    /// for `http`, 443 for `https`) the same as none.
    List(Vec<String>),
    /// Every origin: for public services that trust no cookie.
    Any,
    /// The caller's own rule; it is given the `Origin` and the `Host`.
    Custom(Arc<OriginCheck>),
}

impl OriginPolicy {
    /// Lets in the origins of a list, such as `https://example.com`.
    pub fn list<'a>(origins: impl IntoIterator<Item = &'a str>) -> OriginPolicy {
        OriginPolicy::List(origins.into_iter().map(ToOwned::to_owned).collect())
    }

    /// The caller's own rule on `Origin` and `Host`.
    pub fn custom(check: impl Fn(&str, &str) -> bool + Send + Sync + 'static) -> OriginPolicy {
        OriginPolicy::Custom(Arc::new(check))
    }

    /// Whether a request with this `Origin` and `Host` is let in. An opaque origin (`null`) is of no host.
    //= rfc6455 4.2.2 MAY 2: the server decides which origins it serves
    pub fn allows(&self, origin: &str, host: &str) -> bool {
        match self {
            OriginPolicy::Any => true,
            OriginPolicy::Custom(check) => check(origin, host),
            OriginPolicy::List(list) => {
                let asked = Parts::of(origin);
                list.iter().any(|entry| entry == origin || asked.is_some_and(|asked| Parts::of(entry) == Some(asked)))
            }
            OriginPolicy::SameHost => Parts::of(origin).is_some_and(|origin| origin.is_host(host)),
        }
    }
}

impl fmt::Debug for OriginPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OriginPolicy::SameHost => f.write_str("SameHost"),
            OriginPolicy::List(list) => f.debug_tuple("List").field(list).finish(),
            OriginPolicy::Any => f.write_str("Any"),
            OriginPolicy::Custom(_) => f.write_str("Custom"),
        }
    }
}

/// An origin cut into scheme and authority, the authority without its scheme's default port.
#[derive(Clone, Copy)]
struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    default_port: &'static str,
}

impl<'a> Parts<'a> {
    fn of(origin: &'a str) -> Option<Parts<'a>> {
        // Not by `split_once`, whose searcher takes longer to set up than an origin is long.
        let end = origin.as_bytes().windows(3).position(|window| window == b"://")?;
        let (scheme, authority) = (origin.get(..end)?, origin.get(end + 3..)?);
        let default_port = match scheme {
            s if s.eq_ignore_ascii_case("http") => ":80",
            s if s.eq_ignore_ascii_case("https") => ":443",
            _ => "",
        };
        let authority = without(authority, default_port);
        (!authority.is_empty()).then_some(Parts { scheme, authority, default_port })
    }

    /// Only the schemes of web pages have a host in this sense.
    fn is_host(&self, host: &str) -> bool {
        !self.default_port.is_empty() && self.authority.eq_ignore_ascii_case(without(host, self.default_port))
    }
}

impl PartialEq for Parts<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme) && self.authority.eq_ignore_ascii_case(other.authority)
    }
}

fn without<'a>(authority: &'a str, port: &str) -> &'a str {
    authority.strip_suffix(port).unwrap_or(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_host_compares_host_and_port() {
        let policy = OriginPolicy::SameHost;
        for (origin, host, allowed) in [
            ("http://example.com", "example.com", true),
            ("https://example.com", "example.com", true),
            ("HTTPS://Example.COM", "example.com", true),
            ("https://example.com", "example.com:443", true),
            ("http://example.com:80", "example.com", true),
            ("http://example.com:5000", "example.com:5000", true),
            ("http://[::1]:5000", "[::1]:5000", true),
            ("http://example.com:5000", "example.com", false),
            ("http://example.com", "example.com:443", false),
            ("http://evil.example.com", "example.com", false),
            ("http://example.com.evil", "example.com", false),
            ("null", "null", false),
            ("ftp://example.com", "example.com", false),
            ("chrome-extension://example", "example", false),
            ("http://", "", false),
            ("example.com", "example.com", false),
        ] {
            assert_eq!(policy.allows(origin, host), allowed, "{origin} on {host}");
        }
    }

    #[test]
    fn a_list_knows_default_ports_and_case() {
        let policy = OriginPolicy::list(["https://a.example", "http://b.example:8080", "null"]);
        for (origin, allowed) in [
            ("https://a.example", true),
            ("https://A.EXAMPLE:443", true),
            ("http://a.example", false),
            ("http://b.example:8080", true),
            ("http://b.example", false),
            ("null", true),
            ("", false),
        ] {
            assert_eq!(policy.allows(origin, "ignored"), allowed, "{origin}");
        }
        assert!(OriginPolicy::Any.allows("null", "x"));
        assert!(OriginPolicy::custom(|origin, host| origin.ends_with(host)).allows("app://me", "me"));
    }
}
