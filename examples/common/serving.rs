//! How do the echo server and the testbed serve? A task for each connection, which reads and writes at the same time, and a
//! [`Handler`] that says what the connection is for.
//!
//! Unlike in the three small drivers beside, reading goes on while output waits, until the handler has enough: a Close is then
//! seen in the middle of a long answer.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

use std::error::Error;
use std::io::{self, ErrorKind, IoSlice};
use std::{ops::Range, sync::Arc, time::Duration};

use sockless::{
    Clock, Config, Event, Incoming, Instant, Offer, OriginPolicy, PlainRequest, Response, Sender, Server, ServerEvent,
    SessionId, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// The size of a read.
const READ: usize = 64 << 10;

/// What one connection is for.
pub(crate) trait Handler: Send + 'static {
    /// A client asks for a WebSocket. The session, if it gets one.
    fn offer(&mut self, offer: Offer<'_>) -> Option<SessionId>;

    /// A request for something else.
    fn request(&mut self, request: PlainRequest<'_>);

    /// Something happened on the session.
    fn event(&mut self, event: Event<'_>, tx: &mut Sender);

    /// Sends what is to be sent unasked, as far as `tx` takes it. Called whenever that may have changed.
    fn pump(&mut self, _tx: &mut Sender) {}

    /// Whether it can take an event. While it cannot, nothing is read.
    fn listens(&self, tx: &Sender) -> bool {
        !tx.is_full()
    }
}

/// Serves for ever.
pub(crate) async fn serve<H: Handler>(listener: TcpListener, config: Config, handler: impl Fn() -> H) -> io::Error {
    let (config, clock) = (Arc::new(config), Clock::new());
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let server = Server::new(Arc::clone(&config), clock.now());
                tokio::spawn(Connection::new(server, handler(), clock).run(stream));
            }
            Err(error) => {
                // Too many open files, perhaps: some will be closed.
                eprintln!("cannot accept: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

struct Connection<H> {
    server: Server,
    handler: H,
    clock: Clock,
    session: Option<SessionId>,
    buffer: Box<[u8]>,
    /// The part of the buffer that waits for the handler to listen again.
    held: Range<usize>,
    is_eof: bool,
}

impl<H: Handler> Connection<H> {
    fn new(server: Server, handler: H, clock: Clock) -> Connection<H> {
        let buffer = vec![0; READ].into_boxed_slice();
        Connection { server, handler, clock, session: None, buffer, held: 0..0, is_eof: false }
    }

    async fn run(mut self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let (mut reader, mut writer) = stream.split();
        let mut is_shut = false;
        loop {
            let reads = self.advance() && !self.is_eof;
            if self.server.is_closed() {
                break;
            }
            if !is_shut && self.server.transport() == Transport::ShutdownWrite {
                is_shut = true;
                writer.shutdown().await?;
            }
            let wait = self.server.poll_timeout().map(|(deadline, _)| self.clock.until(deadline));
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.server.transmit(&mut slices);
            tokio::select! {
                result = writer.write_vectored(&slices[..count]), if count > 0 => match result {
                    Ok(written) => self.server.transmitted(written, self.clock.now()),
                    Err(error) => self.failed(&error),
                },
                result = reader.read(&mut self.buffer), if reads => match result {
                    Ok(0) => {
                        self.is_eof = true;
                        self.server.receive_eof(self.clock.now());
                    }
                    Ok(read) => self.held = 0..read,
                    Err(error) => self.failed(&error),
                },
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                // Nothing to wait for: the engine always has a deadline until the end, so this is not reached.
                else => break,
            }
        }
        if self.server.transport() == Transport::Reset {
            stream.set_zero_linger()?;
        }
        Ok(())
    }

    /// Lends the handler all events that it can take; whether it can take more, so that the next read may come.
    fn advance(&mut self) -> bool {
        let now = self.clock.now();
        while self.lend(now) {}
        // Last, since what came in before a deadline counts, even if we are late to see it.
        self.server.handle_timeout(now);
        while self.lend(now) {}
        self.held.is_empty() && self.listens(now)
    }

    /// Lends the handler the next event; false when there is none.
    fn lend(&mut self, now: Instant) -> bool {
        let mut input = if self.listens(now) { &mut self.buffer[self.held.clone()] } else { &mut [] };
        let offered = input.len();
        let event = self.server.receive(&mut input, now);
        self.held.start += offered - input.len();
        match event {
            Some(ServerEvent::Offer(offer)) => self.session = self.handler.offer(offer),
            Some(ServerEvent::Request(request)) => self.handler.request(request),
            Some(ServerEvent::Session(_, Incoming { event, tx })) => self.handler.event(event, tx),
            Some(_) => {}
            None => return false,
        }
        true
    }

    /// Lets the handler send; whether it then takes an event. The session is told, lest its peer seem silent.
    fn listens(&mut self, now: Instant) -> bool {
        let Some(id) = self.session else { return true };
        let Some(tx) = self.server.tx(id, now) else { return true };
        self.handler.pump(tx);
        let listens = self.handler.listens(tx);
        if listens {
            self.server.resume(id, now);
        } else {
            self.server.pause(id, now);
        }
        listens
    }

    fn failed(&mut self, error: &io::Error) {
        if error.kind() != ErrorKind::Interrupted {
            self.server.receive_reset(self.clock.now());
        }
    }
}

/// The path of a request target, without the query. A proxy's absolute form has a scheme and a host before it.
pub(crate) fn path(target: &str) -> &str {
    let path_and_query = match target.split_once("://") {
        Some((scheme, rest)) if !scheme.contains(['/', '?']) => rest.find('/').map_or("/", |start| &rest[start..]),
        _ => target,
    };
    path_and_query.split_once('?').map_or(path_and_query, |(path, _)| path)
}

/// A short answer that explains itself.
pub(crate) fn plain(status: u16, text: &'static str) -> Result<Response, sockless::BuildError> {
    Ok(Response::new(status)?.header("Content-Type", "text/plain; charset=utf-8")?.body(text))
}

/// The policy that `--origin` asks for, given as often as it was: a list, or `any`.
pub(crate) fn origin_policy(origins: &[String]) -> OriginPolicy {
    if origins.iter().any(|origin| origin == "any") {
        OriginPolicy::Any
    } else {
        OriginPolicy::list(origins.iter().map(String::as_str))
    }
}

/// Runs a server on this thread; it comes back with what stopped it.
pub(crate) fn run(serve: impl Future<Output = io::Error>) -> Result<(), Box<dyn Error>> {
    Err(tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve).into())
}
