//! Are WebSockets over HTTP/2 understood by implementations that share no line with this one, in both roles? (RFC 8441)
//!
//! The peers are Node's http2 with the npm package ws, the PyPI packages h2 and wsproto, the server hypercorn, and the
//! proxy HAProxy, which `.ci/interop` installs; where one is not there, its test is skipped. As client, a peer opens
//! many streams on one connection to the testbed and looks at all that comes; as server, it echoes what the example
//! client, and then many sessions of ours on one connection, send to it. The proxy stands between our client and our
//! server, and translates.
#![cfg(all(feature = "deflate", feature = "getrandom"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may fail in any line of it"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sockless::{
    Client, ClientEvent, Clock, Close, CloseCode, Closed, Compress, Compression, Config, Connect, Event, Incoming,
    Message, Os, Reason, SessionId,
};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn python_h2() {
    let is_installed = is_there(python().args(["-c", "import h2, wsproto"]));
    interoperate("h2 with wsproto", is_installed, || {
        let mut command = python();
        command.arg(root().join("tests/interop_http2/h2_peer.py"));
        command
    });
}

#[test]
fn hypercorn() {
    if !is_there(python().args(["-c", "import hypercorn"])) {
        return skipped("hypercorn");
    }
    let (_hypercorn, port) = Program::start(python().arg(root().join("tests/interop_http2/hypercorn_echo.py")));
    is_echo("hypercorn", "2", &port);
    many_sessions_on_one_connection("hypercorn", &port);
}

/// From either version of HTTP to the other, and from HTTP/2 to HTTP/2.
#[test]
fn haproxy() {
    if !is_there(Command::new("haproxy").arg("-v")) {
        return skipped("HAProxy");
    }
    let (_http1, address1) = Program::start(Command::new(example("testbed")).args(["--h1", "0"]));
    let (_http2, address2) = Program::start(Command::new(example("testbed")).args(["--h2c", "0"]));
    let mut file = "defaults\n mode http\n timeout connect 5s\n timeout client 30s\n timeout server 30s\n".to_owned();
    let spoken = format!("{address2} proto h2");
    let routes = [("2", &address1), ("1.1", &spoken), ("2", &spoken)];
    // All are taken before one is given back, or two could be the same.
    let free = routes.each_ref().map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = free.each_ref().map(|listener| listener.local_addr().unwrap().port().to_string());
    drop(free);
    for ((http, server), port) in routes.iter().zip(&ports) {
        let proto = if *http == "2" { "proto h2" } else { "" };
        file += &format!("listen p{port}\n bind 127.0.0.1:{port} {proto}\n server testbed {server}\n");
    }
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("haproxy.cfg");
    fs::write(&path, file).unwrap();
    let _haproxy = Program(Command::new("haproxy").args(["-q", "-db", "-f"]).arg(path).spawn().unwrap());
    for ((http, server), port) in routes.iter().zip(&ports) {
        let began = Instant::now();
        while TcpStream::connect(format!("127.0.0.1:{port}")).is_err() {
            assert!(began.elapsed() < PATIENCE, "HAProxy does not listen");
            thread::sleep(Duration::from_millis(10));
        }
        let name = format!("HAProxy, from HTTP/{http} to {server}");
        is_echo(&name, http, port);
        if *http == "2" {
            many_sessions_on_one_connection(&name, port);
        }
    }
}

#[test]
fn node_http2() {
    let modules = root().join("target/interop/node");
    interoperate("Node's http2 with ws", modules.join("node_modules/ws").exists(), || {
        let mut command = Command::new("node");
        command.arg(root().join("tests/interop_http2/node_peer.mjs")).arg(&modules);
        command
    });
}

fn interoperate(name: &str, is_installed: bool, command: impl Fn() -> Command) {
    if !is_installed {
        return skipped(name);
    }
    // The peer as client.
    let (testbed, address) = Program::start(Command::new(example("testbed")).args(["--h2c", "0"]));
    let output = command().arg(&address).output().unwrap();
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    drop(testbed);

    // The peer as server.
    let (_peer, port) = Program::start(&mut command());
    is_echo(name, "2", &port);
    many_sessions_on_one_connection(name, &port);
}

fn is_echo(name: &str, http: &str, port: &str) {
    let url = format!("ws://127.0.0.1:{port}/echo");
    for flags in [&[][..], &["--compression"]] {
        let mut client = Command::new(example("client"));
        let output = client.args(["--http", http, "--check", &url]).args(flags).output().unwrap();
        assert!(output.status.success(), "{name}, {flags:?}: {}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.contains("permessage-deflate"), !flags.is_empty(), "{name}: {said}");
    }
}

/// Each says the same at the same time: nothing is lost, and nothing comes to another.
fn many_sessions_on_one_connection(name: &str, port: &str) {
    const SESSIONS: usize = 20;
    let clock = Clock::new();
    let config = Arc::new(Config { compression: Some(Compression::default()), ..Config::default() });
    let mut client = Client::http2(config, Os, clock.now()).unwrap();
    let connect = Connect::to(&format!("ws://127.0.0.1:{port}/echo")).unwrap();
    let ids: Vec<SessionId> = (0..SESSIONS).map(|_| client.open(&connect, clock.now()).unwrap()).collect();
    let mut stream = TcpStream::connect((connect.url().host(), connect.url().port())).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let said = |nth: usize| [vec![nth as u8; 100 << 10], format!("I am {nth}").into_bytes(), vec![]];

    let mut heard: BTreeMap<SessionId, Vec<Vec<u8>>> = BTreeMap::new();
    let (mut closed, mut buffer) = (0, vec![0; 64 << 10]);
    while closed < SESSIONS {
        let mut out = Vec::new();
        client.take(&mut out, clock.now());
        stream.write_all(&out).unwrap();
        let count = stream.read(&mut buffer).expect("the peer says something in time");
        assert!(count > 0, "{name} hangs up");
        let mut input = &mut buffer[..count];
        while let Some(event) = client.receive(&mut input, clock.now()) {
            match event {
                ClientEvent::Open(opened) => {
                    let nth = ids.iter().position(|id| *id == opened.id).unwrap();
                    for message in said(nth) {
                        let compress = if nth.is_multiple_of(2) { Compress::Always } else { Compress::Never };
                        opened.tx.send_with(Message::Binary(&message), compress).unwrap();
                    }
                }
                ClientEvent::Session(id, Incoming { event: Event::Message(message), tx }) => {
                    let heard = heard.entry(id).or_default();
                    heard.push(message.as_bytes().to_owned());
                    if heard.len() == 3 {
                        tx.close(Close::With(CloseCode::new(4000).unwrap(), Reason::EMPTY));
                    }
                }
                ClientEvent::Session(_, Incoming { event: Event::Closed(end), .. }) => {
                    assert!(matches!(end, Closed { clean: true, .. }), "{name}: {end}");
                    closed += 1;
                }
                ClientEvent::Session(_, Incoming { event: Event::Failed(error), .. }) => panic!("{name}: {error}"),
                ClientEvent::Session(..) => {}
                other => panic!("{name}: {other:?}"),
            }
        }
    }
    for (nth, id) in ids.iter().enumerate() {
        assert!(heard[id] == said(nth), "{name}: session {nth} heard something else");
    }
}

fn python() -> Command {
    Command::new(root().join("target/interop/python/bin/python"))
}

fn is_there(probe: &mut Command) -> bool {
    probe.output().is_ok_and(|output| output.status.success())
}

fn skipped(name: &str) {
    // Not by `println`, which the test runner keeps to itself.
    io::stderr().write_all(format!("skipped: {name}: see .ci/interop\n").as_bytes()).unwrap();
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// An example, which is built with the tests.
fn example(name: &str) -> PathBuf {
    // From target/PROFILE/deps/ to target/PROFILE/examples/.
    let path = std::env::current_exe().unwrap();
    path.ancestors().nth(2).unwrap().join("examples").join(name)
}

/// A program that serves; it ends with the test.
struct Program(Child);

impl Program {
    /// Starts it, and says what stands last in its first line: where it listens.
    fn start(command: &mut Command) -> (Program, String) {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        (Program(child), line.split_whitespace().next_back().expect("a line").to_owned())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}
