//! How is soketto driven?
//!
//! Behind a `BufReader` and a `BufWriter`, as it reads and writes each header by itself. Messages are appended to a
//! `Vec`.

use futures_util::io::{BufReader, BufWriter};
use soketto::connection::{Builder, Mode};
use soketto::handshake::server::{Response, Server};
use soketto::{Data, Receiver, Sender};

use super::{Connection, Engine, LIMIT};
use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, Pipe, finish, is_flush_due};

type Buffered = BufReader<BufWriter<Pipe>>;

pub struct Soketto;

fn buffered(buffer: usize) -> Buffered {
    BufReader::with_capacity(buffer, BufWriter::with_capacity(buffer, Pipe))
}

impl Engine for Soketto {
    fn name(&self) -> &'static str {
        "soketto"
    }

    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection> {
        let mode = if role == Role::Server { Mode::Server } else { Mode::Client };
        let mut builder = Builder::new(buffered(buffer), mode);
        builder.set_max_message_size(LIMIT);
        builder.set_max_frame_size(LIMIT);
        let (sender, receiver) = builder.finish();
        Box::new(Both { sender, receiver, message: Vec::new() })
    }

    fn open(&self) -> Option<Outcome> {
        Some(finish(async {
            let mut server = Server::new(Pipe);
            let key = server.receive_request().await?.key();
            server.send_response(&Response::Accept { key, protocol: None }).await?;
            drop(server.into_builder().finish());
            Ok(())
        }))
    }
}

struct Both {
    sender: Sender<Buffered>,
    receiver: Receiver<Buffered>,
    message: Vec<u8>,
}

impl Connection for Both {
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
        finish(async {
            while tally.messages < until {
                self.message.clear();
                let (Data::Text(_) | Data::Binary(_)) = self.receiver.receive_data(&mut self.message).await?;
                tally.add(&self.message);
            }
            Ok(())
        })
    }

    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=times {
                self.sender.send_binary(message.bytes).await?;
                if is_flush_due(number, batch) {
                    self.sender.flush().await?;
                }
            }
            Ok(self.sender.flush().await?)
        })
    }

    fn echo(&mut self, messages: usize, batch: usize) -> Outcome {
        finish(async {
            for number in 1..=messages {
                self.message.clear();
                self.receiver.receive_data(&mut self.message).await?;
                self.sender.send_binary_mut(&mut self.message).await?;
                if is_flush_due(number, batch) {
                    self.sender.flush().await?;
                }
            }
            Ok(self.sender.flush().await?)
        })
    }
}
