//! Do frames become messages, is their text UTF-8, and do their limits hold? (RFC 6455 §5.4, §5.6, §8.1, §10.4)
//!
//! Fragments go in, cut everywhere, and messages come out. Text that is none fails at the first byte that nothing could
//! make valid, in mid-frame, and a limit at the last byte of the length that breaks it.

#![cfg(test)]

use sockless::{Cause, Config, Delivery, Error, Event, Incoming, Kind, Limits, Message};

mod common;

use common::*;

//= rfc6455 5.4 MUST 1: fragments are put together in their order
//= rfc6455 5.4 MUST 3: messages are taken whole and in fragments
//= rfc6455 5.4 MUST 4: the first frame's type is that of all fragments
//= rfc6455 6.2 MUST 4: after the last fragment a new message begins
//= type=test
#[test]
fn messages_whole_and_in_fragments() {
    in_every_way(|way| {
        let mut session = way.session();
        let frames = [
            Frame::text("whole"),
            Frame::text(""),
            Frame::binary(""),
            Frame::text("one").more(),
            Frame::continuation(", two").more(),
            Frame::continuation(", three"),
            Frame::binary([1]).more(),
            Frame::continuation([2]),
            Frame::text("").more(),
            Frame::continuation("").more(),
            Frame::continuation("late"),
            Frame::text("early").more(),
            Frame::continuation(""),
            Frame::binary([0xFF; 3]),
        ];
        let expected = [
            Seen::text("whole"),
            Seen::text(""),
            Seen::binary(""),
            Seen::text("one, two, three"),
            Seen::binary([1, 2]),
            Seen::text("late"),
            Seen::text("early"),
            Seen::binary([0xFF; 3]),
        ];
        session.receives(frames, &expected);
        session.sends_nothing();
    });
}

#[test]
fn an_echo_answers_in_the_same_frames_however_its_input_is_cut() {
    in_every_way(|way| {
        let mut session = way.session();
        session.reacts(|seen, tx| match seen {
            Seen::Text(text) => tx.send(Message::Text(text)).unwrap(),
            Seen::Binary(bytes) => tx.send(Message::Binary(bytes)).unwrap(),
            _ => {}
        });
        session.receives(
            [
                Frame::text("one"),
                Frame::text("tw").more(),
                Frame::ping("!"),
                Frame::continuation("o"),
                Frame::binary("3"),
            ],
            &[Seen::text("one"), Seen::ping("!"), Seen::text("two"), Seen::binary("3")],
        );
        session.receives(Frame::close(1000, "done"), &[Seen::closing(1000, "done"), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[
            Frame::text("one"),
            Frame::pong("!"),
            Frame::text("two"),
            Frame::binary("3"),
            Frame::close(1000, ""),
        ]);
    });
}

// Chunks.

/// The events that each piece gives to a session with `Delivery::Chunks`.
fn chunks(role: Role, pieces: &[Vec<u8>]) -> Vec<Vec<Seen>> {
    let limits = Limits { message: u64::MAX, frame: u64::MAX, ..Limits::default() };
    let mut session = bare_session(role, Config { limits, delivery: Delivery::Chunks, ..Config::default() });
    pieces.iter().map(|piece| events(&mut session, &mut piece.clone())).collect()
}

fn text_chunk(text: &str, first: bool, last: bool) -> Seen {
    Seen::Chunk { kind: Kind::Text, data: text.into(), first, last }
}

#[test]
fn chunks_come_as_they_arrive_inside_one_huge_frame() {
    const HUGE: u64 = 1 << 40;
    let chunk = |data: &[u8], first| Seen::Chunk { kind: Kind::Binary, data: data.to_vec(), first, last: false };
    for role in [Role::Server, Role::Client] {
        let mask = if role == Role::Server { 0x80 } else { 0 };
        let mut header = [&[0x82, mask | 127][..], &HUGE.to_be_bytes()].concat();
        if role == Role::Server {
            header.extend([0; 4]);
        }
        let read = vec![7; 16 << 10];
        let expected = [vec![], vec![chunk(&read, true)], vec![chunk(&read, false)], vec![chunk(&[7], false)]];
        assert_eq!(chunks(role, &[header, read.clone(), read, vec![7]]), expected);
    }
}

#[test]
fn chunks_begin_and_end_with_the_message_and_not_with_its_frames() {
    let frames = [
        Frame::text("").more(),
        Frame::continuation("a").more(),
        Frame::continuation("").more(),
        Frame::continuation("b").more(),
        Frame::continuation(""),
        Frame::text(""),
        Frame::text("whole"),
    ];
    let expected = [
        vec![],
        vec![text_chunk("a", true, false)],
        vec![],
        vec![text_chunk("b", false, false)],
        vec![text_chunk("", false, true)],
        vec![text_chunk("", true, true)],
        vec![text_chunk("whole", true, true)],
    ];
    for role in [Role::Server, Role::Client] {
        let reads: Vec<_> = frames.iter().map(|frame| frame.to(role)).collect();
        assert_eq!(chunks(role, &reads), expected);
        assert_eq!(chunks(role, &[reads.concat()]), [expected.concat()], "in one read");
    }
}

#[test]
fn chunks_of_text_are_cut_between_characters() {
    let text = "aé\u{20AC}\u{1F600}z";
    let chunk =
        |begin: usize, end: usize| (begin < end).then(|| text_chunk(&text[begin..end], begin == 0, end == text.len()));
    for role in [Role::Server, Role::Client] {
        let frame = Frame::text(text).to(role);
        let header = frame.len() - text.len();
        for cut in 0..=text.len() {
            let pieces = [frame[..header + cut].to_vec(), frame[header + cut..].to_vec()];
            // A character that two reads made is a chunk of its own.
            let (begin, end) = (floor(text, cut), ceiling(text, cut));
            let behind = [chunk(begin, end), chunk(end, text.len())];
            let expected = [Vec::from_iter(chunk(0, begin)), behind.into_iter().flatten().collect()];
            assert_eq!(chunks(role, &pieces), expected, "cut at {cut}");
        }
        // Byte by byte, each character comes with its last byte.
        let pieces: Vec<Vec<u8>> = frame.iter().map(|byte| vec![*byte]).collect();
        let ends = (0..=frame.len()).map(|end| end.checked_sub(header).filter(|end| text.is_char_boundary(*end)));
        let expected = ends.skip(1).map(|end| {
            let end = end.filter(|end| *end > 0)?;
            chunk(floor(text, end - 1), end)
        });
        let expected: Vec<_> = expected.map(Vec::from_iter).collect();
        assert_eq!(chunks(role, &pieces), expected);
    }
}

/// The last border between characters at or before `at`, and the first at or behind it.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rfind(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

fn ceiling(text: &str, at: usize) -> usize {
    (at..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

#[test]
fn chunks_with_control_frames_between() {
    in_every_way(|way| {
        let mut session = way.session();
        // The Ping stands within a character.
        session.receives(
            [Frame::text(b"a\xC3").more(), Frame::ping("p"), Frame::continuation(b"\xA9b")],
            &[Seen::ping("p"), Seen::text("aéb")],
        );
        session.sends(&[Frame::pong("p")]);
    });
}

// UTF-8.

//= rfc6455 5.6 MUST 1: text is UTF-8 as a whole, wherever its frames are cut
//= type=test
#[test]
fn trap_25_characters_over_the_borders_of_fragments_and_reads() {
    let text = "\u{FEFF}a\u{7F}\u{80}\u{7FF}\u{800}\u{D7FF}\u{E000}\u{FFFF}\u{10000}\u{10FFFF}";
    let bytes = text.as_bytes();
    for cut in 0..=bytes.len() {
        // The harness cuts the reads.
        in_every_way(|way| {
            let frames = [Frame::text(&bytes[..cut]).more(), Frame::continuation(&bytes[cut..])];
            way.session().receives(frames, &[Seen::text(text)]);
        });
        for second in cut..=bytes.len() {
            in_both_roles(|way| {
                let fragments = [
                    Frame::text(&bytes[..cut]).more(),
                    Frame::ping(""),
                    Frame::continuation(&bytes[cut..second]).more(),
                    Frame::continuation(&bytes[second..]),
                ];
                way.session().receives(fragments, &[Seen::ping(""), Seen::text(text)]);
            });
        }
    }
    // A byte order mark is a character like any other.
    in_every_way(|way| way.session().receives(Frame::text("\u{FEFF}"), &[Seen::text("\u{FEFF}")]));
}

/// Bytes of text, and how many of them it takes to prove that they are none.
const NOT_UTF8: &[(&[u8], usize)] = &[
    (b"\x80", 1),
    (b"\xBF", 1),
    (b"\xC0\x80", 1),
    (b"\xC1\xBF", 1),
    (b"\xF5\x80\x80\x80", 1),
    (b"\xF8\x88\x80\x80\x80", 1),
    (b"\xFE", 1),
    (b"\xFF", 1),
    (b"\xC3(", 2),
    (b"\xE0\x80\xAF", 2),
    (b"\xE0\x9F\xBF", 2),
    (b"\xE2\x82(", 3),
    (b"\xE2(\xA1", 2),
    (b"\xED\xA0\x80", 2),
    (b"\xED\xBF\xBF", 2),
    (b"\xF0\x80\x80\xAF", 2),
    (b"\xF0\x8F\xBF\xBF", 2),
    (b"\xF0\x9F\x98(", 4),
    (b"\xF0(\x8C\xBC", 2),
    (b"\xF4\x90\x80\x80", 2),
];

//= rfc6455 8.1 MUST 1: bytes that should be UTF-8 and are not fail the connection
//= type=test
#[test]
fn trap_25_text_fails_at_the_first_impossible_byte_in_mid_frame() {
    for (bytes, proof) in NOT_UTF8 {
        for before in ["", "a", "é", "\u{1F600}", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"] {
            let payload = [before.as_bytes(), bytes, b" and more"].concat();
            for role in [Role::Server, Role::Client] {
                let whole = Frame::text(&payload).to(role);
                let header = whole.len() - payload.len();
                fails_at(role, &Config::default(), &whole, header + before.len() + proof, Error::InvalidUtf8);

                // In the fourth frame, behind a Ping; the first two end within a character.
                let begun =
                    [Frame::text(b"\xE2").more(), Frame::continuation(b"\x82").more(), Frame::ping("")].wire(role);
                let rest = [b"\xAC", &payload[..]].concat();
                let last = Frame::continuation(&rest).to(role);
                let header = last.len() - rest.len();
                let at = begun.len() + header + 1 + before.len() + proof;
                fails_at(role, &Config::default(), &[begun, last].concat(), at, Error::InvalidUtf8);
            }
        }
    }
}

#[test]
fn trap_25_every_first_byte_and_the_borders_of_what_may_follow() {
    for first in 0..=u8::MAX {
        for second in [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF] {
            let text = [first, second];
            let error = std::str::from_utf8(&text).err();
            let proof = error.and_then(|error| error.error_len().map(|length| (error.valid_up_to(), length)));
            let Some((valid, length)) = proof else { continue };
            // `error_len` says how many bytes could have begun a character; the next one proves that they did not.
            let hopeful = matches!((valid, length, text[0]), (0, 1, 0xC2..=0xF4));
            let proof = if hopeful { 2 } else { valid + 1 };
            let frame = Frame::text([&text[..], b"...."].concat()).to(Role::Client);
            fails_at(Role::Client, &Config::default(), &frame, 2 + proof, Error::InvalidUtf8);
        }
    }
}

#[test]
fn trap_25_a_character_that_the_message_cuts_off() {
    for cut_off in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F", b"\xF0\x9F\x98"] {
        for before in ["", "text "] {
            let payload = [before.as_bytes(), cut_off].concat();
            for role in [Role::Server, Role::Client] {
                let frame = Frame::text(&payload).to(role);
                fails_at(role, &Config::default(), &frame, frame.len(), Error::InvalidUtf8);
                // Its last frame may be empty: then its header is the proof.
                let frames = [Frame::text(&payload).more(), Frame::continuation("")].wire(role);
                fails_at(role, &Config::default(), &frames, frames.len(), Error::InvalidUtf8);
            }
        }
    }
    // It does not go on in the next message.
    in_every_way(|way| {
        let mut session = way.session();
        session.receives([Frame::text(b"\xC3"), Frame::text(b"\xA9")], &Seen::failure(Error::InvalidUtf8));
        session.sends(&[Frame::close(1007, "")]);
    });
}

#[test]
fn trap_25_text_that_fails_in_every_cut() {
    in_every_way(|way| {
        let mut session = way.session();
        let frames =
            [Frame::text("fine"), Frame::text("é fine, ").more(), Frame::continuation(b"but \xED\xA0\x80 not")];
        session.receives(frames, &[&[Seen::text("fine")][..], &Seen::failure(Error::InvalidUtf8)].concat());
        session.sends(&[Frame::close(1007, "")]);
    });
}

#[test]
fn binary_messages_are_not_looked_into() {
    in_every_way(|way| {
        let payload = [0xFF, 0xC0, 0x80, 0xED, 0xA0];
        way.session().receives(
            [Frame::binary(payload), Frame::binary(payload).more(), Frame::continuation(payload)],
            &[Seen::binary(payload), Seen::binary([payload, payload].concat())],
        );
    });
}

// Limits.

//= rfc6455 10.4 MUST 1: frames and messages have limits
//= type=test
#[test]
fn trap_27_limits_are_checked_on_the_header_and_on_the_sum() {
    let limits =
        |message, frame| Config { limits: Limits { message, frame, ..Limits::default() }, ..Config::default() };
    for role in [Role::Server, Role::Client] {
        for (message, frame, error) in [(300, 200, Error::FrameTooBig), (200, 300, Error::MessageTooBig)] {
            let config = limits(message, frame);
            for kind in [Frame::text, Frame::binary] {
                in_role(role, |way| {
                    way.session_with(config.clone()).receives(
                        [kind(vec![b'a'; 200])],
                        &[match kind(Vec::new()) {
                            empty if empty == Frame::text("") => Seen::text(&"a".repeat(200)),
                            _ => Seen::binary(vec![b'a'; 200]),
                        }],
                    );
                });
                // Neither a masking key nor a byte of payload is needed to see it.
                fails_at(role, &config, &kind(vec![b'a'; 201]).to(role), 4, error);
                fails_at(role, &config, &kind(vec![b'a'; 201]).more().to(role), 4, error);
                fails_at(role, &config, &kind(vec![b'a'; 70_000]).to(role), 10, Error::FrameTooBig);
            }
        }
        let config = limits(100, 100);
        fails_at(role, &config, &Frame::binary([0; 101]).to(role), 2, Error::FrameTooBig);

        // The sum, wherever the fragments are cut, and with Pings between that do not count.
        for first in [0, 1, 50, 99, 100] {
            let begun = [Frame::binary(vec![1; first]).more(), Frame::ping([0; 100])];
            let rest = Frame::continuation(vec![2; 100 - first]).more();
            in_role(role, |way| {
                let mut session = way.session_with(limits(100, 100));
                session.receives(
                    [begun[0].clone(), begun[1].clone(), rest.clone(), Frame::continuation("")],
                    &[Seen::ping([0; 100]), Seen::binary([vec![1; first], vec![2; 100 - first]].concat())],
                );
                // The next message begins from nothing.
                session.receives(Frame::binary([3; 100]), &[Seen::binary([3; 100])]);
            });
            if first > 0 {
                let bytes = [begun.wire(role), Frame::continuation(vec![2; 101 - first]).to(role)].concat();
                let at = begun.wire(role).len() + 2;
                fails_at(role, &config, &bytes, at, Error::MessageTooBig);
            }
            let full = [begun.wire(role), rest.to(role)].concat();
            let at = full.len() + 2;
            fails_at(role, &config, &[full, Frame::continuation("x").to(role)].concat(), at, Error::MessageTooBig);
        }
    }
}

#[test]
fn trap_27_a_limit_of_nothing_lets_empty_messages_in() {
    let config = Config { limits: Limits { message: 0, ..Limits::default() }, ..Config::default() };
    in_every_way(|way| {
        let mut session = way.session_with(config.clone());
        session.receives(
            [Frame::text(""), Frame::binary("").more(), Frame::continuation(""), Frame::ping("control")],
            &[Seen::text(""), Seen::binary(""), Seen::ping("control")],
        );
        session.receives(Frame::text("a"), &Seen::failure(Error::MessageTooBig));
        session.sends(&[Frame::pong("control"), Frame::close(1009, "")]);
    });
}

#[test]
fn every_error_has_its_close_code_and_its_section() {
    for (error, code, section) in [
        (Error::ReservedBits, 1002, "5.2"),
        (Error::ReservedOpcode, 1002, "5.2"),
        (Error::UnmaskedFrame, 1002, "5.1"),
        (Error::MaskedFrame, 1002, "5.1"),
        (Error::FragmentedControl, 1002, "5.5"),
        (Error::ControlTooLong, 1002, "5.5"),
        (Error::LengthNotMinimal, 1002, "5.2"),
        (Error::LengthOverflow, 1002, "5.2"),
        (Error::UnexpectedContinuation, 1002, "5.4"),
        (Error::ExpectedContinuation, 1002, "5.4"),
        (Error::InvalidUtf8, 1007, "8.1"),
        (Error::InvalidCloseBody, 1002, "5.5.1"),
        (Error::InvalidCloseCode, 1002, "7.4"),
        (Error::InvalidCloseReason, 1007, "5.5.1"),
        (Error::FrameTooBig, 1009, "10.4"),
        (Error::MessageTooBig, 1009, "10.4"),
        (Error::TooManyFragments, 1008, "10.4"),
    ] {
        assert_eq!((error.close_code().get(), error.section()), (code, section), "{error:?}");
    }
}

// What is lent.

#[test]
fn a_message_in_one_read_lies_in_that_read() {
    for role in [Role::Server, Role::Client] {
        let mut session = bare_session(role, Config::default());
        let frame = Frame::binary("in place").to(role);
        let mut read = [&frame[..], &Frame::text("next").to(role)].concat();
        let range = read.as_ptr_range();
        let mut input = &mut read[..];
        let Some(Incoming { event: Event::Message(Message::Binary(payload)), .. }) = session.receive(&mut input, START)
        else {
            panic!("no message")
        };
        assert_eq!(payload, b"in place");
        assert!(range.contains(&payload.as_ptr()), "the payload was copied");
        // What follows is left for the next call, what went before is consumed.
        assert_eq!(input.len(), Frame::text("next").to(role).len());
        assert_eq!(events(&mut session, input), [Seen::text("next")]);
    }
}
