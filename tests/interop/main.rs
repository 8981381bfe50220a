//! Is permessage-deflate understood by implementations that share no line with this one, in both roles? (RFC 7692)
//!
//! The peers are the PyPI package websockets and the npm package ws, which `.ci/interop` installs; where one is not
//! there, its test is skipped. A peer is one program, server and client, and has many connections one after another.
//! For each, the query of the URL says which parameters the peer is to have; it answers each message with the same,
//! each third one in fragments. What was on the wire is looked at, and the peer tells what it takes as agreed on.
#![cfg(all(feature = "deflate", feature = "getrandom"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail in any line of it"
)]

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use sockless::{
    Accept, Client, ClientEvent, Clock, Close, CloseCode, Closed, Compress, Compression, Config, Connect,
    DeflateParameters, Error, Event, Kind, Message, Os, Pool, Reason, ResponseError, Sender, Server, ServerEvent,
    SessionId, Transport, WindowBits,
};

/// From which length on we compress.
const THRESHOLD: usize = 256;

/// How long one step of a conversation may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// zlib, which it uses by way of Python, cannot compress with a window of 8 bits, and it says so: its own limit cannot
/// be set to 8; as a server it declines offers that would ask that of it, as a client it leaves.
#[test]
fn websockets() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/interop/python/bin/python"));
    command.arg(root.join("tests/interop/websockets_peer.py"));
    let inexpressible = |of_peer: Option<u8>| of_peer == Some(8);
    let outcome = |case: &Case, parameters: DeflateParameters| match case.role {
        Role::Server if inexpressible(case.theirs.client_bits.limit()) => Outcome::Inexpressible,
        Role::Client if inexpressible(case.theirs.server_bits) => Outcome::Inexpressible,
        Role::Server if parameters.client_max_window_bits == WindowBits::MIN => Outcome::Refused,
        Role::Client if parameters.server_max_window_bits == WindowBits::MIN => Outcome::Declined,
        _ => Outcome::Agreed,
    };
    interoperate("websockets", "target/interop/python/bin/websockets", command, None, outcome);
}

/// It takes 8 bits, of which Node makes 9 without a word; that still refers back by 250 bytes at most. A server of it
/// answers an offer of less than it was told with 400, where it could have accepted the lesser.
#[test]
fn ws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new("node");
    command.arg(root.join("tests/interop/ws_peer.mjs")).arg(root.join("target/interop/node"));
    let is_more = |theirs: Option<u8>, ours: Option<u8>| theirs.zip(ours).is_some_and(|(theirs, ours)| theirs > ours);
    let outcome = |case: &Case, _| {
        let Case { role, theirs, ours } = case;
        let is_unacceptable = is_more(theirs.server_bits, ours.server_bits)
            || is_more(theirs.client_bits.limit(), ours.client_bits.limit());
        if *role == Role::Client && is_unacceptable { Outcome::Refused } else { Outcome::Agreed }
    };
    interoperate("ws", "target/interop/node/node_modules/ws", command, Some(Arc::default()), outcome);
}

fn interoperate(
    name: &str,
    installed: &str,
    command: Command,
    pool: Option<Arc<Pool>>,
    outcome: impl Fn(&Case, DeflateParameters) -> Outcome,
) {
    // Not by `println`, which the test runner keeps to itself.
    let say = |line: String| io::stderr().write_all(format!("{line}\n").as_bytes()).unwrap();
    if !Path::new(env!("CARGO_MANIFEST_DIR")).join(installed).exists() {
        return say(format!("skipped: {name} is not installed, see .ci/interop"));
    }
    let mut peer = Peer::start(command);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let script = script();
    for role in [Role::Server, Role::Client] {
        let began = Instant::now();
        let mut counts = [0; 4];
        for case in cases(role) {
            let outcome = outcome(&case, case.parameters());
            counts[outcome as usize] += 1;
            if outcome != Outcome::Inexpressible {
                case.run(outcome, &mut peer, &listener, pool.clone(), &script);
            }
        }
        let [agreed, declined, refused, inexpressible] = counts;
        say(format!(
            "{name}, we are the {role:?}: {} combinations in {:.1?}: {agreed} agreed and spoken, {declined} declined \
             and spoken plain, {refused} refused by the peer, {inexpressible} that it cannot be told",
            counts.iter().sum::<i32>(),
            began.elapsed(),
        ));
    }
}

// --- combinations -----------------------------------------------------------------------

/// What we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Server,
    Client,
}

#[derive(Clone, Copy, Debug)]
struct Case {
    role: Role,
    theirs: Wish,
    ours: Wish,
}

/// What one side wishes for, or demands.
#[derive(Clone, Copy, Debug)]
struct Wish {
    server_bits: Option<u8>,
    client_bits: ClientBits,
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
}

#[derive(Clone, Copy, Debug)]
enum ClientBits {
    /// A client that cannot be limited.
    Absent,
    /// A client that can be limited, and a server that does not do so.
    Bare,
    Of(u8),
}

/// What is to come of a combination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Agreed,
    /// The connection is made without compression.
    Declined,
    /// No connection is made.
    Refused,
    /// The peer has no option for it.
    Inexpressible,
}

/// All that the peer can wish for with us who wish for nothing, the other way round, and some of both at once.
fn cases(role: Role) -> Vec<Case> {
    let windows = || (8..=15).map(Some).chain([None]).collect::<Vec<_>>();
    let clients = || (8..=15).map(ClientBits::Of).chain([ClientBits::Bare]).collect::<Vec<_>>();
    // Ours is always a client that can be limited.
    let absent = (role == Role::Server).then_some(ClientBits::Absent);
    let nothing = Wish::all(&[None], &[ClientBits::Bare], &[false])[0];

    let theirs = Wish::all(&windows(), &[clients(), absent.into_iter().collect()].concat(), &[false, true]);
    let mut cases: Vec<_> = theirs.into_iter().map(|theirs| Case { role, theirs, ours: nothing }).collect();
    let ours = Wish::all(&windows()[..8], &clients()[..8], &[false, true]);
    cases.extend(ours.into_iter().map(|ours| Case { role, theirs: nothing, ours }));

    let (ten, thirteen) = (ClientBits::Of(10), ClientBits::Of(13));
    let clients: Vec<_> = [ClientBits::Bare, ten, thirteen].into_iter().chain(absent).collect();
    for theirs in Wish::all(&[None, Some(10), Some(13)], &clients, &[false]) {
        for ours in Wish::all(&[Some(9), Some(12)], &[ClientBits::Of(9), ClientBits::Of(12)], &[false, true]) {
            cases.push(Case { role, theirs, ours });
        }
    }
    cases
}

impl Wish {
    fn all(server_bits: &[Option<u8>], client_bits: &[ClientBits], resets: &[bool]) -> Vec<Wish> {
        let mut wishes = Vec::new();
        for &server_bits in server_bits {
            for &client_bits in client_bits {
                for &server_no_context_takeover in resets {
                    for &client_no_context_takeover in resets {
                        wishes.push(Wish {
                            server_bits,
                            client_bits,
                            server_no_context_takeover,
                            client_no_context_takeover,
                        });
                    }
                }
            }
        }
        wishes
    }

    /// As the query that tells the peer.
    fn query(&self) -> String {
        let mut query = String::from("/?");
        for (name, is_set) in [
            ("server_no_context_takeover", self.server_no_context_takeover),
            ("client_no_context_takeover", self.client_no_context_takeover),
            ("client_max_window_bits", matches!(self.client_bits, ClientBits::Bare)),
        ] {
            if is_set {
                write!(query, "{name}=true&").unwrap();
            }
        }
        for (name, bits) in
            [("server_max_window_bits", self.server_bits), ("client_max_window_bits", self.client_bits.limit())]
        {
            if let Some(bits) = bits {
                write!(query, "{name}={bits}&").unwrap();
            }
        }
        query
    }

    fn config(&self, pool: Option<Arc<Pool>>) -> Arc<Config> {
        let compression = Compression {
            server_max_window_bits: window(self.server_bits),
            client_max_window_bits: window(self.client_bits.limit()),
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover,
            pool,
            threshold: Some(THRESHOLD),
            ..Compression::default()
        };
        Arc::new(Config { compression: Some(compression), ..Config::default() })
    }
}

impl ClientBits {
    fn limit(self) -> Option<u8> {
        if let ClientBits::Of(bits) = self { Some(bits) } else { None }
    }
}

fn window(bits: Option<u8>) -> WindowBits {
    bits.map_or(WindowBits::MAX, |bits| WindowBits::new(bits).unwrap())
}

impl Case {
    /// What both are to agree on: the lesser of both wishes, but that a client may be one that cannot be limited.
    fn parameters(&self) -> DeflateParameters {
        let Case { theirs, ours, .. } = self;
        let client_bits = match theirs.client_bits {
            ClientBits::Absent => WindowBits::MAX,
            bits => window(bits.limit()).min(window(ours.client_bits.limit())),
        };
        DeflateParameters {
            server_no_context_takeover: theirs.server_no_context_takeover || ours.server_no_context_takeover,
            client_no_context_takeover: theirs.client_no_context_takeover || ours.client_no_context_takeover,
            server_max_window_bits: window(theirs.server_bits).min(window(ours.server_bits)),
            client_max_window_bits: client_bits,
        }
    }

    /// One connection.
    fn run(&self, outcome: Outcome, peer: &mut Peer, listener: &TcpListener, pool: Option<Arc<Pool>>, script: &[Line]) {
        let (clock, config) = (Clock::new(), self.ours.config(pool));
        let mut link = match self.role {
            Role::Server => {
                peer.tell(&format!("ws://{}{}", listener.local_addr().unwrap(), self.theirs.query()));
                let engine = Engine::Server(Server::new(config, clock.now()));
                Link::new(engine, listener.accept().unwrap().0, clock)
            }
            Role::Client => {
                let url = format!("ws://127.0.0.1:{}{}", peer.port, self.theirs.query());
                let mut client = Client::new(config, Os, clock.now()).unwrap();
                client.open(&Connect::to(&url).unwrap(), clock.now()).unwrap();
                Link::new(Engine::Client(client), TcpStream::connect(("127.0.0.1", peer.port)).unwrap(), clock)
            }
        };
        let heard = link.next();
        if outcome == Outcome::Refused {
            return match self.role {
                Role::Client => assert_eq!(heard, Heard::Refused(400), "{self:?}"),
                Role::Server => {
                    let line = peer.line();
                    assert!(line.starts_with("refused: Unsupported extension"), "{self:?}: {line}");
                }
            };
        }

        let agreed = (outcome == Outcome::Agreed).then(|| self.parameters());
        assert_eq!(heard, Heard::Open(agreed), "{self:?}");
        link.converse(script, self);
        let told = agreed.map_or("plain".into(), |agreed| agreed.to_string());
        assert_eq!(peer.line(), format!("1000 {told}"), "{self:?}: what the peer holds for agreed on");

        let ((sent_head, sent), (received_head, received)) = (parse(&link.sent), parse(&link.received));
        let head = if self.role == Role::Server { sent_head } else { received_head };
        assert_eq!(response(&head), agreed, "{self:?}: {head}");
        let ours = script.iter().map(|line| line.parts.is_some());
        let theirs = (0..script.len()).map(|index| index % 3 == 2);
        let (of_server, of_client) = match agreed {
            None => (None, None),
            Some(agreed) => (
                Some((!agreed.server_no_context_takeover, agreed.server_max_window_bits)),
                Some((!agreed.client_no_context_takeover, agreed.client_max_window_bits)),
            ),
        };
        let (we, they) = if self.role == Role::Server { (of_server, of_client) } else { (of_client, of_server) };
        check(&sent, script, ours, we, |line| line.is_compressed(), &format!("{self:?}: what we sent"));
        check(&received, script, theirs, they, |_| true, &format!("{self:?}: what we received"));
    }
}

// --- what is said -----------------------------------------------------------------------

/// A message of ours, and how it is sent.
struct Line {
    kind: Kind,
    content: Vec<u8>,
    compress: Compress,
    /// In parts, with a Ping between them; and how the last of them is sent.
    parts: Option<Last>,
}

#[derive(Clone, Copy)]
enum Last {
    /// With the last bytes.
    Full,
    /// As an empty frame behind them.
    Empty,
}

/// A conversation. Each message has much in common with those before it, and some go plain between those that do not.
fn script() -> Vec<Line> {
    let mut state = 1_u64;
    let mut random = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let names = ["Zoë", "東京", "Ἀθῆναι", "🚀🌍", "plain", "naïve", "Übergröße", "Привет"];
    let (mut text, mut binary) = (String::new(), Vec::new());
    while text.len() < 75 << 10 {
        let (id, name, other) = (random(1 << 30), names[random(8) as usize], names[random(8) as usize]);
        let record = format!(r#"{{"id":{id},"name":"{name}","tags":["{other}","{name}"],"price":{}.5}}"#, random(100));
        binary.extend_from_slice(record.as_bytes());
        binary.extend((0..8).map(|_| random(256) as u8));
        text.push_str(&record);
    }
    let text = |from: usize, count: usize| {
        let boundary = |at: usize| (at..).find(|at| text.is_char_boundary(*at)).unwrap();
        (Kind::Text, text.as_bytes()[boundary(from)..boundary(from + count)].to_vec())
    };
    let binary = |from: usize, count: usize| (Kind::Binary, binary[from..from + count].to_vec());
    let whole = |(kind, content), compress| Line { kind, content, compress, parts: None };
    let parts = |(kind, content), last| Line { kind, content, compress: Compress::Auto, parts: Some(last) };
    vec![
        // Twice the same, so near that it lies in any window.
        whole(text(0, 120), Compress::Always),
        whole(text(0, 120), Compress::Always),
        whole(text(60, 300), Compress::Auto),
        whole(text(0, 0), Compress::Always),
        whole(binary(0, 0), Compress::Auto),
        parts(binary(0, 1 << 10), Last::Full),
        whole(text(1, 1), Compress::Always),
        whole(binary(1, 1), Compress::Auto),
        parts(text(200, 70 << 10), Last::Empty),
        whole(binary(500, 70 << 10), Compress::Auto),
        whole(text(60, 300), Compress::Never),
        parts(text(0, 0), Last::Empty),
        parts(text(60, 300), Last::Full),
        whole(binary(70 << 10, 300), Compress::Auto),
        whole(text(0, 1 << 10), Compress::Auto),
    ]
}

impl Line {
    fn is_compressed(&self) -> bool {
        match self.compress {
            Compress::Always => true,
            Compress::Never => false,
            Compress::Auto => self.parts.is_some() || self.content.len() >= THRESHOLD,
        }
    }

    fn say(&self, tx: &mut Sender) {
        let message = |content| match self.kind {
            Kind::Text => Message::Text(str::from_utf8(content).unwrap()),
            Kind::Binary => Message::Binary(content),
        };
        let Some(last) = self.parts else {
            return tx.send_with(message(&self.content), self.compress).unwrap();
        };
        let half = (self.content.len() / 2..).find(|at| is_boundary(&self.content, *at)).unwrap();
        tx.begin(self.kind, self.compress).unwrap();
        tx.append(message(&self.content[..half])).unwrap();
        tx.ping(b"in between").unwrap();
        match last {
            Last::Full => tx.finish_with(message(&self.content[half..])).unwrap(),
            Last::Empty => {
                tx.append(message(&self.content[half..])).unwrap();
                tx.finish().unwrap();
            }
        }
    }
}

fn is_boundary(content: &[u8], at: usize) -> bool {
    content.get(at).is_none_or(|byte| byte & 0xC0 != 0x80)
}

// --- what was on the wire ---------------------------------------------------------------

/// A message as it was seen: how its first frame began, how many there were, and the bytes in them.
#[derive(Debug)]
struct Seen {
    rsv1: bool,
    opcode: u8,
    frames: usize,
    bytes: usize,
}

/// The head, and the messages behind it.
fn parse(wire: &[u8]) -> (String, Vec<Seen>) {
    let end = wire.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let (mut at, mut seen) = (end, Vec::<Seen>::new());
    while at < wire.len() {
        let (first, length) = (wire[at], wire[at + 1] & 127);
        let (count, behind) = match length {
            126 => (u64::from(u16::from_be_bytes([wire[at + 2], wire[at + 3]])), 4),
            127 => (u64::from_be_bytes(*wire[at + 2..].first_chunk().unwrap()), 10),
            length => (length.into(), 2),
        };
        let (rsv1, opcode, bytes) = (first & 0x40 != 0, first & 15, usize::try_from(count).unwrap());
        match opcode {
            0 => {
                assert!(!rsv1, "a continuation has RSV1");
                let message = seen.last_mut().unwrap();
                message.frames += 1;
                message.bytes += bytes;
            }
            8.. => assert!(!rsv1, "a control frame has RSV1"),
            _ => seen.push(Seen { rsv1, opcode, frames: 1, bytes }),
        }
        at += behind + bytes + if wire[at + 1] & 128 != 0 { 4 } else { 0 };
    }
    assert_eq!(at, wire.len());
    (String::from_utf8(wire[..end].to_vec()).unwrap(), seen)
}

/// What a response says was agreed on.
fn response(head: &str) -> Option<DeflateParameters> {
    let line = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-extensions").then_some(value)
    })?;
    let mut terms = line.split(';').map(str::trim);
    assert_eq!(terms.next(), Some("permessage-deflate"));
    let mut parameters = DeflateParameters::default();
    for term in terms {
        let (name, value) = term.split_once('=').unwrap_or((term, ""));
        let bits = || window(Some(value.parse().unwrap()));
        match name {
            "server_no_context_takeover" => parameters.server_no_context_takeover = true,
            "client_no_context_takeover" => parameters.client_no_context_takeover = true,
            "server_max_window_bits" => parameters.server_max_window_bits = bits(),
            "client_max_window_bits" => parameters.client_max_window_bits = bits(),
            _ => panic!("{line}"),
        }
    }
    Some(parameters)
}

/// Whether the messages in one direction are those of the script, and as small as the agreement lets them be.
fn check(
    seen: &[Seen],
    script: &[Line],
    fragmented: impl Iterator<Item = bool>,
    agreed: Option<(bool, WindowBits)>,
    is_compressed: impl Fn(&Line) -> bool,
    context: &str,
) {
    // We say "bye" at last, if it is for the peer to close.
    assert!(seen.len() - script.len() <= 1, "{context}: {seen:?}");
    for ((seen, line), fragmented) in seen.iter().zip(script).zip(fragmented) {
        assert_eq!(seen.opcode, if line.kind == Kind::Text { 1 } else { 2 }, "{context}: {seen:?}");
        assert_eq!(seen.rsv1, agreed.is_some() && is_compressed(line), "{context}: {seen:?}");
        assert_eq!(seen.frames > 1, fragmented, "{context}: {seen:?}");
        let length = line.content.len();
        match seen.rsv1 {
            true if length >= 300 => assert!(seen.bytes < length * 9 / 10, "{context}: {seen:?} of {length} bytes"),
            true => {}
            false => assert_eq!(seen.bytes, length, "{context}: {seen:?}"),
        }
    }
    let [first, again] = [seen[0].bytes, seen[1].bytes];
    match agreed {
        Some((true, _)) => assert!(again < first / 4, "{context}: the window is kept: {first} bytes, then {again}"),
        _ => assert_eq!(again, first, "{context}: the window is not kept"),
    }
}

// --- our side ---------------------------------------------------------------------------

/// A connection of ours, and all that was on its wire.
struct Link {
    engine: Engine,
    stream: TcpStream,
    clock: Clock,
    buffer: Vec<u8>,
    heard: VecDeque<Heard>,
    sent: Vec<u8>,
    received: Vec<u8>,
    id: Option<SessionId>,
}

#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
enum Engine {
    Server(Server),
    Client(Client),
}

#[derive(Debug, PartialEq)]
enum Heard {
    Open(Option<DeflateParameters>),
    Refused(u16),
    BadResponse(ResponseError),
    Message(Kind, Vec<u8>),
    Pong(Vec<u8>),
    Failed(Error),
    Closed(Closed),
}

impl Link {
    fn new(engine: Engine, stream: TcpStream, clock: Clock) -> Link {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Link {
            engine,
            stream,
            clock,
            buffer: vec![0; 16 << 10],
            heard: VecDeque::new(),
            sent: Vec::new(),
            received: Vec::new(),
            id: None,
        }
    }

    /// Says each line of the script, hears it again, and closes in good order.
    fn converse(&mut self, script: &[Line], context: &Case) {
        for (index, line) in script.iter().enumerate() {
            line.say(self.tx());
            if line.parts.is_some() {
                assert_eq!(self.next(), Heard::Pong(b"in between".to_vec()), "{context:?}, line {index}");
            }
            let heard = self.next();
            let is_same =
                matches!(&heard, Heard::Message(kind, content) if (*kind, content) == (line.kind, &line.content));
            assert!(is_same, "{context:?}, line {index}: {:.300}", format!("{heard:?}"));
        }
        match context.role {
            Role::Server => self.tx().send(Message::Text("bye")).unwrap(),
            Role::Client => self.tx().close(Close::With(CloseCode::NORMAL, Reason::EMPTY)),
        }
        match self.next() {
            Heard::Closed(Closed { code: Some(CloseCode::NORMAL), clean: true, .. }) => {}
            heard => panic!("{context:?}: {heard:?}"),
        }
        self.flush();
        while !self.engine.is_closed() {
            self.read();
        }
        _ = self.stream.shutdown(Shutdown::Both);
    }

    fn next(&mut self) -> Heard {
        loop {
            self.flush();
            match self.heard.pop_front() {
                Some(heard) => return heard,
                None => self.read(),
            }
        }
    }

    fn read(&mut self) {
        let count = self.stream.read(&mut self.buffer).expect("the peer says something in time");
        let now = self.clock.now();
        if count == 0 {
            self.engine.receive_eof(now);
        }
        self.received.extend_from_slice(&self.buffer[..count]);
        let mut input = &mut self.buffer[..count];
        while let Some((id, heard)) = self.engine.receive(&mut input, now) {
            self.id = Some(id);
            self.heard.extend(heard);
        }
    }

    fn flush(&mut self) {
        let before = self.sent.len();
        self.engine.take(&mut self.sent, self.clock.now());
        self.stream.write_all(&self.sent[before..]).unwrap();
        if self.engine.transport() == Transport::ShutdownWrite {
            // A peer that has hung up already has no need of it.
            _ = self.stream.shutdown(Shutdown::Write);
        }
    }

    fn tx(&mut self) -> &mut Sender {
        let (id, now) = (self.id.unwrap(), self.clock.now());
        match &mut self.engine {
            Engine::Server(server) => server.tx(id, now),
            Engine::Client(client) => client.tx(id, now),
        }
        .unwrap()
    }
}

impl Engine {
    fn receive(&mut self, input: &mut &mut [u8], now: sockless::Instant) -> Option<(SessionId, Option<Heard>)> {
        Some(match self {
            Engine::Server(server) => match server.receive(input, now)? {
                ServerEvent::Offer(offer) => {
                    let agreed = offer.answer(&Accept::new()).1.deflate();
                    (offer.accept(Accept::new()), Some(Heard::Open(agreed)))
                }
                ServerEvent::Session(id, incoming) => (id, Heard::of(incoming.event)),
                other => panic!("{other:?}"),
            },
            Engine::Client(client) => match client.receive(input, now)? {
                ClientEvent::Open(opened) => {
                    assert_eq!(opened.tx.deflate(), opened.agreed.deflate());
                    (opened.id, Some(Heard::Open(opened.agreed.deflate())))
                }
                ClientEvent::Session(id, incoming) => (id, Heard::of(incoming.event)),
                ClientEvent::Refused(id, response) => (id, Some(Heard::Refused(response.status()))),
                ClientEvent::Failed(id, error) => (id, Some(Heard::BadResponse(error))),
                ClientEvent::Body(id, _) | ClientEvent::Closed(id, _) => (id, None),
                other => panic!("{other:?}"),
            },
        })
    }

    fn receive_eof(&mut self, now: sockless::Instant) {
        match self {
            Engine::Server(server) => server.receive_eof(now),
            Engine::Client(client) => client.receive_eof(now),
        }
    }

    fn take(&mut self, out: &mut Vec<u8>, now: sockless::Instant) {
        match self {
            Engine::Server(server) => server.take(out, now),
            Engine::Client(client) => client.take(out, now),
        }
    }

    fn transport(&self) -> Transport {
        match self {
            Engine::Server(server) => server.transport(),
            Engine::Client(client) => client.transport(),
        }
    }

    fn is_closed(&self) -> bool {
        match self {
            Engine::Server(server) => server.is_closed(),
            Engine::Client(client) => client.is_closed(),
        }
    }
}

impl Heard {
    fn of(event: Event<'_>) -> Option<Heard> {
        match event {
            Event::Message(message) => Some(Heard::Message(message.kind(), message.as_bytes().to_vec())),
            Event::Pong(payload) => Some(Heard::Pong(payload.to_vec())),
            Event::Failed(error) => Some(Heard::Failed(error)),
            Event::Closed(closed) => Some(Heard::Closed(closed)),
            _ => None,
        }
    }
}

// --- the peer ---------------------------------------------------------------------------

/// A program that is told URLs to connect to, and tells where it listens and how each connection ended.
struct Peer {
    child: Child,
    lines: mpsc::Receiver<String>,
    port: u16,
}

impl Peer {
    fn start(mut command: Command) -> Peer {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the peer starts");
        let output = BufReader::new(child.stdout.take().unwrap());
        let (teller, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| teller.send(line)));
        let mut peer = Peer { child, lines, port: 0 };
        peer.port = peer.line().parse().unwrap();
        peer
    }

    fn tell(&mut self, url: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{url}").unwrap();
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the peer tells what came of it")
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
