//! What do a server and a client do to each other over a wire, in a time that only the test moves?
//!
//! [`Pair`] is a small protocol simulator: a [`Server`] and a [`Client`], each driven as the crate's documentation asks,
//! and a [`Link`] in each direction that delays, thins out, takes in part, swallows or breaks what is written to it. Time
//! leaps from one thing that happens (bytes arrive, a deadline comes) to the next, so hours cost nothing and every
//! nanosecond is exact. Everything that either side is told or writes goes into one transcript.
//!
//! While it runs, the simulator watches what must hold in every step of every test:
//!
//! - after `handle_timeout(now)` the next deadline lies behind `now`, or there is none: no driver ever spins;
//! - what `transmit` has shown is shown again, unchanged, until it is acknowledged;
//! - nothing is told of a session behind its `Closed`.
//!
//! In a *nervous* pair both drivers also call `handle_timeout` whenever nothing is due: behind every step, and in the
//! nanoseconds around every deadline. [`simulate`] runs a scenario calmly, nervously and in another epoch, and demands the
//! same transcript of all three.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use sockless::{
    Accept, Client, ClientEvent, Closed, Config, Connect, Entropy, Error, Event, Instant, Message, NoEntropy,
    RequestError, Response, ResponseError, Sender, Server, ServerEvent, SessionId, Timer, Transport,
};

/// The shortest time there is.
pub(crate) const TICK: Duration = Duration::from_nanos(1);

/// Far more steps than any scenario needs without time passing.
const MOST_ROUNDS: usize = 100_000;

/// Runs a scenario on a calm pair, on a nervous one and in another epoch: what is told and written, and when, is the same.
pub(crate) fn simulate(setup: &Setup, scenario: impl Fn(&mut Pair)) {
    let run = |start: u64, nervous: bool| {
        let mut pair = Pair::new(&Setup { start: Instant::from_nanos(start), nervous, ..setup.clone() });
        scenario(&mut pair);
        pair
    };
    let calm = run(0, false);
    run(0, true).assert_like(&calm, "spurious calls of handle_timeout change something");
    run(1 << 60, false).assert_like(&calm, "the caller's epoch changes something");
}

/// What a [`Pair`] begins with.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    pub(crate) server: Config,
    pub(crate) client: Config,
    pub(crate) on_offer: OnOffer,
    pub(crate) start: Instant,
    pub(crate) nervous: bool,
}

impl Setup {
    pub(crate) fn new(config: &Config) -> Setup {
        Setup {
            server: config.clone(),
            client: config.clone(),
            on_offer: OnOffer::Accept,
            start: Instant::default(),
            nervous: false,
        }
    }

    /// Gives one side another configuration.
    pub(crate) fn with(mut self, role: Role, config: Config) -> Setup {
        match role {
            Role::Server => self.server = config,
            Role::Client => self.client = config,
        }
        self
    }
}

/// What the server's application does with an offer, and with a request for something else.
#[derive(Clone, Debug)]
pub(crate) enum OnOffer {
    Accept,
    Defer,
    Respond(Response),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    Server,
    Client,
}

impl Role {
    pub(crate) const BOTH: [Role; 2] = [Role::Server, Role::Client];

    pub(crate) fn other(self) -> Role {
        match self {
            Role::Server => Role::Client,
            Role::Client => Role::Server,
        }
    }
}

/// What a side is told, by an event or about its transport; and what its transport took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    Offer,
    Request,
    BadRequest(RequestError),
    Open,
    Refused(u16),
    Body(Vec<u8>),
    BadResponse(ResponseError),
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closing(Option<u16>),
    Failed(Error),
    Closed(Closed),
    Wrote(Vec<u8>),
    ShutdownWrite,
    HungUp,
    Reset,
}

/// A frame that a side wrote, unmasked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) opcode: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    pub(crate) fn ping(payload: &[u8]) -> Frame {
        Frame { opcode: 9, payload: payload.to_vec() }
    }

    pub(crate) fn pong(payload: &[u8]) -> Frame {
        Frame { opcode: 10, payload: payload.to_vec() }
    }

    pub(crate) fn close(code: u16) -> Frame {
        Frame { opcode: 8, payload: code.to_be_bytes().to_vec() }
    }

    pub(crate) fn text(text: &str) -> Frame {
        Frame { opcode: 1, payload: text.as_bytes().to_vec() }
    }
}

/// A server and a client, and the wire between them.
#[derive(Debug)]
pub(crate) struct Pair {
    start: Instant,
    now: Instant,
    nervous: bool,
    on_offer: OnOffer,
    server: Side,
    client: Side,
    transcript: Vec<(Duration, Role, Told)>,
}

/// An engine with its driver, and the link that brings its input.
#[derive(Debug)]
struct Side {
    engine: Engine,
    link: Link,
    session: Option<SessionId>,
    /// What `transmit` showed last and the transport has not taken.
    shown: Vec<u8>,
    holding: bool,
    eof: bool,
    shut_down: bool,
    gone: bool,
    closed: bool,
}

#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there are two")]
enum Engine {
    Server(Server),
    Client(Client),
}

/// One direction of the wire.
#[derive(Debug)]
pub(crate) struct Link {
    /// From the end of a write to its arrival.
    pub(crate) latency: Duration,
    /// How long a byte takes to be sent: the reciprocal of the bandwidth.
    pub(crate) byte_time: Duration,
    /// Bytes that it holds until they are read; then it takes no more.
    pub(crate) room: usize,
    /// Bytes that it takes at most in one write.
    pub(crate) write: usize,
    /// Bytes that it hands out at most in one read.
    pub(crate) read: usize,
    /// It takes everything and brings nothing any more.
    pub(crate) dead: bool,
    flight: VecDeque<(Instant, Vec<u8>)>,
    /// When the line will have sent what was written so far.
    free: Instant,
    /// When the end of the stream arrives.
    end: Option<Instant>,
}

impl Pair {
    pub(crate) fn new(setup: &Setup) -> Pair {
        let now = setup.start;
        let server = Server::new(Arc::new(setup.server.clone()), now);
        let client = Client::new(Arc::new(setup.client.clone()), Counter(0), now).unwrap();
        Pair {
            start: now,
            now,
            nervous: setup.nervous,
            on_offer: setup.on_offer.clone(),
            server: Side::new(Engine::Server(server)),
            client: Side::new(Engine::Client(client)),
            transcript: Vec::new(),
        }
    }

    /// The client asks for a WebSocket.
    pub(crate) fn connect(&mut self) {
        let connect = Connect::to("ws://server.example/").unwrap();
        let Engine::Client(client) = &mut self.client.engine else { unreachable!() };
        client.open(&connect, self.now).unwrap();
        self.settle();
    }

    /// The opening handshake, in no time.
    pub(crate) fn open(&mut self) {
        self.connect();
        assert_eq!(self.told(Role::Server), [(self.now(), Told::Offer)]);
        assert_eq!(self.told(Role::Client), [(self.now(), Told::Open)]);
    }

    /// The time since the pair was made.
    pub(crate) fn now(&self) -> Duration {
        self.now.since(self.start)
    }

    /// Lets everything happen up to this time, and at it.
    pub(crate) fn run_until(&mut self, time: Duration) {
        self.run(self.start + time, usize::MAX);
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        self.run(self.now + time, usize::MAX);
    }

    /// Lets time pass, and sleeps through the rest of it once so much has happened.
    pub(crate) fn run_for_at_most(&mut self, time: Duration, happenings: usize) {
        self.run(self.now + time, happenings);
    }

    /// Up to the moment before this time, which is then all but there.
    pub(crate) fn run_until_just_before(&mut self, time: Duration) {
        self.run_until(time - TICK);
    }

    /// The drivers sleep through this time, whatever comes in it, and wake up behind it.
    pub(crate) fn leap(&mut self, time: Duration) {
        self.settle();
        self.now = self.now + time;
        self.settle();
    }

    /// The send half of a session that is open, or was.
    pub(crate) fn tx(&mut self, role: Role) -> &mut Sender {
        self.find_tx(role).expect("a session")
    }

    pub(crate) fn find_tx(&mut self, role: Role) -> Option<&mut Sender> {
        let now = self.now;
        let side = self.side_mut(role);
        if side.gone {
            return None;
        }
        let session = side.session?;
        match &mut side.engine {
            Engine::Server(server) => server.tx(session, now),
            Engine::Client(client) => client.tx(session, now),
        }
    }

    /// The server's application decides now on the offer that it deferred; says whether it still could.
    pub(crate) fn accept_deferred(&mut self) -> bool {
        let (now, Engine::Server(server)) = (self.now, &mut self.server.engine) else { unreachable!() };
        let id = self.server.session.expect("an offer");
        let offer = server.offer(id, now);
        let is_there = offer.is_some();
        offer.map(|offer| offer.accept(Accept::new()));
        self.settle();
        is_there
    }

    /// The driver stops reading and says so.
    pub(crate) fn pause(&mut self, role: Role) {
        self.hold(role);
        let (now, side) = (self.now, self.side_mut(role));
        side.session.into_iter().for_each(|id| side.engine.pause(id, now));
    }

    /// The driver reads again and says so first.
    pub(crate) fn resume(&mut self, role: Role) {
        let (now, side) = (self.now, self.side_mut(role));
        side.session.into_iter().for_each(|id| side.engine.resume(id, now));
        side.holding = false;
        self.settle();
    }

    /// The driver stops reading, and tells nobody.
    pub(crate) fn hold(&mut self, role: Role) {
        self.side_mut(role).holding = true;
    }

    /// The link that brings this side's input.
    pub(crate) fn link_to(&mut self, role: Role) -> &mut Link {
        &mut self.side_mut(role).link
    }

    /// Puts bytes on this side's link as if its peer had written them.
    pub(crate) fn inject(&mut self, role: Role, bytes: &[u8]) {
        let now = self.now;
        let taken = self.link_to(role).take(bytes, now);
        assert_eq!(taken, bytes.len());
        self.settle();
    }

    /// The transport of this side's input breaks: what is under way still arrives.
    pub(crate) fn cut(&mut self, role: Role) {
        let now = self.now;
        self.link_to(role).close(now);
    }

    /// The next deadline, since the pair was made.
    pub(crate) fn deadline(&self, role: Role) -> Option<(Duration, Timer)> {
        self.side(role).engine.poll_timeout().map(|(deadline, timer)| (deadline.since(self.start), timer))
    }

    /// What this side was told so far, and when.
    pub(crate) fn told(&self, role: Role) -> Vec<(Duration, Told)> {
        let entries = self.transcript.iter();
        let mine = entries.filter(|(_, of, told)| *of == role && !matches!(told, Told::Wrote(_)));
        mine.map(|(time, _, told)| (*time, told.clone())).collect()
    }

    /// What this side was told since the time, without the times.
    pub(crate) fn told_since(&self, role: Role, since: Duration) -> Vec<Told> {
        self.told(role).into_iter().filter(|(time, _)| *time >= since).map(|(_, told)| told).collect()
    }

    /// How this side's session ended, and when, if it has.
    pub(crate) fn closed(&self, role: Role) -> Option<(Duration, Closed)> {
        self.told(role).into_iter().find_map(|(time, told)| match told {
            Told::Closed(closed) => Some((time, closed)),
            _ => None,
        })
    }

    /// Whether this side has dropped its transport.
    pub(crate) fn is_gone(&self, role: Role) -> bool {
        self.side(role).gone
    }

    /// The bytes that this side's transport took.
    pub(crate) fn written(&self, role: Role) -> Vec<u8> {
        self.timed_bytes(role).into_iter().map(|(_, byte)| byte).collect()
    }

    /// The whole frames that this side wrote behind its part of the opening handshake, and when each began.
    pub(crate) fn sent(&self, role: Role) -> Vec<(Duration, Frame)> {
        let timed = self.timed_bytes(role);
        let bytes: Vec<u8> = timed.iter().map(|(_, byte)| *byte).collect();
        let mut at = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |head| head + 4);
        let mut frames = Vec::new();
        while let Some((frame, length)) = parse(&bytes[at..]) {
            frames.push((timed[at].0, frame));
            at += length;
        }
        frames
    }

    /// The same happened on both pairs, in the same order, at the same times.
    pub(crate) fn assert_like(&self, other: &Pair, otherwise: &str) {
        for (mine, theirs) in self.transcript.iter().zip(&other.transcript) {
            assert_eq!(mine, theirs, "{otherwise}");
        }
        assert_eq!(self.transcript.len(), other.transcript.len(), "{otherwise}");
    }

    /// Lets happen what is to happen now.
    pub(crate) fn settle(&mut self) {
        for _ in 0..MOST_ROUNDS {
            let worked = Role::BOTH.map(|role| self.work(role));
            if worked == [false; 2] {
                return;
            }
        }
        panic!("the pair does not come to rest at {:?}: {self:?}", self.now());
    }

    fn run(&mut self, target: Instant, happenings: usize) {
        self.settle();
        for _ in 0..happenings {
            match self.next() {
                Some(next) if next <= target => self.advance(next),
                _ => break,
            }
            self.settle();
        }
        if self.next().is_none_or(|next| next > target) {
            self.advance(target.max(self.now));
        }
        self.now = target.max(self.now);
        self.settle();
    }

    /// One turn of a side's driver. Says whether anything was done that the other side, or another turn, could notice.
    fn work(&mut self, role: Role) -> bool {
        if self.side(role).gone {
            return false;
        }
        let now = self.now;
        let side = self.side_mut(role);
        let mut input = if side.holding { Vec::new() } else { side.link.read(now) };
        let mut worked = !input.is_empty();
        if !worked && !side.holding && !side.eof && side.link.has_ended(now) {
            side.eof = true;
            side.engine.receive_eof(now);
            worked = true;
        }
        self.receive(role, &mut input);
        worked |= self.write(role);
        if self.handle_timeout(role) {
            self.receive(role, &mut []);
            self.write(role);
            worked = true;
        }
        self.obey(role);
        worked
    }

    /// Feeds a read and notes its events.
    fn receive(&mut self, role: Role, input: &mut [u8]) {
        let (mut input, now) = (input, self.now);
        loop {
            let on_offer = self.on_offer.clone();
            let side = self.side_mut(role);
            let Some((told, session)) = side.engine.receive(&mut input, now, &on_offer) else { break };
            assert!(!side.closed, "{told:?} behind Closed");
            side.closed = matches!(told, Told::Closed(_));
            side.session = side.session.or(session);
            self.note(role, told);
        }
        assert!(input.is_empty(), "input is left for next time");
    }

    /// Calls `handle_timeout` if it is time, or out of nervousness. Says whether it was time.
    fn handle_timeout(&mut self, role: Role) -> bool {
        let (now, nervous) = (self.now, self.nervous);
        let side = self.side_mut(role);
        let is_time = side.engine.poll_timeout().is_some_and(|(deadline, _)| deadline <= now);
        if is_time {
            side.engine.handle_timeout(now);
            let next = side.engine.poll_timeout();
            assert!(next.is_none_or(|(deadline, _)| deadline > now), "{next:?} is over at {now:?}: {:?}", side.engine);
        }
        // What a deadline has caused is told and written first, for the spurious call is to cause nothing: in the next turn.
        if nervous && !is_time {
            self.side_mut(role).check_spurious(now);
        }
        is_time
    }

    /// Writes what the link takes. Says whether it took anything.
    fn write(&mut self, role: Role) -> bool {
        let mut worked = false;
        loop {
            let now = self.now;
            let side = self.side_mut(role);
            if side.engine.transport() == Transport::Reset {
                return worked;
            }
            let bytes = side.engine.transmit();
            assert!(bytes.starts_with(&side.shown), "what was shown has changed");
            let taken = if bytes.is_empty() { 0 } else { self.side_mut(role.other()).link.take(&bytes, now) };
            let side = self.side_mut(role);
            side.shown = bytes[taken..].to_vec();
            if taken == 0 {
                return worked;
            }
            assert!(!side.shut_down, "bytes behind the end");
            side.engine.transmitted(taken, now);
            self.note(role, Told::Wrote(bytes[..taken].to_vec()));
            worked = true;
        }
    }

    /// Does with the transport what the engine says.
    fn obey(&mut self, role: Role) {
        let now = self.now;
        let side = self.side_mut(role);
        let transport = side.engine.transport();
        if side.engine.is_closed() {
            side.gone = true;
            let told = if transport == Transport::Reset { Told::Reset } else { Told::HungUp };
            self.note(role, told);
            self.side_mut(role.other()).link.close(now);
            // Nobody reads any more.
            self.side_mut(role).link.dead = true;
        } else if transport == Transport::ShutdownWrite && !side.shut_down {
            side.shut_down = true;
            self.note(role, Told::ShutdownWrite);
            self.side_mut(role.other()).link.close(now);
        }
    }

    /// When something happens next.
    fn next(&self) -> Option<Instant> {
        let sides = Role::BOTH.map(|role| self.side(role)).into_iter().filter(|side| !side.gone);
        sides
            .flat_map(|side| {
                let deadline = side.engine.poll_timeout().map(|(deadline, _)| deadline);
                let arrival = if side.holding { None } else { side.link.next(side.eof) };
                [deadline, arrival]
            })
            .flatten()
            .min()
    }

    /// Time passes, in which nothing happens.
    fn advance(&mut self, to: Instant) {
        assert!(to >= self.now && self.next().is_none_or(|next| next > self.now), "time stands still: {self:?}");
        if self.nervous {
            let (from, to) = (self.now.as_nanos(), to.as_nanos());
            let moments = [from.saturating_add(1), from.saturating_add(2), to.saturating_sub(2), to.saturating_sub(1)];
            let mut last = from;
            for moment in moments {
                if moment <= last || moment >= to {
                    continue;
                }
                last = moment;
                for role in Role::BOTH {
                    self.side_mut(role).check_spurious(Instant::from_nanos(moment));
                }
            }
        }
        self.now = to;
    }

    fn note(&mut self, role: Role, told: Told) {
        self.transcript.push((self.now(), role, told));
    }

    fn timed_bytes(&self, role: Role) -> Vec<(Duration, u8)> {
        let mut bytes = Vec::new();
        for (time, of, told) in &self.transcript {
            if let (true, Told::Wrote(written)) = (*of == role, told) {
                bytes.extend(written.iter().map(|byte| (*time, *byte)));
            }
        }
        bytes
    }

    fn side(&self, role: Role) -> &Side {
        match role {
            Role::Server => &self.server,
            Role::Client => &self.client,
        }
    }

    fn side_mut(&mut self, role: Role) -> &mut Side {
        match role {
            Role::Server => &mut self.server,
            Role::Client => &mut self.client,
        }
    }
}

impl Side {
    fn new(engine: Engine) -> Side {
        Side {
            engine,
            link: Link::default(),
            session: None,
            shown: Vec::new(),
            holding: false,
            eof: false,
            shut_down: false,
            gone: false,
            closed: false,
        }
    }

    /// Calls `handle_timeout` at a moment when nothing is due, and all that could be written is: nothing may come of it.
    fn check_spurious(&mut self, now: Instant) {
        if self.gone {
            return;
        }
        let before = (self.engine.transmit(), self.engine.poll_timeout(), self.engine.transport());
        self.engine.handle_timeout(now);
        let after = (self.engine.transmit(), self.engine.poll_timeout(), self.engine.transport());
        assert_eq!(after, before, "a spurious call at {now:?} does something");
        let told = self.engine.receive(&mut (&mut [] as &mut [u8]), now, &OnOffer::Defer);
        assert_eq!(told.map(|(told, _)| told), None, "a spurious call at {now:?} causes an event");
    }
}

impl Engine {
    /// The next event, and the session that it names.
    fn receive(
        &mut self,
        input: &mut &mut [u8],
        now: Instant,
        on_offer: &OnOffer,
    ) -> Option<(Told, Option<SessionId>)> {
        match self {
            Engine::Server(server) => server.receive(input, now).map(|event| match event {
                ServerEvent::Offer(offer) => {
                    let id = offer.id();
                    match on_offer {
                        OnOffer::Accept => drop(offer.accept(Accept::new())),
                        OnOffer::Defer => drop(offer),
                        OnOffer::Respond(response) => offer.reject(response),
                    }
                    (Told::Offer, Some(id))
                }
                ServerEvent::Request(request) => {
                    if let OnOffer::Respond(response) = on_offer {
                        request.respond(response);
                    }
                    (Told::Request, None)
                }
                ServerEvent::Refused(error) => (Told::BadRequest(error), None),
                ServerEvent::Session(id, incoming) => (Told::of(incoming.event), Some(id)),
                ServerEvent::Closed(id, closed) => (Told::Closed(closed), Some(id)),
                other => panic!("unknown {other:?}"),
            }),
            Engine::Client(client) => client.receive(input, now).map(|event| match event {
                ClientEvent::Open(opened) => (Told::Open, Some(opened.id)),
                ClientEvent::Session(id, incoming) => (Told::of(incoming.event), Some(id)),
                ClientEvent::Refused(id, response) => (Told::Refused(response.status()), Some(id)),
                ClientEvent::Body(id, piece) => (Told::Body(piece.to_vec()), Some(id)),
                ClientEvent::Failed(id, error) => (Told::BadResponse(error), Some(id)),
                ClientEvent::Closed(id, closed) => (Told::Closed(closed), Some(id)),
                other => panic!("unknown {other:?}"),
            }),
        }
    }

    fn receive_eof(&mut self, now: Instant) {
        match self {
            Engine::Server(server) => server.receive_eof(now),
            Engine::Client(client) => client.receive_eof(now),
        }
    }

    fn pause(&mut self, id: SessionId, now: Instant) {
        match self {
            Engine::Server(server) => server.pause(id, now),
            Engine::Client(client) => client.pause(id, now),
        }
    }

    fn resume(&mut self, id: SessionId, now: Instant) {
        match self {
            Engine::Server(server) => server.resume(id, now),
            Engine::Client(client) => client.resume(id, now),
        }
    }

    fn transmit(&mut self) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = match self {
            Engine::Server(server) => server.transmit(&mut slices),
            Engine::Client(client) => client.transmit(&mut slices),
        };
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    fn transmitted(&mut self, count: usize, now: Instant) {
        match self {
            Engine::Server(server) => server.transmitted(count, now),
            Engine::Client(client) => client.transmitted(count, now),
        }
    }

    fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        match self {
            Engine::Server(server) => server.poll_timeout(),
            Engine::Client(client) => client.poll_timeout(),
        }
    }

    fn handle_timeout(&mut self, now: Instant) {
        match self {
            Engine::Server(server) => server.handle_timeout(now),
            Engine::Client(client) => client.handle_timeout(now),
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

impl Told {
    fn of(event: Event<'_>) -> Told {
        match event {
            Event::Message(Message::Text(text)) => Told::Text(text.to_owned()),
            Event::Message(Message::Binary(bytes)) => Told::Binary(bytes.to_vec()),
            Event::Ping(payload) => Told::Ping(payload.to_vec()),
            Event::Pong(payload) => Told::Pong(payload.to_vec()),
            Event::Closing { code, .. } => Told::Closing(code.map(|code| code.get())),
            Event::Failed(error) => Told::Failed(error),
            Event::Closed(closed) => Told::Closed(closed),
            other => panic!("unknown {other:?}"),
        }
    }
}

impl Default for Link {
    /// A wire of no length that takes and hands out everything.
    fn default() -> Link {
        Link {
            latency: Duration::ZERO,
            byte_time: Duration::ZERO,
            room: usize::MAX,
            write: usize::MAX,
            read: usize::MAX,
            dead: false,
            flight: VecDeque::new(),
            free: Instant::default(),
            end: None,
        }
    }
}

impl Link {
    /// Takes as many bytes of a write as it has room for.
    fn take(&mut self, bytes: &[u8], now: Instant) -> usize {
        // Who writes to a peer that is gone is not told so before it reads.
        if self.dead || self.end.is_some() {
            return bytes.len();
        }
        let lying: usize = self.flight.iter().map(|(_, bytes)| bytes.len()).sum();
        let taken = bytes.len().min(self.room.saturating_sub(lying)).min(self.write);
        let at_once = if self.byte_time.is_zero() { taken.max(1) } else { 1 };
        for piece in bytes[..taken].chunks(at_once) {
            self.free = self.free.max(now) + self.byte_time;
            let arrival = self.next_arrival();
            self.flight.push_back((arrival, piece.to_vec()));
        }
        taken
    }

    /// Nothing more will be written.
    fn close(&mut self, now: Instant) {
        if self.end.is_none() && !self.dead {
            self.free = self.free.max(now);
            self.end = Some(self.next_arrival());
        }
    }

    /// What has arrived, as far as it fits into one read.
    fn read(&mut self, now: Instant) -> Vec<u8> {
        if self.dead {
            self.flight.clear();
        }
        let mut input = Vec::new();
        while let Some((arrival, piece)) = self.flight.front_mut()
            && *arrival <= now
            && input.len() < self.read
        {
            let count = piece.len().min(self.read - input.len());
            input.extend(piece.drain(..count));
            if piece.is_empty() {
                self.flight.pop_front();
            }
        }
        input
    }

    fn has_ended(&self, now: Instant) -> bool {
        !self.dead && self.flight.is_empty() && self.end.is_some_and(|end| end <= now)
    }

    /// When something arrives next.
    fn next(&self, eof_read: bool) -> Option<Instant> {
        if self.dead {
            return None;
        }
        let end = if eof_read { None } else { self.end };
        self.flight.front().map(|(arrival, _)| *arrival).or(end)
    }

    /// When what is sent now arrives: never before what was sent earlier, should the latency have changed.
    fn next_arrival(&self) -> Instant {
        let last = self.flight.back().map(|(arrival, _)| *arrival).unwrap_or_default();
        last.max(self.free + self.latency)
    }
}

/// Seeds a client's keys with what everyone can foretell, so that two runs write the same bytes.
#[derive(Debug)]
struct Counter(u8);

impl Entropy for Counter {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), NoEntropy> {
        out.fill_with(|| {
            self.0 = self.0.wrapping_add(1);
            self.0
        });
        Ok(())
    }
}

/// Reads the frame that `bytes` begins with, if it is there in full; gives its length beside it.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (opcode, length) = (bytes.first()? & 15, bytes.get(1)? & 127);
    let (length, at) = match length {
        126 => (usize::from(u16::from_be_bytes(*bytes[2..].first_chunk()?)), 4),
        127 => (usize::try_from(u64::from_be_bytes(*bytes[2..].first_chunk()?)).unwrap(), 10),
        length => (usize::from(length), 2),
    };
    let (key, at) = if bytes[1] & 128 != 0 { (*bytes.get(at..)?.first_chunk()?, at + 4) } else { ([0; 4], at) };
    let payload = bytes.get(at..at + length)?;
    let payload = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
    Some((Frame { opcode, payload }, at + length))
}
