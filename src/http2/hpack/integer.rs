//! How are integers written? (RFC 7541 §5.1)
//!
//! In the lowest bits of a byte whose highest say what it is for; or, where those are all ones, with the rest in bytes of seven
//! bits, the lowest first. No length and no number here needs more than four of those.

use alloc::vec::Vec;

use super::HpackError;

/// Bytes behind the prefix: 28 bits, some 268 million.
const MAX_BYTES: u32 = 4;

/// Takes an integer off the front of `bytes`, whose first byte has `prefix` bits of it.
#[inline]
pub(super) fn decode(bytes: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
    let (first, mut rest) = bytes.split_first().ok_or(HpackError::Truncated)?;
    let mask = (1usize << prefix) - 1;
    let mut value = usize::from(*first) & mask;
    if value == mask {
        for nth in 0.. {
            let (byte, after) = rest.split_first().ok_or(HpackError::Truncated)?;
            rest = after;
            //= rfc7541 5.1 MUST 1: a number of more bytes than anything needs is refused
            if nth == MAX_BYTES {
                return Err(HpackError::IntegerOverflow);
            }
            value += usize::from(byte & 0x7F) << (7 * nth);
            if byte & 0x80 == 0 {
                break;
            }
        }
    }
    *bytes = rest;
    Ok(value)
}

/// Appends an integer behind the highest bits of its first byte.
pub(super) fn encode(value: usize, prefix: u32, highest: u8, out: &mut Vec<u8>) {
    let mask = (1usize << prefix) - 1;
    if value < mask {
        return out.push(highest | value as u8);
    }
    out.push(highest | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number, the bits of its prefix, and how it is written behind zeros. RFC 7541 §C.1 and the bounds.
    const WRITTEN: [(usize, u32, &[u8]); 15] = [
        (10, 5, &[0x0A]),
        (1337, 5, &[0x1F, 0x9A, 0x0A]),
        (42, 8, &[0x2A]),
        (0, 4, &[0x00]),
        (14, 4, &[0x0E]),
        (15, 4, &[0x0F, 0x00]),
        (30, 5, &[0x1E]),
        (31, 5, &[0x1F, 0x00]),
        (62, 6, &[0x3E]),
        (63, 6, &[0x3F, 0x00]),
        (126, 7, &[0x7E]),
        (127, 7, &[0x7F, 0x00]),
        (127 + 0x7F, 7, &[0x7F, 0x7F]),
        (127 + 0x80, 7, &[0x7F, 0x80, 0x01]),
        (127 + 0x0FFF_FFFF, 7, &[0x7F, 0xFF, 0xFF, 0xFF, 0x7F]),
    ];

    #[test]
    fn numbers_are_written_and_read() {
        for (number, prefix, bytes) in WRITTEN {
            // What stands in front of the prefix, and behind the number, is not touched.
            for highest in [0, (0xFF_u32 << prefix) as u8] {
                let mut written = Vec::new();
                encode(number, prefix, highest, &mut written);
                assert_eq!(written, [&[bytes[0] | highest], &bytes[1..]].concat(), "{number}");
                written.push(0xAA);
                let mut rest = &written[..];
                assert_eq!((decode(&mut rest, prefix), rest), (Ok(number), &[0xAA][..]));
            }
            for cut in 0..bytes.len() {
                assert_eq!(decode(&mut &bytes[..cut], prefix), Err(HpackError::Truncated), "{number} cut at {cut}");
            }
        }
    }

    #[test]
    fn zeros_in_front_are_read_while_they_are_few() {
        assert_eq!(decode(&mut &[0x1F, 0x80, 0x80, 0x80, 0x00][..], 5), Ok(31));
        assert_eq!(decode(&mut &[0x1F, 0x9A, 0x8A, 0x80, 0x00][..], 5), Ok(1337));
    }

    //= rfc7541 5.1 MUST 1: a fifth byte behind the prefix is one too many, whatever it holds
    //= type=test
    #[test]
    fn a_fifth_byte_is_too_many() {
        for fifth in 0..=0xFF {
            for rest in [0x80, 0xFF] {
                let bytes = [0xFF, rest, rest, rest, rest, fifth];
                assert_eq!(decode(&mut &bytes[..], 7), Err(HpackError::IntegerOverflow));
                assert_eq!(decode(&mut &bytes[..5], 7), Err(HpackError::Truncated));
            }
        }
    }
}
