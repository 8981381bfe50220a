//! What should a receiver make of a stream of frames? (RFC 6455 §5, §7.4, §8.1, RFC 7692 §6)
//!
//! The RFC read once more, slowly, on the whole input at once, with nothing taken from the engine but the names of its
//! errors. What a session tells is held against this. Of a compressed message that has more than one fault, or one that only
//! some reads show, it may tell either.

use alloc::borrow::ToOwned;
use alloc::vec::Vec;

use super::inflater::{Inflater, Inflating};
use super::record::{Happening, Record, Whole};
use crate::config::{Config, Delivery, Limits};
use crate::error::{CloseCode, Error};
use crate::event::{Cause, Closed, Kind};
use crate::frame::header::{Expect, Header, OpCode};

/// What is to be told of an input, and the message that it leaves unfinished.
pub(super) struct Expected {
    happened: Vec<Happening>,
    partial: Option<Whole>,
}

/// How the session stands apart from its input.
pub(super) struct Circumstances {
    /// Frames come masked.
    pub(super) masked: bool,
    /// Our Close went out before the input came.
    pub(super) closing: bool,
    /// The transport ends behind the input.
    pub(super) ends: bool,
    /// What was agreed on for the messages of the peer.
    pub(super) inflater: Option<Inflater>,
}

impl Expected {
    /// Reads all frames of `input`, of which this was told.
    pub(super) fn of(input: &[u8], limits: &Limits, circumstances: &Circumstances, told: &Record) -> Expected {
        let mut reader = Reader {
            limits,
            masked: circumstances.masked,
            inflater: circumstances.inflater.clone(),
            told,
            happened: Vec::new(),
            message: None,
        };
        let code = match reader.read(input) {
            Ok(code) => code,
            Err(error) => {
                reader.tell(Happening::Failed(error));
                reader.tell(Happening::Closed(Closed { code: None, clean: false, cause: Cause::Fault }));
                return reader.done();
            }
        };
        if let Some(code) = code {
            let cause = if circumstances.closing { Cause::Local } else { Cause::Peer };
            reader.tell(Happening::Closed(Closed { code, clean: true, cause }));
        } else if circumstances.ends {
            reader.tell(Happening::Closed(Closed { code: None, clean: false, cause: Cause::Eof }));
        }
        reader.done()
    }

    /// Compares with what was told.
    pub(super) fn assert_is(&self, record: &Record, config: &Config) {
        assert_eq!(record.happened, self.happened, "told on the left, to be told on the right");
        let Some(told) = &record.partial else {
            let unfinished = self.partial.as_ref().map_or(&[][..], whole_characters);
            let silent = config.delivery == Delivery::Messages || record.fault().is_some();
            assert!(silent || unfinished.is_empty(), "no chunk told of {unfinished:?}");
            return;
        };
        assert_eq!(config.delivery, Delivery::Chunks, "a chunk where whole messages were asked for");
        let Some(partial) = &self.partial else {
            assert!(told.bytes.is_empty(), "chunks of a message that was never there: {told:?}");
            return;
        };
        assert_eq!(told.kind, partial.kind, "chunks of the wrong kind");
        if record.fault().is_some() {
            assert!(partial.bytes.starts_with(&told.bytes), "chunks {told:?} of {partial:?}");
        } else {
            assert_eq!(told.bytes, whole_characters(partial), "the chunks of an unfinished message");
        }
    }
}

/// Reads the header that `bytes` begins with. The verdict comes with the number of bytes that it takes: to prove a fault,
/// or for the whole header.
pub(super) fn header(bytes: &[u8], expect: Expect) -> Option<(usize, Result<Header, Error>)> {
    let fault = |at, error| Some((at, Err(error)));
    let first = *bytes.first()?;
    let begins_message = matches!(first & 0b1111, 1 | 2);
    let limit = match first & 0b0111_0000 {
        0 => expect.message,
        0b0100_0000 if begins_message && expect.compressed.is_some() => expect.compressed.unwrap_or_default(),
        _ => return fault(1, Error::ReservedBits),
    };
    let compressed = first & 0b0100_0000 != 0;
    let opcode = match first & 0b1111 {
        0 => OpCode::Continuation,
        1 => OpCode::Text,
        2 => OpCode::Binary,
        8 => OpCode::Close,
        9 => OpCode::Ping,
        10 => OpCode::Pong,
        _ => return fault(1, Error::ReservedOpcode),
    };
    let (fin, control) = (first >= 128, first & 0b1000 != 0);
    if control && !fin {
        return fault(1, Error::FragmentedControl);
    }
    if !control {
        match (opcode == OpCode::Continuation, expect.continuation) {
            (true, false) => return fault(1, Error::UnexpectedContinuation),
            (false, true) => return fault(1, Error::ExpectedContinuation),
            _ if !expect.fragment => return fault(1, Error::TooManyFragments),
            _ => {}
        }
    }

    let second = *bytes.get(1)?;
    if (second >= 128) != expect.masked {
        return fault(2, if expect.masked { Error::UnmaskedFrame } else { Error::MaskedFrame });
    }
    let seven_bits = second % 128;
    if control && seven_bits > 125 {
        return fault(2, Error::ControlTooLong);
    }
    if opcode == OpCode::Close && seven_bits == 1 {
        return fault(2, Error::InvalidCloseBody);
    }
    let width = match seven_bits {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    if width == 8 && *bytes.get(2)? >= 128 {
        return fault(3, Error::LengthOverflow);
    }
    let end = 2 + width;
    let length = match width {
        0 => u64::from(seven_bits),
        _ => bytes.get(2..end)?.iter().fold(0, |length, byte| length * 256 + u64::from(*byte)),
    };
    if (width == 2 && length <= 125) || (width == 8 && length <= 65_535) {
        return fault(end, Error::LengthNotMinimal);
    }
    if !control && length > expect.frame {
        return fault(end, Error::FrameTooBig);
    }
    if !control && length > limit {
        return fault(end, Error::MessageTooBig);
    }

    let masking_key = match (expect.masked, bytes.get(end..end + 4)) {
        (false, _) => [0; 4],
        (true, Some(key)) => [key[0], key[1], key[2], key[3]],
        (true, None) => return None,
    };
    Some((if expect.masked { end + 4 } else { end }, Ok(Header { fin, compressed, opcode, length, masking_key })))
}

struct Reader<'l> {
    limits: &'l Limits,
    masked: bool,
    inflater: Option<Inflater>,
    told: &'l Record,
    happened: Vec<Happening>,
    message: Option<Begun>,
}

/// A message whose last frame has not ended.
struct Begun {
    whole: Whole,
    fragments: u32,
    announced: u64,
    /// What it is compressed to.
    inflating: Option<Inflating>,
    /// So many bytes of text are known to be valid.
    valid: usize,
}

impl Reader<'_> {
    /// Reads up to the end of the input, a fault, or a Close, whose code it gives.
    fn read(&mut self, mut input: &[u8]) -> Result<Option<Option<CloseCode>>, Error> {
        while let Some((size, verdict)) = header(input, self.expected_header()) {
            let header = verdict?;
            let there = &input[size..];
            let length = there.len().min(usize::try_from(header.length).unwrap_or(usize::MAX));
            let complete = length as u64 == header.length;
            let unmasked = there[..length].iter().enumerate().map(|(at, byte)| byte ^ header.masking_key[at % 4]);
            let payload: Vec<u8> = unmasked.collect();
            input = &there[length..];
            match header.opcode {
                OpCode::Text => self.begin(Kind::Text, &header),
                OpCode::Binary => self.begin(Kind::Binary, &header),
                OpCode::Continuation => self.go_on(&header),
                _ if !complete => break,
                OpCode::Ping => self.tell(Happening::Ping(payload.clone())),
                OpCode::Pong => self.tell(Happening::Pong(payload.clone())),
                OpCode::Close => return self.close(&payload).map(Some),
            }
            if !header.opcode.is_control() {
                self.append(&payload, header.fin && complete)?;
            }
        }
        Ok(None)
    }

    fn expected_header(&self) -> Expect {
        let (fragments, announced) = self.message.as_ref().map_or((0, 0), |begun| (begun.fragments, begun.announced));
        let wire = self.inflater.as_ref().map(|_| Inflater::wire(self.limits));
        let is_compressed = self.message.as_ref().is_some_and(|begun| begun.inflating.is_some());
        let limit = wire.filter(|_| is_compressed).unwrap_or(self.limits.message);
        Expect {
            masked: self.masked,
            continuation: self.message.is_some(),
            fragment: fragments < self.limits.fragments,
            frame: self.limits.frame,
            message: limit - announced,
            compressed: wire,
        }
    }

    fn begin(&mut self, kind: Kind, header: &Header) {
        let whole = Whole { kind, bytes: Vec::new() };
        let inflating = self.inflater.as_ref().filter(|_| header.compressed).map(Inflater::begin);
        self.message = Some(Begun { whole, fragments: 1, announced: header.length, inflating, valid: 0 });
    }

    fn go_on(&mut self, header: &Header) {
        if let Some(message) = &mut self.message {
            message.fragments += 1;
            message.announced += header.length;
        }
    }

    fn append(&mut self, payload: &[u8], last: bool) -> Result<(), Error> {
        let Some(mut message) = self.message.take() else { return Ok(()) };
        let (mut surely, mut perhaps) = (Vec::new(), Vec::new());
        if let Some(inflating) = &mut message.inflating {
            inflating.push(payload, self.limits);
            if last {
                inflating.finish();
            }
            let known = message.whole.bytes.len();
            message.whole.bytes.extend_from_slice(&inflating.plain()[known..]);
            (surely, perhaps) = (inflating.surely.clone(), inflating.perhaps.clone());
        } else {
            message.whole.bytes.extend_from_slice(payload);
        }
        if message.whole.kind == Kind::Text
            && let Err(error) = core::str::from_utf8(&message.whole.bytes[message.valid..])
        {
            message.valid += error.valid_up_to();
            if error.error_len().is_some() || last {
                surely.push(Error::InvalidUtf8);
            }
        } else {
            message.valid = message.whole.bytes.len();
        }
        perhaps.extend(&surely);
        // Of what chunks told, the fault was found behind.
        let is_behind = self.told.partial.as_ref().is_none_or(|told| told.bytes.len() <= message.whole.bytes.len());
        let fault = match self.told.happened.get(self.happened.len()) {
            Some(Happening::Failed(error)) if is_behind && perhaps.contains(error) => Some(*error),
            _ => surely.first().copied(),
        };
        if let Some(error) = fault {
            self.message = Some(message);
            return Err(error);
        }
        if last {
            self.tell(Happening::Message(message.whole));
            if let (Some(inflater), Some(inflating)) = (&mut self.inflater, message.inflating) {
                inflater.end(inflating);
            }
        } else {
            self.message = Some(message);
        }
        Ok(())
    }

    fn close(&mut self, body: &[u8]) -> Result<Option<CloseCode>, Error> {
        let (code, reason) = match body {
            [] => (None, ""),
            [high, low, reason @ ..] => {
                let code = u16::from(*high) * 256 + u16::from(*low);
                let allowed = match code {
                    // RFC 6455 §7.4.1 and the IANA registry; then §7.4.2 for libraries and for private use.
                    1000 | 1001 | 1002 | 1003 | 1007 | 1008 | 1009 | 1010 | 1011 | 1012 | 1013 | 1014 => true,
                    _ => code / 1000 == 3 || code / 1000 == 4,
                };
                let code = CloseCode::new(code).filter(|_| allowed).ok_or(Error::InvalidCloseCode)?;
                (Some(code), core::str::from_utf8(reason).map_err(|_| Error::InvalidCloseReason)?)
            }
            [_] => return Err(Error::InvalidCloseBody),
        };
        self.tell(Happening::Closing(code, reason.to_owned()));
        Ok(code)
    }

    fn tell(&mut self, happening: Happening) {
        self.happened.push(happening);
    }

    fn done(self) -> Expected {
        Expected { happened: self.happened, partial: self.message.map(|message| message.whole) }
    }
}

/// What chunks can tell of an unfinished message: text without the character that has not ended.
fn whole_characters(message: &Whole) -> &[u8] {
    match (message.kind, core::str::from_utf8(&message.bytes)) {
        (Kind::Text, Err(error)) => &message.bytes[..error.valid_up_to()],
        _ => &message.bytes,
    }
}
