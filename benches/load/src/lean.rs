//! What does the loop of `examples/mio.rs` cost, which turns to every connection whenever one has news? This one, for
//! the same engine and the same `Connection`, turns only to those that have news, and sweeps over the deadlines of all
//! ten times a second at most.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

#[path = "../../../examples/common/mod.rs"]
#[allow(dead_code, reason = "the address is an argument of another kind here")]
mod common;

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::AsRawFd;
use std::{mem, time::Duration};

use common::{Connection, READ};
use mio::{Events, Interest, Poll, Token, net::TcpStream, unix::SourceFd};
use sockless::{Clock, Instant};

use crate::Failure;

/// How late a deadline may be noticed.
const SWEEP: Duration = Duration::from_millis(100);

pub fn serve(listener: &TcpListener) -> Result<(), Failure> {
    let (mut poll, mut events, mut buffer) = (Poll::new()?, Events::with_capacity(256), vec![0; READ]);
    listener.set_nonblocking(true)?;
    poll.registry().register(&mut SourceFd(&listener.as_raw_fd()), Token(usize::MAX), Interest::READABLE)?;
    let (config, clock) = (common::config(), Clock::new());
    let (mut peers, mut ready, mut swept): (Vec<Option<Peer>>, _, _) = (Vec::new(), Vec::new(), clock.now());
    loop {
        let wait = if ready.is_empty() { clock.until(swept + SWEEP) } else { Duration::ZERO };
        match poll.poll(&mut events, Some(wait)) {
            Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        let now = clock.now();
        for event in &events {
            if let Some(Some(peer)) = peers.get_mut(event.token().0) {
                if !peer.is_listed {
                    ready.push(event.token().0);
                }
                (peer.is_listed, peer.is_eof) = (true, peer.is_eof || event.is_read_closed());
                continue;
            }
            while let Ok((stream, _)) = listener.accept() {
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let (mut stream, connection) = (TcpStream::from_std(stream), Connection::new(&config, now));
                let interest = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(peers.len()), interest)?;
                peers.push(Some(Peer { stream, connection, is_listed: false, is_eof: false }));
            }
        }
        for number in mem::take(&mut ready) {
            let Some(peer) = &mut peers[number] else { continue };
            peer.is_listed = peer.turn(&mut buffer, now);
            if peer.connection.server.is_closed() {
                peers[number] = None;
            } else if peer.is_listed {
                ready.push(number);
            }
        }
        if now >= swept + SWEEP {
            swept = now;
            for peer in peers.iter_mut().flatten() {
                if peer.connection.server.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
                    peer.connection.receive(&mut [], now);
                    let _ = peer.write(now);
                }
            }
        }
    }
}

struct Peer {
    stream: TcpStream,
    connection: Connection,
    /// It is to have a turn.
    is_listed: bool,
    /// No event will tell of the end of file any more.
    is_eof: bool,
}

impl Peer {
    /// Reads once, unless it cannot write, and writes. Whether it is to have another turn.
    fn turn(&mut self, buffer: &mut [u8], now: Instant) -> bool {
        if self.write(now).is_err() {
            return false;
        }
        let result = self.stream.read(buffer);
        // A read that is not full leaves nothing behind but an end of file, and of all else an event tells.
        let has_more = matches!(result, Ok(count) if count == buffer.len() || (self.is_eof && count > 0));
        self.connection.read(result, buffer, now);
        let is_written = self.write(now).is_ok();
        if self.connection.shuts_down() {
            let _ = self.stream.shutdown(Shutdown::Write);
        }
        is_written && has_more
    }

    /// As much as the socket takes.
    fn write(&mut self, now: Instant) -> io::Result<()> {
        while self.connection.server.has_output() {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.connection.server.transmit(&mut slices);
            let result = self.stream.write_vectored(&slices[..count]);
            let blocks = result.as_ref().err().map(io::Error::kind);
            self.connection.written(result, now);
            if let Some(kind) = blocks {
                return Err(kind.into());
            }
        }
        Ok(())
    }
}
