//! How does an event loop drive the engine? On one thread, with one read buffer for all connections: the engine takes
//! all of a read and leaves nothing behind, so an idle connection needs none.
//!
//! However many are open, a wake-up turns to those that have news: mio tells of sockets, and the deadlines are kept in
//! order. What is missing of a long message is read where it belongs, and its echo is written from there.
//!
//! `cargo run --example mio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::io::{self, ErrorKind, IoSlice, IoSliceMut, Read, Write};
use std::{error::Error, mem, net::Shutdown, sync::Arc, time::Duration};

use common::{Connection, READ};
use mio::{Events, Interest, Poll, Token, net};
use sockless::{Clock, Config, Instant};

const LISTENER: Token = Token(0);

/// Whether a read that does not fill the buffer has emptied the socket, so that whatever comes next is an event:
/// epoll(7) says so, and every second read is spared. Elsewhere wait for `WouldBlock`, as mio asks: on Windows, nothing
/// is told before.
const SHORT_IS_ALL: bool = cfg!(target_os = "linux");

fn main() -> Result<(), Box<dyn Error>> {
    let (poll, mut listener) = (Poll::new()?, net::TcpListener::bind(common::address()?)?);
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let mut driver = Driver {
        poll,
        listener,
        accepts: true,
        config: common::config(),
        clock: Clock::new(),
        buffer: vec![0; READ],
        peers: HashMap::new(),
        last: LISTENER,
        ready: BTreeSet::new(),
        deadlines: BTreeSet::new(),
    };
    let mut events = Events::with_capacity(1024);
    loop {
        driver.wait(&mut events)?;
        driver.accept()?;
        driver.turn();
    }
}

struct Driver {
    poll: Poll,
    listener: net::TcpListener,
    /// Somebody may want to be accepted.
    accepts: bool,
    config: Arc<Config>,
    clock: Clock,
    buffer: Vec<u8>,
    peers: HashMap<Token, Peer>,
    /// The newest. No token comes again.
    last: Token,
    /// Those that are to have a turn.
    ready: BTreeSet<Token>,
    /// When a peer is to have a turn without an event: one entry each at most, the soonest first.
    deadlines: BTreeSet<(Instant, Token)>,
}

impl Driver {
    /// Until a socket has news or a deadline comes; says whose turn it is.
    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let next = self.deadlines.first().map(|(deadline, _)| self.clock.until(*deadline));
        let wait = if self.ready.is_empty() { next } else { Some(Duration::ZERO) };
        match self.poll.poll(events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &*events {
            self.accepts |= event.token() == LISTENER;
            if let Some(peer) = self.peers.get_mut(&event.token()) {
                peer.is_ended |= event.is_read_closed();
                self.ready.insert(event.token());
            }
        }
        let now = self.clock.now();
        while self.deadlines.first().is_some_and(|(deadline, _)| *deadline <= now) {
            let Some((_, token)) = self.deadlines.pop_first() else { break };
            if let Some(peer) = self.peers.get_mut(&token) {
                peer.listed = None;
                self.ready.insert(token);
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> io::Result<()> {
        while self.accepts {
            match self.listener.accept() {
                Ok((mut stream, _)) => {
                    self.last.0 += 1;
                    self.poll.registry().register(&mut stream, self.last, Interest::READABLE | Interest::WRITABLE)?;
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(&self.config, self.clock.now());
                    self.peers.insert(self.last, Peer { stream, connection, is_ended: false, listed: None });
                    self.ready.insert(self.last);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.accepts = false,
                // Too many open files, perhaps. Whatever wakes us next may close some: it is tried again then.
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// One turn for each that is to have one.
    fn turn(&mut self) {
        for token in mem::take(&mut self.ready) {
            let Some(peer) = self.peers.get_mut(&token) else { continue };
            if peer.turn(&mut self.buffer, self.clock.now()) {
                self.ready.insert(token);
            }
            if peer.connection.server.is_closed() {
                self.peers.remove(&token);
                continue;
            }
            // A deadline that becomes sooner is listed anew. One that moves back, as most do with every message, is not:
            // when its entry comes, nothing is due, and what the deadline is by then is listed.
            if let Some((deadline, _)) = peer.connection.server.poll_timeout()
                && peer.listed.is_none_or(|listed| deadline < listed)
            {
                if let Some(listed) = peer.listed.replace(deadline) {
                    self.deadlines.remove(&(listed, token));
                }
                self.deadlines.insert((deadline, token));
            }
        }
    }
}

struct Peer {
    stream: net::TcpStream,
    connection: Connection,
    /// The peer sends no more: an event said so, and no other will.
    is_ended: bool,
    /// Its entry in the list of deadlines: never later than its deadline.
    listed: Option<Instant>,
}

impl Peer {
    /// Reads once, since others wait, unless there is output that the socket does not take: such a peer is not listened
    /// to. True if it is to have another turn, though no event may ask for it.
    fn turn(&mut self, buffer: &mut [u8], now: Instant) -> bool {
        if !self.write(now) {
            return false;
        }
        // What is missing of a long message goes where it belongs, what comes behind it into the buffer.
        let room = self.connection.server.receive_room();
        let length = room.len();
        let result = match length {
            0 => self.stream.read(buffer),
            _ => self.stream.read_vectored(&mut [IoSliceMut::new(room), IoSliceMut::new(buffer)]),
        };
        let has_more = match &result {
            Ok(0) => false,
            Ok(count) => *count == length + buffer.len() || self.is_ended || !SHORT_IS_ALL,
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        // An error counts as nothing written: what is left is queued, and the next write meets it again.
        let write = |slices: &[IoSlice<'_>]| self.stream.write_vectored(slices).unwrap_or(0);
        self.connection.read(result, length, buffer, now, write);
        self.write(now) && has_more
    }

    /// Writes until nothing is left, or an event must say that more can be written: then false.
    fn write(&mut self, now: Instant) -> bool {
        while self.connection.server.has_output() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.connection.server.transmit(&mut slices);
            let result = self.stream.write_vectored(&slices[..count]);
            let blocks = result.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
            self.connection.written(result, now);
            if blocks {
                return false;
            }
        }
        if self.connection.shuts_down() {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        if self.connection.is_reset() {
            let _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
        true
    }
}
