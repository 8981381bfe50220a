use std::sync::Arc;

use sockless::*;

#[test]
fn smoke() {
    println!("WebSocket {} Server {} Client {}", size_of::<WebSocket>(), size_of::<Server>(), size_of::<Client>());
    let config = Arc::new(Config::default());
    let now = Instant::from_nanos(0);
    let mut server = Server::new(config.clone(), now);
    let mut client = Client::new(config, Os, now).unwrap();
    let connect = Connect::to("ws://a/b").unwrap().subprotocol("chat").unwrap();
    let id = client.open(&connect, now).unwrap();
    let mut wire = Vec::new();
    client.take(&mut wire, now);
    println!("{}", String::from_utf8_lossy(&wire));
    let mut input = &mut wire[..];
    match server.receive(&mut input, now) {
        Some(ServerEvent::Offer(offer)) => {
            let chosen = offer.select(&["chat"]);
            offer.accept(Accept::new().subprotocol(chosen));
        }
        other => panic!("{other:?}"),
    }
    assert!(server.receive(&mut input, now).is_none());
    let mut wire = Vec::new();
    server.take(&mut wire, now);
    println!("{}", String::from_utf8_lossy(&wire));
    let mut input = &mut wire[..];
    match client.receive(&mut input, now) {
        Some(ClientEvent::Open(opened)) => {
            assert_eq!(opened.agreed.subprotocol(), Some("chat"));
            opened.tx.send(Message::Text("hello")).unwrap();
        }
        other => panic!("{other:?}"),
    }
    client.tx(id, now).unwrap().close(Close::With(CloseCode::NORMAL, Reason::new("bye").unwrap()));
    let mut wire = Vec::new();
    client.take(&mut wire, now);
    let mut input = &mut wire[..];
    while let Some(event) = server.receive(&mut input, now) {
        println!("{event:?}");
        if let ServerEvent::Session(_, Incoming { event: Event::Message(m), tx }) = event {
            tx.send(m).unwrap();
        }
    }
    let mut wire = Vec::new();
    server.take(&mut wire, now);
    println!("{wire:?} {:?}", server.transport());
    let mut input = &mut wire[..];
    while let Some(event) = client.receive(&mut input, now) {
        println!("{event:?}");
    }
    println!("{:?} {:?}", client.transport(), client.poll_timeout());
    client.receive_eof(now);
    assert!(client.is_closed());
}
