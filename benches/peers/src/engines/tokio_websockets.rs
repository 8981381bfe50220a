//! How is tokio-websockets driven?
//!
//! As a `Stream` and a `Sink`: `feed`, and `flush` behind each batch. Payloads are `Bytes`.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Config, Limits, Message, ServerBuilder, WebSocketStream};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, dry, finish, is_flush_due};

pub struct TokioWebSockets;

impl Engine for TokioWebSockets {
    fn name(&self) -> &'static str {
        "tokio-websockets"
    }

    fn remark(&self) -> &'static str {
        "AVX2 or AVX-512 where there is"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let limits = Limits::default().max_payload_len(Some(LIMIT));
        let config = Config::default().flush_threshold(buffer);
        Box::new(match role {
            Role::Server => ServerBuilder::new().limits(limits).config(config).serve(Pipe),
            Role::Client => ClientBuilder::new().limits(limits).config(config).take_over(Pipe),
        })
    }

    fn open(&self) -> Option<Outcome> {
        Some(finish(async {
            ServerBuilder::new().accept(Pipe).await?;
            Ok(())
        }))
    }
}

impl Connection for WebSocketStream<Pipe> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                let message = self.next().await.ok_or_else(dry)??;
                if message.is_binary() || message.is_text() {
                    tally.add(message.as_payload());
                }
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=times {
                self.feed(Message::binary(Bytes::from_static(message.bytes))).await?;
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
