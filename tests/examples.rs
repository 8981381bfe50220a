//! Do the examples do what they say? Each is run as a program, and talked to over the loopback.
//!
//! What talks to them is a small blocking client on the engine, or raw bytes where the wire itself is looked at; what the
//! client is tested with are servers that do one thing wrong. `cargo test` builds the programs; `cargo test --test examples`
//! alone does not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail in any line of it"
)]

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use sockless::{
    Accept, Agreed, Client, ClientEvent, Clock, Close, CloseCode, Compression, Config, Connect, Event, Incoming,
    KeepAlive, Limits, Message, Os, Reason, Sender, Server, ServerEvent, SessionId, Transport,
};

/// How long one step of a conversation may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// "Hello", compressed, as RFC 7692 §7.2.3.1 has it.
const HELLO: [u8; 7] = [0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];

// --- the three runtimes -----------------------------------------------------------------

#[test]
fn blocking_sockets_echo() {
    a_runtime_echoes("blocking");
}

#[test]
fn mio_echoes() {
    a_runtime_echoes("mio");
}

/// Both with nothing else that happens: who asks for nothing is told so, and who does not hang up is hung up on.
#[test]
fn mio_keeps_deadlines() {
    let server = Program::listening("mio", &["127.0.0.1:0"]);
    let before = server.descriptors();
    let (mut silent, mut lingers) = (connect(&server.address), Raw::to(&server.address, "/"));
    silent.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    let mut answer = String::new();
    silent.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    drop(silent);

    // Its next deadline was far away by now. A Close brings one that is sooner.
    lingers.send(0x88, &[]);
    assert_eq!(lingers.frame(), (true, 0x8, vec![]));
    let began = Instant::now();
    while server.descriptors() > before {
        assert!(began.elapsed() < Duration::from_secs(15), "who does not hang up is waited for");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn tokio_echoes() {
    a_runtime_echoes("tokio");
}

fn a_runtime_echoes(name: &str) {
    let server = Program::listening(name, &["127.0.0.1:0"]);
    resets_are_noticed(&server, "/");
    let before = server.memory();
    let stuck: Vec<Stuck> = (0..8).map(|_| never_reads(&server.address, "/", 1 << 20)).collect();
    // Its messages of a mebibyte: one to be written, and what the allocator and a thread hold besides.
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 8 * (4 << 20), "{name}: 8 peers that never read cost {grown} bytes");

    converse(&server.address, "/");
    a_slow_writer_is_understood(&server.address, "/");
    faults_are_answered(&server.address, "/");
    half_closed_connections_end(&server.address, "/");
    who_hangs_up_at_once_is_served(&server, "/");
    who_reads_late_gets_all(&server.address, "/");
    let response = http(&server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(response.starts_with("HTTP/1.1 426 "), "{response}");
    assert!(response.to_ascii_lowercase().contains("\r\nupgrade: websocket\r\n"), "{response}");

    // Peers that never read have held up nobody, and cost no more than the buffers of two sockets and one of ours.
    for Stuck { sent, .. } in &stuck {
        assert!(*sent < 32 << 20, "{name} took {sent} bytes from a peer that reads nothing");
    }
    let mut late = Talk::to(&server.address, "/");
    late.send(Message::Text("still there"));
    assert_eq!(late.next(), Heard::Text("still there".into()));
}

// --- echo -------------------------------------------------------------------------------

#[test]
fn echo_echoes() {
    let server = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0"]);
    resets_are_noticed(&server, "/ws");
    converse(&server.address, "/ws");
    converse(&server.address, "/ws?with=query");
    a_slow_writer_is_understood(&server.address, "/ws");
    faults_are_answered(&server.address, "/ws");
    half_closed_connections_end(&server.address, "/ws");
}

#[test]
fn echo_serves_its_page() {
    let server = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0"]);
    let get = |request: &str| http(&server.address, &format!("{request} HTTP/1.1\r\nHost: a\r\n\r\n"));

    let page = get("GET /");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
    assert!(page.contains("\r\nContent-Type: text/html; charset=utf-8\r\n"), "{page}");
    assert!(page.ends_with(include_str!("../examples/echo/page.html")));
    let head = get("HEAD /");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");

    let upgrade = get("GET /ws");
    assert!(upgrade.starts_with("HTTP/1.1 426 ") && upgrade.contains("\r\nUpgrade: websocket\r\n"), "{upgrade}");
    assert!(get("GET /favicon.ico").starts_with("HTTP/1.1 404 "));
    assert!(get("GET /ws/").starts_with("HTTP/1.1 404 "));
    assert!(get("POST /other").starts_with("HTTP/1.1 404 "));
    assert!(get("POST /").starts_with("HTTP/1.1 405 "));
    assert!(get("nonsense").starts_with("HTTP/1.1 400 "));
    assert_eq!(Talk::to_refusal(Connect::to(&format!("ws://{}/", server.address)).unwrap()), 404);
    assert_eq!(Talk::to_refusal(Connect::to(&format!("ws://{}/wss", server.address)).unwrap()), 404);
}

#[test]
fn echo_checks_the_origin() {
    let url = |server: &Program| format!("ws://{}/ws", server.address);
    let from = |server: &Program, origin: &str| Connect::to(&url(server)).unwrap().origin(origin).unwrap();

    let server = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0"]);
    assert_eq!(Talk::to_refusal(from(&server, "https://evil.example")), 403);
    Talk::with(from(&server, &format!("http://{}", server.address)));

    let listed = [
        "--tls",
        "off",
        "--listen",
        "127.0.0.1:0",
        "--origin",
        "https://one.example",
        "--origin",
        "http://two.example:8080",
    ];
    let server = Program::listening("echo", &listed);
    Talk::with(from(&server, "https://one.example"));
    Talk::with(from(&server, "http://two.example:8080"));
    assert_eq!(Talk::to_refusal(from(&server, "https://three.example")), 403);
    assert_eq!(Talk::to_refusal(from(&server, &format!("http://{}", server.address))), 403);

    let server = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0", "--origin", "any"]);
    Talk::with(from(&server, "https://evil.example"));
    Talk::with(from(&server, "null"));
}

#[test]
fn echo_limits_messages_and_speaks_subprotocols() {
    let flags = [
        "--tls",
        "off",
        "--listen",
        "127.0.0.1:0",
        "--max-message",
        "2000000",
        "--subprotocol",
        "news",
        "--subprotocol",
        "chat",
    ];
    let server = Program::listening("echo", &flags);
    let connect = || Connect::to(&format!("ws://{}/ws", server.address)).unwrap();

    let mut talk = Talk::with(connect().subprotocol("other").unwrap().subprotocol("chat").unwrap());
    assert_eq!(talk.agreed.subprotocol(), Some("chat"));
    let largest = vec![7; 2_000_000];
    talk.send(Message::Binary(&largest));
    assert_eq!(talk.next(), Heard::Binary(largest));
    talk.send(Message::Binary(&[7; 2_000_001]));
    assert_eq!(talk.next(), Heard::Closing(Some(1009), String::new()));

    assert_eq!(Talk::with(connect().subprotocol("Chat").unwrap()).agreed.subprotocol(), None);
    assert_eq!(Talk::with(connect()).agreed.subprotocol(), None);
}

/// The three ways to keep a quiet connection alive, seen on the wire.
#[test]
fn echo_keeps_connections_alive() {
    let pongs = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0", "--keep-alive", "0.1"]);
    let mut raw = Raw::to(&pongs.address, "/ws");
    assert_eq!(raw.frame(), (true, 0xA, vec![]));
    assert_eq!(raw.frame(), (true, 0xA, vec![]));

    let flags = ["--tls", "off", "--listen", "127.0.0.1:0", "--keep-alive", "0.1", "--keep-alive-timeout", "0.4"];
    let pings = Program::listening("echo", &flags);
    let mut raw = Raw::to(&pings.address, "/ws");
    for _ in 0..3 {
        assert_eq!(raw.frame(), (true, 0x9, vec![]));
        raw.send(0x8A, b"");
    }
    // A peer that answers no more is dead.
    assert_eq!(raw.frame(), (true, 0x9, vec![]));
    assert_eq!(raw.rest(), Err(ErrorKind::ConnectionReset));

    let off = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0", "--keep-alive", "0"]);
    let mut raw = Raw::to(&off.address, "/ws");
    assert!(raw.is_quiet_for(Duration::from_millis(500)));
    raw.send(0x81, b"hi");
    assert_eq!(raw.frame(), (true, 0x1, b"hi".to_vec()));
}

/// What each set of flags agrees to.
#[test]
fn echo_negotiates_compression() {
    let echo =
        |flags: &[&str]| Program::listening("echo", &[&["--tls", "off", "--listen", "127.0.0.1:0"], flags].concat());
    let offer = Some("permessage-deflate; client_max_window_bits");

    let server = echo(&[]);
    assert_eq!(Raw::offering(&server.address, "/ws", offer).extensions, None);

    let server = echo(&["--compression"]);
    for (offer, answer) in [
        (offer, Some("permessage-deflate")),
        (
            Some("permessage-deflate; server_max_window_bits=10; server_no_context_takeover"),
            Some("permessage-deflate; server_no_context_takeover; server_max_window_bits=10"),
        ),
        (Some("x-webkit-deflate-frame, permessage-deflate; none_such"), None),
        (None, None),
    ] {
        assert_eq!(Raw::offering(&server.address, "/ws", offer).extensions.as_deref(), answer, "{offer:?}");
    }

    let server = echo(&["--no-context-takeover", "--window-bits", "9", "--compression"]);
    let bounds = "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9";
    for (offer, answer) in [
        (
            "permessage-deflate; client_max_window_bits",
            format!("permessage-deflate; {bounds}; client_max_window_bits=9"),
        ),
        ("permessage-deflate", format!("permessage-deflate; {bounds}")),
    ] {
        assert_eq!(Raw::offering(&server.address, "/ws", Some(offer)).extensions, Some(answer), "{offer}");
    }

    let server = echo(&["--compression", "--window-bits", "8"]);
    let answer = "permessage-deflate; server_max_window_bits=8; client_max_window_bits=8";
    assert_eq!(Raw::offering(&server.address, "/ws", offer).extensions.as_deref(), Some(answer));

    for stray in [&["--window-bits", "9"][..], &["--no-context-takeover"], &["--compression-threshold", "0"]] {
        let output = run("echo", stray, "");
        assert_eq!(output.status.code(), Some(1), "{stray:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said, format!("echo: {} needs --compression\n", stray[0]));
    }
}

#[test]
fn echo_compresses() {
    let echo = |flags: &[&str]| {
        Program::listening("echo", &[&["--tls", "off", "--listen", "127.0.0.1:0", "--compression"], flags].concat())
    };
    let offering = |server: &Program| Raw::offering(&server.address, "/ws", Some("permessage-deflate"));

    let server = echo(&[]);
    converse_with(&server.address, "/ws", Some(Compression::default()));
    converse(&server.address, "/ws");
    faults_are_answered(&server.address, "/ws");
    let mut raw = offering(&server);
    raw.send(0xC1, &HELLO);
    assert_eq!(raw.frame(), (true, 0x1, b"Hello".to_vec()), "shorter than the threshold");
    // What does not inflate.
    raw.send(0xC1, &[0xFF]);
    assert_eq!(raw.frame(), (true, 0x8, 1007u16.to_be_bytes().to_vec()));

    // The second refers to the first: RFC 7692 §7.2.3.2.
    let server = echo(&["--compression-threshold", "5"]);
    let mut raw = offering(&server);
    for echo in [&HELLO[..], &[0xF2, 0x00, 0x11, 0x00, 0x00]] {
        raw.send(0x81, b"Hello");
        assert_eq!(raw.frame(), (true, 0x41, echo.to_vec()));
    }
    raw.send(0x81, b"Hell");
    assert_eq!(raw.frame(), (true, 0x1, b"Hell".to_vec()));

    // Or not.
    let server = echo(&["--no-context-takeover", "--window-bits", "10"]);
    converse_with(&server.address, "/ws", Some(Compression::default()));
    let mut raw = offering(&server);
    raw.send(0x82, &[7; 256]);
    let (_, opcode, first) = raw.frame();
    assert_eq!(opcode, 0x42);
    raw.send(0x82, &[7; 256]);
    assert_eq!(raw.frame(), (true, 0x42, first));
}

/// Without context takeover, what a connection needs to compress is lent to it for a message at a time.
#[test]
fn echo_shares_contexts_between_connections() {
    let server = Program::listening(
        "echo",
        &["--tls", "off", "--listen", "127.0.0.1:0", "--compression", "--no-context-takeover"],
    );
    let before = server.memory();
    let mut talks: Vec<Talk> =
        (0..100).map(|_| Talk::open(&server.url("/ws"), 1 << 20, Some(Compression::default())).unwrap()).collect();
    for talk in &mut talks {
        talk.send(Message::Binary(&[0; 2000]));
        assert_eq!(talk.next(), Heard::Binary(vec![0; 2000]));
    }
    // A pair of contexts each would be 30 MB.
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 10 << 20, "100 connections that have compressed cost {grown} bytes");
}

#[test]
fn programs_explain_themselves() {
    for (name, flag) in [
        ("echo", "--subprotocol"),
        ("echo", "--compression-threshold"),
        ("echo", "--tls"),
        ("testbed", "--no-compression"),
        ("testbed", "--tls2"),
        ("client", "--compression"),
        ("client", "--ca"),
    ] {
        let output = run(name, &["--help"], "");
        assert!(output.status.success());
        assert!(String::from_utf8(output.stdout).unwrap().contains(flag));
        let output = run(name, &["--no-such-flag"], "");
        assert!(!output.status.success());
        assert!(String::from_utf8(output.stderr).unwrap().contains("--no-such-flag"));
    }
    for (name, arguments) in [
        ("echo", &["--listen", "nowhere"][..]),
        ("echo", &["--keep-alive", "-1"]),
        ("echo", &["--max-message", "much"]),
        ("echo", &["--compression", "--window-bits", "7"]),
        ("echo", &["--compression", "--window-bits", "16"]),
        ("echo", &["--compression", "--compression-threshold", "-1"]),
        ("echo", &["--tls", "nowhere"]),
        ("echo", &["--cert", "Cargo.toml"]),
        ("echo", &["--cert", "Cargo.toml", "--key", "Cargo.toml"]),
        ("testbed", &[]),
        ("testbed", &["--cert", "Cargo.toml"]),
        ("client", &["--http", "3", "ws://127.0.0.1/"]),
        ("client", &["--ca", "Cargo.toml", "wss://127.0.0.1/"]),
        ("testbed", &["--h1", "65536"]),
        ("client", &[]),
        ("client", &["http://127.0.0.1/"]),
    ] {
        let output = run(name, arguments, "");
        assert!(!output.status.success(), "{name} {arguments:?}");
        assert!(output.stderr.starts_with(format!("{name}: ").as_bytes()), "{name} {arguments:?}: {output:?}");
    }
}

// --- testbed ----------------------------------------------------------------------------

#[test]
fn testbed_echoes() {
    let server = testbed(&[]);
    resets_are_noticed(&server, "/");
    converse(&server.address, "/");
    converse(&server.address, "/any/other?path");
    a_slow_writer_is_understood(&server.address, "/");
    faults_are_answered(&server.address, "/");
    half_closed_connections_end(&server.address, "/");

    let page = http(&server.address, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("text/html"), "{page}");
    assert!(page.trim_end().ends_with("</html>"), "{page}");
    assert!(http(&server.address, "GET /info HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 404 "));

    let connect = || Connect::to(&format!("ws://{}/", server.address)).unwrap();
    let offered = connect().subprotocol("other").unwrap().subprotocol("superchat").unwrap();
    let talk = Talk::with(offered.subprotocol("chat").unwrap());
    assert_eq!(talk.agreed.subprotocol(), Some("superchat"));
    assert_eq!(Talk::with(connect().subprotocol("other").unwrap()).agreed.subprotocol(), None);
    Talk::with(connect().origin("https://anyone.example").unwrap());
}

#[test]
fn testbed_limits() {
    let server = testbed(&["--max-message", "1000", "--max-fragments", "3", "--origin", "https://one.example"]);
    let connect = || Connect::to(&format!("ws://{}/", server.address)).unwrap();
    Talk::with(connect().origin("https://one.example").unwrap());
    assert_eq!(Talk::to_refusal(connect().origin("https://two.example").unwrap()), 403);

    let mut talk = Talk::with(connect());
    talk.send(Message::Binary(&[1; 1000]));
    assert_eq!(talk.next(), Heard::Binary(vec![1; 1000]));
    talk.send(Message::Binary(&[1; 1001]));
    assert_eq!(talk.next(), Heard::Closing(Some(1009), String::new()));

    let mut raw = Raw::to(&server.address, "/");
    for first in [0x02, 0x00, 0x80] {
        raw.send(first, b"x");
    }
    assert_eq!(raw.frame(), (true, 0x2, b"xxx".to_vec()));
    for first in [0x02, 0x00, 0x00, 0x80] {
        raw.send(first, b"x");
    }
    assert_eq!(raw.frame(), (true, 0x8, 1008u16.to_be_bytes().to_vec()));
}

#[test]
fn testbed_closes() {
    let server = testbed(&[]);
    for (path, code, reason) in [
        ("/close/1000/done", Some(1000), "done"),
        ("/close/4321/a%20%22reason%22%2Fwith%20%E2%9C%93", Some(4321), "a \"reason\"/with ✓"),
        ("/close/3000", Some(3000), ""),
        ("/close", None, ""),
    ] {
        let mut talk = Talk::to(&server.address, path);
        assert_eq!(talk.next(), Heard::Closing(code, reason.into()), "{path}");
        assert_eq!(talk.next(), Heard::Closed(code.unwrap_or(1005)), "{path}");
        assert!(talk.ends(), "{path}");
    }
    for path in ["/close/1005/", "/close/999/x", "/close/x/y", "/close/1000/%ff", "/close/1000/%2", "/close//why"] {
        assert_eq!(refused(&server.address, path), 400, "{path}");
    }
    assert_eq!(refused(&server.address, &format!("/close/1000/{}", "r".repeat(124))), 400);
}

#[test]
fn testbed_fragments() {
    let server = testbed(&[]);
    let sent_back = |path: &str, first: u8, message: &[u8]| {
        let mut raw = Raw::to(&server.address, path);
        raw.send(first, message);
        let mut fragments = Vec::new();
        loop {
            let (fin, opcode, payload) = raw.frame();
            assert_eq!(opcode, if fragments.is_empty() { first & 0xF } else { 0 });
            fragments.push(payload);
            if fin {
                // The message is over, and the path still echoes.
                raw.send(0x82, b"!");
                assert_eq!(raw.frame(), (true, 2, b"!".to_vec()));
                return fragments;
            }
        }
    };
    assert_eq!(sent_back("/frag/3", 0x82, b"abcdefgh"), [&b"abc"[..], b"def", b"gh"]);
    assert_eq!(sent_back("/frag/3", 0x82, b"abcdef"), [b"abc", b"def"]);
    assert_eq!(sent_back("/frag/3", 0x82, b"abc"), [b"abc"]);
    assert_eq!(sent_back("/frag/3", 0x81, b""), [b""]);
    assert_eq!(sent_back("/frag/3", 0x81, "aéb€".as_bytes()), ["aé".as_bytes(), b"b", "€".as_bytes()]);
    // At least a character in each.
    assert_eq!(sent_back("/frag/1", 0x81, "a👋".as_bytes()), [b"a", "👋".as_bytes()]);
    assert_eq!(sent_back("/frag/1", 0x81, "👋".as_bytes()), ["👋".as_bytes()]);

    // More fragments than the output queue takes at once.
    let large = vec![5; 3 << 20];
    let mut talk = Talk::limited(&server.address, "/frag/4", 4 << 20);
    talk.send(Message::Binary(&large));
    assert_eq!(talk.next(), Heard::Binary(large));
    talk.close();

    for path in ["/frag/0", "/frag/-1", "/frag/x", "/frag"] {
        assert_eq!(refused(&server.address, path), 400, "{path}");
    }
}

#[test]
fn testbed_pings() {
    let server = testbed(&[]);
    let mut talk = Talk::to(&server.address, "/ping/you%20there");
    assert_eq!(talk.next(), Heard::Ping(b"hi-you there".to_vec()));
    assert_eq!(talk.next(), Heard::Text("pong:hi-you there".into()));
    talk.close();

    // Only the Pong that answers counts.
    let mut raw = Raw::to(&server.address, "/ping/x");
    assert_eq!(raw.frame(), (true, 0x9, b"hi-x".to_vec()));
    raw.send(0x8A, b"hi-y");
    raw.send(0x82, b"echo");
    assert_eq!(raw.frame(), (true, 0x2, b"echo".to_vec()));
    raw.send(0x8A, b"hi-x");
    assert_eq!(raw.frame(), (true, 0x1, b"pong:hi-x".to_vec()));

    assert_eq!(refused(&server.address, &format!("/ping/{}", "x".repeat(123))), 400);
    assert_eq!(refused(&server.address, "/ping/%f"), 400);
}

#[test]
fn testbed_pushes() {
    let server = testbed(&[]);
    let mut talk = Talk::to(&server.address, "/push/300/100000");
    for _ in 0..300 {
        assert_eq!(talk.next(), Heard::Binary(vec![0; 100_000]));
    }
    assert_eq!(talk.next(), Heard::Text("end 300".into()));
    talk.close();

    let mut talk = Talk::to(&server.address, "/push/0/0");
    assert_eq!(talk.next(), Heard::Text("end 0".into()));
    talk.send(Message::Text("and then"));
    assert_eq!(talk.next(), Heard::Text("and then".into()));

    // A Close is heard in the middle.
    let mut talk = Talk::to(&server.address, "/push/18446744073709551615/1000");
    assert_eq!(talk.next(), Heard::Binary(vec![0; 1000]));
    talk.tx().close(Close::With(CloseCode::GOING_AWAY, Reason::EMPTY));
    let began = Instant::now();
    while talk.next() != Heard::Closing(Some(1001), String::new()) {
        assert!(began.elapsed() < PATIENCE);
    }

    for path in ["/push/1", "/push/x/1", "/push/1/-1", "/push/1/67108865", "/push/1/1/1"] {
        assert_eq!(refused(&server.address, path), 400, "{path}");
    }
}

#[test]
fn testbed_rejects() {
    let server = testbed(&[]);
    for status in [200, 302, 400, 401, 403, 404, 418, 500, 503] {
        assert_eq!(refused(&server.address, &format!("/reject/{status}")), status);
    }
    for path in ["/reject/101", "/reject/99", "/reject/600", "/reject/x", "/reject"] {
        assert_eq!(refused(&server.address, path), 400, "{path}");
    }
    let response = http(&server.address, &upgrade("/reject/401"));
    assert!(response.starts_with("HTTP/1.1 401 Unauthorized\r\n"), "{response}");
    assert!(response.contains("\r\nWWW-Authenticate: Basic "), "{response}");
}

#[test]
fn testbed_aborts() {
    let server = testbed(&[]);
    let mut raw = Raw::to(&server.address, "/abort");
    assert_eq!(raw.rest(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn testbed_says_what_it_was_asked() {
    let server = testbed(&[]);
    let url = format!("ws://{}/info?a=%20b&c=\"", server.address).replace('"', "%22");
    let connect = Connect::to(&url).unwrap().header("X-Quote", "say \"hi\\\"").unwrap().header("x-twice", "1").unwrap();
    let mut talk = Talk::with(connect.header("X-Twice", "2").unwrap().origin("https://o.example").unwrap());
    let Heard::Text(text) = talk.next() else { panic!() };
    assert!(text.starts_with(r#"{"version":"1.1","path":"/info?a=%20b&c=%22","headers":{"#), "{text}");
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let headers = json["headers"].as_object().unwrap();
    assert_eq!(headers["host"], server.address);
    assert_eq!(headers["x-quote"], "say \"hi\\\"");
    assert_eq!(headers["x-twice"], "1, 2");
    assert_eq!(headers["origin"], "https://o.example");
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["sec-websocket-version"], "13");
    assert_eq!(json.as_object().unwrap().len(), 3);

    talk.send(Message::Text("and then"));
    assert_eq!(talk.next(), Heard::Text("and then".into()));
    talk.close();
}

#[test]
fn testbed_negotiates_whatever_is_asked() {
    let server = testbed(&[]);
    for (offer, answer) in [
        ("permessage-deflate", Some("permessage-deflate")),
        ("permessage-deflate; client_max_window_bits", Some("permessage-deflate")),
        ("permessage-deflate; server_max_window_bits=15", Some("permessage-deflate; server_max_window_bits=15")),
        ("permessage-deflate; server_max_window_bits=\"8\"", Some("permessage-deflate; server_max_window_bits=8")),
        ("permessage-deflate; client_max_window_bits=9", Some("permessage-deflate; client_max_window_bits=9")),
        (
            "permessage-deflate; client_max_window_bits=10; server_max_window_bits=11; client_no_context_takeover; \
             server_no_context_takeover",
            Some(
                "permessage-deflate; server_no_context_takeover; client_no_context_takeover; \
                 server_max_window_bits=11; client_max_window_bits=10",
            ),
        ),
        (
            "permessage-deflate; server_max_window_bits=7, permessage-deflate; server_no_context_takeover",
            Some("permessage-deflate; server_no_context_takeover"),
        ),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-bzip2", None),
    ] {
        let mut raw = Raw::offering(&server.address, "/", Some(offer));
        assert_eq!(raw.extensions.as_deref(), answer, "{offer}");
        if answer.is_some() {
            raw.send(0xC1, &HELLO);
            assert_eq!(raw.frame(), (true, 0x41, HELLO.to_vec()), "{offer}");
        }
    }
    converse_with(&server.address, "/", Some(Compression::default()));

    let mut raw = Raw::offering(&server.address, "/frag/2", Some("permessage-deflate"));
    raw.send(0xC1, &HELLO);
    let frames = [raw.frame(), raw.frame(), raw.frame()].map(|(fin, opcode, _)| (fin, opcode));
    assert_eq!(frames, [(false, 0x41), (false, 0x0), (true, 0x0)]);
    let text = "Grüße, 世界 👋".repeat(100);
    let mut talk = Talk::open(&server.url("/frag/3"), 1 << 20, Some(Compression::default())).unwrap();
    talk.send(Message::Text(&text));
    assert_eq!(talk.next(), Heard::Text(text));
    talk.close();

    let mut talk = Talk::open(&server.url("/info"), 1 << 20, Some(Compression::default())).unwrap();
    let Heard::Text(text) = talk.next() else { panic!() };
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(json["extensions"], "permessage-deflate");
    assert_eq!(json["headers"]["sec-websocket-extensions"], "permessage-deflate; client_max_window_bits");

    let server = testbed(&["--no-compression"]);
    let mut raw = Raw::offering(&server.address, "/", Some("permessage-deflate"));
    assert_eq!(raw.extensions, None);
    raw.send(0xC1, &HELLO);
    assert_eq!(raw.frame(), (true, 0x8, 1002u16.to_be_bytes().to_vec()));
}

#[test]
fn testbed_serves_a_hundred_at_once() {
    let server = testbed(&[]);
    let mut talks: Vec<Talk> = (0..100).map(|_| Talk::to(&server.address, "/")).collect();
    for round in 0..3 {
        for (index, talk) in talks.iter_mut().enumerate() {
            talk.send(Message::Text(&format!("{round} {index}")));
        }
        for (index, talk) in talks.iter_mut().enumerate() {
            assert_eq!(talk.next(), Heard::Text(format!("{round} {index}")));
        }
    }
    talks.into_iter().for_each(Talk::close);
}

#[test]
fn testbed_bounds_what_peers_that_never_read_cost() {
    let server = testbed(&[]);
    let before = server.memory();
    let mut stuck: Vec<Stuck> = (0..10).map(|_| never_reads(&server.address, "/", 100_000)).collect();
    stuck.extend((0..10).map(|_| never_reads(&server.address, "/frag/1", 100_000)));
    stuck.extend((0..10).map(|_| never_reads(&server.address, "/push/18446744073709551615/100000", 0)));
    for peer in &stuck {
        assert!(peer.sent < 32 << 20, "it took {} bytes from a peer that reads nothing", peer.sent);
    }
    // 1 MiB of output each, what one message of theirs makes more, and what the allocator holds besides.
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 30 * (4 << 20), "30 peers that never read cost {grown} bytes");

    let mut talk = Talk::to(&server.address, "/");
    talk.send(Message::Text("still there"));
    assert_eq!(talk.next(), Heard::Text("still there".into()));
}

#[test]
fn testbed_ends_slow_handshakes() {
    let server = testbed(&[]);
    let mut silent = TcpStream::connect(&server.address).unwrap();
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n").unwrap();
    let endless = http(&server.address, &"x".repeat(20_000));
    assert!(endless.starts_with("HTTP/1.1 414 "), "{endless}");

    let began = Instant::now();
    for stream in [&mut silent, &mut slow] {
        stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    }
    let mut answers = [String::new(), String::new()];
    while answers.iter().any(|answer| !answer.starts_with("HTTP/1.1 408 ")) {
        assert!(began.elapsed() < Duration::from_secs(20), "{answers:?}");
        let _ = slow.write_all(b"x");
        for (stream, answer) in [&mut silent, &mut slow].into_iter().zip(&mut answers) {
            let mut buffer = [0; 1024];
            if let Ok(count) = stream.read(&mut buffer) {
                answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
            }
        }
    }
}

// --- client -----------------------------------------------------------------------------

#[test]
fn check_passes_what_is_right() {
    let echo = Program::listening("echo", &["--tls", "off", "--listen", "127.0.0.1:0"]);
    let bed = testbed(&[]);
    for url in [
        format!("ws://{}/ws", echo.address),
        format!("ws://{}/", bed.address),
        format!("ws://{}/frag/1000", bed.address),
        format!("ws://{}/", bed.address.replace("127.0.0.1", "localhost")),
    ] {
        let output = run("client", &["--check", &url], "");
        assert!(output.status.success(), "{url}: {output:?}");
        assert!(output.stdout.is_empty() && output.stderr.is_empty(), "{url}: {output:?}");
    }
    for name in ["blocking", "mio", "tokio"] {
        let server = Program::listening(name, &["127.0.0.1:0"]);
        let output = run("client", &["--check", &format!("ws://{}/", server.address)], "");
        assert!(output.status.success(), "{name}: {output:?}");
    }
}

#[test]
fn check_says_what_was_agreed_on() {
    let bounded =
        ["--tls", "off", "--listen", "127.0.0.1:0", "--compression", "--no-context-takeover", "--window-bits", "10"];
    for (server, path, agreed) in [
        (testbed(&[]), "/", "permessage-deflate"),
        (testbed(&[]), "/frag/100000", "permessage-deflate"),
        (testbed(&["--no-compression"]), "/", "none"),
        (
            Program::listening("echo", &bounded),
            "/ws",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10; \
             client_max_window_bits=10",
        ),
    ] {
        let output = run("client", &["--compression", "--check", &format!("ws://{}{path}", server.address)], "");
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("extensions: {agreed}\n"));
    }
}

/// Whatever a server does wrong, it is told, and in time.
#[test]
fn check_says_what_is_wrong() {
    let bed = testbed(&[]);
    let of_testbed = |path: &str| format!("ws://{}{path}", bed.address);
    let wrong = |answers: fn(TcpStream)| format!("ws://{}/", listening(answers));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let cases = [
        (of_testbed("/reject/401"), "401"),
        (of_testbed("/close/1011/out%20of%20order"), "1011 out of order"),
        (of_testbed("/abort"), "the connection ended: 1006"),
        (of_testbed("/info"), "instead, a text of"),
        (of_testbed("/push/1/70"), "instead, 70 bytes that begin with"),
        (format!("ws://{nobody}/"), "cannot connect"),
        (format!("wss://{}/", bed.address), "cannot connect"),
        (String::from("http://127.0.0.1/"), "not a valid ws"),
        // Nothing comes, not even the end.
        (wrong(|stream| hold(&stream)), "the opening handshake: the response did not come in time"),
        // It ends at once.
        (wrong(drop), "the opening handshake: the connection ended"),
        (
            wrong(|mut stream| {
                let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n");
                hold(&stream);
            }),
            "the response is malformed",
        ),
        // A response that never gets to its end.
        (
            wrong(|mut stream| {
                let head = b"HTTP/1.1 101 Switching Protocols\r\nX: ".iter().chain([b'x'; 999].iter());
                for byte in head {
                    thread::sleep(Duration::from_millis(50));
                    if stream.write_all(&[*byte]).is_err() {
                        return;
                    }
                }
            }),
            "the opening handshake: the response did not come in time",
        ),
        // Bytes without end, and no meaning.
        (wrong(|mut stream| while stream.write_all(&[b'x'; 4096]).is_ok() {}), "the opening handshake"),
        // It is a WebSocket, but echoes nothing.
        (wrong(|stream| serve(stream, |_, _| ())), "the echo of an empty text: nothing after 12 s"),
        // A message that never ends, a byte at a time.
        (
            wrong(|stream| {
                let mut dripping = stream.try_clone().unwrap();
                serve_until_open(&mut dripping);
                let _ = dripping.write_all(&[0x81, 126, 0x7F, 0xFF]);
                while dripping.write_all(b"x").is_ok() {
                    thread::sleep(Duration::from_millis(20));
                }
            }),
            "the echo of an empty text: nothing after 12 s",
        ),
        // Pings without end.
        (
            wrong(|mut stream| {
                serve_until_open(&mut stream);
                stream.set_nonblocking(true).unwrap();
                let began = Instant::now();
                while began.elapsed() < Duration::from_secs(14) {
                    let _ = stream.read(&mut [0; 4096]);
                    if stream.write(&[0x89, 0].repeat(1000)).is_err() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            }),
            "the echo of an empty text: ",
        ),
        (
            wrong(|stream| {
                serve(stream, |event, tx| {
                    if let Event::Message(_) = event {
                        tx.send(Message::Text("no")).unwrap()
                    }
                })
            }),
            "the echo of an empty text: instead, a text of 2 bytes: \"no\"",
        ),
        // The right bytes, of the wrong kind.
        (
            wrong(|stream| {
                serve(stream, |event, tx| {
                    if let Event::Message(message) = event {
                        tx.send(Message::Binary(message.as_bytes())).unwrap();
                    }
                });
            }),
            "the echo of an empty text: instead, 0 bytes",
        ),
        // One bit of a long message.
        (
            wrong(|stream| {
                serve(stream, |event, tx| match event {
                    Event::Message(Message::Binary(bytes)) if bytes.len() > 1000 => {
                        let mut bytes = bytes.to_vec();
                        bytes[777_777] ^= 1;
                        tx.send(Message::Binary(&bytes)).unwrap();
                    }
                    event => echo(event, tx),
                });
            }),
            "the echo of 1 MiB: instead, 1048576 bytes",
        ),
        // A masked frame.
        (
            wrong(|mut stream| {
                serve_until_open(&mut stream);
                let _ = stream.write_all(&[0x81, 0x80, 1, 2, 3, 4]);
                hold(&stream);
            }),
            "the echo of an empty text: a server's frame is masked",
        ),
        // No Pong.
        (wrong(|stream| serve_frames(stream, |opcode| opcode != 0x9)), "the Pong: nothing after 12 s"),
        // No Close in return: the engine gives up after 4 s.
        (
            wrong(|stream| serve_frames(stream, |opcode| opcode != 0x8)),
            "the answer to our Close: the connection ended: 1006",
        ),
        // A Close in return, but not the end of the TCP connection.
        (wrong(|stream| serve_frames(stream, |_| true)), "the server does not end the TCP connection"),
    ];
    let began = Instant::now();
    thread::scope(|scope| {
        for (url, complaint) in &cases {
            scope.spawn(move || {
                let output = run("client", &["--check", url], "");
                let said = String::from_utf8(output.stderr).unwrap();
                assert!(began.elapsed() < Duration::from_secs(15), "{url} ({complaint})");
                assert_eq!(output.status.code(), Some(1), "{url} ({complaint}): {said}");
                assert!(said.starts_with("client: ") && said.contains(complaint), "{said:?} has no {complaint:?}");
            });
        }
    });
}

#[test]
fn client_talks() {
    let bed = testbed(&[]);
    let url = |path: &str| format!("ws://{}{path}", bed.address);

    let output = run("client", &[&url("/")], "hello\nwörld\r\n\nlast");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "hello\nwörld\n\nlast\n");

    let output = run("client", &[&url("/push/2/3")], "");
    assert!(output.status.success(), "{output:?}");

    // The server's Close ends it, too, though the input goes on.
    let mut child = spawn("client", &[&url("/close/4000/enough%1b")]);
    assert_eq!(wait(&mut child), Some(0));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.ends_with("4000 enough\\u{1b}\n"), "{said:?}");

    let mut child = spawn("client", &[&url("/abort")]);
    assert_eq!(wait(&mut child), Some(1));

    let flags = ["--header", "X-One: 1", "--header", "X-Two:2", "--origin", "https://o.example"];
    let more = ["--subprotocol", "chat", "--subprotocol", "echo"];
    let output = run("client", &[&flags[..], &more, &[&url("/info")]].concat(), "");
    assert!(output.status.success(), "{output:?}");
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["headers"]["x-one"], "1");
    assert_eq!(json["headers"]["x-two"], "2");
    assert_eq!(json["headers"]["origin"], "https://o.example");
    assert_eq!(json["headers"]["sec-websocket-protocol"], "chat, echo");

    let long = "compressed ".repeat(100);
    let output = run("client", &["--compression", &url("/info")], &long);
    assert!(output.status.success(), "{output:?}");
    let (info, echo) =
        String::from_utf8(output.stdout).unwrap().split_once('\n').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    let json: serde_json::Value = serde_json::from_str(&info).unwrap();
    assert_eq!(json["headers"]["sec-websocket-extensions"], "permessage-deflate; client_max_window_bits");
    assert_eq!(echo.trim_end_matches('\n'), long);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with(&format!("connected to {}, extensions: permessage-deflate\n", url("/info"))), "{said}");

    for flags in [["--header", "no colon"], ["--header", "X: a\r\nY: b"], ["--subprotocol", "a b"]] {
        let output = run("client", &[&flags[..], &[&url("/")]].concat(), "");
        assert!(!output.status.success(), "{flags:?}");
    }
}

/// The loop against a fuzzing server of two cases, which hangs up without a Close where Autobahn's does.
#[test]
fn client_runs_the_cases_of_a_fuzzing_server() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/", listener.local_addr().unwrap());
    let (said, heard) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (said, mut target) = (said.clone(), String::new());
            let mut stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            serve_until(&mut stream, |event| match event {
                ServerEvent::Offer(offer) => {
                    target = offer.target().to_owned();
                    let extensions = offer.fields().first("Sec-WebSocket-Extensions").and_then(|field| field.text());
                    let expected = "permessage-deflate; client_no_context_takeover; client_max_window_bits";
                    assert_eq!(extensions, Some(expected));
                    offer.accept(Accept::new());
                    true
                }
                _ => false,
            });
            if target == "/getCaseCount" {
                stream.write_all(&[0x81, 1, b'2']).unwrap();
            } else if target.starts_with("/runCase?") {
                // A Ping between two fragments, then a Close. What was plain comes back compressed.
                stream.write_all(&[0x01, 1, b'a', 0x89, 1, b'p', 0x80, 1, b'b', 0x88, 2, 3, 232]).unwrap();
                let mut frames = Vec::new();
                while frames.last().is_none_or(|(first, _)| *first != 0x88) {
                    frames.push(client_frame(&mut stream).unwrap());
                }
                frames.sort();
                let echo = (0xC1, vec![0x4A, 0x4C, 0x02, 0x00]);
                assert_eq!(frames, [(0x88, vec![3, 232]), (0x8A, b"p".to_vec()), echo]);
            }
            said.send(target).unwrap();
        }
    });
    let output = run("client", &["--autobahn", &url, "--agent", "me & you"], "");
    assert!(output.status.success(), "{output:?}");
    let expected = [
        "/getCaseCount",
        "/runCase?case=1&agent=me%20%26%20you",
        "/runCase?case=2&agent=me%20%26%20you",
        "/updateReports?agent=me%20%26%20you",
    ];
    assert_eq!(heard.try_iter().collect::<Vec<_>>(), expected);
}

// --- conversations that every echo must have --------------------------------------------

fn converse(address: &str, path: &str) {
    converse_with(address, path, None);
}

fn converse_with(address: &str, path: &str, compression: Option<Compression>) {
    let connect = Connect::to(&format!("ws://{address}{path}")).unwrap();
    let [mut one, mut two] = [(); 2].map(|()| Talk::open(&connect, 2 << 20, compression.clone()).unwrap());
    assert_eq!(one.agreed.deflate().is_some(), compression.is_some());
    let large: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8).collect();
    for message in [
        Message::Text(""),
        Message::Text("Grüße, 世界 👋"),
        Message::Binary(&[]),
        Message::Binary(&[0, 255, 128, 10]),
        Message::Binary(&large),
    ] {
        one.send(message);
        two.send(Message::Text("two"));
        assert_eq!(two.next(), Heard::Text("two".into()));
        assert_eq!(one.next(), Heard::from(message));
    }
    // Many small ones in one write: more echoes than one read brings.
    for number in 0..20_000u32 {
        one.tx().send(Message::Binary(&number.to_be_bytes())).unwrap();
    }
    one.flush();
    for number in 0..20_000u32 {
        assert_eq!(one.next(), Heard::Binary(number.to_be_bytes().to_vec()));
    }
    one.tx().ping(b"are you there?").unwrap();
    assert_eq!(one.next(), Heard::Pong(b"are you there?".to_vec()));
    one.close();

    two.tx().close(Close::Empty);
    assert_eq!(two.next(), Heard::Closing(None, String::new()));
    assert_eq!(two.next(), Heard::Closed(1005));
    assert!(two.ends());
}

/// The handshake and two frames, a byte at a time.
fn a_slow_writer_is_understood(address: &str, path: &str) {
    let mut stream = connect(address);
    let bytes = [upgrade(path).as_bytes(), &masked(0x81, "süß".as_bytes()), &masked(0x88, &[3, 232])].concat();
    for byte in bytes {
        stream.write_all(&[byte]).unwrap();
        thread::sleep(Duration::from_micros(300));
    }
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let frames = [&[0x81, 5][..], "süß".as_bytes(), &[0x88, 2, 3, 232]].concat();
    assert!(answer.starts_with(b"HTTP/1.1 101 ") && answer.ends_with(&frames), "{answer:?}");
}

/// A fault gets the Close that tells it, and then the end.
fn faults_are_answered(address: &str, path: &str) {
    for (fault, code) in [(&[0x81, 1, b'x'][..], 1002u16), (&[0x83, 0x80], 1002), (&masked(0x81, b"\xFF"), 1007)] {
        let mut raw = Raw::to(address, path);
        raw.stream.write_all(fault).unwrap();
        assert_eq!(raw.frame(), (true, 0x8, code.to_be_bytes().to_vec()));
        assert_eq!(raw.rest(), Ok(vec![]));
    }
    let response = http(address, &upgrade(path).replace("Version: 13", "Version: 12"));
    assert!(
        response.starts_with("HTTP/1.1 426 ") && response.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{response}"
    );
}

/// Who sends no more, but did not say so, gets what is on its way, and then the end.
fn half_closed_connections_end(address: &str, path: &str) {
    let mut raw = Raw::to(address, path);
    raw.send(0x81, b"the last");
    raw.stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(raw.frame(), (true, 0x1, b"the last".to_vec()));
    assert_eq!(raw.rest(), Ok(vec![]));

    let mut stream = connect(address);
    stream.write_all(b"GET / HT").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(stream.read_to_end(&mut Vec::new()).unwrap(), 0);
}

/// Who says all in one go, and that it is all, gets all answers: the end may come with the bytes, or behind them.
fn who_hangs_up_at_once_is_served(server: &Program, path: &str) {
    let (before, began) = (server.descriptors(), Instant::now());
    for size in [5, 1000, 64 << 10, 200_000] {
        for round in 0..20 {
            let payload = vec![round; size];
            let mut stream = connect(&server.address);
            let bytes = [upgrade(path).as_bytes(), &masked(0x82, &payload), &masked(0x82, b"the last")].concat();
            stream.write_all(&bytes).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let echoes = [&payload[..], &[0x82, 8], b"the last"].concat();
            assert!(answer.ends_with(&echoes), "{size}: {} bytes", answer.len());

            // And who does not wait for any leaves nothing behind.
            let mut stream = connect(&server.address);
            stream.write_all(&bytes).unwrap();
        }
    }
    assert!(began.elapsed() < Duration::from_secs(20), "the end is seen late, by another timer");
    let began = Instant::now();
    while server.descriptors() > before {
        assert!(began.elapsed() < Duration::from_secs(5), "connections that are gone are kept");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The server cannot write for a while, and so does not read either. It goes on with both.
fn who_reads_late_gets_all(address: &str, path: &str) {
    let Raw { mut stream, mut input, .. } = Raw::to(address, path);
    let payload: Vec<u8> = (0..1 << 20).map(|index| (index % 251) as u8).collect();
    let message = masked(0x82, &payload);
    let writer = thread::spawn(move || (0..32).for_each(|_| stream.write_all(&message).unwrap()));
    thread::sleep(Duration::from_millis(300));
    assert!(!writer.is_finished(), "the server takes all of it");
    let mut echo = vec![0; 10 + payload.len()];
    for _ in 0..32 {
        input.read_exact(&mut echo).unwrap();
        assert!(echo[10..] == payload, "an echo that differs");
    }
    writer.join().unwrap();
}

/// A peer that resets its connection takes nothing with it: neither one that the server listens to, nor one that does not take
/// what the server has for it, nor one in the middle of its request.
fn resets_are_noticed(server: &Program, path: &str) {
    let before = server.descriptors();
    let Raw { stream: quiet, .. } = Raw::to(&server.address, path);
    let stuck = never_reads(&server.address, path, 1 << 20);
    let mut asking = connect(&server.address);
    asking.write_all(b"GET / HT").unwrap();
    // Who answers another has seen these.
    drop(Raw::to(&server.address, path));
    for stream in [quiet, stuck.stream, asking] {
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
    let began = Instant::now();
    while server.descriptors() > before {
        assert!(began.elapsed() < Duration::from_secs(5), "connections that are gone are kept");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A peer that sends as long as anybody listens, and reads nothing.
struct Stuck {
    /// Kept open.
    stream: TcpStream,
    sent: usize,
}

fn never_reads(address: &str, path: &str, size: usize) -> Stuck {
    let Raw { mut stream, .. } = Raw::to(address, path);
    let message = masked(0x82, &vec![0; size]);
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let mut sent = 0;
    while size > 0 && sent < 64 << 20 {
        match stream.write(&message[sent % message.len()..]) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    Stuck { stream, sent }
}

// --- TLS and HTTP/2 ---------------------------------------------------------------------

/// What carries a socket is in the server's lines, and it tells whoever named the socket.
#[test]
fn echo_speaks_tls_and_http2() {
    let files = Files::signed(IsCa::NoCa);
    let flags = ["--listen", "127.0.0.1:0", "--tls", "127.0.0.1:0", "--compression", "--subprotocol", "chat"];
    let server = Doors::open("echo", &[&flags[..], &files.server()].concat(), 2);
    let [tls, plain] = [0, 1].map(|nth| server.addresses[nth].clone());

    let ca = files.client();
    let extensions = "extensions: permessage-deflate";
    for (number, (flags, scheme, address, carrier, version)) in [
        (&[][..], "ws", &plain, "plain", "1.1"),
        (&["--http", "2"], "ws", &plain, "plain", "2"),
        (&ca, "wss", &tls, "TLS, ALPN http/1.1", "1.1"),
        (&[&ca[..], &["--http", "2"]].concat(), "wss", &tls, "TLS, ALPN h2", "2"),
    ]
    .into_iter()
    .enumerate()
    {
        let number = 2 * number + 1;
        let url = format!("{scheme}://{address}/ws?name=its{number}");
        let output = run("client", &[flags, &["--compression", "--check", &url]].concat(), "");
        assert!(output.status.success(), "{url} {flags:?}: {output:?}");
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{extensions}\n"), "{url} {flags:?}");
        assert_eq!(server.line(), format!("connection {number}: {carrier}"));
        let session = format!("session 1: HTTP/{version}, /ws?name=its{number}, {extensions}");
        assert_eq!(server.line(), format!("connection {number}, {session}"));

        let told = http(&plain, &format!("GET /version?name=its{number} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(told.starts_with("HTTP/1.1 200 ") && told.ends_with(&format!("\r\n\r\nHTTP/{version}")), "{told}");
        assert_eq!(server.line(), format!("connection {}: plain", number + 1));
    }
    let told = http(&plain, "GET /version?name=nobodys HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(told.starts_with("HTTP/1.1 404 "), "{told}");
}

/// Half a mebibyte of lines at once: what the echo has no room for waits, over HTTP/2 as well.
#[test]
fn client_talks_over_http2() {
    let files = Files::signed(IsCa::NoCa);
    let server = Doors::open("testbed", &[&["--tls2", "0"][..], &files.server()].concat(), 1);
    let url = |path: &str| format!("wss://{}{path}", server.addresses[0]);
    let flags = [&files.client()[..], &["--http", "2"]].concat();

    let text = (0..5_000).map(|n| format!("line {n}: {}\n", "x".repeat(n % 200))).collect::<String>();
    for path in ["/", "/frag/9"] {
        let mut child = spawn("client", &[&flags[..], &[&url(path)]].concat());
        let (mut input, lines) = (child.stdin.take().unwrap(), text.clone());
        // Both ways at once, since pipes hold less.
        let writing = thread::spawn(move || input.write_all(lines.as_bytes()));
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{path}: {:?}", String::from_utf8(output.stderr));
        writing.join().unwrap().unwrap();
        assert!(output.stdout == text.as_bytes(), "{path}: {} bytes of {}", output.stdout.len(), text.len());
    }
}

#[test]
fn testbed_does_the_same_over_whatever_carries_it() {
    let files = Files::signed(IsCa::NoCa);
    let ports = ["--tls1", "0", "--tls2", "0", "--h2c", "0", "--h1", "0"];
    let server = Doors::open("testbed", &[&ports[..], &files.server()].concat(), 4);
    let ca = files.client();
    let [tls1, tls2, h2c, h1] = [0, 1, 2, 3].map(|nth| server.addresses[nth].as_str());
    for (scheme, address, version) in
        [("ws", h1, "1.1"), ("ws", h2c, "2"), ("wss", tls1, "1.1"), ("wss", tls2, "1.1"), ("wss", tls2, "2")]
    {
        let flags = [&ca[..], &["--http", version]].concat();
        let client = |more: &[&str], path: &str, input: &str| {
            let output = run("client", &[&flags[..], more, &[&format!("{scheme}://{address}{path}")]].concat(), input);
            let [said, told] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
            (output.status.success(), said, told)
        };

        let (is_good, said, told) = client(&["--compression", "--header", "X-One: 1"], "/info?a=b", "");
        assert!(is_good, "{told}");
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!(json["version"], version);
        assert_eq!(json["path"], "/info?a=b");
        assert_eq!(json["headers"]["x-one"], "1");
        assert_eq!(json["extensions"], "permessage-deflate");

        for path in ["/", "/frag/1000", "/frag/1048575"] {
            let (is_good, _, told) = client(&["--compression", "--check"], path, "");
            assert!(is_good, "{version} {path}: {told}");
        }
        for (path, input, is_right, what) in [
            ("/ping/%F0%9F%A7%A6", "hello", true, "pong:hi-🧦\n"),
            ("/close/4321/that%20is%20all", "", true, "4321 that is all\n"),
            ("/close", "", true, "Close from the server: 1005 \n"),
            ("/reject/418", "", false, "the server refuses: 418 "),
            ("/abort", "", false, "the connection ended: 1006"),
        ] {
            // Where nothing is said, the input has no end before the server has done it.
            let (is_good, said, told) = if input.is_empty() {
                patiently(spawn("client", &[&flags[..], &[&format!("{scheme}://{address}{path}")]].concat()))
            } else {
                client(&[], path, input)
            };
            assert_eq!(is_good, is_right, "{version} {path}: {said} {told}");
            assert!(said.contains(what) || told.contains(what), "{version} {path}: {said} {told}");
        }
    }
    // No HTTP/2 where it is not agreed to.
    let output = run("client", &[&ca[..], &["--http", "2", "--check", &format!("wss://{tls1}/")]].concat(), "");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

/// A client trusts those that it is told to trust, and these alone.
#[test]
fn certificates_are_verified() {
    let flags = ["--tls2", "0"];
    let made = Doors::open("testbed", &flags, 1);
    let [files, authority] = [IsCa::NoCa, IsCa::Ca(BasicConstraints::Unconstrained)].map(Files::signed);
    let server = Doors::open("testbed", &[&flags[..], &files.server()].concat(), 1);
    let own_authority = Doors::open("testbed", &[&flags[..], &authority.server()].concat(), 1);
    for (flags, server, is_trusted) in [
        (&[][..], &made, false),
        (&files.client(), &made, false),
        (&[], &server, false),
        (&files.client(), &server, true),
        (&authority.client(), &server, false),
        (&[], &own_authority, false),
        (&authority.client(), &own_authority, true),
    ] {
        for host in ["127.0.0.1", "localhost", "127.0.0.2"] {
            let url = format!("wss://{}/", server.addresses[0].replace("127.0.0.1", host));
            let output = run("client", &[flags, &["--check", &url]].concat(), "");
            // 127.0.0.2 is nobody's name, and nobody listens there.
            assert_eq!(output.status.success(), is_trusted && host != "127.0.0.2", "{flags:?} {url}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.is_empty() || said.contains("cannot connect"), "{said}");
        }
    }
    let other = Files::named("example.com", IsCa::Ca(BasicConstraints::Unconstrained));
    let server = Doors::open("testbed", &[&flags[..], &other.server()].concat(), 1);
    let url = format!("wss://{}/", server.addresses[0]);
    let output = run("client", &[&other.client()[..], &["--check", &url]].concat(), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && said.contains("not valid for name"), "{said}");
}

/// A certificate that signed itself, and its key, in files.
struct Files {
    cert: String,
    key: String,
}

impl Files {
    fn signed(is_ca: IsCa) -> Files {
        Files::named("127.0.0.1", is_ca)
    }

    fn named(name: &str, is_ca: IsCa) -> Files {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned(), "localhost".to_owned()]).unwrap();
        params.is_ca = is_ca;
        let cert = params.self_signed(&key).unwrap();
        let file = |kind: &str, pem: String| {
            let serial: String = key.public_key_raw()[1..9].iter().map(|byte| format!("{byte:02x}")).collect();
            let path = std::env::temp_dir().join(format!("sockless-{serial}-{kind}.pem"));
            std::fs::write(&path, pem).unwrap();
            path.to_str().unwrap().to_owned()
        };
        Files { cert: file("cert", cert.pem()), key: file("key", key.serialize_pem()) }
    }

    fn server(&self) -> [&str; 4] {
        ["--cert", &self.cert, "--key", &self.key]
    }

    fn client(&self) -> [&str; 2] {
        ["--ca", &self.cert]
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        for path in [&self.cert, &self.key] {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// A program that listens at several addresses, and goes on telling.
struct Doors {
    addresses: Vec<String>,
    lines: mpsc::Receiver<String>,
    child: Child,
}

impl Doors {
    fn open(name: &str, arguments: &[&str], count: usize) -> Doors {
        let mut child = spawn(name, arguments);
        let output = BufReader::new(child.stdout.take().unwrap());
        let (teller, lines) = mpsc::channel();
        thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| teller.send(line)));
        let mut doors = Doors { addresses: Vec::new(), lines, child };
        while doors.addresses.len() < count {
            let line = doors.line();
            if line.starts_with("listening ") {
                doors.addresses.push(line.rsplit(' ').next().unwrap().to_owned());
            }
        }
        doors
    }

    fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line of the program")
    }
}

impl Drop for Doors {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a program says that ends while its input does not.
fn patiently(mut child: Child) -> (bool, String, String) {
    let code = wait(&mut child);
    let (mut said, mut told) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    (code == Some(0), said, told)
}

// --- programs ---------------------------------------------------------------------------

/// A program that serves; it ends with the test.
struct Program {
    child: Child,
    address: String,
}

fn testbed(flags: &[&str]) -> Program {
    Program::listening("testbed", &[&["--h1", "0"], flags].concat())
}

impl Program {
    fn listening(name: &str, arguments: &[&str]) -> Program {
        let mut child = spawn(name, arguments);
        let said = BufReader::new(child.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        let address = said.filter_map(|line| line.strip_prefix("listening on ").map(str::to_owned)).next();
        let mut program = Program { child, address: String::new() };
        program.address = address.unwrap_or_else(|| panic!("{name} does not say where it listens"));
        program
    }

    fn url(&self, path: &str) -> Connect {
        Connect::to(&format!("ws://{}{path}", self.address)).unwrap()
    }

    /// The bytes of memory that it has now.
    fn memory(&self) -> usize {
        match std::fs::read_to_string(format!("/proc/{}/status", self.child.id())) {
            Ok(status) => {
                let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
                line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() << 10
            }
            // Not Linux: nothing is measured.
            Err(_) => 0,
        }
    }

    /// How many files and sockets it has open.
    fn descriptors(&self) -> usize {
        // Not Linux: nothing is counted.
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).map_or(0, Iterator::count)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
fn run(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = spawn(name, arguments);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    wait(&mut child);
    child.wait_with_output().unwrap()
}

fn spawn(name: &str, arguments: &[&str]) -> Child {
    let mut path: PathBuf = std::env::current_exe().unwrap();
    // From target/PROFILE/deps/ to target/PROFILE/examples/.
    path.pop();
    path.pop();
    path.extend(["examples", &format!("{name}{}", std::env::consts::EXE_SUFFIX)]);
    let mut command = Command::new(&path);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}: build it with `cargo build --examples`", path.display()))
}

/// Waits for the end of a program, but not for ever.
fn wait(child: &mut Child) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if began.elapsed() > Duration::from_secs(20) {
            child.kill().unwrap();
            panic!("a program does not end");
        }
        thread::sleep(Duration::from_millis(5));
    }
}

// --- a client ---------------------------------------------------------------------------

/// What a client heard.
#[derive(Debug, PartialEq)]
enum Heard {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Closing(Option<u16>, String),
    Closed(u16),
    Other(String),
}

impl From<Message<'_>> for Heard {
    fn from(message: Message<'_>) -> Heard {
        match message {
            Message::Text(text) => Heard::Text(text.into()),
            Message::Binary(bytes) => Heard::Binary(bytes.into()),
        }
    }
}

/// One end of a conversation.
struct Talk {
    stream: TcpStream,
    client: Client,
    id: SessionId,
    clock: Clock,
    heard: VecDeque<Heard>,
    agreed: Agreed,
}

impl Talk {
    fn to(address: &str, path: &str) -> Talk {
        Talk::with(Connect::to(&format!("ws://{address}{path}")).unwrap())
    }

    fn with(connect: Connect) -> Talk {
        Talk::open(&connect, 2 << 20, None).unwrap_or_else(|status| panic!("refused with {status}"))
    }

    fn limited(address: &str, path: &str, message: u64) -> Talk {
        Talk::open(&Connect::to(&format!("ws://{address}{path}")).unwrap(), message, None).unwrap()
    }

    /// A connection that is refused; the status.
    fn to_refusal(connect: Connect) -> u16 {
        Talk::open(&connect, 1, None).err().expect("it is let in")
    }

    fn open(connect: &Connect, message: u64, compression: Option<Compression>) -> Result<Talk, u16> {
        let stream = self::connect(&connect.url().authority());
        let clock = Clock::new();
        let limits = Limits { message, frame: message, output: 64 << 20, fragments: u32::MAX, ..Limits::default() };
        let config = Config { limits, keep_alive: KeepAlive::Off, compression, ..Config::default() };
        let mut client = Client::new(Arc::new(config), Os, clock.now()).unwrap();
        let id = client.open(connect, clock.now()).unwrap();
        let mut talk = Talk { stream, client, id, clock, heard: VecDeque::new(), agreed: Agreed::default() };
        talk.flush();
        let mut answer = None;
        let mut buffer = [0; 4096];
        while answer.is_none() {
            let count = talk.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "the end before the response");
            let mut input = &mut buffer[..count];
            while let Some(event) = talk.client.receive(&mut input, clock.now()) {
                match event {
                    ClientEvent::Open(opened) => answer = Some(Ok(opened.agreed)),
                    ClientEvent::Refused(_, response) => answer = Some(Err(response.status())),
                    event => talk.heard.extend(heard(event)),
                }
            }
        }
        talk.agreed = answer.unwrap()?;
        talk.flush();
        Ok(talk)
    }

    fn tx(&mut self) -> &mut Sender {
        self.client.tx(self.id, self.clock.now()).unwrap()
    }

    fn send(&mut self, message: Message<'_>) {
        self.tx().send(message).unwrap();
        self.flush();
    }

    /// Writes what is queued; a server that has hung up shows itself at the next read.
    fn flush(&mut self) {
        let mut bytes = Vec::new();
        self.client.take(&mut bytes, self.clock.now());
        let _ = self.stream.write_all(&bytes);
    }

    fn next(&mut self) -> Heard {
        let mut buffer = vec![0; 64 << 10];
        loop {
            if let Some(heard) = self.heard.pop_front() {
                return heard;
            }
            self.flush();
            let now = self.clock.now();
            let mut input = match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.client.receive_eof(now);
                    &mut [][..]
                }
                Ok(count) => &mut buffer[..count],
                Err(error) => panic!("nothing comes: {error}"),
            };
            while let Some(event) = self.client.receive(&mut input, now) {
                self.heard.extend(heard(event));
            }
        }
    }

    /// Ends the conversation as it should be.
    fn close(mut self) {
        self.tx().close(Close::With(CloseCode::NORMAL, Reason::EMPTY));
        assert_eq!(self.next(), Heard::Closing(Some(1000), String::new()));
        assert_eq!(self.next(), Heard::Closed(1000));
        assert!(self.ends());
    }

    /// Whether the server ends the connection, and with nothing more said.
    fn ends(&mut self) -> bool {
        self.flush();
        assert_eq!(self.client.transport(), Transport::Open, "a client waits for the server");
        let is_end = matches!(self.stream.read(&mut [0; 16]), Ok(0));
        self.client.receive_eof(self.clock.now());
        is_end && self.client.is_closed()
    }
}

fn heard(event: ClientEvent<'_>) -> Option<Heard> {
    let ClientEvent::Session(_, Incoming { event, .. }) = event else {
        return Some(Heard::Other(format!("{event:?}")));
    };
    Some(match event {
        Event::Message(message) => Heard::from(message),
        Event::Ping(payload) => Heard::Ping(payload.into()),
        Event::Pong(payload) => Heard::Pong(payload.into()),
        Event::Closing { code, reason } => Heard::Closing(code.map(CloseCode::get), reason.into()),
        Event::Closed(closed) => Heard::Closed(closed.status_code()),
        event => Heard::Other(format!("{event:?}")),
    })
}

/// The status that a handshake to this path is refused with.
fn refused(address: &str, path: &str) -> u16 {
    Talk::to_refusal(Connect::to(&format!("ws://{address}{path}")).unwrap())
}

// --- bytes ------------------------------------------------------------------------------

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Sends a request and takes all that comes.
fn http(address: &str, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    response
}

fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// A client's frame, masked with zeros.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | length as u8),
        length @ ..65_536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// A client that knows nothing but bytes.
struct Raw {
    stream: TcpStream,
    input: BufReader<TcpStream>,
    /// What the server agreed to.
    extensions: Option<String>,
}

impl Raw {
    fn to(address: &str, path: &str) -> Raw {
        Raw::offering(address, path, None)
    }

    fn offering(address: &str, path: &str, extensions: Option<&str>) -> Raw {
        let mut stream = connect(address);
        let offer = extensions.map(|offer| format!("Sec-WebSocket-Extensions: {offer}\r\n")).unwrap_or_default();
        stream.write_all(upgrade(path).replace("\r\n\r\n", &format!("\r\n{offer}\r\n")).as_bytes()).unwrap();
        let mut input = BufReader::new(stream.try_clone().unwrap());
        let (mut line, mut extensions) = (String::new(), None);
        input.read_line(&mut line).unwrap();
        assert_eq!(line, "HTTP/1.1 101 Switching Protocols\r\n");
        while line != "\r\n" {
            line.clear();
            assert!(input.read_line(&mut line).unwrap() > 0);
            if let Some(value) = line.strip_prefix("Sec-WebSocket-Extensions: ") {
                assert_eq!(extensions.replace(value.trim_end().to_owned()), None, "it stands there once");
            }
        }
        Raw { stream, input, extensions }
    }

    fn send(&mut self, first: u8, payload: &[u8]) {
        self.stream.write_all(&masked(first, payload)).unwrap();
    }

    /// The next frame: FIN, opcode with the reserved bits, payload.
    fn frame(&mut self) -> (bool, u8, Vec<u8>) {
        let mut header = [0; 2];
        self.input.read_exact(&mut header).unwrap();
        assert!(header[1] < 126, "a server's frame, and a short one: {header:?}");
        let mut payload = vec![0; usize::from(header[1])];
        self.input.read_exact(&mut payload).unwrap();
        (header[0] & 0x80 != 0, header[0] & 0x7F, payload)
    }

    /// All that comes, up to the end.
    fn rest(&mut self) -> Result<Vec<u8>, ErrorKind> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).map(|_| rest).map_err(|error| error.kind())
    }

    fn is_quiet_for(&mut self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let is_quiet = self.input.fill_buf().is_err();
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        is_quiet
    }
}

/// The next frame of a client; none at the end.
fn client_frame(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut header = [0; 2];
    stream.read_exact(&mut header).ok()?;
    let length = match header[1] & 0x7F {
        127 => {
            let mut length = [0; 8];
            stream.read_exact(&mut length).ok()?;
            u64::from_be_bytes(length) as usize
        }
        126 => {
            let mut length = [0; 2];
            stream.read_exact(&mut length).ok()?;
            usize::from(u16::from_be_bytes(length))
        }
        length => usize::from(length),
    };
    let mut key = [0; 4];
    stream.read_exact(&mut key).ok()?;
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).ok()?;
    payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    Some((header[0], payload))
}

// --- servers to test the client with ----------------------------------------------------

/// A server that does this to each connection; its address.
fn listening(answer: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || answer(stream));
        }
    });
    address
}

/// Keeps a connection open, and reads nothing, longer than any client waits.
fn hold(_stream: &TcpStream) {
    thread::sleep(Duration::from_secs(20));
}

/// A WebSocket server on one connection, which does this with each event of its session.
fn serve(mut stream: TcpStream, mut react: impl FnMut(Event<'_>, &mut Sender)) {
    serve_until(&mut stream, |event| {
        match event {
            ServerEvent::Offer(offer) => {
                offer.accept(Accept::new());
            }
            ServerEvent::Session(_, Incoming { event, tx }) => react(event, tx),
            _ => {}
        }
        false
    });
}

/// The opening handshake, and no more.
fn serve_until_open(stream: &mut TcpStream) {
    serve_until(stream, |event| match event {
        ServerEvent::Offer(offer) => {
            offer.accept(Accept::new());
            true
        }
        _ => false,
    });
}

/// An engine on one connection, until `react` says that it is enough.
fn serve_until(stream: &mut TcpStream, mut react: impl FnMut(ServerEvent<'_>) -> bool) {
    let clock = Clock::new();
    let limits = Limits { output: 8 << 20, ..Limits::default() };
    let compression = Some(Compression::default());
    let mut server = Server::new(Arc::new(Config { limits, compression, ..Config::default() }), clock.now());
    let (mut buffer, mut is_enough) = (vec![0; 64 << 10], false);
    while !server.is_closed() && !is_enough {
        let count = stream.read(&mut buffer).unwrap_or(0);
        if count == 0 {
            server.receive_eof(clock.now());
        }
        let mut input = &mut buffer[..count];
        while let Some(event) = server.receive(&mut input, clock.now()) {
            is_enough |= react(event);
        }
        let mut output = Vec::new();
        server.take(&mut output, clock.now());
        if stream.write_all(&output).is_err() {
            return;
        }
        if server.transport() == Transport::ShutdownWrite {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
}

fn echo(event: Event<'_>, tx: &mut Sender) {
    if let Event::Message(message) = event {
        tx.send(message).unwrap();
    }
}

/// A server that sends every frame back, a Ping as a Pong, but for those whose opcode it does not like; and never hangs up.
fn serve_frames(mut stream: TcpStream, likes: fn(u8) -> bool) {
    serve_until_open(&mut stream);
    while let Some((first, payload)) = client_frame(&mut stream) {
        if likes(first & 0xF) {
            let mut frame = masked(if first == 0x89 { 0x8A } else { first }, &payload);
            let header = frame.len() - payload.len();
            // A server masks nothing: the bit and the key go.
            frame[1] &= 0x7F;
            frame.drain(header - 4..header);
            let _ = stream.write_all(&frame);
        }
    }
    hold(&stream);
}
