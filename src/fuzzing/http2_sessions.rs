//! Which sessions does a connection tell of, and does each tell a life that it may have?
//!
//! ```text
//! server: Offer, Request ─▶ Deciding ─┬─ accepted ─▶ Open ─ events ─▶ Closed
//!                                     ├─ answered ─▶ nothing more
//!                                     └─ given up ─▶ Closed
//! client: open ─▶ Opening ─┬─ Open ─ events ─▶ Closed
//!                          └─ Refused, pieces of a body; or Failed ─▶ Closed
//! ```

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::record::{Record, Whole};
use super::setup::{self, Foreseen, NOW};
use crate::client::{Client, ClientEvent};
use crate::config::Config;
use crate::error::{RequestError, SendError};
use crate::event::{Event, Kind};
use crate::handshake::{Accept, Connect, Fields, Response};
use crate::http2::Http2Error;
use crate::server::{Server, ServerEvent, SessionId};
use crate::time::Instant;
use crate::websocket::{Close, Incoming, Reason};

/// One end of a connection.
#[allow(clippy::large_enum_variant, reason = "there are two at a time")]
pub(super) enum End {
    Server(Server),
    Client(Client),
}

/// Calls what a server and a client share.
macro_rules! either {
    ($end:expr, $name:ident => $call:expr) => {
        match $end {
            $crate::fuzzing::http2_sessions::End::Server($name) => $call,
            $crate::fuzzing::http2_sessions::End::Client($name) => $call,
        }
    };
}
pub(super) use either;

/// All sessions of one end, those that are over too.
pub(super) struct Sessions {
    config: Config,
    pub(super) all: BTreeMap<SessionId, Session>,
    /// What the connection failed with.
    pub(super) failed: Option<Http2Error>,
    /// The application sends whole messages back.
    pub(super) echoes: bool,
    /// What it does with the next offers, two bits each.
    pub(super) decisions: u8,
    /// Bytes that it had queued, heads included, at most.
    pub(super) queued: usize,
}

pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) record: Record,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Deciding,
    Answered,
    Opening,
    Open,
    Refused,
    Failed,
    Over,
}

impl End {
    pub(super) fn server(config: &Config) -> End {
        End::Server(Server::new(setup::shared(config), NOW))
    }

    pub(super) fn client(config: &Config) -> Option<End> {
        let client = Client::http2(setup::shared(config), Foreseen, NOW);
        assert!(client.is_ok(), "{client:?}");
        client.ok().map(End::Client)
    }

    /// Lends the next event to the sessions; says whether there was one.
    pub(super) fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        sessions: &mut Sessions,
        now: Instant,
    ) -> bool {
        match self {
            End::Server(server) => server.receive(input, now).map(|event| sessions.server(event)).is_some(),
            End::Client(client) => client.receive(input, now).map(|event| sessions.client(event)).is_some(),
        }
    }

    /// Opens a session, where it can.
    pub(super) fn open(&mut self, sessions: &mut Sessions, now: Instant) -> Option<SessionId> {
        let connect = Connect::to("ws://example.com/chat").and_then(|to| to.header("cookie", "a=secret"));
        assert!(connect.is_ok(), "{connect:?}");
        let (End::Client(client), Ok(connect)) = (self, connect) else { return None };
        let id = client.open(&connect, now).ok()?;
        sessions.queued += MAX_HEAD;
        sessions.begin(id, Stage::Opening);
        Some(id)
    }

    /// Decides on an offer that was left lying.
    pub(super) fn decide(&mut self, sessions: &mut Sessions, id: SessionId, now: Instant) {
        let End::Server(server) = self else { return };
        if let Some(offer) = server.offer(id, now) {
            assert_eq!((offer.id(), sessions.stage(id)), (id, Some(Stage::Deciding)), "an offer again");
            if sessions.next_decision() == 1 {
                offer.reject(&page(403));
                sessions.set(id, Stage::Answered);
            } else {
                assert_eq!(offer.accept(Accept::new()), id);
                sessions.set(id, Stage::Open);
            }
        } else if let Some(request) = server.request(id, now) {
            assert_eq!((request.id(), sessions.stage(id)), (id, Some(Stage::Deciding)), "a request again");
            request.respond(&page(200));
            sessions.set(id, Stage::Answered);
        }
    }

    /// Takes part of what is shown, which must still begin with what was shown before and not taken.
    pub(super) fn transmit(&mut self, most: usize, shown: &mut Vec<u8>, now: Instant) -> Vec<u8> {
        let mut showing: Vec<u8> = Vec::new();
        either!(&mut *self, end => end.transmit_slices().for_each(|slice| {
            assert!(!slice.is_empty(), "an empty slice");
            showing.extend_from_slice(slice);
        }));
        assert!(showing.starts_with(shown), "what was shown has changed: {shown:02x?} to {showing:02x?}");
        let taken = showing[..most.min(showing.len())].to_vec();
        *shown = showing.split_off(taken.len());
        either!(self, end => end.transmitted(taken.len(), now));
        taken
    }

    /// Acts on all deadlines that have come: one can bring another of no time at all, but not for ever.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for times in 0.. {
            either!(&mut *self, end => end.handle_timeout(now));
            let next = either!(&*self, end => end.poll_timeout()).filter(|(next, _)| *next <= now);
            if next.is_none() {
                return;
            }
            assert!(times < 3, "it is due again and again: {next:?}");
        }
    }

    pub(super) fn close(&mut self, id: SessionId, code: crate::error::CloseCode, now: Instant) {
        if let Some(tx) = either!(self, end => end.tx(id, now)) {
            tx.close(Close::With(code, Reason::EMPTY));
        }
    }
}

/// The head of a request or a response here, with the page that it may carry.
pub(super) const MAX_HEAD: usize = 512;

impl Sessions {
    pub(super) fn new(config: &Config) -> Sessions {
        Sessions { config: config.clone(), all: BTreeMap::new(), failed: None, echoes: false, decisions: 0, queued: 0 }
    }

    pub(super) fn stage(&self, id: SessionId) -> Option<Stage> {
        self.all.get(&id).map(|session| session.stage)
    }

    /// The number of a session, as an argument chooses it.
    pub(super) fn choose(&self, argument: u8) -> SessionId {
        let count = self.all.len().max(1);
        self.all.keys().nth(usize::from(argument) % count).copied().unwrap_or(SessionId(u32::from(argument)))
    }

    pub(super) fn is_all_over(&self) -> bool {
        self.all.values().all(|session| matches!(session.stage, Stage::Over | Stage::Answered))
    }

    fn begin(&mut self, id: SessionId, stage: Stage) {
        let is_higher = self.all.keys().all(|before| *before < id);
        assert!(id.0 % 2 == 1 && is_higher, "{id:?} is new, behind {:?}", self.all.keys().last());
        assert_eq!(self.failed, None, "a new session on a connection that has failed");
        let most = usize::try_from(self.config.limits.http2.sessions).unwrap_or(usize::MAX);
        let open = self.all.values().filter(|session| matches!(session.stage, Stage::Open | Stage::Deciding)).count();
        assert!(open < most, "more sessions than {most}");
        self.all.insert(id, Session { stage, record: Record::new(&self.config) });
    }

    fn set(&mut self, id: SessionId, stage: Stage) {
        if let Some(session) = self.all.get_mut(&id) {
            session.stage = stage;
        }
    }

    /// Moves on from one of these stages.
    fn go(&mut self, id: SessionId, from: &[Stage], to: Stage) {
        let stage = self.stage(id);
        assert!(stage.is_some_and(|stage| from.contains(&stage)), "{id:?} goes from {stage:?} to {to:?}");
        self.set(id, to);
    }

    fn next_decision(&mut self) -> u8 {
        self.decisions = self.decisions.rotate_right(2);
        self.decisions >> 6
    }

    fn server(&mut self, event: ServerEvent<'_>) {
        match event {
            ServerEvent::Offer(offer) => {
                let id = offer.id();
                assert!(offer.target().starts_with('/') || offer.target() == "*", "{}", offer.target());
                self.check_fields(offer.fields());
                self.begin(id, Stage::Deciding);
                self.queued += MAX_HEAD;
                match self.next_decision() {
                    0 => {
                        let chosen = offer.select(&["superchat", "chat"]);
                        assert_eq!(offer.accept(Accept::new().subprotocol(chosen)), id);
                        self.set(id, Stage::Open);
                    }
                    1 => {
                        offer.reject(&Response::refusing(RequestError::ForbiddenOrigin));
                        self.set(id, Stage::Answered);
                    }
                    2 => assert_eq!(offer.defer(), id),
                    _ => drop(offer),
                }
            }
            ServerEvent::Request(request) => {
                let id = request.id();
                self.check_fields(request.fields());
                self.begin(id, Stage::Deciding);
                self.queued += MAX_HEAD;
                match self.next_decision() {
                    0 | 1 => {
                        let status = if request.method() == "GET" { 200 } else { 204 };
                        request.respond(&page(status));
                        self.set(id, Stage::Answered);
                    }
                    2 => assert_eq!(request.defer(), id),
                    _ => drop(request),
                }
            }
            ServerEvent::Refused(_) => {
                self.queued += MAX_HEAD;
                assert_eq!(self.failed, None, "a bad request on a connection that has failed");
            }
            ServerEvent::Session(id, incoming) => self.session(id, incoming),
            ServerEvent::Closed(id, closed) => {
                assert!(!closed.clean, "clean, but never open: {closed:?}");
                self.go(id, &[Stage::Deciding], Stage::Over);
            }
            ServerEvent::Failed(error) => {
                assert_eq!(self.failed.replace(error), None, "it fails twice");
            }
        }
    }

    fn client(&mut self, event: ClientEvent<'_>) {
        match event {
            ClientEvent::Open(opened) => {
                self.check_fields(opened.response.fields());
                assert!((200..300).contains(&opened.response.status()), "{}", opened.response.status());
                self.go(opened.id, &[Stage::Opening], Stage::Open);
            }
            ClientEvent::Session(id, incoming) => self.session(id, incoming),
            ClientEvent::Refused(id, response) => {
                self.check_fields(response.fields());
                assert!(!(200..300).contains(&response.status()), "{}", response.status());
                self.go(id, &[Stage::Opening], Stage::Refused);
            }
            ClientEvent::Body(id, piece) => {
                self.go(id, &[Stage::Refused], Stage::Refused);
                let Some(session) = self.all.get_mut(&id) else { return };
                session.record.body.extend_from_slice(piece);
                let length = session.record.body.len() as u64;
                assert!(!piece.is_empty() && length <= self.config.limits.body, "{length} bytes of a body");
            }
            ClientEvent::Failed(id, _) => self.go(id, &[Stage::Opening, Stage::Refused], Stage::Failed),
            ClientEvent::Closed(id, closed) => {
                assert!(!closed.clean, "clean, but never open: {closed:?}");
                self.go(id, &[Stage::Opening, Stage::Refused, Stage::Failed], Stage::Over);
            }
            ClientEvent::ConnectionFailed(error) => {
                assert_eq!(self.failed.replace(error), None, "it fails twice");
            }
        }
    }

    fn session(&mut self, id: SessionId, Incoming { event, tx }: Incoming<'_>) {
        self.go(id, &[Stage::Open], if let Event::Closed(_) = event { Stage::Over } else { Stage::Open });
        let Some(session) = self.all.get_mut(&id) else { return };
        session.record.event(event);
        if let (Event::Message(message), true) = (event, self.echoes) {
            match tx.send(message) {
                Ok(()) => self.queued += message.as_bytes().len() + 64,
                Err(error) => {
                    let is_due = matches!(error, SendError::Closed | SendError::Full | SendError::MidMessage);
                    assert!(is_due, "{error}");
                }
            }
        }
    }

    fn check_fields(&self, fields: Fields<'_>) {
        let (mut count, mut bytes) = (0, 0);
        for field in fields.iter() {
            count += 1;
            bytes += field.name.len() + field.value.len();
            let has_control = field.value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0));
            assert!(!field.name.is_empty() && !has_control, "{field:?}");
        }
        let limits = &self.config.limits;
        assert!(count <= limits.fields && bytes <= limits.head, "{count} fields of {bytes} bytes");
    }
}

impl Whole {
    /// A short message of a kind.
    pub(super) fn short(argument: u8) -> Whole {
        let kind = if argument & 1 == 0 { Kind::Text } else { Kind::Binary };
        Whole { kind, bytes: alloc::vec![b'a' + argument % 26; usize::from(argument)] }
    }
}

fn page(status: u16) -> Response {
    let page = Response::new(status).and_then(|response| response.header("Set-Cookie", "a=secret"));
    assert!(page.is_ok(), "{page:?}");
    page.unwrap_or_else(|_| Response::refusing(RequestError::Malformed)).body("<p>A page</p>")
}
