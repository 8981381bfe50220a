//! What do the three runtimes serve? An echo of every message, whoever drives it.
//!
//! Nothing here touches a socket: `blocking.rs`, `mio.rs` and `tokio.rs` bring bytes and the time, and take bytes away.

use std::io::{self, ErrorKind, IoSlice};
use std::net::{AddrParseError, SocketAddr};
use std::{mem, sync::Arc};

use sockless::{
    Accept, Close, CloseCode, Compress, Config, Event, Incoming, Instant, Limits, Message, Reason, Response, SendError,
    Sender, Server, ServerEvent, SessionId, Transport,
};

/// The size of a read: such that messages of 64 KiB come whole, most of the time, which spares a read and a copy of
/// each.
pub(crate) const READ: usize = 128 << 10;

/// From here on a message is worth a write of its own, if the driver writes at once. Shorter ones share one: 16 KiB that
/// come four to a read are cheaper to copy than to write by themselves, by a quarter.
const LONG: usize = 64 << 10;

/// The drivers read only while nothing waits to be written, which is all of their back-pressure. So the output queue
/// must take what one read can echo, a message that it ends and `READ` bytes more, and no echo meets `SendError::Full`.
pub(crate) fn config() -> Arc<Config> {
    let message = 1 << 20;
    let limits = Limits { message, output: message as usize + READ, ..Limits::default() };
    Arc::new(Config { limits, ..Config::default() })
}

/// Where to listen: the first argument. Port 0 stands for any that is free.
pub(crate) fn address() -> Result<SocketAddr, AddrParseError> {
    std::env::args().nth(1).as_deref().unwrap_or("127.0.0.1:5001").parse()
}

/// A connection whose messages are echoed.
pub(crate) struct Connection {
    pub(crate) server: Server,
    session: Option<SessionId>,
    is_shut: bool,
}

impl Connection {
    pub(crate) fn new(config: &Arc<Config>, now: Instant) -> Connection {
        Connection { server: Server::new(Arc::clone(config), now), session: None, is_shut: false }
    }

    /// What came of a write: the transport took perhaps not all that `transmit` showed, and the rest is shown again.
    pub(crate) fn written(&mut self, result: io::Result<usize>, now: Instant) {
        match result {
            Ok(count) => self.server.transmitted(count, now),
            Err(error) => self.failed(&error, now),
        }
        self.receive(now);
        match self.session {
            Some(_) if self.server.has_output() => self.pause(now),
            Some(id) => self.server.resume(id, now),
            None => {}
        }
    }

    /// While output waits, the drivers read nothing. The session is told so: the peer's silence is then not its own. A
    /// driver that can write without waiting need not say it before: what comes behind a pause costs the engine a closer
    /// look.
    pub(crate) fn pause(&mut self, now: Instant) {
        if let Some(id) = self.session {
            self.server.pause(id, now);
        }
    }

    /// What came of a read into so much room of a long message, and behind that into `buffer`, which is free again
    /// afterwards. A long echo that has nothing before it is handed to `write`, which says how much the transport took:
    /// 0 from a driver that cannot write now.
    pub(crate) fn read(
        &mut self,
        result: io::Result<usize>,
        room: usize,
        buffer: &mut [u8],
        now: Instant,
        write: impl FnMut(&[IoSlice<'_>]) -> usize,
    ) {
        let mut input = &mut [][..];
        match result {
            Ok(0) => self.server.receive_eof(now),
            Ok(count) => {
                self.server.received(count.min(room), now);
                input = buffer.get_mut(..count.saturating_sub(room)).unwrap_or_default();
            }
            Err(error) => self.failed(&error, now),
        }
        self.receive_and_write(input, now, write);
    }

    /// Lets the engine have the time, and lend what no byte caused.
    pub(crate) fn receive(&mut self, now: Instant) {
        self.receive_and_write(&mut [], now, |_| 0);
    }

    /// Lets the engine have what was read, if anything, and then the time. In this order: what came before a deadline
    /// passed counts, even if the driver was late to see it.
    fn receive_and_write(
        &mut self,
        mut input: &mut [u8],
        now: Instant,
        mut write: impl FnMut(&[IoSlice<'_>]) -> usize,
    ) {
        while let Some(event) = self.server.receive(&mut input, now) {
            react(event, &mut self.session, &mut write);
        }
        // Asked first, since mostly nothing is due.
        if self.server.poll_timeout().is_some_and(|(deadline, _)| deadline <= now) {
            self.server.handle_timeout(now);
            while let Some(event) = self.server.receive(&mut &mut [][..], now) {
                react(event, &mut self.session, &mut write);
            }
        }
    }

    /// Whether the writing side is to be shut down now: true once at most.
    pub(crate) fn shuts_down(&mut self) -> bool {
        let is_wanted = !self.server.has_output() && self.server.transport() == Transport::ShutdownWrite;
        is_wanted && !mem::replace(&mut self.is_shut, true)
    }

    pub(crate) fn is_reset(&self) -> bool {
        self.server.transport() == Transport::Reset
    }

    fn failed(&mut self, error: &io::Error, now: Instant) {
        // The first three say that there was nothing to do yet, or that a deadline has come.
        if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) {
            self.server.receive_reset(now);
        }
    }
}

/// All that the application does. Pings, Closes and faults are answered by the engine.
fn react(event: ServerEvent<'_>, session: &mut Option<SessionId>, write: &mut impl FnMut(&[IoSlice<'_>]) -> usize) {
    match event {
        ServerEvent::Offer(offer) => *session = Some(offer.accept(Accept::new())),
        ServerEvent::Request(request) => {
            if let Ok(refusal) = Response::new(426) {
                request.respond(&refusal.body("This is a WebSocket.\n"));
            }
        }
        ServerEvent::Session(_, Incoming { event: Event::Message(message), tx }) => match echo(message, tx, write) {
            // Closed: our Close went out before this message came, so nobody waits for its echo.
            Ok(()) | Err(SendError::Closed) => {}
            Err(_) => tx.close(Close::With(CloseCode::INTERNAL_ERROR, Reason::EMPTY)),
        },
        _ => {}
    }
}

fn echo(
    message: Message<'_>,
    tx: &mut Sender,
    write: &mut impl FnMut(&[IoSlice<'_>]) -> usize,
) -> Result<(), SendError> {
    if message.as_bytes().len() < LONG {
        return tx.send(message);
    }
    if let Some(frame) = tx.send_through(message, Compress::Auto)? {
        let count = write(&frame.slices());
        frame.written(count);
    }
    Ok(())
}
