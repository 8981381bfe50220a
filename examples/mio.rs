//! How does an event loop drive the engine? On one thread, with one read buffer for all connections: the engine takes all of
//! a read and leaves nothing behind, so an idle connection needs none.
//!
//! `cargo run --example mio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::{collections::HashMap, error::Error, net::Shutdown, time::Duration};

use common::{Connection, READ};
use mio::{Events, Interest, Poll, Token, net};
use sockless::Clock;

fn main() -> Result<(), Box<dyn Error>> {
    let (mut poll, mut events, mut buffer) = (Poll::new()?, Events::with_capacity(256), vec![0; READ]);
    let mut listener = net::TcpListener::bind(common::address()?)?;
    poll.registry().register(&mut listener, Token(0), Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (config, clock, mut peers, mut last) = (common::config(), Clock::new(), HashMap::new(), 0);
    loop {
        // With many connections one would keep the deadlines in a heap, and turn only to those that have news.
        let wait = peers.values().filter_map(|peer: &Peer| peer.wait(clock)).min();
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            peers.entry(event.token()).and_modify(|peer| peer.is_ready = true);
        }
        // An error may mean too many open files. The next event tries again: it may be one that closes some.
        while let Ok((mut stream, _)) = listener.accept() {
            last += 1;
            poll.registry().register(&mut stream, Token(last), Interest::READABLE | Interest::WRITABLE)?;
            let _ = stream.set_nodelay(true);
            let connection = Connection::new(&config, clock.now());
            peers.insert(Token(last), Peer { stream, connection, is_ready: true });
        }
        peers.retain(|_, peer| peer.turn(&mut buffer, clock).unwrap_or(false));
    }
}

struct Peer {
    stream: net::TcpStream,
    connection: Connection,
    /// Nothing says that the next write or read would block.
    is_ready: bool,
}

impl Peer {
    /// How long there is nothing to do, unless the socket has news.
    fn wait(&self, clock: Clock) -> Option<Duration> {
        let deadline = self.connection.server.poll_timeout().map(|(deadline, _)| clock.until(deadline));
        if self.is_ready { Some(Duration::ZERO) } else { deadline }
    }

    /// Writes or reads, once, since others wait. False when the connection is over.
    fn turn(&mut self, buffer: &mut [u8], clock: Clock) -> io::Result<bool> {
        if self.wait(clock) != Some(Duration::ZERO) {
            return Ok(true);
        }
        // Either write or read: a peer that does not take its output is not listened to.
        if self.connection.server.has_output() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.connection.server.transmit(&mut slices);
            let result = self.stream.write_vectored(&slices[..count]);
            self.is_ready = result.is_ok();
            self.connection.written(result, clock.now());
        } else {
            let result = self.stream.read(buffer);
            self.is_ready = result.is_ok();
            self.connection.read(result, buffer, clock.now());
            // A deadline may have brought output, which the socket may well take.
            self.is_ready |= self.connection.server.has_output();
        }
        if self.connection.shuts_down() {
            self.stream.shutdown(Shutdown::Write)?;
        }
        if self.connection.is_reset() {
            socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(!self.connection.server.is_closed())
    }
}
