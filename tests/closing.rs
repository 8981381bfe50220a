//! How does a session end, and is every ending told once, with its cause? (RFC 6455 §5.5.1, §7)
//!
//! Closing handshakes from either side and from both at once, failures, transports that break off, deadlines. Each test
//! says which bytes go out, which events come, what is to be done with the transport, and when it is safe to let go of
//! it.

#![cfg(test)]

use std::time::Duration;

use sockless::{
    Cause, Close, CloseCode, Closed, Compress, Config, Error, KeepAlive, Kind, Limits, Message, Prepared, Reason,
    SendError, Shared, Timer, Transport, WebSocket,
};

mod common;

use common::*;

const ROLES: [Role; 2] = [Role::Server, Role::Client];

fn code(code: u16, reason: &str) -> Close<'_> {
    Close::With(CloseCode::new(code).unwrap(), Reason::new(reason).unwrap())
}

// The Close frame.

//= rfc6455 5.5.1 MUST 1: a body starts with a code, high byte first
//= rfc6455 7.1.2 MUST 1: a Close carries the given code and reason
//= type=test
#[test]
fn trap_19_the_body_of_a_close() {
    let longest = "r".repeat(123);
    in_every_way(|way| {
        for (frame, code, reason) in [
            (Frame::new(8, []), None, ""),
            (Frame::new(8, [0x03, 0xE8]), Some(1000), ""),
            (Frame::new(8, b"\x03\xE9bye"), Some(1001), "bye"),
            (Frame::new(8, "\u{13}\u{07}été".as_bytes()), Some(4871), "été"),
            (Frame::close(4999, &longest), Some(4999), &longest[..]),
        ] {
            let mut session = way.session();
            let closed = Closed { code: code.and_then(CloseCode::new), clean: true, cause: Cause::Peer };
            session.receives(frame, &[Seen::Closing(code, reason.into()), Seen::Closed(closed)]);
        }
    });
    for role in ROLES {
        let config = Config::default();
        let close = |body: &[u8]| Frame::new(8, body).to(role);
        // One byte is half a code: the header says so.
        fails_at(role, &config, &close(&[3]), 2, Error::InvalidCloseBody);
        fails_at(role, &config, &close(&[0; 126]), 2, Error::ControlTooLong);
        // A reason is text: so 1007, as for a message that is none.
        for reason in [&b"\xFF"[..], b"ok\xC3", b"\xED\xA0\x80"] {
            let frame = close(&[&[0x03, 0xE8], reason].concat());
            fails_at(role, &config, &frame, frame.len(), Error::InvalidCloseReason);
        }
    }
    in_both_roles(|way| {
        for (close, frame) in [
            (Close::Empty, Frame::close_empty()),
            (code(1000, ""), Frame::new(8, [0x03, 0xE8])),
            (code(4871, "été"), Frame::new(8, "\u{13}\u{07}été".as_bytes())),
            (code(1001, &longest), Frame::close(1001, &longest)),
        ] {
            let mut session = way.session();
            session.tx().close(close);
            session.sends(&[frame]);
        }
    });
}

#[test]
fn trap_19_a_reason_is_cut_between_characters() {
    assert_eq!(Reason::MAX, 123);
    for character in ["a", "é", "\u{20AC}", "\u{1F600}"] {
        for count in 0..130 {
            for before in ["", "b", "bb", "bbb"] {
                let text = format!("{before}{}", character.repeat(count));
                let fits = (123 - before.len()) / character.len();
                let kept = Reason::truncated(&text).as_str();
                assert_eq!(kept, format!("{before}{}", character.repeat(count.min(fits))));
                assert_eq!(Reason::new(&text).map(Reason::as_str), (text.len() <= 123).then_some(&text[..]));
            }
        }
    }
}

/// The codes that may stand in a Close: those that RFC 6455 §7.4.1 or the IANA registry give a meaning on the wire, and
/// those of §7.4.2 that libraries (from 3000) and applications (from 4000) may use.
fn may_be_sent(code: u16) -> bool {
    const REGISTERED: [u16; 12] = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014];
    REGISTERED.contains(&code) || (3000..5000).contains(&code)
}

//= rfc6455 7.4.1 MUST NOT 1: 1005 is never sent
//= rfc6455 7.4.1 MUST NOT 2: 1006 is never sent
//= rfc6455 7.4.1 MUST NOT 3: 1015 is never sent
//= type=test
#[test]
fn trap_20_every_close_code_in_both_directions() {
    for role in ROLES {
        let config = std::sync::Arc::new(Config::default());
        for number in 0..=u16::MAX {
            let session = || match role {
                Role::Server => WebSocket::server(&Default::default(), config.clone(), START),
                Role::Client => WebSocket::client(&Default::default(), config.clone(), Counter(0), START).unwrap(),
            };
            let mut received = session();
            let events = events(&mut received, &mut Frame::close(number, "").to(role));
            let answer = if may_be_sent(number) {
                assert_eq!(events, [Seen::closing(number, ""), Seen::clean(number, Cause::Peer)]);
                number
            } else {
                assert_eq!(events, Seen::failure(Error::InvalidCloseCode), "{number}");
                1002
            };
            let mut output = Vec::new();
            received.take(&mut output, START);
            assert_eq!(frames(&output), [Frame::close(answer, "")]);

            // What must not be sent cannot be written.
            let written = CloseCode::new(number);
            assert_eq!(written.map(CloseCode::get), may_be_sent(number).then_some(number));
            if let Some(written) = written {
                let mut sending = session();
                sending.tx(START).close(Close::With(written, Reason::EMPTY));
                output.clear();
                sending.take(&mut output, START);
                assert_eq!(frames(&output), [Frame::close(number, "")]);
            }
        }
    }
}

#[test]
fn trap_21_no_code_and_no_close() {
    in_every_way(|way| {
        let mut session = way.session();
        session.receives(Frame::close_empty(), &[Seen::closing_empty(), Seen::clean_empty(Cause::Peer)]);
        session.sends(&[Frame::close_empty()]);
    });
    as_server(|way| {
        let mut session = way.session();
        session.receives([0x88, 0x80, 1, 2, 3, 4], &[Seen::closing_empty(), Seen::clean_empty(Cause::Peer)]);
        assert_eq!(session.take_output(), [0x88, 0x00], "the echo of an empty Close is empty");
    });
    in_every_way(|way| {
        let mut session = way.session();
        session.eof(&[Seen::unclean(Cause::Eof)]);
    });
    // What the application is told of it, as a number.
    let status = |code, clean| Closed { code: CloseCode::new(code), clean, cause: Cause::Peer }.status_code();
    assert_eq!((status(1000, true), status(4000, true)), (1000, 4000));
    assert_eq!((status(0, true), status(0, false)), (1005, 1006));
}

// Closing handshakes.

//= rfc6455 5.5.1 MUST 2: a Close is answered with a Close, unless ours went first
//= type=test
#[test]
fn a_close_is_answered_with_its_code_behind_what_was_sent_before() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("before")).unwrap();
        session.receives(
            [Frame::ping("p"), Frame::close(3333, "their reason")],
            &[Seen::ping("p"), Seen::closing(3333, "their reason"), Seen::clean(3333, Cause::Peer)],
        );
        session.sends(&[Frame::text("before"), Frame::pong("p"), Frame::close(3333, "")]);
    });
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().close(code(1001, "first"));
        session.receives(Frame::close(1001, ""), &[Seen::closing(1001, ""), Seen::clean(1001, Cause::Local)]);
        session.sends(&[Frame::close(1001, "first")]);
    });
}

//= rfc6455 5.5.1 MUST NOT 2: no data frame follows our Close
//= rfc6455 6.1 MUST 2: data is sent only while open
//= rfc6455 6.1 MUST 3: once that ends, sending stops
//= type=test
#[test]
fn trap_22_nothing_but_pongs_follows_our_close() {
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().close(code(1000, ""));
        takes_nothing(session.tx());
        // One Close only.
        session.tx().close(code(1001, "another"));
        session.tx().close(Close::Empty);
        session.sends(&[Frame::close(1000, "")]);
        takes_nothing(session.tx());
        session.receives(Frame::text("theirs"), &[Seen::text("theirs")]);
        takes_nothing(session.tx());
        session.sends_nothing();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Local)]);
        takes_nothing(session.tx());
        session.sends_nothing();
    });
    // Nor anything the peer's, or a fault, or the end of the transport; and not from within these events either.
    in_every_way(|way| {
        let endings: [End; 3] = [
            |session| {
                let clean = [Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)];
                session.receives(Frame::close(1000, ""), &clean);
            },
            |session| session.receives(Frame::new(3, ""), &Seen::failure(Error::ReservedOpcode)),
            |session| session.eof(&[Seen::unclean(Cause::Eof)]),
        ];
        for (ending, sent) in endings.iter().zip([&[Frame::close(1000, "")][..], &[Frame::close(1002, "")], &[]]) {
            let mut session = way.session();
            session.reacts(|_, tx| {
                takes_nothing(tx);
                tx.close(code(4000, "never"));
            });
            ending(&mut session);
            takes_nothing(session.tx());
            session.tx().close(code(4000, "never"));
            session.sends(sent);
        }
    });
}

#[track_caller]
fn takes_nothing(tx: &mut sockless::Sender) {
    assert_eq!(tx.send(Message::Text("x")), Err(SendError::Closed));
    assert_eq!(tx.send_with(Message::Binary(b"x"), Compress::Always), Err(SendError::Closed));
    assert_eq!(tx.send_shared(&Shared::binary("x")), Err(SendError::Closed));
    assert_eq!(tx.send_prepared(&Prepared::new(Message::Text("x"))), Err(SendError::Closed));
    assert_eq!(tx.begin(Kind::Text, Compress::Auto), Err(SendError::Closed));
    assert_eq!(tx.append(Message::Text("x")), Err(SendError::Closed));
    assert_eq!(tx.finish_with(Message::Text("x")), Err(SendError::Closed));
    assert_eq!(tx.finish(), Err(SendError::Closed));
    assert_eq!(tx.ping(b"x"), Err(SendError::Closed));
    assert!(!tx.is_ready());
}

//= rfc6455 5.5.1 MUST NOT 2: not even the rest of a message
//= type=test
#[test]
fn trap_22_a_close_between_our_own_fragments() {
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().begin(Kind::Text, Compress::Auto).unwrap();
        session.tx().append(Message::Text("unfini")).unwrap();
        session.tx().close(code(1001, ""));
        takes_nothing(session.tx());
        session.sends(&[Frame::text("unfini").more(), Frame::close(1001, "")]);
    });
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().begin(Kind::Binary, Compress::Auto).unwrap();
        session.tx().append(Message::Binary(b"unfini")).unwrap();
        session.receives(Frame::close_empty(), &[Seen::closing_empty(), Seen::clean_empty(Cause::Peer)]);
        takes_nothing(session.tx());
        session.sends(&[Frame::binary("unfini").more(), Frame::close_empty()]);
    });
}

#[test]
fn trap_22_both_sides_close_at_once() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().close(code(1000, "ours"));
        session.sends(&[Frame::close(1000, "ours")]);
        // Theirs is no answer to ours, but ends the session all the same, and is not answered.
        session
            .receives(Frame::close(1001, "theirs"), &[Seen::closing(1001, "theirs"), Seen::clean(1001, Cause::Local)]);
        session.sends_nothing();
        session.eof(&[]);
        session.stands(Transport::Close, true);
    });
}

//= rfc6455 5.5.2 MUST 1: a Ping is answered until the peer's Close is in
//= type=test
#[test]
fn trap_18_a_ping_behind_our_close_is_answered_and_one_behind_theirs_is_not() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().close(code(1000, ""));
        session.sends(&[Frame::close(1000, "")]);
        session.receives(Frame::ping("still there?"), &[Seen::ping("still there?")]);
        session.sends(&[Frame::pong("still there?")]);
        session.receives(
            [Frame::ping("before"), Frame::close(1000, ""), Frame::ping("behind")],
            &[Seen::ping("before"), Seen::closing(1000, ""), Seen::clean(1000, Cause::Local)],
        );
        session.sends(&[Frame::pong("before")]);
        session.receives(Frame::ping("behind"), &[]);
        session.sends_nothing();
    });
}

#[test]
fn trap_23_data_behind_our_close_is_delivered_and_all_behind_theirs_is_ignored() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().close(code(1000, ""));
        session.receives(
            [Frame::text("on its way"), Frame::binary("in ").more(), Frame::pong(""), Frame::continuation("pieces")],
            &[Seen::text("on its way"), Seen::pong(""), Seen::binary("in pieces")],
        );
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Local)]);
        session.receives([0xFF; 40], &[]);
        session.receives([Frame::text("late"), Frame::close(1001, "")], &[]);
        session.sends(&[Frame::close(1000, "")]);
    });
    in_every_way(|way| {
        let mut session = way.session();
        let garbage = [Frame::close(1000, "").to(way.role), vec![0xFF; 40], vec![0x81, 0x05]].concat();
        session.receives(&garbage, &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.receives([0xFF; 40], &[]);
        session.sends(&[Frame::close(1000, "")]);
    });
}

// The transport.

//= rfc6455 5.5.1 MUST 3: both Closes exchanged, the transport is to be closed
//= rfc6455 5.5.1 MUST 4: a server's at once
//= type=test
#[test]
fn trap_24_a_server_shuts_down_writing_when_all_is_written() {
    // Whoever begins.
    for ours_first in [true, false] {
        as_server(|way| {
            let mut session = way.session();
            session.tx().send(Message::Text("before")).unwrap();
            if ours_first {
                session.tx().close(code(1000, ""));
            }
            session.stands(Transport::Open, false);
            let cause = if ours_first { Cause::Local } else { Cause::Peer };
            session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, cause)]);
            session.sends(&[Frame::text("before"), Frame::close(1000, "")]);
            session.stands(Transport::ShutdownWrite, false);
            session.receives("late bytes are read and thrown away", &[]);
            session.stands(Transport::ShutdownWrite, false);
            session.eof(&[]);
            session.stands(Transport::Close, true);
        });
    }
    // Not a byte before the last one is written.
    let mut session = bare_session(Role::Server, Config::default());
    session.tx(START).send(Message::Binary(&[7; 20])).unwrap();
    let expected = [Seen::closing_empty(), Seen::clean_empty(Cause::Peer)];
    assert_eq!(events(&mut session, &mut Frame::close_empty().to(Role::Server)), expected);
    for _ in 0..24 {
        assert_eq!((session.transport(), session.is_closed()), (Transport::Open, false));
        session.transmitted(1, START);
    }
    assert_eq!((session.transport(), session.is_closed()), (Transport::ShutdownWrite, false));
}

#[test]
fn trap_24_a_client_waits_for_the_server_and_not_for_ever() {
    as_client(|way| {
        let mut session = way.session();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[Frame::close(1000, "")]);
        session.stands(Transport::Open, false);
        session.eof(&[]);
        session.stands(Transport::Close, true);
    });
    as_client(|way| {
        let mut session = way.session();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[Frame::close(1000, "")]);
        session.waits(Duration::from_millis(9_999), &[]);
        session.stands(Transport::Open, false);
        session.waits(Duration::from_millis(1), &[]);
        session.stands(Transport::Close, true);
    });
    // Nor does a server wait for ever for an end of file.
    as_server(|way| {
        let mut session = way.session();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[Frame::close(1000, "")]);
        session.waits(Duration::from_millis(9_999), &[]);
        session.stands(Transport::ShutdownWrite, false);
        session.waits(Duration::from_millis(1), &[]);
        session.stands(Transport::Close, true);
    });
}

//= rfc6455 6.1 MUST 8: what was sent goes to the transport
//= rfc6455 7.2.1 MUST 2: a client whose transport breaks takes the connection as failed
//= type=test
#[test]
fn trap_24_a_half_close_loses_nothing_of_ours() {
    // The peer ends its side right behind its Close.
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("before")).unwrap();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.eof(&[]);
        session.sends(&[Frame::text("before"), Frame::close(1000, "")]);
        session.stands(Transport::Close, true);
    });
    let mut session = bare_session(Role::Client, Config::default());
    let expected = [Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)];
    assert_eq!(events(&mut session, &mut Frame::close(1000, "").to(Role::Client)), expected);
    session.receive_eof(START);
    for _ in 0..8 {
        assert_eq!(
            (session.transport(), session.is_closed()),
            (Transport::Open, false),
            "the Close is not yet written"
        );
        session.transmitted(1, START);
    }
    assert_eq!((session.transport(), session.is_closed()), (Transport::Close, true));

    // Without a Close it is 1006, and what was queued still goes out.
    in_every_way(|way| {
        let mut session = way.session();
        session.receives([Frame::text("whole"), Frame::text("half").more()], &[Seen::text("whole")]);
        session.tx().send(Message::Text("queued")).unwrap();
        session.eof(&[Seen::unclean(Cause::Eof)]);
        session.sends(&[Frame::text("queued")]);
        session.stands(Transport::Close, true);
        session.receives(Frame::text("behind the end"), &[]);
    });
}

//= rfc6455 7.1.7 MUST 1: a client that fails closes
//= rfc6455 7.1.7 MUST 2: a server that fails closes
//= rfc6455 7.1.7 MUST NOT 1: after a failure nothing more is read, not even a Close
//= type=test
#[test]
fn trap_26_a_failure_sends_one_close_and_waits_for_no_answer() {
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("before")).unwrap();
        session.receives(Frame::text("").rsv(4), &Seen::failure(Error::ReservedBits));
        // Whatever comes.
        session.receives([Frame::text("ignored"), Frame::ping("ignored"), Frame::close(1002, "")], &[]);
        session.receives([0xFF; 20], &[]);
        session.sends(&[Frame::text("before"), Frame::close(1002, "")]);
        session.stands(Transport::ShutdownWrite, false);
        session.sends_nothing();
        session.eof(&[]);
        session.stands(Transport::Close, true);
    });
    // Nor for the end of the transport, beyond the deadline.
    in_every_way(|way| {
        let mut session = way.session();
        session.receives(Frame::text(b"\xFF"), &Seen::failure(Error::InvalidUtf8));
        session.sends(&[Frame::close(1007, "")]);
        session.waits(Duration::from_secs(10), &[]);
        session.stands(Transport::Close, true);
    });
    // After our Close, a fault is still an event, but no second Close.
    in_every_way(|way| {
        let mut session = way.session();
        session.tx().close(code(1000, ""));
        session.receives(Frame::text(b"\xFF"), &Seen::failure(Error::InvalidUtf8));
        session.sends(&[Frame::close(1000, "")]);
        session.stands(Transport::ShutdownWrite, false);
    });
}

//= rfc6455 7.2.1 MUST 2: a client whose transport breaks takes the connection as failed
//= type=test
#[test]
fn a_transport_that_is_gone_is_sent_nothing() {
    in_every_way(|way| {
        let mut session = way.session();
        session.receives([Frame::ping("unanswered"), Frame::text("half").more()], &[Seen::ping("unanswered")]);
        session.take_output();
        session.tx().send(Message::Text("queued")).unwrap();
        session.reset(&[Seen::unclean(Cause::Reset)]);
        session.stands(Transport::Reset, true);
        takes_nothing(session.tx());
        session.receives(Frame::text("behind the end"), &[]);
        session.sends_nothing();
    });
    // Behind a closing handshake it takes nothing back.
    in_every_way(|way| {
        let mut session = way.session();
        session.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        session.sends(&[Frame::close(1000, "")]);
        session.reset(&[]);
        session.stands(Transport::Reset, true);
    });
}

#[test]
fn an_abort_sends_nothing() {
    in_both_roles(|way| {
        let mut session = way.session();
        session.tx().send(Message::Text("queued")).unwrap();
        session.receives(Frame::ping("unanswered"), &[Seen::ping("unanswered")]);
        session.tx().abort();
        session.stands(Transport::Reset, false);
        session.sends_nothing();
        takes_nothing(session.tx());
        session.looks(&[Seen::unclean(Cause::Local)]);
        session.stands(Transport::Reset, true);
        session.tx().close(code(1000, ""));
        session.tx().abort();
        session.receives([Frame::text("ignored"), Frame::ping("ignored")], &[]);
        session.eof(&[]);
        session.waits(Duration::from_secs(3600), &[]);
        session.sends_nothing();
        session.stands(Transport::Reset, true);
    });
    // From within an event: what follows it in the same read is ignored.
    in_every_way(|way| {
        let mut session = way.session();
        session.reacts(|seen, tx| {
            if *seen == Seen::text("enough") {
                tx.abort();
            }
        });
        session.receives(
            [Frame::text("fine"), Frame::text("enough"), Frame::text("ignored"), Frame::new(3, "")],
            &[Seen::text("fine"), Seen::text("enough"), Seen::unclean(Cause::Local)],
        );
        session.sends_nothing();
        session.stands(Transport::Reset, true);
    });
}

// Every ending.

/// How a session may come to its end, and what is then told, with the frames that go out.
struct Ending {
    name: &'static str,
    end: End,
    closed: Closed,
    sent: Vec<Frame>,
    /// What remains to be done with the transport once all is written.
    transport: [Transport; 2],
}

type End = fn(&mut Session<'_, WebSocket>);

/// What is to be done by a server and by a client.
const WAITS: [Transport; 2] = [Transport::ShutdownWrite, Transport::Open];
const SHUTS_DOWN: [Transport; 2] = [Transport::ShutdownWrite; 2];
const CLOSES: [Transport; 2] = [Transport::Close; 2];
const RESETS: [Transport; 2] = [Transport::Reset; 2];

fn endings() -> Vec<Ending> {
    let clean = |code, cause| Closed { code: CloseCode::new(code), clean: true, cause };
    let unclean = |cause| Closed { code: None, clean: false, cause };
    let ending =
        |name, end, closed, sent: &[Frame], transport| Ending { name, end, closed, sent: sent.to_vec(), transport };
    vec![
        ending(
            "the peer closes",
            |session| session.hears(Frame::close(1001, "away")),
            clean(1001, Cause::Peer),
            &[Frame::close(1001, "")],
            WAITS,
        ),
        ending(
            "the peer closes without a code",
            |session| session.hears(Frame::close_empty()),
            clean(0, Cause::Peer),
            &[Frame::close_empty()],
            WAITS,
        ),
        ending(
            "the peer closes inside a message",
            |session| session.hears([Frame::text("a").more(), Frame::close(1000, "")]),
            clean(1000, Cause::Peer),
            &[Frame::close(1000, "")],
            WAITS,
        ),
        ending(
            "we close and are answered",
            |session| {
                session.tx().close(code(1000, "bye"));
                session.hears(Frame::close(1000, ""));
            },
            clean(1000, Cause::Local),
            &[Frame::close(1000, "bye")],
            WAITS,
        ),
        ending(
            "we close and the transport ends",
            |session| {
                session.tx().close(code(1000, ""));
                session.hears_eof();
            },
            unclean(Cause::Eof),
            &[Frame::close(1000, "")],
            CLOSES,
        ),
        ending(
            "we close and nothing comes",
            |session| {
                session.tx().close(Close::Empty);
                session.lets_pass(Duration::from_secs(10));
            },
            unclean(Cause::Timeout(Timer::Close)),
            &[Frame::close_empty()],
            CLOSES,
        ),
        ending(
            "we close and the peer breaks the protocol",
            |session| {
                session.tx().close(code(1000, ""));
                session.hears([0x70]);
            },
            unclean(Cause::Fault),
            &[Frame::close(1000, "")],
            SHUTS_DOWN,
        ),
        ending(
            "the peer breaks the protocol",
            |session| session.hears([0x70]),
            unclean(Cause::Fault),
            &[Frame::close(1002, "")],
            SHUTS_DOWN,
        ),
        ending(
            "the peer breaks a limit",
            |session| session.hears([Frame::binary(vec![0; 2 << 20])]),
            unclean(Cause::Fault),
            &[Frame::close(1009, "")],
            SHUTS_DOWN,
        ),
        ending("the transport ends", |session| session.hears_eof(), unclean(Cause::Eof), &[], CLOSES),
        ending(
            "the transport ends inside a frame",
            |session| {
                session.hears([0x81]);
                session.hears_eof();
            },
            unclean(Cause::Eof),
            &[],
            CLOSES,
        ),
        ending(
            "the transport is gone",
            |session| {
                session.tx().send(Message::Text("never taken")).unwrap();
                session.hears_reset();
            },
            unclean(Cause::Reset),
            &[],
            RESETS,
        ),
        ending(
            "we close and the transport is gone",
            |session| {
                session.tx().close(code(1000, ""));
                session.hears_reset();
            },
            unclean(Cause::Reset),
            &[],
            RESETS,
        ),
        ending(
            "we abort",
            |session| {
                session.tx().abort();
                session.hears("");
            },
            unclean(Cause::Local),
            &[],
            RESETS,
        ),
        ending(
            "we close, then abort",
            |session| {
                session.tx().close(code(1000, ""));
                session.tx().abort();
                session.hears("");
            },
            unclean(Cause::Local),
            &[],
            RESETS,
        ),
        ending(
            "silence, answered in the end",
            |session| {
                session.lets_pass(Duration::from_secs(60));
                session.hears(Frame::close(1001, ""));
            },
            clean(1001, Cause::Timeout(Timer::Idle)),
            &[Frame::close(1001, "")],
            WAITS,
        ),
        ending(
            "silence for good",
            |session| session.lets_pass(Duration::from_secs(70)),
            unclean(Cause::Timeout(Timer::Idle)),
            &[Frame::close(1001, "")],
            CLOSES,
        ),
        ending(
            "a life that was long enough",
            |session| {
                for _ in 0..100 {
                    session.lets_pass(Duration::from_secs(1));
                    session.hears(Frame::pong(""));
                }
                session.hears(Frame::close(1001, ""));
            },
            clean(1001, Cause::Timeout(Timer::Lifetime)),
            &[Frame::close(1001, "")],
            WAITS,
        ),
        ending(
            "a message without end",
            |session| {
                session.hears(Frame::text("").more());
                for _ in 0..30 {
                    session.lets_pass(Duration::from_secs(1));
                    session.hears(Frame::continuation("").more());
                }
                session.hears(Frame::close(1008, ""));
            },
            clean(1008, Cause::Timeout(Timer::Message)),
            &[Frame::close(1008, "")],
            WAITS,
        ),
        ending(
            "a transport that takes nothing",
            |session| {
                session.tx().send(Message::Text("never taken")).unwrap();
                session.lets_pass(Duration::from_secs(25));
            },
            unclean(Cause::Timeout(Timer::Stall)),
            &[],
            RESETS,
        ),
    ]
}

#[test]
fn every_ending_is_told_once_and_last_with_its_cause() {
    let config = || Config {
        keep_alive: KeepAlive::Off,
        limits: Limits {
            idle_timeout: Some(Duration::from_secs(60)),
            lifetime: Some(Duration::from_secs(100)),
            message_timeout: Some(Duration::from_secs(30)),
            stall_timeout: Some(Duration::from_secs(25)),
            ..Limits::default()
        },
        ..Config::default()
    };
    for Ending { name, end, closed, sent, transport } in endings() {
        in_both_roles(|way| {
            let mut session = way.session_with(config());
            end(&mut session);
            assert_eq!(session.endings(), [closed], "{name}, {way:?}");
            session.sends(&sent);
            let transport = transport[usize::from(way.role == Role::Client)];
            let is_closed = matches!(transport, Transport::Close | Transport::Reset);
            session.stands(transport, is_closed);

            // Nothing tells of it again, and in the end the transport is let go of in any case.
            session.receives([Frame::text("x"), Frame::ping("x"), Frame::close(1000, ""), Frame::new(3, "")], &[]);
            session.tx().close(code(1000, ""));
            session.waits(Duration::from_secs(3600), &[]);
            session.eof(&[]);
            session.sends_nothing();
            assert!(session.engine.is_closed(), "{name}, {way:?}");
            session.reset(&[]);
            session.sends_nothing();
            assert!(session.engine.is_closed(), "{name}, {way:?}");
        });
    }
    // A peer that shows no sign of life after a Ping is given up without a Close.
    in_both_roles(|way| {
        let keep_alive = KeepAlive::Ping { interval: Duration::from_secs(30), timeout: Duration::from_secs(20) };
        let mut session = way.session_with(Config { keep_alive, ..Config::default() });
        session.waits(Duration::from_secs(30), &[]);
        session.sends(&[Frame::ping("")]);
        session.waits(Duration::from_secs(20), &[Seen::unclean(Cause::Timeout(Timer::Pong))]);
        session.stands(Transport::Reset, true);
        session.sends_nothing();
    });
}

#[test]
fn is_closed_waits_for_the_last_event_the_last_byte_and_the_end_of_the_transport() {
    // In every order in which these can come, it is the third that makes it safe.
    type Step = fn(&mut WebSocket);
    let steps: [Step; 3] = [
        |session| assert_eq!(events(session, &mut []), [Seen::unclean(Cause::Eof)]),
        |session| session.transmitted(usize::MAX, START),
        |session| session.receive_eof(START),
    ];
    for role in ROLES {
        // The end of the transport ends the session here, so its event cannot come before.
        for order in [[2, 0, 1], [2, 1, 0], [1, 2, 0]] {
            let mut session = bare_session(role, Config::default());
            session.tx(START).send(Message::Text("queued")).unwrap();
            for step in order {
                assert!(!session.is_closed(), "{order:?} before {step}");
                steps[step](&mut session);
            }
            assert!(session.is_closed(), "{order:?}");
        }
    }
    let steps: [Step; 3] = [
        |session| assert_eq!(events(session, &mut []), [Seen::clean(1000, Cause::Peer)]),
        |session| session.transmitted(usize::MAX, START),
        |session| session.receive_eof(START),
    ];
    for role in ROLES {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut session = bare_session(role, Config::default());
            let mut close = Frame::close(1000, "").to(role);
            let mut input = &mut close[..];
            let closing = session.receive(&mut input, START).map(|incoming| Seen::of(incoming.event));
            assert_eq!(closing, Some(Seen::closing(1000, "")));
            for step in order {
                assert!(!session.is_closed(), "{order:?} before {step}");
                steps[step](&mut session);
            }
            assert!(session.is_closed(), "{order:?}");
        }
    }
}

#[test]
fn time_runs_from_our_close_and_from_the_end() {
    let later = |seconds| START + Duration::from_secs(seconds);
    let limits = Limits { stall_timeout: None, release: None, ..Limits::default() };
    for role in ROLES {
        let mut session = bare_session(role, Config { limits: limits.clone(), ..Config::default() });
        session.tx(later(1)).close(Close::Empty);
        assert_eq!(session.poll_timeout(), Some((later(11), Timer::Close)));
        session.transmitted(usize::MAX, later(2));
        // The peer can answer from then on.
        assert_eq!(session.poll_timeout(), Some((later(12), Timer::Close)));
        let mut close = Frame::close_empty().to(role);
        let mut input = &mut close[..];
        assert!(session.receive(&mut input, later(5)).is_some());
        assert_eq!(session.poll_timeout(), Some((later(15), Timer::Close)));
        session.receive_eof(later(6));
        assert!(session.receive(&mut input, later(6)).is_some());
        assert_eq!((session.is_closed(), session.transport()), (true, Transport::Close));
    }
}
