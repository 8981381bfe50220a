//! How is a session made that agreed on compression, without an opening handshake, and what can be fed to it?

#![allow(dead_code, reason = "every test file uses a part of this")]

use std::sync::Arc;

use sockless::{Agreed, Compression, Config, DeflateParameters, Pool, WebSocket, WindowBits};

use crate::common::*;

pub(crate) const TAKEOVER: DeflateParameters = DeflateParameters {
    server_no_context_takeover: false,
    client_no_context_takeover: false,
    server_max_window_bits: WindowBits::MAX,
    client_max_window_bits: WindowBits::MAX,
};
pub(crate) const NO_TAKEOVER: DeflateParameters =
    DeflateParameters { server_no_context_takeover: true, client_no_context_takeover: true, ..TAKEOVER };

pub(crate) const RSV1: u8 = 4;

/// What a flush writes, and its sender leaves out at the end of a message.
pub(crate) const TAIL: &[u8] = &[0x00, 0x00, 0xFF, 0xFF];

// Samples of RFC 7692 §7.2.3.
pub(crate) const HELLO: &[u8] = &[0xF2, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00];
pub(crate) const HELLO_AGAIN: &[u8] = &[0xF2, 0x00, 0x11, 0x00, 0x00];
pub(crate) const HELLO_STORED: &[u8] = &[0x00, 0x05, 0x00, 0xFA, 0xFF, 0x48, 0x65, 0x6C, 0x6C, 0x6F, 0x00];
pub(crate) const HELLO_FINAL: &[u8] = &[0xF3, 0x48, 0xCD, 0xC9, 0xC9, 0x07, 0x00, 0x00];
pub(crate) const HELLO_IN_TWO_BLOCKS: &[u8] =
    &[0xF2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xFF, 0xFF, 0xCA, 0xC9, 0xC9, 0x07, 0x00];
pub(crate) const EMPTY: &[u8] = &[0x00];

pub(crate) fn engine(role: Role, parameters: DeflateParameters, config: Config) -> WebSocket {
    let (agreed, config) = (Agreed::default().with_deflate(parameters), Arc::new(config));
    match role {
        Role::Server => WebSocket::server(&agreed, config, START),
        Role::Client => WebSocket::client(&agreed, config, Counter(0), START).unwrap(),
    }
}

impl Way {
    pub(crate) fn compressing(&self, parameters: DeflateParameters, config: Config) -> Session<'_, WebSocket> {
        let mut session = self.session();
        session.engine = engine(self.role, parameters, Config { delivery: self.delivery, ..config });
        session
    }

    pub(crate) fn compressing_with(
        &self,
        parameters: DeflateParameters,
        compression: Compression,
    ) -> Session<'_, WebSocket> {
        self.compressing(parameters, Config { compression: Some(compression), ..Config::default() })
    }
}

/// With and without context takeover, and with contexts of its own and from a pool, which hands them from one session
/// to the next.
pub(crate) fn modes() -> Vec<(DeflateParameters, Compression)> {
    let modes = [TAKEOVER, NO_TAKEOVER].into_iter();
    let modes = modes.flat_map(|parameters| [(parameters, None), (parameters, Some(Arc::new(Pool::new(1))))]);
    modes.map(|(parameters, pool)| (parameters, Compression { pool, ..Compression::default() })).collect()
}

/// A text message that its first frame holds, compressed.
pub(crate) fn compressed(payload: impl AsRef<[u8]>) -> Frame {
    Frame::text(payload).rsv(RSV1)
}

/// Runs a conversation in every way, with contexts that are kept and with contexts that are lent for a message.
#[track_caller]
pub(crate) fn in_every_mode(conversation: impl Fn(&mut Session<'_, WebSocket>)) {
    for (parameters, compression) in modes().into_iter().step_by(3) {
        in_every_way(|way| conversation(&mut way.compressing_with(parameters, compression.clone())));
    }
}

/// Writes deflated blocks as RFC 1951 §3.2 has them.
#[derive(Default)]
pub(crate) struct Blocks {
    pub(crate) bytes: Vec<u8>,
    /// How many bits of the last byte are taken; none where there is room in none.
    bits: u32,
}

impl Blocks {
    /// The lowest bit first.
    pub(crate) fn bits(mut self, value: usize, count: u32) -> Blocks {
        for bit in 0..count {
            if self.bits == 0 {
                self.bytes.push(0);
            }
            *self.bytes.last_mut().unwrap() |= ((value >> bit & 1) as u8) << self.bits;
            self.bits = (self.bits + 1) % 8;
        }
        self
    }

    /// A code, whose highest bit goes first.
    pub(crate) fn code(self, code: usize, count: u32) -> Blocks {
        (0..count).rev().fold(self, |blocks, bit| blocks.bits(code >> bit & 1, 1))
    }

    pub(crate) fn literals(self, text: &[u8]) -> Blocks {
        text.iter().fold(self, |blocks, byte| match usize::from(*byte) {
            byte @ 0..144 => blocks.code(0x30 + byte, 8),
            byte => blocks.code(0x190 + byte - 144, 9),
        })
    }

    /// Three bytes from so far back.
    pub(crate) fn three_from(self, distance: usize) -> Blocks {
        let (before, blocks) = (distance - 1, self.code(1, 7));
        match before.checked_ilog2() {
            None | Some(0) => blocks.code(before, 5),
            Some(log) => {
                let extra = log - 1;
                let code = 2 * log as usize + (before >> extra & 1);
                blocks.code(code, 5).bits(before & ((1 << extra) - 1), extra)
            }
        }
    }

    /// A block of fixed codes begins.
    pub(crate) fn fixed(self, bfinal: bool) -> Blocks {
        self.bits(usize::from(bfinal) + 2, 3)
    }

    pub(crate) fn end(self) -> Blocks {
        self.code(0, 7)
    }

    /// The end of a block with BFINAL: what follows begins with a byte.
    pub(crate) fn end_of_stream(self) -> Blocks {
        Blocks { bits: 0, ..self.end() }
    }

    pub(crate) fn stored(self, bfinal: bool, data: &[u8]) -> Blocks {
        let mut blocks = Blocks { bits: 0, ..self.bits(usize::from(bfinal), 3) };
        let length = data.len() as u16;
        blocks.bytes.extend([length.to_le_bytes(), (!length).to_le_bytes()].concat());
        blocks.bytes.extend(data);
        blocks
    }

    /// The payload of a message: behind the blocks an empty one, without the tail.
    pub(crate) fn message(self) -> Vec<u8> {
        self.bits(0, 3).bytes
    }
}
