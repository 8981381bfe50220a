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
    pub(super) table: Table,
    /// The smallest size since the last block, where the peer is still to be told of a change.
    smallest: Option<usize>,
}

impl Encoder {
    pub(crate) fn new() -> Encoder {
        Encoder { table: Table::new(DEFAULT_TABLE_SIZE), smallest: None }
    }

    /// Keeps to the size that the peer allows from now on; never takes more than the default.
    //= rfc7541 4.2 MUST 1: never more than the peer allows
    //= rfc7541 6.3 MUST 1: so no more is ever announced either
    pub(crate) fn set_max_size(&mut self, allowed: usize) {
        let size = allowed.min(DEFAULT_TABLE_SIZE);
        if size != self.table.max_size() {
            self.smallest = Some(self.smallest.unwrap_or(size).min(size));
            self.table.set_max_size(size);
        }
    }

    /// Begins a block: tells a change of the table's size.
    //= rfc7541 4.2 MUST 2: in front of the first field of the next block
    //= rfc7541 4.2 MUST 3: the smallest size since the last block, then what it is now
    pub(crate) fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(smallest) = self.smallest.take() {
            let size = self.table.max_size();
            if smallest < size {
                integer::encode(smallest, 5, 0x20, out);
            }
            integer::encode(size, 5, 0x20, out);
        }
    }

    /// Appends a field behind those before. Its name must be in lower case.
    //= rfc7541 2.1 MUST 1: fields are written in the order in which they are given
    //= rfc7541 6.2.3 MUST 2: a field that is never to be indexed always has the one representation that says so
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

#[cfg(test)]
mod tests {
    use alloc::string::{String, ToString};
    use alloc::vec;

    use proptest::prelude::*;

    use super::super::Decoder;
    use super::super::tests::{decoded, field};
    use super::*;

    fn block(encoder: &mut Encoder, fields: &[(&str, &str, Indexing)]) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.begin(&mut out);
        for (name, value, indexing) in fields {
            encoder.encode(name.as_bytes(), value.as_bytes(), *indexing, &mut out);
        }
        out
    }

    //= rfc7541 4.2 MUST 1: a peer that allows more than the default changes nothing
    //= rfc7541 4.2 MUST 2: a change is told in front of the next block, once
    //= rfc7541 4.2 MUST 3: the smallest size is told too, where it was smaller than the last
    //= rfc7541 6.3 MUST 1: no size above the limit is told
    //= type=test
    #[test]
    fn changes_of_the_size_are_told() {
        // The sizes that the peer allowed since the last block, and what the next one begins with.
        let told: [(&[usize], &[u8]); 14] = [
            (&[], b""),
            (&[65_536], b""),
            (&[4096], b""),
            (&[30], b"\x3E"),
            (&[30], b""),
            (&[4096], b"\x3F\xE1\x1F"),
            (&[0], b"\x20"),
            (&[1 << 31], b"\x3F\xE1\x1F"),
            (&[0, 4096], b"\x20\x3F\xE1\x1F"),
            (&[100, 20, 50], b"\x34\x3F\x13"),
            (&[60, 50], b"\x3F\x13"),
            (&[50], b""),
            (&[1, 2, 3], b"\x21\x23"),
            (&[3, 2, 1], b"\x21"),
        ];
        let mut encoder = Encoder::new();
        for (number, (sizes, begin)) in told.into_iter().enumerate() {
            sizes.iter().for_each(|size| encoder.set_max_size(*size));
            let method = (":method", "GET", Indexing::Add);
            assert_eq!(block(&mut encoder, &[method]), [begin, b"\x82"].concat(), "{number}: {sizes:?}");
        }
    }

    #[test]
    fn a_lower_size_evicts_though_it_is_raised_again() {
        let mut encoder = Encoder::new();
        let name = ("name", "value", Indexing::Add);
        assert_eq!(block(&mut encoder, &[name, name]).last(), Some(&0xBE));
        encoder.set_max_size(40);
        encoder.set_max_size(4096);
        let again = block(&mut encoder, &[name]);
        assert_eq!(again[..5], *b"\x3F\x09\x3F\xE1\x1F");
        assert_eq!(again[5], 0x40, "it has no number any more");
    }

    //= rfc7541 6.2.3 MUST 2: whether or not its name has a number, or the field itself
    //= type=test
    #[test]
    fn what_is_never_indexed_is_in_no_table() {
        let mut encoder = Encoder::new();
        let (known, unknown) = (("authorization", "s", Indexing::Never), ("x", "s", Indexing::Never));
        let fixed = (":method", "GET", Indexing::Never);
        for _ in 0..2 {
            assert_eq!(block(&mut encoder, &[known]), b"\x1F\x08\x01s");
            assert_eq!(block(&mut encoder, &[unknown]), b"\x10\x01x\x01s");
            assert_eq!(block(&mut encoder, &[fixed]), b"\x12\x03GET");
            assert_eq!(encoder.table.field(62), None);
        }
        // Another field of that name and value is: it is not looked for, or the length of its number would tell a guess.
        for nth in 0..100u8 {
            block(&mut encoder, &[("guess", if nth == 10 { "s" } else { "-" }, Indexing::Add)]);
            block(&mut encoder, &[("other", core::str::from_utf8(&[nth]).unwrap(), Indexing::Add)]);
        }
        let (right, wrong) = (("guess", "s", Indexing::Never), ("guess", "t", Indexing::Never));
        let (right, wrong) = (block(&mut encoder, &[right]), block(&mut encoder, &[wrong]));
        assert_eq!(right[..right.len() - 1], wrong[..wrong.len() - 1]);
    }

    #[test]
    fn each_indexing_has_its_representation() {
        for (indexing, first, again) in [
            (Indexing::Add, &b"\x44\x01a"[..], &b"\xBE"[..]),
            (Indexing::Without, b"\x04\x01a", b"\x04\x01a"),
            (Indexing::Never, b"\x14\x01a", b"\x14\x01a"),
        ] {
            let mut encoder = Encoder::new();
            assert_eq!(block(&mut encoder, &[(":path", "a", indexing)]), first);
            assert_eq!(block(&mut encoder, &[(":path", "a", indexing)]), again);
        }
    }

    #[test]
    fn a_string_is_in_the_shorter_form() {
        for (value, written) in [("", &b"\x00"[..]), ("a", b"\x01a"), ("aa", b"\x02aa"), ("aaa", b"\x82\x18\xC7")] {
            let block = block(&mut Encoder::new(), &[(":path", value, Indexing::Without)]);
            assert_eq!(block, [b"\x04", written].concat(), "{value}");
        }
    }

    /// Few names and values, so that many come again; some so long that they evict others, or all.
    fn fields() -> impl Strategy<Value = Vec<(&'static str, String, Indexing)>> {
        let name = prop::sample::select(vec!["", "a", "b", "name", ":status", "cookie"]);
        let value = prop_oneof![
            5 => (0..20u32).prop_map(|number| number.to_string()),
            1 => (0..5000usize).prop_map(|length| "v".repeat(length)),
            1 => prop::collection::vec(any::<char>(), 0..20).prop_map(|value| value.into_iter().collect()),
        ];
        let indexing = prop::sample::select(vec![Indexing::Add, Indexing::Add, Indexing::Without, Indexing::Never]);
        prop::collection::vec((name, value, indexing), 0..12)
    }

    proptest! {
        //= rfc7541 2.1 MUST 1: the order is kept
        //= rfc7541 6.2.3 MUST 2: the mark of what is never indexed arrives
        //= type=test
        #[test]
        fn both_sides_keep_in_step(
            blocks in prop::collection::vec(
                (prop::collection::vec(prop_oneof![0usize..300, 0usize..10_000], 0..3), fields()),
                0..12,
            ),
        ) {
            let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
            let mut allowed = DEFAULT_TABLE_SIZE;
            for (sizes, fields) in &blocks {
                for size in sizes {
                    encoder.set_max_size(*size);
                    allowed = *size;
                }
                let fields: Vec<(&str, &str, Indexing)> =
                    fields.iter().map(|(name, value, indexing)| (*name, &value[..], *indexing)).collect();
                let expected = fields.iter().map(|(name, value, i)| field(name, value, *i == Indexing::Never)).collect();
                prop_assert_eq!(decoded(&mut decoder, &block(&mut encoder, &fields)), (expected, Ok(())));
                prop_assert!(encoder.table.max_size() <= allowed);
                prop_assert_eq!(encoder.table.max_size(), decoder.table.max_size());
                for number in 62..=62 + DEFAULT_TABLE_SIZE / 32 {
                    prop_assert_eq!(encoder.table.field(number), decoder.table.field(number));
                }
            }
        }
    }
}
