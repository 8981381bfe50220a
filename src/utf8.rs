//! Is text that comes in pieces UTF-8, and which byte proves that it is not? (RFC 6455 §8.1, RFC 3629)
//!
//! [`Carry`] holds the one thing that joins two pieces: the 1 to 3 bytes of a character that the first one began. The
//! middle of a piece goes through simdutf8 once; its tail is accepted only if some character begins like that, so a piece
//! fails as soon as it holds a byte that nothing could make valid (`F4 90`, `ED A0`), not when its message ends.

use alloc::string::String;

/// Text that is not UTF-8 and cannot become so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InvalidUtf8;

/// The beginning of a character, carried from one piece to the next.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Carry {
    bytes: [u8; 4],
    length: u8,
}

impl Carry {
    pub(crate) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What is carried: after [`complete`](Carry::complete) has said so, one whole character.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    /// Takes one byte more for the character that is carried; says whether that completes it.
    pub(crate) fn complete(&mut self, byte: u8) -> Result<bool, InvalidUtf8> {
        if let Some(slot) = self.bytes.get_mut(usize::from(self.length)) {
            *slot = byte;
            self.length += 1;
        }
        match core::str::from_utf8(self.as_bytes()) {
            Ok(_) => Ok(true),
            Err(error) if error.error_len().is_none() => Ok(false),
            Err(_) => Err(InvalidUtf8),
        }
    }

    /// Splits the character that `piece` begins and does not end off its end, and carries it. What is before it has still
    /// to be validated, and ends between characters if it is valid.
    pub(crate) fn split_tail(&mut self, piece: &[u8]) -> Result<usize, InvalidUtf8> {
        let begun = begun(piece);
        let whole = piece.len() - begun;
        if let (Some(tail), Some(slot)) = (piece.get(whole..), self.bytes.get_mut(..begun)) {
            if core::str::from_utf8(tail).is_err_and(|error| error.error_len().is_some()) {
                return Err(InvalidUtf8);
            }
            slot.copy_from_slice(tail);
            self.length = u8::try_from(begun).unwrap_or_default();
        }
        Ok(whole)
    }

    /// Validates the next piece and appends its characters to `text`.
    pub(crate) fn append(&mut self, text: &mut String, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        while !self.is_empty() {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            if self.complete(byte)? {
                text.push_str(core::str::from_utf8(self.as_bytes()).unwrap_or_default());
                self.clear();
            }
        }
        let whole = self.split_tail(piece)?;
        text.push_str(validate(piece.get(..whole).unwrap_or_default())?);
        Ok(())
    }
}

/// Text that lies in one piece.
#[inline]
pub(crate) fn validate(bytes: &[u8]) -> Result<&str, InvalidUtf8> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| InvalidUtf8)
}

/// The same by a call, whose result is in registers.
#[inline(never)]
pub(crate) fn validate_apart(bytes: &[u8]) -> Option<&str> {
    validate(bytes).ok()
}

/// How many bytes at the end of `piece` belong to a character that it does not end: 0 to 3.
fn begun(piece: &[u8]) -> usize {
    let last = piece.len().saturating_sub(3);
    let tail = piece.get(last..).unwrap_or_default();
    for (back, byte) in tail.iter().rev().enumerate() {
        let length = match byte {
            0x80..=0xBF => continue,
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xFF => 4,
            _ => 1,
        };
        return if length > back + 1 { back + 1 } else { 0 };
    }
    0
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    /// Feeds `bytes` in the given pieces; what came out, and the number of the piece that failed.
    fn feed(bytes: &[u8], cuts: &[usize]) -> Result<(String, bool), usize> {
        let (mut text, mut carry, mut at) = (String::new(), Carry::default(), 0);
        for (piece, cut) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
            carry.append(&mut text, &bytes[at..cut]).map_err(|_| piece)?;
            at = cut;
        }
        Ok((text, carry.is_empty()))
    }

    /// The standard library's verdict on all that was fed so far: the first piece that holds an impossible byte.
    fn reference(bytes: &[u8], cuts: &[usize]) -> Result<(String, bool), usize> {
        for (piece, cut) in cuts.iter().copied().chain([bytes.len()]).enumerate() {
            if core::str::from_utf8(&bytes[..cut]).is_err_and(|error| error.error_len().is_some()) {
                return Err(piece);
            }
        }
        let valid = core::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), |_| bytes.len());
        Ok((String::from_utf8(bytes[..valid].to_vec()).unwrap(), valid == bytes.len()))
    }

    //= rfc6455 8.1 MUST 1: text that is not UTF-8 fails the connection
    //= type=test
    #[test]
    fn trap_25_every_split_of_every_kind_of_character() {
        let samples: &[&[u8]] = &[
            b"plain",
            "\u{FEFF}\u{7F}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}\u{10FFFF}".as_bytes(),
            b"\xF4\x90\x80\x80",
            b"\xED\xA0\x80",
            b"\xC0\xAF",
            b"\xE0\x80\xAF",
            b"\xF0\x80\x80\xAF",
            b"\xFF",
            b"a\x80",
            b"\xE2\x82",
            b"\xF0\x9F\x98",
            b"\xF8\x88\x80\x80\x80",
        ];
        for sample in samples {
            for a in 0..=sample.len() {
                for b in a..=sample.len() {
                    assert_eq!(feed(sample, &[a, b]), reference(sample, &[a, b]), "{sample:02X?} cut at {a}, {b}");
                }
            }
        }
        assert_eq!(feed(b"\xF4\x90", &[1]), Err(1), "fails at its second byte");
        assert_eq!(feed(b"\xED\xA0", &[1]), Err(1), "fails at its second byte");
    }

    proptest! {
        #[test]
        fn agrees_with_the_standard_library(
            bytes in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                any::<String>().prop_map(String::into_bytes),
                (any::<String>(), any::<u8>(), any::<prop::sample::Index>()).prop_map(|(text, byte, at)| {
                    let mut bytes = text.into_bytes();
                    bytes.insert(at.index(bytes.len() + 1), byte);
                    bytes
                }),
            ],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            prop_assert_eq!(feed(&bytes, &cuts), reference(&bytes, &cuts));
        }
    }
}
