//! How is fastwebsockets driven?
//!
//! By its `FragmentCollector`, which makes messages of frames. Each frame is one write, vectored above 1 KiB; nothing
//! collects small ones. A client masks in place, so what is to be sent again is copied first.

use fastwebsockets::{FragmentCollector, Frame, OpCode, Payload, Role as Side, WebSocket};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, finish};

pub struct FastWebSockets;

impl Engine for FastWebSockets {
    fn name(&self) -> &'static str {
        "fastwebsockets"
    }

    fn remark(&self) -> &'static str {
        "no opening handshake of its own (hyper); one write a message; a client masks the caller's own bytes, copied for \
         it here; reads of 8 KiB"
    }

    fn connect(&self, role: Role, _: usize) -> Box<dyn Connection> {
        let side = if role == Role::Server { Side::Server } else { Side::Client };
        let mut socket = WebSocket::after_handshake(Pipe, side);
        socket.set_max_message_size(LIMIT + 1); // a message of just as much is refused
        Box::new(Fast { socket: FragmentCollector::new(socket), role, scratch: Vec::new() })
    }
}

struct Fast {
    socket: FragmentCollector<Pipe>,
    role: Role,
    scratch: Vec<u8>,
}

impl Connection for Fast {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                let frame = self.socket.read_frame().await?;
                if matches!(frame.opcode, OpCode::Binary | OpCode::Text) {
                    tally.add(&frame.payload);
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, _: usize) -> Outcome {
        let Fast { socket, role, scratch } = self;
        finish(async {
            for _ in 0..times {
                let payload = if *role == Role::Server {
                    Payload::Borrowed(message.bytes)
                } else {
                    scratch.clear();
                    scratch.extend_from_slice(message.bytes);
                    Payload::BorrowedMut(scratch)
                };
                socket.write_frame(Frame::binary(payload)).await?;
            }
            Ok(())
        })
    }

    fn echo(&mut self, messages: usize, _: usize) -> Outcome {
        finish(async {
            for _ in 0..messages {
                let frame = self.socket.read_frame().await?;
                self.socket.write_frame(frame).await?;
            }
            Ok(())
        })
    }
}
