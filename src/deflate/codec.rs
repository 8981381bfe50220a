//! How does the codec behave? The only file that names it: zlib-rs, through its own safe interface.
//!
//! What is to be known of it, each with a test by its name:
//! - A compressor of 9 bits refers back by 250 bytes at most, so it serves a window of 8; one of 8 raw bits does not exist.
//!   A decompressor takes the same memory at every width, so it is always made with 15.
//! - A flush that fills its output to the last byte, called again, flushes again: the marker stands twice. With less than
//!   seven bytes of room it does so for ever. So there is always more room than the result needs.
//! - A flush behind a flush, without input between, writes nothing. So empty messages do not come here.
//! - Behind a block with BFINAL a decompressor takes no more input and says nothing; resetting it loses its window.

use zlib_rs::{Deflate, DeflateConfig, DeflateFlush, Inflate, InflateFlush, Status};

use super::Settings;

/// What a flush ends with, which RFC 7692 §7.2.1 takes off a message.
pub(super) const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];

/// What one call consumed and produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) consumed: usize,
    pub(super) produced: usize,
}

pub(super) struct Deflater(Deflate);

impl Deflater {
    pub(super) fn new(settings: Settings) -> Deflater {
        Deflater(Deflate::new_with_config(DeflateConfig {
            level: i32::from(settings.level.get()),
            // Negative: without a header.
            window_bits: -i32::from(settings.window.get().max(9)),
            mem_level: i32::from(settings.memory_level.get()),
            ..DeflateConfig::default()
        }))
    }

    /// Forgets all that was compressed.
    pub(super) fn reset(&mut self) {
        self.0.reset();
    }

    /// Takes these bytes for what was compressed before.
    pub(super) fn set_dictionary(&mut self, bytes: &[u8]) {
        _ = self.0.set_dictionary(bytes);
    }

    /// Compresses; with `flush` all of it comes out, up to the [`TAIL`].
    pub(super) fn deflate(&mut self, input: &[u8], output: &mut [u8], flush: bool) -> Progress {
        let before = (self.0.total_in(), self.0.total_out());
        let flush = if flush { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        _ = self.0.compress(input, output, flush);
        progress(before, (self.0.total_in(), self.0.total_out()))
    }
}

pub(super) struct Inflater(Inflate);

/// What was given is not deflated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

impl Inflater {
    pub(super) fn new() -> Inflater {
        Inflater(Inflate::new(false, 15))
    }

    /// Forgets all that was decompressed.
    pub(super) fn reset(&mut self) {
        self.0.reset(false);
    }

    /// Takes these bytes for what was decompressed before.
    pub(super) fn set_dictionary(&mut self, bytes: &[u8]) {
        _ = self.0.set_dictionary(bytes);
    }

    /// Decompresses; says too whether a block with BFINAL has ended, behind which it takes nothing more.
    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> Result<(Progress, bool), Corrupt> {
        let before = (self.0.total_in(), self.0.total_out());
        let status = self.0.decompress(input, output, InflateFlush::SyncFlush).map_err(|_| Corrupt)?;
        let progress = progress(before, (self.0.total_in(), self.0.total_out()));
        Ok((progress, status == Status::StreamEnd))
    }

    /// Takes the [`TAIL`] of a message. It must be what is missing of an empty stored block, no more and no less: so it
    /// brings nothing out, and a byte behind it is left alone.
    pub(super) fn finish(&mut self) -> Result<(), Corrupt> {
        let before = (self.0.total_in(), self.0.total_out());
        let [a, b, c, d] = TAIL;
        let status = self.0.decompress(&[a, b, c, d, 0], &mut [0; 1], InflateFlush::Block).map_err(|_| Corrupt)?;
        let progress = progress(before, (self.0.total_in(), self.0.total_out()));
        let is_in_step = status == Status::Ok && progress == Progress { consumed: TAIL.len(), produced: 0 };
        if is_in_step { Ok(()) } else { Err(Corrupt) }
    }
}

fn progress(before: (u64, u64), after: (u64, u64)) -> Progress {
    let count = |before, after: u64| usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
    Progress { consumed: count(before.0, after.0), produced: count(before.1, after.1) }
}
