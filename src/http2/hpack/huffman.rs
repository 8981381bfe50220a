//! How are strings made shorter? (RFC 7541 §5.2, Appendix B)
//!
//! The code is canonical: codes of one length are consecutive, in the order of their symbols, and follow on those of the
//! length before. So the lengths alone define it, and every table here is made of them when the crate is compiled. A symbol of
//! up to [`FAST`] bits, which all common ones are, is found by one look into a table; a longer one by comparing with the
//! first code of each length.

use alloc::vec::Vec;

use super::HpackError;

/// The bits of each symbol's code; the last is the end of the string, which must not occur.
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28,
    28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12,
    10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6,
    5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22,
    22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28,
    27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28,
    27, 27, 27, 27, 27, 26, 30,
];

/// How many bits the table of short codes looks at.
const FAST: u32 = 9;

/// What the lengths define.
pub(super) struct Code {
    /// For each symbol: its code, in the lowest bits, and how many bits that has.
    pub(super) codes: [(u32, u8); 257],
    /// All symbols, by the length of their code.
    symbols: [u16; 257],
    /// For each length: its first code, how many codes have it, and where their symbols begin.
    lengths: [(u32, u32, u32); 31],
    /// For each beginning of [`FAST`] bits: the symbol and the length of its code, 0 where that is longer.
    fast: [(u8, u8); 1 << FAST],
}

pub(super) const CODE: &Code = &code();

#[allow(clippy::indexing_slicing, reason = "evaluated by the compiler, which checks the bounds")]
const fn code() -> Code {
    let mut made =
        Code { codes: [(0, 0); 257], symbols: [0; 257], lengths: [(0, 0, 0); 31], fast: [(0, 0); 1 << FAST] };
    let (mut next, mut sorted, mut length) = (0u32, 0, 1);
    while length <= 30 {
        next <<= 1;
        made.lengths[length] = (next, 0, sorted as u32);
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                made.codes[symbol] = (next, length as u8);
                made.symbols[sorted] = symbol as u16;
                made.lengths[length].1 += 1;
                if length <= FAST as usize {
                    let first = (next as usize) << (FAST as usize - length);
                    let mut index = first;
                    while index < first + (1 << (FAST as usize - length)) {
                        made.fast[index] = (symbol as u8, length as u8);
                        index += 1;
                    }
                }
                next += 1;
                sorted += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    made
}

/// Appends the decoded string.
pub(super) fn decode(mut bytes: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    // The next bits, from the highest on, and how many there are: fewer than 32 whenever more are taken.
    let (mut bits, mut count) = (0u64, 0u32);
    // No symbol takes fewer than five bits.
    out.reserve(bytes.len() * 8 / 5);
    while let Some((four, rest)) = bytes.split_first_chunk() {
        bits |= u64::from(u32::from_be_bytes(*four)) << (32 - count);
        count += 32;
        bytes = rest;
        // No symbol takes more than thirty.
        while count >= 32 {
            let (symbol, length) = first_symbol(bits).ok_or(HpackError::InvalidHuffman)?;
            out.push(symbol);
            bits <<= length;
            count -= length;
        }
    }
    for byte in bytes {
        bits |= u64::from(*byte) << (56 - count);
        count += 8;
    }
    // Behind the end stands what a string is padded with: ones, as in the code of its end.
    bits |= u64::MAX >> count;
    //= rfc7541 5.2 MUST 1: eight bits of padding or more are refused
    //= rfc7541 5.2 MUST 2: padding other than ones is refused
    //= rfc7541 5.2 MUST 3: the code of the end is no symbol, and more than padding
    while count >= 8 || bits != u64::MAX {
        let found = first_symbol(bits).filter(|(_, length)| *length <= count);
        let (symbol, length) = found.ok_or(HpackError::InvalidHuffman)?;
        out.push(symbol);
        bits = !(!bits << length);
        count -= length;
    }
    Ok(())
}

/// The symbol that these bits begin with, and the length of its code; none where that is the end of the string.
#[inline]
fn first_symbol(bits: u64) -> Option<(u8, u32)> {
    match CODE.fast.get((bits >> (64 - FAST)) as usize) {
        Some((symbol, length @ 1..)) => Some((*symbol, u32::from(*length))),
        _ => long_symbol(bits),
    }
}

/// The same for a symbol of more than [`FAST`] bits.
#[cold]
fn long_symbol(bits: u64) -> Option<(u8, u32)> {
    for (length, (first, count, symbols)) in (0u32..).zip(&CODE.lengths).skip(FAST as usize + 1) {
        let nth = ((bits >> (64 - length)) as u32).wrapping_sub(*first);
        if nth < *count {
            let symbol = *CODE.symbols.get((symbols + nth) as usize)?;
            return u8::try_from(symbol).ok().map(|symbol| (symbol, length));
        }
    }
    None
}

/// How many bytes a string takes when it is encoded.
pub(super) fn encoded_length(string: &[u8]) -> usize {
    let bits: usize = string.iter().map(|byte| usize::from(code_of(*byte).1)).sum();
    bits.div_ceil(8)
}

/// Appends the encoded string.
pub(super) fn encode(string: &[u8], out: &mut Vec<u8>) {
    // The bits that are still to be written, in the lowest places, and how many there are: fewer than 32 before a symbol.
    let (mut bits, mut count) = (0u64, 0u32);
    for byte in string {
        let (code, length) = code_of(*byte);
        bits = (bits << length) | u64::from(code);
        count += u32::from(length);
        if count >= 32 {
            count -= 32;
            out.extend_from_slice(&((bits >> count) as u32).to_be_bytes());
        }
    }
    // What is missing in the last byte is filled with ones.
    let padding = count.wrapping_neg() % 8;
    bits = !(!bits << padding);
    count += padding;
    while count > 0 {
        count -= 8;
        out.push((bits >> count) as u8);
    }
}

fn code_of(byte: u8) -> (u32, u8) {
    CODE.codes.get(usize::from(byte)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn encoded(string: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(string, &mut out);
        assert_eq!(out.len(), encoded_length(string));
        out
    }

    fn decoded(bytes: &[u8]) -> Result<Vec<u8>, HpackError> {
        // It is appended, and what was there stays.
        let mut out = vec![b'>'];
        decode(bytes, &mut out)?;
        assert_eq!(out.remove(0), b'>');
        Ok(out)
    }

    /// A bit after the other, and after each a look at all symbols.
    fn naive(bytes: &[u8]) -> Result<Vec<u8>, HpackError> {
        let (mut out, mut code, mut length) = (Vec::new(), 0u32, 0u8);
        for bit in bytes.iter().flat_map(|byte| (0..8).rev().map(move |nth| byte >> nth & 1)) {
            code = code << 1 | u32::from(bit);
            length += 1;
            match CODE.codes.iter().position(|symbol| *symbol == (code, length)) {
                Some(256) => return Err(HpackError::InvalidHuffman),
                Some(symbol) => {
                    out.push(symbol as u8);
                    (code, length) = (0, 0);
                }
                None => (),
            }
        }
        let is_padding = length < 8 && code == (1 << length) - 1;
        if is_padding { Ok(out) } else { Err(HpackError::InvalidHuffman) }
    }

    #[test]
    fn the_code_is_complete() {
        let of_all: u64 = LENGTHS.iter().map(|length| 1 << (30 - length)).sum();
        assert_eq!(of_all, 1 << 30);
        assert_eq!(CODE.codes[256], (0x3FFF_FFFF, 30), "the code of the end is the last");
        assert_eq!(CODE.codes[usize::from(b'/')], (0x18, 6), "as RFC 7541 has it in its explanation of the table");
    }

    #[test]
    fn every_symbol_and_every_pair_is_read_as_it_was_written() {
        for first in 0..=0xFF {
            assert_eq!(decoded(&encoded(&[first])), Ok(vec![first]));
            for second in 0..=0xFF {
                let pair = [first, second];
                assert_eq!(decoded(&encoded(&pair)), Ok(pair.to_vec()));
            }
        }
    }

    #[test]
    fn all_of_two_bytes_agree_with_a_naive_reading() {
        for bytes in (0..=u16::MAX).map(u16::to_be_bytes) {
            assert_eq!(decoded(&bytes), naive(&bytes), "{bytes:02x?}");
        }
        assert_eq!(decoded(&[]), Ok(vec![]));
    }

    //= rfc7541 5.2 MUST 1: eight bits of padding or more
    //= rfc7541 5.2 MUST 2: padding of zeros, or with a zero
    //= rfc7541 5.2 MUST 3: the code of the end, alone, between others and at every place in a byte
    //= type=test
    #[test]
    fn what_is_wrong_at_the_end_of_a_string() {
        // After 0 to 7 symbols of five bits, so that the padding has each length; and behind a long string too.
        for text in (0..8).flat_map(|n| [b"a".repeat(n), b"e".repeat(40 + n)]) {
            let good = encoded(&text);
            let padding = good.len() * 8 - text.len() * 5;
            assert_eq!(decoded(&good), Ok(text.clone()));
            for more in 1..=8 {
                let bytes = [&good[..], &[0xFF].repeat(more)].concat();
                assert_eq!(decoded(&bytes), Err(HpackError::InvalidHuffman), "{more} bytes of padding");
            }
            for bit in 0..padding {
                let mut bytes = good.clone();
                *bytes.last_mut().unwrap() ^= 1 << bit;
                // Five bits or more may be a symbol.
                assert_eq!(decoded(&bytes), naive(&bytes));
                assert!(padding >= 5 || decoded(&bytes) == Err(HpackError::InvalidHuffman), "bit {bit} is 0");
            }
            // The end, then the text again.
            let mut bits: Vec<bool> =
                good.iter().flat_map(|byte| (0..8).rev().map(move |nth| byte >> nth & 1 == 1)).collect();
            bits.truncate(text.len() * 5);
            let around = [&bits[..], &[true; 30], &bits, &[true; 7]].concat();
            let bytes: Vec<u8> = around
                .chunks_exact(8)
                .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit)))
                .collect();
            assert_eq!(decoded(&bytes), Err(HpackError::InvalidHuffman), "{bytes:02x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(string in prop::collection::vec(any::<u8>(), 0..100)) {
            let encoded = encoded(&string);
            prop_assert_eq!(naive(&encoded), Ok(string.clone()));
            prop_assert_eq!(decoded(&encoded), Ok(string));
        }

        #[test]
        fn random_bytes_agree_with_a_naive_reading(
            parts in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => Just(0xFF)], 0..40),
        ) {
            prop_assert_eq!(decoded(&parts), naive(&parts));
        }

        #[test]
        fn a_valid_string_with_one_bit_changed_agrees_too(
            string in prop::collection::vec(any::<u8>(), 1..40), bit: prop::sample::Index,
        ) {
            let mut bytes = encoded(&string);
            let bit = bit.index(bytes.len() * 8);
            bytes[bit / 8] ^= 0x80 >> (bit % 8);
            prop_assert_eq!(decoded(&bytes), naive(&bytes));
        }
    }
}
