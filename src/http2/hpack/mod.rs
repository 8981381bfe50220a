//! How are header fields written in HTTP/2? (RFC 7541)
//!
//! As numbers of fields that both sides know, or as strings, perhaps in a code that makes them shorter. Each direction of a
//! connection has a table of fields that it has seen, which its encoder and the peer's decoder must change in step; so a block
//! of fields is always decoded, also where nobody wants it, and any fault in it ends the connection.
//!
//! Nothing is allocated for a field: the decoder lends it, from its table or from a buffer of its own, and whoever is lent it
//! keeps what he can afford.

mod decoder;
mod encoder;
mod huffman;
mod integer;
mod table;
#[cfg(test)]
mod tests;

use core::fmt;

pub(crate) use self::decoder::Decoder;
pub(crate) use self::encoder::{Encoder, Indexing};

/// The size of a table that both sides may use without a word (RFC 9113 §6.5.2).
pub(crate) const DEFAULT_TABLE_SIZE: usize = 4096;

/// A header field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    pub(crate) name: &'a [u8],
    pub(crate) value: &'a [u8],
    /// Its sender wants it in no table, on no connection that it is passed on to (RFC 7541 §6.2.3).
    pub(crate) is_sensitive: bool,
}

/// A block of fields that cannot be decoded. But for the last they are COMPRESSION_ERROR (RFC 9113 §4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HpackError {
    /// The block ends inside of a field. RFC 7541 §3.1
    Truncated,
    /// An integer of more bytes, or of a larger value, than anything needs. RFC 7541 §5.1
    IntegerOverflow,
    /// Number 0, or one that no field has. RFC 7541 §2.3.3, §6.1
    InvalidIndex,
    /// A string with the code of its end inside, or with padding of eight bits or more or of zeros. RFC 7541 §5.2
    InvalidHuffman,
    /// The size of the table is changed behind a field, or a third time. RFC 7541 §4.2
    MisplacedSizeUpdate,
    /// A table larger than was allowed. RFC 7541 §6.3
    TableTooLarge,
    /// More than is decoded of a block. RFC 7541 §7.3
    TooLarge,
}

impl fmt::Display for HpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            HpackError::Truncated => "a block of header fields ends inside of a field",
            HpackError::IntegerOverflow => "an integer in a block of header fields is too large",
            HpackError::InvalidIndex => "no header field has this number",
            HpackError::InvalidHuffman => "a header field's string is not validly encoded",
            HpackError::MisplacedSizeUpdate => "a table's size is changed behind a header field",
            HpackError::TableTooLarge => "a table is made larger than was allowed",
            HpackError::TooLarge => "a block of header fields holds too much",
        })
    }
}
