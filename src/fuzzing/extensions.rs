//! Is any `Sec-WebSocket-Extensions` read, answered and judged as the RFCs ask? (RFC 6455 §9.1, RFC 7692 §5 to §7)
//!
//! The field is cut into words, quoted values and separators, and those are laid out along the grammar. What may be answered
//! to what was offered is asked again here, parameter by parameter, of what the server wrote and of what a client is told.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;

use super::setup::Choices;
use super::wire;
use crate::config::{Compression, Config};
use crate::deflate::params::{DeflateParameters, WindowBits};
use crate::error::{RequestError, ResponseError};
use crate::handshake::{Accept, Asked, Classified, Connect, Fields, HttpVersion, RequestHead, ResponseHead};

/// Header fields of a request and of a response, on lines.
pub fn extensions(input: &[u8]) {
    let mut choices = Choices::of(input);
    let ours = compression(&mut choices);
    let theirs = compression(&mut choices);
    let lines: Vec<&[u8]> = match choices.rest() {
        [] => Vec::new(),
        rest => rest.split(|byte| *byte == b'\n').collect(),
    };
    let config = Config { compression: ours, ..Config::default() };
    _ = serve(&lines, &config);
    _ = ask(&lines, &config);

    // What one of us offers, another of us accepts.
    let client = Config { compression: theirs, ..Config::default() };
    let offered = offer(&client);
    let offered: Vec<&[u8]> = offered.iter().map(String::as_bytes).collect();
    let answered = serve(&offered, &config);
    let answered: Vec<&[u8]> = answered.iter().map(String::as_bytes).collect();
    let agreed = ask(&answered, &client);
    assert_eq!(agreed, Ok(answer_of(&answered)), "both know what they agreed on");
    assert_eq!(agreed.ok().flatten().is_some(), client.compression.is_some() && config.compression.is_some());
}

fn compression(choices: &mut Choices<'_>) -> Option<Compression> {
    let (mut flags, bits) = (choices.flags(), choices.byte());
    let window = |bits: u8| WindowBits::new(8 + bits % 8).unwrap_or_default();
    let compression = Compression {
        server_no_context_takeover: flags.flag(),
        client_no_context_takeover: flags.flag(),
        server_max_window_bits: window(bits),
        client_max_window_bits: window(bits >> 4),
        ..Compression::default()
    };
    (!flags.flag()).then_some(compression)
}

fn wished(config: &Config) -> Option<DeflateParameters> {
    config.compression.as_ref().map(Compression::parameters)
}

/// Offers to a server; gives what it answers.
fn serve(lines: &[&[u8]], config: &Config) -> Vec<String> {
    let fixed: [(&str, &[u8]); 5] = [
        ("Host", b"example.com"),
        ("Upgrade", b"websocket"),
        ("Connection", b"Upgrade"),
        ("Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", b"13"),
    ];
    let offers = lines.iter().map(|line| ("Sec-WebSocket-Extensions", *line));
    let fields: Vec<_> = fixed.into_iter().chain(offers).collect();
    let head = RequestHead::new("GET", "/", HttpVersion::Http11, Fields::from(&fields[..]));
    let listed = Extension::all(lines);
    let request = match head.classify(config) {
        Classified::WebSocket(request) => request,
        other => {
            assert!(matches!(other, Classified::Refused(RequestError::InvalidExtensions)), "{other:?}");
            assert_eq!(listed, None, "refused, although it follows the grammar");
            return Vec::new();
        }
    };
    let listed = listed.unwrap_or_else(|| {
        assert_eq!(lines, [b""; 0], "not refused, although it does not follow the grammar");
        Vec::new()
    });
    let (response, agreed) = request.answer(&Accept::new());
    let answer: Vec<&[u8]> = response.fields().all("Sec-WebSocket-Extensions").map(|field| field.value).collect();
    let taken = listed.iter().filter(|extension| extension.name == DEFLATE).find_map(Parameters::offered);
    let (Some(offer), Some(wished)) = (taken, wished(config)) else {
        assert_eq!((&answer[..], agreed.deflate()), (&[][..], None), "an answer to nothing");
        return Vec::new();
    };
    assert_eq!(answer_of(&answer), agreed.deflate(), "what it says, and what it does");
    let said = Extension::all(&answer).unwrap_or_default();
    let said = said.first().and_then(Parameters::answered).unwrap_or_default();
    let demanded = wished.server_no_context_takeover || offer.server_no_context_takeover;
    assert_eq!(said.server_no_context_takeover, demanded, "answers {said:?} to {offer:?}");
    let demanded = wished.client_no_context_takeover || offer.client_no_context_takeover;
    assert_eq!(said.client_no_context_takeover, demanded, "answers {said:?} to {offer:?}");
    // A demand is answered, if only by repeating it; nothing is said where nothing is limited.
    let window = offer.server_window().min(wished.server_max_window_bits.get());
    let must_say = offer.server_max_window_bits.is_some() || window < 15;
    assert_eq!(said.server_max_window_bits.map(Option::unwrap_or_default), must_say.then_some(window), "{offer:?}");
    let window = offer.client_window().min(wished.client_max_window_bits.get());
    let may_say = offer.client_max_window_bits.is_some() && window < 15;
    assert_eq!(said.client_max_window_bits.map(Option::unwrap_or_default), may_say.then_some(window), "{offer:?}");
    answer.iter().map(|line| String::from_utf8_lossy(line).into_owned()).collect()
}

/// What a client offers.
fn offer(config: &Config) -> Vec<String> {
    let Some(asked) = asked(config) else { return Vec::new() };
    let lines = Fields::from_lines(asked.lines());
    let lines: Vec<String> =
        lines.all("sec-websocket-extensions").map(|field| String::from_utf8_lossy(field.value).into_owned()).collect();
    let bytes: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
    let listed = Extension::all(&bytes).unwrap_or_default();
    let offered = listed.first().and_then(Parameters::offered);
    let expected = wished(config).map(|wished| Parameters {
        server_no_context_takeover: wished.server_no_context_takeover,
        client_no_context_takeover: wished.client_no_context_takeover,
        server_max_window_bits: limited(wished.server_max_window_bits).map(Some),
        client_max_window_bits: Some(limited(wished.client_max_window_bits)),
    });
    assert_eq!((offered, listed.len()), (expected, usize::from(expected.is_some())), "{lines:?}");
    lines
}

/// Answers a client; gives what it takes for agreed.
fn ask(lines: &[&[u8]], config: &Config) -> Result<Option<DeflateParameters>, ResponseError> {
    let Some(asked) = asked(config) else { return Ok(None) };
    let accept = wire::accept(key(&asked).as_bytes());
    let fixed: [(&str, &[u8]); 3] =
        [("Upgrade", b"websocket"), ("Connection", b"Upgrade"), ("Sec-WebSocket-Accept", accept.as_bytes())];
    let answers = lines.iter().map(|line| ("Sec-WebSocket-Extensions", *line));
    let fields: Vec<_> = fixed.into_iter().chain(answers).collect();
    let head = ResponseHead::new(101, "", HttpVersion::Http11, Fields::from(&fields[..]));
    let agreed = asked.check(&head).map(|agreed| agreed.deflate());

    let expected = match (lines, Extension::all(lines).as_deref(), wished(config)) {
        ([], _, _) => Ok(None),
        ([_], Some([extension]), Some(offered)) if extension.name == DEFLATE => {
            let answer = Parameters::answered(extension).filter(|answer| {
                answer.server_window() <= offered.server_max_window_bits.get()
                    && (answer.server_no_context_takeover || !offered.server_no_context_takeover)
            });
            answer.map(|answer| Some(answer.agreed(offered))).ok_or(ResponseError::InvalidExtension)
        }
        _ => Err(ResponseError::UnaskedExtension),
    };
    assert_eq!(agreed, expected, "the answer {:?}", lines.concat().escape_ascii());
    agreed
}

fn asked(config: &Config) -> Option<Asked> {
    let connect = Connect::to("ws://example.com/");
    assert!(connect.is_ok(), "{connect:?}");
    Some(connect.ok()?.ask([7; 16], config))
}

fn key(asked: &Asked) -> String {
    let key = Fields::from_lines(asked.lines()).first("sec-websocket-key").and_then(|field| field.text());
    key.unwrap_or_default().to_owned()
}

/// What a well-formed answer says, or nothing.
fn answer_of(lines: &[&[u8]]) -> Option<DeflateParameters> {
    let listed = Extension::all(lines)?;
    assert!(lines.len() == 1 && listed.len() == 1 && listed[0].name == DEFLATE, "{listed:?} is answered");
    let answer = Parameters::answered(&listed[0]);
    assert!(answer.is_some(), "{listed:?} is answered");
    answer.map(|answer| answer.agreed(DeflateParameters::default()))
}

fn limited(window: WindowBits) -> Option<u8> {
    Some(window.get()).filter(|bits| *bits < 15)
}

const DEFLATE: &str = "permessage-deflate";

/// An extension with its parameters.
#[derive(Debug, PartialEq, Eq)]
struct Extension {
    name: String,
    parameters: Vec<(String, Option<String>)>,
}

/// A piece of a header field.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Word(String),
    Quoted(String),
    Separator(char),
}

impl Extension {
    /// All that lines list; none where one of them lists nothing, or does not follow the grammar, or there are too many.
    fn all(lines: &[&[u8]]) -> Option<Vec<Extension>> {
        let mut all = Vec::new();
        for line in lines {
            let pieces = pieces(core::str::from_utf8(line).ok()?)?;
            let before = all.len();
            for element in pieces.split(|piece| *piece == Piece::Separator(',')).filter(|element| !element.is_empty()) {
                all.push(Extension::of(element)?);
            }
            if all.len() == before {
                return None;
            }
        }
        (!lines.is_empty() && all.len() <= 16).then_some(all)
    }

    fn of(element: &[Piece]) -> Option<Extension> {
        let mut parts = element.split(|piece| *piece == Piece::Separator(';'));
        let [Piece::Word(name)] = parts.next()? else { return None };
        let parameters: Option<Vec<_>> = parts
            .map(|part| match part {
                [Piece::Word(name)] => Some((name.clone(), None)),
                [Piece::Word(name), Piece::Separator('='), Piece::Word(value) | Piece::Quoted(value)] => {
                    Some((name.clone(), Some(value.clone())))
                }
                _ => None,
            })
            .collect();
        let parameters = parameters.filter(|parameters| parameters.len() <= 16)?;
        Some(Extension { name: name.clone(), parameters })
    }
}

fn pieces(line: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(next) = rest.next() {
        pieces.push(match next {
            ' ' | '\t' => continue,
            ',' | ';' | '=' => Piece::Separator(next),
            '"' => {
                let mut value = String::new();
                loop {
                    match rest.next()? {
                        '"' => break,
                        '\\' => value.push(rest.next()?),
                        other => value.push(other),
                    }
                }
                Piece::Quoted(Some(value).filter(|value| wire::is_token(value))?)
            }
            _ => {
                let mut word = String::from(next);
                while let Some(more) = rest.next_if(|next| !" \t,;=\"".contains(*next)) {
                    word.push(more);
                }
                Piece::Word(Some(word).filter(|word| wire::is_token(word))?)
            }
        });
    }
    Some(pieces)
}

/// What an offer or an answer says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Parameters {
    server_no_context_takeover: bool,
    client_no_context_takeover: bool,
    /// With a value or without.
    server_max_window_bits: Option<Option<u8>>,
    client_max_window_bits: Option<Option<u8>>,
}

impl Parameters {
    /// An offer, if it is one that a server may accept (RFC 7692 §7.1).
    fn offered(extension: &Extension) -> Option<Parameters> {
        Parameters::of(extension).filter(|offer| offer.server_max_window_bits != Some(None))
    }

    /// An answer, if it is one at all.
    fn answered(extension: &Extension) -> Option<Parameters> {
        Parameters::offered(extension).filter(|answer| answer.client_max_window_bits != Some(None))
    }

    fn of(extension: &Extension) -> Option<Parameters> {
        let parameters = &extension.parameters;
        let known = |name: &str| {
            let mut found = parameters.iter().filter(|(other, _)| other == name).map(|(_, value)| value.as_deref());
            (found.next(), found.next().is_some())
        };
        let names = [
            "server_no_context_takeover",
            "client_no_context_takeover",
            "server_max_window_bits",
            "client_max_window_bits",
        ];
        let is_known = parameters.iter().all(|(name, _)| names.contains(&name.as_str()));
        if !is_known || names.iter().any(|name| known(name).1) {
            return None;
        }
        let [flag, other_flag, server, client] = names.map(|name| known(name).0);
        let is_bare = |flag: Option<Option<&str>>| !matches!(flag, Some(Some(_)));
        if !is_bare(flag) || !is_bare(other_flag) {
            return None;
        }
        let bits = |value: Option<&str>| match value {
            None => Some(None),
            Some(value) => (8..=15).find(|bits| alloc::format!("{bits}") == value).map(Some),
        };
        Some(Parameters {
            server_no_context_takeover: flag.is_some(),
            client_no_context_takeover: other_flag.is_some(),
            server_max_window_bits: server.map(bits).map_or(Some(None), |bits| bits.map(Some))?,
            client_max_window_bits: client.map(bits).map_or(Some(None), |bits| bits.map(Some))?,
        })
    }

    fn server_window(&self) -> u8 {
        self.server_max_window_bits.flatten().unwrap_or(15)
    }

    fn client_window(&self) -> u8 {
        self.client_max_window_bits.flatten().unwrap_or(15)
    }

    /// What this answer comes to. What a client said of itself it keeps to.
    fn agreed(&self, offered: DeflateParameters) -> DeflateParameters {
        let window = |bits| WindowBits::new(bits).unwrap_or_default();
        DeflateParameters {
            server_no_context_takeover: self.server_no_context_takeover,
            client_no_context_takeover: self.client_no_context_takeover || offered.client_no_context_takeover,
            server_max_window_bits: window(self.server_window()),
            client_max_window_bits: window(self.client_window()).min(offered.client_max_window_bits),
        }
    }
}
