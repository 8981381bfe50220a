//! How does an event loop drive the engine? On one thread, with one read buffer for all connections: the engine takes all of
//! a read and leaves nothing behind, so an idle connection needs none.
//!
//! However many are open, a wake-up turns to those that have news: mio tells of sockets, and the deadlines are kept in order.
//!
//! `cargo run --example mio -- 127.0.0.1:5001` echoes every message.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

mod common;

use std::collections::{BTreeSet, HashMap};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::{error::Error, mem, net::Shutdown, time::Duration};

use common::{Connection, READ};
use mio::{Events, Interest, Poll, Token, net};
use sockless::{Clock, Instant};

const LISTENER: Token = Token(0);

/// Whether a read that does not fill the buffer has emptied the socket, so that whatever comes next is an event: epoll(7)
/// says so, and every second read is spared. Elsewhere wait for `WouldBlock`, as mio asks: on Windows, nothing is told before.
const SHORT_IS_ALL: bool = cfg!(target_os = "linux");

fn main() -> Result<(), Box<dyn Error>> {
    let (mut poll, mut events, mut buffer) = (Poll::new()?, Events::with_capacity(1024), vec![0; READ]);
    let mut listener = net::TcpListener::bind(common::address()?)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on {}", listener.local_addr()?);
    let (config, clock, mut accepts, mut last) = (common::config(), Clock::new(), true, LISTENER);
    let mut peers: HashMap<Token, Peer> = HashMap::new();
    let (mut ready, mut deadlines) = (BTreeSet::new(), BTreeSet::new());
    loop {
        let next = deadlines.first().map(|(deadline, _)| clock.until(*deadline));
        let wait = if ready.is_empty() { next } else { Some(Duration::ZERO) };
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if let Some(peer) = peers.get_mut(&event.token()) {
                peer.is_ended |= event.is_read_closed();
                ready.insert(event.token());
            }
            accepts |= event.token() == LISTENER;
        }
        while accepts {
            match listener.accept() {
                Ok((mut stream, _)) => {
                    last.0 += 1;
                    poll.registry().register(&mut stream, last, Interest::READABLE | Interest::WRITABLE)?;
                    let _ = stream.set_nodelay(true);
                    let connection = Connection::new(&config, clock.now());
                    peers.insert(last, Peer { stream, connection, is_ended: false, listed: None });
                    ready.insert(last);
                }
                // It may mean too many open files. The next wake-up tries again: it may be one that closes some.
                Err(error) => {
                    accepts = error.kind() != ErrorKind::WouldBlock;
                    break;
                }
            }
        }
        while let Some((deadline, token)) = deadlines.first().copied()
            && deadline <= clock.now()
        {
            deadlines.pop_first();
            if let Some(peer) = peers.get_mut(&token) {
                peer.listed = None;
                ready.insert(token);
            }
        }
        for token in mem::take(&mut ready) {
            let Some(peer) = peers.get_mut(&token) else { continue };
            let has_more = peer.turn(&mut buffer, clock.now());
            if peer.connection.server.is_closed() {
                peers.remove(&token);
                continue;
            }
            if has_more {
                ready.insert(token);
            }
            // Listed is when to look at it again, perhaps too early: most messages move a deadline back, and the list need
            // not follow. Then nothing is due, and the deadline that it has by now is listed.
            if let Some((deadline, _)) = peer.connection.server.poll_timeout()
                && peer.listed.is_none_or(|listed| deadline < listed)
            {
                if let Some(listed) = peer.listed.replace(deadline) {
                    deadlines.remove(&(listed, token));
                }
                deadlines.insert((deadline, token));
            }
        }
    }
}

struct Peer {
    stream: net::TcpStream,
    connection: Connection,
    /// The peer sends no more: an event said so, and no other will.
    is_ended: bool,
    /// Its place in the list of deadlines.
    listed: Option<Instant>,
}

impl Peer {
    /// Reads once, since others wait, unless there is output that the socket does not take: such a peer is not listened to.
    /// True if it is to have another turn, though no event may ask for it.
    fn turn(&mut self, buffer: &mut [u8], now: Instant) -> bool {
        if !self.write(now) {
            return false;
        }
        let result = self.stream.read(buffer);
        let has_more = match &result {
            Ok(0) => false,
            Ok(count) => *count == buffer.len() || self.is_ended || !SHORT_IS_ALL,
            Err(error) => error.kind() == ErrorKind::Interrupted,
        };
        self.connection.read(result, buffer, now);
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
