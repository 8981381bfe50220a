//! What does a driver ask of a transport, and tell of its end? (RFC 6455 §7.1.1, §7.1.5)
//!
//! Whether anything is to be written, and what becomes of a session whose transport is gone.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{Counter, START};
use sockless::{
    Accept, Agreed, Cause, Client, ClientEvent, Close, Closed, Config, Connect, Event, Http2Limits, Incoming, Instant,
    Limits, Message, SendError, Server, ServerEvent, Shared, Timer, Transport, WebSocket,
};

const RESET: Closed = Closed { code: None, clean: false, cause: Cause::Reset };

fn config() -> Arc<Config> {
    Arc::new(Config::default())
}

#[test]
fn there_is_output_until_all_is_taken() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    assert!(!session.has_output());
    session.tx(START).send(Message::Text("four")).unwrap();
    for _ in 0..6 {
        assert!(session.has_output());
        session.transmitted(1, START);
    }
    assert!(!session.has_output());
    let mut ping = [0x89, 0x80, 0, 0, 0, 0];
    assert!(session.receive(&mut &mut ping[..], START).is_some());
    assert!(session.has_output(), "a Pong is output too");
}

//= rfc6455 7.2.1 MUST 2: a lost transport fails the connection
//= type=test
#[test]
fn a_reset_drops_what_is_queued_and_ends_the_session() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    session.tx(START).send(Message::Text("lost")).unwrap();
    session.receive_reset(START);
    assert!(!session.has_output());
    assert_eq!((session.transport(), session.is_closed()), (Transport::Reset, false));
    assert_eq!(session.tx(START).send(Message::Text("more")), Err(SendError::Closed));
    let event = session.receive(&mut &mut [][..], START).map(|Incoming { event, .. }| event);
    assert_eq!(event, Some(Event::Closed(RESET)));
    assert!(session.is_closed());
    assert!(session.receive(&mut &mut [][..], START).is_none());
    assert_eq!(session.poll_timeout().map(|(_, timer)| timer), Some(Timer::Release));
}

#[test]
fn a_reset_behind_the_end_of_a_session_tells_nothing_more() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    let mut close = [0x88, 0x80, 0, 0, 0, 0];
    let mut input = &mut close[..];
    while session.receive(&mut input, START).is_some() {}
    assert!(session.has_output() && !session.is_closed());
    session.receive_reset(START);
    assert!(session.receive(&mut &mut [][..], START).is_none());
    assert!(session.is_closed());
}

#[test]
fn a_server_whose_transport_is_reset_in_the_opening_handshake() {
    let mut server = Server::new(config(), START);
    let mut part = *b"GET / HT";
    assert!(server.receive(&mut &mut part[..], START).is_none());
    server.receive_reset(START);
    assert!(server.receive(&mut &mut [][..], START).is_none());
    assert!(server.is_closed());

    // The one who has an offer to answer is told.
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
    let mut server = Server::new(config(), START);
    let mut request = upgrade.as_bytes().to_vec();
    let Some(ServerEvent::Offer(offer)) = server.receive(&mut &mut request[..], START) else { panic!("no offer") };
    let id = offer.defer();
    server.receive_reset(START);
    assert!(server.offer(id, START).is_none());
    assert!(matches!(server.receive(&mut &mut [][..], START), Some(ServerEvent::Closed(of, RESET)) if of == id));
    assert!(server.is_closed() && !server.has_output());

    // A response that waits is dropped.
    let mut server = Server::new(config(), START);
    let mut request = upgrade.as_bytes().to_vec();
    let Some(ServerEvent::Offer(offer)) = server.receive(&mut &mut request[..], START) else { panic!("no offer") };
    offer.accept(Accept::new());
    assert!(server.has_output());
    server.receive_reset(START);
    assert!(!server.has_output());
    assert!(matches!(server.receive(&mut &mut [][..], START), Some(ServerEvent::Session(..))));
    assert!(server.is_closed());
}

#[test]
fn a_client_whose_transport_is_reset_in_the_opening_handshake() {
    let mut client = Client::new(config(), Counter(0), START).unwrap();
    let id = client.open(&Connect::to("ws://example.com").unwrap(), START).unwrap();
    assert!(client.has_output());
    client.receive_reset(START);
    assert!(!client.has_output());
    assert!(matches!(client.receive(&mut &mut [][..], START), Some(ClientEvent::Closed(of, RESET)) if of == id));
    assert!(client.is_closed());
}

fn second(number: u64) -> Instant {
    START + Duration::from_secs(number)
}

#[test]
fn a_peer_that_reads_slowly_is_not_dead() {
    // The keep-alive Ping waits behind 900 kB, of which the transport takes 10 kB a second. The peer cannot answer before.
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    session.tx(START).send(Message::Binary(&[0; 900_000])).unwrap();
    for number in 1..=90 {
        session.transmitted(10_000, second(number));
        session.handle_timeout(second(number));
        assert_eq!(session.transport(), Transport::Open, "after {number} s");
    }
    // Head and Ping are left: from when they are gone, it has its 20 seconds.
    session.transmitted(usize::MAX, second(91));
    assert_eq!(session.poll_timeout(), Some((second(92), Timer::Release)));
    session.handle_timeout(second(92));
    assert_eq!(session.poll_timeout(), Some((second(111), Timer::Pong)));
    session.handle_timeout(second(111));
    assert_eq!(session.transport(), Transport::Reset);
}

#[test]
fn a_close_behind_much_output_has_its_time_once_it_is_out() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    session.tx(START).send(Message::Binary(&[0; 900_000])).unwrap();
    session.tx(START).close(Close::Empty);
    for number in 1..=90 {
        session.transmitted(10_000, second(number));
        session.handle_timeout(second(number));
        assert_eq!(session.transport(), Transport::Open, "after {number} s");
    }
    session.transmitted(usize::MAX, second(91));
    session.handle_timeout(second(100));
    assert_eq!(session.poll_timeout(), Some((second(101), Timer::Close)));
    // Pongs that follow do not put it off.
    let mut ping = [0x89, 0x80, 0, 0, 0, 0];
    assert!(session.receive(&mut &mut ping[..], second(100)).is_some());
    session.transmitted(usize::MAX, second(100));
    assert_eq!(session.poll_timeout(), Some((second(101), Timer::Close)));
}

#[test]
fn output_that_stands_still_ends_the_session_in_the_time_of_a_close() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    session.tx(START).send(Message::Text("never taken")).unwrap();
    session.tx(START).close(Close::Empty);
    session.handle_timeout(second(10));
    assert_eq!(session.transport(), Transport::Close);
}

#[test]
fn small_shared_bodies_cost_no_more_than_their_bytes() {
    // Each would else be a reference of its own, several times its size.
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    let shared = Shared::binary(vec![7; 255]);
    for _ in 0..1000 {
        session.tx(START).send_shared(&shared).unwrap();
    }
    assert_eq!(session.transmit_slices().count(), 1, "one buffer");
    session.tx(START).send_shared(&Shared::binary(vec![7; 256])).unwrap();
    assert_eq!(session.transmit_slices().count(), 2, "and a reference");
}

#[test]
fn no_limit_is_too_large_or_too_small() {
    let zero = Limits {
        message: 0,
        ratio: 0,
        frame: 0,
        fragments: 0,
        output: 0,
        head: 0,
        target: 0,
        fields: 0,
        body: 0,
        open_timeout: Duration::ZERO,
        close_timeout: Duration::ZERO,
        idle_timeout: Some(Duration::ZERO),
        message_timeout: Some(Duration::ZERO),
        lifetime: Some(Duration::ZERO),
        stall_timeout: Some(Duration::ZERO),
        release: Some(Duration::ZERO),
        http2: Http2Limits {
            sessions: 0,
            session_window: 0,
            connection_window: 0,
            idle_frames: 0,
            resets: 0,
            answers: 0,
        },
    };
    let most = Limits {
        message: u64::MAX,
        ratio: u32::MAX,
        frame: u64::MAX,
        fragments: u32::MAX,
        output: usize::MAX,
        head: usize::MAX,
        target: usize::MAX,
        fields: usize::MAX,
        body: u64::MAX,
        open_timeout: Duration::MAX,
        close_timeout: Duration::MAX,
        idle_timeout: Some(Duration::MAX),
        message_timeout: Some(Duration::MAX),
        lifetime: Some(Duration::MAX),
        stall_timeout: Some(Duration::MAX),
        release: Some(Duration::MAX),
        http2: Http2Limits {
            sessions: u32::MAX,
            session_window: u32::MAX,
            connection_window: u32::MAX,
            idle_frames: u32::MAX,
            resets: u32::MAX,
            answers: usize::MAX,
        },
    };
    for (limits, is_accepted) in [(zero, false), (most, true)] {
        let mut server = Server::new(Arc::new(Config { limits, ..Config::default() }), START);
        let mut request = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            .to_vec();
        match server.receive(&mut &mut request[..], START) {
            Some(ServerEvent::Offer(offer)) if is_accepted => {
                offer.accept(Accept::new());
            }
            Some(ServerEvent::Refused(_)) if !is_accepted => {}
            other => panic!("{other:?}"),
        }
        server.handle_timeout(second(1));
        assert!(server.poll_timeout().is_none_or(|(deadline, _)| deadline > second(1)));
    }
}

#[test]
fn the_callers_pings_do_not_put_off_the_end_of_a_dead_peer() {
    let mut session = WebSocket::server(&Agreed::default(), config(), START);
    session.handle_timeout(second(30));
    session.transmitted(usize::MAX, second(30));
    for number in 31..50 {
        session.tx(second(number)).ping(b"there?").unwrap();
        session.transmitted(usize::MAX, second(number));
        session.handle_timeout(second(number));
        assert_eq!(session.transport(), Transport::Open, "after {number} s");
    }
    session.handle_timeout(second(50));
    assert_eq!(session.transport(), Transport::Reset);
}
