//! How is sockudo-ws driven?
//!
//! Twice: by its `WebSocketStream`, as its documentation shows, and by its `Protocol`, which has no transport, as its
//! own benchmark does. Timers are off, since nothing here runs them. What it drew keys from by default is no strong
//! source: another was chosen in Cargo.toml.

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::protocol::{CompressedProtocol, Message, Protocol, Role as Side};
use sockudo_ws::{Config, WebSocketStream};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{self, Outcome, Pipe, dry, finish, is_flush_due};

pub struct Stream;

impl Engine for Stream {
    fn name(&self) -> &'static str {
        "sockudo-ws"
    }

    fn remark(&self) -> &'static str {
        "AVX2 or AVX-512 where there is; keys by rand, not by its default; timers off"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let config = Config::builder().max_message_size(LIMIT).max_frame_size(LIMIT).write_buffer_size(buffer);
        let config = config.auto_ping(false).idle_timeout(0).build();
        Box::new(match role {
            Role::Server => WebSocketStream::server(Pipe, config),
            Role::Client => WebSocketStream::client(Pipe, config),
        })
    }

    fn open(&self) -> Option<Outcome> {
        Some(finish(async {
            server_handshake(&mut Pipe).await?;
            Ok(())
        }))
    }
}

impl Connection for WebSocketStream<Pipe> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                if let Message::Binary(bytes) | Message::Text(bytes) = self.next().await.ok_or_else(dry)?? {
                    tally.add(&bytes);
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=times {
                self.feed(Message::Binary(Bytes::from_static(message.bytes))).await?;
                if is_flush_due(number, batch) {
                    self.flush().await?;
                }
            }
            Ok(self.flush().await?)
        })
    }

    fn echo(&mut self, messages: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=messages {
                let message = self.next().await.ok_or_else(dry)??;
                self.feed(message).await?;
                if number % batch == 0 {
                    self.flush().await?;
                }
            }
            Ok(self.flush().await?)
        })
    }
}

pub struct Codec;

impl Engine for Codec {
    fn name(&self) -> &'static str {
        "sockudo-ws codec"
    }

    fn package(&self) -> &'static str {
        "sockudo-ws"
    }

    fn remark(&self) -> &'static str {
        "AVX2 or AVX-512 where there is; its protocol without a transport"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let side = if role == Role::Server { Side::Server } else { Side::Client };
        Box::new(Buffers::new(Protocol::new(side, LIMIT, LIMIT), buffer))
    }

    fn deflating(&self) -> Option<Box<dyn Connection>> {
        let config =
            DeflateConfig { server_no_context_takeover: true, compression_level: 1, ..DeflateConfig::default() };
        Some(Box::new(Buffers::new(CompressedProtocol::server(LIMIT, LIMIT, config), 4 << 10)))
    }
}

struct Buffers<P> {
    protocol: P,
    input: BytesMut,
    output: BytesMut,
    messages: Vec<Message>,
}

impl<P> Buffers<P> {
    fn new(protocol: P, buffer: usize) -> Buffers<P> {
        let (input, output) = (BytesMut::with_capacity(buffer), BytesMut::with_capacity(buffer));
        Buffers { protocol, input, output, messages: Vec::new() }
    }

    fn flush(&mut self) {
        transport::write(&self.output);
        self.output.clear();
    }
}

/// The same for both protocols, which share no trait.
macro_rules! connection {
    ($protocol:ident) => {
        impl Connection for Buffers<$protocol> {
            fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
                while tally.messages < until {
                    match transport::take(64 << 10) {
                        [] => return Err(dry()),
                        read => self.input.extend_from_slice(read),
                    }
                    self.protocol.process_into(&mut self.input, &mut self.messages)?;
                    for message in self.messages.drain(..) {
                        if let Message::Binary(bytes) | Message::Text(bytes) = message {
                            tally.add(&bytes);
                        }
                    }
                }
                Ok(())
            }

            fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
                for number in 1..=times {
                    let message = Message::Binary(Bytes::from_static(message.bytes));
                    self.protocol.encode_message(&message, &mut self.output)?;
                    if is_flush_due(number, batch) {
                        self.flush();
                    }
                }
                self.flush();
                Ok(())
            }

            fn echo(&mut self, messages: usize, _: usize) -> Outcome {
                let mut echoed = 0;
                while echoed < messages {
                    match transport::take(64 << 10) {
                        [] => return Err(dry()),
                        read => self.input.extend_from_slice(read),
                    }
                    self.protocol.process_into(&mut self.input, &mut self.messages)?;
                    for message in self.messages.drain(..) {
                        self.protocol.encode_message(&message, &mut self.output)?;
                        echoed += 1;
                    }
                    self.flush();
                }
                Ok(())
            }
        }
    };
}

connection!(Protocol);
connection!(CompressedProtocol);
