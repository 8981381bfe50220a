//! What does an engine let pass that RFC 6455 forbids?
//!
//! Asked, not claimed: each engine receives each fault, and a good message behind it. Who hands on a message has not
//! seen the fault. So it is with requests: who answers 101 has not seen what is wrong.

use crate::engines::{Engine, LIMIT};
use crate::machine;
use crate::traffic::{REQUEST, Role, Tally, frame};
use crate::transport;

/// An engine, and what it does not look at.
pub struct Judged {
    pub name: &'static str,
    pub version: &'static str,
    pub remark: &'static str,
    /// Names of the faults it does not see in frames.
    pub skips: Vec<&'static str>,
    /// Those it does not see in a request; none if it reads none.
    pub skips_of_requests: Option<Vec<&'static str>>,
}

impl Judged {
    pub fn new(engine: &dyn Engine) -> Judged {
        Judged {
            name: engine.name(),
            version: machine::version(include_str!("../Cargo.lock"), engine.package()),
            remark: engine.remark(),
            skips: faults().into_iter().filter(|fault| passes(engine, fault)).map(|fault| fault.check).collect(),
            skips_of_requests: opens(engine, REQUEST).then(|| {
                let faults = faults_of_requests().into_iter();
                faults.filter(|(_, request)| opens(engine, request)).map(|(check, _)| check).collect()
            }),
        }
    }

    /// Whether it misses at most two of the faults in frames, and looks at text; where requests are answered, whether
    /// it misses at most two of theirs.
    pub fn is_strict(&self, part: &str) -> bool {
        match &self.skips_of_requests {
            Some(skips) if part == "open" => skips.len() <= 2,
            _ => self.skips.len() <= 2 && !self.skips.contains(&"UTF-8"),
        }
    }
}

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

struct Fault {
    /// What would have found it.
    check: &'static str,
    role: Role,
    bytes: Vec<u8>,
    /// The first read, where it must be found before the second.
    at_once: bool,
}

fn faults() -> Vec<Fault> {
    let fault = |check, first: u8, payload: &[u8]| {
        let mut bytes = Vec::new();
        frame(first, payload, KEY, &mut bytes);
        Fault { check, role: Role::Server, bytes, at_once: false }
    };
    let raw = |check, role, bytes: &[u8]| Fault { check, role, bytes: bytes.to_vec(), at_once: false };
    let mut partial = fault("UTF-8 before the end of a frame", 0x81, &[&[0xff], &[b'x'; 99][..]].concat());
    partial.bytes.truncate(60);
    partial.at_once = true;
    let announced = [&[0x82, 0xff][..], &(LIMIT as u64 * 4).to_be_bytes(), &[0; 4]].concat();
    vec![
        fault("UTF-8", 0x81, b"\xff message"),
        partial,
        raw("frames to a server are masked", Role::Server, b"\x82\x08unmasked"),
        raw("frames to a client are not", Role::Client, b"\x82\x88\0\0\0\0unmasked"),
        fault("reserved bits", 0xa2, b"a message"),
        fault("reserved opcodes", 0x83, b"a message"),
        raw("lengths in the shortest form", Role::Server, b"\x82\xfe\0\x08\0\0\0\0 message"),
        fault("control frames of 125 B at most", 0x8a, &[0; 126]),
        fault("control frames whole", 0x09, b"a ping"),
        fault("continuations of something", 0x80, b"a message"),
        Fault { at_once: true, ..raw("the size of a message when it is announced", Role::Server, &announced) },
    ]
}

fn faults_of_requests() -> Vec<(&'static str, Vec<u8>)> {
    let request = str::from_utf8(REQUEST).unwrap_or_default();
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let faults = [
        ("GET", "GET", "POST"),
        ("HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
        ("Host", "Host: chat.example.com\r\n", ""),
        ("Connection", "Connection: Upgrade\r\n", ""),
        ("Upgrade", "Upgrade: websocket\r\n", ""),
        ("version 13", "Version: 13", "Version: 12"),
        ("a key", key, ""),
        ("a key of 16 bytes", "bXBsZSBub25jZQ==", "bXBsZQ=="),
        ("a key in Base64", "dGhlIHNhbXBs", "!!!!!!!!!!!!"),
        ("one key", key, &key.repeat(2)),
    ];
    faults.map(|(check, good, bad)| (check, request.replacen(good, bad, 1).into_bytes())).into()
}

/// Whether it answers that it switches protocols.
fn opens(engine: &dyn Engine, request: &[u8]) -> bool {
    transport::feed(request.to_vec().leak(), usize::MAX);
    let answer = transport::record(|| engine.open().unwrap_or(Ok(())));
    answer.is_ok_and(|answer| answer.starts_with(b"HTTP/1.1 101"))
}

fn passes(engine: &dyn Engine, fault: &Fault) -> bool {
    let mut connection = engine.connect(fault.role, 4 << 10);
    let mut bytes = fault.bytes.clone();
    if !fault.at_once {
        let key = if fault.role == Role::Server { KEY } else { None };
        frame(0x82, b"a good message", key, &mut bytes);
    }
    transport::feed(bytes.leak(), usize::MAX);
    match connection.receive(1, &mut Tally::default()) {
        Ok(()) => true,
        // Whoever waits for more has not objected to what came.
        Err(error) => {
            let waits = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            let error = error.to_string();
            waits == Some(std::io::ErrorKind::WouldBlock)
                || error.contains("WouldBlock")
                || error.contains("would block")
        }
    }
}
