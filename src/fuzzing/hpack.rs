//! What does a test or a bench outside of the crate need to read and write header fields?

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use crate::http2::hpack::{self, Indexing};

/// Names, values, and whether they are sensitive.
pub type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

/// Reads the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Decoder(hpack::Decoder);

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder(hpack::Decoder::new())
    }
}

impl Decoder {
    /// The fields of a block.
    pub fn decode(&mut self, block: &[u8]) -> Result<Fields, String> {
        let mut fields = Fields::new();
        self.lend(block, |name, value, is_sensitive| fields.push((name.to_vec(), value.to_vec(), is_sensitive)))?;
        Ok(fields)
    }

    /// Lends the fields of a block.
    pub fn lend(&mut self, block: &[u8], mut visit: impl FnMut(&[u8], &[u8], bool)) -> Result<(), String> {
        self.0
            .decode(block, |field| visit(field.name, field.value, field.is_sensitive))
            .map_err(|error| error.to_string())
    }
}

/// Writes the blocks of one direction of a connection.
#[derive(Debug)]
pub struct Encoder(hpack::Encoder);

impl Default for Encoder {
    fn default() -> Encoder {
        Encoder(hpack::Encoder::new())
    }
}

impl Encoder {
    /// Keeps to what the peer allows.
    pub fn set_max_size(&mut self, allowed: usize) {
        self.0.set_max_size(allowed);
    }

    /// A block; sensitive fields are never indexed, the others are added to the table if that is wanted.
    pub fn encode(&mut self, fields: &Fields, is_added: bool) -> Vec<u8> {
        let others = if is_added { Indexing::Add } else { Indexing::Without };
        let mut block = Vec::new();
        self.0.begin(&mut block);
        for (name, value, is_sensitive) in fields {
            self.0.encode(name, value, if *is_sensitive { Indexing::Never } else { others }, &mut block);
        }
        block
    }
}
