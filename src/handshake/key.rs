//! How does a server prove that it read the handshake? (RFC 6455 §4.2.2 (5.4), §1.3)

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::block_api::compress;

use super::token::{BASE64, are_of};

/// What is hashed, with the place of the key and the byte that ends it (FIPS 180-4 §5.1.1).
const HASHED: &[u8; 64] = b"------------------------258EAFA5-E914-47DA-95CA-C5AB0DC85B11\x80\0\0\0";

/// The value of `Sec-WebSocket-Accept` for a key, computed over its text as it was sent, not over what it decodes to.
pub(super) fn accept(key: &Key) -> AcceptKey {
    // It always has 60 bytes, so the second of its blocks is nothing but its length in bits.
    let mut blocks = [*HASHED, [0; 64]];
    let [first, [.., high, low]] = &mut blocks;
    if let Some(place) = first.first_chunk_mut() {
        *place = *key;
    }
    [*high, *low] = 480u16.to_be_bytes();
    let mut state = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476, 0xC3D2_E1F0];
    compress(&mut state, &blocks);
    let mut digest = [0; 20];
    for (to, word) in digest.as_chunks_mut().0.iter_mut().zip(state) {
        *to = word.to_be_bytes();
    }
    let mut text = [0; 28];
    // 20 bytes are exactly 28 characters.
    let _ = STANDARD.encode_slice(digest, &mut text);
    AcceptKey(text)
}

/// The base64 of 16 random bytes: a client's `Sec-WebSocket-Key`.
pub(super) fn encode(nonce: [u8; 16]) -> Key {
    let mut text = [0; 24];
    // 16 bytes are exactly 24 characters.
    let _ = STANDARD.encode_slice(nonce, &mut text);
    text
}

/// A `Sec-WebSocket-Key`, if it decodes to exactly 16 bytes: 22 digits, of which the last has only two bits to say, and
/// the padding. Nobody wants the bytes, so none are decoded.
pub(super) fn valid(key: &[u8]) -> Option<&Key> {
    let key: &Key = key.try_into().ok()?;
    let [digits @ .., b'A' | b'Q' | b'g' | b'w', b'=', b'='] = key else { return None };
    are_of(BASE64, digits).then_some(key)
}

/// The base64 of 16 bytes.
pub(super) type Key = [u8; 24];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AcceptKey([u8; 28]);

impl AcceptKey {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_2_the_sample_of_the_rfc() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ==").as_bytes(), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
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
            assert_eq!(super::valid(key.as_bytes()).is_some(), valid, "{key:?}");
            assert_eq!(STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16), valid, "{key:?}");
        }
    }
}
