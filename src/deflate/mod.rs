//! How are messages compressed? (RFC 7692)
//!
//! [`params`] is what two sides agree on. [`Compressor`] and [`Decompressor`] are the transformation of a message's payload
//! (§7.2), whole or in parts, each with one codec context of its own; [`Pool`] lends them out. [`codec`] is the only file
//! that names the crate which deflates. Without the feature `deflate` there is no codec, and [`absent`] stands in: types
//! without a value, so that what would compress is known never to run.

#![cfg_attr(
    not(feature = "deflate"),
    allow(dead_code, unreachable_pub, reason = "without a codec nothing makes a Compression, and nobody sees one")
)]

#[cfg(not(feature = "deflate"))]
mod absent;
#[cfg(feature = "deflate")]
mod codec;
#[cfg(feature = "deflate")]
mod compressor;
#[cfg(feature = "deflate")]
mod decompressor;
#[cfg(feature = "deflate")]
mod history;
pub(crate) mod params;
#[cfg(feature = "deflate")]
mod pool;
#[cfg(feature = "deflate")]
mod window;

#[cfg(not(feature = "deflate"))]
pub(crate) use self::absent::{Compressor, Decompressor, Pool};
#[cfg(feature = "deflate")]
pub(crate) use self::compressor::Compressor;
#[cfg(feature = "deflate")]
pub(crate) use self::decompressor::Decompressor;
use self::params::{DeflateParameters, WindowBits};
#[cfg(feature = "deflate")]
pub use self::pool::Pool;

/// How much time a compressor takes for how small a result: 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CompressionLevel(u8);

impl CompressionLevel {
    /// 1: several times as fast as the default.
    pub const FASTEST: CompressionLevel = CompressionLevel(1);
    /// 9: the smallest.
    pub const SMALLEST: CompressionLevel = CompressionLevel(9);

    /// The level, if it is one of 1 to 9.
    pub const fn new(level: u8) -> Option<CompressionLevel> {
        if matches!(level, 1..=9) { Some(CompressionLevel(level)) } else { None }
    }

    /// The level, 1 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for CompressionLevel {
    /// 6.
    fn default() -> CompressionLevel {
        CompressionLevel(6)
    }
}

/// How much memory a compressor takes beside its window: 1 to 9.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryLevel(u8);

impl MemoryLevel {
    /// The level, if it is one of 1 to 9.
    pub const fn new(level: u8) -> Option<MemoryLevel> {
        if matches!(level, 1..=9) { Some(MemoryLevel(level)) } else { None }
    }

    /// The level, 1 to 9.
    pub const fn get(self) -> u8 {
        self.0
    }
}

impl Default for MemoryLevel {
    /// 5.
    fn default() -> MemoryLevel {
        MemoryLevel(5)
    }
}

/// What was agreed on for the messages of one side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) window: WindowBits,
    /// A message may refer to those before it.
    pub(crate) takeover: bool,
}

impl Direction {
    pub(crate) fn of_server(parameters: DeflateParameters) -> Direction {
        let takeover = !parameters.server_no_context_takeover;
        Direction { window: parameters.server_max_window_bits, takeover }
    }

    //= rfc7692 7.2.2 MUST 3: the agreement decides, not the hint of an offer
    pub(crate) fn of_client(parameters: DeflateParameters) -> Direction {
        let takeover = !parameters.client_no_context_takeover;
        Direction { window: parameters.client_max_window_bits, takeover }
    }
}

/// What a compressor is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) window: WindowBits,
    pub(crate) level: CompressionLevel,
    pub(crate) memory_level: MemoryLevel,
}

/// What a compressed message may cost us.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// The most bytes that may come out of it.
    pub(crate) message: u64,
    /// The most bytes that may come out for one that goes in.
    pub(crate) ratio: u32,
}

impl Budget {
    /// How many bytes may go in for none that come out, and how many more for one that does. Whoever flushes behind each
    /// byte that it compresses needs less.
    const FREE: u64 = 4096;
    const OVERHEAD: u64 = 8;

    /// The most bytes that a message that keeps to the budget can have.
    pub(crate) fn wire(self) -> u64 {
        Budget::allowed(self.message)
    }

    fn allowed(produced: u64) -> u64 {
        produced.saturating_mul(Budget::OVERHEAD).saturating_add(Budget::FREE)
    }
}
