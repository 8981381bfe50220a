//! How is wtx driven?
//!
//! With its own buffers and its ChaCha20, since the generator it takes by default is no strong source of keys. Payloads
//! are lent where it can. Each message is one vectored write. It masks in place, so what a client is to send again is
//! copied first; a server's is only read, but must be mutable, so one copy serves all connections.

use std::cell::RefCell;
use std::ptr;

use wtx::collection::Vector;
use wtx::rng::ChaCha20;
use wtx::web_socket::{
    Frame, OpCode, WebSocketAcceptor, WebSocketBuffer, WebSocketOwned, WebSocketPayloadOrigin::Adaptive,
};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, finish};

thread_local! {
    /// A message, and a copy of it that may be changed.
    static SCRATCH: RefCell<(&'static [u8], Vec<u8>)> = const { RefCell::new((&[], Vec::new())) };
}

pub struct Wtx;

impl Engine for Wtx {
    fn name(&self) -> &'static str {
        "wtx"
    }

    fn remark(&self) -> &'static str {
        "the last release for Rust 1.95; keys by its ChaCha20, not by its default; one write a message; a client masks \
         the caller's own bytes, copied for it here"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        match role {
            Role::Server => Box::new(Side::<false>::new(buffer)),
            Role::Client => Box::new(Side::<true>::new(buffer)),
        }
    }

    fn open(&self) -> Option<Outcome> {
        Some(finish(async {
            let acceptor = WebSocketAcceptor::default();
            let opened: wtx::Result<_> = acceptor.accept(Pipe).await;
            opened.map(drop).map_err(|error| format!("{error:?}").into())
        }))
    }
}

struct Side<const IS_CLIENT: bool> {
    socket: WebSocketOwned<(), ChaCha20, Pipe, IS_CLIENT>,
    message: Vector<u8>,
}

impl<const IS_CLIENT: bool> Side<IS_CLIENT> {
    fn new(buffer: usize) -> Self {
        let buffers = WebSocketBuffer::with_capacity(buffer, 0, 0).expect("memory");
        let key = std::array::from_fn(|_| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) as u8);
        let mut socket = WebSocketOwned::new((), false, ChaCha20::from_key(key), Pipe, buffers);
        socket.set_max_payload_len(LIMIT + 1); // a message of just as much is refused
        Side { socket, message: Vector::new() }
    }
}

impl<const IS_CLIENT: bool> Connection for Side<IS_CLIENT> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                self.message.clear();
                let frame = self.socket.read_frame(&mut self.message, Adaptive).await.map_err(said)?;
                if matches!(frame.op_code(), OpCode::Binary | OpCode::Text) {
                    tally.add(frame.payload());
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, _: usize) -> Outcome {
        SCRATCH.with_borrow_mut(|(copied, scratch)| {
            if !ptr::eq(*copied, message.bytes) {
                *scratch = message.bytes.to_vec();
                *copied = message.bytes;
            }
            finish(async {
                for _ in 0..times {
                    if IS_CLIENT {
                        scratch.copy_from_slice(message.bytes);
                    }
                    let mut frame = Frame::new_fin(OpCode::Binary, &mut scratch[..]);
                    self.socket.write_frame(&mut frame).await.map_err(said)?;
                }
                if IS_CLIENT {
                    *copied = &[];
                }
                Ok(())
            })
        })
    }

    fn echo(&mut self, messages: usize, _: usize) -> Outcome {
        finish(async {
            let (mut common, mut reader, mut writer) = self.socket.split_mut();
            for _ in 0..messages {
                self.message.clear();
                let mut frame = reader.read_frame(&mut self.message, &mut common, Adaptive).await.map_err(said)?;
                writer.write_frame(&mut common, &mut frame).await.map_err(said)?;
            }
            Ok(())
        })
    }
}

fn said(error: wtx::Error) -> crate::transport::Failure {
    format!("{error:?}").into()
}
