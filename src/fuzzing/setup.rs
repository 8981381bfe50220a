//! How do a few bytes choose what a target does with the rest?

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::config::{Compression, Config, Delivery, Http2Limits, Limits};
use crate::deflate::params::WindowBits;
use crate::entropy::{Entropy, NoEntropy};
use crate::time::Instant;

/// When everything happens, where a target is not about time.
pub(super) const NOW: Instant = Instant::from_nanos(0);

/// Takes bytes off the front of a target's input; zeros when there are no more.
pub(super) struct Choices<'i>(&'i [u8]);

impl<'i> Choices<'i> {
    pub(super) fn of(input: &'i [u8]) -> Choices<'i> {
        Choices(input)
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    pub(super) fn flags(&mut self) -> Flags {
        Flags(self.byte())
    }

    pub(super) fn cuts(&mut self) -> Cuts {
        Cuts::of(self.byte())
    }

    /// So many bytes, or all that are left.
    pub(super) fn take(&mut self, count: usize) -> &'i [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn rest(&self) -> &'i [u8] {
        self.0
    }
}

/// A byte of choices, taken from its lowest bit on.
pub(super) struct Flags(u8);

impl Flags {
    pub(super) fn flag(&mut self) -> bool {
        self.two_bits(1) == 1
    }

    pub(super) fn four(&mut self) -> u8 {
        self.two_bits(3)
    }

    fn two_bits(&mut self, mask: u8) -> u8 {
        let bits = self.0 & mask;
        self.0 >>= mask.count_ones();
        bits
    }
}

/// Whole messages or chunks, the default limits or small ones.
pub(super) fn config(flags: &mut Flags) -> Config {
    let delivery = if flags.flag() { Delivery::Chunks } else { Delivery::Messages };
    let limits = if flags.flag() { small_limits() } else { Limits::default() };
    Config { limits, delivery, ..Config::default() }
}

/// Limits that a short input reaches.
fn small_limits() -> Limits {
    Limits {
        message: 300,
        frame: 200,
        fragments: 4,
        output: 256,
        head: 512,
        target: 64,
        fields: 8,
        body: 100,
        http2: Http2Limits { sessions: 3, idle_frames: 30, resets: 4, answers: 300, ..Http2Limits::default() },
        ..Limits::default()
    }
}

/// No compression, or one of three: all that there is to agree on, nothing kept between messages, or small windows.
pub(super) fn compression(choice: u8) -> Option<Compression> {
    let window = |bits| WindowBits::new(bits).unwrap_or_default();
    match choice {
        0 => None,
        1 => Some(Compression::default()),
        2 => Some(Compression {
            server_no_context_takeover: true,
            client_no_context_takeover: true,
            pool: Some(Arc::default()),
            ..Compression::default()
        }),
        _ => Some(Compression {
            server_max_window_bits: window(9),
            client_max_window_bits: window(8),
            client_no_context_takeover: true,
            threshold: Some(0),
            ..Compression::default()
        }),
    }
}

/// How input is cut into reads.
#[derive(Clone, Debug)]
pub(super) enum Cuts {
    Whole,
    Every(usize),
    Random(Dice),
}

impl Cuts {
    fn of(choice: u8) -> Cuts {
        match choice {
            0 => Cuts::Whole,
            1..=64 => Cuts::Every(usize::from(choice)),
            _ => Cuts::Random(Dice(u64::from(choice))),
        }
    }

    /// Cuts `bytes` into reads, none of them empty.
    pub(super) fn reads<'b>(&self, bytes: &'b [u8]) -> impl Iterator<Item = &'b [u8]> {
        let (mut cuts, mut rest) = (self.clone(), bytes);
        core::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let length = match &mut cuts {
                Cuts::Whole => rest.len(),
                Cuts::Every(length) => *length,
                // Mostly short ones: a header is where cutting is delicate.
                Cuts::Random(dice) => match dice.below(4) {
                    0 => 1,
                    1 => 1 + dice.below(3),
                    2 => 1 + dice.below(16),
                    _ => 1 + dice.below(200),
                },
            };
            let (read, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            Some(read)
        })
    }
}

/// A small generator of numbers that only look random.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn of(seed: u64) -> Dice {
        Dice(seed)
    }

    /// So many bytes that do not compress.
    pub(super) fn take(mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.below(256).to_le_bytes()[0]).collect()
    }

    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound).unwrap_or_default()
    }
}

/// A client that can be foreseen.
pub(super) struct Foreseen;

impl Entropy for Foreseen {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(7);
        Ok(())
    }
}

/// Shares a configuration, as endpoints want it.
pub(super) fn shared(config: &Config) -> Arc<Config> {
    Arc::new(config.clone())
}
