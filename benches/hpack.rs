//! How fast are header blocks read and written?
//!
//! `cargo bench --features fuzzing --bench hpack`; with `-- ratios` behind it, a table in Markdown. What is read are
//! the heads of a page's load and of its WebSocket (requests as a browser sends them, responses as servers do), in
//! three styles: written by our encoder with its table, or without it (all of it literals, mostly by Huffman's code),
//! and by `loona-hpack`'s, which writes plain literals and a table. A pass is 16 loads on one connection.
//!
//! Ours lends each field (*lent*), or copies it (*owned*); `httlib-hpack` makes copies, `loona-hpack` lends. What they
//! want to own or use up is made for them before the time runs. `h2` keeps its own to itself. In the table stands in
//! brackets how many times as fast ours is as the fastest crate, or, where it copies, as the fastest that copies. How
//! many fields there are, or how long all of them, is checked in what is timed; before, that they are the same.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a bench that fails is to say so")]

use std::hint::black_box;
use std::rc::Rc;
use std::time::{Duration, Instant as Clock};

use cpu_time::ThreadTime;
use criterion::{BenchmarkId, Criterion, Throughput};
use sockless::fuzzing::hpack::{Decoder, Encoder, Fields};

fn main() {
    if std::env::args().any(|argument| argument == "ratios") {
        return ratios();
    }
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(20)
        .configure_from_args();
    let heads = heads();
    check(&heads);
    for (group_name, jobs) in jobs(&heads) {
        let mut group = criterion.benchmark_group(group_name);
        group.throughput(Throughput::Elements(heads.len() as u64));
        for (name, mut job) in jobs {
            group.bench_function(BenchmarkId::from_parameter(name), |bencher| {
                bencher.iter_custom(|passes| (0..passes).map(|_| job()).sum());
            });
        }
    }
    criterion.final_summary();
}

const LOADS: usize = 16;

/// A pass, which says how long it took.
type Job<'h> = Box<dyn FnMut() -> Duration + 'h>;

fn jobs(heads: &[Fields]) -> Vec<(String, Vec<(&'static str, Job<'_>)>)> {
    let length: usize = heads.iter().flatten().map(|(name, value, _)| name.len() + value.len()).sum();
    let mut groups = Vec::new();
    for (style, blocks) in styles(heads) {
        let blocks_length: usize = blocks.iter().map(Vec::len).sum();
        let blocks = Rc::new(blocks);
        let mut jobs: Vec<(&str, Job<'_>)> = Vec::new();
        let of = Rc::clone(&blocks);
        jobs.push(("ours, lent", Box::new(move || read_lent(&of, length))));
        let of = Rc::clone(&blocks);
        jobs.push(("ours, owned", Box::new(move || read_owned(&of, heads))));
        let of = Rc::clone(&blocks);
        jobs.push(("httlib, owned", Box::new(move || read_httlib(&of, heads))));
        jobs.push(("loona, lent", Box::new(move || read_loona(&blocks, length))));
        let mean = blocks_length / heads.len();
        groups.push((format!("read, {style} ({mean} B)"), jobs));
    }
    groups.push((
        "write".to_owned(),
        vec![
            ("ours, a table", Box::new(move || write_ours(heads, true))),
            ("ours, literals", Box::new(move || write_ours(heads, false))),
            ("httlib, a table", Box::new(move || write_httlib(heads))),
            ("loona, a table", Box::new(move || write_loona(heads))),
        ],
    ));
    groups
}

fn styles(heads: &[Fields]) -> [(&'static str, Vec<Vec<u8>>); 3] {
    let by_ours = |is_added| {
        let mut encoder = Encoder::default();
        heads.iter().map(|fields| encoder.encode(fields, is_added)).collect()
    };
    let mut loona = loona_hpack::Encoder::new();
    let plain = heads.iter().map(|fields| loona.encode(pairs(fields))).collect();
    [("a table", by_ours(true)), ("literals", by_ours(false)), ("a table, plain literals", plain)]
}

fn pairs(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    fields.iter().map(|(name, value, _)| (&name[..], &value[..]))
}

fn read_lent(blocks: &[Vec<u8>], length: usize) -> Duration {
    let (start, mut read) = (ThreadTime::now(), 0);
    let mut decoder = Decoder::default();
    for block in blocks {
        decoder
            .lend(black_box(block), |name, value, _| read += black_box(name).len() + black_box(value).len())
            .unwrap();
    }
    assert_eq!(read, length);
    start.elapsed()
}

fn read_owned(blocks: &[Vec<u8>], heads: &[Fields]) -> Duration {
    let start = ThreadTime::now();
    let mut decoder = Decoder::default();
    for (block, head) in blocks.iter().zip(heads) {
        let fields = black_box(decoder.decode(black_box(block)).unwrap());
        assert_eq!(fields.len(), head.len());
    }
    start.elapsed()
}

fn read_httlib(blocks: &[Vec<u8>], heads: &[Fields]) -> Duration {
    let mut blocks = blocks.to_vec();
    let start = ThreadTime::now();
    let mut decoder = httlib_hpack::Decoder::default();
    for (block, head) in blocks.iter_mut().zip(heads) {
        let mut fields = Vec::new();
        decoder.decode(black_box(block), &mut fields).unwrap();
        assert_eq!(black_box(fields).len(), head.len());
    }
    start.elapsed()
}

fn read_loona(blocks: &[Vec<u8>], length: usize) -> Duration {
    let (start, mut read) = (ThreadTime::now(), 0);
    let mut decoder = loona_hpack::Decoder::new();
    for block in blocks {
        decoder
            .decode_with_cb(black_box(block), |name, value| read += black_box(name).len() + black_box(value).len())
            .unwrap();
    }
    assert_eq!(read, length);
    start.elapsed()
}

fn write_ours(heads: &[Fields], is_added: bool) -> Duration {
    let start = ThreadTime::now();
    let mut encoder = Encoder::default();
    for head in heads {
        assert!(!black_box(encoder.encode(black_box(head), is_added)).is_empty());
    }
    start.elapsed()
}

fn write_httlib(heads: &[Fields]) -> Duration {
    type Httlib = httlib_hpack::Encoder<'static>;
    let flags = Httlib::HUFFMAN_NAME | Httlib::HUFFMAN_VALUE | Httlib::WITH_INDEXING | Httlib::BEST_FORMAT;
    let owned = |head: &Fields| pairs(head).map(|(name, value)| (name.to_vec(), value.to_vec(), flags)).collect();
    let heads: Vec<Vec<_>> = heads.iter().map(owned).collect();
    let start = ThreadTime::now();
    let mut encoder = httlib_hpack::Encoder::default();
    for head in heads {
        let mut block = Vec::new();
        head.into_iter().for_each(|field| encoder.encode(black_box(field), &mut block).unwrap());
        assert!(!black_box(block).is_empty());
    }
    start.elapsed()
}

fn write_loona(heads: &[Fields]) -> Duration {
    let start = ThreadTime::now();
    let mut encoder = loona_hpack::Encoder::new();
    for head in heads {
        assert!(!black_box(encoder.encode(pairs(black_box(head)))).is_empty());
    }
    start.elapsed()
}

fn ratios() {
    let heads = heads();
    check(&heads);
    println!("| time a head | ours | | `httlib-hpack` | `loona-hpack` |");
    println!("| --- | --- | --- | --- | --- |");
    for (group, mut jobs) in jobs(&heads) {
        let mut times = vec![Vec::new(); jobs.len()];
        let start = Clock::now();
        while times[0].len() < 51 || start.elapsed() < Duration::from_secs(1) {
            let turn = times[0].len();
            for place in 0..jobs.len() {
                let job = (turn + place) % jobs.len();
                times[job].push(jobs[job].1());
            }
        }
        let times: Vec<f64> = times.into_iter().map(|times| median(times) / heads.len() as f64).collect();
        let cells = jobs.iter().enumerate().map(|(job, (name, _))| {
            let rivals = jobs.iter().zip(&times).skip(2).filter(|((rival, _), _)| {
                // Who copies is held against who copies.
                !name.ends_with("owned") || rival.ends_with("owned")
            });
            let fastest = rivals.map(|(_, time)| *time).fold(f64::INFINITY, f64::min);
            let ratio = if job < 2 { format!(" ({:.2})", fastest / times[job]) } else { String::new() };
            format!("{name}: {:.0} ns{ratio}", times[job])
        });
        println!("| {group} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
}

/// In nanoseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_nanos() as f64
}

/// All of them read what was written.
fn check(heads: &[Fields]) {
    for (style, blocks) in styles(heads) {
        let mut ours = Decoder::default();
        let mut httlib = httlib_hpack::Decoder::default();
        let mut loona = loona_hpack::Decoder::new();
        for (block, head) in blocks.iter().zip(heads) {
            let expected: Vec<(&[u8], &[u8])> = pairs(head).collect();
            assert_eq!(pairs(&ours.decode(block).unwrap()).collect::<Vec<_>>(), expected, "ours, {style}");
            assert_eq!(
                loona.decode(block).unwrap(),
                pairs(head).map(|(name, value)| (name.to_vec(), value.to_vec())).collect::<Vec<_>>(),
                "loona, {style}"
            );
            let mut fields = Vec::new();
            httlib.decode(&mut block.clone(), &mut fields).unwrap();
            assert!(fields.iter().map(|(name, value, _)| (&name[..], &value[..])).eq(expected), "httlib, {style}");
        }
    }
}

/// The heads of some loads of a page, on a connection: the page, what it needs, what it asks for, its WebSocket.
fn heads() -> Vec<Fields> {
    const AGENT: &str =
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
    let mut heads = Vec::new();
    let mut head = |fields: &[(&str, &str)]| {
        let is_secret = |name| matches!(name, "cookie" | "set-cookie" | "authorization");
        heads.push(
            fields
                .iter()
                .map(|(name, value)| (name.as_bytes().into(), value.as_bytes().into(), is_secret(*name)))
                .collect(),
        );
    };
    for load in 0..LOADS {
        let date = format!("Sat, 22 Nov 2025 09:{:02}:{:02} GMT", 10 + load / 2, 30 * (load % 2));
        let cookie = format!("session=9f8e7d6c5b4a39281706f5e4d3c2b1a{load:02x}; theme=dark");
        for (path, destination, kind, length) in [
            ("/", "document", "text/html; charset=utf-8", 18_231),
            ("/assets/app.3f9c2e71.js", "script", "text/javascript", 184_022),
            ("/assets/style.b07d5a1e.css", "style", "text/css", 22_910),
            ("/images/logo@2x.png", "image", "image/png", 9_455),
            ("/api/v2/messages?room=general&limit=50", "empty", "application/json", 31_877),
        ] {
            head(&[
                (":method", "GET"),
                (":scheme", "https"),
                (":authority", "chat.example.com"),
                (":path", path),
                ("user-agent", AGENT),
                ("accept", if destination == "document" { "text/html,application/xhtml+xml,*/*;q=0.8" } else { "*/*" }),
                ("sec-ch-ua-platform", "\"Linux\""),
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-mode", if destination == "document" { "navigate" } else { "cors" }),
                ("sec-fetch-dest", destination),
                ("referer", "https://chat.example.com/"),
                ("accept-encoding", "gzip, deflate, br, zstd"),
                ("accept-language", "en-US,en;q=0.9"),
                ("cookie", &cookie),
            ]);
            head(&[
                (":status", if load % 4 == 3 && kind == "image/png" { "304" } else { "200" }),
                ("date", &date),
                ("content-type", kind),
                ("content-length", &(length + load * 7).to_string()),
                (
                    "cache-control",
                    if path.starts_with("/assets") { "public, max-age=31536000, immutable" } else { "no-cache" },
                ),
                ("etag", &format!("\"{:x}-{load:x}\"", length * 2_654_435)),
                ("strict-transport-security", "max-age=63072000; includeSubDomains"),
                ("vary", "accept-encoding"),
                ("server", "example/1.4"),
            ]);
        }
        head(&[
            (":method", "CONNECT"),
            (":protocol", "websocket"),
            (":scheme", "https"),
            (":path", &format!("/chat?room=general&since={}", 48_213_007 + load * 911)),
            (":authority", "chat.example.com"),
            ("user-agent", AGENT),
            ("origin", "https://chat.example.com"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-extensions", "permessage-deflate; client_max_window_bits"),
            ("accept-encoding", "gzip, deflate, br, zstd"),
            ("accept-language", "en-US,en;q=0.9"),
            ("cookie", &cookie),
        ]);
        head(&[
            (":status", "200"),
            ("sec-websocket-extensions", "permessage-deflate"),
            ("date", &date),
            ("server", "example/1.4"),
        ]);
    }
    heads
}
