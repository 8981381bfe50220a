//! Are frames read and written as RFC 6455 §5.2 to §5.5 says, and is every fault found at the byte that proves it?
//!
//! Frames go in, cut everywhere, and what they mean comes out; broken ones go in byte by byte, and the one byte that
//! proves them broken is named. Then the other direction: what is sent, in its exact bytes.

#![cfg(test)]

use std::sync::Arc;

use sockless::{
    Agreed, Cause, Client, Compress, Config, Entropy, Error, Kind, Limits, Message, NoEntropy, SendError, WebSocket,
};

mod common;

use common::*;

/// A header with a length written in 16 or 64 bits, whether it needs them or not; masked if a server is to read it.
fn header_16(role: Role, length: u16) -> Vec<u8> {
    [&[0x82, mask(role) | 126][..], &length.to_be_bytes()].concat()
}

fn header_64(role: Role, length: u64) -> Vec<u8> {
    [&[0x82, mask(role) | 127][..], &length.to_be_bytes()].concat()
}

fn mask(role: Role) -> u8 {
    if role == Role::Server { 0x80 } else { 0 }
}

const ROLES: [Role; 2] = [Role::Server, Role::Client];

#[test]
fn the_examples_of_section_5_7() {
    let hello = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F];
    let masked_hello = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
    as_client(|way| way.session().receives(hello, &[Seen::text("Hello")]));
    as_server(|way| way.session().receives(masked_hello, &[Seen::text("Hello")]));
    as_client(|way| {
        let mut session = way.session();
        session.receives([0x01, 0x03, 0x48, 0x65, 0x6C], &[]);
        session.receives([0x80, 0x02, 0x6C, 0x6F], &[Seen::text("Hello")]);
    });
    as_client(|way| {
        let mut session = way.session();
        session.receives([0x89, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F], &[Seen::ping("Hello")]);
        session.sends(&[Frame::pong("Hello")]);
    });
    as_server(|way| {
        let masked_pong = [0x8A, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58];
        way.session().receives(masked_pong, &[Seen::pong("Hello")]);
    });
    as_client(|way| {
        let payload: Vec<u8> = (0..=255).collect();
        let frame = [&[0x82, 0x7E, 0x01, 0x00][..], &payload].concat();
        way.session().receives(&frame, &[Seen::binary(payload)]);
    });
    as_client(|way| {
        let payload = vec![0xA5; 65536];
        let frame = [&[0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0][..], &payload].concat();
        way.session().receives(&frame, &[Seen::binary(payload)]);
    });
}

//= rfc6455 6.2 MUST 1: what comes in is read as frames
//= rfc6455 6.2 MUST 3: the opcode gives the type
//= type=test
#[test]
fn every_opcode_means_what_it_says() {
    in_every_way(|way| {
        let mut session = way.session();
        session.receives(Frame::text("text"), &[Seen::text("text")]);
        session.receives(Frame::binary([0, 255]), &[Seen::binary([0, 255])]);
        session.receives(Frame::ping("ping"), &[Seen::ping("ping")]);
        session.receives(Frame::pong("pong"), &[Seen::pong("pong")]);
        session.receives([Frame::text("te").more(), Frame::continuation("xt")], &[Seen::text("text")]);
        session.receives(Frame::close(1000, "bye"), &[Seen::closing(1000, "bye"), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[Frame::pong("ping"), Frame::close(1000, "")]);
    });
}

#[test]
fn lengths_on_both_sides_of_every_border() {
    for length in [0, 1, 2, 3, 4, 7, 8, 63, 64, 65, 124, 125, 126, 127, 128, 255, 256] {
        in_every_way(|way| {
            let payload: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let mut session = way.session();
            session.receives(
                [Frame::binary(&payload), Frame::binary("next")],
                &[Seen::binary(&payload), Seen::binary("next")],
            );
        });
    }
    for length in [65_535, 65_536] {
        in_both_roles(|way| {
            let text = "0123456789abcdef".repeat(4096);
            let frames = [Frame::text(&text[..length]), Frame::text("next")];
            way.session().receives(frames, &[Seen::text(&text[..length]), Seen::text("next")]);
        });
    }
}

//= rfc6455 5.2 MUST 5: a length takes the shortest of its forms
//= type=test
#[test]
fn trap_11_minimal_length() {
    for role in ROLES {
        for length in [0, 1, 124, 125] {
            fails_at(role, &Config::default(), &header_16(role, length), 4, Error::LengthNotMinimal);
        }
        for length in [0, 125, 126, 65_535] {
            fails_at(role, &Config::default(), &header_64(role, length), 10, Error::LengthNotMinimal);
        }
    }
    in_every_way(|way| {
        // The least lengths of these forms are fine.
        let mut session = way.session();
        session.receives(&header_16(way.role, 126), &[]);
        session.sends_nothing();
        let mut session = way.session();
        session.receives(&header_64(way.role, 65_536), &[]);
        session.sends_nothing();
    });
}

//= rfc6455 5.2 MUST 4: the top bit of a 64-bit length is 0
//= type=test
#[test]
fn trap_12_the_top_bit_of_a_length_and_sums_that_could_overflow() {
    let unlimited = Limits { message: u64::MAX, frame: u64::MAX, ..Limits::default() };
    let unlimited = Config { limits: unlimited, ..Config::default() };
    for role in ROLES {
        for length in [1 << 63, (1 << 63) + 1, u64::MAX] {
            fails_at(role, &unlimited, &header_64(role, length), 3, Error::LengthOverflow);
            fails_at(role, &Config::default(), &header_64(role, length), 3, Error::LengthOverflow);
        }
        // The greatest legal length is judged by the limits alone.
        fails_at(role, &Config::default(), &header_64(role, (1 << 63) - 1), 10, Error::MessageTooBig);
    }
    in_every_way(|way| {
        let mut session = way.session_with(unlimited.clone());
        session.receives(&header_64(way.role, (1 << 63) - 1), &[]);
        session.sends_nothing();
    });
    // Ten bytes are there; what the next header announces must fit beside them.
    let limit = (1 << 63) - 1;
    let limits = Limits { message: limit, frame: u64::MAX, ..Limits::default() };
    let limited = Config { limits, ..Config::default() };
    for role in ROLES {
        let begun = Frame::binary("0123456789").more().to(role);
        let next = |length| [&begun[..], &[0x80], &header_64(role, length)[1..]].concat();
        fails_at(role, &limited, &next(limit - 9), begun.len() + 10, Error::MessageTooBig);
        fails_at(role, &limited, &next(limit), begun.len() + 10, Error::MessageTooBig);
        fails_at(role, &limited, &next(limit + 1), begun.len() + 3, Error::LengthOverflow);
    }
    as_server(|way| {
        let mut session = way.session_with(limited.clone());
        session.receives(Frame::binary("0123456789").more(), &[]);
        session.receives(&[&[0x80], &header_64(way.role, limit - 10)[1..]].concat(), &[]);
        session.sends_nothing();
    });
}

//= rfc6455 5.2 MUST 2: a reserved bit that no extension uses fails the connection
//= rfc6455 5.2 MUST 3: an unknown opcode fails the connection
//= rfc6455 5.2 MUST 8: the first reserved bit is 0
//= rfc6455 5.2 MUST 9: the second reserved bit is 0
//= rfc6455 5.2 MUST 10: the third reserved bit is 0
//= rfc6455 10.7 MUST 1: both roles check what comes in
//= type=test
#[test]
fn trap_13_the_first_byte_of_a_frame_is_judged_alone() {
    for role in ROLES {
        for first in 0..=u8::MAX {
            for inside_message in [false, true] {
                let begun = if inside_message { Frame::text("begun").more().to(role) } else { Vec::new() };
                let (fin, rsv, opcode) = (first >> 7 == 1, first >> 4 & 7, first & 15);
                let fault = match opcode {
                    _ if rsv != 0 => Some(Error::ReservedBits),
                    3..=7 | 11..=15 => Some(Error::ReservedOpcode),
                    0 if !inside_message => Some(Error::UnexpectedContinuation),
                    1 | 2 if inside_message => Some(Error::ExpectedContinuation),
                    8..=10 if !fin => Some(Error::FragmentedControl),
                    _ => None,
                };
                let bytes = [&begun[..], &[first]].concat();
                match fault {
                    Some(error) => fails_at(role, &Config::default(), &bytes, bytes.len(), error),
                    None => in_role(role, |way| {
                        let mut session = way.session();
                        session.receives(&bytes, &[]);
                        session.sends_nothing();
                    }),
                }
            }
        }
    }
}

//= rfc6455 5.1 MUST 2: a server refuses a frame that is not masked
//= rfc6455 5.1 MUST 3: a client refuses a frame that is masked
//= rfc6455 7.1.7 MUST 1: a client that fails closes
//= rfc6455 7.1.7 MUST 2: a server that fails closes
//= type=test
#[test]
fn trap_14_the_mask_is_judged_for_every_opcode_and_for_empty_payloads() {
    for payload in [&b""[..], &[3, 232]] {
        for opcode in [0, 1, 2, 8, 9, 10] {
            let frame = Frame::new(opcode, payload);
            let begun = |role| if opcode == 0 { Frame::text("a").more().to(role) } else { Vec::new() };
            let to_server = [begun(Role::Server), frame.to(Role::Client)].concat();
            let at = begun(Role::Server).len() + 2;
            fails_at(Role::Server, &Config::default(), &to_server, at, Error::UnmaskedFrame);
            for key in [[1, 2, 3, 4], [0; 4]] {
                let to_client = [begun(Role::Client), frame.encode(Some(key))].concat();
                let at = begun(Role::Client).len() + 2;
                fails_at(Role::Client, &Config::default(), &to_client, at, Error::MaskedFrame);
            }
        }
    }
}

//= rfc6455 6.2 MUST 5: a server unmasks what clients send
//= type=test
#[test]
fn trap_15_a_key_of_zeros_is_legal() {
    as_server(|way| {
        let mut session = way.session();
        let frames = [Frame::text("plain to see"), Frame::ping("too"), Frame::binary([0, 1, 2])];
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(Some([0; 4]))).collect();
        session.receives(&bytes, &[Seen::text("plain to see"), Seen::ping("too"), Seen::binary([0, 1, 2])]);
        session.receives(&Frame::text("again").encode(Some([0, 0, 0, 7])), &[Seen::text("again")]);
    });
}

//= rfc6455 5.1 MUST 1: a client masks every frame
//= rfc6455 5.3 MUST 2: a new key for every frame
//= rfc6455 5.3 MUST 3: keys come from the entropy that was given
//= rfc6455 5.3 MUST NOT 1: one key tells nothing about the next
//= rfc6455 6.1 MUST 7: frames of a client are masked
//= rfc6455 10.3 MUST 1: nobody can foresee a key
//= type=test
#[test]
fn trap_15_every_frame_has_a_masking_key_of_its_own() {
    const FRAMES: usize = 100_000;
    let keys = |seed| {
        let config =
            Arc::new(Config { limits: Limits { output: usize::MAX, ..Limits::default() }, ..Config::default() });
        let mut session = WebSocket::client(&Agreed::default(), config, Counter(seed), START).unwrap();
        // Data, whole and in fragments, and control frames draw on one generator.
        for frame in 0..FRAMES {
            match frame % 4 {
                0 => session.tx(START).send(Message::Binary(&[])).unwrap(),
                1 => session.tx(START).send(Message::Text("text")).unwrap(),
                2 => session.tx(START).begin(Kind::Binary, Compress::Auto).unwrap(),
                _ => session.tx(START).append(Message::Binary(&[0; 8])).unwrap(),
            }
            if frame % 4 == 3 {
                session.tx(START).finish().unwrap();
            }
        }
        let mut bytes = Vec::new();
        session.take(&mut bytes, START);
        masking_keys(&bytes)
    };
    let ours = keys(SEED);
    assert_eq!(ours.len(), FRAMES);
    let mut sorted: Vec<u32> = ours.iter().map(|key| u32::from_be_bytes(*key)).collect();
    sorted.sort_unstable();
    assert_eq!(sorted.windows(2).filter(|pair| pair[0] == pair[1]).count(), 0, "a key comes twice");
    // Each byte of the key, and each difference from the key before, is spread evenly over its 256 values: chi-square
    // with 255 degrees of freedom is 255 on average, its standard deviation 22.6.
    let successive =
        ours.windows(2).map(|pair| (u32::from_be_bytes(pair[0]) ^ u32::from_be_bytes(pair[1])).to_be_bytes());
    let differences: Vec<[u8; 4]> = successive.collect();
    for keys in [&ours, &differences] {
        for position in 0..4 {
            let mut counts = [0f64; 256];
            keys.iter().for_each(|key| counts[usize::from(key[position])] += 1.0);
            let expected = keys.len() as f64 / 256.0;
            let chi_square: f64 = counts.iter().map(|count| (count - expected).powi(2) / expected).sum();
            assert!((165.0..345.0).contains(&chi_square), "byte {position}: chi-square {chi_square}");
        }
    }
    // They come from the entropy that was given, and from nothing else.
    assert_eq!(keys(SEED), ours);
    assert_ne!(keys(SEED + 1)[..4], ours[..4]);
}

/// Of 100 000 random keys 1.2 pairs are equal on average; this seed is one without.
const SEED: u8 = 2;

#[test]
fn without_entropy_there_is_no_client() {
    struct Nothing;
    impl Entropy for Nothing {
        fn fill(&mut self, _out: &mut [u8]) -> Result<(), NoEntropy> {
            Err(NoEntropy)
        }
    }
    let config = Arc::new(Config::default());
    let agreed = Agreed::default();
    assert_eq!(WebSocket::client(&agreed, config.clone(), Nothing, START).unwrap_err(), NoEntropy);
    assert_eq!(Client::new(config, Nothing, START).unwrap_err(), NoEntropy);
}

#[test]
fn trap_16_the_mask_goes_on_over_reads_and_begins_anew_with_each_frame() {
    let payload: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let frames = [
        Frame::binary(&payload).encode(Some([0x11, 0x22, 0x44, 0x88])),
        Frame::binary(&payload[..7]).more().encode(Some([0xFF, 0, 0xFF, 0])),
        Frame::ping("between").encode(Some([9, 8, 7, 6])),
        Frame::continuation(&payload[..6]).encode(Some([1, 2, 3, 4])),
        Frame::text("ä".repeat(333)).encode(Some([5, 6, 7, 8])),
    ]
    .concat();
    let expected = [
        Seen::binary(&payload),
        Seen::ping("between"),
        Seen::binary([&payload[..7], &payload[..6]].concat()),
        Seen::text(&"ä".repeat(333)),
    ];
    // The harness cuts them at every byte, and into pieces of 1, 2, 3 and 5.
    as_server(|way| way.session().receives(&frames, &expected));
}

#[test]
fn what_a_read_begins_with_is_no_frame_where_another_is_under_way() {
    // Headers whose second part looks like a header: 0x81 is a length here, and a part of one.
    as_server(|way| {
        let bytes = [
            Frame::binary([7]).encode(Some([0x81, 1, 2, 3])),
            Frame::ping("0123456789").encode(Some([0x81, 0x82, 0x81, 0x82])),
            Frame::text("next").encode(Some([0; 4])),
        ]
        .concat();
        way.session().receives(&bytes, &[Seen::binary([7]), Seen::ping("0123456789"), Seen::text("next")]);
    });
    as_client(|way| {
        let payload = vec![0x81; 0x8105];
        way.session()
            .receives([Frame::binary(&payload), Frame::text("next")], &[Seen::binary(&payload), Seen::text("next")]);
    });
    // Payloads that are frames.
    in_every_way(|way| {
        let inner = [Frame::text("inner"), Frame::close(1000, "")].wire(way.role);
        let key = Some([0; 4]).filter(|_| way.role == Role::Server);
        let frames = [
            Frame::ping(&inner).encode(key),
            Frame::binary(&inner).encode(key),
            Frame::binary(&inner).more().encode(key),
            Frame::ping(&inner).encode(key),
            Frame::continuation(&inner).encode(key),
        ];
        let twice = [&inner[..], &inner].concat();
        let expected = [Seen::ping(&inner), Seen::binary(&inner), Seen::ping(&inner), Seen::binary(twice)];
        way.session().receives(&frames.concat(), &expected);
    });
}

//= rfc6455 5.4 MUST NOT 1: a control frame is never in fragments
//= rfc6455 5.4 MUST NOT 2: two messages do not mix their fragments
//= rfc6455 5.5 MUST 1: a control frame carries at most 125 bytes
//= rfc6455 5.5 MUST NOT 1: a control frame has FIN set
//= type=test
#[test]
fn trap_17_what_may_not_stand_between_fragments() {
    for role in ROLES {
        let begun = [Frame::text("a").more(), Frame::continuation("b").more()].wire(role);
        let then = |frame: Frame| [&begun[..], &frame.to(role)].concat();
        let first = begun.len() + 1;
        fails_at(role, &Config::default(), &then(Frame::text("c")), first, Error::ExpectedContinuation);
        fails_at(role, &Config::default(), &then(Frame::text("c").more()), first, Error::ExpectedContinuation);
        fails_at(role, &Config::default(), &then(Frame::binary("c")), first, Error::ExpectedContinuation);
        for opcode in [8, 9, 10] {
            let fragment = Frame::new(opcode, "cc").more();
            fails_at(role, &Config::default(), &then(fragment.clone()), first, Error::FragmentedControl);
            fails_at(role, &Config::default(), &fragment.to(role), 1, Error::FragmentedControl);
            for length in [126, 127, 65_536] {
                let long = Frame::new(opcode, vec![b'c'; length]);
                fails_at(role, &Config::default(), &long.to(role)[..20], 2, Error::ControlTooLong);
            }
        }
        for orphan in [Frame::continuation("c"), Frame::continuation("").more()] {
            fails_at(role, &Config::default(), &orphan.to(role), 1, Error::UnexpectedContinuation);
            // A message that is whole has no continuation.
            let behind = [Frame::text("whole"), orphan].wire(role);
            let at = Frame::text("whole").to(role).len() + 1;
            fails_at(role, &Config::default(), &behind, at, Error::UnexpectedContinuation);
        }
    }
}

//= rfc6455 5.4 MUST 2: control frames between fragments are understood
//= rfc6455 5.4 MUST 3: messages are taken whole and in fragments
//= rfc6455 6.2 MUST 2: control frames are acted upon
//= type=test
#[test]
fn trap_17_control_frames_between_fragments() {
    in_every_way(|way| {
        let mut session = way.session();
        let frames = [
            Frame::text("one ").more(),
            Frame::ping("a"),
            Frame::continuation("").more(),
            Frame::pong("b"),
            Frame::continuation("message"),
            Frame::binary("").more(),
            Frame::ping(""),
            Frame::continuation(""),
        ];
        session.receives(
            frames,
            &[Seen::ping("a"), Seen::pong("b"), Seen::text("one message"), Seen::ping(""), Seen::binary("")],
        );
        session.sends(&[Frame::pong("a"), Frame::pong("")]);
    });
    // A Close between fragments ends the message unfinished.
    in_every_way(|way| {
        let mut session = way.session();
        session.receives(
            [Frame::text("unfini").more(), Frame::close(1001, ""), Frame::continuation("shed")],
            &[Seen::closing(1001, ""), Seen::clean(1001, Cause::Peer)],
        );
        session.sends(&[Frame::close(1001, "")]);
    });
}

#[test]
fn trap_17_a_thousand_empty_fragments_are_legal_and_bounded() {
    let empty = |count: usize| {
        let mut frames = vec![Frame::text("").more()];
        frames.resize(count, Frame::continuation("").more());
        frames
    };
    for role in ROLES {
        let config = Config { limits: Limits { fragments: 1000, ..Limits::default() }, ..Config::default() };
        let all = [empty(1000), vec![Frame::continuation("too many")]].concat().wire(role);
        let at = empty(1000).wire(role).len() + 1;
        fails_at(role, &config, &all, at, Error::TooManyFragments);
    }
    in_every_way(|way| {
        let config = Config { limits: Limits { fragments: 10, ..Limits::default() }, ..Config::default() };
        let mut session = way.session_with(config);
        let last = vec![Frame::continuation("text")];
        session.receives(
            [empty(9), last.clone(), empty(9), vec![Frame::ping("")], last.clone()].concat(),
            &[Seen::text("text"), Seen::ping(""), Seen::text("text")],
        );
        session.receives([empty(10), last].concat(), &Seen::failure(Error::TooManyFragments));
        session.sends(&[Frame::pong(""), Frame::close(1008, "")]);
    });
}

#[test]
fn control_frames_of_every_legal_length() {
    for length in 0..=125 {
        in_both_roles(|way| {
            let payload = vec![length as u8; length];
            let mut session = way.session();
            session.receives(
                [Frame::ping(&payload), Frame::pong(&payload)],
                &[Seen::ping(&payload), Seen::pong(&payload)],
            );
            session.sends(&[Frame::pong(&payload)]);
        });
    }
}

//= rfc6455 5.1 MUST NOT 1: a server masks no frame
//= rfc6455 5.2 MUST 1: no reserved bit is sent
//= rfc6455 5.3 MUST 1: a masked frame has its mask bit set
//= rfc6455 6.1 MUST 4: data goes in frames
//= rfc6455 6.1 MUST 5: the first frame's opcode says text or binary
//= rfc6455 6.1 MUST 6: the last frame has FIN set
//= type=test
#[test]
fn sent_frames_take_the_shortest_form_of_their_length() {
    for (length, header) in [
        (0, &[0x82, 0][..]),
        (1, &[0x82, 1]),
        (125, &[0x82, 125]),
        (126, &[0x82, 126, 0, 126]),
        (65_535, &[0x82, 126, 0xFF, 0xFF]),
        (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
    ] {
        let payload: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        in_both_roles(|way| {
            let mut session = way.session();
            session.tx().send(Message::Binary(&payload)).unwrap();
            let sent = session.take_output();
            match way.role {
                Role::Server => assert_eq!(sent, [header, &payload].concat()),
                Role::Client => {
                    let mut masked = header.to_vec();
                    masked[1] |= 0x80;
                    assert_eq!(sent[..header.len()], masked);
                    assert_eq!(sent.len(), header.len() + 4 + payload.len());
                    assert_eq!(frames(&sent), [Frame::binary(&payload)]);
                }
            }
        });
        in_both_roles(|way| {
            let mut session = way.session();
            let text = "t".repeat(length);
            session.tx().send(Message::Text(&text)).unwrap();
            session.sends(&[Frame::text(text)]);
        });
    }
}

#[test]
fn a_control_payload_that_is_too_long_is_not_sent() {
    in_both_roles(|way| {
        let mut session = way.session();
        assert_eq!(session.tx().ping(&[0; 126]), Err(SendError::ControlTooLong));
        session.sends_nothing();
        assert_eq!(session.tx().ping(&[0; 125]), Ok(()));
        session.sends(&[Frame::ping([0; 125])]);
    });
}
