//! Does a server tell a valid opening handshake from any other request, and answer each? (RFC 6455 §4.2, RFC 9112)
//!
//! Heads go in, cut at every byte; what the application is offered and the exact bytes of the answer come out. Behind a
//! 101 there are frames at once; behind any other answer the connection ends.

#![cfg(test)]

use std::io::IoSlice;
use std::sync::Arc;
use std::time::Duration;

use sockless::{
    Accept, Agreed, BuildError, Cause, Classified, Config, Error, HttpVersion, Instant, Limits, Message, OriginPolicy,
    Request, RequestError, RequestHead, Response, SendError, Server, ServerEvent, Timer, Transport, WebSocket,
};

mod common;

use common::*;

/// The sample of RFC 6455 §1.3.
const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const HOST: &str = "Host: server.example.com";
const UPGRADE: &str = "Upgrade: websocket";
const CONNECTION: &str = "Connection: Upgrade";
const VERSION: &str = "Sec-WebSocket-Version: 13";

const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    \r\n";

fn head(line: &str, fields: &[&str]) -> String {
    let lines: Vec<String> = [line].iter().chain(fields).map(|line| format!("{line}\r\n")).collect();
    lines.concat() + "\r\n"
}

/// A valid request for a WebSocket, with further fields.
fn upgrade(further: &[&str]) -> String {
    head("GET /chat HTTP/1.1", &[&[HOST, UPGRADE, CONNECTION, KEY, VERSION], further].concat())
}

/// A valid request for a WebSocket, but with other fields in the place of one.
fn upgrade_but(field: &str, instead: &[&str]) -> String {
    let fields = [HOST, UPGRADE, CONNECTION, KEY, VERSION];
    let fields: Vec<&str> =
        fields.iter().flat_map(|own| if *own == field { instead.to_vec() } else { vec![*own] }).collect();
    head("GET /chat HTTP/1.1", &fields)
}

/// The answer to a bad request: its status line, its own fields, then what every such answer has.
fn refusal(line: &str, fields: &[&str], error: RequestError) -> String {
    let body = format!("{error}\n");
    let connection = if line.starts_with("426") { "Connection: close, Upgrade" } else { "Connection: close" };
    let length = format!("Content-Length: {}", body.len());
    let line = format!("HTTP/1.1 {line}");
    head(&line, &[&["Content-Type: text/plain; charset=utf-8"], fields, &[connection, &length]].concat()) + &body
}

#[track_caller]
fn accepts(request: &str) {
    in_handshake(Role::Server, |way| {
        let mut server = way.server_with(Config { origin: OriginPolicy::Any, ..Config::default() });
        server.receives(request, &[Seen::offer("/chat")]);
        server.sends_bytes(SWITCHING);
        server.stands(Transport::Open, false);
    });
}

/// The request is refused, its connection ends, and what comes behind it is ignored.
#[track_caller]
fn refuses(request: &str, error: RequestError, answer: &str) {
    refuses_with(&Config::default(), request, error, answer);
}

#[track_caller]
fn refuses_with(config: &Config, request: &str, error: RequestError, answer: &str) {
    in_handshake(Role::Server, |way| {
        let mut server = way.server_with(config.clone());
        server.receives(request, &[Seen::Refused(error)]);
        server.sends_bytes(answer);
        server.stands(Transport::ShutdownWrite, false);
        server.receives(&upgrade(&[]), &[]);
        server.receives([Frame::text("ignored")], &[]);
        server.sends_nothing();
        server.eof(&[]);
        server.stands(Transport::Close, true);
    });
}

#[track_caller]
fn bad_request(request: &str, error: RequestError) {
    refuses(request, error, &refusal("400 Bad Request", &[], error));
}

// A valid request.

//= rfc6455 4.2.2 MUST 1: a server accepts by answering
//= rfc6455 4.2.2 MUST 8: with a 101, Upgrade, Connection and the accept key
//= rfc6455 4.2.2 MUST NOT 1: and no subprotocol that was not agreed on
//= type=test
#[test]
fn trap_2_the_sample_handshake() {
    // The key is taken as the text it is, not as the 16 bytes that it stands for.
    accepts(&upgrade(&[]));
    as_server(|way| {
        let mut server = way.server();
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.receives([Frame::text("hello")], &[Seen::text("hello")]);
        server.tx().send(Message::Text("world")).unwrap();
        server.sends_bytes([SWITCHING.as_bytes(), b"\x81\x05world"].concat());
    });
}

#[test]
fn an_offer_shows_the_request() {
    let request = head(
        "GET /chat/room?name=%C3%A9 HTTP/1.1",
        &[
            "Host: server.example.com:8080",
            UPGRADE,
            CONNECTION,
            KEY,
            VERSION,
            "Origin: http://server.example.com:8080",
            "Sec-WebSocket-Protocol: chat, superchat",
            "Cookie:\ta=1 ",
            "X-Empty:",
            "Sec-WebSocket-Protocol: echo",
            "cookie: b=2",
        ],
    );
    as_server(|way| {
        let mut server = way.server();
        server.decides(|offer| {
            assert_eq!((offer.method(), offer.version()), ("GET", HttpVersion::Http11));
            assert_eq!(offer.target(), "/chat/room?name=%C3%A9");
            assert_eq!(offer.host(), "server.example.com:8080");
            assert_eq!(offer.origin(), Some("http://server.example.com:8080"));
            assert_eq!(offer.subprotocols().collect::<Vec<_>>(), ["chat", "superchat", "echo"]);
            let cookies: Vec<_> = offer.fields().all("Cookie").map(|field| field.text().unwrap()).collect();
            assert_eq!(cookies, ["a=1", "b=2"]);
            assert_eq!(offer.fields().first("x-empty").unwrap().value, b"");
            assert_eq!(offer.fields().iter().count(), 11);
            offer.accept(Accept::new());
        });
        server.receives(&request, &[Seen::offer("/chat/room?name=%C3%A9")]);
    });
}

#[test]
fn trap_1_the_key_is_16_bytes_in_base64_and_stands_once() {
    // Blanks around it are not part of it.
    accepts(&upgrade_but(KEY, &["Sec-WebSocket-Key:dGhlIHNhbXBsZSBub25jZQ=="]));
    accepts(&upgrade_but(KEY, &["sec-websocket-key: \t dGhlIHNhbXBsZSBub25jZQ== \t "]));
    for key in [
        "",
        "AAAAAAAAAAAAAAAAAAAA",           // 15 bytes
        "AAAAAAAAAAAAAAAAAAAAAAA=",       // 17 bytes
        "AAAAAAAAAAAAAAAAAAAAAAAA",       // 18 bytes, and 24 characters
        "dGhlIHNhbXBsZSBub25jZQ",         // without its padding
        "dGhlIHNhbXBsZSBub25jZQ=",        // with half of it
        "dGhlIHNhbXBsZSBub25jZQ===",      // with more of it
        "dGhlIHNhbXBsZSBub25jZR==",       // with bits behind the last byte
        "dGhlIHNhbXBsZSBub25j ZQ==",      // with a blank inside
        "dGhlIHNhbXBs ZSBub25jZQ",        // the same, 24 characters
        "dGhlIHNhbXBsZSBub25jZQ==, AAAA", // a list
        "\"dGhlIHNhbXBsZSBub25jZQ\"",     // quoted
        "_-hlIHNhbXBsZSBub25jZQ==",       // in another alphabet
        "dGhlIHNhbXBsZSBub25j\u{e9}Q==",  // not ASCII
    ] {
        bad_request(&upgrade_but(KEY, &[&format!("Sec-WebSocket-Key: {key}")]), RequestError::InvalidKey);
    }
    bad_request(&upgrade_but(KEY, &[]), RequestError::MissingKey);
}

//= rfc6455 11.3.1 MUST NOT 1: a request has one key
//= type=test
#[test]
fn trap_1_two_keys() {
    bad_request(&upgrade(&[KEY]), RequestError::InvalidKey);
    bad_request(&upgrade(&["Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="]), RequestError::InvalidKey);
    bad_request(
        &upgrade_but(KEY, &["Sec-WebSocket-Key: dGhlIHNhbXBs", "Sec-WebSocket-Key: ZSBub25jZQ=="]),
        RequestError::InvalidKey,
    );
}

#[test]
fn trap_3_upgrade_and_connection_are_lists_of_tokens_in_any_case() {
    for upgrade in [
        &["Upgrade: WebSocket"][..],
        &["UPGRADE: WEBSOCKET"],
        &["Upgrade: h2c, websocket"],
        &["Upgrade: websocket,h2c"],
        &["Upgrade:\t, ,websocket ,"],
        &["Upgrade: h2c", "upgrade: websocket"],
    ] {
        accepts(&upgrade_but(UPGRADE, upgrade));
    }
    for connection in [
        &["Connection: upgrade"][..],
        &["CONNECTION: UPGRADE"],
        &["Connection: keep-alive, Upgrade"],
        &["Connection: Upgrade,keep-alive"],
        &["Connection: keep-alive", "Connection: Upgrade"],
    ] {
        accepts(&upgrade_but(CONNECTION, connection));
    }
    for connection in
        [&[][..], &["Connection:"], &["Connection: keep-alive"], &["Connection: xUpgrade"], &["Connection: Upgrade x"]]
    {
        bad_request(&upgrade_but(CONNECTION, connection), RequestError::MissingConnectionUpgrade);
    }
    // What does not ask for a WebSocket is a request like any other.
    for upgrade in
        [&[][..], &["Upgrade: websocketx"], &["Upgrade: xwebsocket"], &["Upgrade: web socket"], &["Upgrade: h2c"]]
    {
        as_server(|way| {
            let mut server = way.server();
            server.receives(&upgrade_but(UPGRADE, upgrade), &[Seen::request("GET", "/chat")]);
        });
    }
}

//= rfc6455 4.2.1 MUST 1: a bad request gets an HTTP error, and no more is read
//= rfc6455 7.2.2 MUST 1: a server that aborts a handshake closes the connection
//= type=test
#[test]
fn trap_4_method_version_host_and_no_body() {
    let fields = [HOST, UPGRADE, CONNECTION, KEY, VERSION];
    for method in ["POST", "PUT", "OPTIONS", "DELETE", "get", "CONNECT"] {
        let error = RequestError::MethodNotAllowed;
        let answer = refusal("405 Method Not Allowed", &["Allow: GET"], error);
        refuses(&head(&format!("{method} /chat HTTP/1.1"), &fields), error, &answer);
    }
    bad_request(&head("GET /chat HTTP/1.0", &fields), RequestError::OldHttpVersion);
    for version in ["HTTP/2.0", "HTTP/3.0", "HTTP/0.9", "HTTP/1.2"] {
        let error = RequestError::UnsupportedHttpVersion;
        let answer = refusal("505 HTTP Version Not Supported", &[], error);
        refuses(&head(&format!("GET /chat {version}"), &fields), error, &answer);
    }
    for host in [
        &[][..],
        &[HOST, HOST],
        &[HOST, "Host: other.example.com"],
        &["Host:"],
        &["Host: a b"],
        &["Host: user@a"],
        &["Host: a/b"],
        &["Host: a:b"],
        &["Host: a:1:2"],
        &["Host: [::1"],
        &["Host: ::1"],
        &["Host: h\u{e9}"],
    ] {
        bad_request(&upgrade_but(HOST, host), RequestError::InvalidHost);
        // Of any request.
        bad_request(&head("GET / HTTP/1.1", host), RequestError::InvalidHost);
    }
    for body in ["Content-Length: 1", "Content-Length: 000010", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip"]
    {
        bad_request(&upgrade(&[body]), RequestError::Body);
        bad_request(&head("POST / HTTP/1.1", &[HOST, body]), RequestError::Body);
    }
    for length in [
        &["Content-Length:"][..],
        &["Content-Length: -1"],
        &["Content-Length: 1, 1"],
        &["Content-Length: 0", "Content-Length: 0"],
    ] {
        bad_request(&upgrade(length), RequestError::Malformed);
    }
    accepts(&upgrade(&["Content-Length: 0"]));
    for target in
        ["chat", "*", "server.example.com:80", "ftp://server.example.com/chat", "/chat#fragment", "/ch\u{e9}t"]
    {
        bad_request(&head(&format!("GET {target} HTTP/1.1"), &fields), RequestError::InvalidTarget);
    }
}

#[test]
fn hosts_that_are_fine() {
    for host in ["a", "a:80", "a.b-c_d.example:65535", "127.0.0.1:5000", "[::1]", "[2001:db8::1]:8080", "a:"] {
        accepts(&upgrade_but(HOST, &[&format!("Host: {host}")]));
    }
}

//= rfc6455 4.2.2 MUST 4: another version gets an HTTP error with the version that is spoken
//= rfc6455 4.4 MUST 1: which is the only one
//= type=test
#[test]
fn trap_5_other_versions() {
    for version in ["12", "013", "13, 8", "8, 13", "14", "0", "", "+13", "13.0", "13;", "\"13\"", "1 3"] {
        let error = RequestError::UnsupportedVersion;
        let answer = refusal("426 Upgrade Required", &["Sec-WebSocket-Version: 13", "Upgrade: websocket"], error);
        refuses(&upgrade_but(VERSION, &[&format!("Sec-WebSocket-Version: {version}")]), error, &answer);
    }
    accepts(&upgrade_but(VERSION, &["sec-websocket-version:  13\t"]));
}

//= rfc6455 4.4 MUST 1: the version is named when there is none, too
//= rfc6455 11.3.5 MUST NOT 1: a request has one version
//= type=test
#[test]
fn trap_5_no_version_and_two() {
    for version in [&[][..], &[VERSION, VERSION], &[VERSION, "Sec-WebSocket-Version: 8"]] {
        let error = RequestError::InvalidVersion;
        let answer = refusal("400 Bad Request", &["Sec-WebSocket-Version: 13"], error);
        refuses(&upgrade_but(VERSION, version), error, &answer);
    }
}

#[test]
fn trap_6_bytes_behind_the_head_are_frames() {
    as_server(|way| {
        let mut server = way.server();
        server.reacts(|seen, tx| {
            if let Seen::Text(text) = seen {
                tx.send(Message::Text(text)).unwrap();
            }
        });
        // They are no second request, whatever they look like.
        let frames = [Frame::text("GET / HTTP/1.1\r\n\r\n"), Frame::close(1000, "")];
        let bytes = [upgrade(&[]).as_bytes(), &frames.wire(Role::Server)].concat();
        server.receives(
            &bytes,
            &[
                Seen::offer("/chat"),
                Seen::text("GET / HTTP/1.1\r\n\r\n"),
                Seen::closing(1000, ""),
                Seen::clean(1000, Cause::Peer),
            ],
        );
        let echo = [&[0x81, 18][..], b"GET / HTTP/1.1\r\n\r\n", &[0x88, 2, 3, 0xE8]].concat();
        server.sends_bytes([SWITCHING.as_bytes(), &echo].concat());
    });
    as_server(|way| {
        let mut server = way.server();
        let second = [upgrade(&[]), upgrade(&[])].concat();
        // 'G' is 0x47: a reserved bit.
        server.receives(&second, &[&[Seen::offer("/chat")], &Seen::failure(Error::ReservedBits)[..]].concat());
    });
}

// Subprotocols, extensions, further fields.

//= rfc6455 4.2.2 MUST 6: the subprotocol is one of those that were offered
//= rfc6455 4.2.2 MUST NOT 1: none agreed on, none in the answer
//= type=test
#[test]
fn trap_7_the_subprotocol_is_one_that_was_offered() {
    let cases: [(&[&str], &[&str], Option<&str>); 9] = [
        (&["Sec-WebSocket-Protocol: chat, superchat"], &["superchat", "chat"], Some("chat")),
        (&["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: superchat"], &["superchat"], Some("superchat")),
        (&["sec-websocket-protocol: ,superchat\t,, chat"], &["chat"], Some("chat")),
        (&["Sec-WebSocket-Protocol: chat"], &["Chat"], None),
        (&["Sec-WebSocket-Protocol: Chat"], &["Chat"], Some("Chat")),
        (&["Sec-WebSocket-Protocol: chat, Chat"], &["Chat"], Some("Chat")),
        (&["Sec-WebSocket-Protocol: chat"], &["superchat"], None),
        (&["Sec-WebSocket-Protocol: chat"], &[], None),
        (&[], &["chat"], None),
    ];
    for (offered, mine, chosen) in cases {
        as_server(|way| {
            let mut server = way.server();
            server.decides(move |offer| {
                let selected = offer.select(mine);
                assert_eq!(selected.map(|selected| selected.as_str()), chosen);
                offer.accept(Accept::new().subprotocol(selected));
            });
            server.receives(&upgrade(offered), &[Seen::offer("/chat")]);
            let field = chosen.map(|chosen| format!("Sec-WebSocket-Protocol: {chosen}\r\n")).unwrap_or_default();
            server.sends_bytes(format!("{}{field}\r\n", SWITCHING.strip_suffix("\r\n").unwrap()));
        });
    }
    for offered in [
        &["Sec-WebSocket-Protocol:"][..],
        &["Sec-WebSocket-Protocol: ,"],
        &["Sec-WebSocket-Protocol: chat superchat"],
        &["Sec-WebSocket-Protocol: chat, \"superchat\""],
        &["Sec-WebSocket-Protocol: chat, super/chat"],
        &["Sec-WebSocket-Protocol: ch\u{e4}t"],
        &["Sec-WebSocket-Protocol: chat, superchat, chat"],
        &["Sec-WebSocket-Protocol: chat", "Sec-WebSocket-Protocol: chat"],
    ] {
        bad_request(&upgrade(offered), RequestError::InvalidSubprotocol);
    }
}

//= rfc6455 4.2.2 MUST 6: one that another request offered is not answered
//= type=test
#[test]
fn a_subprotocol_of_another_request_is_left_out() {
    let fields = [
        ("host", &b"a"[..]),
        ("upgrade", b"websocket"),
        ("connection", b"upgrade"),
        ("sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-protocol", b"other"),
    ];
    let other = valid(RequestHead::new("GET", "/", HttpVersion::Http11, fields[..].into()));
    let request = valid(RequestHead::new("GET", "/", HttpVersion::Http11, fields[..5].into()));
    let (response, agreed) = request.answer(&Accept::new().subprotocol(other.select(&["other"])));
    assert_eq!((response.status(), agreed.subprotocol()), (101, None));
    assert!(response.fields().first("sec-websocket-protocol").is_none());
}

//= rfc6455 4.2.2 MUST NOT 2: the answer names no extension that was not offered
//= rfc6455 4.3 MUST 1: a quoted value is a token once it is unquoted
//= rfc6455 9 MUST NOT 1: nothing that was not asked for
//= rfc6455 9.1 MUST 1: a malformed field ends the handshake
//= rfc6455 9.1 MUST 2: a quoted value is a token once it is unquoted
//= type=test
#[test]
fn trap_10_extensions_are_read_and_none_is_taken() {
    for offered in [
        &["Sec-WebSocket-Extensions: permessage-deflate"][..],
        &["Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits=10"],
        &["Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=\"10\""],
        &["Sec-WebSocket-Extensions: a ;\tb ; c = \"d\\e\" , f"],
        &["Sec-WebSocket-Extensions: a", "Sec-WebSocket-Extensions: b; c=\"d\", e"],
    ] {
        accepts(&upgrade(offered));
    }
    for offered in [
        "a; b=\"x,y\"",
        "a; b=\"x;y\"",
        "a; b=\"x y\"",
        "a; b=\"x\\\"y\"",
        "a; b=\"\"",
        "a; b=\"x",
        "a; b=\"x\\",
        "a; b=\"x\"y",
        "a; b=",
        "a; =b",
        "a;",
        "a b",
        "a/b",
        "\"a\"",
        "\u{e4}",
    ] {
        bad_request(&upgrade(&[&format!("Sec-WebSocket-Extensions: {offered}")]), RequestError::InvalidExtensions);
    }
}

#[test]
fn empty_elements_of_a_list_mean_nothing() {
    // RFC 9110 §5.6.1.2, and RFC 2616 §2.1, whose lists RFC 6455 uses.
    for list in ["a,", ",a", "a, ,b", " , a ;b=c ,,"] {
        accepts(&upgrade(&[&format!("Sec-WebSocket-Extensions: {list}")]));
    }
    accepts(&upgrade(&["Sec-WebSocket-Protocol: , a,, b ,"]));
}

#[test]
fn an_acceptance_has_the_fields_it_was_given() {
    as_server(|way| {
        let mut server = way.server();
        server.decides(|offer| {
            let accept = Accept::new().header("Set-Cookie", "seen=1; Path=/").unwrap().header("X-Empty", "").unwrap();
            offer.accept(accept.header("set-cookie", "again=\u{e9}").unwrap());
        });
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.sends_bytes(head(
            SWITCHING.strip_suffix("\r\n\r\n").unwrap(),
            &["Set-Cookie: seen=1; Path=/", "X-Empty: ", "set-cookie: again=\u{e9}"],
        ));
    });
}

#[test]
fn an_acceptance_may_bring_a_configuration_of_its_own() {
    as_server(|way| {
        let mut server = way.server();
        let delivery = way.delivery;
        server.decides(move |offer| {
            let limits = Limits { message: 4, output: 0, ..Limits::default() };
            offer.accept(Accept::new().config(Arc::new(Config { limits, delivery, ..Config::default() })));
        });
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        assert_eq!(server.tx().send(Message::Text("")), Err(SendError::Full));
        server.receives([Frame::text("four")], &[Seen::text("four")]);
        server.receives([Frame::text("five!")], &Seen::failure(Error::MessageTooBig));
    });
}

#[test]
fn fields_that_could_begin_another_one_are_refused_before_they_are_written() {
    for (name, value, error) in [
        ("X", "a\r\nEvil: 1", BuildError::InvalidValue),
        ("X", "a\rb", BuildError::InvalidValue),
        ("X", "a\nb", BuildError::InvalidValue),
        ("X", "a\0b", BuildError::InvalidValue),
        ("X", "a\u{1B}b", BuildError::InvalidValue),
        ("X", "a\u{7F}b", BuildError::InvalidValue),
        ("X", " a", BuildError::InvalidValue),
        ("X", "a\t", BuildError::InvalidValue),
        ("", "a", BuildError::InvalidName),
        ("X Y", "a", BuildError::InvalidName),
        ("X:", "a", BuildError::InvalidName),
        ("X\r\nEvil", "a", BuildError::InvalidName),
        ("X\0", "a", BuildError::InvalidName),
        ("\u{c4}", "a", BuildError::InvalidName),
        ("Connection", "keep-alive", BuildError::ReservedName),
        ("content-length", "5", BuildError::ReservedName),
        ("Transfer-Encoding", "chunked", BuildError::ReservedName),
        ("Upgrade", "h2c", BuildError::ReservedName),
        ("Sec-WebSocket-Accept", "a", BuildError::ReservedName),
        ("sec-websocket-extensions", "permessage-deflate", BuildError::ReservedName),
        ("Sec-WebSocket-Protocol", "chat", BuildError::ReservedName),
    ] {
        assert_eq!(Accept::new().header(name, value).unwrap_err(), error, "{name:?}: {value:?}");
        let response = Response::new(200).unwrap();
        assert_eq!(response.header(name, value).unwrap_err(), error, "{name:?}: {value:?}");
    }
    for status in [0, 99, 100, 101, 199, 600, 1000] {
        assert_eq!(Response::new(status).unwrap_err(), BuildError::InvalidStatus);
    }
}

// Origins.

//= rfc6455 4.2.2 MUST 3: an origin that is not wanted gets an HTTP error
//= type=test
#[test]
fn origins_are_let_in_by_the_policy() {
    let same = || OriginPolicy::SameHost;
    let list = || OriginPolicy::list(["https://page.example.com", "http://server.example.com:8080"]);
    let custom = || OriginPolicy::custom(|origin, host| origin == "app://me" && host == "server.example.com");
    let cases: [(OriginPolicy, &str, bool); 16] = [
        (same(), "http://server.example.com", true),
        (same(), "https://server.example.com", true),
        (same(), "HTTPS://SERVER.example.com:443", true),
        (same(), "http://server.example.com:8080", false),
        (same(), "http://example.com", false),
        (same(), "http://server.example.com.evil.com", false),
        (same(), "http://evil-server.example.com", false),
        (same(), "null", false),
        (same(), "", false),
        (list(), "https://page.example.com", true),
        (list(), "http://page.example.com", false),
        (list(), "http://server.example.com", false),
        (OriginPolicy::Any, "null", true),
        (OriginPolicy::Any, "http://anyone.example", true),
        (custom(), "app://me", true),
        (custom(), "http://server.example.com", false),
    ];
    for (policy, origin, allowed) in cases {
        let config = Config { origin: policy, ..Config::default() };
        let request = upgrade(&[&format!("Origin: {origin}")]);
        if allowed {
            as_server(|way| {
                let mut server = way.server_with(config.clone());
                server.receives(&request, &[Seen::offer("/chat")]);
                server.sends_bytes(SWITCHING);
            });
        } else {
            let error = RequestError::ForbiddenOrigin;
            refuses_with(&config, &request, error, &refusal("403 Forbidden", &[], error));
        }
    }
    let not_text = upgrade(&[]).replace("\r\n\r\n", "\r\nOrigin: http://").into_bytes();
    as_server(|way| {
        let mut server = way.server();
        let request = [&not_text[..], b"\xFF\r\n\r\n"].concat();
        server.receives(&request, &[Seen::Refused(RequestError::ForbiddenOrigin)]);
    });
}

#[test]
fn an_absent_origin_is_a_switch_of_its_own_and_two_are_never_fine() {
    for policy in [OriginPolicy::SameHost, OriginPolicy::Any, OriginPolicy::custom(|_, _| false)] {
        as_server(|way| {
            let mut server = way.server_with(Config { origin: policy.clone(), ..Config::default() });
            server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        });
        let strict = Config { origin: policy.clone(), require_origin: true, ..Config::default() };
        let error = RequestError::MissingOrigin;
        refuses_with(&strict, &upgrade(&[]), error, &refusal("403 Forbidden", &[], error));
        let error = RequestError::RepeatedOrigin;
        let two = upgrade(&["Origin: http://server.example.com", "Origin: http://server.example.com"]);
        let lax = Config { origin: policy, ..Config::default() };
        refuses_with(&lax, &two, error, &refusal("400 Bad Request", &[], error));
    }
}

// Heads.

#[test]
fn heads_that_are_not_http() {
    for broken in [
        "\r\n \r\n\r\n",
        "GET /chat\r\n\r\n",
        "GET\r\n\r\n",
        "GET /chat HTTP/1.1 \r\n\r\n",
        "GET /chat HTTP/1.10\r\n\r\n",
        "GET  /chat HTTP/1.1\r\n\r\n",
        " GET /chat HTTP/1.1\r\n\r\n",
        "G\u{c9}T /chat HTTP/1.1\r\nHost: a\r\n\r\n",
        "GE(T /chat HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /chat\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "\u{16}\u{3}\u{1}\r\n\r\n",
    ] {
        bad_request(broken, RequestError::Malformed);
    }
    for field in [
        "X-Folded: a\r\n b",
        "X-Folded: a\r\n\tb",
        "X-Blank : a",
        "X-Blank\t: a",
        " X-First: a",
        "X-Nul: a\0b",
        "X-Nul\0: a",
        "X-Escape: a\u{1B}b",
        "X-Delete: a\u{7F}b",
        "X-Return: a\rb",
        "X-Return: a\r\rb",
        "X-NoColon",
        ": no name",
        "X(Y): a",
        "X-\u{c4}: a",
    ] {
        bad_request(
            &head("GET /chat HTTP/1.1", &[HOST, UPGRADE, CONNECTION, KEY, VERSION, field]),
            RequestError::Malformed,
        );
        bad_request(
            &head("GET /chat HTTP/1.1", &[field, HOST, UPGRADE, CONNECTION, KEY, VERSION]),
            RequestError::Malformed,
        );
    }
}

#[test]
fn what_is_no_version_of_http_is_a_bad_request() {
    // RFC 9112 §3: 505 is for versions that there are.
    for line in
        ["GET /ch at HTTP/1.1", "GET /chat http/1.1", "GET /chat HTTP/11", "GET /chat HTTP1.1", "GET /chat FTP/1.1"]
    {
        bad_request(&head(line, &[HOST]), RequestError::Malformed);
    }
}

#[test]
fn a_bare_line_feed_is_refused_where_it_stands() {
    let whole = upgrade(&[]);
    for (at, _) in whole.match_indices("\r\n") {
        let request = format!("{}{}", &whole[..at], &whole[at + 1..]);
        as_server(|way| {
            let mut server = way.server();
            server.receives(&request.as_bytes()[..at], &[]);
            // Nothing has to come behind it.
            server.receives("\n", &[Seen::Refused(RequestError::Malformed)]);
            server.receives(&request.as_bytes()[at + 1..], &[]);
            server.sends_bytes(refusal("400 Bad Request", &[], RequestError::Malformed));
        });
    }
}

#[test]
fn empty_lines_before_a_request_are_passed_over() {
    accepts(&format!("\r\n\r\n{}", upgrade(&[])));
}

#[test]
fn values_beyond_ascii_are_the_applications_business() {
    accepts(&upgrade(&["X-Latin: caf\u{e9}", "X-Tab: a\tb"]));
    let mut request = upgrade(&[]).replace("\r\n\r\n", "\r\nX-Raw: ").into_bytes();
    request.extend(b"\xFF\x80\r\n\r\n");
    as_server(|way| {
        let mut server = way.server();
        server.decides(|offer| {
            assert_eq!(
                offer.fields().first("x-raw").map(|field| (field.value, field.text())),
                Some((&b"\xFF\x80"[..], None))
            );
            offer.accept(Accept::new());
        });
        server.receives(&request, &[Seen::offer("/chat")]);
    });
}

#[test]
fn the_limits_of_a_head_to_the_byte() {
    let limited = |head, target, fields| Config {
        limits: Limits { head, target, fields, ..Limits::default() },
        ..Config::default()
    };
    let fine = |config: &Config, request: &str| {
        as_server(|way| {
            let mut server = way.server_with(config.clone());
            server.receives(request, &[Seen::offer("/chat")]);
        });
    };
    let request = upgrade(&["X: y"]);
    let size = request.len();
    let line = "GET /chat HTTP/1.1".len();
    fine(&limited(size, line, 6), &request);

    let error = RequestError::HeadTooLarge;
    let answer = refusal("431 Request Header Fields Too Large", &[], error);
    refuses_with(&limited(size - 1, line, 6), &request, error, &answer);
    // Before it is complete, and before it is kept.
    as_server(|way| {
        let mut server = way.server_with(limited(100, 50, 6));
        server.receives(&request.as_bytes()[..100], &[]);
        server.receives(&request.as_bytes()[100..101], &[Seen::Refused(error)]);
    });

    let error = RequestError::TargetTooLong;
    let answer = refusal("414 URI Too Long", &[], error);
    refuses_with(&limited(size, line - 1, 6), &request, error, &answer);
    as_server(|way| {
        let mut server = way.server_with(limited(100, 10, 6));
        server.receives("GET /12345\r\n", &[]);
        let mut server = way.server_with(limited(100, 10, 6));
        // Its end may still be a CR and an LF.
        server.receives("GET /1234567", &[]);
        server.receives("8", &[Seen::Refused(error)]);
    });

    let error = RequestError::TooManyFields;
    let answer = refusal("431 Request Header Fields Too Large", &[], error);
    refuses_with(&limited(size, line, 5), &request, error, &answer);
    // It goes before all else that is wrong with them, and before what no parser takes.
    for broken in ["X y", "X : y", ": y", "X: \0", "X: a\rb"] {
        refuses_with(&limited(1000, 100, 5), &upgrade(&[broken]), error, &answer);
        refuses_with(&limited(1000, 100, 5), &head("GET /chat HTTP/1.1", &[broken; 6]), error, &answer);
        bad_request(&upgrade(&[broken]), RequestError::Malformed);
    }
    for line in ["GET /chat HTTP/3.0", "GET /chat", "GET  /chat HTTP/1.1"] {
        refuses_with(&limited(1000, 100, 5), &head(line, &["X: y"; 6]), error, &answer);
    }
    as_server(|way| {
        let mut server = way.server_with(limited(1000, 100, 2));
        server.receives("GET / HTTP/1.1\r\na: 1\r\nb: 2\r\nc: 3\r", &[]);
        server.receives("\n", &[Seen::Refused(error)]);
    });
}

#[test]
fn of_two_limits_the_first_that_is_broken_counts() {
    // A request line longer than both: the shorter limit is broken first, however the line comes in.
    let limits = Limits { head: 100, target: 200, ..Limits::default() };
    let config = Config { limits, ..Config::default() };
    let request = head(&format!("GET /{} HTTP/1.1", "a".repeat(400)), &[HOST]);
    let error = RequestError::HeadTooLarge;
    refuses_with(&config, &request, error, &refusal("431 Request Header Fields Too Large", &[], error));
}

#[test]
fn the_default_limits_of_a_head() {
    let limits = Limits::default();
    assert_eq!((limits.head, limits.target, limits.fields), (16 << 10, 8 << 10, 64));
    let many = |count| {
        let fields: Vec<String> = (5..count).map(|number| format!("X-{number}: {number}")).collect();
        upgrade(&fields.iter().map(String::as_str).collect::<Vec<_>>())
    };
    accepts(&many(64));
    let error = RequestError::TooManyFields;
    refuses(&many(65), error, &refusal("431 Request Header Fields Too Large", &[], error));
    // No configuration allows more than this.
    let lax = Config { limits: Limits { fields: 1000, ..Limits::default() }, ..Config::default() };
    as_server(|way| way.server_with(lax.clone()).receives(&many(128), &[Seen::offer("/chat")]));
    refuses_with(&lax, &many(129), error, &refusal("431 Request Header Fields Too Large", &[], error));
}

// Answers of the application's.

#[test]
fn a_rejection_is_any_response() {
    let cases = [
        (Response::new(404).unwrap(), "HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            Response::new(302).unwrap().header("Location", "/there?a=b").unwrap(),
            "HTTP/1.1 302 Found\r\nLocation: /there?a=b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        ),
        (
            Response::new(401)
                .unwrap()
                .header("WWW-Authenticate", "Basic realm=\"r\"")
                .unwrap()
                .header("Content-Type", "text/plain")
                .unwrap()
                .body("who are you?"),
            "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"r\"\r\nContent-Type: text/plain\r\n\
             Connection: close\r\nContent-Length: 12\r\n\r\nwho are you?",
        ),
        (Response::new(299).unwrap(), "HTTP/1.1 299 \r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
        (
            Response::new(426).unwrap(),
            "HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket\r\nConnection: close, Upgrade\r\nContent-Length: 0\r\n\r\n",
        ),
    ];
    for (response, bytes) in cases {
        as_server(|way| {
            let mut server = way.server();
            let response = response.clone();
            server.decides(move |offer| offer.reject(&response));
            // What the client sent behind its head was for a WebSocket that is not to be.
            server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
            server.receives([Frame::text("ignored")], &[]);
            server.sends_bytes(bytes);
            server.stands(Transport::ShutdownWrite, false);
            server.eof(&[]);
            server.stands(Transport::Close, true);
        });
    }
}

#[test]
fn a_request_for_something_else_is_answered_and_ends_the_connection() {
    let page = || Response::new(200).unwrap().header("Content-Type", "text/html").unwrap().body("<p>Hello</p>");
    let fields = "Content-Type: text/html\r\nConnection: close\r\n";
    for (line, response, bytes) in [
        ("GET / HTTP/1.1", page(), format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 12\r\n\r\n<p>Hello</p>")),
        ("POST /form HTTP/1.1", page(), format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 12\r\n\r\n<p>Hello</p>")),
        // The head of what a GET would have got, and no more.
        ("HEAD / HTTP/1.1", page(), format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 12\r\n\r\n")),
        ("GET / HTTP/1.0", page(), format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 12\r\n\r\n<p>Hello</p>")),
        ("GET / HTTP/1.1", Response::new(204).unwrap(), "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".into()),
        (
            "GET / HTTP/1.1",
            Response::new(204).unwrap().body("never"),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n".into(),
        ),
        (
            "GET / HTTP/1.1",
            Response::new(304).unwrap().body("never"),
            "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n".into(),
        ),
    ] {
        let (method, target) = line.rsplit_once(' ').and_then(|(asked, _)| asked.split_once(' ')).unwrap();
        as_server(|way| {
            let mut server = way.server();
            let response = response.clone();
            server.responds(move |request| request.respond(&response));
            server.receives(&head(line, &[HOST, "Accept: */*"]), &[Seen::request(method, target)]);
            // No second request is read.
            server.receives(&upgrade(&[]), &[]);
            server.sends_bytes(&bytes);
            server.stands(Transport::ShutdownWrite, false);
            server.eof(&[]);
            server.stands(Transport::Close, true);
        });
    }
}

#[test]
fn an_answer_to_head_has_no_content() {
    // RFC 9110 §9.3.2 says so of every answer, of one that refuses too.
    for (request, error) in [
        (head("HEAD /chat HTTP/1.1", &[HOST, UPGRADE, CONNECTION, KEY, VERSION]), RequestError::MethodNotAllowed),
        (head("HEAD / HTTP/1.1", &[HOST, HOST]), RequestError::InvalidHost),
        (head("HEAD / HTTP/1.1", &[HOST, "Content-Length: 5"]), RequestError::Body),
    ] {
        as_server(|way| {
            let mut server = way.server();
            server.receives(&request, &[Seen::Refused(error)]);
            let answer = server.take_output();
            assert!(answer.ends_with(b"\r\n\r\n"), "{}", answer.escape_ascii());
        });
    }
}

#[test]
fn the_host_of_an_absolute_target_goes_before_the_host_field() {
    // RFC 9112 §3.2.2.
    let config = Config::default();
    let request = |origin: &str| {
        head(
            "GET http://server.example.com/chat HTTP/1.1",
            &["Host: other.example.com", UPGRADE, CONNECTION, KEY, VERSION, &format!("Origin: {origin}")],
        )
    };
    as_server(|way| {
        let mut server = way.server();
        server.decides(|offer| {
            assert_eq!(offer.host(), "server.example.com");
            offer.accept(Accept::new());
        });
        let seen = [Seen::offer("http://server.example.com/chat")];
        server.receives(&request("http://server.example.com"), &seen);
    });
    let error = RequestError::ForbiddenOrigin;
    refuses_with(&config, &request("http://other.example.com"), error, &refusal("403 Forbidden", &[], error));
}

// Answers that come later.

#[test]
fn a_deferred_offer_is_answered_later() {
    as_server(|way| {
        let mut server = way.server();
        server.decides(|offer| {
            offer.defer();
        });
        server.receives(&upgrade(&["Sec-WebSocket-Protocol: chat"]), &[Seen::offer("/chat")]);
        server.sends_nothing();
        let id = server.id();
        assert!(server.engine.tx(id, server.now).is_none(), "there is no session yet");
        server.waits(Duration::from_secs(9), &[]);
        // It can be looked at again, and left again.
        assert_eq!(server.offer().unwrap().subprotocols().collect::<Vec<_>>(), ["chat"]);
        let offer = server.offer().unwrap();
        assert_eq!((offer.target(), offer.host()), ("/chat", "server.example.com"));
        let chosen = offer.select(&["chat"]);
        assert_eq!(offer.accept(Accept::new().subprotocol(chosen)), id);
        server.receives([Frame::text("hello")], &[Seen::text("hello")]);
        server.sends_bytes(SWITCHING.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: chat\r\n\r\n"));
        assert!(server.offer().is_none(), "it is answered");
        assert!(server.request().is_none(), "it never was another request");
        server.waits(Duration::from_secs(2), &[]);
        server.stands(Transport::Open, false);
    });
    as_server(|way| {
        let mut server = way.server();
        // Dropped is deferred.
        server.decides(|_offer| {});
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.offer().unwrap().reject(&Response::new(403).unwrap().body("no"));
        server.sends_bytes("HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
        assert!(server.offer().is_none());
    });
}

#[test]
fn a_deferred_request_is_answered_later() {
    as_server(|way| {
        let mut server = way.server();
        server.responds(|request| {
            request.defer();
        });
        server.receives(&head("HEAD /page HTTP/1.1", &[HOST]), &[Seen::request("HEAD", "/page")]);
        server.sends_nothing();
        // A client may send its next request ahead, which is not read.
        server.receives(&head("GET /next HTTP/1.1", &[HOST]), &[]);
        assert!(server.offer().is_none());
        assert_eq!(server.request().unwrap().target(), "/page");
        server.request().unwrap().respond(&Response::new(200).unwrap().body("page"));
        server.sends_bytes("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\n");
        assert!(server.request().is_none());
    });
}

#[test]
fn an_offer_that_nobody_answers_is_answered_503() {
    as_server(|way| {
        let mut server = way.server();
        server.decides(|_offer| {});
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.waits(Duration::from_millis(9_999), &[]);
        server.sends_nothing();
        server.waits(Duration::from_millis(1), &[Seen::unclean(Cause::Timeout(Timer::Open))]);
        server.sends_bytes("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        assert!(server.offer().is_none(), "its time was up");
        server.stands(Transport::ShutdownWrite, false);
        server.eof(&[]);
        server.stands(Transport::Close, true);
    });
    as_server(|way| {
        let mut server = way.server();
        server.responds(|_request| {});
        server.receives(&head("GET / HTTP/1.1", &[HOST]), &[Seen::request("GET", "/")]);
        server.waits(Duration::from_secs(10), &[Seen::unclean(Cause::Timeout(Timer::Open))]);
        server.sends_bytes("HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    });
}

//= rfc6455 7.2.2 MUST 1: a server that aborts a handshake closes the connection
//= type=test
#[test]
fn a_client_waits_for_the_answer_before_it_sends_frames() {
    let answer = refusal("400 Bad Request", &[], RequestError::EarlyData);
    as_server(|way| {
        let mut server = way.server();
        server.decides(|_offer| {});
        let bytes = [upgrade(&[]).as_bytes(), &Frame::text("early").to(Role::Server)].concat();
        server.receives(
            &bytes,
            &[Seen::offer("/chat"), Seen::Refused(RequestError::EarlyData), Seen::unclean(Cause::Fault)],
        );
        server.sends_bytes(&answer);
        assert!(server.offer().is_none());
    });
    as_server(|way| {
        let mut server = way.server();
        server.decides(|_offer| {});
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.receives([Frame::text("early")], &[Seen::Refused(RequestError::EarlyData), Seen::unclean(Cause::Fault)]);
        server.sends_bytes(&answer);
    });
}

#[test]
fn a_head_that_does_not_come_in_time_is_answered_408() {
    let error = RequestError::TimedOut;
    as_server(|way| {
        let mut server = way.server();
        // However busy it looks.
        for byte in upgrade(&[]).bytes().take(99) {
            server.receives([byte], &[]);
            server.waits(Duration::from_millis(100), &[]);
        }
        server.waits(Duration::from_millis(100), &[Seen::Refused(error)]);
        server.sends_bytes(refusal("408 Request Timeout", &[], error));
        server.stands(Transport::ShutdownWrite, false);
        server.waits(Duration::from_secs(10), &[]);
        server.stands(Transport::Close, true);
    });
}

#[test]
fn a_client_that_leaves_before_its_answer() {
    as_server(|way| {
        let mut server = way.server();
        server.receives(&upgrade(&[]).as_bytes()[..50], &[]);
        server.eof(&[]);
        server.sends_nothing();
        server.stands(Transport::Close, true);
    });
    as_server(|way| {
        let mut server = way.server();
        server.decides(|_offer| {});
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.eof(&[Seen::unclean(Cause::Eof)]);
        assert!(server.offer().is_none());
        server.sends_nothing();
        server.stands(Transport::Close, true);
    });
    as_server(|way| {
        let mut server = way.server();
        server.receives(&upgrade(&[]).as_bytes()[..50], &[]);
        server.reset(&[]);
        server.sends_nothing();
        assert!(server.engine.is_closed());
    });
    as_server(|way| {
        let mut server = way.server();
        server.decides(|_offer| {});
        server.receives(&upgrade(&[]), &[Seen::offer("/chat")]);
        server.reset(&[Seen::unclean(Cause::Reset)]);
        assert!(server.offer().is_none());
        server.sends_nothing();
        assert!(server.engine.is_closed());
    });
    // An answer that cannot be written is dropped.
    let mut server = Server::new(Default::default(), START);
    let mut request = *b"bad\r\n\r\n";
    assert!(server.receive(&mut &mut request[..], START).is_some());
    assert!(server.has_output());
    server.receive_reset(START);
    assert_eq!((server.has_output(), server.is_closed()), (false, true));
}

/// What a server shows to a transport, either way.
fn shown(server: &mut Server) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 4];
    let count = server.transmit(&mut slices);
    let shown: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(server.transmit_slices().flatten().copied().collect::<Vec<u8>>(), shown);
    shown
}

#[test]
fn is_closed_waits_for_the_last_event() {
    // The client leaves, or its time is up and the answer is written: until the application has heard it, it is not over.
    let ends: [fn(&mut Server, Instant); 2] = [
        |server, now| server.receive_eof(now),
        |server, now| {
            server.handle_timeout(now);
            server.take(&mut Vec::new(), now);
            server.receive_eof(now);
        },
    ];
    for end in ends {
        let mut server = Server::new(Default::default(), START);
        let mut request = upgrade(&[]).into_bytes();
        assert!(matches!(server.receive(&mut &mut request[..], START), Some(ServerEvent::Offer(_))));
        let later = START + Duration::from_secs(10);
        end(&mut server, later);
        assert_eq!((server.transport(), server.is_closed()), (Transport::Close, false));
        assert!(matches!(server.receive(&mut &mut [][..], later), Some(ServerEvent::Closed(..))));
        assert!(server.is_closed());
    }
}

#[test]
fn the_transport_is_closed_when_the_answer_is_written_and_not_before() {
    let mut server = Server::new(Default::default(), START);
    let mut request = head("GET / HTTP/1.1", &[HOST]).into_bytes();
    match server.receive(&mut &mut request[..], START) {
        Some(ServerEvent::Request(request)) => request.respond(&Response::new(200).unwrap().body("page")),
        other => panic!("{other:?}"),
    }
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 4\r\n\r\npage";
    for taken in 0..answer.len() {
        assert_eq!((server.transport(), server.is_closed()), (Transport::Open, false));
        assert_eq!(shown(&mut server), answer.as_bytes()[taken..]);
        server.transmitted(1, START);
    }
    assert_eq!((server.transport(), server.is_closed()), (Transport::ShutdownWrite, false));
    server.receive_eof(START);
    assert_eq!((server.transport(), server.is_closed()), (Transport::Close, true));
}

#[test]
fn an_acceptance_is_written_before_what_is_sent_behind_it() {
    let ping = |server: &mut Server| {
        let mut ping = Frame::ping("p").to(Role::Server);
        assert!(server.receive(&mut &mut ping[..], START).is_some());
    };
    for size in 1..=SWITCHING.len() + 30 {
        let mut server = Server::new(Default::default(), START);
        let mut request = upgrade(&[]).into_bytes();
        let id = match server.receive(&mut &mut request[..], START) {
            Some(ServerEvent::Offer(offer)) => offer.accept(Accept::new()),
            other => panic!("{other:?}"),
        };
        let (mut taken, mut step) = (Vec::new(), 0);
        while !(step > 3 && shown(&mut server).is_empty()) {
            let before = shown(&mut server);
            let count = size.min(before.len());
            server.transmitted(count, START);
            taken.extend_from_slice(&before[..count]);
            match step {
                0 => server.tx(id, START).unwrap().send(Message::Text("first")).unwrap(),
                1 => ping(&mut server),
                2 => server.tx(id, START).unwrap().send(Message::Text("second")).unwrap(),
                _ => {}
            }
            step += 1;
            assert!(shown(&mut server).starts_with(&before[count..]));
        }
        let (head, sent) = taken.split_at(SWITCHING.len());
        assert_eq!(head, SWITCHING.as_bytes());
        let (pongs, others): (Vec<_>, Vec<_>) = frames(sent).into_iter().partition(|frame| *frame == Frame::pong("p"));
        assert_eq!((pongs.len(), others), (1, vec![Frame::text("first"), Frame::text("second")]));
    }
}

#[test]
fn output_that_is_taken_is_transmitted() {
    // The time to end the transport runs from the last byte that it took, whichever call says so.
    let later = START + Duration::from_secs(8);
    let deadline = |drain: fn(&mut Server, Instant)| {
        let mut server = Server::new(Default::default(), START);
        let mut request = *b"bad\r\n\r\n";
        assert!(server.receive(&mut &mut request[..], START).is_some());
        drain(&mut server, later);
        server.poll_timeout()
    };
    let transmitted = deadline(|server, now| server.transmitted(usize::MAX, now));
    assert_eq!(transmitted, Some((later + Duration::from_secs(10), Timer::Close)));
    assert_eq!(deadline(|server, now| server.take(&mut Vec::new(), now)), transmitted);
}

// Heads that another stack parsed.

/// Why such a head is refused, and with which status.
#[track_caller]
fn refused(head: RequestHead<'_>) -> (RequestError, u16) {
    match head.classify(&Config::default()) {
        Classified::Refused(error) => (error, Response::refusing(error).status()),
        other => panic!("not refused: {other:?}"),
    }
}

#[track_caller]
fn valid(head: RequestHead<'_>) -> Request<'_> {
    match head.classify(&Config::default()) {
        Classified::WebSocket(request) => request,
        other => panic!("no valid request for a WebSocket: {other:?}"),
    }
}

/// A session behind a handshake that another stack carried.
#[track_caller]
fn runs(agreed: &Agreed) {
    let mut session = WebSocket::server(agreed, Arc::new(Config::default()), START);
    assert_eq!(events(&mut session, &mut Frame::text("hello").to(Role::Server)), [Seen::text("hello")]);
}

#[test]
fn a_head_that_another_stack_parsed() {
    let fields = [
        ("host", &b"server.example.com"[..]),
        ("Connection", b"keep-alive, Upgrade"),
        ("upgrade", b"WebSocket"),
        ("sec-websocket-key", b" dGhlIHNhbXBsZSBub25jZQ== "),
        ("sec-websocket-version", b"13"),
        ("sec-websocket-protocol", b"chat"),
        ("origin", b"http://server.example.com"),
    ];
    let request = valid(RequestHead::new("GET", "/chat", HttpVersion::Http11, fields[..].into()));
    assert_eq!((request.host(), request.origin()), ("server.example.com", Some("http://server.example.com")));
    let accept = Accept::new().subprotocol(request.select(&["chat"])).header("Server", "other").unwrap();
    let (response, agreed) = request.answer(&accept);
    let lines = response.fields().iter().map(|field| format!("{}: {}", field.name, field.text().unwrap()));
    assert_eq!(response.status(), 101);
    assert!(lines.eq([
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "Sec-WebSocket-Protocol: chat",
        "Server: other",
    ]));
    assert_eq!(agreed.subprotocol(), Some("chat"));
    runs(&agreed);

    // The same checks hold, and the same answers.
    for (method, version, count, error, status) in [
        ("POST", HttpVersion::Http11, 7, RequestError::MethodNotAllowed, 405),
        ("GET", HttpVersion::Http10, 7, RequestError::OldHttpVersion, 400),
        ("GET", HttpVersion::Http11, 0, RequestError::InvalidHost, 400),
        ("GET", HttpVersion::Http11, 3, RequestError::InvalidVersion, 400),
    ] {
        let head = RequestHead::new(method, "/chat", version, fields[..count].into());
        assert_eq!(refused(head), (error, status));
    }
    let other = RequestHead::new("GET", "/chat", HttpVersion::Http11, fields[..1].into()).classify(&Config::default());
    assert!(matches!(other, Classified::Plain(head) if head.target() == "/chat"), "{other:?}");
}

#[test]
fn a_head_of_http_2() {
    let fields = [
        ("sec-websocket-version", &b"13"[..]),
        ("origin", b"https://server.example.com"),
        ("sec-websocket-protocol", b"chat, superchat"),
        // Means nothing here (RFC 8441 §5).
        ("sec-websocket-key", b"stray"),
    ];
    let connect = RequestHead::new("CONNECT", "/chat", HttpVersion::Http2, fields[..].into());
    let (host, protocol) = (Some("server.example.com"), Some("websocket"));
    let request = valid(connect.with_pseudo(host, protocol));
    assert_eq!((request.host(), request.origin()), ("server.example.com", Some("https://server.example.com")));
    let (response, agreed) = request.answer(&Accept::new().subprotocol(request.select(&["superchat"])));
    let names: Vec<&str> = response.fields().iter().map(|field| field.name).collect();
    assert_eq!((response.status(), names), (200, vec!["Sec-WebSocket-Protocol"]));
    runs(&agreed);

    let evil = connect.with_pseudo(Some("evil.example"), protocol);
    assert_eq!(refused(evil), (RequestError::ForbiddenOrigin, 403));
    assert_eq!(refused(connect.with_pseudo(Some("a b"), protocol)), (RequestError::InvalidHost, 400));
    assert_eq!(refused(connect.with_pseudo(None, protocol)), (RequestError::InvalidHost, 400));
    for (fields, error, status) in [
        (&[][..], RequestError::InvalidVersion, 400),
        (&[("sec-websocket-version", &b"8"[..])], RequestError::UnsupportedVersion, 426),
    ] {
        let other = RequestHead::new("CONNECT", "/chat", HttpVersion::Http2, fields.into());
        assert_eq!(refused(other.with_pseudo(host, protocol)), (error, status));
    }
    let get = RequestHead::new("GET", "/chat", HttpVersion::Http2, fields[..].into());
    let udp = connect.with_pseudo(host, Some("connect-udp"));
    for plain in [connect.with_pseudo(host, None), udp, get.with_pseudo(host, None)] {
        let classified = plain.classify(&Config::default());
        assert!(matches!(classified, Classified::Plain(_)), "{classified:?}");
    }
}
