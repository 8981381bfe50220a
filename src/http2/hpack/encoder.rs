//! How is a block of fields written? (RFC 7541 §6)

use alloc::vec::Vec;

use super::table::{Found, Table};
use super::{DEFAULT_TABLE_SIZE, huffman, integer};

/// Whether a field goes into the table, for the next one like it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Indexing {
    /// It does: it will come again.
    Add,
    /// It does not: it will hardly come again.
    Without,
    /// It may be in no table, here or on any connection that it is passed on to: it is secret, and how well it compresses
    /// would tell it (RFC 7541 §7.1).
    Never,
}

/// Our own table, as the peer's decoder follows it.
#[derive(Debug)]
pub(crate) struct Encoder {
    table: Table,
    /// The smallest size since the last block, where the peer is still to be told of a change.
    smallest: Option<usize>,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder { table: Table::new(DEFAULT_TABLE_SIZE), smallest: None }
    }

    /// Keeps to the size that the peer allows from now on; never takes more than the default.
    pub(crate) fn set_max_size(&mut self, allowed: usize) {
        let size = allowed.min(DEFAULT_TABLE_SIZE);
        if size != self.table.max_size() {
            self.smallest = Some(self.smallest.unwrap_or(size).min(size));
            self.table.set_max_size(size);
        }
    }

    /// Begins a block: tells a change of the table's size.
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.smallest.take() {
            let size = self.table.max_size();
            if smallest < size {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(size, 5, 0x20, out);
        }
    }

    /// Appends a field. Its name must be in lower case.
    pub(crate) fn encode(&mut self, name: &[u8], value: &[u8], indexing: Indexing, out: &mut Vec<u8>) {
        // A secret is not even looked for: whether the table has it would show in the length of its number.
        let found = self.table.find(name, (indexing != Indexing::Never).then_some(value));
        let (first, prefix) = match (indexing, found) {
            (Indexing::Add | Indexing::Without, Found::Field(number)) => {
                return integer::encode(number, 7, 0x80, out);
            }
            (Indexing::Add, _) => (0x40, 6),
            (Indexing::Without, _) => (0x00, 4),
            (Indexing::Never, _) => (0x10, 4),
        };
        match found {
            Found::Field(number) | Found::Name(number) => integer::encode(number, prefix, first, out),
            Found::Nothing => {
                out.push(first);
                string(name, out);
            }
        }
        string(value, out);
        if indexing == Indexing::Add {
            self.table.insert(name, value);
        }
    }
}

/// Appends a string, in whichever form is shorter.
fn string(string: &[u8], out: &mut Vec<u8>) {
    let encoded = huffman::encoded_length(string);
    if encoded < string.len() {
        integer::encode(encoded, 7, 0x80, out);
        huffman::encode(string, out);
    } else {
        integer::encode(string.len(), 7, 0x00, out);
        out.extend_from_slice(string);
    }
}
