//! How does a server prove that it read the handshake? (RFC 6455 §4.2.2 (5.4), §1.3)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The value of `Sec-WebSocket-Accept` for a key, computed over its text as it was sent, not over what it decodes to.
pub(super) fn accept(key: &str) -> AcceptKey {
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    let mut text = [0; 28];
    // 20 bytes are exactly 28 characters.
    let _ = STANDARD.encode_slice(digest, &mut text);
    AcceptKey(text)
}

/// The base64 of 16 random bytes: a client's `Sec-WebSocket-Key`.
pub(super) fn encode(nonce: [u8; 16]) -> [u8; 24] {
    let mut text = [0; 24];
    // 16 bytes are exactly 24 characters.
    let _ = STANDARD.encode_slice(nonce, &mut text);
    text
}

/// Whether a `Sec-WebSocket-Key` decodes to exactly 16 bytes.
pub(super) fn is_valid(key: &str) -> bool {
    let mut nonce = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut nonce) == Ok(16)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcceptKey([u8; 28]);

impl AcceptKey {
    pub(super) fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_2_the_sample_of_the_rfc() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ==").as_str(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(&encode(*b"the sample nonce"), b"dGhlIHNhbXBsZSBub25jZQ==");
    }

    #[test]
    fn trap_1_exactly_sixteen_bytes() {
        for (key, valid) in [
            ("dGhlIHNhbXBsZSBub25jZQ==", true),
            ("AAAAAAAAAAAAAAAAAAAAAA==", true),
            ("AAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAAAA=", false),
            ("AAAAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAAAA=", false),
            ("AAAAAAAAAAAAAAAAAAAAAA", false),
            ("AAAAAAAAAAAAAAAAAAAA A==", false),
            ("AAAAAAAAAAAAAAAAAAAAAB==", false),
            ("-AAAAAAAAAAAAAAAAAAAAA==", false),
            ("", false),
        ] {
            assert_eq!(is_valid(key), valid, "{key:?}");
        }
    }
}
