//! Do messages become the right frames, and does the transport get each byte once, in order? (RFC 6455 §5.4 to §6.1)
//!
//! Every way to send, every reason not to, and what stands between: Pongs, Pings, flushes, a transport that takes a
//! byte at a time. What `transmit` has shown is shown again, unchanged, until it is acknowledged.

#![cfg(test)]

use std::io::IoSlice;
use std::sync::Arc;

use sockless::{
    Accept, Close, CloseCode, Compress, Config, Event, Incoming, Kind, Limits, Message, OriginPolicy, Prepared, Reason,
    SendError, Sender, Server, ServerEvent, Shared, Transport, WebSocket,
};

mod common;

use common::*;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn with_output_limit(output: usize) -> Config {
    Config { limits: Limits { output, ..Limits::default() }, ..Config::default() }
}

//= rfc6455 6.1 MUST 1: a message is sent by the steps of this section
//= rfc6455 6.1 MUST 4: in a frame
//= rfc6455 6.1 MUST 5: whose opcode says text or binary
//= rfc6455 6.1 MUST 6: and whose FIN is set
//= rfc6455 6.1 MUST 7: masked by a client
//= rfc6455 6.1 MUST 8: all of it
//= type=test
#[test]
fn a_message_is_the_same_frame_however_it_is_sent() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let text = "t".repeat(length);
        let bytes = vec![0xB5; length];
        in_both_roles(|way| {
            let mut session = way.session_with(with_output_limit(usize::MAX));
            let tx = session.tx();
            tx.send(Message::Text(&text)).unwrap();
            tx.send(Message::Binary(&bytes)).unwrap();
            for compress in [Compress::Auto, Compress::Never, Compress::Always] {
                // No extension was agreed on.
                tx.send_with(Message::Text(&text), compress).unwrap();
            }
            tx.send_shared(&Shared::text(text.clone()).unwrap()).unwrap();
            tx.send_shared(&Shared::from(text.clone())).unwrap();
            tx.send_shared(&Shared::binary(bytes.clone())).unwrap();
            tx.send_shared(&Shared::from(bytes.clone())).unwrap();
            tx.send_prepared(&Prepared::new(Message::Text(&text))).unwrap();
            tx.send_prepared(&Prepared::new(Message::Binary(&bytes))).unwrap();
            let (text, binary) = (Frame::text(&text), Frame::binary(&bytes));
            session.sends(&[
                text.clone(),
                binary.clone(),
                text.clone(),
                text.clone(),
                text.clone(),
                text.clone(),
                text.clone(),
                binary.clone(),
                binary.clone(),
                text,
                binary,
            ]);
        });
    }
    assert!(Shared::text(&b"\xFF"[..]).is_err(), "shared text is validated once, here");
}

#[test]
fn frames_of_all_lengths_are_whole_whether_there_is_room_for_them_or_not() {
    let lengths = (0..300).chain([511, 512, 513, 1024, 4096, 65_535, 65_536]);
    let messages: Vec<Vec<u8>> = lengths.map(|length| (0..length).map(|at| (at * 7) as u8).collect()).collect();
    let frames: Vec<Frame> = messages.iter().map(Frame::binary).collect();
    in_both_roles(|way| {
        let mut session = way.session_with(with_output_limit(usize::MAX));
        // What the first round has left is room for the next, where each frame lies elsewhere.
        for before in 0..4 {
            session.tx().send(Message::Binary(&messages[before])).unwrap();
            messages.iter().for_each(|message| session.tx().send(Message::Binary(message)).unwrap());
            session.sends(&[&frames[before..=before], &frames].concat());
        }
        for (message, frame) in messages.iter().zip(&frames) {
            session.tx().send(Message::Binary(message)).unwrap();
            session.sends(std::slice::from_ref(frame));
        }
    });
}

#[test]
fn a_server_sends_shared_and_prepared_bodies_by_reference() {
    let shared = Shared::binary(vec![7; 1000]);
    let prepared = Prepared::new(Message::Binary(&[8; 1000]));
    for role in ROLES {
        let mut session = bare_session(role, Config::default());
        session.tx(START).send_shared(&shared).unwrap();
        session.tx(START).send_prepared(&prepared).unwrap();
        let shown: Vec<*const u8> = session.transmit_slices().map(<[u8]>::as_ptr).collect();
        let holds = |body: &[u8]| shown.iter().any(|slice| body.as_ptr_range().contains(slice));
        assert_eq!(holds(shared.as_bytes()), role == Role::Server);
        // Its frame begins before the payload, in the same allocation.
        let before = prepared.payload().as_ptr().wrapping_sub(4);
        assert_eq!(shown.contains(&before), role == Role::Server);
        assert_eq!(session.tx(START).queued(), if role == Role::Server { 2008 } else { 2016 });
    }
}

// Messages of unknown length.

//= rfc6455 6.1 MUST 5: the first frame says the type, and only it
//= rfc6455 6.1 MUST 6: the last has FIN set, and only it
//= type=test
#[test]
fn a_streamed_message_with_anything_between_its_fragments() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().begin(Kind::Text, Compress::Auto).unwrap();
        session.sends_nothing();
        session.tx().append(Message::Text("one, ")).unwrap();
        session.sends(&[Frame::text("one, ").more()]);
        session.receives(Frame::ping("theirs"), &[Seen::ping("theirs")]);
        session.sends(&[Frame::pong("theirs")]);
        session.tx().ping(b"ours").unwrap();
        session.tx().append(Message::Text("two, ")).unwrap();
        session.receives(
            [Frame::text("a message of theirs"), Frame::pong("ours")],
            &[Seen::text("a message of theirs"), Seen::pong("ours")],
        );
        session.tx().append(Message::Text("")).unwrap();
        session.sends(&[Frame::ping("ours"), Frame::continuation("two, ").more(), Frame::continuation("").more()]);
        session.tx().append(Message::Text("three")).unwrap();
        session.tx().finish().unwrap();
        session.tx().send(Message::Binary(b"next")).unwrap();
        session.sends(&[Frame::continuation("three").more(), Frame::continuation(""), Frame::binary("next")]);
    });
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().begin(Kind::Binary, Compress::Always).unwrap();
        session.tx().finish().unwrap();
        session.sends(&[Frame::binary("")]);
    });
}

//= rfc6455 6.1 MUST 6: the last frame has FIN set
//= type=test
#[test]
fn a_last_part_ends_its_message() {
    in_both_roles(|way| {
        let mut session = way.session();
        let tx = session.tx();
        assert_eq!(tx.finish_with(Message::Text("x")), Err(SendError::NoMessage));
        tx.begin(Kind::Text, Compress::Auto).unwrap();
        assert_eq!(tx.finish_with(Message::Binary(b"x")), Err(SendError::WrongKind));
        tx.append(Message::Text("one")).unwrap();
        tx.finish_with(Message::Text("two")).unwrap();
        assert_eq!(tx.finish(), Err(SendError::NoMessage));
        tx.begin(Kind::Binary, Compress::Auto).unwrap();
        tx.finish_with(Message::Binary(b"all")).unwrap();
        session.sends(&[Frame::text("one").more(), Frame::continuation("two"), Frame::binary("all")]);
    });
}

#[test]
fn what_is_out_of_order_is_refused_and_changes_nothing() {
    in_both_roles(|way| {
        let mut session = way.session();
        let tx = session.tx();
        assert_eq!(tx.append(Message::Text("x")), Err(SendError::NoMessage));
        assert_eq!(tx.finish(), Err(SendError::NoMessage));
        tx.begin(Kind::Text, Compress::Auto).unwrap();
        for began in [false, true] {
            assert_eq!(tx.send(Message::Text("x")), Err(SendError::MidMessage));
            assert_eq!(tx.send_with(Message::Text("x"), Compress::Never), Err(SendError::MidMessage));
            assert_eq!(tx.send_through(Message::Text("x"), Compress::Never).err(), Some(SendError::MidMessage));
            assert_eq!(tx.send_shared(&Shared::binary("x")), Err(SendError::MidMessage));
            assert_eq!(tx.send_prepared(&Prepared::new(Message::Text("x"))), Err(SendError::MidMessage));
            assert_eq!(tx.begin(Kind::Text, Compress::Auto), Err(SendError::MidMessage));
            assert_eq!(tx.append(Message::Binary(b"x")), Err(SendError::WrongKind));
            assert!(!tx.is_ready());
            if !began {
                assert_eq!(tx.queued(), 0);
                tx.append(Message::Text("part")).unwrap();
            }
        }
        tx.finish().unwrap();
        assert_eq!(tx.finish(), Err(SendError::NoMessage));
        assert!(tx.is_ready());
        session.sends(&[Frame::text("part").more(), Frame::continuation("")]);
    });
}

// Back-pressure.

#[test]
fn a_full_queue_takes_no_message_until_the_transport_took_some() {
    in_both_roles(|way| {
        let overhead = if way.role == Role::Client { 6 } else { 2 };
        // The second message may overshoot the limit.
        let mut session = way.session_with(with_output_limit(overhead + 11));
        let tx = session.tx();
        tx.send(Message::Text("0123456789")).unwrap();
        assert!((tx.is_ready(), tx.is_full()) == (true, false));
        tx.send(Message::Text("overshoots")).unwrap();
        let queued = tx.queued();
        assert_eq!(queued, 2 * (overhead + 10));
        assert!((tx.is_ready(), tx.is_full()) == (false, true));
        assert_eq!(tx.send(Message::Text("")), Err(SendError::Full));
        assert_eq!(tx.send_through(Message::Text(""), Compress::Auto).err(), Some(SendError::Full));
        assert_eq!(tx.send_with(Message::Binary(b""), Compress::Auto), Err(SendError::Full));
        assert_eq!(tx.send_shared(&Shared::binary("")), Err(SendError::Full));
        assert_eq!(tx.send_prepared(&Prepared::new(Message::Text(""))), Err(SendError::Full));
        assert_eq!(tx.begin(Kind::Text, Compress::Auto), Err(SendError::Full));
        assert_eq!(tx.queued(), queued);
        // It is the queue's length that counts, byte by byte.
        session.engine.transmitted(overhead + 9, START);
        assert_eq!(session.tx().send(Message::Text("")), Err(SendError::Full));
        session.engine.transmitted(1, START);
        assert!(session.tx().is_ready());
        session.tx().send(Message::Text("third")).unwrap();
        session.sends(&[Frame::text("overshoots"), Frame::text("third")]);
    });
}

#[test]
fn a_full_queue_still_takes_control_frames_and_the_end_of_a_message() {
    in_every_way(|way| {
        let mut session = way.session_with(with_output_limit(1));
        session.tx().begin(Kind::Text, Compress::Auto).unwrap();
        session.tx().append(Message::Text("fills it")).unwrap();
        assert_eq!(session.tx().append(Message::Text("x")), Err(SendError::Full));
        assert_eq!(session.tx().finish_with(Message::Text("x")), Err(SendError::Full));
        session.tx().finish().unwrap();
        session.tx().ping(b"ours").unwrap();
        session.receives(Frame::ping("theirs"), &[Seen::ping("theirs")]);
        session.tx().close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        session.sends(&[
            Frame::text("fills it").more(),
            Frame::continuation(""),
            Frame::ping("ours"),
            Frame::pong("theirs"),
            Frame::close(1000, ""),
        ]);
    });
}

#[test]
fn one_ping_at_a_time_waits_for_the_transport() {
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("before")).unwrap();
        session.tx().ping(b"one").unwrap();
        assert_eq!(session.tx().ping(b"two"), Err(SendError::PingQueued));
        let queued = session.tx().queued();
        session.tx().send(Message::Text("behind")).unwrap();
        session.engine.transmitted(queued - 1, START);
        assert_eq!(session.tx().ping(b"two"), Err(SendError::PingQueued), "its last byte is still there");
        session.engine.transmitted(1, START);
        session.tx().ping(b"two").unwrap();
        session.sends(&[Frame::text("behind"), Frame::ping("two")]);
        session.tx().ping(b"three").unwrap();
        session.sends(&[Frame::ping("three")]);
    });
}

// Pongs.

//= rfc6455 5.5.2 MUST 1: a Ping is answered
//= rfc6455 6.2 MUST 2: control frames are acted upon
//= type=test
#[test]
fn trap_18_a_ping_is_answered_with_its_data_in_its_place() {
    in_every_way(|way| {
        let mut session = way.session();
        let pings: Vec<Frame> = (0..10).map(|number| Frame::ping([b'0' + number])).collect();
        let seen: Vec<Seen> = (0..10).map(|number| Seen::ping([b'0' + number])).collect();
        session.receives(pings, &seen);
        let pongs: Vec<Frame> = (0..10).map(|number| Frame::pong([b'0' + number])).collect();
        session.sends(&pongs);
        session.receives(Frame::ping([0xFF; 125]), &[Seen::ping([0xFF; 125])]);
        session.sends(&[Frame::pong([0xFF; 125])]);
        session.receives(Frame::ping(""), &[Seen::ping("")]);
        session.sends(&[Frame::pong("")]);
    });
}

#[test]
fn trap_18_an_unsolicited_pong_is_not_answered() {
    in_every_way(|way| {
        let mut session = way.session();
        session.receives([Frame::pong("unasked"), Frame::pong("")], &[Seen::pong("unasked"), Seen::pong("")]);
        session.sends_nothing();
    });
}

#[test]
fn trap_18_while_the_transport_takes_nothing_the_newest_ping_waits_for_its_pong() {
    for role in ROLES {
        let mut session = bare_session(role, Config::default());
        session.tx(START).send(Message::Text("before")).unwrap();
        let mut shown = Vec::new();
        for number in 0..100u8 {
            let mut ping = Frame::ping([number; 125]).to(role);
            assert_eq!(events(&mut session, &mut ping), [Seen::ping([number; 125])]);
            let now = show(&mut session);
            assert!(now.starts_with(&shown), "what was shown has changed");
            shown = now;
        }
        // Two are queued in their place; of the others, one waits for these to be taken.
        assert_eq!(frames(&shown), [Frame::text("before"), Frame::pong([0; 125]), Frame::pong([1; 125])]);
        session.transmitted(shown.len() - 1, START);
        assert_eq!(show(&mut session), shown[shown.len() - 1..]);
        session.transmitted(1, START);
        let last = show(&mut session);
        assert_eq!(frames(&last), [Frame::pong([99; 125])]);
        session.transmitted(last.len(), START);
        assert_eq!(show(&mut session), []);
    }
}

#[test]
fn the_pong_that_waits_is_taken_with_the_others() {
    for role in ROLES {
        let mut session = bare_session(role, Config::default());
        for number in 0..4 {
            hear(&mut session, role, &Frame::ping([number; 125]));
        }
        let mut taken = Vec::new();
        session.take(&mut taken, START);
        assert_eq!(frames(&taken), [0, 1, 3].map(|number| Frame::pong([number; 125])));
        assert!(!session.has_output());
    }
}

// What the transport is shown.

fn show(session: &mut WebSocket) -> Vec<u8> {
    session.transmit_slices().flatten().copied().collect()
}

/// Everything that can be called while output is queued. Each step leaves the session open but for the last ones.
const STEPS: [fn(&mut WebSocket, Role); 16] = [
    |session, _| session.tx(START).send(Message::Text("text")).unwrap(),
    |session, role| hear(session, role, &Frame::ping("1")),
    |session, _| session.tx(START).send_shared(&Shared::binary("shared by reference")).unwrap(),
    |session, role| hear(session, role, &Frame::ping("2")),
    |session, role| hear(session, role, &Frame::text("theirs")),
    |session, _| session.tx(START).begin(Kind::Binary, Compress::Auto).unwrap(),
    |session, _| session.tx(START).append(Message::Binary(b"part")).unwrap(),
    |session, role| hear(session, role, &Frame::ping("3")),
    |session, _| session.tx(START).append(Message::Binary(&[1; 300])).unwrap(),
    |session, _| session.tx(START).finish().unwrap(),
    |session, _| session.tx(START).ping(b"ours").unwrap(),
    |session, _| session.release(),
    |session, _| session.tx(START).send_prepared(&Prepared::new(Message::Text("prepared"))).unwrap(),
    |session, role| hear(session, role, &Frame::ping("4")),
    |session, _| session.tx(START).close(Close::With(CloseCode::NORMAL, Reason::EMPTY)),
    |session, role| hear(session, role, &Frame::close(1000, "")),
];

fn hear(session: &mut WebSocket, role: Role, frame: &Frame) {
    assert!(!events(session, &mut frame.to(role)).is_empty());
}

/// What the steps send, but for Pongs.
fn sent_by_the_steps() -> Vec<Frame> {
    vec![
        Frame::text("text"),
        Frame::binary("shared by reference"),
        Frame::binary("part").more(),
        Frame::continuation([1; 300]).more(),
        Frame::continuation(""),
        Frame::ping("ours"),
        Frame::text("prepared"),
        Frame::close(1000, ""),
    ]
}

//= rfc6455 6.1 MUST 8: every frame goes to the transport, none is lost
//= type=test
#[test]
fn what_was_shown_is_shown_again_under_acknowledgements_of_every_size() {
    for role in ROLES {
        for size in 0..=600 {
            let mut session = bare_session(role, Config::default());
            let mut taken = Vec::new();
            for step in STEPS {
                let shown = show(&mut session);
                assert_eq!(show(&mut session), shown, "shown twice");
                let count = size.min(shown.len());
                session.transmitted(count, START);
                taken.extend_from_slice(&shown[..count]);
                assert!(show(&mut session).starts_with(&shown[count..]), "what was not taken is still there");
                step(&mut session, role);
                assert!(show(&mut session).starts_with(&shown[count..]), "what was shown has changed");
            }
            loop {
                let shown = show(&mut session);
                let count = size.max(1).min(shown.len());
                if count == 0 {
                    break;
                }
                session.transmitted(count, START);
                taken.extend_from_slice(&shown[..count]);
            }
            let (pongs, others): (Vec<_>, Vec<_>) = frames(&taken)
                .into_iter()
                .partition(|frame| ["1", "2", "3", "4"].iter().any(|payload| *frame == Frame::pong(payload)));
            assert_eq!(others, sent_by_the_steps(), "{role:?}, {size} bytes at a time");
            // In their order, none twice, and the newest among them.
            assert!(pongs.windows(2).all(|pair| pair[0].payload() < pair[1].payload()), "{pongs:?}");
            assert_eq!(pongs.last(), Some(&Frame::pong("4")));
        }
    }
}

#[test]
fn the_three_ways_to_take_output_give_the_same_bytes() {
    for role in ROLES {
        // Drained behind every step, and once behind all.
        for each_step in [true, false] {
            let run = |drain: &dyn Fn(&mut WebSocket, &mut Vec<u8>)| {
                let (mut session, mut taken) = (bare_session(role, Config::default()), Vec::new());
                for step in STEPS {
                    step(&mut session, role);
                    if each_step {
                        drain(&mut session, &mut taken);
                    }
                }
                drain(&mut session, &mut taken);
                assert_eq!(show(&mut session), []);
                taken
            };
            let taken = run(&|session, taken| session.take(taken, START));
            let by_slices = run(&|session, taken| {
                let shown = show(session);
                session.transmitted(shown.len(), START);
                taken.extend(shown);
            });
            assert_eq!(taken, by_slices);
            for slots in [1, 2, 3, 16] {
                let by_io_slices = run(&|session, taken| {
                    loop {
                        let mut slices = vec![IoSlice::new(&[]); slots];
                        let count = session.transmit(&mut slices);
                        let shown: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                        if count == 0 {
                            break;
                        }
                        assert!(slices[..count].iter().all(|slice| !slice.is_empty()), "an empty slice");
                        session.transmitted(shown.len(), START);
                        taken.extend(shown);
                    }
                });
                assert_eq!(taken, by_io_slices, "{slots} slices at a time");
            }
        }
    }
}

#[test]
fn more_than_was_shown_cannot_be_acknowledged() {
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("one")).unwrap();
        session.engine.transmitted(usize::MAX, START);
        session.engine.transmitted(7, START);
        session.tx().send(Message::Text("two")).unwrap();
        session.sends(&[Frame::text("two")]);
    });
}

#[test]
fn a_prepared_message_goes_to_servers_and_clients_alike() {
    let prepared = Prepared::new(Message::Text("to all"));
    assert_eq!((prepared.kind(), prepared.payload()), (Kind::Text, &b"to all"[..]));
    let shared = Shared::from(String::from("to all"));
    assert_eq!((shared.kind(), shared.as_bytes()), (Kind::Text, &b"to all"[..]));
    for role in ROLES {
        for _ in 0..3 {
            let mut session = bare_session(role, Config::default());
            session.tx(START).send_prepared(&prepared).unwrap();
            session.tx(START).send_shared(&shared).unwrap();
            assert_eq!(frames(&show(&mut session)), [Frame::text("to all"), Frame::text("to all")]);
        }
    }
    // A client does not mask the shared body itself.
    assert_eq!((prepared.payload(), shared.as_bytes()), (&b"to all"[..], &b"to all"[..]));
}

// Past the queue.

/// What the transport takes of the frame that is lent, if so many bytes fit; the rest is queued.
fn passes(tx: &mut Sender, message: Message<'_>, count: usize) -> Option<Vec<u8>> {
    let frame = tx.send_through(message, Compress::Auto).unwrap()?;
    let mut taken = [frame.header(), frame.payload()].concat();
    taken.truncate(count);
    frame.written(count);
    Some(taken)
}

//= rfc6455 6.1 MUST 4: in a frame
//= rfc6455 6.1 MUST 5: whose opcode says text or binary
//= rfc6455 6.1 MUST 6: and whose FIN is set
//= rfc6455 6.1 MUST 8: all of it
//= type=test
#[test]
fn a_frame_that_is_lent_is_the_same_and_what_is_not_taken_of_it_is_queued() {
    for length in [0, 1, 125, 126, 65_535, 65_536] {
        let body = "t".repeat(length);
        for (message, whole) in
            [(Message::Text(&body), Frame::text(&body)), (Message::Binary(body.as_bytes()), Frame::binary(&body))]
        {
            let whole = whole.encode(None);
            let (header, end) = (whole.len() - length, whole.len());
            let short = (0..=end + 1).filter(|_| length <= 126);
            let counts = short.chain([0, 1, header - 1, header, header + 1, end - 1, end, end + 1, usize::MAX]);
            for count in counts {
                let mut session = bare_session(Role::Server, Config::default());
                let frame = session.tx(START).send_through(message, Compress::Auto).unwrap().unwrap();
                assert_eq!((frame.header(), frame.payload().as_ptr()), (&whole[..header], body.as_ptr()), "no copy");
                assert_eq!(frame.slices().map(|slice| slice.to_vec()), [frame.header(), frame.payload()]);
                assert_eq!([frame.header(), frame.payload()].concat(), whole);
                frame.written(count);
                let rest = &whole[count.min(end)..];
                assert_eq!((session.tx(START).queued(), session.has_output()), (rest.len(), !rest.is_empty()));
                assert!(show(&mut session) == rest, "{count} of {end} bytes are taken");
                // The next stands behind it.
                session.tx(START).send(Message::Text("next")).unwrap();
                session.transmitted(rest.len(), START);
                assert_eq!(show(&mut session), Frame::text("next").encode(None));
            }
            let mut session = bare_session(Role::Server, Config::default());
            drop(session.tx(START).send_through(message, Compress::Auto).unwrap());
            assert!(show(&mut session) == whole, "queued, as nothing was said of it");
        }
    }
}

#[test]
fn what_stands_behind_something_is_queued() {
    let before: [fn(&mut WebSocket); 7] = [
        |session| session.tx(START).send(Message::Text("short")).unwrap(),
        |session| session.tx(START).send_shared(&Shared::binary(vec![7; 1000])).unwrap(),
        |session| session.tx(START).ping(b"ours").unwrap(),
        |session| hear(session, Role::Server, &Frame::ping("theirs")),
        |session| {
            session.tx(START).send(Message::Text("taken in part")).unwrap();
            session.transmitted(3, START);
        },
        |session| drop(passes(session.tx(START), Message::Text("taken in part"), 3)),
        |session| drop(session.tx(START).send_through(Message::Text("not taken"), Compress::Auto).unwrap()),
    ];
    for before in before {
        let mut session = bare_session(Role::Server, Config::default());
        before(&mut session);
        let shown = show(&mut session);
        assert_eq!(passes(session.tx(START), Message::Text("behind"), usize::MAX), None);
        let behind = Frame::text("behind").encode(None);
        assert_eq!(show(&mut session), [shown, behind.clone()].concat());
        // To the last byte.
        let queued = session.tx(START).queued();
        session.transmitted(queued - 1, START);
        assert_eq!(passes(session.tx(START), Message::Text("behind"), usize::MAX), None);
        assert_eq!(show(&mut session), [&b"d"[..], &behind].concat());
        session.transmitted(1 + behind.len(), START);
        assert_eq!(passes(session.tx(START), Message::Text("behind"), usize::MAX), Some(behind));
    }
    // The response that opens it goes first.
    let mut server = Server::new(Arc::new(Config { origin: OriginPolicy::Any, ..Config::default() }), START);
    let mut request = *b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let id = match server.receive(&mut &mut request[..], START) {
        Some(ServerEvent::Offer(offer)) => offer.accept(Accept::new()),
        other => panic!("{other:?}"),
    };
    for expected in [None, Some(Frame::text("hello").encode(None))] {
        assert_eq!(passes(server.tx(id, START).unwrap(), Message::Text("hello"), usize::MAX), expected);
        server.take(&mut Vec::new(), START);
    }
}

//= rfc6455 6.1 MUST 7: masked by a client
//= type=test
#[test]
fn a_client_must_mask_and_so_queues() {
    as_client(|way| {
        let mut session = way.session();
        for compress in [Compress::Auto, Compress::Never, Compress::Always] {
            assert!(session.tx().send_through(Message::Text("masked"), compress).unwrap().is_none());
            session.sends(&[Frame::text("masked")]);
        }
    });
}

#[test]
fn one_message_is_lent_whatever_the_limit_and_none_beyond_it() {
    let through = |session: &mut WebSocket| session.tx(START).send_through(Message::Text("x"), Compress::Never).err();
    assert_eq!(through(&mut bare_session(Role::Server, with_output_limit(0))), Some(SendError::Full));
    let mut session = bare_session(Role::Server, with_output_limit(10));
    assert_eq!(passes(session.tx(START), Message::Binary(&[1; 1000]), usize::MAX).unwrap().len(), 1004);
    assert_eq!(passes(session.tx(START), Message::Binary(&[1; 1000]), 994).unwrap().len(), 994);
    assert_eq!(through(&mut session), Some(SendError::Full));
    assert_eq!(show(&mut session), [1; 10]);
    session.transmitted(1, START);
    assert_eq!(passes(session.tx(START), Message::Text("x"), usize::MAX), None, "taken while less is queued");
}

//= rfc6455 6.1 MUST 2: only while open
//= type=test
#[test]
fn nothing_is_lent_when_no_data_may_be_sent() {
    let ends: [fn(&mut WebSocket, Role); 5] = [
        |session, _| session.tx(START).close(Close::Empty),
        |session, _| session.tx(START).abort(),
        |session, _| session.receive_eof(START),
        |session, role| hear(session, role, &Frame::close(1000, "")),
        |session, role| hear(session, role, &Frame::new(3, "no such opcode")),
    ];
    for role in ROLES {
        for end in ends {
            let mut session = bare_session(role, Config::default());
            end(&mut session, role);
            // With what is queued, and when all is taken.
            for _ in 0..2 {
                let tx = session.tx(START);
                let queued = tx.queued();
                assert_eq!(tx.send_through(Message::Text("x"), Compress::Auto).err(), Some(SendError::Closed));
                assert_eq!(tx.queued(), queued);
                session.take(&mut Vec::new(), START);
            }
        }
    }
}

#[test]
fn an_echo_goes_through_in_the_place_where_it_came() {
    let mut session = bare_session(Role::Server, Config::default());
    // In one frame, in two, and in a text.
    let mut input = [Frame::binary([7; 300]), Frame::binary("a").more(), Frame::continuation("b"), Frame::text("é")]
        .wire(Role::Server);
    let mut input = &mut input[..];
    let mut written = Vec::new();
    while let Some(Incoming { event: Event::Message(message), tx }) = session.receive(&mut input, START) {
        let frame = tx.send_through(message, Compress::Auto).unwrap().unwrap();
        assert_eq!(frame.payload().as_ptr(), message.as_bytes().as_ptr());
        written.extend([frame.header(), frame.payload()].concat());
        frame.written(usize::MAX);
    }
    assert_eq!(frames(&written), [Frame::binary([7; 300]), Frame::binary("ab"), Frame::text("é")]);
    assert!(input.is_empty() && !session.has_output());
}

/// The same, sent through and queued; the transport takes so much of it.
fn both(act: impl Fn(&mut WebSocket, &dyn Fn(&mut WebSocket, &str, usize))) {
    let mut through = bare_session(Role::Server, Config::default());
    act(&mut through, &|session, text, count| {
        assert!(passes(session.tx(START), Message::Text(text), count).is_some(), "nothing stands before it");
    });
    let mut queued = bare_session(Role::Server, Config::default());
    act(&mut queued, &|session, text, count| {
        session.tx(START).send(Message::Text(text)).unwrap();
        session.transmitted(count, START);
    });
}

#[test]
fn control_frames_know_their_places_among_messages_that_go_through() {
    both(|session, say| {
        // A Ping is on its way until its last byte is taken, whatever went before it and behind it.
        say(session, "before", usize::MAX);
        session.tx(START).ping(b"one").unwrap();
        session.transmitted(4, START);
        assert_eq!(session.tx(START).ping(b"two"), Err(SendError::PingQueued));
        session.transmitted(1, START);
        say(session, "between", 4);
        session.tx(START).ping(b"two").unwrap();
        assert_eq!(session.tx(START).queued(), 5 + 5);
        session.transmitted(5 + 4, START);
        assert_eq!(session.tx(START).ping(b"three"), Err(SendError::PingQueued));
        session.transmitted(1, START);
        say(session, "behind", 0);
        session.tx(START).ping(b"three").unwrap();
        session.take(&mut Vec::new(), START);
    });
    both(|session, say| {
        // Two Pongs are queued, in their places; of the others the last waits for these.
        for said in ["before, and taken in part", "again"] {
            say(session, said, 4);
            for number in 0..9 {
                hear(session, Role::Server, &Frame::ping([number; 125]));
            }
            let rest = said.len() - 2;
            assert_eq!(session.tx(START).queued(), rest + 2 * 127);
            session.transmitted(rest, START);
            assert_eq!(frames(&show(session)), [Frame::pong([0; 125]), Frame::pong([1; 125])]);
            session.transmitted(2 * 127, START);
            assert_eq!(frames(&show(session)), [Frame::pong([8; 125])]);
            session.transmitted(127, START);
            assert!(!session.has_output());
        }
    });
    both(|session, say| {
        say(session, "the last", 3);
        session.tx(START).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        hear(session, Role::Server, &Frame::close(1000, ""));
        assert_eq!(session.transport(), Transport::Open);
        assert_eq!(show(session), [&b"he last"[..], &Frame::close(1000, "").encode(None)].concat());
        session.take(&mut Vec::new(), START);
        assert_eq!(session.transport(), Transport::ShutdownWrite);
    });
}
