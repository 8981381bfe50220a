//! Is a request one for a WebSocket, and a valid one? (RFC 6455 §4.2.1, §4.2.2, §10.2; RFC 8441 §5)
//!
//! [`RequestHead`] is what a parser, ours or another's, found; [`classify`](RequestHead::classify) walks over its fields
//! once, notes what concerns us, and judges. What comes out as a [`Request`] passed every check, so accepting it cannot
//! fail.

use alloc::boxed::Box;
use alloc::string::String;
use core::ops::Deref;

use bytes::Bytes;

use super::accept::{Accept, Response, Subprotocol};
use super::fields::{Fields, Lines, Raw};
use super::key::Key;
use super::token::{HOST, contains, elements, is, is_of, is_token};
use super::{extensions, key};
use crate::config::{Agreed, Config, OriginPolicy};
use crate::deflate::params::Answer;
use crate::error::RequestError;

const MAX_SUBPROTOCOLS: usize = 64;
const SUBPROTOCOLS: &str = "Sec-WebSocket-Protocol";

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
    /// ASCII, and the other UTF-8: both were judged as bytes, and become text for who asks.
    host: &'a [u8],
    origin: Option<&'a [u8]>,
    /// None where RFC 8441 has no need of one.
    key: Option<&'a Key>,
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
        self.classify_by(&Facts::of(self.fields.raw()), config)
    }

    /// The same, where somebody walked over the fields already.
    pub(crate) fn classify_by(self, facts: &Facts<'a>, config: &Config) -> Classified<'a> {
        match self.judge(facts, config) {
            Ok(Some(request)) => Classified::WebSocket(request),
            Ok(None) => Classified::Plain(self),
            Err(error) => Classified::Refused(error),
        }
    }

    fn judge(self, facts: &Facts<'a>, config: &Config) -> Result<Option<Request<'a>>, RequestError> {
        let has_body = facts.has_body()?;
        let host = self.host(facts)?;
        if self.version != HttpVersion::Http2 && has_body {
            return Err(RequestError::Body);
        }
        if !self.asks_for_websocket(facts)? {
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
        facts.check_subprotocols(self.fields)?;
        let wished = config.compression().map(|compression| compression.parameters());
        let deflate = match facts.extensions {
            Once::None => Ok(None),
            Once::One(line) => extensions::accept_line(line, wished),
            Once::More => extensions::accept(self.fields.values(extensions::NAME), wished),
        };
        let deflate = deflate.map_err(|_| RequestError::InvalidExtensions)?;
        Ok(Some(Request { head: self, host, origin, key, deflate }))
    }

    /// The host that is addressed. Every HTTP/1.1 request names one, and only one.
    fn host(&self, facts: &Facts<'a>) -> Result<Option<&'a [u8]>, RequestError> {
        // What an absolute target names goes before the field (RFC 9112 §3.2.2).
        let named = match (facts.host, self.authority.or(authority_of(self.target))) {
            (Once::More, _) => return Err(RequestError::InvalidHost),
            (Once::None, Some(_)) if self.version == HttpVersion::Http11 => return Err(RequestError::InvalidHost),
            (_, Some(authority)) => Some(authority.as_bytes()),
            (Once::One(host), None) => Some(host),
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
        text(self.host).unwrap_or_default()
    }

    /// The page that the request comes from; browsers always name it. It has passed the origin policy.
    pub fn origin(&self) -> Option<&'a str> {
        self.origin.and_then(text)
    }

    /// The subprotocols that the client offers, best first (RFC 6455 §1.9).
    pub fn subprotocols(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        subprotocols(self.head.fields.values(SUBPROTOCOLS)).filter_map(Result::ok)
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
        let (fields, agreed) = self.answer_behind("", accept);
        (Response::from_parts(if self.key.is_some() { 101 } else { 200 }, fields, Bytes::new()), agreed)
    }

    /// The fields of that response, behind a first line that the carrier writes.
    pub(crate) fn answer_behind(&self, first_line: &str, accept: &Accept<'_>) -> (Lines, Agreed) {
        // One that was selected from another request is not answered here.
        let subprotocol = accept.subprotocol.filter(|chosen| self.subprotocols().any(|offered| offered == chosen.0));
        let deflate = match &accept.config {
            None => self.deflate,
            // The session's own wishes.
            Some(config) => {
                let wished = config.compression().map(|compression| compression.parameters());
                extensions::accept(self.head.fields.values(extensions::NAME), wished).unwrap_or_default()
            }
        };
        // Allocated once: 95 is what the key takes, with the empty line; few answers on an extension take more than 46.
        let subprotocol_length = subprotocol.map_or(0, |name| name.0.len() + 26);
        let length = 95 + subprotocol_length + deflate.map_or(0, |_| 46) + accept.fields.as_bytes().len();
        let mut fields = Lines::behind(first_line, length);
        if let Some(key) = self.key {
            fields.append(b"Upgrade: websocket\r\nConnection: Upgrade\r\n");
            fields.push("Sec-WebSocket-Accept", key::accept(key).as_bytes());
        }
        if let Some(Subprotocol(name)) = subprotocol {
            fields.push("Sec-WebSocket-Protocol", name);
        }
        if let Some(answer) = deflate {
            fields.push_displayed("Sec-WebSocket-Extensions", &answer);
        }
        fields.append(accept.fields.as_bytes());
        let subprotocol = subprotocol.map(|Subprotocol(name)| Box::from(name));
        (fields, Agreed { subprotocol, deflate: deflate.map(|answer| answer.parameters) })
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
    /// The values of a field that may stand more often too, found without another walk where it does not.
    fn values<'n>(self, fields: Fields<'a>, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        let (one, more) = match self {
            Once::None => (None, None),
            Once::One(value) => (Some(value), None),
            Once::More => (None, Some(fields.values(name))),
        };
        one.into_iter().chain(more.into_iter().flatten())
    }

    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::None => Once::One(value),
            _ => Once::More,
        };
    }
}

/// What one walk over the fields noted.
#[derive(Default)]
pub(crate) struct Facts<'a> {
    host: Once<'a>,
    key: Once<'a>,
    version: Once<'a>,
    origin: Once<'a>,
    length: Once<'a>,
    subprotocols: Once<'a>,
    extensions: Once<'a>,
    upgrade: bool,
    connection: bool,
    is_encoded: bool,
}

impl<'a> Facts<'a> {
    /// Notes what concerns us in fields given by name and value.
    pub(crate) fn of(fields: impl Iterator<Item = Raw<'a>>) -> Facts<'a> {
        let mut facts = Facts::default();
        for (name, value) in fields {
            // The length of a name rules out most others before a byte is compared.
            match name.len() {
                4 if is(name, b"Host") => facts.host.add(value),
                6 if is(name, b"Origin") => facts.origin.add(value),
                7 if is(name, b"Upgrade") => facts.upgrade |= contains(value, b"websocket"),
                10 if is(name, b"Connection") => facts.connection |= contains(value, b"Upgrade"),
                14 if is(name, b"Content-Length") => facts.length.add(value),
                17 if is(name, b"Sec-WebSocket-Key") => facts.key.add(value),
                17 if is(name, b"Transfer-Encoding") => facts.is_encoded = true,
                21 if is(name, b"Sec-WebSocket-Version") => facts.version.add(value),
                22 if is(name, SUBPROTOCOLS.as_bytes()) => facts.subprotocols.add(value),
                24 if is(name, extensions::NAME.as_bytes()) => facts.extensions.add(value),
                _ => {}
            }
        }
        facts
    }

    fn has_body(&self) -> Result<bool, RequestError> {
        match self.length {
            Once::None => Ok(self.is_encoded),
            Once::One(length) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                Ok(self.is_encoded || length.iter().any(|digit| *digit != b'0'))
            }
            _ => Err(RequestError::Malformed),
        }
    }

    // RFC 6455 §4.2.1 (5): the base64 of 16 bytes, and once.
    fn key(&self) -> Result<&'a Key, RequestError> {
        match self.key {
            Once::None => Err(RequestError::MissingKey),
            Once::More => Err(RequestError::InvalidKey),
            Once::One(key) => key::valid(key).ok_or(RequestError::InvalidKey),
        }
    }

    // RFC 6455 §4.2.1 (8): a list of tokens.
    fn check_subprotocols(&self, fields: Fields<'a>) -> Result<(), RequestError> {
        if matches!(self.subprotocols, Once::None) {
            return Ok(());
        }
        let mut seen = [""; MAX_SUBPROTOCOLS];
        let mut count = 0;
        for name in subprotocols(self.subprotocols.values(fields, SUBPROTOCOLS)) {
            let name = name?;
            // RFC 6455 §4.1 (10): none stands twice. They are few, so each is compared with those before it.
            if seen.iter().take(count).any(|other| *other == name) {
                return Err(RequestError::InvalidSubprotocol);
            }
            *seen.get_mut(count).ok_or(RequestError::InvalidSubprotocol)? = name;
            count += 1;
        }
        if count == 0 { Err(RequestError::InvalidSubprotocol) } else { Ok(()) }
    }

    //= rfc6455 4.2.2 MUST 3: an origin that is not wanted gets 403
    fn origin(&self, config: &Config, host: &[u8]) -> Result<Option<&'a [u8]>, RequestError> {
        match self.origin {
            Once::None if config.require_origin => Err(RequestError::MissingOrigin),
            Once::None => Ok(None),
            Once::More => Err(RequestError::RepeatedOrigin),
            Once::One(origin) if is_allowed(origin, host, &config.origin) => Ok(Some(origin)),
            Once::One(_) => Err(RequestError::ForbiddenOrigin),
        }
    }
}

/// Asks the policy, but for what it surely allows: a page whose origin names the host to the letter.
fn is_allowed(origin: &[u8], host: &[u8], policy: &OriginPolicy) -> bool {
    let is_same = |scheme| origin.strip_prefix(scheme) == Some(host);
    matches!(policy, OriginPolicy::SameHost) && (is_same(&b"https://"[..]) || is_same(b"http://"))
        || text(origin).zip(text(host)).is_some_and(|(origin, host)| policy.allows(origin, host))
}

fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

/// The authority in a target of absolute form.
fn authority_of(target: &str) -> Option<&str> {
    // Nearly every target is a path, which need not be searched for a scheme.
    if target.starts_with('/') {
        return None;
    }
    let (scheme, rest) = target.split_once("://")?;
    let known = ["http", "https", "ws", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
    known.then(|| rest.split(['/', '?']).next().unwrap_or_default())
}

/// Origin form or absolute form, without a fragment.
fn is_target(target: &str) -> bool {
    (target.starts_with('/') || authority_of(target).is_some())
        // All bytes are looked at, so many at a time.
        && target.bytes().fold(true, |fine, byte| fine & matches!(byte, 0x21..=0x7E) & (byte != b'#'))
}

/// A host and perhaps a port, as `Host` has them (RFC 9110 §7.2, RFC 3986 §3.2.2).
pub(super) fn is_authority(host: &[u8]) -> bool {
    if let Some(literal) = host.strip_prefix(b"[") {
        return text(literal)
            .and_then(|literal| literal.split_once(']'))
            .is_some_and(|(address, rest)| address.parse::<core::net::Ipv6Addr>().is_ok() && is_port(rest.as_bytes()));
    }
    let end = host.iter().position(|byte| !is_of(HOST, *byte)).unwrap_or(host.len());
    end > 0 && host.get(end..).is_some_and(is_port)
}

/// What may follow the name of a host.
fn is_port(rest: &[u8]) -> bool {
    let digits = |port: &[u8]| port.len() <= 5 && port.iter().all(u8::is_ascii_digit);
    rest.is_empty() || rest.strip_prefix(b":").is_some_and(digits)
}

fn subprotocols<'a>(lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Result<&'a str, RequestError>> {
    lines.flat_map(elements).map(|name| {
        core::str::from_utf8(name).ok().filter(|name| is_token(name)).ok_or(RequestError::InvalidSubprotocol)
    })
}

/// The text that a refusal carries for whoever debugs the client.
pub(super) fn explanation(error: RequestError) -> String {
    alloc::format!("{error}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_surely_of_the_same_host_is_so_by_the_policy() {
        let hosts = ["a.example", "A.EXAMPLE", "a.example:80", "a.example:443", "a.example:8080", "[::1]", "a"];
        let further = ["", ":80", ":443", "x", "."];
        for (host, asked) in hosts.iter().flat_map(|host| hosts.map(|asked| (host, asked))) {
            for (scheme, further) in ["http://", "https://", "HTTPS://", "ws://", "://", ""]
                .into_iter()
                .flat_map(|scheme| further.map(|further| (scheme, further)))
            {
                let origin = alloc::format!("{scheme}{asked}{further}");
                for policy in [OriginPolicy::SameHost, OriginPolicy::list(["https://a.example"]), OriginPolicy::Any] {
                    let expected = policy.allows(&origin, host);
                    assert_eq!(is_allowed(origin.as_bytes(), host.as_bytes(), &policy), expected, "{origin} on {host}");
                }
            }
        }
        assert!(!is_allowed(b"https://\xFF", b"a.example", &OriginPolicy::Any), "not UTF-8");
    }
}
