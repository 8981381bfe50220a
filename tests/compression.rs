//! Do compressed frames become the messages that they were, whatever they are cut into, and do they fail where they are
//! none? (RFC 7692 §6, §7.2)
//!
//! The samples of §7.2.3 go in byte for byte, beside what a compressor may write and few do: blocks with BFINAL, blocks
//! of every type in one message, flushes in its middle, references as far back as the window goes. What is not a
//! message fails, with close code 1007, and never becomes another one.

#![cfg(all(test, feature = "deflate"))]

use sockless::{Cause, Compress, Compression, CompressionLevel, Config, DeflateParameters, Delivery, Error, Message};

mod common;
mod compressed;

use common::*;
use compressed::*;

/// A message in two frames.
fn in_two(payload: &[u8], at: usize, between: Option<Frame>) -> Vec<Frame> {
    let (front, back) = payload.split_at(at);
    [Some(compressed(front).more()), between, Some(Frame::continuation(back))].into_iter().flatten().collect()
}

fn fixed(text: &str) -> Vec<u8> {
    Blocks::default().fixed(false).literals(text.as_bytes()).end().message()
}

fn stored(text: impl AsRef<[u8]>) -> Vec<u8> {
    Blocks::default().stored(false, text.as_ref()).message()
}

// Samples.

#[test]
fn trap_40_and_41_the_frames_of_the_samples() {
    in_role(Role::Client, |way| {
        let mut session = way.compressing_with(TAKEOVER, Compression::default());
        let hello = [Seen::text("Hello")];
        session.receives([0xC1, 0x07, 0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00], &hello);
        session.receives([0x41, 0x03, 0xF2, 0x48, 0xCD, 0x80, 0x04, 0xC9, 0xC9, 0x07, 0x00], &hello);
        session.receives([0xC1, 0x05, 0xF2, 0x00, 0x11, 0x00, 0x00], &hello);
        let stored = [0xC1, 0x0B, 0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
        session.receives(stored, &hello);
        session.receives([0xC1, 0x08, 0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00], &hello);
        session.receives([0xC1, 0x01, 0x00], &[Seen::text("")]);
        session.receives([0xC1, 0x00], &[Seen::text("")]);
        session.sends_nothing();
    });
    assert_eq!(fixed("Hello"), HELLO);
    assert_eq!(stored("Hello"), HELLO_STORED);
}

/// Trap 39: the tail is put back once a message, wherever frames begin and end.
//= rfc7692 6.2 MUST 1: frames are joined, decompressed and delivered
//= type=test
#[test]
fn trap_39_a_message_is_the_same_cut_into_frames_at_every_byte() {
    let samples: &[(&[u8], &str)] = &[
        (HELLO, "Hello"),
        (HELLO_STORED, "Hello"),
        (HELLO_FINAL, "Hello"),
        (HELLO_IN_TWO_BLOCKS, "Hello"),
        (EMPTY, ""),
        (&[], ""),
    ];
    let ping = Frame::ping([0xFF, 0x00]);
    for (payload, text) in samples {
        for between in [None, Some(&ping)] {
            in_every_mode(|session| {
                session.receives(compressed(payload), &[Seen::text(text)]);
                for at in 0..=payload.len() {
                    let pinged = between.map(|_| Seen::ping([0xFF, 0x00]));
                    let seen: Vec<Seen> = pinged.into_iter().chain([Seen::text(text)]).collect();
                    session.receives(in_two(payload, at, between.cloned()), &seen);
                }
            });
        }
    }
}

#[test]
fn trap_39_a_message_in_frames_of_a_byte_each_and_none() {
    in_every_mode(|session| {
        let mut frames = vec![compressed("").more(), Frame::continuation("").more()];
        frames.extend(HELLO_IN_TWO_BLOCKS.iter().map(|byte| Frame::continuation([*byte]).more()));
        frames.extend([Frame::continuation("").more(), Frame::continuation("")]);
        session.receives(frames, &[Seen::text("Hello")]);
        session.receives([compressed("").more(), Frame::continuation("")], &[Seen::text("")]);
        session.receives(compressed(HELLO), &[Seen::text("Hello")]);
    });
}

/// The second message refers to the first: trap 41.
//= rfc7692 6.2 MUST 2: what is plain is delivered as it is
//= rfc7692 7.2.2 MUST 1: a client keeps the window
//= rfc7692 7.2.2 MUST 2: and so does a server
//= type=test
#[test]
fn trap_39_a_window_is_shared_by_messages_cut_at_every_byte() {
    for first in [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_IN_TWO_BLOCKS] {
        in_every_way(|way| {
            let mut session = way.compressing_with(TAKEOVER, Compression::default());
            session.receives(compressed(first), &[Seen::text("Hello")]);
            for at in 0..=HELLO_AGAIN.len() {
                session
                    .receives(in_two(HELLO_AGAIN, at, Some(Frame::ping(""))), &[Seen::ping(""), Seen::text("Hello")]);
            }
            // Neither what is empty nor what is plain is in the window.
            session.receives(
                [
                    compressed(EMPTY),
                    compressed([]),
                    Frame::text("other"),
                    Frame::binary([7; 9]),
                    compressed(HELLO_AGAIN),
                ],
                &[Seen::text(""), Seen::text(""), Seen::text("other"), Seen::binary([7; 9]), Seen::text("Hello")],
            );
        });
    }
}

//= rfc7692 7.2.2 MAY 1: a client drops a window that is not used again
//= rfc7692 7.2.2 MAY 2: and so does a server
//= type=test
#[test]
fn without_context_takeover_a_window_is_not_shared() {
    for first in [HELLO, HELLO_STORED, HELLO_FINAL, HELLO_IN_TWO_BLOCKS] {
        for (_, compression) in modes() {
            for role in [Role::Server, Role::Client] {
                in_role(role, |way| {
                    // Only what the peer compresses with counts, and not what it itself demanded of us.
                    let parameters = DeflateParameters {
                        server_no_context_takeover: role == Role::Client,
                        client_no_context_takeover: role == Role::Server,
                        ..TAKEOVER
                    };
                    let mut session = way.compressing_with(parameters, compression.clone());
                    session
                        .receives([compressed(first), compressed(first)], &[Seen::text("Hello"), Seen::text("Hello")]);
                    // Up to its reference, which is not yet in its third byte.
                    session.hears([compressed(&HELLO_AGAIN[..2]).more()]);
                    session.receives([Frame::continuation(&HELLO_AGAIN[2..])], &Seen::failure(Error::InvalidDeflate));
                    session.sends(&[Frame::close(1007, "")]);
                });
            }
        }
    }
}

// RSV1.

/// Trap 36: judged by its first byte alone, on every frame there is.
//= rfc7692 6.1 MUST 3: anywhere else it fails the connection
//= type=test
#[test]
fn trap_36_rsv1_is_for_the_first_frame_of_a_message() {
    let parameters = [None, Some(TAKEOVER), Some(NO_TAKEOVER)];
    let starts = [None, Some(Frame::text("plain").more()), Some(compressed(HELLO).more())];
    for (parameters, start) in parameters.iter().flat_map(|one| starts.iter().map(move |start| (*one, start))) {
        if parameters.is_none() && start.as_ref().is_some_and(|start| *start == compressed(HELLO).more()) {
            continue;
        }
        for first in (0..=u8::MAX).filter(|first| first & 0x70 != 0) {
            in_both_roles(|way| {
                let mut session = match parameters {
                    Some(parameters) => way.compressing_with(parameters, Compression::default()),
                    None => way.session(),
                };
                session.hears(start.iter().cloned().collect::<Vec<Frame>>());
                let is_first = parameters.is_some() && matches!(first & 0x7F, 0x41 | 0x42);
                match (is_first, start) {
                    (true, None) => session.receives([first], &[]),
                    (true, Some(_)) => session.receives([first], &Seen::failure(Error::ExpectedContinuation)),
                    (false, _) => session.receives([first], &Seen::failure(Error::ReservedBits)),
                }
                session
                    .sends(if is_first && start.is_none() { vec![] } else { vec![Frame::close(1002, "")] }.as_slice());
            });
        }
    }
}

#[test]
fn a_session_that_compresses_nothing_itself_still_understands() {
    in_every_way(|way| {
        let mut session = way.compressing(TAKEOVER, Config::default());
        session.receives([compressed(HELLO), compressed(HELLO_AGAIN)], &[Seen::text("Hello"), Seen::text("Hello")]);
        session.tx().send_with(Message::Text("Hello"), Compress::Always).unwrap();
        session.sends(&[Frame::text("Hello")]);
    });
}

/// Trap 37: also where what they say could be deflated data, or could not.
#[test]
fn trap_37_control_frames_are_plain_inside_a_compressed_message() {
    in_every_mode(|session| {
        session.receives(
            [
                compressed(&HELLO[..3]).more(),
                Frame::ping(HELLO),
                Frame::pong([0xFF; 9]),
                Frame::continuation(&HELLO[3..4]).more(),
                Frame::ping(""),
                Frame::continuation(&HELLO[4..]),
            ],
            &[Seen::ping(HELLO), Seen::pong([0xFF; 9]), Seen::ping(""), Seen::text("Hello")],
        );
        session.sends(&[Frame::pong(HELLO), Frame::pong("")]);
        session.receives(
            [compressed(&HELLO[..3]).more(), Frame::close(1000, "Hello")],
            &[Seen::closing(1000, "Hello"), Seen::clean(1000, Cause::Peer)],
        );
        session.sends(&[Frame::close(1000, "")]);
    });
}

// Blocks.

/// Traps 39 and 41: what a peer's compressor may write. Each is followed by a message that refers back over it.
//= rfc7692 7.2.1 MAY 1: several blocks
//= rfc7692 7.2.1 MAY 2: of any type
//= type=test
#[test]
fn trap_41_blocks_of_any_type_and_any_number() {
    let blocks = Blocks::default;
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("a flush behind a flush", [HELLO, TAIL, &[0x00]].concat(), "Hello"),
        ("three of them", [HELLO, TAIL, &[0x00], TAIL, &[0x00], TAIL, &[0x00]].concat(), "Hello"),
        ("a flush in the middle", [&fixed("Hel")[..], TAIL, &fixed("lo")].concat(), "Hello"),
        ("flushes before and behind", [EMPTY, TAIL, &stored("Hel"), TAIL, &fixed("lo"), TAIL, EMPTY].concat(), "Hello"),
        ("the bytes of the tail as data", stored([TAIL, b"Hello", TAIL, EMPTY].concat()), ""),
        (
            "fixed, stored and fixed",
            {
                blocks()
                    .fixed(false)
                    .literals(b"H")
                    .end()
                    .stored(false, b"el")
                    .fixed(false)
                    .literals(b"lo")
                    .end()
                    .message()
            },
            "Hello",
        ),
        (
            "empty blocks",
            { blocks().fixed(false).end().stored(false, b"").fixed(false).end().stored(false, b"Hello").message() },
            "Hello",
        ),
        (
            "one that refers back within the message",
            { blocks().fixed(false).literals(b"Hello Hel").end().fixed(false).three_from(6).end().message() },
            "Hello Hello ",
        ),
        ("BFINAL, stored", blocks().stored(true, b"Hello").message(), "Hello"),
        ("BFINAL, with its tail inside", [HELLO_FINAL, TAIL, EMPTY].concat(), "Hello"),
        ("BFINAL twice", [&HELLO_FINAL[..7], HELLO_FINAL].concat(), "HelloHello"),
        ("BFINAL, and a block that refers over it", [&HELLO_FINAL[..7], HELLO_AGAIN].concat(), "HelloHello"),
        (
            "BFINAL three times, each but the first referring back",
            {
                let again = blocks().fixed(true).three_from(5).literals(b"lo").end_of_stream().bytes;
                [&HELLO_FINAL[..7], &again, &again, EMPTY].concat()
            },
            "HelloHelloHello",
        ),
        (
            "BFINAL on an empty block, then data",
            { blocks().fixed(true).end_of_stream().stored(true, b"").fixed(false).literals(b"Hello").end().message() },
            "Hello",
        ),
        ("BFINAL, and nothing behind it", HELLO_FINAL[..7].to_vec(), "Hello"),
    ];
    for (name, payload, text) in table {
        let seen = match *name {
            "the bytes of the tail as data" => Seen::binary([TAIL, b"Hello", TAIL, EMPTY].concat()),
            _ => Seen::binary(text),
        };
        println!("{name}: {payload:02x?}");
        let frame = |payload: &[u8]| Frame::binary(payload).rsv(RSV1);
        in_every_mode(|session| {
            session.receives([frame(payload), frame(payload)], &[seen.clone(), seen.clone()]);
            let (front, back) = payload.split_at(payload.len() / 2);
            session.receives([frame(front).more(), Frame::continuation(back)], std::slice::from_ref(&seen));
            session.receives(compressed(HELLO), &[Seen::text("Hello")]);
        });
        if text.ends_with("Hello") {
            in_every_way(|way| {
                let mut session = way.compressing_with(TAKEOVER, Compression::default());
                session.receives([frame(payload), compressed(HELLO_AGAIN)], &[seen.clone(), Seen::text("Hello")]);
                session.receives([compressed(HELLO_AGAIN)], &[Seen::text("Hello")]);
            });
        }
    }
}

/// An empty stored block ends the message (§7.2.1), and may have BFINAL as any other: so it is when Go's compressor is
/// closed.
#[test]
fn trap_41_bfinal_on_the_block_that_the_tail_completes() {
    let payload = Blocks::default().fixed(false).literals(b"Hello").end().bits(1, 3).bytes;
    let hello = Seen::text("Hello");
    in_every_mode(|session| {
        session.receives([compressed(&payload), compressed(&payload)], &[hello.clone(), hello.clone()]);
        session.receives([compressed([0x01]), compressed(HELLO)], &[Seen::text(""), hello.clone()]);
    });
    in_every_way(|way| {
        let mut session = way.compressing_with(TAKEOVER, Compression::default());
        session.receives([compressed(&payload), compressed(HELLO_AGAIN)], &[hello.clone(), hello.clone()]);
        session.receives([compressed([0x01]), compressed(HELLO_AGAIN)], &[Seen::text(""), hello.clone()]);
    });
}

/// As far as a window can go, over messages, over what is plain and over BFINAL.
//= rfc7692 7.2.2 MUST 4: a client reads with 32 KiB
//= rfc7692 7.2.2 MUST 5: and so does a server
//= type=test
#[test]
fn a_reference_reaches_back_by_a_whole_window() {
    const SIZE: usize = 32 << 10;
    let far: Vec<u8> = b"far".iter().copied().chain((3..SIZE).map(|at| b'a' + (at % 23) as u8)).collect();
    let again = Blocks::default().fixed(false).three_from(SIZE).end().message();
    let too_far = Blocks::default().fixed(false).three_from(SIZE - 2).end().message();
    for bfinal in [false, true] {
        let (first, second) = far.split_at(SIZE / 2);
        let first = Blocks::default().stored(bfinal, first).message();
        let second = Blocks::default().stored(bfinal, second).message();
        in_both_roles(|way| {
            let mut session = way.compressing_with(TAKEOVER, Compression::default());
            session.hears([compressed(&first).more(), Frame::continuation("")]);
            session.hears([compressed(&second), Frame::text("plain")]);
            session.looks(&[
                Seen::text(std::str::from_utf8(&far[..SIZE / 2]).unwrap()),
                Seen::text(std::str::from_utf8(&far[SIZE / 2..]).unwrap()),
                Seen::text("plain"),
            ]);
            session.receives(compressed(&again), &[Seen::text("far")]);
            // Three bytes more have come, so that the same bytes are as far as can be no more.
            session.receives(compressed(&too_far), &[Seen::text(std::str::from_utf8(&far[5..8]).unwrap())]);
        });
    }
}

#[test]
fn reference_distances_around_every_power_of_two() {
    let noise: Vec<u8> = (0..33_000u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let frame = Frame::binary(stored(&noise)).rsv(RSV1);
    for log in 2..=15 {
        for distance in [(1 << log) - 1, 1 << log, (1 << log) + 1].into_iter().filter(|distance| *distance <= 32 << 10)
        {
            in_both_roles(|way| {
                let mut session = way.compressing_with(TAKEOVER, Compression::default());
                session.receives(frame.clone(), &[Seen::binary(&noise)]);
                let reference = Blocks::default().fixed(false).three_from(distance).end().message();
                let from = noise.len() - distance;
                session.receives(Frame::binary(reference).rsv(RSV1), &[Seen::binary(&noise[from..from + 3])]);
            });
        }
    }
}

// What is no message.

/// Feeds it whole, in two pieces cut everywhere (unless it is long) and byte by byte: whatever comes before the fault
/// is a part of `text`.
#[track_caller]
fn is_refused(parameters: DeflateParameters, frames: &[Frame], text: &[u8]) {
    for role in [Role::Server, Role::Client] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            let bytes = frames.wire(role);
            let cuts = (0..bytes.len())
                .filter(|at| *at == 0 || bytes.len() < 40)
                .map(|at| vec![bytes[..at].to_vec(), bytes[at..].to_vec()]);
            for pieces in cuts.chain([bytes.iter().map(|byte| vec![*byte]).collect()]) {
                let mut session = engine(role, parameters, Config { delivery, ..Config::default() });
                let mut seen: Vec<Seen> =
                    pieces.into_iter().flat_map(|mut piece| events(&mut session, &mut piece)).collect();
                let what = || format!("{role:?}, {delivery:?}, {frames:02x?}: {seen:?}");
                assert!(seen.ends_with(&Seen::failure(Error::InvalidDeflate)), "{}", what());
                let mut before = Vec::new();
                for event in seen.drain(..seen.len() - 2) {
                    let Seen::Chunk { data, last: false, .. } = event else { panic!("{event:?}, {frames:02x?}") };
                    before.extend(data);
                }
                assert!(text.starts_with(&before), "{before:02x?}, {frames:02x?}");
                let mut sent = Vec::new();
                session.take(&mut sent, START);
                assert_eq!(common::frames(&sent), [Frame::close(1007, "")]);
            }
        }
    }
}

#[test]
fn a_message_that_ends_inside_of_a_block() {
    // What the codec makes of it in its best mode: a block with codes of its own.
    let text: String = (0..60).map(|number| (number * number).to_string()).collect();
    let compression = Some(Compression { level: CompressionLevel::SMALLEST, ..Compression::default() });
    let mut sender = engine(Role::Server, NO_TAKEOVER, Config { compression, ..Config::default() });
    sender.tx(START).send_with(Message::Text(&text), Compress::Always).unwrap();
    let mut sent = Vec::new();
    sender.take(&mut sent, START);
    let dynamic = frames(&sent).remove(0).payload().to_vec();
    assert_eq!(dynamic[0] & 7, 4, "a block of dynamic codes");

    let table = [
        (HELLO.to_vec(), "Hello"),
        (HELLO_STORED.to_vec(), "Hello"),
        (HELLO_FINAL[..7].to_vec(), "Hello"),
        (Blocks::default().stored(true, b"Hello").bytes, "Hello"),
        (dynamic, &text),
    ];
    for (payload, text) in table {
        for length in 1..payload.len() {
            // An empty stored block, as far as one can see.
            if matches!(payload[..length], [0] | [1]) {
                continue;
            }
            for parameters in [TAKEOVER, NO_TAKEOVER] {
                is_refused(parameters, &[Frame::binary(&payload[..length]).rsv(RSV1)], text.as_bytes());
            }
        }
    }
}

#[test]
fn a_stored_block_that_wants_the_tail_for_its_data() {
    for missing in 1..=9 {
        let payload = &Blocks::default().stored(false, b"Hello, you").bytes;
        is_refused(TAKEOVER, &[compressed(&payload[..payload.len() - missing])], b"Hello, you");
        let (front, back) = payload[..payload.len() - missing].split_at(5);
        is_refused(TAKEOVER, &[compressed(front).more(), Frame::continuation(back)], b"Hello, you");
    }
}

#[test]
fn trap_42_what_is_no_deflated_data() {
    let blocks = Blocks::default;
    let table: &[(&str, Vec<u8>, &[u8])] = &[
        ("a block of the fourth type", vec![0x06], b""),
        ("the same behind a message", [HELLO, TAIL, &[0x07]].concat(), b"Hello"),
        ("a length without its complement", vec![0x00, 0x05, 0x00, 0xFA, 0xFE, 0x48], b""),
        (
            "a length that has no meaning",
            blocks().fixed(false).literals(b"H").code(0xC6, 8).code(0, 5).end().message(),
            b"H",
        ),
        ("a distance that has none", blocks().fixed(false).literals(b"H").code(1, 7).code(30, 5).end().message(), b"H"),
        ("nothing but ones", vec![0xFF; 20], b""),
        ("text", b"GET / HTTP/1.1".to_vec(), b""),
        ("zlib's header", [&[0x78, 0x9C], HELLO].concat(), b""),
        ("gzip's header", vec![0x1F, 0x8B, 0x08, 0, 0, 0, 0, 0, 0, 3], b""),
        ("a tail that was not left out", [HELLO, TAIL].concat(), b"Hello"),
        ("a byte behind the end", [HELLO, &[0x01]].concat(), b"Hello"),
        ("many", [HELLO, b"behind the end"].concat(), b"Hello"),
        ("bytes behind BFINAL", [&HELLO_FINAL[..7], b"GET"].concat(), b"Hello"),
        ("a reference to before the message", HELLO_AGAIN.to_vec(), b"H"),
        (
            "the same behind a stored block",
            blocks().stored(false, b"1234").fixed(false).three_from(5).end().message(),
            b"1234",
        ),
        ("the same behind BFINAL", blocks().stored(true, b"1234").fixed(false).three_from(5).end().message(), b"1234"),
    ];
    for (name, payload, text) in table {
        println!("{name}: {payload:02x?}");
        for parameters in [TAKEOVER, NO_TAKEOVER] {
            is_refused(parameters, &[compressed(payload)], text);
            let (front, back) = payload.split_at(payload.len() / 2);
            is_refused(parameters, &[compressed(front).more(), Frame::continuation(back)], text);
        }
    }
}

#[test]
fn trap_42_a_reference_to_before_all_messages() {
    let reference = |distance| compressed(Blocks::default().fixed(false).three_from(distance).end().message());
    for first in [HELLO, HELLO_FINAL] {
        in_both_roles(|way| {
            let mut session = way.compressing_with(TAKEOVER, Compression::default());
            session.receives([compressed(first), reference(5)], &[Seen::text("Hello"), Seen::text("Hel")]);
            session.receives([Frame::text("plain"), reference(8)], &[Seen::text("plain"), Seen::text("Hel")]);
            session.receives(reference(12), &Seen::failure(Error::InvalidDeflate));
            session.sends(&[Frame::close(1007, "")]);
        });
    }
}

#[test]
fn a_session_that_failed_leaves_nothing_of_it_in_the_pool() {
    for (parameters, compression) in modes() {
        for end in [&HELLO_FINAL[..7], &HELLO[..4], &[0x00, 0x05], &[0x07]] {
            in_both_roles(|way| {
                let session = || way.compressing_with(parameters, compression.clone());
                let mut broken = session();
                broken.hears([compressed(HELLO), compressed(end).more()]);
                broken.hears_eof();
                session().receives([compressed(HELLO), compressed(EMPTY)], &[Seen::text("Hello"), Seen::text("")]);
                session().receives(compressed(HELLO_AGAIN), &Seen::failure(Error::InvalidDeflate));
            });
        }
    }
}

// Text.

/// Trap 42: what counts is what comes out. In a stored block each byte comes out with the byte that brings it.
#[test]
fn trap_42_text_fails_at_the_first_impossible_byte_that_comes_out() {
    let table: &[(&[u8], usize)] = &[
        (&[0xFF], 1),
        (&[b'a', 0x80], 2),
        (&[b'a', 0xC0, 0x80], 2),
        (&[0xE2, 0x82, b'a'], 3),
        (&[0xED, 0xA0, 0x80], 2),
        (&[0xF4, 0x90, 0x80, 0x80], 2),
        (&[b'a', 0xF0, 0x80, 0x80, 0x80], 3),
        (&[0xE2, 0x82, 0xAC, 0xF5], 4),
    ];
    for (text, number) in table {
        let payload = stored([text, &b" and so on"[..]].concat());
        // Behind the head of the block, whole and cut in the middle of the text.
        for frames in [vec![compressed(&payload)], in_two(&payload, 5 + number / 2, None)] {
            for (parameters, compression) in modes().into_iter().step_by(3) {
                in_every_way(|way| {
                    let mut session = way.compressing_with(parameters, compression.clone());
                    let bytes = frames.wire(way.role);
                    // All headers stand before the byte.
                    let at = bytes.len() - payload.len() + 5 + number - 1;
                    session.hears(&bytes[..at]);
                    session.receives(&bytes[at..=at], &Seen::failure(Error::InvalidUtf8));
                    session.receives(&bytes[at + 1..], &[]);
                    session.sends(&[Frame::close(1007, "")]);
                });
            }
        }
    }
}

#[test]
fn text_fails_that_ends_inside_of_a_character() {
    for text in [&b"a\xC3"[..], b"\xE2\x82", b"abc\xF0\x9F\x98"] {
        for payload in [stored(text), Blocks::default().fixed(true).literals(text).end_of_stream().message()] {
            in_every_mode(|session| {
                session.receives([compressed(&payload).more()], &[]);
                session.receives([Frame::continuation("")], &Seen::failure(Error::InvalidUtf8));
                session.sends(&[Frame::close(1007, "")]);
            });
        }
    }
}

#[test]
fn characters_are_cut_between_bytes_and_frames() {
    let text = "aé€😀";
    for payload in [stored(text), Blocks::default().fixed(false).literals(text.as_bytes()).end().message()] {
        in_every_mode(|session| {
            for at in 0..=payload.len() {
                session.receives(in_two(&payload, at, None), &[Seen::text(text)]);
            }
        });
    }
}

/// Output comes out by 16 KiB: every character stands once on each place of such a border.
#[test]
fn characters_are_cut_between_pieces_of_the_output() {
    for character in ["é", "€", "😀"] {
        for shift in 0..character.len() {
            let text = "-".repeat(shift) + &character.repeat(50_000 / character.len());
            let payload = stored(&text);
            // In one block that brings all of it out at once: a repetition.
            let repeated = Blocks::default().fixed(false).literals(&text.as_bytes()[..shift + 24]);
            let repeated = (0..10_000).fold(repeated, |blocks, _| blocks.three_from(character.len()));
            let repeated = repeated.end().message();
            let long = text[..shift + 24].bytes().chain(character.bytes().cycle().take(30_000)).collect();
            let long = String::from_utf8(long).unwrap();
            in_both_roles(|way| {
                for parameters in [TAKEOVER, NO_TAKEOVER] {
                    let mut session = way.compressing_with(parameters, Compression::default());
                    session.receives(compressed(&payload), &[Seen::text(&text)]);
                    session.receives(compressed(&repeated), &[Seen::text(&long)]);
                    let frames = repeated.chunks(700).map(|part| Frame::continuation(part).more());
                    let frames = [compressed("").more()].into_iter().chain(frames).chain([Frame::continuation("")]);
                    session.receives(frames.collect::<Vec<Frame>>(), &[Seen::text(&long)]);
                }
            });
        }
    }
}

#[test]
fn a_long_message_cut_anywhere() {
    let text: String = (0..4000).map(|at| format!("{}é", at * at % 997)).collect();
    let payload = stored(&text);
    in_every_way(|way| {
        let mut session = way.compressing_with(TAKEOVER, Compression::default());
        session.receives([compressed(&payload), compressed(HELLO)], &[Seen::text(&text), Seen::text("Hello")]);
        session.receives(compressed(HELLO_AGAIN), &[Seen::text("Hello")]);
        let (front, back) = payload.split_at(9_001);
        session.receives([compressed(front).more(), Frame::continuation(back)], &[Seen::text(&text)]);
    });
}
