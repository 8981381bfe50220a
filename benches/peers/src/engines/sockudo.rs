//! How is sockudo-ws driven?
//!
//! Twice: by its `WebSocketStream`, as its documentation shows, and by its `Protocol`, which has no transport, as its
//! own benchmark does. Timers are off, since nothing here runs them. What it drew keys from by default is no strong
//! source: another was chosen in Cargo.toml.

use bytes::BytesMut;
use futures_util::StreamExt;
use sockudo_ws::deflate::DeflateConfig;
use sockudo_ws::handshake::server_handshake;
use sockudo_ws::protocol::{CompressedProtocol, Message, Protocol, Role as Side};
use sockudo_ws::{CompressedWebSocketStream, Config, WebSocketStream};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{self, Outcome, Pipe, dry, finish, is_flush_due};

pub struct Stream;

fn deflate() -> DeflateConfig {
    DeflateConfig { server_no_context_takeover: true, compression_level: 1, ..DeflateConfig::default() }
}

fn config(buffer: usize) -> Config {
    let config = Config::builder().max_message_size(LIMIT).max_frame_size(LIMIT).write_buffer_size(buffer);
    config.auto_ping(false).idle_timeout(0).build()
}

impl Engine for Stream {
    fn name(&self) -> &'static str {
        "sockudo-ws"
    }

    fn remark(&self) -> &'static str {
        "AVX2 or AVX-512 where there is; keys by rand, not by its default; timers off"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        Box::new(match role {
            Role::Server => WebSocketStream::server(Pipe, config(buffer)),
            Role::Client => WebSocketStream::client(Pipe, config(buffer)),
        })
    }

    fn deflating(&self) -> Option<Box<dyn Connection>> {
        Some(Box::new(CompressedWebSocketStream::server(Pipe, config(4 << 10), deflate())))
    }

    fn open(&self) -> Option<Outcome> {
        Some(finish(async {
            let opened = server_handshake(&mut Pipe).await?;
            drop(WebSocketStream::from_raw_with_leftover(Pipe, Side::Server, config(4 << 10), opened.leftover));
            Ok(())
        }))
    }
}

/// The same for both streams, which share no trait of their own.
macro_rules! stream {
    ($stream:ident) => {
        impl Connection for $stream<Pipe> {
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
                super::feed(self, times, batch, || Message::Binary(message.given()))
            }

            fn echo(&mut self, messages: usize, batch: usize) -> Outcome {
                super::echo(self, messages, batch)
            }
        }
    };
}

stream!(WebSocketStream);
stream!(CompressedWebSocketStream);

pub struct Codec;

impl Engine for Codec {
    fn name(&self) -> &'static str {
        "sockudo-ws codec"
    }

    fn package(&self) -> &'static str {
        "sockudo-ws"
    }

    fn remark(&self) -> &'static str {
        "the same without its transport, to be embedded as ours is: pings, closes, what waits to be written and when \
         to stop sending are its caller's"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let side = if role == Role::Server { Side::Server } else { Side::Client };
        Box::new(Buffers::new(Protocol::new(side, LIMIT, LIMIT), buffer))
    }

    fn deflating(&self) -> Option<Box<dyn Connection>> {
        Some(Box::new(Buffers::new(CompressedProtocol::server(LIMIT, LIMIT, deflate()), 4 << 10)))
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
                // It is only borrowed, so one serves all.
                let message = Message::Binary(message.given());
                for number in 1..=times {
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
