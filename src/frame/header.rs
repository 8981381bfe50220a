//! How does a frame header read, and which byte proves it wrong? (RFC 6455 §5.2)
//!
//! [`Header::decode`] is handed whatever is there of a header and says `Ok(None)` while more is needed. It is pure and
//! checks in wire order, so feeding it a header byte by byte finds every fault at the first byte that proves it, and the
//! same one as when the header comes whole: bits and opcode on byte 0, mask bit and control length on byte 1, length form
//! and limits at the last byte of the length, before the masking key.

use core::ops::Range;

use crate::error::Error;

/// The longest header: two bytes, a 64-bit length and a masking key.
pub(crate) const MAX_HEADER: usize = 14;
/// The longest payload of a control frame (RFC 6455 §5.5).
pub(crate) const MAX_CONTROL: usize = 125;

const FIN: u8 = 0x80;
const RSV: u8 = 0x70;
pub(crate) const RSV1: u8 = 0x40;
const MASK: u8 = 0x80;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum OpCode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl OpCode {
    const fn from_bits(bits: u8) -> Option<OpCode> {
        match bits {
            0 => Some(OpCode::Continuation),
            1 => Some(OpCode::Text),
            2 => Some(OpCode::Binary),
            8 => Some(OpCode::Close),
            9 => Some(OpCode::Ping),
            10 => Some(OpCode::Pong),
            _ => None,
        }
    }

    pub(crate) const fn is_control(self) -> bool {
        self as u8 & 8 != 0
    }
}

/// A decoded header. `masking_key` is all zeros on a frame that is not masked, which unmasks to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) fin: bool,
    /// RSV1: the message that it begins is compressed (RFC 7692 §6).
    pub(crate) compressed: bool,
    pub(crate) opcode: OpCode,
    pub(crate) length: u64,
    pub(crate) masking_key: [u8; 4],
}

/// What a header must be, given where the connection stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// Frames come masked: we are the server.
    pub(crate) masked: bool,
    /// A fragmented message is under way.
    pub(crate) continuation: bool,
    /// A message may have one frame more.
    pub(crate) fragment: bool,
    /// The longest frame.
    pub(crate) frame: u64,
    /// What a message may still take.
    pub(crate) message: u64,
    /// What a message that is compressed may take; none where none may be.
    pub(crate) compressed: Option<u64>,
}

impl Header {
    /// Reads the header that `bytes` begins with; gives its own length beside it.
    //= rfc6455 5.1 MUST 2: a server closes on a frame that is not masked
    //= rfc6455 5.1 MUST 3: a client closes on a masked frame
    //= rfc6455 5.2 MUST 2: a reserved bit without meaning fails
    //= rfc6455 5.2 MUST 3: so does an unknown opcode
    //= rfc6455 5.2 MUST 4: the top bit of a length is 0
    //= rfc6455 5.2 MUST 5: the shortest form of a length
    //= rfc6455 5.4 MUST NOT 1: control frames are not fragmented
    //= rfc6455 5.4 MUST NOT 2: messages do not interleave
    //= rfc6455 5.5 MUST 1: at most 125 bytes in a control frame
    //= rfc6455 5.5 MUST NOT 1: control frames have FIN set
    #[inline]
    pub(crate) fn decode(bytes: &[u8], expect: Expect) -> Result<Option<(Header, usize)>, Error> {
        let &[first, ref rest @ ..] = bytes else { return Ok(None) };
        let compressed = match (first & RSV, first & 0x0F, expect.compressed) {
            (0, _, _) => None,
            //= rfc7692 6.1 MUST 3: RSV1 anywhere but on the first frame of a message fails
            (RSV1, 1 | 2, Some(limit)) => Some(limit),
            _ => return Err(Error::ReservedBits),
        };
        let Some(opcode) = OpCode::from_bits(first & 0x0F) else { return Err(Error::ReservedOpcode) };
        let fin = first & FIN != 0;
        match opcode {
            OpCode::Continuation if !expect.continuation => return Err(Error::UnexpectedContinuation),
            OpCode::Text | OpCode::Binary if expect.continuation => return Err(Error::ExpectedContinuation),
            OpCode::Close | OpCode::Ping | OpCode::Pong if !fin => return Err(Error::FragmentedControl),
            OpCode::Continuation | OpCode::Text | OpCode::Binary if !expect.fragment => {
                return Err(Error::TooManyFragments);
            }
            _ => {}
        }

        let &[second, ref rest @ ..] = rest else { return Ok(None) };
        match (second & MASK != 0, expect.masked) {
            (false, true) => return Err(Error::UnmaskedFrame),
            (true, false) => return Err(Error::MaskedFrame),
            _ => {}
        }
        let (length, rest, length_bytes) = match second & !MASK {
            126.. if opcode.is_control() => return Err(Error::ControlTooLong),
            // The body of a Close begins with a code of two bytes.
            1 if opcode == OpCode::Close => return Err(Error::InvalidCloseBody),
            126 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
                let length = u64::from(u16::from_be_bytes(*bytes));
                if length < 126 {
                    return Err(Error::LengthNotMinimal);
                }
                (length, rest, 2)
            }
            127 => {
                let Some((bytes, rest)) = rest.split_first_chunk() else {
                    // Its top bit, in the first of the eight bytes, must be zero.
                    return if rest.first().is_some_and(|top| top & 0x80 != 0) {
                        Err(Error::LengthOverflow)
                    } else {
                        Ok(None)
                    };
                };
                let length = u64::from_be_bytes(*bytes);
                if length >> 63 != 0 {
                    return Err(Error::LengthOverflow);
                }
                if length <= u64::from(u16::MAX) {
                    return Err(Error::LengthNotMinimal);
                }
                (length, rest, 8)
            }
            length => (u64::from(length), rest, 0),
        };
        if !opcode.is_control() {
            if length > expect.frame {
                return Err(Error::FrameTooBig);
            }
            if length > compressed.unwrap_or(expect.message) {
                return Err(Error::MessageTooBig);
            }
        }

        let (masking_key, key_bytes) = if expect.masked {
            let Some((key, _)) = rest.split_first_chunk() else { return Ok(None) };
            (*key, 4)
        } else {
            ([0; 4], 0)
        };
        let compressed = compressed.is_some();
        Ok(Some((Header { fin, compressed, opcode, length, masking_key }, 2 + length_bytes + key_bytes)))
    }

    /// Where the payload lies of a message that is whole in `bytes`, in one frame whose length takes so many bytes (0 or 2)
    /// behind the second one: the common cases, in as few steps as it takes. None where it is anything else, or at fault:
    /// [`decode`](Header::decode) then says which.
    // Where a payload begins is a constant for each role and form of length.
    #[inline(always)]
    pub(crate) fn whole<const MASKED: bool, const LENGTH_BYTES: usize>(bytes: &[u8]) -> Option<Range<usize>> {
        let (mask, key_bytes) = if MASKED { (MASK, 4) } else { (0, 0) };
        let &[0x81 | 0x82, second, ref rest @ ..] = bytes else { return None };
        let length = match (LENGTH_BYTES, second ^ mask) {
            (0, length @ ..126) => usize::from(length),
            (2, 126) => match u16::from_be_bytes(*rest.first_chunk()?) {
                length @ 126.. => usize::from(length),
                _ => return None,
            },
            _ => return None,
        };
        let start = 2 + LENGTH_BYTES + key_bytes;
        let end = start + length;
        (end <= bytes.len()).then_some(start..end)
    }

    /// Writes the header, masked if `masking_key` is given; the bytes and how many of them count.
    // In registers: written byte by byte, it could not be read again at once as the words that it is copied by.
    //= rfc6455 5.2 MUST 1: no reserved bit is set without an extension
    //= rfc6455 5.2 MUST 8: RSV1 is 0 unless the extension sets it
    //= rfc6455 5.2 MUST 9: RSV2 is 0
    //= rfc6455 5.2 MUST 10: RSV3 is 0
    //= rfc6455 5.3 MUST 1: the mask bit is set where there is a key
    #[inline(always)]
    pub(crate) fn encode(fin: bool, opcode: OpCode, length: u64, masking_key: Option<[u8; 4]>) -> Encoded {
        Header::encode_behind(Header::first(fin, opcode), length, masking_key)
    }

    /// The first byte.
    #[inline(always)]
    pub(crate) const fn first(fin: bool, opcode: OpCode) -> u8 {
        opcode as u8 | if fin { FIN } else { 0 }
    }

    /// The longest payload whose length takes no bytes of its own.
    pub(crate) const MAX_SHORT: usize = 125;

    /// How long a header is.
    #[inline(always)]
    pub(crate) const fn size(length: usize, is_masked: bool) -> usize {
        let length_bytes = match length {
            0..=Header::MAX_SHORT => 0,
            126..=0xFFFF => 2,
            _ => 8,
        };
        2 + length_bytes + if is_masked { 4 } else { 0 }
    }

    /// Puts the header that begins with this byte at the front of `room`; gives what is behind it.
    //= rfc6455 5.2 MUST 1: no reserved bit is set without an extension
    //= rfc6455 5.3 MUST 1: the mask bit is set where there is a key
    #[inline(always)]
    pub(crate) fn put(room: &mut [u8], first: u8, length: usize, key: Option<[u8; 4]>) -> Option<&mut [u8]> {
        let (header, rest) = room.split_at_mut_checked(Header::size(length, key.is_some()))?;
        let (start, behind) = header.split_first_chunk_mut()?;
        let bits = match length {
            0..=Header::MAX_SHORT => length as u8,
            126..=0xFFFF => {
                *behind.first_chunk_mut()? = (length as u16).to_be_bytes();
                126
            }
            _ => {
                *behind.first_chunk_mut()? = (length as u64).to_be_bytes();
                127
            }
        };
        *start = [first, bits | if key.is_some() { MASK } else { 0 }];
        if let Some(key) = key {
            *behind.last_chunk_mut()? = key;
        }
        Some(rest)
    }

    /// Writes the header that begins with this byte.
    #[inline(always)]
    pub(crate) fn encode_behind(first: u8, length: u64, masking_key: Option<[u8; 4]>) -> Encoded {
        let first = u128::from(first);
        let (mask, key) = masking_key.map_or((0, 0), |key| (u128::from(MASK), u128::from(u32::from_le_bytes(key))));
        let (bits, size) = match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ 0..=125), _) => (u128::from(length) << 8 | key << 16, 2),
            (_, Ok(length)) => (126 << 8 | u128::from(length.swap_bytes()) << 16 | key << 32, 4),
            _ => (127 << 8 | u128::from(length.swap_bytes()) << 16 | key << 80, 10),
        };
        let size = size + if masking_key.is_some() { 4 } else { 0 };
        Encoded { bytes: (first | mask << 8 | bits).to_le_bytes(), size }
    }
}

/// An encoded header.
pub(crate) struct Encoded {
    bytes: [u8; 16],
    size: usize,
}

impl Encoded {
    #[inline(always)]
    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.size).unwrap_or_default()
    }

    /// Sets RSV1: the message that this frame begins is compressed.
    //= rfc7692 6.1 MUST 1: RSV1 says that the message is compressed
    #[inline(always)]
    pub(crate) fn compressed(self) -> Encoded {
        let bytes = u128::from_le_bytes(self.bytes) | u128::from(RSV1);
        Encoded { bytes: bytes.to_le_bytes(), ..self }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const SERVER: Expect = Expect {
        masked: true,
        continuation: false,
        fragment: true,
        frame: u64::MAX,
        message: u64::MAX,
        compressed: None,
    };
    const CLIENT: Expect = Expect { masked: false, ..SERVER };

    /// The first byte at which decoding fails, fed one byte more each time.
    fn proved_at(bytes: &[u8], expect: Expect) -> Option<(usize, Error)> {
        (0..=bytes.len()).find_map(|n| Header::decode(&bytes[..n], expect).err().map(|error| (n, error)))
    }

    //= rfc6455 5.2 MUST 2: reserved bits
    //= rfc6455 5.2 MUST 3: reserved opcodes
    //= rfc6455 5.4 MUST NOT 1: fragmented control frames
    //= rfc6455 5.4 MUST NOT 2: interleaved messages
    //= rfc6455 5.5 MUST NOT 1: control frames without FIN
    //= type=test
    #[test]
    fn every_first_byte_is_judged_alone() {
        for first in 0..=u8::MAX {
            for (continuation, compressed) in [(false, None), (true, None), (false, Some(9)), (true, Some(9))] {
                let verdict = Header::decode(&[first], Expect { continuation, compressed, ..SERVER });
                let may_be_compressed = compressed.is_some() && matches!(first & (RSV | 15), 0x41 | 0x42);
                let expected = match (first & RSV != 0 && !may_be_compressed, first & 15, first & FIN != 0) {
                    (true, _, _) => Err(Error::ReservedBits),
                    (_, 3..=7 | 11..=15, _) => Err(Error::ReservedOpcode),
                    (_, 0, _) if !continuation => Err(Error::UnexpectedContinuation),
                    (_, 1 | 2, _) if continuation => Err(Error::ExpectedContinuation),
                    (_, 8..=10, false) => Err(Error::FragmentedControl),
                    _ => Ok(None),
                };
                assert_eq!(verdict, expected, "{first:#04x} continuation {continuation}");
            }
        }
    }

    //= rfc6455 5.1 MUST 2: a server refuses a frame that is not masked
    //= rfc6455 5.1 MUST 3: a client refuses one that is
    //= type=test
    #[test]
    fn trap_14_mask_direction_on_the_second_byte() {
        for opcode in [1, 2, 8, 9, 10] {
            for length in [0, 5] {
                assert_eq!(proved_at(&[FIN | opcode, length], SERVER), Some((2, Error::UnmaskedFrame)));
                assert_eq!(proved_at(&[FIN | opcode, MASK | length], CLIENT), Some((2, Error::MaskedFrame)));
            }
        }
    }

    //= rfc6455 5.2 MUST 5: the shortest form of a length
    //= type=test
    #[test]
    fn trap_11_minimal_length() {
        for length in [0u16, 1, 125] {
            let [a, b] = length.to_be_bytes();
            assert_eq!(proved_at(&[0x82, 126, a, b], CLIENT), Some((4, Error::LengthNotMinimal)));
        }
        for length in [0u64, 125, 126, 65_535] {
            let bytes = [&[0x82, 127][..], &length.to_be_bytes()].concat();
            assert_eq!(proved_at(&bytes, CLIENT), Some((10, Error::LengthNotMinimal)));
        }
        for (bytes, length) in [(&[0x82, 126, 0, 126][..], 126), (&[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536)] {
            assert_eq!(Header::decode(bytes, CLIENT).unwrap().unwrap().0.length, length);
        }
    }

    //= rfc6455 5.2 MUST 4: the top bit of a length is 0
    //= type=test
    #[test]
    fn trap_12_the_top_bit_of_a_length() {
        let bytes = [&[0x82, 127][..], &(1u64 << 63).to_be_bytes()].concat();
        assert_eq!(proved_at(&bytes, CLIENT), Some((3, Error::LengthOverflow)));
        let bytes = [&[0x82, 127][..], &u64::MAX.to_be_bytes()].concat();
        assert_eq!(proved_at(&bytes, CLIENT), Some((3, Error::LengthOverflow)));
        let bytes = [&[0x82, 127][..], &(u64::MAX >> 1).to_be_bytes()].concat();
        assert_eq!(proved_at(&bytes, CLIENT), None);
    }

    #[test]
    fn limits_are_proved_before_the_masking_key() {
        let expect = Expect { frame: 200, message: 100, ..SERVER };
        assert_eq!(proved_at(&[0x82, 0x80 | 101], expect), Some((2, Error::MessageTooBig)));
        assert_eq!(proved_at(&[0x82, 0xFE, 0, 201], expect), Some((4, Error::FrameTooBig)));
        assert_eq!(proved_at(&[0x82, 0x80 | 100, 1, 2, 3, 4], expect), None);
        assert_eq!(proved_at(&[0x89, 0x80 | 125, 1, 2, 3, 4], Expect { frame: 0, message: 0, ..SERVER }), None);
        assert_eq!(proved_at(&[0x89, 0xFE], SERVER), Some((2, Error::ControlTooLong)));
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            fin: bool,
            opcode in prop::sample::select(vec![OpCode::Text, OpCode::Binary, OpCode::Close, OpCode::Ping, OpCode::Pong]),
            length in prop_oneof![0u64..200, 65_500u64..65_600, 0u64..1 << 62],
            key: Option<[u8; 4]>,
        ) {
            let fin = fin || opcode.is_control();
            let length = match opcode {
                OpCode::Close => 2 + length % 124,
                OpCode::Ping | OpCode::Pong => length % 126,
                _ => length,
            };
            let encoded = Header::encode(fin, opcode, length, key);
            let expect = Expect { masked: key.is_some(), ..SERVER };
            let (header, size) = Header::decode(encoded.as_bytes(), expect).unwrap().unwrap();
            prop_assert_eq!(size, encoded.as_bytes().len());
            prop_assert_eq!(
                header,
                Header { fin, compressed: false, opcode, length, masking_key: key.unwrap_or_default() }
            );
            let (mut room, length) = ([7; 40], usize::try_from(length).unwrap());
            let left = Header::put(&mut room, Header::first(fin, opcode), length, key).unwrap().len();
            prop_assert_eq!((room.len() - left, &room[..size]), (size, encoded.as_bytes()));
            prop_assert_eq!(Header::size(length, key.is_some()), size);
            for cut in 0..size {
                prop_assert_eq!(Header::decode(&encoded.as_bytes()[..cut], expect), Ok(None));
            }
        }

        #[test]
        fn random_bytes_agree_with_a_naive_reading(bytes in prop::collection::vec(any::<u8>(), 14..15), masked: bool) {
            let naive = naive(&bytes, masked);
            let ours = Header::decode(&bytes, Expect { masked, ..SERVER });
            prop_assert_eq!(ours.ok().flatten().map(|(h, n)| (h.fin, h.opcode as u8, h.length, h.masking_key, n)), naive);
        }
    }

    /// What `whole` may take it takes, and of nothing else.
    #[test]
    fn a_whole_message_is_found_where_decoding_finds_it() {
        fn check<const MASKED: bool>(first: u8, second: u8, extended: [u8; 2], there: usize) {
            let mut bytes = vec![first, second, extended[0], extended[1]];
            bytes.resize(there, 0x55);
            let expect = Expect { masked: MASKED, ..SERVER };
            let decoded = Header::decode(&bytes, expect).ok().flatten();
            let place = decoded.and_then(|(header, size)| {
                let is_whole = header.fin && matches!(header.opcode, OpCode::Text | OpCode::Binary);
                let end = size + usize::try_from(header.length).unwrap();
                (is_whole && end <= there && header.length < 1 << 16).then_some(size..end)
            });
            let is_long = second & 127 == 126;
            let found = [Header::whole::<MASKED, 0>(&bytes), Header::whole::<MASKED, 2>(&bytes)];
            let expected = if is_long { [None, place] } else { [place, None] };
            assert_eq!(found, expected, "{first:#04x} {second:#04x} {extended:?} of {there}");
        }
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                for (extended, there) in [([0, 125], 500), ([0, 126], 500), ([1, 0], 263), ([1, 0], 264), ([0, 0], 9)] {
                    check::<true>(first, second, extended, there);
                    check::<false>(first, second, extended, there);
                }
            }
        }
        for (second, extended) in [(5, [1, 2]), (126, [0, 200])] {
            for there in 0..220 {
                check::<false>(0x82, second, extended, there);
                check::<true>(0x81, 0x80 | second, extended, there);
            }
        }
    }

    /// RFC 6455 §5.2 read line by line, with nothing in mind but its text.
    fn naive(bytes: &[u8], masked: bool) -> Option<(bool, u8, u64, [u8; 4], usize)> {
        let opcode = bytes[0] & 15;
        let fin = bytes[0] >> 7 == 1;
        let control = opcode > 7;
        let known = [1, 2, 8, 9, 10].contains(&opcode);
        let len7 = bytes[1] & 127;
        let (length, at) = match len7 {
            126 => (u64::from(bytes[2]) << 8 | u64::from(bytes[3]), 4),
            127 => (bytes[2..10].iter().fold(0, |sum, b| sum << 8 | u64::from(*b)), 10),
            _ => (u64::from(len7), 2),
        };
        let minimal = match len7 {
            126 => length > 125,
            127 => length > 65_535 && length < 1 << 63,
            _ => true,
        };
        let valid = bytes[0] & 0x70 == 0
            && known
            && minimal
            && (bytes[1] & 128 != 0) == masked
            && (!control || (fin && length <= 125))
            && (opcode != 8 || length != 1);
        let key = if masked { bytes[at..at + 4].try_into().unwrap() } else { [0; 4] };
        valid.then_some((fin, opcode, length, key, at + if masked { 4 } else { 0 }))
    }
}
