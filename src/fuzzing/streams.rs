//! Does a session understand any stream of frames as the RFC does, in whole messages and in chunks, and answer it right?

use alloc::vec::Vec;

use super::endpoint::{self, Application, Decision, Endpoint};
use super::inflater::Inflater;
use super::record::{Happening, Record};
use super::reference::{self, Circumstances, Expected};
use super::setup::{self, Choices, Cuts, NOW};
use super::wire::{self, Frame};
use crate::config::Config;
use crate::event::Kind;
use crate::frame::header::{Expect, Header, OpCode};
use crate::server::Server;
use crate::websocket::Transport;

/// Frame headers, decoded from any bytes under any expectation.
pub fn frame_header(input: &[u8]) {
    let mut choices = Choices::of(input);
    let (mut flags, mut sizes) = (choices.flags(), choices.flags());
    let size = |choice| [u64::MAX, 0, 125, 1 << 20][usize::from(choice)];
    let expect = Expect {
        masked: flags.flag(),
        continuation: flags.flag(),
        fragment: !flags.flag(),
        frame: size(sizes.four()),
        message: size(sizes.four()),
        compressed: flags.flag().then(|| size(sizes.four())),
    };
    let bytes = choices.rest();

    let verdict = reference::header(bytes, expect);
    for length in 0..=bytes.len() {
        let expected = match &verdict {
            Some((needed, verdict)) if *needed <= length => verdict.map(|header| Some((header, *needed))),
            _ => Ok(None),
        };
        let decoded = Header::decode(&bytes[..length], expect);
        assert_eq!(decoded, expected, "the first {length} of {bytes:02x?}, {expect:?}");
    }
    if let Some((size, Ok(header))) = verdict {
        let key = expect.masked.then_some(header.masking_key);
        let mut encoded = Header::encode(header.fin, header.opcode, header.length, key);
        if header.compressed {
            encoded = encoded.compressed();
        }
        assert_eq!(encoded.as_bytes(), &bytes[..size], "encoded again: {header:?}");
    }
}

/// Bytes from a client, behind an accepted handshake.
pub fn server_stream(input: &[u8]) {
    let mut choices = Choices::of(input);
    let setup = Setup::of(&mut choices);
    let mut server = Server::new(setup::shared(&setup.config), NOW);
    let mut record = Record::new(&setup.config);
    endpoint::feed(&mut server, REQUEST, &Cuts::Whole, &setup.application, &mut record);
    endpoint::drain(&mut server, &mut Vec::new());
    assert!(matches!(record.happened[..], [Happening::Offer(_)]), "{:?}", record.happened);
    setup.run(&mut server, choices.rest(), true);
}

/// Bytes from a server, behind its 101.
pub fn client_stream(input: &[u8]) {
    let mut choices = Choices::of(input);
    let setup = Setup::of(&mut choices);
    let Some((mut client, request)) = endpoint::asking_client(&setup.config, &[]) else { return };
    client.transmitted(request.len(), NOW);
    let mut record = Record::new(&setup.config);
    endpoint::feed(&mut client, &response_to(&request, &setup.config), &Cuts::Whole, &setup.application, &mut record);
    assert!(matches!(record.happened[..], [Happening::Open(_)]), "{:?}", record.happened);
    setup.run(&mut client, choices.rest(), false);
}

/// A request that every server accepts, and that offers all that there is to compress with.
pub(super) const REQUEST: &[u8] =
    b"GET /chat HTTP/1.1\r\nHost: example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";

/// The response that a client waits for. What it wishes for is agreed on.
pub(super) fn response_to(request: &[u8], config: &Config) -> Vec<u8> {
    let head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    let agreed = config.compression.as_ref().map(|compression| compression.parameters());
    let extensions = agreed.map(|agreed| alloc::format!("Sec-WebSocket-Extensions: {agreed}\r\n"));
    let request = wire::request(request);
    let accept = request.and_then(|request| request.once("sec-websocket-key").map(wire::accept));
    let (extensions, accept) = (extensions.unwrap_or_default(), accept.unwrap_or_default());
    alloc::format!("{head}{extensions}Sec-WebSocket-Accept: {accept}\r\n\r\n").into_bytes()
}

struct Setup {
    config: Config,
    cuts: Cuts,
    application: Application,
    /// The output is taken after each read, not at the end.
    drains: bool,
    /// Our Close goes out before anything comes.
    closes: bool,
    /// The transport ends behind the input.
    ends: bool,
}

impl Setup {
    fn of(choices: &mut Choices<'_>) -> Setup {
        let mut flags = choices.flags();
        let config = setup::config(&mut flags);
        Setup {
            application: Application { decision: Decision::Accept, echoes: flags.flag() },
            drains: flags.flag(),
            closes: flags.flag(),
            ends: flags.flag(),
            config: Config { compression: setup::compression(flags.four()), ..config },
            cuts: choices.cuts(),
        }
    }

    /// Feeds an open session.
    fn run(&self, endpoint: &mut impl Endpoint, input: &[u8], by_server: bool) {
        let mut record = Record::new(&self.config);
        let mut output = Vec::new();
        if self.closes {
            endpoint::close(endpoint);
        }
        for read in self.cuts.reads(input) {
            endpoint::feed_read(endpoint, read, &self.application, &mut record);
            if self.drains {
                endpoint::drain(endpoint, &mut output);
            }
        }
        if self.ends {
            endpoint.receive_eof();
            endpoint::settle(endpoint, &self.application, &mut record);
        }
        endpoint::drain(endpoint, &mut output);

        let agreed = self.config.compression.as_ref().map(|compression| compression.parameters());
        let inflater = |server| agreed.map(|agreed| Inflater::of(agreed, server));
        let circumstances =
            Circumstances { masked: by_server, closing: self.closes, ends: self.ends, inflater: inflater(!by_server) };
        Expected::of(input, &self.config.limits, &circumstances, &record).assert_is(&record, &self.config);
        let mut sent = wire::frames(&output, !by_server, agreed.is_some());
        if let Some(mut inflater) = inflater(by_server) {
            for frame in sent.iter_mut().filter(|frame| frame.compressed) {
                frame.payload = inflater.inflate(&frame.payload);
            }
        }
        self.assert_answers(&sent, &record, if by_server { 2 } else { 6 });
        self.end(endpoint, &mut record, by_server);
    }

    /// Every answer that is due was sent, in its order, and nothing else. A short frame has a header of so many bytes.
    fn assert_answers(&self, sent: &[Frame], record: &Record, header: usize) {
        let pings = record.pings();
        let (mut echoes, mut unanswered) = (&record.echoed[..], &pings[..]);
        let (mut pongs, mut last, mut closes) = (0, 0, 0);
        for frame in sent {
            assert!(frame.fin, "a fragment that nobody sent: {frame:?}");
            match frame.opcode {
                OpCode::Pong => {
                    assert!(closes == 0 || self.closes, "a Pong behind the Close that ends it");
                    let answered = unanswered.iter().position(|(_, ping)| *ping == frame.payload);
                    assert!(answered.is_some(), "{frame:?} answers none of {unanswered:?}");
                    let Some(answered) = answered else { return };
                    let at = unanswered[answered].0;
                    let in_order = answered == 0 && at >= last;
                    assert!(in_order || pongs >= endpoint::MAX_PONGS, "{frame:?} is not in its place");
                    (unanswered, last) = (&unanswered[answered + 1..], last.max(at));
                    pongs += header + frame.payload.len();
                }
                OpCode::Close => {
                    assert_eq!(Some(&frame.payload), self.close_due(record).as_ref(), "the Close");
                    closes += 1;
                }
                OpCode::Text | OpCode::Binary => {
                    assert_eq!(closes, 0, "data after the Close");
                    assert!(!echoes.is_empty(), "nobody sent {frame:?}");
                    let Some(((at, echo), rest)) = echoes.split_first() else { return };
                    assert_eq!((echo.kind, &echo.bytes), (kind_of(frame), &frame.payload), "the echo");
                    assert!(*at >= last || pongs >= endpoint::MAX_PONGS, "{frame:?} is not in its place");
                    (echoes, last) = (rest, last.max(*at));
                }
                OpCode::Continuation | OpCode::Ping => assert_eq!(Some(frame), None, "nobody sent that"),
            }
        }
        assert!(echoes.is_empty(), "an echo was not sent: {echoes:?}");
        let last_pong = sent.iter().rfind(|frame| frame.opcode == OpCode::Pong);
        let newest = pings.last().map(|(_, ping)| *ping);
        assert_eq!(last_pong.map(|pong| &pong.payload[..]), newest, "the newest Ping is answered");
        assert!(self.drains || pongs <= endpoint::MAX_PONGS + 3 * 131, "{pongs} bytes of Pongs were queued at once");
        assert_eq!(closes, usize::from(self.close_due(record).is_some()), "the number of Closes");
    }

    /// The body of the Close that should have been sent.
    fn close_due(&self, record: &Record) -> Option<Vec<u8>> {
        if self.closes {
            return Some([&1000u16.to_be_bytes()[..], b"bye"].concat());
        }
        record.happened.iter().find_map(|happening| match happening {
            Happening::Failed(error) => Some(error.close_code().get().to_be_bytes().to_vec()),
            Happening::Closing(code, _) => Some(code.map_or(Vec::new(), |code| code.get().to_be_bytes().to_vec())),
            _ => None,
        })
    }

    /// Whoever is to hang up does, and every session has its end.
    fn end(&self, endpoint: &mut impl Endpoint, record: &mut Record, by_server: bool) {
        let clean = record.happened.iter().any(|happening| matches!(happening, Happening::Closing(..)));
        let expected = match (record.is_over(), self.ends) {
            (false, _) => Transport::Open,
            (true, true) => Transport::Close,
            // The client leaves it to the server to go first.
            (true, false) if clean && !by_server => Transport::Open,
            (true, false) => Transport::ShutdownWrite,
        };
        assert_eq!(endpoint.transport(), expected, "after {:?}", record.happened.last());
        assert_eq!(endpoint.is_closed(), expected == Transport::Close, "after {:?}", record.happened.last());
        endpoint::time_out(endpoint, &self.application, record);
        assert!(record.is_over(), "it ended without Closed: {:?}", record.happened.last());
    }
}

fn kind_of(frame: &Frame) -> Kind {
    match frame.opcode {
        OpCode::Text => Kind::Text,
        _ => Kind::Binary,
    }
}
