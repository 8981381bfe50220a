//! How does a client drive the engine? It reads and writes at the same time, and what it waits for is a closure over
//! events.
//!
//! `cargo run --release --example client -- ws://127.0.0.1:5000/ws` is a conversation: each line goes out as a text
//! message. It speaks TLS for `wss:`, and HTTP/2 if it is told to. `--check` tests an echo server, `--autobahn` lets
//! Autobahn's fuzzing server test the engine.
#![allow(clippy::indexing_slicing, reason = "no count is larger than what it counts")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{self, BufRead, ErrorKind, IoSlice};
use std::ops::Range;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use lexopt::prelude::*;
use sockless::{
    Client, ClientEvent, Clock, Close, CloseCode, Closed, Compress, Compression, Config, Connect, DeflateParameters,
    Event, Incoming, Instant, KeepAlive, Limits, Message, Os, Reason, Sender, SessionId, Transport,
};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore, SignatureScheme};

const HELP: &str = "\
A WebSocket client.

  client URL                          send each line as a text message, show what comes; the end of input closes
  client --check URL                  test an echo server: say what is wrong, or nothing and exit with 0
  client --autobahn URL --agent NAME  run all cases of Autobahn's fuzzing server

  --http 1.1|2                        the version of HTTP (1.1); 2 over ws: is prior knowledge
  --ca FILE                           for wss:, trust these certificates (PEM), and not those that this machine trusts
  --header 'NAME: VALUE'              send this header field; more than once for several
  --origin ORIGIN                     send this origin
  --subprotocol NAME                  offer this subprotocol; more than once for several
  --compression                       offer permessage-deflate, and say what came of it; --autobahn always offers it
  --help                              show this
";

/// How long `--check` takes at most.
const CHECK: Duration = Duration::from_secs(12);

fn main() -> ExitCode {
    match Options::parse().and_then(Options::run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            eprintln!("client: {wrong}");
            ExitCode::FAILURE
        }
    }
}

#[derive(Default)]
struct Options {
    url: Option<String>,
    mode: Mode,
    agent: Option<String>,
    headers: Vec<String>,
    origin: Option<String>,
    subprotocols: Vec<String>,
    compression: bool,
    is_http2: bool,
    ca: Option<String>,
}

#[derive(Default)]
enum Mode {
    #[default]
    Talk,
    Check,
    Autobahn,
    Help,
}

impl Options {
    fn parse() -> Result<Options, String> {
        Options::read(lexopt::Parser::from_env()).map_err(|error| error.to_string())
    }

    fn read(mut arguments: lexopt::Parser) -> Result<Options, lexopt::Error> {
        let mut options = Options::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(url) if options.url.is_none() => options.url = Some(url.string()?),
                Long("check") => (options.mode, options.url) = (Mode::Check, Some(arguments.value()?.string()?)),
                Long("autobahn") => (options.mode, options.url) = (Mode::Autobahn, Some(arguments.value()?.string()?)),
                Long("agent") => options.agent = Some(arguments.value()?.string()?),
                Long("header") => options.headers.push(arguments.value()?.string()?),
                Long("origin") => options.origin = Some(arguments.value()?.string()?),
                Long("subprotocol") => options.subprotocols.push(arguments.value()?.string()?),
                Long("compression") => options.compression = true,
                Long("http") => {
                    options.is_http2 = match arguments.value()?.string()?.as_str() {
                        "1.1" => false,
                        "2" => true,
                        other => return Err(format!("--http is 1.1 or 2, not {other}").into()),
                    }
                }
                Long("ca") => options.ca = Some(arguments.value()?.string()?),
                Short('h') | Long("help") => options.mode = Mode::Help,
                _ => return Err(argument.unexpected()),
            }
        }
        Ok(options)
    }

    fn run(self) -> Result<(), String> {
        if let Mode::Help = self.mode {
            print!("{HELP}");
            return Ok(());
        }
        let url = self.url.as_deref().ok_or("no URL; --help says more")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        let compression = self.compression.then(Compression::default);
        let outcome = runtime.block_on(async {
            match self.mode {
                Mode::Talk => talk(&self.target(url)?, compression).await,
                Mode::Check => check(&self.target(url)?, compression).await,
                Mode::Autobahn => self.autobahn(url).await,
                Mode::Help => Ok(()),
            }
        });
        // A name that is still being looked up is not waited for.
        runtime.shutdown_background();
        outcome
    }

    /// What to ask for, and how.
    fn target(&self, url: &str) -> Result<Target, String> {
        let connect = self.connect(url)?;
        let tls = connect.url().is_secure().then(|| tls(self.ca.as_deref(), self.is_http2)).transpose()?;
        Ok(Target { connect, tls, is_http2: self.is_http2 })
    }

    fn connect(&self, url: &str) -> Result<Connect, String> {
        let mut connect = Connect::to(url).map_err(|error| format!("{url}: {error}"))?;
        for header in &self.headers {
            let (name, value) = header.split_once(':').ok_or_else(|| format!("no header field: {header}"))?;
            connect = connect.header(name, value.trim()).map_err(|error| format!("{header}: {error}"))?;
        }
        if let Some(origin) = &self.origin {
            connect = connect.origin(origin).map_err(|error| format!("{origin}: {error}"))?;
        }
        for name in &self.subprotocols {
            connect = connect.subprotocol(name).map_err(|error| format!("{name}: {error}"))?;
        }
        Ok(connect)
    }

    /// Runs the cases that a fuzzing server has.
    async fn autobahn(&self, url: &str) -> Result<(), String> {
        // The cases bring messages of 16 MiB, and one in 65536 fragments; an unasked Ping would spoil them.
        let limits =
            Limits { message: 64 << 20, frame: 64 << 20, fragments: 128 << 10, output: 64 << 20, ..Limits::default() };
        // Some cases want a client that lets itself be told to do without context takeover.
        let compression = Compression { client_no_context_takeover: true, ..Compression::default() };
        let (keep_alive, compression) = (KeepAlive::Off, Some(compression));
        let config = Arc::new(Config { limits, keep_alive, compression, ..Config::default() });
        let (url, agent) = (url.trim_end_matches('/'), encode(self.agent.as_deref().unwrap_or("sockless")));
        let mut counting = Connection::to(&self.target(&format!("{url}/getCaseCount"))?, &config).await?;
        // The fuzzing server may hang up without a Close here and at the end: what counts is said before.
        let count: u32 = counting
            .until("the number of cases", |event| match event {
                ClientEvent::Session(_, Incoming { event: Event::Message(Message::Text(count)), .. }) => {
                    Some(count.parse().map_err(|_| format!("not a number of cases: {count}")))
                }
                event => ended(&event).map(Err),
            })
            .await?;
        for case in 1..=count {
            println!("case {case} of {count}");
            let target = self.target(&format!("{url}/runCase?case={case}&agent={agent}"))?;
            Connection::to(&target, &config).await?.echo().await;
        }
        Connection::to(&self.target(&format!("{url}/updateReports?agent={agent}"))?, &config).await?.echo().await;
        Ok(())
    }
}

/// A conversation: lines of the standard input go out as text messages, what comes is shown.
async fn talk(target: &Target, compression: Option<Compression>) -> Result<(), String> {
    let limits = Limits { close_timeout: Duration::from_secs(3), ..Limits::default() };
    let config = Config { limits, compression, ..Config::default() };
    let mut connection = Connection::to(target, &Arc::new(config)).await?;
    let agreed = connection.opened("the opening handshake").await?;
    eprintln!("connected to {}, extensions: {}", target.connect.url(), extensions(agreed));
    let mut lines = lines();
    let mut end = None;
    loop {
        connection.events(|event| -> Option<()> {
            match event {
                ClientEvent::Session(_, Incoming { event: Event::Message(message), .. }) => show(message),
                ClientEvent::Session(_, Incoming { event: Event::Failed(error), .. }) => eprintln!("failed: {error}"),
                ClientEvent::Session(_, Incoming { event: Event::Closing { code, reason }, .. }) => {
                    eprintln!("Close from the server: {} {}", code.map_or(1005, CloseCode::get), printable(reason));
                }
                ClientEvent::Session(_, Incoming { event: Event::Closed(closed), .. }) => end = Some(closed),
                _ => {}
            }
            None
        });
        // Over HTTP/2, the connection could carry more.
        if connection.client.is_closed() || connection.is_http2 && end.is_some() {
            break;
        }
        let sends = connection.tx().is_some_and(|tx| tx.is_ready());
        tokio::select! {
            () = connection.turn() => {}
            line = lines.recv(), if sends => if let Some(tx) = connection.tx() {
                match line {
                    // There is room: it was just asked.
                    Some(line) => { let _ = tx.send(Message::Text(line.trim_end_matches(['\r', '\n']))); }
                    None => tx.close(Close::With(CloseCode::NORMAL, Reason::EMPTY)),
                }
            },
        }
    }
    match end {
        Some(Closed { clean: true, .. }) => Ok(()),
        Some(closed) => Err(format!("the connection ended: {closed}")),
        None => Err("the connection is lost".into()),
    }
}

/// Lines of the standard input, read by a thread of their own: no runtime can wait for a terminal.
fn lines() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(1..) if sender.blocking_send(String::from_utf8_lossy(&line).into_owned()).is_ok() => {}
                _ => break,
            }
        }
    });
    lines
}

fn extensions(agreed: Option<DeflateParameters>) -> String {
    agreed.map_or_else(|| "none".into(), |parameters| parameters.to_string())
}

fn show(message: Message<'_>) {
    match message {
        Message::Text(text) => println!("{}", printable(text)),
        Message::Binary(bytes) => {
            let mut start = String::new();
            for byte in bytes.iter().take(32) {
                let _ = write!(start, " {byte:02x}");
            }
            println!("binary, {} bytes:{start}{}", bytes.len(), if bytes.len() > 32 { " …" } else { "" });
        }
    }
}

/// A server's text, without what would command the terminal.
fn printable(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && !matches!(character, '\n' | '\t') {
            clean.extend(character.escape_default());
        } else {
            clean.push(character);
        }
    }
    clean
}

/// Tests an echo server. Whatever it does, or does not, the answer is there in time.
async fn check(target: &Target, compression: Option<Compression>) -> Result<(), String> {
    let stage = Cell::new("the TCP connection");
    match timeout(CHECK, check_all(target, compression, &stage)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("{}: nothing after {} s", stage.get(), CHECK.as_secs())),
    }
}

async fn check_all(target: &Target, compression: Option<Compression>, stage: &Cell<&str>) -> Result<(), String> {
    let seconds = Duration::from_secs;
    let limits =
        Limits { fragments: 1 << 20, open_timeout: seconds(5), close_timeout: seconds(4), ..Limits::default() };
    let is_offered = compression.is_some();
    let config = Config { limits, keep_alive: KeepAlive::Off, compression, ..Config::default() };
    let mut connection = Connection::to(target, &Arc::new(config)).await?;
    let at = |name| {
        stage.set(name);
        name
    };
    let agreed = connection.opened(at("the opening handshake")).await?;
    if is_offered {
        println!("extensions: {}", extensions(agreed));
    }

    let small: Vec<u8> = (0..=255).collect();
    let large: Vec<u8> = small.iter().copied().cycle().take(1 << 20).collect();
    for (name, message) in [
        ("the echo of an empty text", Message::Text("")),
        ("the echo of a text", Message::Text("Grüße, 世界 👋")),
        ("the echo of 256 bytes", Message::Binary(&small)),
        ("the echo of 1 MiB", Message::Binary(&large)),
    ] {
        connection
            .sender(at(name))?
            .send_with(message, Compress::Always)
            .map_err(|error| format!("{name}: {error}"))?;
        connection
            .until(name, |event| match event {
                ClientEvent::Session(_, Incoming { event: Event::Message(echo), .. }) if echo == message => {
                    Some(Ok(()))
                }
                ClientEvent::Session(_, Incoming { event: Event::Message(other), .. }) => Some(Err(summary(other))),
                event => ended(&event).map(Err),
            })
            .await?;
    }

    let (name, payload) = (at("the Pong"), &b"sockless"[..]);
    connection.sender(name)?.ping(payload).map_err(|error| format!("{name}: {error}"))?;
    connection
        .until(name, |event| match event {
            // Another would be unsolicited, which is allowed.
            ClientEvent::Session(_, Incoming { event: Event::Pong(answer), .. }) if answer == payload => Some(Ok(())),
            ClientEvent::Session(_, Incoming { event: Event::Message(other), .. }) => Some(Err(summary(other))),
            event => ended(&event).map(Err),
        })
        .await?;

    let name = at("the answer to our Close");
    connection.sender(name)?.close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
    connection
        .until(name, |event| match event {
            ClientEvent::Session(_, Incoming { event: Event::Closing { code: Some(CloseCode::NORMAL), .. }, .. }) => {
                Some(Ok(()))
            }
            ClientEvent::Session(_, Incoming { event: Event::Message(other), .. }) => Some(Err(summary(other))),
            event => ended(&event).map(Err),
        })
        .await?;

    if connection.is_http2 {
        return connection
            .until(at("the end of the stream"), |event| match event {
                ClientEvent::Session(_, Incoming { event: Event::Closed(Closed { clean: true, .. }), .. }) => {
                    Some(Ok(()))
                }
                event => ended(&event).map(Err),
            })
            .await;
    }
    // The server goes first (RFC 6455 §7.1.1); the engine waits for it no longer than its close timeout.
    let _ = connection.until(at("the end of the TCP connection"), |_| None::<Result<(), _>>).await;
    if connection.is_ended { Ok(()) } else { Err("the server does not end the TCP connection".into()) }
}

/// What ended, or will end, the connection, if the event says so.
fn ended(event: &ClientEvent<'_>) -> Option<String> {
    match event {
        ClientEvent::Refused(_, response) => {
            Some(format!("the server refuses: {} {}", response.status(), printable(response.reason())))
        }
        ClientEvent::Failed(_, error) => Some(error.to_string()),
        ClientEvent::Closed(_, closed) => Some(format!("the connection ended: {closed}")),
        ClientEvent::ConnectionFailed(error) => Some(error.to_string()),
        ClientEvent::Session(_, Incoming { event, .. }) => match event {
            Event::Failed(error) => Some(error.to_string()),
            Event::Closing { code, reason } => {
                Some(format!("the server closes: {} {}", code.map_or(1005, CloseCode::get), printable(reason)))
            }
            Event::Closed(closed) => Some(format!("the connection ended: {closed}")),
            _ => None,
        },
        _ => None,
    }
}

/// A message that was not the one.
fn summary(message: Message<'_>) -> String {
    match message {
        Message::Text(text) => {
            format!("instead, a text of {} bytes: {:?}", text.len(), text.chars().take(40).collect::<String>())
        }
        Message::Binary(bytes) => {
            format!("instead, {} bytes that begin with {:02x?}", bytes.len(), &bytes[..bytes.len().min(16)])
        }
    }
}

/// Percent-encodes what does not stand for itself in a query.
fn encode(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

/// What to ask for, and how.
struct Target {
    connect: Connect,
    tls: Option<TlsConnector>,
    is_http2: bool,
}

/// TLS that asks for this version of HTTP.
fn tls(ca: Option<&str>, is_http2: bool) -> Result<TlsConnector, String> {
    let trusted = match ca {
        Some(file) => CertificateDer::pem_file_iter(file)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| format!("{file}: {error}"))?,
        None => rustls_native_certs::load_native_certs().certs,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(trusted.iter().cloned());
    let webpki = WebPkiServerVerifier::builder(Arc::new(roots)).build();
    let webpki = webpki.map_err(|error| format!("{}: {error}", ca.unwrap_or("the certificates of this machine")))?;
    let verifier = Arc::new(Verifier { webpki, trusted: if ca.is_some() { trusted } else { Vec::new() } });
    let mut config =
        ClientConfig::builder().dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    config.alpn_protocols = vec![if is_http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Trusts what WebPKI trusts, and a server that shows the very certificate that `--ca` names: what `openssl req -x509` makes
/// for a test is an authority that signed itself, and WebPKI takes no authority for a server.
#[derive(Debug)]
struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    trusted: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if self.trusted.contains(end_entity) {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, name)?;
            return Ok(ServerCertVerified::assertion());
        }
        self.webpki.verify_server_cert(end_entity, intermediates, name, ocsp, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What the writing half has to do next.
enum Task {
    Write,
    Flush,
    Shutdown,
}

/// A transport connection and the engine on top of it.
struct Connection {
    stream: Box<dyn Stream>,
    client: Client,
    id: SessionId,
    clock: Clock,
    is_http2: bool,
    buffer: Vec<u8>,
    /// The part of the buffer that nobody asked for yet.
    held: Range<usize>,
    /// The transport brings no more.
    is_ended: bool,
    /// TLS may hold back some of what it took.
    is_flushed: bool,
    is_shut: bool,
}

impl Connection {
    /// Connects, and queues the request.
    async fn to(target: &Target, config: &Arc<Config>) -> Result<Connection, String> {
        let authority = target.connect.url().authority();
        let stream = match timeout(config.limits.open_timeout, target.stream()).await {
            Ok(stream) => stream.map_err(|error| format!("cannot connect to {authority}: {error}"))?,
            Err(_) => return Err(format!("cannot connect to {authority} in time")),
        };
        let (clock, is_http2) = (Clock::new(), target.is_http2);
        let new = if is_http2 { Client::http2 } else { Client::new };
        let mut client = new(Arc::clone(config), Os, clock.now()).map_err(|error| error.to_string())?;
        let id = client.open(&target.connect, clock.now()).map_err(|error| error.to_string())?;
        let buffer = vec![0; 64 << 10];
        let (is_ended, is_flushed, is_shut) = (false, true, false);
        Ok(Connection { stream, client, id, clock, is_http2, buffer, held: 0..0, is_ended, is_flushed, is_shut })
    }

    fn tx(&mut self) -> Option<&mut Sender> {
        self.client.tx(self.id, self.clock.now())
    }

    fn sender(&mut self, what: &str) -> Result<&mut Sender, String> {
        self.tx().ok_or_else(|| format!("{what}: the connection is not open"))
    }

    /// Waits for the end of the opening handshake; what was agreed on.
    async fn opened(&mut self, what: &str) -> Result<Option<DeflateParameters>, String> {
        self.until(what, |event| match event {
            ClientEvent::Open(opened) => Some(Ok(opened.agreed.deflate())),
            event => ended(&event).map(Err),
        })
        .await
    }

    /// Echoes until the session is over, and with it the connection.
    async fn echo(&mut self) {
        let is_http2 = self.is_http2;
        let _ = self
            .until("", |event| match event {
                ClientEvent::Session(_, Incoming { event: Event::Message(message), tx }) => {
                    // The queue has room, or there would be no event; and after our Close nobody waits for an echo. Where
                    // compression is agreed on, it is what the case is about.
                    let _ = tx.send_with(message, Compress::Always);
                    None
                }
                ClientEvent::Session(_, Incoming { event: Event::Closed(_), .. }) if is_http2 => Some(Ok(())),
                _ => None,
            })
            .await;
        if is_http2 {
            self.client.shut_down(self.clock.now());
            let _ = self.until("", |_| None::<Result<(), String>>).await;
        }
    }

    /// Drives the connection until `react` has its answer. A failure says what was waited for.
    async fn until<T>(
        &mut self,
        what: &str,
        mut react: impl FnMut(ClientEvent<'_>) -> Option<Result<T, String>>,
    ) -> Result<T, String> {
        loop {
            if let Some(answer) = self.events(&mut react) {
                return answer.map_err(|wrong| format!("{what}: {wrong}"));
            }
            if self.client.is_closed() {
                return Err(format!("{what}: the connection is over"));
            }
            self.turn().await;
        }
    }

    /// Lends what has happened, until `react` has its answer.
    fn events<T>(&mut self, mut react: impl FnMut(ClientEvent<'_>) -> Option<T>) -> Option<T> {
        let now = self.clock.now();
        let answer = self.lend(now, &mut react);
        if answer.is_some() {
            return answer;
        }
        // Last, since what came in before a deadline counts, even if we are late to see it.
        self.client.handle_timeout(now);
        self.lend(now, &mut react)
    }

    fn lend<T>(&mut self, now: Instant, mut react: impl FnMut(ClientEvent<'_>) -> Option<T>) -> Option<T> {
        loop {
            // What comes is answered: while the queue is full, it has to wait. Over HTTP/2 that would keep the queue full.
            let is_full = !self.is_http2 && self.client.tx(self.id, now).is_some_and(|tx| tx.is_full());
            let mut input = if is_full { &mut [] } else { &mut self.buffer[self.held.clone()] };
            let offered = input.len();
            let event = self.client.receive(&mut input, now);
            self.held.start += offered - input.len();
            let answer = react(event?);
            if answer.is_some() {
                return answer;
            }
        }
    }

    /// Waits for what comes first, a read, a write or the deadline, and does it. It can be cancelled: what was not written is
    /// shown again.
    async fn turn(&mut self) {
        let now = self.clock.now();
        let reads = self.held.is_empty() && !self.is_ended;
        if reads {
            self.client.resume(self.id, now);
        } else {
            self.client.pause(self.id, now);
        }
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let shuts = !self.is_shut && self.client.transport() == Transport::ShutdownWrite;
        let wait = self.client.poll_timeout().map(|(deadline, _)| self.clock.until(deadline));
        let mut slices = [IoSlice::new(&[]); 16];
        let count = self.client.transmit(&mut slices);
        let task = match (count, self.is_flushed, shuts) {
            (1.., ..) => Some(Task::Write),
            (0, false, _) => Some(Task::Flush),
            (0, true, true) => Some(Task::Shutdown),
            (0, true, false) => None,
        };
        let work = async {
            match task {
                Some(Task::Write) => writer.write_vectored(&slices[..count]).await,
                Some(Task::Flush) => writer.flush().await.map(|()| 0),
                Some(Task::Shutdown) => writer.shutdown().await.map(|()| 0),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            result = work, if task.is_some() => match (result, &task) {
                (Ok(written), Some(Task::Write)) => {
                    self.is_flushed = false;
                    self.client.transmitted(written, self.clock.now());
                }
                // An error says that the connection is gone, and the next read says so too.
                (_, Some(Task::Shutdown)) => self.is_shut = true,
                (Ok(_), _) => self.is_flushed = true,
                (Err(error), _) => {
                    self.is_flushed = true;
                    self.failed(&error);
                }
            },
            result = reader.read(&mut self.buffer), if reads => match result {
                Ok(0) => self.end(),
                // TLS without its end: what ended in good order says so itself.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => self.end(),
                Ok(read) => self.held = 0..read,
                Err(error) => self.failed(&error),
            },
            () = sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            // Nothing is awaited any more.
            else => self.client.receive_reset(self.clock.now()),
        }
    }

    fn end(&mut self) {
        self.is_ended = true;
        self.client.receive_eof(self.clock.now());
    }

    fn failed(&mut self, error: &io::Error) {
        if error.kind() != ErrorKind::Interrupted {
            self.is_ended = true;
            self.client.receive_reset(self.clock.now());
        }
    }
}

impl Target {
    async fn stream(&self) -> io::Result<Box<dyn Stream>> {
        let url = self.connect.url();
        let host = url.host();
        let stream = TcpStream::connect((host, url.port())).await?;
        stream.set_nodelay(true)?;
        let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = tls.connect(name, stream).await?;
        if self.is_http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            return Err(io::Error::other("the server does not speak HTTP/2 (no ALPN)"));
        }
        Ok(Box::new(stream))
    }
}
