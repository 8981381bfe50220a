//! What does compression cost a connection in memory, and what can a peer make it cost?
//!
//! An allocator counts, for each thread apart, what is held, its peak and how often something was asked for, as in
//! `memory.rs`; the codec's own memory is in it. `cargo test --test compression_memory -- --nocapture` prints the
//! tables.

#[path = "common/heap.rs"]
mod heap;
mod inflate;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use heap::{Measured, held, measure};
use inflate::Writer;
use sockless::{
    Agreed, Compress, Compression, Config, DeflateParameters, Delivery, Entropy, Error, Event, Incoming, Instant,
    KeepAlive, Limits, MemoryLevel, Message, NoEntropy, Pool, WebSocket, WindowBits,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

// In the steady state.

#[test]
fn once_warm_no_message_costs_an_allocation_with_a_pool() {
    for size in [100, KIB, 16 * KIB, 200 * KIB] {
        let (config, text, mut wire) = (pooled(), json(size), Vec::with_capacity(MIB));
        let (mut server, mut client) = pair(agreed(15, false), &config);
        let mut there_and_back =
            || pass(&mut client, &mut server, &text, &mut wire) + pass(&mut server, &mut client, &text, &mut wire);
        let sent = there_and_back();
        assert!(sent < 2 * size, "{sent}");
        let (again, measured) = measure(|| (0..100).map(|_| there_and_back()).sum::<usize>());
        assert_eq!((again, measured.allocations, measured.held), (100 * sent, 0, 0), "{size} bytes: {measured:?}");
    }
}

#[test]
fn once_warm_no_message_costs_an_allocation_with_context_takeover() {
    for size in [100, KIB, 16 * KIB, 200 * KIB] {
        let config = still(Some(Compression::default()));
        let (text, mut wire) = (json(size), Vec::with_capacity(MIB));
        let (mut server, mut client) = pair(agreed(15, true), &config);
        let mut there_and_back =
            || pass(&mut client, &mut server, &text, &mut wire) + pass(&mut server, &mut client, &text, &mut wire);
        // Until the windows are full.
        (0..10 + 50 * KIB / size).for_each(|_| _ = there_and_back());
        let (_, measured) = measure(|| (0..100).map(|_| there_and_back()).sum::<usize>());
        assert_eq!((measured.allocations, measured.held), (0, 0), "{size} bytes: {measured:?}");
    }
}

// Idle.

#[test]
fn with_a_pool_an_idle_connection_holds_no_more_than_a_plain_one() {
    assert!(size_of::<WebSocket>() <= 440, "{}", size_of::<WebSocket>());
    assert!(size_of::<sockless::Server>() <= 512, "{}", size_of::<sockless::Server>());
    for size in [100, KIB, 10 * KIB] {
        let (plain, compressed) = (still(None), pooled());
        let (text, mut wire) = (json(size), Vec::with_capacity(MIB));
        let mut holds = |agreed: Agreed, config: &Arc<Config>| {
            let (mut server, mut client) = pair(agreed, config);
            let ((), measured) = measure(|| {
                pass(&mut client, &mut server, &text, &mut wire);
                pass(&mut server, &mut client, &text, &mut wire);
            });
            (measured.held, server, client)
        };
        // The first one fills the pool.
        drop(holds(agreed(15, false), &compressed));
        let (warm_plain, _, _) = holds(Agreed::default(), &plain);
        let (warm, mut server, mut client) = holds(agreed(15, false), &compressed);
        assert!(warm <= warm_plain, "{size} bytes: {warm} and not {warm_plain}");
        let start = held() - warm;
        for session in [&mut server, &mut client] {
            session.handle_timeout(at(10));
        }
        assert_eq!(held(), start, "{size} bytes: nothing at all behind the release");
    }
}

// The table.

/// What one server connection holds of each mode, in bytes: right after 64 KiB of JSON each way, and idle.
#[test]
fn bytes_for_each_connection() {
    let mut table = String::with_capacity(8 * KIB);
    _ = writeln!(table, "\n| mode | warm | idle |\n| --- | --- | --- |");
    let mut changed = Vec::new();
    let mut row = |mode: &str, agreed: Agreed, config: &Arc<Config>, expected: (isize, isize)| {
        let (warm, idle) = footprint(agreed, config);
        _ = writeln!(table, "| {mode} | {warm} | {idle} |");
        let is_near = |is: isize, was: isize| (is - was).abs() <= was / 20;
        if !is_near(warm, expected.0) || !is_near(idle, expected.1) {
            changed.push(format!("{mode}: {warm} and {idle}, once {expected:?}"));
        }
    };
    row("plain", Agreed::default(), &still(None), PLAIN);
    for (bits, expected) in TAKEOVER {
        for (memory_level, expected) in [1, 5, 8].into_iter().zip(expected) {
            let memory_level = MemoryLevel::new(memory_level).unwrap();
            let config = still(Some(Compression { memory_level, ..Compression::default() }));
            let mode = format!("takeover, {bits} bits, memory level {}", memory_level.get());
            row(&mode, agreed(bits, true), &config, expected);
        }
    }
    let config = still(Some(Compression::default()));
    row("no takeover, no pool", agreed(15, false), &config, NO_POOL);
    let pool = Arc::new(Pool::default());
    let config = still(Some(Compression { pool: Some(Arc::clone(&pool)), ..Compression::default() }));
    let before = held();
    footprint(agreed(15, false), &config);
    let share = held() - before;
    row("no takeover, pool", agreed(15, false), &config, POOLED);
    for (bits, expected) in HIBERNATED {
        let compression = Compression { hibernate: Some(Duration::from_secs(9)), ..Compression::default() };
        row(&format!("takeover, hibernated, {bits} bits"), agreed(bits, true), &still(Some(compression)), expected);
    }
    _ = writeln!(table, "| the pool itself, a compressor and a decompressor | {share} | {share} |");
    println!("{table}");
    assert!(changed.is_empty(), "{changed:#?}");
    assert!((share - POOL).abs() < POOL / 20, "{share}");
    assert_eq!(Arc::strong_count(&pool), 2);
}

/// The table as it was when it was last looked at: what a compressor takes for its window and at its memory level, 47
/// 552 for a decompressor, a window's bytes for what may follow a BFINAL, and some output buffers while they are warm.
const PLAIN: (isize, isize) = (1540, 0);
const TAKEOVER: [(u8, [(isize, isize); 3]); 5] = [
    (8, [(219_927, 185_704), (233_349, 199_144), (333_701, 299_496)]),
    (9, [(219_927, 185_704), (233_349, 199_144), (333_701, 299_496)]),
    (10, [(222_494, 188_264), (235_920, 201_704), (336_272, 302_056)]),
    (12, [(237_854, 203_624), (251_283, 217_064), (351_635, 317_416)]),
    (15, [(381_214, 346_984), (394_643, 360_424), (494_995, 460_776)]),
];
const NO_POOL: (isize, isize) = (394_643, 0);
const POOLED: (isize, isize) = (235, 0);
const POOL: isize = 394_472;
const HIBERNATED: [(u8, (isize, isize)); 3] = [(9, (233_861, 1448)), (12, (255_379, 8616)), (15, (427_411, 65_960))];

/// What a server holds behind traffic, and when it has been quiet.
fn footprint(agreed: Agreed, config: &Arc<Config>) -> (isize, isize) {
    let (text, mut wire) = (json(KIB), Vec::with_capacity(64 * KIB));
    // The client's own config, so that the pool is the server's alone.
    let of_client = still(config.compression.is_some().then(Compression::default));
    let mut client = WebSocket::client(&agreed, of_client, Counter(0), at(0)).unwrap();
    let mut server = WebSocket::server(&agreed, Arc::clone(config), at(0));
    let mut warm = 0;
    for _ in 0..64 {
        wire.clear();
        send(&mut client, &text, &mut wire);
        let ((), measured) = measure(|| {
            receive(&mut server, &text, &mut wire);
            wire.clear();
            send(&mut server, &text, &mut wire);
        });
        warm += measured.held;
        receive(&mut client, &text, &mut wire);
    }
    let ((), measured) = measure(|| server.handle_timeout(at(100)));
    (warm, warm + measured.held)
}

// Bombs.

/// Beside the message itself: a decompressor, its window of 32 KiB and as much room for what comes out.
const CONSTANT: usize = 128 * KIB;

/// Much more than any of them takes, without optimisation on a busy machine, and much less than what grows with the
/// square of a million.
const TIME: Duration = Duration::from_secs(10);

#[test]
fn bombs_are_refused_at_once_and_hold_no_more_than_a_message() {
    let gibibyte = zeros(1 << 30);
    assert!(gibibyte.len() < MIB);
    let stored = [0x00, 0x00, 0x00, 0xFF, 0xFF].repeat(MIB);
    let fixed = [0x02, 0x08, 0x20, 0x80, 0x00].repeat(MIB / 4);
    // Eight of them are whole bytes.
    let dynamic = empty_dynamic_blocks(false, 8).repeat(MIB / 16);
    let last_stored = [0x01, 0x00, 0x00, 0xFF, 0xFF].repeat(MIB);
    let last_fixed = [0x03, 0x00].repeat(MIB);
    let last_dynamic = empty_dynamic_blocks(true, 1).repeat(MIB / 4);
    // As many streams as a message of the largest size can pay for.
    let paid = [zeros(MIB), vec![0, 0, 0xFF, 0xFF], [0x03, 0x00].repeat(3 * MIB)].concat();
    let fragments: Vec<u8> =
        (0..1000).flat_map(|_| [&[0, 0xE8, 0x03, 0x17, 0xFC], &[b'x'; 1000][..]].concat()).collect();
    let fragments = [&fragments[..], &[0]].concat();

    let whole = |payload: &[u8]| masked(0xC2, payload);
    let in_bytes = |payload: &[u8]| {
        let last = payload.len() - 1;
        let first = |at| [0x42, 0x00, 0x80][usize::from(at > 0) + usize::from(at == last)];
        payload.iter().enumerate().flat_map(|(at, byte)| masked(first(at), &[*byte])).collect::<Vec<u8>>()
    };
    let many_small = whole(&zeros(100_000)).repeat(100);
    let (tiny, none) = (in_bytes(&fragments), [masked(0x42, b""), masked(0x00, b"").repeat(MIB)].concat());

    let default = Limits::default;
    let ratio = |ratio| Limits { ratio, ..default() };
    let any_fragments = || Limits { fragments: u32::MAX, ..default() };
    let mut table =
        String::from("\n| bomb | delivery | outcome | peak, bytes | time |\n| --- | --- | --- | --- | --- |\n");
    for (name, wire, limits, expected) in [
        ("1 GiB of zeros", whole(&gibibyte), default(), Err(Error::MessageTooBig)),
        ("the same, ratio 100", whole(&gibibyte), ratio(100), Err(Error::RatioTooHigh)),
        ("100 messages of 1000:1", many_small.clone(), default(), Ok(10_000_000)),
        ("the same, ratio 100", many_small, ratio(100), Err(Error::RatioTooHigh)),
        ("a million empty stored blocks", whole(&stored), default(), Err(Error::EmptyBlocks)),
        ("a million empty fixed blocks", whole(&fixed), default(), Err(Error::EmptyBlocks)),
        ("half a million empty dynamic blocks", whole(&dynamic), default(), Err(Error::EmptyBlocks)),
        ("a million stored with BFINAL", whole(&last_stored), default(), Err(Error::EmptyBlocks)),
        ("a million fixed with BFINAL", whole(&last_fixed), default(), Err(Error::EmptyBlocks)),
        ("dynamic with BFINAL", whole(&last_dynamic), default(), Err(Error::EmptyBlocks)),
        ("1 MiB, and BFINAL till that is spent", whole(&paid), default(), Err(Error::EmptyBlocks)),
        ("a million fragments of a byte", tiny.clone(), any_fragments(), Ok(1_000_000)),
        ("the same, default limits", tiny, default(), Err(Error::TooManyFragments)),
        ("a million fragments of none", none.clone(), any_fragments(), Ok(0)),
        ("the same, default limits", none, default(), Err(Error::TooManyFragments)),
    ] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let limit = if delivery == Delivery::Chunks { 0 } else { limits.message as usize };
            let (outcome, measured, time) = receive_bomb(&wire, limits.clone(), delivery);
            _ = writeln!(table, "| {name} | {delivery:?} | {outcome:?} | {} | {time:.1?} |", measured.peak);
            assert_eq!(outcome, expected, "{name}, {delivery:?}");
            assert!(measured.peak <= limit + CONSTANT, "{name}, {delivery:?}: {measured:?}");
            assert!(time < TIME, "{name}, {delivery:?}: {time:?}");
        }
    }
    println!("{table}");
}

/// What came out, or the fault, in reads of 64 KiB; the first read at the latest shows it.
fn receive_bomb(wire: &[u8], limits: Limits, delivery: Delivery) -> (Result<usize, Error>, Measured, Duration) {
    let compression = Some(Compression::default());
    let config = Arc::new(Config { compression, limits, delivery, keep_alive: KeepAlive::Off, ..Config::default() });
    let mut session = WebSocket::server(&agreed(15, true), config, at(0));
    let mut buffer = vec![0; 64 * KIB];
    let (mut plain, mut failed) = (0, None);
    let begun = std::time::Instant::now();
    let ((), measured) = measure(|| {
        for (read, piece) in wire.chunks(buffer.len()).enumerate() {
            let mut input = &mut buffer[..piece.len()];
            input.copy_from_slice(piece);
            while let Some(Incoming { event, .. }) = session.receive(&mut input, at(0)) {
                match event {
                    Event::Message(message) => plain += message.as_bytes().len(),
                    Event::Chunk(chunk) => plain += chunk.data.as_bytes().len(),
                    Event::Failed(error) => {
                        assert_eq!(read, 0, "{error:?} comes late");
                        failed = Some(error);
                    }
                    Event::Closed(_) => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    });
    (failed.map_or(Ok(plain), Err), measured, begun.elapsed())
}

/// The payload of a message of so many zeros, at 1032:1. The code has one bit for a run of 258 zeros and one for its
/// distance, both 0: four runs are a byte.
fn zeros(count: usize) -> Vec<u8> {
    let mut bits = Writer::default().bits(0b100, 3).bits(29, 5).bits(0, 5).bits(14, 4);
    // The code for code lengths: 0 for 18, which is many zeros, 10 for 1, and 11 for 2.
    for length in [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2] {
        bits = bits.bits(length, 3);
    }
    // Two bits for a zero and for the end, one for 258 zeros and for the distance.
    bits = bits.code(3, 2).code(0, 1).bits(138 - 11, 7).code(0, 1).bits(117 - 11, 7).code(3, 2);
    bits = bits.code(0, 1).bits(28 - 11, 7).code(2, 2).code(2, 2);
    for _ in 0..1 + (count - 1) % 258 {
        bits = bits.code(2, 2);
    }
    bits.zeros((count - 1) / 258 * 2).code(3, 2).bits(0, 3).done()
}

/// So many blocks with a code of their own, and nothing else.
fn empty_dynamic_blocks(last: bool, count: usize) -> Vec<u8> {
    let mut bits = Writer::default();
    for _ in 0..count {
        bits = bits.bits(0b100 + usize::from(last), 3).bits(0, 5).bits(0, 5).bits(14, 4);
        for at in 0..18 {
            bits = bits.bits(usize::from(at == 2 || at == 17), 3);
        }
        // One bit for one of the literals, the end and the distance.
        bits = bits.code(1, 1).bits(97 - 11, 7).code(0, 1).code(1, 1).bits(138 - 11, 7).code(1, 1).bits(20 - 11, 7);
        bits = bits.code(0, 2).code(1, 1);
    }
    bits.done()
}

// A driver that allocates nothing itself.

/// A server and a client behind their opening handshakes.
fn pair(agreed: Agreed, config: &Arc<Config>) -> (WebSocket, WebSocket) {
    let client = WebSocket::client(&agreed, Arc::clone(config), Counter(0), at(0)).unwrap();
    (WebSocket::server(&agreed, Arc::clone(config), at(0)), client)
}

/// A message from one to the other; how many bytes that took.
fn pass(from: &mut WebSocket, to: &mut WebSocket, text: &str, wire: &mut Vec<u8>) -> usize {
    wire.clear();
    send(from, text, wire);
    receive(to, text, wire);
    wire.len()
}

fn send(session: &mut WebSocket, text: &str, wire: &mut Vec<u8>) {
    session.tx(at(0)).send_with(Message::Text(text), Compress::Always).unwrap();
    session.take(wire, at(0));
}

/// Receives one message, and asks once more as every driver does.
fn receive(session: &mut WebSocket, text: &str, wire: &mut [u8]) {
    let mut input = wire;
    match session.receive(&mut input, at(0)) {
        Some(Incoming { event: Event::Message(message), .. }) => assert!(message == Message::Text(text)),
        other => panic!("{other:?}"),
    }
    assert!(session.receive(&mut input, at(0)).is_none());
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match (payload.len(), u16::try_from(payload.len())) {
        (length @ 0..126, _) => frame.push(0x80 | length as u8),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        (length, _) => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    // A key that changes nothing.
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// JSON of so many bytes, or what such a piece of it is.
fn json(length: usize) -> String {
    let mut text = String::new();
    for id in 0.. {
        if text.len() >= length {
            break;
        }
        _ = write!(text, "{{\"id\":{id},\"name\":\"order {}\",\"price\":{}.95}},", id * 7919 % 1000, id * 31 % 977);
    }
    text.truncate(length);
    text
}

/// The same for both sides.
fn agreed(bits: u8, takeover: bool) -> Agreed {
    let bits = WindowBits::new(bits).unwrap();
    Agreed::default().with_deflate(DeflateParameters {
        server_no_context_takeover: !takeover,
        client_no_context_takeover: !takeover,
        server_max_window_bits: bits,
        client_max_window_bits: bits,
    })
}

fn pooled() -> Arc<Config> {
    still(Some(Compression { pool: Some(Arc::new(Pool::default())), ..Compression::default() }))
}

/// No timer but the release of buffers.
fn still(compression: Option<Compression>) -> Arc<Config> {
    let limits = Limits { idle_timeout: None, stall_timeout: None, ..Limits::default() };
    Arc::new(Config { limits, keep_alive: KeepAlive::Off, compression, ..Config::default() })
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

/// Entropy for a client that nobody attacks.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
        Ok(())
    }
}
