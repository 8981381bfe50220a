//! Which fields does a block hold? (RFC 7541 §3, §6)

use alloc::vec::Vec;

use super::table::{Entry, Table};
use super::{DEFAULT_TABLE_SIZE, Field, HpackError, huffman, integer};

/// The peer's table.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(super) table: Table,
    /// Bytes of literals that a block may hold, with the names that they have from the table.
    limit: usize,
}

impl Decoder {
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new() -> Decoder {
        Decoder::with_limit(usize::MAX)
    }

    pub(crate) fn with_limit(limit: usize) -> Decoder {
        Decoder { table: Table::new(DEFAULT_TABLE_SIZE), limit }
    }

    /// Lends each field of a whole block, in order. After an error the table is no longer the peer's.
    //= rfc7541 2.1 MUST 2: fields are lent in the order of the block
    //= rfc7541 3.2 MUST 1: each representation does what it is defined to do, one after the other
    pub(crate) fn decode(&mut self, mut block: &[u8], mut visit: impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        // At most two changes of size, before the first field: down to the smallest that was asked for, and up again.
        let mut size_updates = 2usize;
        let mut left = self.limit;
        while let Some(first) = block.first() {
            match first {
                0x80.. => {
                    let number = integer::decode(&mut block, 7)?;
                    //= rfc7541 2.3.3 MUST 1: a number that no field has is refused
                    //= rfc7541 6.1 MUST 1: and so is 0, which none ever has
                    let (name, value) = self.table.field(number).ok_or(HpackError::InvalidIndex)?;
                    visit(Field { name, value, is_sensitive: false });
                }
                0x20..=0x3F => {
                    size_updates = size_updates.checked_sub(1).ok_or(HpackError::MisplacedSizeUpdate)?;
                    let size = integer::decode(&mut block, 5)?;
                    //= rfc7541 6.3 MUST 2: a size above the limit is refused
                    if size > DEFAULT_TABLE_SIZE {
                        return Err(HpackError::TableTooLarge);
                    }
                    self.table.set_max_size(size);
                    continue;
                }
                0x40..=0x7F | 0x00..=0x1F => {
                    let (is_kept, is_sensitive) = (*first >= 0x40, *first & 0xF0 == 0x10);
                    let start = self.table.begin();
                    let split = self.literal(&mut block, if is_kept { 6 } else { 4 })?;
                    let entry = Entry { start, split, end: self.table.tail().len() };
                    left = left.checked_sub(entry.end - entry.start).ok_or(HpackError::TooLarge)?;
                    let (name, value) = self.table.read(entry).unwrap_or_default();
                    visit(Field { name, value, is_sensitive });
                    if is_kept {
                        self.table.keep(entry);
                    } else {
                        self.table.discard(entry);
                    }
                }
            }
            size_updates = 0;
        }
        self.table.trim();
        Ok(())
    }

    /// Reads a field that is not in the table, and leaves it behind those that are; says where its value begins there.
    fn literal(&mut self, block: &mut &[u8], prefix: u32) -> Result<usize, HpackError> {
        match integer::decode(block, prefix)? {
            0 => string(block, self.table.tail())?,
            number => self.table.append_name(number).ok_or(HpackError::InvalidIndex)?,
        }
        let split = self.table.tail().len();
        string(block, self.table.tail())?;
        Ok(split)
    }
}

/// Takes a string off the front of `block` and appends it.
#[inline]
fn string(block: &mut &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let is_huffman = block.first().is_some_and(|first| first & 0x80 != 0);
    let length = integer::decode(block, 7)?;
    let (string, rest) = block.split_at_checked(length).ok_or(HpackError::Truncated)?;
    *block = rest;
    if is_huffman {
        huffman::decode(string, out)?;
    } else {
        out.extend_from_slice(string);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use proptest::prelude::*;

    use super::super::tests::{Fields, decoded, field};
    use super::*;

    /// A block of every kind of thing, each with the fields that it holds.
    fn things() -> Vec<(&'static [u8], Fields)> {
        vec![
            (b"\x20", vec![]),
            (b"\x3F\xE1\x1F", vec![]),
            (b"\x82", vec![field(":method", "GET", false)]),
            (b"\x40\x04name\x05value", vec![field("name", "value", false)]),
            (b"\x7E\x07another", vec![field("name", "another", false)]),
            (b"\xBF", vec![field("name", "value", false)]),
            (b"\x04\x05/path", vec![field(":path", "/path", false)]),
            (b"\x00\x01n\x01v", vec![field("n", "v", false)]),
            (b"\x0F\x2F\x83\x25\xA8\x4F", vec![field("name", "cust", false)]),
            (b"\x10\x08password\x06secret", vec![field("password", "secret", true)]),
            (b"\x1F\x08\x01s", vec![field("authorization", "s", true)]),
            (b"\x40\x00\x00", vec![field("", "", false)]),
            (b"\xBE", vec![field("", "", false)]),
        ]
    }

    //= rfc7541 2.1 MUST 2: the fields come in their order
    //= rfc7541 3.2 MUST 1: the table is changed between the fields
    //= type=test
    #[test]
    fn a_block_that_is_cut_is_read_up_to_there() {
        let things = things();
        let block: Vec<u8> = things.iter().flat_map(|(bytes, _)| bytes.iter().copied()).collect();
        for cut in 0..=block.len() {
            let (mut expected, mut end) = (vec![], 0);
            for (bytes, fields) in &things {
                if end + bytes.len() > cut {
                    break;
                }
                end += bytes.len();
                expected.extend(fields.clone());
            }
            let fault = if end == cut { Ok(()) } else { Err(HpackError::Truncated) };
            assert_eq!(decoded(&mut Decoder::new(), &block[..cut]), (expected, fault), "cut at {cut}");
        }
    }

    /// What is in a block that cannot be decoded: how many fields come before the fault, which one it is.
    const FAULTY: [(&[u8], usize, HpackError); 40] = [
        // Number 0, and the first without a field.
        (b"\x80", 0, HpackError::InvalidIndex),
        (b"\x82\x80", 1, HpackError::InvalidIndex),
        (b"\xBE", 0, HpackError::InvalidIndex),
        (b"\x40\x01n\x01v\xBE\xBF", 2, HpackError::InvalidIndex),
        (b"\xFF\x00", 0, HpackError::InvalidIndex),
        (b"\xFF\xFF\xFF\xFF\x7F", 0, HpackError::InvalidIndex),
        (b"\x7E\x01v", 0, HpackError::InvalidIndex),
        (b"\x40\x01n\x01v\x7F\x00\x01v", 1, HpackError::InvalidIndex),
        (b"\x0F\x2F\x01v", 0, HpackError::InvalidIndex),
        (b"\x1F\x2F\x01v", 0, HpackError::InvalidIndex),
        // A field that has just been evicted, with the table, or by one that is too large for it.
        (b"\x40\x01n\x01v\x3F\x00", 1, HpackError::MisplacedSizeUpdate),
        (b"\x22\x40\x01n\x01v\xBE", 1, HpackError::InvalidIndex),
        // Numbers of more than four bytes behind the prefix: an index, three kinds of names, a size, two lengths.
        (b"\xFF\x80\x80\x80\x80\x00", 0, HpackError::IntegerOverflow),
        (b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", 0, HpackError::IntegerOverflow),
        (b"\x7F\x80\x80\x80\x80\x00\x01v", 0, HpackError::IntegerOverflow),
        (b"\x0F\x80\x80\x80\x80\x00\x01v", 0, HpackError::IntegerOverflow),
        (b"\x1F\x80\x80\x80\x80\x00\x01v", 0, HpackError::IntegerOverflow),
        (b"\x3F\x80\x80\x80\x80\x00", 0, HpackError::IntegerOverflow),
        (b"\x40\x7F\x80\x80\x80\x80\x00", 0, HpackError::IntegerOverflow),
        (b"\x40\x01n\x7F\x80\x80\x80\x80\x00", 0, HpackError::IntegerOverflow),
        (b"\x40\x01n\xFF\x80\x80\x80\x80\x00", 0, HpackError::IntegerOverflow),
        // The end inside of a number or of a string.
        (b"\xFF", 0, HpackError::Truncated),
        (b"\x3F", 0, HpackError::Truncated),
        (b"\x82\x40", 1, HpackError::Truncated),
        (b"\x40\x02n", 0, HpackError::Truncated),
        (b"\x41\x7F\xFF\xFF\xFF\x7Fv", 0, HpackError::Truncated),
        (b"\x41\xFF\xFF\xFF\xFF\x7Fv", 0, HpackError::Truncated),
        // Eight bits of padding, zeros, the end of the string, in a name and in a value.
        (b"\x40\x81\xFF\x01v", 0, HpackError::InvalidHuffman),
        (b"\x40\x81\x18\x01v", 0, HpackError::InvalidHuffman),
        (b"\x41\x82\x1F\xFF", 0, HpackError::InvalidHuffman),
        (b"\x11\x81\x18", 0, HpackError::InvalidHuffman),
        (b"\x01\x84\xFF\xFF\xFF\xFF", 0, HpackError::InvalidHuffman),
        (b"\x01\x85\x1F\xFF\xFF\xFF\xFF", 0, HpackError::InvalidHuffman),
        // A change of size behind a field of each kind, and a third one.
        (b"\x82\x20", 1, HpackError::MisplacedSizeUpdate),
        (b"\x41\x01v\x20", 1, HpackError::MisplacedSizeUpdate),
        (b"\x01\x01v\x20", 1, HpackError::MisplacedSizeUpdate),
        (b"\x20\x3F\xE1\x1F\x20\x82", 0, HpackError::MisplacedSizeUpdate),
        // 4097 bytes, and far more.
        (b"\x3F\xE2\x1F", 0, HpackError::TableTooLarge),
        (b"\x20\x3F\xE2\x1F", 0, HpackError::TableTooLarge),
        (b"\x3F\xFF\xFF\xFF\x7F", 0, HpackError::TableTooLarge),
    ];

    //= rfc7541 2.3.3 MUST 1: a number that no field has
    //= rfc7541 5.1 MUST 1: a number that is too long, wherever there is one
    //= rfc7541 6.1 MUST 1: number 0
    //= rfc7541 6.3 MUST 2: a size above the limit
    //= type=test
    #[test]
    fn every_fault_is_found_where_it_is() {
        for (block, before, fault) in FAULTY {
            let (fields, result) = decoded(&mut Decoder::new(), block);
            assert_eq!((fields.len(), result), (before, Err(fault)), "{block:02x?}: {fault}");
            assert!(!fault.to_string().is_empty());
        }
    }

    #[test]
    fn changes_of_size_are_counted_for_each_block() {
        let mut decoder = Decoder::new();
        for block in [&b"\x20\x3F\xE1\x1F"[..], b"\x20\x20\x82", b"\x3F\xE1\x1F\x82", b"", b"\x30\x21"] {
            assert_eq!(decoded(&mut decoder, block).1, Ok(()), "{block:02x?}");
        }
        assert_eq!(decoder.table.max_size(), 1);
    }

    #[test]
    fn a_name_may_be_of_the_field_that_is_evicted_for_it() {
        let mut decoder = Decoder::new();
        // A table of 40 bytes: each field of 8 fills it, and takes its name from the one before.
        let block = [&b"\x3F\x09\x40\x04name\x04val1"[..], b"\x7E\x04val2", b"\x7E\x04val3", b"\xBE"].concat();
        let fields = ["val1", "val2", "val3", "val3"].map(|value| field("name", value, false));
        assert_eq!(decoded(&mut decoder, &block), (fields.to_vec(), Ok(())));
        // And one that is too large is lent, though it is not kept, nor anything else.
        let block = b"\x7E\x05value\xBE";
        assert_eq!(decoded(&mut decoder, block), (vec![field("name", "value", false)], Err(HpackError::InvalidIndex)));
    }

    #[test]
    fn memory_is_bounded_whatever_was_read() {
        let mut decoder = Decoder::new();
        let length = [&b"\x7F"[..], &[0xF0, 0xFF, 0x03]].concat();
        for kind in [b"\x00\x01n", b"\x40\x01n"] {
            let block = [&kind[..], &length, &[b'v'; 127 + 0xFFF0]].concat();
            assert_eq!(decoded(&mut decoder, &block).0[0].1.len(), 127 + 0xFFF0);
            assert!(decoder.table.tail().capacity() <= 4 * DEFAULT_TABLE_SIZE);
        }
        // Small fields without end: the buffer is used again and again.
        for nth in 0..100_000u32 {
            let block = [&b"\x40\x04"[..], &nth.to_be_bytes(), b"\x01v\x00\x01n\x01v"].concat();
            assert_eq!(decoded(&mut decoder, &block).1, Ok(()));
        }
        assert!(decoder.table.tail().capacity() <= 4 * DEFAULT_TABLE_SIZE);
    }

    proptest! {
        #[test]
        fn random_bytes_do_no_harm(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..20)) {
            let mut decoder = Decoder::new();
            for block in blocks {
                if decoded(&mut decoder, &block).1.is_err() {
                    break;
                }
            }
        }
    }
}
