//! Do both roles agree on permessage-deflate as RFC 7692 §5 and §7.1 say, and then speak what was agreed?
//!
//! Offers go in and the exact answer comes out; or the offer comes out and answers go in. Each head is cut at every byte.
//! A server declines what it does not understand and goes on without compression; a client fails. What both then hold to
//! is read off the session, and seen in the bytes that it sends: RFC 7692 §7.2.3 has them for a "Hello" and another one.

#![cfg(all(test, feature = "deflate"))]

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sha1::{Digest as _, Sha1};
use sockless::{
    Accept, Cause, Classified, Client, Compress, Compression, Config, Connect, DeflateParameters, Error, HttpVersion,
    Kind, Message, RequestError, RequestHead, ResponseError, Sender, Server, Transport, WebSocket, WindowBits,
};

mod common;

use common::*;

/// What one side may do: its window, and whether it begins each message with an empty one.
type Side = (u8, bool);

const KEEPS: bool = false;
const FORGETS: bool = true;
/// All that there is to agree on.
const FULL: Side = (15, KEEPS);

fn parameters(server: Side, client: Side) -> DeflateParameters {
    DeflateParameters {
        server_no_context_takeover: server.1,
        client_no_context_takeover: client.1,
        server_max_window_bits: WindowBits::new(server.0).unwrap(),
        client_max_window_bits: WindowBits::new(client.0).unwrap(),
    }
}

fn agreed(server: Side, client: Side) -> Option<DeflateParameters> {
    Some(parameters(server, client))
}

fn config(server: Side, client: Side) -> Config {
    let wished = parameters(server, client);
    let compression = Compression {
        server_no_context_takeover: wished.server_no_context_takeover,
        client_no_context_takeover: wished.client_no_context_takeover,
        server_max_window_bits: wished.server_max_window_bits,
        client_max_window_bits: wished.client_max_window_bits,
        ..Compression::default()
    };
    Config { compression: Some(compression), ..Config::default() }
}

fn plain() -> Config {
    Config::default()
}

fn head(lines: &[&str], extensions: &[&str]) -> String {
    let extensions = extensions.iter().map(|value| format!("Sec-WebSocket-Extensions: {value}\r\n"));
    lines.iter().map(|line| format!("{line}\r\n")).chain(extensions).collect::<String>() + "\r\n"
}

// The server.

const FIELDS: [(&str, &str); 5] = [
    ("Host", "a"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn upgrade(offers: &[&str]) -> String {
    let fields = FIELDS.map(|(name, value)| format!("{name}: {value}"));
    let lines: Vec<&str> = ["GET / HTTP/1.1"].into_iter().chain(fields.iter().map(String::as_str)).collect();
    head(&lines, offers)
}

fn switching(answer: Option<&str>) -> String {
    let lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ];
    head(&lines, answer.as_slice())
}

/// Calls this with a request that another stack parsed.
#[track_caller]
fn classified<T>(config: &Config, offers: &[&str], use_it: impl FnOnce(Classified<'_>) -> T) -> T {
    let offers = offers.iter().map(|offer| ("sec-websocket-extensions", *offer));
    let fields: Vec<(&str, &[u8])> =
        FIELDS.into_iter().chain(offers).map(|(name, value)| (name, value.as_bytes())).collect();
    use_it(RequestHead::new("GET", "/", HttpVersion::Http11, fields[..].into()).classify(config))
}

#[track_caller]
fn answers(config: &Config, offers: &[&str], answer: Option<&str>, agreed: Option<DeflateParameters>) {
    let (request, response) = (upgrade(offers), switching(answer));
    in_handshake(Role::Server, |way| {
        let mut server = way.server_with(config.clone());
        server.receives(&request, &[Seen::offer("/")]);
        server.sends_bytes(&response);
        assert_eq!(server.tx().deflate(), agreed, "{offers:?}");
    });
    answers_elsewhere(config, &Accept::new(), offers, answer, agreed);
}

#[track_caller]
fn answers_elsewhere(
    config: &Config,
    accept: &Accept<'_>,
    offers: &[&str],
    answer: Option<&str>,
    agreed: Option<DeflateParameters>,
) {
    classified(config, offers, |classified| {
        let Classified::WebSocket(request) = classified else { panic!("no request for a WebSocket: {classified:?}") };
        let (response, agreed_there) = request.answer(accept);
        let answered: Vec<&str> =
            response.fields().all("Sec-WebSocket-Extensions").map(|field| field.text().unwrap()).collect();
        assert_eq!((answered, agreed_there.deflate()), (answer.into_iter().collect(), agreed), "{offers:?}");
    });
}

//= rfc6455 4.2.2 MUST 7: the answer is to what the client listed
//= rfc6455 5.8 MUST 1: what is agreed on, is agreed on here
//= rfc6455 9 MUST 1: each parameter as its extension has it
//= rfc6455 9.1 MUST 3: the name is the registered one
//= rfc6455 9.1 MUST 4: and the parameters are its own
//= rfc7692 5 MUST 3: an answer names the extension
//= rfc7692 5 MUST 4: with what the server will keep to
//= rfc7692 7.1.1.1 RECOMMENDED 1: the server forgets its window where that is demanded
//= rfc7692 7.1.2.1 MUST 1: a limit offered is read, quoted or not
//= rfc7692 7.1.2.1 MUST 2: and answered with a number
//= rfc7692 7.1.2.2 MUST 1: as is the client's own
//= rfc7692 7.1.2.2 MUST 2: and answered with a number
//= type=test
#[test]
fn trap_32_to_35_each_parameter_is_answered() {
    let config = config(FULL, FULL);
    for (offer, answer, (server, client)) in [
        ("", "", (FULL, FULL)),
        // What the client demands of the server is always answered.
        ("; server_no_context_takeover", "; server_no_context_takeover", ((15, FORGETS), FULL)),
        ("; server_max_window_bits=8", "; server_max_window_bits=8", ((8, KEEPS), FULL)),
        ("; server_max_window_bits=10", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        ("; server_max_window_bits=15", "; server_max_window_bits=15", (FULL, FULL)),
        // What the client says of itself: taken up where it spares memory.
        ("; client_no_context_takeover", "; client_no_context_takeover", (FULL, (15, FORGETS))),
        ("; client_max_window_bits", "", (FULL, FULL)),
        ("; client_max_window_bits=15", "", (FULL, FULL)),
        ("; client_max_window_bits=8", "; client_max_window_bits=8", (FULL, (8, KEEPS))),
        // All forms of a value.
        ("; server_max_window_bits=\"10\"", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        ("; server_max_window_bits=\"1\\0\"", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        ("; server_max_window_bits=\"\\1\\0\"", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        ("; client_max_window_bits=\"9\"", "; client_max_window_bits=9", (FULL, (9, KEEPS))),
        ("; client_max_window_bits=\"\\9\"", "; client_max_window_bits=9", (FULL, (9, KEEPS))),
        (";server_max_window_bits=10", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        ("\t ;\tserver_max_window_bits \t=  10 \t", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        // Together, in any order.
        (
            "; client_max_window_bits=9; server_max_window_bits=\"11\"; client_no_context_takeover; \
             server_no_context_takeover",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=11; \
             client_max_window_bits=9",
            ((11, FORGETS), (9, FORGETS)),
        ),
        (
            "; server_max_window_bits=15; client_max_window_bits=12",
            "; client_max_window_bits=12; server_max_window_bits=15",
            (FULL, (12, KEEPS)),
        ),
    ] {
        let (offer, answer) = (format!("permessage-deflate{offer}"), format!("permessage-deflate{answer}"));
        answers(&config, &[&offer], Some(&answer), agreed(server, client));
    }
}

//= rfc7692 5 MUST 2: the server keeps within the client's window
//= rfc7692 7.1.2.2 MUST NOT 1: the window of a client that did not let it is not limited
//= type=test
#[test]
fn trap_33_to_35_the_servers_own_wishes() {
    for (config, offer, answer, (server, client)) in [
        // Unasked, the server limits itself.
        (config((12, KEEPS), FULL), "", "; server_max_window_bits=12", ((12, KEEPS), FULL)),
        (config((12, KEEPS), FULL), "; server_max_window_bits=15", "; server_max_window_bits=12", ((12, KEEPS), FULL)),
        (config((12, KEEPS), FULL), "; server_max_window_bits=12", "; server_max_window_bits=12", ((12, KEEPS), FULL)),
        (config((12, KEEPS), FULL), "; server_max_window_bits=9", "; server_max_window_bits=9", ((9, KEEPS), FULL)),
        (config((8, KEEPS), FULL), "; server_max_window_bits=9", "; server_max_window_bits=8", ((8, KEEPS), FULL)),
        (config((15, FORGETS), FULL), "", "; server_no_context_takeover", ((15, FORGETS), FULL)),
        // The client's takeover is forbidden unasked, its window limited only if it lets us, and never widened.
        (config(FULL, (15, FORGETS)), "", "; client_no_context_takeover", (FULL, (15, FORGETS))),
        (config(FULL, (10, KEEPS)), "", "", (FULL, FULL)),
        (config(FULL, (10, KEEPS)), "; server_max_window_bits=10", "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits", "; client_max_window_bits=10", (FULL, (10, KEEPS))),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits=15", "; client_max_window_bits=10", (FULL, (10, KEEPS))),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits=8", "; client_max_window_bits=8", (FULL, (8, KEEPS))),
        (
            config((9, FORGETS), (10, FORGETS)),
            "; client_max_window_bits",
            "; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; \
             client_max_window_bits=10",
            ((9, FORGETS), (10, FORGETS)),
        ),
    ] {
        let (offer, answer) = (format!("permessage-deflate{offer}"), format!("permessage-deflate{answer}"));
        answers(&config, &[&offer], Some(&answer), agreed(server, client));
    }
    // It is not on by default, and then nothing is answered.
    assert!(plain().compression.is_none());
    answers(&plain(), &["permessage-deflate"], None, None);
    answers(&plain(), &["permessage-deflate; client_max_window_bits", "permessage-deflate"], None, None);
    answers(&config(FULL, FULL), &[], None, None);
    // Over HTTP/2 it is the same.
    let offer = b"permessage-deflate; client_max_window_bits";
    let fields = [("sec-websocket-version", &b"13"[..]), ("sec-websocket-extensions", offer)];
    let connect = RequestHead::new("CONNECT", "/", HttpVersion::Http2, fields[..].into());
    match connect.with_pseudo(Some("a"), Some("websocket")).classify(&config(FULL, (10, KEEPS))) {
        Classified::WebSocket(request) => {
            let (response, there) = request.answer(&Accept::new());
            let lines: Vec<_> = response.fields().iter().map(|field| (field.name, field.text().unwrap())).collect();
            assert_eq!(lines, [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits=10")]);
            assert_eq!((response.status(), there.deflate()), (200, agreed(FULL, (10, KEEPS))));
        }
        other => panic!("no request for a WebSocket: {other:?}"),
    }
}

/// What no offer and no answer may hold.
fn bad() -> Vec<String> {
    let mut parameters: Vec<String> = [
        "server_max_window_bits",
        "x",
        "x=10",
        "mem_level=8",
        "_max_window_bits=10",
        "no_context_takeover",
        "Server_No_Context_Takeover",
        "CLIENT_MAX_WINDOW_BITS",
        "SERVER_MAX_WINDOW_BITS=10",
        "client_max_window_bits; client_max_window_bits",
        "client_max_window_bits=10; client_max_window_bits",
        "server_max_window_bits=10; client_max_window_bits=9; server_max_window_bits=11",
        "client_max_window_bits=10; permessage-deflate",
    ]
    .map(str::to_owned)
    .into();
    for side in ["server", "client"] {
        let strange = "+9 -9 8.0 1e1 10x 0xA x true \"7\" \"16\" \"08\" \"\\0\\8\" \"1\\6\"";
        for width in "7 16 0 1 08 010 264 18446744073709551624".split(' ').chain(strange.split(' ')) {
            parameters.push(format!("{side}_max_window_bits={width}"));
        }
        for value in ["1", "0", "15", "true", "\"x\"", "\"\\1\""] {
            parameters.push(format!("{side}_no_context_takeover={value}"));
        }
        for name in ["no_context_takeove", "no_context_takeoverX", "max_window_bit=10", "max_window_bitsX=10"] {
            parameters.push(format!("{side}_{name}"));
        }
        for twice in ["no_context_takeover", "max_window_bits=10"] {
            parameters.push(format!("{side}_{twice}; {side}_{twice}"));
        }
    }
    parameters.iter().map(|parameters| format!("permessage-deflate; {parameters}")).collect()
}

/// What is not this extension.
const OTHERS: [&str; 9] = [
    "permessage-deflate-x",
    "permessage-deflat",
    "permessage-deflate2",
    "xpermessage-deflate",
    "permessage_deflate",
    "PERMESSAGE-DEFLATE",
    "Permessage-Deflate",
    "permessage-bzip2",
    "x-webkit-deflate-frame",
];

//= rfc7692 5 MUST NOT 3: who declines all offers answers nothing
//= rfc7692 7 MUST 1: an unknown, repeated or invalid parameter declines the offer
//= type=test
#[test]
fn trap_30_to_35_a_server_declines_what_it_does_not_understand_and_goes_on() {
    let config = config(FULL, FULL);
    for offer in bad().iter().map(String::as_str).chain(OTHERS) {
        answers(&config, &[offer], None, None);
        // The next offer is taken, wherever it stands.
        answers_elsewhere(
            &config,
            &Accept::new(),
            &[&format!("{offer}, permessage-deflate; server_max_window_bits=9, permessage-deflate")],
            Some("permessage-deflate; server_max_window_bits=9"),
            agreed((9, KEEPS), FULL),
        );
        answers_elsewhere(
            &config,
            &Accept::new(),
            &[offer, "permessage-deflate; client_no_context_takeover"],
            Some("permessage-deflate; client_no_context_takeover"),
            agreed(FULL, (15, FORGETS)),
        );
    }
}

//= rfc7692 5 MUST NOT 1: of several offers one is accepted
//= rfc7692 5 MUST NOT 2: and nothing beside it
//= type=test
#[test]
fn trap_29_the_first_acceptable_offer_wins() {
    const TAKEN: &str = "permessage-deflate; server_max_window_bits=10";
    const OTHER: &str = "permessage-deflate; server_max_window_bits=12";
    const BAD: &str = "permessage-deflate; server_max_window_bits=16";
    const BARE: &str = "permessage-deflate";
    for offers in [
        &[&*format!("{TAKEN}, {OTHER}")][..],
        &[&format!("{TAKEN},{BARE}")],
        &[TAKEN, OTHER],
        &[TAKEN, BARE],
        &[TAKEN, TAKEN],
        &[TAKEN, BAD],
        &[BAD, TAKEN],
        &[BAD, TAKEN, OTHER],
        &[&format!("{BAD}, {TAKEN}"), OTHER],
        &[&format!(" ,{BAD} ,, {TAKEN}, x")],
        &["permessage-foo; use_y, permessage-foo", BAD, &format!("x, {TAKEN}"), OTHER],
    ] {
        answers(&config(FULL, FULL), offers, Some(TAKEN), agreed((10, KEEPS), FULL));
    }
    answers(&config(FULL, FULL), &[BAD, "permessage-foo", BAD], None, None);
}

#[test]
fn trap_10_and_30_a_malformed_list_is_no_handshake() {
    let body = format!("{}\n", RequestError::InvalidExtensions);
    let length = format!("Content-Length: {}", body.len());
    let lines =
        ["HTTP/1.1 400 Bad Request", "Content-Type: text/plain; charset=utf-8", "Connection: close", length.as_str()];
    let refusal = head(&lines, &[]) + &body;
    let many = ["permessage-deflate"; 17].join(", ");
    let long = format!("permessage-deflate{}", "; x".repeat(17));
    for offers in [
        &[""][..],
        &[","],
        &["permessage-deflate;"],
        &["permessage-deflate; ;server_no_context_takeover"],
        &["permessage-deflate server_no_context_takeover"],
        &["permessage-deflate; server_max_window_bits="],
        &["permessage-deflate; server_max_window_bits=\"\""],
        &["permessage-deflate; server_max_window_bits=\"10"],
        &["permessage-deflate; server_max_window_bits=\"10\\"],
        &["permessage-deflate; server_max_window_bits=\"1,0\""],
        &["permessage-deflate; server_max_window_bits=\"1 0\""],
        &["permessage-deflate; server_max_window_bits=\"10\"\"\""],
        &["permessage-deflate; server_max_window_bits=1 0"],
        &["permessage-deflate; =10"],
        &["permessage-deflate; server_max_window_bits=\u{661}\u{660}"],
        &["\"permessage-deflate\""],
        &["permessage-deflate/1"],
        // Behind, or before, what would be taken.
        &["permessage-deflate, a b"],
        &["permessage-deflate", "permessage-deflate;"],
        &["a b", "permessage-deflate"],
        &["permessage-deflate", ""],
        // More than anyone needs.
        &[&many],
        &[&long],
    ] {
        for config in [config(FULL, FULL), plain()] {
            in_handshake(Role::Server, |way| {
                let mut server = way.server_with(config.clone());
                server.receives(&upgrade(offers), &[Seen::Refused(RequestError::InvalidExtensions)]);
                server.sends_bytes(&refusal);
                server.stands(Transport::ShutdownWrite, false);
            });
            classified(&config, offers, |classified| {
                let is_refused = matches!(classified, Classified::Refused(RequestError::InvalidExtensions));
                assert!(is_refused, "{offers:?} is {classified:?}");
            });
        }
    }
    // As many as anyone may need.
    let (many, long) = (format!("{}permessage-deflate", "x, ".repeat(15)), format!("x{}", "; y".repeat(16)));
    answers(&config(FULL, FULL), &[&many], Some("permessage-deflate"), agreed(FULL, FULL));
    answers(&config(FULL, FULL), &[&long, "permessage-deflate"], Some("permessage-deflate"), agreed(FULL, FULL));
}

#[test]
fn a_session_can_have_wishes_of_its_own() {
    const OFFER: &str = "permessage-deflate; client_max_window_bits";
    for (servers, sessions, answer, agreed) in [
        (plain(), config(FULL, FULL), Some("permessage-deflate"), agreed(FULL, FULL)),
        (config(FULL, FULL), plain(), None, None),
        (config((9, FORGETS), FULL), config(FULL, FULL), Some("permessage-deflate"), agreed(FULL, FULL)),
        (
            config(FULL, FULL),
            config((9, FORGETS), (10, KEEPS)),
            Some("permessage-deflate; server_no_context_takeover; server_max_window_bits=9; client_max_window_bits=10"),
            agreed((9, FORGETS), (10, KEEPS)),
        ),
    ] {
        let sessions = Arc::new(sessions);
        let is_compressed = answer.is_some();
        answers_elsewhere(&servers, &Accept::new().config(sessions.clone()), &[OFFER], answer, agreed);
        for deferred in [false, true] {
            in_handshake(Role::Server, |way| {
                let mut server = way.server_with(servers.clone());
                let accept = Accept::new().config(sessions.clone());
                server.decides(move |offer| {
                    if deferred {
                        offer.defer();
                    } else {
                        offer.accept(accept.clone());
                    }
                });
                server.receives(&upgrade(&[OFFER]), &[Seen::offer("/")]);
                if deferred {
                    server.offer().unwrap().accept(Accept::new().config(sessions.clone()));
                }
                server.sends_bytes(switching(answer));
                assert_eq!(server.tx().deflate(), agreed);
                server.tx().send_with(Message::Text("Hello"), Compress::Always).unwrap();
                server.sends(&[if is_compressed { hello() } else { Frame::text("Hello") }]);
            });
        }
    }
}

// The client.

fn connect() -> Connect {
    Connect::to("ws://a/").unwrap()
}

fn request(config: &Config) -> String {
    let mut client = Client::new(Arc::new(config.clone()), Counter(0), START).unwrap();
    client.open(&connect(), START).unwrap();
    let mut request = Vec::new();
    client.take(&mut request, START);
    String::from_utf8(request).unwrap()
}

/// The key that all clients of these tests send.
fn key(request: &str) -> &str {
    request.split_once("Sec-WebSocket-Key: ").unwrap().1.split("\r\n").next().unwrap()
}

fn response(answers: &[&str]) -> String {
    let digest = Sha1::digest(format!("{}258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key(&request(&plain()))));
    let accept = format!("Sec-WebSocket-Accept: {}", BASE64.encode(digest));
    let lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade", accept.as_str()];
    head(&lines, answers)
}

//= rfc7692 5 MUST 1: an offer names the extension
//= rfc7692 5 MUST 2: and the window that the client has for the server's messages
//= type=test
#[test]
fn trap_32_to_35_the_offer_to_the_byte() {
    for (config, offers) in [
        (plain(), &[][..]),
        // It lets the server limit our window, whether or not we do.
        (config(FULL, FULL), &["permessage-deflate; client_max_window_bits"]),
        (config(FULL, (10, KEEPS)), &["permessage-deflate; client_max_window_bits=10"]),
        (config(FULL, (8, KEEPS)), &["permessage-deflate; client_max_window_bits=8"]),
        (config((10, KEEPS), FULL), &["permessage-deflate; server_max_window_bits=10; client_max_window_bits"]),
        (config((15, FORGETS), FULL), &["permessage-deflate; server_no_context_takeover; client_max_window_bits"]),
        (config(FULL, (15, FORGETS)), &["permessage-deflate; client_no_context_takeover; client_max_window_bits"]),
        (
            config((8, FORGETS), (14, FORGETS)),
            &["permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
               server_max_window_bits=8; client_max_window_bits=14"],
        ),
    ] {
        let request = request(&config);
        let key = format!("Sec-WebSocket-Key: {}", key(&request));
        let lines = ["GET / HTTP/1.1", "Host: a", "Upgrade: websocket", "Connection: Upgrade", &key];
        assert_eq!(request, head(&[&lines[..], &["Sec-WebSocket-Version: 13"]].concat(), offers));
    }
}

//= rfc6455 9.1 MUST NOT 1: what was offered and not answered is not spoken
//= rfc7692 7.1.1.2 MUST 1: the client obeys where its takeover is forbidden
//= rfc7692 7.1.2.1 MUST 2: a limit answered is read, quoted or not
//= rfc7692 7.1.2.2 MUST 2: as is the client's own
//= rfc7692 7.2.2 MUST 6: what it sends keeps to that
//= type=test
#[test]
fn trap_31_to_35_every_good_answer_is_agreed_on() {
    let full = || config(FULL, FULL);
    for (config, answer, (server, client)) in [
        (full(), "", (FULL, FULL)),
        (full(), "; server_no_context_takeover", ((15, FORGETS), FULL)),
        (full(), "; client_no_context_takeover", (FULL, (15, FORGETS))),
        (full(), "; server_max_window_bits=8", ((8, KEEPS), FULL)),
        (full(), "; server_max_window_bits=15", (FULL, FULL)),
        (full(), "; server_max_window_bits=\"10\"", ((10, KEEPS), FULL)),
        (full(), ";server_max_window_bits = \"\\1\\0\" ", ((10, KEEPS), FULL)),
        (full(), "; client_max_window_bits=8", (FULL, (8, KEEPS))),
        (full(), "; client_max_window_bits=15", (FULL, FULL)),
        (full(), "; client_max_window_bits=\"12\"", (FULL, (12, KEEPS))),
        (
            full(),
            "; client_max_window_bits=9; server_max_window_bits=11; client_no_context_takeover; \
             server_no_context_takeover",
            ((11, FORGETS), (9, FORGETS)),
        ),
        // Empty elements of a list mean nothing.
        (full(), " ,", (FULL, FULL)),
        // What was demanded is granted, or more than that.
        (config((10, KEEPS), FULL), "; server_max_window_bits=10", ((10, KEEPS), FULL)),
        (config((10, KEEPS), FULL), "; server_max_window_bits=9", ((9, KEEPS), FULL)),
        (config((15, FORGETS), FULL), "; server_no_context_takeover", ((15, FORGETS), FULL)),
        // The client keeps to what it said of itself, whatever the answer.
        (config(FULL, (10, KEEPS)), "", (FULL, (10, KEEPS))),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits=15", (FULL, (10, KEEPS))),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits=11", (FULL, (10, KEEPS))),
        (config(FULL, (10, KEEPS)), "; client_max_window_bits=9", (FULL, (9, KEEPS))),
        (config(FULL, (15, FORGETS)), "", (FULL, (15, FORGETS))),
        (config(FULL, (15, FORGETS)), "; client_no_context_takeover", (FULL, (15, FORGETS))),
    ] {
        let answer = format!("permessage-deflate{answer}");
        let response = response(&[&answer]);
        in_handshake(Role::Client, |way| {
            let mut session = way.client_with(config.clone(), &connect());
            session.receives(&response, &[Seen::open(None)]);
            assert_eq!(session.tx().deflate(), agreed(server, client), "{answer}");
        });
    }
    // No answer, no compression: that is fine, even where something was demanded.
    for config in [full(), config((8, FORGETS), (8, FORGETS)), plain()] {
        in_handshake(Role::Client, |way| {
            let mut session = way.client_with(config.clone(), &connect());
            session.receives(&response(&[]), &[Seen::open(None)]);
            assert_eq!(session.tx().deflate(), None);
            session.tx().send_with(Message::Text("Hello"), Compress::Always).unwrap();
            session.sends(&[Frame::text("Hello")]);
        });
    }
}

#[track_caller]
fn fails(config: &Config, answers: &[&str], error: ResponseError) {
    let response = response(answers);
    in_handshake(Role::Client, |way| {
        let mut client = way.client_with(config.clone(), &connect());
        client.receives(&response, &[Seen::BadResponse(error), Seen::unclean(Cause::Fault)]);
        client.receives(hello(), &[]);
        client.sends_nothing();
        client.stands(Transport::Close, true);
    });
}

//= rfc7692 5 MUST 5: two extensions at once fail the connection
//= rfc7692 5 MUST 6: whatever the other is
//= rfc7692 5 MUST 7: so does one that was not offered, and any other invalid answer
//= rfc7692 7 MUST 2: and one with an unknown, repeated or invalid parameter
//= type=test
#[test]
fn trap_31_to_35_every_bad_answer_fails_the_connection() {
    let full = config(FULL, FULL);
    for answer in bad().iter().map(String::as_str).chain(["permessage-deflate; client_max_window_bits"]) {
        fails(&full, &[answer], ResponseError::InvalidExtension);
    }
    // Less than was demanded.
    for (config, answer) in [
        (config((10, KEEPS), FULL), "permessage-deflate"),
        (config((10, KEEPS), FULL), "permessage-deflate; server_max_window_bits=11"),
        (config((10, KEEPS), FULL), "permessage-deflate; server_max_window_bits=15"),
        (config((8, KEEPS), FULL), "permessage-deflate; server_max_window_bits=9"),
        (config((10, KEEPS), FULL), "permessage-deflate; client_max_window_bits=10"),
        (config((15, FORGETS), FULL), "permessage-deflate"),
        (config((15, FORGETS), FULL), "permessage-deflate; client_no_context_takeover"),
        (config((10, FORGETS), FULL), "permessage-deflate; server_max_window_bits=10"),
        (config((10, FORGETS), FULL), "permessage-deflate; server_no_context_takeover"),
    ] {
        fails(&config, &[answer], ResponseError::InvalidExtension);
    }
    // What was not offered, or not once.
    for other in OTHERS {
        fails(&full, &[other], ResponseError::UnaskedExtension);
    }
    for answers in [
        &["permessage-deflate, permessage-deflate"][..],
        &["permessage-deflate", "permessage-deflate"],
        &["permessage-deflate, x"],
        &["x, permessage-deflate"],
        &["permessage-deflate; client_max_window_bits=10, permessage-deflate"],
        &["permessage-deflate", "x"],
        &["permessage-deflate", ""],
        &["permessage-deflate,", ","],
        &[""],
        &[","],
        &["permessage-deflate;"],
        &["permessage-deflate; server_max_window_bits="],
        &["permessage-deflate; server_max_window_bits=\"\""],
        &["permessage-deflate; server_max_window_bits=\"10"],
        &["permessage-deflate; server_max_window_bits=1 0"],
    ] {
        fails(&full, answers, ResponseError::UnaskedExtension);
    }
    fails(&plain(), &["permessage-deflate"], ResponseError::UnaskedExtension);
    fails(&plain(), &["permessage-deflate; client_max_window_bits"], ResponseError::UnaskedExtension);
}

// The session.

/// "Hello", compressed.
const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
/// And once more, where the window still holds it.
const AGAIN: [u8; 5] = [0xF2, 0x00, 0x11, 0x00, 0x00];
/// Where it holds it twice, one reference is enough.
const THIRD: [u8; 4] = [0x02, 0x13, 0x00, 0x00];

fn hello() -> Frame {
    Frame::text(HELLO).rsv(4)
}

/// A server that was offered this.
fn server<'w>(way: &'w Way, config: &Config, offers: &[&str]) -> Session<'w, Server> {
    let mut server = way.server_with(config.clone());
    server.receives(&upgrade(offers), &[Seen::offer("/")]);
    server.take_output();
    server
}

/// A client that was answered this.
fn client<'w>(way: &'w Way, config: &Config, answers: &[&str]) -> Session<'w, Client> {
    let mut client = way.client_with(config.clone(), &connect());
    client.receives(&response(answers), &[Seen::open(None)]);
    client
}

/// Whether we refer to what we sent before, and the peer to what it did: as was agreed on, and both ways.
#[track_caller]
fn speaks<E: Engine>(mut session: Session<'_, E>, ours: bool, theirs: bool) {
    let again = |forgets| if forgets { hello() } else { Frame::text(AGAIN).rsv(4) };
    session.reacts(|seen, tx| {
        if let Seen::Text(text) = seen {
            let compress = if text == "Hello" { Compress::Always } else { Compress::Never };
            tx.send_with(Message::Text(text), compress).unwrap();
        }
    });
    session.receives(hello(), &[Seen::text("Hello")]);
    session.sends(&[hello()]);
    // What goes plain is in no window.
    session.receives([Frame::text("hello?"), Frame::ping("ping")], &[Seen::text("hello?"), Seen::ping("ping")]);
    session.sends(&[Frame::text("hello?"), Frame::pong("ping")]);
    session.receives(again(theirs), &[Seen::text("Hello")]);
    session.sends(&[again(ours)]);
    // In frames, none of which but the first is marked.
    let payload = again(theirs).payload().to_vec();
    let (first, last) = payload.split_at(2);
    session.receives(Frame::text(first).rsv(4).more(), &[]);
    session.receives(Frame::continuation(last), &[Seen::text("Hello")]);
    session.sends(&[if ours == FORGETS { hello() } else { Frame::text(THIRD).rsv(4) }]);
    if theirs == FORGETS {
        // It may not refer to what is forgotten.
        session.receives(Frame::text(THIRD).rsv(4), &Seen::failure(Error::InvalidDeflate));
        session.sends(&[Frame::close(1007, "")]);
    } else {
        session.receives(Frame::ping("").rsv(4), &Seen::failure(Error::ReservedBits));
        session.sends(&[Frame::close(1002, "")]);
    }
}

//= rfc7692 5 MUST 8: what was agreed on is spoken
//= rfc7692 6.1 MUST 1: a compressed message has RSV1 on its first frame
//= rfc7692 6.1 MUST 2: a plain one has not
//= rfc7692 6.1 MUST 3: RSV1 on a control frame fails the connection
//= rfc7692 6.2 MUST 1: the payloads of frames are joined and decompressed
//= rfc7692 6.2 MUST 2: what is plain is delivered as it is
//= rfc7692 7.2.1 MUST 1: no block that is sent has its final bit set
//= rfc7692 7.2.1 MUST 2: a client that is to forget its window does
//= rfc7692 7.2.1 MUST 3: a server that is to forget its window does
//= rfc7692 7.2.1 MAY 4: any other client takes it over
//= rfc7692 7.2.1 MAY 6: any other server takes it over
//= rfc7692 7.2.2 MUST 1: a client keeps what its server may refer to
//= rfc7692 7.2.2 MUST 2: a server keeps what its client may refer to
//= type=test
#[test]
fn trap_35_a_session_takes_its_window_over_or_not_as_was_agreed_on() {
    const SERVER: &str = "; server_no_context_takeover";
    const CLIENT: &str = "; client_no_context_takeover";
    for (servers, clients) in [(KEEPS, KEEPS), (KEEPS, FORGETS), (FORGETS, KEEPS), (FORGETS, FORGETS)] {
        let asks = [SERVER, CLIENT].into_iter().zip([servers, clients]).filter(|(_, forgets)| *forgets);
        let other = ["permessage-deflate"].into_iter().chain(asks.map(|(parameter, _)| parameter)).collect::<String>();
        as_server(|way| speaks(server(way, &config(FULL, FULL), &[&other]), servers, clients));
        as_client(|way| speaks(client(way, &config(FULL, FULL), &[&other]), clients, servers));
        // It was our own wish. A client that hinted keeps to that, though the answer is silent on it.
        in_both_roles(|way| match way.role {
            Role::Server => {
                let own = config((15, servers), (15, clients));
                speaks(server(way, &own, &["permessage-deflate"]), servers, clients);
            }
            Role::Client => {
                let (own, answer) = (config((15, servers), (15, clients)), other.replace(CLIENT, ""));
                speaks(client(way, &own, &[&answer]), clients, servers);
            }
        });
    }
}

//= rfc7692 6.1 MUST NOT 1: only the first frame of a message is marked, and no control frame
//= rfc7692 7.2.1 MUST NOT 1: the marker is left out at the end of the message, and nowhere else
//= type=test
#[test]
fn trap_36_and_39_a_message_in_parts() {
    fn in_parts(tx: &mut Sender) {
        tx.begin(Kind::Text, Compress::Always).unwrap();
        tx.append(Message::Text("He")).unwrap();
        tx.ping(b"between").unwrap();
        tx.finish_with(Message::Text("llo")).unwrap();
    }
    // The two blocks of RFC 7692 §7.2.3.5.
    let sent = [
        Frame::text([0xF2, 0x48, 0x05, 0x00]).rsv(4).more(),
        Frame::ping("between"),
        Frame::continuation([0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00]),
    ];
    in_both_roles(|way| match way.role {
        Role::Server => {
            let mut session = server(way, &config(FULL, FULL), &["permessage-deflate"]);
            in_parts(session.tx());
            session.sends(&sent);
        }
        Role::Client => {
            let mut session = client(way, &config(FULL, FULL), &["permessage-deflate"]);
            in_parts(session.tx());
            session.sends(&sent);
        }
    });
}

/// Bytes that do not repeat themselves.
fn noise(length: usize) -> Vec<u8> {
    let next = |state: &u32| Some(state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    std::iter::successors(Some(1), next).map(|state| (state >> 24) as u8).take(length).collect()
}

/// Whether the compressor finds what stood so far back in a message.
#[track_caller]
fn finds<E: Engine>(mut session: Session<'_, E>, distance: usize) -> bool {
    session.reacts(|seen, tx| {
        if let Seen::Binary(bytes) = seen {
            tx.send_with(Message::Binary(bytes), Compress::Always).unwrap();
        }
    });
    session.hears([Frame::binary(noise(distance).repeat(2))]);
    let sent = frames(&session.take_output());
    let payload = sent[0].payload();
    assert_eq!(sent, [Frame::binary(payload).rsv(4)]);
    let found = payload.len() < distance + distance / 8 + 16;
    assert!(found || payload.len() > 2 * distance - distance / 8, "{} bytes for {}", payload.len(), 2 * distance);
    found
}

/// A session that compresses with a window of this width and no longer.
#[track_caller]
fn reaches<'w, E: Engine>(bits: u8, session: impl Fn() -> Session<'w, E>) {
    // A compressor looks a little less far back than it may.
    let within = if bits == 8 { 250 } else { (1 << bits) - 262 };
    assert!(finds(session(), within), "{within} bytes back, with {bits} bits");
    assert!(!finds(session(), (1 << bits) + 1), "with {bits} bits");
}

//= rfc7692 5 MUST 2: a server's messages fit the client's window
//= rfc7692 7.2.1 MUST NOT 2: no window is above 32 KiB
//= rfc7692 7.2.1 MUST NOT 3: a client's window is no longer than was agreed on
//= rfc7692 7.2.1 MUST NOT 4: a server's window is no longer than was agreed on
//= rfc7692 7.2.2 MUST 6: nor is it where the client hinted at another
//= type=test
#[test]
fn trap_33_34_and_38_a_session_refers_no_further_back_than_was_agreed_on() {
    const SILENT: &str = "permessage-deflate";
    for bits in 8..=15 {
        let limited = |side: &str| format!("permessage-deflate; {side}_max_window_bits={bits}");
        in_both_roles(|way| match way.role {
            Role::Server => {
                reaches(bits, || server(way, &config(FULL, FULL), &[&limited("server")]));
                reaches(bits, || server(way, &config((bits, KEEPS), FULL), &[SILENT]));
            }
            Role::Client => {
                reaches(bits, || client(way, &config(FULL, FULL), &[&limited("client")]));
                // It hinted, and nothing was said, or more was granted.
                reaches(bits, || client(way, &config(FULL, (bits, KEEPS)), &[SILENT]));
                reaches(8, || client(way, &config(FULL, (8, KEEPS)), &[&limited("client")]));
            }
        });
    }
}

/// The payload of a message in one stored block, and of one that copies 258 bytes from 32 KiB before.
fn far_back(message: &[u8]) -> [Vec<u8>; 2] {
    let block = [&[0x00, 0x00, 0x80, 0xFF, 0x7F], message, &[0x00]].concat();
    [block, vec![0x1A, 0xBD, 0xFF, 0x1F, 0x00]]
}

//= rfc7692 7.2.2 MUST 4: a client reads what refers back by 32 KiB
//= rfc7692 7.2.2 MUST 5: a server reads what refers back by 32 KiB
//= type=test
#[test]
fn trap_34_without_a_limit_the_window_is_32_kib() {
    fn reads<E: Engine>(mut session: Session<'_, E>) {
        let message = noise(32 << 10);
        let [first, second] = far_back(&message);
        session.receives(Frame::binary(first).rsv(4), &[Seen::binary(&message)]);
        session.receives(Frame::binary(second).rsv(4), &[Seen::binary(&message[..258])]);
    }
    // Nothing was said of it, or more than there is was let; our own side's limit does not matter.
    as_server(|way| reads(server(way, &config((8, KEEPS), (8, KEEPS)), &["permessage-deflate"])));
    as_server(|way| reads(server(way, &config(FULL, FULL), &["permessage-deflate; client_max_window_bits"])));
    as_client(|way| reads(client(way, &config(FULL, (8, KEEPS)), &["permessage-deflate"])));
    as_client(|way| reads(client(way, &config(FULL, FULL), &["permessage-deflate; server_max_window_bits=15"])));
}

//= rfc7692 7.2.2 MUST 3: what a client hinted is nothing until it is answered
//= type=test
#[test]
fn trap_34_and_35_a_hint_that_another_stack_left_unanswered() {
    // Answered it is by us: so whoever reads may count on it.
    const HINT: &str = "permessage-deflate; client_no_context_takeover; client_max_window_bits=8";
    answers_elsewhere(&config(FULL, FULL), &Accept::new(), &[HINT], Some(HINT), agreed(FULL, (8, FORGETS)));
    // Where the handshake was another's, its answer alone tells what the client may do.
    let agreed = sockless::Agreed::default().with_deflate(parameters(FULL, FULL));
    let mut session = WebSocket::server(&agreed, Arc::new(config(FULL, (8, FORGETS))), START);
    let mut frames = [hello(), Frame::text(AGAIN).rsv(4)].wire(Role::Server);
    assert_eq!(events(&mut session, &mut frames), [Seen::text("Hello"), Seen::text("Hello")]);
    let message = noise(32 << 10);
    let mut frames = far_back(&message).map(|payload| Frame::binary(payload).rsv(4)).wire(Role::Server);
    assert_eq!(events(&mut session, &mut frames), [Seen::binary(&message), Seen::binary(&message[..258])]);
}

/// An echo of a message that is worth it, and of one that is not.
#[track_caller]
fn echoes<E: Engine>(mut session: Session<'_, E>, is_compressed: bool) {
    let (long, short) = ("{\"name\":\"value\"},".repeat(100), "{\"name\":\"value\"}");
    session.reacts(|seen, tx| {
        if let Seen::Text(text) = seen {
            tx.send(Message::Text(text)).unwrap();
        }
    });
    session.receives([Frame::text(&long), Frame::text(short)], &[Seen::text(&long), Seen::text(short)]);
    let sent = frames(&session.take_output());
    let payload = sent[0].payload();
    assert_eq!(payload.len() < 100, is_compressed, "{} bytes for {}", payload.len(), long.len());
    let first = if is_compressed { Frame::text(payload).rsv(4) } else { Frame::text(&long) };
    assert_eq!(sent, [first, Frame::text(short)]);
    if !is_compressed {
        session.receives(hello(), &Seen::failure(Error::ReservedBits));
        session.sends(&[Frame::close(1002, "")]);
    }
}

//= rfc6455 5.8 MUST 1: what was not agreed on in the handshake is not spoken
//= rfc6455 9.1 MUST NOT 1: a client that offered compresses only where that was answered
//= type=test
#[test]
fn a_session_compresses_if_that_was_agreed_on_and_only_then() {
    for (config, offer, is_compressed) in [
        (config(FULL, FULL), "permessage-deflate", true),
        (config((8, FORGETS), FULL), "permessage-deflate; client_max_window_bits", true),
        (config(FULL, FULL), "permessage-deflate; server_max_window_bits=16", false),
        (plain(), "permessage-deflate", false),
    ] {
        as_server(|way| echoes(server(way, &config, &[offer]), is_compressed));
    }
    for (answers, is_compressed) in [
        (&["permessage-deflate"][..], true),
        (&["permessage-deflate; client_no_context_takeover; client_max_window_bits=8"], true),
        (&[], false),
    ] {
        as_client(|way| echoes(client(way, &config(FULL, FULL), answers), is_compressed));
    }
}
