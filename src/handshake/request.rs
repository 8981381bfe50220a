//! Is a request one for a WebSocket, and a valid one? (RFC 6455 §4.2.1, §4.2.2, §10.2; RFC 8441 §5)
//!
//! [`RequestHead`] is what a parser, ours or another's, found; [`classify`](RequestHead::classify) walks over its fields
//! once, notes what concerns us, and judges. What comes out as a [`Request`] passed every check, so accepting it cannot
//! fail.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use core::ops::Deref;

use bytes::Bytes;

use super::accept::{Accept, Response, Subprotocol};
use super::fields::{Fields, Lines};
use super::token::{contains, elements, is_token};
use super::{extensions, key};
use crate::config::{Agreed, Config};
use crate::deflate::params::Answer;
use crate::error::RequestError;

const MAX_SUBPROTOCOLS: usize = 64;

/// The version of HTTP that carried a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum HttpVersion {
    /// HTTP/1.0, which carries no WebSocket.
    Http10,
    /// HTTP/1.1: a WebSocket begins with `Upgrade` (RFC 6455).
    Http11,
    /// HTTP/2: a WebSocket begins with an extended CONNECT (RFC 8441).
    Http2,
}

/// The head of a request, as far as parsing goes: whether it makes sense is yet to be said.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    method: &'a str,
    target: &'a str,
    version: HttpVersion,
    authority: Option<&'a str>,
    protocol: Option<&'a str>,
    fields: Fields<'a>,
}

/// A request for a WebSocket that passed every check: what the application decides on.
///
/// It derefs to its [`RequestHead`].
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    head: RequestHead<'a>,
    host: &'a str,
    origin: Option<&'a str>,
    /// None where RFC 8441 has no need of one.
    key: Option<&'a str>,
    /// What is answered to its offers of permessage-deflate.
    deflate: Option<Answer>,
}

/// What a request turned out to be.
#[derive(Clone, Copy, Debug)]
pub enum Classified<'a> {
    /// A valid request for a WebSocket.
    WebSocket(Request<'a>),
    /// A valid request, but not for a WebSocket.
    Plain(RequestHead<'a>),
    /// To be refused; [`Response::refusing`] says how.
    Refused(RequestError),
}

impl<'a> RequestHead<'a> {
    /// A head that another stack parsed, such as hyper.
    ///
    /// ```
    /// use sockless::{Accept, Classified, Config, HttpVersion, RequestHead};
    ///
    /// let fields = [
    ///     ("host", &b"example.com"[..]),
    ///     ("upgrade", b"websocket"),
    ///     ("connection", b"Upgrade"),
    ///     ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
    ///     ("sec-websocket-version", b"13"),
    /// ];
    /// let head = RequestHead::new("GET", "/chat", HttpVersion::Http11, fields[..].into());
    /// let Classified::WebSocket(request) = head.classify(&Config::default()) else { panic!() };
    /// let (response, _agreed) = request.answer(&Accept::new());
    /// assert_eq!(response.status(), 101);
    /// assert!(response.fields().first("sec-websocket-accept").is_some());
    /// ```
    pub fn new(method: &'a str, target: &'a str, version: HttpVersion, fields: Fields<'a>) -> RequestHead<'a> {
        RequestHead { method, target, version, authority: None, protocol: None, fields }
    }

    /// The pseudo-header fields `:authority` and `:protocol` of an HTTP/2 request (RFC 8441 §4).
    #[must_use]
    pub fn with_pseudo(mut self, authority: Option<&'a str>, protocol: Option<&'a str>) -> RequestHead<'a> {
        self.authority = authority;
        self.protocol = protocol;
        self
    }

    /// The method.
    pub fn method(&self) -> &'a str {
        self.method
    }

    /// The target as it was sent: usually a path and a query.
    pub fn target(&self) -> &'a str {
        self.target
    }

    /// The version of HTTP.
    pub fn version(&self) -> HttpVersion {
        self.version
    }

    /// All header fields.
    pub fn fields(&self) -> Fields<'a> {
        self.fields
    }

    /// Judges the head by the rules of RFC 6455 §4.2.1, or RFC 8441 §5 over HTTP/2, and by the configured origin policy.
    //= rfc6455 10.7 MUST 1: what comes in is checked
    pub fn classify(self, config: &Config) -> Classified<'a> {
        match self.judge(config) {
            Ok(Some(request)) => Classified::WebSocket(request),
            Ok(None) => Classified::Plain(self),
            Err(error) => Classified::Refused(error),
        }
    }

    fn judge(self, config: &Config) -> Result<Option<Request<'a>>, RequestError> {
        let facts = Facts::of(self.fields)?;
        let host = self.host(&facts)?;
        if self.version != HttpVersion::Http2 && facts.has_body {
            return Err(RequestError::Body);
        }
        if !self.asks_for_websocket(&facts)? {
            return Ok(None);
        }
        let host = host.ok_or(RequestError::InvalidHost)?;
        if !is_target(self.target) {
            return Err(RequestError::InvalidTarget);
        }
        match facts.version {
            Once::One(b"13") => {}
            Once::One(_) => return Err(RequestError::UnsupportedVersion),
            Once::None | Once::More => return Err(RequestError::InvalidVersion),
        }
        let key = if self.version == HttpVersion::Http2 { None } else { Some(facts.key()?) };
        let origin = facts.origin(config, host)?;
        check_subprotocols(self.fields)?;
        let wished = config.compression().map(|compression| compression.parameters());
        let deflate = extensions::accept(self.fields, wished).map_err(|_| RequestError::InvalidExtensions)?;
        Ok(Some(Request { head: self, host, origin, key, deflate }))
    }

    /// The host that is addressed. Every HTTP/1.1 request names one, and only one.
    fn host(&self, facts: &Facts<'a>) -> Result<Option<&'a str>, RequestError> {
        // What an absolute target names goes before the field (RFC 9112 §3.2.2).
        let named = match (facts.host, self.authority.or(authority_of(self.target))) {
            (Once::More, _) => return Err(RequestError::InvalidHost),
            (Once::None, Some(_)) if self.version == HttpVersion::Http11 => return Err(RequestError::InvalidHost),
            (_, Some(authority)) => Some(authority),
            (Once::One(host), None) => Some(core::str::from_utf8(host).map_err(|_| RequestError::InvalidHost)?),
            (Once::None, None) if self.version == HttpVersion::Http11 => return Err(RequestError::InvalidHost),
            (Once::None, None) => None,
        };
        match named {
            Some(host) if !is_authority(host) => Err(RequestError::InvalidHost),
            host => Ok(host),
        }
    }

    fn asks_for_websocket(&self, facts: &Facts<'a>) -> Result<bool, RequestError> {
        if self.version == HttpVersion::Http2 {
            return Ok(self.method == "CONNECT" && self.protocol.is_some_and(|p| p.eq_ignore_ascii_case("websocket")));
        }
        if !facts.upgrade {
            return Ok(false);
        }
        if self.method != "GET" {
            return Err(RequestError::MethodNotAllowed);
        }
        if self.version == HttpVersion::Http10 {
            return Err(RequestError::OldHttpVersion);
        }
        if !facts.connection {
            return Err(RequestError::MissingConnectionUpgrade);
        }
        Ok(true)
    }
}

impl<'a> Request<'a> {
    /// The host and port that the client addressed: `Host`, or `:authority`.
    pub fn host(&self) -> &'a str {
        self.host
    }

    /// The page that the request comes from; browsers always name it. It has passed the origin policy.
    pub fn origin(&self) -> Option<&'a str> {
        self.origin
    }

    /// The subprotocols that the client offers, best first (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        subprotocols(self.head.fields).filter_map(Result::ok)
    }

    /// The first of the offered subprotocols that is also one of `mine`. Names are compared with regard to case.
    //= rfc6455 4.2.2 MUST 6: the subprotocol is one of those that the client offered
    pub fn select(&self, mine: &[&str]) -> Option<Subprotocol<'a>> {
        self.subprotocols().find(|offered| mine.contains(offered)).map(Subprotocol)
    }

    /// The response that accepts the request, for a stack that writes it itself, and what was agreed on, for
    /// [`WebSocket::server`](crate::WebSocket::server).
    //= rfc6455 4.2.2 MUST 8: 101, Upgrade, Connection and the accept key
    //= rfc6455 4.2.2 MUST NOT 1: no subprotocol that was not agreed on
    //= rfc6455 4.2.2 MUST NOT 2: no extension that was not offered
    //= rfc6455 9 MUST NOT 1: no extension that was not asked for
    //= rfc6455 11.3.2 MUST NOT 1: no extensions field twice
    //= rfc6455 11.3.3 MUST NOT 1: one accept key
    //= rfc6455 11.3.4 MUST NOT 1: one subprotocol
    pub fn answer(&self, accept: &Accept<'_>) -> (Response, Agreed) {
        let mut fields = Lines::default();
        let status = match self.key {
            Some(key) => {
                fields.push("Upgrade", "websocket");
                fields.push("Connection", "Upgrade");
                fields.push("Sec-WebSocket-Accept", key::accept(key).as_str());
                101
            }
            None => 200,
        };
        // One that was selected from another request is not answered here.
        let subprotocol = accept.subprotocol.filter(|chosen| self.subprotocols().any(|offered| offered == chosen.0));
        if let Some(Subprotocol(name)) = subprotocol {
            fields.push("Sec-WebSocket-Protocol", name);
        }
        let deflate = match &accept.config {
            None => self.deflate,
            // The session's own wishes.
            Some(config) => {
                let wished = config.compression().map(|compression| compression.parameters());
                extensions::accept(self.head.fields, wished).unwrap_or_default()
            }
        };
        if let Some(answer) = deflate {
            fields.push("Sec-WebSocket-Extensions", &answer.to_string());
        }
        fields.append(&accept.fields);
        let subprotocol = subprotocol.map(|Subprotocol(name)| Box::from(name));
        let agreed = Agreed { subprotocol, deflate: deflate.map(|answer| answer.parameters) };
        (Response::from_parts(status, fields, Bytes::new()), agreed)
    }
}

impl<'a> Deref for Request<'a> {
    type Target = RequestHead<'a>;

    fn deref(&self) -> &RequestHead<'a> {
        &self.head
    }
}

/// A field that may stand once.
#[derive(Clone, Copy, Default)]
enum Once<'a> {
    #[default]
    None,
    One(&'a [u8]),
    More,
}

impl<'a> Once<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::None => Once::One(value),
            _ => Once::More,
        };
    }
}

/// What one walk over the fields noted.
#[derive(Default)]
struct Facts<'a> {
    host: Once<'a>,
    key: Once<'a>,
    version: Once<'a>,
    origin: Once<'a>,
    upgrade: bool,
    connection: bool,
    has_body: bool,
}

impl<'a> Facts<'a> {
    fn of(fields: Fields<'a>) -> Result<Facts<'a>, RequestError> {
        let mut facts = Facts::default();
        let mut length = Once::None;
        for field in fields.iter() {
            // The length of a name rules out most others before a byte is compared.
            match field.name.len() {
                4 if field.is("host") => facts.host.add(field.value),
                6 if field.is("origin") => facts.origin.add(field.value),
                7 if field.is("upgrade") => facts.upgrade |= contains(field.value, "websocket"),
                10 if field.is("connection") => facts.connection |= contains(field.value, "upgrade"),
                14 if field.is("content-length") => length.add(field.value),
                17 if field.is("sec-websocket-key") => facts.key.add(field.value),
                17 if field.is("transfer-encoding") => facts.has_body = true,
                21 if field.is("sec-websocket-version") => facts.version.add(field.value),
                _ => {}
            }
        }
        match length {
            Once::None => {}
            Once::One(length) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                facts.has_body |= length.iter().any(|digit| *digit != b'0');
            }
            _ => return Err(RequestError::Malformed),
        }
        Ok(facts)
    }

    // RFC 6455 §4.2.1 (5): the base64 of 16 bytes, and once.
    fn key(&self) -> Result<&'a str, RequestError> {
        match self.key {
            Once::None => Err(RequestError::MissingKey),
            Once::More => Err(RequestError::InvalidKey),
            Once::One(key) => {
                core::str::from_utf8(key).ok().filter(|key| key::is_valid(key)).ok_or(RequestError::InvalidKey)
            }
        }
    }

    //= rfc6455 4.2.2 MUST 3: an origin that is not wanted gets 403
    fn origin(&self, config: &Config, host: &str) -> Result<Option<&'a str>, RequestError> {
        match self.origin {
            Once::None if config.require_origin => Err(RequestError::MissingOrigin),
            Once::None => Ok(None),
            Once::More => Err(RequestError::RepeatedOrigin),
            Once::One(origin) => core::str::from_utf8(origin)
                .ok()
                .filter(|origin| config.origin.allows(origin, host))
                .map(Some)
                .ok_or(RequestError::ForbiddenOrigin),
        }
    }
}

/// The authority in a target of absolute form.
fn authority_of(target: &str) -> Option<&str> {
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then(|| rest.split(['/', '?']).next().unwrap_or_default())
}

/// Origin form or absolute form, without a fragment.
fn is_target(target: &str) -> bool {
    (target.starts_with('/') || authority_of(target).is_some())
        && target.bytes().all(|byte| matches!(byte, 0x21..=0x7E) && byte != b'#')
}

/// A host and perhaps a port, as `Host` has them (RFC 9110 §7.2, RFC 3986 §3.2.2).
pub(super) fn is_authority(host: &str) -> bool {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<core::net::Ipv6Addr>().is_ok() => {
            return rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port);
        }
        Some(_) => return false,
        None => host.split_once(':').map_or((host, ""), |(name, port)| (name, port)),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(&byte);
    !name.is_empty() && name.bytes().all(is_name) && is_port(port)
}

fn is_port(port: &str) -> bool {
    port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
}

// RFC 6455 §4.2.1 (8): a list of tokens.
fn check_subprotocols(fields: Fields<'_>) -> Result<(), RequestError> {
    let mut seen = [""; MAX_SUBPROTOCOLS];
    let mut count = 0;
    for name in subprotocols(fields) {
        let name = name?;
        // RFC 6455 §4.1 (10): none stands twice. They are few, so each is compared with those before it.
        if seen.iter().take(count).any(|other| *other == name) {
            return Err(RequestError::InvalidSubprotocol);
        }
        *seen.get_mut(count).ok_or(RequestError::InvalidSubprotocol)? = name;
        count += 1;
    }
    let lists_nothing = count == 0 && fields.first("sec-websocket-protocol").is_some();
    if lists_nothing { Err(RequestError::InvalidSubprotocol) } else { Ok(()) }
}

fn subprotocols<'a>(fields: Fields<'a>) -> impl Iterator<Item = Result<&'a str, RequestError>> + use<'a> {
    fields.all("sec-websocket-protocol").flat_map(|field| elements(field.value)).map(|name| {
        core::str::from_utf8(name).ok().filter(|name| is_token(name)).ok_or(RequestError::InvalidSubprotocol)
    })
}

/// The text that a refusal carries for whoever debugs the client.
pub(super) fn explanation(error: RequestError) -> String {
    alloc::format!("{error}\n")
}
