//! How does the codec behave? The only file that names it: zlib-rs, through its own safe interface.
//!
//! What is to be known of it, each with a test by its name:
//! - A compressor of 9 bits refers back by 250 bytes at most, so it serves a window of 8; one of 8 raw bits does not exist.
//!   A decompressor takes the same memory at every width, so it is always made with 15.
//! - A flush that fills its output to the last byte, called again, flushes again: the marker stands twice. With less than
//!   six bytes of room it does so for ever. So there is always more room than the result needs.
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
    //= rfc7692 7.2.1 MUST 1: a flush sets no BFINAL, so there is nothing to pad
    pub(super) fn deflate(&mut self, input: &[u8], output: &mut [u8], flush: bool) -> Progress {
        let before = (self.0.total_in(), self.0.total_out());
        let flush = if flush { DeflateFlush::SyncFlush } else { DeflateFlush::NoFlush };
        _ = self.0.compress(input, output, flush);
        progress(before, (self.0.total_in(), self.0.total_out()))
    }
}

pub(super) struct Inflater(Inflate);

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    GoesOn,
    /// A block with BFINAL has ended, behind which nothing more is taken.
    Ended,
    /// What comes next is not deflated data. It stays so.
    Corrupt,
}

/// What was given is not deflated data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Corrupt;

impl Inflater {
    //= rfc7692 7.2.2 MUST 4: a client reads with 32 KiB
    //= rfc7692 7.2.2 MUST 5: and so does a server
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

    /// Decompresses; says too how that ended. What came out before a fault came out.
    pub(super) fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> (Progress, Stream) {
        let before = (self.0.total_in(), self.0.total_out());
        let stream = match self.0.decompress(input, output, InflateFlush::SyncFlush) {
            Ok(Status::Ok | Status::BufError) => Stream::GoesOn,
            Ok(Status::StreamEnd) => Stream::Ended,
            Err(_) => Stream::Corrupt,
        };
        (progress(before, (self.0.total_in(), self.0.total_out())), stream)
    }

    /// Takes the [`TAIL`] of a message. It must be what is missing of an empty stored block, no more and no less: so it
    /// brings nothing out, and a byte behind it is left alone. (A block of codes that happens to end within its last byte is
    /// not told from that. Its sender's next message is then out of step.)
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

#[cfg(test)]
mod tests {
    //! Each of these tells what the codec does, liked or not, so that an update that does otherwise is noticed here.

    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::deflate::params::WindowBits;
    use crate::deflate::{CompressionLevel, MemoryLevel};

    /// What a flush writes when there is nothing to flush: an empty stored block.
    const MARKER: [u8; 5] = [0x00, 0x00, 0x00, 0xFF, 0xFF];
    const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
    /// Refers to the "Hello" before it.
    const HELLO_AGAIN: [u8; 5] = [0xF2, 0x00, 0x11, 0x00, 0x00];
    const LAST_HELLO: [u8; 7] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

    #[test]
    fn a_flush_that_fills_its_output_to_the_last_byte_flushes_again() {
        for plain in [&b"Hello"[..], &noise(3000), &[0; 3000]] {
            let whole = deflate(&mut deflater(15, 6), plain);
            let mut deflater = deflater(15, 6);
            let mut output = vec![0; whole.len()];
            let progress = deflater.deflate(plain, &mut output, true);
            assert_eq!(progress, Progress { consumed: plain.len(), produced: whole.len() });
            assert_eq!(output, whole);
            assert!(output.ends_with(&TAIL), "all of it is there already");
            assert_eq!(deflate(&mut deflater, &[]), MARKER);
        }
    }

    #[test]
    fn a_flush_with_little_room_goes_on_for_ever() {
        const CAP: usize = 10_000;
        for (room, ends) in [(1, false), (4, false), (5, false), (6, true), (7, true), (64, true)] {
            let (mut deflater, mut output) = (deflater(15, 6), vec![0; room]);
            deflater.deflate(b"Hello", &mut output, true);
            let calls = (0..CAP).take_while(|_| deflater.deflate(&[], &mut output, true).produced == room).count();
            assert_eq!(calls < CAP, ends, "{room} bytes of room: {calls} calls");
        }
    }

    #[test]
    fn a_flush_behind_a_flush_writes_nothing() {
        let mut deflater = deflater(15, 6);
        assert_eq!(deflate(&mut deflater, &[]), MARKER, "the first one does");
        assert_eq!(deflate(&mut deflater, &[]), []);
        assert_eq!(deflate(&mut deflater, b"Hello"), [&HELLO[..], &TAIL].concat());
        assert_eq!(deflate(&mut deflater, &[]), []);
    }

    #[test]
    fn a_compressor_of_9_bits_refers_back_by_250_bytes_at_most() {
        for level in 1..=9 {
            for (distance, is_found) in [(240, true), (251, false), (256, false), (257, false), (300, false)] {
                let once = noise(distance);
                let length = deflate(&mut deflater(8, level), &once.repeat(2)).len();
                assert_eq!(length < 2 * distance, is_found, "level {level}, {distance} bytes apart: {length}");
            }
        }
    }

    #[test]
    #[should_panic = "StreamError"]
    fn a_compressor_of_8_raw_bits_does_not_exist() {
        Deflate::new_with_config(DeflateConfig { window_bits: -8, ..DeflateConfig::default() });
    }

    #[test]
    fn an_inflater_takes_a_stream_of_every_width_also_when_it_was_reset() {
        let mut inflater = Inflater::new();
        for bits in 8..=15 {
            let plain = noise((1_usize << bits) * 7 / 10).repeat(3);
            let stream = deflate(&mut deflater(bits, 6), &plain);
            assert!(stream.len() < plain.len() || bits < 10, "it refers back");
            assert!(inflate(&mut inflater, &stream) == Ok((plain, false)), "{bits} bits");
            inflater.reset();
        }
    }

    #[test]
    fn an_inflater_holds_32_kib_to_the_byte_in_its_window_and_in_its_dictionary() {
        let plain = noise(1 << 15);
        // Three bytes from 32768 bytes back, in a fixed block.
        let far = [0x02, 0xDE, 0xFF, 0x0F, 0x00];
        for from_dictionary in [true, false] {
            let mut inflater = Inflater::new();
            if from_dictionary {
                inflater.set_dictionary(&plain);
            } else {
                let [low, high] = (1_u16 << 15).to_le_bytes();
                let stored = [&[0, low, high, !low, !high], &plain[..]].concat();
                assert!(inflate(&mut inflater, &stored) == Ok((plain.clone(), false)));
            }
            assert_eq!(inflate(&mut inflater, &far), Ok((plain[..3].to_vec(), false)));
        }
        let mut inflater = Inflater::new();
        inflater.set_dictionary(&plain[1..]);
        assert_eq!(inflate(&mut inflater, &far), Err(Corrupt), "one byte short of it");
    }

    #[test]
    fn behind_bfinal_nothing_more_is_taken_until_a_restart_with_the_history() {
        let mut inflater = Inflater::new();
        assert_eq!(inflate(&mut inflater, &LAST_HELLO), Ok((b"Hello".to_vec(), true)));
        for _ in 0..3 {
            let swallowed = inflater.inflate(&HELLO_AGAIN, &mut [0; 64]);
            assert_eq!(swallowed, (Progress { consumed: 0, produced: 0 }, Stream::Ended), "and without an error");
        }
        // To reset it loses its window.
        inflater.reset();
        assert_eq!(inflate(&mut inflater, &HELLO_AGAIN), Err(Corrupt));
        inflater.reset();
        inflater.set_dictionary(b"Hello");
        assert_eq!(inflate(&mut inflater, &HELLO_AGAIN), Ok((b"Hello".to_vec(), false)));
        assert_eq!(inflater.finish(), Ok(()));
    }

    #[test]
    fn finish_takes_every_stream_that_is_in_step_and_goes_on() {
        let mut inflater = Inflater::new();
        let plain = noise(2000);
        for bits in [8, 15] {
            for level in 1..=9 {
                for plain in [&b"Hello"[..], &plain, &[7; 100_000], &plain.repeat(3)] {
                    let stream = deflate(&mut deflater(bits, level), plain);
                    let payload = stream.strip_suffix(&TAIL).unwrap();
                    // What came before does not disturb it.
                    assert!(
                        inflate(&mut inflater, payload) == Ok((plain.to_vec(), false)),
                        "{bits} bits, level {level}"
                    );
                    assert_eq!(inflater.finish(), Ok(()), "{bits} bits, level {level}");
                }
            }
        }
    }

    #[test]
    fn finish_refuses_every_stream_that_is_cut_out_of_step() {
        let text = b"{\"id\":1,\"name\":\"one\"},{\"id\":2,\"name\":\"two\"},".repeat(9);
        let stored = [&[0, 20, 0, !20, !0], &noise(20)[..], &[0]].concat();
        let parts = [&HELLO[..], &TAIL, &HELLO_AGAIN].concat();
        let dynamic = deflate(&mut deflater(15, 9), &noise(400).iter().map(|byte| byte % 7).collect::<Vec<_>>());
        // Some are in step already before their end: behind the first of two parts, and where a stored block that is to
        // be long could be empty yet.
        for (stream, before) in [
            (&HELLO[..], None),
            (&stored, Some(1)),
            (&parts, Some(HELLO.len())),
            (dynamic.strip_suffix(&TAIL).unwrap(), None),
            (deflate(&mut deflater(15, 6), &text).strip_suffix(&TAIL).unwrap(), None),
            (deflate(&mut deflater(15, 1), &text).strip_suffix(&TAIL).unwrap(), None),
        ] {
            for cut in 0..=stream.len() {
                let mut inflater = Inflater::new();
                assert!(inflate(&mut inflater, &stream[..cut]).is_ok_and(|(_, ended)| !ended));
                let in_step = cut == stream.len() || before == Some(cut);
                assert_eq!(inflater.finish().is_ok(), in_step, "{cut} bytes of {stream:x?}");
            }
        }
        // In step but for a byte too many, whatever it is.
        for byte in 0..=u8::MAX {
            let mut inflater = Inflater::new();
            _ = inflate(&mut inflater, &[&HELLO[..], &[byte]].concat());
            assert_eq!(inflater.finish(), Err(Corrupt), "{byte:x}");
        }
    }

    fn deflater(bits: u8, level: u8) -> Deflater {
        Deflater::new(Settings {
            window: WindowBits::new(bits).unwrap(),
            level: CompressionLevel::new(level).unwrap(),
            memory_level: MemoryLevel::default(),
        })
    }

    /// All of it, with room for more.
    fn deflate(deflater: &mut Deflater, plain: &[u8]) -> Vec<u8> {
        let mut output = vec![0; 2 * plain.len() + 64];
        let progress = deflater.deflate(plain, &mut output, true);
        assert!(progress.consumed == plain.len() && progress.produced < output.len());
        output.truncate(progress.produced);
        output
    }

    /// All that comes out, and whether it ended with BFINAL.
    fn inflate(inflater: &mut Inflater, mut stream: &[u8]) -> Result<(Vec<u8>, bool), Corrupt> {
        let (mut plain, mut output) = (Vec::new(), [0; 1000]);
        loop {
            let (progress, state) = inflater.inflate(stream, &mut output);
            plain.extend_from_slice(&output[..progress.produced]);
            stream = &stream[progress.consumed..];
            if state == Stream::Corrupt {
                return Err(Corrupt);
            }
            if progress.produced < output.len() {
                assert!(stream.is_empty());
                return Ok((plain, state == Stream::Ended));
            }
        }
    }

    /// Bytes without a pattern, the same in every run.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..length).map(|_| next()).collect()
    }
}
