//! How does an event loop drive the engine? On one thread, with one read buffer for all connections: the engine takes all of
//! a read and leaves nothing behind, so an idle connection needs none.
//!
//! `cargo run --example mio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::collections::HashMap;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::{error::Error, net::Shutdown, time::Duration};

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
        let deadlines = peers.values().filter_map(|peer: &Peer| peer.connection.server.poll_timeout());
        let wait = deadlines.map(|(deadline, _)| clock.until(deadline)).min();
        let is_busy = peers.values().any(|peer| peer.is_busy);
        match poll.poll(&mut events, if is_busy { Some(Duration::ZERO) } else { wait }) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
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
            stream.set_nodelay(true)?;
            let connection = Connection::new(&config, clock.now());
            let peer = Peer { stream, connection, is_readable: true, is_writable: true, is_busy: true };
            peers.insert(Token(last), peer);
        }
        peers.retain(|_, peer| peer.turn(&mut buffer, clock));
    }
}

struct Peer {
    stream: TcpStream,
    connection: Connection,
    is_readable: bool,
    is_writable: bool,
    /// There was more to do than one turn allows.
    is_busy: bool,
}

impl Peer {
    /// Does what can be done, but not for ever: others wait. False when the connection is over.
    fn turn(&mut self, buffer: &mut [u8], clock: Clock) -> bool {
        let would_block = |result: &io::Result<_>| result.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock);
        let mut steps = 0..16;
        self.is_busy = loop {
            // Either write or read: a peer that does not take its output is not listened to.
            let writes = self.connection.has_output(clock.now());
            if self.connection.is_over() || !(if writes { self.is_writable } else { self.is_readable }) {
                break false;
            } else if steps.next().is_none() {
                break true;
            } else if writes {
                let mut slices = [IoSlice::new(&[]); 16];
                let count = self.connection.server.transmit(&mut slices);
                let result = self.stream.write_vectored(&slices[..count]);
                self.is_writable = !would_block(&result);
                self.connection.written(result, clock.now());
            } else {
                let result = self.stream.read(buffer);
                self.is_readable = !would_block(&result);
                self.connection.read(result, buffer, clock.now());
            }
        };
        self.connection.receive(&mut [], clock.now());
        if self.connection.shuts_down() {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        if self.connection.is_reset() {
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        !self.connection.is_over()
    }
}
