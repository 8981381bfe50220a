//! What does a driver ask of a transport, and tell of its end? (RFC 6455 §7.1.1, §7.1.5)
//!
//! Whether anything is to be written, and what becomes of a session whose transport is gone.

mod common;

use std::sync::Arc;

use common::{Counter, START};
use sockless::{
    Accept, Agreed, Cause, Client, ClientEvent, Closed, Config, Connect, Event, Incoming, Message, SendError, Server,
    ServerEvent, Timer, Transport, WebSocket,
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
