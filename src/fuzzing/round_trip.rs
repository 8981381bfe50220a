//! Is what was compressed what arrives, however it is compressed, sent, kept and put to sleep?
//!
//! The client and the server of [`operations`](super::operations()), under any agreement, with messages that repeat each
//! other near and far. What both wrote is read once more in the end, with nothing of the engine in it: RSV1 stands where it
//! should, nothing refers further back than was agreed on, and what comes out is what the other side was told.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use super::inflater::Inflater;
use super::operations::Pair;
use super::record::{Happening, Whole};
use super::setup::{self, Choices};
use super::wire::{self, Frame};
use crate::config::{Compression, Config, Delivery, KeepAlive, Limits};
use crate::deflate::params::WindowBits;
use crate::deflate::{CompressionLevel, MemoryLevel};
use crate::event::Kind;
use crate::frame::header::OpCode;
use crate::websocket::{Compress, Prepared};

/// A program of messages, over a pair that agreed on some compression.
pub fn deflate_round_trip(input: &[u8]) {
    let mut choices = Choices::of(input);
    let config = config(&mut choices);
    let Some(mut pair) = Pair::new(config.clone()) else { return };
    for _ in 0..MAX_CALLS {
        if choices.is_empty() {
            break;
        }
        let (call, argument) = (choices.byte(), choices.byte());
        run(&mut pair, &config, call, argument);
    }
    end(pair, &config);
}

/// One message, compressed once for some windows, among others to a few pairs of any agreement.
pub fn prepared(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (argument, kind) = (choices.byte(), choices.flags().flag());
    let whole = content(if kind { Kind::Text } else { Kind::Binary }, argument);
    let windows = windows(choices.byte());
    let first = config(&mut choices);
    let compression = first.compression.clone().unwrap_or_default();
    let prepared = Prepared::compressed(whole.as_message(), &compression, &windows);
    assert_eq!((prepared.kind(), prepared.payload()), (whole.kind, &whole.bytes[..]));
    for _ in 0..MAX_PAIRS {
        if choices.is_empty() {
            break;
        }
        let mut config = config(&mut choices);
        if let Some(compression) = &mut config.compression {
            // One pool for all of them.
            compression.pool = first.compression.as_ref().and_then(|compression| compression.pool.clone());
        }
        let Some(mut pair) = Pair::new(config.clone()) else { return };
        let among = choices.byte();
        for side in [0, 0x80] {
            run(&mut pair, &config, side | 3, argument);
            send_prepared(&mut pair, &config, side != 0, &whole, &prepared);
            run(&mut pair, &config, side | 2, among);
            send_prepared(&mut pair, &config, side != 0, &whole, &prepared);
        }
        end(pair, &config);
    }
}

/// More than this show nothing that fewer do not.
const MAX_CALLS: usize = 40;
const MAX_PAIRS: usize = 3;

fn config(choices: &mut Choices<'_>) -> Config {
    let (mut flags, bits, levels) = (choices.flags(), choices.byte(), choices.byte());
    let delivery = if flags.flag() { Delivery::Chunks } else { Delivery::Messages };
    let window = |bits: u8| WindowBits::new(8 + bits % 8).unwrap_or_default();
    let compression = Compression {
        server_no_context_takeover: flags.flag(),
        client_no_context_takeover: flags.flag(),
        server_max_window_bits: window(bits),
        client_max_window_bits: window(bits >> 4),
        level: CompressionLevel::new(1 + levels % 9).unwrap_or_default(),
        memory_level: MemoryLevel::new(1 + (levels >> 4) % 9).unwrap_or_default(),
        threshold: [None, Some(0), Some(16), Some(usize::MAX)][usize::from(flags.four())],
        pool: flags.flag().then(Arc::default),
        hibernate: [None, Some(Duration::ZERO), Some(Duration::from_secs(1)), Some(Duration::from_secs(5))]
            [usize::from(flags.four())],
    };
    let limits =
        Limits { message: 1 << 40, fragments: u32::MAX, idle_timeout: None, stall_timeout: None, ..Limits::default() };
    Config { limits, keep_alive: KeepAlive::Off, delivery, compression: Some(compression), ..Config::default() }
}

/// Windows that a byte chooses.
fn windows(choice: u8) -> Vec<WindowBits> {
    (0..8).filter(|bit| choice >> bit & 1 == 1).filter_map(|bit| WindowBits::new(8 + bit)).collect()
}

fn run(pair: &mut Pair, config: &Config, call: u8, argument: u8) {
    let (now, full) = (pair.now, config.limits.output);
    let by_server = call & 0x80 != 0;
    let kind = if call & 0x40 == 0 { Kind::Text } else { Kind::Binary };
    let [client, server] = &mut pair.sides;
    let (side, peer) = if by_server { (server, client) } else { (client, server) };
    // A part is mostly of the kind that its message is.
    let begun = side.model.begun.as_ref().filter(|_| matches!(call % 16, 5 | 6 | 8) && call & 0x20 == 0);
    let kind = begun.map_or(kind, |begun| begun.kind);
    let whole = || content(kind, argument);
    match call % 16 {
        0 => side.send(now, full, &whole(), Compress::Auto),
        1 => side.send(now, full, &whole(), Compress::Never),
        2 | 3 => side.send(now, full, &whole(), Compress::Always),
        4 => {
            side.begin(now, full, kind, [Compress::Auto, Compress::Always, Compress::Never][usize::from(argument % 3)])
        }
        5 | 6 => side.append(now, full, &whole()),
        7 => side.finish(now),
        8 => side.finish_with(now, full, &whole()),
        9 => {
            let whole = whole();
            let compression = config.compression.clone().unwrap_or_default();
            let prepared = Prepared::compressed(whole.as_message(), &compression, &windows(argument));
            side.send_prepared(now, full, &whole, &prepared);
        }
        10 => side.ping(now, usize::from(argument % 126)),
        11 => side.transmit(peer, now, usize::from(argument) * 8, 1 + usize::from(argument % 3)),
        12 => side.receive(peer, now, usize::from(argument)),
        13 => arrive(pair, config),
        14 => pair.step(argument % 5),
        _ => side.socket.release(),
    }
}

fn send_prepared(pair: &mut Pair, config: &Config, by_server: bool, whole: &Whole, prepared: &Prepared) {
    let side = &mut pair.sides[usize::from(by_server)];
    side.send_prepared(pair.now, config.limits.output, whole, prepared);
}

/// Lets all that is under way arrive. Then the parts of a message that is not finished are there too.
fn arrive(pair: &mut Pair, config: &Config) {
    let now = pair.now;
    let [client, server] = &mut pair.sides;
    for _ in 0..2 {
        client.move_all(server, now);
        server.move_all(client, now);
    }
    if config.delivery == Delivery::Chunks {
        for (side, peer) in [(&*client, &*server), (&*server, &*client)] {
            let there = peer.record.partial.as_ref().map_or(&[][..], |partial| &partial.bytes);
            let begun = side.model.begun.as_ref().map_or(&[][..], |begun| &begun.bytes);
            assert_eq!(there, begun, "the parts so far");
        }
    }
}

/// All arrives, both close, and what was written is read once more.
fn end(mut pair: Pair, config: &Config) {
    pair.end();
    let Some(compression) = &config.compression else { return };
    let [client, server] = &pair.sides;
    for (side, peer, by_server) in [(client, server, false), (server, client, true)] {
        let inflater = Inflater::of(compression.parameters(), by_server);
        let written = wire::messages(wire::frames(&side.written, !by_server, true), &mut Some(inflater));
        let told = peer.record.happened.iter().filter_map(|happening| match happening {
            Happening::Message(message) => Some(message),
            _ => None,
        });
        let whole: Vec<&Frame> = written.iter().filter(|message| message.fin).collect();
        let compressions = &side.model.compressions;
        assert!(
            whole
                .iter()
                .map(|message| (kind_of(message), &message.payload[..]))
                .eq(told.map(|told| (told.kind, &told.bytes[..]))),
            "what was written is not what was told"
        );
        assert_eq!(whole.len(), compressions.len(), "messages that nobody sent");
        for (message, compressed) in whole.iter().zip(compressions) {
            assert!(compressed.is_none_or(|compressed| message.compressed == compressed), "RSV1 of {message:?}");
        }
    }
}

fn kind_of(message: &Frame) -> Kind {
    if message.opcode == OpCode::Text { Kind::Text } else { Kind::Binary }
}

/// A message whose shape and length an argument chooses. The same argument makes the same again.
fn content(kind: Kind, argument: u8) -> Whole {
    let size = usize::from(argument / 8);
    let seed = u64::from(argument);
    let noise = |seed, length| setup::Dice::of(seed).take(length);
    let bytes: Vec<u8> = match argument % 8 {
        0 => return Whole::made(kind, argument),
        1 => alloc::vec![b'a'; size * 300],
        2 => noise(seed, size * 20),
        3 => (0..size).flat_map(|id| alloc::format!("{{\"id\":{id},\"tags\":[\"x\",\"y\"]}},").into_bytes()).collect(),
        // Pieces of one, near and far.
        4 => noise(1, 2_000).split_off(size * 60),
        5 => [noise(1, 300), noise(seed, size * 100), noise(1, 300)].concat(),
        6 if size == 31 => noise(2, 40_000),
        6 => noise(2, size * 1_200 + 500).split_off(size * 1_200),
        _ => noise(3, size),
    };
    match kind {
        Kind::Binary => Whole { kind, bytes },
        Kind::Text => {
            let text: String = bytes.iter().map(|byte| char::from(byte % 128)).collect();
            Whole { kind, bytes: text.into_bytes() }
        }
    }
}
