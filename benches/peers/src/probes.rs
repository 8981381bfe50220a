//! What does an engine let pass that RFC 6455 forbids?
//!
//! Asked, not claimed: each engine receives each fault, and a good message behind it. Who hands on a message has not
//! seen the fault.

use crate::engines::{Engine, LIMIT};
use crate::traffic::{Role, Tally, frame};
use crate::transport;

const KEY: Option<[u8; 4]> = Some([1, 2, 3, 4]);

/// Names of the faults, for what is not looked at.
pub fn skips(engine: &dyn Engine) -> Vec<&'static str> {
    faults().into_iter().filter(|fault| passes(engine, fault)).map(|fault| fault.check).collect()
}

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
