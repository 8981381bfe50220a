//! What did an endpoint tell its owner, and may it have told that?
//!
//! A [`Record`] owns what the events lent, chunks joined to the messages that they make. So it reads the same for both
//! deliveries and for any cuts, but for a message that never ended: chunks may have brought a part of it.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use crate::config::{Config, Delivery};
use crate::error::{CloseCode, Error, RequestError, ResponseError};
use crate::event::{Cause, Closed, Event, Kind, Message};
use crate::handshake::Fields;

pub(super) struct Record {
    pub(super) happened: Vec<Happening>,
    /// The chunks of a message that has not ended.
    pub(super) partial: Option<Whole>,
    /// The body of a response that refused a client.
    pub(super) body: Vec<u8>,
    /// What the application sent back, and after how many happenings.
    pub(super) echoed: Vec<(usize, Whole)>,
    config: Config,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happening {
    Offer(Head),
    Request(Head),
    Refused(RequestError),
    Open(Head),
    Rejected(Head),
    Unopened(ResponseError),
    Message(Whole),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closing(Option<CloseCode>, String),
    Failed(Error),
    Closed(Closed),
}

/// A message that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) kind: Kind,
    pub(super) bytes: Vec<u8>,
}

/// The head of a request or a response: method and target, or status and subprotocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) first: String,
    pub(super) second: String,
    pub(super) fields: Vec<(String, Vec<u8>)>,
}

impl Record {
    pub(super) fn new(config: &Config) -> Record {
        Record { happened: Vec::new(), partial: None, body: Vec::new(), echoed: Vec::new(), config: config.clone() }
    }

    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self.happened.last(), Some(Happening::Closed(_)))
    }

    /// The session's last word but Closed.
    pub(super) fn fault(&self) -> Option<Error> {
        self.happened.iter().find_map(|happening| match happening {
            Happening::Failed(error) => Some(*error),
            _ => None,
        })
    }

    /// All Pings, and after how many happenings they came.
    pub(super) fn pings(&self) -> Vec<(usize, &[u8])> {
        let told = self.happened.iter().zip(1..);
        told.filter_map(|(happening, at)| match happening {
            Happening::Ping(payload) => Some((at, &payload[..])),
            _ => None,
        })
        .collect()
    }

    /// Keeps something that is no session's event.
    pub(super) fn push(&mut self, happening: Happening) {
        assert!(!self.is_over(), "{happening:?} after Closed");
        self.happened.push(happening);
    }

    /// What cannot happen here did.
    pub(super) fn never(&self, what: &str, how: impl core::fmt::Debug) {
        assert!(self.happened.is_empty() && what.is_empty(), "{what}: {how:?} behind {:?}", self.happened);
    }

    /// Keeps an event of a session, if it may come here.
    pub(super) fn event(&mut self, event: Event<'_>) {
        let closing = match self.happened.last() {
            Some(Happening::Closed(_)) => {
                assert_eq!(Some(event), None, "an event after Closed");
                return;
            }
            Some(last @ (Happening::Closing(..) | Happening::Failed(_))) => Some(last),
            _ => None,
        };
        match (closing, event) {
            (Some(Happening::Closing(code, _)), Event::Closed(closed)) => {
                assert_eq!((closed.code, closed.clean), (*code, true), "Closed does not tell the peer's Close");
            }
            (Some(_), Event::Closed(closed)) => {
                let fault = Closed { code: None, clean: false, cause: Cause::Fault };
                assert_eq!(closed, fault, "Closed does not tell the fault");
            }
            (Some(last), event) => assert_eq!(Some(event), None, "an event after {last:?}"),
            (None, Event::Closed(closed)) => assert!(!closed.clean, "clean without a Close: {closed:?}"),
            (None, _) => {}
        }
        match event {
            Event::Message(message) => {
                assert_eq!(self.config.delivery, Delivery::Messages, "a whole message where chunks were asked for");
                self.message(Whole::of(message));
            }
            Event::Chunk(chunk) => {
                assert_eq!(self.config.delivery, Delivery::Chunks, "a chunk where whole messages were asked for");
                assert_eq!(chunk.first, self.partial.is_none(), "a chunk that is wrong about being the first");
                assert!(chunk.last || !chunk.data.as_bytes().is_empty(), "an empty chunk in mid-message");
                let mut joined = self.partial.take().unwrap_or_else(|| Whole::of(empty(chunk.data.kind())));
                assert_eq!(joined.kind, chunk.data.kind(), "a message changed its kind");
                assert_utf8(joined.kind, chunk.data.as_bytes());
                joined.bytes.extend_from_slice(chunk.data.as_bytes());
                assert!(joined.bytes.len() as u64 <= self.config.limits.message, "a message beyond the limit");
                if chunk.last {
                    self.message(joined);
                } else {
                    self.partial = Some(joined);
                }
            }
            Event::Ping(payload) => {
                assert!(payload.len() <= 125, "a long Ping");
                self.push(Happening::Ping(payload.to_vec()));
            }
            Event::Pong(payload) => {
                assert!(payload.len() <= 125, "a long Pong");
                self.push(Happening::Pong(payload.to_vec()));
            }
            Event::Closing { code, reason } => {
                assert!(reason.len() <= 123 && (code.is_some() || reason.is_empty()), "{code:?} {reason:?}");
                self.push(Happening::Closing(code, reason.to_owned()));
            }
            Event::Failed(error) => self.push(Happening::Failed(error)),
            Event::Closed(closed) => self.push(Happening::Closed(closed)),
        }
    }

    fn message(&mut self, message: Whole) {
        assert!(message.bytes.len() as u64 <= self.config.limits.message, "a message beyond the limit");
        assert_utf8(message.kind, &message.bytes);
        self.push(Happening::Message(message));
    }
}

impl Whole {
    pub(super) fn of(message: Message<'_>) -> Whole {
        Whole { kind: message.kind(), bytes: message.as_bytes().to_vec() }
    }

    /// The message again. Text that is none comes out empty.
    pub(super) fn as_message(&self) -> Message<'_> {
        match self.kind {
            Kind::Text => Message::Text(core::str::from_utf8(&self.bytes).unwrap_or_default()),
            Kind::Binary => Message::Binary(&self.bytes),
        }
    }
}

impl Head {
    pub(super) fn new(first: &str, second: &str, fields: Fields<'_>) -> Head {
        let fields = fields.iter().map(|field| (field.name.to_owned(), field.value.to_vec())).collect();
        Head { first: first.to_owned(), second: second.to_owned(), fields }
    }
}

fn empty(kind: Kind) -> Message<'static> {
    match kind {
        Kind::Text => Message::Text(""),
        Kind::Binary => Message::Binary(&[]),
    }
}

/// The type says so; whether a piece was cut between characters is for the standard library to say.
fn assert_utf8(kind: Kind, bytes: &[u8]) {
    if kind == Kind::Text {
        assert!(core::str::from_utf8(bytes).is_ok(), "text that is not UTF-8: {bytes:?}");
    }
}
