//! What is a token, and what is in a comma-separated list? (RFC 9110 §5.6.1, §5.6.2)

/// What a byte may stand in: one bit each in [`CLASSES`].
pub(super) const TOKEN: u8 = 1;
/// The name of a host, or an IPv4 address (RFC 3986 §3.2.2).
pub(super) const HOST: u8 = 2;
/// A digit of base64.
pub(super) const BASE64: u8 = 4;

/// A table, since every byte of a dozen values is looked up, and ranges take three times as long.
#[allow(clippy::indexing_slicing, reason = "when it is compiled")]
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        classes[byte as usize] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => TOKEN | HOST | BASE64,
            b'!' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'-' | b'.' | b'_' | b'~' => TOKEN | HOST,
            b'+' => TOKEN | HOST | BASE64,
            b'#' | b'^' | b'`' | b'|' => TOKEN,
            b'(' | b')' | b',' | b';' | b'=' => HOST,
            b'/' => BASE64,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

pub(super) fn is_of(class: u8, byte: u8) -> bool {
    CLASSES.get(usize::from(byte)).is_some_and(|classes| classes & class != 0)
}

/// Whether all bytes are of a class.
pub(super) fn are_of(class: u8, bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| is_of(class, *byte))
}

/// Whether `text` is a token: what names of methods, header fields, subprotocols and extensions are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && are_of(TOKEN, text.as_bytes())
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    is_of(TOKEN, byte)
}

/// Whether this is `known`, without regard to case; fastest where it is written as `known` is.
#[inline]
pub(super) fn is(found: &[u8], known: &[u8]) -> bool {
    found == known || found.eq_ignore_ascii_case(known)
}

/// The elements of a list, without the blanks around them; empty elements are passed over, as RFC 9110 asks.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether a list has an element, without regard to case.
#[inline]
pub(super) fn contains(value: &[u8], element: &[u8]) -> bool {
    // Most lists are of one, and need not be divided.
    is(value, element) || elements(value).any(|found| found.eq_ignore_ascii_case(element))
}

/// Strips blanks (space and tab) off both ends.
pub(super) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_3_lists_are_compared_by_whole_elements() {
        for (value, found) in [
            ("websocket", true),
            ("WebSocket", true),
            ("h2c, websocket", true),
            (" ,websocket\t,", true),
            ("websocketx", false),
            ("web socket", false),
            ("xwebsocket, h2c", false),
            ("", false),
        ] {
            assert_eq!(contains(value.as_bytes(), b"websocket"), found, "{value:?}");
        }
    }

    #[test]
    fn tokens() {
        assert!(is_token("chat.v2~!#$%&'*+-^_`|"));
        for text in ["", "a b", "a,b", "é", "a/b", "a\t", "\"a\"", "(a)"] {
            assert!(!is_token(text), "{text:?}");
        }
    }
}
