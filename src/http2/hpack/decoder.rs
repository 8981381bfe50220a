//! Which fields does a block hold? (RFC 7541 §3, §6)

use alloc::vec::Vec;

use super::table::{Entry, Table};
use super::{DEFAULT_TABLE_SIZE, Field, HpackError, huffman, integer};

/// The peer's table.
#[derive(Debug)]
pub(crate) struct Decoder {
    table: Table,
}

impl Decoder {
    pub(crate) fn new() -> Decoder {
        Decoder { table: Table::new(DEFAULT_TABLE_SIZE) }
    }

    /// Lends each field of a whole block, in order. After an error the table is no longer the peer's.
    //= rfc7541 2.1 MUST 2: fields are lent in the order of the block
    //= rfc7541 3.2 MUST 1: each representation does what it is defined to do, one after the other
    pub(crate) fn decode(&mut self, mut block: &[u8], mut visit: impl FnMut(Field<'_>)) -> Result<(), HpackError> {
        // At most two changes of size, before the first field: down to the smallest that was asked for, and up again.
        let mut size_updates = 2usize;
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
