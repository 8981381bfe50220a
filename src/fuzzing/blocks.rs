//! Are blocks of header fields read and written as both sides' tables want it? (RFC 7541)
//!
//! A table is looked at from outside, by its numbers, which change nothing. Beside the encoder runs a plain list of fields,
//! the newest first, that is what the table must be.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::setup::{Choices, Dice};
use crate::http2::hpack::{Decoder, Encoder, Field, HpackError, Indexing};

/// A name, a value, and whether it is sensitive.
type Owned = (Vec<u8>, Vec<u8>, bool);

/// The size that neither side ever exceeds (RFC 9113 §6.5.2).
const TABLE: usize = 4096;
/// What an entry is counted for beside its bytes (RFC 7541 §4.1).
const OVERHEAD: usize = 32;
/// The first number that a table gives (RFC 7541 §2.3.3).
const FIRST: usize = 62;
/// A fixed field's name has no more bytes, with its value.
const LONGEST_FIXED: usize = 40;

/// Any bytes as blocks, one after the other on one decoder.
pub fn hpack_decode(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut decoder, mut twin) = (Decoder::new(), Decoder::new());
    let (mut encoder, mut again) = (Encoder::new(), Decoder::new());
    while !choices.is_empty() {
        let length = usize::from(choices.byte());
        let block = choices.take(if length == 0xFF { usize::MAX } else { length });
        let (mut fields, mut kept, mut count) = (Vec::new(), 0, 0);
        let result = decoder.decode(block, |field| {
            count += 1;
            let size = field.name.len() + field.value.len();
            // The shortest code has five bits, and a name may be of the table.
            let most = (TABLE - OVERHEAD).max(LONGEST_FIXED) + block.len() * 8 / 5;
            assert!(size <= most, "a field of {size} bytes out of {}", block.len());
            // One byte of a block may bring out thousands, which are not all kept here.
            if kept + size <= 2 * TABLE {
                kept += size;
                fields.push(own(field));
            }
        });
        assert!(count <= block.len(), "{count} fields out of {} bytes", block.len());
        let mut in_order = fields.iter();
        let (mut kept, mut twins) = (0, 0);
        let second = twin.decode(block, |field| {
            twins += 1;
            let size = field.name.len() + field.value.len();
            if kept + size <= 2 * TABLE {
                kept += size;
                assert_eq!(Some(&own(field)), in_order.next(), "decoded a second time");
            }
        });
        assert_eq!((result, count), (second, twins), "decoded a second time");

        let mut written = Vec::new();
        encoder.begin(&mut written);
        for (name, value, is_sensitive) in &fields {
            let indexing = if *is_sensitive { Indexing::Never } else { Indexing::Add };
            encoder.encode(name, value, indexing, &mut written);
        }
        assert_eq!(decoded(&mut again, &written), (fields, Ok(())), "written again as {written:02x?}");
        if result.is_err() {
            return;
        }
        let table = table(&mut decoder);
        assert!(size(&table) <= TABLE, "a table of {} bytes", size(&table));
        assert_eq!(table, self::table(&mut twin), "the tables after a block");
    }
}

/// Fields, ways to index them and sizes of the table, through an encoder and a decoder.
pub fn hpack_round_trip(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let mut model = Model { fields: VecDeque::new(), max_size: TABLE };
    while !choices.is_empty() {
        for _ in 0..choices.byte() % 4 {
            let allowed = usize::from(choices.byte()) * 33;
            encoder.set_max_size(allowed);
            model.set_max_size(allowed);
        }
        let mut block = Vec::new();
        encoder.begin(&mut block);
        let mut fields: Vec<Owned> = Vec::new();
        for _ in 0..choices.byte() % 16 {
            let how = choices.byte();
            let name = string(&mut choices, how, &model, |field| &field.0);
            let value = string(&mut choices, how >> 3, &model, |field| &field.1);
            let indexing = match how >> 6 {
                0 | 1 => Indexing::Add,
                2 => Indexing::Without,
                _ => Indexing::Never,
            };
            let before = block.len();
            encoder.encode(&name, &value, indexing, &mut block);
            let first = block.get(before).copied().unwrap_or_default();
            if indexing == Indexing::Never {
                assert_eq!(first & 0xF0, 0x10, "{name:?} is not told to be never indexed");
            } else {
                let is_known = model.has(&name, &value) || is_fixed(&name, &value);
                assert_eq!(first & 0x80 != 0, is_known, "whether {name:?}: {value:?} is sent as a number");
            }
            if indexing == Indexing::Add && first & 0x80 == 0 {
                model.insert(&name, &value);
            }
            fields.push((name, value, indexing == Indexing::Never));
        }
        assert_eq!(decoded(&mut decoder, &block), (fields, Ok(())), "written as {block:02x?}");
        assert_eq!(table(&mut decoder), model.fields, "the table behind {block:02x?}");
    }
    // Each field has the number at the encoder that it has at the decoder.
    for (name, value) in &model.fields {
        let mut block = Vec::new();
        encoder.encode(name, value, Indexing::Without, &mut block);
        assert!(block.first().is_some_and(|first| *first >= 0x80), "the encoder has forgotten {name:?}");
        let expected = [(name.clone(), value.clone(), false)].to_vec();
        assert_eq!(decoded(&mut decoder, &block), (expected, Ok(())), "by its number: {block:02x?}");
    }
}

/// A few bytes, a string of a field in the table, a common name, or many bytes.
fn string(choices: &mut Choices<'_>, how: u8, model: &Model, of: impl Fn(&(Vec<u8>, Vec<u8>)) -> &Vec<u8>) -> Vec<u8> {
    const COMMON: [&str; 8] = [":method", "GET", ":path", "/", "cookie", "set-cookie", "x", ""];
    let choice = choices.byte();
    match how % 8 {
        0..=2 => choices.take(usize::from(choice % 16)).to_vec(),
        3 => model.fields.get(usize::from(choice)).map(of).cloned().unwrap_or_default(),
        4 => alloc::vec![b'a' + choice % 26; usize::from(choice)],
        5 => Dice::of(u64::from(choice)).take(usize::from(choice) * 20),
        _ => COMMON[usize::from(choice % 8)].as_bytes().to_vec(),
    }
}

/// RFC 7541 §4 word by word.
struct Model {
    /// The newest first.
    fields: VecDeque<(Vec<u8>, Vec<u8>)>,
    max_size: usize,
}

impl Model {
    fn set_max_size(&mut self, allowed: usize) {
        self.max_size = allowed.min(TABLE);
        self.evict(self.max_size);
    }

    fn evict(&mut self, most: usize) {
        while size(&self.fields) > most {
            self.fields.pop_back();
        }
    }

    fn insert(&mut self, name: &[u8], value: &[u8]) {
        let size = name.len() + value.len() + OVERHEAD;
        self.evict(self.max_size.saturating_sub(size));
        if size <= self.max_size {
            self.fields.push_front((name.to_vec(), value.to_vec()));
        }
    }

    fn has(&self, name: &[u8], value: &[u8]) -> bool {
        self.fields.iter().any(|field| field.0 == name && field.1 == value)
    }
}

fn size(fields: &VecDeque<(Vec<u8>, Vec<u8>)>) -> usize {
    fields.iter().map(|(name, value)| name.len() + value.len() + OVERHEAD).sum()
}

/// Whether a field always has a number.
fn is_fixed(name: &[u8], value: &[u8]) -> bool {
    let mut numbers = (0x81..0x80 + FIRST).map(|first| decoded(&mut Decoder::new(), &first.to_le_bytes()[..1]).0);
    numbers.any(|fields| fields.first().is_some_and(|field| field.0 == name && field.1 == value))
}

/// The fields of a table, by their numbers.
fn table(decoder: &mut Decoder) -> VecDeque<(Vec<u8>, Vec<u8>)> {
    let mut fields = VecDeque::new();
    loop {
        let number = FIRST + fields.len();
        let more = (number.saturating_sub(0x7F)).to_le_bytes();
        let block = match number {
            ..0x7F => [0x80 | number.to_le_bytes()[0], 0],
            _ => [0xFF, more[0]],
        };
        // More than 127 + 65 fields of at least 32 bytes there are not.
        let block = if number < 0x7F { &block[..1] } else { &block[..] };
        match decoded(decoder, block) {
            (found, Ok(())) => fields.extend(found.into_iter().map(|(name, value, _)| (name, value))),
            (_, Err(error)) => {
                assert_eq!(error, HpackError::InvalidIndex, "number {number}");
                return fields;
            }
        }
    }
}

fn decoded(decoder: &mut Decoder, block: &[u8]) -> (Vec<Owned>, Result<(), HpackError>) {
    let mut fields = Vec::new();
    let result = decoder.decode(block, |field| fields.push(own(field)));
    (fields, result)
}

fn own(field: Field<'_>) -> Owned {
    (field.name.to_vec(), field.value.to_vec(), field.is_sensitive)
}
