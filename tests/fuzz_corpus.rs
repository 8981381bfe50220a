//! Does what the fuzz targets assert hold for their corpus, and for inputs that are made from it at random?
//!
//! The bodies are those that `fuzz/` runs (`sockless::fuzzing`); the inputs come from `fuzz/corpus` and from a generator
//! with a fixed seed, so a failure here comes again. The allocator counts: what a peer sends bounds what is held for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use sockless::fuzzing::{TARGETS, Target};

/// Inputs made at random, a target.
const MADE: usize = 3000;
/// Bytes that any input may take: without compression, and with the contexts of two compressors and two decompressors.
const PLAIN: usize = 64 << 10;
const CODECS: usize = 2 << 20;
/// Bytes that may be held for one of the input, where that is compressed: a thousand come out of it, and are kept in a few
/// places.
const INFLATED: usize = 10_000;
/// Longer inputs show nothing that shorter ones do not, and take their time.
const LONGEST: usize = 2048;

#[test]
fn frame_header() {
    holds("frame_header", PLAIN, 100);
}

#[test]
fn server_stream() {
    holds("server_stream", CODECS, INFLATED);
}

#[test]
fn client_stream() {
    holds("client_stream", CODECS, INFLATED);
}

#[test]
fn request_head() {
    holds("request_head", PLAIN, 100);
}

#[test]
fn response_head() {
    holds("response_head", PLAIN, 100);
}

#[test]
fn split_against_whole() {
    holds("split_against_whole", CODECS, INFLATED);
}

#[test]
fn operations() {
    // Its programs say how much is sent.
    holds("operations", CODECS, 300_000);
}

#[test]
fn extensions() {
    holds("extensions", PLAIN, 100);
}

#[test]
fn inflate() {
    holds("inflate", CODECS, INFLATED);
}

#[test]
fn deflate_round_trip() {
    holds("deflate_round_trip", CODECS, 300_000);
}

#[test]
fn prepared() {
    holds("prepared", CODECS, 300_000);
}

#[test]
fn hpack_decode() {
    // A byte is a field, kept as it was read and as it is written again.
    holds("hpack_decode", PLAIN, 500);
}

#[test]
fn hpack_round_trip() {
    // A byte says how long a string is.
    holds("hpack_round_trip", PLAIN, 10_000);
}

#[test]
fn http2_server() {
    holds("http2_server", CODECS, INFLATED);
}

#[test]
fn http2_client() {
    holds("http2_client", CODECS, INFLATED);
}

#[test]
fn http2_operations() {
    holds("http2_operations", CODECS, 300_000);
}

#[test]
fn every_target_is_run_here_and_by_libfuzzer() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/fuzz_targets");
    let mut files: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let mut targets: Vec<&str> = TARGETS.iter().map(|(name, _)| *name).collect();
    targets.sort_unstable();
    assert_eq!(files, targets);
    let here = include_str!("fuzz_corpus.rs");
    for target in targets {
        assert!(here.contains(&format!("fn {target}() {{")), "{target} is not run here");
    }
}

/// Runs a target, which may hold so many bytes, and so many more for one of its input.
fn holds(name: &str, fixed: usize, held: usize) {
    let (_, target) = TARGETS.iter().find(|(other, _)| *other == name).unwrap();
    let corpus = corpus(name);
    for (file, input) in &corpus {
        run(*target, input, fixed + held * input.len(), file);
    }
    let mut dice = Dice(0x5EED);
    for number in 0..MADE {
        let input = make(&mut dice, &corpus);
        run(*target, &input, fixed + held * input.len(), &format!("number {number}"));
    }
}

fn corpus(name: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut corpus: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    corpus.sort();
    assert!(corpus.len() >= 5, "a corpus of {} in {}", corpus.len(), folder.display());
    corpus
}

/// Runs one input, in bounded memory: in proportion to the input, whatever it announces.
fn run(target: Target, input: &[u8], bound: usize, what: &str) {
    let before = LIVE.get();
    PEAK.set(before);
    let result = catch_unwind(AssertUnwindSafe(|| target(input)));
    assert!(result.is_ok(), "{what}: {}", input.escape_ascii());
    let peak = PEAK.get() - before;
    assert!(peak <= bound as isize, "{what}: {peak} bytes held at once for: {}", input.escape_ascii());
}

/// One input of the corpus, or two, with a few things done to them; or bytes that are nothing at all.
fn make(dice: &mut Dice, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    if dice.below(20) == 0 {
        return (0..dice.below(200)).map(|_| dice.byte()).collect();
    }
    let mut input = corpus[dice.below(corpus.len())].1.clone();
    for _ in 0..=dice.below(4) {
        let at = dice.below(input.len() + 1);
        let to = at + dice.below(input.len() - at + 1).min(32);
        match dice.below(8) {
            0 => input.truncate(at),
            1 => input.insert(at, dice.byte()),
            2 => drop(input.drain(at..to)),
            3 => {
                let again = input[at..to].to_vec();
                input.splice(at..at, again);
            }
            4 => {
                let other = &corpus[dice.below(corpus.len())].1;
                let from = dice.below(other.len() + 1);
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            5 => input.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.below(8)),
            6 => {
                let telling =
                    [0, 1, 0x7D, 0x7E, 0x7F, 0x80, 0x81, 0x88, 0x89, 0xFE, 0xFF, b'\r', b'\n', b',', b'"', b' '];
                let byte = telling[dice.below(telling.len())];
                input.iter_mut().skip(at).take(1).for_each(|old| *old = byte);
            }
            // The first bytes choose how the target runs.
            _ => input.iter_mut().take(3).for_each(|byte| *byte = dice.byte()),
        }
    }
    input.truncate(LONGEST);
    input
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

thread_local! {
    /// Bytes that this thread holds, and the most that it held at once.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

// SAFETY: it only counts, and leaves the work to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.get() + layout.size() as isize;
        LIVE.set(live);
        PEAK.set(PEAK.get().max(live));
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.set(LIVE.get() - layout.size() as isize);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}
