//! Do sessions over HTTP/2 do what they do over HTTP/1.1, many on one connection? (RFC 8441)

use std::collections::BTreeMap;
use std::sync::Arc;

use sockless::*;

struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        for byte in out {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        }
        Ok(())
    }
}

const NOW: Instant = Instant::from_nanos(0);

/// A client and a server, wired to each other; the server echoes.
struct Pair {
    client: Client,
    server: Server,
    log: Vec<String>,
    received: BTreeMap<u32, Vec<u8>>,
    opened: Vec<SessionId>,
}

impl Pair {
    fn new(config: Config) -> Pair {
        let config = Arc::new(config);
        Pair {
            client: Client::http2(Arc::clone(&config), Counter(0), NOW).unwrap(),
            server: Server::new(config, NOW),
            log: Vec::new(),
            received: BTreeMap::new(),
            opened: Vec::new(),
        }
    }

    /// Carries bytes to and fro, in pieces of this size, until there are no more.
    fn run(&mut self, size: usize) {
        loop {
            let (mut up, mut down) = (Vec::new(), Vec::new());
            self.client.take(&mut up, NOW);
            for piece in up.chunks_mut(size) {
                self.feed_server(piece);
            }
            self.feed_server(&mut []);
            self.server.take(&mut down, NOW);
            for piece in down.chunks_mut(size) {
                self.feed_client(piece);
            }
            self.feed_client(&mut []);
            if up.is_empty() && down.is_empty() {
                return;
            }
        }
    }

    fn feed_server(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.server.receive(&mut input, NOW) {
            match event {
                ServerEvent::Offer(offer) => {
                    assert_eq!((offer.version(), offer.target()), (HttpVersion::Http2, "/chat"));
                    let chosen = offer.select(&["b"]);
                    offer.accept(Accept::new().subprotocol(chosen));
                }
                ServerEvent::Session(id, Incoming { event: Event::Message(message), tx }) => {
                    self.log.push(format!("server {id:?} message {}", message.as_bytes().len()));
                    tx.send(message).unwrap();
                }
                ServerEvent::Session(id, Incoming { event, .. }) => self.log.push(format!("server {id:?} {event:?}")),
                event => self.log.push(format!("server {event:?}")),
            }
        }
    }

    fn feed_client(&mut self, mut input: &mut [u8]) {
        while let Some(event) = self.client.receive(&mut input, NOW) {
            match event {
                ClientEvent::Open(opened) => {
                    assert_eq!(opened.response.status(), 200);
                    self.log.push(format!("client {:?} open {:?}", opened.id, opened.agreed.subprotocol()));
                    self.opened.push(opened.id);
                }
                ClientEvent::Session(id, Incoming { event: Event::Message(message), .. }) => {
                    self.log.push(format!("client {id:?} message {}", message.as_bytes().len()));
                    let name =
                        format!("{id:?}").chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap();
                    self.received.entry(name).or_default().extend_from_slice(message.as_bytes());
                }
                ClientEvent::Session(id, Incoming { event, .. }) => self.log.push(format!("client {id:?} {event:?}")),
                event => self.log.push(format!("client {event:?}")),
            }
        }
    }
}

#[test]
fn sessions_echo_side_by_side_and_close() {
    for size in [1, 7, 100, 1 << 20] {
        let compression = Some(Compression::default());
        let mut pair = Pair::new(Config { compression, origin: OriginPolicy::Any, ..Config::default() });
        let connect =
            Connect::to("wss://example.com/chat").unwrap().subprotocol("a").unwrap().subprotocol("b").unwrap();
        let ids: Vec<_> = (0..5).map(|_| pair.client.open(&connect, NOW).unwrap()).collect();
        pair.run(size);
        assert_eq!(pair.opened, ids, "{:#?}", pair.log);
        for (nth, id) in ids.iter().enumerate() {
            let body = vec![nth as u8; if size > 50 { 1 << 20 } else { 3000 }];
            let tx = pair.client.tx(*id, NOW).unwrap();
            tx.send(Message::Text("a text that is long enough to be compressed, and compressed again")).unwrap();
            tx.send_with(Message::Binary(&body), Compress::Never).unwrap();
        }
        pair.run(size);
        for (nth, received) in pair.received.values().enumerate() {
            assert_eq!(received.len(), 65 + if size > 50 { 1 << 20 } else { 3000 });
            assert!(received.ends_with(&[nth as u8; 3000]));
        }
        assert_eq!(pair.received.len(), 5);
        for id in &ids {
            pair.client.tx(*id, NOW).unwrap().close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        }
        pair.run(size);
        let closed = pair.log.iter().filter(|line| line.contains("Closed(Closed { code: Some")).count();
        assert_eq!(closed, 10, "{:#?}", pair.log);
        assert!(ids.iter().all(|id| pair.client.tx(*id, NOW).is_none()), "forgotten");
        assert!(ids.iter().all(|id| pair.server.tx(*id, NOW).is_none()), "forgotten");
    }
}

#[test]
fn chunks_of_a_compressed_message_need_no_more_bytes_than_it_has() {
    let config = |delivery| {
        Arc::new(Config {
            compression: Some(Compression::default()),
            origin: OriginPolicy::Any,
            delivery,
            ..Config::default()
        })
    };
    let mut client = Client::http2(config(Delivery::Chunks), Counter(0), NOW).unwrap();
    let mut server = Server::new(config(Delivery::Messages), NOW);
    client.open(&Connect::to("ws://a/b").unwrap(), NOW).unwrap();
    let (mut length, mut is_last) = (0, false);
    for _ in 0..4 {
        let (mut up, mut down) = (Vec::new(), Vec::new());
        client.take(&mut up, NOW);
        let mut input = &mut up[..];
        let id = match server.receive(&mut input, NOW) {
            Some(ServerEvent::Offer(offer)) => Some(offer.accept(Accept::new())),
            _ => None,
        };
        if let Some(id) = id {
            server.tx(id, NOW).unwrap().send(Message::Binary(&[0; 300_000])).unwrap();
        }
        server.take(&mut down, NOW);
        let mut input = &mut down[..];
        while let Some(event) = client.receive(&mut input, NOW) {
            if let ClientEvent::Session(_, Incoming { event: Event::Chunk(chunk), .. }) = event {
                length += chunk.data.as_bytes().len();
                is_last |= chunk.last;
            }
        }
    }
    assert_eq!((length, is_last), (300_000, true));
}
