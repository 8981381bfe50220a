//! How is web-socket driven?
//!
//! Behind a `BufReader`, as it reads each field of a header by itself. Each message is one write. It hands on frames,
//! so fragments are put together here.

use tokio::io::BufReader;
use web_socket::{DataType, Event, Stream};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, finish};

pub struct WebSocket;

impl Engine for WebSocket {
    fn name(&self) -> &'static str {
        "web-socket"
    }

    fn remark(&self) -> &'static str {
        "no opening handshake; one write a message; hands on frames, put together by its caller"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let stream = BufReader::with_capacity(buffer, Pipe);
        let mut socket = match role {
            Role::Server => web_socket::WebSocket::server(stream),
            Role::Client => web_socket::WebSocket::client(stream),
        };
        socket.max_payload_len = LIMIT;
        Box::new(Collector { socket, message: Vec::new() })
    }
}

struct Collector {
    socket: web_socket::WebSocket<BufReader<Pipe>>,
    message: Vec<u8>,
}

impl Connection for Collector {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                match self.socket.recv().await? {
                    Event::Data { ty: DataType::Complete(_), data } => tally.add(&data),
                    Event::Data { ty: DataType::Stream(part), data } => {
                        if matches!(part, Stream::Start(_)) {
                            self.message.clear();
                        }
                        self.message.extend_from_slice(&data);
                        if matches!(part, Stream::End(_)) {
                            tally.add(&self.message);
                        }
                    }
                    Event::Error(error) => return Err(error.into()),
                    _ => {}
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, _: usize) -> Outcome {
        finish(async {
            for _ in 0..times {
                self.socket.send(message.bytes).await?;
            }
            Ok(())
        })
    }

    fn echo(&mut self, messages: usize, _: usize) -> Outcome {
        finish(async {
            for _ in 0..messages {
                match self.socket.recv().await? {
                    Event::Data { data, .. } => self.socket.send(&data[..]).await?,
                    other => return Err(format!("{other:?}").into()),
                }
            }
            Ok(())
        })
    }
}
