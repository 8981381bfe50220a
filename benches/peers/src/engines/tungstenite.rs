//! How is tungstenite driven?
//!
//! Blocking, on a transport that never blocks: `read`, and `write` with a `flush` behind each batch. Payloads are
//! handed over as `Bytes`, which costs no copy.

use tungstenite::protocol::{self, WebSocketConfig};
use tungstenite::{Message, WebSocket};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, is_flush_due};

pub struct Tungstenite;

fn config(buffer: usize) -> WebSocketConfig {
    let config = WebSocketConfig::default().max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    config.read_buffer_size(buffer).write_buffer_size(buffer)
}

impl Engine for Tungstenite {
    fn name(&self) -> &'static str {
        "tungstenite"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let role = if role == Role::Server { protocol::Role::Server } else { protocol::Role::Client };
        Box::new(WebSocket::from_raw_socket(Pipe, role, Some(config(buffer))))
    }

    fn open(&self) -> Option<Outcome> {
        let opened = tungstenite::accept_with_config(Pipe, Some(config(4 << 10)));
        Some(opened.map(drop).map_err(|error| error.to_string().into()))
    }
}

impl Connection for WebSocket<Pipe> {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        while tally.messages < until {
            match self.read()? {
                Message::Binary(bytes) => tally.add(&bytes),
                Message::Text(text) => tally.add(text.as_bytes()),
                _ => {}
            }
        }
        Ok(())
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        for number in 1..=times {
            self.write(Message::Binary(message.given()))?;
            if is_flush_due(number, batch) {
                self.flush()?;
            }
        }
        Ok(self.flush()?)
    }

    fn echo(&mut self, messages: usize, batch: usize) -> Outcome {
        for number in 1..=messages {
            let message = self.read()?;
            self.write(message)?;
            if is_flush_due(number, batch) {
                self.flush()?;
            }
        }
        Ok(self.flush()?)
    }
}
