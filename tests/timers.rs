//! Does everything that time is to do happen, at its nanosecond and with its cause, and nothing else?
//!
//! Each timer has its conversations on a [`Pair`]: a server and a client on virtual time. Every one of them runs three
//! times: calmly, with `handle_timeout` also called whenever nothing is due, and in another epoch; all three must agree.
//! Behind them stand three properties over random conversations, configurations and wires.

mod pair;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use pair::{Frame, OnOffer, Pair, Role, Setup, TICK, Told, simulate};
use proptest::prelude::*;
use sockless::{
    Agreed, Cause, Close, CloseCode, Closed, Compress, Config, Instant, KeepAlive, Kind, Limits, Message, Reason,
    RequestError, Response, ResponseError, SendError, Server, ServerEvent, Timer, Transport, WebSocket,
};

// The opening handshake: Limits::open_timeout.

#[test]
fn a_head_that_does_not_come_whole_in_time_is_answered_408() {
    let setup = Setup::new(&still(|limits| {
        limits.open_timeout = seconds(10);
        limits.close_timeout = seconds(3);
    }));
    simulate(&setup, |pair| {
        pair.hold(Role::Client);
        for byte in "GET / HTTP".bytes() {
            pair.inject(Role::Server, &[byte]);
            assert_eq!(pair.deadline(Role::Server), Some((seconds(10), Timer::Open)), "no byte buys time");
            pair.run_for(millis(900));
        }
        pair.run_until_just_before(seconds(10));
        assert_eq!((pair.told(Role::Server), pair.written(Role::Server)), (vec![], vec![]));

        pair.run_until(seconds(10));
        let refused = Told::BadRequest(RequestError::TimedOut);
        assert_eq!(pair.told(Role::Server), [(seconds(10), refused.clone()), (seconds(10), Told::ShutdownWrite)]);
        assert_response(&pair.written(Role::Server), "HTTP/1.1 408 Request Timeout\r\n");

        // The peer has its time to read that and to leave.
        assert_eq!(pair.deadline(Role::Server), Some((seconds(13), Timer::Close)));
        pair.run_until_just_before(seconds(13));
        assert!(!pair.is_gone(Role::Server));
        pair.run_until(seconds(13));
        assert_eq!(pair.told_since(Role::Server, seconds(11)), [Told::HungUp]);
    });
}

#[test]
fn an_offer_that_nobody_answers_in_time_is_answered_503() {
    let setup = Setup {
        on_offer: OnOffer::Defer,
        ..Setup::new(&still(|_| {})).with(Role::Server, still(|limits| limits.open_timeout = seconds(10)))
    };
    simulate(&setup, |pair| {
        pair.run_until(seconds(4));
        pair.connect();
        assert_eq!(
            pair.deadline(Role::Server),
            Some((seconds(10), Timer::Open)),
            "counted from the connection's start"
        );
        pair.run_until_just_before(seconds(10));
        assert_eq!(pair.told(Role::Server), [(seconds(4), Told::Offer)]);

        pair.run_until(seconds(10));
        let told = pair.told_since(Role::Server, seconds(5));
        assert_eq!(told, [Told::Closed(unclean(Timer::Open)), Told::ShutdownWrite, Told::HungUp]);
        assert_response(&pair.written(Role::Server), "HTTP/1.1 503 Service Unavailable\r\n");
        assert!(!pair.accept_deferred(), "it is too late to accept");
        let refused = Closed { code: None, clean: false, cause: Cause::Refused };
        assert_eq!(
            pair.told_since(Role::Client, seconds(5)),
            [Told::Refused(503), Told::Closed(refused), Told::HungUp]
        );
    });
}

#[test]
fn an_offer_can_be_accepted_up_to_its_last_nanosecond() {
    let config = still(|limits| limits.open_timeout = seconds(10));
    simulate(&Setup { on_offer: OnOffer::Defer, ..Setup::new(&config) }, |pair| {
        pair.connect();
        pair.run_until_just_before(seconds(10));
        assert!(pair.accept_deferred());
        assert_eq!(pair.told_since(Role::Client, seconds(1)), [Told::Open]);
        assert_eq!((pair.deadline(Role::Server), pair.deadline(Role::Client)), (None, None), "an open session opened");
        pair.run_until(seconds(1000));
        assert_eq!(pair.told(Role::Server).len(), 1);
    });
}

#[test]
fn a_plain_request_that_nobody_answers_in_time_is_answered_503() {
    let setup = Setup { on_offer: OnOffer::Defer, ..Setup::new(&still(|limits| limits.open_timeout = seconds(10))) };
    simulate(&setup, |pair| {
        pair.hold(Role::Client);
        pair.inject(Role::Server, b"GET /page HTTP/1.1\r\nHost: server.example\r\n\r\n");
        pair.run_until_just_before(seconds(10));
        assert_eq!(pair.told(Role::Server), [(Duration::ZERO, Told::Request)]);
        pair.run_until(seconds(10));
        assert_eq!(
            pair.told_since(Role::Server, seconds(10)),
            [Told::Closed(unclean(Timer::Open)), Told::ShutdownWrite]
        );
        assert_response(&pair.written(Role::Server), "HTTP/1.1 503 Service Unavailable\r\n");
    });
}

#[test]
fn a_client_gives_up_on_a_server_that_does_not_answer() {
    let setup = Setup::new(&still(|_| {})).with(Role::Client, still(|limits| limits.open_timeout = seconds(10)));
    simulate(&setup, |pair| {
        pair.link_to(Role::Server).dead = true;
        pair.run_until(seconds(5));
        assert_eq!(pair.deadline(Role::Client), None, "nothing was asked for yet");
        pair.connect();
        assert_eq!(pair.deadline(Role::Client), Some((seconds(15), Timer::Open)));
        pair.run_until_just_before(seconds(15));
        assert_eq!(pair.told(Role::Client), []);
        pair.run_until(seconds(15));
        assert_eq!(
            pair.told(Role::Client),
            [
                (seconds(15), Told::BadResponse(ResponseError::TimedOut)),
                (seconds(15), Told::Closed(unclean(Timer::Open))),
                (seconds(15), Told::HungUp),
            ]
        );
    });
}

#[test]
fn a_response_that_drips_buys_no_time() {
    let setup = Setup::new(&still(|limits| limits.open_timeout = seconds(10)));
    simulate(&setup, |pair| {
        pair.link_to(Role::Client).byte_time = millis(100);
        pair.connect();
        // The 101 has more than 100 bytes.
        pair.run_until(seconds(10));
        assert_eq!(
            pair.told(Role::Client),
            [
                (seconds(10), Told::BadResponse(ResponseError::TimedOut)),
                (seconds(10), Told::Closed(unclean(Timer::Open))),
                (seconds(10), Told::HungUp),
            ]
        );
    });
}

#[test]
fn a_refused_client_waits_for_the_body_no_longer_than_for_a_close() {
    let config = still(|limits| limits.close_timeout = seconds(10));
    simulate(&Setup { on_offer: OnOffer::Defer, ..Setup::new(&config) }, |pair| {
        pair.connect();
        pair.run_until(seconds(1));
        pair.inject(Role::Client, b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9\r\n\r\n12345");
        assert_eq!(pair.told(Role::Client).len(), 2);
        assert_eq!(pair.deadline(Role::Client), Some((seconds(11), Timer::Close)));
        pair.run_until(seconds(5));
        pair.inject(Role::Client, b"678");
        pair.run_until_just_before(seconds(11));
        assert!(!pair.is_gone(Role::Client));
        pair.run_until(seconds(11));
        let refused = Closed { code: None, clean: false, cause: Cause::Refused };
        assert_eq!(
            pair.told(Role::Client),
            [
                (seconds(1), Told::Refused(401)),
                (seconds(1), Told::Body(b"12345".to_vec())),
                (seconds(5), Told::Body(b"678".to_vec())),
                (seconds(11), Told::BadResponse(ResponseError::TimedOut)),
                (seconds(11), Told::Closed(refused)),
                (seconds(11), Told::HungUp),
            ]
        );
    });
}

#[test]
fn a_refused_peer_that_takes_nothing_of_its_response_is_reset() {
    let config = still(|limits| {
        limits.close_timeout = seconds(10);
        limits.stall_timeout = Some(seconds(60));
    });
    let response = Response::new(200).unwrap().body(vec![b'x'; 1000]);
    simulate(&Setup { on_offer: OnOffer::Respond(response), ..Setup::new(&config) }, |pair| {
        pair.hold(Role::Client);
        pair.link_to(Role::Client).room = 100;
        pair.inject(Role::Server, b"GET / HTTP/1.1\r\nHost: server.example\r\n\r\n");
        assert_eq!((pair.written(Role::Server).len(), pair.told(Role::Server).len()), (100, 1));
        assert_eq!(pair.deadline(Role::Server), Some((seconds(60), Timer::Stall)));
        pair.run_until(seconds(50));
        pair.link_to(Role::Client).room = 101;
        pair.settle();
        assert_eq!(pair.deadline(Role::Server), Some((seconds(110), Timer::Stall)), "a byte was taken");
        pair.run_until_just_before(seconds(110));
        assert!(!pair.is_gone(Role::Server));
        pair.run_until(seconds(110));
        assert_eq!(pair.told_since(Role::Server, seconds(1)), [Told::Reset]);
    });
}

#[test]
fn a_response_is_written_when_it_is_taken_whole_or_the_transport_took_its_last_byte() {
    for take in [true, false] {
        let config = still(|limits| limits.close_timeout = seconds(10));
        let mut server = Server::new(Arc::new(config), Instant::default());
        let mut request = b"GET / HTTP/1.1\r\nHost: server.example\r\n\r\n".to_vec();
        match server.receive(&mut &mut request[..], Instant::default()) {
            Some(ServerEvent::Request(request)) => request.respond(&Response::new(404).unwrap()),
            other => panic!("{other:?}"),
        }
        let written = Instant::default() + seconds(9);
        if take {
            server.take(&mut Vec::new(), written);
        } else {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = server.transmit(&mut slices);
            let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
            server.transmitted(bytes, written);
        }
        assert_eq!(server.poll_timeout(), Some((written + seconds(10), Timer::Close)));
    }
}

// Silence: Limits::idle_timeout.

#[test]
fn an_idle_session_is_closed_with_1001() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.idle_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            assert_eq!(pair.deadline(role), Some((seconds(60), Timer::Idle)));
            pair.run_until_just_before(seconds(60));
            assert_eq!((pair.told(role).len(), pair.sent(role)), (1, vec![]));

            pair.run_until(seconds(60));
            assert_eq!(pair.sent(role), [(seconds(60), Frame::close(1001))]);
            assert_eq!(pair.sent(role.other()), [(seconds(60), Frame::close(1001))]);
            assert_eq!(pair.closed(role), Some((seconds(60), clean(1001, Cause::Timeout(Timer::Idle)))));
            assert_eq!(pair.closed(role.other()), Some((seconds(60), clean(1001, Cause::Peer))));
            assert!(pair.is_gone(role) && pair.is_gone(role.other()));
        });
    }
}

#[test]
fn every_byte_received_begins_the_idle_time_anew_and_none_sent_does() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.idle_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(59));
            pair.tx(role).send(Message::Text("I am there")).unwrap();
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(60), Timer::Idle)), "what we say is no sign of the peer");
            pair.tx(role.other()).send(Message::Text("so am I")).unwrap();
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(119), Timer::Idle)));

            // A frame that comes in single bytes, one every 40 seconds.
            pair.link_to(role).byte_time = seconds(40);
            pair.tx(role.other()).send(Message::Binary(b"slow")).unwrap();
            pair.run_until(seconds(59 + 5 * 40));
            assert_eq!(pair.deadline(role), Some((seconds(59 + 5 * 40 + 60), Timer::Idle)));
            assert_eq!(pair.closed(role), None);
        });
    }
}

// Keep-alive: KeepAlive.

#[test]
fn without_keep_alive_nothing_is_sent_and_nothing_is_due() {
    simulate(&Setup::new(&still(|_| {})), |pair| {
        pair.open();
        assert_eq!(Role::BOTH.map(|role| pair.deadline(role)), [None, None]);
        pair.run_until(HOUR * 1000);
        assert_eq!(Role::BOTH.map(|role| pair.sent(role)), [vec![], vec![]]);
    });
}

//= rfc6455 5.5.3 MAY 2: a Pong that nobody asked for, as a heartbeat
//= type=test
#[test]
fn an_unsolicited_pong_goes_out_every_interval_and_is_not_answered() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, pong_every(seconds(30)));
        simulate(&setup, |pair| {
            pair.open();
            assert_eq!(pair.deadline(role), Some((seconds(30), Timer::KeepAlive)));
            pair.run_until_just_before(seconds(30));
            assert_eq!(pair.sent(role), []);
            pair.run_until(seconds(100));
            let pongs = [30, 60, 90].map(|at| (seconds(at), Frame::pong(b"")));
            assert_eq!(pair.sent(role), pongs);
            assert_eq!(pair.told(role.other())[1..], [30, 60, 90].map(|at| (seconds(at), Told::Pong(vec![]))));
            assert_eq!(pair.sent(role.other()), []);
        });
    }
}

#[test]
fn an_unsolicited_pong_is_spared_while_something_is_sent() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, pong_every(seconds(30)));
        simulate(&setup, |pair| {
            pair.open();
            for at in [20, 40, 60, 80] {
                pair.run_until(seconds(at));
                pair.tx(role).send(Message::Text("tick")).unwrap();
                // What comes in says nothing about what proxies see going out.
                pair.tx(role.other()).send(Message::Text("tock")).unwrap();
            }
            pair.run_until(seconds(120));
            let mut sent = [20, 40, 60, 80].map(|at| (seconds(at), Frame::text("tick"))).to_vec();
            sent.push((seconds(110), Frame::pong(b"")));
            assert_eq!(pair.sent(role), sent);

            // What had to wait is sent when the transport takes it.
            pair.link_to(role.other()).room = 0;
            pair.tx(role).send(Message::Text("late")).unwrap();
            pair.run_until(seconds(135));
            pair.link_to(role.other()).room = 1000;
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(165), Timer::KeepAlive)));
        });
    }
}

#[test]
fn what_goes_through_spares_an_unsolicited_pong_too() {
    for (count, taken_at) in [(usize::MAX, None), (3, Some(30)), (0, Some(30))] {
        let mut session = server(pong_every(seconds(30)));
        through(&mut session, at(20), count);
        assert_eq!(session.poll_timeout(), Some((at(50), Timer::KeepAlive)));
        if let Some(taken_at) = taken_at {
            session.transmitted(100, at(taken_at));
            assert_eq!(session.poll_timeout(), Some((at(60), Timer::KeepAlive)));
        }
        // It goes out when its time has come.
        let (due, _) = session.poll_timeout().unwrap();
        session.handle_timeout(due);
        assert_eq!(session.tx(due).queued(), 2);
    }
}

#[test]
fn unsolicited_pongs_do_not_pile_up_before_a_peer_that_does_not_read() {
    simulate(&Setup::new(&still(|_| {})).with(Role::Server, pong_every(seconds(30))), |pair| {
        pair.open();
        pair.link_to(Role::Client).room = 0;
        pair.run_until(HOUR);
        assert!(pair.tx(Role::Server).queued() <= 2, "{} bytes", pair.tx(Role::Server).queued());
        pair.link_to(Role::Client).room = 100;
        pair.run_until(HOUR);
        let late = Frame::pong(b"");
        assert_eq!(pair.sent(Role::Server), [(HOUR, late)]);
    });
}

#[test]
fn a_ping_goes_out_every_interval_and_its_pong_is_the_sign_of_life() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            for role in Role::BOTH {
                pair.link_to(role).latency = seconds(1);
            }
            pair.connect();
            pair.run_until(seconds(2));
            // The server's session is open since the first second, the client's since the second.
            let first = if role == Role::Server { 31 } else { 32 };
            assert_eq!(pair.deadline(role), Some((seconds(first), Timer::KeepAlive)));
            pair.run_until_just_before(seconds(first));
            assert_eq!(pair.sent(role), []);
            pair.run_until(seconds(first));
            assert_eq!(pair.deadline(role), Some((seconds(first + 20), Timer::Pong)));
            pair.run_until(seconds(first + 2));
            assert_eq!(pair.deadline(role), Some((seconds(first + 2 + 30), Timer::KeepAlive)), "the Pong came");
            pair.run_until(seconds(first + 100));
            let pings = [first, first + 32, first + 64, first + 96].map(|at| (seconds(at), Frame::ping(b"")));
            assert_eq!(pair.sent(role), pings);
            assert_eq!(pair.sent(role.other()).len(), 4);
            assert_eq!((pair.closed(role), pair.closed(role.other())), (None, None));
        });
    }
}

#[test]
fn a_ping_is_spared_while_something_is_received() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            for at in [20, 49, 78] {
                pair.run_until(seconds(at));
                pair.tx(role.other()).send(Message::Text("tick")).unwrap();
                // What we send says nothing about the peer.
                pair.tx(role).send(Message::Text("tock")).unwrap();
            }
            pair.run_until(seconds(110));
            let mut sent = [20, 49, 78].map(|at| (seconds(at), Frame::text("tock"))).to_vec();
            sent.push((seconds(108), Frame::ping(b"")));
            assert_eq!(pair.sent(role), sent);
        });
    }
}

#[test]
fn a_dead_peer_is_found_exactly_at_interval_and_timeout() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(5));
            pair.tx(role.other()).send(Message::Text("last words")).unwrap();
            pair.settle();
            pair.link_to(role).dead = true;
            pair.run_until_just_before(seconds(5 + 30 + 20));
            assert_eq!(pair.sent(role), [(seconds(35), Frame::ping(b""))]);
            assert_eq!(pair.closed(role), None);

            pair.run_until(seconds(55));
            assert_eq!(pair.sent(role).len(), 1, "a Close could not reach the peer");
            assert_eq!(pair.told_since(role, seconds(6)), [Told::Closed(unclean(Timer::Pong)), Told::Reset]);
        });
    }
}

#[test]
fn a_sign_of_life_in_the_last_nanosecond_counts() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            pair.link_to(role).latency = seconds(20) - TICK;
            pair.run_until(seconds(50));
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Pong(vec![])]);
            assert_eq!(pair.deadline(role), Some((seconds(80) - TICK, Timer::KeepAlive)));
        });
    }
}

#[test]
fn any_byte_is_a_sign_of_life() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            // A frame of seven or more bytes, of which one comes every 49 seconds: always behind our Ping. The Pongs
            // stand behind it in the line.
            pair.link_to(role).byte_time = seconds(49);
            pair.tx(role.other()).send(Message::Text("alive")).unwrap();
            pair.run_until(seconds(6 * 49));
            assert_eq!(pair.told(role).len(), 1, "no frame is whole yet");
            let pings: Vec<_> = (0..6).map(|byte| (seconds(byte * 49 + 30), Frame::ping(b""))).collect();
            assert_eq!(pair.sent(role), pings);
            assert_eq!(pair.deadline(role), Some((seconds(6 * 49 + 30), Timer::KeepAlive)));

            // Only then it falls silent.
            pair.link_to(role).dead = true;
            pair.run_until(seconds(6 * 49 + 50));
            assert_eq!(pair.closed(role), Some((seconds(6 * 49 + 50), unclean(Timer::Pong))));
        });
    }
}

#[test]
fn a_ping_of_the_callers_that_waits_is_the_keep_alive_too() {
    let setup = Setup::new(&still(|_| {})).with(Role::Server, ping_every(seconds(30), seconds(20)));
    simulate(&setup, |pair| {
        pair.open();
        pair.link_to(Role::Client).room = 0;
        pair.tx(Role::Server).ping(b"mine").unwrap();
        pair.run_until(seconds(40));
        // No Pong can be overdue while the Ping waits.
        assert_eq!(pair.deadline(Role::Server), None);
        pair.link_to(Role::Client).room = 100;
        pair.run_until(seconds(41));
        assert_eq!(pair.sent(Role::Server), [(seconds(40), Frame::ping(b"mine"))]);
        assert_eq!(pair.deadline(Role::Server), Some((seconds(70), Timer::KeepAlive)));
    });
}

#[test]
fn an_interval_of_zero_is_no_keep_alive() {
    for keep_alive in [
        KeepAlive::Pong { interval: Duration::ZERO },
        KeepAlive::Ping { interval: Duration::ZERO, timeout: seconds(20) },
    ] {
        simulate(&Setup::new(&Config { keep_alive, ..still(|_| {}) }), |pair| {
            pair.open();
            assert_eq!(Role::BOTH.map(|role| pair.deadline(role)), [None, None]);
            pair.run_until(HOUR);
            assert_eq!(Role::BOTH.map(|role| pair.sent(role)), [vec![], vec![]]);
        });
    }
}

#[test]
fn a_closing_session_is_kept_alive_no_longer() {
    for role in Role::BOTH {
        for keep_alive in [pong_every(seconds(3)), ping_every(seconds(3), seconds(2))] {
            let mut config = keep_alive;
            config.limits.close_timeout = seconds(10);
            simulate(&Setup::new(&still(|_| {})).with(role, config), |pair| {
                pair.open();
                pair.link_to(role.other()).dead = true;
                pair.run_until(seconds(1));
                pair.tx(role).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
                pair.run_until(seconds(20));
                assert_eq!(pair.sent(role), [(seconds(1), Frame::close(1000))]);
                assert_eq!(pair.closed(role), Some((seconds(11), unclean(Timer::Close))));
            });
        }
    }
}

// The closing handshake and the end of the transport: Limits::close_timeout.

#[test]
fn a_close_that_is_not_answered_ends_the_session_in_time() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.close_timeout = seconds(10)));
        simulate(&setup, |pair| {
            pair.open();
            pair.hold(role.other());
            pair.run_until(seconds(5));
            pair.tx(role).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(15), Timer::Close)));

            // Data still comes; it is delivered, and buys no time.
            pair.run_until(seconds(14));
            pair.tx(role.other()).send(Message::Text("one more thing")).unwrap();
            pair.run_until_just_before(seconds(15));
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Text("one more thing".into())]);
            pair.run_until(seconds(15));
            assert_eq!(pair.told_since(role, seconds(15)), [Told::Closed(unclean(Timer::Close)), Told::HungUp]);
            assert_eq!(pair.deadline(role), None, "there is nothing left to wait for");
        });
    }
}

//= rfc6455 7.1.1 SHOULD 2: the server ends the transport first
//= rfc6455 7.1.1 SHOULD 3: and at once
//= rfc6455 7.1.1 SHOULD 4: the client waits for it
//= rfc6455 7.1.1 MAY 2: but not for ever
//= rfc6455 5.5.1 SHOULD 2: so it lets the server go first
//= rfc6455 5.5.1 MAY 5: and leaves by itself when that takes too long
//= type=test
#[test]
fn the_server_leaves_first_and_neither_waits_for_ever() {
    let config = still(|limits| limits.close_timeout = seconds(10));
    simulate(&Setup::new(&config), |pair| {
        pair.open();
        pair.link_to(Role::Client).latency = seconds(30);
        pair.run_until(seconds(1));
        pair.tx(Role::Client).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        pair.settle();
        // The server has both Closes, says its last word and waits for the client to leave.
        let told = pair.told_since(Role::Server, seconds(1));
        let closed = Told::Closed(clean(1000, Cause::Peer));
        assert_eq!(told, [Told::Closing(Some(1000)), closed, Told::ShutdownWrite]);
        assert_eq!(pair.deadline(Role::Server), Some((seconds(11), Timer::Close)));
        // The client has no answer in time and leaves; the server sees that and needs not wait any more.
        pair.run_until(seconds(11));
        assert_eq!(pair.told_since(Role::Client, seconds(1)), [Told::Closed(unclean(Timer::Close)), Told::HungUp]);
        assert!(pair.is_gone(Role::Server));
    });
    simulate(&Setup::new(&config), |pair| {
        pair.open();
        pair.run_until(seconds(1));
        pair.link_to(Role::Server).latency = seconds(8);
        pair.tx(Role::Server).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        pair.settle();
        // The client has both Closes, and waits for the server to leave.
        let closed = Told::Closed(clean(1000, Cause::Peer));
        assert_eq!(pair.told_since(Role::Client, seconds(1)), [Told::Closing(Some(1000)), closed]);
        assert_eq!(pair.deadline(Role::Client), Some((seconds(11), Timer::Close)));
        pair.run_until_just_before(seconds(9));
        assert_eq!(pair.told_since(Role::Server, seconds(1)), []);
        // At 9 seconds the server has the answer and shuts down, so the client leaves, which takes 8 seconds to be seen.
        pair.run_until(seconds(9));
        let closed = Told::Closed(clean(1000, Cause::Local));
        let told = pair.told_since(Role::Server, seconds(1));
        assert_eq!(told, [Told::Closing(Some(1000)), closed, Told::ShutdownWrite]);
        assert!(pair.is_gone(Role::Client));
        pair.run_until_just_before(seconds(17));
        assert!(!pair.is_gone(Role::Server));
        pair.run_until(seconds(17));
        assert!(pair.is_gone(Role::Server));
    });
}

#[test]
fn a_session_that_is_over_waits_for_the_end_of_the_transport_only_so_long() {
    let config = still(|limits| limits.close_timeout = seconds(10));
    simulate(&Setup::new(&config), |pair| {
        pair.open();
        pair.run_until(seconds(1));
        // Written by hand, so that the client knows nothing of it and stays.
        pair.hold(Role::Client);
        pair.inject(Role::Server, &[0x88, 0x80, 0, 0, 0, 0]);
        pair.run_until_just_before(seconds(11));
        assert!(!pair.is_gone(Role::Server));
        pair.run_until(seconds(11));
        assert_eq!(pair.told(Role::Server).last(), Some(&(seconds(11), Told::HungUp)));
    });
    simulate(&Setup::new(&config), |pair| {
        pair.open();
        pair.run_until(seconds(1));
        pair.hold(Role::Server);
        pair.inject(Role::Client, &[0x88, 0]);
        let closed = Closed { code: None, clean: true, cause: Cause::Peer };
        assert_eq!(pair.told_since(Role::Client, seconds(1)), [Told::Closing(None), Told::Closed(closed)]);
        pair.run_until_just_before(seconds(11));
        assert!(!pair.is_gone(Role::Client));
        pair.run_until(seconds(11));
        assert_eq!(pair.told(Role::Client).last(), Some(&(seconds(11), Told::HungUp)));
    });
}

#[test]
fn what_is_queued_behind_the_peers_end_of_file_is_written_while_there_is_time() {
    for role in Role::BOTH {
        let config = still(|limits| limits.close_timeout = seconds(10));
        simulate(&Setup::new(&config), |pair| {
            pair.open();
            pair.hold(role.other());
            pair.link_to(role.other()).room = 4;
            pair.tx(role).send(Message::Binary(&[7; 100])).unwrap();
            pair.run_until(seconds(1));
            pair.cut(role);
            pair.settle();
            let eof = Closed { code: None, clean: false, cause: Cause::Eof };
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Closed(eof)]);
            pair.run_until_just_before(seconds(11));
            assert!(!pair.is_gone(role));
            pair.link_to(role.other()).room = 1000;
            pair.settle();
            assert_eq!(pair.sent(role), [(Duration::ZERO, Frame { opcode: 2, payload: vec![7; 100] })]);
            assert!(pair.is_gone(role));
        });
    }
}

// Age: Limits::lifetime.

#[test]
fn a_session_ends_at_its_lifetime_whatever_flows() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.lifetime = Some(seconds(100))));
        simulate(&setup, |pair| {
            pair.run_until(seconds(7));
            pair.open();
            for _ in 0..99 {
                pair.run_for(seconds(1));
                for role in Role::BOTH {
                    pair.tx(role).send(Message::Text("tick")).unwrap();
                }
                pair.settle();
                assert_eq!(pair.deadline(role), Some((seconds(107), Timer::Lifetime)));
            }
            pair.run_until_just_before(seconds(107));
            assert_eq!(pair.told(role).len(), 1 + 99);
            pair.run_until(seconds(107));
            assert_eq!(pair.sent(role).last(), Some(&(seconds(107), Frame::close(1001))));
            assert_eq!(pair.closed(role), Some((seconds(107), clean(1001, Cause::Timeout(Timer::Lifetime)))));
            assert_eq!(pair.closed(role.other()), Some((seconds(107), clean(1001, Cause::Peer))));
        });
    }
}

// Slow messages: Limits::message_timeout.

#[test]
fn a_message_that_is_not_finished_in_time_is_closed_with_1008() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.message_timeout = Some(seconds(30))));
        simulate(&setup, |pair| {
            pair.open();
            let peer = role.other();
            pair.run_until(seconds(5));
            pair.tx(peer).begin(Kind::Text, Default::default()).unwrap();
            pair.settle();
            assert_eq!(pair.deadline(role), None, "nothing was sent of it");
            pair.tx(peer).append(Message::Text("once")).unwrap();
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(35), Timer::Message)));

            // Neither its progress nor what stands between its frames buys time.
            for at in [10, 20, 30] {
                pair.run_until(seconds(at));
                pair.tx(peer).append(Message::Text(" upon a time")).unwrap();
                pair.tx(peer).ping(b"?").unwrap();
                pair.settle();
                assert_eq!(pair.deadline(role), Some((seconds(35), Timer::Message)));
            }
            pair.run_until_just_before(seconds(35));
            assert_eq!(pair.closed(role), None);
            pair.run_until(seconds(35));
            assert_eq!(pair.sent(role).last(), Some(&(seconds(35), Frame::close(1008))));
            assert_eq!(pair.closed(role), Some((seconds(35), clean(1008, Cause::Timeout(Timer::Message)))));
            assert_eq!(pair.closed(peer), Some((seconds(35), clean(1008, Cause::Peer))));
        });
    }
}

#[test]
fn a_message_that_is_finished_is_not_counted_and_the_next_has_its_own_time() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.message_timeout = Some(seconds(30))));
        simulate(&setup, |pair| {
            pair.open();
            let peer = role.other();
            for begin in [0, 30, 60] {
                pair.run_until(seconds(begin));
                pair.tx(peer).begin(Kind::Binary, Default::default()).unwrap();
                pair.tx(peer).append(Message::Binary(b"1")).unwrap();
                pair.settle();
                assert_eq!(pair.deadline(role), Some((seconds(begin + 30), Timer::Message)));
                pair.run_until_just_before(seconds(begin + 30));
                pair.tx(peer).finish().unwrap();
                pair.settle();
                assert_eq!(pair.deadline(role), None);
            }
            // One frame that comes in pieces counts from its header on: 2 bytes from a server, 6 from a client.
            pair.run_until(seconds(100));
            pair.link_to(role).byte_time = seconds(1);
            pair.tx(peer).send(Message::Binary(b"12345")).unwrap();
            let header = if role == Role::Server { 106 } else { 102 };
            pair.run_until(seconds(header));
            assert_eq!(pair.deadline(role), Some((seconds(header + 30), Timer::Message)));
            pair.run_until(seconds(header + 5));
            assert_eq!(pair.deadline(role), None);
            assert_eq!(pair.closed(role), None);
        });
    }
}

// Output that is not taken: Limits::stall_timeout.

#[test]
fn a_session_whose_output_is_not_taken_is_reset() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.stall_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(5));
            assert_eq!(pair.deadline(role), None, "nothing waits");
            pair.link_to(role.other()).room = 0;
            pair.tx(role).send(Message::Binary(&[7; 500])).unwrap();
            pair.run_until(seconds(30));
            assert_eq!(pair.deadline(role), Some((seconds(65), Timer::Stall)));

            // More of it makes no difference, and neither does what the peer sends.
            pair.tx(role).send(Message::Binary(&[8; 500])).unwrap();
            pair.tx(role.other()).ping(b"?").unwrap();
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(65), Timer::Stall)));
            // A single byte that the transport takes does.
            pair.run_until(seconds(64));
            pair.hold(role.other());
            pair.link_to(role.other()).room = 1;
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(124), Timer::Stall)));

            pair.run_until_just_before(seconds(124));
            assert_eq!(pair.closed(role), None);
            pair.run_until(seconds(124));
            let told = pair.told_since(role, seconds(100));
            assert_eq!(told, [Told::Closed(unclean(Timer::Stall)), Told::Reset]);
            assert_eq!(pair.sent(role), [], "what waited is dropped");
        });
    }
}

#[test]
fn what_is_left_of_a_message_that_goes_through_stalls_like_everything_else() {
    let mut session = server(still(|limits| limits.stall_timeout = Some(seconds(60))));
    through(&mut session, at(5), usize::MAX);
    assert_eq!(session.poll_timeout(), None, "nothing waits");
    for (time, count) in [(100, 0), (200, 5)] {
        through(&mut session, at(time), count);
        assert_eq!(session.poll_timeout(), Some((at(time + 60), Timer::Stall)));
        session.transmitted(1, at(time + 30));
        assert_eq!(session.poll_timeout(), Some((at(time + 90), Timer::Stall)));
        session.transmitted(100, at(time + 89));
        assert_eq!(session.poll_timeout(), None);
    }
    through(&mut session, at(300), 5);
    session.handle_timeout(at(360));
    assert_eq!((session.transport(), session.has_output()), (Transport::Reset, false));
}

#[test]
fn a_session_whose_output_is_taken_slowly_goes_on() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.stall_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            pair.link_to(role.other()).room = 1;
            pair.link_to(role.other()).byte_time = seconds(59);
            pair.tx(role).send(Message::Text("patience")).unwrap();
            pair.run_until(HOUR);
            assert_eq!(pair.told(role.other())[1..].len(), 1);
            assert_eq!((pair.closed(role), pair.deadline(role)), (None, None));
        });
    }
}

#[test]
fn a_close_that_cannot_be_written_stalls_like_everything_else() {
    for role in Role::BOTH {
        let config = still(|limits| {
            limits.stall_timeout = Some(seconds(60));
            limits.close_timeout = seconds(100);
        });
        simulate(&Setup::new(&still(|_| {})).with(role, config), |pair| {
            pair.open();
            pair.link_to(role.other()).room = 0;
            pair.run_until(seconds(1));
            pair.tx(role).close(Close::Empty);
            pair.settle();
            assert_eq!(pair.deadline(role), Some((seconds(61), Timer::Stall)));
            pair.run_until(seconds(61));
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Closed(unclean(Timer::Stall)), Told::Reset]);
        });
        // The closing handshake is given up first, and the transport with it.
        let config = still(|limits| {
            limits.stall_timeout = Some(seconds(60));
            limits.close_timeout = seconds(10);
        });
        simulate(&Setup::new(&still(|_| {})).with(role, config), |pair| {
            pair.open();
            pair.link_to(role.other()).room = 0;
            pair.run_until(seconds(1));
            pair.tx(role).close(Close::Empty);
            pair.run_until(seconds(11));
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Closed(unclean(Timer::Close)), Told::HungUp]);
            assert_eq!(pair.deadline(role), None, "nothing is left to stall");
        });
    }
}

// Memory: Limits::release. What it gives back is counted in tests/memory.rs.

#[test]
fn buffers_are_released_once_it_has_been_quiet() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.release = Some(seconds(1))));
        simulate(&setup, |pair| {
            pair.open();
            // The server's buffer held the 101; a client's queue has held nothing yet.
            let due = (role == Role::Server).then_some((seconds(1), Timer::Release));
            assert_eq!(pair.deadline(role), due);
            pair.run_until(seconds(1));
            assert_eq!(pair.deadline(role), None, "there is nothing more to release");

            for at in [millis(10_000), millis(10_500), millis(11_400)] {
                pair.run_until(at);
                pair.tx(role).send(Message::Text("tick")).unwrap();
                pair.settle();
                assert_eq!(pair.deadline(role), Some((at + seconds(1), Timer::Release)), "counted from the last byte");
            }
            pair.run_until(HOUR);
            assert_eq!((pair.deadline(role), pair.closed(role)), (None, None));
            assert_eq!(pair.sent(role).len(), 3, "it sends nothing");
            // A message that straddles reads is assembled in a buffer.
            pair.link_to(role).read = 3;
            for at in [HOUR * 2, HOUR * 2 + millis(900)] {
                pair.run_until(at);
                pair.tx(role.other()).send(Message::Text("tock")).unwrap();
                pair.settle();
                assert_eq!(pair.deadline(role), Some((at + seconds(1), Timer::Release)), "received bytes count too");
            }
            pair.run_until(HOUR * 3);
            assert_eq!(pair.deadline(role), None);
        });
    }
}

#[test]
fn what_goes_through_leaves_nothing_to_release_but_says_that_it_is_not_quiet() {
    let mut session = server(still(|limits| limits.release = Some(seconds(10))));
    through(&mut session, at(1), usize::MAX);
    assert_eq!(session.poll_timeout(), None);
    through(&mut session, at(2), 5);
    session.transmitted(100, at(3));
    assert_eq!(session.poll_timeout(), Some((at(13), Timer::Release)));
    through(&mut session, at(7), usize::MAX);
    assert_eq!(session.poll_timeout(), Some((at(17), Timer::Release)));
    session.handle_timeout(at(17));
    assert_eq!(session.poll_timeout(), None);
}

#[test]
fn a_message_under_way_and_queued_output_are_not_released() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.release = Some(seconds(1))));
        simulate(&setup, |pair| {
            pair.open();
            let peer = role.other();
            pair.link_to(peer).room = 3;
            pair.hold(peer);
            pair.tx(role).send(Message::Text("from here")).unwrap();
            pair.tx(peer).begin(Kind::Text, Default::default()).unwrap();
            pair.tx(peer).append(Message::Text("from ")).unwrap();
            pair.run_until(HOUR);
            pair.tx(peer).append(Message::Text("there")).unwrap();
            pair.tx(peer).finish().unwrap();
            pair.link_to(peer).room = 1000;
            pair.resume(peer);
            pair.run_until(HOUR * 2);
            assert_eq!(pair.told_since(role, HOUR), [Told::Text("from there".into())]);
            assert_eq!(pair.told_since(peer, HOUR), [Told::Text("from here".into())]);
            assert_eq!(pair.deadline(role), None);
        });
    }
}

// A driver that feeds no input: pause and resume.

#[test]
fn a_live_peer_looks_dead_to_a_driver_that_stops_reading_and_does_not_say_so() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(10));
            pair.hold(role);
            pair.run_until(HOUR);
            assert_eq!(pair.closed(role), Some((seconds(50), unclean(Timer::Pong))));
        });
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(10));
            pair.pause(role);
            assert_eq!(pair.deadline(role), None);
            pair.run_until(HOUR);
            assert_eq!((pair.sent(role), pair.closed(role)), (vec![], None));

            // It goes on where it stopped: 10 of the 30 seconds were over.
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((HOUR + seconds(20), Timer::KeepAlive)));
            pair.run_until(HOUR + seconds(20));
            assert_eq!(pair.sent(role), [(HOUR + seconds(20), Frame::ping(b""))]);
            assert_eq!(pair.told(role).last(), Some(&(HOUR + seconds(20), Told::Pong(vec![]))));
        });
    }
}

#[test]
fn the_pong_clock_stops_and_goes_on() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20)));
        simulate(&setup, |pair| {
            pair.open();
            pair.link_to(role.other()).dead = true;
            pair.run_until(seconds(42));
            assert_eq!(pair.deadline(role), Some((seconds(50), Timer::Pong)));
            pair.pause(role);
            assert_eq!(pair.deadline(role), None);
            pair.run_until(HOUR);
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((HOUR + seconds(8), Timer::Pong)));
            pair.run_until_just_before(HOUR + seconds(8));
            assert_eq!(pair.closed(role), None);
            pair.run_until(HOUR + seconds(8));
            assert_eq!(pair.closed(role), Some((HOUR + seconds(8), unclean(Timer::Pong))));
        });
    }
}

#[test]
fn the_idle_clock_stops_and_goes_on() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.idle_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            // Twice, and what does not follow a pause, or follows one already, changes nothing.
            pair.resume(role);
            pair.run_until(seconds(10));
            pair.pause(role);
            pair.run_until(seconds(15));
            pair.pause(role);
            assert_eq!(pair.deadline(role), None);
            pair.run_until(seconds(110));
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((seconds(160), Timer::Idle)), "10 of 60 seconds were over");
            pair.run_until(seconds(120));
            pair.resume(role);
            pair.pause(role);
            pair.run_until(seconds(1120));
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((seconds(1160), Timer::Idle)), "and then 20");
            pair.run_until(seconds(1160));
            assert_eq!(pair.closed(role), Some((seconds(1160), clean(1001, Cause::Timeout(Timer::Idle)))));
        });
    }
}

#[test]
fn what_lay_unread_during_a_pause_is_a_sign_of_life_when_it_is_read() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.idle_timeout = Some(seconds(60))));
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(10));
            pair.pause(role);
            pair.tx(role.other()).send(Message::Text("there")).unwrap();
            pair.run_until(HOUR);
            assert_eq!(pair.told_since(role, seconds(1)), []);
            pair.resume(role);
            assert_eq!(pair.told_since(role, seconds(1)), [Told::Text("there".into())]);
            assert_eq!(pair.deadline(role), Some((HOUR + seconds(60), Timer::Idle)));
        });
    }
}

#[test]
fn the_close_clock_stops_and_goes_on() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.close_timeout = seconds(10)));
        // Our Close before the pause.
        simulate(&setup, |pair| {
            pair.open();
            pair.link_to(role.other()).dead = true;
            pair.tx(role).close(Close::Empty);
            pair.run_until(seconds(4));
            pair.pause(role);
            assert_eq!(pair.deadline(role), None);
            pair.run_until(seconds(104));
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((seconds(110), Timer::Close)));
            pair.run_until(seconds(110));
            assert_eq!(pair.closed(role), Some((seconds(110), unclean(Timer::Close))));
        });
        // Our Close during the pause: it has not waited at all.
        simulate(&setup, |pair| {
            pair.open();
            pair.link_to(role.other()).dead = true;
            pair.run_until(seconds(4));
            pair.pause(role);
            pair.run_until(seconds(50));
            pair.tx(role).close(Close::Empty);
            pair.settle();
            assert_eq!(pair.deadline(role), None);
            pair.run_until(seconds(104));
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((seconds(114), Timer::Close)));
        });
        // The answer lies unread.
        simulate(&setup, |pair| {
            pair.open();
            pair.run_until(seconds(4));
            pair.pause(role);
            pair.tx(role).close(Close::Empty);
            pair.run_until(HOUR);
            assert_eq!(pair.closed(role), None);
            pair.resume(role);
            let closed = Closed { code: None, clean: true, cause: Cause::Local };
            assert_eq!(pair.closed(role), Some((HOUR, closed)));
        });
    }
}

#[test]
fn the_message_clock_stops_and_goes_on() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.message_timeout = Some(seconds(30))));
        simulate(&setup, |pair| {
            pair.open();
            pair.tx(role.other()).begin(Kind::Binary, Default::default()).unwrap();
            pair.tx(role.other()).append(Message::Binary(b"1")).unwrap();
            pair.run_until(seconds(10));
            assert_eq!(pair.deadline(role), Some((seconds(30), Timer::Message)));
            pair.pause(role);
            assert_eq!(pair.deadline(role), None);
            pair.run_until(seconds(100));
            pair.resume(role);
            assert_eq!(pair.deadline(role), Some((seconds(120), Timer::Message)));
            pair.run_until(seconds(120));
            assert_eq!(pair.closed(role), Some((seconds(120), clean(1008, Cause::Timeout(Timer::Message)))));
        });
    }
}

#[test]
fn what_does_not_depend_on_the_peers_silence_goes_on_during_a_pause() {
    for role in Role::BOTH {
        let lifetime = still(|limits| limits.lifetime = Some(seconds(100)));
        simulate(&Setup::new(&still(|_| {})).with(role, lifetime), |pair| {
            pair.open();
            pair.run_until(seconds(10));
            pair.pause(role);
            assert_eq!(pair.deadline(role), Some((seconds(100), Timer::Lifetime)));
            pair.run_until(seconds(100));
            assert_eq!(pair.sent(role), [(seconds(100), Frame::close(1001))]);
            pair.resume(role);
            assert_eq!(pair.closed(role), Some((seconds(100), clean(1001, Cause::Timeout(Timer::Lifetime)))));
        });
        let stall = still(|limits| limits.stall_timeout = Some(seconds(60)));
        simulate(&Setup::new(&still(|_| {})).with(role, stall), |pair| {
            pair.open();
            pair.link_to(role.other()).room = 0;
            pair.tx(role).send(Message::Text("anyone?")).unwrap();
            pair.run_until(seconds(10));
            pair.pause(role);
            assert_eq!(pair.deadline(role), Some((seconds(60), Timer::Stall)));
            pair.run_until(seconds(60));
            assert_eq!(pair.closed(role), Some((seconds(60), unclean(Timer::Stall))));
        });
        simulate(&Setup::new(&still(|_| {})).with(role, pong_every(seconds(30))), |pair| {
            pair.open();
            pair.run_until(seconds(10));
            pair.pause(role);
            assert_eq!(pair.deadline(role), Some((seconds(30), Timer::KeepAlive)));
            pair.run_until(seconds(70));
            assert_eq!(pair.sent(role), [30, 60].map(|at| (seconds(at), Frame::pong(b""))));
        });
    }
}

#[test]
fn a_session_that_is_over_waits_for_its_transport_in_a_pause_too() {
    for role in Role::BOTH {
        let setup = Setup::new(&still(|_| {})).with(role, still(|limits| limits.close_timeout = seconds(10)));
        simulate(&setup, |pair| {
            pair.open();
            pair.hold(role.other());
            pair.run_until(seconds(1));
            pair.inject(role, if role == Role::Server { &[0x88, 0x80, 0, 0, 0, 0] } else { &[0x88, 0] });
            pair.pause(role);
            assert_eq!(pair.deadline(role), Some((seconds(11), Timer::Close)));
            pair.run_until(seconds(11));
            assert!(pair.is_gone(role));
        });
    }
}

// Causes.

#[test]
fn a_cause_outlives_the_way_in_which_the_session_then_ends() {
    let first = |cause: Timer| {
        still(|limits| {
            limits.close_timeout = seconds(10);
            limits.stall_timeout = Some(seconds(5));
            *match cause {
                Timer::Idle => &mut limits.idle_timeout,
                Timer::Lifetime => &mut limits.lifetime,
                _ => &mut limits.message_timeout,
            } = Some(seconds(60));
        })
    };
    for (role, cause) in Role::BOTH.into_iter().flat_map(|role| CLOSING.map(|cause| (role, cause))) {
        let begin = |pair: &mut Pair| {
            pair.open();
            pair.tx(role.other()).begin(Kind::Text, Default::default()).unwrap();
            pair.tx(role.other()).append(Message::Text("unfinished")).unwrap();
            pair.settle();
            pair.hold(role.other());
            pair.run_until(seconds(60));
            assert_eq!(pair.sent(role).len(), 1, "the Close is out");
            assert_eq!(pair.closed(role), None);
        };
        let closed = Closed { code: None, clean: false, cause: Cause::Timeout(cause) };
        let setup = Setup::new(&still(|_| {})).with(role, first(cause));
        // The Close is never answered.
        simulate(&setup, |pair| {
            begin(pair);
            pair.run_until(seconds(70));
            assert_eq!(pair.closed(role), Some((seconds(70), closed)));
        });
        // The Close is not even taken.
        simulate(&setup, |pair| {
            pair.open();
            pair.tx(role.other()).begin(Kind::Text, Default::default()).unwrap();
            pair.tx(role.other()).append(Message::Text("unfinished")).unwrap();
            pair.settle();
            pair.link_to(role.other()).room = 0;
            pair.run_until(seconds(65));
            assert_eq!(pair.told_since(role, seconds(60)), [Told::Closed(closed), Told::Reset]);
        });
        // The transport breaks.
        simulate(&setup, |pair| {
            begin(pair);
            pair.run_until(seconds(61));
            pair.cut(role);
            pair.settle();
            assert_eq!(pair.closed(role), Some((seconds(61), closed)));
        });
        // The caller has no patience.
        simulate(&setup, |pair| {
            begin(pair);
            pair.run_until(seconds(61));
            pair.tx(role).abort();
            pair.settle();
            assert_eq!(pair.closed(role), Some((seconds(61), closed)));
        });
        // The peer closes too, with a code of its own.
        simulate(&setup, |pair| {
            begin(pair);
            pair.run_until(seconds(61));
            pair.tx(role.other()).close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
            pair.settle();
            assert_eq!(pair.closed(role), Some((seconds(61), clean(1000, Cause::Timeout(cause)))));
        });
    }
}

#[test]
fn a_deadline_behind_the_end_changes_nothing_about_its_cause() {
    for role in Role::BOTH {
        let config = Config {
            keep_alive: KeepAlive::Ping { interval: seconds(3), timeout: seconds(2) },
            ..still(|limits| {
                limits.close_timeout = seconds(60);
                limits.idle_timeout = Some(seconds(5));
                limits.lifetime = Some(seconds(6));
                limits.message_timeout = Some(seconds(7));
                limits.stall_timeout = Some(seconds(8));
            })
        };
        simulate(&Setup::new(&still(|_| {})).with(role, config), |pair| {
            pair.open();
            pair.hold(role.other());
            pair.link_to(role.other()).room = 0;
            pair.run_until(seconds(1));
            pair.inject(role, if role == Role::Server { &[0x88, 0x80, 0, 0, 0, 0] } else { &[0x88, 0] });
            let closed = Closed { code: None, clean: true, cause: Cause::Peer };
            assert_eq!(pair.closed(role), Some((seconds(1), closed)));
            // Our answer cannot be written, so the transport is reset; the session ended before.
            pair.run_until(seconds(9));
            assert_eq!(pair.told_since(role, seconds(2)), [Told::Reset]);
        });
    }
}

// Drivers that sleep too long, and the end of time.

#[test]
fn a_driver_that_slept_through_many_intervals_catches_up_at_once() {
    for role in Role::BOTH {
        simulate(&Setup::new(&still(|_| {})).with(role, pong_every(seconds(30))), |pair| {
            pair.open();
            pair.leap(HOUR * 1000);
            assert_eq!(
                pair.sent(role),
                [(HOUR * 1000, Frame::pong(b""))],
                "one Pong, not one for each that was missed"
            );
            assert_eq!(pair.deadline(role), Some((HOUR * 1000 + seconds(30), Timer::KeepAlive)));
        });
        simulate(&Setup::new(&still(|_| {})).with(role, ping_every(seconds(30), seconds(20))), |pair| {
            pair.open();
            pair.link_to(role).latency = seconds(5);
            pair.leap(HOUR * 1000);
            assert_eq!(pair.sent(role), [(HOUR * 1000, Frame::ping(b""))], "nobody is dead who was not asked");
            assert_eq!(pair.deadline(role), Some((HOUR * 1000 + seconds(20), Timer::Pong)));
            pair.run_for(seconds(5));
            assert_eq!(pair.deadline(role), Some((HOUR * 1000 + seconds(35), Timer::KeepAlive)));
        });
        let everything = Config {
            keep_alive: KeepAlive::Ping { interval: seconds(30), timeout: seconds(20) },
            ..still(|limits| {
                limits.close_timeout = seconds(10);
                limits.idle_timeout = Some(seconds(300));
                limits.lifetime = Some(seconds(500));
                limits.message_timeout = Some(seconds(400));
                limits.release = Some(seconds(1));
            })
        };
        simulate(&Setup::new(&still(|_| {})).with(role, everything), |pair| {
            pair.open();
            pair.leap(HOUR * 1000);
            let codes = pair.sent(role).into_iter().filter(|(_, frame)| frame.opcode == 8).collect::<Vec<_>>();
            assert_eq!(codes, [(HOUR * 1000, Frame::close(1001))], "one Close for all that was missed");
            assert_eq!(pair.closed(role), Some((HOUR * 1000, clean(1001, Cause::Timeout(Timer::Idle)))));
        });
    }
}

#[test]
fn a_handshake_that_was_slept_through_fails_once() {
    let config = still(|limits| {
        limits.open_timeout = seconds(10);
        limits.close_timeout = seconds(10);
        limits.stall_timeout = Some(seconds(10));
    });
    simulate(&Setup { on_offer: OnOffer::Defer, ..Setup::new(&config) }, |pair| {
        pair.connect();
        pair.hold(Role::Client);
        pair.leap(HOUR * 1000);
        let client = [Told::BadResponse(ResponseError::TimedOut), Told::Closed(unclean(Timer::Open)), Told::HungUp];
        assert_eq!(pair.told_since(Role::Client, seconds(1)), client);
        let server = [Told::Closed(unclean(Timer::Open)), Told::ShutdownWrite, Told::HungUp];
        assert_eq!(pair.told_since(Role::Server, seconds(1)), server);
    });
}

#[test]
fn a_duration_that_reaches_beyond_the_end_of_time_never_ends() {
    let mut config = still(|limits| {
        limits.idle_timeout = Some(Duration::MAX);
        limits.message_timeout = Some(Duration::MAX);
        limits.lifetime = Some(Duration::MAX);
        limits.stall_timeout = Some(Duration::MAX);
        limits.release = Some(Duration::MAX);
    });
    for keep_alive in [
        KeepAlive::Pong { interval: Duration::MAX },
        KeepAlive::Ping { interval: Duration::MAX, timeout: Duration::MAX },
    ] {
        config.keep_alive = keep_alive;
        simulate(&Setup::new(&config), |pair| {
            pair.open();
            pair.link_to(Role::Client).room = 1;
            pair.hold(Role::Client);
            for role in Role::BOTH {
                pair.tx(role).begin(Kind::Text, Default::default()).unwrap();
                pair.tx(role).append(Message::Text("unfinished")).unwrap();
            }
            pair.run_until(HOUR * 24 * 365 * 500);
            assert_eq!(Role::BOTH.map(|role| pair.deadline(role)), [None, None]);
            assert_eq!(Role::BOTH.map(|role| pair.closed(role)), [None, None]);
        });
    }
}

#[test]
fn the_last_nanosecond_that_a_clock_can_show_is_a_time_like_others() {
    for keep_alive in
        [pong_every(seconds(30)), ping_every(seconds(30), seconds(20)), ping_every(seconds(30), Duration::ZERO)]
    {
        let start = Instant::from_nanos(u64::MAX - 30_000_000_000 - 1);
        let mut pair = Pair::new(&Setup { start, nervous: true, ..Setup::new(&keep_alive) });
        pair.open();
        // The one deadline that comes before the end of time, and then the end of time itself, more than once.
        for _ in 0..3 {
            pair.leap(seconds(31));
        }
        for role in Role::BOTH {
            assert!(pair.sent(role).len() <= 2, "{:?}", pair.sent(role));
        }
    }
}

// Any conversation.

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// With any durations, at any time, nothing panics or spins (the simulator watches that), a spurious call does nothing,
    /// and what arrives is what was sent.
    #[test]
    fn no_configuration_makes_a_driver_spin(
        configs in (config(duration()), config(duration())),
        defer in prop::bool::weighted(0.2),
        start in prop_oneof![Just(0), any::<u64>(), (0..200_000_000_000u64).prop_map(|before| u64::MAX - before)],
        steps in prop::collection::vec(step(duration()), 0..40),
    ) {
        converse(&setup(configs, defer, start), &steps, |pair, model| {
            pair.run_for_at_most(HOUR, HAPPENINGS);
            model.check(pair);
        });
    }

    /// Whatever happened before, and whatever the wire does: two sides that are told to close are gone soon, and each
    /// session ends in one Closed.
    #[test]
    fn every_conversation_comes_to_its_end(
        configs in (config(short()), config(short())),
        defer in prop::bool::weighted(0.2),
        steps in prop::collection::vec(step(short()), 0..60),
    ) {
        let of_both = |of: fn(&Limits) -> Duration| of(&configs.0.limits).max(of(&configs.1.limits));
        let open = of_both(|limits| limits.open_timeout);
        let close = of_both(|limits| limits.close_timeout);
        let stall = of_both(|limits| limits.stall_timeout.unwrap_or_default());
        // A response of a few hundred bytes, at a byte a tenth of a second.
        let slow_response = seconds(60);
        converse(&setup(configs.clone(), defer, 0), &steps, |pair, model| {
            for role in Role::BOTH {
                pair.resume(role);
            }
            pair.run_for_at_most(open, HAPPENINGS);
            for role in Role::BOTH {
                Step::Close(role).run(pair, model);
            }
            pair.run_for(close * 2 + stall + slow_response);
            model.check_end(pair);
        });
    }

    /// On a wire that loses nothing, between sides with patience, all that was sent arrives and both ends are clean.
    #[test]
    fn everything_that_was_sent_before_a_close_arrives_once_and_in_order(
        steps in prop::collection::vec(step(short()).prop_filter("a fault", |step| !step.is_fault()), 0..80),
        output in 1usize..2000,
    ) {
        let mut config = pong_every(HOUR);
        config.limits.output = output;
        converse(&setup((config.clone(), config), false, 0), &steps, |pair, model| {
            for role in Role::BOTH {
                pair.link_to(role).room = usize::MAX;
                pair.resume(role);
            }
            pair.run_for(HOUR);
            for role in Role::BOTH {
                Step::Close(role).run(pair, model);
            }
            pair.run_for(HOUR);
            model.check_end(pair);
            for role in Role::BOTH {
                prop_assert!(pair.closed(role).is_some_and(|(_, closed)| closed.clean), "{:?}", pair.told(role));
            }
            Ok(())
        })?;
    }
}

/// More in one wait than this is slept through, so that a keep-alive every nanosecond does not take for ever.
const HAPPENINGS: usize = 200;

/// Runs the steps and the end on a calm pair and on a nervous one, which must agree.
fn converse<R>(setup: &Setup, steps: &[Step], end: impl Fn(&mut Pair, &mut Model) -> R) -> R {
    let run = |nervous| {
        let (mut pair, mut model) = (Pair::new(&Setup { nervous, ..setup.clone() }), Model::new());
        pair.connect();
        for step in steps {
            step.run(&mut pair, &mut model);
            model.check(&pair);
        }
        let result = end(&mut pair, &mut model);
        (pair, result)
    };
    let ((calm, result), (nervous, _)) = (run(false), run(true));
    nervous.assert_like(&calm, "spurious calls of handle_timeout change something");
    result
}

/// Something that happens on a pair.
#[derive(Clone, Debug)]
enum Step {
    Send(Role, Vec<u8>),
    SendText(Role, String),
    Begin(Role, bool),
    Append(Role, String),
    Finish(Role),
    Ping(Role, Vec<u8>),
    Close(Role),
    Abort(Role),
    Pause(Role),
    Resume(Role),
    Wait(Duration),
    Leap(Duration),
    /// Up to the next deadline of this side, or to the moment before it.
    WaitForDeadline(Role, bool),
    AcceptDeferred,
    Latency(Role, Duration),
    ByteTime(Role, Duration),
    Room(Role, usize),
    Pieces(Role, usize, usize),
    Die(Role),
    Cut(Role),
}

/// What was sent, by the side that sent it: the other receives that, or the beginning of it.
struct Model {
    sent: [Vec<Told>; 2],
    begun: [Option<(bool, String)>; 2],
}

impl Step {
    fn run(&self, pair: &mut Pair, model: &mut Model) {
        match self {
            Step::Send(role, payload) => model.send(pair, *role, Message::Binary(payload)),
            Step::SendText(role, payload) => model.send(pair, *role, Message::Text(payload)),
            Step::Begin(role, is_text) => {
                let kind = if *is_text { Kind::Text } else { Kind::Binary };
                if let Some(tx) = pair.find_tx(*role)
                    && tx.begin(kind, Default::default()).is_ok()
                {
                    let before = model.begun[*role as usize].replace((*is_text, String::new()));
                    assert_eq!(before, None, "a message began inside another");
                }
            }
            Step::Append(role, part) => {
                let begun = &mut model.begun[*role as usize];
                let is_text = begun.as_ref().is_none_or(|(is_text, _)| *is_text);
                let message = if is_text { Message::Text(part) } else { Message::Binary(part.as_bytes()) };
                if let Some(tx) = pair.find_tx(*role)
                    && tx.append(message).is_ok()
                {
                    begun.as_mut().expect("an append was taken, so a message was begun").1.push_str(part);
                }
            }
            Step::Finish(role) => {
                if let Some(tx) = pair.find_tx(*role)
                    && tx.finish().is_ok()
                {
                    let (is_text, whole) = model.begun[*role as usize].take().expect("a message was finished");
                    let message = if is_text { Message::Text(&whole) } else { Message::Binary(whole.as_bytes()) };
                    model.sent[*role as usize].push(told(message));
                }
            }
            Step::Ping(role, payload) => {
                pair.find_tx(*role).map(|tx| tx.ping(payload));
            }
            Step::Close(role) => {
                if let Some(tx) = pair.find_tx(*role) {
                    tx.close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
                    assert_eq!(tx.send(Message::Text("")), Err(SendError::Closed));
                }
            }
            Step::Abort(role) => {
                if let Some(tx) = pair.find_tx(*role) {
                    tx.abort();
                }
            }
            Step::Pause(role) => pair.pause(*role),
            Step::Resume(role) => pair.resume(*role),
            Step::Wait(time) => pair.run_for_at_most(*time, HAPPENINGS),
            Step::Leap(time) => pair.leap(*time),
            Step::WaitForDeadline(role, just_before) => {
                if let Some((deadline, _)) = pair.deadline(*role)
                    && deadline > pair.now()
                {
                    let target = if *just_before { deadline - TICK } else { deadline };
                    pair.run_for_at_most(target - pair.now(), HAPPENINGS);
                }
            }
            Step::AcceptDeferred => {
                if pair.told(Role::Server).first().is_some_and(|(_, told)| *told == Told::Offer) {
                    pair.accept_deferred();
                }
            }
            Step::Latency(role, latency) => pair.link_to(*role).latency = *latency,
            Step::ByteTime(role, byte_time) => pair.link_to(*role).byte_time = *byte_time,
            Step::Room(role, room) => pair.link_to(*role).room = *room,
            Step::Pieces(role, read, write) => {
                pair.link_to(*role).read = *read;
                pair.link_to(*role).write = *write;
            }
            Step::Die(role) => {
                pair.link_to(*role).dead = true;
            }
            Step::Cut(role) => {
                pair.cut(*role);
            }
        }
        pair.settle();
    }
}

impl Model {
    fn new() -> Model {
        Model { sent: [vec![], vec![]], begun: [None, None] }
    }

    fn send(&mut self, pair: &mut Pair, role: Role, message: Message<'_>) {
        let Some(tx) = pair.find_tx(role) else { return };
        let is_ready = tx.is_ready();
        let sent = tx.send(message);
        assert_eq!(is_ready, sent.is_ok(), "is_ready foretells what send does");
        match sent {
            Ok(()) => self.sent[role as usize].push(told(message)),
            Err(SendError::MidMessage) => assert!(self.begun[role as usize].is_some()),
            Err(SendError::Closed | SendError::Full) => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    /// What holds at every moment of every conversation.
    fn check(&self, pair: &Pair) {
        for role in Role::BOTH {
            let received: Vec<Told> = pair
                .told(role)
                .into_iter()
                .map(|(_, told)| told)
                .filter(|told| matches!(told, Told::Text(_) | Told::Binary(_)))
                .collect();
            let sent = &self.sent[role.other() as usize];
            assert!(sent.starts_with(&received), "{role:?} received {received:?}, its peer sent {sent:?}");
            let closed = pair.closed(role);
            if closed.is_some_and(|(_, closed)| closed.clean) {
                assert_eq!(received, *sent, "all that was sent before a Close arrives before it");
            }
            let strange = |(_, told): &(Duration, Told)| matches!(told, Told::Failed(_));
            assert!(!pair.told(role).iter().any(strange), "{:?}", pair.told(role));
        }
    }

    /// What holds at the end, when both sides were told to close and time has passed.
    fn check_end(&self, pair: &Pair) {
        self.check(pair);
        let count = |role, wanted: fn(&Told) -> bool| pair.told(role).iter().filter(|(_, told)| wanted(told)).count();
        for role in Role::BOTH {
            assert!(pair.is_gone(role), "{role:?} is not at its end: {pair:?}");
            let begun = if role == Role::Client { 1 } else { count(role, |told| *told == Told::Offer) };
            assert_eq!(count(role, |told| matches!(told, Told::Closed(_))), begun, "one Closed for every session");
        }
    }
}

fn told(message: Message<'_>) -> Told {
    match message {
        Message::Text(text) => Told::Text(text.into()),
        Message::Binary(bytes) => Told::Binary(bytes.into()),
    }
}

fn setup((server, client): (Config, Config), defer: bool, start: u64) -> Setup {
    let on_offer = if defer { OnOffer::Defer } else { OnOffer::Accept };
    Setup { on_offer, start: Instant::from_nanos(start), ..Setup::new(&server).with(Role::Client, client) }
}

fn step(duration: impl Strategy<Value = Duration> + Clone + 'static) -> impl Strategy<Value = Step> {
    let role = || prop_oneof![Just(Role::Server), Just(Role::Client)];
    let small = || prop_oneof![Just(0usize), 1usize..8, 1usize..1000];
    prop_oneof![
        20 => (role(), prop::collection::vec(any::<u8>(), 0..300)).prop_map(|(role, payload)| Step::Send(role, payload)),
        10 => (role(), "\\PC{0,60}").prop_map(|(role, text)| Step::SendText(role, text)),
        10 => (role(), any::<bool>()).prop_map(|(role, is_text)| Step::Begin(role, is_text)),
        15 => (role(), "\\PC{0,20}").prop_map(|(role, part)| Step::Append(role, part)),
        10 => role().prop_map(Step::Finish),
        10 => (role(), prop::collection::vec(any::<u8>(), 0..126)).prop_map(|(role, payload)| Step::Ping(role, payload)),
        1 => role().prop_map(Step::Close),
        1 => role().prop_map(Step::Abort),
        5 => role().prop_map(Step::Pause),
        8 => role().prop_map(Step::Resume),
        20 => (0u64..3000).prop_map(|wait| Step::Wait(millis(wait))),
        5 => duration.clone().prop_map(Step::Wait),
        2 => duration.prop_map(Step::Leap),
        10 => (role(), any::<bool>()).prop_map(|(role, just_before)| Step::WaitForDeadline(role, just_before)),
        5 => Just(Step::AcceptDeferred),
        2 => (role(), 0u64..10_000).prop_map(|(role, latency)| Step::Latency(role, millis(latency))),
        2 => (role(), 0u64..100).prop_map(|(role, byte_time)| Step::ByteTime(role, millis(byte_time))),
        5 => (role(), small()).prop_map(|(role, room)| Step::Room(role, room)),
        5 => (role(), 1usize..20, 1usize..20).prop_map(|(role, read, write)| Step::Pieces(role, read, write)),
        1 => role().prop_map(Step::Die),
        1 => role().prop_map(Step::Cut),
    ]
}

fn config(duration: impl Strategy<Value = Duration> + Clone + 'static) -> impl Strategy<Value = Config> {
    let perhaps = || prop::option::weighted(0.2, duration.clone());
    let keep_alive = prop_oneof![
        Just(KeepAlive::Off),
        duration.clone().prop_map(|interval| KeepAlive::Pong { interval }),
        (duration.clone(), duration.clone()).prop_map(|(interval, timeout)| KeepAlive::Ping { interval, timeout }),
    ];
    // Most handshakes are to come to a session.
    let open = prop_oneof![3 => Just(seconds(100)), 1 => duration.clone()];
    let durations = (open, duration.clone(), perhaps(), perhaps(), perhaps(), duration.clone(), perhaps());
    (durations, keep_alive, 0usize..2000).prop_map(
        |(
            (open_timeout, close_timeout, idle_timeout, message_timeout, lifetime, stall, release),
            keep_alive,
            output,
        )| {
            let stall_timeout = Some(stall);
            let limits = Limits {
                open_timeout,
                close_timeout,
                idle_timeout,
                message_timeout,
                lifetime,
                stall_timeout,
                release,
                output,
                ..Limits::default()
            };
            Config { limits, keep_alive, ..Config::default() }
        },
    )
}

/// From nothing to a minute and a half.
fn short() -> impl Strategy<Value = Duration> + Clone {
    prop_oneof![
        1 => Just(Duration::ZERO),
        1 => (1u64..20).prop_map(Duration::from_nanos),
        18 => (0u64..100_000).prop_map(millis),
    ]
}

/// From nothing to more than time has.
fn duration() -> impl Strategy<Value = Duration> + Clone {
    prop_oneof![
        12 => short(),
        1 => Just(Duration::MAX),
        1 => any::<u64>().prop_map(Duration::from_nanos),
        1 => (0u64..3).prop_map(|before| Duration::from_nanos(u64::MAX - before)),
    ]
}

impl Step {
    /// Whether it can keep from its peer what a side has sent.
    fn is_fault(&self) -> bool {
        matches!(self, Step::Abort(_) | Step::Die(_) | Step::Cut(_))
    }
}

// Configurations and values.

const HOUR: Duration = Duration::from_secs(3600);

/// The timers that end a session with a closing handshake.
const CLOSING: [Timer; 3] = [Timer::Idle, Timer::Lifetime, Timer::Message];

/// Every timer is off, or never comes, but for what a test is about.
fn still(change: impl FnOnce(&mut Limits)) -> Config {
    let mut limits = Limits {
        open_timeout: Duration::MAX,
        close_timeout: Duration::MAX,
        idle_timeout: None,
        message_timeout: None,
        lifetime: None,
        stall_timeout: None,
        release: None,
        ..Limits::default()
    };
    change(&mut limits);
    Config { limits, keep_alive: KeepAlive::Off, ..Config::default() }
}

/// A session behind its opening handshake, which ended at no time.
fn server(config: Config) -> WebSocket {
    WebSocket::server(&Agreed::default(), Arc::new(config), at(0))
}

fn at(time: u64) -> Instant {
    Instant::from_nanos(0) + seconds(time)
}

/// Lends a message, of which the transport takes so many bytes at once.
fn through(session: &mut WebSocket, now: Instant, count: usize) {
    let frame = session.tx(now).send_through(Message::Text("of 20 bytes in all"), Compress::Auto).unwrap();
    frame.unwrap().written(count);
}

fn pong_every(interval: Duration) -> Config {
    Config { keep_alive: KeepAlive::Pong { interval }, ..still(|_| {}) }
}

fn ping_every(interval: Duration, timeout: Duration) -> Config {
    Config { keep_alive: KeepAlive::Ping { interval, timeout }, ..still(|_| {}) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn clean(code: u16, cause: Cause) -> Closed {
    Closed { code: CloseCode::new(code), clean: true, cause }
}

fn unclean(timer: Timer) -> Closed {
    Closed { code: None, clean: false, cause: Cause::Timeout(timer) }
}

/// One whole response without a WebSocket, behind which the connection ends.
fn assert_response(wire: &[u8], status_line: &str) {
    let text = std::str::from_utf8(wire).unwrap();
    assert!(text.starts_with(status_line), "{text}");
    assert!(text.contains("\r\nConnection: close\r\n"), "{text}");
}
