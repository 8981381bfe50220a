//! Does a client ask as RFC 6455 §4.1 says, and take no answer but the one it asked for?
//!
//! The exact bytes of requests come out; responses go in, cut at every byte. A 101 is checked in full, and frames may
//! stand right behind it. Any other response is the application's: it gets the status, the fields and the body as it
//! arrives.

#![cfg(test)]

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use sockless::{
    BuildError, Cause, Client, ClientEvent, Config, Connect, Error, Field, HttpVersion, Instant, Limits, Message,
    OpenError, Os, ResponseError, Timer, Transport, Url,
};

mod common;

use common::*;

fn connect() -> Connect {
    Connect::to("ws://server.example.com/chat").unwrap()
}

/// The request of a client with this entropy, and the key in it.
fn request(connect: &Connect, entropy: impl sockless::Entropy) -> (String, String) {
    let mut client = Client::new(Arc::new(Config::default()), entropy, START).unwrap();
    client.open(connect, START).unwrap();
    let mut request = Vec::new();
    client.take(&mut request, START);
    let request = String::from_utf8(request).unwrap();
    let (_, behind) = request.split_once("Sec-WebSocket-Key: ").unwrap();
    let key = behind.split("\r\n").next().unwrap().to_owned();
    (request, key)
}

/// What a server answers to the key that all clients of these tests send, by the letter of RFC 6455 §4.2.2 (5.4).
fn accept() -> String {
    let (_, key) = request(&connect(), Counter(0));
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    format!("Sec-WebSocket-Accept: {}", BASE64.encode(digest))
}

const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";

fn head(line: &str, fields: &[&str]) -> String {
    let lines: Vec<String> = [line].iter().chain(fields).map(|line| format!("{line}\r\n")).collect();
    lines.concat() + "\r\n"
}

fn switching(fields: &[&str]) -> String {
    head("HTTP/1.1 101 Switching Protocols", fields)
}

/// The right answer, with further fields.
fn right(further: &[&str]) -> String {
    switching(&[&[UPGRADE, CONNECTION, &accept()], further].concat())
}

#[track_caller]
fn opens(connect: &Connect, response: &str, subprotocol: Option<&str>) {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(connect);
        client.receives(response, &[Seen::open(subprotocol)]);
        client.stands(Transport::Open, false);
    });
}

/// The response fails the connection, and nothing that comes behind it is read.
#[track_caller]
fn fails(connect: &Connect, response: impl AsRef<[u8]>, error: ResponseError) {
    fails_with(&Config::default(), connect, response, error);
}

#[track_caller]
fn fails_with(config: &Config, connect: &Connect, response: impl AsRef<[u8]>, error: ResponseError) {
    in_handshake(Role::Client, |way| {
        let mut client = way.client_with(config.clone(), connect);
        client.receives(response.as_ref(), &[Seen::BadResponse(error), Seen::unclean(Cause::Fault)]);
        client.stands(Transport::Close, true);
        client.receives(&right(&[]), &[]);
        client.eof(&[]);
        client.sends_nothing();
        client.stands(Transport::Close, true);
    });
}

// The request.

//= rfc6455 4.1 MUST 1: a client sends its handshake and reads the answer
//= rfc6455 4.1 MUST 2: host, port and resource come from the URL
//= rfc6455 4.1 MUST 14: on a fresh transport the client writes its request
//= rfc6455 4.1 MUST 15: well-formed HTTP
//= rfc6455 4.1 MUST 16: with GET
//= rfc6455 4.1 MUST 17: over HTTP/1.1
//= rfc6455 4.1 MUST 18: for path and query
//= rfc6455 4.1 MUST 19: from this host
//= rfc6455 4.1 MUST 20: with Upgrade
//= rfc6455 4.1 MUST 21: which lists websocket
//= rfc6455 4.1 MUST 22: with Connection
//= rfc6455 4.1 MUST 23: which lists Upgrade
//= rfc6455 4.1 MUST 24: with a key
//= rfc6455 4.1 MUST 28: with a version
//= rfc6455 4.1 MUST 29: which is 13
//= type=test
#[test]
fn trap_28_the_request_to_the_byte() {
    for (url, target, host) in [
        ("ws://server.example.com", "/", "server.example.com"),
        ("ws://server.example.com/chat", "/chat", "server.example.com"),
        ("WS://Server.Example.COM:80/Chat", "/Chat", "server.example.com"),
        ("ws://server.example.com:443/", "/", "server.example.com:443"),
        ("ws://server.example.com:8080/a/b?c=d&e=/f?", "/a/b?c=d&e=/f?", "server.example.com:8080"),
        ("ws://server.example.com?a=b", "/?a=b", "server.example.com"),
        ("wss://server.example.com:443/%C3%A9", "/%C3%A9", "server.example.com"),
        ("wss://server.example.com:80/", "/", "server.example.com:80"),
        ("ws://127.0.0.1:5000/ws", "/ws", "127.0.0.1:5000"),
        ("ws://[::1]/", "/", "[::1]"),
        ("wss://[2001:DB8::1]:8443/", "/", "[2001:db8::1]:8443"),
    ] {
        let (request, key) = request(&Connect::to(url).unwrap(), Counter(0));
        let expected = head(
            &format!("GET {target} HTTP/1.1"),
            &[
                &format!("Host: {host}"),
                "Upgrade: websocket",
                "Connection: Upgrade",
                &format!("Sec-WebSocket-Key: {key}"),
                "Sec-WebSocket-Version: 13",
            ],
        );
        assert_eq!(request, expected, "{url}");
    }
    let connect = Connect::to("ws://server.example.com/chat").unwrap();
    let connect = connect.origin("https://page.example.com").unwrap();
    let connect = connect.subprotocol("chat").unwrap().header("Cookie", "a=1").unwrap();
    let connect = connect.subprotocol("superchat").unwrap().header("Authorization", "Basic eDp5").unwrap();
    let (request, key) = request(&connect, Counter(0));
    let expected = head(
        "GET /chat HTTP/1.1",
        &[
            "Host: server.example.com",
            "Upgrade: websocket",
            "Connection: Upgrade",
            &format!("Sec-WebSocket-Key: {key}"),
            "Sec-WebSocket-Version: 13",
            "Origin: https://page.example.com",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Cookie: a=1",
            "Authorization: Basic eDp5",
        ],
    );
    assert_eq!(request, expected);
}

//= rfc6455 3 MUST NOT 1: a URL has no fragment
//= rfc6455 4.1 MUST 3: given an invalid URL a client goes no further
//= type=test
#[test]
fn trap_28_what_is_no_url_is_not_connected_to() {
    for url in [
        "ws://server.example.com/chat#fragment",
        "ws://server.example.com/#",
        "ws://server.example.com#",
        "http://server.example.com/",
        "https://server.example.com/",
        "server.example.com",
        "//server.example.com",
        "ws:server.example.com",
        "ws://",
        "ws:///chat",
        "ws://:80/",
        "ws://server.example.com:0/",
        "ws://server.example.com:65536/",
        "ws://server.example.com:x/",
        "ws://user@server.example.com/",
        "ws://user:password@server.example.com/",
        "ws://::1/",
        "ws://[::1/",
        "ws://[::x]/",
        "ws://server example com/",
        "ws://server.example.com/a b",
        "ws://server.example.com/\u{e9}",
        "ws://server.example.com/\r\nEvil: 1",
        "ws://server.example.com/\0",
        " ws://server.example.com/",
    ] {
        assert_eq!(Connect::to(url).unwrap_err(), BuildError::InvalidUrl, "{url:?}");
        assert_eq!(Url::parse(url).unwrap_err(), BuildError::InvalidUrl, "{url:?}");
    }
    let url = Url::parse("wss://server.example.com/chat?a=b").unwrap();
    assert_eq!((url.is_secure(), url.host(), url.port(), url.target()), (true, "server.example.com", 443, "/chat?a=b"));
    assert_eq!(Url::parse("ws://[::1]").map(|url| (url.host().to_owned(), url.port())), Ok(("::1".into(), 80)));
}

//= rfc6455 4.1 MUST 25: the key is 16 bytes in base64
//= rfc6455 4.1 MUST 26: every connection has one of its own, by chance
//= type=test
#[test]
fn every_connection_has_a_key_of_its_own() {
    let mut keys: Vec<String> = (0..100).map(|seed| request(&connect(), Counter(seed)).1).collect();
    keys.extend((0..100).map(|_| request(&connect(), Os).1));
    for key in &keys {
        assert_eq!((key.len(), BASE64.decode(key).map(|nonce| nonce.len())), (24, Ok(16)));
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), 200);
    assert_eq!(request(&connect(), Counter(7)), request(&connect(), Counter(7)), "from the given entropy alone");
}

//= rfc6455 4.1 MUST 30: each subprotocol is a token, so never empty
//= rfc6455 4.1 MUST 31: and offered once
//= type=test
#[test]
fn trap_7_subprotocols_are_tokens_and_offered_once() {
    for name in [
        "",
        " ",
        "a b",
        "a,b",
        "a/b",
        "a\r\nEvil: 1",
        "\"a\"",
        "\u{e9}",
        "a\0",
        "(a)",
        "a;b",
        "a=b",
        "a@b",
        "[a]",
        "a:b",
    ] {
        assert_eq!(connect().subprotocol(name).unwrap_err(), BuildError::InvalidSubprotocol, "{name:?}");
    }
    let once = connect().subprotocol("chat").unwrap();
    assert_eq!(once.clone().subprotocol("chat").unwrap_err(), BuildError::InvalidSubprotocol);
    // They differ where their case does.
    let (request, _) = request(&once.subprotocol("Chat").unwrap(), Counter(0));
    assert!(request.contains("\r\nSec-WebSocket-Protocol: chat, Chat\r\n"), "{request}");
}

#[test]
fn fields_that_could_begin_another_one_are_refused_before_they_are_written() {
    for (name, value, error) in [
        ("X", "a\r\nEvil: 1", BuildError::InvalidValue),
        ("X", "a\rb", BuildError::InvalidValue),
        ("X", "a\nb", BuildError::InvalidValue),
        ("X", "a\0b", BuildError::InvalidValue),
        ("X", " a", BuildError::InvalidValue),
        ("X\r\nEvil", "a", BuildError::InvalidName),
        ("X Y", "a", BuildError::InvalidName),
        ("", "a", BuildError::InvalidName),
        ("Host", "other", BuildError::ReservedName),
        ("Origin", "http://other", BuildError::ReservedName),
        ("upgrade", "h2c", BuildError::ReservedName),
        ("CONNECTION", "close", BuildError::ReservedName),
        ("Content-Length", "5", BuildError::ReservedName),
        ("Transfer-Encoding", "chunked", BuildError::ReservedName),
        ("Sec-WebSocket-Key", "a", BuildError::ReservedName),
        ("sec-websocket-version", "8", BuildError::ReservedName),
        ("Sec-WebSocket-Extensions", "a", BuildError::ReservedName),
    ] {
        assert_eq!(connect().header(name, value).unwrap_err(), error, "{name:?}: {value:?}");
    }
    for origin in ["http://a\r\nEvil: 1", "http://a\n", "\0", " http://a", "http://a "] {
        assert_eq!(connect().origin(origin).unwrap_err(), BuildError::InvalidValue, "{origin:?}");
    }
}

//= rfc6455 4.1 MUST 32: until the answer is there a client sends nothing
//= type=test
#[test]
fn nothing_can_be_sent_before_the_answer_is_there() {
    let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
    let mut taken = Vec::new();
    client.take(&mut taken, START);
    assert_eq!(taken, [], "nothing was asked for yet");
    let id = client.open(&connect(), START).unwrap();
    assert_eq!(client.open(&connect(), START), Err(OpenError::Busy));
    client.take(&mut taken, START);
    assert_eq!(taken, request(&connect(), Counter(0)).0.into_bytes());
    let mut response = right(&[]).into_bytes();
    let (last, before) = response.split_last_mut().unwrap();
    assert!(client.receive(&mut &mut before[..], START).is_none());
    assert!(client.tx(id, START).is_none());
    assert!(matches!(client.receive(&mut std::slice::from_mut(last), START), Some(ClientEvent::Open(_))));
    assert!(client.tx(id, START).is_some());
    assert_eq!(client.open(&connect(), START), Err(OpenError::Busy));
}

#[test]
fn a_request_is_shown_until_it_is_taken() {
    let (whole, _) = request(&connect(), Counter(0));
    let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
    client.open(&connect(), START).unwrap();
    for taken in 0..whole.len() {
        let mut slices = [IoSlice::new(&[]); 4];
        let count = client.transmit(&mut slices);
        let shown: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(shown, &whole.as_bytes()[taken..]);
        assert_eq!(client.transmit_slices().flatten().copied().collect::<Vec<u8>>(), shown);
        client.transmitted(1, START);
    }
    assert_eq!(client.transmit(&mut [IoSlice::new(&[])]), 0);
}

#[test]
fn a_request_is_written_to_its_end_although_the_answer_is_there() {
    let (whole, _) = request(&connect(), Counter(0));
    for taken in 0..=whole.len() {
        let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
        client.open(&connect(), START).unwrap();
        client.transmitted(taken, START);
        let mut response = right(&[]).into_bytes();
        let mut input = &mut response[..];
        let Some(ClientEvent::Open(opened)) = client.receive(&mut input, START) else { panic!("not open") };
        opened.tx.send(Message::Text("first")).unwrap();
        let mut rest = Vec::new();
        client.take(&mut rest, START);
        assert_eq!(rest[..whole.len() - taken], whole.as_bytes()[taken..], "{taken} bytes were taken");
        assert_eq!(frames(&rest[whole.len() - taken..]), [Frame::text("first")]);
    }
}

// The answer.

//= rfc6455 4.1 MUST 1: a client reads the answer
//= rfc6455 4.1 MUST 33: the client checks the answer in full
//= type=test
#[test]
fn the_right_answer_opens() {
    let accept = accept();
    let value = accept.split_once(' ').map(|(_, value)| value).unwrap();
    for response in [
        right(&[]),
        // Names and tokens in any case, in any order, with blanks around values, and other fields beside.
        switching(&[&format!("SEC-WEBSOCKET-ACCEPT:\t {value} \t"), "CONNECTION: UPGRADE", "UPGRADE: WEBSOCKET"]),
        switching(&["upgrade: WebSocket", "connection:upgrade", &format!("sec-websocket-accept:{value}")]),
        switching(&[UPGRADE, "Connection: keep-alive, Upgrade", &accept, "Server: any", "Date: today"]),
        switching(&[UPGRADE, "Connection: keep-alive", "Connection: upgrade", &accept]),
        head("HTTP/1.1 101 Web Socket Protocol Handshake", &[UPGRADE, CONNECTION, &accept]),
        head("HTTP/1.1 101 ", &[UPGRADE, CONNECTION, &accept]),
    ] {
        opens(&connect(), &response, None);
    }
}

#[test]
fn what_opened_shows_the_response() {
    let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
    let id = client.open(&connect(), START).unwrap();
    client.take(&mut Vec::new(), START);
    let mut response = right(&["Set-Cookie: a=1"]).into_bytes();
    let mut input = &mut response[..];
    let Some(ClientEvent::Open(opened)) = client.receive(&mut input, START) else { panic!("not open") };
    assert_eq!((opened.id, opened.agreed.subprotocol()), (id, None));
    assert_eq!((opened.response.status(), opened.response.reason()), (101, "Switching Protocols"));
    assert_eq!(opened.response.version(), HttpVersion::Http11);
    assert_eq!(opened.response.fields().first("set-cookie").and_then(|field| field.text()), Some("a=1"));
    // It can be used at once.
    opened.tx.send(Message::Text("first")).unwrap();
    let mut taken = Vec::new();
    client.take(&mut taken, START);
    assert_eq!(frames(&taken), [Frame::text("first")]);
}

//= rfc6455 4.1 MUST 36: the client fails on an accept key that does not follow from its key
//= rfc6455 7.2.1 MUST 1: it fails as 7.1.7 says
//= rfc6455 11.3.3 MUST NOT 1: an answer has one accept key
//= type=test
#[test]
fn trap_2_a_wrong_accept_key() {
    let (_, key) = request(&connect(), Counter(0));
    let of_bytes = Sha1::new()
        .chain_update(BASE64.decode(&key).unwrap())
        .chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
        .finalize();
    let of_bytes = format!("Sec-WebSocket-Accept: {}", BASE64.encode(of_bytes));
    let of_key_alone = format!("Sec-WebSocket-Accept: {}", BASE64.encode(Sha1::digest(&key)));
    let right = accept();
    let value = right.split_once(' ').map(|(_, value)| value).unwrap();
    for accept in [
        &[][..],
        &["Sec-WebSocket-Accept:"],
        &["Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
        &[&of_bytes],
        &[&of_key_alone],
        &[&format!("Sec-WebSocket-Accept: {key}")],
        &[&format!("Sec-WebSocket-Accept: {}", value.to_ascii_lowercase())],
        &[&format!("Sec-WebSocket-Accept: {}", value.trim_end_matches('='))],
        &[&format!("Sec-WebSocket-Accept: \"{value}\"")],
        &[&format!("Sec-WebSocket-Accept: {value}, {value}")],
        // Twice is wrong even if both are right.
        &[&right, &right],
        &[&right, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="],
    ] {
        let response = switching(&[&[UPGRADE, CONNECTION], accept].concat());
        fails(&connect(), response, ResponseError::InvalidAccept);
    }
}

//= rfc6455 4.1 MUST 34: the client fails when Upgrade is missing or is not websocket
//= rfc6455 4.1 MUST 35: or when Connection does not list Upgrade
//= rfc6455 4.1 MUST 39: or the answer breaks another rule
//= rfc6455 10.7 MUST 1: both roles check what comes in
//= type=test
#[test]
fn trap_3_upgrade_and_connection_of_the_answer() {
    let accept = accept();
    for upgrade in [
        &[][..],
        &["Upgrade:"],
        &["Upgrade: websocketx"],
        &["Upgrade: h2c"],
        &["Upgrade: websocket, h2c"],
        &["Upgrade: websocket", "Upgrade: websocket"],
        &["Upgrade: \"websocket\""],
    ] {
        let response = switching(&[upgrade, &[CONNECTION, &accept]].concat());
        fails(&connect(), response, ResponseError::InvalidUpgrade);
    }
    for connection in
        [&[][..], &["Connection:"], &["Connection: keep-alive"], &["Connection: xUpgrade"], &["Connection: close"]]
    {
        let response = switching(&[&[UPGRADE, &accept], connection].concat());
        fails(&connect(), response, ResponseError::InvalidConnection);
    }
    let old = head("HTTP/1.0 101 Switching Protocols", &[UPGRADE, CONNECTION, &accept]);
    fails(&connect(), old, ResponseError::OldHttpVersion);
}

#[test]
fn trap_6_frames_right_behind_the_101() {
    as_client(|way| {
        let mut client = way.client(&connect());
        let frames = [Frame::text("first"), Frame::ping("p"), Frame::binary("2").more(), Frame::continuation("nd")];
        let bytes = [right(&[]).as_bytes(), &frames.wire(Role::Client)].concat();
        let seen = [Seen::open(None), Seen::text("first"), Seen::ping("p"), Seen::binary("2nd")];
        client.receives(&bytes, &seen);
        client.tx().send(Message::Text("answer")).unwrap();
        client.sends(&[Frame::pong("p"), Frame::text("answer")]);
        client.receives(Frame::close(1000, ""), &[Seen::closing(1000, ""), Seen::clean(1000, Cause::Peer)]);
        client.sends(&[Frame::close(1000, "")]);
        client.eof(&[]);
        client.stands(Transport::Close, true);
    });
    as_client(|way| {
        let mut client = way.client(&connect());
        let bytes = [right(&[]).as_bytes(), &Frame::text("masked").to(Role::Server)].concat();
        client.receives(&bytes, &[&[Seen::open(None)], &Seen::failure(Error::MaskedFrame)[..]].concat());
        client.sends(&[Frame::close(1002, "")]);
    });
}

//= rfc6455 4.1 MUST 38: the client fails on a subprotocol that it did not offer
//= rfc6455 11.3.4 MUST NOT 1: an answer has at most one
//= type=test
#[test]
fn trap_7_the_subprotocol_of_the_answer() {
    let asked = connect().subprotocol("chat").unwrap().subprotocol("superchat").unwrap();
    opens(&asked, &right(&[]), None);
    opens(&asked, &right(&["Sec-WebSocket-Protocol: chat"]), Some("chat"));
    opens(&asked, &right(&["sec-websocket-protocol: \t superchat "]), Some("superchat"));
    for answer in [
        &["Sec-WebSocket-Protocol: echo"][..],
        &["Sec-WebSocket-Protocol: Chat"],
        &["Sec-WebSocket-Protocol: CHAT"],
        &["Sec-WebSocket-Protocol:"],
        &["Sec-WebSocket-Protocol: chat, superchat"],
        &["Sec-WebSocket-Protocol: chat,"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat"],
    ] {
        fails(&asked, right(answer), ResponseError::UnaskedSubprotocol);
    }
    // Of those who asked for none, too.
    for answer in ["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol:"] {
        fails(&connect(), right(&[answer]), ResponseError::UnaskedSubprotocol);
    }
}

//= rfc6455 4.1 MUST 37: the client fails on an extension that it did not offer
//= rfc6455 9.1 MUST 1: or on a malformed list of them
//= rfc6455 11.3.2 MUST NOT 1: an answer has at most one
//= type=test
#[test]
fn trap_8_an_extension_that_was_not_asked_for() {
    for answer in [
        &["Sec-WebSocket-Extensions: permessage-deflate"][..],
        &["sec-websocket-extensions: x"],
        &["Sec-WebSocket-Extensions:"],
        &["Sec-WebSocket-Extensions: a; b=\"c"],
        &["Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions: b"],
    ] {
        fails(&connect(), right(answer), ResponseError::UnaskedExtension);
    }
}

#[test]
fn interim_responses_are_passed_over() {
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n";
    opens(&connect(), &format!("HTTP/1.1 100 Continue\r\n\r\n{early}{}", right(&[])), None);
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        client.receives(&format!("{early}{early}"), &[]);
        client.stands(Transport::Open, false);
        client.receives(
            "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
            &[Seen::Rejected(404), Seen::unclean(Cause::Refused)],
        );
    });
    opens(&connect(), &format!("{}{}", early.repeat(8), right(&[])), None);
    fails(&connect(), early.repeat(9), ResponseError::TooManyInterimResponses);
    fails(&connect(), "HTTP/1.1 100 Continue\r\nbroken\r\n\r\n", ResponseError::Malformed);
}

#[test]
fn responses_that_are_not_http() {
    for broken in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/2.0 101 Switching Protocols\r\n\r\n",
        "HTTP/1.1\r\n\r\n",
        "HTTP/1.1 10 Short\r\n\r\n",
        "HTTP/1.1 099 Low\r\n\r\n",
        "HTTP/1.1 600 High\r\n\r\n",
        "HTTP/1.1 1010 Long\r\n\r\n",
        "HTTP/1.1 abc\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX : blank before the colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: folded\r\n line\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: nul \0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: return \r in it\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX\r\n\r\n",
        "HTTP/1.1 200 OK\nX: bare line feed\r\n\r\n",
        "HTTP/1.1 200 OK\r\nX: bare line feed\n\r\n",
        "HTTP/1.1 200 OK\r\n\n",
    ] {
        fails(&connect(), broken, ResponseError::Malformed);
    }
}

#[test]
fn the_limits_of_a_response_head_to_the_byte() {
    let limited = |head, fields| Config { limits: Limits { head, fields, ..Limits::default() }, ..Config::default() };
    let response = right(&["X: y"]);
    in_handshake(Role::Client, |way| {
        let mut client = way.client_with(limited(response.len(), 4), &connect());
        client.receives(&response, &[Seen::open(None)]);
    });
    fails_with(&limited(response.len() - 1, 4), &connect(), &response, ResponseError::HeadTooLarge);
    fails_with(&limited(response.len(), 3), &connect(), &response, ResponseError::TooManyFields);
    fails_with(&limited(1000, 3), &connect(), right(&["X y"]), ResponseError::TooManyFields);
    // Interim responses have heads of their own.
    in_handshake(Role::Client, |way| {
        let mut client = way.client_with(limited(response.len(), 4), &connect());
        client.receives(&format!("HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n{response}"), &[Seen::open(None)]);
    });
}

// Refusals.

#[test]
fn trap_9_a_refusal_is_handed_over_with_status_fields_and_body() {
    let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
    client.open(&connect(), START).unwrap();
    let mut response =
        head("HTTP/1.1 401 Who Are You", &["WWW-Authenticate: Basic realm=\"r\"", "Content-Length: 5", "X: y"]);
    response.push_str("body!");
    let mut response = response.into_bytes();
    let mut input = &mut response[..];
    let Some(ClientEvent::Refused(_, head)) = client.receive(&mut input, START) else { panic!("not refused") };
    assert_eq!((head.status(), head.reason(), head.version()), (401, "Who Are You", HttpVersion::Http11));
    assert_eq!(head.fields().first("www-authenticate").and_then(|field| field.text()), Some("Basic realm=\"r\""));
    assert!(head.fields().iter().map(|Field { name, .. }| name).eq(["WWW-Authenticate", "Content-Length", "X"]));
    assert!(matches!(client.receive(&mut input, START), Some(ClientEvent::Body(_, b"body!"))));
    assert!(
        matches!(client.receive(&mut input, START), Some(ClientEvent::Closed(_, closed)) if closed.cause == Cause::Refused)
    );
    assert!(client.receive(&mut input, START).is_none());
    assert!(client.is_closed());
}

/// The response refuses, with this body, however it is framed.
#[track_caller]
fn is_refused(response: impl AsRef<[u8]>, status: u16, body: &[u8]) {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        let mut expected = vec![Seen::Rejected(status)];
        if !body.is_empty() {
            expected.push(Seen::body(body));
        }
        expected.push(Seen::unclean(Cause::Refused));
        // What comes behind a response is ignored.
        client.receives(&[response.as_ref(), b"HTTP/1.1 200 OK\r\n\r\n"].concat(), &expected);
        client.sends_nothing();
        client.stands(Transport::Close, true);
    });
}

#[test]
fn trap_9_bodies_of_a_given_length_in_chunks_or_none() {
    is_refused("HTTP/1.1 401 Unauthorized\r\nContent-Length: 5\r\n\r\nwho??", 401, b"who??");
    is_refused("HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 0\r\n\r\n", 302, b"");
    is_refused("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 403, b"abc");
    is_refused(
        "HTTP/1.1 403 \r\ntransfer-encoding: CHUNKED\r\n\r\n03;x=y\r\nabc\r\nA\r\n0123456789\r\n000\r\nTrailer: x\r\n\r\n",
        403,
        b"abc0123456789",
    );
    // These have no body, whatever they say.
    is_refused("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 204, b"");
    is_refused("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, b"");
    // A server that does not speak WebSocket.
    is_refused("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage", 200, b"page");
    is_refused("HTTP/1.0 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 1\r\n\r\n!", 426, b"!");
}

#[test]
fn trap_9_a_body_up_to_the_end_of_the_connection() {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        client.receives("HTTP/1.1 500 Oops\r\n\r\nall of it", &[Seen::Rejected(500), Seen::body("all of it")]);
        client.stands(Transport::Open, false);
        client.receives(", really", &[Seen::body(", really")]);
        client.eof(&[Seen::unclean(Cause::Refused)]);
        client.stands(Transport::Close, true);
    });
}

#[test]
fn a_body_that_is_broken_off() {
    for response in [
        "HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nnot all",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nnot all",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnot all\r\n",
        "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n7\r\nnot all\r\n0\r\n",
    ] {
        in_handshake(Role::Client, |way| {
            let mut client = way.client(&connect());
            client.receives(response, &[Seen::Rejected(500), Seen::body("not all")]);
            client.stands(Transport::Open, false);
            client.eof(&[Seen::BadResponse(ResponseError::MalformedBody), Seen::unclean(Cause::Refused)]);
            client.stands(Transport::Close, true);
        });
    }
}

#[test]
fn a_body_whose_length_cannot_be_trusted() {
    for fields in [
        &["Content-Length: 3", "Content-Length: 3"][..],
        &["Content-Length: 3", "Content-Length: 4"],
        &["Content-Length: 3, 3"],
        &["Content-Length: +3"],
        &["Content-Length: -3"],
        &["Content-Length: 0x3"],
        &["Content-Length:"],
        &["Content-Length: 18446744073709551616"],
        &["Content-Length: 3", "Transfer-Encoding: chunked"],
        &["Transfer-Encoding: gzip, chunked"],
        &["Transfer-Encoding: identity"],
        &["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    ] {
        fails(&connect(), head("HTTP/1.1 403 Forbidden", fields), ResponseError::MalformedBody);
    }
    for (chunks, body) in [
        ("x", ""),
        ("\r\n", ""),
        ("-1\r\n", ""),
        (" 1\r\n", ""),
        ("1\n", ""),
        ("1\r\nab", "a"),
        ("FFFFFFFFFFFFFFFF\r\n", ""),
    ] {
        breaks_off(chunks, body);
    }
}

/// Such chunks cannot be read beyond this much of a body.
#[track_caller]
fn breaks_off(chunks: &str, body: &str) {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        let mut expected = vec![Seen::Rejected(403)];
        if !body.is_empty() {
            expected.push(Seen::body(body));
        }
        expected.extend([Seen::BadResponse(ResponseError::MalformedBody), Seen::unclean(Cause::Refused)]);
        client.receives(&format!("HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"), &expected);
        client.stands(Transport::Close, true);
    });
}

#[test]
fn every_line_between_chunks_ends_with_cr_and_lf() {
    for (chunks, body) in
        [("1\r\na\n", "a"), ("1\r\na\r\r\n", "a"), ("1;x\n", ""), ("1;x\r\r\n", ""), ("0\r\nTrailer: x\n", "")]
    {
        breaks_off(chunks, body);
    }
}

#[test]
fn a_body_has_a_limit() {
    let config = Config { limits: Limits { body: 10, ..Limits::default() }, ..Config::default() };
    in_handshake(Role::Client, |way| {
        let mut client = way.client_with(config.clone(), &connect());
        client.receives(
            "HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n0123456789",
            &[Seen::Rejected(403), Seen::body("0123456789"), Seen::unclean(Cause::Refused)],
        );
    });
    let mut client = Client::new(Arc::new(config), Counter(0), START).unwrap();
    client.open(&connect(), START).unwrap();
    let mut response = *b"HTTP/1.1 403 Forbidden\r\n\r\n01234567890";
    let (ten, eleventh) = response.split_last_mut().map(|(last, before)| (before, last)).unwrap();
    let mut input = ten;
    assert!(matches!(client.receive(&mut input, START), Some(ClientEvent::Refused(..))));
    assert!(matches!(client.receive(&mut input, START), Some(ClientEvent::Body(_, b"0123456789"))));
    assert!(client.receive(&mut input, START).is_none());
    let mut input = std::slice::from_mut(eleventh);
    assert!(matches!(client.receive(&mut input, START), Some(ClientEvent::Failed(_, ResponseError::BodyTooLarge))));
    assert!(matches!(client.receive(&mut input, START), Some(ClientEvent::Closed(..))));
    assert_eq!((client.transport(), client.is_closed()), (Transport::Close, true));
}

#[test]
fn a_body_that_never_ends_is_left() {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        client.receives("HTTP/1.1 403 Forbidden\r\n\r\n", &[Seen::Rejected(403)]);
        for _ in 0..9 {
            client.waits(Duration::from_secs(1), &[]);
            client.receives("more", &[Seen::body("more")]);
        }
        client.waits(
            Duration::from_secs(1),
            &[Seen::BadResponse(ResponseError::TimedOut), Seen::unclean(Cause::Refused)],
        );
        client.stands(Transport::Close, true);
    });
}

// No answer.

//= rfc6455 7.2.1 MUST 2: a client whose transport breaks takes the connection as failed
//= type=test
#[test]
fn a_transport_that_ends_before_the_answer() {
    for response in [String::new(), right(&[])[..60].to_owned()] {
        in_handshake(Role::Client, |way| {
            let mut client = way.client(&connect());
            client.receives(&response, &[]);
            client.eof(&[Seen::unclean(Cause::Eof)]);
            client.receives(&right(&[]), &[]);
            client.sends_nothing();
            client.stands(Transport::Close, true);
        });
        in_handshake(Role::Client, |way| {
            let mut client = way.client(&connect());
            client.receives(&response, &[]);
            client.reset(&[Seen::unclean(Cause::Reset)]);
            client.receives(&right(&[]), &[]);
            client.sends_nothing();
            assert!(client.engine.is_closed());
        });
    }
}

#[test]
fn is_closed_waits_for_the_last_event() {
    let ends: [fn(&mut Client, Instant); 2] =
        [|client, now| client.receive_eof(now), |client, now| client.handle_timeout(now)];
    for end in ends {
        let mut client = Client::new(Arc::new(Config::default()), Counter(0), START).unwrap();
        client.open(&connect(), START).unwrap();
        let later = START + Duration::from_secs(10);
        end(&mut client, later);
        let mut events = 0;
        while !client.is_closed() {
            assert!(client.receive(&mut &mut [][..], later).is_some(), "not closed, and nothing to tell");
            events += 1;
        }
        assert!(events > 0, "closed before the application heard of it");
        assert!(client.receive(&mut &mut [][..], later).is_none());
    }
}

#[test]
fn an_answer_that_does_not_come_in_time() {
    in_handshake(Role::Client, |way| {
        let mut client = way.client(&connect());
        client.receives(&right(&[])[..60], &[]);
        client.waits(Duration::from_millis(9_999), &[]);
        client.waits(
            Duration::from_millis(1),
            &[Seen::BadResponse(ResponseError::TimedOut), Seen::unclean(Cause::Timeout(Timer::Open))],
        );
        client.receives(&right(&[])[60..], &[]);
        client.stands(Transport::Close, true);
    });
}
