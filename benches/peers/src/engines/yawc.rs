//! How is yawc driven?
//!
//! As a `Sink`, with `feed` and `flush` behind each batch, and by `next_frame`, which hands on whole messages. Its
//! check of UTF-8, off by default, is on.

use futures_util::SinkExt;
use yawc::frame::{Frame, OpCode};
use yawc::{CompressionLevel, DeflatePool, Options, WebSocket};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, finish, is_flush_due};

thread_local! {
    /// For all connections, as ours have one.
    static POOL: DeflatePool = DeflatePool::new(8);
}

pub struct Yawc;

fn options(buffer: usize) -> Options {
    // A message of just as much is refused.
    let options = Options::default().with_limits(LIMIT + 1, LIMIT + 1).with_utf8();
    let options = options.with_read_buffer_capacity(buffer).with_write_buffer_capacity(buffer);
    options.with_backpressure_boundary(buffer)
}

impl Engine for Yawc {
    fn name(&self) -> &'static str {
        "yawc"
    }

    fn remark(&self) -> &'static str {
        "AVX2 where there is; no opening handshake of its own (hyper)"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let role = if role == Role::Server { yawc::Role::Server } else { yawc::Role::Client };
        Box::new(WebSocket::from_stream(Pipe, role, options(buffer)).expect("nothing was negotiated"))
    }

    fn deflating(&self) -> Option<Box<dyn Connection>> {
        let options = options(4 << 10).with_compression_level(CompressionLevel::fast()).server_no_context_takeover();
        let options = options.with_deflate_pool(POOL.with(Clone::clone));
        let agreed = Some("permessage-deflate; server_no_context_takeover");
        let socket = WebSocket::from_stream_with_extensions(Pipe, yawc::Role::Server, agreed, options);
        Some(Box::new(socket.expect("compression is on")))
    }
}

impl Connection for WebSocket<Pipe> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                let frame = self.next_frame().await?;
                if matches!(frame.opcode(), OpCode::Binary | OpCode::Text) {
                    tally.add(frame.payload());
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        super::feed(self, times, batch, || Frame::binary(message.given()))
    }

    fn echo(&mut self, messages: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=messages {
                let frame = self.next_frame().await?;
                self.feed(frame).await?;
                if is_flush_due(number, batch) {
                    self.flush().await?;
                }
            }
            Ok(self.flush().await?)
        })
    }
}
