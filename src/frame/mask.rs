//! How is a payload masked and unmasked at memory speed? (RFC 6455 §5.3)
//!
//! Both directions are the same XOR with a 4-byte key that repeats. The loops run over 64-byte blocks of `u32` words,
//! which the compiler turns into the widest vectors that the target has. Short payloads take no loop: two words from either
//! end, which may overlap. Long ones are written from an address on that a vector does not straddle lines of the cache from.
//! [`apply`] works in place; [`copy`] and [`append`] do it while copying.
//! A payload that comes in pieces keeps its phase by [`rotate`]: the key's next byte comes first again.

use alloc::vec::Vec;

/// XORs `bytes` with the key in place, from the key's first byte on.
#[inline(always)]
pub(crate) fn apply(bytes: &mut [u8], key: [u8; 4]) {
    match bytes.len() {
        0..4 => {
            let [first, second, third, _] = key;
            if let [byte, ..] = bytes {
                *byte ^= first;
            }
            if let [_, byte, ..] = bytes {
                *byte ^= second;
            }
            if let [_, _, byte, ..] = bytes {
                *byte ^= third;
            }
        }
        4..8 => ends::<4>(bytes, key),
        8..=16 => ends::<8>(bytes, key),
        17..=32 => ends::<16>(bytes, key),
        33..=64 => ends::<32>(bytes, key),
        _ => blocks(bytes, key),
    }
}

/// The same by a call: where few payloads are long, short ones are to pay nothing for those.
#[inline(never)]
pub(crate) fn apply_apart(bytes: &mut [u8], key: [u8; 4]) {
    apply(bytes, key);
}

/// XORs a payload of `N` to twice `N` bytes, `N` of them from either end. Both are read before one is written, so what they
/// share is XORed once.
#[inline(always)]
fn ends<const N: usize>(bytes: &mut [u8], key: [u8; 4]) {
    let from = bytes.len().wrapping_sub(N);
    let (Some(mut front), Some(mut back)) = (bytes.first_chunk::<N>().copied(), bytes.last_chunk::<N>().copied())
    else {
        return;
    };
    xor(&mut front, key);
    xor(&mut back, rotate(key, from));
    if let Some(slot) = bytes.first_chunk_mut() {
        *slot = front;
    }
    if let Some(slot) = bytes.last_chunk_mut() {
        *slot = back;
    }
}

/// XORs a payload of at least 64 bytes. If it is long, its blocks are aligned, and its first bytes are XORed apart, whatever
/// they share with those.
#[inline]
fn blocks(bytes: &mut [u8], key: [u8; 4]) {
    // What was not masked.
    if key == [0; 4] {
        return;
    }
    if bytes.len() < LONG {
        return blocks_as_they_lie(bytes, key);
    }
    let Some(mut front) = bytes.first_chunk::<LINE>().copied() else { return };
    xor(&mut front, key);
    let lead = lead(bytes);
    if let Some(aligned) = bytes.get_mut(lead..) {
        blocks_as_they_lie(aligned, rotate(key, lead));
    }
    if let Some(slot) = bytes.first_chunk_mut() {
        *slot = front;
    }
}

/// From so many bytes on, what lies across lines of the cache costs more than to begin where they do not.
const LONG: usize = 512;

/// No vector of so many bytes, at a multiple of it, straddles lines.
const LINE: usize = 32;

/// How many bytes there are before the first that is aligned, at most [`LINE`].
#[inline(always)]
fn lead(bytes: &[u8]) -> usize {
    bytes.as_ptr().align_offset(LINE).min(LINE)
}

/// XORs at least 64 bytes: whole blocks, and the last 64 bytes apart, whatever they share with those.
#[inline(always)]
fn blocks_as_they_lie(bytes: &mut [u8], key: [u8; 4]) {
    let from = bytes.len().wrapping_sub(64);
    let Some(mut back) = bytes.last_chunk::<64>().copied() else { return };
    xor(&mut back, rotate(key, from));
    for block in bytes.as_chunks_mut::<64>().0 {
        xor(block, key);
    }
    if let Some(slot) = bytes.last_chunk_mut() {
        *slot = back;
    }
}

/// XORs as [`apply`] does, and says whether nothing but ASCII came out, which costs a tenth of asking it behind.
pub(crate) fn apply_to_text(bytes: &mut [u8], key: [u8; 4]) -> bool {
    if bytes.len() < LONG || key == [0; 4] {
        return apply_to_text_as_it_lies(bytes, key);
    }
    let Some(mut front) = bytes.first_chunk::<LINE>().copied() else { return false };
    xor(&mut front, key);
    let lead = lead(bytes);
    let Some(aligned) = bytes.get_mut(lead..) else { return false };
    let is_ascii = apply_to_text_as_it_lies(aligned, rotate(key, lead));
    if let Some(slot) = bytes.first_chunk_mut() {
        *slot = front;
    }
    is_ascii && front.is_ascii()
}

#[inline(always)]
fn apply_to_text_as_it_lies(bytes: &mut [u8], key: [u8; 4]) -> bool {
    let from = bytes.len().wrapping_sub(64);
    let Some(mut back) = bytes.last_chunk::<64>().copied() else {
        apply(bytes, key);
        return bytes.is_ascii();
    };
    xor(&mut back, rotate(key, from));
    let mut seen = back;
    let mut see = |block: &[u8; 64]| seen.iter_mut().zip(block).for_each(|(seen, byte)| *seen |= byte);
    if key == [0; 4] {
        bytes.as_chunks::<64>().0.iter().for_each(see);
    } else {
        for block in bytes.as_chunks_mut::<64>().0 {
            xor(block, key);
            see(block);
        }
        if let Some(slot) = bytes.last_chunk_mut() {
            *slot = back;
        }
    }
    seen.is_ascii()
}

#[inline(always)]
fn xor<const N: usize>(bytes: &mut [u8; N], key: [u8; 4]) {
    let word = u32::from_ne_bytes(key);
    if N == 8 {
        let double = u64::from(word) | u64::from(word) << 32;
        for lane in bytes.as_chunks_mut::<8>().0 {
            *lane = (u64::from_ne_bytes(*lane) ^ double).to_ne_bytes();
        }
        return;
    }
    for lane in bytes.as_chunks_mut::<4>().0 {
        *lane = (u32::from_ne_bytes(*lane) ^ word).to_ne_bytes();
    }
}

/// Copies a payload to `to`, which is as long, XORed with the key if there is one.
// A call of `memcpy` costs more than a few steps of 16 bytes do; above 64 it is worth it, as the C library has wider steps.
#[inline(always)]
pub(crate) fn copy(to: &mut [u8], bytes: &[u8], key: Option<[u8; 4]>) {
    match (bytes.len(), key) {
        (65.., None) => to.copy_from_slice(bytes),
        (129.., Some(key)) => copy_blocks(to, bytes, key),
        (65.., _) => copy_ends::<64>(to, bytes, key),
        (33.., _) => copy_ends::<32>(to, bytes, key),
        (17.., _) => copy_ends::<16>(to, bytes, key),
        (8.., _) => copy_ends::<8>(to, bytes, key),
        (4.., _) => copy_ends::<4>(to, bytes, key),
        _ => {
            for ((to, byte), key) in to.iter_mut().zip(bytes).zip(key.unwrap_or_default()) {
                *to = byte ^ key;
            }
        }
    }
}

/// Copies `N` to twice `N` bytes to the front of `to`, `N` of them from either end.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], bytes: &[u8], key: Option<[u8; 4]>) {
    let from = bytes.len().wrapping_sub(N);
    let (Some(mut front), Some(mut back)) = (bytes.first_chunk::<N>().copied(), bytes.last_chunk::<N>().copied())
    else {
        return;
    };
    if let Some(key) = key {
        xor(&mut front, key);
        xor(&mut back, rotate(key, from));
    }
    if let Some(slot) = to.first_chunk_mut() {
        *slot = front;
    }
    if let Some(slot) = to.get_mut(from..from + N).and_then(|slot| slot.first_chunk_mut()) {
        *slot = back;
    }
}

/// Copies more than 64 bytes; if it is long, to blocks that are aligned.
#[inline]
fn copy_blocks(to: &mut [u8], bytes: &[u8], key: [u8; 4]) {
    if bytes.len() < LONG {
        return copy_blocks_as_they_lie(to, bytes, key);
    }
    if let (Some(to), Some(mut front)) = (to.first_chunk_mut::<LINE>(), bytes.first_chunk().copied()) {
        xor(&mut front, key);
        *to = front;
    }
    let lead = lead(to);
    if let (Some(to), Some(bytes)) = (to.get_mut(lead..), bytes.get(lead..)) {
        copy_blocks_as_they_lie(to, bytes, rotate(key, lead));
    }
}

/// Copies at least 64 bytes: whole blocks, and the last one apart, whatever they share.
#[inline(always)]
fn copy_blocks_as_they_lie(to: &mut [u8], bytes: &[u8], key: [u8; 4]) {
    for (to, from) in to.as_chunks_mut::<64>().0.iter_mut().zip(bytes.as_chunks::<64>().0) {
        // Through a value of its own: written first and XORed in place, it would be read again from where it is written.
        let mut block = *from;
        xor(&mut block, key);
        *to = block;
    }
    if let (Some(to), Some(mut back)) = (to.last_chunk_mut::<64>(), bytes.last_chunk().copied()) {
        xor(&mut back, rotate(key, bytes.len().wrapping_sub(64)));
        *to = back;
    }
}

/// Appends `bytes` XORed with the key to `to`. Without a key, that is a copy.
///
/// Block by block through a stack array, since a `Vec` can only grow by what is already there: the block stays in the
/// first-level cache, and no byte of the destination is written twice.
#[inline]
pub(crate) fn append(to: &mut Vec<u8>, bytes: &[u8], key: [u8; 4]) {
    const BLOCK: usize = 256;
    if key == [0; 4] {
        return to.extend_from_slice(bytes);
    }
    to.reserve(bytes.len());
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    for block in blocks {
        let mut masked = [0; BLOCK];
        // As in `copy_blocks`: in place, each part would be read again from where it was just written.
        for (to, from) in masked.as_chunks_mut::<64>().0.iter_mut().zip(block.as_chunks::<64>().0) {
            let mut part = *from;
            xor(&mut part, key);
            *to = part;
        }
        to.extend_from_slice(&masked);
    }
    let start = to.len();
    to.extend_from_slice(rest);
    if let Some(tail) = to.get_mut(start..) {
        apply(tail, key);
    }
}

/// The key for the bytes that follow `passed` bytes of the same payload.
#[inline]
pub(crate) fn rotate(key: [u8; 4], passed: usize) -> [u8; 4] {
    u32::from_le_bytes(key).rotate_right((passed as u32 & 3) * 8).to_le_bytes()
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
            offset in 0usize..70,
            at: prop::sample::Index,
            key: [u8; 4],
        ) {
            let bytes = &bytes[offset.min(bytes.len())..];
            let expected = naive(bytes, key);
            // Wherever it lies.
            let misplaced = |bytes: &[u8]| [&vec![7; offset][..], bytes].concat();
            let mut in_place = misplaced(bytes);
            apply(&mut in_place[offset..], key);
            prop_assert_eq!(&in_place, &misplaced(&expected));
            for is_ascii in [true, false] {
                let plain: Vec<u8> = expected.iter().map(|byte| if is_ascii { byte & 0x7F } else { *byte }).collect();
                let mut text = misplaced(&naive(&plain, key));
                prop_assert_eq!(apply_to_text(&mut text[offset..], key), plain.is_ascii());
                prop_assert_eq!(&text, &misplaced(&plain));
            }
            // One byte that is not ASCII, wherever it is.
            if !bytes.is_empty() {
                let mut plain: Vec<u8> = expected.iter().map(|byte| byte & 0x7F).collect();
                plain[at.index(bytes.len())] |= 0x80;
                prop_assert!(!apply_to_text(&mut misplaced(&naive(&plain, key))[offset..], key));
            }
            let mut appended = vec![7; offset];
            append(&mut appended, bytes, key);
            prop_assert_eq!(&appended[offset..], &expected[..]);
            for key in [None, Some(key)] {
                for bytes in [32, 200, usize::MAX].map(|most| &bytes[..bytes.len().min(most)]) {
                    let mut copied = vec![7; offset + bytes.len()];
                    copy(&mut copied[offset..], bytes, key);
                    prop_assert_eq!(copied, misplaced(&naive(bytes, key.unwrap_or_default())));
                }
            }
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
