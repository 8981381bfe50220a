//! What is a token, and what is in a comma-separated list? (RFC 9110 §5.6.1, §5.6.2)

/// Whether `text` is a token: what names of methods, header fields, subprotocols and extensions are made of.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(is_token_byte)
}

pub(super) fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a list, without the blanks around them; empty elements are passed over, as RFC 9110 asks.
pub(super) fn elements(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim).filter(|element| !element.is_empty())
}

/// Whether a list has an element, without regard to case.
pub(super) fn contains(value: &[u8], element: &str) -> bool {
    elements(value).any(|found| found.eq_ignore_ascii_case(element.as_bytes()))
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
            assert_eq!(contains(value.as_bytes(), "websocket"), found, "{value:?}");
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
