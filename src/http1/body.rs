//! Where does the body of a response end? (RFC 9112 §6, §7.1)
//!
//! A server that refuses a WebSocket may say why, with a body of a given length, in chunks, or up to the end of the
//! connection. [`Body`] walks over it and lends it piece by piece; nothing is held but where the walk stands.

use core::ops::Range;

use crate::error::ResponseError;
use crate::handshake::ResponseHead;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes more.
    Length(u64),
    /// Up to the end of the connection.
    UntilEof,
    /// The framing of chunks, and whether its last byte was CR, so that only LF may follow.
    Chunked(Chunked, bool),
    Ended,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunked {
    /// In a chunk's size: its value, and how many digits it had.
    Size {
        value: u64,
        digits: u8,
    },
    /// Behind the size, up to the end of the line.
    Extension {
        value: u64,
        bytes: u16,
    },
    Data(u64),
    /// Behind the data of a chunk: CR LF.
    DataEnd,
    /// In the trailer section: whether its line has no byte yet, and the bytes of all lines.
    Trailer {
        is_empty: bool,
        bytes: u16,
    },
}

/// More than this in chunk extensions or trailers is no honest response.
const MAX_EXTRA: u16 = 4096;

impl Body {
    /// How the body of this response is framed.
    pub(crate) fn of(head: &ResponseHead<'_>) -> Result<Body, ResponseError> {
        if matches!(head.status(), 100..=199 | 204 | 304) {
            return Ok(Body::Ended);
        }
        let fields = head.fields();
        let mut codings = fields.all("transfer-encoding");
        let mut lengths = fields.all("content-length");
        match (codings.next(), lengths.next()) {
            (None, None) => Ok(Body::UntilEof),
            // Both at once is how requests are smuggled; in a response it is no better.
            (Some(_), Some(_)) => Err(ResponseError::MalformedBody),
            (Some(coding), None) if coding.value.eq_ignore_ascii_case(b"chunked") && codings.next().is_none() => {
                Ok(Body::Chunked(Chunked::Size { value: 0, digits: 0 }, false))
            }
            (Some(_), None) => Err(ResponseError::MalformedBody),
            (None, Some(length)) => {
                let valid = !length.value.is_empty() && length.value.iter().all(u8::is_ascii_digit);
                let length = length.text().filter(|_| valid && lengths.next().is_none());
                let length = length.and_then(|length| length.parse().ok()).ok_or(ResponseError::MalformedBody)?;
                Ok(Body::Length(length).or_ended())
            }
        }
    }

    pub(crate) fn is_ended(&self) -> bool {
        *self == Body::Ended
    }

    /// Says that the connection ended; whether the body may end there.
    pub(crate) fn eof(&mut self) -> Result<(), ResponseError> {
        let complete = matches!(self, Body::UntilEof | Body::Ended);
        *self = Body::Ended;
        if complete { Ok(()) } else { Err(ResponseError::MalformedBody) }
    }

    /// Consumes bytes up to the end of the next piece of content; says how many, and where the piece lies. Without one, all
    /// of the input was consumed, or the body has ended.
    pub(crate) fn walk(&mut self, input: &[u8]) -> Result<(usize, Option<Range<usize>>), ResponseError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            let there = input.len() - at;
            let (content, next) = match *self {
                Body::Ended => break,
                Body::UntilEof => (there, Body::UntilEof),
                Body::Length(left) => {
                    let content = usize::try_from(left).map_or(there, |left| left.min(there));
                    (content, Body::Length(left - content as u64).or_ended())
                }
                Body::Chunked(Chunked::Data(left), _) => {
                    let content = usize::try_from(left).map_or(there, |left| left.min(there));
                    let left = left - content as u64;
                    (content, Body::Chunked(if left > 0 { Chunked::Data(left) } else { Chunked::DataEnd }, false))
                }
                Body::Chunked(state, true) if byte == b'\n' => (0, state.line_end()?),
                Body::Chunked(state, false) if byte == b'\r' => (0, Body::Chunked(state, true)),
                Body::Chunked(state, false) => (0, Body::Chunked(state.step(byte)?, false)),
                Body::Chunked(..) => return Err(ResponseError::MalformedBody),
            };
            *self = next;
            if content > 0 {
                return Ok((at + content, Some(at..at + content)));
            }
            at += 1;
        }
        Ok((at, None))
    }

    fn or_ended(self) -> Body {
        if self == Body::Length(0) { Body::Ended } else { self }
    }
}

impl Chunked {
    /// Takes a byte of a line around the chunks.
    fn step(self, byte: u8) -> Result<Chunked, ResponseError> {
        Ok(match (self, byte) {
            (_, b'\n') => return Err(ResponseError::MalformedBody),
            // 15 hexadecimal digits fit into 60 bits.
            (Chunked::Size { value, digits: digits @ ..15 }, byte) if byte.is_ascii_hexdigit() => {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Chunked::Size { value: value << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunked::Size { value, digits: 1.. }, b';' | b' ' | b'\t') => Chunked::Extension { value, bytes: 0 },
            (Chunked::Extension { value, bytes: bytes @ ..MAX_EXTRA }, _) => {
                Chunked::Extension { value, bytes: bytes + 1 }
            }
            (Chunked::Trailer { bytes: bytes @ ..MAX_EXTRA, .. }, _) => {
                Chunked::Trailer { is_empty: false, bytes: bytes + 1 }
            }
            _ => return Err(ResponseError::MalformedBody),
        })
    }

    /// Takes the end of such a line.
    fn line_end(self) -> Result<Body, ResponseError> {
        let next = match self {
            Chunked::Size { value: 0, digits: 1.. } | Chunked::Extension { value: 0, .. } => {
                Chunked::Trailer { is_empty: true, bytes: 0 }
            }
            Chunked::Size { value, digits: 1.. } | Chunked::Extension { value, .. } => Chunked::Data(value),
            Chunked::DataEnd => Chunked::Size { value: 0, digits: 0 },
            Chunked::Trailer { is_empty: true, .. } => return Ok(Body::Ended),
            Chunked::Trailer { is_empty: false, bytes } => Chunked::Trailer { is_empty: true, bytes },
            Chunked::Size { digits: 0, .. } | Chunked::Data(_) => return Err(ResponseError::MalformedBody),
        };
        Ok(Body::Chunked(next, false))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::handshake::{Fields, HttpVersion};

    fn body(fields: &[(&str, &[u8])], status: u16) -> Result<Body, ResponseError> {
        Body::of(&ResponseHead::new(status, "", HttpVersion::Http11, Fields::from(fields)))
    }

    /// The content, and how many bytes belong to the body, for every way to cut the input in two.
    fn content(body: Body, input: &[u8]) -> Result<(Vec<u8>, usize, bool), ResponseError> {
        let walk = |cut: usize| {
            let (mut body, mut content, mut consumed) = (body, Vec::new(), 0);
            for piece in [&input[..cut], &input[cut..]] {
                let mut piece = piece;
                loop {
                    let (passed, range) = body.walk(piece)?;
                    consumed += passed;
                    let Some(range) = range else { break };
                    content.extend_from_slice(&piece[range]);
                    piece = &piece[passed..];
                }
            }
            Ok((content, consumed, body.is_ended()))
        };
        let whole = walk(0);
        for cut in 0..=input.len() {
            assert_eq!(walk(cut), whole, "cut at {cut}");
        }
        whole
    }

    #[test]
    fn a_given_length_in_chunks_or_up_to_the_end() {
        let length = body(&[("Content-Length", b"3")], 401).unwrap();
        assert_eq!(content(length, b"abcdef"), Ok((b"abc".to_vec(), 3, true)));
        assert_eq!(content(length, b"ab"), Ok((b"ab".to_vec(), 2, false)));
        let chunked = body(&[("Transfer-Encoding", b"Chunked")], 401).unwrap();
        let wire = b"3\r\nabc\r\n0A;x=\"y\"\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        assert_eq!(content(chunked, &[&wire[..], b"rest"].concat()), Ok((b"abc0123456789".to_vec(), wire.len(), true)));
        let eof = body(&[], 500).unwrap();
        assert_eq!(content(eof, b"all of it"), Ok((b"all of it".to_vec(), 9, false)));
        assert_eq!(body(&[("Content-Length", b"0")], 401), Ok(Body::Ended));
        assert_eq!(body(&[("Content-Length", b"7")], 204), Ok(Body::Ended));
    }

    #[test]
    fn framing_that_cannot_be_trusted() {
        let malformed = Err(ResponseError::MalformedBody);
        assert_eq!(body(&[("Content-Length", b"3"), ("Content-Length", b"3")], 401), malformed);
        assert_eq!(body(&[("Content-Length", b"3"), ("Transfer-Encoding", b"chunked")], 401), malformed);
        for length in [&b"+3"[..], b"", b"3,3", b"99999999999999999999999", b"0x3"] {
            assert_eq!(body(&[("Content-Length", length)], 401), malformed);
        }
        assert_eq!(body(&[("Transfer-Encoding", b"gzip, chunked")], 401), malformed);
        let chunked = body(&[("Transfer-Encoding", b"chunked")], 401).unwrap();
        for wire in [&b"\r\n"[..], b"x\r\n", b"-1\r\n", b"1\r\naX", b"1000000000000000\r\n"] {
            assert_eq!(content(chunked, wire), Err(ResponseError::MalformedBody), "{wire:?}");
        }
        let endless = [&b"1;"[..], &[b'x'; 5000]].concat();
        assert_eq!(content(chunked, &endless), Err(ResponseError::MalformedBody));
        let endless = [&b"0\r\n"[..], &[b'x'; 5000]].concat();
        assert_eq!(content(chunked, &endless), Err(ResponseError::MalformedBody));
        let (mut truncated, mut until_eof) = (Body::Length(1), Body::UntilEof);
        assert_eq!((truncated.eof(), until_eof.eof()), (Err(ResponseError::MalformedBody), Ok(())));
    }
}
