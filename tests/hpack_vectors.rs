//! Do others read what we write in HPACK, and we what others wrote?
//!
//! The stories of hpack-test-case are no part of this repository. They are looked for at `../shared/hpack-test-case`, or where
//! `SOCKLESS_HPACK_VECTORS` says. The independent decoder is Python's `hpack`, where the Python that `SOCKLESS_PYTHON` names
//! has it; `.ci/hpack` sees to that. What is not there is printed as skipped.

#![cfg(all(test, feature = "fuzzing"))]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use serde_json::{Value, json};
use sockless::fuzzing::hpack::{Decoder, Encoder, Fields};

/// What both sides may use without a word.
const DEFAULT_TABLE_SIZE: usize = 4096;

fn field(name: &str, value: &str, is_sensitive: bool) -> (Vec<u8>, Vec<u8>, bool) {
    (name.into(), value.into(), is_sensitive)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn vectors() -> PathBuf {
    let shared = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/hpack-test-case");
    env::var_os("SOCKLESS_HPACK_VECTORS").map_or_else(shared, PathBuf::from)
}

/// The stories of an encoder, each with the name of its file.
fn stories(encoder: &Path) -> Vec<(String, Value)> {
    let mut paths: Vec<PathBuf> = fs::read_dir(encoder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: &PathBuf| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    paths.iter().map(|path| (path.display().to_string(), read(path))).collect()
}

fn fields_of(case: &Value) -> Fields {
    let headers = case["headers"].as_array().unwrap().iter().flat_map(|header| header.as_object().unwrap());
    headers.map(|(name, value)| field(name, value.as_str().unwrap(), false)).collect()
}

/// Every story of every encoder; those of `raw-data`, which no one encoded, are encoded and decoded by us.
#[test]
fn the_stories_of_other_encoders() {
    let root = vectors();
    let Ok(encoders) = fs::read_dir(&root) else {
        return println!("skipped: no stories of hpack-test-case at {}", root.display());
    };
    let mut blocks = 0;
    for folder in encoders.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for (name, story) in stories(&folder) {
            let cases = story["cases"].as_array().unwrap();
            if cases.iter().any(|case| case["header_table_size"].as_u64() > Some(DEFAULT_TABLE_SIZE as u64)) {
                println!("skipped: {name} wants a larger table than is ever allowed");
                continue;
            }
            let (mut encoder, mut decoder) = (Encoder::default(), Decoder::default());
            for case in cases {
                let fields = fields_of(case);
                let block = match case["wire"].as_str() {
                    Some(wire) => bytes(wire),
                    None => encoder.encode(&fields, true),
                };
                assert_eq!(decoder.decode(&block), Ok(fields), "{name} {}", case["seqno"]);
                blocks += 1;
            }
        }
    }
    assert_ne!(blocks, 0, "no stories at {}", root.display());
    println!("{blocks} blocks decoded");
}

/// Reads a line a block, and says how many it read.
const INDEPENDENT_DECODER: &str = r#"
import json, sys
try:
    import hpack
except ImportError:
    sys.exit(77)
count = 0
for line in sys.stdin:
    block = json.loads(line)
    if block["first"]:
        decoder = hpack.Decoder()
    fields = [[name.hex(), value.hex(), not field.indexable]
              for field in decoder.decode(bytes.fromhex(block["wire"]), raw=True) for name, value in [field]]
    assert fields == block["fields"], (block, fields)
    count += 1
print(count)
"#;

/// What we encode, decoded by Python's `hpack`, with the Python that `SOCKLESS_PYTHON` names; `.ci/hpack` has one.
#[test]
fn an_independent_decoder_reads_what_we_write() {
    let mut lines = Vec::new();
    let mut write = |encoder: &mut Encoder, fields: &Fields, is_added, first| {
        let wire = hex(&encoder.encode(fields, is_added));
        let fields: Vec<_> = fields.iter().map(|(name, value, never)| json!([hex(name), hex(value), never])).collect();
        lines.push(json!({ "first": first, "wire": wire, "fields": fields }).to_string());
    };
    for is_added in [true, false] {
        // Every field that there may be, of all bytes, with changes of the table's size in between.
        let mut encoder = Encoder::default();
        for nth in 0..600usize {
            match nth % 100 {
                20 => encoder.set_max_size(nth),
                40 => [0, DEFAULT_TABLE_SIZE].into_iter().for_each(|size| encoder.set_max_size(size)),
                60 => [300, 100, 200].into_iter().for_each(|size| encoder.set_max_size(size)),
                80 => encoder.set_max_size(usize::MAX),
                _ => (),
            }
            let value: Vec<u8> = (0..nth % 256).map(|byte| (byte * (nth / 256 + 1)) as u8).collect();
            let fields = vec![
                field(":method", ["GET", "CONNECT"][nth % 2], false),
                field(":path", &format!("/{}", nth % 7), false),
                (format!("x-{}", nth % 50).into_bytes(), value.clone(), false),
                ("authorization".into(), value.clone(), true),
                (format!("x-{}", nth % 50).into_bytes(), value, true),
                field("cookie", &format!("{}", nth % 90), false),
            ];
            write(&mut encoder, &fields, is_added, nth == 0);
        }
        let raw = vectors().join("raw-data");
        for (_, story) in if raw.is_dir() { stories(&raw) } else { vec![] } {
            let mut encoder = Encoder::default();
            for (nth, case) in story["cases"].as_array().unwrap().iter().enumerate() {
                write(&mut encoder, &fields_of(case), is_added, nth == 0);
            }
        }
    }

    let python = env::var("SOCKLESS_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut command = Command::new(&python);
    command.args(["-c", INDEPENDENT_DECODER]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        return println!("skipped: no {python}");
    };
    // Where it ends at once, nobody reads this.
    let _ = child.stdin.take().unwrap().write_all((lines.join("\n") + "\n").as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.code() == Some(77) {
        return println!("skipped: {python} has no hpack");
    }
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), lines.len().to_string());
    println!("{} blocks decoded by Python's hpack", lines.len());
}
