//! How do the echo server and the testbed serve? A task for each connection, which reads and writes at the same time,
//! and a [`Handler`] for each request, which does not see whether that came over HTTP/1.1 or HTTP/2, with TLS or without.
//!
//! Unlike in the three small drivers beside, reading goes on while output waits, until the handler has enough: a Close
//! is then seen in the middle of a long answer. Over HTTP/2 it always goes on: what lets one session go on may lie
//! behind what another has no room for.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::error::Error;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::{ops::Range, sync::Arc, thread, time::Duration};

use sockless::{
    Clock, Config, Event, HttpVersion, Incoming, Instant, Kind, Message, Offer, OriginPolicy, PlainRequest, Response,
    Sender, Server, ServerEvent, SessionId, Transport,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem::PemObject};
use tokio_rustls::{TlsAcceptor, rustls, server::TlsStream};

/// The size of a read.
const READ: usize = 64 << 10;

/// What one request is for: over HTTP/1.1 it has the connection to itself, over HTTP/2 it has a stream.
pub(crate) trait Handler: Send + 'static {
    /// A client asks for a WebSocket. The session, if it gets one.
    fn offer(&mut self, offer: Offer<'_>) -> Option<SessionId>;

    /// A request for something else.
    fn request(&mut self, request: PlainRequest<'_>);

    /// Something happened on the session: a message or a Pong.
    fn event(&mut self, event: Event<'_>, tx: &mut Sender);

    /// Sends what is to be sent unasked, as far as `tx` takes it; whether there is more, and so a reason to call it again.
    fn pump(&mut self, _tx: &mut Sender) -> bool {
        false
    }

    /// Whether it can take an event. While it cannot, it gets none.
    fn listens(&self, tx: &Sender) -> bool {
        !tx.is_full()
    }
}

/// Where to serve, and with TLS if there is an acceptor.
pub(crate) struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

impl Door {
    pub(crate) async fn open(address: &str, tls: Option<TlsAcceptor>) -> io::Result<(SocketAddr, Door)> {
        let bound = async {
            let listener = TcpListener::bind(address).await?;
            Ok((listener.local_addr()?, Door { listener, tls }))
        };
        bound
            .await
            .map_err(|error: io::Error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
    }
}

/// What all connections share.
pub(crate) struct Service<F> {
    config: Arc<Config>,
    clock: Clock,
    handler: F,
    count: AtomicU64,
    log: Option<SyncSender<String>>,
}

impl<H: Handler, F: Fn() -> H + Send + Sync + 'static> Service<F> {
    /// If it `logs`, it prints a line for each connection and each session.
    pub(crate) fn new(config: Config, logs: bool, handler: F) -> Service<F> {
        // By a thread, since nobody may be reading; lines that it cannot get rid of are lost.
        let log = logs.then(|| {
            let (log, lines) = sync_channel::<String>(1000);
            thread::spawn(move || lines.iter().try_for_each(|line| writeln!(io::stdout(), "{line}")));
            log
        });
        Service { config: Arc::new(config), clock: Clock::new(), handler, count: AtomicU64::new(0), log }
    }

    /// Serves for ever.
    pub(crate) async fn serve(self, doors: Vec<Door>) -> io::Error {
        let service = Arc::new(self);
        for door in doors {
            let service = Arc::clone(&service);
            tokio::spawn(async move {
                loop {
                    match door.listener.accept().await {
                        Ok((stream, _)) => {
                            tokio::spawn(Arc::clone(&service).connection(stream, door.tls.clone()));
                        }
                        Err(error) => {
                            // Too many open files, perhaps: some will be closed.
                            eprintln!("cannot accept: {error}");
                            sleep(Duration::from_millis(100)).await;
                        }
                    }
                }
            });
        }
        std::future::pending().await
    }

    async fn connection(self: Arc<Self>, stream: TcpStream, tls: Option<TlsAcceptor>) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let Some(tls) = tls else {
            self.say(|| format!("connection {number}: plain"));
            return Connection::new(self, number).run(stream).await;
        };
        match timeout(self.config.limits.open_timeout, tls.accept(stream)).await? {
            Ok(stream) => {
                let alpn = stream.get_ref().1.alpn_protocol().map(String::from_utf8_lossy);
                self.say(|| format!("connection {number}: TLS, ALPN {}", alpn.as_deref().unwrap_or("none")));
                Connection::new(self, number).run(stream).await
            }
            Err(error) => {
                self.say(|| format!("connection {number}: no TLS: {error}"));
                Err(error)
            }
        }
    }

    fn say(&self, line: impl FnOnce() -> String) {
        if let Some(log) = &self.log {
            let _ = log.try_send(line());
        }
    }
}

/// What a connection is made of.
trait Stream: AsyncRead + AsyncWrite + Unpin {
    fn tcp(&self) -> &TcpStream;
}

impl Stream for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl Stream for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

struct Connection<H, F> {
    service: Arc<Service<F>>,
    number: u64,
    server: Server,
    sessions: BTreeMap<SessionId, Session<H>>,
    /// Those that wait for room to send.
    waiting: BTreeSet<SessionId>,
    is_http2: bool,
    /// Whether the only session of a connection over HTTP/1.1 takes events.
    listens: bool,
    buffer: Box<[u8]>,
    /// The part of the buffer that waits for the handler to listen again.
    held: Range<usize>,
    is_eof: bool,
}

struct Session<H> {
    handler: H,
    /// What came over HTTP/2 while the handler did not listen. The engine grants the peer no more than a window of it.
    kept: VecDeque<Kept>,
}

enum Kept {
    Message(Kind, Vec<u8>),
    Pong(Vec<u8>),
}

/// What the writing half has to do next.
enum Task {
    Write,
    Flush,
    Shutdown,
}

impl<H: Handler, F: Fn() -> H + Send + Sync + 'static> Connection<H, F> {
    fn new(service: Arc<Service<F>>, number: u64) -> Connection<H, F> {
        let server = Server::new(Arc::clone(&service.config), service.clock.now());
        let buffer = vec![0; READ].into_boxed_slice();
        let sessions = BTreeMap::new();
        Connection {
            service,
            number,
            server,
            sessions,
            waiting: BTreeSet::new(),
            is_http2: false,
            listens: true,
            buffer,
            held: 0..0,
            is_eof: false,
        }
    }

    async fn run(mut self, mut stream: impl Stream) -> io::Result<()> {
        let clock = self.service.clock;
        let (mut reader, mut writer) = tokio::io::split(&mut stream);
        let (mut is_flushed, mut is_shut) = (true, false);
        loop {
            let reads = self.advance() && !self.is_eof;
            if self.server.is_closed() && is_flushed {
                break;
            }
            let shuts = !is_shut && self.server.transport() == Transport::ShutdownWrite;
            let wait = self.server.poll_timeout().map(|(deadline, _)| clock.until(deadline));
            let mut slices = [IoSlice::new(&[]); 16];
            let count = self.server.transmit(&mut slices);
            // TLS may hold back some of what it took.
            let task = match (count, is_flushed, shuts) {
                (1.., ..) => Some(Task::Write),
                (0, false, _) => Some(Task::Flush),
                (0, true, true) => Some(Task::Shutdown),
                (0, true, false) => None,
            };
            tokio::select! {
                result = work(&mut writer, &task, &slices[..count]), if task.is_some() => match (result, task) {
                    (Ok(written), Some(Task::Write)) => {
                        is_flushed = false;
                        self.server.transmitted(written, clock.now());
                    }
                    (Ok(_), Some(Task::Shutdown)) => is_shut = true,
                    (Ok(_), _) => is_flushed = true,
                    (Err(error), _) => {
                        (is_flushed, is_shut) = (true, true);
                        self.failed(&error);
                    }
                },
                result = reader.read(&mut self.buffer), if reads => match result {
                    Ok(0) => self.ended(),
                    Ok(read) => self.held = 0..read,
                    // TLS without its end: what ended in good order says so itself.
                    Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.ended(),
                    Err(error) => self.failed(&error),
                },
                () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                // Nothing to wait for: over HTTP/1.1 the engine has a deadline until the end, so this is not reached.
                else => break,
            }
        }
        let is_reset = self.server.transport() == Transport::Reset;
        drop((reader, writer));
        if is_reset {
            stream.tcp().set_zero_linger()?;
        }
        Ok(())
    }

    /// Lends the handlers all events that they can take; whether the next read may come.
    fn advance(&mut self) -> bool {
        let now = self.service.clock.now();
        std::mem::take(&mut self.waiting).into_iter().for_each(|id| self.tend(id, now));
        while self.lend(now) {}
        // Last, since what came in before a deadline counts, even if we are late to see it.
        self.server.handle_timeout(now);
        while self.lend(now) {}
        self.held.is_empty() && self.listens
    }

    /// Lends a handler the next event; false when there is none.
    fn lend(&mut self, now: Instant) -> bool {
        let mut input = if self.listens { &mut self.buffer[self.held.clone()] } else { &mut [] };
        let offered = input.len();
        let mut opened = None;
        let happened = match self.server.receive(&mut input, now) {
            Some(ServerEvent::Offer(offer)) => {
                self.is_http2 = offer.version() == HttpVersion::Http2;
                let (mut handler, target) = ((self.service.handler)(), offer.target().to_owned());
                let id = handler.offer(offer);
                opened = id.map(|id| (id, handler, target));
                Some(id)
            }
            Some(ServerEvent::Request(request)) => {
                self.is_http2 = request.version() == HttpVersion::Http2;
                (self.service.handler)().request(request);
                Some(None)
            }
            Some(ServerEvent::Session(id, Incoming { event: Event::Closed(_), .. })) => {
                self.sessions.remove(&id);
                self.listens = true;
                Some(None)
            }
            Some(ServerEvent::Session(id, Incoming { event, tx })) => {
                if let Some(session) = self.sessions.get_mut(&id) {
                    session.event(event, tx);
                }
                Some(Some(id))
            }
            Some(ServerEvent::Refused(error)) => {
                self.service.say(|| format!("connection {}: refused: {error}", self.number));
                Some(None)
            }
            Some(ServerEvent::Failed(error)) => {
                self.service.say(|| format!("connection {}: failed: {error}", self.number));
                Some(None)
            }
            Some(_) => Some(None),
            None => None,
        };
        self.held.start += offered - input.len();
        if let Some((id, handler, target)) = opened {
            let extensions = self.server.tx(id, now).and_then(|tx| tx.deflate());
            self.service.say(|| {
                let version = if self.is_http2 { "2" } else { "1.1" };
                let extensions = extensions.map_or_else(|| "none".into(), |parameters| parameters.to_string());
                let (number, target) = (self.number, target.escape_debug());
                format!("connection {number}, session {id}: HTTP/{version}, {target}, extensions: {extensions}")
            });
            self.sessions.insert(id, Session { handler, kept: VecDeque::new() });
        }
        if let Some(Some(id)) = happened {
            self.tend(id, now);
        }
        happened.is_some()
    }

    /// Lets a handler send, and take what was kept for it. The engine is told whether it then takes more: over HTTP/2 that
    /// holds back the peer of this session alone, over HTTP/1.1 nothing is read, and the peer is not to seem silent.
    fn tend(&mut self, id: SessionId, now: Instant) {
        let (Some(session), Some(tx)) = (self.sessions.get_mut(&id), self.server.tx(id, now)) else { return };
        let (listens, has_more) = session.tend(tx);
        if has_more || !listens {
            self.waiting.insert(id);
        }
        if listens {
            self.server.resume(id, now);
        } else {
            self.server.pause(id, now);
        }
        self.listens = listens || self.is_http2;
    }

    fn ended(&mut self) {
        self.is_eof = true;
        self.server.receive_eof(self.service.clock.now());
    }

    fn failed(&mut self, error: &io::Error) {
        if error.kind() != ErrorKind::Interrupted {
            self.is_eof = true;
            self.server.receive_reset(self.service.clock.now());
        }
    }
}

/// Can be dropped at any time: what was not written will be shown again.
async fn work(
    writer: &mut (impl AsyncWrite + Unpin),
    task: &Option<Task>,
    slices: &[IoSlice<'_>],
) -> io::Result<usize> {
    match task {
        Some(Task::Write) => writer.write_vectored(slices).await,
        Some(Task::Flush) => writer.flush().await.map(|()| 0),
        Some(Task::Shutdown) => writer.shutdown().await.map(|()| 0),
        None => std::future::pending().await,
    }
}

impl<H: Handler> Session<H> {
    fn event(&mut self, event: Event<'_>, tx: &mut Sender) {
        if self.tend(tx).0 {
            return self.handler.event(event, tx);
        }
        match event {
            Event::Message(message) => {
                self.kept.push_back(Kept::Message(message.kind(), message.as_bytes().to_owned()));
            }
            Event::Pong(payload) => self.kept.push_back(Kept::Pong(payload.to_owned())),
            _ => {}
        }
    }

    /// Whether it takes an event now, and whether it has more to send.
    fn tend(&mut self, tx: &mut Sender) -> (bool, bool) {
        loop {
            let has_more = self.handler.pump(tx);
            if !self.handler.listens(tx) {
                return (false, has_more);
            }
            match self.kept.pop_front() {
                Some(Kept::Message(Kind::Text, text)) => {
                    // It was text when it came.
                    let text = String::from_utf8(text).unwrap_or_default();
                    self.handler.event(Event::Message(Message::Text(&text)), tx);
                }
                Some(Kept::Message(_, bytes)) => self.handler.event(Event::Message(Message::Binary(&bytes)), tx),
                Some(Kept::Pong(payload)) => self.handler.event(Event::Pong(&payload), tx),
                None => return (true, has_more),
            }
        }
    }
}

/// What `--cert` and `--key` say, or a certificate made now, for this machine alone.
pub(crate) struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    pub(crate) fn new(cert: Option<&str>, key: Option<&str>) -> Result<Identity, Box<dyn Error>> {
        match (cert, key) {
            (Some(cert), Some(key)) => Identity::read(cert, key),
            (None, None) => {
                let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
                let made = rcgen::generate_simple_self_signed(names)?;
                let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
                Ok(Identity { chain: vec![made.cert.der().clone()], key: key.into() })
            }
            _ => Err("--cert and --key need each other".into()),
        }
    }

    fn read(cert: &str, key: &str) -> Result<Identity, Box<dyn Error>> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
        let chain = chain.map_err(|error| format!("{cert}: {error}"))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{key}: {error}"))?;
        Ok(Identity { chain, key })
    }

    /// TLS that agrees to these protocols, the first of them where it may choose.
    pub(crate) fn acceptor(&self, protocols: &[&str]) -> Result<TlsAcceptor, Box<dyn Error>> {
        let (chain, key) = (self.chain.clone(), self.key.clone_key());
        let mut config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Ok(TlsAcceptor::from(Arc::new(config)))
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
