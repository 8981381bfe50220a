//! What extensions does a header field list? (RFC 6455 §9.1)
//!
//! `name; parameter; parameter=value; parameter="value", name …`, over any number of lines. A quoted value is a token once
//! its quotes and escapes are gone, so commas and semicolons inside quotes divide nothing and make the field malformed. The
//! walk is linear, and capped in extensions and parameters.

use super::fields::Fields;
use super::token::is_token_byte;

pub(super) const NAME: &str = "sec-websocket-extensions";
const MAX_EXTENSIONS: usize = 16;
const MAX_PARAMETERS: usize = 16;

/// A header field that does not follow its grammar, or lists more than anyone needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Walks over all extensions of all lines and says how many there are.
//= rfc6455 9.1 MUST 1: a field that does not follow the grammar fails the connection
pub(super) fn count(fields: Fields<'_>) -> Result<usize, Malformed> {
    let mut extensions = 0;
    for field in fields.all(NAME) {
        let before = extensions;
        let mut rest = field.value;
        // Empty elements mean nothing (RFC 9110 §5.6.1), but some element there must be.
        while let Some(byte) = skip_blanks(&mut rest) {
            if byte != b',' {
                extension(&mut rest)?;
                extensions += 1;
            }
            match skip_blanks(&mut rest) {
                Some(b',') => advance(&mut rest),
                Some(_) => return Err(Malformed),
                None => break,
            }
        }
        if extensions == before || extensions > MAX_EXTENSIONS {
            return Err(Malformed);
        }
    }
    Ok(extensions)
}

fn extension(rest: &mut &[u8]) -> Result<(), Malformed> {
    token(rest)?;
    let mut parameters = 0;
    while skip_blanks(rest) == Some(b';') {
        advance(rest);
        skip_blanks(rest);
        token(rest)?;
        if skip_blanks(rest) == Some(b'=') {
            advance(rest);
            match skip_blanks(rest) {
                Some(b'"') => quoted_token(rest)?,
                _ => token(rest)?,
            }
        }
        parameters += 1;
        if parameters > MAX_PARAMETERS {
            return Err(Malformed);
        }
    }
    Ok(())
}

fn token(rest: &mut &[u8]) -> Result<(), Malformed> {
    let length = rest.iter().take_while(|byte| is_token_byte(**byte)).count();
    *rest = rest.get(length..).unwrap_or_default();
    if length > 0 { Ok(()) } else { Err(Malformed) }
}

//= rfc6455 4.3 MUST 1: a quoted value is a token once it is unescaped
//= rfc6455 9.1 MUST 2: a quoted value is a token once it is unescaped
fn quoted_token(rest: &mut &[u8]) -> Result<(), Malformed> {
    advance(rest);
    let mut length = 0;
    loop {
        let (byte, after) = match rest {
            [b'"', after @ ..] if length > 0 => {
                *rest = after;
                return Ok(());
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
    use super::*;

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
}
