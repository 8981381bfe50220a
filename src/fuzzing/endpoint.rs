//! How is an endpoint, server or client, driven with bytes, and what must every call keep to?

use alloc::vec::Vec;
use std::io::IoSlice;

use super::record::{Happening, Head, Record, Whole};
use super::setup::{self, Cuts, Foreseen, NOW};
use super::wire;
use crate::client::{Client, ClientEvent};
use crate::config::Config;
use crate::error::{CloseCode, RequestError, SendError};
use crate::event::Event;
use crate::handshake::{Accept, Connect, Response};
use crate::server::{Server, ServerEvent, SessionId};
use crate::time::{Instant, Timer};
use crate::websocket::{Close, Incoming, Reason, Sender, Transport};

/// What the application does.
pub(super) struct Application {
    pub(super) decision: Decision,
    /// Sends every whole message back.
    pub(super) echoes: bool,
}

/// What the application does with an offer, or with a request for something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Accept,
    Reject,
    /// Drops it, and never comes back to it.
    Drop,
    /// Comes back to it when all input was fed.
    AcceptLater,
}

/// Bytes of Pongs in the queue from which on the next one waits, and newer Pings replace it.
pub(super) const MAX_PONGS: usize = 250;

/// The most that an engine queues by itself: Pongs, one of them beyond their limit and one that waited, a Close and a Ping.
pub(super) const MAX_OWN: usize = MAX_PONGS + 4 * (6 + 125);

/// The head of a response that opens a WebSocket here.
const MAX_HEAD: usize = 256;

/// Names the calls that a server and a client share.
pub(super) trait Endpoint {
    /// Lends the next event to the application and the record; says whether there was one.
    fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        application: &Application,
        record: &mut Record,
    ) -> bool;
    fn receive_room(&mut self) -> &mut [u8];
    fn received(&mut self, count: usize);
    fn receive_eof(&mut self);
    fn sender(&mut self) -> Option<&mut Sender>;
    fn take(&mut self, out: &mut Vec<u8>);
    fn poll_timeout(&self) -> Option<(Instant, Timer)>;
    fn handle_timeout(&mut self, now: Instant);
    fn transport(&self) -> Transport;
    fn is_closed(&self) -> bool;
}

/// Feeds `bytes` in reads. Each is used up, and each event but Closed costs the peer a byte. Of what one byte inflates to there
/// may be a few chunks: what one output buffer did not take, and characters that two of them make.
pub(super) fn feed(
    endpoint: &mut impl Endpoint,
    bytes: &[u8],
    cuts: &Cuts,
    application: &Application,
    record: &mut Record,
) {
    for read in cuts.reads(bytes) {
        feed_read(endpoint, read, application, record);
    }
}

pub(super) fn feed_read(endpoint: &mut impl Endpoint, read: &[u8], application: &Application, record: &mut Record) {
    // Into its place what belongs to a long message, as a vectored read puts it.
    let room = endpoint.receive_room();
    let (front, back) = read.split_at(read.len().min(room.len()));
    room[..front.len()].copy_from_slice(front);
    endpoint.received(front.len());
    let mut read = back.to_vec();
    let mut input = &mut read[..];
    let most = if record.config().compression.is_some() { 4 } else { 0 };
    let mut free = 0;
    let mut is_placed = !front.is_empty();
    loop {
        let before = input.len();
        if !endpoint.receive(&mut input, application, record) {
            assert!(input.is_empty(), "bytes were left in the read: {input:?}");
            return;
        }
        free = if input.len() < before || record.is_over() || core::mem::take(&mut is_placed) { 0 } else { free + 1 };
        assert!(free <= most, "{free} events that cost nothing: {:?}", record.happened.last());
    }
}

/// Lends the events that no byte caused.
pub(super) fn settle(endpoint: &mut impl Endpoint, application: &Application, record: &mut Record) {
    while endpoint.receive(&mut &mut [][..], application, record) {}
}

/// Takes all that is queued, and what moves up behind it.
pub(super) fn drain(endpoint: &mut impl Endpoint, output: &mut Vec<u8>) {
    loop {
        let before = output.len();
        endpoint.take(output);
        if output.len() == before {
            return;
        }
    }
}

/// Closes from this side.
pub(super) fn close(endpoint: &mut impl Endpoint) {
    if let (Some(sender), Some(reason)) = (endpoint.sender(), Reason::new("bye")) {
        sender.close(Close::With(CloseCode::NORMAL, reason));
    }
}

/// Lets time pass, and nothing else happen, until the connection is done: all deadlines together must get there.
pub(super) fn time_out(endpoint: &mut impl Endpoint, application: &Application, record: &mut Record) {
    let mut steps = 0;
    while !endpoint.is_closed() {
        let deadline = endpoint.poll_timeout();
        assert!(deadline.is_some(), "it waits, but for no deadline: {:?}", record.happened.last());
        let Some((deadline, timer)) = deadline else { return };
        endpoint.handle_timeout(deadline);
        let still_due = endpoint.poll_timeout().is_some_and(|(next, _)| next <= deadline);
        assert!(!still_due, "{timer:?} is due again at once");
        settle(endpoint, application, record);
        drain(endpoint, &mut Vec::new());
        steps += 1;
        assert!(steps < 32, "no deadline ends it: {timer:?}");
    }
}

impl Endpoint for Server {
    fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        application: &Application,
        record: &mut Record,
    ) -> bool {
        let Some(event) = Server::receive(self, input, NOW) else { return false };
        match event {
            ServerEvent::Offer(offer) => {
                let mut subprotocols = offer.subprotocols();
                assert!(subprotocols.all(wire::is_token), "a subprotocol that is no token");
                record.push(Happening::Offer(Head::new(offer.host(), offer.target(), offer.fields())));
                match application.decision {
                    Decision::Accept => {
                        let chosen = offer.select(&["superchat", "chat"]);
                        offer.accept(Accept::new().subprotocol(chosen));
                    }
                    Decision::Reject => offer.reject(&Response::refusing(RequestError::ForbiddenOrigin)),
                    Decision::Drop => drop(offer),
                    Decision::AcceptLater => assert_eq!(offer.defer(), SessionId::HTTP1),
                }
            }
            ServerEvent::Request(request) => {
                record.push(Happening::Request(Head::new(request.method(), request.target(), request.fields())));
                match application.decision {
                    Decision::Accept => request.respond(&page(200)),
                    Decision::Reject => request.respond(&page(204)),
                    Decision::Drop => drop(request),
                    Decision::AcceptLater => assert_eq!(request.defer(), SessionId::HTTP1),
                }
            }
            ServerEvent::Refused(error) => record.push(Happening::Refused(error)),
            ServerEvent::Session(_, incoming) => session(incoming, application, record),
            ServerEvent::Closed(_, closed) => record.event(Event::Closed(closed)),
            ServerEvent::Failed(error) => record.never("HTTP/2", error),
        }
        true
    }

    fn receive_room(&mut self) -> &mut [u8] {
        Server::receive_room(self)
    }

    fn received(&mut self, count: usize) {
        Server::received(self, count, NOW);
    }

    fn receive_eof(&mut self) {
        Server::receive_eof(self, NOW);
    }

    fn sender(&mut self) -> Option<&mut Sender> {
        self.tx(SessionId::HTTP1, NOW)
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        Server::take(self, out, NOW);
    }

    fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        Server::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Server::handle_timeout(self, now);
    }

    fn transport(&self) -> Transport {
        Server::transport(self)
    }

    fn is_closed(&self) -> bool {
        Server::is_closed(self)
    }
}

impl Endpoint for Client {
    fn receive<'s, 'i: 's>(
        &'s mut self,
        input: &mut &'i mut [u8],
        application: &Application,
        record: &mut Record,
    ) -> bool {
        let Some(event) = Client::receive(self, input, NOW) else { return false };
        match event {
            ClientEvent::Open(opened) => {
                let subprotocol = opened.agreed.subprotocol().unwrap_or_default();
                record.push(Happening::Open(Head::new("101", subprotocol, opened.response.fields())));
            }
            ClientEvent::Session(_, incoming) => session(incoming, application, record),
            ClientEvent::Refused(_, response) => {
                let status = alloc::format!("{}", response.status());
                record.push(Happening::Rejected(Head::new(&status, "", response.fields())));
            }
            ClientEvent::Body(_, piece) => {
                assert!(!piece.is_empty() && !record.is_over(), "a piece of a body that is none");
                record.body.extend_from_slice(piece);
            }
            ClientEvent::Failed(_, error) => record.push(Happening::Unopened(error)),
            ClientEvent::Closed(_, closed) => record.push(Happening::Closed(closed)),
            ClientEvent::ConnectionFailed(error) => record.never("HTTP/2", error),
        }
        true
    }

    fn receive_room(&mut self) -> &mut [u8] {
        Client::receive_room(self)
    }

    fn received(&mut self, count: usize) {
        Client::received(self, count, NOW);
    }

    fn receive_eof(&mut self) {
        Client::receive_eof(self, NOW);
    }

    fn sender(&mut self) -> Option<&mut Sender> {
        self.tx(SessionId::HTTP1, NOW)
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        Client::take(self, out, NOW);
    }

    fn poll_timeout(&self) -> Option<(Instant, Timer)> {
        Client::poll_timeout(self)
    }

    fn handle_timeout(&mut self, now: Instant) {
        Client::handle_timeout(self, now);
    }

    fn transport(&self) -> Transport {
        Client::transport(self)
    }

    fn is_closed(&self) -> bool {
        Client::is_closed(self)
    }
}

/// A client that asked for `/chat` and the subprotocols, and its request, which it has yet to be told is written.
pub(super) fn asking_client(config: &Config, subprotocols: &[&str]) -> Option<(Client, Vec<u8>)> {
    let offered = |connect: Connect, name: &&str| connect.subprotocol(name);
    let connect = Connect::to("ws://example.com/chat").and_then(|to| subprotocols.iter().try_fold(to, offered));
    let client = Client::new(setup::shared(config), Foreseen, NOW);
    assert!(client.is_ok() && connect.is_ok(), "{client:?} {connect:?}");
    let mut client = client.ok()?;
    assert_eq!(client.open(&connect.ok()?, NOW), Ok(SessionId::HTTP1));
    let mut slices = [IoSlice::new(&[]); 2];
    assert_eq!(client.transmit(&mut slices), 1, "the request is one slice");
    let request = slices[0].to_vec();
    Some((client, request))
}

fn session(incoming: Incoming<'_>, application: &Application, record: &mut Record) {
    let Incoming { event, tx } = incoming;
    record.event(event);
    match event {
        Event::Message(message) if application.echoes => match tx.send(message) {
            Ok(()) => record.echoed.push((record.happened.len(), Whole::of(message))),
            Err(error) => assert!(matches!(error, SendError::Closed | SendError::Full), "{error}"),
        },
        _ => {}
    }
    if !application.echoes {
        assert!(tx.queued() <= MAX_HEAD + MAX_OWN, "{} bytes queued, none of them the caller's", tx.queued());
    }
}

fn page(status: u16) -> Response {
    let page = Response::new(status).and_then(|response| response.header("Content-Type", "text/html"));
    assert!(page.is_ok(), "{page:?}");
    page.unwrap_or_else(|_| Response::refusing(RequestError::Malformed)).body("<p>A page</p>")
}
