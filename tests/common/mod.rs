//! What does a conversation with the engine look like, and does it stay the same however its bytes are cut?
//!
//! A test is a transcript: bytes in, events and bytes out, on a time of its own. It is written once, as a closure over
//! a [`Way`], and run in every one: in the role of server and of client, with messages delivered whole and in chunks,
//! with the input in one piece, cut in two at every byte, and in pieces of 1, 2, 3 and 5 bytes, with the output drained
//! where the test looks at it, and after every read. What the test says holds in each of them, and the harness holds
//! the logs of all runs against the first one besides: the same events, chunks that stand side by side joined, and the
//! same bytes.
//!
//! One thing may differ, and no more. Chunks are handed out as they arrive, and a read that holds a byte that is not
//! UTF-8 hands out nothing of its own. So of such a text one log holds a prefix of what the other does. Of whole messages
//! nothing comes before the fault.
//!
//! Frames are written and read here by a naive coder of its own: the engine is not asked to make its own input, nor to
//! judge its own output.

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sockless::{
    Accept, Agreed, Cause, Chunk, Client, ClientEvent, Closed, Config, Connect, Delivery, Entropy, Error, Event,
    Incoming, Instant, Kind, Message, NoEntropy, Offer, PlainRequest, RequestError, ResponseError, Sender, Server,
    ServerEvent, SessionId, Timer, Transport, WebSocket,
};

// The ways in which a conversation is run.

/// Which side of the conversation the engine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

/// Where the input is cut. All that is fed in a run counts as one stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    Nowhere,
    At(usize),
    /// In pieces of so many bytes.
    Every(usize),
}

/// When the output is drained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drain {
    /// When the test looks at it.
    WhenAsked,
    EachRead,
}

/// One way of running a conversation.
pub(crate) struct Way {
    pub(crate) role: Role,
    pub(crate) delivery: Delivery,
    cut: Cut,
    drain: Drain,
    log: Rc<RefCell<Log>>,
}

/// What was fed, and what came of it.
#[derive(Debug, Default)]
struct Log {
    fed: usize,
    events: Vec<Seen>,
    output: Vec<u8>,
}

/// A conversation of more bytes than this is cut near its beginning and its end and at a few places between, and its
/// pieces are larger: its length is what it is about.
const LONG: usize = 1000;

/// Runs a conversation in both roles and every other way.
#[track_caller]
pub(crate) fn in_every_way(conversation: impl Fn(&Way)) {
    in_role(Role::Server, &conversation);
    in_role(Role::Client, &conversation);
}

/// Runs a conversation of a server in every way.
#[track_caller]
pub(crate) fn as_server(conversation: impl Fn(&Way)) {
    in_role(Role::Server, conversation);
}

/// Runs a conversation of a client in every way.
#[track_caller]
pub(crate) fn as_client(conversation: impl Fn(&Way)) {
    in_role(Role::Client, conversation);
}

/// Runs a conversation in every way that is over before a message could come, so that its delivery makes no difference.
#[track_caller]
pub(crate) fn in_handshake(role: Role, conversation: impl Fn(&Way)) {
    in_every_cut(role, Delivery::Messages, &conversation);
}

#[track_caller]
pub(crate) fn in_role(role: Role, conversation: impl Fn(&Way)) {
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        in_every_cut(role, delivery, &conversation);
    }
}

#[track_caller]
fn in_every_cut(role: Role, delivery: Delivery, conversation: &impl Fn(&Way)) {
    let run = |cut, drain| {
        let way = Way { role, delivery, cut, drain, log: Rc::default() };
        conversation(&way);
        way
    };
    let whole = run(Cut::Nowhere, Drain::WhenAsked);
    let fed = whole.log.borrow().fed;
    let (step, pieces) = if fed <= LONG { (1, [1, 2, 3, 5]) } else { (fed / 16, [61, 64, 1009, 4099]) };
    let cuts = (1..fed).filter(|at| at % step == 0 || *at < 20 || fed - at < 20).map(Cut::At);
    let cuts: Vec<Cut> = cuts.chain(pieces.map(Cut::Every)).collect();
    for cut in &cuts {
        whole.is_told_again_by(&run(*cut, Drain::WhenAsked));
    }
    for cut in cuts.iter().chain([&Cut::Nowhere]) {
        whole.is_told_again_by(&run(*cut, Drain::EachRead));
    }
}

/// In both roles, both deliveries, uncut and undrained: for what is about calls, not about input.
#[track_caller]
pub(crate) fn in_both_roles(conversation: impl Fn(&Way)) {
    for role in [Role::Server, Role::Client] {
        for delivery in [Delivery::Messages, Delivery::Chunks] {
            conversation(&Way { role, delivery, cut: Cut::Nowhere, drain: Drain::WhenAsked, log: Rc::default() });
        }
    }
}

impl Way {
    /// A WebSocket behind its opening handshake.
    pub(crate) fn session(&self) -> Session<'_, WebSocket> {
        self.session_with(Config::default())
    }

    pub(crate) fn session_with(&self, config: Config) -> Session<'_, WebSocket> {
        self.drive(bare_session(self.role, Config { delivery: self.delivery, ..config }))
    }

    /// A server before its opening handshake, which accepts what it is offered and answers 404 to all else.
    pub(crate) fn server(&self) -> Session<'_, Server> {
        self.server_with(Config::default())
    }

    pub(crate) fn server_with(&self, config: Config) -> Session<'_, Server> {
        self.drive(Server::new(Arc::new(Config { delivery: self.delivery, ..config }), START))
    }

    /// A client whose request is written, with the nonce that `Counter` gives it.
    pub(crate) fn client(&self, connect: &Connect) -> Session<'_, Client> {
        self.client_with(Config::default(), connect)
    }

    pub(crate) fn client_with(&self, config: Config, connect: &Connect) -> Session<'_, Client> {
        let config = Arc::new(Config { delivery: self.delivery, ..config });
        let mut client = Client::new(config, Counter(0), START).unwrap();
        client.open(connect, START).unwrap();
        client.take(&mut Vec::new(), START);
        self.drive(client)
    }

    fn drive<E: Engine>(&self, engine: E) -> Session<'_, E> {
        Session { engine, now: START, way: self, recorder: Recorder::default(), output: Vec::new() }
    }

    /// Cuts what is fed next.
    fn pieces(&self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut log = self.log.borrow_mut();
        let begin = log.fed;
        log.fed += bytes.len();
        match self.cut {
            Cut::Every(size) if !bytes.is_empty() => bytes.chunks(size).map(<[u8]>::to_vec).collect(),
            Cut::At(at) if begin < at && at < log.fed => {
                let (before, behind) = bytes.split_at(at - begin);
                vec![before.to_vec(), behind.to_vec()]
            }
            _ => vec![bytes.to_vec()],
        }
    }

    #[track_caller]
    fn is_told_again_by(&self, other: &Way) {
        let (ours, theirs) = (self.log.borrow(), other.log.borrow());
        let (mut our_events, mut their_events) = (joined(&ours.events), joined(&theirs.events));
        forget_what_was_not_utf8(&mut our_events, &mut their_events);
        assert_eq!(our_events, their_events, "the events differ, {other:?}");
        let (ours, theirs) = (ours.output.escape_ascii().to_string(), theirs.output.escape_ascii().to_string());
        assert_eq!(ours, theirs, "the output differs, {other:?}");
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}, {:?}, cut {:?}, drained {:?}", self.role, self.delivery, self.cut, self.drain)
    }
}

/// Chunks and pieces of a body that stand side by side are one.
fn joined(events: &[Seen]) -> Vec<Seen> {
    let mut joined: Vec<Seen> = Vec::new();
    for event in events {
        match (joined.last_mut(), event) {
            (
                Some(Seen::Chunk { data, last: last @ false, .. }),
                Seen::Chunk { data: more, first: false, last: is_last, .. },
            ) => {
                data.extend_from_slice(more);
                *last = *is_last;
            }
            (Some(Seen::Body(body)), Seen::Body(more)) => body.extend_from_slice(more),
            _ => joined.push(event.clone()),
        }
    }
    joined
}

/// Takes the chunks of a text out that proves not to be UTF-8, if one log holds more of it than the other.
fn forget_what_was_not_utf8(ours: &mut Vec<Seen>, theirs: &mut Vec<Seen>) {
    let end = |log: &[Seen]| log.iter().position(|event| *event == Seen::Failed(Error::InvalidUtf8));
    let before =
        |log: &[Seen]| end(log)?.checked_sub(1).filter(|at| matches!(log[*at], Seen::Chunk { last: false, .. }));
    let take = |log: &mut Vec<Seen>| match before(log).map(|at| log.remove(at)) {
        Some(Seen::Chunk { data, .. }) => data,
        _ => Vec::new(),
    };
    if ours != theirs && end(ours).is_some() {
        let (ours, theirs) = (take(ours), take(theirs));
        assert!(ours.starts_with(&theirs) || theirs.starts_with(&ours), "{ours:?} and {theirs:?}");
    }
}

// A session that is driven.

/// When every conversation begins.
pub(crate) const START: Instant = Instant::from_nanos(1_000_000_000);

/// An engine at work in one [`Way`], and what came of it.
pub(crate) struct Session<'w, E: Engine> {
    pub(crate) engine: E,
    pub(crate) now: Instant,
    way: &'w Way,
    recorder: Recorder,
    output: Vec<u8>,
}

impl<E: Engine> Session<'_, E> {
    /// Feeds bytes from the peer, cut as the way says; all of them are taken, and these events come of it.
    #[track_caller]
    pub(crate) fn receives(&mut self, input: impl Wire, expected: &[Seen]) {
        self.hears(input);
        self.saw(expected);
    }

    /// The transport ends.
    #[track_caller]
    pub(crate) fn eof(&mut self, expected: &[Seen]) {
        self.hears_eof();
        self.saw(expected);
    }

    /// The transport breaks off.
    #[track_caller]
    pub(crate) fn reset(&mut self, expected: &[Seen]) {
        self.hears_reset();
        self.saw(expected);
    }

    /// Time passes, and the engine is woken whenever it asked to be.
    #[track_caller]
    pub(crate) fn waits(&mut self, time: Duration, expected: &[Seen]) {
        self.lets_pass(time);
        self.saw(expected);
    }

    /// Asks for the events that no byte caused.
    #[track_caller]
    pub(crate) fn looks(&mut self, expected: &[Seen]) {
        self.feed(&mut []);
        self.saw(expected);
    }

    /// As `receives`, whatever comes of it.
    #[track_caller]
    pub(crate) fn hears(&mut self, input: impl Wire) {
        for mut piece in self.way.pieces(&input.wire(self.way.role)) {
            self.feed(&mut piece);
            if self.way.drain == Drain::EachRead {
                self.drain();
            }
        }
    }

    /// As `eof`, whatever comes of it.
    #[track_caller]
    pub(crate) fn hears_eof(&mut self) {
        self.engine.receive_eof(self.now);
        self.feed(&mut []);
    }

    /// As `reset`, whatever comes of it.
    #[track_caller]
    pub(crate) fn hears_reset(&mut self) {
        self.engine.receive_reset(self.now);
        self.feed(&mut []);
    }

    /// As `waits`, whatever comes of it.
    #[track_caller]
    pub(crate) fn lets_pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some((deadline, _)) = self.engine.poll_timeout().filter(|(deadline, _)| *deadline <= end) {
            self.now = deadline.max(self.now);
            self.engine.handle_timeout(self.now);
            self.feed(&mut []);
        }
        self.now = end;
    }

    /// The last of what it saw was this.
    #[track_caller]
    fn ends_with(&mut self, expected: &[Seen]) {
        let seen = std::mem::take(&mut self.recorder.seen);
        assert!(seen.ends_with(expected), "seen {seen:?} and not {expected:?}, {:?}", self.way);
    }

    /// How often, and how, the session was said to be over since the test last looked.
    pub(crate) fn endings(&mut self) -> Vec<Closed> {
        let seen = std::mem::take(&mut self.recorder.seen);
        seen.into_iter().filter_map(|seen| if let Seen::Closed(closed) = seen { Some(closed) } else { None }).collect()
    }

    /// The transport takes all there is, and it is these frames. A server's frames are compared byte by byte; a
    /// client's must all be masked, and are the same once they are unmasked.
    #[track_caller]
    pub(crate) fn sends(&mut self, expected: &[Frame]) {
        let sent = self.take_output();
        let frames = Output::of(&sent);
        assert!(frames.head.is_empty(), "a head where frames were expected, {:?}", self.way);
        let masked = frames.frames.iter().all(|(_, key)| key.is_some() == (self.way.role == Role::Client));
        assert!(masked, "a client masks every frame, a server none: {frames:?}, {:?}", self.way);
        let expected =
            Output { head: Vec::new(), frames: expected.iter().map(|frame| (frame.clone(), None)).collect() };
        assert_eq!(frames.unmasked(), expected.unmasked(), "sent, {:?}", self.way);
        // In their shortest form: written again, they are the same bytes.
        let again: Vec<u8> = frames.frames.iter().flat_map(|(frame, key)| frame.encode(*key)).collect();
        assert_eq!(sent, again, "the form of the frames sent, {:?}", self.way);
    }

    /// The transport takes all there is, and it is exactly this.
    #[track_caller]
    pub(crate) fn sends_bytes(&mut self, expected: impl AsRef<[u8]>) {
        let sent = self.take_output();
        let (sent, expected) = (String::from_utf8_lossy(&sent), String::from_utf8_lossy(expected.as_ref()));
        assert_eq!(sent, expected, "sent, {:?}", self.way);
    }

    #[track_caller]
    pub(crate) fn sends_nothing(&mut self) {
        assert_eq!(self.take_output(), [], "sent, {:?}", self.way);
    }

    /// What the transport takes next.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        self.drain();
        std::mem::take(&mut self.output)
    }

    /// What is to be done with the transport, and whether it may be dropped.
    #[track_caller]
    pub(crate) fn stands(&self, transport: Transport, is_closed: bool) {
        let stands = (self.engine.transport(), self.engine.is_closed());
        assert_eq!(stands, (transport, is_closed), "transport, and is_closed, {:?}", self.way);
    }

    /// Calls this with every event and the send half that came with it; a message in chunks counts when it is complete.
    pub(crate) fn reacts(&mut self, react: impl FnMut(&Seen, &mut Sender) + 'static) {
        self.recorder.react = Box::new(react);
    }

    /// Decides on offers with this.
    pub(crate) fn decides(&mut self, decide: impl FnMut(Offer<'_>) + 'static) {
        self.recorder.decide = Box::new(decide);
    }

    /// Answers requests for something else with this.
    pub(crate) fn responds(&mut self, respond: impl FnMut(PlainRequest<'_>) + 'static) {
        self.recorder.respond = Box::new(respond);
    }

    #[track_caller]
    fn feed(&mut self, piece: &mut [u8]) {
        let mut input = piece;
        while self.engine.receive(&mut input, self.now, &mut self.recorder) {}
        assert!(input.is_empty(), "{} bytes were left for the next time, {:?}", input.len(), self.way);
        // An integrator may hang up when this says so; until then the application has not heard everything.
        if self.engine.is_closed() && self.engine.has_session(self.recorder.id, self.now) {
            assert!(self.recorder.closed, "is_closed before the last event, {:?}", self.way);
        }
    }

    fn drain(&mut self) {
        let mut taken = Vec::new();
        let has_output = self.engine.has_output();
        self.engine.take(&mut taken, self.now);
        assert_eq!((has_output, self.engine.has_output()), (!taken.is_empty(), false), "has_output, {:?}", self.way);
        self.way.log.borrow_mut().output.extend_from_slice(&taken);
        self.output.extend_from_slice(&taken);
    }

    #[track_caller]
    fn saw(&mut self, expected: &[Seen]) {
        let seen = joined(&std::mem::take(&mut self.recorder.seen));
        self.way.log.borrow_mut().events.append(&mut self.recorder.raw);
        assert_eq!(seen, expected, "seen, {:?}", self.way);
    }
}

impl<E: Engine> Drop for Session<'_, E> {
    /// What no test looked at is in the log all the same.
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.drain();
        self.way.log.borrow_mut().events.append(&mut self.recorder.raw);
    }
}

impl Session<'_, WebSocket> {
    pub(crate) fn tx(&mut self) -> &mut Sender {
        self.engine.tx(self.now)
    }
}

impl Session<'_, Server> {
    pub(crate) fn id(&self) -> SessionId {
        self.recorder.id.unwrap()
    }

    pub(crate) fn tx(&mut self) -> &mut Sender {
        self.engine.tx(self.recorder.id.unwrap(), self.now).unwrap()
    }

    /// A deferred offer, once more.
    pub(crate) fn offer(&mut self) -> Option<Offer<'_>> {
        self.engine.offer(self.recorder.id.unwrap(), self.now)
    }

    /// A deferred request, once more.
    pub(crate) fn request(&mut self) -> Option<PlainRequest<'_>> {
        self.engine.request(self.recorder.id.unwrap(), self.now)
    }
}

impl Session<'_, Client> {
    pub(crate) fn tx(&mut self) -> &mut Sender {
        self.engine.tx(self.recorder.id.unwrap(), self.now).unwrap()
    }
}

/// What the three engines have in common.
pub(crate) trait Engine {
    /// Whether there was an event, which the recorder now has.
    fn receive(&mut self, input: &mut &mut [u8], now: Instant, recorder: &mut Recorder) -> bool;
    fn receive_eof(&mut self, now: Instant);
    fn receive_reset(&mut self, now: Instant);
    fn has_output(&self) -> bool;
    fn take(&mut self, out: &mut Vec<u8>, now: Instant);
    fn poll_timeout(&self) -> Option<(Instant, Timer)>;
    fn handle_timeout(&mut self, now: Instant);
    fn transport(&self) -> Transport;
    fn is_closed(&self) -> bool;
    /// Whether there is, or was, a session that owes a `Closed`.
    fn has_session(&mut self, id: Option<SessionId>, now: Instant) -> bool;
}

macro_rules! engine {
    ($engine:ident, |$event:ident, $recorder:ident| $record:expr, |$this:ident, $id:ident, $now:ident| $has:expr) => {
        impl Engine for $engine {
            fn receive(&mut self, input: &mut &mut [u8], now: Instant, $recorder: &mut Recorder) -> bool {
                $engine::receive(self, input, now).map(|$event| $record).is_some()
            }

            fn receive_eof(&mut self, now: Instant) {
                $engine::receive_eof(self, now);
            }

            fn receive_reset(&mut self, now: Instant) {
                $engine::receive_reset(self, now);
            }

            fn has_output(&self) -> bool {
                $engine::has_output(self)
            }

            fn take(&mut self, out: &mut Vec<u8>, now: Instant) {
                $engine::take(self, out, now);
            }

            fn poll_timeout(&self) -> Option<(Instant, Timer)> {
                $engine::poll_timeout(self)
            }

            fn handle_timeout(&mut self, now: Instant) {
                $engine::handle_timeout(self, now);
            }

            fn transport(&self) -> Transport {
                $engine::transport(self)
            }

            fn is_closed(&self) -> bool {
                $engine::is_closed(self)
            }

            fn has_session(&mut self, $id: Option<SessionId>, $now: Instant) -> bool {
                let $this = self;
                $has
            }
        }
    };
}

engine!(WebSocket, |incoming, recorder| recorder.session(incoming), |_this, _id, _now| true);
engine!(Server, |event, recorder| recorder.server(event), |this, id, now| id
    .is_some_and(|id| this.tx(id, now).is_some()));
engine!(Client, |event, recorder| recorder.client(event), |_this, _id, _now| true);

// What is recorded.

/// An event, kept.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Text(String),
    Binary(Vec<u8>),
    /// Only in the log: what a test is told of is the whole message.
    Chunk {
        kind: Kind,
        data: Vec<u8>,
        first: bool,
        last: bool,
    },
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closing(Option<u16>, String),
    Failed(Error),
    Closed(Closed),
    /// A server was asked for a WebSocket, at this target.
    Offer(String),
    /// A server was asked for something else: method and target.
    Request(String, String),
    Refused(RequestError),
    /// A client's WebSocket is open, with this subprotocol.
    Open(Option<String>),
    /// A client was answered with this status.
    Rejected(u16),
    Body(Vec<u8>),
    BadResponse(ResponseError),
}

impl Seen {
    pub(crate) fn of(event: Event<'_>) -> Seen {
        match event {
            Event::Message(Message::Text(text)) => Seen::text(text),
            Event::Message(Message::Binary(bytes)) => Seen::binary(bytes),
            Event::Chunk(Chunk { data, first, last }) => {
                Seen::Chunk { kind: data.kind(), data: data.as_bytes().to_vec(), first, last }
            }
            Event::Ping(payload) => Seen::ping(payload),
            Event::Pong(payload) => Seen::pong(payload),
            Event::Closing { code, reason } => Seen::Closing(code.map(|code| code.get()), reason.into()),
            Event::Failed(error) => Seen::Failed(error),
            Event::Closed(closed) => Seen::Closed(closed),
            other => panic!("an event that is not known here: {other:?}"),
        }
    }

    pub(crate) fn text(text: &str) -> Seen {
        Seen::Text(text.into())
    }

    pub(crate) fn binary(bytes: impl AsRef<[u8]>) -> Seen {
        Seen::Binary(bytes.as_ref().to_vec())
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Seen {
        Seen::Ping(payload.as_ref().to_vec())
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Seen {
        Seen::Pong(payload.as_ref().to_vec())
    }

    pub(crate) fn closing(code: u16, reason: &str) -> Seen {
        Seen::Closing(Some(code), reason.into())
    }

    pub(crate) fn closing_empty() -> Seen {
        Seen::Closing(None, String::new())
    }

    /// The end of a session whose peer sent this code.
    pub(crate) fn clean(code: u16, cause: Cause) -> Seen {
        Seen::Closed(Closed { code: sockless::CloseCode::new(code), clean: true, cause })
    }

    /// The end of a session whose peer sent a Close without a code.
    pub(crate) fn clean_empty(cause: Cause) -> Seen {
        Seen::Closed(Closed { code: None, clean: true, cause })
    }

    /// The end of a session whose peer sent no Close.
    pub(crate) fn unclean(cause: Cause) -> Seen {
        Seen::Closed(Closed { code: None, clean: false, cause })
    }

    /// A failure, and the end that follows it.
    pub(crate) fn failure(error: Error) -> [Seen; 2] {
        [Seen::Failed(error), Seen::unclean(Cause::Fault)]
    }

    pub(crate) fn offer(target: &str) -> Seen {
        Seen::Offer(target.into())
    }

    pub(crate) fn request(method: &str, target: &str) -> Seen {
        Seen::Request(method.into(), target.into())
    }

    pub(crate) fn open(subprotocol: Option<&str>) -> Seen {
        Seen::Open(subprotocol.map(str::to_owned))
    }

    pub(crate) fn body(body: impl AsRef<[u8]>) -> Seen {
        Seen::Body(body.as_ref().to_vec())
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Seen::Text(text) => write!(f, "Text({})", Bytes(text.as_bytes())),
            Seen::Binary(bytes) => write!(f, "Binary({})", Bytes(bytes)),
            Seen::Chunk { kind, data, first, last } => {
                write!(f, "Chunk({kind:?} {} first: {first}, last: {last})", Bytes(data))
            }
            Seen::Ping(payload) => write!(f, "Ping({})", Bytes(payload)),
            Seen::Pong(payload) => write!(f, "Pong({})", Bytes(payload)),
            Seen::Closing(code, reason) => write!(f, "Closing({code:?}, {reason:?})"),
            Seen::Failed(error) => write!(f, "Failed({error:?})"),
            Seen::Closed(closed) => write!(f, "{closed:?}"),
            Seen::Offer(target) => write!(f, "Offer({target:?})"),
            Seen::Request(method, target) => write!(f, "Request({method} {target:?})"),
            Seen::Refused(error) => write!(f, "Refused({error:?})"),
            Seen::Open(subprotocol) => write!(f, "Open({subprotocol:?})"),
            Seen::Rejected(status) => write!(f, "Rejected({status})"),
            Seen::Body(body) => write!(f, "Body({})", Bytes(body)),
            Seen::BadResponse(error) => write!(f, "BadResponse({error:?})"),
        }
    }
}

/// Bytes as a failing test shows them: the text if it is some, and never too many.
struct Bytes<'a>(&'a [u8]);

impl fmt::Display for Bytes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.0.get(..100).unwrap_or(self.0).escape_ascii())?;
        if self.0.len() > 100 { write!(f, "... {} bytes", self.0.len()) } else { Ok(()) }
    }
}

/// Keeps events, and is the application that reacts to them.
pub(crate) struct Recorder {
    /// Events since the test last looked; messages in chunks are whole.
    seen: Vec<Seen>,
    /// Events as they came, for the log.
    raw: Vec<Seen>,
    /// The message whose chunks are coming in.
    message: Option<(Kind, Vec<u8>)>,
    id: Option<SessionId>,
    /// The session is over.
    closed: bool,
    react: React,
    decide: Decide,
    respond: Respond,
}

type React = Box<dyn FnMut(&Seen, &mut Sender)>;
type Decide = Box<dyn FnMut(Offer<'_>)>;
type Respond = Box<dyn FnMut(PlainRequest<'_>)>;

impl Default for Recorder {
    fn default() -> Recorder {
        Recorder {
            seen: Vec::new(),
            raw: Vec::new(),
            message: None,
            id: None,
            closed: false,
            react: Box::new(|_, _| {}),
            decide: Box::new(|offer| {
                offer.accept(Accept::new());
            }),
            respond: Box::new(|request| request.respond(&sockless::Response::new(404).unwrap())),
        }
    }
}

impl Recorder {
    fn push(&mut self, seen: Seen) {
        assert!(!self.closed, "{seen:?} after Closed");
        self.closed = matches!(seen, Seen::Closed(_));
        self.raw.push(seen.clone());
        self.seen.push(seen);
    }

    fn session(&mut self, Incoming { event, tx }: Incoming<'_>) {
        let seen = Seen::of(event);
        let Seen::Chunk { kind, data, first, last } = seen else {
            (self.react)(&seen, tx);
            return self.push(seen);
        };
        assert_eq!(self.message.is_none(), first, "a message begins with its first chunk, and only there");
        assert!(last || !data.is_empty(), "an empty chunk that is not the last");
        self.raw.push(Seen::Chunk { kind, data: data.clone(), first, last });
        let (begun, bytes) = self.message.get_or_insert((kind, Vec::new()));
        assert_eq!(*begun, kind, "chunks of a message are of one kind");
        bytes.extend(data);
        if last {
            let (_, bytes) = self.message.take().unwrap();
            let seen = match kind {
                Kind::Text => Seen::Text(String::from_utf8(bytes).unwrap()),
                Kind::Binary => Seen::Binary(bytes),
            };
            (self.react)(&seen, tx);
            self.seen.push(seen);
        }
    }

    fn server(&mut self, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Offer(offer) => {
                self.id = Some(offer.id());
                self.push(Seen::offer(offer.target()));
                (self.decide)(offer);
            }
            ServerEvent::Request(request) => {
                self.id = Some(request.id());
                self.push(Seen::request(request.method(), request.target()));
                (self.respond)(request);
            }
            ServerEvent::Refused(error) => self.push(Seen::Refused(error)),
            ServerEvent::Session(_, incoming) => self.session(incoming),
            ServerEvent::Closed(_, closed) => self.push(Seen::Closed(closed)),
            other => panic!("an event that is not known here: {other:?}"),
        }
    }

    fn client(&mut self, event: ClientEvent<'_>) {
        match event {
            ClientEvent::Open(opened) => {
                self.id = Some(opened.id);
                self.push(Seen::open(opened.agreed.subprotocol()));
            }
            ClientEvent::Session(_, incoming) => self.session(incoming),
            ClientEvent::Refused(_, head) => self.push(Seen::Rejected(head.status())),
            ClientEvent::Body(_, body) => {
                assert!(!body.is_empty(), "an empty piece of a body");
                self.push(Seen::body(body));
            }
            ClientEvent::Failed(_, error) => self.push(Seen::BadResponse(error)),
            ClientEvent::Closed(_, closed) => self.push(Seen::Closed(closed)),
            other => panic!("an event that is not known here: {other:?}"),
        }
    }
}

// Frames, written and read naively (RFC 6455 §5.2).

/// What a frame holds, whatever its bytes.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    fin: bool,
    rsv: u8,
    opcode: u8,
    payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn new(opcode: u8, payload: impl AsRef<[u8]>) -> Frame {
        Frame { fin: true, rsv: 0, opcode, payload: payload.as_ref().to_vec() }
    }

    pub(crate) fn continuation(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(0, payload)
    }

    pub(crate) fn text(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(1, payload)
    }

    pub(crate) fn binary(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(2, payload)
    }

    pub(crate) fn close(code: u16, reason: impl AsRef<[u8]>) -> Frame {
        Frame::new(8, [&code.to_be_bytes()[..], reason.as_ref()].concat())
    }

    pub(crate) fn close_empty() -> Frame {
        Frame::new(8, [])
    }

    pub(crate) fn ping(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(9, payload)
    }

    pub(crate) fn pong(payload: impl AsRef<[u8]>) -> Frame {
        Frame::new(10, payload)
    }

    /// Not the last of its message: FIN is 0.
    pub(crate) fn more(mut self) -> Frame {
        self.fin = false;
        self
    }

    /// With reserved bits, as the number that RSV1 to RSV3 write.
    pub(crate) fn rsv(mut self, bits: u8) -> Frame {
        self.rsv = bits;
        self
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    pub(crate) fn encode(&self, key: Option<[u8; 4]>) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.fin) * 128 + self.rsv * 16 + self.opcode];
        let mask = u8::from(key.is_some()) * 128;
        match self.payload.len() {
            length @ 0..126 => bytes.push(mask + length as u8),
            length @ 126..65536 => {
                bytes.push(mask + 126);
                bytes.extend((length as u16).to_be_bytes());
            }
            length => {
                bytes.push(mask + 127);
                bytes.extend((length as u64).to_be_bytes());
            }
        }
        bytes.extend(key.iter().flatten());
        let key = key.unwrap_or([0; 4]);
        bytes.extend(self.payload.iter().zip(0..).map(|(byte, at)| byte ^ key[at % 4]));
        bytes
    }

    /// As the peer of an engine in this role sends it.
    pub(crate) fn to(&self, role: Role) -> Vec<u8> {
        match role {
            Role::Server => self.encode(Some([0x37, 0xFA, 0x21, 0x3D])),
            Role::Client => self.encode(None),
        }
    }

    /// Reads the frame that `bytes` begins with, and takes it off them.
    pub(crate) fn decode(bytes: &mut &[u8]) -> (Frame, Option<[u8; 4]>) {
        let mut take = |count: usize| {
            assert!(bytes.len() >= count, "a frame is cut off");
            let (taken, rest) = bytes.split_at(count);
            *bytes = rest;
            taken
        };
        let (first, second) = (take(1)[0], take(1)[0]);
        let length = match second % 128 {
            126 => take(2).iter().fold(0, |length, byte| length * 256 + usize::from(*byte)),
            127 => take(8).iter().fold(0, |length, byte| length * 256 + usize::from(*byte)),
            length => usize::from(length),
        };
        let key: Option<[u8; 4]> = (second >= 128).then(|| take(4).try_into().unwrap());
        let pad = key.unwrap_or([0; 4]);
        let payload = take(length).iter().zip(0..).map(|(byte, at)| byte ^ pad[at % 4]).collect();
        (Frame { fin: first >= 128, rsv: first / 16 % 8, opcode: first % 16, payload }, key)
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame { fin, rsv, opcode, payload } = self;
        write!(f, "Frame(opcode {opcode}{} {}", if *fin { "" } else { ", more" }, Bytes(payload))?;
        if *rsv == 0 { write!(f, ")") } else { write!(f, ", rsv {rsv})") }
    }
}

/// What an engine wrote: perhaps a head, then frames; or a whole response, which is all head here.
#[derive(Debug)]
struct Output {
    head: Vec<u8>,
    frames: Vec<(Frame, Option<[u8; 4]>)>,
}

impl Output {
    fn of(bytes: &[u8]) -> Output {
        let is_head = bytes.starts_with(b"HTTP/") || bytes.starts_with(b"GET ");
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").filter(|_| is_head);
        let (head, mut rest) = bytes.split_at(end.map_or(0, |end| end + 4));
        if is_head && !head.starts_with(b"HTTP/1.1 101") && !head.starts_with(b"GET ") {
            return Output { head: bytes.to_vec(), frames: Vec::new() };
        }
        let mut frames = Vec::new();
        while !rest.is_empty() {
            frames.push(Frame::decode(&mut rest));
        }
        Output { head: head.to_vec(), frames }
    }

    fn unmasked(&self) -> Vec<&Frame> {
        self.frames.iter().map(|(frame, _)| frame).collect()
    }
}

/// Every frame of a stream, unmasked.
pub(crate) fn frames(mut bytes: &[u8]) -> Vec<Frame> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        frames.push(Frame::decode(&mut bytes).0);
    }
    frames
}

/// The masking keys of a stream of frames.
pub(crate) fn masking_keys(mut bytes: &[u8]) -> Vec<[u8; 4]> {
    let mut keys = Vec::new();
    while !bytes.is_empty() {
        keys.push(Frame::decode(&mut bytes).1.unwrap());
    }
    keys
}

/// What can be fed: bytes as they are, or frames, which a client masks and a server does not.
pub(crate) trait Wire {
    fn wire(&self, to: Role) -> Vec<u8>;
}

impl Wire for Frame {
    fn wire(&self, to: Role) -> Vec<u8> {
        self.to(to)
    }
}

impl<const N: usize> Wire for [Frame; N] {
    fn wire(&self, to: Role) -> Vec<u8> {
        self[..].wire(to)
    }
}

impl Wire for [Frame] {
    /// Each with a key of its own: a key may not outlive its frame.
    fn wire(&self, to: Role) -> Vec<u8> {
        let key = |at: u8| Some([0x37 ^ at, 0xFA, 0x21, 0x3D ^ at.rotate_left(4)]).filter(|_| to == Role::Server);
        self.iter().zip((0..=u8::MAX).cycle()).flat_map(|(frame, at)| frame.encode(key(at))).collect()
    }
}

impl Wire for Vec<Frame> {
    fn wire(&self, to: Role) -> Vec<u8> {
        self[..].wire(to)
    }
}

impl Wire for &[u8] {
    fn wire(&self, _to: Role) -> Vec<u8> {
        self.to_vec()
    }
}

impl Wire for &Vec<u8> {
    fn wire(&self, _to: Role) -> Vec<u8> {
        self.to_vec()
    }
}

impl<const N: usize> Wire for [u8; N] {
    fn wire(&self, _to: Role) -> Vec<u8> {
        self.to_vec()
    }
}

impl Wire for &str {
    fn wire(&self, _to: Role) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

impl Wire for &String {
    fn wire(&self, _to: Role) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
}

// The rest of the world.

/// Entropy that a test can know beforehand.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter(pub(crate) u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
        Ok(())
    }
}

/// Feeds one byte at a time: the byte with this number, counted from 1, proves the fault, and none before it does. Then
/// the one Close is sent that tells of it, and whatever still comes is ignored. It is the same fault in one read, whatever
/// stands behind it there, and in two.
#[track_caller]
pub(crate) fn fails_at(role: Role, config: &Config, bytes: &[u8], number: usize, error: Error) {
    let ignored = [Frame::text("ignored"), Frame::close(1000, "")].wire(role);
    for delivery in [Delivery::Messages, Delivery::Chunks] {
        for cut in [Cut::Every(1), Cut::Nowhere, Cut::At(number - 1)] {
            let way = Way { role, delivery, cut, drain: Drain::WhenAsked, log: Rc::default() };
            let mut session = way.session_with(config.clone());
            if cut == Cut::Every(1) {
                let (before, behind) = bytes.split_at(number - 1);
                session.hears(before);
                let failed = session.recorder.seen.iter().any(|seen| matches!(seen, Seen::Failed(_)));
                assert!(!failed, "failed before byte {number} of {}: {:?}", Bytes(bytes), session.recorder.seen);
                session.hears(&behind[..1]);
                session.ends_with(&Seen::failure(error));
                session.receives(&behind[1..], &[]);
                session.receives(&ignored, &[]);
            } else {
                session.hears(&[bytes, &ignored].concat());
                session.ends_with(&Seen::failure(error));
            }
            let mut sent = frames(&session.take_output());
            assert_eq!(sent.pop(), Some(Frame::close(error.close_code().get(), "")), "{way:?}");
            assert!(sent.iter().all(|frame| frame.opcode != 8), "{sent:?}");
        }
    }
}

/// A session without a harness, for a test that looks at what is lent.
pub(crate) fn bare_session(role: Role, config: Config) -> WebSocket {
    let config = Arc::new(config);
    match role {
        Role::Server => WebSocket::server(&Agreed::default(), config, START),
        Role::Client => WebSocket::client(&Agreed::default(), config, Counter(0), START).unwrap(),
    }
}

/// What a bare session makes of a read.
pub(crate) fn events(session: &mut WebSocket, mut input: &mut [u8]) -> Vec<Seen> {
    let mut events = Vec::new();
    while let Some(Incoming { event, .. }) = session.receive(&mut input, START) {
        events.push(Seen::of(event));
    }
    events
}
