//! Is any response judged, and its body found, as the RFCs ask? (RFC 6455 §4.1, RFC 9112)
//!
//! Responses are read a second time by httparse, bodies by a plain reading of RFC 9112 §6 and §7.1 here.

use alloc::vec::Vec;

use super::endpoint::{self, Application, Decision};
use super::record::{Happening, Record};
use super::reference::{Circumstances, Expected};
use super::setup::{self, Choices, NOW};
use super::wire::{self, Parsed, Shape};
use crate::client::Client;
use crate::config::{Config, Limits};
use crate::error::ResponseError;
use crate::event::{Cause, Closed};
use crate::time::Timer;

/// Bytes from a server, from the first one on.
pub fn response_head(input: &[u8]) {
    let mut choices = Choices::of(input);
    let mut flags = choices.flags();
    let config = setup::config(&mut flags);
    let application = Application { decision: Decision::Accept, echoes: flags.flag() };
    let (ends, asks, is_hasty) = (flags.flag(), flags.flag(), flags.flag());
    let asked: &[&str] = if asks { &["chat", "superchat"] } else { &[] };
    let (cuts, bytes) = (choices.cuts(), choices.rest());

    let Some((mut client, request)) = endpoint::asking_client(&config, asked) else { return };
    // A server need not wait for the whole request.
    let written = if is_hasty { request.len() / 2 } else { request.len() };
    client.transmitted(written, NOW);
    let mut record = Record::new(&config);
    endpoint::feed(&mut client, bytes, &cuts, &application, &mut record);
    if ends {
        client.receive_eof(NOW);
        endpoint::settle(&mut client, &application, &mut record);
    }
    let mut output = Vec::new();
    endpoint::drain(&mut client, &mut output);
    if !matches!(record.happened.first(), Some(Happening::Rejected(_) | Happening::Unopened(_) | Happening::Closed(_)))
    {
        assert!(output.starts_with(&request[written..]), "the rest of the request goes first: {output:?}");
        output.drain(..request.len() - written);
    }
    wire::frames(&output, true, false);
    Asking { config: &config, application, asked, request: &request, ends, client, record }.assert_right(bytes);
}

/// What came of a response.
struct Asking<'c> {
    config: &'c Config,
    application: Application,
    asked: &'c [&'c str],
    request: &'c [u8],
    ends: bool,
    client: Client,
    record: Record,
}

impl Asking<'_> {
    fn assert_right(&mut self, bytes: &[u8]) {
        let heads = Heads::of(bytes, &self.config.limits);
        let Some(first) = self.record.happened.first().cloned() else {
            assert!(heads.last.is_none() && heads.are_fine, "nothing was told of these heads");
            assert!(!self.ends, "nothing was told of the end");
            self.time_out();
            assert_eq!(self.record.happened[..], over(ResponseError::TimedOut, Cause::Timeout(Timer::Open)));
            return;
        };
        match (first, &heads.last) {
            (Happening::Open(told), Some(response)) => {
                assert!(heads.are_fine, "opened by bad heads");
                assert_eq!(told.fields, response.fields, "fields as told, and as httparse reads them");
                assert_eq!(self.wrong(response), [], "opened, although");
                let chosen = response.once("sec-websocket-protocol").unwrap_or_default();
                assert_eq!(told.second.as_bytes(), chosen, "the subprotocol");
                self.record.happened.remove(0);
                let circumstances = Circumstances { masked: false, closing: false, ends: self.ends, inflater: None };
                let expected = Expected::of(response.rest, &self.config.limits, &circumstances, &self.record);
                expected.assert_is(&self.record, self.config);
                self.time_out();
            }
            (Happening::Rejected(told), Some(response)) => {
                assert!(heads.are_fine, "refused by bad heads");
                assert_eq!(told.fields, response.fields, "fields as told, and as httparse reads them");
                assert_eq!(told.first, alloc::format!("{}", response.status));
                assert_ne!(response.status, 101);
                self.assert_body(response);
                self.time_out();
            }
            (Happening::Unopened(error), last) => {
                let wrong = last.as_ref().map_or(Vec::new(), |response| self.wrong(response));
                assert!(wrong.contains(&error) || !heads.are_fine, "{error:?}: nothing of that kind");
                assert_eq!(self.record.happened[..], over(error, Cause::Fault));
                assert_eq!(self.record.body, [], "the body of no response");
            }
            (Happening::Closed(closed), None) => {
                assert!(heads.are_fine && self.ends, "it ended for nothing");
                assert_eq!(closed, Closed { code: None, clean: false, cause: Cause::Eof });
            }
            (first, _) => assert_eq!(Some(first), None, "no connection begins like that"),
        }
        assert!(self.record.is_over() && self.client.is_closed(), "{:?}", self.record.happened);
    }

    /// All that is wrong with the final response.
    fn wrong(&self, response: &Parsed<'_>) -> Vec<ResponseError> {
        let mut wrong = Vec::new();
        let mut add = |error, is_wrong| {
            if is_wrong {
                wrong.push(error);
            }
        };
        if response.status != 101 {
            add(ResponseError::MalformedBody, Content::of(response).is_none());
            return wrong;
        }
        let upgrade = response.once("upgrade");
        let accept =
            wire::request(self.request).and_then(|request| request.once("sec-websocket-key").map(wire::accept));
        let protocol = response.once("sec-websocket-protocol");
        let is_asked = protocol.is_some_and(|name| self.asked.iter().any(|asked| asked.as_bytes() == name));
        add(ResponseError::OldHttpVersion, response.version == 0);
        add(ResponseError::InvalidUpgrade, !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")));
        add(ResponseError::InvalidConnection, !response.lists("connection", "upgrade"));
        add(
            ResponseError::InvalidAccept,
            response.once("sec-websocket-accept") != accept.as_ref().map(|accept| accept.as_bytes()),
        );
        add(ResponseError::UnaskedExtension, response.all("sec-websocket-extensions").count() > 0);
        add(ResponseError::UnaskedSubprotocol, response.all("sec-websocket-protocol").count() > 0 && !is_asked);
        wrong
    }

    /// The body of a refusal was handed on as it came, and its end was seen.
    fn assert_body(&self, response: &Parsed<'_>) {
        let Some(content) = Content::of(response) else {
            assert_eq!(self.record.body, [], "a body that is not framed");
            return;
        };
        let (body, limit) = (&self.record.body, self.config.limits.body);
        assert!(body.len() as u64 <= limit, "{} bytes of body", body.len());
        let closed = Happening::Closed(Closed { code: None, clean: false, cause: Cause::Refused });
        match &self.record.happened[1..] {
            [Happening::Unopened(error), last] => {
                assert_eq!(*last, closed);
                let possible = match error {
                    ResponseError::BodyTooLarge => content.bytes.len() as u64 > limit,
                    ResponseError::MalformedBody => {
                        content.end == End::Malformed || (content.end == End::Awaited && self.ends)
                    }
                    _ => false,
                };
                assert!(possible, "{error:?}: nothing of that kind");
                assert!(content.bytes.starts_with(body), "another body: {body:?}");
                return;
            }
            [last] => {
                assert_eq!(*last, closed);
                let is_end = content.end == End::There || (content.end == End::Eof && self.ends);
                assert!(is_end, "Closed before the end of the body");
            }
            more => {
                assert_eq!(more, [], "behind a refusal");
                let is_awaited = matches!(content.end, End::Awaited | End::Eof) && !self.ends;
                assert!(is_awaited, "no Closed at the end of the body");
            }
        }
        assert_eq!(*body, content.bytes, "another body");
    }

    fn time_out(&mut self) {
        endpoint::time_out(&mut self.client, &self.application, &mut self.record);
    }
}

/// The heads that a stream begins with, read one after the other.
struct Heads<'b> {
    /// Nothing is wrong with any of them, as far as they are there.
    are_fine: bool,
    /// The head of the final response.
    last: Option<Parsed<'b>>,
}

impl<'b> Heads<'b> {
    fn of(mut bytes: &'b [u8], limits: &Limits) -> Heads<'b> {
        let mut interim = 0;
        loop {
            let (head, behind) = wire::split_head(bytes);
            let there = &bytes[..bytes.len() - behind.len()];
            let parsed = head.and_then(|_| wire::response(bytes));
            let may_be = head.is_none() || parsed.as_ref().is_some_and(|head| (100..=599).contains(&head.status));
            let are_fine = interim <= 8 && may_be && Shape::of(there).is_within(limits);
            match parsed {
                Some(parsed) if are_fine && (100..200).contains(&parsed.status) && parsed.status != 101 => {
                    interim += 1;
                    bytes = behind;
                }
                last => return Heads { are_fine, last },
            }
        }
    }
}

/// The body of a response, as far as it is there.
struct Content {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    There,
    /// More is to come.
    Awaited,
    /// The end of the connection is its end.
    Eof,
    Malformed,
}

impl Content {
    /// Reads it; none if the head does not say how.
    fn of(response: &Parsed<'_>) -> Option<Content> {
        let rest = response.rest;
        if matches!(response.status, 100..=199 | 204 | 304) {
            return Some(Content { bytes: Vec::new(), end: End::There });
        }
        let lengths: Vec<_> = response.all("content-length").collect();
        let codings: Vec<_> = response.all("transfer-encoding").collect();
        match (&lengths[..], &codings[..]) {
            ([], []) => Some(Content { bytes: rest.to_vec(), end: End::Eof }),
            ([length], []) if !length.is_empty() && length.iter().all(u8::is_ascii_digit) => {
                let length: u64 = core::str::from_utf8(length).ok()?.parse().ok()?;
                let there = usize::try_from(length).ok().and_then(|length| rest.get(..length));
                let end = if there.is_some() { End::There } else { End::Awaited };
                Some(Content { bytes: there.unwrap_or(rest).to_vec(), end })
            }
            ([], [coding]) if coding.eq_ignore_ascii_case(b"chunked") => {
                let mut bytes = Vec::new();
                let end = read_chunks(rest, &mut bytes);
                Some(Content { bytes, end })
            }
            _ => None,
        }
    }
}

/// Reads chunks up to the end of the trailers.
fn read_chunks(mut rest: &[u8], content: &mut Vec<u8>) -> End {
    loop {
        let (line, after) = match Line::of(rest) {
            Line::Complete(line, after) => (line, Some(after)),
            Line::Awaited(line) => (line, None),
            Line::Malformed => return End::Malformed,
        };
        let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let is_size = matches!((digits, &line[digits..]), (1..=15, [] | [b';' | b' ' | b'\t', ..]));
        let after = match after {
            Some(after) if is_size => after,
            None if is_size || line.is_empty() => return End::Awaited,
            _ => return End::Malformed,
        };
        let size = core::str::from_utf8(&line[..digits]).map(|digits| u64::from_str_radix(digits, 16));
        let Ok(Ok(size)) = size else { return End::Malformed };
        if size == 0 {
            return read_trailers(after);
        }
        let there = after.len().min(usize::try_from(size).unwrap_or(usize::MAX));
        content.extend_from_slice(&after[..there]);
        rest = match Line::of(&after[there..]) {
            Line::Complete([], after) => after,
            Line::Awaited([]) => return End::Awaited,
            _ => return End::Malformed,
        };
    }
}

fn read_trailers(mut rest: &[u8]) -> End {
    loop {
        rest = match Line::of(rest) {
            Line::Complete([], _) => return End::There,
            Line::Complete(_, after) => after,
            Line::Awaited(_) => return End::Awaited,
            Line::Malformed => return End::Malformed,
        }
    }
}

/// The line that bytes begin with.
enum Line<'b> {
    /// Without its CR LF, and what follows.
    Complete(&'b [u8], &'b [u8]),
    /// What is there of it.
    Awaited(&'b [u8]),
    /// CR or LF stands alone.
    Malformed,
}

impl Line<'_> {
    fn of(bytes: &[u8]) -> Line<'_> {
        let end = bytes.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(bytes.len());
        let (line, rest) = bytes.split_at(end);
        match rest {
            [b'\r', b'\n', after @ ..] => Line::Complete(line, after),
            [] | [b'\r'] => Line::Awaited(line),
            _ => Line::Malformed,
        }
    }
}

/// How a connection ends that never opened.
fn over(error: ResponseError, cause: Cause) -> [Happening; 2] {
    [Happening::Unopened(error), Happening::Closed(Closed { code: None, clean: false, cause })]
}
