//! What extensions does a header field list, and which of them are spoken? (RFC 6455 §9.1, RFC 7692 §5)
//!
//! `name; parameter; parameter=value; parameter="value", name …`, over any number of lines. A quoted value is a token once
//! its quotes and escapes are gone, so commas and semicolons inside quotes divide nothing and make the field malformed. The
//! walk is linear, and capped in extensions and parameters. Nothing is collected: an extension that was walked over is known
//! to be well-formed, and its parameters are walked over again by whoever wants them.

use super::fields::Fields;
use super::token::is_token_byte;
use crate::deflate::params::{self, Answer, DeflateParameters};
use crate::error::ResponseError;

pub(super) const NAME: &str = "Sec-WebSocket-Extensions";
const MAX_EXTENSIONS: usize = 16;
const MAX_PARAMETERS: usize = 16;

/// A header field that does not follow its grammar, or lists more than anyone needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// A server's answer to the first offer that it can keep, given what it wishes; none where there is no such offer, which is
/// no fault.
//= rfc6455 9.1 MUST 1: a field that does not follow the grammar fails the connection
//= rfc6455 4.2.2 MUST 7: the answer is to one of the client's offers
//= rfc6455 5.8 MUST 1: extensions are agreed on here
//= rfc6455 9 MAY 2: a server accepts what it likes
//= rfc7692 5 MAY 1: of several offers of one extension the first that can be kept is taken
//= rfc7692 5 MUST NOT 1: one extension at most is answered, so none is beside it that wants RSV1
//= rfc7692 5 MUST NOT 2: nor one before it that depends on frames
//= rfc7692 5 MUST NOT 3: where none can be kept there is no answer
pub(super) fn accept<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    wished: Option<DeflateParameters>,
) -> Result<Option<Answer>, Malformed> {
    let mut answer = None;
    // All are walked over, also behind one that was taken: the field is well-formed as a whole, or it is not.
    for extension in all(lines) {
        let extension = extension?;
        if let (None, Some(wished), true) = (answer, wished, extension.is_deflate()) {
            answer = params::accept(parameters(extension.parameters), wished);
        }
    }
    Ok(answer)
}

/// The same for a field of one line. What browsers send is known as a whole: it is well-formed, and one offer.
pub(super) fn accept_line(line: &[u8], wished: Option<DeflateParameters>) -> Result<Option<Answer>, Malformed> {
    // Not as patterns, which are compared byte by byte.
    if line == b"permessage-deflate; client_max_window_bits" || line == params::NAME.as_bytes() {
        let rest = line.get(params::NAME.len()..).unwrap_or_default();
        return Ok(wished.and_then(|wished| params::accept(parameters(rest), wished)));
    }
    accept(core::iter::once(line), wished)
}

/// What a client that offered `offered` is agreed on with the server that answered this.
//= rfc6455 5.8 MUST 1: extensions are agreed on here
//= rfc6455 9.1 MUST NOT 1: what was offered is spoken only if it was answered
//= rfc7692 5 MUST 5: an answer with another extension beside it fails the connection
//= rfc7692 5 MUST 6: of whatever kind that is
//= rfc7692 5 MUST 7: an answer to what was not offered fails the connection
pub(super) fn confirm(
    fields: Fields<'_>,
    offered: Option<DeflateParameters>,
) -> Result<Option<DeflateParameters>, ResponseError> {
    let mut extensions = all(fields.values(NAME));
    let Some(first) = extensions.next() else { return Ok(None) };
    match (first, extensions.next(), offered) {
        (Ok(extension), None, Some(offered)) if extension.is_deflate() => {
            params::confirm(parameters(extension.parameters), offered).map(Some).ok_or(ResponseError::InvalidExtension)
        }
        _ => Err(ResponseError::UnaskedExtension),
    }
}

/// An extension that is well-formed.
#[derive(Clone, Copy, Debug)]
struct Extension<'a> {
    name: &'a [u8],
    /// Its parameters as they stand in the field, up to what follows the extension.
    parameters: &'a [u8],
}

impl Extension<'_> {
    fn is_deflate(&self) -> bool {
        self.name == params::NAME.as_bytes()
    }
}

/// The parameters of an extension, which are known to be well-formed.
fn parameters<'a>(mut rest: &'a [u8]) -> impl Iterator<Item = Parameter<'a>> {
    core::iter::from_fn(move || parameter(&mut rest).ok().flatten())
}

/// All extensions of all lines. After one that is malformed nothing more is worth asking for.
fn all<'a>(mut lines: impl Iterator<Item = &'a [u8]>) -> impl Iterator<Item = Result<Extension<'a>, Malformed>> {
    // What is left of a line, and whether an extension stood on it.
    let mut line: Option<(&'a [u8], bool)> = None;
    let mut extensions = 0;
    core::iter::from_fn(move || {
        loop {
            let (rest, found) = match &mut line {
                Some((rest, found)) => (rest, found),
                None => {
                    line = Some((lines.next()?, false));
                    continue;
                }
            };
            match skip_blanks(rest) {
                // Empty elements mean nothing (RFC 9110 §5.6.1), but some element there must be.
                Some(b',') => advance(rest),
                Some(_) => {
                    *found = true;
                    extensions += 1;
                    let extension = if extensions > MAX_EXTENSIONS { Err(Malformed) } else { extension(rest) };
                    return Some(extension);
                }
                None if *found => line = None,
                None => return Some(Err(Malformed)),
            }
        }
    })
}

/// Walks over an extension, up to the comma or the end behind it.
fn extension<'a>(rest: &mut &'a [u8]) -> Result<Extension<'a>, Malformed> {
    let name = token(rest)?;
    let parameters = *rest;
    let mut count = 0;
    while parameter(rest)?.is_some() {
        count += 1;
        if count > MAX_PARAMETERS {
            return Err(Malformed);
        }
    }
    match skip_blanks(rest) {
        None | Some(b',') => Ok(Extension { name, parameters }),
        Some(_) => Err(Malformed),
    }
}

/// Walks over the next parameter of an extension, if there is one more.
fn parameter<'a>(rest: &mut &'a [u8]) -> Result<Option<Parameter<'a>>, Malformed> {
    if skip_blanks(rest) != Some(b';') {
        return Ok(None);
    }
    advance(rest);
    skip_blanks(rest);
    let name = token(rest)?;
    if skip_blanks(rest) != Some(b'=') {
        return Ok(Some((name, None)));
    }
    advance(rest);
    let value = match skip_blanks(rest) {
        Some(b'"') => quoted_token(rest)?,
        _ => Value { escaped: token(rest)? },
    };
    Ok(Some((name, Some(value))))
}

/// A name, and a value if there is one.
type Parameter<'a> = (&'a [u8], Option<Value<'a>>);

/// A parameter's value without its quotes; as an iterator, without its escapes too.
#[derive(Clone, Copy, Debug)]
struct Value<'a> {
    escaped: &'a [u8],
}

impl Iterator for Value<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        let (byte, rest) = match self.escaped {
            // No token has a backslash, so this one stood in quotes.
            [b'\\', byte, rest @ ..] | [byte, rest @ ..] => (*byte, rest),
            [] => return None,
        };
        self.escaped = rest;
        Some(byte)
    }
}

fn token<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], Malformed> {
    let length = rest.iter().position(|byte| !is_token_byte(*byte)).unwrap_or(rest.len());
    let (token, after) = rest.split_at_checked(length).ok_or(Malformed)?;
    *rest = after;
    if length > 0 { Ok(token) } else { Err(Malformed) }
}

//= rfc6455 4.3 MUST 1: a quoted value is a token once it is unescaped
//= rfc6455 9.1 MUST 2: a quoted value is a token once it is unescaped
fn quoted_token<'a>(rest: &mut &'a [u8]) -> Result<Value<'a>, Malformed> {
    advance(rest);
    let inside = *rest;
    let mut length = 0;
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] if length > 0 => {
                let escaped = inside.get(..inside.len() - rest.len()).unwrap_or_default();
                *rest = after;
                return Ok(Value { escaped });
            }
            [b'\\', byte, after @ ..] | [byte, after @ ..] => (*byte, after),
            [] => return Err(Malformed),
        };
        if !is_token_byte(byte) {
            return Err(Malformed);
        }
        length += 1;
        *rest = after;
    }
}

fn skip_blanks(rest: &mut &[u8]) -> Option<u8> {
    while let [b' ' | b'\t', after @ ..] = rest {
        *rest = after;
    }
    rest.first().copied()
}

fn advance(rest: &mut &[u8]) {
    *rest = rest.get(1..).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::deflate::params::WindowBits;

    fn count(fields: Fields<'_>) -> Result<usize, Malformed> {
        let mut extensions = 0;
        for extension in all(fields.values(NAME)) {
            extension?;
            extensions += 1;
        }
        Ok(extensions)
    }

    //= rfc6455 4.3 MUST 1: a quoted value is a token
    //= rfc6455 9.1 MUST 1: what does not follow the grammar is refused
    //= rfc6455 9.1 MUST 2: a quoted value is a token
    //= type=test
    #[test]
    fn trap_10_quoted_values() {
        for (value, expected) in [
            ("permessage-deflate", Ok(1)),
            ("a; b; c=1; d=\"2\"", Ok(1)),
            ("a;b ; c = 1 , d", Ok(2)),
            ("a; b=\"x\\y\"", Ok(1)),
            ("a; b=\"x,y\"", Err(Malformed)),
            ("a; b=\"x;y\"", Err(Malformed)),
            ("a; b=\"\\\"\"", Err(Malformed)),
            ("a; b=\"\"", Err(Malformed)),
            ("a; b=\"x", Err(Malformed)),
            ("a; b=\"x\\", Err(Malformed)),
            ("a; b=", Err(Malformed)),
            ("a;", Err(Malformed)),
            ("a,", Ok(1)),
            (" ,a,, b", Ok(2)),
            ("a;,b", Err(Malformed)),
            (",", Err(Malformed)),
            ("", Err(Malformed)),
            ("a b", Err(Malformed)),
            ("a; b=\"x\"y", Err(Malformed)),
        ] {
            let pairs = [(NAME, value.as_bytes())];
            assert_eq!(count(Fields::from(&pairs[..])), expected, "{value}");
        }
    }

    #[test]
    fn lines_add_up_and_lists_are_capped() {
        let pairs = [(NAME, &b"a, b"[..]), ("other", b"\""), ("Sec-WebSocket-Extensions", b"c")];
        assert_eq!(count(Fields::from(&pairs[..])), Ok(3));
        let many = ["a"; MAX_EXTENSIONS + 1].join(",");
        assert_eq!(count(Fields::from(&[(NAME, many.as_bytes())][..])), Err(Malformed));
        let many = ["a"; MAX_PARAMETERS + 2].join(";");
        assert_eq!(count(Fields::from(&[(NAME, many.as_bytes())][..])), Err(Malformed));
    }

    #[test]
    fn what_is_known_as_a_whole_is_read_as_all_else() {
        let nine = DeflateParameters { client_max_window_bits: WindowBits::MIN, ..DeflateParameters::default() };
        for (line, answered) in [
            ("permessage-deflate", Some(WindowBits::MAX)),
            ("permessage-deflate; client_max_window_bits", Some(WindowBits::MIN)),
            ("permessage-deflate; client_max_window_bits=9", Some(WindowBits::MIN)),
            ("permessage-deflate; client_no_context_takeover", Some(WindowBits::MAX)),
            ("permessage-deflate; server_max_window_bits", None),
            ("permessage-deflated", None),
            ("Permessage-Deflate", None),
        ] {
            for wished in [None, Some(nine)] {
                let answer = accept_line(line.as_bytes(), wished);
                assert_eq!(answer, accept(core::iter::once(line.as_bytes()), wished), "{line}");
                let bits = answer.unwrap().map(|answer| answer.parameters.client_max_window_bits);
                assert_eq!(bits, answered.filter(|_| wished.is_some()), "{line}");
            }
        }
        for line in ["permessage-deflate;", "permessage-deflate; client_max_window_bits;", ""] {
            assert_eq!(accept_line(line.as_bytes(), None), Err(Malformed), "{line}");
        }
    }

    /// The width that was agreed on for the server's window says which of the offers was taken.
    fn taken(lines: &[&str]) -> Result<Option<u8>, Malformed> {
        let answer = accept(lines.iter().map(|line| line.as_bytes()), Some(DeflateParameters::default()))?;
        Ok(answer.map(|answer| answer.parameters.server_max_window_bits.get()))
    }

    //= rfc7692 5 MUST NOT 1: one extension is answered, never two
    //= rfc7692 5 MUST NOT 2: so nothing is before it
    //= rfc7692 5 MUST NOT 3: nor itself, where no offer can be kept
    //= type=test
    #[test]
    fn trap_29_the_first_offer_that_can_be_kept_is_taken() {
        const NINE: &str = "permessage-deflate; server_max_window_bits=9";
        const TEN: &str = "permessage-deflate; server_max_window_bits=10";
        const BAD: &str = "permessage-deflate; server_max_window_bits=7";
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&["x"], Ok(None)),
            (&[BAD], Ok(None)),
            (&[NINE], Ok(Some(9))),
            (&[NINE, TEN], Ok(Some(9))),
            (&[TEN, NINE], Ok(Some(10))),
            (&[BAD, NINE, TEN], Ok(Some(9))),
            (&["x, y; z=1", BAD, TEN, NINE], Ok(Some(10))),
            (&["x,permessage-deflate;server_max_window_bits=10,permessage-deflate"], Ok(Some(10))),
            (&["permessage-deflate,permessage-deflate;server_max_window_bits=10"], Ok(Some(15))),
            // The field is well-formed as a whole, or it is not, also behind what was taken.
            (&[NINE, ""], Err(Malformed)),
            (&[NINE, "permessage-deflate;"], Err(Malformed)),
            (&["a b", NINE], Err(Malformed)),
        ] {
            assert_eq!(taken(lines), expected, "{lines:?}");
        }
        for count in 0..20 {
            let line = ["x"].repeat(count).into_iter().chain([NINE]).collect::<Vec<_>>().join(", ");
            let expected = if count < MAX_EXTENSIONS { Ok(Some(9)) } else { Err(Malformed) };
            assert_eq!(taken(&[&line]), expected, "{line}");
        }
    }
}
