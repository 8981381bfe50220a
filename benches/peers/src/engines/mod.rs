//! What must an engine do to be compared?
//!
//! Each file drives one, the way its documentation says is fast, with the limits of ours. All find the same bytes on
//! the same transport. What they receive must be whole messages.

mod fastwebsockets;
mod sockless;
mod sockudo;
mod soketto;
mod tokio_websockets;
mod tungstenite;
mod web_socket;
mod wtx;
mod yawc;

use std::error::Error;

use futures_util::{Sink, SinkExt, Stream, StreamExt};

use crate::traffic::{Outgoing, Role, Tally};
use crate::transport::{Outcome, dry, finish, is_flush_due};

pub trait Engine {
    /// What the table calls it.
    fn name(&self) -> &'static str;

    /// Its name in the lock file.
    fn package(&self) -> &'static str {
        self.name()
    }

    /// How it was set up, where that needs a word.
    fn remark(&self) -> &'static str {
        ""
    }

    /// A connection behind its opening handshake; with read and write buffers of this size, where that can be said.
    fn connect(&self, role: Role, buffer: usize) -> Box<dyn Connection>;

    /// A server's connection that compresses each message by itself (`server_no_context_takeover`), at level 1.
    fn deflating(&self) -> Option<Box<dyn Connection>> {
        None
    }

    /// Reads a request and answers it, as a server that then has a connection. `None` where another crate must do that.
    fn open(&self) -> Option<Outcome> {
        None
    }

    /// Whether it is ours in one of the forms that only concern sending.
    fn only_sends(&self) -> bool {
        false
    }
}

pub trait Connection {
    /// Receives until the tally holds so many messages.
    fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome;

    /// Sends a binary message so many times, `batch` of them to a flush.
    fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome;

    /// Receives so many messages and sends each back, `batch` of them to a flush.
    fn echo(&mut self, messages: usize, batch: usize) -> Outcome;
}

/// The largest message, in all engines.
pub const LIMIT: usize = 1 << 20;

/// Sends by a `Sink`: `feed`, and `flush` behind each batch.
fn feed<S, M>(sink: &mut S, times: usize, batch: usize, message: impl Fn() -> M) -> Outcome
where
    S: Sink<M, Error: Error + 'static> + Unpin,
{
    finish(async {
        for number in 1..=times {
            sink.feed(message()).await?;
            if is_flush_due(number, batch) {
                sink.flush().await?;
            }
        }
        Ok(sink.flush().await?)
    })
}

/// Hands back to a `Sink` what comes of its `Stream`.
fn echo<S, M, E>(both: &mut S, messages: usize, batch: usize) -> Outcome
where
    S: Stream<Item = Result<M, E>> + Sink<M, Error = E> + Unpin,
    E: Error + 'static,
{
    finish(async {
        for number in 1..=messages {
            let message = both.next().await.ok_or_else(dry)??;
            both.feed(message).await?;
            if is_flush_due(number, batch) {
                both.flush().await?;
            }
        }
        Ok(both.flush().await?)
    })
}

/// Ours in front.
pub fn all() -> Vec<Box<dyn Engine>> {
    use self::sockless::{Form, Sockless};
    vec![
        Box::new(Sockless(Form::Plain)),
        Box::new(Sockless(Form::Shared)),
        Box::new(Sockless(Form::Prepared)),
        Box::new(tungstenite::Tungstenite),
        Box::new(fastwebsockets::FastWebSockets),
        Box::new(tokio_websockets::TokioWebSockets),
        Box::new(soketto::Soketto),
        Box::new(web_socket::WebSocket),
        Box::new(yawc::Yawc),
        Box::new(sockudo::Stream),
        Box::new(sockudo::Codec),
        Box::new(wtx::Wtx),
    ]
}
