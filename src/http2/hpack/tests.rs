//! Do both directions agree with the examples of RFC 7541, and the tables with its text?
//!
//! The text is no part of this repository. It is looked for at `../shared`; where it is not, that is printed as skipped.

extern crate std;

use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use std::{fs, println};

use super::*;

/// Names, values, and whether they are sensitive.
pub(super) type Fields = Vec<(Vec<u8>, Vec<u8>, bool)>;

pub(super) fn field(name: &str, value: &str, is_sensitive: bool) -> (Vec<u8>, Vec<u8>, bool) {
    (name.into(), value.into(), is_sensitive)
}

/// The fields of a block, up to a fault.
pub(super) fn decoded(decoder: &mut Decoder, block: &[u8]) -> (Fields, Result<(), HpackError>) {
    let mut fields = Vec::new();
    let result = decoder.decode(block, |Field { name, value, is_sensitive }| {
        fields.push((name.to_vec(), value.to_vec(), is_sensitive));
    });
    (fields, result)
}

fn encoded(encoder: &mut Encoder, fields: &Fields, indexing: Indexing) -> Vec<u8> {
    let mut block = Vec::new();
    encoder.begin(&mut block);
    for (name, value, is_sensitive) in fields {
        encoder.encode(name, value, if *is_sensitive { Indexing::Never } else { indexing }, &mut block);
    }
    block
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What a line `name: value` means, the name perhaps beginning with a colon.
fn lines(text: &str) -> Fields {
    let split = |line: &str| {
        let colon = 1 + line[1..].find(": ").unwrap();
        field(&line[..colon], &line[colon + 2..], false)
    };
    text.lines().map(str::trim).filter(|line| !line.is_empty()).map(split).collect()
}

// Appendix C of RFC 7541; C.1 is in the tests of integers.

#[test]
fn the_examples_of_single_fields() {
    for (block, indexing, is_sensitive, line, size, is_ours) in [
        (
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            Indexing::Add,
            false,
            "custom-key: custom-header",
            55,
            false,
        ),
        ("040c 2f73 616d 706c 652f 7061 7468", Indexing::Without, false, ":path: /sample/path", 0, false),
        ("1008 7061 7373 776f 7264 0673 6563 7265 74", Indexing::Never, true, "password: secret", 0, false),
        ("82", Indexing::Add, false, ":method: GET", 0, true),
    ] {
        let mut fields = lines(line);
        fields[0].2 = is_sensitive;
        let mut decoder = Decoder::new();
        assert_eq!(decoded(&mut decoder, &bytes(block)), (fields.clone(), Ok(())));
        assert_eq!(decoder.table.size(), size, "{line}");
        // Ours takes the Huffman code where that is shorter, as it is in all strings here; its first byte is the same.
        let ours = encoded(&mut Encoder::new(), &fields, indexing);
        assert_eq!((ours == bytes(block), ours[0]), (is_ours, bytes(block)[0]), "{line}");
        assert_eq!(decoded(&mut Decoder::new(), &ours), (fields, Ok(())));
    }
}

const REQUESTS: [&str; 3] = [
    ":method: GET
    :scheme: http
    :path: /
    :authority: www.example.com",
    ":method: GET
    :scheme: http
    :path: /
    :authority: www.example.com
    cache-control: no-cache",
    ":method: GET
    :scheme: https
    :path: /index.html
    :authority: www.example.com
    custom-key: custom-value",
];

const REQUEST_TABLES: [(usize, &str); 3] = [
    (57, ":authority: www.example.com"),
    (
        110,
        "cache-control: no-cache
    :authority: www.example.com",
    ),
    (
        164,
        "custom-key: custom-value
    cache-control: no-cache
    :authority: www.example.com",
    ),
];

const RESPONSES: [&str; 3] = [
    ":status: 302
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:21 GMT
    location: https://www.example.com",
    ":status: 307
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:21 GMT
    location: https://www.example.com",
    ":status: 200
    cache-control: private
    date: Mon, 21 Oct 2013 20:13:22 GMT
    location: https://www.example.com
    content-encoding: gzip
    set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

const RESPONSE_TABLES: [(usize, &str); 3] = [
    (
        222,
        "location: https://www.example.com
    date: Mon, 21 Oct 2013 20:13:21 GMT
    cache-control: private
    :status: 302",
    ),
    (
        222,
        ":status: 307
    location: https://www.example.com
    date: Mon, 21 Oct 2013 20:13:21 GMT
    cache-control: private",
    ),
    (
        215,
        "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1
    content-encoding: gzip
    date: Mon, 21 Oct 2013 20:13:22 GMT",
    ),
];

/// One decoder for all, with a table of this size; after each block its table is compared too. Where a block is given for it,
/// one encoder is held to that.
fn examples(max_size: usize, lists: [&str; 3], tables: [(usize, &str); 3], blocks: [&str; 3], ours: Option<[&str; 3]>) {
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    encoder.table.set_max_size(max_size);
    decoder.table.set_max_size(max_size);
    for nth in 0..3 {
        let fields = lines(lists[nth]);
        assert_eq!(decoded(&mut decoder, &bytes(blocks[nth])), (fields.clone(), Ok(())));
        let block = encoded(&mut encoder, &fields, Indexing::Add);
        if let Some(ours) = ours {
            assert_eq!(hex(&block), hex(&bytes(ours[nth])));
        }
        let (size, table) = tables[nth];
        for (who, of) in [("decoder", &decoder.table), ("encoder", &encoder.table)] {
            let read = (62..).map_while(|number| of.field(number));
            let read: Fields = read.map(|(name, value)| (name.to_vec(), value.to_vec(), false)).collect();
            assert_eq!((read, of.size()), (lines(table), size), "{who} after {nth}");
        }
    }
}

#[test]
fn the_examples_of_requests() {
    let plain = [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ];
    let huffman = [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ];
    examples(DEFAULT_TABLE_SIZE, REQUESTS, REQUEST_TABLES, plain, None);
    examples(DEFAULT_TABLE_SIZE, REQUESTS, REQUEST_TABLES, huffman, Some(huffman));
}

#[test]
fn the_examples_of_responses() {
    let plain = [
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120 474d
         546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738 666f
         6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b
         2076 6572 7369 6f6e 3d31",
    ];
    let huffman = [
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718 63c7
         8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7 b335
         dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ];
    // 307 is no shorter in the Huffman code, and then ours does without.
    let ours = [huffman[0], plain[1], huffman[2]];
    examples(256, RESPONSES, RESPONSE_TABLES, plain, None);
    examples(256, RESPONSES, RESPONSE_TABLES, huffman, Some(ours));
}

/// Appendices A and B row by row.
#[test]
fn the_tables_are_those_of_the_text() {
    let Ok(text) = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/rfc/rfc7541.txt")) else {
        return println!("skipped: the text of RFC 7541 is not at hand");
    };
    let table = table::Table::new(0);
    let (mut fields, mut symbols) = (BTreeSet::new(), BTreeSet::new());
    // The name of the first appendix stands in the table of contents too.
    for line in text.rsplit("Appendix A.").next().unwrap().lines().map(str::trim) {
        if let [_, number, name, value, _] = line.split('|').map(str::trim).collect::<Vec<_>>()[..]
            && let Ok(number) = number.parse()
            && line.starts_with('|')
        {
            assert_eq!(table.field(number), Some((name.as_bytes(), value.as_bytes())), "{line}");
            fields.insert(number);
        }
        // `'/' ( 47)  |011000    18  [ 6]`
        if let Some((before, code)) = line.split_once(")  |")
            && let Some(symbol) = before.rsplit('(').next()
            && let (Ok(symbol), Some((code, length))) = (symbol.trim().parse::<usize>(), code.split_once('['))
            && let Some(code) = code.split_whitespace().last()
        {
            let length = length.trim_end_matches(']').trim().parse().unwrap();
            let code = u32::from_str_radix(code, 16).unwrap();
            assert_eq!(huffman::CODE.codes[symbol], (code, length), "{line}");
            symbols.insert(symbol);
        }
    }
    assert_eq!((fields.len(), symbols.len()), (61, 257));
}
