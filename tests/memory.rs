//! How much memory does a connection hold, and when does it ask for more?
//!
//! An allocator counts, for each thread apart, what is held, its peak and how often something was asked for. Whatever a test
//! itself needs (the peer's bytes, a read buffer, the shared configuration) is made before it begins to measure, so the
//! figures are the engine's alone, exact to the byte. `cargo test --test memory -- --nocapture` prints those worth knowing.

#[path = "common/heap.rs"]
mod heap;

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use heap::{held_since, measure, report};
use rand_chacha::ChaCha8Rng;
use sockless::{
    Accept, Chunk, Client, ClientEvent, Compress, Config, Connect, Delivery, Entropy, Event, Incoming, Instant,
    KeepAlive, Kind, Limits, Message, NoEntropy, RequestError, Response, Sender, Server, ServerEvent, SessionId,
    Shared, Timer, WebSocket,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

// Idle.

#[test]
fn a_connection_is_small() {
    report(format_args!("WebSocket: {} bytes, Server: {} bytes", size_of::<WebSocket>(), size_of::<Server>()));
    assert!(size_of::<WebSocket>() <= 440, "{}", size_of::<WebSocket>());
    assert!(size_of::<Server>() <= 512, "{}", size_of::<Server>());
}

#[test]
fn an_idle_server_connection_holds_nothing_after_its_handshake() {
    for read in [usize::MAX, 1, 7] {
        let (config, mut buffer) = (Arc::new(Config::default()), buffer());
        let (mut server, measured) = measure(|| {
            let mut server = Server::new(Arc::clone(&config), at(0));
            open(&mut server, read, &mut buffer, Accept::new());
            server
        });
        report(format_args!("handshake in reads of {read}: {measured:?}"));
        release(&mut server, at(0));
        assert_eq!(held_since(measured.start), 0, "reads of {read}");
        drop(server);
        assert_eq!(held_since(measured.start), 0);
    }
}

#[test]
fn an_accept_with_everything_leaves_nothing_behind() {
    let (config, other, mut buffer) = (Arc::new(Config::default()), Arc::new(Config::default()), buffer());
    let (server, measured) = measure(|| {
        let mut server = Server::new(Arc::clone(&config), at(0));
        let accept = Accept::new().header("Set-Cookie", &"x".repeat(1000)).unwrap().config(Arc::clone(&other));
        open(&mut server, usize::MAX, &mut buffer, accept);
        release(&mut server, at(0));
        server
    });
    assert_eq!((measured.held, Arc::strong_count(&other)), (0, 2));
    drop(server);
    assert_eq!((held_since(measured.start), Arc::strong_count(&config)), (0, 1));
}

#[test]
fn an_offer_that_was_deferred_and_accepted_leaves_nothing_behind() {
    let (config, mut buffer, head) = (Arc::new(Config::default()), buffer(), head_of(KIB));
    let (_, measured) = measure(|| {
        let mut server = Server::new(Arc::clone(&config), at(0));
        let mut input = fill(&mut buffer, &head);
        let id = match server.receive(&mut input, at(0)) {
            Some(ServerEvent::Offer(offer)) => offer.defer(),
            other => panic!("{other:?}"),
        };
        // Long after that read, and before the next.
        server.offer(id, at(1)).unwrap().accept(Accept::new());
        release(&mut server, at(1));
        server
    });
    assert_eq!(measured.held, 0);
}

#[test]
fn an_idle_server_connection_holds_nothing_after_traffic_in_both_directions() {
    let (config, mut buffer) = (Arc::new(Config::default()), buffer());
    let text = "a text of two-, three- and four-byte characters: é, €, 𝄞. ".repeat(200);
    let (begin, middle, end) = (&text.as_bytes()[..5001], &text.as_bytes()[5001..5002], &text.as_bytes()[5002..]);
    let wire = [
        masked(0x82, &[7; 40_000]),
        masked(0x01, begin),
        masked(0x89, b"a ping between fragments, split over reads"),
        masked(0x00, middle),
        masked(0x8A, b"and a pong"),
        masked(0x80, end),
        masked(0x81, text.as_bytes()),
    ]
    .concat();
    let shared = shared(10_000);
    for read in [1, 13, 1000, 16 * KIB] {
        let mut server = Server::new(Arc::clone(&config), at(0));
        open(&mut server, usize::MAX, &mut buffer, Accept::new());
        release(&mut server, at(0));
        let (counted, measured) = measure(|| {
            let mut counted = [0; 3];
            feed(&mut server, &wire, read, &mut buffer, at(5), |event, tx| match event {
                Event::Message(message) => {
                    counted[0] += 1;
                    tx.send(message).unwrap();
                    tx.send_shared(&shared).unwrap();
                    tx.begin(Kind::Text, Default::default()).unwrap();
                    tx.append(Message::Text("piece by piece")).unwrap();
                    tx.ping(b"?").ok();
                    tx.finish().unwrap();
                }
                Event::Ping(_) => counted[1] += 1,
                Event::Pong(_) => counted[2] += 1,
                other => panic!("{other:?}"),
            });
            flush(&mut server, at(5));
            counted
        });
        assert_eq!(counted, [3, 1, 1]);
        assert!(measured.held > 0, "warm when busy");
        report(format_args!("traffic in reads of {read}: {measured:?}"));

        assert_eq!(server.poll_timeout(), Some((at(6), Timer::Release)));
        server.handle_timeout(before(at(6)));
        assert_eq!(held_since(measured.start), measured.held);
        server.handle_timeout(at(6));
        assert_eq!(held_since(measured.start), 0, "nothing when idle, reads of {read}");
        assert_ne!(server.poll_timeout().map(|(_, timer)| timer), Some(Timer::Release));
    }
}

#[test]
fn release_by_hand_gives_back_what_the_timer_would() {
    let (config, mut buffer) = (Arc::new(still(|limits| limits.release = None)), buffer());
    let wire = [masked(0x82, &[7; 40_000]), masked(0x89, b"split over reads")].concat();
    let mut server = Server::new(config, at(0));
    open(&mut server, usize::MAX, &mut buffer, Accept::new());
    server.release();
    let (_, measured) = measure(|| {
        feed(&mut server, &wire, 1000, &mut buffer, at(5), |event, tx| {
            if let Event::Message(message) = event {
                tx.send(message).unwrap();
            }
        });
        flush(&mut server, at(5));
    });
    assert!(measured.held > 40_000, "{measured:?}");
    assert_eq!(server.poll_timeout(), None);
    server.release();
    assert_eq!(held_since(measured.start), 0);
}

#[test]
fn what_is_under_way_is_not_released() {
    let (config, mut buffer) = (Arc::new(still(|_| {})), buffer());
    let mut server = Server::new(config, at(0));
    let id = open(&mut server, usize::MAX, &mut buffer, Accept::new());
    let wire = [masked(0x01, &[b'x'; 5000]), masked(0x80, b"end")].concat();
    let (first, second) = wire.split_at(4000);
    feed(&mut server, first, usize::MAX, &mut buffer, at(1), |event, _| panic!("{event:?}"));
    server.tx(id, at(1)).unwrap().send(Message::Text("not taken yet")).unwrap();
    server.handle_timeout(at(100));
    server.release();
    let mut received = 0;
    feed(&mut server, second, usize::MAX, &mut buffer, at(100), |event, _| match event {
        Event::Message(Message::Text(text)) => received += text.len(),
        other => panic!("{other:?}"),
    });
    let mut out = Vec::new();
    server.take(&mut out, at(100));
    assert_eq!((received, &out[..]), (5003, &b"\x81\x0Dnot taken yet"[..]));
}

#[test]
fn an_idle_client_holds_its_key_generator() {
    let (config, connect) = (Arc::new(Config::default()), Connect::to("ws://server.example/").unwrap());
    let mut buffer = buffer();
    for read in [usize::MAX, 1] {
        let mut server = Server::new(Arc::clone(&config), at(0));
        let mut request = Vec::with_capacity(KIB);
        let mut response = Vec::with_capacity(KIB);
        let (mut client, measured) = measure(|| {
            let mut client = Client::new(Arc::clone(&config), Counter(0), at(0)).unwrap();
            client.open(&connect, at(0)).unwrap();
            client.take(&mut request, at(0));
            client
        });
        feed_head(&mut server, &request, usize::MAX, &mut buffer, Accept::new());
        server.take(&mut response, at(0));
        drop(server);
        let start = measured.start;
        let (_, traffic) = measure(|| {
            let pieces = response.len().min(read);
            for piece in response.chunks(pieces) {
                let mut input = fill(&mut buffer, piece);
                while let Some(event) = client.receive(&mut input, at(0)) {
                    match event {
                        ClientEvent::Open(opened) => opened.tx.send(Message::Text("hello")).unwrap(),
                        other => panic!("{other:?}"),
                    }
                }
            }
            let mut slices = [IoSlice::new(&[]); 8];
            let count = client.transmit(&mut slices);
            let bytes = slices[..count].iter().map(|slice| slice.len()).sum();
            client.transmitted(bytes, at(0));
            client.receive(&mut (&mut [] as &mut [u8]), at(0)).map(|event| panic!("{event:?}"))
        });
        report(format_args!("a client's handshake and first message: {measured:?}, {traffic:?}"));
        assert_eq!(client.poll_timeout(), Some((at(1), Timer::Release)));
        client.handle_timeout(at(1));
        // What that draws at once, and beside it how much is used up.
        assert_eq!(held_since(start), signed(size_of::<ChaCha8Rng>() + 16));
    }
}

// What a peer can make us hold.

#[test]
fn a_length_that_is_only_announced_allocates_nothing() {
    for (limit, length) in [(MIB as u64, MIB as u64), (u64::MAX, 1 << 62), (u64::MAX, u64::MAX >> 1)] {
        for (first, text) in [(0x82, false), (0x02, false), (0x81, true), (0x01, true)] {
            for delivery in [Delivery::Messages, Delivery::Chunks] {
                let mut config = still(|limits| (limits.message, limits.frame) = (limit, limit));
                config.delivery = delivery;
                let mut buffer = buffer();
                let mut server = Server::new(Arc::new(config), at(0));
                open(&mut server, usize::MAX, &mut buffer, Accept::new());
                let mut header = [0; 14];
                header[..2].copy_from_slice(&[first, 0xFF]);
                header[2..10].copy_from_slice(&length.to_be_bytes());
                for read in [14, 1] {
                    let ((), measured) = measure(|| {
                        feed(&mut server, &header, read, &mut buffer, at(1), |event, _| panic!("{event:?}"));
                    });
                    assert_eq!((measured.allocations, measured.held), (0, 0), "{length} {first:x}");
                    // The first bytes of it cost what they are.
                    let ((), measured) = measure(|| {
                        feed(&mut server, b"0123456789", read, &mut buffer, at(1), |event, _| {
                            assert!(matches!(event, Event::Chunk(Chunk { last: false, .. })), "{event:?}");
                        });
                    });
                    assert!(measured.peak <= 32, "{measured:?} {text}");
                    // Once more on a connection that knows nothing of it.
                    server =
                        Server::new(Arc::new(still(|limits| (limits.message, limits.frame) = (limit, limit))), at(0));
                    open(&mut server, usize::MAX, &mut buffer, Accept::new());
                }
            }
        }
    }
}

//= rfc6455 5.5.3 MAY 1: of many Pings the newest is answered, and hardly another
//= type=test
#[test]
fn a_peer_that_pings_and_never_reads_costs_next_to_nothing() {
    let megabyte = vec![7; MIB];
    let shared = shared(MIB);
    let nothing = |_: &mut Sender| {};
    let message = |tx: &mut Sender| tx.send(Message::Binary(&megabyte)).unwrap();
    let by_reference = |tx: &mut Sender| tx.send_shared(&shared).unwrap();
    let (ping, newest) = (masked(0x89, &[b'p'; 125]), masked(0x89, &[b'q'; 125]));
    for (name, queue) in
        [("nothing", &nothing as &dyn Fn(&mut Sender)), ("a message", &message), ("a shared message", &by_reference)]
    {
        for shows in [true, false] {
            let mut buffer = buffer();
            let mut server = Server::new(Arc::new(still(|_| {})), at(0));
            let id = open(&mut server, usize::MAX, &mut buffer, Accept::new());
            release(&mut server, at(0));
            queue(server.tx(id, at(1)).unwrap());
            let before = server.tx(id, at(1)).unwrap().queued();
            let ((), measured) = measure(|| {
                for _ in 0..100_000 {
                    feed(&mut server, &ping, usize::MAX, &mut buffer, at(1), |event, _| {
                        assert!(matches!(event, Event::Ping(_)), "{event:?}");
                    });
                    if shows {
                        server.transmit(&mut [IoSlice::new(&[]); 8]);
                    }
                }
            });
            report(format_args!("100 000 pings behind {name}, shown {shows}: {measured:?}"));
            assert!(measured.peak < KIB, "behind {name}, shown {shows}: {measured:?}");

            // Now it reads.
            feed(&mut server, &newest, usize::MAX, &mut buffer, at(1), |_, _| {});
            let mut out = Vec::new();
            server.take(&mut out, at(1));
            server.take(&mut out, at(1));
            assert!(out.ends_with(&[&b"\x8A\x7D"[..], &[b'q'; 125]].concat()), "the newest is answered");
            let pongs = (out.len() - before) / 127;
            assert!(pongs <= 4, "{pongs} Pongs for 100 001 Pings");
        }
    }
}

#[test]
fn pings_and_their_pongs_cost_no_allocation_once_warm() {
    let mut buffer = buffer();
    let mut server = Server::new(Arc::new(still(|_| {})), at(0));
    open(&mut server, usize::MAX, &mut buffer, Accept::new());
    let ping = masked(0x89, &[b'p'; 125]);
    let mut ping_pong = |read| {
        feed(&mut server, &ping, read, &mut buffer, at(1), |event, _| assert!(matches!(event, Event::Ping(_))));
        flush(&mut server, at(1))
    };
    for read in [usize::MAX, 50] {
        assert_eq!(ping_pong(read), 127);
        let (sent, measured) = measure(|| (0..1000).map(|_| ping_pong(read)).sum::<usize>());
        assert_eq!((sent, measured.allocations), (127_000, 0), "reads of {read}: {measured:?}");
    }
}

#[test]
fn a_message_of_a_megabyte_peaks_at_twice_its_size_and_the_next_reuses_it() {
    let text = "é€𝄞x".repeat(MIB / 10);
    let text = [text.as_bytes(), &vec![b'.'; MIB - text.len()]].concat();
    for (first, payload) in [(0x82, &vec![0xC3; MIB]), (0x81, &text)] {
        for limit in [MIB as u64, u64::MAX] {
            let mut buffer = buffer();
            let config = still(|limits| (limits.message, limits.frame) = (limit, limit));
            let mut server = Server::new(Arc::new(config), at(0));
            open(&mut server, usize::MAX, &mut buffer, Accept::new());
            let wire = masked(first, payload);
            let mut receive = || {
                let mut received = 0;
                let ((), measured) = measure(|| {
                    feed(&mut server, &wire, 16 * KIB, &mut buffer, at(1), |event, _| match event {
                        Event::Message(message) => {
                            assert_eq!(message.as_bytes(), payload);
                            received += 1;
                        }
                        other => panic!("{other:?}"),
                    });
                });
                assert_eq!(received, 1);
                measured
            };
            let measured = receive();
            report(format_args!("1 MiB ({first:x}) in reads of 16 KiB, limit {limit}: {measured:?}"));
            assert!(measured.peak <= 2 * MIB, "{measured:?}");
            if limit == MIB as u64 {
                assert!(measured.peak_moving <= 2 * MIB, "even where every growth moves: {measured:?}");
            }
            assert!(measured.allocations <= 8, "it grows by doubling: {measured:?}");
            for _ in 0..3 {
                let measured = receive();
                assert_eq!((measured.allocations, measured.held), (0, 0), "{measured:?}");
            }
        }
    }
}

#[test]
fn a_message_in_tiny_fragments_costs_what_it_is() {
    let mut buffer = buffer();
    let mut server = Server::new(Arc::new(still(|limits| limits.fragments = u32::MAX)), at(0));
    open(&mut server, usize::MAX, &mut buffer, Accept::new());
    let (first, next, last) = (masked(0x02, b"."), masked(0x00, b"."), masked(0x80, b"."));
    let mut wire = first;
    (0..100_000).for_each(|_| wire.extend_from_slice(&next));
    wire.extend_from_slice(&last);
    let mut received = 0;
    let ((), measured) = measure(|| {
        feed(&mut server, &wire, usize::MAX, &mut buffer, at(1), |event, _| match event {
            Event::Message(message) => received += message.as_bytes().len(),
            other => panic!("{other:?}"),
        });
    });
    assert_eq!(received, 100_002);
    assert!(measured.peak <= 2 * 100_002, "{measured:?}");
    assert!(measured.allocations <= 20, "{measured:?}");
}

#[test]
fn a_thousand_empty_fragments_allocate_nothing() {
    for (first, delivery) in
        [(0x01, Delivery::Messages), (0x02, Delivery::Messages), (0x01, Delivery::Chunks), (0x02, Delivery::Chunks)]
    {
        let mut buffer = buffer();
        let mut server = Server::new(Arc::new(Config { delivery, ..still(|_| {}) }), at(0));
        open(&mut server, usize::MAX, &mut buffer, Accept::new());
        let mut wire = masked(first, b"");
        (0..998).for_each(|_| wire.extend_from_slice(&masked(0x00, b"")));
        wire.extend_from_slice(&masked(0x80, b""));
        for read in [usize::MAX, 5] {
            let mut events = 0;
            let ((), measured) = measure(|| {
                feed(&mut server, &wire, read, &mut buffer, at(1), |event, _| match event {
                    Event::Message(message) => events += usize::from(message.as_bytes().is_empty()),
                    Event::Chunk(Chunk { data, first: true, last: true }) => {
                        events += usize::from(data.as_bytes().is_empty());
                    }
                    other => panic!("{other:?}"),
                });
            });
            assert_eq!((events, measured.allocations), (1, 0), "{first:x} {delivery:?}: {measured:?}");
        }
    }
}

#[test]
fn chunks_are_not_held() {
    let text = "é€𝄞x".repeat(10_000);
    for (first, payload) in [(0x82, &[7; 100_000][..]), (0x81, text.as_bytes())] {
        for read in [1, 13, 16 * KIB] {
            let mut buffer = buffer();
            let mut server = Server::new(Arc::new(Config { delivery: Delivery::Chunks, ..still(|_| {}) }), at(0));
            open(&mut server, usize::MAX, &mut buffer, Accept::new());
            let wire = masked(first, payload);
            let mut received = 0;
            let ((), measured) = measure(|| {
                feed(&mut server, &wire, read, &mut buffer, at(1), |event, _| match event {
                    Event::Chunk(chunk) => {
                        let bytes = chunk.data.as_bytes();
                        assert_eq!(bytes, &payload[received..received + bytes.len()]);
                        received += bytes.len();
                    }
                    other => panic!("{other:?}"),
                });
            });
            assert_eq!(received, payload.len());
            assert_eq!((measured.allocations, measured.peak), (0, 0), "{first:x} in reads of {read}");
        }
    }
}

#[test]
fn a_head_that_drips_peaks_below_twice_its_limit() {
    for limit in [16 * KIB, 10_000] {
        let config = Arc::new(still(|limits| limits.head = limit));
        let mut buffer = buffer();
        let whole = head_of(limit);
        let mut server = Server::new(Arc::clone(&config), at(0));
        let ((), measured) = measure(|| {
            feed_head(&mut server, &whole, 1, &mut buffer, Accept::new());
            flush(&mut server, at(0));
        });
        report(format_args!("a head of {limit} bytes, one by one: {measured:?}"));
        assert!(measured.peak < 2 * limit, "{measured:?}");
        assert!(measured.allocations < 30, "{measured:?}");

        let endless = vec![b'x'; limit];
        let wire = [b"GET / HTTP/1.1\r\nEndless: ", &endless[..]].concat();
        let mut server = Server::new(Arc::clone(&config), at(0));
        let (refused, measured) = measure(|| {
            let mut refused = 0;
            for byte in &wire {
                let mut input = fill(&mut buffer, std::slice::from_ref(byte));
                while let Some(event) = server.receive(&mut input, at(0)) {
                    assert!(matches!(event, ServerEvent::Refused(RequestError::HeadTooLarge)), "{event:?}");
                    refused += 1;
                }
            }
            refused
        });
        assert_eq!(refused, 1);
        assert!(measured.peak < 2 * limit, "{measured:?}");
        assert!(measured.held < signed(KIB), "only the answer is held: {measured:?}");
    }
}

#[test]
fn slow_heads_of_many_connections_hold_what_came_of_them_and_only_till_the_deadline() {
    const CONNECTIONS: usize = 1000;
    const EACH: usize = 1500;
    let config = Arc::new(still(|limits| limits.open_timeout = Duration::from_secs(10)));
    let mut buffer = buffer();
    let wire = head_of(2 * EACH);
    let mut servers: Vec<Server> = (0..CONNECTIONS).map(|_| Server::new(Arc::clone(&config), at(0))).collect();
    let ((), measured) = measure(|| {
        for piece in wire[..EACH].chunks(100) {
            for server in &mut servers {
                let mut input = fill(&mut buffer, piece);
                assert!(server.receive(&mut input, at(9)).is_none());
            }
        }
    });
    report(format_args!("{CONNECTIONS} heads of which {EACH} bytes came: {measured:?}"));
    assert!(measured.peak <= CONNECTIONS * EACH * 2, "{measured:?}");

    let start = measured.start;
    for server in &mut servers {
        server.handle_timeout(at(10));
        let mut nothing: &mut [u8] = &mut [];
        match server.receive(&mut nothing, at(10)) {
            Some(ServerEvent::Refused(RequestError::TimedOut)) => {}
            other => panic!("{other:?}"),
        }
        assert!(server.receive(&mut nothing, at(10)).is_none());
        flush(server, at(10));
    }
    let each = held_since(start) / signed(CONNECTIONS);
    report(format_args!("each holds {each} bytes once it is answered"));
    assert!(each < 600, "{each}");
    servers.clear();
    assert_eq!(held_since(start), 0);
}

#[test]
fn a_body_is_queued_by_reference() {
    let mut buffer = buffer();
    let response = Response::new(200).unwrap().body(vec![b'x'; MIB]);
    let mut server = Server::new(Arc::new(still(|_| {})), at(0));
    let (sent, measured) = measure(|| {
        let mut input = fill(&mut buffer, b"GET / HTTP/1.1\r\nHost: server.example\r\n\r\n");
        match server.receive(&mut input, at(0)) {
            Some(ServerEvent::Request(request)) => request.respond(&response),
            other => panic!("{other:?}"),
        }
        flush(&mut server, at(0))
    });
    assert!(sent > MIB);
    assert!(measured.peak < 2 * KIB, "{measured:?}");
}

#[test]
fn shared_messages_are_queued_by_reference() {
    let mut buffer = buffer();
    let shared = shared(MIB);
    let mut server = Server::new(Arc::new(still(|limits| limits.output = usize::MAX)), at(0));
    let id = open(&mut server, usize::MAX, &mut buffer, Accept::new());
    let (sent, measured) = measure(|| {
        for _ in 0..10 {
            server.tx(id, at(1)).unwrap().send_shared(&shared).unwrap();
        }
        flush(&mut server, at(1))
    });
    assert_eq!(sent, 10 * (MIB + 10));
    assert!(measured.peak < 2 * KIB, "{measured:?}");
}

#[test]
fn a_session_that_was_aborted_holds_nothing_of_its_queue() {
    let mut buffer = buffer();
    let shared = shared(MIB);
    let mut server = Server::new(Arc::new(Config::default()), at(0));
    let id = open(&mut server, usize::MAX, &mut buffer, Accept::new());
    release(&mut server, at(0));
    let (_, measured) = measure(|| {
        let tx = server.tx(id, at(5)).unwrap();
        tx.send_shared(&shared).unwrap();
        tx.abort();
        match server.receive(&mut (&mut [] as &mut [u8]), at(5)) {
            Some(ServerEvent::Session(_, Incoming { event: Event::Closed(_), .. })) => {}
            other => panic!("{other:?}"),
        }
        server.handle_timeout(at(6));
    });
    assert_eq!(measured.held, 0);
    assert!(server.is_closed());
}

// Allocations in the steady state.

#[test]
fn a_message_that_lies_in_one_read_is_received_without_allocation() {
    for size in [0, 1, 125, 126, 1000, 60_000] {
        for first in [0x81, 0x82] {
            let mut buffer = buffer();
            let mut server = Server::new(Arc::new(still(|_| {})), at(0));
            open(&mut server, usize::MAX, &mut buffer, Accept::new());
            release(&mut server, at(0));
            let wire = masked(first, &vec![b'x'; size]);
            let (received, measured) = measure(|| {
                let mut received = 0;
                for _ in 0..100 {
                    feed(&mut server, &wire, usize::MAX, &mut buffer, at(1), |event, _| match event {
                        Event::Message(message) => received += message.as_bytes().len() + 1,
                        other => panic!("{other:?}"),
                    });
                }
                received
            });
            assert_eq!((received, measured.allocations), (100 * (size + 1), 0), "{size} bytes, the first one too");
        }
    }
}

#[test]
fn a_warm_echo_allocates_nothing() {
    for size in [0, 1, 125, 126, 1000, 60_000] {
        for read in [usize::MAX, 1000] {
            let mut buffer = buffer();
            let mut server = Server::new(Arc::new(still(|_| {})), at(0));
            open(&mut server, usize::MAX, &mut buffer, Accept::new());
            let wire = [masked(0x81, &vec![b'x'; size]), masked(0x82, &vec![b'x'; size])].concat();
            let mut echo = || {
                feed(&mut server, &wire, read, &mut buffer, at(1), |event, tx| match event {
                    Event::Message(message) => tx.send(message).unwrap(),
                    other => panic!("{other:?}"),
                });
                flush(&mut server, at(1))
            };
            let once = echo();
            assert!(once > 2 * size);
            let (echoed, measured) = measure(|| (0..100).map(|_| echo()).sum::<usize>());
            assert_eq!((echoed, measured.allocations), (100 * once, 0), "{size} bytes in reads of {read}");
        }
    }
}

#[test]
fn what_goes_through_asks_for_no_memory_and_what_is_left_of_it_for_no_more() {
    let mut server = Server::new(Arc::new(still(|_| {})), at(0));
    let id = open(&mut server, usize::MAX, &mut buffer(), Accept::new());
    release(&mut server, at(0));
    let body = vec![7; MIB];
    let mut through = |count| {
        let (_, measured) = measure(|| {
            let frame = server.tx(id, at(1)).unwrap().send_through(Message::Binary(&body), Compress::Auto);
            frame.unwrap().unwrap().written(count);
        });
        measured
    };
    assert_eq!(through(MIB + 10).allocations, 0);
    assert_eq!(through(usize::MAX).allocations, 0);
    let rest = through(MIB + 10 - 1000);
    assert!(rest.peak < 2 * KIB && rest.allocations == 1, "{rest:?}");
    assert_eq!(flush(&mut server, at(1)), 1000);
}

#[test]
fn a_warm_client_sends_and_receives_without_allocation() {
    let config = Arc::new(still(|_| {}));
    let mut buffer = buffer();
    let mut server = Server::new(Arc::clone(&config), at(0));
    let mut client = Client::new(Arc::clone(&config), Counter(0), at(0)).unwrap();
    let id = client.open(&Connect::to("ws://server.example/").unwrap(), at(0)).unwrap();
    let (mut request, mut response, mut wire) = (Vec::new(), Vec::new(), Vec::with_capacity(4 * KIB));
    client.take(&mut request, at(0));
    feed_head(&mut server, &request, usize::MAX, &mut buffer, Accept::new());
    server.take(&mut response, at(0));
    let mut input = &mut response[..];
    assert!(matches!(client.receive(&mut input, at(0)), Some(ClientEvent::Open(_))));

    let mut there_and_back = || {
        client.tx(id, at(1)).unwrap().send(Message::Binary(&[7; 1000])).unwrap();
        wire.clear();
        client.take(&mut wire, at(1));
        feed(&mut server, &wire, usize::MAX, &mut buffer, at(1), |event, tx| match event {
            Event::Message(message) => tx.send(message).unwrap(),
            other => panic!("{other:?}"),
        });
        wire.clear();
        server.take(&mut wire, at(1));
        let mut input = &mut wire[..];
        match client.receive(&mut input, at(1)) {
            Some(ClientEvent::Session(_, Incoming { event: Event::Message(message), .. })) => message.as_bytes().len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(there_and_back(), 1000);
    let (received, measured) = measure(|| (0..100).map(|_| there_and_back()).sum::<usize>());
    assert_eq!((received, measured.allocations), (100_000, 0), "{measured:?}");
}

// A driver that allocates nothing itself.

/// A request for a WebSocket, but for the empty line that ends it.
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\n\
    Host: server.example\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
    Sec-WebSocket-Version: 13\r\n";

/// A request for a WebSocket of this many bytes.
fn head_of(length: usize) -> Vec<u8> {
    let padding = length - REQUEST.len() - "Padding: \r\n\r\n".len();
    [REQUEST, b"Padding: ", &vec![b'x'; padding], b"\r\n\r\n"].concat()
}

fn open<'a>(server: &mut Server, read: usize, buffer: &mut [u8], accept: Accept<'a>) -> SessionId {
    let id = feed_head(server, &[REQUEST, b"\r\n"].concat(), read, buffer, accept);
    flush(server, at(0));
    id
}

/// Feeds a request in reads of so many bytes, and accepts it.
fn feed_head(server: &mut Server, head: &[u8], read: usize, buffer: &mut [u8], accept: Accept<'_>) -> SessionId {
    let (mut accept, mut id) = (Some(accept), None);
    for piece in head.chunks(read.min(head.len())) {
        let mut input = fill(buffer, piece);
        while let Some(event) = server.receive(&mut input, at(0)) {
            match event {
                ServerEvent::Offer(offer) => id = accept.take().map(|accept| offer.accept(accept)),
                other => panic!("{other:?}"),
            }
        }
    }
    id.expect("an offer")
}

/// Feeds bytes in reads of so many at most.
fn feed(
    server: &mut Server,
    bytes: &[u8],
    read: usize,
    buffer: &mut [u8],
    now: Instant,
    mut on_event: impl FnMut(Event<'_>, &mut Sender),
) {
    for piece in bytes.chunks(read.min(buffer.len())) {
        let mut input = fill(buffer, piece);
        while let Some(event) = server.receive(&mut input, now) {
            match event {
                ServerEvent::Session(_, Incoming { event, tx }) => on_event(event, tx),
                other => panic!("{other:?}"),
            }
        }
    }
}

/// The transport takes everything; how much that was.
fn flush(server: &mut Server, now: Instant) -> usize {
    let mut all = 0;
    loop {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = server.transmit(&mut slices);
        let bytes: usize = slices[..count].iter().map(|slice| slice.len()).sum();
        server.transmitted(bytes, now);
        all += bytes;
        if bytes == 0 {
            return all;
        }
    }
}

/// Writes what is queued, and lets the release timer run.
fn release(server: &mut Server, now: Instant) {
    flush(server, now);
    let due = now + Limits::default().release.unwrap();
    assert_eq!(server.poll_timeout(), Some((due, Timer::Release)));
    server.handle_timeout(due);
}

fn fill<'a>(buffer: &'a mut [u8], bytes: &[u8]) -> &'a mut [u8] {
    let input = &mut buffer[..bytes.len()];
    input.copy_from_slice(bytes);
    input
}

/// A driver's read buffer, which may be shared by any number of connections.
fn buffer() -> Vec<u8> {
    vec![0; MIB]
}

/// A payload that many sessions share. Its first copy turns a `Vec` into something counted, once, for whoever made it.
fn shared(length: usize) -> Shared {
    let shared = Shared::from(vec![1; length]);
    drop(shared.clone());
    shared
}

fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x12, 0x34, 0x56, 0x78];
    let mut frame = vec![first];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// No timer but the release of buffers, unless it is asked for.
fn still(change: impl FnOnce(&mut Limits)) -> Config {
    let mut limits = Limits { idle_timeout: None, stall_timeout: None, ..Limits::default() };
    change(&mut limits);
    Config { limits, keep_alive: KeepAlive::Off, ..Config::default() }
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

fn before(time: Instant) -> Instant {
    Instant::from_nanos(time.as_nanos() - 1)
}

fn signed(bytes: usize) -> isize {
    isize::try_from(bytes).unwrap()
}

/// Entropy for a client that nobody attacks.
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
        Ok(())
    }
}
