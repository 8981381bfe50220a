//! Does the fast path do what the plain one does, and does it stay shut where it must?
//!
//! Four sessions live the same life: one takes the fast path wherever it may, one never does, one finds and lends events
//! apart, as HTTP/2 does, one reads long messages into their place. After each step all that can be seen of them must be the same.

#![cfg(test)]

use alloc::format;
use alloc::string::String;
use alloc::vec;
use core::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::Limits;
use crate::deflate::params::DeflateParameters;
use crate::frame::header::OpCode;

/// What happens to a session.
#[derive(Clone, Debug)]
enum Step {
    /// Frames come in reads of so many bytes, over and over.
    Read(Vec<Piece>, Vec<usize>),
    Pause,
    Resume,
    Eof,
    Close,
    Abort,
    Ping,
    Release,
    Take,
    Wait(u64),
}

#[derive(Clone, Debug)]
struct Piece {
    first: u8,
    payload: Vec<u8>,
    /// As the peer of this session must, nearly always.
    masked: bool,
    key: [u8; 4],
    /// So many of its last bytes never come, nearly always none.
    missing: usize,
}

fn piece() -> impl Strategy<Value = Piece> {
    let first = prop_oneof![
        20 => prop::sample::select(vec![0x81u8, 0x82]),
        4 => prop::sample::select(vec![0x01u8, 0x02, 0x00, 0x80, 0x89, 0x8A]),
        1 => prop::sample::select(vec![0x88u8, 0xC1, 0xC2, 0x91, 0x83, 0x09]),
    ];
    let length = prop_oneof![
        prop::sample::select(vec![
            0usize, 1, 2, 3, 4, 7, 8, 16, 17, 32, 33, 64, 65, 125, 126, 127, 128, 200, 20_000, 65_535, 65_536
        ]),
        0usize..300,
    ];
    let text = prop_oneof![Just(b'a'), Just(b'a'), Just(b'a'), any::<u8>()];
    let masked = prop_oneof![40 => Just(true), 1 => Just(false)];
    let missing = prop_oneof![40 => Just(0), 1 => 1usize..20, 3 => 4_000usize..40_000];
    (first, length, text, masked, any::<[u8; 4]>(), missing).prop_map(|(first, length, text, masked, key, missing)| {
        let length = if first & 8 != 0 { length.min(125) } else { length };
        // A Close has a code; a compressed message is a stored block.
        let payload = match first {
            0x88 => vec![0x03, 0xE8],
            0xC1 | 0xC2 => vec![0x4A, 0x04, 0x00],
            _ => vec![text; length],
        };
        Piece { first, payload, masked, key, missing }
    })
}

fn step() -> impl Strategy<Value = Step> {
    let reads = prop::collection::vec(prop_oneof![Just(1usize), 1usize..40, 4_000usize..9_000, Just(70_000)], 1..4);
    prop_oneof![
        12 => (prop::collection::vec(piece(), 1..8), reads).prop_map(|(pieces, reads)| Step::Read(pieces, reads)),
        1 => prop::sample::select(vec![
            Step::Pause, Step::Resume, Step::Eof, Step::Close, Step::Abort, Step::Ping, Step::Release, Step::Take,
        ]),
        1 => prop_oneof![0u64..20, 0u64..400].prop_map(Step::Wait),
    ]
}

fn config() -> impl Strategy<Value = Config> {
    let limit = || prop_oneof![6 => Just(1 << 20), 1 => prop::sample::select(vec![0u64, 1, 100, 125, 126, 65_535])];
    let fragments = prop_oneof![6 => Just(1024), 1 => 0u32..3];
    let delivery = prop_oneof![5 => Just(Delivery::Messages), 1 => Just(Delivery::Chunks)];
    (limit(), limit(), fragments, delivery).prop_map(|(message, frame, fragments, delivery)| Config {
        limits: Limits { message, frame, fragments, ..Limits::default() },
        keep_alive: KeepAlive::Ping { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) },
        delivery,
        ..Config::default()
    })
}

struct Seed;

impl Entropy for Seed {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill(1);
        Ok(())
    }
}

fn session(role: Role, agreed: &Agreed, config: &Arc<Config>) -> WebSocket {
    match role {
        Role::Server => WebSocket::server(agreed, Arc::clone(config), Instant::default()),
        Role::Client => WebSocket::client(agreed, Arc::clone(config), Seed, Instant::default()).unwrap(),
    }
}

impl Piece {
    fn bytes(&self, role: Role) -> Vec<u8> {
        let opcode = OpCode::Binary;
        let key = (self.masked == (role == Role::Server)).then_some(self.key);
        let header = Header::encode(true, opcode, self.payload.len() as u64, key);
        let mut bytes = header.as_bytes().to_vec();
        bytes[0] = self.first;
        mask::append(&mut bytes, &self.payload, key.unwrap_or_default());
        bytes.truncate(bytes.len().saturating_sub(self.missing));
        bytes
    }
}

/// Feeds a read, in one of four ways; tells the events, and how much of the read was left behind each.
fn feed(way: usize, session: &mut WebSocket, input: &mut [u8], now: Instant) -> Vec<String> {
    let mut seen = Vec::new();
    let mut input = input;
    if way == 3 {
        let room = session.receive_room();
        let (front, back) = input.split_at_mut(input.len().min(room.len()));
        room[..front.len()].copy_from_slice(front);
        session.received(front.len(), now);
        input = back;
    }
    loop {
        let found = match way {
            0 | 3 => session.receive(&mut input, now).map(|incoming| format!("{:?}", incoming.event)),
            1 => {
                session.whole_below = 0;
                session.receive(&mut input, now).map(|incoming| format!("{:?}", incoming.event))
            }
            _ => {
                let (consumed, found) = session.locate(input, now);
                let (taken, rest) = core::mem::take(&mut input).split_at_mut(consumed);
                input = rest;
                found.map(|found| format!("{:?}", session.lend(taken, found).event))
            }
        };
        let Some(found) = found else { return seen };
        seen.push(format!("{found}, {} left", input.len()));
    }
}

fn state(session: &mut WebSocket) -> impl PartialEq + core::fmt::Debug + use<> {
    let output: Vec<u8> = session.transmit_slices().flatten().copied().collect();
    (output, session.poll_timeout(), session.transport(), session.is_closed(), session.heard, session.pinged)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn four_ways_one_life(
        role in prop::sample::select(vec![Role::Server, Role::Client]),
        is_compressed in prop_oneof![3 => Just(false), 1 => Just(true)],
        config in config(),
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let agreed = Agreed { deflate: is_compressed.then(DeflateParameters::default), ..Agreed::default() };
        let config = Arc::new(config);
        let mut sessions = [(); 4].map(|()| session(role, &agreed, &config));
        let mut now = Instant::default();
        for step in steps {
            let mut seen: [Vec<String>; 4] = Default::default();
            for (way, session) in sessions.iter_mut().enumerate() {
                match &step {
                    Step::Read(pieces, reads) => {
                        let mut bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.bytes(role)).collect();
                        let (mut rest, mut reads) = (&mut bytes[..], reads.iter().cycle());
                        while !rest.is_empty() {
                            let length = rest.len().min(*reads.next().unwrap());
                            let (read, behind) = rest.split_at_mut(length);
                            seen[way].extend(feed(way, session, read, now));
                            rest = behind;
                        }
                    }
                    Step::Pause => session.pause(now),
                    Step::Resume => session.resume(now),
                    Step::Eof => session.receive_eof(now),
                    Step::Close => session.tx(now).close(Close::Empty),
                    Step::Abort => session.tx(now).abort(),
                    Step::Ping => _ = session.tx(now).ping(b"there?"),
                    Step::Release => session.release(),
                    Step::Take => session.take(&mut Vec::new(), now),
                    Step::Wait(seconds) => session.handle_timeout(now + Duration::from_secs(*seconds)),
                }
                seen[way].extend(feed(way, session, &mut [], now));
            }
            if let Step::Wait(seconds) = step {
                now = now + Duration::from_secs(seconds);
            }
            prop_assert_eq!(&seen[0], &seen[1]);
            prop_assert_eq!(&seen[2], &seen[1]);
            prop_assert_eq!(&seen[3], &seen[1]);
            let [fast, plain, apart, placed] = sessions.each_mut().map(state);
            prop_assert_eq!(&fast, &plain);
            prop_assert_eq!(&apart, &plain);
            prop_assert_eq!(&placed, &plain);
        }
    }
}

/// A binary message of five bytes, masked for a server.
const MESSAGE: [u8; 11] = [0x82, 0x85, 0, 0, 0, 0, 1, 2, 3, 4, 5];

/// A server that has just received a message, so that the gate is open, and then what is done to it.
fn open_after(config: Config, agreed: &Agreed, act: impl FnOnce(&mut WebSocket)) -> bool {
    let mut session = session(Role::Server, agreed, &Arc::new(config));
    feed(0, &mut session, &mut MESSAGE.clone(), Instant::default());
    act(&mut session);
    session.whole::<true, 0>(&MESSAGE).is_some()
}

#[test]
fn the_gate_is_open_between_messages_and_shut_in_every_other_state() {
    let plain = Agreed::default();
    let open = |act: fn(&mut WebSocket)| open_after(Config::default(), &plain, act);
    let limited = |limits| open_after(Config { limits, ..Config::default() }, &plain, |_| {});
    assert!(open(|_| {}));
    assert!(open(|session| session.tx(Instant::default()).close(Close::Empty)), "the peer may still send");
    assert!(open(|session| session.release()));
    assert!(open(|session| {
        session.pause(Instant::default());
        session.resume(Instant::default());
    }));
    assert!(limited(Limits { message: 5, frame: 5, ..Limits::default() }));

    assert!(!limited(Limits { message: 4, ..Limits::default() }));
    assert!(!limited(Limits { frame: 4, ..Limits::default() }));
    assert!(!limited(Limits { fragments: 0, ..Limits::default() }));
    assert!(!open_after(Config { delivery: Delivery::Chunks, ..Config::default() }, &plain, |_| {}));
    assert!(!open(|session| session.pause(Instant::default())));
    assert!(!open(|session| session.receive_eof(Instant::default())));
    assert!(!open(|session| session.receive_reset(Instant::default())));
    assert!(!open(|session| session.tx(Instant::default()).abort()));
    for bytes in [
        &[0x82][..],                           // a header that a read cut
        &[0x82, 0x85, 0, 0, 0, 0, 1],          // a frame that goes on
        &[0x02, 0x81, 0, 0, 0, 0, 1],          // a message that goes on
        &[0x81, 0x81, 0, 0, 0, 0, 0xFF],       // a failure that only lending finds
        &[0x82, 0x05],                         // a failure
        &[0x88, 0x80, 0, 0, 0, 0],             // the peer's Close
        &[0x89, 0x81, 0, 0, 0, 0, b'!', 0x89], // a Ping is lent, and behind it a header cut
    ] {
        let shut = !open_after(Config::default(), &plain, |session| {
            feed(0, session, &mut bytes.to_vec(), Instant::default());
        });
        assert!(shut, "{bytes:02X?}");
    }
}
