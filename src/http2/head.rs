//! When is a block of fields a head? (RFC 9113 §8.2, §8.3; RFC 8441 §4)
//!
//! Fields come one by one from the decoder, which must see them all, wanted or not. They are kept as text: the values of the
//! pseudo-header fields, and behind them the others as lines, as [`Fields`] walks over them in HTTP/1.1 too. Beyond the limits
//! nothing more is kept, and a malformed field spoils the whole.

use alloc::vec::Vec;
use core::ops::Range;

use super::hpack::Field;
use crate::config::Limits;
use crate::handshake::{Fields, is_token};

/// A head under way, and then whole. Its buffers serve one head after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Head {
    text: Vec<u8>,
    method: Option<Range<usize>>,
    scheme: Option<Range<usize>>,
    path: Option<Range<usize>>,
    authority: Option<Range<usize>>,
    protocol: Option<Range<usize>>,
    status: Option<Range<usize>>,
    /// Where the lines begin, once there is one.
    lines: Option<usize>,
    /// What the pieces of `cookie` are put together from (RFC 9113 §8.2.3).
    cookie: Vec<u8>,
    fields: usize,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Malformed,
    TooLarge,
    TooManyFields,
}

/// What a request asks for, as its pseudo-header fields say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asks<'a> {
    /// Something by a method other than CONNECT.
    Resource { method: &'a str, path: &'a str },
    /// A protocol on this stream (RFC 8441 §4).
    Protocol { protocol: &'a str, path: &'a str },
    /// A tunnel to somewhere else.
    Tunnel,
}

impl Head {
    /// Empties it for the next one.
    pub(super) fn clear(&mut self) {
        let Head { mut text, mut cookie, .. } = core::mem::take(self);
        text.clear();
        cookie.clear();
        *self = Head { text, cookie, ..Head::default() };
    }

    /// Takes the next field.
    //= rfc9113 10.5.1 MUST 1: a head that is too large is decoded all the same, unless the connection ends
    pub(super) fn push(&mut self, field: Field<'_>, limits: &Limits) {
        if self.fault.is_some() {
            return;
        }
        self.fields += 1;
        let size = self.text.len() + self.cookie.len() + field.name.len() + field.value.len() + 4;
        self.fault = if self.fields > limits.fields.min(Limits::MAX_FIELDS) {
            Some(Fault::TooManyFields)
        } else if size > limits.head {
            Some(Fault::TooLarge)
        } else {
            self.keep(field).err()
        };
    }

    /// Why it cannot be answered as it wants.
    pub(crate) fn fault(&self) -> Option<Fault> {
        self.fault
    }

    /// Says that there are no more; a fault if it is no head.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if !self.cookie.is_empty() {
            self.lines.get_or_insert(self.text.len());
            line(b"cookie", &self.cookie, &mut self.text);
        }
        self.fault.map_or(Ok(()), Err)
    }

    fn keep(&mut self, Field { name, value, .. }: Field<'_>) -> Result<(), Fault> {
        //= rfc9113 8.2.1 MUST 1: names and values are held to the next four rows at least
        if !is_value(value) {
            return Err(Fault::Malformed);
        }
        let pseudo = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":path" => &mut self.path,
            b":authority" => &mut self.authority,
            b":protocol" => &mut self.protocol,
            b":status" => &mut self.status,
            // An unknown pseudo-header field is no name either.
            //= rfc9113 8.2.1 MUST 1: names and values are held to the next four rows at least
            //= rfc9113 8.3 MUST 1: unknown or invalid pseudo-header fields make a head malformed
            _ if !is_name(name) => return Err(Fault::Malformed),
            //= rfc9113 8.2.2 MUST 1: a head with a field of a connection is malformed
            b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade" => {
                return Err(Fault::Malformed);
            }
            //= rfc9113 8.2.2 MUST 1: a head with a field of a connection is malformed
            b"te" if value != b"trailers" => return Err(Fault::Malformed),
            //= rfc9113 8.2.3 MUST 1: an application sees pieces of a cookie as one, a semicolon and a blank between
            b"cookie" => {
                self.lines.get_or_insert(self.text.len());
                if !self.cookie.is_empty() {
                    self.cookie.extend_from_slice(b"; ");
                }
                self.cookie.extend_from_slice(value);
                return Ok(());
            }
            _ => {
                self.lines.get_or_insert(self.text.len());
                line(name, value, &mut self.text);
                return Ok(());
            }
        };
        // Pseudo-header fields stand in front, and once. They are text of visible characters.
        //= rfc9113 8.3 MUST 3: a pseudo-header field behind others makes a head malformed
        //= rfc9113 8.3 MUST 4: a pseudo-header field that is repeated makes a head malformed
        if self.lines.is_some() || pseudo.is_some() || !value.iter().all(|byte| matches!(byte, 0x21..=0x7E)) {
            return Err(Fault::Malformed);
        }
        *pseudo = Some(self.text.len()..self.text.len() + value.len());
        self.text.extend_from_slice(value);
        Ok(())
    }

    /// What a request asks for; none where it is malformed.
    pub(crate) fn asks(&self) -> Option<Asks<'_>> {
        //= rfc9113 8.3.1 MUST 7: and each with a value that it can have
        let is_scheme = |scheme: &str| scheme.starts_with(|first: char| first.is_ascii_alphabetic());
        let (method, scheme, path) = (self.text(&self.method), self.text(&self.scheme), self.text(&self.path));
        let host = self.fields().first("host").map(|field| field.value);
        //= rfc9113 8.3.1 SHOULD 1: a server takes a Host that differs for malformed
        let differs = |host: &[u8]| self.authority().is_some_and(|authority| authority.as_bytes() != host);
        //= rfc9113 8.3 MUST NOT 3: pseudo-header fields of a response do not stand in a request
        //= rfc9113 8.3.1 MUST NOT 6: :path is not empty
        if self.status.is_some() || path == Some("") || host.is_some_and(differs) {
            return None;
        }
        match (method?, self.text(&self.protocol), scheme, path) {
            //= rfc8441 4 MUST 1: a CONNECT with a :protocol has a :scheme and a :path too
            ("CONNECT", Some(protocol), Some("http" | "https"), Some(path)) if self.authority.is_some() => {
                Some(Asks::Protocol { protocol, path })
            }
            //= rfc9113 8.5 MUST 1: a plain CONNECT has neither :scheme nor :path
            ("CONNECT", None, None, None) if self.authority.is_some() => Some(Asks::Tunnel),
            ("CONNECT", _, _, _) => None,
            //= rfc9113 8.3.1 MUST 7: every request but CONNECT has one :method, one :scheme, and one :path
            (method, None, Some(scheme), Some(path))
                if is_token(method)
                    && is_scheme(scheme)
                    && (path.starts_with('/') || (method, path) == ("OPTIONS", "*")) =>
            {
                Some(Asks::Resource { method, path })
            }
            _ => None,
        }
    }

    /// Whether a pseudo-header field is there.
    pub(crate) fn has_pseudo(&self) -> bool {
        let fields = [&self.method, &self.scheme, &self.path, &self.authority, &self.protocol, &self.status];
        fields.into_iter().any(Option::is_some)
    }

    /// The status of a response; none where it is malformed.
    pub(crate) fn status(&self) -> Option<u16> {
        let [method, scheme, path, authority, protocol] =
            [&self.method, &self.scheme, &self.path, &self.authority, &self.protocol];
        //= rfc9113 8.3 MUST 1: unknown or invalid pseudo-header fields make a head malformed
        //= rfc9113 8.3 MUST NOT 2: pseudo-header fields of a request do not stand in a response
        //= rfc9113 8.3.2 MUST 1: every response has a :status, or is malformed
        let is_request = [method, scheme, path, authority, protocol].iter().any(|pseudo| pseudo.is_some());
        let status = self.text(&self.status)?;
        let digits = status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit());
        if is_request || !digits { None } else { status.parse().ok().filter(|status| *status >= 100) }
    }

    pub(crate) fn authority(&self) -> Option<&str> {
        self.text(&self.authority)
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::from_lines(self.lines.and_then(|lines| self.text.get(lines..)).unwrap_or_default())
    }

    fn text(&self, range: &Option<Range<usize>>) -> Option<&str> {
        core::str::from_utf8(self.text.get(range.clone()?)?).ok()
    }
}

fn line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// A name in lower case (RFC 9113 §8.2.1).
//= rfc9113 8.2.1 MUST NOT 1: a name has no control character, blank, capital letter, or byte beyond ASCII
//= rfc9113 8.2.1 MUST NOT 2: a name has no colon, but for the first of a pseudo-header field's
//= rfc9113 8.2.1 SHOULD 1: names and values are held to what HTTP defines
fn is_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name.iter().all(|byte| match byte {
            b'a'..=b'z' | b'0'..=b'9' => true,
            byte => b"!#$%&'*+-.^_`|~".contains(byte),
        })
}

/// A value without control characters, and without blanks at its ends (RFC 9113 §8.2.1, RFC 9110 §5.5).
//= rfc9113 8.2.1 MUST NOT 3: a value has no NUL, LF, or CR
//= rfc9113 8.2.1 MUST NOT 4: a value has no blank at either end
//= rfc9113 8.2.1 SHOULD 1: names and values are held to what HTTP defines
fn is_value(value: &[u8]) -> bool {
    !matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t'])
        && value.iter().all(|byte| matches!(byte, b'\t' | 0x20..=0x7E | 0x80..))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> (Head, Result<(), Fault>) {
        let mut head = Head::default();
        for (name, value) in fields {
            let field = Field { name: name.as_bytes(), value: value.as_bytes(), is_sensitive: false };
            head.push(field, &Limits::default());
        }
        let end = head.end();
        (head, end)
    }

    const SOCKET: [(&str, &str); 5] = [
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "https"),
        (":path", "/chat"),
        (":authority", "example.com"),
    ];

    //= rfc8441 4 MUST 1: a CONNECT with a :protocol has a :scheme and a :path too
    //= rfc9113 8.3.1 MUST 7: every request but CONNECT has one :method, one :scheme, and one :path
    //= rfc9113 8.5 MUST 1: a plain CONNECT has neither :scheme nor :path
    //= type=test
    #[test]
    fn trap_45_what_goes_with_connect() {
        for method in ["CONNECT", "GET"] {
            for absent in 0..16 {
                let fields: Vec<_> = [(":method", method)]
                    .into_iter()
                    .chain(SOCKET.into_iter().skip(1).enumerate().filter(|(n, _)| absent >> n & 1 == 0).map(|(_, f)| f))
                    .collect();
                let (head, end) = head(&fields);
                assert_eq!(end, Ok(()));
                let has = |name| fields.iter().any(|(known, _)| *known == name);
                let expected = match (method, has(":protocol"), has(":scheme"), has(":path"), has(":authority")) {
                    ("CONNECT", true, true, true, true) => {
                        Some(Asks::Protocol { protocol: "websocket", path: "/chat" })
                    }
                    ("CONNECT", false, false, false, true) => Some(Asks::Tunnel),
                    ("GET", false, true, true, _) => Some(Asks::Resource { method: "GET", path: "/chat" }),
                    _ => None,
                };
                assert_eq!(head.asks(), expected, "{fields:?}");
            }
        }
    }

    //= rfc9113 8.2.1 MUST 1: names and values are held to the next four rows at least
    //= rfc9113 8.2.1 MUST NOT 1: a name has no control character, blank, capital letter, or byte beyond ASCII
    //= rfc9113 8.2.1 MUST NOT 2: a name has no colon, but for the first of a pseudo-header field's
    //= rfc9113 8.2.1 MUST NOT 3: a value has no NUL, LF, or CR
    //= rfc9113 8.2.1 MUST NOT 4: a value has no blank at either end
    //= rfc9113 8.2.1 SHOULD 1: names and values are held to what HTTP defines
    //= rfc9113 8.2.2 MUST 1: a head with a field of a connection is malformed
    //= rfc9113 8.2.2 MUST NOT 2: TE says trailers, or nothing
    //= rfc9113 8.3 MUST 1: unknown or invalid pseudo-header fields make a head malformed
    //= rfc9113 8.3 MUST 3: a pseudo-header field behind others makes a head malformed
    //= rfc9113 8.3 MUST 4: a pseudo-header field that is repeated makes a head malformed
    //= type=test
    #[test]
    fn trap_58_fields_that_no_head_has() {
        for field in [
            ("Accept", "x"),
            ("a b", "x"),
            ("", "x"),
            (":unknown", "x"),
            (":method", "GET"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("keep-alive", "1"),
            ("proxy-connection", "close"),
            ("transfer-encoding", "chunked"),
            ("te", "gzip"),
            ("x", " y"),
            ("x", "y\t"),
            ("x", "y\0z"),
            ("x", "y\r\nz: 1"),
            ("x", "y\u{7f}"),
        ] {
            let fields: Vec<_> = SOCKET.into_iter().chain([field]).collect();
            assert_eq!(head(&fields).1, Err(Fault::Malformed), "{field:?}");
        }
        assert_eq!(head(&[("a", "b"), (":path", "/")]).1, Err(Fault::Malformed), "a pseudo-header field behind others");
        assert_eq!(head(&[("cookie", "b"), (":path", "/")]).1, Err(Fault::Malformed));
        assert_eq!(head(&[("te", "trailers")]).1, Ok(()));
    }

    //= rfc9113 8.2.3 MUST 1: an application sees pieces of a cookie as one, a semicolon and a blank between
    //= type=test
    #[test]
    fn trap_58_cookies_are_joined() {
        let (head, end) = head(&[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3")]);
        assert_eq!(end, Ok(()));
        let fields: Vec<_> = head.fields().iter().map(|field| (field.name, field.text().unwrap())).collect();
        assert_eq!(fields, [("x", "y"), ("cookie", "a=1; b=2; c=3")]);
    }

    //= rfc9113 8.3.1 MUST NOT 1: where there is :authority, Host does not say what is addressed
    //= rfc9113 8.3.1 SHOULD 1: a server takes a Host that differs for malformed
    //= type=test
    #[test]
    fn another_host_than_the_authority_is_malformed() {
        let with = |host| SOCKET.into_iter().chain([("host", host)]).collect::<Vec<_>>();
        assert!(head(&with("example.com")).0.asks().is_some());
        assert_eq!(head(&with("evil.example")).0.asks(), None);
    }

    //= rfc9113 8.3 MUST 1: unknown or invalid pseudo-header fields make a head malformed
    //= rfc9113 8.3 MUST NOT 2: pseudo-header fields of a request do not stand in a response
    //= rfc9113 8.3.2 MUST 1: every response has a :status, or is malformed
    //= type=test
    #[test]
    fn statuses() {
        for (status, expected) in [("200", Some(200)), ("099", None), ("20", None), ("2000", None), ("+20", None)] {
            assert_eq!(head(&[(":status", status)]).0.status(), expected, "{status}");
        }
        assert_eq!(head(&[(":status", "200"), (":path", "/")]).0.status(), None);
        assert_eq!(head(&[("x", "y")]).0.status(), None);
    }

    #[test]
    fn limits_keep_nothing_more() {
        let mut head = Head::default();
        let limits = Limits { head: 100, fields: 3, ..Limits::default() };
        for _ in 0..4 {
            head.push(Field { name: b"a", value: b"b", is_sensitive: false }, &limits);
        }
        assert_eq!(head.end(), Err(Fault::TooManyFields));
        head.clear();
        for _ in 0..2 {
            head.push(Field { name: b"a", value: &[b'x'; 60], is_sensitive: false }, &limits);
        }
        assert_eq!(head.end(), Err(Fault::TooLarge));
        assert!(head.text.len() <= 100);
    }
}
