//! What does a complete head say? (RFC 9112 §2 to §5)
//!
//! httparse does the parsing; what it lets through and we do not (a bare line feed) was refused by the scan before. The
//! fields are walked over again by whoever needs them, as the lines that they are.

use core::mem::MaybeUninit;

use crate::config::{Config, Limits};
use crate::error::{RequestError, ResponseError};
use crate::handshake::{Classified, Facts, Fields, HttpVersion, RequestHead, ResponseHead};

use super::scan::{Allowed, ScanError};

/// What the configuration allows a head to be.
pub(crate) fn allowed(limits: &Limits) -> Allowed {
    Allowed { first_line: limits.target, fields: limits.fields.min(Limits::MAX_FIELDS), total: limits.head }
}

/// Parses and judges the complete head of a request; says whether its method is HEAD, too. What concerns us is noted from
/// the fields as they were parsed, not from their lines, which would have to be searched again.
pub(crate) fn request<'a>(head: &'a [u8], config: &Config) -> (bool, Classified<'a>) {
    let (head, fields) = (without_empty_lines(head), allowed(&config.limits).fields);
    let mut slots = [const { MaybeUninit::uninit() }; Limits::MAX_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let error = match parsed.parse_with_uninit_headers(head, slots.get_mut(..fields).unwrap_or_default()) {
        Ok(httparse::Status::Complete(_)) => None,
        _ if has_more(head, fields) => Some(RequestError::TooManyFields),
        Err(httparse::Error::Version) if names_version(head) => Some(RequestError::UnsupportedHttpVersion),
        Ok(httparse::Status::Partial) | Err(_) => Some(RequestError::Malformed),
    };
    if let Some(error) = error {
        return (false, Classified::Refused(error));
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return (false, Classified::Refused(RequestError::Malformed));
    };
    let facts = Facts::of(parsed.headers.iter().map(|header| (header.name.as_bytes(), header.value)));
    // The method, the target, a version of eight bytes, the blanks between them, and the end of the line.
    let first_line = method.len() + target.len() + 12;
    let head = RequestHead::new(method, target, http_version(version), lines(head, first_line));
    (method == "HEAD", head.classify_by(&facts, config))
}

/// Parses the complete head of a response.
pub(crate) fn response<'a>(head: &'a [u8], limits: &Limits) -> Result<ResponseHead<'a>, ResponseError> {
    let (head, fields) = (without_empty_lines(head), allowed(limits).fields);
    let mut slots = [const { MaybeUninit::uninit() }; Limits::MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let slots = slots.get_mut(..fields).unwrap_or_default();
    match httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, head, slots) {
        Ok(httparse::Status::Complete(_)) => {}
        _ if has_more(head, fields) => return Err(ResponseError::TooManyFields),
        Ok(httparse::Status::Partial) | Err(_) => return Err(ResponseError::Malformed),
    }
    let (Some(status @ 100..=599), Some(version)) = (parsed.code, parsed.version) else {
        return Err(ResponseError::Malformed);
    };
    let first_line = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    Ok(ResponseHead::new(status, parsed.reason.unwrap_or_default(), http_version(version), lines(head, first_line)))
}

/// Whether this is the head of an interim response: 1xx, but 101.
pub(crate) fn is_interim(head: &[u8]) -> bool {
    without_empty_lines(head)
        .split_first_chunk::<12>()
        .is_some_and(|(line, _)| matches!(line, [.., b' ', b'1', tens, ones] if (tens, ones) != (&b'0', &b'1')))
}

impl From<ScanError> for RequestError {
    fn from(error: ScanError) -> RequestError {
        match error {
            ScanError::BareLineFeed => RequestError::Malformed,
            ScanError::LineTooLong => RequestError::TargetTooLong,
            ScanError::TooManyLines => RequestError::TooManyFields,
            ScanError::TooLarge => RequestError::HeadTooLarge,
        }
    }
}

impl From<ScanError> for ResponseError {
    fn from(error: ScanError) -> ResponseError {
        match error {
            ScanError::BareLineFeed => ResponseError::Malformed,
            ScanError::LineTooLong | ScanError::TooLarge => ResponseError::HeadTooLarge,
            ScanError::TooManyLines => ResponseError::TooManyFields,
        }
    }
}

fn http_version(minor: u8) -> HttpVersion {
    if minor == 0 { HttpVersion::Http10 } else { HttpVersion::Http11 }
}

/// Whether the request line ends in a version of HTTP, whichever it is.
fn names_version(head: &[u8]) -> bool {
    let line = memchr::memchr(b'\r', head).and_then(|end| head.get(..end)).unwrap_or_default();
    let mut parts = line.split(|byte| *byte == b' ').skip(2);
    matches!((parts.next(), parts.next()), (Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']), None))
}

/// Whether a head that cannot be parsed has more fields than are allowed, which goes before whatever else is wrong with it:
/// one that came in pieces was refused for it while it came in.
fn has_more(head: &[u8], fields: usize) -> bool {
    // The first line and the empty one end in a line feed, too.
    memchr::memchr_iter(b'\n', head).count() > fields + 2
}

/// A server ignores empty lines before a request (RFC 9112 §2.2); the scan has bounded them.
fn without_empty_lines(mut head: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] = head {
        head = rest;
    }
    head
}

/// The lines behind the first one, up to the empty one.
fn lines(head: &[u8], first_line: usize) -> Fields<'_> {
    Fields::from_lines(head.get(first_line..head.len().saturating_sub(2)).unwrap_or_default())
}
