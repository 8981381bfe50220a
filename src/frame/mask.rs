//! How is a payload masked and unmasked at memory speed? (RFC 6455 §5.3)
//!
//! Both directions are the same XOR with a 4-byte key that repeats. The loops run over 64-byte blocks of `u32` words,
//! which the compiler turns into the widest vectors that the target has; a tail of 8-, 4- and 1-byte steps keeps short
//! payloads cheap. [`apply`] works in place; [`append`] does it while copying, for payloads that are kept anyway.
//! A payload that comes in pieces keeps its phase by [`rotate`]: the key's next byte comes first again.

use alloc::vec::Vec;

/// XORs `bytes` with the key in place, from the key's first byte on.
#[inline]
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    let double = u64::from(word) | u64::from(word) << 32;
    let (blocks, rest) = bytes.as_chunks_mut::<64>();
    for block in blocks {
        for lane in block.as_chunks_mut::<4>().0 {
            *lane = (u32::from_ne_bytes(*lane) ^ word).to_ne_bytes();
        }
    }
    let (eights, rest) = rest.as_chunks_mut::<8>();
    for lane in eights {
        *lane = (u64::from_ne_bytes(*lane) ^ double).to_ne_bytes();
    }
    let (fours, rest) = rest.as_chunks_mut::<4>();
    for lane in fours {
        *lane = (u32::from_ne_bytes(*lane) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// Appends `bytes` XORed with the key to `to`.
///
/// Block by block through a stack array, since a `Vec` can only grow by what is already there: the block stays in the
/// first-level cache, and no byte of the destination is written twice.
#[inline]
pub(crate) fn append(to: &mut Vec<u8>, bytes: &[u8], key: [u8; 4]) {
    const BLOCK: usize = 256;
    to.reserve(bytes.len());
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        let mut block = *block;
        apply(&mut block, key);
        to.extend_from_slice(&block);
    }
    let start = to.len();
    to.extend_from_slice(rest);
    if let Some(tail) = to.get_mut(start..) {
        apply(tail, key);
    }
}

/// The key for the bytes that follow `passed` bytes of the same payload.
#[inline]
pub(crate) fn rotate(mut key: [u8; 4], passed: usize) -> [u8; 4] {
    key.rotate_left(passed & 3);
    key
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn naive(bytes: &[u8], key: [u8; 4]) -> Vec<u8> {
        bytes.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]).collect()
    }

    proptest! {
        #[test]
        fn in_place_and_while_copying_agree_with_the_plain_loop(
            bytes in prop::collection::vec(any::<u8>(), 0..1500),
            offset in 0usize..8,
            key: [u8; 4],
        ) {
            let bytes = &bytes[offset.min(bytes.len())..];
            let expected = naive(bytes, key);
            let mut in_place = bytes.to_vec();
            apply(&mut in_place, key);
            prop_assert_eq!(&in_place, &expected);
            let mut appended = vec![7; offset];
            append(&mut appended, bytes, key);
            prop_assert_eq!(&appended[offset..], &expected[..]);
        }

        #[test]
        fn trap_16_the_phase_runs_on_over_any_split(
            bytes in prop::collection::vec(any::<u8>(), 0..100),
            piece in 1usize..12,
            key: [u8; 4],
        ) {
            let mut pieces = bytes.clone();
            let mut now = key;
            for piece in pieces.chunks_mut(piece) {
                apply(piece, now);
                now = rotate(now, piece.len());
            }
            prop_assert_eq!(pieces, naive(&bytes, key));
        }
    }
}
