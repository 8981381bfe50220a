//! How is our engine driven?
//!
//! As the crate's documentation shows: `Server` and `Client` with their defaults, and one read buffer for all
//! connections, in front of which a vectored read puts the rest of a long message where it belongs. What `transmit`
//! shows is written when a read is used up or the queue is full. What has a write of its own anyway goes past the queue,
//! and so does the echo of a long message. A browser's request opens a server.

use std::cell::RefCell;
use std::io::IoSlice;
use std::sync::Arc;

use sockless::{
    Accept, Client, ClientEvent, Compress, Compression, CompressionLevel, Config, Connect, Event, Incoming, Instant,
    Message, Os, Pool, SendError, Sender, Server, ServerEvent, SessionId,
};

use super::{Connection, Engine};
use crate::traffic::{Outgoing, REQUEST, Role, Tally};
use crate::transport::{self, Outcome, dry, is_flush_due};

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; 64 << 10]);
    static PLAIN: Arc<Config> = Arc::default();
    static DEFLATING: Arc<Config> = Arc::new(Config {
        compression: Some(Compression {
            server_no_context_takeover: true,
            level: CompressionLevel::FASTEST,
            pool: Some(Arc::new(Pool::default())),
            ..Compression::default()
        }),
        ..Config::default()
    });
}

/// No engine reads a clock here.
const NOW: Instant = Instant::from_nanos(0);

/// A message that is worth a write of its own, where others might share one: for a kernel too, though none is here.
const LONG: usize = 64 << 10;

/// Hands a message to the transport at once, if that can be; whether the transport took all of it.
#[inline(always)]
fn send_through(tx: &mut Sender, message: Message<'_>) -> Result<bool, SendError> {
    let Some(frame) = tx.send_through(message, Compress::Auto)? else { return Ok(false) };
    let written = transport::write_vectored(&frame.slices());
    frame.written(written);
    Ok(tx.queued() == 0)
}

/// Lets the transport take all that is queued.
macro_rules! flush {
    ($side:expr) => {
        while $side.has_output() {
            let mut slices = [IoSlice::new(&[]); 4];
            let count = $side.transmit(&mut slices);
            let written = transport::write_vectored(&slices[..count]);
            $side.transmitted(written, NOW);
        }
    };
}

/// Reads into the room of a long message and into the buffer behind it; what came there.
macro_rules! read {
    ($side:expr, $buffer:expr) => {{
        let room = $side.receive_room();
        let length = room.len();
        let count = transport::read_vectored(room, $buffer);
        if count == 0 {
            return Err(dry());
        }
        $side.received(count.min(length), NOW);
        &mut $buffer[..count.saturating_sub(length)]
    }};
}

/// How a message is handed over to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Plain,
    Shared,
    Prepared,
}

pub struct Sockless(pub Form);

impl Engine for Sockless {
    fn name(&self) -> &'static str {
        match self.0 {
            Form::Plain => "sockless",
            Form::Shared => "sockless shared",
            Form::Prepared => "sockless prepared",
        }
    }

    fn package(&self) -> &'static str {
        "sockless"
    }

    fn remark(&self) -> &'static str {
        match self.0 {
            Form::Plain => "an echo of 64 KiB and more is one write a message",
            Form::Shared | Form::Prepared => "",
        }
    }

    fn connect(&self, role: Role, _: usize) -> Box<dyn Connection> {
        match role {
            Role::Server => Box::new(serve(&PLAIN.with(Arc::clone), self.0)),
            Role::Client => Box::new(connect(self.0)),
        }
    }

    fn deflating(&self) -> Option<Box<dyn Connection>> {
        Some(Box::new(serve(&DEFLATING.with(Arc::clone), self.0)))
    }

    fn open(&self) -> Option<Outcome> {
        Some(BUFFER.with_borrow_mut(|buffer| {
            let mut server = Server::new(PLAIN.with(Arc::clone), NOW);
            let count = transport::read(buffer);
            let mut input = &mut buffer[..count];
            let Some(ServerEvent::Offer(offer)) = server.receive(&mut input, NOW) else {
                return Err("no offer".into());
            };
            offer.accept(Accept::new());
            flush!(server);
            Ok(())
        }))
    }

    fn only_sends(&self) -> bool {
        self.0 != Form::Plain
    }
}

struct Side<S> {
    side: S,
    id: SessionId,
    form: Form,
}

fn serve(config: &Arc<Config>, form: Form) -> Side<Server> {
    let (mut server, mut request) = (Server::new(Arc::clone(config), NOW), REQUEST.to_vec());
    let Some(ServerEvent::Offer(offer)) = server.receive(&mut &mut request[..], NOW) else {
        unreachable!("a browser's request is an offer");
    };
    let id = offer.accept(Accept::new());
    server.transmitted(usize::MAX, NOW);
    Side { side: server, id, form }
}

fn connect(form: Form) -> Side<Client> {
    let config = PLAIN.with(Arc::clone);
    let mut client = Client::new(Arc::clone(&config), Os, NOW).expect("the system has entropy");
    let id = client.open(&Connect::to("ws://example.com").expect("a URL"), NOW).expect("a first session");
    let (mut server, mut bytes) = (Server::new(config, NOW), Vec::new());
    client.take(&mut bytes, NOW);
    if let Some(ServerEvent::Offer(offer)) = server.receive(&mut &mut bytes[..], NOW) {
        offer.accept(Accept::new());
    }
    bytes.clear();
    server.take(&mut bytes, NOW);
    assert!(matches!(client.receive(&mut &mut bytes[..], NOW), Some(ClientEvent::Open(_))), "it is open");
    Side { side: client, id, form }
}

/// The same for both sides, whose events have names of their own.
macro_rules! connection {
    ($side:ident, $event:ident) => {
        impl Connection for Side<$side> {
            fn receive(&mut self, until: usize, tally: &mut Tally) -> Outcome {
                BUFFER.with_borrow_mut(|buffer| {
                    while tally.messages < until {
                        let mut input = read!(self.side, buffer);
                        loop {
                            // An event that is only taken apart is not moved.
                            match self.side.receive(&mut input, NOW) {
                                Some($event::Session(_, Incoming { event: Event::Message(message), .. })) => {
                                    tally.add(message.as_bytes());
                                }
                                Some($event::Session(_, Incoming { event: Event::Failed(error), .. })) => {
                                    return Err(error.into());
                                }
                                Some(_) => {}
                                None => break,
                            }
                        }
                    }
                    Ok(())
                })
            }

            fn send(&mut self, message: &Outgoing, times: usize, batch: usize) -> Outcome {
                if self.form == Form::Plain && batch == 1 {
                    for _ in 0..times {
                        let tx = self.side.tx(self.id, NOW).ok_or("the session is gone")?;
                        if !send_through(tx, Message::Binary(message.bytes))? {
                            flush!(self.side);
                        }
                    }
                    return Ok(());
                }
                for number in 1..=times {
                    let tx = self.side.tx(self.id, NOW).ok_or("the session is gone")?;
                    match self.form {
                        Form::Plain => tx.send(Message::Binary(message.bytes)),
                        Form::Shared => tx.send_shared(&message.shared),
                        Form::Prepared => tx.send_prepared(&message.prepared),
                    }?;
                    if is_flush_due(number, batch) || tx.is_full() {
                        flush!(self.side);
                    }
                }
                flush!(self.side);
                Ok(())
            }

            fn echo(&mut self, messages: usize, _: usize) -> Outcome {
                BUFFER.with_borrow_mut(|buffer| {
                    let mut echoed = 0;
                    while echoed < messages {
                        let mut input = read!(self.side, buffer);
                        loop {
                            let is_full = match self.side.receive(&mut input, NOW) {
                                Some($event::Session(_, Incoming { event: Event::Message(message), tx })) => {
                                    if message.as_bytes().len() < LONG {
                                        tx.send(message)?;
                                    } else {
                                        send_through(tx, message)?;
                                    }
                                    echoed += 1;
                                    tx.is_full()
                                }
                                Some(_) => false,
                                None => break,
                            };
                            if is_full {
                                flush!(self.side);
                            }
                        }
                        flush!(self.side);
                    }
                    Ok(())
                })
            }
        }
    };
}

connection!(Server, ServerEvent);
connection!(Client, ClientEvent);
