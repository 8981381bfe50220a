//! Is any head of a request judged, and answered, as the RFCs ask? (RFC 6455 §4.2, RFC 9112)
//!
//! Heads are read a second time by httparse, and what RFC 6455 §4.2.1 asks of them is asked again of its reading:
//! everything that is wrong with a head is listed, and the engine must name one of it.

use alloc::vec::Vec;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::endpoint::{self, Application, Decision};
use super::record::{Happening, Head, Record};
use super::reference::{Circumstances, Expected};
use super::setup::{self, Choices, NOW};
use super::wire::{self, Parsed, Shape};
use crate::config::{Config, OriginPolicy};
use crate::error::RequestError;
use crate::event::{Cause, Closed};
use crate::handshake::Accept;
use crate::server::{Server, SessionId};
use crate::time::Timer;
use crate::websocket::Transport;

/// Bytes from a client, from the first one on.
pub fn request_head(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut flags, mut more) = (choices.flags(), choices.flags());
    let origin = match flags.four() {
        0 => OriginPolicy::SameHost,
        1 => OriginPolicy::Any,
        2 => OriginPolicy::list(["https://a.example"]),
        _ => OriginPolicy::custom(|origin, host| origin.len() > host.len()),
    };
    let require_origin = flags.flag();
    let decision = [Decision::Accept, Decision::Reject, Decision::Drop, Decision::AcceptLater];
    let application = Application { decision: decision[usize::from(flags.four())], echoes: flags.flag() };
    let config = Config { origin, require_origin, ..setup::config(&mut more) };
    let (cuts, bytes) = (choices.cuts(), choices.rest());
    if bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\n") {
        return; // no head of HTTP/1.1
    }

    let mut server = Server::new(setup::shared(&config), NOW);
    let mut record = Record::new(&config);
    endpoint::feed(&mut server, bytes, &cuts, &application, &mut record);
    if application.decision == Decision::AcceptLater
        && let Some(offer) = server.offer(SessionId::HTTP1, NOW)
    {
        offer.accept(Accept::new());
    }
    let mut served = Served { config: &config, application, server, record, output: Vec::new() };
    served.drain();
    served.assert_right(bytes);
}

/// What came of a request.
struct Served<'c> {
    config: &'c Config,
    application: Application,
    server: Server,
    record: Record,
    output: Vec<u8>,
}

impl Served<'_> {
    fn assert_right(&mut self, bytes: &[u8]) {
        let (head, behind) = wire::split_head(bytes);
        if self.record.happened.is_empty() {
            assert!(head.is_none() && Shape::of(bytes).is_within(&self.config.limits), "nothing was told of this head");
            return self.assert_times_out(408, &Happening::Refused(RequestError::TimedOut));
        }
        match self.record.happened.remove(0) {
            Happening::Offer(told) => {
                let Some(request) = self.assert_allowed(&told, bytes, head) else { return };
                assert!(is_upgrade(&request), "offered, but no upgrade");
                assert_eq!((&told.first[..], &told.second[..]), (host_of(&request), request.target));
                self.assert_offer_answered(&request, behind);
            }
            Happening::Request(told) => {
                let Some(request) = self.assert_allowed(&told, bytes, head) else { return };
                assert!(!is_upgrade(&request), "an upgrade, but not offered");
                assert_eq!((&told.first[..], &told.second[..]), (request.method, request.target));
                let status = match self.application.decision {
                    Decision::Accept => 200,
                    Decision::Reject => 204,
                    Decision::Drop | Decision::AcceptLater => return self.assert_unanswered(),
                };
                assert_eq!(self.record.happened, [], "behind the request");
                self.assert_final(status, request.method == "HEAD");
            }
            Happening::Refused(error) => {
                assert!(possible_refusals(bytes, self.config).contains(&error), "{error:?}: nothing of that kind");
                assert_eq!(self.record.happened, [], "behind the refusal");
                // A head that is too large is not read.
                let is_read = Shape::of(&bytes[..bytes.len() - behind.len()]).is_within(&self.config.limits);
                let request = head.filter(|_| is_read).and_then(wire::request);
                self.assert_final(error.status(), request.is_some_and(|request| request.method == "HEAD"));
            }
            other => assert_eq!(Some(other), None, "no connection begins like that"),
        }
    }

    /// The head was read as httparse reads it, and nothing is wrong with it.
    fn assert_allowed<'h>(&self, told: &Head, bytes: &[u8], head: Option<&'h [u8]>) -> Option<Parsed<'h>> {
        let length = wire::empty_lines(bytes) + head.map_or(0, <[u8]>::len);
        assert!(Shape::of(&bytes[..length]).is_within(&self.config.limits), "a head beyond the limits");
        let request = head.and_then(wire::request);
        assert!(request.is_some(), "httparse reads no request");
        let request = request?;
        assert_eq!(told.fields, request.fields, "fields as told, and as httparse reads them");
        let wrong = Wrong::with(&request, self.config).surely;
        assert_eq!(wrong, [], "accepted, although");
        Some(request)
    }

    fn assert_offer_answered(&mut self, request: &Parsed<'_>, behind: &[u8]) {
        match self.application.decision {
            Decision::Reject => {
                assert_eq!(self.record.happened, [], "behind the rejection");
                self.assert_final(403, false);
            }
            Decision::Drop | Decision::AcceptLater if !behind.is_empty() => {
                let closed = Happening::Closed(Closed { code: None, clean: false, cause: Cause::Fault });
                assert_eq!(self.record.happened, [Happening::Refused(RequestError::EarlyData), closed]);
                self.assert_final(400, false);
            }
            Decision::Drop => {
                assert!(self.server.offer(SessionId::HTTP1, NOW).is_some(), "the offer is gone");
                self.assert_unanswered();
            }
            Decision::Accept | Decision::AcceptLater => {
                self.assert_upgraded(request);
                let circumstances = Circumstances { masked: true, closing: false, ends: false, inflater: None };
                let expected = Expected::of(behind, &self.config.limits, &circumstances, &self.record);
                expected.assert_is(&self.record, self.config);
                endpoint::time_out(&mut self.server, &self.application, &mut self.record);
            }
        }
    }

    fn assert_upgraded(&self, request: &Parsed<'_>) {
        let response = wire::response(&self.output);
        assert!(response.is_some(), "no response");
        let Some(response) = response else { return };
        assert_eq!((response.status, response.version), (101, 1));
        assert_eq!(response.once("upgrade"), Some(&b"websocket"[..]));
        assert!(response.lists("connection", "upgrade"));
        let accept = request.once("sec-websocket-key").map(wire::accept).unwrap_or_default();
        assert_eq!(response.once("sec-websocket-accept"), Some(accept.as_bytes()));
        assert_eq!(response.all("sec-websocket-extensions").count(), 0, "an extension that nobody knows");
        let offered = request.elements("sec-websocket-protocol");
        let chosen = response.elements("sec-websocket-protocol");
        let choice = offered.iter().find(|name| ["chat", "superchat"].contains(&name.as_str()));
        let choice = choice.filter(|_| self.application.decision == Decision::Accept);
        assert_eq!(chosen.first(), choice, "the subprotocol");
        wire::frames(response.rest, false, false);
    }

    /// One response, and the connection ends.
    fn assert_final(&mut self, status: u16, to_head: bool) {
        wire::assert_final_response(&self.output, status, to_head);
        assert_eq!(self.server.transport(), Transport::ShutdownWrite);
        self.server.receive_eof(NOW);
        assert_eq!((self.server.transport(), self.server.is_closed()), (Transport::Close, true));
        let told = self.record.happened.len();
        endpoint::settle(&mut self.server, &self.application, &mut self.record);
        assert_eq!(self.record.happened.len(), told, "behind the end");
    }

    fn assert_unanswered(&mut self) {
        let closed = Closed { code: None, clean: false, cause: Cause::Timeout(Timer::Open) };
        self.assert_times_out(503, &Happening::Closed(closed));
    }

    /// Nothing was answered; when time is up, that is.
    fn assert_times_out(&mut self, status: u16, last: &Happening) {
        assert_eq!(self.output, [], "an answer to what needs none yet");
        assert_eq!((self.server.transport(), self.server.is_closed()), (Transport::Open, false));
        let deadline = self.server.poll_timeout();
        assert_eq!(deadline, Some((NOW + self.config.limits.open_timeout, Timer::Open)));
        self.server.handle_timeout(deadline.map_or(NOW, |(deadline, _)| deadline));
        endpoint::settle(&mut self.server, &self.application, &mut self.record);
        assert_eq!(self.record.happened.last(), Some(last));
        self.drain();
        self.assert_final(status, false);
    }

    fn drain(&mut self) {
        endpoint::drain(&mut self.server, &mut self.output);
    }
}

/// All that is wrong with a request.
#[derive(Default)]
struct Wrong {
    surely: Vec<RequestError>,
    /// Where this file does not look so closely.
    perhaps: Vec<RequestError>,
}

impl Wrong {
    fn with(request: &Parsed<'_>, config: &Config) -> Wrong {
        let mut wrong = Wrong::default();
        let hosts: Vec<_> = request.all("host").collect();
        wrong.add(RequestError::InvalidHost, hosts.len() > 1 || (hosts.is_empty() && request.version == 1));
        let host = host_of(request);
        let is_host = !host.is_empty() && !host.bytes().any(|byte| b" \t/?#@".contains(&byte));
        wrong.add(RequestError::InvalidHost, !is_host && (!hosts.is_empty() || is_absolute(request)));
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
        if !host.bytes().all(is_plain) {
            wrong.perhaps.push(RequestError::InvalidHost);
        }
        let lengths: Vec<_> = request.all("content-length").collect();
        let is_length = |length: &[u8]| !length.is_empty() && length.iter().all(u8::is_ascii_digit);
        wrong.add(RequestError::Malformed, lengths.len() > 1 || !lengths.iter().all(|length| is_length(length)));
        let has_body = lengths.iter().any(|length| length.iter().any(|digit| (b'1'..=b'9').contains(digit)));
        wrong.add(RequestError::Body, has_body || request.all("transfer-encoding").count() > 0);
        if is_upgrade(request) {
            wrong.add_upgrade(request, config, host);
        }
        wrong
    }

    fn add(&mut self, error: RequestError, wrong: bool) {
        if wrong {
            self.surely.push(error);
        }
    }

    fn add_upgrade(&mut self, request: &Parsed<'_>, config: &Config, host: &str) {
        self.add(RequestError::InvalidHost, host.is_empty());
        self.add(RequestError::MethodNotAllowed, request.method != "GET");
        self.add(RequestError::OldHttpVersion, request.version == 0);
        self.add(RequestError::MissingConnectionUpgrade, !request.lists("connection", "upgrade"));
        self.add(RequestError::InvalidTarget, request.target.contains('#') || !request.target.contains('/'));
        if !request.target.starts_with('/') || !request.target.bytes().all(|byte| byte.is_ascii_graphic()) {
            self.perhaps.push(RequestError::InvalidTarget);
        }
        match request.once("sec-websocket-version") {
            Some(version) => self.add(RequestError::UnsupportedVersion, version != b"13"),
            None => self.surely.push(RequestError::InvalidVersion),
        }
        let keys = request.all("sec-websocket-key").count();
        self.add(RequestError::MissingKey, keys == 0);
        let nonce = request.once("sec-websocket-key").and_then(|key| STANDARD.decode(key).ok());
        self.add(RequestError::InvalidKey, keys > 0 && nonce.is_none_or(|nonce| nonce.len() != 16));
        let origins: Vec<_> = request.all("origin").collect();
        self.add(RequestError::RepeatedOrigin, origins.len() > 1);
        self.add(RequestError::MissingOrigin, origins.is_empty() && config.require_origin);
        if let [origin] = origins[..] {
            let origin = core::str::from_utf8(origin);
            let allowed = origin.is_ok_and(|origin| config.origin.allows(origin, host));
            self.add(RequestError::ForbiddenOrigin, !allowed);
        }
        let offered = request.elements("sec-websocket-protocol");
        let repeated = (1..offered.len()).any(|at| offered[..at].contains(&offered[at]));
        let valid = !repeated && offered.len() <= 64 && offered.iter().all(|name| wire::is_token(name));
        let listed = request.all("sec-websocket-protocol").count() > 0;
        self.add(RequestError::InvalidSubprotocol, !valid || (listed && offered.is_empty()));
        for extensions in request.all("sec-websocket-extensions") {
            let possible =
                |byte: &u8| byte.is_ascii_graphic() && !b"(){}[]<>/:?@".contains(byte) || b" \t".contains(byte);
            self.add(RequestError::InvalidExtensions, extensions.is_empty() || !extensions.iter().all(possible));
            self.perhaps.push(RequestError::InvalidExtensions);
        }
    }
}

/// Every reason that there is to refuse what these bytes begin with.
fn possible_refusals(bytes: &[u8], config: &Config) -> Vec<RequestError> {
    let (head, behind) = wire::split_head(bytes);
    let shape = Shape::of(&bytes[..bytes.len() - behind.len()]);
    let mut possible = Wrong::default();
    possible.add(RequestError::HeadTooLarge, shape.bytes > config.limits.head);
    possible.add(RequestError::TargetTooLong, shape.first_line > config.limits.target + 2);
    possible.add(RequestError::TooManyFields, shape.fields > config.limits.fields);
    possible.add(RequestError::Malformed, shape.has_bare_line_feed);
    let mut possible = possible.surely;
    match head.map(wire::request) {
        Some(Some(request)) => {
            let wrong = Wrong::with(&request, config);
            possible.extend(wrong.surely);
            possible.extend(wrong.perhaps);
        }
        Some(None) => possible.extend([RequestError::Malformed, RequestError::UnsupportedHttpVersion]),
        None => {}
    }
    possible
}

/// The host that is addressed: in the target, if it is absolute, else in the field (RFC 9112 §3.2.2).
fn host_of<'p>(request: &'p Parsed<'_>) -> &'p str {
    if is_absolute(request) {
        let authority = request.target.split_once("://").map_or("", |(_, rest)| rest);
        return authority.split(['/', '?']).next().unwrap_or_default();
    }
    request.all("host").next().map_or("", |host| core::str::from_utf8(host).unwrap_or_default())
}

fn is_absolute(request: &Parsed<'_>) -> bool {
    let scheme = request.target.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
    scheme.is_some_and(|scheme| ["http", "https", "ws", "wss"].contains(&scheme.as_str()))
}

fn is_upgrade(request: &Parsed<'_>) -> bool {
    request.lists("upgrade", "websocket")
}
