//! Does a message that is read into its own place come out as one that is fed, and what does that place cost?
//!
//! Two sessions get the same bytes. One is fed all of them; of the other's reads the first bytes go to the room that it
//! shows, as a vectored read puts them, and what is left is fed.

#![cfg(test)]

use std::time::Duration;

use proptest::prelude::*;
use sockless::{
    Cause, Config, Delivery, Error, Event, Incoming, Instant, KeepAlive, Kind, Limits, Message, Server, Timer,
    Transport, WebSocket,
};

mod common;
#[path = "common/heap.rs"]
mod heap;

use common::*;

const KIB: usize = 1 << 10;

/// One read, as far as the room goes into it, and behind that into a buffer; what it told.
fn read(session: &mut WebSocket, bytes: &[u8], now: Instant) -> Vec<Seen> {
    let room = session.receive_room();
    let (front, back) = bytes.split_at(bytes.len().min(room.len()));
    room[..front.len()].copy_from_slice(front);
    session.received(front.len(), now);
    let (mut back, mut told) = (back.to_vec(), Vec::new());
    let mut input = &mut back[..];
    while let Some(Incoming { event, .. }) = session.receive(&mut input, now) {
        told.push(Seen::of(event));
    }
    told
}

/// Frames whose messages are long enough for there to be room.
fn message() -> impl Strategy<Value = Vec<Frame>> {
    let text = prop::sample::select(vec!["plain ", "plain, 64 of them, and then … ", "кириллица ", "😀"]);
    let payload = (text, 0usize..60_000, any::<bool>(), prop::option::weighted(0.2, any::<prop::sample::Index>()));
    let payload = payload.prop_map(|(text, length, starts_plain, broken)| {
        let mut bytes = if starts_plain { vec![b'a'; length / 2] } else { Vec::new() };
        bytes.extend(text.bytes().cycle().take(length / 2 / text.len() * text.len()));
        if let (Some(index), false) = (broken, bytes.is_empty()) {
            let at = index.index(bytes.len());
            bytes[at] = 0xFF;
        }
        bytes
    });
    (payload, any::<bool>(), prop::collection::vec(any::<prop::sample::Index>(), 0..3)).prop_map(
        |(payload, is_text, cuts)| {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
            cuts.sort_unstable();
            let (mut frames, mut from) = (Vec::new(), 0);
            for to in cuts.into_iter().chain([payload.len()]) {
                let opcode = if from > 0 || !frames.is_empty() { 0 } else { 2 - u8::from(is_text) };
                frames.push(Frame::new(opcode, &payload[from..to]).more());
                if opcode == 0 {
                    frames.push(Frame::ping("between"));
                }
                from = to;
            }
            frames.push(Frame::continuation(""));
            frames
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn what_is_read_into_the_room_comes_out_as_what_is_fed(
        role in prop::sample::select(vec![Role::Server, Role::Client]),
        messages in prop::collection::vec(message(), 1..4),
        reads in prop::collection::vec(prop_oneof![1usize..5000, 4096usize..70_000], 1..5),
    ) {
        let config = || Config { limits: Limits { message: 50_000, ..Limits::default() }, ..Config::default() };
        let (mut fed, mut with_room) = (bare_session(role, config()), bare_session(role, config()));
        let bytes: Vec<u8> = messages.iter().flatten().flat_map(|frame| frame.to(role)).collect();
        let (mut rest, mut reads) = (&bytes[..], reads.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*reads.next().unwrap()));
            rest = later;
            let expected = events(&mut fed, &mut now.to_vec());
            prop_assert_eq!(read(&mut with_room, now, START), expected);
            let (mut theirs, mut ours) = (Vec::new(), Vec::new());
            fed.take(&mut theirs, START);
            with_room.take(&mut ours, START);
            prop_assert_eq!(ours, theirs);
            prop_assert_eq!(with_room.transport(), fed.transport());
        }
    }
}

/// The head of a frame of a binary message, and the first of its payload, all zeros.
fn begun(role: Role, length: usize, there: usize) -> Vec<u8> {
    let mut bytes = Frame::binary(vec![0; length]).to(role);
    let header = bytes.len() - length;
    if role == Role::Server {
        bytes[header - 4..].fill(0);
    }
    bytes.truncate(header + there);
    bytes
}

#[test]
fn there_is_room_for_what_is_missing_of_a_long_message() {
    for role in [Role::Server, Role::Client] {
        let mut session = bare_session(role, Config::default());
        assert_eq!(session.receive_room().len(), 0, "nothing has come");
        assert_eq!(events(&mut session, &mut begun(role, 100 * KIB, 16 * KIB)), []);
        assert_eq!(session.receive_room().len(), 16 * KIB, "as much as has come");
        assert_eq!(session.receive_room().len(), 16 * KIB, "asking changes nothing");

        session.receive_room()[..10].fill(1);
        session.received(10, START);
        assert_eq!(session.receive_room().len(), 16 * KIB - 10, "a short read");
        session.received(0, START);
        session.received(usize::MAX, START);
        assert_eq!(session.receive_room().len(), 32 * KIB);
        session.received(32 * KIB, START);
        assert_eq!(session.receive_room().len(), 36 * KIB, "no more than is missing");
        session.received(36 * KIB, START);
        assert_eq!(session.receive_room().len(), 0, "all has come");

        let mut expected = vec![0; 100 * KIB];
        expected[16 * KIB..][..10].fill(1);
        assert_eq!(events(&mut session, &mut []), [Seen::Binary(expected)]);
        assert_eq!(session.receive_room().len(), 0, "between messages");

        // The memory of the last message is there, so there is room for all.
        assert_eq!(events(&mut session, &mut begun(role, 90 * KIB, 5 * KIB)), []);
        assert_eq!(session.receive_room().len(), 85 * KIB);
    }
}

#[test]
fn a_read_behind_the_room_goes_on_with_the_same_frame() {
    let mut session = bare_session(Role::Client, Config::default());
    assert_eq!(events(&mut session, &mut begun(Role::Client, 20 * KIB, 4 * KIB)), []);
    session.receive_room().fill(1);
    session.received(4 * KIB, START);
    let mut rest = [vec![2; 12 * KIB], Frame::text("next").to(Role::Client)].concat();
    let expected = [vec![0; 4 * KIB], vec![1; 4 * KIB], vec![2; 12 * KIB]].concat();
    assert_eq!(events(&mut session, &mut rest), [Seen::Binary(expected), Seen::text("next")]);
}

#[test]
fn there_is_none_where_it_would_not_be_the_messages_place() {
    let role = Role::Client;
    let after = |config: Config, input: &mut [u8]| {
        let mut session = bare_session(role, config);
        events(&mut session, input);
        session.receive_room().len()
    };
    assert_eq!(after(Config::default(), &mut begun(role, 8 * KIB, 4 * KIB)), 4 * KIB);
    assert_eq!(after(Config::default(), &mut begun(role, 8 * KIB, 4 * KIB - 1)), 0, "little has come");
    assert_eq!(after(Config::default(), &mut begun(role, 8 * KIB, 4 * KIB + 1)), 0, "little is missing");
    let chunks = || Config { delivery: Delivery::Chunks, ..Config::default() };
    assert_eq!(after(chunks(), &mut begun(role, 8 * KIB, 4 * KIB)), 0, "chunks are lent as they come");

    let first = || Frame::binary(vec![0; 8 * KIB]).more().to(role);
    assert_eq!(after(Config::default(), &mut first()), 0, "no frame is under way");
    let ping = [first(), Frame::ping("a long one").to(role)].concat();
    assert_eq!(after(Config::default(), &mut ping[..ping.len() - 5].to_vec()), 0, "a Ping is");

    let mut session = bare_session(role, Config::default());
    events(&mut session, &mut begun(role, 8 * KIB, 4 * KIB));
    session.tx(START).abort();
    assert_eq!(session.receive_room().len(), 0, "aborted");
    session.received(4 * KIB, START);
    assert_eq!(events(&mut session, &mut []), [Seen::unclean(Cause::Local)]);

    let mut session = bare_session(role, Config::default());
    events(&mut session, &mut begun(role, 8 * KIB, 4 * KIB));
    session.receive_eof(START);
    assert_eq!(session.receive_room().len(), 0, "over");
}

#[cfg(feature = "deflate")]
#[test]
fn a_compressed_message_has_its_place_elsewhere() {
    let agreed = sockless::Agreed::default().with_deflate(Default::default());
    let mut session = WebSocket::server(&agreed, Default::default(), START);
    let mut payload = vec![0x00, 0x00, 0x80, 0xFF, 0x7F];
    payload.resize(8 * KIB, b'a');
    let mut bytes = Frame::binary(payload).rsv(4).to(Role::Server);
    bytes.truncate(6 * KIB);
    assert_eq!(events(&mut session, &mut bytes), []);
    assert_eq!(session.receive_room().len(), 0);
}

#[test]
fn before_the_opening_handshake_there_is_none() {
    let mut server = Server::new(Default::default(), START);
    assert_eq!(server.receive_room().len(), 0);
    server.received(10, START);
    assert!(!server.is_closed());
}

//= rfc6455 8.1 MUST 1: text that is not UTF-8 fails the connection
//= type=test
#[test]
fn text_in_the_room_fails_with_the_read_that_proves_it() {
    for bad in [&b"\xFF"[..], b"\xED\xA0", b"\xF4\x90"] {
        for offset in [0, 100, 1000] {
            let mut session = bare_session(Role::Client, Config::default());
            let mut bytes = Frame::text(vec![b'a'; 30 * KIB]).to(Role::Client);
            bytes.truncate(4 + 8 * KIB);
            assert_eq!(events(&mut session, &mut bytes), []);
            let room = session.receive_room();
            assert_eq!(room.len(), 8 * KIB);
            room.fill(b'a');
            room[offset..][..bad.len()].copy_from_slice(bad);
            session.received(8 * KIB, START);
            let expected = [Seen::Failed(Error::InvalidUtf8), Seen::unclean(Cause::Fault)];
            assert_eq!(events(&mut session, &mut []), expected, "{bad:02X?} at {offset}");
        }
    }
}

#[test]
fn a_character_may_lie_across_reads_into_the_room() {
    let text = format!("{}{}😀{}", "a".repeat(8 * KIB), "b".repeat(8 * KIB - 3), "c".repeat(10 * KIB));
    let bytes = Frame::text(&text).to(Role::Client);
    let mut session = bare_session(Role::Client, Config::default());
    let (first, rest) = bytes.split_at(4 + 8 * KIB);
    let (second, third) = rest.split_at(8 * KIB);
    assert_eq!(read(&mut session, first, START), []);
    assert_eq!(session.receive_room().len(), 8 * KIB);
    assert_eq!(read(&mut session, second, START), []);
    assert_eq!(session.receive_room().len(), 0, "what is not ASCII is validated on its way into a string");
    assert_eq!(read(&mut session, third, START), [Seen::text(&text)]);

    let cut = Frame::text(&text.as_bytes()[..16 * KIB]).to(Role::Client);
    let mut session = bare_session(Role::Client, Config::default());
    assert_eq!(read(&mut session, &cut[..4 + 8 * KIB], START), []);
    let expected = [Seen::Failed(Error::InvalidUtf8), Seen::unclean(Cause::Fault)];
    assert_eq!(read(&mut session, &cut[4 + 8 * KIB..], START), expected, "the message ends within a character");
}

#[test]
fn what_is_read_there_shows_that_the_peer_is_alive() {
    let keep_alive = KeepAlive::Ping { interval: Duration::from_secs(20), timeout: Duration::from_secs(10) };
    for (is_alive, expected) in [(true, Transport::Open), (false, Transport::Reset)] {
        let mut session = bare_session(Role::Client, Config { keep_alive, ..Config::default() });
        events(&mut session, &mut begun(Role::Client, 64 * KIB, 8 * KIB));
        let mut now = START + Duration::from_secs(20);
        session.handle_timeout(now);
        session.take(&mut Vec::new(), now);
        now = now + Duration::from_secs(1);
        session.receive_room();
        session.received(usize::from(is_alive), now);
        session.handle_timeout(now + Duration::from_secs(9));
        assert_eq!(session.transport(), expected, "alive: {is_alive}");
    }
}

/// A claim of any length costs no more than twice what has come.
#[test]
fn the_room_is_never_larger_than_what_has_come() {
    for kind in [Kind::Binary, Kind::Text] {
        let config = || Config {
            limits: Limits { message: u64::MAX, frame: u64::MAX, ..Limits::default() },
            ..Config::default()
        };
        let mut session = bare_session(Role::Client, config());
        let opcode = if kind == Kind::Text { 0x81 } else { 0x82 };
        let mut input = [&[opcode, 127, 0x7F][..], &[0xFF; 7], &[b'a'; 4 * KIB]].concat();
        let (mut come, mut most) = (4 * KIB, 0);
        let (_, measured) = heap::measure(|| {
            assert_eq!(events(&mut session, &mut input), []);
            for _ in 0..30 {
                let room = session.receive_room();
                room.fill(b'a');
                most = room.len().max(most);
                assert!(room.len() <= come && room.len() <= 128 * KIB, "{} of {come}", room.len());
                come += room.len();
                session.received(usize::MAX, START);
                assert_eq!(events(&mut session, &mut []), []);
            }
        });
        assert_eq!(most, 128 * KIB);
        assert!(measured.peak <= 2 * come, "{kind:?}: {measured:?} for {come} bytes");
    }
}

#[test]
fn a_released_session_gives_the_room_back() {
    let mut session = bare_session(Role::Client, Config::default());
    let mut long = begun(Role::Client, 64 * KIB, 64 * KIB);
    let (first, rest) = long.split_at_mut(32 * KIB);
    let (_, measured) = heap::measure(|| {
        assert!(session.receive(&mut &mut first[..], START).is_none());
        let length = session.receive_room().len();
        session.received(length, START);
        let left = rest.len() - length;
        session.receive(&mut &mut rest[..left], START).unwrap();
        session.release();
    });
    assert_eq!(measured.held, 0);
    assert!(measured.peak >= 64 * KIB);
}

/// A session that has the memory of a message of this length, all 9.
fn with_memory(length: usize) -> WebSocket {
    let mut session = bare_session(Role::Client, Config::default());
    let mut long = Frame::binary(vec![9; length]).to(Role::Client);
    let (first, rest) = long.split_at_mut(length / 2);
    assert_eq!(events(&mut session, first), []);
    assert_eq!(events(&mut session, rest), [Seen::Binary(vec![9; length])]);
    session
}

#[test]
fn more_than_the_room_was_long_counts_as_all_of_it() {
    let mut session = with_memory(1 << 20);
    assert_eq!(events(&mut session, &mut begun(Role::Client, 300 * KIB, 8 * KIB)), []);
    assert_eq!(session.receive_room().len(), 128 * KIB, "of the 292 that are missing");
    session.receive_room().fill(1);
    session.received(usize::MAX, START);
    assert_eq!(session.receive_room().len(), 128 * KIB, "of the 164 that are missing");
    let expected = [vec![0; 8 * KIB], vec![1; 128 * KIB], vec![2; 164 * KIB]].concat();
    assert_eq!(events(&mut session, &mut vec![2; 164 * KIB]), [Seen::Binary(expected)]);
}

#[test]
fn what_was_not_asked_for_does_not_count() {
    let role = Role::Client;
    // A Ping between fragments, cut by a read: there is memory, and a message under way, but no room.
    let mut session = with_memory(64 * KIB);
    let first = Frame::binary(vec![1; 8 * KIB]).more().to(role);
    let ping = Frame::ping("a long one").to(role);
    let mut input = [&first[..], &ping[..5]].concat();
    assert_eq!(events(&mut session, &mut input), []);
    session.received(4, START);
    let mut rest = [&ping[5..], &Frame::continuation("").to(role)].concat();
    assert_eq!(events(&mut session, &mut rest), [Seen::ping("a long one"), Seen::Binary(vec![1; 8 * KIB])]);

    // Little has come and there is no memory, so there is no room yet.
    let mut session = bare_session(role, Config::default());
    let mut long = begun(role, 16 * KIB, 16 * KIB);
    let (first, rest) = long.split_at_mut(KIB);
    assert_eq!(events(&mut session, first), []);
    session.received(4 * KIB, START);
    assert_eq!(events(&mut session, rest), [Seen::Binary(vec![0; 16 * KIB])]);
}

#[test]
fn short_reads_cost_no_more_than_twice_what_has_come() {
    let mut session = bare_session(Role::Client, Config::default());
    let mut input = begun(Role::Client, 200 * KIB, 4 * KIB);
    let (_, measured) = heap::measure(|| {
        let start = heap::held();
        assert!(session.receive(&mut &mut input[..], START).is_none());
        for come in 4 * KIB..100 * KIB {
            session.receive_room();
            assert!(heap::held_since(start) <= 2 * come as isize, "{} for {come}", heap::held_since(start));
            session.received(1, START);
            assert!(session.receive(&mut &mut [][..], START).is_none());
        }
    });
    assert!(measured.allocations < 30, "{measured:?}");
}

/// Text is put together as bytes while it is ASCII, then as characters: its memory goes along.
#[test]
fn text_that_is_ascii_nearly_to_its_end_is_held_once() {
    let limits = Limits { message: 1 << 20, ..Limits::default() };
    let mut session = bare_session(Role::Client, Config { limits, ..Config::default() });
    let text = "a".repeat((1 << 20) - 2) + "é";
    let bytes = Frame::text(&text).to(Role::Client);
    let (mut first, mut last) = (bytes[..64 * KIB].to_vec(), bytes[bytes.len() - KIB..].to_vec());
    let (_, measured) = heap::measure(|| {
        assert!(session.receive(&mut &mut first[..], START).is_none());
        let mut rest = &bytes[64 * KIB..bytes.len() - KIB];
        while !rest.is_empty() {
            let room = session.receive_room();
            let (read, behind) = rest.split_at(room.len().min(rest.len()));
            room[..read.len()].copy_from_slice(read);
            session.received(read.len(), START);
            rest = behind;
        }
        let Some(Incoming { event: Event::Message(Message::Text(whole)), .. }) =
            session.receive(&mut &mut last[..], START)
        else {
            panic!("no text")
        };
        assert!(whole == text);
    });
    assert!(measured.peak <= 1 << 20, "{measured:?}");
}

#[test]
fn a_character_that_a_read_cut_takes_no_memory_past_the_limit() {
    let limits = Limits { message: 100_000, ..Limits::default() };
    let mut session = bare_session(Role::Client, Config { limits, ..Config::default() });
    let mut bytes = Frame::text("😀".to_owned() + &"a".repeat(60_000)).to(Role::Client);
    let (first, rest) = bytes.split_at_mut(4 + 3);
    let (_, measured) = heap::measure(|| {
        assert!(session.receive(&mut &mut first[..], START).is_none());
        assert!(session.receive(&mut &mut rest[..], START).is_some());
    });
    assert!(measured.peak <= 100_000, "{measured:?}");
}

#[test]
fn what_the_room_held_before_is_no_part_of_the_message() {
    let mut session = with_memory(64 * KIB);
    assert_eq!(events(&mut session, &mut begun(Role::Client, 32 * KIB, 8 * KIB)), []);
    // Asked for, and then nothing read, or read elsewhere.
    assert_eq!(session.receive_room().len(), 24 * KIB);
    session.received(0, START);
    assert_eq!(events(&mut session, &mut vec![1; 8 * KIB]), []);
    assert_eq!(session.receive_room().len(), 16 * KIB);
    session.pause(START);
    session.release();
    session.handle_timeout(START + Duration::from_secs(1));
    session.resume(START + Duration::from_secs(1));
    let expected = [vec![0; 8 * KIB], vec![1; 8 * KIB], vec![2; 16 * KIB]].concat();
    assert_eq!(events(&mut session, &mut vec![2; 16 * KIB]), [Seen::Binary(expected)]);
}

#[test]
fn a_message_that_was_read_to_its_end_waits_to_be_lent() {
    let message_timeout = Some(Duration::from_secs(60));
    let release = Some(Duration::from_secs(5));
    let limits = Limits { message_timeout, release, ..Limits::default() };
    let mut session = bare_session(Role::Client, Config { limits, ..Config::default() });
    assert_eq!(events(&mut session, &mut begun(Role::Client, 16 * KIB, 8 * KIB)), []);
    session.receive_room().fill(1);
    session.received(8 * KIB, START);
    let later = START + Duration::from_secs(30);
    session.handle_timeout(later);
    session.release();
    assert_eq!(session.receive_room().len(), 0);
    session.received(8 * KIB, later);
    // What is read next comes behind it.
    let next = Frame::text("next").to(Role::Client);
    let expected = [vec![0; 8 * KIB], vec![1; 8 * KIB]].concat();
    assert_eq!(read(&mut session, &next, later), [Seen::Binary(expected), Seen::text("next")]);
    let (deadline, timer) = session.poll_timeout().unwrap();
    assert_eq!((deadline, timer), (later + Duration::from_secs(5), Timer::Release));
}
