//! How does an event loop drive the engine? On one thread, with one read buffer for all connections: the engine takes all of
//! a read and leaves nothing behind, so an idle connection needs none.
//!
//! `cargo run --example mio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::{collections::HashMap, error::Error, net::Shutdown, time::Duration};

use common::{Connection, READ};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sockless::Clock;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut poll, mut events, mut buffer) = (Poll::new()?, Events::with_capacity(256), vec![0; READ]);
    let mut listener = TcpListener::bind(common::address()?)?;
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (config, clock, mut peers, mut last) = (common::config(), Clock::new(), HashMap::new(), 0);
    loop {
        // With many connections one would keep the deadlines in a heap, and turn only to those that have news.
        let wait = peers.values().filter_map(|peer: &Peer| peer.wait(clock)).min();
        poll.poll(&mut events, wait).or_else(|e| if e.kind() == ErrorKind::Interrupted { Ok(()) } else { Err(e) })?;
        for event in &events {
            if let Some(peer) = peers.get_mut(&event.token()) {
                peer.is_readable |= event.is_readable() || event.is_error();
                peer.is_writable |= event.is_writable() || event.is_error();
            }
        }
        // An error may mean too many open files. The next event tries again: it may be one that closes some.
        while let Ok((mut stream, _)) = listener.accept() {
            last += 1;
            poll.registry().register(&mut stream, Token(last), Interest::READABLE | Interest::WRITABLE)?;
            let connection = Connection::new(&config, clock.now());
            peers.insert(Token(last), Peer { stream, connection, is_readable: true, is_writable: true });
        }
        peers.retain(|_, peer| peer.turn(&mut buffer, clock));
    }
}

struct Peer {
    stream: TcpStream,
    connection: Connection,
    is_readable: bool,
    is_writable: bool,
}
