//! Does what we compress keep to the window that was agreed on, and do we understand a peer's that does not quite?
//! (RFC 7692 §7.1.2, §7.2.1)
//!
//! The judge is an inflater of its own, which holds no byte more than the window. No codec is asked about itself.

mod common;
mod inflate;

use std::sync::Arc;
use std::time::Duration;

use common::{Counter, Frame, Role, START, Seen, events, frames};
use inflate::{Block, BlockKind, Fault, Inflated, Inflater, Writer};
use sockless::{
    Agreed, Compress, Compression, CompressionLevel, Config, DeflateParameters, Error, Kind, MemoryLevel, Message,
    WebSocket, WindowBits,
};

// What we send.

#[test]
fn json_keeps_to_the_window() {
    const WORDS: [&str; 8] =
        ["\"id\":", "\"name\":\"", "\"price\":", "{\"order\":{", "},", "true", "\"Zürich\"", "null,"];
    everything_keeps_to_the_window(|length| {
        let mut noise = Noise(1);
        let mut text = Vec::new();
        while text.len() < length {
            text.extend_from_slice(WORDS[noise.below(8)].as_bytes());
            text.extend_from_slice(noise.below(5000).to_string().as_bytes());
        }
        text
    });
}

#[test]
fn noise_keeps_to_the_window() {
    everything_keeps_to_the_window(|length| {
        let mut noise = Noise(2);
        (0..length).map(|_| noise.below(256) as u8).collect()
    });
}

/// New bytes and copies in turn, each copy from just such a distance that a window of some width still holds it, or no
/// more.
#[test]
fn copies_from_the_edge_of_every_window_keep_to_the_window() {
    everything_keeps_to_the_window(|length| {
        let mut noise = Noise(3);
        let mut bytes = vec![b' '; 300];
        while bytes.len() < length {
            let size = 1 << (8 + noise.below(8));
            let distance = [250, size.max(263) - 262, size.max(263) - 261, size - 1, size, size + 1][noise.below(6)];
            if distance < bytes.len() {
                bytes.extend((0..8).map(|_| noise.below(256) as u8));
                bytes.extend_from_within(bytes.len() - distance..(bytes.len() - distance + 40).min(bytes.len()));
            }
        }
        bytes
    });
}

#[test]
fn records_keep_to_the_window() {
    everything_keeps_to_the_window(|length| {
        let mut noise = Noise(4);
        let record = |at: u32| {
            let mut record = [0; 48];
            record[..4].copy_from_slice(&at.to_be_bytes());
            record[8..16].copy_from_slice(&(f64::from(at) * 0.1).to_le_bytes());
            record[40] = noise.below(256) as u8;
            record
        };
        (0..length.div_ceil(48) as u32).flat_map(record).collect()
    });
}

//= rfc7692 7.2.1 MUST NOT 3: neither the client's window nor the server's is exceeded, whichever is the smaller
//= rfc7692 7.2.1 MUST NOT 4: neither the client's window nor the server's is exceeded, whichever is the smaller
//= type=test
#[test]
fn each_side_keeps_to_the_window_of_its_own_direction() {
    for (server, client) in [(8, 15), (15, 8), (10, 12), (12, 10)] {
        let sessions = both_roles(width(server), width(client), true, &Compression::default());
        for ((mut session, _), bits) in sessions.into_iter().zip([server, client]) {
            // The same again and again, so far apart that nearly the whole window is needed.
            let (mut noise, apart) = (Noise(5), (1 << bits) * 7 / 10);
            let once: Vec<u8> = (0..apart).map(|_| noise.below(256) as u8).collect();
            let plain = once.repeat(8);
            let payload = send(&mut session, &plain, 1);
            let inflated = Inflater::new(1 << bits).message(&payload).unwrap();
            assert!(inflated.bytes == plain && inflated.largest_distance >= apart, "{bits} bits");
            assert!(payload.len() < plain.len() * 3 / 4, "{bits} bits");
        }
    }
}

/// For every width, level and memory level, with context takeover and without.
fn everything_keeps_to_the_window(corpus: impl Fn(usize) -> Vec<u8>) {
    for bits in 8..=15 {
        let plain = corpus(3000 + (5 << bits) / 4);
        let mut reached = 0;
        for (level, memory_level, takeover) in (1..=9)
            .flat_map(|level| [1, 5, 8].map(|memory_level| (level, memory_level)))
            .flat_map(|(level, memory_level)| [true, false].map(|takeover| (level, memory_level, takeover)))
        {
            let compression = Compression {
                level: CompressionLevel::new(level).unwrap(),
                memory_level: MemoryLevel::new(memory_level).unwrap(),
                ..Compression::default()
            };
            let [(mut session, _), _] = both_roles(width(bits), WindowBits::MAX, takeover, &compression);
            let mut strict = Inflater::new(1 << bits);
            for (number, message) in messages(&plain).into_iter().enumerate() {
                let payload = send(&mut session, message, 1 + number % 3);
                let inflated = strict.message(&payload).unwrap_or_else(|fault| {
                    panic!("{fault:?} at {bits} bits, level {level}, memory level {memory_level}, message {number}")
                });
                assert!(inflated.bytes == message, "{bits} bits, level {level}, memory level {memory_level}");
                reached = reached.max(inflated.largest_distance);
                if !takeover {
                    strict.reset();
                }
            }
        }
        println!("{bits} bits: a reference reaches back {reached} at most");
        assert!(reached <= 1 << bits);
    }
}

/// Tens of messages, most of them small, and one that is larger than the window.
fn messages(mut plain: &[u8]) -> Vec<&[u8]> {
    let mut messages = Vec::new();
    for size in [1, 2, 3, 700, 0, 11, 258, 60, 5, 300].repeat(2) {
        let (message, rest) = plain.split_at(size);
        messages.push(message);
        plain = rest;
    }
    let (large, rest) = plain.split_at(plain.len() * 9 / 10);
    messages.push(large);
    messages.extend(rest.chunks(500));
    messages
}

// What we receive.

/// Zlib took 8 for 9 for long, and so may a peer that agreed to 8: it reaches back 512 then. Every other width is taken
/// at its word, and that is what a context must keep: warm, made again after hibernation, and behind a block with
/// BFINAL.
#[test]
fn a_peer_reaches_back_as_far_as_its_window_goes_and_with_8_twice_as_far() {
    for bits in 8..=15_u8 {
        let distance = (1 << bits).max(512);
        let plain: Vec<u8> = (0..distance).map(|at: usize| (at * at / 7) as u8).collect();
        for ends_stream in [false, true] {
            for hibernates in [false, true] {
                let compression = Compression { hibernate: Some(Duration::from_secs(9)), ..Compression::default() };
                for (mut session, role) in both_roles(width(bits), width(bits), true, &compression) {
                    let (first, again) = (Stored(&plain, ends_stream).message(), far_message(distance));
                    assert_eq!(hear(&mut session, role, &first), [Seen::Binary(plain.clone())]);
                    if hibernates {
                        let (deadline, _) = session.poll_timeout().unwrap();
                        session.handle_timeout(deadline + Duration::from_secs(9));
                    }
                    assert_eq!(hear(&mut session, role, &again), [Seen::Binary(plain[..3].to_vec())], "{bits} bits");
                }
            }
        }
    }
}

#[test]
fn two_sides_understand_each_other_at_every_pair_of_widths() {
    let plain = b"the same words, and the same words again, ".repeat(40);
    for (server_bits, client_bits) in (8..=15).flat_map(|server| (8..=15).map(move |client| (server, client))) {
        for takeover in [true, false] {
            let sessions = both_roles(width(server_bits), width(client_bits), takeover, &Compression::default());
            let [(mut server, _), (mut client, _)] = sessions;
            for _ in 0..2 {
                let (mut there, mut back) = (Vec::new(), Vec::new());
                client.tx(START).send_with(Message::Binary(&plain), Compress::Always).unwrap();
                client.take(&mut there, START);
                assert_eq!(events(&mut server, &mut there), [Seen::Binary(plain.clone())]);
                server.tx(START).send_with(Message::Binary(&plain), Compress::Always).unwrap();
                server.take(&mut back, START);
                assert!(back.len() < plain.len() / 4);
                assert_eq!(events(&mut client, &mut back), [Seen::Binary(plain.clone())]);
            }
        }
    }
}

/// Every short payload, and longer ones with a bit flipped or cut: what the strict inflater reads the engine hands on,
/// and what it refuses is a fault. In one thing the engine is kinder: a message may end with its last block, if that
/// has BFINAL, without the byte that would hold the beginning of one more.
#[test]
fn the_engine_understands_what_the_strict_inflater_does_and_nothing_else() {
    let mut payloads: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
    let mut noise = Noise(6);
    for length in 2..12 {
        payloads.extend((0..1000).map(|_| (0..length).map(|_| noise.below(256) as u8).collect::<Vec<u8>>()));
    }
    let far = [Stored(b"far, far away", false).block(), far_message(10)].concat();
    for whole in
        [&HELLO[..], &TWO_BLOCKS, &STORED_HELLO, &LAST_HELLO, &far, &[dynamic_block().done(), vec![0]].concat()]
    {
        payloads.extend((1..=whole.len()).map(|cut| whole[..cut].to_vec()));
        for bit in 0..8 * whole.len() {
            let mut flipped = whole.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            payloads.push(flipped);
        }
    }
    let (mut understood, compression) = (0, Compression::default());
    for payload in &payloads {
        let mut strict = Inflater::new(1 << 15);
        let expected = strict.message(payload).or_else(|fault| {
            let alone = Inflater::new(1 << 15).inflate(payload).map_err(|_| fault)?;
            if alone.blocks.last().is_some_and(|block| block.last) { Ok(alone) } else { Err(fault) }
        });
        let [(mut session, role), _] = both_roles(WindowBits::MAX, WindowBits::MAX, true, &compression);
        let seen = hear(&mut session, role, payload);
        match expected {
            Ok(inflated) => {
                assert_eq!(seen, [Seen::Binary(inflated.bytes)], "{payload:x?}");
                // And the next message is understood.
                assert_eq!(hear(&mut session, role, &HELLO), [Seen::Binary(b"Hello".into())], "{payload:x?}");
                understood += 1;
            }
            Err(fault) => assert_eq!(seen[0], Seen::Failed(Error::InvalidDeflate), "{fault:?}: {payload:x?}"),
        }
    }
    assert!((20..payloads.len() / 2).contains(&understood), "{understood} of {}", payloads.len());
}

// The judge, judged.

#[test]
fn the_strict_inflater_reads_every_kind_of_block() {
    use BlockKind::{Dynamic, Fixed, Stored};
    let block = |kind| Block { kind, last: false };
    let last = |kind| Block { kind, last: true };
    for (payload, blocks) in [
        (&HELLO[..], &[block(Fixed), block(Stored)][..]),
        (&TWO_BLOCKS, &[block(Fixed), block(Stored), block(Fixed), block(Stored)]),
        (&STORED_HELLO, &[block(Stored), block(Stored)]),
        (&LAST_HELLO, &[last(Fixed), block(Stored)]),
    ] {
        let inflated = Inflater::new(256).message(payload).unwrap();
        assert_eq!((&inflated.bytes[..], &inflated.blocks[..]), (&b"Hello"[..], blocks));
    }
    // The second "Hello" refers to the first, where that is kept.
    let mut strict = Inflater::new(256);
    strict.message(&HELLO).unwrap();
    let inflated = strict.message(&[0xF2, 0x00, 0x11, 0x00, 0x00]).unwrap();
    let blocks = vec![block(Fixed), block(Stored)];
    assert_eq!(inflated, Inflated { bytes: b"Hello".to_vec(), largest_distance: 5, blocks, ends_empty: true });
    strict.reset();
    assert_eq!(strict.message(&[0xF2, 0x00, 0x11, 0x00, 0x00]), Err(Fault::TooFar(5)));

    // A dynamic block, written by hand: the code for code lengths has 1 and 18, in one bit each; `a` and the end of the
    // block have one bit each; of distances there are none but one of no use.
    let inflated = Inflater::new(256).inflate(&dynamic_block().done()).unwrap();
    assert_eq!((&inflated.bytes[..], &inflated.blocks[..]), (&b"aaa"[..], &[last(Dynamic)][..]));
}

#[test]
fn the_strict_inflater_refuses_what_is_wrong() {
    let fixed = || Writer::default().bits(0b010, 3);
    let far = |distance| fixed().code(0x30 + 97, 8).far(distance).code(0, 7).bits(1, 3).code(0, 7).done();
    for (stream, fault) in [
        (Writer::default().bits(0b110, 3).done(), Fault::BlockKind),
        (vec![1, 5, 0, 0xFA, 0xFE, 1, 2, 3, 4, 5], Fault::StoredLength),
        (vec![1, 5, 0, 0xFA, 0xFF, 1, 2, 3, 4], Fault::CutOff),
        (vec![0, 5, 0], Fault::CutOff),
        (fixed().code(0xC6, 8).done(), Fault::Symbol),
        (fixed().code(0x30, 8).code(1, 7).code(30, 5).done(), Fault::Symbol),
        (far(2), Fault::TooFar(2)),
        (Writer::default().bits(0b100, 3).bits(30, 5).bits(0, 9).done(), Fault::CodeLengths),
        (Writer::default().bits(0b100, 3).bits(0, 14).bits(0, 12).done(), Fault::CodeLengths),
        (Writer::default().bits(0b100, 3).bits(0, 14).bits(0o1111, 12).done(), Fault::CodeLengths),
    ] {
        assert_eq!(Inflater::new(256).inflate(&stream), Err(fault), "{stream:x?}");
    }
    for cut in 0..dynamic_block().done().len() {
        let cut_off = Inflater::new(256).inflate(&dynamic_block().done()[..cut]);
        assert_eq!(cut_off.err(), Some(Fault::CutOff).filter(|_| cut > 0), "{cut}");
    }
    // The four bytes that were left out would be text.
    assert_eq!(Inflater::new(256).message(&STORED_HELLO[..6]), Err(Fault::OutOfStep));
}

#[test]
fn the_strict_inflater_holds_its_window_and_not_a_byte_more() {
    let plain: Vec<u8> = (0..=255).cycle().take(700).collect();
    for window in [256, 512, 600] {
        for (distance, fits) in [(1, true), (window, true), (window + 1, false)] {
            let mut strict = Inflater::new(window);
            // Within a message, and over the end of one.
            strict.message(&Stored(&plain, false).message()).unwrap();
            let over = strict.message(&far_message(distance));
            let within = [Stored(&plain, false).block(), far_message(distance)].concat();
            for result in [over, Inflater::new(window).message(&within)] {
                match result {
                    Ok(inflated) => assert!(fits && inflated.largest_distance == distance),
                    Err(fault) => assert_eq!((fits, fault), (false, Fault::TooFar(distance))),
                }
            }
        }
    }
    // What a window could hold is not there yet.
    let mut strict = Inflater::new(512);
    strict.message(&Stored(&plain[..10], false).message()).unwrap();
    assert_eq!(strict.message(&far_message(11)), Err(Fault::TooFar(11)));
}

// Streams written by hand.

// RFC 7692 §7.2.3: one block, two of them, a stored one, one with BFINAL.
const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
const TWO_BLOCKS: [u8; 13] = [0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];
const STORED_HELLO: [u8; 11] = [0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
const LAST_HELLO: [u8; 8] = [0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];

/// A message of three bytes, from so far back: a fixed block and the head of an empty stored one.
fn far_message(distance: usize) -> Vec<u8> {
    Writer::default().bits(0b010, 3).far(distance).code(0, 7).bits(0b000, 3).done()
}

/// `aaa` with a code of its own.
fn dynamic_block() -> Writer {
    // 257 literals and lengths, one distance, 18 lengths for their code: those of 18 and of 1.
    let mut bits = Writer::default().bits(0b101, 3).bits(0, 5).bits(0, 5).bits(14, 4);
    for at in 0..18 {
        bits = bits.bits(usize::from(at == 2 || at == 17), 3);
    }
    // 97 zeros, a 1 for `a`, 158 zeros, a 1 for the end, a 1 for the distance. 1 has the code 0, 18 has 1.
    bits = bits.code(1, 1).bits(97 - 11, 7).code(0, 1).code(1, 1).bits(127, 7).code(1, 1).bits(20 - 11, 7);
    bits = bits.code(0, 1).code(0, 1);
    bits.code(0, 3).code(1, 1)
}

/// Stored blocks, the last one perhaps with BFINAL.
struct Stored<'a>(&'a [u8], bool);

impl Stored<'_> {
    fn block(&self) -> Vec<u8> {
        let length = (self.0.len() as u16).to_le_bytes();
        [&[u8::from(self.1)], &length[..], &length.map(|byte| !byte), self.0].concat()
    }

    fn message(&self) -> Vec<u8> {
        [self.block(), vec![0]].concat()
    }
}

// Sessions.

/// A server and a client between which these windows were agreed on.
fn both_roles(
    server: WindowBits,
    client: WindowBits,
    takeover: bool,
    compression: &Compression,
) -> [(WebSocket, Role); 2] {
    let agreed = Agreed::default().with_deflate(DeflateParameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: server,
        client_max_window_bits: client,
    });
    let config = Arc::new(Config { compression: Some(compression.clone()), ..Config::default() });
    let us = WebSocket::server(&agreed, Arc::clone(&config), START);
    let them = WebSocket::client(&agreed, config, Counter(0), START).unwrap();
    [(us, Role::Server), (them, Role::Client)]
}

/// What goes over the wire for a message, sent in so many parts.
fn send(session: &mut WebSocket, plain: &[u8], parts: usize) -> Vec<u8> {
    let tx = session.tx(START);
    if parts == 1 {
        tx.send_with(Message::Binary(plain), Compress::Always).unwrap();
    } else {
        tx.begin(Kind::Binary, Compress::Always).unwrap();
        plain.chunks(plain.len().div_ceil(parts).max(1)).for_each(|part| tx.append(Message::Binary(part)).unwrap());
        tx.finish().unwrap();
    }
    let mut out = Vec::new();
    session.take(&mut out, START);
    let frames = frames(&out);
    for (number, frame) in (1..).zip(&frames) {
        let payload = frame.payload();
        let expected = if number == 1 { Frame::binary(payload).rsv(4) } else { Frame::continuation(payload) };
        assert_eq!(*frame, if number < frames.len() { expected.more() } else { expected });
    }
    frames.iter().flat_map(Frame::payload).copied().collect()
}

/// What a session makes of a compressed message from its peer.
fn hear(session: &mut WebSocket, role: Role, payload: &[u8]) -> Vec<Seen> {
    events(session, &mut Frame::binary(payload).rsv(4).to(role))
}

fn width(bits: u8) -> WindowBits {
    WindowBits::new(bits).unwrap()
}

/// Numbers without a pattern that a compressor could find, the same in every run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % bound) as usize
    }
}
