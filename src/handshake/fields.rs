//! How are header fields kept and walked over? (RFC 9110 §5)
//!
//! As the text they came in: `name: value` lines, or pairs that another stack parsed. [`Fields`] walks over either and
//! copies nothing. [`Lines`] is the same text being written, and the one place that checks what the caller puts in: no CR,
//! LF or NUL gets past it, so no value can begin a field, or a message, of its own.

use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::token::{is_token, trim};
use crate::error::BuildError;

/// A header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// The name as it was sent; compare it without regard to case.
    pub name: &'a str,
    /// The value without the blanks around it. Usually ASCII, but bytes from 0x80 on are legal.
    pub value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Whether this is the field of that name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The value as text, if it is UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        core::str::from_utf8(self.value).ok()
    }
}

/// The header fields of a head, in order; walked over, not stored.
///
/// ```
/// use sockless::Fields;
///
/// let pairs = [("Accept", &b"text/html"[..]), ("Cookie", b"a=1"), ("cookie", b"b=2")];
/// let fields = Fields::from(&pairs[..]);
/// assert_eq!(fields.first("accept").unwrap().text(), Some("text/html"));
/// assert_eq!(fields.all("Cookie").count(), 2);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(Source<'a>);

#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// `name: value` CRLF, known to be well-formed.
    Lines(&'a [u8]),
    Pairs(&'a [(&'a str, &'a [u8])]),
}

impl<'a> Fields<'a> {
    /// Fields from lines that a parser found well-formed.
    pub(crate) fn from_lines(lines: &'a [u8]) -> Fields<'a> {
        Fields(Source::Lines(lines))
    }

    /// All fields.
    pub fn iter(&self) -> impl Iterator<Item = Field<'a>> + use<'a> {
        self.raw().map(field)
    }

    /// All fields, by the bytes of their names: most walks look for one name, and need the text of no other.
    pub(super) fn raw(&self) -> impl Iterator<Item = Raw<'a>> + use<'a> {
        let mut source = self.0;
        core::iter::from_fn(move || match &mut source {
            Source::Pairs(pairs) => {
                let (&(name, value), rest) = pairs.split_first()?;
                *pairs = rest;
                Some((name.as_bytes(), trim(value)))
            }
            Source::Lines(lines) => {
                let colon = memchr::memchr(b':', lines)?;
                let (name, rest) = lines.split_at_checked(colon)?;
                let value = rest.get(1..)?;
                let end = memchr::memchr(b'\r', value)?;
                let (value, rest) = value.split_at_checked(end)?;
                *lines = rest.get(2..).unwrap_or_default();
                Some((name, trim(value)))
            }
        })
    }

    /// The fields of one name, in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = Field<'a>> + use<'a, 'n> {
        self.raw().filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(field)
    }

    /// The values of the fields of one name, in order.
    pub(super) fn values<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.all(name).map(|field| field.value)
    }

    /// The first field of a name.
    pub fn first(&self, name: &str) -> Option<Field<'a>> {
        self.all(name).next()
    }
}

/// Name and value.
pub(super) type Raw<'a> = (&'a [u8], &'a [u8]);

fn field((name, value): Raw<'_>) -> Field<'_> {
    Field { name: core::str::from_utf8(name).unwrap_or_default(), value }
}

impl<'a> From<&'a [(&'a str, &'a [u8])]> for Fields<'a> {
    /// Fields that another stack parsed, and so found well-formed.
    fn from(pairs: &'a [(&'a str, &'a [u8])]) -> Fields<'a> {
        Fields(Source::Pairs(pairs))
    }
}

/// Header fields to be sent, as lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Lines(Vec<u8>);

impl Lines {
    /// None yet, behind the first line of a head; with room for fields of that length.
    pub(crate) fn behind(first_line: &str, length: usize) -> Lines {
        let mut lines = Vec::with_capacity(first_line.len() + length);
        lines.extend_from_slice(first_line.as_bytes());
        Lines(lines)
    }

    /// Appends a field that the caller wants to send.
    pub(crate) fn push_checked(&mut self, name: &str, value: &str) -> Result<(), BuildError> {
        //= rfc9113 8.2.2 MUST NOT 1: nothing is sent that is a field of a connection of HTTP/1.1
        //= rfc9113 8.2.2 MUST NOT 2: nor TE
        const RESERVED: [&str; 10] = [
            "connection",
            "content-length",
            "host",
            "keep-alive",
            "origin",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
        ];
        if !is_token(name) {
            return Err(BuildError::InvalidName);
        }
        let is_websocket = name.get(..14).is_some_and(|start| start.eq_ignore_ascii_case("sec-websocket-"));
        if is_websocket || RESERVED.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(BuildError::ReservedName);
        }
        check_value(value)?;
        self.push(name, value);
        Ok(())
    }

    /// Appends a field of the engine's own.
    pub(crate) fn push(&mut self, name: &str, value: impl AsRef<[u8]>) {
        for part in [name.as_bytes(), b": ", value.as_ref(), b"\r\n"] {
            self.0.extend_from_slice(part);
        }
    }

    /// Appends a field whose value is a list.
    pub(crate) fn push_list<'v>(&mut self, name: &str, values: impl IntoIterator<Item = &'v str>) {
        self.0.extend_from_slice(name.as_bytes());
        let mut separator = b": ";
        for value in values {
            self.0.extend_from_slice(separator);
            self.0.extend_from_slice(value.as_bytes());
            separator = b", ";
        }
        self.0.extend_from_slice(b"\r\n");
    }

    /// Appends a field of the engine's own, whose value knows how it is written.
    pub(crate) fn push_displayed(&mut self, name: &str, value: &impl fmt::Display) {
        // Lines take all that they are given.
        let _ = write!(self, "{name}: {value}\r\n");
    }

    /// The whole head, closed by its empty line.
    pub(crate) fn into_head(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"\r\n");
        self.0
    }

    /// Appends fields that are known to be well-formed.
    pub(crate) fn append(&mut self, lines: &[u8]) {
        self.0.extend_from_slice(lines);
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn fields(&self) -> Fields<'_> {
        Fields::from_lines(self.as_bytes())
    }
}

impl Write for Lines {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// A value that can stand in a header field: no control characters but tabs, no blank at its ends.
pub(super) fn check_value(value: &str) -> Result<(), BuildError> {
    let clean = value.bytes().all(|byte| byte == b'\t' || (byte >= b' ' && byte != 0x7F));
    if clean && trim(value.as_bytes()).len() == value.len() { Ok(()) } else { Err(BuildError::InvalidValue) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_and_pairs_read_the_same() {
        let lines = Fields::from_lines(b"Host: a\r\nX-Empty:\r\nx-blank: \t b c \t\r\n");
        let pairs = [("Host", &b"a"[..]), ("X-Empty", b""), ("x-blank", b" b c")];
        let pairs = Fields::from(&pairs[..]);
        assert_eq!(lines.iter().collect::<Vec<_>>(), pairs.iter().collect::<Vec<_>>());
        assert_eq!(lines.first("X-BLANK").unwrap().text(), Some("b c"));
        assert_eq!(lines.iter().count(), 3);
    }

    #[test]
    fn what_could_begin_another_field_is_refused() {
        let mut lines = Lines::default();
        for (name, value, error) in [
            ("a", "x\r\nb: c", BuildError::InvalidValue),
            ("a", "x\ny", BuildError::InvalidValue),
            ("a", "x\0", BuildError::InvalidValue),
            ("a", "\u{7F}", BuildError::InvalidValue),
            ("a", " x", BuildError::InvalidValue),
            ("a", "x ", BuildError::InvalidValue),
            ("", "x", BuildError::InvalidName),
            ("a b", "x", BuildError::InvalidName),
            ("a:", "x", BuildError::InvalidName),
            ("a\r\n", "x", BuildError::InvalidName),
            ("Connection", "keep-alive", BuildError::ReservedName),
            ("sec-websocket-accept", "x", BuildError::ReservedName),
        ] {
            assert_eq!(lines.push_checked(name, value), Err(error), "{name:?}: {value:?}");
        }
        assert_eq!(lines, Lines::default());
        lines.push_checked("a", "x\ty é").unwrap();
        assert_eq!(lines.as_bytes(), "a: x\ty é\r\n".as_bytes());
    }
}
